//! Where events go: to standard error, as logfmt or JSON.

use tracing_subscriber::Layer as _;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::args::{LogArguments, LogFormat, LogLevel};

/// Starts logging. A second start changes nothing.
pub(super) fn start(arguments: LogArguments) {
    let level = match arguments.level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    };
    // The HTTP libraries would write whole requests into a trace, and those carry keys: only our own events go deeper.
    let filter = Targets::new()
        .with_default(level.min(LevelFilter::WARN))
        .with_target("cloud_backup_exporter", level)
        .with_target("toolkit", level);
    let layer = match arguments.format {
        LogFormat::Logfmt => tracing_logfmt::builder()
            .layer()
            .with_writer(std::io::stderr)
            .boxed(),
        LogFormat::Json => tracing_subscriber::fmt::layer()
            .json()
            .flatten_event(true)
            .with_writer(std::io::stderr)
            .boxed(),
    };
    let _already_started = tracing_subscriber::registry()
        .with(layer.with_filter(filter))
        .try_init();
}
