//! Never faster than the account allows, and not at all while the vendor wants a pause.

use std::time::Duration;

use sim::{Fault, FaultKind, ThrottleHeader};

use super::harness::{Configuration, Exporter, cloud, hourly, patiently};

fn ids(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("rm-{number}")).collect()
}

#[tokio::test]
async fn a_throttled_account_is_asked_no_more_than_the_vendor_wants() {
    for header in [
        ThrottleHeader::RetryAfterMillis,
        ThrottleHeader::RateLimitUser,
        ThrottleHeader::RateLimitUserApi,
    ] {
        let cloud = cloud().await;
        let ids = ids(10);
        for id in &ids {
            cloud.add_instance(hourly(id));
        }
        let name = format!("{header:?}");
        let retry_after = Some(Duration::from_secs(60));
        cloud.inject(Fault::new(FaultKind::Throttle {
            retry_after,
            header,
        }));
        let ids: Vec<_> = ids.iter().map(String::as_str).collect();
        let exporter = Exporter::start(&Configuration::of(&cloud, &ids)).await;
        let scrape = exporter.ready().await;
        assert_eq!(scrape.sum("cloud_backup_poll_success", &[]), 0.0, "{name}");
        exporter
            .until("three intervals go by", |scrape| {
                scrape.poll_failures("local", "throttled") >= 30.0
            })
            .await;
        // The first request of the trial, and those that were in flight when the lane closed.
        let asked = cloud.requests().len();
        assert!(asked <= 16, "{name}: {asked} requests");
        exporter.stop().await;
    }
}

#[tokio::test]
async fn a_throttled_account_without_a_hint_is_asked_less_and_less() {
    let cloud = cloud().await;
    cloud.add_instance(hourly("rm-orders"));
    cloud.inject(Fault::new(FaultKind::Throttle {
        retry_after: None,
        header: ThrottleHeader::None,
    }));
    let exporter = Exporter::start(&Configuration::of(&cloud, &["rm-orders"])).await;
    exporter
        .until("five failed polls", |scrape| {
            scrape.poll_failures("local", "throttled") >= 5.0
        })
        .await;
    // Without a pause, five polls of two listings with four attempts each would be 40.
    let asked = cloud.requests().len();
    assert!(asked <= 30, "{asked} requests");
    cloud.clear_faults();
    exporter
        .until("it passes", |scrape| {
            scrape.poll_success("rm-orders", "local") == Some(1.0)
        })
        .await;
    exporter.stop().await;
}

#[tokio::test]
async fn an_account_that_keeps_its_rate_is_never_refused_by_an_honest_gateway() {
    let cloud = cloud().await;
    let ids = ids(4);
    for id in &ids {
        cloud.add_instance(hourly(id));
    }
    cloud.set_rate_limit("test", Some(30));
    let ids: Vec<_> = ids.iter().map(String::as_str).collect();
    let mut configuration = Configuration::of(&cloud, &ids);
    configuration.rate_limit = "20/m".to_owned();
    configuration.poll = "interval: 1h, lookback: 8d".to_owned();
    let exporter = Exporter::start(&configuration).await;
    patiently("three calls", cloud.wait_for_requests(3)).await;
    let throttled = cloud
        .requests()
        .iter()
        .filter(|request| request.verdict.code.as_deref() == Some("Throttling.User"))
        .count();
    assert_eq!(throttled, 0);
    exporter.stop().await;
}

#[tokio::test]
async fn calls_that_only_stand_in_line_do_not_hold_up_the_end() {
    let cloud = cloud().await;
    let ids = ids(20);
    for id in &ids {
        cloud.add_instance(sim::Instance::new(id, "cn-hangzhou").account("test"));
    }
    let ids: Vec<_> = ids.iter().map(String::as_str).collect();
    let mut configuration = Configuration::of(&cloud, &ids);
    configuration.rate_limit = "1/s".to_owned();
    configuration.poll = "interval: 1h".to_owned();
    let exporter = Exporter::start(&configuration).await;
    patiently("two calls", cloud.wait_for_requests(2)).await;
    let log = exporter.stop().await;
    for held_up in ["stopped while listings", "cannot be read"] {
        assert!(!log.contains(held_up), "{log}");
    }
}
