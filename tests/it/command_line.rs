//! The commands, their output and their exit codes.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Stdio;
use std::time::{Duration, Instant};

use sim::{Fault, FaultKind};

use super::harness::{
    Configuration, Exporter, Folder, Scrape, cloud, command, hourly, patiently, run,
};

fn write(folder: &Folder, configuration: &Configuration) -> String {
    let file = folder.write("exporter.yml", &configuration.yaml());
    format!("--config.file={}", file.display())
}

#[tokio::test]
async fn once_gives_the_same_facts_as_table_as_json_and_as_metrics() {
    let cloud = cloud().await;
    cloud.add_instance(hourly("rm-orders"));
    cloud.add_instance(sim::Instance::new("rm-never", "cn-hangzhou").account("test"));
    let folder = Folder::new();
    let mut configuration = Configuration::of(&cloud, &["rm-orders", "rm-never"]);
    configuration.instances[0].2 = "backup_regions: [cn-shanghai]".to_owned();
    let file = write(&folder, &configuration);
    let (code, table, errors) = run(&["once", &file], &[]).await;
    assert_eq!(
        (code, errors.as_str()),
        (1, ""),
        "some objectives are broken"
    );
    let (_, json, _) = run(&["once", &file, "--output=json"], &[]).await;
    let (_, metrics, _) = run(&["once", &file, "--output=metrics"], &[]).await;

    let report: serde_json::Value = serde_json::from_str(&json).unwrap();
    let scrape = Scrape::parse(&metrics);
    let mut copies = 0;
    for instance in report["instances"].as_array().unwrap() {
        let id = instance["instance_id"].as_str().unwrap();
        for copy in instance["copies"].as_array().unwrap() {
            copies += 1;
            let label = |name: &str| copy[name].as_str().unwrap().to_owned();
            let (scope, region) = (label("scope"), label("backup_region"));
            let backup_type = label("backup_type");
            let labels = [
                ("instance_id", id),
                ("scope", scope.as_str()),
                ("backup_region", region.as_str()),
                ("backup_type", backup_type.as_str()),
            ];
            let sets: BTreeMap<String, f64> = serde_json::from_value(copy["sets"].clone()).unwrap();
            for (status, sets) in sets {
                let labels = [&labels[..], &[("status", status.as_str())]].concat();
                assert_eq!(scrape.value("cloud_backup_sets", &labels), Some(sets));
            }
            let timestamp = scrape.value("cloud_backup_last_success_timestamp_seconds", &labels);
            let ended = copy["last_success"]["ended"].as_str();
            let parsed = ended.map(|ended| ended.parse::<chrono::DateTime<chrono::Utc>>().unwrap());
            #[expect(clippy::cast_precision_loss, reason = "seconds are far below 2^53")]
            let seconds = parsed.map(|time| time.timestamp() as f64);
            assert_eq!(timestamp, seconds);
            let row = table.lines().find(|line| {
                let words: Vec<_> = line.split_whitespace().collect();
                line.starts_with(id) && words.contains(&&*scope) && words.contains(&&*backup_type)
            });
            let row = row.unwrap_or_else(|| panic!("{id} {scope} is missing in\n{table}"));
            assert!(row.contains(ended.unwrap_or(" - ")), "{row}");
        }
    }
    // Full sets here and there, and there the log files as well.
    assert_eq!(copies, 5);
}

#[tokio::test]
async fn once_says_by_its_exit_code_how_things_are() {
    let cloud = cloud().await;
    cloud.add_instance(hourly("rm-orders"));
    let folder = Folder::new();
    let file = write(&folder, &Configuration::of(&cloud, &["rm-orders"]));
    assert_eq!(run(&["once", &file], &[]).await.0, 0);

    let mut broken = Configuration::of(&cloud, &["rm-orders"]);
    broken.instances[0].2 = "backup_regions: [cn-beijing]".to_owned();
    let broken = write(&folder, &broken);
    assert_eq!(run(&["once", &broken], &[]).await.0, 1);

    cloud.inject(Fault::new(FaultKind::ServerErrorHtml).operation("DescribeBackups"));
    let (code, out, _) = run(&["once", &file], &[]).await;
    assert_eq!(code, 2);
    assert!(
        out.contains("DescribeBackups of rm-orders in cn-hangzhou: server (HTTP 503)"),
        "{out}"
    );
}

#[tokio::test]
async fn check_reports_all_problems_at_once_and_calls_no_cloud() {
    let cloud = cloud().await;
    let folder = Folder::new();
    let mut configuration = Configuration::of(&cloud, &["rm-orders", "rm-orders"]);
    let good = write(&folder, &Configuration::of(&cloud, &["rm-orders"]));
    let (code, out, errors) = run(&["check", &good], &[]).await;
    assert_eq!((code, errors.as_str()), (0, ""));
    for expected in [
        "account test (alibaba): instances: 1; keys from the configuration",
        "DescribeBackups: at least 3600 calls an hour",
    ] {
        assert!(out.contains(expected), "{out}");
    }

    configuration.poll = "interval: 5, lookback: 31 dayz, unknown: 1".to_owned();
    configuration.credentials =
        "access_key_id: x, access_key_secret_file: /does/not/exist".to_owned();
    let bad = write(&folder, &configuration);
    let (code, out, errors) = run(&["check", &bad], &[]).await;
    assert_eq!((code, out.as_str()), (2, ""));
    for key in [
        "poll.interval: ",
        "poll.lookback: ",
        "poll.unknown: ",
        "accounts[0].credentials.access_key_secret_file: ",
        "accounts[0].instances[1].id: ",
    ] {
        let times = errors.lines().filter(|line| line.starts_with(key)).count();
        assert_eq!(times, 1, "{key} in\n{errors}");
    }
    assert_eq!(cloud.requests().len(), 0);

    let (code, _, errors) = run(&["--config.file=/does/not/exist"], &[]).await;
    assert_eq!(code, 2);
    assert!(errors.contains("/does/not/exist"), "{errors}");
}

#[tokio::test]
async fn check_says_where_the_keys_would_come_from_and_asks_nobody() {
    let cloud = cloud().await;
    let home = Folder::new();
    let mut configuration = Configuration::of(&cloud, &["rm-orders"]);
    configuration.credentials = String::new();
    let file = write(&home, &configuration);
    let token = home.write("token", "hush-token").display().to_string();
    let profiles = r#"{"current":"default","profiles":[{"name":"default","mode":"AK",
        "access_key_id":"LTAI","access_key_secret":"hush-profile"}]}"#;
    let cli_file = home.write("config.json", profiles).display().to_string();
    let machine = "the instance metadata service, if this machine has a role";
    let no_machine = ("ALIBABA_CLOUD_ECS_METADATA_DISABLED", "true");
    let id = ("ALIBABA_CLOUD_ACCESS_KEY_ID", "LTAI");
    for (environment, expected) in [
        (vec![], machine.to_owned()),
        (
            vec![no_machine],
            "nowhere: no source of keys is set up".to_owned(),
        ),
        (
            vec![id],
            format!(
                "{machine}; passed over: environment: ALIBABA_CLOUD_ACCESS_KEY_SECRET is not set"
            ),
        ),
        (
            vec![id, ("ALIBABA_CLOUD_ACCESS_KEY_SECRET", "hush")],
            "the environment (ALIBABA_CLOUD_ACCESS_KEY_ID)".to_owned(),
        ),
        (
            vec![
                ("ALIBABA_CLOUD_ROLE_ARN", "acs:ram::1:role/r"),
                (
                    "ALIBABA_CLOUD_OIDC_PROVIDER_ARN",
                    "acs:ram::1:oidc-provider/p",
                ),
                ("ALIBABA_CLOUD_OIDC_TOKEN_FILE", &token),
            ],
            format!("the OIDC token file {token} for role acs:ram::1:role/r"),
        ),
        (
            vec![("ALIBABA_CLOUD_CONFIG_FILE", &cli_file)],
            format!("profile \"default\" of {cli_file} (mode AK)"),
        ),
    ] {
        let (code, out, errors) = run(&["check", &file], &environment).await;
        assert_eq!((code, errors.as_str()), (0, ""), "{environment:?}");
        let line = format!("account test (alibaba): instances: 1; keys from {expected}\n");
        assert!(out.contains(&line), "{line}{out}");
        assert!(!out.contains("hush"), "{out}");
    }
    assert_eq!(cloud.requests().len(), 0);
}

#[tokio::test]
async fn check_warns_when_a_sweep_does_not_fit_the_interval() {
    let cloud = cloud().await;
    let ids: Vec<_> = (0..50).map(|number| format!("rm-{number}")).collect();
    let ids: Vec<_> = ids.iter().map(String::as_str).collect();
    let mut configuration = Configuration::of(&cloud, &ids).reading("cross_region, local");
    configuration.poll = "mode: fixed, interval: 1m".to_owned();
    configuration.rate_limit = "60/m".to_owned();
    let folder = Folder::new();
    let (code, out, _) = run(&["check", &write(&folder, &configuration)], &[]).await;
    assert_eq!(code, 0);
    assert!(
        out.contains("one sweep takes at least 1m 41s of the interval of 1m"),
        "{out}"
    );
    assert!(out.contains("WARNING"), "{out}");
}

#[tokio::test]
async fn an_address_in_use_ends_the_start_with_a_clear_word() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let cloud = cloud().await;
    let folder = Folder::new();
    let file = write(&folder, &Configuration::of(&cloud, &["rm-orders"]));
    let (code, _, errors) = run(&[&file, &format!("--web.listen-address={address}")], &[]).await;
    assert_eq!(code, 1);
    assert!(errors.contains(&address), "{errors}");
    assert_eq!(cloud.requests().len(), 0);
}

#[tokio::test]
async fn sigterm_ends_it_in_time_also_while_a_poll_hangs() {
    let cloud = cloud().await;
    cloud.add_instance(hourly("rm-orders"));
    cloud.inject(Fault::new(FaultKind::Hang));
    let mut configuration = Configuration::of(&cloud, &["rm-orders"]);
    configuration.poll = "interval: 1h, timeout: 1h".to_owned();
    let exporter = Exporter::start(&configuration).await;
    patiently("a call", cloud.wait_for_requests(1)).await;
    let asked = Instant::now();
    let log = exporter.stop().await;
    // It waits for a while, and not for as long as the poll would take.
    let took = asked.elapsed();
    assert!(took >= Duration::from_secs(9), "{took:?}");
    assert!(
        log.contains("stopped while listings were being read"),
        "{log}"
    );
}

#[tokio::test]
async fn a_second_signal_ends_it_at_once() {
    let cloud = cloud().await;
    cloud.add_instance(hourly("rm-orders"));
    cloud.inject(Fault::new(FaultKind::Hang));
    let mut configuration = Configuration::of(&cloud, &["rm-orders"]);
    configuration.poll = "interval: 1h, timeout: 1h".to_owned();
    let mut exporter = Exporter::start(&configuration).await;
    patiently("a call", cloud.wait_for_requests(1)).await;
    exporter.signal("INT");
    exporter.logged("message=stopping").await;
    exporter.signal("INT");
    assert_eq!(exporter.ended().await.code(), Some(0));
    let log = exporter.log();
    assert!(log.contains("stopped at once, by a second signal"), "{log}");
}

/// Has `health` ask at an address.
async fn health(address: &str) -> (i32, String) {
    let flag = format!("--web.listen-address={address}");
    let (code, out, err) = run(&["health", &flag], &[]).await;
    (code, out + &err)
}

#[tokio::test]
async fn health_is_asked_of_the_exporter_that_serves_on_this_machine() {
    let cloud = cloud().await;
    cloud.add_instance(hourly("rm-orders"));
    let exporter = Exporter::start(&Configuration::of(&cloud, &["rm-orders"])).await;
    let address = exporter.url("").replace("http://", "");
    assert_eq!(health(&address).await, (0, "healthy\n".to_owned()));
    let (_, port) = address.rsplit_once(':').unwrap();
    let everywhere = health(&format!("0.0.0.0:{port}")).await;
    assert_eq!(everywhere, (0, "healthy\n".to_owned()));
    exporter.stop().await;
    let (code, told) = health(&address).await;
    assert_eq!(code, 1, "{told}");
    let expected = format!("{address} does not serve");
    assert!(told.contains(&expected), "{told}");
}

#[tokio::test]
async fn health_believes_nobody_who_does_not_speak_http_or_does_not_answer() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let answers: [(&[u8], &str); 4] = [
        (b"SSH-2.0-x\r\n", "does not speak HTTP"),
        (b"HTTP/1.1 5", "does not speak HTTP"),
        (b"HTTP/1.1 503 Service Unavailable\r\n\r\n", "HTTP 503"),
        (b"", "no answer in 3s"),
    ];
    for (answer, expected) in answers {
        let serving = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            // Closing with the question unread would reset the connection, and the answer might be lost.
            let mut question = Vec::new();
            while !question.ends_with(b"\r\n\r\n") {
                assert_ne!(stream.read_buf(&mut question).await.unwrap(), 0);
            }
            stream.write_all(answer).await.unwrap();
            if answer.is_empty() {
                // It is the other side that has to lose its patience.
                std::future::pending::<()>().await;
            }
        };
        let (code, told) = tokio::select! {
            biased;
            outcome = health(&address) => outcome,
            outcome = async { serving.await; std::future::pending().await } => outcome,
        };
        assert_eq!(code, 1, "{expected}: {told}");
        assert!(told.contains(expected), "{told}");
    }
}

#[cfg(feature = "demo")]
#[tokio::test]
async fn the_demo_needs_nothing_and_shows_healthy_and_troubled_instances() {
    let mut demo = command(&[]);
    demo.args(["demo", "--web.listen-address=127.0.0.1:0"])
        .stdout(Stdio::null());
    let exporter = Exporter::spawn(demo, Folder::new()).await;
    let scrape = exporter.ready().await;
    // Each vendor's instances, with the listings that it has.
    for (provider, instances, listings) in
        [("alibaba", 15, 5), ("huawei", 4, 5), ("volcengine", 4, 4)]
    {
        let of = [("provider", provider)];
        let count = |name| scrape.all(name, &of).count();
        assert_eq!(count("cloud_backup_instance_info"), instances, "{provider}");
        assert_eq!(
            count("cloud_backup_poll_success"),
            instances * listings,
            "{provider}"
        );
        // But for the instance that was deleted.
        let failing = scrape.all("cloud_backup_poll_success", &of);
        let failing: BTreeSet<_> = failing
            .filter(|sample| sample.value == 0.0)
            .map(|sample| sample.labels["instance_id"].as_str())
            .collect();
        let deleted = provider == "alibaba";
        assert_eq!(
            failing.len(),
            usize::from(deleted),
            "{provider} {failing:?}"
        );
    }
    // The kinds of trouble that no listing shows by itself.
    for (name, state, least) in [
        ("cloud_backup_instances", ("state", "gone"), 1.0),
        ("cloud_backup_instances", ("state", "unmonitored"), 1.0),
        ("cloud_backup_log_gaps", ("scope", "cross_region"), 1.0),
        (
            "cloud_backup_restore_window_gaps",
            ("scope", "cross_region"),
            1.0,
        ),
        ("cloud_backup_uncopied_sets", ("provider", "alibaba"), 3.0),
    ] {
        let sum = scrape.sum(name, &[state]);
        assert!(sum >= least, "{name} {state:?}: {sum}");
    }
    let unprotected = scrape
        .all("cloud_backup_instance_protected", &[])
        .filter(|sample| sample.value == 0.0)
        .count();
    assert!(unprotected >= 4, "{unprotected}");
    let met = scrape.sum("cloud_backup_objective_met", &[]);
    let verdicts = scrape.all("cloud_backup_objective_met", &[]).count();
    assert!(met >= 20.0 && verdicts >= 40, "{met} of {verdicts}");
    let troubled = scrape
        .all("cloud_backup_objective_met", &[])
        .filter(|sample| sample.value == 0.0)
        .count();
    assert!(troubled >= 4, "{troubled}");
    exporter.stop().await;
}

#[tokio::test]
async fn a_machine_without_certificates_can_still_ask_a_private_endpoint_without_tls() {
    let cloud = cloud().await;
    cloud.add_instance(hourly("rm-orders"));
    let folder = Folder::new();
    let file = write(&folder, &Configuration::of(&cloud, &["rm-orders"]));
    let environment = [
        ("SSL_CERT_FILE", "/does/not/exist"),
        ("SSL_CERT_DIR", "/does/not/exist"),
    ];
    let (code, _, errors) = run(&["once", &file], &environment).await;
    assert_eq!(code, 0, "{errors}");
    assert!(
        errors.contains("https endpoints will be refused"),
        "{errors}"
    );
}
