//! Parameters of the listings, and the rules that the pages state for them.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use chrono::{DateTime, NaiveDate, Utc};

use super::refusal::{Refusal, bad_parameter};

/// Decoded parameters of the query.
pub(super) type Parameters = BTreeMap<String, String>;

/// A parameter that is there and not empty.
pub(super) fn optional<'a>(parameters: &'a Parameters, name: &str) -> Option<&'a str> {
    parameters
        .get(name)
        .map(String::as_str)
        .filter(|value| !value.is_empty())
}

/// A parameter without which there is no answer.
pub(super) fn mandatory<'a>(parameters: &'a Parameters, name: &str) -> Result<&'a str, Refusal> {
    optional(parameters, name).ok_or_else(|| bad_parameter(format!("{name} is missing")))
}

/// A parameter that has one of these values, if it is there.
pub(super) fn one_of<'a>(
    parameters: &'a Parameters,
    name: &str,
    values: &[&str],
) -> Result<Option<&'a str>, Refusal> {
    match optional(parameters, name) {
        Some(value) if !values.contains(&value) => {
            Err(bad_parameter(format!("{name} is {value:?}")))
        }
        value => Ok(value),
    }
}

/// The rows that are asked for: `offset` counts rows, not pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Page {
    offset: usize,
    limit: usize,
}

impl Page {
    /// 1 to 100 rows, 100 if nothing is said, from any row on.
    pub(super) fn read(parameters: &Parameters) -> Result<Self, Refusal> {
        let number = |name: &str, default: usize, permitted: RangeInclusive<usize>| {
            let Some(text) = optional(parameters, name) else {
                return Ok(default);
            };
            let number = text
                .parse()
                .ok()
                .filter(|number| permitted.contains(number));
            number.ok_or_else(|| bad_parameter(format!("{name} is {text:?}")))
        };
        Ok(Self {
            offset: number("offset", 0, 0..=i32::MAX as usize)?,
            limit: number("limit", 100, 1..=100)?,
        })
    }

    /// How many pages lie before this one.
    pub(super) fn pages_before(self) -> usize {
        self.offset / self.limit
    }

    /// These rows of all.
    pub(super) fn of<T>(self, rows: &[T]) -> &[T] {
        let rest = rows.get(self.offset..).unwrap_or_default();
        &rest[..rest.len().min(self.limit)]
    }
}

/// The range of time that is asked for; both ends are given, or neither.
pub(super) fn range(
    parameters: &Parameters,
) -> Result<Option<RangeInclusive<DateTime<Utc>>>, Refusal> {
    let read = |name: &str| match optional(parameters, name) {
        None => Ok(None),
        Some(text) => match time(text) {
            Some(time) => Ok(Some(time)),
            None => Err(bad_parameter(format!("{name} is {text:?}"))),
        },
    };
    match (read("begin_time")?, read("end_time")?) {
        (None, None) => Ok(None),
        (Some(begin), Some(end)) if begin < end => Ok(Some(begin..=end)),
        (Some(_), Some(_)) => Err(bad_parameter("end_time is not later than begin_time")),
        (Some(_), None) => Err(bad_parameter("begin_time is there without end_time")),
        (None, Some(_)) => Err(bad_parameter("end_time is there without begin_time")),
    }
}

/// The day that is asked for, in UTC.
pub(super) fn day(parameters: &Parameters) -> Result<Option<NaiveDate>, Refusal> {
    let Some(text) = optional(parameters, "date") else {
        return Ok(None);
    };
    let day = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok();
    match day.filter(|_| text.len() == 10) {
        Some(day) => Ok(Some(day)),
        None => Err(bad_parameter(format!("date is {text:?}"))),
    }
}

/// `yyyy-mm-ddThh:mm:ss±hhmm`. The page calls the offset Z; a literal one is in no sample.
fn time(text: &str) -> Option<DateTime<Utc>> {
    // chrono would also read digits without a leading zero and an offset with a colon.
    if text.len() != "2018-08-06T10:41:14+0800".len() {
        return None;
    }
    let time = DateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%z").ok()?;
    Some(time.to_utc())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parameters(pairs: &[(&str, &str)]) -> Parameters {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        pairs.iter().map(owned).collect()
    }

    #[test]
    fn pages_are_counted_in_rows() {
        let rows: Vec<usize> = (0..250).collect();
        let check = |pairs: &[(&str, &str)], expected: Option<(Option<usize>, usize)>| {
            let page = Page::read(&parameters(pairs)).ok();
            let found = page.map(|page| {
                let rows = page.of(&rows);
                (rows.first().copied(), rows.len())
            });
            assert_eq!(found, expected, "{pairs:?}");
        };
        check(&[], Some((Some(0), 100)));
        check(
            &[("offset", "200"), ("limit", "100")],
            Some((Some(200), 50)),
        );
        check(&[("offset", "1"), ("limit", "1")], Some((Some(1), 1)));
        check(&[("offset", "250")], Some((None, 0)));
        check(&[("offset", "-1")], None);
        check(&[("limit", "0")], None);
        check(&[("limit", "101")], None);
        check(&[("limit", "ten")], None);
    }

    #[test]
    fn times_have_an_offset_without_a_colon_and_come_in_pairs() {
        let check = |begin: &str, end: &str, accepted: bool| {
            let range = range(&parameters(&[("begin_time", begin), ("end_time", end)]));
            assert_eq!(range.is_ok(), accepted, "{begin} {end}");
        };
        check("", "", true);
        check("2026-01-01T00:00:00+0000", "2026-01-02T00:00:00+0800", true);
        check("2026-01-01T00:00:00-0330", "2026-01-02T00:00:00+0000", true);
        check("2026-01-01T00:00:00+0000", "", false);
        check("", "2026-01-02T00:00:00+0800", false);
        check(
            "2026-01-02T00:00:00+0000",
            "2026-01-02T00:00:00+0000",
            false,
        );
        check(
            "2026-01-02T00:00:00 0000",
            "2026-01-03T00:00:00+0000",
            false,
        );
        check("2026-01-02T00:00:00Z", "2026-01-03T00:00:00Z", false);
        check(
            "2026-01-02T00:00:00+00:00",
            "2026-01-03T00:00:00+00:00",
            false,
        );
    }

    #[test]
    fn a_day_is_written_in_full() {
        let check = |text: &str, accepted: bool| {
            assert_eq!(
                day(&parameters(&[("date", text)])).is_ok(),
                accepted,
                "{text}"
            );
        };
        check("", true);
        check("2026-01-02", true);
        check("2026-1-2", false);
        check("2026-02-30", false);
    }
}
