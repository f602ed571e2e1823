//! The row of Volcengine Cache for Redis. The vendor copies no log files, so nothing is asked about them.

use std::time::Duration;

use super::Asked::{For, ToFind};
use super::{Calls, DefaultPace, Operation, Service, ServiceSpec, Together};
use crate::backup::ListingKind::{CrossRegion, Local, Policy, RestoreWindow};
use crate::vendor::Vendor;

/// Lists the copies of a region's instances in other regions.
pub const CROSS_REGION_BACKUPS: &str = "DescribeCrossRegionBackups";
/// Lists the backups of a region's instances.
pub const BACKUPS: &str = "DescribeBackups";
/// Tells whether an instance's backups are copied, and where to.
pub const CROSS_REGION_POLICY: &str = "DescribeCrossRegionBackupPolicy";
/// Tells when an instance is backed up.
pub const PLAN: &str = "DescribeBackupPlan";
/// Tells to when an instance can be restored.
pub const RESTORE_WINDOW: &str = "DescribePitrTimeWindow";
/// Lists the instances of a region.
pub const INSTANCES: &str = "DescribeDBInstances";

/// The row.
pub const SPEC: ServiceSpec = ServiceSpec {
    service: Service::VolcengineRedis,
    vendor: Vendor::Volcengine,
    product: "redis",
    stored_as: "volcengine",
    id_prefixes: &["redis-"],
    listings: &[CrossRegion, Local, Policy, RestoreWindow],
    together: &[(CrossRegion, Together::All), (Local, Together::All)],
    operations: &[
        Operation {
            name: CROSS_REGION_BACKUPS,
            right: "Redis:DescribeCrossRegionBackups",
            asked: &[For(CrossRegion, Calls::Batch)],
        },
        Operation {
            name: BACKUPS,
            right: "Redis:DescribeBackups",
            asked: &[For(Local, Calls::Batch)],
        },
        Operation {
            name: CROSS_REGION_POLICY,
            right: "Redis:DescribeCrossRegionBackupPolicy",
            asked: &[For(Policy, Calls::Each(1))],
        },
        Operation {
            name: PLAN,
            right: "Redis:DescribeBackupPlan",
            asked: &[For(Policy, Calls::Each(1))],
        },
        Operation {
            name: RESTORE_WINDOW,
            right: "Redis:DescribePitrTimeWindow",
            asked: &[For(RestoreWindow, Calls::Each(1))],
        },
        Operation {
            name: INSTANCES,
            right: "Redis:DescribeDBInstances",
            // Of each edition by itself.
            asked: &[ToFind {
                calls: 2,
                destinations_too: false,
            }],
        },
    ],
    // Volcengine publishes no figure for Redis.
    pace: DefaultPace {
        spacing: Duration::from_millis(200),
        per_operation: false,
    },
};
