//! The page at `/`: every instance on one line, and where else to look.

use std::fmt::{self, Display, Write as _};
use std::sync::Arc;

use chrono::{DateTime, Utc};

use crate::backup::{BackupType, Scope};
use crate::facts::{RegionFacts, RegionKey};
use crate::metrics::Assessed;
use crate::posture::Posture;
use crate::report::age;

const HEAD: &str = "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
<meta name=\"viewport\" content=\"width=device-width\"><title>cloud-backup-exporter</title><style>\
:root{color-scheme:light dark}body{font-family:sans-serif;margin:1.5rem}table{border-collapse:collapse}\
td,th{text-align:left;padding:.2rem .8rem .2rem 0;vertical-align:top}.bad{color:#c62828}</style></head><body>\n\
<h1>cloud-backup-exporter</h1>\n\
<p><a href=\"metrics\">metrics</a> · <a href=\"api/v1/instances\">instances as JSON</a> · \
<a href=\"-/ready\">ready</a> · <a href=\"-/healthy\">healthy</a></p>\n";

/// Writes the page.
pub(super) fn render(
    instances: &[Assessed],
    regions: &[(RegionKey, Arc<RegionFacts>)],
    now: DateTime<Utc>,
) -> String {
    let mut page = String::from(HEAD);
    let written = write_table(&mut page, instances, now)
        .and_then(|()| write_regions(&mut page, regions, now));
    // Writing into a `String` cannot fail.
    debug_assert!(written.is_ok());
    page.push_str("</body></html>\n");
    page
}

fn write_table(page: &mut String, instances: &[Assessed], now: DateTime<Utc>) -> fmt::Result {
    writeln!(
        page,
        "<p>{} instances, version {}</p>\n<table>\n<tr><th>instance<th>name<th>account<th>region\
         <th>engine<th>newest copy in another region<th>newest local backup<th>trouble</tr>",
        instances.len(),
        env!("CARGO_PKG_VERSION")
    )?;
    for Assessed { facts, posture } in instances {
        let target = &facts.target;
        let trouble = trouble(posture);
        let class = if trouble.is_empty() { "" } else { " class=bad" };
        writeln!(
            page,
            "<tr><td>{}<td>{}<td>{} ({})<td>{}<td>{} {}<td>{}<td>{}<td{class}>{}</tr>",
            Escaped(&target.key.instance_id),
            Escaped(&posture.name),
            Escaped(&target.key.account),
            target.key.provider,
            Escaped(&target.key.source_region),
            Escaped(&posture.engine),
            Escaped(&posture.engine_version),
            Escaped(&newest(posture, Scope::CrossRegion, now)),
            Escaped(&newest(posture, Scope::Local, now)),
            Escaped(if trouble.is_empty() { "none" } else { &trouble }),
        )?;
    }
    page.push_str("</table>\n");
    Ok(())
}

/// Where instances are looked for, and when they last were.
fn write_regions(
    page: &mut String,
    regions: &[(RegionKey, Arc<RegionFacts>)],
    now: DateTime<Utc>,
) -> fmt::Result {
    if regions.is_empty() {
        return Ok(());
    }
    writeln!(
        page,
        "<h2>Instances are looked for in</h2>\n<table>\n\
         <tr><th>account<th>region<th>found<th>listed<th>trouble</tr>"
    )?;
    for (key, found) in regions {
        let present = found.instances.values();
        let present = present.filter(|listed| listed.gone_since.is_none()).count();
        let listed = found.last_success.map_or_else(
            || "never".to_owned(),
            |at| format!("{} ago", age((now - at).num_seconds())),
        );
        let attempt = found.last_attempt.as_ref();
        let failure = attempt.and_then(|attempt| attempt.failure.as_ref());
        let trouble = failure.map_or("none", |failure| &failure.message);
        let class = if failure.is_some() { " class=bad" } else { "" };
        writeln!(
            page,
            "<tr><td>{} ({})<td>{}<td>{present}<td>{listed}<td{class}>{}</tr>",
            Escaped(&key.account),
            key.provider,
            Escaped(&key.region),
            Escaped(trouble)
        )?;
    }
    page.push_str("</table>\n");
    Ok(())
}

/// The newest usable set of each region: `2h 5m ago in cn-shanghai`.
fn newest(posture: &Posture, scope: Scope, now: DateTime<Utc>) -> String {
    let mut regions = std::collections::BTreeMap::new();
    for copy in posture
        .copies
        .iter()
        .filter(|copy| copy.place.scope == scope && copy.backup_type != BackupType::Log)
    {
        let ended = copy.last_success.map(|success| success.ended);
        let newest = regions.entry(&copy.place.backup_region).or_insert(ended);
        *newest = ended.max(*newest);
    }
    let has_any = regions.values().any(Option::is_some);
    let described: Vec<_> = regions
        .into_iter()
        .map(|(region, ended)| {
            let when = ended.map_or_else(
                || "never".to_owned(),
                |ended| format!("{} ago", age((now - ended).num_seconds())),
            );
            match scope {
                Scope::CrossRegion if !region.is_empty() => format!("{when} in {region}"),
                _ => when,
            }
        })
        .collect();
    let is_off = scope == Scope::CrossRegion && posture.protected == Some(false);
    if is_off && !has_any {
        "none: not copied to other regions".to_owned()
    } else if described.is_empty() {
        "not known".to_owned()
    } else if is_off {
        format!("{}; no longer copied", described.join("; "))
    } else {
        described.join("; ")
    }
}

/// In words: promises that do not hold, and listings that cannot be read.
fn trouble(posture: &Posture) -> String {
    let broken = posture
        .verdicts
        .iter()
        .filter(|verdict| verdict.met == Some(false))
        .map(|verdict| format!("{} is not met", verdict.objective.label()));
    let unreadable = posture
        .listings
        .iter()
        .filter_map(|listing| listing.failure.as_ref())
        // Said once is enough.
        .filter(|failure| !(posture.gone && failure.missing_instance))
        .map(|failure| failure.message.clone());
    let gone = posture
        .gone
        .then(|| "the instance does not exist".to_owned());
    let gaps = posture.log_gaps.iter().filter(|(_, gaps)| **gaps > 0);
    let gaps = gaps.map(|(place, _)| format!("log files are missing in {}", place.backup_region));
    gone.into_iter()
        .chain(gaps)
        .chain(broken)
        .chain(unreadable)
        .collect::<Vec<_>>()
        .join("; ")
}

/// Text from outside, made harmless for HTML.
struct Escaped<'a>(&'a str);

impl Display for Escaped<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for character in self.0.chars() {
            match character {
                '&' => formatter.write_str("&amp;")?,
                '<' => formatter.write_str("&lt;")?,
                '>' => formatter.write_str("&gt;")?,
                '"' => formatter.write_str("&quot;")?,
                '\'' => formatter.write_str("&#39;")?,
                other => formatter.write_char(other)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_from_outside_cannot_become_markup() {
        assert_eq!(
            Escaped("<b title=\"a\">&'</b>").to_string(),
            "&lt;b title=&quot;a&quot;&gt;&amp;&#39;&lt;/b&gt;"
        );
    }
}
