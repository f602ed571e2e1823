//! From what to what a listing shows: what is remembered of before, which sets log files may continue, and how far back a
//! listing has to be read for that.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Duration, Utc};

use super::{Found, InstanceFacts, Sets};
use crate::backup::{BackupSet, BackupType, Edges, Listing, ListingKind, Lookback, Scope};
use crate::log_chain::LogReading;

/// A set that will leave the look-back so soon is asked for as if it had: a question may stand in line for a while.
const SOON: Duration = Duration::hours(1);

/// Sets are asked for from a little before the one that is meant.
const SLACK: Duration = Duration::minutes(1);

/// The sets of one type in one place.
type Copy<'a> = (Scope, &'a str, BackupType);

fn copy_of(set: &BackupSet) -> Copy<'_> {
    (set.scope, &set.backup_region, set.backup_type)
}

const fn is_log(set: &BackupSet) -> bool {
    matches!(set.backup_type, BackupType::Log)
}

impl Sets {
    /// Every set that is known, the remembered ones included.
    pub fn all(&self) -> impl Iterator<Item = &BackupSet> {
        self.listing.sets.iter().chain(&self.remembered)
    }

    /// What is known once this was read.
    pub(super) fn followed_by(
        &self,
        mut listing: Listing,
        lookback: Lookback,
        now: DateTime<Utc>,
    ) -> Self {
        let edges = lookback.ending(now);
        let logs = self.logs.followed_by(
            self.all(),
            &listing.sets,
            LogReading {
                from: listing.read_from(edges, BackupType::Log),
                goes_back: listing.back_to.is_some(),
                is_whole: listing.complete,
                oldest: edges.of(BackupType::Full),
                now,
            },
        );
        let remembered = self.newest_before(&listing, edges, now);
        if listing.back_to.take().is_some() {
            // Read once for what they cover, and as many as the instance has of them.
            let is_kept = |set: &BackupSet| !is_log(set) || edges.contain(set);
            listing.sets.retain(is_kept);
        }
        Self {
            remembered,
            logs,
            listing: listing.made_lean(),
        }
    }

    /// For each copy the newest usable set that began before the look-back.
    ///
    /// A set that began later and is no longer listed was deleted, and is forgotten with reason.
    fn newest_before(&self, listing: &Listing, edges: Edges, now: DateTime<Utc>) -> Vec<BackupSet> {
        let mut newest: BTreeMap<Copy<'_>, &BackupSet> = BTreeMap::new();
        // Of what was just listed only logs are dropped.
        let logs = listing.sets.iter().filter(|set| is_log(set));
        for set in self.all().chain(logs) {
            if !set.is_usable(now) || edges.contain(set) {
                continue;
            }
            let best = newest.entry(copy_of(set)).or_insert(set);
            if set.finished() > best.finished() {
                *best = set;
            }
        }
        let remembered = newest.into_values().cloned().map(|mut set| {
            if !is_log(&set) && listing.denies(&set, edges, now) {
                set.recovery_point = None;
            }
            set
        });
        remembered.collect()
    }
}

impl Listing {
    /// Sets of this type that began later were listed.
    fn read_from(&self, edges: Edges, backup_type: BackupType) -> DateTime<Utc> {
        let edge = edges.of(backup_type);
        self.back_to.map_or(edge, |back_to| back_to.min(edge))
    }

    /// Whether the set would be among these, and usable, if it were still there.
    fn denies(&self, set: &BackupSet, edges: Edges, now: DateTime<Utc>) -> bool {
        let is_same =
            |other: &BackupSet| copy_of(other) == copy_of(set) && other.dated() == set.dated();
        let mut others = self.sets.iter();
        self.complete
            && set.dated() > Some(self.read_from(edges, set.backup_type))
            && !others.any(|other| is_same(other) && other.is_usable(now))
    }
}

impl InstanceFacts {
    /// The newest recovery point, in each place, of a set that log files may continue: one that is listed, or one that has
    /// left the look-back and is known to be kept for longer.
    pub fn bases(&self, now: DateTime<Utc>) -> BTreeMap<(Scope, &str), DateTime<Utc>> {
        let mut bases: BTreeMap<(Scope, &str), DateTime<Utc>> = BTreeMap::new();
        for sets in self.all_sets() {
            let remembered = sets.remembered.iter();
            let kept = remembered.filter(|set| {
                self.kept_until(set)
                    .is_some_and(|kept_until| kept_until > now)
            });
            for set in sets.listing.sets.iter().chain(kept) {
                if is_log(set) || !set.is_usable(now) {
                    continue;
                }
                if let Some(point) = set.recovery_point {
                    let newest = bases
                        .entry((set.scope, &set.backup_region))
                        .or_insert(point);
                    *newest = point.max(*newest);
                }
            }
        }
        bases
    }

    /// Until when the provider keeps a set: by the set's own date, else by the policy; `None` where neither is known.
    pub fn kept_until(&self, set: &BackupSet) -> Option<DateTime<Utc>> {
        set.expires.or_else(|| {
            let Some(Found::Policy(policy)) = self.found(ListingKind::Policy) else {
                return None;
            };
            let switches = policy.switches.iter().filter(|switch| {
                switch.scope == set.scope
                    && switch.backup_type == BackupType::Full
                    && (switch.backup_region.is_empty()
                        || *switch.backup_region == *set.backup_region)
            });
            let retention = switches.filter_map(|switch| switch.retention).min()?;
            set.dated()?
                .checked_add_signed(Duration::from_std(retention).ok()?)
        })
    }

    /// From when on a listing has to be read, where that is further back than its look-back: logs once back to the set that
    /// they continue, and sets always back to one that logs or incremental sets continue. It may have been deleted.
    pub fn reads_back_to(
        &self,
        kind: ListingKind,
        lookback: Lookback,
        now: DateTime<Utc>,
    ) -> Option<DateTime<Utc>> {
        match kind {
            ListingKind::CrossRegion => self.sets_read_back_to(lookback, now),
            ListingKind::CrossRegionLog => self.logs_read_back_to(lookback, now),
            ListingKind::Local | ListingKind::Policy | ListingKind::RestoreWindow => None,
        }
    }

    fn logs_read_back_to(&self, lookback: Lookback, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let bases = self.bases(now).into_iter();
        let away = bases.filter(|((scope, _), _)| *scope == Scope::CrossRegion);
        let base = away.map(|(_, point)| point).min()?;
        let nothing = Sets::default();
        let logs = self.listings.get(&ListingKind::CrossRegionLog);
        let sets = logs.and_then(|logs| logs.found.sets());
        let last_read = logs.and_then(|logs| logs.last_success);
        let coverage = &sets.unwrap_or(&nothing).logs;
        coverage.reads_back_to(base, last_read, lookback.logs, now)
    }

    fn sets_read_back_to(&self, lookback: Lookback, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let edge = lookback.ending(now).of(BackupType::Full);
        let copies = self.found(ListingKind::CrossRegion)?.sets()?;
        let logs = self.found(ListingKind::CrossRegionLog);
        let logs = logs.and_then(Found::sets).into_iter();
        let listed = logs.flat_map(|logs| &logs.listing.sets);
        let later = listed
            .chain(&copies.listing.sets)
            .filter(|set| set.backup_type != BackupType::Full && set.is_usable(now));
        // Where there is nothing that needs it, nobody need know.
        let places: BTreeSet<&str> = later.map(|set| &*set.backup_region).collect();
        let mut newest: BTreeMap<&str, DateTime<Utc>> = BTreeMap::new();
        for set in copies.all() {
            let is_base = set.backup_type == BackupType::Full && set.is_usable(now);
            if let Some(dated) = set.dated().filter(|_| is_base) {
                let known = newest.entry(&set.backup_region).or_insert(dated);
                *known = dated.max(*known);
            }
        }
        // No more than twice the look-back is ever read.
        let length = now - edge;
        let oldest = newest
            .into_iter()
            .filter(|(region, dated)| {
                places.contains(region) && *dated < edge + SOON && *dated > edge - length
            })
            .map(|(_, dated)| dated - SLACK)
            .min()?;
        (oldest < edge).then_some(oldest)
    }

    fn found(&self, kind: ListingKind) -> Option<&Found> {
        self.listings.get(&kind).map(|listing| &listing.found)
    }

    fn all_sets(&self) -> impl Iterator<Item = &Sets> {
        let listings = self.listings.values();
        listings.filter_map(|listing| listing.found.sets())
    }
}
