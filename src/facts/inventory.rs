//! What is known about the instances of one region: which there are, and which there are no longer.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};

use super::{Attempt, Failure};
use crate::backup::{FoundInstance, Inventory};
use crate::provider::error::ListError;

/// A region of an account in which instances are looked for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RegionKey {
    /// The provider's label.
    pub provider: &'static str,
    /// The configuration's name for the account.
    pub account: Arc<str>,
    /// The region.
    pub region: Arc<str>,
}

/// What is known about the instances of a region.
#[derive(Debug, Clone, Default)]
pub struct RegionFacts {
    /// How looking for them went the last time; `None` before the first.
    pub last_attempt: Option<Attempt>,
    /// When they were last listed.
    pub last_success: Option<DateTime<Utc>>,
    /// Those that were listed, by id, those included that are missing since lately.
    pub instances: BTreeMap<String, Listed>,
    /// Ids that only another region still lists, since their instances were deleted.
    pub outlived: Vec<String>,
}

/// One instance that was listed once.
#[derive(Debug, Clone)]
pub struct Listed {
    /// As it was listed the last time.
    pub instance: FoundInstance,
    /// Since when it is missing from the list.
    pub gone_since: Option<DateTime<Utc>>,
}

impl RegionFacts {
    /// A failure changes nothing about what is known, and a part of a list takes nothing away.
    pub(super) fn record(
        &mut self,
        at: DateTime<Utc>,
        grace: Duration,
        outcome: Result<Inventory, ListError>,
    ) {
        let failure = outcome.as_ref().err().map(Failure::from);
        self.last_attempt = Some(Attempt { at, failure });
        let Ok(inventory) = outcome else { return };
        self.last_success = Some(at);
        if inventory.complete {
            let grace = chrono::Duration::from_std(grace).unwrap_or(chrono::Duration::MAX);
            self.instances.retain(|_, listed| {
                let gone_since = *listed.gone_since.get_or_insert(at);
                at - gone_since < grace
            });
            self.outlived = inventory.outlived;
        }
        for instance in inventory.instances {
            let listed = Listed {
                instance,
                gone_since: None,
            };
            self.instances.insert(listed.instance.id.clone(), listed);
        }
    }
}
