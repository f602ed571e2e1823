//! What an answer says: a page of sets, where copies go, which project is meant; or why it says nothing. Pure.

use std::sync::Arc;

use super::refusal::refused;
use super::wire::{self, BackupRow, BackupsPage, OffSitePolicy, PolicyPart, Projects};
use crate::provider::Call;
use crate::provider::error::{ListError, Reason};
use crate::provider::http::Answer;
use crate::provider::row::Page;
use crate::provider::scalar::Row;
use crate::target::is_region;

/// Where an instance's backups are copied to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Destination {
    pub region: Arc<str>,
    /// `None` where only IAM knows it.
    pub project: Option<Arc<str>>,
    /// Whether the policy copies this; without a policy at hand it is asked for all the same.
    pub sets: bool,
    pub logs: bool,
}

/// Reads an answer as a page, or tells why it is none. A 200 without the list is no empty list: a portal's page and half
/// an answer look like that.
pub(super) fn read_page(call: &Call, answer: &Answer) -> Result<Page<BackupRow>, ListError> {
    if answer.status != 200 {
        return Err(refused(call, answer));
    }
    let Row(page) = serde_json::from_slice::<Row<BackupsPage>>(&answer.body)
        .map_err(|error| ListError::unreadable(call, answer.status, &error))?;
    let page = page.unwrap_or_default();
    let rows = page.backups.ok_or_else(|| refused(call, answer))?;
    Ok(Page {
        rows,
        total: page.total_count.count().unwrap_or_default(),
    })
}

/// Reads the policy as the regions to which it copies; none while it is off.
pub(super) fn read_policy(call: &Call, answer: &Answer) -> Result<Arc<[Destination]>, ListError> {
    if answer.status != 200 {
        return Err(refused(call, answer));
    }
    let Row(policy) = serde_json::from_slice::<Row<OffSitePolicy>>(&answer.body)
        .map_err(|error| ListError::unreadable(call, answer.status, &error))?;
    let policy = policy.unwrap_or_default().policy_para;
    let wire::OneOrMany(parts) = policy.ok_or_else(|| refused(call, answer))?;
    let mut destinations: Vec<Destination> = Vec::new();
    for Row(part) in parts {
        let Some(part) = part else {
            return Err(ListError::no_listing(call, answer.status, "no policy"));
        };
        if !is_on(&part) {
            continue;
        }
        let region = part.destination_region.text();
        // It becomes a part of a host name that signed requests are sent to.
        let Some(region) = region.filter(|region| is_region(region)) else {
            return Err(ListError::no_listing(
                call,
                answer.status,
                "the policy is on and names no destination",
            ));
        };
        let is_log = part.backup_type.text().as_deref() == Some("incremental");
        let known = destinations
            .iter_mut()
            .find(|known| *known.region == *region);
        if let Some(known) = known {
            known.logs |= is_log;
            known.sets |= !is_log;
        } else {
            destinations.push(Destination {
                region: region.into(),
                project: part.destination_project_id.text().map(Arc::from),
                sets: !is_log,
                logs: is_log,
            });
        }
    }
    Ok(destinations.into())
}

/// Days of 0 mean that nothing is copied.
fn is_on(part: &PolicyPart) -> bool {
    part.keep_days.count() != Ok(Some(0))
}

/// Reads the project of a region. Projects that a user has made within the region have longer names.
pub(super) fn read_project(call: &Call, answer: &Answer) -> Result<Arc<str>, ListError> {
    if answer.status != 200 {
        return Err(refused(call, answer));
    }
    let Row(projects) = serde_json::from_slice::<Row<Projects>>(&answer.body)
        .map_err(|error| ListError::unreadable(call, answer.status, &error))?;
    let projects = projects.unwrap_or_default().projects;
    let ids: Vec<_> = projects
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
