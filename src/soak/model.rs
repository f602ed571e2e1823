//! What `/metrics` must say, said once more, slowly and plainly: from what the clouds were seen to answer.
//!
//! The model decodes every answer itself. From the exporter it takes only when an attempt at a listing ended and how, and
//! it holds that against the exchanges that it saw.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chrono::{Duration, Utc};
use serde_json::Value;
use sim::Vendor;
use tokio::time::Instant;

use super::plan::{Named, OBJECTIVES, Plan};
use super::reading::{self, Described, Listed, Policy, Set, Time, Window};
use super::witness::{Exchange, Verdict, reasons};
use crate::backup::ListingKind;
use crate::facts::{Attempt, Facts, InstanceFacts};
use crate::provider::error::Reason;
use crate::tally::Tally;
use crate::target::{InstanceKey, Target};

/// An instance: vendor, account, region, id.
pub(super) type Key = (Vendor, String, String, String);
type RegionKey = (Vendor, String, String);

/// One sample: its name with its labels in their order, and its value.
pub(super) type Samples = BTreeMap<String, f64>;

/// A question that is asked again and again: account, operation, region, what it names, what else tells it from others.
type Question = (String, String, String, Vec<String>, String);

/// The pages that were read in answer to one question.
#[derive(Debug, Clone)]
struct Run {
    pages: Vec<Value>,
    refused: Option<String>,
    arrived: Instant,
    was_touched: bool,
    /// From when on it was asked for, and when that was.
    asked: Option<(Time, Time)>,
}

#[derive(Debug, Clone)]
struct Claim {
    at: Time,
    /// When this was seen, by the clock that nobody steps: what arrives from then on belongs to the next attempt.
    ended: Instant,
    failure: Option<(Reason, bool)>,
    /// When it was last read, by the exporter's clock and by ours.
    read: Option<(Time, Instant)>,
}

#[derive(Debug, Clone)]
enum Content {
    Unsupported,
    Sets(SetsRead),
    Policy(Policy),
    Windows(Vec<Window>),
}

impl Content {
    /// Whether an answer lacks all that could be restored from, some of it from after `latest`, or switches off what was on.
    fn is_all_lost_in(&self, after: &Self, latest: Time) -> bool {
        let has_usable = |read: &SetsRead| {
            let mut sets = read.sets.iter().filter(|set| set.backup_type != "log");
            sets.any(|set| set.dated() > Some(latest) && set.is_usable_among(&read.sets))
        };
        match (self, after) {
            (Self::Sets(before), Self::Sets(after)) => {
                after.complete && has_usable(before) && after.sets.is_empty()
            }
            (Self::Policy(before), Self::Policy(after)) => {
                before.protected == Some(true) && after.protected == Some(false)
            }
            _ => false,
        }
    }
}

#[derive(Debug, Clone, Default)]
struct SetsRead {
    sets: Vec<Set>,
    remembered: Vec<Set>,
    covered: Vec<Stretch>,
    complete: bool,
    described: Described,
}

/// A stretch of time that log files of one region hold without a break.
#[derive(Debug, Clone)]
struct Stretch {
    region: String,
    from: Time,
    until: Time,
    point: Option<Time>,
}

/// An instance as the model knows it.
#[derive(Debug, Clone, Default)]
struct Watched {
    named: Option<Named>,
    described: Described,
    presence: Presence,
    /// The listings whose last answer took all away that there was, and when: bad news is asked for twice.
    doubted: BTreeMap<ListingKind, Instant>,
    listings: Vec<ListingKind>,
    claims: BTreeMap<ListingKind, Claim>,
    contents: BTreeMap<ListingKind, Content>,
}

/// What speaks for and against the existence of an instance.
#[derive(Debug, Clone, Default)]
struct Presence {
    was_listed: bool,
    missing: Option<Missing>,
    /// How often in a row its own listing denied it, or showed nothing usable while it was missing.
    denials: u32,
    bare: u32,
    gone_since: Option<Time>,
    /// When it was last no longer gone: what is due since is asked then.
    back: Option<Instant>,
}

/// Since when lists lack an instance, and how many of them were plausible.
#[derive(Debug, Clone, Copy)]
struct Missing {
    since: Time,
    searches: u32,
}

/// An instance in the lists of its region.
#[derive(Debug, Clone)]
struct InRegion {
    listed: Listed,
    missing: Option<Missing>,
    /// The last list said less of it, which the next one has to say as well.
    is_doubted: bool,
}

#[derive(Debug, Default)]
struct Region {
    claim: Option<Claim>,
    instances: BTreeMap<String, InRegion>,
}

/// Searches that lack an instance before it is gone, and from then on before it is forgotten.
const SEARCHES: u32 = 6;

impl Presence {
    /// The lists of instances have it, or lack it.
    fn listed(&mut self, missing: Option<Missing>, now: Time) {
        if missing.is_none() {
            self.bare = 0;
            if self.missing.is_some() {
                self.denials = 0;
            }
        }
        self.was_listed = true;
        self.missing = missing;
        self.judge(true, now);
    }

    /// Gone is what denies itself twice, what shows nothing twice while it is missing, and what six lists lack that can be
    /// believed. What was never seen has nothing to lose, and what is gone stays so for as long as one of these is left.
    fn judge(&mut self, was_seen: bool, now: Time) {
        let denials = if was_seen && self.gone_since.is_none() {
            2
        } else {
            1
        };
        let is_gone = self.denials >= denials
            || self.bare >= 2
            || self
                .missing
                .is_some_and(|missing| missing.searches >= SEARCHES);
        if self.gone_since.is_some() && !is_gone {
            self.back = Some(Instant::now());
        }
        self.gone_since = is_gone.then(|| self.gone_since.unwrap_or(now));
    }
}

/// Between two log files that follow each other lies no more than this.
const LOG_BREAK: Duration = Duration::minutes(2);

/// See the top.
#[derive(Debug)]
pub(super) struct Model {
    plan: Plan,
    runs: BTreeMap<Question, Vec<Run>>,
    regions: BTreeMap<RegionKey, Region>,
    watched: BTreeMap<Key, Watched>,
    /// By account and operation.
    requests: BTreeMap<(String, String), u64>,
    /// Requests that failed, and those of which it cannot be said.
    failures: BTreeMap<(String, String), (u64, u64)>,
    poll_failures: BTreeMap<(String, ListingKind, Reason), u64>,
    /// Requests whose account was taken off while they were on their way: nobody counts those.
    pub(super) lost: u64,
    reload: (bool, Time),
    /// When the configuration in force was loaded.
    begun: Instant,
    /// The accounts whose instances changed, when that was, and how many attempts of each listing may be unseen.
    changed: BTreeMap<String, (Time, BTreeMap<ListingKind, u64>)>,
    /// The facts as they were a second ago.
    looked_at: Vec<Arc<InstanceFacts>>,
    /// The listings that each account has had: their counters stay.
    had: BTreeMap<String, BTreeSet<ListingKind>>,
    /// Where the copies of an account are, by their ids.
    copies: BTreeMap<(String, String), String>,
    /// Huawei's refusals to tell a policy, of the last hour.
    bad_policies: Vec<Exchange>,
    pub(super) problems: Vec<String>,
    pub(super) readings: u64,
    pub(super) failed_attempts: u64,
    /// Those that one look a second does not tell from others.
    pub(super) unseen_failures: u64,
}

fn vendor_of(label: &str) -> Vendor {
    let mut vendors = Vendor::ALL.into_iter();
    vendors.find(|vendor| vendor.name() == label).unwrap()
}

fn key_of(key: &InstanceKey) -> Key {
    (
        vendor_of(key.provider),
        key.account.to_string(),
        key.source_region.to_string(),
        key.instance_id.to_string(),
    )
}

/// The operations that answer for a listing.
fn operations(vendor: Vendor, kind: ListingKind) -> &'static [&'static str] {
    use ListingKind::{CrossRegion, CrossRegionLog, Local, RestoreWindow};
    match (vendor, kind) {
        (Vendor::Alibaba | Vendor::Volcengine, CrossRegion) => &["DescribeCrossRegionBackups"],
        (Vendor::Alibaba | Vendor::Volcengine, Local) => &["DescribeBackups"],
        (Vendor::Alibaba, CrossRegionLog) => &["DescribeCrossRegionLogBackupFiles"],
        (Vendor::Alibaba, ListingKind::Policy) => &["DescribeCrossRegionBackupDBInstance"],
        (Vendor::Alibaba, RestoreWindow) => &[
            "DescribeLocalAvailableRecoveryTime",
            "DescribeAvailableRecoveryTime",
        ],
        (Vendor::Huawei, CrossRegion | CrossRegionLog) => &["ListOffSiteBackups"],
        (Vendor::Huawei, Local) => &["ListBackups"],
        (Vendor::Huawei, ListingKind::Policy) => &["ShowOffSiteBackupPolicy"],
        (Vendor::Huawei, RestoreWindow) => &["ListRestoreTimes", "ListOffSiteRestoreTimes"],
        (Vendor::Volcengine, ListingKind::Policy) => {
            &["DescribeCrossRegionBackupPolicy", "DescribeBackupPlan"]
        }
        (Vendor::Volcengine, RestoreWindow) => &["DescribePitrTimeWindow"],
        (Vendor::Volcengine, CrossRegionLog) => &[],
    }
}

/// Whether a question of one of these operations is one of this listing's.
fn is_of(vendor: Vendor, kind: ListingKind, variety: &str) -> bool {
    match (vendor, kind) {
        (Vendor::Huawei, ListingKind::CrossRegion) => variety != "incremental",
        (Vendor::Huawei, ListingKind::CrossRegionLog) => variety == "incremental",
        _ => true,
    }
}

/// Whether this is a refusal that a former destination may answer with: then the rest is read, and not whole.
fn is_passed_over(exchange: &Exchange) -> bool {
    let reasons = exchange.fault.map_or(&[][..], reasons);
    let is_refusal = |reason: &Reason| {
        matches!(
            reason,
            Reason::Permission | Reason::NotFound | Reason::BadRequest
        )
    };
    matches!(exchange.verdict, Verdict::Bad) && reasons.iter().any(is_refusal)
}

impl Model {
    pub(super) fn new(plan: Plan, now: Time) -> Self {
        let mut model = Self {
            plan,
            runs: BTreeMap::new(),
            regions: BTreeMap::new(),
            watched: BTreeMap::new(),
            requests: BTreeMap::new(),
            failures: BTreeMap::new(),
            poll_failures: BTreeMap::new(),
            lost: 0,
            reload: (true, now),
            begun: Instant::now(),
            bad_policies: Vec::new(),
            had: BTreeMap::new(),
            changed: BTreeMap::new(),
            looked_at: Vec::new(),
            copies: BTreeMap::new(),
            problems: Vec::new(),
            readings: 0,
            failed_attempts: 0,
            unseen_failures: 0,
        };
        model.muster(now);
        model
    }

    /// The exporter was started anew, and knows nothing any more.
    pub(super) fn restart(&mut self, now: Time) {
        let fresh = Self::new(self.plan.clone(), now);
        let before = std::mem::replace(self, fresh);
        self.problems = before.problems;
        self.readings = before.readings;
        self.failed_attempts = before.failed_attempts;
        self.unseen_failures = before.unseen_failures;
    }

    /// The exporter was started anew, and took back what it had stored: nothing but the counters begins anew.
    pub(super) fn restart_with_store(&mut self, now: Time) {
        let regions = std::mem::take(&mut self.regions);
        let watched = std::mem::take(&mut self.watched);
        let copies = std::mem::take(&mut self.copies);
        self.restart(now);
        self.regions = regions;
        self.watched = watched;
        self.copies = copies;
    }

    /// A configuration that cannot be used changes nothing else.
    pub(super) fn reload_failed(&mut self) {
        self.reload.0 = false;
    }

    /// Another configuration is in force.
    pub(super) fn reload(&mut self, plan: Plan, now: Time) {
        self.reload = (true, now);
        self.begun = Instant::now();
        self.looked_at.clear();
        let is_kept = |account: &str| plan.accounts.iter().any(|kept| kept.name == account);
        self.regions.retain(|(_, account, region), _| {
            let accounts = plan.accounts.iter();
            accounts
                .filter(|kept| kept.name == *account)
                .any(|kept| kept.regions.contains(&region.as_str()))
        });
        self.had.retain(|account, _| is_kept(account));
        self.requests.retain(|(account, _), _| is_kept(account));
        self.failures.retain(|(account, _), _| is_kept(account));
        self.poll_failures
            .retain(|(account, ..), _| is_kept(account));
        self.watched.retain(|(_, account, ..), _| is_kept(account));
        self.plan = plan;
        self.muster(now);
    }

    /// Who is watched: those that the configuration names, and those that were found and have backups.
    fn muster(&mut self, now: Time) {
        let mut before = std::mem::take(&mut self.watched);
        for account in &self.plan.accounts {
            let had = self.had.entry(account.name.clone()).or_default();
            had.extend(&account.listings);
            let of = |region: &str, id: &str| {
                let (region, id) = (region.to_owned(), id.to_owned());
                (account.vendor, account.name.clone(), region, id)
            };
            for named in &account.named {
                let mut watched = before
                    .remove(&of(named.region, &named.id))
                    .unwrap_or_default();
                watched.described = Described::default();
                watched.named = Some(named.clone());
                self.watched.insert(of(named.region, &named.id), watched);
            }
            for region in &account.regions {
                let key = (account.vendor, account.name.clone(), (*region).to_owned());
                let found = self.regions.entry(key).or_default();
                for (id, found) in &found.instances {
                    let key = of(region, id);
                    if let Some(named) = self.watched.get_mut(&key) {
                        named.described = found.listed.described.clone();
                        named.presence.listed(found.missing, now);
                    } else if found.listed.has_backups {
                        let mut watched = before.remove(&key).unwrap_or_default();
                        watched.named = None;
                        watched.described = found.listed.described.clone();
                        watched.presence.listed(found.missing, now);
                        self.watched.insert(key, watched);
                    }
                }
            }
            for (_, watched) in self
                .watched
                .iter_mut()
                .filter(|(key, _)| key.1 == account.name)
            {
                watched.listings.clone_from(&account.listings);
                watched
                    .claims
                    .retain(|kind, _| account.listings.contains(kind));
                watched
                    .contents
                    .retain(|kind, _| account.listings.contains(kind));
            }
        }
    }

    /// Takes in what arrived during the last second, in which the exporter's clock stood at `now`.
    pub(super) fn observe(
        &mut self,
        arrived: &[Exchange],
        (facts, tally): (&Facts, &Tally),
        now: Time,
    ) {
        for exchange in arrived {
            self.note(exchange);
        }
        for (key, region) in facts.regions() {
            let key = (
                vendor_of(key.provider),
                key.account.to_string(),
                key.region.to_string(),
            );
            self.look_at_region(
                &key,
                region.last_attempt.as_ref(),
                region.last_success,
                now,
                arrived,
            );
        }
        let all = facts.all();
        let looked_at = std::mem::replace(&mut self.looked_at, all.clone());
        self.note_changes(&looked_at, &all, now);
        for known in all {
            // What is the very same has not changed.
            if looked_at.iter().any(|same| Arc::ptr_eq(same, &known)) {
                continue;
            }
            let key = key_of(&known.target.key);
            if !self.watched.contains_key(&key) {
                self.problems.push(format!("{key:?} is watched"));
                continue;
            }
            for (kind, listing) in &known.listings {
                let (attempt, success) = (&listing.last_attempt, listing.last_success);
                self.look_at_listing(&key, *kind, (attempt, success), now, arrived);
            }
        }
        self.take_unseen_failures(tally, now);
    }

    /// Whether any account got or lost instances just now.
    pub(super) fn has_changed(&self) -> bool {
        !self.changed.is_empty()
    }

    /// Which accounts got or lost instances just now.
    fn note_changes(
        &mut self,
        before: &[Arc<InstanceFacts>],
        all: &[Arc<InstanceFacts>],
        now: Time,
    ) {
        let targets = |facts: &[Arc<InstanceFacts>]| -> BTreeMap<InstanceKey, Arc<Target>> {
            let targets = facts.iter().map(|facts| &facts.target);
            targets
                .map(|target| (target.key.clone(), Arc::clone(target)))
                .collect()
        };
        let (before, all) = (targets(before), targets(all));
        let new = all.keys().filter(|key| !before.contains_key(*key));
        let lost = before.keys().filter(|key| !all.contains_key(*key));
        let accounts: BTreeSet<_> = new
            .chain(lost)
            .map(|key| Arc::clone(&key.account))
            .collect();
        for account in accounts {
            let mut room: BTreeMap<ListingKind, u64> = BTreeMap::new();
            let mut either = before.clone();
            either.extend(all.clone());
            let own = either
                .values()
                .filter(|target| target.key.account == account);
            for kind in own.flat_map(|target| &target.listings) {
                *room.entry(*kind).or_default() += 1;
            }
            self.changed.insert(account.to_string(), (now, room));
        }
    }

    /// Two attempts of one second look like one, and there are two where the instances change that one call asks for: the
    /// call is made again with the others. What is forgotten in the second in which it failed is seen by nobody either.
    /// Both are counted; there is at most one more for each listing.
    fn take_unseen_failures(&mut self, tally: &Tally, now: Time) {
        self.changed.retain(|_, (at, _)| *at == now);
        if self.changed.is_empty() {
            return;
        }
        for (key, counts) in tally.counts().accounts {
            let Some((_, room)) = self.changed.get_mut(&*key.account) else {
                continue;
            };
            for ((kind, reason), counted) in counts.poll_failures {
                let room = room.entry(kind).or_default();
                let seen = (key.account.to_string(), kind, reason);
                let seen = self.poll_failures.entry(seen).or_default();
                let unseen = counted.saturating_sub(*seen).min(*room);
                *seen += unseen;
                *room -= unseen;
                self.unseen_failures += unseen;
            }
        }
    }

    fn note(&mut self, exchange: &Exchange) {
        let counted = (exchange.account.clone(), exchange.operation.clone());
        let is_configured = self
            .plan
            .accounts
            .iter()
            .any(|account| account.name == exchange.account);
        if !is_configured {
            return;
        }
        *self.requests.entry(counted.clone()).or_default() += 1;
        let (failed, unclear) = self.failures.entry(counted).or_default();
        match &exchange.verdict {
            Verdict::Bad => *failed += 1,
            Verdict::Refused(_) => *unclear += 1,
            Verdict::Good(_) if exchange.fault.is_some() => *unclear += 1,
            Verdict::Good(_) => {}
        }
        if exchange.operation == "ShowOffSiteBackupPolicy"
            && !matches!(exchange.verdict, Verdict::Good(_))
        {
            self.bad_policies
                .retain(|bad| bad.arrives.elapsed() < std::time::Duration::from_secs(3600));
            self.bad_policies.push(exchange.clone());
        }
        if let ("DescribeCrossRegionBackups", Verdict::Good(page)) =
            (exchange.operation.as_str(), &exchange.verdict)
        {
            for row in page["Items"]["Item"].as_array().into_iter().flatten() {
                if let Some(region) = row["CrossBackupRegion"].as_str() {
                    let id = row["CrossBackupId"].to_string();
                    self.copies
                        .insert((exchange.account.clone(), id), region.to_owned());
                }
            }
        }
        let question = (
            exchange.account.clone(),
            exchange.operation.clone(),
            exchange.region.clone(),
            exchange.instances.clone(),
            exchange.variety.clone(),
        );
        let runs = self.runs.entry(question).or_default();
        let was_touched = exchange.fault.is_some();
        match (&exchange.verdict, exchange.is_first_page) {
            (Verdict::Good(body), false) => {
                if let Some(run) = runs.last_mut() {
                    run.pages.push(body.clone());
                    run.arrived = exchange.arrives;
                    run.was_touched |= was_touched;
                }
            }
            (Verdict::Good(body), true) => runs.push(Run {
                pages: vec![body.clone()],
                refused: None,
                arrived: exchange.arrives,
                was_touched,
                asked: exchange.asked,
            }),
            (Verdict::Refused(code), true) => runs.push(Run {
                pages: Vec::new(),
                refused: Some(code.clone()),
                arrived: exchange.arrives,
                was_touched,
                asked: exchange.asked,
            }),
            (Verdict::Refused(_) | Verdict::Bad, _) => {}
        }
        let too_many = runs.len().saturating_sub(4);
        runs.drain(..too_many);
    }

    /// The newest run of each question that `is_asked` from `after` on.
    fn newest(
        &self,
        is_asked: impl Fn(&Question) -> bool,
        after: Option<Instant>,
    ) -> Vec<(Question, Run)> {
        let asked = self.runs.iter().filter(|(question, _)| is_asked(question));
        let newest =
            asked.filter_map(|(question, runs)| Some((question.clone(), runs.last()?.clone())));
        newest
            .filter(|(_, run)| after.is_none_or(|after| run.arrived >= after))
            .collect()
    }

    fn look_at_region(
        &mut self,
        key: &RegionKey,
        attempt: Option<&Attempt>,
        success: Option<Time>,
        now: Time,
        arrived: &[Exchange],
    ) {
        let Some(attempt) = attempt else { return };
        let Some(region) = self.regions.get_mut(key) else {
            self.problems.push(format!("{key:?} is searched"));
            return;
        };
        if region
            .claim
            .as_ref()
            .is_some_and(|claim| claim.at == attempt.at)
        {
            return;
        }
        let before = region.claim.as_ref().and_then(|claim| claim.read);
        let failure = attempt
            .failure
            .as_ref()
            .map(|failure| (failure.reason, false));
        let read = if failure.is_none() {
            Some((now, Instant::now()))
        } else {
            before
        };
        let ended_before = region.claim.as_ref().map(|claim| claim.ended);
        region.claim = Some(Claim {
            at: attempt.at,
            ended: Instant::now(),
            failure,
            read,
        });
        if attempt.at != now || success != read.map(|(at, _)| at) {
            self.problems.push(format!(
                "{key:?} was searched at {} and not at {now}",
                attempt.at
            ));
        }
        if failure.is_some() {
            return;
        }
        let operation = if key.0 == Vendor::Huawei {
            "ListInstances"
        } else {
            "DescribeDBInstances"
        };
        let asked_here = |exchange: &&Exchange| {
            exchange.account == key.1 && exchange.operation == operation && exchange.region == key.2
        };
        if !arrived.iter().any(|exchange| asked_here(&exchange)) {
            self.problems
                .push(format!("{key:?} was searched without a question"));
        }
        let runs = self.newest(
            |(account, asked, region, ..)| {
                *account == key.1 && asked == operation && *region == key.2
            },
            ended_before,
        );
        let mut found = BTreeMap::new();
        let (mut complete, mut is_counted, mut rows_read) = (true, true, 0);
        for (_, run) in runs.iter().filter(|(_, run)| run.refused.is_none()) {
            let rows = reading::rows(key.0, &run.pages);
            complete &= rows.complete;
            is_counted &= rows.is_counted;
            rows_read += rows.rows.len();
            found.extend(reading::instances(key.0, &rows.rows));
        }
        if complete {
            self.miss(key, &found, is_counted && rows_read > 0, now);
        }
        let region = self.regions.get_mut(key).unwrap();
        for (id, listed) in found {
            let before = region.instances.get(&id);
            let doubted =
                before.filter(|before| !before.is_doubted && before.listed.loses(&listed));
            let is_doubted = doubted.is_some();
            let listed = doubted.map_or(listed, |before| before.listed.clone());
            let found = InRegion {
                listed,
                missing: None,
                is_doubted,
            };
            region.instances.insert(id, found);
        }
        self.muster(now);
    }

    /// What a whole list lacks is missing: it is believed only of a few at a time, and only of a list that has any.
    fn miss(&mut self, key: &RegionKey, found: &BTreeMap<String, Listed>, tells: bool, now: Time) {
        let grace =
            Duration::minutes(self.plan.discovery_minutes().cast_signed()) * SEARCHES.cast_signed();
        let of = |id: &String| (key.0, key.1.clone(), key.2.clone(), id.clone());
        let watched = &self.watched;
        let gone_since = |id: &String| watched.get(&of(id))?.presence.gone_since;
        let region = self.regions.get_mut(key).unwrap();
        let known = region.instances.keys();
        let known: Vec<_> = known.filter(|id| gone_since(id).is_none()).collect();
        let lacking = known.iter().filter(|id| !found.contains_key(**id)).count();
        let is_plausible = tells && lacking <= (known.len() / 5).max(1);
        region.instances.retain(|id, instance| {
            if found.contains_key(id) {
                return true;
            }
            let missing = instance.missing.get_or_insert(Missing {
                since: now,
                searches: 0,
            });
            missing.searches += u32::from(is_plausible);
            let since = match watched.get(&of(id)) {
                None => Some(missing.since),
                Some(watched) if watched.named.is_some() => None,
                Some(watched) => watched.presence.gone_since,
            };
            since.is_none_or(|since| now - since < grace)
        });
    }

    fn look_at_listing(
        &mut self,
        key: &Key,
        kind: ListingKind,
        (attempt, success): (&Attempt, Option<Time>),
        now: Time,
        arrived: &[Exchange],
    ) {
        let known = &self.watched[key];
        let before = known.claims.get(&kind);
        if before.is_some_and(|claim| claim.at == attempt.at) {
            return;
        }
        let read_before = before.and_then(|claim| claim.read);
        let ended_before = before.map(|claim| claim.ended);
        let failure = attempt.failure.as_ref();
        let failure = failure.map(|failure| (failure.reason, failure.missing_instance));
        // Of two attempts in one second the first may have been the good one.
        let was_read_first = failure.is_some()
            && success == Some(now)
            && self.changed.contains_key(&key.1)
            && read_before.is_none_or(|(at, _)| at != now);
        let read = if failure.is_none() || was_read_first {
            Some((now, Instant::now()))
        } else {
            read_before
        };
        if attempt.at != now || success != read.map(|(at, _)| at) {
            self.problems.push(format!(
                "{key:?} {kind:?} was read at {} and not at {now}",
                attempt.at
            ));
        }
        let about: Vec<_> = arrived
            .iter()
            .filter(|exchange| exchange.account == key.1)
            .filter(|exchange| {
                let is_about_all = exchange.instances.is_empty();
                let is_about_region = key.0 == Vendor::Huawei || exchange.region == key.2;
                is_about_all && is_about_region || exchange.instances.contains(&key.3)
            })
            .collect();
        if let Some((reason, missing)) = failure {
            self.failed_attempts += 1;
            *self
                .poll_failures
                .entry((key.1.clone(), kind, reason))
                .or_default() += 1;
            self.check_failure(key, kind, (reason, missing), &about);
        } else {
            self.readings += 1;
            self.check_reading(key, kind, &about);
        }
        let mut content = (failure.is_none() || was_read_first)
            .then(|| self.content(key, kind, now, ended_before));
        if let Some(Content::Sets(read)) = &mut content
            && key.0 == Vendor::Huawei
        {
            let mut own = about.iter().filter(|exchange| {
                exchange.operation == "ListOffSiteBackups"
                    && kind != ListingKind::Local
                    && is_of(key.0, kind, &exchange.variety)
            });
            // What a retry mended is no refusal.
            let last = own.next_back();
            read.complete &= !last.is_some_and(|exchange| is_passed_over(exchange));
        }
        self.take_evidence(key, kind, content.as_ref(), failure, now);
        // Who removes a set does so at some hour of its last day, and what is about to leave the look-back is no news.
        let days = match self.watched[key].contents.get(&ListingKind::Policy) {
            Some(Content::Policy(policy)) => policy
                .switches
                .iter()
                .filter_map(|switch| switch.days)
                .min(),
            _ => None,
        };
        let days = days
            .unwrap_or(self.plan.lookback_days)
            .min(self.plan.lookback_days);
        let latest = now - Duration::days(days.cast_signed()) + Duration::hours(25);
        let known = self.watched.get_mut(key).unwrap();
        known.claims.insert(
            kind,
            Claim {
                at: attempt.at,
                ended: Instant::now(),
                failure,
                read,
            },
        );
        // Whatever the second attempt says, it was made.
        let was_doubted = known.doubted.remove(&kind).is_some();
        if let Some(content) = content {
            let before = known.contents.get(&kind);
            if before.is_some_and(|before| before.is_all_lost_in(&content, latest)) && !was_doubted
            {
                known.doubted.insert(kind, Instant::now());
            }
            known.contents.insert(kind, content);
        }
    }

    /// What an attempt at the instance's own listing says of its existence.
    fn take_evidence(
        &mut self,
        key: &Key,
        kind: ListingKind,
        content: Option<&Content>,
        failure: Option<(Reason, bool)>,
        now: Time,
    ) {
        let known = self.watched.get_mut(key).unwrap();
        let own = [ListingKind::Local, ListingKind::CrossRegion];
        let own = own.into_iter().find(|kind| known.listings.contains(kind));
        if own.or(known.listings.first().copied()) != Some(kind) {
            return;
        }
        let claim = known.claims.get(&kind);
        let was_seen = claim.is_some_and(|claim| claim.read.is_some());
        let presence = &mut known.presence;
        match (content, failure) {
            (None, Some((_, true))) => presence.denials += 1,
            (None, _) => return,
            (Some(Content::Sets(read)), _)
                if kind == ListingKind::Local
                    && read.complete
                    && !read.sets.iter().any(|set| set.is_usable_among(&read.sets)) =>
            {
                presence.denials = 0;
                presence.bare = presence.missing.map_or(0, |_| presence.bare + 1);
            }
            (Some(_), _) => (presence.denials, presence.bare) = (0, 0),
        }
        let was_seen = was_seen || presence.was_listed;
        presence.judge(was_seen, now);
    }

    /// A failed attempt ends with a bad answer, or was held back because the keys or the pace forbade it.
    fn check_failure(
        &mut self,
        key: &Key,
        kind: ListingKind,
        (reason, missing): (Reason, bool),
        about: &[&Exchange],
    ) {
        let fits = |exchange: &&&Exchange| match (&exchange.verdict, exchange.fault) {
            (Verdict::Bad, Some(fault)) => reasons(fault).contains(&reason),
            (Verdict::Refused(_), _) => true,
            (Verdict::Good(_), fault) => fault.is_some(),
            (Verdict::Bad, None) => false,
        };
        // Huawei's provider remembers for half an interval that it could not learn where the copies are.
        let memory = Duration::minutes(self.plan.interval_minutes.cast_signed())
            .to_std()
            .unwrap();
        let lately = self.bad_policies.iter().filter(|exchange| {
            exchange.account == key.1
                && exchange.instances.contains(&key.3)
                && exchange.arrives.elapsed() < memory
        });
        let about: Vec<_> = about.iter().copied().chain(lately).collect();
        let is_held_back = matches!(reason, Reason::Credentials | Reason::Throttled);
        if !is_held_back && !about.iter().any(|exchange| fits(&exchange)) {
            self.problems.push(format!(
                "{key:?} {kind:?} failed for {reason:?} without a cause: {about:?}"
            ));
        }
        if missing
            && !about
                .iter()
                .any(|exchange| matches!(exchange.verdict, Verdict::Refused(_)))
        {
            self.problems
                .push(format!("{key:?} {kind:?} is said to be missing by nobody"));
        }
    }

    fn is_sql_server(&self, key: &Key) -> bool {
        let watched = &self.watched[key];
        let read = watched
            .contents
            .values()
            .filter_map(|content| match content {
                Content::Sets(read) => read.described.engine.as_deref(),
                Content::Policy(policy) => policy.described.engine.as_deref(),
                Content::Unsupported | Content::Windows(_) => None,
            });
        let mut engines = watched.described.engine.as_deref().into_iter().chain(read);
        engines.any(|engine| engine == "sqlserver")
    }

    /// No attempt succeeds without an answer, nor with a last answer that is bad.
    fn check_reading(&mut self, key: &Key, kind: ListingKind, about: &[&Exchange]) {
        let names = operations(key.0, kind);
        let mut own = about.iter().filter(|exchange| {
            names.contains(&exchange.operation.as_str()) && is_of(key.0, kind, &exchange.variety)
        });
        // Where Huawei's policy is off there is nobody to ask for copies, and the policy may be remembered. Alibaba has no
        // restore windows of SQL Server that could be asked for.
        let may_be_unasked = match key.0 {
            Vendor::Huawei => kind != ListingKind::Local,
            Vendor::Alibaba => kind == ListingKind::RestoreWindow && self.is_sql_server(key),
            Vendor::Volcengine => false,
        };
        match own.next_back() {
            None if may_be_unasked => {}
            Some(last) if !matches!(last.verdict, Verdict::Bad) => {}
            Some(last) if key.0 == Vendor::Huawei && is_passed_over(last) => {}
            last => {
                let found = format!("{key:?} {kind:?} was read from {last:?}");
                self.problems.push(found);
            }
        }
    }

    /// What was read, from the answers since the listing was read before.
    fn content(&self, key: &Key, kind: ListingKind, now: Time, before: Option<Instant>) -> Content {
        let names = operations(key.0, kind);
        let runs = self.newest(
            |(account, operation, region, instances, variety)| {
                let is_about = instances.contains(&key.3)
                    || instances.is_empty() && key.0 == Vendor::Volcengine && *region == key.2;
                *account == key.1
                    && is_about
                    && names.contains(&operation.as_str())
                    && is_of(key.0, kind, variety)
            },
            // Huawei's policy may be remembered from when the copies were asked for.
            before.filter(|_| !(key.0 == Vendor::Huawei && kind == ListingKind::Policy)),
        );
        match kind {
            ListingKind::Policy => Self::policy(key, now, &runs),
            ListingKind::RestoreWindow => {
                let mut all = Vec::new();
                for (question, run) in runs.iter().filter(|(_, run)| run.refused.is_none()) {
                    let (scope, region) = self.place_of_window(key, question);
                    all.extend(reading::windows(key.0, &run.pages[0], scope, &region, now));
                }
                Content::Windows(all)
            }
            _ => self.sets(key, kind, now, runs),
        }
    }

    fn policy(key: &Key, now: Time, runs: &[(Question, Run)]) -> Content {
        let newest = runs.iter().max_by_key(|(_, run)| run.arrived);
        let policy = match key.0 {
            Vendor::Alibaba => {
                newest.map(|(_, run)| reading::alibaba_policy(&key.3, &run.pages, now))
            }
            Vendor::Huawei => newest.map(|(_, run)| reading::huawei_policy(&run.pages[0])),
            Vendor::Volcengine => {
                let half = |operation: &str| {
                    let half = runs.iter().find(|(question, _)| question.1 == operation);
                    half.and_then(|(_, run)| run.pages.first().cloned())
                        .unwrap_or_default()
                };
                let (copies, plan) = (
                    half("DescribeCrossRegionBackupPolicy"),
                    half("DescribeBackupPlan"),
                );
                Some(reading::volcengine_policy(&key.2, &copies, &plan))
            }
        };
        Content::Policy(policy.unwrap_or_default())
    }

    fn place_of_window(&self, key: &Key, question: &Question) -> (&'static str, String) {
        let (_, operation, region, _, variety) = question;
        match operation.as_str() {
            "ListOffSiteRestoreTimes" => ("cross_region", region.clone()),
            "DescribeAvailableRecoveryTime" => {
                // The answer does not say where the set is; the listing of the copies did.
                let region = self.copies.get(&(key.1.clone(), variety.clone()));
                ("cross_region", region.cloned().unwrap_or_default())
            }
            _ => ("local", key.2.clone()),
        }
    }

    fn sets(
        &self,
        key: &Key,
        kind: ListingKind,
        now: Time,
        mut runs: Vec<(Question, Run)>,
    ) -> Content {
        if key.0 == Vendor::Volcengine {
            // Asked about all at once, or about this one alone: the newest answer is what counts.
            runs.sort_by_key(|(_, run)| run.arrived);
            runs = runs.pop().into_iter().collect();
        }
        let is_refused = runs.iter().any(|(_, run)| run.refused.is_some());
        if is_refused && key.0 != Vendor::Huawei {
            return Content::Unsupported;
        }
        // Where copies went formerly may refuse to answer: then they are not all known.
        runs.retain(|(_, run)| run.refused.is_none());
        let mut read = SetsRead {
            complete: !is_refused,
            ..SetsRead::default()
        };
        for (question, run) in &runs {
            let rows = reading::rows(key.0, &run.pages);
            read.complete &= rows.complete;
            let keeper = match key.0 {
                Vendor::Huawei => question.2.as_str(),
                _ if kind == ListingKind::Local => key.2.as_str(),
                _ => "",
            };
            for row in &rows.rows {
                if reading::owner(key.0, row).is_some_and(|owner| owner != key.3) {
                    continue;
                }
                if kind != ListingKind::CrossRegionLog || key.0 == Vendor::Huawei {
                    let described = reading::described(key.0, row);
                    if read.described.engine.is_none() {
                        read.described.engine = described.engine;
                        read.described.version = described.version;
                    }
                    read.described.name = read.described.name.or(described.name);
                }
                let places = (key.2.as_str(), keeper);
                read.sets
                    .extend(reading::set(key.0, kind, row, places, now));
            }
        }
        if key.0 == Vendor::Huawei && kind == ListingKind::CrossRegionLog {
            reading::cover_huawei_logs(&mut read.sets);
        }
        let before = match self.watched[key].contents.get(&kind) {
            Some(Content::Sets(before)) => before.clone(),
            _ => SetsRead::default(),
        };
        let asked = runs.iter().find_map(|(_, run)| run.asked);
        self.follow(&before, &mut read, kind, asked, now);
        Content::Sets(read)
    }

    /// Adds what is known from before.
    fn follow(
        &self,
        before: &SetsRead,
        read: &mut SetsRead,
        kind: ListingKind,
        asked: Option<(Time, Time)>,
        now: Time,
    ) {
        let length = |backup_type| now - self.edge(backup_type, now);
        let usual = if kind == ListingKind::CrossRegionLog {
            length("log")
        } else {
            length("full")
        };
        // Some ask for whole minutes.
        let back_to = asked.filter(|(from, at)| *at - *from > usual + Duration::seconds(61));
        let read_from = |backup_type| {
            let edge = self.edge(backup_type, now);
            back_to.map_or(edge, |(from, _)| from.min(edge))
        };
        // Where Huawei copies nothing nobody is asked, and that is an answer as far back as one would have asked.
        let edge = self.edge("log", now);
        let is_out_of_sight = before.covered.iter().all(|stretch| stretch.until < edge);
        let logs_from = match asked {
            None if is_out_of_sight => Time::MIN_UTC,
            _ => read_from("log"),
        };
        read.covered = self.covered(before, read, logs_from, now);
        read.remembered = self.remembered(before, read, read_from("full"), now);
        if back_to.is_some() {
            let sets = std::mem::take(&mut read.sets);
            let kept = sets.into_iter();
            read.sets = kept
                .filter(|set| set.backup_type != "log" || self.in_lookback(set, now))
                .collect();
        }
    }

    fn edge(&self, backup_type: &str, now: Time) -> Time {
        now - if backup_type == "log" {
            Duration::hours(self.plan.log_lookback_hours.cast_signed())
        } else {
            Duration::days(self.plan.lookback_days.cast_signed())
        }
    }

    fn in_lookback(&self, set: &Set, now: Time) -> bool {
        let dated = set.start.or(set.end);
        dated.is_some_and(|dated| dated > self.edge(set.backup_type, now))
    }

    /// Of what was known before: for each copy the newest usable set that has left the look-back. Of one that the listing
    /// should have shown and did not nothing can be restored.
    fn remembered(
        &self,
        before: &SetsRead,
        read: &SetsRead,
        read_from: Time,
        now: Time,
    ) -> Vec<Set> {
        let mut newest: BTreeMap<(&str, &str, &str), &Set> = BTreeMap::new();
        let all = || before.sets.iter().chain(&before.remembered);
        let logs = read.sets.iter().filter(|set| set.backup_type == "log");
        for set in all().chain(logs) {
            if set.is_usable_among(all()) && !self.in_lookback(set, now) {
                let copy = (set.scope, set.region.as_str(), set.backup_type);
                let known = newest.get(&copy).and_then(|known| known.finished());
                if set.finished() > known {
                    newest.insert(copy, set);
                }
            }
        }
        let is_denied = |set: &Set| {
            let is_same = |other: &&Set| {
                (other.scope, &other.region, other.backup_type)
                    == (set.scope, &set.region, set.backup_type)
                    && other.dated() == set.dated()
            };
            set.backup_type != "log"
                && read.complete
                && set.dated() > Some(read_from)
                && !read.sets.iter().filter(is_same).any(Set::is_sound)
        };
        let is_base_of = |base: &&Set, set: &Set| {
            base.backup_type == "full"
                && base.is_sound()
                && (base.scope, &base.region) == (set.scope, &set.region)
                && base.dated() < set.dated()
        };
        // An incremental one without its base would be of no use.
        let lacking = newest.values().filter(|set| {
            set.backup_type == "incremental" && !newest.values().any(|base| is_base_of(base, set))
        });
        let bases = lacking.filter_map(|set| {
            let bases = all().filter(|base| is_base_of(base, set));
            bases.max_by_key(|base| base.dated())
        });
        let remembered: Vec<_> = newest.values().copied().chain(bases).cloned().collect();
        remembered
            .into_iter()
            .map(|set| Set {
                point: set.point.filter(|_| !is_denied(&set)),
                ..set
            })
            .collect()
    }

    /// What log files hold: those of before up to where a whole listing usually begins, and those that it has.
    fn covered(
        &self,
        before: &SetsRead,
        read: &SetsRead,
        read_from: Time,
        now: Time,
    ) -> Vec<Stretch> {
        let edge = self.edge("log", now);
        // A file that is remembered and was found to be deleted holds nothing any more.
        let still_holds = |log: &&Set| {
            let mut covered = before.covered.iter();
            covered.any(|stretch| {
                stretch.region == log.region
                    && Some(stretch.from) <= log.dated()
                    && log.dated() <= Some(stretch.until)
            })
        };
        let remembered = || before.remembered.iter().filter(still_holds);
        let all = || before.sets.iter().chain(remembered());
        // Where all files are gone that were listed, nobody vouches for older ones.
        let is_gone = |region: &str| {
            let mut should_be = all()
                .filter(|set| set.backup_type == "log" && set.is_sound() && set.region == region)
                .filter(|set| {
                    set.dated() > Some(read_from + LOG_BREAK) && set.finished() <= Some(now)
                })
                .peekable();
            read.complete
                && should_be.peek().is_some()
                && should_be.all(|set| {
                    let listed = read.sets.iter().filter(|log| log.backup_type == "log");
                    !listed
                        .filter(|log| log.is_sound())
                        .any(|log| log.region == region && log.dated() == set.dated())
                })
        };
        let mut pieces = Vec::new();
        for stretch in before
            .covered
            .iter()
            .filter(|stretch| !is_gone(&stretch.region))
        {
            if !read.complete {
                pieces.push(stretch.clone());
            } else if stretch.from < edge {
                pieces.push(Stretch {
                    until: stretch.until.min(edge),
                    point: stretch.point.map(|point| point.min(edge)),
                    ..stretch.clone()
                });
            }
        }
        let left = all().filter(|set| set.dated() <= Some(edge) && !is_gone(&set.region));
        for log in left.chain(&read.sets) {
            if log.backup_type != "log" || !log.is_sound() {
                continue;
            }
            let from = log.dated().unwrap();
            let until = log.covers_until.or(log.finished()).unwrap();
            pieces.push(Stretch {
                region: log.region.clone(),
                from,
                until: until.max(from),
                point: log.point,
            });
        }
        pieces.sort_by(|one, other| (&one.region, one.from).cmp(&(&other.region, other.from)));
        let mut covered: Vec<Stretch> = Vec::new();
        for piece in pieces {
            match covered.last_mut() {
                Some(last)
                    if last.region == piece.region && piece.from - last.until <= LOG_BREAK =>
                {
                    last.until = last.until.max(piece.until);
                    last.point = last.point.max(piece.point);
                }
                _ => covered.push(piece),
            }
        }
        covered.retain(|stretch| stretch.until > self.edge("full", now));
        covered
    }

    fn promises(&self, watched: &Watched) -> Vec<(&'static str, u64)> {
        let own = watched
            .named
            .as_ref()
            .and_then(|named| named.recovery_point_hours);
        let all = OBJECTIVES.iter().zip(self.plan.objectives);
        all.filter_map(|(name, hours)| {
            let hours = if *name == "recovery_point" {
                own.or(hours)
            } else {
                hours
            };
            Some((*name, hours?))
        })
        .collect()
    }

    /// Every sample that must be there at `now`, but for those that [`Model::invariants`] speaks of.
    pub(super) fn expected(&self, now: Time) -> Samples {
        let mut samples = Samples::new();
        for (key, watched) in &self.watched {
            Judged::new(self, key, watched, now).write(&mut samples);
        }
        self.write_states(&mut samples);
        for ((vendor, account, region), found) in &self.regions {
            let labels = [
                ("provider", vendor.name()),
                ("account", account),
                ("source_region", region),
            ];
            if let Some(claim) = &found.claim {
                let success = f64::from(u8::from(claim.failure.is_none()));
                samples.insert(series("cloud_backup_discovery_success", &labels), success);
                if let Some((read, _)) = claim.read {
                    let name = "cloud_backup_last_discovery_success_timestamp_seconds";
                    samples.insert(series(name, &labels), unix(read));
                }
            }
        }
        for account in &self.plan.accounts {
            let labels = [
                ("provider", account.vendor.name()),
                ("account", &account.name),
            ];
            for (name, minutes) in [
                (
                    "cloud_backup_poll_interval_seconds",
                    self.plan.interval_minutes,
                ),
                (
                    "cloud_backup_policy_interval_seconds",
                    self.plan.policy_minutes(),
                ),
                (
                    "cloud_backup_poll_max_interval_seconds",
                    self.plan.at_most_minutes(),
                ),
                (
                    "cloud_backup_discovery_interval_seconds",
                    self.plan.discovery_minutes(),
                ),
            ] {
                samples.insert(series(name, &labels), whole(minutes * 60));
            }
            for kind in &self.had[&account.name] {
                for reason in Reason::ALL {
                    let failures = self
                        .poll_failures
                        .get(&(account.name.clone(), *kind, reason));
                    let more = [("listing", kind.label()), ("reason", reason.label())];
                    let name = series(
                        "cloud_backup_poll_failures_total",
                        &[&labels[..], &more].concat(),
                    );
                    samples.insert(name, whole(failures.copied().unwrap_or_default()));
                }
            }
        }
        let name = "cloud_backup_exporter_config_last_reload_successful";
        samples.insert(series(name, &[]), f64::from(u8::from(self.reload.0)));
        let name = "cloud_backup_exporter_config_last_reload_success_timestamp_seconds";
        samples.insert(series(name, &[]), unix(self.reload.1));
        samples
    }

    fn write_states(&self, samples: &mut Samples) {
        let mut states: BTreeMap<RegionKey, (u64, u64, u64, Option<u64>)> = BTreeMap::new();
        for (key, watched) in &self.watched {
            let state = states
                .entry((key.0, key.1.clone(), key.2.clone()))
                .or_default();
            if watched.is_gone() {
                state.2 += 1;
            } else {
                state.0 += 1;
                state.1 += u64::from(watched.is_missing());
            }
        }
        for (key, found) in &self.regions {
            if found.claim.as_ref().and_then(|claim| claim.read).is_none() {
                continue;
            }
            let others = found.instances.iter().filter(|(id, instance)| {
                let watched = (key.0, key.1.clone(), key.2.clone(), (*id).clone());
                instance.missing.is_none() && !self.watched.contains_key(&watched)
            });
            states.entry(key.clone()).or_default().3 = Some(others.count() as u64);
        }
        for ((vendor, account, region), (monitored, missing, gone, unmonitored)) in states {
            let values = [
                ("monitored", Some(monitored)),
                ("missing", Some(missing)),
                ("gone", Some(gone)),
                ("unmonitored", unmonitored),
            ];
            for (state, value) in values {
                let labels = [
                    ("provider", vendor.name()),
                    ("account", &account),
                    ("source_region", &region),
                    ("state", state),
                ];
                if let Some(value) = value {
                    samples.insert(series("cloud_backup_instances", &labels), whole(value));
                }
            }
        }
    }

    /// What is held of the samples that the model does not compute: how many were looked at.
    pub(super) fn check_counters(&mut self, shown: &Samples) -> usize {
        let mut looked_at = 0;
        for ((account, operation), sent) in &self.requests {
            let vendor = self
                .plan
                .accounts
                .iter()
                .find(|known| known.name == *account)
                .unwrap()
                .vendor;
            let labels = [
                ("provider", vendor.name()),
                ("account", account),
                ("operation", operation),
            ];
            let name = series("cloud_backup_api_requests_total", &labels);
            let Some(counted) = shown.get(&name) else {
                // What is asked for keys or for projects is not counted by operation of a listing.
                continue;
            };
            looked_at += 1;
            if *counted > whole(*sent) || *counted < whole(sent.saturating_sub(self.lost)) {
                self.problems.push(format!(
                    "{name} is {counted} and not {sent} less {}",
                    self.lost
                ));
            }
            let prefix = series("cloud_backup_api_request_failures_total", &labels);
            let prefix = prefix.trim_end_matches('}');
            let failed: f64 = shown
                .iter()
                .filter(|(name, _)| {
                    name.starts_with(prefix) && name[prefix.len()..].starts_with(',')
                })
                .map(|(_, value)| value)
                .sum();
            looked_at += 1;
            let (bad, unclear) = self.failures[&(account.clone(), operation.clone())];
            if failed < whole(bad.saturating_sub(self.lost)) || failed > whole(bad + unclear) {
                self.problems.push(format!(
                    "{prefix} is {failed}, not {bad} to {}",
                    bad + unclear
                ));
            }
        }
        looked_at
    }

    /// No listing goes unasked for longer than its longest interval, whatever happened to its instance meanwhile, and what
    /// took something away is asked for again soon. An attempt may take a while to come to its end.
    pub(super) fn check_staleness(&mut self) {
        let minutes = |minutes: u64| std::time::Duration::from_secs(60 * minutes);
        let slack = minutes(2 * self.plan.interval_minutes + 10);
        let now = Instant::now();
        for (key, watched) in &self.watched {
            for (kind, claim) in &watched.claims {
                let longest = if kind.is_slow() {
                    self.plan.policy_minutes().max(self.plan.at_most_minutes())
                } else {
                    self.plan.at_most_minutes()
                };
                // What is gone, or said of itself that it is and has not been read since, is asked for seldom, and no less
                // often than the ceiling.
                let is_denied = watched.presence.denials > 0
                    || claim.failure.is_some_and(|(_, missing)| missing);
                let longest = if watched.is_gone() || is_denied {
                    longest.max(self.plan.longest_minutes.unwrap_or(60))
                } else {
                    longest
                };
                // Other intervals hold from the reload on.
                let ago = now
                    - claim
                        .ended
                        .max(self.begun)
                        .max(watched.presence.back.unwrap_or(self.begun));
                if ago > minutes(longest) + slack {
                    self.problems
                        .push(format!("{key:?} {kind:?} was attempted last, {ago:?} ago"));
                }
            }
            // Of what is gone nothing is promised that could be taken away.
            let doubted = watched.doubted.iter().filter(|_| !watched.is_gone());
            for (kind, since) in doubted {
                let ago = now - (*since).max(self.begun);
                if ago > slack {
                    self.problems.push(format!(
                        "{key:?} {kind:?} lost all it had, and was not asked again for {ago:?}"
                    ));
                }
            }
        }
    }

    /// Forgets answers that nothing will ask for any more.
    pub(super) fn tidy(&mut self) {
        let now = Instant::now();
        let day = std::time::Duration::from_secs(2 * 24 * 3600);
        self.runs
            .retain(|_, runs| runs.last().is_some_and(|run| now - run.arrived < day));
    }
}

impl Watched {
    fn is_gone(&self) -> bool {
        self.presence.gone_since.is_some()
    }

    fn is_missing(&self) -> bool {
        self.presence.missing.is_some() && !self.is_gone()
    }
}

/// A sample's name with its labels, in the order of their names.
pub(super) fn series(name: &str, labels: &[(&str, &str)]) -> String {
    let mut labels: Vec<_> = labels
        .iter()
        .map(|(label, value)| format!("{label}=\"{value}\""))
        .collect();
    labels.sort_unstable();
    format!("{name}{{{}}}", labels.join(","))
}

#[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
fn whole(value: u64) -> f64 {
    value as f64
}

#[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
fn unix(time: Time) -> f64 {
    time.timestamp() as f64
}

#[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
fn age(now: Time, time: Time) -> f64 {
    (now - time).num_seconds().max(0) as f64
}

fn truth(value: bool) -> f64 {
    f64::from(u8::from(value))
}

type Place = (&'static str, String);

/// One instance at one moment.
struct Judged<'a> {
    model: &'a Model,
    key: &'a Key,
    watched: &'a Watched,
    now: Time,
    regions: BTreeSet<String>,
}

impl<'a> Judged<'a> {
    fn new(model: &'a Model, key: &'a Key, watched: &'a Watched, now: Time) -> Self {
        let mut judged = Self {
            model,
            key,
            watched,
            now,
            regions: BTreeSet::new(),
        };
        let named = watched.named.iter().flat_map(|named| &named.backup_regions);
        judged.regions = named.map(|region| (*region).to_owned()).collect();
        if judged.regions.is_empty() {
            judged.regions = judged.regions_of_policy();
        }
        if judged.regions.is_empty() {
            let copies = judged.sets(ListingKind::CrossRegion).into_iter();
            judged.regions = copies
                .filter(|set| set.backup_type != "partial")
                .map(|set| set.region.clone())
                .filter(|region| !region.is_empty())
                .collect();
        }
        judged
    }

    fn regions_of_policy(&self) -> BTreeSet<String> {
        let switches = self
            .policy()
            .map(|policy| policy.switches.clone())
            .unwrap_or_default();
        let named = switches
            .into_iter()
            .filter(|switch| switch.scope == "cross_region" && !switch.region.is_empty());
        named.map(|switch| switch.region).collect()
    }

    /// Since when sets are copied there, where the provider tells and they still are.
    fn since(&self, region: &str) -> Option<Time> {
        let policy = self.policy()?;
        let is_off = policy.switches.iter().any(|switch| {
            switch.scope == "cross_region"
                && switch.backup_type == "full"
                && switch.region == region
                && !switch.enabled
        });
        if is_off { None } else { policy.since }
    }

    fn policy(&self) -> Option<&'a Policy> {
        match self.watched.contents.get(&ListingKind::Policy) {
            Some(Content::Policy(policy)) => Some(policy),
            _ => None,
        }
    }

    fn read(&self, kind: ListingKind) -> Option<&'a SetsRead> {
        match self.watched.contents.get(&kind) {
            Some(Content::Sets(read)) => Some(read),
            _ => None,
        }
    }

    fn is_unsupported(&self) -> bool {
        matches!(
            self.watched.contents.get(&ListingKind::CrossRegion),
            Some(Content::Unsupported)
        )
    }

    fn sets(&self, kind: ListingKind) -> Vec<&'a Set> {
        let read = self.read(kind);
        read.into_iter()
            .flat_map(|read| read.sets.iter().chain(&read.remembered))
            .collect()
    }

    /// What is remembered carries others only while it is known to be kept.
    fn is_usable(&self, set: &Set) -> bool {
        let read = ListingKind::ALL.into_iter();
        let read: Vec<_> = read.filter_map(|kind| self.read(kind)).collect();
        let listed = read.iter().flat_map(|read| &read.sets);
        let remembered = read.iter().flat_map(|read| &read.remembered);
        set.is_usable_among(listed.chain(remembered.filter(|set| self.is_kept(set))))
    }

    fn protected(&self) -> Option<bool> {
        if self.is_unsupported() {
            return Some(false);
        }
        match self.watched.contents.get(&ListingKind::Policy) {
            Some(Content::Policy(policy)) => policy.protected,
            Some(Content::Unsupported) => Some(false),
            _ => None,
        }
    }

    fn labels(&self) -> Vec<(&str, &str)> {
        let (vendor, account, region, id) = self.key;
        vec![
            ("provider", vendor.name()),
            ("account", account),
            ("source_region", region),
            ("instance_id", id),
        ]
    }

    /// Whether the model knows enough of it. What Huawei's list of copies says beside its policy is not modelled: until the
    /// policy was read, or while its listing is switched off, nothing that depends on it is compared.
    pub(super) fn is_known(&self) -> bool {
        let configured = self
            .watched
            .named
            .as_ref()
            .is_some_and(|named| !named.backup_regions.is_empty());
        self.key.0 != Vendor::Huawei || configured || self.policy().is_some()
    }

    fn write(&self, samples: &mut Samples) {
        let mut add = |name: &str, more: &[(&str, &str)], value: f64| {
            let labels = [&self.labels()[..], more].concat();
            samples.insert(series(&format!("cloud_backup_{name}"), &labels), value);
        };
        let described = self.described();
        let product = if self.key.0 == Vendor::Volcengine {
            "redis"
        } else {
            "rds"
        };
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        let (name, engine, version) = (
            text(&described.name),
            text(&described.engine),
            text(&described.version),
        );
        add(
            "instance_info",
            &[
                ("product", product),
                ("engine", &engine),
                ("engine_version", &version),
                ("name", &name),
            ],
            1.0,
        );
        if let Some(protected) = self.protected() {
            add("instance_protected", &[], truth(protected));
        }
        let since = self.policy().and_then(|policy| policy.since);
        if let Some(since) = since {
            add(
                "instance_protected_since_timestamp_seconds",
                &[],
                unix(since),
            );
        }
        if let Some(created) = self.watched.described.created {
            add("instance_created_timestamp_seconds", &[], unix(created));
        }
        add("instance_gone", &[], truth(self.watched.is_gone()));
        add("instance_missing", &[], truth(self.watched.is_missing()));
        for (kind, claim) in &self.watched.claims {
            let more = [("listing", kind.label())];
            add("poll_success", &more, truth(claim.failure.is_none()));
            if let Some((read, _)) = claim.read {
                add("last_poll_success_timestamp_seconds", &more, unix(read));
            }
            let complete = match self.watched.contents.get(kind) {
                Some(Content::Sets(read)) => Some(read.complete),
                Some(Content::Policy(policy)) => Some(policy.complete),
                Some(Content::Windows(_)) => Some(true),
                Some(Content::Unsupported) | None => None,
            };
            if let Some(complete) = complete {
                add("listing_complete", &more, truth(complete));
            }
        }
        self.write_copies(&mut add);
        self.write_windows(&mut add);
        self.write_switches(&mut add);
        let (points, gaps) = self.recovery_points();
        for ((scope, region), point) in &points {
            let place = [("scope", *scope), ("backup_region", region.as_str())];
            add("recovery_point_timestamp_seconds", &place, unix(*point));
            add("recovery_point_age_seconds", &place, age(self.now, *point));
        }
        for ((scope, region), gaps) in &gaps {
            add(
                "log_gaps",
                &[("scope", scope), ("backup_region", region)],
                whole(*gaps),
            );
        }
        let uncopied = self.uncopied();
        for (region, (lacking, oldest)) in &uncopied {
            let more = [("backup_region", region.as_str())];
            add("uncopied_sets", &more, whole(*lacking));
            if let Some(oldest) = oldest {
                add("oldest_uncopied_timestamp_seconds", &more, unix(*oldest));
            }
        }
        if self.watched.is_gone() {
            return;
        }
        for (objective, hours) in self.model.promises(self.watched) {
            let more = [("objective", objective)];
            add("objective_seconds", &more, whole(hours * 3600));
            let promise = Duration::hours(hours.cast_signed());
            if let Some(met) = self.is_met(objective, promise, &points, &uncopied) {
                add("objective_met", &more, truth(met));
            }
        }
    }

    fn described(&self) -> Described {
        let mut known = vec![self.watched.described.clone()];
        for kind in [
            ListingKind::CrossRegion,
            ListingKind::Local,
            ListingKind::CrossRegionLog,
        ] {
            known.extend(self.read(kind).map(|read| read.described.clone()));
        }
        known.extend(self.policy().map(|policy| policy.described.clone()));
        let configured = self
            .watched
            .named
            .as_ref()
            .and_then(|named| named.name.clone());
        let named = known.iter().find_map(|described| described.name.clone());
        let engine = known
            .iter()
            .find(|described| described.engine.is_some())
            .cloned()
            .unwrap_or_default();
        Described {
            name: configured.or(named),
            ..engine
        }
    }

    fn by_copy(&self) -> BTreeMap<(Place, &'static str), Vec<&'a Set>> {
        let mut copies: BTreeMap<(Place, &'static str), Vec<&Set>> = BTreeMap::new();
        if self.read(ListingKind::CrossRegion).is_some() {
            let mut regions: Vec<String> = self.regions.iter().cloned().collect();
            if regions.is_empty() {
                regions.push(String::new());
            }
            for region in regions {
                copies.insert((("cross_region", region), "full"), Vec::new());
            }
        }
        if self.read(ListingKind::Local).is_some() {
            copies.insert((("local", self.key.2.clone()), "full"), Vec::new());
        }
        for kind in ListingKind::ALL {
            for set in self.sets(kind) {
                let place = (set.scope, set.region.clone());
                copies
                    .entry((place, set.backup_type))
                    .or_default()
                    .push(set);
            }
        }
        copies
    }

    fn write_copies(&self, add: &mut impl FnMut(&str, &[(&str, &str)], f64)) {
        for (((scope, region), backup_type), sets) in self.by_copy() {
            let labels = [
                ("scope", scope),
                ("backup_region", &region),
                ("backup_type", backup_type),
            ];
            let counted: Vec<_> = sets
                .iter()
                .filter(|set| self.model.in_lookback(set, self.now))
                .collect();
            let mut statuses = BTreeMap::from([("completed", 0), ("failed", 0)]);
            for set in &counted {
                *statuses.entry(set.status).or_default() += 1;
            }
            for (status, sets) in statuses {
                add(
                    "sets",
                    &[&labels[..], &[("status", status)]].concat(),
                    whole(sets),
                );
            }
            if backup_type == "partial" {
                continue;
            }
            let mut newest: Option<&Set> = None;
            for set in sets.iter().filter(|set| self.is_usable(set)) {
                if newest.is_none_or(|newest| set.finished() >= newest.finished()) {
                    newest = Some(set);
                }
            }
            let succeeded = newest.and_then(Set::finished);
            if let (Some(newest), Some(end)) = (newest, succeeded) {
                add("last_success_timestamp_seconds", &labels, unix(end));
                add("last_success_age_seconds", &labels, age(self.now, end));
                if let Some(size) = newest.size {
                    add("last_success_size_bytes", &labels, whole(size));
                }
                if let (Some(start), Some(end)) = (newest.start, newest.end)
                    && end >= start
                {
                    add("last_success_duration_seconds", &labels, age(end, start));
                }
            }
            let failed: Vec<_> = counted
                .iter()
                .filter(|set| set.status == "failed")
                .collect();
            let newest_failure = failed.iter().filter_map(|set| set.finished()).max();
            if let Some(failure) = newest_failure {
                add("last_failure_timestamp_seconds", &labels, unix(failure));
            }
            if succeeded.is_some() || newest_failure.is_some() {
                add(
                    "last_attempt_success",
                    &labels,
                    truth(succeeded >= newest_failure),
                );
            }
            let in_a_row = failed
                .iter()
                .filter(|set| set.finished() > succeeded)
                .count();
            add("consecutive_failures", &labels, whole(in_a_row as u64));
            let usable: Vec<_> = counted.iter().filter(|set| self.is_usable(set)).collect();
            add(
                "stored_bytes",
                &labels,
                whole(usable.iter().filter_map(|set| set.size).sum()),
            );
            if let Some(oldest) = usable.iter().filter_map(|set| set.finished()).min() {
                add("oldest_timestamp_seconds", &labels, unix(oldest));
            }
            let running = counted.iter().filter(|set| set.status == "running");
            if let Some(since) = running.filter_map(|set| set.start).min() {
                add("running_since_timestamp_seconds", &labels, unix(since));
            }
        }
        let mut restorable: BTreeMap<&str, u64> = BTreeMap::new();
        for set in self.sets(ListingKind::CrossRegion) {
            if self.is_usable(set) && self.model.in_lookback(set, self.now) {
                for region in set.restore_to.iter().collect::<BTreeSet<_>>() {
                    *restorable.entry(region).or_default() += 1;
                }
            }
        }
        for (region, sets) in restorable {
            add(
                "restorable_sets",
                &[("restore_region", region)],
                whole(sets),
            );
        }
    }

    fn write_windows(&self, add: &mut impl FnMut(&str, &[(&str, &str)], f64)) {
        let Some(Content::Windows(windows)) =
            self.watched.contents.get(&ListingKind::RestoreWindow)
        else {
            return;
        };
        let places: BTreeSet<Place> = windows
            .iter()
            .map(|window| (window.scope, window.region.clone()))
            .collect();
        for place in places {
            let here: Vec<_> = windows
                .iter()
                .filter(|window| (window.scope, &window.region) == (place.0, &place.1))
                .collect();
            let newest = here.iter().max_by_key(|window| window.end).unwrap();
            let labels = [("scope", place.0), ("backup_region", place.1.as_str())];
            add(
                "restore_window_start_timestamp_seconds",
                &labels,
                unix(newest.start),
            );
            add(
                "restore_window_end_timestamp_seconds",
                &labels,
                unix(newest.end),
            );
            add("restore_window_gaps", &labels, whole(here.len() as u64 - 1));
        }
    }

    fn write_switches(&self, add: &mut impl FnMut(&str, &[(&str, &str)], f64)) {
        for switch in self
            .policy()
            .into_iter()
            .flat_map(|policy| &policy.switches)
        {
            let is_open = switch.scope == "cross_region"
                && switch.region.is_empty()
                && !self.regions.is_empty();
            let regions: Vec<&String> = if is_open {
                self.regions.iter().collect()
            } else {
                vec![&switch.region]
            };
            for region in regions {
                let labels = [
                    ("scope", switch.scope),
                    ("backup_region", region),
                    ("backup_type", switch.backup_type),
                ];
                add("policy_enabled", &labels, truth(switch.enabled));
                if let Some(days) = switch.days {
                    add("policy_retention_seconds", &labels, whole(days * 86400));
                }
            }
        }
    }

    fn recovery_points(&self) -> (BTreeMap<Place, Time>, BTreeMap<Place, u64>) {
        let mut points: BTreeMap<Place, Time> = BTreeMap::new();
        // What log files may continue: not what has left the look-back and may be gone by now.
        let mut bases: BTreeMap<Place, Time> = BTreeMap::new();
        let mut with_logs: BTreeSet<Place> = BTreeSet::new();
        for kind in ListingKind::ALL {
            let listed = self.read(kind).map_or(0, |read| read.sets.len());
            for (number, set) in self.sets(kind).into_iter().enumerate() {
                let place = (set.scope, set.region.clone());
                if set.backup_type == "log" {
                    with_logs.insert(place);
                    continue;
                }
                let Some(point) = set.point.filter(|_| self.is_usable(set)) else {
                    continue;
                };
                let newest = points.entry(place.clone()).or_insert(point);
                *newest = point.max(*newest);
                if number < listed || self.is_kept(set) {
                    let newest = bases.entry(place).or_insert(point);
                    *newest = point.max(*newest);
                }
            }
        }
        let mut gaps = BTreeMap::new();
        for place in with_logs {
            let (newest, found) = self.reach(&place, bases.get(&place).copied());
            if newest > points.get(&place).copied() {
                points.extend(newest.map(|newest| (place.clone(), newest)));
            }
            gaps.insert(place, found);
        }
        (points, gaps)
    }

    /// Whether the policy says that a set is still kept, and no listing denied it.
    fn is_kept(&self, set: &Set) -> bool {
        if set.point.is_none() {
            return false;
        }
        let switches = self
            .policy()
            .into_iter()
            .flat_map(|policy| &policy.switches);
        let days = switches
            .filter(|switch| {
                switch.scope == set.scope
                    && switch.backup_type == "full"
                    && (switch.region.is_empty() || switch.region == set.region)
            })
            .filter_map(|switch| switch.days)
            .min();
        let kept = days.map(|days| Duration::days(days.cast_signed()));
        kept.zip(set.dated())
            .is_some_and(|(kept, dated)| dated + kept > self.now)
    }

    /// How far log files continue a set, and the breaks after it.
    fn reach(&self, place: &Place, base: Option<Time>) -> (Option<Time>, u64) {
        let kinds: &[ListingKind] = if place.0 == "local" {
            &[ListingKind::Local]
        } else {
            &[ListingKind::CrossRegionLog, ListingKind::CrossRegion]
        };
        let (mut newest, mut gaps) = (None, 0);
        for read in kinds.iter().filter_map(|kind| self.read(*kind)) {
            let here = read.covered.iter();
            let here: Vec<_> = here.filter(|stretch| stretch.region == place.1).collect();
            let Some(base) = base else {
                gaps += (here.len() as u64).saturating_sub(1);
                continue;
            };
            let (upon, after): (Vec<_>, Vec<_>) = here
                .into_iter()
                .partition(|stretch| stretch.from <= base + LOG_BREAK);
            let point = upon.last().and_then(|stretch| stretch.point);
            newest = newest.max(point.filter(|point| *point > base));
            gaps += after.len() as u64;
        }
        (newest, gaps)
    }

    fn uncopied(&self) -> BTreeMap<String, (u64, Option<Time>)> {
        let mut lacking = BTreeMap::new();
        if self.read(ListingKind::CrossRegion).is_none() || self.read(ListingKind::Local).is_none()
        {
            return lacking;
        }
        for region in &self.regions {
            let since = self.since(region);
            let mut copied: Option<Time> = None;
            for set in self.sets(ListingKind::CrossRegion) {
                if set.backup_type == "full" && set.is_sound() && set.region == *region {
                    copied = copied.max(set.point);
                }
            }
            let mut ends: Vec<Time> = Vec::new();
            for set in self.sets(ListingKind::Local) {
                let is_counted = set.backup_type == "full"
                    && set.is_sound()
                    && self.model.in_lookback(set, self.now);
                let point = set.point.or(set.finished());
                let is_newer = match copied {
                    Some(copied) => {
                        point.is_some_and(|point| point - copied > Duration::minutes(10))
                    }
                    None => true,
                };
                if is_counted && is_newer && since.is_none_or(|since| set.finished() >= Some(since))
                {
                    ends.extend(set.finished());
                }
            }
            lacking.insert(region.clone(), (ends.len() as u64, ends.into_iter().min()));
        }
        lacking
    }

    fn is_met(
        &self,
        objective: &str,
        promise: Duration,
        points: &BTreeMap<Place, Time>,
        uncopied: &BTreeMap<String, (u64, Option<Time>)>,
    ) -> Option<bool> {
        let is_young = |time: Time| self.now - time < promise;
        let everywhere = |holds: &dyn Fn(&str) -> bool| match self
            .watched
            .contents
            .get(&ListingKind::CrossRegion)
        {
            Some(Content::Unsupported) => Some(false),
            Some(Content::Sets(_)) => {
                Some(!self.regions.is_empty() && self.regions.iter().all(|region| holds(region)))
            }
            _ => None,
        };
        match objective {
            "recovery_point" => {
                if self.protected() == Some(false) {
                    return Some(false);
                }
                let met = everywhere(&|region| {
                    let point = points.get(&("cross_region", region.to_owned()));
                    point.is_some_and(|point| is_young(*point))
                })?;
                // Without the log files a broken promise is not known to be broken.
                let logs = ListingKind::CrossRegionLog;
                let failure = self
                    .watched
                    .claims
                    .get(&logs)
                    .and_then(|claim| claim.failure);
                let is_refused = failure.is_some_and(|(reason, _)| {
                    matches!(
                        reason,
                        Reason::Permission | Reason::NotFound | Reason::BadRequest
                    )
                });
                let logs_are_known = !self.watched.listings.contains(&logs)
                    || self.watched.contents.contains_key(&logs)
                    || self.is_unsupported()
                    || is_refused;
                (met || logs_are_known).then_some(met)
            }
            "backup_age" => {
                let content = self.watched.contents.get(&ListingKind::Local)?;
                if matches!(content, Content::Unsupported) {
                    return Some(false);
                }
                let local = self
                    .by_copy()
                    .into_iter()
                    .filter(|(((scope, _), _), _)| *scope == "local");
                let usable = local
                    .flat_map(|(_, sets)| sets)
                    .filter(|set| self.is_usable(set));
                Some(usable.filter_map(Set::finished).max().is_some_and(is_young))
            }
            "copy_delay" => {
                let oldest = uncopied.values().filter_map(|(_, oldest)| *oldest);
                (!uncopied.is_empty()).then(|| {
                    oldest
                        .map(|oldest| self.now - oldest)
                        .all(|waits| waits <= promise)
                })
            }
            _ => everywhere(&|region| {
                let since = self.since(region);
                let copies = self.by_copy().into_iter();
                let here =
                    copies.filter(|((place, _), _)| *place == ("cross_region", region.to_owned()));
                let oldest = here
                    .filter(|((_, backup_type), _)| *backup_type != "log")
                    .flat_map(|(_, sets)| sets)
                    .filter(|set| self.is_usable(set) && self.model.in_lookback(set, self.now))
                    .filter_map(Set::finished)
                    .min();
                oldest.is_some_and(|oldest| {
                    since.is_some_and(is_young) || self.now - oldest >= promise
                })
            }),
        }
    }
}

impl Model {
    /// The labels of the instances of which the model does not know enough to compare them now.
    pub(super) fn unknown(&self, now: chrono::DateTime<Utc>) -> Vec<String> {
        let instances = self.watched.iter();
        instances
            .filter(|(key, watched)| !Judged::new(self, key, watched, now).is_known())
            .map(|(key, _)| format!("instance_id=\"{}\"", key.3))
            .collect()
    }
}
