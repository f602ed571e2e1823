//! The posture of all instances as JSON and as a table, for `once` and for `/api/v1/instances`, and the words and the order
//! that the status page shares with them.
//!
//! Says the same as the metrics, from the same judgement; the labels of the metrics are the values here.

pub mod emptiness;
mod instance;
pub mod query;
pub mod reasons;
pub mod summary;
mod table;
#[cfg(test)]
mod tests;
pub mod words;

use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde::Serialize;

use self::emptiness::why_nothing_is_watched;
use self::instance::InstanceReport;
use self::query::Query;
use self::summary::{AccountSummary, Summary};
use self::words::written;
use crate::facts::{RegionFacts, RegionKey};
use crate::metrics::Assessed;
use crate::posture::State;
use crate::shard::Shard;

/// At most so many single sets of one instance are part of an answer.
const MOST_SETS: usize = 5000;

/// At most so many single sets are part of an answer.
const MOST_SETS_IN_ALL: usize = 50_000;

/// All instances at one moment.
#[derive(Debug, Serialize)]
pub struct Report {
    /// When this was judged.
    now: String,
    version: &'static str,
    summary: SummaryReport,
    /// In words; empty while any instance is watched.
    nothing_watched_because: Vec<String>,
    instances: Vec<InstanceReport>,
    /// Where instances are looked for.
    regions: Vec<RegionReport>,
    accounts: Vec<AccountReport>,
}

/// Counts all instances, whichever were asked for.
#[derive(Debug, Serialize)]
struct SummaryReport {
    instances: usize,
    selected: usize,
    protected: usize,
    gone: usize,
    broken: usize,
    failing: usize,
    unprotected: usize,
    warning: usize,
    waiting: usize,
    ok: usize,
    failing_regions: usize,
}

#[derive(Debug, Serialize)]
struct AccountReport {
    provider: &'static str,
    account: String,
    instances: usize,
    last_attempt: Option<String>,
    last_success: Option<String>,
}

#[derive(Debug, Serialize)]
struct RegionReport {
    provider: &'static str,
    account: String,
    source_region: String,
    success: Option<bool>,
    reason: Option<&'static str>,
    error: Option<String>,
    last_success: Option<String>,
    found: usize,
    outlived: Vec<String>,
}

impl Report {
    /// Gathers what was judged at `now`, of the instances that are asked for.
    pub fn new(
        instances: &[Assessed],
        regions: &[(RegionKey, Arc<RegionFacts>)],
        shard: Shard,
        query: &Query,
        now: DateTime<Utc>,
    ) -> Self {
        let mut left = if query.sets { MOST_SETS_IN_ALL } else { 0 };
        let report = |instance: &Assessed| {
            let mut report = InstanceReport::new(instance, now);
            if query.sets {
                left -= report.add_sets(instance, left.min(MOST_SETS), now);
            }
            report
        };
        let selected = query.select(instances, None);
        let selected: Vec<_> = selected.into_iter().map(report).collect();
        let all = instances.iter().map(|instance| &*instance.facts);
        let nothing_watched_because = why_nothing_is_watched(all, regions, shard);
        let regions: Vec<_> = regions
            .iter()
            .map(|(key, found)| RegionReport::new(key, found))
            .collect();
        Self {
            now: written(now),
            version: env!("CARGO_PKG_VERSION"),
            summary: SummaryReport::new(&Summary::of(instances), selected.len(), &regions),
            nothing_watched_because,
            instances: selected,
            regions,
            accounts: summary::accounts(instances)
                .iter()
                .map(AccountReport::new)
                .collect(),
        }
    }

    /// Why nothing is watched, in words; empty while any instance is.
    pub fn nothing_watched_because(&self) -> &[String] {
        &self.nothing_watched_because
    }

    /// One JSON document with a line feed at its end.
    ///
    /// # Errors
    /// None in practice: every key is a string.
    pub fn json(&self) -> serde_json::Result<String> {
        serde_json::to_string_pretty(self).map(|json| json + "\n")
    }
}

impl SummaryReport {
    fn new(summary: &Summary, selected: usize, regions: &[RegionReport]) -> Self {
        Self {
            instances: summary.instances,
            selected,
            protected: summary.protected,
            gone: summary.in_state(State::Gone),
            broken: summary.in_state(State::Broken),
            failing: summary.in_state(State::Failing),
            unprotected: summary.in_state(State::Unprotected),
            warning: summary.in_state(State::Warning),
            waiting: summary.in_state(State::Waiting),
            ok: summary.in_state(State::Ok),
            failing_regions: regions
                .iter()
                .filter(|region| region.success == Some(false))
                .count(),
        }
    }
}

impl AccountReport {
    fn new(account: &AccountSummary<'_>) -> Self {
        Self {
            provider: account.provider,
            account: account.account.to_owned(),
            instances: account.instances,
            last_attempt: account.last_attempt.map(written),
            last_success: account.last_success.map(written),
        }
    }
}

impl RegionReport {
    fn new(key: &RegionKey, found: &RegionFacts) -> Self {
        let attempt = found.last_attempt.as_ref();
        let failure = attempt.and_then(|attempt| attempt.failure.as_ref());
        Self {
            provider: key.provider,
            account: key.account.to_string(),
            source_region: key.region.to_string(),
            success: attempt.map(|attempt| attempt.failure.is_none()),
            reason: failure.map(|failure| failure.reason.label()),
            error: failure.map(|failure| failure.message.clone()),
            last_success: found.last_success.map(written),
            found: found.present().count(),
            outlived: found.outlived.clone(),
        }
    }
}
