//! The two listings of backups: which rows there are, filtered, newest first, one page of them.

use std::ops::RangeInclusive;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::parameters::{Page, Parameters, mandatory, one_of, optional, range};
use super::refusal::Refusal;
use super::rows::{Listing, Row, Status, manual};
use super::site::Site;
use crate::world::{Engine, Holding};

/// Full sets are seen on their way out for this long.
const DELETING: Duration = Duration::from_secs(300);

/// `ListBackups`.
pub(super) fn local(site: &Site<'_>, parameters: &Parameters) -> Result<Value, Refusal> {
    let id = mandatory(parameters, "instance_id")?;
    let types = ["auto", "manual", "fragment", "incremental"];
    let wanted = one_of(parameters, "backup_type", &types)?;
    let statuses = ["BUILDING", "COMPLETED", "FAILED"];
    let status = one_of(parameters, "status", &statuses)?;
    let page = Page::read(parameters)?;
    let begun = range(parameters)?;
    let holding = site.holding_here(id)?;
    let mut rows = local_fulls(site, holding);
    // Thousands, which nobody has to make who does not want them.
    if wanted.is_none_or(|wanted| wanted == "incremental") {
        let logs = holding.logs(within(begun.as_ref()), site.now);
        rows.extend(logs.into_iter().map(Row::Log));
    }
    // "Only filters full backups of SQL Server."
    if let Some(status) = status.filter(|_| holding.instance.engine == Engine::SqlServer) {
        rows.retain(|row| row.has_status(status));
    }
    Ok(answer(
        site,
        holding,
        parameters,
        rows,
        &Selection {
            listing: Listing::Local,
            wanted,
            begun,
            page,
        },
    ))
}

/// `ListOffSiteBackups`: copies are listed where they are, and nowhere else.
pub(super) fn off_site(site: &Site<'_>, parameters: &Parameters) -> Result<Value, Refusal> {
    let id = mandatory(parameters, "instance_id")?;
    mandatory(parameters, "backup_type")?;
    let wanted = one_of(parameters, "backup_type", &["auto", "incremental"])?;
    let page = Page::read(parameters)?;
    let begun = range(parameters)?;
    let holding = site.holding(id)?;
    let mut rows = off_site_fulls(site, holding);
    if wanted == Some("incremental") {
        let logs = off_site_logs(site, holding, within(begun.as_ref()));
        rows.extend(logs.map(Row::Log));
    }
    let listing = Listing::OffSite(site.region);
    Ok(answer(
        site,
        holding,
        parameters,
        rows,
        &Selection {
            listing,
            wanted,
            begun,
            page,
        },
    ))
}

/// Copied log backups that begin in a range. They are deleted when the policy is switched off, and
/// do not come back with it.
pub(super) fn off_site_logs(
    site: &Site<'_>,
    holding: &Holding,
    begun: RangeInclusive<DateTime<Utc>>,
) -> impl Iterator<Item = crate::world::Log> {
    let logs = if holding.is_protected() {
        holding.copied_logs(site.region, begun, site.now)
    } else {
        Vec::new()
    };
    let enabled = holding.policy().enabled_at();
    logs.into_iter()
        .filter(move |log| enabled.is_none_or(|enabled| enabled <= log.end))
}

/// All time, or the part of it that is asked for.
pub(super) fn within(
    begun: Option<&RangeInclusive<DateTime<Utc>>>,
) -> RangeInclusive<DateTime<Utc>> {
    begun.map_or(
        DateTime::<Utc>::MIN_UTC..=DateTime::<Utc>::MAX_UTC,
        Clone::clone,
    )
}

/// Everything in the source region but the logs.
fn local_fulls<'a>(site: &Site<'a>, holding: &'a Holding) -> Vec<Row<'a>> {
    let (instance, now) = (&holding.instance, site.now);
    let mut rows: Vec<Row<'a>> = Vec::new();
    let ended = holding.backups(now).into_iter();
    rows.extend(ended.map(|backup| {
        let status = Status::of(&backup);
        Row::Scheduled(backup, status)
    }));
    let running = holding.running(now).into_iter();
    rows.extend(running.map(|backup| Row::Scheduled(backup, Status::Building)));
    let expired = holding.expired(DELETING, now).into_iter();
    rows.extend(expired.map(|backup| Row::Scheduled(backup, Status::Deleting)));
    rows.extend(holding.stated_local(now).map(Row::Plain));
    if let Some(extras) = site.extras(&instance.id) {
        for (number, start) in extras.manual.iter().enumerate() {
            let backup = manual(instance, number, *start);
            if backup.end <= now {
                rows.push(Row::Manual(backup, Status::Completed));
            } else if backup.start <= now {
                rows.push(Row::Manual(backup, Status::Building));
            }
        }
        rows.extend(extras.local.iter().map(Row::Stated));
    }
    rows
}

/// Everything in this destination but the logs.
fn off_site_fulls<'a>(site: &Site<'a>, holding: &'a Holding) -> Vec<Row<'a>> {
    let mut rows: Vec<Row<'a>> = Vec::new();
    let copies = holding.copies(site.now).into_iter();
    rows.extend(
        copies
            // Differential backups stay at home: no page has them among the types of copies.
            .filter(|copy| copy.region == site.region && copy.backup.full)
            .map(|copy| Row::Scheduled(copy.backup, Status::Completed)),
    );
    if let Some(extras) = site.extras(&holding.instance.id) {
        // "Cross-region manual backups are supported only for RDS for SQL Server."
        if holding.instance.engine == Engine::SqlServer {
            for (number, start) in extras.manual.iter().enumerate() {
                let backup = manual(&holding.instance, number, *start);
                let arrival = holding.copied(backup.end, site.region);
                if arrival.is_some_and(|arrival| arrival <= site.now) {
                    rows.push(Row::Manual(backup, Status::Completed));
                }
            }
        }
        let stated = extras.offsite.iter();
        rows.extend(
            stated
                .filter(|(region, _)| region == site.region)
                .map(|(_, row)| Row::Stated(row)),
        );
    }
    rows
}

/// What a request asks for.
struct Selection<'a> {
    listing: Listing<'a>,
    wanted: Option<&'a str>,
    begun: Option<RangeInclusive<DateTime<Utc>>>,
    page: Page,
}

fn answer(
    site: &Site<'_>,
    holding: &Holding,
    parameters: &Parameters,
    mut rows: Vec<Row<'_>>,
    selection: &Selection<'_>,
) -> Value {
    let (instance, listing) = (&holding.instance, selection.listing);
    if let Some(wanted) = selection.wanted {
        rows.retain(|row| row.is_of_type(instance, listing, wanted));
    }
    // No page says which time the range is about; here it is the start, and a row whose start
    // cannot be read is in every range.
    if let Some(begun) = &selection.begun {
        rows.retain(|row| row.begin().is_none_or(|begin| begun.contains(&begin)));
    }
    if let Some(wanted) = optional(parameters, "backup_id") {
        rows.retain(|row| row.id(instance, listing) == wanted);
    }
    // No page says in which order rows come either.
    rows.sort_by_key(|row| std::cmp::Reverse(row.begin()));
    if site.oldest_first {
        rows.reverse();
    }
    let page = selection.page.of(&rows).iter();
    let page: Vec<_> = page.map(|row| row.json(instance, listing)).collect();
    let mut answer = json!({ "total_count": rows.len() });
    answer["backups"] = page.into();
    answer
}

#[cfg(test)]
mod tests {
    use super::super::memory::Memory;
    use super::*;
    use crate::world::{Vendor, varied};

    type List = fn(&Site<'_>, &Parameters) -> Result<Value, Refusal>;

    #[test]
    fn pages_one_after_another_are_the_whole_and_totals_are_of_it() {
        let now = varied::beginning() + chrono::TimeDelta::minutes(7);
        let spell = |time: DateTime<Utc>| time.format("%Y-%m-%dT%H:%M:%S+0000").to_string();
        for (scenario, world) in varied::worlds(Vendor::Huawei) {
            let memory = Memory::new(&scenario.accounts);
            for instance in &scenario.instances {
                let elsewhere = instance.destinations.first();
                let elsewhere = elsewhere.map_or("", |destination| &destination.region);
                for (list, region, kind, days) in [
                    (local as List, instance.region.as_str(), "auto", 40),
                    (local, &instance.region, "incremental", 1),
                    (off_site, elsewhere, "auto", 40),
                    (off_site, elsewhere, "incremental", 1),
                ] {
                    let site = Site {
                        world: &world,
                        memory: &memory,
                        account: &instance.account,
                        region,
                        has_instances: true,
                        now,
                        oldest_first: false,
                    };
                    let parameters = Parameters::from([
                        ("instance_id".to_owned(), instance.id.clone()),
                        ("backup_type".to_owned(), kind.to_owned()),
                        (
                            "begin_time".to_owned(),
                            spell(now - chrono::TimeDelta::days(days)),
                        ),
                        ("end_time".to_owned(), spell(now)),
                    ]);
                    if list(&site, &parameters).is_err() {
                        continue;
                    }
                    let whole = |site: &Site<'_>, size: usize| {
                        varied::pages(size, |page| {
                            let mut parameters = parameters.clone();
                            parameters.insert("offset".to_owned(), (page * size).to_string());
                            parameters.insert("limit".to_owned(), size.to_string());
                            let answer = list(site, &parameters).unwrap();
                            let rows = answer["backups"].as_array().unwrap().clone();
                            let total = answer["total_count"].as_u64().unwrap();
                            (rows, usize::try_from(total).unwrap())
                        })
                    };
                    let mut all = whole(&site, 100);
                    assert_eq!(whole(&site, 37), all, "{}", instance.id);
                    let oldest_first = Site {
                        oldest_first: true,
                        ..site
                    };
                    all.reverse();
                    assert_eq!(whole(&oldest_first, 50), all, "{}", instance.id);
                }
            }
        }
    }
}
