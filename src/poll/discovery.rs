//! Looks for the instances of a region. What is done about them is `crew`'s business.

use std::collections::BTreeSet;

use super::account::Account;
use super::{Ground, unless_it_panics};
use crate::facts::{RegionFacts, RegionKey};
use crate::provider::error::{ListError, VendorWord};
use crate::provider::internal_error;

/// So many searches after it is known to be gone an instance is forgotten: with the default interval after an hour, in
/// which whoever is on call can see that it is gone.
const GONE_BEFORE_FORGOTTEN: u32 = 6;

/// One attempt, recorded whatever comes of it.
pub(super) async fn run(ground: &Ground, account: &Account, key: &RegionKey) {
    let courier = account.courier(key.service, false);
    let looking = account
        .provider
        .discover(key.service, &key.region, &courier);
    let mut outcome = unless_it_panics(looking)
        .await
        .unwrap_or_else(|()| Err(internal_error("discovery", "all instances", &key.region)));
    // The vendors list whole regions. What belongs to another shard is not even counted, lest it be counted twice.
    if let Ok(inventory) = &mut outcome {
        let is_own = |id: &str| ground.shard.owns(key.provider, &key.account, id);
        inventory.instances.retain(|found| is_own(&found.id));
        inventory.outlived.retain(|id| is_own(id));
    }
    // What the end of the exporter overtook has not failed.
    if outcome.is_err() && account.is_stopping() {
        return;
    }
    let before = ground.facts.region(key).unwrap_or_default();
    let error = outcome.as_ref().err().cloned();
    let grace = account
        .poll
        .discovery_interval
        .saturating_mul(GONE_BEFORE_FORGOTTEN);
    ground
        .facts
        .record_inventory(key, ground.clock.now(), grace, outcome);
    let after = ground.facts.region(key).unwrap_or_default();
    tell(key, &before, &after, error.as_ref());
}

/// Says what has changed, and nothing as long as nothing does.
fn tell(key: &RegionKey, before: &RegionFacts, after: &RegionFacts, error: Option<&ListError>) {
    let RegionKey {
        provider,
        account,
        region,
        ..
    } = key;
    let reason = |facts: &RegionFacts| {
        let failure = facts.last_attempt.as_ref()?.failure.as_ref()?;
        Some(failure.reason)
    };
    if let Some(error) = error {
        if reason(before) != Some(error.reason) {
            let reason = error.reason.label();
            let request_id = error.request_id.as_ref().map(VendorWord::as_str);
            tracing::warn!(provider, %account, %region, reason, request_id, %error, "instances cannot be looked for; what is watched stays");
        }
        return;
    }
    if reason(before).is_some() {
        tracing::info!(provider, %account, %region, "instances can be looked for again");
    }
    let ids = |facts: &RegionFacts| -> BTreeSet<String> {
        facts.present().map(|(id, _)| id.clone()).collect()
    };
    let (had, has) = (ids(before), ids(after));
    if before.last_success.is_none() {
        tracing::info!(provider, %account, %region, instances = has.len(), "instances found");
        return;
    }
    let list = |ids: Vec<&String>| {
        const MOST: usize = 10;
        let mut shown: Vec<_> = ids.iter().take(MOST).map(|id| id.as_str()).collect();
        if ids.len() > MOST {
            shown.push("…");
        }
        shown.join(" ")
    };
    let new: Vec<_> = has.difference(&had).collect();
    if !new.is_empty() {
        let (count, ids) = (new.len(), list(new));
        tracing::info!(provider, %account, %region, count, ids, "new instances found");
    }
    let missing: Vec<_> = had.difference(&has).collect();
    if !missing.is_empty() {
        let (count, ids) = (missing.len(), list(missing));
        tracing::warn!(provider, %account, %region, count, ids, "instances are missing from the list; they are watched as before");
    }
}
