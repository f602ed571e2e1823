//! Many accounts of all vendors in one process: each by itself, whatever becomes of the others.

use sim::{Fault, FaultKind, Vendor};

use super::harness::{Configuration, Exporter, account_of, clouds, hourly_at, key_of};

#[tokio::test]
async fn every_vendor_is_read_in_one_process_under_the_same_names() {
    let cloud = clouds().await;
    let mut configuration = Configuration::of(&cloud, &["rm-1"]);
    cloud.add_instance(hourly_at(Vendor::Alibaba, "rm-1"));
    for (vendor, id) in [(Vendor::Huawei, "i1in01"), (Vendor::Volcengine, "redis-1")] {
        cloud.add_instance(hourly_at(vendor, id));
        let other = Configuration::at(vendor, &cloud, &[id]);
        configuration.more_accounts += &other.account();
    }
    let exporter = Exporter::start(&configuration).await;
    let scrape = exporter.ready().await;
    for vendor in Vendor::ALL {
        let labels = [("provider", vendor.name()), ("account", account_of(vendor))];
        let count = |name| scrape.all(name, &labels).count();
        assert_eq!(count("cloud_backup_instance_info"), 1, "{vendor:?}");
        assert!(
            count("cloud_backup_last_success_age_seconds") >= 2,
            "{vendor:?}"
        );
        assert_eq!(count("cloud_backup_objective_met"), 4, "{vendor:?}");
        assert_eq!(
            scrape.sum("cloud_backup_objective_met", &labels),
            4.0,
            "{vendor:?}"
        );
        let monitored = [labels[0], labels[1], ("state", "monitored")];
        assert_eq!(
            scrape.value("cloud_backup_instances", &monitored),
            Some(1.0)
        );
        let failures = scrape.sum("cloud_backup_poll_failures_total", &labels);
        assert_eq!(failures, 0.0, "{vendor:?}");
    }
    assert_eq!(cloud.unexpected(), Vec::<String>::new());
}

#[tokio::test]
async fn an_account_that_fails_takes_no_other_with_it() {
    let cloud = clouds().await;
    let mut configuration = Configuration::of(&cloud, &["rm-1"]);
    cloud.add_instance(hourly_at(Vendor::Alibaba, "rm-1"));
    cloud.add_instance(hourly_at(Vendor::Huawei, "i1in01"));
    cloud.set_secret(key_of(Vendor::Huawei).0, "another");
    let silent = clouds().await;
    silent.inject(Fault::new(FaultKind::Hang));
    for (vendor, cloud, id) in [
        (Vendor::Huawei, &cloud, "i1in01"),
        (Vendor::Volcengine, &silent, "redis-1"),
    ] {
        configuration.more_accounts += &Configuration::at(vendor, cloud, &[id]).account();
    }
    configuration.poll = "interval: 1s, timeout: 1h".to_owned();
    let exporter = Exporter::start(&configuration).await;
    let good = |scrape: &super::harness::Scrape| {
        scrape.sum("cloud_backup_api_requests_total", &[("account", "test")])
    };
    // Nobody waits for the account whose endpoint hangs, nor for the one whose key is refused.
    let scrape = exporter
        .until("many calls of the good account", |scrape| {
            good(scrape) >= 30.0 && scrape.poll_success("rm-1", "local") == Some(1.0)
        })
        .await;
    let of = |vendor, reason| {
        let labels = [("account", account_of(vendor)), ("reason", reason)];
        scrape.sum("cloud_backup_poll_failures_total", &labels)
    };
    assert!(of(Vendor::Huawei, "credentials") >= 1.0);
    silent.stop().await;
    let slow = exporter
        .until("the end of the hanging account is told", |scrape| {
            scrape.poll_success("redis-1", "local") == Some(0.0)
        })
        .await;
    assert_eq!(slow.poll_success("rm-1", "cross_region"), Some(1.0));
    assert_eq!(
        slow.sum("cloud_backup_poll_failures_total", &[("account", "test")]),
        0.0
    );
}
