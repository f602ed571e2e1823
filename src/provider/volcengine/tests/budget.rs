//! What is asked, how often, and what a key is allowed for it.

use std::collections::BTreeSet;

use super::*;
use crate::config::Discover;
use crate::provider::budget::{Cost, Every, Operations, costs, discovery_costs, operations};
use crate::service::volcengine_redis::SPEC;
use crate::target::Objectives;

use ListingKind::{Policy as Told, RestoreWindow as Back};

const COPIES: &str = "DescribeCrossRegionBackups";
const LOCAL_SETS: &str = "DescribeBackups";
const COPYING: &str = "DescribeCrossRegionBackupPolicy";
const PLAN: &str = "DescribeBackupPlan";
const WINDOW: &str = "DescribePitrTimeWindow";
const INSTANCES: &str = "DescribeDBInstances";

fn discovering(regions: &[&str]) -> Discover {
    let nothing = None;
    Discover {
        services: vec![SPEC.service],
        regions: regions.iter().copied().map(Arc::from).collect(),
        include: Vec::new(),
        exclude: Vec::new(),
        listings: SPEC.listings.to_vec(),
        objectives: Objectives {
            recovery_point: nothing,
            backup_age: nothing,
            copy_delay: nothing,
            retention: nothing,
        },
    }
}

fn account_of(targets: &[(&[ListingKind], &str)], discover: Option<Discover>) -> AccountConfig {
    let target = |(at, (listings, region)): (usize, &(&[ListingKind], &str))| {
        let target = target_of(&format!("redis-{at}"), &[]);
        Arc::new(Target {
            key: InstanceKey {
                source_region: (*region).into(),
                ..target.key
            },
            listings: listings.to_vec(),
            ..target
        })
    };
    AccountConfig {
        targets: targets.iter().enumerate().map(target).collect(),
        discover,
        ..account(Vendor::Volcengine)
    }
}

#[test]
fn what_an_account_asks_for_follows_from_its_configuration() {
    use Every::{DiscoveryInterval, Interval, PolicyInterval};
    let every = SPEC.listings;
    let all = [
        (Away, COPIES),
        (AtHome, LOCAL_SETS),
        (Told, COPYING),
        (Told, PLAN),
        (Back, WINDOW),
    ];
    let elsewhere = "cn-guangzhou";
    for (targets, discover, expected, calls) in [
        (vec![], None, vec![], vec![]),
        // What is yet to be found is read in every way, and costs nothing before.
        (
            vec![],
            Some(discovering(&[HOME, elsewhere])),
            all.to_vec(),
            vec![(INSTANCES, 4, DiscoveryInterval)],
        ),
        // A region is read as a whole, and so are its instances' sets.
        (
            vec![(every, HOME), (every, HOME), (every, elsewhere)],
            Some(discovering(&[HOME])),
            all.to_vec(),
            vec![
                (COPIES, 2, Interval),
                (LOCAL_SETS, 2, Interval),
                (COPYING, 3, PolicyInterval),
                (PLAN, 3, PolicyInterval),
                (WINDOW, 3, PolicyInterval),
                (INSTANCES, 2, DiscoveryInterval),
            ],
        ),
        (
            vec![
                (&[Away, AtHome], HOME),
                (&[AtHome, Told], HOME),
                (&[AtHome], elsewhere),
            ],
            None,
            all[..4].to_vec(),
            vec![
                (COPIES, 1, Interval),
                (LOCAL_SETS, 2, Interval),
                (COPYING, 1, PolicyInterval),
                (PLAN, 1, PolicyInterval),
            ],
        ),
        (
            vec![(&[Back], HOME)],
            None,
            vec![(Back, WINDOW)],
            vec![(WINDOW, 1, PolicyInterval)],
        ),
        // The configuration does not let this happen; it costs nothing either.
        (
            vec![(&[ListingKind::CrossRegionLog], HOME)],
            None,
            vec![],
            vec![],
        ),
    ] {
        let account = account_of(&targets, discover);
        let discovery = match account.discover {
            Some(_) => vec![INSTANCES],
            None => vec![],
        };
        let expected = Operations {
            listings: expected,
            discovery,
        };
        assert_eq!(operations(&account), expected, "{targets:?}");
        let mut found = costs(&account, &SPEC, &account.targets);
        found.extend(discovery_costs(&account, &SPEC));
        let cost = |(operation, calls, every)| Cost {
            operation,
            calls,
            every,
        };
        let calls: Vec<_> = calls.into_iter().map(cost).collect();
        assert_eq!(found, calls, "{targets:?}");
    }
}

#[test]
fn every_operation_that_is_ever_asked_for_has_an_action_of_its_own() {
    let account = account_of(&[], Some(discovering(&[HOME])));
    let Operations {
        listings,
        discovery,
    } = operations(&account);
    let asked = listings.into_iter().map(|(_, operation)| operation);
    let asked: BTreeSet<_> = asked.chain(discovery).collect();
    let named: BTreeSet<_> = SPEC
        .operations
        .iter()
        .map(|operation| operation.name)
        .collect();
    assert_eq!(asked, named);
    assert_eq!(named.len(), SPEC.operations.len());
    for operation in SPEC.operations {
        assert_eq!(operation.right, format!("Redis:{}", operation.name));
    }
}

/// What healthy instances cost is what is asked of them: by answers that have a row for each.
#[test]
fn the_costs_are_the_calls_that_are_made() {
    let every = SPEC.listings;
    let account = account_of(&[(every, HOME), (every, HOME)], Some(discovering(&[HOME])));
    let ids: Vec<_> = account
        .targets
        .iter()
        .map(|target| &*target.key.instance_id)
        .collect();
    let policy = answer(200, result(&json!({"Active": true})));
    let client = client();
    let region = Arc::from(HOME);
    let run = |answers: Vec<Answer>, listing: Option<ListingKind>| {
        let script = Script::of(answers);
        let run = async {
            match listing {
                None => drop(client.discover(&region, &script).await.unwrap()),
                Some(listing @ (Told | Back)) => {
                    for target in &account.targets {
                        client.list(listing, target, &script).await.unwrap();
                    }
                }
                Some(listing) => {
                    let targets = &account.targets;
                    let together = client.list_together(listing, targets, &script).await;
                    assert_eq!(together.read.len(), 2);
                }
            }
        };
        run.now_or_never().expect("the script never waits");
        script.calls()
    };
    let empty = || answer(200, result(&json!({})));
    let sets = || vec![part_of(&ids, 0..2, Some(2))];
    let calls = [
        run(sets(), Some(Away)),
        run(sets(), Some(AtHome)),
        run(vec![policy; 4], Some(Told)),
        run(vec![empty(), empty()], Some(Back)),
        run(vec![empty(), empty()], None),
    ];
    let mut expected = costs(&account, &SPEC, &account.targets);
    expected.extend(discovery_costs(&account, &SPEC));
    for cost in expected {
        let made = calls.iter().flatten();
        let made = made.filter(|call| call.operation == cost.operation).count();
        assert_eq!(made, cost.calls as usize, "{cost:?}");
    }
}

#[test]
fn log_files_are_not_asked_for() {
    let (listed, calls) = play(ListingKind::CrossRegionLog, &target(), []);
    assert_eq!(listed.unwrap_err().reason, Reason::Unsupported);
    assert!(calls.is_empty());
    let targets = [Arc::new(target())];
    let (together, calls) = play_together(ListingKind::CrossRegionLog, &targets, []);
    assert_eq!((ids(&together.one_by_one), calls.len()), (vec![ID], 0));
}
