//! The two listings of sets: which rows there are, filtered, newest first, one page of them.

use serde_json::{Value, json};

use super::parameters::{Listing, Range, optional};
use super::question::Question;
use super::refusal::Refusal;
use super::rows::{Row, text};
use crate::world::{Engine, Instance};

/// `DescribeCrossRegionBackups`.
pub(super) fn cross_region(question: &Question<'_>) -> Result<Value, Refusal> {
    let (parameters, now) = (question.parameters, question.now);
    question.mandatory("DBInstanceId")?;
    let region = question.mandatory("RegionId")?;
    let page = Listing::CrossRegion.page(parameters)?;
    let range = Listing::CrossRegion.range(parameters)?;
    let holding = question.copied_instance()?;
    let copies = holding.copies(now).into_iter();
    let mut rows: Vec<Row<'_>> = copies.map(Row::Copy).collect();
    rows.extend(holding.stated_cross_region(now).map(Row::StatedCopy));
    retain_within(&mut rows, &range);
    if let Some(wanted) = optional(parameters, "BackupId") {
        rows.retain(|row| row.local_id(&holding.instance).as_deref() == Some(wanted));
    }
    let filters = ["CrossBackupRegion", "CrossBackupId"];
    retain_matching(&mut rows, question, &holding.instance, &filters);
    newest_first(&mut rows);
    let total = rows.len();
    page.must_exist(total)?;
    let page_of_rows = page.of(rows, question.repeated);
    let items = items(&page_of_rows, question, &holding.instance);
    let mut answer = json!({
        "RegionId": region,
        "PageNumber": page.number,
        "PageRecordCount": items.len(),
        "TotalRecordCount": total,
        "Items": {},
    });
    answer["Items"]["Item"] = items.into();
    // The vendor's SQL Server sample does not repeat the range.
    if holding.instance.engine != Engine::SqlServer {
        for name in ["StartTime", "EndTime"] {
            answer[name] = json!(optional(parameters, name).unwrap_or_default());
        }
    }
    Ok(answer)
}

/// `DescribeBackups`.
pub(super) fn local(question: &Question<'_>) -> Result<Value, Refusal> {
    let parameters = question.parameters;
    question.mandatory("DBInstanceId")?;
    let page = Listing::Local.page(parameters)?;
    let range = Listing::Local.range(parameters)?;
    // The operation documents no region, but clients that add one to every call are served; then it
    // has to be the right one.
    let holding = question.present_instance("RegionId")?;
    let backups = holding.backups(question.now).into_iter();
    let mut rows: Vec<Row<'_>> = backups.map(Row::Backup).collect();
    rows.extend(holding.stated_local(question.now).map(Row::StatedBackup));
    let held: u64 = rows.iter().filter_map(Row::size).sum();
    retain_within(&mut rows, &range);
    let filters = ["BackupId", "BackupStatus", "BackupMode", "BackupType"];
    retain_matching(&mut rows, question, &holding.instance, &filters);
    newest_first(&mut rows);
    let total = rows.len();
    // `InvalidPage.notFound` stands on the pages of the cross-region operations only; here a page
    // past the end is empty.
    let page_of_rows = page.of(rows, question.repeated);
    let items = items(&page_of_rows, question, &holding.instance);
    let mut answer = json!({
        "PageNumber": page.number.to_string(),
        "PageRecordCount": items.len().to_string(),
        "TotalRecordCount": total.to_string(),
        "TotalBackupSize": held.to_string(),
        "TotalEcsSnapshotSize": 0,
        "Items": {},
    });
    answer["Items"]["Backup"] = items.into();
    Ok(answer)
}

fn items(rows: &[Row<'_>], question: &Question<'_>, instance: &Instance) -> Vec<Value> {
    let rows = rows.iter();
    rows.map(|row| row.fields(instance, question.now).into())
        .collect()
}

/// Keeps the rows whose fields have the values of those parameters that are given, which have the names of the fields.
fn retain_matching(
    rows: &mut Vec<Row<'_>>,
    question: &Question<'_>,
    instance: &Instance,
    filters: &[&str],
) {
    let wanted = filters.iter();
    let wanted: Vec<_> = wanted
        .filter_map(|name| Some((*name, question.optional(name)?)))
        .collect();
    // Writing every row for nothing takes longer than all the rest.
    if wanted.is_empty() {
        return;
    }
    rows.retain(|row| {
        let fields = row.fields(instance, question.now);
        let mut wanted = wanted.iter();
        wanted.all(|(name, value)| text(&fields, name) == *value)
    });
}

/// The pages do not say which time the range is about; the start of the backup is what both
/// parameters are named after. A row whose start cannot be read is in every range.
fn retain_within(rows: &mut Vec<Row<'_>>, range: &Range) {
    rows.retain(|row| {
        row.is_in_every_range() || row.start().is_none_or(|start| range.contains(start))
    });
}

fn newest_first(rows: &mut [Row<'_>]) {
    rows.sort_by_cached_key(|row| std::cmp::Reverse(row.start()));
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::super::parameters::Parameters;
    use super::super::rows::time;
    use super::*;
    use crate::world::{Vendor, varied};

    /// The rows of all pages, and the last answer.
    fn whole(question: &Question<'_>, size: usize, list: List) -> (Vec<Value>, Value) {
        let mut answer = Value::Null;
        let rows = varied::pages(size, |page| {
            let mut parameters = question.parameters.clone();
            parameters.insert("PageSize".to_owned(), size.to_string());
            parameters.insert("PageNumber".to_owned(), (page + 1).to_string());
            let parameters = &parameters;
            answer = list(&Question {
                parameters,
                ..*question
            })
            .unwrap();
            let mut items = answer["Items"].as_object().unwrap().values();
            let rows = items.next().unwrap().as_array().unwrap().clone();
            let number = |name: &str| answer[name].to_string().trim_matches('"').parse().unwrap();
            assert_eq!(rows.len(), number("PageRecordCount"));
            (rows, number("TotalRecordCount"))
        });
        (rows, answer)
    }

    type List = fn(&Question<'_>) -> Result<Value, Refusal>;

    #[test]
    fn pages_one_after_another_are_the_whole_and_totals_are_of_it() {
        let now = varied::beginning() + TimeDelta::minutes(7);
        for (scenario, world) in varied::worlds(Vendor::Alibaba) {
            for instance in &scenario.instances {
                for (list, days, filter) in [
                    (cross_region as List, 40, None),
                    (cross_region, 3, Some(("CrossBackupRegion", "cn-shanghai"))),
                    (local, 40, None),
                    (local, 3, Some(("BackupStatus", "Failed"))),
                ] {
                    let from = now - TimeDelta::days(days);
                    let minute = |time: chrono::DateTime<chrono::Utc>| {
                        time.format("%Y-%m-%dT%H:%MZ").to_string()
                    };
                    let parameters = Parameters::from([
                        ("DBInstanceId".to_owned(), instance.id.clone()),
                        ("RegionId".to_owned(), instance.region.clone()),
                        ("StartTime".to_owned(), minute(from)),
                        ("EndTime".to_owned(), minute(now + TimeDelta::minutes(1))),
                    ]);
                    let question = Question {
                        world: &world,
                        account: &instance.account,
                        parameters: &parameters,
                        now,
                        repeated: 0,
                    };
                    if list(&question).is_err() {
                        continue;
                    }
                    let (all, answer) = whole(&question, 100, list);

                    let start = |row: &Value| time(row["BackupStartTime"].as_str().unwrap());
                    assert!(all.is_sorted_by(|newer, older| start(newer) >= start(older)));

                    let holding = world.holding_or_released(&instance.account, &instance.id);
                    let backups = holding.unwrap().backups(now);
                    if !answer["TotalBackupSize"].is_null() && days == 40 {
                        let stated = holding.unwrap().stated_local(now).count();
                        assert_eq!(all.len(), backups.len() + stated);
                        let sizes = all.iter().filter_map(|row| row["BackupSize"].as_u64());
                        let held = sizes.sum::<u64>().to_string();
                        assert_eq!(answer["TotalBackupSize"], held.as_str());
                    }
                    // Each page looks at all rows that there are, so that many pages of many rows take long.
                    let Some((name, value)) = filter else {
                        continue;
                    };
                    assert_eq!(whole(&question, 50, list).0, all, "{}", instance.id);
                    let mut narrower = parameters.clone();
                    narrower.insert(name.to_owned(), value.to_owned());
                    let question = Question {
                        parameters: &narrower,
                        ..question
                    };
                    let matching: Vec<_> =
                        all.into_iter().filter(|row| row[name] == value).collect();
                    assert_eq!(whole(&question, 100, list).0, matching, "{}", instance.id);
                }
            }
        }
    }
}
