//! The page at `/`: how all instances are, and for each of them where its backups are, how old, and what is wrong.
//!
//! One document without scripts and without anything from elsewhere, made from what was judged and nothing else. Filters
//! and orders are links and a form; [`Query`] is what they say.

mod detail;
mod escape;
mod lane;
mod picture;
mod row;
mod summary;
mod tables;
#[cfg(test)]
mod tests;

use std::fmt::{self, Write as _};
use std::sync::Arc;

use base64::Engine as _;
use chrono::{DateTime, Utc};
use sha2::{Digest as _, Sha256};

use self::escape::Shown;
use self::picture::Scale;
use crate::backup::{BackupType, Lookback};
use crate::facts::{RegionFacts, RegionKey};
use crate::metrics::Assessed;
use crate::report::emptiness::why_nothing_is_watched;
use crate::report::query::{Query, Sort};
use crate::report::summary::Summary;
use crate::shard::Shard;

/// More instances are on further pages.
const PER_PAGE: usize = 1000;

const STYLE: &str = include_str!("style.css");

/// Where two copies of a database meet, as the icon of the page: it would be asked for otherwise.
const ICON: &str = "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E%3Cpath \
d='M1 4h6v10H1zM9 2h6v10H9z' fill='%234a6f94'/%3E%3C/svg%3E";

/// Everything that the page shows.
pub(super) struct Page<'a> {
    pub(super) instances: &'a [Assessed],
    pub(super) regions: &'a [(RegionKey, Arc<RegionFacts>)],
    pub(super) shard: Shard,
    pub(super) lookback: Lookback,
    pub(super) query: &'a Query,
    pub(super) now: DateTime<Utc>,
}

/// What the browser may do with the page: show it, in its own style, and send its form back to where it came from.
pub(super) fn content_security_policy(lookback: Lookback) -> String {
    let hash = Sha256::digest(style(lookback).as_bytes());
    let hash = base64::engine::general_purpose::STANDARD.encode(hash);
    format!(
        "default-src 'none'; style-src 'sha256-{hash}'; img-src data:; form-action 'self'; base-uri 'none'; \
         frame-ancestors 'none'"
    )
}

/// The style, with the faint lines of the pictures as far apart as the look-back wants them.
fn style(lookback: Lookback) -> String {
    let part = grid(lookback).1 * 100.0;
    format!("{STYLE}:root{{--grid:{part:.3}%}}\n")
}

/// What the faint lines are, and which part of a picture lies between two of them.
fn grid(lookback: Lookback) -> (&'static str, f64) {
    let days = lookback.sets.as_secs_f64() / 86_400.0;
    if days > 14.0 {
        ("weeks", 7.0 / days)
    } else if days > 2.0 {
        ("days", 1.0 / days)
    } else {
        ("hours", 1.0 / 24.0 / days)
    }
}

impl Page<'_> {
    /// Writes the page.
    pub(super) fn render(&self) -> String {
        let mut page = String::with_capacity(16_384 + 3_000 * self.instances.len().min(PER_PAGE));
        let written = self.write(&mut page);
        // Writing into a `String` cannot fail.
        debug_assert!(written.is_ok());
        page
    }

    fn scale(&self) -> Scale {
        let from = self.lookback.ending(self.now).of(BackupType::Full);
        Scale {
            from,
            now: self.now,
        }
    }

    fn write(&self, page: &mut String) -> fmt::Result {
        let summary = Summary::of(self.instances);
        write!(
            page,
            "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
             <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\
             <meta name=\"color-scheme\" content=\"light dark\"><link rel=\"icon\" href=\"{ICON}\"><title>{}</title><style>",
            summary::title(&summary)
        )?;
        page.push_str(&style(self.lookback));
        write!(
            page,
            "</style></head><body>\n<header><h1><a href=\"?\">cloud-backup-exporter</a></h1>\
             <p>version {} · {} UTC</p>\
             <nav aria-label=\"Other views\"><a href=\"metrics\">metrics</a> <a href=\"api/v1/instances\">JSON</a> \
             <a href=\"-/ready\">ready</a> <a href=\"-/healthy\">healthy</a></nav></header>\n<main>\n",
            env!("CARGO_PKG_VERSION"),
            self.now.format("%Y-%m-%d %H:%M:%S"),
        )?;
        summary::write(page, &summary, self.regions)?;
        self.write_problems(page)?;
        self.write_emptiness(page)?;
        let selected = self.query.select(self.instances, Some(Sort::State));
        match &self.query.instance {
            Some(id) => self.write_details(page, id, &selected)?,
            None => self.write_list(page, &selected)?,
        }
        tables::write_accounts(page, self.instances, self.now)?;
        tables::write_regions(page, self.regions, self.now)?;
        page.push_str("</main>\n</body></html>\n");
        Ok(())
    }

    fn write_problems(&self, page: &mut String) -> fmt::Result {
        for problem in &self.query.problems {
            writeln!(
                page,
                "<p class=\"note\" role=\"status\">Left out of account: {}.</p>",
                Shown(problem)
            )?;
        }
        Ok(())
    }

    fn write_emptiness(&self, page: &mut String) -> fmt::Result {
        let all = self.instances.iter().map(|instance| &*instance.facts);
        for reason in why_nothing_is_watched(all, self.regions, self.shard) {
            writeln!(
                page,
                "<p class=\"note\" role=\"status\"><strong>Nothing is watched.</strong> {}.</p>",
                Shown(reason)
            )?;
        }
        Ok(())
    }

    fn write_list(&self, page: &mut String, selected: &[&Assessed]) -> fmt::Result {
        page.push_str(
            "<section aria-labelledby=\"instances\"><h2 id=\"instances\">Instances</h2>\n",
        );
        summary::write_form(page, self.query)?;
        let pages = selected.len().div_ceil(PER_PAGE).max(1);
        let number = self.query.page.unwrap_or(1).min(pages);
        let shown: Vec<_> = selected
            .iter()
            .skip((number - 1) * PER_PAGE)
            .take(PER_PAGE)
            .collect();
        summary::write_legend(page, self.lookback)?;
        if selected.len() < self.instances.len() {
            let (some, all) = (selected.len(), self.instances.len());
            writeln!(
                page,
                "<p class=\"note\" role=\"status\">{some} of {all} instances. <a href=\"?\">Show all</a></p>"
            )?;
        }
        self.write_pager(page, number, pages)?;
        page.push_str("<ol class=\"all\" role=\"list\">\n");
        let scale = self.scale();
        for instance in shown {
            row::write(page, instance, scale)?;
        }
        page.push_str("</ol>\n");
        self.write_pager(page, number, pages)?;
        page.push_str("</section>\n");
        Ok(())
    }

    fn write_pager(&self, page: &mut String, number: usize, pages: usize) -> fmt::Result {
        if pages == 1 {
            return Ok(());
        }
        write!(
            page,
            "<nav class=\"pages\" aria-label=\"Pages\"><span>Page {number} of {pages}</span>"
        )?;
        for (words, other) in [("Previous", number - 1), ("Next", number + 1)] {
            if (1..=pages).contains(&other) {
                let query = Query {
                    page: Some(other),
                    ..self.query.clone()
                };
                write!(page, " <a href=\"{}\">{words}</a>", Shown(query.link()))?;
            }
        }
        page.push_str("</nav>\n");
        Ok(())
    }

    fn write_details(&self, page: &mut String, id: &str, selected: &[&Assessed]) -> fmt::Result {
        if selected.is_empty() {
            return writeln!(
                page,
                "<p class=\"note\" role=\"status\">No instance {} is watched. <a href=\"?\">Show all</a></p>",
                Shown(id)
            );
        }
        page.push_str("<section aria-labelledby=\"instances\"><h2 id=\"instances\">Instance</h2>\n<p><a href=\"?\">All instances</a></p>\n");
        summary::write_legend(page, self.lookback)?;
        for instance in selected {
            page.push_str("<ol class=\"all\" role=\"list\">\n");
            row::write(page, instance, self.scale())?;
            page.push_str("</ol>\n");
            detail::write(page, instance, self.now)?;
        }
        page.push_str("</section>\n");
        Ok(())
    }
}
