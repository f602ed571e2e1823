//! What an account asks for, how often at the least, and what its key has to be allowed. Pure.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::backup::ListingKind;
use crate::config::AccountConfig;
use crate::provider::{Cost, Every, Operations, is_read, readers};
use crate::target::Target;
use crate::vendor::{Together, Vendor};

pub(super) const DESCRIBE_COPIES: &str = "DescribeCrossRegionBackups";
pub(super) const DESCRIBE_BACKUPS: &str = "DescribeBackups";
pub(super) const DESCRIBE_LOG_COPIES: &str = "DescribeCrossRegionLogBackupFiles";
pub(super) const DESCRIBE_POLICIES: &str = "DescribeCrossRegionBackupDBInstance";
pub(super) const DESCRIBE_LOCAL_TIMES: &str = "DescribeLocalAvailableRecoveryTime";
pub(super) const DESCRIBE_TIMES: &str = "DescribeAvailableRecoveryTime";
pub(super) const DESCRIBE_INSTANCES: &str = "DescribeDBInstances";

/// What the vendor's permission policies call each operation.
pub(in crate::provider) const ACTIONS: [(&str, &str); 7] = [
    (DESCRIBE_COPIES, "rds:DescribeCrossRegionBackups"),
    (DESCRIBE_BACKUPS, "rds:DescribeBackups"),
    (DESCRIBE_LOG_COPIES, "rds:DescribeCrossRegionLogBackupFiles"),
    (DESCRIBE_POLICIES, "rds:DescribeCrossRegionBackupDBInstance"),
    (
        DESCRIBE_LOCAL_TIMES,
        "rds:DescribeLocalAvailableRecoveryTime",
    ),
    (DESCRIBE_TIMES, "rds:DescribeAvailableRecoveryTime"),
    (DESCRIBE_INSTANCES, "rds:DescribeDBInstances"),
];

/// The operation that a listing always takes.
const fn operation(listing: ListingKind) -> &'static str {
    match listing {
        ListingKind::CrossRegion => DESCRIBE_COPIES,
        ListingKind::Local => DESCRIBE_BACKUPS,
        ListingKind::CrossRegionLog => DESCRIBE_LOG_COPIES,
        ListingKind::Policy => DESCRIBE_POLICIES,
        ListingKind::RestoreWindow => DESCRIBE_LOCAL_TIMES,
    }
}

/// What the account's configuration asks for.
pub(in crate::provider) fn operations(account: &AccountConfig) -> Operations {
    let listings = account.provider.listings().iter();
    let mut listings: Vec<_> = listings
        .filter(|listing| is_read(account, **listing))
        .map(|listing| (*listing, operation(*listing)))
        .collect();
    let found = account.discover.as_ref();
    let of_found = found.is_some_and(|discover| {
        let kinds = [ListingKind::CrossRegion, ListingKind::RestoreWindow];
        kinds.iter().all(|kind| discover.listings.contains(kind))
    });
    if of_found || account.targets.iter().any(|target| asks_of_copies(target)) {
        listings.push((ListingKind::RestoreWindow, DESCRIBE_TIMES));
    }
    let discovery = account.discover.iter();
    Operations {
        listings,
        discovery: discovery.map(|_| DESCRIBE_INSTANCES).collect(),
    }
}

/// Whether it is asked to when its copies can be restored. Only their listing tells which they are.
fn asks_of_copies(target: &Target) -> bool {
    let is_read = |listing| target.listings.contains(&listing);
    is_read(ListingKind::RestoreWindow) && is_read(ListingKind::CrossRegion)
}

/// One call for each listing of each instance, but one for all policies of up to thirty instances of a region, and one
/// for the restore window of each region that keeps copies. An instance for which no such region is named counts as if
/// it had one.
pub(in crate::provider) fn costs(_account: &AccountConfig, targets: &[Arc<Target>]) -> Vec<Cost> {
    let often = [
        ListingKind::CrossRegion,
        ListingKind::Local,
        ListingKind::CrossRegionLog,
    ]
    .map(|listing| Cost {
        operation: operation(listing),
        calls: readers(targets, listing),
        every: Every::Interval,
    });
    let copies = targets.iter().filter(|target| asks_of_copies(target));
    let copies = copies.map(|target| target.backup_regions.len().max(1));
    let seldom = [
        (DESCRIBE_POLICIES, policy_calls(targets)),
        (
            DESCRIBE_LOCAL_TIMES,
            readers(targets, ListingKind::RestoreWindow),
        ),
        (DESCRIBE_TIMES, whole(copies.sum())),
    ]
    .map(|(operation, calls)| Cost {
        operation,
        calls,
        every: Every::PolicyInterval,
    });
    let all = often.into_iter().chain(seldom);
    all.filter(|cost| cost.calls > 0).collect()
}

fn policy_calls(targets: &[Arc<Target>]) -> u32 {
    let most = match Vendor::Alibaba.together(ListingKind::Policy) {
        Together::None => 1,
        Together::UpTo(most) => most,
        Together::All => usize::MAX,
    };
    let mut regions: BTreeMap<&str, usize> = BTreeMap::new();
    let read = targets
        .iter()
        .filter(|target| target.listings.contains(&ListingKind::Policy));
    for target in read {
        *regions.entry(&target.key.source_region).or_default() += 1;
    }
    whole(regions.values().map(|count| count.div_ceil(most)).sum())
}

/// One call for each region.
pub(in crate::provider) fn discovery_costs(account: &AccountConfig) -> Vec<Cost> {
    let discover = account.discover.iter();
    let costs = discover.map(|discover| Cost {
        operation: DESCRIBE_INSTANCES,
        calls: whole(discover.regions.len()),
        every: Every::DiscoveryInterval,
    });
    costs.collect()
}

fn whole(calls: usize) -> u32 {
    u32::try_from(calls).unwrap_or(u32::MAX)
}
