//! Whole configurations, most of them wrong.

use std::fmt::Write as _;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::backup::ListingKind;
use crate::target::{InstanceKey, Objectives};
use lower::{
    ACCOUNT_KEYS, CREDENTIALS_KEYS, DEFAULT_OBJECTIVES, DEFAULT_POLL, DISCOVER_KEYS, INSTANCE_KEYS,
    OBJECTIVE_KEYS, POLL_KEYS, TOP_KEYS,
};

const NOTHING: [(String, String); 0] = [];

fn hours(hours: u64) -> Duration {
    Duration::from_secs(hours * 3600)
}

/// One instance that is right.
const INSTANCE: &str = "{id: rm-1, region: cn-a}";

fn with_account(keys: &str) -> String {
    format!("accounts: [{{name: a, provider: alibaba, instances: [{INSTANCE}], {keys}}}]")
}

fn with_instance(keys: &str) -> String {
    format!(
        "accounts: [{{name: a, provider: alibaba, instances: [{{id: rm-1, region: cn-a, {keys}}}]}}]"
    )
}

fn with_top(keys: &str) -> String {
    format!("{}\n{keys}\n", with_account(""))
}

fn lines(result: Result<Config, Problems>) -> Vec<String> {
    match result {
        Ok(_) => Vec::new(),
        Err(problems) => problems.0.iter().map(ToString::to_string).collect(),
    }
}

/// In `expected`, `@providers` stands for the providers that are known, and `@listings` for the listings.
#[track_caller]
fn check(yaml: &str, expected: &[&str]) {
    check_environment(yaml, &[], expected);
}

#[track_caller]
fn check_environment(yaml: &str, environment: &[(&str, &str)], expected: &[&str]) {
    let providers = raw::listed(&Vendor::ALL.map(Vendor::label));
    let listings = raw::listed(&ListingKind::ALL.map(ListingKind::label));
    let expected: Vec<String> = expected
        .iter()
        .map(|line| {
            line.replace("@providers", &providers)
                .replace("@listings", &listings)
        })
        .collect();
    let result = Config::parse(yaml, variables(environment));
    assert_eq!(lines(result), expected, "{yaml} {environment:?}");
}

fn variables(environment: &[(&str, &str)]) -> Vec<(String, String)> {
    let variable = |(name, text): &(&str, &str)| {
        let name = format!("CLOUD_BACKUP_EXPORTER__{name}");
        (name, (*text).to_owned())
    };
    environment.iter().map(variable).collect()
}

fn parse(yaml: &str) -> Config {
    Config::parse(yaml, NOTHING).unwrap()
}

#[test]
fn the_least_configuration_has_every_default() {
    let config = parse(&with_account(""));
    assert_eq!(config.poll, DEFAULT_POLL);
    assert_eq!(
        config.poll,
        PollConfig {
            mode: PollMode::Adaptive,
            interval: Duration::from_secs(300),
            max_interval: hours(1),
            policy_interval: hours(1),
            discovery_interval: Duration::from_secs(600),
            timeout: Duration::from_secs(30),
            lookback: Lookback {
                sets: hours(31 * 24),
                logs: hours(2),
            },
            max_concurrency: 16,
        }
    );
    let account = &config.accounts[0];
    assert_eq!(account.credentials, CredentialsConfig::Standard);
    assert_eq!((account.endpoints.len(), &account.rate_limit), (0, &None));
    let for_keys = (&account.iam_endpoint, &account.metadata_endpoint);
    assert_eq!(for_keys, (&None, &None));
    assert_eq!(
        *account.targets[0],
        Target {
            key: InstanceKey {
                provider: "alibaba",
                account: "a".into(),
                source_region: "cn-a".into(),
                instance_id: "rm-1".into(),
                service: Service::AlibabaRds,
            },
            name: None,
            backup_regions: Vec::new(),
            objectives: Objectives {
                recovery_point: Some(hours(26)),
                backup_age: Some(hours(26)),
                copy_delay: Some(hours(6)),
                retention: Some(hours(7 * 24)),
            },
            listings: ListingKind::ALL.to_vec(),
        }
    );
}

#[test]
fn each_address_of_an_account_goes_to_its_own_place() {
    let config = parse(&with_account(
        "endpoint: 'https://rds.{region}.example', iam_endpoint: 'https://sts.{region}.example', \
         metadata_endpoint: 'http://metadata.example:8080'",
    ));
    let account = &config.accounts[0];
    let [endpoint, iam, metadata] = [
        account.endpoint(Service::AlibabaRds),
        account.iam_endpoint.as_ref(),
        account.metadata_endpoint.as_ref(),
    ]
    .map(|template| template.unwrap().for_region("cn-a"));
    assert_eq!(endpoint, "https://rds.cn-a.example");
    assert_eq!(iam, "https://sts.cn-a.example");
    assert_eq!(metadata, "http://metadata.example:8080");
}

#[test]
fn an_empty_section_is_an_absent_one() {
    let expected = parse(&with_account(""));
    assert_eq!(parse(&with_top("poll:\nobjectives: ~")), expected);
    assert_eq!(parse(&with_top("poll: {}\nobjectives: {}")), expected);
    assert_eq!(
        parse(&with_account(
            "credentials: , endpoint: ~, iam_endpoint: , metadata_endpoint: ~, rate_limit: "
        )),
        expected
    );
    assert_eq!(parse(&with_account("credentials: {}")), expected);
    assert_eq!(
        parse(&with_instance(
            "objectives: , listings: , backup_regions: , name: "
        )),
        expected
    );
}

#[test]
fn an_instance_inherits_the_objectives_that_it_does_not_name() {
    let check = |objectives: &str, own: &str, expected: [Option<u64>; 4]| {
        let yaml = format!(
            "{}\nobjectives: {objectives}\n",
            with_instance(&format!("objectives: {own}"))
        );
        let [recovery_point, backup_age, copy_delay, retention] =
            expected.map(|promise| promise.map(hours));
        let expected = Objectives {
            recovery_point,
            backup_age,
            copy_delay,
            retention,
        };
        assert_eq!(
            parse(&yaml).accounts[0].targets[0].objectives,
            expected,
            "{yaml}"
        );
    };
    check("{}", "{}", [Some(26), Some(26), Some(6), Some(168)]);
    check(
        "{}",
        "{recovery_point: 4h}",
        [Some(4), Some(26), Some(6), Some(168)],
    );
    check(
        "{backup_age: 1d}",
        "{copy_delay: 1h}",
        [Some(26), Some(24), Some(1), Some(168)],
    );
    check(
        "{backup_age: off}",
        "{}",
        [Some(26), None, Some(6), Some(168)],
    );
    check(
        "{backup_age: false}",
        "{retention: 'off'}",
        [Some(26), None, Some(6), None],
    );
    check(
        "{backup_age: off}",
        "{backup_age: 1h}",
        [Some(26), Some(1), Some(6), Some(168)],
    );
    // More than the look-back, but nobody has promised it.
    check(
        "{retention: 60d}",
        "{retention: 1d}",
        [Some(26), Some(26), Some(6), Some(24)],
    );
}

#[test]
fn the_wrong_kind_of_value_is_told_with_what_was_expected() {
    check(
        &with_top(
            "poll: {interval: 5, timeout: true, lookback: [], log_lookback: {}, max_concurrency: many}",
        ),
        &[
            "poll.interval: expected a duration such as `5m`, found the integer 5",
            "poll.log_lookback: expected a duration such as `5m`, found a mapping",
            "poll.lookback: expected a duration such as `5m`, found a list",
            "poll.max_concurrency: expected an integer from 1 to 1000, found the text `many`",
            "poll.timeout: expected a duration such as `5m`, found the boolean true",
        ],
    );
    check(
        &with_top("poll: 5m"),
        &["poll: expected a mapping, found a text"],
    );
    check(
        &with_top("objectives: [26h]"),
        &["objectives: expected a mapping, found a list"],
    );
    check(
        &with_top(
            "objectives: {recovery_point: 26, backup_age: on, copy_delay: true, retention: OFF}",
        ),
        &[
            "objectives.backup_age: expected a duration such as `26h`, or `off`, found the text `on`",
            "objectives.copy_delay: expected a duration such as `26h`, or `off`, found the boolean true",
            "objectives.recovery_point: expected a duration such as `26h`, or `off`, found the integer 26",
            "objectives.retention: expected a duration such as `26h`, or `off`, found the text `OFF`",
        ],
    );
    check(
        "accounts: prod",
        &["accounts: expected a list of at least one account, found a text"],
    );
    check(
        "accounts: [prod, ~]",
        &[
            "accounts[0]: expected a mapping, found a text",
            "accounts[1]: expected a mapping, found nothing",
        ],
    );
    check(
        "accounts: [{name: 5, provider: [], instances: {}, endpoint: 1, rate_limit: 5, credentials: x}]",
        &[
            "accounts[0].credentials: expected a mapping, found a text",
            "accounts[0].endpoint: expected a text, found the integer 1; \
             put it in quotes, as YAML may have changed it",
            "accounts[0].instances: expected a list of instances, found a mapping",
            "accounts[0].name: expected a text of 1 to 200 characters, none of them a control character, \
             found the integer 5; put it in quotes, as YAML may have changed it",
            "accounts[0].provider: expected one of @providers, found a list",
            "accounts[0].rate_limit: expected a text, found the integer 5; \
             put it in quotes, as YAML may have changed it",
        ],
    );
    check(
        "accounts: [{name: a, provider: alibaba, instances: [{id: 0503, region: 1e3, backup_regions: [5, false]}]}]",
        &[
            "accounts[0].instances[0].backup_regions[0]: expected a region such as `cn-hangzhou`, of lower-case \
             letters, digits and `-`, found the integer 5; put it in quotes, as YAML may have changed it",
            "accounts[0].instances[0].backup_regions[1]: expected a region such as `cn-hangzhou`, of lower-case \
             letters, digits and `-`, found the boolean false; put it in quotes, as YAML may have changed it",
            "accounts[0].instances[0].id: expected the provider's id of the instance, without white space, \
             found the integer 503; put it in quotes, as YAML may have changed it",
            "accounts[0].instances[0].region: expected a region such as `cn-hangzhou`, of lower-case letters, \
             digits and `-`, found the number 1000.0; put it in quotes, as YAML may have changed it",
        ],
    );
}

#[test]
fn short_intervals_are_fixed_unless_the_mode_says_otherwise() {
    let hours = |hours: u64| Duration::from_secs(hours * 3600);
    for (poll, mode, longest) in [
        ("interval: 1m", PollMode::Adaptive, hours(1)),
        ("interval: 59s", PollMode::Fixed, Duration::from_secs(59)),
        ("interval: 1s, mode: adaptive", PollMode::Adaptive, hours(1)),
        ("interval: 10m, mode: fixed", PollMode::Fixed, hours(1) / 6),
        ("max_interval: 2h", PollMode::Adaptive, hours(2)),
        ("max_interval: 5m", PollMode::Adaptive, hours(1) / 12),
        // The ceiling that nobody has set gives way.
        ("interval: 2h", PollMode::Adaptive, hours(2)),
    ] {
        let config = parse(&with_top(&format!("poll: {{{poll}}}")));
        assert_eq!(config.poll.mode, mode, "{poll}");
        assert_eq!(config.poll.longest_interval(), longest, "{poll}");
    }
}

#[test]
fn a_value_out_of_its_range_is_told_with_the_bound() {
    let poll =
        |keys: &str, expected: &str| check(&with_top(&format!("poll: {{{keys}}}")), &[expected]);
    poll(
        "interval: 999ms",
        "poll.interval: expected at least 1s, found the text `999ms`",
    );
    poll(
        "interval: 0s",
        "poll.interval: expected a duration such as `5m`, more than zero; found the text `0s`",
    );
    poll(
        "interval: -5m",
        "poll.interval: expected a duration such as `5m`, found the text `-5m`",
    );
    poll(
        "interval: ''",
        "poll.interval: expected a duration such as `5m`, found the text ``",
    );
    poll(
        "interval: 5 parsecs",
        "poll.interval: expected a duration such as `5m`, found the text `5 parsecs`",
    );
    poll(
        "interval: 10m, max_interval: 9m",
        "poll.max_interval: 9m is less than `poll.interval`, 10m",
    );
    poll(
        "interval: soon, max_interval: 9m",
        "poll.interval: expected a duration such as `5m`, found the text `soon`",
    );
    poll(
        "mode: eager",
        "poll.mode: expected `adaptive` or `fixed`, found the text `eager`",
    );
    poll(
        "mode: true",
        "poll.mode: expected `adaptive` or `fixed`, found the boolean true; put it in quotes, as YAML may have changed it",
    );
    poll(
        "timeout: 99ms",
        "poll.timeout: expected at least 100ms, found the text `99ms`",
    );
    poll(
        "timeout: 3651d",
        "poll.timeout: expected at most 3650d, found the text `3651d`",
    );
    poll(
        "lookback: 11y",
        "poll.lookback: expected at most 3650d, found the text `11y`",
    );
    poll(
        "log_lookback: 99999999999999999999d",
        "poll.log_lookback: expected a duration such as `5m`, found the text `99999999999999999999d`",
    );
    for wrong in ["0", "1001", "-1", "9223372036854775807"] {
        poll(
            &format!("max_concurrency: {wrong}"),
            &format!(
                "poll.max_concurrency: expected an integer from 1 to 1000, found the integer {wrong}"
            ),
        );
    }
    poll(
        "max_concurrency: 1.5",
        "poll.max_concurrency: expected an integer from 1 to 1000, found the number 1.5",
    );
    poll(
        "max_concurrency: '16'",
        "poll.max_concurrency: expected an integer from 1 to 1000, found the text `16`",
    );
    check(
        &with_top("poll: {interval: 1s, timeout: 100ms, lookback: 3650d, max_concurrency: 1000}"),
        &[],
    );
    check(
        &with_top("poll: {interval: 1h 30m, lookback: 7d, max_concurrency: 1}"),
        &[],
    );
    check(
        &with_instance("objectives: {copy_delay: 0h}"),
        &[
            "accounts[0].instances[0].objectives.copy_delay: expected a duration such as `26h`, or `off`, \
           more than zero; found the text `0h`",
        ],
    );
}

#[test]
fn an_unknown_key_is_told_with_the_nearest_or_with_all() {
    check(
        &with_top("poll: {intervall: 5m}\nobjective: {}\n\"b\\e[31m\": 1"),
        &[
            "b\\u{1b}[31m: unknown key `b\\u{1b}[31m`; known here are `poll`, `objectives`, `ca_file`, `accounts`",
            "objective: unknown key `objective`; did you mean `objectives`?",
            "poll.intervall: unknown key `intervall`; did you mean `interval`?",
        ],
    );
    check(
        &with_account("zone: {}, rate-limit: 5/s"),
        &[
            "accounts[0].rate-limit: unknown key `rate-limit`; did you mean `rate_limit`?",
            "accounts[0].zone: unknown key `zone`; known here are `name`, `provider`, `products`, `credentials`, \
             `endpoint`, `endpoints`, `iam_endpoint`, `metadata_endpoint`, `rate_limit`, `ca_file`, `projects`, `discover`, `instances`",
        ],
    );
    check(
        &with_instance("Region: cn-b, objectives: {recovery_points: 1h}"),
        &[
            "accounts[0].instances[0].Region: unknown key `Region`; did you mean `region`?",
            "accounts[0].instances[0].objectives.recovery_points: unknown key `recovery_points`; \
             did you mean `recovery_point`?",
        ],
    );
    // The path of a key is not written as one.
    check(
        &with_top("poll.interval: 5m\naccounts[99999999999]: x"),
        &[
            "accounts[99999999999]: unknown key `accounts[99999999999]`; known here are `poll`, `objectives`, \
             `ca_file`, `accounts`",
            "poll.interval: unknown key `poll.interval`; known here are `poll`, `objectives`, `ca_file`, `accounts`",
        ],
    );
}

#[test]
fn what_is_needed_is_told_when_it_is_missing() {
    check(
        "{}",
        &["accounts: missing; expected a list of at least one account"],
    );
    check(
        "accounts:",
        &["accounts: missing; expected a list of at least one account"],
    );
    check(
        "accounts: []",
        &["accounts: expected a list of at least one account, found none"],
    );
    check(
        "accounts: [{}, {instances: []}, {name: b, provider: ~, instances: [{}]}]",
        &[
            "accounts[0].name: missing; expected a text that names the account",
            "accounts[0].provider: missing; expected one of @providers",
            "accounts[1].name: missing; expected a text that names the account",
            "accounts[1].provider: missing; expected one of @providers",
            "accounts[2].instances[0].id: missing; expected the provider's id of the instance, without white space",
            "accounts[2].instances[0].region: missing; expected a region such as `cn-hangzhou`, of lower-case \
             letters, digits and `-`",
            "accounts[2].provider: missing; expected one of @providers",
        ],
    );
}

#[test]
fn a_name_or_id_that_is_taken_is_told_with_the_first() {
    let account = format!("{{name: a, provider: alibaba, instances: [{INSTANCE}]}}");
    let other = account.replace("name: a", "name: b");
    check(&format!("accounts: [{account}, {other}]"), &[]);
    check(
        &format!("accounts: [{account}, {other}, {account}, {account}]"),
        &[
            "accounts[2].name: `a` is already the name of accounts[0]",
            "accounts[3].name: `a` is already the name of accounts[0]",
        ],
    );
    check(
        "accounts: [{name: a, provider: alibaba, instances: [{id: x, region: a}, {id: y, region: a}, \
         {id: x, region: b}]}]",
        &["accounts[0].instances[2].id: `x` is already the id of accounts[0].instances[0]"],
    );
}

#[test]
fn a_text_that_cannot_be_what_it_should_is_told() {
    let long = "x".repeat(201);
    let name =
        "expected a text of 1 to 200 characters, none of them a control character, found the text";
    for (wrong, shown) in [
        ("''", "``".to_owned()),
        ("' '", "` `".to_owned()),
        ("\"a\\nb\"", "`a\\nb`".to_owned()),
        (&*long, format!("`{}…`", "x".repeat(60))),
    ] {
        check(
            &with_account("").replace("name: a", &format!("name: {wrong}")),
            &[&format!("accounts[0].name: {name} {shown}")],
        );
        check(
            &with_instance(&format!("name: {wrong}")),
            &[&format!("accounts[0].instances[0].name: {name} {shown}")],
        );
    }
    check(
        &with_account("").replace("name: a", &format!("name: {}", "é".repeat(200))),
        &[],
    );

    for (wrong, shown) in [
        ("''", "``"),
        ("rm 1", "`rm 1`"),
        ("\"rm\\t1\"", "`rm\\t1`"),
        ("\"\\0\"", "`\\0`"),
    ] {
        check(
            &with_account("").replace("rm-1", wrong),
            &[&format!(
                "accounts[0].instances[0].id: expected the provider's id of the instance, without white space, \
                 found the text {shown}"
            )],
        );
    }
    check(&with_account("").replace("rm-1", "'0503'"), &[]);

    let region = "expected a region such as `cn-hangzhou`, of lower-case letters, digits and `-`, found the text";
    for wrong in ["CN-a", "cn_a", "cn.a", "cn-a/x", "cn-a@evil", "cn-é", ""] {
        check(
            &with_account("").replace("cn-a", &format!("'{wrong}'")),
            &[&format!(
                "accounts[0].instances[0].region: {region} `{wrong}`"
            )],
        );
        check(
            &with_instance(&format!("backup_regions: [cn-b, '{wrong}']")),
            &[&format!(
                "accounts[0].instances[0].backup_regions[1]: {region} `{wrong}`"
            )],
        );
    }

    check(
        &with_account("").replace("alibaba", "aws"),
        &["accounts[0].provider: unknown provider `aws`; expected one of @providers"],
    );
    check(
        &with_account(
            "endpoint: 'https://user:hunter2@host', iam_endpoint: sts.aliyuncs.com, \
             metadata_endpoint: 'http://[::1]:80?latest', rate_limit: fast",
        ),
        &[
            "accounts[0].endpoint: expected `https://host[:port][/path]` or the like with `http`, in which `{region}` is \
             filled in",
            "accounts[0].iam_endpoint: relative URL without a base; expected `https://host[:port][/path]` or the like \
             with `http`, in which `{region}` is filled in",
            "accounts[0].metadata_endpoint: expected `https://host[:port][/path]` or the like with `http`, in which \
             `{region}` is filled in",
            "accounts[0].rate_limit: expected a rate such as `5/s`, `300/m` or `1000/h`, of at most 1000000 requests, \
             found the text `fast`",
        ],
    );
}

#[test]
fn regions_and_listings_have_to_make_sense_together() {
    check(
        &with_instance("backup_regions: [cn-b, cn-a, cn-b]"),
        &[
            "accounts[0].instances[0].backup_regions[1]: `cn-a` is the instance's own region",
            "accounts[0].instances[0].backup_regions[2]: `cn-b` is named twice",
        ],
    );
    check(
        &with_instance("backup_regions: cn-b"),
        &["accounts[0].instances[0].backup_regions: expected a list of regions, found a text"],
    );
    check(&with_instance("backup_regions: []"), &[]);
    check(
        &with_instance("listings: []"),
        &["accounts[0].instances[0].listings: expected at least one of @listings, found none"],
    );
    check(
        &with_instance("listings: [local, locale, remote, local, 5]"),
        &[
            "accounts[0].instances[0].listings[1]: unknown listing `locale`; did you mean `local`?",
            "accounts[0].instances[0].listings[2]: unknown listing `remote`; expected one of @listings",
            "accounts[0].instances[0].listings[3]: `local` is named twice",
            "accounts[0].instances[0].listings[4]: expected one of @listings, found the integer 5; \
             put it in quotes, as YAML may have changed it",
        ],
    );
    let config = parse(&with_instance(
        "listings: [local], backup_regions: [cn-c, cn-b]",
    ));
    let target = &config.accounts[0].targets[0];
    assert_eq!(target.listings, [ListingKind::Local]);
    assert_eq!(target.backup_regions, ["cn-c", "cn-b"]);
}

#[test]
fn a_retention_beyond_the_lookback_is_told_where_it_was_set() {
    let more = |retention: &str, lookback: &str| {
        format!(
            "{retention} is more than `poll.lookback`, {lookback}: sets so old would never be listed"
        )
    };
    check(
        &with_top("poll: {lookback: 3d}"),
        &[&format!(
            "objectives.retention: the default of {}",
            more("7d", "3d")
        )],
    );
    check(
        &with_top("objectives: {retention: 32d}"),
        &[&format!("objectives.retention: {}", more("32d", "31d"))],
    );
    check(
        &with_instance("objectives: {retention: 745h}"),
        &[&format!(
            "accounts[0].instances[0].objectives.retention: {}",
            more("745h", "31d")
        )],
    );
    check(&with_top("objectives: {retention: 31d}"), &[]);
    check(
        &with_top("poll: {lookback: 3d}\nobjectives: {retention: off}"),
        &[],
    );
    // Nothing is compared with a value that is wrong itself.
    check(
        &with_top("poll: {lookback: 3}\nobjectives: {retention: 60d}"),
        &["poll.lookback: expected a duration such as `5m`, found the integer 3"],
    );
    check(
        "poll: {lookback: 3d}\nobjectives: {retention: 60d}",
        &[
            "accounts: missing; expected a list of at least one account",
            &format!("objectives.retention: {}", more("60d", "3d")),
        ],
    );
}

#[test]
fn credentials_have_to_be_whole() {
    let check = |keys: &str, expected: &[&str]| {
        let expected: Vec<String> = expected
            .iter()
            .map(|line| format!("accounts[0].credentials.{line}"))
            .collect();
        let expected: Vec<&str> = expected.iter().map(String::as_str).collect();
        check(
            &with_account(&format!("credentials: {{{keys}}}")),
            &expected,
        );
    };
    let id = "access_key_id: missing; expected this or `access_key_id_file`, as other credentials are given";
    let secret = "access_key_secret: missing; expected this or `access_key_secret_file`, as other credentials are given";
    check("access_key_id: x, access_key_secret: y", &[]);
    check(
        "access_key_id: x, access_key_secret: y, security_token: z",
        &[],
    );
    check("access_key_id: x", &[secret]);
    check("access_key_secret: x", &[id]);
    check("security_token: x", &[id, secret]);
    check(
        "access_key_id: '', access_key_secret: ' '",
        &[
            "access_key_id: expected a text without white space, found an empty one",
            "access_key_secret: expected a text without white space, found one with white space or control characters",
        ],
    );
    // What a template makes of values that it does not have.
    check(
        "access_key_id: , access_key_secret: ",
        &[
            "access_key_id: expected a text without white space, found nothing",
            "access_key_secret: expected a text without white space, found nothing",
        ],
    );
    check(
        "access_key_id: x, access_key_secret: y, access_key_secret_file: ''",
        &[
            "access_key_secret_file: `access_key_secret` is given too; expected one of the two",
            "access_key_secret_file: expected the path of a file, found an empty text",
        ],
    );
    check(
        "access_key_id: x, access_key_secret_file: /nowhere/secret",
        &["access_key_secret_file: the file `/nowhere/secret` does not exist"],
    );
    check(
        "access_key_id: x, access_key_secret_file: 5",
        &[
            "access_key_secret_file: expected the path of a file, found the integer 5; \
         put it in quotes, as YAML may have changed it",
        ],
    );
}

#[test]
fn a_secret_is_in_no_problem() {
    for keys in [
        "access_key_id: 4815162342, access_key_secret: hunter2 x",
        "access_key_id: x, access_key_secret: 4815162342",
        "access_key_id: x, access_key_secret: 0x11f01a4b6",
        "access_key_id: x, access_key_secret: [hunter2]",
        "access_key_id: x, access_key_secret: {hunter2: hunter2}",
        "access_key_id: x, access_key_secret: \"hunter2\\n\"",
        "access_key_id: x, access_key_secret=hunter2",
        "access_key_id: x, Hunter2hunter2: ",
        "access_key_id: x, secret: hunter2",
        "access_key_id: x, access_key_secret: 4815162342.5",
        "access_key_id: x, access_key_secret: !vault hunter2",
        "access_key_id: x, access_key_secret: y, access_key_secret: hunter2",
        "access_key_id: x, access_key_secret: {{ hunter2 }}",
        "access_key_id: x, access_key_secret: hunter2: hunter2",
        "access_key_id: x, access_key_secret: *hunter2",
        "access_key_id: x, access_key_secret: 'hunter2",
    ] {
        let problems = lines(Config::parse(
            &with_account(&format!("credentials: {{{keys}}}")),
            NOTHING,
        ));
        assert!(!problems.is_empty(), "{keys}");
        let told = problems.join("\n").to_lowercase();
        assert!(
            !told.contains("hunter") && !told.contains("4815"),
            "{keys}: {told}"
        );
    }
    let told = lines(Config::parse(
        &with_account("credentials: hunter2"),
        NOTHING,
    ))
    .join("\n");
    assert_eq!(
        told,
        "accounts[0].credentials: expected a mapping, found a text"
    );
    check_environment(
        &with_account("credentials: {access_key_id: x}"),
        &[("ACCOUNTS__0__CREDENTIALS__ACCESS_KEY_SECRET", "hunter 2")],
        &[
            "accounts[0].credentials.access_key_secret: expected a text without white space, found one with white \
           space or control characters (from the environment variable \
           CLOUD_BACKUP_EXPORTER__ACCOUNTS__0__CREDENTIALS__ACCESS_KEY_SECRET)",
        ],
    );
}

#[test]
fn a_secret_is_not_in_the_debug_output_of_a_configuration() {
    let keys = "access_key_id: hunter1, access_key_secret: hunter2, security_token: hunter3";
    let config = parse(&with_account(&format!("credentials: {{{keys}}}")));
    for shown in [format!("{config:?}"), format!("{config:#?}")] {
        assert!(
            shown.contains("[redacted]") && !shown.contains("hunter"),
            "{shown}"
        );
    }
    let CredentialsConfig::Keys {
        access_key_secret, ..
    } = &config.accounts[0].credentials
    else {
        panic!("no keys in {config:?}");
    };
    assert_eq!(access_key_secret.read().unwrap().expose(), "hunter2");
}

#[test]
fn the_environment_replaces_what_the_file_says() {
    let environment = variables(&[
        ("POLL__INTERVAL", "1m"),
        ("POLL__MAX_CONCURRENCY", " 4 "),
        ("OBJECTIVES__BACKUP_AGE", "off"),
        ("OBJECTIVES__COPY_DELAY", "false"),
        ("ACCOUNTS__0__NAME", "5"),
        ("ACCOUNTS__0__INSTANCES__0__BACKUP_REGIONS", "cn-b, cn-c"),
        ("ACCOUNTS__0__INSTANCES__0__LISTINGS", "local"),
        ("ACCOUNTS__0__INSTANCES__1__ID", "0503"),
        ("ACCOUNTS__0__INSTANCES__1__REGION", "cn-d"),
        ("ACCOUNTS__0__INSTANCES__1__BACKUP_REGIONS", ""),
    ]);
    let config = Config::parse(&with_top("poll: {interval: 5}"), environment).unwrap();
    assert_eq!(config.poll.interval, Duration::from_secs(60));
    assert_eq!(config.poll.max_concurrency, 4);
    assert_eq!(&*config.accounts[0].name, "5");
    let [first, second] = &config.accounts[0].targets[..] else {
        panic!("{config:?}");
    };
    assert_eq!(
        (first.objectives.backup_age, first.objectives.copy_delay),
        (None, None)
    );
    assert_eq!(first.backup_regions, ["cn-b", "cn-c"]);
    assert_eq!(first.listings, [ListingKind::Local]);
    assert_eq!(&*second.key.instance_id, "0503");
    assert!(second.backup_regions.is_empty());
}

#[test]
fn a_whole_configuration_may_come_from_the_environment() {
    check_environment(
        "{}",
        &[
            ("ACCOUNTS__0__NAME", "a"),
            ("ACCOUNTS__0__PROVIDER", "alibaba"),
            ("ACCOUNTS__0__INSTANCES__0__ID", "rm-1"),
            ("ACCOUNTS__0__INSTANCES__0__REGION", "cn-a"),
        ],
        &[],
    );
}

#[test]
fn a_problem_with_a_variable_names_it() {
    let from =
        |name: &str| format!("(from the environment variable CLOUD_BACKUP_EXPORTER__{name})");
    check_environment(
        &with_account(""),
        &[
            ("POLL__INTERVAL", ""),
            ("POLL__TIMEOUT", "5"),
            ("POLL__MAX_CONCURRENCY", "x"),
            ("POLL__INTERVALL", "5m"),
            ("OBJECTIVES", "off"),
            ("ACCOUNTS__0__INSTANCES__0__BACKUP_REGIONS", "cn-b,,cn-a"),
            ("ACCOUNTS__0__INSTANCES__0__LISTINGS", ""),
            ("ACCOUNTS__0__INSTANCES__2__ID", "rm-3"),
            ("ACCOUNTS__1__INSTANCES", "rm-3"),
            ("DISCOVER", "1"),
        ],
        &[
            &format!(
                "accounts[0].instances[0].backup_regions[1]: expected a region such as `cn-hangzhou`, of lower-case \
                 letters, digits and `-`, found the text `` {}",
                from("ACCOUNTS__0__INSTANCES__0__BACKUP_REGIONS")
            ),
            &format!(
                "accounts[0].instances[0].backup_regions[2]: `cn-a` is the instance's own region {}",
                from("ACCOUNTS__0__INSTANCES__0__BACKUP_REGIONS")
            ),
            &format!(
                "accounts[0].instances[0].listings: expected at least one of @listings, found none {}",
                from("ACCOUNTS__0__INSTANCES__0__LISTINGS")
            ),
            &format!(
                "accounts[0].instances[2]: the next element of this list would have the index 1 {}",
                from("ACCOUNTS__0__INSTANCES__2__ID")
            ),
            &format!(
                "accounts[1].instances: expected a list of instances, found a text {}",
                from("ACCOUNTS__1__INSTANCES")
            ),
            "accounts[1].name: missing; expected a text that names the account",
            "accounts[1].provider: missing; expected one of @providers",
            &format!(
                "discover: unknown key `discover`; known here are `poll`, `objectives`, `ca_file`, `accounts` {}",
                from("DISCOVER")
            ),
            &format!(
                "objectives: expected a mapping, found a text {}",
                from("OBJECTIVES")
            ),
            &format!(
                "poll.interval: expected a duration such as `5m`, found the text `` {}",
                from("POLL__INTERVAL")
            ),
            &format!(
                "poll.intervall: unknown key `intervall`; did you mean `interval`? {}",
                from("POLL__INTERVALL")
            ),
            &format!(
                "poll.max_concurrency: expected an integer from 1 to 1000, found the text `x` {}",
                from("POLL__MAX_CONCURRENCY")
            ),
            &format!(
                "poll.timeout: expected a duration such as `5m`, found the text `5` {}",
                from("POLL__TIMEOUT")
            ),
        ],
    );
}

#[test]
fn a_file_that_cannot_be_read_is_one_problem() {
    let scratch = Scratch::new("load");
    let check = |name: &str, content: Option<&[u8]>, expected: &str| {
        let path = match content {
            Some(content) => scratch.write(name, content),
            None => scratch.path(name),
        };
        let expected = expected.replace('@', &path.display().to_string());
        let Err(Problems(problems)) = Config::load(&path, NOTHING) else {
            panic!("{name} was loaded");
        };
        let expected = Problem {
            key: String::new(),
            what: expected,
        };
        assert_eq!(problems, [expected]);
    };
    check(
        "missing.yml",
        None,
        "the configuration file `@` does not exist",
    );
    check(".", None, "the configuration file `@` is a directory");
    check(
        "latin1.yml",
        Some(b"accounts: \xff"),
        "the configuration file `@` is not valid UTF-8",
    );
    check(
        "large.yml",
        Some(&vec![b' '; 4 * 1024 * 1024 + 1]),
        "the configuration file `@` is larger than 4 MiB",
    );
    check("empty.yml", Some(b""), "the configuration is empty");
    check(
        "list.yml",
        Some(b"[]"),
        "the configuration is a list; expected a mapping with the key `accounts`",
    );
    check(
        "broken.yml",
        Some(b"poll: {\n"),
        "not valid YAML: while parsing a node, did not find expected node content at line 2, column 1",
    );
}

#[test]
fn a_relative_path_begins_in_the_folder_of_the_file() {
    let scratch = Scratch::new("relative");
    let secret = scratch.write("alibaba-secret", "hunter2\n");
    let keys = "credentials: {access_key_id: x, access_key_secret_file: alibaba-secret}";
    let path = scratch.write("exporter.yml", with_account(keys));
    let config = Config::load(&path, NOTHING).unwrap();
    let CredentialsConfig::Keys {
        access_key_secret, ..
    } = &config.accounts[0].credentials
    else {
        panic!("no keys in {config:?}");
    };
    assert_eq!(*access_key_secret, SecretSource::File(secret.clone()));
    assert_eq!(access_key_secret.read().unwrap().expose(), "hunter2");
    std::fs::write(&secret, "").unwrap();
    let problem = format!(
        "accounts[0].credentials.access_key_secret_file: the file `{}` is empty",
        secret.display()
    );
    assert_eq!(lines(Config::load(&path, NOTHING)), [problem]);
}

/// What a user copies from.
const EXAMPLE: &str = include_str!("../../exporter.example.yml");

#[test]
fn the_example_shows_the_defaults() {
    let config = parse(EXAMPLE);
    assert_eq!(config.poll, DEFAULT_POLL);
    let [told, plain] = &config.accounts[0].targets[..] else {
        panic!("{config:?}");
    };
    assert_eq!(plain.objectives, DEFAULT_OBJECTIVES);
    assert_eq!(told.listings, plain.listings);
    // These defaults are the example's own words, not only what is left when it says nothing.
    for key in POLL_KEYS.iter().chain(&OBJECTIVE_KEYS) {
        let line = format!("\n  {key}: ");
        assert_eq!(EXAMPLE.matches(&line).count(), 1, "{key}");
    }
}

#[test]
fn instances_may_be_looked_for_instead_of_being_named() {
    let account = |rest: &str| format!("accounts: [{{name: a, provider: alibaba, {rest}}}]");
    let config = parse(&account(
        "discover: {regions: [cn-a, cn-b], include: ['^rm-', orders], exclude: ['-test$']}",
    ));
    let account_config = &config.accounts[0];
    assert!(account_config.targets.is_empty());
    let discover = account_config.discover.as_ref().unwrap();
    let regions: Vec<_> = discover.regions.iter().map(|region| &**region).collect();
    assert_eq!(regions, ["cn-a", "cn-b"]);
    assert_eq!(discover.objectives, DEFAULT_OBJECTIVES);
    for (id, name, selected) in [
        ("rm-1", None, true),
        ("rm-1", Some("payments"), true),
        ("rm-1", Some("payments-test"), false),
        ("pgm-1", Some("payments"), false),
        ("pgm-1", Some("the orders"), true),
        ("pgm-1-test", Some("orders"), false),
    ] {
        assert_eq!(discover.selects(id, name), selected, "{id} {name:?}");
    }
    let all = parse(&account("discover: {regions: [cn-a]}"));
    assert!(
        all.accounts[0]
            .discover
            .as_ref()
            .unwrap()
            .selects("x", None)
    );
    let all = all.accounts[0].discover.clone().unwrap();
    assert_eq!(all.listings, ListingKind::ALL);
    let some = parse(&account("discover: {regions: [cn-a], listings: [local]}"));
    let some = some.accounts[0].discover.clone().unwrap();
    assert_eq!(some.listings, [ListingKind::Local]);
    let none = parse(&account("discover: {regions: [cn-a]}, instances: []"));
    assert!(none.accounts[0].targets.is_empty());
    let both = parse(&account(
        "discover: {regions: [cn-a]}, instances: [{id: rm-1, region: cn-a}]",
    ));
    assert_eq!(both.accounts[0].targets.len(), 1);
    check(
        &account("discover: {regions: [], include: ['(', 5], exclude: x, regoins: 1}"),
        &[
            "accounts[0].discover.exclude: expected a list of regular expressions, found a text",
            "accounts[0].discover.include[0]: expected a regular expression such as `^rm-`, found the text `(`: found open group without closing ')'",
            "accounts[0].discover.include[1]: expected a regular expression such as `^rm-`, found the integer 5; \
             put it in quotes, as YAML may have changed it",
            "accounts[0].discover.regions: expected a list of at least one region, found none",
            "accounts[0].discover.regoins: unknown key `regoins`; did you mean `regions`?",
        ],
    );
    check(
        &account("discover: {regions: [cn-a, cn-a, CN]}, instances: {}"),
        &[
            "accounts[0].discover.regions[1]: `cn-a` is named twice",
            "accounts[0].discover.regions[2]: expected a region such as `cn-hangzhou`, of lower-case letters, digits and \
             `-`, found the text `CN`",
            "accounts[0].instances: expected a list of instances, found a mapping",
        ],
    );
    check(
        &account("discover: {}"),
        &["accounts[0].discover.regions: missing; expected a list of at least one region"],
    );
    // What is found has the promises of the top.
    check(
        &format!(
            "objectives: {{retention: 40d}}\n{}",
            account("discover: {regions: [cn-a]}")
        ),
        &[
            "objectives.retention: 40d is more than `poll.lookback`, 31d: sets so old would never be listed",
        ],
    );
}

#[test]
fn projects_belong_to_regions_and_to_huawei() {
    let huawei = |projects: &str| {
        format!(
            "accounts: [{{name: a, provider: huawei, projects: {projects}, instances: [{{id: i1in01, region: cn-a}}]}}]"
        )
    };
    let config = parse(&huawei("{cn-north-4: 0503fd7f, cn-east-3: 'a_b-1'}"));
    let projects = &config.accounts[0].projects;
    assert_eq!(&*projects["cn-north-4"], "0503fd7f");
    assert_eq!(&*projects["cn-east-3"], "a_b-1");
    check(
        &huawei("{cn_north: ok, cn-a: 5, cn-b: '', cn-c: '../x'}"),
        &[
            "accounts[0].projects.cn-a: expected the id of a project, of letters, digits, `-` and `_`, found the integer \
             5; put it in quotes, as YAML may have changed it",
            "accounts[0].projects.cn-b: expected the id of a project, of letters, digits, `-` and `_`, found the text ``",
            "accounts[0].projects.cn-c: expected the id of a project, of letters, digits, `-` and `_`, found the text \
             `../x`",
            "accounts[0].projects.cn_north: expected a region such as `cn-hangzhou`, of lower-case letters, digits and \
             `-`, found the text `cn_north`",
        ],
    );
    check(
        &huawei("[cn-north-4]"),
        &["accounts[0].projects: expected a mapping of regions to project ids, found a list"],
    );
    check(
        &with_account("projects: {cn-a: b}"),
        &["accounts[0].projects: this provider has no projects"],
    );
}

#[test]
fn certificates_are_looked_at_before_anybody_trusts_them() {
    let scratch = Scratch::new("ca");
    let pem = |content: &str| {
        format!("-----BEGIN CERTIFICATE-----\n{content}\n-----END CERTIFICATE-----\n")
    };
    scratch.write("none.pem", "no certificate");
    scratch.write("broken.pem", pem("%%%"));
    scratch.write("odd.pem", pem("aGVsbG8="));
    for (file, expected) in [
        ("missing.pem", "does not exist"),
        (".", "is no regular file"),
        ("none.pem", "holds no certificate in PEM form"),
        ("broken.pem", "is no sound PEM file of certificates"),
        (
            "odd.pem",
            "holds something else than a certificate as number 1: ",
        ),
    ] {
        let path = scratch.path(file);
        let path = path.display();
        for (yaml, key) in [
            (
                with_account(&format!("ca_file: {path}")),
                "accounts[0].ca_file",
            ),
            (with_top(&format!("ca_file: {path}")), "ca_file"),
        ] {
            let problems = Config::parse(&yaml, []).unwrap_err();
            let [problem] = &problems.0[..] else {
                panic!("{problems:?}")
            };
            let problem = problem.to_string();
            let start = format!("{key}: the file `{path}` {expected}");
            assert!(problem.starts_with(&start), "{problem}");
        }
    }
}

#[test]
fn the_example_names_every_key() {
    let known = [
        &TOP_KEYS[..],
        &POLL_KEYS,
        &OBJECTIVE_KEYS,
        &ACCOUNT_KEYS,
        &CREDENTIALS_KEYS,
        &DISCOVER_KEYS,
        &INSTANCE_KEYS,
    ];
    let named: Vec<&str> = EXAMPLE
        .lines()
        .filter_map(|line| line.trim_start_matches([' ', '#', '-']).split_once(':'))
        .map(|(key, _)| key)
        .collect();
    for key in known.concat() {
        assert!(named.contains(&key), "{key}");
    }
}

#[test]
fn the_commented_keys_of_the_example_can_be_used() {
    let temporary = EXAMPLE.replace("# security_token:", "security_token:");
    assert_ne!(temporary, EXAMPLE);
    let config = parse(&temporary);
    assert!(matches!(
        config.accounts[0].credentials,
        CredentialsConfig::Keys {
            security_token: Some(_),
            ..
        }
    ));
}

/// A tree of values as JSON, which is YAML too, made mostly of the keys that are known.
fn tree() -> impl Strategy<Value = String> {
    let scalar = prop_oneof![
        Just("null".to_owned()),
        any::<bool>().prop_map(|value| value.to_string()),
        any::<i64>().prop_map(|value| value.to_string()),
        any::<f64>().prop_map(|value| format!("{value:?}")),
        "\\PC{0,8}".prop_map(|text| format!("{text:?}")),
        "[0-9]{1,20}(ns|ms|s|m|h|d|y)".prop_map(|text| format!("{text:?}")),
        Just("alibaba".to_owned()),
        Just("off".to_owned()),
    ];
    let key = prop_oneof![
        9 => prop::sample::select(
            [&TOP_KEYS[..], &POLL_KEYS, &OBJECTIVE_KEYS, &ACCOUNT_KEYS, &CREDENTIALS_KEYS, &DISCOVER_KEYS, &INSTANCE_KEYS].concat()
        )
        .prop_map(str::to_owned),
        1 => "[a-z.\\[\\]0-9_]{0,6}".prop_map(|key| format!("{key:?}")),
    ];
    scalar.prop_recursive(6, 60, 6, move |inner| {
        let list = prop::collection::vec(inner.clone(), 0..4);
        let mapping = prop::collection::btree_map(key.clone(), inner, 0..6);
        prop_oneof![
            1 => list.prop_map(|values| format!("[{}]", values.join(", "))),
            3 => mapping.prop_map(|entries| {
                let mut text = "{".to_owned();
                for (key, value) in entries {
                    let _ = write!(text, "{key}: {value}, ");
                }
                text + "}"
            }),
        ]
    })
}

/// Lines of what YAML is made of.
fn scribble() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "accounts",
        "poll",
        "interval",
        "credentials",
        ":",
        ": ",
        "- ",
        "? ",
        "\n",
        "\n  ",
        "\n    ",
        "\t",
        "[",
        "]",
        "{",
        "}",
        ",",
        "&a ",
        "*a",
        "!t ",
        "!!int ",
        "|",
        ">",
        "'",
        "\"",
        "#",
        "---\n",
        "...\n",
        "%YAML 1.2\n",
        "~",
        "5m",
        "0x1",
        ".inf",
        "1e999",
        "\u{feff}",
        "\\",
        "\0",
        "é",
        "<<: *a",
    ]);
    prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

fn environment() -> impl Strategy<Value = Vec<(String, String)>> {
    let segment = prop_oneof![
        prop::sample::select([&TOP_KEYS[..], &POLL_KEYS, &ACCOUNT_KEYS, &INSTANCE_KEYS].concat())
            .prop_map(str::to_uppercase),
        "[0-3]",
        "\\PC{0,4}",
    ];
    let name = prop::collection::vec(segment, 0..6)
        .prop_map(|segments| format!("CLOUD_BACKUP_EXPORTER__{}", segments.join("__")));
    prop::collection::vec((name, "\\PC{0,8}"), 0..6)
}

/// Either there is a configuration with an account, or there is a reason why not; each problem is one line.
fn is_told(result: Result<Config, Problems>) -> bool {
    match result {
        Ok(config) => !config.accounts.is_empty(),
        Err(Problems(problems)) => {
            let line = |problem: &Problem| {
                !problem.what.is_empty() && !problem.to_string().contains(char::is_control)
            };
            !problems.is_empty() && problems.iter().all(line)
        }
    }
}

proptest! {
    #[test]
    fn no_text_makes_a_panic(text in "\\PC{0,200}", environment in environment()) {
        prop_assert!(is_told(Config::parse(&text, environment)));
    }

    #[test]
    fn no_scribble_makes_a_panic(text in scribble()) {
        prop_assert!(is_told(Config::parse(&text, NOTHING)));
    }

    #[test]
    fn no_tree_makes_a_panic(tree in tree(), environment in environment()) {
        prop_assert!(is_told(Config::parse(&tree, environment)));
    }

    #[test]
    fn no_change_of_the_example_makes_a_panic(at in 0..EXAMPLE.len(), length in 0..40_usize, text in scribble()) {
        let mut bytes = EXAMPLE.as_bytes().to_vec();
        let end = (at + length).min(bytes.len());
        bytes.splice(at..end, text.bytes());
        prop_assert!(is_told(Config::parse(&String::from_utf8_lossy(&bytes), NOTHING)));
    }
}
