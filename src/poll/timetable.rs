//! When an errand is run again: at fixed intervals (`schedule`), or when its listings are worth it (`cadence`).

use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::time::Instant;

use super::WHILE_MISSING;
use super::cadence::{Bounds, Cadence};
use super::errand::ListingKey;
use super::schedule::Schedule;
use crate::backup::{BackupSet, ListingKind};
use crate::facts::{Facts, Found, InstanceFacts, ListingFacts};

/// The due times of one errand.
#[derive(Debug)]
pub(super) enum Timetable {
    /// Once an interval, whatever is read.
    Fixed(Schedule),
    /// As its listings tell.
    Adaptive(Rhythm),
}

/// The due times of an errand that is run when the first of its listings is due.
#[derive(Debug)]
pub(super) struct Rhythm {
    bounds: Bounds,
    listings: Vec<(ListingKey, Cadence)>,
    is_new: bool,
    /// When it is due at the latest, by a clock that nobody can set.
    latest: Option<Instant>,
}

impl Timetable {
    /// As these listings tell.
    pub(super) fn adaptive(bounds: Bounds, listings: impl Iterator<Item = ListingKey>) -> Self {
        let listings = listings.map(|key| (key, Cadence::new(bounds)));
        Self::Adaptive(Rhythm {
            bounds,
            listings: listings.collect(),
            is_new: true,
            latest: None,
        })
    }

    /// When the errand is due that was just run, for dice between 0 and 1.
    ///
    /// After a failure it is due again after the time that is given, however seldom it is due otherwise.
    pub(super) fn next(
        &mut self,
        facts: &Facts,
        now: (Instant, DateTime<Utc>),
        after_failure: Option<Duration>,
        dice: f64,
    ) -> Instant {
        match self {
            Self::Fixed(schedule) => schedule.next(now.0, after_failure, dice),
            Self::Adaptive(rhythm) => {
                rhythm.observe(facts);
                let (wait, _) = rhythm.wait(facts, now.1, dice);
                let wait = match after_failure {
                    Some(pause) => wait.min(pause.mul_f64(1.0 + dice / 10.0)),
                    None => wait.min(rhythm.first_wait(dice)),
                };
                // It was asked for just now, whatever the clock says of that.
                let wait = wait.max(rhythm.bounds.interval);
                rhythm.is_new = false;
                rhythm.latest = Some(now.0 + wait.max(rhythm.bounds.ceiling));
                now.0 + wait
            }
        }
    }

    /// When an errand is due that was due then, now that something was read of the sets whose copies it lists.
    pub(super) fn reconsidered(
        &self,
        due: Instant,
        facts: &Facts,
        now: (Instant, DateTime<Utc>),
        dice: f64,
    ) -> Instant {
        match self {
            Self::Fixed(_) => due,
            Self::Adaptive(rhythm) => {
                let (wait, is_told) = rhythm.wait(facts, now.1, dice);
                let anew = now.0 + wait;
                // What is due so long after its last attempt, whatever is read elsewhere, is not put off by that. Nor is
                // anything put off for as long as our clock was set back.
                if is_told {
                    anew.min(rhythm.latest.unwrap_or(due))
                } else {
                    due.min(anew)
                }
            }
        }
    }
}

impl Rhythm {
    fn observe(&mut self, facts: &Facts) {
        for ((instance, kind), cadence) in &mut self.listings {
            let Some(known) = facts.of(instance) else {
                continue;
            };
            if let Some((at, sets)) = known.listings.get(kind).and_then(just_read) {
                cadence.observe(at, sets);
            }
        }
    }

    /// How long until the first of the listings is due, at the most the ceiling, and whether the sets of all told so.
    fn wait(&self, facts: &Facts, now: DateTime<Utc>, dice: f64) -> (Duration, bool) {
        let mut wait = self.bounds.ceiling;
        let mut is_told = true;
        for ((instance, kind), cadence) in &self.listings {
            let Some(known) = facts.of(instance) else {
                continue;
            };
            let due = due_by_sets(&known, *kind, cadence, dice);
            is_told &= due.is_some();
            wait = wait.min(match due {
                // A clock that was set back makes nothing wait for longer.
                Some(due) => (due - now).to_std().unwrap_or_default(),
                None => self.wait_without_sets(&known, *kind),
            });
        }
        (wait, is_told)
    }

    /// How long after an attempt the next one is due at a listing of which nothing whole was read.
    fn wait_without_sets(&self, known: &InstanceFacts, kind: ListingKind) -> Duration {
        let Bounds { interval, ceiling } = self.bounds;
        let Some(listing) = known.listings.get(&kind) else {
            return interval;
        };
        let failure = listing.last_attempt.failure.as_ref();
        let is_missing = failure.is_some_and(|failure| failure.missing_instance);
        match listing.found {
            _ if !known.is_asked_for(kind) => ceiling,
            _ if is_missing => interval.saturating_mul(WHILE_MISSING),
            Found::Unsupported if failure.is_none() => ceiling,
            _ => interval,
        }
    }

    /// The first round is at once, and the second would come for all at the same time where nothing is expected soon.
    fn first_wait(&self, dice: f64) -> Duration {
        let Bounds { interval, ceiling } = self.bounds;
        if self.is_new {
            interval + ceiling.saturating_sub(interval).mul_f64(dice)
        } else {
            ceiling
        }
    }
}

/// When a listing is due, as far as it tells itself.
fn due_by_sets(
    known: &InstanceFacts,
    kind: ListingKind,
    cadence: &Cadence,
    dice: f64,
) -> Option<DateTime<Utc>> {
    if !known.is_asked_for(kind) {
        return None;
    }
    let (asked, sets) = just_read(known.listings.get(&kind)?)?;
    let originals = match kind {
        ListingKind::CrossRegion => known.listings.get(&ListingKind::Local),
        _ => None,
    };
    let originals = originals.and_then(|originals| originals.found.sets());
    let originals = originals.map_or(&[][..], |originals| &originals.listing.sets);
    Some(cadence.due(asked, sets, originals, dice))
}

/// The sets of a listing whose last attempt read it to the end, and when that was.
fn just_read(listing: &ListingFacts) -> Option<(DateTime<Utc>, &[BackupSet])> {
    let at = listing.last_success?;
    let sets = &listing.found.sets()?.listing;
    let is_read = listing.last_attempt.failure.is_none() && sets.complete;
    is_read.then_some((at, &sets.sets[..]))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::backup::{Listing, Reading};
    use crate::example::{LOOKBACK, copy_in, failure, listing, local, now, target};
    use crate::provider::error::{ListError, Reason};

    const BOUNDS: Bounds = Bounds {
        interval: Duration::from_secs(300),
        ceiling: Duration::from_secs(3600),
    };
    const KIND: ListingKind = ListingKind::CrossRegion;

    fn key() -> ListingKey {
        (target("rm-1").key, KIND)
    }

    /// What is known of `rm-1` when its listings were just asked for with these outcomes.
    fn known(outcomes: Vec<(ListingKind, Result<Reading, ListError>)>) -> Facts {
        let facts = Facts::default();
        facts.adopt(("alibaba", "prod"), [Arc::new(target("rm-1")).into()]);
        for (kind, outcome) in outcomes {
            facts.record(&key().0, kind, now(), LOOKBACK, outcome);
        }
        facts
    }

    fn daily(set: impl Fn(&str) -> BackupSet, last_minutes: u64) -> Reading {
        let ended = (0..9).map(|day| format!("{}m", last_minutes + day * 24 * 60));
        listing(ended.map(|ended| set(&ended)).collect()).into()
    }

    fn copies(ended: &str) -> BackupSet {
        copy_in("cn-shanghai", ended)
    }

    /// A timetable that is no longer new.
    fn timetable() -> Timetable {
        let mut timetable = Timetable::adaptive(BOUNDS, [key()].into_iter());
        timetable.next(&known(vec![]), (Instant::now(), now()), None, 0.0);
        timetable
    }

    #[test]
    fn news_of_the_originals_never_put_it_off_beyond_the_ceiling_also_when_our_clock_is_set_back() {
        let facts = known(vec![(KIND, Ok(daily(copies, 12 * 60)))]);
        let start = Instant::now();
        let mut timetable = timetable();
        let mut due = timetable.next(&facts, (start, now()), None, 0.0);
        let set_back = now() - chrono::Duration::hours(2);
        for minutes in (0..60).step_by(10) {
            let passed = Duration::from_secs(minutes * 60);
            let present = (start + passed, set_back + passed);
            due = timetable.reconsidered(due, &facts, present, 0.0);
            assert!(due <= start + BOUNDS.ceiling, "{:?}", due - start);
        }
    }

    #[test]
    fn what_was_not_read_is_asked_for_again_after_an_interval() {
        let missing = ListError {
            missing_instance: true,
            ..failure(Reason::NotFound)
        };
        let part = Listing {
            complete: false,
            ..Listing::default()
        };
        for (outcome, failed, minutes) in [
            (None, false, 5),
            (Some(Err(failure(Reason::Credentials))), true, 5),
            (Some(Ok(part.into())), false, 5),
            (Some(Err(missing)), false, 50),
            (Some(Err(failure(Reason::Unsupported))), false, 60),
            (Some(Ok(daily(copies, 12 * 60))), false, 59),
        ] {
            let facts = known(
                outcome
                    .clone()
                    .map(|outcome| (KIND, outcome))
                    .into_iter()
                    .collect(),
            );
            let start = Instant::now();
            let pause = failed.then_some(BOUNDS.interval);
            let due = timetable().next(&facts, (start, now()), pause, 0.0);
            assert_eq!((due - start).as_secs() / 60, minutes, "{outcome:?}");
        }
    }

    #[test]
    fn what_was_read_of_the_originals_moves_the_copies_and_nothing_else() {
        let old = (ListingKind::Local, Ok(daily(local, 24 * 60 + 5)));
        let new = (ListingKind::Local, Ok(daily(local, 5)));
        // Copies come half an hour after their originals, the last one a day ago.
        let read = (KIND, Ok(daily(copies, 24 * 60 - 25)));
        let start = Instant::now();
        let present = (start, now());
        let minutes = |due: Instant| (due - start).as_secs() / 60;
        let mut timetable = timetable();
        let due = timetable.next(&known(vec![old, read.clone()]), present, None, 0.0);
        assert_eq!(minutes(due), 36);
        let after = timetable.reconsidered(due, &known(vec![new.clone(), read]), present, 0.0);
        assert_eq!(minutes(after), 33);
        // What failed is due an interval after it was asked for, and not after the originals were.
        let failed = known(vec![new, (KIND, Err(failure(Reason::Server)))]);
        let later = (start + BOUNDS.interval / 2, now());
        let due = start + BOUNDS.interval;
        assert_eq!(timetable.reconsidered(due, &failed, later, 0.0), due);
        let fixed = Timetable::Fixed(Schedule::spread(start, 0, 1, BOUNDS.interval));
        assert_eq!(fixed.reconsidered(due, &failed, later, 0.0), due);
    }

    #[test]
    fn the_second_round_is_spread_between_the_interval_and_the_ceiling() {
        let facts = known(vec![(KIND, Ok(daily(copies, 12 * 60)))]);
        let start = Instant::now();
        let due = [0.0, 0.5, 1.0].map(|dice| {
            let mut timetable = Timetable::adaptive(BOUNDS, [key()].into_iter());
            let due = timetable.next(&facts, (start, now()), None, dice);
            (due - start).as_secs() / 60
        });
        assert_eq!(due, [5, 32, 59]);
    }

    #[test]
    fn a_clock_that_was_set_back_or_forth_keeps_nobody_waiting() {
        let facts = known(vec![(KIND, Ok(daily(copies, 12 * 60)))]);
        let start = Instant::now();
        for (hours, longest) in [(-30, 60), (30, 5)] {
            let present = (start, now() + chrono::Duration::hours(hours));
            let due = timetable().next(&facts, present, None, 0.0);
            assert_eq!((due - start).as_secs() / 60, longest, "{hours}");
        }
    }

    #[test]
    fn several_listings_are_due_with_the_first_of_them() {
        let other = target("rm-2").key;
        let facts = known(vec![(KIND, Ok(daily(copies, 12 * 60)))]);
        let both = [Arc::new(target("rm-1")), Arc::new(target("rm-2"))];
        facts.adopt(("alibaba", "prod"), both.map(Into::into));
        let soon = daily(copies, 24 * 60 - 30);
        facts.record(&other, KIND, now(), LOOKBACK, Ok(soon));
        let mut timetable = Timetable::adaptive(BOUNDS, [key(), (other, KIND)].into_iter());
        let start = Instant::now();
        let due = timetable.next(&facts, (start, now()), None, 1.0);
        assert!((20..30).contains(&((due - start).as_secs() / 60)));
    }
}
