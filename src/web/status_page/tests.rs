//! The page as a whole: nothing from outside becomes markup, and it stays small however much it shows.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::backup::ListingKind;
use crate::example::{
    Instance, LOOKBACK, any_instance, copy_in, instance, local, log_in, now, policy_to,
};
use crate::facts::{Attempt, Failure};
use crate::posture::assess;
use crate::provider::error::Reason;
use crate::target::Objective;

fn judged(instance: Instance) -> Assessed {
    Assessed {
        posture: assess(&instance.0, LOOKBACK, now()),
        facts: Arc::new(instance.0),
    }
}

fn page_with(
    instances: &[Assessed],
    regions: &[(RegionKey, Arc<RegionFacts>)],
    query: &str,
) -> String {
    let query = &Query::parse(query);
    Page {
        instances,
        regions,
        shard: Shard::WHOLE,
        lookback: LOOKBACK,
        query,
        now: now(),
    }
    .render()
}

fn page(instances: &[Assessed], query: &str) -> String {
    page_with(instances, &[], query)
}

/// A page taken apart: its elements by name, and everything that is shown or said.
#[derive(Debug, Default)]
struct Parsed {
    elements: BTreeMap<String, usize>,
    text: String,
}

/// Takes a page apart, and fails on anything that our own templates would not have written.
fn parse(page: &str) -> Parsed {
    const KNOWN: &str = "html head meta link title style body header h1 a p nav main section h2 ul li strong span form label input \
                         select option button svg path ol div h3 table caption thead tr th tbody td";
    const ATTRIBUTES: &str = "lang charset name content rel href class aria-label aria-labelledby aria-hidden id role method \
                              type value placeholder selected viewBox preserveAspectRatio d scope tabindex";
    let mut parsed = Parsed::default();
    let body = page.strip_prefix("<!doctype html>").unwrap();
    let (before, rest) = body.split_once("<style>").unwrap();
    let (_, after) = rest.split_once("</style>").unwrap();
    for part in [before, after] {
        let mut rest = part;
        while let Some((text, tag)) = rest.split_once('<') {
            add_text(&mut parsed.text, text);
            let (tag, after) = tag
                .split_once('>')
                .unwrap_or_else(|| panic!("a tag has no end: {tag:?}"));
            rest = after;
            if tag.starts_with('/') {
                continue;
            }
            let tag = tag.trim_end_matches('/');
            let (name, mut attributes) = tag.split_once(' ').unwrap_or((tag, ""));
            assert!(
                KNOWN.split_whitespace().any(|known| known == name),
                "{tag:?}"
            );
            *parsed.elements.entry(name.to_owned()).or_default() += 1;
            while !attributes.is_empty() {
                let end = attributes.find(['=', ' ']).unwrap_or(attributes.len());
                let attribute = &attributes[..end];
                assert!(
                    ATTRIBUTES
                        .split_whitespace()
                        .any(|known| known == attribute),
                    "{tag:?}"
                );
                attributes = match attributes[end..].strip_prefix("=\"") {
                    Some(quoted) => {
                        let (value, rest) =
                            quoted.split_once('"').unwrap_or_else(|| panic!("{tag:?}"));
                        if attribute == "href" {
                            let is_ours =
                                ["?", "#", "metrics", "api/", "-/", "data:image/svg+xml,"];
                            assert!(
                                is_ours.iter().any(|begin| value.starts_with(begin)),
                                "{value:?}"
                            );
                        }
                        add_text(&mut parsed.text, value);
                        rest
                    }
                    None => &attributes[end..],
                };
                attributes = attributes.trim_start_matches(' ');
            }
        }
        add_text(&mut parsed.text, rest);
    }
    parsed
}

fn add_text(all: &mut String, text: &str) {
    assert!(!text.contains(['<', '>', '"']), "{text:?}");
    let is_deceptive =
        |character| character != '\n' && crate::report::words::is_deceptive(character);
    assert!(!text.contains(is_deceptive), "{text:?}");
    for rest in text.split('&').skip(1) {
        let known = ["amp;", "lt;", "gt;", "quot;", "#39;"];
        assert!(
            known.iter().any(|entity| rest.starts_with(entity)),
            "{text:?}"
        );
    }
    all.push_str(text);
    all.push(' ');
}

/// An instance in which every text that is not ours is this one.
fn called(name: &str) -> Instance {
    let mut told = instance()
        .with_logs()
        .expecting(&[name])
        .promising(Objective::RecoveryPoint, "26h")
        .promising(Objective::CopyDelay, "1h")
        .promising(Objective::Retention, "7d")
        .read(
            ListingKind::CrossRegion,
            vec![
                copy_in(name, "50h"),
                crate::example::failed(copy_in(name, "49h")),
            ],
        )
        .read(ListingKind::CrossRegionLog, vec![log_in(name, "50h", "1h")])
        .read(ListingKind::Local, vec![local("3h")])
        .with_policy(policy_to(name))
        .failing(ListingKind::Local, Reason::Permission, false);
    if let Some(failure) = told
        .0
        .listings
        .get_mut(&ListingKind::Local)
        .and_then(|listing| listing.last_attempt.failure.as_mut())
    {
        failure.message = name.to_owned();
    }
    told.0.description.engine = Some(name.to_owned());
    told.0.description.engine_version = Some(name.to_owned());
    let target = Arc::make_mut(&mut told.0.target);
    target.name = Some(name.to_owned());
    target.key.account = name.into();
    target.key.instance_id = name.into();
    target.key.source_region = name.into();
    told
}

fn region_called(name: &str) -> (RegionKey, Arc<RegionFacts>) {
    let key = RegionKey {
        provider: "alibaba",
        account: name.into(),
        region: name.into(),
        service: crate::service::Service::AlibabaRds,
    };
    let failure = Failure {
        reason: Reason::Permission,
        message: name.to_owned(),
        missing_instance: false,
    };
    let last_attempt = Some(Attempt {
        at: now(),
        failure: Some(failure),
        is_restored: false,
    });
    (
        key,
        Arc::new(RegionFacts {
            last_attempt,
            ..RegionFacts::default()
        }),
    )
}

fn any_name() -> impl Strategy<Value = String> {
    prop_oneof![
        "[<>&\"'/= a-z\u{0}-\u{1f}\u{202a}-\u{202e}\u{2066}-\u{2069}]{0,40}",
        ".{0,40}",
        Just("</title></svg><script>alert(1)</script>".to_owned()),
        Just("\" onmouseover=\"alert(1)".to_owned()),
        Just("&lt;b&gt;".to_owned()),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_name_becomes_markup_or_passes_for_another(name in any_name()) {
        let instances = [judged(called(&name))];
        let region = [region_called(&name)];
        let asked = url::form_urlencoded::byte_serialize(name.as_bytes()).collect::<String>();
        for query in [String::new(), format!("q={asked}&state={asked}&sort={asked}&page={asked}"), format!("instance={asked}")] {
            let parsed = parse(&page_with(&instances, &region, &query));
            prop_assert_eq!(parsed.elements.get("script"), None);
            prop_assert_eq!(parsed.elements["h1"], 1);
        }
    }

    #[test]
    fn whatever_is_known_can_be_shown(story in any_instance()) {
        let instances = [judged(story)];
        for query in ["", "instance=rm-1", "sort=age"] {
            parse(&page(&instances, query));
        }
    }
}

#[test]
fn a_page_shows_who_where_how_old_and_why() {
    let told = instance()
        .expecting(&["cn-shanghai"])
        .promising(Objective::RecoveryPoint, "26h")
        .promising(Objective::BackupAge, "26h")
        .read(
            ListingKind::CrossRegion,
            vec![copy_in("cn-shanghai", "75h")],
        )
        .read(ListingKind::Local, vec![local("34m")])
        .with_policy(policy_to("cn-shanghai"));
    let all = page(&[judged(told)], "");
    let parsed = parse(&all);
    for expected in [
        "1 broken, 1 instance – cloud-backup-exporter",
        "version ",
        "cn-hangzhou → cn-shanghai",
        "34 min old, promised 26 h · 1000 B",
        "recovery point 3 days 3 h old, promised 26 h · 1000 B",
        "No recent copy in cn-shanghai: its newest recovery point is 3 days 3 h old, promised 26 h.",
        "policy: sets and logs are copied, kept 7 days",
        "cn-shanghai, 1 set usable: recovery point 3 days 3 h old",
        "prod alibaba 1 1 min ago 1 min ago",
    ] {
        let words: Vec<_> = parsed.text.split_whitespace().collect();
        assert!(
            words.join(" ").contains(expected),
            "{expected:?} is missing in\n{all}"
        );
    }
    assert_eq!(
        parsed.elements["svg"],
        2 + 7,
        "a picture for each place, and the legend"
    );
    assert!(all.contains("<li class=\"i s-broken\">"));
}

#[test]
fn what_is_not_known_is_not_called_well() {
    for (story, expected) in [
        (instance(), "Nothing has been asked about it yet"),
        (instance(), "not read yet"),
        (
            instance().failing(ListingKind::Local, Reason::Timeout, false),
            "could not be read",
        ),
        (
            instance().unsupported(ListingKind::CrossRegion),
            "not supported by the provider",
        ),
        (
            instance().read(ListingKind::CrossRegion, vec![]),
            "no usable copy",
        ),
        (
            instance().read(ListingKind::Local, vec![]),
            "no usable backup",
        ),
        (
            instance()
                .read(ListingKind::Local, vec![local("1h")])
                .failing(ListingKind::Local, Reason::Timeout, false),
            "1 h old · 1000 B · as read 1 min ago",
        ),
    ] {
        let all = page(&[judged(story)], "");
        assert!(all.contains(expected), "{expected:?} is missing in\n{all}");
        assert!(!all.contains("<strong class=\"s\">✓ ok"), "{all}");
    }
    let nothing = "<strong>Nothing is watched.</strong> The configuration names neither instances nor regions";
    assert!(page(&[], "").contains(nothing));
    assert!(page(&[], "instance=rm-1").contains("No instance rm-1 is watched"));
}

/// Named `rm-0`, `rm-1`, …, with a month of daily backups here and in another region, and their logs.
fn many(number: usize) -> Vec<Assessed> {
    let sets = |set: &dyn Fn(&str) -> crate::backup::BackupSet| {
        (0..35)
            .map(|day| set(&format!("{}h", day * 24 + 5)))
            .collect::<Vec<_>>()
    };
    let told = instance()
        .with_logs()
        .expecting(&["cn-shanghai"])
        .promising(Objective::RecoveryPoint, "26h")
        .promising(Objective::BackupAge, "26h")
        .read(
            ListingKind::CrossRegion,
            sets(&|ended| copy_in("cn-shanghai", ended)),
        )
        .read(
            ListingKind::CrossRegionLog,
            vec![log_in("cn-shanghai", "6h", "10m")],
        )
        .read(ListingKind::Local, sets(&local));
    (0..number)
        .map(|number| {
            let mut told = told.clone();
            Arc::make_mut(&mut told.0.target).key.instance_id = format!("rm-{number}").into();
            judged(told)
        })
        .collect()
}

#[test]
fn a_thousand_instances_stay_a_page_that_a_browser_takes_at_once() {
    let all = page(&many(1000), "");
    let parsed = parse(&all);
    let elements: usize = parsed.elements.values().sum();
    assert_eq!(parsed.elements["h3"], 1000);
    assert_eq!(parsed.elements["svg"], 2000 + 7);
    assert!(elements < 22 * 1000, "{elements} elements");
    assert!(all.len() < 2600 * 1000, "{} bytes", all.len());
    assert!(!all.contains("class=\"pages\""));
}

#[test]
fn more_than_a_thousand_instances_are_on_pages() {
    let instances = many(2100);
    for (query, shown, number, links) in [
        ("", 1000, "Page 1 of 3", vec!["Next"]),
        ("page=2", 1000, "Page 2 of 3", vec!["Previous", "Next"]),
        ("page=3&sort=name", 100, "Page 3 of 3", vec!["Previous"]),
        // Past the end is the end.
        ("page=99", 100, "Page 3 of 3", vec!["Previous"]),
    ] {
        let all = page(&instances, query);
        assert_eq!(parse(&all).elements["h3"], shown, "{query}");
        assert_eq!(all.matches(number).count(), 2, "{query}");
        let nav = all
            .split("class=\"pages\"")
            .nth(1)
            .unwrap()
            .split("</nav>")
            .next()
            .unwrap();
        let found: Vec<_> = nav
            .split("\">")
            .skip(2)
            .filter_map(|rest| rest.split_once("</a>"))
            .map(|(words, _)| words)
            .collect();
        assert_eq!(found, links, "{query}");
    }
    assert!(page(&instances, "page=2&sort=name").contains("href=\"?sort=name&amp;page=3\""));
}

#[test]
fn the_policy_allows_this_style_and_no_other() {
    let week = Lookback {
        sets: std::time::Duration::from_secs(8 * 24 * 3600),
        ..LOOKBACK
    };
    for lookback in [LOOKBACK, week] {
        let all = Page {
            instances: &[],
            shard: Shard::WHOLE,
            regions: &[],
            lookback,
            query: &Query::default(),
            now: now(),
        }
        .render();
        let style = all
            .split("<style>")
            .nth(1)
            .unwrap()
            .split("</style>")
            .next()
            .unwrap();
        let hash =
            base64::engine::general_purpose::STANDARD.encode(Sha256::digest(style.as_bytes()));
        let policy = content_security_policy(lookback);
        assert!(
            policy.contains(&format!("style-src 'sha256-{hash}';")),
            "{policy}"
        );
        assert!(policy.starts_with("default-src 'none';"));
    }
    assert_ne!(
        content_security_policy(LOOKBACK),
        content_security_policy(week)
    );
    assert_eq!(grid(week).0, "days");
    assert!(!STYLE.contains('<'));
}
