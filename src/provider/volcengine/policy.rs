//! What the vendor was told to back up and to copy. Pure.

use std::time::Duration;

use super::wire::{CrossRegionPolicy, Plan, Switch};
use crate::backup::{Anomaly, BackupType, Policy, PolicySwitch, Scope};
use crate::provider::scalar::{Scalar, Unreadable};
use crate::target::Target;

const A_DAY: u64 = 24 * 3600;

/// The policy of an instance out of its two halves; `None` stands for one that the vendor does not have for it.
pub(super) fn policy(
    target: &Target,
    copies: Option<&CrossRegionPolicy>,
    plan: Option<&Plan>,
) -> Policy {
    let mut policy = Policy {
        complete: true,
        ..Policy::default()
    };
    policy.protected = match copies {
        Some(copies) => take(
            &mut policy,
            target,
            &Half {
                scope: Scope::CrossRegion,
                backup_region: copies.cross_backup_region.text().unwrap_or_default(),
                owner: &copies.instance_id,
                active: &copies.active,
                days: &copies.ttl,
            },
        ),
        None => Some(false),
    };
    // The page knows no other type. Should there be one, it would make no full backups.
    let is_full = |plan: &Plan| plan.backup_type.text().is_none_or(|kind| kind == "Full");
    match plan {
        Some(plan) if is_full(plan) => {
            take(
                &mut policy,
                target,
                &Half {
                    scope: Scope::Local,
                    backup_region: target.key.source_region.to_string(),
                    owner: &plan.instance_id,
                    active: &plan.active,
                    days: &plan.ttl,
                },
            );
        }
        Some(_) => policy.anomalies.push(Anomaly::UnknownStatus),
        None => {}
    }
    policy
}

/// One of the two answers that make up a policy.
struct Half<'a> {
    scope: Scope,
    backup_region: String,
    owner: &'a Scalar,
    active: &'a Switch,
    days: &'a Scalar,
}

/// Takes one half, and tells whether its switch is on, where that can be read.
fn take(policy: &mut Policy, target: &Target, half: &Half<'_>) -> Option<bool> {
    let owner = half.owner.text();
    if owner.is_some_and(|id| id != *target.key.instance_id) {
        policy.anomalies.push(Anomaly::ForeignInstance);
        return None;
    }
    let Some(enabled) = half.active.is_on() else {
        policy.anomalies.push(Anomaly::UnknownStatus);
        return None;
    };
    let retention = retention(half.days).unwrap_or_else(|Unreadable| {
        policy.anomalies.push(Anomaly::BadTime);
        None
    });
    policy.switches.push(PolicySwitch {
        scope: half.scope,
        backup_region: half.backup_region.clone(),
        backup_type: BackupType::Full,
        enabled,
        retention,
    });
    Some(enabled)
}

/// Nothing is kept for no days at all: a 0 says nothing.
fn retention(days: &Scalar) -> Result<Option<Duration>, Unreadable> {
    let Some(days) = days.count()?.filter(|days| *days > 0) else {
        return Ok(None);
    };
    let seconds = days.checked_mul(A_DAY).ok_or(Unreadable)?;
    Ok(Some(Duration::from_secs(seconds)))
}
