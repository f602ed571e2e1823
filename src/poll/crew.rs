//! One account at work: which of its instances are watched, and a task for everything that is polled about them.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::task::AbortHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::account::{Account, account_key};
use super::errand::{Errand, errands, searches};
use super::schedule::Schedule;
use super::{Ground, run_for_ever};
use crate::config::AccountConfig;
use crate::facts::{Facts, Watched};
use crate::target::InstanceKey;

/// The tasks of one account.
#[derive(Debug)]
pub(super) struct Crew {
    pub(super) ground: Ground,
    pub(super) account: Arc<Account>,
    work: Mutex<Work>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

#[derive(Debug)]
struct Work {
    config: AccountConfig,
    is_over: bool,
    tasks: HashMap<Errand, AbortHandle>,
}

impl Crew {
    /// Nothing is polled before [`Crew::muster`].
    pub(super) fn new(
        ground: Ground,
        account: Arc<Account>,
        config: AccountConfig,
        tasks: TaskTracker,
        stop: CancellationToken,
    ) -> Self {
        Self {
            ground,
            account,
            work: Mutex::new(Work {
                config,
                is_over: false,
                tasks: HashMap::new(),
            }),
            tasks,
            stop,
        }
    }

    /// The configuration has changed in nothing but what is watched.
    pub(super) fn set_config(&self, config: AccountConfig) {
        self.lock().config = config;
    }

    /// Decides anew what is watched, and polls that and nothing else. What stays goes on undisturbed.
    pub(super) fn muster(self: &Arc<Self>) {
        let mut work = self.lock();
        // A list of instances may come in while the account is being taken off.
        if work.is_over {
            return;
        }
        let errands = assign(&self.ground, &self.account, &work.config, work.tasks.keys());
        let interval = |errand: &Errand| errand.interval(&self.account.poll);
        let mut of_interval: HashMap<Duration, usize> = HashMap::new();
        for errand in &errands {
            *of_interval.entry(interval(errand)).or_default() += 1;
        }
        let mut before = std::mem::take(&mut work.tasks);
        let mut places: HashMap<Duration, usize> = HashMap::new();
        let start = Instant::now();
        for errand in errands {
            let interval = interval(&errand);
            let place = places.entry(interval).or_default();
            let task = before.remove(&errand).unwrap_or_else(|| {
                let schedule = Schedule::spread(start, *place, of_interval[&interval], interval);
                let run = run_for_ever(
                    Arc::clone(self),
                    errand.clone(),
                    schedule,
                    self.stop.clone(),
                );
                self.tasks.spawn(run).abort_handle()
            });
            *place += 1;
            work.tasks.insert(errand, task);
        }
        for left in before.into_values() {
            left.abort();
        }
    }

    /// Stops all polling of the account at once, for good.
    pub(super) fn dismiss(&self) {
        let mut work = self.lock();
        work.is_over = true;
        for (_, task) in work.tasks.drain() {
            task.abort();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Work> {
        self.work.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes on the instances that are to be watched, and tells everything that has to be asked.
///
/// `before` is what was asked before.
pub(super) fn assign<'a>(
    ground: &Ground,
    account: &Account,
    config: &AccountConfig,
    before: impl Iterator<Item = &'a Errand>,
) -> Vec<Errand> {
    let key = account_key(config);
    let searches = searches(config);
    let key = (key.provider, &*key.account);
    ground.facts.adopt_regions(key, &searches);
    let watched = watched(&ground.facts, config);
    let targets: Vec<_> = watched
        .iter()
        .map(|watched| Arc::clone(&watched.target))
        .collect();
    ground.facts.adopt(key, watched);
    account.set_targets(&targets, &searches);
    let searches = searches.into_iter().map(Errand::Discover);
    let errands = errands(config.provider, &targets, before);
    searches.chain(errands).collect()
}

/// The instances that are watched: those of the configuration, and those that were found and are selected.
fn watched(facts: &Facts, config: &AccountConfig) -> Vec<Watched> {
    let mut watched: Vec<Watched> = config
        .targets
        .iter()
        .map(|target| Watched::from(Arc::clone(target)))
        .collect();
    let configured: HashSet<InstanceKey> = config
        .targets
        .iter()
        .map(|target| target.key.clone())
        .collect();
    let Some(discover) = &config.discover else {
        return watched;
    };
    let label = config.provider.label();
    let regions = facts
        .regions()
        .into_iter()
        .filter(|(key, _)| key.provider == label && key.account == config.name);
    for (region, found) in regions {
        for (id, listed) in &found.instances {
            let description = listed.instance.description.clone();
            let key = InstanceKey {
                provider: label,
                account: Arc::clone(&config.name),
                source_region: Arc::clone(&region.region),
                instance_id: id.as_str().into(),
            };
            if configured.contains(&key) {
                let known = watched.iter_mut().find(|known| known.target.key == key);
                if let Some(known) = known {
                    known.description = description;
                }
                continue;
            }
            let known = facts.of(&key);
            // What is being created has nothing to list yet; what was watched before has not lost its backups.
            let is_selected = listed.instance.has_backups
                && (listed.instance.at_work || known.is_some())
                && discover.selects(id, description.name.as_deref());
            if !is_selected {
                continue;
            }
            let target = Arc::new(discover.target(config.provider, key));
            let same = known.filter(|known| known.target == target);
            watched.push(Watched {
                target: same.map_or(target, |known| Arc::clone(&known.target)),
                description,
                gone_since: listed.gone_since,
                is_found: true,
            });
        }
    }
    watched
}
