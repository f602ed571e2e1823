//! When a listing is worth reading again. Pure: what was read goes in, a time comes out; the dice are passed in.
//!
//! A listing tells its own rhythm. The ends of the sets in it, shifted by the period in which they come, say between when
//! and when the next one will show up: a [`Window`]. Whatever shows up within a window is to be seen soon, so the listing
//! is read a little later than the window opens and goes on being read until the set is there; one that stays away is
//! looked for with less and less zeal. Where no window is near, nothing can have changed, but for what nobody can foresee:
//! a backup by hand, a new schedule. For these there is a ceiling.
//!
//! Nothing here assumes that a schedule is kept. A period counts for as much as it explained lately, a set that came out of
//! turn is expected again only once, and what stayed away three times is not waited for any longer.

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

/// What stayed away so many times in a row is no longer waited for.
const PERIODS_MISSED: Seconds = 3;

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
        for set in sets.iter().filter(|set| set.status == Status::Running) {
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
        let (mut least, mut most): (Vec<_>, Vec<_>) = self.bounds.iter().copied().unzip();
        least.sort_unstable();
        most.sort_unstable();
        match (least.first(), median(&least), median(&most), most.last()) {
            (Some(first), Some(usual @ 1..), Some(usual_most), Some(last)) => Spread {
                first: *first,
                middle: usual.midpoint(usual_most),
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
        let duration = usual.map_or(0, |usual| usual.middle);
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
    let lately = (1..=PERIODS_MISSED)
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

/// The sets that are no longer being made, and when they ended.
fn ended(sets: &[BackupSet]) -> impl Iterator<Item = (Seconds, &BackupSet)> {
    let ended = sets.iter().filter(|set| set.status != Status::Running);
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
