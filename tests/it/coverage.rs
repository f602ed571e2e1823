//! What a listing does not show: protection, copies that stopped, broken chains of logs, restore windows.

use std::time::Duration;

use futures_util::future::join_all;
use sim::{Fault, FaultKind, Trouble, Vendor};

use crate::harness::{
    Configuration, Exporter, Scrape, account_of, asked, away_of, bare_at, clouds, daily_at,
    home_of, hourly_at,
};

const VENDORS: [Vendor; 3] = [Vendor::Alibaba, Vendor::Huawei, Vendor::Volcengine];
const HOUR: Duration = Duration::from_secs(3600);
const MINUTE: Duration = Duration::from_secs(60);

/// Polls these instances, everything about them once a second.
fn eager(vendor: Vendor, cloud: &sim::Cloud, ids: &[&str]) -> Configuration {
    let mut configuration = Configuration::at(vendor, cloud, ids);
    configuration.poll = "interval: 1s, policy_interval: 1s, timeout: 5m".to_owned();
    configuration
}

fn protected(scrape: &Scrape, id: &str) -> Option<f64> {
    scrape.value("cloud_backup_instance_protected", &[("instance_id", id)])
}

fn met(scrape: &Scrape, id: &str, objective: &str) -> Option<f64> {
    let labels = [("instance_id", id), ("objective", objective)];
    scrape.value("cloud_backup_objective_met", &labels)
}

fn of_copy(scrape: &Scrape, name: &str, id: &str, region: &str, backup_type: &str) -> Option<f64> {
    let labels = [
        ("instance_id", id),
        ("scope", "cross_region"),
        ("backup_region", region),
        ("backup_type", backup_type),
    ];
    scrape.value(name, &labels)
}

#[tokio::test]
async fn an_instance_that_nobody_enabled_is_unprotected() {
    for vendor in VENDORS {
        let cloud = clouds().await;
        cloud.add_instance(hourly_at(vendor, "db-good"));
        let bare = bare_at(vendor, "db-bare").schedule(sim::Schedule::every(HOUR));
        cloud.add_instance(bare);
        let exporter = Exporter::start(&eager(vendor, &cloud, &["db-good", "db-bare"])).await;
        let scrape = exporter.ready().await;
        assert_eq!(protected(&scrape, "db-good"), Some(1.0), "{vendor:?}");
        assert_eq!(protected(&scrape, "db-bare"), Some(0.0), "{vendor:?}");
        let away = away_of(vendor);
        let enabled = "cloud_backup_policy_enabled";
        assert_eq!(
            of_copy(&scrape, enabled, "db-good", away, "full"),
            Some(1.0),
            "{vendor:?}"
        );
        assert_eq!(
            of_copy(&scrape, enabled, "db-bare", "", "full"),
            Some(0.0),
            "{vendor:?}"
        );
        let retention = "cloud_backup_policy_retention_seconds";
        let retention = of_copy(&scrape, retention, "db-good", away, "full");
        assert!(retention >= Some(24.0 * 3600.0), "{vendor:?} {retention:?}");
        assert_eq!(
            met(&scrape, "db-good", "recovery_point"),
            Some(1.0),
            "{vendor:?}"
        );
        assert_eq!(
            met(&scrape, "db-bare", "recovery_point"),
            Some(0.0),
            "{vendor:?}"
        );
        assert_eq!(
            met(&scrape, "db-bare", "backup_age"),
            Some(1.0),
            "{vendor:?}"
        );
        // A zero for a region that nobody knows.
        let labels = [
            ("instance_id", "db-bare"),
            ("scope", "cross_region"),
            ("status", "completed"),
        ];
        assert_eq!(
            scrape.value("cloud_backup_sets", &labels),
            Some(0.0),
            "{vendor:?}"
        );
        for listing in ["cross_region", "local", "policy", "restore_window"] {
            for id in ["db-good", "db-bare"] {
                let success = scrape.poll_success(id, listing);
                assert_eq!(success, Some(1.0), "{vendor:?} {id} {listing}");
            }
        }
        assert_eq!(cloud.unexpected(), Vec::<String>::new(), "{vendor:?}");
        exporter.stop().await;
    }
}

#[tokio::test]
async fn a_copy_that_stopped_while_local_backups_go_on_is_uncopied_within_one_interval() {
    for vendor in VENDORS {
        let cloud = clouds().await;
        let mut stopped = hourly_at(vendor, "db-stopped");
        stopped.trouble = vec![Trouble::CopiesStopped { since: 9 * HOUR }];
        cloud.add_instance(stopped);
        cloud.add_instance(hourly_at(vendor, "db-good"));
        let exporter = Exporter::start(&eager(vendor, &cloud, &["db-stopped", "db-good"])).await;
        let scrape = exporter.ready().await;
        let of = |name, id| {
            let labels = [("instance_id", id), ("backup_region", away_of(vendor))];
            scrape.value(name, &labels)
        };
        let uncopied = of("cloud_backup_uncopied_sets", "db-stopped");
        assert!(
            matches!(uncopied, Some(8.0..=10.0)),
            "{vendor:?} {uncopied:?}"
        );
        assert!(
            of(
                "cloud_backup_oldest_uncopied_timestamp_seconds",
                "db-stopped"
            )
            .is_some()
        );
        assert!(
            of("cloud_backup_uncopied_sets", "db-good") <= Some(1.0),
            "{vendor:?}"
        );
        assert_eq!(
            met(&scrape, "db-stopped", "copy_delay"),
            Some(0.0),
            "{vendor:?}"
        );
        assert_eq!(
            met(&scrape, "db-good", "copy_delay"),
            Some(1.0),
            "{vendor:?}"
        );
        exporter.stop().await;
    }
}

#[tokio::test]
async fn a_hole_in_the_log_chain_moves_the_recovery_point_back() {
    for vendor in [Vendor::Alibaba, Vendor::Huawei] {
        let cloud = clouds().await;
        let away = away_of(vendor);
        // Backed up twelve hours ago, so that the logs of the last hours are all there is after the set.
        let mut broken = daily_at(vendor, "db-broken");
        broken.trouble = vec![Trouble::LogsLost {
            from: 70 * MINUTE,
            to: 40 * MINUTE,
        }];
        cloud.add_instance(broken);
        cloud.add_instance(daily_at(vendor, "db-whole"));
        let exporter = Exporter::start(&eager(vendor, &cloud, &["db-broken", "db-whole"])).await;
        let scrape = exporter.ready().await;
        let of = |name, id| {
            let labels = [
                ("instance_id", id),
                ("scope", "cross_region"),
                ("backup_region", away),
            ];
            scrape.value(name, &labels)
        };
        let age = of("cloud_backup_recovery_point_age_seconds", "db-broken");
        assert!(
            age >= Some(68.0 * 60.0) && age < Some(90.0 * 60.0),
            "{vendor:?} {age:?}"
        );
        assert_eq!(
            of("cloud_backup_log_gaps", "db-broken"),
            Some(1.0),
            "{vendor:?}"
        );
        let age = of("cloud_backup_recovery_point_age_seconds", "db-whole");
        assert!(age < Some(20.0 * 60.0), "{vendor:?} {age:?}");
        assert_eq!(
            of("cloud_backup_log_gaps", "db-whole"),
            Some(0.0),
            "{vendor:?}"
        );
        // The newest log file itself is no secret.
        let age = "cloud_backup_last_success_age_seconds";
        assert!(
            of_copy(&scrape, age, "db-broken", away, "log") < Some(20.0 * 60.0),
            "{vendor:?}"
        );
        assert_eq!(cloud.unexpected(), Vec::<String>::new(), "{vendor:?}");
        exporter.stop().await;
    }
}

#[tokio::test]
async fn disabling_the_policy_does_not_erase_the_sets_that_remain() {
    for vendor in VENDORS {
        let cloud = clouds().await;
        cloud.add_instance(hourly_at(vendor, "db-orders"));
        let exporter = Exporter::start(&eager(vendor, &cloud, &["db-orders"])).await;
        let sets = |scrape: &Scrape| {
            let labels = [
                ("instance_id", "db-orders"),
                ("backup_region", away_of(vendor)),
                ("backup_type", "full"),
                ("status", "completed"),
            ];
            scrape.value("cloud_backup_sets", &labels)
        };
        let scrape = exporter.ready().await;
        let before = sets(&scrape);
        assert!(before > Some(10.0), "{vendor:?} {before:?}");
        assert_eq!(
            met(&scrape, "db-orders", "recovery_point"),
            Some(1.0),
            "{vendor:?}"
        );

        assert!(cloud.switch_policy_off("db-orders"));
        let is_off = |scrape: &Scrape| protected(scrape, "db-orders") == Some(0.0);
        exporter.until("the policy is off", is_off).await;
        // Once more after it is known.
        cloud.clear_requests();
        let operation = match vendor {
            Vendor::Alibaba | Vendor::Volcengine => "DescribeCrossRegionBackups",
            Vendor::Huawei => "ListOffSiteBackups",
        };
        asked(&cloud, operation, 2).await;
        let scrape = exporter.scrape().await;
        assert_eq!(sets(&scrape), before, "{vendor:?}");
        assert_eq!(
            met(&scrape, "db-orders", "recovery_point"),
            Some(0.0),
            "{vendor:?}"
        );
        let enabled = "cloud_backup_policy_enabled";
        assert_eq!(
            of_copy(&scrape, enabled, "db-orders", away_of(vendor), "full"),
            Some(0.0),
            "{vendor:?}"
        );

        assert!(cloud.switch_policy_on("db-orders"));
        let is_on = |scrape: &Scrape| protected(scrape, "db-orders") == Some(1.0);
        exporter.until("the policy is on again", is_on).await;
        exporter.stop().await;
    }
}

#[tokio::test]
async fn a_young_protection_is_not_blamed_for_what_came_before_it() {
    let cloud = clouds().await;
    let since = cloud.clock().world() - chrono::Duration::hours(3);
    cloud.add_instance(hourly_at(Vendor::Alibaba, "db-young").protected_since(since));
    let exporter = Exporter::start(&eager(Vendor::Alibaba, &cloud, &["db-young"])).await;
    let scrape = exporter.ready().await;
    for objective in ["copy_delay", "retention", "recovery_point"] {
        assert_eq!(
            met(&scrape, "db-young", objective),
            Some(1.0),
            "{objective}"
        );
    }
    exporter.stop().await;
}

#[tokio::test]
async fn restore_windows_are_those_that_the_provider_tells() {
    for vendor in VENDORS {
        let cloud = clouds().await;
        let mut instance = hourly_at(vendor, "db-orders");
        instance.logs.copied = true;
        if vendor == Vendor::Huawei {
            instance.trouble = vec![Trouble::LogsLost {
                from: 26 * HOUR,
                to: 25 * HOUR,
            }];
        }
        cloud.add_instance(instance);
        let exporter = Exporter::start(&eager(vendor, &cloud, &["db-orders"])).await;
        let scrape = exporter.ready().await;
        let of = |part: &str, scope, region| {
            let labels = [
                ("instance_id", "db-orders"),
                ("scope", scope),
                ("backup_region", region),
            ];
            scrape.value(&format!("cloud_backup_restore_window_{part}"), &labels)
        };
        let local = |part| of(part, "local", home_of(vendor));
        let start = local("start_timestamp_seconds").unwrap();
        let end = local("end_timestamp_seconds").unwrap();
        assert!(start < end && local("gaps") == Some(0.0), "{vendor:?}");
        let away = |part| of(part, "cross_region", away_of(vendor));
        match vendor {
            Vendor::Alibaba => assert!(away("end_timestamp_seconds").is_some()),
            Vendor::Huawei => assert!(away("gaps") >= Some(1.0), "{:?}", away("gaps")),
            Vendor::Volcengine => assert_eq!(away("end_timestamp_seconds"), None),
        }
        exporter.stop().await;
    }
}

#[tokio::test]
async fn an_operation_that_is_forbidden_costs_one_call_a_poll_and_takes_nothing_else_down() {
    let cases = [
        (
            Vendor::Alibaba,
            "DescribeCrossRegionBackupDBInstance",
            "policy",
        ),
        (
            Vendor::Alibaba,
            "DescribeLocalAvailableRecoveryTime",
            "restore_window",
        ),
        (
            Vendor::Alibaba,
            "DescribeCrossRegionLogBackupFiles",
            "cross_region_log",
        ),
        (Vendor::Huawei, "ShowOffSiteBackupPolicy", "policy"),
        (Vendor::Huawei, "ListRestoreTimes", "restore_window"),
        (
            Vendor::Volcengine,
            "DescribeCrossRegionBackupPolicy",
            "policy",
        ),
        (
            Vendor::Volcengine,
            "DescribePitrTimeWindow",
            "restore_window",
        ),
    ];
    join_all(cases.map(forbid)).await;
}

async fn forbid((vendor, operation, listing): (Vendor, &str, &str)) {
    let cloud = clouds().await;
    cloud.add_instance(daily_at(vendor, "db-orders"));
    cloud.deny(account_of(vendor), operation);
    let exporter = Exporter::start(&eager(vendor, &cloud, &["db-orders"])).await;
    let scrape = exporter.ready().await;
    assert_eq!(
        scrape.poll_success("db-orders", listing),
        Some(0.0),
        "{operation}"
    );
    assert!(
        scrape.poll_failures(listing, "permission") >= 1.0,
        "{operation}"
    );
    let failing: Vec<_> = scrape
        .all("cloud_backup_poll_success", &[])
        .filter(|sample| sample.value == 0.0)
        .collect();
    assert_eq!(failing.len(), 1, "{operation} {failing:?}");
    asked(&cloud, operation, 4).await;
    let calls = u32::try_from(cloud.request_count(operation)).unwrap();
    let scrape = exporter.scrape().await;
    let polls = scrape.poll_failures(listing, "permission");
    // One call may still be under way.
    assert!(
        f64::from(calls) <= polls + 1.0,
        "{operation}: {calls} calls in {polls} polls"
    );
    cloud.allow(account_of(vendor), operation);
    let is_read = |scrape: &Scrape| scrape.poll_success("db-orders", listing) == Some(1.0);
    exporter.until("it is allowed", is_read).await;
    exporter.stop().await;
}

#[tokio::test]
async fn what_is_read_seldom_stays_known_while_it_cannot_be_read() {
    let cases = [
        (
            Vendor::Alibaba,
            "DescribeCrossRegionBackupDBInstance",
            "policy",
        ),
        (
            Vendor::Alibaba,
            "DescribeAvailableRecoveryTime",
            "restore_window",
        ),
        (Vendor::Huawei, "ShowOffSiteBackupPolicy", "policy"),
        (Vendor::Huawei, "ListOffSiteRestoreTimes", "restore_window"),
        (Vendor::Volcengine, "DescribeBackupPlan", "policy"),
        (
            Vendor::Volcengine,
            "DescribePitrTimeWindow",
            "restore_window",
        ),
    ];
    join_all(cases.map(break_down)).await;
}

async fn break_down((vendor, operation, listing): (Vendor, &str, &str)) {
    let cloud = clouds().await;
    cloud.add_instance(daily_at(vendor, "db-orders"));
    let exporter = Exporter::start(&eager(vendor, &cloud, &["db-orders"])).await;
    let known = |scrape: &Scrape| {
        let windows = "cloud_backup_restore_window_start_timestamp_seconds";
        (
            protected(scrape, "db-orders"),
            scrape.all("cloud_backup_policy_enabled", &[]).count(),
            scrape.all(windows, &[]).count(),
        )
    };
    let before = known(&exporter.ready().await);
    assert_eq!(before.0, Some(1.0), "{operation}");
    assert!(before.1 > 0 && before.2 > 0, "{operation} {before:?}");
    for (fault, reason) in [
        (FaultKind::ServerErrorHtml, "server"),
        (FaultKind::Truncated, "network"),
        (FaultKind::Null, "malformed"),
    ] {
        let name = format!("{operation} {fault:?}");
        cloud.inject(Fault::new(fault).operation(operation));
        let failed = |scrape: &Scrape| scrape.poll_failures(listing, reason) >= 1.0;
        let scrape = exporter.until(&name, failed).await;
        assert_eq!(known(&scrape), before, "{name}");
        assert_eq!(
            scrape.poll_success("db-orders", "local"),
            Some(1.0),
            "{name}"
        );
        cloud.clear_faults();
        let is_read = |scrape: &Scrape| scrape.poll_success("db-orders", listing) == Some(1.0);
        exporter.until("it passes", is_read).await;
    }
    exporter.stop().await;
}
