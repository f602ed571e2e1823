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
    let is_log = |set: &&BackupSet| set.backup_type == BackupType::Log && set.is_usable(now);
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
        for log in logs.iter().filter(|log| log.backup_region == region) {
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
