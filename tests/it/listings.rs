//! What a healthy account looks like, and what becomes of odd instances.

use std::fmt::Write as _;

use sim::{CrossRegionSet, Fault, FaultKind, Instance, LocalSet};

use super::harness::{Configuration, Exporter, cloud, hourly, hourly_in};

#[tokio::test]
async fn a_healthy_instance_meets_its_objectives_and_shows_every_copy() {
    let cloud = cloud().await;
    cloud.add_instance(hourly("rm-orders"));
    let mut configuration = Configuration::of(&cloud, &["rm-orders"]);
    configuration.instances[0].2 = "name: orders, backup_regions: [cn-shanghai]".to_owned();
    let exporter = Exporter::start(&configuration).await;
    let scrape = exporter.ready().await;

    let local = [("scope", "local"), ("backup_region", "cn-hangzhou")];
    let copied = [("scope", "cross_region"), ("backup_region", "cn-shanghai")];
    for place in [local, copied] {
        let full = [place[0], place[1], ("backup_type", "full")];
        let value = |name| scrape.value(name, &full).unwrap();
        let age = value("cloud_backup_last_success_age_seconds");
        assert!((0.0..3800.0).contains(&age), "{place:?} {age}");
        assert!(value("cloud_backup_last_success_size_bytes") > 0.0);
        let point = scrape.value("cloud_backup_recovery_point_age_seconds", &place);
        // What is copied of the log is newer than the newest set, unless that has only just come.
        let point = point.unwrap();
        let is_good = if place == copied {
            point < 1500.0
        } else {
            point >= age
        };
        assert!(is_good, "{place:?} {point} {age}");
        let completed = [place[0], place[1], full[2], ("status", "completed")];
        let sets = scrape.value("cloud_backup_sets", &completed).unwrap();
        assert_eq!(sets, 744.0, "{place:?}");
    }
    for objective in ["recovery_point", "backup_age", "copy_delay", "retention"] {
        let met = scrape.value("cloud_backup_objective_met", &[("objective", objective)]);
        assert_eq!(met, Some(1.0), "{objective}");
    }
    let info = [
        ("provider", "alibaba"),
        ("account", "test"),
        ("source_region", "cn-hangzhou"),
        ("instance_id", "rm-orders"),
        ("product", "rds"),
        ("engine", "mysql"),
        ("engine_version", "8.0"),
        ("name", "orders"),
    ];
    assert_eq!(scrape.value("cloud_backup_instance_info", &info), Some(1.0));
    assert_eq!(cloud.unexpected(), Vec::<String>::new());
    exporter.stop().await;
}

#[tokio::test]
async fn the_rows_of_the_vendors_own_pages_become_the_facts_that_a_reader_would_name() {
    let cloud = cloud().await;
    cloud.add_instance(Instance::new("rm-sample", "cn-hangzhou").account("test"));
    let start = cloud.clock().world() - chrono::Duration::hours(2);
    let end = start + chrono::Duration::minutes(2);
    cloud.add_local_set("rm-sample", LocalSet::completed(start, end));
    cloud.add_cross_region_set(
        "rm-sample",
        CrossRegionSet {
            size: "2179643".into(),
            status: None,
            restore_regions: serde_json::json!({"RestoreRegion": ["\"cn-hangzhou\", \"cn-zhangjiakou\""]}),
            ..CrossRegionSet::completed("cn-zhangjiakou", start, end)
        },
    );
    cloud.add_cross_region_set(
        "rm-sample",
        CrossRegionSet {
            status: Some(7.into()),
            ..CrossRegionSet::completed("cn-zhangjiakou", start, end)
        },
    );
    let exporter = Exporter::start(&Configuration::of(&cloud, &["rm-sample"])).await;
    let scrape = exporter.ready().await;
    let copy = [
        ("scope", "cross_region"),
        ("backup_region", "cn-zhangjiakou"),
    ];
    let value = |name| scrape.value(name, &copy);
    assert_eq!(
        value("cloud_backup_last_success_size_bytes"),
        Some(2_179_643.0)
    );
    assert_eq!(
        value("cloud_backup_last_success_duration_seconds"),
        Some(120.0)
    );
    let unknown = [copy[0], copy[1], ("status", "unknown")];
    assert_eq!(scrape.value("cloud_backup_sets", &unknown), Some(1.0));
    for region in ["cn-hangzhou", "cn-zhangjiakou"] {
        let restorable = [("restore_region", region)];
        assert_eq!(
            scrape.value("cloud_backup_restorable_sets", &restorable),
            Some(1.0)
        );
    }
    let odd = [("kind", "unknown_status"), ("listing", "cross_region")];
    assert!(scrape.value("cloud_backup_anomalies_total", &odd) >= Some(1.0));
    exporter.stop().await;
}

#[tokio::test]
async fn an_instance_that_was_never_backed_up_is_an_explicit_zero_and_has_no_time() {
    let cloud = cloud().await;
    cloud.add_instance(Instance::new("rm-never", "cn-hangzhou").account("test"));
    let mut configuration = Configuration::of(&cloud, &["rm-never"]);
    configuration.instances[0].2 = "backup_regions: [cn-shanghai]".to_owned();
    let exporter = Exporter::start(&configuration).await;
    let scrape = exporter.ready().await;
    for place in [
        [("scope", "local"), ("backup_region", "cn-hangzhou")],
        [("scope", "cross_region"), ("backup_region", "cn-shanghai")],
    ] {
        for status in ["completed", "failed"] {
            let zero = [
                place[0],
                place[1],
                ("status", status),
                ("backup_type", "full"),
            ];
            assert_eq!(scrape.value("cloud_backup_sets", &zero), Some(0.0));
        }
        assert_eq!(scrape.value("cloud_backup_stored_bytes", &place), Some(0.0));
    }
    for absent in [
        "cloud_backup_last_success_timestamp_seconds",
        "cloud_backup_last_success_age_seconds",
        "cloud_backup_recovery_point_age_seconds",
        "cloud_backup_last_attempt_success",
    ] {
        assert_eq!(scrape.all(absent, &[]).count(), 0, "{absent}");
    }
    for (objective, met) in [
        ("recovery_point", 0.0),
        ("backup_age", 0.0),
        ("copy_delay", 1.0),
        ("retention", 0.0),
    ] {
        let verdict = scrape.value("cloud_backup_objective_met", &[("objective", objective)]);
        assert_eq!(verdict, Some(met), "{objective}");
    }
    exporter.stop().await;
}

#[tokio::test]
async fn a_copy_that_stops_shows_as_uncopied_sets_while_local_backups_go_on() {
    let cloud = cloud().await;
    cloud.add_instance(Instance::new("rm-orders", "cn-hangzhou").account("test"));
    let set = |hours| {
        let start = cloud.clock().world() - chrono::Duration::hours(hours);
        (start, start + chrono::Duration::minutes(2))
    };
    let (start, end) = set(3);
    cloud.add_local_set("rm-orders", LocalSet::completed(start, end));
    let copied = end + chrono::Duration::minutes(10);
    cloud.add_cross_region_set(
        "rm-orders",
        CrossRegionSet::completed("cn-shanghai", start, copied),
    );
    let mut configuration = Configuration::of(&cloud, &["rm-orders"]);
    configuration.instances[0].2 =
        "backup_regions: [cn-shanghai], objectives: {copy_delay: 30m}".to_owned();
    let exporter = Exporter::start(&configuration).await;
    let scrape = exporter.ready().await;
    let uncopied = "cloud_backup_uncopied_sets";
    let shanghai = [("backup_region", "cn-shanghai")];
    let copy_delay = [("objective", "copy_delay")];
    assert_eq!(scrape.value(uncopied, &shanghai), Some(0.0));
    assert_eq!(
        scrape.value("cloud_backup_objective_met", &copy_delay),
        Some(1.0)
    );

    let (start, end) = set(1);
    cloud.add_local_set("rm-orders", LocalSet::completed(start, end));
    let scrape = exporter
        .until("an uncopied set", |scrape| {
            scrape.value(uncopied, &shanghai) == Some(1.0)
        })
        .await;
    assert_eq!(
        scrape.value("cloud_backup_objective_met", &copy_delay),
        Some(0.0)
    );
    let oldest = scrape.value("cloud_backup_oldest_uncopied_timestamp_seconds", &shanghai);
    #[expect(clippy::cast_precision_loss, reason = "seconds are far below 2^53")]
    let end = end.timestamp() as f64;
    assert_eq!(oldest, Some(end));
    exporter.stop().await;
}

#[tokio::test]
async fn an_unsupported_instance_is_a_fact_and_not_an_outage() {
    let cloud = cloud().await;
    let mut instance = hourly("rm-cloud-disk");
    instance.cross_region_unsupported = true;
    cloud.add_instance(instance);
    let exporter = Exporter::start(&Configuration::of(&cloud, &["rm-cloud-disk"])).await;
    let scrape = exporter.ready().await;
    assert_eq!(
        scrape.poll_success("rm-cloud-disk", "cross_region"),
        Some(1.0)
    );
    assert_eq!(scrape.poll_failures("cross_region", "unsupported"), 0.0);
    assert_eq!(
        scrape.value("cloud_backup_instance_protected", &[]),
        Some(0.0)
    );
    assert_eq!(
        scrape
            .all("cloud_backup_sets", &[("scope", "cross_region")])
            .count(),
        0
    );
    let recovery_point = [("objective", "recovery_point")];
    assert_eq!(
        scrape.value("cloud_backup_objective_met", &recovery_point),
        Some(0.0)
    );
    exporter.stop().await;
}

#[tokio::test]
async fn an_instance_that_does_not_exist_is_gone_and_hides_no_other() {
    let cloud = cloud().await;
    cloud.add_instance(hourly("rm-orders"));
    let exporter = Exporter::start(&Configuration::of(&cloud, &["rm-typo", "rm-orders"])).await;
    let scrape = exporter.ready().await;
    assert_eq!(scrape.poll_success("rm-typo", "local"), Some(0.0));
    assert_eq!(scrape.poll_success("rm-orders", "local"), Some(1.0));
    assert!(scrape.poll_failures("local", "not_found") >= 1.0);
    for (state, instances) in [("monitored", 1.0), ("gone", 1.0)] {
        let state = [("state", state)];
        assert_eq!(
            scrape.value("cloud_backup_instances", &state),
            Some(instances)
        );
    }
    exporter.stop().await;
}

#[tokio::test]
async fn one_instance_that_hangs_delays_no_other() {
    let cloud = cloud().await;
    cloud.inject(Fault::new(FaultKind::Hang).instance("rm-hangs"));
    cloud.add_instance(hourly("rm-hangs"));
    cloud.add_instance(hourly("rm-orders"));
    let mut configuration =
        Configuration::of(&cloud, &["rm-hangs", "rm-orders"]).reading("cross_region, local");
    configuration.poll = "interval: 1s, timeout: 1h".to_owned();
    let exporter = Exporter::start(&configuration).await;
    exporter
        .until("the other instance is read", |scrape| {
            scrape.poll_success("rm-orders", "local") == Some(1.0)
                && scrape.poll_success("rm-orders", "cross_region") == Some(1.0)
        })
        .await;
    let ready = exporter.get("/-/ready").await;
    assert_eq!(ready.status().as_u16(), 503);
    assert_eq!(ready.text().await.unwrap(), "1 of 2 instances attempted\n");
}

#[tokio::test]
async fn an_account_whose_key_is_rejected_and_one_that_hangs_delay_no_other() {
    let cloud = cloud().await;
    let silent = super::harness::cloud().await;
    silent.inject(Fault::new(FaultKind::Hang));
    cloud.add_instance(hourly("rm-orders"));
    let mut configuration = Configuration::of(&cloud, &["rm-orders"]);
    for (name, endpoint) in [("rejected", cloud.url()), ("silent", silent.url())] {
        write!(
            configuration.more_accounts,
            "- name: {name}\n  provider: alibaba\n  endpoint: {endpoint}\n  \
             credentials: {{access_key_id: LTAIunknown, access_key_secret: x}}\n  \
             instances: [{{id: rm-other, region: cn-hangzhou}}]\n"
        )
        .unwrap();
    }
    configuration.poll = "interval: 1s, timeout: 1h".to_owned();
    let exporter = Exporter::start(&configuration).await;
    let scrape = exporter
        .until("the good account is read, the bad one is not", |scrape| {
            let rejected = [("account", "rejected"), ("reason", "credentials")];
            scrape.poll_success("rm-orders", "local") == Some(1.0)
                && scrape.poll_success("rm-orders", "cross_region") == Some(1.0)
                && scrape.sum("cloud_backup_poll_failures_total", &rejected) >= 2.0
        })
        .await;
    let of = |account| scrape.sum("cloud_backup_poll_failures_total", &[("account", account)]);
    assert_eq!((of("test"), of("silent")), (0.0, 0.0));
}

#[tokio::test]
async fn a_region_that_hangs_keeps_its_share_and_no_more() {
    let cloud = cloud().await;
    cloud.inject(Fault::new(FaultKind::Hang).region("cn-beijing"));
    let mut configuration = Configuration::of(&cloud, &[]);
    configuration.poll = "interval: 1s, timeout: 1h, max_concurrency: 4".to_owned();
    for number in 0..8 {
        for region in ["cn-beijing", "cn-hangzhou"] {
            let id = format!("rm-{region}-{number}");
            cloud.add_instance(hourly_in(&id, region));
            configuration
                .instances
                .push((id, region.to_owned(), String::new()));
        }
    }
    let exporter = Exporter::start(&configuration).await;
    exporter
        .until("the other region is read", |scrape| {
            let read = [("source_region", "cn-hangzhou")];
            scrape.sum("cloud_backup_poll_success", &read) >= 16.0
        })
        .await;
}

#[tokio::test]
async fn a_long_listing_is_read_page_by_page_and_completely() {
    let cloud = cloud().await;
    cloud.add_instance(hourly("rm-orders"));
    let mut configuration = Configuration::of(&cloud, &["rm-orders"]);
    configuration.poll = "interval: 1h".to_owned();
    let exporter = Exporter::start(&configuration).await;
    let scrape = exporter.ready().await;
    for listing in ["local", "cross_region"] {
        let labels = [("listing", listing)];
        assert_eq!(
            scrape.value("cloud_backup_listing_complete", &labels),
            Some(1.0)
        );
    }
    // 744 hourly sets of 31 days on pages of 100 rows, each asked for once.
    assert_eq!(cloud.request_count("DescribeBackups"), 8);
    assert_eq!(cloud.request_count("DescribeCrossRegionBackups"), 8);
    assert_eq!(cloud.unexpected(), Vec::<String>::new());
    exporter.stop().await;
}
