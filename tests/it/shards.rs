//! Several exporters that divide the instances among themselves say together what one alone would say.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::future::join_all;
use sim::Vendor;

use crate::harness::{
    Configuration, Exporter, Folder, Scrape, account_of, bare_at, cloud, clouds, hourly_at, run,
};

const VENDORS: [Vendor; 3] = [Vendor::Alibaba, Vendor::Huawei, Vendor::Volcengine];

/// The labels, by name.
type Labels = BTreeMap<String, String>;

/// Metrics of what an exporter itself did, which differ between any two.
fn is_exporters_own(name: &str) -> bool {
    name.starts_with("process_")
        || name.starts_with("cloud_backup_exporter_shard")
        // Of the last whole round, which may still be under way.
        || name == "cloud_backup_sweep_duration_seconds"
}

/// What depends on the moment of the poll or of the scrape, and on how many calls it took.
fn is_of_the_moment(name: &str) -> bool {
    name.ends_with("_age_seconds")
        || name.ends_with("_success_timestamp_seconds") && name.contains("last_poll")
        || name.contains("last_discovery_success")
        || name.contains("last_reload_success_timestamp")
        || name.contains("_api_request")
}

/// Every series with its value.
fn series(scrape: &Scrape) -> BTreeMap<(String, Labels), f64> {
    let samples = scrape.0.iter();
    let own = samples.filter(|sample| !is_exporters_own(&sample.name));
    own.map(|sample| ((sample.name.clone(), sample.labels.clone()), sample.value))
        .collect()
}

/// Which instances are watched.
fn watched(scrape: &Scrape) -> BTreeSet<String> {
    scrape
        .all("cloud_backup_instance_info", &[])
        .map(|sample| sample.labels["instance_id"].clone())
        .collect()
}

/// How often each instance was asked about by itself, by operation, without what Alibaba tells of several at once.
fn questions(requests: &[sim::RecordedRequest]) -> BTreeMap<(String, String), usize> {
    let mut questions = BTreeMap::new();
    for request in requests {
        if let Some(instance) = &request.instance
            && request.operation != "DescribeCrossRegionBackupDBInstance"
        {
            let question = (request.operation.clone(), instance.clone());
            *questions.entry(question).or_default() += 1;
        }
    }
    questions
}

async fn shard(configuration: &Configuration, index: usize, count: usize) -> Exporter {
    let (index, count) = (
        format!("--shard.index={index}"),
        format!("--shard.count={count}"),
    );
    Exporter::start_with(configuration, &[&index, &count], &[]).await
}

#[tokio::test]
async fn all_shards_together_are_the_whole() {
    for vendor in VENDORS {
        divide(vendor).await;
    }
}

async fn divide(vendor: Vendor) {
    const SHARDS: usize = 3;
    let cloud = clouds().await;
    for number in 0..8 {
        cloud.add_instance(hourly_at(vendor, &format!("db-{number}")));
        cloud.add_instance(hourly_at(vendor, &format!("db-{number}-test")));
    }
    cloud.add_instance(bare_at(vendor, "db-bare"));
    let exclude = ", exclude: ['-test$']";
    let mut configuration = Configuration::searching(vendor, &cloud, exclude);
    configuration.poll =
        "interval: 1h, policy_interval: 1h, discovery_interval: 1h, timeout: 5m".to_owned();
    // Named as well: one that is found, one that is left out of what is found, and two that do not exist.
    configuration.instances = ["db-3", "db-4-test", "db-misspelt", "db-mistaken"]
        .map(|id| {
            let region = crate::harness::home_of(vendor).to_owned();
            (id.to_owned(), region, String::new())
        })
        .to_vec();

    let whole = Exporter::start(&configuration).await.ready().await;
    assert_eq!(whole.value("cloud_backup_exporter_shards", &[]), Some(1.0));
    assert_eq!(watched(&whole).len(), 12, "{vendor:?}");
    let before = cloud.requests().len();
    let exporters = join_all((0..SHARDS).map(|index| shard(&configuration, index, SHARDS))).await;
    let scrapes = join_all(exporters.iter().map(Exporter::ready)).await;

    let mut united: BTreeMap<(String, Labels), Vec<f64>> = BTreeMap::new();
    for (index, scrape) in (0_u32..).zip(&scrapes) {
        let told = [
            "cloud_backup_exporter_shard_index",
            "cloud_backup_exporter_shards",
        ]
        .map(|name| scrape.value(name, &[]));
        assert_eq!(told, [Some(f64::from(index)), Some(3.0)]);
        assert!(!watched(scrape).is_empty(), "{vendor:?} {index}");
        for (key, value) in series(scrape) {
            united.entry(key).or_default().push(value);
        }
    }
    let requests = cloud.requests();
    let whole = series(&whole);
    let (mine, theirs): (BTreeSet<_>, BTreeSet<_>) =
        (whole.keys().collect(), united.keys().collect());
    let differ: Vec<_> = mine.symmetric_difference(&theirs).collect();
    assert_eq!(differ, Vec::<&&(String, Labels)>::new(), "{vendor:?}");
    for (key, values) in &united {
        let (name, labels) = key;
        if labels.contains_key("instance_id") {
            assert_eq!(values.len(), 1, "{vendor:?}: more than one has {key:?}");
        } else {
            assert_eq!(values.len(), SHARDS, "{vendor:?}: not all have {key:?}");
        }
        let together: f64 = values.iter().sum();
        if name == "cloud_backup_instances" {
            assert_eq!(together, whole[key], "{vendor:?} {key:?}");
        } else if name == "cloud_backup_poll_failures_total" {
            // An attempt is made anew where a batch changes, which is a matter of the moment.
            assert_eq!(together > 0.0, whole[key] > 0.0, "{vendor:?} {key:?}");
        } else if !is_of_the_moment(name) {
            let same = values.iter().all(|value| *value == whole[key]);
            assert!(
                same,
                "{vendor:?} {key:?}: {values:?} and not {}",
                whole[key]
            );
        }
    }

    // Sets are asked for as often as by the one exporter. A batch is of one shard's alone, and so is smaller.
    let (by_one, by_shards) = requests.split_at(before);
    let parts: Vec<_> = scrapes.iter().map(watched).collect();
    for request in by_shards {
        if let Some(batch) = &request.instance {
            let is_own = |part: &&BTreeSet<String>| batch.split(',').all(|id| part.contains(id));
            assert_eq!(parts.iter().filter(is_own).count(), 1, "{vendor:?} {batch}");
        }
    }
    // What Volcengine lists for all instances together it may list for a shard with few of them one by one.
    if vendor != Vendor::Volcengine {
        assert_eq!(questions(by_one), questions(by_shards), "{vendor:?}");
    }
    assert_eq!(cloud.unexpected(), Vec::<String>::new(), "{vendor:?}");
    for exporter in exporters {
        exporter.stop().await;
    }
}

#[tokio::test]
async fn a_shard_knows_itself_by_the_name_of_its_pod_and_a_new_one_takes_only_its_part() {
    let cloud = cloud().await;
    let ids: Vec<_> = (0..30).map(|number| format!("rm-{number}")).collect();
    for id in &ids {
        cloud.add_instance(bare_at(Vendor::Alibaba, id));
    }
    let ids: Vec<_> = ids.iter().map(String::as_str).collect();
    let mut configuration = Configuration::of(&cloud, &ids).reading("cross_region, local");
    configuration.poll = "interval: 1h, timeout: 5m".to_owned();
    let folder = Folder::new();
    let file = folder.write("exporter.yml", &configuration.yaml());
    let file = format!("--config.file={}", file.display());
    let owners = async |count: usize| {
        let count_flag = format!("--shard.count={count}");
        let mut owners = BTreeMap::new();
        for index in 0..count {
            let pod = format!("cloud-backup-exporter-{index}");
            let arguments = ["once", "--output=metrics", &file, &count_flag];
            let (code, out, errors) = run(&arguments, &[("POD_NAME", &pod)]).await;
            assert_eq!((code, errors.as_str()), (1, ""), "nothing is backed up");
            for id in watched(&Scrape::parse(&out)) {
                assert_eq!(owners.insert(id, index), None, "watched twice");
            }
        }
        assert_eq!(owners.len(), ids.len());
        owners
    };
    let (two, three) = (owners(2).await, owners(3).await);
    let mut moved = 0;
    for (id, owner) in &three {
        if *owner != two[id] {
            assert_eq!(*owner, 2, "{id}");
            moved += 1;
        }
    }
    assert!((1..20).contains(&moved), "{moved}");
}

#[tokio::test]
async fn flags_that_make_no_shard_are_all_told_together_with_what_is_wrong_in_the_configuration() {
    let cloud = cloud().await;
    let mut configuration = Configuration::of(&cloud, &["rm-orders"]);
    let folder = Folder::new();
    let file = folder.write("good.yml", &configuration.yaml());
    let good = format!("--config.file={}", file.display());
    configuration.poll = "interval: 5".to_owned();
    let file = folder.write("bad.yml", &configuration.yaml());
    let bad = format!("--config.file={}", file.display());
    for (arguments, pod, expected) in [
        (
            vec!["--shard.count=0", "--shard.index=1000", &good],
            "",
            vec![
                "--shard.count: expected a number from 1 to 1000, found 0",
                "--shard.index: expected a number below 1000, found 1000",
            ],
        ),
        (
            vec!["once", "--shard.count=3", "--shard.index=3", &good],
            "",
            vec!["--shard.index: expected a number below --shard.count, which is 3, found 3"],
        ),
        (
            vec!["check", "--shard.count=3", &bad],
            "exporter-7d9f8b6c5-x2k4j",
            vec!["--shard.index: not given, and the name ", "poll.interval: "],
        ),
        (
            vec!["--shard.count=3", &good],
            "exporter-3",
            vec!["--shard.index: not given, and the ordinal 3 of "],
        ),
    ] {
        let (code, out, errors) = run(&arguments, &[("POD_NAME", pod)]).await;
        assert_eq!((code, out.as_str()), (2, ""), "{arguments:?}: {errors}");
        let told: Vec<_> = errors.lines().collect();
        assert_eq!(told.len(), expected.len(), "{errors}");
        for (line, expected) in told.into_iter().zip(expected) {
            assert!(line.starts_with(expected), "{line}\nis not\n{expected}");
        }
    }
    assert_eq!(cloud.requests().len(), 0);

    let arguments = ["check", "--shard.count=3", "--shard.index=1", &good];
    let (code, out, _) = run(&arguments, &[]).await;
    assert_eq!(code, 0);
    let line =
        "for shard 1 of 3, counted from 0: its own instances, and 1/3 of what each limit allows\n";
    assert!(out.contains(line), "{out}");
    let account = account_of(Vendor::Alibaba);
    assert!(
        ["0 of 1", "1 of 1"].iter().any(|own| {
            out.contains(&format!("account {account} (alibaba): instances: {own};"))
        }),
        "{out}"
    );
}
