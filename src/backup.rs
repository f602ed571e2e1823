//! The vocabulary: what a backup set is, whichever vendor it came from.
//!
//! Not here: how a vendor spells it (`provider/*/wire.rs`), what it means for an objective (`posture`).
//! Values are made by `provider/*/normalise.rs` and kept by `facts`.

use std::sync::Arc;

use chrono::{DateTime, Duration, Utc};

/// How far ahead of our clock a vendor's time may lie before it is not believed.
///
/// Vendors' clocks and ours differ by seconds; an age computed from a later time would be negative for long, and an
/// alert on it would stay silent.
pub const CLOCK_TOLERANCE: Duration = Duration::minutes(5);

/// Where a backup set is kept, as seen from its instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// In the instance's own region: it is lost together with the instance.
    Local,
    /// In another region: it survives the loss of the instance's own.
    CrossRegion,
}

impl Scope {
    /// The value of the label `scope`.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::CrossRegion => "cross_region",
        }
    }
}

/// What a backup set holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BackupType {
    /// Everything that is needed to restore.
    Full,
    /// The changes since an earlier set.
    Incremental,
    /// Transaction log (binlog, WAL).
    Log,
    /// One database or some tables. It is counted and nothing else: no instance can be restored from it.
    Partial,
}

impl BackupType {
    /// Every type.
    pub const ALL: [Self; 4] = [Self::Full, Self::Incremental, Self::Log, Self::Partial];

    /// The value of the label `backup_type`.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Incremental => "incremental",
            Self::Log => "log",
            Self::Partial => "partial",
        }
    }
}

/// What became of a backup set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Status {
    /// The vendor says that it is whole.
    Completed,
    /// The vendor says that it failed.
    Failed,
    /// Still being written.
    Running,
    /// Being removed: it can no longer be relied on.
    Deleting,
    /// The vendor said something that we do not understand. Never taken for a success.
    Unknown,
}

impl Status {
    /// Every status, in the order in which a page shows them.
    pub const ALL: [Self; 5] = [
        Self::Completed,
        Self::Failed,
        Self::Running,
        Self::Deleting,
        Self::Unknown,
    ];

    /// The value of the label `status`.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Running => "running",
            Self::Deleting => "deleting",
            Self::Unknown => "unknown",
        }
    }
}

/// One row of a provider's backup listing, normalised. Times are UTC, sizes in bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackupSet {
    /// Local or in another region.
    pub scope: Scope,
    /// The region that keeps it; empty where the vendor does not say.
    pub backup_region: Arc<str>,
    /// What it holds.
    pub backup_type: BackupType,
    /// What became of it.
    pub status: Status,
    /// When the backup began.
    pub started: Option<DateTime<Utc>>,
    /// When it was finished, or given up.
    pub ended: Option<DateTime<Utc>>,
    /// Its size in bytes, as billed by the vendor.
    pub size_bytes: Option<u64>,
    /// The instant at which its data is consistent.
    pub recovery_point: Option<DateTime<Utc>>,
    /// When the vendor will remove it, where the vendor tells.
    pub expires: Option<DateTime<Utc>>,
    /// `false` where the vendor lists it but says that it cannot be restored.
    pub available: bool,
    /// `false` where the vendor keeps sets of this kind to their own region whatever its policy says: such a set lacks no
    /// copy.
    pub is_copied: bool,
    /// The regions to which the vendor would restore it; empty where the vendor does not say.
    pub restore_regions: Arc<[String]>,
    /// For a log file: up to when it holds everything that was written. The next one continues it from there.
    pub covers_until: Option<DateTime<Utc>>,
}

/// The last second of the year 9999.
const LATEST: i64 = 253_402_300_799;

/// Whether anything can have been done then: not before 1970, and not so late that a span could not be added any more.
pub fn is_conceivable(time: DateTime<Utc>) -> bool {
    (0..=LATEST).contains(&time.timestamp())
}

impl BackupSet {
    /// Whether there is nothing wrong with it by itself at `now`: completed, available and not expired. A set that has
    /// neither a start nor an end is not relied on: nobody could say how old it is.
    ///
    /// Of a full set and of a log file that is all that makes it usable. Whether an incremental one can be restored depends
    /// on others as well: see [`Usable`].
    pub fn is_sound(&self, now: DateTime<Utc>) -> bool {
        self.status == Status::Completed
            && self.available
            && self.expires.is_none_or(|expires| expires > now)
            && self.finished().is_some()
    }

    /// The instant by which sets are ordered and aged: the end, else the start.
    pub fn finished(&self) -> Option<DateTime<Utc>> {
        self.ended.or(self.started)
    }

    /// The instant that decides whether a set lies in the look-back: the start, else the end.
    pub fn dated(&self) -> Option<DateTime<Utc>> {
        self.started.or(self.ended)
    }
}

/// Which of some sets one could restore from at a moment. Nothing else says whether a set is usable.
#[derive(Debug, Clone)]
pub struct Usable<'a> {
    now: DateTime<Utc>,
    /// For each place, when the first of its sound full sets began.
    bases: Vec<(Scope, &'a str, DateTime<Utc>)>,
}

impl<'a> Usable<'a> {
    /// Among all sets that are known of an instance, or of one of its listings; those that are remembered included.
    pub fn among(sets: impl IntoIterator<Item = &'a BackupSet>, now: DateTime<Utc>) -> Self {
        let mut bases: Vec<(Scope, &str, DateTime<Utc>)> = Vec::new();
        for set in sets {
            let Some(began) = set.dated() else { continue };
            if set.backup_type != BackupType::Full || !set.is_sound(now) {
                continue;
            }
            let place = (set.scope, &*set.backup_region);
            let known = bases.iter_mut().find(|base| (base.0, base.1) == place);
            match known {
                Some((.., first)) => *first = began.min(*first),
                None => bases.push((place.0, place.1, began)),
            }
        }
        Self { now, bases }
    }

    /// Whether one could restore from it. An incremental set has to continue a full one of the same place that began before
    /// it: whatever it holds is of no use without.
    pub fn contains(&self, set: &BackupSet) -> bool {
        let continues_a_base = || {
            let mut bases = self.bases.iter();
            bases.any(|(scope, region, began)| {
                (*scope, *region) == (set.scope, &*set.backup_region)
                    && set.dated().is_some_and(|dated| *began < dated)
            })
        };
        set.is_sound(self.now)
            && match set.backup_type {
                BackupType::Full | BackupType::Log => true,
                BackupType::Incremental => continues_a_base(),
                BackupType::Partial => false,
            }
    }
}

/// How far back backups are listed and counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lookback {
    /// Everything but log files.
    pub sets: std::time::Duration,
    /// Log files, of which there is one every few minutes.
    pub logs: std::time::Duration,
}

impl Lookback {
    /// The instants after which sets count at `now`.
    pub fn ending(self, now: DateTime<Utc>) -> Edges {
        let before = |lookback| {
            Duration::from_std(lookback)
                .ok()
                .and_then(|lookback| now.checked_sub_signed(lookback))
                .unwrap_or(DateTime::UNIX_EPOCH)
        };
        Edges {
            sets: before(self.sets),
            logs: before(self.logs),
        }
    }
}

/// The far ends of a look-back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Edges {
    sets: DateTime<Utc>,
    logs: DateTime<Utc>,
}

impl Edges {
    /// Where the look-back for this type ends.
    pub const fn of(self, backup_type: BackupType) -> DateTime<Utc> {
        match backup_type {
            BackupType::Full | BackupType::Incremental | BackupType::Partial => self.sets,
            BackupType::Log => self.logs,
        }
    }

    /// Whether a set counts. One without any time never does.
    pub fn contain(self, set: &BackupSet) -> bool {
        let edge = self.of(set.backup_type);
        set.dated().is_some_and(|dated| dated > edge)
    }
}

/// What can be asked of a provider about one instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ListingKind {
    /// The sets kept in other regions.
    CrossRegion,
    /// The sets kept in the instance's own region.
    Local,
    /// The log files kept in other regions.
    CrossRegionLog,
    /// What the provider was told to back up and to copy, and for how long.
    Policy,
    /// The stretches of time to which the provider says it can restore.
    RestoreWindow,
}

impl ListingKind {
    /// Every listing, in the order in which a page shows them.
    pub const ALL: [Self; 5] = [
        Self::CrossRegion,
        Self::Local,
        Self::CrossRegionLog,
        Self::Policy,
        Self::RestoreWindow,
    ];

    /// Whether it changes seldom enough to be read once every `poll.policy_interval` only.
    pub const fn is_slow(self) -> bool {
        match self {
            Self::CrossRegion | Self::Local | Self::CrossRegionLog => false,
            Self::Policy | Self::RestoreWindow => true,
        }
    }

    /// The value of the label `listing`, and the name in the configuration file.
    pub const fn label(self) -> &'static str {
        match self {
            Self::CrossRegion => "cross_region",
            Self::Local => "local",
            Self::CrossRegionLog => "cross_region_log",
            Self::Policy => "policy",
            Self::RestoreWindow => "restore_window",
        }
    }

    /// The listing of this name, if there is one.
    pub fn from_label(label: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.label() == label)
    }
}

/// In which way a row was not fully understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Anomaly {
    /// A status or a backup type that the vendor's pages do not name.
    UnknownStatus,
    /// A time that could not be read, an end before its start, or data that is consistent only after its end.
    BadTime,
    /// A size that is negative or no number, or nothing in what is said to be whole.
    BadSize,
    /// A time further ahead of our clock than [`CLOCK_TOLERANCE`].
    FutureTime,
    /// A row that an earlier page had already.
    Duplicate,
    /// A row that says it belongs to another instance.
    ForeignInstance,
    /// A copy in another region whose row says that it is in the instance's own.
    WrongRegion,
    /// A word for how much of the instance a set holds that the vendor's pages do not have. It counts as whole.
    UnknownExtent,
    /// Something that cannot be read as a row.
    BadRow,
}

impl Anomaly {
    /// Every kind of anomaly.
    pub const ALL: [Self; 9] = [
        Self::UnknownStatus,
        Self::BadTime,
        Self::BadSize,
        Self::FutureTime,
        Self::Duplicate,
        Self::ForeignInstance,
        Self::WrongRegion,
        Self::UnknownExtent,
        Self::BadRow,
    ];

    /// The value of the label `kind`.
    pub const fn label(self) -> &'static str {
        match self {
            Self::UnknownStatus => "unknown_status",
            Self::BadTime => "bad_time",
            Self::BadSize => "bad_size",
            Self::FutureTime => "future_time",
            Self::Duplicate => "duplicate",
            Self::ForeignInstance => "foreign_instance",
            Self::WrongRegion => "wrong_region",
            Self::UnknownExtent => "unknown_extent",
            Self::BadRow => "bad_row",
        }
    }
}

/// What was read about one instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reading {
    /// Backup sets, or log files.
    Sets(Listing),
    /// What the provider was told to do.
    Policy(Policy),
    /// To when it can restore.
    Windows(RestoreWindows),
}

impl Reading {
    /// One entry for each oddity.
    pub fn anomalies(&self) -> &[Anomaly] {
        match self {
            Self::Sets(listing) => &listing.anomalies,
            Self::Policy(policy) => &policy.anomalies,
            Self::Windows(windows) => &windows.anomalies,
        }
    }
}

impl From<Listing> for Reading {
    fn from(listing: Listing) -> Self {
        Self::Sets(listing)
    }
}

impl From<Policy> for Reading {
    fn from(policy: Policy) -> Self {
        Self::Policy(policy)
    }
}

impl From<RestoreWindows> for Reading {
    fn from(windows: RestoreWindows) -> Self {
        Self::Windows(windows)
    }
}

/// What the provider says of the instance itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Description {
    /// The name that its users gave it.
    pub name: Option<String>,
    /// The engine, in lower case and in our spelling (`mysql`, `sqlserver`, …).
    pub engine: Option<String>,
    /// The engine's version in the vendor's spelling.
    pub engine_version: Option<String>,
    /// When it was made, as the list of instances tells.
    pub created: Option<DateTime<Utc>>,
}

/// What the provider was told to do with the backups of one instance.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Policy {
    /// Whether anything is copied to another region; `None` where the answer does not tell.
    pub protected: Option<bool>,
    /// Since when, where the provider tells. What ended before is not copied any more.
    pub since: Option<DateTime<Utc>>,
    /// Each switch that the provider has.
    pub switches: Vec<PolicySwitch>,
    /// What the provider says of the instance.
    pub description: Description,
    /// One entry for each oddity.
    pub anomalies: Vec<Anomaly>,
    /// `false` when the answer may have left out the instance.
    pub complete: bool,
}

/// One switch of a policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicySwitch {
    /// Local backups, or copies in another region.
    pub scope: Scope,
    /// Where they are kept; empty where the provider names no region.
    pub backup_region: String,
    /// Data counts as full, log files as log.
    pub backup_type: BackupType,
    /// Whether it is on.
    pub enabled: bool,
    /// For how long what it makes is kept, where the provider tells.
    pub retention: Option<std::time::Duration>,
}

/// To when the provider says that it can restore one instance.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RestoreWindows {
    /// In the vendor's order. None where the provider says that there is none.
    pub windows: Vec<RestoreWindow>,
    /// One entry for each oddity.
    pub anomalies: Vec<Anomaly>,
}

/// A stretch of time to any instant of which the provider can restore.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RestoreWindow {
    /// From local backups, or from copies in another region.
    pub scope: Scope,
    /// The region that keeps what it is restored from.
    pub backup_region: String,
    /// The first instant.
    pub start: DateTime<Utc>,
    /// The last instant, not before the first.
    pub end: DateTime<Utc>,
}

/// The instances that an account has in one region.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Inventory {
    /// Every instance that the provider lists, in its order.
    pub instances: Vec<FoundInstance>,
    /// The ids of instances that are no longer listed here, while another region still lists their protection.
    pub outlived: Vec<String>,
    /// `false` when there are more than were read: then nothing is missing.
    pub complete: bool,
    /// Whether the provider said how many there are, and listed any: only such a list says of an instance that it lacks
    /// that it may be gone.
    pub tells_absence: bool,
}

/// One instance that an account has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundInstance {
    /// The vendor's id.
    pub id: String,
    /// Its name and engine.
    pub description: Description,
    /// `false` for kinds that have no backups of their own, such as read-only replicas.
    pub has_backups: bool,
    /// `false` while it is not at work, for one because it is being created.
    pub at_work: bool,
}

impl FoundInstance {
    /// Whether this says less of the same instance, so that it may no longer be selected.
    pub fn loses(&self, to: &Self) -> bool {
        self.has_backups && !to.has_backups
            || self.description.name.is_some() && to.description.name.is_none()
    }
}

#[cfg(test)]
impl FoundInstance {
    /// The same, made at this time.
    pub(crate) fn made_at(mut self, time: &str) -> Self {
        self.description.created = time.parse().ok();
        self
    }
}

impl Listing {
    /// Has sets share what is the same in all of them, as there may be a million, and gives back what memory is left over.
    #[must_use]
    pub fn made_lean(mut self) -> Self {
        self.sets.shrink_to_fit();
        let mut others = self.sets.iter_mut();
        let Some(first) = others.next() else {
            return self;
        };
        let mut last = (&first.backup_region, &first.restore_regions);
        for set in others {
            if set.backup_region == *last.0 {
                set.backup_region = Arc::clone(last.0);
            }
            if set.restore_regions == *last.1 {
                set.restore_regions = Arc::clone(last.1);
            }
            last = (&set.backup_region, &set.restore_regions);
        }
        self
    }
}

/// What a provider answered about one instance: everything that it listed in the look-back.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Listing {
    /// The sets, in the vendor's order, without duplicates.
    pub sets: Vec<BackupSet>,
    /// One entry for each oddity of a row.
    pub anomalies: Vec<Anomaly>,
    /// `false` when the page cap was reached or the provider's total disagrees with the rows read.
    pub complete: bool,
    /// The engine that the rows name, in lower case and in our spelling (`mysql`, `sqlserver`, …).
    pub engine: Option<String>,
    /// The engine's version as the rows name it.
    pub engine_version: Option<String>,
    /// The instance's name as the rows give it.
    pub instance_name: Option<String>,
    /// The regions to which the provider's policy copies, where reading the listing took knowing them.
    pub destinations: Vec<String>,
    /// Whether the provider's policy copies to other regions at all, where reading the listing took knowing it.
    pub protected: Option<bool>,
    /// From when on it was read, where that is further back than the look-back.
    pub back_to: Option<DateTime<Utc>>,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::example::{any_instance, copy_in, failed, local, now};

    fn incremental(set: BackupSet) -> BackupSet {
        BackupSet {
            backup_type: BackupType::Incremental,
            ..set
        }
    }

    fn are_usable(sets: &[BackupSet]) -> Vec<bool> {
        let usable = Usable::among(sets, now());
        sets.iter().map(|set| usable.contains(set)).collect()
    }

    #[test]
    fn an_incremental_set_needs_a_full_one_of_its_place_from_before() {
        let day = |ended| incremental(local(ended));
        let expired = BackupSet {
            expires: Some(now()),
            ..local("3d")
        };
        let undated = BackupSet {
            started: None,
            ended: None,
            ..local("3d")
        };
        for (case, base, is_usable) in [
            ("it continues this one", local("2d"), true),
            ("a later one", local("1h"), false),
            ("one that began with it", local("1d"), false),
            ("one that failed", failed(local("2d")), false),
            ("one that is expired", expired, false),
            ("one of no known time", undated, false),
            ("a copy elsewhere", copy_in("cn-shanghai", "2d"), false),
            ("another incremental one", day("2d"), false),
            (
                "a part of the instance",
                BackupSet {
                    backup_type: BackupType::Partial,
                    ..local("2d")
                },
                false,
            ),
        ] {
            // The order of the rows says nothing.
            assert_eq!(
                are_usable(&[base.clone(), day("1d")])[1],
                is_usable,
                "{case}"
            );
            assert_eq!(are_usable(&[day("1d"), base])[0], is_usable, "{case}");
        }
        let copies = [
            copy_in("cn-shanghai", "3d"),
            incremental(copy_in("cn-beijing", "1d")),
        ];
        assert_eq!(are_usable(&copies), [true, false]);
        assert_eq!(are_usable(&[day("1d")]), [false]);
        let broken = [local("3d"), failed(day("1d"))];
        assert_eq!(are_usable(&broken), [true, false]);
    }

    proptest! {
        /// Whatever is known: nothing is usable that is not sound, and taking a set away makes no other one usable.
        #[test]
        fn less_is_never_more(instance in any_instance(), left_out in any::<proptest::sample::Index>()) {
            let sets: Vec<BackupSet> = instance
                .0
                .listings
                .values()
                .filter_map(|listing| listing.found.sets())
                .flat_map(|sets| sets.all().cloned())
                .collect();
            prop_assume!(!sets.is_empty());
            let left_out = left_out.index(sets.len());
            let all = Usable::among(&sets, now());
            let fewer = Usable::among(sets[..left_out].iter().chain(&sets[left_out + 1..]), now());
            for set in &sets {
                prop_assert!(set.is_sound(now()) || !all.contains(set));
                prop_assert!(all.contains(set) || !fewer.contains(set));
                prop_assert!(set.backup_type != BackupType::Partial || !all.contains(set));
            }
        }
    }
}
