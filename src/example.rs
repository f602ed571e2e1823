//! Instances for tests, told as their story: what is expected, what was read, what failed.
//!
//! Times are said as "so long ago" from [`now`], which stands still.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use proptest::prelude::*;

use crate::backup::{
    BackupSet, BackupType, Description, Listing, ListingKind, Lookback, Policy, PolicySwitch,
    RestoreWindow, RestoreWindows, Scope, Status,
};
use crate::facts::{Attempt, Failure, Found, InstanceFacts, ListingFacts, Missing, Presence, Sets};
use crate::log_chain::{Coverage, LogReading, Stretch};
use crate::provider::Call;
use crate::provider::error::{ListError, Reason};
use crate::service::Service;
use crate::target::{InstanceKey, Objective, Objectives, Target};

/// The region of every example.
pub(crate) const HOME: &str = "cn-hangzhou";

/// The look-back of every example.
pub(crate) const LOOKBACK: Lookback = Lookback {
    sets: std::time::Duration::from_secs(31 * 24 * 3600),
    logs: std::time::Duration::from_secs(2 * 3600),
};

/// The present.
pub(crate) fn now() -> DateTime<Utc> {
    utc("2026-06-12T12:00:00Z")
}

/// A time as text.
pub(crate) fn utc(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

/// The time so long before [`now`], such as `2h 10m`.
pub(crate) fn ago(text: &str) -> DateTime<Utc> {
    now() - humantime::parse_duration(text).unwrap()
}

/// A usable local full set of 1000 bytes that ended so long ago, took ten minutes, and is consistent at its end.
pub(crate) fn local(ended: &str) -> BackupSet {
    set(Scope::Local, HOME, ended)
}

/// The like in another region.
pub(crate) fn copy_in(region: &str, ended: &str) -> BackupSet {
    set(Scope::CrossRegion, region, ended)
}

fn set(scope: Scope, region: &str, ended: &str) -> BackupSet {
    let ended = ago(ended);
    BackupSet {
        scope,
        backup_region: region.into(),
        backup_type: BackupType::Full,
        status: Status::Completed,
        started: Some(ended - chrono::Duration::minutes(10)),
        ended: Some(ended),
        size_bytes: Some(1000),
        recovery_point: Some(ended),
        expires: None,
        available: true,
        is_copied: true,
        restore_regions: Arc::default(),
        covers_until: None,
    }
}

/// The same set with another status.
pub(crate) fn with(status: Status, set: BackupSet) -> BackupSet {
    BackupSet { status, ..set }
}

/// Shorthand for [`Status::Failed`].
pub(crate) fn failed(set: BackupSet) -> BackupSet {
    with(Status::Failed, set)
}

/// A log file in another region that covers the time from so long ago to so long ago.
pub(crate) fn log_in(region: &str, from: &str, until: &str) -> BackupSet {
    BackupSet {
        backup_type: BackupType::Log,
        started: Some(ago(from)),
        ended: Some(ago(until)),
        recovery_point: Some(ago(until)),
        ..copy_in(region, until)
    }
}

/// Log files of a region that cover these times, each from so long ago to so long ago.
pub(crate) fn stretches(region: &str, times: &[(&str, &str)]) -> Coverage {
    let times = times.iter();
    let stretches = times.map(|(from, until)| Stretch {
        backup_region: region.to_owned(),
        from: ago(from),
        until: ago(until),
        newest: Some(ago(until)),
        is_doubted: false,
    });
    Coverage {
        stretches: stretches.collect(),
        ..Coverage::default()
    }
}

/// A policy that copies sets and logs to this region, and keeps them for a week.
pub(crate) fn policy_to(region: &str) -> Policy {
    let switch = |backup_type| PolicySwitch {
        scope: Scope::CrossRegion,
        backup_region: region.to_owned(),
        backup_type,
        enabled: true,
        retention: Some(std::time::Duration::from_secs(7 * 24 * 3600)),
    };
    Policy {
        protected: Some(true),
        switches: vec![switch(BackupType::Full), switch(BackupType::Log)],
        complete: true,
        ..Policy::default()
    }
}

/// A policy that copies nothing, and names no region.
pub(crate) fn policy_off() -> Policy {
    let mut policy = policy_to("");
    policy.protected = Some(false);
    for switch in &mut policy.switches {
        switch.enabled = false;
        switch.retention = None;
    }
    policy
}

/// A whole listing of these sets.
pub(crate) fn listing(sets: Vec<BackupSet>) -> Listing {
    Listing {
        sets,
        complete: true,
        ..Listing::default()
    }
}

/// The failure of an attempt at a listing.
pub(crate) fn failure(reason: Reason) -> ListError {
    let call = Call {
        operation: "DescribeBackups",
        instance: "rm-1".into(),
        region: HOME.into(),
        project: None,
        parameters: Vec::new(),
    };
    ListError::of(&call, reason)
}

/// A target with the listings of Alibaba, no expected region and no promises.
pub(crate) fn target(instance_id: &str) -> Target {
    Target {
        key: InstanceKey {
            provider: "alibaba",
            account: "prod".into(),
            source_region: HOME.into(),
            instance_id: instance_id.into(),
            service: Service::AlibabaRds,
        },
        name: None,
        backup_regions: Vec::new(),
        objectives: Objectives {
            recovery_point: None,
            backup_age: None,
            copy_delay: None,
            retention: None,
        },
        listings: vec![ListingKind::CrossRegion, ListingKind::Local],
    }
}

/// An instance of which nothing is known yet.
pub(crate) fn instance() -> Instance {
    Instance(InstanceFacts {
        target: Arc::new(target("rm-1")),
        description: Description::default(),
        presence: Presence::default(),
        is_found: false,
        listings: std::collections::BTreeMap::new(),
    })
}

/// An instance whose story is being told.
#[derive(Debug, Clone)]
pub(crate) struct Instance(pub(crate) InstanceFacts);

impl Instance {
    /// The configuration names these regions.
    pub(crate) fn expecting(mut self, regions: &[&str]) -> Self {
        Arc::make_mut(&mut self.0.target).backup_regions =
            regions.iter().map(|region| (*region).to_owned()).collect();
        self
    }

    /// The configuration promises this.
    pub(crate) fn promising(mut self, objective: Objective, promise: &str) -> Self {
        let promise = humantime::parse_duration(promise).unwrap();
        Arc::make_mut(&mut self.0.target)
            .objectives
            .set(objective, Some(promise));
        self
    }

    /// The configuration names only this listing.
    pub(crate) fn only(mut self, kind: ListingKind) -> Self {
        Arc::make_mut(&mut self.0.target).listings = vec![kind];
        self
    }

    /// The configuration names the logs of other regions too.
    pub(crate) fn with_logs(mut self) -> Self {
        Arc::make_mut(&mut self.0.target).listings = vec![
            ListingKind::CrossRegion,
            ListingKind::Local,
            ListingKind::CrossRegionLog,
        ];
        self
    }

    /// The listing was read a minute ago, and held these sets.
    pub(crate) fn read(self, kind: ListingKind, sets: Vec<BackupSet>) -> Self {
        self.found(
            kind,
            Sets {
                listing: listing(sets),
                ..Sets::default()
            },
        )
    }

    /// The listing was read a minute ago, with this result. Unless it says so, no log files are known from before.
    pub(crate) fn found(mut self, kind: ListingKind, mut sets: Sets) -> Self {
        if sets.logs == Coverage::default() {
            let at = ago("1m");
            let edges = LOOKBACK.ending(at);
            sets.logs = sets.logs.followed_by(
                &sets.remembered,
                &sets.listing.sets,
                LogReading {
                    from: edges.of(BackupType::Log),
                    edge: edges.of(BackupType::Log),
                    is_whole: true,
                    oldest: edges.of(BackupType::Full),
                    now: now(),
                },
            );
        }
        let facts = attempted("1m", Found::Sets(Arc::new(sets)));
        self.0.listings.insert(kind, facts);
        self
    }

    /// The provider says when it was made.
    pub(crate) fn made(mut self, at: DateTime<Utc>) -> Self {
        self.0.description.created = Some(at);
        self
    }

    /// The policy was read a minute ago.
    pub(crate) fn with_policy(mut self, policy: Policy) -> Self {
        let facts = attempted("1m", Found::Policy(Arc::new(policy)));
        self.0.listings.insert(ListingKind::Policy, facts);
        self
    }

    /// The restore windows were read a minute ago.
    pub(crate) fn with_windows(mut self, windows: Vec<RestoreWindow>) -> Self {
        let found = RestoreWindows {
            windows,
            anomalies: Vec::new(),
        };
        let facts = attempted("1m", Found::Windows(Arc::new(found)));
        self.0.listings.insert(ListingKind::RestoreWindow, facts);
        self
    }

    /// The provider has no such listing for the instance.
    pub(crate) fn unsupported(mut self, kind: ListingKind) -> Self {
        let facts = attempted("1m", Found::Unsupported);
        self.0.listings.insert(kind, facts);
        self
    }

    /// The last attempt at the listing, half a minute ago, failed; what was read before stays.
    pub(crate) fn failing(mut self, kind: ListingKind, reason: Reason, missing: bool) -> Self {
        let listing = self.0.listings.entry(kind).or_insert_with(|| ListingFacts {
            last_success: None,
            ..attempted("30s", Found::Nothing)
        });
        listing.last_attempt = Attempt {
            at: ago("30s"),
            failure: Some(Failure {
                reason,
                message: "it failed".to_owned(),
                missing_instance: missing,
            }),
            is_restored: false,
        };
        let was_seen = listing.last_success.is_some();
        if missing && self.0.own_listing() == Some(kind) {
            self.0.presence.denied(was_seen, ago("30s"));
        }
        self
    }

    /// The last list of instances, so long ago, was the so many-th plausible one in a row to lack it.
    pub(crate) fn missing(mut self, when: &str, searches: u32) -> Self {
        let since = ago(when);
        let missing = Missing { since, searches };
        self.0.presence.listed(Some(missing), since);
        self
    }
}

fn attempted(when: &str, found: Found) -> ListingFacts {
    ListingFacts {
        last_attempt: Attempt {
            at: ago(when),
            failure: None,
            is_restored: false,
        },
        last_success: Some(ago(when)),
        found,
        is_doubted: false,
        ledger: None,
    }
}

/// Any instance whose listings were read, with sets of every kind around the edges of the look-back and of the present.
pub(crate) fn any_instance() -> impl Strategy<Value = Instance> {
    let expected = proptest::sample::subsequence(vec!["cn-shanghai", "cn-beijing"], 0..=2);
    let promises = proptest::option::of(0_u64..60 * 24 * 3600);
    let sets = (any_sets(), any_sets(), proptest::option::of(any_sets()));
    (expected, promises, sets).prop_map(|(expected, promise, (copies, locals, logs))| {
        let mut instance = instance().expecting(&expected);
        for objective in Objective::ALL {
            Arc::make_mut(&mut instance.0.target)
                .objectives
                .set(objective, promise.map(std::time::Duration::from_secs));
        }
        let at_home = |set: BackupSet| BackupSet {
            scope: Scope::Local,
            backup_region: HOME.into(),
            ..set
        };
        let locals = Sets {
            listing: listing(locals.listing.sets.into_iter().map(at_home).collect()),
            remembered: locals.remembered.into_iter().map(at_home).collect(),
            ..Sets::default()
        };
        let instance = instance
            .found(ListingKind::CrossRegion, copies)
            .found(ListingKind::Local, locals);
        match logs {
            Some(logs) => instance
                .with_logs()
                .found(ListingKind::CrossRegionLog, of_logs(logs)),
            None => instance,
        }
    })
}

fn of_logs(sets: Sets) -> Sets {
    let as_log = |set: BackupSet| BackupSet {
        backup_type: BackupType::Log,
        ..set
    };
    Sets {
        listing: listing(sets.listing.sets.into_iter().map(as_log).collect()),
        remembered: sets.remembered.into_iter().map(as_log).collect(),
        ..Sets::default()
    }
}

fn any_sets() -> impl Strategy<Value = Sets> {
    let sets = || proptest::collection::vec(any_copy(), 0..12);
    let few = || proptest::collection::vec(any_copy(), 0..2);
    (sets(), few()).prop_map(|(sets, remembered)| Sets {
        listing: listing(sets),
        remembered,
        ..Sets::default()
    })
}

fn any_copy() -> impl Strategy<Value = BackupSet> {
    // Few different minutes, so that sets often begin or end together, and some of them at the edges of the look-backs.
    let minutes = || {
        prop_oneof![
            6 => -2_i64..300,
            2 => 0_i64..60 * 24 * 60,
            2 => Just(31 * 24 * 60_i64),
            1 => Just(31 * 24 * 60_i64 - 1),
            1 => Just(2 * 60_i64),
            1 => Just(2 * 60_i64 - 1),
        ]
    };
    let time = move || {
        proptest::option::weighted(
            0.9,
            minutes().prop_map(|minutes| now() - chrono::Duration::minutes(minutes)),
        )
    };
    (
        prop_oneof![Just(""), Just("cn-shanghai"), Just("cn-beijing")],
        prop_oneof![
            4 => Just(BackupType::Full),
            2 => Just(BackupType::Incremental),
            1 => Just(BackupType::Log),
            1 => Just(BackupType::Partial)
        ],
        prop_oneof![
            4 => Just(Status::Completed),
            4 => Just(Status::Failed),
            1 => Just(Status::Running),
            1 => Just(Status::Deleting),
            1 => Just(Status::Unknown)
        ],
        time(),
        time(),
        proptest::option::weighted(0.9, prop_oneof![0_u64..5000, Just(u64::MAX)]),
        time(),
        proptest::option::weighted(0.2, -100_i64..100),
        (proptest::bool::weighted(0.9), proptest::bool::weighted(0.8)),
        proptest::sample::subsequence(vec!["cn-hangzhou", "cn-shanghai"], 0..=2),
    )
        .prop_map(
            |(region, backup_type, status, started, ended, size, point, expires, is, to)| {
                BackupSet {
                    scope: Scope::CrossRegion,
                    backup_region: region.into(),
                    backup_type,
                    status,
                    started,
                    ended,
                    size_bytes: size,
                    recovery_point: point,
                    expires: expires.map(|minutes| now() + chrono::Duration::minutes(minutes)),
                    available: is.0,
                    is_copied: is.1,
                    restore_regions: to.into_iter().map(str::to_owned).collect(),
                    covers_until: None,
                }
            },
        )
}
