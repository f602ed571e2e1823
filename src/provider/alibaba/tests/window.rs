//! To when can be restored, and what the listings have to teach before that can be asked.

use super::*;
use crate::backup::{RestoreWindow as Window, RestoreWindows};

const LOCALLY: &str = "DescribeLocalAvailableRecoveryTime";
const FROM_COPIES: &str = "DescribeAvailableRecoveryTime";

/// A client that has read these answers to the two listings of sets.
fn taught(copies: &[Value], engine: &str) -> Alibaba {
    let client = client(&Clock::set_by_hand(now()));
    teach(
        &client,
        CrossRegion,
        answer(200, page(CrossRegion, copies, copies.len() as u64)),
    );
    let local = row(Local, &json!({"Engine": engine}));
    teach(&client, Local, answer(200, page(Local, &[local], 1)));
    client
}

fn teach(client: &Alibaba, listing: ListingKind, answered: Answer) {
    let script = Script::of([answered]);
    let _outcome = client
        .list(listing, &target(), &script)
        .now_or_never()
        .expect("the script never waits");
}

fn ask_windows(
    client: &Alibaba,
    answers: impl IntoIterator<Item = Answer>,
) -> (Result<RestoreWindows, ListError>, Vec<Call>) {
    let script = Script::of(answers);
    let listed = client
        .list(RestoreWindow, &target(), &script)
        .now_or_never()
        .expect("the script never waits");
    let windows = listed.map(|reading| match reading {
        Reading::Windows(windows) => windows,
        other => panic!("no windows: {other:?}"),
    });
    (windows, script.calls())
}

/// The operations and the ids of sets that were asked for.
fn asked(calls: &[Call]) -> Vec<(&'static str, Option<u64>)> {
    let id = |call: &Call| {
        call.parameters
            .iter()
            .find_map(|(name, value)| match value {
                Parameter::Number(id) if *name == "CrossBackupId" => Some(*id),
                _ => None,
            })
    };
    calls
        .iter()
        .map(|call| (call.operation, id(call)))
        .collect()
}

fn copy(changes: &Value) -> Value {
    row(CrossRegion, changes)
}

fn times(start: &str, end: &str) -> Answer {
    let body = json!({"RequestId": "1", "RecoveryBeginTime": start, "RecoveryEndTime": end});
    answer(200, body.to_string())
}

fn none() -> Answer {
    times("", "")
}

fn window(scope: Scope, region: &str, start: &str, end: &str) -> Window {
    Window {
        scope,
        backup_region: region.to_owned(),
        start: utc(start),
        end: utc(end),
    }
}

#[test]
fn both_samples_are_read_and_asked_for_as_their_pages_say() {
    let client = taught(&[copy(&json!({"CrossBackupId": "14377"}))], "MySQL");
    let (windows, calls) = ask_windows(&client, [answer(200, LOCAL_TIMES), answer(200, TIMES)]);
    let expected = RestoreWindows {
        windows: vec![
            window(
                Scope::Local,
                HOME,
                "2026-06-05T01:06:00Z",
                "2026-06-12T11:58:00Z",
            ),
            window(
                Scope::CrossRegion,
                "cn-shanghai",
                "2026-06-11T17:03:10Z",
                "2026-06-12T11:10:10Z",
            ),
        ],
        anomalies: Vec::new(),
    };
    assert_eq!(windows, Ok(expected));
    let id = ("DBInstanceId", Parameter::text("rm-example1"));
    let call = |operation, parameters| Call {
        operation,
        instance: "rm-example1".into(),
        region: HOME.into(),
        project: None,
        parameters,
    };
    assert_eq!(
        calls,
        [
            call(LOCALLY, vec![id.clone(), ("Region", Parameter::text(HOME))]),
            call(
                FROM_COPIES,
                vec![
                    ("CrossBackupId", Parameter::Number(14377)),
                    ("RegionId", Parameter::text(HOME)),
                    id,
                ]
            ),
        ]
    );
}

#[test]
fn only_what_the_engine_has_is_asked_for() {
    let both = vec![(LOCALLY, None), (FROM_COPIES, Some(7))];
    let local = vec![(LOCALLY, None)];
    for (engine, expected) in [
        ("MySQL", &both),
        ("", &both),
        ("PostgreSQL", &local),
        ("MariaDB", &local),
        ("SQLServer", &Vec::new()),
    ] {
        // Either listing may be the one that names it.
        for clients in [
            taught(&[copy(&json!({"Engine": engine}))], ""),
            taught(&[copy(&json!({"Engine": null}))], engine),
        ] {
            let answers = expected.iter().map(|_| none());
            let (windows, calls) = ask_windows(&clients, answers);
            assert_eq!(asked(&calls), *expected, "{engine}");
            assert_eq!(windows, Ok(RestoreWindows::default()), "{engine}");
        }
    }
    // The cross-region listing has another name for SQL Server.
    let client = taught(&[copy(&json!({"Engine": "mssql"}))], "");
    assert_eq!(ask_windows(&client, []).1, []);
    // The policy names it as well.
    let fresh = client_that_knows_nothing();
    let policy = json!({"TotalRecords": 1, "Items": {"Item": [
        {"DBInstanceId": "rm-example1", "BackupEnabled": "Enable", "Engine": "SQLServer"},
    ]}});
    teach(&fresh, Policy, answer(200, policy.to_string()));
    assert_eq!(ask_windows(&fresh, []).1, []);
}

fn client_that_knows_nothing() -> Alibaba {
    client(&Clock::set_by_hand(now()))
}

#[test]
fn the_newest_usable_full_set_of_each_region_is_asked_for() {
    let at = |id: u64, region: &str, minute: u32| {
        copy(&json!({
            "CrossBackupId": id, "CrossBackupRegion": region,
            "BackupEndTime": format!("2026-06-12T01:{minute:02}:00Z"),
        }))
    };
    let (shanghai, beijing) = ("cn-shanghai", "cn-beijing");
    for (case, rows, expected) in [
        ("none", vec![], vec![]),
        (
            "the newest, wherever it stands",
            vec![
                at(3, shanghai, 20),
                at(2, shanghai, 30),
                at(1, shanghai, 10),
            ],
            vec![2],
        ),
        (
            "one for each region",
            vec![at(1, shanghai, 10), at(2, beijing, 10), at(3, shanghai, 20)],
            vec![2, 3],
        ),
        (
            "not one that failed",
            vec![
                at(1, shanghai, 10),
                changed(at(2, shanghai, 20), &json!({"BackupSetStatus": 1})),
            ],
            vec![1],
        ),
        (
            "not one of an unknown status",
            vec![
                at(1, shanghai, 10),
                changed(at(2, shanghai, 20), &json!({"BackupSetStatus": 7})),
            ],
            vec![1],
        ),
        (
            "not one that holds changes only",
            vec![
                at(1, shanghai, 10),
                changed(at(2, shanghai, 20), &json!({"BackupType": "I"})),
            ],
            vec![1],
        ),
        (
            "not one from the future",
            vec![
                at(1, shanghai, 10),
                changed(
                    at(2, shanghai, 20),
                    &json!({"BackupEndTime": "2036-01-01T00:00:00Z"}),
                ),
            ],
            vec![1],
        ),
        // The vendor's sample has the id 0, which names nothing.
        (
            "not one without an id",
            vec![at(1, shanghai, 10), at(0, shanghai, 20)],
            vec![1],
        ),
        (
            "no id at all",
            vec![
                at(0, shanghai, 20),
                changed(at(1, shanghai, 20), &json!({"CrossBackupId": "x"})),
            ],
            vec![],
        ),
    ] {
        let client = taught(&rows, "MySQL");
        let answers = (0..=expected.len()).map(|_| none());
        let (_, calls) = ask_windows(&client, answers);
        let ids: Vec<_> = asked(&calls).into_iter().filter_map(|(_, id)| id).collect();
        assert_eq!(ids, expected, "{case}");
    }
}

#[test]
fn what_a_later_listing_no_longer_has_is_not_asked_for() {
    let refused = |code: &str| answer(404, format!(r#"{{"Code":"{code}"}}"#));
    for (case, answered, expected) in [
        (
            "a newer copy",
            answer(
                200,
                page(CrossRegion, &[copy(&json!({"CrossBackupId": 9}))], 1),
            ),
            &[9][..],
        ),
        ("no copies", answer(200, page(CrossRegion, &[], 0)), &[]),
        ("no such thing", refused("CrossBackupNotSupport"), &[]),
        (
            "no such instance",
            refused("InvalidDBInstanceName.NotFound"),
            &[],
        ),
        // What was known before a failure is known after it.
        ("a failure", answer(500, ""), &[7]),
    ] {
        let client = taught(&[copy(&json!({}))], "MySQL");
        teach(&client, CrossRegion, answered);
        let (_, calls) = ask_windows(&client, (0..=expected.len()).map(|_| none()));
        let ids: Vec<_> = asked(&calls).into_iter().filter_map(|(_, id)| id).collect();
        assert_eq!(ids, expected, "{case}");
    }
}

#[test]
fn that_there_is_no_window_is_no_failure() {
    let (start, end) = ("2026-06-05T01:06:00Z", "2026-06-12T11:58:00Z");
    let client = taught(&[copy(&json!({}))], "MySQL");
    for (status, code) in [
        (400, "LogBackupNotEnabled"),
        (404, "InvalidBinlog.NotFound"),
        (404, "InvalidBackup.NotFound"),
        (404, "InvalidBackupSetID.NotFound"),
        (400, "NoAvailableLogBackup"),
        (400, "NoAvailableDisasterRestoreBakset"),
        (403, "IncorrectDBInstanceEngine"),
        (403, "CloudSSDNotSupport"),
        (400, "Api.NotSupport"),
    ] {
        let refused = || answer(status, format!(r#"{{"Code":"{code}"}}"#));
        let (windows, _) = ask_windows(&client, [refused(), times(start, end)]);
        let there = window(Scope::CrossRegion, "cn-shanghai", start, end);
        assert_eq!(windows.unwrap().windows, [there], "{code}");
        let (windows, _) = ask_windows(&client, [times(start, end), refused()]);
        let here = window(Scope::Local, HOME, start, end);
        assert_eq!(windows.unwrap().windows, [here], "{code}");
    }
}

#[test]
fn a_question_that_fails_fails_the_listing() {
    let client = taught(&[copy(&json!({}))], "MySQL");
    for (status, code, reason) in [
        (404, "InvalidDBInstanceName.NotFound", Reason::NotFound),
        (404, "InvalidDBInstanceId.NotFound", Reason::NotFound),
        (403, "Forbidden.RAM", Reason::Permission),
        (400, "Throttling.User", Reason::Throttled),
        (500, "InternalError", Reason::Server),
        (404, "InvalidApi.NotFound", Reason::NotFound),
        (200, "Throttling", Reason::Throttled),
    ] {
        let refused = || answer(status, format!(r#"{{"Code":"{code}"}}"#));
        let (local, calls) = ask_windows(&client, [refused()]);
        assert_eq!(calls.len(), 1, "{code}");
        let (cross, _) = ask_windows(&client, [none(), refused()]);
        for windows in [local, cross] {
            let error = windows.unwrap_err();
            assert_eq!(error.reason, reason, "{code}");
            assert_eq!(
                error.missing_instance,
                code.starts_with("InvalidDBInstance")
            );
        }
    }
}

#[test]
fn a_window_that_makes_no_sense_is_dropped_and_counted() {
    use Anomaly::{BadTime, ForeignInstance, FutureTime};
    let (start, end) = ("2026-06-05T01:06:00Z", "2026-06-12T11:58:00Z");
    let read = |changes: &Value| {
        let body = changed(
            json!({
                "DBInstanceId": "rm-example1", "RequestId": "1",
                "RecoveryBeginTime": start, "RecoveryEndTime": end,
            }),
            changes,
        );
        let answered = answer(200, body.to_string());
        ask_windows(&client_that_knows_nothing(), [answered])
            .0
            .unwrap()
    };
    for (changes, kept, anomalies) in [
        (json!({}), true, vec![]),
        (json!({"DBInstanceId": null}), true, vec![]),
        (json!({"RequestId": null}), true, vec![]),
        (json!({"RecoveryBeginTime": end}), true, vec![]),
        (
            json!({"RecoveryEndTime": "2026-06-12T12:05:00Z"}),
            true,
            vec![],
        ),
        (
            json!({"RecoveryEndTime": "2026-06-12T12:05:01Z"}),
            false,
            vec![FutureTime],
        ),
        (
            json!({"RecoveryBeginTime": end, "RecoveryEndTime": start}),
            false,
            vec![BadTime],
        ),
        (json!({"RecoveryEndTime": "now"}), false, vec![BadTime]),
        (json!({"RecoveryBeginTime": 7}), false, vec![BadTime]),
        (json!({"RecoveryBeginTime": ""}), false, vec![BadTime]),
        (json!({"RecoveryEndTime": null}), false, vec![BadTime]),
        (
            json!({"RecoveryBeginTime": "", "RecoveryEndTime": ""}),
            false,
            vec![],
        ),
        (
            json!({"RecoveryBeginTime": null, "RecoveryEndTime": null}),
            false,
            vec![],
        ),
        (
            json!({"DBInstanceId": "rm-stranger"}),
            false,
            vec![ForeignInstance],
        ),
    ] {
        let found = read(&changes);
        assert_eq!(found.windows.len(), usize::from(kept), "{changes}");
        assert_eq!(found.anomalies, anomalies, "{changes}");
    }
}

#[test]
fn an_answer_that_tells_nothing_at_all_is_none() {
    for body in [
        "{}",
        "null",
        "[]",
        "",
        "<html></html>",
        r#"{"RecoveryBeginTime":null,"RecoveryEndTime":null}"#,
    ] {
        let (windows, _) = ask_windows(&client_that_knows_nothing(), [answer(200, body)]);
        assert_eq!(windows.unwrap_err().reason, Reason::Malformed, "{body}");
    }
}
