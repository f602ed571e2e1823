//! Lists of instances: `DescribeDBInstances` and `DescribeCrossRegionBackupDBInstance`.

use super::*;

const LIST: &str = "DescribeDBInstances";
const POLICIES: &str = "DescribeCrossRegionBackupDBInstance";

fn list(cloud: &Cloud) -> Ask {
    Ask::new(cloud, LIST, &[("RegionId", "cn-hangzhou")])
}

fn policies(cloud: &Cloud) -> Ask {
    Ask::new(cloud, POLICIES, &[("RegionId", "cn-hangzhou")])
}

/// Ids of the rows, with a space between them.
async fn ids(cloud: &Cloud, ask: Ask) -> String {
    let rows = ask.send(cloud).await.rows();
    let ids: Vec<_> = rows
        .iter()
        .map(|row| row["DBInstanceId"].as_str().unwrap().to_owned())
        .collect();
    ids.join(" ")
}

#[tokio::test]
async fn an_instance_looks_like_the_vendors_sample() {
    let cloud = cloud().await;
    let mut postgres = Instance::new("pgm-1", "cn-hangzhou").engine(Engine::PostgreSql, "15.0");
    postgres.name = "users".to_owned();
    cloud.add_instance(postgres);
    cloud.add_instance(Instance::new("rm-ro", "cn-hangzhou").read_replica_of("rm-1"));
    cloud.add_instance(Instance::new("rm-far", "cn-beijing"));
    let answer = list(&cloud).send(&cloud).await;
    let json = answer.json();
    assert_eq!(
        (
            &json["PageNumber"],
            &json["PageRecordCount"],
            &json["TotalRecordCount"]
        ),
        (&json!(1), &json!(3), &json!(3))
    );
    assert!(json.get("NextToken").is_none());
    let rows = answer.rows();
    assert_eq!(
        (
            &rows[0]["DBInstanceDescription"],
            &rows[0]["Engine"],
            &rows[0]["EngineVersion"]
        ),
        (&json!("users"), &json!("PostgreSQL"), &json!("15.0"))
    );
    assert_eq!(
        (
            &rows[1]["DBInstanceType"],
            &rows[1]["DBInstanceStatus"],
            &rows[1]["RegionId"]
        ),
        (&json!("Primary"), &json!("Running"), &json!("cn-hangzhou"))
    );
    assert_eq!(
        rows[1]["ReadOnlyDBInstanceIds"],
        json!({ "ReadOnlyDBInstanceId": [{ "DBInstanceId": "rm-ro" }] })
    );
    assert!(rows[1].get("MasterInstanceId").is_none() && rows[1].get("Category").is_none());
    assert_eq!(
        (&rows[2]["DBInstanceType"], &rows[2]["MasterInstanceId"]),
        (&json!("ReadOnly"), &json!("rm-1"))
    );
    let detailed = list(&cloud).with("InstanceLevel", "1").send(&cloud).await;
    assert_eq!(detailed.rows()[0]["Category"], "HighAvailability");
    nothing_unexpected(&cloud);
}

#[tokio::test]
async fn instances_are_filtered() {
    let cloud = cloud().await;
    cloud.add_instance(Instance::new("rm-ms", "cn-hangzhou").engine(Engine::SqlServer, "2022_web"));
    cloud.add_instance(Instance::new("rm-ro", "cn-hangzhou").read_replica_of("rm-1"));
    let by = async |name: &str, value: &str| ids(&cloud, list(&cloud).with(name, value)).await;
    assert_eq!(by("Engine", "SQLServer").await, "rm-ms");
    assert_eq!(by("Engine", "MySQL").await, "rm-1 rm-ro");
    assert_eq!(by("Engine", "mysql").await, "");
    assert_eq!(by("DBInstanceId", "rm-1").await, "rm-1");
    assert_eq!(by("DBInstanceId", "rm-none").await, "");
    assert_eq!(by("DBInstanceType", "Primary").await, "rm-1 rm-ms");
    assert_eq!(by("DBInstanceType", "Readonly").await, "rm-ro");
    assert_eq!(by("DBInstanceType", "Temp").await, "");
    assert_eq!(by("RegionId", "cn-beijing").await, "");
    nothing_unexpected(&cloud);
    let spelled_as_in_the_answer = list(&cloud).with("DBInstanceType", "ReadOnly");
    assert_eq!(
        spelled_as_in_the_answer.send(&cloud).await.refusal(),
        (400, "InvalidParameters.Format".to_owned())
    );
    assert_eq!(cloud.unexpected().len(), 1);
}

#[tokio::test]
async fn instances_come_in_numbered_pages_or_with_tokens() {
    let cloud = cloud().await;
    for number in 2..=7 {
        cloud.add_instance(Instance::new(format!("rm-{number}"), "cn-hangzhou"));
    }
    let page = |number: &str| {
        list(&cloud)
            .with("PageSize", "3")
            .with("PageNumber", number)
    };
    assert_eq!(ids(&cloud, page("1")).await, "rm-1 rm-2 rm-3");
    assert_eq!(ids(&cloud, page("3")).await, "rm-7");
    assert_eq!(ids(&cloud, page("4")).await, "", "past the end");

    let ask = |token: &str| {
        list(&cloud)
            .with("MaxResults", "3")
            .with("NextToken", token)
    };
    let mut token = String::new();
    let mut pages = Vec::new();
    loop {
        let answer = ask(&token).send(&cloud).await;
        let json = answer.json();
        assert_eq!(json["PageNumber"], 1);
        assert_eq!(json["TotalRecordCount"], answer.rows().len());
        pages.push(answer.rows().len());
        match json["NextToken"].as_str() {
            Some(next) => next.clone_into(&mut token),
            None => break,
        }
    }
    assert_eq!(pages, [3, 3, 1]);
    assert_eq!(
        ids(&cloud, list(&cloud).with("NextToken", &token)).await,
        "rm-7"
    );

    cloud.inject(Fault::new(FaultKind::PageLoop).times(1));
    assert_eq!(ids(&cloud, ask(&token)).await, "rm-1 rm-2 rm-3");
    cloud.inject(Fault::new(FaultKind::RepeatedRow).times(1));
    assert_eq!(ids(&cloud, ask(&token)).await, "rm-6 rm-7");
    cloud.inject(Fault::new(FaultKind::RepeatedRow).times(1));
    assert_eq!(ids(&cloud, page("2")).await, "rm-3 rm-4 rm-5");
    nothing_unexpected(&cloud);
}

#[tokio::test]
async fn parameters_of_the_lists_follow_the_pages() {
    let cloud = cloud().await;
    let many: Vec<_> = (0..31).map(|number| format!("rm-{number}")).collect();
    let format = "InvalidParameters.Format";
    let refused = [
        (list(&cloud).with("RegionId", ""), "MissingParameter"),
        (list(&cloud).with("PageSize", "101"), format),
        (list(&cloud).with("PageSize", "0"), format),
        (list(&cloud).with("PageNumber", "0"), format),
        (list(&cloud).with("MaxResults", "101"), format),
        (list(&cloud).with("NextToken", "AAAA"), "Invalid.NextToken"),
        (policies(&cloud).with("RegionId", ""), "MissingParameter"),
        (policies(&cloud).with("PageSize", "20"), format),
        (
            policies(&cloud).with("DBInstanceId", &many.join(",")),
            format,
        ),
        (policies(&cloud).with("DBInstanceId", "rm-1,"), format),
    ];
    for (number, (ask, code)) in refused.into_iter().enumerate() {
        assert_eq!(ask.send(&cloud).await.refusal(), (400, code.to_owned()));
        assert_eq!(cloud.unexpected().len(), number + 1, "{code}");
    }
}

#[tokio::test]
async fn a_policy_looks_like_the_vendors_sample() {
    let cloud = cloud().await;
    let since = "2026-06-13T09:00:00Z".parse().unwrap();
    cloud.add_instance(
        Instance::new("rm-new", "cn-hangzhou")
            .schedule(Schedule::every(DAY))
            .copied_to("cn-beijing", HOUR)
            .protected_since(since),
    );
    let mut bare = Instance::new("rm-bare", "cn-hangzhou").copied_to("cn-beijing", HOUR);
    bare.logs.copied = false;
    cloud.add_instance(bare);
    cloud.add_instance(Instance::new("rm-never", "cn-hangzhou").schedule(Schedule::every(DAY)));
    cloud.add_instance(Instance::new("rm-ro", "cn-hangzhou").read_replica_of("rm-1"));
    let answer = policies(&cloud).send(&cloud).await;
    let json = answer.json();
    assert_eq!(
        (
            &json["TotalRecords"],
            &json["ItemsNumbers"],
            &json["PageNumber"]
        ),
        (&json!(3), &json!(3), &json!(1))
    );
    let rows = answer.rows();
    let expected = json!({
        "BackupEnabled": "Enable",
        "BackupEnabledTime": "2026-06-13T09:00:00Z",
        "CrossBackupRegion": "cn-beijing",
        "CrossBackupType": "1",
        "DBInstanceDescription": "rm-new",
        "DBInstanceId": "rm-new",
        "DBInstanceStatus": "Running",
        "Engine": "MySQL",
        "EngineVersion": "8.0",
        "LockMode": "Unlock",
        "LogBackupEnabled": "Enable",
        "LogBackupEnabledTime": "2026-06-13T09:00:00Z",
        "RetentType": 1,
        "Retention": 31,
    });
    assert_eq!(rows[2], expected);
    assert_eq!(
        (
            &rows[1]["DBInstanceId"],
            &rows[1]["LogBackupEnabled"],
            &rows[1]["LogBackupEnabledTime"]
        ),
        (&json!("rm-bare"), &json!("Disable"), &json!(""))
    );
    let copies = Ask::copies(&cloud, "rm-new").send(&cloud).await.rows();
    assert_eq!(copies.len(), 2, "nothing that ended before");
    nothing_unexpected(&cloud);
}

#[tokio::test]
async fn policies_are_asked_by_id_and_stay_when_they_are_off() {
    let cloud = cloud().await;
    cloud.add_instance(Instance::new("rm-never", "cn-hangzhou"));
    cloud.add_instance(Instance::new("rm-far", "cn-beijing").copied_to("cn-hangzhou", HOUR));
    let named = |names: &str| policies(&cloud).with("DBInstanceId", names);
    assert_eq!(ids(&cloud, named("rm-1,rm-never")).await, "rm-1");
    assert_eq!(ids(&cloud, named("rm-never")).await, "");
    for unknown in ["rm-none", "rm-1,rm-none", "rm-1,rm-far"] {
        assert_eq!(
            named(unknown).send(&cloud).await.refusal(),
            (400, "InvalidDBInstanceId.NotFound".to_owned())
        );
    }
    assert_eq!(
        policies(&cloud)
            .with("PageNumber", "2")
            .send(&cloud)
            .await
            .refusal(),
        (404, "InvalidPage.notFound".to_owned())
    );

    let of = async |field: &str| named("rm-1").send(&cloud).await.rows()[0][field].clone();
    let copies = async || {
        let answer = Ask::copies(&cloud, "rm-1").send(&cloud).await;
        answer.json()["TotalRecordCount"].clone()
    };
    let before = of("BackupEnabledTime").await;
    assert!(cloud.switch_policy_off("rm-1") && !cloud.switch_policy_off("rm-none"));
    assert_eq!(
        (of("BackupEnabled").await, of("LogBackupEnabled").await),
        (json!("Disable"), json!("Disable"))
    );
    assert_eq!(
        (of("BackupEnabledTime").await, copies().await),
        (before, json!(31))
    );
    cloud.clock().advance(DAY * 3);
    assert_eq!(copies().await, 28, "no new ones, and the old ones expire");
    assert!(cloud.switch_policy_on("rm-1"));
    assert_eq!(of("BackupEnabled").await, "Enable");
    // A destination that is left has a switch that is off, or no row any more.
    assert!(cloud.add_destination("rm-1", "cn-beijing", HOUR));
    let rows = async || named("rm-1").send(&cloud).await.rows().clone();
    let switches = async || {
        let switch = |row: &Value| {
            (
                row["CrossBackupRegion"].clone(),
                row["BackupEnabled"].clone(),
            )
        };
        rows().await.iter().map(switch).collect::<Vec<_>>()
    };
    let now = cloud.clock().now();
    assert!(cloud.leave_destination("rm-1", "cn-beijing", now, true));
    assert_eq!(switches().await[1], (json!("cn-beijing"), json!("Disable")));
    assert_eq!(switches().await[0].1, "Enable");
    assert!(cloud.leave_destination("rm-1", "cn-beijing", now - 40 * DAY, false));
    assert_eq!(switches().await.len(), 1);
    assert_eq!(of("BackupEnabledTime").await, seconds(cloud.clock().now()));
    cloud.clock().advance(DAY * 2);
    assert_eq!(copies().await, 28, "two came, two went");
    nothing_unexpected(&cloud);
}

#[tokio::test]
async fn policies_page_by_page() {
    let cloud = cloud().await;
    for number in 0..34 {
        let id = format!("rm-more-{number:02}");
        cloud.add_instance(Instance::new(id, "cn-hangzhou").copied_to("cn-beijing", HOUR));
    }
    let page = |number: &str| policies(&cloud).with("PageNumber", number);
    assert_eq!(page("1").send(&cloud).await.rows().len(), 30);
    let second = page("2").send(&cloud).await;
    assert_eq!(
        (
            &second.json()["TotalRecords"],
            &second.json()["ItemsNumbers"]
        ),
        (&json!(35), &json!(5))
    );
    cloud.inject(Fault::new(FaultKind::RepeatedRow).times(1));
    assert_eq!(page("2").send(&cloud).await.rows().len(), 6);
    cloud.inject(Fault::new(FaultKind::GrowingTotal).times(1));
    assert_eq!(page("2").send(&cloud).await.json()["TotalRecords"], 36);
    nothing_unexpected(&cloud);
}

/// Single operations, and single instances of a call that names many.
#[tokio::test]
async fn single_operations_fail_and_are_forbidden() {
    let cloud = cloud().await;
    let down = FaultKind::ServerErrorJson;
    cloud.inject(Fault::new(down).operation(POLICIES).instance("rm-1"));
    let named = |names: &str| policies(&cloud).with("DBInstanceId", names);
    cloud.add_instance(Instance::new("rm-2", "cn-hangzhou"));
    assert_eq!(named("rm-2,rm-1").send(&cloud).await.status, 500);
    assert_eq!(named("rm-2").send(&cloud).await.status, 200);
    assert_eq!(Ask::copies(&cloud, "rm-1").send(&cloud).await.status, 200);
    cloud.deny("test", LIST);
    let denied = list(&cloud).send(&cloud).await;
    assert_eq!(denied.refusal(), (403, "Forbidden.RAM".to_owned()));
    assert_eq!(
        denied.json()["AccessDeniedDetail"]["AuthAction"],
        "rds:DescribeDBInstances"
    );
    cloud.clear_faults();
    cloud.set_rate_limit("test", Some(1));
    cloud.clock().advance(HOUR);
    assert_eq!(policies(&cloud).send(&cloud).await.status, 200);
    assert_eq!(
        policies(&cloud).send(&cloud).await.refusal(),
        (400, "Throttling.User".to_owned())
    );
    let mut forged = policies(&cloud);
    forged.secret = "wrong".to_owned();
    assert_eq!(
        forged.send(&cloud).await.refusal().1,
        "SignatureDoesNotMatch"
    );
}

#[tokio::test]
async fn a_replica_has_no_backups() {
    let cloud = cloud().await;
    cloud.add_instance(Instance::new("rm-ro", "cn-hangzhou").read_replica_of("rm-1"));
    let local = Ask::new(
        &cloud,
        "DescribeLocalAvailableRecoveryTime",
        &[("DBInstanceId", "rm-ro")],
    );
    for ask in [
        Ask::local(&cloud, "rm-ro"),
        Ask::copies(&cloud, "rm-ro"),
        local,
    ] {
        assert_eq!(
            ask.send(&cloud).await.refusal(),
            (400, "ReadDBInstanceNotSupport".to_owned())
        );
    }
    nothing_unexpected(&cloud);
}

#[tokio::test]
async fn copies_outlive_their_instance() {
    let cloud = cloud().await;
    assert!(cloud.release_instance("rm-1") && !cloud.release_instance("rm-none"));
    cloud.clock().advance(DAY * 2);
    assert_eq!(ids(&cloud, list(&cloud)).await, "");
    assert_eq!(ids(&cloud, policies(&cloud)).await, "");
    let named = policies(&cloud).with("DBInstanceId", "rm-1");
    assert_eq!(
        named.send(&cloud).await.refusal().1,
        "InvalidDBInstanceId.NotFound"
    );
    assert_eq!(
        Ask::local(&cloud, "rm-1").send(&cloud).await.refusal(),
        (404, "InvalidDBInstanceName.NotFound".to_owned())
    );
    let copies = Ask::copies(&cloud, "rm-1").send(&cloud).await;
    assert_eq!(copies.rows().len(), 29, "nothing comes any more");
    nothing_unexpected(&cloud);
}
