//! A scrape read back with a parser that shares nothing with the writer, and the catalogue held against its promises.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use proptest::prelude::*;

use super::catalogue::{CATALOGUE, Row, markdown};
use super::exposition::{Exposition, Format, MetricType};
use super::*;
use crate::backup::{
    Anomaly, BackupSet, Description, FoundInstance, Inventory, ListingKind, Policy, RestoreWindow,
    Scope,
};
use crate::example::{
    HOME, Instance, LOOKBACK, ago, any_instance, copy_in, failed, instance, listing, local, log_in,
    now, policy_to, stretches,
};
use crate::facts::Sets;
use crate::posture::assess;
use crate::provider::budget::Operations;
use crate::provider::error::Reason;
use crate::tally::{AccountKey, AccountScope, Intervals, Tally};
use crate::target::Objective;

const FORMATS: [Format; 2] = [Format::Text, Format::OpenMetrics];

/// One family as a scraper sees it.
#[derive(Debug, Default, PartialEq)]
struct Parsed {
    help: String,
    metric_type: String,
    samples: Vec<Sample>,
}

#[derive(Debug, Clone, PartialEq)]
struct Sample {
    name: String,
    labels: Vec<(String, String)>,
    value: f64,
}

fn finished(exposition: Exposition) -> String {
    String::from_utf8(exposition.finish()).unwrap()
}

/// Reads a scrape. Fails where a scraper would, and where it would forgive what we do not.
fn parse(text: &str, format: Format) -> BTreeMap<String, Parsed> {
    let body = match format {
        Format::Text => text,
        Format::OpenMetrics => text.strip_suffix("# EOF\n").expect("ends in # EOF"),
    };
    assert!(body.is_empty() || body.ends_with('\n'));
    let mut families: BTreeMap<String, Parsed> = BTreeMap::new();
    let mut current = String::new();
    let lines: Vec<&str> = body.split_terminator('\n').collect();
    let mut at = 0;
    while at < lines.len() {
        if let Some(help) = lines[at].strip_prefix("# HELP ") {
            let (name, help) = help.split_once(' ').expect("a help text");
            let metric_type = lines[at + 1]
                .strip_prefix("# TYPE ")
                .expect("TYPE after HELP");
            let (typed, metric_type) = metric_type.split_once(' ').expect("a type");
            assert_eq!(typed, name, "HELP and TYPE name the same family");
            let family = Parsed {
                help: unescaped(help, format == Format::OpenMetrics),
                metric_type: metric_type.to_owned(),
                samples: Vec::new(),
            };
            let before = families.insert(name.to_owned(), family);
            assert_eq!(before, None, "{name} comes once, and in one piece");
            name.clone_into(&mut current);
            at += 2;
            continue;
        }
        let sample = parse_sample(lines[at]);
        let family = families
            .get_mut(&current)
            .expect("a family before its samples");
        let suffixes: &[&str] = match (family.metric_type.as_str(), format) {
            ("histogram", _) => &["_bucket", "_sum", "_count"],
            ("counter", Format::OpenMetrics) => &["_total"],
            _ => &[""],
        };
        let suffix = sample
            .name
            .strip_prefix(&current)
            .expect("no stranger's sample");
        assert!(suffixes.contains(&suffix), "{} in {current}", sample.name);
        assert!(
            !family
                .samples
                .iter()
                .any(|other| other.name == sample.name && other.labels == sample.labels),
            "{} is there twice",
            lines[at]
        );
        family.samples.push(sample);
        at += 1;
    }
    families
}

fn parse_sample(line: &str) -> Sample {
    let end_of_name = line.find(['{', ' ']).expect("a value");
    let (name, mut rest) = line.split_at(end_of_name);
    assert!(is_name(name), "{name}");
    let mut labels = Vec::new();
    if let Some(inside) = rest.strip_prefix('{') {
        rest = inside;
        loop {
            let (label, after) = rest.split_once("=\"").expect("a label");
            assert!(is_name(label) && !label.contains(':'), "{label}");
            let (value, after) = quoted(after);
            labels.push((label.to_owned(), value));
            rest = &after[1..];
            match &after[..1] {
                "," => {}
                "}" => break,
                other => panic!("{other} after a label in {line}"),
            }
        }
    }
    let value = rest.strip_prefix(' ').expect("a space before the value");
    assert!(!value.contains(' '), "no timestamp: {line}");
    Sample {
        name: name.to_owned(),
        labels,
        value: value.parse().expect("a number"),
    }
}

fn is_name(name: &str) -> bool {
    !name.starts_with(|c: char| c.is_ascii_digit())
        && !name.is_empty()
        && name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || c == '_' || c == ':')
}

/// A label's value up to its closing quote, and what follows.
fn quoted(text: &str) -> (String, &str) {
    let mut escaped = false;
    for (at, character) in text.char_indices() {
        match character {
            '"' if !escaped => return (unescaped(&text[..at], true), &text[at + 1..]),
            '\\' => escaped = !escaped,
            _ => escaped = false,
        }
    }
    panic!("no closing quote in {text}")
}

fn unescaped(text: &str, quotes: bool) -> String {
    let mut plain = String::new();
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        plain.push(match character {
            '\\' => match characters.next() {
                Some('n') => '\n',
                Some('\\') => '\\',
                Some('"') if quotes => '"',
                other => panic!("\\{other:?} is no escape"),
            },
            other => other,
        });
    }
    plain
}

/// Text with many of the characters that have a meaning in the formats.
fn any_text() -> impl Strategy<Value = String> {
    let character = prop_oneof![
        2 => any::<char>(),
        3 => proptest::sample::select(vec!['\\', '"', '\n', '\r', 'n', '{', '}', ',', '=', '#', ' ']),
    ];
    proptest::collection::vec(character, 0..12).prop_map(String::from_iter)
}

proptest! {
    #[test]
    fn any_text_comes_back_from_a_label_and_a_help_text(
        values in proptest::collection::vec(any_text(), 0..4),
        help in any_text(),
        number in any::<f64>(),
    ) {
        for format in FORMATS {
            let names = ["a", "b", "c", "d"];
            let labels: Vec<_> = names.iter().copied().zip(values.iter().map(String::as_str)).collect();
            let mut exposition = Exposition::new(format);
            exposition.family("one", MetricType::Gauge, &help).sample(&[&labels], number);
            exposition.family("two_total", MetricType::Counter, &help).sample(&[&labels], 1.0);
            let _unused = exposition.family("three", MetricType::Gauge, &help);
            let families = parse(&finished(exposition), format);
            let counter = match format {
                Format::Text => "two_total",
                Format::OpenMetrics => "two",
            };
            prop_assert_eq!(families.keys().collect::<Vec<_>>(), ["one", counter]);
            for family in families.values() {
                prop_assert_eq!(&family.help, &help);
                let [sample] = family.samples.as_slice() else { panic!("{family:?}") };
                let found: Vec<_> = sample.labels.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
                prop_assert_eq!(&found, &labels);
            }
            let value = families["one"].samples[0].value;
            let is_same = value.to_bits() == number.to_bits() || value.is_nan() && number.is_nan();
            prop_assert!(is_same, "{} {}", value, number);
        }
    }

    #[test]
    fn any_posture_makes_a_scrape_that_can_be_read(instance in any_instance()) {
        let scrape = Story::of(vec![instance]);
        for format in FORMATS {
            let families = parse(&scrape.render(format), format);
            for (name, family) in &families {
                for sample in &family.samples {
                    prop_assert!(sample.value >= 0.0, "{name} is never negative");
                    if name.ends_with("_timestamp_seconds") {
                        prop_assert!(sample.value > 0.0, "{name} is never 0");
                    }
                }
            }
        }
    }
}

#[test]
fn numbers_are_written_as_both_formats_read_them() {
    for (value, expected) in [
        (0.0, "0"),
        (1.5, "1.5"),
        (f64::NAN, "NaN"),
        (f64::INFINITY, "+Inf"),
        (f64::NEG_INFINITY, "-Inf"),
        (1_781_265_600.0, "1781265600"),
        (9_007_199_254_740_992.0, "9007199254740992"),
    ] {
        let mut exposition = Exposition::new(Format::Text);
        exposition
            .family("a", MetricType::Gauge, "b")
            .sample(&[], value);
        let expected = format!("# HELP a b\n# TYPE a gauge\na {expected}\n");
        assert_eq!(finished(exposition), expected);
    }
}

#[test]
fn a_histogram_has_growing_buckets_and_bounds_in_the_spelling_of_the_format() {
    for (format, one, half) in [
        (Format::Text, "1", "0.5"),
        (Format::OpenMetrics, "1.0", "0.5"),
    ] {
        let mut exposition = Exposition::new(format);
        exposition
            .family("took_seconds", MetricType::Histogram, "how long")
            .histogram(&[("a", "b")], &[0.5, 1.0], &[3, 0, 2], 7.25);
        let end = match format {
            Format::Text => "",
            Format::OpenMetrics => "# EOF\n",
        };
        let expected = format!(
            "# HELP took_seconds how long\n# TYPE took_seconds histogram\n\
             took_seconds_bucket{{a=\"b\",le=\"{half}\"}} 3\n\
             took_seconds_bucket{{a=\"b\",le=\"{one}\"}} 3\n\
             took_seconds_bucket{{a=\"b\",le=\"+Inf\"}} 5\n\
             took_seconds_sum{{a=\"b\"}} 7.25\n\
             took_seconds_count{{a=\"b\"}} 5\n{end}"
        );
        assert_eq!(finished(exposition), expected);
    }
}

/// What a scrape is made of.
struct Story {
    instances: Vec<Assessed>,
    regions: Vec<(RegionKey, Arc<RegionFacts>)>,
    tally: Tally,
}

impl Story {
    fn of(instances: Vec<Instance>) -> Self {
        let tally = Tally::default();
        tally.adopt(&[AccountScope {
            key: account(),
            operations: Operations {
                listings: vec![
                    (ListingKind::CrossRegion, "DescribeCrossRegionBackups"),
                    (ListingKind::Local, "DescribeBackups"),
                ],
                discovery: vec!["DescribeDBInstances"],
            },
            intervals: Intervals {
                poll: Duration::from_secs(300),
                longest: Duration::from_secs(3600),
                policy: Duration::from_secs(3600),
                discovery: Some(Duration::from_secs(600)),
            },
        }]);
        let assessed = |Instance(facts)| Assessed {
            posture: assess(&facts, LOOKBACK, now()),
            facts: Arc::new(facts),
        };
        Self {
            instances: instances.into_iter().map(assessed).collect(),
            regions: vec![searched()],
            tally,
        }
    }

    fn render(&self, format: Format) -> String {
        let scrape = Scrape {
            now: now(),
            instances: &self.instances,
            regions: &self.regions,
            counts: &self.tally.counts(),
            reload: ReloadState {
                successful: true,
                last_success: ago("1day"),
            },
            shard: Shard::of_flags(Some(2), 3, None).unwrap(),
        };
        String::from_utf8(render(&scrape, &ProcessMetrics::default(), format)).unwrap()
    }
}

/// A region with an instance that is watched and one that is not, and with a third that only another region still lists.
fn searched() -> (RegionKey, Arc<RegionFacts>) {
    let key = RegionKey {
        provider: "alibaba",
        account: "prod".into(),
        region: HOME.into(),
        service: crate::service::Service::AlibabaRds,
    };
    let facts = crate::facts::Facts::default();
    facts.adopt_regions(("alibaba", "prod"), std::slice::from_ref(&key));
    let found = |id: &str| FoundInstance {
        id: id.to_owned(),
        description: Description::default(),
        has_backups: true,
        at_work: true,
    };
    let inventory = Inventory {
        instances: vec![found("rm-1"), found("rm-9")],
        outlived: vec!["rm-0".to_owned(), "rm-1".to_owned()],
        complete: true,
        tells_absence: true,
    };
    facts.record_inventory(&key, ago("1m"), Duration::from_secs(3600), Ok(inventory));
    facts.regions().remove(0)
}

fn account() -> AccountKey {
    AccountKey {
        provider: "alibaba",
        account: "prod".into(),
    }
}

/// The region once more, for the instances of another service, of which so many were found that nobody watches.
fn searched_for_another(found: Option<usize>) -> (RegionKey, Arc<RegionFacts>) {
    let key = RegionKey {
        service: crate::service::Service::VolcengineRedis,
        ..searched().0
    };
    let facts = crate::facts::Facts::default();
    facts.adopt_regions(("alibaba", "prod"), std::slice::from_ref(&key));
    if let Some(found) = found {
        let ids = (0..found).map(|number| format!("kv-{number}"));
        let instances = ids.map(|id| FoundInstance {
            id,
            description: Description::default(),
            has_backups: true,
            at_work: true,
        });
        let inventory = Inventory {
            instances: instances.collect(),
            outlived: Vec::new(),
            complete: true,
            tells_absence: true,
        };
        facts.record_inventory(&key, ago("1h"), Duration::from_secs(3600), Ok(inventory));
    }
    facts.regions().remove(0)
}

#[test]
fn the_services_of_a_region_are_told_as_one() {
    let region = r#"provider="alibaba",account="prod",source_region="cn-hangzhou""#;
    let with = |other: Vec<(RegionKey, Arc<RegionFacts>)>| {
        let mut story = Story::of(vec![eventful()]);
        story.regions.extend(other);
        let text = story.render(Format::Text);
        let value = |name: &str, more: &str| {
            let line = format!("{name}{{{region}{more}}} ");
            let mut found = text.lines().filter_map(|found| found.strip_prefix(&line));
            let value = found.next().map(str::to_owned);
            assert_eq!(found.next(), None, "{line}");
            value
        };
        let unmonitored = r#",state="unmonitored""#;
        let gone = r#",state="gone""#;
        (
            value("cloud_backup_instances", unmonitored),
            value("cloud_backup_instances", gone),
            value("cloud_backup_discovery_success", ""),
            value("cloud_backup_last_discovery_success_timestamp_seconds", ""),
        )
    };
    let told = |text: &str| Some(text.to_owned());
    let (minute_ago, hour_ago) = (told("1781265540"), told("1781262000"));
    assert_eq!(with(vec![]), (told("1"), told("1"), told("1"), minute_ago));
    let both = with(vec![searched_for_another(Some(3))]);
    assert_eq!(both, (told("4"), told("1"), told("1"), hour_ago.clone()));
    // As long as one was never listed, nobody knows the sum.
    let unknown = with(vec![searched_for_another(None)]);
    assert_eq!(unknown, (None, told("0"), None, None));
    let (key, found) = searched_for_another(Some(3));
    let mut failing = RegionFacts::clone(&found);
    let error = crate::example::failure(Reason::Permission);
    let attempt = failing.last_attempt.as_mut().unwrap();
    attempt.failure = Some((&error).into());
    let failing = with(vec![(key, Arc::new(failing))]);
    assert_eq!(failing, (told("4"), told("1"), told("0"), hour_ago));
}

/// An instance of which every kind of fact is known, so that every family has a sample.
fn eventful() -> Instance {
    let restorable = BackupSet {
        restore_regions: [HOME.to_owned()].into(),
        ..copy_in("cn-shanghai", "25h")
    };
    let running = BackupSet {
        status: crate::backup::Status::Running,
        started: Some(ago("5m")),
        ended: None,
        ..local("1m")
    };
    let logs = Sets {
        listing: listing(vec![log_in("cn-shanghai", "50m", "40m")]),
        logs: stretches("cn-shanghai", &[("26h", "5h"), ("4h", "40m")]),
        ..Sets::default()
    };
    let window = RestoreWindow {
        scope: Scope::Local,
        backup_region: HOME.to_owned(),
        start: ago("2h"),
        end: ago("1h"),
    };
    Objective::ALL.into_iter().fold(
        instance()
            .expecting(&["cn-shanghai"])
            .read(
                ListingKind::CrossRegion,
                vec![restorable, failed(copy_in("cn-shanghai", "1h"))],
            )
            .read(ListingKind::Local, vec![local("1h"), running])
            .with_logs()
            .found(ListingKind::CrossRegionLog, logs)
            .with_policy(Policy {
                since: Some(ago("7d")),
                ..policy_to("cn-shanghai")
            })
            .with_windows(vec![window])
            .made(ago("14d")),
        |instance, objective| instance.promising(objective, "26h"),
    )
}

#[test]
#[expect(clippy::too_many_lines, reason = "a line for each family")]
fn a_scrape_says_what_is_known_line_by_line() {
    let unsupported = {
        let mut other = instance().unsupported(ListingKind::CrossRegion).failing(
            ListingKind::Local,
            Reason::Timeout,
            false,
        );
        Arc::make_mut(&mut other.0.target).key.instance_id = "rm-2".into();
        other
    };
    let story = Story::of(vec![eventful(), unsupported]);
    story.tally.request(
        &account(),
        "DescribeBackups",
        Duration::from_millis(20),
        Some(Reason::Throttled),
    );
    story
        .tally
        .anomalies("alibaba", ListingKind::Local, &[Anomaly::UnknownStatus]);
    story.tally.sweep(&account(), Duration::from_millis(1500));
    let tally = &story.tally;
    tally.credentials_expire(&account(), Some(now() + chrono::Duration::hours(1)));
    let text = story.render(Format::Text);
    let lines: BTreeSet<&str> = text.lines().collect();
    let one = r#"provider="alibaba",account="prod",source_region="cn-hangzhou",instance_id="rm-1""#;
    let two = one.replace("rm-1", "rm-2");
    let away = format!(r#"{one},scope="cross_region",backup_region="cn-shanghai""#);
    let home = format!(r#"{one},scope="local",backup_region="cn-hangzhou""#);
    let full = r#"backup_type="full""#;
    for line in [
        format!(r#"cloud_backup_instance_info{{{one},product="rds",engine="",engine_version="",name=""}} 1"#),
        format!("cloud_backup_instance_protected{{{two}}} 0"),
        r#"cloud_backup_instances{provider="alibaba",account="prod",source_region="cn-hangzhou",state="monitored"} 2"#.to_owned(),
        r#"cloud_backup_instances{provider="alibaba",account="prod",source_region="cn-hangzhou",state="unmonitored"} 1"#.to_owned(),
        r#"cloud_backup_instances{provider="alibaba",account="prod",source_region="cn-hangzhou",state="gone"} 1"#.to_owned(),
        r#"cloud_backup_instances{provider="alibaba",account="prod",source_region="cn-hangzhou",state="missing"} 0"#.to_owned(),
        format!("cloud_backup_instance_protected{{{one}}} 1"),
        format!("cloud_backup_instance_gone{{{one}}} 0"),
        format!("cloud_backup_instance_missing{{{one}}} 0"),
        format!("cloud_backup_instance_protected_since_timestamp_seconds{{{one}}} 1780660800"),
        format!("cloud_backup_instance_created_timestamp_seconds{{{one}}} 1780056000"),
        // The hole lies between the set and the log file, which therefore restores nothing.
        format!("cloud_backup_log_gaps{{{away}}} 1"),
        format!("cloud_backup_recovery_point_age_seconds{{{away}}} 0000018000"),
        format!("cloud_backup_restore_window_start_timestamp_seconds{{{home}}} 1781258400"),
        format!("cloud_backup_restore_window_end_timestamp_seconds{{{home}}} 1781262000"),
        format!("cloud_backup_restore_window_gaps{{{home}}} 0"),
        format!("cloud_backup_policy_enabled{{{away},{full}}} 1"),
        format!(r#"cloud_backup_policy_enabled{{{away},backup_type="log"}} 1"#),
        format!("cloud_backup_policy_retention_seconds{{{away},{full}}} 604800"),
        r#"cloud_backup_discovery_success{provider="alibaba",account="prod",source_region="cn-hangzhou"} 1"#.to_owned(),
        r#"cloud_backup_last_discovery_success_timestamp_seconds{provider="alibaba",account="prod",source_region="cn-hangzhou"} 1781265540"#.to_owned(),
        r#"cloud_backup_policy_interval_seconds{provider="alibaba",account="prod"} 3600"#.to_owned(),
        r#"cloud_backup_discovery_interval_seconds{provider="alibaba",account="prod"} 600"#.to_owned(),
        // now is 2026-06-12T12:00:00Z = 1781265600.
        format!("cloud_backup_last_success_timestamp_seconds{{{away},{full}}} 1781175600"),
        format!("cloud_backup_last_success_age_seconds{{{away},{full}}} 0000090000"),
        format!("cloud_backup_last_success_size_bytes{{{away},{full}}} 1000"),
        format!("cloud_backup_last_success_duration_seconds{{{away},{full}}} 600"),
        format!("cloud_backup_last_failure_timestamp_seconds{{{away},{full}}} 1781262000"),
        format!("cloud_backup_last_attempt_success{{{away},{full}}} 0"),
        format!("cloud_backup_last_attempt_success{{{home},{full}}} 1"),
        format!("cloud_backup_consecutive_failures{{{away},{full}}} 1"),
        format!(r#"cloud_backup_sets{{{away},{full},status="completed"}} 1"#),
        format!(r#"cloud_backup_sets{{{away},{full},status="failed"}} 1"#),
        format!(r#"cloud_backup_sets{{{home},{full},status="failed"}} 0"#),
        format!(r#"cloud_backup_sets{{{home},{full},status="running"}} 1"#),
        format!("cloud_backup_stored_bytes{{{home},{full}}} 1000"),
        format!("cloud_backup_oldest_timestamp_seconds{{{away},{full}}} 1781175600"),
        format!("cloud_backup_running_since_timestamp_seconds{{{home},{full}}} 1781265300"),
        format!("cloud_backup_recovery_point_timestamp_seconds{{{home}}} 1781262000"),
        format!("cloud_backup_recovery_point_age_seconds{{{home}}} 0000003600"),
        format!(r#"cloud_backup_restorable_sets{{{one},restore_region="cn-hangzhou"}} 1"#),
        format!(r#"cloud_backup_uncopied_sets{{{one},backup_region="cn-shanghai"}} 1"#),
        format!(r#"cloud_backup_oldest_uncopied_timestamp_seconds{{{one},backup_region="cn-shanghai"}} 1781262000"#),
        format!(r#"cloud_backup_objective_seconds{{{one},objective="retention"}} 93600"#),
        format!(r#"cloud_backup_objective_met{{{one},objective="recovery_point"}} 1"#),
        format!(r#"cloud_backup_objective_met{{{one},objective="retention"}} 0"#),
        format!(r#"cloud_backup_poll_success{{{two},listing="cross_region"}} 1"#),
        format!(r#"cloud_backup_poll_success{{{two},listing="local"}} 0"#),
        format!(r#"cloud_backup_last_poll_success_timestamp_seconds{{{one},listing="local"}} 1781265540"#),
        format!(r#"cloud_backup_listing_complete{{{one},listing="local"}} 1"#),
        r#"cloud_backup_poll_failures_total{provider="alibaba",account="prod",listing="local",reason="timeout"} 0"#.to_owned(),
        r#"cloud_backup_anomalies_total{provider="alibaba",listing="local",kind="unknown_status"} 1"#.to_owned(),
        r#"cloud_backup_api_requests_total{provider="alibaba",account="prod",operation="DescribeBackups"} 1"#.to_owned(),
        r#"cloud_backup_api_requests_total{provider="alibaba",account="prod",operation="DescribeCrossRegionBackups"} 0"#.to_owned(),
        r#"cloud_backup_api_request_failures_total{provider="alibaba",account="prod",operation="DescribeBackups",reason="throttled"} 1"#.to_owned(),
        r#"cloud_backup_api_request_duration_seconds_bucket{provider="alibaba",operation="DescribeBackups",le="0.025"} 1"#.to_owned(),
        r#"cloud_backup_api_request_duration_seconds_count{provider="alibaba",operation="DescribeBackups"} 1"#.to_owned(),
        r#"cloud_backup_sweep_duration_seconds{provider="alibaba",account="prod"} 1.5"#.to_owned(),
        r#"cloud_backup_credentials_expiry_timestamp_seconds{provider="alibaba",account="prod"} 1781269200"#.to_owned(),
        r#"cloud_backup_poll_interval_seconds{provider="alibaba",account="prod"} 300"#.to_owned(),
        r#"cloud_backup_poll_max_interval_seconds{provider="alibaba",account="prod"} 3600"#.to_owned(),
        "cloud_backup_exporter_config_last_reload_successful 1".to_owned(),
        "cloud_backup_exporter_config_last_reload_success_timestamp_seconds 1781179200".to_owned(),
        "cloud_backup_exporter_shard_index 2".to_owned(),
        "cloud_backup_exporter_shards 3".to_owned(),
    ] {
        assert!(lines.contains(line.as_str()), "{line}\nis not in\n{text}");
    }
    // Nothing is known of the second one's backups, and nothing is made up.
    let made_up = lines
        .iter()
        .filter(|line| line.contains(&two) && line.contains("scope="));
    assert_eq!(made_up.count(), 0);
}

#[test]
fn a_family_is_written_as_the_catalogue_describes_it() {
    let mut stored = eventful();
    for listing in stored.0.listings.values_mut() {
        listing.ledger = Some(Arc::default());
    }
    let story = Story::of(vec![stored]);
    story.tally.storage(|counts| {
        counts.last_write = Some(now());
        counts.bytes = Some(1_000_000);
        counts.failures.insert("full", 0);
        counts.set_aside.insert("damaged", 1);
    });
    story.tally.sweep(&account(), Duration::from_secs(1));
    story.tally.credentials_expire(&account(), Some(now()));
    for format in FORMATS {
        let families = parse(&story.render(format), format);
        let mut described = 0;
        for row in CATALOGUE {
            let name = match (row.metric_type, format) {
                (MetricType::Counter, Format::OpenMetrics) => {
                    row.name.strip_suffix("_total").unwrap()
                }
                _ => row.name,
            };
            let family = families
                .get(name)
                .unwrap_or_else(|| panic!("{name} has no sample"));
            described += 1;
            assert_eq!(family.help, row.help);
            assert_eq!(family.metric_type, row.metric_type.label());
            for sample in &family.samples {
                let mut names: Vec<_> = sample
                    .labels
                    .iter()
                    .map(|(name, _)| name.as_str())
                    .collect();
                if sample.name.ends_with("_bucket") {
                    assert_eq!(names.pop(), Some("le"));
                }
                assert_eq!(names, row.labels.names(), "{}", row.name);
            }
        }
        let others: Vec<_> = families
            .keys()
            .filter(|name| !name.starts_with("cloud_backup_"))
            .collect();
        assert_eq!(described + others.len(), families.len());
        assert!(
            others.iter().all(|name| name.starts_with("process_")),
            "{others:?}"
        );
    }
}

/// I, C and P are the labels of an instance, a copy and a place, as the contract of the metrics abbreviates them.
const PROMISED: &[(&str, &str, &str)] = &[
    (
        "cloud_backup_instance_info",
        "gauge",
        "I product engine engine_version name",
    ),
    ("cloud_backup_instance_protected", "gauge", "I"),
    (
        "cloud_backup_instance_protected_since_timestamp_seconds",
        "gauge",
        "I",
    ),
    (
        "cloud_backup_instance_created_timestamp_seconds",
        "gauge",
        "I",
    ),
    ("cloud_backup_instance_gone", "gauge", "I"),
    ("cloud_backup_instance_missing", "gauge", "I"),
    (
        "cloud_backup_instances",
        "gauge",
        "provider account source_region state",
    ),
    ("cloud_backup_last_success_timestamp_seconds", "gauge", "C"),
    ("cloud_backup_last_success_age_seconds", "gauge", "C"),
    ("cloud_backup_last_success_size_bytes", "gauge", "C"),
    ("cloud_backup_last_success_duration_seconds", "gauge", "C"),
    ("cloud_backup_last_failure_timestamp_seconds", "gauge", "C"),
    ("cloud_backup_last_attempt_success", "gauge", "C"),
    ("cloud_backup_consecutive_failures", "gauge", "C"),
    ("cloud_backup_sets", "gauge", "C status"),
    ("cloud_backup_stored_bytes", "gauge", "C"),
    ("cloud_backup_oldest_timestamp_seconds", "gauge", "C"),
    ("cloud_backup_running_since_timestamp_seconds", "gauge", "C"),
    ("cloud_backup_observed_sets_total", "counter", "C status"),
    ("cloud_backup_vanished_sets_total", "counter", "C"),
    (
        "cloud_backup_recovery_point_timestamp_seconds",
        "gauge",
        "P",
    ),
    ("cloud_backup_recovery_point_age_seconds", "gauge", "P"),
    ("cloud_backup_log_gaps", "gauge", "P"),
    (
        "cloud_backup_restore_window_start_timestamp_seconds",
        "gauge",
        "P",
    ),
    (
        "cloud_backup_restore_window_end_timestamp_seconds",
        "gauge",
        "P",
    ),
    ("cloud_backup_restore_window_gaps", "gauge", "P"),
    ("cloud_backup_restorable_sets", "gauge", "I restore_region"),
    ("cloud_backup_uncopied_sets", "gauge", "I backup_region"),
    (
        "cloud_backup_oldest_uncopied_timestamp_seconds",
        "gauge",
        "I backup_region",
    ),
    ("cloud_backup_policy_enabled", "gauge", "C"),
    ("cloud_backup_policy_retention_seconds", "gauge", "C"),
    ("cloud_backup_objective_seconds", "gauge", "I objective"),
    ("cloud_backup_objective_met", "gauge", "I objective"),
    ("cloud_backup_poll_success", "gauge", "I listing"),
    (
        "cloud_backup_last_poll_success_timestamp_seconds",
        "gauge",
        "I listing",
    ),
    ("cloud_backup_listing_complete", "gauge", "I listing"),
    (
        "cloud_backup_poll_failures_total",
        "counter",
        "provider account listing reason",
    ),
    (
        "cloud_backup_anomalies_total",
        "counter",
        "provider listing kind",
    ),
    (
        "cloud_backup_api_requests_total",
        "counter",
        "provider account operation",
    ),
    (
        "cloud_backup_api_request_failures_total",
        "counter",
        "provider account operation reason",
    ),
    (
        "cloud_backup_api_request_duration_seconds",
        "histogram",
        "provider operation",
    ),
    (
        "cloud_backup_discovery_success",
        "gauge",
        "provider account source_region",
    ),
    (
        "cloud_backup_last_discovery_success_timestamp_seconds",
        "gauge",
        "provider account source_region",
    ),
    (
        "cloud_backup_credentials_expiry_timestamp_seconds",
        "gauge",
        "provider account",
    ),
    (
        "cloud_backup_sweep_duration_seconds",
        "gauge",
        "provider account",
    ),
    (
        "cloud_backup_poll_interval_seconds",
        "gauge",
        "provider account",
    ),
    (
        "cloud_backup_poll_max_interval_seconds",
        "gauge",
        "provider account",
    ),
    (
        "cloud_backup_policy_interval_seconds",
        "gauge",
        "provider account",
    ),
    (
        "cloud_backup_discovery_interval_seconds",
        "gauge",
        "provider account",
    ),
    (
        "cloud_backup_exporter_build_info",
        "gauge",
        "version revision rustversion",
    ),
    (
        "cloud_backup_exporter_config_last_reload_successful",
        "gauge",
        "",
    ),
    (
        "cloud_backup_exporter_config_last_reload_success_timestamp_seconds",
        "gauge",
        "",
    ),
    ("cloud_backup_exporter_shard_index", "gauge", ""),
    ("cloud_backup_exporter_shards", "gauge", ""),
    ("cloud_backup_exporter_storage_healthy", "gauge", ""),
    (
        "cloud_backup_exporter_storage_last_write_timestamp_seconds",
        "gauge",
        "",
    ),
    (
        "cloud_backup_exporter_storage_write_failures_total",
        "counter",
        "reason",
    ),
    (
        "cloud_backup_exporter_storage_files_set_aside_total",
        "counter",
        "reason",
    ),
    ("cloud_backup_exporter_storage_file_bytes", "gauge", ""),
];

#[test]
fn the_catalogue_holds_what_was_promised_and_nothing_else() {
    const INSTANCE: &str = "provider account source_region instance_id";
    let found: Vec<_> = CATALOGUE
        .iter()
        .map(|row| (row.name, row.metric_type.label(), row.labels.names()))
        .collect();
    let spelled_out: Vec<_> = PROMISED
        .iter()
        .map(|(name, metric_type, labels)| {
            let labels: String = labels
                .split_whitespace()
                .map(|label| match label {
                    "I" => format!("{INSTANCE} "),
                    "P" => format!("{INSTANCE} scope backup_region "),
                    "C" => format!("{INSTANCE} scope backup_region backup_type "),
                    other => format!("{other} "),
                })
                .collect();
            (*name, *metric_type, labels)
        })
        .collect();
    let promised: Vec<_> = spelled_out
        .iter()
        .map(|(name, metric_type, labels)| {
            (*name, *metric_type, labels.split_whitespace().collect())
        })
        .collect();
    assert_eq!(found, promised);
}

#[test]
fn names_follow_the_conventions() {
    let of = |name: &str, unit: &str| name.ends_with(unit);
    for Row {
        name,
        metric_type,
        labels,
        help,
        ..
    } in CATALOGUE
    {
        assert!(name.starts_with("cloud_backup_") && is_name(name), "{name}");
        assert!(!name.contains(':') && !name.contains("__"), "{name}");
        let is_counter = *metric_type == MetricType::Counter;
        assert_eq!(of(name, "_total"), is_counter, "{name}");
        for reserved in ["_count", "_sum", "_bucket", "_created"] {
            assert!(!of(name, reserved), "{name}");
        }
        // What speaks of a time, an age or a size has the unit at its end, and nothing else has a unit.
        let words: Vec<&str> = name.split('_').collect();
        let has = |word| words.contains(&word);
        let is_time = has("timestamp") || has("age") || has("duration") || has("interval");
        assert!(!is_time || of(name, "_seconds"), "{name}");
        assert!(!has("size") || of(name, "_bytes"), "{name}");
        for scaled in [
            "milliseconds",
            "minutes",
            "hours",
            "days",
            "kilobytes",
            "percent",
        ] {
            assert!(!has(scaled), "{name}");
        }
        let labels = labels.names();
        let distinct: BTreeSet<_> = labels.iter().collect();
        assert_eq!(distinct.len(), labels.len(), "{name}");
        for label in labels {
            assert!(
                !["instance", "job", "region", "type", "le", "quantile"].contains(&label),
                "{name} uses {label}"
            );
            assert!(is_name(label) && !label.starts_with("__"), "{name} {label}");
        }
        assert!(
            help.ends_with('.') && !help.contains(['|', '\n']),
            "{name}: {help}"
        );
    }
    let names: BTreeSet<_> = CATALOGUE.iter().map(|row| row.name).collect();
    assert_eq!(names.len(), CATALOGUE.len());
}

#[test]
fn docs_list_every_metric_as_the_catalogue_has_it() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/metrics.md");
    if std::env::var("UPDATE_DOCS").is_ok_and(|value| value == "1") {
        std::fs::create_dir_all(concat!(env!("CARGO_MANIFEST_DIR"), "/docs")).unwrap();
        std::fs::write(path, markdown()).unwrap();
    }
    let page = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        page == markdown(),
        "docs/metrics.md is out of date: run `UPDATE_DOCS=1 cargo test --lib docs`"
    );
    assert!(page.contains("`UPDATE_DOCS=1 cargo test --lib docs`"));
}
