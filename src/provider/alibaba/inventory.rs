//! The instances of a region.

use std::sync::Arc;

use super::answer::read_page;
use super::normalise::description;
use super::{Alibaba, wire};
use crate::backup::{Description, FoundInstance, Inventory};
use crate::provider::error::ListError;
use crate::provider::http::Answer;
use crate::provider::page::{End, PageRead, Paging};
use crate::provider::row::Page;
use crate::provider::scalar::{Row, Scalar};
use crate::provider::{Call, Courier, Parameter};
use crate::service::alibaba_rds::DESCRIBE_INSTANCES;

/// The largest that every revision allows.
const PAGE_SIZE: usize = 100;

impl Alibaba {
    /// Lists the instances of a region, of every type and in every state.
    pub async fn discover(
        &self,
        region: &Arc<str>,
        courier: &impl Courier,
    ) -> Result<Inventory, ListError> {
        let mut inventory = Inventory {
            complete: true,
            ..Inventory::default()
        };
        let mut paging = Paging::new(PAGE_SIZE, End::ShortPage);
        self.read_rows(
            self.lookback.sets,
            &mut paging,
            courier,
            |_, page| instances_call(region, page),
            read_instances,
            |paging, page| take(&mut inventory, paging, page),
        )
        .await?;
        inventory.complete &= paging.is_complete();
        inventory.tells_absence = paging.has_total() && paging.rows_read() > 0;
        Ok(inventory)
    }
}

fn instances_call(region: &Arc<str>, page: u32) -> Call {
    Call {
        operation: DESCRIBE_INSTANCES,
        instance: "all instances".into(),
        region: Arc::clone(region),
        project: None,
        parameters: vec![
            ("RegionId", Parameter::text(&**region)),
            ("PageNumber", Parameter::Number(page.into())),
            ("PageSize", Parameter::Number(PAGE_SIZE as u64)),
        ],
    }
}

pub(super) fn read_instances(
    call: &Call,
    answer: &Answer,
) -> Result<Page<wire::InstanceRow>, ListError> {
    read_page(call, answer, |page: wire::InstancesPage| {
        let items = page.items.0;
        (page.total_record_count, items.map(|items| items.rows))
    })
}

/// Takes in a page.
pub(super) fn take(inventory: &mut Inventory, paging: &mut Paging, page: Page<wire::InstanceRow>) {
    let rows = page.rows.len();
    let mut new_rows = 0;
    for Row(row) in page.rows {
        let found = row.as_ref().and_then(found);
        // A row that names nobody may be anybody's: then who is missing is not gone.
        inventory.complete &= found.is_some();
        let id = found.as_ref().map(|found| found.id.clone());
        if paging.is_new(id) {
            new_rows += 1;
            inventory.instances.extend(found);
        }
    }
    paging.read(PageRead {
        rows,
        new_rows,
        total: page.total,
    });
}

fn found(row: &wire::InstanceRow) -> Option<FoundInstance> {
    Some(FoundInstance {
        id: row.db_instance_id.text()?,
        description: Description {
            // An age that cannot be read only costs a new instance its grace.
            created: row.create_time.time().ok().flatten(),
            ..description(
                &row.db_instance_description,
                &row.engine,
                &row.engine_version,
            )
        },
        // The answer writes `ReadOnly` where the question would write `Readonly`. The others are stand-ins: one for a
        // disaster, one for a restore that is being tried out.
        has_backups: !is_one_of(&row.db_instance_type, &["readonly", "guard", "temp"]),
        at_work: !is_one_of(
            &row.db_instance_status,
            &["creating", "deleting", "deleted", "released", "destroyed"],
        ) && !is_one_of(&row.lock_mode, &["released"]),
    })
}

/// Whether it is one of these words, which are given in lower case.
fn is_one_of(word: &Scalar, words: &[&str]) -> bool {
    let word = word.text().map(|word| word.to_lowercase());
    word.is_some_and(|word| words.contains(&&*word))
}
