//! What policies, protection, log files and restore windows mean.

use std::sync::Arc;

use super::*;
use crate::backup::{PolicySwitch, RestoreWindow};
use crate::example::{
    HOME, Instance, LOOKBACK, ago, copy_in, instance, local, log_in, now, policy_off, policy_to,
    stretches,
};
use crate::provider::error::Reason;

const AWAY: &str = "cn-shanghai";

fn judged(instance: &Instance) -> Posture {
    assess(&instance.0, LOOKBACK, now())
}

fn met(instance: &Instance, objective: Objective) -> Option<bool> {
    let verdicts = judged(instance).verdicts;
    verdicts
        .into_iter()
        .find(|verdict| verdict.objective == objective)
        .unwrap_or_else(|| panic!("{objective:?} was not promised"))
        .met
}

/// Both listings were read.
fn listed(copies: Vec<BackupSet>, locals: Vec<BackupSet>) -> Instance {
    instance()
        .read(ListingKind::CrossRegion, copies)
        .read(ListingKind::Local, locals)
}

fn away() -> Place {
    Place::cross_region(AWAY)
}

#[test]
fn an_instance_that_nobody_enabled_is_unprotected() {
    let instance = listed(vec![], vec![local("2h")])
        .with_policy(policy_off())
        .promising(Objective::RecoveryPoint, "26h")
        .promising(Objective::CopyDelay, "6h");
    let posture = judged(&instance);
    assert_eq!(posture.protected, Some(false));
    assert_eq!(met(&instance, Objective::RecoveryPoint), Some(false));
    // Nowhere to copy to.
    assert_eq!(met(&instance, Objective::CopyDelay), None);
    let off = Switch {
        enabled: false,
        retention: None,
    };
    let nowhere = Place::cross_region("");
    let switches = posture.switches.into_iter().collect::<Vec<_>>();
    assert_eq!(
        switches,
        [
            ((nowhere.clone(), BackupType::Full), off),
            ((nowhere, BackupType::Log), off)
        ]
    );
}

#[test]
fn a_switch_that_names_no_region_is_shown_where_copies_are_expected() {
    let instance = listed(vec![], vec![])
        .expecting(&[AWAY])
        .with_policy(policy_off());
    let switches: Vec<_> = judged(&instance).switches.into_keys().collect();
    assert_eq!(
        switches,
        [(away(), BackupType::Full), (away(), BackupType::Log)]
    );
}

#[test]
fn a_policy_tells_where_copies_are_expected() {
    let instance = listed(vec![copy_in("cn-beijing", "1h")], vec![])
        .with_policy(policy_to(AWAY))
        .promising(Objective::RecoveryPoint, "26h");
    let posture = judged(&instance);
    assert_eq!(posture.protected, Some(true));
    let places: Vec<_> = posture
        .copies
        .iter()
        .map(|copy| copy.place.clone())
        .collect();
    assert!(places.contains(&away()), "an explicit zero: {places:?}");
    assert_eq!(met(&instance, Objective::RecoveryPoint), Some(false));
    // The configuration knows better.
    let instance = instance.expecting(&["cn-beijing"]);
    assert_eq!(met(&instance, Objective::RecoveryPoint), Some(true));
}

/// A policy that copies to two regions, in the second of which it is as told.
fn policy_with(second: &str, sets: bool, logs: bool) -> Policy {
    let mut policy = policy_to(AWAY);
    let mut switches = policy_to(second).switches;
    (switches[0].enabled, switches[1].enabled) = (sets, logs);
    policy.switches.extend(switches);
    policy
}

#[test]
fn every_region_that_a_policy_names_is_expected_whether_it_is_switched_on_or_off() {
    let other = "cn-beijing";
    let local_switch = PolicySwitch {
        scope: Scope::Local,
        backup_region: HOME.to_owned(),
        ..policy_to(HOME).switches.remove(0)
    };
    let with_local = Policy {
        switches: vec![local_switch],
        ..policy_to(AWAY)
    };
    let mut only_logs = policy_to(AWAY);
    only_logs.switches.remove(0);
    let mut all_off = policy_with(other, false, false);
    for switch in &mut all_off.switches {
        switch.enabled = false;
    }
    for (case, policy, configured, expected) in [
        (
            "both are on",
            policy_with(other, true, true),
            &[][..],
            &[other, AWAY][..],
        ),
        (
            "one copies logs alone",
            policy_with(other, false, true),
            &[],
            &[other, AWAY],
        ),
        (
            "one is off",
            policy_with(other, false, false),
            &[],
            &[other, AWAY],
        ),
        ("both are off", all_off, &[], &[other, AWAY]),
        ("only the logs are told", only_logs, &[], &[AWAY]),
        (
            "none is named, and one was seen",
            policy_off(),
            &[],
            &["cn-shenzhen"],
        ),
        (
            "only what is kept here is told",
            with_local,
            &[],
            &["cn-shenzhen"],
        ),
        (
            "the configuration knows better",
            policy_with(other, false, false),
            &[AWAY],
            &[AWAY],
        ),
    ] {
        let instance = listed(vec![copy_in("cn-shenzhen", "1h")], vec![])
            .expecting(configured)
            .with_policy(policy);
        assert_eq!(judged(&instance).expected_regions, expected, "{case}");
    }
}

#[test]
fn the_promise_of_a_destination_that_is_switched_off_goes_on_and_breaks_when_its_copies_age() {
    let other = "cn-beijing";
    let promised = |copies, policy| {
        listed(copies, vec![local("8h"), local("26h"), local("50h")])
            .with_policy(policy)
            .promising(Objective::RecoveryPoint, "26h")
            .promising(Objective::CopyDelay, "6h")
            .promising(Objective::Retention, "36h")
    };
    let all = |instance: &Instance| {
        let verdicts = judged(instance).verdicts;
        verdicts
            .into_iter()
            .map(|verdict| verdict.met)
            .collect::<Vec<_>>()
    };
    let here = || vec![copy_in(AWAY, "2h"), copy_in(AWAY, "50h")];
    let there = |newest| [here(), vec![copy_in(other, newest), copy_in(other, "60h")]].concat();
    let (kept, broken) = (Some(true), Some(false));
    for (case, copies, expected) in [
        ("just switched off", there("2h"), [kept, kept, kept]),
        ("a copy was missed", there("25h"), [kept, broken, kept]),
        (
            "the newest is too old",
            there("26h"),
            [broken, broken, kept],
        ),
        ("nothing is left there", here(), [broken, broken, broken]),
    ] {
        let off = promised(copies.clone(), policy_with(other, false, false));
        // Copying goes on to the other one all the while.
        assert_eq!(judged(&off).protected, Some(true), "{case}");
        let switch = judged(&off).switches[&(Place::cross_region(other), BackupType::Full)];
        assert!(!switch.enabled, "{case}");
        let order: Vec<_> = judged(&off)
            .verdicts
            .iter()
            .map(|verdict| verdict.objective)
            .collect();
        assert_eq!(
            order,
            [
                Objective::RecoveryPoint,
                Objective::CopyDelay,
                Objective::Retention
            ]
        );
        assert_eq!(all(&off), expected, "{case}");
        let troubles = judged(&off).troubles;
        let told = Trouble::CopyingOffTo(other.to_owned());
        assert!(troubles.contains(&told), "{case}: {troubles:?}");
        // Once the vendor no longer names it, nothing is promised there.
        assert_eq!(all(&promised(copies, policy_to(AWAY))), [kept; 3], "{case}");
    }
}

#[test]
fn the_age_of_a_protection_excuses_nothing_where_it_is_switched_off() {
    let other = "cn-beijing";
    let mut policy = policy_with(other, false, false);
    policy.since = Some(ago("1h"));
    let copies = vec![copy_in(AWAY, "30m"), copy_in(other, "30h")];
    let instance = listed(copies, vec![local("2h")])
        .with_policy(policy)
        .promising(Objective::Retention, "7d");
    let uncopied = judged(&instance).uncopied;
    let uncopied: Vec<_> = uncopied
        .iter()
        .map(|uncopied| (&*uncopied.backup_region, uncopied.sets))
        .collect();
    assert_eq!(uncopied, [(other, 1), (AWAY, 0)]);
    assert_eq!(met(&instance, Objective::Retention), Some(false));
}

#[test]
fn disabling_the_policy_does_not_erase_the_sets_that_remain() {
    let on = listed(vec![copy_in(AWAY, "1h")], vec![local("2h")])
        .with_policy(policy_to(AWAY))
        .promising(Objective::RecoveryPoint, "26h");
    assert_eq!(met(&on, Objective::RecoveryPoint), Some(true));
    let off = on.clone().with_policy(policy_off());
    assert_eq!(judged(&off).copies, judged(&on).copies);
    assert_eq!(judged(&off).recovery_points, judged(&on).recovery_points);
    assert_eq!(met(&off, Objective::RecoveryPoint), Some(false));
}

#[test]
fn a_policy_that_cannot_be_read_any_more_stays_as_it_was() {
    let instance = listed(vec![copy_in(AWAY, "1h")], vec![])
        .with_policy(policy_to(AWAY))
        .failing(ListingKind::Policy, Reason::Permission, false);
    assert_eq!(judged(&instance).protected, Some(true));
    assert_eq!(judged(&instance).switches.len(), 2);
}

#[test]
fn what_ended_before_the_protection_began_need_not_be_copied() {
    let mut policy = policy_to(AWAY);
    let instance = |policy: &Policy| {
        listed(vec![], vec![local("2h"), local("26h"), local("50h")])
            .with_policy(policy.clone())
            .promising(Objective::CopyDelay, "6h")
    };
    let uncopied = |policy: &Policy| judged(&instance(policy)).uncopied[0].clone();
    assert_eq!(uncopied(&policy).sets, 3);
    assert_eq!(met(&instance(&policy), Objective::CopyDelay), Some(false));
    policy.since = Some(ago("25h"));
    assert_eq!(
        (uncopied(&policy).sets, uncopied(&policy).oldest),
        (1, Some(ago("2h")))
    );
    assert_eq!(met(&instance(&policy), Objective::CopyDelay), Some(true));
    policy.since = Some(ago("1h"));
    assert_eq!(
        (uncopied(&policy).sets, uncopied(&policy).oldest),
        (0, None)
    );
}

#[test]
fn a_young_protection_cannot_keep_old_sets_but_has_to_keep_some() {
    let mut policy = policy_to(AWAY);
    let instance = |copies, policy: &Policy| {
        listed(copies, vec![])
            .with_policy(policy.clone())
            .promising(Objective::Retention, "7d")
    };
    let some = || vec![copy_in(AWAY, "1h")];
    assert_eq!(
        met(&instance(some(), &policy), Objective::Retention),
        Some(false)
    );
    policy.since = Some(ago("6d 23h"));
    assert_eq!(
        met(&instance(some(), &policy), Objective::Retention),
        Some(true)
    );
    assert_eq!(
        met(&instance(vec![], &policy), Objective::Retention),
        Some(false)
    );
    policy.since = Some(ago("7d"));
    assert_eq!(
        met(&instance(some(), &policy), Objective::Retention),
        Some(false)
    );
    let old = vec![copy_in(AWAY, "7d")];
    assert_eq!(
        met(&instance(old, &policy), Objective::Retention),
        Some(true)
    );
}

#[test]
fn a_copy_that_stopped_is_uncopied_while_local_backups_go_on() {
    let instance = listed(
        vec![copy_in(AWAY, "49h")],
        vec![local("1h"), local("25h"), local("49h")],
    )
    .with_policy(policy_to(AWAY))
    .promising(Objective::CopyDelay, "6h");
    let uncopied = &judged(&instance).uncopied[0];
    assert_eq!((uncopied.sets, uncopied.oldest), (2, Some(ago("25h"))));
    assert_eq!(met(&instance, Objective::CopyDelay), Some(false));
}

fn with_logs(copies: Vec<BackupSet>, logs: Vec<BackupSet>, covered: &[(&str, &str)]) -> Instance {
    let sets = Sets {
        listing: crate::example::listing(logs),
        logs: stretches(AWAY, covered),
        ..Sets::default()
    };
    listed(copies, vec![])
        .with_logs()
        .with_policy(policy_to(AWAY))
        .found(ListingKind::CrossRegionLog, sets)
}

/// The recovery point and the gaps of the other region.
fn reached(instance: &Instance) -> (Option<DateTime<Utc>>, Option<u64>) {
    let posture = judged(instance);
    (
        posture.recovery_points.get(&away()).copied(),
        posture.log_gaps.get(&away()).copied(),
    )
}

#[test]
fn a_hole_in_the_log_chain_moves_the_recovery_point_back() {
    let logs = || {
        vec![
            log_in(AWAY, "90m", "60m"),
            log_in(AWAY, "30m", "15m"),
            log_in(AWAY, "15m", "5m"),
        ]
    };
    let copies = || vec![copy_in(AWAY, "20h")];
    let whole = with_logs(copies(), logs(), &[("21h", "5m")]);
    assert_eq!(reached(&whole), (Some(ago("5m")), Some(0)));
    let covered = &[("21h", "60m"), ("30m", "5m")];
    let broken = with_logs(copies(), logs(), covered);
    assert_eq!(reached(&broken), (Some(ago("60m")), Some(1)));
    // The next full backup begins a new chain.
    let mended = with_logs(vec![copy_in(AWAY, "20m")], logs(), covered);
    assert_eq!(reached(&mended), (Some(ago("5m")), Some(0)));
    let mut elsewhere = with_logs(copies(), logs(), &[("21h", "5m")]);
    let mut others = stretches("cn-beijing", covered);
    let logs = elsewhere.0.listings.get_mut(&ListingKind::CrossRegionLog);
    if let Found::Sets(sets) = &mut logs.unwrap().found {
        let sets = Arc::make_mut(sets);
        sets.logs.stretches.append(&mut others.stretches);
    }
    assert_eq!(reached(&elsewhere), (Some(ago("5m")), Some(0)));
}

#[test]
fn logs_that_were_not_read_back_to_the_set_are_not_taken_for_granted() {
    let logs = || vec![log_in(AWAY, "90m", "5m")];
    let unread = with_logs(vec![copy_in(AWAY, "20h")], logs(), &[("90m", "5m")]);
    assert_eq!(reached(&unread), (Some(ago("20h")), Some(1)));
    let read = with_logs(vec![copy_in(AWAY, "20h")], logs(), &[("20h 9m", "5m")]);
    assert_eq!(reached(&read), (Some(ago("5m")), Some(0)));
}

#[test]
fn a_remembered_set_carries_logs_only_while_it_is_known_to_be_kept() {
    let logs = || vec![log_in(AWAY, "3h", "5m")];
    let remembered = |set: BackupSet| {
        let sets = Sets {
            remembered: vec![set],
            ..Sets::default()
        };
        with_logs(vec![], logs(), &[("41d", "5m")]).found(ListingKind::CrossRegion, sets)
    };
    let old = || copy_in(AWAY, "40d");
    let kept_for = |days: u64| {
        let mut policy = policy_to(AWAY);
        policy.switches[0].retention = Some(std::time::Duration::from_secs(days * 24 * 3600));
        policy
    };
    let expires = |when: DateTime<Utc>| BackupSet {
        expires: Some(when),
        ..old()
    };
    let denied = BackupSet {
        recovery_point: None,
        ..old()
    };
    let mut unknown = kept_for(60);
    unknown.switches[0].retention = None;
    for (case, set, policy, reaches) in [
        ("the policy keeps it", old(), kept_for(41), Some(ago("5m"))),
        (
            "its retention is over",
            old(),
            kept_for(40),
            Some(ago("40d")),
        ),
        ("nobody knows", old(), unknown.clone(), Some(ago("40d"))),
        (
            "it says so itself",
            expires(now() + Duration::hours(1)),
            unknown,
            Some(ago("5m")),
        ),
        ("a listing denied it", denied, kept_for(60), None),
    ] {
        let instance = remembered(set).with_policy(policy);
        let (point, gaps) = reached(&instance);
        assert_eq!((point, gaps), (reaches, Some(0)), "{case}");
        let carries = reaches == Some(ago("5m"));
        let holds_until = judged(&instance).holds_until;
        let day = Some(now() + Duration::days(1));
        assert_eq!(
            carries,
            holds_until.is_some_and(|until| Some(until) <= day),
            "{case}"
        );
        // It is the newest success all the same.
        let posture = judged(&instance);
        let full = posture
            .copies
            .iter()
            .find(|copy| copy.backup_type == BackupType::Full && copy.place == away());
        assert_eq!(
            full.unwrap().last_success.unwrap().ended,
            ago("40d"),
            "{case}"
        );
    }
}

#[test]
fn log_files_without_a_usable_set_restore_nothing() {
    let logs = || vec![log_in(AWAY, "90m", "60m")];
    let covered = &[("21h", "60m")];
    assert_eq!(
        reached(&with_logs(vec![], logs(), covered)),
        (None, Some(0))
    );
    let failed = crate::example::failed(copy_in(AWAY, "20h"));
    let instance = with_logs(vec![failed], logs(), covered);
    assert_eq!(reached(&instance), (None, Some(0)));
    let elsewhere = with_logs(vec![copy_in("cn-beijing", "20h")], logs(), covered);
    assert_eq!(reached(&elsewhere), (None, Some(0)));
    // Without log files there is nothing to have gaps.
    let none = with_logs(vec![copy_in(AWAY, "20h")], vec![], &[]);
    assert_eq!(reached(&none), (Some(ago("20h")), None));
}

#[test]
fn the_newest_restore_window_is_shown_with_the_number_of_the_others() {
    let window = |scope, region: &str, start, end| RestoreWindow {
        scope,
        backup_region: region.to_owned(),
        start: ago(start),
        end: ago(end),
    };
    let instance = instance().with_windows(vec![
        window(Scope::CrossRegion, AWAY, "3d", "2d"),
        window(Scope::CrossRegion, AWAY, "1d", "10m"),
        window(Scope::CrossRegion, AWAY, "40h", "30h"),
        window(Scope::Local, HOME, "7d", "1m"),
    ]);
    let local = Place {
        scope: Scope::Local,
        backup_region: HOME.to_owned(),
    };
    let shown: Vec<_> = judged(&instance)
        .restore_windows
        .into_iter()
        .map(|(place, window)| (place, window.start, window.end, window.gaps))
        .collect();
    assert_eq!(
        shown,
        [
            (local, ago("7d"), ago("1m"), 0),
            (away(), ago("1d"), ago("10m"), 2)
        ]
    );
}

#[test]
fn the_switches_of_local_and_of_copied_backups_are_told_apart() {
    let mut policy = policy_to(AWAY);
    policy.switches.push(PolicySwitch {
        scope: Scope::Local,
        backup_region: HOME.to_owned(),
        backup_type: BackupType::Full,
        enabled: true,
        retention: None,
    });
    let instance = listed(vec![], vec![]).with_policy(policy);
    let scopes: Vec<_> = judged(&instance)
        .switches
        .into_iter()
        .map(|((place, backup_type), switch)| {
            (place.scope, backup_type, switch.retention.is_some())
        })
        .collect();
    assert_eq!(
        scopes,
        [
            (Scope::Local, BackupType::Full, false),
            (Scope::CrossRegion, BackupType::Full, true),
            (Scope::CrossRegion, BackupType::Log, true),
        ]
    );
}

#[test]
fn the_name_and_engine_come_from_whoever_tells_them() {
    let told = |name: &str, engine: &str, version: &str| Description {
        name: Some(name.to_owned()),
        engine: Some(engine.to_owned()),
        engine_version: Some(version.to_owned()),
        created: None,
    };
    let mut instance = instance();
    instance.0.description = told("found", "mysql", "8.0");
    let posture = judged(&instance);
    assert_eq!(
        (&*posture.name, &*posture.engine, &*posture.engine_version),
        ("found", "mysql", "8.0")
    );
    let policy = Policy {
        description: told("told", "postgresql", "15.0"),
        ..policy_to(AWAY)
    };
    let mut instance = instance.with_policy(policy);
    let posture = judged(&instance);
    assert_eq!(
        (&*posture.name, &*posture.engine, &*posture.engine_version),
        ("found", "mysql", "8.0"),
        "the list of instances speaks of the present"
    );
    instance.0.description = Description::default();
    let posture = judged(&instance);
    assert_eq!(
        (&*posture.name, &*posture.engine, &*posture.engine_version),
        ("told", "postgresql", "15.0")
    );
}

#[test]
fn what_the_list_of_instances_lacks_is_missing_and_promised_until_it_is_gone() {
    let promised = || {
        let instance = listed(vec![copy_in(AWAY, "1h")], vec![]);
        instance.promising(Objective::RecoveryPoint, "2h")
    };
    for (instance, missing, gone) in [
        (promised(), false, false),
        (promised().missing("5m", 5), true, false),
        (promised().missing("5m", 6), false, true),
    ] {
        let posture = judged(&instance);
        assert_eq!((posture.missing, posture.gone), (missing, gone));
        assert_eq!(posture.verdicts.len(), usize::from(!gone));
        assert_eq!(posture.recovery_points.len(), 1);
    }
}
