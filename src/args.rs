//! The command line, in the style of the Prometheus exporters: `--config.file=exporter.yml`.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use toolkit::listen::ListenAddress;

/// What was typed.
#[derive(Debug, Parser)]
#[command(
    name = "cloud-backup-exporter",
    version = concat!(env!("CARGO_PKG_VERSION"), " (revision ", env!("BUILD_REVISION"), ", rustc ", env!("BUILD_RUST_VERSION"), ")"),
    about = "Prometheus exporter for the cross-region and local backups of managed cloud databases"
)]
pub struct Arguments {
    /// What to do; without it the exporter runs until it is stopped.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// Where the configuration is.
    #[arg(
        long = "config.file",
        default_value = "exporter.yml",
        value_name = "FILE",
        global = true
    )]
    pub config_file: PathBuf,
    /// Address to serve on, such as `:19110` for all interfaces or `127.0.0.1:19110`; may be repeated.
    #[arg(
        long = "web.listen-address",
        default_value = ":19110",
        value_name = "ADDRESS",
        global = true
    )]
    pub listen_addresses: Vec<ListenAddress>,
    /// Where TLS and authentication are configured, in the format of Prometheus's exporter-toolkit; without it, HTTP is
    /// plain and everybody may ask.
    #[arg(long = "web.config.file", value_name = "FILE", global = true)]
    pub web_config_file: Option<PathBuf>,
    /// Which part of the instances is watched.
    #[command(flatten)]
    pub shard: ShardArguments,
    /// Folder in which to keep what was found, so that a restart loses nothing; made if it is missing. Without it
    /// everything is kept in memory.
    #[arg(long = "storage.path", value_name = "FOLDER", global = true)]
    pub storage_path: Option<PathBuf>,
    /// How to log.
    #[command(flatten)]
    pub log: LogArguments,
}

/// Which part of the instances is watched, where several exporters divide them among themselves.
#[derive(Debug, Clone, Copy, Args)]
pub struct ShardArguments {
    /// Which of the shards this is, counted from 0. Without it the ordinal at the end of the pod's name (`POD_NAME`, else
    /// the name of the host), as a `StatefulSet` gives it.
    #[arg(long = "shard.index", value_name = "INDEX", global = true)]
    pub index: Option<u32>,
    /// How many exporters divide the instances among themselves, each with the same configuration and with an index of its
    /// own.
    #[arg(
        long = "shard.count",
        default_value_t = 1,
        value_name = "COUNT",
        global = true
    )]
    pub count: u32,
}

/// How to log.
#[derive(Debug, Clone, Copy, Args)]
pub struct LogArguments {
    /// The least important events to log.
    #[arg(
        long = "log.level",
        value_enum,
        default_value = "info",
        value_name = "LEVEL",
        global = true
    )]
    pub level: LogLevel,
    /// How to write events.
    #[arg(
        long = "log.format",
        value_enum,
        default_value = "logfmt",
        value_name = "FORMAT",
        global = true
    )]
    pub format: LogFormat,
}

/// The levels of events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[expect(missing_docs, reason = "the names say it all")]
pub enum LogLevel {
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

/// The formats of events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[expect(missing_docs, reason = "the names say it all")]
pub enum LogFormat {
    Logfmt,
    Json,
}

/// What to do instead of running the daemon.
#[derive(Debug, Clone, Copy, Subcommand)]
pub enum Command {
    /// Read the configuration, without calling any cloud: print all of its problems, or a summary with the number of
    /// API calls. Exit code 0, or 2 when there are problems.
    Check,
    /// Poll everything once and print the result. Exit code 0 when all objectives are met, 1 when some are broken, 2
    /// when some listing could not be read.
    Once {
        /// How to print the result.
        #[arg(long, value_enum, default_value = "table", value_name = "OUTPUT")]
        output: Output,
    },
    /// Ask the exporter that listens on this machine whether it serves, at the first `--web.listen-address`. Exit code 0
    /// if it does, 1 if not; for the health checks of containers without a shell.
    Health,
    /// Start a simulated cloud and the exporter on it; needs no account and no configuration.
    #[cfg(feature = "demo")]
    Demo {
        /// Address for breaking and mending the simulated cloud while it runs, such as `127.0.0.1:19111`; a GET of it
        /// lists the ways. Without it the demo cannot be changed.
        #[arg(long = "control.listen-address", value_name = "ADDRESS")]
        control: Option<std::net::SocketAddr>,
    },
}

/// The outputs of `once`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[expect(missing_docs, reason = "the names say it all")]
pub enum Output {
    Table,
    Json,
    Metrics,
}
