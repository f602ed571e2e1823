//! The vendors by name: what a configuration may say, and what each has. No I/O, and nothing of how a vendor is asked
//! (see `provider`).

mod regions;

use std::time::Duration;

use crate::backup::ListingKind;

pub use self::regions::Meant;

/// Whose backups are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Vendor {
    /// Alibaba Cloud RDS, API version 2014-08-15.
    Alibaba,
    /// Huawei Cloud RDS, API version 3.
    Huawei,
    /// Volcengine Cache for Redis, API version 2020-12-07.
    Volcengine,
}

/// How many instances of one region a single call can answer for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Together {
    /// One.
    None,
    /// So many, each named in the call.
    UpTo(usize),
    /// Every instance of the account.
    All,
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
    pub const ALL: [Self; 3] = [Self::Alibaba, Self::Huawei, Self::Volcengine];

    /// The value of the label `provider`, and the name in the configuration file.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Alibaba => "alibaba",
            Self::Huawei => "huawei",
            Self::Volcengine => "volcengine",
        }
    }

    /// The vendor of this name, if there is one.
    pub fn from_label(label: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.label() == label)
    }

    /// The value of the label `product`.
    pub const fn product(self) -> &'static str {
        match self {
            Self::Alibaba | Self::Huawei => "rds",
            Self::Volcengine => "redis",
        }
    }

    /// The listings that the vendor has.
    pub const fn listings(self) -> &'static [ListingKind] {
        match self {
            Self::Alibaba | Self::Huawei => &ListingKind::ALL,
            Self::Volcengine => &[
                ListingKind::CrossRegion,
                ListingKind::Local,
                ListingKind::Policy,
                ListingKind::RestoreWindow,
            ],
        }
    }

    /// Whether its regions are divided into projects.
    pub const fn has_projects(self) -> bool {
        match self {
            Self::Alibaba | Self::Volcengine => false,
            Self::Huawei => true,
        }
    }

    /// How many instances of one region a single call can answer for.
    pub const fn together(self, listing: ListingKind) -> Together {
        match (self, listing) {
            (Self::Alibaba, ListingKind::Policy) => Together::UpTo(30),
            (Self::Volcengine, ListingKind::CrossRegion | ListingKind::Local) => Together::All,
            _ => Together::None,
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
            // Huawei allows a user 60 calls a minute over all operations, and locks nobody out for asking 50.
            Self::Huawei => DefaultPace {
                spacing: Duration::from_millis(1200),
                per_operation: false,
            },
            // Volcengine publishes no figure for Redis.
            Self::Volcengine => DefaultPace {
                spacing: Duration::from_millis(200),
                per_operation: false,
            },
        }
    }
}
