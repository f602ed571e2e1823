//! What the policy of an instance comes to.

use super::*;
use crate::backup::{self, PolicySwitch};

/// What an answer with this `policy_para` comes to, and the calls.
fn read(parts: &Value) -> backup::Policy {
    let (policy, calls) = ask(BOTH_PROJECTS, Policy, &target_in(&[]), [policy(parts)]);
    assert_eq!(calls.len(), 1);
    match policy.unwrap() {
        Reading::Policy(policy) => policy,
        other => panic!("no policy: {other:?}"),
    }
}

fn switch(backup_type: BackupType, region: &str, days: Option<u64>) -> PolicySwitch {
    PolicySwitch {
        scope: Scope::CrossRegion,
        backup_region: region.to_owned(),
        backup_type,
        enabled: true,
        retention: days.map(|days| Duration::from_secs(days * 24 * 3600)),
    }
}

fn off(backup_type: BackupType, region: &str) -> PolicySwitch {
    PolicySwitch {
        enabled: false,
        ..switch(backup_type, region, None)
    }
}

#[test]
fn a_policy_has_a_switch_for_sets_and_one_for_logs() {
    use BackupType::{Full, Log};
    let neither = || vec![off(Full, ""), off(Log, "")];
    let part =
        |backup_type: &str, days: Value| changed(copied(backup_type), &json!({"keep_days": days}));
    let elsewhere = changed(
        copied("incremental"),
        &json!({"destination_region": "cn-south-1"}),
    );
    let week = |backup_type| switch(backup_type, AWAY, Some(7));
    for (parts, protected, switches, anomalies) in [
        // Off, in every shape that was seen.
        (json!({"keep_days": 0}), false, neither(), &[][..]),
        (json!([{"keep_days": 0}]), false, neither(), &[]),
        (
            json!([{"keep_days": "0", "destination_region": "evil.example/"}]),
            false,
            neither(),
            &[],
        ),
        (json!([]), false, neither(), &[]),
        // Off, and named all the same.
        (
            json!([{"keep_days": "0", "destination_region": AWAY}]),
            false,
            vec![off(Full, AWAY), off(Log, AWAY)],
            &[],
        ),
        (
            json!([part("auto", json!(0)), part("incremental", json!(0))]),
            false,
            vec![off(Full, AWAY), off(Log, AWAY)],
            &[],
        ),
        // One of two destinations is off.
        (
            json!([part("all", json!(0)), elsewhere]),
            true,
            vec![
                off(Full, AWAY),
                switch(Log, "cn-south-1", Some(7)),
                off(Log, AWAY),
            ],
            &[],
        ),
        (
            json!([copied("auto"), copied("incremental")]),
            true,
            vec![week(Full), week(Log)],
            &[],
        ),
        (copied("all"), true, vec![week(Full), week(Log)], &[]),
        // Half of it is on.
        (
            json!([copied("auto")]),
            true,
            vec![week(Full), off(Log, AWAY)],
            &[],
        ),
        (copied("auto"), true, vec![week(Full), off(Log, AWAY)], &[]),
        (
            json!([copied("incremental")]),
            true,
            vec![off(Full, AWAY), week(Log)],
            &[],
        ),
        (
            json!([copied("auto"), part("incremental", json!(0))]),
            true,
            vec![week(Full), off(Log, AWAY)],
            &[],
        ),
        // SQL Server's, whose sets are of two kinds.
        (
            json!([
                copied("manual"),
                part("auto", json!(9)),
                copied("incremental")
            ]),
            true,
            vec![switch(Full, AWAY, Some(9)), week(Log)],
            &[],
        ),
        (
            json!([copied("auto"), elsewhere]),
            true,
            vec![week(Full), switch(Log, "cn-south-1", Some(7))],
            &[],
        ),
        // What cannot be read of it.
        (
            json!([part("auto", json!("1825"))]),
            true,
            vec![switch(Full, AWAY, Some(1825)), off(Log, AWAY)],
            &[],
        ),
        (
            json!([part("auto", Value::Null)]),
            true,
            vec![switch(Full, AWAY, None), off(Log, AWAY)],
            &[],
        ),
        (
            json!([part("auto", json!(-1))]),
            true,
            vec![switch(Full, AWAY, None), off(Log, AWAY)],
            &[Anomaly::BadTime],
        ),
        (
            json!([part("auto", json!(u64::MAX))]),
            true,
            vec![switch(Full, AWAY, None), off(Log, AWAY)],
            &[Anomaly::BadTime],
        ),
        (
            json!([part("snapshot", json!(7))]),
            true,
            vec![week(Full), off(Log, AWAY)],
            &[Anomaly::UnknownStatus],
        ),
    ] {
        let expected = backup::Policy {
            protected: Some(protected),
            switches,
            anomalies: anomalies.to_vec(),
            complete: true,
            ..backup::Policy::default()
        };
        assert_eq!(read(&parts), expected, "{parts}");
    }
}

#[test]
fn the_policy_is_asked_of_the_source_region_whatever_the_configuration_names() {
    for regions in [&[][..], &[AWAY]] {
        let answers = [answer(200, POLICY_ON)];
        let (listed, calls) = ask(BOTH_PROJECTS, Policy, &target_in(regions), answers);
        assert!(listed.is_ok());
        let question = Call {
            operation: "ShowOffSiteBackupPolicy",
            instance: ID.into(),
            region: HOME.into(),
            project: Some(HOME_PROJECT.into()),
            parameters: Vec::new(),
        };
        assert_eq!(calls, [question]);
    }
}

#[test]
fn a_policy_that_may_not_be_asked_is_a_failure_of_its_listing() {
    let answers = [answer(403, REFUSED_POLICY)];
    let (listed, _) = ask(BOTH_PROJECTS, Policy, &target_in(&[]), answers);
    let error = listed.unwrap_err();
    assert_eq!(
        (error.operation, error.reason),
        ("ShowOffSiteBackupPolicy", Reason::Permission)
    );
}
