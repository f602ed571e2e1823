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
}

impl Timetable {
    /// As these listings tell.
    pub(super) fn adaptive(bounds: Bounds, listings: impl Iterator<Item = ListingKey>) -> Self {
        let listings = listings.map(|key| (key, Cadence::new(bounds)));
        Self::Adaptive(Rhythm {
            bounds,
            listings: listings.collect(),
            is_new: true,
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
                rhythm.is_new = false;
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
                // What is due so long after its last attempt, whatever is read elsewhere, is not put off by that.
                if is_told { anew } else { due.min(anew) }
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
