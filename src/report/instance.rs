//! One instance as JSON. The labels of the metrics are the values here.
//!
//! docs/api.md describes every field; a test compares. Fields are added, and neither renamed nor removed.

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::reasons::reasons;
use super::words::{seconds_since, written};
use crate::metrics::Assessed;
use crate::posture::{Copy, ListingPosture, State, Verdict};

#[derive(Debug, Serialize)]
pub(super) struct InstanceReport {
    pub(super) provider: &'static str,
    pub(super) account: String,
    pub(super) source_region: String,
    pub(super) instance_id: String,
    pub(super) state: &'static str,
    pub(super) states: Vec<&'static str>,
    pub(super) reasons: Vec<String>,
    pub(super) name: Option<String>,
    pub(super) product: &'static str,
    pub(super) engine: String,
    pub(super) engine_version: String,
    pub(super) protected: Option<bool>,
    pub(super) protected_since: Option<String>,
    pub(super) created: Option<String>,
    pub(super) gone: bool,
    pub(super) gone_since: Option<String>,
    pub(super) missing: bool,
    pub(super) missing_since: Option<String>,
    pub(super) expected_regions: Vec<String>,
    pub(super) policy: Vec<SwitchReport>,
    pub(super) copies: Vec<CopyReport>,
    pub(super) recovery_points: Vec<RecoveryPoint>,
    pub(super) log_gaps: Vec<LogGaps>,
    pub(super) restore_windows: Vec<WindowReport>,
    pub(super) uncopied: Vec<UncopiedReport>,
    pub(super) restorable_sets: Vec<Restorable>,
    pub(super) objectives: Vec<VerdictReport>,
    pub(super) listings: Vec<ListingReport>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sets: Option<Vec<SetReport>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sets_left_out: Option<usize>,
}

#[derive(Debug, Serialize)]
pub(super) struct CopyReport {
    pub(super) scope: &'static str,
    pub(super) backup_region: String,
    pub(super) backup_type: &'static str,
    pub(super) last_success: Option<Success>,
    pub(super) last_failure: Option<String>,
    pub(super) last_attempt_success: Option<bool>,
    pub(super) consecutive_failures: u64,
    pub(super) sets: std::collections::BTreeMap<&'static str, u64>,
    pub(super) stored_bytes: u64,
    pub(super) oldest: Option<String>,
    pub(super) running_since: Option<String>,
}

#[derive(Debug, Serialize)]
pub(super) struct Success {
    pub(super) ended: String,
    pub(super) age_seconds: i64,
    pub(super) size_bytes: Option<u64>,
    pub(super) duration_seconds: Option<i64>,
}

#[derive(Debug, Serialize)]
pub(super) struct RecoveryPoint {
    pub(super) scope: &'static str,
    pub(super) backup_region: String,
    pub(super) time: String,
    pub(super) age_seconds: i64,
}

#[derive(Debug, Serialize)]
pub(super) struct SwitchReport {
    pub(super) scope: &'static str,
    pub(super) backup_region: String,
    pub(super) backup_type: &'static str,
    pub(super) enabled: bool,
    pub(super) retention_seconds: Option<u64>,
}

#[derive(Debug, Serialize)]
pub(super) struct LogGaps {
    pub(super) scope: &'static str,
    pub(super) backup_region: String,
    pub(super) gaps: u64,
}

#[derive(Debug, Serialize)]
pub(super) struct WindowReport {
    pub(super) scope: &'static str,
    pub(super) backup_region: String,
    pub(super) start: String,
    pub(super) end: String,
    pub(super) gaps: u64,
}

#[derive(Debug, Serialize)]
pub(super) struct UncopiedReport {
    pub(super) backup_region: String,
    pub(super) sets: u64,
    pub(super) oldest: Option<String>,
}

#[derive(Debug, Serialize)]
pub(super) struct Restorable {
    pub(super) restore_region: String,
    pub(super) sets: u64,
}

#[derive(Debug, Serialize)]
pub(super) struct VerdictReport {
    pub(super) objective: &'static str,
    pub(super) seconds: f64,
    pub(super) met: Option<bool>,
}

#[derive(Debug, Serialize)]
pub(super) struct ListingReport {
    pub(super) listing: &'static str,
    pub(super) success: Option<bool>,
    pub(super) reason: Option<&'static str>,
    pub(super) error: Option<String>,
    pub(super) last_attempt: Option<String>,
    pub(super) last_success: Option<String>,
    pub(super) complete: Option<bool>,
    pub(super) supported: Option<bool>,
}

#[derive(Debug, Serialize)]
struct SetReport {
    scope: &'static str,
    backup_region: String,
    backup_type: &'static str,
    status: &'static str,
    usable: bool,
    started: Option<String>,
    ended: Option<String>,
    recovery_point: Option<String>,
    size_bytes: Option<u64>,
}

impl InstanceReport {
    pub(super) fn new(Assessed { facts, posture }: &Assessed, now: DateTime<Utc>) -> Self {
        let target = &facts.target;
        Self {
            provider: target.key.provider,
            account: target.key.account.to_string(),
            source_region: target.key.source_region.to_string(),
            instance_id: target.key.instance_id.to_string(),
            state: posture.state().label(),
            states: posture.states().into_iter().map(State::label).collect(),
            reasons: reasons(posture).map(|reason| reason.to_string()).collect(),
            name: Some(posture.name.clone()).filter(|name| !name.is_empty()),
            product: target.key.service.product(),
            engine: posture.engine.clone(),
            engine_version: posture.engine_version.clone(),
            protected: posture.protected,
            protected_since: posture.protected_since.map(written),
            created: posture.created.map(written),
            gone: posture.gone,
            gone_since: facts.presence.gone_since.map(written),
            missing: posture.missing,
            missing_since: facts.presence.missing.map(|missing| written(missing.since)),
            expected_regions: posture.expected_regions.clone(),
            policy: posture
                .switches
                .iter()
                .map(|((place, backup_type), switch)| SwitchReport {
                    scope: place.scope.label(),
                    backup_region: place.backup_region.clone(),
                    backup_type: backup_type.label(),
                    enabled: switch.enabled,
                    retention_seconds: switch.retention.map(|retention| retention.as_secs()),
                })
                .collect(),
            copies: posture
                .copies
                .iter()
                .map(|copy| CopyReport::new(copy, now))
                .collect(),
            recovery_points: posture
                .recovery_points
                .iter()
                .map(|(place, point)| RecoveryPoint {
                    scope: place.scope.label(),
                    backup_region: place.backup_region.clone(),
                    time: written(*point),
                    age_seconds: seconds_since(*point, now),
                })
                .collect(),
            log_gaps: posture
                .log_gaps
                .iter()
                .map(|(place, gaps)| LogGaps {
                    scope: place.scope.label(),
                    backup_region: place.backup_region.clone(),
                    gaps: *gaps,
                })
                .collect(),
            restore_windows: posture
                .restore_windows
                .iter()
                .map(|(place, window)| WindowReport {
                    scope: place.scope.label(),
                    backup_region: place.backup_region.clone(),
                    start: written(window.start),
                    end: written(window.end),
                    gaps: window.gaps,
                })
                .collect(),
            uncopied: posture
                .uncopied
                .iter()
                .map(|uncopied| UncopiedReport {
                    backup_region: uncopied.backup_region.clone(),
                    sets: uncopied.sets,
                    oldest: uncopied.oldest.map(written),
                })
                .collect(),
            restorable_sets: posture
                .restorable_sets
                .iter()
                .map(|(region, sets)| Restorable {
                    restore_region: region.clone(),
                    sets: *sets,
                })
                .collect(),
            objectives: posture.verdicts.iter().map(VerdictReport::new).collect(),
            listings: posture.listings.iter().map(ListingReport::new).collect(),
            sets: None,
            sets_left_out: None,
        }
    }

    /// Adds the single sets, the newest first, at most so many; says how many there are now.
    pub(super) fn add_sets(
        &mut self,
        Assessed { facts, posture }: &Assessed,
        most: usize,
        now: DateTime<Utc>,
    ) -> usize {
        let usable = facts.usable(now);
        let mut sets: Vec<_> = posture.history(facts).collect();
        sets.sort_by_key(|set| std::cmp::Reverse(set.finished()));
        let newest = sets.iter().take(most);
        let shown: Vec<_> = newest
            .map(|set| SetReport {
                scope: set.scope.label(),
                backup_region: set.backup_region.to_string(),
                backup_type: set.backup_type.label(),
                status: set.status.label(),
                usable: usable.contains(set),
                started: set.started.map(written),
                ended: set.ended.map(written),
                recovery_point: set.recovery_point.map(written),
                size_bytes: set.size_bytes,
            })
            .collect();
        let count = shown.len();
        self.sets_left_out = Some(sets.len() - count);
        self.sets = Some(shown);
        count
    }
}

impl CopyReport {
    fn new(copy: &Copy, now: DateTime<Utc>) -> Self {
        Self {
            scope: copy.place.scope.label(),
            backup_region: copy.place.backup_region.clone(),
            backup_type: copy.backup_type.label(),
            last_success: copy.last_success.map(|success| Success {
                ended: written(success.ended),
                age_seconds: seconds_since(success.ended, now),
                size_bytes: success.size_bytes,
                duration_seconds: success.duration.map(|duration| duration.num_seconds()),
            }),
            last_failure: copy.last_failure.map(written),
            last_attempt_success: copy.last_attempt_success,
            consecutive_failures: copy.consecutive_failures,
            sets: copy
                .sets
                .iter()
                .map(|(status, sets)| (status.label(), *sets))
                .collect(),
            stored_bytes: copy.stored_bytes,
            oldest: copy.oldest.map(written),
            running_since: copy.running_since.map(written),
        }
    }
}

impl VerdictReport {
    fn new(verdict: &Verdict) -> Self {
        Self {
            objective: verdict.objective.label(),
            seconds: verdict.promise.as_secs_f64(),
            met: verdict.met,
        }
    }
}

impl ListingReport {
    fn new(listing: &ListingPosture) -> Self {
        Self {
            listing: listing.kind.label(),
            success: listing.success,
            reason: listing
                .failure
                .as_ref()
                .map(|failure| failure.reason.label()),
            error: listing
                .failure
                .as_ref()
                .map(|failure| failure.message.clone()),
            last_attempt: listing.last_attempt.map(written),
            last_success: listing.last_success.map(written),
            complete: listing.complete,
            supported: listing.success.map(|_| !listing.unsupported),
        }
    }
}
