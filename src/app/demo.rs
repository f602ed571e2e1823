//! `demo`: a simulated cloud and the exporter on it, in one process.

use std::fmt::Write as _;
use std::process::ExitCode;

use anyhow::Context as _;
use sim::{Cloud, Scenario};

use super::{ConfigSource, say};
use crate::provider::Environment;
use crate::web::listen::ListenAddress;

/// Runs until it is told to stop.
pub(super) async fn run(
    addresses: &[ListenAddress],
    environment: Environment,
) -> anyhow::Result<ExitCode> {
    let scenario = Scenario::named("demo").context("the scenario `demo` is missing")?;
    let cloud = Cloud::start(scenario.clone())
        .await
        .context("cannot start the simulated cloud")?;
    let yaml = config_for(&scenario, &cloud.url())?;
    let mut greeting = String::from(
        "A simulated cloud with 31 days of history, and the exporter on it. Look at\n",
    );
    for address in addresses.iter().map(ToString::to_string) {
        let every_interface = address.starts_with(':');
        let host = if every_interface { "localhost" } else { "" };
        writeln!(
            greeting,
            "  http://{host}{address}/ and http://{host}{address}/metrics"
        )?;
    }
    say(&(greeting + "Ctrl-C ends it.\n"))?;
    let code = super::run(&ConfigSource::Text(yaml), addresses, environment).await;
    cloud.stop().await;
    code
}

/// The configuration that a user of these clouds would write.
fn config_for(scenario: &Scenario, endpoint: &str) -> Result<String, std::fmt::Error> {
    let mut yaml = String::from("poll: {interval: 5s}\naccounts:\n");
    for account in &scenario.accounts {
        write!(
            yaml,
            "- name: {}\n  provider: alibaba\n  endpoint: {endpoint}\n  rate_limit: 50/s\n  \
             credentials: {{access_key_id: {}, access_key_secret: {}}}\n  instances:\n",
            account.name, account.access_key_id, account.access_key_secret
        )?;
        let instances = scenario.instances.iter();
        for instance in instances.filter(|instance| instance.account == account.name) {
            let destinations = instance.destinations.iter();
            let regions: Vec<_> = destinations
                .map(|destination| destination.region.as_str())
                .collect();
            writeln!(
                yaml,
                "  - {{id: {}, region: {}, name: {}, backup_regions: [{}]}}",
                instance.id,
                instance.region,
                instance.name,
                regions.join(", ")
            )?;
        }
    }
    Ok(yaml)
}
