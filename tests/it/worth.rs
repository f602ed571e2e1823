//! What counts as a backup: sets that are listed as completed, and keep no promise all the same.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use sim::{Cloud, CrossRegionSet, Engine, Fault, FaultKind, Instance, LocalSet, Quirk, Vendor};

use super::harness::{
    Configuration, Exporter, Scrape, account_of, away_of, bare_at, clouds, home_of, hourly_at,
};

const OLDEST: TimeDelta = TimeDelta::days(31);

fn ago(cloud: &Cloud, hours: i64) -> DateTime<Utc> {
    cloud.clock().now() - TimeDelta::hours(hours)
}

/// An instance without a schedule whose copies are expected away, what the provider says of it aside.
fn watched(vendor: Vendor, cloud: &Cloud, id: &str) -> Configuration {
    let mut configuration = Configuration::at(vendor, cloud, &[id]);
    configuration.instances[0].2 = format!(
        "backup_regions: [{}], listings: [cross_region, local]",
        away_of(vendor)
    );
    configuration
}

async fn scrape(configuration: &Configuration) -> Scrape {
    let exporter = Exporter::start(configuration).await;
    let scrape = exporter.ready().await;
    exporter.stop().await;
    scrape
}

fn met(scrape: &Scrape, objective: &str) -> Option<f64> {
    scrape.value("cloud_backup_objective_met", &[("objective", objective)])
}

fn of_copy(scrape: &Scrape, name: &str, scope: &str, backup_type: &str) -> Option<f64> {
    scrape.value(name, &[("scope", scope), ("backup_type", backup_type)])
}

fn sets(scrape: &Scrape, scope: &str, backup_type: &str, status: &str) -> f64 {
    let labels = [
        ("scope", scope),
        ("backup_type", backup_type),
        ("status", status),
    ];
    let sets = scrape.value("cloud_backup_sets", &labels);
    sets.unwrap_or_default()
}

fn anomalies(scrape: &Scrape, listing: &str, kind: &str) -> f64 {
    let labels = [("listing", listing), ("kind", kind)];
    scrape.sum("cloud_backup_anomalies_total", &labels)
}

/// Of partial sets there is nothing but how many there are.
fn is_silent_about_parts(scrape: &Scrape) {
    for name in [
        "cloud_backup_last_success_timestamp_seconds",
        "cloud_backup_last_success_age_seconds",
        "cloud_backup_last_success_size_bytes",
        "cloud_backup_last_success_duration_seconds",
        "cloud_backup_last_failure_timestamp_seconds",
        "cloud_backup_last_attempt_success",
        "cloud_backup_consecutive_failures",
        "cloud_backup_stored_bytes",
        "cloud_backup_oldest_timestamp_seconds",
        "cloud_backup_running_since_timestamp_seconds",
        "cloud_backup_observed_sets_total",
        "cloud_backup_vanished_sets_total",
    ] {
        let partial = scrape.all(name, &[("backup_type", "partial")]);
        assert_eq!(partial.count(), 0, "{name}");
    }
}

/// A local set of Alibaba's that ended so many hours ago.
fn at_home(cloud: &Cloud, hours: i64) -> LocalSet {
    let end = ago(cloud, hours);
    LocalSet::completed(end - TimeDelta::minutes(10), end)
}

/// Its copy.
fn copied(cloud: &Cloud, hours: i64) -> CrossRegionSet {
    let end = ago(cloud, hours);
    CrossRegionSet::completed(away_of(Vendor::Alibaba), end - TimeDelta::minutes(10), end)
}

/// A dump of one database, as somebody makes it by hand.
fn dump(cloud: &Cloud, hours: i64) -> LocalSet {
    let scale = ("BackupScale".to_owned(), json!("DataBase"));
    LocalSet {
        mode: Some(json!("Manual")),
        method: Some(json!("Logical")),
        size: json!(40_000_000),
        extra: [scale].into_iter().collect(),
        ..at_home(cloud, hours)
    }
}

async fn alibaba() -> (Cloud, Configuration) {
    let cloud = clouds().await;
    cloud.add_instance(bare_at(Vendor::Alibaba, "rm-1"));
    let configuration = watched(Vendor::Alibaba, &cloud, "rm-1");
    (cloud, configuration)
}

#[tokio::test]
async fn a_dump_of_one_database_does_not_end_a_row_of_failed_backups() {
    let (cloud, configuration) = alibaba().await;
    for day in 0..10 {
        let hours = 8 + 24 * day;
        let failed = LocalSet {
            status: Some(json!("Failed")),
            size: json!(0),
            ..at_home(&cloud, hours)
        };
        let set = if day < 3 {
            failed
        } else {
            at_home(&cloud, hours)
        };
        cloud.add_local_set("rm-1", set);
    }
    cloud.add_local_set("rm-1", dump(&cloud, 3));
    let scrape = scrape(&configuration).await;
    let full = |name| of_copy(&scrape, name, "local", "full");
    assert_eq!(met(&scrape, "backup_age"), Some(0.0));
    assert_eq!(full("cloud_backup_consecutive_failures"), Some(3.0));
    assert_eq!(full("cloud_backup_last_attempt_success"), Some(0.0));
    let size = full("cloud_backup_last_success_size_bytes");
    assert_eq!(size, Some(2_167_808.0));
    assert_eq!(sets(&scrape, "local", "partial", "completed"), 1.0);
    assert_eq!(sets(&scrape, "local", "full", "completed"), 7.0);
    is_silent_about_parts(&scrape);
}

#[tokio::test]
async fn a_dump_of_one_database_lacks_no_copy() {
    let (cloud, configuration) = alibaba().await;
    for day in 0..10 {
        cloud.add_local_set("rm-1", at_home(&cloud, 10 + 24 * day));
        cloud.add_cross_region_set("rm-1", copied(&cloud, 10 + 24 * day));
    }
    cloud.add_local_set("rm-1", dump(&cloud, 8));
    let scrape = scrape(&configuration).await;
    assert_eq!(scrape.value("cloud_backup_uncopied_sets", &[]), Some(0.0));
    for objective in ["recovery_point", "backup_age", "copy_delay", "retention"] {
        assert_eq!(met(&scrape, objective), Some(1.0), "{objective}");
    }
}

#[tokio::test]
async fn copies_of_one_database_are_no_copies_of_the_instance() {
    let (cloud, configuration) = alibaba().await;
    for day in 0..10 {
        cloud.add_local_set("rm-1", at_home(&cloud, 10 + 24 * day));
        let mut copy = copied(&cloud, 10 + 24 * day);
        if day < 4 {
            let scale = ("BackupSetScale".to_owned(), json!(1));
            copy.extra = [scale].into_iter().collect();
        }
        cloud.add_cross_region_set("rm-1", copy);
    }
    let scrape = scrape(&configuration).await;
    assert_eq!(met(&scrape, "recovery_point"), Some(0.0));
    assert_eq!(met(&scrape, "copy_delay"), Some(0.0));
    assert_eq!(scrape.value("cloud_backup_uncopied_sets", &[]), Some(4.0));
    let place = [("scope", "cross_region")];
    let age = scrape.value("cloud_backup_recovery_point_age_seconds", &place);
    let whole = f64::from((10 + 24 * 4) * 3600);
    assert!((whole..whole + 3600.0).contains(&age.unwrap()), "{age:?}");
    assert_eq!(sets(&scrape, "cross_region", "partial", "completed"), 4.0);
    is_silent_about_parts(&scrape);
}

#[tokio::test]
async fn an_extent_that_nobody_knows_counts_as_whole_and_is_told() {
    let (cloud, configuration) = alibaba().await;
    let scale = ("BackupScale".to_owned(), json!("Tenant"));
    cloud.add_local_set(
        "rm-1",
        LocalSet {
            extra: [scale].into_iter().collect(),
            ..at_home(&cloud, 1)
        },
    );
    let scrape = scrape(&configuration).await;
    assert_eq!(met(&scrape, "backup_age"), Some(1.0));
    assert!(anomalies(&scrape, "local", "unknown_extent") >= 1.0);
}

#[tokio::test]
async fn of_no_vendor_is_an_empty_set_a_backup() {
    for vendor in Vendor::ALL {
        let cloud = clouds().await;
        cloud.add_instance(hourly_at(vendor, "db-1"));
        cloud.begin_quirk("db-1", Quirk::Empty, cloud.clock().now() - OLDEST);
        let scrape = scrape(&watched(vendor, &cloud, "db-1")).await;
        for objective in ["recovery_point", "backup_age", "retention"] {
            assert_eq!(met(&scrape, objective), Some(0.0), "{vendor:?} {objective}");
        }
        for (scope, listing) in [("local", "local"), ("cross_region", "cross_region")] {
            assert_eq!(
                sets(&scrape, scope, "full", "completed"),
                0.0,
                "{vendor:?} {scope}"
            );
            assert!(
                sets(&scrape, scope, "full", "unknown") > 700.0,
                "{vendor:?} {scope}"
            );
            assert!(
                anomalies(&scrape, listing, "bad_size") > 700.0,
                "{vendor:?} {scope}"
            );
        }
        let points = scrape.all("cloud_backup_recovery_point_timestamp_seconds", &[]);
        assert_eq!(points.count(), 0, "{vendor:?}");
    }
}

/// Of Alibaba and Huawei, the vendors that have them: every fourth set is full.
fn with_incrementals(vendor: Vendor) -> Instance {
    let mut instance = hourly_at(vendor, "db-1").engine(Engine::SqlServer, "2019_SE");
    instance.schedule.as_mut().unwrap().full_every = 4;
    instance
}

#[tokio::test]
async fn incremental_sets_restore_nothing_without_the_full_ones_before_them() {
    for vendor in [Vendor::Alibaba, Vendor::Huawei] {
        let cloud = clouds().await;
        cloud.add_instance(with_incrementals(vendor));
        let sound = scrape(&watched(vendor, &cloud, "db-1")).await;
        for objective in ["recovery_point", "backup_age", "retention"] {
            assert_eq!(met(&sound, objective), Some(1.0), "{vendor:?} {objective}");
        }
        let newest = |scrape: &Scrape, backup_type| {
            let name = "cloud_backup_last_success_timestamp_seconds";
            of_copy(scrape, name, "local", backup_type)
        };
        assert!(newest(&sound, "full").is_some() && newest(&sound, "incremental").is_some());

        cloud.begin_quirk("db-1", Quirk::FullsLost, cloud.clock().now() - OLDEST * 2);
        if vendor == Vendor::Huawei {
            // That differential sets are asked for takes a row that names the engine.
            let mut failed = huawei_row(&cloud, "f", "auto", 1, "SQLServer");
            failed["status"] = json!("FAILED");
            assert!(cloud.add_huawei_local_row("db-1", failed));
        }
        let broken = scrape(&watched(vendor, &cloud, "db-1")).await;
        for objective in ["recovery_point", "backup_age", "retention"] {
            assert_eq!(met(&broken, objective), Some(0.0), "{vendor:?} {objective}");
        }
        assert!(sets(&broken, "local", "incremental", "completed") > 500.0);
        assert_eq!(newest(&broken, "incremental"), None, "{vendor:?}");
        for name in [
            "cloud_backup_recovery_point_timestamp_seconds",
            "cloud_backup_restorable_sets",
        ] {
            assert_eq!(broken.all(name, &[]).count(), 0, "{vendor:?} {name}");
        }
        let stored = of_copy(&broken, "cloud_backup_stored_bytes", "local", "incremental");
        assert_eq!(stored, Some(0.0), "{vendor:?}");
    }
}

#[tokio::test]
async fn incremental_sets_on_full_ones_that_failed_restore_nothing() {
    let (cloud, configuration) = alibaba().await;
    for day in 0..9 {
        cloud.add_local_set(
            "rm-1",
            LocalSet {
                backup_type: Some(json!("IncrementalBackup")),
                ..at_home(&cloud, 6 + 24 * day)
            },
        );
        cloud.add_cross_region_set(
            "rm-1",
            CrossRegionSet {
                backup_type: Some(json!("I")),
                ..copied(&cloud, 6 + 24 * day)
            },
        );
    }
    for day in [6, 13] {
        cloud.add_local_set(
            "rm-1",
            LocalSet {
                status: Some(json!("Failed")),
                ..at_home(&cloud, 7 + 24 * day)
            },
        );
        cloud.add_cross_region_set(
            "rm-1",
            CrossRegionSet {
                status: Some(json!(1)),
                ..copied(&cloud, 7 + 24 * day)
            },
        );
    }
    let scrape = scrape(&configuration).await;
    assert_eq!(met(&scrape, "recovery_point"), Some(0.0));
    assert_eq!(met(&scrape, "backup_age"), Some(0.0));
}

#[tokio::test]
async fn a_copy_is_not_newer_than_its_end() {
    let (cloud, configuration) = alibaba().await;
    let now = cloud.clock().now();
    let consistent =
        (now - TimeDelta::seconds(81)).to_rfc3339_opts(chrono::SecondsFormat::Secs, true);
    cloud.add_cross_region_set(
        "rm-1",
        CrossRegionSet {
            consistent_time: Some(json!(consistent)),
            ..copied(&cloud, 240)
        },
    );
    let believed = scrape(&configuration).await;
    let place = [("scope", "cross_region")];
    let age = believed.value("cloud_backup_recovery_point_age_seconds", &place);
    let ten_days = 864_000.0;
    assert!(
        (ten_days..ten_days + 3600.0).contains(&age.unwrap()),
        "{age:?}"
    );
    assert_eq!(met(&believed, "recovery_point"), Some(0.0));
    assert!(anomalies(&believed, "cross_region", "bad_time") >= 1.0);

    // The same from a schedule whose copies stopped.
    cloud.add_instance(hourly_at(Vendor::Alibaba, "rm-2"));
    cloud.begin_quirk("rm-2", Quirk::ConsistentLate, now - OLDEST);
    let scrape = scrape(&watched(Vendor::Alibaba, &cloud, "rm-2")).await;
    assert!(anomalies(&scrape, "cross_region", "bad_time") > 700.0);
    let age = scrape.value("cloud_backup_recovery_point_age_seconds", &place);
    assert!((0.0..9000.0).contains(&age.unwrap()), "{age:?}");
}

#[tokio::test]
async fn a_copy_in_the_region_of_the_instance_is_none() {
    for vendor in [Vendor::Alibaba, Vendor::Volcengine] {
        let cloud = clouds().await;
        cloud.add_instance(hourly_at(vendor, "db-1"));
        cloud.begin_quirk("db-1", Quirk::CopiedHome, cloud.clock().now() - OLDEST);
        // Also where nobody says in which region copies are expected.
        for more in ["listings: [cross_region, local]", ""] {
            let mut configuration = watched(vendor, &cloud, "db-1");
            if !more.is_empty() {
                configuration.instances[0].2 = more.to_owned();
            }
            let scrape = scrape(&configuration).await;
            assert_eq!(met(&scrape, "recovery_point"), Some(0.0), "{vendor:?}");
            assert_eq!(met(&scrape, "backup_age"), Some(1.0), "{vendor:?}");
            let copied_home = [
                ("scope", "cross_region"),
                ("backup_region", home_of(vendor)),
            ];
            assert_eq!(scrape.all("cloud_backup_sets", &copied_home).count(), 0);
            assert_eq!(sets(&scrape, "cross_region", "full", "completed"), 0.0);
            assert!(anomalies(&scrape, "cross_region", "wrong_region") > 700.0);
        }
    }
}

/// A row of Huawei's that ended so many hours ago.
fn huawei_row(cloud: &Cloud, id: &str, backup_type: &str, hours: i64, engine: &str) -> Value {
    let spell = |time: DateTime<Utc>| time.format("%Y-%m-%dT%H:%M:%S+0000").to_string();
    let end = ago(cloud, hours);
    json!({
        "id": id, "name": id, "type": backup_type, "size": 5956, "status": "COMPLETED",
        "begin_time": spell(end - TimeDelta::minutes(10)), "end_time": spell(end),
        "datastore": {"type": engine, "version": "1"}, "instance_id": "db-1",
    })
}

/// An instance of Huawei's whose last automated set was copied twenty hours ago.
async fn huawei(engine: Engine, name: &str) -> (Cloud, Configuration) {
    let cloud = clouds().await;
    let vendor = Vendor::Huawei;
    let instance = Instance::new("db-1", home_of(vendor))
        .account(account_of(vendor))
        .engine(engine, "1")
        .copied_to(away_of(vendor), Duration::from_secs(600));
    cloud.add_instance(instance);
    for (day, id) in ["a0", "a1"].into_iter().enumerate() {
        let hours = 20 + 24 * i64::try_from(day).unwrap();
        let row = |id: &str| huawei_row(&cloud, id, "auto", hours, name);
        assert!(cloud.add_huawei_local_row("db-1", row(id)));
        let copy = row(&format!("{id}-copy"));
        assert!(cloud.add_huawei_offsite_row("db-1", away_of(vendor), copy));
    }
    let configuration = watched(vendor, &cloud, "db-1");
    (cloud, configuration)
}

#[tokio::test]
async fn of_huawei_only_sql_server_copies_what_is_backed_up_by_hand() {
    for (engine, name, uncopied) in [
        (Engine::MySql, "MySQL", 0.0),
        (Engine::PostgreSql, "PostgreSQL", 0.0),
        (Engine::SqlServer, "SQLServer", 1.0),
    ] {
        let (cloud, configuration) = huawei(engine, name).await;
        assert!(cloud.add_huawei_local_row("db-1", huawei_row(&cloud, "m", "manual", 8, name)));
        let scrape = scrape(&configuration).await;
        let found = scrape.value("cloud_backup_uncopied_sets", &[]);
        assert_eq!(found, Some(uncopied), "{name}");
        assert_eq!(met(&scrape, "copy_delay"), Some(1.0 - uncopied), "{name}");
        // It is a backup all the same.
        let age = of_copy(
            &scrape,
            "cloud_backup_last_success_age_seconds",
            "local",
            "full",
        );
        assert!(
            (28_800.0..32_400.0).contains(&age.unwrap()),
            "{name} {age:?}"
        );
        assert_eq!(sets(&scrape, "local", "full", "completed"), 3.0, "{name}");
    }
}

#[tokio::test]
async fn of_huawei_a_manual_set_that_names_databases_is_partial() {
    let (cloud, configuration) = huawei(Engine::SqlServer, "SQLServer").await;
    let naming = |backup_type, id| {
        let mut row = huawei_row(&cloud, id, backup_type, 8, "SQLServer");
        row["databases"] = json!([{"name": "reporting"}]);
        row
    };
    assert!(cloud.add_huawei_local_row("db-1", naming("manual", "m")));
    let partial = scrape(&configuration).await;
    assert_eq!(partial.value("cloud_backup_uncopied_sets", &[]), Some(0.0));
    assert_eq!(sets(&partial, "local", "partial", "completed"), 1.0);
    let age = of_copy(
        &partial,
        "cloud_backup_last_success_age_seconds",
        "local",
        "full",
    );
    assert!(age.unwrap() > 71_000.0, "{age:?}");
    is_silent_about_parts(&partial);
    // An automated one names all that there are.
    assert!(cloud.add_huawei_local_row("db-1", naming("auto", "n")));
    let whole = scrape(&configuration).await;
    assert_eq!(sets(&whole, "local", "full", "completed"), 3.0);
    assert_eq!(whole.value("cloud_backup_uncopied_sets", &[]), Some(1.0));
}

#[tokio::test]
async fn one_database_a_day_keeps_no_promise_of_any_vendor_that_has_such_sets() {
    for (vendor, engine) in [
        (Vendor::Alibaba, Engine::MySql),
        (Vendor::Huawei, Engine::SqlServer),
    ] {
        let cloud = clouds().await;
        cloud.add_instance(hourly_at(vendor, "db-1").engine(engine, "1"));
        cloud.begin_quirk("db-1", Quirk::OneDatabase, cloud.clock().now() - OLDEST);
        let scrape = scrape(&watched(vendor, &cloud, "db-1")).await;
        for objective in ["recovery_point", "backup_age", "retention"] {
            assert_eq!(met(&scrape, objective), Some(0.0), "{vendor:?} {objective}");
        }
        assert!(sets(&scrape, "local", "partial", "completed") > 700.0);
        assert!(sets(&scrape, "cross_region", "partial", "completed") > 700.0);
        is_silent_about_parts(&scrape);
        assert_eq!(cloud.unexpected(), Vec::<String>::new());
    }
}

/// The operations that list local sets and instances.
const fn lists_of(vendor: Vendor) -> [&'static str; 2] {
    match vendor {
        Vendor::Alibaba | Vendor::Volcengine => ["DescribeBackups", "DescribeDBInstances"],
        Vendor::Huawei => ["ListBackups", "ListInstances"],
    }
}

#[tokio::test]
async fn something_that_is_no_row_is_missed_and_its_neighbours_are_read() {
    for vendor in Vendor::ALL {
        let cloud = clouds().await;
        cloud.add_instance(hourly_at(vendor, "db-1"));
        let [sets_of, _] = lists_of(vendor);
        cloud.inject(Fault::new(FaultKind::NoRow).operation(sets_of));
        let scrape = scrape(&watched(vendor, &cloud, "db-1")).await;
        assert_eq!(
            scrape.poll_success("db-1", "local"),
            Some(1.0),
            "{vendor:?}"
        );
        assert!(anomalies(&scrape, "local", "bad_row") >= 1.0, "{vendor:?}");
        assert!(
            sets(&scrape, "local", "full", "completed") > 700.0,
            "{vendor:?}"
        );
        let complete =
            |listing| scrape.value("cloud_backup_listing_complete", &[("listing", listing)]);
        assert_eq!(complete("local"), Some(0.0), "{vendor:?}");
        assert_eq!(complete("cross_region"), Some(1.0), "{vendor:?}");
    }
}

#[tokio::test]
async fn a_name_that_is_no_text_hides_no_instance() {
    for vendor in Vendor::ALL {
        let cloud = clouds().await;
        let ids = ["db-1", "db-2", "db-3"];
        for id in ids {
            cloud.add_instance(bare_at(vendor, id));
        }
        let [_, instances_of] = lists_of(vendor);
        for operation in [instances_of, "DescribeCrossRegionBackupDBInstance"] {
            cloud.inject(Fault::new(FaultKind::BrokenText).operation(operation));
        }
        let configuration = Configuration::searching(vendor, &cloud, "");
        let exporter = Exporter::start(&configuration).await;
        let found = |scrape: &Scrape| {
            let local = [("listing", "local")];
            let read = scrape.all("cloud_backup_poll_success", &local);
            read.filter(|sample| sample.value == 1.0).count() == ids.len()
        };
        let scrape = exporter.until("all three are read", found).await;
        let monitored = [("state", "monitored")];
        assert_eq!(
            scrape.value("cloud_backup_instances", &monitored),
            Some(3.0),
            "{vendor:?}"
        );
        let infos = scrape.all("cloud_backup_instance_info", &[]);
        let broken = infos.filter(|info| info.labels["name"] == "orders \u{fffd}\u{fffd}\u{fffd}");
        assert_eq!(broken.count(), 1, "{vendor:?}");
        let unread = scrape.all("cloud_backup_poll_success", &[]);
        assert_eq!(
            unread.filter(|sample| sample.value != 1.0).count(),
            0,
            "{vendor:?}"
        );
        exporter.stop().await;
    }
}
