//! The fields that we read of Alibaba's answers, and nothing else.
//!
//! Everything is optional, unknown fields are ignored, and the download links (`CrossBackupDownloadLink`,
//! `CrossDownloadLink`, `BackupDownloadURL`), which carry a signature, are not even declared.

use serde::Deserialize;

use crate::provider::json::rows;
use crate::provider::scalar::{Names, Row, Scalar};

/// One page of `DescribeCrossRegionBackups`, or an error in its place.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct CrossRegionPage {
    pub total_record_count: Scalar,
    pub items: Row<CrossRegionItems>,
}

#[derive(Debug, Deserialize)]
pub(super) struct CrossRegionItems {
    #[serde(rename = "Item", default, deserialize_with = "rows")]
    pub rows: Option<Vec<Row<CrossRegionRow>>>,
}

/// A set in another region. The row does not say whose it is: `InstanceId` is the number of a host.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct CrossRegionRow {
    pub backup_end_time: Scalar,
    pub backup_set_scale: Scalar,
    pub backup_set_status: Scalar,
    pub backup_start_time: Scalar,
    pub backup_type: Scalar,
    pub consistent_time: Scalar,
    pub cross_backup_id: Scalar,
    pub cross_backup_region: Scalar,
    pub cross_backup_set_file: Scalar,
    pub cross_backup_set_size: Scalar,
    pub engine: Scalar,
    pub engine_version: Scalar,
    pub restore_regions: Names,
}

/// One page of `DescribeBackups`, or an error in its place.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct LocalPage {
    pub total_record_count: Scalar,
    pub items: Row<LocalItems>,
}

#[derive(Debug, Deserialize)]
pub(super) struct LocalItems {
    #[serde(rename = "Backup", default, deserialize_with = "rows")]
    pub rows: Option<Vec<Row<LocalRow>>>,
}

/// A set in the instance's own region.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct LocalRow {
    pub backup_end_time: Scalar,
    pub backup_id: Scalar,
    pub backup_scale: Scalar,
    pub backup_size: Scalar,
    pub backup_start_time: Scalar,
    pub backup_status: Scalar,
    pub backup_type: Scalar,
    pub consistent_time: Scalar,
    #[serde(rename = "DBInstanceId")]
    pub db_instance_id: Scalar,
    pub engine: Scalar,
    pub engine_version: Scalar,
    pub expect_expire_time: Scalar,
    pub is_avail: Scalar,
}

/// One page of `DescribeCrossRegionLogBackupFiles`, or an error in its place.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct LogPage {
    pub total_record_count: Scalar,
    pub items: Row<LogItems>,
}

#[derive(Debug, Deserialize)]
pub(super) struct LogItems {
    #[serde(rename = "Item", default, deserialize_with = "rows")]
    pub rows: Option<Vec<Row<LogRow>>>,
}

/// A log file in another region. There is no status, and in the sample of 2019 neither an id nor a name.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct LogRow {
    pub cross_backup_region: Scalar,
    pub cross_log_backup_id: Scalar,
    pub cross_log_backup_size: Scalar,
    pub instance_id: Scalar,
    pub log_begin_time: Scalar,
    pub log_end_time: Scalar,
    pub log_file_name: Scalar,
}

/// One page of `DescribeCrossRegionBackupDBInstance`, or an error in its place. It counts its items under another name.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct PoliciesPage {
    pub total_records: Scalar,
    pub items: Row<PolicyItems>,
}

#[derive(Debug, Deserialize)]
pub(super) struct PolicyItems {
    #[serde(rename = "Item", default, deserialize_with = "rows")]
    pub rows: Option<Vec<Row<PolicyRow>>>,
}

/// What one instance copies to one region.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct PolicyRow {
    pub backup_enabled: Scalar,
    pub backup_enabled_time: Scalar,
    pub cross_backup_region: Scalar,
    #[serde(rename = "DBInstanceDescription")]
    pub db_instance_description: Scalar,
    #[serde(rename = "DBInstanceId")]
    pub db_instance_id: Scalar,
    pub engine: Scalar,
    pub engine_version: Scalar,
    pub log_backup_enabled: Scalar,
    pub retention: Scalar,
}

/// The answer of `DescribeAvailableRecoveryTime` and of `DescribeLocalAvailableRecoveryTime`, or an error in its place.
/// The id of the set is 0 in the vendor's sample, and not read.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct RecoveryTimes {
    #[serde(alias = "code")]
    pub code: Scalar,
    #[serde(rename = "DBInstanceId")]
    pub db_instance_id: Scalar,
    pub recovery_begin_time: Scalar,
    pub recovery_end_time: Scalar,
    pub request_id: Scalar,
}

/// One page of `DescribeDBInstances`, or an error in its place.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct InstancesPage {
    pub total_record_count: Scalar,
    pub items: Row<InstanceItems>,
}

#[derive(Debug, Deserialize)]
pub(super) struct InstanceItems {
    #[serde(rename = "DBInstance", default, deserialize_with = "rows")]
    pub rows: Option<Vec<Row<InstanceRow>>>,
}

/// An instance.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct InstanceRow {
    pub create_time: Scalar,
    #[serde(rename = "DBInstanceDescription")]
    pub db_instance_description: Scalar,
    #[serde(rename = "DBInstanceId")]
    pub db_instance_id: Scalar,
    #[serde(rename = "DBInstanceStatus")]
    pub db_instance_status: Scalar,
    #[serde(rename = "DBInstanceType")]
    pub db_instance_type: Scalar,
    pub engine: Scalar,
    pub engine_version: Scalar,
    pub lock_mode: Scalar,
}

/// The body of an error. The SDKs accept both spellings of the keys.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct ErrorEnvelope {
    #[serde(alias = "code")]
    pub code: Scalar,
    #[serde(alias = "requestId")]
    pub request_id: Scalar,
    pub access_denied_detail: Row<AccessDeniedDetail>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct AccessDeniedDetail {
    pub auth_action: Scalar,
}
