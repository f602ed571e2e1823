//! What an answer says, read once more and plainly, with nothing of the exporter's decoders. It knows only the shapes that
//! the simulated clouds send.

use chrono::{DateTime, Duration, Utc};
use serde_json::Value;
use sim::Vendor;

use crate::backup::ListingKind;

pub(super) type Time = DateTime<Utc>;

/// Times that lie further ahead of the exporter's clock are not believed.
const AHEAD: Duration = Duration::minutes(5);

/// Data that is consistent later than this after its end is not believed to be.
const LATE: Duration = Duration::minutes(10);

/// A backup set or a log file.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Set {
    pub(super) scope: &'static str,
    pub(super) region: String,
    pub(super) backup_type: &'static str,
    pub(super) status: &'static str,
    pub(super) start: Option<Time>,
    pub(super) end: Option<Time>,
    pub(super) size: Option<u64>,
    pub(super) point: Option<Time>,
    pub(super) restore_to: Vec<String>,
    pub(super) covers_until: Option<Time>,
}

impl Set {
    pub(super) fn finished(&self) -> Option<Time> {
        self.end.or(self.start)
    }

    /// Nothing is wrong with it by itself.
    pub(super) fn is_sound(&self) -> bool {
        self.status == "completed" && self.finished().is_some()
    }

    pub(super) fn dated(&self) -> Option<Time> {
        self.start.or(self.end)
    }

    /// Whether one could restore from it, beside these others: what is incremental needs a full one before it.
    pub(super) fn is_usable_among<'a>(&self, all: impl IntoIterator<Item = &'a Self>) -> bool {
        let is_base = |base: &Self| {
            base.backup_type == "full"
                && base.is_sound()
                && (base.scope, &base.region) == (self.scope, &self.region)
                && base.dated().is_some()
                && base.dated() < self.dated()
        };
        self.is_sound()
            && match self.backup_type {
                "incremental" => all.into_iter().any(is_base),
                "partial" => false,
                _ => true,
            }
    }
}

/// What the rows of a listing come to.
#[derive(Debug, Clone, Default)]
#[expect(clippy::struct_field_names, reason = "they are its rows")]
pub(super) struct Rows {
    pub(super) rows: Vec<Value>,
    /// Whether there are as many as the vendor counts, and no page came twice.
    pub(super) complete: bool,
    /// Whether the vendor counts them at all.
    pub(super) is_counted: bool,
}

fn count(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str()?.parse().ok())
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

fn time(value: &Value) -> Option<Time> {
    time_in(value.as_str()?)
}

/// A time in any of the spellings that are asked for or answered.
pub(super) fn time_in(text: &str) -> Option<Time> {
    let with_offset = DateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%z");
    let minutes = || text.strip_suffix('Z').map(|start| format!("{start}:00Z"));
    with_offset
        .ok()
        .map(|time| time.to_utc())
        .or_else(|| text.parse().ok())
        .or_else(|| minutes()?.parse().ok())
}

/// The pages of one answer as one list, each row once.
pub(super) fn rows(vendor: Vendor, pages: &[Value]) -> Rows {
    let mut all = Rows {
        complete: true,
        ..Rows::default()
    };
    let mut seen = Vec::new();
    let (mut read, mut total) = (0, None);
    for page in pages {
        let (list, stated) = list(vendor, page);
        read += list.len() as u64;
        total = stated.or(total);
        let mut new = 0;
        for row in &list {
            let identity = identity(vendor, row);
            if identity.is_some() && seen.contains(&identity) {
                continue;
            }
            seen.push(identity);
            new += 1;
            all.rows.push(row.clone());
        }
        all.complete &= list.is_empty() || new > 0;
    }
    all.complete &= total.is_none_or(|total| total == read);
    all.is_counted = total.is_some();
    all
}

fn list(vendor: Vendor, page: &Value) -> (Vec<Value>, Option<u64>) {
    let of = |holder: &Value, names: &[&str], totals: &[&str]| {
        let list = names
            .iter()
            .find_map(|name| holder[*name].as_array().cloned());
        let total = totals.iter().find_map(|total| count(&holder[*total]));
        (list.unwrap_or_default(), total)
    };
    match vendor {
        Vendor::Alibaba => {
            let (list, _) = of(&page["Items"], &["Item", "Backup", "DBInstance"], &[]);
            let (_, total) = of(page, &[], &["TotalRecordCount", "TotalRecords"]);
            (list, total)
        }
        Vendor::Huawei => of(page, &["backups", "instances"], &["total_count"]),
        Vendor::Volcengine => of(
            &page["Result"],
            &["Backups", "Instances"],
            &["Total", "TotalInstancesNum"],
        ),
    }
}

fn identity(vendor: Vendor, row: &Value) -> Option<String> {
    let fields: &[&str] = match vendor {
        Vendor::Alibaba => &[
            "CrossBackupId",
            "BackupId",
            "CrossLogBackupId",
            "LogFileName",
            "LogBeginTime",
            "DBInstanceId",
            "CrossBackupRegion",
        ],
        Vendor::Huawei => &["id"],
        Vendor::Volcengine => &["BackupPointId", "TargetRegion", "InstanceId"],
    };
    let found: Vec<_> = fields.iter().map(|field| text(&row[*field])).collect();
    found
        .iter()
        .any(Option::is_some)
        .then(|| format!("{found:?}"))
}

/// Whose row it is, where it says so.
pub(super) fn owner(vendor: Vendor, row: &Value) -> Option<String> {
    text(
        &row[match vendor {
            Vendor::Alibaba => "DBInstanceId",
            Vendor::Huawei => "instance_id",
            Vendor::Volcengine => "InstanceId",
        }],
    )
}

/// The set that a row stands for, unless it is no copy at all; `home` is the instance's region, `keeper` the region that
/// was asked, `now` what the exporter's clock shows.
pub(super) fn set(
    vendor: Vendor,
    kind: ListingKind,
    row: &Value,
    (home, keeper): (&str, &str),
    now: Time,
) -> Option<Set> {
    let mut set = match vendor {
        Vendor::Alibaba => alibaba_set(kind, row, keeper),
        Vendor::Huawei => huawei_set(kind, row, keeper),
        Vendor::Volcengine => volcengine_set(kind, row, keeper),
    };
    let is_ahead = |time: Option<Time>| time.is_some_and(|time| time > now + AHEAD);
    if is_ahead(set.start) || is_ahead(set.end) {
        set.status = "unknown";
    }
    if is_ahead(set.point) {
        set.point = if set.backup_type == "log" && vendor == Vendor::Alibaba {
            None
        } else {
            set.start
        };
        if set.backup_type == "log" && vendor == Vendor::Alibaba {
            set.covers_until = None;
        }
    }
    if set.backup_type != "log" {
        // Nothing holds what was written after its end, and what holds nothing is no success.
        let is_late = |end: Time| set.point.is_some_and(|point| point - end > LATE);
        if set.end.is_some_and(is_late) {
            set.point = set.start;
        }
        if set.status == "completed" && set.size == Some(0) {
            set.status = "unknown";
        }
    }
    (set.scope == "local" || set.region != home).then_some(set)
}

fn scope_of(kind: ListingKind) -> &'static str {
    if kind == ListingKind::Local {
        "local"
    } else {
        "cross_region"
    }
}

fn alibaba_set(kind: ListingKind, row: &Value, keeper: &str) -> Set {
    if kind == ListingKind::CrossRegionLog {
        let end = time(&row["LogEndTime"]);
        return Set {
            scope: "cross_region",
            region: text(&row["CrossBackupRegion"]).unwrap_or_default(),
            backup_type: "log",
            status: if end.is_some() {
                "completed"
            } else {
                "unknown"
            },
            start: time(&row["LogBeginTime"]),
            end,
            size: count(&row["CrossLogBackupSize"]),
            point: end,
            restore_to: Vec::new(),
            covers_until: end,
        };
    }
    let is_local = kind == ListingKind::Local;
    let scale = text(
        &row[if is_local {
            "BackupScale"
        } else {
            "BackupSetScale"
        }],
    );
    let backup_type = match (scale.as_deref(), row["BackupType"].as_str()) {
        (Some("1" | "DataBase" | "DBTable"), _) => "partial",
        (_, Some("I" | "IncrementalBackup")) => "incremental",
        _ => "full",
    };
    let (start, end) = (time(&row["BackupStartTime"]), time(&row["BackupEndTime"]));
    let status = if is_local {
        match row["BackupStatus"].as_str() {
            Some("Success") if count(&row["IsAvail"]) != Some(0) => "completed",
            Some("Failed") => "failed",
            _ => "unknown",
        }
    } else {
        match count(&row["BackupSetStatus"]) {
            Some(0) | None => "completed",
            Some(1) => "failed",
            Some(_) => "unknown",
        }
    };
    let consistent = time(&row["ConsistentTime"]).or_else(|| {
        let seconds = row["ConsistentTime"]
            .as_i64()
            .filter(|seconds| *seconds > 0)?;
        DateTime::from_timestamp(seconds, 0)
    });
    let restore_to = row["RestoreRegions"]["RestoreRegion"].as_array();
    Set {
        scope: scope_of(kind),
        region: if is_local {
            keeper.to_owned()
        } else {
            text(&row["CrossBackupRegion"]).unwrap_or_default()
        },
        backup_type,
        status,
        start,
        end,
        size: count(
            &row[if is_local {
                "BackupSize"
            } else {
                "CrossBackupSetSize"
            }],
        ),
        point: consistent.or(start),
        restore_to: restore_to.into_iter().flatten().filter_map(text).collect(),
        covers_until: None,
    }
}

fn huawei_set(kind: ListingKind, row: &Value, keeper: &str) -> Set {
    let backup_type = match row["type"].as_str() {
        Some("incremental") => "log",
        Some("fragment") => "incremental",
        Some("manual") if row["databases"][0].is_object() => "partial",
        _ => "full",
    };
    let (start, end) = (time(&row["begin_time"]), time(&row["end_time"]));
    Set {
        scope: scope_of(kind),
        region: keeper.to_owned(),
        backup_type,
        status: match row["status"].as_str() {
            Some("COMPLETED") => "completed",
            Some("FAILED") => "failed",
            Some("BUILDING") => "running",
            Some("DELETING") => "deleting",
            _ => "unknown",
        },
        start,
        end,
        size: count(&row["size"]).map(|kilobytes| kilobytes * 1024),
        point: if backup_type == "log" {
            end.or(start)
        } else {
            start
        },
        restore_to: Vec::new(),
        covers_until: None,
    }
}

/// Each log of Huawei's holds what was written until the next one begins: five minutes, or what lies between the closest two.
pub(super) fn cover_huawei_logs(sets: &mut [Set]) {
    let mut begins: Vec<Time> = sets.iter().filter_map(|set| set.start).collect();
    begins.sort_unstable();
    begins.dedup();
    let mut step = Duration::minutes(5);
    if begins.len() >= 3 {
        let closest = begins.windows(2).map(|pair| pair[1] - pair[0]).min();
        step = step.max(closest.unwrap());
    }
    for set in sets {
        set.covers_until = set
            .start
            .map(|start| (start + step).max(set.end.unwrap_or(start)));
    }
}

fn volcengine_set(kind: ListingKind, row: &Value, keeper: &str) -> Set {
    let (start, end) = (time(&row["StartTime"]), time(&row["EndTime"]));
    let named = text(&row["TargetRegion"]).filter(|_| kind != ListingKind::Local);
    Set {
        scope: scope_of(kind),
        region: named.unwrap_or_else(|| keeper.to_owned()),
        backup_type: "full",
        status: match row["Status"].as_str() {
            Some("Available") => "completed",
            Some("Unavailable") => "failed",
            Some("Creating") => "running",
            Some("Deleting") => "deleting",
            _ => "unknown",
        },
        start,
        end,
        size: count(&row["Size"]),
        point: start,
        restore_to: Vec::new(),
        covers_until: None,
    }
}

/// What an instance is, as far as a row says.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Described {
    pub(super) name: Option<String>,
    pub(super) engine: Option<String>,
    pub(super) version: Option<String>,
    pub(super) created: Option<Time>,
}

/// What a row of a listing or of a policy says of its instance.
pub(super) fn described(vendor: Vendor, row: &Value) -> Described {
    let (name, engine, version) = match vendor {
        Vendor::Alibaba => (
            text(&row["DBInstanceDescription"]),
            text(&row["Engine"]),
            text(&row["EngineVersion"]),
        ),
        Vendor::Huawei => (
            text(&row["name"]).filter(|_| row["backup_strategy"].is_object()),
            text(&row["datastore"]["type"]),
            text(&row["datastore"]["version"]),
        ),
        Vendor::Volcengine => (
            text(&row["InstanceInfo"]["InstanceName"]).or_else(|| text(&row["InstanceName"])),
            Some("redis".to_owned()),
            text(&row["InstanceInfo"]["EngineVersion"]).or_else(|| text(&row["EngineVersion"])),
        ),
    };
    Described {
        name,
        engine: engine.map(|engine| match engine.to_lowercase().as_str() {
            "mssql" => "sqlserver".to_owned(),
            engine => engine.to_owned(),
        }),
        version,
        created: ["CreateTime", "created"]
            .iter()
            .find_map(|field| time(&row[*field])),
    }
}

/// One switch of a policy.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Switch {
    pub(super) scope: &'static str,
    pub(super) region: String,
    pub(super) backup_type: &'static str,
    pub(super) enabled: bool,
    pub(super) days: Option<u64>,
}

/// A policy.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Policy {
    pub(super) protected: Option<bool>,
    pub(super) since: Option<Time>,
    pub(super) switches: Vec<Switch>,
    pub(super) described: Described,
    pub(super) complete: bool,
}

fn switch(
    region: Option<String>,
    backup_type: &'static str,
    enabled: bool,
    days: &Value,
) -> Switch {
    Switch {
        scope: "cross_region",
        region: region.unwrap_or_default(),
        backup_type,
        enabled,
        days: count(days).filter(|days| *days > 0),
    }
}

/// Alibaba's policy of one instance, out of all pages of the list.
pub(super) fn alibaba_policy(id: &str, pages: &[Value], now: Time) -> Policy {
    let Rows { rows, complete, .. } = rows(Vendor::Alibaba, pages);
    let mut policy = Policy {
        complete,
        ..Policy::default()
    };
    let mut is_read = false;
    for row in rows.iter().filter(|row| row["DBInstanceId"] == id) {
        is_read = true;
        let is_on = |field: &str| {
            row[field]
                .as_str()
                .map(|word| word == "Enable" || word == "1")
        };
        let region = text(&row["CrossBackupRegion"]);
        if is_on("BackupEnabled") == Some(true) {
            policy.protected = Some(true);
            let since = time(&row["BackupEnabledTime"]).filter(|since| *since <= now + AHEAD);
            policy.since = [policy.since, since].into_iter().flatten().min();
        } else {
            policy.protected = policy.protected.or(Some(false));
        }
        for (backup_type, field) in [("full", "BackupEnabled"), ("log", "LogBackupEnabled")] {
            if let Some(enabled) = is_on(field) {
                let switch = switch(region.clone(), backup_type, enabled, &row["Retention"]);
                policy.switches.push(switch);
            }
        }
        let described = described(Vendor::Alibaba, row);
        policy.described.name = policy.described.name.or(described.name);
        if policy.described.engine.is_none() {
            policy.described.engine = described.engine;
            policy.described.version = described.version;
        }
    }
    if !is_read && complete {
        policy.protected = Some(false);
        policy.switches = ["full", "log"]
            .map(|backup_type| switch(None, backup_type, false, &Value::Null))
            .to_vec();
    }
    policy
}

/// Huawei's policy; each row says what it copies, unless it keeps nothing.
pub(super) fn huawei_policy(body: &Value) -> Policy {
    let parts = match &body["policy_para"] {
        Value::Array(parts) => parts.clone(),
        part => vec![part.clone()],
    };
    let on: Vec<_> = parts
        .iter()
        .filter(|part| count(&part["keep_days"]) != Some(0))
        .collect();
    let only = on
        .first()
        .and_then(|part| text(&part["destination_region"]));
    let mut policy = Policy {
        protected: Some(!on.is_empty()),
        complete: true,
        ..Policy::default()
    };
    for (backup_type, word) in [("full", "auto"), ("log", "incremental")] {
        let part = on.iter().find(|part| part["backup_type"] == word);
        policy.switches.push(match part {
            Some(part) => switch(
                text(&part["destination_region"]),
                backup_type,
                true,
                &part["keep_days"],
            ),
            None => switch(only.clone(), backup_type, false, &Value::Null),
        });
    }
    policy
}

/// Volcengine's policy out of its two halves, where there are both.
pub(super) fn volcengine_policy(home: &str, copies: &Value, plan: &Value) -> Policy {
    let (copies, plan) = (&copies["Result"], &plan["Result"]);
    let mut policy = Policy {
        protected: copies["Active"].as_bool(),
        complete: true,
        ..Policy::default()
    };
    if let Some(enabled) = copies["Active"].as_bool() {
        let region = text(&copies["CrossBackupRegion"]);
        policy
            .switches
            .push(switch(region, "full", enabled, &copies["TTL"]));
    }
    if let Some(enabled) = plan["Active"].as_bool() {
        policy.switches.push(Switch {
            scope: "local",
            ..switch(Some(home.to_owned()), "full", enabled, &plan["TTL"])
        });
    }
    policy
}

/// A stretch of time to which the vendor says that it can restore.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Window {
    pub(super) scope: &'static str,
    pub(super) region: String,
    pub(super) start: Time,
    pub(super) end: Time,
}

/// The windows in one answer, from a place.
pub(super) fn windows(
    vendor: Vendor,
    body: &Value,
    scope: &'static str,
    region: &str,
    now: Time,
) -> Vec<Window> {
    let milliseconds =
        |value: &Value| DateTime::from_timestamp_millis(i64::try_from(count(value)?).ok()?);
    let pairs = match vendor {
        Vendor::Alibaba => vec![(
            time(&body["RecoveryBeginTime"]),
            time(&body["RecoveryEndTime"]),
        )],
        Vendor::Volcengine => {
            let result = &body["Result"];
            vec![(time(&result["StartTime"]), time(&result["EndTime"]))]
        }
        Vendor::Huawei => body["restore_time"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|row| {
                (
                    milliseconds(&row["start_time"]),
                    milliseconds(&row["end_time"]),
                )
            })
            .collect(),
    };
    let window = |pair: (Option<Time>, Option<Time>)| {
        let (start, end) = (pair.0?, pair.1?);
        (start <= end && end <= now + AHEAD).then(|| Window {
            scope,
            region: region.to_owned(),
            start,
            end,
        })
    };
    pairs.into_iter().filter_map(window).collect()
}

/// One instance of a list of instances.
#[derive(Debug, Clone)]
pub(super) struct Listed {
    pub(super) described: Described,
    pub(super) has_backups: bool,
}

impl Listed {
    /// Whether this says less of the same instance.
    pub(super) fn loses(&self, to: &Self) -> bool {
        self.has_backups && !to.has_backups
            || self.described.name.is_some() && to.described.name.is_none()
    }
}

/// The instances in a list of instances.
pub(super) fn instances(vendor: Vendor, rows: &[Value]) -> Vec<(String, Listed)> {
    let listed = |row: &Value| {
        let id = match vendor {
            Vendor::Alibaba => text(&row["DBInstanceId"])?,
            Vendor::Huawei => text(&row["id"])?,
            Vendor::Volcengine => text(&row["InstanceId"])?,
        };
        let has_backups = match vendor {
            Vendor::Alibaba => row["DBInstanceType"] != "ReadOnly",
            Vendor::Huawei => row["type"] != "Replica",
            Vendor::Volcengine => row["InstanceClass"] != "Standalone",
        };
        let described = described(vendor, row);
        Some((
            id,
            Listed {
                described,
                has_backups,
            },
        ))
    };
    rows.iter().filter_map(listed).collect()
}
