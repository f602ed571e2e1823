//! Parameters of the listings, and the rules that the pages state for them.

use std::collections::BTreeMap;

use chrono::{DateTime, NaiveDateTime, Utc};

use super::refusal::Refusal;

/// Decoded parameters from the query and from a form.
pub(crate) type Parameters = BTreeMap<String, String>;

/// A listing, where operations differ in their rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Listing {
    /// Of the cross-region operations.
    CrossRegion,
    /// Of local sets.
    Local,
    /// Of instances.
    Instances,
}

/// The rows that are asked for.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) number: usize,
    pub(crate) size: usize,
}

impl Page {
    fn first_row(&self) -> usize {
        (self.number - 1).saturating_mul(self.size)
    }

    /// These rows of all; after the first page `repeated` of the page before come again.
    pub(crate) fn of<T>(&self, rows: Vec<T>, repeated: usize) -> Vec<T> {
        let first = self.first_row().saturating_sub(repeated);
        rows.into_iter().skip(first).take(self.size).collect()
    }

    /// The cross-region operations refuse a page past the end.
    pub(crate) fn must_exist(&self, total: usize) -> Result<(), Refusal> {
        if self.number > 1 && self.first_row() >= total {
            return Err(Refusal::new(404, "InvalidPage.notFound", "Page not found."));
        }
        Ok(())
    }
}

/// A range of times; an end that is not given is open.
#[derive(Debug, Default)]
pub(crate) struct Range {
    pub(crate) from: Option<DateTime<Utc>>,
    pub(crate) to: Option<DateTime<Utc>>,
}

impl Range {
    /// Both ends are included.
    pub(crate) fn contains(&self, time: DateTime<Utc>) -> bool {
        self.from.is_none_or(|from| from <= time) && self.to.is_none_or(|to| time <= to)
    }
}

/// A parameter that is there and not empty.
pub(crate) fn optional<'a>(parameters: &'a Parameters, name: &str) -> Option<&'a str> {
    parameters
        .get(name)
        .map(String::as_str)
        .filter(|value| !value.is_empty())
}

/// A parameter without which the gateway does not call the service.
pub(crate) fn mandatory<'a>(parameters: &'a Parameters, name: &str) -> Result<&'a str, Refusal> {
    optional(parameters, name).ok_or_else(|| {
        let message = format!("The input parameter {name:?} that is mandatory for processing this request is not supplied.");
        Refusal::new(400, "MissingParameter", message).because(format!("{name} is missing"))
    })
}

impl Listing {
    /// 30, 50 or 100 rows, of instances any number up to 100, and pages from 1 on.
    pub(crate) fn page(self, parameters: &Parameters) -> Result<Page, Refusal> {
        let read =
            |name: &str, default: usize| optional(parameters, name).map_or(Ok(default), str::parse);
        let refuse = |name: &str, status: u16, local_code: &str| {
            let code = if self == Self::Local {
                local_code
            } else {
                "InvalidParameters.Format"
            };
            let status = if self == Self::Local { status } else { 400 };
            let value = parameters.get(name).map_or("", String::as_str);
            Refusal::new(status, code, "Specified parameter is not valid.")
                .because(format!("{name} is {value:?}"))
        };
        let permitted = |size: &usize| match self {
            Self::Instances => (1..=100).contains(size),
            Self::CrossRegion | Self::Local => [30, 50, 100].contains(size),
        };
        let size = read("PageSize", 30).ok().filter(permitted);
        let size =
            size.ok_or_else(|| refuse("PageSize", 403, "InvalidMaxRecordsPerPage.Malformed"))?;
        let number = read("PageNumber", 1)
            .ok()
            .filter(|number| (1..=i32::MAX as usize).contains(number));
        let number =
            number.ok_or_else(|| refuse("PageNumber", 400, "InvalidPageNumbers.Malformed"))?;
        Ok(Page { number, size })
    }

    /// The range of time, by the spelling and the presence that the listing asks for.
    pub(crate) fn range(self, parameters: &Parameters) -> Result<Range, Refusal> {
        let read = |name: &str, code: &str, message: &str| match optional(parameters, name) {
            None => Ok(None),
            Some(text) => match self.time(text) {
                Some(time) => Ok(Some(time)),
                None => {
                    Err(Refusal::new(400, code, message).because(format!("{name} is {text:?}")))
                }
            },
        };
        let from = read(
            "StartTime",
            "InvalidStartTime.Format",
            "Specified start time is not valid.",
        )?;
        let to = read(
            "EndTime",
            "InvalidEndTime.Format",
            "Specified end time is not valid.",
        )?;
        if self == Self::CrossRegion
            && (from.is_none() || to.is_none())
            && optional(parameters, "CrossBackupId").is_none()
        {
            return Err(
                Refusal::new(400, "ParameterAbsence", "Necessary param is absence.")
                    .because("neither CrossBackupId nor both StartTime and EndTime"),
            );
        }
        if let (Some(from), Some(to)) = (from, to)
            && to <= from
        {
            return Err(Refusal::new(
                400,
                "InvalidParameterCombination",
                "The end time must be greater than the start time.",
            )
            .because(format!("EndTime {to} is not after StartTime {from}")));
        }
        Ok(Range { from, to })
    }

    /// The cross-region listing takes minutes (2019) and seconds (2026), the local one minutes in
    /// every edition of its page.
    fn time(self, text: &str) -> Option<DateTime<Utc>> {
        // The format alone would also accept fewer digits.
        let format = match (self, text.len()) {
            (_, 17) => "%Y-%m-%dT%H:%MZ",
            (Self::CrossRegion, 20) => "%Y-%m-%dT%H:%M:%SZ",
            _ => return None,
        };
        NaiveDateTime::parse_from_str(text, format)
            .ok()
            .map(|time| time.and_utc())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parameters(pairs: &[(&str, &str)]) -> Parameters {
        pairs
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect()
    }

    #[test]
    fn pages_follow_the_rules_of_their_listing() {
        let check = |listing: Listing,
                     size: &str,
                     number: &str,
                     expected: Result<(usize, usize), (u16, &str)>| {
            let page = listing.page(&parameters(&[("PageSize", size), ("PageNumber", number)]));
            let page = page
                .map(|page| (page.size, page.number))
                .map_err(|refusal| (refusal.status, refusal.code));
            assert_eq!(
                page,
                expected.map_err(|(status, code)| (status, code.to_owned())),
                "{size} {number}"
            );
        };
        for listing in [Listing::CrossRegion, Listing::Local] {
            check(listing, "", "", Ok((30, 1)));
            check(listing, "50", "2", Ok((50, 2)));
            check(listing, "100", "1", Ok((100, 1)));
        }
        check(
            Listing::CrossRegion,
            "10",
            "1",
            Err((400, "InvalidParameters.Format")),
        );
        check(
            Listing::CrossRegion,
            "30",
            "0",
            Err((400, "InvalidParameters.Format")),
        );
        check(Listing::Instances, "1", "3", Ok((1, 3)));
        check(
            Listing::Instances,
            "101",
            "1",
            Err((400, "InvalidParameters.Format")),
        );
        check(
            Listing::Local,
            "1000",
            "1",
            Err((403, "InvalidMaxRecordsPerPage.Malformed")),
        );
        check(
            Listing::Local,
            "30",
            "-1",
            Err((400, "InvalidPageNumbers.Malformed")),
        );
        check(
            Listing::Local,
            "30",
            "first",
            Err((400, "InvalidPageNumbers.Malformed")),
        );
    }

    #[test]
    fn ranges_follow_the_rules_of_their_listing() {
        let check = |listing: Listing, start: &str, end: &str, expected: Result<(), &str>| {
            let range = listing.range(&parameters(&[("StartTime", start), ("EndTime", end)]));
            assert_eq!(
                range.map(|_| ()).map_err(|refusal| refusal.code),
                expected.map_err(str::to_owned),
                "{start} {end}"
            );
        };
        let (minute, next_minute) = ("2026-01-01T00:00Z", "2026-01-02T00:00Z");
        let (second, next_second) = ("2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z");
        check(Listing::CrossRegion, minute, next_minute, Ok(()));
        check(Listing::CrossRegion, second, next_second, Ok(()));
        check(Listing::CrossRegion, "", "", Err("ParameterAbsence"));
        check(Listing::CrossRegion, second, "", Err("ParameterAbsence"));
        check(
            Listing::CrossRegion,
            second,
            second,
            Err("InvalidParameterCombination"),
        );
        check(
            Listing::CrossRegion,
            "2026-1-1T00:00:00Z",
            next_second,
            Err("InvalidStartTime.Format"),
        );
        check(
            Listing::CrossRegion,
            second,
            "2026-01-02T00:00:00+00:00",
            Err("InvalidEndTime.Format"),
        );
        check(Listing::Local, "", "", Ok(()));
        check(Listing::Local, minute, next_minute, Ok(()));
        check(
            Listing::Local,
            second,
            next_minute,
            Err("InvalidStartTime.Format"),
        );
        check(
            Listing::Local,
            minute,
            next_second,
            Err("InvalidEndTime.Format"),
        );
        check(
            Listing::Local,
            next_minute,
            minute,
            Err("InvalidParameterCombination"),
        );
    }
}
