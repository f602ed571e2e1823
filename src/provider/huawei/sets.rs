//! Reads the sets and the logs of an instance, in its own region and in those that keep copies.

use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::answer::read_sets;
use super::coverage::cover;
use super::normalise::SQL_SERVER;
use super::place::is_passed_over;
use super::policy::Destination;
use super::{Huawei, LIST_BACKUPS, LIST_OFF_SITE_BACKUPS, PAGE_SIZE, row_index};
use crate::backup::{Listing, ListingKind};
use crate::provider::error::{ListError, Reason};
use crate::provider::page::{End, Paging};
use crate::provider::pages::{Position, Span, Window, read_pages};
use crate::provider::row::{Subject, gather};
use crate::provider::{Call, Courier, Parameter};
use crate::target::Target;

impl Huawei {
    pub(super) async fn list_local(
        &self,
        target: &Target,
        courier: &impl Courier,
    ) -> Result<Listing, ListError> {
        let region = &target.key.source_region;
        let question = Question {
            listing: ListingKind::Local,
            operation: LIST_BACKUPS,
            target,
            region,
            project: self.project(region, courier).await?,
            span: self.lookback.sets.into(),
        };
        let mut listing = Listing {
            complete: true,
            ..Listing::default()
        };
        // A gateway that ignored the type would list each set once for each question.
        let mut seen = Paging::new(PAGE_SIZE, End::RowsRead);
        for backup_type in ["auto", "manual", "fragment"] {
            // Differential sets exist for SQL Server only.
            if backup_type == "fragment" && listing.engine.as_deref() != Some(SQL_SERVER) {
                continue;
            }
            let paging = seen.followed_by(PAGE_SIZE, End::RowsRead);
            seen = self
                .read(&question, backup_type, (courier, paging), &mut listing)
                .await?;
        }
        Ok(listing)
    }

    pub(super) async fn list_off_site(
        &self,
        listing: ListingKind,
        target: &Target,
        back_to: Option<DateTime<Utc>>,
        courier: &impl Courier,
    ) -> Result<Listing, ListError> {
        let (backup_type, lookback) = match listing {
            ListingKind::CrossRegionLog => ("incremental", self.lookback.logs),
            _ => ("auto", self.lookback.sets),
        };
        let span = Span { lookback, back_to };
        let whereabouts = self.whereabouts(target, courier).await?;
        let mut found = Listing {
            complete: true,
            destinations: whereabouts.named().map(ToString::to_string).collect(),
            protected: whereabouts.protected,
            back_to,
            ..Listing::default()
        };
        for (keeper, is_former) in whereabouts.keepers(listing) {
            let read = self.read_off_site((listing, backup_type), span, keeper, target, courier);
            let sets = match read.await {
                Ok(sets) => sets,
                Err(error) if is_former && is_passed_over(&error) => {
                    if error.reason == Reason::NotFound {
                        self.note_found(target, &keeper.region, std::iter::empty());
                    }
                    found.complete = false;
                    continue;
                }
                Err(error) => return Err(error),
            };
            if sets.complete && listing == ListingKind::CrossRegion {
                self.note_found(target, &keeper.region, sets.sets.iter());
            }
            add(&mut found, sets);
        }
        cover(&mut found.sets);
        Ok(found)
    }

    async fn read_off_site(
        &self,
        (listing, backup_type): (ListingKind, &str),
        span: Span,
        keeper: &Destination,
        target: &Target,
        courier: &impl Courier,
    ) -> Result<Listing, ListError> {
        let region = &keeper.region;
        let place = (region, keeper.project.as_ref());
        let question = Question {
            listing,
            operation: LIST_OFF_SITE_BACKUPS,
            target,
            region,
            project: self.project_of(place, courier).await?,
            span,
        };
        let mut found = Listing {
            complete: true,
            ..Listing::default()
        };
        let paging = Paging::new(PAGE_SIZE, End::RowsRead);
        self.read(&question, backup_type, (courier, paging), &mut found)
            .await?;
        Ok(found)
    }

    /// Reads all pages of one type of backup into a listing.
    async fn read(
        &self,
        question: &Question<'_>,
        backup_type: &str,
        (courier, mut paging): (&impl Courier, Paging),
        listing: &mut Listing,
    ) -> Result<Paging, ListError> {
        read_pages(
            (&self.clock, question.span),
            courier,
            &mut paging,
            |window, position| question.page(backup_type, window, position),
            |_, call, answer| read_sets(call, answer),
            |paging, page| {
                let subject = Subject {
                    backup_region: question.region,
                    ..Subject::of(question.listing, question.target, self.clock.now())
                };
                gather(listing, paging, page, &subject);
            },
        )
        .await?;
        listing.complete &= paging.is_complete();
        Ok(paging)
    }
}

/// Adds what another region keeps.
fn add(found: &mut Listing, more: Listing) {
    found.sets.extend(more.sets);
    found.anomalies.extend(more.anomalies);
    found.complete &= more.complete;
    if found.engine.is_none() {
        found.engine = more.engine;
        found.engine_version = more.engine_version;
    }
    found.instance_name = found.instance_name.take().or(more.instance_name);
}

/// What is asked of one region about one instance.
struct Question<'a> {
    listing: ListingKind,
    operation: &'static str,
    target: &'a Target,
    region: &'a Arc<str>,
    project: Arc<str>,
    span: Span,
}

impl Question<'_> {
    fn page(&self, backup_type: &str, window: Window, position: Position) -> Call {
        // Both ends have to be there. The end is a little ahead, so that a set that ends right now is not cut off.
        let time = |time: DateTime<Utc>| {
            Parameter::Text(time.format("%Y-%m-%dT%H:%M:%S+0000").to_string())
        };
        Call {
            operation: self.operation,
            instance: Arc::clone(&self.target.key.instance_id),
            region: Arc::clone(self.region),
            project: Some(Arc::clone(&self.project)),
            parameters: [
                (
                    "instance_id",
                    Parameter::text(&*self.target.key.instance_id),
                ),
                ("backup_type", Parameter::text(backup_type)),
                ("begin_time", time(window.from())),
                ("end_time", time(window.now + chrono::Duration::minutes(1))),
            ]
            .into_iter()
            .chain(row_index(position))
            .collect(),
        }
    }
}
