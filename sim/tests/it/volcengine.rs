//! Volcengine's face.

mod protection;

use std::collections::BTreeSet;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use sim::{
    Account, Cloud, Engine, Fault, FaultKind, Instance, IssuedKey, LocalSet, NoRows, Scenario,
    Schedule, ThrottleHeader, Vendor,
};

use crate::client::{
    Answer, DAY, HOUR, Header, canonical_request, exchange, joined, mac, message,
    nothing_unexpected, owned, seconds, sha256,
};

const KEY: &str = "AKLTSimulatedTestKey0000001";
const SECRET: &str = "U2ltdWxhdGVkVGVzdFNlY3JldDAwMDE=";
const COPIES: &str = "DescribeCrossRegionBackups";
const LOCAL: &str = "DescribeBackups";

/// A request in the making; fields are public to the tests, so that each can spoil what it is
/// about.
#[derive(Clone)]
struct Ask {
    method: &'static str,
    target: &'static str,
    query: Vec<(String, String)>,
    content_type: &'static str,
    body: String,
    region: &'static str,
    service: &'static str,
    key: String,
    secret: String,
    token: Option<String>,
    date: DateTime<Utc>,
    /// Headers to leave out of the signature.
    unsigned: Vec<&'static str>,
    /// Body hash to state instead of the right one.
    hash: Option<String>,
    /// Without any signature.
    anonymous: bool,
    more_headers: Vec<Header>,
}

/// What this vendor's answers hold.
trait Content {
    fn rows(&self) -> Vec<Value>;
    fn refusal(&self) -> (u16, String);
    fn result(&self) -> Value;
}

impl Content for Answer {
    fn rows(&self) -> Vec<Value> {
        self.list(&self.result()["Backups"])
    }

    fn refusal(&self) -> (u16, String) {
        self.refused(&self.json()["ResponseMetadata"]["Error"]["Code"])
    }

    fn result(&self) -> Value {
        self.json()["Result"].clone()
    }
}

fn time(value: &Value) -> DateTime<Utc> {
    value.as_str().unwrap().parse().unwrap()
}

/// A time with China's offset, in seconds.
fn in_china(value: &Value) -> i64 {
    assert!(value.as_str().unwrap().ends_with("+08:00"), "{value}");
    time(value).timestamp()
}

impl Ask {
    fn new(cloud: &Cloud, operation: &str, body: &Value) -> Self {
        Self {
            method: "POST",
            target: "/",
            query: owned(&[("Action", operation), ("Version", "2020-12-07")]),
            content_type: "application/json",
            body: body.to_string(),
            region: "cn-beijing",
            service: "redis",
            key: KEY.to_owned(),
            secret: SECRET.to_owned(),
            token: None,
            date: cloud.clock().now(),
            unsigned: Vec::new(),
            hash: None,
            anonymous: false,
            more_headers: Vec::new(),
        }
    }

    /// The backups or copies of one instance.
    fn one(cloud: &Cloud, operation: &str, instance: &str) -> Self {
        Self::new(cloud, operation, &json!({ "InstanceId": instance }))
    }

    /// The backups or copies of the whole account.
    fn account_wide(cloud: &Cloud, operation: &str) -> Self {
        Self::new(cloud, operation, &json!({ "Scope": "AccountInstances" }))
    }

    /// A signed request to the token service.
    fn assume_role(cloud: &Cloud, parameters: &[(&str, &str)]) -> Self {
        let mut query = owned(&[("Action", "AssumeRole"), ("Version", "2018-01-01")]);
        query.extend(owned(parameters));
        Self {
            method: "GET",
            query,
            content_type: "text/plain",
            body: String::new(),
            service: "sts",
            ..Self::new(cloud, "", &Value::Null)
        }
    }

    /// An unsigned one.
    fn with_oidc(cloud: &Cloud, trn: &str, token: &str) -> Self {
        let form = owned(&[
            ("RoleTrn", trn),
            ("RoleSessionName", "exporter"),
            ("OIDCToken", token),
        ]);
        Self {
            query: owned(&[("Action", "AssumeRoleWithOIDC"), ("Version", "2018-01-01")]),
            content_type: "application/x-www-form-urlencoded",
            body: joined(&form),
            anonymous: true,
            ..Self::new(cloud, "", &Value::Null)
        }
    }

    /// A request to the metadata address.
    fn metadata(
        cloud: &Cloud,
        method: &'static str,
        target: &'static str,
        query: &[(&str, &str)],
        headers: &[(&'static str, &str)],
    ) -> Self {
        let headers = headers
            .iter()
            .map(|(name, value)| (*name, (*value).to_owned()));
        Self {
            method,
            target,
            query: owned(query),
            body: String::new(),
            anonymous: true,
            more_headers: headers.collect(),
            ..Self::new(cloud, "", &Value::Null)
        }
    }

    /// The same with a key of the body set or, if `value` is null, removed.
    fn with(mut self, key: &str, value: Value) -> Self {
        let mut body: Value = serde_json::from_str(&self.body).unwrap();
        let fields = body.as_object_mut().unwrap();
        if value.is_null() {
            fields.remove(key);
        } else {
            fields.insert(key.to_owned(), value);
        }
        self.body = body.to_string();
        self
    }

    fn page(self, number: u64, size: u64) -> Self {
        self.with("PageNumber", json!(number))
            .with("PageSize", json!(size))
    }

    /// The same, signed with a temporary key.
    fn signed_with(mut self, key: &IssuedKey) -> Self {
        (self.key, self.secret) = (key.access_key_id.clone(), key.secret.clone());
        self.token = Some(key.token.clone());
        self
    }

    fn bytes(&self, host: &str) -> Vec<u8> {
        let query = joined(&self.query);
        let hash = sha256(&self.body);
        let hash = self.hash.clone().unwrap_or(hash);
        let date = self.date.format("%Y%m%dT%H%M%SZ").to_string();
        let mut headers = vec![("host", host.to_owned())];
        headers.extend(self.more_headers.clone());
        if !self.body.is_empty() || !self.anonymous {
            headers.push(("content-type", self.content_type.to_owned()));
        }
        if !self.anonymous {
            headers.push(("x-content-sha256", hash.clone()));
            headers.push(("x-date", date.clone()));
        }
        if let Some(token) = &self.token {
            headers.push(("x-security-token", token.clone()));
        }
        headers.sort();
        let start = [self.method, self.target, &query];
        let (canonical, names) = canonical_request(start, &headers, &self.unsigned, &hash);
        let scope = format!("{}/{}/{}/request", &date[..8], self.region, self.service);
        let to_sign = format!("HMAC-SHA256\n{date}\n{scope}\n{}", sha256(&canonical));
        let key = scope
            .split('/')
            .fold(self.secret.as_bytes().to_vec(), |key, part| mac(&key, part));
        let signature = hex::encode(mac(&key, &to_sign));
        if !self.anonymous {
            headers.push((
                "authorization",
                format!(
                    "HMAC-SHA256 Credential={}/{scope}, SignedHeaders={names}, Signature={signature}",
                    self.key
                ),
            ));
        }
        let mark = if query.is_empty() { "" } else { "?" };
        let start = format!("{} {}{mark}{query}", self.method, self.target);
        message(&start, &headers, &self.body)
    }

    /// Sends the request and reads until the cloud closes the connection.
    async fn send(self, cloud: &Cloud) -> Answer {
        self.try_send(cloud).await.expect("an answer")
    }

    /// `None` if the connection ends without an answer.
    async fn try_send(self, cloud: &Cloud) -> Option<Answer> {
        exchange(cloud, Vendor::Volcengine, move |host| self.bytes(host)).await
    }
}

fn redis(id: &str, region: &str) -> Instance {
    Instance::new(id, region).engine(Engine::Redis, "5.0")
}

/// A cloud with one instance that is backed up daily and copied within an hour.
async fn cloud() -> Cloud {
    let mut scenario = Scenario::empty();
    scenario.accounts = vec![Account {
        name: "prod".to_owned(),
        vendor: Vendor::Volcengine,
        access_key_id: KEY.to_owned(),
        access_key_secret: SECRET.to_owned(),
        ..Account::default()
    }];
    let cloud = Cloud::start(scenario).await.unwrap();
    // Noon, so that no backup or copy comes into being while a test runs.
    cloud.clock().set("2026-06-15T12:00:00Z".parse().unwrap());
    cloud.add_instance(
        redis("redis-1", "cn-beijing")
            .schedule(Schedule::every(DAY))
            .copied_to("cn-shanghai", HOUR),
    );
    cloud
}

#[tokio::test]
async fn an_ordinary_copy_looks_like_the_vendors_sample() {
    let cloud = cloud().await;
    let answer = Ask::one(&cloud, COPIES, "redis-1").send(&cloud).await;
    assert_eq!(answer.status, 200);
    let json = answer.json();
    let metadata = &json["ResponseMetadata"];
    assert_eq!(
        (&metadata["Action"], &metadata["Version"]),
        (&json!(COPIES), &json!("2020-12-07"))
    );
    assert_eq!(
        (&metadata["Service"], &metadata["Region"]),
        (&json!("Redis"), &json!("cn-beijing"))
    );
    assert!(
        metadata["RequestId"]
            .as_str()
            .unwrap()
            .starts_with("20260615200")
    );
    assert_eq!(json["Result"]["Total"], 31);
    let rows = answer.rows();
    assert_eq!(rows.len(), 31, "without a page there are no pages");
    let newest = &rows[0];
    let mut fields: Vec<_> = newest.as_object().unwrap().keys().cloned().collect();
    fields.sort();
    let expected = [
        "BackupPointId",
        "BackupPointName",
        "BackupProgress",
        "BackupStrategy",
        "BackupType",
        "EndTime",
        "InstanceId",
        "InstanceInfo",
        "ProjectName",
        "Size",
        "SourceRegion",
        "StartTime",
        "Status",
        "TTL",
        "TargetRegion",
    ];
    assert_eq!(fields, expected);
    assert_eq!(
        (&newest["SourceRegion"], &newest["TargetRegion"]),
        (&json!("cn-beijing"), &json!("cn-shanghai"))
    );
    assert_eq!(
        (&newest["Status"], &newest["BackupType"], &newest["TTL"]),
        (&json!("Available"), &json!("Full"), &json!(31))
    );
    assert!(newest["Size"].as_u64().unwrap() > 5 << 30);
    let info = &newest["InstanceInfo"];
    assert_eq!(info["InstanceId"], "redis-1");
    assert_eq!(
        info["AccountId"].as_u64(),
        Some(sim::volcengine::account_id("prod"))
    );
    assert!(info["ShardCapacity"].is_f64() && info["ZoneIds"].is_array());
    nothing_unexpected(&cloud);
}

#[tokio::test]
async fn a_backup_and_its_copy_have_the_same_id_and_start() {
    let cloud = cloud().await;
    let local = Ask::one(&cloud, LOCAL, "redis-1").send(&cloud).await.rows();
    let copies = Ask::one(&cloud, COPIES, "redis-1")
        .send(&cloud)
        .await
        .rows();
    assert_eq!((local.len(), copies.len()), (31, 31));
    for (local, copy) in local.iter().zip(&copies) {
        for field in ["BackupPointId", "BackupPointName", "StartTime", "Size"] {
            assert_eq!(local[field], copy[field], "{field}");
        }
        let lag = time(&copy["EndTime"]) - time(&local["EndTime"]);
        assert_eq!(lag.num_seconds(), 3600);
        assert!(local.get("SourceRegion").is_none() && local.get("TargetRegion").is_none());
    }
    let ids: BTreeSet<_> = local
        .iter()
        .map(|row| row["BackupPointId"].to_string())
        .collect();
    assert_eq!(ids.len(), 31);
}

#[tokio::test]
async fn statuses_follow_the_world() {
    let cloud = cloud().await;
    let newest = async |operation: &str| {
        Ask::one(&cloud, operation, "redis-1")
            .send(&cloud)
            .await
            .rows()[0]
            .clone()
    };
    let start = time(&newest(LOCAL).await["StartTime"]);
    assert!(cloud.fail_backup("redis-1", start));
    let failed = newest(LOCAL).await;
    assert_eq!(
        (&failed["Status"], &failed["Size"]),
        (&json!("Unavailable"), &json!(0))
    );
    assert_ne!(
        newest(COPIES).await["StartTime"],
        failed["StartTime"],
        "nothing to copy"
    );

    // The slot begins at midnight and the backup within five minutes.
    cloud.clock().set("2026-06-16T00:10:00Z".parse().unwrap());
    let running = newest(LOCAL).await;
    assert_eq!(
        (&running["Status"], &running["EndTime"]),
        (&json!("Creating"), &json!(""))
    );
    assert!((1..100).contains(&running["BackupProgress"].as_u64().unwrap()));
    assert_eq!(running["BackupType"], "Full");
    cloud.clock().advance(HOUR);
    let finished = newest(LOCAL).await;
    assert_eq!(finished["BackupPointId"], running["BackupPointId"]);
    assert_eq!(
        (&finished["Status"], &finished["BackupProgress"]),
        (&json!("Available"), &json!(100))
    );
    let end = time(&finished["EndTime"]);
    cloud.clock().set(end + DAY * 31 - Duration::from_secs(60));
    let rows = Ask::one(&cloud, LOCAL, "redis-1").send(&cloud).await.rows();
    assert_eq!(rows.last().unwrap()["Status"], "Deleting");
    nothing_unexpected(&cloud);
}

#[tokio::test]
async fn an_instance_is_seen_in_its_own_region_only() {
    let cloud = cloud().await;
    cloud.add_instance(
        redis("redis-2", "cn-shanghai")
            .schedule(Schedule::every(DAY))
            .copied_to("cn-beijing", HOUR),
    );
    // Another engine is another product.
    cloud.add_instance(Instance::new("mysql-1", "cn-beijing").schedule(Schedule::every(DAY)));
    let instances = async |region: &'static str, operation: &str| {
        let mut ask = Ask::account_wide(&cloud, operation);
        ask.region = region;
        let rows = ask.send(&cloud).await.rows();
        rows.iter()
            .map(|row| row["InstanceId"].as_str().unwrap().to_owned())
            .collect::<BTreeSet<_>>()
    };
    for operation in [COPIES, LOCAL] {
        assert_eq!(
            instances("cn-beijing", operation).await,
            ["redis-1".to_owned()].into()
        );
        assert_eq!(
            instances("cn-shanghai", operation).await,
            ["redis-2".to_owned()].into()
        );
        assert_eq!(instances("cn-guangzhou", operation).await, [].into());
        for instance in ["redis-2", "mysql-1", "redis-none"] {
            let answer = Ask::one(&cloud, operation, instance).send(&cloud).await;
            assert_eq!(answer.refusal(), (400, "InstanceNotExist".to_owned()));
            let error = &answer.json()["ResponseMetadata"]["Error"];
            assert!(error.get("CodeN").is_none(), "a product has no numbers");
        }
    }
    let requests = cloud.requests();
    assert_eq!(requests[0].region.as_deref(), Some("cn-beijing"));
    assert!(
        requests
            .iter()
            .all(|request| request.vendor == Vendor::Volcengine)
    );
    nothing_unexpected(&cloud);
}

#[tokio::test]
async fn accounts_see_their_own_instances() {
    let cloud = cloud().await;
    cloud.add_account(&Account {
        name: "other".to_owned(),
        vendor: Vendor::Volcengine,
        access_key_id: "AKLTOther".to_owned(),
        access_key_secret: "other".to_owned(),
        ..Account::default()
    });
    cloud.add_key("strangers", "LTAI5tStranger", "s", None);
    let code = async |key: &str, secret: &str| {
        let mut ask = Ask::one(&cloud, LOCAL, "redis-1");
        (ask.key, ask.secret) = (key.to_owned(), secret.to_owned());
        ask.send(&cloud).await.refusal().1
    };
    assert_eq!(code(KEY, SECRET).await, "");
    assert_eq!(code("AKLTOther", "other").await, "InstanceNotExist");
    assert_eq!(
        code("LTAI5tStranger", "s").await,
        "InvalidAccessKey",
        "that account is with another vendor"
    );
}

#[tokio::test]
async fn single_nodes_and_released_instances_are_told_apart() {
    let cloud = cloud().await;
    let mut single = redis("redis-single", "cn-beijing").schedule(Schedule::every(DAY));
    single.single_node = true;
    cloud.add_instance(single);
    cloud.add_instance(redis("redis-old", "cn-beijing").schedule(Schedule::every(DAY)));
    assert!(cloud.release_instance("redis-old") && !cloud.release_instance("redis-none"));
    let code = async |operation: &str, instance: &str| {
        Ask::one(&cloud, operation, instance)
            .send(&cloud)
            .await
            .refusal()
            .1
    };
    for operation in [COPIES, LOCAL, "DescribeBackupPlan"] {
        assert_eq!(
            code(operation, "redis-single").await,
            "InstanceStatusNotMatch"
        );
        assert_eq!(code(operation, "redis-old").await, "InstanceNotExist");
    }
    let count = async |scope: &str, instance: &str| {
        let ask = Ask::new(&cloud, LOCAL, &json!({ "Scope": scope }));
        let rows = ask.send(&cloud).await.rows();
        rows.iter()
            .filter(|row| row["InstanceId"] == instance)
            .count()
    };
    assert_eq!(count("AccountInstances", "redis-single").await, 0);
    assert_eq!(count("AccountInstances", "redis-old").await, 31);
    assert_eq!(count("DestroyedInstances", "redis-old").await, 31);
    assert_eq!(count("DestroyedInstances", "redis-1").await, 0);
    cloud.clock().advance(DAY * 2);
    assert_eq!(
        count("DestroyedInstances", "redis-old").await,
        29,
        "nothing comes any more"
    );
}

#[tokio::test]
async fn pages_follow_each_other_without_gap() {
    let cloud = cloud().await;
    cloud.add_instance(redis("redis-hourly", "cn-beijing").schedule(Schedule::every(HOUR)));
    let mut ids = BTreeSet::new();
    let mut sizes = Vec::new();
    for page in 1..=9 {
        let ask = Ask::one(&cloud, LOCAL, "redis-hourly").page(page, 100);
        let answer = ask.send(&cloud).await;
        assert_eq!(answer.result()["Total"], 744, "31 days of hours");
        let rows = answer.rows();
        sizes.push(rows.len());
        ids.extend(rows.iter().map(|row| row["BackupPointId"].to_string()));
    }
    assert_eq!(sizes, [100, 100, 100, 100, 100, 100, 100, 44, 0]);
    assert_eq!(ids.len(), 744);
}

#[tokio::test]
async fn filters_are_honoured() {
    let cloud = cloud().await;
    let now = cloud.clock().now();
    cloud.fail_backup("redis-1", now);
    let manual = LocalSet {
        mode: Some(json!("Manual")),
        ..LocalSet::completed(now - HOUR * 2, now - HOUR)
    };
    assert!(cloud.add_local_set("redis-1", manual));
    let count = async |ask: Ask| ask.send(&cloud).await.rows().len();
    let local = || Ask::one(&cloud, LOCAL, "redis-1");
    assert_eq!(count(local()).await, 32);
    let strategies = |strategy: &str| local().with("BackupStrategyList", json!([strategy]));
    assert_eq!(count(strategies("ManualBackup")).await, 1);
    assert_eq!(count(strategies("AutomatedBackup")).await, 31);
    let three_days = |ask: Ask| {
        ask.with("StartTime", json!(seconds(now - DAY * 3)))
            .with("EndTime", json!(seconds(now)))
    };
    assert_eq!(count(three_days(local())).await, 4);
    let copies = || Ask::account_wide(&cloud, COPIES);
    assert_eq!(count(copies().with("Status", json!("Available"))).await, 30);
    assert_eq!(count(copies().with("Status", json!("Creating"))).await, 0);
    let id = copies().send(&cloud).await.rows()[0]["BackupPointId"].clone();
    assert_eq!(count(copies().with("BackupPointId", id)).await, 1);
    assert_eq!(
        count(copies().with("ProjectName", json!("default"))).await,
        30
    );
    assert_eq!(count(copies().with("ProjectName", json!("other"))).await, 0);
    nothing_unexpected(&cloud);
}

/// Requests that are refused before any operation, and whether the client is to blame.
#[tokio::test]
async fn who_cannot_be_authenticated_is_refused() {
    let cloud = cloud().await;
    let mut to_blame = 0;
    let mut rows: Vec<(Ask, u16, &str, bool)> = Vec::new();
    let mut row = |status, code, blamed, spoil: &dyn Fn(&mut Ask)| {
        let mut ask = Ask::one(&cloud, LOCAL, "redis-1");
        spoil(&mut ask);
        rows.push((ask, status, code, blamed));
    };
    row(401, "InvalidAccessKey", false, &|ask| {
        ask.key = "AKLTNobody".to_owned();
    });
    row(401, "SignatureDoesNotMatch", true, &|ask| {
        ask.secret = "wrong".to_owned();
    });
    row(401, "SignatureDoesNotMatch", true, &|ask| {
        ask.hash = Some("0".repeat(64));
    });
    row(400, "InvalidAuthorization", true, &|ask| {
        ask.unsigned = vec!["host"];
    });
    row(400, "InvalidAuthorization", true, &|ask| {
        ask.unsigned = vec!["x-date"];
    });
    row(400, "InvalidAuthorization", true, &|ask| {
        ask.token = Some("t".to_owned());
        ask.unsigned = vec!["x-security-token"];
    });
    row(401, "InvalidSecretToken", false, &|ask| {
        ask.token = Some("t".to_owned());
    });
    row(401, "MissingAuthenticationToken", true, &|ask| {
        ask.anonymous = true;
    });
    row(400, "InvalidTimestamp", false, &|ask| {
        ask.date -= Duration::from_secs(960);
    });
    row(400, "InvalidTimestamp", false, &|ask| {
        ask.date += Duration::from_secs(960);
    });
    row(404, "ServiceNotFound", true, &|ask| {
        ask.service = "rds_mysql";
    });
    row(404, "InvalidActionOrVersion", true, &|ask| {
        ask.query[1].1 = "2022-01-01".to_owned();
    });
    row(404, "InvalidActionOrVersion", true, &|ask| {
        ask.query[0].1 = "describebackups".to_owned();
    });
    row(404, "InvalidActionOrVersion", true, &|ask| {
        ask.target = "/redis";
    });
    row(404, "InvalidActionOrVersion", true, &|ask| {
        ask.method = "GET";
    });
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
    }
    assert!(cloud.requests().iter().all(|request| {
        !request.signature_valid || request.verdict.code.as_deref() == Some("InvalidSecretToken")
    }));
}

#[tokio::test]
async fn both_spellings_of_the_service_and_few_signed_headers_are_served() {
    let cloud = cloud().await;
    let mut ask = Ask::one(&cloud, LOCAL, "redis-1");
    ask.service = "Redis";
    ask.unsigned = vec!["content-type", "x-content-sha256"];
    assert_eq!(ask.send(&cloud).await.status, 200);
    assert!(cloud.requests()[0].signature_valid);

    assert!(cloud.set_secret(KEY, "new"));
    let old = Ask::one(&cloud, LOCAL, "redis-1").send(&cloud).await;
    assert_eq!(old.refusal(), (401, "SignatureDoesNotMatch".to_owned()));
    let number = &old.json()["ResponseMetadata"]["Error"]["CodeN"];
    assert_eq!(*number, 100_010, "a gateway has numbers");
    assert!(cloud.disable_key(KEY));
    let disabled = Ask::one(&cloud, LOCAL, "redis-1").send(&cloud).await;
    assert_eq!(disabled.refusal(), (401, "InvalidAccessKey".to_owned()));
    nothing_unexpected(&cloud);
}

/// Parameters that the pages forbid: the client is to blame. The parameters' own tests have more.
#[tokio::test]
async fn parameters_follow_the_pages() {
    let cloud = cloud().await;
    let one = || Ask::one(&cloud, COPIES, "redis-1");
    let mut in_query = one();
    in_query
        .query
        .push(("InstanceId".to_owned(), "redis-1".to_owned()));
    let mut form = one();
    form.content_type = "application/x-www-form-urlencoded";
    let mut no_object = one();
    no_object.body = "[]".to_owned();
    let refused = [
        (one().with("InstanceId", Value::Null), "MissingParameter"),
        (one().with("Scope", json!("AccountInstances")), "ParamError"),
        (one().with("PageNumber", json!(1)), "MissingParameter"),
        (one().page(1, 101), "ParamError"),
        (one().with("Region", json!("cn-beijing")), "ParamError"),
        (
            one().with("StartTime", json!("2026-06-01T00:00:00Z")),
            "MissingParameter",
        ),
        (
            Ask::one(&cloud, LOCAL, "redis-1").with("Status", json!("Available")),
            "ParamError",
        ),
        (
            Ask::new(&cloud, "DescribeBackupPlan", &json!({})),
            "MissingParameter",
        ),
        (in_query, "ParamError"),
        (form, "ParamError"),
        (no_object, "ParamError"),
    ];
    for (number, (ask, code)) in refused.into_iter().enumerate() {
        let answer = ask.send(&cloud).await;
        assert_eq!(answer.refusal(), (400, code.to_owned()), "{}", answer.body);
        assert_eq!(
            cloud.unexpected().len(),
            number + 1,
            "{:?}",
            cloud.unexpected()
        );
    }
    cloud.clear_requests();
    let idle = one().with("ProjectName", json!("other")).send(&cloud).await;
    assert_eq!(idle.rows().len(), 31, "it takes no effect");
    assert_eq!(
        cloud.unexpected().last().unwrap(),
        "DescribeCrossRegionBackups: ProjectName takes no effect with Scope OneInstance"
    );
}

#[tokio::test]
async fn settings_of_backups_are_told() {
    let cloud = cloud().await;
    cloud.add_instance(redis("redis-alone", "cn-beijing"));
    let result = async |operation: &str, instance: &str| {
        Ask::one(&cloud, operation, instance)
            .send(&cloud)
            .await
            .result()
    };
    assert_eq!(
        result("DescribeCrossRegionBackupPolicy", "redis-1").await,
        json!({ "InstanceId": "redis-1", "Active": true, "CrossBackupRegion": "cn-shanghai", "TTL": 31 })
    );
    let alone = result("DescribeCrossRegionBackupPolicy", "redis-alone").await;
    assert_eq!(
        (&alone["Active"], &alone["CrossBackupRegion"]),
        (&json!(false), &json!(""))
    );
    assert_eq!(
        result("DescribeAvailableCrossRegion", "redis-1").await,
        json!({ "TargetRegionIds": ["cn-shanghai", "cn-guangzhou"] })
    );
    let plan = result("DescribeBackupPlan", "redis-1").await;
    assert_eq!(
        (
            &plan["Active"],
            &plan["BackupHour"],
            &plan["ExpectNextBackupTime"]
        ),
        (&json!(true), &json!(8), &json!("2026-06-16T00:00:00Z"))
    );
    assert_eq!(
        result("DescribeBackupPlan", "redis-alone").await["Active"],
        false
    );
    let window = result("DescribePitrTimeWindow", "redis-1").await;
    assert_eq!(
        (time(&window["EndTime"]) - time(&window["StartTime"])).num_days(),
        7
    );
    assert_eq!(
        result("DescribePitrTimeWindow", "redis-alone").await,
        json!({ "StartTime": "", "EndTime": "" })
    );
    nothing_unexpected(&cloud);
}

#[tokio::test]
async fn instances_are_listed_by_region_and_edition() {
    let cloud = cloud().await;
    let mut enterprise = redis("redis-big", "cn-beijing");
    enterprise.enterprise = true;
    cloud.add_instance(enterprise);
    cloud.add_instance(redis("redis-far", "cn-shanghai"));
    for number in 0..12 {
        cloud.add_instance(redis(&format!("redis-n{number:02}"), "cn-beijing"));
    }
    let list = async |body: Value| {
        let answer = Ask::new(&cloud, "DescribeDBInstances", &body)
            .send(&cloud)
            .await;
        let result = answer.result();
        let ids: Vec<_> = result["Instances"]
            .as_array()
            .unwrap()
            .iter()
            .map(|row| row["InstanceId"].as_str().unwrap().to_owned())
            .collect();
        (result["TotalInstancesNum"].as_u64().unwrap(), ids)
    };
    let (total, ids) = list(json!({})).await;
    assert_eq!((total, ids.len()), (13, 10), "ten rows are the default");
    let (total, ids) = list(json!({ "PageNumber": 2, "PageSize": 12 })).await;
    assert_eq!((total, ids.len()), (13, 1));
    let one = |id: &str| (1, vec![id.to_owned()]);
    assert_eq!(
        list(json!({ "ServiceType": "Enterprise" })).await,
        one("redis-big")
    );
    assert_eq!(
        list(json!({ "RegionId": "cn-shanghai" })).await,
        one("redis-far")
    );
    assert_eq!(
        list(json!({ "InstanceName": "n07" })).await,
        one("redis-n07")
    );
    assert_eq!(
        list(json!({ "InstanceId": "redis-1" })).await,
        one("redis-1")
    );
    let row = Ask::new(
        &cloud,
        "DescribeDBInstances",
        &json!({ "InstanceId": "redis-1" }),
    )
    .send(&cloud)
    .await
    .result()["Instances"][0]
        .clone();
    assert_eq!(
        (&row["InstanceClass"], &row["Status"], &row["PrivatePort"]),
        (
            &json!("PrimarySecondary"),
            &json!("Running"),
            &json!("6379")
        )
    );
    nothing_unexpected(&cloud);
}

#[tokio::test]
async fn any_odd_row_can_be_stated() {
    let cloud = cloud().await;
    cloud.add_instance(redis("redis-odd", "cn-beijing"));
    let odd = json!({
        "BackupPointId": "b-odd",
        "BackupPointName": "每日备份",
        "InstanceId": "redis-elsewhere",
        "Status": "Archiving",
        "StartTime": "2026-06-15T03:00Z",
        "EndTime": null,
        "Size": "12",
    });
    assert!(cloud.add_volcengine_local_row("redis-odd", odd.clone()));
    assert!(cloud.add_volcengine_cross_region_row("redis-odd", odd.clone()));
    assert!(!cloud.add_volcengine_local_row("redis-none", odd.clone()));
    assert!(!cloud.add_volcengine_cross_region_row("redis-none", odd.clone()));
    for operation in [LOCAL, COPIES] {
        let ask = Ask::one(&cloud, operation, "redis-odd")
            .with("StartTime", json!("2026-01-01T00:00:00Z"))
            .with("EndTime", json!("2026-01-02T00:00:00Z"));
        assert_eq!(ask.send(&cloud).await.rows(), std::slice::from_ref(&odd));
    }
    assert!(cloud.fail_backup("redis-odd", cloud.clock().now()));
    let rows = Ask::one(&cloud, LOCAL, "redis-odd")
        .send(&cloud)
        .await
        .rows();
    assert_eq!(
        rows[0]["Status"], "Unavailable",
        "without a schedule it is stated"
    );
}

#[tokio::test]
async fn an_account_can_be_limited_and_forbidden() {
    let cloud = cloud().await;
    let one = || Ask::one(&cloud, LOCAL, "redis-1");
    let all = || Ask::account_wide(&cloud, LOCAL);
    cloud.set_rate_limit("prod", Some(2));
    for expected in [200, 200, 429] {
        assert_eq!(one().send(&cloud).await.status, expected);
    }
    let limited = one().send(&cloud).await;
    assert_eq!(limited.refusal(), (429, "FlowLimitExceeded".to_owned()));
    let error = &limited.json()["ResponseMetadata"]["Error"];
    assert_eq!(error["CodeN"], 100_018);
    cloud.clock().advance(Duration::from_secs(60));
    assert_eq!(one().send(&cloud).await.status, 200);
    cloud.set_rate_limit("prod", None);

    cloud.deny_account_wide("prod");
    assert_eq!(
        all().send(&cloud).await.refusal(),
        (403, "LackProjectPolicy".to_owned())
    );
    assert_eq!(one().send(&cloud).await.status, 200);
    cloud.allow_account_wide("prod");
    assert_eq!(all().send(&cloud).await.status, 200);
    cloud.deny("prod", LOCAL);
    assert_eq!(
        one().send(&cloud).await.refusal(),
        (403, "AccessDenied".to_owned())
    );
    cloud.allow("prod", LOCAL);
    assert_eq!(one().send(&cloud).await.status, 200);
    nothing_unexpected(&cloud);
}

#[tokio::test]
async fn the_journal_tells_what_was_asked() {
    let cloud = cloud().await;
    let ask = Ask::one(&cloud, LOCAL, "redis-1").page(2, 100).with(
        "BackupStrategyList",
        json!(["ManualBackup", "AutomatedBackup"]),
    );
    ask.send(&cloud).await;
    let request = cloud.requests().remove(0);
    assert_eq!(request.operation, LOCAL);
    assert_eq!(
        (request.region.as_deref(), request.instance.as_deref()),
        (Some("cn-beijing"), Some("redis-1"))
    );
    assert_eq!(request.access_key_id.as_deref(), Some(KEY));
    let parameters = &request.params;
    assert_eq!(parameters["PageNumber"], "2");
    assert_eq!(
        parameters["BackupStrategyList"],
        "ManualBackup,AutomatedBackup"
    );
    assert_eq!(parameters["Version"], "2020-12-07");
    assert!(request.signature_valid && request.verdict.status == Some(200));
}

/// Asks for the second page of ten while a fault is in force.
async fn with_fault(cloud: &Cloud, kind: FaultKind) -> Option<Answer> {
    cloud.clear_faults();
    cloud.inject(
        Fault::new(kind)
            .operation(LOCAL)
            .region("cn-beijing")
            .times(1),
    );
    let ask = Ask::one(cloud, LOCAL, "redis-1").page(2, 10);
    ask.try_send(cloud).await
}

#[tokio::test]
async fn faults_that_replace_the_answer_look_like_the_vendors() {
    let cloud = cloud().await;
    let answered = async |kind: FaultKind| with_fault(&cloud, kind).await.expect("an answer");
    let throttle = |header| FaultKind::Throttle {
        retry_after: Some(Duration::from_secs(3)),
        header,
    };
    let throttled = answered(throttle(ThrottleHeader::RetryAfter)).await;
    assert_eq!(throttled.refusal(), (429, "FlowLimitExceeded".to_owned()));
    assert!(throttled.head.contains("\r\nretry-after: 3"));
    let throttled = answered(throttle(ThrottleHeader::None)).await;
    assert!(throttled.status == 429 && !throttled.head.contains("retry-after"));
    let (code, message) = ("InternalError".to_owned(), "Try again.".to_owned());
    let transient = answered(FaultKind::Error {
        status: 400,
        code: code.clone(),
        message: message.clone(),
    })
    .await;
    assert_eq!(
        transient.json()["ResponseMetadata"]["Error"],
        json!({ "Code": "InternalError", "Message": "Try again." })
    );
    assert!(transient.json().get("Result").is_none());
    let status = 500;
    let bare = answered(FaultKind::BareError {
        status,
        code,
        message,
    })
    .await;
    assert_eq!(
        (bare.status, bare.json()),
        (
            500,
            json!({ "HTTPCode": 500, "errorcode": "InternalError", "message": "Try again." })
        )
    );
    assert_eq!(
        answered(FaultKind::ServerErrorJson).await.refusal(),
        (500, "InternalError".to_owned())
    );
    let code = "ServerError".to_owned();
    assert_eq!(
        answered(FaultKind::ErrorIn200 { code }).await.refusal(),
        (200, "ServerError".to_owned())
    );
    assert_eq!(
        answered(FaultKind::ExpiredToken).await.refusal(),
        (401, "InvalidSecretToken".to_owned())
    );
    let xml = answered(FaultKind::ServerErrorXml).await;
    assert!(xml.status == 503 && xml.body.starts_with("<?xml"));
    let html = answered(FaultKind::ServerErrorHtml).await;
    assert!(html.status == 503 && html.body.starts_with("<html>"));
    assert!(
        answered(FaultKind::Html200)
            .await
            .body
            .starts_with("<!DOCTYPE html>")
    );
    assert_eq!(answered(FaultKind::EmptyObject).await.body, "{}");
    assert_eq!(answered(FaultKind::Null).await.body, "null");
    let redirect = answered(FaultKind::Redirect("http://127.0.0.1:9/".to_owned())).await;
    assert!(redirect.status == 302 && redirect.head.contains("location: http://127.0.0.1:9/"));
    let huge = answered(FaultKind::HugeBody(1 << 20)).await;
    assert!(huge.whole && huge.body.len() > 1 << 20);
    assert!(with_fault(&cloud, FaultKind::Reset).await.is_none());
    assert!(
        cloud
            .requests()
            .iter()
            .all(|request| request.signature_valid)
    );
    nothing_unexpected(&cloud);
}

#[tokio::test]
async fn faults_that_spoil_the_answer_show_on_the_wire() {
    let cloud = cloud().await;
    let answered = async |kind: FaultKind| with_fault(&cloud, kind).await.expect("an answer");
    let page = async |number: u64| {
        let ask = Ask::one(&cloud, LOCAL, "redis-1").page(number, 10);
        ask.send(&cloud).await.rows()
    };
    let (first, second) = (page(1).await, page(2).await);
    let half_json = answered(FaultKind::TruncatedJson).await;
    assert!(half_json.whole && serde_json::from_str::<Value>(&half_json.body).is_err());
    let truncated = answered(FaultKind::Truncated).await;
    assert!(!truncated.whole && truncated.status == 200 && truncated.body.starts_with('{'));
    let total = |answer: Answer| answer.result()["Total"].clone();
    assert_eq!(total(answered(FaultKind::WrongTotal(7)).await), 7);
    assert_eq!(total(answered(FaultKind::TotalAsString).await), "31");
    assert_eq!(total(answered(FaultKind::GrowingTotal).await), 32);
    assert_eq!(answered(FaultKind::PageLoop).await.rows(), first);
    assert_eq!(cloud.requests().last().unwrap().params["PageNumber"], "2");
    let repeated = answered(FaultKind::RepeatedRow).await.rows();
    assert_eq!((&repeated[0], &repeated[1..]), (&first[9], &second[..9]));
    let slow = answered(FaultKind::Slow(Duration::from_millis(1))).await;
    assert_eq!(slow.rows(), second);
    nothing_unexpected(&cloud);
}

#[tokio::test]
async fn an_empty_listing_can_be_said_in_five_ways() {
    let cloud = cloud().await;
    cloud.add_instance(redis("redis-new", "cn-beijing"));
    let empty = Ask::one(&cloud, LOCAL, "redis-new").send(&cloud).await;
    assert_eq!(empty.result(), json!({ "Total": 0, "Backups": [] }));
    let said = async |shape: NoRows| {
        let answer = with_fault(&cloud, FaultKind::NoRows(shape)).await.unwrap();
        answer.json().get("Result").cloned()
    };
    assert_eq!(
        said(NoRows::NullList).await,
        Some(json!({ "Total": 0, "Backups": null }))
    );
    assert_eq!(said(NoRows::NoList).await, Some(json!({ "Total": 0 })));
    assert_eq!(said(NoRows::NullResult).await, Some(Value::Null));
    assert_eq!(said(NoRows::NoResult).await, None);
}

#[tokio::test]
async fn a_role_can_be_assumed_with_a_signature() {
    let cloud = cloud().await;
    let trn = cloud.add_role("prod", "reader").unwrap();
    assert_eq!(cloud.add_role("nobody", "reader"), None);
    let named = [
        ("RoleTrn", trn.as_str()),
        ("RoleSessionName", "backup exporter"),
    ];
    let answer = Ask::assume_role(&cloud, &named).send(&cloud).await;
    assert_eq!(answer.json()["ResponseMetadata"]["Service"], "sts");
    let credentials = answer.result()["Credentials"].clone();
    let key = cloud.issued_keys(Vendor::Volcengine).remove(0);
    assert_eq!(credentials["AccessKeyId"], key.access_key_id);
    assert_eq!(credentials["SecretAccessKey"], key.secret);
    assert_eq!(credentials["SessionToken"], key.token);
    assert_eq!(
        in_china(&credentials["ExpiredTime"]),
        key.expires.timestamp()
    );
    assert_eq!((key.expires - key.issued).num_seconds(), 3600);
    assert!(credentials.get("Expiration").is_none());
    assert!(key.access_key_id.starts_with("AKTP") && key.operation == "AssumeRole");

    let listing = || Ask::one(&cloud, LOCAL, "redis-1");
    assert_eq!(listing().signed_with(&key).send(&cloud).await.status, 200);
    let mut without_token = listing().signed_with(&key);
    without_token.token = None;
    let refused = (401, "InvalidSecretToken".to_owned());
    assert_eq!(without_token.send(&cloud).await.refusal(), refused);
    cloud.clock().advance(HOUR);
    let late = listing().signed_with(&key).send(&cloud).await;
    assert_eq!(late.refusal(), refused);

    assert!(cloud.set_key_lifetime(Vendor::Volcengine, "reader", Some(HOUR / 60)));
    Ask::assume_role(&cloud, &named).send(&cloud).await;
    let key = cloud.issued_keys(Vendor::Volcengine).remove(1);
    assert_eq!((key.expires - key.issued).num_seconds(), 60);
    cloud.deny("prod", "AssumeRole");
    let denied = Ask::assume_role(&cloud, &named).send(&cloud).await;
    assert_eq!(denied.refusal(), (403, "AccessDenied".to_owned()));
    cloud.allow("prod", "AssumeRole");
    assert!(cloud.remove_role(Vendor::Volcengine, "reader"));
    let gone = Ask::assume_role(&cloud, &named).send(&cloud).await;
    assert_eq!(gone.refusal(), (404, "RoleNotExist".to_owned()));
    nothing_unexpected(&cloud);

    let mut redis = Ask::assume_role(&cloud, &named);
    redis.service = "redis";
    assert_eq!(redis.send(&cloud).await.refusal().1, "ServiceNotFound");
    let nameless = Ask::assume_role(&cloud, &[("RoleTrn", &trn)])
        .send(&cloud)
        .await;
    assert_eq!(nameless.refusal().1, "MissingParameter");
    let mut post = Ask::assume_role(&cloud, &named);
    post.method = "POST";
    assert_eq!(post.send(&cloud).await.status, 404);
    assert_eq!(cloud.unexpected().len(), 3);
}

#[tokio::test]
async fn a_role_can_be_assumed_with_somebody_elses_token() {
    let cloud = cloud().await;
    let trn = cloud.add_role("prod", "reader").unwrap();
    let ask = |token: &str| Ask::with_oidc(&cloud, &trn, token);
    assert!(cloud.set_oidc_tokens(Vendor::Volcengine, "reader", &["first.jwt"]));
    let answer = ask("first.jwt").send(&cloud).await;
    let credentials = answer.result()["Credentials"].clone();
    let key = cloud.issued_keys(Vendor::Volcengine).remove(0);
    assert_eq!(
        in_china(&credentials["Expiration"]),
        key.expires.timestamp()
    );
    assert!(credentials.get("ExpiredTime").is_none());
    let listing = Ask::one(&cloud, LOCAL, "redis-1").signed_with(&key);
    assert_eq!(listing.send(&cloud).await.status, 200);

    assert!(cloud.set_oidc_tokens(Vendor::Volcengine, "reader", &["second.jwt"]));
    let code = async |ask: Ask| ask.send(&cloud).await.refusal().1;
    assert_eq!(code(ask("first.jwt")).await, "ExpiredOIDCToken");
    assert_eq!(code(ask("forged.jwt")).await, "InvalidOIDCToken");
    assert_eq!(ask("second.jwt").send(&cloud).await.status, 200);
    assert!(!cloud.set_oidc_tokens(Vendor::Volcengine, "nobody", &[]));
    assert_eq!(cloud.issued_keys(Vendor::Volcengine).len(), 2);
    assert_eq!(cloud.request_count("AssumeRoleWithOIDC"), 4);
    nothing_unexpected(&cloud);

    let mut in_address = ask("second.jwt");
    in_address
        .query
        .push(("OIDCToken".to_owned(), "second.jwt".to_owned()));
    assert_eq!(code(in_address).await, "ParamError");
    let mut get = ask("second.jwt");
    get.method = "GET";
    assert_eq!(code(get).await, "InvalidActionOrVersion");
    assert_eq!(cloud.unexpected().len(), 2);

    cloud.inject(Fault::new(FaultKind::Reset).operation("AssumeRoleWithOIDC"));
    assert!(ask("second.jwt").try_send(&cloud).await.is_none());
    let issued = cloud.issued_keys(Vendor::Volcengine).len();
    assert_eq!(issued, 2, "none for an answer that is replaced");
    let listing = Ask::one(&cloud, LOCAL, "redis-1");
    assert_eq!(
        listing.send(&cloud).await.status,
        200,
        "only the token service"
    );
}

const DIRECTORY: &str = "/volcstack/latest/iam/security_credentials";
const OF_READER: &str = "/volcstack/latest/iam/security_credentials/reader";
const TOKEN: &str = "x-volc-ecs-metadata-token";
const LIFETIME: &str = "x-volc-ecs-metadata-token-ttl-seconds";
const NAMES: [(&str, &str); 2] = [("type", "user"), ("format", "json")];

#[tokio::test]
async fn a_machine_gets_the_key_of_its_role() {
    let cloud = cloud().await;
    cloud.add_role("prod", "reader").unwrap();
    let put = || {
        Ask::metadata(
            &cloud,
            "PUT",
            "/latest/api/token",
            &[],
            &[(LIFETIME, "21600")],
        )
    };
    let token = put().send(&cloud).await.body;
    let sent = [(TOKEN, token.as_str())];
    let names = || Ask::metadata(&cloud, "GET", DIRECTORY, &NAMES, &sent);
    let key = || Ask::metadata(&cloud, "GET", OF_READER, &[], &sent);
    assert_eq!(names().send(&cloud).await.json(), json!([]), "no role yet");
    assert_eq!(key().send(&cloud).await.status, 404);
    assert!(cloud.attach_role(Vendor::Volcengine, "reader"));
    assert!(!cloud.attach_role(Vendor::Volcengine, "nobody"));
    assert_eq!(names().send(&cloud).await.json(), json!(["reader"]));
    let answer = key().send(&cloud).await.json();
    let issued = cloud.issued_keys(Vendor::Volcengine);
    assert_eq!(
        in_china(&answer["ExpiredTime"]),
        issued[0].expires.timestamp()
    );
    assert_eq!(answer["SecretAccessKey"], issued[0].secret);
    let listing = Ask::one(&cloud, LOCAL, "redis-1").signed_with(&issued[0]);
    assert_eq!(listing.send(&cloud).await.status, 200);
    assert_eq!(
        key().send(&cloud).await.json(),
        answer,
        "the same until it grows old"
    );
    cloud.clock().advance(HOUR * 3);
    assert_ne!(key().send(&cloud).await.json(), answer);
    assert_eq!(cloud.issued_keys(Vendor::Volcengine).len(), 2);
    cloud.clock().advance(HOUR * 4);
    assert_eq!(
        key().send(&cloud).await.status,
        401,
        "the token has expired"
    );
    assert_eq!(cloud.request_count("metadata-credentials"), 5);
    nothing_unexpected(&cloud);
    cloud.detach_role(Vendor::Volcengine);
    let token = put().send(&cloud).await.body;
    let sent = [(TOKEN, token.as_str())];
    let key = || Ask::metadata(&cloud, "GET", OF_READER, &[], &sent);
    assert_eq!(key().send(&cloud).await.status, 404);
    cloud.inject(
        Fault::new(FaultKind::Reset)
            .operation("metadata-token")
            .times(1),
    );
    assert!(put().try_send(&cloud).await.is_none());
    cloud.inject(Fault::new(FaultKind::ServerErrorJson).operation("metadata-credentials"));
    assert_eq!(key().send(&cloud).await.status, 500);
}

#[tokio::test]
async fn the_metadata_address_has_its_rules() {
    let cloud = cloud().await;
    let answered =
        async |method, target, query: &[(&str, &str)], headers: &[(&'static str, &str)]| {
            Ask::metadata(&cloud, method, target, query, headers)
                .send(&cloud)
                .await
        };
    let token = answered("PUT", "/latest/api/token", &[], &[(LIFETIME, "60")])
        .await
        .body;
    let mut broken = 0;
    let mut check =
        async |method, target, query: &[(&str, &str)], headers: &[(&'static str, &str)], status| {
            let answer = answered(method, target, query, headers).await;
            broken += 1;
            assert_eq!(answer.status, status, "{method} {target} {headers:?}");
            assert_eq!(cloud.unexpected().len(), broken, "{:?}", cloud.unexpected());
        };
    let sent = (TOKEN, token.as_str());
    check("PUT", "/latest/api/token", &[], &[], 400).await;
    check("PUT", "/latest/api/token", &[], &[(LIFETIME, "21601")], 400).await;
    check("POST", "/latest/api/token", &[], &[(LIFETIME, "60")], 405).await;
    check("GET", DIRECTORY, &NAMES, &[], 401).await;
    check("GET", DIRECTORY, &[("format", "json")], &[sent], 400).await;
    check("GET", DIRECTORY, &NAMES, &[sent, ("via", "1.1 proxy")], 403).await;
    check(
        "GET",
        DIRECTORY,
        &NAMES,
        &[sent, ("x-forwarded-for", "10.0.0.1")],
        403,
    )
    .await;
    let absolute = "http://100.96.0.96/volcstack/latest/iam/security_credentials";
    check("GET", absolute, &NAMES, &[sent], 403).await;
}

#[tokio::test]
async fn the_built_in_scenario_does_what_it_says() {
    let scenario = Scenario::named("volcengine-healthy").unwrap();
    let account = scenario.accounts[0].clone();
    let cloud = Cloud::start(scenario).await.unwrap();
    let signed = |mut ask: Ask| {
        (ask.key, ask.secret) = (
            account.access_key_id.clone(),
            account.access_key_secret.clone(),
        );
        ask
    };
    let answered = async |ask: Ask| signed(ask).send(&cloud).await;
    let instances = answered(Ask::new(&cloud, "DescribeDBInstances", &json!({})))
        .await
        .result();
    assert!(instances["TotalInstancesNum"].as_u64().unwrap() >= 3);
    let copies = answered(Ask::account_wide(&cloud, COPIES)).await.rows();
    let instances_copied: BTreeSet<_> = copies
        .iter()
        .map(|row| row["InstanceId"].to_string())
        .collect();
    assert!(instances_copied.len() >= 2);
    let local = answered(Ask::account_wide(&cloud, LOCAL)).await.rows();
    let with = |status: &str| local.iter().filter(|row| row["Status"] == status).count();
    assert!((1..=2).contains(&with("Unavailable")), "a failed night");
    let mut without_policy = 0;
    for instance in instances["Instances"].as_array().unwrap() {
        let id = instance["InstanceId"].as_str().unwrap();
        let ask = Ask::one(&cloud, "DescribeCrossRegionBackupPolicy", id);
        without_policy += usize::from(answered(ask).await.result()["Active"] == false);
    }
    assert_eq!(without_policy, 1);
    nothing_unexpected(&cloud);
}
