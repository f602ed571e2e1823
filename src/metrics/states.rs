//! How many instances a region has, by their state.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::facts::{RegionFacts, RegionKey};
use crate::posture::Posture;
use crate::target::InstanceKey;

/// The instances of each region, by provider, account and region.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct States(pub BTreeMap<(&'static str, Arc<str>, Arc<str>), RegionStates>);

/// How an instance is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Existence {
    Present,
    Missing,
    Gone,
}

impl Existence {
    pub(super) const fn of(posture: &Posture) -> Self {
        match posture {
            Posture { gone: true, .. } => Self::Gone,
            Posture { missing: true, .. } => Self::Missing,
            _ => Self::Present,
        }
    }
}

/// The instances of a region.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct RegionStates {
    pub monitored: u64,
    /// Known only where instances are looked for.
    pub unmonitored: Option<u64>,
    /// Of the monitored.
    pub missing: u64,
    pub gone: u64,
}

impl States {
    /// Counts the instances that are watched, each with how it is there, and those that were found. `regions` are in the order
    /// of their keys.
    ///
    /// `is_watched` tells the same of single instances.
    pub(super) fn count<'a>(
        watched: impl Iterator<Item = (&'a InstanceKey, Existence)>,
        regions: &[(RegionKey, Arc<RegionFacts>)],
        is_watched: impl Fn(&InstanceKey) -> bool,
    ) -> Self {
        let mut states = Self::default();
        for (key, existence) in watched {
            let region = states.region(key.provider, &key.account, &key.source_region);
            match existence {
                Existence::Gone => region.gone += 1,
                Existence::Missing => {
                    region.monitored += 1;
                    region.missing += 1;
                }
                Existence::Present => region.monitored += 1,
            }
        }
        for services in regions.chunk_by(|(one, _), (other, _)| one.is_same_region(other)) {
            // A sum that lacks a service would grow when that is listed.
            if services
                .iter()
                .any(|(_, found)| found.last_success.is_none())
            {
                continue;
            }
            for (key, found) in services {
                let is_other = |id: &str| !is_watched(&key.instance(id));
                let present = found.present().filter(|(id, _)| is_other(id));
                let outlived = found.outlived.iter().filter(|id| is_other(id));
                let region = states.region(key.provider, &key.account, &key.region);
                *region.unmonitored.get_or_insert_default() += present.count() as u64;
                region.gone += outlived.count() as u64;
            }
        }
        states
    }

    fn region(
        &mut self,
        provider: &'static str,
        account: &Arc<str>,
        region: &Arc<str>,
    ) -> &mut RegionStates {
        let key = (provider, Arc::clone(account), Arc::clone(region));
        self.0.entry(key).or_default()
    }
}
