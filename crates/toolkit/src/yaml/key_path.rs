//! The place of a value in a configuration: `accounts[0].instances[2].region`.

use std::fmt;

/// From the top down to one value. Ordered by name, and by number within a list.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct KeyPath(Vec<Segment>);

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Segment {
    Key(String),
    Index(usize),
}

/// A longer key is cut in what people read: nobody looks for it by its end.
const LONGEST_KEY_SHOWN: usize = 60;

impl KeyPath {
    /// The place of the value of this key.
    #[must_use]
    pub fn key(&self, key: &str) -> Self {
        self.with(Segment::Key(key.to_owned()))
    }

    /// The place of this element.
    #[must_use]
    pub fn index(&self, index: usize) -> Self {
        self.with(Segment::Index(index))
    }

    fn with(&self, segment: Segment) -> Self {
        let mut segments = self.0.clone();
        segments.push(segment);
        Self(segments)
    }
}

impl fmt::Display for KeyPath {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (depth, segment) in self.0.iter().enumerate() {
            match segment {
                Segment::Key(key) => {
                    if depth > 0 {
                        formatter.write_str(".")?;
                    }
                    // A key can be any text, also one that would move a terminal's cursor.
                    for character in key.chars().take(LONGEST_KEY_SHOWN) {
                        write!(formatter, "{}", character.escape_debug())?;
                    }
                }
                Segment::Index(index) => write!(formatter, "[{index}]")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_reads_as_one_would_write_it() {
        let top = KeyPath::default();
        assert_eq!(top.to_string(), "");
        let region = top
            .key("accounts")
            .index(0)
            .key("instances")
            .index(2)
            .key("region");
        assert_eq!(region.to_string(), "accounts[0].instances[2].region");
        assert_eq!(top.key("a\u{1b}[2J").to_string(), "a\\u{1b}[2J");
    }

    #[test]
    fn the_tenth_element_comes_after_the_second() {
        let accounts = KeyPath::default().key("accounts");
        assert!(accounts < accounts.index(2));
        assert!(accounts.index(2) < accounts.index(10));
        assert!(accounts.index(10) < KeyPath::default().key("poll"));
    }
}
