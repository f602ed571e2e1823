//! Lists of instances: all of a region, and those that are or were copied to other regions.

use serde_json::{Value, json};

use super::parameters::{Listing, Page};
use super::question::Question;
use super::refusal::Refusal;
use super::rows::{local_engine, spell};
use crate::world::{Destination, Engine, Holding, Instance};

/// When instances were made of which nothing is known.
const CREATED: &str = "2024-06-01T02:11:08Z";

/// When policies were switched on of which nothing is known.
const ALWAYS: &str = "2024-06-03T09:27:41Z";

/// As many ids as one request may name.
const MOST_IDS: usize = 30;

/// `DescribeDBInstances`.
pub(super) fn list(question: &Question<'_>) -> Result<Value, Refusal> {
    let region = question.mandatory("RegionId")?;
    let wanted_type = kind(question)?;
    let page = Pages::read(question)?;
    let holdings = question.world.holdings_in(question.account, region);
    let filters = [
        ("DBInstanceId", question.optional("DBInstanceId")),
        ("DBInstanceType", wanted_type),
        ("Engine", question.optional("Engine")),
        ("DBInstanceStatus", question.optional("DBInstanceStatus")),
    ];
    let is_wanted = |instance: &&Instance| {
        let mut filters = filters.iter();
        filters.all(|(field, wanted)| {
            wanted.is_none_or(|wanted| row(question, instance)[field] == wanted)
        })
    };
    let instances: Vec<&Instance> = holdings
        .filter(|holding| !holding.is_released())
        .map(|holding| &holding.instance)
        .filter(is_wanted)
        .collect();
    Ok(page.answer(instances, question))
}

/// The kind that is asked for, as rows spell it.
fn kind<'a>(question: &Question<'a>) -> Result<Option<&'a str>, Refusal> {
    match question.optional("DBInstanceType") {
        Some("Readonly") => Ok(Some("ReadOnly")),
        None | Some("Primary" | "Guard" | "Temp") => Ok(question.optional("DBInstanceType")),
        Some(other) => Err(bad_format(format!("DBInstanceType is {other:?}"))),
    }
}

/// The two ways through the list of instances.
enum Pages {
    Numbered(Page),
    /// As many rows as this, from this one on.
    Tokens {
        size: usize,
        first: usize,
    },
}

impl Pages {
    fn read(question: &Question<'_>) -> Result<Self, Refusal> {
        let size = question.optional("MaxResults");
        let token = question.optional("NextToken");
        if size.is_none() && token.is_none() {
            return Ok(Self::Numbered(
                Listing::Instances.page(question.parameters)?,
            ));
        }
        let permitted = |size: &usize| (1..=100).contains(size);
        let number = size.map_or(Ok(30), str::parse);
        let number = number.ok().filter(permitted).ok_or_else(|| {
            let size = size.unwrap_or_default();
            bad_format(format!("MaxResults is {size:?}"))
        })?;
        let first = match token {
            None => 0,
            Some(token) => read_token(token).ok_or_else(|| {
                Refusal::new(400, "Invalid.NextToken", "The NextToken is invalid.")
                    .because(format!("NextToken is {token:?}"))
            })?,
        };
        Ok(Self::Tokens {
            size: number,
            first,
        })
    }

    /// Writes no more rows than a page shows: every page of a long list is asked for.
    fn answer(self, rows: Vec<&Instance>, question: &Question<'_>) -> Value {
        let (total, repeated) = (rows.len(), question.repeated);
        let (number, total, items, next) = match self {
            // A page past the end is empty: its refusal stands on other pages.
            Self::Numbered(page) => (page.number, total, page.of(rows, repeated), None),
            Self::Tokens { size, first } => {
                let next = first.saturating_add(size);
                let rows = rows.into_iter().skip(first.saturating_sub(repeated));
                let items: Vec<_> = rows.take(size).collect();
                // "The number of entries on the current page."
                (1, items.len(), items, (next < total).then_some(next))
            }
        };
        let items: Vec<_> = items
            .iter()
            .map(|instance| row(question, instance))
            .collect();
        let mut answer = json!({
            "PageNumber": number,
            "PageRecordCount": items.len(),
            "TotalRecordCount": total,
            "Items": { "DBInstance": items },
        });
        if let Some(next) = next {
            answer["NextToken"] = json!(format!("{TOKEN_MARK}{next:012x}"));
        }
        answer
    }
}

/// Tokens look like nothing that can be counted up.
const TOKEN_MARK: &str = "b8a0d1c47e2f";

fn read_token(token: &str) -> Option<usize> {
    usize::from_str_radix(token.strip_prefix(TOKEN_MARK)?, 16).ok()
}

fn row(question: &Question<'_>, instance: &Instance) -> Value {
    let replicas = question.world.replicas_of(instance);
    let replicas: Vec<_> = replicas
        .map(|replica| json!({ "DBInstanceId": replica.id }))
        .collect();
    let kind = match instance.read_replica_of {
        Some(_) => "ReadOnly",
        None => "Primary",
    };
    let mut row = json!({
        "ConnectionMode": "Standard",
        "CreateTime": CREATED,
        "DBInstanceClass": "rds.mysql.s3.large",
        "DBInstanceDescription": instance.name,
        "DBInstanceId": instance.id,
        "DBInstanceNetType": "Intranet",
        "DBInstanceStatus": "Running",
        "DBInstanceStorageType": if instance.engine == Engine::SqlServer { "cloud_essd" } else { "local_ssd" },
        "DBInstanceType": kind,
        "DeletionProtection": false,
        "DestroyTime": "",
        "Engine": local_engine(instance.engine),
        "EngineVersion": instance.engine_version,
        "ExpireTime": "",
        "InstanceNetworkType": "VPC",
        "LockMode": "Unlock",
        "LockReason": "",
        "MutriORsignle": false,
        "PayType": "Postpaid",
        "ReadOnlyDBInstanceIds": { "ReadOnlyDBInstanceId": replicas },
        "RegionId": instance.region,
        "ResourceGroupId": "rg-acfmyxxsimulated",
        "TipsLevel": 0,
        "VpcId": "vpc-uf6f7l4fg90xxsimulate",
        "ZoneId": format!("{}-b", instance.region),
    });
    if let Some(primary) = &instance.read_replica_of {
        row["MasterInstanceId"] = json!(primary);
    }
    // "Returned only if InstanceLevel is 1."
    if question.optional("InstanceLevel") == Some("1") {
        row["Category"] = json!("HighAvailability");
        row["DBInstanceMemory"] = json!(4096);
    }
    row
}

/// `DescribeCrossRegionBackupDBInstance`.
pub(super) fn policies(question: &Question<'_>) -> Result<Value, Refusal> {
    let region = question.mandatory("RegionId")?;
    let page = Listing::CrossRegion.page(question.parameters)?;
    let holdings = if let Some(ids) = question.optional("DBInstanceId") {
        named(question, region, ids)?
    } else {
        let holdings = question.world.holdings_in(question.account, region);
        holdings.filter(|holding| !holding.is_released()).collect()
    };
    // No page says how a second destination would be listed; each has its item here.
    let rows: Vec<_> = holdings
        .into_iter()
        .filter(|holding| holding.was_ever_protected())
        .flat_map(|holding| {
            let destinations = holding.instance.destinations.iter();
            let named =
                |destination: &&Destination| destination.is_in_use() || destination.is_named;
            destinations
                .filter(named)
                .map(|destination| policy_row(holding, destination))
        })
        .collect();
    let total = rows.len();
    page.must_exist(total)?;
    let items = page.of(rows, question.repeated);
    Ok(json!({
        "RegionId": region,
        "PageNumber": page.number,
        "ItemsNumbers": items.len(),
        "TotalRecords": total,
        "Items": { "Item": items },
    }))
}

/// The instances of a list of ids, all of which have to be in the region.
fn named<'a>(
    question: &Question<'a>,
    region: &str,
    ids: &str,
) -> Result<Vec<&'a Holding>, Refusal> {
    let ids: Vec<_> = ids.split(',').collect();
    if ids.len() > MOST_IDS {
        return Err(bad_format(format!("DBInstanceId names {}", ids.len())));
    }
    if ids.contains(&"") {
        return Err(bad_format("DBInstanceId has an empty id".to_owned()));
    }
    ids.into_iter()
        .map(|id| {
            let holding = question.world.holding(question.account, id);
            let here = holding.filter(|holding| holding.instance.region == region);
            here.ok_or_else(|| {
                let message = "The specified DB instance ID does not exist.";
                Refusal::new(400, "InvalidDBInstanceId.NotFound", message)
            })
        })
        .collect()
}

fn policy_row(holding: &Holding, destination: &Destination) -> Value {
    let instance = &holding.instance;
    let switch = |on: bool| if on { "Enable" } else { "Disable" };
    let on = holding.is_protected() && holding.copies_to(destination);
    let enabled_at = holding.policy().enabled_at();
    let since = enabled_at.map_or_else(|| ALWAYS.to_owned(), spell);
    let logs = instance.logs.copied && !instance.logs.every.is_zero();
    json!({
        "BackupEnabled": switch(on),
        "BackupEnabledTime": since,
        "CrossBackupRegion": destination.region,
        "CrossBackupType": "1",
        "DBInstanceDescription": instance.name,
        "DBInstanceId": instance.id,
        "DBInstanceStatus": "Running",
        "Engine": local_engine(instance.engine),
        "EngineVersion": instance.engine_version,
        "LockMode": "Unlock",
        "LogBackupEnabled": switch(on && logs),
        "LogBackupEnabledTime": if logs { since.as_str() } else { "" },
        "RetentType": 1,
        "Retention": instance.retention.as_secs() / 86400,
    })
}

fn bad_format(rule: String) -> Refusal {
    let message = "Specified parameter is not valid.";
    Refusal::new(400, "InvalidParameters.Format", message).because(rule)
}
