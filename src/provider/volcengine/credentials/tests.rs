//! The chain on machines that are set up in this way and that, with services on loopback.

use std::time::Instant;

use super::*;
use crate::provider::credentials::{
    Asked, Lack, Loopback, Outlook, Reply, Scene, in_minutes, keys,
};

const OFF: (&str, &str) = ("VOLCENGINE_ECS_METADATA_DISABLED", "true");

/// Keys whose names end alike, with the time under this name.
fn given_keys(suffix: &str, time: &str) -> String {
    let [id, secret, token] = keys(suffix);
    let expires = in_minutes(60);
    format!(
        r#"{{"AccessKeyId":"{id}","SecretAccessKey":"{secret}","SessionToken":"{token}","{time}":"{expires}"}}"#
    )
}

fn assumed(suffix: &str, time: &str) -> Reply {
    let keys = given_keys(suffix, time);
    Reply::ok(format!(
        r#"{{"ResponseMetadata":{{"RequestId":"1","Service":"sts"}},"Result":{{"Credentials":{keys}}}}}"#
    ))
}

#[test]
fn the_environment_needs_an_id_and_a_secret_and_may_add_a_token() {
    let id = ("VOLCENGINE_ACCESS_KEY", "AKLT");
    let secret = ("VOLCENGINE_SECRET_KEY", "hush");
    let token = ("VOLCENGINE_SESSION_TOKEN", "STS");
    for (variables, expected) in [
        (vec![id, secret], Ok(["AKLT", "hush", ""])),
        (vec![id, secret, token], Ok(["AKLT", "hush", "STS"])),
        (vec![id], Err("VOLCENGINE_SECRET_KEY is not set")),
        (vec![], Err("VOLCENGINE_ACCESS_KEY is not set")),
        (
            vec![("VOLC_ACCESSKEY", "x")],
            Err("VOLCENGINE_ACCESS_KEY is not set"),
        ),
    ] {
        let scene = Scene::new("volcengine-environment", &variables);
        let found = plan::environment(scene.ground().variables());
        let found = found.map_err(Lack::why).map(|(plan, _)| match plan {
            Plan::Keys(keys) => crate::provider::credentials::shown(keys.credential),
            other => panic!("{other:?}"),
        });
        let expected = expected.map(|parts| parts.map(str::to_owned));
        assert_eq!(found, expected.map_err(str::to_owned), "{variables:?}");
    }
}

#[test]
fn a_profile_of_the_command_line_is_whole_or_it_is_said_what_is_wrong() {
    let check = |content: &str, variables: &[(&str, &str)], expected: Result<&str, &str>| {
        let scene = Scene::new("volcengine-cli", variables);
        scene.write(".volcengine/config.json", content);
        let found = match plan::cli(&plan::Settings::of(&scene.ground())) {
            Ok((_, Outlook::Sure(words))) => Ok(scene.homely(&words)),
            Ok(other) => panic!("{other:?}"),
            Err(lack) => Err(scene.homely(&lack.why())),
        };
        let expected = expected.map(str::to_owned).map_err(str::to_owned);
        assert_eq!(found, expected, "{content}");
    };
    let profile =
        |fields: &str| format!(r#"{{"current":"a","profiles":{{"b":5,"a":{{{fields}}}}}}}"#);
    let file = "~/.volcengine/config.json";
    let keys = r#""access-key":"AKLT","secret-key":"hush","region":"""#;
    for (fields, mode) in [
        (keys.to_owned(), "AK"),
        (format!(r#""mode":"",{keys}"#), "AK"),
        (format!(r#""mode":"ak",{keys},"session-token":"""#), "ak"),
        (
            format!(r#""mode":"StsToken",{keys},"session-token":"t""#),
            "StsToken",
        ),
        (
            format!(r#""mode":"RamRoleArn",{keys},"role-name":"r","account-id":"1""#),
            "RamRoleArn",
        ),
        (
            r#""mode":"OIDC","role-trn":"r","oidc-token-file":"/t""#.to_owned(),
            "OIDC",
        ),
        (r#""mode":"EcsRole","role-name":"r""#.to_owned(), "EcsRole"),
    ] {
        let expected = format!("profile \"a\" of {file} (mode {mode})");
        check(&profile(&fields), &[], Ok(&expected));
        check(
            &format!("\u{feff}{}\r\n", profile(&fields)),
            &[],
            Ok(&expected),
        );
    }
    for (fields, why) in [
        ("", "access-key is not set"),
        (r#""access-key":"hush""#, "secret-key is not set"),
        (
            r#""mode":"StsToken","access-key":"i","secret-key":"hush""#,
            "session-token is not set",
        ),
        (
            r#""mode":"RamRoleArn","access-key":"i","secret-key":"s","role-name":"r""#,
            "account-id is not set",
        ),
        (
            r#""mode":"OIDC","role-trn":"r""#,
            "oidc-token-file is not set",
        ),
        (r#""mode":"EcsRole""#, "role-name is not set"),
        (r#""mode":"sso""#, "the mode \"sso\" is not supported"),
        (
            r#""access-key":{"hush":1}"#,
            "a value is of another kind than the command line writes",
        ),
    ] {
        let expected = format!("profile \"a\" of {file}: {why}");
        check(&profile(fields), &[], Err(&expected));
    }
    let other = [("VOLCENGINE_PROFILE", "c")];
    let missing = |name| format!("profile \"{name}\" of {file}: there is no such profile");
    check(&profile(keys), &other, Err(&missing("c")));
    check(r#"{"profiles":{}}"#, &[], Err(&missing("default")));
    check("[]", &[], Err(&missing("default")));
    check(
        "hush",
        &[],
        Err(&format!("{file}: no JSON at line 1 column 1")),
    );
    let elsewhere = [("VOLCENGINE_CLI_CONFIG_FILE", "/does/not/exist")];
    check(
        "",
        &elsewhere,
        Err("the file `/does/not/exist` does not exist"),
    );
}

#[tokio::test]
async fn a_mounted_token_takes_a_role_and_is_read_again_for_each_renewal() {
    let sts = Loopback::start(|asked: &Asked| {
        let second = asked.body.contains("second");
        assumed(if second { "two" } else { "one" }, "Expiration")
    })
    .await;
    let mut scene = Scene::new("volcengine-oidc", &[OFF]);
    let file = scene.write("token", "first+token==\n");
    scene.set("VOLCENGINE_OIDC_ROLE_TRN", "trn:iam::1:role/r");
    scene.set("VOLCENGINE_OIDC_TOKEN_FILE", &file);
    scene.set("VOLCENGINE_OIDC_ROLE_POLICY", "{}");
    scene.set("VOLCENGINE_OIDC_STS_ENDPOINT", sts.url());
    let chain = chain(&scene.ground());
    assert_eq!(
        scene.homely(&chain.describe()),
        "the OIDC token file ~/token for role trn:iam::1:role/r"
    );
    assert_eq!(scene.ask(&chain).await, Ok(keys("one")));
    scene.write("token", "second");
    // The keys of this moment are rejected, and so renewed.
    let used = chain.current().await.unwrap().fingerprint();
    chain.rejected(used).await;
    assert_eq!(scene.ask(&chain).await, Ok(keys("two")));
    let asked = sts.asked();
    let line = "POST /?Action=AssumeRoleWithOIDC&Version=2018-01-01";
    assert_eq!(sts.lines(), [line, line]);
    assert_eq!(
        asked[0].body,
        "DurationSeconds=3600&OIDCToken=first%2Btoken%3D%3D&Policy=%7B%7D&RoleSessionName=cloud-backup-exporter&\
         RoleTrn=trn%3Aiam%3A%3A1%3Arole%2Fr"
    );
    assert_eq!(
        asked[0].headers["content-type"],
        "application/x-www-form-urlencoded"
    );
    assert!(!asked[0].headers.contains_key("authorization"));
}

#[tokio::test]
async fn a_profile_takes_a_role_with_a_signed_request() {
    let sts = Loopback::start(|_| assumed("role", "ExpiredTime")).await;
    let scene = Scene::new("volcengine-role", &[OFF]).tokens_from(&sts);
    scene.write(
        ".volcengine/config.json",
        r#"{"profiles":{"default":{"mode":"RamRoleArn","access-key":"AKLT","secret-key":"hush",
            "role-name":"r","account-id":"1"}}}"#,
    );
    let chain = chain(&scene.ground());
    assert_eq!(scene.ask(&chain).await, Ok(keys("role")));
    assert_eq!(
        sts.lines(),
        [
            "GET /?Action=AssumeRole&DurationSeconds=3600&RoleSessionName=cloud-backup-exporter&\
             RoleTrn=trn%3Aiam%3A%3A1%3Arole%2Fr&Version=2018-01-01"
        ]
    );
    let headers = &sts.asked()[0].headers;
    assert_eq!(headers["content-type"], "text/plain");
    assert!(
        headers["authorization"].starts_with(
            "HMAC-SHA256 Credential=AKLT/20260612/cn-beijing/sts/request, \
             SignedHeaders=content-type;host;x-content-sha256;x-date, Signature="
        ),
        "{headers:?}"
    );
}

#[tokio::test]
async fn a_refused_token_falls_to_the_next_source_and_all_are_named_when_none_is_left() {
    let refusal = r#"{"ResponseMetadata":{"Error":{"CodeN":1,"Code":"InvalidToken","Message":"hush-token"}}}"#;
    for status in [400, 200] {
        let sts = Loopback::start(move |_| Reply::new(status, refusal)).await;
        let scene = Scene::new(
            "volcengine-refused",
            &[OFF, ("VOLCENGINE_SECRET_KEY", "hush")],
        );
        let mut scene = scene.tokens_from(&sts);
        let file = scene.write("token", "hush-token");
        scene.set("VOLCENGINE_OIDC_ROLE_TRN", "r");
        scene.set("VOLCENGINE_OIDC_TOKEN_FILE", &file);
        let refused = if status == 200 {
            "InvalidToken"
        } else {
            "HTTP 400 InvalidToken"
        };
        assert_eq!(
            scene.ask(&chain(&scene.ground())).await,
            Err(format!(
                "no keys: environment: VOLCENGINE_ACCESS_KEY is not set; OIDC: AssumeRoleWithOIDC: {refused}; \
                 CLI profile: the file `~/.volcengine/config.json` does not exist; \
                 instance metadata: VOLCENGINE_ECS_METADATA_DISABLED is true"
            ))
        );
        scene.write(
            ".volcengine/config.json",
            r#"{"profiles":{"default":{"access-key":"i","secret-key":"s"}}}"#,
        );
        let found = scene.ask(&chain(&scene.ground())).await;
        assert_eq!(found, Ok(["i", "s", ""].map(str::to_owned)));
    }
}

#[tokio::test]
async fn an_address_that_is_none_is_a_mistake_that_is_told() {
    let variables = [
        OFF,
        ("VOLCENGINE_OIDC_ROLE_TRN", "r"),
        ("VOLCENGINE_OIDC_TOKEN_FILE", "/t"),
        ("VOLCENGINE_OIDC_STS_ENDPOINT", "https://user:hush@sts"),
    ];
    let scene = Scene::new("volcengine-address", &variables);
    assert_eq!(
        chain(&scene.ground()).describe(),
        "nowhere: no source of keys is set up; passed over: OIDC: VOLCENGINE_OIDC_STS_ENDPOINT is no address of the \
         form https://host"
    );
}

const ROLES: &str = "GET /volcstack/latest/iam/security_credentials?type=user&format=json";
const ROLE: &str = "GET /volcstack/latest/iam/security_credentials/exporter";
const TOKEN: &str = "PUT /latest/api/token";

#[tokio::test]
async fn the_role_of_the_machine_is_asked_for_with_a_token() {
    let metadata = Loopback::start(|asked| match asked.line.as_str() {
        TOKEN => Reply::ok("token-of-the-machine"),
        ROLES => Reply::ok(r#"["exporter","another"]"#),
        ROLE => Reply::ok(given_keys("machine", "ExpiredTime")),
        _ => Reply::new(404, ""),
    })
    .await;
    let mut scene = Scene::new("volcengine-metadata", &[]).metadata_from(&metadata);
    let found = chain(&scene.ground());
    assert_eq!(
        found.describe(),
        "the instance metadata service, if this machine has a role"
    );
    assert_eq!(scene.ask(&found).await, Ok(keys("machine")));
    assert_eq!(metadata.lines(), [TOKEN, ROLES, ROLE]);
    let asked = metadata.asked();
    let lifetime = "x-volc-ecs-metadata-token-ttl-seconds";
    assert_eq!(asked[0].headers[lifetime], "21600");
    for asked in &asked[1..] {
        let token = &asked.headers["x-volc-ecs-metadata-token"];
        assert_eq!(token, "token-of-the-machine");
    }
    scene.set("VOLCENGINE_ECS_METADATA", "exporter");
    assert_eq!(
        scene.ask(&chain(&scene.ground())).await,
        Ok(keys("machine"))
    );
    assert_eq!(metadata.lines()[3..], [TOKEN, ROLE]);
}

#[tokio::test]
async fn answers_of_the_machine_that_make_no_sense_are_errors() {
    for (token, roles, expected) in [
        (Reply::new(404, ""), Reply::ok(""), "HTTP 404"),
        (Reply::ok(""), Reply::ok(""), "the answer is no token"),
        (Reply::ok("t"), Reply::ok("[]"), "this machine has no role"),
        (
            Reply::ok("t"),
            Reply::ok(r#"[" "]"#),
            "this machine has no role",
        ),
        (
            Reply::ok("t"),
            Reply::ok(r#"{"hush":1}"#),
            "no answer of the expected form at line 1 column 0",
        ),
        (Reply::ok("t"), Reply::ok(r#"["missing"]"#), "HTTP 404"),
    ] {
        let metadata = Loopback::start(move |asked| match asked.line.as_str() {
            TOKEN => token.clone(),
            ROLES => roles.clone(),
            _ => Reply::new(404, ""),
        })
        .await;
        let scene = Scene::new("volcengine-odd", &[]).metadata_from(&metadata);
        let why = scene.ask(&chain(&scene.ground())).await.unwrap_err();
        let expected = format!("instance metadata: {expected}");
        assert!(why.ends_with(&expected), "{why}");
    }
}

#[tokio::test]
async fn a_machine_that_does_not_answer_is_soon_given_up() {
    let silent = Loopback::start(|_| Reply::silence()).await;
    let scene = Scene::new("volcengine-silent", &[]).metadata_from(&silent);
    let start = Instant::now();
    let why = scene.ask(&chain(&scene.ground())).await.unwrap_err();
    assert!(
        why.ends_with("instance metadata: no answer in time"),
        "{why}"
    );
    // The chain itself waits for half a minute for any source.
    assert!(start.elapsed() < Duration::from_secs(25));
    assert_eq!(silent.lines(), [TOKEN]);
}
