//! Wires the modules together, and takes them apart in the right order. The only file that knows all of them.

mod budget;
mod check;
#[cfg(feature = "demo")]
mod demo;
#[cfg(feature = "demo")]
#[cfg(test)]
pub(crate) mod golden;
mod health;
mod logging;
mod once;
mod own_shard;

use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use futures_util::StreamExt;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGXFSZ};
use signal_hook_tokio::Signals;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::args::{Arguments, Command};
use crate::clock::Clock;
use crate::config::{Config, Problem, Problems};
use crate::facts::Facts;
use crate::metrics::ReloadState;
use crate::poll::{Ground, Poller};
use crate::provider::Environment;
use crate::provider::http::HttpClient;
use crate::shard::Shard;
use crate::storage::{self, Storage};
use crate::web::{ReloadRequest, Settings, Site};
use toolkit::listen::{self, ListenAddress, Listener};
use toolkit::protection::Protection;
use toolkit::rate_limit::RateLimit;
use toolkit::server::{self, Limits};
use toolkit::web_config::RequestRate;

/// How long polls in flight may take to finish at the end.
const POLL_GRACE: Duration = Duration::from_secs(10);

/// How long scrapes in flight may take to finish at the end; together with a hanging poll this stays below the 30
/// seconds that Kubernetes waits.
const SCRAPE_GRACE: Duration = Duration::from_secs(10);

/// How long storing the last facts may take after that.
const STORAGE_GRACE: Duration = Duration::from_secs(5);

/// The threads for what blocks: name look-ups, files, pages, passwords. Each keeps memory of its own.
const BLOCKING_THREADS: usize = 128;

/// How many reloads may wait for the one that is under way, to be answered together.
const WAITING_RELOADS: usize = 64;

/// The reloads that are logged. Everybody who reaches the port can ask for them.
const LOGGED_RELOADS: RequestRate = RequestRate {
    interval: Duration::from_secs(60),
    burst: 5,
};

/// The configuration cannot be used, a listing could not be read, or nothing is watched.
const EXIT_UNUSABLE: u8 = 2;

/// Does what the command line says.
pub fn main(arguments: Arguments) -> ExitCode {
    logging::start(arguments.log);
    let environment: Environment = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect();
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .max_blocking_threads(BLOCKING_THREADS)
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => return fail(&anyhow::Error::new(error).context("cannot start")),
    };
    let source = ConfigSource::File(arguments.config_file);
    let addresses = arguments.listen_addresses;
    let web_config = arguments.web_config_file.as_deref();
    let shard = own_shard::of(arguments.shard, &environment);
    let storage = arguments.storage_path.as_deref();
    let outcome = runtime.block_on(async {
        let shard = match (arguments.command, shard) {
            (Some(Command::Health), _) => return health::run(&addresses).await,
            (_, Ok(shard)) => shard,
            (_, Err(problems)) => {
                let config = load(&source, web_config, &environment).map(|_| ());
                return Ok(unusable(&all_problems(Err::<(), _>(problems), config)));
            }
        };
        match arguments.command {
            None => {
                let told = |_: &str, _: &[SocketAddr]| Ok(());
                run(
                    &source,
                    &addresses,
                    web_config,
                    storage,
                    environment,
                    shard,
                    told,
                )
                .await
            }
            Some(Command::Check) => check::run(&source, web_config, &environment, shard),
            Some(Command::Once { output }) => once::run(&source, output, environment, shard).await,
            Some(Command::Health) => health::run(&addresses).await,
            #[cfg(feature = "demo")]
            Some(Command::Demo { control }) => {
                demo::run(&addresses, control, web_config, storage, environment, shard).await
            }
        }
    });
    // A poll that hangs in a blocking call must not hold up the exit.
    runtime.shutdown_background();
    outcome.unwrap_or_else(|error| fail(&error))
}

/// Where the configuration comes from, each time that it is loaded.
#[derive(Debug, Clone)]
enum ConfigSource {
    File(PathBuf),
    #[cfg(feature = "demo")]
    Text(String),
}

impl ConfigSource {
    fn load(&self, environment: &Environment) -> Result<Config, Problems> {
        let environment = environment.clone();
        match self {
            Self::File(path) => Config::load(path, environment),
            #[cfg(feature = "demo")]
            Self::Text(yaml) => Config::parse(yaml, environment),
        }
    }
}

/// Both configurations, or the problems of both.
fn load(
    source: &ConfigSource,
    web_config: Option<&Path>,
    environment: &Environment,
) -> Result<(Config, Protection), Problems> {
    let (config, protection) = (source.load(environment), Protection::load(web_config));
    match (config, protection) {
        (Ok(config), Ok(protection)) => Ok((config, protection)),
        (config, protection) => Err(all_problems(config, protection)),
    }
}

fn all_problems<T, U>(one: Result<T, Problems>, other: Result<U, Problems>) -> Problems {
    let problems = [one.err(), other.err()].into_iter().flatten();
    Problems(problems.flat_map(|Problems(problems)| problems).collect())
}

/// Runs the exporter until it is told to stop. `on_listening` is told the scheme, and the addresses with their port
/// numbers.
async fn run(
    source: &ConfigSource,
    addresses: &[ListenAddress],
    web_config: Option<&Path>,
    storage: Option<&Path>,
    environment: Environment,
    shard: Shard,
    on_listening: impl FnOnce(&str, &[SocketAddr]) -> anyhow::Result<()>,
) -> anyhow::Result<ExitCode> {
    let (config, protection) = match load(source, web_config, &environment) {
        Ok((config, protection)) => (config, Arc::new(protection)),
        Err(problems) => return Ok(unusable(&problems)),
    };
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        revision = env!("BUILD_REVISION"),
        accounts = config.accounts.len(),
        shard_index = shard.index(),
        shard_count = shard.count(),
        "starting cloud-backup-exporter"
    );
    tell_doubts(&config.doubts());
    // Before anything else starts, so that an address in use ends the start and not a running exporter.
    let listeners = listen::bind(addresses).await?;
    // The last one would end the process where a file may not grow further: to `storage` that is an error like others.
    let mut signals =
        Signals::new([SIGHUP, SIGINT, SIGTERM, SIGXFSZ]).context("cannot wait for signals")?;
    let facts = match storage {
        Some(_) => Facts::with_ledgers(),
        None => Facts::default(),
    };
    let ground = ground(facts, Clock::real(), environment, shard)?;
    // Before anything is adopted, and before anybody is answered.
    let storage = storage
        .map(|folder| take_back(folder, &ground))
        .transpose()?;
    let bound: Vec<_> = listeners.iter().map(Listener::local_address).collect();
    for address in &bound {
        tracing::info!(%address, "listening");
    }
    let tls = protection.tls_configs();
    tracing::info!(tls = tls.is_some(), "connections are accepted");
    let scheme = if tls.is_some() { "https" } else { "http" };
    on_listening(scheme, &bound)?;

    let (reload, mut reload_requests) = mpsc::channel(WAITING_RELOADS);
    let site = Arc::new(Site::new(
        Arc::clone(&ground.facts),
        Arc::clone(&ground.tally),
        ground.clock.clone(),
        settings(&config, &ground),
        reload,
    ));
    let mut poller = Poller::new(ground.clone());
    poller.apply(&config);
    let written = Arc::clone(&site);
    tokio::spawn(async move { written.keep_metrics_up_to_date().await });
    let storage = storage.map(Storage::start);
    let shutdown = CancellationToken::new();
    let (answers, guarded) = (Arc::clone(&site), Arc::clone(&protection));
    let serving = tokio::spawn(server::serve(
        listeners,
        Limits::default(),
        tls,
        move |request| {
            let site = Arc::clone(&answers);
            Arc::clone(&guarded).answer(request, |request| site.answer(request))
        },
        shutdown.clone(),
    ));

    let mut reload_log = ReloadLog::new();
    loop {
        let mut requests: Vec<ReloadRequest> = tokio::select! {
            Some(request) = reload_requests.recv() => vec![request],
            signal = signals.next() => match signal {
                Some(SIGHUP) => Vec::new(),
                Some(SIGXFSZ) => continue,
                Some(_) | None => break,
            },
        };
        // What is read from now on is no older than any of these requests, so it answers them all.
        while let Ok(request) = reload_requests.try_recv() {
            requests.push(request);
        }
        let reloaded = reload_config(source, &protection, &site, &mut poller, &ground);
        reload_log.tell(&reloaded);
        let outcome = reloaded.outcome.map_err(|problems| problems.to_string());
        for request in requests {
            // Whoever asked may have gone meanwhile.
            let _nobody_waits = request.send(outcome.clone());
        }
    }

    tracing::info!("stopping");
    shutdown.cancel();
    let stopped = async {
        let ((), served) = tokio::join!(poller.stop(POLL_GRACE), timeout(SCRAPE_GRACE, serving));
        if served.is_err() {
            tracing::warn!("stopped while answers were being sent");
        }
        // What the last polls found is stored too.
        if let Some(storage) = storage {
            storage.stop(STORAGE_GRACE).await;
        }
    };
    tokio::select! {
        () = stopped => tracing::info!("stopped"),
        Some(SIGINT | SIGTERM) = next_stop_signal(&mut signals) => {
            tracing::warn!("stopped at once, by a second signal");
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn next_stop_signal(signals: &mut Signals) -> Option<i32> {
    loop {
        match signals.next().await {
            Some(SIGHUP | SIGXFSZ) => {}
            signal => return signal,
        }
    }
}

/// Loads both configurations again. A bad one changes nothing but what is said about reloading, and does not keep the
/// other one from being taken on.
fn reload_config(
    source: &ConfigSource,
    protection: &Protection,
    site: &Site,
    poller: &mut Poller,
    ground: &Ground,
) -> Reloaded {
    let (config, protected) = (source.load(&ground.environment), protection.reload());
    if let Ok(config) = &config {
        poller.apply(config);
        site.set_settings(settings(config, ground));
    }
    let accounts = config.as_ref().ok().map(|config| config.accounts.len());
    let doubts = config.as_ref().map_or_else(|_| Vec::new(), Config::doubts);
    if config.is_ok() && protected.is_ok() {
        return Reloaded {
            accounts,
            doubts,
            outcome: Ok(()),
        };
    }
    let mut settings = site.settings();
    settings.reload.successful = false;
    site.set_settings(settings);
    Reloaded {
        accounts,
        doubts,
        outcome: Err(all_problems(config, protected)),
    }
}

/// What came of loading both configurations.
struct Reloaded {
    /// The number of accounts, if the configuration of what is watched is in force.
    accounts: Option<usize>,
    /// What is doubtful about it.
    doubts: Vec<Problem>,
    outcome: Result<(), Problems>,
}

fn tell_doubts(doubts: &[Problem]) {
    for doubt in doubts {
        tracing::warn!(%doubt, "the configuration is doubtful");
    }
}

/// Logs reloads, unless there are many.
struct ReloadLog {
    limit: RateLimit,
    unlogged: u64,
    was_successful: bool,
}

impl ReloadLog {
    fn new() -> Self {
        Self {
            limit: RateLimit::new(LOGGED_RELOADS),
            unlogged: 0,
            was_successful: true,
        }
    }

    fn tell(&mut self, reloaded: &Reloaded) {
        let Reloaded {
            accounts,
            doubts,
            outcome,
        } = reloaded;
        // A turn for the worse or the better is always told. It takes a change of the files, which is not for everybody.
        let is_turn = outcome.is_ok() != self.was_successful;
        self.was_successful = outcome.is_ok();
        if !(is_turn || self.limit.admits()) {
            self.unlogged += 1;
            return;
        }
        let unlogged = std::mem::take(&mut self.unlogged);
        if let Some(accounts) = accounts {
            tracing::info!(accounts, unlogged, "configuration reloaded");
            tell_doubts(doubts);
        }
        if let Err(Problems(problems)) = outcome {
            for problem in problems {
                tracing::error!(%problem, unlogged, "the configuration is not changed");
            }
        }
    }
}

fn settings(config: &Config, ground: &Ground) -> Settings {
    Settings {
        lookback: config.poll.lookback,
        reload: ReloadState {
            successful: true,
            last_success: ground.clock.now(),
        },
        shard: ground.shard,
    }
}

fn take_back(folder: &Path, ground: &Ground) -> Result<Storage, storage::InUse> {
    let ground = storage::Ground {
        facts: Arc::clone(&ground.facts),
        tally: Arc::clone(&ground.tally),
        clock: ground.clock.clone(),
        shard: ground.shard,
    };
    Storage::open(folder, ground)
}

fn ground(
    facts: Facts,
    clock: Clock,
    environment: Environment,
    shard: Shard,
) -> anyhow::Result<Ground> {
    Ok(Ground {
        facts: Arc::new(facts),
        tally: Arc::default(),
        clock,
        http: HttpClient::new().context("cannot make an HTTP client")?,
        environment: Arc::new(environment),
        shard,
    })
}

fn unusable(problems: &Problems) -> ExitCode {
    say_error(&problems.to_string());
    ExitCode::from(EXIT_UNUSABLE)
}

fn fail(error: &anyhow::Error) -> ExitCode {
    say_error(&format!("{error:#}"));
    ExitCode::FAILURE
}

/// To standard error, for the person at the terminal. A closed terminal is no reason to fail.
fn say_error(text: &str) {
    let _closed = writeln!(io::stderr(), "{text}");
}

/// To standard output: results, and nothing else.
fn say(text: impl AsRef<[u8]>) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_ref())?;
    out.flush()
}
