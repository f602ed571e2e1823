//! What is polled in one go: one listing of one instance, or of several instances of a region where one call answers for
//! them, or the instances of a region themselves.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::account::{ListingKey, listing_keys};
use crate::backup::ListingKind;
use crate::config::{AccountConfig, PollConfig};
use crate::facts::RegionKey;
use crate::target::{InstanceKey, Target};
use crate::vendor::{Together, Vendor};

/// A task of the poller.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Errand {
    /// Which instances a region has.
    Discover(RegionKey),
    /// One listing of one instance.
    One(ListingKey),
    /// One listing of several watched instances of a region.
    Together {
        /// Which listing.
        kind: ListingKind,
        /// In the order in which they are watched. Another list is another errand: a new instance is not to wait for the
        /// next turn of the old.
        instances: Vec<InstanceKey>,
    },
}

impl Errand {
    /// How many listings it reads.
    pub(super) fn listings(&self) -> usize {
        match self {
            Self::Discover(_) | Self::One(_) => 1,
            Self::Together { instances, .. } => instances.len(),
        }
    }

    /// How often it is run.
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

/// Where an account's instances have to be looked for.
pub(super) fn searches(config: &AccountConfig) -> Vec<RegionKey> {
    let discover = config.discover.iter();
    let regions = discover.flat_map(|discover| &discover.regions);
    regions
        .map(|region| RegionKey {
            provider: config.provider.label(),
            account: Arc::clone(&config.name),
            region: Arc::clone(region),
        })
        .collect()
}

/// Everything that has to be asked about these instances. What changes often comes first, as it matters most.
pub(super) fn errands(provider: Vendor, targets: &[Arc<Target>]) -> Vec<Errand> {
    let mut errands = Vec::new();
    let mut regions: BTreeMap<(Arc<str>, ListingKind), Vec<InstanceKey>> = BTreeMap::new();
    for (instance, kind) in listing_keys(targets) {
        if provider.together(kind) == Together::None {
            errands.push(Errand::One((instance, kind)));
        } else {
            let region = Arc::clone(&instance.source_region);
            regions.entry((region, kind)).or_default().push(instance);
        }
    }
    for ((_, kind), mut instances) in regions {
        let most = match provider.together(kind) {
            Together::UpTo(most) => most,
            Together::None | Together::All => instances.len(),
        };
        while !instances.is_empty() {
            let rest = instances.split_off(most.min(instances.len()));
            errands.push(Errand::Together { kind, instances });
            instances = rest;
        }
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

    fn targets(count: usize, region: &str, provider: Vendor) -> Vec<Arc<Target>> {
        let of = |number| {
            let mut target = target(&format!("{region}-{number}"));
            target.key.source_region = region.into();
            target.listings = provider.listings().to_vec();
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
            targets(31, "cn-hangzhou", Vendor::Alibaba),
            targets(60, "cn-shanghai", Vendor::Alibaba),
        ];
        let alibaba = errands(Vendor::Alibaba, &alibaba.concat());
        assert_eq!(sizes(&alibaba, ListingKind::Policy), [30, 1, 30, 30]);
        assert_eq!(sizes(&alibaba, ListingKind::CrossRegion), [1; 91]);
        let volcengine = [
            targets(150, "cn-beijing", Vendor::Volcengine),
            targets(1, "cn-shanghai", Vendor::Volcengine),
        ];
        let volcengine = errands(Vendor::Volcengine, &volcengine.concat());
        assert_eq!(sizes(&volcengine, ListingKind::Local), [150, 1]);
        assert_eq!(sizes(&volcengine, ListingKind::Policy), [1; 151]);
    }

    #[test]
    fn what_changes_often_is_asked_first() {
        let errands = errands(Vendor::Huawei, &targets(3, "cn-north-4", Vendor::Huawei));
        let slow: Vec<_> = errands
            .iter()
            .map(|errand| errand.interval(&crate::config::DEFAULT_POLL))
            .collect();
        assert_eq!(errands.len(), 15);
        assert!(slow.is_sorted());
    }
}
