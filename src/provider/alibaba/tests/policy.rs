//! What is copied: of one instance, and of several with one question.

use super::*;
use crate::backup::{Description, Policy as Told, PolicySwitch};
use crate::target::InstanceKey;

const SHANGHAI: &str = "cn-shanghai";

fn switch(region: &str, backup_type: BackupType, enabled: bool, days: Option<u64>) -> PolicySwitch {
    PolicySwitch {
        scope: Scope::CrossRegion,
        backup_region: region.to_owned(),
        backup_type,
        enabled,
        retention: days.map(|days| Duration::from_secs(days * 24 * 3600)),
    }
}

fn switches(region: &str, data: bool, logs: bool, days: Option<u64>) -> Vec<PolicySwitch> {
    vec![
        switch(region, BackupType::Full, data, days),
        switch(region, BackupType::Log, logs, days),
    ]
}

fn described(name: Option<&str>, engine: &str, version: &str) -> Description {
    Description {
        name: name.map(str::to_owned),
        engine: Some(engine.to_owned()),
        engine_version: Some(version.to_owned()),
        created: None,
    }
}

/// What is known of an instance that has no item.
fn never_enabled() -> Told {
    Told {
        protected: Some(false),
        switches: switches("", false, false, None),
        complete: true,
        ..Told::default()
    }
}

fn told(reading: Reading) -> Told {
    match reading {
        Reading::Policy(policy) => policy,
        other => panic!("no policy: {other:?}"),
    }
}

/// Asks about one instance.
fn ask_one(answers: impl IntoIterator<Item = Answer>) -> (Result<Told, ListError>, Vec<Call>) {
    let (reading, calls) = ask(Policy, &target(), answers);
    (reading.map(told), calls)
}

type Together = (Vec<(InstanceKey, Result<Told, ListError>)>, Vec<String>);

/// Asks about these instances at once.
fn ask_together(ids: &[&str], answers: impl IntoIterator<Item = Answer>) -> (Together, Vec<Call>) {
    let targets: Vec<_> = ids
        .iter()
        .map(|id| Arc::new(crate::example::target(id)))
        .collect();
    let script = Script::of(answers);
    let together = client(&Clock::set_by_hand(now()))
        .list_together(Policy, &targets, &script)
        .now_or_never()
        .expect("the script never waits");
    let read = together.read.into_iter();
    let read = read.map(|(key, read)| (key, read.map(told))).collect();
    let one_by_one = together.one_by_one.iter();
    let one_by_one = one_by_one.map(|target| target.key.instance_id.to_string());
    ((read, one_by_one.collect()), script.calls())
}

/// An item with some fields changed.
fn item(changes: &Value) -> Value {
    let item = json!({
        "DBInstanceId": "rm-example1", "BackupEnabled": "Enable", "LogBackupEnabled": "Disable",
        "BackupEnabledTime": "2026-06-01T00:00:00Z", "CrossBackupRegion": SHANGHAI, "Retention": 7,
    });
    changed(item, changes)
}

fn items(items: &[Value], total: u64) -> Answer {
    let body = json!({"TotalRecords": total, "Items": {"Item": items}});
    answer(200, body.to_string())
}

#[test]
fn each_sample_says_what_a_reader_of_the_page_would_name() {
    let ids = ["rm-example1", "rm-example2", "rm-example3"];
    for (body, expected) in [
        (
            POLICIES_2019,
            [
                Told {
                    protected: Some(true),
                    since: Some(utc("2026-05-30T12:13:11Z")),
                    switches: switches(SHANGHAI, true, true, Some(7)),
                    description: described(Some("orders"), "mysql", "5.7"),
                    complete: true,
                    ..Told::default()
                },
                never_enabled(),
                never_enabled(),
            ],
        ),
        // Switches as numbers and as words, and an item of an instance that nobody asked about.
        (
            POLICIES_2024,
            [
                Told {
                    protected: Some(true),
                    since: Some(utc("2026-06-01T00:00:00Z")),
                    switches: switches("cn-beijing", true, false, Some(1825)),
                    description: described(None, "mysql", "5.6"),
                    complete: true,
                    ..Told::default()
                },
                // It copied once, and the vendor still tells since when.
                Told {
                    protected: Some(false),
                    switches: switches(SHANGHAI, false, false, Some(15)),
                    description: described(None, "sqlserver", "2022_web"),
                    complete: true,
                    ..Told::default()
                },
                never_enabled(),
            ],
        ),
    ] {
        let ((read, one_by_one), _) = ask_together(&ids, [answer(200, body)]);
        assert_eq!(one_by_one, Vec::<String>::new());
        for ((key, policy), (id, expected)) in read.iter().zip(ids.iter().zip(expected)) {
            assert_eq!(&*key.instance_id, *id);
            assert_eq!(policy.as_ref(), Ok(&expected), "{id}");
        }
        assert_eq!(read.len(), ids.len());
    }
}

#[test]
fn a_switch_is_on_or_off_or_not_understood() {
    use Anomaly::UnknownStatus;
    let on = Some(true);
    let off = Some(false);
    for (value, is_on) in [
        (json!("Enable"), on),
        (json!("Enabled"), on),
        (json!("enable"), on),
        (json!("1"), on),
        (json!(1), on),
        (json!("Disable"), off),
        (json!("Disabled"), off),
        (json!("0"), off),
        (json!(0), off),
        (json!("Paused"), None),
        (json!(2), None),
        (json!(true), None),
        (json!(""), None),
        (json!([]), None),
        (Value::Null, None),
    ] {
        let (policy, _) = ask_one([items(&[item(&json!({"BackupEnabled": value}))], 1)]);
        let policy = policy.unwrap();
        let switches: Vec<_> = policy
            .switches
            .iter()
            .filter(|switch| switch.backup_type == BackupType::Full)
            .map(|switch| Some(switch.enabled))
            .collect();
        assert_eq!(policy.protected, is_on, "{value}");
        assert_eq!(switches, Vec::from_iter(is_on.map(Some)), "{value}");
        assert_eq!(policy.since.is_some(), is_on == on, "{value}");
        let odd = if is_on.is_none() {
            vec![UnknownStatus]
        } else {
            vec![]
        };
        assert_eq!(policy.anomalies, odd, "{value}");
        assert!(policy.complete, "{value}");
    }
    for (value, is_on, anomalies) in [
        (json!("Enable"), on, vec![]),
        (json!(0), off, vec![]),
        (json!("Paused"), None, vec![UnknownStatus]),
        // An engine without log files may have no such switch.
        (Value::Null, None, vec![]),
    ] {
        let (policy, _) = ask_one([items(&[item(&json!({"LogBackupEnabled": value}))], 1)]);
        let policy = policy.unwrap();
        let logs = policy
            .switches
            .iter()
            .find(|switch| switch.backup_type == BackupType::Log);
        assert_eq!(logs.map(|switch| switch.enabled), is_on, "{value}");
        assert_eq!(
            (policy.protected, policy.anomalies),
            (on, anomalies),
            "{value}"
        );
    }
}

#[test]
fn an_odd_time_or_retention_spoils_its_field_and_is_counted() {
    use Anomaly::{BadSize, BadTime, FutureTime};
    let since = Some(utc("2026-06-01T00:00:00Z"));
    let week = Some(Duration::from_secs(7 * 24 * 3600));
    for (changes, since, retention, anomalies) in [
        (json!({}), since, week, vec![]),
        (
            json!({"BackupEnabledTime": "2026-06-01T00:00Z"}),
            since,
            week,
            vec![],
        ),
        (json!({"BackupEnabledTime": ""}), None, week, vec![]),
        (json!({"BackupEnabledTime": null}), None, week, vec![]),
        (
            json!({"BackupEnabledTime": "once"}),
            None,
            week,
            vec![BadTime],
        ),
        (
            json!({"BackupEnabledTime": "2026-06-12T12:05:00Z"}),
            Some(utc("2026-06-12T12:05:00Z")),
            week,
            vec![],
        ),
        (
            json!({"BackupEnabledTime": "2026-06-12T12:05:01Z"}),
            None,
            week,
            vec![FutureTime],
        ),
        (json!({"Retention": "7"}), since, week, vec![]),
        (json!({"Retention": 0}), since, None, vec![]),
        (json!({"Retention": null}), since, None, vec![]),
        (json!({"Retention": "long"}), since, None, vec![BadSize]),
        (json!({"Retention": u64::MAX}), since, None, vec![]),
    ] {
        let (policy, _) = ask_one([items(&[item(&changes)], 1)]);
        let policy = policy.unwrap();
        assert_eq!(policy.protected, Some(true), "{changes}");
        assert_eq!(
            (policy.since, policy.switches[0].retention, policy.anomalies),
            (since, retention, anomalies),
            "{changes}"
        );
    }
}

#[test]
fn an_instance_with_several_destinations_has_an_item_for_each() {
    let on = item(&json!({"BackupEnabledTime": "2026-06-03T00:00:00Z"}));
    let earlier = item(&json!({"CrossBackupRegion": "cn-beijing"}));
    let off = item(&json!({"CrossBackupRegion": "cn-beijing", "BackupEnabled": "Disable"}));
    let odd = item(&json!({"CrossBackupRegion": "cn-beijing", "BackupEnabled": "Odd"}));
    let off_here = item(&json!({"BackupEnabled": "Disable"}));
    let since = |text| Some(utc(text));
    for (case, rows, protected, since, switches, anomalies) in [
        (
            "both on",
            [&on, &earlier],
            Some(true),
            since("2026-06-01T00:00:00Z"),
            4,
            vec![],
        ),
        (
            "one off",
            [&off, &on],
            Some(true),
            since("2026-06-03T00:00:00Z"),
            4,
            vec![],
        ),
        ("both off", [&off, &off_here], Some(false), None, 4, vec![]),
        (
            "off here, unclear there",
            [&off_here, &odd],
            None,
            None,
            3,
            vec![Anomaly::UnknownStatus],
        ),
        (
            "twice the same",
            [&on, &on],
            Some(true),
            since("2026-06-03T00:00:00Z"),
            2,
            vec![Anomaly::Duplicate],
        ),
    ] {
        let (policy, _) = ask_one([items(&rows.map(Clone::clone), 2)]);
        let policy = policy.unwrap();
        assert_eq!(
            (policy.protected, policy.since, policy.switches.len()),
            (protected, since, switches),
            "{case}"
        );
        assert_eq!(
            (policy.anomalies, policy.complete),
            (anomalies, true),
            "{case}"
        );
    }
}

#[test]
fn who_has_no_item_was_never_enabled_only_if_all_items_were_read() {
    let unknown = Told::default();
    let nobody = item(&json!({"DBInstanceId": null}));
    let stranger = item(&json!({"DBInstanceId": "rm-stranger"}));
    let odd = |count| Told {
        anomalies: vec![Anomaly::UnknownStatus; count],
        ..Told::default()
    };
    for (case, answered, expected) in [
        ("no items", items(&[], 0), never_enabled()),
        (
            "no list",
            answer(200, r#"{"Items":{},"TotalRecords":"0"}"#),
            never_enabled(),
        ),
        ("no total", answer(200, r#"{"Items":{}}"#), never_enabled()),
        ("a stranger's item", items(&[stranger], 1), never_enabled()),
        ("a larger total", items(&[], 1), unknown),
        // An item that names nobody may be anybody's.
        (
            "a nameless item",
            items(std::slice::from_ref(&nobody), 1),
            odd(1),
        ),
        (
            "no items at all",
            items(&[json!(7), json!([nobody])], 2),
            Told {
                anomalies: vec![Anomaly::BadRow; 2],
                ..Told::default()
            },
        ),
    ] {
        let (policy, _) = ask_one([answered]);
        assert_eq!(policy.unwrap(), expected, "{case}");
    }
    // Who has an item is known all the same.
    let (policy, _) = ask_one([items(&[item(&json!({}))], 2)]);
    let policy = policy.unwrap();
    assert_eq!((policy.protected, policy.complete), (Some(true), false));
}

#[test]
fn all_instances_are_asked_about_with_one_question_for_a_page() {
    let ids: Vec<_> = (0..30).map(|number| format!("rm-{number}")).collect();
    let ids: Vec<_> = ids.iter().map(String::as_str).collect();
    let rows: Vec<_> = ids
        .iter()
        .map(|id| item(&json!({"DBInstanceId": id})))
        .collect();
    let elsewhere = item(&json!({"DBInstanceId": "rm-0", "CrossBackupRegion": "cn-beijing"}));
    let answers = [items(&rows, 31), items(&[elsewhere], 31)];
    let ((read, _), calls) = ask_together(&ids, answers);
    let expected = [1, 2].map(|number| Call {
        operation: "DescribeCrossRegionBackupDBInstance",
        instance: "30 instances".into(),
        region: HOME.into(),
        project: None,
        parameters: vec![
            ("RegionId", Parameter::text(HOME)),
            ("DBInstanceId", Parameter::Text(ids.join(","))),
            ("PageNumber", Parameter::Number(number)),
            ("PageSize", Parameter::Number(30)),
        ],
    });
    assert_eq!(calls, expected);
    let policies: Vec<_> = read.into_iter().map(|(_, read)| read.unwrap()).collect();
    assert!(policies.iter().all(|policy| policy.complete));
    assert_eq!(policies[0].switches.len(), 4);
    assert_eq!(policies[29].switches.len(), 2);
    // A full page without a total may be the last.
    let untold = json!({"Items": {"Item": rows}}).to_string();
    let ((read, _), calls) = ask_together(&ids, [answer(200, untold), past_the_end()]);
    assert_eq!(calls.len(), 2);
    assert!(read.iter().all(|(_, read)| read.as_ref().unwrap().complete));
}

#[test]
fn one_bad_id_does_not_hide_the_others_and_what_concerns_all_is_told_of_all() {
    let ids = ["rm-1", "rm-2"];
    for (status, code, one_by_one) in [
        (404, "InvalidDBInstanceName.NotFound", true),
        (400, "InvalidDBInstanceId.NotFound", true),
        (403, "IncorrectDBInstanceEngine", true),
        (403, "CrossBackupNotSupport", true),
        (400, "InvalidParameters.Format", true),
        (400, "SomethingNew", true),
        (404, "Forbidden.InstanceNotFound", true),
        (403, "IncorrectDBInstanceState", true),
        (403, "Forbidden.RAM", false),
        (400, "InvalidSecurityToken.Expired", false),
        (400, "Throttling.User", false),
        (500, "InternalError", false),
        (200, "Odd.Thing", false),
    ] {
        let refusal = answer(status, format!(r#"{{"Code":"{code}"}}"#));
        let ((read, asked_again), calls) = ask_together(&ids, [refusal.clone()]);
        assert_eq!(calls.len(), 1);
        if one_by_one {
            assert_eq!((read.len(), asked_again), (0, names(&ids)), "{code}");
        } else {
            assert_eq!(asked_again, names(&[]), "{code}");
            let told: Vec<_> = read
                .iter()
                .map(|(key, read)| {
                    let error = read.as_ref().unwrap_err();
                    assert_eq!(error.instance, key.instance_id);
                    error.code.as_ref().map(VendorWord::as_str)
                })
                .collect();
            assert_eq!(told, [Some(code); 2]);
        }
        // Asking again about the only one would give the same answer.
        let ((read, asked_again), _) = ask_together(&ids[..1], [refusal]);
        assert_eq!((read.len(), asked_again), (1, names(&[])), "{code}");
        assert!(read[0].1.is_err(), "{code}");
    }
    assert_eq!(ask_together(&[], []).0, (Vec::new(), Vec::new()));
}

#[test]
fn a_missing_instance_that_is_asked_about_alone_is_an_error() {
    let missing = answer(404, r#"{"Code":"InvalidDBInstanceName.NotFound"}"#);
    let (policy, calls) = ask_one([missing]);
    let error = policy.unwrap_err();
    assert!(error.missing_instance);
    assert_eq!(
        (error.reason, &*error.instance),
        (Reason::NotFound, "rm-example1")
    );
    let asked = ("DBInstanceId", Parameter::text("rm-example1"));
    assert!(calls[0].parameters.contains(&asked), "{calls:?}");
}

#[test]
fn only_policies_are_read_together() {
    let targets = [Arc::new(target()), Arc::new(target())];
    for listing in [CrossRegion, Local, CrossRegionLog, RestoreWindow] {
        let script = Script::default();
        let together = client(&Clock::set_by_hand(now()))
            .list_together(listing, &targets, &script)
            .now_or_never()
            .expect("the script never waits");
        assert_eq!((together.read.len(), together.one_by_one.len()), (0, 2));
    }
}
