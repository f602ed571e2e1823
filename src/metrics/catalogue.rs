//! Every metric, one row each: name, type, labels, help, samples. `docs/metrics.md` is written from the same table.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use chrono::{DateTime, Utc};

use super::exposition::{Exposition, Family, InstanceFamily, Label, MetricType, as_float};
use super::{Assessed, Overview};
use crate::backup::{BackupType, ListingKind, Scope, Status};
use crate::facts::RegionFacts;
use crate::facts::ledger::Events;
use crate::posture::{Copy, ListingPosture, Place, Restorable, Success, Switch};
use crate::tally::{AccountCounts, AccountKey, DURATION_BOUNDS};
use crate::target::InstanceKey;

/// One metric.
pub struct Row {
    /// Its name.
    pub name: &'static str,
    /// Its type.
    pub metric_type: MetricType,
    /// Its labels, in the order in which they are written.
    pub labels: Labels,
    /// What it means, with its unit.
    pub help: &'static str,
    /// Writes its samples.
    pub(super) samples: Samples,
}

/// Writes the samples of a metric about one instance.
pub(super) type InstanceSamples = fn(&Assessed, &mut InstanceFamily<'_>);

/// What a metric is about.
#[derive(Debug, Clone, Copy)]
pub(super) enum Samples {
    /// Each instance has its own, which depend on nothing but that instance.
    Instance(InstanceSamples),
    /// The rest: accounts, regions, the exporter itself.
    Exporter(fn(&Overview<'_>, &mut Family<'_>)),
}

/// Which labels a metric has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Labels {
    /// Those of an instance, and these.
    Instance(&'static [&'static str]),
    /// Those of an instance, the scope and the region that keeps the backups.
    Place,
    /// Those of a place, the backup type, and these.
    Copy(&'static [&'static str]),
    /// Only these.
    Only(&'static [&'static str]),
}

const INSTANCE: [&str; 4] = ["provider", "account", "source_region", "instance_id"];
const PLACE: [&str; 2] = ["scope", "backup_region"];

impl Labels {
    /// The names, in order.
    pub fn names(self) -> Vec<&'static str> {
        match self {
            Self::Instance(more) => [&INSTANCE[..], more].concat(),
            Self::Place => [&INSTANCE[..], &PLACE].concat(),
            Self::Copy(more) => [&INSTANCE[..], &PLACE, &["backup_type"], more].concat(),
            Self::Only(names) => names.to_vec(),
        }
    }
}

/// The metrics about instances, in the order in which they are written.
pub(super) fn about_instances() -> impl Iterator<Item = (&'static Row, InstanceSamples)> {
    CATALOGUE.iter().filter_map(|row| match row.samples {
        Samples::Instance(samples) => Some((row, samples)),
        Samples::Exporter(_) => None,
    })
}

/// Writes the metrics that are not about single instances; a family without a sample is left out.
pub(super) fn write_overview(overview: &Overview<'_>, exposition: &mut Exposition) {
    for row in CATALOGUE {
        if let Samples::Exporter(samples) = row.samples {
            samples(
                overview,
                &mut exposition.family(row.name, row.metric_type, row.help),
            );
        }
    }
}

/// The labels that all series of an instance begin with.
pub(super) fn instance_labels(key: &InstanceKey) -> [Label<'_>; 4] {
    [
        (INSTANCE[0], key.provider),
        (INSTANCE[1], &key.account),
        (INSTANCE[2], &key.source_region),
        (INSTANCE[3], &key.instance_id),
    ]
}

/// The page that lists every metric, in Markdown.
pub fn markdown() -> String {
    let mut page = String::from(
        "# Metrics\n\n\
         This page is written from the table in `src/metrics/catalogue.rs`; a test compares the two.\n\
         To write it anew: `UPDATE_DOCS=1 cargo test --lib docs`.\n\n\
         Sizes are in bytes, times in Unix seconds, durations and ages in seconds.\n\
         Ages are computed at the scrape, from facts that `poll` read in the background: they go on growing while polls fail.\n\
         Beside these, the standard `process_*` metrics are served.\n\
         Which call of which vendor feeds a metric is said in [coverage.md](coverage.md), what to alert on in \
         [alerting.md](alerting.md).\n\n\
         | name | type | labels | meaning |\n|---|---|---|---|\n",
    );
    for row in CATALOGUE {
        let labels: Vec<_> = row
            .labels
            .names()
            .iter()
            .map(|label| format!("`{label}`"))
            .collect();
        let written = writeln!(
            page,
            "| `{}` | {} | {} | {} |",
            row.name,
            row.metric_type.label(),
            labels.join(", "),
            row.help
        );
        debug_assert!(written.is_ok());
    }
    page
}

/// The table.
pub const CATALOGUE: &[Row] = &[
    Row {
        name: "cloud_backup_instance_info",
        metric_type: MetricType::Gauge,
        labels: Labels::Instance(&["product", "engine", "engine_version", "name"]),
        help: "Always 1. The engine is in lower case and empty until a listing named it; the name is the configuration's, else the provider's.",
        samples: Samples::Instance(|instance, family| {
            let target = &instance.facts.target;
            let more = [
                ("product", target.key.service.product()),
                ("engine", &instance.posture.engine),
                ("engine_version", &instance.posture.engine_version),
                ("name", &instance.posture.name),
            ];
            family.sample(&[&more], 1.0);
        }),
    },
    Row {
        name: "cloud_backup_instance_protected",
        metric_type: MetricType::Gauge,
        labels: Labels::Instance(&[]),
        help: "Whether the provider copies this instance's backups to another region: 0 when its policy is off or it has no such backups, absent while not known.",
        samples: Samples::Instance(|instance, family| {
            if let Some(protected) = instance.posture.protected {
                family.sample(&[], truth(protected));
            }
        }),
    },
    Row {
        name: "cloud_backup_instance_protected_since_timestamp_seconds",
        metric_type: MetricType::Gauge,
        labels: Labels::Instance(&[]),
        help: "When copying to another region was switched on, in Unix seconds; absent while it is off and where the provider does not tell (Alibaba: BackupEnabledTime).",
        samples: Samples::Instance(|instance, family| {
            if let Some(since) = instance.posture.protected_since {
                family.sample(&[], unix(since));
            }
        }),
    },
    Row {
        name: "cloud_backup_instance_created_timestamp_seconds",
        metric_type: MetricType::Gauge,
        labels: Labels::Instance(&[]),
        help: "When the instance was made, in Unix seconds, for an alert that gives a new one time for its first backup; absent where instances are not looked for.",
        samples: Samples::Instance(|instance, family| {
            if let Some(created) = instance.posture.created {
                family.sample(&[], unix(created));
            }
        }),
    },
    Row {
        name: "cloud_backup_instance_gone",
        metric_type: MetricType::Gauge,
        labels: Labels::Instance(&[]),
        help: "Whether the instance no longer exists (1) or not (0): its own listing says so, or shows no usable set while the instance is missing, twice in a row, or six plausible lists of instances lack it. Nothing is promised of one that is gone; one that was found is forgotten after six more searches.",
        samples: Samples::Instance(|instance, family| {
            family.sample(&[], truth(instance.posture.gone));
        }),
    },
    Row {
        name: "cloud_backup_instance_missing",
        metric_type: MetricType::Gauge,
        labels: Labels::Instance(&[]),
        help: "Whether the last list of instances lacks this instance, which an earlier one had, although it is not known to be gone (1), or not (0). It is polled and promised as before.",
        samples: Samples::Instance(|instance, family| {
            family.sample(&[], truth(instance.posture.missing));
        }),
    },
    Row {
        name: "cloud_backup_instances",
        metric_type: MetricType::Gauge,
        labels: Labels::Only(&["provider", "account", "source_region", "state"]),
        help: "Instances by state. monitored: polled; unmonitored: found, but filtered out or of a kind without backups of its own, such as a read-only replica; missing: monitored too, but not in the last list; gone: watched, but it no longer exists, or only another region still lists its protection.",
        samples: Samples::Exporter(instances_by_state),
    },
    Row {
        name: "cloud_backup_last_success_timestamp_seconds",
        metric_type: MetricType::Gauge,
        labels: Labels::Copy(&[]),
        help: "End of the newest usable backup set, in Unix seconds; absent if there is none.",
        samples: Samples::Instance(|instance, family| {
            each_success(instance, family, |success| Some(unix(success.ended)));
        }),
    },
    Row {
        name: "cloud_backup_last_success_age_seconds",
        metric_type: MetricType::Gauge,
        labels: Labels::Copy(&[]),
        help: "Seconds from the end of the newest usable backup set to this scrape.",
        samples: Samples::Instance(|instance, family| {
            for copy in &instance.posture.copies {
                if let Some(success) = copy.last_success {
                    family.age(&[&copy_labels(copy)], success.ended);
                }
            }
        }),
    },
    Row {
        name: "cloud_backup_last_success_size_bytes",
        metric_type: MetricType::Gauge,
        labels: Labels::Copy(&[]),
        help: "Size of the newest usable backup set in bytes (Alibaba and Volcengine give bytes; Huawei gives KB, counted as 1024 bytes).",
        samples: Samples::Instance(|instance, family| {
            each_success(instance, family, |success| success.size_bytes.map(as_float));
        }),
    },
    Row {
        name: "cloud_backup_last_success_duration_seconds",
        metric_type: MetricType::Gauge,
        labels: Labels::Copy(&[]),
        help: "Seconds from the start to the end of the newest usable backup set.",
        samples: Samples::Instance(|instance, family| {
            each_success(instance, family, |success| success.duration.map(seconds));
        }),
    },
    Row {
        name: "cloud_backup_last_failure_timestamp_seconds",
        metric_type: MetricType::Gauge,
        labels: Labels::Copy(&[]),
        help: "End, else start, of the newest failed backup set in the look-back, in Unix seconds; absent if there is none.",
        samples: Samples::Instance(|instance, family| {
            each_copy(instance, family, |copy| copy.last_failure.map(unix));
        }),
    },
    Row {
        name: "cloud_backup_last_attempt_success",
        metric_type: MetricType::Gauge,
        labels: Labels::Copy(&[]),
        help: "Whether the newest finished backup set is usable (1) or failed (0); a running one changes nothing.",
        samples: Samples::Instance(|instance, family| {
            each_copy(instance, family, |copy| {
                copy.last_attempt_success.map(truth)
            });
        }),
    },
    Row {
        name: "cloud_backup_consecutive_failures",
        metric_type: MetricType::Gauge,
        labels: Labels::Copy(&[]),
        help: "Failed backup sets newer than the newest usable one.",
        samples: Samples::Instance(|instance, family| {
            each_copy(instance, family, |copy| {
                Some(as_float(copy.consecutive_failures))
            });
        }),
    },
    Row {
        name: "cloud_backup_sets",
        metric_type: MetricType::Gauge,
        labels: Labels::Copy(&["status"]),
        help: "Backup sets in the look-back by status; completed and failed are always there, also as 0. Sets of the type partial, which hold less than the whole instance, have this metric alone.",
        samples: Samples::Instance(|instance, family| {
            for copy in &instance.posture.copies {
                for (status, sets) in &copy.sets {
                    let more = [("status", status.label())];
                    family.sample(&[&copy_labels(copy), &more], as_float(*sets));
                }
            }
        }),
    },
    Row {
        name: "cloud_backup_stored_bytes",
        metric_type: MetricType::Gauge,
        labels: Labels::Copy(&[]),
        help: "Sum of the sizes of the usable backup sets in the look-back, in bytes (Huawei's KB counted as 1024 bytes).",
        samples: Samples::Instance(|instance, family| {
            each_copy(instance, family, |copy| Some(as_float(copy.stored_bytes)));
        }),
    },
    Row {
        name: "cloud_backup_oldest_timestamp_seconds",
        metric_type: MetricType::Gauge,
        labels: Labels::Copy(&[]),
        help: "End of the oldest usable backup set in the look-back, in Unix seconds; absent if there is none.",
        samples: Samples::Instance(|instance, family| {
            each_copy(instance, family, |copy| copy.oldest.map(unix));
        }),
    },
    Row {
        name: "cloud_backup_running_since_timestamp_seconds",
        metric_type: MetricType::Gauge,
        labels: Labels::Copy(&[]),
        help: "Start of the oldest backup set that is still running, in Unix seconds; absent if none is.",
        samples: Samples::Instance(|instance, family| {
            each_copy(instance, family, |copy| copy.running_since.map(unix));
        }),
    },
    Row {
        name: "cloud_backup_observed_sets_total",
        metric_type: MetricType::Counter,
        labels: Labels::Copy(&["status"]),
        help: "Backup sets that were seen for the first time as completed or failed, each counted once, also when it has long been removed. Only with --storage.path.",
        samples: Samples::Instance(|instance, family| {
            each_event(instance, family, |events, _, family, labels| {
                for (status, sets) in [
                    (Status::Completed, events.completed),
                    (Status::Failed, events.failed),
                ] {
                    let more = [("status", status.label())];
                    family.sample(&[labels, &more], as_float(sets));
                }
            });
        }),
    },
    Row {
        name: "cloud_backup_vanished_sets_total",
        metric_type: MetricType::Counter,
        labels: Labels::Copy(&[]),
        help: "Usable full and incremental backup sets that disappeared from the listing although their retention, as far as it is known, had more than a day to go. Only with --storage.path.",
        samples: Samples::Instance(|instance, family| {
            each_event(instance, family, |events, backup_type, family, labels| {
                // Of log files it is never said: only the last hours are listed.
                if backup_type != BackupType::Log {
                    family.sample(&[labels], as_float(events.vanished));
                }
            });
        }),
    },
    Row {
        name: "cloud_backup_recovery_point_timestamp_seconds",
        metric_type: MetricType::Gauge,
        labels: Labels::Place,
        help: "The newest instant to which the usable backup sets of this place restore, in Unix seconds (Alibaba: ConsistentTime, else the start of the set).",
        samples: Samples::Instance(|instance, family| {
            for (place, point) in &instance.posture.recovery_points {
                family.sample(&[&place_labels(place)], unix(*point));
            }
        }),
    },
    Row {
        name: "cloud_backup_recovery_point_age_seconds",
        metric_type: MetricType::Gauge,
        labels: Labels::Place,
        help: "Seconds from the newest recovery point to this scrape: the data that a restore from this place would lose.",
        samples: Samples::Instance(|instance, family| {
            for (place, point) in &instance.posture.recovery_points {
                family.age(&[&place_labels(place)], *point);
            }
        }),
    },
    Row {
        name: "cloud_backup_log_gaps",
        metric_type: MetricType::Gauge,
        labels: Labels::Place,
        help: "Holes in the copied log files after the newest usable backup set that they continue; a restore ends at the first. Absent where no log files are copied.",
        samples: Samples::Instance(|instance, family| {
            for (place, gaps) in &instance.posture.log_gaps {
                family.sample(&[&place_labels(place)], as_float(*gaps));
            }
        }),
    },
    Row {
        name: "cloud_backup_restore_window_start_timestamp_seconds",
        metric_type: MetricType::Gauge,
        labels: Labels::Place,
        help: "The first instant to which the provider itself says it can restore, in Unix seconds; of the newest window where there are several.",
        samples: Samples::Instance(|instance, family| {
            each_window(instance, family, |window| unix(window.start));
        }),
    },
    Row {
        name: "cloud_backup_restore_window_end_timestamp_seconds",
        metric_type: MetricType::Gauge,
        labels: Labels::Place,
        help: "The last instant to which the provider itself says it can restore, in Unix seconds.",
        samples: Samples::Instance(|instance, family| {
            each_window(instance, family, |window| unix(window.end));
        }),
    },
    Row {
        name: "cloud_backup_restore_window_gaps",
        metric_type: MetricType::Gauge,
        labels: Labels::Place,
        help: "Restore windows beside the newest one: the stretches of time in between cannot be restored.",
        samples: Samples::Instance(|instance, family| {
            each_window(instance, family, |window| as_float(window.gaps));
        }),
    },
    Row {
        name: "cloud_backup_restorable_sets",
        metric_type: MetricType::Gauge,
        labels: Labels::Instance(&["restore_region"]),
        help: "Usable cross-region backup sets in the look-back that the provider would restore to this region (Alibaba: RestoreRegions).",
        samples: Samples::Instance(|instance, family| {
            for (region, sets) in &instance.posture.restorable_sets {
                let more = [("restore_region", region.as_str())];
                family.sample(&[&more], as_float(*sets));
            }
        }),
    },
    Row {
        name: "cloud_backup_uncopied_sets",
        metric_type: MetricType::Gauge,
        labels: Labels::Instance(&["backup_region"]),
        help: "Usable local full backup sets whose recovery point is more than 10 minutes newer than that of the newest usable full copy in this expected region; without those that ended before copying was switched on, where the provider tells when, and those that it never copies (Huawei: manual ones, but for SQL Server).",
        samples: Samples::Instance(|instance, family| {
            for uncopied in &instance.posture.uncopied {
                let more = [("backup_region", uncopied.backup_region.as_str())];
                family.sample(&[&more], as_float(uncopied.sets));
            }
        }),
    },
    Row {
        name: "cloud_backup_oldest_uncopied_timestamp_seconds",
        metric_type: MetricType::Gauge,
        labels: Labels::Instance(&["backup_region"]),
        help: "End of the oldest local full backup set without a copy in this expected region, in Unix seconds; absent if there is none.",
        samples: Samples::Instance(|instance, family| {
            for uncopied in &instance.posture.uncopied {
                if let Some(oldest) = uncopied.oldest {
                    let more = [("backup_region", uncopied.backup_region.as_str())];
                    family.sample(&[&more], unix(oldest));
                }
            }
        }),
    },
    Row {
        name: "cloud_backup_policy_enabled",
        metric_type: MetricType::Gauge,
        labels: Labels::Copy(&[]),
        help: "The provider's own switch: 1 on, 0 off. Data counts as full, log files as log.",
        samples: Samples::Instance(|instance, family| {
            each_switch(instance, family, |switch| Some(truth(switch.enabled)));
        }),
    },
    Row {
        name: "cloud_backup_policy_retention_seconds",
        metric_type: MetricType::Gauge,
        labels: Labels::Copy(&[]),
        help: "For how long the provider keeps what its policy makes, in seconds; absent where it does not tell.",
        samples: Samples::Instance(|instance, family| {
            each_switch(instance, family, |switch| {
                switch.retention.map(|retention| retention.as_secs_f64())
            });
        }),
    },
    Row {
        name: "cloud_backup_objective_seconds",
        metric_type: MetricType::Gauge,
        labels: Labels::Instance(&["objective"]),
        help: "What was promised for this instance, in seconds, from the configuration.",
        samples: Samples::Instance(|instance, family| {
            for verdict in &instance.posture.verdicts {
                let more = [("objective", verdict.objective.label())];
                family.sample(&[&more], verdict.promise.as_secs_f64());
            }
        }),
    },
    Row {
        name: "cloud_backup_objective_met",
        metric_type: MetricType::Gauge,
        labels: Labels::Instance(&["objective"]),
        help: "Whether the promise holds at this scrape; absent while a listing that it depends on was never read.",
        samples: Samples::Instance(|instance, family| {
            for verdict in &instance.posture.verdicts {
                if let Some(met) = verdict.met {
                    let more = [("objective", verdict.objective.label())];
                    family.sample(&[&more], truth(met));
                }
            }
        }),
    },
    Row {
        name: "cloud_backup_poll_success",
        metric_type: MetricType::Gauge,
        labels: Labels::Instance(&["listing"]),
        help: "Whether the last attempt at this listing succeeded; absent before the first.",
        samples: Samples::Instance(|instance, family| {
            each_listing(instance, family, |listing| listing.success.map(truth));
        }),
    },
    Row {
        name: "cloud_backup_last_poll_success_timestamp_seconds",
        metric_type: MetricType::Gauge,
        labels: Labels::Instance(&["listing"]),
        help: "When this listing was last read, in Unix seconds; absent until the first time.",
        samples: Samples::Instance(|instance, family| {
            each_listing(instance, family, |listing| listing.last_success.map(unix));
        }),
    },
    Row {
        name: "cloud_backup_listing_complete",
        metric_type: MetricType::Gauge,
        labels: Labels::Instance(&["listing"]),
        help: "0: not all rows were read, because the page cap was reached, the provider's total disagrees with the rows, or something in the list is no row.",
        samples: Samples::Instance(|instance, family| {
            each_listing(instance, family, |listing| listing.complete.map(truth));
        }),
    },
    Row {
        name: "cloud_backup_poll_failures_total",
        metric_type: MetricType::Counter,
        labels: Labels::Only(&["provider", "account", "listing", "reason"]),
        help: "Attempts at a listing that failed for good, retries included in the one attempt.",
        samples: Samples::Exporter(|overview, family| {
            each_account(overview, family, |account, family, labels| {
                for ((listing, reason), failures) in &account.poll_failures {
                    let more = [("listing", listing.label()), ("reason", reason.label())];
                    family.sample(&[labels, &more], as_float(*failures));
                }
            });
        }),
    },
    Row {
        name: "cloud_backup_anomalies_total",
        metric_type: MetricType::Counter,
        labels: Labels::Only(&["provider", "listing", "kind"]),
        help: "Rows of a listing that were not fully understood, by kind: unknown_status, bad_time, bad_size, future_time, duplicate, foreign_instance, wrong_region, unknown_extent, bad_row. Counted again at each poll that meets them.",
        samples: Samples::Exporter(|overview, family| {
            for ((provider, listing, anomaly), rows) in &overview.counts.anomalies {
                let labels = [
                    ("provider", *provider),
                    ("listing", listing.label()),
                    ("kind", anomaly.label()),
                ];
                family.sample(&[&labels], as_float(*rows));
            }
        }),
    },
    Row {
        name: "cloud_backup_api_requests_total",
        metric_type: MetricType::Counter,
        labels: Labels::Only(&["provider", "account", "operation"]),
        help: "HTTP requests sent to the provider, retries included.",
        samples: Samples::Exporter(|overview, family| {
            each_account(overview, family, |account, family, labels| {
                for (operation, requests) in &account.requests {
                    let more = [("operation", *operation)];
                    family.sample(&[labels, &more], as_float(*requests));
                }
            });
        }),
    },
    Row {
        name: "cloud_backup_api_request_failures_total",
        metric_type: MetricType::Counter,
        labels: Labels::Only(&["provider", "account", "operation", "reason"]),
        help: "HTTP requests that failed, those that a retry mended included.",
        samples: Samples::Exporter(|overview, family| {
            each_account(overview, family, |account, family, labels| {
                for ((operation, reason), failures) in &account.request_failures {
                    let more = [("operation", *operation), ("reason", reason.label())];
                    family.sample(&[labels, &more], as_float(*failures));
                }
            });
        }),
    },
    Row {
        name: "cloud_backup_api_request_duration_seconds",
        metric_type: MetricType::Histogram,
        labels: Labels::Only(&["provider", "operation"]),
        help: "Seconds from sending a request to the end of its answer.",
        samples: Samples::Exporter(|overview, family| {
            for ((provider, operation), histogram) in &overview.counts.durations {
                let labels = [("provider", *provider), ("operation", *operation)];
                family.histogram(
                    &labels,
                    &DURATION_BOUNDS,
                    &histogram.buckets,
                    histogram.sum_seconds,
                );
            }
        }),
    },
    Row {
        name: "cloud_backup_discovery_success",
        metric_type: MetricType::Gauge,
        labels: Labels::Only(&["provider", "account", "source_region"]),
        help: "Whether the last attempt to look for the instances of this region succeeded; absent before the first. A failure leaves what is watched as it is.",
        samples: Samples::Exporter(|overview, family| {
            each_region(overview, family, |services| {
                let attempt = services.iter().map(|found| found.last_attempt.as_ref());
                let successes: Vec<_> = attempt
                    .map(|attempt| attempt.map(|attempt| attempt.failure.is_none()))
                    .collect();
                if successes.contains(&Some(false)) {
                    return Some(truth(false));
                }
                (!successes.contains(&None)).then_some(truth(true))
            });
        }),
    },
    Row {
        name: "cloud_backup_last_discovery_success_timestamp_seconds",
        metric_type: MetricType::Gauge,
        labels: Labels::Only(&["provider", "account", "source_region"]),
        help: "When the instances of this region were last listed, in Unix seconds; absent until the first time.",
        samples: Samples::Exporter(|overview, family| {
            each_region(overview, family, |services| {
                let listed = services.iter().map(|found| found.last_success);
                let listed: Option<Vec<_>> = listed.collect();
                listed?.into_iter().min().map(unix)
            });
        }),
    },
    Row {
        name: "cloud_backup_credentials_expiry_timestamp_seconds",
        metric_type: MetricType::Gauge,
        labels: Labels::Only(&["provider", "account"]),
        help: "When the temporary keys in use expire, in Unix seconds; they are renewed well before. Absent for keys that do not say when they expire.",
        samples: Samples::Exporter(|overview, family| {
            each_account(overview, family, |account, family, labels| {
                if let Some(expiry) = account.credentials_expiry {
                    family.sample(&[labels], unix(expiry));
                }
            });
        }),
    },
    Row {
        name: "cloud_backup_sweep_duration_seconds",
        metric_type: MetricType::Gauge,
        labels: Labels::Only(&["provider", "account"]),
        help: "Wall time of the last full round over the account's instances, without what is read seldom: until each listing was attempted once more. Attempts are spread, so it comes close to the longest time between two of them.",
        samples: Samples::Exporter(|overview, family| {
            each_account(overview, family, |account, family, labels| {
                if let Some(duration) = account.last_sweep {
                    family.sample(&[labels], duration.as_secs_f64());
                }
            });
        }),
    },
    Row {
        name: "cloud_backup_poll_interval_seconds",
        metric_type: MetricType::Gauge,
        labels: Labels::Only(&["provider", "account"]),
        help: "The shortest time between two attempts at a listing, from the configuration; but for policies and restore windows.",
        samples: Samples::Exporter(|overview, family| {
            each_account(overview, family, |account, family, labels| {
                family.sample(&[labels], account.intervals.poll.as_secs_f64());
            });
        }),
    },
    Row {
        name: "cloud_backup_poll_max_interval_seconds",
        metric_type: MetricType::Gauge,
        labels: Labels::Only(&["provider", "account"]),
        help: "The longest time between two attempts at a listing, from the configuration: poll.max_interval in the mode adaptive, poll.interval in the mode fixed.",
        samples: Samples::Exporter(|overview, family| {
            each_account(overview, family, |account, family, labels| {
                family.sample(&[labels], account.intervals.longest.as_secs_f64());
            });
        }),
    },
    Row {
        name: "cloud_backup_policy_interval_seconds",
        metric_type: MetricType::Gauge,
        labels: Labels::Only(&["provider", "account"]),
        help: "How often policies and restore windows are read, from the configuration.",
        samples: Samples::Exporter(|overview, family| {
            each_account(overview, family, |account, family, labels| {
                family.sample(&[labels], account.intervals.policy.as_secs_f64());
            });
        }),
    },
    Row {
        name: "cloud_backup_discovery_interval_seconds",
        metric_type: MetricType::Gauge,
        labels: Labels::Only(&["provider", "account"]),
        help: "How often instances are looked for, from the configuration; absent where they are not.",
        samples: Samples::Exporter(|overview, family| {
            each_account(overview, family, |account, family, labels| {
                if let Some(interval) = account.intervals.discovery {
                    family.sample(&[labels], interval.as_secs_f64());
                }
            });
        }),
    },
    Row {
        name: "cloud_backup_exporter_build_info",
        metric_type: MetricType::Gauge,
        labels: Labels::Only(&["version", "revision", "rustversion"]),
        help: "Always 1; says what is running.",
        samples: Samples::Exporter(|_, family| {
            let labels = [
                ("version", env!("CARGO_PKG_VERSION")),
                ("revision", env!("BUILD_REVISION")),
                ("rustversion", env!("BUILD_RUST_VERSION")),
            ];
            family.sample(&[&labels], 1.0);
        }),
    },
    Row {
        name: "cloud_backup_exporter_config_last_reload_successful",
        metric_type: MetricType::Gauge,
        labels: Labels::Only(&[]),
        help: "Whether the last attempt to load the configuration succeeded.",
        samples: Samples::Exporter(|overview, family| {
            family.sample(&[], truth(overview.reload.successful));
        }),
    },
    Row {
        name: "cloud_backup_exporter_config_last_reload_success_timestamp_seconds",
        metric_type: MetricType::Gauge,
        labels: Labels::Only(&[]),
        help: "When the configuration was last loaded, in Unix seconds.",
        samples: Samples::Exporter(|overview, family| {
            family.sample(&[], unix(overview.reload.last_success));
        }),
    },
    Row {
        name: "cloud_backup_exporter_shard_index",
        metric_type: MetricType::Gauge,
        labels: Labels::Only(&[]),
        help: "Which of the exporters that divide the instances among themselves this is, counted from 0; 0 where it has all.",
        samples: Samples::Exporter(|overview, family| {
            family.sample(&[], f64::from(overview.shard.index()));
        }),
    },
    Row {
        name: "cloud_backup_exporter_shards",
        metric_type: MetricType::Gauge,
        labels: Labels::Only(&[]),
        help: "How many exporters divide the instances among themselves, as this one was told; 1 where it has all.",
        samples: Samples::Exporter(|overview, family| {
            family.sample(&[], f64::from(overview.shard.count()));
        }),
    },
    Row {
        name: "cloud_backup_exporter_storage_healthy",
        metric_type: MetricType::Gauge,
        labels: Labels::Only(&[]),
        help: "Whether what was found can be stored; if not, it is kept in memory and a restart would lose it. Only with --storage.path, as all of these.",
        samples: Samples::Exporter(|overview, family| {
            if let Some(storage) = &overview.counts.storage {
                family.sample(&[], truth(storage.is_healthy));
            }
        }),
    },
    Row {
        name: "cloud_backup_exporter_storage_last_write_timestamp_seconds",
        metric_type: MetricType::Gauge,
        labels: Labels::Only(&[]),
        help: "When the file was last brought up to date, in Unix seconds; absent until this process has done so once.",
        samples: Samples::Exporter(|overview, family| {
            let storage = overview.counts.storage.as_ref();
            if let Some(time) = storage.and_then(|storage| storage.last_write) {
                family.sample(&[], unix(time));
            }
        }),
    },
    Row {
        name: "cloud_backup_exporter_storage_write_failures_total",
        metric_type: MetricType::Counter,
        labels: Labels::Only(&["reason"]),
        help: "Attempts to open or write the file that failed.",
        samples: Samples::Exporter(|overview, family| {
            let storage = overview.counts.storage.as_ref();
            for (reason, failures) in storage.into_iter().flat_map(|storage| &storage.failures) {
                family.sample(&[&[("reason", *reason)]], as_float(*failures));
            }
        }),
    },
    Row {
        name: "cloud_backup_exporter_storage_files_set_aside_total",
        metric_type: MetricType::Counter,
        labels: Labels::Only(&["reason"]),
        help: "Files that could not be read, because they were damaged or of a newer version, and were set aside.",
        samples: Samples::Exporter(|overview, family| {
            let storage = overview.counts.storage.as_ref();
            for (reason, files) in storage.into_iter().flat_map(|storage| &storage.set_aside) {
                family.sample(&[&[("reason", *reason)]], as_float(*files));
            }
        }),
    },
    Row {
        name: "cloud_backup_exporter_storage_file_bytes",
        metric_type: MetricType::Gauge,
        labels: Labels::Only(&[]),
        help: "The size of the file, in bytes; absent until this process has written to it.",
        samples: Samples::Exporter(|overview, family| {
            let storage = overview.counts.storage.as_ref();
            if let Some(bytes) = storage.and_then(|storage| storage.bytes) {
                family.sample(&[], as_float(bytes));
            }
        }),
    },
];

fn instances_by_state(overview: &Overview<'_>, family: &mut Family<'_>) {
    for ((provider, account, source_region), states) in &overview.states.0 {
        for (state, instances) in [
            ("monitored", Some(states.monitored)),
            ("unmonitored", states.unmonitored),
            ("missing", Some(states.missing)),
            ("gone", Some(states.gone)),
        ] {
            let Some(instances) = instances else { continue };
            let labels = [
                ("provider", *provider),
                ("account", account),
                ("source_region", source_region),
                ("state", state),
            ];
            family.sample(&[&labels], as_float(instances));
        }
    }
}

/// The services of a region are told as one: the worst of them.
fn each_region(
    overview: &Overview<'_>,
    family: &mut Family<'_>,
    value: impl Fn(&[&RegionFacts]) -> Option<f64>,
) {
    let regions = overview.regions;
    for services in regions.chunk_by(|(one, _), (other, _)| one.is_same_region(other)) {
        let key = &services[0].0;
        let found: Vec<_> = services.iter().map(|(_, found)| &**found).collect();
        if let Some(value) = value(&found) {
            let labels = [
                ("provider", key.provider),
                ("account", &*key.account),
                ("source_region", &*key.region),
            ];
            family.sample(&[&labels], value);
        }
    }
}

fn each_window(
    instance: &Assessed,
    family: &mut InstanceFamily<'_>,
    value: impl Fn(&Restorable) -> f64,
) {
    for (place, window) in &instance.posture.restore_windows {
        family.sample(&[&place_labels(place)], value(window));
    }
}

fn each_switch(
    instance: &Assessed,
    family: &mut InstanceFamily<'_>,
    value: impl Fn(&Switch) -> Option<f64>,
) {
    for ((place, backup_type), switch) in &instance.posture.switches {
        if let Some(value) = value(switch) {
            let more = [("backup_type", backup_type.label())];
            family.sample(&[&place_labels(place), &more], value);
        }
    }
}

/// The copies of which more is said than how many sets they have: a part of the instance keeps no promise.
fn judged(instance: &Assessed) -> impl Iterator<Item = &Copy> {
    let copies = instance.posture.copies.iter();
    copies.filter(|copy| copy.backup_type != BackupType::Partial)
}

fn each_copy(
    instance: &Assessed,
    family: &mut InstanceFamily<'_>,
    value: impl Fn(&Copy) -> Option<f64>,
) {
    for copy in judged(instance) {
        if let Some(value) = value(copy) {
            family.sample(&[&copy_labels(copy)], value);
        }
    }
}

/// What became of the sets of each copy, with zeros where nothing has yet, so that the first event is an increase.
fn each_event(
    instance: &Assessed,
    family: &mut InstanceFamily<'_>,
    write: impl Fn(Events, BackupType, &mut InstanceFamily<'_>, &[Label<'_>]),
) {
    let Some(counted) = instance.facts.events() else {
        return;
    };
    let mut events: BTreeMap<(Scope, &str, BackupType), Events> = BTreeMap::new();
    for copy in judged(instance) {
        let place = &copy.place;
        let copy = (place.scope, &*place.backup_region, copy.backup_type);
        events.insert(copy, Events::default());
    }
    events.extend(counted.into_iter().map(|(copy, counted)| {
        let copy = (copy.scope, &*copy.backup_region, copy.backup_type);
        (copy, counted)
    }));
    for ((scope, backup_region, backup_type), events) in events {
        let labels = [
            (PLACE[0], scope.label()),
            (PLACE[1], backup_region),
            ("backup_type", backup_type.label()),
        ];
        write(events, backup_type, family, &labels);
    }
}

fn each_success(
    instance: &Assessed,
    family: &mut InstanceFamily<'_>,
    value: impl Fn(Success) -> Option<f64>,
) {
    each_copy(instance, family, |copy| copy.last_success.and_then(&value));
}

fn each_listing(
    instance: &Assessed,
    family: &mut InstanceFamily<'_>,
    value: impl Fn(&ListingPosture) -> Option<f64>,
) {
    for listing in &instance.posture.listings {
        if let Some(value) = value(listing) {
            let more = [("listing", ListingKind::label(listing.kind))];
            family.sample(&[&more], value);
        }
    }
}

fn each_account(
    overview: &Overview<'_>,
    family: &mut Family<'_>,
    write: impl Fn(&AccountCounts, &mut Family<'_>, &[Label<'_>]),
) {
    for (AccountKey { provider, account }, counts) in &overview.counts.accounts {
        let labels = [("provider", *provider), ("account", &**account)];
        write(counts, family, &labels);
    }
}

fn place_labels(place: &Place) -> [Label<'_>; 2] {
    [
        (PLACE[0], place.scope.label()),
        (PLACE[1], &place.backup_region),
    ]
}

fn copy_labels(copy: &Copy) -> [Label<'_>; 3] {
    let [scope, backup_region] = place_labels(&copy.place);
    [
        scope,
        backup_region,
        ("backup_type", copy.backup_type.label()),
    ]
}

fn truth(value: bool) -> f64 {
    if value { 1.0 } else { 0.0 }
}

fn unix(time: DateTime<Utc>) -> f64 {
    seconds(time - DateTime::UNIX_EPOCH)
}

#[expect(
    clippy::cast_precision_loss,
    reason = "times and durations in seconds stay far below 2^53"
)]
fn seconds(duration: chrono::Duration) -> f64 {
    duration.num_seconds() as f64
}
