//! What an account is asked for, and how often.

use super::*;
use crate::config::{AccountConfig, Discover};
use crate::provider::budget::{Cost, Every, Operations, discovery_costs, operations};
use crate::service::alibaba_rds::SPEC;
use crate::target::Objectives;

fn watched(id: u32, region: &str, listings: &[ListingKind], copies_in: &[&str]) -> Arc<Target> {
    let mut target = crate::example::target(&format!("rm-{id}"));
    target.key.source_region = region.into();
    target.listings = listings.to_vec();
    target.backup_regions = names(copies_in);
    Arc::new(target)
}

fn of(targets: Vec<Arc<Target>>) -> AccountConfig {
    AccountConfig {
        targets,
        ..account(Vendor::Alibaba)
    }
}

fn finding(regions: &[&str]) -> AccountConfig {
    AccountConfig {
        discover: Some(Discover {
            services: vec![SPEC.service],
            regions: regions.iter().map(|region| (*region).into()).collect(),
            include: Vec::new(),
            exclude: Vec::new(),
            listings: SPEC.listings.to_vec(),
            objectives: Objectives {
                recovery_point: None,
                backup_age: None,
                copy_delay: None,
                retention: None,
            },
        }),
        ..account(Vendor::Alibaba)
    }
}

const EVERYTHING: [(ListingKind, &str); 6] = [
    (CrossRegion, "DescribeCrossRegionBackups"),
    (Local, "DescribeBackups"),
    (CrossRegionLog, "DescribeCrossRegionLogBackupFiles"),
    (Policy, "DescribeCrossRegionBackupDBInstance"),
    (RestoreWindow, "DescribeLocalAvailableRecoveryTime"),
    (RestoreWindow, "DescribeAvailableRecoveryTime"),
];

#[test]
fn an_account_asks_for_what_its_listings_take() {
    let listings =
        |listings: &[ListingKind]| operations(&of(vec![watched(1, HOME, listings, &[])]));
    assert_eq!(listings(&ListingKind::ALL).listings, EVERYTHING);
    assert_eq!(listings(&[Local, CrossRegion]).listings, EVERYTHING[..2]);
    // Which copies there are is told by their listing only.
    assert_eq!(listings(&[RestoreWindow]).listings, EVERYTHING[4..5]);
    assert_eq!(listings(&[]), Operations::default());
    // Of instances that have yet to be found, every listing is read.
    let found = operations(&finding(&[HOME]));
    assert_eq!(found.listings, EVERYTHING);
    assert_eq!(found.discovery, ["DescribeDBInstances"]);
}

#[test]
fn the_permissions_name_every_operation_once() {
    let asked = EVERYTHING.iter().map(|(_, operation)| *operation);
    let asked: Vec<_> = asked.chain(["DescribeDBInstances"]).collect();
    let named: Vec<_> = SPEC
        .operations
        .iter()
        .map(|operation| operation.name)
        .collect();
    assert_eq!(named, asked);
    for operation in SPEC.operations {
        assert_eq!(operation.right, format!("rds:{}", operation.name));
    }
}

#[test]
fn calls_are_counted_by_operation() {
    let every = &ListingKind::ALL;
    let cost = |operation, calls, every| Cost {
        operation,
        calls,
        every,
    };
    let costs = |targets: Vec<Arc<Target>>| {
        crate::provider::budget::costs(&of(Vec::new()), &SPEC, &targets)
    };
    let in_region =
        |ids: std::ops::Range<u32>, region| ids.map(move |id| watched(id, region, every, &[]));
    assert_eq!(costs(Vec::new()), []);
    assert_eq!(
        costs(vec![watched(
            1,
            HOME,
            &[Local, RestoreWindow],
            &["cn-shanghai"]
        )]),
        [
            cost("DescribeBackups", 1, Every::Interval),
            cost(
                "DescribeLocalAvailableRecoveryTime",
                1,
                Every::PolicyInterval
            ),
        ]
    );
    // 31 instances of one region take two questions for their policies, 30 of another one.
    let many = in_region(0..31, HOME).chain(in_region(31..61, "cn-beijing"));
    let many = many.chain([watched(61, "cn-beijing", &[CrossRegion], &[])]);
    assert_eq!(
        costs(many.collect()),
        [
            cost("DescribeCrossRegionBackups", 62, Every::Interval),
            cost("DescribeBackups", 61, Every::Interval),
            cost("DescribeCrossRegionLogBackupFiles", 61, Every::Interval),
            cost(
                "DescribeCrossRegionBackupDBInstance",
                3,
                Every::PolicyInterval
            ),
            cost(
                "DescribeLocalAvailableRecoveryTime",
                61,
                Every::PolicyInterval
            ),
            cost("DescribeAvailableRecoveryTime", 61, Every::PolicyInterval),
        ]
    );
    let two_copies = watched(
        1,
        HOME,
        &[CrossRegion, RestoreWindow],
        &["cn-shanghai", "cn-beijing"],
    );
    assert_eq!(
        costs(vec![two_copies]),
        [
            cost("DescribeCrossRegionBackups", 1, Every::Interval),
            cost(
                "DescribeLocalAvailableRecoveryTime",
                1,
                Every::PolicyInterval
            ),
            cost("DescribeAvailableRecoveryTime", 2, Every::PolicyInterval),
        ]
    );
}

#[test]
fn looking_for_instances_takes_a_call_for_each_region() {
    assert_eq!(discovery_costs(&of(Vec::new()), &SPEC), []);
    assert_eq!(
        discovery_costs(&finding(&[HOME, "cn-beijing"]), &SPEC),
        [Cost {
            operation: "DescribeDBInstances",
            calls: 2,
            every: Every::DiscoveryInterval,
        }]
    );
}
