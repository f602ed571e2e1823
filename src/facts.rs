//! What is known: for each instance and listing the newest good answer and the last attempt, and for each region the
//! instances that were found there.
//!
//! A failed attempt never erases what an earlier one found. Written by `poll`, read at a scrape by `posture` and
//! `metrics`; the only state that both sides share. Judges nothing, and reads no clock.

mod doubt;
mod feed;
mod inventory;
pub mod ledger;
mod presence;
mod reach;

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use chrono::{DateTime, Utc};

use self::feed::Readers;
pub use self::feed::{Changes, Feed};
use self::inventory::Standing;
pub use self::inventory::{Listed, RegionFacts, RegionKey};
use self::ledger::{CopyKey, Events, Ledger};
use self::presence::Answer;
pub use self::presence::{Missing, Presence};
use crate::backup::{
    BackupSet, Description, Inventory, Listing, ListingKind, Lookback, Policy, Reading,
    RestoreWindows, Usable,
};
use crate::log_chain::Coverage;
use crate::provider::error::{ListError, Reason};
use crate::target::{InstanceKey, Target};

/// Everything that is known. The facts about each instance are replaced as a whole, so that a reader holds no lock while
/// it thinks.
#[derive(Debug, Default)]
pub struct Facts {
    known: RwLock<Known>,
    readers: Readers,
    /// Whether it is counted what became of the sets.
    keeps_ledgers: bool,
}

#[derive(Debug, Default)]
struct Known {
    instances: BTreeMap<InstanceKey, Arc<InstanceFacts>>,
    regions: BTreeMap<RegionKey, Arc<RegionFacts>>,
    /// The accounts of which instances were listed that may not be watched yet, as provider and name.
    listed: BTreeSet<(&'static str, Arc<str>)>,
}

/// What is known about one instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstanceFacts {
    /// The instance, as it is watched now.
    pub target: Arc<Target>,
    /// What the provider's list of instances says of it.
    pub description: Description,
    /// Whether it still exists.
    pub presence: Presence,
    /// Whether it was found by looking for it rather than named.
    pub is_found: bool,
    /// Its listings; one that was never attempted is missing.
    pub listings: BTreeMap<ListingKind, ListingFacts>,
}

/// What is known from one listing of one instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListingFacts {
    /// The last attempt, good or bad.
    pub last_attempt: Attempt,
    /// When the last attempt succeeded that did.
    pub last_success: Option<DateTime<Utc>>,
    /// What was found, however long ago.
    pub found: Found,
    /// Whether the last answer took something away that no second one has confirmed yet.
    pub is_doubted: bool,
    /// What became of its sets, where that is counted.
    pub ledger: Option<Arc<Ledger>>,
}

/// How an attempt went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// When it ended.
    pub at: DateTime<Utc>,
    /// Why it failed, if it did.
    pub failure: Option<Failure>,
    /// Whether an earlier process made it, and this one has made none yet.
    pub is_restored: bool,
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

impl Failure {
    /// Whether it lasts until somebody mends something, rather than passing by itself.
    pub const fn is_refusal(&self) -> bool {
        self.reason.is_refusal()
    }
}

impl From<&ListError> for Failure {
    fn from(error: &ListError) -> Self {
        Self {
            reason: error.reason,
            message: error.to_string(),
            missing_instance: error.missing_instance,
        }
    }
}

/// The state of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// It was never read.
    Nothing,
    /// The provider has nothing of the kind for this instance.
    Unsupported,
    /// Backup sets or log files were read.
    Sets(Arc<Sets>),
    /// The policy was read.
    Policy(Arc<Policy>),
    /// The restore windows were read.
    Windows(Arc<RestoreWindows>),
}

/// A listing as it was last read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sets {
    /// The listing.
    pub listing: Listing,
    /// For each copy the newest usable set that has left the look-back: it is still the newest success, although it is
    /// no longer listed and no longer counted. With an incremental one, the full set that it continues. One that a whole
    /// listing should have shown, and did not, has no recovery point any more.
    pub remembered: Vec<BackupSet>,
    /// What log files cover, those included that are no longer listed.
    pub logs: Coverage,
}

impl Facts {
    /// Nothing is known yet, and it will be counted what became of the sets. That is for facts that outlive the process:
    /// a counter that forgets what it has counted is worse than none.
    pub fn with_ledgers() -> Self {
        Self {
            keeps_ledgers: true,
            ..Self::default()
        }
    }

    /// Takes back what an earlier process knew, before anything is adopted: what is not adopted then is forgotten. The
    /// targets need only have keys, as adoption brings them anew.
    pub fn restore(
        &self,
        instances: impl IntoIterator<Item = InstanceFacts>,
        regions: impl IntoIterator<Item = (RegionKey, RegionFacts)>,
    ) {
        let mut known = self.write();
        for facts in instances {
            known
                .instances
                .insert(facts.target.key.clone(), Arc::new(facts));
        }
        for (key, facts) in regions {
            known.regions.insert(key, Arc::new(facts));
        }
    }

    /// A list of what changes from now on, on which everything stands that is known already.
    pub fn feed(&self) -> Feed {
        // Under the lock, so that nothing is recorded between the two.
        let known = self.read();
        self.readers.add(Changes {
            instances: known.instances.keys().cloned().collect(),
            regions: known.regions.keys().cloned().collect(),
        })
    }

    /// Takes on these instances of one account and forgets its others. What is known about an instance that stays is
    /// kept.
    pub fn adopt(
        &self,
        account: (&str, &str),
        at: DateTime<Utc>,
        watched: impl IntoIterator<Item = Watched>,
    ) {
        let mut known = self.write();
        known
            .listed
            .retain(|(provider, name)| (*provider, &**name) != account);
        let is_of_account =
            |key: &InstanceKey| (key.provider, &*key.account) == (account.0, account.1);
        let (mut before, others): (BTreeMap<_, _>, BTreeMap<_, _>) =
            std::mem::take(&mut known.instances)
                .into_iter()
                .partition(|(key, _)| is_of_account(key));
        known.instances = others;
        let mut changed = HashSet::new();
        for watched in watched {
            let key = watched.target.key.clone();
            let facts = match before.remove(&key) {
                Some(facts) if facts.is_watched_as(&watched) => facts,
                facts => {
                    changed.insert(key.clone());
                    Arc::new(InstanceFacts::adopted(watched, facts.as_deref(), at))
                }
            };
            known.instances.insert(key, facts);
        }
        changed.extend(before.into_keys());
        self.readers
            .tell(|changes| changes.instances.extend(changed.iter().cloned()));
    }

    /// Forgets the accounts that are not among these, given as provider and name.
    pub fn keep_accounts(&self, is_kept: impl Fn(&str, &str) -> bool) {
        let mut known = self.write();
        known
            .listed
            .retain(|(provider, name)| is_kept(provider, name));
        let mut forgotten = Vec::new();
        known.instances.retain(|key, _| {
            let stays = is_kept(key.provider, &key.account);
            if !stays {
                forgotten.push(key.clone());
            }
            stays
        });
        self.retain_regions(&mut known, |key| is_kept(key.provider, &key.account));
        self.readers
            .tell(|changes| changes.instances.extend(forgotten.iter().cloned()));
    }

    fn retain_regions(&self, known: &mut Known, is_kept: impl Fn(&RegionKey) -> bool) {
        let mut forgotten = Vec::new();
        known.regions.retain(|key, _| {
            let stays = is_kept(key);
            if !stays {
                forgotten.push(key.clone());
            }
            stays
        });
        self.readers
            .tell(|changes| changes.regions.extend(forgotten.iter().cloned()));
    }

    /// Takes note of how an attempt ended that asked so far back. An instance that is no longer watched is ignored.
    pub fn record(
        &self,
        key: &InstanceKey,
        kind: ListingKind,
        at: DateTime<Utc>,
        lookback: Lookback,
        outcome: Result<Reading, ListError>,
    ) {
        let mut known = self.write();
        let Some(facts) = known.instances.get_mut(key) else {
            return;
        };
        let facts = Arc::make_mut(facts);
        let answer = facts.answer(kind, at, &outcome);
        let is_doubted = facts.is_doubted_after(kind, at, lookback, &outcome);
        let before = facts.listings.get(&kind);
        let was_seen = before.is_some_and(|before| before.last_success.is_some());
        let ledger = if self.keeps_ledgers {
            facts.ledger_after(kind, at, lookback, &outcome)
        } else {
            None
        };
        let listing = match outcome {
            Ok(reading) => {
                let nothing = &Found::Nothing;
                let before = before.map_or(nothing, |before| &before.found);
                let found = before.followed_by(reading, lookback, at);
                ListingFacts::good(at, found, is_doubted, ledger)
            }
            Err(error) if error.reason == Reason::Unsupported => {
                ListingFacts::good(at, Found::Unsupported, is_doubted, ledger)
            }
            Err(error) => ListingFacts {
                last_attempt: Attempt {
                    at,
                    failure: Some(Failure::from(&error)),
                    is_restored: false,
                },
                last_success: before.and_then(|before| before.last_success),
                found: before.map_or(Found::Nothing, |before| before.found.clone()),
                is_doubted,
                ledger,
            },
        };
        facts.listings.insert(kind, listing);
        if let Some(answer) = answer {
            facts.presence.answered(answer, was_seen, at);
        }
        self.readers.tell(|changes| {
            changes.instances.insert(key.clone());
        });
    }

    /// The facts about every instance, in the order of their keys, as of this moment.
    pub fn all(&self) -> Vec<Arc<InstanceFacts>> {
        self.read().instances.values().map(Arc::clone).collect()
    }

    /// The facts about one instance.
    pub fn of(&self, key: &InstanceKey) -> Option<Arc<InstanceFacts>> {
        self.read().instances.get(key).map(Arc::clone)
    }

    /// Takes on these regions of an account, in which instances are looked for, and forgets its others.
    pub fn adopt_regions(&self, account: (&str, &str), regions: &[RegionKey]) {
        let mut known = self.write();
        self.retain_regions(&mut known, |key| {
            (key.provider, &*key.account) != (account.0, account.1) || regions.contains(key)
        });
        for region in regions {
            known.regions.entry(region.clone()).or_default();
        }
        self.readers
            .tell(|changes| changes.regions.extend(regions.iter().cloned()));
    }

    /// Takes note of how looking for instances ended; one that was found, and is gone for longer than `grace`, is forgotten.
    /// A region that is no longer looked at is ignored.
    pub fn record_inventory(
        &self,
        key: &RegionKey,
        at: DateTime<Utc>,
        grace: std::time::Duration,
        outcome: Result<Inventory, ListError>,
    ) {
        let mut known = self.write();
        let Known {
            instances,
            regions,
            listed,
        } = &mut *known;
        if let Some(region) = regions.get_mut(key) {
            listed.insert((key.provider, Arc::clone(&key.account)));
            let standing = |id: &str| {
                let facts = instances.get(&key.instance(id));
                facts.map_or(Standing::Unwatched, |facts| Standing::Watched {
                    gone_since: facts.presence.gone_since,
                    is_named: !facts.is_found,
                })
            };
            Arc::make_mut(region).record(at, grace, outcome, standing);
            self.readers.tell(|changes| {
                changes.regions.insert(key.clone());
            });
        }
    }

    /// Whether all instances that were listed are watched, if they are to be.
    pub fn is_all_adopted(&self) -> bool {
        self.read().listed.is_empty()
    }

    /// What is known of one region in which instances are looked for.
    pub fn region(&self, key: &RegionKey) -> Option<Arc<RegionFacts>> {
        self.read().regions.get(key).map(Arc::clone)
    }

    /// The regions in which instances are looked for.
    pub fn regions(&self) -> Vec<(RegionKey, Arc<RegionFacts>)> {
        let known = self.read();
        let regions = known.regions.iter();
        regions
            .map(|(key, facts)| (key.clone(), Arc::clone(facts)))
            .collect()
    }

    fn read(&self) -> RwLockReadGuard<'_, Known> {
        self.known.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Known> {
        self.known.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An instance that is to be watched.
#[derive(Debug, Clone)]
pub struct Watched {
    /// Who it is, and what was promised.
    pub target: Arc<Target>,
    /// What the provider's list of instances says of it.
    pub description: Description,
    /// Whether a list of instances had it once, and since when it lacks it.
    pub listed: Option<Option<Missing>>,
    /// Whether it was found by looking for it rather than named.
    pub is_found: bool,
}

impl From<Arc<Target>> for Watched {
    fn from(target: Arc<Target>) -> Self {
        Self {
            target,
            description: Description::default(),
            listed: None,
            is_found: false,
        }
    }
}

impl InstanceFacts {
    /// What is known of an instance that is watched from now on, with what was known of it before.
    fn adopted(watched: Watched, before: Option<&Self>, at: DateTime<Utc>) -> Self {
        let mut presence = before.map(|facts| facts.presence.clone());
        if let Some(missing) = watched.listed {
            let presence = presence.get_or_insert_default();
            presence.listed(missing, at);
        }
        let Watched {
            target,
            description,
            is_found,
            ..
        } = watched;
        let mut listings = before.map_or_else(BTreeMap::new, |facts| facts.listings.clone());
        listings.retain(|kind, _| target.listings.contains(kind));
        Self {
            target,
            description,
            presence: presence.unwrap_or_default(),
            is_found,
            listings,
        }
    }

    fn is_watched_as(&self, watched: &Watched) -> bool {
        let is_listed_as = |missing: &Option<Missing>| {
            self.presence.was_listed && self.presence.missing == *missing
        };
        self.target == watched.target
            && self.description == watched.description
            && watched.listed.as_ref().is_none_or(is_listed_as)
            && self.is_found == watched.is_found
    }

    /// Whether this process has attempted each of its listings at least once.
    pub fn is_attempted(&self) -> bool {
        let mut attempts = self.listings.values().map(|listing| &listing.last_attempt);
        self.was_ever_attempted() && attempts.all(|attempt| !attempt.is_restored)
    }

    /// Whether each of its listings was attempted at least once, be it by an earlier process.
    fn was_ever_attempted(&self) -> bool {
        self.listings.len() == self.target.listings.len()
    }

    /// What became of the sets of each copy, where that is counted.
    pub fn events(&self) -> Option<BTreeMap<&CopyKey, Events>> {
        let mut ledgers = self
            .listings
            .values()
            .filter_map(|listing| listing.ledger.as_ref())
            .peekable();
        ledgers.peek()?;
        let mut events: BTreeMap<&CopyKey, Events> = BTreeMap::new();
        for (copy, more) in ledgers.flat_map(|ledger| &ledger.events) {
            let sum = events.entry(copy).or_default();
            *sum = sum.plus(*more);
        }
        Some(events)
    }

    /// What is counted of the sets of a listing after this attempt. A failure changes nothing about it.
    fn ledger_after(
        &self,
        kind: ListingKind,
        at: DateTime<Utc>,
        lookback: Lookback,
        outcome: &Result<Reading, ListError>,
    ) -> Option<Arc<Ledger>> {
        let before = self.listings.get(&kind);
        let ledger = before.and_then(|before| before.ledger.as_ref());
        let nothing = Listing::default();
        let listing = match outcome {
            Ok(Reading::Sets(listing)) => listing,
            // What was seen stays counted, should the provider come to support it again.
            Err(error) if error.reason == Reason::Unsupported && ledger.is_some() => &nothing,
            Ok(_) | Err(_) => return ledger.map(Arc::clone),
        };
        let sets = before.and_then(|before| before.found.sets().zip(before.last_success));
        let reading = ledger::Reading {
            listing,
            lookback,
            at,
            policy: self.policy(),
            is_gone: self.is_gone(),
        };
        let blank = Ledger::default();
        let known = ledger.map_or(&blank, |ledger| ledger);
        let next = known.followed_by(sets, reading);
        match ledger {
            Some(ledger) if **ledger == next => Some(Arc::clone(ledger)),
            _ => Some(Arc::new(next)),
        }
    }

    /// Whether the provider no longer has it, as far as the evidence goes.
    pub fn is_gone(&self) -> bool {
        self.presence.gone_since.is_some()
    }

    /// Whether it is gone, or said the last time that it does not exist.
    pub fn is_denied(&self) -> bool {
        self.is_gone() || self.presence.denials > 0
    }

    /// Whether the last list of instances lacks it, and it is not known to be gone.
    pub fn is_missing(&self) -> bool {
        self.presence.missing.is_some() && !self.is_gone()
    }

    /// The listing that is asked of the instance itself, where there is one; copies in other regions may outlive it.
    pub fn own_listing(&self) -> Option<ListingKind> {
        let listings = &self.target.listings;
        let kinds = [ListingKind::Local, ListingKind::CrossRegion];
        let own = kinds.into_iter().find(|kind| listings.contains(kind));
        own.or_else(|| listings.first().copied())
    }

    /// What an attempt at a listing says of the existence of the instance; nothing where it failed for another reason.
    fn answer(
        &self,
        kind: ListingKind,
        at: DateTime<Utc>,
        outcome: &Result<Reading, ListError>,
    ) -> Option<Answer> {
        if Some(kind) != self.own_listing() {
            return None;
        }
        match outcome {
            Ok(Reading::Sets(listing)) if kind == ListingKind::Local && listing.complete => {
                let usable = Usable::among(&listing.sets, at);
                let is_usable = listing.sets.iter().any(|set| usable.contains(set));
                Some(if is_usable {
                    Answer::Shown
                } else {
                    Answer::Bare
                })
            }
            Ok(_) => Some(Answer::Shown),
            Err(error) if error.missing_instance => Some(Answer::Denied),
            Err(error) if error.reason == Reason::Unsupported => Some(Answer::Shown),
            Err(_) => None,
        }
    }

    /// The policy, if it was read.
    fn policy(&self) -> Option<&Policy> {
        match &self.listings.get(&ListingKind::Policy)?.found {
            Found::Policy(policy) => Some(policy),
            _ => None,
        }
    }

    /// Whether a listing has to be asked for again soon after this attempt. A failure confirms nothing.
    fn is_doubted_after(
        &self,
        kind: ListingKind,
        at: DateTime<Utc>,
        lookback: Lookback,
        outcome: &Result<Reading, ListError>,
    ) -> bool {
        let Some(before) = self.listings.get(&kind) else {
            return false;
        };
        let after = match outcome {
            Ok(reading) => Some(reading),
            Err(error) if error.reason == Reason::Unsupported => None,
            Err(_) => return before.is_doubted,
        };
        doubt::takes_away(&before.found, after, self.policy(), lookback, at)
    }
}

impl ListingFacts {
    fn good(
        at: DateTime<Utc>,
        found: Found,
        is_doubted: bool,
        ledger: Option<Arc<Ledger>>,
    ) -> Self {
        Self {
            last_attempt: Attempt {
                at,
                failure: None,
                is_restored: false,
            },
            last_success: Some(at),
            found,
            is_doubted,
            ledger,
        }
    }
}

impl Sets {
    /// Which of them one could restore from at this time.
    pub fn usable(&self, now: DateTime<Utc>) -> Usable<'_> {
        Usable::among(self.all(), now)
    }
}

impl Found {
    /// The sets, if any were read.
    pub fn sets(&self) -> Option<&Sets> {
        match self {
            Self::Sets(sets) => Some(sets),
            _ => None,
        }
    }

    /// What is known once this was read, with what has to be remembered of before.
    fn followed_by(&self, reading: Reading, lookback: Lookback, now: DateTime<Utc>) -> Self {
        match reading {
            Reading::Sets(listing) => {
                let nothing = Sets::default();
                let before = self.sets().unwrap_or(&nothing);
                Self::Sets(Arc::new(before.followed_by(listing, lookback, now)))
            }
            Reading::Policy(policy) => Self::Policy(Arc::new(policy)),
            Reading::Windows(windows) => Self::Windows(Arc::new(windows)),
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;
    use crate::backup::{Anomaly, BackupType, Status};
    use crate::example::{
        LOOKBACK, ago, copy_in, failed, failure, listing, local, now, target, with,
    };

    const KIND: ListingKind = ListingKind::CrossRegion;
    const ACCOUNT: (&str, &str) = ("alibaba", "prod");

    fn watched(target: Target) -> Watched {
        Arc::new(target).into()
    }

    /// The facts about `rm-1`, and a shorthand to take note of an attempt at its cross-region listing.
    struct Story(Facts);

    impl Story {
        fn new() -> Self {
            let facts = Facts::default();
            facts.adopt(ACCOUNT, now(), [watched(target("rm-1"))]);
            Self(facts)
        }

        fn attempt(&self, when: &str, outcome: Result<Vec<BackupSet>, ListError>) -> &Self {
            let at = ago(when);
            let outcome = outcome.map(listing).map(Reading::from);
            self.0
                .record(&target("rm-1").key, KIND, at, LOOKBACK, outcome);
            self
        }

        fn known(&self) -> ListingFacts {
            let facts = self.0.of(&target("rm-1").key).unwrap();
            facts.listings[&KIND].clone()
        }

        fn sets(&self) -> Sets {
            match self.known().found {
                Found::Sets(sets) => Sets::clone(&sets),
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn a_failed_attempt_keeps_what_was_known_and_says_that_it_failed() {
        let story = Story::new();
        story.attempt("2h", Ok(vec![copy_in("cn-shanghai", "3h")]));
        let before = story.sets();
        for reason in Reason::ALL {
            if reason == Reason::Unsupported {
                continue;
            }
            story.attempt("1h", Err(failure(reason)));
            assert_eq!(story.sets(), before, "{reason:?}");
            let known = story.known();
            assert_eq!(known.last_success, Some(ago("2h")), "{reason:?}");
            assert_eq!(known.last_attempt.at, ago("1h"), "{reason:?}");
            let told = known.last_attempt.failure.unwrap();
            assert_eq!((told.reason, told.missing_instance), (reason, false));
            assert_eq!(told.message, failure(reason).to_string());
        }
        story.attempt("10m", Ok(vec![]));
        let known = story.known();
        assert_eq!(known.last_attempt.failure, None);
        assert_eq!(known.last_success, Some(ago("10m")));
        assert_eq!(story.sets().listing, listing(vec![]));
    }

    #[test]
    fn what_was_never_read_stays_unknown_when_attempts_fail() {
        let story = Story::new();
        assert!(!story.0.all()[0].is_attempted());
        story.attempt("1h", Err(failure(Reason::Timeout)));
        let known = story.known();
        assert_eq!(known.last_success, None);
        assert!(matches!(known.found, Found::Nothing));
        // Its other listing was not attempted yet.
        assert!(!story.0.all()[0].is_attempted());
        let key = target("rm-1").key;
        let outcome = Err(failure(Reason::Timeout));
        story.0.record(
            &key,
            ListingKind::Local,
            ago("1h"),
            LOOKBACK,
            outcome.clone(),
        );
        assert!(story.0.all()[0].is_attempted());
    }

    #[test]
    fn a_missing_instance_is_told_from_other_failures() {
        let story = Story::new();
        let missing = ListError {
            missing_instance: true,
            ..failure(Reason::NotFound)
        };
        story.attempt("1h", Err(missing));
        assert!(story.known().last_attempt.failure.unwrap().missing_instance);
    }

    #[test]
    fn unsupported_is_a_successful_answer_that_leaves_no_sets() {
        let story = Story::new();
        story
            .attempt("2h", Ok(vec![copy_in("cn-shanghai", "3h")]))
            .attempt("1h", Err(failure(Reason::Unsupported)));
        let known = story.known();
        assert!(matches!(known.found, Found::Unsupported));
        assert_eq!(known.last_attempt.failure, None);
        assert_eq!(known.last_success, Some(ago("1h")));
        // A failure after it changes nothing about that.
        story.attempt("30m", Err(failure(Reason::Server)));
        assert!(matches!(story.known().found, Found::Unsupported));
    }

    #[test]
    fn the_newest_success_is_remembered_when_it_leaves_the_look_back() {
        let old = copy_in("cn-shanghai", "31days");
        let story = Story::new();
        story.attempt("1h", Ok(vec![old.clone()]));
        assert_eq!(story.sets().remembered, []);
        for when in ["10m", "5m", "1m"] {
            story.attempt(when, Ok(vec![]));
            assert_eq!(
                story.sets().remembered,
                std::slice::from_ref(&old),
                "{when}"
            );
        }
    }

    #[test]
    fn a_set_that_was_deleted_within_the_look_back_is_forgotten() {
        let story = Story::new();
        story
            .attempt("1h", Ok(vec![copy_in("cn-shanghai", "2h")]))
            .attempt("1m", Ok(vec![]));
        assert_eq!(story.sets().remembered, []);
    }

    #[test]
    fn only_the_newest_usable_set_of_each_copy_is_remembered() {
        let (before, after) = ("2days", "1m");
        let gone = |region| copy_in(region, "32days");
        let expired = BackupSet {
            expires: Some(ago("1h")),
            ..gone("cn-qingdao")
        };
        let story = Story::new();
        story.attempt(
            before,
            Ok(vec![
                copy_in("cn-shanghai", "32days 1h"),
                gone("cn-shanghai"),
                copy_in("cn-shanghai", "32days 2h"),
                gone("cn-beijing"),
                failed(copy_in("cn-beijing", "31days 5h")),
                with(Status::Unknown, gone("cn-shenzhen")),
                expired,
                BackupSet {
                    backup_type: BackupType::Incremental,
                    ..copy_in("cn-beijing", "31days 12h")
                },
                BackupSet {
                    backup_type: BackupType::Incremental,
                    ..gone("cn-shenzhen")
                },
                BackupSet {
                    backup_type: BackupType::Partial,
                    ..gone("cn-beijing")
                },
            ]),
        );
        story.attempt(after, Ok(vec![copy_in("cn-shanghai", "1h")]));
        let remembered: Vec<_> = story
            .sets()
            .remembered
            .into_iter()
            .map(|set| (set.backup_region.to_string(), set.backup_type, set.ended))
            .collect();
        let ended = Some(ago("32days"));
        assert_eq!(
            remembered,
            [
                ("cn-beijing".to_owned(), BackupType::Full, ended),
                (
                    "cn-beijing".to_owned(),
                    BackupType::Incremental,
                    Some(ago("31days 12h"))
                ),
                ("cn-shanghai".to_owned(), BackupType::Full, ended),
            ]
        );
    }

    #[test]
    fn an_incremental_set_is_remembered_with_the_full_one_that_it_continues() {
        let incremental = |ended| BackupSet {
            backup_type: BackupType::Incremental,
            ..copy_in("cn-shanghai", ended)
        };
        let story = Story::new();
        story
            .attempt(
                "12h",
                Ok(vec![
                    copy_in("cn-shanghai", "31days 1h"),
                    incremental("31days 2h"),
                    incremental("31days 4h"),
                    copy_in("cn-shanghai", "31days 5h"),
                    copy_in("cn-shanghai", "31days 8h"),
                ]),
            )
            .attempt("1m", Ok(vec![incremental("1h")]));
        let sets = story.sets();
        let mut ended: Vec<_> = sets.remembered.iter().filter_map(|set| set.ended).collect();
        ended.sort_unstable();
        assert_eq!(ended, ["31days 5h", "31days 2h", "31days 1h"].map(ago));
        let usable = sets.usable(now());
        assert!(sets.all().all(|set| usable.contains(set)));
        // Nothing changes when it is remembered once more.
        story.attempt("0s", Ok(vec![incremental("1h")]));
        assert_eq!(story.sets().remembered.len(), 3);
    }

    #[test]
    fn a_configuration_keeps_what_stays_and_forgets_the_rest() {
        let facts = Facts::default();
        let (one, two) = (Arc::new(target("rm-1")), Arc::new(target("rm-2")));
        facts.adopt(
            ACCOUNT,
            now(),
            [&one, &two].map(|target| Arc::clone(target).into()),
        );
        let outcome = Ok(Reading::from(listing(vec![local("1h")])));
        for target in [&one, &two] {
            for kind in [KIND, ListingKind::Local] {
                facts.record(&target.key, kind, ago("1m"), LOOKBACK, outcome.clone());
            }
        }
        let renamed = Arc::new(Target {
            name: Some("orders".to_owned()),
            listings: vec![ListingKind::Local],
            ..target("rm-1")
        });
        let three = Arc::new(target("rm-3"));
        facts.adopt(
            ACCOUNT,
            now(),
            [&three, &renamed].map(|target| Arc::clone(target).into()),
        );
        let known: Vec<_> = facts
            .all()
            .iter()
            .map(|facts| {
                let kinds: Vec<_> = facts.listings.keys().copied().collect();
                (Arc::clone(&facts.target), kinds)
            })
            .collect();
        assert_eq!(
            known,
            [(renamed, vec![ListingKind::Local]), (three, vec![])]
        );
        // An answer that comes after its instance has left is dropped.
        facts.record(&two.key, KIND, ago("1m"), LOOKBACK, outcome.clone());
        assert!(facts.of(&two.key).is_none());
        // What left and comes back begins anew.
        facts.adopt(ACCOUNT, now(), [Arc::clone(&two).into()]);
        assert!(facts.of(&two.key).unwrap().listings.is_empty());
    }

    #[test]
    fn a_reader_keeps_what_it_took_while_facts_change() {
        let story = Story::new();
        story.attempt("1h", Ok(vec![]));
        let taken = story.0.all();
        let odd = Listing {
            anomalies: vec![Anomaly::Duplicate],
            ..Listing::default()
        };
        let key = target("rm-1").key;
        story
            .0
            .record(&key, KIND, ago("1m"), LOOKBACK, Ok(odd.into()));
        assert_eq!(taken[0].listings[&KIND].last_success, Some(ago("1h")));
        assert_eq!(story.known().last_success, Some(ago("1m")));
    }

    /// The ids that a feed tells of.
    fn told(feed: &Feed) -> Vec<String> {
        let changes = feed.take();
        let mut ids: Vec<_> = changes
            .instances
            .iter()
            .map(|key| key.instance_id.to_string())
            .collect();
        ids.sort();
        ids
    }

    #[test]
    fn a_feed_tells_once_of_each_instance_that_changed() {
        let story = Story::new();
        let facts = &story.0;
        let feed = facts.feed();
        assert!(feed.changed().now_or_never().is_some());
        assert_eq!(told(&feed), ["rm-1"], "what is known already is news to it");
        assert!(feed.changed().now_or_never().is_none());
        story.attempt("1m", Ok(vec![]));
        let other = facts.feed();
        assert!(feed.changed().now_or_never().is_some());
        assert_eq!(
            (told(&feed), told(&other)),
            (vec!["rm-1".to_owned()], vec!["rm-1".to_owned()])
        );
        assert_eq!(told(&feed), [""; 0]);
        facts.adopt(
            ACCOUNT,
            now(),
            [watched(target("rm-1")), watched(target("rm-2"))],
        );
        assert_eq!(
            told(&feed),
            ["rm-2"],
            "what is watched as before has not changed"
        );
        facts.adopt(ACCOUNT, now(), [watched(target("rm-2"))]);
        assert_eq!(told(&feed), ["rm-1"]);
        facts.keep_accounts(|_, _| false);
        assert_eq!(told(&feed), ["rm-2"]);
        assert!(feed.changed().now_or_never().is_none());
    }

    #[test]
    fn a_feed_tells_of_regions() {
        let facts = Facts::default();
        let feed = facts.feed();
        let region = RegionKey {
            provider: "alibaba",
            account: "prod".into(),
            region: "cn-hangzhou".into(),
            service: crate::service::Service::AlibabaRds,
        };
        let tells = || feed.take().regions.contains(&region);
        facts.adopt_regions(ACCOUNT, std::slice::from_ref(&region));
        assert!(tells() && !tells());
        let grace = std::time::Duration::ZERO;
        facts.record_inventory(&region, ago("1m"), grace, Ok(Inventory::default()));
        assert!(tells() && !tells());
        facts.adopt_regions(ACCOUNT, &[]);
        assert!(tells() && !tells());
    }
}
