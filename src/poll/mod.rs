//! Asks: each listing of each instance when it is due, and never faster than the account allows.
//!
//! Each listing is a task of its own, so that a slow one delays nobody; where one call answers for many instances, these
//! share a task (see `errand`). When it is due is in `timetable`: at fixed intervals, or as the listing itself tells. Which tasks there are is decided by `crew`, anew whenever instances were looked for. What
//! an account's tasks share - its rate, its breaker, its requests in flight - is in `account`. What was found goes to
//! `facts`, what was done to `tally`; what it means is not asked here.

mod account;
mod backoff;
#[cfg(test)]
pub(crate) use self::backoff::fix_jitter_of_this_thread;
mod breaker;
mod cadence;
#[cfg(test)]
mod ceiling;
mod change;
mod crew;
mod discovery;
mod errand;
#[cfg(test)]
mod hour;
mod line;
#[cfg(test)]
mod month;
mod pace;
mod schedule;
mod sweep;
mod timetable;

use std::collections::{HashMap, HashSet};
use std::iter;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::join_all;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::account::{Account, account_key};
use self::crew::{Crew, assign};
use self::errand::{Errand, ListingKey};
use self::timetable::Timetable;
use crate::backup::{ListingKind, Reading};
use crate::clock::Clock;
use crate::config::{AccountConfig, Config, PollConfig};
use crate::facts::{Facts, InstanceFacts};
use crate::provider::budget::operations;
use crate::provider::error::{ListError, Reason};
use crate::provider::http::HttpClient;
use crate::provider::{Environment, Premises, Provider, ReadTogether, internal_error};
use crate::service::Service;
use crate::shard::Shard;
use crate::tally::{AccountKey, AccountScope, Intervals, Tally};
use crate::target::{InstanceKey, Target};

/// So many intervals go by before an instance is asked for again that is gone, unless the ceiling is shorter.
const WHILE_GONE: u32 = 10;

/// What polling needs, and where it leaves what it found.
#[derive(Debug, Clone)]
pub struct Ground {
    /// What was found.
    pub facts: Arc<Facts>,
    /// What was done.
    pub tally: Arc<Tally>,
    /// The time.
    pub clock: Clock,
    /// The client for all requests.
    pub http: HttpClient,
    /// The environment variables as they were at the start.
    pub environment: Arc<Environment>,
    /// Which part of the instances is watched.
    pub shard: Shard,
}

/// Keeps the listings of a configuration fresh.
#[derive(Debug)]
pub struct Poller {
    ground: Ground,
    accounts: HashMap<AccountKey, Running>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

/// An account whose listings are being polled.
#[derive(Debug)]
struct Running {
    crew: Arc<Crew>,
    /// As configured, without what is watched: when this changes, everything that its calls share is made anew.
    config: AccountConfig,
}

impl Poller {
    /// Nothing is polled until a configuration is applied.
    pub fn new(ground: Ground) -> Self {
        Self {
            ground,
            accounts: HashMap::new(),
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
        }
    }

    /// Polls what this configuration names, and nothing else. What stays the same goes on undisturbed, so that a reload
    /// costs no calls; what is known about instances that stay is kept.
    pub fn apply(&mut self, config: &Config) {
        adopt(&self.ground, config);
        let mut before = std::mem::take(&mut self.accounts);
        for account in &config.accounts {
            let key = account_key(account);
            let running = before.remove(&key);
            let running = self.run_account(account, &config.poll, running);
            self.accounts.insert(key, running);
        }
        for running in before.into_values() {
            running.crew.dismiss();
        }
    }

    /// Starts nothing new, waits up to `grace` for what is in flight, and leaves the rest.
    pub async fn stop(self, grace: Duration) {
        self.stop.cancel();
        self.tasks.close();
        if timeout(grace, self.tasks.wait()).await.is_err() {
            tracing::warn!(
                listings = self.tasks.len(),
                "stopped while listings were being read"
            );
        }
        for running in self.accounts.into_values() {
            running.crew.dismiss();
        }
    }

    fn run_account(
        &self,
        config: &AccountConfig,
        poll: &PollConfig,
        before: Option<Running>,
    ) -> Running {
        let shared = AccountConfig {
            discover: None,
            targets: Vec::new(),
            ..config.clone()
        };
        let before = before.and_then(|running| {
            let stays = running.config == shared && running.crew.account.poll == *poll;
            if !stays {
                running.crew.dismiss();
            }
            stays.then_some(running.crew)
        });
        let crew = before.unwrap_or_else(|| {
            let account = new_account(&self.ground, config, poll, self.stop.clone());
            Arc::new(Crew::new(
                self.ground.clone(),
                Arc::new(account),
                config.clone(),
                self.tasks.clone(),
                self.stop.clone(),
            ))
        });
        crew.set_config(config.clone());
        crew.muster();
        Running {
            crew,
            config: shared,
        }
    }
}

/// Polls everything once, and tells after each listing how many are done, out of how many.
pub async fn once(ground: &Ground, config: &Config, mut progress: impl FnMut(usize, usize)) {
    adopt(ground, config);
    let mut tasks = JoinSet::new();
    let mut all = 0;
    for account_config in &config.accounts {
        let never = CancellationToken::new();
        let account = Arc::new(new_account(ground, account_config, &config.poll, never));
        let searches = assign(ground, &account, account_config, iter::empty()).into_iter();
        let searches = searches.filter(|errand| matches!(errand, Errand::Discover(_)));
        join_all(searches.map(async |errand| Box::pin(run(ground, &account, &errand)).await)).await;
        // What was found is known only now.
        for errand in assign(ground, &account, account_config, iter::empty()) {
            if matches!(errand, Errand::Discover(_)) {
                continue;
            }
            all += errand.listings();
            let (ground, account) = (ground.clone(), Arc::clone(&account));
            tasks.spawn(async move {
                let _turn = account.lines.turn(&errand).await;
                Box::pin(run(&ground, &account, &errand)).await;
                errand.listings()
            });
        }
    }
    progress(0, all);
    let mut done = 0;
    while let Some(listings) = tasks.join_next().await {
        done += listings.unwrap_or_default();
        progress(done, all);
    }
}

fn adopt(ground: &Ground, config: &Config) {
    let accounts = config.accounts.iter();
    let scopes: Vec<_> = accounts
        .map(|account| scope(account, &config.poll))
        .collect();
    ground.tally.adopt(&scopes);
    ground.facts.keep_accounts(|provider, name| {
        let mut accounts = config.accounts.iter();
        accounts.any(|account| account.provider.label() == provider && *account.name == *name)
    });
}

fn scope(config: &AccountConfig, poll: &PollConfig) -> AccountScope {
    AccountScope {
        key: account_key(config),
        operations: operations(config),
        intervals: Intervals {
            poll: poll.interval,
            longest: poll.longest_interval(),
            policy: poll.policy_interval,
            discovery: config.discover.as_ref().map(|_| poll.discovery_interval),
        },
    }
}

fn new_account(
    ground: &Ground,
    config: &AccountConfig,
    poll: &PollConfig,
    stop: CancellationToken,
) -> Account {
    let provider = Provider::new(&Premises {
        account: config,
        poll,
        http: &ground.http,
        clock: &ground.clock,
        environment: &ground.environment,
    });
    let tally = Arc::clone(&ground.tally);
    Account::new(config, poll.clone(), provider, tally, stop, ground.shard)
}

async fn run_for_ever(
    crew: Arc<Crew>,
    errand: Errand,
    mut timetable: Timetable,
    news: Arc<Notify>,
    stop: CancellationToken,
) {
    loop {
        let turn = crew.account.lines.turn(&errand);
        let Some(turn) = stop.run_until_cancelled(turn).await else {
            return;
        };
        // In a box, which is gone while the errand waits for its next turn: there are thousands of them.
        let Ground { facts, clock, .. } = &crew.ground;
        let absent = absent(facts, errand.instances());
        Box::pin(run(&crew.ground, &crew.account, &errand)).await;
        drop(turn);
        if matches!(errand, Errand::Discover(_)) {
            crew.muster();
        }
        crew.tell_of_return(&absent);
        crew.tell_of_originals(&errand);
        let present = || (Instant::now(), clock.now());
        let mut due = timetable.next(&errand, facts, present(), backoff::dice());
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                () = sleep_until(due) => break,
                () = news.notified() => {
                    due = timetable.reconsidered(due, &errand, facts, present(), backoff::dice());
                }
            }
        }
    }
}

/// Those of these instances that are gone or missing.
fn absent<'a>(
    facts: &Facts,
    instances: impl IntoIterator<Item = &'a InstanceKey>,
) -> HashSet<InstanceKey> {
    let is_absent = |known: &Arc<InstanceFacts>| known.is_gone() || known.is_missing();
    let instances = instances.into_iter();
    let absent = instances.filter(|instance| facts.of(instance).as_ref().is_some_and(is_absent));
    absent.cloned().collect()
}

/// Says of each of these instances that it is gone, if it is since they were known like this.
fn tell_of_gone<'a>(facts: &Facts, before: impl IntoIterator<Item = &'a Arc<InstanceFacts>>) {
    let there = before.into_iter().filter(|known| !known.is_gone());
    for key in there.map(|known| &known.target.key) {
        if facts.of(key).is_some_and(|known| known.is_gone()) {
            tracing::warn!(
                provider = key.provider,
                account = %key.account,
                region = %key.source_region,
                instance = %key.instance_id,
                "the instance is gone; nothing is promised of it any more"
            );
        }
    }
}

/// One attempt at each listing of an errand.
async fn run(ground: &Ground, account: &Account, errand: &Errand) {
    match errand {
        Errand::Discover(region) => discovery::run(ground, account, region).await,
        Errand::One(key) => poll_listing(ground, account, key).await,
        Errand::Together {
            service,
            kind,
            instances,
        } => poll_together(ground, account, (*service, *kind), instances).await,
    }
}

/// Reads the listings of several instances at once, and of those one by one for which that does not do.
async fn poll_together(
    ground: &Ground,
    account: &Account,
    (service, kind): (Service, ListingKind),
    instances: &[InstanceKey],
) {
    let watched = instances
        .iter()
        .filter_map(|instance| ground.facts.of(instance));
    // A call that names an instance which does not exist is refused as a whole.
    let (missing, present): (Vec<_>, Vec<_>) =
        watched.partition(|facts| kind.is_slow() && facts.is_denied());
    let targets = |facts: Vec<Arc<InstanceFacts>>| -> Vec<_> {
        let targets = facts.iter().map(|facts| Arc::clone(&facts.target));
        targets.collect()
    };
    let (missing, present) = (targets(missing), targets(present));
    account.begin(kind);
    let courier = account.courier(service, kind.is_slow());
    let reading = account
        .provider
        .list_together(service, kind, &present, &courier);
    let together = unless_it_panics(reading).await.unwrap_or_else(|()| {
        let failed = |target: &Arc<Target>| {
            let key = &target.key;
            let error = internal_error("reading", &key.instance_id, &key.source_region);
            (key.clone(), Err(error))
        };
        ReadTogether {
            read: present.iter().map(failed).collect(),
            one_by_one: Vec::new(),
        }
    });
    for (instance, outcome) in together.read {
        record(ground, account, &(instance, kind), outcome);
    }
    let keys: Vec<_> = together
        .one_by_one
        .iter()
        .chain(&missing)
        .map(|target| (target.key.clone(), kind))
        .collect();
    join_all(keys.iter().map(|key| poll_listing(ground, account, key))).await;
}

/// One attempt at one listing, recorded whatever comes of it.
async fn poll_listing(ground: &Ground, account: &Account, key: &ListingKey) {
    let (instance, kind) = key;
    // Restore windows are those of the newest copy, and logs are read back to it once.
    if matches!(
        kind,
        ListingKind::RestoreWindow | ListingKind::CrossRegionLog
    ) {
        account.wait_for_copies(&ground.facts, instance).await;
    }
    let Some(facts) = ground.facts.of(instance) else {
        return;
    };
    account.begin(*kind);
    let courier = account.courier(instance.service, kind.is_slow());
    let (target, provider) = (&facts.target, &account.provider);
    let back_to = facts.reads_back_to(*kind, account.poll.lookback, ground.clock.now());
    let reading = async {
        match back_to {
            Some(back_to) => {
                Box::pin(provider.list_back_to(back_to, *kind, target, &courier)).await
            }
            None => provider.list(*kind, target, &courier).await,
        }
    };
    let outcome = unless_it_panics(reading).await.unwrap_or_else(|()| {
        Err(internal_error(
            "reading",
            &instance.instance_id,
            &instance.source_region,
        ))
    });
    record(ground, account, key, outcome);
}

/// Takes note of how an attempt ended.
fn record(
    ground: &Ground,
    account: &Account,
    key: &ListingKey,
    outcome: Result<Reading, ListError>,
) {
    let (instance, kind) = key;
    // What the end of the exporter overtook has not failed.
    if outcome.is_err() && account.is_stopping() {
        return;
    }
    let Some(facts) = ground.facts.of(instance) else {
        return;
    };
    let before = facts.listings.get(kind);
    // What an earlier process said stands in another log.
    let attempt_before = before
        .map(|listing| &listing.last_attempt)
        .filter(|attempt| !attempt.is_restored);
    let failed_before = attempt_before.and_then(|attempt| attempt.failure.as_ref());
    match &outcome {
        Ok(reading) => {
            let anomalies = reading.anomalies();
            ground.tally.anomalies(instance.provider, *kind, anomalies);
        }
        // A fact, not an outage.
        Err(error) if error.reason == Reason::Unsupported => {}
        Err(error) => ground.tally.poll_failure(&account.key, *kind, error.reason),
    }
    account
        .changes
        .tell(&account.key, key, failed_before, &outcome);
    let (now, lookback) = (ground.clock.now(), account.poll.lookback);
    ground.facts.record(instance, *kind, now, lookback, outcome);
    if *kind == ListingKind::CrossRegion {
        account.copies_were_asked_for(instance);
    }
    let is_gone = ground
        .facts
        .of(instance)
        .is_some_and(|facts| facts.is_gone());
    tell_of_gone(&ground.facts, [&facts]);
    if let Some(took) = account.end(key, is_gone) {
        ground.tally.sweep(&account.key, took);
    }
}

/// A panic would be a defect of ours. It must not end an errand's polls for good, nor go unseen.
async fn unless_it_panics<T>(reading: impl Future<Output = T>) -> Result<T, ()> {
    AssertUnwindSafe(reading)
        .catch_unwind()
        .await
        .map_err(|_panic| ())
}
