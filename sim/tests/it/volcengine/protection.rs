//! What is protected, since when, and what of it is left.

use super::*;

const POLICY: &str = "DescribeCrossRegionBackupPolicy";

async fn policy(cloud: &Cloud) -> Value {
    let ask = Ask::one(cloud, POLICY, "redis-1");
    ask.send(cloud).await.result()
}

/// How many copies there are, in a listing of the whole account.
async fn copies(cloud: &Cloud) -> u64 {
    let answer = Ask::account_wide(cloud, COPIES).send(cloud).await;
    answer.result()["Total"].as_u64().unwrap()
}

#[tokio::test]
async fn a_policy_that_is_off_names_no_region_and_keeps_the_copies() {
    let cloud = cloud().await;
    assert_eq!(copies(&cloud).await, 31);
    assert!(cloud.switch_policy_off("redis-1") && !cloud.switch_policy_off("redis-none"));
    assert_eq!(
        policy(&cloud).await,
        json!({ "InstanceId": "redis-1", "Active": false, "CrossBackupRegion": "", "TTL": 31 })
    );
    assert_eq!(copies(&cloud).await, 31);
    let plan = Ask::one(&cloud, "DescribeBackupPlan", "redis-1");
    assert_eq!(
        plan.send(&cloud).await.result()["Active"],
        true,
        "backups at home go on"
    );
    cloud.clock().advance(DAY * 2);
    assert_eq!(copies(&cloud).await, 29);
    assert!(cloud.switch_policy_on("redis-1"));
    assert_eq!(policy(&cloud).await["CrossBackupRegion"], "cn-shanghai");
    cloud.clock().advance(DAY * 2);
    assert_eq!(copies(&cloud).await, 29, "two came, two went");
    nothing_unexpected(&cloud);
}

#[tokio::test]
async fn nothing_is_copied_that_ended_before_the_protection() {
    let cloud = cloud().await;
    let since = cloud.clock().now() - DAY * 5;
    cloud.add_instance(
        redis("redis-1", "cn-beijing")
            .schedule(Schedule::every(DAY))
            .copied_to("cn-shanghai", HOUR)
            .protected_since(since),
    );
    assert_eq!(copies(&cloud).await, 5);
    assert_eq!(policy(&cloud).await["Active"], true);
}

#[tokio::test]
async fn settings_end_with_their_instance_and_copies_do_not() {
    let cloud = cloud().await;
    assert!(cloud.release_instance("redis-1"));
    for operation in [
        POLICY,
        "DescribeBackupPlan",
        "DescribePitrTimeWindow",
        "DescribeAvailableCrossRegion",
    ] {
        let refusal = Ask::one(&cloud, operation, "redis-1")
            .send(&cloud)
            .await
            .refusal();
        assert_eq!(refusal.1, "InstanceNotExist", "{operation}");
    }
    let list = Ask::new(&cloud, "DescribeDBInstances", &json!({}))
        .send(&cloud)
        .await;
    assert_eq!(list.result()["TotalInstancesNum"], 0);
    assert_eq!(copies(&cloud).await, 31);
    nothing_unexpected(&cloud);
}

#[tokio::test]
async fn single_operations_of_an_instance_fail_and_are_forbidden() {
    let cloud = cloud().await;
    cloud.add_instance(redis("redis-2", "cn-beijing"));
    for operation in [POLICY, "DescribeBackupPlan", "DescribePitrTimeWindow"] {
        let status = async |instance: &str| {
            Ask::one(&cloud, operation, instance)
                .send(&cloud)
                .await
                .status
        };
        cloud.inject(
            Fault::new(FaultKind::ServerErrorJson)
                .operation(operation)
                .instance("redis-1"),
        );
        assert!(status("redis-1").await != 200, "{operation}");
        assert_eq!(status("redis-2").await, 200, "{operation}");
        cloud.clear_faults();
        assert_eq!(status("redis-1").await, 200, "{operation}");
        cloud.deny("prod", operation);
        assert_eq!(status("redis-1").await, 403, "{operation}");
    }
}

#[tokio::test]
async fn the_list_of_instances_has_up_to_a_thousand_rows() {
    let cloud = cloud().await;
    for number in 0..120 {
        cloud.add_instance(redis(&format!("redis-n{number:03}"), "cn-beijing"));
    }
    let page = |number: u32, size: u32| {
        let body = json!({ "PageNumber": number, "PageSize": size });
        Ask::new(&cloud, "DescribeDBInstances", &body)
    };
    let rows = async |number: u32, size: u32| {
        let result = page(number, size).send(&cloud).await.result();
        assert_eq!(result["TotalInstancesNum"], 121);
        result["Instances"].as_array().unwrap().len()
    };
    assert_eq!(rows(1, 1000).await, 121);
    assert_eq!((rows(2, 100).await, rows(3, 100).await), (21, 0));
    nothing_unexpected(&cloud);
    assert_eq!(page(1, 1001).send(&cloud).await.status, 400);
    assert_eq!(cloud.unexpected().len(), 1);
}
