//! When an errand is run again: at fixed intervals (`schedule`), or when its listings are worth it (`cadence`); sooner
//! where an answer failed or took something away, and never later than the ceiling.

use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::time::Instant;

use super::WHILE_GONE;
use super::cadence::{Bounds, Cadence};
use super::errand::{Errand, ListingKey};
use super::schedule::Schedule;
use crate::backup::{BackupSet, ListingKind};
use crate::facts::{Facts, Found, InstanceFacts, ListingFacts};

/// The due times of one errand.
#[derive(Debug)]
pub(super) struct Timetable {
    bounds: Bounds,
    /// How often the errand is run where nothing speaks for sooner or later.
    usual: Duration,
    rhythm: Option<Rhythm>,
    schedule: Schedule,
    /// When it was run last, by a clock that nobody can set.
    ran: Option<Instant>,
    /// Whether it waits for longer than usual, as there is nothing to ask about.
    is_idle: bool,
}

/// The due times of an errand that is run when the first of its listings is due.
#[derive(Debug)]
struct Rhythm {
    listings: Vec<(ListingKey, Cadence)>,
    is_new: bool,
}

/// How soon a listing has to be asked for again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Need {
    /// After an interval, and not earlier: it failed.
    Failed,
    /// After an interval, or earlier: nobody has confirmed yet what the last answer took away.
    Doubted,
    /// When it is worth it.
    Usual,
    /// There is no such instance, as far as is known.
    Idle,
}

impl Timetable {
    /// Once in the time that the schedule has, whatever is read.
    pub(super) const fn fixed(bounds: Bounds, usual: Duration, schedule: Schedule) -> Self {
        Self {
            bounds,
            usual,
            rhythm: None,
            schedule,
            ran: None,
            is_idle: false,
        }
    }

    /// As these listings tell.
    pub(super) fn adaptive(
        bounds: Bounds,
        schedule: Schedule,
        listings: impl Iterator<Item = ListingKey>,
    ) -> Self {
        let listings = listings.map(|key| (key, Cadence::new(bounds)));
        Self {
            rhythm: Some(Rhythm {
                listings: listings.collect(),
                is_new: true,
            }),
            ..Self::fixed(bounds, bounds.interval, schedule)
        }
    }

    /// When the errand is due that was just run, for dice between 0 and 1.
    pub(super) fn next(
        &mut self,
        errand: &Errand,
        facts: &Facts,
        now: (Instant, DateTime<Utc>),
        dice: f64,
    ) -> Instant {
        self.ran = Some(now.0);
        let (interval, latest) = (self.bounds.interval, now.0 + self.longest());
        let need = need(errand, facts);
        self.is_idle = need == Need::Idle;
        let due = match &mut self.rhythm {
            None => {
                let pause = match need {
                    Need::Failed => Some(interval),
                    Need::Doubted => Some(interval.min(self.usual)),
                    Need::Usual => None,
                    Need::Idle => Some(self.while_gone()),
                };
                let pause = pause.filter(|pause| *pause != self.usual);
                self.schedule.next(now.0, pause, dice)
            }
            Some(rhythm) => {
                rhythm.observe(facts);
                let (due, _) = rhythm.due(self.bounds, facts, (now.0, now), dice);
                let first = match need {
                    Need::Failed | Need::Doubted => now.0 + interval.mul_f64(1.0 + dice / 10.0),
                    Need::Usual | Need::Idle => now.0 + rhythm.first_wait(self.bounds, dice),
                };
                rhythm.is_new = false;
                // It was asked for just now, whatever the clock says of that.
                due.min(first).max(now.0 + interval)
            }
        };
        due.min(latest)
    }

    /// When an errand is due that was due then, now that something else was read that may move it.
    pub(super) fn reconsidered(
        &mut self,
        due: Instant,
        errand: &Errand,
        facts: &Facts,
        now: (Instant, DateTime<Utc>),
        dice: f64,
    ) -> Instant {
        let Some(ran) = self.ran else { return due };
        if self.is_idle && need(errand, facts) != Need::Idle {
            self.is_idle = false;
            return due.min(ran + self.usual);
        }
        let Some(rhythm) = &self.rhythm else {
            return due;
        };
        let (anew, is_told) = rhythm.due(self.bounds, facts, (ran, now), dice);
        // What is due so long after its last attempt, whatever is read elsewhere, is not put off by that. Nor is
        // anything put off for as long as our clock was set back.
        if is_told {
            anew.min(ran + self.longest())
        } else {
            due.min(anew)
        }
    }

    /// No listing goes unasked for longer than this, whatever happens.
    fn longest(&self) -> Duration {
        self.bounds.ceiling.max(self.usual)
    }

    fn while_gone(&self) -> Duration {
        while_gone(self.bounds).max(self.usual)
    }
}

/// How long nobody asks about an instance that is gone.
fn while_gone(bounds: Bounds) -> Duration {
    let pause = bounds.interval.saturating_mul(WHILE_GONE);
    pause.min(bounds.ceiling).max(bounds.interval)
}

/// How soon an errand has to be run again, as the most urgent of its listings wants it.
fn need(errand: &Errand, facts: &Facts) -> Need {
    let needs = match errand {
        Errand::Discover(region) => {
            let Some(region) = facts.region(region) else {
                return Need::Usual;
            };
            let attempt = region.last_attempt.as_ref();
            return if attempt.is_some_and(|attempt| attempt.failure.is_some()) {
                Need::Failed
            } else if region.is_doubted() {
                Need::Doubted
            } else {
                Need::Usual
            };
        }
        Errand::One(key) => return need_of(key, facts),
        Errand::Together {
            kind, instances, ..
        } => {
            let keys = instances.iter().map(|instance| (instance.clone(), *kind));
            keys.map(|key| need_of(&key, facts))
        }
    };
    let is_more_urgent = |one: Need, other: Need| match (one, other) {
        (Need::Failed, _) | (_, Need::Failed) => Need::Failed,
        (Need::Doubted, _) | (_, Need::Doubted) => Need::Doubted,
        (Need::Usual, _) | (_, Need::Usual) => Need::Usual,
        (Need::Idle, Need::Idle) => Need::Idle,
    };
    needs.reduce(is_more_urgent).unwrap_or(Need::Usual)
}

fn need_of((instance, kind): &ListingKey, facts: &Facts) -> Need {
    facts
        .of(instance)
        .map_or(Need::Usual, |known| need_in(&known, *kind))
}

fn need_in(known: &InstanceFacts, kind: ListingKind) -> Need {
    let listing = known.listings.get(&kind);
    let failure = listing.and_then(|listing| listing.last_attempt.failure.as_ref());
    let is_denied = failure.is_some_and(|failure| failure.missing_instance);
    let is_doubted = listing.is_some_and(|listing| listing.is_doubted);
    if known.is_gone() || is_denied && known.own_listing() != Some(kind) {
        Need::Idle
    } else if failure.is_some() {
        Need::Failed
    } else if is_doubted {
        Need::Doubted
    } else {
        Need::Usual
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

    /// When the first of the listings is due that were asked for at `ran`, and whether the sets of all told so.
    fn due(
        &self,
        bounds: Bounds,
        facts: &Facts,
        (ran, now): (Instant, (Instant, DateTime<Utc>)),
        dice: f64,
    ) -> (Instant, bool) {
        let mut due = ran + bounds.ceiling;
        let mut is_told = true;
        for ((instance, kind), cadence) in &self.listings {
            let Some(known) = facts.of(instance) else {
                continue;
            };
            let told = due_by_sets(&known, *kind, cadence, dice);
            is_told &= told.is_some();
            due = due.min(match told {
                // A clock that was set back makes nothing wait for longer.
                Some(told) => {
                    let wait = (told - now.1).to_std().unwrap_or_default();
                    now.0 + wait.min(bounds.ceiling)
                }
                None => ran + wait_without_sets(bounds, &known, *kind),
            });
        }
        (due, is_told)
    }

    /// The first round is at once, and the second would come for all at the same time where nothing is expected soon.
    fn first_wait(&self, Bounds { interval, ceiling }: Bounds, dice: f64) -> Duration {
        if self.is_new {
            interval + ceiling.saturating_sub(interval).mul_f64(dice)
        } else {
            ceiling.max(interval)
        }
    }
}

/// How long after an attempt the next one is due at a listing of which nothing whole was read.
fn wait_without_sets(bounds: Bounds, known: &InstanceFacts, kind: ListingKind) -> Duration {
    let is_unsupported = known
        .listings
        .get(&kind)
        .is_some_and(|listing| listing.found == Found::Unsupported);
    match need_in(known, kind) {
        Need::Idle => while_gone(bounds),
        Need::Usual if is_unsupported => bounds.ceiling,
        Need::Failed | Need::Doubted | Need::Usual => bounds.interval,
    }
}

/// When a listing is due, as far as it tells itself.
fn due_by_sets(
    known: &InstanceFacts,
    kind: ListingKind,
    cadence: &Cadence,
    dice: f64,
) -> Option<DateTime<Utc>> {
    if need_in(known, kind) != Need::Usual {
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
        facts.adopt(
            ("alibaba", "prod"),
            now(),
            [Arc::new(target("rm-1")).into()],
        );
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

    fn errand() -> Errand {
        Errand::One(key())
    }

    fn schedule() -> Schedule {
        Schedule::spread(Instant::now(), 0, 1, BOUNDS.interval)
    }

    fn new_timetable() -> Timetable {
        Timetable::adaptive(BOUNDS, schedule(), [key()].into_iter())
    }

    /// A timetable that is no longer new.
    fn timetable() -> Timetable {
        let mut timetable = new_timetable();
        timetable.next(&errand(), &known(vec![]), (Instant::now(), now()), 0.0);
        timetable
    }

    #[test]
    fn news_of_the_originals_never_put_it_off_beyond_the_ceiling_also_when_our_clock_is_set_back() {
        let facts = known(vec![(KIND, Ok(daily(copies, 12 * 60)))]);
        let start = Instant::now();
        let mut timetable = timetable();
        let mut due = timetable.next(&errand(), &facts, (start, now()), 0.0);
        let set_back = now() - chrono::Duration::hours(2);
        for minutes in (0..60).step_by(10) {
            let passed = Duration::from_secs(minutes * 60);
            let present = (start + passed, set_back + passed);
            due = timetable.reconsidered(due, &errand(), &facts, present, 0.0);
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
        for (outcome, minutes) in [
            (None, 5),
            (Some(Err(failure(Reason::Credentials))), 5),
            (Some(Ok(part.into())), 5),
            // Whether there is such an instance is asked of its local listing.
            (Some(Err(missing)), 50),
            (Some(Err(failure(Reason::Unsupported))), 60),
            (Some(Ok(daily(copies, 12 * 60))), 59),
        ] {
            let facts = known(
                outcome
                    .clone()
                    .map(|outcome| (KIND, outcome))
                    .into_iter()
                    .collect(),
            );
            let start = Instant::now();
            let due = timetable().next(&errand(), &facts, (start, now()), 0.0);
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
        let due = timetable.next(&errand(), &known(vec![old, read.clone()]), present, 0.0);
        assert_eq!(minutes(due), 36);
        let after = known(vec![new.clone(), read]);
        let after = timetable.reconsidered(due, &errand(), &after, present, 0.0);
        assert_eq!(minutes(after), 33);
        // What failed is due an interval after it was asked for, and not after the originals were.
        let failed = known(vec![new, (KIND, Err(failure(Reason::Server)))]);
        let later = (start + BOUNDS.interval / 2, now());
        let due = start + BOUNDS.interval;
        let reconsidered = timetable.reconsidered(due, &errand(), &failed, later, 0.0);
        assert_eq!(reconsidered, due);
        let mut fixed = Timetable::fixed(BOUNDS, BOUNDS.interval, schedule());
        let due = fixed.next(&errand(), &failed, present, 0.0);
        let reconsidered = fixed.reconsidered(due, &errand(), &failed, later, 0.0);
        assert_eq!(reconsidered, due);
    }

    #[test]
    fn the_second_round_is_spread_between_the_interval_and_the_ceiling() {
        let facts = known(vec![(KIND, Ok(daily(copies, 12 * 60)))]);
        let start = Instant::now();
        let due = [0.0, 0.5, 1.0].map(|dice| {
            let due = new_timetable().next(&errand(), &facts, (start, now()), dice);
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
            let due = timetable().next(&errand(), &facts, present, 0.0);
            assert_eq!((due - start).as_secs() / 60, longest, "{hours}");
        }
    }

    #[test]
    fn several_listings_are_due_with_the_first_of_them() {
        let other = target("rm-2").key;
        let facts = known(vec![(KIND, Ok(daily(copies, 12 * 60)))]);
        let both = [Arc::new(target("rm-1")), Arc::new(target("rm-2"))];
        facts.adopt(("alibaba", "prod"), now(), both.map(Into::into));
        let soon = daily(copies, 24 * 60 - 30);
        facts.record(&other, KIND, now(), LOOKBACK, Ok(soon));
        let instances = vec![key().0, other.clone()];
        let both = Errand::Together {
            service: other.service,
            kind: KIND,
            instances,
        };
        let keys = [key(), (other, KIND)].into_iter();
        let mut timetable = Timetable::adaptive(BOUNDS, schedule(), keys);
        let start = Instant::now();
        let due = timetable.next(&both, &facts, (start, now()), 1.0);
        assert!((20..30).contains(&((due - start).as_secs() / 60)));
    }

    /// What is known of `rm-1` after these answers of its local listing, a minute apart, the last one just now.
    fn answered(answers: Vec<Result<Reading, ListError>>) -> Facts {
        let facts = known(vec![]);
        let count = answers.len();
        for (number, answer) in answers.into_iter().enumerate() {
            let at = now() - chrono::Duration::minutes(i64::try_from(count - 1 - number).unwrap());
            facts.record(&key().0, ListingKind::Local, at, LOOKBACK, answer);
        }
        facts
    }

    fn denied() -> Result<Reading, ListError> {
        Err(ListError {
            missing_instance: true,
            ..failure(Reason::NotFound)
        })
    }

    #[test]
    fn bad_news_is_asked_for_again_after_an_interval_and_is_final_then() {
        let sets = || Ok(daily(local, 12 * 60));
        let none = || Ok(listing(vec![]).into());
        let errand = Errand::One((key().0, ListingKind::Local));
        for (case, answers, minutes) in [
            ("nothing is wrong", vec![sets(), sets()], 59),
            ("sets are lost", vec![sets(), none()], 5),
            (
                "a failure confirms nothing",
                vec![sets(), none(), Err(failure(Reason::Server))],
                5,
            ),
            ("they are lost", vec![sets(), none(), none()], 59),
            ("they are back", vec![sets(), none(), sets()], 59),
            ("it is denied", vec![sets(), denied()], 5),
            ("it is gone", vec![sets(), denied(), denied()], 50),
            ("it was never there", vec![denied()], 50),
            (
                "it is there after all",
                vec![sets(), denied(), denied(), sets()],
                59,
            ),
        ] {
            let facts = answered(answers);
            let start = Instant::now();
            let keys = [(key().0, ListingKind::Local)].into_iter();
            let mut adaptive = Timetable::adaptive(BOUNDS, schedule(), keys);
            adaptive.next(&errand, &facts, (start, now()), 0.0);
            let due = adaptive.next(&errand, &facts, (start, now()), 0.0);
            assert_eq!((due - start).as_secs() / 60, minutes, "{case}");
        }
    }

    #[test]
    fn what_is_read_seldom_is_asked_for_again_after_an_interval_when_it_takes_something_away() {
        let policy = |protected| {
            Ok(Reading::from(crate::backup::Policy {
                protected: Some(protected),
                ..Default::default()
            }))
        };
        let errand = Errand::One((key().0, ListingKind::Policy));
        for (answers, minutes) in [
            (vec![policy(true), policy(true)], 60),
            (vec![policy(true), policy(false)], 5),
            (vec![policy(true), policy(false), policy(false)], 60),
        ] {
            let facts = known(
                answers
                    .into_iter()
                    .map(|answer| (ListingKind::Policy, answer))
                    .collect(),
            );
            let start = Instant::now();
            let hour = Duration::from_secs(3600);
            let schedule = Schedule::spread(start, 0, 1, hour);
            let mut timetable = Timetable::fixed(BOUNDS, hour, schedule);
            let due = timetable.next(&errand, &facts, (start, now()), 0.0);
            assert_eq!((due - start).as_secs() / 60, minutes);
            // What is read more often than backups is not put off by being doubted.
            let minute = Duration::from_secs(60);
            let schedule = Schedule::spread(start, 0, 1, minute);
            let mut often = Timetable::fixed(BOUNDS, minute, schedule);
            let due = often.next(&errand, &facts, (start, now()), 0.0);
            assert!(due - start <= 2 * minute, "{:?}", due - start);
        }
    }

    #[test]
    fn what_is_back_is_asked_for_at_once_if_it_is_due() {
        let gone = answered(vec![Ok(daily(local, 5)), denied(), denied()]);
        let back = answered(vec![
            Ok(daily(local, 5)),
            denied(),
            denied(),
            Ok(daily(local, 5)),
        ]);
        let start = Instant::now();
        let later = |minutes: u64| start + Duration::from_secs(minutes * 60);
        let present = |minutes: u64| (later(minutes), now() + Duration::from_secs(minutes * 60));
        let fixed = Timetable::fixed(BOUNDS, BOUNDS.interval, schedule());
        for mut timetable in [timetable(), fixed] {
            let due = timetable.next(&errand(), &gone, present(0), 0.0);
            assert!((40..=55).contains(&((due - start).as_secs() / 60)));
            let still = timetable.reconsidered(due, &errand(), &gone, present(20), 0.0);
            assert_eq!(still, due);
            let anew = timetable.reconsidered(due, &errand(), &back, present(20), 0.0);
            assert!(anew <= later(20), "{:?}", anew - start);
        }
    }

    #[test]
    fn nothing_is_due_later_than_the_ceiling_whatever_the_dice_and_the_place() {
        let hour = Duration::from_secs(3600);
        let start = Instant::now();
        let facts = known(vec![]);
        for place in 0..20 {
            let schedule = Schedule::spread(start, place, 20, hour);
            let mut timetable = Timetable::fixed(BOUNDS, hour, schedule);
            let errand = Errand::One((key().0, ListingKind::Policy));
            let mut ran = start;
            for round in 0..50 {
                let dice = f64::from(round % 3) / 2.0;
                let due = timetable.next(&errand, &facts, (ran, now()), dice);
                assert!(due > ran && due - ran <= BOUNDS.ceiling, "{:?}", due - ran);
                ran = due;
            }
        }
    }
}
