//! From Alibaba's rows to the vocabulary of `backup`. Pure: `now` and the instance are passed in.

use std::sync::Arc;

use super::wire::{CrossRegionRow, LocalRow, LogRow};
use crate::backup::{Anomaly, BackupSet, BackupType, Description, Scope, Status};
use crate::provider::row::{Normalised, Oddities, Origin, Subject, VendorRow};
use crate::provider::scalar::{Scalar, Unreadable};

impl VendorRow for CrossRegionRow {
    /// What tells this row from the others. `CrossBackupId` is 0 in the vendor's own sample, and then names nothing.
    fn identity(&self) -> Option<String> {
        self.cross_backup_id
            .text()
            .filter(|id| id != "0")
            .or_else(|| self.cross_backup_set_file.text())
    }

    fn origin(&self) -> Origin {
        origin(&self.engine, &self.engine_version)
    }

    fn normalise(self, subject: &Subject<'_>) -> Normalised {
        let (set, odd) = self.read(subject);
        odd.with(set)
    }
}

impl CrossRegionRow {
    /// The set that the row stands for, and what is odd about it.
    pub(super) fn read(&self, subject: &Subject<'_>) -> (BackupSet, Oddities) {
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
                .map_or_else(|| subject.backup_region.into(), Into::into),
            backup_type: backup_type.unwrap_or(BackupType::Full),
            status: odd.status(status, backup_type, started, ended),
            started,
            ended,
            size_bytes,
            recovery_point: odd.recovery_point(consistent, started),
            expires: None,
            available: true,
            restore_regions: self.restore_regions.0.as_slice().into(),
            covers_until: None,
        };
        (set, odd)
    }
}

impl VendorRow for LocalRow {
    /// What tells this row from the others.
    fn identity(&self) -> Option<String> {
        self.backup_id.text().filter(|id| id != "0")
    }

    fn origin(&self) -> Origin {
        origin(&self.engine, &self.engine_version)
    }

    fn normalise(self, subject: &Subject<'_>) -> Normalised {
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
            backup_region: subject.backup_region.into(),
            backup_type: backup_type.unwrap_or(BackupType::Full),
            status: odd.status(status, backup_type, started, ended),
            started,
            ended,
            size_bytes: odd.size(&self.backup_size),
            recovery_point: odd.recovery_point(consistent, started),
            expires,
            available: self.is_avail != Scalar::Other
                && self.is_avail.text().as_deref() != Some("0"),
            restore_regions: Arc::default(),
            covers_until: None,
        };
        odd.with(set)
    }
}

impl VendorRow for LogRow {
    /// What tells this row from the others. Two hosts of an instance may give their files the same names, and a file
    /// may be copied to two regions.
    fn identity(&self) -> Option<String> {
        let id = self.cross_log_backup_id.text().filter(|id| id != "0");
        id.or_else(|| {
            let text = |field: &Scalar| field.text().unwrap_or_default();
            let times = || Some((self.log_begin_time.text()?, self.log_end_time.text()?));
            let name = self.log_file_name.text();
            let name = name.or_else(|| times().map(|(begin, end)| format!("{begin} {end}")))?;
            let region = text(&self.cross_backup_region);
            Some(format!("{name} {region} {}", text(&self.instance_id)))
        })
    }

    /// Only its files are listed.
    fn origin(&self) -> Origin {
        Origin::default()
    }

    fn normalise(self, subject: &Subject<'_>) -> Normalised {
        let mut odd = Oddities::new(subject.now);
        let started = odd.time(self.log_begin_time.time());
        let ended = odd.time(self.log_end_time.time());
        // There is no status. A file whose last transaction is known was written to the end.
        let status = match ended {
            Some(_) => Status::Completed,
            None => Status::Unknown,
        };
        let recovery_point = odd.recovery_point(Ok(ended), None);
        let set = BackupSet {
            scope: Scope::CrossRegion,
            backup_region: self
                .cross_backup_region
                .text()
                .map_or_else(|| subject.backup_region.into(), Into::into),
            backup_type: BackupType::Log,
            status: odd.status(status, Some(BackupType::Log), started, ended),
            started,
            ended,
            size_bytes: odd.size(&self.cross_log_backup_size),
            recovery_point,
            expires: None,
            available: true,
            restore_regions: Arc::default(),
            covers_until: recovery_point,
        };
        odd.with(set)
    }
}

/// What a row says of its instance, where it names it as well.
pub(super) fn description(name: &Scalar, engine: &Scalar, version: &Scalar) -> Description {
    let origin = origin(engine, version);
    Description {
        name: name.text(),
        engine: origin.engine,
        engine_version: origin.engine_version,
        created: None,
    }
}

/// The cross-region listing says `mssql`, the others `SQLServer`.
fn origin(engine: &Scalar, version: &Scalar) -> Origin {
    let engine = engine.text().map(|name| name.to_lowercase());
    Origin {
        engine: engine.map(|name| match name.as_str() {
            "mssql" => "sqlserver".to_owned(),
            _ => name,
        }),
        engine_version: version.text(),
        name: None,
    }
}

/// One listing abbreviates, the other does not.
fn backup_type(name: &Scalar) -> Option<BackupType> {
    match name.text()?.as_str() {
        "F" | "FullBackup" => Some(BackupType::Full),
        "I" | "IncrementalBackup" => Some(BackupType::Incremental),
        _ => None,
    }
}
