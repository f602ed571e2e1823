//! `check`: is the configuration right, and what will it cost? Calls no cloud.

use std::fmt::Write as _;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use super::budget::Budget;
use super::{ConfigSource, load, say, unusable};
use crate::clock::Clock;
use crate::config::{AccountConfig, PollConfig};
use crate::provider::http::HttpClient;
use crate::provider::{Environment, Premises, Provider};

/// Prints the problems, or a summary.
pub(super) fn run(
    source: &ConfigSource,
    web_config: Option<&Path>,
    environment: &Environment,
) -> anyhow::Result<ExitCode> {
    let config = match load(source, web_config, environment) {
        Ok((config, _)) => config,
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
    if let Some(discover) = &account.discover {
        let regions = discover.regions.join(", ");
        writeln!(
            summary,
            "  others are looked for in {regions}; counted here with one in each region where none is named"
        )?;
    }
    for (operation, calls) in &budget.hourly {
        let calls = number(*calls);
        writeln!(summary, "  {operation}: at least {calls} calls an hour")?;
    }
    write!(
        summary,
        "  in all: at least {} calls an hour",
        number(budget.total())
    )?;
    if budget.instances > 0 {
        #[expect(clippy::cast_precision_loss, reason = "nobody has 2^53 instances")]
        let instances = budget.instances as f64;
        let each = number(budget.total() / instances);
        write!(summary, ", {each} for each instance")?;
    }
    writeln!(summary)?;
    if account.discover.is_some() {
        let more = budget.hourly_of_another.iter();
        let more: Vec<_> = more
            .map(|(operation, calls)| format!("{operation} {}", number(*calls)))
            .collect();
        writeln!(
            summary,
            "  each further instance adds {} calls an hour: {}",
            number(budget.hourly_of_another.values().sum()),
            more.join(", ")
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
    } else if budget.share > 1.0 {
        writeln!(
            summary,
            "  WARNING: all calls together are more than the limit allows; raise `poll.policy_interval` or \
             `poll.interval`, or `rate_limit` if the account allows it"
        )?;
    }
    Ok(())
}

/// Rounded up; nobody plans by milliseconds.
fn whole_seconds(duration: Duration) -> Duration {
    let part = u64::from(duration.subsec_nanos() > 0);
    Duration::from_secs(duration.as_secs() + part)
}

/// With no more places than tell something.
fn number(value: f64) -> String {
    let places = format!("{value:.2}");
    let places = places.trim_end_matches('0').trim_end_matches('.');
    places.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn summary(yaml: &str) -> String {
        let config = Config::parse(yaml, []).unwrap();
        let mut summary = String::new();
        for account in &config.accounts {
            describe(&mut summary, account, &config.poll, "nowhere").unwrap();
        }
        summary
    }

    #[test]
    fn numbers_have_no_idle_places() {
        for (value, written) in [
            (0.0, "0"),
            (12.0, "12"),
            (0.5, "0.5"),
            (1.0 / 24.0, "0.04"),
            (3600.0, "3600"),
        ] {
            assert_eq!(number(value), written);
        }
    }

    #[test]
    fn a_warning_is_given_when_the_calls_do_not_fit() {
        let yaml = |poll: &str, limit: &str| {
            format!(
                "poll: {{{poll}}}\naccounts: [{{name: a, provider: alibaba, rate_limit: {limit}, \
                 instances: [{{id: rm-1, region: cn-a, listings: [local, restore_window]}}]}}]"
            )
        };
        assert!(!summary(&yaml("interval: 5m", "1/m")).contains("WARNING"));
        let seldom = summary(&yaml("interval: 5m, policy_interval: 1m", "1/m"));
        assert!(seldom.contains("WARNING: all calls together"), "{seldom}");
    }
}
