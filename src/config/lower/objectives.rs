//! The section `objectives`, at the top and of each instance.

use std::time::Duration;

use super::super::raw::{KeyNames, Mapping, Place, Read, Told, described};
use super::{DAY_SECONDS, HOUR_SECONDS, LONGEST, Lowering, SHORTEST};
use crate::backup::ListingKind;
use crate::target::{Objective, Objectives};

pub(crate) const OBJECTIVE_KEYS: [&str; 4] = [
    Objective::RecoveryPoint.label(),
    Objective::BackupAge.label(),
    Objective::CopyDelay.label(),
    Objective::Retention.label(),
];

pub(crate) const DEFAULT_OBJECTIVES: Objectives = Objectives {
    recovery_point: Some(Duration::from_secs(26 * HOUR_SECONDS)),
    backup_age: Some(Duration::from_secs(26 * HOUR_SECONDS)),
    copy_delay: Some(Duration::from_secs(6 * HOUR_SECONDS)),
    retention: Some(Duration::from_secs(7 * DAY_SECONDS)),
};

/// Promises as they are inherited. What was wrong has its default in `objectives`, and is in the report.
#[derive(Clone, Copy)]
pub(super) struct Promises {
    pub(super) objectives: Objectives,
    retention: Read<Option<Duration>>,
}

impl Promises {
    /// Those that can have a verdict where only these listings are ever read. What nobody could ever say to be met is not
    /// promised by default.
    pub(super) fn within(mut self, listings: &[ListingKind]) -> Self {
        self.objectives = self.objectives.within(listings);
        if self.objectives.retention.is_none() {
            self.retention = self.retention.and(Ok(None));
        }
        self
    }
}

impl Lowering<'_> {
    /// The promises for each instance that has none of its own.
    pub(super) fn default_promises(&mut self, top: &Mapping<'_>) -> Promises {
        let defaults = Promises {
            objectives: DEFAULT_OBJECTIVES,
            retention: Ok(DEFAULT_OBJECTIVES.retention),
        };
        self.promises(top, defaults)
    }

    /// The promises for one instance.
    pub(super) fn instance_promises(
        &mut self,
        instance: &Mapping<'_>,
        inherited: Promises,
    ) -> Promises {
        let promises = self.promises(instance, inherited);
        if let Some(place) = own_retention(instance) {
            if let Some(excess) = self.excess(promises) {
                place.complain(excess, &mut self.report);
            }
        } else {
            self.inherits_retention |= inherited.retention != Ok(None);
        }
        promises
    }

    /// Checks the retention at the top: it may be anything as long as each instance has its own.
    pub(super) fn check_inherited_retention(&mut self, top: &Mapping<'_>, promises: Promises) {
        if !self.inherits_retention {
            return;
        }
        let Some(excess) = self.excess(promises) else {
            return;
        };
        if let Some(place) = own_retention(top) {
            place.complain(excess, &mut self.report);
        } else {
            let place = top.place.path.key("objectives").key("retention");
            self.report.add(&place, format!("the default of {excess}"));
        }
    }

    /// Each promise that is not named is inherited.
    fn promises(&mut self, parent: &Mapping<'_>, inherited: Promises) -> Promises {
        let mut promises = inherited;
        let Some(node) = parent.get("objectives") else {
            return promises;
        };
        let Ok(mapping) = node.mapping(&OBJECTIVE_KEYS, KeyNames::Shown, &mut self.report) else {
            promises.retention = Err(Told);
            return promises;
        };
        for objective in Objective::ALL {
            let Some(node) = mapping.get(objective.label()) else {
                continue;
            };
            let promise = node.promise(SHORTEST..=LONGEST, &mut self.report);
            if let Ok(promise) = promise {
                promises.objectives.set(objective, promise);
            }
            if objective == Objective::Retention {
                promises.retention = promise;
            }
        }
        promises
    }

    /// An older set than the look-back is never listed, so that a longer retention could never be seen to be met.
    fn excess(&self, promises: Promises) -> Option<String> {
        let (retention, lookback) = (promises.retention.ok()??, self.lookback?);
        (retention > lookback).then(|| {
            format!(
                "{} is more than `poll.lookback`, {}: sets so old would never be listed",
                described(retention),
                described(lookback)
            )
        })
    }
}

/// Where a section's own `objectives.retention` stands, if it has one.
fn own_retention<'a>(parent: &Mapping<'a>) -> Option<Place<'a>> {
    let objectives = parent.get("objectives")?;
    objectives.entry("retention").map(|node| node.place)
}
