//! An exporter that watches nothing says so, wherever one looks, and why.

use std::time::Duration;

use sim::{Fault, FaultKind, Vendor};
use tokio::time::timeout;

use super::harness::{
    Configuration, Exporter, Folder, PATIENCE, bare_at, cloud, hourly, hourly_at, run,
};

fn write(folder: &Folder, configuration: &Configuration) -> String {
    let file = folder.write("exporter.yml", &configuration.yaml());
    format!("--config.file={}", file.display())
}

const LEFT_OUT: &str = "Account test has 2 instances in cn-hangzhou, and none is watched: 2 left out by `include` and `exclude`";

#[tokio::test]
async fn once_ends_with_2_and_says_why_when_nothing_is_watched_whatever_it_prints() {
    let cloud = cloud().await;
    let folder = Folder::new();
    let configuration = Configuration::searching(Vendor::Alibaba, &cloud, ", exclude: ['^rm-']");
    let file = write(&folder, &configuration);
    for (ids, why) in [
        (&[][..], "Account test has no instances in cn-hangzhou"),
        (&["rm-orders", "rm-payments"], LEFT_OUT),
    ] {
        for id in ids {
            cloud.add_instance(hourly(id));
        }
        let said = format!("nothing is watched: {why}\n");
        for output in ["table", "json", "metrics"] {
            let output_flag = format!("--output={output}");
            let (code, out, errors) = run(&["once", &file, &output_flag], &[]).await;
            assert_eq!(code, 2, "{output}");
            assert!(errors.ends_with(&said), "{errors}");
            match output {
                "table" => assert!(
                    out.contains(&format!("NOTHING IS WATCHED: {why}\n")),
                    "{out}"
                ),
                "json" => {
                    let report: serde_json::Value = serde_json::from_str(&out).unwrap();
                    assert_eq!(report["nothing_watched_because"], serde_json::json!([why]));
                }
                _ => assert!(!out.contains("nothing"), "{out}"),
            }
        }
    }
    // One that is watched is enough.
    let configuration = Configuration::searching(Vendor::Alibaba, &cloud, ", exclude: [pay]");
    let (code, out, errors) = run(&["once", &write(&folder, &configuration)], &[]).await;
    assert_eq!(code, 0, "{out}");
    assert!(
        !(out + &errors)
            .to_lowercase()
            .contains("nothing is watched")
    );
}

#[tokio::test]
async fn a_shard_without_instances_of_its_own_says_so() {
    let cloud = cloud().await;
    cloud.add_instance(hourly("rm-orders"));
    let folder = Folder::new();
    let file = write(&folder, &Configuration::of(&cloud, &["rm-orders"]));
    let mut codes = Vec::new();
    for index in ["0", "1"] {
        let index = format!("--shard.index={index}");
        let arguments = ["once", &file, &index, "--shard.count=2"];
        let (code, out, errors) = run(&arguments, &[]).await;
        let is_empty = out.contains("NOTHING IS WATCHED: This is shard");
        assert_eq!(
            is_empty,
            errors.contains("what belongs to others is not counted")
        );
        assert_eq!(is_empty, code == 2, "{out}");
        codes.push(code);
    }
    codes.sort_unstable();
    assert_eq!(codes, [0, 2]);
}

#[tokio::test]
async fn page_and_readiness_say_why_they_are_empty_and_stop_saying_it() {
    let vendor = Vendor::Alibaba;
    let cloud = cloud().await;
    cloud.add_instance(bare_at(vendor, "rr-replica").read_replica_of("rm-orders"));
    // Until the first answer, nobody knows.
    cloud.inject(Fault::new(FaultKind::Hang).operation("DescribeDBInstances"));
    let configuration = Configuration::searching(vendor, &cloud, "");
    let exporter = Exporter::start(&configuration).await;
    let ready = exporter.get("/-/ready").await;
    assert_eq!(ready.status(), 503);
    let why = "Account test was not searched for instances in cn-hangzhou yet";
    let body = ready.text().await.unwrap();
    assert_eq!(
        body,
        format!(
            "0 of 0 instances attempted\n0 of 1 regions searched for instances\nnothing is watched: {why}\n"
        )
    );
    says(&exporter, why).await;

    // The search is refused.
    drop(exporter);
    cloud.clear_faults();
    cloud.deny("test", "DescribeDBInstances");
    let exporter = Exporter::start(&configuration).await;
    let is_refused = |page: &str| page.contains("permission");
    let page = until(&exporter, is_refused).await;
    let why = "Account test cannot be searched for instances in cn-hangzhou: DescribeDBInstances of all instances";
    assert!(page.contains(&format!("{NOTHING} {why}")), "{page}");

    // It is allowed, and finds what has no backups.
    cloud.allow("test", "DescribeDBInstances");
    exporter
        .until("the search", |scrape| {
            scrape.sum("cloud_backup_discovery_success", &[]) == 1.0
        })
        .await;
    let why = "Account test has 1 instance in cn-hangzhou, and none is watched: 1 of a kind without backups of its own";
    says(&exporter, why).await;
    let ready = exporter.get("/-/ready").await;
    assert_eq!(ready.status(), 200);
    assert!(
        ready
            .text()
            .await
            .unwrap()
            .ends_with(&format!("nothing is watched: {why}\n"))
    );

    // A database is made.
    cloud.add_instance(hourly_at(vendor, "rm-orders"));
    exporter
        .until("the new instance", |scrape| {
            scrape.poll_success("rm-orders", "local") == Some(1.0)
        })
        .await;
    for path in ["/", "/-/ready"] {
        let text = exporter.text(path).await.to_lowercase();
        assert!(!text.contains("nothing is watched"), "{text}");
    }
    exporter.stop().await;
}

const NOTHING: &str = "<strong>Nothing is watched.</strong>";

/// The page, once this holds of it.
async fn until(exporter: &Exporter, holds: impl Fn(&str) -> bool) -> String {
    let waiting = async {
        loop {
            let page = exporter.text("/").await;
            if holds(&page) {
                return page;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(PATIENCE, waiting)
        .await
        .unwrap_or_else(|_| panic!("not seen; the log says\n{}", exporter.log()))
}

/// The page and the JSON give this reason and no other.
async fn says(exporter: &Exporter, why: &str) {
    let page = exporter.text("/").await;
    assert!(page.contains(&format!("{NOTHING} {why}.</p>")), "{page}");
    assert_eq!(page.matches(NOTHING).count(), 1, "{page}");
    let json = exporter.text("/api/v1/instances").await;
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["nothing_watched_because"], serde_json::json!([why]));
}

#[tokio::test]
async fn check_warns_of_what_can_promise_nothing_and_ends_with_0() {
    let cloud = cloud().await;
    let folder = Folder::new();
    let mut configuration = Configuration::of(&cloud, &["rm-orders", "rm-payments"]);
    configuration.instances[0].1 = "cn-hangzou".to_owned();
    configuration.instances[0].2 = "backup_regions: [cn-shanghai-b]".to_owned();
    configuration.instances[1].2 = "listings: [policy]".to_owned();
    let keys = &mut configuration.more_keys;
    keys.push("discover: {regions: [cn-north-4, cn-mars]}".to_owned());
    let (code, out, errors) = run(&["check", &write(&folder, &configuration)], &[]).await;
    assert_eq!((code, errors.as_str()), (0, ""));
    assert!(
        out.starts_with("the configuration is good\nWARNING: "),
        "{out}"
    );
    let key = |line: &str| {
        line.strip_prefix("WARNING: accounts[0].")
            .map(str::to_owned)
    };
    let warnings: Vec<_> = out.lines().filter_map(key).collect();
    for (warning, expected) in [
        ("discover.regions[0]: ", "one of huawei"),
        (
            "discover.regions[1]: ",
            "`cn-mars` is no region that alibaba is known to have",
        ),
        ("instances[0].region: ", "did you mean `cn-hangzhou`?"),
        (
            "instances[0].backup_regions[0]: ",
            "is a zone of the region `cn-shanghai`",
        ),
        ("instances[1].listings: ", "nothing is promised"),
    ] {
        let is_told = |line: &&String| line.starts_with(warning) && line.contains(expected);
        assert_eq!(
            warnings.iter().filter(is_told).count(),
            1,
            "{warning} in\n{out}"
        );
    }
    assert_eq!(warnings.len(), 5, "{out}");
    assert_eq!(cloud.requests().len(), 0);
}

const UNWATCHED: &str = "accounts[0].instances: nothing of this account is watched: it names no instances, and `discover` is missing";
const NEITHER: &str = "The configuration names neither instances nor regions to look for them in";

#[tokio::test]
async fn an_account_with_neither_instances_nor_a_search_is_warned_of_and_none_at_all_is_a_problem()
{
    let cloud = cloud().await;
    let folder = Folder::new();
    let mut configuration = Configuration::of(&cloud, &[]);
    for more in [None, Some("instances: []")] {
        configuration.more_keys.extend(more.map(str::to_owned));
        let file = write(&folder, &configuration);
        let (code, out, errors) = run(&["check", &file], &[]).await;
        assert_eq!((code, errors.as_str()), (0, ""));
        let warning = format!("the configuration is good\nWARNING: {UNWATCHED}\n");
        assert!(out.starts_with(&warning), "{out}");
        assert!(out.contains("in all: at least 0 calls an hour\n"), "{out}");
        let (code, out, errors) = run(&["once", &file], &[]).await;
        assert_eq!(code, 2, "{out}");
        assert!(
            errors.ends_with(&format!("nothing is watched: {NEITHER}\n")),
            "{errors}"
        );
    }
    let file = folder.write("exporter.yml", "accounts: []\n");
    let file = format!("--config.file={}", file.display());
    for command in ["check", "once"] {
        let (code, _, errors) = run(&[command, &file], &[]).await;
        assert_eq!(code, 2, "{errors}");
        let problem = "accounts: expected a list of at least one account, found none";
        assert!(errors.contains(problem), "{errors}");
    }
    assert_eq!(cloud.requests().len(), 0);
}

#[tokio::test]
async fn an_exporter_of_such_an_account_runs_and_says_everywhere_that_nothing_is_watched() {
    let cloud = cloud().await;
    cloud.add_instance(hourly("rm-orders"));
    let exporter = Exporter::start(&Configuration::of(&cloud, &[])).await;
    let log = exporter.log();
    assert!(log.contains("the configuration is doubtful"), "{log}");
    assert!(log.contains("nothing of this account is watched"), "{log}");
    let ready = exporter.get("/-/ready").await;
    assert_eq!(ready.status(), 200);
    assert_eq!(
        ready.text().await.unwrap(),
        format!("0 of 0 instances attempted\nnothing is watched: {NEITHER}\n")
    );
    says(&exporter, NEITHER).await;
    // What the alert goes by that fewer are watched than should be.
    let scrape = exporter.scrape().await;
    assert_eq!(
        scrape.sum("cloud_backup_poll_interval_seconds", &[("account", "test")]),
        1.0
    );
    assert_eq!(scrape.sum("cloud_backup_instances", &[]), 0.0);
    // The name of an instance, and it is watched.
    exporter.configure(&Configuration::of(&cloud, &["rm-orders"]));
    exporter.signal("HUP");
    exporter
        .until("the instance", |scrape| {
            scrape.poll_success("rm-orders", "local") == Some(1.0)
        })
        .await;
    assert!(!exporter.text("/").await.contains(NOTHING));
    exporter.stop().await;
}
