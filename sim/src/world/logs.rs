//! Log backups: one per slot, derived from the slot number like the scheduled sets (`history`).
//! There may be hundreds of thousands of them, so whoever asks says which range it looks at.

use std::ops::RangeInclusive;

use chrono::{DateTime, Utc};

use super::history::{Mishaps, draw, seconds};
use super::instance::Instance;

/// A finished log backup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Log {
    /// Number of the slot, unique within the instance.
    pub(crate) slot: i64,
    pub(crate) begin: DateTime<Utc>,
    /// End of the slot, when it was made.
    pub(crate) end: DateTime<Utc>,
    /// Commit time of the last transaction in it: on an idle database before its begin.
    pub(crate) last_transaction: DateTime<Utc>,
    pub(crate) size_bytes: u64,
}

/// Log backups that begin in `begun` and are listed at `now`, oldest first.
pub(crate) fn logs(
    instance: &Instance,
    mishaps: &Mishaps,
    begun: RangeInclusive<DateTime<Utc>>,
    now: DateTime<Utc>,
) -> Vec<Log> {
    between(instance, mishaps, begun, now - instance.retention, now)
}

/// Copies of log backups that begin in `begun` and are listed in `region` at `now`.
pub(crate) fn copies(
    instance: &Instance,
    mishaps: &Mishaps,
    region: &str,
    begun: RangeInclusive<DateTime<Utc>>,
    now: DateTime<Utc>,
) -> Vec<Log> {
    let mut destinations = instance.destinations.iter();
    let Some(destination) = destinations.find(|destination| destination.region == region) else {
        return Vec::new();
    };
    if !instance.logs.copied {
        return Vec::new();
    }
    let oldest = now - instance.retention;
    let mut logs = between(
        instance,
        mishaps,
        begun,
        oldest - mishaps.slowest(destination),
        now,
    );
    logs.retain(|log| {
        let copied = mishaps.copied(log.end, destination);
        copied.is_some_and(|copied| copied <= now && copied > oldest)
            && mishaps.log_kept(log.begin, log.end)
    });
    logs
}

/// Log backups that begin in `begun`, and ended after `oldest` and not after `now`.
fn between(
    instance: &Instance,
    mishaps: &Mishaps,
    begun: RangeInclusive<DateTime<Utc>>,
    oldest: DateTime<Utc>,
    now: DateTime<Utc>,
) -> Vec<Log> {
    // Without full backups there is nothing that a log could be applied to.
    if !instance.has_logs() {
        return Vec::new();
    }
    let slot_of = |time| mishaps.slot_of(instance.logs.every, time);
    let first = slot_of(*begun.start()).max(slot_of(oldest));
    let last = slot_of(*begun.end()).min(slot_of(now));
    (first..=last)
        .map(|slot| log(instance, mishaps, slot))
        .filter(|log| begun.contains(&log.begin) && log.end > oldest && log.end <= now)
        .filter(|log| mishaps.logs_run(log.end))
        .collect()
}

fn log(instance: &Instance, mishaps: &Mishaps, slot: i64) -> Log {
    let at = |slot| mishaps.start_of(instance.logs.every, slot);
    let end = at(slot + 1);
    // Someone writes every few seconds.
    let quiet = draw(&instance.id, slot, "last transaction") % 15;
    let last = end - seconds(quiet);
    let idle = mishaps.idle_since.filter(|since| *since < last);
    let size = instance.logs.size_bytes;
    let written = size / 2 + draw(&instance.id, slot, "log size") % (size / 2 + 1);
    Log {
        slot,
        begin: at(slot),
        end,
        last_transaction: idle.unwrap_or(last),
        // A file without transactions still has its header.
        size_bytes: if idle.is_some() { 1024 } else { written },
    }
}

/// Log backups that follow each other without a hole, oldest first.
pub(crate) fn chains(logs: &[Log]) -> impl DoubleEndedIterator<Item = &[Log]> {
    logs.chunk_by(|earlier, later| later.slot == earlier.slot + 1)
}

/// Spans of time to which a restore is possible: from the end of a full set on, for as long as the
/// logs go on without a gap.
pub(crate) fn windows(
    full_ends: &[DateTime<Utc>],
    logs: &[Log],
) -> Vec<(DateTime<Utc>, DateTime<Utc>)> {
    let windows = chains(logs).filter_map(|logs| {
        let (first, last) = (logs.first()?, logs.last()?);
        let mut within = full_ends
            .iter()
            .copied()
            .filter(|end| first.begin <= *end && *end <= last.end);
        let start = within.next()?;
        let start = within.fold(start, DateTime::min);
        Some((start, last.last_transaction.max(start)))
    });
    windows.collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::instance::Schedule;
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    fn instance() -> Instance {
        Instance::new("i", "cn-north-4")
            .schedule(Schedule::every(Duration::from_secs(86400)))
            .copied_to("cn-east-3", Duration::from_secs(600))
    }

    fn all() -> RangeInclusive<DateTime<Utc>> {
        DateTime::UNIX_EPOCH..=at("2100-01-01T00:00:00Z")
    }

    #[test]
    fn a_log_backup_is_there_every_five_minutes_over_the_whole_retention() {
        let now = at("2026-06-15T12:00:01Z");
        let mishaps = Mishaps::default();
        let all = logs(&instance(), &mishaps, all(), now);
        assert_eq!(all.len(), 31 * 288);
        let newest = all.last().unwrap();
        assert_eq!(newest.end, at("2026-06-15T12:00:00Z"));
        assert!(newest.begin < newest.last_transaction && newest.last_transaction <= newest.end);
        let hour = at("2026-06-15T10:00:00Z")..=at("2026-06-15T11:00:00Z");
        let some = logs(&instance(), &mishaps, hour, now);
        assert_eq!(
            (some.len(), some[0].begin),
            (13, at("2026-06-15T10:00:00Z"))
        );
        let mut never = instance();
        never.schedule = None;
        assert_eq!(logs(&never, &mishaps, self::all(), now), []);
    }

    #[test]
    fn copies_come_later_and_only_where_they_go() {
        let now = at("2026-06-15T12:00:01Z");
        let mishaps = Mishaps::default();
        let copied = |region: &str| copies(&instance(), &mishaps, region, all(), now);
        assert_eq!(
            copied("cn-east-3").last().unwrap().end,
            at("2026-06-15T11:50:00Z")
        );
        assert_eq!(copied("cn-north-4"), []);
        let mut uncopied = instance();
        uncopied.logs.copied = false;
        assert_eq!(copies(&uncopied, &mishaps, "cn-east-3", all(), now), []);
    }

    #[test]
    fn a_copy_that_was_lost_is_missing_at_the_destination_only() {
        let now = at("2026-06-15T12:00:01Z");
        let mut mishaps = Mishaps::default();
        mishaps.lose_logs(at("2026-06-15T10:01:00Z"), at("2026-06-15T10:10:00Z"));
        let day = at("2026-06-15T09:00:00Z")..=now;
        let copied = copies(&instance(), &mishaps, "cn-east-3", day.clone(), now);
        let ends: Vec<_> = chains(&copied)
            .filter_map(|chain| Some((chain.first()?.begin, chain.last()?.end)))
            .collect();
        let (nine, ten) = (at("2026-06-15T09:00:00Z"), at("2026-06-15T10:00:00Z"));
        let after = (at("2026-06-15T10:10:00Z"), at("2026-06-15T11:50:00Z"));
        assert_eq!(ends, [(nine, ten), after]);
        assert_eq!(chains(&logs(&instance(), &mishaps, day, now)).count(), 1);
    }

    #[test]
    fn a_gap_ends_a_window_and_an_idle_database_ends_it_earlier() {
        let noon = at("2026-06-15T12:00:00Z");
        let hours = |count: u64| Duration::from_secs(count * 3600);
        let mut mishaps = Mishaps::default();
        mishaps.stop_logs(noon);
        mishaps.resume_logs(noon + hours(24));
        let now = noon + hours(48);
        let fulls = [noon - hours(12), noon + hours(12), noon + hours(36)];
        let found = windows(&fulls, &logs(&instance(), &mishaps, all(), now));
        assert_eq!(found.len(), 2);
        assert_eq!(found[0].0, fulls[0]);
        assert!(found[0].1 < noon && found[0].1 > noon - hours(1));
        assert_eq!(found[1].0, fulls[2], "the second set has no logs behind it");

        mishaps.idle_since = Some(noon + hours(40));
        let found = windows(&fulls, &logs(&instance(), &mishaps, all(), now));
        assert_eq!(found[1].1, noon + hours(40));
        assert_eq!(windows(&fulls, &[]), []);
    }
}
