//! Whether log files continue a backup set: a restore replays them one after the other, and ends where one is missing.
//!
//! Pure. Holes are found by `facts` while both sides of them are listed, and are remembered there when they have left
//! the look-back; `posture` asks how far the logs reach.

use chrono::{DateTime, Duration, Utc};

use crate::backup::{BackupSet, BackupType, Edges};

/// How long after the end of one log file the next may begin. Vendors cut times to seconds, and close one file before
/// they open the next.
const TOLERANCE: Duration = Duration::minutes(2);

/// So many holes are remembered, the newest; more would not tell more.
const MOST_HOLES: usize = 100;

/// A stretch of time of which no usable log file is kept, although there are some from before and after it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Hole {
    /// The region whose log files have it.
    pub backup_region: String,
    /// The end of the last file before it.
    pub from: DateTime<Utc>,
    /// The beginning of the first file after it.
    pub until: DateTime<Utc>,
}

/// Up to when a log file holds everything that was written.
fn covers_until(log: &BackupSet) -> Option<DateTime<Utc>> {
    log.covers_until.or_else(|| log.finished())
}

/// The usable log files among these, in the order of their beginnings.
fn in_order<'a>(
    sets: impl IntoIterator<Item = &'a BackupSet>,
    now: DateTime<Utc>,
) -> Vec<&'a BackupSet> {
    let is_log = |set: &&BackupSet| set.backup_type == BackupType::Log && set.is_sound(now);
    let mut logs: Vec<_> = sets.into_iter().filter(is_log).collect();
    logs.sort_by_key(|log| log.dated());
    logs
}

/// The holes that are known after a listing of log files was read.
///
/// `known` are those of before, `left` the files of before, of which the ones that have left the look-back still cover
/// their time, `listed` the files of now. What lies in the look-back is judged anew: a file may be copied late.
pub fn holes<'a>(
    known: &[Hole],
    left: impl Iterator<Item = &'a BackupSet>,
    listed: impl Iterator<Item = &'a BackupSet>,
    edges: Edges,
    now: DateTime<Utc>,
) -> Vec<Hole> {
    let edge = edges.of(BackupType::Log);
    let oldest = edges.of(BackupType::Full);
    let mut holes: Vec<Hole> = known
        .iter()
        .filter(|hole| hole.from < edge && hole.until > oldest)
        .cloned()
        .collect();
    let logs = in_order(left.filter(|set| !edges.contain(set)).chain(listed), now);
    let mut regions: Vec<&str> = logs.iter().map(|log| &*log.backup_region).collect();
    regions.sort_unstable();
    regions.dedup();
    for region in regions {
        let mut covered: Option<DateTime<Utc>> = None;
        for log in logs.iter().filter(|log| &*log.backup_region == region) {
            let (Some(begins), Some(ends)) = (log.dated(), covers_until(log)) else {
                continue;
            };
            if let Some(from) = covered
                && begins > from + TOLERANCE
                // Before the look-back nobody has looked.
                && from >= edge
            {
                holes.push(Hole {
                    backup_region: region.to_owned(),
                    from,
                    until: begins,
                });
            }
            covered = covered.max(Some(ends));
        }
    }
    holes.sort_by_key(|hole| hole.until);
    holes.dedup();
    let too_many = holes.len().saturating_sub(MOST_HOLES);
    holes.split_off(too_many)
}

/// The log files of one region, and where they have holes.
#[derive(Debug)]
pub struct Chain<'a> {
    logs: Vec<&'a BackupSet>,
    holes: Vec<&'a Hole>,
    /// What lies before was not listed.
    listed_from: DateTime<Utc>,
}

/// How a chain continues a backup set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reach {
    /// The newest instant to which the logs restore on top of the set; `None` where none of them continues it.
    pub newest: Option<DateTime<Utc>>,
    /// Holes after the set.
    pub gaps: u64,
}

impl<'a> Chain<'a> {
    /// The usable logs among these sets of one region, with the holes of the same region.
    pub fn new(
        sets: impl IntoIterator<Item = &'a BackupSet>,
        holes: impl IntoIterator<Item = &'a Hole>,
        listed_from: DateTime<Utc>,
        now: DateTime<Utc>,
    ) -> Self {
        Self {
            logs: in_order(sets, now),
            holes: holes.into_iter().collect(),
            listed_from,
        }
    }

    /// How far the logs continue a set with this recovery point; without a set they continue nothing.
    ///
    /// Only a part of the logs is listed. That those from before continue the set is taken for granted, as long as no
    /// hole was seen.
    pub fn reach(&self, base: Option<DateTime<Utc>>) -> Reach {
        let Some(base) = base else {
            return Reach {
                newest: None,
                gaps: self.holes.len() as u64,
            };
        };
        let after = |hole: &&&Hole| hole.until > base + TOLERANCE;
        let ahead = self.holes.iter().filter(after);
        let gaps = ahead.clone().count() as u64;
        if self.begins_too_late(base) {
            return Reach {
                newest: None,
                gaps: gaps + 1,
            };
        }
        let end = ahead.map(|hole| hole.from).min();
        let within = |log: &&&BackupSet| {
            end.is_none_or(|end| log.dated().is_some_and(|begins| begins < end))
        };
        let points = self.logs.iter().filter(within);
        Reach {
            newest: points
                .filter_map(|log| log.recovery_point)
                .max()
                .filter(|newest| *newest > base),
            gaps,
        }
    }

    /// Whether the set lies in the time that was listed, and all logs begin later.
    fn begins_too_late(&self, base: DateTime<Utc>) -> bool {
        let first = self.logs.first().and_then(|log| log.dated());
        base >= self.listed_from && first.is_some_and(|first| first > base + TOLERANCE)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::backup::Status;
    use crate::example::{LOOKBACK, ago, copy_in, now, with};

    const REGION: &str = "cn-shanghai";

    /// A log file of this region that covers the time from so many minutes ago to so many.
    fn log_in(region: &str, from: i64, until: i64) -> BackupSet {
        let at = |minutes| Some(now() - Duration::minutes(minutes));
        BackupSet {
            backup_type: BackupType::Log,
            started: at(from),
            ended: at(until),
            recovery_point: at(until),
            ..copy_in(region, "1m")
        }
    }

    fn log(from: i64, until: i64) -> BackupSet {
        log_in(REGION, from, until)
    }

    /// Files of ten minutes each, from so many minutes ago to so many.
    fn logs(from: i64, until: i64) -> Vec<BackupSet> {
        (until / 10..from / 10)
            .map(|number| log(number * 10 + 10, number * 10))
            .collect()
    }

    fn found(known: &[Hole], left: &[BackupSet], listed: &[BackupSet]) -> Vec<Hole> {
        let edges = LOOKBACK.ending(now());
        holes(known, left.iter(), listed.iter(), edges, now())
    }

    fn hole(from: i64, until: i64) -> Hole {
        Hole {
            backup_region: REGION.to_owned(),
            from: now() - Duration::minutes(from),
            until: now() - Duration::minutes(until),
        }
    }

    fn reach(logs: &[BackupSet], holes: &[Hole], base: Option<&str>) -> (Option<i64>, u64) {
        let edge = LOOKBACK.ending(now()).of(BackupType::Log);
        let Reach { newest, gaps } = Chain::new(logs, holes, edge, now()).reach(base.map(ago));
        (newest.map(|newest| (now() - newest).num_minutes()), gaps)
    }

    #[test]
    fn files_that_follow_each_other_have_no_hole() {
        assert_eq!(found(&[], &[], &logs(120, 0)), []);
        let slack = [log(60, 50), log(48, 40), log(39, 30)];
        assert_eq!(found(&[], &[], &slack), []);
        let overlapping = [log(60, 20), log(50, 40), log(20, 10)];
        assert_eq!(found(&[], &[], &overlapping), []);
        assert_eq!(found(&[], &[], &[]), []);
    }

    #[test]
    fn a_missing_file_is_a_hole_whatever_the_order_of_the_rows() {
        let mut listed = [logs(120, 60), logs(40, 0)].concat();
        assert_eq!(found(&[], &[], &listed), [hole(60, 40)]);
        listed.reverse();
        assert_eq!(found(&[], &[], &listed), [hole(60, 40)]);
    }

    #[test]
    fn a_file_that_failed_is_missing_too() {
        let failed = with(Status::Failed, log(60, 50));
        let listed = [logs(120, 60), vec![failed], logs(50, 0)].concat();
        assert_eq!(found(&[], &[], &listed), [hole(60, 50)]);
    }

    #[test]
    fn each_region_has_holes_of_its_own() {
        let other = log_in("cn-beijing", 100, 10);
        let listed = [logs(120, 90), vec![other], logs(40, 0)].concat();
        assert_eq!(found(&[], &[], &listed), [hole(90, 40)]);
    }

    #[test]
    fn a_hole_is_remembered_when_the_files_around_it_are_no_longer_listed() {
        let old = hole(180, 170);
        assert_eq!(found(std::slice::from_ref(&old), &[], &logs(120, 0)), [old]);
        let ancient = hole(32 * 24 * 60, 31 * 24 * 60 + 1);
        assert_eq!(found(&[ancient], &[], &logs(120, 0)), []);
    }

    #[test]
    fn a_file_that_is_copied_late_mends_the_hole() {
        assert_eq!(found(&[hole(60, 50)], &[], &logs(120, 0)), []);
    }

    #[test]
    fn the_files_of_the_last_poll_cover_the_time_that_has_just_left_the_look_back() {
        // The file at the edge is seen no more, and the next one begins much later.
        let left = [log(130, 119)];
        let listed = logs(100, 0);
        assert_eq!(found(&[], &left, &listed), [hole(119, 100)]);
        // Nobody looked at what lies before the look-back.
        assert_eq!(found(&[], &[log(300, 290)], &listed), []);
        // What was listed the last time, lies in the look-back and is listed no more was deleted.
        assert_eq!(found(&[], &[log(110, 105)], &listed), []);
    }

    #[test]
    fn a_file_may_say_that_it_covers_more_than_its_last_transaction() {
        let idle = |from, until, covers| BackupSet {
            covers_until: Some(now() - Duration::minutes(covers)),
            ..log(from, until)
        };
        let listed = [idle(60, 60, 55), idle(55, 54, 50), idle(50, 50, 45)];
        assert_eq!(found(&[], &[], &listed), []);
    }

    #[test]
    fn only_the_newest_holes_are_remembered() {
        let known: Vec<_> = (0..150)
            .map(|number| hole(1000 - number, 999 - number))
            .collect();
        let kept = found(&known, &[], &[]);
        assert_eq!(kept.len(), MOST_HOLES);
        assert_eq!(kept.last(), known.last());
    }

    #[test]
    fn logs_restore_to_their_end_if_they_continue_a_set() {
        assert_eq!(reach(&logs(120, 10), &[], Some("20h")), (Some(10), 0));
        assert_eq!(reach(&logs(120, 10), &[], None), (None, 0));
        assert_eq!(reach(&[], &[], Some("20h")), (None, 0));
        // The set is newer than all of them.
        assert_eq!(reach(&logs(120, 30), &[], Some("20m")), (None, 0));
    }

    #[test]
    fn a_restore_ends_at_the_first_hole() {
        let listed = [logs(120, 60), logs(40, 0)].concat();
        let hole = [hole(60, 40)];
        assert_eq!(reach(&listed, &hole, Some("20h")), (Some(60), 1));
        // A set from after the hole needs none of the files before it.
        assert_eq!(reach(&listed, &hole, Some("30m")), (Some(0), 0));
        // A set from within it is continued by nothing.
        assert_eq!(reach(&listed, &hole, Some("50m")), (None, 1));
        assert_eq!(reach(&listed, &hole, None), (None, 1));
        let two = [self::hole(110, 100), hole[0].clone()];
        assert_eq!(reach(&listed, &two, Some("20h")).1, 2);
    }

    #[test]
    fn logs_that_begin_long_after_a_set_do_not_continue_it() {
        assert_eq!(reach(&logs(40, 0), &[], Some("1h")), (None, 1));
        assert_eq!(reach(&logs(40, 0), &[], Some("41m")), (Some(0), 0));
        // Of a set from before the look-back, the files in between are not listed.
        assert_eq!(reach(&logs(40, 0), &[], Some("3h")), (Some(0), 0));
    }

    proptest! {
        /// Files in, holes out: minute by minute, a minute between the first and the last file is covered or lies in a hole.
        #[test]
        fn every_minute_is_covered_or_lies_in_a_hole(
            files in proptest::collection::vec((0_i64..110, 0_i64..20), 1..20)
        ) {
            let listed: Vec<_> = files.iter().map(|(until, length)| log(until + length, *until)).collect();
            let holes = found(&[], &[], &listed);
            let first = files.iter().map(|(until, length)| until + length).max().unwrap();
            let last = files.iter().map(|(until, _)| *until).min().unwrap();
            let edge = 120;
            for minute in last..first {
                // The middle of a minute lies on no boundary.
                let at = now() - Duration::minutes(minute) - Duration::seconds(30);
                let covered = listed.iter().any(|log| log.started.unwrap() <= at && at <= log.ended.unwrap());
                let in_hole = holes.iter().any(|hole| hole.from < at && at < hole.until);
                prop_assert!(!(covered && in_hole), "{minute}");
                // Short breaks are let pass.
                let near = |minutes: i64| listed.iter().any(|log| {
                    let (from, until) = (log.started.unwrap(), log.ended.unwrap());
                    from <= at + Duration::minutes(minutes) && at - Duration::minutes(minutes) <= until
                });
                if !covered && !near(2) && minute < edge {
                    prop_assert!(in_hole, "{minute} {holes:?}");
                }
            }
        }
    }
}
