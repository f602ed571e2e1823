//! The foot of the page: when each account was last heard of, and where instances are looked for.

use std::fmt::{self, Write as _};
use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::escape::Shown;
use crate::facts::{RegionFacts, RegionKey};
use crate::metrics::Assessed;
use crate::report::summary::accounts;
use crate::report::words::since;

/// Begins a table that scrolls by itself where it is too wide.
pub(super) fn begin(page: &mut String, id: &str, title: &str, columns: &[&str]) -> fmt::Result {
    write!(
        page,
        "<div class=\"scroll\" role=\"region\" aria-labelledby=\"{id}\" tabindex=\"0\"><table><caption id=\"{id}\">{title}</caption><thead><tr>"
    )?;
    for column in columns {
        write!(page, "<th scope=\"col\">{column}")?;
    }
    page.push_str("</thead><tbody>\n");
    Ok(())
}

/// Ends it.
pub(super) fn end(page: &mut String) {
    page.push_str("</tbody></table></div>\n");
}

/// How long ago, if ever.
pub(super) fn ago(time: Option<DateTime<Utc>>, now: DateTime<Utc>) -> String {
    time.map_or_else(
        || "never".to_owned(),
        |time| format!("{} ago", since(time, now)),
    )
}

/// When each account was last asked, and when it last answered.
pub(super) fn write_accounts(
    page: &mut String,
    instances: &[Assessed],
    now: DateTime<Utc>,
) -> fmt::Result {
    let accounts = accounts(instances);
    if accounts.is_empty() {
        return Ok(());
    }
    let columns = [
        "account",
        "provider",
        "instances",
        "last poll",
        "last good poll",
    ];
    begin(page, "accounts", "Accounts", &columns)?;
    for account in accounts {
        writeln!(
            page,
            "<tr><th scope=\"row\">{}<td>{}<td>{}<td>{}<td>{}",
            Shown(account.account),
            account.provider,
            account.instances,
            ago(account.last_attempt, now),
            ago(account.last_success, now),
        )?;
    }
    end(page);
    Ok(())
}

/// Where instances are looked for, and when they last were.
pub(super) fn write_regions(
    page: &mut String,
    regions: &[(RegionKey, Arc<RegionFacts>)],
    now: DateTime<Utc>,
) -> fmt::Result {
    if regions.is_empty() {
        return Ok(());
    }
    let columns = [
        "account",
        "provider",
        "region",
        "found",
        "last searched",
        "trouble",
    ];
    begin(page, "regions", "Instances are looked for in", &columns)?;
    for (key, found) in regions {
        let present = found.present().count();
        let attempt = found.last_attempt.as_ref();
        let failure = attempt.and_then(|attempt| attempt.failure.as_ref());
        let trouble = match (attempt, failure) {
            (None, _) => "not searched yet",
            (Some(_), None) => "none",
            (Some(_), Some(failure)) => &failure.message,
        };
        let class = if failure.is_some() {
            " class=\"n\""
        } else {
            ""
        };
        writeln!(
            page,
            "<tr><th scope=\"row\">{}<td>{}<td>{}<td>{present}<td>{}<td{class}>{}",
            Shown(&key.account),
            key.provider,
            Shown(&key.region),
            ago(found.last_success, now),
            Shown(trouble)
        )?;
    }
    end(page);
    Ok(())
}
