//! What this cloud remembers besides the world: projects, keys that are locked or were issued, and
//! what a test has said about single instances. Changed by requests and by the verbs of `verbs`.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Map, Value};

use super::project::Projects;
use crate::world::{Account, Vendor};

/// How the metadata service of a machine behaves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Metadata {
    /// Nothing is told without a token.
    #[default]
    TokensRequired,
    /// Tokens are given out and accepted, but not asked for.
    TokensOptional,
    /// An old one: it knows no tokens and does not look at them.
    WithoutTokens,
}

/// Keys, tokens, and what belongs to no world.
#[derive(Debug)]
pub(crate) struct Memory {
    pub(super) projects: Projects,
    pub(super) locks: BTreeMap<String, Lock>,
    pub(super) extras: BTreeMap<String, Extras>,
    pub(super) issued: i64,
    /// Tokens that were handed out: by the identity service for a key, or by the metadata service
    /// for its own answers.
    pub(super) tokens: BTreeMap<String, Token>,
    /// ID tokens that the identity provider of an account vouches for, where they are not the usual
    /// ones.
    pub(super) id_tokens: BTreeMap<String, String>,
    /// The same for tokens of pods.
    pub(super) pod_tokens: BTreeMap<String, String>,
    pub(super) metadata: Metadata,
    /// Account whose agency the machine has, if it has one.
    pub(super) agency: Option<String>,
    /// Lifetime of the keys that the machine and the pods get.
    pub(super) lifetime: Duration,
    /// The machine's present key.
    pub(super) machine_key: Option<Temporary>,
}

impl Memory {
    pub(crate) fn new(accounts: &[Account]) -> Self {
        let first = accounts
            .iter()
            .find(|account| account.vendor == Vendor::Huawei);
        Self {
            projects: Projects::new(accounts),
            locks: BTreeMap::new(),
            extras: BTreeMap::new(),
            issued: 0,
            tokens: BTreeMap::new(),
            id_tokens: BTreeMap::new(),
            pod_tokens: BTreeMap::new(),
            metadata: Metadata::default(),
            agency: first.map(|account| account.name.clone()),
            lifetime: Duration::from_secs(86400),
            machine_key: None,
        }
    }

    pub(super) fn extras(&mut self, instance: &str) -> &mut Extras {
        self.extras.entry(instance.to_owned()).or_default()
    }
}

/// Failures of a key that followed each other.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Lock {
    failures: u32,
    until: Option<DateTime<Utc>>,
}

impl Lock {
    /// "More than five consecutive failures" lock the key for five minutes, so the sixth does.
    const PERMITTED: u32 = 5;

    pub(super) fn is_closed(&self, now: DateTime<Utc>) -> bool {
        self.until.is_some_and(|until| now < until)
    }

    pub(super) fn fail(&mut self, now: DateTime<Utc>) {
        self.failures += 1;
        if self.failures > Self::PERMITTED {
            *self = Self {
                failures: 0,
                until: Some(now + TimeDelta::minutes(5)),
            };
        }
    }
}

/// What a test has said about an instance.
#[derive(Debug, Default)]
pub(super) struct Extras {
    /// Rows of the local listing, as they are sent.
    pub(super) local: Vec<Value>,
    /// Rows of the off-site listing, with the region in which they are listed.
    pub(super) offsite: Vec<(String, Value)>,
    /// Starts of the backups that a person made.
    pub(super) manual: Vec<DateTime<Utc>>,
    /// Fields that replace those of the instance in the list of instances.
    pub(super) fields: Map<String, Value>,
}

/// A token that was handed out.
#[derive(Clone, Debug)]
pub(super) struct Token {
    /// `None` for a token of the metadata service.
    pub(super) account: Option<String>,
    pub(super) expires: DateTime<Utc>,
}

/// A temporary key.
#[derive(Clone, Debug)]
pub(super) struct Temporary {
    pub(super) access_key_id: String,
    pub(super) secret: String,
    pub(super) security_token: String,
    pub(super) expires: DateTime<Utc>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sixth_failure_in_a_row_locks_for_five_minutes() {
        let mut lock = Lock::default();
        let at = |minutes: i64| DateTime::UNIX_EPOCH + TimeDelta::minutes(minutes);
        for _ in 0..5 {
            lock.fail(at(0));
        }
        assert!(!lock.is_closed(at(0)));
        lock.fail(at(0));
        assert!(lock.is_closed(at(0)) && lock.is_closed(at(4)));
        assert!(!lock.is_closed(at(5)));
        lock.fail(at(5));
        assert!(!lock.is_closed(at(5)), "the count begins anew");
    }
}
