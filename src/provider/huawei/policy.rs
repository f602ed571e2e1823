//! What the off-site policy of an instance says. Pure.

use std::collections::BTreeSet;
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
    is_on: bool,
    /// Always there where it is on.
    destination: Option<(Arc<str>, Option<Arc<str>>)>,
    retention: Option<Duration>,
}

impl Part {
    /// Whether it says something of this type in this region.
    fn is_about(&self, is_logs: bool, region: &str) -> bool {
        let is_of_type = if is_logs { self.logs } else { self.sets };
        is_of_type && self.region() == Some(region)
    }

    fn region(&self) -> Option<&str> {
        self.destination.as_ref().map(|(region, _)| &**region)
    }
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
    let destination = destination(&row.destination_region, &row.destination_project_id);
    if is_on && destination.is_none() {
        return None;
    }
    Some(Part {
        sets,
        logs,
        is_on,
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
        let on = self.parts.iter().filter(|part| part.is_on);
        gathered(on.filter_map(|part| {
            let (region, project) = part.destination.clone()?;
            Some(Destination {
                region,
                project,
                sets: part.sets,
                logs: part.logs,
            })
        }))
    }

    /// The regions that it names and to which it copies nothing. The sets that are there stay, the logs are deleted.
    pub(super) fn switched_off(&self) -> Vec<Destination> {
        let on = self.destinations();
        let off = self.parts.iter().filter(|part| !part.is_on);
        gathered(off.filter_map(|part| {
            let (region, project) = part.destination.clone()?;
            let is_on = on.iter().any(|on| on.region == region);
            (!is_on).then_some(Destination {
                region,
                project,
                sets: true,
                logs: false,
            })
        }))
    }

    /// For how long sets are kept in a region, where it says so.
    pub(super) fn keeps_sets(&self, region: &str) -> Option<Duration> {
        self.retention(false, region)
    }

    fn retention(&self, is_logs: bool, region: &str) -> Option<Duration> {
        let parts = self.parts.iter();
        parts
            .filter(|part| part.is_on && part.is_about(is_logs, region))
            .filter_map(|part| part.retention)
            .max()
    }

    /// The same in the vocabulary of all vendors.
    pub(super) fn reading(&self) -> Policy {
        Policy {
            protected: Some(self.parts.iter().any(|part| part.is_on)),
            // The vendor does not tell since when, nor anything of the instance.
            since: None,
            switches: [BackupType::Full, BackupType::Log]
                .into_iter()
                .flat_map(|backup_type| self.switches(backup_type))
                .collect(),
            anomalies: self.anomalies.clone(),
            complete: self.is_whole(),
            ..Policy::default()
        }
    }

    /// The switches of one type: on in each region to which it is copied, off in each other that is named for it.
    fn switches(&self, backup_type: BackupType) -> Vec<PolicySwitch> {
        let is_logs = backup_type == BackupType::Log;
        let mut switches: Vec<PolicySwitch> = Vec::new();
        for is_on in [true, false] {
            for part in self.parts.iter().filter(|part| part.is_on == is_on) {
                let region = part.region().unwrap_or_default();
                let is_told = switches.iter().any(|told| told.backup_region == region);
                if region.is_empty() || is_told || !part.is_about(is_logs, region) {
                    continue;
                }
                switches.push(PolicySwitch {
                    scope: Scope::CrossRegion,
                    backup_region: region.to_owned(),
                    backup_type,
                    enabled: is_on,
                    retention: self.retention(is_logs, region),
                });
            }
        }
        if switches.is_empty() {
            // An instance has one destination for all that it copies.
            let named: BTreeSet<_> = self.parts.iter().filter_map(Part::region).collect();
            let only = named.first().filter(|_| named.len() == 1);
            switches.push(PolicySwitch {
                scope: Scope::CrossRegion,
                backup_region: only.map_or_else(String::new, |region| (*region).to_owned()),
                backup_type,
                enabled: false,
                retention: None,
            });
        }
        switches
    }
}

/// Each region once.
fn gathered(destinations: impl Iterator<Item = Destination>) -> Vec<Destination> {
    let mut gathered: Vec<Destination> = Vec::new();
    for destination in destinations {
        let known = gathered
            .iter_mut()
            .find(|known| known.region == destination.region);
        if let Some(known) = known {
            known.logs |= destination.logs;
            known.sets |= destination.sets;
        } else {
            gathered.push(destination);
        }
    }
    gathered
}
