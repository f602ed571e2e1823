//! Huawei's face.

mod protection;

use std::time::Duration;

use chrono::{DateTime, SubsecRound, Utc};
use serde_json::{Value, json};
use sim::huawei::{
    Metadata, Oddity, POD_IDENTITY_PATH, Shape, empty_scenario, id_token, identity_provider,
    pod_token, project_id,
};
use sim::{
    Cloud, Engine, Fault, FaultKind, Instance, Logs, NoRows, Project, Scenario, Schedule,
    SessionToken, ThrottleHeader, Trouble, Undelivered, Vendor,
};

use crate::client::{
    Answer, DAY, HOUR, Header, canonical_request, exchange, joined, mac, message,
    nothing_unexpected, owned, set, sha256,
};

const KEY: &str = "HUAWEISIMULATEDTEST1";
const SECRET: &str = "SimulatedHuaweiTestSecret000000000000001";
const HOME: &str = "cn-north-4";
const AWAY: &str = "cn-east-3";

/// A request in the making; each test spoils what it is about.
#[derive(Clone)]
struct Ask {
    method: &'static str,
    /// In front of the target of the request line, as a proxy's clients put it.
    authority: &'static str,
    path: String,
    query: Vec<(String, String)>,
    /// Sent instead of the query that was signed.
    sent_query: Option<String>,
    key: String,
    secret: String,
    token: Option<String>,
    project: Option<String>,
    date: DateTime<Utc>,
    headers: Vec<Header>,
    body: String,
    /// Headers to leave out of the signature.
    unsigned: Vec<&'static str>,
    /// Path to sign instead of the right one.
    signed_path: Option<String>,
    /// No signature at all.
    anonymous: bool,
}

/// What this vendor's answers hold.
trait Content {
    fn rows(&self) -> Vec<Value>;
    fn refusal(&self) -> (u16, String);
    fn total(&self) -> u64;
}

impl Content for Answer {
    fn rows(&self) -> Vec<Value> {
        self.list(&self.json()["backups"])
    }

    fn refusal(&self) -> (u16, String) {
        self.refused(&self.json()["error_code"])
    }

    fn total(&self) -> u64 {
        self.json()["total_count"].as_u64().unwrap()
    }
}

fn spell(time: DateTime<Utc>) -> String {
    time.format("%Y-%m-%dT%H:%M:%S+0000").to_string()
}

fn time(value: &Value) -> DateTime<Utc> {
    let text = value.as_str().unwrap_or_else(|| panic!("no time: {value}"));
    let time = DateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%z").unwrap();
    time.to_utc()
}

impl Ask {
    fn new(cloud: &Cloud, path: String, parameters: &[(&str, &str)]) -> Self {
        Self {
            method: "GET",
            authority: "",
            path,
            query: owned(parameters),
            sent_query: None,
            key: KEY.to_owned(),
            secret: SECRET.to_owned(),
            token: None,
            project: None,
            date: cloud.clock().now(),
            headers: Vec::new(),
            body: String::new(),
            unsigned: Vec::new(),
            signed_path: None,
            anonymous: false,
        }
    }

    /// An operation of a project, asked of the project's region.
    fn of(cloud: &Cloud, region: &str, rest: &str, parameters: &[(&str, &str)]) -> Self {
        let project = project_id("test", region);
        let mut ask = Self::new(cloud, format!("/v3/{project}/{rest}"), parameters);
        ask.project = Some(project);
        ask
    }

    fn local(cloud: &Cloud, instance: &str) -> Self {
        Self::of(cloud, HOME, "backups", &[("instance_id", instance)])
    }

    fn off_site(cloud: &Cloud, region: &str, instance: &str, kind: &str) -> Self {
        let parameters = [("instance_id", instance), ("backup_type", kind)];
        Self::of(cloud, region, "offsite-backups", &parameters)
    }

    /// An unsigned request with a body.
    fn post(cloud: &Cloud, path: &str, body: &Value) -> Self {
        let mut ask = Self::new(cloud, path.to_owned(), &[]);
        ask.method = "POST";
        ask.anonymous = true;
        ask.headers = vec![("content-type", "application/json;charset=utf8".to_owned())];
        ask.body = body.to_string();
        ask
    }

    /// A request to the metadata service of a machine.
    fn metadata(cloud: &Cloud, method: &'static str, path: &str) -> Self {
        let mut ask = Self::new(cloud, path.to_owned(), &[]);
        ask.method = method;
        ask.anonymous = true;
        ask
    }

    /// The same with a parameter set, replaced, or removed if `value` is empty.
    fn with(mut self, name: &str, value: &str) -> Self {
        set(&mut self.query, name, value);
        self
    }

    fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// The same with a temporary key, as the clouds spell it.
    fn with_key(mut self, key: [&Value; 3]) -> Self {
        let [id, secret, token] = key.map(|part| part.as_str().unwrap().to_owned());
        (self.key, self.secret, self.token) = (id, secret, Some(token));
        self
    }

    fn all_headers(&self, host: &str) -> Vec<Header> {
        let mut headers = self.headers.clone();
        headers.push(("host", host.to_owned()));
        if self.anonymous {
            return headers;
        }
        headers.push(("x-sdk-date", self.date.format("%Y%m%dT%H%M%SZ").to_string()));
        if let Some(project) = &self.project {
            headers.push(("x-project-id", project.clone()));
        }
        if let Some(token) = &self.token {
            headers.push(("x-security-token", token.clone()));
        }
        headers.sort();
        headers
    }

    fn authorization(&self, headers: &[Header], query: &str) -> String {
        let path = self
            .signed_path
            .clone()
            .unwrap_or(format!("{}/", self.path));
        let start = [self.method, &path, query];
        let hash = sha256(&self.body);
        let (canonical, names) = canonical_request(start, headers, &self.unsigned, &hash);
        let to_sign = format!(
            "SDK-HMAC-SHA256\n{}\n{}",
            self.date.format("%Y%m%dT%H%M%SZ"),
            sha256(&canonical)
        );
        let signature = hex::encode(mac(self.secret.as_bytes(), &to_sign));
        format!(
            "SDK-HMAC-SHA256 Access={}, SignedHeaders={names}, Signature={signature}",
            self.key
        )
    }

    /// Target and headers, with the signature among them.
    fn signed(&self, host: &str) -> (String, Vec<Header>) {
        let query = joined(&self.query);
        let mut headers = self.all_headers(host);
        if !self.anonymous {
            let authorization = self.authorization(&headers, &query);
            headers.push(("authorization", authorization));
        }
        let query = self.sent_query.clone().unwrap_or(query);
        let mark = if query.is_empty() { "" } else { "?" };
        (format!("{}{mark}{query}", self.path), headers)
    }

    fn bytes(&self, host: &str) -> Vec<u8> {
        let (target, headers) = self.signed(host);
        let start = format!("{} {}{target}", self.method, self.authority);
        message(&start, &headers, &self.body)
    }

    /// Sends the request and reads until the cloud closes the connection.
    async fn send(self, cloud: &Cloud) -> Answer {
        self.try_send(cloud).await.expect("an answer")
    }

    /// `None` if the connection ends without an answer.
    async fn try_send(self, cloud: &Cloud) -> Option<Answer> {
        exchange(cloud, Vendor::Huawei, move |host| self.bytes(host)).await
    }
}

/// A cloud with one instance that is backed up daily and copied within an hour.
async fn cloud() -> Cloud {
    let cloud = Cloud::start(empty_scenario()).await.unwrap();
    // Noon, so that no full backup or copy comes into being while a test runs.
    cloud.clock().set("2026-06-15T12:00:30Z".parse().unwrap());
    cloud.set_rate_limit("test", None);
    cloud.add_instance(
        Instance::new("i1", HOME)
            .schedule(Schedule::every(DAY))
            .copied_to(AWAY, HOUR),
    );
    cloud
}

#[tokio::test]
async fn a_copy_looks_like_the_vendors_sample() {
    let cloud = cloud().await;
    let answer = Ask::off_site(&cloud, AWAY, "i1", "auto").send(&cloud).await;
    assert_eq!((answer.status, answer.total()), (200, 31));
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(answer.header("x-request-id").map(str::len), Some(32));
    let row = &answer.rows()[0];
    let expected = [
        ("type", json!("auto")),
        ("status", json!("COMPLETED")),
        ("datastore", json!({ "type": "MySQL", "version": "8.0" })),
        ("instance_id", json!("i1")),
        ("associated_with_ddm", json!(false)),
    ];
    for (field, value) in expected {
        assert_eq!(row[field], value, "{field}");
    }
    assert!(row["begin_time"].as_str().unwrap().ends_with("+0800"));
    assert!(time(&row["begin_time"]) < time(&row["end_time"]));
    // 5 GiB and up to a hundredth more, in KB.
    let size = row["size"].as_u64().unwrap();
    assert!((5 << 20..=(5 << 20) * 101 / 100).contains(&size), "{size}");
    for absent in ["databases", "min_data_volume_capacity_for_restore"] {
        assert!(row.get(absent).is_none(), "{absent}");
    }

    // The start of the copy is that of the set that it was made of; their ids differ.
    let local = Ask::local(&cloud, "i1").with("backup_type", "auto");
    let local = &local.send(&cloud).await.rows()[0];
    for field in ["name", "begin_time", "end_time", "size"] {
        assert_eq!(local[field], row[field], "{field}");
    }
    assert_ne!(local["id"], row["id"]);
    assert_eq!(local["min_data_volume_capacity_for_restore"], 40);
    nothing_unexpected(&cloud);
}

#[tokio::test]
async fn sql_server_has_its_own_ways() {
    let cloud = cloud().await;
    let mut schedule = Schedule::every(DAY);
    schedule.full_every = 7;
    cloud.add_instance(
        Instance::new("ms", HOME)
            .engine(Engine::SqlServer, "2019_SE")
            .schedule(schedule)
            .copied_to(AWAY, HOUR),
    );
    let noon = cloud.clock().now();
    assert!(cloud.add_huawei_manual_backup("ms", noon - 3 * HOUR));
    assert!(cloud.add_huawei_manual_backup("i1", noon - 3 * HOUR));
    let ask = async |ask: Ask| ask.send(&cloud).await;

    let copies = ask(Ask::off_site(&cloud, AWAY, "ms", "auto")).await.rows();
    assert_eq!(copies[0]["begin_time"], spell(noon - 3 * HOUR));
    assert_eq!(copies[0]["datastore"]["type"], "sqlserver");
    assert_eq!(copies[0]["databases"], json!([{ "name": "ms" }]));
    assert!(copies[0]["name"].as_str().unwrap().starts_with("backup-"));
    assert!(
        copies[1]["name"]
            .as_str()
            .unwrap()
            .starts_with("sqlserver-ms-2026")
    );
    assert!(copies.iter().all(|row| row["type"] == "auto"));
    assert!(copies.len() < 7, "differential sets are not copied");

    let local = |kind: &str| ask(Ask::local(&cloud, "ms").with("backup_type", kind));
    assert_eq!(local("manual").await.rows()[0]["type"], "manual");
    assert!(local("fragment").await.total() > 20);
    assert_eq!(
        local("fragment").await.rows()[0]["datastore"]["type"],
        "SQLServer"
    );
    // The status is heeded for this engine only.
    let failed = |id: &str| {
        let ask = Ask::local(&cloud, id).with("backup_type", "auto");
        ask.with("status", "FAILED").send(&cloud)
    };
    assert_eq!(
        (failed("ms").await.total(), failed("i1").await.total()),
        (0, 31)
    );
    // A manual backup of another engine stays at home.
    let copies = ask(Ask::off_site(&cloud, AWAY, "i1", "auto")).await;
    assert_eq!(copies.total(), 31);
    nothing_unexpected(&cloud);
}

#[tokio::test]
async fn only_the_destination_knows_the_copies() {
    let cloud = cloud().await;
    let ask = async |region: &str, rest: &str, parameters: &[(&str, &str)]| {
        Ask::of(&cloud, region, rest, parameters).send(&cloud).await
    };
    let listed = [("instance_id", "i1"), ("backup_type", "auto")];
    for elsewhere in [HOME, "cn-south-1"] {
        let answer = ask(elsewhere, "offsite-backups", &listed).await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.json(), json!({ "backups": [], "total_count": 0 }));
    }

    // The window that the source region tells is that of the local backups, which is wider.
    let window = async |region: &str, rest: &str| {
        let answer = ask(region, &format!("instances/i1/{rest}"), &[]).await;
        let windows = answer.json()["restore_time"].as_array().unwrap().clone();
        assert_eq!(windows.len(), 1, "{region} {rest}");
        ["start_time", "end_time"].map(|end| windows[0][end].as_i64().unwrap())
    };
    let (source, local) = (
        window(HOME, "offsite-restore-time"),
        window(HOME, "restore-time"),
    );
    let copied = window(AWAY, "offsite-restore-time").await;
    let (source, local) = (source.await, local.await);
    assert_eq!(source, local);
    let noon = cloud.clock().now().timestamp_millis();
    assert!(copied[1] < local[1] && noon - copied[1] >= 3_600_000);
    assert!(noon - local[1] < 300_000 && noon - local[0] > 30 * 86_400_000);
    let third = ask("cn-south-1", "instances/i1/offsite-restore-time", &[]).await;
    assert_eq!(third.refusal(), (404, "DBS.200002".to_owned()));

    // What belongs to the source is not to be had at the destination.
    for rest in [
        "instances/i1/backups/offsite-policy",
        "instances/i1/backups/policy",
        "instances/i1/restore-time",
    ] {
        assert_eq!(ask(AWAY, rest, &[]).await.status, 404, "{rest}");
        assert_eq!(ask(HOME, rest, &[]).await.status, 200, "{rest}");
    }
    let local = ask(AWAY, "backups", &[("instance_id", "i1")]).await;
    assert_eq!(local.status, 404);
    nothing_unexpected(&cloud);
}

#[tokio::test]
async fn a_region_in_front_of_the_path_is_that_regions_host() {
    let cloud = cloud().await;
    let ask = |host: &str| {
        let mut ask = Ask::off_site(&cloud, AWAY, "i1", "auto");
        ask.path = format!("/{host}{}", ask.path);
        ask.send(&cloud)
    };
    assert_eq!(ask(AWAY).await.total(), 31);
    // The project of one region at the host of another.
    assert_eq!(ask(HOME).await.refusal(), (403, "APIGW.0302".to_owned()));
    let regions: Vec<_> = cloud
        .requests()
        .into_iter()
        .map(|request| request.region)
        .collect();
    assert_eq!(regions, [Some(AWAY.to_owned()), Some(HOME.to_owned())]);
    // Signed without the segment, it is another request.
    let mut unsigned = Ask::off_site(&cloud, AWAY, "i1", "auto");
    unsigned.signed_path = Some(format!("{}/", unsigned.path));
    unsigned.path = format!("/{AWAY}{}", unsigned.path);
    assert_eq!(unsigned.send(&cloud).await.refusal().0, 401);
    nothing_unexpected(&cloud);
}

#[tokio::test]
async fn running_failed_and_leaving_backups_are_listed_at_home() {
    let cloud = cloud().await;
    let newest = Ask::local(&cloud, "i1")
        .with("backup_type", "auto")
        .send(&cloud)
        .await;
    let (begin, end) = (
        time(&newest.rows()[0]["begin_time"]),
        time(&newest.rows()[0]["end_time"]),
    );
    let oldest = time(&newest.rows()[30]["end_time"]);
    assert!(cloud.fail_backup("i1", begin));
    let statuses = async |now: DateTime<Utc>| {
        cloud.clock().set(now);
        let local = Ask::local(&cloud, "i1").with("backup_type", "auto");
        let rows = local.send(&cloud).await.rows();
        let status = |row: &Value| row["status"].as_str().unwrap().to_owned();
        (status(&rows[0]), status(&rows[rows.len() - 1]), rows)
    };
    let (newest, _, rows) = statuses(begin + Duration::from_secs(1)).await;
    assert_eq!(newest, "BUILDING");
    assert_eq!(
        (&rows[0]["end_time"], &rows[0]["size"]),
        (&Value::Null, &json!(0))
    );
    let (newest, _, rows) = statuses(end).await;
    assert_eq!(newest, "FAILED");
    assert_eq!(
        (time(&rows[0]["end_time"]), &rows[0]["size"]),
        (end, &json!(0))
    );
    let retention = 31 * DAY;
    let (_, leaving, _) = statuses(oldest + retention + Duration::from_secs(60)).await;
    assert_eq!(leaving, "DELETING");
    let (_, left, _) = statuses(oldest + retention + HOUR).await;
    assert_eq!(left, "COMPLETED");
    let copies = Ask::off_site(&cloud, AWAY, "i1", "auto")
        .send(&cloud)
        .await
        .rows();
    assert!(copies.iter().all(|row| row["status"] == "COMPLETED"));
    assert!(copies.iter().all(|row| time(&row["begin_time"]) != begin));
    // Without a schedule a failed one appears at that moment.
    cloud.add_instance(Instance::new("i2", HOME));
    assert!(cloud.fail_backup("i2", begin));
    let row = &Ask::local(&cloud, "i2").send(&cloud).await.rows()[0];
    assert_eq!(
        (&row["status"], time(&row["begin_time"])),
        (&json!("FAILED"), begin)
    );
    nothing_unexpected(&cloud);
}

#[tokio::test]
async fn logs_are_backed_up_every_five_minutes() {
    let cloud = cloud().await;
    // Answers know no parts of a second.
    let now = cloud.clock().now().trunc_subsecs(0);
    let hour = |ask: Ask| {
        let ask = ask.with("begin_time", &spell(now - HOUR));
        ask.with("end_time", &spell(now)).send(&cloud)
    };
    let all = Ask::local(&cloud, "i1")
        .with("backup_type", "incremental")
        .send(&cloud)
        .await;
    assert_eq!((all.total(), all.rows().len()), (31 * 288, 100));
    let logs = || Ask::local(&cloud, "i1").with("backup_type", "incremental");
    let copied = || Ask::off_site(&cloud, AWAY, "i1", "incremental");
    assert_eq!(hour(logs()).await.total(), 11);
    assert_eq!(
        hour(copied()).await.total(),
        0,
        "they are copied after an hour"
    );
    assert_eq!(copied().send(&cloud).await.total(), 31 * 288);
    let everything = Ask::local(&cloud, "i1").send(&cloud).await;
    assert_eq!(everything.total(), 31 * 288 + 31);

    // An idle database: the files go on, what is in them does not.
    assert!(cloud.set_idle("i1", Some(now - 2 * HOUR)));
    let rows = hour(logs()).await.rows();
    assert!(
        rows.iter()
            .all(|row| time(&row["end_time"]) == now - 2 * HOUR)
    );
    assert!(cloud.set_idle("i1", None));

    // A gap of half an hour, which divides the times that can be restored to.
    assert!(cloud.stop_logs("i1"));
    cloud.clock().advance(HOUR / 2);
    assert!(cloud.resume_logs("i1"));
    cloud.clock().advance(2 * DAY);
    let windows = Ask::of(&cloud, HOME, "instances/i1/restore-time", &[])
        .send(&cloud)
        .await;
    assert_eq!(windows.json()["restore_time"].as_array().unwrap().len(), 2);
    let day = cloud.clock().now().format("%Y-%m-%d").to_string();
    let today = [("date", day.as_str())];
    let windows = Ask::of(&cloud, HOME, "instances/i1/restore-time", &today)
        .send(&cloud)
        .await;
    let window = windows.json()["restore_time"][0].clone();
    assert_eq!(window["start_time"].as_i64().unwrap() % 86_400_000, 0);
    assert!(
        !cloud.stop_logs("none") && !cloud.resume_logs("none") && !cloud.set_idle("none", None)
    );
    nothing_unexpected(&cloud);
}

#[tokio::test]
async fn pages_are_counted_in_rows() {
    let cloud = cloud().await;
    let mut instance = Instance::new("i2", HOME)
        .schedule(Schedule::every(HOUR))
        .copied_to(AWAY, HOUR);
    instance.retention = HOUR * 250;
    cloud.add_instance(instance);
    let page = async |offset: &str, limit: &str| {
        let ask = Ask::off_site(&cloud, AWAY, "i2", "auto").with("offset", offset);
        let answer = ask.with("limit", limit).send(&cloud).await;
        assert_eq!(answer.total(), 250);
        answer.rows()
    };
    let mut ids = Vec::new();
    for (offset, rows) in [("", 100), ("100", 100), ("200", 50), ("250", 0)] {
        let page = page(offset, "").await;
        assert_eq!(page.len(), rows);
        ids.extend(
            page.iter()
                .map(|row| row["id"].as_str().unwrap().to_owned()),
        );
    }
    let newest = ids[0].clone();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 250);
    assert_eq!(page("1", "7").await.len(), 7);
    let one = Ask::off_site(&cloud, AWAY, "i2", "auto").with("backup_id", &newest);
    assert_eq!(one.send(&cloud).await.total(), 1);
    nothing_unexpected(&cloud);
}

/// Requests that break a rule of the listings.
#[tokio::test]
async fn parameters_are_checked() {
    let cloud = cloud().await;
    let valid = Ask::off_site(&cloud, AWAY, "i1", "auto")
        .with("begin_time", "2026-06-01T00:00:00+0800")
        .with("end_time", "2026-06-02T00:00:00+0000");
    assert_eq!(valid.clone().send(&cloud).await.total(), 1);
    nothing_unexpected(&cloud);
    let mut rows = vec![
        ("instance_id", "", "instance_id is missing"),
        ("backup_type", "", "backup_type is missing"),
        ("backup_type", "manual", "backup_type is \"manual\""),
        ("limit", "101", "limit is \"101\""),
        ("limit", "0", "limit is \"0\""),
        ("offset", "-1", "offset is \"-1\""),
        ("end_time", "", "begin_time is there without end_time"),
        ("begin_time", "", "end_time is there without begin_time"),
        (
            "begin_time",
            "2026-06-03T00:00:00+0000",
            "end_time is not later than begin_time",
        ),
        (
            "begin_time",
            "2026-06-01T00:00:00Z",
            "begin_time is \"2026-06-01T00:00:00Z\"",
        ),
        (
            "begin_time",
            "2026-06-01T00:00:00+00:00",
            "begin_time is \"2026-06-01T00:00:00+00:00\"",
        ),
    ];
    for (name, value, rule) in &rows {
        let answer = valid.clone().with(name, value).send(&cloud).await;
        assert_eq!(answer.refusal(), (400, "DBS.280001".to_owned()), "{rule}");
    }
    // A bare plus is a blank to the service.
    let mut bare = valid.clone();
    let sent = "backup_type=auto&instance_id=i1&begin_time=2026-06-01T00:00:00+0000&end_time=2026-06-02T00:00:00+0000";
    bare = bare.with("begin_time", "2026-06-01T00:00:00+0000");
    bare.sent_query = Some(sent.to_owned());
    let answer = bare.send(&cloud).await;
    assert_eq!(answer.refusal(), (400, "DBS.280001".to_owned()));
    rows.push(("", "", "begin_time is \"2026-06-01T00:00:00 0000\""));
    // Unknown parameters are ignored; mistakes all the same.
    let answer = valid.clone().with("status", "FAILED").send(&cloud).await;
    assert_eq!(answer.total(), 1);
    rows.push(("", "", "unknown parameter \"status\""));
    let expected: Vec<_> = rows
        .iter()
        .map(|(_, _, rule)| format!("ListOffSiteBackups: {rule}"))
        .collect();
    assert_eq!(cloud.unexpected(), expected);
}

#[tokio::test]
async fn other_paths_and_methods_are_not_published() {
    let cloud = cloud().await;
    let mut asks = vec![
        Ask::of(&cloud, HOME, "offsite-backups/", &[]),
        Ask::of(&cloud, HOME, "nothing", &[]),
        Ask::new(&cloud, "/".to_owned(), &[]),
        Ask::local(&cloud, "i1"),
    ];
    asks[3].method = "POST";
    for ask in asks {
        assert_eq!(
            ask.send(&cloud).await.refusal(),
            (404, "APIGW.0101".to_owned())
        );
    }
    assert_eq!(cloud.unexpected().len(), 4);
}

/// Requests that are refused before any operation, and the rule that they break, if any.
#[tokio::test]
async fn who_cannot_be_authenticated_is_refused() {
    let cloud = cloud().await;
    let mut rows: Vec<(Ask, &str, &str)> = Vec::new();
    let mut row = |message, rule, spoil: &dyn Fn(&mut Ask)| {
        let mut ask = Ask::local(&cloud, "i1");
        spoil(&mut ask);
        rows.push((ask, message, rule));
    };
    row(
        "Get secretKey failed,ak:nobody,err:ak not exist",
        "",
        &|ask| {
            ask.key = "nobody".to_owned();
        },
    );
    row("verify aksk signature fail", "", &|ask| {
        ask.secret = "wrong".to_owned();
    });
    row("signature expired", "", &|ask| {
        ask.date -= Duration::from_secs(960);
    });
    row("signature expired", "", &|ask| {
        ask.date += Duration::from_secs(960);
    });
    row("decrypt token fail", "", &|ask| {
        ask.token = Some("none".to_owned());
    });
    row(
        "x-auth-token not found",
        "header authorization is missing",
        &|ask| ask.anonymous = true,
    );
    row(
        "verify aksk signature fail",
        "header x-sdk-date is not signed",
        &|ask| {
            ask.unsigned = vec!["x-sdk-date"];
        },
    );
    row(
        "verify aksk signature fail",
        "the path was signed without the slash at its end",
        &|ask| ask.signed_path = Some(ask.path.clone()),
    );
    let mut expected = Vec::new();
    for (ask, message, rule) in rows {
        let answer = ask.send(&cloud).await;
        assert_eq!(
            answer.refusal(),
            (401, "APIGW.0301".to_owned()),
            "{message}"
        );
        assert!(answer.body.contains(message), "{}", answer.body);
        if !rule.is_empty() {
            expected.push(format!("ListBackups: {rule}"));
        }
    }
    assert_eq!(cloud.unexpected(), expected);
    assert!(
        cloud
            .requests()
            .iter()
            .all(|request| request.verdict.status == Some(401))
    );
    // The host need not be signed, and 14 minutes are no reason.
    let mut ask = Ask::local(&cloud, "i1");
    ask.unsigned = vec!["host"];
    ask.date -= Duration::from_secs(840);
    assert_eq!(ask.send(&cloud).await.status, 200);
    assert!(cloud.requests().last().unwrap().signature_valid);
    // What says for whom a request is has to be signed, although it is answered without.
    let mut ask = Ask::local(&cloud, "i1");
    ask.unsigned = vec!["x-project-id"];
    assert_eq!(ask.send(&cloud).await.status, 200);
    expected.push("ListBackups: header x-project-id is not signed".to_owned());
    assert_eq!(cloud.unexpected(), expected);
}

#[tokio::test]
async fn the_refusal_of_a_signature_repeats_what_was_signed() {
    let cloud = cloud().await;
    let token = SessionToken {
        value: "golden+token==".to_owned(),
        expires: None,
    };
    cloud.add_key("test", "HST3", "temporary", Some(token));
    let mut ask = Ask::local(&cloud, "i1");
    (ask.key, ask.secret, ask.token) = (
        "HST3".to_owned(),
        "wrong".to_owned(),
        Some("golden+token==".to_owned()),
    );
    let body = ask.send(&cloud).await.body;
    for part in [
        "canonicalRequest:GET|/v3/",
        "|x-security-token:golden+token==|",
    ] {
        assert!(body.contains(part), "{body}");
    }
    nothing_unexpected(&cloud);
}

#[tokio::test]
async fn six_failures_in_a_row_lock_a_key_for_five_minutes() {
    let cloud = cloud().await;
    let ask = |secret: &str| {
        let mut ask = Ask::local(&cloud, "i1");
        ask.secret = secret.to_owned();
        ask.send(&cloud)
    };
    for _ in 0..2 {
        for _ in 0..5 {
            assert_eq!(ask("wrong").await.status, 401);
        }
        assert_eq!(
            ask(SECRET).await.status,
            200,
            "a success begins the count anew"
        );
    }
    for _ in 0..6 {
        assert!(
            ask("wrong")
                .await
                .body
                .contains("verify aksk signature fail")
        );
    }
    let locked = ask(SECRET).await;
    assert!(
        locked
            .body
            .contains("AK access failed to reach the limit,forbidden")
    );
    assert_eq!(locked.refusal(), (401, "APIGW.0301".to_owned()));
    cloud.clock().advance(Duration::from_secs(301));
    assert_eq!(ask(SECRET).await.status, 200);
    // A rotated and a disabled key.
    assert!(cloud.set_secret(KEY, "new"));
    assert_eq!(ask(SECRET).await.status, 401);
    assert_eq!(ask("new").await.status, 200);
    assert!(cloud.disable_key(KEY));
    assert_eq!(ask("new").await.status, 401);
    nothing_unexpected(&cloud);
}

#[tokio::test]
async fn sixty_calls_a_minute_are_for_everything() {
    let cloud = Cloud::start(empty_scenario()).await.unwrap();
    cloud.add_instance(Instance::new("i1", HOME));
    let ask = |number: usize| {
        let rest = ["backups", "instances"][number % 2];
        let parameters: &[_] = if rest == "backups" {
            &[("instance_id", "i1")]
        } else {
            &[]
        };
        Ask::of(&cloud, HOME, rest, parameters).send(&cloud)
    };
    for number in 0..60 {
        assert_eq!(ask(number).await.status, 200, "{number}");
    }
    let refused = ask(0).await;
    assert_eq!(refused.refusal(), (429, "APIGW.0308".to_owned()));
    assert!(
        refused
            .body
            .contains("policy user over ratelimit,limit:60,time:1 minute")
    );
    assert_eq!(refused.header("retry-after"), None);
    cloud.clock().advance(Duration::from_secs(60));
    assert_eq!(ask(0).await.status, 200);
    cloud.set_rate_limit("test", Some(1));
    assert_eq!(ask(1).await.status, 429);
    cloud.set_rate_limit("test", None);
    assert_eq!(ask(1).await.status, 200);
    nothing_unexpected(&cloud);
}

#[tokio::test]
async fn permissions_and_owners_are_told_apart_as_little_as_by_the_vendor() {
    let cloud = cloud().await;
    cloud.add_key("other", "OTHER", "secret", None);
    cloud.add_instance(Instance::new("foreign", HOME).account("other"));
    let missing = Ask::local(&cloud, "none").send(&cloud).await;
    assert_eq!(missing.refusal(), (404, "DBS.200002".to_owned()));
    let foreign = Ask::local(&cloud, "foreign").send(&cloud).await;
    assert_eq!(foreign.refusal(), (403, "DBS.200010".to_owned()));
    cloud.deny("test", "ListBackups");
    let denied = Ask::local(&cloud, "i1").send(&cloud).await;
    assert_eq!(denied.refusal(), (403, "DBS.200010".to_owned()));
    assert!(denied.json()["encoded_authorization_message"].is_string());
    cloud.allow("test", "ListBackups");
    assert_eq!(Ask::local(&cloud, "i1").send(&cloud).await.status, 200);
    // Keys of accounts with another vendor are not known here.
    let mut ask = Ask::local(&cloud, "i1");
    (ask.key, ask.secret) = ("OTHER".to_owned(), "secret".to_owned());
    assert_eq!(ask.send(&cloud).await.status, 401);
    assert!(cloud.remove_instance("i1"));
    let gone = Ask::off_site(&cloud, AWAY, "i1", "auto").send(&cloud).await;
    assert_eq!(gone.status, 404);
    nothing_unexpected(&cloud);
}

#[tokio::test]
async fn projects_are_looked_up_by_name() {
    let cloud = cloud().await;
    let list = async |name: &str| {
        let ask = Ask::new(&cloud, "/v3/projects".to_owned(), &[]).with("name", name);
        let answer = ask.send(&cloud).await;
        let projects = answer.json()["projects"].as_array().unwrap().clone();
        let name_and_id = |project: &Value| {
            let field = |name: &str| project[name].as_str().unwrap().to_owned();
            (
                field("name"),
                field("id"),
                project["enabled"].as_bool().unwrap(),
            )
        };
        projects.iter().map(name_and_id).collect::<Vec<_>>()
    };
    let own = |name: &str| (name.to_owned(), project_id("test", name), true);
    assert_eq!(list(HOME).await, [own(HOME)]);
    // A region that nothing is in yet.
    assert_eq!(list("tr-central-201").await, [own("tr-central-201")]);
    assert_eq!(list("nowhere").await, []);
    cloud.remove_huawei_project("test", AWAY);
    assert_eq!(list(AWAY).await, []);
    // A division, which is found with the region's and holds no instances.
    cloud.add_huawei_project("test", Project::new("cn-north-4_team"));
    assert_eq!(list(HOME).await, [own("cn-north-4_team"), own(HOME)]);
    let team = |ask: Ask| Ask {
        project: None,
        path: ask.path.replace(
            &project_id("test", HOME),
            &project_id("test", "cn-north-4_team"),
        ),
        ..ask
    };
    assert_eq!(
        team(Ask::local(&cloud, "i1")).send(&cloud).await.status,
        404
    );
    let instances = team(Ask::of(&cloud, HOME, "instances", &[]))
        .send(&cloud)
        .await;
    assert_eq!(instances.total(), 0);
    // A disabled one, and a second one of the same name.
    let disabled = Project {
        enabled: false,
        ..Project::new("cn-south-1")
    };
    cloud.add_huawei_project("test", disabled);
    assert!(!list("cn-south-1").await[0].2);
    let refused = Ask::of(&cloud, "cn-south-1", "instances", &[])
        .send(&cloud)
        .await;
    assert_eq!(refused.refusal(), (403, "APIGW.0302".to_owned()));
    let second = Project {
        id: Some("second".to_owned()),
        ..Project::new("cn-south-1")
    };
    cloud.add_huawei_project("test", second);
    assert_eq!(list("cn-south-1").await.len(), 2);
    let all = Ask::new(&cloud, "/v3/auth/projects".to_owned(), &[])
        .send(&cloud)
        .await;
    let all = all.json()["projects"].as_array().unwrap().len();
    assert_eq!(
        all,
        [
            "_team",
            HOME,
            "cn-south-1",
            "second",
            "tr-central-201",
            "MOS"
        ]
        .len()
    );
    nothing_unexpected(&cloud);
    cloud.deny("test", "KeystoneListProjects");
    let mut ask = Ask::new(&cloud, "/v3/projects".to_owned(), &[]);
    let denied = ask.clone().send(&cloud).await;
    assert_eq!(
        (denied.status, &denied.json()["error"]["title"]),
        (403, &json!("Forbidden"))
    );
    cloud.allow("test", "KeystoneListProjects");
    ask.project = Some(project_id("test", HOME));
    assert_eq!(ask.send(&cloud).await.status, 200);
    assert_eq!(
        cloud.unexpected(),
        ["KeystoneListProjects: header x-project-id is there"]
    );
}

#[tokio::test]
async fn a_project_in_the_header_is_that_in_the_path() {
    let cloud = cloud().await;
    let discover = |project: Option<String>| {
        let mut ask = Ask::new(
            &cloud,
            "/v3/backups/offsite-backup-instance".to_owned(),
            &[],
        );
        ask.project = project;
        ask.send(&cloud)
    };
    let expected = json!([{
        "id": "i1",
        "name": "i1",
        "source_region": HOME,
        "source_project_id": project_id("test", HOME),
        "datastore": { "type": "MySQL", "version": "8.0" },
        "destination_region": AWAY,
        "destination_project_id": project_id("test", AWAY),
        "keep_days": 31,
    }]);
    for region in [HOME, AWAY] {
        let answer = discover(Some(project_id("test", region))).await;
        assert_eq!(answer.json()["offsite_backup_instances"], expected);
    }
    let third = discover(Some(project_id("test", "cn-south-1"))).await;
    assert_eq!(third.total(), 0);
    let foreign = discover(Some("0483b6b16e954cb88930a360d2c4e663".to_owned())).await;
    assert_eq!(foreign.refusal(), (403, "APIGW.0302".to_owned()));
    nothing_unexpected(&cloud);
    assert_eq!(discover(None).await.status, 400);
    let mut ask = Ask::local(&cloud, "i1");
    ask.project = Some(project_id("test", AWAY));
    assert_eq!(ask.send(&cloud).await.status, 200);
    assert_eq!(
        cloud.unexpected(),
        [
            "ListOffSiteInstances: header x-project-id is missing",
            "ListBackups: x-project-id is not the project in the path"
        ]
    );
}

#[tokio::test]
async fn a_policy_that_is_off_has_another_shape() {
    let cloud = cloud().await;
    let mut bare = Instance::new("bare", HOME)
        .schedule(Schedule::every(DAY))
        .copied_to(AWAY, HOUR);
    bare.logs = Logs {
        copied: false,
        ..Logs::default()
    };
    cloud.add_instance(bare);
    cloud.add_instance(Instance::new("never", HOME));
    let policy = async |id: &str| {
        let rest = format!("instances/{id}/backups/offsite-policy");
        let answer = Ask::of(&cloud, HOME, &rest, &[]).send(&cloud).await;
        answer.json()["policy_para"].clone()
    };
    let element = |kind: &str| {
        json!({
            "backup_type": kind,
            "keep_days": 31,
            "destination_region": AWAY,
            "destination_project_id": project_id("test", AWAY),
        })
    };
    assert_eq!(
        policy("i1").await,
        json!([element("auto"), element("incremental")])
    );
    assert_eq!(policy("bare").await, json!([element("auto")]));
    assert_eq!(policy("never").await, json!({ "keep_days": 0 }));
    let copies = async |kind: &str| {
        Ask::off_site(&cloud, AWAY, "i1", kind)
            .send(&cloud)
            .await
            .total()
    };
    assert!(cloud.switch_policy_off("i1"));
    assert_eq!(policy("i1").await, json!({ "keep_days": 0 }));
    assert_eq!((copies("auto").await, copies("incremental").await), (31, 0));
    cloud.clock().advance(3 * DAY);
    assert_eq!(copies("auto").await, 28);
    assert!(cloud.switch_policy_on("i1") && !cloud.switch_policy_on("none"));
    assert_eq!(policy("i1").await[1], element("incremental"));
    let window = Ask::of(&cloud, HOME, "instances/i1/backups/policy", &[])
        .send(&cloud)
        .await;
    let expected =
        json!({ "keep_days": 31, "start_time": "00:00-01:00", "period": "1,2,3,4,5,6,7" });
    assert_eq!(window.json()["backup_policy"], expected);
    nothing_unexpected(&cloud);
}

#[tokio::test]
async fn instances_are_listed_and_filtered() {
    let cloud = cloud().await;
    cloud.add_instance(Instance::new("pg", HOME).engine(Engine::PostgreSql, "15"));
    let replica = json!({ "type": "Replica", "status": "STORAGE FULL" });
    assert!(cloud.change_huawei_instance("pg", replica.as_object().unwrap().clone()));
    let ids = async |parameters: &[(&str, &str)]| {
        let answer = Ask::of(&cloud, HOME, "instances", parameters)
            .send(&cloud)
            .await;
        let rows = answer.json()["instances"].as_array().unwrap().clone();
        let ids: Vec<_> = rows
            .iter()
            .map(|row| row["id"].as_str().unwrap().to_owned())
            .collect();
        ids.join(" ")
    };
    assert_eq!(ids(&[]).await, "i1 pg");
    assert_eq!(ids(&[("datastore_type", "PostgreSQL")]).await, "pg");
    assert_eq!(ids(&[("datastore_type", "postgresql")]).await, "");
    assert_eq!(ids(&[("type", "Replica")]).await, "pg");
    assert_eq!(ids(&[("name", "*g")]).await, "pg");
    assert_eq!(ids(&[("id", "i1")]).await, "i1");
    assert_eq!(ids(&[("offset", "1"), ("limit", "1")]).await, "pg");
    let answer = Ask::of(&cloud, HOME, "instances", &[]).send(&cloud).await;
    let row = &answer.json()["instances"][0];
    let strategy = json!({ "start_time": "00:00-01:00", "keep_days": 31 });
    assert_eq!(row["backup_strategy"], strategy);
    assert_eq!(row["status"], "ACTIVE");
    nothing_unexpected(&cloud);
}

#[tokio::test]
async fn rows_can_be_stated_as_odd_as_one_likes() {
    let cloud = cloud().await;
    cloud.add_instance(Instance::new("i2", HOME).copied_to(AWAY, HOUR));
    let odd = json!({ "id": "e3br01", "type": "snapshot", "size": 9_007_199_254_740_993_u64, "begin_time": "" });
    let log =
        json!({ "id": "e4br01", "type": "incremental", "begin_time": "2026-06-15T11:00:00Z" });
    assert!(cloud.add_huawei_offsite_row("i2", AWAY, odd.clone()));
    assert!(cloud.add_huawei_offsite_row("i2", AWAY, log.clone()));
    assert!(cloud.add_huawei_local_row("i2", odd.clone()));
    assert!(!cloud.add_huawei_local_row("none", odd.clone()));
    let off_site = async |kind: &str| {
        let ask = Ask::off_site(&cloud, AWAY, "i2", kind)
            .with("begin_time", "2026-06-15T10:00:00+0000")
            .with("end_time", "2026-06-15T12:00:00+0000");
        ask.send(&cloud).await.rows()
    };
    assert_eq!(off_site("auto").await, std::slice::from_ref(&odd));
    assert_eq!(off_site("incremental").await, [log]);
    assert_eq!(Ask::local(&cloud, "i2").send(&cloud).await.rows(), [odd]);
    nothing_unexpected(&cloud);
}

/// An answer with a temporary key, and where its parts are.
fn usable(cloud: &Cloud, key: &Value, names: [&str; 3]) -> Ask {
    Ask::local(cloud, "i1").with_key(names.map(|name| &key[name]))
}

const OLD_NAMES: [&str; 3] = ["access", "secret", "securitytoken"];
const NEW_NAMES: [&str; 3] = ["access_key_id", "secret_access_key", "security_token"];

#[tokio::test]
async fn an_id_token_becomes_a_key_in_two_steps() {
    let cloud = cloud().await;
    let first = |provider: &str, token: &str| {
        let body = json!({ "auth": { "id_token": { "id": token } } });
        Ask::post(&cloud, "/v3.0/OS-AUTH/id-token/tokens", &body)
            .header("x-idp-id", provider)
            .send(&cloud)
    };
    let second = |token: &str, seconds: Value| {
        let token = json!({ "id": token, "duration_seconds": seconds });
        let body = json!({ "auth": { "identity": { "methods": ["token"], "token": token } } });
        Ask::post(&cloud, "/v3.0/OS-CREDENTIAL/securitytokens", &body).send(&cloud)
    };
    let answer = first(&identity_provider("test"), &id_token("test")).await;
    assert_eq!(answer.status, 201);
    let token = answer.header("x-subject-token").unwrap();
    let answer = second(token, json!(900)).await;
    assert_eq!(answer.status, 201);
    let key = answer.json()["credential"].clone();
    // Microseconds, without which one of the vendor's clients fails.
    assert_eq!(key["expires_at"].as_str().unwrap().len(), 27);
    assert_eq!(
        usable(&cloud, &key, OLD_NAMES).send(&cloud).await.status,
        200
    );
    let mut tokenless = usable(&cloud, &key, OLD_NAMES);
    tokenless.token = None;
    assert!(tokenless.send(&cloud).await.body.contains("ak not exist"));
    cloud.clock().advance(Duration::from_secs(901));
    let expired = usable(&cloud, &key, OLD_NAMES).send(&cloud).await;
    assert!(
        expired.body.contains("decrypt token fail"),
        "{}",
        expired.body
    );

    let unknown = first("nobody", &id_token("test")).await;
    assert_eq!(
        (unknown.status, &unknown.json()["error"]["code"]),
        (404, &json!(404))
    );
    assert_eq!(
        first(&identity_provider("test"), "forged").await.status,
        401
    );
    assert_eq!(second("forged", json!("3600")).await.status, 401);
    cloud.set_huawei_id_token("test", "renewed");
    assert_eq!(
        first(&identity_provider("test"), &id_token("test"))
            .await
            .status,
        401
    );
    assert_eq!(
        first(&identity_provider("test"), "renewed").await.status,
        201
    );
    cloud.expire_huawei_tokens();
    assert_eq!(second(token, json!(900)).await.status, 401);
    nothing_unexpected(&cloud);
    assert_eq!(second(token, json!(60)).await.status, 400);
    assert_eq!(cloud.unexpected().len(), 1);
}

#[tokio::test]
async fn an_id_token_becomes_a_key_at_once() {
    let cloud = cloud().await;
    let body = json!({
        "provider_urn": "iam::test:oidc-provider:sim",
        "agency_urn": "iam::test:agency:backup-exporter",
        "agency_session_name": "exporter",
        "id_token": id_token("test"),
        "duration_seconds": 3600,
    });
    let ask = |body: &Value| Ask::post(&cloud, "/v5/agencies/assume-with-oidc", body).send(&cloud);
    let answer = ask(&body).await;
    let key = answer.json()["credentials"].clone();
    assert_eq!(answer.status, 200, "{}", answer.body);
    let expires: DateTime<Utc> = key["expiration"].as_str().unwrap().parse().unwrap();
    let lives = expires - cloud.clock().now();
    assert!((3590..=3600).contains(&lives.num_seconds()));
    assert_eq!(
        usable(&cloud, &key, NEW_NAMES).send(&cloud).await.status,
        200
    );
    let mut forged = body.clone();
    forged["id_token"] = json!("forged");
    assert_eq!(ask(&forged).await.status, 401);
    nothing_unexpected(&cloud);
    let mut nameless = body.clone();
    nameless["agency_urn"] = json!("");
    assert_eq!(ask(&nameless).await.status, 400);
    assert_eq!(
        cloud.unexpected(),
        ["AssumeAgencyWithOIDC: /agency_urn is missing in the body"]
    );
}

#[tokio::test]
async fn a_pod_gets_a_key_for_its_token() {
    let cloud = cloud().await;
    let ask = |token: &str| {
        let ask = Ask::post(&cloud, POD_IDENTITY_PATH, &json!({}));
        ask.header("authorization", token).send(&cloud)
    };
    let key = ask(&pod_token("test")).await.json()["credential"].clone();
    assert_eq!(
        usable(&cloud, &key, OLD_NAMES).send(&cloud).await.status,
        200
    );
    assert_eq!(ask("forged").await.status, 401);
    cloud.set_huawei_pod_token("test", "renewed");
    assert_eq!(ask(&pod_token("test")).await.status, 401);
    assert_eq!(ask("renewed").await.status, 200);
    nothing_unexpected(&cloud);
}

#[tokio::test]
async fn a_machine_gets_the_key_of_its_agency() {
    let cloud = cloud().await;
    let token = |seconds: &str| {
        let ask = Ask::metadata(&cloud, "PUT", "/meta-data/latest/api/token");
        ask.header("x-metadata-token-ttl-seconds", seconds)
            .send(&cloud)
    };
    let key = |token: &str| {
        let mut ask = Ask::metadata(&cloud, "GET", "/openstack/latest/securitykey");
        if !token.is_empty() {
            ask = ask.header("x-metadata-token", token);
        }
        ask.send(&cloud)
    };
    let given = token("21600").await;
    assert_eq!(given.status, 200);
    let first = key(&given.body).await.json()["credential"].clone();
    assert_eq!(
        usable(&cloud, &first, OLD_NAMES).send(&cloud).await.status,
        200
    );
    assert_eq!(
        key(&given.body).await.json()["credential"],
        first,
        "it is kept for a while"
    );
    assert_eq!(
        (key("").await.status, key("forged").await.status),
        (401, 401)
    );
    cloud.clock().advance(6 * HOUR);
    assert_eq!(key(&given.body).await.status, 401, "the token has ended");
    cloud.clock().advance(17 * HOUR);
    let token_again = token("60").await.body;
    let second = key(&token_again).await.json()["credential"].clone();
    assert_ne!(second["access"], first["access"]);
    assert_eq!(
        usable(&cloud, &first, OLD_NAMES).send(&cloud).await.status,
        200
    );

    cloud.set_huawei_metadata(Metadata::TokensOptional);
    assert_eq!(
        (key("").await.status, key("forged").await.status),
        (200, 401)
    );
    cloud.set_huawei_metadata(Metadata::WithoutTokens);
    assert_eq!((token("60").await.status, key("").await.status), (404, 200));
    cloud.set_huawei_key_lifetime(Duration::from_secs(600));
    let short = key("").await.json()["credential"].clone();
    cloud.clock().advance(Duration::from_secs(301));
    assert_ne!(key("").await.json()["credential"], short);
    cloud.set_huawei_agency(None);
    let none = key("").await;
    assert_eq!(none.status, 401);
    assert!(
        none.body
            .contains("Please configure Cloud Service Agency first")
    );
    cloud.set_huawei_agency(Some("test"));
    assert_eq!(key("").await.status, 200);
    nothing_unexpected(&cloud);
}

#[tokio::test]
async fn nobody_stands_between_a_machine_and_its_metadata() {
    let cloud = cloud().await;
    cloud.set_huawei_metadata(Metadata::WithoutTokens);
    let ask = || Ask::metadata(&cloud, "GET", "/openstack/latest/securitykey");
    let via = ask().header("via", "1.1 proxy").send(&cloud).await;
    assert_eq!(via.status, 200);
    let mut absolute = ask();
    absolute.authority = "http://169.254.169.254";
    assert_eq!(absolute.send(&cloud).await.status, 200);
    cloud.set_huawei_metadata(Metadata::TokensRequired);
    let put = Ask::metadata(&cloud, "PUT", "/meta-data/latest/api/token");
    assert_eq!(put.send(&cloud).await.status, 400);
    assert_eq!(
        cloud.unexpected(),
        [
            "GetSecurityKey: went through a proxy: header via is there",
            "GetSecurityKey: went through a proxy: the target names a host",
            "CreateMetadataToken: x-metadata-token-ttl-seconds is \"\"",
        ]
    );
}

#[tokio::test]
async fn faults_spoil_or_replace_the_answer() {
    let cloud = cloud().await;
    let ask = async |kind: FaultKind| {
        cloud.inject(
            Fault::new(kind)
                .operation("ListOffSiteBackups")
                .region(AWAY)
                .instance("i1")
                .times(1),
        );
        Ask::off_site(&cloud, AWAY, "i1", "auto")
            .with("limit", "10")
            .with("offset", "10")
            .send(&cloud)
            .await
    };
    let right = Ask::off_site(&cloud, AWAY, "i1", "auto")
        .with("limit", "10")
        .send(&cloud)
        .await;
    assert_eq!(ask(FaultKind::PageLoop).await.rows(), right.rows());
    let oldest = ask(FaultKind::Huawei(Oddity::OldestFirst)).await.rows();
    assert!(time(&oldest[0]["begin_time"]) < time(&oldest[9]["begin_time"]));
    assert_eq!(ask(FaultKind::WrongTotal(7)).await.total(), 7);
    assert_eq!(
        ask(FaultKind::TotalAsString).await.json()["total_count"],
        "31"
    );
    let null = ask(FaultKind::Huawei(Oddity::NullList)).await.json();
    assert_eq!(null, json!({ "backups": null, "total_count": 31 }));
    assert!(
        ask(FaultKind::Huawei(Oddity::EmptyList))
            .await
            .rows()
            .is_empty()
    );
    assert_eq!(ask(FaultKind::EmptyObject).await.body, "{}");
    assert_eq!(ask(FaultKind::Null).await.body, "null");
    assert!(
        ask(FaultKind::Html200)
            .await
            .body
            .starts_with("<!DOCTYPE html>")
    );
    assert_eq!(ask(FaultKind::ServerErrorHtml).await.status, 503);
    assert_eq!(ask(FaultKind::ServerErrorXml).await.status, 503);
    assert_eq!(
        ask(FaultKind::ServerErrorJson).await.refusal(),
        (500, "DBS.108000".to_owned())
    );
    assert_eq!(
        ask(FaultKind::ErrorIn200 {
            code: "DBS.200005".to_owned()
        })
        .await
        .refusal(),
        (200, "DBS.200005".to_owned())
    );
    assert!(
        ask(FaultKind::ExpiredToken)
            .await
            .body
            .contains("decrypt token fail")
    );
    let elsewhere = ask(FaultKind::Redirect("http://127.0.0.1:1/".to_owned())).await;
    assert_eq!(
        (elsewhere.status, elsewhere.header("location")),
        (302, Some("http://127.0.0.1:1/"))
    );
    let truncated = ask(FaultKind::Truncated).await;
    assert!(truncated.status == 200 && !truncated.whole);
    let truncated = ask(FaultKind::TruncatedJson).await;
    assert!(truncated.whole && serde_json::from_str::<Value>(&truncated.body).is_err());
    assert!(ask(FaultKind::HugeBody(100_000)).await.body.len() > 100_000);
    assert_eq!(
        ask(FaultKind::Slow(Duration::from_millis(1))).await.status,
        200
    );
    let fault = Fault::new(FaultKind::Reset).times(1);
    cloud.inject(fault);
    assert!(Ask::local(&cloud, "i1").try_send(&cloud).await.is_none());
    nothing_unexpected(&cloud);
}

#[tokio::test]
async fn the_faults_of_other_vendors_have_their_like_here() {
    let cloud = cloud().await;
    let page = async |offset: &str| {
        Ask::off_site(&cloud, AWAY, "i1", "auto")
            .with("limit", "10")
            .with("offset", offset)
            .send(&cloud)
            .await
    };
    let second = async |kind: FaultKind| {
        cloud.inject(Fault::new(kind).times(1));
        page("10").await
    };
    let (before, right) = (page("0").await.rows(), page("10").await.rows());
    let growing = second(FaultKind::GrowingTotal).await;
    assert_eq!((growing.total(), growing.rows()), (32, right.clone()));
    let repeated = second(FaultKind::RepeatedRow).await.rows();
    assert_eq!(repeated[0], before[9]);
    assert_eq!(repeated[1..], right[..9]);
    cloud.inject(Fault::new(FaultKind::RepeatedRow).times(1));
    assert_eq!(page("0").await.rows(), before, "nothing precedes it");
    let no_rows = [
        (
            NoRows::NullList,
            json!({ "backups": null, "total_count": 0 }),
        ),
        (NoRows::NoList, json!({ "total_count": 0 })),
        (NoRows::NullResult, Value::Null),
        (NoRows::NoResult, json!({})),
    ];
    for (shape, expected) in no_rows {
        assert_eq!(second(FaultKind::NoRows(shape)).await.json(), expected);
    }
    let bare = second(FaultKind::BareError {
        status: 400,
        code: "C".to_owned(),
        message: "m".to_owned(),
    })
    .await;
    assert_eq!(
        (bare.status, bare.json()),
        (400, json!({ "code": "C", "message": "m" }))
    );
    nothing_unexpected(&cloud);
}

#[tokio::test]
async fn errors_come_in_every_shape_that_is_known() {
    let cloud = cloud().await;
    let ask = async |kind: FaultKind| {
        cloud.inject(Fault::new(kind).times(1));
        Ask::local(&cloud, "i1").send(&cloud).await
    };
    let shaped = |shape| FaultKind::Huawei(Oddity::refusal(shape, 403, "DBS.1", "no"));
    let rows = [
        (
            Shape::Service,
            json!({ "error_code": "DBS.1", "error_msg": "no" }),
        ),
        (
            Shape::External,
            json!({ "errCode": "DBS.1", "externalMessage": "no" }),
        ),
        (
            Shape::CamelCase,
            json!({ "errorCode": "DBS.1", "errorMsg": "no" }),
        ),
        (Shape::Plain, json!({ "code": "DBS.1", "message": "no" })),
        (
            Shape::Keystone,
            json!({ "error": { "code": 403, "message": "no", "title": "Forbidden" } }),
        ),
    ];
    for (shape, expected) in rows {
        let answer = ask(shaped(shape)).await;
        assert_eq!((answer.status, answer.json()), (403, expected));
    }
    let gateway = ask(shaped(Shape::Gateway)).await;
    assert_eq!(
        gateway.json()["request_id"].as_str(),
        gateway.header("x-request-id")
    );
    assert_eq!(ask(shaped(Shape::Text)).await.body, "no");
    let throttle = |header| FaultKind::Throttle {
        retry_after: Some(Duration::from_secs(7)),
        header,
    };
    let told = ask(throttle(ThrottleHeader::RetryAfter)).await;
    assert_eq!((told.status, told.header("retry-after")), (429, Some("7")));
    let untold = ask(throttle(ThrottleHeader::None)).await;
    assert_eq!((untold.status, untold.header("retry-after")), (429, None));
    let empty = Oddity::Refusal {
        shape: Shape::Empty,
        status: 429,
        code: String::new(),
        message: String::new(),
        retry_after: Some(Duration::from_secs(9)),
    };
    let empty = ask(FaultKind::Huawei(empty)).await;
    assert_eq!(
        (
            empty.status,
            empty.body.as_str(),
            empty.header("retry-after")
        ),
        (429, "", Some("9"))
    );
    let error = FaultKind::Error {
        status: 409,
        code: "DBS.200011".to_owned(),
        message: "busy".to_owned(),
    };
    assert_eq!(ask(error).await.refusal(), (409, "DBS.200011".to_owned()));
    // In the words of a scenario file.
    let text = "name = 'x'\ndescription = 'y'\n[[fault]]\nkind = 'huawei'\nvalue = { oddity = 'refusal', shape = 'external', status = 400, retry_after = '5s' }";
    let scenario = Scenario::parse(text).unwrap();
    cloud.inject(scenario.faults[0].clone().times(1));
    assert!(Ask::local(&cloud, "i1").send(&cloud).await.json()["errCode"].is_string());
    nothing_unexpected(&cloud);
}

#[tokio::test]
async fn a_question_can_be_asked_without_a_socket() {
    let cloud = cloud().await;
    let ask = || {
        let (target, headers) = Ask::off_site(&cloud, AWAY, "i1", "auto").signed("sim");
        let headers: Vec<_> = headers
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        cloud.ask(Vendor::Huawei, "GET", &target, &headers, b"")
    };
    let answer = ask().unwrap();
    assert_eq!(answer.status, 200);
    let body: Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(body["total_count"], 31);
    assert_eq!(cloud.request_count("ListOffSiteBackups"), 1);
    let faults = [
        (FaultKind::Hang, "Never"),
        (FaultKind::Reset, "Reset"),
        (FaultKind::Truncated, "Half"),
        (FaultKind::Slow(DAY), "Late"),
        (FaultKind::HugeBody(1 << 30), "Huge"),
    ];
    for (kind, expected) in faults {
        cloud.inject(Fault::new(kind).times(1));
        let found = match ask().unwrap_err() {
            Undelivered::Never => "Never",
            Undelivered::Reset => "Reset",
            Undelivered::Half(_) => "Half",
            Undelivered::Late(answer, wait) => {
                assert_eq!((answer.status, wait), (200, DAY));
                "Late"
            }
            Undelivered::Huge(_, length) => {
                assert_eq!(length, 1 << 30);
                "Huge"
            }
        };
        assert_eq!(found, expected);
    }
    assert_eq!(cloud.requests().len(), 6);
    nothing_unexpected(&cloud);
}

#[tokio::test]
async fn the_built_in_scenario_has_what_it_says() {
    let scenario = Scenario::named("huawei-healthy").unwrap();
    let account = scenario.accounts[0].clone();
    let instances = scenario.instances.clone();
    let cloud = Cloud::start(scenario).await.unwrap();
    for instance in instances {
        let regions = std::iter::once(&instance.region).chain(
            instance
                .destinations
                .iter()
                .map(|destination| &destination.region),
        );
        for region in regions {
            let project = project_id(&account.name, region);
            let here = *region == instance.region;
            let listing = if here { "backups" } else { "offsite-backups" };
            let parameters = [
                ("instance_id", instance.id.as_str()),
                ("backup_type", "auto"),
            ];
            let mut ask = Ask::new(&cloud, format!("/v3/{project}/{listing}"), &parameters);
            ask.key.clone_from(&account.access_key_id);
            ask.secret.clone_from(&account.access_key_secret);
            let rows = ask.send(&cloud).await.rows();
            let failed = rows.iter().filter(|row| row["status"] == "FAILED").count();
            let troubled = matches!(instance.trouble[..], [Trouble::FailedBackups { .. }]);
            assert_eq!(failed > 0, here && troubled, "{} {region}", instance.name);
            assert!(!rows.is_empty(), "{} {region}", instance.name);
        }
    }
    nothing_unexpected(&cloud);
}
