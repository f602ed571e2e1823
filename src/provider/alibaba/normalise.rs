//! From Alibaba's rows to the vocabulary of `backup`. Pure: `now` and the instance are passed in.

use chrono::{DateTime, Utc};

use super::wire::{CrossRegionRow, LocalRow};
use crate::backup::{Anomaly, BackupSet, BackupType, CLOCK_TOLERANCE, Scope, Status};
use crate::provider::scalar::{Scalar, Unreadable};

/// What the rows are about.
pub(super) struct Subject<'a> {
    /// The instance that was asked about.
    pub instance_id: &'a str,
    /// Its own region, where local sets are kept.
    pub source_region: &'a str,
    /// The one region where its copies are expected, for a row that does not name its own.
    pub only_backup_region: Option<&'a str>,
    /// The present, against which future times are seen.
    pub now: DateTime<Utc>,
}

/// What a row came to: a set, or only oddities.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Normalised {
    pub set: Option<BackupSet>,
    pub anomalies: Vec<Anomaly>,
}

impl CrossRegionRow {
    /// What tells this row from the others. `CrossBackupId` is 0 in the vendor's own sample, and then names nothing.
    pub(super) fn identity(&self) -> Option<String> {
        self.cross_backup_id
            .text()
            .filter(|id| id != "0")
            .or_else(|| self.cross_backup_set_file.text())
    }

    pub(super) fn normalise(self, subject: &Subject<'_>) -> Normalised {
        let mut odd = Oddities::new(subject.now);
        let backup_type = backup_type(&self.backup_type);
        let started = odd.time(self.backup_start_time.time());
        let ended = odd.time(self.backup_end_time.time());
        let size_bytes = odd.size(&self.cross_backup_set_size);
        // The status is documented, but absent from the samples that look real. A set that has an end and a size was
        // written to the end.
        let status = match self.backup_set_status.text().as_deref() {
            Some("0") => Status::Completed,
            Some("1") => Status::Failed,
            None if self.backup_set_status == Scalar::Other => Status::Unknown,
            None if ended.is_some() && size_bytes.is_some() => Status::Completed,
            Some(_) | None => Status::Unknown,
        };
        let consistent = self.consistent_time.time_or_seconds();
        let set = BackupSet {
            scope: Scope::CrossRegion,
            backup_region: self
                .cross_backup_region
                .text()
                .or_else(|| subject.only_backup_region.map(str::to_owned))
                .unwrap_or_default(),
            backup_type: backup_type.unwrap_or(BackupType::Full),
            status: odd.status(status, backup_type, started, ended),
            started,
            ended,
            size_bytes,
            recovery_point: odd.recovery_point(consistent, started),
            expires: None,
            available: true,
            restore_regions: self.restore_regions.0,
        };
        odd.with(set)
    }
}

impl LocalRow {
    /// What tells this row from the others.
    pub(super) fn identity(&self) -> Option<String> {
        self.backup_id.text().filter(|id| id != "0")
    }

    pub(super) fn normalise(self, subject: &Subject<'_>) -> Normalised {
        let mut odd = Oddities::new(subject.now);
        if self
            .db_instance_id
            .text()
            .is_some_and(|id| id != subject.instance_id)
        {
            odd.note(Anomaly::ForeignInstance);
            return odd.alone();
        }
        let backup_type = backup_type(&self.backup_type);
        let started = odd.time(self.backup_start_time.time());
        let ended = odd.time(self.backup_end_time.time());
        let status = match self.backup_status.text().as_deref() {
            Some("Success") => Status::Completed,
            Some("Failed") => Status::Failed,
            // Documented are these two; what is being written shows up in another call.
            Some(_) | None => Status::Unknown,
        };
        let consistent = self.consistent_time.time_or_seconds();
        let expires = self.expect_expire_time.time().unwrap_or_else(|Unreadable| {
            odd.note(Anomaly::BadTime);
            None
        });
        let set = BackupSet {
            scope: Scope::Local,
            backup_region: subject.source_region.to_owned(),
            backup_type: backup_type.unwrap_or(BackupType::Full),
            status: odd.status(status, backup_type, started, ended),
            started,
            ended,
            size_bytes: odd.size(&self.backup_size),
            recovery_point: odd.recovery_point(consistent, started),
            expires,
            available: self.is_avail != Scalar::Other
                && self.is_avail.text().as_deref() != Some("0"),
            restore_regions: Vec::new(),
        };
        odd.with(set)
    }
}

/// The row is no object at all.
pub(super) fn not_a_row() -> Normalised {
    Normalised {
        set: None,
        anomalies: vec![Anomaly::UnknownStatus],
    }
}

/// The engine in our spelling: the cross-region listing says `mssql`, the others `SQLServer`.
pub(super) fn engine(name: &Scalar) -> Option<String> {
    let name = name.text()?.to_lowercase();
    Some(if name == "mssql" {
        "sqlserver".to_owned()
    } else {
        name
    })
}

/// One listing abbreviates, the other does not.
fn backup_type(name: &Scalar) -> Option<BackupType> {
    match name.text()?.as_str() {
        "F" | "FullBackup" => Some(BackupType::Full),
        "I" | "IncrementalBackup" => Some(BackupType::Incremental),
        _ => None,
    }
}

/// Collects what is odd about one row; each kind is counted once a row.
struct Oddities {
    now: DateTime<Utc>,
    found: Vec<Anomaly>,
}

impl Oddities {
    fn new(now: DateTime<Utc>) -> Self {
        Self {
            now,
            found: Vec::new(),
        }
    }

    fn note(&mut self, anomaly: Anomaly) {
        if !self.found.contains(&anomaly) {
            self.found.push(anomaly);
        }
    }

    fn time(&mut self, time: Result<Option<DateTime<Utc>>, Unreadable>) -> Option<DateTime<Utc>> {
        time.unwrap_or_else(|Unreadable| {
            self.note(Anomaly::BadTime);
            None
        })
    }

    fn size(&mut self, size: &Scalar) -> Option<u64> {
        size.count().unwrap_or_else(|Unreadable| {
            self.note(Anomaly::BadSize);
            None
        })
    }

    /// The status that we believe. A set of an unknown kind or from the future is never taken for a success. One that
    /// ends before it starts keeps what the vendor says of it; only its duration is not known.
    fn status(
        &mut self,
        claimed: Status,
        backup_type: Option<BackupType>,
        started: Option<DateTime<Utc>>,
        ended: Option<DateTime<Utc>>,
    ) -> Status {
        if started.is_none() && ended.is_none() {
            self.note(Anomaly::BadTime);
        }
        if let (Some(started), Some(ended)) = (started, ended)
            && ended < started
        {
            self.note(Anomaly::BadTime);
        }
        let is_understood = claimed != Status::Unknown && backup_type.is_some();
        if !is_understood {
            self.note(Anomaly::UnknownStatus);
        }
        let mut times = [started, ended].into_iter().flatten();
        let is_future = times.any(|time| self.is_future(time));
        if is_future {
            self.note(Anomaly::FutureTime);
        }
        if is_understood && !is_future {
            claimed
        } else {
            Status::Unknown
        }
    }

    /// The consistent time, else the start, which is the cautious choice: the data is at least that new.
    fn recovery_point(
        &mut self,
        consistent: Result<Option<DateTime<Utc>>, Unreadable>,
        started: Option<DateTime<Utc>>,
    ) -> Option<DateTime<Utc>> {
        match self.time(consistent) {
            Some(time) if self.is_future(time) => {
                self.note(Anomaly::FutureTime);
                started
            }
            Some(time) => Some(time),
            None => started,
        }
    }

    fn is_future(&self, time: DateTime<Utc>) -> bool {
        time > self.now + CLOCK_TOLERANCE
    }

    fn with(self, set: BackupSet) -> Normalised {
        Normalised {
            set: Some(set),
            anomalies: self.found,
        }
    }

    fn alone(self) -> Normalised {
        Normalised {
            set: None,
            anomalies: self.found,
        }
    }
}
