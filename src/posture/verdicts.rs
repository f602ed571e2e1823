//! Whether the promises hold.

use std::collections::BTreeMap;

use chrono::{DateTime, Duration, Utc};

use super::{Copy, Place, Uncopied, Verdict, View};
use crate::backup::{BackupType, ListingKind, Scope};
use crate::facts::Found;
use crate::target::Objective;

impl View<'_> {
    pub(super) fn verdicts(
        &self,
        copies: &[Copy],
        recovery_points: &BTreeMap<Place, DateTime<Utc>>,
        uncopied: &[Uncopied],
    ) -> Vec<Verdict> {
        let age = |time: DateTime<Utc>| self.now - time;
        let judge = |objective, promise: Duration| match objective {
            Objective::RecoveryPoint if self.protected() == Some(false) => Some(false),
            Objective::RecoveryPoint => self
                .judge_cross_region(|region| {
                    let place = Place::cross_region(region);
                    recovery_points
                        .get(&place)
                        .is_some_and(|point| age(*point) < promise)
                })
                // Logs could only make it better: without them a broken promise is not known to be broken.
                .filter(|met| *met || self.log_copies_are_known()),
            Objective::BackupAge => match self.found(ListingKind::Local) {
                Found::Unsupported => Some(false),
                Found::Nothing | Found::Policy(_) | Found::Windows(_) => None,
                Found::Sets(_) => Some(
                    newest_success(copies, |place| place.scope == Scope::Local)
                        .is_some_and(|ended| age(ended) < promise),
                ),
            },
            // What has to be copied and where is known only once both listings were read.
            Objective::CopyDelay => (!uncopied.is_empty()).then(|| {
                uncopied
                    .iter()
                    .filter_map(|region| region.oldest)
                    .all(|oldest| age(oldest) <= promise)
            }),
            Objective::Retention => self.judge_cross_region(|region| {
                // Log files go back no further than the set that they continue, and nothing can be older than the copying
                // itself.
                let is_young = self
                    .protected_in_since(region)
                    .is_some_and(|since| age(since) < promise);
                copies
                    .iter()
                    .filter(|copy| copy.place == Place::cross_region(region))
                    .filter(|copy| copy.backup_type != BackupType::Log)
                    .filter_map(|copy| copy.oldest)
                    .min()
                    .is_some_and(|oldest| is_young || age(oldest) >= promise)
            }),
        };
        Objective::ALL
            .into_iter()
            .filter_map(|objective| {
                let promise = self.facts.target.objectives.get(objective)?;
                let limit = Duration::from_std(promise).unwrap_or(Duration::MAX);
                Some(Verdict {
                    objective,
                    promise,
                    met: judge(objective, limit),
                })
            })
            .collect()
    }

    /// A promise about other regions holds if it holds in every region in which a copy is expected. Where none is
    /// expected, or none can be made, it is broken.
    fn judge_cross_region(&self, holds: impl Fn(&str) -> bool) -> Option<bool> {
        match self.found(ListingKind::CrossRegion) {
            Found::Unsupported => Some(false),
            Found::Nothing | Found::Policy(_) | Found::Windows(_) => None,
            Found::Sets(_) => Some(
                !self.expected_regions.is_empty()
                    && self.expected_regions.iter().all(|region| holds(region)),
            ),
        }
    }
}

fn newest_success(copies: &[Copy], wanted: impl Fn(&Place) -> bool) -> Option<DateTime<Utc>> {
    copies
        .iter()
        .filter(|copy| wanted(&copy.place))
        .filter_map(|copy| copy.last_success.map(|success| success.ended))
        .max()
}
