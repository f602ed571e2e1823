//! What the log says, line by line: a failure when it begins and when it ends, in a form that machines read.

use std::collections::BTreeMap;

use serde_json::Value;
use sim::{Fault, FaultKind, Vendor};

use super::harness::{BINARY, Configuration, Exporter, Folder, KEY_SECRET, cloud, command, hourly};

/// The lines of a log in JSON.
fn events(log: &str) -> Vec<Value> {
    let read = |line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    log.lines().map(read).collect()
}

/// The pairs of a line in logfmt.
fn pairs(line: &str) -> BTreeMap<String, String> {
    let mut pairs = BTreeMap::new();
    let mut rest = line;
    while !rest.is_empty() {
        let (key, after) = rest
            .split_once('=')
            .unwrap_or_else(|| panic!("{rest}: {line}"));
        assert!(!key.contains([' ', '"']), "{key}: {line}");
        let (value, after) = if let Some(quoted) = after.strip_prefix('"') {
            let mut escaped = false;
            let end = quoted.find(|character| {
                let ends = character == '"' && !escaped;
                escaped = character == '\\' && !escaped;
                ends
            });
            let end = end.unwrap_or_else(|| panic!("no end of {key}: {line}"));
            (&quoted[..end], &quoted[end + 1..])
        } else {
            after.split_at(after.find(' ').unwrap_or(after.len()))
        };
        let twice = pairs.insert(key.to_owned(), value.to_owned());
        assert_eq!(twice, None, "{key} twice: {line}");
        rest = after.strip_prefix(' ').unwrap_or(after);
    }
    pairs
}

#[tokio::test]
async fn a_failure_is_logged_once_when_it_begins_and_once_when_it_ends() {
    let cloud = cloud().await;
    cloud.add_instance(hourly("rm-1"));
    let configuration = Configuration::of(&cloud, &["rm-1"]).reading("local");
    let exporter = Exporter::start_with(&configuration, &["--log.format=json"], &[]).await;
    exporter.ready().await;
    let fault = FaultKind::Error {
        status: 403,
        code: "Forbidden.RAM".to_owned(),
        message: "no".to_owned(),
    };
    cloud.inject(Fault::new(fault).operation("DescribeBackups"));
    exporter
        .until("it failed three times", |scrape| {
            scrape.poll_failures("local", "permission") >= 3.0
        })
        .await;
    cloud.clear_faults();
    exporter
        .until("it is read again", |scrape| {
            scrape.poll_success("rm-1", "local") == Some(1.0)
        })
        .await;

    let events = events(&exporter.stop().await);
    let of_listing: Vec<_> = events
        .iter()
        .filter(|event| event["listing"] == "local")
        .collect();
    let [begin, end] = of_listing.as_slice() else {
        panic!("{of_listing:#?}")
    };
    for event in [begin, end] {
        for (field, expected) in [
            ("provider", "alibaba"),
            ("account", "test"),
            ("region", "cn-hangzhou"),
            ("instance", "rm-1"),
        ] {
            assert_eq!(event[field], expected, "{event}");
        }
    }
    assert_eq!(begin["level"], "WARN");
    assert_eq!(begin["reason"], "permission");
    let refused: Vec<_> = cloud
        .requests()
        .into_iter()
        .filter(|request| request.verdict.status == Some(403))
        .collect();
    let request_id = begin["request_id"].as_str().unwrap();
    assert!(begin["error"].as_str().unwrap().contains(request_id));
    assert!(refused.len() >= 3);
    assert_eq!(end["level"], "INFO");
    assert_eq!(end["message"], "a listing can be read again");
}

#[tokio::test]
async fn every_line_says_when_and_how_grave_and_what() {
    let cloud = cloud().await;
    cloud.add_instance(hourly("rm-1"));
    for (format, fields) in [
        ("json", ["timestamp", "level", "message"]),
        ("logfmt", ["ts", "level", "message"]),
    ] {
        let configuration = Configuration::of(&cloud, &["rm-1", "rm-gone"]);
        let flags = [
            format!("--log.format={format}"),
            "--log.level=debug".to_owned(),
        ];
        let flags: Vec<_> = flags.iter().map(String::as_str).collect();
        let exporter = Exporter::start_with(&configuration, &flags, &[]).await;
        exporter.ready().await;
        let log = exporter.stop().await;
        assert!(!log.contains(KEY_SECRET), "{log}");
        let mut asked = 0;
        for line in log.lines() {
            let event = if format == "json" {
                let event: BTreeMap<String, Value> = serde_json::from_str(line).unwrap();
                let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
                event
                    .iter()
                    .map(|(key, value)| (key.clone(), text(value)))
                    .collect()
            } else {
                pairs(line)
            };
            for field in fields {
                let value = event.get(field);
                assert!(
                    value.is_some_and(|value| !value.is_empty()),
                    "{field}: {line}"
                );
            }
            asked += u32::from(event["message"] == "asked the provider");
        }
        // Two listings of two instances, and more.
        assert!(asked >= 4, "{log}");
        assert!(log.contains("starting cloud-backup-exporter"), "{log}");
    }
}

#[tokio::test]
async fn no_text_from_outside_can_forge_a_line() {
    let cloud = cloud().await;
    let forged = "rm-1\nts=2026-01-01T00:00:00Z level=error message=forged \u{1b}[2J\" x=\"";
    cloud.add_instance(hourly("rm-2"));
    cloud.add_instance(hourly(forged));
    for format in ["json", "logfmt"] {
        let configuration = Configuration::searching(Vendor::Alibaba, &cloud, "");
        let flag = format!("--log.format={format}");
        let exporter = Exporter::start_with(&configuration, &[&flag], &[]).await;
        exporter.ready().await;
        cloud.release_instance(forged);
        exporter
            .until("it is gone", |scrape| {
                let gone = [("state", "gone")];
                scrape.sum("cloud_backup_instances", &gone) > 0.0
            })
            .await;
        let log = exporter.stop().await;
        assert!(log.contains("forged"), "the id was never logged: {log}");
        assert!(!log.contains('\u{1b}'), "{log}");
        for line in log.lines() {
            if format == "json" {
                let event: Value = serde_json::from_str(line).unwrap();
                assert_ne!(event["message"], "forged", "{line}");
            } else {
                assert_ne!(pairs(line)["message"], "forged", "{line}");
            }
        }
        cloud.add_instance(hourly(forged));
    }
}

#[tokio::test]
async fn a_configuration_that_cannot_be_used_is_told_and_not_logged() {
    let folder = Folder::new();
    let file = folder.write("exporter.yml", "accounts: 5\n");
    let output = command(&[])
        .arg(format!("--config.file={}", file.display()))
        .output()
        .await
        .unwrap_or_else(|error| panic!("{BINARY}: {error}"));
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{told}");
    assert!(told.contains("accounts"), "{told}");
    assert!(!told.contains("starting"), "{told}");
}
