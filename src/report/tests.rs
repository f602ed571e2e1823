//! The report of told instances: what it says, whom it lists, and that docs/api.md describes it.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::query::Sort;
use super::*;
use crate::backup::{BackupSet, ListingKind, RestoreWindow, Scope, Status};
use crate::example::{
    HOME, Instance, LOOKBACK, ago, copy_in, failed, instance, local, log_in, now, policy_off,
    policy_to, with,
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

fn answer(instances: &[Assessed], query: &str) -> Value {
    let report = Report::new(instances, &[], &Query::parse(query), now());
    serde_json::from_str(&report.json().unwrap()).unwrap()
}

/// An instance of everything: each list has something, and each field a value.
fn rich() -> Instance {
    let set_of = |status| with(status, copy_in("cn-shanghai", "1h"));
    let restorable = BackupSet {
        restore_regions: vec![HOME.to_owned()],
        ..copy_in("cn-shanghai", "27h")
    };
    let mut rich = instance()
        .with_logs()
        .expecting(&["cn-shanghai"])
        .promising(Objective::RecoveryPoint, "26h")
        .promising(Objective::BackupAge, "26h")
        .read(
            ListingKind::CrossRegion,
            vec![
                restorable,
                failed(copy_in("cn-shanghai", "3h")),
                set_of(Status::Running),
                set_of(Status::Deleting),
                set_of(Status::Unknown),
            ],
        )
        .read(ListingKind::Local, vec![local("3h")])
        .read(
            ListingKind::CrossRegionLog,
            vec![log_in("cn-shanghai", "27h", "26h")],
        )
        .with_policy(policy_to("cn-shanghai"))
        .with_windows(vec![RestoreWindow {
            scope: Scope::Local,
            backup_region: HOME.to_owned(),
            start: ago("7d"),
            end: ago("5m"),
        }])
        .failing(ListingKind::Local, Reason::Timeout, false);
    rich.0.gone_since = Some(ago("1h"));
    Arc::make_mut(&mut rich.0.target).name = Some("orders".to_owned());
    rich
}

fn rich_region() -> (RegionKey, Arc<RegionFacts>) {
    let key = RegionKey {
        provider: "alibaba",
        account: "prod".into(),
        region: HOME.into(),
    };
    let failure = Failure {
        reason: Reason::Permission,
        message: "it failed".to_owned(),
        missing_instance: false,
    };
    let facts = RegionFacts {
        last_attempt: Some(Attempt {
            at: now(),
            failure: Some(failure),
        }),
        last_success: Some(ago("1h")),
        outlived: vec!["rm-deleted".to_owned()],
        ..RegionFacts::default()
    };
    (key, Arc::new(facts))
}

/// Every field, as the path to it, with the types that it was seen with.
fn fields(value: &Value, path: &str, found: &mut BTreeMap<String, BTreeSet<&'static str>>) {
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                let path = if path.is_empty() {
                    name.clone()
                } else {
                    format!("{path}.{name}")
                };
                fields(member, &path, found);
            }
            // Only where it may be null does the object itself need a word.
            if path.ends_with("last_success") {
                found.entry(path.to_owned()).or_default().insert(kind);
            }
        }
        Value::Array(members) => members
            .iter()
            .for_each(|member| fields(member, &format!("{path}[]"), found)),
        _ => {
            found.entry(path.to_owned()).or_default().insert(kind);
        }
    }
}

fn rich_fields() -> BTreeMap<String, BTreeSet<&'static str>> {
    let mut found = BTreeMap::new();
    // Of what is gone for good, the objectives and most listings are no longer shown.
    let mut present = rich();
    present.0.gone_since = None;
    for instance in [rich(), present] {
        let report = Report::new(
            &[judged(instance)],
            &[rich_region()],
            &Query::parse("sets=true"),
            now(),
        );
        let json = serde_json::from_str(&report.json().unwrap()).unwrap();
        fields(&json, "", &mut found);
    }
    found
}

#[test]
fn every_field_is_documented_and_every_documented_field_is_there() {
    let page = include_str!("../../docs/api.md");
    let (_, page) = page.split_once("## Fields").unwrap();
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `"));
    let documented: BTreeMap<_, _> = rows
        .map(|row| {
            let (path, rest) = row.split_once("` | ").unwrap();
            (path.to_owned(), rest.split(" | ").next().unwrap())
        })
        .collect();
    let found = rich_fields();
    let paths = |paths: Vec<&String>| paths.into_iter().cloned().collect::<BTreeSet<_>>();
    assert_eq!(
        paths(found.keys().collect()),
        paths(documented.keys().collect())
    );
    for (path, kinds) in found {
        let kinds: Vec<_> = kinds.into_iter().filter(|kind| *kind != "null").collect();
        assert_eq!(kinds, [documented[&path]], "{path}");
    }
}

#[test]
fn the_fields_of_the_first_release_stay() {
    let found = rich_fields();
    let lists = [
        ("", "now"),
        (
            "instances[]",
            "provider account source_region instance_id name product engine engine_version protected gone gone_since",
        ),
        (
            "instances[].policy[]",
            "scope backup_region backup_type enabled retention_seconds",
        ),
        (
            "instances[].copies[]",
            "scope backup_region backup_type last_failure last_attempt_success consecutive_failures stored_bytes oldest \
             running_since",
        ),
        (
            "instances[].copies[].last_success",
            "ended age_seconds size_bytes duration_seconds",
        ),
        (
            "instances[].copies[].sets",
            "completed failed running deleting unknown",
        ),
        (
            "instances[].recovery_points[]",
            "scope backup_region time age_seconds",
        ),
        ("instances[].log_gaps[]", "scope backup_region gaps"),
        (
            "instances[].restore_windows[]",
            "scope backup_region start end gaps",
        ),
        ("instances[].uncopied[]", "backup_region sets oldest"),
        ("instances[].restorable_sets[]", "restore_region sets"),
        ("instances[].objectives[]", "objective seconds met"),
        (
            "instances[].listings[]",
            "listing success reason error last_success complete",
        ),
        (
            "regions[]",
            "provider account source_region success reason error last_success found",
        ),
    ];
    for (object, names) in lists {
        for name in names.split_whitespace() {
            let path = if object.is_empty() {
                name.to_owned()
            } else {
                format!("{object}.{name}")
            };
            assert!(found.contains_key(&path), "{path}");
        }
    }
}

#[test]
fn the_report_says_what_was_judged() {
    let facts = instance()
        .expecting(&["cn-shanghai"])
        .promising(Objective::RecoveryPoint, "26h")
        .read(
            ListingKind::CrossRegion,
            vec![
                copy_in("cn-shanghai", "27h"),
                failed(copy_in("cn-shanghai", "3h")),
            ],
        )
        .read(ListingKind::Local, vec![local("3h")])
        .failing(ListingKind::Local, Reason::Timeout, false)
        .0;
    let assessed = Assessed {
        posture: crate::posture::assess(&facts, LOOKBACK, now()),
        facts: std::sync::Arc::new(facts),
    };
    let report = Report::new(&[assessed], &[], &Query::default(), now());
    let json: serde_json::Value = serde_json::from_str(&report.json().unwrap()).unwrap();
    let instance = &json["instances"][0];
    for (path, expected) in [
        ("/instance_id", serde_json::json!("rm-1")),
        ("/protected", serde_json::Value::Null),
        ("/copies/1/scope", "cross_region".into()),
        ("/copies/1/last_success/age_seconds", (27 * 3600).into()),
        ("/copies/1/last_success/ended", written(ago("27h")).into()),
        ("/copies/1/last_success/duration_seconds", 600.into()),
        ("/copies/1/last_failure", written(ago("3h")).into()),
        ("/copies/1/sets/completed", 1.into()),
        ("/copies/1/sets/failed", 1.into()),
        ("/uncopied/0/sets", 1.into()),
        ("/objectives/0/objective", "recovery_point".into()),
        ("/objectives/0/met", false.into()),
        ("/listings/1/success", false.into()),
        ("/listings/1/reason", "timeout".into()),
        ("/listings/1/last_success", written(ago("1m")).into()),
    ] {
        assert_eq!(instance.pointer(path), Some(&expected), "{path}");
    }
    let table = report.table();
    let rows: Vec<Vec<&str>> = table
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    for row in [
        "rm-1 cross_region cn-shanghai full 2026-06-11T09:00:00Z 1day 3h 1000 B 1 1 1",
        "rm-1 recovery_point 1day 2h NO",
        "rm-1 local NO yes it failed",
    ] {
        let row: Vec<_> = row.split(' ').collect();
        assert!(rows.contains(&row), "{row:?} is not in\n{table}");
    }
}

#[test]
fn reasons_say_in_words_what_is_wrong() {
    let promised = || {
        instance()
            .expecting(&["cn-shanghai"])
            .promising(Objective::RecoveryPoint, "26h")
            .promising(Objective::BackupAge, "26h")
            .promising(Objective::CopyDelay, "6h")
            .promising(Objective::Retention, "7d")
    };
    let both = |copies, locals| {
        promised()
            .read(ListingKind::CrossRegion, copies)
            .read(ListingKind::Local, locals)
    };
    let week = || vec![copy_in("cn-shanghai", "8d"), copy_in("cn-shanghai", "34m")];
    let days = || vec![copy_in("cn-shanghai", "8d"), copy_in("cn-shanghai", "75h")];
    let mut gone = both(week(), vec![local("34m")]);
    gone.0.gone_since = Some(ago("90m"));
    let hole = crate::log_chain::Hole {
        backup_region: "cn-shanghai".to_owned(),
        from: ago("30m"),
        until: ago("20m"),
    };
    let logs = crate::facts::Sets {
        listing: crate::example::listing(vec![
            log_in("cn-shanghai", "35m", "30m"),
            log_in("cn-shanghai", "20m", "10m"),
        ]),
        remembered: Vec::new(),
        holes: vec![hole],
    };
    for (story, state, expected) in [
        (both(week(), vec![local("34m")]), "ok", vec![]),
        (
            promised(),
            "waiting",
            vec!["Nothing has been asked about it yet"],
        ),
        (
            promised().read(ListingKind::Local, vec![local("1h")]),
            "waiting",
            vec!["Not asked for yet: cross_region"],
        ),
        (
            both(days(), vec![local("75h"), local("69h"), local("1h")]),
            "broken",
            vec![
                "No recent copy in cn-shanghai: its newest recovery point is 3 days 3 h old, promised 26 h",
                "2 local full sets have no copy in cn-shanghai yet: the oldest ended 2 days 21 h ago, promised within 6 h",
            ],
        ),
        (
            both(vec![copy_in("cn-shanghai", "3d")], vec![local("3d")]),
            "broken",
            vec![
                "No recent copy in cn-shanghai: its newest recovery point is 3 days old, promised 26 h",
                "No recent local backup: the newest usable one is 3 days old, promised 26 h",
                "The copies in cn-shanghai reach back 3 days only, promised 7 days",
            ],
        ),
        (
            both(vec![], vec![local("7h")]),
            "broken",
            vec![
                "No usable copy in cn-shanghai, promised one younger than 26 h",
                "1 local full set has no copy in cn-shanghai yet: it ended 7 h ago, promised within 6 h",
                "No usable copy in cn-shanghai to go back to, promised 7 days",
            ],
        ),
        (
            both(week(), vec![failed(local("1h")), failed(local("2h"))]),
            "broken",
            vec![
                "No usable local backup, promised one younger than 26 h",
                "The newest full backup in cn-hangzhou failed, 2 in a row",
            ],
        ),
        (
            both(week(), vec![local("20h"), failed(local("1h"))]),
            "warning",
            vec!["The newest full backup in cn-hangzhou failed"],
        ),
        (
            both(week(), vec![local("34m")]).with_policy(policy_off()),
            "broken",
            vec!["Copying to another region is switched off"],
        ),
        (
            instance()
                .read(ListingKind::CrossRegion, vec![])
                .read(ListingKind::Local, vec![])
                .promising(Objective::RecoveryPoint, "1h"),
            "broken",
            vec![
                "No copy in another region: neither the configuration nor the provider's policy names one",
            ],
        ),
        (
            instance()
                .unsupported(ListingKind::CrossRegion)
                .read(ListingKind::Local, vec![local("1h")]),
            "unprotected",
            vec!["The provider cannot copy this instance to another region"],
        ),
        (
            instance()
                .unsupported(ListingKind::Local)
                .read(ListingKind::CrossRegion, week())
                .promising(Objective::BackupAge, "1h"),
            "broken",
            vec!["The provider keeps no backups of this instance in its own region"],
        ),
        (
            both(week(), vec![local("34m")]).failing(ListingKind::Local, Reason::Permission, false),
            "failing",
            vec!["Listing local was last read 1 min ago, and cannot be read now: it failed"],
        ),
        (
            promised()
                .read(ListingKind::Local, vec![local("1h")])
                .failing(ListingKind::CrossRegion, Reason::Timeout, false),
            "failing",
            vec!["Listing cross_region was never read: it failed"],
        ),
        (
            both(week(), vec![local("34m")]).failing(ListingKind::Local, Reason::NotFound, true),
            "gone",
            vec!["The provider says that this instance does not exist"],
        ),
        (
            gone,
            "gone",
            vec!["The provider stopped listing this instance 1 h 30 min ago"],
        ),
        (
            both(
                vec![copy_in("cn-shanghai", "8d"), copy_in("cn-shanghai", "34m")],
                vec![local("34m")],
            )
            .with_logs()
            .found(ListingKind::CrossRegionLog, logs),
            "warning",
            vec!["Logs are missing in cn-shanghai (1 gap): a restore from there ends 30 min ago"],
        ),
    ] {
        let answer = answer(&[judged(story.clone())], "");
        let instance = &answer["instances"][0];
        assert_eq!(
            instance["reasons"],
            serde_json::json!(expected),
            "{story:?}"
        );
        assert_eq!(instance["state"], state, "{story:?}");
        assert_eq!(instance["states"][0], state);
        assert_eq!(answer["summary"][state], 1, "{story:?}");
    }
}

proptest::proptest! {
    /// Nothing is red without a word of why, and nothing is called well that is not.
    #[test]
    fn whatever_is_broken_is_explained(story in crate::example::any_instance()) {
        let assessed = judged(story);
        let is_broken = assessed.posture.verdicts.iter().any(|verdict| verdict.met == Some(false));
        let said = reasons::reasons(&assessed.posture).count();
        proptest::prop_assert!(!is_broken || said > 0);
        let state = assessed.posture.state();
        proptest::prop_assert_eq!(state == State::Ok, said == 0);
        proptest::prop_assert_eq!(assessed.posture.states().contains(&State::Broken), is_broken);
    }
}

/// Three instances: `a` is broken and old, `b` has never been copied, `c` is well.
fn three() -> Vec<Assessed> {
    let named = |id: &str, name: &str, copies| {
        let mut told = instance()
            .expecting(&["cn-shanghai"])
            .promising(Objective::RecoveryPoint, "26h")
            .read(ListingKind::CrossRegion, copies)
            .read(ListingKind::Local, vec![local("1h")]);
        let target = Arc::make_mut(&mut told.0.target);
        target.key.instance_id = id.into();
        target.name = Some(name.to_owned());
        told.0.description.engine = Some("mysql".to_owned());
        judged(told)
    };
    vec![
        named("rm-a", "Zebra", vec![copy_in("cn-shanghai", "50h")]),
        named("rm-b", "ant", vec![]),
        named("rm-c", "Bee", vec![copy_in("cn-shanghai", "1h")]),
    ]
}

#[test]
fn filters_and_orders_select_what_they_say() {
    let instances = three();
    for (query, sort, expected) in [
        ("", None, "rm-a rm-b rm-c"),
        ("", Some(Sort::State), "rm-b rm-a rm-c"),
        ("sort=name", None, "rm-b rm-c rm-a"),
        ("sort=age", None, "rm-b rm-a rm-c"),
        ("sort=state", None, "rm-b rm-a rm-c"),
        ("sort=name", Some(Sort::State), "rm-b rm-c rm-a"),
        ("state=broken", None, "rm-a rm-b"),
        ("state=ok", None, "rm-c"),
        ("state=gone", None, ""),
        ("q=zeb", None, "rm-a"),
        ("q=RM-B", None, "rm-b"),
        ("q=MySQL+shanghai", None, "rm-a rm-b rm-c"),
        ("q=mysql%20bee", None, "rm-c"),
        ("q=hangzhou&state=ok", None, "rm-c"),
        ("q=prod&sort=name&state=broken", None, "rm-b rm-a"),
        ("q=alibaba+nothing", None, ""),
        ("q=%3Cb%3E", None, ""),
        ("q=+++", None, "rm-a rm-b rm-c"),
        ("instance=rm-b", None, "rm-b"),
        ("instance=rm", None, ""),
        ("unknown=1&q=", None, "rm-a rm-b rm-c"),
    ] {
        let query = Query::parse(query);
        assert_eq!(query.problems, Vec::<String>::new());
        let selected = query.select(&instances, sort);
        let ids: Vec<_> = selected
            .iter()
            .map(|one| &*one.facts.target.key.instance_id)
            .collect();
        assert_eq!(ids.join(" "), expected, "{query:?}");
    }
}

#[test]
fn what_a_query_says_wrongly_is_noted_and_left_out() {
    let states = "gone, broken, failing, unprotected, warning, waiting, ok";
    for (query, problem) in [
        (
            "state=red",
            format!("state is \"red\", and has to be one of {states}"),
        ),
        (
            "sort=size",
            "sort is \"size\", and has to be one of state, age, name".to_owned(),
        ),
        (
            "page=0",
            "page is \"0\", which is no number of a page".to_owned(),
        ),
        (
            "page=x",
            "page is \"x\", which is no number of a page".to_owned(),
        ),
        (
            "sets=yes",
            "sets is \"yes\", and has to be one of true, false".to_owned(),
        ),
    ] {
        let parsed = Query::parse(query);
        assert_eq!(parsed.problems, [problem], "{query}");
        let without = Query {
            problems: Vec::new(),
            ..parsed
        };
        assert_eq!(without, Query::default(), "{query}");
    }
    let long = Query::parse(&format!("q={}", "é".repeat(300)));
    assert_eq!((long.filter.chars().count(), long.problems.len()), (200, 1));
}

#[test]
fn a_link_leads_to_what_it_was_made_of() {
    for text in [
        "?",
        "?q=a+b%26c%3C&state=broken&sort=age&page=2",
        "?instance=rm-%2B1",
    ] {
        assert_eq!(Query::parse(&text[1..]).link(), text);
    }
    assert_eq!(Query::parse("page=1&sets=true&x=y").link(), "?");
}

#[test]
fn the_summary_counts_all_whatever_is_asked_for() {
    let answer = answer(&three(), "state=ok");
    for (field, expected) in [
        ("instances", 3),
        ("selected", 1),
        ("broken", 2),
        ("ok", 1),
        ("gone", 0),
    ] {
        assert_eq!(answer["summary"][field], expected, "{field}");
    }
    assert_eq!(answer["accounts"][0]["instances"], 3);
    assert_eq!(answer["accounts"][0]["last_success"], written(ago("1m")));
}

#[test]
fn single_sets_come_when_they_are_asked_for_and_not_too_many() {
    let without = answer(&[judged(rich())], "");
    assert!(without["instances"][0].get("sets").is_none());
    assert!(without["instances"][0].get("sets_left_out").is_none());

    let many = || {
        let sets = (0..1200)
            .map(|minutes| local(&format!("{minutes}m")))
            .collect();
        judged(instance().read(ListingKind::Local, sets))
    };
    let with = answer(&[many()], "sets=true");
    let sets = with["instances"][0]["sets"].as_array().unwrap();
    assert_eq!(
        (sets.len(), sets[0]["ended"].clone()),
        (1000, written(now()).into())
    );
    assert_eq!(with["instances"][0]["sets_left_out"], 200);

    let all: Vec<_> = (0..60).map(|_| many()).collect();
    let with = answer(&all, "sets=true");
    let instances = with["instances"].as_array().unwrap();
    let count: usize = instances
        .iter()
        .map(|one| one["sets"].as_array().unwrap().len())
        .sum();
    assert_eq!(count, MOST_SETS_IN_ALL);
    assert_eq!(instances[59]["sets_left_out"], 1200);
}
