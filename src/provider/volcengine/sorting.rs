//! The rows of a whole region, sorted by instance. Pure.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::wire::BackupRow;
use crate::backup::{Anomaly, Listing, ListingKind};
use crate::provider::page::{PageRead, Paging};
use crate::provider::row::{Page, Subject, VendorRow, take};
use crate::provider::scalar::Row;
use crate::target::Target;

/// The rows of a region, sorted by instance.
pub(super) struct Sorting<'a> {
    kind: ListingKind,
    targets: BTreeMap<&'a str, &'a Target>,
    pub listings: BTreeMap<&'a str, Listing>,
    /// Of rows that cannot be told whose they are.
    pub anomalies: Vec<Anomaly>,
}

impl<'a> Sorting<'a> {
    pub(super) fn new(kind: ListingKind, targets: &'a [Arc<Target>]) -> Self {
        Self {
            kind,
            targets: targets
                .iter()
                .map(|target| (&*target.key.instance_id, &**target))
                .collect(),
            listings: BTreeMap::new(),
            anomalies: Vec::new(),
        }
    }

    /// Takes a page. Rows of instances that are not watched are none of our business.
    pub(super) fn take(&mut self, paging: &mut Paging, page: Page<BackupRow>, now: DateTime<Utc>) {
        let rows = page.rows.len();
        let mut new_rows = 0;
        for Row(row) in page.rows {
            let identity = row.as_ref().and_then(VendorRow::identity);
            let is_new = paging.is_new(identity);
            new_rows += usize::from(is_new);
            let Some(row) = row else {
                self.anomalies.push(Anomaly::BadRow);
                paging.miss_a_row();
                continue;
            };
            let Some(owner) = row.instance_id.text() else {
                self.anomalies.push(Anomaly::UnknownStatus);
                continue;
            };
            let Some((id, target)) = self.targets.get_key_value(owner.as_str()) else {
                continue;
            };
            let listing = self.listings.entry(id).or_default();
            if is_new {
                take(listing, row, &Subject::of(self.kind, target, now));
            } else {
                listing.anomalies.push(Anomaly::Duplicate);
            }
        }
        paging.read(PageRead {
            rows,
            new_rows,
            total: page.total,
        });
    }
}
