//! What the vendor says that it was told to back up and to copy.

use super::*;
use crate::backup::{Policy, PolicySwitch};

pub(in crate::provider::volcengine) const ON: &str =
    include_str!("../../../../tests/fixtures/volcengine/policy_on.json");
pub(in crate::provider::volcengine) const OFF: &str =
    include_str!("../../../../tests/fixtures/volcengine/policy_off.json");
pub(in crate::provider::volcengine) const PLAN: &str =
    include_str!("../../../../tests/fixtures/volcengine/plan.json");

/// Reads a policy from these answers, and fails if any is left over. Tells the operations that were asked for too.
fn play(answers: impl IntoIterator<Item = Answer>) -> (Result<Policy, ListError>, Vec<Call>) {
    let script = Script::of(answers);
    let read = client()
        .list(ListingKind::Policy, &target(), &script)
        .now_or_never()
        .expect("the script never waits");
    let read = read.map(|reading| match reading {
        Reading::Policy(policy) => policy,
        other => panic!("no policy: {other:?}"),
    });
    (read, script.calls())
}

/// What two good answers come to.
fn read(copies: &str, plan: &str) -> Policy {
    let answers = [copies, plan].map(|body| answer(200, body.to_owned()));
    play(answers).0.unwrap()
}

fn days(days: u64) -> Duration {
    Duration::from_secs(days * 24 * 3600)
}

fn copying(region: &str, enabled: bool, retention: Option<Duration>) -> PolicySwitch {
    PolicySwitch {
        scope: Scope::CrossRegion,
        backup_region: region.to_owned(),
        backup_type: BackupType::Full,
        enabled,
        retention,
    }
}

fn backing_up(enabled: bool, retention: Option<Duration>) -> PolicySwitch {
    PolicySwitch {
        scope: Scope::Local,
        ..copying(HOME, enabled, retention)
    }
}

fn told(protected: Option<bool>, switches: Vec<PolicySwitch>, anomalies: Vec<Anomaly>) -> Policy {
    Policy {
        protected,
        since: None,
        switches,
        description: crate::backup::Description::default(),
        anomalies,
        complete: true,
    }
}

#[test]
fn each_sample_says_what_a_reader_of_the_page_would_name() {
    let local = || backing_up(true, Some(days(30)));
    let on = copying("cn-shanghai", true, Some(days(7)));
    assert_eq!(
        read(ON, PLAN),
        told(Some(true), vec![on, local()], vec![]),
        "on"
    );
    let off = copying("", false, None);
    assert_eq!(
        read(OFF, PLAN),
        told(Some(false), vec![off, local()], vec![]),
        "off"
    );
}

#[test]
fn both_halves_are_asked_about_the_instance_alone_the_copies_first() {
    let (_, calls) = play([ON, PLAN].map(|body| answer(200, body)));
    let expected =
        ["DescribeCrossRegionBackupPolicy", "DescribeBackupPlan"].map(|operation| Call {
            operation,
            instance: ID.into(),
            region: HOME.into(),
            project: None,
            parameters: vec![("InstanceId", Parameter::text(ID))],
        });
    assert_eq!(calls, expected);
}

#[test]
fn an_odd_value_spoils_its_switch_or_its_retention_alone() {
    use Anomaly::{BadTime, ForeignInstance, UnknownStatus};
    let good = || {
        json!({"InstanceId": ID, "Active": true, "CrossBackupRegion": "cn-shanghai", "TTL": 7,
        "BackupType": "Full"})
    };
    let switch = |enabled, retention| Some((enabled, retention));
    for (changes, on, anomalies) in [
        (json!({}), switch(true, Some(days(7))), vec![]),
        (
            json!({"Active": false}),
            switch(false, Some(days(7))),
            vec![],
        ),
        (
            json!({"Active": "true"}),
            switch(true, Some(days(7))),
            vec![],
        ),
        (
            json!({"Active": " false "}),
            switch(false, Some(days(7))),
            vec![],
        ),
        (json!({"Active": null}), None, vec![UnknownStatus]),
        (json!({"Active": ""}), None, vec![UnknownStatus]),
        (json!({"Active": "on"}), None, vec![UnknownStatus]),
        (json!({"Active": 1}), None, vec![UnknownStatus]),
        (json!({"Active": [true]}), None, vec![UnknownStatus]),
        (json!({"Active": {"a": true}}), None, vec![UnknownStatus]),
        (json!({"TTL": "365"}), switch(true, Some(days(365))), vec![]),
        // Nothing is said.
        (json!({"TTL": null}), switch(true, None), vec![]),
        (json!({"TTL": ""}), switch(true, None), vec![]),
        (json!({"TTL": 0}), switch(true, None), vec![]),
        (json!({"TTL": -1}), switch(true, None), vec![BadTime]),
        (json!({"TTL": 1.5}), switch(true, None), vec![BadTime]),
        (json!({"TTL": "week"}), switch(true, None), vec![BadTime]),
        (json!({"TTL": true}), switch(true, None), vec![BadTime]),
        (json!({"TTL": u64::MAX}), switch(true, None), vec![BadTime]),
        (
            json!({"InstanceId": null}),
            switch(true, Some(days(7))),
            vec![],
        ),
        (
            json!({"InstanceId": "redis-stranger"}),
            None,
            vec![ForeignInstance],
        ),
    ] {
        let body = result(&changed(good(), &changes));
        // The copies are odd.
        let policy = read(&body, PLAN);
        let (protected, mut switches) = (on.map(|(enabled, _)| enabled), Vec::new());
        switches.extend(on.map(|(enabled, kept)| copying("cn-shanghai", enabled, kept)));
        switches.push(backing_up(true, Some(days(30))));
        let expected = told(protected, switches, anomalies.clone());
        assert_eq!(policy, expected, "{changes}");
        // The plan is odd, which says nothing of the copies.
        let policy = read(ON, &body);
        let mut switches = vec![copying("cn-shanghai", true, Some(days(7)))];
        switches.extend(on.map(|(enabled, kept)| backing_up(enabled, kept)));
        assert_eq!(policy, told(Some(true), switches, anomalies), "{changes}");
    }
}

#[test]
fn copies_go_where_the_vendor_says_and_nowhere_where_it_does_not() {
    for (region, expected) in [
        (json!("cn-guangzhou"), "cn-guangzhou"),
        (json!(" cn-guangzhou "), "cn-guangzhou"),
        (json!(""), ""),
        (Value::Null, ""),
        (json!(["cn-guangzhou"]), ""),
    ] {
        for active in [true, false] {
            let copies = json!({"Active": active, "CrossBackupRegion": region});
            let policy = read(&result(&copies), PLAN);
            assert_eq!(policy.protected, Some(active), "{region}");
            assert_eq!(policy.switches[0], copying(expected, active, None));
        }
    }
}

#[test]
fn a_plan_of_another_type_makes_no_full_backups() {
    for (kind, is_read) in [
        (json!("Full"), true),
        (Value::Null, true),
        (json!(""), true),
        (json!("Incremental"), false),
        (json!("full"), false),
        (json!(0), false),
    ] {
        let plan = changed(json!({"Active": true}), &json!({"BackupType": kind}));
        let policy = read(ON, &result(&plan));
        assert_eq!(policy.switches.len(), 1 + usize::from(is_read), "{kind}");
        let anomalies = vec![Anomaly::UnknownStatus; usize::from(!is_read)];
        assert_eq!(
            (policy.protected, policy.anomalies),
            (Some(true), anomalies)
        );
    }
}

#[test]
fn an_answer_without_a_policy_is_not_one_that_is_off() {
    for body in [
        result(&Value::Null),
        result(&json!({})),
        r#"{"ResponseMetadata":{"RequestId":"1"}}"#.to_owned(),
    ] {
        let unknown = vec![Anomaly::UnknownStatus; 2];
        assert_eq!(read(&body, &body), told(None, vec![], unknown), "{body}");
    }
    for body in ["{}", "[]", "<html></html>", ""] {
        let (policy, calls) = play([answer(200, body)]);
        let found = (policy.unwrap_err().reason, calls.len());
        assert_eq!(found, (Reason::Malformed, 1), "{body}");
    }
    let (policy, _) = play([answer(200, result(&json!([true])))]);
    assert_eq!(policy.unwrap_err().reason, Reason::Malformed);
}

#[test]
fn an_edition_that_cannot_copy_is_not_protected() {
    let local = || vec![backing_up(true, Some(days(30)))];
    for (status, code) in [
        // There is no such action for the enterprise edition, and none at the vendor's international site.
        (404, "InvalidActionOrVersion"),
        (400, "InvalidActionOrVersion"),
        (400, "OperationNotSupported"),
        (400, "InstanceTypeNotSupport"),
    ] {
        let refusal = || answer(status, error(code));
        let (policy, _) = play([refusal(), answer(200, PLAN)]);
        assert_eq!(
            policy.unwrap(),
            told(Some(false), local(), vec![]),
            "{code}"
        );
    }
    // Nor can a single node be backed up at all.
    let refusal = || answer(400, error("OperationNotSupported"));
    let (policy, _) = play([refusal(), refusal()]);
    assert_eq!(policy.unwrap(), told(Some(false), vec![], vec![]));
    let (policy, _) = play([answer(200, ON), refusal()]);
    let on = vec![copying("cn-shanghai", true, Some(days(7)))];
    assert_eq!(policy.unwrap(), told(Some(true), on, vec![]));
}

#[test]
fn a_policy_that_cannot_be_read_costs_one_call_where_the_first_half_is_refused() {
    for (status, code, reason) in [
        (403, "AccessDenied", Reason::Permission),
        (401, "InvalidAccessKey", Reason::Credentials),
        (400, "InstanceNotExist", Reason::NotFound),
        (400, "InstanceStatusNotMatch", Reason::Server),
        (429, "FlowLimitExceeded", Reason::Throttled),
        (404, "ServiceNotFound", Reason::NotFound),
    ] {
        let refusal = || answer(status, error(code));
        let (policy, calls) = play([refusal()]);
        let error = policy.unwrap_err();
        assert_eq!((error.reason, calls.len()), (reason, 1), "{code}");
        assert_eq!(error.operation, "DescribeCrossRegionBackupPolicy");
        // Half a policy is none.
        let (policy, _) = play([answer(200, ON), refusal()]);
        let error = policy.unwrap_err();
        assert_eq!(
            (error.reason, error.operation),
            (reason, "DescribeBackupPlan")
        );
    }
}

#[test]
fn an_action_that_is_missing_elsewhere_is_an_outage() {
    let refusal = || answer(404, error("InvalidActionOrVersion"));
    // Every edition has plans, so that whoever does not know them is not the vendor's Redis.
    let (policy, _) = play([refusal(), refusal()]);
    let error = policy.unwrap_err();
    let found = (error.reason, error.operation);
    assert_eq!(found, (Reason::NotFound, "DescribeBackupPlan"));
    for listing in [Away, AtHome, ListingKind::RestoreWindow] {
        let script = Script::of([refusal()]);
        let target = target();
        let listed = client().list(listing, &target, &script).now_or_never();
        assert_eq!(listed.unwrap().unwrap_err().reason, Reason::NotFound);
    }
}
