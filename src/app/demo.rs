//! `demo`: a simulated cloud and the exporter on it, in one process.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

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
    let source = ConfigSource::Text(yaml);
    let code = super::run(&source, addresses, environment, greet).await;
    cloud.stop().await;
    code
}

/// Says where to look, once that is known.
fn greet(addresses: &[SocketAddr]) -> anyhow::Result<()> {
    let mut greeting = String::from(
        "A simulated cloud with 31 days of history, and the exporter on it. Look at\n",
    );
    for address in addresses {
        let (ip, port) = (address.ip(), address.port());
        let shown = if ip.is_unspecified() {
            format!("localhost:{port}")
        } else {
            address.to_string()
        };
        writeln!(greeting, "  http://{shown}/ and http://{shown}/metrics")?;
    }
    say(&(greeting + "Ctrl-C ends it.\n"))?;
    Ok(())
}

/// A promise that the default asks for, and that an instance which keeps its backups for less cannot hold.
const DEFAULT_RETENTION: Duration = Duration::from_secs(7 * 24 * 3600);

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
            let objectives = if instance.retention < DEFAULT_RETENTION {
                ", objectives: {retention: off}"
            } else {
                ""
            };
            writeln!(
                yaml,
                "  - {{id: {}, region: {}, name: {}, backup_regions: [{}]{objectives}}}",
                instance.id,
                instance.region,
                instance.name,
                regions.join(", ")
            )?;
        }
    }
    Ok(yaml)
}
