//! Lists and answers that lack what is there: absence is shown, and takes nothing away by itself.

use futures_util::future::join_all;
use sim::{Cloud, Fault, FaultKind, FewerRows, NoRows, Vendor};

use crate::harness::{Configuration, Exporter, Folder, Scrape, asked, clouds, home_of, hourly_at};

const VENDORS: [Vendor; 3] = [Vendor::Alibaba, Vendor::Huawei, Vendor::Volcengine];

const IDS: [&str; 4] = ["db-billing", "db-orders", "db-sessions", "db-users"];

/// The vendor's names of the operations that list instances, local sets and copies.
const fn operations_of(vendor: Vendor) -> [&'static str; 3] {
    match vendor {
        Vendor::Alibaba | Vendor::Volcengine => [
            "DescribeDBInstances",
            "DescribeBackups",
            "DescribeCrossRegionBackups",
        ],
        Vendor::Huawei => ["ListInstances", "ListBackups", "ListOffSiteBackups"],
    }
}

/// How many instances are monitored, missing and gone.
fn states(scrape: &Scrape, vendor: Vendor) -> [Option<f64>; 3] {
    ["monitored", "missing", "gone"].map(|state| {
        let labels = [("source_region", home_of(vendor)), ("state", state)];
        scrape.value("cloud_backup_instances", &labels)
    })
}

fn counts(monitored: u32, missing: u32, gone: u32) -> [Option<f64>; 3] {
    [monitored, missing, gone].map(|count| Some(f64::from(count)))
}

/// How many promises have a verdict, and how many of them are kept.
fn verdicts(scrape: &Scrape) -> (usize, f64) {
    let name = "cloud_backup_objective_met";
    (scrape.all(name, &[]).count(), scrape.sum(name, &[]))
}

async fn healthy(vendor: Vendor) -> (Cloud, Exporter) {
    let cloud = clouds().await;
    for id in IDS {
        cloud.add_instance(hourly_at(vendor, id));
    }
    let exporter = Exporter::start(&Configuration::searching(vendor, &cloud, "")).await;
    exporter.ready().await;
    let has_verdicts = |scrape: &Scrape| verdicts(scrape).0 == 4 * IDS.len();
    exporter
        .until("a verdict on every promise", has_verdicts)
        .await;
    (cloud, exporter)
}

/// A list that lies is read so often that an instance which six plausible lists lack would be gone.
async fn read_lists(cloud: &Cloud, search: &str) {
    asked(cloud, search, cloud.request_count(search) + 8).await;
}

#[tokio::test]
async fn a_list_of_instances_that_lies_takes_nothing_away_in_any_form() {
    join_all(VENDORS.map(lie_about_instances)).await;
}

async fn lie_about_instances(vendor: Vendor) {
    let lies = [
        FaultKind::FewerRows(FewerRows::None),
        FaultKind::FewerRows(FewerRows::First(1)),
        FaultKind::FewerRows(FewerRows::Without(vec![
            "db-billing".to_owned(),
            "db-users".to_owned(),
        ])),
        FaultKind::NoRows(NoRows::NullList),
        FaultKind::NoRows(NoRows::NoList),
        FaultKind::NoRows(NoRows::NullResult),
        FaultKind::NoRows(NoRows::NoResult),
    ];
    let [search, ..] = operations_of(vendor);
    let (cloud, exporter) = healthy(vendor).await;
    for lie in lies.clone() {
        let kept = verdicts(&exporter.scrape().await);
        let case = format!("{vendor:?} {lie:?}");
        cloud.inject(Fault::new(lie).operation(search));
        read_lists(&cloud, search).await;
        let scrape = exporter.scrape().await;
        let [monitored, missing, gone] = states(&scrape, vendor);
        assert_eq!((monitored, gone), (Some(4.0), Some(0.0)), "{case}");
        assert_eq!(verdicts(&scrape), kept, "{case}");
        // Or the list is not believed at all, which shows as well.
        let is_shown = missing >= Some(2.0)
            || scrape.sum("cloud_backup_discovery_success", &[]) == 0.0 && missing == Some(0.0);
        assert!(is_shown, "{case}: {missing:?}");
        if missing > Some(0.0) {
            let page = exporter.text("/").await;
            assert!(page.contains("Missing from the provider"), "{case}");
            let json = exporter.text("/api/v1/instances").await;
            assert!(json.contains("\"missing\": true"), "{case}");
        }
        cloud.clear_faults();
        let is_back = |scrape: &Scrape| {
            states(scrape, vendor) == counts(4, 0, 0)
                && scrape.sum("cloud_backup_discovery_success", &[]) == 1.0
        };
        exporter.until("all are back", is_back).await;
    }
    exporter.stop().await;
}

#[tokio::test]
async fn a_database_that_was_deleted_is_gone_by_its_own_word_and_the_others_stay_promised() {
    for vendor in VENDORS {
        let (cloud, exporter) = healthy(vendor).await;
        assert!(cloud.release_instance("db-users"));
        let is_gone = |scrape: &Scrape| states(scrape, vendor) == counts(3, 0, 1);
        let scrape = exporter.until("it is gone", is_gone).await;
        let promises = |id| {
            let labels = [("instance_id", id)];
            scrape.all("cloud_backup_objective_met", &labels).count()
        };
        assert_eq!(
            (promises("db-users"), promises("db-orders")),
            (0, 4),
            "{vendor:?}"
        );
        exporter.stop().await;
    }
}

#[tokio::test]
async fn one_empty_answer_is_shown_and_asked_for_again_and_no_set_has_vanished() {
    for vendor in VENDORS {
        let [_, local, copies] = operations_of(vendor);
        let folder = Folder::new();
        let cloud = clouds().await;
        cloud.add_instance(hourly_at(vendor, "db-orders"));
        let mut configuration = Configuration::at(vendor, &cloud, &["db-orders"]);
        configuration.poll =
            "mode: adaptive, interval: 1s, max_interval: 5s, policy_interval: 1s, timeout: 5m"
                .to_owned();
        let flag = format!("--storage.path={}", folder.path("").display());
        let exporter = Exporter::start_with(&configuration, &[&flag], &[]).await;
        exporter.ready().await;
        for operation in [local, copies] {
            let sets =
                |scrape: &Scrape| scrape.sum("cloud_backup_sets", &[("status", "completed")]);
            let before = sets(&exporter.scrape().await);
            let lie = FaultKind::FewerRows(FewerRows::None);
            cloud.inject(Fault::new(lie).operation(operation).times(1));
            let is_less = |scrape: &Scrape| sets(scrape) < before;
            exporter.until("the empty answer", is_less).await;
            let is_back = |scrape: &Scrape| sets(scrape) >= before;
            let scrape = exporter.until("the second answer", is_back).await;
            assert_eq!(
                scrape.sum("cloud_backup_vanished_sets_total", &[]),
                0.0,
                "{vendor:?}"
            );
        }
        exporter.stop().await;
    }
}
