//! The row of Huawei Cloud RDS. What lies off site is asked of another project, which has to allow it too.

use std::time::Duration;

use super::Asked::{For, ForProjects, ToFind};
use super::{Calls, DefaultPace, Operation, Service, ServiceSpec};
use crate::backup::ListingKind;
use crate::backup::ListingKind::{CrossRegion, CrossRegionLog, Local, Policy, RestoreWindow};
use crate::vendor::Vendor;

/// Lists the backups of an instance in its own region.
pub const LIST_BACKUPS: &str = "ListBackups";
/// Lists the instances of a region.
pub const LIST_INSTANCES: &str = "ListInstances";
/// Lists what a region keeps of an instance of another one.
pub const LIST_OFF_SITE_BACKUPS: &str = "ListOffSiteBackups";
/// Lists the instances of which backups are copied.
pub const LIST_OFF_SITE_INSTANCES: &str = "ListOffSiteInstances";
/// Tells to when an instance can be restored from a copy.
pub const LIST_OFF_SITE_RESTORE_TIMES: &str = "ListOffSiteRestoreTimes";
/// Lists the projects of a region; asked of IAM.
pub const LIST_PROJECTS: &str = "KeystoneListProjects";
/// Tells to when an instance can be restored from its own region.
pub const LIST_RESTORE_TIMES: &str = "ListRestoreTimes";
/// Tells what is copied of an instance, and where to.
pub const SHOW_OFF_SITE_POLICY: &str = "ShowOffSiteBackupPolicy";

/// The row. The rights are those of the pages `rds_09_0005` and its neighbours, and `iam_19_0001`.
pub const SPEC: ServiceSpec = ServiceSpec {
    service: Service::HuaweiRds,
    vendor: Vendor::Huawei,
    product: "rds",
    stored_as: "huawei",
    // Ids are 32 hexadecimal digits, `in` and a number.
    id_prefixes: &[],
    listings: &ListingKind::ALL,
    together: &[],
    operations: &[
        Operation {
            name: LIST_OFF_SITE_BACKUPS,
            right: "rds:backup:list",
            asked: &[
                For(CrossRegion, Calls::EachDestination { former_too: true }),
                For(CrossRegionLog, Calls::EachDestination { former_too: false }),
            ],
        },
        Operation {
            name: LIST_BACKUPS,
            right: "rds:backup:list",
            // For automated and for manual sets: a question without a type is answered with a log for every five minutes.
            asked: &[For(Local, Calls::Each(2))],
        },
        Operation {
            name: LIST_RESTORE_TIMES,
            right: "rds:instance:getRestoreTime",
            asked: &[For(RestoreWindow, Calls::Each(1))],
        },
        Operation {
            name: LIST_OFF_SITE_RESTORE_TIMES,
            right: "rds:instance:getRestoreTime",
            asked: &[For(
                RestoreWindow,
                Calls::EachDestination { former_too: true },
            )],
        },
        Operation {
            name: LIST_INSTANCES,
            right: "rds:instance:list",
            asked: &[ToFind {
                calls: 1,
                destinations_too: false,
            }],
        },
        Operation {
            name: SHOW_OFF_SITE_POLICY,
            right: "rds:instance:getBackupPolicy",
            asked: &[
                For(Policy, Calls::Each(1)),
                For(CrossRegion, Calls::UnknownDestination),
                For(CrossRegionLog, Calls::UnknownDestination),
                For(RestoreWindow, Calls::UnknownDestination),
            ],
        },
        Operation {
            name: LIST_OFF_SITE_INSTANCES,
            right: "rds:instance:listAll",
            asked: &[
                For(CrossRegion, Calls::Fallback),
                For(CrossRegionLog, Calls::Fallback),
                For(RestoreWindow, Calls::Fallback),
                ToFind {
                    calls: 1,
                    destinations_too: true,
                },
            ],
        },
        Operation {
            name: LIST_PROJECTS,
            right: "iam:projects:listProjects",
            asked: &[ForProjects],
        },
    ],
    // Huawei allows a user 60 calls a minute over all operations, and locks nobody out for asking 50.
    pace: DefaultPace {
        spacing: Duration::from_millis(1200),
        per_operation: false,
    },
};
