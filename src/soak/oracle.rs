//! Judges the exporter against the simulated world, and not against what the clouds answered: would a promise be kept if
//! somebody restored now? It reads the contract a second time, in plain words, and shares nothing with the exporter's own
//! judgement nor with the model of its answers.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::time::Duration;

use chrono::TimeDelta;
use sim::{Engine, LogFile, Restorable, Truth, Vendor};
use tokio::time::Instant;

use super::plan::{Account, Named, OBJECTIVES, Plan};
use super::reading::Time;

/// An instance: account, region, id.
type Key = (String, String, String);

/// So many examples are told of each kind.
const MOST_EXAMPLES: usize = 12;

/// What keeps an honest answer from an instance, or from being understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Trouble {
    pub(super) name: &'static str,
    /// Whether nobody could have known better while it lasted.
    pub(super) blocks: bool,
}

/// How a promise stands in the world.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum World {
    Kept,
    /// Also by the sets that there are.
    Broken,
    /// Only because copying is switched off.
    SwitchedOff,
}

/// What is known of a promise over time.
#[derive(Debug, Clone, Copy)]
struct Course {
    looked: Instant,
    world: World,
    shown: Option<bool>,
    /// Since when it has been broken, and whether that has been shown.
    broken: Option<(Instant, bool)>,
    /// When the oldest copy, which a retention goes by, ended, and since when there is none that is older.
    oldest: (Option<Time>, Instant),
}

/// What is known of an instance over time.
#[derive(Debug, Clone, Default)]
struct Surroundings {
    /// Since when nothing has kept an honest answer away.
    clear_since: Option<Instant>,
    /// When each trouble was there last.
    troubles: BTreeMap<&'static str, Instant>,
    /// When each operation was last answered honestly, and when otherwise.
    honest: BTreeMap<String, Instant>,
    spoiled: BTreeMap<String, Instant>,
}

/// What the oracle found.
#[derive(Debug, Default)]
pub(super) struct Findings {
    pub(super) looks: u64,
    /// Seconds of promises: how the world was, and what was shown.
    seconds: BTreeMap<(&'static str, &'static str), u64>,
    /// Green although broken for too long, and an honest answer was to be had.
    pub(super) false_green: u64,
    /// The same, but with no verdict at all.
    silent: BTreeMap<&'static str, u64>,
    /// Green although broken, by what stood in the way.
    late_green: BTreeMap<&'static str, u64>,
    /// Red although kept, by cause.
    false_red: BTreeMap<&'static str, u64>,
    /// From a breakage until it showed.
    delays: Vec<u64>,
    /// Breakages that ended before they showed: how long they were.
    unseen: Vec<u64>,
    examples: BTreeMap<&'static str, Vec<String>>,
}

/// See the top.
#[derive(Debug, Default)]
pub(super) struct Oracle {
    /// What the clouds' clocks showed at the last look.
    now: Time,
    courses: BTreeMap<(Key, &'static str), Course>,
    surroundings: BTreeMap<Key, Surroundings>,
    pub(super) findings: Findings,
}

/// What the world is judged by at one moment.
pub(super) struct Look<'a> {
    pub(super) plan: &'a Plan,
    /// What the clouds' own clocks show.
    pub(super) now: Time,
    /// What there is of the instances.
    pub(super) world: BTreeMap<String, Truth>,
    /// What the page says: account, region, id and promise, and whether it is kept.
    pub(super) shown: BTreeMap<(Key, &'static str), bool>,
    /// What else it says, by id.
    pub(super) pages: BTreeMap<String, String>,
}

/// Huawei's logs are asked for by the operation of the sets.
pub(super) const LOG_COPIES: &str = "ListOffSiteBackups of logs";

fn minutes(count: u64) -> Duration {
    Duration::from_secs(60 * count)
}

/// The operations whose answers a promise is judged by.
fn needed(vendor: Vendor, objective: &str) -> &'static [&'static str] {
    match (vendor, objective) {
        (Vendor::Alibaba | Vendor::Volcengine, "backup_age") => &["DescribeBackups"],
        (Vendor::Huawei, "backup_age") => &["ListBackups"],
        (Vendor::Alibaba, "recovery_point") => &[
            "DescribeCrossRegionBackups",
            "DescribeCrossRegionLogBackupFiles",
            "DescribeCrossRegionBackupDBInstance",
        ],
        (Vendor::Huawei, "recovery_point") => {
            &["ListOffSiteBackups", LOG_COPIES, "ShowOffSiteBackupPolicy"]
        }
        (Vendor::Huawei, "retention") => &["ListOffSiteBackups", "ShowOffSiteBackupPolicy"],
        (Vendor::Alibaba, "retention") => &[
            "DescribeCrossRegionBackups",
            "DescribeCrossRegionBackupDBInstance",
        ],
        (Vendor::Alibaba, _) => &[
            "DescribeCrossRegionBackups",
            "DescribeBackups",
            "DescribeCrossRegionBackupDBInstance",
        ],
        (Vendor::Huawei, _) => &[
            "ListOffSiteBackups",
            "ListBackups",
            "ShowOffSiteBackupPolicy",
        ],
        (Vendor::Volcengine, "recovery_point" | "retention") => &[
            "DescribeCrossRegionBackups",
            "DescribeCrossRegionBackupPolicy",
        ],
        (Vendor::Volcengine, _) => &[
            "DescribeCrossRegionBackups",
            "DescribeBackups",
            "DescribeCrossRegionBackupPolicy",
        ],
    }
}

/// Whether the configuration leaves out a listing without which a promise is not judged as here.
fn is_left_out(account: &Account, objective: &str) -> bool {
    use crate::backup::ListingKind::{CrossRegion, CrossRegionLog, Local, Policy};
    let needed: &[_] = match objective {
        "recovery_point" => &[CrossRegion, CrossRegionLog, Policy],
        "backup_age" => &[Local],
        "copy_delay" => &[CrossRegion, Local, Policy],
        _ => &[CrossRegion, Policy],
    };
    let has = super::plan::listings(account.vendor);
    let mut needed = needed.iter().filter(|kind| has.contains(kind));
    needed.any(|kind| !account.listings.contains(kind))
}

impl Oracle {
    /// What stands between the exporter and an instance at this moment.
    pub(super) fn note_troubles(&mut self, key: &Key, troubles: &[Trouble]) {
        let now = Instant::now();
        let around = self.surroundings.entry(key.clone()).or_default();
        for trouble in troubles {
            around.troubles.insert(trouble.name, now);
        }
        if troubles.iter().any(|trouble| trouble.blocks) {
            around.clear_since = None;
        } else {
            around.clear_since.get_or_insert(now);
        }
    }

    /// The exporter began anew, or with other settings: whatever it has not asked yet it may ask in its time.
    pub(super) fn begin_anew(&mut self, why: &'static str) {
        let now = Instant::now();
        for around in self.surroundings.values_mut() {
            around.troubles.insert(why, now);
            around.clear_since = around.clear_since.map(|_| now);
            around.honest.clear();
        }
    }

    /// An answer about an instance reached the exporter.
    pub(super) fn note_answer(&mut self, key: &Key, operation: &str, honest: bool) {
        let now = Instant::now();
        let around = self.surroundings.entry(key.clone()).or_default();
        if honest {
            around.honest.insert(operation.to_owned(), now);
        } else {
            around.spoiled.insert(operation.to_owned(), now);
            around.troubles.insert("single fault", now);
            around.clear_since = around.clear_since.map(|_| now);
        }
    }

    /// Judges every promise, and adds what passed since the last look.
    pub(super) fn look(&mut self, look: &Look<'_>) {
        self.findings.looks += 1;
        self.now = look.now;
        let mut known = BTreeSet::new();
        for account in &look.plan.accounts {
            for (key, named) in instances(look, account) {
                for (number, objective) in OBJECTIVES.into_iter().enumerate() {
                    let own = named.and_then(|named| named.recovery_point_hours);
                    let own = own.filter(|_| objective == "recovery_point");
                    let Some(hours) = own.or(look.plan.objectives[number]) else {
                        continue;
                    };
                    if is_left_out(account, objective) {
                        continue;
                    }
                    let promise = TimeDelta::hours(hours.cast_signed());
                    let truth = look.world.get(&key.2);
                    let world = truth.map_or(Some(World::Broken), |truth| {
                        judge(truth, named, objective, promise, look)
                    });
                    // Without a region to copy to there is no promise of copies.
                    let Some(world) = world else { continue };
                    known.insert((key.clone(), objective));
                    self.follow(look, account, (&key, objective, promise), world, truth);
                }
            }
        }
        self.courses.retain(|course, _| known.contains(course));
    }

    fn follow(
        &mut self,
        look: &Look<'_>,
        account: &Account,
        (key, objective, promise): (&Key, &'static str, TimeDelta),
        world: World,
        truth: Option<&Truth>,
    ) {
        let now = Instant::now();
        let course = (key.clone(), objective);
        let shown = look.shown.get(&course).copied();
        let before = self.courses.get(&course).copied();
        let mut broken = before.and_then(|before| before.broken);
        if world == World::Kept {
            if let Some((since, false)) = broken {
                self.findings.unseen.push((now - since).as_secs());
            }
            broken = None;
        } else {
            let (since, was_shown) = *broken.get_or_insert((now, false));
            if !was_shown && shown == Some(false) {
                self.findings.delays.push((now - since).as_secs());
                broken = Some((since, true));
            }
        }
        let oldest = truth.and_then(|truth| truth.copies.iter().map(|(_, set)| set.end).min());
        let oldest = match before {
            Some(before) if before.oldest.0 == oldest => before.oldest,
            _ => (oldest, now),
        };
        let next = Course {
            oldest,
            looked: now,
            world,
            shown,
            broken,
        };
        self.courses.insert(course, next);
        // What was seen at both looks is taken to have been so in between.
        let Some(before) = before.filter(|before| {
            before.shown == shown && (before.world == World::Kept) == (world == World::Kept)
        }) else {
            return;
        };
        let passed = (now - before.looked).as_secs();
        let was = if world == World::Kept {
            "kept"
        } else {
            "broken"
        };
        let said = match shown {
            Some(true) => "green",
            Some(false) => "red",
            None => "no verdict",
        };
        *self.findings.seconds.entry((was, said)).or_default() += passed;
        match (world, shown) {
            (World::Kept, Some(false)) => {
                let news = truth.is_some_and(|truth| {
                    let known = self.as_last_told(key, truth);
                    let named = account.named.iter().find(|named| named.id == key.2);
                    judge(&known, named, objective, promise, look) != Some(World::Kept)
                });
                let cause = if truth.is_none_or(|truth| !truth.is_there) {
                    "the instance is no longer there"
                } else if news {
                    "what keeps it came after the last answer"
                } else {
                    self.cause(look.plan, key, objective, promise)
                };
                *self.findings.false_red.entry(cause).or_default() += passed;
                if cause == UNEXPLAINED {
                    self.tell("red although kept", key, objective, look, truth);
                }
            }
            (World::Broken | World::SwitchedOff, Some(true) | None) => {
                self.judge_breakage(look, account, (key, objective, promise), truth, passed);
            }
            (World::Kept, _) | (_, Some(false)) => {}
        }
    }

    /// A promise is broken, and that is not shown: for so many seconds more.
    fn judge_breakage(
        &mut self,
        look: &Look<'_>,
        account: &Account,
        (key, objective, promise): (&Key, &'static str, TimeDelta),
        truth: Option<&Truth>,
        passed: u64,
    ) {
        let now = Instant::now();
        let course = self.courses[&(key.clone(), objective)];
        let mut since = course.broken.map_or(now, |(since, _)| since);
        if objective == "retention" {
            // A set that was old enough yesterday may have run out today, and the next one the day after.
            since = since.max(course.oldest.1);
        }
        let slow = course.world == World::SwitchedOff || truth.is_none();
        let grace = grace(look.plan, slow);
        let is_late = now - since > grace;
        let is_there = truth.is_some_and(|truth| truth.is_there);
        let possible =
            self.was_possible((account.vendor, is_there), key, objective, (since, grace));
        let cause = self.cause(look.plan, key, objective, promise);
        match (is_late && possible, course.shown) {
            (true, Some(_)) => {
                self.findings.false_green += passed;
                self.tell("green although broken", key, objective, look, truth);
            }
            (true, None) if is_there => {
                *self.findings.silent.entry(cause).or_default() += passed;
                if cause == UNEXPLAINED {
                    self.tell("broken, and no verdict", key, objective, look, truth);
                }
            }
            (false, Some(_)) => {
                let cause = if is_late {
                    cause
                } else {
                    "not longer than allowed"
                };
                *self.findings.late_green.entry(cause).or_default() += passed;
            }
            _ => {}
        }
    }

    /// Whether the exporter could have known: nothing stood in the way for long enough, or it was told all of it.
    fn was_possible(
        &self,
        (vendor, is_there): (Vendor, bool),
        key: &Key,
        objective: &str,
        (since, grace): (Instant, Duration),
    ) -> bool {
        let Some(around) = self.surroundings.get(key) else {
            return false;
        };
        let now = Instant::now();
        let Some(clear) = around.clear_since else {
            return false;
        };
        if now - since.max(clear) > grace {
            return true;
        }
        // What is no longer there has to say so twice.
        is_there
            && needed(vendor, objective).iter().all(|operation| {
                let honest = around.honest.get(*operation).copied();
                let spoiled = around.spoiled.get(*operation).copied();
                honest > Some(since.max(clear))
                    && honest > spoiled
                    && honest.is_some_and(|honest| now - honest > minutes(2))
            })
    }

    /// What an instance had when each of its listings was last answered honestly, if that was lately enough.
    fn as_last_told(&self, key: &Key, truth: &Truth) -> Truth {
        let mut told = truth.clone();
        let around = self.surroundings.get(key);
        let last = |operation: &str| {
            let honest = around.and_then(|around| around.honest.get(operation));
            let ago = honest.map_or(Duration::MAX, Instant::elapsed);
            // Whoever has not asked for longer than that has no excuse.
            (ago <= minutes(100)).then_some(ago)
        };
        let is_told = |operation: &str, time: Time, now: Time| {
            last(operation).is_none_or(|ago| time <= now - ago)
        };
        let now = self.now;
        let [local, copies, logs] = match truth.vendor {
            Vendor::Huawei => ["ListBackups", "ListOffSiteBackups", LOG_COPIES],
            _ => [
                "DescribeBackups",
                "DescribeCrossRegionBackups",
                "DescribeCrossRegionLogBackupFiles",
            ],
        };
        told.local.retain(|set| is_told(local, set.listed, now));
        told.copies
            .retain(|(_, set)| is_told(copies, set.listed, now));
        told.logs.retain(|(_, log)| is_told(logs, log.listed, now));
        told
    }

    /// Why a promise may be shown as broken although it is kept.
    fn cause(&self, plan: &Plan, key: &Key, objective: &str, promise: TimeDelta) -> &'static str {
        let lingers = grace(plan, true);
        let now = Instant::now();
        let around = self.surroundings.get(key);
        let troubles = around.into_iter().flat_map(|around| &around.troubles);
        let recent: BTreeSet<&str> = troubles
            .filter(|(_, last)| now - **last <= lingers)
            .map(|(name, _)| *name)
            .collect();
        if let Some(name) = CAUSES.into_iter().find(|name| recent.contains(name)) {
            return name;
        }
        let lookback = TimeDelta::days(plan.lookback_days.cast_signed());
        if promise >= lookback && objective != "copy_delay" {
            return "promise longer than the look-back";
        }
        UNEXPLAINED
    }

    fn tell(
        &mut self,
        what: &'static str,
        key: &Key,
        objective: &str,
        look: &Look<'_>,
        truth: Option<&Truth>,
    ) {
        let (now, page) = (look.now, look.pages.get(&key.2));
        let examples = self.findings.examples.entry(what).or_default();
        let whose = format!("{key:?} {objective}");
        if examples.len() >= MOST_EXAMPLES || examples.iter().any(|told| told.starts_with(&whose)) {
            return;
        }
        let since = self.courses[&(
            key.clone(),
            OBJECTIVES
                .into_iter()
                .find(|name| *name == objective)
                .unwrap(),
        )]
            .broken;
        let since = since.map(|(since, _)| (Instant::now() - since).as_secs());
        let around = self.surroundings.get(key);
        let clear = around.and_then(|around| around.clear_since);
        let clear = clear.map(|clear| (Instant::now() - clear).as_secs());
        let newest = truth.map(|truth| {
            let local = truth.local.iter().max_by_key(|set| set.end);
            let copy = truth.copies.iter().max_by_key(|(_, set)| set.end);
            let log = truth.logs.last();
            format!("newest local {local:?}, copy {copy:?}, log {log:?}, destinations {:?}, engine {:?} {}",
                truth.destinations, truth.engine, truth.engine_version)
        });
        let example = format!(
            "{whose} at {now}: broken for {since:?} s, nothing in the way for {clear:?} s; {newest:?}; page: {page:?}"
        );
        println!("{what}: {example}");
        examples.push(example);
    }
}

const UNEXPLAINED: &str = "nothing known";

/// From what explains most to what explains least.
const CAUSES: [&str; 16] = [
    "our clock is wrong",
    "made anew under the same id",
    "restart",
    "answer emptied",
    "policy said to be off",
    "list filtered by rights",
    "key is rotated",
    "right is taken away",
    "outage",
    "limit is lowered",
    "storm of faults",
    "reload",
    "list of instances emptied",
    "list of instances cut",
    "discovery hangs",
    "single fault",
];

/// How long a breakage may stay unseen: the longest interval of the listings that tell it, and two short ones.
fn grace(plan: &Plan, slow: bool) -> Duration {
    let longest = if slow {
        plan.at_most_minutes().max(plan.policy_minutes())
    } else {
        plan.at_most_minutes()
    };
    minutes(longest + 2 * plan.interval_minutes)
}

/// The instances of an account that ought to be watched, and those that the page speaks of.
fn instances<'a>(look: &'a Look<'_>, account: &'a Account) -> Vec<(Key, Option<&'a Named>)> {
    let named = |id: &str| account.named.iter().find(|named| named.id == id);
    let there = look.world.iter().filter(|(id, truth)| {
        truth.account == account.name
            && (named(id).is_some() || account.regions.contains(&truth.region.as_str()))
    });
    let mut keys: BTreeSet<Key> = there
        .map(|(id, truth)| (account.name.clone(), truth.region.clone(), id.clone()))
        .collect();
    keys.extend(
        look.shown
            .keys()
            .map(|(key, _)| key.clone())
            .filter(|key| key.0 == account.name),
    );
    let with_name = |key: Key| {
        let named = named(&key.2);
        (key, named)
    };
    keys.into_iter().map(with_name).collect()
}

/// The sets from which the instance can be restored: an incremental one needs a full one before it.
fn usable<'a>(sets: impl Iterator<Item = &'a Restorable>) -> Vec<&'a Restorable> {
    let sets: Vec<_> = sets.collect();
    let first_full = sets
        .iter()
        .filter(|set| set.full)
        .map(|set| set.start)
        .min();
    let has_base = |set: &&&Restorable| set.full || first_full.is_some_and(|full| full < set.start);
    sets.iter().filter(has_base).copied().collect()
}

/// The recovery point of a copy: what the vendor tells, else its start.
fn point(truth: &Truth, set: &Restorable) -> Time {
    match truth.vendor {
        Vendor::Alibaba if truth.engine != Engine::SqlServer => set.consistent,
        _ => set.start,
    }
}

fn point_at_home(truth: &Truth, set: &Restorable) -> Time {
    let is_told = truth.vendor == Vendor::Alibaba
        && truth.engine == Engine::MySql
        && truth.engine_version == "5.6";
    if is_told { set.consistent } else { set.start }
}

/// How far log files take a set further, one after the other without a hole.
fn reach<'a>(truth: &Truth, base: Time, logs: impl Iterator<Item = &'a LogFile>) -> Time {
    let (mut covered, mut reached) = (base, base);
    for log in logs.filter(|log| log.end > base) {
        if log.begin > covered {
            break;
        }
        covered = log.end;
        let told = match truth.vendor {
            Vendor::Huawei => log.last_transaction,
            _ => log.end,
        };
        reached = reached.max(told);
    }
    reached
}

/// What a promise says, held against the world; nothing where it says nothing.
fn judge(
    truth: &Truth,
    named: Option<&Named>,
    objective: &str,
    promise: TimeDelta,
    look: &Look<'_>,
) -> Option<World> {
    let now = look.now;
    let is_young = |time: Time| now - time < promise;
    let kept = |kept: bool| if kept { World::Kept } else { World::Broken };
    if objective == "backup_age" {
        let newest = usable(truth.local.iter()).iter().map(|set| set.end).max();
        return Some(kept(newest.is_some_and(is_young)));
    }
    let is_on = truth.can_be_copied && truth.destinations.iter().any(|(_, on)| *on);
    let here = |region: &str| {
        let copies = truth.copies.iter();
        let here = copies.filter(move |(place, _)| place == region);
        usable(here.map(|(_, set)| set))
    };
    let configured = named.map(|named| named.backup_regions.clone());
    let mut expected: Vec<&str> = configured.unwrap_or_default();
    if expected.is_empty() && truth.can_be_copied {
        let destinations = truth.destinations.iter();
        // Alibaba names a destination that is switched off; the others name none, and only what is kept there tells of it.
        expected = destinations
            .filter(|(region, on)| {
                *on || truth.vendor == Vendor::Alibaba || !here(region).is_empty()
            })
            .map(|(region, _)| region.as_str())
            .collect();
    }
    let everywhere = |holds: &dyn Fn(&str) -> bool| {
        !expected.is_empty() && expected.iter().all(|region| holds(region))
    };
    // Only Alibaba tells since when it copies, and only of where it still does.
    let told_since = |region: &str, is_known: bool| {
        let mut on = truth.destinations.iter().filter(|(_, on)| *on || is_known);
        let is_told = truth.vendor == Vendor::Alibaba && on.any(|(place, _)| place == region);
        truth.copied_since.filter(|_| is_told)
    };
    // What is broken only because copying is no longer switched on is told by the policy alone.
    let kept_while_on = |holds: &dyn Fn(bool) -> bool| match (holds(false), holds(true)) {
        (true, _) => World::Kept,
        (false, true) => World::SwitchedOff,
        (false, false) => World::Broken,
    };
    match objective {
        "recovery_point" => {
            let is_kept = everywhere(&|region| {
                let newest = here(region).iter().map(|set| point(truth, set)).max();
                let logs = truth.logs.iter().filter(|(place, _)| place == region);
                let logs = logs.map(|(_, log)| log);
                newest.is_some_and(|newest| is_young(reach(truth, newest, logs)))
            });
            Some(match (is_kept, is_on) {
                (false, _) => World::Broken,
                (true, false) => World::SwitchedOff,
                (true, true) => World::Kept,
            })
        }
        "copy_delay" => {
            let lookback = now - TimeDelta::days(look.plan.lookback_days.cast_signed());
            let lacks = |region: &str, is_known: bool| {
                let fulls = here(region);
                let copied = fulls.iter().filter(|set| set.full);
                let copied = copied.map(|set| point(truth, set)).max();
                let mut local = truth.local.iter().filter(|set| set.full);
                local.any(|set| {
                    let is_newer = copied.is_none_or(|copied| {
                        point_at_home(truth, set) - copied > TimeDelta::minutes(10)
                    });
                    is_newer
                        && set.start > lookback
                        && told_since(region, is_known).is_none_or(|since| set.end >= since)
                        && now - set.end > promise
                })
            };
            (!expected.is_empty()).then(|| {
                kept_while_on(&|is_known| !expected.iter().any(|region| lacks(region, is_known)))
            })
        }
        _ => {
            let lookback = now - TimeDelta::days(look.plan.lookback_days.cast_signed());
            let reaches_back = |region: &str, is_known: bool| {
                let sets = here(region);
                let oldest = sets.iter().filter(|set| set.start > lookback);
                let oldest = oldest.map(|set| set.end).min();
                oldest.is_some_and(|oldest| {
                    now - oldest >= promise || told_since(region, is_known).is_some_and(is_young)
                })
            };
            Some(kept_while_on(&|is_known| {
                everywhere(&|region| reaches_back(region, is_known))
            }))
        }
    }
}

/// The value below which so many hundredths of all lie.
fn quantile(sorted: &[u64], hundredths: usize) -> u64 {
    let last = sorted.len().saturating_sub(1);
    sorted
        .get(last * hundredths / 100)
        .copied()
        .unwrap_or_default()
}

impl Findings {
    /// What is printed.
    pub(super) fn summary(&self) -> String {
        let mut text = format!(
            "the oracle looked {} times; seconds of promises:\n",
            self.looks
        );
        for ((was, said), seconds) in &self.seconds {
            writeln!(text, "  {seconds:>10}  {was}, shown {said}").unwrap();
        }
        writeln!(
            text,
            "green although broken for longer than the ceiling and two intervals, and an honest answer to be had: {} s",
            self.false_green
        )
        .unwrap();
        let mut told = |title: &str, rows: &BTreeMap<&'static str, u64>| {
            writeln!(text, "{title}: {} s", rows.values().sum::<u64>()).unwrap();
            for (name, seconds) in rows {
                writeln!(text, "  {seconds:>10}  {name}").unwrap();
            }
        };
        told("broken as long, and no verdict", &self.silent);
        told("green although broken, and excused", &self.late_green);
        told("red although kept", &self.false_red);
        let mut delays = self.delays.clone();
        delays.sort_unstable();
        writeln!(
            text,
            "breakages shown: {}, after p50 {} s, p95 {} s, at most {} s; over before they showed: {}, the longest after {} s",
            delays.len(),
            quantile(&delays, 50),
            quantile(&delays, 95),
            quantile(&delays, 100),
            self.unseen.len(),
            self.unseen.iter().max().copied().unwrap_or_default()
        )
        .unwrap();
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AWAY: &str = "cn-shanghai";

    fn noon() -> Time {
        "2026-06-15T12:00:00Z".parse().unwrap()
    }

    /// A set that began so many hours ago and took one.
    fn set(hours: i64, full: bool) -> Restorable {
        let start = noon() - TimeDelta::hours(hours);
        let end = start + TimeDelta::hours(1);
        Restorable {
            start,
            end,
            listed: end,
            consistent: start,
            full,
        }
    }

    /// Log files of half an hour, from so many half hours ago to so many.
    fn logs(from: i64, until: i64) -> Vec<(String, LogFile)> {
        let at = |halves: i64| noon() - TimeDelta::minutes(30 * halves);
        let file = |halves: i64| LogFile {
            begin: at(halves),
            end: at(halves - 1),
            last_transaction: at(halves - 1),
            listed: at(halves - 1),
        };
        let halves = (until + 1..=from).rev();
        halves
            .map(|halves| (AWAY.to_owned(), file(halves)))
            .collect()
    }

    /// Copied in time, a day ago and half a day ago.
    fn whole() -> Truth {
        let sets = vec![set(24, true), set(12, true)];
        Truth {
            vendor: Vendor::Alibaba,
            account: "a".to_owned(),
            region: "cn-hangzhou".to_owned(),
            engine: Engine::MySql,
            engine_version: "8.0".to_owned(),
            is_there: true,
            can_be_copied: true,
            destinations: vec![(AWAY.to_owned(), true)],
            copied_since: None,
            copies: sets.iter().map(|set| (AWAY.to_owned(), *set)).collect(),
            local: sets,
            logs: Vec::new(),
        }
    }

    fn plan() -> Plan {
        Plan {
            accounts: Vec::new(),
            interval_minutes: 10,
            longest_minutes: Some(60),
            lookback_days: 4,
            log_lookback_hours: 3,
            objectives: [Some(13), Some(13), Some(2), Some(20)],
        }
    }

    /// The four promises, as the world keeps them.
    fn kept(truth: &Truth) -> [Option<bool>; 4] {
        let plan = plan();
        let look = Look {
            plan: &plan,
            now: noon(),
            world: BTreeMap::new(),
            shown: BTreeMap::new(),
            pages: BTreeMap::new(),
        };
        let mut promises = OBJECTIVES.into_iter().zip(plan.objectives);
        std::array::from_fn(|_| {
            let (objective, hours) = promises.next().unwrap();
            let promise = TimeDelta::hours(hours.unwrap().cast_signed());
            let world = judge(truth, None, objective, promise, &look);
            world.map(|world| world == World::Kept)
        })
    }

    #[test]
    fn a_promise_is_judged_by_what_is_there() {
        let (yes, no) = (Some(true), Some(false));
        let of = |change: fn(&mut Truth)| {
            let mut truth = whole();
            change(&mut truth);
            kept(&truth)
        };
        for (case, found, expected) in [
            ("all is well", of(|_| {}), [yes; 4]),
            (
                "the newest copy is missing",
                of(|truth| truth.copies.truncate(1)),
                [no, yes, no, yes],
            ),
            (
                "the oldest copy is missing",
                of(|truth| _ = truth.copies.remove(0)),
                [yes, yes, yes, no],
            ),
            (
                "logs go on from the older copy",
                of(|truth| {
                    truth.copies.truncate(1);
                    truth.logs = logs(48, 2);
                }),
                [yes, yes, no, yes],
            ),
            (
                "the logs have a hole",
                of(|truth| {
                    truth.copies.truncate(1);
                    truth.logs = [logs(48, 40), logs(39, 2)].concat();
                }),
                [no, yes, no, yes],
            ),
            (
                "incremental sets have lost their base",
                of(|truth| {
                    for set in &mut truth.local {
                        set.full = false;
                    }
                    for (_, set) in &mut truth.copies {
                        set.full = false;
                    }
                }),
                [no, no, yes, no],
            ),
            (
                "copying is switched off",
                of(|truth| truth.destinations[0].1 = false),
                [no, yes, yes, yes],
            ),
            (
                "nothing was ever copied",
                of(|truth| {
                    truth.destinations.clear();
                    truth.copies.clear();
                }),
                [no, yes, None, no],
            ),
            (
                "a second destination has nothing",
                of(|truth| truth.destinations.push(("cn-shenzhen".to_owned(), true))),
                [no, yes, no, no],
            ),
        ] {
            assert_eq!(found, expected, "{case}");
        }
    }
}
