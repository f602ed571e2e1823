//! Stands between the exporter and the simulated clouds: spoils answers, and writes down every exchange as it was seen
//! from outside.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use serde_json::Value;
use sim::{Cloud, Fault, FaultKind, NoRows, ThrottleHeader, Undelivered, Vendor};
use tokio::time::Instant;

use super::reading;
#[cfg(feature = "demo")]
use crate::app::golden;
use crate::clock::Clock;
use crate::provider::error::Reason;
use crate::provider::http::{Answer, Arrival, NoAnswer, Outgoing};

/// How long the exporter waits for an answer, as the soak configures it.
pub(super) const TIMEOUT: Duration = Duration::from_secs(30);

/// One request and what came back.
#[derive(Debug, Clone)]
pub(super) struct Exchange {
    /// When its answer, or the end of waiting for one, reaches the exporter.
    pub(super) arrives: Instant,
    /// The account by the key that signed the request; empty where nobody knows that key.
    pub(super) account: String,
    pub(super) operation: String,
    pub(super) region: String,
    /// The instances that the request names; none where it asks about all of a region.
    pub(super) instances: Vec<String>,
    /// What else tells this question from others of its operation.
    pub(super) variety: String,
    /// From when on it asks for what there is, and what the exporter's clock showed then.
    pub(super) asked: Option<(DateTime<Utc>, DateTime<Utc>)>,
    /// Whether this is the first page of an answer.
    pub(super) is_first_page: bool,
    pub(super) fault: Option<&'static str>,
    pub(super) verdict: Verdict,
}

/// What an outsider says of an answer.
#[derive(Debug, Clone)]
pub(super) enum Verdict {
    /// It is what the vendor answers to this question. It may still be odd, where a fault has touched it.
    Good(Value),
    /// The vendor refused, for its own reasons.
    Refused(String),
    /// Nothing that can be used.
    Bad,
}

/// What goes wrong on the way, and how often.
#[derive(Debug)]
pub(super) struct Weather {
    random: StdRng,
    /// One request in so many is spoiled.
    pub(super) one_in: u32,
    /// What is answered well and wrongly.
    pub(super) lies: Vec<Lie>,
    /// Until when nothing of a vendor, or of one of its operations, gets through.
    pub(super) outages: Vec<(Vendor, Option<String>, Instant)>,
    pub(super) injected: BTreeMap<&'static str, u64>,
}

/// Answers that look like good ones.
#[derive(Debug, Clone)]
pub(super) struct Lie {
    pub(super) name: &'static str,
    /// Which questions are answered so, and how.
    pub(super) fault: Fault,
    pub(super) account: String,
    /// Whose promises it concerns; of all of the account without it.
    pub(super) instance: Option<String>,
    pub(super) until: Instant,
    /// It is told only so many times.
    pub(super) times: Option<u32>,
}

#[derive(Debug)]
pub(super) struct Witness {
    cloud: Arc<Cloud>,
    start: Instant,
    begun: DateTime<Utc>,
    /// The exporter's.
    clock: Clock,
    weather: Mutex<Weather>,
    seen: Mutex<Vec<Exchange>>,
    accounts: Mutex<BTreeMap<String, String>>,
    #[cfg(feature = "demo")]
    pub(super) journal: golden::Journal,
}

/// The faults; with the reasons that the exporter may give for an attempt that ended with one.
const FAULTS: [(&str, &[Reason]); 24] = [
    ("server error in JSON", &[Reason::Server]),
    ("server error in HTML", &[Reason::Server]),
    ("server error in XML", &[Reason::Server]),
    ("throttled", &[Reason::Throttled]),
    ("throttled for a minute", &[Reason::Throttled]),
    ("forbidden", &[Reason::Permission, Reason::Credentials]),
    ("expired token", &[Reason::Credentials]),
    ("half of the answer", &[Reason::Network]),
    // The status of a refusal is whole all the same.
    (
        "half of the JSON",
        &[
            Reason::Malformed,
            Reason::NotFound,
            Reason::Permission,
            Reason::Credentials,
            Reason::BadRequest,
            Reason::Throttled,
        ],
    ),
    ("late answer", &[]),
    ("too late answer", &[Reason::Timeout]),
    ("no answer", &[Reason::Timeout]),
    ("connection reset", &[Reason::Network]),
    ("huge answer", &[Reason::Malformed]),
    ("captive portal", &[Reason::Malformed]),
    (
        "empty object",
        &[Reason::Malformed, Reason::Server, Reason::BadRequest],
    ),
    (
        "null",
        &[Reason::Malformed, Reason::Server, Reason::BadRequest],
    ),
    (
        "redirect",
        &[
            Reason::Malformed,
            Reason::Server,
            Reason::BadRequest,
            Reason::Network,
        ],
    ),
    (
        "other types",
        &[Reason::Malformed, Reason::Server, Reason::BadRequest],
    ),
    ("wrong total", &[]),
    ("total as text", &[]),
    ("page that repeats", &[]),
    ("row that repeats", &[]),
    ("no rows", &[]),
];

/// The lies, in the same way: whoever believes them reads well.
pub(super) const LIES: [(&str, &[Reason]); 6] = [
    ("list of instances emptied", &[]),
    ("list of instances cut", &[]),
    ("list filtered by rights", &[]),
    ("answer emptied", &[]),
    ("policy said to be off", &[]),
    ("discovery hangs", &[Reason::Timeout]),
];

/// The reasons that fit a fault; none where an attempt may well succeed.
pub(super) fn reasons(fault: &str) -> &'static [Reason] {
    let mut all = FAULTS.iter().chain(&LIES);
    let named = all.find(|(name, _)| *name == fault);
    named.map_or(&[], |(_, reasons)| reasons)
}

impl Witness {
    pub(super) fn new(cloud: Arc<Cloud>, clock: Clock, seed: u64) -> Arc<Self> {
        Arc::new(Self {
            begun: cloud.clock().now(),
            cloud,
            clock,
            start: Instant::now(),
            weather: Mutex::new(Weather {
                random: StdRng::seed_from_u64(seed),
                one_in: 40,
                lies: Vec::new(),
                outages: Vec::new(),
                injected: BTreeMap::new(),
            }),
            seen: Mutex::default(),
            accounts: Mutex::default(),
            #[cfg(feature = "demo")]
            journal: golden::Journal::default(),
        })
    }

    /// What the clouds' clocks show.
    pub(super) fn true_time(&self) -> DateTime<Utc> {
        self.begun + self.start.elapsed()
    }

    pub(super) fn weather(&self) -> MutexGuard<'_, Weather> {
        self.weather.lock().unwrap()
    }

    /// This key is of this account.
    pub(super) fn know(&self, key: &str, account: &str) {
        let mut accounts = self.accounts.lock().unwrap();
        accounts.insert(key.to_owned(), account.to_owned());
    }

    /// The exchanges that have arrived by now, in the order of their arrival; those that are on their way stay.
    pub(super) fn arrived(&self) -> Vec<Exchange> {
        let now = Instant::now();
        let mut seen = self.seen.lock().unwrap();
        if seen.is_empty() {
            return Vec::new();
        }
        let (mut arrived, rest): (Vec<_>, Vec<_>) = std::mem::take(&mut *seen)
            .into_iter()
            .partition(|exchange| exchange.arrives <= now);
        *seen = rest;
        arrived.sort_by_key(|exchange| exchange.arrives);
        arrived
    }

    /// How many requests have no answer yet.
    pub(super) fn on_their_way(&self) -> usize {
        self.seen.lock().unwrap().len()
    }

    /// Whoever waited for an answer is gone.
    pub(super) fn forget(&self) {
        self.seen.lock().unwrap().clear();
    }

    /// Answers a request of the exporter's.
    pub(super) fn answer(&self, outgoing: &Outgoing) -> Arrival {
        #[cfg(feature = "demo")]
        self.journal.note(outgoing);
        let (_, address) = outgoing.url.split_once("://").unwrap();
        let (host, path) = address.split_at(address.find('/').unwrap());
        let vendor = Vendor::ALL
            .into_iter()
            .find(|vendor| host.starts_with(vendor.name()))
            .unwrap();
        let fault = self.draw_fault(vendor, outgoing);
        self.cloud.clock().set(self.true_time());
        if let Some(kind) = fault.and_then(kind_of) {
            self.cloud.inject(Fault::new(kind).times(1));
        } else if fault.is_none() {
            for lie in &self.weather().lies {
                self.cloud.inject(lie.fault.clone().times(1));
            }
        }
        let mut headers: Vec<_> = outgoing
            .headers
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        headers.push(("host", host));
        let method = outgoing.method.as_str();
        let told = self
            .cloud
            .ask(vendor, method, path, &headers, outgoing.body.as_bytes());
        let fault = fault.or_else(|| self.told_lie());
        // A request that was refused before a fault could take it would leave it to the next.
        self.cloud.clear_faults();
        let arrival = match (fault, told) {
            (Some("other types"), _) => Arrival::Answer(
                plain(
                    200,
                    r#"{"Items":7,"backups":"x","instances":{},"Result":[1],"policy_para":3,"restore_time":{}}"#,
                ),
                Duration::ZERO,
            ),
            (Some("late answer"), Ok(answer)) => {
                let seconds = self.weather().random.random_range(1..25);
                Arrival::Answer(answer_of(&answer), Duration::from_secs(seconds))
            }
            (_, told) => arrival_of(told),
        };
        self.note(outgoing, fault, &arrival);
        arrival
    }

    /// The lie that the last question was answered with.
    fn told_lie(&self) -> Option<&'static str> {
        let told = self.cloud.spent_fault()?;
        let mut weather = self.weather();
        let lie = &mut weather.lies[told];
        lie.times = lie.times.map(|times| times - 1);
        let name = lie.name;
        *weather.injected.entry(name).or_default() += 1;
        Some(name)
    }

    fn draw_fault(&self, vendor: Vendor, outgoing: &Outgoing) -> Option<&'static str> {
        let now = Instant::now();
        let mut weather = self.weather();
        weather.outages.retain(|(_, _, until)| *until > now);
        weather
            .lies
            .retain(|lie| lie.until > now && lie.times != Some(0));
        let mut outages = weather.outages.iter();
        let is_out = outages.any(|(of, operation, _)| {
            let named = |operation: &String| {
                outgoing.url.contains(operation.as_str())
                    || outgoing.headers.iter().any(|(_, value)| value == operation)
            };
            *of == vendor && operation.as_ref().is_none_or(named)
        });
        let one_in = weather.one_in;
        let fault = if is_out {
            [
                "no answer",
                "connection reset",
                "server error in HTML",
                "server error in JSON",
            ][weather.random.random_range(0..4)]
        } else if weather.random.random_range(0..one_in) == 0 {
            FAULTS[weather.random.random_range(0..FAULTS.len())].0
        } else {
            return None;
        };
        *weather.injected.entry(fault).or_default() += 1;
        Some(fault)
    }

    fn note(&self, outgoing: &Outgoing, fault: Option<&'static str>, arrival: &Arrival) {
        let record = self.cloud.requests().pop().unwrap();
        let sent = serde_json::from_str(&outgoing.body).unwrap_or(Value::Null);
        let parameter = |name: &str| record.params.get(name).cloned();
        let in_body = |name: &str| sent[name].as_str().map(str::to_owned);
        let page = parameter("PageNumber")
            .or_else(|| sent["PageNumber"].as_u64().map(|page| page.to_string()));
        let offset = parameter("offset").unwrap_or_else(|| "0".to_owned());
        let named = record.instance.clone().or_else(|| in_body("InstanceId"));
        let (wait, verdict) = match arrival {
            Arrival::Answer(answer, wait) => {
                (*wait, verdict(answer, record.verdict.code.clone(), fault))
            }
            Arrival::Never => (TIMEOUT, Verdict::Bad),
            Arrival::Lost(_) => (Duration::ZERO, Verdict::Bad),
        };
        let verdict = if wait >= TIMEOUT {
            Verdict::Bad
        } else {
            verdict
        };
        let from = ["StartTime", "begin_time"]
            .into_iter()
            .find_map(parameter)
            .or_else(|| in_body("StartTime"));
        let from = from.and_then(|from| reading::time_in(&from));
        let key = record.access_key_id.clone().unwrap_or_default();
        let exchange = Exchange {
            arrives: Instant::now() + wait.min(TIMEOUT),
            account: self
                .accounts
                .lock()
                .unwrap()
                .get(&key)
                .cloned()
                .unwrap_or_default(),
            operation: record.operation,
            region: record.region.unwrap_or_default(),
            instances: named
                .map_or_else(Vec::new, |ids| ids.split(',').map(str::to_owned).collect()),
            variety: ["backup_type", "CrossBackupId"]
                .into_iter()
                .find_map(parameter)
                .or_else(|| in_body("ServiceType"))
                .unwrap_or_default(),
            asked: from.map(|from| (from, self.clock.now())),
            is_first_page: page.is_none_or(|page| page == "1") && offset == "0",
            fault,
            verdict,
        };
        self.seen.lock().unwrap().push(exchange);
    }
}

fn verdict(answer: &Answer, code: Option<String>, fault: Option<&'static str>) -> Verdict {
    let spoils = fault.is_some_and(|fault| !reasons(fault).is_empty());
    if spoils {
        return Verdict::Bad;
    }
    if let Some(code) = code {
        return Verdict::Refused(code);
    }
    let body = serde_json::from_slice(&answer.body);
    match body {
        Ok(body) if answer.status == 200 => Verdict::Good(body),
        _ => Verdict::Bad,
    }
}

/// How the simulated clouds word a fault; nothing where it is not theirs.
fn kind_of(fault: &str) -> Option<FaultKind> {
    let error = |status, code: &str| FaultKind::Error {
        status,
        code: code.to_owned(),
        message: "by the weather".to_owned(),
    };
    Some(match fault {
        "server error in JSON" => FaultKind::ServerErrorJson,
        "server error in HTML" => FaultKind::ServerErrorHtml,
        "server error in XML" => FaultKind::ServerErrorXml,
        "throttled" => FaultKind::Throttle {
            retry_after: None,
            header: ThrottleHeader::None,
        },
        "throttled for a minute" => FaultKind::Throttle {
            retry_after: Some(Duration::from_secs(60)),
            header: ThrottleHeader::RetryAfter,
        },
        "forbidden" => error(403, "Forbidden.RAM"),
        "expired token" => FaultKind::ExpiredToken,
        "half of the answer" => FaultKind::Truncated,
        "half of the JSON" => FaultKind::TruncatedJson,
        "too late answer" => FaultKind::Slow(TIMEOUT * 2),
        "no answer" => FaultKind::Hang,
        "connection reset" => FaultKind::Reset,
        "huge answer" => FaultKind::HugeBody(1 << 30),
        "captive portal" => FaultKind::Html200,
        "empty object" => FaultKind::EmptyObject,
        "null" => FaultKind::Null,
        "redirect" => FaultKind::Redirect("http://elsewhere.test/".to_owned()),
        "wrong total" => FaultKind::WrongTotal(77),
        "total as text" => FaultKind::TotalAsString,
        "page that repeats" => FaultKind::PageLoop,
        "row that repeats" => FaultKind::RepeatedRow,
        "no rows" => FaultKind::NoRows(NoRows::NullList),
        _ => return None,
    })
}

fn plain(status: u16, body: &'static str) -> Answer {
    Answer {
        status,
        headers: HeaderMap::new(),
        body: Bytes::from_static(body.as_bytes()),
    }
}

/// How an answer of a simulated cloud reaches a client without a network.
pub(crate) fn arrival_of(told: Result<sim::Answer, Undelivered>) -> Arrival {
    match told {
        Ok(answer) => Arrival::Answer(answer_of(&answer), Duration::ZERO),
        Err(Undelivered::Late(answer, wait)) => Arrival::Answer(answer_of(&answer), wait),
        Err(Undelivered::Never) => Arrival::Never,
        Err(Undelivered::Half(_) | Undelivered::Reset) => Arrival::Lost(NoAnswer {
            reason: Reason::Network,
            detail: "the connection was lost".to_owned(),
        }),
        Err(Undelivered::Huge(..)) => Arrival::Lost(NoAnswer {
            reason: Reason::Malformed,
            detail: "the answer is too long".to_owned(),
        }),
    }
}

fn answer_of(answer: &sim::Answer) -> Answer {
    let pairs = answer.headers.iter().map(|(name, value)| {
        let name: HeaderName = name.parse().unwrap();
        (name, HeaderValue::from_str(value).unwrap())
    });
    Answer {
        status: answer.status,
        headers: pairs.collect(),
        body: Bytes::from(answer.body.to_vec()),
    }
}
