//! Whole answers in the shape of the vendor's samples, the traps in them, and which region and project is asked for what.
#![expect(clippy::too_many_lines, reason = "a table is as long as it has rows")]

use std::ops::Range;

use bytes::Bytes;
use futures_util::FutureExt;
use serde_json::{Value, json};

use super::*;
use crate::backup::{Anomaly, BackupSet, BackupType, Listing, Scope, Status};
use crate::config::AccountConfig;
use crate::config::Secret;
use crate::example::{LOOKBACK, now, utc};
use crate::provider::error::{Reason, Repeat, VendorWord};
use crate::provider::script::{
    LongLine, Script, account, answer, changed, sets, with_header, with_premises,
};
use crate::target::InstanceKey;
use crate::vendor::Vendor;

use ListingKind::{CrossRegion, CrossRegionLog, Local, Policy, RestoreWindow};

mod budget;
mod former;
mod inventory;
mod place;
mod policy;
mod window;

const OFF_SITE_MYSQL: &str = include_str!("../../../tests/fixtures/huawei/off_site_mysql.json");
const OFF_SITE_POSTGRESQL: &str =
    include_str!("../../../tests/fixtures/huawei/off_site_postgresql.json");
const OFF_SITE_SQLSERVER: &str =
    include_str!("../../../tests/fixtures/huawei/off_site_sqlserver.json");
const OFF_SITE_LOGS: &str = include_str!("../../../tests/fixtures/huawei/off_site_logs.json");
const LOCAL_MANUAL: &str = include_str!("../../../tests/fixtures/huawei/local_manual.json");
const LOCAL_EDGES: &str = include_str!("../../../tests/fixtures/huawei/local_edges.json");
const POLICY_ON: &str = include_str!("../../../tests/fixtures/huawei/policy_on.json");
const POLICY_OFF: &str = include_str!("../../../tests/fixtures/huawei/policy_off.json");
const PROJECTS: &str = include_str!("../../../tests/fixtures/huawei/projects.json");
const RESTORE_TIMES: &str = include_str!("../../../tests/fixtures/huawei/restore_times.json");
pub(super) const INSTANCES: &str = include_str!("../../../tests/fixtures/huawei/instances.json");
pub(super) const OFF_SITE_INSTANCES: &str =
    include_str!("../../../tests/fixtures/huawei/off_site_instances.json");
const REFUSED_DDM: &str = include_str!("../../../tests/fixtures/huawei/refused_rds_ddm.json");
const REFUSED_KEYSTONE: &str = include_str!("../../../tests/fixtures/huawei/refused_keystone.json");
const REFUSED_LOCKED: &str = include_str!("../../../tests/fixtures/huawei/refused_locked.json");
const REFUSED_MISSING: &str =
    include_str!("../../../tests/fixtures/huawei/refused_rds_missing.json");
const REFUSED_POLICY: &str = include_str!("../../../tests/fixtures/huawei/refused_policy.json");
const REFUSED_RDS: &str = include_str!("../../../tests/fixtures/huawei/refused_rds.json");
const REFUSED_SIGNATURE: &str =
    include_str!("../../../tests/fixtures/huawei/refused_signature.json");
const REFUSED_THROTTLED: &str =
    include_str!("../../../tests/fixtures/huawei/refused_throttled.json");

/// Every answer to a listing among the fixtures.
pub(super) const PAGES: [(ListingKind, &str); 9] = [
    (CrossRegion, OFF_SITE_MYSQL),
    (CrossRegion, OFF_SITE_POSTGRESQL),
    (CrossRegion, OFF_SITE_SQLSERVER),
    (CrossRegionLog, OFF_SITE_LOGS),
    (Local, LOCAL_EDGES),
    (Local, LOCAL_MANUAL),
    (Policy, POLICY_ON),
    (Policy, POLICY_OFF),
    (RestoreWindow, RESTORE_TIMES),
];

pub(super) const ID: &str = "00000000000000000000000000000001in01";

const HOME: &str = "cn-north-4";
const AWAY: &str = "cn-east-3";
const HOME_PROJECT: &str = "0000000000000000000000000000home";
const AWAY_PROJECT: &str = "0000000000000000000000000000away";
const BOTH_PROJECTS: &[(&str, &str)] = &[(HOME, HOME_PROJECT), (AWAY, AWAY_PROJECT)];

const EMPTY: &str = r#"{"backups":[],"total_count":0}"#;

/// An instance whose copies are expected in these regions.
fn target_in(backup_regions: &[&str]) -> Target {
    let target = crate::example::target(ID);
    Target {
        key: InstanceKey {
            provider: "huawei",
            source_region: HOME.into(),
            service: Service::HuaweiRds,
            ..target.key
        },
        backup_regions: names(backup_regions),
        listings: ListingKind::ALL.to_vec(),
        ..target
    }
}

fn names(regions: &[&str]) -> Vec<String> {
    regions.iter().map(|region| (*region).to_owned()).collect()
}

fn account_with(projects: &[(&str, &str)]) -> AccountConfig {
    AccountConfig {
        projects: projects
            .iter()
            .map(|(region, project)| ((*region).to_owned(), Arc::from(*project)))
            .collect(),
        ..account(Vendor::Huawei)
    }
}

fn client(account: &AccountConfig, clock: &Clock) -> Huawei {
    with_premises(account, clock, Huawei::new)
}

/// Reads a listing of sets from these answers, and fails if any is left over. Tells the calls too.
fn play(
    projects: &[(&str, &str)],
    listing: ListingKind,
    target: &Target,
    answers: impl IntoIterator<Item = Answer>,
) -> (Result<Listing, ListError>, Vec<Call>) {
    let (listed, calls) = ask(projects, listing, target, answers);
    (listed.map(sets), calls)
}

/// Reads any listing in the same way.
fn ask(
    projects: &[(&str, &str)],
    listing: ListingKind,
    target: &Target,
    answers: impl IntoIterator<Item = Answer>,
) -> (Result<Reading, ListError>, Vec<Call>) {
    let client = client(&account_with(projects), &Clock::set_by_hand(now()));
    let script = Script::of(answers);
    let listed = client
        .list(listing, target, &script)
        .now_or_never()
        .expect("the script never waits");
    (listed, script.calls())
}

/// What one page with a 200 comes to; a local listing has another that is empty.
fn read(listing: ListingKind, body: impl Into<Bytes>) -> Result<Listing, ListError> {
    let second = (listing == Local).then(|| answer(200, EMPTY));
    let answers = std::iter::once(answer(200, body)).chain(second);
    play(BOTH_PROJECTS, listing, &target_in(&[AWAY]), answers).0
}

/// What one row comes to in another region.
fn read_row(changes: &Value) -> (BackupSet, Vec<Anomaly>) {
    let mut listing = read(CrossRegion, page(&[row(changes)], 1)).unwrap();
    assert_eq!(listing.sets.len(), 1, "{changes}");
    (listing.sets.remove(0), listing.anomalies)
}

fn page(rows: &[Value], total: u64) -> String {
    json!({"backups": rows, "total_count": total}).to_string()
}

/// A good row with some fields changed; `null` stands for a field that is not there at all.
fn row(changes: &Value) -> Value {
    let good = json!({
        "id": "7br01", "name": "example", "type": "auto", "size": 1000, "status": "COMPLETED",
        "begin_time": "2026-06-12T09:00:00+0800", "end_time": "2026-06-12T09:10:00+0800",
        "datastore": {"type": "MySQL", "version": "8.0"}, "instance_id": ID,
    });
    changed(good, changes)
}

fn sorted(anomalies: &[Anomaly]) -> Vec<Anomaly> {
    let mut anomalies = anomalies.to_vec();
    anomalies.sort();
    anomalies
}

#[test]
fn each_sample_says_what_a_reader_of_the_page_would_name() {
    let away = |size_bytes, started, ended| BackupSet {
        scope: Scope::CrossRegion,
        backup_region: AWAY.into(),
        backup_type: BackupType::Full,
        status: Status::Completed,
        started: Some(utc(started)),
        ended: Some(utc(ended)),
        size_bytes: Some(size_bytes),
        // Nothing says at which moment a full set is consistent; its start is the cautious choice.
        recovery_point: Some(utc(started)),
        expires: None,
        available: true,
        is_copied: true,
        restore_regions: Arc::default(),
        covers_until: None,
    };
    let in_2018 = || away(2_870_272, "2018-08-06T04:41:14Z", "2018-08-06T04:43:14Z");
    let building = || BackupSet {
        scope: Scope::Local,
        backup_region: HOME.into(),
        status: Status::Running,
        ended: None,
        ..away(0, "2026-01-01T00:00:00Z", "2026-01-01T00:00:00Z")
    };
    for (kind, body, sets, engine, version, anomalies) in [
        (
            CrossRegion,
            OFF_SITE_MYSQL,
            vec![in_2018()],
            "mysql",
            "5.6",
            vec![],
        ),
        (
            CrossRegion,
            OFF_SITE_POSTGRESQL,
            vec![in_2018()],
            "postgresql",
            "9.6",
            vec![],
        ),
        (
            CrossRegion,
            OFF_SITE_SQLSERVER,
            vec![
                away(6_098_944, "2022-12-02T06:20:25Z", "2022-12-02T06:24:45Z"),
                // Made by hand, and listed as the automated ones are.
                away(791_552, "2022-12-02T06:12:22Z", "2022-12-02T06:16:37Z"),
            ],
            "sqlserver",
            "2019_SE",
            vec![],
        ),
        (
            CrossRegionLog,
            OFF_SITE_LOGS,
            vec![BackupSet {
                backup_type: BackupType::Log,
                // The commit of the last transaction in the file.
                recovery_point: Some(utc("2026-06-12T11:54:58Z")),
                // The next is begun by then.
                covers_until: Some(utc("2026-06-12T11:55:00Z")),
                ..away(12_288, "2026-06-12T11:50:00Z", "2026-06-12T11:54:58Z")
            }],
            "mysql",
            "5.6",
            vec![],
        ),
        (
            Local,
            LOCAL_EDGES,
            vec![
                // A manual one of MySQL stays where it is.
                BackupSet {
                    is_copied: false,
                    ..building()
                },
                BackupSet {
                    status: Status::Failed,
                    size_bytes: None,
                    ..building()
                },
                BackupSet {
                    status: Status::Unknown,
                    ended: Some(utc("2026-01-01T00:05:00.123Z")),
                    size_bytes: Some(9_007_199_254_740_993 * 1024),
                    ..building()
                },
            ],
            "mysql",
            "8.0",
            vec![Anomaly::UnknownStatus],
        ),
    ] {
        let expected = Listing {
            sets,
            anomalies,
            complete: true,
            engine: Some(engine.to_owned()),
            engine_version: Some(version.to_owned()),
            // Huawei's rows name the backup and not the instance.
            instance_name: None,
            protected: None,
            back_to: None,
            destinations: match kind {
                Local => Vec::new(),
                CrossRegion | CrossRegionLog => names(&[AWAY]),
                Policy | RestoreWindow => unreachable!("it lists no sets"),
            },
        };
        assert_eq!(read(kind, body).unwrap(), expected, "{body}");
    }
}

#[test]
fn only_the_documented_statuses_and_types_are_understood() {
    use BackupType::{Full, Incremental, Log};
    let unknown = || (Status::Unknown, vec![Anomaly::UnknownStatus]);
    let good = || (Status::Completed, vec![]);
    for (changes, backup_type, (status, anomalies)) in [
        (json!({"status": "COMPLETED"}), Full, good()),
        (json!({"status": " COMPLETED "}), Full, good()),
        (json!({"status": "FAILED"}), Full, (Status::Failed, vec![])),
        (
            json!({"status": "BUILDING"}),
            Full,
            (Status::Running, vec![]),
        ),
        (
            json!({"status": "DELETING"}),
            Full,
            (Status::Deleting, vec![]),
        ),
        (json!({"status": "completed"}), Full, unknown()),
        (json!({"status": "ARCHIVED"}), Full, unknown()),
        (json!({"status": ""}), Full, unknown()),
        (json!({"status": null}), Full, unknown()),
        (json!({"status": 0}), Full, unknown()),
        (json!({"status": ["COMPLETED"]}), Full, unknown()),
        (json!({"status": {"COMPLETED": 1}}), Full, unknown()),
        (json!({"status": true}), Full, unknown()),
        (json!({"type": "auto"}), Full, good()),
        (json!({"type": "manual"}), Full, good()),
        (json!({"type": "fragment"}), Incremental, good()),
        (json!({"type": "incremental"}), Log, good()),
        (json!({"type": "Auto"}), Full, unknown()),
        (json!({"type": "snapshot"}), Full, unknown()),
        (json!({"type": ""}), Full, unknown()),
        (json!({"type": null}), Full, unknown()),
        (json!({"type": 1}), Full, unknown()),
        (json!({"type": ["auto"]}), Full, unknown()),
        // A failed set of an unknown kind is not known to be a failed full one.
        (
            json!({"type": "snapshot", "status": "FAILED"}),
            Full,
            unknown(),
        ),
    ] {
        let (set, found) = read_row(&changes);
        let found = (set.backup_type, (set.status, found));
        assert_eq!(found, (backup_type, (status, anomalies)), "{changes}");
    }
}

#[test]
fn times_are_read_in_every_spelling_and_an_odd_one_spoils_its_field_alone() {
    use Anomaly::{BadTime, FutureTime, UnknownStatus};
    use Status::{Completed, Running, Unknown};
    let (start, end) = (Some("2026-06-12T01:00:00Z"), Some("2026-06-12T01:10:00Z"));
    let begin = |time: &str| json!({"begin_time": time});
    // now is 12:00:00; five minutes ahead are believed.
    let (soon, later) = ("2026-06-12T20:05:00+0800", "2026-06-12T12:05:01+0000");
    for (changes, status, started, ended, anomalies) in [
        (
            begin("2026-06-12T09:00:00+0800"),
            Completed,
            start,
            end,
            &[][..],
        ),
        (
            begin("2026-06-12T01:00:00+0000"),
            Completed,
            start,
            end,
            &[],
        ),
        (
            begin("2026-06-12T09:00:00+08:00"),
            Completed,
            start,
            end,
            &[],
        ),
        (begin("2026-06-12T01:00:00Z"), Completed, start, end, &[]),
        (
            begin("2026-06-11T20:00:00-0500"),
            Completed,
            start,
            end,
            &[],
        ),
        (
            begin("2026-06-12T01:00:00.250Z"),
            Completed,
            Some("2026-06-12T01:00:00.250Z"),
            end,
            &[],
        ),
        (begin(""), Completed, None, end, &[]),
        (json!({"begin_time": null}), Completed, None, end, &[]),
        (
            begin("2018 - 08 - 06 T12: 41: 14 + 0800"),
            Completed,
            None,
            end,
            &[BadTime],
        ),
        // No offset, no time.
        (
            begin("2026-06-12T01:00:00"),
            Completed,
            None,
            end,
            &[BadTime],
        ),
        (begin("yesterday"), Completed, None, end, &[BadTime]),
        (
            json!({"begin_time": 1_781_226_000_000_u64}),
            Completed,
            None,
            end,
            &[BadTime],
        ),
        (
            begin("1970-01-01T08:00:00+0800"),
            Completed,
            None,
            end,
            &[BadTime],
        ),
        (json!({"end_time": null}), Completed, start, None, &[]),
        (json!({"end_time": ""}), Completed, start, None, &[]),
        (
            json!({"end_time": [], "status": "BUILDING"}),
            Running,
            start,
            None,
            &[BadTime],
        ),
        (
            json!({"begin_time": "", "end_time": null}),
            Completed,
            None,
            None,
            &[BadTime],
        ),
        // Ends before it starts: both are kept, and no duration will be made of them.
        (
            begin("2026-06-12T09:20:00+0800"),
            Completed,
            Some("2026-06-12T01:20:00Z"),
            end,
            &[BadTime],
        ),
        (
            json!({"end_time": soon}),
            Completed,
            start,
            Some("2026-06-12T12:05:00Z"),
            &[],
        ),
        (
            json!({"end_time": later}),
            Unknown,
            start,
            Some("2026-06-12T12:05:01Z"),
            &[FutureTime],
        ),
        (
            json!({"end_time": later, "status": "ODD"}),
            Unknown,
            start,
            Some("2026-06-12T12:05:01Z"),
            &[UnknownStatus, FutureTime],
        ),
    ] {
        let (set, found) = read_row(&changes);
        assert_eq!(
            (set.status, set.started, set.ended),
            (status, started.map(utc), ended.map(utc)),
            "{changes}"
        );
        assert_eq!(sorted(&found), sorted(anomalies), "{changes}");
        assert_eq!(set.recovery_point, set.started, "{changes}");
    }
}

#[test]
fn a_log_reaches_to_its_last_transaction() {
    let start = "2026-06-12T01:00:00Z";
    for (end, expected, anomalies) in [
        (
            json!("2026-06-12T09:04:30+0800"),
            "2026-06-12T01:04:30Z",
            &[][..],
        ),
        // The database was idle.
        (
            json!("2026-06-11T22:00:00+0000"),
            "2026-06-11T22:00:00Z",
            &[],
        ),
        (json!(""), start, &[]),
        (Value::Null, start, &[]),
        (json!("soon"), start, &[Anomaly::BadTime]),
        (
            json!("2027-01-01T00:00:00+0000"),
            start,
            &[Anomaly::FutureTime],
        ),
    ] {
        let (set, found) = read_row(&json!({"type": "incremental", "end_time": end}));
        assert_eq!(set.recovery_point, Some(utc(expected)), "{end}");
        assert_eq!(found, anomalies, "{end}");
        let until = Some(utc("2026-06-12T01:05:00Z"));
        assert_eq!(set.covers_until, until.max(set.ended), "{end}");
    }
}

/// What a row comes to in the region of the instance.
fn read_local_row(changes: &Value) -> BackupSet {
    let body = page(&[row(changes)], 1);
    // Of SQL Server the differential sets are asked for as well.
    let engine = changes["datastore"]["type"].as_str().unwrap_or_default();
    let further = if engine.eq_ignore_ascii_case("sqlserver") {
        2
    } else {
        1
    };
    let answers = std::iter::once(answer(200, body))
        .chain(std::iter::repeat_n(EMPTY, further).map(|body| answer(200, body)));
    let (listing, _) = play(BOTH_PROJECTS, Local, &target_in(&[AWAY]), answers);
    let mut listing = listing.unwrap();
    assert_eq!(listing.sets.len(), 1, "{changes}");
    listing.sets.remove(0)
}

#[test]
fn a_manual_set_of_some_databases_is_partial() {
    use BackupType::{Full, Incremental, Partial};
    let sqlserver = json!({"type": "SQLServer", "version": "2019_SE"});
    let some = json!([{"name": "db1"}]);
    for (changes, backup_type) in [
        (
            json!({"type": "manual", "datastore": sqlserver, "databases": some}),
            Partial,
        ),
        (
            json!({"type": "manual", "datastore": null, "databases": some}),
            Partial,
        ),
        (
            json!({"type": "manual", "datastore": sqlserver, "databases": ["db1"]}),
            Partial,
        ),
        (json!({"type": "manual", "datastore": sqlserver}), Full),
        (
            json!({"type": "manual", "datastore": sqlserver, "databases": []}),
            Full,
        ),
        (
            json!({"type": "manual", "datastore": sqlserver, "databases": [{"name": ""}]}),
            Full,
        ),
        (
            json!({"type": "manual", "datastore": sqlserver, "databases": 7}),
            Full,
        ),
        // An automated one may name all that there are.
        (
            json!({"type": "auto", "datastore": sqlserver, "databases": some}),
            Full,
        ),
        (
            json!({"type": "fragment", "datastore": sqlserver, "databases": some}),
            Incremental,
        ),
        // Other engines have no such choice.
        (json!({"type": "manual", "databases": some}), Full),
    ] {
        let set = read_local_row(&changes);
        assert_eq!(set.backup_type, backup_type, "{changes}");
        let (set, _) = read_row(&changes);
        assert_eq!(set.backup_type, backup_type, "{changes}");
    }
}

#[test]
fn only_of_sql_server_are_manual_sets_copied() {
    let manual_of = |engine: &str| json!({"type": "manual", "datastore": {"type": engine}});
    for (changes, is_copied) in [
        (manual_of("SQLServer"), true),
        (manual_of("sqlserver"), true),
        (manual_of("MySQL"), false),
        (manual_of("PostgreSQL"), false),
        (json!({"type": "manual", "datastore": null}), false),
        (json!({"type": "auto"}), true),
        (json!({"type": "auto", "datastore": null}), true),
        (json!({"type": "fragment"}), true),
    ] {
        assert_eq!(read_local_row(&changes).is_copied, is_copied, "{changes}");
    }
    // A row that names no engine is of the same one as the rows before it.
    let rows = [
        row(&json!({"id": "1br04", "datastore": {"type": "SQLServer"}})),
        row(&json!({"id": "2br04", "type": "manual", "datastore": null})),
    ];
    let answers = [page(&rows, 2), EMPTY.to_owned(), EMPTY.to_owned()];
    let answers = answers.map(|body| answer(200, body));
    let (listing, _) = play(BOTH_PROJECTS, Local, &target_in(&[AWAY]), answers);
    let listing = listing.unwrap();
    assert_eq!(listing.sets.len(), 2);
    assert!(listing.sets.iter().all(|set| set.is_copied));
}

#[test]
fn each_way_to_start_a_set_of_sql_server_is_told_from_the_others() {
    let third = answer(200, EMPTY);
    let answers = [answer(200, LOCAL_MANUAL), answer(200, EMPTY), third];
    let (listing, _) = play(BOTH_PROJECTS, Local, &target_in(&[AWAY]), answers);
    let listing = listing.unwrap();
    let read: Vec<_> = listing
        .sets
        .iter()
        .map(|set| (set.backup_type, set.is_copied))
        .collect();
    let expected = [BackupType::Partial, BackupType::Full, BackupType::Full];
    assert_eq!(read, expected.map(|backup_type| (backup_type, true)));
    assert_eq!(listing.anomalies, []);
}

#[test]
fn what_the_source_region_tells_of_copies_is_none() {
    let target = target_in(&[HOME]);
    let page = page(&[row(&json!({}))], 1);
    let (listing, _) = play(BOTH_PROJECTS, CrossRegion, &target, [answer(200, page)]);
    let listing = listing.unwrap();
    assert_eq!(
        (listing.sets, listing.anomalies),
        (vec![], vec![Anomaly::WrongRegion])
    );
}

#[test]
fn sizes_are_kilobytes_of_1024_bytes() {
    for (size, expected, anomalies) in [
        (json!(2803), Some(2_870_272), &[][..]),
        (json!("2803"), Some(2_870_272), &[]),
        (json!(0), Some(0), &[Anomaly::BadSize]),
        (Value::Null, None, &[]),
        (json!(""), None, &[]),
        // The most that fits, and one more.
        (
            json!(18_014_398_509_481_983_u64),
            Some(u64::MAX - 1023),
            &[],
        ),
        (json!(18_014_398_509_481_984_u64), None, &[Anomaly::BadSize]),
        (json!(u64::MAX), None, &[Anomaly::BadSize]),
        (json!("18446744073709551616"), None, &[Anomaly::BadSize]),
        (json!(-1), None, &[Anomaly::BadSize]),
        (json!(1.5), None, &[Anomaly::BadSize]),
        (json!("large"), None, &[Anomaly::BadSize]),
        (json!({}), None, &[Anomaly::BadSize]),
    ] {
        let (set, found) = read_row(&json!({"size": size}));
        assert_eq!((set.size_bytes, found.as_slice()), (expected, anomalies));
        // A set is no less whole for a size that cannot be read. One without a byte is nothing.
        let status = match set.size_bytes {
            Some(0) => Status::Unknown,
            _ => Status::Completed,
        };
        assert_eq!(set.status, status, "{size}");
    }
}

#[test]
fn the_datastore_may_be_anything() {
    for (datastore, engine, version) in [
        (
            json!({"type": "MySQL", "version": "5.6"}),
            Some("mysql"),
            Some("5.6"),
        ),
        (
            json!({"type": "MySQL", "version": 5.6}),
            Some("mysql"),
            Some("5.6"),
        ),
        (
            json!({"type": "MySQL", "version": 8}),
            Some("mysql"),
            Some("8"),
        ),
        (
            json!({"type": "SQLServer", "version": "2019_SE"}),
            Some("sqlserver"),
            Some("2019_SE"),
        ),
        (json!({"type": "sqlserver"}), Some("sqlserver"), None),
        (json!({"type": "", "version": "5.6"}), None, None),
        (json!({"version": "5.6"}), None, None),
        (json!({}), None, None),
        (json!("MySQL"), None, None),
        (json!(["MySQL", "5.6"]), None, None),
        (Value::Null, None, None),
    ] {
        let body = page(&[row(&json!({"datastore": datastore}))], 1);
        let listing = read(CrossRegion, body).unwrap();
        let found = (
            listing.engine.as_deref(),
            listing.engine_version.as_deref(),
            listing.anomalies.as_slice(),
        );
        assert_eq!(found, (engine, version, &[][..]), "{datastore}");
    }
}

#[test]
fn rows_that_are_none_and_rows_of_others_are_counted_and_dropped() {
    let stranger =
        json!({"id": "1", "instance_id": "stranger", "datastore": {"type": "SQLServer"}});
    let rows = [
        row(&stranger),
        json!(null),
        json!(7),
        json!("row"),
        json!([row(&json!({}))]),
        json!(true),
        row(&json!({"id": "8"})),
        row(&json!({"id": 9, "instance_id": null})),
        row(&json!({"id": 8})),
        // Nothing tells it from the others, so it is one of its own.
        row(&json!({"id": null})),
        row(&json!({"id": ""})),
    ];
    let listing = read(CrossRegion, page(&rows, 11)).unwrap();
    assert_eq!(listing.sets.len(), 4);
    let mut anomalies = vec![Anomaly::ForeignInstance];
    anomalies.extend([Anomaly::BadRow; 5]);
    anomalies.push(Anomaly::Duplicate);
    assert_eq!(listing.anomalies, anomalies);
    assert_eq!(listing.engine.as_deref(), Some("mysql"));
    // Nobody knows what the five were.
    assert!(!listing.complete);
}

/// Rows of these ids.
fn part(ids: Range<u64>, total: Option<u64>) -> Answer {
    let rows: Vec<_> = ids.map(|id| row(&json!({"id": id}))).collect();
    let body = json!({"backups": rows, "total_count": total});
    answer(200, body.to_string())
}

#[test]
fn pages_begin_after_the_rows_that_were_read() {
    for (case, answers, offsets, sets, duplicates, complete) in [
        ("empty", vec![part(0..0, Some(0))], &[0][..], 0, 0, true),
        ("no total", vec![part(0..30, None)], &[0], 30, 0, true),
        (
            "250 rows",
            vec![
                part(0..100, Some(250)),
                part(100..200, Some(250)),
                part(200..250, Some(250)),
            ],
            &[0, 100, 200],
            250,
            0,
            true,
        ),
        (
            "a row was inserted while we read",
            vec![part(0..100, Some(150)), part(99..150, Some(151))],
            &[0, 100],
            150,
            1,
            true,
        ),
        (
            "fewer rows a page than were asked for",
            vec![
                part(0..50, Some(120)),
                part(50..100, Some(120)),
                part(100..120, Some(120)),
            ],
            &[0, 50, 100],
            120,
            0,
            true,
        ),
        (
            "a total that lies high",
            vec![part(0..1, Some(100)), part(0..0, Some(100))],
            &[0, 1],
            1,
            0,
            false,
        ),
        (
            "a total that lies low",
            vec![part(0..100, Some(1)), part(100..110, Some(1))],
            &[0, 100],
            110,
            0,
            false,
        ),
        (
            "the same page again",
            vec![part(0..100, Some(300)), part(0..100, Some(300))],
            &[0, 100],
            100,
            100,
            false,
        ),
    ] {
        let target = target_in(&[AWAY]);
        let (listing, calls) = play(BOTH_PROJECTS, CrossRegion, &target, answers);
        let listing = listing.unwrap();
        let asked: Vec<_> = calls
            .iter()
            .map(|call| call.parameters[4].clone())
            .collect();
        let expected: Vec<_> = offsets
            .iter()
            .map(|offset| ("offset", Parameter::Number(*offset)))
            .collect();
        assert_eq!(asked, expected, "{case}");
        assert_eq!(listing.sets.len(), sets, "{case}");
        assert_eq!(listing.anomalies, vec![Anomaly::Duplicate; duplicates]);
        assert_eq!(listing.complete, complete, "{case}");
    }
}

#[test]
fn one_incomplete_question_makes_the_listing_incomplete() {
    for (first, second, complete) in [(0, 0, true), (5, 0, false), (0, 5, false)] {
        let empty = |total| part(0..0, Some(total));
        let answers = [empty(first), empty(second)];
        let (listing, _) = play(BOTH_PROJECTS, Local, &target_in(&[]), answers);
        assert_eq!(listing.unwrap().complete, complete, "{first} {second}");
    }
}

#[test]
fn a_failure_on_a_later_page_or_in_a_later_region_fails_the_listing() {
    let failure = || answer(500, r#"{"error_code":"DBS.200005"}"#);
    for (listing, regions, first) in [
        (CrossRegion, &[AWAY][..], part(0..100, Some(150))),
        (CrossRegion, &[AWAY, "cn-south-1"], part(0..1, Some(1))),
        (Local, &[], part(0..1, Some(1))),
    ] {
        let projects = [BOTH_PROJECTS, &[("cn-south-1", "south")]].concat();
        let answers = [first, failure()];
        let (listing, _) = play(&projects, listing, &target_in(regions), answers);
        assert_eq!(listing.unwrap_err().reason, Reason::Server);
    }
}

#[test]
fn requests_ask_for_a_window_with_both_of_its_ends_and_for_rows_by_their_index() {
    let sets = "2026-05-12T12:00:00+0000";
    for (listing, operation, region, project, backup_type, begin) in [
        (
            CrossRegion,
            "ListOffSiteBackups",
            AWAY,
            AWAY_PROJECT,
            "auto",
            sets,
        ),
        (
            CrossRegionLog,
            "ListOffSiteBackups",
            AWAY,
            AWAY_PROJECT,
            "incremental",
            "2026-06-12T10:00:00+0000",
        ),
        (Local, "ListBackups", HOME, HOME_PROJECT, "auto", sets),
    ] {
        let mut answers = vec![part(0..100, Some(101)), part(100..101, Some(101))];
        answers.extend((listing == Local).then(|| answer(200, EMPTY)));
        let (listed, calls) = play(BOTH_PROJECTS, listing, &target_in(&[AWAY]), answers);
        assert_eq!(listed.unwrap().sets.len(), 101);
        let expected = |backup_type, offset| Call {
            operation,
            instance: ID.into(),
            region: region.into(),
            project: Some(project.into()),
            parameters: vec![
                ("instance_id", Parameter::text(ID)),
                ("backup_type", Parameter::text(backup_type)),
                ("begin_time", Parameter::text(begin)),
                ("end_time", Parameter::text("2026-06-12T12:01:00+0000")),
                ("offset", Parameter::Number(offset)),
                ("limit", Parameter::Number(100)),
            ],
        };
        assert_eq!(
            calls[..2],
            [expected(backup_type, 0), expected(backup_type, 100)]
        );
        let rest = (listing == Local).then(|| expected("manual", 0));
        assert_eq!(calls[2..], rest.into_iter().collect::<Vec<_>>());
    }
}

#[test]
fn a_call_that_stood_in_line_asks_about_the_present_and_its_further_pages_about_the_same_window() {
    let clock = Clock::set_by_hand(now());
    let late = row(&json!({
        "id": 1000,
        "begin_time": (now() + chrono::Duration::minutes(6)).to_rfc3339(),
        "end_time": (now() + chrono::Duration::minutes(8)).to_rfc3339(),
    }));
    let script = Script::of([part(0..100, Some(101)), answer(200, page(&[late], 101))]);
    let line = LongLine(script, clock.clone());
    let listing = client(&account_with(BOTH_PROJECTS), &clock)
        .list(CrossRegion, &target_in(&[AWAY]), &line)
        .now_or_never()
        .expect("the script never waits")
        .map(sets)
        .unwrap();
    assert_eq!((listing.sets.len(), listing.anomalies), (101, Vec::new()));
    let ends: Vec<_> = line
        .0
        .calls()
        .iter()
        .map(|call| call.parameters[3].1.to_string())
        .collect();
    assert_eq!(ends, ["2026-06-12T12:11:00+0000"; 2]);
}

/// The account's projects as IAM lists them.
fn projects(region: &str, id: &str) -> Answer {
    let body = json!({"projects": [{"id": id, "name": region, "enabled": true}]});
    answer(200, body.to_string())
}

fn policy(parts: &Value) -> Answer {
    answer(200, json!({"policy_para": parts}).to_string())
}

/// What the policy says of one type of backup, as it is copied to another region whose project it names.
fn copied(backup_type: &str) -> Value {
    json!({
        "backup_type": backup_type, "keep_days": 7, "destination_region": AWAY,
        "destination_project_id": AWAY_PROJECT,
    })
}

#[test]
fn each_question_goes_to_the_region_and_the_project_that_can_answer_it() {
    let empty = || answer(200, EMPTY);
    let sql_server = || {
        answer(
            200,
            page(&[row(&json!({"datastore": {"type": "SQLServer"}}))], 1),
        )
    };
    let iam = |region| ("KeystoneListProjects", region, "", "");
    let policy_at_home = |project| ("ShowOffSiteBackupPolicy", HOME, project, "");
    let sets = |region, project| ("ListOffSiteBackups", region, project, "auto");
    let logs = |region, project| ("ListOffSiteBackups", region, project, "incremental");
    let local = |project, backup_type| ("ListBackups", HOME, project, backup_type);
    let home = &BOTH_PROJECTS[..1];
    let unnamed = json!({"backup_type": "auto", "keep_days": 7, "destination_region": AWAY});
    let elsewhere = changed(copied("auto"), &json!({"destination_region": "cn-south-1"}));
    for (case, listing, configured, regions, answers, expected, destinations) in [
        (
            "region and project are configured",
            CrossRegion,
            BOTH_PROJECTS,
            &[AWAY][..],
            vec![empty()],
            vec![sets(AWAY, AWAY_PROJECT)],
            &[AWAY][..],
        ),
        (
            "the logs of a configured region",
            CrossRegionLog,
            BOTH_PROJECTS,
            &[AWAY],
            vec![empty()],
            vec![logs(AWAY, AWAY_PROJECT)],
            &[AWAY],
        ),
        (
            "only the region is configured",
            CrossRegion,
            home,
            &[AWAY],
            vec![projects(AWAY, "found"), empty()],
            vec![iam(AWAY), sets(AWAY, "found")],
            &[AWAY],
        ),
        (
            "two regions are configured, and the project of one",
            CrossRegion,
            BOTH_PROJECTS,
            &[AWAY, "cn-south-1"],
            vec![empty(), projects("cn-south-1", "south"), empty()],
            vec![
                sets(AWAY, AWAY_PROJECT),
                iam("cn-south-1"),
                sets("cn-south-1", "south"),
            ],
            &[AWAY, "cn-south-1"],
        ),
        (
            "nothing is configured, and the policy tells all",
            CrossRegion,
            &[],
            &[],
            vec![projects(HOME, "found"), answer(200, POLICY_ON), empty()],
            vec![iam(HOME), policy_at_home("found"), sets(AWAY, AWAY_PROJECT)],
            &[AWAY],
        ),
        (
            "the policy of an instance whose logs are wanted",
            CrossRegionLog,
            home,
            &[],
            vec![answer(200, POLICY_ON), empty()],
            vec![policy_at_home(HOME_PROJECT), logs(AWAY, AWAY_PROJECT)],
            &[AWAY],
        ),
        (
            "a policy as a single object",
            CrossRegion,
            home,
            &[],
            vec![policy(&copied("auto")), empty()],
            vec![policy_at_home(HOME_PROJECT), sets(AWAY, AWAY_PROJECT)],
            &[AWAY],
        ),
        (
            "a policy that names no project",
            CrossRegion,
            home,
            &[],
            vec![policy(&json!([unnamed])), projects(AWAY, "found"), empty()],
            vec![policy_at_home(HOME_PROJECT), iam(AWAY), sets(AWAY, "found")],
            &[AWAY],
        ),
        (
            "manual sets of SQL Server are copied too",
            CrossRegion,
            home,
            &[],
            vec![
                policy(&json!([copied("manual"), copied("incremental")])),
                empty(),
            ],
            vec![policy_at_home(HOME_PROJECT), sets(AWAY, AWAY_PROJECT)],
            &[AWAY],
        ),
        (
            "a policy in the other order",
            CrossRegionLog,
            home,
            &[],
            vec![
                policy(&json!([copied("incremental"), copied("auto")])),
                empty(),
            ],
            vec![policy_at_home(HOME_PROJECT), logs(AWAY, AWAY_PROJECT)],
            &[AWAY],
        ),
        (
            "sets and logs in different regions",
            CrossRegionLog,
            home,
            &[],
            vec![policy(&json!([elsewhere, copied("incremental")])), empty()],
            vec![policy_at_home(HOME_PROJECT), logs(AWAY, AWAY_PROJECT)],
            &["cn-south-1", AWAY],
        ),
        // What is not copied is not asked for.
        (
            "logs that are not copied",
            CrossRegionLog,
            home,
            &[],
            vec![policy(&json!([copied("auto")]))],
            vec![policy_at_home(HOME_PROJECT)],
            &[AWAY],
        ),
        (
            "logs that are no longer copied",
            CrossRegionLog,
            home,
            &[],
            vec![policy(&json!([
                copied("auto"),
                changed(copied("incremental"), &json!({"keep_days": "0"})),
            ]))],
            vec![policy_at_home(HOME_PROJECT)],
            &[AWAY],
        ),
        (
            "sets that are not copied",
            CrossRegion,
            home,
            &[],
            vec![policy(&json!([copied("incremental")]))],
            vec![policy_at_home(HOME_PROJECT)],
            &[AWAY],
        ),
        (
            "a policy that is off",
            CrossRegion,
            home,
            &[],
            vec![answer(200, POLICY_OFF)],
            vec![policy_at_home(HOME_PROJECT)],
            &[],
        ),
        (
            "a policy that is off and names its destination",
            CrossRegion,
            BOTH_PROJECTS,
            &[],
            vec![
                policy(&json!([{"keep_days": 0, "destination_region": AWAY}])),
                empty(),
            ],
            vec![policy_at_home(HOME_PROJECT), sets(AWAY, AWAY_PROJECT)],
            &[AWAY],
        ),
        (
            "an empty policy",
            CrossRegion,
            home,
            &[],
            vec![policy(&json!([]))],
            vec![policy_at_home(HOME_PROJECT)],
            &[],
        ),
        (
            "at home",
            Local,
            BOTH_PROJECTS,
            &[AWAY],
            vec![empty(), empty()],
            vec![local(HOME_PROJECT, "auto"), local(HOME_PROJECT, "manual")],
            &[],
        ),
        (
            "at home, in a project that IAM knows",
            Local,
            &[],
            &[],
            vec![answer(200, PROJECTS), empty(), empty()],
            vec![
                iam(HOME),
                local(HOME_PROJECT, "auto"),
                local(HOME_PROJECT, "manual"),
            ],
            &[],
        ),
        (
            "at home, with the differential sets of SQL Server",
            Local,
            home,
            &[],
            vec![sql_server(), empty(), empty()],
            vec![
                local(HOME_PROJECT, "auto"),
                local(HOME_PROJECT, "manual"),
                local(HOME_PROJECT, "fragment"),
            ],
            &[],
        ),
        (
            "at home, where only sets made by hand tell that it is SQL Server",
            Local,
            home,
            &[],
            vec![empty(), sql_server(), empty()],
            vec![
                local(HOME_PROJECT, "auto"),
                local(HOME_PROJECT, "manual"),
                local(HOME_PROJECT, "fragment"),
            ],
            &[],
        ),
    ] {
        let (listed, calls) = play(configured, listing, &target_in(regions), answers);
        let listed = listed.unwrap_or_else(|error| panic!("{case}: {error}"));
        let asked: Vec<_> = calls
            .iter()
            .map(|call| {
                let backup_type = call
                    .parameters
                    .iter()
                    .find(|(name, _)| *name == "backup_type");
                (
                    call.operation,
                    call.region.to_string(),
                    call.project.as_deref().unwrap_or_default().to_owned(),
                    backup_type.map_or_else(String::new, |(_, value)| value.to_string()),
                )
            })
            .collect();
        let expected: Vec<_> = expected
            .into_iter()
            .map(|(operation, region, project, backup_type)| {
                let [region, project, backup_type] =
                    [region, project, backup_type].map(str::to_owned);
                (operation, region, project, backup_type)
            })
            .collect();
        assert_eq!(asked, expected, "{case}");
        assert_eq!(listed.destinations, destinations, "{case}");
        assert!(listed.complete, "{case}");
    }
}

#[test]
fn copies_are_kept_where_they_were_found() {
    let found = |id: &str| answer(200, page(&[row(&json!({"id": id}))], 1));
    let projects = [BOTH_PROJECTS, &[("cn-south-1", "south")]].concat();
    // The same id in two regions is two copies.
    for ids in [["1", "2"], ["1", "1"]] {
        let target = target_in(&[AWAY, "cn-south-1"]);
        let answers = ids.map(found);
        let (listing, _) = play(&projects, CrossRegion, &target, answers);
        let listing = listing.unwrap();
        let regions: Vec<_> = listing
            .sets
            .iter()
            .map(|set| (set.scope, &*set.backup_region))
            .collect();
        let expected = [AWAY, "cn-south-1"].map(|region| (Scope::CrossRegion, region));
        assert_eq!(regions, expected);
        assert_eq!(listing.anomalies, []);
    }
}

async fn pass(seconds: u64) {
    tokio::time::advance(Duration::from_secs(seconds)).await;
}

#[test]
fn the_one_enabled_project_of_the_regions_own_name_is_the_one() {
    let project = |id: &str, name: &str| json!({"id": id, "name": name, "enabled": true});
    let off = |project: Value| changed(project, &json!({"enabled": false}));
    let home = || project(HOME_PROJECT, HOME);
    let team = || project("team", "cn-north-4_team");
    let none = "no projects";
    for (projects, expected) in [
        (json!([home()]), Ok(())),
        (json!([team(), home()]), Ok(())),
        (json!([home(), off(project("old", HOME))]), Ok(())),
        (json!([changed(home(), &json!({"enabled": null}))]), Ok(())),
        (json!([changed(home(), &json!({"enabled": "yes"}))]), Ok(())),
        (json!([null, 7, "project", [], home()]), Ok(())),
        (json!([]), Err(none)),
        (json!([team()]), Err(none)),
        (json!([off(home())]), Err(none)),
        (json!([project("", HOME)]), Err(none)),
        (json!([{"id": HOME_PROJECT}]), Err(none)),
        (
            json!([home(), project("second", HOME)]),
            Err("several projects"),
        ),
    ] {
        let mut answers = vec![answer(200, json!({"projects": projects}).to_string())];
        if expected.is_ok() {
            answers.extend([answer(200, EMPTY), answer(200, EMPTY)]);
        }
        let (listing, calls) = play(&[], Local, &target_in(&[]), answers);
        match expected {
            Ok(()) => assert_eq!(calls[1].project.as_deref(), Some(HOME_PROJECT)),
            Err(many) => assert_eq!(
                listing.unwrap_err().to_string(),
                format!(
                    "KeystoneListProjects of cn-north-4 in cn-north-4: not_found (HTTP 200, the account has {many} of \
                     this name; say which in `projects`)"
                )
            ),
        }
        let question = Call {
            operation: "KeystoneListProjects",
            instance: HOME.into(),
            region: HOME.into(),
            project: None,
            parameters: vec![("name", Parameter::text(HOME))],
        };
        assert_eq!(calls[0], question, "{projects}");
    }
}

#[test]
fn an_answer_about_policies_or_projects_that_is_none_is_an_error() {
    let on =
        |changes: Value| json!({"policy_para": [changed(copied("auto"), &changes)]}).to_string();
    let policies = [
        "{}".to_owned(),
        "null".to_owned(),
        "[]".to_owned(),
        String::new(),
        "<html>not-a-secret</html>".to_owned(),
        r#"{"policy_para":null}"#.to_owned(),
        r#"{"policy_para":7}"#.to_owned(),
        r#"{"policy_para":"not-a-secret"}"#.to_owned(),
        r#"{"policy_para":[null]}"#.to_owned(),
        r#"{"policy_para":[["not-a-secret"]]}"#.to_owned(),
        // On, but to where?
        r#"{"policy_para":{}}"#.to_owned(),
        on(json!({"destination_region": null})),
        on(json!({"destination_region": ""})),
        on(json!({"destination_region": ["cn-east-3"]})),
        on(json!({"destination_region": null, "keep_days": null})),
        on(json!({"destination_region": null, "keep_days": -1})),
        // It becomes a part of a host name.
        on(json!({"destination_region": "cn-east-3.evil.example/not-a-secret"})),
        on(json!({"destination_region": "CN-EAST-3"})),
        on(json!({"destination_region": "cn east"})),
    ];
    let listed = [
        "{}",
        "null",
        "<html>not-a-secret</html>",
        r#"{"projects":null}"#,
        r#"{"projects":"not-a-secret"}"#,
    ];
    let home = &BOTH_PROJECTS[..1];
    let policies = policies.iter().map(|body| (home, body.as_str()));
    let listed = listed.iter().map(|body| (&[][..], *body));
    for (configured, body) in policies.chain(listed) {
        let answers = [answer(200, body.to_owned())];
        let (listing, _) = play(configured, CrossRegion, &target_in(&[]), answers);
        let error = listing.unwrap_err();
        assert_eq!(
            (error.reason, error.repeat, error.status, &error.code),
            (Reason::Malformed, Repeat::AfterPause, Some(200), &None),
            "{body}"
        );
        let shown = format!("{error} {error:?}");
        assert!(!shown.contains("not-a-secret"), "{shown}");
    }
}

#[test]
fn an_answer_that_is_no_listing_is_an_error_with_a_reason() {
    use Reason as R;
    use Repeat::{AfterPause, Never};
    let html = "<html><body>not-a-secret: 503 Service Unavailable</body></html>";
    let truncated = &OFF_SITE_MYSQL[..OFF_SITE_MYSQL.len() / 2];
    let coded = |code: &str| format!(r#"{{"error_code":"{code}","error_msg":"not-a-secret"}}"#);
    let own = |text: &str| text.to_owned();
    let malformed = (R::Malformed, AfterPause);
    for (case, status, body, (reason, repeat), code) in [
        ("a gateway's page in a 200", 200, own(html), malformed, ""),
        ("empty", 200, own(""), malformed, ""),
        ("an empty object", 200, own("{}"), malformed, ""),
        ("null", 200, own("null"), malformed, ""),
        ("a list", 200, own("[1,2]"), malformed, ""),
        ("a string", 200, own("\"not-a-secret\""), malformed, ""),
        ("truncated", 200, own(truncated), malformed, ""),
        ("no rows", 200, own(r#"{"total_count":3}"#), malformed, ""),
        (
            "rows that are null",
            200,
            own(r#"{"backups":null,"total_count":0}"#),
            malformed,
            "",
        ),
        (
            "rows of a wrong kind",
            200,
            own(r#"{"backups":"not-a-secret"}"#),
            malformed,
            "",
        ),
        (
            "rows in an object",
            200,
            own(r#"{"backups":{"a":"not-a-secret"}}"#),
            malformed,
            "",
        ),
        (
            "a redirect to a portal",
            302,
            own("not-a-secret"),
            (R::Malformed, Never),
            "",
        ),
        (
            "a gateway's page",
            502,
            own(html),
            (R::Server, AfterPause),
            "",
        ),
        (
            "RDS does not like the form",
            400,
            own(REFUSED_RDS),
            (R::BadRequest, Never),
            "DBS.280001",
        ),
        (
            "the like as DDM writes it",
            400,
            own(REFUSED_DDM),
            (R::BadRequest, Never),
            "DBS.280001",
        ),
        (
            "the like in a third spelling",
            400,
            own(r#"{"errorCode":"DBS.200001","errorMsg":"not-a-secret"}"#),
            (R::BadRequest, Never),
            "DBS.200001",
        ),
        (
            "the like in a fourth",
            400,
            own(r#"{"code":"DBS.200004","message":"not-a-secret"}"#),
            (R::BadRequest, Never),
            "DBS.200004",
        ),
        (
            "the like within an error",
            400,
            own(r#"{"error":{"error_code":"DBS.280001","error_msg":"not-a-secret"}}"#),
            (R::BadRequest, Never),
            "DBS.280001",
        ),
        (
            "throttled by the gateway",
            429,
            own(REFUSED_THROTTLED),
            (R::Throttled, AfterPause),
            "APIGW.0308",
        ),
        (
            "throttled by a gateway of another name",
            429,
            coded("APIG.0308"),
            (R::Throttled, AfterPause),
            "APIG.0308",
        ),
        (
            "throttled by one that answers otherwise",
            403,
            coded("APIC.0308"),
            (R::Throttled, AfterPause),
            "APIC.0308",
        ),
        (
            "throttled without a word",
            429,
            own(""),
            (R::Throttled, AfterPause),
            "",
        ),
        (
            "a wrong signature, and all that was signed",
            401,
            own(REFUSED_SIGNATURE),
            (R::Credentials, Never),
            "APIGW.0301",
        ),
        (
            "a key that is locked",
            401,
            own(REFUSED_LOCKED),
            (R::Credentials, Never),
            "APIGW.0301",
        ),
        (
            "as IAM says it",
            401,
            own(REFUSED_KEYSTONE),
            (R::Credentials, Never),
            "401",
        ),
        (
            "nobody in particular",
            401,
            own(""),
            (R::Credentials, Never),
            "",
        ),
        (
            "a user that the gateway lets nowhere",
            403,
            coded("APIGW.0302"),
            (R::Permission, Never),
            "APIGW.0302",
        ),
        (
            "a policy of IAM's",
            403,
            own(REFUSED_POLICY),
            (R::Permission, Never),
            "PAP5.0001",
        ),
        ("an empty refusal", 403, own(""), (R::Permission, Never), ""),
        (
            "a region without this API",
            404,
            coded("APIGW.0101"),
            (R::NotFound, Never),
            "APIGW.0101",
        ),
        (
            "too long for the gateway",
            414,
            coded("APIGW.0201"),
            (R::BadRequest, Never),
            "APIGW.0201",
        ),
        (
            "too slow for the gateway",
            504,
            coded("APIGW.0201"),
            (R::Server, AfterPause),
            "APIGW.0201",
        ),
        (
            "no such instance",
            404,
            own(REFUSED_MISSING),
            (R::NotFound, Never),
            "DBS.200002",
        ),
        (
            "no id at all",
            400,
            coded("DBS.280404"),
            (R::NotFound, Never),
            "DBS.280404",
        ),
        (
            "no such backup",
            404,
            coded("DBS.201010"),
            (R::NotFound, Never),
            "DBS.201010",
        ),
        (
            "a failure of RDS",
            500,
            coded("DBS.200005"),
            (R::Server, AfterPause),
            "DBS.200005",
        ),
        (
            "an instance that is not ready",
            500,
            coded("DBS.280036"),
            (R::Server, Never),
            "DBS.280036",
        ),
        (
            "an instance that is busy",
            500,
            coded("DBS.280228"),
            (R::Server, Never),
            "DBS.280228",
        ),
        (
            "a busy one, said otherwise",
            409,
            coded("DBS.200011"),
            (R::Server, Never),
            "DBS.200011",
        ),
        ("a conflict", 409, own(""), (R::Server, Never), ""),
        (
            "RDS waited for itself",
            500,
            coded("DBS.111205"),
            (R::Timeout, AfterPause),
            "DBS.111205",
        ),
        (
            "an error in a 200",
            200,
            coded("APIGW.9999"),
            (R::Server, AfterPause),
            "APIGW.9999",
        ),
        (
            "a known error in a 200",
            200,
            own(REFUSED_THROTTLED),
            (R::Throttled, AfterPause),
            "APIGW.0308",
        ),
        (
            "a code that is not fit to be shown",
            500,
            coded("not-a-secret or so"),
            (R::Server, AfterPause),
            "",
        ),
    ] {
        let answers = [answer(status, body)];
        let (listing, _) = play(BOTH_PROJECTS, CrossRegion, &target_in(&[AWAY]), answers);
        let error = listing.unwrap_err();
        let found = error.code.as_ref().map_or("", VendorWord::as_str);
        assert_eq!(
            (error.reason, error.repeat, found),
            (reason, repeat, code),
            "{case}"
        );
        assert_eq!(error.status, Some(status), "{case}");
        // The vendor does not say how long; a minute is over by then.
        let pause = (status == 429).then_some(Duration::from_secs(60));
        assert_eq!(error.retry_after, pause, "{case}");
        // Neither the body nor anything secret in it is shown.
        let shown = format!("{error} {error:?}");
        for secret in ["not-a-secret", "canonicalRequest", "x-security-token"] {
            assert!(!shown.contains(secret), "{case}: {shown}");
        }
    }
}

#[test]
fn a_refusal_says_what_the_operator_does_next() {
    let either =
        "the instance is missing, or the policy does not allow it: the vendor does not say which";
    for (status, code, says, missing) in [
        (404, "DBS.200002", "not_found (HTTP 404, DBS.200002", true),
        (404, "DBS.200045", "not_found (HTTP 404, DBS.200045", true),
        (404, "DBS.200408", "not_found (HTTP 404, DBS.200408", true),
        (404, "DBS.201010", "not_found (HTTP 404, DBS.201010", false),
        (
            400,
            "DBS.280404",
            "not_found (HTTP 400, DBS.280404, this is no id of an instance",
            false,
        ),
        (
            404,
            "APIG.0101",
            "not_found (HTTP 404, APIG.0101, the region has no such API",
            false,
        ),
        (403, "DBS.200010", either, false),
        (403, "DBS.200044", either, false),
        (403, "DBS.280015", either, false),
        (403, "DBS.201003", either, false),
        (
            302,
            "",
            "malformed (HTTP 302, redirects are not followed",
            false,
        ),
    ] {
        let body = json!({"error_code": code, "request_id": "8b4d"}).to_string();
        let answers = [answer(status, body)];
        let (listing, _) = play(BOTH_PROJECTS, CrossRegion, &target_in(&[AWAY]), answers);
        let error = listing.unwrap_err();
        assert_eq!(error.missing_instance, missing, "{code}");
        let shown = error.to_string();
        let begins = format!("ListOffSiteBackups of {ID} in cn-east-3: ");
        assert!(shown.starts_with(&begins), "{shown}");
        assert!(shown.contains(says), "{shown}");
        assert!(shown.ends_with(", request 8b4d)"), "{shown}");
    }
    // Where the body does not name the request, a header does.
    let refused = with_header(answer(403, ""), "x-request-id", "8b4e");
    let (listing, _) = play(BOTH_PROJECTS, Local, &target_in(&[]), [refused]);
    assert_eq!(
        listing.unwrap_err().to_string(),
        format!("ListBackups of {ID} in cn-north-4: permission (HTTP 403, request 8b4e)")
    );
}

#[test]
fn a_pause_is_asked_for_by_a_header_or_by_a_429() {
    let seconds = |seconds| Some(Duration::from_secs(seconds));
    for (status, header, expected) in [
        (200, None, None),
        (503, None, None),
        (429, None, seconds(60)),
        (429, Some("3"), seconds(3)),
        (503, Some(" 3 "), seconds(3)),
        (200, Some("3"), seconds(3)),
        (429, Some("0"), seconds(60)),
        (429, Some("-1"), seconds(60)),
        (429, Some("soon"), seconds(60)),
        (429, Some("Fri, 12 Jun 2026 12:00:00 GMT"), seconds(60)),
        (503, Some("Fri, 12 Jun 2026 12:00:00 GMT"), None),
        // Nobody is waited for longer than half an hour.
        (429, Some("86400"), seconds(1800)),
    ] {
        let mut answer = answer(status, "");
        if let Some(value) = header {
            answer = with_header(answer, "retry-after", value);
        }
        let case = format!("{status} {header:?}");
        assert_eq!(requested_pause(&answer), expected, "{case}");
        // Whoever was refused is told the same.
        if status != 200 {
            let answers = [answer];
            let (listing, _) = play(BOTH_PROJECTS, CrossRegion, &target_in(&[AWAY]), answers);
            assert_eq!(listing.unwrap_err().retry_after, expected, "{case}");
        }
    }
}

#[test]
fn a_call_is_signed_and_sent_byte_for_byte() {
    const PROJECT: &str = "0483b6b16e954cb88930a360d2c4e663";
    let call =
        |operation, instance: &str, region: &str, project, parameters: &[(_, Parameter)]| Call {
            operation,
            instance: instance.into(),
            region: region.into(),
            project: Option::map(project, |project: &str| project.into()),
            parameters: parameters.to_vec(),
        };
    let text = |text| Parameter::text(text);
    let manual = || {
        let parameters = [("backup_type", text("manual"))];
        call(LIST_BACKUPS, "i1in01", HOME, Some("p1"), &parameters)
    };
    for (endpoint, call, token, url, signed_headers, signature) in [
        // The first vector of the Python SDK.
        (
            None,
            call(
                LIST_OFF_SITE_BACKUPS,
                "a48e43ff268f4c0e879652d65e63d0fbin01",
                AWAY,
                Some(PROJECT),
                &[
                    ("instance_id", text("a48e43ff268f4c0e879652d65e63d0fbin01")),
                    ("backup_type", text("auto")),
                    ("offset", Parameter::Number(0)),
                    ("limit", Parameter::Number(100)),
                    ("begin_time", text("2018-08-06T10:41:14+0800")),
                    ("end_time", text("2018-08-16T10:41:14+0800")),
                ],
            ),
            None,
            "https://rds.cn-east-3.myhuaweicloud.com/v3/0483b6b16e954cb88930a360d2c4e663/offsite-backups?\
             backup_type=auto&begin_time=2018-08-06T10%3A41%3A14%2B0800&end_time=2018-08-16T10%3A41%3A14%2B0800&\
             instance_id=a48e43ff268f4c0e879652d65e63d0fbin01&limit=100&offset=0",
            "content-type;host;x-project-id;x-sdk-date",
            "2a3b5f7095f32daf609cca278d5c309b8a74277cc08938e4d9f579831970df9b",
        ),
        (
            None,
            call(LIST_PROJECTS, HOME, HOME, None, &[("name", text(HOME))]),
            None,
            "https://iam.cn-north-4.myhuaweicloud.com/v3/projects?name=cn-north-4",
            "content-type;host;x-sdk-date",
            "d1e859639cfc410d3c6b90f2f4d82974844f0e439aa502dc8e800f6f0f9b075a",
        ),
        (
            None,
            call(SHOW_OFF_SITE_POLICY, "i1in01", HOME, Some("p1"), &[]),
            Some("hwTempTokenExample=="),
            "https://rds.cn-north-4.myhuaweicloud.com/v3/p1/instances/i1in01/backups/offsite-policy",
            "content-type;host;x-project-id;x-sdk-date;x-security-token",
            "5ca3bf2943108599f176e49f949f487f06d1159a1b4d127ad343f312b8252e36",
        ),
        // An endpoint's path is signed; a port that is no default one is part of the host.
        (
            Some("http://127.0.0.1:8080/clouds/{region}"),
            manual(),
            None,
            "http://127.0.0.1:8080/clouds/cn-north-4/v3/p1/backups?backup_type=manual",
            "content-type;host;x-project-id;x-sdk-date",
            "a57c74b1e9afa90da5265845149d531719b60ec699bfe34cdf2ce4b3ec47fb1c",
        ),
        (
            Some("https://gateway.example.com:443"),
            manual(),
            None,
            "https://gateway.example.com:443/v3/p1/backups?backup_type=manual",
            "content-type;host;x-project-id;x-sdk-date",
            "8c64613d32fd6c3a86374df0d4baecf7472540141f72d9dea65378544785ba9a",
        ),
        // The endpoint of RDS is not that of IAM.
        (
            Some("https://gateway.example.com:443"),
            call(LIST_PROJECTS, HOME, HOME, None, &[("name", text(HOME))]),
            None,
            "https://iam.cn-north-4.myhuaweicloud.com/v3/projects?name=cn-north-4",
            "content-type;host;x-sdk-date",
            "d1e859639cfc410d3c6b90f2f4d82974844f0e439aa502dc8e800f6f0f9b075a",
        ),
    ] {
        let account = AccountConfig {
            endpoints: endpoint
                .map(|endpoint| {
                    (
                        Service::HuaweiRds,
                        EndpointTemplate::parse(endpoint).unwrap(),
                    )
                })
                .into_iter()
                .collect(),
            ..account_with(&[])
        };
        let clock = Clock::set_by_hand(utc("2024-06-07T02:15:00Z"));
        let credential = credential(token);
        let outgoing = client(&account, &clock).outgoing(&call, &credential);
        assert_eq!(outgoing.method, Method::GET);
        assert_eq!(outgoing.url, url);
        assert_eq!(outgoing.body, "", "{url}");
        let mut headers = vec![("content-type", "application/json".to_owned())];
        if let Some(project) = &call.project {
            headers.push(("x-project-id", project.to_string()));
        }
        headers.push(("x-sdk-date", "20240607T021500Z".to_owned()));
        headers.extend(token.map(|token| ("x-security-token", token.to_owned())));
        headers.push((
            "authorization",
            format!(
                "SDK-HMAC-SHA256 Access=HWAKEXAMPLE000000001, SignedHeaders={signed_headers}, \
                 Signature={signature}"
            ),
        ));
        assert_eq!(outgoing.headers, headers, "{url}");
        let shown = format!("{call:?} {credential:?}");
        for secret in ["HWAK", "hwSk", "hwTemp"] {
            assert!(!shown.contains(secret), "{shown}");
        }
    }
}

fn credential(token: Option<&str>) -> Credential {
    let secret = |text: &str| Secret::new(text.to_owned());
    Credential {
        access_key_id: secret("HWAKEXAMPLE000000001"),
        access_key_secret: secret("hwSkExampleSecretKey0000000000000000000001"),
        security_token: token.map(secret),
    }
}

#[test]
fn each_operation_has_its_path_and_is_signed_for_its_project() {
    let client = client(&account_with(&[]), &Clock::set_by_hand(now()));
    for (operation, path) in [
        (LIST_BACKUPS, "/v3/p1/backups"),
        (LIST_INSTANCES, "/v3/p1/instances"),
        (LIST_OFF_SITE_BACKUPS, "/v3/p1/offsite-backups"),
        // Its path names no project, so that the header alone tells.
        (
            LIST_OFF_SITE_INSTANCES,
            "/v3/backups/offsite-backup-instance",
        ),
        (LIST_RESTORE_TIMES, "/v3/p1/instances/i%2F1/restore-time"),
        (
            LIST_OFF_SITE_RESTORE_TIMES,
            "/v3/p1/instances/i%2F1/offsite-restore-time",
        ),
        (
            SHOW_OFF_SITE_POLICY,
            "/v3/p1/instances/i%2F1/backups/offsite-policy",
        ),
    ] {
        let call = Call {
            operation,
            instance: "i/1".into(),
            region: HOME.into(),
            project: Some("p1".into()),
            parameters: vec![("offset", Parameter::Number(100))],
        };
        let outgoing = client.outgoing(&call, &credential(None));
        let expected = format!("https://rds.cn-north-4.myhuaweicloud.com{path}?offset=100");
        assert_eq!(outgoing.url, expected);
        let header = |name: &str| {
            let mut headers = outgoing.headers.iter();
            headers
                .find(|(of, _)| *of == name)
                .map(|(_, value)| &**value)
        };
        assert_eq!(header("x-project-id"), Some("p1"), "{operation}");
        let signed = header("authorization").unwrap_or_default();
        assert!(signed.contains("host;x-project-id;x-sdk-date,"), "{signed}");
    }
}

#[test]
fn iam_is_asked_at_the_host_that_knows_the_region() {
    let client = client(&account_with(&[]), &Clock::set_by_hand(now()));
    for (region, host) in [
        (HOME, "iam.cn-north-4.myhuaweicloud.com"),
        ("tr-central-201", "iam.tr-central-201.myhuaweicloud.com"),
        ("eu-west-101", "iam.eu-west-101.myhuaweicloud.eu"),
        ("af-north-1", "iam.myhuaweicloud.com"),
        ("ap-southeast-5", "iam.myhuaweicloud.com"),
        ("cn-north-11", "iam.myhuaweicloud.com"),
        ("cn-south-4", "iam.myhuaweicloud.com"),
        ("cn-southwest-3", "iam.myhuaweicloud.com"),
        ("ru-northwest-2", "iam.myhuaweicloud.com"),
    ] {
        let call = Call {
            operation: LIST_PROJECTS,
            instance: region.into(),
            region: region.into(),
            project: None,
            parameters: vec![("name", Parameter::text(region))],
        };
        let outgoing = client.outgoing(&call, &credential(None));
        let expected = format!("https://{host}/v3/projects?name={region}");
        assert_eq!(outgoing.url, expected);
    }
}

#[test]
fn the_windows_are_those_of_the_poll() {
    let client = client(&account_with(&[]), &Clock::set_by_hand(now()));
    assert_eq!(client.lookback, LOOKBACK);
}

#[test]
fn a_configured_project_wins_over_the_one_that_the_policy_names() {
    let projects = &[(HOME, HOME_PROJECT), (AWAY, "configured")];
    let answers = [policy(&json!([copied("auto")])), answer(200, EMPTY)];
    let (listing, calls) = play(projects, CrossRegion, &target_in(&[]), answers);
    assert_eq!(calls[1].project.as_deref(), Some("configured"));
    assert_eq!(listing.unwrap().protected, Some(true));
}

#[test]
fn only_a_policy_that_was_asked_for_says_whether_copies_are_made() {
    let read = |regions, answers: Vec<Answer>| {
        let (listing, _) = play(BOTH_PROJECTS, CrossRegion, &target_in(regions), answers);
        listing.unwrap().protected
    };
    let off = policy(&json!({"keep_days": 0}));
    assert_eq!(read(&[], vec![off]), Some(false));
    assert_eq!(read(&[AWAY], vec![answer(200, EMPTY)]), None);
}

#[test]
fn a_set_that_answers_two_questions_is_one_set() {
    let both = || answer(200, page(&[row(&json!({}))], 1));
    let (listing, _) = play(BOTH_PROJECTS, Local, &target_in(&[AWAY]), [both(), both()]);
    let listing = listing.unwrap();
    assert_eq!(listing.sets.len(), 1);
    assert_eq!(listing.anomalies, [Anomaly::Duplicate]);
}
