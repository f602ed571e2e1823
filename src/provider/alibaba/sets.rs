//! The listings of sets and of log files, page by page.

use std::sync::Arc;

use chrono::{DateTime, Timelike, Utc};

use super::answer::read_page;
use super::learnt::NewestCopies;
use super::{Alibaba, wire};
use crate::backup::{Listing, ListingKind};
use crate::provider::error::{ListError, Reason};
use crate::provider::http::Answer;
use crate::provider::page::{End, Paging};
use crate::provider::pages::{Span, Window};
use crate::provider::row::{Page, Subject, VendorRow, gather};
use crate::provider::scalar::Row;
use crate::provider::{Call, Courier, Parameter};
use crate::service::alibaba_rds::{DESCRIBE_BACKUPS, DESCRIBE_COPIES, DESCRIBE_LOG_COPIES};
use crate::target::Target;

/// 30, 50 or 100 are allowed; the largest costs the fewest calls.
const PAGE_SIZE: usize = 100;

/// How one listing is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Question {
    pub listing: ListingKind,
    pub operation: &'static str,
    /// The spelling of a time.
    pub time: &'static str,
}

const SECONDS: &str = "%Y-%m-%dT%H:%M:%SZ";

/// The newest page of this listing asks for seconds; those of 2019 asked for minutes.
pub(super) const COPIES: Question = Question {
    listing: ListingKind::CrossRegion,
    operation: DESCRIBE_COPIES,
    time: SECONDS,
};

/// This listing has asked for minutes in every revision.
pub(super) const LOCAL_SETS: Question = Question {
    listing: ListingKind::Local,
    operation: DESCRIBE_BACKUPS,
    time: "%Y-%m-%dT%H:%MZ",
};

/// As for the sets in other regions.
pub(super) const LOG_COPIES: Question = Question {
    listing: ListingKind::CrossRegionLog,
    operation: DESCRIBE_LOG_COPIES,
    time: SECONDS,
};

impl Alibaba {
    /// Reads the sets that are kept in other regions, and remembers which of them a restore would begin with.
    pub(super) async fn copies(
        &self,
        target: &Target,
        back_to: Option<DateTime<Utc>>,
        courier: &impl Courier,
    ) -> Result<Listing, ListError> {
        let mut newest = NewestCopies::default();
        let meet = |row: &wire::CrossRegionRow, subject: &Subject<'_>| newest.meet(row, subject);
        let listed = self
            .read(COPIES, (target, back_to), read_copies, meet, courier)
            .await
            .inspect_err(|error| {
                if error.missing_instance || error.reason == Reason::Unsupported {
                    self.learnt.forget(&target.key);
                }
            })?;
        self.learnt.engine(&target.key, listed.engine.as_deref());
        self.learnt.copies(&target.key, newest);
        Ok(listed)
    }

    /// Reads the sets that are kept in the instance's own region.
    pub(super) async fn local_sets(
        &self,
        target: &Target,
        courier: &impl Courier,
    ) -> Result<Listing, ListError> {
        let listed = self
            .read(
                LOCAL_SETS,
                (target, None),
                read_local_sets,
                |_, _| {},
                courier,
            )
            .await?;
        self.learnt.engine(&target.key, listed.engine.as_deref());
        Ok(listed)
    }

    /// Reads the log files that are kept in other regions.
    pub(super) async fn log_copies(
        &self,
        target: &Target,
        back_to: Option<DateTime<Utc>>,
        courier: &impl Courier,
    ) -> Result<Listing, ListError> {
        let asked = (target, back_to);
        self.read(LOG_COPIES, asked, read_log_copies, |_, _| {}, courier)
            .await
    }

    /// Reads a listing; `meet` sees each row before it is taken in.
    async fn read<R: VendorRow + Send>(
        &self,
        question: Question,
        (target, back_to): (&Target, Option<DateTime<Utc>>),
        read: fn(&Call, &Answer) -> Result<Page<R>, ListError>,
        mut meet: impl FnMut(&R, &Subject<'_>) + Send,
        courier: &impl Courier,
    ) -> Result<Listing, ListError> {
        let mut gathered = Listing {
            back_to,
            ..Listing::default()
        };
        let mut paging = Paging::new(PAGE_SIZE, End::ShortPage);
        self.read_rows(
            Span {
                lookback: match question.listing {
                    ListingKind::CrossRegionLog => self.lookback.logs,
                    _ => self.lookback.sets,
                },
                back_to,
            },
            &mut paging,
            courier,
            |window, page| page_call(question, target, window, page),
            read,
            |paging, page| {
                let subject = Subject::of(question.listing, target, self.clock.now());
                for row in page.rows.iter().filter_map(|Row(row)| row.as_ref()) {
                    meet(row, &subject);
                }
                gather(&mut gathered, paging, page, &subject);
            },
        )
        .await?;
        gathered.complete = paging.is_complete();
        Ok(gathered)
    }
}

pub(super) fn page_call(question: Question, target: &Target, window: Window, page: u32) -> Call {
    let time = |time: DateTime<Utc>| Parameter::Text(time.format(question.time).to_string());
    Call {
        operation: question.operation,
        instance: Arc::clone(&target.key.instance_id),
        region: Arc::clone(&target.key.source_region),
        project: None,
        parameters: vec![
            ("DBInstanceId", Parameter::text(&*target.key.instance_id)),
            // DescribeBackups does not list it, but the older SDK sends it with every call, and the endpoint that
            // eleven regions share is helped by it.
            ("RegionId", Parameter::text(&*target.key.source_region)),
            // Both ends are widened to whole minutes, so that a set that ends in this minute is not cut off.
            ("StartTime", time(whole_minute(window.from()))),
            (
                "EndTime",
                time(whole_minute(window.now) + chrono::Duration::minutes(1)),
            ),
            ("PageNumber", Parameter::Number(page.into())),
            ("PageSize", Parameter::Number(PAGE_SIZE as u64)),
        ],
    }
}

fn whole_minute(time: DateTime<Utc>) -> DateTime<Utc> {
    time.with_second(0)
        .and_then(|time| time.with_nanosecond(0))
        .unwrap_or(time)
}

pub(super) fn read_copies(
    call: &Call,
    answer: &Answer,
) -> Result<Page<wire::CrossRegionRow>, ListError> {
    read_page(call, answer, |page: wire::CrossRegionPage| {
        let items = page.items.0;
        (page.total_record_count, items.map(|items| items.rows))
    })
}

pub(super) fn read_local_sets(
    call: &Call,
    answer: &Answer,
) -> Result<Page<wire::LocalRow>, ListError> {
    read_page(call, answer, |page: wire::LocalPage| {
        let items = page.items.0;
        (page.total_record_count, items.map(|items| items.rows))
    })
}

pub(super) fn read_log_copies(
    call: &Call,
    answer: &Answer,
) -> Result<Page<wire::LogRow>, ListError> {
    read_page(call, answer, |page: wire::LogPage| {
        let items = page.items.0;
        (page.total_record_count, items.map(|items| items.rows))
    })
}
