//! To when one could restore: from what is kept, and by the provider's own word.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};

use super::{Place, Restorable, Switch, View};
use crate::backup::{BackupType, ListingKind, Scope};
use crate::facts::Found;
use crate::log_chain::Reach;

impl View<'_> {
    /// The newest instant to which each place restores, and the holes in its logs. A log file counts only if it continues a
    /// usable set: there is nothing to replay it on otherwise.
    pub(super) fn recovery_points(&self) -> (BTreeMap<Place, DateTime<Utc>>, BTreeMap<Place, u64>) {
        let mut bases: BTreeMap<Place, DateTime<Utc>> = BTreeMap::new();
        let mut with_logs: BTreeSet<Place> = BTreeSet::new();
        for set in ListingKind::ALL
            .into_iter()
            .flat_map(|kind| self.sets(kind))
        {
            let place = Place::of(set);
            if set.backup_type == BackupType::Log {
                with_logs.insert(place);
            } else if let Some(point) = set.recovery_point
                && self.usable.contains(set)
            {
                let newest = bases.entry(place).or_insert(point);
                *newest = point.max(*newest);
            }
        }
        let continued = self.facts.bases(self.now);
        let mut gaps = BTreeMap::new();
        for place in with_logs {
            let base = continued.get(&(place.scope, &*place.backup_region));
            let Reach {
                newest,
                gaps: found,
            } = self.reach(&place, base.copied());
            gaps.insert(place.clone(), found);
            if newest > bases.get(&place).copied() {
                bases.extend(newest.map(|newest| (place, newest)));
            }
        }
        (bases, gaps)
    }

    /// How far the log files of a place continue a set. They may be listed on their own or among the sets.
    fn reach(&self, place: &Place, base: Option<DateTime<Utc>>) -> Reach {
        let kinds = match place.scope {
            Scope::Local => &[ListingKind::Local][..],
            Scope::CrossRegion => &[ListingKind::CrossRegionLog, ListingKind::CrossRegion],
        };
        let read = kinds.iter().filter_map(|kind| self.read(*kind));
        let mut reaches = read.map(|sets| sets.logs.reach(&place.backup_region, base));
        let first = reaches.next().unwrap_or(Reach {
            newest: None,
            gaps: 0,
        });
        reaches.fold(first, |one, other| Reach {
            newest: one.newest.max(other.newest),
            gaps: one.gaps + other.gaps,
        })
    }

    /// The newest window of each place.
    pub(super) fn restore_windows(&self) -> BTreeMap<Place, Restorable> {
        let mut newest: BTreeMap<Place, Restorable> = BTreeMap::new();
        let Found::Windows(found) = self.found(ListingKind::RestoreWindow) else {
            return newest;
        };
        for window in &found.windows {
            let place = Place {
                scope: window.scope,
                backup_region: window.backup_region.clone(),
            };
            let (start, end) = (window.start, window.end);
            newest
                .entry(place)
                .and_modify(|known| {
                    let (start, end) = if end > known.end {
                        (start, end)
                    } else {
                        (known.start, known.end)
                    };
                    *known = Restorable {
                        start,
                        end,
                        gaps: known.gaps + 1,
                    };
                })
                .or_insert(Restorable {
                    start,
                    end,
                    gaps: 0,
                });
        }
        newest
    }

    /// The policy's switches. One that is off and names no region is shown for each region in which a copy is expected.
    pub(super) fn switches(&self) -> BTreeMap<(Place, BackupType), Switch> {
        let mut switches = BTreeMap::new();
        for switch in self
            .policy()
            .into_iter()
            .flat_map(|policy| &policy.switches)
        {
            let is_open = switch.scope == Scope::CrossRegion && switch.backup_region.is_empty();
            let regions: Vec<&str> = if is_open && !self.expected_regions.is_empty() {
                self.expected_regions.iter().copied().collect()
            } else {
                vec![&switch.backup_region]
            };
            for region in regions {
                let place = Place {
                    scope: switch.scope,
                    backup_region: region.to_owned(),
                };
                let shown = Switch {
                    enabled: switch.enabled,
                    retention: switch.retention,
                };
                switches.insert((place, switch.backup_type), shown);
            }
        }
        switches
    }
}
