//! The fields that we read of Volcengine's answers, and nothing else. Everything is optional, unknown fields are ignored.

use serde::Deserialize;

use crate::provider::json::rows;
use crate::provider::scalar::{Row, Scalar};

/// Any answer: what was asked, and what came of it.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct Envelope<T> {
    pub response_metadata: Row<Metadata>,
    pub result: Option<Row<T>>,
    /// The second shape of an error, without metadata.
    #[serde(rename = "errorcode")]
    pub error_code: Scalar,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct Metadata {
    pub request_id: Scalar,
    pub error: Row<Failure>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct Failure {
    pub code: Scalar,
}

/// One page of `DescribeCrossRegionBackups` or `DescribeBackups`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct BackupsPage {
    pub total: Scalar,
    #[serde(deserialize_with = "rows")]
    pub backups: Option<Vec<Row<BackupRow>>>,
}

/// A backup set. Only those of the cross-region listing name a target region.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct BackupRow {
    pub target_region: Scalar,
    pub backup_point_id: Scalar,
    pub backup_type: Scalar,
    pub status: Scalar,
    pub start_time: Scalar,
    pub end_time: Scalar,
    pub instance_id: Scalar,
    pub size: Scalar,
    pub instance_info: Row<InstanceInfo>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct InstanceInfo {
    pub instance_name: Scalar,
    pub engine_version: Scalar,
}

/// The answer to `DescribeCrossRegionBackupPolicy`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct CrossRegionPolicy {
    pub instance_id: Scalar,
    pub active: Switch,
    pub cross_backup_region: Scalar,
    #[serde(rename = "TTL")]
    pub ttl: Scalar,
}

/// The answer to `DescribeBackupPlan`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct Plan {
    pub instance_id: Scalar,
    pub active: Switch,
    pub backup_type: Scalar,
    #[serde(rename = "TTL")]
    pub ttl: Scalar,
}

/// The answer to `DescribePitrTimeWindow`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct TimeWindow {
    pub start_time: Scalar,
    pub end_time: Scalar,
}

/// One page of `DescribeDBInstances`. Its total has a name of its own.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct InstancesPage {
    pub total_instances_num: Scalar,
    #[serde(deserialize_with = "rows")]
    pub instances: Option<Vec<Row<InstanceRow>>>,
}

/// An instance.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct InstanceRow {
    pub instance_id: Scalar,
    pub instance_name: Scalar,
    pub instance_class: Scalar,
    pub create_time: Scalar,
    pub status: Scalar,
    pub region_id: Scalar,
    pub engine_version: Scalar,
}

/// A truth value, or what else came in its place.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum Switch {
    Truth(bool),
    Other(Scalar),
}

impl Default for Switch {
    fn default() -> Self {
        Self::Other(Scalar::Absent)
    }
}

impl Switch {
    /// Whether it is on, where that can be told. A word does as well: vendors mix their kinds.
    pub(super) fn is_on(&self) -> Option<bool> {
        match self {
            Self::Truth(truth) => Some(*truth),
            Self::Other(other) => other.text()?.parse().ok(),
        }
    }
}
