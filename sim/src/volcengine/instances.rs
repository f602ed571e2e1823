//! What the Redis service says of its instances: the list of them, and the settings of their
//! backups.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Timelike, Utc};
use serde_json::{Value, json};

use super::listing::{Question, spell};
use super::parameters::Body;
use super::refusal::{Refusal, bad_parameter};
use crate::world::{Engine, Holding, Instance, World, draw};

/// Regions that copies can go to.
const DESTINATIONS: [&str; 3] = ["cn-beijing", "cn-shanghai", "cn-guangzhou"];

/// Filters of the list of instances that are compared with a field of the same name.
const EXACT_FILTERS: [&str; 9] = [
    "InstanceId",
    "Status",
    "EngineVersion",
    "VpcId",
    "ZoneId",
    "ChargeType",
    "ProjectName",
    "ServiceType",
    "DataLayout",
];

/// How big an instance is.
pub(super) struct Capacity {
    pub(super) mebibytes: u64,
    pub(super) shards: u64,
    pub(super) used: u64,
}

impl Capacity {
    /// A fraction, as the vendor's clients declare it.
    pub(super) fn shard_mebibytes(&self) -> f64 {
        #[expect(
            clippy::cast_precision_loss,
            reason = "capacities are far below 2^52 MiB"
        )]
        let shard = self.mebibytes as f64 / self.shards as f64;
        shard
    }
}

/// Big enough for the instance's backups, which are about as big as the data.
pub(super) fn capacity(instance: &Instance) -> Capacity {
    let bytes = instance
        .schedule
        .as_ref()
        .map_or(0, |schedule| schedule.size_bytes);
    let used = bytes >> 20;
    let mebibytes = (used * 2).next_power_of_two().max(1024);
    let shards = (mebibytes / 8192).max(1);
    Capacity {
        mebibytes,
        shards,
        used,
    }
}

/// Redis instances that the account has or had in the region that is asked.
pub(super) fn of_region<'a>(
    world: &'a World,
    question: &Question<'_>,
) -> impl Iterator<Item = &'a Holding> + use<'a> {
    let holdings: Vec<_> = world
        .holdings_in(question.account, question.region)
        .filter(|holding| holding.instance.engine == Engine::Redis)
        .collect();
    holdings.into_iter()
}

/// The instance, if it is there, in this region, and of a kind that is backed up.
pub(super) fn instance_exists<'a>(
    world: &'a World,
    question: &Question<'_>,
    id: &str,
) -> Result<&'a Holding, Refusal> {
    let is_here = |holding: &&Holding| {
        let instance = &holding.instance;
        instance.engine == Engine::Redis && instance.region == question.region
    };
    let holding = world
        .holding(question.account, id)
        .filter(is_here)
        .ok_or_else(|| {
            Refusal::product("InstanceNotExist", "The specified instance does not exist.")
        })?;
    if holding.instance.single_node {
        // The page says only that the call is not supported.
        return Err(Refusal::product(
            "InstanceStatusNotMatch",
            "Single-node instances do not support this operation.",
        ));
    }
    Ok(holding)
}

/// `DescribeCrossRegionBackupPolicy`.
pub(super) fn cross_region_policy(
    world: &World,
    question: &Question<'_>,
    body: Body<'_>,
) -> Result<Value, Refusal> {
    let holding = named(world, question, body)?;
    let instance = &holding.instance;
    // The vendor copies to one region only.
    let destination = instance
        .destinations
        .iter()
        .find(|destination| holding.copies_to(destination))
        .filter(|_| holding.is_protected());
    Ok(json!({
        "InstanceId": instance.id,
        "Active": destination.is_some(),
        "CrossBackupRegion": destination.map_or("", |destination| &destination.region),
        "TTL": days(instance.retention),
    }))
}

/// `DescribeAvailableCrossRegion`.
pub(super) fn available_cross_region(
    world: &World,
    question: &Question<'_>,
    body: Body<'_>,
) -> Result<Value, Refusal> {
    let instance = &named(world, question, body)?.instance;
    let regions: Vec<_> = DESTINATIONS
        .into_iter()
        .filter(|region| *region != instance.region && !instance.cross_region_unsupported)
        .collect();
    Ok(json!({ "TargetRegionIds": regions }))
}

/// `DescribeBackupPlan`.
pub(super) fn backup_plan(
    world: &World,
    question: &Question<'_>,
    body: Body<'_>,
) -> Result<Value, Refusal> {
    let holding = named(world, question, body)?;
    let next = holding.next_start(question.now);
    // The hour is China's, while the times beside it are UTC.
    let hour = next.map_or(0, |next| (next + TimeDelta::hours(8)).hour());
    Ok(json!({
        "Active": next.is_some(),
        "BackupHour": hour,
        "BackupType": "Full",
        "ExpectNextBackupTime": next.map(spell).unwrap_or_default(),
        "InstanceId": holding.instance.id,
        "LastUpdateTime": "2026-01-05T03:12:44Z",
        "Period": if next.is_some() { vec![1, 2, 3, 4, 5, 6, 7] } else { Vec::new() },
        "TTL": days(holding.instance.retention),
    }))
}

/// `DescribePitrTimeWindow`: the last week, as far back as there is a backup to start from.
pub(super) fn pitr_window(
    world: &World,
    question: &Question<'_>,
    body: Body<'_>,
) -> Result<Value, Refusal> {
    const LONGEST: TimeDelta = TimeDelta::days(7);
    let holding = named(world, question, body)?;
    let backups = holding.backups(question.now);
    let oldest = backups
        .iter()
        .filter(|backup| !backup.failed)
        .map(|backup| backup.consistent)
        .min();
    let window = oldest.map(|oldest| (oldest.max(question.now - LONGEST), question.now));
    let spelled = |time: Option<DateTime<Utc>>| time.map(spell).unwrap_or_default();
    Ok(json!({
        "StartTime": spelled(window.map(|(start, _)| start)),
        "EndTime": spelled(window.map(|(_, end)| end)),
    }))
}

/// `DescribeDBInstances`: the community edition, unless the other one is asked for.
pub(super) fn list(
    world: &World,
    question: &Question<'_>,
    body: Body<'_>,
) -> Result<Value, Refusal> {
    let mut keys = EXACT_FILTERS.to_vec();
    keys.extend([
        "RegionId",
        "InstanceName",
        "ShardedCluster",
        "TagFilters",
        "PageNumber",
        "PageSize",
    ]);
    body.only(&keys)?;
    let size = body.number("PageSize", 1, 1000)?.unwrap_or(10);
    let number = body
        .number("PageNumber", 1, i32::MAX as usize)?
        .unwrap_or(1);
    let service = body.text("ServiceType")?.unwrap_or("Basic");
    if !["Basic", "Enterprise"].contains(&service) {
        return Err(bad_parameter(format!("ServiceType is {service:?}")));
    }
    let question = Question {
        region: body.text("RegionId")?.unwrap_or(question.region),
        ..*question
    };
    let mut rows = Vec::new();
    for holding in of_region(world, &question).filter(|holding| !holding.is_released()) {
        let row = instance_row(&holding.instance);
        if row["ServiceType"] == service && is_wanted(&row, body)? {
            rows.push(row);
        }
    }
    let total = rows.len();
    let first = (number - 1)
        .saturating_mul(size)
        .saturating_sub(question.rows_repeated);
    let rows: Vec<_> = rows.into_iter().skip(first).take(size).collect();
    Ok(json!({ "TotalInstancesNum": total, "Instances": rows }))
}

fn is_wanted(row: &Value, body: Body<'_>) -> Result<bool, Refusal> {
    for filter in EXACT_FILTERS {
        let Some(wanted) = body.text(filter)? else {
            continue;
        };
        let fits = match filter {
            "ZoneId" => row["ZoneIds"][0] == wanted,
            _ => row[filter] == wanted,
        };
        if !fits {
            return Ok(false);
        }
    }
    let name = row["InstanceName"].as_str().unwrap_or_default();
    let part_of_name = body.text("InstanceName")?.unwrap_or_default();
    let sharded = body.number("ShardedCluster", 0, 1)?;
    // No instance here has a tag.
    let no_tags = body
        .0
        .get("TagFilters")
        .is_none_or(|tags| tags.as_array().is_some_and(Vec::is_empty));
    Ok(name.contains(part_of_name)
        && sharded.is_none_or(|sharded| row["ShardedCluster"] == sharded)
        && no_tags)
}

fn instance_row(instance: &Instance) -> Value {
    let capacity = capacity(instance);
    let region = &instance.region;
    let address = draw(&instance.id, 0, "address") % 250 + 2;
    json!({
        "BlueGreenRole": "",
        "Capacity": { "Total": capacity.mebibytes, "Used": capacity.used },
        "ChargeType": "PostPaid",
        "CreateTime": "2024-06-01T02:11:08Z",
        "DataLayout": "RAM",
        "DeletionProtection": "enabled",
        "EngineVersion": instance.engine_version,
        "ExpiredTime": "",
        "InstanceClass": if instance.single_node { "Standalone" } else { "PrimarySecondary" },
        "InstanceId": instance.id,
        "InstanceName": instance.name,
        "MultiAZ": "disabled",
        "NodeNumber": if instance.single_node { 1 } else { 2 },
        "PrivateAddress": format!("{}.redis.ivolces.com", instance.id),
        "PrivatePort": "6379",
        "ProjectName": "default",
        "RegionId": region,
        "ServiceType": if instance.enterprise { "Enterprise" } else { "Basic" },
        "ShardCapacity": capacity.shard_mebibytes(),
        "ShardNumber": capacity.shards,
        "ShardedCluster": i32::from(capacity.shards > 1),
        "Status": "Running",
        "Tags": [],
        "VIP": format!("192.168.0.{address}"),
        "VIPv6": "",
        "VpcId": "vpc-rs5811nceqyov0x58x4simul",
        "ZoneIds": [format!("{region}-a")],
    })
}

/// The instance of an operation whose only key is its id.
fn named<'a>(
    world: &'a World,
    question: &Question<'_>,
    body: Body<'_>,
) -> Result<&'a Holding, Refusal> {
    body.only(&["InstanceId"])?;
    instance_exists(world, question, body.mandatory("InstanceId")?)
}

fn days(retention: Duration) -> u64 {
    retention.as_secs() / 86400
}
