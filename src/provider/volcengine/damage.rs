//! Answers that were damaged on the way: whatever comes, nothing panics, no set is usable that nobody called whole, no
//! policy is on that nobody called so, and no window or instance is made up.

use bytes::Bytes;
use proptest::prelude::*;
use serde_json::Value;

use super::answer::{read_instances, read_result, read_sets};
use super::tests::{ANSWERS, ID, target};
use super::wire::{CrossRegionPolicy, Plan, TimeWindow};
use super::*;
use crate::backup::{BackupType, CLOCK_TOLERANCE, Scope};
use crate::example::now;
use crate::provider::damage::{any_garbling, any_replacements, word};
use crate::provider::json;
use crate::provider::row::{Normalised, VendorRow};
use crate::provider::scalar::{Row, Scalar};
use crate::provider::script::answer;

/// What an answer is taken for.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
    Copies,
    LocalSets,
    Copying,
    Plan,
    Window,
    Instances,
}

impl Kind {
    const ALL: [Self; 6] = [
        Self::Copies,
        Self::LocalSets,
        Self::Copying,
        Self::Plan,
        Self::Window,
        Self::Instances,
    ];
}

fn check(kind: Kind, body: impl Into<Bytes>) {
    let answer = answer(200, body.into());
    match kind {
        Kind::Copies => check_rows(Scope::CrossRegion, &answer),
        Kind::LocalSets => check_rows(Scope::Local, &answer),
        Kind::Copying => check_copying(&answer),
        Kind::Plan => check_plan(&answer),
        Kind::Window => check_window(&answer),
        Kind::Instances => check_instances(&answer),
    }
}

/// What a body says that was read.
fn whole(answer: &Answer) -> Option<Value> {
    // Numbers that are none are read by nobody but this.
    let whole: Value = json::read(&answer.body).ok()?;
    assert!(whole["ResponseMetadata"].is_object(), "{whole}");
    assert!(
        !whole["ResponseMetadata"]["Error"].is_object(),
        "an error is no answer"
    );
    Some(whole)
}

fn call() -> Call {
    call::about(&target(), "DescribeBackups")
}

/// Reads a body as far as it goes, and holds every usable set against what its row really says.
fn check_rows(scope: Scope, answer: &Answer) {
    let Ok(page) = read_sets(&call(), answer) else {
        return;
    };
    let subject = Subject {
        instance_id: ID,
        source_region: "cn-beijing",
        engine: None,
        scope,
        backup_region: "",
        now: now(),
    };
    let Some(whole) = whole(answer) else {
        return;
    };
    for (at, Row(row)) in page.rows.into_iter().enumerate() {
        let Some(row) = row else { continue };
        let (_identity, owner) = (row.identity(), row.instance_id.text());
        let Normalised { set, anomalies } = row.normalise(&subject);
        let Some(set) = set else {
            assert!(!anomalies.is_empty(), "a dropped row is counted");
            continue;
        };
        assert!(owner.is_none_or(|owner| owner == ID));
        let row = &whole["Result"]["Backups"][at];
        if set.is_sound(now()) {
            let is_called_whole =
                word(row, "Status") == "Available" && word(row, "BackupType") == "Full";
            assert!(is_called_whole, "{row}");
        }
        assert_eq!((set.scope, set.backup_type), (scope, BackupType::Full));
        for time in [set.started, set.ended, set.recovery_point]
            .into_iter()
            .flatten()
        {
            assert!(time > chrono::DateTime::UNIX_EPOCH);
        }
    }
}

fn check_copying(answer: &Answer) {
    let Ok(copies) = read_result::<CrossRegionPolicy>(&call(), answer) else {
        return;
    };
    let policy = policy::policy(&target(), Some(&copies), None);
    check_policy(&policy, Scope::CrossRegion, answer);
    let enabled = policy.switches.first().map(|switch| switch.enabled);
    assert_eq!(policy.protected, enabled);
}

fn check_plan(answer: &Answer) {
    let Ok(plan) = read_result::<Plan>(&call(), answer) else {
        return;
    };
    let policy = policy::policy(&target(), None, Some(&plan));
    check_policy(&policy, Scope::Local, answer);
    assert_eq!(policy.protected, Some(false));
}

fn check_policy(policy: &Policy, scope: Scope, answer: &Answer) {
    let Some(whole) = whole(answer) else {
        return;
    };
    match policy.switches.as_slice() {
        [] => assert_eq!(policy.anomalies.len(), 1, "nothing is dropped unseen"),
        [switch] => {
            let said = word(&whole["Result"], "Active");
            assert_eq!(said, switch.enabled.to_string(), "{whole}");
            assert_eq!(
                (switch.scope, switch.backup_type),
                (scope, BackupType::Full)
            );
        }
        more => panic!("{more:?}"),
    }
}

fn check_window(answer: &Answer) {
    let Ok(window) = read_result::<TimeWindow>(&call(), answer) else {
        return;
    };
    let read = window::windows(&target(), &window, now());
    let Some(whole) = whole(answer) else {
        return;
    };
    let result = &whole["Result"];
    for window in &read.windows {
        assert!(window.start > chrono::DateTime::UNIX_EPOCH && window.start <= window.end);
        assert!(window.end <= now() + CLOCK_TOLERANCE);
        let said = |field| result[field].is_string();
        assert!(said("StartTime") && said("EndTime"), "{result}");
    }
    assert!(read.windows.len() + read.anomalies.len() <= 1);
}

fn check_instances(answer: &Answer) {
    let Ok(page) = read_instances(1, &call(), answer) else {
        return;
    };
    let mut gathering = Gathering::new("cn-beijing");
    gathering.take(&mut Paging::new(PAGE_SIZE, End::RowsRead), page);
    let Some(whole) = whole(answer) else {
        return;
    };
    let rows = &whole["Result"]["Instances"];
    let rows = rows.as_array().map_or(&[][..], Vec::as_slice);
    let id = |row: &Value| serde_json::from_value::<Scalar>(row["InstanceId"].clone()).unwrap();
    let mut ids: Vec<_> = rows.iter().filter_map(|row| id(row).text()).collect();
    for found in gathering.inventory().instances {
        assert!(!found.id.is_empty());
        let at = ids.iter().position(|id| *id == found.id);
        ids.remove(at.expect("each is listed"));
    }
}

/// Words that mean something in some field.
const WORDS: &[&str] = &[
    "Available",
    "Unavailable",
    "Creating",
    "available",
    "Full",
    "Increment",
    "cn-shanghai",
    "true",
    "false",
    "Standalone",
    "Running",
    ID,
];

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(body in proptest::collection::vec(any::<u8>(), 0..200)) {
        for kind in Kind::ALL {
            check(kind, body.clone());
        }
    }

    #[test]
    fn an_answer_that_was_cut_or_garbled_is_read_or_refused(
        (kind, body) in proptest::sample::select(ANSWERS.to_vec()),
        garbling in any_garbling(),
    ) {
        check(kind, garbling.of(body));
    }

    #[test]
    fn a_value_of_another_kind_never_makes_a_success(
        (kind, body) in proptest::sample::select(ANSWERS.to_vec()),
        replacements in any_replacements(WORDS),
    ) {
        check(kind, replacements.of(body).to_string());
    }

    /// One answer in the place of another.
    #[test]
    fn an_answer_to_another_question_is_read_or_refused(
        (_, body) in proptest::sample::select(ANSWERS.to_vec()),
    ) {
        for kind in Kind::ALL {
            check(kind, body.to_owned());
        }
    }
}
