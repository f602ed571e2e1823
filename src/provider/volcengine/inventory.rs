//! The instances of a region. Pure.

use std::collections::HashSet;

use super::wire::InstanceRow;
use crate::backup::{Description, FoundInstance, Inventory};
use crate::provider::page::{PageRead, Paging};
use crate::provider::row::Page;
use crate::provider::scalar::Row;

/// Collects the instances of a region from several lists.
#[derive(Debug)]
pub(super) struct Gathering<'a> {
    region: &'a str,
    ids: HashSet<String>,
    inventory: Inventory,
    has_totals: bool,
    rows: u64,
}

impl<'a> Gathering<'a> {
    pub(super) fn new(region: &'a str) -> Self {
        Self {
            region,
            ids: HashSet::new(),
            inventory: Inventory {
                complete: true,
                ..Inventory::default()
            },
            has_totals: true,
            rows: 0,
        }
    }

    /// Takes a page of one list. What another list had already does not make this one go round.
    pub(super) fn take(&mut self, paging: &mut Paging, page: Page<InstanceRow>) {
        let rows = page.rows.len();
        let mut new_rows = 0;
        for Row(row) in page.rows {
            let row = row.unwrap_or_default();
            let id = row.instance_id.text();
            if id.is_none() {
                // It may be anybody's: then who is missing is not gone.
                paging.miss_a_row();
            }
            new_rows += usize::from(paging.is_new(id.clone()));
            let is_elsewhere = row
                .region_id
                .text()
                .is_some_and(|region| region != self.region);
            if is_elsewhere {
                continue;
            }
            if let Some(id) = id.filter(|id| self.ids.insert(id.clone())) {
                self.inventory.instances.push(found(id, &row));
            }
        }
        paging.read(PageRead {
            rows,
            new_rows,
            total: page.total,
        });
    }

    /// The list ends here.
    pub(super) fn finish(&mut self, paging: &Paging) {
        self.inventory.complete &= paging.is_complete();
        self.has_totals &= paging.has_total();
        self.rows += paging.rows_read();
    }

    pub(super) fn inventory(self) -> Inventory {
        Inventory {
            tells_absence: self.has_totals && self.rows > 0,
            ..self.inventory
        }
    }
}

/// A row that leaves out what it is, or how it does, is one of an instance to be watched.
fn found(id: String, row: &InstanceRow) -> FoundInstance {
    let (class, status) = (row.instance_class.text(), row.status.text());
    FoundInstance {
        id,
        description: Description {
            name: row.instance_name.text(),
            engine: Some("redis".to_owned()),
            engine_version: row.engine_version.text(),
            // An age that cannot be read only costs a new instance its grace.
            created: row.create_time.time().ok().flatten(),
        },
        // Instances of a single node cannot be backed up.
        has_backups: class.is_none_or(|class| class != "Standalone"),
        at_work: status.is_none_or(|status| status == "Running"),
    }
}
