//! The report as tables, for the terminal of `once`.

use std::fmt::Write as _;

use super::Report;
use super::words::{is_deceptive, size};

impl Report {
    /// Tables of copies, objectives, listings and troubles, and of the regions in which instances are looked for.
    pub fn table(&self) -> String {
        let mut copies = Table::new(&[
            "INSTANCE",
            "NAME",
            "SCOPE",
            "BACKUP REGION",
            "TYPE",
            "NEWEST USABLE",
            "AGE",
            "SIZE",
            "COMPLETED",
            "FAILED",
            "IN A ROW",
        ]);
        let mut objectives = Table::new(&["INSTANCE", "NAME", "OBJECTIVE", "PROMISE", "MET"]);
        let mut listings =
            Table::new(&["INSTANCE", "NAME", "LISTING", "READ", "COMPLETE", "ERROR"]);
        let mut troubles = Table::new(&["INSTANCE", "NAME", "STATE", "WHY"]);
        for instance in &self.instances {
            let who = [
                instance.instance_id.clone(),
                instance.name.clone().unwrap_or_default(),
            ];
            for copy in &instance.copies {
                let success = copy.last_success.as_ref();
                let count = |status| copy.sets.get(status).copied().unwrap_or_default();
                copies.row(
                    &who,
                    [
                        copy.scope.to_owned(),
                        dash(&copy.backup_region),
                        copy.backup_type.to_owned(),
                        success.map_or_else(|| dash(""), |success| success.ended.clone()),
                        success.map_or_else(|| dash(""), |success| age(success.age_seconds)),
                        success
                            .and_then(|success| success.size_bytes)
                            .map_or_else(|| dash(""), size),
                        count("completed").to_string(),
                        count("failed").to_string(),
                        copy.consecutive_failures.to_string(),
                    ],
                );
            }
            for reason in &instance.reasons {
                troubles.row(&who, [instance.state.to_owned(), reason.clone()]);
            }
            for objective in &instance.objectives {
                let promise = std::time::Duration::from_secs_f64(objective.seconds);
                objectives.row(
                    &who,
                    [
                        objective.objective.to_owned(),
                        humantime::format_duration(promise).to_string(),
                        yes_or_no(objective.met),
                    ],
                );
            }
            for listing in &instance.listings {
                listings.row(
                    &who,
                    [
                        listing.listing.to_owned(),
                        yes_or_no(listing.success),
                        yes_or_no(listing.complete),
                        dash(listing.error.as_deref().unwrap_or_default()),
                    ],
                );
            }
        }
        let mut tables = String::new();
        for reason in &self.nothing_watched_because {
            let written = writeln!(tables, "NOTHING IS WATCHED: {reason}");
            debug_assert!(written.is_ok());
        }
        let written = write!(tables, "{copies}\n{objectives}\n{listings}");
        debug_assert!(written.is_ok());
        if troubles.rows.len() > 1 {
            let written = write!(tables, "\n{troubles}");
            debug_assert!(written.is_ok());
        }
        if !self.regions.is_empty() {
            let mut regions = Table::new(&["ACCOUNT", "REGION", "LISTED", "FOUND", "ERROR"]);
            for region in &self.regions {
                regions.push(vec![
                    region.account.clone(),
                    region.source_region.clone(),
                    yes_or_no(region.success),
                    region.found.to_string(),
                    dash(region.error.as_deref().unwrap_or_default()),
                ]);
            }
            let written = write!(tables, "\n{regions}");
            debug_assert!(written.is_ok());
        }
        tables
    }
}

/// Columns as wide as their widest cell.
struct Table {
    widths: Vec<usize>,
    rows: Vec<Vec<String>>,
}

impl Table {
    fn new(head: &[&str]) -> Self {
        let mut table = Self {
            widths: vec![0; head.len()],
            rows: Vec::new(),
        };
        table.push(head.iter().map(|cell| (*cell).to_owned()).collect());
        table
    }

    fn row<const N: usize>(&mut self, who: &[String; 2], cells: [String; N]) {
        self.push(who.iter().cloned().chain(cells).collect());
    }

    fn push(&mut self, cells: Vec<String>) {
        // A name or an error text must not be able to move the terminal's cursor, or to pass for another.
        let cells: Vec<String> = cells
            .into_iter()
            .map(|cell| cell.replace(is_deceptive, "\u{fffd}"))
            .collect();
        for (width, cell) in self.widths.iter_mut().zip(&cells) {
            *width = (*width).max(cell.chars().count());
        }
        self.rows.push(cells);
    }
}

impl std::fmt::Display for Table {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for row in &self.rows {
            let mut line = String::new();
            for (cell, width) in row.iter().zip(&self.widths) {
                write!(line, "{cell:<width$}  ")?;
            }
            writeln!(formatter, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

fn dash(text: &str) -> String {
    if text.is_empty() { "-" } else { text }.to_owned()
}

fn yes_or_no(value: Option<bool>) -> String {
    match value {
        Some(true) => "yes",
        Some(false) => "NO",
        None => "-",
    }
    .to_owned()
}

/// The two largest units: `3h 20m`.
fn age(seconds: i64) -> String {
    let duration = std::time::Duration::from_secs(seconds.try_into().unwrap_or_default());
    let whole = humantime::format_duration(duration).to_string();
    whole.split(' ').take(2).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_have_two_units() {
        for (seconds, expected) in [
            (0, "0s"),
            (59, "59s"),
            (12_345, "3h 25m"),
            (-5, "0s"),
            (200_000, "2days 7h"),
        ] {
            assert_eq!(age(seconds), expected);
        }
    }

    #[test]
    fn a_table_keeps_its_columns_and_shows_no_control_characters() {
        let mut table = Table::new(&["A", "B", "C"]);
        table.row(
            &["rm-1".to_owned(), "\u{1b}[31mred".to_owned()],
            ["x".to_owned()],
        );
        assert_eq!(
            table.to_string(),
            "A     B         C\nrm-1  \u{fffd}[31mred  x\n"
        );
    }
}
