//! What exists in the cloud: accounts, instances, their schedules and their troubles. Data only, as
//! a scenario file or a test states it.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Deserialize;

use crate::span;

/// Whose cloud an account is with.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq, PartialOrd, Ord)]
#[serde(rename_all = "lowercase")]
pub enum Vendor {
    /// Alibaba Cloud.
    #[default]
    Alibaba,
    /// Huawei Cloud.
    Huawei,
    /// Volcengine.
    Volcengine,
}

impl Vendor {
    /// Every vendor, in the order in which their addresses follow each other.
    pub const ALL: [Self; 3] = [Self::Alibaba, Self::Huawei, Self::Volcengine];

    /// The name that an exporter's configuration uses.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Alibaba => "alibaba",
            Self::Huawei => "huawei",
            Self::Volcengine => "volcengine",
        }
    }
}

/// A customer account with the key that its owner uses.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Account {
    /// Name that instances refer to.
    pub name: String,
    /// Whose cloud it is with.
    #[serde(default)]
    pub vendor: Vendor,
    /// Public half of the key.
    pub access_key_id: String,
    /// Secret half of the key.
    pub access_key_secret: String,
    /// Session token, when the key is a temporary one.
    #[serde(default)]
    pub security_token: Option<String>,
    /// Lifetime of the session token from the start of the cloud; without it the token lasts.
    #[serde(default, deserialize_with = "span::read_optional")]
    pub token_expires_after: Option<Duration>,
    /// Operations that the account's policy does not allow, by their name.
    #[serde(default)]
    pub denied_operations: Vec<String>,
    /// Calls that the account may make in a minute: of each operation, at Huawei of all of them
    /// together. Without it there is no limit, at Huawei the documented one.
    #[serde(default)]
    pub requests_per_minute: Option<u32>,
    /// Projects besides the one that each region has by itself, where the vendor has projects.
    #[serde(default)]
    pub projects: Vec<Project>,
}

/// A project, which is how Huawei divides an account by region and further.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct Project {
    /// The region's name, or that with `_` and a name of the customer's behind it.
    pub name: String,
    /// The vendor's id; without it one is made up from account and name.
    #[serde(default)]
    pub id: Option<String>,
    /// A disabled project is listed, and everything in it is refused.
    #[serde(default = "usually_enabled")]
    pub enabled: bool,
}

impl Project {
    /// An enabled project whose id is made up.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            id: None,
            enabled: true,
        }
    }
}

fn usually_enabled() -> bool {
    true
}

/// Session token of a temporary key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionToken {
    /// What the client sends.
    pub value: String,
    /// When the cloud stops to accept it.
    pub expires: Option<DateTime<Utc>>,
}

/// Database engine.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Engine {
    /// `MySQL`.
    #[default]
    MySql,
    /// `PostgreSQL`.
    PostgreSql,
    /// Microsoft SQL Server.
    SqlServer,
    /// `MariaDB`, which no vendor copies across regions.
    MariaDb,
    /// `Redis`.
    Redis,
}

/// A database instance.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Instance {
    /// The vendor's id, such as `rm-uf6wjk5orders`.
    pub id: String,
    /// Name of the owning account; empty means the first one.
    #[serde(default)]
    pub account: String,
    /// Region in which the instance runs.
    pub region: String,
    /// Name that people use.
    #[serde(default)]
    pub name: String,
    /// Database engine.
    #[serde(default)]
    pub engine: Engine,
    /// Version of the engine in the vendor's spelling.
    #[serde(default)]
    pub engine_version: String,
    /// When local backups run; without it the instance has never been backed up.
    #[serde(default)]
    pub schedule: Option<Schedule>,
    /// Where copies go.
    #[serde(default)]
    pub destinations: Vec<Destination>,
    /// Since when they have gone there; sets that ended earlier have no copy. Without it they
    /// always have.
    #[serde(skip)]
    pub protected_since: Option<DateTime<Utc>>,
    /// The same, counted back from the start of the cloud.
    #[serde(default, deserialize_with = "span::read_optional")]
    pub protected_for: Option<Duration>,
    /// The instance whose read-only replica this is; a replica has no backups of its own.
    #[serde(default)]
    pub read_replica_of: Option<String>,
    /// Backups of the log, where the vendor lists them: an instance with a schedule has them.
    #[serde(default)]
    pub logs: Logs,
    /// How long scheduled sets are kept, local ones and copies alike.
    #[serde(default = "usual_retention", deserialize_with = "span::read")]
    pub retention: Duration,
    /// The vendor refuses cross-region backup for this instance.
    #[serde(default)]
    pub cross_region_unsupported: bool,
    /// One node without a standby, of which some vendors make no backups.
    #[serde(default)]
    pub single_node: bool,
    /// The vendor's enterprise edition, where it keeps that apart.
    #[serde(default)]
    pub enterprise: bool,
    /// What goes wrong, counted back from the start of the cloud.
    #[serde(default)]
    pub trouble: Vec<Trouble>,
}

impl Instance {
    /// An instance of the first account that has no backups yet.
    pub fn new(id: impl Into<String>, region: impl Into<String>) -> Self {
        let id = id.into();
        Self {
            name: id.clone(),
            id,
            account: String::new(),
            region: region.into(),
            engine: Engine::MySql,
            engine_version: "8.0".to_owned(),
            schedule: None,
            destinations: Vec::new(),
            protected_since: None,
            protected_for: None,
            read_replica_of: None,
            logs: Logs::default(),
            retention: usual_retention(),
            cross_region_unsupported: false,
            single_node: false,
            enterprise: false,
            trouble: Vec::new(),
        }
    }

    /// The same instance, owned by `account`.
    #[must_use]
    pub fn account(mut self, account: impl Into<String>) -> Self {
        self.account = account.into();
        self
    }

    /// The same instance with another engine.
    #[must_use]
    pub fn engine(mut self, engine: Engine, version: impl Into<String>) -> Self {
        self.engine = engine;
        self.engine_version = version.into();
        self
    }

    /// The same instance, backed up on `schedule`.
    #[must_use]
    pub fn schedule(mut self, schedule: Schedule) -> Self {
        self.schedule = Some(schedule);
        self
    }

    /// The same instance, copied to `region` as well, `lag` after each local backup.
    #[must_use]
    pub fn copied_to(mut self, region: impl Into<String>, lag: Duration) -> Self {
        self.destinations.push(Destination {
            region: region.into(),
            lag,
            until: None,
            is_named: false,
        });
        self
    }

    /// The same instance, copied only since then.
    #[must_use]
    pub fn protected_since(mut self, since: DateTime<Utc>) -> Self {
        self.protected_since = Some(since);
        self
    }

    /// The same instance as a read-only replica of another one.
    #[must_use]
    pub fn read_replica_of(mut self, id: impl Into<String>) -> Self {
        self.read_replica_of = Some(id.into());
        self
    }

    /// There is a backup of the log for every stretch of time.
    pub(crate) fn has_logs(&self) -> bool {
        self.schedule.is_some() && !self.logs.every.is_zero()
    }
}

/// The vendor's console calls 31 days a month of backups.
fn usual_retention() -> Duration {
    Duration::from_secs(31 * 86400)
}

/// When local backups run, and how big they are. Slots are counted from 1970 on, so that history
/// does not depend on the start.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Schedule {
    /// Time from one backup to the next.
    #[serde(deserialize_with = "span::read")]
    pub every: Duration,
    /// Time into the slot at which the backup starts; for daily ones the time of day in UTC.
    #[serde(default, deserialize_with = "span::read")]
    pub offset: Duration,
    /// How long a backup runs, give or take a tenth.
    #[serde(deserialize_with = "span::read")]
    pub duration: Duration,
    /// Size of a full set at the start of 2026.
    pub size_bytes: u64,
    /// What a full set gains per day.
    #[serde(default)]
    pub growth_bytes_per_day: u64,
    /// Every how-manieth backup is a full one; the others are incremental and a twentieth of the
    /// size.
    #[serde(default = "only_full")]
    pub full_every: u32,
}

impl Schedule {
    /// Full backups of 5 GiB, each taking a twentieth of `every` and at most half an hour.
    pub fn every(every: Duration) -> Self {
        Self {
            every,
            offset: Duration::ZERO,
            duration: (every / 20).clamp(Duration::from_secs(1), Duration::from_secs(1800)),
            size_bytes: 5 << 30,
            growth_bytes_per_day: 0,
            full_every: only_full(),
        }
    }
}

fn only_full() -> u32 {
    1
}

/// Backups of the log: one per slot of this length, for as long as there is a schedule.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields, default)]
pub struct Logs {
    /// Time from one log backup to the next.
    #[serde(deserialize_with = "span::read")]
    pub every: Duration,
    /// Usual size of one.
    pub size_bytes: u64,
    /// They are copied to the destinations like the other sets.
    pub copied: bool,
}

impl Default for Logs {
    /// Every five minutes, as Huawei's manual says.
    fn default() -> Self {
        Self {
            every: Duration::from_secs(300),
            size_bytes: 3 << 20,
            copied: true,
        }
    }
}

/// A region that copies go to.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct Destination {
    /// The region.
    pub region: String,
    /// Time from the end of the local backup until the copy is listed.
    #[serde(deserialize_with = "span::read")]
    pub lag: Duration,
    /// What ended later does not go there.
    #[serde(skip)]
    pub until: Option<DateTime<Utc>>,
    /// Policies still name it, although nothing goes there any more.
    #[serde(skip)]
    pub is_named: bool,
}

impl Destination {
    /// Copies still go there.
    pub(crate) fn is_in_use(&self) -> bool {
        self.until.is_none()
    }
}

/// What goes wrong with an instance.
#[derive(Clone, Debug, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Trouble {
    /// Local backups that started between `from` and `until` ago have failed.
    FailedBackups {
        /// How long ago it began.
        #[serde(deserialize_with = "span::read")]
        from: Duration,
        /// How long ago it was over; zero when it lasts.
        #[serde(default, deserialize_with = "span::read")]
        until: Duration,
    },
    /// Local backups that ended since then have not been copied.
    CopiesStopped {
        /// How long ago it began.
        #[serde(deserialize_with = "span::read")]
        since: Duration,
    },
    /// Copies of local backups that ended since then take this long.
    CopiesLag {
        /// How long ago it began.
        #[serde(deserialize_with = "span::read")]
        since: Duration,
        /// Time from the end of the local backup until the copy is listed.
        #[serde(deserialize_with = "span::read")]
        lag: Duration,
    },
    /// There have been no log backups since then.
    LogsStopped {
        /// How long ago it began.
        #[serde(deserialize_with = "span::read")]
        since: Duration,
    },
    /// Log backups that hold anything of the time between `from` and `to` ago were never copied.
    LogsLost {
        /// How long ago the hole begins.
        #[serde(deserialize_with = "span::read")]
        from: Duration,
        /// How long ago it ends; zero is the start of the cloud.
        #[serde(default, deserialize_with = "span::read")]
        to: Duration,
    },
    /// The cross-region policy was switched off then.
    PolicyOff {
        /// How long ago.
        #[serde(deserialize_with = "span::read")]
        since: Duration,
    },
    /// The instance was released then; its copies are still there.
    Released {
        /// How long ago.
        #[serde(deserialize_with = "span::read")]
        since: Duration,
    },
    /// Sets that started between `from` and `until` ago are like this.
    Quirk {
        /// What they are like.
        quirk: Quirk,
        /// How long ago it began.
        #[serde(deserialize_with = "span::read")]
        from: Duration,
        /// How long ago it was over; zero when it lasts.
        #[serde(default, deserialize_with = "span::read")]
        until: Duration,
    },
    /// Nothing has been written to the database since then.
    Idle {
        /// How long ago it began.
        #[serde(deserialize_with = "span::read")]
        since: Duration,
    },
}

/// What scheduled sets can be like that are listed as completed all the same: of less worth than
/// they look, or with something in their rows that cannot be true.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub enum Quirk {
    /// They hold nothing, and have a size of 0.
    Empty,
    /// They hold one database of several. Alibaba and, for SQL Server, Huawei have such sets.
    OneDatabase,
    /// The full ones were lost, here and there; what builds on them is still listed.
    FullsLost,
    /// They claim to be consistent two days after their end, where rows have such a time
    /// (Alibaba's copies, and its local sets of `MySQL` 5.6).
    ConsistentLate,
    /// Their copies are kept in the region of the instance itself, as far as the rows say where
    /// (Alibaba and Volcengine).
    CopiedHome,
}
