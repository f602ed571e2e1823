//! To when the vendor says that it can restore.

use super::*;
use crate::backup::{RestoreWindow, RestoreWindows};

pub(in crate::provider::volcengine) const WINDOW: &str =
    include_str!("../../../../tests/fixtures/volcengine/restore_window.json");

fn play(answer: Answer) -> (Result<RestoreWindows, ListError>, Vec<Call>) {
    let script = Script::of([answer]);
    let read = client()
        .list(ListingKind::RestoreWindow, &target(), &script)
        .now_or_never()
        .expect("the script never waits");
    let read = read.map(|reading| match reading {
        Reading::Windows(windows) => windows,
        other => panic!("no windows: {other:?}"),
    });
    (read, script.calls())
}

fn window(start: &str, end: &str) -> RestoreWindow {
    RestoreWindow {
        scope: Scope::Local,
        backup_region: HOME.to_owned(),
        start: utc(start),
        end: utc(end),
    }
}

#[test]
fn the_sample_says_what_a_reader_of_the_page_would_name() {
    let (windows, calls) = play(answer(200, WINDOW));
    let expected = RestoreWindows {
        windows: vec![window("2022-11-24T03:39:02Z", "2022-11-24T03:41:42Z")],
        anomalies: Vec::new(),
    };
    assert_eq!(windows.unwrap(), expected);
    let expected = Call {
        operation: "DescribePitrTimeWindow",
        instance: ID.into(),
        region: HOME.into(),
        project: None,
        parameters: vec![("InstanceId", Parameter::text(ID))],
    };
    assert_eq!(calls, [expected]);
}

#[test]
fn a_window_is_read_in_every_spelling_and_dropped_where_it_cannot_be_one() {
    use Anomaly::{BadTime, FutureTime};
    // now is 12:00:00; five minutes ahead are believed.
    let (soon, later) = ("2026-06-12T12:05:00Z", "2026-06-12T12:05:01Z");
    let (start, end) = ("2026-06-10T01:00:00Z", "2026-06-12T11:59:00Z");
    for (times, expected) in [
        (json!([start, end]), Ok(Some((start, end)))),
        // The page calls both times UTC, and one of its examples leaves out the zone.
        (json!(["2026-06-10T01:00:00", end]), Ok(Some((start, end)))),
        (json!(["2026-06-10T01:00Z", end]), Ok(Some((start, end)))),
        (json!([" 2026-06-10T01:00 ", end]), Ok(Some((start, end)))),
        (
            json!(["2026-06-10T09:00:00+08:00", end]),
            Ok(Some((start, end))),
        ),
        (json!([end, end]), Ok(Some((end, end)))),
        (json!([start, soon]), Ok(Some((start, soon)))),
        (json!([start, later]), Err(FutureTime)),
        (json!([later, later]), Err(FutureTime)),
        (json!([end, start]), Err(BadTime)),
        (json!([later, soon]), Err(BadTime)),
        // Data flashback is off.
        (json!([null, null]), Ok(None)),
        (json!(["", ""]), Ok(None)),
        (json!(["", " "]), Ok(None)),
        // Half a window is none.
        (json!([start, null]), Err(BadTime)),
        (json!(["", end]), Err(BadTime)),
        (json!(["yesterday", end]), Err(BadTime)),
        (json!([start, "today"]), Err(BadTime)),
        (json!(["0001-01-01T00:00:00Z", end]), Err(BadTime)),
        (json!([0, 0]), Err(BadTime)),
        (json!([start, 1_781_226_000]), Err(BadTime)),
        (json!([[start], {"a": end}]), Err(BadTime)),
    ] {
        let body = result(&json!({"StartTime": times[0], "EndTime": times[1]}));
        let (windows, _) = play(answer(200, body));
        let expected = match expected {
            Ok(bounds) => RestoreWindows {
                windows: bounds
                    .map(|(start, end)| window(start, end))
                    .into_iter()
                    .collect(),
                anomalies: Vec::new(),
            },
            Err(anomaly) => RestoreWindows {
                windows: Vec::new(),
                anomalies: vec![anomaly],
            },
        };
        assert_eq!(windows.unwrap(), expected, "{times}");
    }
}

#[test]
fn an_instance_without_data_flashback_has_no_window_and_that_is_no_failure() {
    let good = [
        result(&Value::Null),
        result(&json!({})),
        r#"{"ResponseMetadata":{"RequestId":"1"}}"#.to_owned(),
    ];
    let good = good.map(|body| answer(200, body));
    let refused = [
        "OperationNotSupported",
        "InstanceTypeNotSupport",
        "ContinuousBackupNotEnabled",
        "PitrNotOpened",
        "DataFlashBack.NotOpen",
    ];
    let refused = refused.map(|code| answer(400, error(code)));
    for answer in good.into_iter().chain(refused) {
        let (windows, _) = play(answer.clone());
        assert_eq!(windows.unwrap(), RestoreWindows::default(), "{answer:?}");
    }
}

#[test]
fn a_window_that_cannot_be_read_is_an_error_with_a_reason() {
    for (status, body, reason) in [
        (403, error("AccessDenied"), Reason::Permission),
        (400, error("InstanceNotExist"), Reason::NotFound),
        // The instance is being changed, which says nothing about its windows.
        (400, error("InstanceStatusNotMatch"), Reason::Server),
        (400, error("InternalError"), Reason::Server),
        (429, error("FlowLimitExceeded"), Reason::Throttled),
        (200, result(&json!([])), Reason::Malformed),
        (200, result(&json!("none")), Reason::Malformed),
        (200, String::new(), Reason::Malformed),
    ] {
        let (windows, _) = play(answer(status, body.clone()));
        assert_eq!(windows.unwrap_err().reason, reason, "{body}");
    }
    // For other listings these codes are an outage: their instances would seem to have no backups.
    for listing in [Away, AtHome] {
        let body = error("ContinuousBackupNotEnabled");
        let (listed, _) = super::play(listing, &target(), [answer(400, body)]);
        assert_eq!(listed.unwrap_err().reason, Reason::BadRequest);
    }
}
