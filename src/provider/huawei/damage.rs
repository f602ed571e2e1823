//! Answers that were damaged on the way: whatever comes, nothing panics, no set is usable that nobody called whole, and
//! no request is sent where nobody said.

use bytes::Bytes;
use proptest::prelude::*;
use serde_json::Value;

use super::tests::{ID, PAGES, POLICY_OFF, POLICY_ON};
use super::*;
use crate::backup::{BackupType, Scope};
use crate::example::{HOME, now};
use crate::provider::damage::{any_garbling, any_replacements, word};
use crate::provider::row::{Normalised, VendorRow};
use crate::provider::scalar::Row;
use crate::provider::script::answer;
use crate::target::is_region;

fn call(operation: &'static str) -> Call {
    Call {
        operation,
        instance: ID.into(),
        region: HOME.into(),
        project: None,
        parameters: Vec::new(),
    }
}

fn check(listing: ListingKind, body: impl Into<Bytes>) {
    match listing {
        ListingKind::Local => check_rows(Scope::Local, body.into()),
        _ => {
            check_rows(Scope::CrossRegion, body.into());
        }
    }
}

/// Reads a body as far as it goes, and holds every usable set against what its row really says.
fn check_rows(scope: Scope, body: Bytes) {
    let answer = answer(200, body);
    let Ok(page) = read_page(&call(LIST_OFF_SITE_BACKUPS), &answer) else {
        return;
    };
    let subject = Subject {
        instance_id: ID,
        scope,
        backup_region: HOME,
        now: now(),
    };
    // What is not read may hold bytes that are no text.
    let whole: Value = serde_json::from_str(&String::from_utf8_lossy(&answer.body)).unwrap();
    for (at, Row(row)) in page.rows.into_iter().enumerate() {
        let Some(row) = row else { continue };
        let _identity = row.identity();
        let Normalised { set, anomalies } = row.normalise(&subject);
        let Some(set) = set else {
            assert!(!anomalies.is_empty(), "a dropped row is counted");
            continue;
        };
        let row = &whole["backups"][at];
        if set.is_usable(now()) {
            assert!(is_called_whole(set.backup_type, row), "{row}");
        }
        assert_eq!(set.scope, scope);
        for time in [set.started, set.ended, set.recovery_point]
            .into_iter()
            .flatten()
        {
            assert!(time > DateTime::UNIX_EPOCH);
        }
    }
}

/// Whether the row says, in the words of the vendor's page, that it is a whole set of this kind.
fn is_called_whole(backup_type: BackupType, row: &Value) -> bool {
    let types: &[&str] = match backup_type {
        BackupType::Full => &["auto", "manual"],
        BackupType::Incremental => &["fragment"],
        BackupType::Log => &["incremental"],
    };
    word(row, "status") == "COMPLETED" && types.contains(&word(row, "type").as_str())
}

/// A policy is off, on with destinations that it names, or none at all.
fn check_policy(body: impl Into<Bytes>) {
    let answer = answer(200, body);
    let Ok(destinations) = read_policy(&call(SHOW_OFF_SITE_POLICY), &answer) else {
        return;
    };
    let whole: Value = serde_json::from_str(&String::from_utf8_lossy(&answer.body)).unwrap();
    let parts = match &whole["policy_para"] {
        Value::Array(parts) => parts.as_slice(),
        one => std::slice::from_ref(one),
    };
    assert!(parts.iter().all(Value::is_object), "{whole}");
    let is_on = |part: &&Value| word(part, "keep_days") != "0";
    assert_eq!(
        destinations.is_empty(),
        parts.iter().filter(is_on).count() == 0
    );
    for destination in destinations.iter() {
        assert!(is_region(&destination.region) && (destination.sets || destination.logs));
        let names = |part: &Value| word(part, "destination_region") == *destination.region;
        assert!(parts.iter().filter(is_on).any(names), "{whole}");
    }
}

/// Words that mean something in some field.
const WORDS: &[&str] = &[
    "COMPLETED",
    "FAILED",
    "completed",
    "auto",
    "manual",
    "fragment",
    "incremental",
    "SQLServer",
    "cn-east-3",
    "evil.example/",
    ID,
];

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(body in proptest::collection::vec(any::<u8>(), 0..200)) {
        check(ListingKind::Local, body.clone());
        check_policy(body.clone());
        let _read = read_project(&call(LIST_PROJECTS), &answer(200, body));
    }

    #[test]
    fn a_page_that_was_cut_or_garbled_is_read_or_refused(
        (listing, page) in proptest::sample::select(PAGES.to_vec()),
        garbling in any_garbling(),
    ) {
        check(listing, garbling.of(page));
    }

    #[test]
    fn a_value_of_another_kind_never_makes_a_success(
        (listing, page) in proptest::sample::select(PAGES.to_vec()),
        replacements in any_replacements(WORDS),
    ) {
        check(listing, replacements.of(page).to_string());
    }

    #[test]
    fn a_damaged_policy_names_its_destinations_or_is_none(
        policy in proptest::sample::select(vec![POLICY_ON, POLICY_OFF]),
        replacements in any_replacements(WORDS),
        garbling in any_garbling(),
    ) {
        check_policy(replacements.of(policy).to_string());
        check_policy(garbling.of(policy));
    }
}
