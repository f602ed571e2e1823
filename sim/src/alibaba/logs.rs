//! Copies of log backups: files of which each goes on where the last one ended.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};

use super::parameters::Listing;
use super::question::{Question, copies_unsupported};
use super::refusal::Refusal;
use super::rows::{copy_link, host_number, spell};
use crate::world::{Engine, Instance, Log, draw};

/// `DescribeCrossRegionLogBackupFiles`.
pub(super) fn cross_region(question: &Question<'_>) -> Result<Value, Refusal> {
    let id = question.mandatory("DBInstanceId")?;
    let region = question.mandatory("RegionId")?;
    let start = question.mandatory("StartTime")?;
    let end = question.mandatory("EndTime")?;
    let page = Listing::CrossRegion.page(question.parameters)?;
    let range = Listing::CrossRegion.range(question.parameters)?;
    let holding = question.copied_instance()?;
    let instance = &holding.instance;
    if !matches!(
        instance.engine,
        Engine::MySql | Engine::PostgreSql | Engine::SqlServer
    ) {
        return Err(copies_unsupported());
    }
    let from = range.from.unwrap_or(DateTime::<Utc>::MIN_UTC);
    let to = range.to.unwrap_or(DateTime::<Utc>::MAX_UTC);
    let wanted = question.optional("CrossBackupRegion");
    let mut rows = Vec::new();
    for destination in &instance.destinations {
        let destination = destination.region.as_str();
        if wanted.is_some_and(|wanted| wanted != destination) {
            continue;
        }
        // A file that begins before the range may reach into it.
        let begun = from - instance.logs.every..=to;
        let logs = holding.copied_logs(destination, begun, question.now);
        let within = logs
            .into_iter()
            .filter(|log| log.end > from && log.begin < to);
        rows.extend(within.map(|log| (log, destination)));
    }
    // The pages state no order.
    rows.sort_by_key(|(log, _)| std::cmp::Reverse(log.begin));
    let total = rows.len();
    page.must_exist(total)?;
    let items: Vec<_> = page
        .of(rows, question.repeated)
        .into_iter()
        .map(|(log, destination)| row(instance, &log, destination, question.now))
        .collect();
    let mut answer = json!({
        "DBInstanceId": id,
        "RegionId": region,
        "StartTime": start,
        "EndTime": end,
        "PageNumber": page.number,
        "PageRecordCount": items.len(),
        "TotalRecordCount": total,
        "Items": {},
    });
    answer["Items"]["Item"] = items.into();
    Ok(answer)
}

fn row(instance: &Instance, log: &Log, destination: &str, now: DateTime<Utc>) -> Value {
    let file = file_name(instance, log);
    let link = copy_link(
        destination,
        &format!("{}/{file}", host_number(instance)),
        now,
    );
    json!({
        "CrossBackupRegion": destination,
        "CrossDownloadLink": link,
        "CrossIntranetDownloadLink": link.replacen(".aliyuncs.com", "-internal.aliyuncs.com", 1),
        "CrossLogBackupId": log_id(instance, log, destination),
        "CrossLogBackupSize": log.size_bytes,
        "InstanceId": host_number(instance),
        "LinkExpiredTime": spell(now + TimeDelta::hours(1)),
        "LogBeginTime": spell(log.begin),
        "LogEndTime": spell(log.end),
        "LogFileName": file,
    })
}

fn file_name(instance: &Instance, log: &Log) -> String {
    match instance.engine {
        Engine::PostgreSql => format!("{:024X}", log.slot),
        Engine::SqlServer => format!("{}_{}.zip", instance.name, log.slot),
        _ => format!("mysql-bin.{:06}", log.slot.rem_euclid(1_000_000)),
    }
}

/// Different in each destination, like the ids of sets.
fn log_id(instance: &Instance, log: &Log, destination: &str) -> u64 {
    draw(&instance.id, log.slot, destination) % (1 << 40) + (1 << 33)
}
