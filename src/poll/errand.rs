//! What is polled in one go: one listing of one instance, or of all instances of a region where one call answers for
//! them.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::account::{ListingKey, listing_keys};
use crate::backup::ListingKind;
use crate::config::AccountConfig;
use crate::target::InstanceKey;
use crate::vendor::Together;

/// A task of the poller.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Errand {
    /// One listing of one instance.
    One(ListingKey),
    /// One listing of all watched instances of a region.
    Together {
        /// Which listing.
        kind: ListingKind,
        /// In the order of the configuration. Another list is another errand: a new instance is not to wait for the
        /// next turn of the old.
        instances: Vec<InstanceKey>,
    },
}

impl Errand {
    /// How many listings it reads.
    pub(super) fn listings(&self) -> usize {
        match self {
            Self::One(_) => 1,
            Self::Together { instances, .. } => instances.len(),
        }
    }
}

/// Everything that an account has to be asked for.
pub(super) fn errands(config: &AccountConfig) -> Vec<Errand> {
    let mut errands = Vec::new();
    let mut regions: BTreeMap<(Arc<str>, ListingKind), Vec<InstanceKey>> = BTreeMap::new();
    for (instance, kind) in listing_keys(config) {
        if config.provider.together(kind) == Together::None {
            errands.push(Errand::One((instance, kind)));
        } else {
            let region = Arc::clone(&instance.source_region);
            regions.entry((region, kind)).or_default().push(instance);
        }
    }
    for ((_, kind), mut instances) in regions {
        let most = match config.provider.together(kind) {
            Together::UpTo(most) => most,
            Together::None | Together::All => instances.len(),
        };
        while !instances.is_empty() {
            let rest = instances.split_off(most.min(instances.len()));
            errands.push(Errand::Together { kind, instances });
            instances = rest;
        }
    }
    errands
}
