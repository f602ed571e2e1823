//! The chain on machines that are set up in this way and that, with services on loopback.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use serde_json::Value;

use super::*;
use crate::provider::credentials::{Loopback, Outlook, Reply, Scene, in_minutes, keys, shown};

const NO_FILE: &str = "profile file: the file `~/.huaweicloud/credentials` does not exist";

/// Keys whose names end alike, in one of the spellings.
fn given_keys(suffix: &str, [id, secret, token, time]: [&str; 4]) -> String {
    let [id_is, secret_is, token_is] = keys(suffix);
    let expires = in_minutes(1440).replace('Z', ".123456Z");
    format!(
        r#"{{"{id}":"{id_is}","{secret}":"{secret_is}","{token}":"{token_is}","{time}":"{expires}"}}"#
    )
}

const OLD: [&str; 4] = ["access", "secret", "securitytoken", "expires_at"];
const NEW: [&str; 4] = [
    "access_key_id",
    "secret_access_key",
    "security_token",
    "expiration",
];
const POD: [&str; 4] = [
    "accessKeyId",
    "secretAccessKey",
    "securityToken",
    "expiration",
];

/// A machine without a metadata service, which says so at once.
async fn no_metadata() -> Loopback {
    Loopback::start(|_| Reply::new(500, "")).await
}

#[test]
fn the_environment_needs_keys_or_a_provider_and_the_provider_wins() {
    let id = ("HUAWEICLOUD_SDK_AK", "HW");
    let secret = ("HUAWEICLOUD_SDK_SK", "hush");
    let token = ("HUAWEICLOUD_SDK_SECURITY_TOKEN", "t");
    let provider = ("HUAWEICLOUD_SDK_IDP_ID", "idp");
    let token_file = ("HUAWEICLOUD_SDK_ID_TOKEN_FILE", "/t");
    let keys = "the environment (HUAWEICLOUD_SDK_AK)";
    for (variables, expected) in [
        (vec![id, secret], Ok((keys, Some(["HW", "hush", ""])))),
        (
            vec![id, secret, token],
            Ok((keys, Some(["HW", "hush", "t"]))),
        ),
        (
            vec![id, secret, provider, token_file],
            Ok(("the OIDC token file /t for provider idp", None)),
        ),
        (
            vec![id, secret, provider],
            Ok((keys, Some(["HW", "hush", ""]))),
        ),
        (
            vec![provider],
            Err("HUAWEICLOUD_SDK_ID_TOKEN_FILE is not set"),
        ),
        (vec![id, provider], Err("HUAWEICLOUD_SDK_SK is not set")),
        (vec![secret], Err("HUAWEICLOUD_SDK_AK is not set")),
        (
            vec![("HW_ACCESS_KEY", "x")],
            Err("HUAWEICLOUD_SDK_AK is not set"),
        ),
    ] {
        let scene = Scene::new("huawei-environment", &variables);
        let settings = plan::Settings::of(&scene.ground());
        let found = plan::environment(scene.ground().variables(), &settings);
        let found = match found {
            Ok((Plan::Keys(keys), Outlook::Sure(words))) => {
                Ok((words, Some(shown(keys.credential))))
            }
            Ok((Plan::Federated(_), Outlook::Sure(words))) => Ok((words, None)),
            Ok(other) => panic!("{other:?}"),
            Err(lack) => Err(lack.why()),
        };
        let owned = |(words, parts): (&str, Option<[&str; 3]>)| {
            (
                words.to_owned(),
                parts.map(|parts| parts.map(str::to_owned)),
            )
        };
        let expected = expected.map(owned).map_err(str::to_owned);
        assert_eq!(found, expected, "{variables:?}");
    }
}

#[test]
fn the_profile_file_is_whole_or_it_is_said_what_is_wrong() {
    let check = |content: &str, expected: Result<Option<[&str; 3]>, &str>| {
        let scene = Scene::new("huawei-profile", &[]);
        scene.write(".huaweicloud/credentials", content);
        let found = match plan::profile_file(&plan::Settings::of(&scene.ground())) {
            Ok((Plan::Keys(keys), _)) => Ok(Some(shown(keys.credential))),
            Ok((Plan::Federated(_), _)) => Ok(None),
            Ok(other) => panic!("{other:?}"),
            Err(lack) => Err(scene.homely(&lack.why())),
        };
        let expected = expected.map(|parts| parts.map(|parts| parts.map(str::to_owned)));
        assert_eq!(found, expected.map_err(str::to_owned), "{content}");
    };
    check("[basic]\nak = HW\nsk = hush", Ok(Some(["HW", "hush", ""])));
    check(
        "\u{feff}[global]\r\ndomain_id=1\r\n[basic]\r\n# mine\r\nAK=HW\r\nsk=hu#sh\r\nsecurity_token=t\r\n",
        Ok(Some(["HW", "hu#sh", "t"])),
    );
    check(
        "[basic]\nak = HW\nsk = hush\nidp_id = idp\nid_token_file = /t",
        Ok(None),
    );
    let place = "section \"basic\" of ~/.huaweicloud/credentials";
    check(
        "[basic]\nak = hush",
        Err(&format!("{place}: sk is not set")),
    );
    check(
        "[basic]\nsk = hush",
        Err(&format!("{place}: ak is not set")),
    );
    check(
        "[global]\nak = HW\nsk = hush",
        Err(&format!("{place}: there is no such section")),
    );
    check(
        "[basic]\nidp_id = i\nid_token_file = /t\niam_endpoint = https://u:hush@h",
        Err(&format!(
            "{place}: iam_endpoint is no address of the form https://host"
        )),
    );
    check(
        "hush",
        Err("~/.huaweicloud/credentials: line 1: expected `name = value`"),
    );
}

#[tokio::test]
async fn a_mounted_token_takes_an_agency_and_is_read_again_for_each_renewal() {
    let sts = Loopback::start(|asked| {
        let suffix = if asked.body.contains("newer") {
            "two"
        } else {
            "one"
        };
        Reply::ok(format!(
            r#"{{"credentials":{},"assumed_agency":{{}}}}"#,
            given_keys(suffix, NEW)
        ))
    })
    .await;
    let mut scene = Scene::new("huawei-oidc", &[]);
    let file = scene.write("token", "first\n");
    for (name, value) in [
        ("HUAWEICLOUD_OIDC_PROVIDER_URN", "iam::1:provider:p"),
        ("HUAWEICLOUD_OIDC_AGENCY_URN", "iam::1:agency:a"),
        ("HUAWEICLOUD_OIDC_TOKEN_FILE", &file),
        ("HUAWEICLOUD_OIDC_SESSION_NAME", "me"),
        ("HUAWEICLOUD_OIDC_DURATION_SECONDS", "900"),
        ("HUAWEICLOUD_OIDC_POLICY_IDS", "x, ,y"),
        ("HUAWEICLOUD_SDK_STS_ENDPOINT", sts.url()),
        // The first source wins.
        ("HUAWEICLOUD_SDK_AK", "HW"),
        ("HUAWEICLOUD_SDK_SK", "hush"),
    ] {
        scene.set(name, value);
    }
    let chain = chain(&scene.ground());
    assert_eq!(
        scene.homely(&chain.describe()),
        "the OIDC token file ~/token for agency iam::1:agency:a"
    );
    assert_eq!(scene.ask(&chain).await, Ok(keys("one")));
    scene.write("token", "newer");
    let used = chain.current().await.unwrap().fingerprint();
    chain.rejected(used).await;
    assert_eq!(scene.ask(&chain).await, Ok(keys("two")));
    let asked = sts.asked();
    assert_eq!(sts.lines(), ["POST /v5/agencies/assume-with-oidc"; 2]);
    let body: Value = serde_json::from_str(&asked[0].body).unwrap();
    assert_eq!(
        body,
        json!({
            "provider_urn": "iam::1:provider:p",
            "agency_urn": "iam::1:agency:a",
            "agency_session_name": "me",
            "id_token": "first",
            "duration_seconds": 900,
            "policy_ids": ["x", "y"],
        })
    );
    assert_eq!(
        asked[0].headers["content-type"],
        "application/json;charset=UTF-8"
    );
}

#[test]
fn half_an_agency_is_a_mistake_that_is_told() {
    let check = |variables: &[(&str, &str)], expected: &str| {
        let urns = [
            ("HUAWEICLOUD_OIDC_PROVIDER_URN", "p"),
            ("HUAWEICLOUD_OIDC_AGENCY_URN", "a"),
        ];
        let scene = Scene::new("huawei-half", &[&urns, variables].concat());
        let lack = plan::oidc(scene.ground().variables()).unwrap_err();
        assert_eq!(lack.why(), expected);
    };
    let token = ("HUAWEICLOUD_OIDC_ID_TOKEN", "hush");
    check(
        &[],
        "neither HUAWEICLOUD_OIDC_ID_TOKEN nor HUAWEICLOUD_OIDC_TOKEN_FILE is set",
    );
    check(
        &[token, ("HUAWEICLOUD_OIDC_DURATION_SECONDS", "long")],
        "HUAWEICLOUD_OIDC_DURATION_SECONDS is no number",
    );
    check(
        &[token, ("HUAWEICLOUD_SDK_STS_ENDPOINT", "two words")],
        "HUAWEICLOUD_SDK_STS_ENDPOINT is no address of the form https://host",
    );
    check(
        &[("HUAWEICLOUD_OIDC_AGENCY_URN", ""), token],
        "HUAWEICLOUD_OIDC_AGENCY_URN is not set",
    );
}

#[tokio::test]
async fn the_token_of_a_provider_is_changed_into_keys() {
    let iam = Loopback::start(|asked| match asked.line.as_str() {
        "POST /v3.0/OS-AUTH/id-token/tokens" => {
            Reply::new(201, r#"{"token":{}}"#).with("x-subject-token", "unscoped")
        }
        "POST /v3.0/OS-CREDENTIAL/securitytokens" => Reply::new(
            201,
            format!(r#"{{"credential":{}}}"#, given_keys("federated", OLD)),
        ),
        _ => Reply::new(404, ""),
    })
    .await;
    let mut scene = Scene::new("huawei-federated", &[("HUAWEICLOUD_SDK_IDP_ID", "idp")]);
    let file = scene.write("token", "from-the-provider\n");
    scene.set("HUAWEICLOUD_SDK_ID_TOKEN_FILE", &file);
    scene.set("HUAWEICLOUD_SDK_IAM_ENDPOINT", iam.url());
    assert_eq!(
        scene.ask(&chain(&scene.ground())).await,
        Ok(keys("federated"))
    );
    let asked = iam.asked();
    assert_eq!(asked[0].headers["x-idp-id"], "idp");
    let bodies = [
        json!({"auth": {"id_token": {"id": "from-the-provider"}}}),
        json!({"auth": {"identity": {
            "methods": ["token"],
            "token": {"id": "unscoped", "duration_seconds": 21600},
        }}}),
    ];
    for (asked, expected) in asked.iter().zip(bodies) {
        let body: Value = serde_json::from_str(&asked.body).unwrap();
        assert_eq!(body, expected);
    }

    // The address in the configuration goes before that of the environment.
    let other = Loopback::start(|_| Reply::new(200, "")).await;
    let scene = scene
        .tokens_from(&other)
        .metadata_from(&no_metadata().await);
    let why = scene.ask(&chain(&scene.ground())).await.unwrap_err();
    let expected = "environment: OS-AUTH/id-token/tokens: the answer has no token;";
    assert!(why.contains(expected), "{why}");
}

const TOKEN: &str = "PUT /meta-data/latest/api/token";
const KEYS: &str = "GET /openstack/latest/securitykey";

fn machine_keys() -> Reply {
    Reply::ok(format!(
        r#"{{"credential":{}}}"#,
        given_keys("machine", OLD)
    ))
}

#[tokio::test]
async fn the_agency_of_the_machine_is_asked_for_with_a_token_where_there_are_tokens() {
    for (status, token) in [(200, Some("t")), (404, None), (405, None), (503, None)] {
        let metadata = Loopback::start(move |asked| match asked.line.as_str() {
            TOKEN => Reply::new(status, "t"),
            KEYS => machine_keys(),
            _ => Reply::new(404, ""),
        })
        .await;
        let scene = Scene::new("huawei-metadata", &[]).metadata_from(&metadata);
        let chain = chain(&scene.ground());
        assert_eq!(
            chain.describe(),
            "the instance metadata service, if this machine has an agency"
        );
        assert_eq!(scene.ask(&chain).await, Ok(keys("machine")), "{status}");
        assert_eq!(metadata.lines(), [TOKEN, KEYS]);
        let asked = metadata.asked();
        assert_eq!(asked[0].headers["x-metadata-token-ttl-seconds"], "21600");
        let sent = asked[1].headers.get("x-metadata-token");
        assert_eq!(sent.map(String::as_str), token, "{status}");
    }
}

#[tokio::test]
async fn a_spent_token_is_renewed_once_but_a_machine_without_an_agency_is_left_alone() {
    for (message, good_at, expected, calls) in [
        ("token expired", 2, Ok(keys("machine")), 4),
        ("token expired", 9, Err("HTTP 401"), 4),
        (
            "Please configure Cloud Service Agency first",
            9,
            Err("HTTP 401"),
            2,
        ),
    ] {
        let times = AtomicUsize::new(0);
        let metadata = Loopback::start(move |asked| match asked.line.as_str() {
            TOKEN => Reply::ok("t"),
            _ if times.fetch_add(1, Ordering::Relaxed) + 1 >= good_at => machine_keys(),
            _ => Reply::new(401, message),
        })
        .await;
        let scene = Scene::new("huawei-spent", &[]).metadata_from(&metadata);
        let found = scene.ask(&chain(&scene.ground())).await;
        let expected = expected.map_err(|why: &str| {
            format!(
                "no keys: OIDC: HUAWEICLOUD_OIDC_PROVIDER_URN is not set; \
                 environment: HUAWEICLOUD_SDK_AK is not set; {NO_FILE}; instance metadata: {why}; \
                 pod identity: HC_CONTAINER_CREDENTIALS_FULL_URI is not set"
            )
        });
        assert_eq!(found, expected);
        assert_eq!(metadata.lines().len(), calls);
    }
}

#[tokio::test]
async fn a_machine_that_does_not_answer_is_soon_given_up_for_the_identity_of_the_pod() {
    let silent = Loopback::start(|_| Reply::silence()).await;
    let helper = Loopback::start(|_| Reply::ok(given_keys("pod", POD))).await;
    let mut scene = Scene::new("huawei-pod", &[]).metadata_from(&silent);
    let file = scene.write("token", "of-the-pod\n");
    let uri = format!("{}/v1/keys?password=hush", helper.url());
    scene.set("HC_CONTAINER_CREDENTIALS_FULL_URI", &uri);
    scene.set("HC_CONTAINER_AUTHORIZATION_TOKEN_FILE", &file);
    let chain = chain(&scene.ground());
    assert_eq!(
        chain.describe(),
        "the instance metadata service, if this machine has an agency, else the pod identity in \
         HC_CONTAINER_CREDENTIALS_FULL_URI"
    );
    let start = Instant::now();
    assert_eq!(scene.ask(&chain).await, Ok(keys("pod")));
    // The chain itself waits for half a minute for any source.
    assert!(start.elapsed() < Duration::from_secs(25));
    assert_eq!(silent.lines(), [TOKEN]);
    assert_eq!(helper.lines(), ["POST /v1/keys?password=hush"]);
    let asked = &helper.asked()[0];
    assert_eq!(asked.headers["authorization"], "of-the-pod");
    assert_eq!(asked.body, "{}");
    let shown = format!("{chain:?}");
    for secret in ["hush", "-pod"] {
        assert!(!shown.contains(secret), "{shown}");
    }
}
