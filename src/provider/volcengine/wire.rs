//! The fields that we read of Volcengine's answers, and nothing else. Everything is optional, unknown fields are ignored.

use serde::Deserialize;

use crate::provider::scalar::{Row, Scalar};

/// Any answer: what was asked, and what came of it.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct Envelope {
    pub response_metadata: Row<Metadata>,
    pub result: Option<Row<BackupsPage>>,
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
