//! To when one could restore: from what is kept, and by the provider's own word.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use super::{Place, Restorable, Switch, View};
use crate::backup::{BackupSet, BackupType, ListingKind, Scope};
use crate::facts::Found;
use crate::log_chain::{Chain, Hole, Reach};

impl<'a> View<'a> {
    /// The newest instant to which each place restores, and the holes in its logs. A log file counts only if it continues a
    /// usable set: there is nothing to replay it on otherwise.
    pub(super) fn recovery_points(&self) -> (BTreeMap<Place, DateTime<Utc>>, BTreeMap<Place, u64>) {
        let mut bases: BTreeMap<Place, DateTime<Utc>> = BTreeMap::new();
        let mut logs: BTreeMap<Place, Vec<&BackupSet>> = BTreeMap::new();
        for set in ListingKind::ALL
            .into_iter()
            .flat_map(|kind| self.sets(kind))
        {
            let place = Place::of(set);
            if set.backup_type == BackupType::Log {
                logs.entry(place).or_default().push(set);
            } else if let Some(point) = set.recovery_point
                && self.usable.contains(set)
            {
                let newest = bases.entry(place).or_insert(point);
                *newest = point.max(*newest);
            }
        }
        let mut gaps = BTreeMap::new();
        for (place, logs) in logs {
            let holes = self
                .holes()
                .filter(|hole| hole.backup_region == place.backup_region);
            let chain = Chain::new(logs, holes, self.logs_listed_from(), self.now);
            let Reach {
                newest,
                gaps: found,
            } = chain.reach(bases.get(&place).copied());
            gaps.insert(place.clone(), found);
            if let Some(newest) = newest {
                bases.insert(place, newest);
            }
        }
        (bases, gaps)
    }

    fn holes(&self) -> impl Iterator<Item = &'a Hole> + use<'a> {
        let logs = self.read(ListingKind::CrossRegionLog);
        logs.into_iter().flat_map(|sets| &sets.holes)
    }

    /// Where the log files begin that were listed when they were last listed.
    fn logs_listed_from(&self) -> DateTime<Utc> {
        let listings = &self.facts.listings;
        let of_logs = listings.get(&ListingKind::CrossRegionLog);
        // Where they have no listing of their own, they came with another.
        let read = of_logs.and_then(|facts| facts.last_success).or_else(|| {
            listings
                .values()
                .filter_map(|facts| facts.last_success)
                .max()
        });
        let edge = self.lookback.of(BackupType::Log);
        read.map_or(edge, |read| edge - (self.now - read))
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
