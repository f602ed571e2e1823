//! The instances of a region.

use super::*;
use crate::backup::{Description, FoundInstance, Inventory};

fn discover(
    answers: impl IntoIterator<Item = Answer>,
) -> (Result<Inventory, ListError>, Vec<Call>) {
    let script = Script::of(answers);
    let found = client(&Clock::set_by_hand(now()))
        .discover(&HOME.into(), &script)
        .now_or_never()
        .expect("the script never waits");
    (found, script.calls())
}

fn instance(changes: &Value) -> Value {
    let instance = json!({
        "DBInstanceId": "rm-1", "DBInstanceType": "Primary", "DBInstanceStatus": "Running",
        "LockMode": "Unlock", "Engine": "MySQL", "EngineVersion": "8.0",
    });
    changed(instance, changes)
}

fn instances(rows: &[Value], total: u64) -> Answer {
    let body = json!({"TotalRecordCount": total, "Items": {"DBInstance": rows}});
    answer(200, body.to_string())
}

fn numbered(ids: std::ops::Range<u32>) -> Vec<Value> {
    ids.map(|id| instance(&json!({"DBInstanceId": format!("rm-{id}")})))
        .collect()
}

#[test]
fn the_sample_says_what_a_reader_of_the_page_would_name() {
    let of = |id: &str, name: Option<&str>, engine: &str, version: &str| FoundInstance {
        id: id.to_owned(),
        description: Description {
            name: name.map(str::to_owned),
            engine: Some(engine.to_owned()),
            engine_version: Some(version.to_owned()),
            created: None,
        },
        has_backups: true,
        at_work: true,
    };
    let (found, calls) = discover([answer(200, INSTANCES)]);
    let expected = Inventory {
        instances: vec![
            of("rm-example1", Some("orders"), "mysql", "8.0").made_at("2025-11-06T03:57:00Z"),
            FoundInstance {
                has_backups: false,
                ..of("rr-example1", Some("rr-example1"), "mysql", "8.0")
            },
            FoundInstance {
                at_work: false,
                ..of("rm-example2", None, "sqlserver", "2022_web")
            },
            FoundInstance {
                at_work: false,
                ..of("rm-example3", None, "postgresql", "16.0")
            },
        ],
        outlived: Vec::new(),
        complete: true,
        tells_absence: true,
    };
    assert_eq!(found, Ok(expected));
    let expected = Call {
        operation: "DescribeDBInstances",
        instance: "all instances".into(),
        region: HOME.into(),
        project: None,
        parameters: vec![
            ("RegionId", Parameter::text(HOME)),
            ("PageNumber", Parameter::Number(1)),
            ("PageSize", Parameter::Number(100)),
        ],
    };
    assert_eq!(calls, [expected]);
}

#[test]
fn what_has_no_backups_and_what_is_not_at_work_is_told_by_its_words() {
    for (changes, has_backups, at_work) in [
        (json!({}), true, true),
        (json!({"DBInstanceType": null}), true, true),
        (json!({"DBInstanceType": "SomethingNew"}), true, true),
        // The answer writes it otherwise than the question.
        (json!({"DBInstanceType": "ReadOnly"}), false, true),
        (json!({"DBInstanceType": "Readonly"}), false, true),
        (json!({"DBInstanceType": "Guard"}), false, true),
        (json!({"DBInstanceType": "Temp"}), false, true),
        (json!({"DBInstanceStatus": "Creating"}), true, false),
        (json!({"DBInstanceStatus": "Deleting"}), true, false),
        (json!({"DBInstanceStatus": "Released"}), true, false),
        (json!({"DBInstanceStatus": "Restarting"}), true, true),
        (json!({"DBInstanceStatus": "TRANSING"}), true, true),
        (
            json!({"DBInstanceStatus": "GuardDBInstanceCreating"}),
            true,
            true,
        ),
        (json!({"DBInstanceStatus": "SomethingNew"}), true, true),
        (json!({"DBInstanceStatus": null}), true, true),
        (json!({"LockMode": "ManualLock"}), true, true),
        (json!({"LockMode": "LockByExpiration"}), true, true),
        (json!({"LockMode": "Released"}), true, false),
        (json!({"LockMode": []}), true, true),
    ] {
        let (found, _) = discover([instances(&[instance(&changes)], 1)]);
        let found = &found.unwrap().instances[0];
        assert_eq!(
            (found.has_backups, found.at_work),
            (has_backups, at_work),
            "{changes}"
        );
    }
}

#[test]
fn instances_are_paged_to_the_end() {
    let page = |ids, total| instances(&numbered(ids), total);
    for (case, answers, found, complete) in [
        ("none", vec![page(0..0, 0)], 0, true),
        ("a short page", vec![page(0..3, 3)], 3, true),
        ("one full page", vec![page(0..100, 100)], 100, true),
        (
            "a second page",
            vec![page(0..100, 130), page(100..130, 130)],
            130,
            true,
        ),
        (
            "one that moved to the next page",
            vec![page(0..100, 130), page(99..129, 130)],
            129,
            true,
        ),
        ("a larger total", vec![page(0..3, 100)], 3, false),
        (
            "a page past the end",
            vec![page(0..100, 130), past_the_end()],
            100,
            false,
        ),
        (
            "the same page again",
            vec![page(0..100, 200), page(0..100, 200)],
            100,
            false,
        ),
    ] {
        let asked = answers.len();
        let (inventory, calls) = discover(answers);
        let inventory = inventory.unwrap();
        assert_eq!(calls.len(), asked, "{case}");
        assert_eq!(
            (inventory.instances.len(), inventory.complete),
            (found, complete),
            "{case}"
        );
    }
}

#[test]
fn a_row_that_names_nobody_is_skipped_and_may_be_anybody() {
    for row in [
        instance(&json!({"DBInstanceId": null})),
        instance(&json!({"DBInstanceId": " "})),
        json!(null),
        json!("rm-1"),
        json!([instance(&json!({}))]),
    ] {
        let (found, _) = discover([instances(&[row.clone(), instance(&json!({}))], 2)]);
        let found = found.unwrap();
        assert_eq!((found.instances.len(), found.complete), (1, false), "{row}");
    }
}

#[test]
fn a_refusal_is_an_error() {
    for (status, body, reason) in [
        (403, r#"{"Code":"Forbidden.RAM"}"#, Reason::Permission),
        (400, r#"{"Code":"TimeoutRetryLater"}"#, Reason::Throttled),
        (200, r#"{"Code":"Throttling.User"}"#, Reason::Throttled),
        (200, "{}", Reason::Malformed),
        (404, r#"{"Code":"InvalidPage.notFound"}"#, Reason::NotFound),
    ] {
        let (found, _) = discover([answer(status, body)]);
        assert_eq!(found.unwrap_err().reason, reason, "{body}");
    }
    let (found, _) = discover([instances(&numbered(0..100), 130), answer(500, "")]);
    assert_eq!(found.unwrap_err().reason, Reason::Server);
}
