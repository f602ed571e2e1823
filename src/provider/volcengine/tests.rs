//! Whole answers in the shape of the vendor's samples, the traps in them, and how a region is read with few calls.
#![expect(clippy::too_many_lines, reason = "a table is as long as it has rows")]

mod budget;
mod inventory;
mod policy;
mod window;

use std::ops::Range;

use bytes::Bytes;
use futures_util::FutureExt;
use serde_json::{Value, json};

use super::damage::Kind;
use super::*;
use crate::backup::{Anomaly, BackupSet, BackupType, Scope, Status};
use crate::config::{AccountConfig, Secret};
use crate::example::{now, utc};
use crate::provider::Parameter;
use crate::provider::error::{Repeat, VendorWord};
use crate::provider::script::{
    LongLine, Script, account, answer, changed, sets, with_header, with_premises,
};
use crate::target::InstanceKey;
use crate::vendor::Vendor;

use ListingKind::{CrossRegion as Away, Local as AtHome};

const CROSS_REGION: &str = include_str!("../../../tests/fixtures/volcengine/cross_region.json");
const LOCAL: &str = include_str!("../../../tests/fixtures/volcengine/local.json");
const REFUSED_GATEWAY: &str =
    include_str!("../../../tests/fixtures/volcengine/refused_gateway.json");
const REFUSED_PRODUCT: &str =
    include_str!("../../../tests/fixtures/volcengine/refused_product.json");
const REFUSED_SECOND_SHAPE: &str =
    include_str!("../../../tests/fixtures/volcengine/refused_second_shape.json");

/// Every good answer among the fixtures.
pub(super) const ANSWERS: [(Kind, &str); 7] = [
    (Kind::Copies, CROSS_REGION),
    (Kind::LocalSets, LOCAL),
    (Kind::Copying, policy::ON),
    (Kind::Copying, policy::OFF),
    (Kind::Plan, policy::PLAN),
    (Kind::Window, window::WINDOW),
    (Kind::Instances, inventory::INSTANCES),
];

pub(super) const ID: &str = "redis-example1";

const HOME: &str = "cn-beijing";

fn target_of(id: &str, backup_regions: &[&str]) -> Target {
    let target = crate::example::target(id);
    Target {
        key: InstanceKey {
            provider: "volcengine",
            source_region: HOME.into(),
            service: Service::VolcengineRedis,
            ..target.key
        },
        backup_regions: backup_regions
            .iter()
            .map(|region| (*region).to_owned())
            .collect(),
        ..target
    }
}

pub(super) fn target() -> Target {
    target_of(ID, &["cn-shanghai"])
}

fn client() -> Volcengine {
    client_at(&Clock::set_by_hand(now()))
}

fn client_at(clock: &Clock) -> Volcengine {
    with_premises(&account(Vendor::Volcengine), clock, Volcengine::new)
}

/// Reads a listing of one instance from these answers, and fails if any is left over. Tells the calls too.
fn play(
    listing: ListingKind,
    target: &Target,
    answers: impl IntoIterator<Item = Answer>,
) -> (Result<Listing, ListError>, Vec<Call>) {
    let script = Script::of(answers);
    let listed = client()
        .list(listing, target, &script)
        .now_or_never()
        .expect("the script never waits");
    (listed.map(sets), script.calls())
}

/// What one page with a 200 comes to.
fn read(listing: ListingKind, body: impl Into<Bytes>) -> Result<Listing, ListError> {
    play(listing, &target(), [answer(200, body)]).0
}

/// What one row comes to in either listing; it has to be the same but for its place.
fn read_row(changes: &Value) -> (BackupSet, Vec<Anomaly>) {
    let body = page(&[row(changes)], 1);
    let [away, at_home] = [Away, AtHome].map(|listing| read(listing, body.clone()).unwrap());
    assert_eq!(away.anomalies, at_home.anomalies, "{changes}");
    let [away] = <[BackupSet; 1]>::try_from(away.sets).unwrap();
    let there = BackupSet {
        scope: Scope::CrossRegion,
        backup_region: away.backup_region.clone(),
        ..at_home.sets[0].clone()
    };
    assert_eq!(away, there, "{changes}");
    (away, at_home.anomalies)
}

fn page(rows: &[Value], total: u64) -> String {
    result(&json!({"Backups": rows, "Total": total}))
}

fn result(result: &Value) -> String {
    json!({"ResponseMetadata": {"RequestId": "1", "Region": HOME}, "Result": result}).to_string()
}

fn error(code: &str) -> String {
    let error = json!({"CodeN": 100_000, "Code": code, "Message": "not-a-secret"});
    json!({"ResponseMetadata": {"RequestId": "8b4d", "Error": error}}).to_string()
}

/// A good row with some fields changed; `null` stands for a field that is not there at all.
fn row(changes: &Value) -> Value {
    let good = json!({
        "SourceRegion": HOME, "TargetRegion": "cn-shanghai", "BackupPointId": "b-7",
        "BackupType": "Full", "Status": "Available", "Size": 1000, "InstanceId": ID, "TTL": 7,
        "StartTime": "2026-06-12T01:00:00Z", "EndTime": "2026-06-12T01:10:00Z",
        "InstanceInfo": {"InstanceName": "example", "EngineVersion": "5.0"},
    });
    changed(good, changes)
}

fn sorted(anomalies: &[Anomaly]) -> Vec<Anomaly> {
    let mut anomalies = anomalies.to_vec();
    anomalies.sort();
    anomalies
}

#[test]
fn nothing_is_no_backup_although_it_is_called_available() {
    let (set, anomalies) = read_row(&json!({"Size": 0}));
    assert_eq!(
        (set.status, anomalies),
        (Status::Unknown, vec![Anomaly::BadSize])
    );
    let (set, anomalies) = read_row(&json!({"Size": 0, "Status": "Unavailable"}));
    assert_eq!((set.status, anomalies), (Status::Failed, vec![]));
}

#[test]
fn a_copy_in_the_instances_own_region_is_none() {
    let body = page(&[row(&json!({"TargetRegion": HOME}))], 1);
    let away = read(Away, body.clone()).unwrap();
    assert_eq!(
        (away.sets, away.anomalies),
        (vec![], vec![Anomaly::WrongRegion])
    );
    // The local listing is about nothing else.
    assert_eq!(read(AtHome, body).unwrap().sets.len(), 1);
}

#[test]
fn each_sample_says_what_a_reader_of_the_page_would_name() {
    let copy = || BackupSet {
        scope: Scope::CrossRegion,
        backup_region: "cn-shanghai".into(),
        backup_type: BackupType::Full,
        status: Status::Completed,
        started: Some(utc("2025-04-14T12:58:19Z")),
        ended: Some(utc("2025-04-14T13:31:17Z")),
        // Half an hour for half a megabyte: the end includes the time of copying, and the size is one of bytes.
        size_bytes: Some(486_040),
        recovery_point: Some(utc("2025-04-14T12:58:19Z")),
        // The days that it is kept are known, but not from when they count.
        expires: None,
        available: true,
        is_copied: true,
        restore_regions: Arc::default(),
        covers_until: None,
    };
    let at_home = || BackupSet {
        scope: Scope::Local,
        backup_region: HOME.into(),
        ..copy()
    };
    let creating = BackupSet {
        status: Status::Running,
        started: Some(utc("2026-06-12T11:40:00Z")),
        ended: None,
        size_bytes: Some(0),
        recovery_point: Some(utc("2026-06-12T11:40:00Z")),
        ..at_home()
    };
    let unavailable = BackupSet {
        status: Status::Failed,
        started: Some(utc("2025-04-14T12:58:00Z")),
        ended: Some(utc("2025-04-14T12:59:03.250Z")),
        recovery_point: Some(utc("2025-04-14T12:58:00Z")),
        ..at_home()
    };
    for (kind, body, sets, name) in [
        (Away, CROSS_REGION, vec![copy()], "example"),
        (AtHome, LOCAL, vec![creating, unavailable], "缓存"),
    ] {
        let expected = Listing {
            sets,
            anomalies: Vec::new(),
            complete: true,
            engine: Some("redis".to_owned()),
            engine_version: Some("5.0".to_owned()),
            instance_name: Some(name.to_owned()),
            // Copies are listed at home, so that nobody has to know where they go.
            destinations: Vec::new(),
            protected: None,
            back_to: None,
        };
        assert_eq!(read(kind, body).unwrap(), expected, "{body}");
    }
}

#[test]
fn only_the_documented_statuses_and_types_are_understood() {
    let unknown = || (Status::Unknown, vec![Anomaly::UnknownStatus]);
    for (changes, (status, anomalies)) in [
        (json!({"Status": "Available"}), (Status::Completed, vec![])),
        // There is no word for a failure but this.
        (json!({"Status": "Unavailable"}), (Status::Failed, vec![])),
        (json!({"Status": "Creating"}), (Status::Running, vec![])),
        (json!({"Status": "Deleting"}), (Status::Deleting, vec![])),
        (json!({"Status": "available"}), unknown()),
        (json!({"Status": "Error"}), unknown()),
        (json!({"Status": ""}), unknown()),
        (json!({"Status": null}), unknown()),
        (json!({"Status": 0}), unknown()),
        (json!({"Status": ["Available"]}), unknown()),
        (json!({"Status": true}), unknown()),
        (json!({"BackupType": "Full"}), (Status::Completed, vec![])),
        (json!({"BackupType": "full"}), unknown()),
        (json!({"BackupType": "Increment"}), unknown()),
        (json!({"BackupType": ""}), unknown()),
        (json!({"BackupType": null}), unknown()),
        (json!({"BackupType": ["Full"]}), unknown()),
        (
            json!({"BackupType": "Increment", "Status": "Unavailable"}),
            unknown(),
        ),
        // Nothing else decides about it.
        (
            json!({"BackupStrategy": "DataFlashBack", "BackupProgress": 3, "TTL": 0}),
            (Status::Completed, vec![]),
        ),
    ] {
        let (set, found) = read_row(&changes);
        assert_eq!((set.status, found), (status, anomalies), "{changes}");
        assert_eq!(set.backup_type, BackupType::Full, "{changes}");
    }
}

#[test]
fn times_and_sizes_are_read_in_every_spelling_and_an_odd_one_spoils_its_field_alone() {
    use Anomaly::{BadSize, BadTime, FutureTime, UnknownStatus};
    use Status::{Completed, Running, Unknown};
    let (start, end) = (Some("2026-06-12T01:00:00Z"), Some("2026-06-12T01:10:00Z"));
    let begin = |time: &str| json!({"StartTime": time});
    // now is 12:00:00; five minutes ahead are believed.
    let (soon, later) = ("2026-06-12T12:05:00Z", "2026-06-12T12:05:01Z");
    for (changes, status, started, ended, size, anomalies) in [
        (json!({}), Completed, start, end, Some(1000), &[][..]),
        (
            begin("2026-06-12T01:00Z"),
            Completed,
            start,
            end,
            Some(1000),
            &[],
        ),
        (
            begin("2026-06-12T09:00:00+08:00"),
            Completed,
            start,
            end,
            Some(1000),
            &[],
        ),
        (
            begin("2026-06-12T01:00:00.500Z"),
            Completed,
            Some("2026-06-12T01:00:00.500Z"),
            end,
            Some(1000),
            &[],
        ),
        (begin(""), Completed, None, end, Some(1000), &[]),
        (
            begin("yesterday"),
            Completed,
            None,
            end,
            Some(1000),
            &[BadTime],
        ),
        (
            begin("0001-01-01T00:00:00Z"),
            Completed,
            None,
            end,
            Some(1000),
            &[BadTime],
        ),
        (
            json!({"StartTime": 1_781_226_000}),
            Completed,
            None,
            end,
            Some(1000),
            &[BadTime],
        ),
        (
            json!({"EndTime": "", "Status": "Creating", "Size": 0}),
            Running,
            start,
            None,
            Some(0),
            &[],
        ),
        (
            json!({"EndTime": null, "Status": "Creating", "Size": null}),
            Running,
            start,
            None,
            None,
            &[],
        ),
        (
            json!({"StartTime": "", "EndTime": ""}),
            Completed,
            None,
            None,
            Some(1000),
            &[BadTime],
        ),
        // Ends before it starts: both are kept, and no duration will be made of them.
        (
            begin("2026-06-12T01:20:00Z"),
            Completed,
            Some("2026-06-12T01:20:00Z"),
            end,
            Some(1000),
            &[BadTime],
        ),
        (
            json!({"EndTime": soon}),
            Completed,
            start,
            Some(soon),
            Some(1000),
            &[],
        ),
        (
            json!({"EndTime": later}),
            Unknown,
            start,
            Some(later),
            Some(1000),
            &[FutureTime],
        ),
        (
            json!({"EndTime": later, "Status": "Odd"}),
            Unknown,
            start,
            Some(later),
            Some(1000),
            &[FutureTime, UnknownStatus],
        ),
        (
            json!({"Size": "486040"}),
            Completed,
            start,
            end,
            Some(486_040),
            &[],
        ),
        (
            json!({"Size": u64::MAX}),
            Completed,
            start,
            end,
            Some(u64::MAX),
            &[],
        ),
        (json!({"Size": ""}), Completed, start, end, None, &[]),
        (json!({"Size": -1}), Completed, start, end, None, &[BadSize]),
        (
            json!({"Size": 1.5}),
            Completed,
            start,
            end,
            None,
            &[BadSize],
        ),
        (
            json!({"Size": 1e30}),
            Completed,
            start,
            end,
            None,
            &[BadSize],
        ),
        (
            json!({"Size": "18446744073709551616"}),
            Completed,
            start,
            end,
            None,
            &[BadSize],
        ),
        (json!({"Size": []}), Completed, start, end, None, &[BadSize]),
    ] {
        let (set, found) = read_row(&changes);
        assert_eq!(
            (set.status, set.started, set.ended, set.size_bytes),
            (status, started.map(utc), ended.map(utc), size),
            "{changes}"
        );
        assert_eq!(sorted(&found), sorted(anomalies), "{changes}");
        assert_eq!(set.recovery_point, set.started, "{changes}");
    }
}

#[test]
fn a_copy_without_a_region_is_where_the_only_expected_one_is() {
    let nowhere = |value: Value| row(&json!({"TargetRegion": value}));
    for (listing, row, expecting, region) in [
        (Away, row(&json!({})), &["cn-guangzhou"][..], "cn-shanghai"),
        (
            Away,
            nowhere(Value::Null),
            &["cn-guangzhou"],
            "cn-guangzhou",
        ),
        (Away, nowhere(json!("")), &["cn-guangzhou"], "cn-guangzhou"),
        (Away, nowhere(json!([])), &["cn-guangzhou"], "cn-guangzhou"),
        (
            Away,
            nowhere(Value::Null),
            &["cn-guangzhou", "cn-shanghai"],
            "",
        ),
        (Away, nowhere(Value::Null), &[], ""),
        // A local set is at home, whatever it says.
        (AtHome, row(&json!({})), &["cn-guangzhou"], HOME),
        (AtHome, nowhere(Value::Null), &[], HOME),
    ] {
        let target = target_of(ID, expecting);
        let body = page(std::slice::from_ref(&row), 1);
        let (listed, _) = play(listing, &target, [answer(200, body.clone())]);
        assert_eq!(&*listed.unwrap().sets[0].backup_region, region, "{row}");
        let (together, _) = play_together(listing, &[Arc::new(target)], [answer(200, body)]);
        let (_, listed) = &together.read[0];
        let listed = listed.as_ref().map(sets).unwrap();
        assert_eq!(&*listed.sets[0].backup_region, region, "{row}");
    }
}

#[test]
fn the_instance_is_described_by_any_row_that_does() {
    let info = |name: &str, version: Value| json!({"InstanceInfo": {"InstanceName": name, "EngineVersion": version}});
    for (changes, name, version) in [
        (info("example", json!("5.0")), Some("example"), Some("5.0")),
        (
            info("缓存-été", json!("7.0")),
            Some("缓存-été"),
            Some("7.0"),
        ),
        (info("", json!(5.0)), None, Some("5.0")),
        (info(" ", json!(6)), None, Some("6")),
        (json!({"InstanceInfo": null}), None, None),
        (json!({"InstanceInfo": "example"}), None, None),
        (json!({"InstanceInfo": ["example"]}), None, None),
        (json!({"InstanceInfo": {}}), None, None),
    ] {
        let listing = read(Away, page(&[row(&changes)], 1)).unwrap();
        let found = (
            listing.engine.as_deref(),
            listing.instance_name.as_deref(),
            listing.engine_version.as_deref(),
        );
        assert_eq!(found, (Some("redis"), name, version), "{changes}");
    }
    let named = changed(info("late", json!("7.0")), &json!({"BackupPointId": "b-8"}));
    let rows = [row(&json!({"InstanceInfo": null})), row(&named)];
    let listing = read(Away, page(&rows, 2)).unwrap();
    assert_eq!(listing.instance_name.as_deref(), Some("late"));
}

#[test]
fn rows_that_are_none_and_rows_of_others_are_counted_and_dropped() {
    let rows = [
        row(&json!({"InstanceId": "redis-stranger", "BackupPointId": "b-1"})),
        json!(null),
        json!(7),
        json!("row"),
        json!([row(&json!({}))]),
        json!(true),
        row(&json!({"BackupPointId": "b-8"})),
        row(&json!({"BackupPointId": "b-9", "InstanceId": null})),
        row(&json!({"BackupPointId": "b-8"})),
        // Nothing tells it from the others, so it is one of its own.
        row(&json!({"BackupPointId": null})),
        row(&json!({"BackupPointId": ""})),
    ];
    let mut anomalies = vec![Anomaly::ForeignInstance];
    anomalies.extend([Anomaly::BadRow; 5]);
    anomalies.push(Anomaly::Duplicate);
    for listing in [Away, AtHome] {
        let listing = read(listing, page(&rows, 11)).unwrap();
        assert_eq!(listing.sets.len(), 4);
        assert_eq!(listing.anomalies, anomalies);
        // Nobody knows what the five were.
        assert!(!listing.complete);
    }
}

#[test]
fn the_same_point_in_two_regions_is_two_copies() {
    let copies = [
        row(&json!({})),
        row(&json!({"TargetRegion": "cn-guangzhou"})),
        row(&json!({"TargetRegion": null})),
    ];
    let listing = read(Away, page(&copies, 3)).unwrap();
    assert_eq!((listing.sets.len(), listing.anomalies.len()), (3, 0));
    // At home there is no target.
    let at_home = [2, 2].map(|copy: usize| copies[copy].clone());
    let listing = read(AtHome, page(&at_home, 2)).unwrap();
    assert_eq!((listing.sets.len(), listing.anomalies.len()), (1, 1));
}

#[test]
fn no_list_is_an_empty_one_in_an_answer_of_the_vendors() {
    let page = |page: Value| result(&page);
    for (body, complete) in [
        (page(json!({"Backups": [], "Total": 0})), true),
        (page(json!({"Backups": null, "Total": 0})), true),
        (page(json!({"Backups": null, "Total": "0"})), true),
        (page(json!({"Total": 0})), true),
        (page(json!({})), true),
        (page(Value::Null), true),
        (r#"{"ResponseMetadata":{"RequestId":"1"}}"#.to_owned(), true),
        (r#"{"ResponseMetadata":{"Error":null}}"#.to_owned(), true),
        // A total that cannot be read says nothing.
        (page(json!({"Backups": [], "Total": "many"})), true),
        (page(json!({"Backups": [], "Total": -1})), true),
        // It does not hide rows that the vendor counts.
        (page(json!({"Backups": [], "Total": 3})), false),
        (page(json!({"Backups": null, "Total": 3})), false),
        (page(json!({"Total": "3"})), false),
    ] {
        for listing in [Away, AtHome] {
            let listing = read(listing, body.clone()).unwrap();
            let expected = Listing {
                complete,
                ..Listing::default()
            };
            assert_eq!(listing, expected, "{body}");
        }
    }
}

/// Rows of these points, all of one instance.
fn part(points: Range<u64>, total: Option<u64>) -> Answer {
    part_of(&[ID], points, total)
}

/// Rows of these points of several instances in turn.
fn part_of(ids: &[&str], points: Range<u64>, total: Option<u64>) -> Answer {
    let rows: Vec<_> = (0..points.end)
        .zip(ids.iter().cycle())
        .filter(|(point, _)| points.contains(point))
        .map(|(point, id)| row(&json!({"BackupPointId": point, "InstanceId": id})))
        .collect();
    answer(200, result(&json!({"Backups": rows, "Total": total})))
}

#[test]
fn pages_are_read_to_the_end_by_their_numbers() {
    for (case, answers, sets, duplicates, complete) in [
        ("one short page", vec![part(0..30, Some(30))], 30, 0, true),
        ("no total", vec![part(0..30, None)], 30, 0, true),
        ("one full page", vec![part(0..100, Some(100))], 100, 0, true),
        (
            "a second page",
            vec![part(0..100, Some(101)), part(100..101, Some(101))],
            101,
            0,
            true,
        ),
        (
            "no total, and a full page that is the last",
            vec![part(0..100, None), part(0..0, None)],
            100,
            0,
            true,
        ),
        // By their numbers, the second page would begin after 100 rows.
        (
            "a total that is too large",
            vec![part(0..1, Some(100))],
            1,
            0,
            false,
        ),
        (
            "a total that lies low",
            vec![part(0..100, Some(1)), part(100..110, Some(1))],
            110,
            0,
            false,
        ),
        (
            "a total that changes",
            vec![part(0..100, Some(101)), part(100..102, Some(102))],
            102,
            0,
            true,
        ),
        (
            "a row that moved to the next page while we read",
            vec![part(0..100, Some(150)), part(99..149, Some(150))],
            149,
            1,
            true,
        ),
        (
            "the same page again",
            vec![part(0..100, Some(300)), part(0..100, Some(300))],
            100,
            100,
            false,
        ),
    ] {
        let asked = answers.len();
        let (listing, calls) = play(AtHome, &target(), answers);
        let listing = listing.unwrap();
        assert_eq!(calls.len(), asked, "{case}");
        assert_eq!(listing.sets.len(), sets, "{case}");
        assert_eq!(listing.anomalies, vec![Anomaly::Duplicate; duplicates]);
        assert_eq!(listing.complete, complete, "{case}");
    }
    let failing = [part(0..100, Some(150)), answer(500, error("InternalError"))];
    let (listing, _) = play(AtHome, &target(), failing);
    assert_eq!(listing.unwrap_err().reason, Reason::Server);
}

#[test]
fn requests_ask_one_instance_or_all_of_them_for_a_window_with_both_of_its_ends() {
    let answers = || [part(0..100, Some(101)), part(100..101, Some(101))];
    for (listing, operation) in [
        (Away, "DescribeCrossRegionBackups"),
        (AtHome, "DescribeBackups"),
    ] {
        let expected = |instance: &str, scope: &[(&'static str, &str)]| {
            [1, 2].map(|number| Call {
                operation,
                instance: instance.into(),
                region: HOME.into(),
                project: None,
                parameters: scope
                    .iter()
                    .chain(&[
                        ("StartTime", "2026-05-12T12:00:00Z"),
                        ("EndTime", "2026-06-12T12:01:00Z"),
                    ])
                    .map(|(name, value)| (*name, Parameter::text(*value)))
                    .chain([
                        ("PageNumber", Parameter::Number(number)),
                        ("PageSize", Parameter::Number(100)),
                    ])
                    .collect(),
            })
        };
        let (_, calls) = play(listing, &target(), answers());
        let scope = [("Scope", "OneInstance"), ("InstanceId", ID)];
        assert_eq!(calls, expected(ID, &scope));
        let targets = [Arc::new(target()), Arc::new(target_of("other", &[]))];
        let (_, calls) = play_together(listing, &targets, answers());
        let scope = [("Scope", "AccountInstances")];
        assert_eq!(calls, expected("all instances", &scope));
    }
}

#[test]
fn a_call_that_stood_in_line_asks_about_the_present_and_its_further_pages_about_the_same_window() {
    for together in [false, true] {
        let clock = Clock::set_by_hand(now());
        let late = row(&json!({
            "BackupPointId": "late",
            "StartTime": (now() + chrono::Duration::minutes(6)).to_rfc3339(),
            "EndTime": (now() + chrono::Duration::minutes(8)).to_rfc3339(),
        }));
        let script = Script::of([part(0..100, Some(101)), answer(200, page(&[late], 101))]);
        let line = LongLine(script, clock.clone());
        let client = client_at(&clock);
        let targets = [Arc::new(target()), Arc::new(target_of("other", &[]))];
        let listing = async {
            if together {
                let mut together = client.list_together(Away, &targets, &line).await;
                together.read.remove(0).1
            } else {
                client.list(Away, &targets[0], &line).await
            }
        };
        let listing = listing.now_or_never().expect("the script never waits");
        let listing = listing.map(sets).unwrap();
        assert_eq!((listing.sets.len(), listing.anomalies), (101, Vec::new()));
        for call in line.0.calls() {
            let end = ("EndTime", Parameter::text("2026-06-12T12:11:00Z"));
            assert!(call.parameters.contains(&end), "{call:?}");
        }
    }
}

/// Reads a listing of several instances from these answers, and fails if any is left over. Tells the calls too.
fn play_together(
    listing: ListingKind,
    targets: &[Arc<Target>],
    answers: impl IntoIterator<Item = Answer>,
) -> (ReadTogether, Vec<Call>) {
    together_on(&client(), listing, targets, answers)
}

fn together_on(
    client: &Volcengine,
    listing: ListingKind,
    targets: &[Arc<Target>],
    answers: impl IntoIterator<Item = Answer>,
) -> (ReadTogether, Vec<Call>) {
    let script = Script::of(answers);
    let read = client
        .list_together(listing, targets, &script)
        .now_or_never()
        .expect("the script never waits");
    (read, script.calls())
}

fn targets_of(ids: &[&str]) -> Vec<Arc<Target>> {
    let targets = ids.iter().map(|id| target_of(id, &["cn-shanghai"]));
    targets.map(Arc::new).collect()
}

/// What was read of each instance: its sets, its anomalies, and whether they are all.
fn told(together: &ReadTogether) -> Vec<(&str, usize, Vec<Anomaly>, bool)> {
    let told = together.read.iter().map(|(key, listing)| {
        let listing = listing.as_ref().map(sets).unwrap();
        let anomalies = sorted(&listing.anomalies);
        (
            &*key.instance_id,
            listing.sets.len(),
            anomalies,
            listing.complete,
        )
    });
    told.collect()
}

fn ids(targets: &[Arc<Target>]) -> Vec<&str> {
    let ids = targets.iter().map(|target| &*target.key.instance_id);
    ids.collect()
}

#[test]
fn rows_of_a_region_are_sorted_by_their_instances() {
    let of = |point: u64, id: Value| row(&json!({"BackupPointId": point, "InstanceId": id}));
    let first: Vec<_> = (0..98)
        .map(|point| of(point, json!("redis-stranger")))
        .chain([of(100, json!("a")), of(101, json!("b"))])
        .collect();
    let second = [
        // The rows moved while we read: one is met again, and so is one that is not ours.
        of(101, json!("b")),
        of(97, json!("redis-stranger")),
        of(102, json!("b")),
        of(103, json!(null)),
        json!(7),
        of(104, json!("c")),
        changed(of(105, json!("a")), &json!({"Status": "Odd"})),
    ];
    let targets = targets_of(&["a", "b", "c"]);
    let answers = || [&first[..], &second[..]].map(|rows| answer(200, page(rows, 107)));
    for listing in [Away, AtHome] {
        let (together, _) = play_together(listing, &targets, answers());
        let unknown = Anomaly::UnknownStatus;
        assert_eq!(
            told(&together),
            [
                // Rows that cannot be told whose they are have to be counted somewhere, and one that is none may be
                // anybody's.
                ("a", 2, vec![unknown, unknown, Anomaly::BadRow], false),
                ("b", 2, vec![Anomaly::Duplicate], false),
                ("c", 1, vec![], false),
            ]
        );
        assert_eq!(ids(&together.one_by_one), Vec::<&str>::new());
        let (key, listing) = &together.read[1];
        assert_eq!(*key, targets[1].key);
        let listing = listing.as_ref().map(sets).unwrap();
        assert_eq!(listing.instance_name.as_deref(), Some("example"));
        assert_eq!(listing.engine_version.as_deref(), Some("5.0"));
    }
}

#[test]
fn nothing_is_asked_about_no_instances() {
    let (together, calls) = play_together(Away, &[], []);
    assert!(together.read.is_empty() && together.one_by_one.is_empty() && calls.is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_instance_without_a_row_is_asked_by_itself_until_it_is_known_to_exist() {
    let client = client();
    let targets = targets_of(&["a", "b", "c"]);
    let only_a = || [part_of(&["a"], 0..1, Some(1))];
    let without_rows = |listing| {
        let (together, _) = together_on(&client, listing, &targets, only_a());
        let mut all = ids(&together.one_by_one);
        let asked: Vec<String> = all.iter().map(|id| (*id).to_owned()).collect();
        all.extend(told(&together).iter().map(|(id, ..)| *id));
        all.sort_unstable();
        assert_eq!(all, ["a", "b", "c"], "each is read or asked about");
        let empty = told(&together).into_iter().filter(|(id, ..)| *id != "a");
        assert!(
            empty
                .into_iter()
                .all(|(_, sets, _, complete)| sets == 0 && complete)
        );
        asked
    };
    assert_eq!(without_rows(Away), ["b", "c"]);
    // An answer about the instance itself shows that it exists, and so does a row; a refusal does not.
    let ask = |index: usize, answer| {
        let script = Script::of([answer]);
        let listed = client.list(Away, &targets[index], &script).now_or_never();
        listed.unwrap().is_ok()
    };
    assert!(ask(1, part(0..0, Some(0))));
    assert!(!ask(2, answer(400, error("InstanceNotExist"))));
    assert_eq!(without_rows(Away), ["c"]);
    // It holds for the other listing as well.
    assert_eq!(without_rows(AtHome), ["c"]);
    let (together, _) = together_on(&client, Away, &targets, [part(0..0, Some(0))]);
    assert_eq!(ids(&together.one_by_one), ["c"]);
    tokio::time::advance(Duration::from_secs(3599)).await;
    assert_eq!(without_rows(Away), ["c"]);
    tokio::time::advance(Duration::from_secs(1)).await;
    assert_eq!(without_rows(Away), ["b", "c"]);
}

#[tokio::test(start_paused = true)]
async fn where_a_region_cannot_be_read_as_a_whole_its_instances_are_asked_one_by_one_for_an_hour() {
    let two = targets_of(&["a", "b"]);
    let denied = |status, code: &str| answer(status, error(code));
    for (case, first) in [
        ("denied", denied(403, "AccessDenied")),
        ("not for all projects", denied(403, "LackProjectPolicy")),
        ("denied without a word", answer(403, "")),
        // Three pages for two instances.
        ("dearer", part_of(&["a", "b"], 0..100, Some(201))),
    ] {
        let client = client();
        let together = |listing, answers: Vec<Answer>| {
            let (together, _) = together_on(&client, listing, &two, answers);
            let read = together.read.len();
            (read, together.one_by_one.len())
        };
        assert_eq!(together(Away, vec![first]), (0, 2), "{case}");
        // Not asked again: the script has no answer.
        assert_eq!(together(Away, vec![]), (0, 2), "{case}");
        // The other listing may be cheaper, and has an action of its own.
        let good = || {
            vec![
                part_of(&["a", "b"], 0..100, Some(200)),
                part_of(&["a", "b"], 100..200, Some(200)),
            ]
        };
        assert_eq!(together(AtHome, good()), (2, 0), "{case}");
        tokio::time::advance(Duration::from_secs(3599)).await;
        assert_eq!(together(Away, vec![]), (0, 2), "{case}");
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(together(Away, good()), (2, 0), "{case}");
    }
}

#[test]
fn a_region_that_is_denied_says_nothing_of_another() {
    let client = client();
    let elsewhere = || Target {
        key: InstanceKey {
            source_region: "cn-guangzhou".into(),
            ..target().key
        },
        ..target()
    };
    let denied = [answer(403, error("AccessDenied"))];
    let (together, _) = together_on(&client, Away, &[Arc::new(target())], denied);
    assert_eq!(ids(&together.one_by_one), [ID]);
    let answers = [part(0..1, Some(1))];
    let (together, calls) = together_on(&client, Away, &[Arc::new(elsewhere())], answers);
    assert_eq!(
        (together.read.len(), &*calls[0].region),
        (1, "cn-guangzhou")
    );
}

#[test]
fn a_failure_to_read_a_region_is_one_of_every_instance() {
    let targets = targets_of(&["a", "b"]);
    let client = client();
    for (answers, reason) in [
        (vec![answer(500, "")], Reason::Server),
        (
            vec![answer(401, error("SignatureDoesNotMatch"))],
            Reason::Credentials,
        ),
        (vec![answer(429, "")], Reason::Throttled),
        (vec![answer(200, "{}")], Reason::Malformed),
        (
            vec![part_of(&["a", "b"], 0..100, Some(101)), answer(500, "")],
            Reason::Server,
        ),
    ] {
        // It is asked again each time.
        let (together, calls) = together_on(&client, Away, &targets, answers);
        assert_eq!(ids(&together.one_by_one), Vec::<&str>::new());
        let failed: Vec<_> = together
            .read
            .iter()
            .map(|(key, listing)| (key, listing.as_ref().unwrap_err().reason))
            .collect();
        assert_eq!(
            failed,
            [(&targets[0].key, reason), (&targets[1].key, reason)]
        );
        assert!(!calls.is_empty());
        let (_, error) = together.read.into_iter().next().unwrap();
        let shown = error.unwrap_err().to_string();
        let begins = "DescribeCrossRegionBackups of all instances in cn-beijing: ";
        assert!(shown.starts_with(begins), "{shown}");
    }
}

#[test]
fn as_many_pages_are_read_as_there_are_instances() {
    let names: Vec<_> = (0..102).map(|number| format!("redis-{number}")).collect();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    let targets = targets_of(&names);
    // 102 pages are no dearer than 102 questions, although one instance alone would be cut at 100.
    let answers = |pages: u64, total| -> Vec<Answer> {
        let points = (0..pages).map(|page| page * 100..page * 100 + 100);
        points
            .map(|points| part_of(&names, points, total))
            .collect()
    };
    let (together, calls) = play_together(Away, &targets, answers(102, Some(10_200)));
    assert_eq!((calls.len(), together.read.len()), (102, 102));
    assert!(
        told(&together)
            .iter()
            .all(|(_, sets, _, complete)| *sets == 100 && *complete)
    );
    // Without a total nobody knows how many there are, and the listing is cut.
    let (together, calls) = play_together(Away, &targets, answers(102, None));
    assert_eq!((calls.len(), together.read.len()), (102, 102));
    assert!(told(&together).iter().all(|(.., complete)| !complete));
    let one = [targets[0].clone()];
    let (together, calls) = play_together(Away, &one, answers(100, None));
    assert_eq!(calls.len(), 100);
    assert!(told(&together).iter().all(|(.., complete)| !complete));
}

#[test]
fn an_incomplete_reading_is_one_of_every_instance() {
    let targets = targets_of(&["a", "b"]);
    let part = |points, total| part_of(&["a", "b"], points, Some(total));
    for (case, answers, sets, duplicates) in [
        ("a total that lies high", vec![part(0..4, 5)], 2, 0),
        (
            "the same page again",
            vec![part(0..100, 200), part(0..100, 200)],
            50,
            50,
        ),
        // Within the total, and yet no row is new.
        (
            "a listing that goes round",
            vec![part(0..100, 150), part(0..100, 150)],
            50,
            50,
        ),
    ] {
        let (together, _) = play_together(AtHome, &targets, answers);
        let anomalies = vec![Anomaly::Duplicate; duplicates];
        assert_eq!(
            told(&together),
            ["a", "b"].map(|id| (id, sets, anomalies.clone(), false)),
            "{case}"
        );
    }
}

#[test]
fn an_answer_that_is_no_listing_is_an_error_with_a_reason() {
    use Reason as R;
    use Repeat::{AfterPause, Never};
    let own = |text: &str| text.to_owned();
    let html = "<html><body>not-a-secret: 502 Bad Gateway</body></html>";
    let truncated = &CROSS_REGION[..CROSS_REGION.len() / 2];
    let malformed = (R::Malformed, AfterPause);
    let bad_request = (R::BadRequest, Never);
    let credentials = (R::Credentials, Never);
    let permission = (R::Permission, Never);
    let not_found = (R::NotFound, Never);
    let server = (R::Server, AfterPause);
    let throttled = (R::Throttled, AfterPause);
    let whole = [
        ("a gateway's page in a 200", 200, own(html), malformed, ""),
        ("empty", 200, own(""), malformed, ""),
        ("an empty object", 200, own("{}"), malformed, ""),
        ("null", 200, own("null"), malformed, ""),
        ("a list", 200, own("[1,2]"), malformed, ""),
        ("a string", 200, own("\"not-a-secret\""), malformed, ""),
        ("truncated", 200, own(truncated), malformed, ""),
        (
            "a page without metadata",
            200,
            own(r#"{"Result":{"Backups":[],"Total":0}}"#),
            malformed,
            "",
        ),
        (
            "metadata of a wrong kind",
            200,
            own(r#"{"ResponseMetadata":"not-a-secret","Result":{"Backups":[]}}"#),
            malformed,
            "",
        ),
        (
            "a result of a wrong kind",
            200,
            result(&json!("not-a-secret")),
            malformed,
            "",
        ),
        (
            "a result that is a list",
            200,
            result(&json!([])),
            malformed,
            "",
        ),
        (
            "rows of a wrong kind",
            200,
            result(&json!({"Backups": "not-a-secret"})),
            malformed,
            "",
        ),
        (
            "rows in an object",
            200,
            result(&json!({"Backups": {"a": "not-a-secret"}})),
            malformed,
            "",
        ),
        (
            "an error that says nothing",
            200,
            own(r#"{"ResponseMetadata":{"Error":{}},"Result":{"Backups":[]}}"#),
            malformed,
            "",
        ),
        (
            "an error beside a result",
            200,
            own(
                r#"{"ResponseMetadata":{"Error":{"Code":"AccessDenied"}},"Result":{"Backups":[]}}"#,
            ),
            permission,
            "AccessDenied",
        ),
        (
            "a redirect to a portal",
            302,
            own("not-a-secret"),
            (R::Malformed, Never),
            "",
        ),
        ("a gateway's page", 502, own(html), server, ""),
        ("a failure without a word", 500, own(""), server, ""),
        (
            "a failure of the product comes with 400",
            400,
            own(REFUSED_PRODUCT),
            server,
            "InternalError",
        ),
        (
            "a wrong signature, and what was signed",
            401,
            own(REFUSED_GATEWAY),
            credentials,
            "SignatureDoesNotMatch",
        ),
        (
            "the second shape",
            500,
            own(REFUSED_SECOND_SHAPE),
            server,
            "100014",
        ),
        (
            "the second shape in a 200",
            200,
            own(REFUSED_SECOND_SHAPE),
            server,
            "100014",
        ),
        (
            "the second shape with a word",
            403,
            own(r#"{"HTTPCode":403,"errorcode":"AccessDenied","message":"not-a-secret"}"#),
            permission,
            "AccessDenied",
        ),
        ("throttled without a word", 429, own(""), throttled, ""),
        ("nobody in particular", 401, own(""), credentials, ""),
        ("an empty refusal", 403, own(""), permission, ""),
        (
            "a code that is not fit to be shown",
            400,
            error("not-a-secret or so"),
            bad_request,
            "",
        ),
    ];
    let coded = [
        (400, "MissingParameter", bad_request),
        (400, "MissingRequestInfo", bad_request),
        (401, "MissingAuthenticationToken", credentials),
        (401, "MissingSignature", credentials),
        (400, "InvalidTimestamp", credentials),
        (403, "InvalidTimestamp", credentials),
        (404, "ServiceNotFound", not_found),
        (404, "InvalidActionOrVersion", not_found),
        (401, "InvalidAccessKey", credentials),
        (401, "SignatureDoesNotMatch", credentials),
        (403, "LackPolicy", permission),
        (403, "LackProjectPolicy", permission),
        (403, "AccessDenied", permission),
        (401, "InvalidSecretToken", credentials),
        (400, "InvalidAuthorization", credentials),
        (400, "InvalidCredential", credentials),
        (500, "InternalError", server),
        (400, "ServerError", server),
        (400, "InternalServiceTimeout", (R::Timeout, AfterPause)),
        (429, "FlowLimitExceeded", throttled),
        (400, "FlowLimitExceeded", throttled),
        (400, "FlowLimitExceeded.QPSOverLimit", throttled),
        (400, "InstanceNotExist", not_found),
        (404, "InstanceNotFound", not_found),
        (400, "InstanceStatusNotMatch", (R::Server, Never)),
        (400, "InvalidRegion", bad_request),
        (400, "ParamError", bad_request),
        (400, "TimeFormatInvalid", bad_request),
        (400, "TimeIntervalInvalid", bad_request),
        (400, "OffsetOutOfRange", bad_request),
        (400, "OrderTypeInvalid", bad_request),
        (400, "InvalidOperator", bad_request),
        (400, "OperationNotSupported", (R::Unsupported, Never)),
        // Nobody documents these.
        (400, "Odd.Thing", bad_request),
        (503, "Odd.Thing", server),
        (200, "Odd.Thing", server),
        // The code counts whatever the status is.
        (200, "FlowLimitExceeded", throttled),
        (200, "InstanceNotExist", not_found),
    ];
    let coded = coded.map(|(status, code, outcome)| (code, status, error(code), outcome, code));
    for (case, status, body, outcome, code) in whole.into_iter().chain(coded) {
        let (listing, _) = play(Away, &target(), [answer(status, body)]);
        let error = listing.unwrap_err();
        let found = error.code.as_ref().map_or("", VendorWord::as_str);
        let case = format!("{status} {case}");
        assert_eq!((error.reason, error.repeat), outcome, "{case}");
        assert_eq!((error.status, found), (Some(status), code), "{case}");
        assert_eq!(
            error.missing_instance,
            found.starts_with("InstanceNot"),
            "{case}"
        );
        // Neither the body nor anything secret in it is shown.
        let shown = format!("{error} {error:?}");
        for secret in ["not-a-secret", "x-security-token"] {
            assert!(!shown.contains(secret), "{case}: {shown}");
        }
    }
}

#[test]
fn a_refusal_says_what_the_operator_does_next() {
    for (status, body, expected) in [
        (
            403,
            error("LackPolicy"),
            "permission (HTTP 403, LackPolicy, request 8b4d)",
        ),
        (
            400,
            text(REFUSED_PRODUCT),
            "server (HTTP 400, InternalError, request 00000000000000000000000000000004)",
        ),
        (
            302,
            String::new(),
            "malformed (HTTP 302, redirects are not followed)",
        ),
        (200, text("{}"), "malformed (HTTP 200, no listing)"),
        (
            200,
            text("{"),
            "malformed (HTTP 200, no listing at line 1 column 1)",
        ),
    ] {
        let (listing, _) = play(AtHome, &target(), [answer(status, body)]);
        let expected = format!("DescribeBackups of {ID} in cn-beijing: {expected}");
        assert_eq!(listing.unwrap_err().to_string(), expected);
    }
}

fn text(text: &str) -> String {
    text.to_owned()
}

#[test]
fn a_pause_is_asked_for_by_a_header_alone() {
    let seconds = |seconds| Some(Duration::from_secs(seconds));
    for (status, header, expected) in [
        (429, None, None),
        (429, Some("3"), seconds(3)),
        (503, Some(" 3 "), seconds(3)),
        (200, Some("3"), seconds(3)),
        (429, Some("0"), None),
        (429, Some("-1"), None),
        (429, Some("soon"), None),
        (429, Some("Fri, 12 Jun 2026 12:00:00 GMT"), None),
        // Nobody is waited for longer than the SDKs do.
        (429, Some("86400"), seconds(300)),
    ] {
        let mut answer = answer(status, "");
        if let Some(value) = header {
            answer = with_header(answer, "retry-after", value);
        }
        let case = format!("{status} {header:?}");
        assert_eq!(requested_pause(&answer), expected, "{case}");
        // Whoever was refused is told the same.
        if status != 200 {
            let (listing, _) = play(AtHome, &target(), [answer]);
            assert_eq!(listing.unwrap_err().retry_after, expected, "{case}");
        }
    }
}

#[test]
fn a_call_is_signed_and_sent_byte_for_byte() {
    let call = |operation, region: &str, parameters: &[(&'static str, Parameter)]| Call {
        operation,
        instance: ID.into(),
        region: region.into(),
        project: None,
        parameters: parameters.to_vec(),
    };
    let all = call(
        "DescribeCrossRegionBackups",
        HOME,
        &[
            ("Scope", Parameter::text("AccountInstances")),
            ("PageNumber", Parameter::Number(1)),
            ("PageSize", Parameter::Number(100)),
        ],
    );
    let one = || {
        call(
            "DescribeBackups",
            "cn-shanghai",
            &[
                ("Scope", Parameter::text("OneInstance")),
                ("InstanceId", Parameter::text(ID)),
                ("PageNumber", Parameter::Number(2)),
            ],
        )
    };
    // Numbers are numbers in the body.
    let body_of_all = r#"{"PageNumber":1,"PageSize":100,"Scope":"AccountInstances"}"#;
    let body_of_one = r#"{"InstanceId":"redis-example1","PageNumber":2,"Scope":"OneInstance"}"#;
    let hash_of_all = "54b42fbedd0e7e277afd2430e4ad515a75fac0fc6f8750ff1242a54b54015778";
    let hash_of_one = "e811cda4a9aba1193ddc8fa251afa2501a05d464f7bac1b5b45f72686d8a3bb1";
    let four = "content-type;host;x-content-sha256;x-date";
    for (endpoint, call, token, url, (body, hash), scope, signed_headers, signature) in [
        (
            None,
            all,
            None,
            "https://redis.cn-beijing.volcengineapi.com/?Action=DescribeCrossRegionBackups&Version=2020-12-07",
            (body_of_all, hash_of_all),
            "20250418/cn-beijing/redis/request",
            four,
            "1d60197b8cf105895863d4162715ba647686e453091649c23dc27b022e9699fc",
        ),
        (
            None,
            one(),
            Some("token/with+chars=="),
            "https://redis.cn-shanghai.volcengineapi.com/?Action=DescribeBackups&Version=2020-12-07",
            (body_of_one, hash_of_one),
            "20250418/cn-shanghai/redis/request",
            "content-type;host;x-content-sha256;x-date;x-security-token",
            "453ee4005e519a3c7080a26e6510d8e794bd0b5897c563eadf01268525ba2923",
        ),
        // An endpoint's path is signed; a port that is no default one is part of the host.
        (
            Some("http://127.0.0.1:8080/clouds/{region}"),
            one(),
            None,
            "http://127.0.0.1:8080/clouds/cn-shanghai/?Action=DescribeBackups&Version=2020-12-07",
            (body_of_one, hash_of_one),
            "20250418/cn-shanghai/redis/request",
            four,
            "c75f8fcb103d676aff2a921ccb7f6390830514019ff3c7e1e3c8982d5380c27f",
        ),
        (
            Some("https://open.example.com:443/"),
            one(),
            None,
            "https://open.example.com:443/?Action=DescribeBackups&Version=2020-12-07",
            (body_of_one, hash_of_one),
            "20250418/cn-shanghai/redis/request",
            four,
            "3bc369fe3533413d98d91eb5ff63598e42b954a68cd85a657dd8033d9ba186df",
        ),
    ] {
        let account = AccountConfig {
            endpoints: endpoint
                .map(|endpoint| {
                    (
                        Service::VolcengineRedis,
                        EndpointTemplate::parse(endpoint).unwrap(),
                    )
                })
                .into_iter()
                .collect(),
            ..account(Vendor::Volcengine)
        };
        let clock = Clock::set_by_hand(utc("2025-04-18T08:46:00Z"));
        let secret = |text: &str| Secret::new(text.to_owned());
        let credential = Credential {
            access_key_id: secret("AKLTEXAMPLEEXAMPLEEXAMPLE"),
            access_key_secret: secret("U0VDUkVURVhBTVBMRVNFQ1JFVEVYQU1QTEU="),
            security_token: token.map(secret),
        };
        let client = with_premises(&account, &clock, Volcengine::new);
        let outgoing = client.outgoing(&call, &credential);
        assert_eq!(outgoing.method, Method::POST);
        assert_eq!((outgoing.url.as_str(), outgoing.body.as_str()), (url, body));
        let mut headers = vec![
            ("content-type", "application/json".to_owned()),
            ("x-content-sha256", hash.to_owned()),
            ("x-date", "20250418T084600Z".to_owned()),
        ];
        headers.extend(token.map(|token| ("x-security-token", token.to_owned())));
        headers.extend([
            (
                "authorization",
                format!(
                    "HMAC-SHA256 Credential=AKLTEXAMPLEEXAMPLEEXAMPLE/{scope}, SignedHeaders={signed_headers}, \
                     Signature={signature}"
                ),
            ),
            ("accept", "application/json".to_owned()),
        ]);
        assert_eq!(outgoing.headers, headers, "{url}");
        let shown = format!("{call:?} {credential:?}");
        for secret in ["AKLT", "U0VD", "token/with"] {
            assert!(!shown.contains(secret), "{shown}");
        }
    }
}
