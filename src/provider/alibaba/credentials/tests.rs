//! The chain on machines that are set up in this way and that, with services on loopback.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::*;
use crate::provider::credentials::{Asked, Loopback, Reply, Scene, in_minutes, keys};
use crate::provider::credentials::{Lack, Lifetime, Outlook, place};

const ID: &str = "ALIBABA_CLOUD_ACCESS_KEY_ID";
const SECRET: &str = "ALIBABA_CLOUD_ACCESS_KEY_SECRET";
const OFF: (&str, &str) = ("ALIBABA_CLOUD_ECS_METADATA_DISABLED", "true");

/// Keys whose names end alike, and that expire in so many minutes.
fn given_keys(suffix: &str, minutes: i64) -> String {
    let [id, secret, token] = keys(suffix);
    let expiration = in_minutes(minutes);
    format!(
        r#"{{"Code":"Success","AccessKeyId":"{id}","AccessKeySecret":"{secret}","SecurityToken":"{token}",
        "Expiration":"{expiration}","LastUpdated":"2026-06-12T00:00:00Z"}}"#
    )
}

fn assumed(suffix: &str, minutes: i64) -> Reply {
    let keys = given_keys(suffix, minutes);
    Reply::ok(format!(
        r#"{{"RequestId":"1","AssumedRoleUser":{{}},"Credentials":{keys}}}"#
    ))
}

/// A token service that gives keys named after the role that is asked for.
async fn token_service() -> Loopback {
    Loopback::start(|asked: &Asked| {
        let parameters = format!("{}&{}", asked.line, asked.body);
        let role = parameters
            .split(['&', '?'])
            .find_map(|parameter| parameter.strip_prefix("RoleArn=acs%3Aram%3A%3A1%3Arole%2F"));
        assumed(role.unwrap(), 60)
    })
    .await
}

#[test]
fn the_environment_needs_an_id_and_a_secret_and_may_add_a_token() {
    let (id, secret) = ((ID, "LTAI"), (SECRET, "hush"));
    let token = |token| ("ALIBABA_CLOUD_SECURITY_TOKEN", token);
    let lack = |name| format!("{name} is not set");
    for (variables, expected) in [
        (vec![id, secret], Ok(["LTAI", "hush", ""])),
        (
            vec![id, secret, token("CAIS")],
            Ok(["LTAI", "hush", "CAIS"]),
        ),
        (vec![id, secret, token("")], Ok(["LTAI", "hush", ""])),
        (vec![id], Err(Lack::Unusable(lack(SECRET)))),
        (vec![id, (SECRET, "")], Err(Lack::Unusable(lack(SECRET)))),
        (vec![secret], Err(Lack::Unusable(lack(ID)))),
        (
            vec![("ALICLOUD_ACCESS_KEY", "x")],
            Err(Lack::Absent(lack(ID))),
        ),
    ] {
        let scene = Scene::new("alibaba-environment", &variables);
        let found = plan::environment(scene.ground().variables());
        let found = found.map(|(plan, outlook)| {
            let words = format!("the environment ({ID})");
            assert_eq!(outlook, Outlook::Sure(words));
            plan
        });
        let expected = expected.map(|[id, secret, token]| {
            let token = (!token.is_empty()).then(|| token.to_owned());
            let keys = place::keys(id.to_owned(), secret.to_owned(), token, Lifetime::Process);
            Plan::Keys(keys)
        });
        assert_eq!(found, expected, "{variables:?}");
    }
}

/// What a profile of the command line means: where the keys come from, or why there are none.
fn check_cli(content: &str, variables: &[(&str, &str)], expected: Result<&str, &str>) {
    let scene = Scene::new("alibaba-cli", variables);
    scene.write(".aliyun/config.json", content);
    let found = plan::cli(&plan::Settings::of(&scene.ground()));
    let found = found.map(|(_, outlook)| outlook).map_err(Lack::why);
    let found = match &found {
        Ok(Outlook::Sure(words)) => Ok(scene.homely(words)),
        Err(why) => Err(scene.homely(why)),
        other => panic!("{other:?}"),
    };
    let found = found.as_deref().map_err(String::as_str);
    assert_eq!(found, expected, "{content}");
}

fn profile(fields: &str) -> String {
    format!(r#"{{"current":"a","profiles":[{{"name":"b","mode":5}},{{"name":"a",{fields}}}]}}"#)
}

#[test]
fn a_profile_of_the_command_line_is_whole_or_it_is_said_what_is_wrong() {
    let here = |mode| format!("profile \"a\" of ~/.aliyun/config.json (mode {mode})");
    let wrong = |why| format!("profile \"a\" of ~/.aliyun/config.json: {why}");
    let keys = r#""access_key_id":"LTAI","access_key_secret":"hush""#;
    let role = r#""ram_role_arn":"acs:ram::1:role/r","ram_session_name":null,"region_id":"cn-a""#;
    for (fields, mode) in [
        (format!(r#""mode":"AK",{keys}"#), "AK"),
        (
            format!(r#""mode":"StsToken",{keys},"sts_token":"t""#),
            "StsToken",
        ),
        (
            format!(r#""mode":"RamRoleArn",{keys},{role}"#),
            "RamRoleArn",
        ),
        (r#""mode":"EcsRamRole""#.to_owned(), "EcsRamRole"),
        (
            format!(r#""mode":"OIDC",{role},"oidc_provider_arn":"p","oidc_token_file":"/f""#),
            "OIDC",
        ),
    ] {
        check_cli(&profile(&fields), &[], Ok(&here(mode)));
        check_cli(
            &format!("\u{feff}{}\r\n", profile(&fields)),
            &[],
            Ok(&here(mode)),
        );
    }
    for (fields, why) in [
        (
            r#""mode":"AK","access_key_id":"hush""#,
            "access_key_secret is not set",
        ),
        (
            r#""mode":"AK","access_key_id":"""#,
            "access_key_id is not set",
        ),
        (
            r#""mode":"StsToken","access_key_id":"i","access_key_secret":"s""#,
            "sts_token is not set",
        ),
        (
            r#""mode":"OIDC","ram_role_arn":"r""#,
            "oidc_provider_arn is not set",
        ),
        (
            r#""mode":"CloudSSO""#,
            "the mode \"CloudSSO\" is not supported",
        ),
        (r#""mode":"ak""#, "the mode \"ak\" is not supported"),
        (
            r#""access_key_id":"hush""#,
            "the mode \"\" is not supported",
        ),
        (
            r#""mode":"AK","access_key_id":["hush"]"#,
            "a value is of another kind than the command line writes",
        ),
        (
            r#""mode":"RamRoleArn","access_key_id":"i","access_key_secret":"s","ram_role_arn":"r","expired_seconds":60"#,
            "expired_seconds is below 900",
        ),
        (
            r#""mode":"ChainableRamRoleArn""#,
            "source_profile is not set",
        ),
        (
            r#""mode":"ChainableRamRoleArn","source_profile":"c""#,
            "its source profile \"c\": there is no such profile",
        ),
    ] {
        check_cli(&profile(fields), &[], Err(&wrong(why)));
    }
}

#[test]
fn a_file_of_the_command_line_that_makes_no_sense_is_named() {
    let file = "~/.aliyun/config.json";
    check_cli("", &[], Err(&format!("{file}: no JSON at line 1 column 0")));
    check_cli(
        "{\n\"hush",
        &[],
        Err(&format!("{file}: no JSON at line 2 column 5")),
    );
    check_cli("[]", &[], Err(&format!("{file} names no current profile")));
    let nobody = r#"{"current":"","profiles":[]}"#;
    check_cli(
        nobody,
        &[],
        Err(&format!("{file} names no current profile")),
    );
    let other = [("ALIBABA_CLOUD_PROFILE", "c")];
    let missing = format!("profile \"c\" of {file}: there is no such profile");
    check_cli(&profile(r#""mode":"AK""#), &other, Err(&missing));
    let off = [("ALIBABA_CLOUD_CLI_PROFILE_DISABLED", "TRUE")];
    check_cli("{", &off, Err("ALIBABA_CLOUD_CLI_PROFILE_DISABLED is true"));
    let elsewhere = [("ALIBABA_CLOUD_CONFIG_FILE", "/does/not/exist")];
    check_cli(
        "{",
        &elsewhere,
        Err("the file `/does/not/exist` does not exist"),
    );
    let circle = profile(r#""mode":"ChainableRamRoleArn","source_profile":"a","ram_role_arn":"r""#);
    let scene = Scene::new("alibaba-circle", &[]);
    scene.write(".aliyun/config.json", &circle);
    let why = plan::cli(&plan::Settings::of(&scene.ground()))
        .unwrap_err()
        .why();
    assert!(why.ends_with("source_profile leads in a circle"), "{why}");
}

#[test]
fn a_section_of_the_profile_file_is_whole_or_it_is_said_what_is_wrong() {
    let check = |content: &str, variables: &[(&str, &str)], expected: Result<&str, &str>| {
        for name in [".alibabacloud/credentials", ".alibabacloud/credentials.ini"] {
            let scene = Scene::new("alibaba-profile", variables);
            scene.write(name, content);
            let found = plan::profile_file(&plan::Settings::of(&scene.ground()));
            let found = match found {
                Ok((_, Outlook::Sure(words))) => Ok(scene.homely(&words)),
                Ok(other) => panic!("{other:?}"),
                Err(lack) => Err(scene.homely(&lack.why())),
            };
            let expected = expected.map(str::to_owned).map_err(str::to_owned);
            let here = |text: String| text.replace("FILE", &format!("~/{name}"));
            assert_eq!(found, expected.map(here).map_err(here), "{content}");
        }
    };
    let keys = "access_key_id = LTAI # mine\r\naccess_key_secret = hush#comment\n";
    let default = "section \"default\" of FILE";
    let good = format!("{default} (type access_key)");
    check(
        &format!("[default]\r\ntype = access_key # it is\n{keys}"),
        &[],
        Ok(&good),
    );
    check(
        &format!("\u{feff}[default]\ntype=access_key\n{keys}"),
        &[],
        Ok(&good),
    );
    let named = [("ALIBABA_CLOUD_PROFILE", "b")];
    let role = format!("[b]\ntype = ram_role_arn\n{keys}role_arn = r\n");
    check(
        &role,
        &named,
        Ok("section \"b\" of FILE (type ram_role_arn)"),
    );
    check(
        &role,
        &[],
        Err(&format!("{default}: there is no such section")),
    );
    for (section, why) in [
        ("", "type is not set"),
        ("type = # access_key", "type is not set"),
        ("type = access_key", "access_key_id is not set"),
        (
            "type = access_key\naccess_key_id = hush",
            "access_key_secret is not set",
        ),
        (
            "type = rsa_key_pair",
            "the type \"rsa_key_pair\" is not supported",
        ),
        (
            "type = oidc_role_arn\nrole_arn = r",
            "oidc_provider_arn is not set",
        ),
    ] {
        check(
            &format!("[default]\n{section}"),
            &[],
            Err(&format!("{default}: {why}")),
        );
    }
    check("hush", &[], Err("FILE: line 1: expected `name = value`"));
}

#[tokio::test]
async fn a_mounted_token_takes_a_role_and_is_read_again_for_each_renewal() {
    let renewals = AtomicUsize::new(0);
    let sts = Loopback::start(move |_| {
        let renewal = renewals.fetch_add(1, Ordering::Relaxed);
        assumed(
            &format!("oidc-{renewal}"),
            60 * i64::try_from(renewal + 1).unwrap(),
        )
    })
    .await;
    let mut scene = Scene::new("alibaba-oidc", &[OFF]).tokens_from(&sts);
    let file = scene.write("token", "first+token==\n");
    scene.set("ALIBABA_CLOUD_ROLE_ARN", "acs:ram::1:role/r");
    scene.set(
        "ALIBABA_CLOUD_OIDC_PROVIDER_ARN",
        "acs:ram::1:oidc-provider/p",
    );
    scene.set("ALIBABA_CLOUD_OIDC_TOKEN_FILE", &file);
    let chain = chain(&scene.ground());
    assert_eq!(
        scene.homely(&chain.describe()),
        "the OIDC token file ~/token for role acs:ram::1:role/r"
    );
    assert_eq!(scene.ask(&chain).await, Ok(keys("oidc-0")));
    scene.write("token", "second");
    scene.clock.advance(Duration::from_secs(3600));
    assert_eq!(scene.ask(&chain).await, Ok(keys("oidc-1")));
    let asked = sts.asked();
    for (asked, token, time) in [
        (&asked[0], "first%2Btoken%3D%3D", "12%3A00%3A00"),
        (&asked[1], "second", "13%3A00%3A00"),
    ] {
        assert_eq!(
            asked.line,
            format!(
                "POST /?Action=AssumeRoleWithOIDC&Format=JSON&Timestamp=2026-06-12T{time}Z&Version=2015-04-01"
            )
        );
        assert_eq!(
            asked.body,
            format!(
                "DurationSeconds=3600&OIDCProviderArn=acs%3Aram%3A%3A1%3Aoidc-provider%2Fp&OIDCToken={token}&\
                 RoleArn=acs%3Aram%3A%3A1%3Arole%2Fr&RoleSessionName=cloud-backup-exporter"
            )
        );
        assert_eq!(
            asked.headers["content-type"],
            "application/x-www-form-urlencoded"
        );
        assert!(!asked.headers.contains_key("authorization"));
    }
    assert_eq!(asked.len(), 2);
}

#[tokio::test]
async fn a_refused_token_falls_to_the_next_source_and_all_are_named_when_none_is_left() {
    let sts = Loopback::start(|_| {
        let body = r#"{"Code":"AuthenticationFail.OIDCToken.Expired","Message":"hush-token"}"#;
        Reply::new(400, body)
    })
    .await;
    let variables = [
        OFF,
        (ID, "LTAI-half"),
        ("ALIBABA_CLOUD_ROLE_ARN", "r"),
        ("ALIBABA_CLOUD_OIDC_PROVIDER_ARN", "p"),
    ];
    let mut scene = Scene::new("alibaba-refused", &variables).tokens_from(&sts);
    let file = scene.write("token", "hush-token");
    scene.set("ALIBABA_CLOUD_OIDC_TOKEN_FILE", &file);
    assert_eq!(
        scene.ask(&chain(&scene.ground())).await,
        Err(
            "no keys: environment: ALIBABA_CLOUD_ACCESS_KEY_SECRET is not set; \
             OIDC: AssumeRoleWithOIDC: HTTP 400 AuthenticationFail.OIDCToken.Expired; \
             CLI profile: the file `~/.aliyun/config.json` does not exist; \
             profile file: the file `~/.alibabacloud/credentials` does not exist; \
             instance metadata: ALIBABA_CLOUD_ECS_METADATA_DISABLED is true; \
             credentials URI: ALIBABA_CLOUD_CREDENTIALS_URI is not set"
                .to_owned()
        )
    );
    scene.write(
        ".aliyun/config.json",
        &profile(r#""mode":"AK","access_key_id":"i","access_key_secret":"s""#),
    );
    let found = scene.ask(&chain(&scene.ground())).await;
    assert_eq!(found, Ok(["i", "s", ""].map(str::to_owned)));
}

#[tokio::test]
async fn a_profile_takes_a_role_and_from_there_another() {
    let sts = token_service().await;
    let scene = Scene::new("alibaba-roles", &[OFF]).tokens_from(&sts);
    scene.write(
        ".aliyun/config.json",
        r#"{"current":"far","profiles":[
            {"name":"far","mode":"ChainableRamRoleArn","source_profile":"near","ram_role_arn":"acs:ram::1:role/far",
             "ram_session_name":"me","expired_seconds":900,"external_id":"e x","policy":"{}"},
            {"name":"near","mode":"RamRoleArn","access_key_id":"LTAI","access_key_secret":"hush",
             "ram_role_arn":"acs:ram::1:role/near"}]}"#,
    );
    let chain = chain(&scene.ground());
    assert_eq!(scene.ask(&chain).await, Ok(keys("far")));
    let role_of = |arn: &str| format!("&RoleArn=acs%3Aram%3A%3A1%3Arole%2F{arn}&");
    for (line, parts, token) in [
        (
            &sts.lines()[0],
            vec![
                "GET /?AccessKeyId=LTAI&Action=AssumeRole&DurationSeconds=3600&".to_owned(),
                role_of("near"),
                "&RoleSessionName=cloud-backup-exporter&".to_owned(),
            ],
            None,
        ),
        (
            &sts.lines()[1],
            vec![
                "GET /?AccessKeyId=id-near&Action=AssumeRole&DurationSeconds=900&ExternalId=e%20x&"
                    .to_owned(),
                "&Policy=%7B%7D&".to_owned(),
                role_of("far"),
                "&RoleSessionName=me&".to_owned(),
            ],
            Some("&SecurityToken=token-near&"),
        ),
    ] {
        for part in parts {
            assert!(line.contains(&part), "{part}: {line}");
        }
        assert!(line.contains("&Version=2015-04-01&Signature="), "{line}");
        assert_eq!(line.contains("&SecurityToken="), token.is_some(), "{line}");
        assert!(token.is_none_or(|token| line.contains(token)), "{line}");
    }
}

#[test]
fn the_token_service_is_that_of_the_region_and_of_the_private_network_if_they_are_named() {
    let region = ("ALIBABA_CLOUD_STS_REGION", "cn-a");
    let private = ("ALIBABA_CLOUD_VPC_ENDPOINT_ENABLED", "true");
    let oidc = [
        ("ALIBABA_CLOUD_ROLE_ARN", "r"),
        ("ALIBABA_CLOUD_OIDC_PROVIDER_ARN", "p"),
        ("ALIBABA_CLOUD_OIDC_TOKEN_FILE", "/t"),
    ];
    for (variables, expected) in [
        (&[][..], "https://sts.aliyuncs.com"),
        (&[private], "https://sts.aliyuncs.com"),
        (&[region], "https://sts.cn-a.aliyuncs.com"),
        (&[region, private], "https://sts-vpc.cn-a.aliyuncs.com"),
    ] {
        let scene = Scene::new("alibaba-sts", &[variables, &oidc].concat());
        let settings = plan::Settings::of(&scene.ground());
        match plan::oidc(scene.ground().variables(), &settings).unwrap() {
            (Plan::AssumeRoleWithOidc { role, .. }, _) => assert_eq!(role.endpoint, expected),
            (other, _) => panic!("{other:?}"),
        }
    }
}

/// A metadata service, of the second version if it gives tokens.
async fn metadata_service(token: Reply) -> Loopback {
    Loopback::start(move |asked| match asked.line.as_str() {
        "PUT /latest/api/token" => token.clone(),
        "GET /latest/meta-data/ram/security-credentials/" => Reply::ok("exporter\n"),
        "GET /latest/meta-data/ram/security-credentials/exporter" => {
            Reply::ok(given_keys("machine", 360))
        }
        _ => Reply::new(404, "<html>"),
    })
    .await
}

const ROLES: &str = "GET /latest/meta-data/ram/security-credentials/";
const ROLE: &str = "GET /latest/meta-data/ram/security-credentials/exporter";

#[tokio::test]
async fn the_role_of_the_machine_is_asked_for_with_a_token() {
    let metadata = metadata_service(Reply::ok("token-of-the-machine")).await;
    let scene = Scene::new("alibaba-metadata", &[]).metadata_from(&metadata);
    let chain = chain(&scene.ground());
    assert_eq!(
        chain.describe(),
        "the instance metadata service, if this machine has a role"
    );
    assert_eq!(scene.ask(&chain).await, Ok(keys("machine")));
    assert_eq!(metadata.lines(), ["PUT /latest/api/token", ROLES, ROLE]);
    let asked = metadata.asked();
    let lifetime = "x-aliyun-ecs-metadata-token-ttl-seconds";
    assert_eq!(asked[0].headers[lifetime], "21600");
    for asked in &asked[1..] {
        let token = &asked.headers["x-aliyun-ecs-metadata-token"];
        assert_eq!(token, "token-of-the-machine");
    }
}

#[tokio::test]
async fn a_machine_without_tokens_is_asked_without_one_unless_that_is_forbidden() {
    let metadata = metadata_service(Reply::new(404, "")).await;
    let scene = Scene::new(
        "alibaba-metadata-old",
        &[("ALIBABA_CLOUD_ECS_METADATA", "exporter")],
    );
    let mut scene = scene.metadata_from(&metadata);
    assert_eq!(
        scene.ask(&chain(&scene.ground())).await,
        Ok(keys("machine"))
    );
    assert_eq!(metadata.lines(), ["PUT /latest/api/token", ROLE]);
    scene.set("ALIBABA_CLOUD_IMDSV1_DISABLED", "true");
    let why = scene.ask(&chain(&scene.ground())).await.unwrap_err();
    assert!(why.contains("instance metadata: HTTP 404;"), "{why}");
    assert_eq!(metadata.lines().len(), 3);
}

#[tokio::test]
async fn answers_of_the_machine_that_make_no_sense_are_errors() {
    for (role, answer, expected) in [
        (Reply::new(404, ""), Reply::ok(""), "HTTP 404"),
        (
            Reply::new(302, "").with("location", "/elsewhere"),
            Reply::ok(""),
            "HTTP 302",
        ),
        (
            Reply::ok("<html>\n"),
            Reply::ok("{}"),
            "the answer does not say when the keys expire",
        ),
        (
            Reply::ok("two roles"),
            Reply::ok(""),
            "the answer is no name of a role",
        ),
        (
            Reply::ok("r"),
            Reply::ok("hush"),
            "no answer of the expected form at line 1 column 1",
        ),
        (
            Reply::ok("r"),
            Reply::ok(given_keys("x", 60).replace("Success", "Failed")),
            "the answer says that there are no keys",
        ),
        (
            Reply::ok("r"),
            Reply::ok(given_keys("x", -1)),
            "the keys that it gave have expired",
        ),
        (
            Reply::ok("r"),
            Reply::ok("x".repeat(300 * 1024)),
            "the answer is longer than 256 KiB",
        ),
    ] {
        let metadata = Loopback::start(move |asked| {
            if asked.line == ROLES {
                role.clone()
            } else {
                answer.clone()
            }
        })
        .await;
        let scene = Scene::new("alibaba-metadata-odd", &[]).metadata_from(&metadata);
        let why = scene.ask(&chain(&scene.ground())).await.unwrap_err();
        assert!(
            why.contains(&format!("instance metadata: {expected};")),
            "{why}"
        );
        assert!(!why.contains("hush") && !why.contains('\n'), "{why}");
    }
}

#[tokio::test]
async fn a_machine_that_does_not_answer_is_soon_given_up_for_the_next_source() {
    let silent = Loopback::start(|_| Reply::silence()).await;
    let helper = Loopback::start(|_| Reply::ok(given_keys("helper", 60))).await;
    let mut scene = Scene::new("alibaba-silent", &[]).metadata_from(&silent);
    let uri = format!("{}/keys?password=hush", helper.url());
    scene.set("ALIBABA_CLOUD_CREDENTIALS_URI", &uri);
    let chain = chain(&scene.ground());
    assert_eq!(
        chain.describe(),
        "the instance metadata service, if this machine has a role, else the address in \
         ALIBABA_CLOUD_CREDENTIALS_URI"
    );
    let start = Instant::now();
    assert_eq!(scene.ask(&chain).await, Ok(keys("helper")));
    // The chain itself waits for half a minute for any source.
    assert!(start.elapsed() < Duration::from_secs(25));
    assert_eq!(helper.lines(), ["GET /keys?password=hush"]);
    let shown = format!("{chain:?}");
    for secret in ["hush", "-helper"] {
        assert!(!shown.contains(secret), "{shown}");
    }
}
