//! Everything that is known of one instance, as tables.

use std::fmt::{self, Display, Write as _};

use chrono::{DateTime, Utc};

use super::escape::Shown;
use super::tables::{ago, begin, end};
use crate::backup::{ListingKind, Scope, Status};
use crate::metrics::Assessed;
use crate::posture::{Place, Posture};
use crate::report::words::{exactly, since, size, span};

/// Writes the tables.
pub(super) fn write(page: &mut String, instance: &Assessed, now: DateTime<Utc>) -> fmt::Result {
    let posture = &instance.posture;
    write_objectives(page, posture)?;
    write_copies(page, posture, now)?;
    write_places(page, posture, now)?;
    write_uncopied(page, posture, now)?;
    write_policy(page, posture)?;
    write_holes(page, instance)?;
    write_listings(page, posture, now)
}

/// A row whose cells are text from anywhere.
fn row(page: &mut String, cells: &[&dyn Display]) -> fmt::Result {
    for (column, cell) in cells.iter().enumerate() {
        let tag = if column == 0 {
            "<tr><th scope=\"row\">"
        } else {
            "<td>"
        };
        write!(page, "{tag}{}", Shown(cell))?;
    }
    page.push('\n');
    Ok(())
}

fn write_objectives(page: &mut String, posture: &Posture) -> fmt::Result {
    if posture.verdicts.is_empty() {
        return Ok(());
    }
    begin(
        page,
        "objectives",
        "Objectives",
        &["objective", "promised", "holds"],
    )?;
    for verdict in &posture.verdicts {
        let holds = match verdict.met {
            Some(true) => "✓ yes",
            Some(false) => "✗ no",
            None => "not known yet",
        };
        row(
            page,
            &[
                &verdict.objective.label(),
                &exactly(verdict.promise),
                &holds,
            ],
        )?;
    }
    end(page);
    Ok(())
}

fn write_copies(page: &mut String, posture: &Posture, now: DateTime<Utc>) -> fmt::Result {
    let mut columns = vec![
        "kept in",
        "type",
        "newest usable",
        "size",
        "took",
        "oldest usable",
        "usable, total",
        "newest failure",
        "failed in a row",
        "running for",
    ];
    columns.extend(Status::ALL.map(Status::label));
    begin(page, "copies", "Backups in the look-back", &columns)?;
    for copy in &posture.copies {
        let newest = copy.last_success;
        let dash = || "–".to_owned();
        let duration = newest.and_then(|newest| newest.duration);
        let sets = Status::ALL.map(|status| copy.sets.get(&status).copied().unwrap_or_default());
        let mut cells: Vec<Box<dyn Display>> = vec![
            Box::new(place(&copy.place)),
            Box::new(copy.backup_type.label()),
            Box::new(ago(newest.map(|newest| newest.ended), now)),
            Box::new(
                newest
                    .and_then(|newest| newest.size_bytes)
                    .map_or_else(dash, size),
            ),
            Box::new(duration.map_or_else(dash, span)),
            Box::new(
                copy.oldest
                    .map_or_else(dash, |oldest| ago(Some(oldest), now)),
            ),
            Box::new(size(copy.stored_bytes)),
            Box::new(
                copy.last_failure
                    .map_or_else(dash, |failed| ago(Some(failed), now)),
            ),
            Box::new(copy.consecutive_failures),
            Box::new(
                copy.running_since
                    .map_or_else(dash, |began| since(began, now)),
            ),
        ];
        cells.extend(sets.map(|sets| Box::new(sets) as Box<dyn Display>));
        let cells: Vec<_> = cells.iter().map(AsRef::as_ref).collect();
        row(page, &cells)?;
    }
    end(page);
    Ok(())
}

/// To when one could restore from each place.
fn write_places(page: &mut String, posture: &Posture, now: DateTime<Utc>) -> fmt::Result {
    let columns = [
        "from",
        "recovery point",
        "gaps in the logs",
        "restore window from",
        "to",
        "windows",
    ];
    begin(page, "restore", "To when one could restore", &columns)?;
    let known = posture
        .recovery_points
        .keys()
        .chain(posture.log_gaps.keys())
        .chain(posture.restore_windows.keys());
    let known: std::collections::BTreeSet<_> = known.collect();
    for known in known {
        let point = posture.recovery_points.get(known).copied();
        let gaps = posture
            .log_gaps
            .get(known)
            .map_or_else(|| "–".to_owned(), u64::to_string);
        let window = posture.restore_windows.get(known);
        let at = |time: Option<DateTime<Utc>>| {
            time.map_or_else(
                || "–".to_owned(),
                |time| {
                    format!(
                        "{} ({} ago)",
                        time.format("%Y-%m-%d %H:%M:%S"),
                        since(time, now)
                    )
                },
            )
        };
        let windows = window.map_or(0, |window| window.gaps + 1);
        row(
            page,
            &[
                &place(known),
                &at(point),
                &gaps,
                &at(window.map(|window| window.start)),
                &at(window.map(|window| window.end)),
                &windows,
            ],
        )?;
    }
    end(page);
    Ok(())
}

fn write_uncopied(page: &mut String, posture: &Posture, now: DateTime<Utc>) -> fmt::Result {
    if posture.uncopied.is_empty() {
        return Ok(());
    }
    begin(
        page,
        "uncopied",
        "Local full sets without a copy",
        &["region", "sets", "oldest"],
    )?;
    for uncopied in &posture.uncopied {
        let oldest = uncopied
            .oldest
            .map_or_else(|| "–".to_owned(), |oldest| ago(Some(oldest), now));
        row(page, &[&uncopied.backup_region, &uncopied.sets, &oldest])?;
    }
    end(page);
    Ok(())
}

fn write_policy(page: &mut String, posture: &Posture) -> fmt::Result {
    if posture.switches.is_empty() {
        return Ok(());
    }
    begin(
        page,
        "policy",
        "The provider's policy",
        &["kept in", "type", "switched", "kept for"],
    )?;
    for ((kept_in, backup_type), switch) in &posture.switches {
        let kept_for = switch.retention.map_or_else(|| "–".to_owned(), exactly);
        let switched = if switch.enabled { "on" } else { "off" };
        row(
            page,
            &[&place(kept_in), &backup_type.label(), &switched, &kept_for],
        )?;
    }
    end(page);
    Ok(())
}

/// Where log files are missing, older ones included that a newer set has made harmless.
fn write_holes(page: &mut String, Assessed { facts, .. }: &Assessed) -> fmt::Result {
    let logs = facts.listings.get(&ListingKind::CrossRegionLog);
    let sets = logs.and_then(|logs| logs.found.sets()).into_iter();
    let mut holes: Vec<_> = sets.flat_map(|sets| sets.logs.holes()).collect();
    if holes.is_empty() {
        return Ok(());
    }
    begin(
        page,
        "holes",
        "Where log files are missing",
        &["region", "from", "until"],
    )?;
    holes.sort_by_key(|hole| hole.until);
    for hole in holes.iter().rev() {
        let at = |time: DateTime<Utc>| time.format("%Y-%m-%d %H:%M:%S").to_string();
        row(
            page,
            &[&hole.backup_region, &at(hole.from), &at(hole.until)],
        )?;
    }
    end(page);
    Ok(())
}

fn write_listings(page: &mut String, posture: &Posture, now: DateTime<Utc>) -> fmt::Result {
    let columns = [
        "listing",
        "read",
        "last attempt",
        "last success",
        "whole",
        "error",
    ];
    begin(page, "listings", "Listings", &columns)?;
    for listing in &posture.listings {
        let read = match (listing.success, listing.unsupported) {
            (None, _) => "not yet",
            (Some(true), true) => "not supported",
            (Some(true), false) => "✓ yes",
            (Some(false), _) => "✗ no",
        };
        let whole = match listing.complete {
            None => "–",
            Some(true) => "yes",
            Some(false) => "no",
        };
        let error = listing
            .failure
            .as_ref()
            .map_or("–", |failure| &failure.message);
        let (attempt, success) = (
            ago(listing.last_attempt, now),
            ago(listing.last_success, now),
        );
        row(
            page,
            &[
                &listing.kind.label(),
                &read,
                &attempt,
                &success,
                &whole,
                &error,
            ],
        )?;
    }
    end(page);
    Ok(())
}

fn place(place: &Place) -> String {
    match (place.scope, place.backup_region.as_str()) {
        (Scope::Local, region) => format!("{region} (local)"),
        (Scope::CrossRegion, "") => "another region".to_owned(),
        (Scope::CrossRegion, region) => region.to_owned(),
    }
}
