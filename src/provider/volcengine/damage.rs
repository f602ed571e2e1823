//! Pages that were damaged on the way: whatever comes, nothing panics, and no set is usable that nobody called whole.

use bytes::Bytes;
use proptest::prelude::*;
use serde_json::Value;

use super::tests::{ID, PAGES};
use super::*;
use crate::backup::{BackupType, Scope};
use crate::example::now;
use crate::provider::damage::{any_garbling, any_replacements, word};
use crate::provider::row::{Normalised, VendorRow};
use crate::provider::script::answer;

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
    let call = Call {
        operation: "DescribeBackups",
        instance: ID.into(),
        region: "cn-beijing".into(),
        project: None,
        parameters: Vec::new(),
    };
    let Ok(page) = read_page(&call, &answer) else {
        return;
    };
    let subject = Subject {
        instance_id: ID,
        scope,
        backup_region: "",
        now: now(),
    };
    // What is not read may hold bytes that are no text.
    let whole: Value = serde_json::from_str(&String::from_utf8_lossy(&answer.body)).unwrap();
    assert!(whole["ResponseMetadata"].is_object(), "{whole}");
    assert!(
        !whole["ResponseMetadata"]["Error"].is_object(),
        "an error is no listing"
    );
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
        if set.is_usable(now()) {
            let is_called_whole =
                word(row, "Status") == "Available" && word(row, "BackupType") == "Full";
            assert!(is_called_whole, "{row}");
        }
        assert_eq!((set.scope, set.backup_type), (scope, BackupType::Full));
        for time in [set.started, set.ended, set.recovery_point]
            .into_iter()
            .flatten()
        {
            assert!(time > DateTime::UNIX_EPOCH);
        }
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
    ID,
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
