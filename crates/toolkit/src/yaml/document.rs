//! Parses a YAML text into a tree of values.
//!
//! The `config` crate builds the tree. Its loader recurses without a limit, expands aliases without a limit, drops tags, and
//! reports no key paths. So the text is checked for those here first, event by event. The caller gives the values a meaning.

use std::collections::{HashMap, HashSet};

use config::{FileFormat, Format, Value};
use yaml_rust2::parser::{Event, Parser, Tag};
use yaml_rust2::scanner::{Marker, ScanError, TScalarStyle};

use super::key_path::KeyPath;
use super::problem::{Problems, Report};

/// The largest text that is parsed.
pub const MOST_BYTES: usize = 4 * 1024 * 1024;

/// The deepest configuration has six levels; each level of the loader's recursion takes stack.
const MOST_LEVELS: usize = 32;

/// The most values and characters after the expansion of aliases.
const MOST_EXPANDED: usize = 2 * MOST_BYTES;

/// Makes a tree of the text, whose root is a table.
///
/// `known_key` is shown to whoever wrote something else than a mapping.
pub fn parse(yaml: &str, known_key: &'static str) -> Result<Value, Problems> {
    let empty = || Problems::whole("the configuration is empty");
    parse_unless_blank(yaml, known_key)?.ok_or_else(empty)
}

/// As [`parse`], but a text without values is nothing.
pub fn parse_unless_blank(yaml: &str, known_key: &'static str) -> Result<Option<Value>, Problems> {
    if yaml.len() > MOST_BYTES {
        return Err(Problems::whole(format!(
            "the configuration is larger than {} MiB",
            MOST_BYTES / 1024 / 1024
        )));
    }
    // Windows' editors begin a file with a byte order mark.
    let yaml = yaml.strip_prefix('\u{feff}').unwrap_or(yaml);
    if look_over(yaml, known_key)? == Content::Blank {
        return Ok(None);
    }
    // Not through `config::Config`: its builder takes a key such as `a.b` or `a[7]` for a path.
    match FileFormat::Yaml.parse(None, yaml) {
        Ok(table) => Ok(Some(Value::new(None, table))),
        // What the crate would say could hold a value, and a value could be a secret.
        Err(_) => Err(Problems::whole("the configuration cannot be read as YAML")),
    }
}

/// Whether there is anything to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Content {
    Mapping,
    Blank,
}

fn look_over(yaml: &str, known_key: &'static str) -> Result<Content, Problems> {
    let mut survey = Survey {
        known_key,
        ..Survey::default()
    };
    let mut parser = Parser::new_from_str(yaml);
    loop {
        let (event, mark) = parser.next_token().map_err(|error| syntax(&error))?;
        if event == Event::StreamEnd {
            break;
        }
        survey.see(event, mark)?;
    }
    match survey.documents {
        _ if survey.is_blank => Ok(Content::Blank),
        0 => Ok(Content::Blank),
        1 if survey.report.is_empty() => Ok(Content::Mapping),
        1 => Err(survey.report.into_problems()),
        documents => Err(Problems::whole(format!(
            "the configuration consists of {documents} YAML documents; expected one"
        ))),
    }
}

fn syntax(error: &ScanError) -> Problems {
    let place = place(*error.marker());
    Problems::whole(format!("not valid YAML: {} {place}", error.info()))
}

fn place(mark: Marker) -> String {
    format!("at line {}, column {}", mark.line(), mark.col() + 1)
}

/// What was seen of a text so far.
#[derive(Default)]
struct Survey {
    known_key: &'static str,
    documents: usize,
    /// The only value is a null, or there is none.
    is_blank: bool,
    open: Vec<Collection>,
    /// Values and characters, aliases replaced.
    expanded: usize,
    /// What each anchor stands for, by its number; 0 is what has no anchor.
    anchors: HashMap<usize, Extent>,
    report: Report,
}

/// How much an alias adds.
#[derive(Clone, Copy)]
struct Extent {
    /// Values and characters, aliases replaced.
    expanded: usize,
    /// Mappings and lists within each other.
    levels: usize,
}

/// A mapping or a list that has begun and not ended.
struct Collection {
    place: KeyPath,
    anchor: usize,
    expanded_before: usize,
    /// Of the deepest value in it so far.
    levels: usize,
    inside: Inside,
}

enum Inside {
    List {
        length: usize,
    },
    Mapping {
        keys: HashSet<String>,
        /// The key whose value comes next.
        key: Option<String>,
    },
}

impl Survey {
    fn see(&mut self, event: Event, mark: Marker) -> Result<(), Problems> {
        match event {
            Event::DocumentStart => self.documents += 1,
            Event::Scalar(text, style, anchor, tag) => {
                self.expanded += 1 + text.len();
                let expanded = 1 + text.len();
                self.anchors.insert(
                    anchor,
                    Extent {
                        expanded,
                        levels: 0,
                    },
                );
                self.see_scalar(&text, style, tag.as_ref(), mark)?;
            }
            Event::Alias(anchor) => {
                // An anchor that has not ended stands for nothing.
                let nothing = Extent {
                    expanded: 1,
                    levels: 0,
                };
                let extent = self.anchors.get(&anchor).copied().unwrap_or(nothing);
                self.expanded += extent.expanded;
                self.check_levels(extent.levels, mark)?;
                self.value("an alias", mark)?;
            }
            Event::SequenceStart(anchor, tag) => {
                let place = self.value("a list", mark)?;
                self.see_tag(&place, tag.as_ref(), mark);
                self.open(place, anchor, Inside::List { length: 0 }, mark)?;
            }
            Event::MappingStart(anchor, tag) => {
                let place = self.value("a mapping", mark)?;
                self.see_tag(&place, tag.as_ref(), mark);
                let keys = HashSet::new();
                self.open(place, anchor, Inside::Mapping { keys, key: None }, mark)?;
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(),
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => {}
        }
        if self.expanded > MOST_EXPANDED {
            return Err(Problems::whole(format!(
                "the configuration is larger than {} MiB with its aliases replaced",
                MOST_EXPANDED / 1024 / 1024
            )));
        }
        Ok(())
    }

    fn see_scalar(
        &mut self,
        text: &str,
        style: TScalarStyle,
        tag: Option<&Tag>,
        mark: Marker,
    ) -> Result<(), Problems> {
        let is_plain = style == TScalarStyle::Plain;
        let is_null = is_plain && tag.is_none() && matches!(text, "" | "~" | "null");
        if let Some(Collection {
            place,
            inside: Inside::Mapping { keys, key },
            ..
        }) = self.open.last_mut()
            && key.is_none()
        {
            let place = place.key(text);
            if is_null || tag.is_some() {
                return Err(not_a_key("a null or a tag", mark));
            }
            if !keys.insert(text.to_owned()) {
                let what = format!("given a second time {}", self::place(mark));
                self.report.add(&place, what);
            }
            *key = Some(text.to_owned());
            return Ok(());
        }
        let place = self.value("a text", mark)?;
        if self.open.is_empty() {
            self.check_root(is_null, mark)?;
        }
        self.see_tag(&place, tag, mark);
        let number = text.trim_start_matches(['+', '-']);
        if is_plain && (number.eq_ignore_ascii_case(".inf") || number.eq_ignore_ascii_case(".nan"))
        {
            self.report.add(
                &place,
                format!("found no finite number {}", self::place(mark)),
            );
        }
        Ok(())
    }

    fn check_root(&mut self, is_null: bool, mark: Marker) -> Result<(), Problems> {
        if is_null {
            self.is_blank = true;
            return Ok(());
        }
        let (place, known_key) = (place(mark), self.known_key);
        Err(Problems::whole(format!(
            "the configuration is a single text or number {place}; expected a mapping with the key `{known_key}`"
        )))
    }

    /// Other programs replace `!secret` or `!env` by something; here the name would be taken for the value.
    fn see_tag(&mut self, at: &KeyPath, tag: Option<&Tag>, mark: Marker) {
        if tag.is_some_and(|tag| tag.handle != "tag:yaml.org,2002:") {
            let what = format!(
                "found a YAML tag {}; tags have no meaning here",
                place(mark)
            );
            self.report.add(at, what);
        }
    }

    /// Moves to the place of the next value.
    fn value(&mut self, kind: &str, mark: Marker) -> Result<KeyPath, Problems> {
        let Some(parent) = self.open.last_mut() else {
            return Ok(KeyPath::default());
        };
        match &mut parent.inside {
            Inside::List { length } => {
                *length += 1;
                Ok(parent.place.index(*length - 1))
            }
            Inside::Mapping { key, .. } => match key.take() {
                Some(key) => Ok(parent.place.key(&key)),
                None => Err(not_a_key(kind, mark)),
            },
        }
    }

    fn open(
        &mut self,
        place: KeyPath,
        anchor: usize,
        inside: Inside,
        mark: Marker,
    ) -> Result<(), Problems> {
        if self.open.is_empty() && matches!(inside, Inside::List { .. }) {
            let known_key = self.known_key;
            return Err(Problems::whole(format!(
                "the configuration is a list; expected a mapping with the key `{known_key}`"
            )));
        }
        self.check_levels(1, mark)?;
        let expanded_before = self.expanded;
        self.expanded += 1;
        self.open.push(Collection {
            place,
            anchor,
            expanded_before,
            levels: 0,
            inside,
        });
        Ok(())
    }

    fn close(&mut self) {
        let Some(collection) = self.open.pop() else {
            return;
        };
        let extent = Extent {
            expanded: self.expanded - collection.expanded_before,
            levels: collection.levels + 1,
        };
        self.anchors.insert(collection.anchor, extent);
        if let Some(parent) = self.open.last_mut() {
            parent.levels = parent.levels.max(extent.levels);
        }
    }

    /// An alias goes as deep as what it stands for.
    fn check_levels(&mut self, more: usize, mark: Marker) -> Result<(), Problems> {
        if self.open.len() + more > MOST_LEVELS {
            let place = place(mark);
            return Err(Problems::whole(format!(
                "the configuration is more than {MOST_LEVELS} levels deep {place}"
            )));
        }
        if let Some(parent) = self.open.last_mut() {
            parent.levels = parent.levels.max(more);
        }
        Ok(())
    }
}

/// This is also how a template's `{{ value }}` looks that was never filled in.
fn not_a_key(kind: &str, mark: Marker) -> Problems {
    let place = place(mark);
    Problems::whole(format!("{kind} stands where a key was expected {place}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(yaml: &str, expected: &[&str]) {
        let problems: Vec<String> = match parse(yaml, "accounts") {
            Ok(_) => Vec::new(),
            Err(problems) => problems.0.iter().map(ToString::to_string).collect(),
        };
        assert_eq!(
            problems,
            expected,
            "{}",
            yaml.chars().take(200).collect::<String>()
        );
    }

    #[test]
    fn a_text_without_values_is_empty() {
        for empty in [
            "",
            " \n\n",
            "# only a remark\n",
            "---\n",
            "~",
            "null\n",
            "\u{feff}",
        ] {
            check(empty, &["the configuration is empty"]);
        }
    }

    #[test]
    fn the_top_is_a_mapping() {
        check("{}", &[]);
        check("\u{feff}poll: {}", &[]);
        check(
            "- a\n- b",
            &["the configuration is a list; expected a mapping with the key `accounts`"],
        );
        for scalar in ["accounts", "5", "'~'"] {
            check(
                scalar,
                &[
                    "the configuration is a single text or number at line 1, column 1; \
                   expected a mapping with the key `accounts`",
                ],
            );
        }
        check(
            "a: 1\n---\nb: 2\n",
            &["the configuration consists of 2 YAML documents; expected one"],
        );
    }

    #[test]
    fn a_syntax_error_is_told_with_its_line() {
        check(
            "poll:\n  interval: 5m\n timeout: 3s\n",
            &[
                "not valid YAML: while parsing a block mapping, did not find expected key at line 3, column 9",
            ],
        );
        check(
            "accounts: [",
            &[
                "not valid YAML: while parsing a node, did not find expected node content at line 2, column 1",
            ],
        );
        check(
            "poll: *nowhere",
            &["not valid YAML: while parsing node, found unknown anchor at line 1, column 7"],
        );
    }

    #[test]
    fn every_key_that_is_given_twice_is_told() {
        check(
            "poll:\n  interval: 1m\n  interval: 2m\naccounts:\n- name: a\n  name: b\npoll: {}\n",
            &[
                "accounts[0].name: given a second time at line 6, column 3",
                "poll: given a second time at line 7, column 1",
                "poll.interval: given a second time at line 3, column 3",
            ],
        );
        // The tree's keys are texts, so these two would be one.
        check(
            "1: a\n'1': b\n",
            &["1: given a second time at line 2, column 1"],
        );
    }

    #[test]
    fn a_template_that_was_not_filled_in_is_told() {
        check(
            "poll: {{ .Values.poll }}",
            &["a mapping stands where a key was expected at line 1, column 8"],
        );
        check(
            "~: 1",
            &["a null or a tag stands where a key was expected at line 1, column 1"],
        );
    }

    #[test]
    fn a_tag_is_not_taken_for_its_value() {
        check(
            "access_key_secret: !vault hunter2",
            &[
                "access_key_secret: found a YAML tag at line 1, column 27; tags have no meaning here",
            ],
        );
        check("id: !!str 0503", &[]);
        check(
            "poll: !other {}",
            &["poll: found a YAML tag at line 1, column 14; tags have no meaning here"],
        );
    }

    #[test]
    fn a_number_without_end_is_told_by_its_key() {
        check(
            "poll:\n  interval: .inf\n",
            &["poll.interval: found no finite number at line 2, column 13"],
        );
        check(
            "poll: [-.NaN]",
            &["poll[0]: found no finite number at line 1, column 8"],
        );
        check("poll: '.inf'", &[]);
    }

    #[test]
    fn a_text_that_would_exhaust_the_stack_is_refused() {
        let told = |place| {
            format!("the configuration is more than 32 levels deep at line 1, column {place}")
        };
        check(&("a: ".to_owned() + &"[".repeat(200)), &[&told(35)]);
        check(
            &"? ".repeat(100_000),
            &["a mapping stands where a key was expected at line 1, column 3"],
        );
        check(
            &("a:\n".to_owned() + &"- ".repeat(100_000)),
            &[&told(63).replace("line 1", "line 2")],
        );
    }

    #[test]
    fn an_alias_is_as_deep_as_what_it_stands_for() {
        let mut chain = "a0: &a0 []\n".to_owned();
        for level in 1..100 {
            let (name, before) = (format!("a{level}"), format!("a{}", level - 1));
            chain.push_str(&[&name, ": &", &name, " [*", &before, "]\n"].concat());
        }
        check(
            &chain,
            &["the configuration is more than 32 levels deep at line 32, column 12"],
        );
        check(&chain.lines().take(31).collect::<Vec<_>>().join("\n"), &[]);
    }

    #[test]
    fn a_text_that_would_exhaust_the_memory_is_refused() {
        let mut laughs = "a0: &a0 ha\n".to_owned();
        for level in 1..20 {
            let name = format!("a{level}");
            let aliases = vec![format!("*a{}", level - 1); 10].join(", ");
            laughs.push_str(&[&name, ": &", &name, " [", &aliases, "]\n"].concat());
        }
        check(
            &laughs,
            &["the configuration is larger than 8 MiB with its aliases replaced"],
        );
        check(
            &" ".repeat(MOST_BYTES + 1),
            &["the configuration is larger than 4 MiB"],
        );
        check("a: &a [*a]", &[]);
    }

    #[test]
    fn aliases_may_be_used() {
        check(
            "a: &strict {recovery_point: 1h}\nb: [*strict, *strict]",
            &[],
        );
    }
}
