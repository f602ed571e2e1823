//! Keys: where they come from, what happens when they are rejected, and that nobody gets to see them.

use std::sync::{Arc, Mutex};

use cloud_backup_exporter::clock::Clock;
use sim::{SessionToken, alibaba};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::harness::{
    Configuration, Exporter, Folder, KEY_ID, KEY_SECRET, cloud, hourly, patiently, run,
};

#[tokio::test]
async fn a_rejected_key_costs_one_call_an_interval_until_it_works_again() {
    let cloud = cloud().await;
    let ids: Vec<_> = (0..10).map(|number| format!("rm-{number}")).collect();
    for id in &ids {
        cloud.add_instance(hourly(id));
    }
    cloud.set_secret(KEY_ID, "a-new-secret-that-the-exporter-does-not-have");
    let ids: Vec<_> = ids.iter().map(String::as_str).collect();
    let mut configuration = Configuration::of(&cloud, &ids);
    configuration.poll = "interval: 2s, lookback: 8d".to_owned();
    let exporter = Exporter::start(&configuration).await;
    let scrape = exporter.ready().await;
    assert_eq!(
        cloud.requests().len(),
        1,
        "one call finds out; the others wait for it"
    );
    assert_eq!(scrape.sum("cloud_backup_poll_success", &[]), 0.0);

    patiently("four calls", cloud.wait_for_requests(4)).await;
    let calls = u32::try_from(cloud.requests().len()).unwrap();
    let scrape = exporter.scrape().await;
    // In an interval each of the ten is polled once; the first one and the last one may be under way.
    let intervals = scrape.poll_failures("local", "credentials") / 10.0;
    assert!(
        f64::from(calls) <= intervals + 2.0,
        "{calls} calls in {intervals} intervals"
    );

    cloud.set_secret(KEY_ID, KEY_SECRET);
    exporter
        .until("all is read again", |scrape| {
            scrape.sum("cloud_backup_poll_success", &[]) >= 20.0
        })
        .await;
    // Twenty listings failed of one cause, and came back of one.
    let log = exporter.stop().await;
    for line in ["a listing cannot be read", "a listing can be read again"] {
        assert_eq!(log.matches(line).count(), 10, "{line}: {log}");
    }
    assert_eq!(log.matches("is not logged").count(), 2, "{log}");
}

#[tokio::test]
async fn a_secret_in_a_file_is_read_again_when_it_is_replaced() {
    let cloud = cloud().await;
    cloud.add_instance(hourly("rm-orders"));
    let secrets = Folder::new();
    let secret = secrets.write("secret", &format!("{KEY_SECRET}\n"));
    let mut configuration = Configuration::of(&cloud, &["rm-orders"]);
    configuration.poll = "interval: 1s, lookback: 8d".to_owned();
    configuration.credentials = format!(
        "access_key_id: {KEY_ID}, access_key_secret_file: {}",
        secret.display()
    );
    let exporter = Exporter::start(&configuration).await;
    let scrape = exporter.ready().await;
    assert_eq!(scrape.poll_success("rm-orders", "local"), Some(1.0));

    cloud.set_secret(KEY_ID, "RotatedSecret0000000000000000001");
    exporter
        .until("the old secret is rejected", |scrape| {
            scrape.poll_success("rm-orders", "local") == Some(0.0)
        })
        .await;
    secrets.write("secret", "RotatedSecret0000000000000000001");
    exporter
        .until("the new secret works", |scrape| {
            scrape.poll_success("rm-orders", "local") == Some(1.0)
                && scrape.poll_success("rm-orders", "cross_region") == Some(1.0)
        })
        .await;

    // A file that is gone for a moment is no outage.
    std::fs::remove_file(&secret).unwrap();
    cloud.clear_requests();
    patiently("two polls", cloud.wait_for_requests(4)).await;
    assert_eq!(
        exporter.scrape().await.poll_success("rm-orders", "local"),
        Some(1.0)
    );
    exporter.stop().await;
}

#[tokio::test]
async fn keys_and_a_token_come_from_the_environment_when_the_configuration_names_none() {
    let cloud = cloud().await;
    cloud.add_instance(hourly("rm-orders"));
    let token = SessionToken {
        value: "CAIS+simulated/token==".to_owned(),
        expires: None,
    };
    cloud.add_key(
        "test",
        "STS.SimulatedTemporaryKey",
        "TemporarySecret00000000000001",
        Some(token),
    );
    let configuration = Configuration::of(&cloud, &["rm-orders"]);
    let folder = Folder::new();
    let yaml = configuration.yaml();
    let yaml: Vec<_> = yaml
        .lines()
        .filter(|line| !line.contains("credentials:"))
        .collect();
    let file = folder.write("exporter.yml", &yaml.join("\n"));
    let file = format!("--config.file={}", file.display());
    let environment = [
        ("ALIBABA_CLOUD_ACCESS_KEY_ID", "STS.SimulatedTemporaryKey"),
        (
            "ALIBABA_CLOUD_ACCESS_KEY_SECRET",
            "TemporarySecret00000000000001",
        ),
        ("ALIBABA_CLOUD_SECURITY_TOKEN", "CAIS+simulated/token=="),
    ];
    let (_, out, _) = run(&["once", "--output=json", &file], &environment).await;
    let report: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(report["instances"][0]["listings"][0]["success"], true);

    let (code, out, _) = run(&["once", "--output=json", &file], &[NO_MACHINE]).await;
    assert_eq!(code, 2);
    let report: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(
        report["instances"][0]["listings"][0]["reason"],
        "credentials"
    );

    let (code, out, _) = run(&["check", &file], &environment).await;
    assert_eq!(code, 0);
    assert!(out.contains("keys from the environment"), "{out}");
    assert!(!out.contains("Temporary"), "{out}");
    assert_eq!(cloud.unexpected(), Vec::<String>::new());
}

/// No test asks the machine that it runs on.
const NO_MACHINE: (&str, &str) = ("ALIBABA_CLOUD_ECS_METADATA_DISABLED", "true");

/// A helper that gives temporary keys to whoever asks: the names of the newest, and how often it was asked.
async fn helper(newest: Arc<Mutex<(&'static str, usize)>>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(stream.read_u8().await.unwrap());
            }
            let name = {
                let mut newest = newest.lock().unwrap();
                newest.1 += 1;
                newest.0
            };
            let expiration = Clock::real().now() + chrono::Duration::hours(1);
            let body = format!(
                r#"{{"Code":"Success","AccessKeyId":"STS.{name}","AccessKeySecret":"secret-{name}",
                "SecurityToken":"token-{name}","Expiration":"{}"}}"#,
                expiration.format("%Y-%m-%dT%H:%M:%SZ")
            );
            let answer = format!(
                "HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
                body.len()
            );
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    format!("http://{address}/")
}

#[tokio::test]
async fn temporary_keys_that_the_vendor_rejects_are_renewed_within_the_same_poll() {
    let cloud = cloud().await;
    cloud.add_instance(hourly("rm-orders"));
    let token = |name: &str| {
        Some(SessionToken {
            value: format!("token-{name}"),
            expires: None,
        })
    };
    cloud.add_key("test", "STS.first", "secret-first", token("first"));
    let newest = Arc::new(Mutex::new(("first", 0)));
    let uri = helper(Arc::clone(&newest)).await;
    let mut configuration = Configuration::of(&cloud, &["rm-orders"]);
    configuration.poll = "interval: 1s, lookback: 8d".to_owned();
    configuration.credentials = String::new();
    let environment = [("ALIBABA_CLOUD_CREDENTIALS_URI", uri.as_str()), NO_MACHINE];
    let exporter = Exporter::start_with(&configuration, &[], &environment).await;
    let scrape = exporter.ready().await;
    assert_eq!(scrape.poll_success("rm-orders", "local"), Some(1.0));
    assert_eq!(
        newest.lock().unwrap().1,
        1,
        "both listings share one question"
    );

    // The vendor forgets the keys long before they expire.
    cloud.add_key("test", "STS.second", "secret-second", token("second"));
    newest.lock().unwrap().0 = "second";
    cloud.set_secret("STS.first", "no-longer-that");
    cloud.clear_requests();
    patiently("more polls", cloud.wait_for_requests(8)).await;
    let scrape = exporter.scrape().await;
    assert_eq!(newest.lock().unwrap().1, 2);
    assert_eq!(scrape.poll_success("rm-orders", "local"), Some(1.0));
    assert_eq!(scrape.poll_failures("local", "credentials"), 0.0);
    assert_eq!(scrape.poll_failures("cross_region", "credentials"), 0.0);
    let log = exporter.stop().await;
    let expected = "the address in ALIBABA_CLOUD_CREDENTIALS_URI";
    assert_eq!(log.matches(expected).count(), 1, "{log}");
    assert!(!log.contains("secret-") && !log.contains("token-"), "{log}");
}

#[tokio::test]
async fn an_expired_token_is_a_matter_of_credentials() {
    let cloud = cloud().await;
    cloud.add_instance(hourly("rm-orders"));
    let token = SessionToken {
        value: "CAIS-expired".to_owned(),
        expires: Some(cloud.clock().now() - chrono::Duration::hours(1)),
    };
    cloud.add_key(
        "test",
        "STS.Expired",
        "TemporarySecret00000000000001",
        Some(token),
    );
    let mut configuration = Configuration::of(&cloud, &["rm-orders"]);
    configuration.credentials = "access_key_id: STS.Expired, access_key_secret: \
         TemporarySecret00000000000001, security_token: CAIS-expired"
        .to_owned();
    configuration.poll = "interval: 1h".to_owned();
    let exporter = Exporter::start(&configuration).await;
    let scrape = exporter.ready().await;
    assert_eq!(scrape.poll_failures("local", "credentials"), 1.0);
    assert_eq!(cloud.requests().len(), 1);
    exporter.stop().await;
}

#[tokio::test]
async fn no_secret_and_no_signed_link_is_ever_shown() {
    let cloud = cloud().await;
    cloud.add_instance(hourly("rm-good"));
    let mut configuration = Configuration::of(&cloud, &["rm-good", "rm-missing"]);
    configuration.poll = "interval: 1s, lookback: 8d".to_owned();
    let exporter = Exporter::start_with(&configuration, &["--log.level=trace"], &[]).await;
    exporter.ready().await;
    // A wrong secret makes the vendor repeat what it signed.
    cloud.set_secret(KEY_ID, "another-secret-altogether");
    exporter
        .until("the key is rejected", |scrape| {
            scrape.poll_failures("local", "credentials") >= 1.0
        })
        .await;
    let mut shown = String::new();
    for path in ["/", "/metrics", "/api/v1/instances", "/-/ready"] {
        shown.push_str(&exporter.text(path).await);
    }
    // A bad reload must not repeat the secret either.
    configuration.poll = "interval: nonsense".to_owned();
    exporter.configure(&configuration);
    let reload = super::harness::client()
        .post(exporter.url("/-/reload"))
        .send()
        .await
        .unwrap();
    assert_eq!(reload.status().as_u16(), 400);
    shown.push_str(&reload.text().await.unwrap());
    patiently("four calls", cloud.wait_for_requests(4)).await;
    shown.push_str(&exporter.stop().await);
    for secret in [
        KEY_SECRET,
        alibaba::DOWNLOAD_ACCESS_KEY_ID,
        alibaba::DOWNLOAD_SIGNATURE,
        "OSSAccessKeyId",
        "Signature=",
        "x-acs-",
        "http://rdsddrbak",
    ] {
        assert!(!shown.contains(secret), "{secret} is shown:\n{shown}");
    }
}
