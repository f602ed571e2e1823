//! The outputs of the exporter, held byte for byte while its inside is rebuilt: pages, `check`, `once` and what is asked of
//! the clouds. Time is simulated, jitter is fixed, and what signing makes random is masked.
//!
//! What is long is held by its digest, but for one scenario of each vendor.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::{DateTime, Utc};
use http_body_util::BodyExt;
use hyper::Request;
use sha2::{Digest, Sha256};
use sim::{Cloud, Scenario, Vendor};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};

use super::{check, demo, once, settings};
use crate::args::Output;
use crate::clock::Clock;
use crate::config::Config;
use crate::facts::Facts;
use crate::metrics::Format;
use crate::poll::{self, Ground, Poller};
use crate::provider::Environment;
use crate::provider::http::{HttpClient, Outgoing};
use crate::shard::Shard;
use crate::soak;
use crate::web::Site;

/// The variable that says where to write outputs: `1` for the files that are held, else a folder for all of them in full.
const UPDATE: &str = "UPDATE_GOLDEN";

/// What is longer is held by its digest.
const LONGEST: usize = 6_000;

/// Of these, one of each vendor, the outputs are held in full however long, but for what says the same as another.
const IN_FULL: [&str; 3] = ["healthy", "huawei-healthy", "volcengine-healthy"];

const SAYS_THE_SAME: [&str; 3] = ["openmetrics.txt", "once.metrics.txt", "once.json"];

/// So long a scenario is polled before its pages are read.
const WATCHED: Duration = Duration::from_secs(75 * 60);

/// The exporter's clock goes on by this while nothing is asked.
const STEP: Duration = Duration::from_secs(20);

const POLL: &str = "interval: 5m, max_interval: 1h";

/// Header fields that differ from one attempt to the next.
const MASKED: [&str; 5] = [
    "authorization",
    "x-acs-date",
    "x-acs-signature-nonce",
    "x-date",
    "x-sdk-date",
];

/// One request as a line, so that those of an operation come together when lines are sorted.
fn line_of(outgoing: &Outgoing) -> String {
    let mut headers: Vec<_> = outgoing
        .headers
        .iter()
        .map(|(name, value)| {
            let value = if MASKED.contains(name) { "…" } else { value };
            format!("{name}={value}")
        })
        .collect();
    headers.sort();
    let (method, url, body) = (&outgoing.method, &outgoing.url, &outgoing.body);
    format!("{method} {url} {} {body}", headers.join(" "))
}

/// What has been asked since it was begun.
#[derive(Debug, Default)]
pub(crate) struct Journal(Mutex<Option<Vec<String>>>);

impl Journal {
    pub(crate) fn begin(&self) {
        *self.0.lock().unwrap() = Some(Vec::new());
    }

    pub(crate) fn note(&self, outgoing: &Outgoing) {
        if let Some(lines) = &mut *self.0.lock().unwrap() {
            lines.push(line_of(outgoing));
        }
    }

    /// Takes it, with the lines sorted: what is asked at one instant has no order.
    pub(crate) fn take(&self) -> String {
        let mut lines = self.0.lock().unwrap().take().unwrap_or_default();
        lines.sort();
        lines.join("\n") + "\n"
    }
}

/// A page without what the process and the build decide, and without how long a sweep took: who takes which place in line
/// at one instant is left open, and that shifts its end by the time between two calls.
pub(crate) fn without_process(page: &[u8]) -> String {
    let mut text = String::new();
    for line in str::from_utf8(page).unwrap().lines() {
        if line.contains("process_") || line.contains("build_info{") {
            continue;
        }
        let sweep = line.starts_with("cloud_backup_sweep_duration_seconds{");
        let masked = line.rsplit_once(' ').filter(|_| sweep);
        match masked {
            Some((series, _)) => text.extend([series, " …\n"]),
            None => text.extend([line, "\n"]),
        }
    }
    text
}

/// What a client gets from a site, as soon as that is what is known.
pub(crate) async fn pages(site: &Arc<Site>) -> Vec<(&'static str, String)> {
    let mut pages = Vec::new();
    for (name, format, accepted) in [
        ("metrics.txt", Format::Text, "text/plain;version=0.0.4"),
        (
            "openmetrics.txt",
            Format::OpenMetrics,
            "application/openmetrics-text;version=1.0.0",
        ),
    ] {
        let written = without_process(&site.scrape(format));
        let mut served = String::new();
        // The editor looks at a clock that stands every ten seconds.
        for _ in 0..30 {
            served = without_process(&page(site, "/metrics", accepted).await);
            if served == written {
                break;
            }
            sleep(Duration::from_secs(1)).await;
        }
        assert_eq!(served, written, "{name}: served is not what is known");
        pages.push((name, served));
    }
    let json = page(site, "/api/v1/instances", "application/json").await;
    pages.push(("instances.json", String::from_utf8(json).unwrap()));
    pages
}

async fn page(site: &Arc<Site>, path: &str, accepted: &str) -> Vec<u8> {
    let request = Request::get(path)
        .header("accept", accepted)
        .header("accept-encoding", "identity")
        .body(())
        .unwrap();
    let response = Arc::clone(site).answer(request).await;
    assert_eq!(response.status(), 200, "{path}");
    let body = response.into_body().collect().await.unwrap();
    body.to_bytes().to_vec()
}

/// The clouds of a scenario from a fixed moment on, and an exporter's clock that shows the same.
struct World {
    cloud: Cloud,
    /// The moment at which both clocks begin.
    start: DateTime<Utc>,
    begun: Instant,
    clock: Clock,
    journal: Journal,
}

impl World {
    async fn start(scenario: &Scenario) -> Arc<Self> {
        let instances = &scenario.instances;
        let scenario = Scenario {
            instances: Vec::new(),
            ..scenario.clone()
        };
        let journal = Journal::default();
        journal.begin();
        let cloud = Cloud::start(scenario).await.unwrap();
        cloud.clock().set("2026-06-15T12:00:00Z".parse().unwrap());
        // Their troubles are counted back from that moment.
        for instance in instances {
            cloud.add_instance(instance.clone());
        }
        Arc::new(Self {
            start: cloud.clock().now(),
            clock: Clock::set_by_hand(cloud.clock().now()),
            cloud,
            begun: Instant::now(),
            journal,
        })
    }

    /// Moves both clocks to the time that has been simulated.
    fn go_on(&self) {
        let shown = self.clock.now().signed_duration_since(self.start);
        let passed = self.begun.elapsed();
        self.clock
            .advance(passed.saturating_sub(shown.to_std().unwrap()));
        self.cloud.clock().set(self.clock.now());
    }

    fn ground(self: &Arc<Self>) -> Ground {
        let world = Arc::clone(self);
        let http = HttpClient::in_memory(move |outgoing| {
            world.go_on();
            world.journal.note(&outgoing);
            let (_, address) = outgoing.url.split_once("://").unwrap();
            let (host, path) = address.split_at(address.find('/').unwrap());
            let named = |vendor: &Vendor| host.starts_with(vendor.name());
            let vendor = Vendor::ALL.into_iter().find(named).unwrap();
            let headers = outgoing.headers.iter();
            let mut headers: Vec<_> = headers.map(|(name, value)| (*name, &**value)).collect();
            headers.push(("host", host));
            let (method, body) = (outgoing.method.as_str(), outgoing.body.as_bytes());
            soak::arrival_of(world.cloud.ask(vendor, method, path, &headers, body))
        });
        Ground {
            facts: Arc::new(Facts::with_ledgers()),
            tally: Arc::default(),
            clock: self.clock.clone(),
            http,
            environment: Arc::default(),
            shard: Shard::WHOLE,
        }
    }
}

/// Runs in simulated time of its own.
fn simulated<T>(future: impl Future<Output = T>) -> T {
    poll::fix_jitter_of_this_thread();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .unwrap();
    runtime.block_on(future)
}

async fn watch(scenario: &Scenario, config: &Config) -> Vec<(&'static str, String)> {
    let world = World::start(scenario).await;
    let ground = world.ground();
    let (reload, _nobody_reloads) = mpsc::channel(1);
    let site = Arc::new(Site::new(
        Arc::clone(&ground.facts),
        Arc::clone(&ground.tally),
        ground.clock.clone(),
        settings(config, &ground),
        reload,
    ));
    let kept = Arc::clone(&site);
    let keeping = tokio::spawn(async move { kept.keep_metrics_up_to_date().await });
    let mut poller = Poller::new(ground);
    poller.apply(config);
    while world.begun.elapsed() < WATCHED {
        sleep(STEP).await;
        world.go_on();
    }
    let journal = world.journal.take();
    poller.stop(Duration::ZERO).await;
    let mut outputs = pages(&site).await;
    keeping.abort();
    outputs.push(("requests.txt", journal));
    outputs
}

/// What is printed, and the exit code.
async fn once_in(scenario: &Scenario, config: &Config) -> Vec<(&'static str, String)> {
    let world = World::start(scenario).await;
    let ground = world.ground();
    poll::once(&ground, config, |_, _| {}).await;
    world.go_on();
    let mut outputs = vec![("once.requests.txt", world.journal.take())];
    for (name, output) in [
        ("once.table.txt", Output::Table),
        ("once.json", Output::Json),
        ("once.metrics.txt", Output::Metrics),
    ] {
        let told = once::told(ground.clone(), config, output).unwrap();
        let out = without_process(&told.out);
        let (errors, code) = (told.errors.join("\n"), told.code);
        outputs.push((name, format!("{out}exit code {code}\n{errors}")));
    }
    outputs
}

/// Outputs held against the files of one folder.
#[derive(Default)]
struct Held(Vec<String>);

impl Held {
    fn hold(&mut self, folder: &str, name: &str, actual: &str) {
        let in_full =
            actual.len() <= LONGEST || IN_FULL.contains(&folder) && !SAYS_THE_SAME.contains(&name);
        let held = if in_full {
            actual.to_owned()
        } else {
            let digest = hex::encode(Sha256::digest(actual));
            format!("{} lines, SHA-256 {digest}\n", actual.lines().count())
        };
        let name = format!("{folder}/{name}{}", if in_full { "" } else { ".sha256" });
        let path = root("tests/golden").join(&name);
        match std::env::var(UPDATE).as_deref() {
            Ok("1") => return write(&path, &held),
            Ok(all) => {
                return write(
                    &Path::new(all).join(name.trim_end_matches(".sha256")),
                    actual,
                );
            }
            Err(_) => {}
        }
        let expected = fs::read_to_string(&path).unwrap_or_default();
        if expected == held {
            return;
        }
        let copy = root("target/golden").join(name.trim_end_matches(".sha256"));
        write(&copy, actual);
        let copy = copy.display();
        let mut lines = expected.lines().zip(held.lines()).enumerate();
        let first = lines.find(|(_, (before, now))| before != now);
        let told = first.map_or_else(
            || {
                format!(
                    "{} lines were {}",
                    held.lines().count(),
                    expected.lines().count()
                )
            },
            |(index, (before, now))| format!("line {}\n  was {before}\n  is  {now}", index + 1),
        );
        self.0
            .push(format!("tests/golden/{name}: {told}\n  all of it: {copy}"));
    }

    /// Fails if anything is not as it was.
    fn end(self) {
        assert!(
            self.0.is_empty(),
            "{}\nif that is meant: `{UPDATE}=1 cargo test --lib golden`",
            self.0.join("\n")
        );
    }
}

fn root(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn write(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

#[test]
fn every_scenario_is_asked_about_and_told_as_before() {
    let mut held = Held::default();
    for name in Scenario::names() {
        let scenario = Scenario::named(name).unwrap();
        let url_of = |vendor: Vendor| format!("http://{}.simulated.test", vendor.name());
        let yaml = demo::config_for(&scenario, POLL, url_of).unwrap();
        let config = Config::parse(&yaml, []).unwrap();
        let summary = check::summary(&config, &Environment::new(), Shard::WHOLE).unwrap();
        held.hold(name, "check.txt", &summary);
        let once = simulated(once_in(&scenario, &config));
        for (output, text) in once.into_iter().chain(simulated(watch(&scenario, &config))) {
            held.hold(name, output, &text);
        }
    }
    held.end();
}

#[test]
fn hostile_weather_is_asked_about_and_told_as_before() {
    let mut held = Held::default();
    for seed in [1, 2, 3] {
        let outputs = simulated(soak::recorded(seed, Duration::from_secs(4 * 3600)));
        for (name, text) in outputs {
            held.hold(&format!("soak-{seed}"), name, &text);
        }
    }
    held.end();
}

#[test]
fn configurations_are_judged_as_before() {
    const EXAMPLE: &str = include_str!("../../exporter.example.yml");
    let mut held = Held::default();
    let instance = |keys: &str| {
        format!("accounts: [{{name: a, provider: alibaba, instances: [{{id: rm-1, {keys}}}]}}]")
    };
    for (name, yaml) in [
        ("example", EXAMPLE.to_owned()),
        ("empty", String::new()),
        ("no-yaml", "accounts: [".to_owned()),
        ("other-type", "accounts: 7".to_owned()),
        ("unknown-keys", "poll: {intervall: 5m}\naccounts: [{nam: a}]".to_owned()),
        ("bad-values", "poll: {interval: 0s, mode: odd, lookback: x}\naccounts: []".to_owned()),
        ("unknown-vendor", "accounts: [{name: a, provider: nobody}]".to_owned()),
        ("no-region", instance("name: b")),
        ("bad-region", instance("region: 'a b', listings: [nothing]")),
        ("bad-objective", instance("region: cn-hangzhou, objectives: {retention: -1h}")),
        ("long-retention", instance("region: cn-hangzhou, objectives: {retention: 90d}")),
        ("no-keys", instance("region: cn-hangzhou")),
        ("busy", format!("poll: {{interval: 10s, max_interval: 10s}}\n{}", instance("region: cn-hangzhou").replace("instances", "rate_limit: 1/m, instances"))),
        ("twice", "accounts: [{name: a, provider: huawei, instances: [{id: x, region: cn-north-4}, {id: x, region: cn-north-4}]}, {name: a, provider: huawei}]".to_owned()),
    ] {
        for (shard, index, count) in [("whole", None, 1), ("shard", Some(1), 3)] {
            let shard_of = Shard::of_flags(index, count, None).unwrap();
            let told = match Config::parse(&yaml, []) {
                Ok(config) => check::summary(&config, &Environment::new(), shard_of).unwrap() + "exit code 0\n",
                Err(problems) => format!("{}\nexit code {}\n", problems, super::EXIT_UNUSABLE),
            };
            held.hold("check", &format!("{name}.{shard}.txt"), &told);
        }
    }
    held.end();
}
