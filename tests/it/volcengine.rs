//! Volcengine Cache for Redis: one call for a whole region where that is allowed, and its answers whatever their status.

use std::time::Duration;

use futures_util::future::join_all;
use sim::{Cloud, Fault, FaultKind, NoRows, Vendor};

use super::harness::{Configuration, Exporter, account_of, clouds, daily_at, hourly_at, key_of};
use super::trial::Trial;

const COPY: [(&str, &str); 3] = [
    ("scope", "cross_region"),
    ("backup_region", "cn-shanghai"),
    ("backup_type", "full"),
];

/// An instance with a backup a day, so that a page has room for several.
fn daily(id: &str) -> sim::Instance {
    let mut instance = daily_at(Vendor::Volcengine, id);
    instance.name = format!("cache {id}");
    instance
}

async fn with_instances(ids: &[&str]) -> (Cloud, Configuration) {
    let cloud = clouds().await;
    for id in ids {
        cloud.add_instance(daily(id));
    }
    let configuration = Configuration::at(Vendor::Volcengine, &cloud, ids);
    (cloud, configuration)
}

/// How often a parameter had this value.
fn asked(cloud: &Cloud, name: &str, value: &str) -> usize {
    let requests = cloud.requests().into_iter();
    requests
        .filter(|request| request.params.get(name).map(String::as_str) == Some(value))
        .count()
}

#[tokio::test]
async fn one_call_a_page_lists_every_instance_of_a_region() {
    let ids = ["redis-1", "redis-2", "redis-3"];
    let (cloud, mut configuration) = with_instances(&ids).await;
    // Somebody else's instance is on the same pages.
    cloud.add_instance(daily("redis-unwatched"));
    configuration.poll = "interval: 1h, timeout: 5m".to_owned();
    let exporter = Exporter::start(&configuration).await;
    let scrape = exporter.ready().await;

    // 4 instances with 31 sets each, in two listings of two pages.
    let listings = ["DescribeCrossRegionBackups", "DescribeBackups"];
    assert_eq!(listings.map(|listing| cloud.request_count(listing)), [2, 2]);
    assert_eq!(asked(&cloud, "Scope", "AccountInstances"), 4);
    for id in ids {
        let of = |labels: &[(&'static str, &'static str)]| {
            let mut all = vec![("status", "completed")];
            all.extend(labels);
            let sets = scrape.all("cloud_backup_sets", &all);
            let mine = sets.filter(|sample| sample.labels["instance_id"] == id);
            mine.map(|sample| sample.value).sum::<f64>()
        };
        assert_eq!((of(&COPY), of(&[("scope", "local")])), (31.0, 31.0), "{id}");
        let name = format!("cache {id}");
        let info = [
            ("instance_id", id),
            ("engine", "redis"),
            ("product", "redis"),
            ("name", name.as_str()),
        ];
        assert_eq!(scrape.value("cloud_backup_instance_info", &info), Some(1.0));
    }
    let unwatched = [("instance_id", "redis-unwatched")];
    assert_eq!(scrape.all("cloud_backup_sets", &unwatched).count(), 0);
    assert_eq!(cloud.unexpected(), Vec::<String>::new());
}

#[tokio::test]
async fn instances_are_read_one_by_one_where_reading_all_is_denied() {
    let ids = ["redis-1", "redis-2"];
    let (cloud, configuration) = with_instances(&ids).await;
    cloud.deny_account_wide(account_of(Vendor::Volcengine));
    let exporter = Exporter::start(&configuration).await;
    let scrape = exporter.ready().await;
    for id in ids {
        for listing in ["cross_region", "local"] {
            assert_eq!(
                scrape.poll_success(id, listing),
                Some(1.0),
                "{id} {listing}"
            );
        }
    }
    exporter
        .until("more polls", |_| {
            asked(&cloud, "Scope", "OneInstance") >= 10
        })
        .await;
    // Once for each listing; then it is known.
    assert_eq!(asked(&cloud, "Scope", "AccountInstances"), 2);
    let denied = [("reason", "permission")];
    let scrape = exporter.scrape().await;
    assert_eq!(
        scrape.sum("cloud_backup_api_request_failures_total", &denied),
        2.0
    );
    assert_eq!(scrape.sum("cloud_backup_poll_failures_total", &[]), 0.0);
    assert_eq!(cloud.unexpected(), Vec::<String>::new());
}

#[tokio::test]
async fn instances_are_read_one_by_one_where_that_takes_fewer_calls() {
    let cloud = clouds().await;
    cloud.add_instance(daily("redis-1"));
    for stranger in 0..4 {
        // 720 sets in a month each.
        cloud.add_instance(hourly_at(
            Vendor::Volcengine,
            &format!("redis-busy{stranger}"),
        ));
    }
    let configuration = Configuration::at(Vendor::Volcengine, &cloud, &["redis-1"]);
    let exporter = Exporter::start(&configuration).await;
    exporter.ready().await;
    exporter
        .until("more polls", |_| asked(&cloud, "Scope", "OneInstance") >= 6)
        .await;
    assert_eq!(asked(&cloud, "Scope", "AccountInstances"), 2);
    assert_eq!(asked(&cloud, "PageNumber", "2"), 0);
}

#[tokio::test]
async fn a_misspelt_instance_is_missing_and_hides_no_other() {
    let (_cloud, mut configuration) = with_instances(&["redis-1"]).await;
    let misspelt = ("redis-l".to_owned(), "cn-beijing".to_owned(), String::new());
    configuration.instances.push(misspelt);
    let exporter = Exporter::start(&configuration).await;
    let scrape = exporter.ready().await;
    for listing in ["cross_region", "local"] {
        assert_eq!(scrape.poll_success("redis-1", listing), Some(1.0));
        assert_eq!(scrape.poll_success("redis-l", listing), Some(0.0));
    }
    let gone = [("state", "gone")];
    assert_eq!(scrape.value("cloud_backup_instances", &gone), Some(1.0));
    let sets = [("instance_id", "redis-l")];
    assert_eq!(scrape.all("cloud_backup_sets", &sets).count(), 0);
}

async fn check(fault: FaultKind, reason: &str) {
    let trial = Trial {
        vendor: Vendor::Volcengine,
        operation: "DescribeBackups",
        listing: "local",
        other: "cross_region",
        scope: "local",
        instance_keys: "",
        longest_pause: Duration::from_secs(1),
    };
    trial.of(fault, reason).await;
}

fn error(status: u16, code: &str) -> FaultKind {
    FaultKind::Error {
        status,
        code: code.to_owned(),
        message: "Something is wrong.".to_owned(),
    }
}

#[tokio::test]
async fn an_answer_that_is_not_the_vendors_is_malformed_and_never_zero_backups() {
    let malformed = [
        FaultKind::Html200,
        FaultKind::EmptyObject,
        FaultKind::Null,
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
async fn an_error_is_classified_by_its_code_before_its_status() {
    let in_200 = |code: &str| FaultKind::ErrorIn200 {
        code: code.to_owned(),
    };
    let faults = [
        (error(400, "InternalError"), "server"),
        (error(400, "InstanceNotExist"), "not_found"),
        (error(400, "ParamError"), "bad_request"),
        (error(400, "FlowLimitExceeded"), "throttled"),
        (error(403, "LackPolicy"), "permission"),
        (error(500, "InternalError"), "server"),
        (error(404, "InvalidActionOrVersion"), "not_found"),
        (in_200("InternalError"), "server"),
        (
            FaultKind::BareError {
                status: 500,
                code: "internal_error".to_owned(),
                message: "Something is wrong.".to_owned(),
            },
            "server",
        ),
    ];
    join_all(faults.map(|(fault, reason)| check(fault, reason))).await;
}

#[tokio::test]
async fn a_400_that_passes_by_itself_is_mended_by_asking_again() {
    let (cloud, mut configuration) = with_instances(&["redis-1"]).await;
    configuration.poll = "interval: 30s, timeout: 5m".to_owned();
    cloud.inject(Fault::new(error(400, "InternalError")).times(1));
    let exporter = Exporter::start(&configuration).await;
    let scrape = exporter.ready().await;
    assert_eq!(scrape.sum("cloud_backup_poll_failures_total", &[]), 0.0);
    let failed = [("reason", "server")];
    assert_eq!(
        scrape.sum("cloud_backup_api_request_failures_total", &failed),
        1.0
    );
}

#[tokio::test]
async fn no_list_is_an_empty_one() {
    for shape in [
        NoRows::NullList,
        NoRows::NoList,
        NoRows::NullResult,
        NoRows::NoResult,
    ] {
        let (cloud, configuration) = with_instances(&["redis-1"]).await;
        cloud.inject(Fault::new(FaultKind::NoRows(shape)).operation("DescribeCrossRegionBackups"));
        let exporter = Exporter::start(&configuration).await;
        let scrape = exporter.ready().await;
        assert_eq!(
            scrape.poll_success("redis-1", "cross_region"),
            Some(1.0),
            "{shape:?}"
        );
        let none = [
            ("scope", "cross_region"),
            ("backup_region", "cn-shanghai"),
            ("status", "completed"),
        ];
        assert_eq!(
            scrape.value("cloud_backup_sets", &none),
            Some(0.0),
            "{shape:?}"
        );
    }
}

#[tokio::test]
async fn a_wrong_secret_costs_one_call_an_interval() {
    let (cloud, mut configuration) = with_instances(&["redis-1", "redis-2"]).await;
    configuration.poll = "interval: 1h, timeout: 5m".to_owned();
    cloud.set_secret(key_of(Vendor::Volcengine).0, "another");
    let exporter = Exporter::start(&configuration).await;
    let scrape = exporter.ready().await;
    assert_eq!(cloud.requests().len(), 1, "{:?}", cloud.requests());
    assert_eq!(
        scrape.sum(
            "cloud_backup_poll_failures_total",
            &[("reason", "credentials")]
        ),
        8.0
    );
}
