//! From Huawei's rows to the vocabulary of `backup`. Pure: `now` and the instance are passed in.

use std::sync::Arc;

use super::wire::{BackupRow, Datastore};
use crate::backup::{Anomaly, BackupSet, BackupType, Status};
use crate::provider::row::{Claim, Normalised, Oddities, Origin, Subject, VendorRow};
use crate::provider::scalar::{Scalar, Unreadable};

/// The only engine of which manual sets are copied, and of which a set may hold some databases.
pub(super) const SQL_SERVER: &str = "sqlserver";

impl VendorRow for BackupRow {
    fn identity(&self) -> Option<String> {
        self.id.text()
    }

    fn origin(&self) -> Origin {
        origin(self)
    }

    fn normalise(self, subject: &Subject<'_>) -> Normalised {
        normalise(&self, subject)
    }
}

/// The engine in our spelling. The page writes `sqlserver` where the models write `SQLServer`.
pub(super) fn engine(datastore: &Datastore) -> Option<String> {
    datastore.engine.text().map(|name| name.to_lowercase())
}

fn origin(row: &BackupRow) -> Origin {
    let Some(datastore) = &row.datastore.0 else {
        return Origin::default();
    };
    Origin {
        engine: engine(datastore),
        engine_version: datastore.version.text(),
        name: None,
    }
}

fn normalise(row: &BackupRow, subject: &Subject<'_>) -> Normalised {
    let mut odd = Oddities::new(subject.now);
    let owner = row.instance_id.text();
    if owner.is_some_and(|id| id != subject.instance_id) {
        odd.note(Anomaly::ForeignInstance);
        return odd.alone();
    }
    if subject.is_misplaced_in(subject.backup_region) {
        odd.note(Anomaly::WrongRegion);
        return odd.alone();
    }
    let backup_type = backup_type(row, subject);
    let started = odd.time(row.begin_time.time());
    let ended = odd.time(row.end_time.time());
    let status = match row.status.text().as_deref() {
        Some("COMPLETED") => Status::Completed,
        Some("FAILED") => Status::Failed,
        Some("BUILDING") => Status::Running,
        Some("DELETING") => Status::Deleting,
        Some(_) | None => Status::Unknown,
    };
    // A full set is consistent at its start or later. The end of a log is the commit of the last transaction in it,
    // which on an idle database lies long before its upload.
    let consistent = match backup_type {
        Some(BackupType::Log) => Ok(ended),
        _ => Ok(None),
    };
    // So it may lie before the beginning, which is not odd then.
    let believed_end = ended.filter(|ended| {
        let is_idle_log =
            backup_type == Some(BackupType::Log) && started.is_some_and(|started| *ended < started);
        !is_idle_log
    });
    let size_bytes = size_bytes(&mut odd, &row.size);
    let claim = Claim {
        backup_type,
        started,
        ended: believed_end,
        size_bytes,
    };
    let set = BackupSet {
        scope: subject.scope,
        backup_region: subject.backup_region.into(),
        backup_type: backup_type.unwrap_or(BackupType::Full),
        status: odd.status(status, &claim),
        started,
        ended,
        size_bytes,
        recovery_point: odd.recovery_point(consistent, started, ended),
        expires: None,
        available: true,
        // "Cross-region manual backups are supported only for RDS for SQL Server."
        is_copied: !is_manual(row) || subject.engine == Some(SQL_SERVER),
        restore_regions: Arc::default(),
        covers_until: None,
    };
    odd.with(set)
}

/// Whether a person started it, as far as its own region tells.
fn is_manual(row: &BackupRow) -> bool {
    row.backup_type.text().as_deref() == Some("manual")
}

/// `incremental` is a log (binlog, WAL, transaction log), one every five minutes; `fragment` is what others call
/// incremental. In another region `auto` stands for manual sets as well.
///
/// Who starts a backup of SQL Server by hand may choose databases, and the row names them. Automated ones may name
/// databases too, which are then all that there are.
fn backup_type(row: &BackupRow, subject: &Subject<'_>) -> Option<BackupType> {
    let may_be_a_part = subject.engine.is_none_or(|engine| engine == SQL_SERVER);
    match row.backup_type.text()?.as_str() {
        "manual" if may_be_a_part && !row.databases.0.is_empty() => Some(BackupType::Partial),
        "auto" | "manual" => Some(BackupType::Full),
        "fragment" => Some(BackupType::Incremental),
        "incremental" => Some(BackupType::Log),
        _ => None,
    }
}

/// The pages give sizes in KB and nowhere say of how many bytes: 1024, as everywhere where storage is rented.
fn size_bytes(odd: &mut Oddities, kilobytes: &Scalar) -> Option<u64> {
    let bytes = match kilobytes.count() {
        Ok(None) => Ok(None),
        Ok(Some(kilobytes)) => kilobytes.checked_mul(1024).map(Some).ok_or(Unreadable),
        Err(Unreadable) => Err(Unreadable),
    };
    bytes.unwrap_or_else(|Unreadable| {
        odd.note(Anomaly::BadSize);
        None
    })
}
