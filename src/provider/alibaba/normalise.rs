//! From Alibaba's rows to the vocabulary of `backup`. Pure: `now` and the instance are passed in.

use std::sync::Arc;

use super::wire::{CrossRegionRow, LocalRow, LogRow};
use crate::backup::{Anomaly, BackupSet, BackupType, Description, Scope, Status};
use crate::provider::row::{Claim, Normalised, Oddities, Origin, Subject, VendorRow};
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
        match set {
            Some(set) => odd.with(set),
            None => odd.alone(),
        }
    }
}

impl CrossRegionRow {
    /// The set that the row stands for, unless it is no copy, and what is odd about it.
    pub(super) fn read(&self, subject: &Subject<'_>) -> (Option<BackupSet>, Oddities) {
        let mut odd = Oddities::new(subject.now);
        let Some(backup_region) = region(&self.cross_backup_region, subject) else {
            odd.note(Anomaly::WrongRegion);
            return (None, odd);
        };
        let extent = match self.backup_set_scale.text().as_deref() {
            Some("0") => Some(Extent::Whole),
            Some("1") => Some(Extent::Part),
            word => unnamed_extent(word, &self.backup_set_scale),
        };
        let backup_type = backup_type(&self.backup_type, extent, &mut odd);
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
        let claim = Claim {
            backup_type,
            started,
            ended,
            size_bytes,
        };
        let consistent = self.consistent_time.time_or_seconds();
        let set = BackupSet {
            scope: Scope::CrossRegion,
            backup_region,
            backup_type: backup_type.unwrap_or(BackupType::Full),
            status: odd.status(status, &claim),
            started,
            ended,
            size_bytes,
            recovery_point: odd.recovery_point(consistent, started, ended),
            expires: None,
            available: true,
            is_copied: true,
            restore_regions: self.restore_regions.0.as_slice().into(),
            covers_until: None,
        };
        (Some(set), odd)
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
        // The samples have `DBInstance` only. Names of fields beside it are `DataBase` and `DBTable`.
        let extent = match self
            .backup_scale
            .text()
            .map(|word| word.to_lowercase())
            .as_deref()
        {
            Some("dbinstance") => Some(Extent::Whole),
            Some("database" | "dbtable") => Some(Extent::Part),
            word => unnamed_extent(word, &self.backup_scale),
        };
        let backup_type = backup_type(&self.backup_type, extent, &mut odd);
        let started = odd.time(self.backup_start_time.time());
        let ended = odd.time(self.backup_end_time.time());
        let size_bytes = odd.size(&self.backup_size);
        let status = match self.backup_status.text().as_deref() {
            Some("Success") => Status::Completed,
            Some("Failed") => Status::Failed,
            // Documented are these two; what is being written shows up in another call.
            Some(_) | None => Status::Unknown,
        };
        let claim = Claim {
            backup_type,
            started,
            ended,
            size_bytes,
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
            status: odd.status(status, &claim),
            started,
            ended,
            size_bytes,
            recovery_point: odd.recovery_point(consistent, started, ended),
            expires,
            available: self.is_avail != Scalar::Other
                && self.is_avail.text().as_deref() != Some("0"),
            is_copied: true,
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
        let Some(backup_region) = region(&self.cross_backup_region, subject) else {
            odd.note(Anomaly::WrongRegion);
            return odd.alone();
        };
        let started = odd.time(self.log_begin_time.time());
        let ended = odd.time(self.log_end_time.time());
        // There is no status. A file whose last transaction is known was written to the end.
        let status = match ended {
            Some(_) => Status::Completed,
            None => Status::Unknown,
        };
        let recovery_point = odd.recovery_point(Ok(ended), None, ended);
        let size_bytes = odd.size(&self.cross_log_backup_size);
        let claim = Claim {
            backup_type: Some(BackupType::Log),
            started,
            ended,
            size_bytes,
        };
        let set = BackupSet {
            scope: Scope::CrossRegion,
            backup_region,
            backup_type: BackupType::Log,
            status: odd.status(status, &claim),
            started,
            ended,
            size_bytes,
            recovery_point,
            expires: None,
            available: true,
            is_copied: true,
            restore_regions: Arc::default(),
            covers_until: recovery_point,
        };
        odd.with(set)
    }
}

/// The region that keeps a copy; nothing where that is the instance's own.
fn region(named: &Scalar, subject: &Subject<'_>) -> Option<Arc<str>> {
    let named = named.text();
    let region = named.as_deref().unwrap_or(subject.backup_region);
    (!subject.is_misplaced_in(region)).then(|| region.into())
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

/// How much of the instance a set holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Extent {
    Whole,
    Part,
}

/// What a row means that uses none of the known words: everything where it is silent, else nobody knows.
fn unnamed_extent(word: Option<&str>, field: &Scalar) -> Option<Extent> {
    (word.is_none() && *field != Scalar::Other).then_some(Extent::Whole)
}

/// One listing abbreviates, the other does not. What nobody knows the extent of counts as whole: taken for a part, a new
/// word would hide every backup that bears it.
fn backup_type(name: &Scalar, extent: Option<Extent>, odd: &mut Oddities) -> Option<BackupType> {
    if extent.is_none() {
        odd.note(Anomaly::UnknownExtent);
    }
    let whole = match name.text()?.as_str() {
        "F" | "FullBackup" => BackupType::Full,
        "I" | "IncrementalBackup" => BackupType::Incremental,
        _ => return None,
    };
    Some(match extent {
        Some(Extent::Part) => BackupType::Partial,
        Some(Extent::Whole) | None => whole,
    })
}
