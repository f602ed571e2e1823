//! What is asked, how often, and what a key has to be allowed for it.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::backup::ListingKind;
use crate::config::AccountConfig;
use crate::provider::{Cost, Every, Operations, is_read, readers};
use crate::target::Target;

pub(super) const CROSS_REGION_BACKUPS: &str = "DescribeCrossRegionBackups";
pub(super) const BACKUPS: &str = "DescribeBackups";
pub(super) const CROSS_REGION_POLICY: &str = "DescribeCrossRegionBackupPolicy";
pub(super) const PLAN: &str = "DescribeBackupPlan";
pub(super) const RESTORE_WINDOW: &str = "DescribePitrTimeWindow";
pub(super) const INSTANCES: &str = "DescribeDBInstances";

/// What the vendor's permission policies call each operation.
pub(in crate::provider) const ACTIONS: [(&str, &str); 6] = [
    (CROSS_REGION_BACKUPS, "Redis:DescribeCrossRegionBackups"),
    (BACKUPS, "Redis:DescribeBackups"),
    (CROSS_REGION_POLICY, "Redis:DescribeCrossRegionBackupPolicy"),
    (PLAN, "Redis:DescribeBackupPlan"),
    (RESTORE_WINDOW, "Redis:DescribePitrTimeWindow"),
    (INSTANCES, "Redis:DescribeDBInstances"),
];

/// The operation that lists backup sets, where the listing is one of them.
pub(super) const fn of_sets(listing: ListingKind) -> Option<&'static str> {
    match listing {
        ListingKind::CrossRegion => Some(CROSS_REGION_BACKUPS),
        ListingKind::Local => Some(BACKUPS),
        ListingKind::CrossRegionLog | ListingKind::Policy | ListingKind::RestoreWindow => None,
    }
}

/// Every operation behind a listing. The vendor copies no log files, so nothing is asked about them.
const fn behind(listing: ListingKind) -> &'static [&'static str] {
    match listing {
        ListingKind::CrossRegion => &[CROSS_REGION_BACKUPS],
        ListingKind::Local => &[BACKUPS],
        ListingKind::CrossRegionLog => &[],
        ListingKind::Policy => &[CROSS_REGION_POLICY, PLAN],
        ListingKind::RestoreWindow => &[RESTORE_WINDOW],
    }
}

/// What the account's configuration asks for.
pub(in crate::provider) fn operations(account: &AccountConfig) -> Operations {
    let listings = account.provider.listings().iter();
    Operations {
        listings: listings
            .filter(|listing| is_read(account, **listing))
            .flat_map(|listing| {
                let operations = behind(*listing).iter();
                operations.map(|operation| (*listing, *operation))
            })
            .collect(),
        discovery: account.discover.iter().map(|_| INSTANCES).collect(),
    }
}

/// A region's sets are read together, everything else instance by instance.
pub(in crate::provider) fn costs(account: &AccountConfig, targets: &[Arc<Target>]) -> Vec<Cost> {
    let listings = account.provider.listings().iter();
    listings
        .flat_map(|listing| {
            let (calls, every) = match of_sets(*listing) {
                Some(_) => (regions(targets, *listing), Every::Interval),
                None => (readers(targets, *listing), Every::PolicyInterval),
            };
            behind(*listing).iter().map(move |operation| Cost {
                operation,
                calls,
                every,
            })
        })
        .filter(|cost| cost.calls > 0)
        .collect()
}

/// In each region, the instances of both editions.
pub(in crate::provider) fn discovery_costs(account: &AccountConfig) -> Vec<Cost> {
    let discover = account.discover.iter();
    discover
        .map(|discover| Cost {
            operation: INSTANCES,
            calls: count(discover.regions.len()).saturating_mul(2),
            every: Every::DiscoveryInterval,
        })
        .collect()
}

/// In how many regions this listing is read.
fn regions(targets: &[Arc<Target>], listing: ListingKind) -> u32 {
    let regions: BTreeSet<_> = targets
        .iter()
        .filter(|target| target.listings.contains(&listing))
        .map(|target| &target.key.source_region)
        .collect();
    count(regions.len())
}

fn count(things: usize) -> u32 {
    u32::try_from(things).unwrap_or(u32::MAX)
}
