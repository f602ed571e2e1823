//! To when the vendor can restore. Pure.

use chrono::{DateTime, Utc};

use super::wire::TimeWindow;
use crate::backup::{Anomaly, CLOCK_TOLERANCE, RestoreWindow, RestoreWindows, Scope};
use crate::provider::scalar::{Scalar, Unreadable};
use crate::target::Target;

/// The window of an instance. There is none while its data flashback is off.
pub(super) fn windows(target: &Target, window: &TimeWindow, now: DateTime<Utc>) -> RestoreWindows {
    let (windows, anomalies) = match bounds(window, now) {
        Ok(Some((start, end))) => {
            let window = RestoreWindow {
                scope: Scope::Local,
                backup_region: target.key.source_region.to_string(),
                start,
                end,
            };
            (vec![window], Vec::new())
        }
        Ok(None) => (Vec::new(), Vec::new()),
        Err(anomaly) => (Vec::new(), vec![anomaly]),
    };
    RestoreWindows { windows, anomalies }
}

type Bounds = (DateTime<Utc>, DateTime<Utc>);

fn bounds(window: &TimeWindow, now: DateTime<Utc>) -> Result<Option<Bounds>, Anomaly> {
    let bad = |Unreadable| Anomaly::BadTime;
    let start = time(&window.start_time).map_err(bad)?;
    let end = time(&window.end_time).map_err(bad)?;
    match (start, end) {
        (None, None) => Ok(None),
        (Some(start), Some(end)) if end < start => Err(Anomaly::BadTime),
        (Some(_), Some(end)) if end > now + CLOCK_TOLERANCE => Err(Anomaly::FutureTime),
        (Some(start), Some(end)) => Ok(Some((start, end))),
        // Half a window is none.
        (Some(_), None) | (None, Some(_)) => Err(Anomaly::BadTime),
    }
}

/// The page calls the times UTC, and shows one of them without a zone.
fn time(time: &Scalar) -> Result<Option<DateTime<Utc>>, Unreadable> {
    time.time().or_else(|unreadable| match time {
        Scalar::Text(text) => Scalar::Text(format!("{}Z", text.trim())).time(),
        _ => Err(unreadable),
    })
}
