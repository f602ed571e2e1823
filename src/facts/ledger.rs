//! What became of the backup sets of one listing: how many were seen to be made or to fail, and how many disappeared
//! before their time.
//!
//! Pure. Kept only where it outlives the process, as counters that forget would count the same set anew after each
//! restart. Made from one reading after the other by `facts`, shown by `metrics`.

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, Duration, Utc};

use super::Sets;
use crate::backup::{BackupSet, BackupType, Edges, Listing, Lookback, Policy, Scope, Status};

/// A set that began so soon after the look-back is about to leave it: the vendor may have taken a moment to answer, and
/// its clock is not ours.
const EDGE_MARGIN: Duration = Duration::hours(1);

/// Vendors keep a set for so many days, and remove it at some hour of the last one.
const RETENTION_MARGIN: Duration = Duration::days(1);

/// The counts of one listing, and what has to be remembered so as to count nothing twice.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ledger {
    /// What was counted, by copy. What was seen once stays.
    pub events: BTreeMap<CopyKey, Events>,
    /// How far back was asked the last time that all of the listing was read; `None` before the first.
    pub lookback: Option<Lookback>,
    /// Sets that were counted, and that the newest reading does not show as completed or failed: it was read in part,
    /// or they are being deleted.
    pub apart: Vec<Identity>,
    /// What was usable when all of the listing was last read; `None` while the newest reading is that one and says so
    /// itself.
    pub usable: Option<Vec<Standing>>,
}

/// The sets of one kind in one place.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CopyKey {
    /// Local or in another region.
    pub scope: Scope,
    /// The region that keeps them.
    pub backup_region: String,
    /// Full, incremental or log.
    pub backup_type: BackupType,
}

/// What was counted of one copy.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Events {
    /// Sets that were first seen as completed.
    pub completed: u64,
    /// Sets that were first seen as failed.
    pub failed: u64,
    /// Usable sets that disappeared before their retention ended.
    pub vanished: u64,
}

impl Events {
    /// Both together.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self {
            completed: self.completed.saturating_add(other.completed),
            failed: self.failed.saturating_add(other.failed),
            vanished: self.vanished.saturating_add(other.vanished),
        }
    }
}

/// What tells a set from the others: its copy, and when it began, else ended. Several sets may have the same, and are
/// then told apart by their number alone.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Identity {
    /// The copy that it belongs to.
    pub copy: CopyKey,
    /// When it began, else when it ended.
    pub dated: DateTime<Utc>,
}

/// A set that could be restored from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// Which.
    pub identity: Identity,
    /// When the vendor said that it will remove it, where the vendor tells.
    pub expires: Option<DateTime<Utc>>,
}

/// One reading, with what is known beside it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reading<'a> {
    /// What was listed.
    pub listing: &'a Listing,
    /// How far back was asked.
    pub lookback: Lookback,
    /// When it was read.
    pub at: DateTime<Utc>,
    /// What the provider was told to keep, and for how long, as far as it is known.
    pub policy: Option<&'a Policy>,
    /// Whether the instance is known to be gone: then its backups go by themselves.
    pub is_gone: bool,
}

/// The reading before, and when it was made.
pub(super) type Before<'a> = Option<(&'a Sets, DateTime<Utc>)>;

type Count = HashMap<Identity, u64>;

impl CopyKey {
    fn of(set: &BackupSet) -> Self {
        Self {
            scope: set.scope,
            backup_region: set.backup_region.clone(),
            backup_type: set.backup_type,
        }
    }
}

impl Identity {
    /// A set without any time has none, and is never counted.
    fn of(set: &BackupSet) -> Option<Self> {
        Some(Self {
            copy: CopyKey::of(set),
            dated: set.dated()?,
        })
    }

    fn lies_in(&self, edges: Edges) -> bool {
        self.dated > edges.of(self.copy.backup_type)
    }
}

impl Ledger {
    /// The ledger once this was read.
    pub(super) fn followed_by(&self, before: Before<'_>, reading: Reading<'_>) -> Self {
        let mut next = self.clone();
        next.observe(before, reading);
        let standing = self
            .usable
            .clone()
            .or_else(|| Some(usable_of(&before?.0.listing, before?.1)));
        if reading.listing.complete {
            if let Some(standing) = standing {
                next.miss(&standing, self.lookback, reading);
            }
            next.lookback = Some(reading.lookback);
            next.usable = None;
        } else if self.lookback.is_some() {
            next.usable = standing;
        }
        next
    }

    /// Counts what is seen for the first time as completed or failed.
    fn observe(&mut self, before: Before<'_>, reading: Reading<'_>) {
        let edges = reading.lookback.ending(reading.at);
        // What began before the look-back of the reading before was seen then, or is none of our business.
        let seen_up_to = self
            .lookback
            .zip(before)
            .map(|(lookback, (_, at))| lookback.ending(at));
        let mut counted = Count::new();
        let listed_before = before.map(|(sets, _)| finished(&sets.listing));
        for (identity, _) in listed_before.into_iter().flatten() {
            *counted.entry(identity).or_default() += 1;
        }
        for identity in self.apart.drain(..) {
            *counted.entry(identity).or_default() += 1;
        }
        for (identity, status) in finished(reading.listing) {
            if let Some(left) = counted.get_mut(&identity).filter(|left| **left > 0) {
                *left -= 1;
                continue;
            }
            let is_new = identity.lies_in(edges)
                && seen_up_to.is_none_or(|seen_up_to| identity.lies_in(seen_up_to));
            let events = self.events.entry(identity.copy).or_default();
            if is_new {
                *(if status == Status::Failed {
                    &mut events.failed
                } else {
                    &mut events.completed
                }) += 1;
            }
        }
        let left = counted
            .into_iter()
            .filter(|(identity, _)| identity.lies_in(edges));
        self.apart = left
            .flat_map(|(identity, left)| (0..left).map(move |_| identity.clone()))
            .collect();
        self.apart.sort_unstable();
    }

    /// Counts what was usable, is there no longer, and should be.
    fn miss(&mut self, standing: &[Standing], lookback: Option<Lookback>, reading: Reading<'_>) {
        if lookback != Some(reading.lookback) || reading.is_gone {
            return;
        }
        let mut present = Count::new();
        let is_there = |set: &&BackupSet| set.status != Status::Deleting;
        let there = reading.listing.sets.iter().filter(is_there);
        for identity in there.filter_map(Identity::of) {
            *present.entry(identity).or_default() += 1;
        }
        for set in standing {
            if let Some(left) = present.get_mut(&set.identity).filter(|left| **left > 0) {
                *left -= 1;
            } else if reading.should_have(set) {
                let events = self.events.entry(set.identity.copy.clone()).or_default();
                events.vanished += 1;
            }
        }
    }
}

impl Reading<'_> {
    /// Whether a set that was usable the last time would be listed if nobody had deleted it before its time.
    fn should_have(&self, set: &Standing) -> bool {
        let Identity { copy, dated } = &set.identity;
        // Of log files only the last hours are listed, and holes between them are found elsewhere.
        if copy.backup_type == BackupType::Log || !self.was_asked_of(copy) {
            return false;
        }
        let edge = self.lookback.ending(self.at).of(copy.backup_type);
        let kept_until = set
            .expires
            .or_else(|| dated.checked_add_signed(self.retention(copy)?));
        *dated > edge + EDGE_MARGIN
            && kept_until.is_some_and(|kept_until| kept_until > self.at + RETENTION_MARGIN)
    }

    /// Whether this reading asked where the copy is kept. Where a vendor has to be asked region by region, the listing says
    /// which regions its policy has.
    fn was_asked_of(&self, copy: &CopyKey) -> bool {
        let Listing {
            destinations,
            protected,
            ..
        } = self.listing;
        match copy.scope {
            Scope::Local => true,
            Scope::CrossRegion if destinations.is_empty() => protected.is_none(),
            Scope::CrossRegion => destinations.contains(&copy.backup_region),
        }
    }

    /// For how long the provider's policy keeps what is like this; `None` where nobody says so.
    fn retention(&self, copy: &CopyKey) -> Option<Duration> {
        let switches = self.policy.into_iter().flat_map(|policy| &policy.switches);
        let of_copy = switches.filter(|switch| {
            switch.scope == copy.scope
                && switch.backup_type == BackupType::Full
                && (switch.backup_region.is_empty() || switch.backup_region == copy.backup_region)
        });
        let retention = of_copy.filter_map(|switch| switch.retention).min()?;
        Duration::from_std(retention).ok()
    }
}

/// The sets that a listing shows as completed or failed, whether they can be restored from or not.
fn finished(listing: &Listing) -> impl Iterator<Item = (Identity, Status)> {
    let is_final = |set: &&BackupSet| matches!(set.status, Status::Completed | Status::Failed);
    let finished = listing.sets.iter().filter(is_final);
    finished.filter_map(|set| Some((Identity::of(set)?, set.status)))
}

/// What could be restored from at this time.
fn usable_of(listing: &Listing, at: DateTime<Utc>) -> Vec<Standing> {
    let usable = listing.sets.iter().filter(|set| set.is_usable(at));
    usable
        .filter_map(|set| {
            Some(Standing {
                identity: Identity::of(set)?,
                expires: set.expires,
            })
        })
        .collect()
}
