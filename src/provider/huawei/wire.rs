//! The fields that we read of Huawei's answers, and nothing else. Everything is optional, unknown fields are ignored.

use serde::Deserialize;
use serde::de::Deserializer;
use serde_json::Value;

use crate::provider::scalar::{Row, Scalar};

/// One page of `offsite-backups` or `backups`. Both are answered in the same shape.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct BackupsPage {
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
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Shape {
            Many(Vec<Row<PolicyPart>>),
            One(PolicyPart),
        }
        Ok(Self(match Shape::deserialize(deserializer)? {
            Shape::Many(parts) => parts,
            Shape::One(part) => vec![Row(Some(part))],
        }))
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

/// The answer of IAM to the question for projects.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Projects {
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
