//! How many instances a region has, by their state.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::facts::{RegionFacts, RegionKey};
use crate::target::InstanceKey;

/// The instances of each region, by provider, account and region.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct States(pub BTreeMap<(&'static str, Arc<str>, Arc<str>), RegionStates>);

/// The instances of a region.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct RegionStates {
    pub monitored: u64,
    /// Known only where instances are looked for.
    pub unmonitored: Option<u64>,
    pub gone: u64,
}

impl States {
    /// Counts the instances that are watched, each with whether it is gone, and those that were found.
    ///
    /// `is_watched` tells the same of single instances.
    pub(super) fn count<'a>(
        watched: impl Iterator<Item = (&'a InstanceKey, bool)>,
        regions: &[(RegionKey, Arc<RegionFacts>)],
        is_watched: impl Fn(&InstanceKey) -> bool,
    ) -> Self {
        let mut states = Self::default();
        for (key, gone) in watched {
            let region = states.region(key.provider, &key.account, &key.source_region);
            *(if gone {
                &mut region.gone
            } else {
                &mut region.monitored
            }) += 1;
        }
        for (key, found) in regions {
            if found.last_success.is_none() {
                continue;
            }
            let is_other = |id: &str| {
                !is_watched(&InstanceKey {
                    provider: key.provider,
                    account: Arc::clone(&key.account),
                    source_region: Arc::clone(&key.region),
                    instance_id: id.into(),
                })
            };
            let present = found.instances.iter();
            let present =
                present.filter(|(id, listed)| listed.gone_since.is_none() && is_other(id));
            let outlived = found.outlived.iter().filter(|id| is_other(id));
            let region = states.region(key.provider, &key.account, &key.region);
            region.unmonitored = Some(present.count() as u64);
            region.gone += outlived.count() as u64;
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
