//! Never faster than the account allows, and not at all while the vendor wants a pause.

use std::time::Duration;

use sim::{Fault, FaultKind, ThrottleHeader};

use super::harness::{Configuration, Exporter, cloud, hourly, hourly_in};

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
    cloud.wait_for_requests(3).await;
    let throttled = cloud
        .requests()
        .iter()
        .filter(|request| request.verdict.code.as_deref() == Some("Throttling.User"))
        .count();
    assert_eq!(throttled, 0);
    exporter.stop().await;
}

#[tokio::test]
async fn requests_leave_evenly_spaced_also_at_the_start() {
    let cloud = cloud().await;
    let ids = ids(10);
    for id in &ids {
        cloud.add_instance(sim::Instance::new(id, "cn-hangzhou").account("test"));
    }
    let ids: Vec<_> = ids.iter().map(String::as_str).collect();
    let mut configuration = Configuration::of(&cloud, &ids).reading("cross_region, local");
    configuration.rate_limit = "10/s".to_owned();
    configuration.poll = "interval: 1h".to_owned();
    let exporter = Exporter::start(&configuration).await;
    exporter.ready().await;
    let times: Vec<_> = cloud.requests().iter().map(|request| request.at).collect();
    assert_eq!(times.len(), 20);
    let whole = (times[19] - times[0]).num_milliseconds();
    assert!(
        whole >= 1850,
        "20 requests at 10 a second within {whole} ms"
    );
    // However busy this machine is, no second sees many more than the rate: those that were late.
    for window in times.windows(16) {
        assert!((window[15] - window[0]).num_milliseconds() >= 1000);
    }
    exporter.stop().await;
}

#[tokio::test]
async fn each_listing_is_read_once_an_interval() {
    let cloud = cloud().await;
    for id in ids(3) {
        cloud.add_instance(sim::Instance::new(&id, "cn-hangzhou").account("test"));
    }
    let ids = ["rm-0", "rm-1", "rm-2"];
    let mut configuration = Configuration::of(&cloud, &ids).reading("cross_region, local");
    configuration.poll = "interval: 2s".to_owned();
    let exporter = Exporter::start(&configuration).await;
    exporter.ready().await;
    cloud.wait_for_requests(6 * 4).await;
    let requests = cloud.requests();
    let took = (requests[23].at - requests[0].at).num_milliseconds();
    // Four rounds lie three intervals apart, give or take the spread over one.
    assert!((4_000..9_000).contains(&took), "{took} ms");
    for id in ["rm-0", "rm-1", "rm-2"] {
        let times: Vec<_> = requests
            .iter()
            .filter(|request| request.instance.as_deref() == Some(id))
            .filter(|request| request.operation == "DescribeBackups")
            .map(|request| request.at)
            .collect();
        assert!(times.len() >= 3, "{id} was read {} times", times.len());
        for pair in times.windows(2) {
            let gap = (pair[1] - pair[0]).num_milliseconds();
            assert!((800..5_000).contains(&gap), "{id}: {gap} ms");
        }
    }
    let scrape = exporter.scrape().await;
    let sweep = scrape
        .value("cloud_backup_sweep_duration_seconds", &[])
        .unwrap();
    assert!(sweep < 4.0, "{sweep}");
    assert_eq!(
        scrape.value("cloud_backup_poll_interval_seconds", &[]),
        Some(2.0)
    );
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
    cloud.wait_for_requests(2).await;
    let asked = std::time::Instant::now();
    let log = exporter.stop().await;
    assert!(
        asked.elapsed() < Duration::from_secs(3),
        "{:?}",
        asked.elapsed()
    );
    assert!(!log.contains("cannot be read"), "{log}");
}

#[tokio::test]
async fn no_more_requests_are_in_flight_than_the_configuration_allows() {
    let cloud = cloud().await;
    cloud.inject(Fault::new(FaultKind::Hang));
    let mut configuration = Configuration::of(&cloud, &[]);
    configuration.poll = "interval: 1h, timeout: 1h, max_concurrency: 2".to_owned();
    for region in ["cn-beijing", "cn-hangzhou", "cn-shenzhen"] {
        for number in 0..3 {
            let id = format!("rm-{region}-{number}");
            cloud.add_instance(hourly_in(&id, region));
            configuration
                .instances
                .push((id, region.to_owned(), String::new()));
        }
    }
    let exporter = Exporter::start(&configuration).await;
    cloud.wait_for_requests(2).await;
    // Nobody knows the key yet, so a third would have left by the time that the trials are given up.
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(cloud.requests().len(), 2);
    drop(exporter);
}
