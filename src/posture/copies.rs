//! What is kept of an instance, and what still waits to be copied.

use std::collections::{BTreeMap, BTreeSet};

use chrono::Duration;

use super::{Copy, Place, Success, Uncopied, View};
use crate::backup::{BackupSet, BackupType, ListingKind, Scope, Status};

/// How much older than its local set the data of a copy may be and still count as its copy: the vendor may make a copy
/// from a snapshot that it took a little earlier.
const COPY_TOLERANCE: Duration = Duration::minutes(10);

impl View<'_> {
    pub(super) fn copies(&self) -> Vec<Copy> {
        let mut by_copy: BTreeMap<(Place, BackupType), Vec<&BackupSet>> = BTreeMap::new();
        for place in self.places_with_zeros() {
            by_copy.insert((place, BackupType::Full), Vec::new());
        }
        for kind in ListingKind::ALL {
            for set in self.sets(kind) {
                let copy = (Place::of(set), set.backup_type);
                by_copy.entry(copy).or_default().push(set);
            }
        }
        by_copy
            .into_iter()
            .map(|((place, backup_type), sets)| self.copy(place, backup_type, &sets))
            .collect()
    }

    /// Where a full copy shows as an explicit zero even though no set was ever seen there.
    fn places_with_zeros(&self) -> Vec<Place> {
        let mut places = Vec::new();
        if self.read(ListingKind::CrossRegion).is_some() {
            let regions = self.expected_regions.iter().copied();
            // Nothing declared and nothing seen: the zero is there all the same, with an empty region.
            let nowhere = self.expected_regions.is_empty().then_some("");
            places.extend(regions.chain(nowhere).map(|region| Place {
                scope: Scope::CrossRegion,
                backup_region: region.to_owned(),
            }));
        }
        if self.read(ListingKind::Local).is_some() {
            places.push(Place {
                scope: Scope::Local,
                backup_region: self.facts.target.key.source_region.to_string(),
            });
        }
        places
    }

    fn copy(&self, place: Place, backup_type: BackupType, sets: &[&BackupSet]) -> Copy {
        // What holds a part of the instance is counted, and is neither good news nor bad.
        let judged = match backup_type {
            BackupType::Partial => &[],
            BackupType::Full | BackupType::Incremental | BackupType::Log => sets,
        };
        let usable_sets = judged.iter().filter(|set| self.usable.contains(set));
        let newest_usable = usable_sets.copied().max_by_key(|set| set.finished());
        let listed = || judged.iter().copied().filter(|set| self.in_lookback(set));
        let failed = || listed().filter(|set| set.status == Status::Failed);
        let usable = || listed().filter(|set| self.usable.contains(set));
        let last_success_at = newest_usable.and_then(BackupSet::finished);
        let last_failure = failed().filter_map(BackupSet::finished).max();

        let mut counts = BTreeMap::from([(Status::Completed, 0), (Status::Failed, 0)]);
        for set in sets.iter().filter(|set| self.in_lookback(set)) {
            *counts.entry(set.status).or_default() += 1;
        }
        Copy {
            place,
            backup_type,
            last_success: newest_usable.and_then(Success::of),
            last_failure,
            last_attempt_success: match (last_success_at, last_failure) {
                (None, None) => None,
                (success, failure) => Some(success >= failure),
            },
            consecutive_failures: failed()
                .filter(|set| set.finished() > last_success_at)
                .count() as u64,
            sets: counts,
            stored_bytes: usable()
                .filter_map(|set| set.size_bytes)
                .fold(0, u64::saturating_add),
            oldest: usable().filter_map(BackupSet::finished).min(),
            running_since: listed()
                .filter(|set| set.status == Status::Running)
                .filter_map(|set| set.started)
                .min(),
        }
    }

    pub(super) fn restorable_sets(&self) -> BTreeMap<String, u64> {
        let mut sets = BTreeMap::new();
        let usable = self.usable_sets(ListingKind::CrossRegion);
        for set in usable.filter(|set| self.in_lookback(set)) {
            let regions: BTreeSet<_> = set.restore_regions.iter().collect();
            for region in regions {
                *sets.entry(region.clone()).or_default() += 1;
            }
        }
        sets
    }

    /// Local full sets whose data is newer than that of the newest copy, of the kinds that the vendor copies. Both listings must have been read. What ended
    /// before the copying was switched on is not copied any more.
    pub(super) fn uncopied(&self) -> Vec<Uncopied> {
        if self.read(ListingKind::CrossRegion).is_none() || self.read(ListingKind::Local).is_none()
        {
            return Vec::new();
        }
        let full = |set: &&BackupSet| set.backup_type == BackupType::Full;
        self.expected_regions
            .iter()
            .map(|region| {
                let since = self.protected_in_since(region);
                let copied_up_to = self
                    .usable_sets(ListingKind::CrossRegion)
                    .filter(full)
                    .filter(|set| *set.backup_region == **region)
                    .filter_map(|set| set.recovery_point)
                    .max();
                let lacking: Vec<_> = self
                    .usable_sets(ListingKind::Local)
                    .filter(full)
                    .filter(|set| set.is_copied && self.in_lookback(set))
                    .filter(|set| since <= set.finished())
                    .filter(|set| {
                        let point = set.recovery_point.or(set.finished());
                        point > copied_up_to.map(|copied| copied + COPY_TOLERANCE)
                    })
                    .collect();
                Uncopied {
                    backup_region: (*region).to_owned(),
                    sets: lacking.len() as u64,
                    oldest: lacking.iter().filter_map(|set| set.finished()).min(),
                }
            })
            .collect()
    }
}

impl Success {
    fn of(set: &BackupSet) -> Option<Self> {
        Some(Self {
            ended: set.finished()?,
            size_bytes: set.size_bytes,
            duration: match (set.started, set.ended) {
                (Some(started), Some(ended)) if ended >= started => Some(ended - started),
                _ => None,
            },
        })
    }
}
