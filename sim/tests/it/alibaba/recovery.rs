//! Log files at a destination, and the times to which an instance can be restored.

use super::*;

const LOGS: &str = "DescribeCrossRegionLogBackupFiles";
const AWAY: &str = "DescribeAvailableRecoveryTime";
const HOME: &str = "DescribeLocalAvailableRecoveryTime";

/// Log files of the day from 09:00 to noon.
fn logs(cloud: &Cloud, instance: &str) -> Ask {
    let fixed = [
        ("DBInstanceId", instance),
        ("RegionId", "cn-hangzhou"),
        ("StartTime", "2026-06-15T09:00:00Z"),
        ("EndTime", "2026-06-15T12:00:00Z"),
    ];
    Ask::new(cloud, LOGS, &fixed)
}

fn home(cloud: &Cloud, instance: &str) -> Ask {
    let fixed = [("DBInstanceId", instance), ("Region", "cn-hangzhou")];
    Ask::new(cloud, HOME, &fixed)
}

fn away(cloud: &Cloud, instance: &str, set: &Value) -> Ask {
    let set = set.to_string();
    let fixed = [
        ("CrossBackupId", set.as_str()),
        ("DBInstanceId", instance),
        ("RegionId", "cn-hangzhou"),
    ];
    Ask::new(cloud, AWAY, &fixed)
}

fn time(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

/// The window of an answer.
fn window(answer: &Answer) -> (String, String) {
    let json = answer.json();
    let text = |name: &str| {
        let text = json[name].as_str();
        text.unwrap_or_else(|| panic!("{}", answer.body)).to_owned()
    };
    (text("RecoveryBeginTime"), text("RecoveryEndTime"))
}

fn refused(status: u16, code: &str) -> (u16, String) {
    (status, code.to_owned())
}

#[tokio::test]
async fn log_files_go_on_where_the_last_one_ended() {
    let cloud = cloud().await;
    let answer = logs(&cloud, "rm-1").send(&cloud).await;
    let json = answer.json();
    assert_eq!(
        (
            &json["TotalRecordCount"],
            &json["PageRecordCount"],
            &json["DBInstanceId"]
        ),
        (&json!(24), &json!(24), &json!("rm-1")),
        "two hours, because copies take one"
    );
    let rows = answer.rows();
    for files in rows.windows(2) {
        assert_eq!(files[0]["LogBeginTime"], files[1]["LogEndTime"]);
    }
    let newest = &rows[0];
    assert_eq!(
        (
            &newest["LogBeginTime"],
            &newest["LogEndTime"],
            &newest["CrossBackupRegion"]
        ),
        (
            &json!("2026-06-15T10:55:00Z"),
            &json!("2026-06-15T11:00:00Z"),
            &json!("cn-shanghai")
        )
    );
    let link = newest["CrossDownloadLink"].as_str().unwrap();
    assert!(link.contains(DOWNLOAD_ACCESS_KEY_ID) && link.contains(DOWNLOAD_SIGNATURE));
    assert!(newest["CrossLogBackupId"].as_i64().unwrap() > i64::from(i32::MAX));
    assert!(newest["CrossLogBackupSize"].as_u64().unwrap() > 0);
    assert!(newest["LogFileName"].is_string());
    nothing_unexpected(&cloud);
}

#[tokio::test]
async fn the_range_of_log_files_selects_those_that_overlap_it() {
    let cloud = cloud().await;
    let count = async |start: &str, end: &str| {
        let ask = logs(&cloud, "rm-1")
            .with("StartTime", start)
            .with("EndTime", end);
        ask.send(&cloud).await.rows().len()
    };
    let (ten, five_past) = ("2026-06-15T10:00:00Z", "2026-06-15T10:05:00Z");
    assert_eq!(
        count(ten, five_past).await,
        1,
        "its neighbours only touch it"
    );
    assert_eq!(
        count("2026-06-15T10:02:00Z", "2026-06-15T10:03:00Z").await,
        1
    );
    assert_eq!(count("2026-06-15T09:59Z", "2026-06-15T10:06Z").await, 3);
    let elsewhere = logs(&cloud, "rm-1").with("CrossBackupRegion", "cn-beijing");
    assert_eq!(elsewhere.send(&cloud).await.rows().len(), 0);
    nothing_unexpected(&cloud);
}

#[tokio::test]
async fn log_files_come_in_pages() {
    let cloud = cloud().await;
    let day = |number: &str| {
        logs(&cloud, "rm-1")
            .with("StartTime", "2026-06-14T00:00:00Z")
            .with("EndTime", "2026-06-15T00:00:00Z")
            .with("PageSize", "100")
            .with("PageNumber", number)
    };
    let mut begins = std::collections::BTreeSet::new();
    for (number, expected) in [("1", 100), ("2", 100), ("3", 88)] {
        let answer = day(number).send(&cloud).await;
        assert_eq!(answer.json()["TotalRecordCount"], 288);
        assert_eq!(answer.rows().len(), expected);
        begins.extend(
            answer
                .rows()
                .iter()
                .map(|row| row["LogBeginTime"].to_string()),
        );
    }
    assert_eq!(begins.len(), 288);
    assert_eq!(
        day("4").send(&cloud).await.refusal(),
        refused(404, "InvalidPage.notFound")
    );
    nothing_unexpected(&cloud);
}

#[tokio::test]
async fn parameters_of_log_files_and_windows_follow_the_pages() {
    let cloud = cloud().await;
    let set = json!(1);
    let cases = [
        (logs(&cloud, ""), "MissingParameter"),
        (
            logs(&cloud, "rm-1").with("RegionId", ""),
            "MissingParameter",
        ),
        (
            logs(&cloud, "rm-1").with("StartTime", ""),
            "MissingParameter",
        ),
        (logs(&cloud, "rm-1").with("EndTime", ""), "MissingParameter"),
        (
            logs(&cloud, "rm-1").with("PageSize", "10"),
            "InvalidParameters.Format",
        ),
        (
            logs(&cloud, "rm-1").with("StartTime", "2026-06-15"),
            "InvalidStartTime.Format",
        ),
        (
            logs(&cloud, "rm-1").with("StartTime", "2026-06-15T12:00:00Z"),
            "InvalidParameterCombination",
        ),
        (
            away(&cloud, "rm-1", &set).with("CrossBackupId", ""),
            "MissingParameter",
        ),
        (
            away(&cloud, "rm-1", &set).with("CrossBackupId", "newest"),
            "InvalidParameters.Format",
        ),
        (home(&cloud, ""), "MissingParameter"),
        (
            home(&cloud, "rm-1")
                .with("Region", "")
                .with("RegionId", "cn-hangzhou"),
            "MissingParameter",
        ),
    ];
    for (number, (ask, code)) in cases.into_iter().enumerate() {
        assert_eq!(ask.send(&cloud).await.refusal(), refused(400, code));
        assert_eq!(cloud.unexpected().len(), number + 1, "{code}");
    }
}

#[tokio::test]
async fn instances_without_log_files_are_refused_or_have_none() {
    let cloud = cloud().await;
    let mut unsupported = Instance::new("rm-disk", "cn-hangzhou").schedule(Schedule::every(DAY));
    unsupported.cross_region_unsupported = true;
    cloud.add_instance(unsupported);
    cloud.add_instance(Instance::new("rm-maria", "cn-hangzhou").engine(Engine::MariaDb, "10.3"));
    cloud.add_instance(Instance::new("rm-alone", "cn-hangzhou").schedule(Schedule::every(DAY)));
    for id in ["rm-disk", "rm-maria"] {
        assert_eq!(
            logs(&cloud, id).send(&cloud).await.refusal(),
            refused(403, "CrossBackupNotSupport")
        );
    }
    assert_eq!(
        logs(&cloud, "rm-none").send(&cloud).await.refusal(),
        refused(404, "InvalidDBInstance.NotFound")
    );
    assert_eq!(logs(&cloud, "rm-alone").send(&cloud).await.rows().len(), 0);
    for (id, engine) in [("pgm-1", Engine::PostgreSql), ("rm-ms", Engine::SqlServer)] {
        cloud.add_instance(
            Instance::new(id, "cn-hangzhou")
                .engine(engine, "15")
                .schedule(Schedule::every(DAY))
                .copied_to("cn-shanghai", HOUR),
        );
        assert_eq!(logs(&cloud, id).send(&cloud).await.rows().len(), 24);
    }
    nothing_unexpected(&cloud);
}

#[tokio::test]
async fn a_copied_set_can_be_restored_up_to_the_end_of_its_logs() {
    let cloud = cloud().await;
    let sets = Ask::copies(&cloud, "rm-1").send(&cloud).await.rows();
    let newest = &sets[0];
    let answer = away(&cloud, "rm-1", &newest["CrossBackupId"])
        .send(&cloud)
        .await;
    let (begin, end) = window(&answer);
    assert_eq!(newest["ConsistentTime"], json!(begin));
    assert_eq!(end, "2026-06-15T11:00:00Z");
    let json = answer.json();
    assert_eq!(
        (&json["CrossBackupId"], &json["RegionId"]),
        (&newest["CrossBackupId"], &json!("cn-hangzhou"))
    );
    assert_eq!(
        json.get("DBInstanceId"),
        None,
        "no page and no client has it"
    );
    let by_id_alone = away(&cloud, "", &newest["CrossBackupId"]).with("RegionId", "");
    assert_eq!(window(&by_id_alone.send(&cloud).await).1, end);

    // The hole is between the newest set and the one before.
    let (from, to) = (time("2026-06-14T12:00:00Z"), time("2026-06-14T12:30:00Z"));
    assert!(cloud.lose_logs("rm-1", from, to) && !cloud.lose_logs("rm-none", from, to));
    let end_of = async |set: &Value| {
        let ask = away(&cloud, "rm-1", &set["CrossBackupId"]);
        window(&ask.send(&cloud).await).1
    };
    assert_eq!(end_of(newest).await, "2026-06-15T11:00:00Z");
    assert_eq!(end_of(&sets[1]).await, "2026-06-14T12:00:00Z");
    let around = logs(&cloud, "rm-1")
        .with("StartTime", "2026-06-14T11:00:00Z")
        .with("EndTime", "2026-06-14T13:00:00Z");
    assert_eq!(around.send(&cloud).await.rows().len(), 24 - 6);
    let (_, end) = window(&home(&cloud, "rm-1").send(&cloud).await);
    assert_eq!(end, "2026-06-15T12:00:00Z", "nothing is lost at home");

    let from = time(newest["BackupStartTime"].as_str().unwrap());
    cloud.lose_logs("rm-1", from, from + HOUR);
    assert_eq!(
        away(&cloud, "rm-1", &newest["CrossBackupId"])
            .send(&cloud)
            .await
            .refusal(),
        refused(400, "NoAvailableLogBackup")
    );
    nothing_unexpected(&cloud);
}

#[tokio::test]
async fn a_stated_set_has_a_window_too() {
    let cloud = cloud().await;
    let start = time("2026-06-15T06:01:00Z");
    let set = CrossRegionSet {
        id: json!(77),
        ..CrossRegionSet::completed("cn-shanghai", start, start + HOUR)
    };
    assert!(cloud.add_cross_region_set("rm-1", set));
    assert_eq!(
        window(&away(&cloud, "rm-1", &json!(77)).send(&cloud).await),
        (seconds(start), "2026-06-15T11:00:00Z".to_owned())
    );
}

#[tokio::test]
async fn windows_of_copies_are_refused_in_the_words_of_the_page() {
    let cloud = cloud().await;
    let mut bare = Instance::new("rm-bare", "cn-hangzhou")
        .schedule(Schedule::every(DAY))
        .copied_to("cn-shanghai", HOUR);
    bare.logs.copied = false;
    cloud.add_instance(bare);
    cloud.add_instance(
        Instance::new("pgm-1", "cn-hangzhou")
            .engine(Engine::PostgreSql, "15.0")
            .schedule(Schedule::every(DAY))
            .copied_to("cn-shanghai", HOUR),
    );
    let newest = async |id: &str| {
        let rows = Ask::copies(&cloud, id).send(&cloud).await.rows();
        rows[0]["CrossBackupId"].clone()
    };
    let (bare, postgres) = (newest("rm-bare").await, newest("pgm-1").await);
    let cases = [
        (away(&cloud, "rm-bare", &bare), 400, "NoAvailableLogBackup"),
        (
            away(&cloud, "pgm-1", &postgres),
            403,
            "IncorrectDBInstanceEngine",
        ),
        (
            away(&cloud, "", &postgres),
            403,
            "IncorrectDBInstanceEngine",
        ),
        (
            away(&cloud, "rm-1", &bare),
            404,
            "InvalidBackupSetID.NotFound",
        ),
        (
            away(&cloud, "", &json!(1)),
            404,
            "InvalidBackupSetID.NotFound",
        ),
        (
            away(&cloud, "rm-none", &bare),
            404,
            "InvalidDBInstance.NotFound",
        ),
    ];
    for (ask, status, code) in cases {
        assert_eq!(ask.send(&cloud).await.refusal(), refused(status, code));
    }
    cloud.deny("test", AWAY);
    assert_eq!(away(&cloud, "", &bare).send(&cloud).await.status, 403);
    nothing_unexpected(&cloud);
}

#[tokio::test]
async fn an_instance_can_be_restored_from_its_oldest_set_on() {
    let cloud = cloud().await;
    let mut maria = Instance::new("rm-maria", "cn-hangzhou").engine(Engine::MariaDb, "10.3");
    maria.cross_region_unsupported = true;
    cloud.add_instance(maria.schedule(Schedule::every(DAY)));
    for id in ["rm-1", "rm-maria"] {
        let (begin, end) = window(&home(&cloud, id).send(&cloud).await);
        assert_eq!(end, "2026-06-15T12:00:00Z");
        assert_eq!((time(&end) - time(&begin)).num_days(), 30, "{id}");
    }
    // The file that ends at noon is still made.
    cloud.clock().advance(Duration::from_secs(1));
    assert!(cloud.stop_logs("rm-1"));
    cloud.clock().advance(HOUR);
    cloud.resume_logs("rm-1");
    cloud.clock().advance(HOUR);
    let (_, end) = window(&home(&cloud, "rm-1").send(&cloud).await);
    assert_eq!(end, "2026-06-15T12:00:00Z", "no set lies behind the gap");
    cloud.clock().advance(DAY);
    let (begin, _) = window(&home(&cloud, "rm-1").send(&cloud).await);
    assert!(begin.starts_with("2026-06-16T00:"), "{begin}");
    let by_id_alone = home(&cloud, "rm-1").with("Region", "");
    assert_eq!(by_id_alone.send(&cloud).await.status, 200);
    let request = &cloud.requests()[2];
    assert_eq!(request.region.as_deref(), Some("cn-hangzhou"));
    nothing_unexpected(&cloud);
}

#[tokio::test]
async fn windows_at_home_are_refused_in_the_words_of_the_page() {
    let cloud = cloud().await;
    let daily = |id: &str| Instance::new(id, "cn-hangzhou").schedule(Schedule::every(DAY));
    cloud.add_instance(daily("rm-ms").engine(Engine::SqlServer, "2022_web"));
    cloud.add_instance(Instance::new("rm-new", "cn-hangzhou"));
    let mut silent = daily("rm-silent");
    silent.logs.every = Duration::ZERO;
    cloud.add_instance(silent);
    let cases = [
        (home(&cloud, "rm-ms"), 403, "IncorrectDBInstanceEngine"),
        (home(&cloud, "rm-new"), 404, "InvalidBackup.NotFound"),
        (home(&cloud, "rm-silent"), 400, "LogBackupNotEnabled"),
        (
            home(&cloud, "rm-none"),
            404,
            "InvalidDBInstanceName.NotFound",
        ),
        (
            home(&cloud, "rm-1").with("Region", "cn-beijing"),
            404,
            "InvalidDBInstanceName.NotFound",
        ),
    ];
    for (ask, status, code) in cases {
        assert_eq!(ask.send(&cloud).await.refusal(), refused(status, code));
    }
    nothing_unexpected(&cloud);
}

#[tokio::test]
async fn log_files_and_windows_of_copies_outlive_their_instance() {
    let cloud = cloud().await;
    let sets = Ask::copies(&cloud, "rm-1").send(&cloud).await.rows();
    cloud.release_instance("rm-1");
    cloud.clock().advance(DAY);
    let ask = away(&cloud, "rm-1", &sets[0]["CrossBackupId"]);
    assert_eq!(window(&ask.send(&cloud).await).1, "2026-06-15T12:00:00Z");
    let files = logs(&cloud, "rm-1").send(&cloud).await.json();
    assert_eq!(files["TotalRecordCount"], 36);
    assert_eq!(
        home(&cloud, "rm-1").send(&cloud).await.refusal(),
        refused(404, "InvalidDBInstanceName.NotFound")
    );
    nothing_unexpected(&cloud);
}
