//! What `/metrics` says: the catalogue's families, then those of the process.
//!
//! Rendered from one consistent look at facts and counters. Asks no provider, and judges nothing itself.

pub mod catalogue;
pub mod edition;
pub mod exposition;
mod process;
mod states;
#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::sync::Arc;

use chrono::{DateTime, Utc};

pub use self::exposition::Format;
use self::exposition::{Ages, Exposition, InstanceFamily};
pub use self::process::ProcessMetrics;
use self::states::{Existence, States};
use crate::facts::{InstanceFacts, RegionFacts, RegionKey};
use crate::posture::Posture;
use crate::shard::Shard;
use crate::tally::Counts;
use crate::target::InstanceKey;

/// One instance with its judgement.
#[derive(Debug)]
pub struct Assessed {
    /// What is known.
    pub facts: Arc<InstanceFacts>,
    /// What it means at the time of the scrape.
    pub posture: Posture,
}

/// How loading the configuration went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReloadState {
    /// Whether the last attempt succeeded.
    pub successful: bool,
    /// When the configuration in force was loaded.
    pub last_success: DateTime<Utc>,
}

/// Everything that a scrape shows.
#[derive(Debug)]
pub struct Scrape<'a> {
    /// The time of the scrape.
    pub now: DateTime<Utc>,
    /// Every instance.
    pub instances: &'a [Assessed],
    /// The regions in which instances are looked for.
    pub regions: &'a [(RegionKey, Arc<RegionFacts>)],
    /// What the exporter counted.
    pub counts: &'a Counts,
    /// How loading the configuration went.
    pub reload: ReloadState,
    /// Which part of the instances is watched.
    pub shard: Shard,
}

/// What is shown beside the single instances.
#[derive(Debug)]
struct Overview<'a> {
    states: &'a States,
    regions: &'a [(RegionKey, Arc<RegionFacts>)],
    counts: &'a Counts,
    reload: ReloadState,
    shard: Shard,
}

/// Writes a scrape from the beginning. A server does better with the [`edition`]s that an editor keeps up to date.
pub fn render(scrape: &Scrape<'_>, process: &ProcessMetrics, format: Format) -> Vec<u8> {
    let mut exposition = Exposition::new(format);
    let now = scrape.now.timestamp();
    let instances: Vec<_> = scrape
        .instances
        .iter()
        .map(|instance| {
            let labels = catalogue::instance_labels(&instance.facts.target.key);
            (instance, exposition::written_labels(&labels))
        })
        .collect();
    for (row, samples) in catalogue::about_instances() {
        let mut text = Vec::new();
        for (instance, labels) in &instances {
            let mut family = InstanceFamily {
                name: row.name,
                labels,
                text: &mut text,
                ages: Ages::AsOf(now),
            };
            samples(instance, &mut family);
        }
        exposition.add(row.name, row.metric_type, row.help, &text);
    }
    let watched = scrape.instances.iter();
    let watched =
        watched.map(|instance| (&instance.facts.target.key, Existence::of(&instance.posture)));
    let keys: HashSet<&InstanceKey> = watched.clone().map(|(key, _)| key).collect();
    let overview = Overview {
        states: &States::count(watched, scrape.regions, |key| keys.contains(key)),
        regions: scrape.regions,
        counts: scrape.counts,
        reload: scrape.reload,
        shard: scrape.shard,
    };
    catalogue::write_overview(&overview, &mut exposition);
    process.write(&mut exposition);
    exposition.finish()
}
