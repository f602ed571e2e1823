//! What is polled in one go: one listing of one instance, or of several instances of a region where one call answers for
//! them, or the instances of a region themselves.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use crate::backup::ListingKind;
use crate::config::{AccountConfig, PollConfig};
use crate::facts::RegionKey;
use crate::service::{Service, Together};
use crate::target::{InstanceKey, Target};

/// One listing of one instance: what is polled.
pub(super) type ListingKey = (InstanceKey, ListingKind);

/// A task of the poller.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Errand {
    /// Which instances of a service a region has.
    Discover(RegionKey),
    /// One listing of one instance.
    One(ListingKey),
    /// One listing of several watched instances of a service and a region.
    Together {
        /// Whose instances they are.
        service: Service,
        /// Which listing.
        kind: ListingKind,
        /// In the order in which they are watched. Another list is another errand: a new instance is not to wait for the
        /// next turn of the old.
        instances: Vec<InstanceKey>,
    },
}

impl Errand {
    /// The instances that it asks about.
    pub(super) fn instances(&self) -> &[InstanceKey] {
        match self {
            Self::Discover(_) => &[],
            Self::One((instance, _)) => std::slice::from_ref(instance),
            Self::Together { instances, .. } => instances,
        }
    }

    /// How many listings it reads.
    pub(super) fn listings(&self) -> usize {
        match self {
            Self::Discover(_) | Self::One(_) => 1,
            Self::Together { instances, .. } => instances.len(),
        }
    }

    /// The listings whose sets tell when it is worth being run; none if it is run at fixed intervals anyway.
    pub(super) fn listings_that_tell(&self) -> Vec<ListingKey> {
        match self {
            Self::Discover(_) => Vec::new(),
            Self::One((_, kind)) | Self::Together { kind, .. } if kind.is_slow() => Vec::new(),
            Self::One(key) => vec![key.clone()],
            Self::Together {
                kind, instances, ..
            } => {
                let keys = instances.iter().map(|instance| (instance.clone(), *kind));
                keys.collect()
            }
        }
    }

    /// Whether it lists the copies of what the other errand lists.
    pub(super) fn lists_copies_of(&self, other: &Self) -> bool {
        let keys = |errand: &Self, wanted| {
            let keys = errand.listings_that_tell().into_iter();
            keys.filter_map(move |(instance, kind)| (kind == wanted).then_some(instance))
        };
        let originals: HashSet<_> = keys(other, ListingKind::Local).collect();
        let mut copies = keys(self, ListingKind::CrossRegion);
        copies.any(|copied| originals.contains(&copied))
    }

    /// The line in which it waits before it begins: that of its service's listing in its region. A search has none.
    pub(super) fn line(&self) -> Option<(Service, &Arc<str>, ListingKind)> {
        let (instance, kind) = match self {
            Self::Discover(_) => return None,
            Self::One((instance, kind)) => (Some(instance), kind),
            Self::Together {
                kind, instances, ..
            } => (instances.first(), kind),
        };
        instance.map(|instance| (instance.service, &instance.source_region, *kind))
    }

    /// How often it is run, where that is fixed.
    pub(super) fn interval(&self, poll: &PollConfig) -> Duration {
        let kind = match self {
            Self::Discover(_) => return poll.discovery_interval,
            Self::One((_, kind)) | Self::Together { kind, .. } => kind,
        };
        if kind.is_slow() {
            poll.policy_interval
        } else {
            poll.interval
        }
    }
}

/// Every listing of these instances, one instance after the other.
pub(super) fn listing_keys(targets: &[Arc<Target>]) -> impl Iterator<Item = ListingKey> {
    targets.iter().flat_map(|target| {
        let key = &target.key;
        target.listings.iter().map(|kind| (key.clone(), *kind))
    })
}

/// Where an account's instances have to be looked for.
pub(super) fn searches(config: &AccountConfig) -> Vec<RegionKey> {
    let discover = config.discover.iter();
    let searches = discover.flat_map(|discover| {
        let regions = discover.regions.iter();
        regions.flat_map(|region| {
            let services = discover.services.iter();
            services.map(move |service| (region, *service))
        })
    });
    searches
        .map(|(region, service)| RegionKey {
            provider: config.provider.label(),
            account: Arc::clone(&config.name),
            region: Arc::clone(region),
            service,
        })
        .collect()
}

/// Everything that has to be asked about these instances. What changes often comes first, as it matters most.
///
/// `before` are the errands of before: a batch that is full stays as it is, so that one new instance does not make a new
/// batch of each.
pub(super) fn errands<'a>(
    targets: &[Arc<Target>],
    before: impl Iterator<Item = &'a Errand>,
) -> Vec<Errand> {
    let mut errands = Vec::new();
    let together = |service: Service, kind| service.spec().together(kind);
    let mut regions: BTreeMap<(Arc<str>, ListingKind, Service), Vec<InstanceKey>> = BTreeMap::new();
    for (instance, kind) in listing_keys(targets) {
        let service = instance.service;
        if together(service, kind) == Together::None {
            errands.push(Errand::One((instance, kind)));
        } else {
            let region = Arc::clone(&instance.source_region);
            let batch = regions.entry((region, kind, service));
            batch.or_default().push(instance);
        }
    }
    let asked: HashSet<ListingKey> = regions
        .iter()
        .flat_map(|((_, kind, _), instances)| {
            instances.iter().map(|instance| (instance.clone(), *kind))
        })
        .collect();
    let mut settled: HashSet<ListingKey> = HashSet::new();
    for errand in before {
        let Errand::Together {
            service,
            kind,
            instances,
        } = errand
        else {
            continue;
        };
        let keys = || instances.iter().map(|instance| (instance.clone(), *kind));
        let is_full = together(*service, *kind) == Together::UpTo(instances.len());
        if is_full && keys().all(|key| asked.contains(&key)) {
            settled.extend(keys());
            errands.push(errand.clone());
        }
    }
    for ((_, kind, service), instances) in regions {
        let most = match together(service, kind) {
            Together::UpTo(most) => most,
            Together::None | Together::All => instances.len(),
        };
        let open: Vec<_> = instances
            .into_iter()
            .filter(|instance| !settled.contains(&(instance.clone(), kind)))
            .collect();
        let batches = open.chunks(most.max(1)).map(<[InstanceKey]>::to_vec);
        errands.extend(batches.map(|instances| Errand::Together {
            service,
            kind,
            instances,
        }));
    }
    errands.sort_by_key(|errand| match errand {
        Errand::Discover(_) => false,
        Errand::One((_, kind)) | Errand::Together { kind, .. } => kind.is_slow(),
    });
    errands
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::example::target;

    fn targets(count: usize, region: &str, service: Service) -> Vec<Arc<Target>> {
        let of = |number| {
            let mut target = target(&format!("{region}-{number}"));
            target.key.source_region = region.into();
            target.key.service = service;
            target.listings = service.spec().listings.to_vec();
            Arc::new(target)
        };
        (0..count).map(of).collect()
    }

    fn sizes(errands: &[Errand], wanted: ListingKind) -> Vec<usize> {
        let of_kind = errands.iter().filter(|errand| match errand {
            Errand::Discover(_) => false,
            Errand::One((_, kind)) | Errand::Together { kind, .. } => *kind == wanted,
        });
        of_kind.map(Errand::listings).collect()
    }

    #[test]
    fn what_one_call_answers_for_is_asked_together_within_a_region() {
        let alibaba = [
            targets(31, "cn-hangzhou", Service::AlibabaRds),
            targets(60, "cn-shanghai", Service::AlibabaRds),
        ];
        let alibaba = errands(&alibaba.concat(), [].iter());
        assert_eq!(sizes(&alibaba, ListingKind::Policy), [30, 1, 30, 30]);
        assert_eq!(sizes(&alibaba, ListingKind::CrossRegion), [1; 91]);
        let volcengine = [
            targets(150, "cn-beijing", Service::VolcengineRedis),
            targets(1, "cn-shanghai", Service::VolcengineRedis),
        ];
        let volcengine = errands(&volcengine.concat(), [].iter());
        assert_eq!(sizes(&volcengine, ListingKind::Local), [150, 1]);
        assert_eq!(sizes(&volcengine, ListingKind::Policy), [1; 151]);
    }

    #[test]
    fn a_batch_has_instances_of_one_service_only() {
        let here = "cn-hangzhou";
        let mixed = |service| targets(40, here, service);
        let (one, other) = (mixed(Service::VolcengineRedis), mixed(Service::AlibabaRds));
        let turns = one.into_iter().zip(other);
        let mut all: Vec<_> = turns.flat_map(|(one, other)| [one, other]).collect();
        // The ids tell nothing.
        for (number, target) in all.iter_mut().enumerate() {
            Arc::make_mut(target).key.instance_id = format!("db-{number}").into();
        }
        let mut before = Vec::new();
        for _ in 0..2 {
            before = errands(&all, before.iter());
            assert_eq!(sizes(&before, ListingKind::Policy).len(), 40 + 2);
            assert_eq!(sizes(&before, ListingKind::Local).len(), 40 + 1);
            for errand in &before {
                if let Errand::Together {
                    service, instances, ..
                } = errand
                {
                    let mut instances = instances.iter();
                    assert!(instances.all(|instance| instance.service == *service));
                }
            }
        }
    }

    #[test]
    fn a_new_instance_makes_one_new_batch_and_a_lost_one_too() {
        let batches = |targets: &[Arc<Target>], before: &[Errand]| -> Vec<Errand> {
            let errands = errands(targets, before.iter());
            let together = errands.into_iter();
            together
                .filter(|errand| matches!(errand, Errand::Together { .. }))
                .collect()
        };
        let new = |before: &[Errand], after: &[Errand]| {
            let is_new = |errand: &&Errand| !before.contains(errand);
            after.iter().filter(is_new).count()
        };
        let all = targets(100, "cn-hangzhou", Service::AlibabaRds);
        // The newest comes first in the list, and would move all others.
        let (newest, old) = all.split_last().unwrap();
        let before = batches(old, &[]);
        assert_eq!(sizes(&before, ListingKind::Policy), [30, 30, 30, 9]);
        let with_newest = [std::slice::from_ref(newest), old].concat();
        let after = batches(&with_newest, &before);
        assert_eq!(sizes(&after, ListingKind::Policy), [30, 30, 30, 10]);
        assert_eq!(new(&before, &after), 1);
        // One of a full batch leaves: its others move up to those that are left.
        let without = batches(&old[1..], &before);
        assert_eq!(sizes(&without, ListingKind::Policy), [30, 30, 30, 8]);
        assert_eq!(new(&before, &without), 2);
        // Nothing has changed.
        assert_eq!(new(&before, &batches(old, &before)), 0);
    }

    #[test]
    fn what_changes_often_is_asked_first() {
        let targets = targets(3, "cn-north-4", Service::HuaweiRds);
        let errands = errands(&targets, [].iter());
        let slow: Vec<_> = errands
            .iter()
            .map(|errand| errand.interval(&crate::config::DEFAULT_POLL))
            .collect();
        assert_eq!(errands.len(), 15);
        assert!(slow.is_sorted());
    }
}
