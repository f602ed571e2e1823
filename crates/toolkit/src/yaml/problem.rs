//! What is wrong with a configuration, told by key: collected, never only the first.

use std::fmt;

use super::key_path::KeyPath;

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// Where: `accounts[0].instances[2].region`; empty for the file as a whole.
    pub key: String,
    /// What, and what was expected instead. Never the value of a secret.
    pub what: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.key.is_empty() {
            formatter.write_str(&self.what)
        } else {
            write!(formatter, "{}: {}", self.key, self.what)
        }
    }
}

/// Everything that is wrong, in the order of the keys; never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problems(pub Vec<Problem>);

impl Problems {
    /// The configuration as a whole is wrong, so that nothing more can be said about it.
    pub fn whole(what: impl Into<String>) -> Self {
        Self(vec![Problem {
            key: String::new(),
            what: what.into(),
        }])
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            if index > 0 {
                formatter.write_str("\n")?;
            }
            write!(formatter, "{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

/// Collects problems while a configuration is read.
#[derive(Debug, Default)]
pub struct Report(Vec<(KeyPath, String)>);

impl Report {
    /// Adds one.
    pub fn add(&mut self, place: &KeyPath, what: impl Into<String>) {
        self.0.push((place.clone(), what.into()));
    }

    /// Whether nothing was wrong.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Everything that was added, in the order of the keys, and as it was found where the key is the same.
    pub fn into_problems(mut self) -> Problems {
        self.0.sort_by(|left, right| left.0.cmp(&right.0));
        let problems = self.0.into_iter().map(|(place, what)| Problem {
            key: place.to_string(),
            what,
        });
        Problems(problems.collect())
    }
}
