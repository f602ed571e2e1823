//! What the facts mean at a given moment: copies, ages, recovery points, and whether the promises hold.
//!
//! Pure: no I/O, no clock, no provider. Run at every scrape, so that a poll that is stuck shows as a growing age.

mod copies;
mod horizon;
#[cfg(test)]
mod model;
#[cfg(test)]
mod policy_tests;
mod recovery;
#[cfg(test)]
mod tests;
mod troubles;
mod verdicts;

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Duration, Utc};

use crate::backup::{
    Anomaly, BackupSet, BackupType, Description, Edges, ListingKind, Lookback, Policy, Scope,
    Status, Usable,
};
use crate::facts::{Failure, Found, InstanceFacts, ListingFacts, Sets};
use crate::target::Objective;

pub use self::troubles::{State, Trouble};

/// One instance, judged at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Posture {
    /// Whether the provider has cross-region backups switched on for it; `None` when that is not known.
    pub protected: Option<bool>,
    /// Since when, where the provider tells.
    pub protected_since: Option<DateTime<Utc>>,
    /// When the instance was made, where the provider tells.
    pub created: Option<DateTime<Utc>>,
    /// Whether the provider says that it does not exist.
    pub gone: bool,
    /// Whether the last list of instances lacks it although it is not known to be gone.
    pub missing: bool,
    /// Its name, or empty.
    pub name: String,
    /// Its engine in lower case, or empty.
    pub engine: String,
    /// The engine's version, or empty.
    pub engine_version: String,
    /// Its copies.
    pub copies: Vec<Copy>,
    /// The newest recovery point of each place.
    pub recovery_points: BTreeMap<Place, DateTime<Utc>>,
    /// Where log files are kept: holes in them after the newest usable set that they could continue.
    pub log_gaps: BTreeMap<Place, u64>,
    /// To when the provider itself says that it can restore.
    pub restore_windows: BTreeMap<Place, Restorable>,
    /// The switches of the provider's policy.
    pub switches: BTreeMap<(Place, BackupType), Switch>,
    /// Usable sets by the region to which the provider would restore them.
    pub restorable_sets: BTreeMap<String, u64>,
    /// What has no copy yet, for each expected region.
    pub uncopied: Vec<Uncopied>,
    /// The promises and whether they hold.
    pub verdicts: Vec<Verdict>,
    /// How reading went.
    pub listings: Vec<ListingPosture>,
    /// The regions in which a copy is expected.
    pub expected_regions: Vec<String>,
    /// The instants after which sets were counted.
    pub lookback: Edges,
    /// What is wrong, the most important first.
    pub troubles: Vec<Trouble>,
    /// When something in this may become different, but for ages, although nothing new is read; `None`: never.
    pub holds_until: Option<DateTime<Utc>>,
}

/// Where sets are kept.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Local or in another region.
    pub scope: Scope,
    /// The region; empty where none is known.
    pub backup_region: String,
}

/// The sets of one kind in one place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copy {
    /// Where.
    pub place: Place,
    /// Of which kind.
    pub backup_type: BackupType,
    /// The newest usable set.
    pub last_success: Option<Success>,
    /// The end of the newest failed set in the look-back.
    pub last_failure: Option<DateTime<Utc>>,
    /// Whether the newest finished set was a success; `None` where none is finished.
    pub last_attempt_success: Option<bool>,
    /// Failed sets newer than the newest usable one.
    pub consecutive_failures: u64,
    /// Sets in the look-back by status; completed and failed are always there.
    pub sets: BTreeMap<Status, u64>,
    /// The usable sets in the look-back, in bytes.
    pub stored_bytes: u64,
    /// The end of the oldest usable set in the look-back.
    pub oldest: Option<DateTime<Utc>>,
    /// The start of the oldest set that is still running.
    pub running_since: Option<DateTime<Utc>>,
}

/// The newest usable set of a copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Success {
    /// When it ended.
    pub ended: DateTime<Utc>,
    /// Its size in bytes.
    pub size_bytes: Option<u64>,
    /// How long it took.
    pub duration: Option<Duration>,
}

/// The newest restore window of a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Restorable {
    /// The first instant.
    pub start: DateTime<Utc>,
    /// The last instant.
    pub end: DateTime<Utc>,
    /// How many windows there are beside it.
    pub gaps: u64,
}

/// A switch of the provider's policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Switch {
    /// Whether it is on.
    pub enabled: bool,
    /// For how long what it makes is kept, where the provider tells.
    pub retention: Option<std::time::Duration>,
}

/// Local full sets without a copy in one expected region.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Uncopied {
    /// The region that lacks them.
    pub backup_region: String,
    /// How many.
    pub sets: u64,
    /// The end of the oldest.
    pub oldest: Option<DateTime<Utc>>,
}

/// A promise and whether it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    /// Which.
    pub objective: Objective,
    /// What was promised.
    pub promise: std::time::Duration,
    /// Whether it holds; `None` as long as what it depends on was never read.
    pub met: Option<bool>,
}

/// How the reading of one listing goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListingPosture {
    /// Which.
    pub kind: ListingKind,
    /// Whether the last attempt succeeded; `None` before the first.
    pub success: Option<bool>,
    /// Why it failed.
    pub failure: Option<Failure>,
    /// When it last succeeded.
    pub last_success: Option<DateTime<Utc>>,
    /// Whether all rows were read the last time that any were.
    pub complete: Option<bool>,
    /// When it was last attempted.
    pub last_attempt: Option<DateTime<Utc>>,
    /// Whether the provider has nothing of the kind for this instance.
    pub unsupported: bool,
}

/// Judges one instance at `now`. Sets that began before the look-back are not counted.
pub fn assess(facts: &InstanceFacts, lookback: Lookback, now: DateTime<Utc>) -> Posture {
    let view = View::new(facts, lookback, now);
    let copies = view.copies();
    let uncopied = view.uncopied();
    let (recovery_points, log_gaps) = view.recovery_points();
    let verdicts = view.verdicts(&copies, &recovery_points, &uncopied);
    let Description {
        name,
        engine,
        engine_version,
        created,
    } = view.description();
    let mut posture = Posture {
        protected: view.protected(),
        protected_since: view.protected_since(),
        created,
        gone: facts.is_gone(),
        missing: facts.is_missing(),
        name: name.unwrap_or_default(),
        engine: engine.unwrap_or_default(),
        engine_version: engine_version.unwrap_or_default(),
        recovery_points,
        log_gaps,
        restore_windows: view.restore_windows(),
        switches: view.switches(),
        restorable_sets: view.restorable_sets(),
        copies,
        uncopied,
        // Of what no longer exists nothing is promised, whoever named it.
        verdicts: if facts.is_gone() {
            Vec::new()
        } else {
            verdicts
        },
        listings: facts
            .target
            .listings
            .iter()
            .map(|kind| ListingPosture::of(*kind, facts.listings.get(kind)))
            .collect(),
        expected_regions: view
            .expected_regions
            .iter()
            .map(|region| (*region).to_owned())
            .collect(),
        lookback: view.lookback,
        troubles: Vec::new(),
        holds_until: None,
    };
    posture.troubles = posture.find_troubles(facts, now);
    posture.holds_until = view.holds_until(&posture);
    posture
}

/// The facts with the moment at which they are judged.
struct View<'a> {
    facts: &'a InstanceFacts,
    now: DateTime<Utc>,
    lookback: Edges,
    /// The sets that one could restore from.
    usable: Usable<'a>,
    /// The regions in which a copy is expected: those of the configuration, else all that the provider's policy names,
    /// else those that were seen.
    expected_regions: BTreeSet<&'a str>,
}

impl<'a> View<'a> {
    fn new(facts: &'a InstanceFacts, lookback: Lookback, now: DateTime<Utc>) -> Self {
        let mut view = Self {
            facts,
            now,
            lookback: lookback.ending(now),
            usable: facts.usable(now),
            expected_regions: facts
                .target
                .backup_regions
                .iter()
                .map(String::as_str)
                .collect(),
        };
        let asked = |regions: BTreeSet<&'a str>, or: &dyn Fn() -> BTreeSet<&'a str>| {
            if regions.is_empty() { or() } else { regions }
        };
        let configured = std::mem::take(&mut view.expected_regions);
        let expected = asked(configured, &|| view.regions_of_policy());
        view.expected_regions = asked(expected, &|| {
            view.sets(ListingKind::CrossRegion)
                .filter(|set| set.backup_type != BackupType::Partial)
                .map(|set| &*set.backup_region)
                .filter(|region| !region.is_empty())
                .collect()
        });
        view
    }

    /// The other regions that the provider's policy names, from the policy itself or from what reading the listing told.
    /// A switch that is off does not end a promise: only a region that nobody names any more is not expected.
    fn regions_of_policy(&self) -> BTreeSet<&'a str> {
        if let Some(policy) = self.policy() {
            let switches = policy.switches.iter();
            return switches
                .filter(|switch| switch.scope == Scope::CrossRegion)
                .map(|switch| switch.backup_region.as_str())
                .filter(|region| !region.is_empty())
                .collect();
        }
        self.read(ListingKind::CrossRegion)
            .into_iter()
            .flat_map(|sets| &sets.listing.destinations)
            .map(String::as_str)
            .collect()
    }

    fn policy(&self) -> Option<&'a Policy> {
        match self.found(ListingKind::Policy) {
            Found::Policy(policy) => Some(policy),
            _ => None,
        }
    }

    fn found(&self, kind: ListingKind) -> &'a Found {
        self.facts
            .listings
            .get(&kind)
            .map_or(&Found::Nothing, |listing| &listing.found)
    }

    fn read(&self, kind: ListingKind) -> Option<&'a Sets> {
        self.found(kind).sets()
    }

    /// Whether copies are made at all, as far as the provider has said so.
    fn protected(&self) -> Option<bool> {
        if self.cross_region_unsupported() {
            return Some(false);
        }
        match self.found(ListingKind::Policy) {
            Found::Policy(policy) => policy.protected,
            Found::Unsupported => Some(false),
            _ => self.read(ListingKind::CrossRegion)?.listing.protected,
        }
    }

    /// Since when copies are made, where the provider tells and they still are.
    fn protected_since(&self) -> Option<DateTime<Utc>> {
        self.policy().and_then(|policy| policy.since)
    }

    /// The same for one region. What the provider tells is about those to which it copies.
    fn protected_in_since(&self, region: &str) -> Option<DateTime<Utc>> {
        let switches = self
            .policy()
            .into_iter()
            .flat_map(|policy| &policy.switches);
        let is_off = switches
            .filter(|switch| {
                (switch.scope, switch.backup_type) == (Scope::CrossRegion, BackupType::Full)
                    && switch.backup_region == region
            })
            .any(|switch| !switch.enabled);
        self.protected_since().filter(|_| !is_off)
    }

    /// Whether the log files in other regions were read, or need not be.
    fn log_copies_are_known(&self) -> bool {
        let listings = &self.facts.target.listings;
        !listings.contains(&ListingKind::CrossRegionLog)
            || !matches!(self.found(ListingKind::CrossRegionLog), Found::Nothing)
            || self.cross_region_unsupported()
            || self.log_copies_are_refused()
    }

    /// Whether nobody will ever tell, as long as the key may not ask. That must not hold back an alert for good.
    fn log_copies_are_refused(&self) -> bool {
        let facts = self.facts.listings.get(&ListingKind::CrossRegionLog);
        let failure = facts.and_then(|facts| facts.last_attempt.failure.as_ref());
        failure.is_some_and(Failure::is_refusal)
    }

    fn cross_region_unsupported(&self) -> bool {
        matches!(self.found(ListingKind::CrossRegion), Found::Unsupported)
    }

    /// Every set that is known of a listing, the remembered ones included.
    fn sets(&self, kind: ListingKind) -> impl Iterator<Item = &'a BackupSet> + use<'a> {
        self.read(kind).into_iter().flat_map(Sets::all)
    }

    fn usable_sets(&self, kind: ListingKind) -> impl Iterator<Item = &'a BackupSet> {
        self.sets(kind).filter(|set| self.usable.contains(set))
    }

    fn in_lookback(&self, set: &BackupSet) -> bool {
        self.lookback.contain(set)
    }

    /// What the instance is: its name as configured, else as the provider says, and the rest as the provider says. Its list
    /// of instances speaks of the present; the rows of backups may have the name of the time when they were made.
    fn description(&self) -> Description {
        let listings = [
            ListingKind::CrossRegion,
            ListingKind::Local,
            ListingKind::CrossRegionLog,
        ];
        let rows = listings.into_iter().filter_map(|kind| self.read(kind));
        let from_rows = rows.map(|sets| {
            let listing = &sets.listing;
            let engine = (&listing.engine, &listing.engine_version);
            (&listing.instance_name, engine)
        });
        let told = |told: &'a Description| (&told.name, (&told.engine, &told.engine_version));
        let policy = self.policy().map(|policy| told(&policy.description));
        let listed = told(&self.facts.description);
        let known = || {
            let rows = from_rows.clone();
            std::iter::once(listed).chain(rows).chain(policy)
        };
        let named = || known().find_map(|(name, _)| name.clone());
        // A version belongs to the engine that was named with it.
        let engine = known().find(|(_, (engine, _))| engine.is_some());
        let (engine, engine_version) = engine.map(|(_, engine)| engine).unzip();
        Description {
            name: self.facts.target.name.clone().or_else(named),
            engine: engine.cloned().flatten(),
            engine_version: engine_version.cloned().flatten(),
            created: self.facts.description.created,
        }
    }
}

impl Place {
    fn of(set: &BackupSet) -> Self {
        Self {
            scope: set.scope,
            backup_region: set.backup_region.to_string(),
        }
    }

    /// Another region.
    pub fn cross_region(region: &str) -> Self {
        Self {
            scope: Scope::CrossRegion,
            backup_region: region.to_owned(),
        }
    }
}

impl ListingPosture {
    fn of(kind: ListingKind, facts: Option<&ListingFacts>) -> Self {
        Self {
            kind,
            success: facts.map(|facts| facts.last_attempt.failure.is_none()),
            failure: facts.and_then(|facts| facts.last_attempt.failure.clone()),
            last_success: facts.and_then(|facts| facts.last_success),
            complete: facts.and_then(|facts| match &facts.found {
                Found::Sets(sets) => Some(sets.listing.complete),
                Found::Policy(policy) => Some(policy.complete),
                // There are no pages of them.
                Found::Windows(windows) => Some(!windows.anomalies.contains(&Anomaly::BadRow)),
                Found::Nothing | Found::Unsupported => None,
            }),
            last_attempt: facts.map(|facts| facts.last_attempt.at),
            unsupported: facts.is_some_and(|facts| matches!(facts.found, Found::Unsupported)),
        }
    }
}
