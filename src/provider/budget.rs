//! What an account asks for, how often at the least, and how many calls that takes. Pure: it follows from the configuration
//! and from the rows of [`ServiceSpec`].

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::page::PAGE_CAP;
use crate::backup::ListingKind;
use crate::config::{AccountConfig, Discover, PollConfig};
use crate::service::{Asked, Calls, Operation, ServiceSpec, Together};
use crate::target::Target;

/// The calls beyond the first that a list takes once, when log files are read back to the newest set: where one is made
/// every day and a log every five minutes, and at the most.
pub const CALLS_BACK: (u32, u32) = (3, PAGE_CAP - 1);

/// The operations that an account's configuration asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Operations {
    /// Those behind each listing.
    pub listings: Vec<(ListingKind, &'static str)>,
    /// Those that look for instances.
    pub discovery: Vec<&'static str>,
}

impl Operations {
    /// Each operation, those first that listings take.
    pub fn all(&self) -> impl Iterator<Item = &'static str> + use<'_> {
        let listings = self.listings.iter().map(|(_, operation)| *operation);
        listings.chain(self.discovery.iter().copied())
    }
}

/// Calls of one operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cost {
    /// Its name, as [`Operation::name`] has it.
    pub operation: &'static str,
    /// How many, at the least.
    pub calls: u32,
    /// How often.
    pub every: Every,
}

impl Cost {
    /// Calls an hour.
    pub fn an_hour(&self, poll: &PollConfig) -> f64 {
        const HOUR: f64 = 3600.0;
        f64::from(self.calls) * HOUR / self.every.interval(poll).as_secs_f64()
    }
}

/// How often something is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Every {
    /// Once every `poll.interval`.
    Interval,
    /// Once every `poll.policy_interval`.
    PolicyInterval,
    /// Once every `poll.discovery_interval`.
    DiscoveryInterval,
    /// Once a day.
    Day,
}

impl Every {
    /// How much time lies between.
    pub const fn interval(self, poll: &PollConfig) -> Duration {
        match self {
            Self::Interval => poll.interval,
            Self::PolicyInterval => poll.policy_interval,
            Self::DiscoveryInterval => poll.discovery_interval,
            Self::Day => Duration::from_secs(24 * 3600),
        }
    }
}

/// The operations that an account's configuration asks for, of all its services.
pub fn operations(account: &AccountConfig) -> Operations {
    let mut all = Operations::default();
    for service in &account.services {
        let of_service = Asking::new(account, service.spec(), &account.targets).operations();
        all.listings.extend(of_service.listings);
        all.discovery.extend(of_service.discovery);
    }
    all
}

/// The calls that it takes to read every listing of these instances of one of an account's services, when each fits on one
/// page.
pub fn costs(account: &AccountConfig, spec: &ServiceSpec, targets: &[Arc<Target>]) -> Vec<Cost> {
    Asking::new(account, spec, targets).costs()
}

/// The calls that it takes to look for the instances of one of an account's services, when each list fits on one page.
pub fn discovery_costs(account: &AccountConfig, spec: &ServiceSpec) -> Vec<Cost> {
    Asking::new(account, spec, &account.targets).discovery_costs()
}

/// The calls that an instance takes besides as long as a former destination of its copies is asked as well.
pub fn former_destination_costs(account: &AccountConfig, spec: &ServiceSpec) -> Vec<Cost> {
    let asking = Asking::new(account, spec, &account.targets);
    let listings = spec.listings.iter().copied();
    let read = listings.filter(|listing| asking.is_read(*listing));
    let asked = read.flat_map(|listing| {
        let asked = spec.asked_for(listing);
        asked.map(move |(operation, calls)| (operation.name, calls, every(listing)))
    });
    let former = |calls| matches!(calls, Calls::EachDestination { former_too: true });
    let asked = asked.filter(|(_, calls, _)| former(*calls));
    priced(asked.map(|(operation, _, every)| (operation, 1, every)))
}

/// How many lists of log files are read back to the newest sets that they continue.
pub fn log_lists(spec: &ServiceSpec, targets: &[Arc<Target>]) -> u32 {
    let needed = [ListingKind::CrossRegion, ListingKind::CrossRegionLog];
    let lists = of_service(spec, targets)
        .filter(|target| needed.iter().all(|kind| reads(target, *kind)))
        .flat_map(|target| {
            let asked = spec.asked_for(ListingKind::CrossRegionLog);
            asked.map(move |(_, calls)| of_target(target, calls))
        });
    whole(lists.sum())
}

/// One service of an account, and instances that are asked about.
struct Asking<'a> {
    account: &'a AccountConfig,
    spec: &'a ServiceSpec,
    /// Of the service.
    targets: Vec<&'a Target>,
    /// Where the service's instances are looked for.
    discover: Option<&'a Discover>,
}

impl<'a> Asking<'a> {
    fn new(account: &'a AccountConfig, spec: &'a ServiceSpec, targets: &'a [Arc<Target>]) -> Self {
        let discover = account.discover.as_ref();
        Self {
            account,
            spec,
            targets: of_service(spec, targets).collect(),
            discover: discover.filter(|discover| discover.services.contains(&spec.service)),
        }
    }

    fn readers(&self, listing: ListingKind) -> impl Iterator<Item = &'a Target> {
        let targets = self.targets.iter().copied();
        targets.filter(move |target| reads(target, listing))
    }

    /// Whether the listing of any instance is read, of those that have yet to be found included.
    fn is_read(&self, listing: ListingKind) -> bool {
        self.finds_readers_of(listing) || self.readers(listing).next().is_some()
    }

    /// Whether the listing will be read of instances that have yet to be found.
    fn finds_readers_of(&self, listing: ListingKind) -> bool {
        self.discover
            .is_some_and(|discover| discover.listings.contains(&listing))
    }

    fn operations(&self) -> Operations {
        let mut all = Operations::default();
        let listings = self.spec.listings.iter().copied();
        for listing in listings.filter(|listing| self.is_read(*listing)) {
            let operations = self.spec.operations.iter();
            let asked = operations.filter(|operation| self.is_asked_for(operation, listing));
            all.listings
                .extend(asked.map(|operation| (listing, operation.name)));
        }
        if self.discover.is_some() {
            let finds = |operation: &&Operation| {
                let mut asked = operation.asked.iter();
                asked.any(|asked| matches!(asked, Asked::ToFind { .. } | Asked::ForProjects))
            };
            let operations = self.spec.operations.iter().filter(finds);
            all.discovery = operations.map(|operation| operation.name).collect();
        }
        all
    }

    fn is_asked_for(&self, operation: &Operation, listing: ListingKind) -> bool {
        operation.asked.iter().any(|asked| match asked {
            Asked::For(kind, calls) if *kind == listing => match calls {
                Calls::Each(_) | Calls::Batch | Calls::EachDestination { .. } => true,
                Calls::EachListedDestination => {
                    let copies = ListingKind::CrossRegion;
                    self.finds_readers_of(listing) && self.finds_readers_of(copies)
                        || self.readers(listing).any(|target| reads(target, copies))
                }
                // The configuration says nothing of the destinations of instances that have yet to be found.
                Calls::UnknownDestination | Calls::Fallback => {
                    self.discover.is_some() || self.readers(listing).any(has_no_destination)
                }
            },
            Asked::ForProjects => self.asks_for_projects(listing),
            Asked::For(..) | Asked::ToFind { .. } => false,
        })
    }

    fn asks_for_projects(&self, listing: ListingKind) -> bool {
        // A policy may leave the project of its destination open.
        let mut asked = self.spec.asked_for(listing);
        let asks_for_destinations = asked.any(|(operation, calls)| {
            calls == Calls::UnknownDestination && self.is_asked_for(operation, listing)
        });
        let found_in = self.discover.iter().flat_map(|found| &found.regions);
        let regions = self
            .readers(listing)
            .flat_map(|target| regions(self.spec, target, listing));
        let mut regions = regions.chain(found_in.map(|region| &**region));
        asks_for_destinations || regions.any(|region| !self.account.projects.contains_key(region))
    }

    fn costs(&self) -> Vec<Cost> {
        let mut all = Vec::new();
        for operation in self.spec.operations {
            for how_often in [Every::Interval, Every::PolicyInterval] {
                all.push((operation.name, self.calls(operation, how_often), how_often));
            }
            if operation.asked.contains(&Asked::ForProjects) {
                let targets = self.targets.iter();
                let asked: BTreeSet<&str> = targets
                    .flat_map(|target| {
                        let listings = target.listings.iter();
                        listings.flat_map(|listing| regions(self.spec, target, *listing))
                    })
                    .collect();
                // Those are paid for by discovery.
                let elsewhere = self.looked_into();
                let asked = asked.difference(&elsewhere);
                all.push((operation.name, self.unnamed(asked), Every::Day));
            }
        }
        priced(all)
    }

    /// The calls of an operation that are made so often.
    fn calls(&self, operation: &Operation, how_often: Every) -> usize {
        let asked: Vec<_> = operation
            .asked
            .iter()
            .filter_map(|asked| match asked {
                Asked::For(kind, calls) => Some((*kind, *calls)),
                Asked::ToFind { .. } | Asked::ForProjects => None,
            })
            .filter(|(kind, calls)| match calls {
                Calls::UnknownDestination => how_often == Every::PolicyInterval,
                _ => every(*kind) == how_often,
            })
            .collect();
        let batches = asked.iter().filter(|(_, calls)| *calls == Calls::Batch);
        let batches = batches.map(|(kind, _)| self.batches(*kind));
        let alone = self.targets.iter().map(|target| {
            let read = asked.iter().filter(|(kind, _)| reads(target, *kind));
            let calls = read.clone().map(|(_, calls)| of_target(target, *calls));
            let needs_destination = has_no_destination(target)
                && read
                    .clone()
                    .any(|(_, calls)| *calls == Calls::UnknownDestination);
            calls.sum::<usize>().max(usize::from(needs_destination))
        });
        batches.sum::<usize>() + alone.sum::<usize>()
    }

    /// How many calls read this listing of the instances of each region together.
    fn batches(&self, listing: ListingKind) -> usize {
        let most = match self.spec.together(listing) {
            Together::None => 1,
            Together::UpTo(most) => most,
            Together::All => usize::MAX,
        };
        let mut regions: BTreeMap<&str, usize> = BTreeMap::new();
        for target in self.readers(listing) {
            *regions.entry(&target.key.source_region).or_default() += 1;
        }
        regions.values().map(|count| count.div_ceil(most)).sum()
    }

    fn discovery_costs(&self) -> Vec<Cost> {
        let Some(discover) = self.discover else {
            return Vec::new();
        };
        let with_destinations = self.looked_into();
        let operations = self.spec.operations.iter();
        let asked = operations.flat_map(|operation| {
            let asked = operation.asked.iter();
            asked.map(move |asked| (operation.name, asked))
        });
        priced(asked.filter_map(|(operation, asked)| match asked {
            Asked::For(..) => None,
            Asked::ToFind {
                calls,
                destinations_too,
            } => {
                let regions = if *destinations_too {
                    with_destinations.len()
                } else {
                    discover.regions.len()
                };
                let calls = usize::try_from(*calls).unwrap_or(usize::MAX);
                let calls = regions.saturating_mul(calls);
                Some((operation, calls, Every::DiscoveryInterval))
            }
            Asked::ForProjects => {
                let calls = self.unnamed(with_destinations.iter());
                Some((operation, calls, Every::Day))
            }
        }))
    }

    /// The regions that discovery asks: those that are looked into, and those that the configuration names as destinations.
    fn looked_into(&self) -> BTreeSet<&'a str> {
        let Some(discover) = self.discover else {
            return BTreeSet::new();
        };
        let targets = of_service(self.spec, &self.account.targets);
        let named = targets.flat_map(|target| target.backup_regions.iter().map(String::as_str));
        let regions = discover.regions.iter().map(|region| &**region);
        regions.chain(named).collect()
    }

    /// How many of the regions have a project that the configuration does not name.
    fn unnamed<'r>(&self, regions: impl Iterator<Item = &'r &'r str>) -> usize {
        let unnamed = regions.filter(|region| !self.account.projects.contains_key(**region));
        unnamed.count()
    }
}

/// The instances of a service.
fn of_service<'a>(
    spec: &ServiceSpec,
    targets: &'a [Arc<Target>],
) -> impl Iterator<Item = &'a Target> + use<'a> {
    let service = spec.service;
    let targets = targets.iter().map(|target| &**target);
    targets.filter(move |target| target.key.service == service)
}

fn reads(target: &Target, listing: ListingKind) -> bool {
    target.listings.contains(&listing)
}

/// How often a listing is read at the least.
const fn every(listing: ListingKind) -> Every {
    if listing.is_slow() {
        Every::PolicyInterval
    } else {
        Every::Interval
    }
}

/// The calls that are made for an instance by itself, where the destination of its copies is known.
fn of_target(target: &Target, calls: Calls) -> usize {
    match calls {
        Calls::Each(calls) => usize::try_from(calls).unwrap_or(usize::MAX),
        Calls::EachDestination { .. } => destinations(target),
        Calls::EachListedDestination if reads(target, ListingKind::CrossRegion) => {
            destinations(target)
        }
        Calls::EachListedDestination
        | Calls::Batch
        | Calls::UnknownDestination
        | Calls::Fallback => 0,
    }
}

/// How many regions keep copies; a policy has one destination.
fn destinations(target: &Target) -> usize {
    target.backup_regions.len().max(1)
}

/// Whether the configuration leaves it to the policy to name the destination.
fn has_no_destination(target: &Target) -> bool {
    target.backup_regions.is_empty()
}

/// The regions that a listing of an instance is known to ask.
fn regions<'a>(
    spec: &ServiceSpec,
    target: &'a Target,
    listing: ListingKind,
) -> impl Iterator<Item = &'a str> + use<'a> {
    let (mut home, mut away) = (false, false);
    for (_, calls) in spec.asked_for(listing) {
        match calls {
            Calls::EachDestination { .. } => away = true,
            Calls::UnknownDestination | Calls::Fallback => home |= has_no_destination(target),
            Calls::Each(_) | Calls::Batch | Calls::EachListedDestination => home = true,
        }
    }
    let home = home.then_some(&*target.key.source_region);
    let away = target.backup_regions.iter().filter(move |_| away);
    home.into_iter().chain(away.map(String::as_str))
}

fn priced(costs: impl IntoIterator<Item = (&'static str, usize, Every)>) -> Vec<Cost> {
    let some = costs.into_iter().filter(|(_, calls, _)| *calls > 0);
    some.map(|(operation, calls, every)| Cost {
        operation,
        calls: whole(calls),
        every,
    })
    .collect()
}

fn whole(calls: usize) -> u32 {
    u32::try_from(calls).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn account(spec: &ServiceSpec, watched: &str) -> AccountConfig {
        let provider = spec.vendor.label();
        let product = spec.product;
        let yaml = format!(
            "accounts: [{{name: a, provider: {provider}, products: [{product}], {watched}}}]"
        );
        let mut config = Config::parse(&yaml, []).unwrap();
        config.accounts.remove(0)
    }

    #[test]
    fn the_rights_are_those_of_the_operations_that_an_account_may_name() {
        let instances = "instances: [{id: db-1, region: cn-a}]";
        let copies = "instances: [{id: db-1, region: cn-a, backup_regions: [cn-b]}]";
        let discover = "discover: {regions: [cn-a]}";
        for spec in ServiceSpec::all() {
            let allowed = spec.operations.iter().map(|operation| operation.name);
            let allowed: BTreeSet<_> = allowed.collect();
            let both = format!("{discover}, {copies}");
            let mut named = BTreeSet::new();
            for watched in [instances, copies, discover, &both] {
                let account = account(spec, watched);
                let of_account: BTreeSet<_> = operations(&account).all().collect();
                assert!(of_account.is_subset(&allowed), "{spec:?} {watched}");
                named.extend(of_account);
            }
            // Nobody has to allow more than is ever asked.
            assert_eq!(named, allowed, "{:?}", spec.service);
        }
    }

    #[test]
    fn what_an_account_costs_is_made_of_operations_that_it_names() {
        for spec in ServiceSpec::all() {
            for watched in [
                "instances: [{id: db-1, region: cn-a}]",
                "discover: {regions: [cn-a]}, instances: [{id: db-1, region: cn-b}]",
            ] {
                let account = account(spec, watched);
                let operations = operations(&account);
                let named: BTreeSet<_> = operations.all().collect();
                let mut costs = costs(&account, spec, &account.targets);
                costs.extend(discovery_costs(&account, spec));
                assert!(!costs.is_empty(), "{:?} {watched}", spec.service);
                for cost in costs {
                    assert!(named.contains(cost.operation), "{cost:?}");
                }
            }
        }
    }
}
