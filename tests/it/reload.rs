//! Changing the configuration of a running exporter.

use super::harness::{Configuration, Exporter, client, cloud, hourly};

async fn reload(exporter: &Exporter) -> (u16, String) {
    let answer = client()
        .post(exporter.url("/-/reload"))
        .send()
        .await
        .unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

const SUCCESSFUL: &str = "cloud_backup_exporter_config_last_reload_successful";

#[tokio::test]
async fn a_reload_takes_on_new_instances_and_drops_others_without_asking_anew_about_those_that_stay()
 {
    let cloud = cloud().await;
    for id in ["rm-stays", "rm-leaves", "rm-comes"] {
        cloud.add_instance(hourly(id));
    }
    let mut configuration = Configuration::of(&cloud, &["rm-stays", "rm-leaves"]);
    configuration.poll = "interval: 1h, lookback: 8d".to_owned();
    let exporter = Exporter::start(&configuration).await;
    exporter.ready().await;
    cloud.clear_requests();

    configuration.instances[1].0 = "rm-comes".to_owned();
    configuration.instances[0].2 = "name: orders, objectives: {backup_age: 3h}".to_owned();
    exporter.configure(&configuration);
    assert_eq!(reload(&exporter).await, (200, "reloaded\n".to_owned()));
    let scrape = exporter
        .until("the new instance is read", |scrape| {
            let of = [("instance_id", "rm-comes")];
            scrape.sum("cloud_backup_poll_success", &of) == 5.0
        })
        .await;
    assert_eq!(
        scrape
            .all("cloud_backup_sets", &[("instance_id", "rm-leaves")])
            .count(),
        0
    );
    assert_eq!(scrape.poll_success("rm-stays", "local"), Some(1.0));
    let promise = [("instance_id", "rm-stays"), ("objective", "backup_age")];
    assert_eq!(
        scrape.value("cloud_backup_objective_seconds", &promise),
        Some(10_800.0)
    );
    let asked: Vec<_> = cloud
        .requests()
        .into_iter()
        .filter_map(|request| request.instance)
        // The policies of several instances take one call.
        .filter(|instance| !instance.contains("rm-comes"))
        .collect();
    assert_eq!(
        asked,
        Vec::<String>::new(),
        "what stays is not asked about anew"
    );

    // However often it is reloaded.
    cloud.clear_requests();
    for _ in 0..20 {
        assert_eq!(reload(&exporter).await.0, 200);
    }
    assert_eq!(cloud.requests().len(), 0);
    exporter.stop().await;
}

#[tokio::test]
async fn a_bad_configuration_is_refused_with_all_of_its_problems_and_changes_nothing() {
    let cloud = cloud().await;
    cloud.add_instance(hourly("rm-orders"));
    let configuration = Configuration::of(&cloud, &["rm-orders"]);
    let exporter = Exporter::start(&configuration).await;
    exporter.ready().await;

    let mut bad = configuration.clone();
    bad.poll = "interval: soon, intervall: 1m".to_owned();
    bad.instances[0].1 = "\"\"".to_owned();
    exporter.configure(&bad);
    let (status, body) = reload(&exporter).await;
    assert_eq!(status, 400);
    for problem in [
        "poll.interval: ",
        "poll.intervall: ",
        "accounts[0].instances[0].region: ",
    ] {
        assert!(body.contains(problem), "{problem} is missing in\n{body}");
    }
    let scrape = exporter.scrape().await;
    assert_eq!(scrape.value(SUCCESSFUL, &[]), Some(0.0));
    assert_eq!(scrape.poll_success("rm-orders", "local"), Some(1.0));

    exporter.configure(&configuration);
    exporter.signal("HUP");
    exporter
        .until("SIGHUP reloads", |scrape| {
            scrape.value(SUCCESSFUL, &[]) == Some(1.0)
        })
        .await;
    exporter.stop().await;
}

#[tokio::test]
async fn a_key_of_the_configuration_may_come_from_the_environment() {
    let cloud = cloud().await;
    cloud.add_instance(hourly("rm-orders"));
    let configuration = Configuration::of(&cloud, &["rm-orders"]);
    let environment = [
        ("CLOUD_BACKUP_EXPORTER__POLL__INTERVAL", "7s"),
        ("CLOUD_BACKUP_EXPORTER__ACCOUNTS__0__NAME", "renamed"),
    ];
    let exporter = Exporter::start_with(&configuration, &[], &environment).await;
    let scrape = exporter.ready().await;
    let account = [("account", "renamed")];
    let interval = scrape.value("cloud_backup_poll_interval_seconds", &account);
    assert_eq!(interval, Some(7.0));
    exporter.stop().await;
}
