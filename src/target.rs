//! One monitored instance: who it is, where its copies should be, what was promised for it.
//!
//! Made by `config`; read by everything after it. Holds no facts about backups (see `facts`).

use std::sync::Arc;
use std::time::Duration;

use crate::backup::ListingKind;
use crate::service::Service;

/// Who an instance is: the four labels that every series of it carries, and whose instance it is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InstanceKey {
    /// The provider's label, such as `alibaba`.
    pub provider: &'static str,
    /// The configuration's name for the account.
    pub account: Arc<str>,
    /// The instance's own region.
    pub source_region: Arc<str>,
    /// The vendor's id of the instance.
    pub instance_id: Arc<str>,
    /// The service whose instance it is. No two of an account have the same labels, so it is none of them.
    pub service: Service,
}

/// Whether this can be a region: it becomes a label of a host name, so that nothing else may come into that.
pub fn is_region(text: &str) -> bool {
    const LONGEST: usize = 63;
    (1..=LONGEST).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}

/// One instance to watch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Who it is.
    pub key: InstanceKey,
    /// The configuration's name for it, for people.
    pub name: Option<String>,
    /// The regions in which a copy is expected; empty when the configuration does not say.
    pub backup_regions: Vec<String>,
    /// What was promised for it.
    pub objectives: Objectives,
    /// Which listings to read.
    pub listings: Vec<ListingKind>,
}

/// The promises about one instance; `None` where a promise was switched `off`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Objectives {
    /// The newest recovery point in each expected region is younger than this.
    pub recovery_point: Option<Duration>,
    /// The newest usable local set is younger than this.
    pub backup_age: Option<Duration>,
    /// A local full set has its copy within this time.
    pub copy_delay: Option<Duration>,
    /// The oldest usable cross-region set is at least this old.
    pub retention: Option<Duration>,
}

/// The name of one promise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Objective {
    /// See [`Objectives::recovery_point`].
    RecoveryPoint,
    /// See [`Objectives::backup_age`].
    BackupAge,
    /// See [`Objectives::copy_delay`].
    CopyDelay,
    /// See [`Objectives::retention`].
    Retention,
}

impl Objective {
    /// Every objective, in the order in which a page shows them.
    pub const ALL: [Self; 4] = [
        Self::RecoveryPoint,
        Self::BackupAge,
        Self::CopyDelay,
        Self::Retention,
    ];

    /// The value of the label `objective`, and the name in the configuration file.
    pub const fn label(self) -> &'static str {
        match self {
            Self::RecoveryPoint => "recovery_point",
            Self::BackupAge => "backup_age",
            Self::CopyDelay => "copy_delay",
            Self::Retention => "retention",
        }
    }

    /// The listings without which there is never a verdict that it is met.
    pub const fn needs(self) -> &'static [ListingKind] {
        match self {
            Self::RecoveryPoint | Self::Retention => &[ListingKind::CrossRegion],
            Self::BackupAge => &[ListingKind::Local],
            Self::CopyDelay => &[ListingKind::CrossRegion, ListingKind::Local],
        }
    }
}

impl Objectives {
    /// Those that can have a verdict where only these listings are ever read.
    #[must_use]
    pub fn within(mut self, listings: &[ListingKind]) -> Self {
        for objective in Objective::ALL {
            let mut needed = objective.needs().iter();
            if !needed.all(|listing| listings.contains(listing)) {
                self.set(objective, None);
            }
        }
        self
    }

    /// What was promised under this name.
    pub const fn get(&self, objective: Objective) -> Option<Duration> {
        match objective {
            Objective::RecoveryPoint => self.recovery_point,
            Objective::BackupAge => self.backup_age,
            Objective::CopyDelay => self.copy_delay,
            Objective::Retention => self.retention,
        }
    }

    /// Replaces what was promised under this name.
    pub const fn set(&mut self, objective: Objective, promise: Option<Duration>) {
        match objective {
            Objective::RecoveryPoint => self.recovery_point = promise,
            Objective::BackupAge => self.backup_age = promise,
            Objective::CopyDelay => self.copy_delay = promise,
            Objective::Retention => self.retention = promise,
        }
    }
}
