//! Instances that nobody has named: found, left out, gone.

use futures_util::future::join_all;
use sim::{Fault, FaultKind, Vendor};

use crate::harness::{
    Configuration, Exporter, Scrape, account_of, asked, away_of, bare_at, clouds, home_of,
    hourly_at,
};

const VENDORS: [Vendor; 3] = [Vendor::Alibaba, Vendor::Huawei, Vendor::Volcengine];

/// The vendor's name of the operation that lists instances.
const fn search_of(vendor: Vendor) -> &'static str {
    match vendor {
        Vendor::Alibaba | Vendor::Volcengine => "DescribeDBInstances",
        Vendor::Huawei => "ListInstances",
    }
}

/// How many instances are monitored, unmonitored and gone.
fn states(scrape: &Scrape, vendor: Vendor) -> [Option<f64>; 3] {
    ["monitored", "unmonitored", "gone"].map(|state| {
        let labels = [("source_region", home_of(vendor)), ("state", state)];
        scrape.value("cloud_backup_instances", &labels)
    })
}

fn counts(monitored: u32, unmonitored: u32, gone: u32) -> [Option<f64>; 3] {
    [monitored, unmonitored, gone].map(|count| Some(f64::from(count)))
}

fn is_known(scrape: &Scrape, id: &str) -> bool {
    let labels = [("instance_id", id)];
    scrape
        .value("cloud_backup_instance_info", &labels)
        .is_some()
}

/// An instance of a kind that has no backups of its own.
fn without_backups(vendor: Vendor, id: &str, primary: &str) -> sim::Instance {
    let mut instance = bare_at(vendor, id);
    match vendor {
        Vendor::Alibaba | Vendor::Huawei => instance = instance.read_replica_of(primary),
        Vendor::Volcengine => instance.single_node = true,
    }
    instance
}

#[tokio::test]
async fn instances_are_found_without_being_named() {
    join_all(VENDORS.map(find)).await;
}

async fn find(vendor: Vendor) {
    let cloud = clouds().await;
    for id in ["db-orders", "db-payments", "db-payments-test"] {
        let mut instance = hourly_at(vendor, id);
        instance.name = id.replace("db-", "the ");
        cloud.add_instance(instance);
    }
    cloud.add_instance(without_backups(vendor, "db-replica", "db-orders"));
    let exclude = ", exclude: ['-test$']";
    let exporter = Exporter::start(&Configuration::searching(vendor, &cloud, exclude)).await;
    let scrape = exporter.ready().await;
    assert_eq!(states(&scrape, vendor), counts(2, 2, 0), "{vendor:?}");
    for (id, known) in [
        ("db-orders", true),
        ("db-payments", true),
        ("db-payments-test", false),
        ("db-replica", false),
    ] {
        assert_eq!(is_known(&scrape, id), known, "{vendor:?} {id}");
    }
    let labels = [("instance_id", "db-orders"), ("name", "the orders")];
    assert_eq!(
        scrape.value("cloud_backup_instance_info", &labels),
        Some(1.0)
    );
    for listing in ["cross_region", "local", "policy", "restore_window"] {
        assert_eq!(
            scrape.poll_success("db-orders", listing),
            Some(1.0),
            "{vendor:?} {listing}"
        );
    }
    let labels = [
        ("instance_id", "db-orders"),
        ("backup_region", away_of(vendor)),
    ];
    assert!(scrape.sum("cloud_backup_sets", &labels) > 0.0, "{vendor:?}");
    assert_eq!(scrape.sum("cloud_backup_discovery_success", &[]), 1.0);
    assert_eq!(cloud.unexpected(), Vec::<String>::new(), "{vendor:?}");
    exporter.stop().await;
}

#[tokio::test]
async fn a_new_instance_appears_within_one_interval_and_a_released_one_is_gone_and_then_leaves() {
    join_all(VENDORS.map(come_and_go)).await;
}

async fn come_and_go(vendor: Vendor) {
    let cloud = clouds().await;
    cloud.add_instance(hourly_at(vendor, "db-old"));
    let exporter = Exporter::start(&Configuration::searching(vendor, &cloud, "")).await;
    let scrape = exporter.ready().await;
    assert_eq!(states(&scrape, vendor), counts(1, 0, 0), "{vendor:?}");

    cloud.add_instance(hourly_at(vendor, "db-new"));
    let is_polled = |scrape: &Scrape| scrape.poll_success("db-new", "local") == Some(1.0);
    let scrape = exporter.until("the new instance", is_polled).await;
    assert_eq!(states(&scrape, vendor), counts(2, 0, 0), "{vendor:?}");

    assert!(cloud.release_instance("db-old"));
    // Huawei counts what its copies have outlived as gone, also when it has left.
    let is_gone = |scrape: &Scrape| states(scrape, vendor)[2] == Some(1.0);
    exporter
        .until("the released instance is gone", is_gone)
        .await;
    let has_left = |scrape: &Scrape| !is_known(scrape, "db-old");
    let scrape = exporter
        .until("the released instance has left", has_left)
        .await;
    assert_eq!(states(&scrape, vendor)[0], Some(1.0), "{vendor:?}");
    assert!(is_known(&scrape, "db-new"), "{vendor:?}");
    let log = exporter.stop().await;
    assert!(log.contains("the instance is gone"), "{log}");
}

#[tokio::test]
async fn a_search_that_fails_changes_nothing() {
    join_all(VENDORS.map(fail_to_search)).await;
}

async fn fail_to_search(vendor: Vendor) {
    let cloud = clouds().await;
    cloud.add_instance(hourly_at(vendor, "db-old"));
    let exporter = Exporter::start(&Configuration::searching(vendor, &cloud, "")).await;
    exporter.ready().await;
    let (account, search) = (account_of(vendor), search_of(vendor));
    cloud.deny(account, search);
    cloud.add_instance(hourly_at(vendor, "db-new"));
    let failed = |scrape: &Scrape| scrape.sum("cloud_backup_discovery_success", &[]) == 0.0;
    exporter.until("the search fails", failed).await;
    asked(&cloud, search, cloud.request_count(search) + 2).await;
    let scrape = exporter.scrape().await;
    assert_eq!(states(&scrape, vendor), counts(1, 0, 0), "{vendor:?}");
    assert_eq!(scrape.poll_success("db-old", "local"), Some(1.0));
    let labels = [("operation", search), ("reason", "permission")];
    assert!(scrape.sum("cloud_backup_api_request_failures_total", &labels) > 0.0);
    assert!(exporter.text("/").await.contains("AccessDenied") || vendor != Vendor::Volcengine);

    cloud.allow(account, search);
    let has_new = |scrape: &Scrape| is_known(scrape, "db-new");
    let scrape = exporter.until("the search works again", has_new).await;
    assert_eq!(scrape.sum("cloud_backup_discovery_success", &[]), 1.0);
    let log = exporter.stop().await;
    assert_eq!(
        log.matches("instances cannot be looked for").count(),
        1,
        "{log}"
    );
}

#[tokio::test]
async fn a_list_that_is_cut_short_takes_nothing_away() {
    for vendor in VENDORS {
        let cloud = clouds().await;
        for id in ["db-1", "db-2"] {
            cloud.add_instance(hourly_at(vendor, id));
        }
        let exporter = Exporter::start(&Configuration::searching(vendor, &cloud, "")).await;
        exporter.ready().await;
        let search = search_of(vendor);
        cloud.inject(Fault::new(FaultKind::Truncated).operation(search));
        let failed = |scrape: &Scrape| scrape.sum("cloud_backup_discovery_success", &[]) == 0.0;
        let scrape = exporter.until("the search fails", failed).await;
        assert_eq!(states(&scrape, vendor), counts(2, 0, 0), "{vendor:?}");
        exporter.stop().await;
    }
}

#[tokio::test]
async fn a_configured_id_that_does_not_exist_is_gone() {
    join_all(VENDORS.map(misspell)).await;
}

async fn misspell(vendor: Vendor) {
    let cloud = clouds().await;
    cloud.add_instance(hourly_at(vendor, "db-orders"));
    let configuration = Configuration::at(vendor, &cloud, &["db-orders", "db-misspelt"]);
    let exporter = Exporter::start(&configuration).await;
    let scrape = exporter.ready().await;
    let [monitored, _, gone] = states(&scrape, vendor);
    assert_eq!((monitored, gone), (Some(1.0), Some(1.0)), "{vendor:?}");
    for listing in ["cross_region", "local", "policy"] {
        assert_eq!(
            scrape.poll_success("db-orders", listing),
            Some(1.0),
            "{vendor:?} {listing}"
        );
    }
    let log = exporter.stop().await;
    let told = log
        .lines()
        .filter(|line| line.contains("db-misspelt") && line.contains("listing=local"));
    assert_eq!(told.count(), 1, "{vendor:?} {log}");
}

#[tokio::test]
async fn a_named_instance_may_be_found_as_well_and_keeps_what_was_said_of_it() {
    let cloud = clouds().await;
    for id in ["db-orders", "db-payments"] {
        cloud.add_instance(hourly_at(Vendor::Alibaba, id));
    }
    let mut configuration =
        Configuration::searching(Vendor::Alibaba, &cloud, ", exclude: [orders]");
    let more = "name: told, objectives: {recovery_point: 4h}";
    configuration.instances = vec![("db-orders".into(), "cn-hangzhou".into(), more.into())];
    let exporter = Exporter::start(&configuration).await;
    let scrape = exporter.ready().await;
    assert_eq!(states(&scrape, Vendor::Alibaba), counts(2, 0, 0));
    let labels = [("instance_id", "db-orders"), ("name", "told")];
    assert_eq!(
        scrape.value("cloud_backup_instance_info", &labels),
        Some(1.0)
    );
    let objective = |id| {
        let labels = [("instance_id", id), ("objective", "recovery_point")];
        scrape.value("cloud_backup_objective_seconds", &labels)
    };
    assert_eq!(objective("db-orders"), Some(4.0 * 3600.0));
    assert_eq!(objective("db-payments"), Some(26.0 * 3600.0));
    exporter.stop().await;
}

#[tokio::test]
async fn what_only_the_destination_still_lists_is_counted_as_gone() {
    let cloud = clouds().await;
    for id in ["db-orders", "db-deleted"] {
        cloud.add_instance(hourly_at(Vendor::Huawei, id));
    }
    assert!(cloud.release_instance("db-deleted"));
    let exporter = Exporter::start(&Configuration::searching(Vendor::Huawei, &cloud, "")).await;
    let is_counted = |scrape: &Scrape| states(scrape, Vendor::Huawei) == counts(1, 0, 1);
    exporter
        .until("the deleted instance is counted", is_counted)
        .await;
    let report = exporter.text("/api/v1/instances").await;
    assert!(report.contains("db-deleted"), "{report}");
    exporter.stop().await;
}

#[tokio::test]
async fn an_account_without_instances_is_ready_and_says_that_it_has_none() {
    let cloud = clouds().await;
    let exporter = Exporter::start(&Configuration::searching(Vendor::Alibaba, &cloud, "")).await;
    let scrape = exporter.ready().await;
    assert_eq!(states(&scrape, Vendor::Alibaba), counts(0, 0, 0));
    assert!(exporter.text("/-/ready").await.contains("1 of 1 regions"));
    exporter.stop().await;
}

#[tokio::test]
async fn a_reload_may_change_what_is_watched_of_what_is_found() {
    let cloud = clouds().await;
    for id in ["db-orders", "db-payments"] {
        cloud.add_instance(hourly_at(Vendor::Alibaba, id));
    }
    let mut configuration = Configuration::searching(Vendor::Alibaba, &cloud, "");
    configuration.poll = "interval: 1h".to_owned();
    let exporter = Exporter::start(&configuration).await;
    exporter.ready().await;
    cloud.clear_requests();
    let exclude = ", exclude: [payments]";
    let narrower = Configuration::searching(Vendor::Alibaba, &cloud, exclude);
    configuration.more_keys = narrower.more_keys;
    exporter.configure(&configuration);
    exporter.signal("HUP");
    let has_left = |scrape: &Scrape| !is_known(scrape, "db-payments");
    let scrape = exporter.until("what is excluded has left", has_left).await;
    assert_eq!(states(&scrape, Vendor::Alibaba), counts(1, 1, 0));
    assert_eq!(scrape.poll_success("db-orders", "local"), Some(1.0));
    // But for the policies, which several instances have shared.
    let asked = cloud
        .requests()
        .into_iter()
        .map(|request| request.operation);
    let asked: Vec<_> = asked
        .filter(|operation| operation != "DescribeCrossRegionBackupDBInstance")
        .collect();
    assert_eq!(asked, Vec::<String>::new());
    exporter.stop().await;
}
