//! Spans of time to which an instance can be restored, in milliseconds.

use chrono::{DateTime, NaiveTime, Utc};
use serde_json::{Value, json};

use super::listing::{off_site_logs, within};
use super::parameters::{Parameters, day};
use super::refusal::{Refusal, no_instance};
use super::site::Site;
use crate::world::{Holding, windows};

type Window = (DateTime<Utc>, DateTime<Utc>);

/// `ListRestoreTimes`.
pub(super) fn local(site: &Site<'_>, id: &str, parameters: &Parameters) -> Result<Value, Refusal> {
    let windows = local_windows(site, site.holding_here(id)?);
    answer(windows, parameters)
}

/// `ListOffSiteRestoreTimes`. Asked in the source region it speaks of the backups there, as if they
/// were meant.
pub(super) fn off_site(
    site: &Site<'_>,
    id: &str,
    parameters: &Parameters,
) -> Result<Value, Refusal> {
    let holding = site.holding(id)?;
    let instance = &holding.instance;
    let mut destinations = instance.destinations.iter();
    let windows = if instance.region == site.region && !holding.is_released() {
        local_windows(site, holding)
    } else if destinations.any(|destination| destination.region == site.region) {
        let copies = holding.copies(site.now).into_iter();
        let fulls = copies
            .filter(|copy| copy.region == site.region && copy.backup.full)
            .map(|copy| copy.backup.end);
        let logs: Vec<_> = off_site_logs(site, holding, within(None)).collect();
        spans(&fulls.collect::<Vec<_>>(), &logs)
    } else {
        return Err(no_instance());
    };
    answer(windows, parameters)
}

fn local_windows(site: &Site<'_>, holding: &Holding) -> Vec<Window> {
    let backups = holding.backups(site.now).into_iter();
    let fulls: Vec<_> = backups
        .filter(|backup| backup.full && !backup.failed)
        .map(|backup| backup.end)
        .collect();
    spans(&fulls, &holding.logs(within(None), site.now))
}

/// Without logs, the newest full set is the only moment to go back to.
fn spans(full_ends: &[DateTime<Utc>], logs: &[crate::world::Log]) -> Vec<Window> {
    if logs.is_empty() {
        let newest = full_ends.iter().max();
        return newest.map(|end| (*end, *end)).into_iter().collect();
    }
    windows(full_ends, logs)
}

fn answer(mut windows: Vec<Window>, parameters: &Parameters) -> Result<Value, Refusal> {
    if let Some(day) = day(parameters)? {
        let from = day.and_time(NaiveTime::MIN).and_utc();
        let to = from + chrono::TimeDelta::days(1);
        windows.retain(|(start, end)| *start < to && *end >= from);
        for (start, end) in &mut windows {
            (*start, *end) = ((*start).max(from), (*end).min(to));
        }
    }
    let rows: Vec<_> = windows
        .iter()
        .map(|(start, end)| {
            json!({ "start_time": start.timestamp_millis(), "end_time": end.timestamp_millis() })
        })
        .collect();
    Ok(json!({ "restore_time": rows }))
}
