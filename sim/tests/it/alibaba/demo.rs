//! The demo, as far as this vendor shows it.

use super::*;

/// Rows of an operation, asked with the key of the account that owns what is asked for.
async fn rows(cloud: &Cloud, account: usize, ask: Ask) -> Vec<Value> {
    let accounts = Scenario::named("demo").unwrap().accounts;
    let mut ask = ask;
    ask.key.clone_from(&accounts[account].access_key_id);
    ask.secret.clone_from(&accounts[account].access_key_secret);
    ask.send(cloud).await.rows()
}

fn named<'a>(rows: &'a [Value], name: &str) -> Option<&'a Value> {
    rows.iter().find(|row| row["DBInstanceDescription"] == name)
}

#[tokio::test]
async fn the_demo_shows_what_it_says() {
    let cloud = Cloud::start(Scenario::named("demo").unwrap())
        .await
        .unwrap();
    let region = |operation: &'static str, region: &str| {
        Ask::new(&cloud, operation, &[("RegionId", region)])
    };
    let (list, policies) = ("DescribeDBInstances", "DescribeCrossRegionBackupDBInstance");
    let home = rows(&cloud, 0, region(list, "cn-hangzhou")).await;
    let replica = named(&home, "orders-readonly").unwrap();
    assert_eq!(replica["DBInstanceType"], "ReadOnly");
    let switched = rows(&cloud, 0, region(policies, "cn-hangzhou")).await;
    let switch = |name: &str| named(&switched, name).unwrap()["BackupEnabled"].clone();
    assert_eq!(
        (switch("coupons"), switch("orders")),
        (json!("Disable"), json!("Enable"))
    );
    let coupons = Ask::copies(&cloud, "rm-uf6coupons000001").with("PageSize", "100");
    let coupons = rows(&cloud, 0, coupons).await;
    assert!((25..=27).contains(&coupons.len()), "{}", coupons.len());
    let beijing = rows(&cloud, 0, region(policies, "cn-beijing")).await;
    assert!(named(&beijing, "drafts").is_none() && named(&beijing, "users").is_some());

    let europe = rows(&cloud, 1, region(list, "eu-central-1")).await;
    assert!(named(&europe, "legacy-crm").is_none() && named(&europe, "search").is_some());
    let in_europe = |ask: Ask| ask.with("RegionId", "eu-central-1");
    let crm = in_europe(Ask::copies(&cloud, "rm-gw8legacycrm0001"));
    assert!(rows(&cloud, 1, crm).await.len() > 20);

    let now = cloud.clock().now();
    let (from, to) = (seconds(now - HOUR * 2), seconds(now));
    let range = [
        ("DBInstanceId", "rm-gw8search0000001"),
        ("StartTime", &from),
        ("EndTime", &to),
    ];
    let files = Ask::new(&cloud, "DescribeCrossRegionLogBackupFiles", &range);
    let files = rows(&cloud, 1, in_europe(files)).await;
    let holes = files
        .windows(2)
        .filter(|files| files[0]["LogBeginTime"] != files[1]["LogEndTime"]);
    assert_eq!(holes.count(), 1);
    nothing_unexpected(&cloud);
}
