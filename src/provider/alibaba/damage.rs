//! Pages that were damaged on the way: whatever comes, nothing panics, and no set is usable that nobody called whole.

use bytes::Bytes;
use proptest::prelude::*;
use serde_json::Value;

use super::tests::PAGES;
use super::*;
use crate::example::{HOME, now};
use crate::provider::damage::{any_garbling, any_replacements, word};
use crate::provider::row::Normalised;
use crate::provider::script::answer;

use ListingKind::Local;

/// Reads a body as far as it goes, and holds every usable set against what its row really says.
fn check(listing: ListingKind, body: impl Into<Bytes>) {
    match listing {
        _ => check_rows(listing, read_copies, body.into()),
        Local => check_rows(listing, read_local_sets, body.into()),
    }
}

fn check_rows<R: VendorRow>(
    listing: ListingKind,
    read: fn(&Call, &Answer) -> Result<Page<R>, ListError>,
    body: Bytes,
) {
    let answer = answer(200, body);
    let call = Call {
        operation: operation(listing),
        instance: "rm-example1".into(),
        region: HOME.into(),
        project: None,
        parameters: Vec::new(),
    };
    let page = match read(&call, &answer) {
        Ok(page) => page,
        Err(error) => {
            let shown = format!("{error} {error:?}");
            assert!(!shown.contains("NOT-A-KEY"), "{shown}");
            return;
        }
    };
    let subject = Subject {
        instance_id: "rm-example1",
        scope: crate::backup::Scope::Local,
        backup_region: HOME,
        now: now(),
    };
    // What is not read may hold bytes that are no text.
    let whole: Value = serde_json::from_str(&String::from_utf8_lossy(&answer.body)).unwrap();
    let rows = match listing {
        Local => &whole["Items"]["Backup"],
        _ => &whole["Items"]["Item"],
    };
    for (at, Row(row)) in page.rows.into_iter().enumerate() {
        let Some(row) = row else { continue };
        let _identity = row.identity();
        let Normalised { set, anomalies } = row.normalise(&subject);
        let Some(set) = set else {
            assert!(!anomalies.is_empty(), "a dropped row is counted");
            continue;
        };
        if set.is_usable(now()) {
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
    match listing {
        _ => {
            let has = |field| !word(row, field).is_empty();
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
    }
}

/// Words that mean something in some field.
const WORDS: &[&str] = &[
    "F",
    "I",
    "Success",
    "Failed",
    "success",
    "FullBackup",
    "rm-example1",
    "mssql",
];

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(body in proptest::collection::vec(any::<u8>(), 0..200)) {
        for listing in ListingKind::ALL {
            check(listing, body.clone());
        }
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
}
