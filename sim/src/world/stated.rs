//! Backup sets that a test states row by row, in the words of the wire, so that every oddity of a
//! real answer can be had. Scheduled sets are not these: they are derived (`history`).

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Map, Value, json};

/// A row of the local listing. A field that is `None` is absent from the row; everything else is
/// sent as it stands.
#[derive(Clone, Debug)]
pub struct LocalSet {
    /// Id of the set; null lets the cloud choose one.
    pub id: Value,
    /// `Success`, `Failed`, or whatever the vendor may think of.
    pub status: Option<Value>,
    /// `FullBackup` or `IncrementalBackup`.
    pub backup_type: Option<Value>,
    /// Start of the backup, in any spelling.
    pub start: String,
    /// End of the backup, in any spelling.
    pub end: String,
    /// Size in bytes, as a number or a string.
    pub size: Value,
    /// Epoch seconds, or 0 for "not known".
    pub consistent_time: Option<Value>,
    /// `Automated` or `Manual`.
    pub mode: Option<Value>,
    /// `Physical`, `Logical` or `Snapshot`.
    pub method: Option<Value>,
    /// 1 when the set can be restored.
    pub is_available: Option<Value>,
    /// Time at which the set expires; the vendor's empty string means never.
    pub expires: Option<Value>,
    /// Instance named in the row, when it is not the instance that was asked for.
    pub instance_id: Option<String>,
    /// Further fields, which also replace those above.
    pub extra: Map<String, Value>,
    /// The row is listed from this moment on; without it at once.
    pub listed_from: Option<DateTime<Utc>>,
    /// The row is listed whatever range of time is asked for.
    pub in_every_range: bool,
}

impl Default for LocalSet {
    fn default() -> Self {
        Self {
            id: Value::Null,
            status: Some(json!("Success")),
            backup_type: Some(json!("FullBackup")),
            start: String::new(),
            end: String::new(),
            size: json!(2_167_808),
            consistent_time: Some(json!(0)),
            mode: Some(json!("Automated")),
            method: Some(json!("Physical")),
            is_available: Some(json!(1)),
            expires: None,
            instance_id: None,
            extra: Map::new(),
            listed_from: None,
            in_every_range: false,
        }
    }
}

impl LocalSet {
    /// An ordinary full set, as the vendor would list it.
    pub fn completed(start: DateTime<Utc>, end: DateTime<Utc>) -> Self {
        Self {
            start: spell(start),
            end: spell(end),
            ..Self::default()
        }
    }
}

/// A row of the cross-region listing. A field that is `None` is absent from the row; everything
/// else is sent as it stands.
#[derive(Clone, Debug)]
pub struct CrossRegionSet {
    /// Id of the set; null lets the cloud choose one.
    pub id: Value,
    /// 0 completed, 1 failed; absent in some of the vendor's own samples.
    pub status: Option<Value>,
    /// `F` or `I`.
    pub backup_type: Option<Value>,
    /// Start of the backup, in any spelling.
    pub start: String,
    /// End of the backup, in any spelling.
    pub end: String,
    /// Size in bytes, as a number or a string.
    pub size: Value,
    /// Instant the data is consistent at, as text.
    pub consistent_time: Option<Value>,
    /// `P` or `L`.
    pub method: Option<Value>,
    /// Region in which the copy is kept.
    pub region: String,
    /// Regions to restore to; null gives the usual `{"RestoreRegion": [region]}`.
    pub restore_regions: Value,
    /// Further fields, which also replace those above.
    pub extra: Map<String, Value>,
    /// The row is listed from this moment on; without it at once.
    pub listed_from: Option<DateTime<Utc>>,
    /// The row is listed whatever range of time is asked for.
    pub in_every_range: bool,
}

impl Default for CrossRegionSet {
    fn default() -> Self {
        Self {
            id: Value::Null,
            status: Some(json!(0)),
            backup_type: Some(json!("F")),
            start: String::new(),
            end: String::new(),
            size: json!(2_179_643),
            consistent_time: None,
            method: Some(json!("P")),
            region: String::new(),
            restore_regions: Value::Null,
            extra: Map::new(),
            listed_from: None,
            in_every_range: false,
        }
    }
}

impl CrossRegionSet {
    /// An ordinary full copy in `region`, as the vendor would list it, consistent at its start.
    pub fn completed(region: impl Into<String>, start: DateTime<Utc>, end: DateTime<Utc>) -> Self {
        Self {
            region: region.into(),
            start: spell(start),
            end: spell(end),
            consistent_time: Some(json!(spell(start))),
            ..Self::default()
        }
    }
}

fn spell(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Secs, true)
}
