//! Where copies are promised and looked for when their destination is switched off or changed.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use sim::{Cloud, Vendor};

use super::harness::{Configuration, Exporter, Folder, Scrape, clouds, hourly, hourly_at, run};

const LAG: Duration = Duration::from_secs(600);

fn hours_ago(cloud: &Cloud, hours: i64) -> DateTime<Utc> {
    cloud.clock().now() - TimeDelta::hours(hours)
}

fn objective(scrape: &Scrape, objective: &str) -> Option<f64> {
    scrape.value("cloud_backup_objective_met", &[("objective", objective)])
}

/// Full sets in a region.
fn sets_in(scrape: &Scrape, region: &str) -> f64 {
    let labels = [
        ("scope", "cross_region"),
        ("backup_region", region),
        ("backup_type", "full"),
        ("status", "completed"),
    ];
    scrape.sum("cloud_backup_sets", &labels)
}

fn switch(scrape: &Scrape, region: &str) -> Option<f64> {
    let labels = [
        ("scope", "cross_region"),
        ("backup_region", region),
        ("backup_type", "full"),
    ];
    scrape.value("cloud_backup_policy_enabled", &labels)
}

/// Few sets, so that a busy machine answers in time as well.
const OFTEN: &str = "interval: 1s, policy_interval: 1s, timeout: 25s, lookback: 12h";

#[tokio::test]
async fn a_destination_that_is_switched_off_stays_promised_until_the_vendor_no_longer_names_it() {
    let cloud = clouds().await;
    cloud.add_instance(hourly("rm-orders").copied_to("cn-beijing", LAG));
    let mut configuration = Configuration::of(&cloud, &["rm-orders"]);
    configuration.poll = OFTEN.to_owned();
    configuration.instances[0].2 =
        "objectives: {recovery_point: 110m, copy_delay: 100m, retention: off}".to_owned();
    let folder = Folder::new();
    let file = folder.write("exporter.yml", &configuration.yaml());
    let file = format!("--config.file={}", file.display());
    let exporter = Exporter::start(&configuration).await;
    let scrape = exporter.ready().await;
    assert_eq!(objective(&scrape, "recovery_point"), Some(1.0));
    let once = run(&["once", &file], &[]).await;
    assert_eq!(once.0, 0, "{once:?}");

    // Somebody switched one of the two off three hours ago; the other one goes on.
    let off = |is_named| {
        let three_hours_ago = hours_ago(&cloud, 3);
        assert!(cloud.leave_destination("rm-orders", "cn-beijing", three_hours_ago, is_named));
    };
    off(true);
    let is_broken = |scrape: &Scrape| {
        switch(scrape, "cn-beijing") == Some(0.0)
            && objective(scrape, "recovery_point") == Some(0.0)
            && objective(scrape, "copy_delay") == Some(0.0)
    };
    let scrape = exporter.until("the promise is broken", is_broken).await;
    assert_eq!(switch(&scrape, "cn-shanghai"), Some(1.0));
    let protected = scrape.value("cloud_backup_instance_protected", &[]);
    assert_eq!(protected, Some(1.0));
    let lacking = |region| {
        let labels = [("backup_region", region)];
        scrape.value("cloud_backup_uncopied_sets", &labels)
    };
    assert_eq!(lacking("cn-shanghai"), Some(0.0));
    assert!(
        lacking("cn-beijing") >= Some(2.0),
        "{:?}",
        lacking("cn-beijing")
    );
    let page = exporter.text("/").await;
    for words in [
        "Copying to cn-beijing is switched off",
        "No recent copy in cn-beijing",
    ] {
        assert!(page.contains(words), "{words} is missing in\n{page}");
    }
    assert_eq!(run(&["once", &file], &[]).await.0, 1);

    // Now the vendor no longer names it, and nothing is promised there any more.
    off(false);
    let is_kept = |scrape: &Scrape| {
        objective(scrape, "recovery_point") == Some(1.0)
            && objective(scrape, "copy_delay") == Some(1.0)
    };
    let scrape = exporter.until("the promise is kept", is_kept).await;
    assert!(sets_in(&scrape, "cn-beijing") > 0.0, "they are still there");
    exporter.stop().await;
}

#[tokio::test]
async fn what_huawei_kept_in_a_former_destination_stays_in_sight_until_it_has_run_out() {
    let (former, present) = ("cn-east-3", "cn-south-1");
    let cloud = clouds().await;
    cloud.add_instance(hourly_at(Vendor::Huawei, "i1in01"));
    let mut configuration = Configuration::at(Vendor::Huawei, &cloud, &["i1in01"]);
    configuration.poll = OFTEN.to_owned();
    configuration.instances[0].2 =
        "objectives: {recovery_point: 150m, copy_delay: off, retention: off}".to_owned();
    let exporter = Exporter::start(&configuration).await;
    let scrape = exporter.ready().await;
    let before = sets_in(&scrape, former);
    assert!(before > 10.0, "{before}");

    // The destination is changed.
    let now = cloud.clock().now();
    assert!(cloud.add_destination("i1in01", present, LAG));
    assert!(cloud.leave_destination("i1in01", former, now, false));
    let has_moved = |scrape: &Scrape| sets_in(scrape, present) > 0.0;
    exporter
        .until("the new destination is read", has_moved)
        .await;
    cloud.clear_requests();
    let asked = |region: &str| {
        let requests = cloud.requests().into_iter();
        requests
            .filter(|request| {
                request.operation == "ListOffSiteBackups"
                    && request.region.as_deref() == Some(region)
                    && request.params["backup_type"] == "auto"
                    && request.params["offset"] == "0"
            })
            .count()
    };
    let polled = |scrape: &Scrape| sets_in(scrape, former) > 0.0 && asked(present) >= 3;
    let scrape = exporter.until("it is polled again and again", polled).await;
    assert!(
        sets_in(&scrape, former) >= before - 2.0,
        "none has vanished"
    );
    assert!(asked(former) >= 2, "{}", asked(former));
    assert_eq!(objective(&scrape, "recovery_point"), Some(1.0));
    let expected = exporter.text("/api/v1/instances").await;
    let expected: serde_json::Value = serde_json::from_str(&expected).unwrap();
    assert_eq!(
        expected["instances"][0]["expected_regions"],
        serde_json::json!([present])
    );

    // The last that it kept expires, and it is asked no more.
    let long_ago = hours_ago(&cloud, 24 * 60);
    assert!(cloud.leave_destination("i1in01", former, long_ago, false));
    let has_run_out = |scrape: &Scrape| sets_in(scrape, former) == 0.0;
    exporter.until("nothing is left", has_run_out).await;
    let is_left_alone = || async {
        cloud.clear_requests();
        exporter
            .until("two more polls", |_| asked(present) >= 2)
            .await;
        asked(former) == 0
    };
    // One reading more may have to show that nothing is left, and one may be under way.
    let _one_more = is_left_alone().await;
    assert!(is_left_alone().await);
    assert_eq!(cloud.unexpected(), Vec::<String>::new());
    exporter.stop().await;
}
