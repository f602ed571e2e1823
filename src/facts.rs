//! What is known: for each instance and listing the newest good answer and the last attempt.
//!
//! A failed attempt never erases what an earlier one found. Written by `poll`, read at a scrape by `posture` and
//! `metrics`; the only state that both sides share. Judges nothing, and reads no clock.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use chrono::{DateTime, Utc};

use crate::backup::{BackupSet, BackupType, Listing, ListingKind, Scope};
use crate::provider::error::{ListError, Reason};
use crate::target::{InstanceKey, Target};

/// Everything known about all instances. Each instance's facts are replaced as a whole, so that a reader holds no lock
/// while it thinks.
#[derive(Debug, Default)]
pub struct Facts(RwLock<BTreeMap<InstanceKey, Arc<InstanceFacts>>>);

/// What is known about one instance.
#[derive(Debug, Clone)]
pub struct InstanceFacts {
    /// The instance, as the configuration has it now.
    pub target: Arc<Target>,
    /// Its listings; one that was never attempted is missing.
    pub listings: BTreeMap<ListingKind, ListingFacts>,
}

/// What is known from one listing of one instance.
#[derive(Debug, Clone)]
pub struct ListingFacts {
    /// The last attempt, good or bad.
    pub last_attempt: Attempt,
    /// When the last attempt succeeded that did.
    pub last_success: Option<DateTime<Utc>>,
    /// What was found, however long ago.
    pub found: Found,
}

/// How an attempt went.
#[derive(Debug, Clone)]
pub struct Attempt {
    /// When it ended.
    pub at: DateTime<Utc>,
    /// Why it failed, if it did.
    pub failure: Option<Failure>,
}

/// Why an attempt failed, for people and for labels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The label.
    pub reason: Reason,
    /// One line, without secrets.
    pub message: String,
    /// Whether the vendor said that the instance does not exist.
    pub missing_instance: bool,
}

/// The state of a listing.
#[derive(Debug, Clone)]
pub enum Found {
    /// It was never read.
    Nothing,
    /// The provider has no such backups for this instance.
    Unsupported,
    /// It was read.
    Sets(Arc<Sets>),
}

/// A listing as it was last read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sets {
    /// The listing.
    pub listing: Listing,
    /// For each copy the newest usable set that has left the look-back: it is still the newest success, although it is
    /// no longer listed and no longer counted.
    pub remembered: Vec<BackupSet>,
}

impl Facts {
    /// Takes on these instances and forgets all others. What is known about an instance that stays is kept.
    pub fn adopt<'a>(&self, targets: impl IntoIterator<Item = &'a Arc<Target>>) {
        let mut instances = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let mut known = std::mem::take(&mut *instances);
        for target in targets {
            let mut listings = known
                .remove(&target.key)
                .map_or_else(BTreeMap::new, |facts| facts.listings.clone());
            listings.retain(|kind, _| target.listings.contains(kind));
            let facts = InstanceFacts {
                target: Arc::clone(target),
                listings,
            };
            instances.insert(target.key.clone(), Arc::new(facts));
        }
    }

    /// Takes note of how an attempt ended. `from` is the beginning of the window that was asked for. An instance that
    /// has left the configuration meanwhile is ignored.
    pub fn record(
        &self,
        key: &InstanceKey,
        kind: ListingKind,
        at: DateTime<Utc>,
        from: DateTime<Utc>,
        outcome: &Result<Listing, ListError>,
    ) {
        let mut instances = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let Some(facts) = instances.get_mut(key) else {
            return;
        };
        let facts = Arc::make_mut(facts);
        let before = facts.listings.get(&kind);
        let listing = match outcome {
            Ok(listing) => {
                let remembered = before
                    .map(|before| before.found.newest_before(from, at))
                    .unwrap_or_default();
                ListingFacts::good(
                    at,
                    Found::Sets(Arc::new(Sets {
                        listing: listing.clone(),
                        remembered,
                    })),
                )
            }
            Err(error) if error.reason == Reason::Unsupported => {
                ListingFacts::good(at, Found::Unsupported)
            }
            Err(error) => ListingFacts {
                last_attempt: Attempt {
                    at,
                    failure: Some(Failure {
                        reason: error.reason,
                        message: error.to_string(),
                        missing_instance: error.missing_instance,
                    }),
                },
                last_success: before.and_then(|before| before.last_success),
                found: before.map_or(Found::Nothing, |before| before.found.clone()),
            },
        };
        facts.listings.insert(kind, listing);
    }

    /// The facts about every instance, in the order of their keys, as of this moment.
    pub fn all(&self) -> Vec<Arc<InstanceFacts>> {
        let instances = self.0.read().unwrap_or_else(PoisonError::into_inner);
        instances.values().map(Arc::clone).collect()
    }

    /// The facts about one instance.
    pub fn of(&self, key: &InstanceKey) -> Option<Arc<InstanceFacts>> {
        let instances = self.0.read().unwrap_or_else(PoisonError::into_inner);
        instances.get(key).map(Arc::clone)
    }
}

impl InstanceFacts {
    /// Whether each of its listings was attempted at least once.
    pub fn is_attempted(&self) -> bool {
        self.listings.len() == self.target.listings.len()
    }
}

impl ListingFacts {
    fn good(at: DateTime<Utc>, found: Found) -> Self {
        Self {
            last_attempt: Attempt { at, failure: None },
            last_success: Some(at),
            found,
        }
    }
}

impl Found {
    /// For each copy the newest usable set that began before `from`.
    ///
    /// A set that began later and is no longer listed was deleted, and is forgotten with reason.
    fn newest_before(&self, from: DateTime<Utc>, now: DateTime<Utc>) -> Vec<BackupSet> {
        let Self::Sets(sets) = self else {
            return Vec::new();
        };
        let mut newest: BTreeMap<(Scope, &str, BackupType), &BackupSet> = BTreeMap::new();
        for set in sets.listing.sets.iter().chain(&sets.remembered) {
            if !set.is_usable(now) || set.dated().is_none_or(|dated| dated > from) {
                continue;
            }
            let copy = (set.scope, set.backup_region.as_str(), set.backup_type);
            let best = newest.entry(copy).or_insert(set);
            if set.finished() > best.finished() {
                *best = set;
            }
        }
        newest.into_values().cloned().collect()
    }
}
