//! Answers that were damaged on the way: whatever comes, nothing panics, no set is usable that nobody called whole, and
//! no request is sent where nobody said.

use bytes::Bytes;
use proptest::prelude::*;
use serde_json::Value;

use chrono::DateTime;

use super::answer::{read_instances, read_off_site_instances, read_project, read_sets};
use super::inventory::instance;
use super::place::OffSiteInstance;
use super::policy::read_policy;
use super::tests::{ID, INSTANCES, OFF_SITE_INSTANCES, PAGES};
use super::window::{Keeper, gather, read_restore_times};
use super::*;
use crate::backup::{BackupType, CLOCK_TOLERANCE, RestoreWindows, Scope};
use crate::example::{HOME, now};
use crate::provider::damage::{any_garbling, any_replacements, word};
use crate::provider::json;
use crate::provider::row::{Normalised, Subject, VendorRow};
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
        ListingKind::CrossRegion | ListingKind::CrossRegionLog => {
            check_rows(Scope::CrossRegion, body.into());
        }
        ListingKind::Policy => check_policy(body),
        ListingKind::RestoreWindow => check_windows(body),
    }
}

/// Reads a body as far as it goes, and holds every usable set against what its row really says.
fn check_rows(scope: Scope, body: Bytes) {
    let answer = answer(200, body);
    let Ok(page) = read_sets(&call(LIST_OFF_SITE_BACKUPS), &answer) else {
        return;
    };
    let subject = Subject {
        instance_id: ID,
        source_region: HOME,
        engine: None,
        scope,
        backup_region: HOME,
        now: now(),
    };
    // What is not read may hold bytes that are no text.
    // Numbers that are none are read by nobody but this.
    let Ok(whole) = json::read::<Value>(&answer.body) else {
        return;
    };
    for (at, Row(row)) in page.rows.into_iter().enumerate() {
        let Some(row) = row else { continue };
        let _identity = row.identity();
        let Normalised { set, anomalies } = row.normalise(&subject);
        let Some(set) = set else {
            assert!(!anomalies.is_empty(), "a dropped row is counted");
            continue;
        };
        let row = &whole["backups"][at];
        if set.is_sound(now()) {
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
        BackupType::Partial => &["manual"],
    };
    word(row, "status") == "COMPLETED" && types.contains(&word(row, "type").as_str())
}

/// A policy is off, on with destinations that it names, or none at all.
fn check_policy(body: impl Into<Bytes>) {
    let answer = answer(200, body);
    let Ok(told) = read_policy(&call(SHOW_OFF_SITE_POLICY), &answer) else {
        return;
    };
    let destinations = told.destinations();
    let policy = told.reading();
    assert_eq!(policy.protected, Some(!destinations.is_empty()));
    for switch in &policy.switches {
        let is_open = !switch.enabled && switch.backup_region.is_empty();
        assert!(is_open || is_region(&switch.backup_region), "{switch:?}");
    }
    let Ok(whole) = json::read::<Value>(&answer.body) else {
        return;
    };
    let parts = match &whole["policy_para"] {
        Value::Array(parts) => parts.as_slice(),
        one => std::slice::from_ref(one),
    };
    let is_on = |part: &&Value| part.is_object() && word(part, "keep_days") != "0";
    assert_eq!(
        destinations.is_empty(),
        parts.iter().filter(is_on).count() == 0
    );
    // It is off only if each part of it says so.
    assert_eq!(
        policy.complete,
        parts.iter().all(Value::is_object),
        "{whole}"
    );
    assert!(policy.complete || !destinations.is_empty(), "{whole}");
    for destination in &destinations {
        assert!(is_region(&destination.region) && (destination.sets || destination.logs));
        let names = |part: &Value| word(part, "destination_region") == *destination.region;
        assert!(parts.iter().filter(is_on).any(names), "{whole}");
    }
}

/// Every window is one that the answer names, does not end before it starts nor reach into the future.
fn check_windows(body: impl Into<Bytes>) {
    let answer = answer(200, body);
    let Ok(rows) = read_restore_times(&call(LIST_RESTORE_TIMES), &answer) else {
        return;
    };
    let count = rows.len();
    let mut found = RestoreWindows::default();
    let keeper = Keeper {
        scope: Scope::Local,
        region: HOME,
        now: now(),
    };
    gather(&mut found, rows, &keeper);
    assert_eq!(found.windows.len() + found.anomalies.len(), count);
    let whole = String::from_utf8_lossy(&answer.body).into_owned();
    for window in &found.windows {
        assert!(DateTime::UNIX_EPOCH < window.start && window.start <= window.end);
        assert!(window.end <= now() + CLOCK_TOLERANCE);
        for time in [window.start, window.end] {
            assert!(
                whole.contains(&time.timestamp_millis().to_string()),
                "{whole}"
            );
        }
    }
}

/// Every instance has an id that the answer names; what is protected names a region that can be asked or none.
fn check_instances(body: impl Into<Bytes>) {
    let answer = answer(200, body);
    let rows = read_instances(&call(LIST_INSTANCES), &answer)
        .map_or_else(|_| Vec::new(), |page| page.rows);
    for found in rows.iter().filter_map(|Row(row)| instance(row.as_ref()?)) {
        assert!(!found.id.trim().is_empty());
    }
    let page = read_off_site_instances(&call(LIST_OFF_SITE_INSTANCES), &answer);
    let rows = page.map_or_else(|_| Vec::new(), |page| page.rows);
    for found in rows
        .iter()
        .filter_map(|Row(row)| OffSiteInstance::of(row.as_ref()?))
    {
        assert!(!found.id.trim().is_empty());
        assert!(
            found
                .copies()
                .is_none_or(|copies| is_region(&copies.region))
        );
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
        check_windows(body.clone());
        check_instances(body.clone());
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
    fn damaged_lists_of_instances_are_read_or_refused(
        list in proptest::sample::select(vec![INSTANCES, OFF_SITE_INSTANCES]),
        replacements in any_replacements(WORDS),
        garbling in any_garbling(),
    ) {
        check_instances(replacements.of(list).to_string());
        check_instances(garbling.of(list));
    }
}
