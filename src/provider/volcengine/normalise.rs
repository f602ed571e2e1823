//! From Volcengine's rows to the vocabulary of `backup`. Pure: `now` and the instance are passed in.

use std::sync::Arc;

use super::wire::BackupRow;
use crate::backup::{Anomaly, BackupSet, BackupType, Scope, Status};
use crate::provider::row::{Claim, Normalised, Oddities, Origin, Subject, VendorRow};

impl VendorRow for BackupRow {
    /// The same point is copied to each target region under the same id.
    fn identity(&self) -> Option<String> {
        let region = self.target_region.text().unwrap_or_default();
        let point = self.backup_point_id.text()?;
        Some(format!("{point} {region}"))
    }

    fn origin(&self) -> Origin {
        origin(self)
    }

    fn normalise(self, subject: &Subject<'_>) -> Normalised {
        normalise(&self, subject)
    }
}

fn origin(row: &BackupRow) -> Origin {
    let info = row.instance_info.0.as_ref();
    Origin {
        engine: Some("redis".to_owned()),
        engine_version: info.and_then(|info| info.engine_version.text()),
        name: info.and_then(|info| info.instance_name.text()),
    }
}

fn normalise(row: &BackupRow, subject: &Subject<'_>) -> Normalised {
    let mut odd = Oddities::new(subject.now);
    let owner = row.instance_id.text();
    if owner.is_some_and(|id| id != subject.instance_id) {
        odd.note(Anomaly::ForeignInstance);
        return odd.alone();
    }
    let backup_type = match row.backup_type.text().as_deref() {
        Some("Full") => Some(BackupType::Full),
        _ => None,
    };
    let started = odd.time(row.start_time.time());
    let ended = odd.time(row.end_time.time());
    let status = match row.status.text().as_deref() {
        Some("Available") => Status::Completed,
        // There is no word for "failed"; the vendor's own tools take this one for it.
        Some("Unavailable") => Status::Failed,
        Some("Creating") => Status::Running,
        Some("Deleting") => Status::Deleting,
        Some(_) | None => Status::Unknown,
    };
    let named_region = match subject.scope {
        Scope::CrossRegion => row.target_region.text(),
        Scope::Local => None,
    };
    let region = named_region.as_deref().unwrap_or(subject.backup_region);
    if subject.is_misplaced_in(region) {
        odd.note(Anomaly::WrongRegion);
        return odd.alone();
    }
    // Bytes, as the newest of the vendor's texts and the sample agree; older ones say MiB.
    let size_bytes = odd.size(&row.size);
    let claim = Claim {
        backup_type,
        started,
        ended,
        size_bytes,
    };
    let set = BackupSet {
        scope: subject.scope,
        backup_region: region.into(),
        backup_type: backup_type.unwrap_or(BackupType::Full),
        status: odd.status(status, &claim),
        started,
        ended,
        size_bytes,
        // The end of a copy includes the time of copying.
        recovery_point: odd.recovery_point(Ok(None), started, ended),
        expires: None,
        available: true,
        is_copied: true,
        restore_regions: Arc::default(),
        covers_until: None,
    };
    odd.with(set)
}
