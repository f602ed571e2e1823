//! Where keys are found when the configuration names none: every source of every vendor's chain, against the simulated
//! token services, IAM and metadata.

use std::time::Duration;

use serde_json::json;
use sim::{Cloud, Fault, FaultKind, MetadataMode, Vendor};

use super::alone;
use super::harness::{Configuration, Exporter, Folder, account_of, clouds, daily_at, key_of, run};

const ROLE: &str = "backup-exporter";
const OIDC_TOKEN: &str = "a-token-of-the-cluster";

/// A machine with an exporter on it that has no keys of its own: clouds, a home folder, an environment.
struct Machine {
    vendor: Vendor,
    cloud: Cloud,
    home: Folder,
    environment: Vec<(&'static str, String)>,
    configuration: Configuration,
    role: String,
}

impl Machine {
    async fn of(vendor: Vendor) -> Self {
        let cloud = clouds().await;
        cloud.add_instance(daily_at(vendor, "i1in01"));
        let role = cloud.add_role(account_of(vendor), ROLE).unwrap();
        cloud.set_oidc_tokens(vendor, ROLE, &[OIDC_TOKEN]);
        let home = Folder::new();
        let mut configuration = Configuration::at(vendor, &cloud, &["i1in01"]);
        configuration.credentials = String::new();
        let url = cloud.url_of(vendor);
        configuration.more_keys.extend([
            format!("iam_endpoint: {url}"),
            format!("metadata_endpoint: {url}"),
        ]);
        let mut machine = Self {
            vendor,
            cloud,
            environment: Vec::new(),
            configuration,
            role,
            home,
        };
        let path = machine.path("");
        machine.set("HOME", path.trim_end_matches('/'));
        machine
    }

    fn path(&self, name: &str) -> String {
        self.home.path(name).display().to_string()
    }

    fn set(&mut self, variable: &'static str, value: impl Into<String>) -> &mut Self {
        self.environment.push((variable, value.into()));
        self
    }

    /// Writes a file below the home folder and tells its path.
    fn write(&self, name: &str, content: &str) -> String {
        let folder = self.home.path(name);
        std::fs::create_dir_all(folder.parent().unwrap()).unwrap();
        self.home.write(name, content).display().to_string()
    }

    fn environment(&self) -> Vec<(&str, &str)> {
        let variables = self.environment.iter();
        variables
            .map(|(name, value)| (*name, value.as_str()))
            .collect()
    }

    async fn start(&self) -> Exporter {
        Exporter::start_with(&self.configuration, &[], &self.environment()).await
    }

    /// What `check` says about the keys.
    async fn check(&self) -> String {
        let file = self.home.write("exporter.yml", &self.configuration.yaml());
        let argument = format!("--config.file={}", file.display());
        let (code, out, err) = run(&["check", &argument], &self.environment()).await;
        assert_eq!(code, 0, "{err}");
        out
    }
}

/// Reads the instance with whatever the machine offers. `said` is what `check` tells of it beforehand, and `asked` the
/// operations by which the keys were got.
async fn check(machine: Machine, said: &str, asked: &[&str]) {
    let what = format!("{:?}: {said}", machine.vendor);
    let summary = machine.check().await;
    assert!(summary.contains(said), "{what}: {summary}");
    let (key_id, secret) = key_of(machine.vendor);
    for word in [secret, OIDC_TOKEN] {
        assert!(!summary.contains(word), "{what}: {summary}");
    }
    assert_eq!(
        machine.cloud.requests().len(),
        0,
        "{what}: `check` asks nobody"
    );

    let exporter = machine.start().await;
    let scrape = exporter.ready().await;
    let log = exporter.log();
    for listing in ["cross_region", "local"] {
        let success = scrape.poll_success("i1in01", listing);
        assert_eq!(success, Some(1.0), "{what}, {listing}: {log}");
    }
    for operation in asked {
        assert_eq!(
            machine.cloud.request_count(operation),
            1,
            "{what}: {operation}"
        );
    }
    let listing = if machine.vendor == Vendor::Huawei {
        "ListBackups"
    } else {
        "DescribeBackups"
    };
    let requests = machine.cloud.requests();
    let mut listings = requests
        .iter()
        .filter(|request| request.operation == listing);
    let used = listings.next().unwrap().access_key_id.clone().unwrap();
    assert_eq!(used == key_id, asked.is_empty(), "{what}: signed by {used}");
    assert_eq!(machine.cloud.unexpected(), Vec::<String>::new(), "{what}");
    let log = exporter.stop().await;
    for word in [secret, OIDC_TOKEN] {
        assert!(!log.contains(word), "{what}: {log}");
    }
}

async fn alibaba() -> Machine {
    Machine::of(Vendor::Alibaba).await
}

/// A profile of Alibaba's command line.
fn alibaba_profile(machine: &Machine, profile: &serde_json::Value) {
    let (key_id, secret) = key_of(Vendor::Alibaba);
    let base =
        json!({"name": "base", "mode": "AK", "access_key_id": key_id, "access_key_secret": secret});
    let mut profile = profile.clone();
    profile["name"] = "chosen".into();
    let file = json!({"current": "chosen", "profiles": [base, profile]});
    machine.write(".aliyun/config.json", &file.to_string());
}

#[tokio::test]
async fn every_source_of_alibabas_chain_is_good_for_a_poll() {
    let _alone = alone().await;
    let (key_id, secret) = key_of(Vendor::Alibaba);

    let mut environment = alibaba().await;
    environment
        .set("ALIBABA_CLOUD_ACCESS_KEY_ID", key_id)
        .set("ALIBABA_CLOUD_ACCESS_KEY_SECRET", secret);

    let mut oidc = alibaba().await;
    let (token, role) = (oidc.write("token", OIDC_TOKEN), oidc.role.clone());
    oidc.set("ALIBABA_CLOUD_ROLE_ARN", role)
        .set(
            "ALIBABA_CLOUD_OIDC_PROVIDER_ARN",
            "acs:ram::1:oidc-provider/ack",
        )
        .set("ALIBABA_CLOUD_OIDC_TOKEN_FILE", token);

    let keys = alibaba().await;
    alibaba_profile(
        &keys,
        &json!({"mode": "AK", "access_key_id": key_id, "access_key_secret": secret}),
    );
    let by_role = alibaba().await;
    alibaba_profile(
        &by_role,
        &json!({"mode": "RamRoleArn", "access_key_id": key_id, "access_key_secret": secret,
                "ram_role_arn": by_role.role, "ram_session_name": "exporter"}),
    );
    let chained = alibaba().await;
    alibaba_profile(
        &chained,
        &json!({"mode": "ChainableRamRoleArn", "source_profile": "base",
                "ram_role_arn": chained.role, "ram_session_name": "exporter"}),
    );
    let of_machine = alibaba().await;
    of_machine.cloud.attach_role(Vendor::Alibaba, ROLE);
    alibaba_profile(
        &of_machine,
        &json!({"mode": "EcsRamRole", "ram_role_name": ROLE}),
    );

    let ini = alibaba().await;
    ini.write(
        ".alibabacloud/credentials",
        &format!(
            "[default]\ntype = access_key\naccess_key_id = {key_id}\naccess_key_secret = {secret}\n"
        ),
    );

    let machine = alibaba().await;
    machine.cloud.attach_role(Vendor::Alibaba, ROLE);
    machine
        .cloud
        .set_metadata_mode(Vendor::Alibaba, MetadataMode::TokenRequired);

    let mut uri = alibaba().await;
    uri.cloud.attach_role(Vendor::Alibaba, ROLE);
    let url = format!("{}/credentials-uri", uri.cloud.url());
    uri.set("ALIBABA_CLOUD_ECS_METADATA_DISABLED", "true")
        .set("ALIBABA_CLOUD_CREDENTIALS_URI", url);

    let metadata = ["metadata-token", "metadata-credentials"];
    check(environment, "the environment", &[]).await;
    check(oidc, "OIDC token file", &["AssumeRoleWithOIDC"]).await;
    check(keys, "mode AK", &[]).await;
    check(by_role, "mode RamRoleArn", &["AssumeRole"]).await;
    check(chained, "mode ChainableRamRoleArn", &["AssumeRole"]).await;
    check(of_machine, "mode EcsRamRole", &metadata).await;
    check(ini, "type access_key", &[]).await;
    check(machine, "metadata", &metadata).await;
    check(uri, "ALIBABA_CLOUD_CREDENTIALS_URI", &["credentials-uri"]).await;
}

async fn huawei() -> Machine {
    Machine::of(Vendor::Huawei).await
}

#[tokio::test]
async fn every_source_of_huaweis_chain_is_good_for_a_poll() {
    let _alone = alone().await;
    let account = account_of(Vendor::Huawei);
    let (key_id, secret) = key_of(Vendor::Huawei);
    let id_token = sim::huawei::id_token(account);

    let mut oidc = huawei().await;
    let (token, url) = (
        oidc.write("token", &id_token),
        oidc.cloud.url_of(Vendor::Huawei),
    );
    oidc.set("HUAWEICLOUD_OIDC_PROVIDER_URN", "iam::1:oidcProvider:cce")
        .set(
            "HUAWEICLOUD_OIDC_AGENCY_URN",
            "iam::1:agency:backup-exporter",
        )
        .set("HUAWEICLOUD_OIDC_TOKEN_FILE", token)
        .set("HUAWEICLOUD_SDK_STS_ENDPOINT", url);

    let mut environment = huawei().await;
    environment
        .set("HUAWEICLOUD_SDK_AK", key_id)
        .set("HUAWEICLOUD_SDK_SK", secret);

    let mut federated = huawei().await;
    let token = federated.write("token", &id_token);
    federated
        .set(
            "HUAWEICLOUD_SDK_IDP_ID",
            sim::huawei::identity_provider(account),
        )
        .set("HUAWEICLOUD_SDK_ID_TOKEN_FILE", token)
        // They win over a pair of keys.
        .set("HUAWEICLOUD_SDK_AK", "unused")
        .set("HUAWEICLOUD_SDK_SK", "unused");

    let profile = huawei().await;
    profile.write(
        ".huaweicloud/credentials",
        &format!("[basic]\nak = {key_id}\nsk = {secret}\n"),
    );

    let machine = huawei().await;
    machine.cloud.set_huawei_agency(Some(account));

    let mut pod = huawei().await;
    pod.cloud.set_huawei_agency(None);
    let token = pod.write("token", &sim::huawei::pod_token(account));
    let url = format!(
        "{}{}",
        pod.cloud.url_of(Vendor::Huawei),
        sim::huawei::POD_IDENTITY_PATH
    );
    pod.set("HC_CONTAINER_CREDENTIALS_FULL_URI", url)
        .set("HC_CONTAINER_AUTHORIZATION_TOKEN_FILE", token);

    check(oidc, "OIDC token file", &["AssumeAgencyWithOIDC"]).await;
    check(environment, "the environment", &[]).await;
    check(
        federated,
        "for provider sim-test-huawei",
        &["CreateTokenWithIdToken", "CreateTemporaryAccessKeyByToken"],
    )
    .await;
    check(profile, "section \"basic\" of", &[]).await;
    check(
        machine,
        "metadata",
        &["CreateMetadataToken", "GetSecurityKey"],
    )
    .await;
    check(pod, "metadata", &["GetPodIdentityCredentials"]).await;
}

async fn volcengine() -> Machine {
    Machine::of(Vendor::Volcengine).await
}

fn volcengine_profile(machine: &Machine, profile: &serde_json::Value) {
    let file = json!({"current": "chosen", "profiles": {"chosen": profile}});
    machine.write(".volcengine/config.json", &file.to_string());
}

#[tokio::test]
async fn every_source_of_volcengines_chain_is_good_for_a_poll() {
    let _alone = alone().await;
    let (key_id, secret) = key_of(Vendor::Volcengine);

    let mut environment = volcengine().await;
    environment
        .set("VOLCENGINE_ACCESS_KEY", key_id)
        .set("VOLCENGINE_SECRET_KEY", secret);

    let mut oidc = volcengine().await;
    let (token, role) = (oidc.write("token", OIDC_TOKEN), oidc.role.clone());
    oidc.set("VOLCENGINE_OIDC_ROLE_TRN", role)
        .set("VOLCENGINE_OIDC_TOKEN_FILE", token);

    let keys = volcengine().await;
    volcengine_profile(
        &keys,
        &json!({"mode": "AK", "access-key": key_id, "secret-key": secret}),
    );

    let by_role = volcengine().await;
    let number = sim::volcengine::account_id(account_of(Vendor::Volcengine)).to_string();
    volcengine_profile(
        &by_role,
        &json!({"mode": "RamRoleArn", "access-key": key_id, "secret-key": secret,
                "role-name": ROLE, "account-id": number}),
    );

    let machine = volcengine().await;
    machine.cloud.attach_role(Vendor::Volcengine, ROLE);

    check(environment, "the environment", &[]).await;
    check(oidc, "OIDC token file", &["AssumeRoleWithOIDC"]).await;
    check(keys, "mode AK", &[]).await;
    check(by_role, "mode RamRoleArn", &["AssumeRole"]).await;
    check(
        machine,
        "metadata",
        &["metadata-token", "metadata-credentials"],
    )
    .await;
}

#[tokio::test]
async fn a_metadata_service_that_hangs_is_passed_over_for_the_next_source() {
    let _alone = alone().await;
    let mut machine = alibaba().await;
    machine.cloud.attach_role(Vendor::Alibaba, ROLE);
    let url = format!("{}/credentials-uri", machine.cloud.url());
    machine.set("ALIBABA_CLOUD_CREDENTIALS_URI", url);
    for operation in ["metadata-token", "metadata-roles", "metadata-credentials"] {
        machine
            .cloud
            .inject(Fault::new(FaultKind::Hang).operation(operation));
    }
    let exporter = machine.start().await;
    let scrape = exporter.ready().await;
    assert_eq!(
        scrape.poll_success("i1in01", "local"),
        Some(1.0),
        "{}",
        exporter.log()
    );
    assert_eq!(machine.cloud.request_count("credentials-uri"), 1);
}

#[tokio::test]
async fn metadata_is_never_asked_through_a_proxy() {
    let _alone = alone().await;
    let mut machine = volcengine().await;
    machine.cloud.attach_role(Vendor::Volcengine, ROLE);
    // Nobody listens there: whatever goes through the proxy is lost.
    machine.set("HTTP_PROXY", "http://127.0.0.1:9");
    let exporter = machine.start().await;
    exporter.ready().await;
    assert_eq!(machine.cloud.request_count("metadata-credentials"), 1);
    assert_eq!(machine.cloud.request_count("DescribeBackups"), 0);
    assert_eq!(machine.cloud.unexpected(), Vec::<String>::new());
}

#[tokio::test]
async fn temporary_keys_are_renewed_before_they_expire_and_with_the_newest_token() {
    let _alone = alone().await;
    let mut machine = alibaba().await;
    let lifetime = Duration::from_secs(6);
    machine
        .cloud
        .set_key_lifetime(Vendor::Alibaba, ROLE, Some(lifetime));
    let (token, role) = (machine.write("token", OIDC_TOKEN), machine.role.clone());
    machine
        .set("ALIBABA_CLOUD_ROLE_ARN", role)
        .set(
            "ALIBABA_CLOUD_OIDC_PROVIDER_ARN",
            "acs:ram::1:oidc-provider/ack",
        )
        .set("ALIBABA_CLOUD_OIDC_TOKEN_FILE", token);
    let exporter = machine.start().await;
    exporter.ready().await;
    // The cluster replaces the token; the one before is no longer good for anything.
    machine.write("token", "the-next-token");
    machine
        .cloud
        .set_oidc_tokens(Vendor::Alibaba, ROLE, &["the-next-token"]);
    exporter
        .until("the keys were renewed twice", |_| {
            machine.cloud.issued_keys(Vendor::Alibaba).len() >= 3
        })
        .await;
    let scrape = exporter.scrape().await;
    assert_eq!(scrape.sum("cloud_backup_poll_failures_total", &[]), 0.0);
    assert_eq!(
        scrape.sum("cloud_backup_api_request_failures_total", &[]),
        0.0
    );
    assert_eq!(machine.cloud.unexpected(), Vec::<String>::new());
}

#[tokio::test]
async fn keys_that_are_still_valid_serve_while_they_cannot_be_renewed_and_no_longer() {
    let _alone = alone().await;
    let machine = volcengine().await;
    let lifetime = Duration::from_secs(9);
    machine.cloud.attach_role(Vendor::Volcengine, ROLE);
    machine
        .cloud
        .set_key_lifetime(Vendor::Volcengine, ROLE, Some(lifetime));
    let exporter = machine.start().await;
    let scrape = exporter.ready().await;
    for operation in ["metadata-token", "metadata-credentials"] {
        machine
            .cloud
            .inject(Fault::new(FaultKind::Hang).operation(operation));
    }
    let issued = machine.cloud.issued_keys(Vendor::Volcengine);
    let [key] = issued.as_slice() else {
        panic!("{issued:?}")
    };
    let expires = key.expires;
    let told = scrape.sum("cloud_backup_credentials_expiry_timestamp_seconds", &[]);
    let told: i64 = told.to_string().parse().unwrap();
    let told = chrono::DateTime::from_timestamp_secs(told).unwrap();
    let off = (told - expires).abs();
    assert!(off <= chrono::Duration::seconds(1), "{told} {expires}");
    exporter
        .until("the keys have expired", |scrape| {
            scrape.poll_success("i1in01", "local") == Some(0.0)
        })
        .await;
    let requests = machine.cloud.requests();
    let polls = requests
        .iter()
        .filter(|request| request.operation == "DescribeBackups");
    // They were used until shortly before their end, and never after it.
    let last = polls.clone().map(|request| request.at).max().unwrap();
    assert!(last <= expires, "{last} {expires}");
    assert!(
        expires - last < chrono::Duration::seconds(4),
        "{last} {expires}"
    );
    assert!(
        polls
            .clone()
            .all(|request| request.verdict.status == Some(200))
    );

    machine.cloud.clear_faults();
    exporter
        .until("there are new keys", |scrape| {
            scrape.poll_success("i1in01", "local") == Some(1.0)
        })
        .await;
}

#[tokio::test]
async fn without_any_keys_every_place_is_named_and_no_call_is_made() {
    let _alone = alone().await;
    let machine = huawei().await;
    machine.cloud.set_huawei_agency(None);
    let exporter = machine.start().await;
    let scrape = exporter.ready().await;
    assert!(scrape.poll_failures("local", "credentials") >= 1.0);
    assert_eq!(machine.cloud.request_count("ListBackups"), 0);
    let log = exporter.stop().await;
    for place in ["HUAWEICLOUD_SDK_AK", "credentials", "metadata"] {
        assert!(log.contains(place), "{place}: {log}");
    }
}
