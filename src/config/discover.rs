//! Which instances are watched without being named.

use std::sync::Arc;

use regex_lite::Regex;

use crate::backup::ListingKind;
use crate::service::Service;
use crate::target::{InstanceKey, Objectives, Target};

/// Where instances are looked for, and which of them are watched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Discover {
    /// The regions.
    pub regions: Vec<Arc<str>>,
    /// The services whose instances are looked for.
    pub services: Vec<Service>,
    /// Watched are those of which the id or the name matches one of these; all, where there is none.
    pub include: Vec<Pattern>,
    /// Not watched are those of which the id or the name matches one of these.
    pub exclude: Vec<Pattern>,
    /// What is promised for each.
    pub objectives: Objectives,
    /// Which listings are read of each, as far as its service has them.
    pub listings: Vec<ListingKind>,
}

/// A regular expression. Two are the same when they are written the same.
#[derive(Debug, Clone)]
pub struct Pattern(Regex);

impl Pattern {
    /// Longer ones were meant for something else.
    const LONGEST: usize = 1000;

    /// Reads a regular expression.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.len() > Self::LONGEST {
            return Err(format!("longer than {} characters", Self::LONGEST));
        }
        Regex::new(text)
            .map(Self)
            .map_err(|error| error.to_string())
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_str() == other.0.as_str()
    }
}

impl Eq for Pattern {}

impl Discover {
    /// Whether an instance of this id and name is watched.
    pub fn selects(&self, id: &str, name: Option<&str>) -> bool {
        let matches = |patterns: &[Pattern]| {
            patterns.iter().any(|Pattern(regex)| {
                regex.is_match(id) || name.is_some_and(|name| regex.is_match(name))
            })
        };
        (self.include.is_empty() || matches(&self.include)) && !matches(&self.exclude)
    }

    /// What is watched of an instance that was found.
    pub fn target(&self, key: InstanceKey) -> Target {
        let has = key.service.spec().listings;
        let listings = self.listings.iter().copied();
        Target {
            name: None,
            backup_regions: Vec::new(),
            objectives: self.objectives.within(has),
            listings: listings.filter(|listing| has.contains(listing)).collect(),
            key,
        }
    }
}
