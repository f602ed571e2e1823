//! What `/metrics` says: the catalogue's families, then those of the process.
//!
//! Rendered from one consistent look at facts and counters. Asks no provider, and judges nothing itself.

pub mod catalogue;
pub mod exposition;
mod process;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use chrono::{DateTime, Utc};

use self::exposition::Exposition;
pub use self::exposition::Format;
pub use self::process::ProcessMetrics;
use crate::facts::{InstanceFacts, RegionFacts, RegionKey};
use crate::posture::Posture;
use crate::tally::Counts;

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
}

/// Writes a scrape.
pub fn render(scrape: &Scrape<'_>, process: &ProcessMetrics, format: Format) -> String {
    let mut exposition = Exposition::new(format);
    catalogue::write(scrape, &mut exposition);
    process.write(&mut exposition);
    exposition.finish()
}
