//! `check`: is the configuration right, and what will it cost? Calls no cloud.

use std::fmt::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use super::{ConfigSource, say, unusable};
use crate::clock::Clock;
use crate::config::{AccountConfig, PollConfig};
use crate::provider::http::HttpClient;
use crate::provider::{Environment, Premises, Provider, least_calls};

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
    let budget = Budget::of(account, poll);
    for (operation, listings) in &budget.listings {
        writeln!(
            summary,
            "  {operation}: at least {} calls an hour",
            calls_an_hour(*listings, poll.interval)
        )?;
    }
    writeln!(
        summary,
        "  one sweep takes at least {} of the interval of {}",
        humantime::format_duration(whole_seconds(budget.sweep)),
        humantime::format_duration(poll.interval)
    )?;
    if budget.sweep > poll.interval {
        writeln!(
            summary,
            "  WARNING: that is more than the interval; raise `poll.interval`, or `rate_limit` if the account allows it"
        )?;
    }
    Ok(())
}

/// What one sweep over an account costs, when every listing fits on one page of 100 rows.
struct Budget {
    listings: Vec<(&'static str, u32)>,
    sweep: Duration,
}

impl Budget {
    fn of(account: &AccountConfig, poll: &PollConfig) -> Self {
        let listings = least_calls(account);
        let pace = account.provider.default_pace();
        let counts = listings.iter().map(|(_, count)| *count);
        let (spacing, calls) = match account.rate_limit {
            Some(limit) => (limit.spacing(), counts.sum()),
            None if pace.per_operation => (pace.spacing, counts.max().unwrap_or_default()),
            None => (pace.spacing, counts.sum()),
        };
        debug_assert!(poll.interval > Duration::ZERO);
        Self {
            listings,
            // The first call need not wait.
            sweep: spacing.saturating_mul(calls.saturating_sub(1)),
        }
    }
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
