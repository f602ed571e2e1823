//! When requests leave.

use std::time::Duration;

use sim::{Fault, FaultKind, Instance};

use super::alone;
use super::harness::{Configuration, Exporter, cloud, hourly_in, patiently};

fn ids(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("rm-{number}")).collect()
}

#[tokio::test]
async fn requests_leave_evenly_spaced_also_at_the_start() {
    let _alone = alone().await;
    let cloud = cloud().await;
    let ids = ids(10);
    for id in &ids {
        cloud.add_instance(Instance::new(id, "cn-hangzhou").account("test"));
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
        whole >= 1500,
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
    let _alone = alone().await;
    let cloud = cloud().await;
    for id in ids(3) {
        cloud.add_instance(Instance::new(&id, "cn-hangzhou").account("test"));
    }
    let ids = ["rm-0", "rm-1", "rm-2"];
    let mut configuration = Configuration::of(&cloud, &ids).reading("cross_region, local");
    configuration.poll = "interval: 2s".to_owned();
    let exporter = Exporter::start(&configuration).await;
    exporter.ready().await;
    patiently("four rounds", cloud.wait_for_requests(6 * 4)).await;
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
async fn no_more_requests_are_in_flight_than_the_configuration_allows() {
    let _alone = alone().await;
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
    patiently("two calls", cloud.wait_for_requests(2)).await;
    // Nobody knows the key yet, so a third would have left by the time that the trials are given up.
    // That nothing happens is no event.
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(cloud.requests().len(), 2);
    drop(exporter);
}

#[tokio::test]
async fn shards_share_the_limit_of_their_account() {
    let _alone = alone().await;
    let cloud = cloud().await;
    let ids: Vec<_> = (0..12).map(|number| format!("rm-{number}")).collect();
    for id in &ids {
        cloud.add_instance(Instance::new(id, "cn-hangzhou").account("test"));
    }
    let ids: Vec<_> = ids.iter().map(String::as_str).collect();
    let mut configuration = Configuration::of(&cloud, &ids).reading("cross_region, local");
    configuration.rate_limit = "12/s".to_owned();
    configuration.poll = "interval: 1h".to_owned();
    let flags = ["--shard.index=0", "--shard.count=4"];
    let exporter = Exporter::start_with(&configuration, &flags, &[]).await;
    let scrape = exporter.ready().await;
    let own = scrape.all("cloud_backup_instance_info", &[]).count();
    let times: Vec<_> = cloud.requests().iter().map(|request| request.at).collect();
    // The whole limit would allow 12 in a second; a quarter of it is 3.
    assert_eq!(times.len(), 2 * own);
    assert!(own > 1, "too few to tell");
    let took = (times[times.len() - 1] - times[0]).num_milliseconds();
    let least = i64::try_from(times.len() - 1).unwrap() * 250;
    assert!(took >= least, "{} requests in {took} ms", times.len());
    exporter.stop().await;
}
