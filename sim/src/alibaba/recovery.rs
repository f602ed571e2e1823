//! Spans of time to which an instance can be restored: from a set on, for as long as the logs go on
//! without a hole.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::parameters::Parameters;
use super::question::{Question, wrong_engine};
use super::refusal::Refusal;
use super::rows::{copy_id, spell, time};
use crate::world::{CrossRegionSet, Engine, Holding, Log, chains};

/// A copied set as far as a restore is concerned.
struct Set<'a> {
    holding: &'a Holding,
    region: String,
    consistent: DateTime<Utc>,
}

/// `DescribeAvailableRecoveryTime`.
pub(super) fn cross_region(question: &Question<'_>) -> Result<Value, Refusal> {
    let id = question.mandatory("CrossBackupId")?;
    let number: i64 = id.parse().map_err(|_| {
        let message = "Specified parameter is not valid.";
        Refusal::new(400, "InvalidParameters.Format", message)
            .because(format!("CrossBackupId is {id:?}"))
    })?;
    let set = set(question, id)?;
    // From the log that holds the set's moment on; what came before leads nowhere.
    let begun = set.consistent - set.holding.instance.logs.every..=question.now;
    let logs = set.holding.copied_logs(&set.region, begun, question.now);
    let end = chain_at(&logs, set.consistent).and_then(|chain| chain.last());
    let end = end.ok_or_else(|| {
        let message = "No available log backup for the specified backup set.";
        Refusal::new(400, "NoAvailableLogBackup", message)
    })?;
    Ok(json!({
        "CrossBackupId": number,
        "RegionId": set.holding.instance.region,
        "RecoveryBeginTime": spell(set.consistent),
        "RecoveryEndTime": spell(end.end),
    }))
}

/// The set of an id. Its instance need not be named.
fn set<'a>(question: &Question<'a>, id: &str) -> Result<Set<'a>, Refusal> {
    let candidates: Vec<&Holding> = if question.optional("DBInstanceId").is_some() {
        let holding = question.copied_instance()?;
        require_mysql(holding)?;
        vec![holding]
    } else {
        let region = question.optional("RegionId");
        let holdings = question.world.holdings(question.account);
        holdings
            .filter(|holding| region.is_none_or(|region| holding.instance.region == region))
            .collect()
    };
    let set = candidates
        .into_iter()
        .find_map(|holding| set_of(holding, id, question.now));
    let set = set.ok_or_else(|| {
        let message = "The available backup set does not exist.";
        Refusal::new(404, "InvalidBackupSetID.NotFound", message)
    })?;
    require_mysql(set.holding)?;
    Ok(set)
}

fn require_mysql(holding: &Holding) -> Result<(), Refusal> {
    match holding.instance.engine {
        Engine::MySql => Ok(()),
        _ => Err(wrong_engine()),
    }
}

fn set_of<'a>(holding: &'a Holding, id: &str, now: DateTime<Utc>) -> Option<Set<'a>> {
    let copies = holding.copies(now).into_iter();
    let mut scheduled = copies
        .filter(|copy| copy_id(&holding.instance, copy).to_string() == id)
        .map(|copy| (copy.region, copy.backup.consistent));
    let stated = holding.stated_cross_region(now);
    let mut stated = stated
        .filter(|set| is_named(set, id))
        .filter_map(|set| Some((set.region.clone(), consistent(set)?)));
    let (region, consistent) = scheduled.next().or_else(|| stated.next())?;
    Some(Set {
        holding,
        region,
        consistent,
    })
}

fn is_named(set: &CrossRegionSet, id: &str) -> bool {
    match &set.id {
        Value::String(text) => text == id,
        other => *other.to_string() == *id,
    }
}

fn consistent(set: &CrossRegionSet) -> Option<DateTime<Utc>> {
    let stated = set.consistent_time.as_ref().and_then(Value::as_str);
    time(stated.unwrap_or(&set.start))
}

/// `DescribeLocalAvailableRecoveryTime`.
pub(super) fn local(question: &Question<'_>) -> Result<Value, Refusal> {
    let id = question.mandatory("DBInstanceId")?;
    refuse_region_id(question.parameters)?;
    let holding = question.present_instance("Region")?;
    let instance = &holding.instance;
    if !matches!(
        instance.engine,
        Engine::MySql | Engine::PostgreSql | Engine::MariaDb
    ) {
        return Err(wrong_engine());
    }
    let sets = full_sets(holding, question.now);
    if sets.is_empty() {
        let message = "The available backup does not exist.";
        return Err(Refusal::new(404, "InvalidBackup.NotFound", message));
    }
    let always = DateTime::<Utc>::MIN_UTC..=DateTime::<Utc>::MAX_UTC;
    let logs = holding.logs(always, question.now);
    if logs.is_empty() {
        let message = "Log backup is not enabled.";
        return Err(Refusal::new(400, "LogBackupNotEnabled", message));
    }
    // There is one pair of times in the answer, so of several spans it is the newest.
    let window = chains(&logs).rev().find_map(|chain| {
        let within = sets.iter().filter(|set| holds(chain, **set));
        Some((*within.min()?, chain.last()?.end))
    });
    let (begin, end) = window.ok_or_else(|| {
        let message = "The available binlog does not exist.";
        Refusal::new(404, "InvalidBinlog.NotFound", message)
    })?;
    Ok(json!({
        "DBInstanceId": id,
        "RecoveryBeginTime": spell(begin),
        "RecoveryEndTime": spell(end),
    }))
}

/// The region is called `Region` here. Who adds the usual name to every call would be asking some
/// region or other.
fn refuse_region_id(parameters: &Parameters) -> Result<(), Refusal> {
    if parameters.contains_key("RegionId") && !parameters.contains_key("Region") {
        let message = "The input parameter \"Region\" that is mandatory for processing this request is not supplied.";
        return Err(Refusal::new(400, "MissingParameter", message)
            .because("RegionId is there instead of Region"));
    }
    Ok(())
}

/// Moments at which the full sets are consistent.
fn full_sets(holding: &Holding, now: DateTime<Utc>) -> Vec<DateTime<Utc>> {
    let scheduled = holding.backups(now).into_iter();
    let mut sets: Vec<_> = scheduled
        .filter(|set| set.full && !set.failed)
        .map(|set| set.consistent)
        .collect();
    let says =
        |value: &Option<Value>, text: &str| value.as_ref().and_then(Value::as_str) == Some(text);
    let stated = holding.stated_local(now);
    sets.extend(
        stated
            .filter(|set| says(&set.status, "Success") && says(&set.backup_type, "FullBackup"))
            .filter_map(|set| time(&set.start)),
    );
    sets
}

/// The logs around a moment that follow each other without a hole.
fn chain_at(logs: &[Log], moment: DateTime<Utc>) -> Option<&[Log]> {
    chains(logs).find(|chain| holds(chain, moment))
}

fn holds(chain: &[Log], moment: DateTime<Utc>) -> bool {
    let first = chain.first().is_some_and(|log| log.begin <= moment);
    first && chain.last().is_some_and(|log| moment < log.end)
}
