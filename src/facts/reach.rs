//! From what to what a listing shows: what is remembered of before, which sets log files may continue, and how far back a
//! listing has to be read for that.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Duration, Utc};

use super::ledger::{self, CopyKey};
use super::{Found, InstanceFacts, Sets};
use crate::backup::{BackupSet, BackupType, Edges, Listing, ListingKind, Lookback, Scope, Usable};
use crate::log_chain::{Coverage, LogReading};

/// A set that will leave the look-back so soon is asked for as if it had: a question may stand in line for a while.
const SOON: Duration = Duration::hours(1);

/// So far beyond the look-back a set is asked for, or twice the look-back back where that is longer.
const BEYOND: Duration = Duration::days(31);

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
        let logs = self.logs_after(&listing, edges, now);
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

    /// What log files cover. Of a listing that never had any there is nothing to be noted.
    fn logs_after(&self, listing: &Listing, edges: Edges, now: DateTime<Utc>) -> Coverage {
        if self.logs == Coverage::default() && !listing.sets.iter().any(is_log) {
            return Coverage::default();
        }
        let reading = LogReading {
            from: listing.read_from(edges, BackupType::Log),
            edge: edges.of(BackupType::Log),
            is_whole: listing.complete,
            oldest: edges.of(BackupType::Full),
            now,
        };
        // Of a file that was deleted is remembered that there was one, and it covers nothing.
        let left = self.remembered.iter().filter(|set| self.logs.holds(set));
        let left = self.listing.sets.iter().chain(left);
        self.logs.followed_by(left, &listing.sets, reading)
    }

    /// For each copy the newest usable set that began before the look-back.
    ///
    /// A set that began later and is no longer listed was deleted, and is forgotten with reason.
    fn newest_before(&self, listing: &Listing, edges: Edges, now: DateTime<Utc>) -> Vec<BackupSet> {
        let mut newest: BTreeMap<Copy<'_>, &BackupSet> = BTreeMap::new();
        // Of what was just listed only logs are dropped.
        let logs = listing.sets.iter().filter(|set| is_log(set));
        let usable = self.usable(now);
        for set in self.all().chain(logs) {
            if !usable.contains(set) || edges.contain(set) {
                continue;
            }
            let best = newest.entry(copy_of(set)).or_insert(set);
            if set.finished() > best.finished() {
                *best = set;
            }
        }
        // Without a full set before it, an incremental one would be of no use.
        let is_base_of = |base: &BackupSet, set: &BackupSet| {
            base.backup_type == BackupType::Full
                && (base.scope, &base.backup_region) == (set.scope, &set.backup_region)
                && base.dated() < set.dated()
                && usable.contains(base)
        };
        let lacking = newest.values().filter(|set| {
            set.backup_type == BackupType::Incremental
                && !newest.values().any(|base| is_base_of(base, set))
        });
        let bases = lacking.filter_map(|set| {
            let bases = self.all().filter(|base| is_base_of(base, set));
            bases.max_by_key(|base| base.dated())
        });
        let remembered = newest
            .values()
            .copied()
            .chain(bases)
            .cloned()
            .map(|mut set| {
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
            && !others.any(|other| is_same(other) && other.is_sound(now))
    }
}

impl InstanceFacts {
    /// The newest recovery point, in each place, of a set that log files may continue: one that is listed, or one that has
    /// left the look-back and is known to be kept for longer.
    pub fn bases(&self, now: DateTime<Utc>) -> BTreeMap<(Scope, &str), DateTime<Utc>> {
        let mut bases: BTreeMap<(Scope, &str), DateTime<Utc>> = BTreeMap::new();
        let usable = self.usable(now);
        for sets in self.all_sets() {
            let remembered = sets.remembered.iter();
            let kept = remembered.filter(|set| self.is_kept(set, now));
            for set in sets.listing.sets.iter().chain(kept) {
                if is_log(set) || !usable.contains(set) {
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

    /// Which of its sets, listed or remembered, one could restore from at this time. What has left the look-back is the
    /// base of others only while it is known to be kept.
    pub fn usable(&self, now: DateTime<Utc>) -> Usable<'_> {
        let sets = self.all_sets().flat_map(|sets| {
            let remembered = sets.remembered.iter();
            let kept = remembered.filter(|set| self.is_kept(set, now));
            sets.listing.sets.iter().chain(kept)
        });
        Usable::among(sets, now)
    }

    /// Whether a set that has left the look-back is still there, as far as anybody tells.
    fn is_kept(&self, set: &BackupSet, now: DateTime<Utc>) -> bool {
        set.recovery_point.is_some()
            && self
                .kept_until(set)
                .is_some_and(|kept_until| kept_until > now)
    }

    /// Until when the provider keeps a set: by the set's own date, else by the policy; `None` where neither is known.
    pub fn kept_until(&self, set: &BackupSet) -> Option<DateTime<Utc>> {
        set.expires.or_else(|| {
            let retention = ledger::retention(self.policy(), &CopyKey::of(set))?;
            set.dated()?.checked_add_signed(retention)
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
        // Where nobody says which regions are meant, all of them are.
        let expected = &self.target.backup_regions;
        let away = bases.filter(|((scope, region), _)| {
            let is_expected = || expected.iter().any(|expected| expected == region);
            *scope == Scope::CrossRegion && (expected.is_empty() || is_expected())
        });
        let base = away.map(|(_, point)| point).min()?;
        let nothing = Sets::default();
        let logs = self.listings.get(&ListingKind::CrossRegionLog);
        let sets = logs.and_then(|logs| logs.found.sets());
        let coverage = &sets.unwrap_or(&nothing).logs;
        coverage.reads_back_to(base, lookback.logs, now)
    }

    fn sets_read_back_to(&self, lookback: Lookback, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let edge = lookback.ending(now).of(BackupType::Full);
        let copies = self.found(ListingKind::CrossRegion)?.sets()?;
        let logs = self.found(ListingKind::CrossRegionLog);
        let logs = logs.and_then(Found::sets).into_iter();
        let listed = logs.flat_map(|logs| &logs.listing.sets);
        let later = listed
            .chain(&copies.listing.sets)
            .filter(|set| matches!(set.backup_type, BackupType::Incremental | BackupType::Log))
            .filter(|set| set.is_sound(now));
        // Where there is nothing that needs it, nobody need know.
        let places: BTreeSet<&str> = later.map(|set| &*set.backup_region).collect();
        let mut newest: BTreeMap<&str, DateTime<Utc>> = BTreeMap::new();
        for set in copies.all() {
            let is_base = set.backup_type == BackupType::Full && set.is_sound(now);
            if let Some(dated) = set.dated().filter(|_| is_base) {
                let known = newest.entry(&set.backup_region).or_insert(dated);
                *known = dated.max(*known);
            }
        }
        let beyond = BEYOND.max(now - edge);
        let oldest = newest
            .into_iter()
            .filter(|(region, dated)| {
                places.contains(region) && *dated < edge + SOON && *dated > edge - beyond
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::example::{
        LOOKBACK, ago, copy_in, listing, log_in, now, policy_to, stretches, target,
    };
    use crate::facts::Facts;
    use crate::target::InstanceKey;

    const REGION: &str = "cn-shanghai";

    /// The facts about one instance whose sets and logs are copied.
    struct Story(Facts);

    impl Story {
        fn new() -> Self {
            let facts = Facts::default();
            let mut target = target("rm-1");
            target.listings = ListingKind::ALL.to_vec();
            facts.adopt(("alibaba", "prod"), now(), [Arc::new(target).into()]);
            Self(facts)
        }

        fn key() -> InstanceKey {
            target("rm-1").key
        }

        fn reads(&self, kind: ListingKind, when: &str, sets: &[BackupSet]) -> &Self {
            self.reads_back(kind, when, None, sets)
        }

        /// From so long ago on, however long the look-back is.
        fn reads_back(
            &self,
            kind: ListingKind,
            when: &str,
            back_to: Option<&str>,
            sets: &[BackupSet],
        ) -> &Self {
            let listing = Listing {
                back_to: back_to.map(ago),
                ..listing(sets.to_vec())
            };
            let outcome = Ok(listing.into());
            self.0
                .record(&Self::key(), kind, ago(when), LOOKBACK, outcome);
            self
        }

        fn told(&self, days: Option<u64>) -> &Self {
            let mut policy = policy_to(REGION);
            let day = std::time::Duration::from_secs(24 * 3600);
            policy.switches[0].retention = days.map(|days| day * u32::try_from(days).unwrap());
            let outcome = Ok(policy.into());
            let kind = ListingKind::Policy;
            self.0
                .record(&Self::key(), kind, ago("1m"), LOOKBACK, outcome);
            self
        }

        fn facts(&self) -> Arc<InstanceFacts> {
            self.0.of(&Self::key()).unwrap()
        }

        fn sets(&self, kind: ListingKind) -> Sets {
            self.facts().listings[&kind].found.sets().unwrap().clone()
        }

        fn base(&self) -> Option<DateTime<Utc>> {
            let place = (Scope::CrossRegion, REGION);
            self.facts().bases(now()).get(&place).copied()
        }

        fn reads_back_to(&self, kind: ListingKind) -> Option<DateTime<Utc>> {
            self.facts().reads_back_to(kind, LOOKBACK, now())
        }
    }

    use ListingKind::{CrossRegion, CrossRegionLog};

    fn copy(ended: &str) -> BackupSet {
        copy_in(REGION, ended)
    }

    fn log(from: &str, until: &str) -> BackupSet {
        log_in(REGION, from, until)
    }

    #[test]
    fn a_set_that_left_the_look_back_is_a_base_only_while_it_is_known_to_be_kept() {
        for (case, days, is_base) in [
            ("it is kept for longer", Some(32), true),
            ("its time is over", Some(31), false),
            ("nobody says for how long", None, false),
        ] {
            let story = Story::new();
            story.reads(CrossRegion, "1h", &[copy("31d")]).told(days);
            assert_eq!(story.base(), Some(ago("31d")), "{case}: it is listed");
            story.reads(CrossRegion, "1m", &[]);
            assert_eq!(story.base().is_some(), is_base, "{case}");
            // It is still the newest success.
            assert_eq!(story.sets(CrossRegion).remembered, [copy("31d")], "{case}");
        }
    }

    #[test]
    fn a_set_that_logs_need_is_asked_for_beyond_the_look_back_and_is_no_base_once_it_is_denied() {
        let story = Story::new();
        story
            .reads(CrossRegion, "2h", &[copy("30d 23h")])
            .told(Some(90))
            .reads(CrossRegionLog, "2h", &[]);
        assert_eq!(story.reads_back_to(CrossRegion), None, "nothing needs it");
        let story = Story::new();
        let old = || copy("31d 10m");
        story
            .reads(CrossRegion, "2h", &[old()])
            .told(Some(90))
            .reads(CrossRegionLog, "1h", &[log("70m", "60m")]);
        // It began ten minutes before it ended.
        let from = Some(ago("31d 21m"));
        assert_eq!(story.reads_back_to(CrossRegion), from);
        let back = Some("31d 21m");
        story.reads_back(CrossRegion, "9m", back, &[old()]);
        assert_eq!(story.base(), old().ended);
        // A whole answer that should show it does not: it is asked for again, in case that was wrong.
        story.reads_back(CrossRegion, "8m", back, &[]);
        assert_eq!(story.base(), None);
        assert_eq!(story.reads_back_to(CrossRegion), from);
        let success = story.sets(CrossRegion).remembered[0].ended;
        assert_eq!(success, old().ended, "it was one all the same");
        story.reads_back(CrossRegion, "7m", back, &[old()]);
        assert_eq!(story.base(), old().ended);
        // A newer one is enough.
        story.reads(CrossRegion, "6m", &[copy("1d")]);
        assert_eq!(story.reads_back_to(CrossRegion), None);
    }

    #[test]
    fn a_short_look_back_hides_no_deletion() {
        let lookback = Lookback {
            sets: std::time::Duration::from_secs(60),
            ..LOOKBACK
        };
        let story = Story::new();
        story
            .told(Some(90))
            .reads(CrossRegionLog, "1m", &[log("70m", "1m")]);
        let reads = |when, back_to, sets: &[BackupSet]| {
            let listing = Listing {
                back_to,
                ..listing(sets.to_vec())
            };
            let read = Ok(listing.into());
            story
                .0
                .record(&Story::key(), CrossRegion, ago(when), lookback, read);
            story.facts().reads_back_to(CrossRegion, lookback, now())
        };
        let from = Some(ago("71m"));
        assert_eq!(reads("60m", None, &[copy("60m")]), from);
        assert_eq!(reads("2m", from, &[copy("60m")]), from);
        assert_eq!(story.base(), Some(ago("60m")));
        assert_eq!(reads("1m", from, &[]), from);
        assert_eq!(story.base(), None);
    }

    #[test]
    fn a_part_of_an_answer_denies_nothing() {
        let story = Story::new();
        story
            .reads(CrossRegion, "1h", &[copy("31d")])
            .told(Some(90));
        let part = Listing {
            back_to: Some(ago("32d")),
            complete: false,
            ..Listing::default()
        };
        story.0.record(
            &Story::key(),
            CrossRegion,
            ago("1m"),
            LOOKBACK,
            Ok(part.into()),
        );
        assert_eq!(story.base(), Some(ago("31d")));
    }

    #[test]
    fn logs_are_read_back_to_the_newest_set_once_it_is_known() {
        let story = Story::new();
        assert_eq!(story.reads_back_to(CrossRegionLog), None);
        story.reads(CrossRegion, "3m", &[copy("30h"), copy("6h")]);
        // By a look-back more, so that the file in which the set lies is listed.
        assert_eq!(story.reads_back_to(CrossRegionLog), Some(ago("8h")));
        let files = [
            log("8h", "5h"),
            log("5h", "90m"),
            log("90m", "70m"),
            log("70m", "10m"),
        ];
        story.reads_back(CrossRegionLog, "2m", Some("8h"), &files);
        assert_eq!(story.reads_back_to(CrossRegionLog), None);
        let read = story.sets(CrossRegionLog);
        assert_eq!(
            read.logs.stretches,
            stretches(REGION, &[("8h", "10m")]).stretches
        );
        // What lies before the look-back is not kept, but for the last file.
        assert_eq!(read.listing.sets, files[2..]);
        assert_eq!(read.remembered, files[1..2]);
        assert_eq!(read.listing.back_to, None);
        // The file at the edge is not listed the next time.
        let next = [files[2].clone(), files[3].clone(), log("10m", "1m")];
        story.reads(CrossRegionLog, "1m", &next);
        let read = story.sets(CrossRegionLog).logs;
        assert_eq!(read.stretches, stretches(REGION, &[("8h", "1m")]).stretches);
    }

    #[test]
    fn logs_are_read_back_for_the_regions_that_are_expected() {
        let read = |regions: &[&str]| {
            let facts = Facts::default();
            let mut target = target("rm-1");
            target.listings = ListingKind::ALL.to_vec();
            target.backup_regions = regions.iter().map(|region| (*region).to_owned()).collect();
            facts.adopt(("alibaba", "prod"), now(), [Arc::new(target).into()]);
            let story = Story(facts);
            story.reads(
                CrossRegion,
                "3m",
                &[copy("6h"), copy_in("cn-beijing", "20d")],
            );
            story.reads_back_to(CrossRegionLog)
        };
        assert_eq!(read(&[]), Some(ago("20d 2h")));
        assert_eq!(read(&[REGION]), Some(ago("8h")));
        assert_eq!(read(&[REGION, "cn-beijing"]), Some(ago("20d 2h")));
    }
}
