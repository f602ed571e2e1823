//! Asks: each listing of each instance once an interval, and never faster than the account allows.
//!
//! Each listing is a task of its own, so that a slow one delays nobody; where one call answers for many instances, these
//! share a task (see `errand`). What an account's tasks share - its rate, its
//! breaker, its requests in flight - is in `account`. What was found goes to `facts`, what was done to `tally`; what it
//! means is not asked here.

mod account;
mod backoff;
mod breaker;
mod change;
mod errand;
#[cfg(test)]
mod hour;
mod pace;
mod schedule;
mod sweep;

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::join_all;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::account::{Account, ListingKey, account_key, listing_keys};
use self::errand::{Errand, errands};
use self::schedule::Schedule;
use crate::backup::{ListingKind, Reading};
use crate::clock::Clock;
use crate::config::{AccountConfig, Config, PollConfig};
use crate::facts::{Facts, Watched};
use crate::provider::error::{ListError, Reason};
use crate::provider::http::HttpClient;
use crate::provider::{Call, Environment, Premises, Provider, ReadTogether, operations};
use crate::tally::{AccountKey, AccountScope, Tally};
use crate::target::{InstanceKey, Target};

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
    account: Arc<Account>,
    /// As configured, without the instances: when this changes, everything that its calls share is made anew.
    config: AccountConfig,
    errands: HashMap<Errand, AbortHandle>,
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
            running.abandon();
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
            running.abandon();
        }
    }

    fn run_account(
        &self,
        config: &AccountConfig,
        poll: &PollConfig,
        before: Option<Running>,
    ) -> Running {
        let shared = AccountConfig {
            targets: Vec::new(),
            ..config.clone()
        };
        let before = match before {
            Some(running) if running.config == shared && running.account.poll == *poll => {
                Some(running)
            }
            Some(changed) => {
                changed.abandon();
                None
            }
            None => None,
        };
        let account = match &before {
            Some(running) => {
                running.account.set_targets(config);
                Arc::clone(&running.account)
            }
            None => Arc::new(new_account(&self.ground, config, poll, self.stop.clone())),
        };
        let mut known = before.map(|running| running.errands).unwrap_or_default();
        let all: Vec<_> = errands(config);
        let start = Instant::now();
        let mut running = HashMap::new();
        for (index, errand) in all.iter().enumerate() {
            let task = known.remove(errand).unwrap_or_else(|| {
                let schedule = Schedule::spread(start, index, all.len(), poll.interval);
                self.tasks
                    .spawn(run_for_ever(
                        self.ground.clone(),
                        Arc::clone(&account),
                        errand.clone(),
                        schedule,
                        self.stop.clone(),
                    ))
                    .abort_handle()
            });
            running.insert(errand.clone(), task);
        }
        for left in known.into_values() {
            left.abort();
        }
        Running {
            account,
            config: shared,
            errands: running,
        }
    }
}

impl Running {
    fn abandon(self) {
        for task in self.errands.into_values() {
            task.abort();
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
        for errand in errands(account_config) {
            let (ground, account) = (ground.clone(), Arc::clone(&account));
            tasks.spawn(async move {
                run(&ground, &account, &errand).await;
                errand.listings()
            });
        }
        all += listing_keys(account_config).count();
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
        .clone()
        .map(|account| scope(account, &config.poll))
        .collect();
    ground.tally.adopt(&scopes);
    ground.facts.keep_accounts(|provider, name| {
        let mut accounts = config.accounts.iter();
        accounts.any(|account| account.provider.label() == provider && *account.name == *name)
    });
    for account in accounts {
        let targets = account.targets.iter().map(Arc::clone).map(Watched::from);
        let key = (account.provider.label(), &*account.name);
        ground.facts.adopt(key, targets);
    }
}

fn scope(config: &AccountConfig, poll: &PollConfig) -> AccountScope {
    AccountScope {
        key: account_key(config),
        operations: operations(config).listings,
        poll_interval: poll.interval,
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
    Account::new(config, poll.clone(), provider, tally, stop)
}

async fn run_for_ever(
    ground: Ground,
    account: Arc<Account>,
    errand: Errand,
    mut schedule: Schedule,
    stop: CancellationToken,
) {
    loop {
        run(&ground, &account, &errand).await;
        let due = schedule.next(Instant::now(), rand::random());
        tokio::select! {
            () = stop.cancelled() => return,
            () = sleep_until(due) => {}
        }
    }
}

/// One attempt at each listing of an errand.
async fn run(ground: &Ground, account: &Account, errand: &Errand) {
    match errand {
        Errand::One(key) => poll_listing(ground, account, key).await,
        Errand::Together { kind, instances } => {
            poll_together(ground, account, *kind, instances).await;
        }
    }
}

/// Reads the listings of several instances at once, and of those one by one for which that does not do.
async fn poll_together(
    ground: &Ground,
    account: &Account,
    kind: ListingKind,
    instances: &[InstanceKey],
) {
    let targets: Vec<_> = instances
        .iter()
        .filter_map(|instance| ground.facts.of(instance))
        .map(|facts| Arc::clone(&facts.target))
        .collect();
    account.lock_sweep().begin(Instant::now());
    let courier = account.courier();
    let reading = account.provider.list_together(kind, &targets, &courier);
    let together = unless_it_panics(reading).await.unwrap_or_else(|()| {
        let failed = |target: &Arc<Target>| (target.key.clone(), Err(internal_error(&target.key)));
        ReadTogether {
            read: targets.iter().map(failed).collect(),
            one_by_one: Vec::new(),
        }
    });
    for (instance, outcome) in together.read {
        record(ground, account, &(instance, kind), outcome);
    }
    let keys: Vec<_> = together
        .one_by_one
        .iter()
        .map(|target| (target.key.clone(), kind))
        .collect();
    join_all(keys.iter().map(|key| poll_listing(ground, account, key))).await;
}

/// One attempt at one listing, recorded whatever comes of it.
async fn poll_listing(ground: &Ground, account: &Account, key: &ListingKey) {
    let (instance, kind) = key;
    let Some(facts) = ground.facts.of(instance) else {
        return;
    };
    account.lock_sweep().begin(Instant::now());
    let courier = account.courier();
    let reading = account.provider.list(*kind, &facts.target, &courier);
    let outcome = unless_it_panics(reading)
        .await
        .unwrap_or_else(|()| Err(internal_error(instance)));
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
    let failed_before = before.and_then(|listing| listing.last_attempt.failure.as_ref());
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
    let round = account.lock_sweep().end(key, Instant::now());
    if let Some(took) = round {
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

fn internal_error(instance: &InstanceKey) -> ListError {
    let call = Call {
        operation: "reading",
        instance: Arc::clone(&instance.instance_id),
        region: Arc::clone(&instance.source_region),
        project: None,
        parameters: Vec::new(),
    };
    ListError {
        detail: Some("internal error, please report it".to_owned()),
        ..ListError::of(&call, Reason::Malformed)
    }
}
