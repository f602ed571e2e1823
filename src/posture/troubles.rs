//! What is wrong with an instance, and which state that makes: the judgement behind every sentence that people read.
//!
//! Says the same as the verdicts and the listings, but region by region and with the ages that decided it. `report` puts
//! it in words.

use chrono::{DateTime, Duration, Utc};

use super::{ListingPosture, Place, Posture};
use crate::backup::{BackupSet, BackupType, ListingKind, Scope};
use crate::facts::{Failure, InstanceFacts};
use crate::target::Objective;

/// How an instance is, in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum State {
    /// The provider says that it does not exist.
    Gone,
    /// A promise does not hold.
    Broken,
    /// A listing cannot be read, for another reason than that the instance is gone.
    Failing,
    /// The provider copies nothing of it to another region.
    Unprotected,
    /// The promises hold, but something went wrong that may break one.
    Warning,
    /// A listing was not attempted yet.
    Waiting,
    /// None of these.
    Ok,
}

impl State {
    /// Every state; of several that hold, the first is the one that explains most.
    pub const ALL: [Self; 7] = [
        Self::Gone,
        Self::Broken,
        Self::Failing,
        Self::Unprotected,
        Self::Warning,
        Self::Waiting,
        Self::Ok,
    ];

    /// Its name in queries and answers.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Gone => "gone",
            Self::Broken => "broken",
            Self::Failing => "failing",
            Self::Unprotected => "unprotected",
            Self::Warning => "warning",
            Self::Waiting => "waiting",
            Self::Ok => "ok",
        }
    }

    /// The state of this name, if there is one.
    pub fn from_label(label: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.label() == label)
    }

    /// Its place in a list that begins with what needs somebody most. An instance that was deleted is seldom a surprise.
    pub const fn rank(self) -> u8 {
        match self {
            Self::Broken => 0,
            Self::Failing => 1,
            Self::Unprotected => 2,
            Self::Gone => 3,
            Self::Warning => 4,
            Self::Waiting => 5,
            Self::Ok => 6,
        }
    }
}

/// One thing that is wrong, or not known yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trouble {
    /// The provider no longer has the instance; the age is that of this knowledge.
    Gone(Option<Duration>),
    /// The list of instances no longer has it, since so long; it is watched and promised as before.
    Missing(Duration),
    /// These listings were never attempted; `true` when none was.
    NotAsked(Vec<ListingKind>, bool),
    /// The provider cannot copy this instance to another region.
    CopyingUnsupported,
    /// The provider's policy copies nothing to another region.
    CopyingOff,
    /// The provider's policy copies to other regions, and to this expected one no longer.
    CopyingOffTo(String),
    /// Nobody says in which other region a copy is to be.
    NoRegionExpected,
    /// The newest recovery point of a region is older than promised, or there is none.
    RecoveryPoint {
        /// Which region.
        region: String,
        /// How old the newest is.
        age: Option<Duration>,
        /// What was promised.
        promise: std::time::Duration,
    },
    /// The provider keeps no backups of this instance in its own region.
    LocalUnsupported,
    /// The newest local backup is older than promised, or there is none.
    BackupAge {
        /// How old the newest is.
        age: Option<Duration>,
        /// What was promised.
        promise: std::time::Duration,
    },
    /// Local sets wait for their copy for longer than promised.
    CopyDelay {
        /// The region that lacks them.
        region: String,
        /// How many wait.
        sets: u64,
        /// How long ago the oldest of them ended.
        age: Duration,
        /// What was promised.
        promise: std::time::Duration,
    },
    /// The copies of a region do not reach back as far as promised.
    Retention {
        /// Which region.
        region: String,
        /// How old the oldest usable copy is.
        age: Option<Duration>,
        /// What was promised.
        promise: std::time::Duration,
    },
    /// Log files are missing in a region after its newest usable set.
    LogGaps {
        /// Which region.
        region: String,
        /// In how many places.
        gaps: u64,
        /// How long ago the instant is at which a restore ends.
        age: Option<Duration>,
    },
    /// The newest backups of a copy failed.
    FailedBackups {
        /// Where.
        place: Place,
        /// Of which kind.
        backup_type: BackupType,
        /// How many in a row.
        failures: u64,
    },
    /// A listing cannot be read.
    Unread {
        /// Which.
        listing: ListingKind,
        /// Why.
        failure: Failure,
        /// How long ago it was last read.
        age: Option<Duration>,
    },
    /// A listing could be read in part only.
    Incomplete(ListingKind),
}

impl Trouble {
    /// Whether another trouble goes without saying once this one is said: where there is no copy, none is old enough.
    fn includes(&self, other: &Self) -> bool {
        match (self, other) {
            (
                Self::RecoveryPoint {
                    region: none_in,
                    age: None,
                    ..
                },
                Self::Retention {
                    region, age: None, ..
                },
            ) => none_in == region,
            _ => self == other,
        }
    }
}

impl Posture {
    /// Every state that holds, the one that explains most first. `Ok` only holds alone.
    pub fn states(&self) -> Vec<State> {
        let is_warning = |trouble: &Trouble| {
            matches!(
                trouble,
                Trouble::Missing(_)
                    | Trouble::CopyingOffTo(_)
                    | Trouble::LogGaps { .. }
                    | Trouble::FailedBackups { .. }
                    | Trouble::Incomplete(_)
            )
        };
        let holds = |state: &State| match state {
            State::Gone => self.gone,
            State::Broken => self
                .verdicts
                .iter()
                .any(|verdict| verdict.met == Some(false)),
            State::Failing => self.listings.iter().any(|listing| self.is_unread(listing)),
            State::Unprotected => self.protected == Some(false),
            State::Warning => self.troubles.iter().any(is_warning),
            State::Waiting => self
                .listings
                .iter()
                .any(|listing| listing.success.is_none()),
            State::Ok => false,
        };
        let mut states: Vec<_> = State::ALL.into_iter().filter(holds).collect();
        if states.is_empty() {
            states.push(State::Ok);
        }
        states
    }

    /// The state that explains most.
    pub fn state(&self) -> State {
        self.states().first().copied().unwrap_or(State::Ok)
    }

    /// Where nobody expects copies, or one of the expected regions has none, nothing; else the recovery point of the region
    /// that is furthest behind.
    pub fn furthest_behind(&self) -> Option<DateTime<Utc>> {
        let regions = self.expected_regions.iter();
        let points: Option<Vec<_>> = regions
            .map(|region| {
                self.recovery_points
                    .get(&Place::cross_region(region))
                    .copied()
            })
            .collect();
        points?.into_iter().min()
    }

    /// The sets and log files that were counted: those of the look-back, in no particular order.
    pub fn history<'a>(
        &self,
        facts: &'a InstanceFacts,
    ) -> impl Iterator<Item = &'a BackupSet> + use<'a> {
        let edges = self.lookback;
        facts
            .listings
            .values()
            .filter_map(|listing| listing.found.sets())
            .flat_map(|sets| &sets.listing.sets)
            .filter(move |set| edges.contain(set))
    }

    /// How the reading of a listing goes, if it is read at all.
    pub fn listing(&self, kind: ListingKind) -> Option<&ListingPosture> {
        self.listings.iter().find(|listing| listing.kind == kind)
    }

    /// Whether a listing cannot be read although there should be something to read.
    pub fn is_unread(&self, listing: &ListingPosture) -> bool {
        let failure = listing.failure.as_ref();
        failure.is_some_and(|failure| !(self.gone && failure.missing_instance))
    }

    fn is_unsupported(&self, kind: ListingKind) -> bool {
        self.listing(kind)
            .is_some_and(|listing| listing.unsupported)
    }

    pub(super) fn find_troubles(&self, facts: &InstanceFacts, now: DateTime<Utc>) -> Vec<Trouble> {
        let mut troubles = Vec::new();
        if self.gone {
            let since = facts.presence.gone_since;
            troubles.push(Trouble::Gone(since.map(|since| now - since)));
        } else if let Some(missing) = facts.presence.missing {
            troubles.push(Trouble::Missing(now - missing.since));
        }
        let never = |listing: &&ListingPosture| listing.success.is_none();
        let not_asked = self.listings.iter().filter(never);
        let not_asked: Vec<_> = not_asked.map(|listing| listing.kind).collect();
        if !not_asked.is_empty() {
            let is_all = not_asked.len() == self.listings.len();
            troubles.push(Trouble::NotAsked(not_asked, is_all));
        }
        if self.is_unsupported(ListingKind::CrossRegion) {
            troubles.push(Trouble::CopyingUnsupported);
        } else if self.protected == Some(false) {
            troubles.push(Trouble::CopyingOff);
        } else {
            troubles.extend(self.switched_off());
        }
        for verdict in self
            .verdicts
            .iter()
            .filter(|verdict| verdict.met == Some(false))
        {
            let limit = Duration::from_std(verdict.promise).unwrap_or(Duration::MAX);
            let broken = self.why_broken(verdict.objective, verdict.promise, limit, now);
            let is_new = |trouble: &Trouble| !troubles.iter().any(|said| said.includes(trouble));
            let broken: Vec<_> = broken.into_iter().filter(is_new).collect();
            troubles.extend(broken);
        }
        troubles.extend(self.warnings(now));
        troubles
    }

    /// The expected regions to which the provider's policy does not copy sets, although it names them.
    fn switched_off(&self) -> impl Iterator<Item = Trouble> {
        self.each_expected(|region, place| {
            let switch = self.switches.get(&(place.clone(), BackupType::Full));
            let is_off = switch.is_some_and(|switch| !switch.enabled);
            is_off.then_some(Trouble::CopyingOffTo(region))
        })
    }

    fn why_broken(
        &self,
        objective: Objective,
        promise: std::time::Duration,
        limit: Duration,
        now: DateTime<Utc>,
    ) -> Vec<Trouble> {
        let age = |time: DateTime<Utc>| now - time;
        let is_copied = self.protected != Some(false);
        match objective {
            Objective::RecoveryPoint | Objective::Retention if self.expected_regions.is_empty() => {
                // That nothing is copied was said already.
                is_copied
                    .then_some(Trouble::NoRegionExpected)
                    .into_iter()
                    .collect()
            }
            Objective::RecoveryPoint => self
                .each_expected(|region, place| {
                    let age = self.recovery_points.get(place).copied().map(age);
                    let is_late = age.is_none_or(|age| age >= limit);
                    is_late.then_some(Trouble::RecoveryPoint {
                        region,
                        age,
                        promise,
                    })
                })
                .collect(),
            Objective::BackupAge if self.is_unsupported(ListingKind::Local) => {
                vec![Trouble::LocalUnsupported]
            }
            Objective::BackupAge => {
                let local = self
                    .copies
                    .iter()
                    .filter(|copy| copy.place.scope == Scope::Local);
                let newest = local
                    .filter_map(|copy| copy.last_success)
                    .map(|success| success.ended);
                let age = newest.max().map(age);
                vec![Trouble::BackupAge { age, promise }]
            }
            Objective::CopyDelay => self
                .uncopied
                .iter()
                .filter_map(|uncopied| {
                    let age = age(uncopied.oldest?);
                    (age > limit).then(|| Trouble::CopyDelay {
                        region: uncopied.backup_region.clone(),
                        sets: uncopied.sets,
                        age,
                        promise,
                    })
                })
                .collect(),
            Objective::Retention => self
                .each_expected(|region, place| {
                    let copies = self.copies.iter().filter(|copy| copy.place == *place);
                    let age = copies.filter_map(|copy| copy.oldest).min().map(age);
                    let is_short = age.is_none_or(|age| age < limit);
                    is_short.then_some(Trouble::Retention {
                        region,
                        age,
                        promise,
                    })
                })
                .collect(),
        }
    }

    fn each_expected<'a>(
        &'a self,
        trouble: impl Fn(String, &Place) -> Option<Trouble> + 'a,
    ) -> impl Iterator<Item = Trouble> + 'a {
        let regions = self.expected_regions.iter();
        regions.filter_map(move |region| trouble(region.clone(), &Place::cross_region(region)))
    }

    /// What breaks no promise by itself.
    fn warnings(&self, now: DateTime<Utc>) -> Vec<Trouble> {
        let mut troubles = Vec::new();
        for (place, gaps) in self.log_gaps.iter().filter(|(_, gaps)| **gaps > 0) {
            troubles.push(Trouble::LogGaps {
                region: place.backup_region.clone(),
                gaps: *gaps,
                age: self.recovery_points.get(place).map(|point| now - *point),
            });
        }
        // A deleted instance is not backed up any more, and its last attempt may well have failed.
        for copy in self
            .copies
            .iter()
            .filter(|copy| copy.consecutive_failures > 0 && !self.gone)
        {
            troubles.push(Trouble::FailedBackups {
                place: copy.place.clone(),
                backup_type: copy.backup_type,
                failures: copy.consecutive_failures,
            });
        }
        for listing in &self.listings {
            if let Some(failure) = listing.failure.as_ref().filter(|_| self.is_unread(listing)) {
                troubles.push(Trouble::Unread {
                    listing: listing.kind,
                    failure: failure.clone(),
                    age: listing.last_success.map(|read| now - read),
                });
            }
            if listing.complete == Some(false) {
                troubles.push(Trouble::Incomplete(listing.kind));
            }
        }
        troubles
    }
}
