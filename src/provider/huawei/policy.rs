//! What the off-site policy of an instance says. Pure.

use std::sync::Arc;
use std::time::Duration;

use super::answer::read_object;
use super::refusal::refused;
use super::wire::{OffSitePolicy, OneOrMany, PolicyPart};
use crate::backup::{Anomaly, BackupType, Policy, PolicySwitch, Scope};
use crate::provider::Call;
use crate::provider::error::ListError;
use crate::provider::http::Answer;
use crate::provider::scalar::{Row, Scalar};
use crate::target::is_region;

const A_DAY: Duration = Duration::from_secs(24 * 3600);

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

/// A policy as it was told.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Told {
    parts: Vec<Part>,
    anomalies: Vec<Anomaly>,
}

/// What it says of some types of backup.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Part {
    sets: bool,
    logs: bool,
    /// `None` where it is off.
    destination: Option<(Arc<str>, Option<Arc<str>>)>,
    retention: Option<Duration>,
}

/// Reads the policy. One that is off is a policy as well.
pub(super) fn read_policy(call: &Call, answer: &Answer) -> Result<Told, ListError> {
    let read: OffSitePolicy = read_object(call, answer)?;
    let OneOrMany(rows) = read.policy_para.ok_or_else(|| refused(call, answer))?;
    let mut told = Told::default();
    for Row(row) in rows {
        let Some(row) = row else {
            told.anomalies.push(Anomaly::BadRow);
            continue;
        };
        let part = part(&row, &mut told.anomalies).ok_or_else(|| {
            let why = "the policy is on and names no destination";
            ListError::no_listing(call, answer.status, why)
        })?;
        told.parts.push(part);
    }
    // What cannot be read may be what is copied.
    if !told.is_whole() && told.destinations().is_empty() {
        return Err(ListError::no_listing(call, answer.status, "no policy"));
    }
    Ok(told)
}

/// What one row says; nothing where it is on and does not say to where.
fn part(row: &PolicyPart, anomalies: &mut Vec<Anomaly>) -> Option<Part> {
    let days = row.keep_days.count();
    // Days of 0 mean that nothing is copied.
    let is_on = days != Ok(Some(0));
    let (sets, logs) = match row.backup_type.text().as_deref() {
        Some("incremental") => (false, true),
        // How both are switched on at once.
        Some("all") => (true, true),
        Some("auto" | "manual") => (true, false),
        other => {
            // While it is off it need not say what it does not copy.
            if is_on || other.is_some() {
                anomalies.push(Anomaly::UnknownStatus);
            }
            (true, false)
        }
    };
    let retention = match days {
        Ok(Some(days @ 1..)) => u32::try_from(days)
            .ok()
            .and_then(|days| A_DAY.checked_mul(days)),
        Ok(_) | Err(_) => None,
    };
    if retention.is_none() && is_on && row.keep_days != Scalar::Absent {
        anomalies.push(Anomaly::BadTime);
    }
    let destination = if is_on {
        Some(destination(
            &row.destination_region,
            &row.destination_project_id,
        )?)
    } else {
        None
    };
    Some(Part {
        sets,
        logs,
        destination,
        retention,
    })
}

/// The region and the project that an answer names. The region becomes a part of a host name that signed requests are
/// sent to.
pub(super) fn destination(
    region: &Scalar,
    project: &Scalar,
) -> Option<(Arc<str>, Option<Arc<str>>)> {
    let region = region.text().filter(|region| is_region(region))?;
    Some((region.into(), project.text().map(Arc::from)))
}

impl Told {
    /// Whether each part of it could be read.
    fn is_whole(&self) -> bool {
        !self.anomalies.contains(&Anomaly::BadRow)
    }

    /// The regions to which it copies; none while it is off.
    pub(super) fn destinations(&self) -> Vec<Destination> {
        let mut destinations: Vec<Destination> = Vec::new();
        for part in &self.parts {
            let Some((region, project)) = &part.destination else {
                continue;
            };
            let known = destinations
                .iter_mut()
                .find(|known| known.region == *region);
            if let Some(known) = known {
                known.logs |= part.logs;
                known.sets |= part.sets;
            } else {
                destinations.push(Destination {
                    region: Arc::clone(region),
                    project: project.clone(),
                    sets: part.sets,
                    logs: part.logs,
                });
            }
        }
        destinations
    }

    /// The same in the vocabulary of all vendors.
    pub(super) fn reading(&self) -> Policy {
        let destinations = self.destinations();
        Policy {
            protected: Some(!destinations.is_empty()),
            // The vendor does not tell since when, nor anything of the instance.
            since: None,
            switches: [BackupType::Full, BackupType::Log]
                .into_iter()
                .flat_map(|backup_type| self.switches(backup_type, &destinations))
                .collect(),
            anomalies: self.anomalies.clone(),
            complete: self.is_whole(),
            ..Policy::default()
        }
    }

    /// The switches of one type: on in each region to which it is copied, else off.
    fn switches(&self, backup_type: BackupType, destinations: &[Destination]) -> Vec<PolicySwitch> {
        let is_logs = backup_type == BackupType::Log;
        let switch = |backup_region: &str, enabled, retention| PolicySwitch {
            scope: Scope::CrossRegion,
            backup_region: backup_region.to_owned(),
            backup_type,
            enabled,
            retention,
        };
        let copied_to = |destination: &&Destination| {
            if is_logs {
                destination.logs
            } else {
                destination.sets
            }
        };
        let on: Vec<_> = destinations
            .iter()
            .filter(copied_to)
            .map(|destination| {
                let parts = self.parts.iter().filter(|part| {
                    let names = part.destination.as_ref();
                    names.is_some_and(|(region, _)| *region == destination.region)
                        && if is_logs { part.logs } else { part.sets }
                });
                let retention = parts.filter_map(|part| part.retention).max();
                switch(&destination.region, true, retention)
            })
            .collect();
        if !on.is_empty() {
            return on;
        }
        // An instance has one destination for all that it copies.
        let region = match destinations {
            [only] => &*only.region,
            _ => "",
        };
        vec![switch(region, false, None)]
    }
}
