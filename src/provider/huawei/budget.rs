//! What an account's listings ask for, and how often at the least. Pure.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::{
    LIST_BACKUPS, LIST_INSTANCES, LIST_OFF_SITE_BACKUPS, LIST_OFF_SITE_INSTANCES,
    LIST_OFF_SITE_RESTORE_TIMES, LIST_PROJECTS, LIST_RESTORE_TIMES, SHOW_OFF_SITE_POLICY,
};
use crate::backup::ListingKind;
use crate::config::AccountConfig;
use crate::provider::{Cost, Every, Operations, is_read, readers};
use crate::target::Target;

use ListingKind::{CrossRegion, CrossRegionLog, Local, Policy, RestoreWindow};

/// What the vendor's permission policies call each operation (pages `rds_09_0005` and its neighbours, `iam_19_0001`).
/// What lies off site is asked of another project, which has to allow it too.
pub(in crate::provider) const ACTIONS: [(&str, &str); 8] = [
    (LIST_PROJECTS, "iam:projects:listProjects"),
    (LIST_BACKUPS, "rds:backup:list"),
    (LIST_INSTANCES, "rds:instance:list"),
    (LIST_OFF_SITE_BACKUPS, "rds:backup:list"),
    (LIST_OFF_SITE_INSTANCES, "rds:instance:listAll"),
    (LIST_OFF_SITE_RESTORE_TIMES, "rds:instance:getRestoreTime"),
    (LIST_RESTORE_TIMES, "rds:instance:getRestoreTime"),
    (SHOW_OFF_SITE_POLICY, "rds:instance:getBackupPolicy"),
];

/// What the account's listings ask for. For its destination a policy is asked only where the configuration does not name
/// it, the list of protected instances only where the policy may not be asked, and IAM only where the configuration does
/// not name the project.
pub(in crate::provider) fn operations(account: &AccountConfig) -> Operations {
    let mut listings = Vec::new();
    for listing in account.provider.listings().iter().copied() {
        if !is_read(account, listing) {
            continue;
        }
        let asked: &[&str] = match listing {
            CrossRegion | CrossRegionLog => &[LIST_OFF_SITE_BACKUPS],
            Local => &[LIST_BACKUPS],
            Policy => &[SHOW_OFF_SITE_POLICY],
            RestoreWindow => &[LIST_RESTORE_TIMES, LIST_OFF_SITE_RESTORE_TIMES],
        };
        let listed = || {
            let targets = account.targets.iter();
            targets.filter(move |target| target.listings.contains(&listing))
        };
        // The configuration says nothing of the destinations of instances that have yet to be found.
        let asks_policy = is_off_site(listing)
            && (account.discover.is_some() || listed().any(|target| has_no_place(target)));
        let found_in = account.discover.iter().flat_map(|found| &found.regions);
        let lacks_project = |region: &&str| !account.projects.contains_key(*region);
        // A policy may leave the project of its destination open.
        let asks_iam = asks_policy
            || listed()
                .flat_map(|target| regions(target, listing))
                .chain(found_in.map(|region| &**region))
                .any(|region| lacks_project(&region));
        listings.extend(asked.iter().map(|operation| (listing, *operation)));
        if asks_policy {
            listings.push((listing, SHOW_OFF_SITE_POLICY));
            listings.push((listing, LIST_OFF_SITE_INSTANCES));
        }
        listings.extend(asks_iam.then_some((listing, LIST_PROJECTS)));
    }
    let discovery = [LIST_INSTANCES, LIST_OFF_SITE_INSTANCES, LIST_PROJECTS];
    Operations {
        listings,
        discovery: account
            .discover
            .as_ref()
            .map_or_else(Vec::new, |_| discovery.to_vec()),
    }
}

/// One call for each type of backup in each destination, and two for the local listing: it is asked for automated and
/// for manual sets, since a question without a type is answered with a log for every five minutes.
pub(in crate::provider) fn costs(account: &AccountConfig, targets: &[Arc<Target>]) -> Vec<Cost> {
    let copies: usize = targets
        .iter()
        .map(|target| {
            let listings = [CrossRegion, CrossRegionLog];
            let read = listings.iter().filter(|kind| reads(target, **kind)).count();
            read * places(target)
        })
        .sum();
    let policies = targets.iter().filter(|target| {
        let needs_place = target.listings.iter().copied().any(is_off_site);
        reads(target, Policy) || (needs_place && has_no_place(target))
    });
    let windows: usize = targets
        .iter()
        .filter(|target| reads(target, RestoreWindow))
        .map(|target| places(target))
        .sum();
    let mut asked: BTreeSet<&str> = BTreeSet::new();
    for target in targets {
        let listings = target.listings.iter();
        asked.extend(listings.flat_map(|listing| regions(target, *listing)));
    }
    let elsewhere = looked_into(account);
    let projects = unnamed(account, asked.difference(&elsewhere));
    priced([
        (LIST_OFF_SITE_BACKUPS, copies, Every::Interval),
        (
            LIST_BACKUPS,
            2 * count(readers(targets, Local)),
            Every::Interval,
        ),
        (
            SHOW_OFF_SITE_POLICY,
            policies.count(),
            Every::PolicyInterval,
        ),
        (
            LIST_RESTORE_TIMES,
            count(readers(targets, RestoreWindow)),
            Every::PolicyInterval,
        ),
        (LIST_OFF_SITE_RESTORE_TIMES, windows, Every::PolicyInterval),
        (LIST_PROJECTS, projects, Every::Day),
    ])
}

/// What an instance costs besides as long as a former destination keeps copies of it.
pub(in crate::provider) fn former_destination_costs(account: &AccountConfig) -> Vec<Cost> {
    let once = |listing| usize::from(is_read(account, listing));
    priced([
        (LIST_OFF_SITE_BACKUPS, once(CrossRegion), Every::Interval),
        (
            LIST_OFF_SITE_RESTORE_TIMES,
            once(RestoreWindow),
            Every::PolicyInterval,
        ),
    ])
}

/// One list of instances for each region that is looked into, and one list of what is protected for each of these and for
/// each destination that the configuration names.
pub(in crate::provider) fn discovery_costs(account: &AccountConfig) -> Vec<Cost> {
    let Some(discover) = &account.discover else {
        return Vec::new();
    };
    let into: BTreeSet<_> = discover.regions.iter().collect();
    let asked = looked_into(account);
    priced([
        (LIST_INSTANCES, into.len(), Every::DiscoveryInterval),
        (
            LIST_OFF_SITE_INSTANCES,
            asked.len(),
            Every::DiscoveryInterval,
        ),
        (LIST_PROJECTS, unnamed(account, asked.iter()), Every::Day),
    ])
}

fn priced(costs: impl IntoIterator<Item = (&'static str, usize, Every)>) -> Vec<Cost> {
    let some = costs.into_iter().filter(|(_, calls, _)| *calls > 0);
    some.map(|(operation, calls, every)| Cost {
        operation,
        calls: u32::try_from(calls).unwrap_or(u32::MAX),
        every,
    })
    .collect()
}

fn count(readers: u32) -> usize {
    usize::try_from(readers).unwrap_or(usize::MAX)
}

/// The regions that discovery asks, so that their projects are paid for by it.
fn looked_into(account: &AccountConfig) -> BTreeSet<&str> {
    let Some(discover) = &account.discover else {
        return BTreeSet::new();
    };
    let targets = account.targets.iter();
    let named = targets.flat_map(|target| target.backup_regions.iter().map(String::as_str));
    let regions = discover.regions.iter().map(|region| &**region);
    regions.chain(named).collect()
}

/// How many of the regions have a project that only IAM knows.
fn unnamed<'a>(account: &AccountConfig, regions: impl Iterator<Item = &'a &'a str>) -> usize {
    let unnamed = regions.filter(|region| !account.projects.contains_key(**region));
    unnamed.count()
}

/// The regions that a listing of an instance is known to ask.
fn regions(target: &Target, listing: ListingKind) -> impl Iterator<Item = &str> {
    let is_home_asked = !matches!(listing, CrossRegion | CrossRegionLog) || has_no_place(target);
    let home = is_home_asked.then_some(&*target.key.source_region);
    let is_off_site = is_off_site(listing);
    let away = target.backup_regions.iter().filter(move |_| is_off_site);
    home.into_iter().chain(away.map(String::as_str))
}

fn reads(target: &Target, listing: ListingKind) -> bool {
    target.listings.contains(&listing)
}

/// Whether a listing asks the regions that keep copies.
fn is_off_site(listing: ListingKind) -> bool {
    matches!(listing, CrossRegion | CrossRegionLog | RestoreWindow)
}

/// Whether the configuration leaves it to the policy to name the destination.
fn has_no_place(target: &Target) -> bool {
    target.backup_regions.is_empty()
}

/// How many regions keep copies; a policy has one destination.
fn places(target: &Target) -> usize {
    target.backup_regions.len().max(1)
}
