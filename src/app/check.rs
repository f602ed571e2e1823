//! `check`: is the configuration right, and what will it cost? Calls no cloud.

use std::fmt::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use super::{ConfigSource, say, unusable};
use crate::clock::Clock;
use crate::config::{AccountConfig, PollConfig};
use crate::provider::http::HttpClient;
use crate::provider::{Environment, Premises, Provider};

/// Prints the problems, or a summary.
pub(super) fn run(source: &ConfigSource, environment: &Environment) -> anyhow::Result<ExitCode> {
    let config = match source.load(environment) {
        Ok(config) => config,
        Err(problems) => return Ok(unusable(&problems)),
    };
    let http = HttpClient::new()?;
    let mut summary = String::from("the configuration is good\n");
    for account in &config.accounts {
        let provider = Provider::new(&Premises {
            account,
            poll: &config.poll,
            http: &http,
            clock: &Clock::real(),
            environment,
        });
        let keys = provider.credentials().describe();
        describe(&mut summary, account, &config.poll, &keys)?;
    }
    say(&summary)?;
    Ok(ExitCode::SUCCESS)
}

fn describe(
    summary: &mut String,
    account: &AccountConfig,
    poll: &PollConfig,
    keys: &str,
) -> std::fmt::Result {
    writeln!(
        summary,
        "\naccount {} ({}): instances: {}; keys from {keys}",
        account.name,
        account.provider.label(),
        account.targets.len()
    )?;
    let _ = poll;
    Ok(())
}

/// Rounded up; nobody plans by milliseconds.
fn whole_seconds(duration: Duration) -> Duration {
    let part = u64::from(duration.subsec_nanos() > 0);
    Duration::from_secs(duration.as_secs() + part)
}

fn calls_an_hour(listings: u32, interval: Duration) -> u64 {
    let hour = Duration::from_secs(3600).as_millis();
    let calls = u128::from(listings) * hour / interval.as_millis().max(1);
    u64::try_from(calls).unwrap_or(u64::MAX)
}
