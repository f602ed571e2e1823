//! When a listing is worth reading again. Pure: what was read goes in, a time comes out; the dice are passed in.
//!
//! A listing tells its own rhythm. The ends of the sets in it, shifted by the period in which they come, say between when
//! and when the next one will show up: a [`Window`]. Whatever shows up within a window is to be seen soon, so the listing
//! is read a little later than the window opens and goes on being read until the set is there; one that stays away is
//! looked for with less and less zeal. Where no window is near, nothing can have changed, but for what nobody can foresee:
//! a backup by hand, a new schedule. For these there is a ceiling.
//!
//! Nothing here assumes that a schedule is kept. A period counts for as much as it explained lately, a set that came out of
//! turn is expected again only once, and what stayed away twice is not waited for any longer.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::backup::{BackupSet, BackupType, Scope, Status};

/// Seconds since the epoch, or of a span.
type Seconds = i64;

const MINUTE: Seconds = 60;
const HOUR: Seconds = 60 * MINUTE;
const DAY: Seconds = 24 * HOUR;
const WEEK: Seconds = 7 * DAY;

/// So many periods back a set still says something about when the next one comes.
const PERIODS_REMEMBERED: Seconds = 8;

/// A set is expected where one came a period ago, or two came in the last so many periods.
const PERIODS_OF_LATE: Seconds = 3;

/// So many of the newest sets decide which period explains a copy, and how long a set usually takes.
const NEWEST: usize = 9;

/// So many times it is remembered how long after its end a set was listed.
const DELAYS_REMEMBERED: usize = 5;

/// With a period shorter than this, a set that fails halfway is seen with the window of the next.
const SHORTEST_WATCHED_RUN: Seconds = 6 * HOUR;

/// How long a set runs of which none was ever listed.
const UNKNOWN_RUN: Spread = Spread {
    first: 0,
    middle: HOUR,
    last: 2 * HOUR,
};

/// How often a listing may and must be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Bounds {
    /// The shortest time between two attempts.
    pub(super) interval: Duration,
    /// The longest.
    pub(super) ceiling: Duration,
}

/// The rhythm of one listing: what its rows tell, and what only watching them tells.
#[derive(Debug, Clone)]
pub(super) struct Cadence {
    bounds: Bounds,
    read: Option<Seconds>,
    delays: Vec<Delays>,
}

/// How long after its end a set of a copy is listed: some vendors date a copy like the set that it was made of.
#[derive(Debug, Clone)]
struct Delays {
    copy: (Scope, String, BackupType),
    newest: Seconds,
    /// At the least and at the most, of the newest sets.
    bounds: Vec<(Seconds, Seconds)>,
}

/// A stretch of time in which a set is expected to show up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Window {
    /// The work may have begun by then, and may fail from then on.
    begins: Seconds,
    first: Seconds,
    last: Seconds,
    zeal: Zeal,
}

/// What is done about a set that did not show up within its window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Zeal {
    /// It was little more than a guess.
    None,
    /// It is looked for, less and less often: after each third of its delay once more.
    Late,
    /// It is being made, so it must end: after each quarter.
    Running,
}

/// The copy that a set belongs to: its place and its type.
type Copy<'a> = (Scope, &'a str, BackupType);

/// What a listing says of one copy, in the order of time.
#[derive(Debug, Default)]
struct History {
    /// When the sets showed up that are no longer running.
    ends: Vec<Seconds>,
    /// How long those took that went well.
    durations: Vec<Seconds>,
    /// When those began that are running.
    running: Vec<Seconds>,
    /// How long after its end a set showed up.
    delay: Spread,
}

impl Cadence {
    pub(super) const fn new(bounds: Bounds) -> Self {
        Self {
            bounds,
            read: None,
            delays: Vec::new(),
        }
    }

    /// The whole listing was read then, and held these sets.
    pub(super) fn observe(&mut self, at: DateTime<Utc>, sets: &[BackupSet]) {
        let at = at.timestamp();
        let before = self.read.replace(at).unwrap_or(at);
        let mut newest: BTreeMap<Copy<'_>, Seconds> = BTreeMap::new();
        for (end, set) in ended(sets) {
            let newest = newest.entry(copy(set)).or_insert(end);
            *newest = end.max(*newest);
        }
        self.delays
            .retain(|delays| newest.contains_key(&delays.copy()));
        for (copy, newest) in newest {
            match self.delays.iter_mut().find(|delays| delays.copy() == copy) {
                Some(known) => known.note(newest, before, at),
                None => self.delays.push(Delays::new(copy, newest)),
            }
        }
    }

    /// When the listing is due that was last asked for then and holds these sets, for dice between 0 and 1.
    ///
    /// `originals` are the sets of which it holds the copies, as far as they are known.
    pub(super) fn due(
        &self,
        asked: DateTime<Utc>,
        sets: &[BackupSet],
        originals: &[BackupSet],
        dice: f64,
    ) -> DateTime<Utc> {
        let (interval, ceiling) = self.bounds.seconds();
        let asked_at = asked.timestamp();
        // An answer takes its time as well.
        let mut wait = share(ceiling, 0.992 - 0.008 * dice);
        for (copy, history) in self.histories(sets) {
            let originals = originals_of(copy, originals);
            for window in history.windows(asked_at, &originals, interval, ceiling) {
                if let Some(due) = window.due(asked_at, interval, ceiling) {
                    // What many instances do at the same time is not asked of all of them at the same time.
                    wait = wait.min(due - asked_at - share(interval, 0.2 * dice));
                }
            }
        }
        let wait = wait.clamp(interval, ceiling);
        asked
            .checked_add_signed(chrono::Duration::seconds(wait))
            .unwrap_or(asked)
    }

    fn histories<'a>(&self, sets: &'a [BackupSet]) -> BTreeMap<Copy<'a>, History> {
        let mut histories: BTreeMap<Copy<'a>, History> = BTreeMap::new();
        let mut in_order: Vec<_> = ended(sets).collect();
        in_order.sort_by_key(|(end, _)| *end);
        for (end, set) in in_order {
            let known = self.delays.iter().find(|delays| delays.copy() == copy(set));
            let delay = known.map_or_else(Spread::default, Delays::spread);
            let shown = end + delay.middle;
            let history = histories.entry(copy(set)).or_default();
            history.delay = delay;
            history.ends.push(shown);
            if let (Status::Completed, Some(started)) = (set.status, set.started) {
                history.durations.push(shown - started.timestamp());
            }
        }
        for set in foreseeable(sets).filter(|set| set.status == Status::Running) {
            let history = histories.entry(copy(set)).or_default();
            history.running.extend(set.started.map(|at| at.timestamp()));
        }
        histories
    }
}

impl Bounds {
    /// The interval and the ceiling, which is never below.
    fn seconds(self) -> (Seconds, Seconds) {
        let interval = seconds(self.interval).max(1);
        (interval, seconds(self.ceiling).max(interval))
    }
}

impl Delays {
    fn new((scope, region, backup_type): Copy<'_>, newest: Seconds) -> Self {
        Self {
            copy: (scope, region.to_owned(), backup_type),
            newest,
            bounds: Vec::new(),
        }
    }

    fn copy(&self) -> Copy<'_> {
        let (scope, region, backup_type) = &self.copy;
        (*scope, region, *backup_type)
    }

    /// The newest set ended then, was not yet listed when the listing was read before, and is now.
    fn note(&mut self, newest: Seconds, before: Seconds, now: Seconds) {
        if newest <= self.newest {
            return;
        }
        self.newest = newest;
        if self.bounds.len() == DELAYS_REMEMBERED {
            self.bounds.remove(0);
        }
        let since = |at: Seconds| (at - newest).clamp(0, DAY);
        self.bounds.push((since(before), since(now)));
    }

    /// Between what they lie. Nothing where most sets were listed no later than they could be seen.
    fn spread(&self) -> Spread {
        let (mut lower, mut upper): (Vec<_>, Vec<_>) = self.bounds.iter().copied().unzip();
        lower.sort_unstable();
        upper.sort_unstable();
        match (lower.first(), median(&lower), median(&upper), upper.last()) {
            (Some(first), Some(low @ 1..), Some(high), Some(last)) => Spread {
                first: *first,
                middle: low.midpoint(high),
                last: *last,
            },
            _ => Spread::default(),
        }
    }
}

impl History {
    /// Everything that is expected around the time of the last look.
    fn windows(
        &self,
        asked: Seconds,
        originals: &[Seconds],
        interval: Seconds,
        ceiling: Seconds,
    ) -> Vec<Window> {
        let usual = Spread::of(newest(&self.durations), 5 * MINUTE);
        let lag = self.lag(originals);
        let mut foreseen = Vec::new();
        let mut windows: Vec<Window> = Vec::new();
        for begun in &self.running {
            let run = usual.unwrap_or(UNKNOWN_RUN);
            foreseen.push(begun + run.middle);
            windows.push(run.after(*begun, *begun, Zeal::Running));
        }
        if let Some(lag) = lag {
            let newest = self.ends.last().copied().unwrap_or(Seconds::MIN);
            let lately = originals.iter().rev().take_while(|at| **at > asked - DAY);
            for original in lately.filter(|at| newest < *at + lag.first - MINUTE) {
                foreseen.push(original + lag.middle);
                windows.push(lag.after(*original, original + lag.first, Zeal::Late));
            }
        }
        let duration = usual.map_or(0, |usual| usual.middle - self.delay.middle);
        for period in self.periods() {
            if period <= 2 * interval {
                // What comes so often is always due, and is read as often as allowed while it does come.
                windows.extend(self.ends.last().map(|newest| Window {
                    begins: *newest,
                    first: *newest,
                    last: *newest,
                    zeal: Zeal::Late,
                }));
            } else {
                let expected = self.expected(period, asked, ceiling, &foreseen);
                windows.extend(expected.map(|window| match lag {
                    // The original says better when its copy comes. If neither came, that shows in the end.
                    Some(_) => Window {
                        begins: window.last,
                        first: window.last,
                        ..window
                    },
                    None if period < SHORTEST_WATCHED_RUN => window,
                    None => Window {
                        begins: window.first - duration,
                        ..window
                    },
                }));
            }
            if self.explains(period) {
                break;
            }
        }
        windows
    }

    /// The periods in which sets may come, the shortest first.
    fn periods(&self) -> Vec<Seconds> {
        let mut periods = vec![DAY, WEEK];
        let gaps: Vec<Seconds> = self.ends.windows(2).map(|pair| pair[1] - pair[0]).collect();
        for gaps in [newest(&gaps), &gaps[gaps.len().saturating_sub(3)..]] {
            let Some(usual) = median(gaps).filter(|usual| *usual >= MINUTE) else {
                continue;
            };
            // A set that was left out makes a gap of two periods, one in between makes two of less than one.
            let counted: Seconds = gaps.iter().map(|gap| (gap + usual / 2) / usual).sum();
            periods.push(gaps.iter().sum::<Seconds>() / counted.max(1));
        }
        periods.sort_unstable();
        periods.dedup_by(|one, other| (*one - *other).abs() <= *other / 50);
        periods
    }

    /// Whether most of the newest sets came one or two periods after another.
    fn explains(&self, period: Seconds) -> bool {
        let newest = self.ends.len().saturating_sub(4);
        if newest == 0 {
            return false;
        }
        let has = |at: Seconds| {
            let from = self.ends.partition_point(|end| *end < at - reach(period));
            self.ends
                .get(from)
                .is_some_and(|end| *end <= at + reach(period))
        };
        let of = |explains: &dyn Fn(Seconds) -> bool| {
            let explained = self.ends[newest..].iter().filter(|end| explains(**end));
            explained.count()
        };
        of(&|end| has(end - period)) >= 2
            && of(&|end| has(end - period) || has(end - 2 * period)) >= 3
    }

    /// What is expected if sets come with this period, and was not yet there nor is `foreseen` otherwise.
    fn expected(
        &self,
        period: Seconds,
        asked: Seconds,
        ceiling: Seconds,
        foreseen: &[Seconds],
    ) -> impl Iterator<Item = Window> {
        let reach = reach(period);
        // Further back, lateness alone has long led to the ceiling.
        let (from, until) = (asked - 3 * ceiling - reach, asked + ceiling + reach);
        // Each set once more for each period since, with the number of periods.
        let mut echoes: Vec<(Seconds, Seconds)> = foreseen.iter().map(|at| (*at, 0)).collect();
        for end in self.ends.iter().rev() {
            if end + PERIODS_REMEMBERED * period < from {
                break;
            }
            let nearest = ((from - end).max(0) + period - 1) / period;
            let echo = (nearest..=PERIODS_REMEMBERED).map(|later| (end + later * period, later));
            echoes.extend(echo.take_while(|(at, _)| *at <= until));
        }
        echoes.sort_unstable();
        let groups: Vec<_> = echoes
            .chunk_by(|one, next| next.0 - one.0 <= reach)
            .filter_map(|group| window_of(group, period))
            .collect();
        groups.into_iter()
    }

    /// How long after its original a copy shows up.
    fn lag(&self, originals: &[Seconds]) -> Option<Spread> {
        let copies = self.ends.iter().rev();
        let lags = copies.filter_map(|copy| {
            let until = originals.partition_point(|original| original <= copy);
            Some(copy - originals.get(until.checked_sub(1)?)?)
        });
        let lags: Vec<_> = lags.take(NEWEST).collect();
        let lag = Spread::of(&lags, 5 * MINUTE)?;
        let delay = self.delay;
        (lags.len() >= 2).then_some(Spread {
            first: lag.first - (delay.middle - delay.first),
            last: lag.last + (delay.last - delay.middle),
            ..lag
        })
    }
}

/// What is to be expected of a place in time to which earlier sets point, each so many periods later. Nothing if the set
/// is there, and nothing if it came too seldom lately.
fn window_of(echoes: &[(Seconds, Seconds)], period: Seconds) -> Option<Window> {
    let is_there = |periods: Seconds| echoes.iter().any(|(_, later)| *later == periods);
    let lately = (1..=PERIODS_OF_LATE)
        .filter(|later| is_there(*later))
        .count();
    if is_there(0) || !(is_there(1) || lately >= 2) {
        return None;
    }
    let times: Vec<Seconds> = echoes.iter().map(|(at, _)| *at).collect();
    let spread = Spread::of(&times, (20 * MINUTE).min(period / 12))?;
    let zeal = if lately >= 2 { Zeal::Late } else { Zeal::None };
    Some(spread.after(0, spread.first, zeal))
}

impl Window {
    /// When to look for what shows up in it.
    fn due(&self, asked: Seconds, interval: Seconds, ceiling: Seconds) -> Option<Seconds> {
        // What shows up right after a look is seen with the next, and that takes a little time.
        let soon = 2 * interval - interval / 10;
        if asked < self.last {
            let shown = asked.max(self.first) + soon;
            let failed = asked.max(self.begins) + soon.max((self.first - self.begins) / 3);
            return Some(shown.min(failed));
        }
        let late = asked - self.last;
        let pause = match self.zeal {
            Zeal::None => return None,
            Zeal::Late => late / 3,
            Zeal::Running => late / 4,
        };
        Some(asked + pause.clamp(interval, ceiling.max(interval)))
    }
}

/// Between when and when a value usually lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Spread {
    first: Seconds,
    middle: Seconds,
    last: Seconds,
}

impl Spread {
    /// The window so long after a moment.
    const fn after(self, moment: Seconds, begins: Seconds, zeal: Zeal) -> Window {
        Window {
            begins,
            first: moment + self.first,
            last: moment + self.last,
            zeal,
        }
    }

    /// Of these values without those that lie far out; the fewer they are the more room is left around them, up to half of
    /// `doubt` for a single one.
    fn of(values: &[Seconds], doubt: Seconds) -> Option<Self> {
        let mut values = values.to_vec();
        values.sort_unstable();
        let quarter = values.len() / 4;
        let (low, high) = (
            *values.get(quarter)?,
            *values.get(values.len() - 1 - quarter)?,
        );
        if values.len() >= 5 {
            let far = (high - low) * 3 / 2 + MINUTE;
            values.retain(|value| (low - far..=high + far).contains(value));
        }
        let (first, last) = (*values.first()?, *values.last()?);
        let count = Seconds::try_from(values.len()).unwrap_or(Seconds::MAX - 1);
        let room = ((last - first + doubt) / (count + 1)).max(MINUTE);
        Some(Self {
            first: first - room,
            middle: values[values.len() / 2],
            last: last + room,
        })
    }
}

/// How far from its time a set still counts as that of its period.
fn reach(period: Seconds) -> Seconds {
    (period / 6).min(90 * MINUTE)
}

fn newest(values: &[Seconds]) -> &[Seconds] {
    &values[values.len().saturating_sub(NEWEST)..]
}

fn median(values: &[Seconds]) -> Option<Seconds> {
    let mut values = values.to_vec();
    values.sort_unstable();
    values.get(values.len() / 2).copied()
}

fn copy(set: &BackupSet) -> Copy<'_> {
    (set.scope, &set.backup_region, set.backup_type)
}

/// The sets that follow a schedule. A part of the instance is backed up by hand, and nobody waits for it.
fn foreseeable(sets: &[BackupSet]) -> impl Iterator<Item = &BackupSet> {
    let sets = sets.iter();
    sets.filter(|set| set.backup_type != BackupType::Partial)
}

/// The sets that are no longer being made, and when they ended.
fn ended(sets: &[BackupSet]) -> impl Iterator<Item = (Seconds, &BackupSet)> {
    let ended = foreseeable(sets).filter(|set| set.status != Status::Running);
    ended.filter_map(|set| Some((set.finished()?.timestamp(), set)))
}

/// When the sets ended of which this is a copy, in order. What failed is not copied.
fn originals_of((scope, _, backup_type): Copy<'_>, sets: &[BackupSet]) -> Vec<Seconds> {
    let mut originals: Vec<Seconds> = ended(sets)
        .filter(|(_, set)| set.backup_type == backup_type && set.status == Status::Completed)
        .filter(|_| scope == Scope::CrossRegion)
        .map(|(end, _)| end)
        .collect();
    originals.sort_unstable();
    originals
}

fn seconds(duration: Duration) -> Seconds {
    Seconds::try_from(duration.as_secs()).unwrap_or(DAY)
}

fn share(of: Seconds, part: f64) -> Seconds {
    seconds(Duration::from_secs(of.unsigned_abs()).mul_f64(part))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::example::{ago, copy_in, failed, local, now, with};

    const BOUNDS: Bounds = Bounds {
        interval: Duration::from_secs(300),
        ceiling: Duration::from_secs(3600),
    };

    /// The whole minutes until a listing is due that was read just now.
    fn minutes(sets: &[BackupSet], originals: &[BackupSet]) -> i64 {
        let due = Cadence::new(BOUNDS).due(now(), sets, originals, 0.0);
        (due - now()).num_minutes()
    }

    /// Local sets that ended so many minutes ago.
    fn sets(ended: impl IntoIterator<Item = i64>) -> Vec<BackupSet> {
        let ended = ended.into_iter();
        ended.map(|ended| local(&format!("{ended}m"))).collect()
    }

    /// Minutes ago, so many times with so many minutes between, the last one so long ago.
    fn every(period: i64, times: i64, last: i64) -> Vec<i64> {
        (0..times).map(|number| last + number * period).collect()
    }

    const DAYS: i64 = 24 * 60;

    #[test]
    fn nobody_waits_for_a_part_of_the_instance() {
        let part = |set: BackupSet| BackupSet {
            backup_type: BackupType::Partial,
            ..set
        };
        // As full sets they would be due within minutes, by their rhythm or because one is being made.
        let parts = || sets(every(DAYS, 9, DAYS - 30)).into_iter().map(part);
        let running = part(with(Status::Running, local("5m")));
        assert_eq!(minutes(&parts().collect::<Vec<_>>(), &[]), 59);
        assert_eq!(minutes(&[running.clone()], &[]), 59);
        // They change nothing about when the others are due, and nothing waits to be copied.
        let whole = sets(every(DAYS, 9, DAYS - 30));
        let mixed: Vec<_> = parts().chain(whole.clone()).chain([running]).collect();
        assert_eq!(minutes(&mixed, &[]), minutes(&whole, &[]));
        let copies: Vec<_> = every(DAYS, 9, DAYS)
            .into_iter()
            .map(|ended| copy_in("cn-shanghai", &format!("{ended}m")))
            .collect();
        let originals: Vec<_> = parts().collect();
        assert_eq!(minutes(&copies, &originals), minutes(&copies, &[]));
    }

    #[test]
    fn a_listing_is_due_soon_after_the_next_set() {
        // Sets take ten minutes, and are looked for since they may have failed: ten minutes after each may have begun.
        let check = |what: &str, ended: Vec<i64>, expected: i64| {
            assert_eq!(minutes(&sets(ended), &[]), expected, "{what}");
        };
        check("nothing is known", vec![], 59);
        check("the next day is far away", every(DAYS, 9, 12 * 60), 59);
        check("a day in half an hour", every(DAYS, 9, DAYS - 30), 27);
        check(
            "a day in half an hour, seen twice",
            every(DAYS, 2, DAYS - 30),
            22,
        );
        check("a set was left out", every(DAYS, 9, 2 * DAYS - 30), 27);
        check("an hour in half an hour", every(60, 30, 30), 38);
        check("six hours in half an hour", every(360, 12, 330), 27);
        check(
            "a week in half an hour",
            every(7 * DAYS, 4, 7 * DAYS - 30),
            25,
        );
        let two_days_a_week = [
            every(7 * DAYS, 4, 7 * DAYS - 30),
            every(7 * DAYS, 4, 3 * DAYS),
        ];
        check("one of two days of the week", two_days_a_week.concat(), 25);
        let by_hand = [every(DAYS, 9, DAYS - 30), vec![700]];
        check("with one in between", by_hand.concat(), 27);
        let moved = [every(DAYS, 9, DAYS + 600), vec![DAYS - 30]];
        check("a new time of day", moved.concat(), 19);
        check("log files of each five minutes", every(5, 24, 3), 5);
        check("log files that stopped", every(5, 24, 100), 33);
    }

    #[test]
    fn what_is_late_is_looked_for_less_and_less_often_and_not_for_ever() {
        let waits = |period, late: &[i64]| -> Vec<i64> {
            let late = late.iter();
            late.map(|late| minutes(&sets(every(period, 9, period + late)), &[]))
                .collect()
        };
        assert_eq!(
            waits(DAYS, &[5, 10, 20, 40, 80, 160, 300]),
            [5, 5, 5, 12, 25, 52, 59]
        );
        // On the third day it is no longer expected, although the time of day has come.
        assert_eq!(minutes(&sets(every(DAYS, 9, 2 * DAYS + 5)), &[]), 5);
        assert_eq!(minutes(&sets(every(DAYS, 9, 3 * DAYS + 5)), &[]), 59);
        // What came only once at this time is nothing to wait for.
        assert_eq!(minutes(&sets([DAYS + 40]), &[]), 59);
    }

    #[test]
    fn a_running_set_is_looked_after_until_it_ends() {
        let running = |begun: &str| BackupSet {
            started: Some(ago(begun)),
            ended: None,
            ..with(Status::Running, local("0m"))
        };
        let check = |begun, mut sets: Vec<BackupSet>, expected| {
            sets.push(running(begun));
            assert_eq!(minutes(&sets, &[]), expected, "{begun}");
        };
        // Others took ten minutes.
        let before = || sets(every(DAYS, 9, 12 * 60));
        check("1m", before(), 9);
        check("8m", before(), 9);
        check("12m", before(), 5);
        check("2h", before(), 27);
        check("9h", before(), 59);
        // It would be the set that is expected, which is not looked for beside it.
        check("3m", sets(every(DAYS, 9, DAYS - 7)), 9);
        check("1m", vec![], 9);
        check("3h", vec![], 15);
    }

    #[test]
    fn a_copy_is_expected_after_its_original() {
        let copies = |ended: Vec<i64>| -> Vec<BackupSet> {
            let ended = ended.into_iter();
            ended
                .map(|ended| copy_in("cn-shanghai", &format!("{ended}m")))
                .collect()
        };
        // Copies come half an hour after their originals, daily. Here is when the last copy came, the original of before
        // that, and one that was not copied yet.
        let check = |what: &str, last: i64, new: &[BackupSet], expected| {
            let originals = [new, &sets(every(DAYS, 8, last + 30))].concat();
            let copies = copies(every(DAYS, 8, last));
            assert_eq!(minutes(&copies, &originals), expected, "{what}");
        };
        check("the original is new", DAYS, &sets([3]), 35);
        check("the original is not so new", DAYS, &sets([25]), 13);
        check("it was made by hand", 12 * 60, &sets([3]), 35);
        check("the copy is late", DAYS + 20, &sets([50]), 6);
        check("so is the original", DAYS + 20, &[], 5);
        check("the original failed", DAYS + 20, &[failed(local("50m"))], 5);
        check("the original is not awaited yet", DAYS - 25, &[], 36);
    }

    #[test]
    fn what_a_vendor_lists_late_is_expected_late() {
        // It is dated like its original, and listed forty minutes later.
        let shown = |now_minutes: i64| -> Vec<BackupSet> {
            let ended = every(DAYS, 9, -5 * DAYS);
            let shown = ended.into_iter().filter(|ended| -ended + 40 <= now_minutes);
            sets(shown.map(|ended| ended + 20 * DAYS))
        };
        let mut cadence = Cadence::new(BOUNDS);
        let begin = now() - chrono::Duration::minutes(20 * DAYS);
        let at = |minutes| begin + chrono::Duration::minutes(minutes);
        for minute in (-4 * DAYS..5 * DAYS).step_by(10) {
            cadence.observe(at(minute), &shown(minute));
        }
        let due = cadence.due(at(5 * DAYS - 5), &shown(5 * DAYS - 5), &[], 0.0);
        let due = (due - at(5 * DAYS)).num_minutes();
        assert!((30..40).contains(&due), "{due}");
        // Another look at the same listing knows nothing of that.
        let unaware = Cadence::new(BOUNDS).due(at(5 * DAYS - 5), &shown(5 * DAYS - 5), &[], 0.0);
        assert!((unaware - at(5 * DAYS)).num_minutes() < 10);
    }

    #[test]
    fn the_dice_move_nothing_by_more_than_a_fifth_of_the_interval() {
        let daily = sets(every(DAYS, 9, DAYS - 30));
        let cadence = Cadence::new(BOUNDS);
        let due = |dice| cadence.due(now(), &daily, &[], dice);
        assert_eq!((due(0.0) - due(1.0)).num_seconds(), 60);
    }

    fn any_set() -> impl Strategy<Value = BackupSet> {
        let time = || {
            let near = (-40 * DAY..DAY).prop_map(|ago| now() + chrono::Duration::seconds(ago));
            let any = (0..8_000_000_000_000_i64)
                .prop_map(|at| DateTime::from_timestamp(at, 0).unwrap_or_else(now));
            prop_oneof![
                4 => near.prop_map(Some),
                1 => any.prop_map(Some),
                1 => Just(None),
            ]
        };
        let status = prop::sample::select(Status::ALL.to_vec());
        (time(), time(), status, any::<bool>()).prop_map(|(started, ended, status, is_copy)| {
            let set = if is_copy {
                copy_in("cn-shanghai", "1h")
            } else {
                local("1h")
            };
            BackupSet {
                status,
                started,
                ended,
                ..set
            }
        })
    }

    proptest! {
        #[test]
        fn whatever_is_listed_the_bounds_are_kept(
            sets in prop::collection::vec(any_set(), 0..40),
            originals in prop::collection::vec(any_set(), 0..20),
            dice in 0.0..1.0_f64,
            interval in 1..4000_u64,
            more in 0..100_000_u64,
        ) {
            let bounds = Bounds {
                interval: Duration::from_secs(interval),
                ceiling: Duration::from_secs(interval + more),
            };
            let mut cadence = Cadence::new(bounds);
            for read in ["2h", "1h", "0m"] {
                cadence.observe(ago(read), &sets);
                let due = cadence.due(ago(read), &sets, &originals, dice) - ago(read);
                let due = due.to_std().unwrap();
                prop_assert!((bounds.interval..=bounds.ceiling).contains(&due), "{due:?}");
            }
        }
    }
}
