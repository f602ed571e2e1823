//! What is protected, since when, and what of it is left: policies, holes, replicas and releases.

use std::collections::BTreeSet;

use super::*;

/// What was copied, by the kind that is asked for.
async fn copies(cloud: &Cloud, kind: &str) -> u64 {
    let ask = Ask::off_site(cloud, AWAY, "i1", kind);
    ask.send(cloud).await.total()
}

/// Ids of the instances that are copied from or to a region.
async fn off_site_ids(cloud: &Cloud, region: &str) -> Vec<String> {
    let path = "/v3/backups/offsite-backup-instance";
    let mut ask = Ask::new(cloud, path.to_owned(), &[]);
    ask.project = Some(project_id("test", region));
    let answer = ask.send(cloud).await;
    let rows = answer.list(&answer.json()["offsite_backup_instances"]);
    rows.iter()
        .map(|row| row["id"].as_str().unwrap().to_owned())
        .collect()
}

async fn windows(cloud: &Cloud, region: &str, kind: &str) -> Vec<[DateTime<Utc>; 2]> {
    let answer = Ask::of(cloud, region, &format!("instances/i1/{kind}"), &[])
        .send(cloud)
        .await;
    let rows = answer.list(&answer.json()["restore_time"]);
    rows.iter()
        .map(|row| {
            ["start_time", "end_time"]
                .map(|end| DateTime::from_timestamp_millis(row[end].as_i64().unwrap()).unwrap())
        })
        .collect()
}

#[tokio::test]
async fn a_destination_that_was_left_keeps_its_full_copies_and_is_named_only_if_told_so() {
    let cloud = cloud().await;
    let left = cloud.clock().now() - 2 * DAY;
    let parts = async || {
        let answer = Ask::of(&cloud, HOME, "instances/i1/backups/offsite-policy", &[])
            .send(&cloud)
            .await;
        let parts = answer.json()["policy_para"].as_array().unwrap().clone();
        let named = |part: &Value| {
            let region = part["destination_region"].as_str().unwrap().to_owned();
            (region, part["keep_days"] != 0)
        };
        parts.iter().map(named).collect::<BTreeSet<_>>()
    };
    let on = |region: &str| (region.to_owned(), true);
    assert!(cloud.add_destination("i1", "cn-south-1", HOUR));
    assert_eq!(parts().await, [on(AWAY), on("cn-south-1")].into());
    assert!(cloud.leave_destination("i1", AWAY, left, true));
    assert_eq!(
        parts().await,
        [(AWAY.to_owned(), false), on("cn-south-1")].into()
    );
    assert!(cloud.leave_destination("i1", AWAY, left, false));
    assert_eq!(parts().await, [on("cn-south-1")].into());
    assert_eq!(copies(&cloud, "auto").await, 29);
    for region in ["cn-nowhere", "cn-hangzhou"] {
        assert!(!cloud.leave_destination("i1", region, left, true));
    }
    assert!(!cloud.add_destination("i-none", AWAY, HOUR));
    nothing_unexpected(&cloud);
}

#[tokio::test]
async fn a_policy_that_is_off_hides_the_instance_and_keeps_full_copies() {
    let cloud = cloud().await;
    for region in [HOME, AWAY] {
        assert_eq!(off_site_ids(&cloud, region).await, ["i1"]);
    }
    assert!(cloud.switch_policy_off("i1"));
    for region in [HOME, AWAY] {
        assert!(off_site_ids(&cloud, region).await.is_empty());
    }
    assert_eq!(copies(&cloud, "auto").await, 31);
    assert_eq!(copies(&cloud, "incremental").await, 0);
    cloud.clock().advance(2 * DAY);
    assert_eq!(copies(&cloud, "auto").await, 29);

    assert!(cloud.switch_policy_on("i1"));
    cloud.clock().advance(DAY + HOUR);
    assert_eq!(off_site_ids(&cloud, HOME).await, ["i1"]);
    assert_eq!(copies(&cloud, "auto").await, 29, "one came, one went");
    assert_eq!(
        copies(&cloud, "incremental").await,
        288,
        "what was deleted does not come back"
    );
    nothing_unexpected(&cloud);
}

#[tokio::test]
async fn copies_that_were_stopped_stay_stopped_when_the_policy_is_switched() {
    let cloud = cloud().await;
    assert!(cloud.stop_copies("i1") && cloud.switch_policy_off("i1"));
    assert!(cloud.switch_policy_on("i1"));
    cloud.clock().advance(DAY * 2);
    assert_eq!(copies(&cloud, "auto").await, 29);
}

#[tokio::test]
async fn nothing_is_copied_that_ended_before_the_protection() {
    let cloud = cloud().await;
    let since = cloud.clock().now() - 3 * DAY;
    cloud.add_instance(
        Instance::new("i1", HOME)
            .schedule(Schedule::every(DAY))
            .copied_to(AWAY, HOUR)
            .protected_since(since),
    );
    assert_eq!(copies(&cloud, "auto").await, 3);
    assert_eq!(
        copies(&cloud, "incremental").await,
        3 * 288 - 12,
        "those of the last hour are on their way"
    );
    assert_eq!(off_site_ids(&cloud, AWAY).await, ["i1"]);
}

#[tokio::test]
async fn a_hole_in_the_copied_logs_divides_the_window_at_the_destination() {
    let cloud = cloud().await;
    let noon = cloud.clock().now().trunc_subsecs(0) - Duration::from_secs(30);
    let (from, to) = (noon - 30 * HOUR, noon - 29 * HOUR);
    assert!(cloud.lose_logs("i1", from, to) && !cloud.lose_logs("none", from, to));
    assert_eq!(copies(&cloud, "incremental").await, 31 * 288 - 12);
    let found = windows(&cloud, AWAY, "offsite-restore-time").await;
    assert_eq!(found.len(), 2);
    assert!(found[0][1] <= from && found[0][1] > from - HOUR);
    assert!(found[1][0] > to, "it begins with the next full set");
    assert_eq!(windows(&cloud, HOME, "restore-time").await.len(), 1);
    nothing_unexpected(&cloud);
}

#[tokio::test]
async fn a_replica_is_listed_and_has_no_backups() {
    let cloud = cloud().await;
    cloud.add_instance(Instance::new("i1-ro", HOME).read_replica_of("i1"));
    let listed = async |kind: &str| {
        let answer = Ask::of(&cloud, HOME, "instances", &[("type", kind)])
            .send(&cloud)
            .await;
        answer.list(&answer.json()["instances"])
    };
    let (replicas, others) = (listed("Replica").await, listed("Ha").await);
    assert_eq!((replicas.len(), others.len()), (1, 1));
    assert_eq!(replicas[0]["id"], "i1-ro");
    assert_eq!(
        replicas[0]["related_instance"],
        json!([{ "id": "i1", "type": "replica_of" }])
    );
    assert_eq!(
        others[0]["related_instance"],
        json!([{ "id": "i1-ro", "type": "replica" }])
    );
    let of = |rest: &str| Ask::of(&cloud, HOME, &format!("instances/i1-ro/{rest}"), &[]);
    for ask in [
        Ask::local(&cloud, "i1-ro"),
        of("restore-time"),
        of("backups/policy"),
        of("backups/offsite-policy"),
    ] {
        let refusal = ask.send(&cloud).await.refusal();
        assert_eq!(refusal, (400, "DBS.200086".to_owned()));
    }
    nothing_unexpected(&cloud);
}

#[tokio::test]
async fn copies_outlive_their_instance() {
    let cloud = cloud().await;
    assert!(cloud.release_instance("i1"));
    cloud.clock().advance(DAY);
    let listed = Ask::of(&cloud, HOME, "instances", &[]).send(&cloud).await;
    assert_eq!(listed.total(), 0);
    let gone = (404, "DBS.200002".to_owned());
    let of = |rest: &str| Ask::of(&cloud, HOME, &format!("instances/i1/{rest}"), &[]);
    for ask in [
        Ask::local(&cloud, "i1"),
        of("restore-time"),
        of("offsite-restore-time"),
        of("backups/offsite-policy"),
    ] {
        assert_eq!(ask.send(&cloud).await.refusal(), gone);
    }
    assert_eq!(copies(&cloud, "auto").await, 30, "nothing comes any more");
    let found = windows(&cloud, AWAY, "offsite-restore-time").await;
    assert_eq!(found.len(), 1);
    assert!(found[0][1] <= cloud.clock().now() - DAY);
    assert!(off_site_ids(&cloud, HOME).await.is_empty());
    assert_eq!(off_site_ids(&cloud, AWAY).await, ["i1"]);
    cloud.clock().advance(31 * DAY);
    assert!(
        off_site_ids(&cloud, AWAY).await.is_empty(),
        "nothing is left of it"
    );
    nothing_unexpected(&cloud);
}

#[tokio::test]
async fn single_operations_of_an_instance_fail() {
    let cloud = cloud().await;
    cloud.add_instance(Instance::new("i2", HOME));
    cloud.inject(
        Fault::new(FaultKind::ServerErrorJson)
            .operation("ShowOffSiteBackupPolicy")
            .instance("i1"),
    );
    let policy = |id: &str| {
        let rest = format!("instances/{id}/backups/offsite-policy");
        Ask::of(&cloud, HOME, &rest, &[])
    };
    assert_eq!(policy("i1").send(&cloud).await.status, 500);
    assert_eq!(policy("i2").send(&cloud).await.status, 200);
    assert_eq!(Ask::local(&cloud, "i1").send(&cloud).await.status, 200);
    cloud.deny("test", "ListOffSiteInstances");
    let mut ask = Ask::new(
        &cloud,
        "/v3/backups/offsite-backup-instance".to_owned(),
        &[],
    );
    ask.project = Some(project_id("test", AWAY));
    let denied = ask.send(&cloud).await;
    assert_eq!(denied.refusal(), (403, "DBS.200010".to_owned()));
}
