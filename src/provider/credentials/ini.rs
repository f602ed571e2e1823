//! Profile files in the INI format, as the vendors' SDKs read them: sections of `name = value`. Pure.
//!
//! A `#` within a value belongs to the value here. Alibaba's Python SDK ends the value at it, and so does its source.

use std::collections::BTreeMap;

/// The sections of a file. No `Debug`: the values are secrets.
#[derive(Default)]
pub(in crate::provider) struct Ini(BTreeMap<String, Section>);

/// One section.
#[derive(Default)]
pub(in crate::provider) struct Section(BTreeMap<String, String>);

impl Ini {
    /// Reads a text.
    ///
    /// # Errors
    /// Names the line that makes no sense, and never repeats it.
    pub(in crate::provider) fn parse(text: &str) -> Result<Self, String> {
        let mut ini = Self::default();
        let mut current = None;
        for (index, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with(['#', ';']) {
                continue;
            }
            let number = index + 1;
            if let Some(section) = line.strip_prefix('[') {
                let name = section
                    .split_once(']')
                    .map(|(name, _)| name.trim().to_owned())
                    .ok_or_else(|| format!("line {number}: a section does not end"))?;
                current = Some(ini.0.entry(name).or_default());
                continue;
            }
            let (name, value) = line
                .split_once(['=', ':'])
                .ok_or_else(|| format!("line {number}: expected `name = value`"))?;
            let section = current
                .as_mut()
                .ok_or_else(|| format!("line {number}: a value stands before the first section"))?;
            section
                .0
                .insert(name.trim().to_ascii_lowercase(), value.trim().to_owned());
        }
        Ok(ini)
    }

    /// A section by its name.
    pub(in crate::provider) fn section(&self, name: &str) -> Option<&Section> {
        self.0.get(name)
    }
}

impl Section {
    /// A value; an empty one counts as none.
    pub(in crate::provider) fn get(&self, name: &str) -> Option<&str> {
        let value = self.0.get(name).map(String::as_str);
        value.filter(|value| !value.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn sections_and_values_are_read_as_the_sdks_read_them() {
        let check = |text: &str, expected: Option<&str>| {
            let ini = Ini::parse(text).unwrap_or_else(|problem| panic!("{problem}: {text}"));
            let found = ini.section("basic").and_then(|section| section.get("ak"));
            assert_eq!(found, expected, "{text:?}");
        };
        check("", None);
        check("[basic]", None);
        check("[basic]\nak = 1", Some("1"));
        check("[basic]\r\nak=1\r\n", Some("1"));
        check("  [ basic ]  \n\n  AK  :  1  ", Some("1"));
        check("[basic]\nak =", None);
        check("[basic]\n# ak = 1\n; ak = 2", None);
        check("[basic]\nak = a=b:c#d", Some("a=b:c#d"));
        check("[other]\nak = 1\n[basic]\nsk = 2", None);
        check("[basic]\nak = 1\n[other]\nak = 2", Some("1"));
        check("[basic]\nak = 1\n[basic]\nak = 2", Some("2"));
        check("[basic] # why\nak = 1", Some("1"));
    }

    #[test]
    fn a_line_that_makes_no_sense_is_named_and_not_repeated() {
        for (text, expected) in [
            ("hush", "line 1: expected `name = value`"),
            ("[basic]\n\nhush", "line 3: expected `name = value`"),
            (
                "ak = hush",
                "line 1: a value stands before the first section",
            ),
            ("[basic\nak = hush", "line 1: a section does not end"),
        ] {
            assert_eq!(Ini::parse(text).err().as_deref(), Some(expected), "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_was_written_is_read(
            section in "[a-z][a-z0-9-]{0,8}",
            values in proptest::collection::btree_map("[a-z][a-z_]{0,8}", "[!-~]([ -~]{0,20}[!-~])?", 0..6),
            ending in prop_oneof![Just("\n"), Just("\r\n"), Just("\n\n# a comment\n")],
            around in prop_oneof![Just("="), Just(" = "), Just("\t:  ")],
        ) {
            let mut text = format!("[{section}]{ending}");
            for (name, value) in &values {
                text.extend([name, around, value, ending]);
            }
            let ini = Ini::parse(&text).unwrap();
            let read = ini.section(&section).unwrap();
            for (name, value) in &values {
                prop_assert_eq!(read.get(name), Some(value.as_str()));
            }
        }

        #[test]
        fn no_text_makes_a_panic(text in any::<String>(), lines in "([\\[\\]=:#; a\r\n]){0,60}") {
            for text in [text, lines] {
                if let Ok(ini) = Ini::parse(&text) {
                    let _ = ini.section("a").map(|section| section.get("a").is_some());
                }
            }
        }
    }
}
