//! The vendors: a closed set, and what each can list.

use std::time::Duration;

use crate::backup::ListingKind;

/// A vendor whose backups can be listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Alibaba Cloud RDS, API version 2014-08-15.
    Alibaba,
}

/// How fast an account may be asked when its configuration does not say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DefaultPace {
    /// The time between two requests.
    pub spacing: Duration,
    /// Whether each operation has a quota of its own, or the account has one for all of them.
    pub per_operation: bool,
}

impl Kind {
    /// Every vendor.
    pub const ALL: [Self; 1] = [Self::Alibaba];

    /// The value of the label `provider`, and the name in the configuration file.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Alibaba => "alibaba",
        }
    }

    /// The vendor of this name, if there is one.
    pub fn from_label(label: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.label() == label)
    }

    /// The value of the label `product`.
    pub const fn product(self) -> &'static str {
        match self {
            Self::Alibaba => "rds",
        }
    }

    /// The listings that the vendor has.
    pub const fn listings(self) -> &'static [ListingKind] {
        match self {
            Self::Alibaba => &[ListingKind::CrossRegion, ListingKind::Local],
        }
    }
}
