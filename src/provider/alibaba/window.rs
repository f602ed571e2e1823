//! To when the vendor says that it can restore: one question about the backups of the instance's own region, and one
//! about each region that keeps copies.
//!
//! Alibaba answers the first for every engine but SQL Server, and the second for `MySQL` on local disks only, of one set.
//! That there is no window comes as an error.

use std::sync::Arc;

use super::answer::read_object;
use super::{Alibaba, refusal, wire};
use crate::backup::{Anomaly, CLOCK_TOLERANCE, RestoreWindow, RestoreWindows, Scope};
use crate::provider::error::{ListError, Reason, VendorWord};
use crate::provider::http::Answer;
use crate::provider::row::{Oddities, Subject};
use crate::provider::scalar::Scalar;
use crate::provider::{Call, Courier, Parameter};
use crate::service::alibaba_rds::{DESCRIBE_LOCAL_TIMES, DESCRIBE_TIMES};
use crate::target::Target;

impl Alibaba {
    /// Asks for all restore windows of an instance.
    pub(super) async fn windows(
        &self,
        target: &Target,
        courier: &impl Courier,
    ) -> Result<RestoreWindows, ListError> {
        let known = self.learnt.of(&target.key);
        let engine = known.engine.as_deref();
        let mut found = RestoreWindows::default();
        let place = |scope, backup_region| Subject {
            instance_id: &target.key.instance_id,
            source_region: &target.key.source_region,
            engine,
            scope,
            backup_region,
            now: self.clock.now(),
        };
        if engine != Some("sqlserver") {
            let times = courier.send(|| local_call(target), read_times).await;
            if let Some(times) = unless_there_are_none(times)? {
                take(
                    &mut found,
                    &times,
                    &place(Scope::Local, &target.key.source_region),
                );
            }
        }
        if engine.is_none_or(|engine| engine == "mysql") {
            for (region, id) in &known.copies {
                let times = courier.send(|| copy_call(target, *id), read_times).await;
                if let Some(times) = unless_there_are_none(times)? {
                    take(&mut found, &times, &place(Scope::CrossRegion, region));
                }
            }
        }
        Ok(found)
    }
}

fn local_call(target: &Target) -> Call {
    call(
        DESCRIBE_LOCAL_TIMES,
        target,
        // The one operation that does not call it `RegionId`.
        vec![
            ("DBInstanceId", Parameter::text(&*target.key.instance_id)),
            ("Region", Parameter::text(&*target.key.source_region)),
        ],
    )
}

fn copy_call(target: &Target, id: u64) -> Call {
    call(
        DESCRIBE_TIMES,
        target,
        vec![
            ("CrossBackupId", Parameter::Number(id)),
            // That of the instance, not of the copy: the answer calls it the region of the source.
            ("RegionId", Parameter::text(&*target.key.source_region)),
            ("DBInstanceId", Parameter::text(&*target.key.instance_id)),
        ],
    )
}

fn call(
    operation: &'static str,
    target: &Target,
    parameters: Vec<(&'static str, Parameter)>,
) -> Call {
    Call {
        operation,
        instance: Arc::clone(&target.key.instance_id),
        region: Arc::clone(&target.key.source_region),
        project: None,
        parameters,
    }
}

/// Reads an answer to either question. An answer without times is one as long as it is the vendor's.
pub(super) fn read_times(call: &Call, answer: &Answer) -> Result<wire::RecoveryTimes, ListError> {
    read_object(call, answer, |times: wire::RecoveryTimes| {
        let has_times = [&times.recovery_begin_time, &times.recovery_end_time]
            .into_iter()
            .any(|time| *time != Scalar::Absent);
        let is_an_answer =
            has_times || times.code == Scalar::Absent && times.request_id != Scalar::Absent;
        is_an_answer.then_some(times)
    })
}

/// Some refusals say no more than that nothing can be restored from there.
fn unless_there_are_none<T>(times: Result<T, ListError>) -> Result<Option<T>, ListError> {
    let is_none = |error: &ListError| {
        let code = error.code.as_ref().map(VendorWord::as_str);
        error.reason == Reason::Unsupported || code.is_some_and(refusal::is_without_window)
    };
    match times {
        Err(error) if is_none(&error) => Ok(None),
        times => times.map(Some),
    }
}

/// Takes in a window, unless it makes no sense.
pub(super) fn take(found: &mut RestoreWindows, times: &wire::RecoveryTimes, place: &Subject<'_>) {
    let mut odd = Oddities::new(place.now);
    if let Some(window) = window(times, place, &mut odd) {
        found.windows.push(window);
    }
    found.anomalies.extend(odd.alone().anomalies);
}

fn window(
    times: &wire::RecoveryTimes,
    place: &Subject<'_>,
    odd: &mut Oddities,
) -> Option<RestoreWindow> {
    let id = times.db_instance_id.text();
    if id.is_some_and(|id| id != place.instance_id) {
        odd.note(Anomaly::ForeignInstance);
        return None;
    }
    let start = odd.time(times.recovery_begin_time.time());
    let end = odd.time(times.recovery_end_time.time());
    let (start, end) = match (start, end) {
        (Some(start), Some(end)) => (start, end),
        (None, None) => return None,
        // One end alone is no window.
        (Some(_), None) | (None, Some(_)) => {
            odd.note(Anomaly::BadTime);
            return None;
        }
    };
    if end < start {
        odd.note(Anomaly::BadTime);
        return None;
    }
    if end > place.now + CLOCK_TOLERANCE {
        odd.note(Anomaly::FutureTime);
        return None;
    }
    Some(RestoreWindow {
        scope: place.scope,
        backup_region: place.backup_region.to_owned(),
        start,
        end,
    })
}
