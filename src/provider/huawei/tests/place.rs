//! What is remembered of projects, policies and destinations, and who says where copies are when the policy does not.

use super::*;

/// Reads on a client that goes on living, and fails if it asks for anything that is not in the answers or leaves one
/// over.
async fn list(
    client: &Huawei,
    listing: ListingKind,
    target: &Target,
    answers: impl IntoIterator<Item = Answer>,
) -> Result<Reading, ListError> {
    let script = Script::of(answers);
    let listed = client.list(listing, target, &script).await;
    script.calls();
    listed
}

fn client_in_time() -> Huawei {
    client(&account_with(&[]), &Clock::set_by_hand(now()))
}

fn client_with_projects() -> Huawei {
    client(&account_with(BOTH_PROJECTS), &Clock::set_by_hand(now()))
}

fn empty() -> Answer {
    answer(200, EMPTY)
}

fn denied() -> Answer {
    answer(403, REFUSED_POLICY)
}

fn protected() -> Answer {
    answer(200, OFF_SITE_INSTANCES)
}

/// An instance whose policy listing is not read.
fn without_policy() -> Target {
    Target {
        listings: vec![CrossRegion, Local, CrossRegionLog, RestoreWindow],
        ..target_in(&[])
    }
}

#[tokio::test(start_paused = true)]
async fn projects_and_policies_are_asked_for_once_and_remembered() {
    let client = client_in_time();
    let one = without_policy();
    let other = Target {
        key: InstanceKey {
            instance_id: "other".into(),
            ..one.key.clone()
        },
        ..one.clone()
    };
    let answers = [answer(200, PROJECTS), answer(200, POLICY_ON), empty()];
    list(&client, CrossRegion, &one, answers).await.unwrap();
    list(&client, CrossRegionLog, &one, [empty()])
        .await
        .unwrap();
    list(&client, Local, &one, [empty(), empty()])
        .await
        .unwrap();
    // Another instance has a policy of its own, and the same project.
    let answers = [answer(200, POLICY_OFF)];
    list(&client, CrossRegion, &other, answers).await.unwrap();
    list(&client, CrossRegionLog, &other, []).await.unwrap();
    // A policy holds until the round that is next to the end of an hour, on or off.
    pass(3449).await;
    list(&client, CrossRegion, &one, [empty()]).await.unwrap();
    list(&client, CrossRegion, &other, []).await.unwrap();
    pass(1).await;
    let answers = || [answer(200, POLICY_ON), empty()];
    list(&client, CrossRegion, &one, answers()).await.unwrap();
    list(&client, CrossRegion, &other, answers()).await.unwrap();
    // A project holds for a day.
    pass(24 * 3600 - 3451).await;
    list(&client, CrossRegion, &one, answers()).await.unwrap();
    pass(1).await;
    let answers = [answer(200, PROJECTS), empty(), empty()];
    list(&client, Local, &one, answers).await.unwrap();
}

/// Plays rounds of five minutes, and tells how often the policy was asked for in each policy interval of an hour.
async fn policies_asked(target: &Target, offset: u64, hours: u64) -> Vec<usize> {
    let client = client_with_projects();
    let mut asked = Vec::new();
    for _ in 0..hours {
        let mut calls = 0;
        for round in 0..12 {
            let is_slow_turn = round * 300 <= offset && offset < (round + 1) * 300;
            for listing in target.listings.iter().copied() {
                if listing.is_slow() && !is_slow_turn {
                    continue;
                }
                let script = Answers::default();
                client.list(listing, target, &script).await.unwrap();
                calls += script.policies();
            }
            pass(300).await;
        }
        asked.push(calls);
    }
    asked
}

/// Answers every question with what is good for it.
#[derive(Default)]
struct Answers(std::sync::Mutex<Vec<&'static str>>);

impl Answers {
    fn policies(self) -> usize {
        let asked = self.0.into_inner().unwrap().into_iter();
        asked
            .filter(|operation| *operation == SHOW_OFF_SITE_POLICY)
            .count()
    }
}

impl Courier for Answers {
    async fn send<T: Send>(
        &self,
        call: impl Fn() -> Call + Send + Sync,
        read: impl Fn(&Call, &Answer) -> Result<T, ListError> + Send + Sync,
    ) -> Result<T, ListError> {
        let call = call();
        self.0.lock().unwrap().push(call.operation);
        let body = match call.operation {
            SHOW_OFF_SITE_POLICY => POLICY_ON,
            LIST_RESTORE_TIMES | LIST_OFF_SITE_RESTORE_TIMES => RESTORE_TIMES,
            LIST_BACKUPS | LIST_OFF_SITE_BACKUPS => EMPTY,
            other => panic!("{other} was asked"),
        };
        read(&call, &answer(200, body))
    }
}

#[tokio::test(start_paused = true)]
async fn a_policy_is_asked_for_once_in_a_policy_interval_whoever_needs_it() {
    let all = target_in(&[]);
    let only_policy = Target {
        listings: vec![Policy],
        ..all.clone()
    };
    let configured = target_in(&[AWAY]);
    for target in [all, without_policy(), only_policy, configured] {
        for offset in [0, 900, 2700] {
            let asked = policies_asked(&target, offset, 4).await;
            // In the first hour a listing may ask before the turn of the policy.
            let case = format!("{:?} {offset}", target.listings);
            assert!((1..=2).contains(&asked[0]), "{case}: {asked:?}");
            assert!(
                asked[1..].iter().all(|calls| *calls == 1),
                "{case}: {asked:?}"
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_refused_question_for_projects_or_policies_is_not_repeated_for_every_instance() {
    let client = client_in_time();
    let target = target_in(&[]);
    let refused = || answer(403, r#"{"error_code":"APIGW.0302"}"#);
    let error = list(&client, CrossRegion, &target, [refused()]).await;
    let error = error.unwrap_err();
    assert_eq!(
        (error.operation, error.reason),
        ("KeystoneListProjects", Reason::Permission)
    );
    for listing in ListingKind::ALL {
        let again = list(&client, listing, &target, []).await;
        assert_eq!(again.unwrap_err(), error);
    }
    pass(300).await;
    let failed = answer(500, r#"{"error_code":"DBS.200005"}"#);
    let error = list(
        &client,
        CrossRegion,
        &target,
        [answer(200, PROJECTS), failed],
    )
    .await;
    let error = error.unwrap_err();
    assert_eq!(
        (error.operation, &*error.instance, error.reason),
        ("ShowOffSiteBackupPolicy", ID, Reason::Server)
    );
    for listing in [CrossRegionLog, Policy] {
        let again = list(&client, listing, &target, []).await;
        assert_eq!(again.unwrap_err(), error);
    }
    pass(300).await;
    let answers = [answer(200, POLICY_OFF)];
    list(&client, CrossRegionLog, &target, answers)
        .await
        .unwrap();
}

#[tokio::test(start_paused = true)]
async fn sets_that_remain_are_listed_after_the_policy_was_switched_off() {
    let client = client_with_projects();
    let target = target_in(&[]);
    let found = || answer(200, page(&[row(&json!({}))], 1));
    let answers = [answer(200, POLICY_ON), found()];
    let listed = sets(list(&client, CrossRegion, &target, answers).await.unwrap());
    assert_eq!(listed.protected, Some(true));
    pass(1800).await;
    let answers = [answer(200, POLICY_OFF)];
    list(&client, Policy, &target, answers).await.unwrap();
    let listed = sets(
        list(&client, CrossRegion, &target, [found()])
            .await
            .unwrap(),
    );
    assert_eq!(
        (listed.protected, listed.destinations.len()),
        (Some(false), 0)
    );
    assert_eq!(listed.sets.len(), 1);
    assert_eq!(&*listed.sets[0].backup_region, AWAY);
    // Logs are deleted at once.
    let listed = sets(list(&client, CrossRegionLog, &target, []).await.unwrap());
    assert_eq!((listed.protected, listed.sets.len()), (Some(false), 0));
    // What remains can be restored.
    let answers = [answer(200, RESTORE_TIMES), answer(200, RESTORE_TIMES)];
    list(&client, RestoreWindow, &target, answers)
        .await
        .unwrap();
    // Only the logs are switched on again, and the sets remain where they are.
    pass(1800).await;
    let answers = [policy(&json!([copied("incremental")]))];
    list(&client, Policy, &target, answers).await.unwrap();
    let listed = sets(
        list(&client, CrossRegion, &target, [found()])
            .await
            .unwrap(),
    );
    assert_eq!(listed.protected, Some(true));
    assert_eq!(listed.destinations, [AWAY]);
    list(&client, CrossRegionLog, &target, [empty()])
        .await
        .unwrap();
    // They are copied elsewhere, and what was copied before is still there.
    pass(1800).await;
    let elsewhere = changed(
        copied("auto"),
        &json!({"destination_region": "cn-south-1", "destination_project_id": "south"}),
    );
    list(&client, Policy, &target, [policy(&elsewhere)])
        .await
        .unwrap();
    let script = Script::of([empty(), found()]);
    let listed = client.list(CrossRegion, &target, &script).await;
    let listed = sets(listed.unwrap());
    assert_eq!(listed.destinations, ["cn-south-1"]);
    assert_eq!(&*listed.sets[0].backup_region, AWAY);
    let asked = script.calls();
    let asked: Vec<_> = asked
        .iter()
        .map(|call| (&*call.region, call.project.as_deref()))
        .collect();
    assert_eq!(
        asked,
        [("cn-south-1", Some("south")), (AWAY, Some(AWAY_PROJECT))]
    );
}

#[tokio::test(start_paused = true)]
async fn where_the_policy_may_not_be_asked_the_list_of_protected_instances_says_where_copies_are() {
    let client = client_with_projects();
    let target = target_in(&[]);
    let script = Script::of([denied(), protected(), empty()]);
    let listed = sets(client.list(CrossRegion, &target, &script).await.unwrap());
    assert_eq!(listed.protected, Some(true));
    assert_eq!(listed.destinations, [AWAY]);
    let calls: Vec<_> = script
        .calls()
        .iter()
        .map(|call| {
            (
                call.operation,
                call.region.to_string(),
                call.project.clone(),
            )
        })
        .collect();
    let call = |operation, region: &str, project: &str| {
        (operation, region.to_owned(), Some(Arc::from(project)))
    };
    let expected = [
        call("ShowOffSiteBackupPolicy", HOME, HOME_PROJECT),
        call("ListOffSiteInstances", HOME, HOME_PROJECT),
        call("ListOffSiteBackups", AWAY, AWAY_PROJECT),
    ];
    assert_eq!(calls, expected);
    // It is enough to be told so once, for every listing and every instance of the region.
    list(&client, CrossRegionLog, &target, [empty()])
        .await
        .unwrap();
    let answers = [answer(200, RESTORE_TIMES), answer(200, RESTORE_TIMES)];
    list(&client, RestoreWindow, &target, answers)
        .await
        .unwrap();
    let other = Target {
        key: InstanceKey {
            instance_id: "other".into(),
            ..target.key.clone()
        },
        ..target.clone()
    };
    let listed = list(&client, CrossRegion, &other, [denied()]).await;
    let listed = sets(listed.unwrap());
    // The list is whole and does not name it.
    assert_eq!(
        (listed.protected, listed.destinations.len()),
        (Some(false), 0)
    );
    // The policy listing itself fails, and is asked at its own turns.
    let error = list(&client, Policy, &target, []).await.unwrap_err();
    assert_eq!(error.reason, Reason::Permission);
    pass(1800).await;
    let error = list(&client, Policy, &target, [denied()]).await;
    assert_eq!(error.unwrap_err().reason, Reason::Permission);
    list(&client, CrossRegion, &target, [empty()])
        .await
        .unwrap();
    // The list holds for an hour.
    pass(1800).await;
    list(&client, CrossRegion, &target, [protected(), empty()])
        .await
        .unwrap();
    // The permission was granted.
    list(&client, Policy, &target, [answer(200, POLICY_OFF)])
        .await
        .unwrap();
    let listed = sets(
        list(&client, CrossRegion, &target, [empty()])
            .await
            .unwrap(),
    );
    assert_eq!(listed.protected, Some(false));
}

#[tokio::test(start_paused = true)]
async fn where_neither_may_be_asked_the_listing_fails_and_the_policy_is_tried_once_a_round() {
    let client = client_with_projects();
    let target = target_in(&[]);
    for (listing, answers) in [
        (CrossRegion, vec![denied(), denied()]),
        (CrossRegionLog, vec![]),
    ] {
        let error = list(&client, listing, &target, answers).await.unwrap_err();
        assert_eq!(
            (error.operation, error.reason),
            ("ShowOffSiteBackupPolicy", Reason::Permission)
        );
    }
    pass(300).await;
    let error = list(&client, CrossRegion, &target, [denied()]).await;
    assert_eq!(error.unwrap_err().operation, "ShowOffSiteBackupPolicy");
    pass(300).await;
    let answers = [answer(200, POLICY_ON), empty()];
    list(&client, CrossRegion, &target, answers).await.unwrap();
}

#[test]
fn a_list_that_may_have_left_out_the_instance_does_not_say_that_nothing_is_copied() {
    let list = |rows: &Value, total: u64| {
        let body = json!({"offsite_backup_instances": rows, "total_count": total});
        answer(200, body.to_string())
    };
    let row = |changes: &Value| {
        let good = json!({
            "id": ID, "source_region": HOME, "destination_region": AWAY, "keep_days": 7,
            "destination_project_id": AWAY_PROJECT,
        });
        json!([changed(good, changes)])
    };
    let denial = Err(Reason::Permission);
    for (lists, expected) in [
        (vec![list(&row(&json!({})), 1), empty()], Ok(Some(true))),
        (
            vec![list(&row(&json!({"keep_days": null})), 1), empty()],
            Ok(Some(true)),
        ),
        (vec![list(&json!([]), 0)], Ok(Some(false))),
        // Off, and sets may be left.
        (
            vec![list(&row(&json!({"keep_days": 0})), 1), empty()],
            Ok(Some(false)),
        ),
        (vec![list(&json!([]), 7)], denial),
        (
            vec![list(
                &row(&json!({"destination_region": "evil.example/"})),
                1,
            )],
            denial,
        ),
        (vec![answer(500, "")], Err(Reason::Server)),
    ] {
        let case = format!("{lists:?}");
        let answers = std::iter::once(denied()).chain(lists);
        let (listed, _) = play(BOTH_PROJECTS, CrossRegion, &target_in(&[]), answers);
        let found = listed.map(|listing| listing.protected);
        assert_eq!(found.map_err(|error| error.reason), expected, "{case}");
    }
}

#[test]
fn the_destination_that_discovery_has_learnt_serves_where_the_policy_may_not_be_asked() {
    let client = client_with_projects();
    let script = Script::of([protected(), empty_list(), answer(200, INSTANCES)]);
    let found = client.discover(&HOME.into(), &script).now_or_never();
    assert!(found.unwrap().is_ok());
    script.calls();
    let script = Script::of([denied(), empty()]);
    let listed = client
        .list(CrossRegion, &target_in(&[]), &script)
        .now_or_never();
    assert_eq!(sets(listed.unwrap().unwrap()).destinations, [AWAY]);
    script.calls();
}

fn empty_list() -> Answer {
    answer(200, r#"{"offsite_backup_instances":[],"total_count":0}"#)
}
