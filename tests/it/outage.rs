//! Outages of the copying of logs that last longer than logs are listed.
//!
//! The clouds go behind the exporter for as long as the outage lasts, and catch up at once: so nobody has to wait for it.

use std::time::Duration;

use futures_util::future::join_all;
use sim::{Cloud, Vendor};

use crate::harness::{Configuration, Exporter, Folder, Scrape, away_of, bare_at, clouds};

const MINUTE: Duration = Duration::from_secs(60);

/// Longer than the look-back of logs, and shorter than the skew that the clouds allow.
const OUTAGE: Duration = Duration::from_secs(13 * 60);

/// A cloud that is behind, with these instances: backed up an hour ago, with a log file every half a minute.
async fn cloud_behind(vendor: Vendor, ids: &[&str]) -> Cloud {
    let cloud = clouds().await;
    let present = cloud.clock().now();
    cloud.clock().set(present - OUTAGE);
    let day = Duration::from_secs(24 * 3600);
    let today = cloud.clock().now().timestamp().unsigned_abs() % day.as_secs();
    let mut schedule = sim::Schedule::every(day);
    schedule.offset = Duration::from_secs((today + 23 * 3600) % day.as_secs());
    for id in ids {
        let mut instance = bare_at(vendor, id)
            .schedule(schedule.clone())
            .copied_to(away_of(vendor), Duration::ZERO);
        instance.logs.copied = true;
        instance.logs.every = MINUTE / 2;
        cloud.add_instance(instance);
    }
    cloud
}

fn configuration(vendor: Vendor, cloud: &Cloud, ids: &[&str]) -> Configuration {
    let mut configuration = Configuration::at(vendor, cloud, ids);
    // Restore windows take the simulator long, as there are many logs.
    configuration.poll = "interval: 1s, timeout: 25s, log_lookback: 4m".to_owned();
    for (_, _, more) in &mut configuration.instances {
        more.push_str("objectives: {recovery_point: 10m}");
    }
    configuration
}

/// The age of the recovery point elsewhere, the gaps in its logs, and whether the promise holds.
fn reached(scrape: &Scrape, vendor: Vendor, id: &str) -> (Option<f64>, Option<f64>, Option<f64>) {
    let place = [("instance_id", id), ("backup_region", away_of(vendor))];
    let promise = [("instance_id", id), ("objective", "recovery_point")];
    (
        scrape.value("cloud_backup_recovery_point_age_seconds", &place),
        scrape.value("cloud_backup_log_gaps", &place),
        scrape.value("cloud_backup_objective_met", &promise),
    )
}

/// Whether the recovery point is from before the outage, and the rest as it should be.
fn is_old(scrape: &Scrape, vendor: Vendor, id: &str, gaps: f64) -> bool {
    let (age, found, met) = reached(scrape, vendor, id);
    let before = OUTAGE.as_secs_f64();
    let age = age.unwrap_or_default();
    (before..before + 300.0).contains(&age) && (found, met) == (Some(gaps), Some(0.0))
}

/// How many minutes back the logs of an instance were asked for, one question after the other.
fn asked_back(cloud: &Cloud, id: &str) -> Vec<i64> {
    let requests = cloud.requests().into_iter();
    let about_logs = requests.filter(|request| {
        let params = &request.params;
        let is_of = |name: &str, value: &str| params.get(name).is_some_and(|found| found == value);
        request.operation == "DescribeCrossRegionLogBackupFiles" && is_of("DBInstanceId", id)
            || request.operation == "ListOffSiteBackups"
                && is_of("backup_type", "incremental")
                && is_of("instance_id", id)
    });
    let from = about_logs.map(|request| {
        let text = ["StartTime", "begin_time"].map(|name| request.params.get(name));
        let text = text.into_iter().flatten().next().unwrap();
        let text = text.replace("+0000", "Z");
        let from: chrono::DateTime<chrono::Utc> = text.parse().unwrap();
        (request.at - from).num_minutes()
    });
    from.collect()
}

/// Waits until the logs of the instance were asked for so many times more.
async fn asked_again(cloud: &Cloud, id: &str, times: usize) {
    let before = asked_back(cloud, id).len();
    loop {
        let known = cloud.requests().len();
        if asked_back(cloud, id).len() >= before + times {
            return;
        }
        cloud.wait_for_requests(known + 1).await;
    }
}

#[tokio::test]
async fn an_outage_longer_than_logs_are_listed_is_a_gap_and_stays_one_over_restarts() {
    let vendors = [Vendor::Alibaba, Vendor::Huawei];
    join_all(vendors.map(outage_is_a_gap)).await;
}

async fn outage_is_a_gap(vendor: Vendor) {
    let cloud = cloud_behind(vendor, &["db-lost", "db-late"]).await;
    let folder = Folder::new();
    let flag = format!("--storage.path={}", folder.path("store").display());
    let configuration = configuration(vendor, &cloud, &["db-lost", "db-late"]);
    let start = |flags: Vec<String>| {
        let configuration = configuration.clone();
        async move {
            let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
            Exporter::start_with(&configuration, &flags, &[]).await
        }
    };
    let exporter = start(vec![flag.clone()]).await;
    // They were read back to the set of an hour ago, and stopped.
    for id in ["db-lost", "db-late"] {
        let is_read = |scrape: &Scrape| is_old(scrape, vendor, id, 0.0);
        exporter.until("logs were read back", is_read).await;
        assert!(asked_back(&cloud, id)[0] > 90, "{vendor:?} {id}");
    }

    let present = cloud.clock().now() + OUTAGE;
    assert!(cloud.lose_logs("db-lost", present - OUTAGE, present - MINUTE));
    cloud.clock().advance(OUTAGE);
    // What only came late is found, although it is older than what is listed.
    let is_whole = |scrape: &Scrape| {
        let (age, gaps, met) = reached(scrape, vendor, "db-late");
        age < Some(120.0) && (gaps, met) == (Some(0.0), Some(1.0))
    };
    exporter.until("late files mend the chain", is_whole).await;
    let is_broken = |scrape: &Scrape| is_old(scrape, vendor, "db-lost", 1.0);
    exporter.until("lost files are a gap", is_broken).await;
    for id in ["db-lost", "db-late"] {
        asked_again(&cloud, id, 4).await;
        let asked = asked_back(&cloud, id);
        assert!(*asked.last().unwrap() <= 5, "{vendor:?} {id} {asked:?}");
    }
    let scrape = exporter.scrape().await;
    assert!(is_broken(&scrape) && is_whole(&scrape), "{vendor:?}");
    exporter.stop().await;

    // With what was stored nothing has to be read back, and without it the gap is found again.
    for (flags, reads_back) in [(vec![flag], false), (vec![], true)] {
        cloud.clear_requests();
        let exporter = start(flags).await;
        exporter.until("the gap is known", is_broken).await;
        asked_again(&cloud, "db-lost", 1).await;
        let asked = asked_back(&cloud, "db-lost");
        assert_eq!(asked[0] > 60, reads_back, "{vendor:?} {asked:?}");
        exporter.stop().await;
    }
    assert_eq!(cloud.unexpected(), Vec::<String>::new(), "{vendor:?}");
}
