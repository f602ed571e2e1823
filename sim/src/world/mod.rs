//! What is true in the simulated cloud at a given moment: accounts and their keys, instances and
//! their backup sets. Pure: no I/O, no clock of its own, no vendor's spelling except in rows that a
//! test states literally. The vendors' faces read it and put it into their words.

mod history;
mod instance;
mod issued;
mod key;
mod logs;
mod policy;
mod stated;
mod truth;
#[cfg(test)]
pub(crate) mod varied;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::Value;

pub(crate) use history::{Backup, Copy, draw};
pub use instance::{
    Account, Destination, Engine, Instance, Logs, Project, Quirk, Schedule, SessionToken, Trouble,
    Vendor,
};
pub(crate) use issued::{Issue, OidcVerdict};
pub use issued::{IssuedKey, MetadataMode};
pub(crate) use key::{Key, Signer, TokenVerdict};
pub(crate) use logs::{Log, chains, windows};
pub(crate) use policy::Policy;
pub use stated::{CrossRegionSet, LocalSet};
pub use truth::{LogFile, Restorable, Truth};

use history::Mishaps;

/// Accounts and instances, and all that has been done to them.
#[derive(Debug, Default)]
pub(crate) struct World {
    accounts: BTreeMap<String, AccountState>,
    keys: BTreeMap<String, Key>,
    instances: BTreeMap<String, Holding>,
    /// Ids of read-only replicas by that of their primary; of those that were removed as well.
    replicas: BTreeMap<String, BTreeSet<String>>,
    /// Owner of instances that name none.
    first_account: String,
    stated_so_far: u64,
    /// When the first slot of every schedule begins.
    first_slot: DateTime<Utc>,
    issued: issued::Issued,
}

#[derive(Debug, Default)]
struct AccountState {
    vendor: Vendor,
    denied: BTreeSet<String>,
    requests_per_minute: Option<u32>,
}

/// An instance with everything that is listed for it.
#[derive(Debug)]
pub(crate) struct Holding {
    pub(crate) instance: Instance,
    mishaps: Mishaps,
    local: Vec<LocalSet>,
    cross_region: Vec<CrossRegionSet>,
    local_rows: Vec<Value>,
    cross_region_rows: Vec<Value>,
    /// When the instance was released; its sets outlive it.
    released: Option<DateTime<Utc>>,
}

impl Holding {
    /// Scheduled local backups, finished and not yet expired.
    pub(crate) fn backups(&self, now: DateTime<Utc>) -> Vec<Backup> {
        let mut backups = history::backups(&self.instance, &self.mishaps, now);
        backups.retain(|backup| self.in_lifetime(backup.end));
        backups
    }

    /// The scheduled backup that is being made, if one is.
    pub(crate) fn running(&self, now: DateTime<Utc>) -> Option<Backup> {
        history::running(&self.instance, &self.mishaps, now).filter(|_| !self.is_released())
    }

    /// When the next slot begins.
    pub(crate) fn next_start(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        history::next_start(&self.instance, &self.mishaps, now)
    }

    /// Copies of scheduled backups, finished and not yet expired.
    pub(crate) fn copies(&self, now: DateTime<Utc>) -> Vec<Copy> {
        let mut copies = history::copies(&self.instance, &self.mishaps, now);
        copies.retain(|copy| self.in_lifetime(copy.backup.end));
        copies
    }

    /// When the instance was copied to other regions, and when not.
    pub(crate) fn policy(&self) -> &Policy {
        &self.mishaps.policy
    }

    /// A destination has neither been left nor been switched off by itself.
    pub(crate) fn copies_to(&self, destination: &Destination) -> bool {
        destination.is_in_use() && self.mishaps.copies_to(&destination.region)
    }

    /// The instance is or was copied to other regions.
    pub(crate) fn was_ever_protected(&self) -> bool {
        let instance = &self.instance;
        !instance.destinations.is_empty()
            && !instance.cross_region_unsupported
            && instance.read_replica_of.is_none()
    }

    /// The instance is copied to other regions, unless something is wrong.
    pub(crate) fn is_protected(&self) -> bool {
        self.was_ever_protected() && self.policy().is_on()
    }

    pub(crate) fn is_released(&self) -> bool {
        self.released.is_some()
    }

    fn in_lifetime(&self, end: DateTime<Utc>) -> bool {
        self.released.is_none_or(|released| end <= released)
    }

    /// Literal rows of the local listing.
    pub(crate) fn local_rows(&self) -> &[Value] {
        &self.local_rows
    }

    /// Literal rows of the cross-region listing.
    pub(crate) fn cross_region_rows(&self) -> &[Value] {
        &self.cross_region_rows
    }

    /// Scheduled local backups whose retention ended less than `ago` ago.
    pub(crate) fn expired(&self, ago: Duration, now: DateTime<Utc>) -> Vec<Backup> {
        let until = now - self.instance.retention;
        history::ended_after(&self.instance, &self.mishaps, until - ago, until)
    }

    /// Log backups that begin in a range, finished and not yet expired.
    pub(crate) fn logs(
        &self,
        begun: RangeInclusive<DateTime<Utc>>,
        now: DateTime<Utc>,
    ) -> Vec<Log> {
        let mut logs = logs::logs(&self.instance, &self.mishaps, begun, now);
        logs.retain(|log| self.in_lifetime(log.end));
        logs
    }

    /// Copies of such log backups in a region.
    pub(crate) fn copied_logs(
        &self,
        region: &str,
        begun: RangeInclusive<DateTime<Utc>>,
        now: DateTime<Utc>,
    ) -> Vec<Log> {
        let mut logs = logs::copies(&self.instance, &self.mishaps, region, begun, now);
        logs.retain(|log| self.in_lifetime(log.end));
        logs
    }

    /// When the copy in `region` of a set that ended at `end` is there; `None` if it never will be.
    pub(crate) fn copied(&self, end: DateTime<Utc>, region: &str) -> Option<DateTime<Utc>> {
        let mut destinations = self.instance.destinations.iter();
        let destination = destinations.find(|destination| destination.region == region)?;
        self.mishaps.copied(end, destination)
    }

    /// Rows of the local listing that a test has stated.
    pub(crate) fn stated_local(&self, now: DateTime<Utc>) -> impl Iterator<Item = &LocalSet> {
        self.local
            .iter()
            .filter(move |set| set.listed_from.is_none_or(|from| from <= now))
    }

    /// Rows of the cross-region listing that a test has stated.
    pub(crate) fn stated_cross_region(
        &self,
        now: DateTime<Utc>,
    ) -> impl Iterator<Item = &CrossRegionSet> {
        self.cross_region
            .iter()
            .filter(move |set| set.listed_from.is_none_or(|from| from <= now))
    }
}

impl World {
    /// The world of a scenario, whose troubles are counted back from `now`.
    pub(crate) fn new(
        accounts: &[Account],
        instances: &[Instance],
        now: DateTime<Utc>,
        first_slot: DateTime<Utc>,
    ) -> Self {
        let mut world = Self {
            first_slot,
            ..Self::default()
        };
        for account in accounts {
            world.add_account(account, now);
        }
        for instance in instances {
            world.add_instance(instance.clone(), now);
        }
        world
    }

    /// Adds an account, or replaces the one of its name.
    pub(crate) fn add_account(&mut self, account: &Account, now: DateTime<Utc>) {
        let token = account.security_token.as_ref().map(|value| SessionToken {
            value: value.clone(),
            expires: account.token_expires_after.map(|after| now + after),
        });
        self.add_key(
            &account.name,
            &account.access_key_id,
            &account.access_key_secret,
            token,
        );
        let state = self.accounts.entry(account.name.clone()).or_default();
        state.vendor = account.vendor;
        state.denied = account.denied_operations.iter().cloned().collect();
        state.requests_per_minute = account
            .requests_per_minute
            .or_else(|| usual_limit(account.vendor));
    }

    pub(crate) fn add_key(
        &mut self,
        account: &str,
        id: &str,
        secret: &str,
        token: Option<SessionToken>,
    ) {
        if self.accounts.is_empty() {
            account.clone_into(&mut self.first_account);
        }
        self.accounts.entry(account.to_owned()).or_default();
        let key = Key {
            account: account.to_owned(),
            secret: secret.to_owned(),
            former_secrets: Vec::new(),
            token,
            active: true,
        };
        self.keys.insert(id.to_owned(), key);
    }

    /// The key `id`, if its account is with `vendor`.
    pub(crate) fn key(&self, vendor: Vendor, id: &str) -> Option<&Key> {
        let key = self.keys.get(id)?;
        let account = self.accounts.get(&key.account)?;
        (account.vendor == vendor).then_some(key)
    }

    pub(crate) fn set_secret(&mut self, id: &str, secret: &str) -> bool {
        let Some(key) = self.keys.get_mut(id) else {
            return false;
        };
        let former = std::mem::replace(&mut key.secret, secret.to_owned());
        key.former_secrets.push(former);
        true
    }

    pub(crate) fn disable_key(&mut self, id: &str) -> bool {
        let Some(key) = self.keys.get_mut(id) else {
            return false;
        };
        key.active = false;
        true
    }

    pub(crate) fn set_rate_limit(&mut self, account: &str, requests_per_minute: Option<u32>) {
        self.accounts
            .entry(account.to_owned())
            .or_default()
            .requests_per_minute = requests_per_minute;
    }

    pub(crate) fn rate_limit(&self, account: &str) -> Option<u32> {
        self.accounts.get(account)?.requests_per_minute
    }

    pub(crate) fn deny(&mut self, account: &str, operation: &str) {
        self.accounts
            .entry(account.to_owned())
            .or_default()
            .denied
            .insert(operation.to_owned());
    }

    pub(crate) fn allow(&mut self, account: &str, operation: &str) {
        self.accounts
            .entry(account.to_owned())
            .or_default()
            .denied
            .remove(operation);
    }

    pub(crate) fn is_denied(&self, account: &str, operation: &str) -> bool {
        self.accounts
            .get(account)
            .is_some_and(|state| state.denied.contains(operation))
    }

    pub(crate) fn add_instance(&mut self, mut instance: Instance, now: DateTime<Utc>) {
        if instance.account.is_empty() {
            instance.account.clone_from(&self.first_account);
        }
        let mut mishaps = Mishaps::of(&instance, now);
        mishaps.first_slot = self.first_slot;
        let released = instance.trouble.iter().find_map(|trouble| match trouble {
            Trouble::Released { since } => Some(now - *since),
            _ => None,
        });
        let holding = Holding {
            mishaps,
            local: Vec::new(),
            cross_region: Vec::new(),
            local_rows: Vec::new(),
            cross_region_rows: Vec::new(),
            released,
            instance,
        };
        if let Some(primary) = &holding.instance.read_replica_of {
            let replicas = self.replicas.entry(primary.clone()).or_default();
            replicas.insert(holding.instance.id.clone());
        }
        self.instances.insert(holding.instance.id.clone(), holding);
    }

    pub(crate) fn remove_instance(&mut self, id: &str) -> bool {
        self.instances.remove(id).is_some()
    }

    /// Names of the accounts with a vendor.
    pub(crate) fn accounts_with(&self, vendor: Vendor) -> impl Iterator<Item = &str> {
        self.accounts
            .iter()
            .filter(move |(_, state)| state.vendor == vendor)
            .map(|(name, _)| name.as_str())
    }

    /// The read-only replicas that there are of an instance, in its account and region.
    pub(crate) fn replicas_of(&self, primary: &Instance) -> impl Iterator<Item = &Instance> {
        let ids = self.replicas.get(&primary.id).into_iter().flatten();
        let holdings = ids.filter_map(|id| self.instances.get(id));
        holdings
            .filter(|holding| !holding.is_released())
            .map(|holding| &holding.instance)
            .filter(|replica| {
                replica.read_replica_of.as_ref() == Some(&primary.id)
                    && (&replica.account, &replica.region) == (&primary.account, &primary.region)
            })
    }

    /// Everything that an account owns.
    pub(crate) fn holdings(&self, account: &str) -> impl Iterator<Item = &Holding> {
        self.instances
            .values()
            .filter(move |holding| holding.instance.account == account)
    }

    /// Whether there is an instance `id`, whoever owns it.
    pub(crate) fn has_instance(&self, id: &str) -> bool {
        self.instances.contains_key(id)
    }

    /// Releases an instance; its sets stay until they expire.
    pub(crate) fn release_instance(&mut self, id: &str, now: DateTime<Utc>) -> bool {
        let Some(holding) = self.instances.get_mut(id) else {
            return false;
        };
        holding.released.get_or_insert(now);
        true
    }

    /// The instance `id`, if `account` owns it and has not released it.
    pub(crate) fn holding(&self, account: &str, id: &str) -> Option<&Holding> {
        let holding = self.holding_or_released(account, id);
        holding.filter(|holding| !holding.is_released())
    }

    /// The instance `id`, if `account` owns it or has owned it until its release.
    pub(crate) fn holding_or_released(&self, account: &str, id: &str) -> Option<&Holding> {
        let holding = self.instances.get(id);
        holding.filter(|holding| holding.instance.account == account)
    }

    /// What an account has or had in a region.
    pub(crate) fn holdings_in(
        &self,
        account: &str,
        region: &str,
    ) -> impl Iterator<Item = &Holding> {
        self.instances.values().filter(move |holding| {
            holding.instance.account == account && holding.instance.region == region
        })
    }

    /// Adds a row to the local listing, in the words of the instance's vendor.
    pub(crate) fn add_local_row(&mut self, instance: &str, row: Value) -> bool {
        let Some(holding) = self.instances.get_mut(instance) else {
            return false;
        };
        holding.local_rows.push(row);
        true
    }

    /// Adds a row to the cross-region listing, in the words of the instance's vendor.
    pub(crate) fn add_cross_region_row(&mut self, instance: &str, row: Value) -> bool {
        let Some(holding) = self.instances.get_mut(instance) else {
            return false;
        };
        holding.cross_region_rows.push(row);
        true
    }

    pub(crate) fn add_local_set(&mut self, instance: &str, mut set: LocalSet) -> bool {
        self.choose_id(&mut set.id);
        let Some(holding) = self.instances.get_mut(instance) else {
            return false;
        };
        holding.local.push(set);
        true
    }

    pub(crate) fn add_cross_region_set(&mut self, instance: &str, mut set: CrossRegionSet) -> bool {
        self.choose_id(&mut set.id);
        let Some(holding) = self.instances.get_mut(instance) else {
            return false;
        };
        holding.cross_region.push(set);
        true
    }

    /// Ids of stated sets lie beyond those of scheduled ones and beyond what fits into 32 bits.
    fn choose_id(&mut self, id: &mut Value) {
        if id.is_null() {
            self.stated_so_far += 1;
            *id = Value::from(9_000_000_000_000 + self.stated_so_far);
        }
    }

    /// Makes the scheduled backup fail whose slot contains `at`; without a schedule a failed set is
    /// stated at that moment.
    pub(crate) fn fail_backup(&mut self, instance: &str, at: DateTime<Utc>) -> bool {
        let Some(holding) = self.instances.get_mut(instance) else {
            return false;
        };
        if holding.mishaps.fail(&holding.instance, at) {
            return true;
        }
        let failed = LocalSet {
            status: Some("Failed".into()),
            size: 0.into(),
            is_available: Some(0.into()),
            extra: [("MetaStatus".to_owned(), "EMPTY".into())]
                .into_iter()
                .collect(),
            ..LocalSet::completed(at, at)
        };
        self.add_local_set(instance, failed)
    }

    pub(crate) fn stop_copies(&mut self, instance: &str, now: DateTime<Utc>) -> bool {
        self.change(instance, |mishaps| mishaps.stop_copies(now))
    }

    pub(crate) fn resume_copies(&mut self, instance: &str, now: DateTime<Utc>) -> bool {
        self.change(instance, |mishaps| mishaps.resume_copies(now))
    }

    pub(crate) fn stop_logs(&mut self, instance: &str, now: DateTime<Utc>) -> bool {
        self.change(instance, |mishaps| mishaps.stop_logs(now))
    }

    pub(crate) fn resume_logs(&mut self, instance: &str, now: DateTime<Utc>) -> bool {
        self.change(instance, |mishaps| mishaps.resume_logs(now))
    }

    pub(crate) fn lose_logs(
        &mut self,
        instance: &str,
        from: DateTime<Utc>,
        to: DateTime<Utc>,
    ) -> bool {
        self.change(instance, |mishaps| mishaps.lose_logs(from, to))
    }

    pub(crate) fn switch_policy_off(&mut self, instance: &str, now: DateTime<Utc>) -> bool {
        self.change(instance, |mishaps| mishaps.policy.switch_off(now))
    }

    pub(crate) fn switch_policy_on(&mut self, instance: &str, now: DateTime<Utc>) -> bool {
        self.change(instance, |mishaps| mishaps.policy.switch_on(now))
    }

    pub(crate) fn leave_destination(
        &mut self,
        instance: &str,
        region: &str,
        (until, is_named): (DateTime<Utc>, bool),
    ) -> bool {
        let Some(holding) = self.instances.get_mut(instance) else {
            return false;
        };
        let mut destinations = holding.instance.destinations.iter_mut();
        let Some(left) = destinations.find(|destination| destination.region == region) else {
            return false;
        };
        left.until = Some(until);
        left.is_named = is_named;
        true
    }

    pub(crate) fn add_destination(&mut self, instance: &str, destination: Destination) -> bool {
        let Some(holding) = self.instances.get_mut(instance) else {
            return false;
        };
        holding.instance.destinations.push(destination);
        true
    }

    pub(crate) fn set_idle(&mut self, instance: &str, since: Option<DateTime<Utc>>) -> bool {
        self.change(instance, |mishaps| mishaps.idle_since = since)
    }

    pub(crate) fn switch_destination_off(
        &mut self,
        id: &str,
        region: &str,
        now: DateTime<Utc>,
    ) -> bool {
        self.change(id, |mishaps| mishaps.switch_destination_off(region, now))
    }

    pub(crate) fn switch_destination_on(
        &mut self,
        id: &str,
        region: &str,
        now: DateTime<Utc>,
    ) -> bool {
        self.change(id, |mishaps| mishaps.switch_destination_on(region, now))
    }

    pub(crate) fn begin_quirk(&mut self, id: &str, quirk: Quirk, from: DateTime<Utc>) -> bool {
        self.change(id, |mishaps| mishaps.begin_quirk(quirk, from))
    }

    pub(crate) fn end_quirk(&mut self, id: &str, quirk: Quirk, now: DateTime<Utc>) -> bool {
        self.change(id, |mishaps| mishaps.end_quirk(quirk, now))
    }

    fn change(&mut self, instance: &str, change: impl FnOnce(&mut Mishaps)) -> bool {
        let Some(holding) = self.instances.get_mut(instance) else {
            return false;
        };
        change(&mut holding.mishaps);
        true
    }
}

/// The limit that an account has from the start. Huawei's pages state one for every user.
fn usual_limit(vendor: Vendor) -> Option<u32> {
    (vendor == Vendor::Huawei).then_some(60)
}
