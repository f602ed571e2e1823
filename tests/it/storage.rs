//! Restarts, with and without what went before.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use sim::Vendor;

use super::harness::{
    Configuration, Exporter, Folder, Scrape, cloud, clouds, hourly, hourly_at, run,
};

const HEALTHY: &str = "cloud_backup_exporter_storage_healthy";
const SET_ASIDE: &str = "cloud_backup_exporter_storage_files_set_aside_total";

async fn start_in(folder: &Path, configuration: &Configuration) -> Exporter {
    start_with(folder, configuration, &[]).await
}

async fn start_with(folder: &Path, configuration: &Configuration, flags: &[&str]) -> Exporter {
    let flag = format!("--storage.path={}", folder.display());
    Exporter::start_with(configuration, &[&[&*flag], flags].concat(), &[]).await
}

/// What a scrape says of the instances, but for ages, which go on.
fn facts(scrape: &Scrape) -> BTreeMap<String, f64> {
    let of_instances = scrape.0.iter().filter(|sample| {
        sample.labels.contains_key("instance_id") && !sample.name.ends_with("_age_seconds")
    });
    of_instances
        .map(|sample| (format!("{} {:?}", sample.name, sample.labels), sample.value))
        .collect()
}

#[tokio::test]
async fn a_restart_serves_the_last_known_facts_at_once_also_when_the_clouds_are_silent() {
    let cloud = clouds().await;
    for vendor in [Vendor::Alibaba, Vendor::Huawei, Vendor::Volcengine] {
        cloud.add_instance(hourly_at(vendor, vendor.name()));
    }
    let folder = Folder::new();
    let mut configuration = Configuration::searching(Vendor::Huawei, &cloud, "");
    for vendor in [Vendor::Alibaba, Vendor::Volcengine] {
        configuration.more_accounts +=
            &Configuration::at(vendor, &cloud, &[vendor.name()]).account();
    }
    // One poll, so that nothing changes between the last scrape and the end.
    configuration.poll = "interval: 1h, timeout: 5m".to_owned();
    let path = folder.path("made/when/missing");
    let exporter = start_in(&path, &configuration).await;
    let before = exporter.ready().await;
    exporter.stop().await;
    cloud.stop().await;

    let exporter = start_in(&path, &configuration).await;
    let after = exporter.scrape().await;
    // The first attempts fail at once; what they change is that they failed.
    let known = |scrape: &Scrape| {
        let mut facts = facts(scrape);
        facts.retain(|series, _| !series.starts_with("cloud_backup_poll_success"));
        facts
    };
    assert_eq!(known(&after), known(&before));
    let read_at = "cloud_backup_last_poll_success_timestamp_seconds";
    let listings = after.all(read_at, &[]).count();
    assert_eq!(
        (listings, known(&after).len() > 100),
        (14, true),
        "{:#?}",
        known(&after).keys()
    );
    assert_eq!(after.value(HEALTHY, &[]), Some(1.0));
    exporter.ready().await;
    let failing = exporter.scrape().await;
    assert_eq!(known(&failing), known(&before));
    assert_eq!(failing.sum("cloud_backup_poll_success", &[]), 0.0);
    exporter.stop().await;
}

#[tokio::test]
async fn a_kill_loses_nothing_that_was_stored_and_what_was_configured_away_stays_away() {
    let cloud = cloud().await;
    cloud.add_instance(hourly("rm-stays"));
    cloud.add_instance(hourly("rm-leaves"));
    let folder = Folder::new();
    let mut configuration = Configuration::of(&cloud, &["rm-stays", "rm-leaves"]);
    // There is always something new to be stored, so that one write after another can be awaited.
    configuration.poll = "interval: 1s".to_owned();
    let path = folder.path("store");
    let mut exporter = start_in(&path, &configuration).await;
    exporter.ready().await;
    let at = "cloud_backup_exporter_storage_last_write_timestamp_seconds";
    let read = exporter.scrape().await;
    let stored = exporter
        .until("all is stored", |scrape| {
            scrape.value(at, &[]) > read.value(at, &[]).or(Some(0.0))
                && facts(scrape).len() == facts(&read).len()
        })
        .await;
    exporter.signal("KILL");
    exporter.ended().await;
    // What asks for the first time gets an answer only when everything was asked.
    cloud.deny("test", "DescribeBackups");
    configuration.instances.truncate(1);
    let exporter = start_in(&path, &configuration).await;
    let after = exporter.scrape().await;
    let mut expected = facts(&stored);
    expected.retain(|series, _| series.contains("rm-stays"));
    let mut known = facts(&after);
    for series in [&mut expected, &mut known] {
        series.retain(|series, _| !series.contains("poll_success"));
    }
    assert_eq!(known, expected);
    exporter.stop().await;
}

#[tokio::test]
async fn a_restart_with_another_count_of_shards_takes_back_its_own_instances_alone() {
    let cloud = cloud().await;
    for number in 0..8 {
        cloud.add_instance(hourly(&format!("rm-{number}")));
        cloud.add_instance(hourly(&format!("rm-{number}-test")));
    }
    let exclude = ", exclude: ['-test$']";
    let mut configuration = Configuration::searching(Vendor::Alibaba, &cloud, exclude);
    configuration.poll = "interval: 1h, discovery_interval: 1h, timeout: 5m".to_owned();
    let ids = |scrape: &Scrape, name| -> BTreeSet<String> {
        let series = scrape.all(name, &[]);
        series
            .map(|sample| sample.labels["instance_id"].clone())
            .collect()
    };
    let folder = Folder::new();
    let of_all = folder.path("of-all");
    let exporter = start_in(&of_all, &configuration).await;
    let all = exporter.ready().await;
    assert_eq!(all.sum("cloud_backup_instances", &[]), 16.0);
    exporter.stop().await;

    let mut taken_back = BTreeSet::new();
    let mut counted = 0.0;
    for index in 0..2 {
        let part = folder.path(&format!("part-{index}"));
        std::fs::create_dir(&part).unwrap();
        std::fs::copy(of_all.join("facts.redb"), part.join("facts.redb")).unwrap();
        let index = format!("--shard.index={index}");
        let exporter = start_with(&part, &configuration, &["--shard.count=2", &index]).await;
        let at_once = exporter.scrape().await;
        let later = exporter.ready().await;
        for scrape in [&at_once, &later] {
            let gone = scrape.sum("cloud_backup_instances", &[("state", "gone")]);
            assert_eq!(gone, 0.0, "what is another shard's is missed");
            assert_eq!(
                ids(scrape, "cloud_backup_sets"),
                ids(&later, "cloud_backup_instance_info")
            );
            assert_eq!(
                scrape.sum("cloud_backup_instances", &[]),
                later.sum("cloud_backup_instances", &[])
            );
        }
        for id in ids(&later, "cloud_backup_instance_info") {
            assert!(taken_back.insert(id), "two shards have it");
        }
        counted += later.sum("cloud_backup_instances", &[]);
        let log = exporter.stop().await;
        assert!(!log.contains("instances are gone"), "{log}");
    }
    assert_eq!(taken_back, ids(&all, "cloud_backup_instance_info"));
    assert_eq!(counted, 16.0);
}

#[tokio::test]
async fn copies_that_are_left_are_still_found_after_a_restart_when_the_policy_no_longer_says_where()
{
    let cloud = clouds().await;
    cloud.add_instance(hourly_at(Vendor::Huawei, "huawei"));
    let folder = Folder::new();
    let configuration = Configuration::at(Vendor::Huawei, &cloud, &["huawei"]);
    let path = folder.path("store");
    let copies = |scrape: &Scrape| {
        let full = [("scope", "cross_region"), ("backup_type", "full")];
        scrape.sum("cloud_backup_stored_bytes", &full)
    };
    let exporter = start_in(&path, &configuration).await;
    let before = exporter.ready().await;
    assert!(copies(&before) > 0.0);
    exporter.stop().await;
    assert!(cloud.switch_policy_off("huawei"));
    let exporter = start_in(&path, &configuration).await;
    let after = exporter.ready().await;
    assert_eq!(copies(&after), copies(&before));
    let listing = [("listing", "cross_region")];
    assert_eq!(after.sum("cloud_backup_poll_success", &listing), 1.0);
    exporter.stop().await;
}

#[tokio::test]
async fn a_restart_is_not_ready_before_it_has_asked_itself() {
    let cloud = cloud().await;
    cloud.add_instance(hourly("rm-1"));
    let folder = Folder::new();
    let mut configuration = Configuration::of(&cloud, &["rm-1"]);
    let path = folder.path("store");
    let exporter = start_in(&path, &configuration).await;
    exporter.ready().await;
    exporter.stop().await;
    // So slow that nothing is answered meanwhile.
    configuration.rate_limit = "1/h".to_owned();
    let exporter = start_in(&path, &configuration).await;
    assert_eq!(exporter.get("/-/ready").await.status().as_u16(), 503);
    let known = exporter.scrape().await;
    assert!(known.all("cloud_backup_sets", &[]).count() > 0);
}

#[tokio::test]
async fn sets_that_vanished_while_nobody_looked_are_counted() {
    let cloud = cloud().await;
    let keeping = |days| {
        let day = std::time::Duration::from_secs(24 * 3600);
        sim::Instance {
            retention: day * days,
            ..hourly("rm-1")
        }
    };
    cloud.add_instance(keeping(20));
    let folder = Folder::new();
    let mut configuration = Configuration::of(&cloud, &["rm-1"]);
    configuration.poll = "interval: 1s, lookback: 10d".to_owned();
    let path = folder.path("store");
    let exporter = start_in(&path, &configuration).await;
    let before = exporter.ready().await;
    let vanished = |scrape: &Scrape, scope| {
        scrape.value("cloud_backup_vanished_sets_total", &[("scope", scope)])
    };
    let observed = |scrape: &Scrape| {
        let labels = [
            ("scope", "cross_region"),
            ("backup_type", "full"),
            ("status", "completed"),
        ];
        scrape
            .value("cloud_backup_observed_sets_total", &labels)
            .unwrap()
    };
    assert_eq!(vanished(&before, "cross_region"), Some(0.0));
    assert!(observed(&before) > 200.0);
    exporter.stop().await;

    // Nobody tells that the retention was shortened.
    cloud.deny("test", "DescribeCrossRegionBackupDBInstance");
    cloud.remove_instance("rm-1");
    cloud.add_instance(keeping(3));
    let exporter = start_in(&path, &configuration).await;
    let after = exporter
        .until("the copies are missed", |scrape| {
            vanished(scrape, "cross_region") > Some(100.0)
        })
        .await;
    assert!(observed(&after) - observed(&before) <= 1.0);
    let log = exporter.stop().await;
    assert!(log.contains("took back stored facts"), "{log}");
}

#[tokio::test]
async fn without_the_flag_nothing_is_counted_that_would_be_forgotten() {
    let cloud = cloud().await;
    cloud.add_instance(hourly("rm-1"));
    let exporter = Exporter::start(&Configuration::of(&cloud, &["rm-1"])).await;
    let scrape = exporter.ready().await;
    let with_the_flag = scrape.0.iter().filter(|sample| {
        let name = &sample.name;
        name.contains("storage") || name.contains("observed") || name.contains("vanished")
    });
    assert_eq!(with_the_flag.count(), 0);
}

#[tokio::test]
async fn a_file_that_cannot_be_read_is_set_aside_and_the_exporter_goes_on() {
    let cloud = cloud().await;
    cloud.add_instance(hourly("rm-1"));
    let configuration = Configuration::of(&cloud, &["rm-1"]);
    let folder = Folder::new();
    folder.write("facts.redb", &"not a store".repeat(1000));
    let exporter = start_in(&folder.path(""), &configuration).await;
    let scrape = exporter.ready().await;
    let damaged = [("reason", "damaged")];
    assert_eq!(scrape.value(SET_ASIDE, &damaged), Some(1.0));
    assert_eq!(scrape.value(HEALTHY, &[]), Some(1.0));
    let log = exporter.stop().await;
    assert_eq!(log.matches("their file was set aside").count(), 1, "{log}");
    // It began anew.
    let exporter = start_in(&folder.path(""), &configuration).await;
    let scrape = exporter.scrape().await;
    assert_eq!(scrape.value(SET_ASIDE, &damaged), None);
    assert!(scrape.all("cloud_backup_sets", &[]).count() > 0);
}

#[tokio::test]
async fn a_second_exporter_in_the_same_folder_ends_with_a_clear_error() {
    let cloud = cloud().await;
    cloud.add_instance(hourly("rm-1"));
    let configuration = Configuration::of(&cloud, &["rm-1"]);
    let folder = Folder::new();
    let first = start_in(&folder.path(""), &configuration).await;
    let file = folder.write("second.yml", &configuration.yaml());
    let (code, out, told) = run(
        &[
            &format!("--config.file={}", file.display()),
            &format!("--storage.path={}", folder.path("").display()),
            "--web.listen-address=127.0.0.1:0",
        ],
        &[],
    )
    .await;
    assert_eq!((code, &*out), (1, ""));
    let last = told.lines().last().unwrap();
    assert!(
        last.contains("facts.redb is in use by another process"),
        "{told}"
    );
    first.stop().await;
}

#[tokio::test]
async fn a_folder_that_cannot_be_made_ends_nothing() {
    let cloud = cloud().await;
    cloud.add_instance(hourly("rm-1"));
    let folder = Folder::new();
    let file = folder.write("file", "");
    let exporter = start_in(&file, &Configuration::of(&cloud, &["rm-1"])).await;
    let scrape = exporter.ready().await;
    assert_eq!(scrape.value(HEALTHY, &[]), Some(0.0));
    std::fs::remove_file(&file).unwrap();
    exporter
        .until("it works again", |scrape| {
            scrape.value(HEALTHY, &[]) == Some(1.0)
        })
        .await;
    let log = exporter.stop().await;
    assert_eq!(log.matches("facts cannot be stored").count(), 1, "{log}");
    assert_eq!(log.matches("facts are stored again").count(), 1, "{log}");
}
