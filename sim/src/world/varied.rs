//! Worlds for the tests of the listings: those of the scenarios, each with further troubles.

use std::collections::BTreeSet;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::{CrossRegionSet, Instance, LocalSet, Quirk, Vendor, World};
use crate::scenario::Scenario;

const DAY: Duration = Duration::from_secs(86400);

/// When the worlds began.
pub(crate) fn beginning() -> DateTime<Utc> {
    "2026-06-15T12:03:21Z".parse().unwrap()
}

/// What every scenario has at a vendor, with the same troubles for all of its instances.
pub(crate) fn worlds(vendor: Vendor) -> impl Iterator<Item = (Scenario, World)> {
    let scenarios = Scenario::names().into_iter().filter_map(Scenario::named);
    scenarios.map(move |mut scenario| {
        scenario.accounts.retain(|account| account.vendor == vendor);
        let names = scenario.accounts.iter().map(|account| &account.name);
        let names: BTreeSet<_> = names.collect();
        let is_there = |instance: &Instance| names.contains(&instance.account);
        scenario.instances.retain(is_there);
        let (accounts, instances) = (&scenario.accounts, &scenario.instances);
        let mut world = World::new(accounts, instances, beginning(), DateTime::UNIX_EPOCH);
        for instance in instances {
            trouble(&mut world, &instance.id);
        }
        (scenario, world)
    })
}

/// The rows of all pages one after another. Each is asked for by its number from 0 on, and answers its rows and the total;
/// none but the last is short, and all say the same total.
pub(crate) fn pages(size: usize, mut page: impl FnMut(usize) -> (Vec<Value>, usize)) -> Vec<Value> {
    let (mut rows, total) = page(0);
    assert_eq!(rows.len(), size.min(total));
    for number in 1..total.div_ceil(size) {
        let (more, of_all) = page(number);
        assert_eq!(of_all, total, "page {number} of {size}");
        assert_eq!(
            more.len(),
            size.min(total - rows.len()),
            "page {number} of {size}"
        );
        rows.extend(more);
    }
    rows
}

fn trouble(world: &mut World, id: &str) {
    let now = beginning();
    world.fail_backup(id, now - DAY * 3);
    world.begin_quirk(id, Quirk::ConsistentLate, now - DAY * 12);
    world.begin_quirk(id, Quirk::OneDatabase, now - DAY * 5);
    world.begin_quirk(id, Quirk::CopiedHome, now - DAY * 2);
    world.end_quirk(id, Quirk::OneDatabase, now - DAY * 4);
    world.stop_copies(id, now - DAY * 8);
    world.resume_copies(id, now - DAY * 7);
    world.stop_logs(id, now - DAY * 6);
    world.resume_logs(id, now - DAY * 6 + DAY / 3);
    world.lose_logs(id, now - DAY * 2, now - DAY * 2 + DAY / 20);
    for days in 1..4 {
        let end = now - DAY * days;
        // Two begin at once, and one when nobody can tell.
        for _ in 0..2 {
            world.add_local_set(id, LocalSet::completed(end - DAY / 24, end));
            world.add_cross_region_set(
                id,
                CrossRegionSet::completed("cn-shanghai", end - DAY / 24, end),
            );
        }
        let mut local = LocalSet::completed(end, end);
        local.start = "yesterday".to_owned();
        world.add_local_set(id, local);
        let mut copy = CrossRegionSet::completed("cn-shanghai", end, end);
        copy.in_every_range = true;
        world.add_cross_region_set(id, copy);
    }
}
