//! `demo`: simulated clouds and the exporter on them, in one process.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use sim::{Cloud, Instance, Scenario, Trouble, Vendor};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::{ConfigSource, say};
use crate::provider::Environment;
use crate::shard::Shard;
use toolkit::listen::ListenAddress;

/// Runs until it is told to stop.
pub(super) async fn run(
    addresses: &[ListenAddress],
    control: Option<SocketAddr>,
    web_config: Option<&Path>,
    storage: Option<&Path>,
    environment: Environment,
    shard: Shard,
) -> anyhow::Result<ExitCode> {
    let scenario = Scenario::named("demo").context("the scenario `demo` is missing")?;
    let cloud = Cloud::start(scenario.clone())
        .await
        .context("cannot start the simulated clouds")?;
    let cloud = Arc::new(cloud);
    // Nobody asks what was asked, and a demo may run for days.
    cloud.keep_requests(0);
    let yaml = config_for(&scenario, POLL, |vendor| cloud.url_of(vendor))?;
    let source = ConfigSource::Text(yaml);
    let mut controlled = JoinSet::new();
    if let Some(address) = control {
        let listener = TcpListener::bind(address).await;
        let listener = listener.with_context(|| format!("cannot listen on {address}"))?;
        tracing::info!(address = %listener.local_addr()?, "the simulated clouds can be changed");
        controlled.spawn(sim::control::serve(listener, Arc::clone(&cloud)));
    }
    let code = super::run(
        &source,
        addresses,
        web_config,
        storage,
        environment,
        shard,
        greet,
    )
    .await;
    cloud.stop().await;
    code
}

/// Says where to look, once that is known.
fn greet(scheme: &str, addresses: &[SocketAddr]) -> anyhow::Result<()> {
    let mut greeting = String::from(
        "Three simulated clouds with 31 days of history, and the exporter on them. Look at\n",
    );
    for address in addresses {
        let (ip, port) = (address.ip(), address.port());
        let shown = if ip.is_unspecified() {
            format!("localhost:{port}")
        } else {
            address.to_string()
        };
        writeln!(
            greeting,
            "  {scheme}://{shown}/ and {scheme}://{shown}/metrics"
        )?;
    }
    say(&(greeting + "Ctrl-C ends it.\n"))?;
    Ok(())
}

/// What happens is seen while somebody watches.
const POLL: &str = "interval: 5s, policy_interval: 15s, discovery_interval: 15s";

/// A promise that the default asks for, and that an instance which keeps its backups for less cannot hold.
const DEFAULT_RETENTION: Duration = Duration::from_secs(7 * 24 * 3600);

/// The configuration that a user of these clouds would write: instances are found, and only those are named of which more
/// has to be said.
pub(super) fn config_for(
    scenario: &Scenario,
    poll: &str,
    url_of: impl Fn(Vendor) -> String,
) -> Result<String, std::fmt::Error> {
    let mut yaml = format!("poll: {{{poll}}}\naccounts:\n");
    for account in &scenario.accounts {
        let mine = |instance: &&Instance| instance.account == account.name;
        let instances = || scenario.instances.iter().filter(mine);
        let regions: BTreeSet<_> = instances()
            .map(|instance| instance.region.as_str())
            .collect();
        let regions: Vec<_> = regions.into_iter().collect();
        write!(
            yaml,
            "- name: {}\n  provider: {}\n  endpoint: {}\n  rate_limit: 100/s\n  \
             credentials: {{access_key_id: {}, access_key_secret: {}}}\n  \
             discover: {{regions: [{}]}}\n",
            account.name,
            account.vendor.name(),
            url_of(account.vendor),
            account.access_key_id,
            account.access_key_secret,
            regions.join(", ")
        )?;
        if account.vendor == Vendor::Huawei {
            write_projects(&mut yaml, &account.name, instances())?;
        }
        let named: Vec<_> = instances()
            .filter(|instance| keeps_little(instance) || is_released(instance))
            .collect();
        if !named.is_empty() {
            yaml.push_str("  instances:\n");
        }
        for instance in named {
            write_instance(&mut yaml, instance)?;
        }
    }
    Ok(yaml)
}

fn keeps_little(instance: &Instance) -> bool {
    instance.retention < DEFAULT_RETENTION
}

/// Somebody has deleted it, and left it in the configuration.
fn is_released(instance: &Instance) -> bool {
    let mut trouble = instance.trouble.iter();
    trouble.any(|trouble| matches!(trouble, Trouble::Released { .. }))
}

fn write_projects<'a>(
    yaml: &mut String,
    account: &str,
    instances: impl Iterator<Item = &'a Instance>,
) -> std::fmt::Result {
    let regions: BTreeSet<_> = instances
        .flat_map(|instance| {
            let destinations = instance.destinations.iter();
            destinations
                .map(|destination| destination.region.as_str())
                .chain([instance.region.as_str()])
        })
        .collect();
    yaml.push_str("  projects:\n");
    for region in regions {
        let id = sim::huawei::project_id(account, region);
        writeln!(yaml, "    {region}: \"{id}\"")?;
    }
    Ok(())
}

fn write_instance(yaml: &mut String, instance: &Instance) -> std::fmt::Result {
    let objectives = if keeps_little(instance) {
        ", objectives: {retention: off}"
    } else {
        ""
    };
    writeln!(
        yaml,
        "  - {{id: {}, region: {}, name: {}{objectives}}}",
        instance.id, instance.region, instance.name
    )
}
