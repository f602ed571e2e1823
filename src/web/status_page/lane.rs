//! The places that keep an instance's backups, each with its picture and its age against the promise.

use std::collections::BTreeSet;
use std::fmt::{self, Write as _};

use chrono::{DateTime, Duration, Utc};

use super::escape::Shown;
use super::picture::{History, Promise, Scale};
use crate::backup::{BackupSet, BackupType, ListingKind, Scope, Usable};
use crate::metrics::Assessed;
use crate::posture::{Place, Posture, Trouble, Verdict};
use crate::report::words::{exactly, since, size};

/// One place of one instance.
#[derive(Debug)]
pub(super) struct Lane {
    place: Place,
    history: History,
    /// What the promise is about: the newest local backup, or the newest recovery point elsewhere.
    newest: Option<DateTime<Utc>>,
    size_bytes: Option<u64>,
    promise: Option<Verdict>,
    /// Whether the promise is broken here.
    is_late: bool,
    listing: ListingState,
}

/// How far the listing behind a lane can be believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ListingState {
    Read,
    /// It cannot be read now; this is from then.
    Old(DateTime<Utc>),
    /// It was never read, as it could not be.
    Unreadable,
    /// It was not asked for yet.
    Unread,
    Unsupported,
}

/// The lanes of an instance, its own region first.
pub(super) fn lanes(instance: &Assessed, scale: Scale) -> Vec<Lane> {
    let posture = &instance.posture;
    let copies = posture.copies.iter().map(|copy| &copy.place);
    let kept = copies
        .filter(|place| !place.backup_region.is_empty())
        .cloned();
    let expected = posture
        .expected_regions
        .iter()
        .map(|region| Place::cross_region(region));
    let mut places: BTreeSet<_> = kept.chain(expected).collect();
    // A place is shown where there could be something, even though nothing is known of it.
    let listed = |kind| posture.listing(kind).is_some();
    let has = |places: &BTreeSet<Place>, scope| places.iter().any(|place| place.scope == scope);
    if listed(ListingKind::Local) && !has(&places, Scope::Local) {
        let backup_region = instance.facts.target.key.source_region.to_string();
        places.insert(Place {
            scope: Scope::Local,
            backup_region,
        });
    }
    if listed(ListingKind::CrossRegion) && !has(&places, Scope::CrossRegion) {
        places.insert(Place::cross_region(""));
    }
    let mut lanes: Vec<_> = places
        .into_iter()
        .map(|place| Lane::new(place, posture, instance))
        .collect();
    let usable = instance.facts.usable(scale.now);
    for set in posture.history(&instance.facts) {
        let is_here = |lane: &&mut Lane| {
            (lane.place.scope, &*lane.place.backup_region) == (set.scope, &*set.backup_region)
        };
        if let Some(lane) = lanes.iter_mut().find(is_here) {
            lane.history.add(set, &usable, scale);
        }
    }
    for lane in &mut lanes {
        lane.add_logs(instance, &usable);
    }
    lanes
}

impl Lane {
    fn new(place: Place, posture: &Posture, Assessed { facts, .. }: &Assessed) -> Self {
        let copies = posture.copies.iter().filter(|copy| copy.place == place);
        let sets = copies.filter(|copy| copy.backup_type != BackupType::Log);
        let newest_set = sets
            .filter_map(|copy| copy.last_success)
            .max_by_key(|set| set.ended);
        let is_local = place.scope == Scope::Local;
        let promise = posture
            .verdicts
            .iter()
            .find(|verdict| verdict.objective.label() == objective(place.scope));
        // Where nobody knows a region, the promise is broken everywhere.
        let is_nowhere = place.backup_region.is_empty()
            && promise.is_some_and(|verdict| verdict.met == Some(false));
        let is_late = is_nowhere
            || posture.troubles.iter().any(|trouble| match trouble {
                Trouble::BackupAge { .. } | Trouble::LocalUnsupported => is_local,
                Trouble::RecoveryPoint { region, .. } => {
                    !is_local && *region == place.backup_region
                }
                _ => false,
            });
        let kind = if is_local {
            ListingKind::Local
        } else {
            ListingKind::CrossRegion
        };
        let listing = match posture.listing(kind) {
            Some(listing) if listing.unsupported => ListingState::Unsupported,
            Some(listing) if listing.failure.is_some() => listing
                .last_success
                .map_or(ListingState::Unreadable, ListingState::Old),
            Some(listing) if listing.success.is_none() => ListingState::Unread,
            Some(_) => ListingState::Read,
            // Of what is gone only the copies are still asked for.
            None => facts
                .listings
                .get(&kind)
                .and_then(|listing| listing.last_success)
                .map_or(ListingState::Unread, ListingState::Old),
        };
        Self {
            newest: if is_local {
                newest_set.map(|set| set.ended)
            } else {
                posture.recovery_points.get(&place).copied()
            },
            size_bytes: newest_set.and_then(|set| set.size_bytes),
            promise: promise.copied(),
            is_late,
            listing,
            history: History::default(),
            place,
        }
    }

    /// The band of the logs: from the newest usable set to where they carry it on.
    fn add_logs(&mut self, Assessed { facts, posture }: &Assessed, usable: &Usable<'_>) {
        if self.place.scope == Scope::Local || !posture.log_gaps.contains_key(&self.place) {
            return;
        }
        let here = |set: &&BackupSet| {
            set.scope == self.place.scope && *set.backup_region == *self.place.backup_region
        };
        let sets = posture
            .history(facts)
            .filter(|set| set.backup_type != BackupType::Log);
        let base = sets.filter(here).filter(|set| usable.contains(set));
        let base = base.filter_map(|set| set.recovery_point).max();
        if let (Some(base), Some(newest)) = (base, self.newest)
            && base < newest
        {
            self.history.logs = Some((base, newest));
        }
        let logs = facts.listings.get(&ListingKind::CrossRegionLog);
        let holes = logs
            .and_then(|logs| logs.found.sets())
            .into_iter()
            .flat_map(|sets| sets.logs.holes());
        let holes = holes.filter(|hole| hole.backup_region == self.place.backup_region);
        self.history.holes = holes.map(|hole| (hole.from, hole.until)).collect();
    }

    /// Label, picture and words, as three cells of a grid.
    pub(super) fn write(&self, page: &mut String, scale: Scale) -> fmt::Result {
        let label = match (self.place.scope, self.place.backup_region.as_str()) {
            (Scope::Local, _) => "local",
            (Scope::CrossRegion, "") => "elsewhere",
            (Scope::CrossRegion, region) => region,
        };
        write!(page, "<span class=\"w\">{}</span>", Shown(label))?;
        let promise = self
            .promise
            .filter(|_| self.listing != ListingState::Unsupported);
        let line = promise.and_then(|verdict| {
            let since = scale
                .now
                .checked_sub_signed(Duration::from_std(verdict.promise).ok()?)?;
            Some(Promise {
                since,
                is_broken: self.is_late,
            })
        });
        let words = self.words(scale.now);
        let title = format!("{label}, {}: {words}", self.history.words());
        self.history.draw(page, &title, scale, line)?;
        let (class, sign) = match promise {
            Some(_) if self.is_late => (" n", "✗ "),
            Some(_) if self.newest.is_some() && self.place.scope == Scope::Local => ("", "✓ "),
            Some(_) if self.newest.is_some() && !self.place.backup_region.is_empty() => ("", "✓ "),
            _ => ("", ""),
        };
        write!(
            page,
            "<span class=\"t{class}\">{sign}{}</span>",
            Shown(words)
        )
    }

    /// `recovery point 34 min old, promised 26 h · 78.2 GiB`.
    fn words(&self, now: DateTime<Utc>) -> String {
        let mut words = match (self.newest, self.listing) {
            (_, ListingState::Unsupported) => return "not supported by the provider".to_owned(),
            (None, ListingState::Unreadable) => return "could not be read".to_owned(),
            (None, ListingState::Unread) => return "not read yet".to_owned(),
            (Some(newest), _) if self.place.scope == Scope::Local => {
                format!("{} old", since(newest, now))
            }
            (Some(newest), _) => format!("recovery point {} old", since(newest, now)),
            (None, _) if self.place.scope == Scope::Local => "no usable backup".to_owned(),
            (None, _) => "no usable copy".to_owned(),
        };
        if let Some(verdict) = self.promise {
            words.push_str(", promised ");
            words.push_str(&exactly(verdict.promise));
        }
        if let Some(bytes) = self.size_bytes {
            words.push_str(" · ");
            words.push_str(&size(bytes));
        }
        if let ListingState::Old(read) = self.listing {
            words.push_str(" · as read ");
            words.push_str(&since(read, now));
            words.push_str(" ago");
        }
        words
    }
}

/// The promise that a lane is held against.
const fn objective(scope: Scope) -> &'static str {
    match scope {
        Scope::Local => "backup_age",
        Scope::CrossRegion => "recovery_point",
    }
}
