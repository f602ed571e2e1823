//! Runs a simulated cloud by itself, to point an exporter or a curious person at. Loopback only,
//! until Ctrl-C or SIGTERM.

use std::collections::BTreeSet;
use std::error::Error;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser;
use sim::{Account, Cloud, Scenario, Vendor, control, huawei};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;

/// Simulated clouds with database backups, for trying the exporter without an account.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// Built-in scenario to run
    #[arg(long, default_value = "demo", conflicts_with = "file")]
    scenario: String,
    /// Scenario file to run instead of a built-in one
    #[arg(long)]
    file: Option<PathBuf>,
    /// Loopback address to listen on; port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// Address for changing the cloud while it runs, by the verbs that a GET of `/` lists
    #[arg(long)]
    control: Option<SocketAddr>,
    /// List the built-in scenarios and end
    #[arg(long)]
    list: bool,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Arguments::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nothing is left to report to if standard error is closed.
            let _ = writeln!(io::stderr(), "sim: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: Arguments) -> Result<(), Box<dyn Error>> {
    if arguments.list {
        return list();
    }
    // Before anything is printed, so that whoever reads the address may already end the program.
    let mut terminate = signal(SignalKind::terminate())?;
    let scenario = match &arguments.file {
        Some(file) => Scenario::parse(&std::fs::read_to_string(file)?)?,
        None => Scenario::named(&arguments.scenario).ok_or_else(|| {
            format!(
                "there is no scenario {:?}; --list names them",
                arguments.scenario
            )
        })?,
    };
    let described = format!("{}: {}", scenario.name, scenario.description);
    let keys: Vec<_> = scenario
        .accounts
        .iter()
        .map(|account| {
            let key = format!(
                "account {}: key {} secret {}",
                account.name, account.access_key_id, account.access_key_secret
            );
            key + &projects(&scenario, account)
        })
        .collect();
    let cloud = Arc::new(Cloud::start_on(scenario, arguments.listen).await?);
    let mut out = io::stdout();
    writeln!(out, "{described}\n{}", keys.join("\n"))?;
    for vendor in Vendor::ALL {
        writeln!(out, "{} {}", vendor.name(), cloud.url_of(vendor))?;
    }
    let mut controlled = JoinSet::new();
    if let Some(address) = arguments.control {
        let listener = TcpListener::bind(address).await?;
        writeln!(out, "control http://{}", listener.local_addr()?)?;
        controlled.spawn(control::serve(listener, Arc::clone(&cloud)));
    }
    out.flush()?;
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => interrupted?,
        _ = terminate.recv() => {}
    }
    cloud.stop().await;
    Ok(())
}

/// A line for each of the account's projects, where there are such.
fn projects(scenario: &Scenario, account: &Account) -> String {
    if account.vendor != Vendor::Huawei {
        return String::new();
    }
    let own = scenario.instances.iter();
    let own = own.filter(|instance| instance.account == account.name);
    let mut projects = BTreeSet::new();
    for instance in own {
        projects.insert((instance.region.as_str(), None));
        let destinations = instance.destinations.iter();
        projects.extend(destinations.map(|destination| (destination.region.as_str(), None)));
    }
    let stated = account.projects.iter();
    projects.extend(stated.map(|project| (project.name.as_str(), project.id.clone())));
    let lines = projects.into_iter().map(|(name, id)| {
        let id = id.unwrap_or_else(|| huawei::project_id(&account.name, name));
        format!("\naccount {}: project {name} {id}", account.name)
    });
    lines.collect()
}

fn list() -> Result<(), Box<dyn Error>> {
    let mut out = io::stdout();
    for scenario in Scenario::names().into_iter().filter_map(Scenario::named) {
        writeln!(out, "{:18} {}", scenario.name, scenario.description)?;
    }
    Ok(())
}
