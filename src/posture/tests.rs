//! What each fact means, case by case. Random histories are in `model`.
#![expect(clippy::too_many_lines, reason = "a table is as long as it has rows")]

use super::*;
use crate::backup::Listing;
use crate::example::{
    HOME, Instance, LOOKBACK, ago, copy_in, failed, instance, listing, local, log_in, now, with,
};
use crate::provider::error::Reason;

use ListingKind::{CrossRegion, CrossRegionLog, Local};

fn judged(instance: &Instance) -> Posture {
    assess(&instance.0, LOOKBACK, now())
}

/// The full copy that a local listing of these sets makes.
fn local_copy(sets: Vec<BackupSet>) -> Copy {
    let posture = judged(&instance().read(Local, sets));
    let mut copies = posture.copies.into_iter();
    let copy = copies.next().unwrap();
    assert_eq!(copies.next(), None, "these sets belong to one copy");
    copy
}

/// A copy of which nothing was ever seen.
fn zeros(scope: Scope, backup_region: &str) -> Copy {
    Copy {
        place: Place {
            scope,
            backup_region: backup_region.to_owned(),
        },
        backup_type: BackupType::Full,
        last_success: None,
        last_failure: None,
        last_attempt_success: None,
        consecutive_failures: 0,
        sets: BTreeMap::from([(Status::Completed, 0), (Status::Failed, 0)]),
        stored_bytes: 0,
        oldest: None,
        running_since: None,
    }
}

fn expiring(set: BackupSet, expires: DateTime<Utc>) -> BackupSet {
    BackupSet {
        expires: Some(expires),
        ..set
    }
}

fn unavailable(set: BackupSet) -> BackupSet {
    BackupSet {
        available: false,
        ..set
    }
}

fn partial(set: BackupSet) -> BackupSet {
    BackupSet {
        backup_type: BackupType::Partial,
        ..set
    }
}

fn incremental(set: BackupSet) -> BackupSet {
    BackupSet {
        backup_type: BackupType::Incremental,
        ..set
    }
}

fn log(set: BackupSet) -> BackupSet {
    BackupSet {
        backup_type: BackupType::Log,
        ..set
    }
}

/// A log file that was begun long before the sets that it continues.
fn long_log(set: BackupSet) -> BackupSet {
    BackupSet {
        started: Some(ago("28h")),
        ..log(set)
    }
}

/// A listing without sets that tells where copies go.
fn going_to(destinations: &[&str], sets: Vec<BackupSet>) -> Sets {
    Sets {
        listing: Listing {
            destinations: destinations
                .iter()
                .map(|region| (*region).to_owned())
                .collect(),
            ..listing(sets)
        },
        remembered: Vec::new(),
        ..Sets::default()
    }
}

/// A set with these times, each said as "so long ago".
fn timed(started: Option<&str>, ended: Option<&str>) -> BackupSet {
    BackupSet {
        started: started.map(ago),
        ended: ended.map(ago),
        ..local("1h")
    }
}

#[test]
fn only_a_usable_set_is_a_success() {
    let second = Duration::seconds(1);
    let new = || local("1h");
    for (set, is_usable, counted_as) in [
        (new(), true, Status::Completed),
        (failed(new()), false, Status::Failed),
        (with(Status::Running, new()), false, Status::Running),
        (with(Status::Deleting, new()), false, Status::Deleting),
        (with(Status::Unknown, new()), false, Status::Unknown),
        (expiring(new(), now() - second), false, Status::Completed),
        (expiring(new(), now()), false, Status::Completed),
        (expiring(new(), now() + second), true, Status::Completed),
        (unavailable(new()), false, Status::Completed),
    ] {
        let case = format!("{set:?}");
        let copy = local_copy(vec![local("2days"), set]);
        let newest = if is_usable { "1h" } else { "2days" };
        let success = copy.last_success.unwrap();
        assert_eq!(success.ended, ago(newest), "{case}");
        assert_eq!(copy.oldest, Some(ago("2days")), "{case}");
        let usable = if is_usable { 2 } else { 1 };
        assert_eq!(copy.stored_bytes, usable * 1000, "{case}");
        let mut sets = BTreeMap::from([(Status::Completed, 1), (Status::Failed, 0)]);
        *sets.entry(counted_as).or_default() += 1;
        assert_eq!(copy.sets, sets, "{case}");
    }
}

#[test]
fn a_part_of_the_instance_is_counted_and_nothing_else() {
    let dump = || partial(local("1h"));
    let sets = vec![
        failed(local("2h")),
        failed(local("26h")),
        local("50h"),
        dump(),
        failed(partial(local("3h"))),
        with(Status::Running, partial(local("1m"))),
    ];
    let instance = instance()
        .expecting(&["cn-shanghai"])
        .promising(Objective::BackupAge, "26h")
        .promising(Objective::CopyDelay, "6h")
        .promising(Objective::RecoveryPoint, "26h")
        .read(Local, sets)
        .read(
            CrossRegion,
            vec![
                copy_in("cn-shanghai", "50h"),
                partial(copy_in("cn-shanghai", "1h")),
            ],
        );
    let posture = assess(&instance.0, LOOKBACK, now());
    let copy = |scope, backup_type| {
        let mut copies = posture.copies.iter();
        let copy = copies.find(|copy| (copy.place.scope, copy.backup_type) == (scope, backup_type));
        copy.unwrap().clone()
    };
    let whole = copy(Scope::Local, BackupType::Full);
    assert_eq!(whole.last_success.unwrap().ended, ago("50h"));
    assert_eq!(
        (whole.consecutive_failures, whole.last_attempt_success),
        (2, Some(false))
    );
    let part = copy(Scope::Local, BackupType::Partial);
    let counted = [
        (Status::Completed, 1),
        (Status::Failed, 1),
        (Status::Running, 1),
    ];
    assert_eq!(part.sets, BTreeMap::from(counted));
    let said = (
        part.last_success,
        part.last_failure,
        part.last_attempt_success,
    );
    assert_eq!(said, (None, None, None));
    assert_eq!((part.consecutive_failures, part.stored_bytes), (0, 0));
    assert_eq!((part.oldest, part.running_since), (None, None));
    assert_eq!(
        posture.recovery_points[&Place::cross_region("cn-shanghai")],
        ago("50h")
    );
    assert_eq!(posture.uncopied[0].sets, 0);
    let met: Vec<_> = posture.verdicts.iter().map(|verdict| verdict.met).collect();
    assert_eq!(met, [Some(false), Some(false), Some(true)]);
}

#[test]
fn a_region_that_keeps_a_part_of_the_instance_is_not_expected_to_keep_the_whole() {
    let instance = instance().read(
        CrossRegion,
        vec![
            partial(copy_in("cn-beijing", "1h")),
            copy_in("cn-shanghai", "1h"),
        ],
    );
    let posture = assess(&instance.0, LOOKBACK, now());
    assert_eq!(posture.expected_regions, ["cn-shanghai"]);
}

#[test]
fn an_incremental_set_without_a_full_one_is_counted_and_nothing_else() {
    let sets = vec![
        incremental(copy_in("cn-shanghai", "1h")),
        incremental(copy_in("cn-shanghai", "25h")),
    ];
    let judge = |sets: Vec<BackupSet>| {
        let instance = instance()
            .expecting(&["cn-shanghai"])
            .promising(Objective::RecoveryPoint, "26h")
            .promising(Objective::Retention, "1h")
            .read(CrossRegion, sets);
        assess(&instance.0, LOOKBACK, now())
    };
    let posture = judge(sets.clone());
    let mut copies = posture.copies.iter();
    let copy = copies
        .find(|copy| copy.backup_type == BackupType::Incremental)
        .unwrap();
    assert_eq!(copy.sets[&Status::Completed], 2);
    assert_eq!(
        (copy.last_success, copy.oldest, copy.stored_bytes),
        (None, None, 0)
    );
    assert!(posture.recovery_points.is_empty());
    let met = |posture: &Posture| -> Vec<_> {
        posture.verdicts.iter().map(|verdict| verdict.met).collect()
    };
    assert_eq!(met(&posture), [Some(false), Some(false)]);
    // The same ones with the full set that they continue.
    let posture = judge([sets, vec![copy_in("cn-shanghai", "26h")]].concat());
    assert_eq!(
        posture.recovery_points[&Place::cross_region("cn-shanghai")],
        ago("1h")
    );
    assert_eq!(met(&posture), [Some(true), Some(true)]);
}

#[test]
fn what_the_vendor_never_copies_lacks_no_copy() {
    let by_hand = |ended| BackupSet {
        is_copied: false,
        ..local(ended)
    };
    let uncopied = |sets: Vec<BackupSet>| {
        let instance = instance()
            .expecting(&["cn-shanghai"])
            .read(CrossRegion, vec![copy_in("cn-shanghai", "20h")])
            .read(Local, sets);
        let posture = assess(&instance.0, LOOKBACK, now());
        // Its own region can be restored from it all the same.
        let mut copies = posture.copies.iter();
        let local = copies.find(|copy| copy.place.scope == Scope::Local);
        assert_eq!(local.unwrap().last_success.unwrap().ended, ago("8h"));
        (posture.uncopied[0].sets, posture.uncopied[0].oldest)
    };
    assert_eq!(uncopied(vec![by_hand("8h"), local("20h")]), (0, None));
    assert_eq!(
        uncopied(vec![by_hand("8h"), local("9h")]),
        (1, Some(ago("9h")))
    );
}

#[test]
fn a_duration_is_known_when_both_ends_are_and_are_in_order() {
    for (started, ended, expected) in [
        (Some("1h 10m"), Some("1h"), Some(Duration::minutes(10))),
        (Some("1h"), Some("1h"), Some(Duration::zero())),
        (Some("50m"), Some("1h"), None),
        (None, Some("1h"), None),
        (Some("1h"), None, None),
    ] {
        let copy = local_copy(vec![timed(started, ended)]);
        let success = copy.last_success.unwrap();
        assert_eq!(success.duration, expected, "{started:?} {ended:?}");
        assert_eq!(success.ended, ago("1h"), "{started:?} {ended:?}");
    }
}

#[test]
fn the_newest_success_tells_its_own_size() {
    let sized = |set, size_bytes| BackupSet { size_bytes, ..set };
    for size in [Some(7), Some(0), None] {
        let copy = local_copy(vec![sized(local("1h"), size), local("2h")]);
        assert_eq!(copy.last_success.unwrap().size_bytes, size);
    }
    let sets = [Some(7), None, Some(u64::MAX)].map(|size| sized(local("1h"), size));
    assert_eq!(local_copy(sets[..2].to_vec()).stored_bytes, 7);
    // A sum that no counter can hold stops at the largest.
    assert_eq!(local_copy(sets.to_vec()).stored_bytes, u64::MAX);
}

#[test]
fn the_newest_finished_set_says_how_the_last_attempt_went() {
    let running = |ended| with(Status::Running, local(ended));
    let unknown = |ended| with(Status::Unknown, local(ended));
    let deleting = |ended| with(Status::Deleting, local(ended));
    let lost = |ended| failed(local(ended));
    for (case, sets, success, in_a_row, last_failure) in [
        ("nothing", vec![], None, 0, None),
        ("a success", vec![local("2h")], Some(true), 0, None),
        ("a failure", vec![lost("2h")], Some(false), 1, Some("2h")),
        (
            "a failure after a success",
            vec![local("2h"), lost("1h")],
            Some(false),
            1,
            Some("1h"),
        ),
        (
            "a success after a failure, listed in the other order",
            vec![local("1h"), lost("2h")],
            Some(true),
            0,
            Some("2h"),
        ),
        (
            "failures before and after a success",
            vec![lost("1h"), lost("2h"), local("3h"), lost("4h")],
            Some(false),
            2,
            Some("1h"),
        ),
        (
            "running after a success",
            vec![local("2h"), running("1h")],
            Some(true),
            0,
            None,
        ),
        (
            "running after a failure",
            vec![lost("2h"), running("1h")],
            Some(false),
            1,
            Some("2h"),
        ),
        ("running alone", vec![running("1h")], None, 0, None),
        (
            "not understood after a failure",
            vec![lost("2h"), unknown("1h")],
            Some(false),
            1,
            Some("2h"),
        ),
        (
            "not understood after a success",
            vec![local("2h"), unknown("1h")],
            Some(true),
            0,
            None,
        ),
        (
            "being deleted after a failure",
            vec![lost("2h"), deleting("1h")],
            Some(false),
            1,
            Some("2h"),
        ),
        (
            "expired after a failure: completed in the counts and nowhere else",
            vec![lost("2h"), expiring(local("1h"), ago("1m"))],
            Some(false),
            1,
            Some("2h"),
        ),
        (
            "a failure without an end is as old as its start",
            vec![
                local("2h"),
                BackupSet {
                    started: Some(ago("1h")),
                    ended: None,
                    ..lost("1h")
                },
            ],
            Some(false),
            1,
            Some("1h"),
        ),
        (
            "a failure that left the look-back",
            vec![lost("32days")],
            None,
            0,
            None,
        ),
        (
            "a failure in the look-back after a success that left it",
            vec![lost("1day"), local("32days")],
            Some(false),
            1,
            Some("1day"),
        ),
    ] {
        let copy = local_copy(sets);
        let found = (
            copy.last_attempt_success,
            copy.consecutive_failures,
            copy.last_failure,
        );
        assert_eq!(found, (success, in_a_row, last_failure.map(ago)), "{case}");
    }
}

#[test]
fn a_set_counts_as_long_as_it_began_after_the_edge_of_the_look_back() {
    for (started, ended, counted) in [
        (Some("31days"), Some("30days"), 0),
        (Some("30days 23h 59m 59s"), Some("30days"), 1),
        (Some("32days"), Some("1h"), 0),
        // Without a start the end decides.
        (None, Some("31days"), 0),
        (None, Some("30days"), 1),
        (Some("30days"), None, 1),
        // Without any time it lies nowhere.
        (None, None, 0),
    ] {
        let copy = local_copy(vec![timed(started, ended)]);
        let case = format!("{started:?} {ended:?}");
        assert_eq!(copy.sets[&Status::Completed], counted, "{case}");
        assert_eq!(copy.stored_bytes, counted * 1000, "{case}");
        assert_eq!(copy.oldest.is_some(), counted == 1, "{case}");
        // The newest success is one as long as it is known.
        let newest = ended.or(started).map(ago);
        let success = copy.last_success.map(|success| success.ended);
        assert_eq!(success, newest, "{case}");
    }
}

#[test]
fn a_remembered_set_is_the_newest_success_and_is_not_counted() {
    let sets = Sets {
        listing: listing(vec![failed(copy_in("cn-shanghai", "1day"))]),
        remembered: vec![copy_in("cn-shanghai", "40days")],
        ..Sets::default()
    };
    let posture = judged(&instance().found(CrossRegion, sets));
    let copy = &posture.copies[0];
    assert_eq!(copy.last_success.unwrap().ended, ago("40days"));
    assert_eq!(copy.consecutive_failures, 1);
    assert_eq!(
        copy.sets,
        BTreeMap::from([(Status::Completed, 0), (Status::Failed, 1)])
    );
    assert_eq!((copy.stored_bytes, copy.oldest), (0, None));
    let place = Place::cross_region("cn-shanghai");
    assert_eq!(
        posture.recovery_points,
        BTreeMap::from([(place, ago("40days"))])
    );
    // The region stays known through it.
    assert_eq!(posture.copies.len(), 1);
}

#[test]
fn what_runs_shows_since_when_its_oldest_does() {
    let running = |started: Option<&str>| BackupSet {
        status: Status::Running,
        ..timed(started, None)
    };
    for (sets, expected) in [
        (vec![local("1h")], None),
        (vec![running(Some("3h")), running(Some("5h"))], Some("5h")),
        (vec![running(None)], None),
    ] {
        assert_eq!(local_copy(sets).running_since, expected.map(ago));
    }
}

#[test]
fn never_backed_up_is_absence_and_an_explicit_zero() {
    let home = || zeros(Scope::Local, HOME);
    let away = |region| zeros(Scope::CrossRegion, region);
    for (case, instance, expected) in [
        ("never read", instance().expecting(&["cn-shanghai"]), vec![]),
        (
            "attempted, and failed",
            instance()
                .expecting(&["cn-shanghai"])
                .failing(CrossRegion, Reason::Timeout, false)
                .failing(Local, Reason::Timeout, false),
            vec![],
        ),
        (
            "declared regions",
            instance()
                .expecting(&["cn-shanghai", "cn-beijing"])
                .read(CrossRegion, vec![])
                .read(Local, vec![]),
            vec![home(), away("cn-beijing"), away("cn-shanghai")],
        ),
        (
            "no region known",
            instance().read(CrossRegion, vec![]).read(Local, vec![]),
            vec![home(), away("")],
        ),
        (
            "only the local listing was read",
            instance().expecting(&["cn-shanghai"]).read(Local, vec![]),
            vec![home()],
        ),
        (
            "only the other listing was read",
            instance().read(CrossRegion, vec![]),
            vec![away("")],
        ),
        (
            "no such backups for this instance",
            instance()
                .expecting(&["cn-shanghai"])
                .unsupported(CrossRegion)
                .read(Local, vec![]),
            vec![home()],
        ),
        (
            "read once, failing since",
            instance()
                .read(Local, vec![])
                .failing(Local, Reason::Server, false),
            vec![home()],
        ),
    ] {
        assert_eq!(judged(&instance).copies, expected, "{case}");
    }
}

#[test]
fn a_region_that_was_seen_is_expected_when_none_is_declared() {
    let seen = vec![incremental(failed(copy_in("cn-shanghai", "1h")))];
    let posture = judged(&instance().read(CrossRegion, seen.clone()));
    // Its full copies are an explicit zero beside the incremental one; no place without a region is shown.
    let [full, other] = posture.copies.as_slice() else {
        panic!("{:?}", posture.copies)
    };
    assert_eq!(*full, zeros(Scope::CrossRegion, "cn-shanghai"));
    assert_eq!(other.backup_type, BackupType::Incremental);
    assert_eq!(other.consecutive_failures, 1);
    // A declared region is expected beside what was seen elsewhere.
    let posture = judged(
        &instance()
            .expecting(&["cn-beijing"])
            .read(CrossRegion, seen)
            .read(Local, vec![local("1h")]),
    );
    let regions: Vec<_> = posture
        .uncopied
        .iter()
        .map(|uncopied| uncopied.backup_region.as_str())
        .collect();
    assert_eq!(regions, ["cn-beijing"]);
}

#[test]
fn where_the_policy_copies_to_a_copy_is_expected_when_none_is_declared() {
    let shanghai = &["cn-shanghai"][..];
    let both = &["cn-beijing", "cn-shanghai"][..];
    let seen = || vec![copy_in("cn-shenzhen", "1h")];
    for (case, declared, destinations, copies, expected) in [
        ("nothing copied yet", &[][..], shanghai, vec![], shanghai),
        ("two destinations", &[], both, vec![], both),
        ("an old copy elsewhere", &[], shanghai, seen(), shanghai),
        (
            "declared otherwise",
            shanghai,
            &["cn-beijing"],
            vec![],
            shanghai,
        ),
        ("off, and an old copy", &[], &[], seen(), &["cn-shenzhen"]),
        ("off", &[], &[], vec![], &[]),
    ] {
        let instance = instance()
            .expecting(declared)
            .found(CrossRegion, going_to(destinations, copies.clone()))
            .read(Local, vec![local("7h")]);
        let posture = judged(&instance);
        // The zeros are there, and what is not copied yet is told for the same regions.
        let away: Vec<_> = posture
            .copies
            .iter()
            .filter(|copy| copy.place.scope == Scope::CrossRegion && copy.last_success.is_none())
            .map(|copy| copy.place.backup_region.as_str())
            .collect();
        let zeros = match (expected, copies.is_empty()) {
            ([], _) => &[""],
            (["cn-shenzhen"], false) => &[][..],
            (regions, _) => regions,
        };
        assert_eq!(away, zeros, "{case}");
        let uncopied: Vec<_> = posture
            .uncopied
            .iter()
            .map(|uncopied| uncopied.backup_region.as_str())
            .collect();
        assert_eq!(uncopied, expected, "{case}");
        for (objective, promise) in [
            (Objective::RecoveryPoint, "26h"),
            (Objective::Retention, "30m"),
        ] {
            let met = verdict(objective, promise, instance.clone());
            assert_eq!(met, Some(expected == ["cn-shenzhen"]), "{case}");
        }
        let late = (!expected.is_empty()).then_some(expected == ["cn-shenzhen"]);
        let met = verdict(Objective::CopyDelay, "6h", instance);
        assert_eq!(met, late, "{case}");
    }
    // A copy in every destination, and only that, keeps the promise.
    for (copies, met) in [
        (vec![copy_in("cn-shanghai", "1h")], false),
        (
            both.iter().map(|region| copy_in(region, "1h")).collect(),
            true,
        ),
    ] {
        let instance = instance().found(CrossRegion, going_to(both, copies));
        let found = verdict(Objective::RecoveryPoint, "26h", instance);
        assert_eq!(found, Some(met));
    }
}

#[test]
fn a_recovery_point_is_the_newest_of_all_usable_sets_of_its_place() {
    let without = |set| BackupSet {
        recovery_point: None,
        ..set
    };
    let posture = judged(
        &instance()
            .read(
                CrossRegion,
                vec![
                    copy_in("cn-shanghai", "3h"),
                    long_log(copy_in("cn-shanghai", "2h")),
                    failed(copy_in("cn-shanghai", "1h")),
                    expiring(copy_in("cn-shanghai", "30m"), ago("1m")),
                    unavailable(copy_in("cn-shanghai", "20m")),
                    copy_in("cn-beijing", "5h"),
                    failed(copy_in("cn-shenzhen", "1h")),
                ],
            )
            .read(Local, vec![local("40m"), without(local("10m"))]),
    );
    let expected = [
        (Place::of(&local("1h")), ago("40m")),
        (Place::cross_region("cn-beijing"), ago("5h")),
        (Place::cross_region("cn-shanghai"), ago("2h")),
    ];
    assert_eq!(posture.recovery_points, BTreeMap::from(expected));
}

#[test]
fn a_recovery_point_is_that_of_the_newest_log_where_logs_are_copied() {
    let idle = |set| BackupSet {
        recovery_point: Some(ago("4h")),
        ..long_log(set)
    };
    let shanghai = |ended| copy_in("cn-shanghai", ended);
    for (case, logs, expected) in [
        ("no logs", vec![], "3h"),
        ("a newer log", vec![long_log(shanghai("10m"))], "10m"),
        ("an idle database", vec![idle(shanghai("10m"))], "3h"),
        ("an older log", vec![long_log(shanghai("5h"))], "3h"),
        (
            "a failed log",
            vec![failed(long_log(shanghai("10m")))],
            "3h",
        ),
        (
            "elsewhere",
            vec![long_log(copy_in("cn-beijing", "10m"))],
            "3h",
        ),
    ] {
        let instance = instance()
            .with_logs()
            .read(CrossRegion, vec![shanghai("3h")])
            .read(CrossRegionLog, logs);
        let points = judged(&instance).recovery_points;
        let place = Place::cross_region("cn-shanghai");
        assert_eq!(points.get(&place), Some(&ago(expected)), "{case}");
    }
    // A log that left its look-back is still the newest point, as long as it is known.
    let sets = Sets {
        listing: listing(vec![]),
        remembered: vec![long_log(shanghai("2h 30m"))],
        ..Sets::default()
    };
    let instance = instance()
        .with_logs()
        .read(CrossRegion, vec![shanghai("3h")])
        .found(CrossRegionLog, sets);
    let points = judged(&instance).recovery_points;
    assert_eq!(points[&Place::cross_region("cn-shanghai")], ago("2h 30m"));
}

#[test]
fn logs_count_within_a_look_back_of_their_own() {
    for (started, counted) in [
        ("2h", 0),
        ("1h 59m 59s", 1),
        // Long within the look-back of sets.
        ("1day", 0),
    ] {
        let counts = |backup_type| {
            let set = BackupSet {
                backup_type,
                started: Some(ago(started)),
                ended: Some(ago("5m")),
                ..copy_in("cn-shanghai", "5m")
            };
            let instance = instance().with_logs().read(CrossRegionLog, vec![set]);
            let copies = judged(&instance).copies;
            let [copy] = copies.as_slice() else {
                panic!("{copies:?}")
            };
            assert_eq!(copy.backup_type, backup_type);
            // The newest success is one as long as it is known.
            assert_eq!(copy.last_success.unwrap().ended, ago("5m"));
            let counted = copy.sets[&Status::Completed];
            assert_eq!(copy.stored_bytes, counted * 1000);
            assert_eq!(copy.oldest.is_some(), counted == 1);
            counted
        };
        assert_eq!(counts(BackupType::Log), counted, "{started}");
        assert_eq!(counts(BackupType::Full), 1, "{started}");
    }
}

#[test]
fn restorable_sets_are_usable_ones_and_each_counts_once_a_region() {
    let to = |regions: &[&str], set| BackupSet {
        restore_regions: regions.iter().map(|region| (*region).to_owned()).collect(),
        ..set
    };
    let both = &["cn-hangzhou", "cn-shanghai"][..];
    let posture = judged(&instance().read(
        CrossRegion,
        vec![
            to(both, copy_in("cn-shanghai", "1h")),
            to(
                &["cn-shanghai", "cn-shanghai"],
                copy_in("cn-shanghai", "2h"),
            ),
            to(both, failed(copy_in("cn-shanghai", "3h"))),
            to(both, expiring(copy_in("cn-shanghai", "4h"), ago("1m"))),
            to(both, copy_in("cn-shanghai", "40days")),
            copy_in("cn-shanghai", "5h"),
        ],
    ));
    let expected = [("cn-hangzhou".to_owned(), 1), ("cn-shanghai".to_owned(), 2)];
    assert_eq!(posture.restorable_sets, BTreeMap::from(expected));
}

#[test]
fn a_local_full_set_is_uncopied_when_no_copy_is_as_new() {
    let shanghai = |ended| copy_in("cn-shanghai", ended);
    let both = &["cn-beijing", "cn-shanghai"][..];
    let one = &["cn-shanghai"][..];
    for (case, expecting, copies, locals, expected) in [
        ("nothing to copy", one, vec![], vec![], &[(0, None)][..]),
        (
            "no copy at all",
            one,
            vec![],
            vec![local("1h"), local("25h")],
            &[(2, Some("25h"))],
        ),
        (
            "data that is ten minutes older is the same backup",
            one,
            vec![shanghai("1h 10m")],
            vec![local("1h")],
            &[(0, None)],
        ),
        (
            "a second more is another one",
            one,
            vec![shanghai("1h 10m 1s")],
            vec![local("1h")],
            &[(1, Some("1h"))],
        ),
        (
            "one of two regions lags",
            both,
            vec![shanghai("1h"), copy_in("cn-beijing", "49h")],
            vec![local("1h"), local("25h"), local("49h")],
            &[(2, Some("25h")), (0, None)],
        ),
        (
            "an older gap that a newer copy covers",
            one,
            vec![shanghai("1h")],
            vec![local("1h"), local("25h")],
            &[(0, None)],
        ),
        (
            "only usable full local sets in the look-back need a copy",
            one,
            vec![],
            vec![
                incremental(local("1h")),
                failed(local("2h")),
                with(Status::Unknown, local("3h")),
                expiring(local("4h"), ago("1m")),
                unavailable(local("5h")),
                local("40days"),
            ],
            &[(0, None)],
        ),
        (
            "only a usable full copy is one",
            one,
            vec![
                incremental(shanghai("1h")),
                failed(shanghai("1h")),
                with(Status::Running, shanghai("1h")),
                copy_in("cn-beijing", "1h"),
            ],
            vec![local("1h")],
            &[(1, Some("1h"))],
        ),
        (
            "a region that was seen",
            &[],
            vec![shanghai("25h")],
            vec![local("1h")],
            &[(1, Some("1h"))],
        ),
        ("no region known", &[], vec![], vec![local("1h")], &[]),
    ] {
        let instance = instance()
            .expecting(expecting)
            .read(CrossRegion, copies)
            .read(Local, locals);
        let found: Vec<_> = judged(&instance)
            .uncopied
            .into_iter()
            .map(|uncopied| (uncopied.sets, uncopied.oldest))
            .collect();
        let expected: Vec<_> = expected
            .iter()
            .map(|(sets, oldest)| (*sets, oldest.map(ago)))
            .collect();
        assert_eq!(found, expected, "{case}");
    }
}

#[test]
fn what_is_uncopied_is_not_known_before_both_listings_were_read() {
    let declared = || instance().expecting(&["cn-shanghai"]);
    for instance in [
        declared().read(Local, vec![local("1h")]),
        declared().read(CrossRegion, vec![copy_in("cn-shanghai", "1h")]),
        declared()
            .read(Local, vec![local("1h")])
            .failing(CrossRegion, Reason::Server, false),
    ] {
        assert_eq!(judged(&instance).uncopied, []);
    }
}

/// Whether an instance that promises this holds it.
fn verdict(objective: Objective, promise: &str, instance: Instance) -> Option<bool> {
    let verdicts = judged(&instance.promising(objective, promise)).verdicts;
    let [verdict] = verdicts.as_slice() else {
        panic!("one promise, one verdict: {verdicts:?}")
    };
    assert_eq!(verdict.objective, objective);
    assert_eq!(
        verdict.promise,
        humantime::parse_duration(promise).unwrap(),
        "the promise is repeated as it was made"
    );
    verdict.met
}

#[test]
fn recovery_point_holds_when_every_expected_region_is_young_enough() {
    let shanghai = |ended| vec![copy_in("cn-shanghai", ended)];
    let one = || instance().expecting(&["cn-shanghai"]);
    let both = || instance().expecting(&["cn-shanghai", "cn-beijing"]);
    for (case, instance, expected) in [
        ("never read", one(), None),
        (
            "never read with success",
            one().failing(CrossRegion, Reason::Server, false),
            None,
        ),
        ("the local listing alone", one().read(Local, vec![]), None),
        (
            "younger by a second",
            one().read(CrossRegion, shanghai("25h 59m 59s")),
            Some(true),
        ),
        (
            "as old as the promise",
            one().read(CrossRegion, shanghai("26h")),
            Some(false),
        ),
        (
            "no copy at all",
            one().read(CrossRegion, vec![]),
            Some(false),
        ),
        (
            "no usable copy",
            one().read(CrossRegion, vec![failed(copy_in("cn-shanghai", "1h"))]),
            Some(false),
        ),
        (
            "a copy elsewhere",
            one().read(CrossRegion, vec![copy_in("cn-beijing", "1h")]),
            Some(false),
        ),
        (
            "a region that was seen",
            instance().read(CrossRegion, shanghai("1h")),
            Some(true),
        ),
        (
            "no region known",
            instance().read(CrossRegion, vec![]),
            Some(false),
        ),
        (
            "one of two regions",
            both().read(CrossRegion, shanghai("1h")),
            Some(false),
        ),
        (
            "both regions",
            both().read(
                CrossRegion,
                vec![copy_in("cn-shanghai", "1h"), copy_in("cn-beijing", "25h")],
            ),
            Some(true),
        ),
        (
            "one of two regions is old",
            both().read(
                CrossRegion,
                vec![copy_in("cn-shanghai", "1h"), copy_in("cn-beijing", "27h")],
            ),
            Some(false),
        ),
        ("unsupported", one().unsupported(CrossRegion), Some(false)),
        (
            "old facts are judged while polls fail",
            one()
                .read(CrossRegion, shanghai("1h"))
                .failing(CrossRegion, Reason::Server, false),
            Some(true),
        ),
    ] {
        let met = verdict(Objective::RecoveryPoint, "26h", instance);
        assert_eq!(met, expected, "{case}");
    }
}

#[test]
fn a_broken_recovery_point_is_not_known_to_be_broken_before_the_logs_were_read() {
    let with_logs = || instance().with_logs().expecting(&["cn-shanghai"]);
    let shanghai = |ended| vec![copy_in("cn-shanghai", ended)];
    let logs = |ended| vec![long_log(copy_in("cn-shanghai", ended))];
    let young = || with_logs().read(CrossRegion, shanghai("1h"));
    let old = || with_logs().read(CrossRegion, shanghai("27h"));
    for (case, instance, expected) in [
        ("nothing was read", with_logs(), None),
        ("young sets are enough", young(), Some(true)),
        (
            "young sets are enough while the logs cannot be read",
            young().failing(CrossRegionLog, Reason::Server, false),
            Some(true),
        ),
        ("old sets, and no word of logs", old(), None),
        (
            "old sets, and logs that could never be read",
            old().failing(CrossRegionLog, Reason::Server, false),
            None,
        ),
        (
            "old sets, and logs that the key may not ask for",
            old().failing(CrossRegionLog, Reason::Permission, false),
            Some(false),
        ),
        (
            "young sets, and logs that the key may not ask for",
            young().failing(CrossRegionLog, Reason::Permission, false),
            Some(true),
        ),
        (
            "no sets, and no word of logs",
            with_logs().read(CrossRegion, vec![]),
            None,
        ),
        (
            "young logs",
            old().read(CrossRegionLog, logs("1h")),
            Some(true),
        ),
        (
            "young logs that cannot be read now",
            old()
                .read(CrossRegionLog, logs("1h"))
                .failing(CrossRegionLog, Reason::Server, false),
            Some(true),
        ),
        (
            "old logs",
            old().read(CrossRegionLog, logs("26h")),
            Some(false),
        ),
        ("no logs", old().read(CrossRegionLog, vec![]), Some(false)),
        (
            "logs elsewhere",
            old().read(CrossRegionLog, vec![long_log(copy_in("cn-beijing", "1h"))]),
            Some(false),
        ),
        (
            "there are no logs to copy",
            old().unsupported(CrossRegionLog),
            Some(false),
        ),
        (
            "there are no copies, and so no logs",
            with_logs().unsupported(CrossRegion),
            Some(false),
        ),
        (
            "logs alone: where they are expected is not known",
            with_logs().read(CrossRegionLog, logs("1h")),
            None,
        ),
        (
            "logs are not asked for",
            instance()
                .expecting(&["cn-shanghai"])
                .read(CrossRegion, shanghai("27h")),
            Some(false),
        ),
    ] {
        let met = verdict(Objective::RecoveryPoint, "26h", instance);
        assert_eq!(met, expected, "{case}");
    }
}

#[test]
fn backup_age_holds_when_the_newest_usable_local_set_is_young_enough() {
    let read = |sets| instance().read(Local, sets);
    for (case, instance, expected) in [
        ("never read", instance(), None),
        (
            "the other listing alone",
            instance().read(CrossRegion, vec![]),
            None,
        ),
        (
            "younger by a second",
            read(vec![local("25h 59m 59s")]),
            Some(true),
        ),
        (
            "as old as the promise",
            read(vec![local("26h")]),
            Some(false),
        ),
        ("none", read(vec![]), Some(false)),
        ("a failed one", read(vec![failed(local("1h"))]), Some(false)),
        (
            "an expired one",
            read(vec![expiring(local("1h"), ago("1m"))]),
            Some(false),
        ),
        (
            "an incremental one",
            read(vec![incremental(local("1h")), local("5days")]),
            Some(true),
        ),
        (
            "a copy is no local set",
            read(vec![]).read(CrossRegion, vec![copy_in("cn-shanghai", "1h")]),
            Some(false),
        ),
        ("unsupported", instance().unsupported(Local), Some(false)),
    ] {
        let met = verdict(Objective::BackupAge, "26h", instance);
        assert_eq!(met, expected, "{case}");
    }
}

#[test]
fn copy_delay_holds_until_a_set_waits_too_long() {
    let one = || instance().expecting(&["cn-shanghai"]);
    let waiting = |ended| {
        one()
            .read(CrossRegion, vec![])
            .read(Local, vec![local(ended)])
    };
    for (case, instance, expected) in [
        ("waits for just as long", waiting("6h"), Some(true)),
        ("waits a second longer", waiting("6h 1s"), Some(false)),
        (
            "the oldest that waits decides",
            one()
                .read(CrossRegion, vec![])
                .read(Local, vec![local("1h"), local("7h")]),
            Some(false),
        ),
        (
            "everything is copied",
            one()
                .read(CrossRegion, vec![copy_in("cn-shanghai", "25h")])
                .read(Local, vec![local("25h")]),
            Some(true),
        ),
        (
            "nothing to copy",
            one().read(CrossRegion, vec![]).read(Local, vec![]),
            Some(true),
        ),
        (
            "one of two regions lacks it",
            instance()
                .expecting(&["cn-shanghai", "cn-beijing"])
                .read(CrossRegion, vec![copy_in("cn-shanghai", "25h")])
                .read(Local, vec![local("25h")]),
            Some(false),
        ),
        (
            "no expected region",
            instance()
                .read(CrossRegion, vec![])
                .read(Local, vec![local("25h")]),
            None,
        ),
        ("never read", one(), None),
        ("half read", one().read(Local, vec![local("25h")]), None),
    ] {
        let met = verdict(Objective::CopyDelay, "6h", instance);
        assert_eq!(met, expected, "{case}");
    }
}

#[test]
fn retention_holds_when_every_expected_region_reaches_back_far_enough() {
    let shanghai = |ended| vec![copy_in("cn-shanghai", ended), copy_in("cn-shanghai", "1h")];
    let one = || instance().expecting(&["cn-shanghai"]);
    for (case, instance, expected) in [
        (
            "as old as the promise",
            one().read(CrossRegion, shanghai("7days")),
            Some(true),
        ),
        (
            "younger by a second",
            one().read(CrossRegion, shanghai("6days 23h 59m 59s")),
            Some(false),
        ),
        (
            "the old one failed",
            one().read(
                CrossRegion,
                vec![
                    failed(copy_in("cn-shanghai", "8days")),
                    copy_in("cn-shanghai", "1h"),
                ],
            ),
            Some(false),
        ),
        (
            "an incremental set reaches back with the full one that it continues",
            one().read(
                CrossRegion,
                vec![
                    incremental(copy_in("cn-shanghai", "8days")),
                    copy_in("cn-shanghai", "9days"),
                ],
            ),
            Some(true),
        ),
        (
            "an incremental set by itself restores nothing",
            one().read(
                CrossRegion,
                vec![incremental(copy_in("cn-shanghai", "8days"))],
            ),
            Some(false),
        ),
        (
            "a part of the instance reaches nowhere",
            one().read(
                CrossRegion,
                vec![
                    partial(copy_in("cn-shanghai", "8days")),
                    copy_in("cn-shanghai", "1h"),
                ],
            ),
            Some(false),
        ),
        ("none", one().read(CrossRegion, vec![]), Some(false)),
        (
            "one of two regions",
            instance()
                .expecting(&["cn-shanghai", "cn-beijing"])
                .read(CrossRegion, shanghai("8days")),
            Some(false),
        ),
        (
            "no expected region",
            instance().read(CrossRegion, vec![]),
            Some(false),
        ),
        ("unsupported", one().unsupported(CrossRegion), Some(false)),
        ("never read", one(), None),
    ] {
        let met = verdict(Objective::Retention, "7days", instance);
        assert_eq!(met, expected, "{case}");
    }
}

#[test]
fn log_files_alone_reach_back_to_nothing() {
    let met = |sets| {
        let logs = vec![log_in("cn-shanghai", "100m", "90m")];
        let instance = instance().expecting(&["cn-shanghai"]).with_logs();
        let instance = instance.read(CrossRegionLog, logs);
        verdict(Objective::Retention, "1h", instance.read(CrossRegion, sets))
    };
    assert_eq!(met(vec![copy_in("cn-shanghai", "30m")]), Some(false));
    assert_eq!(met(vec![]), Some(false));
    assert_eq!(met(vec![copy_in("cn-shanghai", "2h")]), Some(true));
}

#[test]
fn a_promise_that_is_off_is_neither_shown_nor_judged() {
    let read = || instance().read(Local, vec![]).read(CrossRegion, vec![]);
    assert_eq!(judged(&read()).verdicts, []);
    let all = Objective::ALL
        .into_iter()
        .fold(read(), |instance, objective| {
            instance.promising(objective, "1h")
        });
    let shown: Vec<_> = judged(&all)
        .verdicts
        .iter()
        .map(|verdict| verdict.objective)
        .collect();
    assert_eq!(shown, Objective::ALL);
}

#[test]
fn an_instance_is_gone_when_its_own_region_last_said_so() {
    let missing = |instance: Instance, kind| instance.failing(kind, Reason::NotFound, true);
    let seen = || {
        let instance = instance().read(Local, vec![local("1h")]);
        instance.read(CrossRegion, vec![])
    };
    for (case, instance, gone) in [
        ("never asked", instance(), false),
        (
            "told at home, never asked elsewhere",
            missing(instance(), Local),
            true,
        ),
        (
            "told at home, and its copies live on",
            missing(instance(), Local).read(CrossRegion, vec![copy_in("cn-shanghai", "1h")]),
            true,
        ),
        (
            "told elsewhere, and read at home",
            missing(instance(), CrossRegion).read(Local, vec![]),
            false,
        ),
        (
            "told by both",
            missing(missing(instance(), Local), CrossRegion),
            true,
        ),
        (
            "told by both after better days",
            missing(missing(seen(), Local), CrossRegion),
            false,
        ),
        (
            "told twice after better days",
            missing(missing(seen(), Local), Local),
            true,
        ),
        (
            "something else was not found",
            missing(instance(), CrossRegion).failing(Local, Reason::NotFound, false),
            false,
        ),
        (
            "told by the only listing that is read",
            missing(instance().only(CrossRegion), CrossRegion),
            true,
        ),
    ] {
        assert_eq!(judged(&instance).gone, gone, "{case}");
    }
}

#[test]
fn unsupported_is_a_fact_and_not_an_outage() {
    let posture = judged(
        &instance()
            .unsupported(CrossRegion)
            .read(Local, vec![local("1h")]),
    );
    assert_eq!(posture.protected, Some(false));
    let listing = &posture.listings[0];
    assert_eq!(listing.kind, CrossRegion);
    assert_eq!(
        (listing.success, listing.last_success, &listing.failure),
        (Some(true), Some(ago("1m")), &None)
    );
    // Without a policy to ask, nothing else tells whether copying is switched on.
    let posture = judged(&instance().read(CrossRegion, vec![copy_in("cn-shanghai", "1h")]));
    assert_eq!(posture.protected, None);
}

#[test]
fn a_listing_says_how_its_last_attempt_went_and_when_it_was_last_read() {
    let incomplete = Sets {
        listing: Listing::default(),
        remembered: Vec::new(),
        ..Sets::default()
    };
    for (case, instance, expected) in [
        ("never attempted", instance(), (None, None, None, None)),
        (
            "read",
            instance().read(Local, vec![]),
            (Some(true), None, Some("1m"), Some(true)),
        ),
        (
            "read in part",
            instance().found(Local, incomplete),
            (Some(true), None, Some("1m"), Some(false)),
        ),
        (
            "failed since",
            instance()
                .read(Local, vec![])
                .failing(Local, Reason::Throttled, false),
            (Some(false), Some(Reason::Throttled), Some("1m"), Some(true)),
        ),
        (
            "never succeeded",
            instance().failing(Local, Reason::Permission, false),
            (Some(false), Some(Reason::Permission), None, None),
        ),
    ] {
        let posture = judged(&instance.only(Local));
        let [listing] = posture.listings.as_slice() else {
            panic!("{:?}", posture.listings)
        };
        let found = (
            listing.success,
            listing.failure.as_ref().map(|failure| failure.reason),
            listing.last_success,
            listing.complete,
        );
        let (success, reason, last, complete) = expected;
        assert_eq!(found, (success, reason, last.map(ago), complete), "{case}");
    }
}

#[test]
fn an_instance_goes_by_its_configured_name_and_else_by_the_providers() {
    let named = |name: Option<&str>| Sets {
        listing: Listing {
            instance_name: name.map(str::to_owned),
            ..Listing::default()
        },
        remembered: Vec::new(),
        ..Sets::default()
    };
    let configured = |name: &str| {
        let mut instance = instance();
        std::sync::Arc::make_mut(&mut instance.0.target).name = Some(name.to_owned());
        instance
    };
    for (instance, expected) in [
        (instance(), ""),
        (configured("ours"), "ours"),
        (instance().found(Local, named(Some("缓存"))), "缓存"),
        (
            instance()
                .found(CrossRegion, named(None))
                .found(Local, named(Some("theirs"))),
            "theirs",
        ),
        (
            instance()
                .found(CrossRegion, named(Some("away")))
                .found(Local, named(Some("home"))),
            "away",
        ),
        (
            configured("ours").found(Local, named(Some("theirs"))),
            "ours",
        ),
    ] {
        assert_eq!(judged(&instance).name, expected);
    }
}

#[test]
fn the_engine_is_that_of_the_first_listing_that_names_one() {
    let named = |engine: Option<&str>, version: Option<&str>| Sets {
        listing: Listing {
            engine: engine.map(str::to_owned),
            engine_version: version.map(str::to_owned),
            ..Listing::default()
        },
        remembered: Vec::new(),
        ..Sets::default()
    };
    let mysql = || named(Some("mysql"), Some("5.7"));
    for (instance, expected) in [
        (instance(), ("", "")),
        (instance().found(Local, mysql()), ("mysql", "5.7")),
        (
            instance()
                .found(CrossRegion, named(None, None))
                .found(Local, mysql()),
            ("mysql", "5.7"),
        ),
        (
            instance()
                .found(CrossRegion, named(Some("sqlserver"), None))
                .found(Local, mysql()),
            ("sqlserver", ""),
        ),
    ] {
        let posture = judged(&instance);
        let found = (posture.engine.as_str(), posture.engine_version.as_str());
        assert_eq!(found, expected);
    }
}

#[test]
fn an_objective_has_a_verdict_once_the_listings_that_it_needs_were_read_and_not_before() {
    for objective in Objective::ALL {
        for read in [
            vec![],
            vec![CrossRegion],
            vec![Local],
            vec![CrossRegion, Local],
        ] {
            let mut instance = instance()
                .expecting(&["cn-shanghai"])
                .promising(objective, "1h");
            for listing in &read {
                instance = instance.read(*listing, vec![]);
            }
            let has_all = objective
                .needs()
                .iter()
                .all(|listing| read.contains(listing));
            let verdict = assess(&instance.0, LOOKBACK, now()).verdicts[0];
            assert_eq!(verdict.met.is_some(), has_all, "{objective:?} {read:?}");
        }
    }
}
