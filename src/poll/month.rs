//! A month of backups in simulated time: what the cadence of a listing costs, and how soon it sees what happens.
//!
//! Pure: a history of sets is drawn from a seed, and each listing is read when the cadence says. docs/polling.md says what
//! the words of the table mean.

#![expect(clippy::cast_precision_loss, reason = "minutes of a month")]

use std::collections::HashMap;
use std::fmt::{self, Write as _};
use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::cadence::{Bounds, Cadence};
use crate::backup::{
    BackupSet, BackupType, ListingKind, Lookback, Policy, PolicySwitch, Scope, Status,
};
use crate::example::target;
use crate::facts::Facts;

type Seconds = i64;

const MINUTE: Seconds = 60;
const HOUR: Seconds = 60 * MINUTE;
const DAY: Seconds = 24 * HOUR;

/// A Monday.
const BEGIN: Seconds = 1_767_571_200;
const MEASURED: Seconds = 30 * DAY;
const LOOKBACK: Seconds = 31 * DAY;
const INTERVAL: Seconds = 5 * MINUTE;
const CEILING: Seconds = HOUR;
const SOON: Seconds = 10 * MINUTE;
/// A little less than the look-back, so that what is removed in time is seen to be.
const RETENTION: Seconds = 30 * DAY;
/// So many sets of a hundred are removed before their time.
const EARLY: u64 = 1;

/// When sets are due.
#[derive(Debug, Clone, Copy)]
enum Plan {
    /// Each so many seconds, so long after midnight.
    Every(Seconds, Seconds),
    /// On these days of the week, Monday being 0, so long after midnight.
    On(&'static [Seconds], Seconds),
}

/// How the sets of an instance come.
#[derive(Debug, Clone, Copy)]
struct Story {
    name: &'static str,
    plan: Plan,
    /// From some day of the month on.
    changed: Option<Plan>,
    /// How much later than planned a set begins, at the most.
    start_jitter: Seconds,
    /// How long a set takes, and how far that is off at the most, in hundredths.
    duration: Seconds,
    duration_jitter: Seconds,
    /// How long a copy takes at the least and at the most.
    copying: (Seconds, Seconds),
    /// How many sets are made by hand in a month, in hundredths.
    by_hand: u64,
}

const NIGHT: Plan = Plan::Every(DAY, 2 * HOUR);
const EACH_HOUR: Plan = Plan::Every(HOUR, 0);
const SUNDAYS: Plan = Plan::On(&[6], 3 * HOUR);

const DAILY: Story = Story {
    name: "daily",
    plan: NIGHT,
    changed: None,
    start_jitter: 10 * MINUTE,
    duration: 30 * MINUTE,
    duration_jitter: 20,
    copying: (10 * MINUTE, 30 * MINUTE),
    by_hand: 50,
};

const HOURLY: Story = Story {
    name: "hourly",
    plan: EACH_HOUR,
    start_jitter: 5 * MINUTE,
    duration: 6 * MINUTE,
    copying: (4 * MINUTE, 10 * MINUTE),
    ..DAILY
};

const STORIES: [Story; 11] = [
    DAILY,
    Story {
        name: "daily, large",
        start_jitter: 30 * MINUTE,
        duration: 3 * HOUR,
        copying: (HOUR, 2 * HOUR),
        ..DAILY
    },
    Story {
        name: "daily, moved by 7 hours",
        changed: Some(Plan::Every(DAY, 9 * HOUR)),
        ..DAILY
    },
    Story {
        name: "weekly",
        plan: SUNDAYS,
        ..DAILY
    },
    Story {
        name: "twice a week",
        plan: Plan::On(&[0, 3], 22 * HOUR),
        ..DAILY
    },
    Story {
        name: "every 6 hours",
        plan: Plan::Every(6 * HOUR, HOUR),
        ..DAILY
    },
    HOURLY,
    Story {
        name: "hourly, restless",
        start_jitter: 12 * MINUTE,
        duration: 10 * MINUTE,
        duration_jitter: 30,
        ..HOURLY
    },
    Story {
        name: "daily, then hourly",
        changed: Some(EACH_HOUR),
        plan: NIGHT,
        ..HOURLY
    },
    Story {
        name: "hourly, then daily",
        changed: Some(NIGHT),
        ..HOURLY
    },
    Story {
        name: "hourly, then weekly",
        changed: Some(SUNDAYS),
        ..HOURLY
    },
];

/// Numbers that look random and are the same each time (`SplitMix64`).
#[derive(Debug, Clone)]
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Between the two, both included.
    fn between(&mut self, least: Seconds, most: Seconds) -> Seconds {
        least + (self.next() % (most - least + 1).unsigned_abs()).cast_signed()
    }

    fn chance(&mut self, hundredths: u64) -> bool {
        self.next() % 100 < hundredths
    }

    #[expect(clippy::cast_precision_loss, reason = "53 bits are kept")]
    fn part(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// What there is to be seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    /// A set that was planned is listed.
    Planned,
    /// The like for the first time after the plan was changed.
    Changed,
    /// A set that nobody could foresee is listed, or its copy.
    ByHand,
    /// A set is listed as failed.
    Failed,
    /// A set is later than it can be.
    Missing,
}

/// A set, and what its listing shows of it when.
#[derive(Debug, Clone)]
struct Row {
    set: BackupSet,
    /// From then on it is listed as running, if it ever is.
    begun: Option<Seconds>,
    /// From then on it is listed as it is in the end.
    shown: Seconds,
}

/// One listing of one instance: what it holds, and what there is to be seen in it.
#[derive(Debug, Default)]
struct Listing {
    rows: Vec<Row>,
    /// When something could first be seen that matters: a new set, a failed one, or that one is missing.
    events: Vec<(Seconds, Event)>,
    /// When the set that began then is removed: when its time has come, and now and then before.
    removed: HashMap<Seconds, Seconds>,
    /// Whether the policy tells how long sets are kept.
    is_retention_told: bool,
}

/// What a listing holds at the time of a look; the looks go forward in time.
#[derive(Debug, Default)]
struct Held {
    /// So many rows are listed as they are in the end, or were.
    ended: usize,
    running: usize,
    sets: Vec<BackupSet>,
}

impl Held {
    fn look(&mut self, listing: &Listing, now: Seconds) {
        self.sets.truncate(self.sets.len() - self.running);
        let new = &listing.rows[self.ended..];
        let new = &new[..new.partition_point(|row| row.shown <= now)];
        self.ended += new.len();
        self.sets.extend(new.iter().map(|row| row.set.clone()));
        self.sets.retain(|set| {
            let started = set.started.unwrap().timestamp();
            listing.removed.get(&started).is_none_or(|at| *at > now)
        });
        let edge = time(now - LOOKBACK);
        let old = self
            .sets
            .iter()
            .take_while(|set| set.started <= Some(edge))
            .count();
        self.sets.drain(..old);
        let running = listing.rows[self.ended..].iter();
        let running = running.filter(|row| row.begun.is_some_and(|begun| begun <= now));
        let before = self.sets.len();
        self.sets.extend(running.map(|row| BackupSet {
            status: Status::Running,
            ended: None,
            ..row.set.clone()
        }));
        self.running = self.sets.len() - before;
    }
}

fn time(at: Seconds) -> DateTime<Utc> {
    DateTime::from_timestamp(at, 0).unwrap()
}

fn set(scope: Scope, status: Status, started: Seconds, ended: Seconds) -> BackupSet {
    BackupSet {
        scope,
        backup_region: "cn-shanghai".into(),
        backup_type: BackupType::Full,
        status,
        started: Some(time(started)),
        ended: Some(time(ended)),
        size_bytes: None,
        recovery_point: None,
        expires: None,
        available: true,
        is_copied: true,
        restore_regions: [].into(),
        covers_until: None,
    }
}

/// The local listing of an instance and that of its copies.
fn draw(story: &Story, dice: &mut Dice) -> [Listing; 2] {
    let [mut local, mut copies] = [Listing::default(), Listing::default()];
    // Not every vendor lists what is running, nor dates a copy like its own end.
    let (shows_running, dated_like_original) = (dice.chance(67), dice.chance(33));
    let shift = dice.between(0, DAY / 12) / MINUTE * MINUTE;
    let changes = BEGIN + dice.between(8 * DAY, 18 * DAY) / DAY * DAY;
    let spread = story.duration * story.duration_jitter / 100;
    let mut make = |dice: &mut Dice, planned: Seconds, event: Event| {
        let latest = planned + story.start_jitter + story.duration + spread;
        let latest_copy = latest + story.copying.1;
        let happens = |listing: &mut Listing, at: Seconds, event: Event| {
            if (BEGIN..BEGIN + MEASURED).contains(&at) {
                listing.events.push((at, event));
            }
        };
        let is_planned = event != Event::ByHand;
        if is_planned && dice.chance(2) {
            happens(&mut local, latest, Event::Missing);
            happens(&mut copies, latest_copy, Event::Missing);
            return;
        }
        let started = planned + dice.between(0, story.start_jitter);
        let whole = story.duration + dice.between(-spread, spread);
        let is_failed = dice.chance(3);
        let (status, took) = if is_failed {
            (Status::Failed, dice.between(whole / 5, whole))
        } else {
            (Status::Completed, whole)
        };
        let ended = started + took;
        local.rows.push(Row {
            set: set(Scope::Local, status, started, ended),
            begun: shows_running.then_some(started),
            shown: ended,
        });
        happens(
            &mut local,
            ended,
            if is_failed { Event::Failed } else { event },
        );
        if is_failed || dice.chance(1) {
            if is_planned {
                happens(&mut copies, latest_copy, Event::Missing);
            }
            return;
        }
        let copy_ended = ended + dice.between(story.copying.0, story.copying.1);
        let (from, to) = if dated_like_original {
            (started, ended)
        } else {
            (ended, copy_ended)
        };
        copies.rows.push(Row {
            set: set(Scope::CrossRegion, Status::Completed, from, to),
            begun: None,
            shown: copy_ended,
        });
        happens(&mut copies, copy_ended, event);
    };
    let mut has_changed = false;
    let mut at = BEGIN - LOOKBACK;
    while at < BEGIN + MEASURED {
        let plan = story
            .changed
            .filter(|_| at >= changes)
            .unwrap_or(story.plan);
        let is_due = match plan {
            Plan::Every(period, offset) => (at - offset).rem_euclid(period) == 0,
            Plan::On(days, offset) => {
                (at - offset).rem_euclid(DAY) == 0
                    && days.contains(&((at - BEGIN).div_euclid(DAY).rem_euclid(7)))
            }
        };
        if is_due {
            let is_new = story.changed.is_some() && at >= changes && !has_changed;
            has_changed |= is_new;
            make(
                dice,
                at + shift,
                if is_new {
                    Event::Changed
                } else {
                    Event::Planned
                },
            );
        }
        at += HOUR;
    }
    let mut month = BEGIN - LOOKBACK;
    while month < BEGIN + MEASURED {
        if dice.chance(story.by_hand) {
            let at = month + dice.between(0, 30 * DAY);
            make(dice, at, Event::ByHand);
        }
        month += 30 * DAY;
    }
    // By other dice, so that what happens is the same as without removals.
    let mut others = Dice(!dice.0);
    finish(&mut [&mut local, &mut copies], &mut others);
    [local, copies]
}

/// Puts the rows in order, and says when each set is removed.
fn finish(listings: &mut [&mut Listing; 2], dice: &mut Dice) {
    let is_retention_told = dice.chance(50);
    // Vendors clear away once a day.
    let hour = dice.between(0, DAY);
    for listing in listings {
        listing.rows.sort_by_key(|row| row.shown);
        listing.events.sort_unstable();
        listing.is_retention_told = is_retention_told;
        for row in &listing.rows {
            let started = row.set.started.unwrap().timestamp();
            let removed = if dice.chance(EARLY) {
                row.shown + dice.between(MINUTE, RETENTION)
            } else {
                let ends = started + RETENTION;
                ends + (hour - ends).rem_euclid(DAY)
            };
            listing.removed.insert(started, removed);
        }
    }
}

/// What came of reading listings for a month.
#[derive(Debug, Clone, Default)]
pub(super) struct Outcome {
    listings: u32,
    calls: u32,
    /// Of these the ones that were made to ask twice.
    second: u32,
    /// How long after each event the listing was read.
    delays: Vec<(Seconds, Event)>,
    longest: Seconds,
}

/// Reads the listings of one instance for a month.
fn read_for_a_month(listings: &[Listing; 2], dice: &mut Dice) -> [Outcome; 2] {
    let bounds = Bounds {
        interval: std::time::Duration::from_secs(INTERVAL.unsigned_abs()),
        ceiling: std::time::Duration::from_secs(CEILING.unsigned_abs()),
    };
    let mut cadences = [Cadence::new(bounds), Cadence::new(bounds)];
    let mut looks: [Vec<Seconds>; 2] = Default::default();
    let mut second = [0, 0];
    let facts = facts_of(listings);
    let key = target("rm-1").key;
    // What was read of each, when it was asked last, and when it is due.
    let mut held: [Held; 2] = Default::default();
    let mut asked = [0, 0];
    let first = BEGIN - DAY;
    let mut due = [first, first];
    let end = BEGIN + MEASURED + 3 * HOUR;
    loop {
        let which = usize::from(due[1] < due[0]);
        let began = due[which];
        if began > end {
            break;
        }
        // In line, and on the way.
        let answered = began + dice.between(1, 20);
        looks[which].push(began);
        asked[which] = answered;
        held[which].look(&listings[which], began);
        cadences[which].observe(time(answered), &held[which].sets);
        let kind = [ListingKind::Local, ListingKind::CrossRegion][which];
        let read = crate::backup::Listing {
            sets: held[which].sets.clone(),
            complete: true,
            ..crate::backup::Listing::default()
        };
        facts.record(&key, kind, time(answered), DAYS, Ok(read.into()));
        let is_doubted = facts.of(&key).unwrap().listings[&kind].is_doubted;
        let next = |which: usize, dice: &mut Dice| {
            let originals = if which == 1 {
                held[0].sets.as_slice()
            } else {
                &[]
            };
            let (asked, sets) = (time(asked[which]), &held[which].sets);
            cadences[which]
                .due(asked, sets, originals, dice.part())
                .timestamp()
        };
        due[which] = next(which, dice);
        if is_doubted && due[which] > answered + INTERVAL {
            due[which] = answered + INTERVAL;
            second[which] += u32::from((BEGIN..BEGIN + MEASURED).contains(&due[which]));
        }
        // What was read of the originals says more of the copies, unless these are being read already.
        if which == 0 && asked[1] > 0 && due[1] > answered {
            due[1] = next(1, dice).max(answered);
        }
    }
    [0, 1].map(|which| Outcome {
        second: second[which],
        ..Outcome::of(&listings[which], &looks[which])
    })
}

const DAYS: Lookback = Lookback {
    sets: std::time::Duration::from_secs(LOOKBACK.unsigned_abs()),
    logs: std::time::Duration::from_secs(2 * HOUR.unsigned_abs()),
};

/// What is known of the instance before anything is read but its policy.
fn facts_of(listings: &[Listing; 2]) -> Facts {
    let facts = Facts::default();
    let mut watched = target("rm-1");
    watched.listings.push(ListingKind::Policy);
    let account = (watched.key.provider, "prod");
    let key = watched.key.clone();
    facts.adopt(account, time(BEGIN), [Arc::new(watched).into()]);
    let switch = |scope| PolicySwitch {
        scope,
        backup_region: String::new(),
        backup_type: BackupType::Full,
        enabled: true,
        retention: Some(std::time::Duration::from_secs(RETENTION.unsigned_abs())),
    };
    if listings[0].is_retention_told {
        let policy = Policy {
            switches: [Scope::Local, Scope::CrossRegion].map(switch).to_vec(),
            ..Policy::default()
        };
        let policy = Ok(policy.into());
        facts.record(&key, ListingKind::Policy, time(BEGIN), DAYS, policy);
    }
    facts
}

impl Outcome {
    /// What came of reading a listing at these times.
    fn of(listing: &Listing, looks: &[Seconds]) -> Self {
        let in_month = looks
            .iter()
            .filter(|at| (BEGIN..BEGIN + MEASURED).contains(*at));
        let delays = listing.events.iter().map(|(happened, event)| {
            let seen = looks.partition_point(|at| at < happened);
            (looks[seen] - happened, *event)
        });
        Self {
            second: 0,
            listings: 1,
            calls: u32::try_from(in_month.count()).unwrap(),
            delays: delays.collect(),
            longest: looks
                .windows(2)
                .map(|pair| pair[1] - pair[0])
                .max()
                .unwrap_or(0),
        }
    }

    fn add(&mut self, other: &Self) {
        self.listings += other.listings;
        self.calls += other.calls;
        self.second += other.second;
        self.delays.extend(&other.delays);
        self.longest = self.longest.max(other.longest);
    }

    /// Which part was seen soon.
    pub(super) fn soon(&self) -> f64 {
        let soon = self
            .delays
            .iter()
            .filter(|(delay, _)| *delay <= SOON)
            .count();
        soon as f64 / self.delays.len().max(1) as f64
    }

    /// Which part of the calls of a fixed interval it took.
    pub(super) fn share(&self) -> f64 {
        f64::from(self.calls) / f64::from(self.listings) / (MEASURED / INTERVAL) as f64
    }

    /// Which part of the calls was made to ask for bad news twice.
    pub(super) fn asked_twice(&self) -> f64 {
        f64::from(self.second) / f64::from(self.calls - self.second)
    }

    pub(super) fn latest(&self) -> Seconds {
        self.delays
            .iter()
            .map(|(delay, _)| *delay)
            .max()
            .unwrap_or(0)
    }

    /// The delay that so many of a hundred do not exceed.
    fn delay(&self, hundredths: usize) -> Seconds {
        let mut delays: Vec<_> = self.delays.iter().map(|(delay, _)| *delay).collect();
        delays.sort_unstable();
        let rank = (delays.len() * hundredths).div_ceil(100);
        delays.get(rank.saturating_sub(1)).copied().unwrap_or(0)
    }
}

impl Outcome {
    fn seen(&self) -> String {
        let minutes = |seconds: Seconds| seconds as f64 / 60.0;
        let [p50, p95, most] = [self.delay(50), self.delay(95), self.latest()].map(minutes);
        let (events, soon) = (self.delays.len(), self.soon() * 100.0);
        format!("{events:>8} {soon:>8.1} % {p50:>6.1} {p95:>6.1} {most:>6.1}")
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let calls_a_day =
            f64::from(self.calls) / f64::from(self.listings) / (MEASURED / DAY) as f64;
        let (seen, share) = (self.seen(), self.share() * 100.0);
        write!(formatter, "{seen} {calls_a_day:>10.1} {share:>8.1} %")
    }
}

const HEAD: &str = "  events  in 10 min    p50    p95    max  calls/day      share";

const EVENTS: [(Event, &str); 5] = [
    (Event::Planned, "new, as planned"),
    (Event::Changed, "new, first of a changed schedule"),
    (Event::ByHand, "new, by hand"),
    (Event::Failed, "failed"),
    (Event::Missing, "missing"),
];

/// A row for each story and listing, and one for all.
pub(super) fn month(seed: u64, instances: u32) -> (Vec<(String, Outcome)>, Outcome) {
    let mut rows = Vec::new();
    let mut all = Outcome::default();
    for (number, story) in STORIES.iter().enumerate() {
        let mut sums = [Outcome::default(), Outcome::default()];
        for instance in 0..instances {
            let mut dice = Dice(seed ^ (u64::from(instance) << 32) ^ ((number as u64) << 16));
            let listings = draw(story, &mut dice);
            let outcomes = read_for_a_month(&listings, &mut dice);
            for (sum, outcome) in sums.iter_mut().zip(&outcomes) {
                sum.add(outcome);
                all.add(outcome);
            }
        }
        let [local, copies] = sums;
        rows.push((format!("{}, local", story.name), local));
        rows.push((format!("{}, copies", story.name), copies));
    }
    (rows, all)
}

/// The table of a month, and what it sums up to.
pub(super) fn table(seed: u64, instances: u32) -> (String, Outcome) {
    let (rows, all) = month(seed, instances);
    let mut table = String::new();
    let mut line =
        |name: &str, rest: &dyn fmt::Display| writeln!(table, "{name:<32} {rest}").unwrap();
    line("schedule", &HEAD);
    for (name, outcome) in &rows {
        line(name, outcome);
    }
    line("all", &all);
    line("of these:", &"");
    for (event, name) in EVENTS {
        let mut of_kind = all.clone();
        of_kind.delays.retain(|(_, of)| *of == event);
        line(name, &of_kind.seen());
    }
    (table, all)
}

/// What is demanded of a month: seen soon, seen at all, and for how much.
fn keeps_its_promise(all: &Outcome) -> bool {
    let is_cheap = all.share() <= 0.125 && all.asked_twice() <= 0.02;
    all.soon() >= 0.95 && all.latest() <= CEILING && is_cheap
}

#[test]
fn what_happens_is_seen_soon_for_an_eighth_of_the_calls() {
    let (table, all) = table(1, 1);
    assert!(keeps_its_promise(&all), "\n{table}");
}

#[test]
fn an_hour_is_the_longest_time_between_two_looks() {
    for story in &STORIES[..4] {
        let mut dice = Dice(7);
        let listings = draw(story, &mut dice);
        for outcome in read_for_a_month(&listings, &mut dice) {
            assert!(
                (CEILING - 5 * MINUTE..=CEILING).contains(&outcome.longest),
                "{}: {}",
                story.name,
                outcome.longest
            );
        }
    }
}

/// The month knows what is bad: without a cadence, neither the ceiling nor a fixed interval is good enough.
#[test]
fn neither_the_ceiling_alone_nor_a_fixed_interval_keeps_the_promise() {
    let mut dice = Dice(3);
    let [local, _] = draw(&HOURLY, &mut dice);
    let read = |every: Seconds| {
        let begin = BEGIN - DAY;
        let count = (MEASURED + 2 * DAY) / every;
        let looks: Vec<Seconds> = (0..count).map(|number| begin + number * every).collect();
        Outcome::of(&local, &looks)
    };
    let (seldom, often) = (read(CEILING), read(INTERVAL));
    assert!(seldom.share() < 0.1 && seldom.soon() < 0.5, "{seldom}");
    assert!(
        (often.share() - 1.0).abs() < 1e-3 && often.soon() > 0.99,
        "{often}"
    );
    assert!(!keeps_its_promise(&seldom) && !keeps_its_promise(&often));
}

/// `benches/cadence/run` prints it.
#[test]
#[ignore = "a table for people, and a minute of work"]
fn the_table_of_a_month() {
    let number = |name: &str, default: u64| {
        std::env::var(name).map_or(default, |text| text.parse().unwrap())
    };
    let (seed, seeds) = (number("CADENCE_SEED", 1), number("CADENCE_SEEDS", 10));
    let instances = u32::try_from(number("CADENCE_INSTANCES", 5)).unwrap();
    let (table, mut all) = table(seed, instances);
    println!(
        "A month of {} listings, seed {seed}:\n\n{table}",
        all.listings
    );
    let mut is_kept = keeps_its_promise(&all);
    println!("{:<32} {HEAD}", "all, by seed");
    for seed in seed..seed + seeds {
        all = month(seed, instances).1;
        is_kept &= keeps_its_promise(&all);
        println!("{seed:<32} {all}");
    }
    println!(
        "\nAsked twice because of bad news: {} calls more, {:.2} %",
        all.second,
        all.asked_twice() * 100.0
    );
    println!(
        "\nTargets: 95 % within 10 minutes, all within 60, 12.5 % of the calls, 2 % for bad news: {}",
        if is_kept { "met" } else { "MISSED" }
    );
    assert!(
        is_kept || std::env::var("CADENCE_STRICT").is_err(),
        "a target is missed"
    );
}
