//! The two listings of backups in the shape of the vendor's samples: what the world holds, as rows,
//! filtered, newest first, one page of it.

use chrono::{DateTime, SecondsFormat, TimeDelta, Timelike, Utc};
use serde_json::{Map, Value, json};

use super::account_id;
use super::instances::{capacity, instance_exists, of_region};
use super::parameters::{Asked, Body, Listing, Page, Scope, time};
use super::refusal::Refusal;
use crate::world::{Backup, Copy, CrossRegionSet, Holding, Instance, LocalSet, World, draw};

/// Sets are purged for so long before they are gone.
const PURGE: TimeDelta = TimeDelta::minutes(5);

/// Who asks, where and when; and how many rows too early pages after the first begin.
#[derive(Clone, Copy, Debug)]
pub(super) struct Question<'a> {
    pub(super) account: &'a str,
    pub(super) region: &'a str,
    pub(super) now: DateTime<Utc>,
    pub(super) rows_repeated: usize,
}

/// Answers the page that is asked for, and the rules that were broken without consequences.
pub(super) fn list(
    listing: Listing,
    world: &World,
    question: &Question<'_>,
    body: Body<'_>,
) -> Result<(Value, Vec<String>), Refusal> {
    let asked = Asked::read(listing, body)?;
    let holdings = holdings(world, question, &asked.scope)?;
    let mut rows: Vec<Row<'_>> = Vec::new();
    for holding in holdings {
        match listing {
            Listing::CrossRegion => copies(holding, question.now, &mut rows),
            Listing::Local => backups(holding, question.now, &mut rows),
        }
    }
    rows.retain(|row| asked.wants(row.start(), || row.fields(question.now)));
    // The pages state no order. A start that cannot be read stands behind all others.
    rows.sort_by_key(|row| std::cmp::Reverse(row.start()));
    let total = rows.len();
    let rows = match asked.page {
        Some(page) => one_page(rows, page, question.rows_repeated),
        None => rows,
    };
    let rows = rows.iter().map(|row| row.fields(question.now));
    let mut answer = json!({ "Total": total });
    answer["Backups"] = rows.collect();
    Ok((answer, asked.notes))
}

/// A row before it is written: an account may have hundreds of thousands, of which a page shows a hundred.
enum Row<'a> {
    Backup(&'a Instance, Backup),
    Running(&'a Instance, Backup),
    Copy(&'a Instance, Copy),
    /// One that was stated, and what it says of its start.
    Stated(Option<DateTime<Utc>>, Map<String, Value>),
}

impl Row<'_> {
    fn stated(fields: Map<String, Value>) -> Self {
        let start = fields.get("StartTime").and_then(Value::as_str);
        Self::Stated(start.and_then(time), fields)
    }

    /// When its backup began, to the second as it is spelled.
    fn start(&self) -> Option<DateTime<Utc>> {
        match self {
            Self::Backup(_, backup) | Self::Running(_, backup) => backup.start.with_nanosecond(0),
            Self::Copy(_, copy) => copy.backup.start.with_nanosecond(0),
            Self::Stated(start, _) => *start,
        }
    }

    fn fields(&self, now: DateTime<Utc>) -> Map<String, Value> {
        match self {
            Self::Backup(instance, backup) => backup_row(instance, backup, now),
            Self::Running(instance, backup) => running_row(instance, backup, now),
            Self::Copy(instance, copy) => copy_row(instance, copy, now),
            Self::Stated(_, fields) => fields.clone(),
        }
    }
}

/// A page past the end is empty.
fn one_page(rows: Vec<Row<'_>>, page: Page, repeated: usize) -> Vec<Row<'_>> {
    let first = (page.number - 1).saturating_mul(page.size);
    rows.into_iter()
        .skip(first.saturating_sub(repeated))
        .take(page.size)
        .collect()
}

/// A single-node instance has no backups, and is refused where it is named.
fn holdings<'a>(
    world: &'a World,
    question: &Question<'_>,
    scope: &Scope,
) -> Result<Vec<&'a Holding>, Refusal> {
    if let Scope::OneInstance(id) = scope {
        return Ok(vec![instance_exists(world, question, id)?]);
    }
    let destroyed = *scope == Scope::DestroyedInstances;
    Ok(of_region(world, question)
        .filter(|holding| !holding.instance.single_node)
        .filter(|holding| !destroyed || holding.is_released())
        .collect())
}

fn backups<'a>(holding: &'a Holding, now: DateTime<Utc>, rows: &mut Vec<Row<'a>>) {
    let instance = &holding.instance;
    let ended = holding.backups(now).into_iter();
    rows.extend(ended.map(|backup| Row::Backup(instance, backup)));
    let running = holding.running(now);
    rows.extend(running.map(|backup| Row::Running(instance, backup)));
    let stated = holding.stated_local(now);
    rows.extend(stated.map(|set| Row::stated(stated_row(instance, set))));
    rows.extend(literal(holding.local_rows()));
}

fn copies<'a>(holding: &'a Holding, now: DateTime<Utc>, rows: &mut Vec<Row<'a>>) {
    let instance = &holding.instance;
    let ended = holding.copies(now).into_iter();
    rows.extend(ended.map(|copy| Row::Copy(instance, copy)));
    let stated = holding.stated_cross_region(now);
    rows.extend(stated.map(|set| Row::stated(stated_copy_row(instance, set))));
    rows.extend(literal(holding.cross_region_rows()));
}

fn literal(rows: &[Value]) -> impl Iterator<Item = Row<'_>> {
    rows.iter()
        .filter_map(Value::as_object)
        .cloned()
        .map(Row::stated)
}

fn backup_row(instance: &Instance, backup: &Backup, now: DateTime<Utc>) -> Map<String, Value> {
    let status = if backup.failed {
        "Unavailable"
    } else {
        finished_status(instance, backup.end, now)
    };
    let mut row = row(instance);
    describe_point(&mut row, instance, backup.slot, backup.start);
    row.insert("EndTime".to_owned(), json!(spell(backup.end)));
    row.insert("Size".to_owned(), json!(backup.size_bytes));
    row.insert("Status".to_owned(), json!(status));
    let progress = if backup.failed { 0 } else { 100 };
    row.insert("BackupProgress".to_owned(), json!(progress));
    row
}

/// A backup that is being made has no end yet, and neither a size.
fn running_row(instance: &Instance, backup: &Backup, now: DateTime<Utc>) -> Map<String, Value> {
    let whole = (backup.end - backup.start).num_seconds().max(1);
    let progress = (now - backup.start).num_seconds() * 100 / whole;
    let mut row = row(instance);
    describe_point(&mut row, instance, backup.slot, backup.start);
    row.insert("EndTime".to_owned(), json!(""));
    row.insert("Size".to_owned(), json!(0));
    row.insert("Status".to_owned(), json!("Creating"));
    row.insert("BackupProgress".to_owned(), json!(progress.min(99)));
    row
}

fn copy_row(instance: &Instance, copy: &Copy, now: DateTime<Utc>) -> Map<String, Value> {
    let mut row = backup_row(instance, &copy.backup, now);
    describe_copy(&mut row, instance, copy.told_region(instance));
    // The copy is complete one lag after the local set: the vendor's sample has 33 minutes for less
    // than a megabyte.
    row.insert("EndTime".to_owned(), json!(spell(copy.end)));
    let status = finished_status(instance, copy.end, now);
    row.insert("Status".to_owned(), json!(status));
    row
}

fn finished_status(instance: &Instance, end: DateTime<Utc>, now: DateTime<Utc>) -> &'static str {
    if end + instance.retention - PURGE <= now {
        "Deleting"
    } else {
        "Available"
    }
}

/// A set that was stated in the words of the first vendor, in this one's.
fn stated_row(instance: &Instance, set: &LocalSet) -> Map<String, Value> {
    let mut row = row(instance);
    let status = match set.status.as_ref().and_then(Value::as_str) {
        Some("Success") => json!("Available"),
        Some("Failed") => json!("Unavailable"),
        _ => set.status.clone().unwrap_or_default(),
    };
    describe_stated(&mut row, &set.id, (&set.start, &set.end), &set.size);
    row.insert("Status".to_owned(), status);
    if set.mode.as_ref().and_then(Value::as_str) == Some("Manual") {
        row.insert("BackupStrategy".to_owned(), json!("ManualBackup"));
    }
    row
}

fn stated_copy_row(instance: &Instance, set: &CrossRegionSet) -> Map<String, Value> {
    let mut row = row(instance);
    let status = match set.status.as_ref().and_then(Value::as_i64) {
        Some(0) => json!("Available"),
        Some(1) => json!("Unavailable"),
        _ => set.status.clone().unwrap_or_default(),
    };
    describe_stated(&mut row, &set.id, (&set.start, &set.end), &set.size);
    describe_copy(&mut row, instance, &set.region);
    row.insert("Status".to_owned(), status);
    row
}

fn describe_stated(
    row: &mut Map<String, Value>,
    id: &Value,
    (start, end): (&str, &str),
    size: &Value,
) {
    let id = id.as_str().map_or_else(|| id.to_string(), str::to_owned);
    row.insert("BackupPointId".to_owned(), json!(id));
    row.insert("BackupPointName".to_owned(), json!(id));
    row.insert("StartTime".to_owned(), json!(start));
    row.insert("EndTime".to_owned(), json!(end));
    row.insert("Size".to_owned(), size.clone());
    row.insert("BackupProgress".to_owned(), json!(100));
}

/// What every row says of its instance.
fn row(instance: &Instance) -> Map<String, Value> {
    let days = instance.retention.as_secs() / 86400;
    let row = json!({
        "BackupStrategy": "AutomatedBackup",
        "BackupType": "Full",
        "InstanceId": instance.id,
        "InstanceInfo": instance_info(instance),
        "ProjectName": "default",
        "TTL": days,
    });
    object(row)
}

/// What a backup and its copies have in common: the id is that of the point in time.
fn describe_point(
    row: &mut Map<String, Value>,
    instance: &Instance,
    slot: i64,
    start: DateTime<Utc>,
) {
    let drawn = format!(
        "{:016x}{:016x}",
        draw(&instance.id, slot, "point high"),
        draw(&instance.id, slot, "point low")
    );
    row.insert(
        "BackupPointId".to_owned(),
        json!(format!("b-cn02{}", &drawn[..20])),
    );
    // The pages name no automatic ones; the clock of the console is China's.
    let stamp = (start + TimeDelta::hours(8)).format("%Y%m%d%H%M%S");
    row.insert("BackupPointName".to_owned(), json!(format!("auto-{stamp}")));
    row.insert("StartTime".to_owned(), json!(spell(start)));
}

fn describe_copy(row: &mut Map<String, Value>, instance: &Instance, region: &str) {
    row.insert("SourceRegion".to_owned(), json!(instance.region));
    row.insert("TargetRegion".to_owned(), json!(region));
    // Only the model of the copies has this one.
    row["InstanceInfo"]["BlueGreenRole"] = json!("");
}

fn instance_info(instance: &Instance) -> Value {
    let capacity = capacity(instance);
    json!({
        "AccountId": account_id(&instance.account),
        "ArchType": if capacity.shards > 1 { "Cluster" } else { "Standard" },
        "ChargeType": "PostPaid",
        "DeletionProtection": "enabled",
        "EngineVersion": instance.engine_version,
        "ExpiredTime": "",
        "InstanceId": instance.id,
        "InstanceName": instance.name,
        "MaintenanceTime": "02:00-02:59",
        "NetworkType": "VPC",
        "RegionId": instance.region,
        "Replicas": 2,
        "ShardCapacity": capacity.shard_mebibytes(),
        "ShardNumber": capacity.shards,
        "TotalCapacity": capacity.mebibytes,
        "VpcId": "vpc-rs5811nceqyov0x58x4simul",
        "ZoneIds": [format!("{}-a", instance.region)],
    })
}

pub(super) fn spell(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Secs, true)
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(fields) => fields,
        _ => Map::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::{Vendor, varied};

    #[test]
    fn pages_one_after_another_are_the_whole_and_totals_are_of_it() {
        let now = varied::beginning() + TimeDelta::minutes(7);
        for (scenario, world) in varied::worlds(Vendor::Volcengine) {
            for instance in &scenario.instances {
                let question = Question {
                    account: &instance.account,
                    region: &instance.region,
                    now,
                    rows_repeated: 0,
                };
                let ask = |listing: Listing, page: Value| {
                    let mut body = json!({ "Scope": "AccountInstances" });
                    body.as_object_mut().unwrap().extend(object(page));
                    let body = Body(body.as_object().unwrap());
                    let (answer, _) = list(listing, &world, &question, body).unwrap();
                    let rows = answer["Backups"].as_array().unwrap().clone();
                    (rows, answer["Total"].as_u64().unwrap())
                };
                for listing in [Listing::Local, Listing::CrossRegion] {
                    let (all, total) = ask(listing, json!({}));
                    assert_eq!(all.len() as u64, total);
                    let paged = varied::pages(100, |page| {
                        let page = json!({ "PageNumber": page + 1, "PageSize": 100 });
                        let (rows, total) = ask(listing, page);
                        (rows, usize::try_from(total).unwrap())
                    });
                    assert_eq!(paged, all, "{}", instance.id);
                    let start = |row: &Value| time(row["StartTime"].as_str().unwrap());
                    assert!(all.is_sorted_by(|newer, older| start(newer) >= start(older)));
                }
            }
        }
    }
}
