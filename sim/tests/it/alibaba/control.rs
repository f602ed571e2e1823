//! The verbs over HTTP: what they change is seen by a client of the vendor.

use std::sync::Arc;

use sim::control;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::*;

/// A cloud and the address of its verbs.
struct Controlled {
    cloud: Arc<Cloud>,
    address: String,
    _serving: JoinSet<()>,
}

impl Controlled {
    async fn start() -> Self {
        let cloud = Arc::new(cloud().await);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let mut serving = JoinSet::new();
        serving.spawn(control::serve(listener, Arc::clone(&cloud)));
        Self {
            cloud,
            address,
            _serving: serving,
        }
    }

    async fn send(&self, start: &str) -> Answer {
        let host = ("host", self.address.clone());
        let request = message(start, &[host], "");
        exchange_with(self.address.clone(), request).await.unwrap()
    }

    async fn order(&self, target: &str) {
        let answer = self.send(&format!("POST {target}")).await;
        assert_eq!((answer.status, &*answer.body), (200, "done\n"), "{target}");
    }

    /// When the newest copy was made, as the vendor writes it.
    async fn newest_copy(&self) -> String {
        let answer = Ask::copies(&self.cloud, "rm-1").send(&self.cloud).await;
        answer.rows()[0]["BackupEndTime"]
            .as_str()
            .unwrap()
            .to_owned()
    }

    /// How many of the local sets have failed.
    async fn failed(&self) -> usize {
        let rows = Ask::local(&self.cloud, "rm-1")
            .send(&self.cloud)
            .await
            .rows();
        let statuses = rows.iter().map(|row| &row["BackupStatus"]);
        statuses.filter(|status| *status == "Failed").count()
    }
}

#[tokio::test]
async fn verbs_over_http_change_what_clients_see() {
    let controlled = Controlled::start().await;
    let cloud = &controlled.cloud;

    let before = controlled.failed().await;
    controlled
        .order("/instances/rm-1/fail_backup?ago=25h")
        .await;
    assert_eq!(controlled.failed().await, before + 1);

    let copied = controlled.newest_copy().await;
    controlled.order("/instances/rm-1/stop_copies").await;
    cloud.clock().advance(DAY);
    assert_eq!(controlled.newest_copy().await, copied);
    controlled.order("/instances/rm-1/resume_copies").await;
    cloud.clock().advance(DAY);
    assert!(controlled.newest_copy().await > copied);

    let account = Scenario::empty().accounts[0].name.clone();
    let right = |verb: &str| format!("/accounts/{account}/{verb}?operation=DescribeBackups");
    controlled.order(&right("deny")).await;
    let answer = Ask::local(cloud, "rm-1").send(cloud).await;
    assert_eq!(answer.status, 403, "{}", answer.body);
    controlled.order(&right("allow")).await;
    assert_eq!(Ask::local(cloud, "rm-1").send(cloud).await.status, 200);

    controlled.order("/instances/rm-1/release").await;
    let answer = Ask::local(cloud, "rm-1").send(cloud).await;
    assert_eq!(answer.status, 404, "{}", answer.body);
    nothing_unexpected(cloud);
}

#[tokio::test]
async fn what_cannot_be_done_changes_nothing_and_is_explained() {
    let controlled = Controlled::start().await;
    for (start, status, expected) in [
        ("GET /", 200, "fail_backup"),
        ("POST /", 405, "fail_backup"),
        ("GET /instances/rm-1/release", 405, "release"),
        ("POST /instances/rm-1/explode", 404, "switch_policy_off"),
        ("POST /instances/rm-9/release", 404, "no instance rm-9"),
        (
            "POST /instances/rm-1/fail_backup?ago=soon",
            400,
            "ago: \"soon\"",
        ),
        (
            "POST /instances/rm-1/lose_logs?from=1h",
            400,
            "to: is missing",
        ),
        ("POST /accounts/test/deny", 400, "operation is missing"),
    ] {
        let answer = controlled.send(start).await;
        assert_eq!(answer.status, status, "{start}");
        assert!(answer.body.contains(expected), "{start}: {}", answer.body);
    }
    assert_eq!(controlled.failed().await, 0);
}
