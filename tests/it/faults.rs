//! What becomes of a listing when the cloud misbehaves: the facts stay, the failure has its name, and it passes.

use std::time::Duration;

use sim::{Fault, FaultKind, ThrottleHeader, Vendor};

use super::harness::{Configuration, Exporter, Scrape, cloud, hourly};
use super::trial::Trial;

fn sets(scrape: &Scrape) -> f64 {
    scrape.sum("cloud_backup_sets", &[("status", "completed")])
}

async fn check(fault: FaultKind, reason: &str) {
    let trial = Trial {
        vendor: Vendor::Alibaba,
        operation: "DescribeBackups",
        listing: "local",
        other: "cross_region",
        scope: "local",
        instance_keys: "",
        // Each operation has a quota of its own.
        longest_pause: Duration::ZERO,
    };
    trial.of(fault, reason).await;
}

#[tokio::test]
async fn a_server_error_in_json_is_the_servers() {
    check(FaultKind::ServerErrorJson, "server").await;
}

#[tokio::test]
async fn a_server_error_in_xml_has_its_code_read() {
    // The simulator's XML says `ServiceUnavailable`, which the vendor's own tools treat as throttling.
    check(FaultKind::ServerErrorXml, "throttled").await;
}

#[tokio::test]
async fn a_server_error_of_a_gateway_in_html_is_the_servers() {
    check(FaultKind::ServerErrorHtml, "server").await;
}

#[tokio::test]
async fn an_error_code_in_a_200_is_an_error() {
    let code = "InternalError".to_owned();
    check(FaultKind::ErrorIn200 { code }, "server").await;
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_a_lost_connection() {
    check(FaultKind::Truncated, "network").await;
}

#[tokio::test]
async fn half_a_json_answer_is_malformed_and_never_zero_backups() {
    check(FaultKind::TruncatedJson, "malformed").await;
}

#[tokio::test]
async fn html_in_a_200_is_malformed() {
    check(FaultKind::Html200, "malformed").await;
}

#[tokio::test]
async fn an_empty_object_is_malformed_and_never_zero_backups() {
    check(FaultKind::EmptyObject, "malformed").await;
}

#[tokio::test]
async fn null_is_malformed_and_never_zero_backups() {
    check(FaultKind::Null, "malformed").await;
}

#[tokio::test]
async fn an_answer_without_end_is_cut_at_the_body_cap() {
    let cloud = cloud().await;
    cloud.add_instance(hourly("rm-orders"));
    cloud.inject(Fault::new(FaultKind::HugeBody(64 << 20)).operation("DescribeBackups"));
    let exporter = Exporter::start(&Configuration::of(&cloud, &["rm-orders"])).await;
    let scrape = exporter.ready().await;
    assert!(scrape.poll_failures("local", "malformed") >= 1.0);
    let peak = scrape.value("process_resident_memory_bytes", &[]).unwrap();
    assert!(peak < 100e6, "{peak}");
    let log = exporter.stop().await;
    assert!(log.contains("longer than 16 MiB"), "{log}");
}

#[tokio::test]
async fn a_connection_that_is_reset_is_the_networks() {
    check(FaultKind::Reset, "network").await;
}

#[tokio::test]
async fn an_answer_that_comes_too_late_is_a_timeout() {
    check(FaultKind::Slow(Duration::from_secs(60)), "timeout").await;
}

#[tokio::test]
async fn an_answer_that_never_comes_is_a_timeout() {
    check(FaultKind::Hang, "timeout").await;
}

#[tokio::test]
async fn a_redirect_is_refused_and_never_followed() {
    let elsewhere = cloud().await;
    check(FaultKind::Redirect(elsewhere.url()), "malformed").await;
    assert_eq!(elsewhere.requests().len(), 0);
}

#[tokio::test]
async fn a_missing_right_is_named_and_asked_for_once_an_interval() {
    let cloud = cloud().await;
    cloud.add_instance(hourly("rm-orders"));
    cloud.deny("test", "DescribeBackups");
    let mut configuration = Configuration::of(&cloud, &["rm-orders"]);
    configuration.poll = "interval: 10s".to_owned();
    let exporter = Exporter::start(&configuration).await;
    let scrape = exporter.ready().await;
    assert_eq!(scrape.poll_failures("local", "permission"), 1.0);
    assert_eq!(scrape.poll_success("rm-orders", "cross_region"), Some(1.0));
    assert_eq!(cloud.request_count("DescribeBackups"), 1);
    let log = exporter.stop().await;
    assert!(
        log.contains("the policy lacks rds:DescribeBackups"),
        "{log}"
    );
}

#[tokio::test]
async fn a_total_that_lies_makes_the_listing_incomplete_and_hides_no_row() {
    let cloud = cloud().await;
    cloud.add_instance(hourly("rm-orders"));
    let honest = {
        let exporter = Exporter::start(&Configuration::of(&cloud, &["rm-orders"])).await;
        sets(&exporter.ready().await)
    };
    for total in [0, 1, 100_000] {
        cloud.clear_faults();
        cloud.inject(Fault::new(FaultKind::WrongTotal(total)));
        let exporter = Exporter::start(&Configuration::of(&cloud, &["rm-orders"])).await;
        let scrape = exporter.ready().await;
        for listing in ["local", "cross_region"] {
            let complete = scrape.value("cloud_backup_listing_complete", &[("listing", listing)]);
            assert_eq!(complete, Some(0.0), "{total} {listing}");
            assert_eq!(
                scrape.poll_success("rm-orders", listing),
                Some(1.0),
                "{total}"
            );
        }
        assert_eq!(sets(&scrape), honest, "{total}");
    }
}

#[tokio::test]
async fn pages_that_repeat_themselves_end_and_are_counted_once() {
    let cloud = cloud().await;
    cloud.add_instance(hourly("rm-orders"));
    cloud.inject(Fault::new(FaultKind::PageLoop));
    let mut configuration = Configuration::of(&cloud, &["rm-orders"]);
    configuration.poll = "interval: 1h".to_owned();
    let exporter = Exporter::start(&configuration).await;
    let scrape = exporter.ready().await;
    assert_eq!(cloud.request_count("DescribeBackups"), 2);
    for (scope, listing) in [("local", "local"), ("cross_region", "cross_region")] {
        let full = ("backup_type", "full");
        let completed = [("scope", scope), full, ("status", "completed")];
        assert_eq!(scrape.value("cloud_backup_sets", &completed), Some(100.0));
        let duplicates = [("listing", listing), ("kind", "duplicate")];
        assert_eq!(
            scrape.value("cloud_backup_anomalies_total", &duplicates),
            Some(100.0)
        );
        let complete = scrape.value("cloud_backup_listing_complete", &[("listing", listing)]);
        assert_eq!(complete, Some(0.0));
    }
    exporter.stop().await;
}

#[tokio::test]
async fn a_failure_that_a_retry_mends_is_a_request_failure_and_no_poll_failure() {
    let cloud = cloud().await;
    cloud.add_instance(hourly("rm-orders"));
    let throttle = FaultKind::Throttle {
        retry_after: Some(Duration::from_millis(200)),
        header: ThrottleHeader::RetryAfterMillis,
    };
    cloud.inject(Fault::new(throttle).operation("DescribeBackups").times(1));
    cloud.inject(
        Fault::new(FaultKind::Reset)
            .operation("DescribeCrossRegionBackups")
            .times(1),
    );
    let mut configuration = Configuration::of(&cloud, &["rm-orders"]);
    configuration.poll = "interval: 30s".to_owned();
    let exporter = Exporter::start(&configuration).await;
    let scrape = exporter.ready().await;
    for (listing, operation, reason) in [
        ("local", "DescribeBackups", "throttled"),
        ("cross_region", "DescribeCrossRegionBackups", "network"),
    ] {
        assert_eq!(scrape.poll_success("rm-orders", listing), Some(1.0));
        assert_eq!(scrape.poll_failures(listing, reason), 0.0);
        let labels = [("operation", operation), ("reason", reason)];
        let failures = scrape.value("cloud_backup_api_request_failures_total", &labels);
        assert_eq!(failures, Some(1.0), "{operation}");
    }
    let nonces: std::collections::BTreeSet<_> = cloud
        .requests()
        .into_iter()
        .map(|request| request.nonce)
        .collect();
    assert_eq!(
        nonces.len(),
        cloud.requests().len(),
        "each attempt has a nonce of its own"
    );
    exporter.stop().await;
}
