//! The two listings of sets: which rows there are, filtered, newest first, one page of them.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::parameters::{Listing, Parameters, Range, optional};
use super::question::Question;
use super::refusal::Refusal;
use super::rows::{Row, copy_row, local_row, stated_copy_row, stated_local_row};
use crate::world::{Engine, Holding};

/// `DescribeCrossRegionBackups`.
pub(super) fn cross_region(question: &Question<'_>) -> Result<Value, Refusal> {
    let (parameters, now) = (question.parameters, question.now);
    question.mandatory("DBInstanceId")?;
    let region = question.mandatory("RegionId")?;
    let page = Listing::CrossRegion.page(parameters)?;
    let range = Listing::CrossRegion.range(parameters)?;
    let holding = question.copied_instance()?;
    let copies = holding.copies(now);
    let mut rows: Vec<Row> = copies
        .iter()
        .map(|copy| copy_row(&holding.instance, copy, now))
        .collect();
    rows.extend(
        holding
            .stated_cross_region(now)
            .map(|set| stated_copy_row(&holding.instance, set, now)),
    );
    rows.retain(|row| {
        optional(parameters, "BackupId")
            .is_none_or(|wanted| row.local_id.as_deref() == Some(wanted))
    });
    retain_matching(
        &mut rows,
        parameters,
        &[
            ("CrossBackupRegion", "CrossBackupRegion"),
            ("CrossBackupId", "CrossBackupId"),
        ],
    );
    let rows = newest_first_within(rows, &range);
    let total = rows.len();
    page.must_exist(total)?;
    let items = items(page.of(rows, question.repeated));
    let mut answer = json!({
        "RegionId": region,
        "PageNumber": page.number,
        "PageRecordCount": items.len(),
        "TotalRecordCount": total,
        "Items": { "Item": items },
    });
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
    let mut rows = local_rows(holding, question.now);
    let held: u64 = rows
        .iter()
        .filter_map(|row| row.fields.get("BackupSize")?.as_u64())
        .sum();
    let filters = ["BackupId", "BackupStatus", "BackupMode", "BackupType"].map(|name| (name, name));
    retain_matching(&mut rows, parameters, &filters);
    let rows = newest_first_within(rows, &range);
    let total = rows.len();
    // `InvalidPage.notFound` stands on the pages of the cross-region operations only; here a page
    // past the end is empty.
    let items = items(page.of(rows, question.repeated));
    Ok(json!({
        "PageNumber": page.number.to_string(),
        "PageRecordCount": items.len().to_string(),
        "TotalRecordCount": total.to_string(),
        "TotalBackupSize": held.to_string(),
        "TotalEcsSnapshotSize": 0,
        "Items": { "Backup": items },
    }))
}

fn items(rows: Vec<Row>) -> Vec<Value> {
    rows.into_iter().map(|row| row.fields.into()).collect()
}

fn local_rows(holding: &Holding, now: DateTime<Utc>) -> Vec<Row> {
    let mut rows: Vec<Row> = holding
        .backups(now)
        .iter()
        .map(|backup| local_row(&holding.instance, backup, now))
        .collect();
    rows.extend(
        holding
            .stated_local(now)
            .map(|set| stated_local_row(&holding.instance, set, now)),
    );
    rows
}

/// Keeps the rows whose field has the parameter's value, where the parameter is given.
fn retain_matching(rows: &mut Vec<Row>, parameters: &Parameters, filters: &[(&str, &str)]) {
    for (parameter, field) in filters {
        if let Some(wanted) = optional(parameters, parameter) {
            rows.retain(|row| row.text(field) == wanted);
        }
    }
}

/// The pages do not say which time the range is about; the start of the backup is what both
/// parameters are named after. A row whose start cannot be read is in every range.
fn newest_first_within(mut rows: Vec<Row>, range: &Range) -> Vec<Row> {
    rows.retain(|row| row.in_every_range || row.start.is_none_or(|start| range.contains(start)));
    rows.sort_by_key(|row| std::cmp::Reverse(row.start));
    rows
}
