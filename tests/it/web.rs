//! What is served, and to whom.

use std::io::Read;

use sim::{Fault, FaultKind};

use super::harness::{Configuration, Exporter, Scrape, client, cloud, hourly};

async fn served() -> (sim::Cloud, Exporter) {
    let cloud = cloud().await;
    cloud.add_instance(hourly("rm-orders"));
    let mut configuration = Configuration::of(&cloud, &["rm-orders"]);
    configuration.poll = "interval: 1h, lookback: 8d".to_owned();
    configuration.instances[0].2 =
        "name: \"orders <b>\\\"&\", backup_regions: [cn-shanghai]".to_owned();
    let exporter = Exporter::start(&configuration).await;
    exporter.ready().await;
    (cloud, exporter)
}

#[tokio::test]
async fn a_scrape_is_text_or_openmetrics_as_the_client_prefers() {
    let (_cloud, exporter) = served().await;
    let prometheus = "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,\
                      text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
    for (accept, content_type, open_metrics) in [
        ("*/*", "text/plain; version=0.0.4; charset=utf-8", false),
        (
            prometheus,
            "application/openmetrics-text; version=1.0.0; charset=utf-8",
            true,
        ),
    ] {
        let answer = client()
            .get(exporter.url("/metrics"))
            .header("accept", accept)
            .send()
            .await
            .unwrap();
        assert_eq!(answer.headers()["content-type"], content_type);
        assert_eq!(answer.headers()["vary"], "accept, accept-encoding");
        let text = answer.text().await.unwrap();
        assert_eq!(text.ends_with("# EOF\n"), open_metrics);
        let scrape = Scrape::parse(&text);
        assert_eq!(scrape.poll_success("rm-orders", "local"), Some(1.0));
    }
    exporter.stop().await;
}

#[tokio::test]
async fn a_compressed_scrape_holds_the_same_samples() {
    let (_cloud, exporter) = served().await;
    let plain = exporter.scrape().await;
    let answer = client()
        .get(exporter.url("/metrics"))
        .header("accept-encoding", "gzip")
        .send()
        .await
        .unwrap();
    assert_eq!(answer.headers()["content-encoding"], "gzip");
    let compressed = answer.bytes().await.unwrap();
    let mut text = String::new();
    flate2::read::GzDecoder::new(&compressed[..])
        .read_to_string(&mut text)
        .unwrap();
    let names = |scrape: &Scrape| -> Vec<_> {
        let samples = scrape.0.iter();
        samples
            .map(|sample| (sample.name.clone(), sample.labels.clone()))
            .collect()
    };
    assert_eq!(names(&Scrape::parse(&text)), names(&plain));
    exporter.stop().await;
}

#[tokio::test]
async fn a_scrape_never_calls_the_cloud() {
    let (cloud, exporter) = served().await;
    let before = cloud.requests().len();
    for _ in 0..50 {
        exporter.scrape().await;
        exporter.text("/").await;
        exporter.text("/api/v1/instances").await;
    }
    assert_eq!(cloud.requests().len(), before);
    exporter.stop().await;
}

#[tokio::test]
async fn paths_and_methods_are_answered_as_http_has_it() {
    let (_cloud, exporter) = served().await;
    for (method, path, status, allow) in [
        ("GET", "/", 200, None),
        ("GET", "/metrics?x=1", 200, None),
        ("HEAD", "/metrics", 200, None),
        ("GET", "/-/healthy", 200, None),
        ("GET", "/-/ready", 200, None),
        ("GET", "/api/v1/instances", 200, None),
        ("GET", "/nothing", 404, None),
        ("GET", "/metrics/", 404, None),
        ("POST", "/metrics", 405, Some("GET, HEAD")),
        ("DELETE", "/", 405, Some("GET, HEAD")),
        ("GET", "/-/reload", 405, Some("POST, PUT")),
    ] {
        let answer = client()
            .request(method.parse().unwrap(), exporter.url(path))
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status().as_u16(), status, "{method} {path}");
        let allowed = answer
            .headers()
            .get("allow")
            .map(|value| value.to_str().unwrap());
        assert_eq!(allowed, allow, "{method} {path}");
        if method == "HEAD" {
            assert_eq!(answer.bytes().await.unwrap().len(), 0);
        }
    }
    exporter.stop().await;
}

#[tokio::test]
async fn the_landing_page_lists_the_instances_and_cannot_be_made_to_run_anything() {
    let (_cloud, exporter) = served().await;
    let answer = exporter.get("/").await;
    assert_eq!(answer.headers()["content-type"], "text/html; charset=utf-8");
    let page = answer.text().await.unwrap();
    for expected in [
        "rm-orders",
        "cn-shanghai",
        "orders &lt;b&gt;&quot;&amp;",
        "href=\"metrics\"",
    ] {
        assert!(page.contains(expected), "{expected} is missing in\n{page}");
    }
    assert!(!page.contains("<b>"));
    exporter.stop().await;
}

#[tokio::test]
async fn it_is_ready_once_every_instance_was_attempted_whatever_came_of_it() {
    let cloud = cloud().await;
    cloud.add_instance(hourly("rm-orders"));
    cloud.inject(Fault::new(FaultKind::Hang));
    let mut configuration = Configuration::of(&cloud, &["rm-orders"]);
    configuration.poll = "interval: 1s, timeout: 1h".to_owned();
    let exporter = Exporter::start(&configuration).await;
    let early = exporter.get("/-/ready").await;
    assert_eq!(early.status().as_u16(), 503);
    assert_eq!(early.text().await.unwrap(), "0 of 1 instances attempted\n");
    assert_eq!(exporter.get("/-/healthy").await.status().as_u16(), 200);
    // Connections end, and so do the attempts.
    cloud.stop().await;
    let scrape = exporter.ready().await;
    assert_eq!(scrape.poll_success("rm-orders", "local"), Some(0.0));
    exporter.stop().await;
}
