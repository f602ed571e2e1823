//! `check`: is the configuration right, and what will it cost? Calls no cloud.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use super::budget::{Budget, own};
use super::{ConfigSource, load, say, unusable};
use crate::clock::Clock;
use crate::config::{AccountConfig, Config, PollConfig, PollMode};
use crate::provider::budget::CALLS_BACK;
use crate::provider::http::HttpClient;
use crate::provider::{Environment, Premises, Provider};
use crate::service::ServiceSpec;
use crate::shard::Shard;
use crate::target::Objective;

/// Prints the problems, or a summary.
pub(super) fn run(
    source: &ConfigSource,
    web_config: Option<&Path>,
    environment: &Environment,
    shard: Shard,
) -> anyhow::Result<ExitCode> {
    let config = match load(source, web_config, environment) {
        Ok((config, _)) => config,
        Err(problems) => return Ok(unusable(&problems)),
    };
    say(summary(&config, environment, shard)?)?;
    Ok(ExitCode::SUCCESS)
}

/// What is said of a configuration that can be used.
pub(super) fn summary(
    config: &Config,
    environment: &Environment,
    shard: Shard,
) -> anyhow::Result<String> {
    let http = HttpClient::new()?;
    let mut summary = String::from("the configuration is good\n");
    for doubt in config.doubts() {
        writeln!(summary, "WARNING: {doubt}")?;
    }
    if shard.is_one_of_several() {
        writeln!(
            summary,
            "for shard {} of {}, counted from 0: its own instances, and 1/{} of what each limit allows",
            shard.index(),
            shard.count(),
            shard.count()
        )?;
    }
    for account in &config.accounts {
        let provider = Provider::new(&Premises {
            account,
            poll: &config.poll,
            http: &http,
            clock: &Clock::real(),
            environment,
        });
        let keys = provider.credentials().describe();
        describe(&mut summary, account, &config.poll, shard, &keys)?;
    }
    Ok(summary)
}

fn describe(
    summary: &mut String,
    account: &AccountConfig,
    poll: &PollConfig,
    shard: Shard,
    keys: &str,
) -> std::fmt::Result {
    let (name, vendor) = (&account.name, account.provider.label());
    let all = account.targets.len();
    let instances = if shard.is_one_of_several() {
        format!("{} of {all}", own(account, shard).len())
    } else {
        all.to_string()
    };
    writeln!(
        summary,
        "\naccount {name} ({vendor}): instances: {instances}; keys from {keys}"
    )?;
    let budget = Budget::of(account, poll, shard);
    let least = Budget::of(account, &at_the_ceiling(poll), shard);
    if let Some(discover) = &account.discover {
        let regions = discover.regions.join(", ");
        writeln!(
            summary,
            "  others are looked for in {regions}; counted here with one in each region where none is named"
        )?;
    }
    for service in &account.services {
        if let Some(told) = promised_less(service.spec()) {
            writeln!(summary, "  {told}")?;
        }
    }
    for (operation, calls) in &budget.hourly {
        let calls = range(least.hourly[operation], *calls);
        writeln!(summary, "  {operation}: {calls} calls an hour")?;
    }
    let all = range(least.total(), budget.total());
    write!(summary, "  in all: {all} calls an hour")?;
    if budget.instances > 0 {
        #[expect(clippy::cast_precision_loss, reason = "nobody has 2^53 instances")]
        let instances = budget.instances as f64;
        let each = range(least.total() / instances, budget.total() / instances);
        write!(summary, ", {each} for each instance")?;
    }
    writeln!(summary)?;
    if poll.mode == PollMode::Adaptive {
        writeln!(
            summary,
            "  the most is if every listing of backups were due every {}, the least if each were due every {}; which it \
             is depends on how often backups are made, and sets every day come close to the least",
            humantime::format_duration(poll.interval),
            humantime::format_duration(poll.max_interval)
        )?;
    }
    if account.discover.is_some() {
        let (least, most) = (&least.hourly_of_another, &budget.hourly_of_another);
        writeln!(
            summary,
            "  each further instance adds {}",
            added(least, most)
        )?;
    }
    let most = &budget.hourly_of_a_former_destination;
    if !most.is_empty() {
        writeln!(
            summary,
            "  an instance whose copies went elsewhere before adds {}, until what is kept there has run out",
            added(&least.hourly_of_a_former_destination, most)
        )?;
    }
    if budget.log_lists > 0 {
        let (usual, most) = CALLS_BACK;
        writeln!(
            summary,
            "  once, at the first start and after a stop of more than half of {}: logs are read back to the newest copy; {} \
             calls more where copies are made every day and logs every five minutes, {} at the most",
            humantime::format_duration(poll.lookback.logs),
            budget.log_lists.saturating_mul(usual),
            budget.log_lists.saturating_mul(most)
        )?;
    }
    warn_of_what_does_not_fit(summary, poll, &budget, &least)
}

/// Which promises are off by default, because nothing is ever listed that they go by.
fn promised_less(spec: &ServiceSpec) -> Option<String> {
    let has = |listing| spec.listings.contains(listing);
    let off = Objective::ALL
        .into_iter()
        .filter(|objective| !objective.needs().iter().all(has));
    let off: Vec<_> = off.map(Objective::label).collect();
    (!off.is_empty()).then(|| {
        format!(
            "{} lists nothing to tell {} by: off, unless an instance says otherwise",
            spec.product,
            off.join(", ")
        )
    })
}

/// Compares with the limit what has to be asked at the least.
fn warn_of_what_does_not_fit(
    summary: &mut String,
    poll: &PollConfig,
    budget: &Budget,
    least: &Budget,
) -> std::fmt::Result {
    let longest = poll.longest_interval();
    let (name, key) = match poll.mode {
        PollMode::Adaptive => ("longest interval", "poll.max_interval"),
        PollMode::Fixed => ("interval", "poll.interval"),
    };
    writeln!(
        summary,
        "  one sweep takes at least {} of the {name} of {}",
        humantime::format_duration(whole_seconds(budget.sweep)),
        humantime::format_duration(longest)
    )?;
    if budget.sweep > longest {
        writeln!(
            summary,
            "  WARNING: that is more than the {name}; raise `{key}`, or `rate_limit` if the account allows it"
        )?;
    } else if least.share > 1.0 {
        writeln!(
            summary,
            "  WARNING: all calls together are more than the limit allows; raise `poll.policy_interval` or \
             `{key}`, or `rate_limit` if the account allows it"
        )?;
    } else if budget.share > 1.0 {
        writeln!(
            summary,
            "  the limit has no room for the most: what is due at the same time is read one after the other"
        )?;
    }
    Ok(())
}

/// The calls that are added, in all and by operation.
fn added(least: &BTreeMap<&'static str, f64>, most: &BTreeMap<&'static str, f64>) -> String {
    let more: Vec<_> = most
        .iter()
        .map(|(operation, calls)| format!("{operation} {}", short_range(least[operation], *calls)))
        .collect();
    format!(
        "{} calls an hour: {}",
        short_range(least.values().sum(), most.values().sum()),
        more.join(", ")
    )
}

/// The same, if every listing were due as seldom as may be.
fn at_the_ceiling(poll: &PollConfig) -> PollConfig {
    PollConfig {
        interval: poll.longest_interval(),
        ..poll.clone()
    }
}

/// The least and the most; one page for each answer is the least there can be.
fn range(least: f64, most: f64) -> String {
    if least < most {
        format!("at least {} to {}", number(least), number(most))
    } else {
        format!("at least {}", number(most))
    }
}

fn short_range(least: f64, most: f64) -> String {
    if least < most {
        format!("{} to {}", number(least), number(most))
    } else {
        number(most)
    }
}

/// Rounded up; nobody plans by milliseconds.
fn whole_seconds(duration: Duration) -> Duration {
    let part = u64::from(duration.subsec_nanos() > 0);
    Duration::from_secs(duration.as_secs() + part)
}

/// With no more places than tell something.
fn number(value: f64) -> String {
    // The sum of nothing is -0.
    let places = format!("{:.2}", value + 0.0);
    let places = places.trim_end_matches('0').trim_end_matches('.');
    places.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backup::ListingKind;

    fn summary(yaml: &str, shard: Shard) -> String {
        let config = Config::parse(yaml, []).unwrap();
        let mut summary = String::new();
        for account in &config.accounts {
            describe(&mut summary, account, &config.poll, shard, "nowhere").unwrap();
        }
        summary
    }

    #[test]
    fn what_a_product_never_lists_is_told_to_be_promised_by_nobody() {
        for spec in ServiceSpec::all() {
            assert_eq!(promised_less(spec), None);
        }
        let local = ServiceSpec {
            product: "kv",
            listings: &[ListingKind::Local],
            ..*ServiceSpec::all()[0]
        };
        let told = "kv lists nothing to tell recovery_point, copy_delay, retention by: off, unless an instance says otherwise";
        assert_eq!(promised_less(&local).as_deref(), Some(told));
    }

    #[test]
    fn numbers_have_no_idle_places() {
        for (value, written) in [
            (0.0, "0"),
            (-0.0, "0"),
            (12.0, "12"),
            (0.5, "0.5"),
            (1.0 / 24.0, "0.04"),
            (3600.0, "3600"),
        ] {
            assert_eq!(number(value), written);
        }
    }

    fn one_instance(poll: &str, limit: &str) -> String {
        summary(
            &format!(
                "poll: {{{poll}}}\naccounts: [{{name: a, provider: alibaba, rate_limit: {limit}, \
             instances: [{{id: rm-1, region: cn-a, listings: [local, restore_window]}}]}}]"
            ),
            Shard::WHOLE,
        )
    }

    #[test]
    fn a_shard_has_its_part_of_the_instances_and_of_the_limit() {
        let instances: Vec<_> = (0..60)
            .map(|number| format!("{{id: rm-{number}, region: cn-a, listings: [local]}}"))
            .collect();
        let yaml = format!(
            "accounts: [{{name: a, provider: alibaba, rate_limit: 60/m, instances: [{}]}}]",
            instances.join(", ")
        );
        let mut all = 0;
        for index in 0..3 {
            let shard = Shard::of_flags(Some(index), 3, None).unwrap();
            let config = Config::parse(&yaml, []).unwrap();
            let budget = Budget::of(&config.accounts[0], &config.poll, shard);
            let own = budget.instances;
            all += own;
            assert!((10..30).contains(&own), "{own}");
            // One call for each in five minutes, and 3.06 seconds between two.
            let calls = u32::try_from(own).unwrap();
            let hourly = f64::from(calls) * 12.0;
            assert!((budget.hourly["DescribeBackups"] - hourly).abs() < 0.001);
            assert_eq!(budget.sweep, Duration::from_millis(3060) * (calls - 1));
            let text = summary(&yaml, shard);
            let line = format!("instances: {own} of 60;");
            assert!(text.contains(&line), "{text}");
        }
        assert_eq!(all, 60);
    }

    #[test]
    fn what_it_takes_once_to_read_logs_back_is_told() {
        let told = |provider: &str, instances: &str| {
            let yaml =
                format!("accounts: [{{name: a, provider: {provider}, instances: [{instances}]}}]");
            let summary = summary(&yaml, Shard::WHOLE);
            let line = summary.lines().find(|line| line.contains("  once, "))?;
            Some(line.split_once("; ")?.1.to_owned())
        };
        let calls = |usual: u32, most: u32| {
            Some(format!(
                "{usual} calls more where copies are made every day and logs every five minutes, {most} at the most"
            ))
        };
        let two =
            "{id: rm-1, region: cn-a, backup_regions: [cn-b, cn-c]}, {id: rm-2, region: cn-a}";
        // Alibaba lists those of all regions together.
        assert_eq!(told("alibaba", two), calls(6, 198));
        assert_eq!(told("huawei", two), calls(9, 297));
        assert_eq!(told("volcengine", "{id: r-1, region: cn-a}"), None);
        let without = "{id: rm-1, region: cn-a, listings: [cross_region, local]}";
        assert_eq!(told("alibaba", without), None);
        let alone = "{id: rm-1, region: cn-a, listings: [cross_region_log]}";
        assert_eq!(told("alibaba", alone), None);
    }

    #[test]
    fn a_warning_is_given_when_the_calls_do_not_fit() {
        let fixed = |poll: &str| one_instance(&format!("mode: fixed, {poll}"), "1/m");
        assert!(!fixed("interval: 5m").contains("WARNING"));
        let seldom = fixed("interval: 5m, policy_interval: 1m");
        assert!(seldom.contains("WARNING: all calls together"), "{seldom}");
    }

    #[test]
    fn what_a_former_destination_costs_is_told_where_it_is_asked_by_itself() {
        let of = |provider: &str| {
            let yaml = format!(
                "accounts: [{{name: a, provider: {provider}, instances: [{{id: x, region: cn-north-4}}]}}]"
            );
            summary(&yaml, Shard::WHOLE)
        };
        let told = "an instance whose copies went elsewhere before adds 2 to 13 calls an hour: \
                    ListOffSiteBackups 1 to 12, ListOffSiteRestoreTimes 1, until";
        assert!(of("huawei").contains(told), "{}", of("huawei"));
        for provider in ["alibaba", "volcengine"] {
            assert!(!of(provider).contains("elsewhere"), "{}", of(provider));
        }
    }

    #[test]
    fn an_adaptive_account_is_told_the_most_and_the_least() {
        let adaptive = one_instance("mode: adaptive, interval: 5m, max_interval: 1h", "1/m");
        for said in [
            "DescribeBackups: at least 1 to 12 calls an hour",
            "if every listing of backups were due every 5m, the least if each were due every 1h",
            "of the longest interval of 1h",
        ] {
            assert!(adaptive.contains(said), "{adaptive}");
        }
        assert!(!adaptive.contains("limit"), "{adaptive}");
        // What is the same at both ends is one number.
        assert!(
            !one_instance("mode: fixed", "1/m").contains(" to "),
            "{adaptive}"
        );
        let full = one_instance("mode: adaptive, interval: 1m", "1/m");
        assert!(
            full.contains("no room for the most") && !full.contains("WARNING"),
            "{full}"
        );
        let too_much = one_instance("mode: adaptive, policy_interval: 1m", "1/m");
        assert!(
            too_much.contains("WARNING: all calls together"),
            "{too_much}"
        );
    }
}
