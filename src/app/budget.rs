//! What an account's configuration costs in API calls, and whether that fits its limit. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use crate::config::{AccountConfig, PollConfig};
use crate::provider::{Cost, Every, costs, discovery_costs, former_destination_costs, log_lists};
use crate::shard::Shard;
use crate::target::{InstanceKey, Target};

/// What the polling of a shard's part of an account costs when every list fits on one page of 100 rows.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Budget {
    /// The instances that this was computed for: those that are named, and one in each other region in which instances are
    /// looked for.
    pub(super) instances: usize,
    /// Calls an hour, by operation.
    pub(super) hourly: BTreeMap<&'static str, f64>,
    /// What each further instance in a region adds to that.
    pub(super) hourly_of_another: BTreeMap<&'static str, f64>,
    /// What an instance adds while a former destination of its copies is asked as well.
    pub(super) hourly_of_a_former_destination: BTreeMap<&'static str, f64>,
    /// How long a full round of what is read often takes under the limit.
    pub(super) sweep: Duration,
    /// How many lists of log files are read back to the newest set, once.
    pub(super) log_lists: u32,
    /// Which part of what the limit allows is used up, where each operation has a limit of its own that of the busiest.
    pub(super) share: f64,
}

impl Budget {
    /// Computes it; nothing is asked.
    pub(super) fn of(account: &AccountConfig, poll: &PollConfig, shard: Shard) -> Self {
        let mut targets = own(account, shard);
        let named: BTreeSet<_> = targets
            .iter()
            .map(|target| Arc::clone(&target.key.source_region))
            .collect();
        let found = found(account, 1).into_iter();
        targets.extend(found.filter(|found| !named.contains(&found.key.source_region)));
        let mut all = costs(account, &targets);
        all.extend(discovery_costs(account));
        let hourly = sums(&all, |cost| cost.an_hour(poll));
        Self {
            instances: targets.len(),
            hourly_of_another: hourly_of_another(account, poll),
            hourly_of_a_former_destination: sums(&former_destination_costs(account), |cost| {
                cost.an_hour(poll)
            }),
            sweep: sweep(account, &all, shard),
            log_lists: log_lists(account, &targets),
            share: share(account, &hourly, shard),
            hourly,
        }
    }

    /// Calls an hour, of all operations.
    pub(super) fn total(&self) -> f64 {
        self.hourly.values().sum()
    }
}

/// The instances that are named, as far as they are the shard's.
pub(super) fn own(account: &AccountConfig, shard: Shard) -> Vec<Arc<Target>> {
    let targets = account.targets.iter().filter(|target| {
        let key = &target.key;
        shard.owns(key.provider, &key.account, &key.instance_id)
    });
    targets.cloned().collect()
}

/// So many instances in each region in which they are looked for.
fn found(account: &AccountConfig, count: usize) -> Vec<Arc<Target>> {
    let Some(discover) = &account.discover else {
        return Vec::new();
    };
    let regions = discover.regions.iter();
    regions
        .flat_map(|region| (0..count).map(move |number| (region, number)))
        .map(|(region, number)| {
            let key = InstanceKey {
                provider: account.provider.label(),
                account: Arc::clone(&account.name),
                source_region: Arc::clone(region),
                instance_id: format!("found-{number}").into(),
            };
            Arc::new(discover.target(account.provider, key))
        })
        .collect()
}

fn hourly_of_another(account: &AccountConfig, poll: &PollConfig) -> BTreeMap<&'static str, f64> {
    let Some(regions) = account
        .discover
        .as_ref()
        .map(|discover| discover.regions.len())
    else {
        return BTreeMap::new();
    };
    let hourly = |count| {
        let costs = costs(account, &found(account, count));
        sums(&costs, |cost| cost.an_hour(poll))
    };
    let (one, two) = (hourly(1), hourly(2));
    #[expect(clippy::cast_precision_loss, reason = "nobody has 2^53 regions")]
    let regions = regions as f64;
    two.into_iter()
        .map(|(operation, calls)| {
            let before = one.get(operation).copied().unwrap_or_default();
            (operation, (calls - before) / regions)
        })
        .filter(|(_, calls)| *calls > 0.0)
        .collect()
}

fn sums(costs: &[Cost], count: impl Fn(&Cost) -> f64) -> BTreeMap<&'static str, f64> {
    let mut sums = BTreeMap::new();
    for cost in costs {
        *sums.entry(cost.operation).or_default() += count(cost);
    }
    sums
}

/// The time between two calls of a shard, and whether each operation has a line of its own. The limit is the account's.
fn pace(account: &AccountConfig, shard: Shard) -> (Duration, bool) {
    let pace = account.provider.default_pace();
    let (spacing, per_operation) = match account.rate_limit {
        Some(limit) => (limit.spacing(), false),
        None => (pace.spacing, pace.per_operation),
    };
    (spacing * shard.count(), per_operation)
}

fn sweep(account: &AccountConfig, costs: &[Cost], shard: Shard) -> Duration {
    let often: Vec<Cost> = costs
        .iter()
        .filter(|cost| cost.every == Every::Interval)
        .copied()
        .collect();
    let calls = sums(&often, |cost| f64::from(cost.calls)).into_values();
    let (spacing, per_operation) = pace(account, shard);
    let calls = if per_operation {
        calls.fold(0.0, f64::max)
    } else {
        calls.sum()
    };
    // The first call need not wait.
    spacing.mul_f64((calls - 1.0).max(0.0))
}

fn share(account: &AccountConfig, hourly: &BTreeMap<&'static str, f64>, shard: Shard) -> f64 {
    let (spacing, per_operation) = pace(account, shard);
    let calls = if per_operation {
        hourly.values().copied().fold(0.0, f64::max)
    } else {
        hourly.values().sum()
    };
    calls * spacing.as_secs_f64() / 3600.0
}
