//! Every trouble with its words and its state.

use super::*;
use crate::example::{listing, policy_off, stretches};
use crate::facts::Sets;

fn check(story: Instance, state: &str, reasons: &[&str]) {
    let told = format!("{story:?}");
    let answer = answer(&[judged(story)], "");
    let instance = &answer["instances"][0];
    assert_eq!(instance["reasons"], serde_json::json!(reasons), "{told}");
    assert_eq!(instance["state"], state, "{told}");
    assert_eq!(instance["states"][0], state, "{told}");
    assert_eq!(answer["summary"][state], 1, "{told}");
}

fn promised() -> Instance {
    instance()
        .expecting(&["cn-shanghai"])
        .promising(Objective::RecoveryPoint, "26h")
        .promising(Objective::BackupAge, "26h")
        .promising(Objective::CopyDelay, "6h")
        .promising(Objective::Retention, "7d")
}

fn both(copies: Vec<BackupSet>, locals: Vec<BackupSet>) -> Instance {
    promised()
        .read(ListingKind::CrossRegion, copies)
        .read(ListingKind::Local, locals)
}

/// Copies that hold every promise.
fn week() -> Vec<BackupSet> {
    vec![copy_in("cn-shanghai", "8d"), copy_in("cn-shanghai", "34m")]
}

#[test]
fn a_broken_promise_is_explained() {
    let days = || vec![copy_in("cn-shanghai", "8d"), copy_in("cn-shanghai", "75h")];
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
                .expecting(&["cn-shanghai"])
                .promising(Objective::Retention, "7d")
                .read(ListingKind::CrossRegion, vec![]),
            "broken",
            vec![
                "Not asked for yet: local",
                "No usable copy in cn-shanghai to go back to, promised 7 days",
            ],
        ),
    ] {
        check(story, state, &expected);
    }
}

#[test]
fn what_breaks_no_promise_is_said_as_well() {
    let both_read = || both(week(), vec![local("34m")]);
    let logs = Sets {
        listing: listing(vec![
            log_in("cn-shanghai", "35m", "30m"),
            log_in("cn-shanghai", "20m", "10m"),
        ]),
        remembered: Vec::new(),
        logs: stretches("cn-shanghai", &[("9h", "30m"), ("20m", "10m")]),
    };
    for (story, state, expected) in [
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
            both_read()
                .failing(ListingKind::Local, Reason::NotFound, true)
                .failing(ListingKind::Local, Reason::NotFound, true),
            "gone",
            vec!["The provider no longer has this instance, as is known for 30 s"],
        ),
        (
            both_read().missing("90m", 6),
            "gone",
            vec!["The provider no longer has this instance, as is known for 1 h 30 min"],
        ),
        (
            both_read().missing("90m", 0),
            "warning",
            vec![
                "Missing from the provider's list of instances for 1 h 30 min; watched and promised as before",
            ],
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
        check(story, state, &expected);
    }
}

proptest::proptest! {
    /// Nothing is red without a word of why, and nothing is called well that is not.
    #[test]
    fn whatever_is_broken_is_explained(story in crate::example::any_instance()) {
        let assessed = judged(story);
        let is_broken = assessed.posture.verdicts.iter().any(|verdict| verdict.met == Some(false));
        let said = super::super::reasons::reasons(&assessed.posture).count();
        proptest::prop_assert!(!is_broken || said > 0);
        let state = assessed.posture.state();
        proptest::prop_assert_eq!(state == State::Ok, said == 0);
        proptest::prop_assert_eq!(assessed.posture.states().contains(&State::Broken), is_broken);
    }
}
