//! Which instances are found, and which have gone and left copies.

use super::*;
use crate::backup::{Description, FoundInstance, Inventory};

/// Looks for instances with a client that goes on living.
fn discover(client: &Huawei, answers: Vec<Answer>) -> (Result<Inventory, ListError>, Vec<Call>) {
    let script = Script::of(answers);
    let found = client
        .discover(&HOME.into(), &script)
        .now_or_never()
        .expect("the script never waits");
    (found, script.calls())
}

fn of_both_projects() -> Huawei {
    client(&account_with(BOTH_PROJECTS), &Clock::set_by_hand(now()))
}

fn nothing_protected() -> Answer {
    answer(200, r#"{"offsite_backup_instances":[],"total_count":0}"#)
}

fn asked(calls: &[Call]) -> Vec<(&'static str, &str)> {
    calls
        .iter()
        .map(|call| (call.operation, &*call.region))
        .collect()
}

fn ids(inventory: &Inventory) -> Vec<&str> {
    inventory.instances.iter().map(|found| &*found.id).collect()
}

#[test]
fn each_instance_is_told_with_its_name_its_engine_and_whether_it_has_backups() {
    let answers = vec![nothing_protected(), answer(200, INSTANCES)];
    let (found, calls) = discover(&of_both_projects(), answers);
    let instance = |id: &str, name: &str, engine: &str, version: &str| FoundInstance {
        id: id.to_owned(),
        description: Description {
            name: Some(name.to_owned()).filter(|name| !name.is_empty()),
            engine: Some(engine.to_owned()),
            engine_version: Some(version.to_owned()),
            created: None,
        },
        has_backups: true,
        at_work: true,
    };
    let expected = Inventory {
        instances: vec![
            instance(ID, "orders", "mysql", "8.0").made_at("2026-01-01T00:00:00Z"),
            FoundInstance {
                has_backups: false,
                ..instance(
                    "00000000000000000000000000000002in01",
                    "orders-replica",
                    "mysql",
                    "8.0",
                )
            },
            FoundInstance {
                at_work: false,
                ..instance(
                    "00000000000000000000000000000003in03",
                    "",
                    "postgresql",
                    "16",
                )
            },
            instance(
                "00000000000000000000000000000004in04",
                "billing",
                "sqlserver",
                "2019_SE",
            ),
        ],
        outlived: Vec::new(),
        complete: true,
        tells_absence: true,
    };
    assert_eq!(found.unwrap(), expected);
    let question = |operation| Call {
        operation,
        instance: HOME.into(),
        region: HOME.into(),
        project: Some(HOME_PROJECT.into()),
        parameters: vec![
            ("offset", Parameter::Number(0)),
            ("limit", Parameter::Number(100)),
        ],
    };
    assert_eq!(
        calls,
        [question("ListOffSiteInstances"), question("ListInstances")]
    );
}

#[test]
fn rows_of_a_kind_and_a_state_that_nobody_names_are_instances_with_backups() {
    for (row, id, has_backups, at_work) in [
        (json!({"id": 7}), Some("7"), true, true),
        (
            json!({"id": "1", "type": "replica"}),
            Some("1"),
            false,
            true,
        ),
        (
            json!({"id": "1", "type": " REPLICA "}),
            Some("1"),
            false,
            true,
        ),
        (json!({"id": "1", "type": "Cluster"}), Some("1"), true, true),
        (
            json!({"id": "1", "status": "build"}),
            Some("1"),
            true,
            false,
        ),
        (
            json!({"id": "1", "status": "FROZEN"}),
            Some("1"),
            true,
            true,
        ),
        (
            json!({"id": "1", "name": {}, "type": 7, "status": [], "datastore": "MySQL"}),
            Some("1"),
            true,
            true,
        ),
        (json!({"id": ""}), None, true, true),
        (json!({"name": "nobody"}), None, true, true),
        (json!(null), None, true, true),
        (json!("1"), None, true, true),
    ] {
        let body = json!({"instances": [row], "total_count": 1}).to_string();
        let (found, _) = discover(
            &of_both_projects(),
            vec![nothing_protected(), answer(200, body)],
        );
        let found = found.unwrap();
        assert_eq!(ids(&found), id.as_slice(), "{row}");
        for found in &found.instances {
            assert_eq!(
                (found.has_backups, found.at_work),
                (has_backups, at_work),
                "{row}"
            );
        }
    }
}

/// A page of instances of these ids.
fn instances(ids: Range<u64>, total: u64) -> Answer {
    let rows: Vec<_> = ids.map(|id| json!({"id": id.to_string()})).collect();
    answer(
        200,
        json!({"instances": rows, "total_count": total}).to_string(),
    )
}

#[test]
fn instances_are_read_to_the_last_page_and_told_once() {
    for (case, pages, count, complete) in [
        ("none", vec![instances(0..0, 0)], 0, true),
        (
            "two pages",
            vec![instances(0..100, 150), instances(100..150, 150)],
            150,
            true,
        ),
        (
            "one was made while we read",
            vec![instances(0..100, 150), instances(99..150, 151)],
            150,
            true,
        ),
        (
            "fewer than the total",
            vec![instances(0..10, 20), instances(0..0, 20)],
            10,
            false,
        ),
        (
            "the same page again",
            vec![instances(0..100, 200), instances(0..100, 200)],
            100,
            false,
        ),
    ] {
        let mut answers = vec![answer(200, OFF_SITE_INSTANCES)];
        // The destination that the first answer names is asked as well.
        answers.push(nothing_protected());
        answers.extend(pages);
        let (found, _) = discover(&of_both_projects(), answers);
        let found = found.unwrap();
        assert_eq!(found.instances.len(), count, "{case}");
        assert_eq!(found.complete, complete, "{case}");
        // What was not listed may be on a page that was not read.
        assert_eq!(!found.outlived.is_empty(), complete, "{case}");
    }
}

#[test]
fn an_instance_that_has_gone_is_one_of_this_region_and_project_whose_copies_are_listed() {
    let gone = "00000000000000000000000000000009in01";
    let singular =
        OFF_SITE_INSTANCES.replace("offsite_backup_instances", "offsite_backup_instance");
    let unnamed = r#"{"offsite_backup_instances":[{"id":"x","destination_region":"cn-east-3",
        "destination_project_id":"0000000000000000000000000000away"}]}"#;
    for (case, source, away, expected) in [
        (
            "each tells",
            OFF_SITE_INSTANCES,
            OFF_SITE_INSTANCES,
            &[gone][..],
        ),
        ("the source tells", OFF_SITE_INSTANCES, "{}", &[gone]),
        ("in the spelling of the example", &singular, "{}", &[gone]),
        ("a row that names no region", unnamed, "{}", &[]),
    ] {
        let answers = [source, away, INSTANCES].map(|body| answer(200, body.to_owned()));
        let (found, calls) = discover(&of_both_projects(), answers.to_vec());
        assert_eq!(found.unwrap().outlived, expected, "{case}");
        let expected = [
            ("ListOffSiteInstances", HOME),
            ("ListOffSiteInstances", AWAY),
            ("ListInstances", HOME),
        ];
        assert_eq!(asked(&calls), expected, "{case}");
        assert_eq!(calls[1].project.as_deref(), Some(AWAY_PROJECT));
    }
}

#[test]
fn a_destination_is_known_from_the_configuration_and_from_policies() {
    let gone = "00000000000000000000000000000009in01";
    for by_policy in [false, true] {
        let regions: &[&str] = if by_policy { &[] } else { &[AWAY] };
        let configured = AccountConfig {
            targets: vec![Arc::new(target_in(regions))],
            ..account_with(BOTH_PROJECTS)
        };
        let client = client(&configured, &Clock::set_by_hand(now()));
        if by_policy {
            let script = Script::of([answer(200, POLICY_ON)]);
            let listed = client.list(Policy, &target_in(&[]), &script).now_or_never();
            assert!(listed.unwrap().is_ok());
        }
        // The source region does not know of it any more.
        let answers = vec![
            nothing_protected(),
            answer(200, OFF_SITE_INSTANCES),
            answer(200, INSTANCES),
        ];
        let (found, _) = discover(&client, answers);
        assert_eq!(found.unwrap().outlived, [gone], "{by_policy}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_refused_list_of_what_is_protected_fails_nothing_and_is_not_asked_for_again_soon() {
    let client = of_both_projects();
    let look = async |answers: Vec<Answer>| {
        let script = Script::of(answers);
        let found = client.discover(&HOME.into(), &script).await;
        script.calls();
        found.unwrap()
    };
    let denied = || answer(403, REFUSED_POLICY);
    let found = look(vec![denied(), answer(200, INSTANCES)]).await;
    assert_eq!((found.instances.len(), found.outlived.len()), (4, 0));
    pass(3599).await;
    look(vec![answer(200, INSTANCES)]).await;
    pass(1).await;
    let failure = answer(500, r#"{"error_code":"DBS.200005"}"#);
    let found = look(vec![failure, answer(200, INSTANCES)]).await;
    assert_eq!((found.instances.len(), found.outlived.len()), (4, 0));
    // A failure passes sooner.
    pass(150).await;
    let found = look(vec![
        answer(200, OFF_SITE_INSTANCES),
        denied(),
        answer(200, INSTANCES),
    ])
    .await;
    assert_eq!(found.outlived.len(), 1);
    // Regions that are looked into share what one of them was told.
    pass(449).await;
    look(vec![answer(200, INSTANCES)]).await;
    pass(1).await;
    look(vec![nothing_protected(), answer(200, INSTANCES)]).await;
}

#[test]
fn a_refused_list_of_instances_fails_the_discovery() {
    for (status, body, reason) in [
        (403, REFUSED_POLICY, Reason::Permission),
        (200, "{}", Reason::Malformed),
        (
            200,
            r#"{"instances":null,"total_count":0}"#,
            Reason::Malformed,
        ),
    ] {
        let answers = vec![nothing_protected(), answer(status, body)];
        let (found, _) = discover(&of_both_projects(), answers);
        let error = found.unwrap_err();
        assert_eq!((error.operation, error.reason), ("ListInstances", reason));
    }
}
