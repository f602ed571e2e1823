//! Answers that were damaged on the way: whatever comes, nothing panics, no set is usable that nobody called whole, and
//! nothing is copied that nobody called copied.

use std::fmt;

use bytes::Bytes;
use chrono::DateTime;
use proptest::prelude::*;
use serde_json::Value;

use super::inventory::read_instances;
use super::policy::{Told, read_policies};
use super::sets::{read_copies, read_local_sets, read_log_copies};
use super::tests::{INSTANCES, PAGES};
use super::window::read_times;
use super::*;
use crate::backup::{BackupType, CLOCK_TOLERANCE, Inventory, PolicySwitch, RestoreWindows, Scope};
use crate::example::{HOME, now, target};
use crate::provider::damage::{any_garbling, any_replacements, word};
use crate::provider::json;
use crate::provider::page::End;
use crate::provider::row::{Normalised, Subject, VendorRow};
use crate::provider::scalar::Row;
use crate::provider::script::answer;

use ListingKind::{CrossRegion, CrossRegionLog, Local, Policy, RestoreWindow};

/// Reads a body as far as it goes, and holds what is made of it against what it really says.
fn check(listing: ListingKind, body: impl Into<Bytes>) {
    let answer = answer(200, body);
    match listing {
        CrossRegion => check_rows(listing, read_copies, &answer),
        Local => check_rows(listing, read_local_sets, &answer),
        CrossRegionLog => check_rows(listing, read_log_copies, &answer),
        Policy => check_policies(&answer),
        RestoreWindow => check_times(&answer),
    }
}

/// Reads the answer; an error shows nothing of what was in it.
fn read<T>(
    read: impl Fn(&Call, &Answer) -> Result<T, ListError>,
    answer: &Answer,
) -> Option<(T, Value)> {
    let call = Call {
        operation: "DescribeBackups",
        instance: "rm-example1".into(),
        region: HOME.into(),
        project: None,
        parameters: Vec::new(),
    };
    match read(&call, answer) {
        // What is not read may hold bytes that are no text.
        Ok(read) => {
            // Numbers that are none are read by nobody but this.
            Some((read, json::read(&answer.body).ok()?))
        }
        Err(error) => {
            shows_no_secret(&error);
            None
        }
    }
}

fn shows_no_secret(what: &impl fmt::Debug) {
    let shown = format!("{what:?}");
    assert!(!shown.contains("NOT-A-KEY"), "{shown}");
}

fn check_rows<R: VendorRow>(
    listing: ListingKind,
    read_rows: fn(&Call, &Answer) -> Result<Page<R>, ListError>,
    answer: &Answer,
) {
    let Some((page, whole)) = read(read_rows, answer) else {
        return;
    };
    let subject = Subject {
        instance_id: "rm-example1",
        source_region: HOME,
        engine: None,
        scope: Scope::Local,
        backup_region: HOME,
        now: now(),
    };
    let rows = match listing {
        Local => &whole["Items"]["Backup"],
        CrossRegion | CrossRegionLog | Policy | RestoreWindow => &whole["Items"]["Item"],
    };
    for (at, Row(row)) in page.rows.into_iter().enumerate() {
        let Some(row) = row else { continue };
        let _identity = row.identity();
        let Normalised { set, anomalies } = row.normalise(&subject);
        let Some(set) = set else {
            assert!(!anomalies.is_empty(), "a dropped row is counted");
            continue;
        };
        if set.is_sound(now()) {
            assert!(is_called_whole(listing, &rows[at]), "{}", rows[at]);
        }
        for time in [set.started, set.ended, set.recovery_point]
            .into_iter()
            .flatten()
        {
            assert!(time > DateTime::UNIX_EPOCH);
        }
    }
}

/// Whether the row says, in the words of the vendor's page, that it is a whole set of a known kind.
fn is_called_whole(listing: ListingKind, row: &Value) -> bool {
    let types = ["F", "I", "FullBackup", "IncrementalBackup"];
    let is_one_of = |field, words: &[&str]| words.contains(&word(row, field).as_str());
    let has = |field| !word(row, field).is_empty();
    match listing {
        CrossRegion => {
            let says_nothing = !has("BackupSetStatus");
            is_one_of("BackupType", &types)
                && (is_one_of("BackupSetStatus", &["0"])
                    || says_nothing && has("BackupEndTime") && has("CrossBackupSetSize"))
        }
        Local => {
            is_one_of("BackupType", &types)
                && is_one_of("BackupStatus", &["Success"])
                && !is_one_of("IsAvail", &["0"])
        }
        CrossRegionLog => has("LogEndTime"),
        Policy | RestoreWindow => false,
    }
}

fn check_policies(answer: &Answer) {
    let Some((page, whole)) = read(read_policies, answer) else {
        return;
    };
    let targets = [target("rm-example1"), target("rm-example2")];
    let mut told = Told::about(&[&targets[0], &targets[1]]);
    let mut paging = Paging::new(30, End::ShortPage);
    told.take(&mut paging, page, now());
    let policies = told.policies(paging.is_complete());
    let items = whole["Items"]["Item"].as_array();
    for (target, policy) in targets.iter().zip(policies) {
        let own = || {
            let items = items.into_iter().flatten();
            items.filter(|item| word(item, "DBInstanceId") == *target.key.instance_id)
        };
        let says_on = |item: &Value, field| {
            let word = word(item, field).to_lowercase();
            ["enable", "enabled", "1"].contains(&&*word)
        };
        if policy.protected == Some(true) {
            assert!(own().any(|item| says_on(item, "BackupEnabled")), "{whole}");
        }
        let logs = |switch: &PolicySwitch| switch.enabled && switch.backup_type == BackupType::Log;
        if policy.switches.iter().any(logs) {
            assert!(
                own().any(|item| says_on(item, "LogBackupEnabled")),
                "{whole}"
            );
        }
        if policy.protected == Some(false) {
            assert!(policy.complete || own().count() > 0, "{whole}");
        }
        if let Some(since) = policy.since {
            assert!(since <= now() + CLOCK_TOLERANCE);
            assert_eq!(policy.protected, Some(true));
        }
    }
}

fn check_times(answer: &Answer) {
    let Some((times, whole)) = read(read_times, answer) else {
        return;
    };
    let place = Subject {
        instance_id: "rm-example1",
        source_region: HOME,
        engine: None,
        scope: Scope::Local,
        backup_region: HOME,
        now: now(),
    };
    let mut found = RestoreWindows::default();
    window::take(&mut found, &times, &place);
    for window in found.windows {
        assert!(window.start <= window.end);
        assert!(window.end <= now() + CLOCK_TOLERANCE);
        assert!(!word(&whole, "RecoveryBeginTime").is_empty());
        assert!(!word(&whole, "RecoveryEndTime").is_empty());
    }
}

fn check_instances(body: impl Into<Bytes>) {
    let Some((page, _)) = read(read_instances, &answer(200, body)) else {
        return;
    };
    let mut inventory = Inventory::default();
    let mut paging = Paging::new(100, End::ShortPage);
    inventory::take(&mut inventory, &mut paging, page);
    let mut ids: Vec<_> = inventory.instances.iter().map(|found| &found.id).collect();
    assert!(ids.iter().all(|id| !id.trim().is_empty()));
    let all = ids.len();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), all);
}

/// Words that mean something in some field.
const WORDS: &[&str] = &[
    "F",
    "I",
    "Success",
    "Failed",
    "success",
    "FullBackup",
    "Enable",
    "Disable",
    "ReadOnly",
    "Released",
    "rm-example1",
    "rm-example2",
    "mssql",
];

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(body in proptest::collection::vec(any::<u8>(), 0..200)) {
        for listing in ListingKind::ALL {
            check(listing, body.clone());
        }
        check_instances(body);
    }

    #[test]
    fn a_page_that_was_cut_or_garbled_is_read_or_refused(
        (listing, page) in proptest::sample::select(PAGES.to_vec()),
        garbling in any_garbling(),
    ) {
        check(listing, garbling.of(page));
        check_instances(garbling.of(INSTANCES));
    }

    #[test]
    fn a_value_of_another_kind_never_makes_a_success(
        (listing, page) in proptest::sample::select(PAGES.to_vec()),
        replacements in any_replacements(WORDS),
    ) {
        check(listing, replacements.of(page).to_string());
        check_instances(replacements.of(INSTANCES).to_string());
    }
}
