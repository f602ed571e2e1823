//! Values as vendors really send them: the same field is a number in one answer and a string in the next.
//!
//! Alibaba's pages alone show `BackupId` as `321020562` and `"321020562"`, `EngineVersion` as `"5.6"`, `5.6` and `8`, and
//! an empty string for "none". A value of a kind that nobody expects spoils its field, never the row or the page.

use std::fmt;

use chrono::{DateTime, NaiveDateTime, Utc};
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::error::VendorWord;
use crate::backup::is_conceivable;

/// A value that is there but cannot be read as what it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unreadable;

/// A string, a number, nothing, or something else.
#[derive(Debug, Clone, Default, PartialEq)]
pub enum Scalar {
    /// Missing or `null`.
    #[default]
    Absent,
    /// A string.
    Text(String),
    /// A whole number.
    Whole(i128),
    /// Any other number.
    Fraction(f64),
    /// A truth value, a list or an object.
    Other,
}

impl Scalar {
    /// The value as text; an empty string means "none".
    pub fn text(&self) -> Option<String> {
        match self {
            Self::Text(text) if !text.trim().is_empty() => Some(text.trim().to_owned()),
            Self::Whole(number) => Some(number.to_string()),
            // `Debug` keeps the `.0` of a version such as 8.0.
            Self::Fraction(number) => Some(format!("{number:?}")),
            Self::Text(_) | Self::Absent | Self::Other => None,
        }
    }

    /// The value as a word that is fit for a log line.
    pub fn word(&self) -> Option<VendorWord> {
        self.text().and_then(|text| VendorWord::new(&text))
    }

    /// A whole number, from 0.
    pub fn count(&self) -> Result<Option<u64>, Unreadable> {
        match self {
            Self::Absent => Ok(None),
            Self::Text(text) if text.trim().is_empty() => Ok(None),
            Self::Text(text) => text.trim().parse().map(Some).map_err(|_| Unreadable),
            Self::Whole(number) => u64::try_from(*number).map(Some).map_err(|_| Unreadable),
            Self::Fraction(_) | Self::Other => Err(Unreadable),
        }
    }

    /// A time in one of the vendors' spellings: `2019-05-30T12:10Z` and `2019-05-30T12:10:00Z` (Alibaba, Volcengine), and
    /// with an offset without a colon, `2019-05-30T20:10:00+0800` (Huawei).
    pub fn time(&self) -> Result<Option<DateTime<Utc>>, Unreadable> {
        match self {
            Self::Absent => Ok(None),
            Self::Text(text) if text.trim().is_empty() => Ok(None),
            Self::Text(text) => parse_time(text.trim()).map(Some).ok_or(Unreadable),
            Self::Whole(_) | Self::Fraction(_) | Self::Other => Err(Unreadable),
        }
    }

    /// A UTC time as text or as Unix seconds, where 0 means "none".
    pub fn time_or_seconds(&self) -> Result<Option<DateTime<Utc>>, Unreadable> {
        let seconds = match self {
            Self::Whole(number) => i64::try_from(*number).map_err(|_| Unreadable)?,
            Self::Text(text) if text.trim().bytes().all(|byte| byte.is_ascii_digit()) => self
                .count()?
                .unwrap_or(0)
                .try_into()
                .map_err(|_| Unreadable)?,
            _ => return self.time(),
        };
        match seconds {
            0 => Ok(None),
            1.. => DateTime::from_timestamp(seconds, 0)
                .filter(|time| is_conceivable(*time))
                .map(Some)
                .ok_or(Unreadable),
            ..0 => Err(Unreadable),
        }
    }
}

fn parse_time(text: &str) -> Option<DateTime<Utc>> {
    DateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%.f%#z")
        .map(|time| time.with_timezone(&Utc))
        .or_else(|_| {
            NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%MZ").map(|time| time.and_utc())
        })
        .ok()
        // No database was backed up before 1970: such a time is some language's zero, and would become a timestamp of 0.
        .filter(|time| *time > DateTime::UNIX_EPOCH && is_conceivable(*time))
}

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ScalarVisitor)
    }
}

struct ScalarVisitor;

impl<'de> Visitor<'de> for ScalarVisitor {
    type Value = Scalar;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("any value")
    }

    fn visit_unit<E>(self) -> Result<Scalar, E> {
        Ok(Scalar::Absent)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Scalar, E> {
        Ok(Scalar::Other)
    }

    fn visit_i64<E>(self, number: i64) -> Result<Scalar, E> {
        Ok(Scalar::Whole(number.into()))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Scalar, E> {
        Ok(Scalar::Whole(number.into()))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Scalar, E> {
        Ok(Scalar::Fraction(number))
    }

    fn visit_str<E>(self, text: &str) -> Result<Scalar, E> {
        Ok(Scalar::Text(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Scalar, A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Scalar::Other)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Scalar, A::Error> {
        while object.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Scalar::Other)
    }
}

/// A list of names, however it is wrapped: Alibaba sends `{"RestoreRegion":["cn-hangzhou","cn-shanghai"]}`, and in one
/// sample a single string that holds quotes and commas.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Names(pub Vec<String>);

impl<'de> Deserialize<'de> for Names {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NamesVisitor)
    }
}

struct NamesVisitor;

impl<'de> Visitor<'de> for NamesVisitor {
    type Value = Names;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a list of names")
    }

    fn visit_unit<E>(self) -> Result<Names, E> {
        Ok(Names::default())
    }

    fn visit_bool<E>(self, _: bool) -> Result<Names, E> {
        Ok(Names::default())
    }

    fn visit_i64<E>(self, _: i64) -> Result<Names, E> {
        Ok(Names::default())
    }

    fn visit_u64<E>(self, _: u64) -> Result<Names, E> {
        Ok(Names::default())
    }

    fn visit_f64<E>(self, _: f64) -> Result<Names, E> {
        Ok(Names::default())
    }

    fn visit_str<E>(self, text: &str) -> Result<Names, E> {
        let names = text
            .split(',')
            .map(|name| name.trim_matches(|c: char| c == '"' || c.is_whitespace()))
            .filter(|name| !name.is_empty())
            .map(str::to_owned);
        Ok(Names(names.collect()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Names, A::Error> {
        let mut all = Vec::new();
        while let Some(Names(names)) = list.next_element()? {
            all.extend(names);
        }
        Ok(Names(all))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Names, A::Error> {
        let mut all = Vec::new();
        while let Some((_, Names(names))) = object.next_entry::<IgnoredAny, Names>()? {
            all.extend(names);
        }
        Ok(Names(all))
    }
}

/// A row of a listing or another object, or `None` where something stands that is no object. Without it `serde` would
/// read a list as the fields of an object in their order.
#[derive(Debug, Clone)]
pub struct Row<T>(pub Option<T>);

impl<T> Default for Row<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Row<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RowVisitor(std::marker::PhantomData))
    }
}

struct RowVisitor<T>(std::marker::PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for RowVisitor<T> {
    type Value = Row<T>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a row")
    }

    fn visit_map<A: MapAccess<'de>>(self, object: A) -> Result<Row<T>, A::Error> {
        T::deserialize(serde::de::value::MapAccessDeserializer::new(object))
            .map(|row| Row(Some(row)))
    }

    fn visit_unit<E>(self) -> Result<Row<T>, E> {
        Ok(Row(None))
    }

    fn visit_bool<E>(self, _: bool) -> Result<Row<T>, E> {
        Ok(Row(None))
    }

    fn visit_i64<E>(self, _: i64) -> Result<Row<T>, E> {
        Ok(Row(None))
    }

    fn visit_u64<E>(self, _: u64) -> Result<Row<T>, E> {
        Ok(Row(None))
    }

    fn visit_f64<E>(self, _: f64) -> Result<Row<T>, E> {
        Ok(Row(None))
    }

    fn visit_str<E>(self, _: &str) -> Result<Row<T>, E> {
        Ok(Row(None))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Row<T>, A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Row(None))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scalar(json: &str) -> Scalar {
        serde_json::from_str(json).unwrap()
    }

    fn utc(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    #[test]
    fn a_count_may_come_as_a_number_or_as_a_string() {
        for (json, expected) in [
            ("100", Ok(Some(100))),
            ("\"100\"", Ok(Some(100))),
            ("\" 100 \"", Ok(Some(100))),
            ("18446744073709551615", Ok(Some(u64::MAX))),
            ("0", Ok(Some(0))),
            ("null", Ok(None)),
            ("\"\"", Ok(None)),
            ("-1", Err(Unreadable)),
            ("1.5", Err(Unreadable)),
            ("1e300", Err(Unreadable)),
            ("\"many\"", Err(Unreadable)),
            ("true", Err(Unreadable)),
            ("[1]", Err(Unreadable)),
            ("{\"a\":1}", Err(Unreadable)),
        ] {
            assert_eq!(scalar(json).count(), expected, "{json}");
        }
    }

    #[test]
    fn a_version_keeps_the_spelling_it_came_in() {
        for (json, expected) in [
            ("\"5.6\"", Some("5.6")),
            ("5.6", Some("5.6")),
            ("8", Some("8")),
            ("8.0", Some("8.0")),
            ("\"2022_web\"", Some("2022_web")),
            ("\"\"", None),
            ("null", None),
            ("{}", None),
        ] {
            assert_eq!(scalar(json).text().as_deref(), expected, "{json}");
        }
    }

    #[test]
    fn times_are_read_in_both_spellings() {
        let noon = Ok(Some(utc("2019-05-30T12:10:00Z")));
        for (json, expected) in [
            ("\"2019-05-30T12:10Z\"", noon),
            ("\"2019-05-30T12:10:00Z\"", noon),
            ("\"2019-05-30T12:10:00.000Z\"", noon),
            ("\"2019-05-30T20:10:00+0800\"", noon),
            ("\"2019-05-30T12:10:00+0000\"", noon),
            ("\"2019-05-30T20:10:00.000+08:00\"", noon),
            ("\"2019-05-30T12:10:00\"", Err(Unreadable)),
            ("\"2019-05-30T12:10:00+\"", Err(Unreadable)),
            ("\"\"", Ok(None)),
            ("null", Ok(None)),
            ("\"2019-05-30\"", Err(Unreadable)),
            ("\"EndTime=2019-06-15T12:10Z\"", Err(Unreadable)),
            ("\"2019-13-30T12:10Z\"", Err(Unreadable)),
            // The zero of two languages is no time at which a backup ended.
            ("\"0001-01-01T00:00:00Z\"", Err(Unreadable)),
            ("\"1970-01-01T00:00:00Z\"", Err(Unreadable)),
            ("\"1970-01-01T00:00Z\"", Err(Unreadable)),
            ("1559218200", Err(Unreadable)),
        ] {
            assert_eq!(scalar(json).time(), expected, "{json}");
        }
    }

    #[test]
    fn a_consistent_time_is_text_in_one_listing_and_seconds_in_the_other() {
        for (json, expected) in [
            ("1674179181", Ok(Some(utc("2023-01-20T01:46:21Z")))),
            ("\"1674179181\"", Ok(Some(utc("2023-01-20T01:46:21Z")))),
            (
                "\"2023-01-20T01:46:21Z\"",
                Ok(Some(utc("2023-01-20T01:46:21Z"))),
            ),
            ("0", Ok(None)),
            ("\"0\"", Ok(None)),
            ("\"\"", Ok(None)),
            ("null", Ok(None)),
            ("-5", Err(Unreadable)),
            ("1.5", Err(Unreadable)),
            ("9223372036854775807", Err(Unreadable)),
            ("253402300799", Ok(Some(utc("9999-12-31T23:59:59Z")))),
            ("253402300800", Err(Unreadable)),
        ] {
            assert_eq!(scalar(json).time_or_seconds(), expected, "{json}");
        }
    }

    #[test]
    fn restore_regions_are_read_however_they_are_wrapped() {
        for (json, expected) in [
            (
                r#"{"RestoreRegion":["cn-hangzhou","cn-zhangjiakou"]}"#,
                &["cn-hangzhou", "cn-zhangjiakou"][..],
            ),
            (
                r#"{"RestoreRegion":["\"cn-hangzhou\", \"cn-shanghai\""]}"#,
                &["cn-hangzhou", "cn-shanghai"],
            ),
            (r#"{"RestoreRegion":"cn-shenzhen"}"#, &["cn-shenzhen"]),
            (r#"["cn-shenzhen"]"#, &["cn-shenzhen"]),
            (r#"{"RestoreRegion":[]}"#, &[]),
            (r#"{"RestoreRegion":null}"#, &[]),
            ("null", &[]),
            ("\"\"", &[]),
            ("7", &[]),
        ] {
            let Names(names) = serde_json::from_str(json).unwrap();
            assert_eq!(names, expected, "{json}");
        }
    }
}
