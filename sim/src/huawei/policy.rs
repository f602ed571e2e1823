//! Policies: how long backups are kept, and whether they are copied to another region. Asked where
//! the instance runs.

use chrono::TimeDelta;
use serde_json::{Value, json};

use super::refusal::Refusal;
use super::site::Site;
use crate::world::{Engine, Instance};

/// `ShowOffSiteBackupPolicy`: a list of what is copied, or an object where the list should be.
pub(super) fn off_site(site: &Site<'_>, id: &str) -> Result<Value, Refusal> {
    let holding = site.holding_here(id)?;
    let instance = &holding.instance;
    if !holding.is_protected() {
        return Ok(json!({ "policy_para": { "keep_days": 0 } }));
    }
    let mut types = vec!["auto"];
    if instance.logs.copied {
        types.push("incremental");
    }
    if instance.engine == Engine::SqlServer {
        types.push("manual");
    }
    let mut elements = Vec::new();
    for destination in &instance.destinations {
        if !destination.is_in_use() && !destination.is_named {
            continue;
        }
        let days = if holding.copies_to(destination) {
            keep_days(instance)
        } else {
            0
        };
        let region = destination.region.as_str();
        let project = site.memory.projects.id_of_region(site.account, region);
        elements.extend(types.iter().map(|kind| {
            json!({
                "backup_type": kind,
                "keep_days": days,
                "destination_region": region,
                "destination_project_id": project,
            })
        }));
    }
    Ok(json!({ "policy_para": elements }))
}

/// `ShowBackupPolicy`.
pub(super) fn local(site: &Site<'_>, id: &str) -> Result<Value, Refusal> {
    let instance = &site.holding_here(id)?.instance;
    let mut policy = json!({ "keep_days": keep_days(instance) });
    if instance.schedule.is_some() {
        policy["start_time"] = json!(window(instance));
        policy["period"] = json!("1,2,3,4,5,6,7");
    }
    Ok(json!({ "backup_policy": policy }))
}

/// Days that backups are kept, here and elsewhere; 0 is off.
pub(super) fn keep_days(instance: &Instance) -> u64 {
    if instance.schedule.is_none() {
        return 0;
    }
    instance.retention.as_secs() / 86400
}

/// The hour of the day in which backups start.
pub(super) fn window(instance: &Instance) -> String {
    let Some(schedule) = &instance.schedule else {
        return String::new();
    };
    let start = chrono::DateTime::UNIX_EPOCH + schedule.offset;
    let end = start + TimeDelta::hours(1);
    format!("{}-{}", start.format("%H:00"), end.format("%H:00"))
}
