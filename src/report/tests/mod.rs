//! The report of told instances: what it says, whom it lists, and that docs/api.md describes it.

mod query;
mod reasons;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::*;
use crate::backup::{BackupSet, ListingKind, Policy, RestoreWindow, Scope, Status};
use crate::example::{
    HOME, Instance, LOOKBACK, ago, copy_in, failed, instance, local, log_in, now, policy_to, with,
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
    let report = Report::new(instances, &[], Shard::WHOLE, &Query::parse(query), now());
    serde_json::from_str(&report.json().unwrap()).unwrap()
}

/// An instance of everything: each list has something, and each field a value.
fn rich() -> Instance {
    let set_of = |status| with(status, copy_in("cn-shanghai", "1h"));
    let restorable = BackupSet {
        restore_regions: [HOME.to_owned()].into(),
        ..copy_in("cn-shanghai", "27h")
    };
    let rich = instance()
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
        .with_policy(Policy {
            since: Some(ago("30d")),
            ..policy_to("cn-shanghai")
        })
        .made(ago("60d"))
        .with_windows(vec![RestoreWindow {
            scope: Scope::Local,
            backup_region: HOME.to_owned(),
            start: ago("7d"),
            end: ago("5m"),
        }])
        .failing(ListingKind::Local, Reason::Timeout, false);
    let mut rich = rich.missing("1h", 6);
    Arc::make_mut(&mut rich.0.target).name = Some("orders".to_owned());
    rich
}

fn rich_region() -> (RegionKey, Arc<RegionFacts>) {
    let key = RegionKey {
        provider: "alibaba",
        account: "prod".into(),
        region: HOME.into(),
        service: crate::service::Service::AlibabaRds,
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
            is_restored: false,
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
    present.0.presence.gone_since = None;
    for instance in [rich(), present] {
        let report = Report::new(
            &[judged(instance)],
            &[rich_region()],
            Shard::WHOLE,
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
    let page = include_str!("../../../docs/api.md");
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
    let report = Report::new(&[assessed], &[], Shard::WHOLE, &Query::default(), now());
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
        let sets = (0..5200)
            .map(|minutes| local(&format!("{minutes}m")))
            .collect();
        judged(instance().read(ListingKind::Local, sets))
    };
    let with = answer(&[many()], "sets=true");
    let sets = with["instances"][0]["sets"].as_array().unwrap();
    assert_eq!(
        (sets.len(), sets[0]["ended"].clone()),
        (5000, written(now()).into())
    );
    assert_eq!(with["instances"][0]["sets_left_out"], 200);

    let all: Vec<_> = (0..11).map(|_| many()).collect();
    let with = answer(&all, "sets=true");
    let instances = with["instances"].as_array().unwrap();
    let count: usize = instances
        .iter()
        .map(|one| one["sets"].as_array().unwrap().len())
        .sum();
    assert_eq!(count, MOST_SETS_IN_ALL);
    assert_eq!(instances[10]["sets_left_out"], 5200);
}
