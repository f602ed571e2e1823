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
