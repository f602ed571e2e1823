//! What an account's listings ask for, and how often at the least. Pure.

use super::{LIST_BACKUPS, LIST_OFF_SITE_BACKUPS, LIST_PROJECTS, SHOW_OFF_SITE_POLICY};
use crate::backup::ListingKind;
use crate::config::AccountConfig;
use crate::provider::readers;

/// What the account's listings ask for. The policy is asked only where the configuration does not name the destination,
/// and IAM only where it does not name the project.
pub(in crate::provider) fn operations(account: &AccountConfig) -> Vec<(ListingKind, &'static str)> {
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
    operations
}

/// One call for each type of backup in each destination, and two for the local listing: it is asked for automated and
/// for manual sets, since a question without a type is answered with a log for every five minutes.
pub(in crate::provider) fn least_calls(account: &AccountConfig) -> Vec<(&'static str, u32)> {
    let mut off_site: u32 = 0;
    for target in &account.targets {
        let destinations = u32::try_from(target.backup_regions.len().max(1)).unwrap_or(u32::MAX);
        for listing in [ListingKind::CrossRegion, ListingKind::CrossRegionLog] {
            if target.listings.contains(&listing) {
                off_site = off_site.saturating_add(destinations);
            }
        }
    }
    let local = readers(account, ListingKind::Local).saturating_mul(2);
    [(LIST_OFF_SITE_BACKUPS, off_site), (LIST_BACKUPS, local)]
        .into_iter()
        .filter(|(_, calls)| *calls > 0)
        .collect()
}
