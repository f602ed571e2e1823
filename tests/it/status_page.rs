//! What people and programs are shown of instances: the status page and the JSON beside it.

use sim::Vendor;

use super::harness::{
    Configuration, Exporter, account_of, client, cloud, clouds, hourly, hourly_at,
};

/// Would run, would close what it stands in, and would read from right to left.
const HOSTILE: &str =
    "</title></h3><script>alert(1)</script>\" onclick=\"x\u{202e}drowssap\u{2066}&amp;";

async fn json(exporter: &Exporter, query: &str) -> serde_json::Value {
    serde_json::from_str(&exporter.text(&format!("/api/v1/instances{query}")).await).unwrap()
}

#[tokio::test]
async fn a_hostile_name_is_shown_as_it_is_and_does_nothing() {
    for vendor in Vendor::ALL {
        let cloud = clouds().await;
        cloud.add_instance(sim::Instance {
            name: HOSTILE.to_owned(),
            ..hourly_at(vendor, "db-hostile")
        });
        let exporter = Exporter::start(&Configuration::searching(vendor, &cloud, "")).await;
        let is_known = |scrape: &super::harness::Scrape| {
            let labels = [("instance_id", "db-hostile")];
            scrape
                .all("cloud_backup_instance_info", &labels)
                .any(|sample| sample.labels["name"] == HOSTILE)
        };
        exporter.until("the name is known", is_known).await;
        for query in [
            "/",
            "/?instance=db-hostile",
            "/?q=%3Cscript%3E",
            "/?state=%22%3E%3Cscript%3E",
        ] {
            let page = exporter.text(query).await;
            assert!(
                !page.contains("<script") && !page.contains("onclick=\""),
                "{vendor:?} {query}\n{page}"
            );
            assert!(
                !page.contains(['\u{202e}', '\u{2066}']),
                "{vendor:?} {query}\n{page}"
            );
            let shown = "&lt;/title&gt;&lt;/h3&gt;&lt;script&gt;alert(1)&lt;/script&gt;&quot; \
                         onclick=&quot;x[U+202E]drowssap[U+2066]&amp;amp;</a></h3>";
            assert!(page.contains(shown), "{vendor:?} {query}\n{page}");
        }
        let found = json(&exporter, "?q=drowssap").await;
        assert_eq!(found["instances"][0]["name"], HOSTILE, "{vendor:?}");
        exporter.stop().await;
    }
}

#[tokio::test]
async fn the_page_is_bound_to_its_own_style_and_form() {
    let cloud = cloud().await;
    let exporter = Exporter::start(&Configuration::of(&cloud, &["rm-orders"])).await;
    let answer = exporter.get("/").await;
    let header = |name: &str| answer.headers()[name].to_str().unwrap().to_owned();
    let policy = header("content-security-policy");
    let rules: Vec<_> = policy.split("; ").collect();
    for rule in [
        "default-src 'none'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
        "img-src data:",
    ] {
        assert!(rules.contains(&rule), "{policy}");
    }
    assert!(
        rules
            .iter()
            .any(|rule| rule.starts_with("style-src 'sha256-"))
            && rules.len() == 6,
        "{policy}"
    );
    assert_eq!(header("x-frame-options"), "DENY");
    assert_eq!(header("referrer-policy"), "no-referrer");
    assert_eq!(header("x-content-type-options"), "nosniff");
    assert_eq!(header("cache-control"), "no-store");
    exporter.stop().await;
}

#[tokio::test]
async fn page_and_json_take_the_same_questions() {
    let cloud = cloud().await;
    cloud.add_instance(hourly("rm-orders"));
    cloud.add_instance(hourly("rm-billing"));
    cloud.add_instance(sim::Instance::new("rm-never", "cn-hangzhou").account("test"));
    let configuration = Configuration::of(&cloud, &["rm-orders", "rm-billing", "rm-never"]);
    let exporter = Exporter::start(&configuration).await;
    exporter.ready().await;
    for (query, expected) in [
        ("", "rm-billing rm-never rm-orders"),
        ("?state=broken", "rm-never"),
        ("?state=ok&sort=name", "rm-billing rm-orders"),
        ("?q=ORDERS", "rm-orders"),
        ("?instance=rm-billing&sets=true", "rm-billing"),
        ("?q=nothing+of+the+kind", ""),
    ] {
        let answer = json(&exporter, query).await;
        let instances = answer["instances"].as_array().unwrap();
        let ids: Vec<_> = instances
            .iter()
            .map(|one| one["instance_id"].as_str().unwrap())
            .collect();
        assert_eq!(ids.join(" "), expected, "{query}");
        assert_eq!(answer["summary"]["instances"], 3);
        assert_eq!(answer["summary"]["selected"], ids.len());
        let page = exporter.text(&format!("/{query}")).await;
        for id in ["rm-orders", "rm-billing", "rm-never"] {
            let is_shown = page.contains(&format!("<p class=\"id\">{id}</p>"));
            assert_eq!(is_shown, ids.contains(&id), "{query} {id}");
        }
    }
    let sets = json(&exporter, "?instance=rm-billing&sets=true").await;
    let sets = sets["instances"][0]["sets"].as_array().unwrap().len();
    assert!(sets > 1400, "31 days of hourly sets here and there: {sets}");

    let wrong = exporter.get("/api/v1/instances?state=red&sort=name").await;
    assert_eq!(wrong.status().as_u16(), 400);
    let said = wrong.text().await.unwrap();
    assert!(
        said.starts_with("state is \"red\", and has to be one of gone, broken,"),
        "{said}"
    );
    let page = exporter.get("/?state=red&sort=name").await;
    assert_eq!(page.status().as_u16(), 200);
    assert!(
        page.text()
            .await
            .unwrap()
            .contains("Left out of account: state is &quot;red&quot;")
    );
    // What is no UTF-8 is a question like any other.
    let raw = client()
        .get(exporter.url("/?q=%ff%00%e2%80%ae"))
        .send()
        .await
        .unwrap();
    assert_eq!(raw.status().as_u16(), 200);
    exporter.stop().await;
}

#[tokio::test]
async fn a_listing_that_fails_is_named_with_its_age_and_what_it_takes() {
    let cloud = cloud().await;
    cloud.add_instance(hourly("rm-orders"));
    let exporter = Exporter::start(&Configuration::of(&cloud, &["rm-orders"])).await;
    exporter.ready().await;
    cloud.deny(account_of(Vendor::Alibaba), "DescribeBackups");
    let fails =
        |scrape: &super::harness::Scrape| scrape.poll_success("rm-orders", "local") == Some(0.0);
    exporter.until("the listing fails", fails).await;
    let answer = json(&exporter, "?state=failing").await;
    let instance = &answer["instances"][0];
    assert_eq!(
        (&instance["state"], &answer["summary"]["failing"]),
        (&"failing".into(), &1.into())
    );
    let reason = instance["reasons"][0].as_str().unwrap();
    assert!(
        reason.starts_with("Listing local was last read ") && reason.contains("permission"),
        "{reason}"
    );
    let page = exporter.text("/").await;
    assert!(
        page.contains("<li>Listing local was last read ") && page.contains(" · as read "),
        "{page}"
    );
    exporter.stop().await;
}
