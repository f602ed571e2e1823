//! What an answer says, or why it says nothing. Pure.

use serde::de::DeserializeOwned;

use super::refusal::{self, refused};
use super::wire::{BackupRow, BackupsPage, Envelope, InstanceRow, InstancesPage};
use crate::provider::Call;
use crate::provider::error::ListError;
use crate::provider::http::Answer;
use crate::provider::json;
use crate::provider::row::Page;
use crate::provider::scalar::Row;

/// The result of a good answer. An error counts whatever the status is; no result is an empty one, as long as the answer
/// is the vendor's.
pub(super) fn read_result<T: DeserializeOwned + Default>(
    call: &Call,
    answer: &Answer,
) -> Result<T, ListError> {
    if answer.status != 200 {
        return Err(refused(call, answer));
    }
    let Row(envelope) = json::read::<Row<Envelope<T>>>(&answer.body)
        .map_err(|error| ListError::unreadable(call, answer.status, &error))?;
    let envelope = envelope.unwrap_or_default();
    let metadata = envelope.response_metadata.0.as_ref();
    let is_good = metadata.is_some_and(|metadata| metadata.error.0.is_none());
    if !is_good {
        return Err(refusal::of_envelope(call, answer, envelope));
    }
    match envelope.result {
        Some(Row(Some(result))) => Ok(result),
        Some(Row(None)) => Err(ListError::no_listing(call, answer.status, "no listing")),
        None => Ok(T::default()),
    }
}

/// Reads an answer as a page of backup sets. No list is an empty one.
pub(super) fn read_sets(call: &Call, answer: &Answer) -> Result<Page<BackupRow>, ListError> {
    let page: BackupsPage = read_result(call, answer)?;
    Ok(Page {
        rows: page.backups.unwrap_or_default(),
        total: page.total.count().unwrap_or_default(),
    })
}

/// Reads an answer as a page of instances. Past the first page, the vendor may refuse a page that there is not.
pub(super) fn read_instances(
    number: u32,
    call: &Call,
    answer: &Answer,
) -> Result<Page<InstanceRow>, ListError> {
    let page: InstancesPage = match read_result(call, answer) {
        Ok(page) => page,
        Err(error) if number > 1 && refusal::is_past_the_end(&error) => return Ok(Page::none()),
        Err(error) => return Err(error),
    };
    Ok(Page {
        rows: page.instances.unwrap_or_default(),
        total: page.total_instances_num.count().unwrap_or_default(),
    })
}
