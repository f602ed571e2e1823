//! No listing goes unasked for longer than the ceiling after its last attempt: held over random histories of lists that lie,
//! instances that deny themselves, reloads and steps of our clock, by the real poller and the real provider.

use std::collections::{BTreeMap, HashSet};
use std::sync::Mutex;

use bytes::Bytes;
use proptest::prelude::*;
use reqwest::header::HeaderMap;
use sim::{Cloud, Vendor};

use super::hour::{account_of, gateway};
use super::*;
use crate::provider::http::{Answer, Arrival, Outgoing};

const INTERVAL: u64 = 3;
const CEILING: u64 = 40;
const POLICY_INTERVAL: u64 = 30;
/// What the jitter, the pace and waiting for the second add.
const SLACK: u64 = 3;

/// How a list of instances is answered.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Lists {
    Honest,
    Empty,
    WithoutTotal,
    Short,
    Failing,
}

/// How an instance answers about its own backups.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Own {
    Honest,
    Empty,
    Denied,
    Failing,
}

#[derive(Debug, Clone, Copy)]
enum Event {
    Lists(Lists),
    Own(Own),
    /// The configuration names one instance more, or one less.
    Reload(bool),
    /// Our clock is so many seconds ahead from now on. With a quarter of an hour the vendor would refuse the key.
    Ahead(i64),
}

#[derive(Debug, Clone, Copy)]
struct Weather {
    lists: Lists,
    own: Own,
}

fn history() -> impl Strategy<Value = Vec<(u64, Event)>> {
    let lists = prop_oneof![
        3 => Just(Lists::Honest),
        2 => Just(Lists::Empty),
        1 => Just(Lists::WithoutTotal),
        1 => Just(Lists::Short),
        1 => Just(Lists::Failing),
    ];
    let own = prop_oneof![
        3 => Just(Own::Honest),
        1 => Just(Own::Empty),
        2 => Just(Own::Denied),
        1 => Just(Own::Failing),
    ];
    let event = prop_oneof![
        4 => lists.prop_map(Event::Lists),
        3 => own.prop_map(Event::Own),
        1 => any::<bool>().prop_map(Event::Reload),
        1 => (-800_i64..800).prop_map(Event::Ahead),
    ];
    proptest::collection::vec((1_u64..30, event), 1..20)
}

fn answer(status: u16, body: &str) -> Arrival {
    let answer = Answer {
        status,
        headers: HeaderMap::new(),
        body: Bytes::from(body.to_owned()),
    };
    Arrival::Answer(answer, Duration::ZERO)
}

/// What the weather makes of a request; nothing where it lets the honest answer through.
fn lie(weather: Weather, operation: &str) -> Option<Arrival> {
    // No throttling: the pause that it asks for is kept.
    let failing = || Some(answer(500, r#"{"Code":"InternalError"}"#));
    match operation {
        "DescribeDBInstances" => match weather.lists {
            Lists::Honest => None,
            Lists::Empty => Some(answer(
                200,
                r#"{"Items":{"DBInstance":[]},"TotalRecordCount":0}"#,
            )),
            Lists::WithoutTotal => Some(answer(200, r#"{"Items":{}}"#)),
            Lists::Short => Some(answer(
                200,
                r#"{"Items":{"DBInstance":[{"DBInstanceId":"db-9"}]},"TotalRecordCount":1}"#,
            )),
            Lists::Failing => failing(),
        },
        "DescribeBackups" => match weather.own {
            Own::Honest => None,
            Own::Empty => Some(answer(
                200,
                r#"{"Items":{"Backup":[]},"TotalRecordCount":"0"}"#,
            )),
            Own::Denied => Some(answer(404, r#"{"Code":"InvalidDBInstanceId.NotFound"}"#)),
            Own::Failing => failing(),
        },
        _ => None,
    }
}

/// The listing and the instances that a request asks about.
fn asked(outgoing: &Outgoing) -> Option<(ListingKind, Vec<String>)> {
    let action = outgoing
        .headers
        .iter()
        .find(|(name, _)| *name == "x-acs-action");
    let kind = match &*action?.1 {
        "DescribeBackups" => ListingKind::Local,
        "DescribeCrossRegionBackups" => ListingKind::CrossRegion,
        "DescribeCrossRegionLogBackupFiles" => ListingKind::CrossRegionLog,
        "DescribeCrossRegionBackupDBInstance" => ListingKind::Policy,
        _ => return None,
    };
    let url: url::Url = outgoing.url.parse().unwrap();
    let ids = url
        .query_pairs()
        .find(|(name, _)| name == "DBInstanceId")?
        .1;
    Some((kind, ids.split(',').map(str::to_owned).collect()))
}

type Asked = BTreeMap<(String, ListingKind), Instant>;

async fn live_through(history: &[(u64, Event)]) {
    let (scenario, discovered) = account_of(Vendor::Alibaba, 3);
    let poll = format!(
        "poll: {{mode: adaptive, interval: {INTERVAL}s, max_interval: {CEILING}s, policy_interval: {POLICY_INTERVAL}s, \
         discovery_interval: 7s}}\n"
    );
    let yaml = format!("{poll}{discovered}  rate_limit: 1000/s\n");
    let named = format!("{yaml}  instances: [{{id: db-0, region: cn-hangzhou}}]\n");
    let cloud = Arc::new(Cloud::start(scenario).await.unwrap());
    let start = Instant::now();
    let clock = Clock::set_by_hand(cloud.clock().now());
    let weather = Arc::new(Mutex::new(Weather {
        lists: Lists::Honest,
        own: Own::Honest,
    }));
    let journal: Arc<Mutex<Asked>> = Arc::default();
    let honest = gateway(Vendor::Alibaba, Arc::clone(&cloud), start);
    let http = {
        let (weather, journal) = (Arc::clone(&weather), Arc::clone(&journal));
        HttpClient::in_memory(move |outgoing| {
            if let Some((kind, ids)) = asked(&outgoing) {
                let mut journal = journal.lock().unwrap();
                journal.extend(ids.into_iter().map(|id| ((id, kind), Instant::now())));
            }
            let action = outgoing
                .headers
                .iter()
                .find(|(name, _)| *name == "x-acs-action");
            let operation = action.map(|(_, action)| action.clone()).unwrap_or_default();
            let weather = *weather.lock().unwrap();
            lie(weather, &operation).unwrap_or_else(|| honest(outgoing))
        })
    };
    let ground = Ground {
        facts: Arc::default(),
        tally: Arc::default(),
        clock: clock.clone(),
        http,
        environment: Arc::default(),
        shard: Shard::WHOLE,
    };
    let facts = Arc::clone(&ground.facts);
    let mut poller = Poller::new(ground);
    poller.apply(&Config::parse(&yaml, []).unwrap());
    let mut watched_since: BTreeMap<String, Instant> = BTreeMap::new();
    let mut look = |event: &str| {
        let now = Instant::now();
        let watched: HashSet<String> = facts
            .all()
            .iter()
            .map(|known| known.target.key.instance_id.to_string())
            .collect();
        watched_since.retain(|id, _| watched.contains(id));
        let journal = journal.lock().unwrap();
        for id in watched {
            let since = *watched_since.entry(id.clone()).or_insert(now);
            for kind in [
                ListingKind::Local,
                ListingKind::CrossRegion,
                ListingKind::CrossRegionLog,
                ListingKind::Policy,
            ] {
                let last = journal.get(&(id.clone(), kind)).copied();
                let unasked = now - last.unwrap_or(since).max(since);
                assert!(
                    unasked <= Duration::from_secs(CEILING + SLACK),
                    "{kind:?} of {id} was not asked for in {unasked:?}, {event}"
                );
            }
        }
    };
    let mut ahead = 0;
    let rest = [(2 * CEILING, Event::Lists(Lists::Honest))];
    for (seconds, event) in history.iter().chain(&rest) {
        match *event {
            Event::Lists(lists) => weather.lock().unwrap().lists = lists,
            Event::Own(own) => weather.lock().unwrap().own = own,
            Event::Reload(is_named) => {
                let yaml = if is_named { &named } else { &yaml };
                poller.apply(&Config::parse(yaml, []).unwrap());
            }
            Event::Ahead(seconds) => {
                clock.step(chrono::Duration::seconds(seconds - ahead));
                ahead = seconds;
            }
        }
        for _ in 0..*seconds {
            tokio::time::sleep(Duration::from_secs(1)).await;
            clock.advance(Duration::from_secs(1));
            look(&format!("{event:?}"));
        }
    }
    poller.stop(Duration::ZERO).await;
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn no_listing_goes_unasked_for_longer_than_the_ceiling_whatever_happens(history in history()) {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_all().start_paused(true).build().unwrap();
        runtime.block_on(live_through(&history));
    }
}
