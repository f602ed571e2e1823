//! What an answer says: a page of rows, which project is meant; or why it says nothing. Pure.

use std::sync::Arc;

use serde::de::DeserializeOwned;

use super::refusal::refused;
use super::wire::{
    BackupRow, BackupsPage, InstanceRow, InstancesPage, OffSiteInstanceRow, OffSiteInstancesPage,
    Projects,
};
use crate::provider::Call;
use crate::provider::error::{ListError, Reason};
use crate::provider::http::Answer;
use crate::provider::json;
use crate::provider::row::Page;
use crate::provider::scalar::{Row, Scalar};

/// Reads a good answer's object; one that is no object has none of its fields.
pub(super) fn read_object<T: DeserializeOwned + Default>(
    call: &Call,
    answer: &Answer,
) -> Result<T, ListError> {
    if answer.status != 200 {
        return Err(refused(call, answer));
    }
    let Row(object) = json::read::<Row<T>>(&answer.body)
        .map_err(|error| ListError::unreadable(call, answer.status, &error))?;
    Ok(object.unwrap_or_default())
}

/// A page of these rows. A 200 without the list is no empty list: a portal's page and half an answer look like that.
fn page<R>(
    rows: Option<Vec<Row<R>>>,
    total: &Scalar,
    (call, answer): (&Call, &Answer),
) -> Result<Page<R>, ListError> {
    Ok(Page {
        rows: rows.ok_or_else(|| refused(call, answer))?,
        total: total.count().unwrap_or_default(),
    })
}

/// Reads a page of backup sets.
pub(super) fn read_sets(call: &Call, answer: &Answer) -> Result<Page<BackupRow>, ListError> {
    let read: BackupsPage = read_object(call, answer)?;
    page(read.backups, &read.total_count, (call, answer))
}

/// Reads a page of the region's instances.
pub(super) fn read_instances(call: &Call, answer: &Answer) -> Result<Page<InstanceRow>, ListError> {
    let read: InstancesPage = read_object(call, answer)?;
    page(read.instances, &read.total_count, (call, answer))
}

/// Reads a page of instances that have copies in another region.
pub(super) fn read_off_site_instances(
    call: &Call,
    answer: &Answer,
) -> Result<Page<OffSiteInstanceRow>, ListError> {
    let read: OffSiteInstancesPage = read_object(call, answer)?;
    let rows = read
        .offsite_backup_instances
        .or(read.offsite_backup_instance);
    page(rows, &read.total_count, (call, answer))
}

/// Reads the project of a region. Projects that a user has made within the region have longer names.
pub(super) fn read_project(call: &Call, answer: &Answer) -> Result<Arc<str>, ListError> {
    let read: Projects = read_object(call, answer)?;
    let ids: Vec<_> = read
        .projects
        .ok_or_else(|| refused(call, answer))?
        .into_iter()
        .filter_map(|Row(project)| project)
        .filter(|project| project.enabled != false)
        .filter(|project| project.name.text().as_deref() == Some(&*call.region))
        .filter_map(|project| project.id.text())
        .collect();
    match ids.as_slice() {
        [id] => Ok(Arc::from(id.as_str())),
        other => Err(ListError {
            status: Some(answer.status),
            detail: Some(format!(
                "the account has {} projects of this name; say which in `projects`",
                if other.is_empty() { "no" } else { "several" }
            )),
            ..ListError::of(call, Reason::NotFound)
        }),
    }
}
