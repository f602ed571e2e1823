//! Whether log files continue a backup set: a restore replays them one after the other, and ends where one is missing.
//!
//! Pure. What the files cover is kept by `facts` from one reading to the next, as only the newest files are listed each
//! time; `posture` asks how far the logs reach.

use chrono::{DateTime, Duration, Utc};

use crate::backup::{BackupSet, BackupType};

/// How long after the end of one log file the next may begin. Vendors cut times to seconds, and close one file before
/// they open the next.
const TOLERANCE: Duration = Duration::minutes(2);

/// What is read once further back than usual begins so long before what is missing, or a look-back of log files, if that
/// is longer: the file that holds the first instant began before it.
const LEAST_MARGIN: Duration = Duration::hours(1);

/// So many stretches are remembered, the newest; more would not tell more.
const MOST_STRETCHES: usize = 100;

/// A stretch of time over which usable log files of one region follow each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stretch {
    /// The region that keeps them.
    pub backup_region: String,
    /// The beginning of the first file.
    pub from: DateTime<Utc>,
    /// Up to when they hold everything that was written.
    pub until: DateTime<Utc>,
    /// The newest recovery point of any of them.
    pub newest: Option<DateTime<Utc>>,
    /// Whether the break before it begins before what was listed when it was found. Files may have come late, so that is
    /// read once more.
    pub is_doubted: bool,
}

/// What the log files cover that were ever seen. It is made of files alone: what was not read is not taken for granted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Coverage {
    /// Those of one region after the other, in the order of their times. Between two of one region there is a break.
    pub stretches: Vec<Stretch>,
    /// The earliest instant back to which log files were ever asked for.
    pub asked_from: Option<DateTime<Utc>>,
}

/// A stretch of time of which no usable log file is known, although there are some from before and after it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Hole {
    /// The region whose log files have it.
    pub backup_region: String,
    /// Up to when the last file before it covers.
    pub from: DateTime<Utc>,
    /// The beginning of the first file after it.
    pub until: DateTime<Utc>,
}

/// How one listing of log files was read.
#[derive(Debug, Clone, Copy)]
pub struct LogReading {
    /// Files that began later were listed.
    pub from: DateTime<Utc>,
    /// Whether all of them were.
    pub is_whole: bool,
    /// What ended before this is forgotten.
    pub oldest: DateTime<Utc>,
    /// The present.
    pub now: DateTime<Utc>,
}

/// How log files continue a backup set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reach {
    /// The newest instant to which the logs restore on top of the set; `None` where none of them continues it.
    pub newest: Option<DateTime<Utc>>,
    /// Breaks after the set.
    pub gaps: u64,
}

impl Stretch {
    /// What a usable log file covers.
    fn of(log: &BackupSet) -> Option<Self> {
        let from = log.dated()?;
        let until = log.covers_until.or_else(|| log.finished())?;
        Some(Self {
            backup_region: log.backup_region.to_string(),
            from,
            until: until.max(from),
            newest: log.recovery_point,
            is_doubted: false,
        })
    }

    /// The part of it from before this instant.
    fn before(&self, end: DateTime<Utc>) -> Option<Self> {
        (self.from < end).then(|| Self {
            until: self.until.min(end),
            newest: self.newest.map(|newest| newest.min(end)),
            ..self.clone()
        })
    }

    fn begins_like(&self, other: &Self) -> bool {
        self.from == other.from && self.backup_region == other.backup_region
    }

    /// Whether no more than a short break lies between the two, of which the other begins later.
    fn is_continued_by(&self, other: &Self) -> bool {
        self.backup_region == other.backup_region && other.from <= self.until + TOLERANCE
    }
}

impl Coverage {
    /// What is covered once this was read.
    ///
    /// `left` are the files of before, of which those that are no longer asked for still cover their time. What was asked
    /// for is judged anew if it was read whole: a file may be copied late, or be deleted.
    #[must_use]
    pub fn followed_by<'a>(
        &self,
        left: impl IntoIterator<Item = &'a BackupSet>,
        listed: impl IntoIterator<Item = &'a BackupSet>,
        reading: LogReading,
    ) -> Self {
        let LogReading {
            from,
            is_whole,
            oldest,
            now,
        } = reading;
        let end = if is_whole { from } else { DateTime::<Utc>::MAX_UTC };
        let is_log = |set: &&BackupSet| set.backup_type == BackupType::Log && set.is_usable(now);
        let left = left.into_iter().filter(|set| set.dated() <= Some(from));
        let files = left.chain(listed).filter(is_log);
        let known = self.stretches.iter();
        let mut pieces: Vec<_> = known
            .filter_map(|stretch| stretch.before(end))
            .chain(files.filter_map(Stretch::of))
            .collect();
        pieces.sort_by(|one, other| {
            (&one.backup_region, one.from).cmp(&(&other.backup_region, other.from))
        });
        let mut stretches: Vec<Stretch> = Vec::new();
        for piece in pieces {
            match stretches.last_mut() {
                Some(last) if last.is_continued_by(&piece) => {
                    last.until = last.until.max(piece.until);
                    last.newest = last.newest.max(piece.newest);
                }
                last => {
                    let is_after_break =
                        last.is_some_and(|last| {
                            last.backup_region == piece.backup_region && last.until < from
                        });
                    let mut known = self.stretches.iter();
                    let is_new = !known.any(|known| known.begins_like(&piece));
                    stretches.push(Stretch {
                        is_doubted: is_after_break && is_new,
                        ..piece
                    });
                }
            }
        }
        stretches.retain(|stretch| stretch.until > oldest);
        forget_the_oldest(&mut stretches);
        Self {
            stretches,
            asked_from: Some(self.asked_from.map_or(from, |asked| asked.min(from))),
        }
    }

    /// From when on log files have to be read once, where that is further back than usual: after a first start back to the
    /// set that they continue, after a long stop back to where it began, and once more back to a break that begins before
    /// what was listed.
    pub fn reads_back_to(
        &self,
        base: DateTime<Utc>,
        last_read: Option<DateTime<Utc>>,
        lookback: std::time::Duration,
        now: DateTime<Utc>,
    ) -> Option<DateTime<Utc>> {
        let lookback = Duration::from_std(lookback).ok()?;
        let edge = now.checked_sub_signed(lookback)?;
        let is_first = self.asked_from.is_none_or(|asked| asked > base);
        let first = is_first.then_some(base);
        let stopped = last_read.filter(|read| *read < edge);
        let doubted = self.breaks().filter(|(_, after)| after.is_doubted);
        let doubted = doubted.filter(|(_, after)| after.from > base + TOLERANCE);
        let doubted = doubted.map(|(before, _)| before.until).min();
        let missing = [first, stopped, doubted].into_iter().flatten().min()?;
        // What lies before the set is needed by nobody.
        let from = missing
            .max(base)
            .checked_sub_signed(lookback.max(LEAST_MARGIN))?;
        (from < edge).then_some(from)
    }

    /// Where files are missing between others.
    pub fn holes(&self) -> impl Iterator<Item = Hole> {
        self.breaks().map(|(before, after)| Hole {
            backup_region: after.backup_region.clone(),
            from: before.until,
            until: after.from,
        })
    }

    /// The stretches before and after each break.
    fn breaks(&self) -> impl Iterator<Item = (&Stretch, &Stretch)> {
        let next = self.stretches.iter().skip(1);
        let pairs = self.stretches.iter().zip(next);
        pairs.filter(|(before, after)| before.backup_region == after.backup_region)
    }

    /// How far the log files of a region continue a set with this recovery point; without a set they continue nothing.
    pub fn reach(&self, region: &str, base: Option<DateTime<Utc>>) -> Reach {
        let stretches = self.stretches.iter();
        let stretches = stretches.filter(|stretch| stretch.backup_region == region);
        let Some(base) = base else {
            return Reach {
                newest: None,
                gaps: (stretches.count() as u64).saturating_sub(1),
            };
        };
        let (upon, after): (Vec<_>, Vec<_>) =
            stretches.partition(|stretch| stretch.from <= base + TOLERANCE);
        let newest = upon.last().and_then(|stretch| stretch.newest);
        Reach {
            newest: newest.filter(|newest| *newest > base),
            gaps: after.len() as u64,
        }
    }
}

/// Whatever their region.
fn forget_the_oldest(stretches: &mut Vec<Stretch>) {
    let too_many = stretches.len().saturating_sub(MOST_STRETCHES);
    if too_many > 0 {
        let mut ends: Vec<_> = stretches.iter().map(|stretch| stretch.until).collect();
        ends.sort_unstable();
        let newest = ends[too_many];
        stretches.retain(|stretch| stretch.until >= newest);
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
