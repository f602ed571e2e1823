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
pub(super) const RETENTION_MARGIN: Duration = Duration::days(1);

/// What began this much after the edge of the look-back should be listed.
pub(super) fn margin(lookback: Lookback, backup_type: BackupType) -> Duration {
    match backup_type {
        BackupType::Log => Duration::from_std(lookback.logs / 4).unwrap_or(EDGE_MARGIN),
        _ => EDGE_MARGIN,
    }
    .min(EDGE_MARGIN)
}

/// For how long the provider's policy keeps what is like this; `None` where nobody says so.
pub(super) fn retention(policy: Option<&Policy>, copy: &CopyKey) -> Option<Duration> {
    let switches = policy.into_iter().flat_map(|policy| &policy.switches);
    let of_copy = switches.filter(|switch| {
        switch.scope == copy.scope
            && (switch.backup_type == BackupType::Log) == (copy.backup_type == BackupType::Log)
            && (switch.backup_region.is_empty() || switch.backup_region == copy.backup_region)
    });
    let retention = of_copy.filter_map(|switch| switch.retention).min()?;
    Duration::from_std(retention).ok()
}

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
    /// Sets that the newest whole reading lacked for the first time. They have vanished if the next one lacks them too.
    pub suspects: Vec<Identity>,
}

/// The sets of one kind in one place.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CopyKey {
    /// Local or in another region.
    pub scope: Scope,
    /// The region that keeps them.
    pub backup_region: String,
    /// What they hold.
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
    pub(super) fn of(set: &BackupSet) -> Self {
        Self {
            scope: set.scope,
            backup_region: set.backup_region.to_string(),
            backup_type: set.backup_type,
        }
    }
}

impl Identity {
    /// A set without any time has none, and is never counted.
    pub(super) fn of(set: &BackupSet) -> Option<Self> {
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
            .or_else(|| Some(usable_of(before?.0, before?.1)));
        if reading.listing.complete {
            next.miss(&standing.unwrap_or_default(), self.lookback, reading);
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

    /// Suspects what was usable, is there no longer, and should be; counts what was a suspect and has not come back.
    fn miss(&mut self, standing: &[Standing], lookback: Option<Lookback>, reading: Reading<'_>) {
        let suspects = std::mem::take(&mut self.suspects);
        if lookback != Some(reading.lookback) || reading.is_gone {
            return;
        }
        let mut present = Count::new();
        let is_there = |set: &&BackupSet| set.status != Status::Deleting;
        let there = reading.listing.sets.iter().filter(is_there);
        for mut identity in there.filter_map(Identity::of) {
            // What is known for a part now may have been taken for the whole before.
            if identity.copy.backup_type == BackupType::Partial {
                identity.copy.backup_type = BackupType::Full;
            }
            *present.entry(identity).or_default() += 1;
        }
        let mut is_lost = |identity: &Identity| match present.get_mut(identity) {
            Some(left @ 1..) => {
                *left -= 1;
                false
            }
            _ => true,
        };
        let lost = standing.iter().filter(|set| is_lost(&set.identity));
        let lost = lost.filter(|set| reading.should_have(set));
        self.suspects = lost.map(|set| set.identity.clone()).collect();
        for identity in suspects {
            if is_lost(&identity) && reading.was_asked_of(&identity.copy) {
                self.events.entry(identity.copy).or_default().vanished += 1;
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
            .or_else(|| dated.checked_add_signed(retention(self.policy, copy)?));
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
}

/// The sets that a listing shows as completed or failed, whether they can be restored from or not. What holds a part of the
/// instance is none of them: no promise gains or loses by it.
fn finished(listing: &Listing) -> impl Iterator<Item = (Identity, Status)> {
    let is_final = |set: &&BackupSet| {
        matches!(set.status, Status::Completed | Status::Failed)
            && set.backup_type != BackupType::Partial
    };
    let finished = listing.sets.iter().filter(is_final);
    finished.filter_map(|set| Some((Identity::of(set)?, set.status)))
}

/// What could be restored from at this time.
fn usable_of(sets: &Sets, at: DateTime<Utc>) -> Vec<Standing> {
    let usable = sets.usable(at);
    let listed = sets.listing.sets.iter();
    listed
        .filter(|set| usable.contains(set))
        .filter_map(|set| {
            Some(Standing {
                identity: Identity::of(set)?,
                expires: set.expires,
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;
    use crate::backup::ListingKind;
    use crate::example::{
        LOOKBACK, ago, copy_in, failed, failure, listing, local, log_in, now, policy_to, target,
        with,
    };
    use crate::facts::Facts;
    use crate::provider::error::Reason;
    use crate::target::InstanceKey;

    const REGION: &str = "cn-shanghai";
    const KIND: ListingKind = ListingKind::CrossRegion;

    /// The facts about one instance, whose copies are kept for a week.
    struct Story(Facts);

    impl Story {
        fn new() -> Self {
            let facts = Facts::with_ledgers();
            let mut target = target("rm-1");
            target.listings.push(ListingKind::Policy);
            facts.adopt(("alibaba", "prod"), ago("40d"), [Arc::new(target).into()]);
            let story = Self(facts);
            story.policy(policy_to(REGION));
            story
        }

        fn key() -> InstanceKey {
            target("rm-1").key
        }

        fn policy(&self, policy: Policy) -> &Self {
            let facts = &self.0;
            facts.record(
                &Self::key(),
                ListingKind::Policy,
                ago("40d"),
                LOOKBACK,
                Ok(policy.into()),
            );
            self
        }

        fn reads(&self, when: &str, sets: &[BackupSet]) -> &Self {
            self.reads_listing(ago(when), LOOKBACK, listing(sets.to_vec()))
        }

        fn reads_in_part(&self, when: &str, sets: &[BackupSet]) -> &Self {
            let part = Listing {
                complete: false,
                ..listing(sets.to_vec())
            };
            self.reads_listing(ago(when), LOOKBACK, part)
        }

        fn reads_listing(&self, at: DateTime<Utc>, lookback: Lookback, listing: Listing) -> &Self {
            let facts = &self.0;
            facts.record(&Self::key(), KIND, at, lookback, Ok(listing.into()));
            self
        }

        fn fails(&self, when: &str, reason: Reason) -> &Self {
            let outcome = Err(failure(reason));
            let facts = &self.0;
            facts.record(&Self::key(), KIND, ago(when), LOOKBACK, outcome);
            self
        }

        /// Completed, failed and vanished, over all copies.
        fn counted(&self) -> (u64, u64, u64) {
            let facts = self.0.of(&Self::key()).unwrap();
            let events = facts.events().unwrap().into_values();
            let sum = events.fold(Events::default(), Events::plus);
            (sum.completed, sum.failed, sum.vanished)
        }
    }

    fn copy(ended: &str) -> BackupSet {
        copy_in(REGION, ended)
    }

    #[test]
    fn nothing_is_counted_where_it_would_be_forgotten() {
        let facts = Facts::default();
        facts.adopt(
            ("alibaba", "prod"),
            now(),
            [Arc::new(target("rm-1")).into()],
        );
        let read = Ok(listing(vec![copy("1d")]).into());
        facts.record(&Story::key(), KIND, ago("1h"), LOOKBACK, read);
        assert_eq!(facts.of(&Story::key()).unwrap().events(), None);
    }

    #[test]
    fn a_set_is_counted_once_when_it_is_finished() {
        let story = Story::new();
        let running = with(Status::Running, copy("1h"));
        story.reads("3h", &[copy("1d"), failed(copy("2d")), running]);
        assert_eq!(story.counted(), (1, 1, 0));
        let sets = [copy("1d"), failed(copy("2d")), copy("1h")];
        story.reads("2h", &sets).reads("1h", &sets);
        assert_eq!(story.counted(), (2, 1, 0));
        // That it is being deleted, and is not after all, makes no other set of it.
        let deleting = with(Status::Deleting, copy("1h"));
        story.reads("50m", &[copy("1d"), failed(copy("2d")), deleting]);
        story.reads("40m", &sets);
        assert_eq!(story.counted().0, 2);
    }

    #[test]
    fn two_sets_that_began_together_are_two() {
        let story = Story::new();
        story.reads("3h", &[copy("1d")]);
        story.reads("2h", &[copy("1d"), copy("1d")]);
        story.reads("1h", &[copy("1d"), copy("1d")]);
        assert_eq!(story.counted(), (2, 0, 0));
        story.reads("2m", &[copy("1d")]).reads("1m", &[copy("1d")]);
        assert_eq!(story.counted(), (2, 0, 1));
    }

    #[test]
    fn a_set_has_vanished_only_if_two_answers_in_a_row_lack_it() {
        let (both, one) = ([copy("2d"), copy("1d")], [copy("1d")]);
        let story = Story::new();
        story.reads("9h", &both).reads("8h", &one);
        assert_eq!(story.counted(), (2, 0, 0), "it is asked for again");
        story
            .reads("7h", &both)
            .reads("6h", &one)
            .reads("5h", &both);
        assert_eq!(story.counted(), (2, 0, 0), "it was there after all");
        story.reads("4h", &one).fails("3h", Reason::Timeout);
        story.reads_in_part("2h", &[]);
        assert_eq!(story.counted(), (2, 0, 0), "nobody has confirmed it");
        story.reads("1h", &one).reads("1m", &one);
        assert_eq!(story.counted(), (2, 0, 1));
    }

    #[test]
    fn an_empty_answer_by_mistake_makes_nothing_vanish() {
        let sets = [copy("3d"), copy("2d"), copy("1d")];
        let story = Story::new();
        story.reads("3h", &sets).reads("2h", &[]).reads("1h", &sets);
        assert_eq!(story.counted(), (3, 0, 0));
        story
            .reads("30m", &[])
            .reads("20m", &[])
            .reads("10m", &sets);
        assert_eq!(story.counted().2, 3);
    }

    #[test]
    fn a_failure_or_a_part_of_a_listing_changes_nothing() {
        let sets = [copy("3d"), copy("2d"), copy("1d")];
        let story = Story::new();
        story.reads("9h", &sets);
        for reason in Reason::ALL {
            story.fails("8h", reason);
        }
        story
            .reads_in_part("7h", &sets[..1])
            .reads_in_part("6h", &sets[1..])
            .reads("5h", &sets);
        assert_eq!(story.counted(), (3, 0, 0));
        // What was usable when all was read last is missed when all is read next.
        story
            .reads_in_part("4h", &sets[..1])
            .reads("3h", &sets[..2])
            .reads("2h", &sets[..2]);
        assert_eq!(story.counted(), (3, 0, 1));
    }

    #[test]
    fn a_listing_that_is_supported_again_counts_nothing_anew() {
        let sets = [copy("3d"), copy("2d")];
        let story = Story::new();
        story.reads("3h", &sets).fails("2h", Reason::Unsupported);
        story.reads("1h", &sets);
        assert_eq!(story.counted(), (2, 0, 0));
    }

    #[test]
    fn what_an_earlier_reading_looked_past_is_not_new() {
        let story = Story::new();
        let shorter = Lookback {
            sets: std::time::Duration::from_secs(2 * 24 * 3600),
            ..LOOKBACK
        };
        story.reads_listing(ago("3h"), shorter, listing(vec![copy("1d")]));
        story.reads("2h", &[copy("1d"), copy("5d")]);
        story.reads("1h", &[copy("1d"), copy("5d")]);
        assert_eq!(story.counted(), (1, 0, 0));
    }

    /// Sets, the second reading, and how many vanished.
    #[test]
    fn a_set_has_vanished_only_if_it_should_still_be_there() {
        let expiring = |expires: &str| BackupSet {
            expires: Some(now() + humantime::parse_duration(expires).unwrap()),
            ..local("1d")
        };
        for (case, before, after, vanished) in [
            ("young", copy("2d"), None, 1),
            ("still there", copy("2d"), Some(copy("2d")), 0),
            ("about to expire", copy("6d 3h"), None, 0),
            ("expired", copy("8d"), None, 0),
            ("beyond the look-back", copy("31d 12h"), None, 0),
            ("at its edge", copy("30d 23h 30m"), None, 0),
            ("never usable", failed(copy("2d")), None, 0),
            ("running", with(Status::Running, copy("2d")), None, 0),
            (
                "being deleted early",
                copy("2d"),
                Some(with(Status::Deleting, copy("2d"))),
                1,
            ),
            (
                "being deleted in time",
                copy("8d"),
                Some(with(Status::Deleting, copy("8d"))),
                0,
            ),
            ("broken", copy("2d"), Some(failed(copy("2d"))), 0),
            (
                "of no known retention",
                copy_in("cn-beijing", "2d"),
                None,
                0,
            ),
            ("local, of no known retention", local("2d"), None, 0),
            ("local, with a date", expiring("3d"), None, 1),
            ("local, about to expire", expiring("20h"), None, 0),
            ("a log file", log_in(REGION, "30m", "20m"), None, 0),
        ] {
            let story = Story::new();
            story.reads("10m", &[before]);
            story.reads("1s", after.as_slice());
            story.reads("0s", after.as_slice());
            assert_eq!(story.counted().2, vanished, "{case}");
        }
    }

    #[test]
    fn a_part_of_the_instance_is_neither_made_nor_lost() {
        let part = |set| BackupSet {
            backup_type: BackupType::Partial,
            ..set
        };
        let story = Story::new();
        story.reads(
            "3h",
            &[copy("2d"), part(copy("1d")), part(failed(copy("1d")))],
        );
        story.reads("2h", &[copy("2d")]);
        assert_eq!(story.counted(), (1, 0, 0));
        // It was taken for the whole before its extent was read.
        story.reads("1h", &[part(copy("2d"))]);
        assert_eq!(story.counted(), (1, 0, 0));
    }

    #[test]
    fn only_what_could_be_restored_can_vanish() {
        let incremental = |ended| BackupSet {
            backup_type: BackupType::Incremental,
            ..copy(ended)
        };
        let story = Story::new();
        story.reads("3h", &[incremental("1d")]);
        story.reads("2h", &[]);
        assert_eq!(story.counted(), (1, 0, 0));
        story.reads("90m", &[copy("3d"), incremental("2d")]);
        // The base is lost, and with it the use of what is still there.
        story.reads("1h", &[incremental("2d")]);
        story.reads("50m", &[incremental("2d")]);
        assert_eq!(story.counted(), (3, 0, 1));
        story.reads("2m", &[]).reads("1m", &[]);
        assert_eq!(story.counted().2, 1);
    }

    #[test]
    fn nothing_has_vanished_where_something_else_was_asked() {
        let asks = |lookback, destinations: &[&str], protected| {
            let story = Story::new();
            story.reads("10m", &[copy("2d")]);
            let answer = Listing {
                destinations: destinations.iter().map(|&region| region.into()).collect(),
                protected,
                ..listing(Vec::new())
            };
            story.reads_listing(ago("1s"), lookback, answer.clone());
            story.reads_listing(now(), lookback, answer).counted().2
        };
        assert_eq!(asks(LOOKBACK, &[], None), 1);
        assert_eq!(asks(LOOKBACK, &[REGION], Some(true)), 1);
        // The policy copies elsewhere now, or nowhere.
        assert_eq!(asks(LOOKBACK, &["cn-beijing"], Some(true)), 0);
        assert_eq!(asks(LOOKBACK, &[], Some(false)), 0);
        let longer = Lookback {
            sets: LOOKBACK.sets * 2,
            ..LOOKBACK
        };
        assert_eq!(asks(longer, &[], None), 0);
    }

    #[test]
    fn of_an_instance_that_is_gone_nothing_vanishes() {
        let story = Story::new();
        story.reads("10m", &[copy("2d")]);
        let facts = story.0.of(&Story::key()).unwrap();
        let mut gone: crate::facts::Watched = Arc::clone(&facts.target).into();
        gone.listed = Some(Some(crate::facts::Missing {
            since: ago("2h"),
            searches: 6,
        }));
        story.0.adopt(("alibaba", "prod"), ago("5m"), [gone]);
        story.reads("1m", &[]).reads("0s", &[]);
        assert_eq!(story.counted().2, 0);
    }

    /// What happens to an instance within a few hours.
    #[derive(Debug, Clone, Copy)]
    enum Happening {
        Backup(Status),
        /// Somebody deletes one of the sets.
        Deletion(usize),
        /// So many of the rows are listed, or all.
        Reading(Option<usize>),
        Failure,
    }

    fn happenings() -> impl Strategy<Value = Vec<(i64, Happening)>> {
        let backup = prop_oneof![
            4 => Just(Status::Completed),
            1 => Just(Status::Failed),
            1 => Just(Status::Unknown),
        ];
        let happening = prop_oneof![
            4 => backup.prop_map(Happening::Backup),
            1 => any::<usize>().prop_map(Happening::Deletion),
            3 => Just(Happening::Reading(None)),
            1 => (0_usize..12).prop_map(|rows| Happening::Reading(Some(rows))),
            1 => Just(Happening::Failure),
        ];
        proptest::collection::vec((1_i64..600, happening), 0..120)
    }

    /// A set as the model knows it: by itself, and not by its times.
    #[expect(clippy::struct_excessive_bools, reason = "a model in plain words")]
    struct Made {
        set: BackupSet,
        is_deleted: bool,
        was_seen: bool,
        was_usable: bool,
        is_suspect: bool,
    }

    const KEPT: Duration = Duration::days(7);

    proptest! {
        /// A vendor that keeps each set for a week, somebody who deletes some, and a reader that looks in now and then.
        #[test]
        fn any_history_is_counted_as_a_plain_model_counts_it(history in happenings()) {
            let story = Story::new();
            let mut time = ago("40d");
            let mut world: Vec<Made> = Vec::new();
            let mut expected = (0, 0, 0);
            for (minutes, happening) in history {
                time += Duration::minutes(minutes);
                match happening {
                    Happening::Backup(status) => world.push(Made {
                        set: BackupSet {
                            started: Some(time),
                            ended: Some(time),
                            ..with(status, copy("1d"))
                        },
                        is_deleted: false,
                        was_seen: false,
                        was_usable: false,
                        is_suspect: false,
                    }),
                    Happening::Deletion(which) if !world.is_empty() => {
                        let which = which % world.len();
                        world[which].is_deleted = true;
                    }
                    Happening::Deletion(_) => {}
                    Happening::Failure => {
                        let outcome = Err(failure(Reason::Server));
                        story.0.record(&Story::key(), KIND, time, LOOKBACK, outcome);
                    }
                    Happening::Reading(rows) => {
                        let is_listed = |made: &&mut Made| {
                            !made.is_deleted && made.set.started.unwrap() + KEPT > time
                        };
                        let mut listed: Vec<_> = world.iter_mut().filter(is_listed).collect();
                        let complete = rows.is_none_or(|rows| rows >= listed.len());
                        listed.truncate(rows.unwrap_or(usize::MAX));
                        let sets = listed.iter().map(|made| made.set.clone()).collect();
                        for made in listed {
                            let count = match made.set.status {
                                Status::Completed => &mut expected.0,
                                Status::Failed => &mut expected.1,
                                _ => continue,
                            };
                            *count += u64::from(!std::mem::replace(&mut made.was_seen, true));
                        }
                        if complete {
                            for made in &mut world {
                                let age = time - made.set.started.unwrap();
                                // It is asked for twice.
                                expected.2 += u64::from(std::mem::take(&mut made.is_suspect));
                                made.is_suspect = made.was_usable && made.is_deleted
                                    && age < KEPT - Duration::days(1);
                                made.was_usable = !made.is_deleted
                                    && age < KEPT
                                    && made.set.status == Status::Completed;
                            }
                        }
                        let listing = Listing { complete, ..listing(sets) };
                        story.reads_listing(time, LOOKBACK, listing);
                    }
                }
            }
            let facts = story.0.of(&Story::key()).unwrap();
            let counted = facts.events().map_or((0, 0, 0), |_| story.counted());
            prop_assert_eq!(counted, expected);
        }
    }
}
