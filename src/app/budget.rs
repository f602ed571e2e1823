//! What an account's configuration costs in API calls, and whether that fits its limit. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use crate::config::{AccountConfig, PollConfig, RateLimit};
use crate::provider::budget::{
    Cost, Every, costs, discovery_costs, former_destination_costs, log_lists,
};
use crate::service::ServiceSpec;
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
        let place = |target: &Target| {
            let key = &target.key;
            (key.service, Arc::clone(&key.source_region))
        };
        let mut targets = own(account, shard);
        let named: BTreeSet<_> = targets.iter().map(|target| place(target)).collect();
        let found = found(account, 1).into_iter();
        targets.extend(found.filter(|found| !named.contains(&place(found))));
        let specs = || account.services.iter().map(|service| service.spec());
        let calls: Vec<(&ServiceSpec, Vec<Cost>)> = specs()
            .map(|spec| {
                let mut all = costs(account, spec, &targets);
                all.extend(discovery_costs(account, spec));
                (spec, all)
            })
            .collect();
        let all = calls.iter().flat_map(|(_, costs)| costs);
        let former = specs().flat_map(|spec| former_destination_costs(account, spec));
        Self {
            instances: targets.len(),
            hourly: sums(all, |cost| cost.an_hour(poll)),
            hourly_of_another: hourly_of_another(account, poll),
            hourly_of_a_former_destination: sums(&former.collect::<Vec<_>>(), |cost| {
                cost.an_hour(poll)
            }),
            sweep: sweep(account.rate_limit, &calls, shard),
            log_lists: specs().map(|spec| log_lists(spec, &targets)).sum(),
            share: share(account.rate_limit, &calls, poll, shard),
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

/// So many instances of each service in each region in which they are looked for.
fn found(account: &AccountConfig, count: usize) -> Vec<Arc<Target>> {
    let Some(discover) = &account.discover else {
        return Vec::new();
    };
    let services = discover.services.iter();
    let searches = services.flat_map(|service| {
        let regions = discover.regions.iter();
        regions.map(move |region| (*service, region))
    });
    searches
        .flat_map(|search| (0..count).map(move |number| (search, number)))
        .map(|((service, region), number)| {
            let key = InstanceKey {
                provider: account.provider.label(),
                account: Arc::clone(&account.name),
                source_region: Arc::clone(region),
                instance_id: format!("found-{number}").into(),
                service,
            };
            Arc::new(discover.target(key))
        })
        .collect()
}

fn hourly_of_another(account: &AccountConfig, poll: &PollConfig) -> BTreeMap<&'static str, f64> {
    let Some(discover) = &account.discover else {
        return BTreeMap::new();
    };
    let regions = discover.regions.len();
    let hourly = |count| {
        let found = found(account, count);
        let services = discover.services.iter();
        let costs = services.flat_map(|service| costs(account, service.spec(), &found));
        sums(&costs.collect::<Vec<_>>(), |cost| cost.an_hour(poll))
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

fn sums<'a>(
    costs: impl IntoIterator<Item = &'a Cost>,
    count: impl Fn(&Cost) -> f64,
) -> BTreeMap<&'static str, f64> {
    let mut sums = BTreeMap::new();
    for cost in costs {
        *sums.entry(cost.operation).or_default() += count(cost);
    }
    sums
}

/// The queues in which the calls of a shard stand, each with the time between two of its calls and how many there are. A
/// configured limit makes one queue of the whole account; else each service has its own, or each of its operations.
fn queues(
    configured: Option<RateLimit>,
    calls: &[(&ServiceSpec, Vec<Cost>)],
    shard: Shard,
    count: impl Fn(&Cost) -> f64,
) -> Vec<(Duration, f64)> {
    if let Some(limit) = configured {
        let all = calls.iter().flat_map(|(_, costs)| costs);
        let all = sums(all, count).into_values().sum();
        return vec![(limit.spacing() * shard.count(), all)];
    }
    let queues = calls.iter().flat_map(|(spec, costs)| {
        let sums = sums(costs, &count).into_values();
        let calls = if spec.pace.per_operation {
            sums.collect()
        } else {
            vec![sums.sum()]
        };
        let spacing = spec.pace.spacing * shard.count();
        calls.into_iter().map(move |calls| (spacing, calls))
    });
    queues.collect()
}

fn sweep(
    configured: Option<RateLimit>,
    calls: &[(&ServiceSpec, Vec<Cost>)],
    shard: Shard,
) -> Duration {
    let often = |cost: &Cost| match cost.every {
        Every::Interval => f64::from(cost.calls),
        _ => 0.0,
    };
    let queues = queues(configured, calls, shard, often).into_iter();
    // The first call need not wait.
    let sweeps = queues.map(|(spacing, calls)| spacing.mul_f64((calls - 1.0).max(0.0)));
    sweeps.max().unwrap_or_default()
}

fn share(
    configured: Option<RateLimit>,
    calls: &[(&ServiceSpec, Vec<Cost>)],
    poll: &PollConfig,
    shard: Shard,
) -> f64 {
    let queues = queues(configured, calls, shard, |cost| cost.an_hour(poll)).into_iter();
    let shares = queues.map(|(spacing, calls)| calls * spacing.as_secs_f64() / 3600.0);
    shares.fold(0.0, f64::max)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::{DefaultPace, Service};

    #[test]
    fn services_are_asked_side_by_side_unless_a_limit_is_configured() {
        let spec = |service: Service, spacing, per_operation| ServiceSpec {
            pace: DefaultPace {
                spacing: Duration::from_secs(spacing),
                per_operation,
            },
            ..*service.spec()
        };
        let cost = |operation, calls, every| Cost {
            operation,
            calls,
            every,
        };
        let costs = vec![
            cost("Local", 11, Every::Interval),
            cost("Copies", 21, Every::Interval),
            cost("Policies", 1000, Every::PolicyInterval),
        ];
        let one = spec(Service::AlibabaRds, 1, true);
        let other = spec(Service::VolcengineRedis, 2, false);
        let calls = [(&one, costs.clone()), (&other, costs)];
        let seconds = |calls, limit: Option<&str>| {
            let limit = limit.map(|limit| RateLimit::parse(limit).unwrap());
            sweep(limit, calls, Shard::WHOLE).as_secs()
        };
        assert_eq!(seconds(&calls[..1], None), 20);
        assert_eq!(seconds(&calls[1..], None), 2 * 31);
        assert_eq!(seconds(&calls, None), 2 * 31);
        let alone = seconds(&calls[..1], Some("60/m"));
        assert_eq!((alone, seconds(&calls, Some("60/m"))), (31, 64));
        let poll = crate::config::DEFAULT_POLL;
        let share = |calls| share(None, calls, &poll, Shard::WHOLE);
        assert!(share(&calls[..1]) < share(&calls[1..]));
        assert_eq!(share(&calls).to_bits(), share(&calls[1..]).to_bits());
    }
}
