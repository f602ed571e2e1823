//! Huawei Cloud RDS: copies are read where they are kept, keys are not locked, odd answers are no empty listings.

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::future::join_all;
use serde_json::json;
use sim::huawei::{Oddity, Shape};
use sim::{Cloud, Engine, Fault, FaultKind, ThrottleHeader, Vendor};

use super::harness::{Configuration, Exporter, account_of, clouds, hourly_at, key_of};
use super::trial::Trial;

const HOME: &str = "cn-north-4";
const AWAY: &str = "cn-east-3";
const TIMESTAMP: &str = "cloud_backup_last_success_timestamp_seconds";
const COPY: [(&str, &str); 3] = [
    ("scope", "cross_region"),
    ("backup_region", AWAY),
    ("backup_type", "full"),
];

/// The regions in which an operation was asked.
fn regions_of(cloud: &Cloud, operation: &str) -> BTreeSet<String> {
    cloud
        .requests()
        .into_iter()
        .filter(|request| request.operation == operation)
        .filter_map(|request| request.region)
        .collect()
}

fn set(region: &str) -> BTreeSet<String> {
    [region.to_owned()].into()
}

#[tokio::test]
async fn copies_are_read_in_their_destination_and_never_where_they_come_from() {
    let cloud = clouds().await;
    cloud.add_instance(hourly_at(Vendor::Huawei, "i1in01"));
    let mut configuration = Configuration::at(Vendor::Huawei, &cloud, &["i1in01"]);
    configuration.instances[0].2 = format!("backup_regions: [{AWAY}]");
    let exporter = Exporter::start(&configuration).await;
    let scrape = exporter.ready().await;

    assert_eq!(regions_of(&cloud, "ListOffSiteBackups"), set(AWAY));
    assert_eq!(regions_of(&cloud, "ListBackups"), set(HOME));
    assert_eq!(regions_of(&cloud, "ListOffSiteRestoreTimes"), set(AWAY));
    assert_eq!(regions_of(&cloud, "ListRestoreTimes"), set(HOME));
    assert_eq!(cloud.request_count("KeystoneListProjects"), 0);
    let age = scrape.value("cloud_backup_last_success_age_seconds", &COPY);
    assert!(age.is_some_and(|age| age < 4500.0), "{age:?}");
    // Logs make the recovery point newer than any full set.
    let place = [("scope", "cross_region"), ("backup_region", AWAY)];
    let point = scrape.value("cloud_backup_recovery_point_age_seconds", &place);
    assert!(point.is_some_and(|age| age < 1500.0), "{point:?}");
    let logs = [
        COPY[0],
        COPY[1],
        ("backup_type", "log"),
        ("status", "completed"),
    ];
    let logs = scrape.value("cloud_backup_sets", &logs).unwrap();
    assert!((15.0..=24.0).contains(&logs), "within two hours: {logs}");
    for objective in ["recovery_point", "backup_age", "copy_delay", "retention"] {
        let met = scrape.value("cloud_backup_objective_met", &[("objective", objective)]);
        assert_eq!(met, Some(1.0), "{objective}");
    }
    let info = [
        ("provider", "huawei"),
        ("product", "rds"),
        ("engine", "mysql"),
        ("engine_version", "8.0"),
    ];
    assert_eq!(scrape.value("cloud_backup_instance_info", &info), Some(1.0));
    assert_eq!(cloud.unexpected(), Vec::<String>::new());
    exporter.stop().await;
}

#[tokio::test]
async fn the_destination_is_asked_of_the_policy_once_and_its_project_with_it() {
    let cloud = clouds().await;
    cloud.add_instance(hourly_at(Vendor::Huawei, "i1in01"));
    cloud.add_instance(hourly_at(Vendor::Huawei, "i2in01"));
    cloud.switch_policy_off("i2in01");
    let mut configuration = Configuration::at(Vendor::Huawei, &cloud, &["i1in01", "i2in01"]);
    let home = sim::huawei::project_id(account_of(Vendor::Huawei), HOME);
    configuration.more_keys = vec![format!("projects: {{{HOME}: \"{home}\"}}")];
    let exporter = Exporter::start(&configuration).await;
    exporter.ready().await;
    cloud.clear_requests();
    let scrape = exporter
        .until("a few polls more", |_| {
            cloud.request_count("ListOffSiteBackups") >= 4
        })
        .await;

    assert_eq!(
        cloud.request_count("ShowOffSiteBackupPolicy"),
        0,
        "remembered"
    );
    assert_eq!(regions_of(&cloud, "ListOffSiteBackups"), set(AWAY));
    assert_eq!(cloud.request_count("KeystoneListProjects"), 0);
    assert!(
        scrape
            .value(
                TIMESTAMP,
                &[("instance_id", "i1in01"), COPY[0], COPY[1], COPY[2]]
            )
            .is_some()
    );
    // The policy of the second is off: nothing is copied, and that is an explicit zero without a region.
    let off = [
        ("instance_id", "i2in01"),
        COPY[0],
        ("backup_region", ""),
        ("status", "completed"),
    ];
    assert_eq!(scrape.value("cloud_backup_sets", &off), Some(0.0));
    let met = [("instance_id", "i2in01"), ("objective", "recovery_point")];
    assert_eq!(scrape.value("cloud_backup_objective_met", &met), Some(0.0));
    assert_eq!(scrape.poll_success("i2in01", "cross_region"), Some(1.0));
    assert_eq!(cloud.unexpected(), Vec::<String>::new());
}

#[tokio::test]
async fn projects_that_are_not_configured_are_asked_of_iam_once() {
    let cloud = clouds().await;
    let ids = ["i1in01", "i2in01", "i3in01"];
    for id in ids {
        cloud.add_instance(hourly_at(Vendor::Huawei, id));
    }
    let mut configuration = Configuration::at(Vendor::Huawei, &cloud, &ids);
    let iam = format!("iam_endpoint: {}", cloud.url_of(Vendor::Huawei));
    configuration.more_keys = vec![iam];
    for instance in &mut configuration.instances {
        instance.2 = format!("backup_regions: [{AWAY}]");
    }
    let exporter = Exporter::start(&configuration).await;
    let scrape = exporter.ready().await;
    assert_eq!(scrape.sum("cloud_backup_poll_failures_total", &[]), 0.0);
    // One for each region, however many instances and listings want to know.
    assert_eq!(cloud.request_count("KeystoneListProjects"), 2);
    assert_eq!(cloud.unexpected(), Vec::<String>::new());

    // Two projects of the name: which is meant is for people to say.
    cloud.add_huawei_project(
        account_of(Vendor::Huawei),
        sim::Project {
            id: Some("ffffffffffffffffffffffffffffffff".to_owned()),
            ..sim::Project::new(AWAY)
        },
    );
    let exporter = Exporter::start(&configuration).await;
    let scrape = exporter.ready().await;
    assert_eq!(scrape.poll_success("i1in01", "local"), Some(1.0));
    assert_eq!(scrape.poll_success("i1in01", "cross_region"), Some(0.0));
    let log = exporter.stop().await;
    assert!(log.contains("say which in `projects`"), "{log}");
}

#[tokio::test]
async fn manual_and_differential_sets_are_local_sets_too() {
    let cloud = clouds().await;
    let mut erp = hourly_at(Vendor::Huawei, "erpin04").engine(Engine::SqlServer, "2019_SE");
    erp.schedule.as_mut().unwrap().full_every = 4;
    cloud.add_instance(erp);
    let by_hand = cloud.clock().world() - Duration::from_secs(1000);
    cloud.add_huawei_manual_backup("erpin04", by_hand);
    let mut configuration = Configuration::at(Vendor::Huawei, &cloud, &["erpin04"]);
    configuration.instances[0].2 = format!("backup_regions: [{AWAY}]");
    let exporter = Exporter::start(&configuration).await;
    let scrape = exporter.ready().await;
    for (backup_type, least) in [("full", 180.0), ("incremental", 500.0)] {
        let labels = [
            ("scope", "local"),
            ("backup_type", backup_type),
            ("status", "completed"),
        ];
        let sets = scrape.value("cloud_backup_sets", &labels).unwrap();
        assert!(sets > least, "{backup_type}: {sets}");
    }
    assert!(cloud.requests().iter().any(|request| {
        request.params.get("backup_type").map(String::as_str) == Some("fragment")
    }));
    let local_logs = [("scope", "local"), ("backup_type", "log")];
    assert_eq!(scrape.all("cloud_backup_sets", &local_logs).count(), 0);
    assert_eq!(cloud.unexpected(), Vec::<String>::new());
}

async fn check(fault: FaultKind, reason: &str) {
    let trial = Trial {
        vendor: Vendor::Huawei,
        operation: "ListOffSiteBackups",
        listing: "cross_region",
        other: "local",
        scope: "cross_region",
        instance_keys: "backup_regions: [cn-east-3], listings: [cross_region, local]",
        // The quota is that of the account and counted by the minute.
        longest_pause: Duration::from_secs(60),
    };
    trial.of(fault, reason).await;
}

fn refusal(shape: Shape, status: u16, code: &str) -> FaultKind {
    FaultKind::Huawei(Oddity::refusal(shape, status, code, "Something is wrong."))
}

#[tokio::test]
async fn an_answer_that_is_no_list_is_malformed_and_never_zero_backups() {
    let malformed = [
        FaultKind::Html200,
        FaultKind::EmptyObject,
        FaultKind::Null,
        FaultKind::Huawei(Oddity::NullList),
        FaultKind::TruncatedJson,
        FaultKind::Redirect("https://portal.example.invalid/".to_owned()),
    ];
    let mut faults: Vec<_> = malformed.map(|fault| (fault, "malformed")).into();
    faults.push((FaultKind::Truncated, "network"));
    faults.push((FaultKind::Hang, "timeout"));
    join_all(
        faults
            .into_iter()
            .map(|(fault, reason)| check(fault, reason)),
    )
    .await;
}

#[tokio::test]
async fn an_error_has_its_class_whatever_its_shape() {
    let faults = [
        (Shape::Service, 403, "DBS.200010", "permission"),
        (Shape::External, 400, "DBS.280001", "bad_request"),
        (Shape::CamelCase, 404, "DBS.200002", "not_found"),
        (Shape::Plain, 500, "DBS.200005", "server"),
        (Shape::Text, 502, "", "server"),
        (Shape::Empty, 503, "", "server"),
        (Shape::Empty, 429, "", "throttled"),
        (Shape::Gateway, 429, "APIGW.0308", "throttled"),
    ]
    .map(|(shape, status, code, reason)| check(refusal(shape, status, code), reason));
    join_all(faults).await;
}

#[tokio::test]
async fn a_throttled_call_waits_as_long_as_the_gateway_says() {
    let cloud = clouds().await;
    cloud.add_instance(hourly_at(Vendor::Huawei, "i1in01"));
    cloud.inject(
        Fault::new(FaultKind::Throttle {
            retry_after: Some(Duration::from_secs(1)),
            header: ThrottleHeader::RetryAfter,
        })
        .times(1),
    );
    let mut configuration = Configuration::at(Vendor::Huawei, &cloud, &["i1in01"]);
    configuration.poll = "interval: 20s, timeout: 5m".to_owned();
    configuration.instances[0].2 = format!("backup_regions: [{AWAY}]");
    let exporter = Exporter::start(&configuration).await;
    let scrape = exporter.ready().await;
    assert_eq!(scrape.sum("cloud_backup_poll_failures_total", &[]), 0.0);
    let refused = [("reason", "throttled")];
    assert_eq!(
        scrape.sum("cloud_backup_api_request_failures_total", &refused),
        1.0
    );
    let requests = cloud.requests();
    let waited = requests[1].at - requests[0].at;
    assert!(waited >= chrono::Duration::milliseconds(990), "{waited}");
}

#[tokio::test]
async fn a_wrong_secret_costs_one_signature_where_six_would_lock_the_key() {
    let cloud = clouds().await;
    let ids = ["i1in01", "i2in01", "i3in01"];
    for id in ids {
        cloud.add_instance(hourly_at(Vendor::Huawei, id));
    }
    let (key_id, secret) = key_of(Vendor::Huawei);
    cloud.set_secret(key_id, "another");
    let mut configuration = Configuration::at(Vendor::Huawei, &cloud, &ids);
    configuration.poll = "interval: 1h, timeout: 5m".to_owned();
    let exporter = Exporter::start(&configuration).await;
    let scrape = exporter.ready().await;
    // Fifteen listings wanted to be read; one signature was tried.
    assert_eq!(cloud.requests().len(), 1, "{:?}", cloud.requests());
    assert_eq!(
        scrape.sum(
            "cloud_backup_poll_failures_total",
            &[("reason", "credentials")]
        ),
        15.0
    );
    let log = exporter.stop().await;
    assert!(log.contains("APIGW.0301"), "{log}");
    assert!(!log.contains(secret), "{log}");

    // What it is spared: an eager client with the same wrong secret is locked out by its sixth signature.
    let mut last = None;
    for _ in 0..7 {
        last = Some(sign_wrongly(&cloud).await);
    }
    assert!(
        last.unwrap()
            .contains("AK access failed to reach the limit")
    );
}

/// Asks with a signature that is none, and tells what the gateway says.
async fn sign_wrongly(cloud: &Cloud) -> String {
    let project = sim::huawei::project_id(account_of(Vendor::Huawei), HOME);
    let date = cloud.clock().now().format("%Y%m%dT%H%M%SZ").to_string();
    let (key_id, _) = key_of(Vendor::Huawei);
    let url = cloud.url_of(Vendor::Huawei);
    let request = super::harness::client()
        .get(format!("{url}/v3/{project}/instances"))
        .header("x-sdk-date", date)
        .header(
            "authorization",
            format!(
                "SDK-HMAC-SHA256 Access={key_id}, SignedHeaders=host;x-sdk-date, Signature={}",
                "0".repeat(64)
            ),
        );
    request.send().await.unwrap().text().await.unwrap()
}

#[tokio::test]
async fn odd_rows_are_counted_and_hide_no_good_ones() {
    let cloud = clouds().await;
    cloud.add_instance(hourly_at(Vendor::Huawei, "i1in01"));
    let hours_ago = |hours| {
        let time = cloud.clock().world() - chrono::Duration::hours(hours);
        time.format("%Y-%m-%dT%H:%M:%S+0000").to_string()
    };
    let (begun, ended) = (hours_ago(3), hours_ago(2));
    for row in [
        json!({"id": "odd1", "type": "auto", "status": "ARCHIVED", "size": 1, "instance_id": "i1in01",
               "begin_time": begun, "end_time": ended}),
        json!({"id": "odd2", "type": "auto", "status": "COMPLETED", "size": -1, "instance_id": "i1in01",
               "begin_time": begun, "end_time": "yesterday"}),
        json!({"id": "odd3", "type": "auto", "status": "COMPLETED", "size": 1, "instance_id": "another",
               "begin_time": begun, "end_time": ended}),
    ] {
        assert!(cloud.add_huawei_offsite_row("i1in01", AWAY, row));
    }
    let mut configuration = Configuration::at(Vendor::Huawei, &cloud, &["i1in01"]);
    configuration.instances[0].2 = format!("backup_regions: [{AWAY}], listings: [cross_region]");
    let exporter = Exporter::start(&configuration).await;
    let scrape = exporter.ready().await;
    assert!(scrape.value(TIMESTAMP, &COPY).is_some());
    for kind in ["unknown_status", "bad_time", "bad_size", "foreign_instance"] {
        let counted = scrape.sum("cloud_backup_anomalies_total", &[("kind", kind)]);
        assert!(counted >= 1.0, "{kind}: {counted}");
    }
}
