//! What each fuzz target does with its input. The targets of libFuzzer and the test that replays the corpora on a stable
//! compiler share these functions.
//!
//! Beyond "nothing panics", each function says at its end what has to hold.

#![allow(
    clippy::unwrap_used,
    reason = "whatever cannot be unwrapped here is a finding"
)]

use std::cell::Cell;
use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::{Arc, LazyLock, Mutex, Once};
use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use cloud_backup_exporter::backup::{ListingKind, Reading};
use cloud_backup_exporter::clock::Clock;
use cloud_backup_exporter::config::Config;
use cloud_backup_exporter::facts::{Facts, RegionKey, Watched};
use cloud_backup_exporter::metrics::{Format, ReloadState};
use cloud_backup_exporter::provider::error::ListError;
use cloud_backup_exporter::provider::http::{Answer, Arrival, HttpClient};
use cloud_backup_exporter::provider::{Call, Courier, Environment, Premises, Provider};
use cloud_backup_exporter::report::query::Query;
use cloud_backup_exporter::shard::Shard;
use cloud_backup_exporter::storage::hostile;
use cloud_backup_exporter::web::{Settings, Site};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;
use toolkit::{negotiate, server, web_config};

/// Between two answers in one input.
const NEXT_ANSWER: &[u8] = b"\n====\n";

/// So many answers are given in one run; a listing without end is cut off by a refusal.
const MOST_ANSWERS: usize = 12;

const ID: &str = "db-example1";

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_781_265_600, 0).unwrap()
}

fn run<T>(work: impl Future<Output = T>) -> T {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_time().start_paused(true).build().unwrap();
    runtime.block_on(work)
}

/// Answers every call with the next of these, and with the last one when there are no more.
struct Script(Mutex<(VecDeque<Answer>, usize)>);

impl Script {
    fn of(data: &[u8]) -> Self {
        let mut answers = VecDeque::new();
        let mut rest = data;
        while let Some(end) = rest
            .windows(NEXT_ANSWER.len())
            .position(|window| window == NEXT_ANSWER)
        {
            answers.push_back(answer(&rest[..end]));
            rest = &rest[end + NEXT_ANSWER.len()..];
        }
        answers.push_back(answer(rest));
        Self(Mutex::new((answers, 0)))
    }

    fn next(&self) -> Answer {
        let mut script = self.0.lock().unwrap();
        script.1 += 1;
        if script.1 > MOST_ANSWERS {
            return answer(b"HTTP 503\n");
        }
        if script.0.len() > 1 {
            return script.0.pop_front().unwrap();
        }
        script.0.front().unwrap().clone()
    }
}

impl Courier for Script {
    async fn send<T: Send>(
        &self,
        call: impl Fn() -> Call + Send + Sync,
        read: impl Fn(&Call, &Answer) -> Result<T, ListError> + Send + Sync,
    ) -> Result<T, ListError> {
        read(&call(), &self.next())
    }
}

/// An answer is a body, before which its status may stand in a line.
fn answer(data: &[u8]) -> Answer {
    let (status, body) = data
        .strip_prefix(b"HTTP ")
        .and_then(|rest| {
            let (status, body) = rest.split_at_checked(3)?;
            let status = str::from_utf8(status).ok()?.parse().ok()?;
            Some((status, body.strip_prefix(b"\n")?))
        })
        .unwrap_or((200, data));
    let mut headers = HeaderMap::new();
    headers.insert("retry-after", HeaderValue::from_static("7"));
    Answer {
        status,
        headers,
        body: Bytes::copy_from_slice(body),
    }
}

fn config_of(provider: &str) -> Config {
    let listings = if provider == "volcengine" {
        "cross_region, local, policy, restore_window"
    } else {
        "cross_region, local, cross_region_log, policy, restore_window"
    };
    // Huawei's answers begin with the policy where no region is configured.
    let yaml = format!(
        "accounts:\n- name: prod\n  provider: {provider}\n  discover: {{regions: [cn-a]}}\n  \
         instances: [{{id: {ID}, region: cn-a, listings: [{listings}]}}, {{id: db-example2, region: cn-a}}]\n"
    );
    Config::parse(&yaml, []).unwrap()
}

/// Reads whatever the first byte says from the answers after it, takes it into the facts, and shows these.
fn decode(vendor: &str, data: &[u8]) {
    let facts = Arc::new(Facts::default());
    if let Some((selector, answers)) = data.split_first() {
        read_into(&facts, vendor, *selector, answers);
        show(facts, Clock::set_by_hand(now()), data.len());
    }
}

fn read_into(facts: &Facts, vendor: &str, selector: u8, answers: &[u8]) {
    let config = config_of(vendor);
    let account = &config.accounts[0];
    let clock = Clock::set_by_hand(now());
    let http = HttpClient::in_memory(|_| Arrival::Never);
    let provider = Provider::new(&Premises {
        account,
        poll: &config.poll,
        http: &http,
        clock: &clock,
        environment: &Environment::new(),
    });
    let key = (account.provider.label(), &*account.name);
    let region = RegionKey {
        provider: key.0,
        account: Arc::clone(&account.name),
        region: "cn-a".into(),
        service: account.services[0],
    };
    facts.adopt_regions(key, std::slice::from_ref(&region));
    facts.adopt(
        key,
        now(),
        account
            .targets
            .iter()
            .map(|target| Watched::from(Arc::clone(target))),
    );
    let script = Script::of(answers);
    let lookback = config.poll.lookback;
    let kinds = ListingKind::ALL;
    let choice = usize::from(selector.wrapping_sub(b'0')) % (kinds.len() + 3);
    if let Some(kind) = kinds.get(choice) {
        let target = &account.targets[0];
        let outcome = run(provider.list(*kind, target, &script));
        check(&outcome);
        facts.record(&target.key, *kind, now(), lookback, outcome);
    } else if choice == kinds.len() {
        let outcome = run(provider.discover(region.service, &region.region, &script));
        let _shown = outcome.as_ref().map_err(ToString::to_string);
        facts.record_inventory(&region, now(), Duration::from_secs(3600), outcome);
    } else {
        let kind = match (vendor, choice) {
            ("alibaba", _) => ListingKind::Policy,
            (_, 6) => ListingKind::Local,
            _ => ListingKind::CrossRegion,
        };
        let together = run(provider.list_together(region.service, kind, &account.targets, &script));
        for (key, outcome) in together.read {
            check(&outcome);
            facts.record(&key, kind, now(), lookback, outcome);
        }
    }
}

/// What was read is in order, and what was not says nothing that it must not.
fn check(outcome: &Result<Reading, ListError>) {
    match outcome {
        Ok(Reading::Sets(listing)) => {
            for set in &listing.sets {
                let times = [set.started, set.ended, set.recovery_point]
                    .into_iter()
                    .flatten();
                for time in times {
                    assert!(time > DateTime::UNIX_EPOCH, "{set:?}");
                }
            }
        }
        Ok(Reading::Windows(windows)) => {
            assert!(
                windows
                    .windows
                    .iter()
                    .all(|window| window.start <= window.end)
            );
        }
        Ok(Reading::Policy(_)) => {}
        Err(error) => assert!(error.to_string().lines().count() <= 1, "{error}"),
    }
}

fn site(facts: Arc<Facts>, clock: Clock) -> Site {
    let settings = Settings {
        lookback: Config::parse(
            "accounts: [{name: a, provider: alibaba, instances: [{id: a, region: b}]}]",
            [],
        )
        .unwrap()
        .poll
        .lookback,
        reload: ReloadState {
            successful: true,
            last_success: now(),
        },
        shard: Shard::WHOLE,
    };
    let (reload, _) = mpsc::channel(1);
    Site::new(facts, Arc::default(), clock, settings, reload)
}

/// The metrics can be read back, line by line; the JSON is JSON; and neither is longer than what went in allows.
fn show(facts: Arc<Facts>, clock: Clock, input: usize) {
    show_at_most(facts, clock, 256 * 1024 + 600 * input, input);
}

fn show_at_most(facts: Arc<Facts>, clock: Clock, most: usize, input: usize) {
    let site = site(facts, clock);
    let text = String::from_utf8(site.scrape(Format::Text)).unwrap();
    assert!(text.len() <= most, "{} bytes of {input}", text.len());
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        assert!(is_sample(line), "{line}");
        assert!(is_in_bounds(line), "{line}");
    }
    let open = site.scrape(Format::OpenMetrics);
    assert!(open.ends_with(b"# EOF\n"));
    let json = site.report().json().unwrap();
    assert!(json.len() <= most, "{} bytes of {input}", json.len());
    let _json: serde_json::Value = serde_json::from_str(&json).unwrap();
}

/// `name{label="value",...} number`, with every quote and backslash in a value escaped.
fn is_sample(line: &str) -> bool {
    let name_end = line.find(['{', ' ']).unwrap_or(0);
    let (name, mut rest) = line.split_at(name_end);
    if name.is_empty()
        || !name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    {
        return false;
    }
    if let Some(labels) = rest.strip_prefix('{') {
        rest = labels;
        loop {
            let Some((label, value)) = rest.split_once("=\"") else {
                return false;
            };
            let label = label.trim_start_matches(',');
            if !label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
            {
                return false;
            }
            let mut escaped = false;
            let end = value.char_indices().find(|(_, character)| {
                let ends = *character == '"' && !escaped;
                escaped = *character == '\\' && !escaped;
                ends
            });
            let Some((end, _)) = end else { return false };
            rest = &value[end + 1..];
            if let Some(after) = rest.strip_prefix('}') {
                rest = after;
                break;
            }
        }
    }
    let number = rest.strip_prefix(' ').unwrap_or("?");
    matches!(number, "+Inf" | "-Inf" | "NaN") || number.parse::<f64>().is_ok()
}

/// A promise is kept or it is not, and nothing takes less than no time.
fn is_in_bounds(line: &str) -> bool {
    let (name, value) = line.rsplit_once(' ').unwrap();
    let family = name.split('{').next().unwrap();
    let value: f64 = value.parse().unwrap();
    match family {
        "cloud_backup_objective_met" => [0.0, 1.0]
            .iter()
            .any(|truth| value.total_cmp(truth).is_eq()),
        _ if family.ends_with("_timestamp_seconds") => true,
        _ => !value.is_nan() && value >= 0.0,
    }
}

/// Alibaba Cloud: listings, policies, windows, the list of instances, errors.
pub fn alibaba(data: &[u8]) {
    decode("alibaba", data);
}

/// Huawei Cloud: the same, and what has to be asked before: projects and destinations.
pub fn huawei(data: &[u8]) {
    decode("huawei", data);
}

/// Volcengine: the same as of Alibaba.
pub fn volcengine(data: &[u8]) {
    decode("volcengine", data);
}

/// The token services of all vendors; the first byte chooses one.
pub fn token_service(data: &[u8]) {
    let Some((selector, answers)) = data.split_first() else {
        return;
    };
    let token = ["fuzz/token", "token"]
        .into_iter()
        .map(|path| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(path))
        .find(|path| path.is_file())
        .unwrap();
    let token = token.to_str().unwrap();
    let (vendor, variables): (_, &[(&str, &str)]) = match selector % 3 {
        0 => (
            "alibaba",
            &[
                ("ALIBABA_CLOUD_ROLE_ARN", "acs:ram::1:role/reader"),
                (
                    "ALIBABA_CLOUD_OIDC_PROVIDER_ARN",
                    "acs:ram::1:oidc-provider/cluster",
                ),
                ("ALIBABA_CLOUD_OIDC_TOKEN_FILE", token),
            ],
        ),
        1 => (
            "huawei",
            &[
                (
                    "HUAWEICLOUD_OIDC_PROVIDER_URN",
                    "iam::1:oidcProvider:cluster",
                ),
                ("HUAWEICLOUD_OIDC_AGENCY_URN", "iam::1:agency:reader"),
                ("HUAWEICLOUD_OIDC_ID_TOKEN", "a-token"),
            ],
        ),
        _ => (
            "volcengine",
            &[
                ("VOLCENGINE_OIDC_ROLE_TRN", "trn:iam::1:role/reader"),
                ("VOLCENGINE_OIDC_TOKEN_FILE", token),
            ],
        ),
    };
    let environment: Environment = variables
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    let config = config_of(vendor);
    let script = Script::of(answers);
    let asked = Arc::new(Mutex::new(0_usize));
    let counted = Arc::clone(&asked);
    let http = HttpClient::in_memory(move |_| {
        *counted.lock().unwrap() += 1;
        Arrival::Answer(script.next(), Duration::ZERO)
    });
    let clock = Clock::set_by_hand(now());
    let provider = Provider::new(&Premises {
        account: &config.accounts[0],
        poll: &config.poll,
        http: &http,
        clock: &clock,
        environment: &environment,
    });
    let current = run(async { provider.credentials().current().await });
    assert_ne!(*asked.lock().unwrap(), 0, "{current:?}");
    if let Err(problem) = current {
        // A body may hold keys.
        assert!(
            problem.len() < 2000 && !problem.contains("NOT-A-KEY"),
            "{problem}"
        );
    } else if let Some(expiry) = provider.credentials().expiry() {
        assert!(expiry > now(), "keys that have expired are of no use");
    }
}

/// The configuration. What is read can be read again; what is not is told with a place.
pub fn config(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    match Config::parse(&text, []) {
        Ok(config) => {
            assert!(!config.accounts.is_empty());
            let again = Config::parse(&text, []).unwrap();
            assert_eq!(config.accounts, again.accounts);
        }
        Err(problems) => {
            assert!(!problems.0.is_empty());
            let told = problems.to_string();
            assert!(
                told.len() <= 64 * 1024 + 300 * data.len(),
                "{} bytes",
                told.len()
            );
        }
    }
}

/// The configuration of the web server. It is a file, as the files that it names are looked for beside it.
pub fn web_config(data: &[u8]) {
    let path = std::env::temp_dir().join(format!("fuzz-web-config-{}.yml", std::process::id()));
    std::fs::write(&path, data).unwrap();
    let (config, _) = web_config::load(&path);
    if let Err(problems) = config {
        assert!(!problems.0.is_empty());
        let told = problems.to_string();
        assert!(
            told.len() <= 64 * 1024 + 300 * data.len(),
            "{} bytes",
            told.len()
        );
    }
}

/// A query of the status page and of the JSON. What is understood can be said again, and means the same.
pub fn query(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let query = Query::parse(&text);
    let link = query.link();
    let again = Query::parse(link.trim_start_matches('?'));
    assert_eq!(link, again.link(), "{text}");
    assert!(!link.contains(['"', '<', '>', ' ']), "{link}");
}

/// The head of a request, one header a line after the target: what is negotiated, and the page that is answered.
pub fn request(data: &[u8]) {
    let mut lines = data.split(|byte| *byte == b'\n');
    let target = String::from_utf8_lossy(lines.next().unwrap_or_default()).into_owned();
    let Ok(mut request) = hyper::Request::builder().uri(&target).body(()) else {
        return;
    };
    for line in lines {
        let mut halves = line.splitn(2, |byte| *byte == b':');
        let (Some(name), Some(value)) = (halves.next(), halves.next()) else {
            continue;
        };
        if let (Ok(name), Ok(value)) =
            (HeaderName::from_bytes(name), HeaderValue::from_bytes(value))
        {
            request.headers_mut().append(name, value);
        }
    }
    let format = negotiate::format(request.headers());
    let is_compressed = negotiate::accepts_gzip(request.headers());
    let site = Arc::new(site(Arc::default(), Clock::set_by_hand(now())));
    let path = request.uri().path().to_owned();
    let response = run(answered(site, request));
    let headers = response.headers();
    assert!(headers.contains_key("content-type"));
    assert_eq!(headers["cache-control"], "no-store");
    if path == "/metrics" && response.status() == 200 {
        assert_eq!(headers["content-type"], format.content_type());
        assert_eq!(headers.contains_key("content-encoding"), is_compressed);
    }
    assert!(response.body().len() <= 256 * 1024 + 64 * data.len() as u64);
}

/// Answers one request, while the pages are kept up to date.
async fn answered(site: Arc<Site>, request: hyper::Request<()>) -> hyper::Response<server::Body> {
    let pages = Arc::clone(&site);
    tokio::select! {
        response = site.answer(request) => response,
        () = pages.keep_metrics_up_to_date() => unreachable!("it goes on for ever"),
    }
}

/// All bytes that a client sends over one connection; the first chooses the protocol. The connection ends.
pub fn connection(data: &[u8]) {
    let Some((first, bytes)) = data.split_first() else {
        return;
    };
    let is_http2 = *first == b'2';
    let bytes = bytes.to_vec();
    let site = Arc::new(site(Arc::default(), Clock::set_by_hand(now())));
    let sent = run(async move {
        let (mut client, stream) = tokio::io::duplex(64 * 1024);
        let handler = move |request| {
            let site = Arc::clone(&site);
            answered(site, request)
        };
        let serving = server::serve_in_memory(stream, is_http2, handler);
        let talking = async move {
            // Whoever is cut off cannot write on.
            let _cut = client.write_all(&bytes).await;
            let _cut = client.shutdown().await;
            let mut answers = Vec::new();
            let _cut = client.read_to_end(&mut answers).await;
            answers
        };
        let both = async { tokio::join!(serving, talking).1 };
        // Every deadline of a connection lies well before this.
        tokio::time::timeout(Duration::from_secs(3600), both)
            .await
            .unwrap()
    });
    if !is_http2 && !sent.is_empty() {
        assert!(
            sent.starts_with(b"HTTP/1."),
            "{:?}",
            String::from_utf8_lossy(&sent)
        );
    }
}

/// Accounts of all vendors, to which stored facts may belong.
fn adopt_all(facts: &Facts) {
    for vendor in ["alibaba", "huawei", "volcengine"] {
        let config = config_of(vendor);
        let account = &config.accounts[0];
        let key = (account.provider.label(), &*account.name);
        let region = RegionKey {
            provider: key.0,
            account: Arc::clone(&account.name),
            region: "cn-a".into(),
            service: account.services[0],
        };
        facts.adopt_regions(key, std::slice::from_ref(&region));
        let targets = account.targets.iter();
        facts.adopt(
            key,
            now(),
            targets.map(|target| Watched::from(Arc::clone(target))),
        );
    }
}

thread_local! {
    /// Whether a panic of this thread would be caught by the exporter as well.
    static IS_CONTAINED: Cell<bool> = const { Cell::new(false) };
}

/// The fuzzer ends at any panic, also at one that is caught.
fn contained<T>(work: impl FnOnce() -> T) -> T {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if !IS_CONTAINED.get() {
                before(panic);
            }
        }));
    });
    IS_CONTAINED.set(true);
    let done = work();
    IS_CONTAINED.set(false);
    done
}

/// A file of an exporter that knew nothing yet of what it watches.
static EMPTY_FILE: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let path = std::env::temp_dir().join(format!("fuzz-stored-{}", std::process::id()));
    let _none_yet = std::fs::remove_file(&path);
    let facts = Facts::with_ledgers();
    adopt_all(&facts);
    let bytes = hostile::bytes(&facts, &path).unwrap();
    std::fs::remove_file(&path).unwrap();
    bytes
});

/// A table, two bytes of a key, two of a length, and a record; and so on.
fn rows_of(mut rest: &[u8]) -> Vec<hostile::Row> {
    let mut rows = Vec::new();
    while let Some(([table, low, high, less, more], after)) = rest.split_first_chunk() {
        let length = usize::from(u16::from_le_bytes([*less, *more])).min(after.len());
        let (record, next) = after.split_at(length);
        let key = u64::from(u16::from_le_bytes([*low, *high]));
        rows.push((table % 5, key, record.to_vec()));
        rest = next;
    }
    rows
}

/// What was stored. After an `r` the rows of a file. After a `b` the changed bytes of a good file: three of a place, and what stands there. After anything else a whole file.
pub fn stored(data: &[u8]) {
    let Some((selector, mut rest)) = data.split_first() else {
        return;
    };
    let facts = Facts::with_ledgers();
    let taken = match selector {
        b'r' => {
            let rows = rows_of(rest);
            hostile::take_back_rows(&rows, &facts)
        }
        b'b' => {
            let mut file = EMPTY_FILE.clone();
            while let Some(([low, middle, high, byte], after)) = rest.split_first_chunk() {
                let place = u32::from_le_bytes([*low, *middle, *high, 0]) as usize % file.len();
                file[place] = *byte;
                rest = after;
            }
            contained(|| hostile::take_back_bytes(&file, &facts))
        }
        _ => contained(|| hostile::take_back_bytes(rest, &facts)),
    };
    if taken.is_none() {
        assert!(facts.all().is_empty(), "what cannot be read is left alone");
    }
    adopt_all(&facts);
    // Each word of a record may be pointed to from everywhere in it.
    let most = 256 * 1024 + 600 * data.len() + 2 * data.len() * data.len();
    show_at_most(Arc::new(facts), Clock::set_by_hand(now()), most, data.len());
}

#[cfg(test)]
mod tests {
    use super::*;
    use cloud_backup_exporter::backup::{
        BackupSet, BackupType, Listing, Policy, PolicySwitch, RestoreWindow, RestoreWindows, Scope,
        Status,
    };

    /// A target with its name.
    type Target = (&'static str, fn(&[u8]));

    const TARGETS: [Target; 10] = [
        ("alibaba", alibaba),
        ("huawei", huawei),
        ("volcengine", volcengine),
        ("token_service", token_service),
        ("config", config),
        ("web_config", web_config),
        ("query", query),
        ("request", request),
        ("connection", connection),
        ("stored", stored),
    ];

    /// So often each input of a corpus is changed.
    const CHANGES: u64 = 12;

    /// A number that depends on nothing but its argument: the mixer of `SplitMix64`.
    fn mixed(seed: u64) -> u64 {
        let mut hash = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        hash ^ (hash >> 31)
    }

    /// The input with a few bytes overwritten, left out or repeated.
    fn changed(input: &[u8], seed: u64) -> Vec<u8> {
        let mut bytes = input.to_vec();
        for step in 0..=mixed(seed) % 4 {
            let drawn = mixed(seed * 31 + step);
            let length = bytes.len().max(1) as u64;
            let at = usize::try_from(drawn % length).unwrap();
            let until = bytes
                .len()
                .min(at + usize::try_from(mixed(drawn) % 24).unwrap());
            match drawn >> 61 {
                0 => bytes.truncate(at),
                1 => drop(bytes.drain(at..until)),
                2 => {
                    let again = bytes[at..until].to_vec();
                    bytes.splice(at..at, again);
                }
                3 => bytes.splice(at..until, *b"null").for_each(drop),
                4 => bytes
                    .splice(at..until, *b"-99999999999999999999")
                    .for_each(drop),
                _ => {
                    if let Some(byte) = bytes.get_mut(at) {
                        *byte = drawn.to_le_bytes()[5];
                    }
                }
            }
        }
        bytes
    }

    fn corpus(name: &str) -> PathBuf {
        let corpora = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
        corpora.join(name)
    }

    /// All that is read from the corpus of a vendor, as an input of [`stored`].
    fn as_stored(vendor: &str) -> Vec<u8> {
        let facts = Facts::with_ledgers();
        let mut inputs: Vec<_> = std::fs::read_dir(corpus(vendor))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        inputs.sort();
        for input in inputs {
            let input = std::fs::read(input).unwrap();
            if let Some((selector, answers)) = input.split_first() {
                read_into(&facts, vendor, *selector, answers);
            }
        }
        as_rows(&facts)
    }

    fn as_rows(facts: &Facts) -> Vec<u8> {
        let mut input = b"r".to_vec();
        for (table, key, record) in hostile::rows(facts).unwrap() {
            input.push(table);
            input.extend(u16::try_from(key).unwrap().to_le_bytes());
            input.extend(u16::try_from(record.len()).unwrap().to_le_bytes());
            input.extend(record);
        }
        input
    }

    /// The earliest and the latest times that are taken for times, and spans without end.
    fn extremes() -> Vec<u8> {
        let facts = Facts::with_ledgers();
        adopt_all(&facts);
        let config = config_of("alibaba");
        let key = &config.accounts[0].targets[0].key;
        let latest = DateTime::from_timestamp(253_402_300_799, 0).unwrap();
        let earliest = DateTime::UNIX_EPOCH;
        let edges = [earliest, now(), latest];
        let types = BackupType::ALL;
        for (scope, kind) in [
            (Scope::Local, ListingKind::Local),
            (Scope::CrossRegion, ListingKind::CrossRegion),
            (Scope::CrossRegion, ListingKind::CrossRegionLog),
        ] {
            let sets = edges.into_iter().flat_map(|first| {
                edges.into_iter().flat_map(move |last| {
                    types.map(move |backup_type| BackupSet {
                        scope,
                        backup_region: "cn-b".into(),
                        backup_type,
                        status: Status::Completed,
                        started: Some(first),
                        ended: Some(last),
                        size_bytes: Some(u64::MAX),
                        recovery_point: Some(last),
                        expires: Some(latest),
                        available: true,
                        is_copied: true,
                        restore_regions: Arc::from(["cn-c".to_owned()]),
                        covers_until: Some(last),
                    })
                })
            });
            let listing = Listing {
                sets: sets.collect(),
                complete: true,
                ..Listing::default()
            };
            let lookback = config.poll.lookback;
            facts.record(key, kind, now(), lookback, Ok(listing.into()));
        }
        let lookback = config.poll.lookback;
        let policy = Policy {
            protected: Some(true),
            since: Some(earliest),
            switches: vec![PolicySwitch {
                scope: Scope::CrossRegion,
                backup_region: "cn-b".to_owned(),
                backup_type: BackupType::Full,
                enabled: true,
                retention: Some(Duration::MAX),
            }],
            complete: true,
            ..Policy::default()
        };
        let reading = Ok(policy.into());
        facts.record(key, ListingKind::Policy, now(), lookback, reading);
        let windows = RestoreWindows {
            windows: vec![RestoreWindow {
                scope: Scope::Local,
                backup_region: "cn-a".to_owned(),
                start: earliest,
                end: latest,
            }],
            ..RestoreWindows::default()
        };
        let reading = Ok(windows.into());
        facts.record(key, ListingKind::RestoreWindow, now(), lookback, reading);
        as_rows(&facts)
    }

    #[test]
    fn no_time_and_no_span_that_was_stored_is_too_much() {
        let input = extremes();
        if std::env::var_os("UPDATE_CORPUS").is_some() {
            std::fs::write(corpus("stored").join("extremes"), &input).unwrap();
        }
        let taken = hostile::take_back_rows(&rows_of(&input[1..]), &Facts::with_ledgers());
        assert!(taken.is_some());
        stored(&input);
    }

    /// With `UPDATE_CORPUS=1` they are written anew; those that are there stay readable otherwise.
    #[test]
    fn what_was_stored_of_each_vendor_is_taken_back() {
        for vendor in ["alibaba", "huawei", "volcengine"] {
            let path = corpus("stored").join(vendor);
            if std::env::var_os("UPDATE_CORPUS").is_some() {
                std::fs::write(&path, as_stored(vendor)).unwrap();
            }
            let inputs = [as_stored(vendor), std::fs::read(&path).unwrap()];
            for input in inputs {
                let rows = rows_of(&input[1..]);
                let of_instances = rows.iter().filter(|(table, ..)| matches!(table, 0 | 3));
                let taken = hostile::take_back_rows(&rows, &Facts::with_ledgers());
                assert_eq!(taken, Some(of_instances.count()), "{vendor}");
                assert!(rows.len() > 6, "{vendor}: {} rows", rows.len());
            }
        }
    }

    #[test]
    fn what_the_fuzzers_began_with_and_found_is_taken_in_as_it_should_be() {
        let corpora = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
        let mut names: Vec<_> = std::fs::read_dir(&corpora)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        let mut targets: Vec<_> = TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
        targets.sort();
        assert_eq!(names, targets, "each target has a corpus");
        let mut inputs = 0_u64;
        for (name, target) in TARGETS {
            for entry in std::fs::read_dir(corpora.join(name)).unwrap() {
                let input = std::fs::read(entry.unwrap().path()).unwrap();
                target(&input);
                inputs += 1;
                for change in 0..CHANGES {
                    target(&changed(&input, inputs * CHANGES + change));
                }
            }
        }
        assert!(inputs > 80, "{inputs}");
    }
}
