//! The fields that we read of Huawei's answers, and nothing else. Everything is optional, unknown fields are ignored.

use serde::Deserialize;
use serde::de::{Deserializer, Error as _};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::provider::json::{self, rows};
use crate::provider::scalar::{Names, Row, Scalar};

/// One page of `offsite-backups` or `backups`. Both are answered in the same shape.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct BackupsPage {
    #[serde(deserialize_with = "rows")]
    pub backups: Option<Vec<Row<BackupRow>>>,
    pub total_count: Scalar,
}

/// A backup set.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct BackupRow {
    pub id: Scalar,
    #[serde(rename = "type")]
    pub backup_type: Scalar,
    pub size: Scalar,
    pub status: Scalar,
    pub begin_time: Scalar,
    pub end_time: Scalar,
    pub datastore: Row<Datastore>,
    pub instance_id: Scalar,
    /// Of SQL Server only.
    pub databases: Names,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Datastore {
    #[serde(rename = "type")]
    pub engine: Scalar,
    pub version: Scalar,
}

/// The answer of `offsite-policy`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct OffSitePolicy {
    pub policy_para: Option<OneOrMany>,
}

/// A list where the policy is on; a single object `{"keep_days":0}` where it is off (page `rds_09_0015` of April
/// 2024).
#[derive(Debug)]
pub(super) struct OneOrMany(pub Vec<Row<PolicyPart>>);

impl<'de> Deserialize<'de> for OneOrMany {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let policy = Box::<RawValue>::deserialize(deserializer)?;
        let many = rows(&mut serde_json::Deserializer::from_str(policy.get()));
        many.map(Option::unwrap_or_default)
            .or_else(|_| match json::read(policy.get().as_bytes())? {
                Row(Some(part)) => Ok(vec![Row(Some(part))]),
                Row(None) => Err(serde_json::Error::custom("no policy")),
            })
            .map(Self)
            .map_err(D::Error::custom)
    }
}

/// What the policy says about one type of backup.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct PolicyPart {
    pub backup_type: Scalar,
    pub keep_days: Scalar,
    pub destination_region: Scalar,
    pub destination_project_id: Scalar,
}

/// The answer of `restore-time` and `offsite-restore-time`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct RestoreTimes {
    /// `null` is an empty list here, while a missing one is none.
    #[serde(deserialize_with = "null_is_empty")]
    pub restore_time: Option<Vec<Row<RestoreTime>>>,
}

fn null_is_empty<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Vec<Row<RestoreTime>>>, D::Error> {
    rows(deserializer).map(Option::unwrap_or_default).map(Some)
}

/// A stretch of time, in milliseconds of the Unix epoch.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct RestoreTime {
    pub start_time: Scalar,
    pub end_time: Scalar,
}

/// One page of `instances`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct InstancesPage {
    #[serde(deserialize_with = "rows")]
    pub instances: Option<Vec<Row<InstanceRow>>>,
    pub total_count: Scalar,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct InstanceRow {
    pub id: Scalar,
    pub created: Scalar,
    pub name: Scalar,
    pub status: Scalar,
    #[serde(rename = "type")]
    pub kind: Scalar,
    pub datastore: Row<Datastore>,
}

/// One page of `offsite-backup-instance`. The schema has the list under one name and the example under the other.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct OffSiteInstancesPage {
    #[serde(deserialize_with = "rows")]
    pub offsite_backup_instances: Option<Vec<Row<OffSiteInstanceRow>>>,
    #[serde(deserialize_with = "rows")]
    pub offsite_backup_instance: Option<Vec<Row<OffSiteInstanceRow>>>,
    pub total_count: Scalar,
}

/// An instance that has copies in another region.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct OffSiteInstanceRow {
    pub id: Scalar,
    pub source_region: Scalar,
    pub source_project_id: Scalar,
    pub destination_region: Scalar,
    pub destination_project_id: Scalar,
    pub keep_days: Scalar,
}

/// The answer of IAM to the question for projects.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Projects {
    #[serde(deserialize_with = "rows")]
    pub projects: Option<Vec<Row<Project>>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Project {
    pub id: Scalar,
    pub name: Scalar,
    pub enabled: Value,
}

/// The body of an error, in every shape that RDS, the gateway and IAM use.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct ErrorEnvelope {
    #[serde(alias = "errCode", alias = "errorCode", alias = "code")]
    pub error_code: Scalar,
    pub request_id: Scalar,
    pub error: Row<NestedError>,
}

/// Keystone's shape, whose code is a number.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct NestedError {
    #[serde(alias = "error_code")]
    pub code: Scalar,
}
