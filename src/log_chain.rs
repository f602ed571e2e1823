//! Whether log files continue a backup set: a restore replays them one after the other, and ends where one is missing.
//!
//! Pure. What the files cover is kept by `facts` from one reading to the next, as only the newest files are listed each
//! time; `posture` asks how far the logs reach.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Duration, Utc};

use crate::backup::{BackupSet, BackupType};

/// How long after the end of one log file the next may begin. Vendors cut times to seconds, and close one file before
/// they open the next.
const TOLERANCE: Duration = Duration::minutes(2);

/// What is read once further back than usual begins so long before what is missing, or a look-back of log files, if that
/// is longer: the file that holds the first instant began before it.
const LEAST_MARGIN: Duration = Duration::hours(1);

/// After so long a reading that went further back than usual, and was cut, is tried again.
const RETRY: Duration = Duration::hours(1);

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
    /// Whether the break before it may not have been read whole when it was found: then it is read once more.
    pub is_doubted: bool,
}

/// What the log files cover that were ever seen. It is made of files alone: what was not read is not taken for granted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Coverage {
    /// Those of one region after the other, in the order of their times. Between two of one region there is a break.
    pub stretches: Vec<Stretch>,
    /// The earliest instant back to which log files were ever read whole.
    pub read_from: Option<DateTime<Utc>>,
    /// When they were last read whole, and all that came since the whole reading before: what came up to then was seen.
    pub read_until: Option<DateTime<Utc>>,
    /// When they were last read further back than usual, if that was cut.
    pub cut_at: Option<DateTime<Utc>>,
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
    /// As far back they are listed usually.
    pub edge: DateTime<Utc>,
    /// Whether all of them were listed.
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
        let until = log.covers_until.or_else(|| log.finished())?.max(from);
        Some(Self {
            backup_region: log.backup_region.to_string(),
            from,
            until,
            newest: log.recovery_point.map(|point| point.min(until)),
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
    /// `left` are the files of before, of which those that are usually no longer listed still cover their time. What is
    /// usually listed is judged anew if it was read whole: a file may be copied late, or be deleted.
    #[must_use]
    pub fn followed_by<'a>(
        &self,
        left: impl IntoIterator<Item = &'a BackupSet>,
        listed: impl IntoIterator<Item = &'a BackupSet>,
        reading: LogReading,
    ) -> Self {
        let LogReading {
            from,
            edge,
            is_whole,
            oldest,
            now,
        } = reading;
        // What lies before is not judged anew, as the file that covers its end may not have been listed.
        let goes_back = from < edge;
        let end = if is_whole {
            edge
        } else {
            DateTime::<Utc>::MAX_UTC
        };
        let is_log = |set: &&BackupSet| set.backup_type == BackupType::Log && set.is_sound(now);
        let before: Vec<_> = left.into_iter().filter(is_log).collect();
        let listed: Vec<_> = listed.into_iter().filter(is_log).collect();
        let deleted = if is_whole {
            deleted(&before, &listed, from, now)
        } else {
            BTreeSet::new()
        };
        let is_left = |region: &str| !deleted.contains(region);
        let left = before.iter().filter(|set| set.dated() <= Some(edge));
        let left = left.filter(|set| is_left(&set.backup_region));
        let known = self.stretches.iter();
        let mut pieces: Vec<_> = known
            .filter(|stretch| is_left(&stretch.backup_region))
            .filter_map(|stretch| stretch.before(end))
            .chain(left.chain(&listed).filter_map(|set| Stretch::of(set)))
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
                    let is_doubted = self.doubts(last.as_deref(), &piece, reading);
                    stretches.push(Stretch {
                        is_doubted,
                        ..piece
                    });
                }
            }
        }
        stretches.retain(|stretch| stretch.until > oldest);
        forget_the_oldest(&mut stretches);
        Self {
            stretches,
            read_from: if !deleted.is_empty() {
                // What is left of them is read once more, however far back this reading went: it may have been a lie.
                None
            } else if is_whole {
                Some(self.read_from.map_or(from, |read| read.min(from)))
            } else {
                self.read_from
            },
            read_until: if is_whole && (goes_back || !self.lags(edge, now - edge)) {
                Some(now)
            } else {
                self.read_until
            },

            cut_at: if goes_back {
                (!is_whole).then_some(now)
            } else {
                self.cut_at
            },
        }
    }

    /// Whether the break between the two may not have been read whole yet.
    fn doubts(&self, before: Option<&Stretch>, after: &Stretch, reading: LogReading) -> bool {
        let LogReading { from, is_whole, .. } = reading;
        let before = before.filter(|before| before.backup_region == after.backup_region);
        let mut known = self.stretches.iter();
        let known = known.find(|known| known.begins_like(after));
        before.is_some_and(|before| match known {
            Some(known) => known.is_doubted && !is_whole,
            None => before.until < from + TOLERANCE || !is_whole,
        })
    }

    /// Whether something may have come since the last whole reading that began before this edge of the look-back.
    fn lags(&self, edge: DateTime<Utc>, lookback: Duration) -> bool {
        self.read_until
            .is_some_and(|read| read < edge + lookback / 2)
    }

    /// From when on log files have to be read, where that is further back than usual: once after a first start back to the
    /// set that they continue, after a long stop back to where it began, and once more back to a break that begins before
    /// what was listed; and each time back to the newest file, where even that lies before what is usually listed. Only so
    /// is seen what is copied later than that, and whether that file is still there.
    pub fn reads_back_to(
        &self,
        base: DateTime<Utc>,
        lookback: std::time::Duration,
        now: DateTime<Utc>,
    ) -> Option<DateTime<Utc>> {
        let lookback = Duration::from_std(lookback).ok()?;
        let edge = now.checked_sub_signed(lookback)?;
        if self.cut_at.is_some_and(|cut| now - cut < RETRY) {
            return None;
        }
        let is_first = self.read_from.is_none_or(|read| read >= base);
        let first = is_first.then_some(base);
        let is_late = self.lags(edge, lookback);
        let stopped = self.read_until.filter(|_| is_late);
        let doubted = self.breaks().filter(|(_, after)| after.is_doubted);
        let doubted = doubted.filter(|(_, after)| after.from > base + TOLERANCE);
        let doubted = doubted.map(|(before, _)| before.until).min();
        let regions = self
            .stretches
            .chunk_by(|one, next| one.backup_region == next.backup_region);
        let newest = regions.filter_map(|region| region.last().map(|last| last.until));
        let hidden = newest.filter(|until| *until < edge).min();
        let missing = [first, stopped, doubted, hidden]
            .into_iter()
            .flatten()
            .min()?;
        // What lies before the set is needed by nobody.
        let from = missing
            .max(base)
            .checked_sub_signed(lookback.max(LEAST_MARGIN))?;
        (from < edge).then_some(from)
    }

    /// Whether a usable log file counts; one that was deleted does not.
    pub fn holds(&self, log: &BackupSet) -> bool {
        let own = self
            .stretches
            .iter()
            .filter(|stretch| *stretch.backup_region == *log.backup_region);
        let mut own = own.map(|stretch| (Some(stretch.from), Some(stretch.until)));
        own.any(|(from, until)| from <= log.dated() && log.dated() <= until)
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

/// The regions of which no file is left that was listed before and should be: somebody deletes them there, as Huawei does
/// when copying is switched off, and nobody knows what is left of older ones.
fn deleted<'a>(
    before: &[&'a BackupSet],
    listed: &[&BackupSet],
    from: DateTime<Utc>,
    now: DateTime<Utc>,
) -> BTreeSet<&'a str> {
    let is_same = |one: &BackupSet, other: &BackupSet| {
        (&one.backup_region, one.dated()) == (&other.backup_region, other.dated())
    };
    let mut regions: BTreeMap<&str, bool> = BTreeMap::new();
    for log in before {
        if log.dated() > Some(from + TOLERANCE) && log.finished() <= Some(now) {
            let is_there = listed.iter().any(|listed| is_same(log, listed));
            *regions.entry(&log.backup_region).or_default() |= is_there;
        }
    }
    let gone = regions.into_iter().filter(|(_, is_there)| !is_there);
    gone.map(|(region, _)| region).collect()
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

    fn minutes_ago(minutes: i64) -> DateTime<Utc> {
        now() - Duration::minutes(minutes)
    }

    /// A log file of this region that covers the time from so many minutes ago to so many.
    fn log_in(region: &str, from: i64, until: i64) -> BackupSet {
        BackupSet {
            backup_type: BackupType::Log,
            started: Some(minutes_ago(from)),
            ended: Some(minutes_ago(until)),
            recovery_point: Some(minutes_ago(until)),
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

    /// A whole reading of what began in the last so many minutes.
    fn reading(minutes: i64) -> LogReading {
        LogReading {
            from: minutes_ago(minutes),
            edge: minutes_ago(minutes.min(120)),
            is_whole: true,
            oldest: ago("31d"),
            now: now(),
        }
    }

    /// What is covered once this was read with a look-back of two hours.
    fn read(known: &Coverage, left: &[BackupSet], listed: &[BackupSet]) -> Coverage {
        known.followed_by(left, listed, reading(120))
    }

    fn first(listed: &[BackupSet]) -> Coverage {
        read(&Coverage::default(), &[], listed)
    }

    /// Known stretches of the region, each from so many minutes ago to so many.
    fn covered(stretches: &[(i64, i64)]) -> Coverage {
        let stretches = stretches.iter().map(|(from, until)| Stretch {
            backup_region: REGION.to_owned(),
            from: minutes_ago(*from),
            until: minutes_ago(*until),
            newest: Some(minutes_ago(*until)),
            is_doubted: false,
        });
        Coverage {
            stretches: stretches.collect(),
            ..Coverage::default()
        }
    }

    /// In minutes, from and until.
    fn holes(coverage: &Coverage) -> Vec<(String, i64, i64)> {
        let minutes = |time: DateTime<Utc>| (now() - time).num_minutes();
        coverage
            .holes()
            .map(|hole| (hole.backup_region, minutes(hole.from), minutes(hole.until)))
            .collect()
    }

    fn hole(from: i64, until: i64) -> (String, i64, i64) {
        (REGION.to_owned(), from, until)
    }

    /// How many minutes ago the logs end that continue a set of so many minutes ago, and the gaps.
    fn reach(coverage: &Coverage, base: Option<i64>) -> (Option<i64>, u64) {
        let Reach { newest, gaps } = coverage.reach(REGION, base.map(minutes_ago));
        (newest.map(|newest| (now() - newest).num_minutes()), gaps)
    }

    #[test]
    fn where_every_file_was_deleted_older_ones_count_no_longer_and_are_read_once_more() {
        let day = read(&Coverage::default(), &[], &logs(110, 0));
        assert_eq!(day.stretches.len(), 1);
        // An hour later there are other files: of those that were listed none is left.
        let later = |listed: &[BackupSet]| read(&day, &logs(110, 0), listed);
        let none = later(&[]);
        assert_eq!(none.stretches, []);
        let lookback = std::time::Duration::from_secs(7200);
        let back = |known: &Coverage| known.reads_back_to(minutes_ago(600), lookback, now());
        assert!(back(&none).is_some());
        // Also after a reading that went back beyond the set.
        let emptied = day.followed_by(&logs(110, 0), &[], reading(900));
        assert!(back(&emptied).is_some());
        // One that is left vouches for those before it.
        assert_eq!(later(&logs(10, 0)).stretches.len(), 1);
        let other = log_in("cn-beijing", 50, 40);
        let elsewhere = read(
            &day,
            std::slice::from_ref(&other),
            &[logs(110, 0), vec![]].concat(),
        );
        assert_eq!(elsewhere.stretches, day.stretches, "only its own region");
        // A part of an answer shows nothing about what is missing.
        let part = LogReading {
            is_whole: false,
            ..reading(120)
        };
        let part = day.followed_by(&logs(110, 0), &[], part);
        assert_eq!(part.stretches, day.stretches);
    }

    #[test]
    fn files_that_follow_each_other_have_no_hole() {
        for listed in [
            logs(120, 0),
            vec![log(60, 50), log(48, 40), log(39, 30)],
            vec![log(60, 20), log(50, 40), log(20, 10)],
            vec![],
        ] {
            assert_eq!(holes(&first(&listed)), [], "{listed:?}");
        }
    }

    #[test]
    fn a_missing_file_is_a_hole_whatever_the_order_of_the_rows() {
        let mut listed = [logs(120, 60), logs(40, 0)].concat();
        assert_eq!(holes(&first(&listed)), [hole(60, 40)]);
        listed.reverse();
        assert_eq!(holes(&first(&listed)), [hole(60, 40)]);
    }

    #[test]
    fn a_file_that_failed_is_missing_too() {
        let failed = with(Status::Failed, log(60, 50));
        let listed = [logs(120, 60), vec![failed], logs(50, 0)].concat();
        assert_eq!(holes(&first(&listed)), [hole(60, 50)]);
    }

    #[test]
    fn each_region_has_holes_of_its_own() {
        let other = log_in("cn-beijing", 100, 10);
        let coverage = first(&[logs(120, 90), vec![other], logs(40, 0)].concat());
        assert_eq!(holes(&coverage), [hole(90, 40)]);
        assert_eq!(reach(&coverage, Some(110)), (Some(90), 1));
        let base = Some(minutes_ago(50));
        assert_eq!(coverage.reach("cn-beijing", base).gaps, 0);
        assert_eq!(coverage.reach("cn-shenzhen", base).newest, None);
    }

    /// Since when there was no file, and when the next one began.
    #[test]
    fn an_outage_is_a_hole_however_long_ago_it_began() {
        for (stopped, next) in [(130, 60), (180, 5), (1500, 10), (20 * 24 * 60, 15)] {
            let known = covered(&[(25 * 24 * 60, stopped)]);
            // As long as none came there is nothing to be missed, and the recovery point stays.
            let silent = read(&known, &[], &[]);
            let base = Some(24 * 24 * 60);
            assert_eq!(reach(&silent, base), (Some(stopped), 0), "{stopped}");
            let back = read(&silent, &[], &[log(next, next - 5)]);
            assert_eq!(holes(&back), [hole(stopped, next)], "{stopped}");
            assert_eq!(reach(&back, base), (Some(stopped), 1), "{stopped}");
            // It stays one when all of it has left the look-back.
            let later = LogReading {
                from: now() + Duration::hours(5),
                edge: now() + Duration::hours(5),
                now: now() + Duration::hours(7),
                ..reading(0)
            };
            let later = back.followed_by(&[log(next, next - 5)], [], later);
            assert_eq!(reach(&later, base), (Some(stopped), 1), "{stopped}");
        }
    }

    #[test]
    fn what_is_older_than_the_look_back_of_sets_is_forgotten() {
        let ancient = covered(&[(33 * 24 * 60, 32 * 24 * 60), (31 * 24 * 60 - 1, 120)]);
        assert_eq!(holes(&read(&ancient, &[], &logs(120, 0))), []);
    }

    #[test]
    fn a_file_that_is_copied_late_mends_the_hole() {
        let known = covered(&[(150, 60), (50, 0)]);
        assert_eq!(holes(&read(&known, &[], &logs(120, 0))), []);
    }

    #[test]
    fn a_file_that_is_listed_no_more_although_it_should_be_is_missing() {
        let known = covered(&[(150, 0)]);
        let left = [log(110, 105)];
        let listed = [logs(120, 110), logs(100, 0)].concat();
        assert_eq!(holes(&read(&known, &left, &listed)), [hole(110, 100)]);
    }

    #[test]
    fn the_files_of_the_last_poll_cover_the_time_that_has_just_left_the_look_back() {
        // The file at the edge is seen no more, and the next one begins where it ends.
        let known = covered(&[(300, 114)]);
        let left = [log(124, 114)];
        let listed = [log(114, 104), log(104, 94)];
        assert_eq!(holes(&read(&known, &left, &listed)), []);
        assert_eq!(holes(&read(&known, &[], &listed)), [hole(120, 114)]);
        assert_eq!(holes(&read(&known, &left, &listed[1..])), [hole(114, 104)]);
    }

    #[test]
    fn a_file_may_say_that_it_covers_more_than_its_last_transaction() {
        let idle = |from, until, covers| BackupSet {
            covers_until: Some(minutes_ago(covers)),
            ..log(from, until)
        };
        let listed = [idle(60, 60, 55), idle(55, 54, 50), idle(50, 50, 45)];
        let coverage = first(&listed);
        assert_eq!(holes(&coverage), []);
        assert_eq!(reach(&coverage, Some(58)), (Some(50), 0));
    }

    #[test]
    fn a_part_of_a_listing_adds_what_it_has_and_takes_nothing_away() {
        let known = covered(&[(300, 60), (50, 20)]);
        let part = LogReading {
            is_whole: false,
            ..reading(120)
        };
        let with_part = |listed: &[BackupSet]| known.followed_by([], listed, part);
        assert_eq!(holes(&with_part(&[])), [hole(60, 50)]);
        assert_eq!(reach(&with_part(&logs(20, 0)), Some(40)), (Some(0), 0));
        assert_eq!(holes(&with_part(&logs(60, 50))), []);
    }

    #[test]
    fn only_the_newest_stretches_are_remembered() {
        let many: Vec<_> = (0..150)
            .map(|number| (2000 - number * 10, 1995 - number * 10))
            .collect();
        let kept = read(&covered(&many), &[], &[]);
        assert_eq!(kept.stretches.len(), MOST_STRETCHES);
        assert_eq!(kept.stretches[99], covered(&many).stretches[149]);
    }

    #[test]
    fn logs_restore_to_their_end_if_they_continue_a_set() {
        let coverage = covered(&[(1300, 10)]);
        assert_eq!(reach(&coverage, Some(1200)), (Some(10), 0));
        assert_eq!(reach(&coverage, None), (None, 0));
        assert_eq!(reach(&Coverage::default(), Some(1200)), (None, 0));
        // The set is newer than all of them.
        assert_eq!(reach(&coverage, Some(5)), (None, 0));
    }

    #[test]
    fn a_restore_ends_at_the_first_hole() {
        let coverage = covered(&[(1300, 60), (40, 0)]);
        assert_eq!(reach(&coverage, Some(1200)), (Some(60), 1));
        // A set from after the hole needs none of the files before it.
        assert_eq!(reach(&coverage, Some(30)), (Some(0), 0));
        // A set from within it is continued by nothing.
        assert_eq!(reach(&coverage, Some(50)), (None, 1));
        assert_eq!(reach(&coverage, None), (None, 1));
        let two = covered(&[(1300, 110), (100, 60), (40, 0)]);
        assert_eq!(reach(&two, Some(1200)), (Some(110), 2));
    }

    #[test]
    fn logs_that_begin_long_after_a_set_do_not_continue_it_whether_they_are_missing_or_were_not_read()
     {
        let coverage = first(&logs(40, 0));
        for (base, reaches) in [
            (60, (None, 1)),
            (41, (Some(0), 0)),
            (180, (None, 1)),
            (30 * 24 * 60, (None, 1)),
        ] {
            assert_eq!(reach(&coverage, Some(base)), reaches, "{base}");
        }
    }

    /// How many minutes back logs are read that continue a set of so many minutes ago.
    fn back_to(coverage: &Coverage, base: i64) -> Option<i64> {
        let from = coverage.reads_back_to(minutes_ago(base), LOOKBACK.logs, now());
        from.map(|from| (now() - from).num_minutes())
    }

    #[test]
    fn logs_are_read_back_once_at_the_first_start_and_after_a_long_stop() {
        const DAY: i64 = 24 * 60;
        let read = |from, until| Coverage {
            read_from: Some(minutes_ago(from)),
            read_until: Some(minutes_ago(until)),
            ..Coverage::default()
        };
        for (case, coverage, base, reads) in [
            (
                "at the first start",
                Coverage::default(),
                DAY,
                Some(DAY + 120),
            ),
            ("once it was", read(DAY + 120, 5), DAY, None),
            ("the next set", read(2 * DAY, 5), DAY, None),
            (
                "when the set became known",
                read(120, 5),
                DAY,
                Some(DAY + 120),
            ),
            (
                "what reaches nearly as far anyway",
                read(120, 5),
                130,
                Some(250),
            ),
            ("a short stop", read(2 * DAY, 60), DAY, None),
            ("a long stop", read(2 * DAY, 300), DAY, Some(420)),
            (
                "no further than the set",
                read(9 * DAY, 8 * DAY),
                DAY,
                Some(DAY + 120),
            ),
        ] {
            assert_eq!(back_to(&coverage, base), reads, "{case}");
        }
    }

    #[test]
    fn a_break_that_begins_before_what_was_listed_is_read_once_more() {
        let known = covered(&[(1500, 300)]);
        let known = Coverage {
            read_from: Some(minutes_ago(1500)),
            read_until: Some(now()),
            ..known
        };
        let back = read(&known, &[], &[log(60, 50)]);
        assert_eq!(back_to(&back, 1400), Some(420));
        // Nobody needs what lies before a newer set.
        assert_eq!(back_to(&back, 55), None);
        // Files came late, all or some or none: then it is final.
        for (late, found) in [
            (logs(300, 60), vec![]),
            (logs(200, 60), vec![hole(300, 200)]),
            (vec![], vec![hole(300, 60)]),
        ] {
            let listed = [logs(420, 300), late, vec![log(60, 50)]].concat();
            let again = back.followed_by([], &listed, reading(420));
            assert_eq!(holes(&again), found);
            assert_eq!(back_to(&again, 1400), None, "{found:?}");
            let usual = read(&again, &listed, &[log(60, 50)]);
            assert_eq!(back_to(&usual, 1400), None, "{found:?}");
        }
        // One that was cut is tried again, and not at once.
        let part = LogReading {
            is_whole: false,
            ..reading(420)
        };
        let cut = back.followed_by([], &[log(60, 50)], part);
        assert_eq!(back_to(&cut, 1400), None);
        let usual = read(&cut, &[], &[log(60, 50)]);
        assert_eq!(back_to(&usual, 1400), None);
        let cut = Coverage {
            cut_at: Some(minutes_ago(60)),
            ..back
        };
        assert_eq!(back_to(&cut, 1400), Some(420));
    }

    /// What befalls logs and whoever reads them.
    #[derive(Debug, Clone, Copy)]
    enum Happening {
        /// So many minutes of logs, in one file.
        File(i64),
        /// So many minutes without any, as nothing was copied.
        Outage(i64),
        /// The listing is read, after a pause that is none of its own.
        Reading,
        /// It is read in part: so many of its files.
        Part(usize),
        /// It is read often, for longer than an hour.
        Patience,
        /// Nothing is remembered, as the process ended and kept no store.
        Oblivion,
    }

    fn happenings() -> impl Strategy<Value = Vec<Happening>> {
        let one = prop_oneof![
            9 => (1_i64..12).prop_map(Happening::File),
            1 => (3_i64..400).prop_map(Happening::Outage),
            5 => Just(Happening::Reading),
            1 => (0_usize..6).prop_map(Happening::Part),
            1 => Just(Happening::Patience),
            1 => Just(Happening::Oblivion),
        ];
        proptest::collection::vec(one, 1..150)
    }

    /// A reader that forgets everything when it is told to.
    #[derive(Default)]
    struct Reader {
        coverage: Coverage,
        before: Vec<BackupSet>,
    }

    impl Reader {
        /// Reads what began since its look-back of an hour, or as far back as it has to.
        fn read(
            &mut self,
            world: &[BackupSet],
            base: DateTime<Utc>,
            at: DateTime<Utc>,
            part: Option<usize>,
        ) {
            let lookback = std::time::Duration::from_secs(3600);
            let back_to = self.coverage.reads_back_to(base, lookback, at);
            let edge = at - Duration::hours(1);
            let from = back_to.map_or(edge, |back_to| back_to.min(edge));
            let listed = world.iter().filter(|log| log.dated() > Some(from));
            let listed: Vec<_> = listed.take(part.unwrap_or(usize::MAX)).cloned().collect();
            let reading = LogReading {
                from,
                edge,
                is_whole: part.is_none(),
                oldest: base - Duration::days(1),
                now: at,
            };
            self.coverage = self.coverage.followed_by(&self.before, &listed, reading);
            // The newest that has left the look-back stays known beside those that have not.
            let mut known = [std::mem::take(&mut self.before), listed].concat();
            known.sort_by_key(BackupSet::dated);
            let left = known.iter().rposition(|log| log.dated() <= Some(edge));
            self.before = known.split_off(left.unwrap_or_default());
        }
    }

    /// How far the logs reach that follow each other from the beginning on, and how often they are interrupted.
    fn truth(world: &[BackupSet], base: DateTime<Utc>) -> (Option<DateTime<Utc>>, u64) {
        let breaks = world.windows(2).filter(|pair| {
            pair[1].started.unwrap() - pair[0].ended.unwrap() > Duration::minutes(2)
        });
        let chain = world.chunk_by(|one, next| {
            next.started.unwrap() - one.ended.unwrap() <= Duration::minutes(2)
        });
        let mut end = None;
        let first = world.first().and_then(|log| log.started);
        let is_late = first.is_some_and(|first| first > base + Duration::minutes(2));
        if !is_late {
            end = chain.take(1).filter_map(|chain| chain.last()?.ended).last();
        }
        (end, breaks.count() as u64 + u64::from(is_late))
    }

    proptest! {
        /// Whatever is read when, in part, after a stop or with nothing remembered: no more is claimed than there is, and
        /// all of it after a whole reading, or some time after one that was cut.
        #[test]
        fn any_history_of_readings_tells_what_there_is(history in happenings()) {
            let base = ago("30d");
            let mut time = base;
            let mut world: Vec<BackupSet> = Vec::new();
            let mut reader = Reader::default();
            let mut was_cut = false;
            for happening in history {
                match happening {
                    Happening::File(minutes) => {
                        let begin = time;
                        time += Duration::minutes(minutes);
                        world.push(BackupSet {
                            started: Some(begin),
                            ended: Some(time),
                            recovery_point: Some(time),
                            ..log(1, 0)
                        });
                    }
                    Happening::Outage(minutes) => time += Duration::minutes(minutes),
                    Happening::Oblivion => (reader, was_cut) = (Reader::default(), false),
                    Happening::Reading => reader.read(&world, base, time, None),
                    Happening::Part(files) => {
                        reader.read(&world, base, time, Some(files));
                        was_cut = true;
                    }
                    Happening::Patience => {
                        for _ in 0..9 {
                            reader.read(&world, base, time, None);
                            time += Duration::minutes(9);
                        }
                        was_cut = false;
                    }
                }
                let claimed = reader.coverage.reach(REGION, Some(base));
                let (end, gaps) = truth(&world, base);
                prop_assert!(claimed.newest <= end, "{claimed:?} {end:?}");
                let is_read = matches!(happening, Happening::Reading | Happening::Patience);
                if is_read && !was_cut {
                    prop_assert_eq!((claimed.newest, claimed.gaps), (end, gaps));
                }
            }
        }

        /// Files in, holes out: minute by minute, a minute between the first and the last file is covered or lies in a hole.
        #[test]
        fn every_minute_is_covered_or_lies_in_a_hole(
            files in proptest::collection::vec((0_i64..110, 0_i64..20), 1..20)
        ) {
            let listed: Vec<_> = files.iter().map(|(until, length)| log(until + length, *until)).collect();
            let holes: Vec<_> = first(&listed).holes().collect();
            let first = files.iter().map(|(until, length)| until + length).max().unwrap();
            let last = files.iter().map(|(until, _)| *until).min().unwrap();
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
                if !covered && !near(2) {
                    prop_assert!(in_hole, "{minute} {holes:?}");
                }
            }
        }
    }
}
