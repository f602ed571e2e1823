//! The vendors by name: what a configuration may say, and what each has. No I/O, and nothing of how a vendor is asked
//! (see `provider`).

use std::time::Duration;

use crate::backup::ListingKind;

/// Whose backups are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Vendor {
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

impl Vendor {
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

    /// How fast an account is asked by default.
    pub const fn default_pace(self) -> DefaultPace {
        match self {
            // Alibaba publishes no figure for RDS. Quotas are counted per operation and account and are shared with the
            // console and with every other tool, so one request a second for each operation leaves room for them.
            Self::Alibaba => DefaultPace {
                spacing: Duration::from_secs(1),
                per_operation: true,
            },
        }
    }
}
