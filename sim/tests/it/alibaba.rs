//! Alibaba's face.

mod control;
mod demo;
mod instances;
mod recovery;

use std::io::ErrorKind;
use std::net::TcpStream;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Utc};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha1::Sha1;
use sim::alibaba::{DOWNLOAD_ACCESS_KEY_ID, DOWNLOAD_SIGNATURE};
use sim::{
    Cloud, CrossRegionSet, Engine, Fault, FaultKind, Instance, IssuedKey, LocalSet, MetadataMode,
    NoRows, Scenario, Schedule, SessionToken, ThrottleHeader, Vendor,
};

use crate::client::{
    Answer, DAY, HOUR, Header, canonical_request, encode, exchange, exchange_with, joined, mac,
    message, nothing_unexpected, owned, seconds, set, sha256,
};

const KEY: &str = "LTAI5tSimulatedTestKey01";
const SECRET: &str = "SimulatedTestSecret000000000001";

/// A request in the making; fields are public to the tests, so that each can spoil what it is
/// about.
#[derive(Clone)]
struct Ask {
    method: &'static str,
    target: &'static str,
    operation: &'static str,
    version: &'static str,
    key: String,
    secret: String,
    token: Option<String>,
    date: DateTime<Utc>,
    nonce: String,
    query: Vec<(String, String)>,
    form: Vec<(String, String)>,
    /// Headers to leave out of the signature.
    unsigned: Vec<&'static str>,
    /// Body hash to state instead of the right one.
    hash: Option<String>,
}

/// What this vendor's answers hold.
trait Content {
    fn rows(&self) -> Vec<Value>;
    fn refusal(&self) -> (u16, String);
}

impl Content for Answer {
    fn rows(&self) -> Vec<Value> {
        let items = &self.json()["Items"];
        let names = ["Item", "DBInstance", "Backup"];
        let name = names.into_iter().find(|name| items[name].is_array());
        self.list(&items[name.unwrap_or_default()])
    }

    fn refusal(&self) -> (u16, String) {
        self.refused(&self.json()["Code"])
    }
}

fn minutes(time: DateTime<Utc>) -> String {
    time.format("%Y-%m-%dT%H:%MZ").to_string()
}

impl Ask {
    fn new(cloud: &Cloud, operation: &'static str, parameters: &[(&str, &str)]) -> Self {
        use std::sync::atomic::{AtomicU64, Ordering};
        static ATTEMPTS: AtomicU64 = AtomicU64::new(0);
        Self {
            method: "POST",
            target: "/",
            operation,
            version: "2014-08-15",
            key: KEY.to_owned(),
            secret: SECRET.to_owned(),
            token: None,
            date: cloud.clock().now(),
            nonce: format!("{:032x}", ATTEMPTS.fetch_add(1, Ordering::Relaxed)),
            query: owned(parameters),
            form: Vec::new(),
            unsigned: Vec::new(),
            hash: None,
        }
    }

    /// The copies of the last 40 days.
    fn copies(cloud: &Cloud, instance: &str) -> Self {
        let now = cloud.clock().now();
        let (from, to) = (seconds(now - DAY * 40), seconds(now));
        let fixed = [
            ("DBInstanceId", instance),
            ("RegionId", "cn-hangzhou"),
            ("StartTime", &from),
            ("EndTime", &to),
        ];
        Self::new(cloud, "DescribeCrossRegionBackups", &fixed)
    }

    /// All local backups.
    fn local(cloud: &Cloud, instance: &str) -> Self {
        Self::new(cloud, "DescribeBackups", &[("DBInstanceId", instance)])
    }

    /// The same with a parameter set, replaced, or removed if `value` is empty.
    fn with(mut self, name: &str, value: &str) -> Self {
        set(&mut self.query, name, value);
        self
    }

    fn bytes(&self, host: &str) -> Vec<u8> {
        let (query, body) = (joined(&self.query), joined(&self.form));
        let hash = self.hash.clone().unwrap_or_else(|| sha256(&body));
        let mut headers = vec![
            ("host", host.to_owned()),
            ("x-acs-action", self.operation.to_owned()),
            ("x-acs-content-sha256", hash.clone()),
            ("x-acs-date", seconds(self.date)),
            ("x-acs-signature-nonce", self.nonce.clone()),
            ("x-acs-version", self.version.to_owned()),
        ];
        if let Some(token) = &self.token {
            headers.push(("x-acs-accesskey-id", self.key.clone()));
            headers.push(("x-acs-security-token", token.clone()));
        }
        if !body.is_empty() {
            headers.push((
                "content-type",
                "application/x-www-form-urlencoded".to_owned(),
            ));
        }
        headers.sort();
        let (canonical, names) = canonical_request(
            [self.method, self.target, &query],
            &headers,
            &self.unsigned,
            &hash,
        );
        let to_sign = format!("ACS3-HMAC-SHA256\n{}", sha256(&canonical));
        let signature = hex::encode(mac(self.secret.as_bytes(), &to_sign));
        headers.push((
            "authorization",
            format!(
                "ACS3-HMAC-SHA256 Credential={},SignedHeaders={names},Signature={signature}",
                self.key
            ),
        ));
        let start = format!("{} {}?{query}", self.method, self.target);
        message(&start, &headers, &body)
    }

    /// Sends the request and reads until the cloud closes the connection.
    async fn send(self, cloud: &Cloud) -> Answer {
        self.try_send(cloud).await.expect("an answer")
    }

    /// `None` if the connection ends without an answer.
    async fn try_send(self, cloud: &Cloud) -> Option<Answer> {
        exchange(cloud, Vendor::Alibaba, move |host| self.bytes(host)).await
    }
}

/// A request without a signature in its headers.
async fn plain(
    cloud: &Cloud,
    start: &str,
    headers: &[(&'static str, &str)],
    form: &[(String, String)],
) -> Option<Answer> {
    let start = start.to_owned();
    let mut headers: Vec<Header> = headers
        .iter()
        .map(|(name, value)| (*name, (*value).to_owned()))
        .collect();
    let body = joined(form);
    if !body.is_empty() {
        let kind = "application/x-www-form-urlencoded";
        headers.push(("content-type", kind.to_owned()));
    }
    exchange(cloud, Vendor::Alibaba, move |host| {
        headers.insert(0, ("host", host.to_owned()));
        message(&start, &headers, &body)
    })
    .await
}

/// A cloud with one instance that is backed up daily and copied within an hour.
async fn cloud() -> Cloud {
    let cloud = Cloud::start(Scenario::empty()).await.unwrap();
    // Noon, so that no backup or copy comes into being while a test runs.
    cloud.clock().set("2026-06-15T12:00:00Z".parse().unwrap());
    cloud.add_instance(
        Instance::new("rm-1", "cn-hangzhou")
            .schedule(Schedule::every(DAY))
            .copied_to("cn-shanghai", HOUR),
    );
    cloud
}

#[tokio::test]
async fn an_ordinary_copy_looks_like_the_vendors_sample() {
    let cloud = cloud().await;
    let answer = Ask::copies(&cloud, "rm-1").send(&cloud).await;
    assert_eq!(answer.status, 200);
    assert!(answer.head.contains("content-type: application/json"));
    let json = answer.json();
    assert_eq!(
        (
            &json["TotalRecordCount"],
            &json["PageNumber"],
            &json["PageRecordCount"]
        ),
        (&json!(31), &json!(1), &json!(30))
    );
    let rows = answer.rows();
    assert_eq!(rows.len(), 30);
    let newest = &rows[0];
    assert_eq!(newest["BackupSetStatus"], 0);
    assert_eq!(newest["BackupType"], "F");
    assert_eq!(newest["CrossBackupRegion"], "cn-shanghai");
    assert_eq!(newest["Engine"], "mysql");
    assert_eq!(
        newest["RestoreRegions"],
        json!({ "RestoreRegion": ["cn-hangzhou", "cn-shanghai"] })
    );
    assert!(newest["CrossBackupId"].as_i64().unwrap() > i64::from(i32::MAX));
    assert!(
        newest["DBInstanceId"].is_null(),
        "the vendor does not name the instance"
    );
    let link = newest["CrossBackupDownloadLink"].as_str().unwrap();
    assert!(link.contains(DOWNLOAD_ACCESS_KEY_ID) && link.contains(DOWNLOAD_SIGNATURE));
    let starts: Vec<_> = rows
        .iter()
        .map(|row| row["BackupStartTime"].as_str().unwrap())
        .collect();
    assert!(starts.is_sorted_by(|newer, older| newer > older));
    for (earlier, later) in [
        ("BackupStartTime", "ConsistentTime"),
        ("ConsistentTime", "BackupEndTime"),
    ] {
        assert!(
            newest[earlier].as_str() < newest[later].as_str(),
            "{earlier} {later}"
        );
    }
    nothing_unexpected(&cloud);
}

#[tokio::test]
async fn an_ordinary_local_set_looks_like_the_vendors_sample() {
    let cloud = cloud().await;
    let answer = Ask::local(&cloud, "rm-1").send(&cloud).await;
    let json = answer.json();
    assert_eq!(
        (
            &json["TotalRecordCount"],
            &json["PageNumber"],
            &json["PageRecordCount"]
        ),
        (&json!("31"), &json!("1"), &json!("30"))
    );
    let newest = &answer.rows()[0];
    assert_eq!(newest["DBInstanceId"], "rm-1");
    assert_eq!(
        (&newest["BackupStatus"], &newest["BackupType"]),
        (&json!("Success"), &json!("FullBackup"))
    );
    assert_eq!(
        (
            &newest["ConsistentTime"],
            &newest["IsAvail"],
            &newest["Engine"]
        ),
        (&json!(0), &json!(1), &json!("MySQL"))
    );
    assert!(
        newest["BackupDownloadURL"]
            .as_str()
            .unwrap()
            .contains(DOWNLOAD_SIGNATURE)
    );

    cloud.add_instance(
        Instance::new("rm-56", "cn-hangzhou")
            .engine(Engine::MySql, "5.6")
            .schedule(Schedule::every(DAY)),
    );
    let old = Ask::local(&cloud, "rm-56").send(&cloud).await.rows()[0].clone();
    let start: DateTime<Utc> = old["BackupStartTime"].as_str().unwrap().parse().unwrap();
    assert!(old["ConsistentTime"].as_i64().unwrap() > start.timestamp());
}

#[tokio::test]
async fn sql_server_copies_have_neither_status_nor_consistent_time() {
    let cloud = cloud().await;
    let instance = Instance::new("rm-ms", "cn-hangzhou").engine(Engine::SqlServer, "2022_web");
    cloud.add_instance(
        instance
            .schedule(Schedule::every(DAY))
            .copied_to("cn-shenzhen", HOUR),
    );
    let answer = Ask::copies(&cloud, "rm-ms").send(&cloud).await;
    let row = &answer.rows()[0];
    assert_eq!(
        (&row["Engine"], &row["HasBackupTableMeta"]),
        (&json!("mssql"), &json!("1"))
    );
    assert!(row.get("BackupSetStatus").is_none() && row.get("ConsistentTime").is_none());
    assert_eq!(
        row["RestoreRegions"],
        json!({ "RestoreRegion": ["cn-shenzhen"] })
    );
    assert!(answer.json().get("StartTime").is_none());
}

#[tokio::test]
async fn get_and_post_and_forms_are_served() {
    let cloud = cloud().await;
    let mut get = Ask::local(&cloud, "rm-1");
    get.method = "GET";
    assert_eq!(get.send(&cloud).await.status, 200);
    let mut form = Ask::local(&cloud, "rm-1").with("PageSize", "50");
    form.form = std::mem::take(&mut form.query);
    assert_eq!(form.clone().send(&cloud).await.rows().len(), 31);
    form.nonce.push('f');
    form.hash = Some("0".repeat(64));
    assert_eq!(
        form.send(&cloud).await.refusal(),
        (400, "SignatureDoesNotMatch".to_owned())
    );
    assert_eq!(
        cloud.unexpected(),
        ["DescribeBackups: x-acs-content-sha256 is not the hash of the body"]
    );
}

#[tokio::test]
async fn a_token_is_checked_like_a_key() {
    let cloud = cloud().await;
    let token = SessionToken {
        value: "CAIS+golden/token==~* x".to_owned(),
        expires: Some(cloud.clock().now() + HOUR),
    };
    cloud.add_key("test", "STS.1", "temporary", Some(token.clone()));
    let ask = |sent: Option<&str>| {
        let mut ask = Ask::local(&cloud, "rm-1");
        (ask.key, ask.secret, ask.token) = (
            "STS.1".to_owned(),
            "temporary".to_owned(),
            sent.map(str::to_owned),
        );
        ask.send(&cloud)
    };
    assert_eq!(ask(Some(&token.value)).await.status, 200);
    assert_eq!(
        ask(None).await.refusal(),
        (400, "MissingSecurityToken".to_owned())
    );
    assert_eq!(
        ask(Some("other")).await.refusal(),
        (400, "InvalidSecurityToken.MismatchWithAccessKey".to_owned())
    );
    cloud.clock().advance(HOUR);
    assert_eq!(
        ask(Some(&token.value)).await.refusal(),
        (400, "InvalidSecurityToken.Expired".to_owned())
    );
    nothing_unexpected(&cloud);
}

#[tokio::test]
async fn a_key_can_be_rotated_and_disabled() {
    let cloud = cloud().await;
    assert!(cloud.set_secret(KEY, "new"));
    let old = Ask::local(&cloud, "rm-1").send(&cloud).await;
    assert_eq!(old.refusal(), (400, "SignatureDoesNotMatch".to_owned()));
    assert_eq!(
        cloud.unexpected(),
        Vec::<String>::new(),
        "an old secret is no mistake in signing"
    );
    let mut renewed = Ask::local(&cloud, "rm-1");
    renewed.secret = "new".to_owned();
    assert_eq!(renewed.clone().send(&cloud).await.status, 200);
    assert!(cloud.disable_key(KEY));
    renewed.nonce.push('2');
    assert_eq!(
        renewed.send(&cloud).await.refusal(),
        (400, "InvalidAccessKeyId.Inactive".to_owned())
    );
    assert!(!cloud.set_secret("no such key", "") && !cloud.disable_key("no such key"));
}

/// Requests that are refused before any operation, and whether the client is to blame.
#[tokio::test]
async fn who_cannot_be_authenticated_is_refused() {
    let cloud = cloud().await;
    let mut to_blame = 0;
    let mut rows: Vec<(Ask, u16, &str, bool)> = Vec::new();
    let mut row = |status, code, blamed, spoil: &dyn Fn(&mut Ask)| {
        let mut ask = Ask::local(&cloud, "rm-1");
        spoil(&mut ask);
        rows.push((ask, status, code, blamed));
    };
    row(404, "InvalidAccessKeyId.NotFound", false, &|ask| {
        ask.key = "LTAI5tNobody".to_owned();
    });
    row(400, "SignatureDoesNotMatch", true, &|ask| {
        ask.secret = "wrong".to_owned();
    });
    row(400, "IncompleteSignature", true, &|ask| {
        ask.unsigned = vec!["host"];
    });
    row(400, "IncompleteSignature", true, &|ask| {
        ask.unsigned = vec!["x-acs-signature-nonce"];
    });
    row(400, "InvalidTimeStamp.Expired", false, &|ask| {
        ask.date -= Duration::from_secs(960);
    });
    row(400, "InvalidTimeStamp.Expired", false, &|ask| {
        ask.date += Duration::from_secs(960);
    });
    row(400, "NoSuchVersion", true, &|ask| {
        ask.version = "2015-01-01";
    });
    row(404, "InvalidApi.NotFound", true, &|ask| {
        ask.operation = "describebackups";
    });
    row(404, "InvalidApi.NotFound", true, &|ask| ask.target = "/rds");
    row(404, "InvalidApi.NotFound", true, &|ask| ask.method = "PUT");
    for (ask, status, code, blamed) in rows {
        let answer = ask.send(&cloud).await;
        assert_eq!(answer.refusal(), (status, code.to_owned()));
        to_blame += usize::from(blamed);
        assert_eq!(
            cloud.unexpected().len(),
            to_blame,
            "{code}: {:?}",
            cloud.unexpected()
        );
        assert!(!answer.json()["RequestId"].as_str().unwrap().is_empty());
        if code == "SignatureDoesNotMatch" {
            assert!(
                answer.json()["Message"]
                    .as_str()
                    .unwrap()
                    .contains("server string to sign is:ACS3-HMAC-SHA256\n")
            );
        }
    }
    let valid: Vec<_> = cloud
        .requests()
        .iter()
        .map(|request| request.signature_valid)
        .collect();
    assert!(valid.iter().all(|valid| !valid));
}

#[tokio::test]
async fn a_nonce_serves_once() {
    let cloud = cloud().await;
    let ask = Ask::local(&cloud, "rm-1");
    assert_eq!(ask.clone().send(&cloud).await.status, 200);
    assert_eq!(
        ask.clone().send(&cloud).await.refusal(),
        (400, "SignatureNonceUsed".to_owned())
    );
    assert_eq!(
        cloud.unexpected(),
        [format!("DescribeBackups: nonce {:?}", ask.nonce)]
    );
}

/// Parameters that the pages forbid: the client is to blame.
#[tokio::test]
async fn parameters_follow_the_pages() {
    let cloud = cloud().await;
    let now = cloud.clock().now();
    let copies = |name: &str, value: &str| Ask::copies(&cloud, "rm-1").with(name, value);
    let local = |name: &str, value: &str| Ask::local(&cloud, "rm-1").with(name, value);
    let long_ago = seconds(now - DAY * 50);
    let refused = [
        (copies("DBInstanceId", ""), 400, "MissingParameter"),
        (copies("RegionId", ""), 400, "MissingParameter"),
        (local("DBInstanceId", ""), 400, "MissingParameter"),
        (copies("EndTime", ""), 400, "ParameterAbsence"),
        (copies("PageSize", "20"), 400, "InvalidParameters.Format"),
        (
            local("PageSize", "20"),
            403,
            "InvalidMaxRecordsPerPage.Malformed",
        ),
        (
            local("PageNumber", "0"),
            400,
            "InvalidPageNumbers.Malformed",
        ),
        (
            local("StartTime", &seconds(now)),
            400,
            "InvalidStartTime.Format",
        ),
        (copies("EndTime", "yesterday"), 400, "InvalidEndTime.Format"),
        (
            copies("EndTime", &long_ago),
            400,
            "InvalidParameterCombination",
        ),
    ];
    for (number, (ask, status, code)) in refused.into_iter().enumerate() {
        assert_eq!(ask.send(&cloud).await.refusal(), (status, code.to_owned()));
        assert_eq!(
            cloud.unexpected().len(),
            number + 1,
            "{code}: {:?}",
            cloud.unexpected()
        );
    }
    assert!(
        cloud
            .requests()
            .iter()
            .all(|request| request.signature_valid)
    );
}

/// What is not there, or not for this account: nobody is to blame.
#[tokio::test]
async fn what_does_not_exist_is_said_in_the_words_of_the_operation() {
    let cloud = cloud().await;
    let mut unsupported = Instance::new("rm-maria", "cn-hangzhou").engine(Engine::MariaDb, "10.3");
    unsupported.cross_region_unsupported = true;
    cloud.add_instance(unsupported);
    cloud.add_key("stranger", "LTAI5tStranger", "s", None);
    let copies = |name: &str, value: &str| Ask::copies(&cloud, "rm-1").with(name, value);
    let local = |name: &str, value: &str| Ask::local(&cloud, "rm-1").with(name, value);
    let mut stranger = Ask::local(&cloud, "rm-1");
    (stranger.key, stranger.secret) = ("LTAI5tStranger".to_owned(), "s".to_owned());
    let refused = [
        (copies("PageNumber", "3"), 404, "InvalidPage.notFound"),
        (
            copies("DBInstanceId", "rm-none"),
            404,
            "InvalidDBInstance.NotFound",
        ),
        (
            copies("RegionId", "cn-beijing"),
            404,
            "InvalidDBInstance.NotFound",
        ),
        (
            local("DBInstanceId", "rm-none"),
            404,
            "InvalidDBInstanceName.NotFound",
        ),
        (
            local("RegionId", "cn-beijing"),
            404,
            "InvalidDBInstanceName.NotFound",
        ),
        (stranger, 404, "InvalidDBInstanceName.NotFound"),
        (
            copies("DBInstanceId", "rm-maria"),
            403,
            "CrossBackupNotSupport",
        ),
    ];
    for (ask, status, code) in refused {
        assert_eq!(ask.send(&cloud).await.refusal(), (status, code.to_owned()));
    }
    assert_eq!(
        local("RegionId", "cn-hangzhou").send(&cloud).await.status,
        200
    );
    assert_eq!(local("PageNumber", "9").send(&cloud).await.rows().len(), 0);
    nothing_unexpected(&cloud);
}

#[tokio::test]
async fn pages_follow_each_other_without_gap() {
    let cloud = cloud().await;
    let hourly = Instance::new("rm-hourly", "cn-hangzhou").schedule(Schedule::every(HOUR));
    cloud.add_instance(hourly.copied_to("cn-shanghai", Duration::ZERO));
    let mut ids = std::collections::BTreeSet::new();
    let mut sizes = Vec::new();
    for page in 1..=8 {
        let ask = Ask::copies(&cloud, "rm-hourly")
            .with("PageSize", "100")
            .with("PageNumber", &page.to_string());
        let rows = ask.send(&cloud).await.rows();
        sizes.push(rows.len());
        ids.extend(
            rows.iter()
                .map(|row| row["CrossBackupId"].as_i64().unwrap()),
        );
    }
    assert_eq!(sizes, [100, 100, 100, 100, 100, 100, 100, 44]);
    assert_eq!(ids.len(), 744, "31 days of hours");
}

#[tokio::test]
async fn filters_are_honoured() {
    let cloud = cloud().await;
    let mut twofold = Instance::new("rm-2", "cn-hangzhou")
        .copied_to("cn-shanghai", HOUR)
        .copied_to("cn-beijing", HOUR);
    twofold.schedule = Some(Schedule {
        full_every: 31,
        ..Schedule::every(DAY)
    });
    cloud.add_instance(twofold);
    let now = cloud.clock().now();
    cloud.fail_backup("rm-2", now);
    let count = async |ask: Ask| ask.with("PageSize", "100").send(&cloud).await.rows().len();
    let (copies, local) = (
        || Ask::copies(&cloud, "rm-2"),
        || Ask::local(&cloud, "rm-2"),
    );
    assert_eq!(count(copies()).await, 60);
    assert_eq!(
        count(copies().with("CrossBackupRegion", "cn-beijing")).await,
        30
    );
    assert_eq!(count(local()).await, 31);
    assert_eq!(count(local().with("BackupStatus", "Failed")).await, 1);
    assert_eq!(count(local().with("BackupStatus", "Success")).await, 30);
    assert_eq!(count(local().with("BackupType", "FullBackup")).await, 1);
    assert_eq!(count(local().with("BackupMode", "Manual")).await, 0);
    let three_days = (minutes(now - DAY * 3), minutes(now));
    assert_eq!(
        count(
            local()
                .with("StartTime", &three_days.0)
                .with("EndTime", &three_days.1)
        )
        .await,
        3
    );
    assert_eq!(
        count(
            copies()
                .with("StartTime", &three_days.0)
                .with("EndTime", &three_days.1)
        )
        .await,
        4
    );

    let one = copies().send(&cloud).await.rows()[0]["CrossBackupId"].to_string();
    assert_eq!(
        count(
            copies()
                .with("CrossBackupId", &one)
                .with("StartTime", "")
                .with("EndTime", "")
        )
        .await,
        1
    );
    let local_id = local().send(&cloud).await.rows()[1]["BackupId"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_eq!(
        count(copies().with("BackupId", &local_id)).await,
        2,
        "one in each destination"
    );
    assert_eq!(count(local().with("BackupId", &local_id)).await, 1);
}

#[tokio::test]
async fn sets_come_into_being_as_the_clock_moves() {
    let cloud = cloud().await;
    let newest = async |ask: Ask| {
        ask.send(&cloud).await.rows()[0]["BackupStartTime"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    let local = newest(Ask::local(&cloud, "rm-1")).await;
    assert_eq!(newest(Ask::copies(&cloud, "rm-1")).await, local);
    let midnight: DateTime<Utc> = "2026-06-16T00:00:00Z".parse().unwrap();
    cloud.clock().set(midnight + Duration::from_secs(2700));
    let next = newest(Ask::local(&cloud, "rm-1")).await;
    assert!(next > local);
    assert_eq!(
        newest(Ask::copies(&cloud, "rm-1")).await,
        local,
        "the copy takes an hour"
    );
    cloud.clock().advance(HOUR);
    assert_eq!(newest(Ask::copies(&cloud, "rm-1")).await, next);

    assert!(cloud.stop_copies("rm-1"));
    cloud.clock().advance(DAY);
    assert_eq!(newest(Ask::copies(&cloud, "rm-1")).await, next);
    assert!(newest(Ask::local(&cloud, "rm-1")).await > next);
    assert!(cloud.resume_copies("rm-1"));
    cloud.clock().advance(DAY);
    assert!(newest(Ask::copies(&cloud, "rm-1")).await > next);
    assert!(cloud.remove_instance("rm-1"));
    assert_eq!(Ask::local(&cloud, "rm-1").send(&cloud).await.status, 404);
    assert!(
        !cloud.stop_copies("rm-1")
            && !cloud.resume_copies("rm-1")
            && !cloud.fail_backup("rm-1", midnight)
    );
}

#[tokio::test]
async fn any_odd_row_can_be_stated() {
    let cloud = cloud().await;
    let now = cloud.clock().now();
    cloud.add_instance(Instance::new("rm-odd", "cn-hangzhou"));
    cloud.add_cross_region_set(
        "rm-odd",
        CrossRegionSet::completed("cn-shanghai", now - HOUR, now),
    );
    let odd = CrossRegionSet {
        id: json!(0),
        status: None,
        start: "2026-06-15T03:00Z".to_owned(),
        end: String::new(),
        size: json!("12"),
        restore_regions: json!({ "RestoreRegion": ["\"cn-hangzhou\", \"cn-shanghai\""] }),
        extra: [("InstanceId".to_owned(), json!("8161055"))]
            .into_iter()
            .collect(),
        ..CrossRegionSet::default()
    };
    cloud.add_cross_region_set("rm-odd", odd);
    let future = CrossRegionSet {
        in_every_range: true,
        ..CrossRegionSet::completed("cn-shanghai", now + DAY, now + DAY * 2)
    };
    cloud.add_cross_region_set("rm-odd", future);
    let rows = Ask::copies(&cloud, "rm-odd").send(&cloud).await.rows();
    assert_eq!(rows.len(), 3);
    assert_eq!(rows[0]["BackupStartTime"], seconds(now + DAY));
    assert!(
        rows[1]["CrossBackupId"].as_i64().unwrap() > 0,
        "the cloud has chosen an id"
    );
    let odd = &rows[2];
    assert_eq!(
        (
            &odd["CrossBackupId"],
            &odd["CrossBackupSetSize"],
            &odd["BackupEndTime"]
        ),
        (&json!(0), &json!("12"), &json!(""))
    );
    assert!(odd.get("BackupSetStatus").is_none() && odd["InstanceId"] == "8161055");

    let later = LocalSet {
        listed_from: Some(now + HOUR),
        id: json!("a"),
        ..LocalSet::completed(now - HOUR, now)
    };
    cloud.add_local_set("rm-odd", later);
    let foreign = LocalSet {
        id: json!(5),
        status: Some(json!("Archiving")),
        instance_id: Some("rm-1".to_owned()),
        start: "soon".to_owned(),
        expires: Some(json!("")),
        ..LocalSet::default()
    };
    cloud.add_local_set("rm-odd", foreign);
    assert!(!cloud.add_local_set("rm-none", LocalSet::default()));
    assert!(!cloud.add_cross_region_set("rm-none", CrossRegionSet::default()));
    let rows = Ask::local(&cloud, "rm-odd").send(&cloud).await.rows();
    assert_eq!(rows.len(), 1);
    assert_eq!(
        (&rows[0]["BackupStatus"], &rows[0]["DBInstanceId"]),
        (&json!("Archiving"), &json!("rm-1"))
    );
    assert_eq!(
        (&rows[0]["BackupStartTime"], &rows[0]["ExpectExpireTime"]),
        (&json!("soon"), &json!(""))
    );
    cloud.clock().advance(HOUR);
    assert_eq!(
        Ask::local(&cloud, "rm-odd").send(&cloud).await.rows().len(),
        2
    );

    assert!(
        cloud.fail_backup("rm-odd", now),
        "without a schedule a failed set is stated"
    );
    let failed = Ask::local(&cloud, "rm-odd")
        .with("BackupStatus", "Failed")
        .send(&cloud)
        .await
        .rows();
    assert_eq!(
        (failed.len(), &failed[0]["MetaStatus"]),
        (1, &json!("EMPTY"))
    );
}

#[tokio::test]
async fn throttling_says_how_long_to_wait_where_it_is_told_to() {
    let cloud = cloud().await;
    let limits = "Limit:1,Remain:0,TimeLeft:2000,Reset:1234";
    let check = async |header: ThrottleHeader, expected: Option<String>| {
        let kind = FaultKind::Throttle {
            retry_after: Some(Duration::from_secs(2)),
            header,
        };
        cloud.inject(Fault::new(kind).operation("DescribeBackups").times(1));
        let answer = Ask::local(&cloud, "rm-1").send(&cloud).await;
        assert_eq!(answer.refusal(), (400, "Throttling.User".to_owned()));
        let told = answer
            .head
            .lines()
            .find(|line| line.starts_with("x-acs-retry") || line.starts_with("x-ratelimit"));
        assert_eq!(told.map(str::to_owned), expected);
        assert_eq!(
            Ask::local(&cloud, "rm-1").send(&cloud).await.status,
            200,
            "once was asked for"
        );
    };
    check(
        ThrottleHeader::RetryAfterMillis,
        Some("x-acs-retry-after: 2000".to_owned()),
    )
    .await;
    check(
        ThrottleHeader::RateLimitUser,
        Some(format!("x-ratelimit-user: {limits}")),
    )
    .await;
    check(
        ThrottleHeader::RateLimitUserApi,
        Some(format!("x-ratelimit-user-api: {limits}")),
    )
    .await;
    check(ThrottleHeader::None, None).await;
}

/// The answer to a request for page 2 that the fault concerns; `None` if there is none.
async fn with_fault(cloud: &Cloud, kind: FaultKind) -> Option<Answer> {
    let fault = Fault::new(kind)
        .operation("DescribeCrossRegionBackups")
        .instance("rm-1");
    cloud.inject(fault.region("cn-hangzhou").access_key(KEY).times(1));
    Ask::copies(cloud, "rm-1")
        .with("PageNumber", "2")
        .try_send(cloud)
        .await
}

#[tokio::test]
async fn faults_that_replace_the_answer_show_on_the_wire() {
    let cloud = cloud().await;
    let answered = async |kind: FaultKind| with_fault(&cloud, kind).await.expect("an answer");
    let (code, message) = ("Teapot".to_owned(), "Short and stout.".to_owned());
    let error = answered(FaultKind::Error {
        status: 418,
        code,
        message,
    })
    .await;
    assert_eq!(error.refusal(), (418, "Teapot".to_owned()));
    assert_eq!(error.json()["Message"], "Short and stout.");
    assert_eq!(
        answered(FaultKind::ServerErrorJson).await.refusal(),
        (500, "InternalError".to_owned())
    );
    let xml = answered(FaultKind::ServerErrorXml).await;
    assert!(xml.status == 503 && xml.head.contains("content-type: text/xml;charset=utf-8"));
    assert!(xml.body.contains("<Code>ServiceUnavailable</Code>"));
    let html = answered(FaultKind::ServerErrorHtml).await;
    assert!(html.status == 503 && html.body.starts_with("<html>"));
    let in_200 = answered(FaultKind::ErrorIn200 {
        code: "InternalFailure".to_owned(),
    })
    .await;
    assert_eq!(in_200.refusal(), (200, "InternalFailure".to_owned()));
    let expired = answered(FaultKind::ExpiredToken).await;
    assert_eq!(
        expired.refusal(),
        (400, "InvalidSecurityToken.Expired".to_owned())
    );
    let (code, message) = ("Throttling".to_owned(), "Slowly.".to_owned());
    let status = 400;
    let bare = answered(FaultKind::BareError {
        status,
        code,
        message,
    })
    .await;
    assert_eq!(
        (&bare.json()["code"], &bare.json()["message"]),
        (&json!("Throttling"), &json!("Slowly."))
    );
    let portal = answered(FaultKind::Html200).await;
    assert!(portal.status == 200 && portal.body.starts_with("<!DOCTYPE html>"));
    assert_eq!(answered(FaultKind::EmptyObject).await.body, "{}");
    assert_eq!(answered(FaultKind::Null).await.body, "null");
    let redirect = answered(FaultKind::Redirect("http://127.0.0.1:9/".to_owned())).await;
    assert!(redirect.status == 302 && redirect.head.contains("location: http://127.0.0.1:9/"));
    let huge = answered(FaultKind::HugeBody(1 << 20)).await;
    assert!(huge.whole && huge.body.len() > 1 << 20);
    assert!(with_fault(&cloud, FaultKind::Reset).await.is_none());
    let (code, message) = (String::new(), String::new());
    let impossible = answered(FaultKind::Error {
        status: 42,
        code,
        message,
    })
    .await;
    assert_eq!(impossible.status, 501);

    let requests = cloud.requests();
    assert_eq!(requests[0].verdict.code.as_deref(), Some("Teapot"));
    let unanswered = requests
        .iter()
        .filter(|request| request.verdict.status.is_none());
    assert_eq!(unanswered.count(), 1, "only the reset");
    assert!(requests.iter().all(|request| request.signature_valid));
    nothing_unexpected(&cloud);
}

#[tokio::test]
async fn faults_that_spoil_the_answer_show_on_the_wire() {
    let cloud = cloud().await;
    let first_page = Ask::copies(&cloud, "rm-1").send(&cloud).await;
    let answered = async |kind: FaultKind| with_fault(&cloud, kind).await.expect("an answer");
    let half_json = answered(FaultKind::TruncatedJson).await;
    assert!(half_json.whole && serde_json::from_str::<Value>(&half_json.body).is_err());
    let truncated = answered(FaultKind::Truncated).await;
    assert!(!truncated.whole && truncated.status == 200 && truncated.body.starts_with('{'));
    assert_eq!(
        answered(FaultKind::WrongTotal(7)).await.json()["TotalRecordCount"],
        7
    );
    assert_eq!(
        answered(FaultKind::TotalAsString).await.json()["TotalRecordCount"],
        "31"
    );
    let looped = answered(FaultKind::PageLoop).await;
    assert_eq!(looped.json()["PageNumber"], 1);
    let ids = |answer: &Answer| {
        answer
            .rows()
            .iter()
            .map(|row| row["CrossBackupId"].clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(ids(&looped), ids(&first_page));
    assert_eq!(
        cloud.requests()[5].params["PageNumber"],
        "2",
        "the journal has what was asked"
    );
    assert_eq!(
        answered(FaultKind::Slow(Duration::from_millis(1)))
            .await
            .rows()
            .len(),
        1
    );

    let grown = answered(FaultKind::GrowingTotal).await;
    assert_eq!(grown.json()["TotalRecordCount"], 32);
    let repeated = answered(FaultKind::RepeatedRow).await;
    assert_eq!(ids(&repeated)[0], ids(&first_page)[29]);
    assert_eq!(repeated.rows().len(), 2);
    let items = async |shape: NoRows| {
        let empty = answered(FaultKind::NoRows(shape)).await.json();
        assert_eq!(empty["TotalRecordCount"], 0);
        empty.get("Items").cloned()
    };
    assert_eq!(items(NoRows::NullList).await, Some(json!({ "Item": null })));
    assert_eq!(items(NoRows::NoList).await, Some(json!({})));
    assert_eq!(items(NoRows::NullResult).await, Some(Value::Null));
    assert_eq!(items(NoRows::NoResult).await, None);

    cloud.inject(Fault::new(FaultKind::Null));
    cloud.clear_faults();
    assert_eq!(Ask::copies(&cloud, "rm-1").send(&cloud).await.status, 200);
    nothing_unexpected(&cloud);
}

#[tokio::test]
async fn a_hanging_request_is_seen_and_ends_with_the_cloud() {
    let cloud = cloud().await;
    cloud.inject(Fault::new(FaultKind::Hang));
    let ask = Ask::local(&cloud, "rm-1");
    let (answer, ()) = tokio::join!(ask.try_send(&cloud), async {
        cloud.wait_for_requests(1).await;
        cloud.stop().await;
    });
    assert!(answer.is_none());
    let address = cloud.url();
    assert!(
        TcpStream::connect(address.strip_prefix("http://").unwrap()).is_err(),
        "nobody listens any more"
    );
}

#[tokio::test]
async fn an_account_can_be_limited_and_forbidden() {
    let cloud = cloud().await;
    cloud.set_rate_limit("test", Some(2));
    for expected in [200, 200, 400] {
        assert_eq!(
            Ask::local(&cloud, "rm-1").send(&cloud).await.status,
            expected
        );
    }
    assert_eq!(
        Ask::copies(&cloud, "rm-1").send(&cloud).await.status,
        200,
        "each operation has its own limit"
    );
    cloud.clock().advance(Duration::from_secs(60));
    assert_eq!(Ask::local(&cloud, "rm-1").send(&cloud).await.status, 200);
    cloud.set_rate_limit("test", None);
    cloud.deny("test", "DescribeBackups");
    let denied = Ask::local(&cloud, "rm-1").send(&cloud).await;
    assert_eq!(denied.refusal(), (403, "Forbidden.RAM".to_owned()));
    assert_eq!(
        denied.json()["AccessDeniedDetail"]["AuthAction"],
        "rds:DescribeBackups"
    );
    cloud.allow("test", "DescribeBackups");
    assert_eq!(Ask::local(&cloud, "rm-1").send(&cloud).await.status, 200);
}

#[tokio::test]
async fn the_journal_tells_what_was_asked() {
    let cloud = cloud().await;
    Ask::copies(&cloud, "rm-1").send(&cloud).await;
    Ask::local(&cloud, "rm-none").send(&cloud).await;
    cloud.wait_for_requests(2).await;
    assert_eq!(
        (
            cloud.request_count("DescribeBackups"),
            cloud.request_count("Other")
        ),
        (1, 0)
    );
    let requests = cloud.requests();
    assert_eq!(
        (
            requests[0].region.as_deref(),
            requests[0].instance.as_deref()
        ),
        (Some("cn-hangzhou"), Some("rm-1"))
    );
    assert_eq!(
        (
            requests[0].access_key_id.as_deref(),
            requests[0].method.as_str()
        ),
        (Some(KEY), "POST")
    );
    assert_eq!(
        (
            requests[1].verdict.status,
            requests[1].verdict.code.as_deref()
        ),
        (Some(404), Some("InvalidDBInstanceName.NotFound"))
    );
    Ask::local(&cloud, "").send(&cloud).await;
    cloud.clear_requests();
    assert!(cloud.requests().is_empty() && cloud.request_count("DescribeBackups") == 0);
    assert_eq!(
        cloud.unexpected(),
        ["DescribeBackups: DBInstanceId is missing"],
        "it stays"
    );
}

#[tokio::test]
async fn xml_is_answered_to_who_asks_for_it() {
    let cloud = cloud().await;
    let answer = Ask::local(&cloud, "rm-1")
        .with("Format", "XML")
        .send(&cloud)
        .await;
    assert!(answer.head.contains("content-type: text/xml;charset=utf-8"));
    assert!(
        answer.body.contains("<DescribeBackupsResponse>")
            && answer.body.contains("<Items><Backup>")
    );
    let error = Ask::local(&cloud, "rm-none")
        .with("Format", "XML")
        .send(&cloud)
        .await;
    assert!(
        error.status == 404
            && error.body.contains("<Error>")
            && error
                .body
                .contains("<Code>InvalidDBInstanceName.NotFound</Code>")
    );
}

#[tokio::test]
async fn only_loopback_addresses_are_served() {
    for address in ["0.0.0.0:0", "192.0.2.1:0"] {
        let refused = Cloud::start_on(Scenario::empty(), address.parse().unwrap()).await;
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::InvalidInput);
    }
}

/// Whoever runs a scenario sees what its description promises.
#[tokio::test]
async fn built_in_scenarios_do_what_they_say() {
    let answers = async |name: &str, instance: &str| {
        let scenario = Scenario::named(name).unwrap();
        let account = scenario.accounts[0].clone();
        let cloud = Cloud::start(scenario).await.unwrap();
        let signed = |mut ask: Ask| {
            (ask.key, ask.secret) = (
                account.access_key_id.clone(),
                account.access_key_secret.clone(),
            );
            ask
        };
        let local = signed(Ask::local(&cloud, instance)).send(&cloud).await;
        let copies = signed(Ask::copies(&cloud, instance)).send(&cloud).await;
        nothing_unexpected(&cloud);
        (local, copies)
    };
    let orders = "rm-uf6wjk5orders0001";
    let newest = |answer: &Answer| {
        answer.rows()[0]["BackupStartTime"]
            .as_str()
            .unwrap()
            .parse::<DateTime<Utc>>()
            .unwrap()
    };

    let (local, copies) = answers("healthy", orders).await;
    assert!(newest(&local) - newest(&copies) < chrono::TimeDelta::hours(25));
    let (local, copies) = answers("failed-night", orders).await;
    assert_eq!(local.rows()[0]["BackupStatus"], "Failed");
    assert!(newest(&copies) < newest(&local));
    let (local, copies) = answers("copy-lag", orders).await;
    assert!(newest(&local) - newest(&copies) >= chrono::TimeDelta::hours(23));
    let (local, copies) = answers("never-backed-up", "rm-uf6wjk5newborn001").await;
    assert!(local.rows().is_empty() && copies.rows().is_empty());
    let (_, copies) = answers("throttled", orders).await;
    assert!(copies.status == 400 && copies.head.contains("x-acs-retry-after: 2000"));
    let (local, copies) = answers("truncated", orders).await;
    assert!(local.whole && !copies.whole);
    let (local, copies) = answers("demo", "rm-uf6sessions00001").await;
    let present = local.rows()[0]["BackupEndTime"]
        .as_str()
        .unwrap()
        .parse::<DateTime<Utc>>()
        .unwrap();
    assert!(present - newest(&copies) < chrono::TimeDelta::minutes(4));
    assert_eq!(local.rows().len(), 30);
}

/// A request to the token service in the style that signs its parameters.
fn signed_parameters(
    cloud: &Cloud,
    method: &str,
    secret: &str,
    nonce: &str,
    parameters: &[(&str, &str)],
) -> Vec<(String, String)> {
    let now = seconds(cloud.clock().now());
    let fixed = [
        ("AccessKeyId", KEY),
        ("Format", "json"),
        ("SignatureMethod", "HMAC-SHA1"),
        ("SignatureNonce", nonce),
        ("SignatureVersion", "1.0"),
        ("Timestamp", &now),
        ("Version", "2015-04-01"),
    ];
    let mut pairs: Vec<_> = fixed
        .iter()
        .filter(|(name, _)| parameters.iter().all(|(given, _)| given != name))
        .chain(parameters)
        .filter(|(_, value)| !value.is_empty())
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    let to_sign = format!("{method}&%2F&{}", encode(&joined(&pairs)));
    let mut mac = Hmac::<Sha1>::new_from_slice(format!("{secret}&").as_bytes()).unwrap();
    mac.update(to_sign.as_bytes());
    let signature = STANDARD.encode(mac.finalize().into_bytes());
    pairs.push(("Signature".to_owned(), signature));
    pairs
}

/// Whether the listing accepts a temporary key.
async fn listing_status(cloud: &Cloud, key: &IssuedKey) -> (u16, String) {
    let mut ask = Ask::local(cloud, "rm-1");
    (ask.key, ask.secret) = (key.access_key_id.clone(), key.secret.clone());
    ask.token = Some(key.token.clone());
    ask.send(cloud).await.refusal()
}

#[tokio::test]
async fn a_role_can_be_assumed_with_either_signature() {
    let cloud = cloud().await;
    let arn = cloud.add_role("test", "reader").unwrap();
    assert_eq!(cloud.add_role("nobody", "reader"), None);
    let role = [
        ("Action", "AssumeRole"),
        ("RoleArn", arn.as_str()),
        ("RoleSessionName", "backup-exporter"),
        ("DurationSeconds", "900"),
    ];
    let pairs = signed_parameters(&cloud, "GET", SECRET, "1", &role);
    let start = format!("GET /?{}", joined(&pairs));
    let answer = plain(&cloud, &start, &[], &[]).await.unwrap();
    let credentials = answer.json()["Credentials"].clone();
    let key = cloud.issued_keys(Vendor::Alibaba).remove(0);
    assert_eq!(
        credentials,
        json!({
            "AccessKeyId": key.access_key_id,
            "AccessKeySecret": key.secret,
            "SecurityToken": key.token,
            "Expiration": seconds(key.expires),
        })
    );
    assert_eq!((key.expires - key.issued).num_seconds(), 900);
    assert!(key.access_key_id.starts_with("STS."));
    assert_eq!(listing_status(&cloud, &key).await.0, 200);
    cloud.clock().advance(Duration::from_secs(900));
    let expired = (400, "InvalidSecurityToken.Expired".to_owned());
    assert_eq!(listing_status(&cloud, &key).await, expired);

    let ask = || Ask {
        version: "2015-04-01",
        ..Ask::new(&cloud, "AssumeRole", &role[1..])
    };
    assert_eq!(ask().send(&cloud).await.status, 200);
    assert!(cloud.set_key_lifetime(Vendor::Alibaba, "reader", Some(HOUR / 60)));
    ask().send(&cloud).await;
    let key = cloud.issued_keys(Vendor::Alibaba).remove(2);
    assert_eq!((key.expires - key.issued).num_seconds(), 60);
    let request = cloud.requests().remove(0);
    assert_eq!(
        (request.operation.as_str(), request.nonce.as_deref()),
        ("AssumeRole", Some("1"))
    );
    assert_eq!(request.access_key_id.as_deref(), Some(KEY));
    cloud.deny("test", "AssumeRole");
    assert_eq!(ask().send(&cloud).await.refusal().1, "NoPermission");
    cloud.allow("test", "AssumeRole");
    assert!(cloud.remove_role(Vendor::Alibaba, "reader"));
    assert_eq!(
        ask().send(&cloud).await.refusal(),
        (404, "EntityNotExist.Role".to_owned())
    );
    nothing_unexpected(&cloud);
}

#[tokio::test]
async fn signed_parameters_are_checked() {
    let cloud = cloud().await;
    let arn = cloud.add_role("test", "reader").unwrap();
    let mut to_blame = 0;
    let mut check = async |nonce: &str, secret: &str, spoilt: (&str, &str), code: &str, blamed| {
        let mut role = vec![
            ("Action", "AssumeRole"),
            ("RoleArn", arn.as_str()),
            ("RoleSessionName", "exporter"),
        ];
        role.retain(|(name, _)| *name != spoilt.0);
        role.push(spoilt);
        let pairs = signed_parameters(&cloud, "GET", secret, nonce, &role);
        let start = format!("GET /?{}", joined(&pairs));
        let answer = plain(&cloud, &start, &[], &[]).await.unwrap();
        if spoilt.0 != "Format" {
            assert_eq!(answer.refusal().1, code, "{spoilt:?}: {}", answer.body);
        }
        to_blame += usize::from(blamed);
        assert_eq!(
            cloud.unexpected().len(),
            to_blame,
            "{:?}",
            cloud.unexpected()
        );
        answer
    };
    let nothing = ("Policy", "");
    check("1", SECRET, nothing, "", false).await;
    check("1", SECRET, nothing, "SignatureNonceUsed", true).await;
    check("2", "wrong", nothing, "SignatureDoesNotMatch", true).await;
    check(
        "3",
        SECRET,
        ("AccessKeyId", "LTAI5tNobody"),
        "InvalidAccessKeyId.NotFound",
        false,
    )
    .await;
    check(
        "4",
        SECRET,
        ("Timestamp", "2026-06-15T11:00:00Z"),
        "InvalidTimeStamp.Expired",
        false,
    )
    .await;
    check(
        "5",
        SECRET,
        ("Version", "2014-08-15"),
        "NoSuchVersion",
        true,
    )
    .await;
    check(
        "6",
        SECRET,
        ("SignatureMethod", "HMAC-SHA256"),
        "IncompleteSignature",
        true,
    )
    .await;
    check(
        "7",
        SECRET,
        ("RoleSessionName", "a b"),
        "InvalidParameter.RoleSessionName",
        true,
    )
    .await;
    check(
        "8",
        SECRET,
        ("DurationSeconds", "60"),
        "InvalidParameter.DurationSeconds",
        true,
    )
    .await;
    check(
        "9",
        SECRET,
        ("RoleArn", "acs:ram::1:role/reader"),
        "EntityNotExist.Role",
        false,
    )
    .await;
    check("10", SECRET, ("RoleArn", ""), "MissingParameter", true).await;
    check(
        "11",
        SECRET,
        ("Colour", "blue"),
        "InvalidParameter.Colour",
        true,
    )
    .await;
    let xml = check("12", SECRET, ("Format", ""), "", false).await;
    assert!(
        xml.body.contains("<AssumeRoleResponse>"),
        "XML is what it answers unasked"
    );
}

#[tokio::test]
async fn a_role_can_be_assumed_with_somebody_elses_token() {
    let cloud = cloud().await;
    let arn = cloud.add_role("test", "reader").unwrap();
    assert!(cloud.set_oidc_tokens(Vendor::Alibaba, "reader", &["first.jwt"]));
    let start = "POST /?Action=AssumeRoleWithOIDC&Format=JSON&Version=2015-04-01&Timestamp=2026-06-15T12%3A00%3A00Z";
    let form = |token: &str| {
        [
            ("RoleArn", arn.as_str()),
            (
                "OIDCProviderArn",
                "acs:ram::1234567890123456:oidc-provider/ack-rrsa",
            ),
            ("OIDCToken", token),
            ("RoleSessionName", "exporter"),
            ("DurationSeconds", "3600"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
    };
    let ask = async |token: &str| plain(&cloud, start, &[], &form(token)).await.unwrap();
    let answer = ask("first.jwt").await;
    let key = cloud.issued_keys(Vendor::Alibaba).remove(0);
    assert_eq!(key.operation, "AssumeRoleWithOIDC");
    let expiration = &answer.json()["Credentials"]["Expiration"];
    assert_eq!(*expiration, seconds(key.expires));
    assert_eq!(listing_status(&cloud, &key).await.0, 200);
    assert!(cloud.set_oidc_tokens(Vendor::Alibaba, "reader", &["second.jwt"]));
    let code = async |token: &str| ask(token).await.refusal().1;
    assert_eq!(
        code("first.jwt").await,
        "AuthenticationFail.OIDCToken.Expired"
    );
    assert_eq!(
        code("forged.jwt").await,
        "AuthenticationFail.OIDCToken.Invalid"
    );
    assert_eq!(ask("second.jwt").await.status, 200);
    nothing_unexpected(&cloud);

    let leaking = format!("{start}&OIDCToken=second.jwt");
    let leaked = plain(&cloud, &leaking, &[], &form("second.jwt"))
        .await
        .unwrap();
    assert_eq!(leaked.status, 400);
    assert_eq!(
        cloud.unexpected(),
        ["AssumeRoleWithOIDC: OIDCToken in the address"]
    );
    cloud.inject(Fault::new(FaultKind::Reset).operation("AssumeRoleWithOIDC"));
    assert!(
        plain(&cloud, start, &[], &form("second.jwt"))
            .await
            .is_none()
    );
    assert_eq!(Ask::local(&cloud, "rm-1").send(&cloud).await.status, 200);
}

const DIRECTORY: &str = "GET /latest/meta-data/ram/security-credentials/";
const OF_READER: &str = "GET /latest/meta-data/ram/security-credentials/reader";
const PUT_TOKEN: &str = "PUT /latest/api/token";
const TOKEN: &str = "x-aliyun-ecs-metadata-token";
const LIFETIME: (&str, &str) = ("x-aliyun-ecs-metadata-token-ttl-seconds", "21600");

#[tokio::test]
async fn a_machine_gets_the_key_of_its_role() {
    let cloud = cloud().await;
    cloud.add_role("test", "reader").unwrap();
    let ask = async |start: &str, headers: &[(&'static str, &str)]| {
        plain(&cloud, start, headers, &[]).await.unwrap()
    };
    let token = ask(PUT_TOKEN, &[LIFETIME]).await.body;
    let sent = [(TOKEN, token.as_str())];
    assert_eq!(ask(DIRECTORY, &sent).await.status, 404, "no role yet");
    assert_eq!(ask("GET /credentials-uri", &[]).await.status, 404);
    assert!(cloud.attach_role(Vendor::Alibaba, "reader"));
    assert_eq!(ask(DIRECTORY, &sent).await.body, "reader");
    let answer = ask(OF_READER, &sent).await.json();
    let key = cloud.issued_keys(Vendor::Alibaba).remove(0);
    assert_eq!(
        answer,
        json!({
            "Code": "Success",
            "AccessKeyId": key.access_key_id,
            "AccessKeySecret": key.secret,
            "SecurityToken": key.token,
            "Expiration": seconds(key.expires),
            "LastUpdated": seconds(key.issued),
        })
    );
    assert_eq!(listing_status(&cloud, &key).await.0, 200);
    assert_eq!(ask("GET /credentials-uri", &[]).await.json(), answer);
    assert_eq!(cloud.issued_keys(Vendor::Alibaba).len(), 1);
    cloud.clock().advance(HOUR * 3);
    assert_ne!(ask(OF_READER, &sent).await.json(), answer);
    assert_eq!(
        ask(&OF_READER.replace("reader", "writer"), &sent)
            .await
            .status,
        404
    );

    cloud.detach_role(Vendor::Alibaba);
    assert_eq!(ask(OF_READER, &sent).await.status, 404);
    cloud.inject(
        Fault::new(FaultKind::Reset)
            .operation("metadata-token")
            .times(1),
    );
    assert!(plain(&cloud, PUT_TOKEN, &[LIFETIME], &[]).await.is_none());
    assert_eq!(cloud.request_count("metadata-token"), 2);
    nothing_unexpected(&cloud);
}

#[tokio::test]
async fn metadata_can_be_had_with_and_without_its_tokens() {
    let cloud = cloud().await;
    cloud.add_role("test", "reader").unwrap();
    cloud.attach_role(Vendor::Alibaba, "reader");
    let ask = async |start: &str, headers: &[(&'static str, &str)]| {
        plain(&cloud, start, headers, &[]).await.unwrap()
    };
    // Statuses of a new token, of a request without a token, and of one with a wrong one.
    let check = async |mode: MetadataMode, expected: [u16; 3]| {
        cloud.set_metadata_mode(Vendor::Alibaba, mode);
        let statuses = [
            ask(PUT_TOKEN, &[LIFETIME]).await.status,
            ask(OF_READER, &[]).await.status,
            ask(OF_READER, &[(TOKEN, "wrong")]).await.status,
        ];
        assert_eq!(statuses, expected, "{mode:?}");
    };
    check(MetadataMode::TokenOptional, [200, 200, 401]).await;
    check(MetadataMode::TokenRequired, [200, 403, 401]).await;
    check(MetadataMode::TokenUnknown, [404, 200, 200]).await;
    nothing_unexpected(&cloud);

    cloud.set_metadata_mode(Vendor::Alibaba, MetadataMode::TokenOptional);
    assert_eq!(ask(PUT_TOKEN, &[]).await.status, 400);
    let proxied = "GET http://100.100.100.200/latest/meta-data/ram/security-credentials/";
    assert_eq!(ask(proxied, &[]).await.status, 403);
    assert_eq!(
        ask(DIRECTORY, &[("x-forwarded-for", "10.0.0.1")])
            .await
            .status,
        403
    );
    assert_eq!(cloud.unexpected().len(), 3);
}
