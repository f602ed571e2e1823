//! `demo`: a simulated cloud and the exporter on it, in one process.

use std::fmt::Write as _;
use std::process::ExitCode;

use anyhow::Context as _;
use sim::{Cloud, Scenario};

use super::{ConfigSource, say};
use crate::args::WebArguments;
use crate::provider::Environment;

/// Runs until it is told to stop.
pub(super) async fn run(web: &WebArguments, environment: Environment) -> anyhow::Result<ExitCode> {
    let scenario = Scenario::named("demo").context("the scenario `demo` is missing")?;
    let yaml = config_for(&scenario);
    let cloud = Cloud::start(scenario)
        .await
        .context("cannot start the simulated cloud")?;
    let yaml = yaml.replace(ENDPOINT, &cloud.url());
    let addresses: Vec<_> = web
        .listen_addresses
        .iter()
        .map(ToString::to_string)
        .collect();
    say(&format!(
        "A simulated cloud with 31 days of history, and the exporter on it. Look at\n{}\nCtrl-C ends it.\n",
        addresses
            .iter()
            .map(|address| {
                let host = if address.starts_with(':') {
                    "localhost"
                } else {
                    ""
                };
                format!("  http://{host}{address}/ and http://{host}{address}/metrics")
            })
            .collect::<Vec<_>>()
            .join("\n")
    ))?;
    let code = super::run(&ConfigSource::Text(yaml), web, environment).await;
    cloud.stop().await;
    code
}

/// Stands for the address of the cloud, which is known once it runs.
const ENDPOINT: &str = "http://simulated.invalid";

/// The configuration that a user of these clouds would write.
fn config_for(scenario: &Scenario) -> String {
    let mut yaml = String::from("poll: {interval: 5s}\naccounts:\n");
    for account in &scenario.accounts {
        let written = write!(
            yaml,
            "- name: {}\n  provider: alibaba\n  endpoint: {ENDPOINT}\n  rate_limit: 50/s\n  \
             credentials: {{access_key_id: {}, access_key_secret: {}}}\n  instances:\n",
            account.name, account.access_key_id, account.access_key_secret
        );
        debug_assert!(written.is_ok());
        for instance in scenario
            .instances
            .iter()
            .filter(|instance| instance.account == account.name)
        {
            let regions: Vec<_> = instance
                .destinations
                .iter()
                .map(|destination| destination.region.as_str())
                .collect();
            let written = writeln!(
                yaml,
                "  - {{id: {}, region: {}, name: {}, backup_regions: [{}]}}",
                instance.id,
                instance.region,
                instance.name,
                regions.join(", ")
            );
            debug_assert!(written.is_ok());
        }
    }
    yaml
}
