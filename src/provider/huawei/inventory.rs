//! Which instances the account has in a region, and which it no longer has although copies of them are kept elsewhere.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;
use std::time::Duration;

use super::answer::read_instances;
use super::normalise::engine;
use super::place::{Allowed, OffSiteInstance, OffSiteList, gather_new};
use super::wire::InstanceRow;
use super::{Huawei, LIST_INSTANCES, PAGE_SIZE, row_index};
use crate::backup::{Description, FoundInstance, Inventory};
use crate::provider::error::ListError;
use crate::provider::page::{End, Paging};
use crate::provider::pages::read_pages;
use crate::provider::{Call, Courier};

impl Huawei {
    /// Lists the instances of a region.
    ///
    /// The lists of what is protected are read first: an instance that is made in between is then in none of them, and
    /// is not taken for one that has gone.
    pub async fn discover(
        &self,
        region: &Arc<str>,
        courier: &impl Courier,
    ) -> Result<Inventory, ListError> {
        let project = self.project(region, courier).await?;
        let protected = self.protected((region, &project), courier).await;
        let (instances, paging) = self.instances((region, &project), courier).await?;
        let complete = paging.is_complete();
        let outlived = if complete {
            let here: HashSet<&str> = instances.iter().map(|found| &*found.id).collect();
            let gone = protected.into_iter().filter(|id| !here.contains(&**id));
            gone.map(|id| id.to_string()).collect()
        } else {
            // What was not listed may be on a page that was not read.
            Vec::new()
        };
        Ok(Inventory {
            instances,
            outlived,
            complete,
            tells_absence: paging.has_total() && paging.rows_read() > 0,
        })
    }

    /// The ids of the region's instances that have copies elsewhere, as far as anybody tells. Nothing else is lost where
    /// nobody does.
    async fn protected(
        &self,
        (region, project): (&Arc<str>, &Arc<str>),
        courier: &impl Courier,
    ) -> BTreeSet<Arc<str>> {
        // Regions that are looked into share the lists of their destinations.
        let oldest = self.ages.discovery_interval * 3 / 4;
        let mut protected = BTreeSet::new();
        let mut take = |answer: Result<Allowed<Arc<OffSiteList>>, ListError>| {
            let Ok(Allowed::Yes(list)) = answer else {
                return;
            };
            let rows = list.rows.iter();
            let ours = rows.filter(|row| is_of(row, region, project));
            protected.extend(ours.map(|row| Arc::clone(&row.id)));
        };
        take(self.off_site_list((region, project), oldest, courier).await);
        for (destination, told) in self.known_destinations() {
            if destination == *region {
                continue;
            }
            let place = (&destination, told.as_ref());
            let Ok(project) = self.project_of(place, courier).await else {
                continue;
            };
            let place = (&destination, &project);
            take(self.off_site_list(place, oldest, courier).await);
        }
        protected
    }

    async fn instances(
        &self,
        (region, project): (&Arc<str>, &Arc<str>),
        courier: &impl Courier,
    ) -> Result<(Vec<FoundInstance>, Paging), ListError> {
        let mut paging = Paging::new(PAGE_SIZE, End::RowsRead);
        let mut found = Vec::new();
        read_pages(
            (&self.clock, Duration::ZERO),
            courier,
            &mut paging,
            |_, position| Call {
                operation: LIST_INSTANCES,
                instance: Arc::clone(region),
                region: Arc::clone(region),
                project: Some(Arc::clone(project)),
                parameters: row_index(position),
            },
            |_, call, answer| read_instances(call, answer),
            |paging, page| gather_new(paging, page, instance, |instance| &*instance.id, &mut found),
        )
        .await?;
        Ok((found, paging))
    }
}

/// Whether a row is about an instance of this region and project. A row that does not name the region is about none.
fn is_of(row: &OffSiteInstance, region: &str, project: &str) -> bool {
    let is_ours = row.source_project.as_deref().is_none_or(|id| id == project);
    is_ours && row.source_region.as_deref() == Some(region)
}

/// What a row says of an instance; nothing where it has no id.
pub(super) fn instance(row: &InstanceRow) -> Option<FoundInstance> {
    let is = |value: Option<String>, word: &str| {
        value.is_some_and(|value| value.eq_ignore_ascii_case(word))
    };
    let datastore = row.datastore.0.as_ref();
    Some(FoundInstance {
        id: row.id.text()?,
        description: Description {
            name: row.name.text(),
            engine: datastore.and_then(engine),
            engine_version: datastore.and_then(|datastore| datastore.version.text()),
            // An age that cannot be read only costs a new instance its grace.
            created: row.created.time().ok().flatten(),
        },
        // A read replica cannot have a backup policy.
        has_backups: !is(row.kind.text(), "replica"),
        at_work: !is(row.status.text(), "build"),
    })
}
