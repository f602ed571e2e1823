//! Whole answers in the shape of the vendor's samples, the traps in them, and the requests that page through them.
#![expect(clippy::too_many_lines, reason = "a table is as long as it has rows")]

mod budget;
mod inventory;
mod log_copies;
mod policy;
mod window;

use std::sync::OnceLock;

use bytes::Bytes;
use futures_util::FutureExt;
use serde_json::{Value, json};

use super::sets::{COPIES, LOCAL_SETS, LOG_COPIES, page_call};
use super::*;
use crate::backup::{Anomaly, BackupSet, BackupType, Listing, Scope, Status};
use crate::example::{HOME, LOOKBACK, ago, now, utc};
use crate::provider::Parameter;
use crate::provider::error::{Reason, Repeat, VendorWord};
use crate::provider::script::{
    LongLine, Script, account, answer, changed, sets, with_header, with_premises,
};
use crate::vendor::Vendor;

use ListingKind::{CrossRegion, CrossRegionLog, Local, Policy, RestoreWindow};

const CROSS_REGION_2019: &str =
    include_str!("../../../tests/fixtures/alibaba/cross_region_2019.json");
const CROSS_REGION_2026: &str =
    include_str!("../../../tests/fixtures/alibaba/cross_region_2026.json");
const CROSS_REGION_SQLSERVER: &str =
    include_str!("../../../tests/fixtures/alibaba/cross_region_sqlserver.json");
const LOCAL_2019: &str = include_str!("../../../tests/fixtures/alibaba/local_2019.json");
const LOCAL_2026: &str = include_str!("../../../tests/fixtures/alibaba/local_2026.json");
const CROSS_REGION_EXTENTS: &str =
    include_str!("../../../tests/fixtures/alibaba/cross_region_extents.json");
const LOCAL_EXTENTS: &str = include_str!("../../../tests/fixtures/alibaba/local_extents.json");
const LOGS_2019: &str = include_str!("../../../tests/fixtures/alibaba/logs_2019.json");
const LOGS_2024: &str = include_str!("../../../tests/fixtures/alibaba/logs_2024.json");
const POLICIES_2019: &str = include_str!("../../../tests/fixtures/alibaba/policies_2019.json");
const POLICIES_2024: &str = include_str!("../../../tests/fixtures/alibaba/policies_2024.json");
const TIMES: &str = include_str!("../../../tests/fixtures/alibaba/recovery_times.json");
const LOCAL_TIMES: &str = include_str!("../../../tests/fixtures/alibaba/local_recovery_times.json");
const REFUSED_POLICY: &str = include_str!("../../../tests/fixtures/alibaba/refused_policy.json");

/// The instances of a region.
pub(super) const INSTANCES: &str = include_str!("../../../tests/fixtures/alibaba/instances.json");

/// Every page of a listing among the fixtures.
pub(super) const PAGES: [(ListingKind, &str); 13] = [
    (CrossRegion, CROSS_REGION_2019),
    (CrossRegion, CROSS_REGION_2026),
    (CrossRegion, CROSS_REGION_SQLSERVER),
    (Local, LOCAL_2019),
    (Local, LOCAL_2026),
    (CrossRegion, CROSS_REGION_EXTENTS),
    (Local, LOCAL_EXTENTS),
    (CrossRegionLog, LOGS_2019),
    (CrossRegionLog, LOGS_2024),
    (Policy, POLICIES_2019),
    (Policy, POLICIES_2024),
    (RestoreWindow, TIMES),
    (RestoreWindow, LOCAL_TIMES),
];

fn target() -> Target {
    crate::example::target("rm-example1")
}

fn client(clock: &Clock) -> Alibaba {
    with_premises(&account(Vendor::Alibaba), clock, Alibaba::new)
}

/// Reads a listing of sets from these answers, and fails if any is left over. Tells the calls too.
fn play(
    listing: ListingKind,
    target: &Target,
    answers: impl IntoIterator<Item = Answer>,
) -> (Result<Listing, ListError>, Vec<Call>) {
    let (listed, calls) = ask(listing, target, answers);
    (listed.map(sets), calls)
}

/// Reads any listing from these answers, and fails if any is left over. Tells the calls too.
fn ask(
    listing: ListingKind,
    target: &Target,
    answers: impl IntoIterator<Item = Answer>,
) -> (Result<Reading, ListError>, Vec<Call>) {
    static CLIENT: OnceLock<Alibaba> = OnceLock::new();
    let client = CLIENT.get_or_init(|| client(&Clock::set_by_hand(now())));
    let script = Script::of(answers);
    let listed = client
        .list(listing, target, &script)
        .now_or_never()
        .expect("the script never waits");
    (listed, script.calls())
}

/// What one page with a 200 comes to.
fn read(listing: ListingKind, body: impl Into<Bytes>) -> Result<Listing, ListError> {
    play(listing, &target(), [answer(200, body)]).0
}

/// What one row comes to.
fn read_row(listing: ListingKind, row: &Value) -> (BackupSet, Vec<Anomaly>) {
    let mut listing = read(listing, page(listing, std::slice::from_ref(row), 1)).unwrap();
    assert_eq!(listing.sets.len(), 1, "{row}");
    (listing.sets.remove(0), listing.anomalies)
}

fn page(listing: ListingKind, rows: &[Value], total: u64) -> String {
    let name = match listing {
        Local => "Backup",
        CrossRegion | CrossRegionLog => "Item",
        Policy | RestoreWindow => panic!("no sets"),
    };
    json!({"TotalRecordCount": total, "Items": {name: rows}}).to_string()
}

/// A good row of a listing of sets with some fields changed; `null` stands for a field that is not there at all.
fn row(listing: ListingKind, changes: &Value) -> Value {
    let row = match listing {
        CrossRegion => json!({
            "BackupSetStatus": 0, "BackupType": "F", "CrossBackupId": 7, "CrossBackupSetSize": 1000,
            "CrossBackupRegion": "cn-shanghai", "Engine": "mysql", "EngineVersion": "8.0",
            "CrossBackupSetFile": "cn-hangzhou_rm-example1_7.xb",
            "BackupStartTime": "2026-06-12T01:00:00Z", "BackupEndTime": "2026-06-12T01:10:00Z",
        }),
        Local => json!({
            "BackupStatus": "Success", "BackupType": "FullBackup", "BackupId": 7, "BackupSize": 1000,
            "DBInstanceId": "rm-example1", "Engine": "MySQL", "EngineVersion": "8.0",
            "BackupStartTime": "2026-06-12T01:00:00Z", "BackupEndTime": "2026-06-12T01:10:00Z",
        }),
        CrossRegionLog => json!({
            "CrossLogBackupId": 7, "CrossLogBackupSize": 1000, "CrossBackupRegion": "cn-shanghai",
            "LogFileName": "mysql-bin.000007", "InstanceId": 4_200_001,
            "LogBeginTime": "2026-06-12T11:00:00Z", "LogEndTime": "2026-06-12T11:10:00Z",
        }),
        Policy | RestoreWindow => panic!("no sets"),
    };
    changed(row, changes)
}

fn names(regions: &[&str]) -> Vec<String> {
    regions.iter().map(|region| (*region).to_owned()).collect()
}

#[test]
fn each_sample_says_what_a_reader_of_the_page_would_name() {
    let away = |region: &str, started, ended| BackupSet {
        scope: Scope::CrossRegion,
        backup_region: region.into(),
        backup_type: BackupType::Full,
        status: Status::Completed,
        started: Some(utc(started)),
        ended: Some(utc(ended)),
        size_bytes: None,
        recovery_point: Some(utc(started)),
        expires: None,
        available: true,
        is_copied: true,
        restore_regions: Arc::default(),
        covers_until: None,
    };
    let home = |started, ended| BackupSet {
        scope: Scope::Local,
        backup_region: HOME.into(),
        ..away("", started, ended)
    };
    let check = |kind,
                 body: &'static str,
                 sets: Vec<BackupSet>,
                 engine: Option<(&str, &str)>,
                 anomalies: &[Anomaly],
                 complete| {
        let listing = read(kind, body).unwrap();
        let expected = Listing {
            sets,
            anomalies: anomalies.to_vec(),
            complete,
            engine: engine.map(|(name, _)| name.to_owned()),
            engine_version: engine.map(|(_, version)| version.to_owned()),
            ..Listing::default()
        };
        assert_eq!(listing, expected);
        // The links of the samples carry a signature; none of it is kept.
        let shown = format!("{listing:?}");
        for secret in ["http", "Signature", "NOT-A-KEY"] {
            assert!(!shown.contains(secret), "{shown}");
        }
    };
    check(
        CrossRegion,
        CROSS_REGION_2019,
        // No status, but an end and a size; no consistent time, so the start stands for it.
        vec![BackupSet {
            size_bytes: Some(2_100_100),
            restore_regions: names(&["cn-hangzhou", "cn-zhangjiakou"]).into(),
            ..away(
                "cn-zhangjiakou",
                "2026-06-11T17:00:40Z",
                "2026-06-11T17:03:10Z",
            )
        }],
        Some(("mysql", "5.7")),
        &[],
        true,
    );
    check(
        CrossRegion,
        CROSS_REGION_2026,
        vec![
            BackupSet {
                size_bytes: Some(5_300_000),
                recovery_point: Some(utc("2026-06-12T02:22:54Z")),
                restore_regions: names(&["cn-hangzhou", "cn-shanghai"]).into(),
                ..away(
                    "cn-shanghai",
                    "2026-06-12T02:22:45Z",
                    "2026-06-12T02:23:37Z",
                )
            },
            BackupSet {
                status: Status::Failed,
                size_bytes: Some(0),
                ..away(
                    "cn-shanghai",
                    "2026-06-11T02:22:00Z",
                    "2026-06-11T02:23:30Z",
                )
            },
        ],
        Some(("mysql", "5.6")),
        &[],
        false,
    );
    check(
        CrossRegion,
        CROSS_REGION_SQLSERVER,
        vec![
            BackupSet {
                size_bytes: Some(9_100_000),
                restore_regions: names(&["cn-shenzhen"]).into(),
                ..away(
                    "cn-shenzhen",
                    "2026-06-12T02:03:24Z",
                    "2026-06-12T02:03:36Z",
                )
            },
            // Neither status nor end nor size: nobody says that it is whole.
            BackupSet {
                backup_type: BackupType::Incremental,
                status: Status::Unknown,
                ended: None,
                ..away(
                    "cn-shenzhen",
                    "2026-06-12T03:00:00Z",
                    "2026-06-12T03:00:00Z",
                )
            },
        ],
        Some(("sqlserver", "2022_web")),
        &[Anomaly::UnknownStatus],
        true,
    );
    check(
        Local,
        LOCAL_2019,
        vec![BackupSet {
            size_bytes: Some(2_167_000),
            ..home("2026-06-11T16:50:37Z", "2026-06-11T16:52:53Z")
        }],
        None,
        &[],
        true,
    );
    check(
        Local,
        LOCAL_2026,
        vec![
            BackupSet {
                size_bytes: Some(4_400_000),
                recovery_point: Some(utc("2026-06-12T01:05:00Z")),
                expires: Some(utc("2026-06-19T01:06:00Z")),
                ..home("2026-06-12T01:00:00Z", "2026-06-12T01:06:00Z")
            },
            BackupSet {
                status: Status::Failed,
                size_bytes: Some(0),
                available: false,
                ..home("2026-06-11T01:00:00Z", "2026-06-11T01:01:00Z")
            },
            BackupSet {
                // Nothing in it, whatever its status is.
                backup_type: BackupType::Incremental,
                status: Status::Unknown,
                size_bytes: Some(0),
                ..home("2026-06-10T01:00:00Z", "2026-06-10T01:05:00Z")
            },
            BackupSet {
                size_bytes: Some(4_300_000),
                expires: Some(utc("2026-06-11T01:05:00Z")),
                ..home("2026-06-04T01:00:00Z", "2026-06-04T01:05:00Z")
            },
            BackupSet {
                size_bytes: Some(4_200_000),
                available: false,
                ..home("2026-06-03T01:00:00Z", "2026-06-03T01:05:00Z")
            },
        ],
        Some(("mysql", "8.0")),
        &[Anomaly::BadSize],
        true,
    );
    check(
        CrossRegion,
        CROSS_REGION_EXTENTS,
        vec![
            BackupSet {
                backup_type: BackupType::Partial,
                size_bytes: Some(5_300_000),
                restore_regions: names(&["cn-shanghai"]).into(),
                ..away(
                    "cn-shanghai",
                    "2026-06-12T02:00:00Z",
                    "2026-06-12T02:10:00Z",
                )
            },
            // It claims to hold what was written after its end, so the start counts.
            BackupSet {
                size_bytes: Some(5_300_000),
                restore_regions: names(&["cn-shanghai"]).into(),
                ..away(
                    "cn-shanghai",
                    "2026-06-11T02:00:00Z",
                    "2026-06-11T02:10:00Z",
                )
            },
            // The third is kept at home, and no copy.
            BackupSet {
                status: Status::Unknown,
                size_bytes: Some(0),
                restore_regions: names(&["cn-shanghai"]).into(),
                ..away(
                    "cn-shanghai",
                    "2026-06-09T02:00:00Z",
                    "2026-06-09T02:10:00Z",
                )
            },
        ],
        Some(("mysql", "8.0")),
        &[Anomaly::BadTime, Anomaly::WrongRegion, Anomaly::BadSize],
        true,
    );
    let part = |size, started, ended| BackupSet {
        backup_type: BackupType::Partial,
        size_bytes: Some(size),
        ..home(started, ended)
    };
    let whole = |started, ended| BackupSet {
        backup_type: BackupType::Full,
        ..part(4_400_000, started, ended)
    };
    check(
        Local,
        LOCAL_EXTENTS,
        vec![
            part(40_000_000, "2026-06-12T09:00:00Z", "2026-06-12T09:02:00Z"),
            part(400_000, "2026-06-12T08:00:00Z", "2026-06-12T08:01:00Z"),
            // Logical, and of the whole instance.
            whole("2026-06-12T01:00:00Z", "2026-06-12T01:06:00Z"),
            // Of a kind that nobody knows.
            whole("2026-06-11T01:00:00Z", "2026-06-11T01:06:00Z"),
            BackupSet {
                status: Status::Unknown,
                size_bytes: Some(0),
                ..whole("2026-06-10T01:00:00Z", "2026-06-10T01:00:01Z")
            },
        ],
        Some(("mysql", "8.0")),
        &[Anomaly::UnknownExtent, Anomaly::BadSize],
        true,
    );
    let usable: Vec<_> = read(Local, LOCAL_2026)
        .unwrap()
        .sets
        .iter()
        .map(|set| set.is_sound(now()))
        .collect();
    assert_eq!(usable, [true, false, false, false, false]);
}

#[test]
fn a_set_of_less_than_the_instance_is_partial_and_an_unknown_extent_is_whole() {
    use BackupType::{Full, Incremental, Partial};
    let known = &[][..];
    let unknown = &[Anomaly::UnknownExtent][..];
    for (listing, field, extent, (backup_type, anomalies)) in [
        (CrossRegion, "BackupSetScale", json!(0), (Full, known)),
        (CrossRegion, "BackupSetScale", json!("0"), (Full, known)),
        (CrossRegion, "BackupSetScale", json!(1), (Partial, known)),
        (
            CrossRegion,
            "BackupSetScale",
            json!(" 1 "),
            (Partial, known),
        ),
        (CrossRegion, "BackupSetScale", Value::Null, (Full, known)),
        (CrossRegion, "BackupSetScale", json!(""), (Full, known)),
        (CrossRegion, "BackupSetScale", json!(2), (Full, unknown)),
        (CrossRegion, "BackupSetScale", json!(true), (Full, unknown)),
        (CrossRegion, "BackupSetScale", json!([1]), (Full, unknown)),
        // The words of the other listing are not known here.
        (
            CrossRegion,
            "BackupSetScale",
            json!("DataBase"),
            (Full, unknown),
        ),
        (Local, "BackupScale", json!("DBInstance"), (Full, known)),
        (Local, "BackupScale", json!("dbinstance"), (Full, known)),
        (Local, "BackupScale", json!("DataBase"), (Partial, known)),
        (Local, "BackupScale", json!("database"), (Partial, known)),
        (Local, "BackupScale", json!("DBTable"), (Partial, known)),
        (Local, "BackupScale", json!("DBTABLE"), (Partial, known)),
        (Local, "BackupScale", Value::Null, (Full, known)),
        (Local, "BackupScale", json!(""), (Full, known)),
        (Local, "BackupScale", json!("Schema"), (Full, unknown)),
        (Local, "BackupScale", json!(1), (Full, unknown)),
        (Local, "BackupScale", json!({}), (Full, unknown)),
    ] {
        let changes = json!({field: extent});
        let (set, found) = read_row(listing, &row(listing, &changes));
        let read = (set.backup_type, found.as_slice());
        assert_eq!(read, (backup_type, anomalies), "{changes}");
        assert_eq!(set.status, Status::Completed, "{changes}");
        let word = if listing == Local {
            "IncrementalBackup"
        } else {
            "I"
        };
        let changes = changed(changes, &json!({"BackupType": word}));
        let (set, _) = read_row(listing, &row(listing, &changes));
        let whole = if backup_type == Full {
            Incremental
        } else {
            Partial
        };
        assert_eq!(set.backup_type, whole, "{changes}");
    }
    // What it holds is asked of sets whose kind is known.
    let odd = json!({"BackupScale": "DataBase", "BackupType": "X"});
    let (set, found) = read_row(Local, &row(Local, &odd));
    assert_eq!((set.backup_type, set.status), (Full, Status::Unknown));
    assert_eq!(found, [Anomaly::UnknownStatus]);
}

#[test]
fn nothing_is_no_backup_although_it_is_called_completed() {
    let empty = (Status::Unknown, vec![Anomaly::BadSize]);
    for (listing, changes, expected) in [
        (CrossRegion, json!({"CrossBackupSetSize": 0}), empty.clone()),
        (
            CrossRegion,
            json!({"CrossBackupSetSize": "0"}),
            empty.clone(),
        ),
        (
            CrossRegion,
            json!({"CrossBackupSetSize": 0, "BackupSetStatus": null}),
            empty.clone(),
        ),
        (
            CrossRegion,
            json!({"CrossBackupSetSize": 0, "BackupSetStatus": 1}),
            (Status::Failed, vec![]),
        ),
        (
            CrossRegion,
            json!({"CrossBackupSetSize": 1}),
            (Status::Completed, vec![]),
        ),
        (Local, json!({"BackupSize": 0}), empty.clone()),
        (
            Local,
            json!({"BackupSize": 0, "BackupType": "IncrementalBackup"}),
            empty.clone(),
        ),
        (
            Local,
            json!({"BackupSize": 0, "BackupScale": "DataBase"}),
            empty,
        ),
        (
            Local,
            json!({"BackupSize": 0, "BackupStatus": "Failed"}),
            (Status::Failed, vec![]),
        ),
        // Not known is not nothing.
        (
            Local,
            json!({"BackupSize": null}),
            (Status::Completed, vec![]),
        ),
        // A log file without any transaction is one all the same.
        (
            CrossRegionLog,
            json!({"CrossLogBackupSize": 0}),
            (Status::Completed, vec![]),
        ),
    ] {
        let (set, anomalies) = read_row(listing, &row(listing, &changes));
        assert_eq!((set.status, anomalies), expected, "{listing:?} {changes}");
    }
}

#[test]
fn a_copy_in_the_instances_own_region_is_none() {
    for listing in [CrossRegion, CrossRegionLog] {
        let at_home = row(listing, &json!({"CrossBackupRegion": HOME}));
        let read = read(listing, page(listing, &[at_home], 1)).unwrap();
        assert_eq!((read.sets.len(), read.complete), (0, true));
        assert_eq!(read.anomalies, [Anomaly::WrongRegion]);
    }
}

#[test]
fn only_the_documented_statuses_and_types_are_understood() {
    let unknown = || (Status::Unknown, vec![Anomaly::UnknownStatus]);
    for (listing, changes, (status, anomalies)) in [
        (
            CrossRegion,
            json!({"BackupSetStatus": 0}),
            (Status::Completed, vec![]),
        ),
        (
            CrossRegion,
            json!({"BackupSetStatus": "0"}),
            (Status::Completed, vec![]),
        ),
        (
            CrossRegion,
            json!({"BackupSetStatus": 1}),
            (Status::Failed, vec![]),
        ),
        (
            CrossRegion,
            json!({"BackupSetStatus": "1"}),
            (Status::Failed, vec![]),
        ),
        (CrossRegion, json!({"BackupSetStatus": 2}), unknown()),
        (CrossRegion, json!({"BackupSetStatus": -1}), unknown()),
        (
            CrossRegion,
            json!({"BackupSetStatus": "Success"}),
            unknown(),
        ),
        (CrossRegion, json!({"BackupSetStatus": true}), unknown()),
        (CrossRegion, json!({"BackupSetStatus": [0]}), unknown()),
        (CrossRegion, json!({"BackupSetStatus": {"0": 0}}), unknown()),
        // Absent, `null` and empty: whole if it has an end and a size.
        (
            CrossRegion,
            json!({"BackupSetStatus": null}),
            (Status::Completed, vec![]),
        ),
        (
            CrossRegion,
            json!({"BackupSetStatus": ""}),
            (Status::Completed, vec![]),
        ),
        (
            CrossRegion,
            json!({"BackupSetStatus": null, "BackupEndTime": null}),
            unknown(),
        ),
        (
            CrossRegion,
            json!({"BackupSetStatus": null, "BackupEndTime": ""}),
            unknown(),
        ),
        (
            CrossRegion,
            json!({"BackupSetStatus": null, "CrossBackupSetSize": null}),
            unknown(),
        ),
        (
            CrossRegion,
            json!({"BackupSetStatus": null, "CrossBackupSetSize": ""}),
            unknown(),
        ),
        // A failed set needs neither.
        (
            CrossRegion,
            json!({"BackupSetStatus": 1, "BackupEndTime": null, "CrossBackupSetSize": null}),
            (Status::Failed, vec![]),
        ),
        (
            CrossRegion,
            json!({"BackupType": "I"}),
            (Status::Completed, vec![]),
        ),
        (CrossRegion, json!({"BackupType": "X"}), unknown()),
        (CrossRegion, json!({"BackupType": null}), unknown()),
        (CrossRegion, json!({"BackupType": ["F"]}), unknown()),
        (
            Local,
            json!({"BackupStatus": "Success"}),
            (Status::Completed, vec![]),
        ),
        (
            Local,
            json!({"BackupStatus": "Failed"}),
            (Status::Failed, vec![]),
        ),
        // 0 is a success in the other listing only.
        (Local, json!({"BackupStatus": 0}), unknown()),
        (Local, json!({"BackupStatus": "success"}), unknown()),
        (Local, json!({"BackupStatus": "Finished"}), unknown()),
        (Local, json!({"BackupStatus": null}), unknown()),
        (Local, json!({"BackupStatus": ""}), unknown()),
        (Local, json!({"BackupStatus": ["Success"]}), unknown()),
        (
            Local,
            json!({"BackupType": "IncrementalBackup"}),
            (Status::Completed, vec![]),
        ),
        (Local, json!({"BackupType": "LogBackup"}), unknown()),
        (Local, json!({"BackupType": 1}), unknown()),
    ] {
        let (set, found) = read_row(listing, &row(listing, &changes));
        assert_eq!((set.status, found), (status, anomalies), "{changes}");
    }
}

#[test]
fn an_odd_time_or_size_spoils_its_field_and_is_counted_once() {
    use Anomaly::{BadSize, BadTime, FutureTime, UnknownStatus};
    let (start, end) = ("2026-06-12T01:00:00Z", "2026-06-12T01:10:00Z");
    // now is 12:00:00; five minutes ahead are believed.
    let (soon, later) = ("2026-06-12T12:05:00Z", "2026-06-12T12:05:01Z");
    for (listing, changes, status, started, ended, anomalies) in [
        (
            Local,
            json!({"BackupStartTime": "2026-06-12T01:00Z"}),
            Status::Completed,
            Some(start),
            Some(end),
            &[][..],
        ),
        (
            CrossRegion,
            json!({"BackupEndTime": "2026-06-12T01:10Z"}),
            Status::Completed,
            Some(start),
            Some(end),
            &[],
        ),
        (
            Local,
            json!({"BackupStartTime": ""}),
            Status::Completed,
            None,
            Some(end),
            &[],
        ),
        (
            Local,
            json!({"BackupStartTime": "yesterday"}),
            Status::Completed,
            None,
            Some(end),
            &[BadTime],
        ),
        (
            CrossRegion,
            json!({"BackupStartTime": 1_781_226_000}),
            Status::Completed,
            None,
            Some(end),
            &[BadTime],
        ),
        (
            CrossRegion,
            json!({"BackupStartTime": {}, "BackupEndTime": []}),
            Status::Completed,
            None,
            None,
            &[BadTime],
        ),
        (
            Local,
            json!({"BackupStartTime": null, "BackupEndTime": null}),
            Status::Completed,
            None,
            None,
            &[BadTime],
        ),
        (
            Local,
            json!({"BackupEndTime": "1970-01-01T00:00:00Z"}),
            Status::Completed,
            Some(start),
            None,
            &[BadTime],
        ),
        // Ends before it starts: both are kept, and no duration will be made of them.
        (
            Local,
            json!({"BackupStartTime": end, "BackupEndTime": start}),
            Status::Completed,
            Some(end),
            Some(start),
            &[BadTime],
        ),
        (
            CrossRegion,
            json!({"BackupEndTime": soon}),
            Status::Completed,
            Some(start),
            Some(soon),
            &[],
        ),
        (
            CrossRegion,
            json!({"BackupEndTime": later}),
            Status::Unknown,
            Some(start),
            Some(later),
            &[FutureTime],
        ),
        (
            Local,
            json!({"BackupEndTime": later}),
            Status::Unknown,
            Some(start),
            Some(later),
            &[FutureTime],
        ),
        (
            Local,
            json!({"BackupEndTime": later, "BackupStatus": "Odd"}),
            Status::Unknown,
            Some(start),
            Some(later),
            &[UnknownStatus, FutureTime],
        ),
        (
            Local,
            json!({"BackupSize": -1}),
            Status::Completed,
            Some(start),
            Some(end),
            &[BadSize],
        ),
        (
            Local,
            json!({"BackupSize": "large"}),
            Status::Completed,
            Some(start),
            Some(end),
            &[BadSize],
        ),
        (
            CrossRegion,
            json!({"CrossBackupSetSize": 1.5}),
            Status::Completed,
            Some(start),
            Some(end),
            &[BadSize],
        ),
        (
            CrossRegion,
            json!({"CrossBackupSetSize": "-5", "BackupSetStatus": null}),
            Status::Unknown,
            Some(start),
            Some(end),
            &[BadSize, UnknownStatus],
        ),
        (
            Local,
            json!({"ExpectExpireTime": "never"}),
            Status::Completed,
            Some(start),
            Some(end),
            &[BadTime],
        ),
        (
            Local,
            json!({"ConsistentTime": "nonsense"}),
            Status::Completed,
            Some(start),
            Some(end),
            &[BadTime],
        ),
        (
            Local,
            json!({"ConsistentTime": -1}),
            Status::Completed,
            Some(start),
            Some(end),
            &[BadTime],
        ),
        (
            CrossRegion,
            json!({"ConsistentTime": "2026-06-12T01:20:01Z"}),
            Status::Completed,
            Some(start),
            Some(end),
            &[BadTime],
        ),
        (
            Local,
            json!({"ConsistentTime": 4_000_000_000_u64}),
            Status::Completed,
            Some(start),
            Some(end),
            &[BadTime, FutureTime],
        ),
    ] {
        let (set, found) = read_row(listing, &row(listing, &changes));
        assert_eq!(
            (set.status, set.started, set.ended),
            (status, started.map(utc), ended.map(utc)),
            "{changes}"
        );
        let sort = |anomalies: &[Anomaly]| {
            let mut anomalies = anomalies.to_vec();
            anomalies.sort();
            anomalies
        };
        assert_eq!(sort(&found), sort(anomalies), "{changes}");
        // A recovery point that is not believed falls back to the start.
        assert_eq!(set.recovery_point, set.started, "{changes}");
    }
}

#[test]
fn the_consistent_time_is_text_here_and_seconds_there_and_the_start_when_there_is_none() {
    let (start, consistent) = ("2026-06-12T01:00:00Z", "2026-06-12T01:05:00Z");
    for (listing, value, expected) in [
        (CrossRegion, json!("2026-06-12T01:05:00Z"), consistent),
        // Ten minutes after the end are believed, and not a second more.
        (
            CrossRegion,
            json!("2026-06-12T01:20:00Z"),
            "2026-06-12T01:20:00Z",
        ),
        (CrossRegion, json!("2026-06-12T01:05Z"), consistent),
        (CrossRegion, json!(""), start),
        (CrossRegion, Value::Null, start),
        (Local, json!(1_781_226_300), consistent),
        (Local, json!("1781226300"), consistent),
        (Local, json!("2026-06-12T01:05:00Z"), consistent),
        (Local, json!(0), start),
        (Local, json!("0"), start),
        (Local, Value::Null, start),
    ] {
        let (set, anomalies) = read_row(listing, &row(listing, &json!({"ConsistentTime": value})));
        assert_eq!(set.recovery_point, Some(utc(expected)), "{value}");
        assert_eq!(anomalies, [], "{value}");
    }
}

#[test]
fn sizes_availability_and_expiry_come_as_numbers_or_strings() {
    for (changes, size, available, usable) in [
        (json!({}), Some(1000), true, true),
        (json!({"BackupSize": "1000"}), Some(1000), true, true),
        (json!({"BackupSize": null}), None, true, true),
        (json!({"BackupSize": u64::MAX}), Some(u64::MAX), true, true),
        (json!({"IsAvail": 1}), Some(1000), true, true),
        (json!({"IsAvail": "1"}), Some(1000), true, true),
        (json!({"IsAvail": ""}), Some(1000), true, true),
        (json!({"IsAvail": 0}), Some(1000), false, false),
        (json!({"IsAvail": "0"}), Some(1000), false, false),
        (json!({"IsAvail": {}}), Some(1000), false, false),
        (
            json!({"ExpectExpireTime": "2026-06-12T12:00Z"}),
            Some(1000),
            true,
            false,
        ),
        (
            json!({"ExpectExpireTime": "2026-06-12T12:00:01Z"}),
            Some(1000),
            true,
            true,
        ),
        (json!({"ExpectExpireTime": ""}), Some(1000), true, true),
    ] {
        let (set, anomalies) = read_row(Local, &row(Local, &changes));
        assert_eq!(
            (set.size_bytes, set.available, set.is_sound(now())),
            (size, available, usable),
            "{changes}"
        );
        assert_eq!(anomalies, [], "{changes}");
    }
}

#[test]
fn a_copy_without_a_region_is_where_the_only_expected_one_is() {
    let nowhere = row(CrossRegion, &json!({"CrossBackupRegion": null}));
    let somewhere = row(CrossRegion, &json!({}));
    for (row, expecting, region) in [
        (&nowhere, &["cn-beijing"][..], "cn-beijing"),
        (&nowhere, &["cn-beijing", "cn-shanghai"], ""),
        (&nowhere, &[], ""),
        (&somewhere, &["cn-beijing"], "cn-shanghai"),
    ] {
        let target = Target {
            backup_regions: names(expecting),
            ..target()
        };
        let body = page(CrossRegion, std::slice::from_ref(row), 1);
        let (listing, _) = play(CrossRegion, &target, [answer(200, body)]);
        assert_eq!(
            &*listing.unwrap().sets[0].backup_region,
            region,
            "{expecting:?}"
        );
    }
}

#[test]
fn rows_that_are_none_and_rows_of_others_are_counted_and_dropped() {
    let mut rows = vec![
        row(
            Local,
            &json!({"DBInstanceId": "rm-stranger", "Engine": "PostgreSQL"}),
        ),
        json!(null),
        json!(7),
        json!("row"),
        json!([row(Local, &json!({}))]),
        json!(true),
        row(Local, &json!({"BackupId": 8})),
        row(Local, &json!({"BackupId": 9, "DBInstanceId": null})),
        row(Local, &json!({"BackupId": 8})),
    ];
    // The same id of a stranger is a row of its own, but not one that is met twice.
    rows.push(row(
        Local,
        &json!({"BackupId": "7", "DBInstanceId": "rm-stranger"}),
    ));
    let listing = read(Local, page(Local, &rows, 10)).unwrap();
    assert_eq!(listing.sets.len(), 2);
    assert_eq!(
        listing.anomalies,
        [
            vec![Anomaly::ForeignInstance],
            vec![Anomaly::BadRow; 5],
            vec![Anomaly::Duplicate; 2]
        ]
        .concat()
    );
    assert_eq!(listing.engine.as_deref(), Some("mysql"));
    // Nobody knows what the five were.
    assert!(!listing.complete);
}

#[test]
fn a_row_is_known_by_its_id_and_where_that_is_0_by_its_file() {
    let copy = |id: Value, file: Value| {
        row(
            CrossRegion,
            &json!({"CrossBackupId": id, "CrossBackupSetFile": file}),
        )
    };
    let backup = |id: Value| row(Local, &json!({"BackupId": id}));
    for (listing, rows, sets) in [
        (
            CrossRegion,
            [copy(json!(7), json!("a")), copy(json!("7"), json!("b"))],
            1,
        ),
        (
            CrossRegion,
            [copy(json!(7), json!("a")), copy(json!(8), json!("a"))],
            2,
        ),
        (
            CrossRegion,
            [copy(json!(0), json!("a")), copy(json!(0), json!("b"))],
            2,
        ),
        (
            CrossRegion,
            [copy(json!(0), json!("a")), copy(json!("0"), json!("a"))],
            1,
        ),
        (
            CrossRegion,
            [copy(json!(null), json!("a")), copy(json!(""), json!("a"))],
            1,
        ),
        (
            CrossRegion,
            [copy(json!(0), json!("")), copy(json!(0), json!(null))],
            2,
        ),
        (Local, [backup(json!(7)), backup(json!("7"))], 1),
        (Local, [backup(json!(0)), backup(json!("0"))], 2),
        (Local, [backup(json!(null)), backup(json!({}))], 2),
        (
            Local,
            [
                backup(json!(9_223_372_036_854_775_808_u64)),
                backup(json!("9223372036854775808")),
            ],
            1,
        ),
    ] {
        let body = page(listing, &rows, 2);
        let found = read(listing, body.clone()).unwrap();
        assert_eq!(found.sets.len(), sets, "{body}");
        assert_eq!(
            found.anomalies,
            vec![Anomaly::Duplicate; 2 - sets],
            "{body}"
        );
        assert!(found.complete, "{body}");
    }
}

#[test]
fn the_engine_is_spelled_as_we_spell_it() {
    for (name, expected) in [
        (json!("MySQL"), Some("mysql")),
        (json!("mysql"), Some("mysql")),
        (json!("mssql"), Some("sqlserver")),
        (json!("SQLServer"), Some("sqlserver")),
        (json!("PostgreSQL"), Some("postgresql")),
        (json!("MariaDB"), Some("mariadb")),
        (json!(""), None),
        (Value::Null, None),
        (json!([]), None),
    ] {
        let body = page(Local, &[row(Local, &json!({"Engine": name}))], 1);
        let listing = read(Local, body).unwrap();
        assert_eq!(listing.engine.as_deref(), expected, "{name}");
    }
}

/// Full pages: 100 rows of ids from this one on.
fn full_page(listing: ListingKind, first: u64, total: Option<u64>) -> Answer {
    part(listing, first..first + 100, total)
}

fn part(listing: ListingKind, ids: std::ops::Range<u64>, total: Option<u64>) -> Answer {
    let field = match listing {
        Local => "BackupId",
        CrossRegion => "CrossBackupId",
        CrossRegionLog => "CrossLogBackupId",
        Policy | RestoreWindow => panic!("no sets"),
    };
    let rows: Vec<_> = ids.map(|id| row(listing, &json!({field: id}))).collect();
    let mut body: Value = serde_json::from_str(&page(listing, &rows, 0)).unwrap();
    body["TotalRecordCount"] = total.map_or(Value::Null, Value::from);
    answer(200, body.to_string())
}

fn past_the_end() -> Answer {
    answer(404, r#"{"Code":"InvalidPage.notFound","RequestId":"1"}"#)
}

#[test]
fn pages_are_read_to_the_end_and_not_past_it() {
    let l = Local;
    for (case, answers, sets, duplicates, complete) in [
        ("empty", vec![part(l, 0..0, Some(0))], 0, 0, true),
        (
            "one short page",
            vec![part(l, 1..31, Some(30))],
            30,
            0,
            true,
        ),
        (
            "one full page",
            vec![full_page(l, 1, Some(100))],
            100,
            0,
            true,
        ),
        (
            "a second page",
            vec![full_page(l, 1, Some(101)), part(l, 101..102, Some(101))],
            101,
            0,
            true,
        ),
        (
            "two full pages",
            vec![full_page(l, 1, Some(200)), full_page(l, 101, Some(200))],
            200,
            0,
            true,
        ),
        (
            "a total that is too large",
            vec![part(l, 1..2, Some(100))],
            1,
            0,
            false,
        ),
        (
            "a total that is too large, and an empty page",
            vec![full_page(l, 1, Some(500)), part(l, 0..0, Some(500))],
            100,
            0,
            false,
        ),
        (
            "a total that is too small",
            vec![full_page(l, 1, Some(1)), part(l, 101..111, Some(1))],
            110,
            0,
            false,
        ),
        (
            "no total, and a page past the end",
            vec![full_page(l, 1, None), past_the_end()],
            100,
            0,
            true,
        ),
        (
            "a larger total, and a page past the end",
            vec![full_page(l, 1, Some(150)), past_the_end()],
            100,
            0,
            false,
        ),
        (
            "a row that moved to the next page while we read",
            vec![full_page(l, 1, Some(150)), part(l, 100..150, Some(150))],
            149,
            1,
            true,
        ),
        (
            "the same page again",
            vec![full_page(l, 1, Some(300)), full_page(l, 1, Some(300))],
            100,
            100,
            false,
        ),
    ] {
        let asked = answers.len();
        let (listing, calls) = play(l, &target(), answers);
        let listing = listing.unwrap();
        assert_eq!(calls.len(), asked, "{case}");
        assert_eq!(listing.sets.len(), sets, "{case}");
        assert_eq!(
            listing.anomalies,
            vec![Anomaly::Duplicate; duplicates],
            "{case}"
        );
        assert_eq!(listing.complete, complete, "{case}");
    }
}

#[test]
fn the_page_cap_ends_a_listing_that_never_does() {
    let pages: Vec<_> = (0..100)
        .map(|page| full_page(CrossRegion, 1 + page * 100, None))
        .collect();
    let (listing, calls) = play(CrossRegion, &target(), pages);
    let listing = listing.unwrap();
    assert_eq!(calls.len(), 100);
    assert_eq!((listing.sets.len(), listing.complete), (10_000, false));
}

#[test]
fn a_failure_on_a_later_page_fails_the_listing() {
    let (listing, _) = play(
        Local,
        &target(),
        [
            full_page(Local, 1, Some(150)),
            answer(500, r#"{"Code":"InternalError"}"#),
        ],
    );
    assert_eq!(listing.unwrap_err().reason, Reason::Server);
    // A first page that does not exist is no end of anything.
    let (listing, _) = play(Local, &target(), [past_the_end()]);
    assert_eq!(listing.unwrap_err().reason, Reason::NotFound);
}

#[test]
fn requests_ask_for_whole_minutes_in_the_spelling_of_their_page() {
    for (question, operation, lookback, start, end) in [
        (
            COPIES,
            "DescribeCrossRegionBackups",
            LOOKBACK.sets,
            "2026-05-12T12:00:00Z",
            "2026-06-12T12:01:00Z",
        ),
        (
            LOCAL_SETS,
            "DescribeBackups",
            LOOKBACK.sets,
            "2026-05-12T12:00Z",
            "2026-06-12T12:01Z",
        ),
        (
            LOG_COPIES,
            "DescribeCrossRegionLogBackupFiles",
            LOOKBACK.logs,
            "2026-06-12T10:00:00Z",
            "2026-06-12T12:01:00Z",
        ),
    ] {
        let listing = question.listing;
        let answers = [
            full_page(listing, 1, Some(101)),
            part(listing, 101..102, Some(101)),
        ];
        let (_, calls) = play(listing, &target(), answers);
        let expected = ["1", "2"].map(|number| Call {
            operation,
            instance: "rm-example1".into(),
            region: HOME.into(),
            project: None,
            parameters: [
                ("DBInstanceId", "rm-example1"),
                ("RegionId", HOME),
                ("StartTime", start),
                ("EndTime", end),
                ("PageNumber", number),
                ("PageSize", "100"),
            ]
            .map(|(name, value)| match value.parse() {
                Ok(number) => (name, Parameter::Number(number)),
                Err(_) => (name, Parameter::text(value)),
            })
            .to_vec(),
        });
        assert_eq!(calls, expected);
        // A moment earlier, the minute before is asked for as well, and the end is this minute's.
        let window = Window {
            now: now() - chrono::Duration::milliseconds(1),
            span: lookback.into(),
        };
        let query = page_call(question, &target(), window, 1).parameters;
        let a_minute_before = start.replace("12:00", "11:59").replace("10:00", "09:59");
        assert_eq!(query[2].1.to_string(), a_minute_before);
        assert_eq!(query[3].1.to_string(), end.replace("12:01", "12:00"));
    }
}

#[test]
fn an_answer_that_is_no_listing_is_an_error_with_a_reason() {
    use Reason as R;
    use Repeat::{AfterPause, Never};
    let html = "<html><body>not-a-secret: 503 Service Unavailable</body></html>";
    let xml = "<?xml version='1.0'?><Error><RequestId>8B4D</RequestId><Code>Throttling.User</Code>\
               <Message>not-a-secret</Message></Error>";
    let truncated = &LOCAL_2026[..LOCAL_2026.len() / 2];
    let page_of_xml = "<DescribeBackupsResponse><Items/></DescribeBackupsResponse>";
    for (case, status, body, reason, repeat, code) in [
        (
            "an error code in a 200",
            200,
            r#"{"Code":"Throttling","Message":"not-a-secret"}"#,
            R::Throttled,
            AfterPause,
            Some("Throttling"),
        ),
        (
            "an unknown code in a 200",
            200,
            r#"{"code":"Odd.Thing"}"#,
            R::Malformed,
            Never,
            Some("Odd.Thing"),
        ),
        (
            "an error of XML in a 200",
            200,
            xml,
            R::Throttled,
            AfterPause,
            Some("Throttling.User"),
        ),
        (
            "a code beside items of a wrong kind",
            200,
            r#"{"Code":"Throttling","Items":""}"#,
            R::Throttled,
            AfterPause,
            Some("Throttling"),
        ),
        (
            "a gateway's page in a 200",
            200,
            html,
            R::Malformed,
            AfterPause,
            None,
        ),
        ("a gateway's page", 503, html, R::Server, AfterPause, None),
        (
            "a listing of XML",
            200,
            page_of_xml,
            R::Malformed,
            AfterPause,
            None,
        ),
        (
            "an error of XML",
            400,
            xml,
            R::Throttled,
            AfterPause,
            Some("Throttling.User"),
        ),
        ("empty", 200, "", R::Malformed, AfterPause, None),
        ("an empty object", 200, "{}", R::Malformed, AfterPause, None),
        ("null", 200, "null", R::Malformed, AfterPause, None),
        ("an empty list", 200, "[]", R::Malformed, AfterPause, None),
        ("a list", 200, "[1,2]", R::Malformed, AfterPause, None),
        (
            "a string",
            200,
            "\"not-a-secret\"",
            R::Malformed,
            AfterPause,
            None,
        ),
        ("truncated", 200, truncated, R::Malformed, AfterPause, None),
        (
            "items of a wrong kind",
            200,
            r#"{"Items":"not-a-secret"}"#,
            R::Malformed,
            AfterPause,
            None,
        ),
        (
            "items that are a list",
            200,
            r#"{"Items":[]}"#,
            R::Malformed,
            AfterPause,
            None,
        ),
        (
            "rows of a wrong kind",
            200,
            r#"{"Items":{"Backup":{"a":"not-a-secret"}}}"#,
            R::Malformed,
            AfterPause,
            None,
        ),
        (
            "items that are null",
            200,
            r#"{"Items":null,"TotalRecordCount":0}"#,
            R::Malformed,
            AfterPause,
            None,
        ),
        (
            "refused by a policy",
            403,
            REFUSED_POLICY,
            R::Permission,
            Never,
            Some("Forbidden.RAM"),
        ),
        ("an empty refusal", 403, "", R::Permission, Never, None),
        ("a redirect", 302, "not-a-secret", R::Malformed, Never, None),
    ] {
        let (listing, _) = play(Local, &target(), [answer(status, body.to_owned())]);
        let error = listing.unwrap_err();
        let found = error.code.as_ref().map(VendorWord::as_str);
        assert_eq!(
            (error.reason, error.repeat, found),
            (reason, repeat, code),
            "{case}"
        );
        assert_eq!(error.status, Some(status), "{case}");
        // Neither the body nor anything secret in it is shown.
        let shown = format!("{error} {error:?}");
        for secret in ["not-a-secret", "Signature", "NOT-A-KEY", "http"] {
            assert!(!shown.contains(secret), "{case}: {shown}");
        }
    }
}

#[test]
fn an_empty_listing_may_leave_out_its_rows() {
    for items in ["{}", r#"{"Backup":[]}"#, r#"{"Backup":null}"#] {
        let listing = read(
            Local,
            format!(r#"{{"Items":{items},"TotalRecordCount":"0"}}"#),
        )
        .unwrap();
        assert_eq!((listing.sets.len(), listing.complete), (0, true), "{items}");
    }
    // It does not hide rows that the vendor counts.
    let listing = read(Local, r#"{"Items":{},"TotalRecordCount":3}"#).unwrap();
    assert!(!listing.complete);
}

#[test]
fn a_total_that_cannot_be_read_says_nothing() {
    for total in ["\"many\"", "-1", "null", "{}", "1.5"] {
        let body = format!(
            r#"{{"Items":{{"Backup":[{}]}},"TotalRecordCount":{total}}}"#,
            row(Local, &json!({}))
        );
        let listing = read(Local, body).unwrap();
        assert_eq!((listing.sets.len(), listing.complete), (1, true), "{total}");
    }
}

#[test]
fn a_refusal_says_what_the_operator_does_next() {
    let (listing, _) = play(Local, &target(), [answer(403, REFUSED_POLICY)]);
    assert_eq!(
        listing.unwrap_err().to_string(),
        "DescribeBackups of rm-example1 in cn-hangzhou: permission (HTTP 403, Forbidden.RAM, the policy lacks \
         rds:DescribeBackups, request 00000000-0000-0000-0000-000000000006)"
    );
    for (code, missing) in [
        ("InvalidDBInstance.NotFound", true),
        ("InvalidDBInstanceName.NotFound", true),
        ("InvalidDBInstanceId.NotFound", true),
        ("InvalidBackupId.NotFound", false),
        ("Forbidden.InstanceNotFound", false),
    ] {
        let body = format!(r#"{{"Code":"{code}"}}"#);
        let (listing, _) = play(Local, &target(), [answer(404, body)]);
        assert_eq!(listing.unwrap_err().missing_instance, missing, "{code}");
    }
}

#[test]
fn the_pause_that_is_asked_for_is_the_longest_of_all_headers() {
    let millis = |millis| Some(Duration::from_millis(millis));
    for (headers, expected) in [
        (&[][..], None),
        (&[("x-acs-retry-after", "2500")][..], millis(2500)),
        (&[("x-acs-retry-after", " 2500 ")], millis(2500)),
        (&[("x-acs-retry-after", "0")], None),
        (&[("x-acs-retry-after", "-1")], None),
        (&[("x-acs-retry-after", "soon")], None),
        (&[("retry-after", "3")], millis(3000)),
        (&[("retry-after", "Fri, 12 Jun 2026 12:00:00 GMT")], None),
        (
            &[(
                "x-ratelimit-user-api",
                "Limit:1,Remain:0,TimeLeft:2000,Reset:1234",
            )],
            millis(2000),
        ),
        (
            &[("x-ratelimit-user", "Limit:1, Remain:0, TimeLeft: 1500")],
            millis(1500),
        ),
        // There is room left: nobody has to wait.
        (
            &[("x-ratelimit-user-api", "Limit:9,Remain:3,TimeLeft:2000")],
            None,
        ),
        (&[("x-ratelimit-user-api", "Remain:0")], None),
        (&[("x-ratelimit-user-api", "TimeLeft:2000")], None),
        (&[("x-ratelimit-user-api", ",:,Remain:0,TimeLeft:x")], None),
        (
            &[
                ("x-ratelimit-user-api", "Remain:0,TimeLeft:2000"),
                ("x-ratelimit-user", "Remain:0,TimeLeft:4000"),
                ("x-acs-retry-after", "1000"),
                ("retry-after", "1"),
            ],
            millis(4000),
        ),
        // Nobody is waited for longer than the SDKs do.
        (&[("x-acs-retry-after", "86400000")], millis(120_000)),
        (&[("retry-after", "18446744073709551615")], millis(120_000)),
        (&[("x-acs-retry-after", "18446744073709551616")], None),
    ] {
        let answer = headers
            .iter()
            .fold(answer(200, ""), |answer, (name, value)| {
                with_header(answer, name, value)
            });
        assert_eq!(requested_pause(&answer), expected, "{headers:?}");
    }
}

#[test]
fn a_refusal_carries_the_pause_that_it_asks_for() {
    let throttled = answer(400, r#"{"Code":"Throttling.User"}"#);
    let throttled = with_header(throttled, "x-acs-retry-after", "700");
    let (listing, _) = play(Local, &target(), [throttled]);
    assert_eq!(
        listing.unwrap_err().retry_after,
        Some(Duration::from_millis(700))
    );
}

#[test]
fn a_call_that_stood_in_line_asks_about_the_present_and_its_further_pages_about_the_same_window() {
    let clock = Clock::set_by_hand(now());
    let late = row(
        Local,
        &json!({
            "BackupId": 1000,
            "BackupStartTime": (now() + chrono::Duration::minutes(6)).to_rfc3339(),
            "BackupEndTime": (now() + chrono::Duration::minutes(8)).to_rfc3339(),
        }),
    );
    let answers = [
        full_page(Local, 1, Some(101)),
        answer(200, page(Local, &[late], 101)),
    ];
    let script = Script::of(answers);
    let line = LongLine(script, clock.clone());
    let listing = client(&clock)
        .list(Local, &target(), &line)
        .now_or_never()
        .expect("the script never waits")
        .map(sets)
        .unwrap();
    assert_eq!((listing.sets.len(), listing.anomalies), (101, Vec::new()));
    let end = (now() + chrono::Duration::minutes(11)).format("%Y-%m-%dT%H:%MZ");
    for call in line.0.calls.lock().unwrap().iter() {
        assert!(
            call.parameters
                .contains(&("EndTime", Parameter::text(end.to_string()))),
            "{call:?}"
        );
    }
}

#[test]
fn the_window_is_that_of_the_poll() {
    let window = Window {
        now: now(),
        span: LOOKBACK.sets.into(),
    };
    assert_eq!(window.from(), ago("31days"));
    for (back_to, from) in [("40days", "40days"), ("30days", "31days")] {
        let span = Span {
            back_to: Some(ago(back_to)),
            ..window.span
        };
        assert_eq!(Window { span, ..window }.from(), ago(from));
    }
}
