//! Reads single values of the tree, each with its key path.
//!
//! A problem goes into the report, the caller gets [`Told`] for the value, and reading goes on. The caller knows the keys and
//! what their values mean together.

use std::ops::RangeInclusive;
use std::time::Duration;

use config::{Map, Value, ValueKind};

use super::key_path::KeyPath;
use super::problem::Report;
use crate::secret::{Secret, is_unbroken};

/// A longer name is cut in what people read.
const LONGEST_NAME_SHOWN: usize = 200;

/// What is appended to a problem with a value that came from a variable.
pub fn told_from(variable: &str) -> String {
    let variable: String = variable.chars().take(LONGEST_NAME_SHOWN).collect();
    format!(
        " (from the environment variable {})",
        variable.escape_debug()
    )
}

/// There is no value, and the report says why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Told;

/// A value, or a problem that is in the report already.
pub type Read<T> = Result<T, Told>;

/// Where a value stands, and the environment variable that it came from, if it did.
#[derive(Debug, Clone)]
pub struct Place<'a> {
    /// Its keys.
    pub path: KeyPath,
    variable: Option<&'a str>,
}

impl Place<'_> {
    /// Reports a problem with what stands here.
    pub fn complain(&self, what: impl AsRef<str>, report: &mut Report) -> Told {
        let what = what.as_ref();
        let told_from = self.variable.map(told_from).unwrap_or_default();
        report.add(&self.path, format!("{what}{told_from}"));
        Told
    }
}

/// One value of any kind.
#[derive(Debug, Clone)]
pub struct Node<'a> {
    /// Where it stands.
    pub place: Place<'a>,
    value: &'a Value,
}

/// The values of a mapping by their keys.
#[derive(Debug, Clone)]
pub struct Mapping<'a> {
    /// Where it stands.
    pub place: Place<'a>,
    entries: &'a Map<String, Value>,
}

/// Whether the names of unknown keys are repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyNames {
    /// They are.
    Shown,
    /// Only if they look like a key: in `{access_key_secret=hunter2}`, the secret is a part of the key.
    Guarded,
}

impl<'a> Mapping<'a> {
    /// The value of a key; a null counts as none.
    pub fn get(&self, key: &str) -> Option<Node<'a>> {
        self.get_even_null(key).filter(|node| !node.is_null())
    }

    /// The value of a key, also where it is a null.
    pub fn get_even_null(&self, key: &str) -> Option<Node<'a>> {
        let value = self.entries.get(key)?;
        Some(Node::new(self.place.path.key(key), value))
    }

    /// Where the value of a key stands, or would.
    pub fn place_of(&self, key: &str) -> Place<'a> {
        let node = self.get_even_null(key);
        node.map_or_else(
            || Place {
                path: self.place.path.key(key),
                variable: None,
            },
            |node| node.place,
        )
    }

    /// The value of a key that has to be there.
    pub fn require(&self, key: &str, expected: &str, report: &mut Report) -> Read<Node<'a>> {
        self.get(key)
            .ok_or_else(|| self.missing(key, expected, report))
    }

    /// Reports that a key is not there.
    pub fn missing(&self, key: &str, expected: &str, report: &mut Report) -> Told {
        let place = self.place.path.key(key);
        report.add(&place, format!("missing; expected {expected}"));
        Told
    }

    fn check_keys(&self, known: &[&str], names: KeyNames, report: &mut Report) {
        for (key, value) in self.entries {
            if known.contains(&key.as_str()) {
                continue;
            }
            let nearest = nearest(key, known);
            let looks_like_a_key =
                |byte: u8| byte.is_ascii_lowercase() || matches!(byte, b'_' | b'-');
            let is_shown =
                names == KeyNames::Shown || (key.len() <= 24 && key.bytes().all(looks_like_a_key));
            let advice = match nearest {
                Some(nearest) => format!("did you mean `{nearest}`?"),
                None => format!("known here are {}", listed(known)),
            };
            if is_shown {
                let node = Node::new(self.place.path.key(key), value);
                let what = format!("unknown key {}; {advice}", quoted(key));
                node.place.complain(what, report);
            } else {
                let advice = format!("unknown key, not repeated as it may hold a secret; {advice}");
                self.place.complain(advice, report);
            }
        }
    }
}

impl<'a> Node<'a> {
    /// The root of a tree.
    pub fn root(value: &'a Value) -> Self {
        Self::new(KeyPath::default(), value)
    }

    fn new(path: KeyPath, value: &'a Value) -> Self {
        // Only values from the environment have an origin: the file's are made without one.
        let variable = value.origin();
        Self {
            place: Place { path, variable },
            value,
        }
    }

    /// Whether nothing stands here.
    pub fn is_null(&self) -> bool {
        self.value.kind == ValueKind::Nil
    }

    /// The value of a key, if this is a mapping that has it; nothing is reported.
    pub fn entry(&self, key: &str) -> Option<Self> {
        let ValueKind::Table(entries) = &self.value.kind else {
            return None;
        };
        let node = Self::new(self.place.path.key(key), entries.get(key)?);
        (!node.is_null()).then_some(node)
    }

    /// The elements, if this is a list; nothing is reported.
    pub fn elements(&self) -> impl Iterator<Item = Self> + use<'a> {
        let elements: &[Value] = match &self.value.kind {
            ValueKind::Array(elements) => elements,
            _ => &[],
        };
        let path = self.place.path.clone();
        let elements = elements.iter().enumerate();
        elements.map(move |(index, value)| Self::new(path.index(index), value))
    }

    /// The text, if this is one; nothing is reported.
    pub fn as_text(&self) -> Option<&'a str> {
        match &self.value.kind {
            ValueKind::String(text) => Some(text),
            _ => None,
        }
    }

    /// Reads a mapping, and reports each of its keys that is not `known`.
    pub fn mapping(
        &self,
        known: &[&str],
        names: KeyNames,
        report: &mut Report,
    ) -> Read<Mapping<'a>> {
        let ValueKind::Table(entries) = &self.value.kind else {
            let what = format!("expected a mapping, found {}", self.kind());
            return Err(self.place.complain(what, report));
        };
        let place = self.place.clone();
        let mapping = Mapping { place, entries };
        mapping.check_keys(known, names, report);
        Ok(mapping)
    }

    /// Reads a mapping whose keys are the user's own, in the order of the keys.
    pub fn entries(&self, expected: &str, report: &mut Report) -> Read<Vec<(&'a str, Self)>> {
        let ValueKind::Table(entries) = &self.value.kind else {
            let what = format!("expected {expected}, found {}", self.kind());
            return Err(self.place.complain(what, report));
        };
        let mut entries: Vec<_> = entries
            .iter()
            .map(|(key, value)| (key.as_str(), Self::new(self.place.path.key(key), value)))
            .collect();
        entries.sort_by_key(|(key, _)| *key);
        Ok(entries)
    }

    /// Reads a list.
    pub fn list(&self, expected: &str, report: &mut Report) -> Read<Vec<Self>> {
        let ValueKind::Array(elements) = &self.value.kind else {
            let what = format!("expected {expected}, found {}", self.kind());
            return Err(self.place.complain(what, report));
        };
        Ok(elements
            .iter()
            .enumerate()
            .map(|(index, value)| Self::new(self.place.path.index(index), value))
            .collect())
    }

    /// Reads a list of texts; one from the environment is separated by commas.
    pub fn texts(
        &self,
        expected: &str,
        of: &str,
        report: &mut Report,
    ) -> Read<Vec<(Place<'a>, Read<&'a str>)>> {
        if let (ValueKind::String(text), Some(_)) = (&self.value.kind, self.place.variable) {
            if text.trim().is_empty() {
                return Ok(Vec::new());
            }
            let texts = text.split(',').map(str::trim).enumerate();
            let place = |index| Place {
                path: self.place.path.index(index),
                variable: self.place.variable,
            };
            return Ok(texts
                .map(|(index, text)| (place(index), Ok(text)))
                .collect());
        }
        let elements = self.list(expected, report)?.into_iter();
        Ok(elements
            .map(|element| (element.place.clone(), element.text(of, report)))
            .collect())
    }

    /// Reads a text. A number is none: YAML has read `0503` as 503 and `1e3` as 1000 by now.
    pub fn text(&self, expected: &str, report: &mut Report) -> Read<&'a str> {
        let ValueKind::String(text) = &self.value.kind else {
            let advice = self.quoting_advice();
            let what = format!("expected {expected}, found {}{advice}", self.found());
            return Err(self.place.complain(what, report));
        };
        Ok(text)
    }

    /// Reads a secret. Never says what was found instead, only of which kind it was.
    pub fn secret(&self, report: &mut Report) -> Read<Secret> {
        let expected = "expected a text without white space, found";
        let ValueKind::String(text) = &self.value.kind else {
            let advice = self.quoting_advice();
            return Err(self
                .place
                .complain(format!("{expected} {}{advice}", self.kind()), report));
        };
        if text.is_empty() {
            return Err(self
                .place
                .complain(format!("{expected} an empty one"), report));
        }
        if !is_unbroken(text) {
            let what = format!("{expected} one with white space or control characters");
            return Err(self.place.complain(what, report));
        }
        Ok(Secret::new(text.clone()))
    }

    /// Reads a text that may hold a secret. Never says what was found instead, only of which kind it was.
    pub fn hidden_text(&self, expected: &str, report: &mut Report) -> Read<&'a str> {
        let ValueKind::String(text) = &self.value.kind else {
            let (kind, advice) = (self.kind(), self.quoting_advice());
            let what = format!("expected {expected}, found {kind}{advice}");
            return Err(self.place.complain(what, report));
        };
        Ok(text)
    }

    /// Reads a truth value, also in the words of YAML 1.1.
    pub fn boolean(&self, report: &mut Report) -> Read<bool> {
        match &self.value.kind {
            ValueKind::Boolean(value) => Ok(*value),
            ValueKind::String(text) if matches!(text.as_str(), "yes" | "on") => Ok(true),
            ValueKind::String(text) if matches!(text.as_str(), "no" | "off") => Ok(false),
            _ => {
                let what = format!("expected `true` or `false`, found {}", self.found());
                Err(self.place.complain(what, report))
            }
        }
    }

    /// Whether this is a duration of nothing, as in `0` or `0s`.
    pub fn is_zero_duration(&self) -> bool {
        match &self.value.kind {
            ValueKind::I64(0) => true,
            ValueKind::String(text) => {
                text == "0" || humantime::parse_duration(text) == Ok(Duration::ZERO)
            }
            _ => false,
        }
    }

    /// Reads an integer.
    pub fn integer(&self, range: RangeInclusive<usize>, report: &mut Report) -> Read<usize> {
        let integer = match (&self.value.kind, self.place.variable) {
            (ValueKind::I64(integer), _) => usize::try_from(*integer).ok(),
            (ValueKind::String(text), Some(_)) => text.trim().parse().ok(),
            _ => None,
        };
        integer
            .filter(|integer| range.contains(integer))
            .ok_or_else(|| {
                let (from, to) = (range.start(), range.end());
                let what = format!(
                    "expected an integer from {from} to {to}, found {}",
                    self.found()
                );
                self.place.complain(what, report)
            })
    }

    /// Reads a duration.
    pub fn duration(&self, range: RangeInclusive<Duration>, report: &mut Report) -> Read<Duration> {
        self.duration_or("a duration such as `5m`", range, report)
    }

    /// Reads a duration that can be switched off, which is the inner `None`.
    ///
    /// Other parsers of YAML read `off` as `false`, and so do people.
    pub fn promise(
        &self,
        range: RangeInclusive<Duration>,
        report: &mut Report,
    ) -> Read<Option<Duration>> {
        match &self.value.kind {
            ValueKind::Boolean(false) => Ok(None),
            ValueKind::String(text) if text == "off" => Ok(None),
            ValueKind::String(text) if text == "false" && self.place.variable.is_some() => Ok(None),
            _ => {
                let expected = "a duration such as `26h`, or `off`";
                self.duration_or(expected, range, report).map(Some)
            }
        }
    }

    fn duration_or(
        &self,
        expected: &str,
        range: RangeInclusive<Duration>,
        report: &mut Report,
    ) -> Read<Duration> {
        let found = self.found();
        let duration = match &self.value.kind {
            ValueKind::String(text) => humantime::parse_duration(text.trim()).ok(),
            _ => None,
        };
        let what = match duration {
            None => format!("expected {expected}, found {found}"),
            Some(Duration::ZERO) => format!("expected {expected}, more than zero; found {found}"),
            Some(duration) if duration < *range.start() => {
                format!(
                    "expected at least {}, found {found}",
                    described(*range.start())
                )
            }
            Some(duration) if duration > *range.end() => {
                format!(
                    "expected at most {}, found {found}",
                    described(*range.end())
                )
            }
            Some(duration) => return Ok(duration),
        };
        Err(self.place.complain(what, report))
    }

    fn quoting_advice(&self) -> &'static str {
        match self.value.kind {
            ValueKind::Nil | ValueKind::String(_) | ValueKind::Table(_) | ValueKind::Array(_) => "",
            _ => "; put it in quotes, as YAML may have changed it",
        }
    }

    /// What stands here, for keys that hold no secrets.
    pub fn found(&self) -> String {
        match &self.value.kind {
            ValueKind::Boolean(value) => format!("the boolean {value}"),
            ValueKind::I64(value) => format!("the integer {value}"),
            ValueKind::Float(value) => format!("the number {value:?}"),
            ValueKind::String(value) => format!("the text {}", quoted(value)),
            _ => self.kind().to_owned(),
        }
    }

    /// The kind of what stands here.
    fn kind(&self) -> &'static str {
        match &self.value.kind {
            ValueKind::Nil => "nothing",
            ValueKind::Boolean(_) => "a boolean",
            ValueKind::I64(_) | ValueKind::I128(_) | ValueKind::U64(_) | ValueKind::U128(_) => {
                "an integer"
            }
            ValueKind::Float(_) => "a number",
            ValueKind::String(_) => "a text",
            ValueKind::Table(_) => "a mapping",
            ValueKind::Array(_) => "a list",
        }
    }
}

/// A longer text is cut in what people read.
const LONGEST_TEXT_SHOWN: usize = 60;

/// A text as it is shown in a problem: on one line, and without what would move a terminal's cursor.
pub fn quoted(text: &str) -> String {
    let mut shown: String = text
        .chars()
        .take(LONGEST_TEXT_SHOWN)
        .flat_map(|character| match character {
            // `escape_debug` is made for literals in source code; a quotation mark needs no escape here.
            '\'' | '"' | '\\' => vec![character],
            _ => character.escape_debug().collect(),
        })
        .collect();
    if text.chars().nth(LONGEST_TEXT_SHOWN).is_some() {
        shown.push('…');
    }
    format!("`{shown}`")
}

/// Names as they are enumerated in a problem.
pub fn listed<'a>(names: impl IntoIterator<Item = &'a &'a str>) -> String {
    let names: Vec<String> = names.into_iter().map(|name| format!("`{name}`")).collect();
    names.join(", ")
}

/// A duration in the largest unit that leaves no rest: `humantime` would make months of days.
pub fn described(duration: Duration) -> String {
    let units = [
        (86_400_000, "d"),
        (3_600_000, "h"),
        (60_000, "m"),
        (1000, "s"),
        (1, "ms"),
    ];
    let milliseconds = duration.as_millis();
    units
        .into_iter()
        .find(|(unit, _)| milliseconds > 0 && milliseconds.is_multiple_of(*unit))
        .filter(|_| duration.subsec_nanos().is_multiple_of(1_000_000))
        .map_or_else(
            || humantime::format_duration(duration).to_string(),
            |(unit, name)| format!("{}{name}", milliseconds / unit),
        )
}

/// The known name that was probably meant.
pub fn nearest<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    // Of a long name, none is near, and measuring would take long.
    if name.len() > 40 {
        return None;
    }
    let spelled = name.to_lowercase().replace(['-', ' '], "_");
    known
        .iter()
        .map(|known| (strsim::damerau_levenshtein(&spelled, known), *known))
        .filter(|(distance, known)| *distance <= 2 && *distance * 2 < known.len())
        .min()
        .map(|(_, known)| known)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_described_in_its_own_unit() {
        let check = |duration, expected| assert_eq!(described(duration), expected);
        check(Duration::from_secs(31 * 86_400), "31d");
        check(Duration::from_secs(26 * 3600), "26h");
        check(Duration::from_secs(90), "90s");
        check(Duration::from_millis(100), "100ms");
        check(Duration::from_nanos(1), "1ns");
        check(Duration::ZERO, "0s");
    }

    #[test]
    fn the_name_that_was_meant_is_found() {
        let known = ["id", "region", "name", "backup_regions", "interval"];
        let check = |name: &str, expected: Option<&str>| {
            assert_eq!(nearest(name, &known), expected, "{name}");
        };
        check("intervall", Some("interval"));
        check("Interval", Some("interval"));
        check("backup-regions", Some("backup_regions"));
        check("backup_region", Some("backup_regions"));
        check("reigon", Some("region"));
        check("ids", None);
        check("projects", None);
        check("", None);
    }

    #[test]
    fn a_text_is_shown_on_one_line() {
        assert_eq!(quoted("a\n\u{1b}[31m'b'"), "`a\\n\\u{1b}[31m'b'`");
        assert_eq!(quoted(&"é".repeat(100)), format!("`{}…`", "é".repeat(60)));
    }
}
