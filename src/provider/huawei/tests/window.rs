//! To when the vendor says that it can restore, and whom it is asked.

use super::*;
use crate::backup::{RestoreWindow as Stretch, RestoreWindows};

fn windows(reading: Reading) -> RestoreWindows {
    match reading {
        Reading::Windows(windows) => windows,
        other => panic!("no windows: {other:?}"),
    }
}

/// An answer with these stretches.
fn times(stretches: &Value) -> Answer {
    answer(200, json!({"restore_time": stretches}).to_string())
}

fn stretch(scope: Scope, region: &str, start: &str, end: &str) -> Stretch {
    Stretch {
        scope,
        backup_region: region.to_owned(),
        start: utc(start),
        end: utc(end),
    }
}

#[test]
fn every_window_of_the_source_and_of_the_copies_is_told() {
    let answers = [answer(200, RESTORE_TIMES), answer(200, RESTORE_TIMES)];
    let (found, calls) = ask(BOTH_PROJECTS, RestoreWindow, &target_in(&[AWAY]), answers);
    let both = |scope, region| {
        [
            stretch(
                scope,
                region,
                "2026-06-12T00:00:00Z",
                "2026-06-12T05:00:00Z",
            ),
            stretch(
                scope,
                region,
                "2026-06-12T06:00:00Z",
                "2026-06-12T11:55:00Z",
            ),
        ]
    };
    let expected = [both(Scope::Local, HOME), both(Scope::CrossRegion, AWAY)].concat();
    let found = windows(found.unwrap());
    assert_eq!((found.windows, found.anomalies), (expected, vec![]));
    // Asked for the windows of copies, the source region answers with its own: it must never be.
    let question = |operation, region: &str, project: &str| Call {
        operation,
        instance: ID.into(),
        region: region.into(),
        project: Some(project.into()),
        parameters: Vec::new(),
    };
    let expected = [
        question("ListRestoreTimes", HOME, HOME_PROJECT),
        question("ListOffSiteRestoreTimes", AWAY, AWAY_PROJECT),
    ];
    assert_eq!(calls, expected);
}

#[test]
fn the_policy_says_whether_anybody_is_asked_for_windows_of_copies() {
    let none = || times(&json!([]));
    let policy_call = ("ShowOffSiteBackupPolicy", HOME);
    let local = ("ListRestoreTimes", HOME);
    let away = ("ListOffSiteRestoreTimes", AWAY);
    let at_home = changed(copied("auto"), &json!({"destination_region": HOME}));
    for (case, regions, answers, expected) in [
        (
            "on",
            &[][..],
            vec![none(), answer(200, POLICY_ON), none()],
            vec![local, policy_call, away],
        ),
        (
            "off",
            &[],
            vec![none(), answer(200, POLICY_OFF)],
            vec![local, policy_call],
        ),
        (
            "without sets there is nothing that logs could be replayed on",
            &[],
            vec![none(), policy(&json!([copied("incremental")]))],
            vec![local, policy_call],
        ),
        (
            "a destination that is the source, which would tell its own windows",
            &[],
            vec![none(), policy(&at_home)],
            vec![local, policy_call],
        ),
        (
            "two regions are configured",
            &[AWAY, "cn-south-1"],
            vec![none(), none(), none()],
            vec![local, away, ("ListOffSiteRestoreTimes", "cn-south-1")],
        ),
    ] {
        let projects = [BOTH_PROJECTS, &[("cn-south-1", "south")]].concat();
        let (found, calls) = ask(&projects, RestoreWindow, &target_in(regions), answers);
        assert_eq!(windows(found.unwrap()), RestoreWindows::default(), "{case}");
        let asked: Vec<_> = calls
            .iter()
            .map(|call| (call.operation, &*call.region))
            .collect();
        assert_eq!(asked, expected, "{case}");
    }
}

#[test]
fn a_window_that_makes_no_sense_is_counted_and_dropped() {
    use Anomaly::{BadRow, BadTime, FutureTime};
    // Noon of the day, in milliseconds; five minutes ahead are believed.
    let noon = now().timestamp_millis();
    let whole = |start: Value, end: Value| json!({"start_time": start, "end_time": end});
    for (row, anomaly) in [
        (whole(json!(1000), json!(noon)), None),
        (whole(json!("1000"), json!(noon.to_string())), None),
        (whole(json!(noon), json!(noon)), None),
        (whole(json!(1000), json!(noon + 300_000)), None),
        (whole(json!(1000), json!(noon + 300_001)), Some(FutureTime)),
        (whole(json!(noon), json!(noon - 1)), Some(BadTime)),
        (whole(json!(0), json!(noon)), Some(BadTime)),
        (whole(json!(-1), json!(noon)), Some(BadTime)),
        (whole(json!(1.5), json!(noon)), Some(BadTime)),
        (whole(Value::Null, json!(noon)), Some(BadTime)),
        (whole(json!(1000), json!("")), Some(BadTime)),
        (whole(json!(1000), json!(u64::MAX)), Some(BadTime)),
        (whole(json!(1000), json!(i64::MAX)), Some(BadTime)),
        (
            whole(json!(1000), json!("2026-06-12T12:00:00Z")),
            Some(BadTime),
        ),
        (json!({}), Some(BadTime)),
        (json!(null), Some(BadRow)),
        (json!([1, 2]), Some(BadRow)),
        (json!("now"), Some(BadRow)),
    ] {
        let good = whole(json!(1000), json!(2000));
        let answers = [times(&json!([row, good])), times(&json!([]))];
        let (found, _) = ask(BOTH_PROJECTS, RestoreWindow, &target_in(&[AWAY]), answers);
        let found = windows(found.unwrap());
        let expected: Vec<_> = anomaly.into_iter().collect();
        assert_eq!(found.anomalies, expected, "{row}");
        assert_eq!(found.windows.len(), 2 - expected.len(), "{row}");
    }
}

#[test]
fn nothing_to_restore_from_is_a_fact_and_anything_else_is_a_failure() {
    let coded = |status, code| answer(status, json!({"error_code": code}).to_string());
    for (answer, expected) in [
        (times(&json!([])), None),
        (times(&json!(null)), None),
        (coded(404, "DBS.201010"), None),
        (coded(400, "DBS.201203"), None),
        (coded(400, "DBS.280214"), None),
        (coded(404, "DBS.200002"), Some(Reason::NotFound)),
        (coded(404, "DBS.200045"), Some(Reason::NotFound)),
        (coded(404, "DBS.200408"), Some(Reason::NotFound)),
        (coded(400, "DBS.280404"), Some(Reason::NotFound)),
        (coded(403, "DBS.200010"), Some(Reason::Permission)),
        (coded(400, "DBS.280001"), Some(Reason::BadRequest)),
        (coded(500, "DBS.200005"), Some(Reason::Server)),
        // A 200 without the list is no empty list.
        (answer(200, "{}"), Some(Reason::Malformed)),
        (answer(200, "<html></html>"), Some(Reason::Malformed)),
        (times(&json!("none")), Some(Reason::Malformed)),
        (times(&json!({})), Some(Reason::Malformed)),
    ] {
        let body = answer.body.clone();
        for is_local in [true, false] {
            let other = times(&json!([{"start_time": 1000, "end_time": 2000}]));
            let answers = match (is_local, expected) {
                (true, Some(_)) => vec![answer.clone()],
                (true, None) => vec![answer.clone(), other],
                (false, _) => vec![other, answer.clone()],
            };
            let (found, _) = ask(BOTH_PROJECTS, RestoreWindow, &target_in(&[AWAY]), answers);
            match expected {
                None => assert_eq!(
                    windows(found.unwrap()).windows.len(),
                    1,
                    "{body:?} {is_local}"
                ),
                Some(reason) => assert_eq!(found.unwrap_err().reason, reason, "{body:?}"),
            }
        }
    }
}
