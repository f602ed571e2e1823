//! Up to when a log holds everything that was written. Pure, and needs the neighbours: it runs once a listing was read.
//!
//! The end of a log is only the commit of the last transaction in it, so the files of an idle database do not abut
//! although nothing is missing between them.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, Duration, Utc};

use crate::backup::{BackupSet, BackupType};

/// The vendor makes a log of every instance once in this time (user guide, page `rds_08_0004`).
const STEP: Duration = Duration::minutes(5);

/// So few logs do not show how often they are made.
const FEWEST: usize = 3;

/// Says of each log up to when it covers its instance.
pub(super) fn cover(sets: &mut [BackupSet]) {
    let mut begins: BTreeMap<Arc<str>, Vec<DateTime<Utc>>> = BTreeMap::new();
    for log in sets.iter().filter(|set| is_log(set)) {
        let begins = begins.entry(Arc::clone(&log.backup_region)).or_default();
        begins.extend(log.started);
    }
    let steps: BTreeMap<Arc<str>, Duration> = begins
        .into_iter()
        .map(|(region, begins)| (region, step(begins)))
        .collect();
    for log in sets.iter_mut().filter(|set| is_log(set)) {
        let step = steps.get(&log.backup_region).copied().unwrap_or(STEP);
        let next = log
            .started
            .and_then(|started| started.checked_add_signed(step));
        log.covers_until = next.and_then(|next| Some(next).max(log.ended));
    }
}

fn is_log(set: &BackupSet) -> bool {
    set.backup_type == BackupType::Log
}

/// How far the beginnings of logs lie apart. Where the distances differ, the smallest is that between neighbours, and
/// the others have something missing in them.
fn step(mut begins: Vec<DateTime<Utc>>) -> Duration {
    begins.sort_unstable();
    begins.dedup();
    if begins.len() < FEWEST {
        return STEP;
    }
    let next = begins.iter().skip(1);
    let distances = begins.iter().zip(next).map(|(one, next)| *next - *one);
    distances.min().unwrap_or(STEP).max(STEP)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backup::{Scope, Status};
    use crate::example::utc;

    fn log(region: &str, started: Option<&str>, ended: Option<&str>) -> BackupSet {
        let at = |time| utc(&format!("2026-06-12T{time}Z"));
        BackupSet {
            scope: Scope::CrossRegion,
            backup_region: region.into(),
            backup_type: BackupType::Log,
            status: Status::Completed,
            started: started.map(at),
            ended: ended.map(at),
            size_bytes: None,
            recovery_point: None,
            expires: None,
            available: true,
            is_copied: true,
            restore_regions: Arc::default(),
            covers_until: None,
        }
    }

    /// Logs of one region as (begin, end, covered until).
    fn check(logs: &[(&str, Option<&str>, &str)]) {
        let mut sets: Vec<_> = logs
            .iter()
            .map(|(begin, end, _)| log("cn-east-3", Some(begin), *end))
            .collect();
        cover(&mut sets);
        for (set, (_, _, until)) in sets.iter().zip(logs) {
            let expected = utc(&format!("2026-06-12T{until}Z"));
            assert_eq!(set.covers_until, Some(expected), "{logs:?}");
        }
    }

    #[test]
    fn a_log_covers_the_time_until_the_next_is_made_or_its_own_end() {
        check(&[]);
        check(&[("10:00:00", None, "10:05:00")]);
        // The database was idle before the file was begun.
        check(&[("10:00:00", Some("08:00:00"), "10:05:00")]);
        check(&[("10:00:00", Some("10:04:10"), "10:05:00")]);
        check(&[("10:00:00", Some("10:09:00"), "10:09:00")]);
        // Two do not show how often they are made.
        check(&[
            ("10:00:00", Some("10:00:01"), "10:05:00"),
            ("10:30:00", Some("10:30:01"), "10:35:00"),
        ]);
        // Every ten minutes, one missing, in no order.
        check(&[
            ("10:40:00", Some("10:40:01"), "10:50:00"),
            ("10:00:00", Some("10:00:01"), "10:10:00"),
            ("10:10:00", Some("10:00:01"), "10:20:00"),
        ]);
        // More often than that.
        check(&[
            ("10:00:00", Some("10:00:01"), "10:05:00"),
            ("10:01:00", Some("10:01:01"), "10:06:00"),
            ("10:02:00", Some("10:02:01"), "10:07:00"),
        ]);
        // The same beginning twice tells nothing.
        check(&[
            ("10:00:00", None, "10:10:00"),
            ("10:00:00", None, "10:10:00"),
            ("10:10:00", None, "10:20:00"),
            ("10:20:00", None, "10:30:00"),
        ]);
    }

    #[test]
    fn each_region_has_its_own_step_and_what_has_no_beginning_covers_nothing_more() {
        let mut sets = vec![
            log("cn-east-3", Some("10:00:00"), None),
            log("cn-south-1", Some("10:10:00"), None),
            log("cn-east-3", Some("10:20:00"), None),
            log("cn-east-3", None, Some("10:00:00")),
            BackupSet {
                backup_type: BackupType::Full,
                ..log("cn-east-3", Some("10:00:00"), None)
            },
        ];
        cover(&mut sets);
        let covered: Vec<_> = sets.iter().map(|set| set.covers_until).collect();
        let at = |time| Some(utc(time));
        let expected = [
            at("2026-06-12T10:05:00Z"),
            at("2026-06-12T10:15:00Z"),
            at("2026-06-12T10:25:00Z"),
            None,
            None,
        ];
        assert_eq!(covered, expected);
    }
}
