//! What follows from the configuration: the operations and their number.

use super::*;
use crate::config::Discover;
use crate::example::target;
use crate::provider::budget::{
    Cost, Every, costs, discovery_costs, former_destination_costs, operations,
};
use crate::service::huawei_rds::SPEC;

/// An account of which these listings of instances are read, whose copies are expected in these regions.
fn account_of(projects: &[(&str, &str)], targets: &[(&[ListingKind], &[&str])]) -> AccountConfig {
    let targets = targets.iter().map(|(listings, regions)| {
        Arc::new(Target {
            listings: listings.to_vec(),
            ..target_in(regions)
        })
    });
    AccountConfig {
        targets: targets.collect(),
        ..account_with(projects)
    }
}

fn looking_into(regions: &[&str], account: AccountConfig) -> AccountConfig {
    AccountConfig {
        discover: Some(Discover {
            services: vec![SPEC.service],
            regions: regions.iter().map(|region| Arc::from(*region)).collect(),
            include: Vec::new(),
            exclude: Vec::new(),
            listings: SPEC.listings.to_vec(),
            objectives: target(ID).objectives,
        }),
        ..account
    }
}

const ALL: &[ListingKind] = &ListingKind::ALL;

#[test]
fn what_an_account_asks_for_follows_from_its_configuration() {
    let place = |listing, iam| {
        let mut asked = vec![
            (listing, "ShowOffSiteBackupPolicy"),
            (listing, "ListOffSiteInstances"),
        ];
        asked.extend(Some((listing, "KeystoneListProjects")).filter(|_| iam));
        asked
    };
    let iam = |listing| (listing, "KeystoneListProjects");
    let off_site = |listing| (listing, "ListOffSiteBackups");
    let local = (Local, "ListBackups");
    let policy = (Policy, "ShowOffSiteBackupPolicy");
    let windows = [
        (RestoreWindow, "ListRestoreTimes"),
        (RestoreWindow, "ListOffSiteRestoreTimes"),
    ];
    let home = &BOTH_PROJECTS[..1];
    let away = &BOTH_PROJECTS[1..];
    let everything = |policy_iam: &[(ListingKind, &'static str)], local_iam: &[_]| {
        [
            &[off_site(CrossRegion)],
            &*place(CrossRegion, true),
            &[local],
            local_iam,
            &[off_site(CrossRegionLog)],
            &place(CrossRegionLog, true),
            &[policy],
            policy_iam,
            &windows,
            &place(RestoreWindow, true),
        ]
        .concat()
    };
    for (case, account, expected) in [
        ("no instances", account_of(BOTH_PROJECTS, &[]), vec![]),
        (
            "all is configured",
            account_of(BOTH_PROJECTS, &[(ALL, &[AWAY])]),
            [
                &[
                    off_site(CrossRegion),
                    local,
                    off_site(CrossRegionLog),
                    policy,
                ][..],
                &windows,
            ]
            .concat(),
        ),
        (
            "nothing is",
            account_of(&[], &[(ALL, &[])]),
            everything(&[iam(Policy)], &[iam(Local)]),
        ),
        (
            "only local sets, and the project of the other region",
            account_of(away, &[(&[Local], &[AWAY])]),
            vec![local, iam(Local)],
        ),
        (
            "only copies, and the project of their region",
            account_of(away, &[(&[CrossRegion], &[AWAY])]),
            vec![off_site(CrossRegion)],
        ),
        (
            "only copies, and the project of the source",
            account_of(home, &[(&[CrossRegion], &[AWAY])]),
            vec![off_site(CrossRegion), iam(CrossRegion)],
        ),
        (
            "the policy, and the project that it is asked of",
            account_of(home, &[(&[Policy], &[])]),
            vec![policy],
        ),
        (
            "windows, and the project of one of their regions",
            account_of(away, &[(&[RestoreWindow], &[AWAY])]),
            [&windows[..], &[iam(RestoreWindow)]].concat(),
        ),
        (
            "a policy that is needed for its destination",
            account_of(home, &[(&[CrossRegionLog], &[])]),
            [&[off_site(CrossRegionLog)], &*place(CrossRegionLog, true)].concat(),
        ),
        (
            "two regions, of which one has a project",
            account_of(BOTH_PROJECTS, &[(&[CrossRegion], &[AWAY, "cn-south-1"])]),
            vec![off_site(CrossRegion), iam(CrossRegion)],
        ),
        (
            "several instances that ask for different things",
            account_of(
                BOTH_PROJECTS,
                &[
                    (&[CrossRegion], &[AWAY]),
                    (&[CrossRegion], &[]),
                    (&[Local], &[]),
                ],
            ),
            [
                &[off_site(CrossRegion)],
                &*place(CrossRegion, true),
                &[local],
            ]
            .concat(),
        ),
        (
            "instances that have yet to be found",
            looking_into(&[HOME], account_of(home, &[])),
            everything(&[], &[]),
        ),
        (
            "the like in a region whose project is not configured",
            looking_into(&[HOME], account_of(&[], &[])),
            everything(&[iam(Policy)], &[iam(Local)]),
        ),
    ] {
        let operations = operations(&account);
        assert_eq!(operations.listings, expected, "{case}");
        let looks = account.discover.is_some();
        let expected: &[_] = if looks {
            &[
                "ListInstances",
                "ListOffSiteInstances",
                "KeystoneListProjects",
            ]
        } else {
            &[]
        };
        assert_eq!(operations.discovery, expected, "{case}");
        let named = operations.listings.iter().map(|(_, operation)| operation);
        for operation in named.chain(&operations.discovery) {
            let has_action = SPEC.operations.iter().any(|of| of.name == *operation);
            assert!(has_action, "{operation}");
        }
    }
}

#[test]
fn the_least_number_of_calls_follows_from_the_configuration() {
    use Every::{Day, DiscoveryInterval, Interval, PolicyInterval};
    let home = &BOTH_PROJECTS[..1];
    let away = &BOTH_PROJECTS[1..];
    let copies = |calls| ("ListOffSiteBackups", calls, Interval);
    let local = |calls| ("ListBackups", calls, Interval);
    let policy = |calls| ("ShowOffSiteBackupPolicy", calls, PolicyInterval);
    let windows = |calls| ("ListRestoreTimes", calls, PolicyInterval);
    let off_site = |calls| ("ListOffSiteRestoreTimes", calls, PolicyInterval);
    let iam = |calls| ("KeystoneListProjects", calls, Day);
    let found = |calls| ("ListInstances", calls, DiscoveryInterval);
    let protected = |calls| ("ListOffSiteInstances", calls, DiscoveryInterval);
    for (case, account, expected, looking) in [
        ("no instances", account_of(&[], &[]), vec![], vec![]),
        (
            "all is configured",
            account_of(BOTH_PROJECTS, &[(ALL, &[AWAY])]),
            vec![copies(2), local(2), windows(1), off_site(1), policy(1)],
            vec![],
        ),
        (
            "nothing is, and the policy names the project of its destination",
            account_of(&[], &[(ALL, &[]), (ALL, &[])]),
            vec![
                copies(4),
                local(4),
                windows(2),
                off_site(2),
                policy(2),
                iam(1),
            ],
            vec![],
        ),
        (
            "two regions without projects",
            account_of(home, &[(ALL, &[AWAY, "cn-south-1"])]),
            vec![
                copies(4),
                local(2),
                windows(1),
                off_site(2),
                policy(1),
                iam(2),
            ],
            vec![],
        ),
        (
            "one policy for two listings, asked in a project that is not configured",
            account_of(away, &[(&[CrossRegion, CrossRegionLog], &[])]),
            vec![copies(2), policy(1), iam(1)],
            vec![],
        ),
        (
            "copies in a configured region need no policy",
            account_of(away, &[(&[CrossRegion, CrossRegionLog], &[AWAY])]),
            vec![copies(2)],
            vec![],
        ),
        (
            "only the policy",
            account_of(&[], &[(&[Policy], &[AWAY])]),
            vec![policy(1), iam(1)],
            vec![],
        ),
        (
            "two regions are looked into, with a destination and without projects",
            looking_into(
                &[HOME, "cn-south-1"],
                account_of(&[], &[(&[Local], &[AWAY])]),
            ),
            vec![local(2)],
            vec![found(2), protected(3), iam(3)],
        ),
        (
            "one region is, and the instances are elsewhere",
            looking_into(
                &["cn-south-1"],
                account_of(BOTH_PROJECTS, &[(&[Local], &[])]),
            ),
            vec![local(2)],
            vec![found(1), protected(1), iam(1)],
        ),
    ] {
        let named = |costs: Vec<Cost>| {
            let costs = costs.into_iter();
            costs
                .map(|cost| (cost.operation, cost.calls, cost.every))
                .collect::<Vec<_>>()
        };
        assert_eq!(
            named(costs(&account, &SPEC, &account.targets)),
            expected,
            "{case}"
        );
        assert_eq!(named(discovery_costs(&account, &SPEC)), looking, "{case}");
    }
}

#[test]
fn a_former_destination_costs_a_call_for_each_listing_that_asks_it() {
    let sets = (LIST_OFF_SITE_BACKUPS, 1, Every::Interval);
    let windows = (LIST_OFF_SITE_RESTORE_TIMES, 1, Every::PolicyInterval);
    for (listings, expected) in [
        (&ListingKind::ALL[..], vec![sets, windows]),
        (&[CrossRegion, CrossRegionLog], vec![sets]),
        (&[RestoreWindow], vec![windows]),
        (&[Local, Policy], vec![]),
    ] {
        let account = account_of(BOTH_PROJECTS, &[(listings, &[]), (&[Local], &[])]);
        let costs = former_destination_costs(&account, &SPEC).into_iter();
        let costs: Vec<_> = costs
            .map(|cost| (cost.operation, cost.calls, cost.every))
            .collect();
        assert_eq!(costs, expected, "{listings:?}");
    }
}
