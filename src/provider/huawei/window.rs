//! To when the vendor says that it can restore an instance, from what its own region keeps and from the copies.

use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::answer::read_object;
use super::place::is_passed_over;
use super::refusal::refused;
use super::wire::{RestoreTime, RestoreTimes};
use super::{Huawei, LIST_OFF_SITE_RESTORE_TIMES, LIST_RESTORE_TIMES};
use crate::backup::{
    Anomaly, CLOCK_TOLERANCE, ListingKind, RestoreWindow, RestoreWindows, Scope, is_conceivable,
};
use crate::provider::error::{ListError, VendorWord};
use crate::provider::http::Answer;
use crate::provider::scalar::{Row, Scalar};
use crate::provider::{Call, Courier};
use crate::target::Target;

/// Where a stretch of time is restored from.
pub(super) struct Keeper<'a> {
    pub scope: Scope,
    pub region: &'a str,
    pub now: DateTime<Utc>,
}

impl Huawei {
    /// Asks the source region for its own windows, and each region that keeps copies for those of the copies. Asked for
    /// the latter, the source region answers with a plausible local window, so it never is.
    pub(super) async fn list_windows(
        &self,
        target: &Target,
        courier: &impl Courier,
    ) -> Result<RestoreWindows, ListError> {
        let instance = &target.key.instance_id;
        let ask = async |operation, region: &Arc<str>, project: Arc<str>| {
            let call = || Call {
                operation,
                instance: Arc::clone(instance),
                region: Arc::clone(region),
                project: Some(Arc::clone(&project)),
                parameters: Vec::new(),
            };
            courier.send(call, read_restore_times).await
        };
        let home = &target.key.source_region;
        let mut found = RestoreWindows::default();
        let mut take = |rows, scope, region| {
            let now = self.clock.now();
            gather(&mut found, rows, &Keeper { scope, region, now });
        };
        let project = self.project(home, courier).await?;
        let rows = ask(LIST_RESTORE_TIMES, home, project).await?;
        take(rows, Scope::Local, home);
        let whereabouts = self.whereabouts(target, courier).await?;
        for (keeper, is_former) in whereabouts.keepers(ListingKind::RestoreWindow) {
            if keeper.region == *home {
                continue;
            }
            let place = (&keeper.region, keeper.project.as_ref());
            let read = async {
                let project = self.project_of(place, courier).await?;
                ask(LIST_OFF_SITE_RESTORE_TIMES, &keeper.region, project).await
            };
            match read.await {
                Ok(rows) => take(rows, Scope::CrossRegion, &keeper.region),
                Err(error) if is_former && is_passed_over(&error) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(found)
    }
}

/// Reads the windows; none where there is nothing to restore from.
pub(super) fn read_restore_times(
    call: &Call,
    answer: &Answer,
) -> Result<Vec<Row<RestoreTime>>, ListError> {
    let read: RestoreTimes = match read_object(call, answer) {
        Err(error) if has_no_backup(&error) => return Ok(Vec::new()),
        read => read?,
    };
    read.restore_time.ok_or_else(|| refused(call, answer))
}

/// The vendor found the instance and no backup of it.
fn has_no_backup(error: &ListError) -> bool {
    let code = error.code.as_ref().map(VendorWord::as_str);
    matches!(code, Some("DBS.201010" | "DBS.201203" | "DBS.280214"))
}

/// Takes one answer's windows, in the vendor's order.
pub(super) fn gather(found: &mut RestoreWindows, rows: Vec<Row<RestoreTime>>, keeper: &Keeper<'_>) {
    for Row(row) in rows {
        match row.map_or(Err(Anomaly::BadRow), |row| window(&row, keeper)) {
            Ok(window) => found.windows.push(window),
            Err(anomaly) => found.anomalies.push(anomaly),
        }
    }
}

fn window(row: &RestoreTime, keeper: &Keeper<'_>) -> Result<RestoreWindow, Anomaly> {
    let start = milliseconds(&row.start_time).ok_or(Anomaly::BadTime)?;
    let end = milliseconds(&row.end_time).ok_or(Anomaly::BadTime)?;
    if end < start {
        return Err(Anomaly::BadTime);
    }
    if end > keeper.now + CLOCK_TOLERANCE {
        return Err(Anomaly::FutureTime);
    }
    Ok(RestoreWindow {
        scope: keeper.scope,
        backup_region: keeper.region.to_owned(),
        start,
        end,
    })
}

/// Milliseconds since 1970; 0 is a zero and no time.
fn milliseconds(value: &Scalar) -> Option<DateTime<Utc>> {
    let milliseconds = value.count().ok()??;
    let time = DateTime::from_timestamp_millis(i64::try_from(milliseconds).ok()?)?;
    Some(time).filter(|time| *time > DateTime::UNIX_EPOCH && is_conceivable(*time))
}
