//! The row of Alibaba Cloud RDS.

use std::time::Duration;

use super::Asked::{For, ToFind};
use super::{Calls, DefaultPace, Operation, Service, ServiceSpec, Together};
use crate::backup::ListingKind;
use crate::backup::ListingKind::{CrossRegion, CrossRegionLog, Local, Policy, RestoreWindow};
use crate::vendor::Vendor;

/// Lists the copies of an instance in other regions.
pub const DESCRIBE_COPIES: &str = "DescribeCrossRegionBackups";
/// Lists the backups of an instance in its own region.
pub const DESCRIBE_BACKUPS: &str = "DescribeBackups";
/// Lists the copies of log files in other regions.
pub const DESCRIBE_LOG_COPIES: &str = "DescribeCrossRegionLogBackupFiles";
/// Tells what is copied of up to thirty instances.
pub const DESCRIBE_POLICIES: &str = "DescribeCrossRegionBackupDBInstance";
/// Tells to when an instance can be restored from its own region.
pub const DESCRIBE_LOCAL_TIMES: &str = "DescribeLocalAvailableRecoveryTime";
/// Tells to when an instance can be restored from a copy.
pub const DESCRIBE_TIMES: &str = "DescribeAvailableRecoveryTime";
/// Lists the instances of a region.
pub const DESCRIBE_INSTANCES: &str = "DescribeDBInstances";

/// The row.
pub const SPEC: ServiceSpec = ServiceSpec {
    service: Service::AlibabaRds,
    vendor: Vendor::Alibaba,
    product: "rds",
    stored_as: "alibaba",
    id_prefixes: &["rm-", "pgm-"],
    listings: &ListingKind::ALL,
    together: &[(Policy, Together::UpTo(30))],
    operations: &[
        Operation {
            name: DESCRIBE_COPIES,
            right: "rds:DescribeCrossRegionBackups",
            asked: &[For(CrossRegion, Calls::Each(1))],
        },
        Operation {
            name: DESCRIBE_BACKUPS,
            right: "rds:DescribeBackups",
            asked: &[For(Local, Calls::Each(1))],
        },
        Operation {
            name: DESCRIBE_LOG_COPIES,
            right: "rds:DescribeCrossRegionLogBackupFiles",
            asked: &[For(CrossRegionLog, Calls::Each(1))],
        },
        Operation {
            name: DESCRIBE_POLICIES,
            right: "rds:DescribeCrossRegionBackupDBInstance",
            asked: &[For(Policy, Calls::Batch)],
        },
        Operation {
            name: DESCRIBE_LOCAL_TIMES,
            right: "rds:DescribeLocalAvailableRecoveryTime",
            asked: &[For(RestoreWindow, Calls::Each(1))],
        },
        Operation {
            name: DESCRIBE_TIMES,
            right: "rds:DescribeAvailableRecoveryTime",
            asked: &[For(RestoreWindow, Calls::EachListedDestination)],
        },
        Operation {
            name: DESCRIBE_INSTANCES,
            right: "rds:DescribeDBInstances",
            asked: &[ToFind {
                calls: 1,
                destinations_too: false,
            }],
        },
    ],
    // Alibaba publishes no figure for RDS. Quotas are counted per operation and account and are shared with the console and
    // with every other tool, so one request a second for each operation leaves room for them.
    pace: DefaultPace {
        spacing: Duration::from_secs(1),
        per_operation: true,
    },
};
