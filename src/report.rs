//! The posture of all instances as JSON and as a table, for `once` and for `/api/v1/instances`.
//!
//! Says the same as the metrics, from the same judgement; the labels of the metrics are the values here.

use std::fmt::Write as _;
use std::sync::Arc;

use chrono::{DateTime, SecondsFormat, Utc};
use serde::Serialize;

use crate::facts::{RegionFacts, RegionKey};
use crate::metrics::Assessed;
use crate::posture::{Copy, ListingPosture, Verdict};

/// All instances at one moment.
#[derive(Debug, Serialize)]
pub struct Report {
    /// When this was judged.
    now: String,
    instances: Vec<InstanceReport>,
    /// Where instances are looked for.
    regions: Vec<RegionReport>,
}

#[derive(Debug, Serialize)]
struct RegionReport {
    provider: &'static str,
    account: String,
    source_region: String,
    success: Option<bool>,
    reason: Option<&'static str>,
    error: Option<String>,
    last_success: Option<String>,
    found: usize,
    outlived: Vec<String>,
}

#[derive(Debug, Serialize)]
struct InstanceReport {
    provider: &'static str,
    account: String,
    source_region: String,
    instance_id: String,
    name: Option<String>,
    product: &'static str,
    engine: String,
    engine_version: String,
    protected: Option<bool>,
    gone: bool,
    gone_since: Option<String>,
    policy: Vec<SwitchReport>,
    copies: Vec<CopyReport>,
    recovery_points: Vec<RecoveryPoint>,
    log_gaps: Vec<LogGaps>,
    restore_windows: Vec<WindowReport>,
    uncopied: Vec<UncopiedReport>,
    restorable_sets: Vec<Restorable>,
    objectives: Vec<VerdictReport>,
    listings: Vec<ListingReport>,
}

#[derive(Debug, Serialize)]
struct CopyReport {
    scope: &'static str,
    backup_region: String,
    backup_type: &'static str,
    last_success: Option<Success>,
    last_failure: Option<String>,
    last_attempt_success: Option<bool>,
    consecutive_failures: u64,
    sets: std::collections::BTreeMap<&'static str, u64>,
    stored_bytes: u64,
    oldest: Option<String>,
    running_since: Option<String>,
}

#[derive(Debug, Serialize)]
struct Success {
    ended: String,
    age_seconds: i64,
    size_bytes: Option<u64>,
    duration_seconds: Option<i64>,
}

#[derive(Debug, Serialize)]
struct RecoveryPoint {
    scope: &'static str,
    backup_region: String,
    time: String,
    age_seconds: i64,
}

#[derive(Debug, Serialize)]
struct SwitchReport {
    scope: &'static str,
    backup_region: String,
    backup_type: &'static str,
    enabled: bool,
    retention_seconds: Option<u64>,
}

#[derive(Debug, Serialize)]
struct LogGaps {
    scope: &'static str,
    backup_region: String,
    gaps: u64,
}

#[derive(Debug, Serialize)]
struct WindowReport {
    scope: &'static str,
    backup_region: String,
    start: String,
    end: String,
    gaps: u64,
}

#[derive(Debug, Serialize)]
struct UncopiedReport {
    backup_region: String,
    sets: u64,
    oldest: Option<String>,
}

#[derive(Debug, Serialize)]
struct Restorable {
    restore_region: String,
    sets: u64,
}

#[derive(Debug, Serialize)]
struct VerdictReport {
    objective: &'static str,
    seconds: f64,
    met: Option<bool>,
}

#[derive(Debug, Serialize)]
struct ListingReport {
    listing: &'static str,
    success: Option<bool>,
    reason: Option<&'static str>,
    error: Option<String>,
    last_success: Option<String>,
    complete: Option<bool>,
}

impl Report {
    /// Gathers what was judged at `now`.
    pub fn new(
        instances: &[Assessed],
        regions: &[(RegionKey, Arc<RegionFacts>)],
        now: DateTime<Utc>,
    ) -> Self {
        Self {
            now: written(now),
            instances: instances
                .iter()
                .map(|instance| InstanceReport::new(instance, now))
                .collect(),
            regions: regions
                .iter()
                .map(|(key, found)| RegionReport::new(key, found))
                .collect(),
        }
    }

    /// One JSON document with a line feed at its end.
    ///
    /// # Errors
    /// None in practice: every key is a string.
    pub fn json(&self) -> serde_json::Result<String> {
        serde_json::to_string_pretty(self).map(|json| json + "\n")
    }

    /// Tables of copies, objectives and listings, and of the regions in which instances are looked for.
    pub fn table(&self) -> String {
        let mut copies = Table::new(&[
            "INSTANCE",
            "NAME",
            "SCOPE",
            "BACKUP REGION",
            "TYPE",
            "NEWEST USABLE",
            "AGE",
            "SIZE",
            "COMPLETED",
            "FAILED",
            "IN A ROW",
        ]);
        let mut objectives = Table::new(&["INSTANCE", "NAME", "OBJECTIVE", "PROMISE", "MET"]);
        let mut listings =
            Table::new(&["INSTANCE", "NAME", "LISTING", "READ", "COMPLETE", "ERROR"]);
        for instance in &self.instances {
            let who = [
                instance.instance_id.clone(),
                instance.name.clone().unwrap_or_default(),
            ];
            for copy in &instance.copies {
                let success = copy.last_success.as_ref();
                let count = |status| copy.sets.get(status).copied().unwrap_or_default();
                copies.row(
                    &who,
                    [
                        copy.scope.to_owned(),
                        dash(&copy.backup_region),
                        copy.backup_type.to_owned(),
                        success.map_or_else(|| dash(""), |success| success.ended.clone()),
                        success.map_or_else(|| dash(""), |success| age(success.age_seconds)),
                        success
                            .and_then(|success| success.size_bytes)
                            .map_or_else(|| dash(""), size),
                        count("completed").to_string(),
                        count("failed").to_string(),
                        copy.consecutive_failures.to_string(),
                    ],
                );
            }
            for objective in &instance.objectives {
                let promise = std::time::Duration::from_secs_f64(objective.seconds);
                objectives.row(
                    &who,
                    [
                        objective.objective.to_owned(),
                        humantime::format_duration(promise).to_string(),
                        yes_or_no(objective.met),
                    ],
                );
            }
            for listing in &instance.listings {
                listings.row(
                    &who,
                    [
                        listing.listing.to_owned(),
                        yes_or_no(listing.success),
                        yes_or_no(listing.complete),
                        dash(listing.error.as_deref().unwrap_or_default()),
                    ],
                );
            }
        }
        let mut tables = format!("{copies}\n{objectives}\n{listings}");
        if !self.regions.is_empty() {
            let mut regions = Table::new(&["ACCOUNT", "REGION", "LISTED", "FOUND", "ERROR"]);
            for region in &self.regions {
                regions.push(vec![
                    region.account.clone(),
                    region.source_region.clone(),
                    yes_or_no(region.success),
                    region.found.to_string(),
                    dash(region.error.as_deref().unwrap_or_default()),
                ]);
            }
            let written = write!(tables, "\n{regions}");
            debug_assert!(written.is_ok());
        }
        tables
    }
}

impl InstanceReport {
    fn new(Assessed { facts, posture }: &Assessed, now: DateTime<Utc>) -> Self {
        let target = &facts.target;
        Self {
            provider: target.key.provider,
            account: target.key.account.to_string(),
            source_region: target.key.source_region.to_string(),
            instance_id: target.key.instance_id.to_string(),
            name: Some(posture.name.clone()).filter(|name| !name.is_empty()),
            product: target.product,
            engine: posture.engine.clone(),
            engine_version: posture.engine_version.clone(),
            protected: posture.protected,
            gone: posture.gone,
            gone_since: facts.gone_since.map(written),
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
        }
    }
}

impl RegionReport {
    fn new(key: &RegionKey, found: &RegionFacts) -> Self {
        let attempt = found.last_attempt.as_ref();
        let failure = attempt.and_then(|attempt| attempt.failure.as_ref());
        let present = found.instances.values();
        Self {
            provider: key.provider,
            account: key.account.to_string(),
            source_region: key.region.to_string(),
            success: attempt.map(|attempt| attempt.failure.is_none()),
            reason: failure.map(|failure| failure.reason.label()),
            error: failure.map(|failure| failure.message.clone()),
            last_success: found.last_success.map(written),
            found: present.filter(|listed| listed.gone_since.is_none()).count(),
            outlived: found.outlived.clone(),
        }
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
            last_success: listing.last_success.map(written),
            complete: listing.complete,
        }
    }
}

/// Columns as wide as their widest cell.
struct Table {
    widths: Vec<usize>,
    rows: Vec<Vec<String>>,
}

impl Table {
    fn new(head: &[&str]) -> Self {
        let mut table = Self {
            widths: vec![0; head.len()],
            rows: Vec::new(),
        };
        table.push(head.iter().map(|cell| (*cell).to_owned()).collect());
        table
    }

    fn row<const N: usize>(&mut self, who: &[String; 2], cells: [String; N]) {
        self.push(who.iter().cloned().chain(cells).collect());
    }

    fn push(&mut self, cells: Vec<String>) {
        // A name or an error text must not be able to move the terminal's cursor.
        let cells: Vec<String> = cells
            .into_iter()
            .map(|cell| cell.replace(char::is_control, "\u{fffd}"))
            .collect();
        for (width, cell) in self.widths.iter_mut().zip(&cells) {
            *width = (*width).max(cell.chars().count());
        }
        self.rows.push(cells);
    }
}

impl std::fmt::Display for Table {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for row in &self.rows {
            let mut line = String::new();
            for (cell, width) in row.iter().zip(&self.widths) {
                write!(line, "{cell:<width$}  ")?;
            }
            writeln!(formatter, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

fn written(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Secs, true)
}

fn seconds_since(time: DateTime<Utc>, now: DateTime<Utc>) -> i64 {
    (now - time).num_seconds().max(0)
}

fn dash(text: &str) -> String {
    if text.is_empty() { "-" } else { text }.to_owned()
}

fn yes_or_no(value: Option<bool>) -> String {
    match value {
        Some(true) => "yes",
        Some(false) => "NO",
        None => "-",
    }
    .to_owned()
}

/// The two largest units: `3h 20m`.
pub fn age(seconds: i64) -> String {
    let duration = std::time::Duration::from_secs(seconds.try_into().unwrap_or_default());
    let whole = humantime::format_duration(duration).to_string();
    whole.split(' ').take(2).collect::<Vec<_>>().join(" ")
}

/// Three digits and a unit, in powers of 1024.
#[expect(
    clippy::cast_precision_loss,
    reason = "only three digits of a size are shown"
)]
fn size(bytes: u64) -> String {
    let mut value = bytes as f64;
    let mut unit = "B";
    for larger in ["KiB", "MiB", "GiB", "TiB", "PiB"] {
        if value < 1024.0 {
            break;
        }
        value /= 1024.0;
        unit = larger;
    }
    if unit == "B" {
        format!("{bytes} B")
    } else {
        format!("{value:.1} {unit}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_ages_are_short_and_right() {
        for (bytes, expected) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (5_312_836, "5.1 MiB"),
            (u64::MAX, "16384.0 PiB"),
        ] {
            assert_eq!(size(bytes), expected);
        }
        for (seconds, expected) in [
            (0, "0s"),
            (59, "59s"),
            (12_345, "3h 25m"),
            (-5, "0s"),
            (200_000, "2days 7h"),
        ] {
            assert_eq!(age(seconds), expected);
        }
    }

    #[test]
    fn the_report_says_what_was_judged() {
        use crate::backup::ListingKind;
        use crate::example::{LOOKBACK, ago, copy_in, failed, instance, local, now};
        use crate::provider::error::Reason;
        use crate::target::Objective;

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
        let report = Report::new(&[assessed], &[], now());
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
    fn a_table_keeps_its_columns_and_shows_no_control_characters() {
        let mut table = Table::new(&["A", "B", "C"]);
        table.row(
            &["rm-1".to_owned(), "\u{1b}[31mred".to_owned()],
            ["x".to_owned()],
        );
        assert_eq!(
            table.to_string(),
            "A     B         C\nrm-1  \u{fffd}[31mred  x\n"
        );
    }
}
