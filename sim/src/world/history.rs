//! Scheduled backups and their copies, derived from the schedule at the moment of asking: nothing
//! is stored and nothing happens in the background. Slot number and instance id decide every value,
//! so that two looks at the same past agree.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use super::instance::{Destination, Instance, Quirk, Schedule, Trouble};
use super::policy::Policy;

/// A finished local backup.
#[derive(Clone, Debug)]
pub(crate) struct Backup {
    /// Number of the slot, unique within the instance.
    pub(crate) slot: i64,
    pub(crate) start: DateTime<Utc>,
    pub(crate) end: DateTime<Utc>,
    /// Instant that the data is said to be consistent at, between start and end unless a quirk has
    /// moved it.
    pub(crate) consistent: DateTime<Utc>,
    pub(crate) full: bool,
    /// It holds one database of several.
    pub(crate) one_database: bool,
    pub(crate) failed: bool,
    pub(crate) size_bytes: u64,
}

/// A finished copy of a local backup.
#[derive(Clone, Debug)]
pub(crate) struct Copy {
    pub(crate) backup: Backup,
    pub(crate) region: String,
    /// When the copy was complete, and listed.
    pub(crate) end: DateTime<Utc>,
    /// It is said to be kept in the region of the instance.
    pub(crate) at_home: bool,
}

/// From then until then, the end excluded, or for ever.
type Period = (DateTime<Utc>, Option<DateTime<Utc>>);

impl Copy {
    /// The region that is said to keep it.
    pub(crate) fn told_region<'a>(&'a self, instance: &'a Instance) -> &'a str {
        if self.at_home {
            &instance.region
        } else {
            &self.region
        }
    }
}

/// The calendar of one instance, with its troubles, and when its policy was in force.
#[derive(Clone, Debug, Default)]
pub(crate) struct Mishaps {
    /// When the first slot begins, but for the offset of the schedule.
    pub(super) first_slot: DateTime<Utc>,
    pub(super) policy: Policy,
    /// Backups that start in one of these have failed; the end is excluded and may be open.
    failed: Vec<Period>,
    /// Single slots that have failed.
    failed_slots: Vec<i64>,
    /// Backups that end in one of these are not copied.
    stopped: Vec<Period>,
    /// Backups that end in one of these are not copied to this region: it is switched off.
    destinations_off: Vec<(String, Period)>,
    /// Copies of backups that end after this take longer.
    slowed: Vec<(DateTime<Utc>, Duration)>,
    /// Backups that start in one of these are like this.
    quirks: Vec<(Quirk, Period)>,
    /// Log backups that end in one of these were never made.
    logs_stopped: Vec<Period>,
    /// Log backups of these stretches were never copied.
    logs_lost: Vec<(DateTime<Utc>, DateTime<Utc>)>,
    /// Last transaction, if there are no more.
    pub(super) idle_since: Option<DateTime<Utc>>,
}

impl Mishaps {
    /// Puts an instance's troubles on the calendar, counted back from `start`.
    pub(crate) fn of(instance: &Instance, start: DateTime<Utc>) -> Self {
        let ago = instance.protected_for.map(|ago| start - ago);
        let mut mishaps = Self {
            policy: Policy::since(instance.protected_since.or(ago)),
            ..Self::default()
        };
        for trouble in &instance.trouble {
            match trouble {
                Trouble::FailedBackups { from, until } => {
                    let until = (!until.is_zero()).then(|| start - *until);
                    mishaps.failed.push((start - *from, until));
                }
                Trouble::CopiesStopped { since } => mishaps.stopped.push((start - *since, None)),
                Trouble::CopiesLag { since, lag } => mishaps.slowed.push((start - *since, *lag)),
                Trouble::LogsStopped { since } => {
                    mishaps.logs_stopped.push((start - *since, None));
                }
                Trouble::LogsLost { from, to } => mishaps.lose_logs(start - *from, start - *to),
                Trouble::Quirk { quirk, from, until } => {
                    let until = (!until.is_zero()).then(|| start - *until);
                    mishaps.quirks.push((*quirk, (start - *from, until)));
                }
                Trouble::Idle { since } => mishaps.idle_since = Some(start - *since),
                // It is the end of everything, which the holding knows (`World::add_instance`).
                Trouble::Released { .. } => {}
                Trouble::PolicyOff { since } => mishaps.policy.switch_off(start - *since),
            }
        }
        mishaps
    }

    /// Makes the scheduled backup fail whose slot contains `at`.
    pub(crate) fn fail(&mut self, instance: &Instance, at: DateTime<Utc>) -> bool {
        let Some(schedule) = &instance.schedule else {
            return false;
        };
        // The start of a backup is up to `jitter` later than the start of its slot, so `at` may be
        // a listed start or any time after it.
        let slot = self.slot_at(schedule, at);
        self.failed_slots.push(slot);
        true
    }

    /// No backup that ends from now on is copied.
    pub(crate) fn stop_copies(&mut self, now: DateTime<Utc>) {
        if self.stopped.iter().all(|(_, until)| until.is_some()) {
            self.stopped.push((now, None));
        }
    }

    /// Backups that end from now on are copied again. Those in between never are: the vendor copies
    /// a set when it completes, or not at all.
    pub(crate) fn resume_copies(&mut self, now: DateTime<Utc>) {
        for (_, until) in &mut self.stopped {
            until.get_or_insert(now);
        }
    }

    /// What ends from now on is not copied to a region, while others may still get it.
    pub(super) fn switch_destination_off(&mut self, region: &str, now: DateTime<Utc>) {
        if self.copies_to(region) {
            self.destinations_off.push((region.to_owned(), (now, None)));
        }
    }

    /// What ends from now on is copied to a region again.
    pub(super) fn switch_destination_on(&mut self, region: &str, now: DateTime<Utc>) {
        for (_, (_, until)) in self
            .destinations_off
            .iter_mut()
            .filter(|(off, _)| off == region)
        {
            until.get_or_insert(now);
        }
    }

    /// A region has not been switched off by itself.
    pub(super) fn copies_to(&self, region: &str) -> bool {
        let mut off = self
            .destinations_off
            .iter()
            .filter(|(off, _)| off == region);
        off.all(|(_, (_, until))| until.is_some())
    }

    /// Backups that start from then on are like this.
    pub(super) fn begin_quirk(&mut self, quirk: Quirk, from: DateTime<Utc>) {
        self.quirks.push((quirk, (from, None)));
    }

    /// Backups that start from now on are not like this any more. Those in between stay so.
    pub(super) fn end_quirk(&mut self, quirk: Quirk, now: DateTime<Utc>) {
        for (_, (_, until)) in self.quirks.iter_mut().filter(|(of, _)| *of == quirk) {
            until.get_or_insert(now);
        }
    }

    fn has(&self, quirk: Quirk, start: DateTime<Utc>) -> bool {
        let mut quirks = self.quirks.iter();
        quirks.any(|(of, period)| *of == quirk && contains(*period, start))
    }

    /// There are no log backups that end from now on.
    pub(crate) fn stop_logs(&mut self, now: DateTime<Utc>) {
        if self.logs_stopped.iter().all(|(_, until)| until.is_some()) {
            self.logs_stopped.push((now, None));
        }
    }

    /// There are log backups again. The gap stays.
    pub(crate) fn resume_logs(&mut self, now: DateTime<Utc>) {
        for (_, until) in &mut self.logs_stopped {
            until.get_or_insert(now);
        }
    }

    /// Log backups that hold any of this stretch were not copied.
    pub(super) fn lose_logs(&mut self, from: DateTime<Utc>, to: DateTime<Utc>) {
        self.logs_lost.push((from, to));
    }

    /// No copy of a log backup from `begin` to `end` was lost.
    pub(super) fn log_kept(&self, begin: DateTime<Utc>, end: DateTime<Utc>) -> bool {
        let mut lost = self.logs_lost.iter();
        lost.all(|(from, to)| end <= *from || *to <= begin)
    }

    /// A log backup that ends then was made.
    pub(super) fn logs_run(&self, end: DateTime<Utc>) -> bool {
        !self
            .logs_stopped
            .iter()
            .any(|period| contains(*period, end))
    }

    /// When the copy of something that ended at `end` is there; `None` if it never will be.
    pub(super) fn copied(
        &self,
        end: DateTime<Utc>,
        destination: &Destination,
    ) -> Option<DateTime<Utc>> {
        let mut off = self.destinations_off.iter();
        let stopped = self.stopped.iter().any(|period| contains(*period, end))
            || destination.until.is_some_and(|until| end > until)
            || off.any(|(off, period)| *off == destination.region && contains(*period, end));
        (!stopped && self.policy.covers(end)).then(|| end + self.lag(end, destination))
    }

    /// The longest time that any copy takes.
    pub(super) fn slowest(&self, destination: &Destination) -> Duration {
        self.slowed
            .iter()
            .map(|(_, lag)| *lag)
            .fold(destination.lag, Duration::max)
    }

    fn slot_at(&self, schedule: &Schedule, time: DateTime<Utc>) -> i64 {
        self.slot_of(schedule.every, time - schedule.offset)
    }

    fn slot_start(&self, schedule: &Schedule, slot: i64) -> DateTime<Utc> {
        self.start_of(schedule.every, slot) + schedule.offset
    }

    /// The slot of this length that contains `time`.
    pub(super) fn slot_of(&self, length: Duration, time: DateTime<Utc>) -> i64 {
        let since = time.timestamp() - self.first_slot.timestamp();
        since.div_euclid(whole_seconds(length).max(1))
    }

    /// When a slot of this length begins.
    pub(super) fn start_of(&self, length: Duration, slot: i64) -> DateTime<Utc> {
        let since = slot.saturating_mul(whole_seconds(length).max(1));
        let start = self.first_slot.timestamp().saturating_add(since);
        DateTime::from_timestamp(start, 0).unwrap_or(DateTime::UNIX_EPOCH)
    }

    fn lag(&self, end: DateTime<Utc>, destination: &Destination) -> Duration {
        let slowed = self
            .slowed
            .iter()
            .filter(|(since, _)| *since <= end)
            .map(|(_, lag)| *lag);
        slowed.fold(destination.lag, Duration::max)
    }
}

/// Local backups that are listed at `now`.
pub(crate) fn backups(instance: &Instance, mishaps: &Mishaps, now: DateTime<Utc>) -> Vec<Backup> {
    ended_after(instance, mishaps, now - instance.retention, now)
}

/// The backup that is being made at `now`.
pub(crate) fn running(
    instance: &Instance,
    mishaps: &Mishaps,
    now: DateTime<Utc>,
) -> Option<Backup> {
    let schedule = instance.schedule.as_ref()?;
    let current = mishaps.slot_at(schedule, now);
    // A backup may still run when the next slot has begun.
    (current - 1..=current)
        .map(|slot| backup(instance, schedule, mishaps, slot))
        .find(|backup| backup.start <= now && now < backup.end)
}

/// When the first slot after `now` begins.
pub(crate) fn next_start(
    instance: &Instance,
    mishaps: &Mishaps,
    now: DateTime<Utc>,
) -> Option<DateTime<Utc>> {
    let schedule = instance.schedule.as_ref()?;
    Some(mishaps.slot_start(schedule, mishaps.slot_at(schedule, now) + 1))
}

/// Copies that are listed at `now`.
pub(crate) fn copies(instance: &Instance, mishaps: &Mishaps, now: DateTime<Utc>) -> Vec<Copy> {
    let mut copies = Vec::new();
    for destination in &instance.destinations {
        // A copy outlives its local set by its own lag, because the retention of each counts from
        // its own end.
        let slowest = mishaps.slowest(destination);
        for backup in ended_after(instance, mishaps, now - instance.retention - slowest, now) {
            let Some(end) = mishaps.copied(backup.end, destination) else {
                continue;
            };
            if !backup.failed && end <= now && end > now - instance.retention {
                copies.push(Copy {
                    at_home: mishaps.has(Quirk::CopiedHome, backup.start),
                    backup,
                    region: destination.region.clone(),
                    end,
                });
            }
        }
    }
    copies
}

/// Backups that ended after `oldest` and not after `now`.
pub(super) fn ended_after(
    instance: &Instance,
    mishaps: &Mishaps,
    oldest: DateTime<Utc>,
    now: DateTime<Utc>,
) -> Vec<Backup> {
    let Some(schedule) = &instance.schedule else {
        return Vec::new();
    };
    // A backup that ended after `oldest` may have started in an earlier slot.
    let first = mishaps.slot_at(schedule, oldest - schedule.duration * 2);
    (first..=mishaps.slot_at(schedule, now))
        .map(|slot| backup(instance, schedule, mishaps, slot))
        .filter(|backup| backup.end > oldest && backup.end <= now)
        .filter(|backup| !(backup.full && mishaps.has(Quirk::FullsLost, backup.start)))
        .collect()
}

fn backup(instance: &Instance, schedule: &Schedule, mishaps: &Mishaps, slot: i64) -> Backup {
    let start = mishaps.slot_start(schedule, slot)
        + seconds(draw(&instance.id, slot, "start") % (jitter_seconds(schedule) + 1));
    // Between 90 and 110 hundredths of the usual duration.
    let hundredths = 90 + draw(&instance.id, slot, "duration") % 21;
    let running = (schedule.duration.as_secs() * hundredths / 100).max(1);
    let failed = mishaps.failed_slots.contains(&slot)
        || mishaps.failed.iter().any(|period| contains(*period, start));
    let full = slot.rem_euclid(i64::from(schedule.full_every.max(1))) == 0;
    let grown = schedule
        .growth_bytes_per_day
        .saturating_mul(days_since_2026(start));
    let size = schedule.size_bytes.saturating_add(grown) / if full { 1 } else { 20 };
    let end = start + seconds(running);
    Backup {
        slot,
        start,
        end,
        consistent: if mishaps.has(Quirk::ConsistentLate, start) {
            end + TimeDelta::days(2)
        } else {
            start + seconds(running / 6)
        },
        full,
        one_database: mishaps.has(Quirk::OneDatabase, start),
        failed,
        size_bytes: if failed || mishaps.has(Quirk::Empty, start) {
            0
        } else {
            size + draw(&instance.id, slot, "size") % (size / 100 + 1)
        },
    }
}

/// Up to five minutes, and less for short slots, because real backups do not start on the second.
fn jitter_seconds(schedule: &Schedule) -> u64 {
    (schedule.every.as_secs() / 20).min(300)
}

fn contains((from, until): Period, time: DateTime<Utc>) -> bool {
    from <= time && until.is_none_or(|until| time < until)
}

fn days_since_2026(time: DateTime<Utc>) -> u64 {
    const START_OF_2026: i64 = 1_767_225_600;
    u64::try_from((time.timestamp() - START_OF_2026) / 86400).unwrap_or(0)
}

pub(super) fn whole_seconds(span: Duration) -> i64 {
    i64::try_from(span.as_secs()).unwrap_or(i64::MAX)
}

pub(super) fn seconds(count: u64) -> TimeDelta {
    TimeDelta::seconds(i64::try_from(count).unwrap_or(0))
}

/// A number that looks random and depends on nothing but its arguments: FNV-1a, finished with the
/// mixer of `SplitMix64`.
pub(crate) fn draw(id: &str, slot: i64, purpose: &str) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for byte in id.bytes().chain(slot.to_be_bytes()).chain(purpose.bytes()) {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    }
    hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^ (hash >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_secs(86400);

    fn noon() -> DateTime<Utc> {
        "2026-06-15T12:00:00Z".parse().unwrap()
    }

    fn daily() -> Instance {
        Instance::new("rm-1", "cn-hangzhou")
            .schedule(Schedule::every(DAY))
            .copied_to("cn-shanghai", Duration::from_secs(7200))
    }

    #[test]
    fn a_month_of_history_is_there_and_stays_the_same() {
        let instance = daily();
        let mishaps = Mishaps::default();
        let today = backups(&instance, &mishaps, noon());
        assert_eq!(today.len(), 31);
        let tomorrow = backups(&instance, &mishaps, noon() + DAY);
        assert_eq!(tomorrow.len(), 31);
        let ends = |sets: &[Backup]| {
            sets.iter()
                .map(|set| (set.slot, set.end, set.size_bytes))
                .collect::<Vec<_>>()
        };
        assert_eq!(
            ends(&today[1..]),
            ends(&tomorrow[..30]),
            "only the oldest left and only a new one came"
        );
    }

    #[test]
    fn a_set_is_listed_when_it_has_ended_and_its_copy_after_the_lag() {
        let instance = daily();
        let mishaps = Mishaps::default();
        let newest = backups(&instance, &mishaps, noon()).pop().unwrap();
        let second = Duration::from_secs(1);
        let has = |now: DateTime<Utc>| {
            backups(&instance, &mishaps, now)
                .iter()
                .any(|set| set.slot == newest.slot)
        };
        let copied = |now: DateTime<Utc>| {
            copies(&instance, &mishaps, now)
                .iter()
                .any(|copy| copy.backup.slot == newest.slot)
        };
        assert!(!has(newest.end - second) && has(newest.end));
        let lag = Duration::from_secs(7200);
        assert!(!copied(newest.end + lag - second) && copied(newest.end + lag));
        assert!(newest.start < newest.consistent && newest.consistent < newest.end);
    }

    #[test]
    fn troubles_show_in_the_history() {
        let with = |trouble: Trouble| {
            let mut instance = daily();
            instance.trouble.push(trouble);
            let mishaps = Mishaps::of(&instance, noon());
            let failed = backups(&instance, &mishaps, noon())
                .iter()
                .filter(|set| set.failed)
                .count();
            (failed, copies(&instance, &mishaps, noon()).len())
        };
        let days = |count: u32| DAY * count;
        assert_eq!(
            with(Trouble::FailedBackups {
                from: days(1),
                until: Duration::ZERO
            }),
            (1, 30)
        );
        assert_eq!(
            with(Trouble::FailedBackups {
                from: days(3),
                until: days(1)
            }),
            (2, 29)
        );
        assert_eq!(with(Trouble::CopiesStopped { since: days(3) }), (0, 28));
        assert_eq!(with(Trouble::PolicyOff { since: days(3) }), (0, 28));
        assert_eq!(
            with(Trouble::CopiesLag {
                since: days(2),
                lag: Duration::from_secs(30 * 3600)
            }),
            (0, 30)
        );
    }

    #[test]
    fn quirks_are_of_the_sets_that_started_in_their_time() {
        let mut instance = daily();
        instance.schedule.as_mut().unwrap().full_every = 2;
        let mut mishaps = Mishaps::default();
        for quirk in [
            Quirk::Empty,
            Quirk::OneDatabase,
            Quirk::ConsistentLate,
            Quirk::CopiedHome,
        ] {
            mishaps.begin_quirk(quirk, noon() - DAY * 4);
            mishaps.end_quirk(quirk, noon() - DAY * 2);
        }
        let sets = backups(&instance, &mishaps, noon());
        let odd: Vec<_> = sets.iter().filter(|set| set.size_bytes == 0).collect();
        assert_eq!((sets.len(), odd.len()), (31, 2));
        assert!(odd.iter().all(|set| set.one_database));
        assert!(odd.iter().all(|set| set.consistent > set.end + DAY));
        let at_home = copies(&instance, &mishaps, noon());
        assert_eq!(at_home.iter().filter(|copy| copy.at_home).count(), 2);
        mishaps.begin_quirk(Quirk::FullsLost, noon() - DAY * 10);
        let sets = backups(&instance, &mishaps, noon());
        let lost = |set: &Backup| set.full && set.start >= noon() - DAY * 10;
        assert_eq!(sets.len(), 26);
        assert!(!sets.iter().any(lost));
        let copies = copies(&instance, &mishaps, noon());
        assert!(!copies.iter().any(|copy| lost(&copy.backup)));
    }

    #[test]
    fn copies_that_were_missed_while_stopped_never_come() {
        let instance = daily();
        let mut mishaps = Mishaps::default();
        mishaps.stop_copies(noon());
        mishaps.resume_copies(noon() + DAY * 2);
        let later = copies(&instance, &mishaps, noon() + DAY * 4);
        assert_eq!(later.len(), 29, "two of the 31 nights are missing");
    }

    #[test]
    fn a_destination_can_be_switched_off_by_itself() {
        let instance = daily().copied_to("cn-beijing", Duration::from_secs(7200));
        let mut mishaps = Mishaps::default();
        mishaps.switch_destination_off("cn-beijing", noon());
        assert!(!mishaps.copies_to("cn-beijing") && mishaps.copies_to("cn-shanghai"));
        mishaps.switch_destination_on("cn-beijing", noon() + DAY * 2);
        assert!(mishaps.copies_to("cn-beijing"));
        let later = copies(&instance, &mishaps, noon() + DAY * 4);
        let of = |region: &str| later.iter().filter(|copy| copy.region == region).count();
        assert_eq!((of("cn-shanghai"), of("cn-beijing")), (31, 29));
    }

    #[test]
    fn nothing_is_copied_that_ended_before_the_protection() {
        let mut instance = daily();
        instance.protected_for = Some(DAY * 2);
        let mishaps = Mishaps::of(&instance, noon());
        assert_eq!(copies(&instance, &mishaps, noon()).len(), 2);
        let instance = daily().protected_since(noon() - DAY * 3);
        let mishaps = Mishaps::of(&instance, noon() + DAY);
        assert_eq!(copies(&instance, &mishaps, noon()).len(), 3);
    }

    #[test]
    fn a_failed_slot_is_the_one_that_contains_the_moment() {
        let instance = daily();
        let mut mishaps = Mishaps::default();
        let newest = backups(&instance, &mishaps, noon()).pop().unwrap();
        assert!(mishaps.fail(&instance, newest.start));
        let failed: Vec<_> = backups(&instance, &mishaps, noon())
            .into_iter()
            .filter(|set| set.failed)
            .collect();
        assert_eq!(failed.len(), 1);
        assert_eq!((failed[0].slot, failed[0].size_bytes), (newest.slot, 0));
        assert!(
            !mishaps.fail(&Instance::new("rm-2", "cn-hangzhou"), noon()),
            "nothing is scheduled there"
        );
    }

    #[test]
    fn a_backup_runs_until_it_is_listed() {
        let instance = daily();
        let mishaps = Mishaps::default();
        let newest = backups(&instance, &mishaps, noon()).pop().unwrap();
        let second = Duration::from_secs(1);
        let slot = |now: DateTime<Utc>| running(&instance, &mishaps, now).map(|backup| backup.slot);
        assert_eq!(slot(newest.start - second), None);
        assert_eq!(slot(newest.start), Some(newest.slot));
        assert_eq!(slot(newest.end - second), Some(newest.slot));
        assert_eq!(slot(newest.end), None);
        let midnight = "2026-06-16T00:00:00Z".parse().unwrap();
        assert_eq!(next_start(&instance, &mishaps, noon()), Some(midnight));
        assert_eq!(
            next_start(&Instance::new("rm-2", "cn-hangzhou"), &mishaps, noon()),
            None
        );
    }

    #[test]
    fn full_and_incremental_sets_take_turns() {
        let mut instance = daily();
        instance.schedule.as_mut().unwrap().full_every = 7;
        let sets = backups(&instance, &Mishaps::default(), noon());
        assert_eq!(
            sets.windows(7)
                .filter(|week| week.iter().filter(|set| set.full).count() == 1)
                .count(),
            25
        );
    }
}
