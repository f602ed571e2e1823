//! What an account's listings ask for, and how often at the least. Pure.

use super::{LIST_BACKUPS, LIST_OFF_SITE_BACKUPS, LIST_PROJECTS, SHOW_OFF_SITE_POLICY};
use crate::backup::ListingKind;
use crate::config::AccountConfig;
use std::sync::Arc;

use crate::provider::{Cost, Operations};
use crate::target::Target;

/// What the account's listings ask for. The policy is asked only where the configuration does not name the destination,
/// and IAM only where it does not name the project.
pub(in crate::provider) fn operations(account: &AccountConfig) -> Operations {
    let mut operations = Vec::new();
    for listing in account.provider.listings() {
        let listed = || {
            let targets = account.targets.iter();
            targets.filter(|target| target.listings.contains(listing))
        };
        if listed().next().is_none() {
            continue;
        }
        let is_local = *listing == ListingKind::Local;
        let has_project = |region: &str| account.projects.contains_key(region);
        let asks_policy = !is_local && listed().any(|target| target.backup_regions.is_empty());
        // A policy may leave the project of its destination open.
        let asks_iam = asks_policy
            || listed().any(|target| {
                let regions = target.backup_regions.iter();
                let home_is_asked = is_local || target.backup_regions.is_empty();
                (home_is_asked && !has_project(&target.key.source_region))
                    || (!is_local && regions.into_iter().any(|region| !has_project(region)))
            });
        operations.push((
            *listing,
            if is_local {
                LIST_BACKUPS
            } else {
                LIST_OFF_SITE_BACKUPS
            },
        ));
        operations.extend(asks_policy.then_some((*listing, SHOW_OFF_SITE_POLICY)));
        operations.extend(asks_iam.then_some((*listing, LIST_PROJECTS)));
    }
    Operations {
        listings: operations,
        discovery: Vec::new(),
    }
}

/// What the vendor's permission policies call each operation.
pub(in crate::provider) const ACTIONS: [(&str, &str); 0] = [];

/// One call for each type of backup in each destination, and two for the local listing: it is asked for automated and
/// for manual sets, since a question without a type is answered with a log for every five minutes.
pub(in crate::provider) fn costs(_account: &AccountConfig, _targets: &[Arc<Target>]) -> Vec<Cost> {
    Vec::new()
}

/// Nothing yet.
pub(in crate::provider) fn discovery_costs(_account: &AccountConfig) -> Vec<Cost> {
    Vec::new()
}
