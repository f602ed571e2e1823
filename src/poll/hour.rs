//! An hour of polling in simulated time: the real poller and the real provider, with a simulated gateway behind a client
//! without a network.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use sim::{Cloud, Scenario, Vendor};

use super::*;
use crate::provider::http::{Answer, Arrival, Outgoing};

const HOUR: Duration = Duration::from_secs(3600);
const ACCOUNT: &str = "test";
const KEY: (&str, &str) = (
    "HUAWEISIMULATEDTEST1",
    "SimulatedHuaweiTestSecret000000000000001",
);

/// An account with more instances than its limit has room for.
fn yaml(rate_limit: &str) -> String {
    let [home, away] = ["cn-north-4", "cn-east-3"].map(|region| {
        let id = sim::huawei::project_id(ACCOUNT, region);
        format!("{region}: \"{id}\"")
    });
    let (id, secret) = KEY;
    let mut yaml = format!(
        "poll: {{mode: fixed}}\naccounts:\n- name: {ACCOUNT}\n  provider: huawei\n  endpoint: http://huawei.simulated.test\n  {rate_limit}\n  \
         projects: {{{home}, {away}}}\n  credentials: {{access_key_id: {id}, access_key_secret: {secret}}}\n  instances:\n"
    );
    for number in 0..300 {
        writeln!(
            yaml,
            "  - {{id: i{number}in01, region: cn-north-4, backup_regions: [cn-east-3]}}"
        )
        .unwrap();
    }
    yaml
}

/// The clouds of a scenario at an hour that is the same in every run.
async fn start(scenario: Scenario) -> Arc<Cloud> {
    let cloud = Cloud::start(scenario).await.unwrap();
    cloud.clock().set("2026-06-15T12:00:00Z".parse().unwrap());
    Arc::new(cloud)
}

/// The gateway of a vendor, at the time that has been simulated so far.
pub(super) fn gateway(
    vendor: Vendor,
    cloud: Arc<Cloud>,
    start: Instant,
) -> impl Fn(Outgoing) -> Arrival + Send + Sync + 'static {
    let begun = cloud.clock().now();
    move |outgoing: Outgoing| {
        cloud.clock().set(begun + start.elapsed());
        let (_, address) = outgoing.url.split_once("://").unwrap();
        let (host, path) = address.split_at(address.find('/').unwrap());
        let mut headers: Vec<_> = outgoing
            .headers
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        headers.push(("host", host));
        let method = outgoing.method.as_str();
        let answer = cloud
            .ask(vendor, method, path, &headers, outgoing.body.as_bytes())
            .unwrap();
        let pairs = answer.headers.iter().map(|(name, value)| {
            let name: HeaderName = name.parse().unwrap();
            (name, HeaderValue::from_str(value).unwrap())
        });
        let answer = Answer {
            status: answer.status,
            headers: pairs.collect::<HeaderMap>(),
            body: Bytes::from(answer.body.to_vec()),
        };
        Arrival::Answer(answer, Duration::ZERO)
    }
}

/// Polls for so long.
async fn poll(vendor: Vendor, cloud: &Arc<Cloud>, yaml: &str, time: Duration) {
    poll_watched(vendor, cloud, yaml, time, |_, _| {}).await;
}

/// Polls for so long, with a look at what is known in each second.
async fn poll_watched(
    vendor: Vendor,
    cloud: &Arc<Cloud>,
    yaml: &str,
    time: Duration,
    mut look: impl FnMut(&Facts, DateTime<Utc>),
) {
    let start = Instant::now();
    let clock = Clock::set_by_hand(cloud.clock().now());
    let ground = Ground {
        facts: Arc::default(),
        tally: Arc::default(),
        clock: clock.clone(),
        http: HttpClient::in_memory(gateway(vendor, Arc::clone(cloud), start)),
        environment: Arc::default(),
        shard: Shard::WHOLE,
    };
    let facts = Arc::clone(&ground.facts);
    let mut poller = Poller::new(ground);
    poller.apply(&Config::parse(yaml, []).unwrap());
    while start.elapsed() < time {
        tokio::time::sleep(Duration::from_secs(1)).await;
        clock.advance(Duration::from_secs(1));
        look(&facts, clock.now());
    }
    poller.stop(Duration::ZERO).await;
    assert_eq!(cloud.unexpected(), Vec::<String>::new());
}

/// Polls for an hour and counts the answers by their status.
async fn poll_for_an_hour(rate_limit: &str) -> BTreeMap<u16, usize> {
    let cloud = start(scenario()).await;
    poll(Vendor::Huawei, &cloud, &yaml(rate_limit), HOUR).await;
    let mut statuses = BTreeMap::new();
    for request in cloud.requests() {
        *statuses.entry(request.verdict.status.unwrap()).or_default() += 1;
    }
    statuses
}

fn scenario() -> Scenario {
    let mut scenario = sim::huawei::empty_scenario();
    scenario.instances = (0..300)
        .map(|number| {
            sim::Instance::new(format!("i{number}in01"), "cn-north-4")
                .account(ACCOUNT)
                .schedule(sim::Schedule::every(Duration::from_secs(24 * 3600)))
                .copied_to("cn-east-3", Duration::from_secs(600))
        })
        .collect();
    scenario
}

#[tokio::test(start_paused = true)]
async fn an_account_at_its_limit_is_never_refused_in_an_hour() {
    // 50 a minute by default; 60 is what the vendor allows.
    for (rate_limit, calls) in [("", 3000), ("rate_limit: 60/m", 3529)] {
        let statuses = poll_for_an_hour(rate_limit).await;
        let [(200, good)] = statuses
            .iter()
            .map(|(status, calls)| (*status, *calls))
            .collect::<Vec<_>>()[..]
        else {
            panic!("{rate_limit}: {statuses:?}");
        };
        assert!(
            (calls - 3..=calls + 1).contains(&good),
            "{rate_limit}: {good}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn one_call_more_than_the_limit_is_refused() {
    // The gateway does count: without this, the hour above would prove nothing.
    let statuses = poll_for_an_hour("rate_limit: 62/m").await;
    assert!(
        statuses.get(&429).is_some_and(|refused| *refused > 0),
        "{statuses:?}"
    );
}

/// Healthy instances of one vendor in two regions, and an account that finds them.
pub(super) fn account_of(vendor: Vendor, instances: usize) -> (Scenario, String) {
    let (regions, away, engine) = match vendor {
        Vendor::Alibaba => (
            ["cn-hangzhou", "cn-beijing"],
            "cn-shanghai",
            sim::Engine::MySql,
        ),
        Vendor::Huawei => (
            ["cn-north-4", "cn-south-1"],
            "cn-east-3",
            sim::Engine::MySql,
        ),
        Vendor::Volcengine => (
            ["cn-beijing", "cn-guangzhou"],
            "cn-shanghai",
            sim::Engine::Redis,
        ),
    };
    let (id, secret) = KEY;
    let account = sim::Account {
        name: ACCOUNT.to_owned(),
        vendor,
        access_key_id: id.to_owned(),
        access_key_secret: secret.to_owned(),
        ..sim::Account::default()
    };
    let instances = (0..instances).map(|number| {
        let mut instance = sim::Instance::new(format!("db-{number}"), regions[number % 2])
            .account(ACCOUNT)
            .engine(engine, "8.0")
            .schedule(sim::Schedule::every(Duration::from_secs(24 * 3600)))
            .copied_to(away, Duration::from_secs(600));
        instance.logs.copied = true;
        // What is budgeted fits on one page of each list.
        instance.retention = Duration::from_secs(3 * 24 * 3600);
        instance
    });
    let scenario = Scenario {
        accounts: vec![account],
        instances: instances.collect(),
        ..Scenario::empty()
    };
    // Where the copies are is found out while polling, unless somebody says it; a budget is made before.
    let more = if vendor == Vendor::Huawei {
        let projects = [regions[0], regions[1], away].map(|region| {
            let id = sim::huawei::project_id(ACCOUNT, region);
            format!("{region}: \"{id}\"")
        });
        format!(
            "  projects: {{{}}}\n  instances: [{{id: db-0, region: {}, backup_regions: [{away}]}}]\n",
            projects.join(", "),
            regions[0]
        )
    } else {
        String::new()
    };
    let yaml = format!(
        "accounts:\n- name: {ACCOUNT}\n  provider: {}\n  endpoint: http://api.simulated.test\n{more}  \
         credentials: {{access_key_id: {id}, access_key_secret: {secret}}}\n  \
         discover: {{regions: [{}]}}\n",
        vendor.name(),
        regions.join(", ")
    );
    (scenario, yaml)
}

/// What `check` says, held against what the vendors' gateways count.
#[tokio::test(start_paused = true)]
async fn an_hour_costs_the_calls_that_were_budgeted() {
    const INSTANCES: usize = 24;
    const HOURS: u32 = 2;
    for vendor in [Vendor::Alibaba, Vendor::Huawei, Vendor::Volcengine] {
        let (scenario, yaml) = account_of(vendor, INSTANCES);
        let yaml = format!("poll: {{mode: fixed}}\n{yaml}");
        let cloud = start(scenario).await;
        let begun = cloud.clock().now();
        poll(vendor, &cloud, &yaml, HOUR * (HOURS + 1)).await;
        // The first hour begins with everything at once.
        let counted = count(&cloud, begun + HOUR);
        let budget = budget(&yaml, INSTANCES, HOURS);
        let operations = |calls: Vec<&String>| calls.into_iter().cloned().collect::<Vec<_>>();
        assert_eq!(
            operations(counted.keys().collect()),
            operations(budget.keys().collect()),
            "{vendor:?}"
        );
        for (operation, budgeted) in &budget {
            let difference = f64::from(counted[operation]) - budgeted;
            // One may stand on either edge of the time that was counted.
            assert!(
                difference.abs() <= 2.0,
                "{vendor:?} {operation}: {} and not {budgeted}",
                counted[operation]
            );
        }
    }
}

/// The calls since then, by operation.
fn count(cloud: &Cloud, since: DateTime<Utc>) -> BTreeMap<String, u32> {
    let mut counted = BTreeMap::new();
    for request in cloud.requests() {
        if request.at >= since {
            *counted.entry(request.operation).or_default() += 1;
        }
    }
    counted
}

/// What `check` says of so many hours, once all instances are found.
fn budget(yaml: &str, instances: usize, hours: u32) -> BTreeMap<String, f64> {
    let config = Config::parse(yaml, []).unwrap();
    let account = &config.accounts[0];
    let discover = account.discover.as_ref().unwrap();
    let found = (0..instances).map(|number| {
        let key = InstanceKey {
            provider: account.provider.label(),
            account: Arc::clone(&account.name),
            source_region: Arc::clone(&discover.regions[number % 2]),
            instance_id: format!("db-{number}").into(),
            service: account.services[0],
        };
        Arc::new(discover.target(key))
    });
    let found: Vec<_> = found.collect();
    let mut budget: BTreeMap<String, f64> = BTreeMap::new();
    let spec = account.services[0].spec();
    let costs = crate::provider::budget::costs(account, spec, &found).into_iter();
    for cost in costs.chain(crate::provider::budget::discovery_costs(account, spec)) {
        let calls = cost.an_hour(&config.poll) * f64::from(hours);
        *budget.entry(cost.operation.to_owned()).or_default() += calls;
    }
    budget
}

/// How long after each set was finished it was known, by its listing.
async fn delays(
    vendor: Vendor,
    cloud: &Arc<Cloud>,
    yaml: &str,
    time: Duration,
) -> BTreeMap<ListingKind, Vec<i64>> {
    let begun = cloud.clock().now();
    let mut known = BTreeSet::new();
    let mut delays: BTreeMap<ListingKind, Vec<i64>> = BTreeMap::new();
    let mut last_attempts = BTreeMap::new();
    let look = |facts: &Facts, now: DateTime<Utc>| {
        for facts in facts.all() {
            for kind in [ListingKind::CrossRegion, ListingKind::Local] {
                let Some(listing) = facts.listings.get(&kind) else {
                    continue;
                };
                let key = (facts.target.key.clone(), kind);
                let at = listing.last_attempt.at;
                if last_attempts.insert(key.clone(), at) == Some(at) {
                    continue;
                }
                let sets = listing
                    .found
                    .sets()
                    .map_or(&[][..], |sets| &sets.listing.sets);
                for ended in sets.iter().filter_map(|set| set.ended) {
                    if known.insert((key.clone(), ended)) && ended > begun + HOUR {
                        delays
                            .entry(kind)
                            .or_default()
                            .push((now - ended).num_seconds());
                    }
                }
            }
        }
    };
    poll_watched(vendor, cloud, yaml, time, look).await;
    delays
}

/// The whole poller, and not the cadence alone: what the listings of a day cost, and how soon it sees what is new.
#[tokio::test(start_paused = true)]
async fn a_day_of_adaptive_polling_costs_little_and_misses_nothing() {
    const INSTANCES: usize = 6;
    const SOON: i64 = 600;
    for vendor in [Vendor::Alibaba, Vendor::Volcengine] {
        let (scenario, yaml) = account_of(vendor, INSTANCES);
        let cloud = start(scenario).await;
        let begun = cloud.clock().now();
        let delays = delays(vendor, &cloud, &yaml, 25 * HOUR).await;
        for kind in [ListingKind::CrossRegion, ListingKind::Local] {
            let delays = &delays[&kind];
            assert!(delays.len() >= INSTANCES, "{vendor:?} {kind:?}: {delays:?}");
            let late = delays.iter().filter(|delay| **delay > SOON).count();
            assert!(late <= delays.len() / 6, "{vendor:?} {kind:?}: {delays:?}");
        }
        let (counted, budget) = (count(&cloud, begun + HOUR), budget(&yaml, INSTANCES, 24));
        for (operation, budgeted) in &budget {
            let share = f64::from(counted[operation]) / budgeted;
            assert!(share <= 1.01, "{vendor:?} {operation}: {share}");
        }
        let operation = match vendor {
            Vendor::Volcengine => "DescribeCrossRegionBackups",
            _ => "DescribeBackups",
        };
        let share = f64::from(counted[operation]) / budget[operation];
        // Of Volcengine three instances share a call, and each has a time of its own.
        assert!(share < 0.2, "{vendor:?} {operation}: {share}");
    }
}

/// Copies take a little longer than the ceiling: the listing of an original that nobody could foresee is read before its
/// copy is there, and tells when that will be.
#[tokio::test(start_paused = true)]
async fn a_backup_by_hand_tells_when_its_copy_comes() {
    const INSTANCES: usize = 12;
    const COPYING: Duration = Duration::from_secs(62 * 60);
    let (mut scenario, yaml) = account_of(Vendor::Alibaba, INSTANCES);
    let instances = std::mem::take(&mut scenario.instances);
    let cloud = start(scenario).await;
    let begun = cloud.clock().now();
    // The daily ones are far from the hours that are watched.
    let time_of_day = begun.timestamp().rem_euclid(24 * 3600) + 12 * 3600;
    let offset = Duration::from_secs((time_of_day % (24 * 3600)).unsigned_abs());
    for mut instance in instances {
        instance.schedule.as_mut().unwrap().offset = offset;
        instance.destinations[0].lag = COPYING;
        let region = instance.destinations[0].region.clone();
        let id = instance.id.clone();
        cloud.add_instance(instance);
        let started = begun + 2 * HOUR;
        let ended = started + HOUR / 6;
        let mut original = sim::LocalSet::completed(started, ended);
        original.listed_from = Some(ended);
        let copied = ended + COPYING;
        let mut copy = sim::CrossRegionSet::completed(region, ended, copied);
        copy.listed_from = Some(copied);
        assert!(cloud.add_local_set(&id, original) && cloud.add_cross_region_set(&id, copy));
    }
    let delays = delays(Vendor::Alibaba, &cloud, &yaml, 5 * HOUR).await;
    let (originals, copies) = (
        &delays[&ListingKind::Local],
        &delays[&ListingKind::CrossRegion],
    );
    assert_eq!((originals.len(), copies.len()), (INSTANCES, INSTANCES));
    assert!(originals.iter().any(|delay| *delay > 600), "{originals:?}");
    assert!(
        originals.iter().all(|delay| *delay <= 3600),
        "{originals:?}"
    );
    assert!(copies.iter().all(|delay| *delay <= 600), "{copies:?}");
}

/// A limit that has room for the listings and for little else.
#[tokio::test(start_paused = true)]
async fn what_is_read_seldom_never_starves_what_is_read_often() {
    const MINUTES: u32 = 20;
    let (mut scenario, yaml) = account_of(Vendor::Volcengine, 100);
    for instance in &mut scenario.instances {
        instance.retention = Duration::from_secs(24 * 3600);
    }
    let cloud = start(scenario).await;
    // Policies and windows of a hundred instances are 300 calls, and take an hour at what the listings leave.
    let limited = yaml.replace("- name", "- rate_limit: 10/m\n  name");
    let yaml = format!("poll: {{mode: fixed, interval: 1m}}\n{limited}");
    poll(
        Vendor::Volcengine,
        &cloud,
        &yaml,
        Duration::from_secs(60) * MINUTES,
    )
    .await;
    let count = |operation| u32::try_from(cloud.request_count(operation)).unwrap();
    for operation in ["DescribeBackups", "DescribeCrossRegionBackups"] {
        // Two regions, and one round may have to wait for the first search.
        let read = count(operation) / 2;
        assert!(
            (MINUTES - 2..=MINUTES + 1).contains(&read),
            "{operation}: {read}"
        );
    }
    let seldom = count("DescribeCrossRegionBackupPolicy") + count("DescribePitrTimeWindow");
    assert!(seldom > 50, "{seldom}: what is left over is not wasted");
}
