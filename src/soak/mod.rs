//! A month of hostile weather in simulated time: the real poller, providers and pages against the simulated clouds of all
//! three vendors, while answers are spoiled, instances come and go, keys are revoked, clocks are stepped, and the exporter
//! is reconfigured and restarted. At random instants every sample of `/metrics` is compared with a plain model.
//!
//! Everything follows from one seed, but for what the exporter itself draws (nonces, jitter).

mod model;
mod oracle;
mod plan;
mod reading;
mod witness;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use flate2::read::MultiGzDecoder;
use http_body_util::BodyExt;
use hyper::Request;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use sim::{
    Cloud, Engine, Fault, FaultKind, FewerRows, Instance, NoRows, Quirk, Scenario, Schedule, Vendor,
};
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use tokio::time::Instant;

use self::model::{Model, Samples, series};
use self::oracle::{LOG_COPIES, Look, Oracle, Trouble};
use self::plan::{Account, Named, OBJECTIVES, Plan};
pub(crate) use self::witness::arrival_of;
use self::witness::{Exchange, LIES, Lie, Verdict, Witness};
#[cfg(feature = "demo")]
use crate::app::golden;
use crate::backup::ListingKind;
use crate::clock::Clock;
use crate::config::{Config, Scratch};
use crate::facts::Facts;
use crate::metrics::{Format, ReloadState};
use crate::poll::{Ground, Poller};
use crate::provider::http::HttpClient;
use crate::shard::Shard;
use crate::storage::{self, Storage};
use crate::web::{Settings, Site};

const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);

/// How often the oracle looks.
const JUDGED_EVERY: Duration = Duration::from_secs(5 * 60);

/// After so long nothing of an instance is remembered.
const LONGEST_LOOKBACK: Duration = Duration::from_secs(7 * 24 * 3600);

/// What of an instance is told beside a promise that the world contradicts.
const TOLD: [&str; 4] = [
    "cloud_backup_poll_success{",
    "cloud_backup_instance_gone{",
    "cloud_backup_instance_missing{",
    "cloud_backup_instance_protected{",
];

/// So many problems are told before the soak gives up.
const MOST_PROBLEMS: usize = 20;

/// The samples of which only invariants are held: what the wall clock, the build or the process decides, and what the model
/// only counts.
const NOT_MODELLED: [&str; 12] = [
    "cloud_backup_api_requests_total",
    "cloud_backup_api_request_failures_total",
    "cloud_backup_api_request_duration_seconds",
    "cloud_backup_anomalies_total",
    "cloud_backup_sweep_duration_seconds",
    "cloud_backup_credentials_expiry_timestamp_seconds",
    "cloud_backup_observed_sets_total",
    "cloud_backup_vanished_sets_total",
    "cloud_backup_exporter_build_info",
    "cloud_backup_exporter_shard_index",
    "cloud_backup_exporter_shards",
    "cloud_backup_exporter_storage_",
];

/// One exporter from its start to its end.
struct Exporter {
    ground: Ground,
    poller: Poller,
    site: Arc<Site>,
    /// What keeps the pages up to date.
    pages: AbortHandle,
}

impl Exporter {
    /// With what an earlier one stored in a folder.
    fn start(plan: &Plan, clock: &Clock, witness: &Arc<Witness>, stored: Option<&Path>) -> Self {
        let answering = Arc::clone(witness);
        let ground = Ground {
            facts: Arc::new(Facts::with_ledgers()),
            tally: Arc::default(),
            clock: clock.clone(),
            http: HttpClient::in_memory(move |outgoing| answering.answer(&outgoing)),
            environment: Arc::default(),
            shard: Shard::WHOLE,
        };
        if let Some(folder) = stored {
            Storage::open(folder, storage_of(&ground)).unwrap();
        }
        let config = Config::parse(&plan.yaml(), []).unwrap();
        let (reload, _) = mpsc::channel(1);
        let site = Site::new(
            Arc::clone(&ground.facts),
            Arc::clone(&ground.tally),
            clock.clone(),
            settings(&config, clock),
            reload,
        );
        let site = Arc::new(site);
        let kept = Arc::clone(&site);
        let pages = tokio::spawn(async move { kept.keep_metrics_up_to_date().await });
        let mut poller = Poller::new(ground.clone());
        poller.apply(&config);
        Self {
            ground,
            poller,
            site,
            pages: pages.abort_handle(),
        }
    }

    /// `/metrics` as a client gets it.
    async fn published(&self, format: Format, gzip: bool) -> Vec<u8> {
        let accepted = match format {
            Format::Text => "text/plain;version=0.0.4",
            Format::OpenMetrics => "application/openmetrics-text;version=1.0.0",
        };
        let request = Request::get("/metrics").header("accept", accepted);
        let encoding = if gzip { "gzip" } else { "identity" };
        let request = request
            .header("accept-encoding", encoding)
            .body(())
            .unwrap();
        let response = Arc::clone(&self.site).answer(request).await;
        assert_eq!(response.status(), 200);
        let body = response.into_body().collect().await.unwrap().to_bytes();
        if !gzip {
            return body.to_vec();
        }
        let mut plain = Vec::new();
        MultiGzDecoder::new(&body[..])
            .read_to_end(&mut plain)
            .unwrap();
        plain
    }

    async fn stop(self) {
        self.poller.stop(Duration::ZERO).await;
        self.pages.abort();
    }
}

fn storage_of(ground: &Ground) -> storage::Ground {
    storage::Ground {
        facts: Arc::clone(&ground.facts),
        tally: Arc::clone(&ground.tally),
        clock: ground.clock.clone(),
        shard: ground.shard,
    }
}

/// A page without what changes from one look to the next: the state of the process.
fn without_process(page: &[u8]) -> Vec<&str> {
    let lines = str::from_utf8(page).unwrap().lines();
    lines.filter(|line| !line.contains("process_")).collect()
}

fn settings(config: &Config, clock: &Clock) -> Settings {
    Settings {
        lookback: config.poll.lookback,
        reload: ReloadState {
            successful: true,
            last_success: clock.now(),
        },
        shard: Shard::WHOLE,
    }
}

/// What is put right later.
#[derive(Debug, Clone)]
enum Repair {
    Key(usize, String),
    Copies(String),
    Logs(String),
    Policy(String),
    Destination(String, &'static str),
    Quirk(String, Quirk),
    Writes(String),
    Right(String, String),
    Limit(String),
    Clock(chrono::Duration),
    Storm,
}

/// How the soak went.
#[derive(Debug, Default)]
struct Tale {
    events: BTreeMap<&'static str, u64>,
    comparisons: u64,
    samples: u64,
    greens: u64,
    held_back: u64,
    /// Day, resident KiB, descriptors, tasks, instances.
    days: Vec<(u64, u64, usize, usize, usize)>,
}

struct Soak {
    cloud: Arc<Cloud>,
    witness: Arc<Witness>,
    clock: Clock,
    plan: Plan,
    exporter: Exporter,
    model: Model,
    oracle: Oracle,
    random: StdRng,
    repairs: Vec<(Instant, Repair)>,
    instances: Vec<(Vendor, String)>,
    made: usize,
    /// Those that were made anew under an id that others had before: what is known of the past is of the others.
    remade: BTreeMap<String, Instant>,
    counters: Samples,
    tale: Tale,
    /// The account or instance whose exchanges are printed.
    traced: Option<String>,
}

fn regions(vendor: Vendor) -> ([&'static str; 2], &'static str) {
    match vendor {
        Vendor::Alibaba => (["cn-hangzhou", "cn-beijing"], "cn-shanghai"),
        Vendor::Huawei => (["cn-north-4", "cn-south-1"], "cn-east-3"),
        Vendor::Volcengine => (["cn-beijing", "cn-guangzhou"], "cn-shanghai"),
    }
}

/// Where a few of Alibaba's instances are copied as well.
const SECOND: &str = "cn-shenzhen";

fn account(name: &str, vendor: Vendor) -> Account {
    Account {
        name: name.to_owned(),
        vendor,
        key: (
            format!("SOAKKEY{name}"),
            format!("SimulatedSecretOfTheSoak{name}"),
        ),
        regions: regions(vendor).0.to_vec(),
        listings: plan::listings(vendor),
        named: Vec::new(),
    }
}

impl Soak {
    async fn begin(seed: u64) -> Self {
        let accounts = vec![
            account("ali", Vendor::Alibaba),
            account("hua", Vendor::Huawei),
            account("vol", Vendor::Volcengine),
            account("spare", Vendor::Alibaba),
        ];
        let scenario = Scenario {
            accounts: accounts
                .iter()
                .map(|account| sim::Account {
                    name: account.name.clone(),
                    vendor: account.vendor,
                    access_key_id: account.key.0.clone(),
                    access_key_secret: account.key.1.clone(),
                    requests_per_minute: Some(100_000),
                    ..sim::Account::default()
                })
                .collect(),
            ..Scenario::empty()
        };
        let cloud = Arc::new(Cloud::start(scenario).await.unwrap());
        // The same hour in every run, so that a seed tells the same tale.
        cloud.clock().set("2026-06-15T12:00:00Z".parse().unwrap());
        cloud.keep_requests(1);
        let clock = Clock::set_by_hand(cloud.clock().now());
        let witness = Witness::new(Arc::clone(&cloud), clock.clone(), seed);
        for account in &accounts {
            witness.know(&account.key.0, &account.name);
        }
        let mut plan = Plan {
            accounts,
            interval_minutes: 10,
            longest_minutes: Some(60),
            lookback_days: 4,
            log_lookback_hours: 3,
            objectives: [Some(13), Some(13), Some(2), Some(48)],
        };
        // It comes and goes with reloads.
        plan.accounts.pop();
        for (account, id) in plan
            .accounts
            .iter_mut()
            .zip(["rm-named", "inamedin01", "redis-named"])
        {
            let (homes, away) = regions(account.vendor);
            account.named.push(Named {
                id: id.to_owned(),
                region: homes[0],
                name: Some("orders".to_owned()),
                backup_regions: vec![away],
                recovery_point_hours: Some(7),
            });
        }
        let exporter = Exporter::start(&plan, &clock, &witness, None);
        let model = Model::new(plan.clone(), clock.now());
        let mut soak = Self {
            cloud,
            witness,
            clock,
            plan,
            exporter,
            model,
            oracle: Oracle::default(),
            random: StdRng::seed_from_u64(seed ^ 0x5eed),
            repairs: Vec::new(),
            instances: Vec::new(),
            made: 0,
            remade: BTreeMap::new(),
            counters: Samples::new(),
            tale: Tale::default(),
            traced: std::env::var("SOAK_TRACE").ok(),
        };
        for vendor in Vendor::ALL {
            for _ in 0..4 {
                soak.make_instance(vendor);
            }
        }
        for index in 0..3 {
            soak.make_named(index);
        }
        soak
    }

    fn draw(&mut self, below: usize) -> usize {
        self.random.random_range(0..below)
    }

    fn minutes(&mut self, from: u64, to: u64) -> Duration {
        Duration::from_secs(60 * self.random.random_range(from..to))
    }

    fn instance(&mut self, vendor: Vendor, id: &str, account: &str, region: &str) -> Instance {
        let (_, away) = regions(vendor);
        let engine = match (vendor, self.draw(4)) {
            (Vendor::Volcengine, _) => Engine::Redis,
            (_, 0) => Engine::PostgreSql,
            (_, 1) => Engine::SqlServer,
            _ => Engine::MySql,
        };
        let version = if engine == Engine::MySql && self.draw(2) == 0 {
            "5.6"
        } else {
            "8.0"
        };
        let every = HOUR * [2, 6, 12, 24][self.draw(4)];
        let lag = self.minutes(2, 180);
        let mut schedule = Schedule::every(every);
        if vendor != Vendor::Volcengine {
            schedule.full_every = [1, 1, 3][self.draw(3)];
        }
        // Huawei has differential backups of SQL Server alone.
        if vendor == Vendor::Huawei && engine != Engine::SqlServer {
            schedule.full_every = 1;
        }
        let mut instance = Instance::new(id, region)
            .account(account)
            .engine(engine, version)
            .schedule(schedule);
        instance.name = format!("name-{}", self.draw(1000));
        if self.draw(6) > 0 {
            instance = instance.copied_to(away, lag);
            if vendor == Vendor::Alibaba && self.draw(3) == 0 {
                instance = instance.copied_to(SECOND, lag);
            }
        }
        instance.retention = DAY * [1, 2, 3, 5][self.draw(4)].try_into().unwrap();
        instance.logs.every = Duration::from_secs(60 * [5, 10, 30][self.draw(3)]);
        instance.logs.copied = vendor != Vendor::Volcengine && self.draw(3) > 0;
        instance.cross_region_unsupported = vendor == Vendor::Alibaba && self.draw(12) == 0;
        if self.draw(3) == 0 {
            instance.protected_for = Some(self.minutes(60, 3000));
        }
        instance
    }

    fn make_instance(&mut self, vendor: Vendor) {
        self.made += 1;
        let (homes, _) = regions(vendor);
        let region = homes[self.draw(2)];
        let number = self.made;
        let (id, account) = match vendor {
            Vendor::Alibaba => (
                format!("rm-{number}"),
                if number.is_multiple_of(5) {
                    "spare"
                } else {
                    "ali"
                },
            ),
            Vendor::Huawei => (format!("i{number}in01"), "hua"),
            Vendor::Volcengine => (format!("redis-{number}"), "vol"),
        };
        let instance = self.instance(vendor, &id, account, region);
        self.cloud.add_instance(instance);
        self.instances.push((vendor, id));
    }

    fn make_named(&mut self, index: usize) {
        let account = self.plan.accounts[index].clone();
        let named = &account.named[0];
        let mut instance = self.instance(account.vendor, &named.id, &account.name, named.region);
        instance.cross_region_unsupported = false;
        if self.made > 12 {
            self.remade.insert(named.id.clone(), Instant::now());
        }
        self.cloud.add_instance(instance);
        if !self.instances.iter().any(|(_, id)| *id == named.id) {
            self.instances.push((account.vendor, named.id.clone()));
        }
    }

    async fn run(mut self, time: Duration) -> (Tale, Vec<String>, Self) {
        let start = Instant::now();
        let mut next_event = start + HOUR;
        let mut next_look = start + Duration::from_secs(60);
        let mut next_judgement = start + JUDGED_EVERY;
        let mut told = 0;
        let mut next_day = start + DAY;
        let (begun, limit) = (std::time::Instant::now(), most_real_time());
        let is_in_time = || begun.elapsed() < limit;
        while start.elapsed() < time && self.model.problems.len() < MOST_PROBLEMS && is_in_time() {
            tokio::time::sleep(Duration::from_secs(1)).await;
            // Whatever else is due at this instant comes first.
            for _ in 0..8 {
                tokio::task::yield_now().await;
            }
            self.observe();
            let instant = Instant::now();
            if instant >= next_judgement {
                self.judge();
                next_judgement = instant + JUDGED_EVERY;
            }
            if instant >= next_look {
                self.compare().await;
                next_look = instant + self.minutes(2, 25);
            }
            for problem in &self.model.problems[told..] {
                println!("mismatch: {problem}");
            }
            told = self.model.problems.len();
            self.repair();
            if instant >= next_event {
                self.happen().await;
                next_event = instant + self.minutes(5, 60);
            }
            if instant >= next_day {
                self.measure(start);
                next_day += DAY;
            }
            self.clock.advance(Duration::from_secs(1));
        }
        self.compare().await;
        let tale = std::mem::take(&mut self.tale);
        let problems = std::mem::take(&mut self.model.problems);
        (tale, problems, self)
    }

    fn measure(&mut self, start: Instant) {
        let day = start.elapsed().as_secs() / DAY.as_secs();
        let tasks = Handle::current().metrics().num_alive_tasks();
        let (resident, descriptors) = (resident_kib(), descriptors());
        let instances = self.exporter.ground.facts.all().len();
        self.tale
            .days
            .push((day, resident, descriptors, tasks, instances));
        self.model.tidy();
        println!(
            "day {day}: {} comparisons, {} mismatches, {} s of false green",
            self.tale.comparisons,
            self.model.problems.len(),
            self.oracle.findings.false_green
        );
    }

    /// What a client gets, which has to be what one would write from the beginning, within a second at the latest.
    async fn shown(&mut self) -> Samples {
        let format = [Format::Text, Format::OpenMetrics][self.draw(2)];
        let gzip = self.draw(2) == 0;
        for wait in [1, 10, 900, 0] {
            let published = self.exporter.published(format, gzip).await;
            let written = self.exporter.site.scrape(format);
            let (published, written) = (without_process(&published), without_process(&written));
            if published == written {
                break;
            }
            tokio::time::sleep(Duration::from_millis(wait)).await;
            if wait == 0 {
                let differences: Vec<_> = published
                    .iter()
                    .filter(|line| !written.contains(line))
                    .chain(written.iter().filter(|line| !published.contains(line)))
                    .take(6)
                    .collect();
                let problem = format!("what is published is not what is known: {differences:#?}");
                self.model.problems.push(problem);
            }
        }
        parse(str::from_utf8(&self.exporter.site.scrape(Format::Text)).unwrap())
    }

    /// Compares everything that is shown with what the model says.
    async fn compare(&mut self) {
        tokio::time::sleep(Duration::from_millis(1)).await;
        let shown = self.shown().await;
        self.observe();
        self.hold(shown);
    }

    /// Takes in what was answered during the last second.
    fn observe(&mut self) {
        let arrived = self.witness.arrived();
        let now = self.clock.now();
        let ground = &self.exporter.ground;
        self.model
            .observe(&arrived, (&ground.facts, &ground.tally), now);
        if self.model.has_changed() {
            // What asked about those of before is asked anew with the others.
            self.model.lost += self.witness.on_their_way() as u64;
        }
        for exchange in &arrived {
            let is_about =
                |whom: &String| exchange.account == *whom || exchange.instances.contains(whom);
            if self.traced.as_ref().is_some_and(is_about) {
                println!("{now}: {exchange:?}");
            }
            self.tell_oracle(exchange);
        }
    }

    fn tell_oracle(&mut self, exchange: &Exchange) {
        let Some(account) = self
            .plan
            .accounts
            .iter()
            .find(|account| account.name == exchange.account)
        else {
            return;
        };
        let honest = matches!(exchange.verdict, Verdict::Good(_) | Verdict::Refused(_))
            && exchange.fault.is_none()
            && self.clock_is_right();
        let name = account.name.clone();
        let is_account_wide = account.vendor == Vendor::Volcengine && exchange.instances.is_empty();
        let concerned: Vec<String> = if is_account_wide {
            let of_vendor = self.instances.iter();
            of_vendor
                .filter(|(vendor, _)| *vendor == Vendor::Volcengine)
                .map(|(_, id)| id.clone())
                .collect()
        } else {
            exchange.instances.clone()
        };
        for id in concerned {
            let Some(truth) = self.cloud.truth(&id) else {
                continue;
            };
            if is_account_wide && truth.region != exchange.region {
                continue;
            }
            let key = (name.clone(), truth.region, id);
            let asked = if exchange.variety == "incremental" {
                LOG_COPIES
            } else {
                &exchange.operation
            };
            self.oracle.note_answer(&key, asked, honest);
        }
    }

    fn clock_is_right(&self) -> bool {
        (self.clock.now() - self.witness.true_time())
            .num_seconds()
            .abs()
            <= 2
    }

    /// Has the oracle look at the world and at the page.
    fn judge(&mut self) {
        let now = self.witness.true_time();
        self.cloud.clock().set(now);
        let page = self.exporter.site.scrape(Format::Text);
        let (mut shown, mut pages) = (BTreeMap::new(), BTreeMap::new());
        for line in str::from_utf8(&page).unwrap().lines() {
            if let Some(labels) = line.strip_prefix("cloud_backup_objective_met{") {
                let label = |name: &str| {
                    let from = labels.find(&format!("{name}=\"")).unwrap() + name.len() + 2;
                    labels[from..].split('"').next().unwrap().to_owned()
                };
                let objective = label("objective");
                let objective = OBJECTIVES.into_iter().find(|name| *name == objective);
                let key = (
                    label("account"),
                    label("source_region"),
                    label("instance_id"),
                );
                shown.insert((key, objective.unwrap()), line.ends_with(" 1"));
            } else if TOLD.iter().any(|name| line.starts_with(name))
                && let Some(id) = line.split("instance_id=\"").nth(1)
            {
                let id = id.split('"').next().unwrap().to_owned();
                let name = line
                    .split('{')
                    .next()
                    .unwrap()
                    .trim_start_matches("cloud_backup_");
                let listing = line.split("listing=\"").nth(1);
                let listing = listing
                    .and_then(|rest| rest.split('"').next())
                    .unwrap_or_default();
                let value = line.rsplit(' ').next().unwrap();
                let page: &mut String = pages.entry(id).or_default();
                write!(page, "{name} {listing} {value}, ").unwrap();
            }
        }
        let mut world = BTreeMap::new();
        for (_, id) in &self.instances {
            if let Some(truth) = self.cloud.truth(id) {
                world.insert(id.clone(), truth);
            }
        }
        for (account, _, id) in shown.keys().map(|(key, _)| key) {
            if let Some(truth) = self.cloud.truth(id)
                && truth.account == *account
            {
                world.insert(id.clone(), truth);
            }
        }
        for (id, truth) in &world {
            let key = (truth.account.clone(), truth.region.clone(), id.clone());
            let troubles = self.troubles(truth.vendor, &truth.account, id);
            self.oracle.note_troubles(&key, &troubles);
        }
        self.oracle.look(&Look {
            plan: &self.plan,
            now,
            world,
            shown,
            pages,
        });
    }

    /// What keeps the exporter from knowing how an instance does.
    fn troubles(&self, vendor: Vendor, account: &str, id: &str) -> Vec<Trouble> {
        let mut troubles = Vec::new();
        let mut add = |name, blocks| troubles.push(Trouble { name, blocks });
        let index = self.plan.accounts.iter().position(|of| of.name == account);
        for (_, repair) in &self.repairs {
            match repair {
                Repair::Key(of, _) if Some(*of) == index => add("key is rotated", true),
                Repair::Right(of, operation) if of == account => {
                    add("right is taken away", operation != list_operation(vendor));
                }
                Repair::Limit(of) if of == account => add("limit is lowered", true),
                Repair::Clock(_) => add("our clock is wrong", true),
                Repair::Storm => add("storm of faults", true),
                _ => {}
            }
        }
        let now = Instant::now();
        let weather = self.witness.weather();
        for (of, operation, until) in &weather.outages {
            if *of == vendor && *until > now {
                let is_of_list = operation.as_deref() == Some(list_operation(vendor));
                add("outage", !is_of_list);
            }
        }
        for lie in &weather.lies {
            let concerns =
                lie.account == account && lie.instance.as_ref().is_none_or(|of| of == id);
            if concerns && lie.until > now && lie.times != Some(0) {
                add(
                    lie.name,
                    ["answer emptied", "policy said to be off"].contains(&lie.name),
                );
            }
        }
        drop(weather);
        let is_remade = |since: &Instant| since.elapsed() < LONGEST_LOOKBACK;
        if self.remade.get(id).is_some_and(is_remade) {
            add("made anew under the same id", true);
        }
        if !self.clock_is_right() {
            add("our clock is wrong", true);
        }
        troubles
    }

    /// Compares a page with what the model says at this moment.
    fn hold(&mut self, shown: Samples) {
        let now = self.clock.now();
        let expected = self.model.expected(now);
        let unknown = self.model.unknown(now);
        let is_skipped = |name: &str| {
            NOT_MODELLED.iter().any(|family| name.starts_with(family))
                || unknown.iter().any(|label| name.contains(label.as_str()))
                // Beside those that are watched, Huawei tells of instances whose copies outlived them.
                || name.starts_with("cloud_backup_instances{") && name.contains("huawei") && name.contains("gone")
        };
        self.tale.comparisons += 1;
        let mut wrong = Vec::new();
        for (name, value) in &expected {
            if is_skipped(name) {
                self.tale.held_back += 1;
                continue;
            }
            self.tale.samples += 1;
            match shown.get(name) {
                Some(found) if found.total_cmp(value).is_eq() => {
                    self.tale.greens +=
                        u64::from(name.starts_with("cloud_backup_objective_met") && *value > 0.5);
                }
                found => wrong.push(format!("{name} is {found:?} and should be {value}")),
            }
        }
        for (name, value) in &shown {
            if !is_skipped(name) && !expected.contains_key(name) {
                wrong.push(format!("{name} is {value} and should not be there"));
            }
        }
        if !wrong.is_empty() {
            let when = self.witness.true_time();
            wrong.truncate(8);
            self.model.problems.push(format!(
                "at {when} (our clock {now}):\n  {}",
                wrong.join("\n  ")
            ));
        }
        self.tale.samples += self.model.check_counters(&shown) as u64;
        self.model.check_staleness();
        let mut counters = Samples::new();
        for (name, value) in shown {
            // An instance that is made anew begins anew.
            if name.contains("_sets_total{") {
                continue;
            }
            if name.contains("_total{") || name.contains("_bucket{") || name.contains("_count{") {
                let before = self.counters.get(&name).copied().unwrap_or_default();
                if value < before {
                    self.model
                        .problems
                        .push(format!("{name} went back from {before} to {value}"));
                }
                counters.insert(name, value);
            }
        }
        self.counters = counters;
    }

    fn tell(&mut self, event: &'static str) {
        *self.tale.events.entry(event).or_default() += 1;
    }

    fn later(&mut self, from: u64, to: u64, repair: Repair) {
        let at = Instant::now() + self.minutes(from, to);
        self.repairs.push((at, repair));
    }

    fn repair(&mut self) {
        let now = Instant::now();
        if self.repairs.iter().all(|(at, _)| *at > now) {
            return;
        }
        let (due, rest) = std::mem::take(&mut self.repairs)
            .into_iter()
            .partition(|(at, _)| *at <= now);
        self.repairs = rest;
        self.cloud.clock().set(self.witness.true_time());
        let due: Vec<(Instant, Repair)> = due;
        for (_, repair) in due {
            match repair {
                Repair::Key(index, secret) => {
                    let mut plan = self.plan.clone();
                    if let Some(account) = plan.accounts.get_mut(index) {
                        account.key.1 = secret;
                    }
                    self.reload(plan);
                }
                Repair::Copies(id) => _ = self.cloud.resume_copies(&id),
                Repair::Logs(id) => _ = self.cloud.resume_logs(&id),
                Repair::Policy(id) => _ = self.cloud.switch_policy_on(&id),
                Repair::Destination(id, region) => {
                    _ = self.cloud.switch_destination_on(&id, region);
                }
                Repair::Quirk(id, quirk) => _ = self.cloud.end_quirk(&id, quirk),
                Repair::Writes(id) => _ = self.cloud.set_idle(&id, None),
                Repair::Right(account, operation) => self.cloud.allow(&account, &operation),
                Repair::Limit(account) => self.cloud.set_rate_limit(&account, Some(100_000)),
                Repair::Clock(by) => self.clock.step(by),
                Repair::Storm => self.witness.weather().one_in = 40,
            }
        }
    }

    fn reload(&mut self, plan: Plan) {
        self.model.lost += self.witness.on_their_way() as u64;
        let config = Config::parse(&plan.yaml(), []).unwrap();
        self.exporter.poller.apply(&config);
        self.exporter
            .site
            .set_settings(settings(&config, &self.clock));
        self.model.reload(plan.clone(), self.clock.now());
        self.oracle.begin_anew("reload");
        self.plan = plan;
        self.counters.clear();
        self.tell("reload");
    }

    /// Something happens to the clouds, to the exporter or between them.
    async fn happen(&mut self) {
        self.cloud.clock().set(self.witness.true_time());
        let chosen = self.draw(self.instances.len());
        let (vendor, id) = self.instances[chosen].clone();
        match self.draw(30) {
            event @ 0..=11 => self.happen_to_instance(event, id, chosen),
            event @ 12..=17 => self.happen_on_the_way(event, vendor),
            18 | 19 => self.reconfigure(),
            20 => self.restart().await,
            21 => self.break_configuration("accounts: [{name: 7}]"),
            22..=25 => self.lie(),
            26 | 27 => self.make_odd(id),
            _ => self.switch_about(id),
        }
    }

    fn happen_to_instance(&mut self, event: usize, id: String, chosen: usize) {
        let true_time = self.witness.true_time();
        match event {
            0 | 1 => {
                self.cloud.fail_backup(&id, true_time);
                self.tell("backup fails");
            }
            2 => {
                self.cloud.stop_copies(&id);
                self.later(30, 2000, Repair::Copies(id));
                self.tell("copies stop");
            }
            3 => {
                self.cloud.stop_logs(&id);
                self.later(10, 600, Repair::Logs(id));
                self.tell("log files stop");
            }
            4 => {
                let length = chrono::Duration::minutes(i64::try_from(self.draw(120)).unwrap() + 5);
                // What was listed once is not lost in this way.
                self.cloud.lose_logs(&id, true_time, true_time + length);
                self.tell("log files are lost");
            }
            5 => {
                self.cloud.switch_policy_off(&id);
                self.later(30, 1000, Repair::Policy(id));
                self.tell("policy is switched off");
            }
            6 => {
                self.cloud.set_idle(&id, Some(true_time));
                self.later(30, 600, Repair::Writes(id));
                self.tell("nothing is written");
            }
            7 | 8 => {
                let vendor = Vendor::ALL[self.draw(3)];
                if self
                    .instances
                    .iter()
                    .filter(|(of, _)| *of == vendor)
                    .count()
                    < 9
                {
                    self.make_instance(vendor);
                    self.tell("instance is made");
                }
            }
            9 if self.instances.len() > 9 => {
                self.cloud.release_instance(&id);
                self.instances.remove(chosen);
                self.tell("instance is released");
            }
            10 if self.instances.len() > 9 => {
                self.cloud.remove_instance(&id);
                self.instances.remove(chosen);
                self.tell("instance and its backups are deleted");
            }
            11 if self.draw(4) == 0 => {
                let index = self.draw(3);
                self.make_named(index);
                self.tell("instance is replaced: name, schedule, retention");
            }
            // There have to be some.
            _ => {}
        }
    }

    fn happen_on_the_way(&mut self, event: usize, vendor: Vendor) {
        match event {
            12 => {
                let index = self.draw(3);
                let (key, _) = self.plan.accounts[index].key.clone();
                let secret = format!(
                    "SimulatedSecretNumber{}",
                    self.made * 1000 + self.draw(1000)
                );
                self.cloud.set_secret(&key, &secret);
                self.later(3, 120, Repair::Key(index, secret));
                self.tell("key is rotated");
            }
            13 => {
                let index = self.draw(3);
                let account = self.plan.accounts[index].clone();
                let operations = operations(account.vendor);
                let operation = operations[self.draw(operations.len())];
                self.cloud.deny(&account.name, operation);
                self.later(10, 300, Repair::Right(account.name, operation.to_owned()));
                self.tell("right is taken away");
            }
            14 => {
                let index = self.draw(3);
                let account = self.plan.accounts[index].name.clone();
                self.cloud.set_rate_limit(&account, Some(6));
                self.later(10, 120, Repair::Limit(account));
                self.tell("limit is lowered");
            }
            15 => {
                let step =
                    chrono::Duration::seconds(i64::try_from(self.draw(2 * 7200)).unwrap() - 7200);
                self.clock.step(step);
                self.later(3, 180, Repair::Clock(-step));
                self.tell("our clock is stepped");
            }
            16 => {
                let until = Instant::now() + self.minutes(3, 240);
                let operations = operations(vendor);
                let operation =
                    (self.draw(2) == 0).then(|| operations[self.draw(operations.len())].to_owned());
                let operation = operation.filter(|_| vendor != Vendor::Huawei);
                self.witness
                    .weather()
                    .outages
                    .push((vendor, operation, until));
                self.tell("outage");
            }
            _ => {
                self.witness.weather().one_in = [2, 4, 8][self.random.random_range(0..3)];
                self.later(10, 240, Repair::Storm);
                self.tell("storm of faults");
            }
        }
    }

    /// An answer is whole, and wrong, for a while.
    fn lie(&mut self) {
        let index = self.draw(3);
        let account = self.plan.accounts[index].clone();
        let vendor = account.vendor;
        let (homes, _) = regions(vendor);
        let region = homes[self.draw(2)];
        let own: Vec<String> = {
            let own = self.instances.iter().filter(|(of, _)| *of == vendor);
            own.map(|(_, id)| id.clone()).collect()
        };
        let victim = own[self.draw(own.len())].clone();
        let (name, _) = LIES[self.draw(LIES.len())];
        let of_list = |kind| {
            Fault::new(kind)
                .operation(list_operation(vendor))
                .region(region)
        };
        // Where one call asks about many instances, all of them are concerned.
        let mut instance = Some(victim.clone());
        let fault = match name {
            "list of instances emptied" => of_list(match self.draw(4) {
                0 => FaultKind::NoRows(NoRows::NoList),
                1 => FaultKind::NoRows(NoRows::NullList),
                _ => FaultKind::FewerRows(FewerRows::None),
            }),
            "list of instances cut" => {
                of_list(FaultKind::FewerRows(FewerRows::First(self.draw(3) + 1)))
            }
            "list filtered by rights" => {
                let hidden = FewerRows::Without(vec![victim.clone()]);
                Fault::new(FaultKind::FewerRows(hidden)).operation(list_operation(vendor))
            }
            "discovery hangs" => of_list(FaultKind::Hang),
            "policy said to be off" => {
                let fault =
                    Fault::new(FaultKind::FewerRows(FewerRows::None)).operation(match vendor {
                        Vendor::Alibaba => "DescribeCrossRegionBackupDBInstance",
                        Vendor::Huawei => "ShowOffSiteBackupPolicy",
                        Vendor::Volcengine => "DescribeCrossRegionBackupPolicy",
                    });
                if vendor == Vendor::Alibaba {
                    instance = None;
                    fault.region(region)
                } else {
                    fault.instance(&victim)
                }
            }
            _ => {
                let operation = match (vendor, self.draw(2)) {
                    (Vendor::Huawei, 0) => "ListBackups",
                    (Vendor::Huawei, _) => "ListOffSiteBackups",
                    (_, 0) => "DescribeBackups",
                    (_, _) => "DescribeCrossRegionBackups",
                };
                let fault = Fault::new(FaultKind::FewerRows(FewerRows::None)).operation(operation);
                if vendor == Vendor::Volcengine {
                    instance = None;
                    fault.region(region)
                } else {
                    fault.instance(&victim)
                }
            }
        };
        if name.starts_with("list of") || name == "discovery hangs" {
            instance = None;
        }
        let is_of_list = !["answer emptied", "policy said to be off"].contains(&name);
        let times = (!is_of_list && self.draw(2) == 0).then_some(1);
        let lasts = if is_of_list {
            self.minutes(10, 700)
        } else {
            self.minutes(5, 150)
        };
        self.witness.weather().lies.push(Lie {
            name,
            fault: fault.access_key(&account.key.0),
            account: account.name,
            instance,
            until: Instant::now() + lasts,
            times,
        });
        self.tell(name);
    }

    /// What an instance's next backups, or its last ones, are worth less than they look.
    fn make_odd(&mut self, id: String) {
        let (quirk, event) = [
            (Quirk::Empty, "backups hold nothing"),
            (Quirk::OneDatabase, "backups hold one database"),
            (Quirk::FullsLost, "full backups are lost"),
            (Quirk::ConsistentLate, "consistent times are after the end"),
            (Quirk::CopiedHome, "copies stay in the source region"),
        ][self.draw(5)];
        let back = chrono::Duration::hours(i64::try_from(self.draw(2) * self.draw(60)).unwrap());
        let from = self.witness.true_time() - back;
        self.cloud.begin_quirk(&id, quirk, from);
        self.later(60, 3000, Repair::Quirk(id, quirk));
        self.tell(event);
    }

    /// A policy is switched off and soon on again, or in one half alone.
    fn switch_about(&mut self, id: String) {
        if self.draw(2) == 0 {
            self.cloud.switch_policy_off(&id);
            self.later(2, 30, Repair::Policy(id));
            self.tell("policy is toggled");
        } else {
            let region = [SECOND, "cn-shanghai"][self.draw(2)];
            self.cloud.switch_destination_off(&id, region);
            self.later(60, 3000, Repair::Destination(id, region));
            self.tell("a destination is switched off");
        }
    }

    fn reconfigure(&mut self) {
        let mut plan = self.plan.clone();
        match self.draw(6) {
            0 => plan.lookback_days = [2, 4, 7][self.draw(3)],
            1 => plan.log_lookback_hours = [1, 3, 6][self.draw(3)],
            2 => {
                let which = self.draw(4);
                plan.objectives[which] =
                    [None, Some(3), Some(13), Some(30), Some(72)][self.draw(5)];
            }
            3 => {
                let account = self.draw(3);
                let account = &mut plan.accounts[account];
                let all = plan::listings(account.vendor);
                if account.listings.len() < all.len() {
                    account.listings = all;
                } else {
                    let left_out = [
                        ListingKind::CrossRegionLog,
                        ListingKind::RestoreWindow,
                        ListingKind::Policy,
                        ListingKind::Local,
                    ][self.random.random_range(0..4)];
                    account.listings.retain(|kind| *kind != left_out);
                }
            }
            4 if plan.accounts.len() == 3 => plan.accounts.push(account("spare", Vendor::Alibaba)),
            4 => _ = plan.accounts.pop(),
            _ => {
                plan.interval_minutes = [5, 10, 15][self.draw(3)];
                plan.longest_minutes = [None, Some(20), Some(60)][self.draw(3)];
            }
        }
        let [.., retention] = plan.objectives;
        if retention > Some(24 * plan.lookback_days) {
            // Sets so old would never be listed.
            self.break_configuration(&plan.yaml());
        } else {
            self.reload(plan);
        }
    }

    /// A file that cannot be used changes nothing but what is said of reloading.
    fn break_configuration(&mut self, yaml: &str) {
        assert!(Config::parse(yaml, []).is_err());
        let mut settings = self.exporter.site.settings();
        settings.reload.successful = false;
        self.exporter.site.set_settings(settings);
        self.model.reload_failed();
        self.tell("reload of a broken file");
    }

    async fn restart(&mut self) {
        if self.draw(2) == 0 {
            self.restart_with_store().await;
            return;
        }
        let fresh = Exporter::start(&self.plan, &self.clock, &self.witness, None);
        let before = std::mem::replace(&mut self.exporter, fresh);
        before.stop().await;
        self.witness.forget();
        self.model.restart(self.clock.now());
        self.oracle.begin_anew("restart");
        self.counters.clear();
        self.tell("restart");
    }

    /// The first page says what the last one said, and by now: ages go on.
    async fn restart_with_store(&mut self) {
        let ground = self.exporter.ground.clone();
        let idle = Poller::new(ground.clone());
        let poller = std::mem::replace(&mut self.exporter.poller, idle);
        poller.stop(Duration::ZERO).await;
        self.exporter.pages.abort();
        self.observe();
        let scratch = Scratch::new("soak");
        let folder = scratch.path("");
        // There is no file yet, so that nothing is taken back into what is known already.
        let storing = Storage::open(&folder, storage_of(&ground)).unwrap();
        storing.start().stop(HOUR).await;
        let pause = Duration::from_secs(90);
        tokio::time::sleep(pause).await;
        self.clock.advance(pause);
        self.witness.forget();
        let stored = Some(&*folder);
        self.exporter = Exporter::start(&self.plan, &self.clock, &self.witness, stored);
        self.model.restart_with_store(self.clock.now());
        self.oracle.begin_anew("restart");
        self.counters.clear();
        let page = self.exporter.site.scrape(Format::Text);
        self.hold(parse(str::from_utf8(&page).unwrap()));
        self.tell("restart with what was stored");
    }
}

/// What lists the instances.
fn list_operation(vendor: Vendor) -> &'static str {
    match vendor {
        Vendor::Huawei => "ListInstances",
        Vendor::Alibaba | Vendor::Volcengine => "DescribeDBInstances",
    }
}

fn operations(vendor: Vendor) -> &'static [&'static str] {
    match vendor {
        Vendor::Alibaba => &[
            "DescribeCrossRegionBackups",
            "DescribeBackups",
            "DescribeCrossRegionLogBackupFiles",
            "DescribeCrossRegionBackupDBInstance",
            "DescribeDBInstances",
            "DescribeLocalAvailableRecoveryTime",
        ],
        Vendor::Huawei => &[
            "ListOffSiteBackups",
            "ListBackups",
            "ListInstances",
            "ListRestoreTimes",
        ],
        Vendor::Volcengine => &[
            "DescribeCrossRegionBackups",
            "DescribeBackups",
            "DescribeBackupPlan",
            "DescribeCrossRegionBackupPolicy",
            "DescribeDBInstances",
            "DescribePitrTimeWindow",
        ],
    }
}

/// Every sample of the exporter's own families.
fn parse(text: &str) -> Samples {
    let mut samples = Samples::new();
    for line in text.lines().filter(|line| line.starts_with("cloud_backup")) {
        let (name, value) = line.rsplit_once(' ').unwrap();
        let (name, labels) = name.split_once('{').unwrap_or((name, ""));
        let labels = labels.trim_end_matches('}');
        let pairs = labels.split("\",").filter(|pair| !pair.is_empty());
        let pairs: Vec<_> = pairs
            .map(|pair| {
                let (label, value) = pair.split_once("=\"").unwrap();
                (label, value.trim_end_matches('"'))
            })
            .collect();
        let before = samples.insert(series(name, &pairs), value.parse().unwrap());
        assert_eq!(before, None, "{line} comes twice");
    }
    samples
}

/// What the process keeps in memory, in KiB.
fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let number = line.and_then(|line| line.trim().trim_end_matches("kB").trim().parse().ok());
    number.unwrap_or_default()
}

fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count)
}

fn summary(
    seed: u64,
    time: Duration,
    tale: &Tale,
    injected: &BTreeMap<&'static str, u64>,
    model: (u64, u64, u64),
    problems: usize,
) -> String {
    let mut text = format!(
        "seed {seed}, {} of {} simulated days\n\n",
        tale.days.last().map_or(0, |(day, ..)| *day),
        time.as_secs() / DAY.as_secs()
    );
    let mut told = |title: &str, rows: &BTreeMap<&'static str, u64>| {
        writeln!(text, "{title}: {}", rows.values().sum::<u64>()).unwrap();
        for (name, count) in rows {
            writeln!(text, "  {count:>7}  {name}").unwrap();
        }
    };
    told("faults injected", injected);
    told("events", &tale.events);
    let (readings, failures, unseen) = model;
    writeln!(
        text,
        "listings read: {readings}; attempts that failed: {failures}, and {unseen} in the second of another"
    )
    .unwrap();
    writeln!(
        text,
        "comparisons: {} of /metrics, {} samples, {} promises shown as kept; not compared: {} samples",
        tale.comparisons, tale.samples, tale.greens, tale.held_back
    )
    .unwrap();
    writeln!(text, "mismatches: {problems}").unwrap();
    text.push_str("after day  resident KiB  descriptors  tasks  instances\n");
    for (day, resident, descriptors, tasks, instances) in &tale.days {
        writeln!(
            text,
            "{day:>9}  {resident:>12}  {descriptors:>11}  {tasks:>5}  {instances:>9}"
        )
        .unwrap();
    }
    text
}

fn number(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).map_or(otherwise, |text| text.parse().unwrap())
}

/// After so long what was simulated has to do.
fn most_real_time() -> Duration {
    Duration::from_secs(60 * number("SOAK_MINUTES", 24 * 60))
}

async fn soak(seed: u64, time: Duration) {
    let soak = Soak::begin(seed).await;
    let (tale, problems, soak) = soak.run(time).await;
    let injected = soak.witness.weather().injected.clone();
    let model = &soak.model;
    let model = (model.readings, model.failed_attempts, model.unseen_failures);
    println!(
        "{}",
        summary(seed, time, &tale, &injected, model, problems.len())
    );
    let findings = &soak.oracle.findings;
    println!("{}", findings.summary());
    assert!(problems.is_empty(), "seed {seed}:\n{}", problems.join("\n"));
    assert_eq!(
        findings.false_green, 0,
        "seed {seed}: green although broken"
    );
    soak.exporter.stop().await;
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    // Nothing is left but the servers of the simulated clouds.
    let left = Handle::current().metrics().num_alive_tasks();
    assert_eq!(left, Vendor::ALL.len(), "tasks outlive their exporter");
    if let (Some(first), Some(last)) = (tale.days.first(), tale.days.last()) {
        let (_, resident, descriptors, ..) = first;
        assert!(last.2 <= *descriptors, "descriptors: {first:?} {last:?}");
        let most = resident + resident / 4 + 16 * 1024;
        assert!(last.1 <= most, "memory: {first:?} {last:?}");
    }
}

/// What the exporter says and asks in so long a time.
#[cfg(feature = "demo")]
pub(crate) async fn recorded(seed: u64, time: Duration) -> Vec<(&'static str, String)> {
    let soak = Soak::begin(seed).await;
    soak.witness.journal.begin();
    let (_, problems, soak) = soak.run(time).await;
    assert!(problems.is_empty(), "seed {seed}:\n{}", problems.join("\n"));
    let requests = soak.witness.journal.take();
    let mut outputs = golden::pages(&soak.exporter.site).await;
    soak.exporter.stop().await;
    outputs.push(("requests.txt", requests));
    outputs
}

#[tokio::test(start_paused = true)]
async fn hours_of_hostile_weather_are_told_as_a_plain_model_tells_them() {
    // The same hours in every run; those of a month have jitter.
    crate::poll::fix_jitter_of_this_thread();
    soak(20_261_122, HOUR * 8).await;
}

#[tokio::test(start_paused = true)]
#[ignore = "a simulated month takes minutes; tests/soak/run does it"]
async fn a_month_of_hostile_weather_is_told_as_a_plain_model_tells_it() {
    let days: u32 = number("SOAK_DAYS", 30).try_into().unwrap();
    soak(number("SOAK_SEED", 1), DAY * days).await;
}
