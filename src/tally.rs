//! What the exporter did: requests, failures, oddities, sweeps. Counted by `poll`, shown by `metrics`.
//!
//! Plain numbers rather than a metric registry, so that the series of an account that leaves the configuration leave
//! with it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::backup::{Anomaly, ListingKind};
use crate::provider::budget::Operations;
use crate::provider::error::Reason;

/// The upper bounds of the buckets of request durations, in seconds.
pub const DURATION_BOUNDS: [f64; 11] =
    [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];

/// An account as the labels name it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AccountKey {
    /// The label `provider`.
    pub provider: &'static str,
    /// The label `account`.
    pub account: Arc<str>,
}

/// What an account can do, so that its counters exist from the start, as 0.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountScope {
    /// Which account.
    pub key: AccountKey,
    /// The vendor's operations.
    pub operations: Operations,
    /// How often each listing is read.
    pub intervals: Intervals,
}

/// How often an account is asked, by what for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Intervals {
    /// What changes often: the shortest time between two attempts.
    pub poll: Duration,
    /// What changes often: the longest time between two attempts.
    pub longest: Duration,
    /// What changes seldom.
    pub policy: Duration,
    /// Which instances there are, where they are looked for.
    pub discovery: Option<Duration>,
}

/// The counters; cheap to share.
#[derive(Debug, Default)]
pub struct Tally {
    counts: Mutex<Counts>,
    version: AtomicU64,
}

/// The numbers themselves.
#[derive(Debug, Clone, Default)]
pub struct Counts {
    /// By account.
    pub accounts: BTreeMap<AccountKey, AccountCounts>,
    /// Rows not fully understood, by provider.
    pub anomalies: BTreeMap<(&'static str, ListingKind, Anomaly), u64>,
    /// Request durations, by provider and operation.
    pub durations: BTreeMap<(&'static str, &'static str), Histogram>,
    /// How storing the facts goes; `None` where they are kept in memory alone.
    pub storage: Option<StorageCounts>,
}

/// How storing the facts goes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StorageCounts {
    /// Whether the last attempt succeeded.
    pub is_healthy: bool,
    /// When the last one succeeded that did, since the start.
    pub last_write: Option<DateTime<Utc>>,
    /// Attempts that failed, by reason.
    pub failures: BTreeMap<&'static str, u64>,
    /// Files that could not be read, by reason.
    pub set_aside: BTreeMap<&'static str, u64>,
    /// The size of the file.
    pub bytes: Option<u64>,
}

/// The numbers of one account.
#[derive(Debug, Clone, Default)]
pub struct AccountCounts {
    /// HTTP requests sent, by operation.
    pub requests: BTreeMap<&'static str, u64>,
    /// Those that failed.
    pub request_failures: BTreeMap<(&'static str, Reason), u64>,
    /// Attempts at a listing that failed for good.
    pub poll_failures: BTreeMap<(ListingKind, Reason), u64>,
    /// How long the last full round took.
    pub last_sweep: Option<Duration>,
    /// When the keys that were used last expire, if they ever do.
    pub credentials_expiry: Option<DateTime<Utc>>,
    /// How often each listing is read.
    pub intervals: Intervals,
}

/// A histogram over [`DURATION_BOUNDS`].
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Histogram {
    /// Observations up to each bound and above all, each counted once.
    pub buckets: [u64; DURATION_BOUNDS.len() + 1],
    /// The sum in seconds.
    pub sum_seconds: f64,
}

impl Histogram {
    fn observe(&mut self, duration: Duration) {
        let seconds = duration.as_secs_f64();
        let bucket = DURATION_BOUNDS.partition_point(|bound| *bound < seconds);
        self.buckets[bucket] += 1;
        self.sum_seconds += seconds;
    }
}

impl Tally {
    /// Takes on these accounts, with zeros for what is new, and drops the counters of all others.
    pub fn adopt(&self, scopes: &[AccountScope]) {
        let mut counts = self.change();
        counts
            .accounts
            .retain(|key, _| scopes.iter().any(|scope| scope.key == *key));
        for scope in scopes {
            let provider = scope.key.provider;
            for operation in scope.operations.all() {
                counts.durations.entry((provider, operation)).or_default();
            }
            for (listing, _) in &scope.operations.listings {
                for anomaly in Anomaly::ALL {
                    counts
                        .anomalies
                        .entry((provider, *listing, anomaly))
                        .or_default();
                }
            }
            let account = counts.accounts.entry(scope.key.clone()).or_default();
            account.intervals = scope.intervals;
            for operation in scope.operations.all() {
                account.requests.entry(operation).or_default();
                for reason in Reason::ALL {
                    let failures = &mut account.request_failures;
                    failures.entry((operation, reason)).or_default();
                }
            }
            for (listing, _) in &scope.operations.listings {
                for reason in Reason::ALL {
                    account.poll_failures.entry((*listing, reason)).or_default();
                }
            }
        }
        let providers: Vec<_> = counts.accounts.keys().map(|key| key.provider).collect();
        counts
            .anomalies
            .retain(|(provider, ..), _| providers.contains(provider));
        counts
            .durations
            .retain(|(provider, _), _| providers.contains(provider));
    }

    /// One HTTP request was sent, and this came of it.
    pub fn request(
        &self,
        key: &AccountKey,
        operation: &'static str,
        duration: Duration,
        failure: Option<Reason>,
    ) {
        let mut counts = self.change();
        counts
            .durations
            .entry((key.provider, operation))
            .or_default()
            .observe(duration);
        if let Some(account) = counts.accounts.get_mut(key) {
            *account.requests.entry(operation).or_default() += 1;
            if let Some(reason) = failure {
                *account
                    .request_failures
                    .entry((operation, reason))
                    .or_default() += 1;
            }
        }
    }

    /// An attempt at a listing failed for good.
    pub fn poll_failure(&self, key: &AccountKey, listing: ListingKind, reason: Reason) {
        if let Some(account) = self.change().accounts.get_mut(key) {
            *account.poll_failures.entry((listing, reason)).or_default() += 1;
        }
    }

    /// Rows of a listing were not fully understood.
    pub fn anomalies(&self, provider: &'static str, listing: ListingKind, anomalies: &[Anomaly]) {
        let mut counts = self.change();
        for anomaly in anomalies {
            *counts
                .anomalies
                .entry((provider, listing, *anomaly))
                .or_default() += 1;
        }
    }

    /// Every listing of the account was attempted once more; it took so long.
    pub fn sweep(&self, key: &AccountKey, duration: Duration) {
        if let Some(account) = self.change().accounts.get_mut(key) {
            account.last_sweep = Some(duration);
        }
    }

    /// The account is asked with keys that expire then, if ever.
    pub fn credentials_expire(&self, key: &AccountKey, expiry: Option<DateTime<Utc>>) {
        if let Some(account) = self.change().accounts.get_mut(key) {
            account.credentials_expiry = expiry;
        }
    }

    /// Takes note of how storing the facts goes.
    pub fn storage(&self, note: impl FnOnce(&mut StorageCounts)) {
        note(self.lock().storage.get_or_insert_default());
    }

    /// The numbers as of this moment.
    pub fn counts(&self) -> Counts {
        self.lock().clone()
    }

    /// Another number after each change. What is counted after this was asked for may be newer, and is never older.
    pub fn version(&self) -> u64 {
        self.version.load(Ordering::SeqCst)
    }

    fn change(&self) -> MutexGuard<'_, Counts> {
        let counts = self.lock();
        // Whoever sees the new number waits for the lock, and so sees the change.
        self.version.fetch_add(1, Ordering::SeqCst);
        counts
    }

    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPERATION: &str = "DescribeBackups";

    const INTERVALS: Intervals = Intervals {
        poll: Duration::from_secs(300),
        longest: Duration::from_secs(3600),
        policy: Duration::from_secs(3600),
        discovery: None,
    };

    fn key(account: &str) -> AccountKey {
        AccountKey {
            provider: "alibaba",
            account: account.into(),
        }
    }

    fn scope(account: &str) -> AccountScope {
        AccountScope {
            key: key(account),
            operations: Operations {
                listings: vec![(ListingKind::Local, OPERATION)],
                discovery: Vec::new(),
            },
            intervals: INTERVALS,
        }
    }

    #[test]
    fn every_counter_of_a_known_account_begins_at_zero() {
        let tally = Tally::default();
        tally.adopt(&[scope("prod")]);
        let counts = tally.counts();
        let account = &counts.accounts[&key("prod")];
        assert_eq!(account.requests, BTreeMap::from([(OPERATION, 0)]));
        assert_eq!(account.request_failures.len(), Reason::ALL.len());
        assert_eq!(account.poll_failures.len(), Reason::ALL.len());
        assert_eq!(counts.anomalies.len(), Anomaly::ALL.len());
        let zeros = account
            .request_failures
            .values()
            .chain(account.poll_failures.values())
            .chain(counts.anomalies.values());
        assert_eq!(zeros.sum::<u64>(), 0);
        assert_eq!(account.last_sweep, None);
        assert_eq!(account.intervals, INTERVALS);
    }

    #[test]
    fn a_reload_keeps_the_counters_of_accounts_that_stay_and_drops_the_others() {
        let tally = Tally::default();
        tally.adopt(&[scope("prod"), scope("test")]);
        let failure = Some(Reason::Throttled);
        for account in ["prod", "test", "stranger"] {
            tally.request(&key(account), OPERATION, Duration::ZERO, failure);
            tally.poll_failure(&key(account), ListingKind::Local, Reason::Timeout);
            tally.sweep(&key(account), Duration::from_secs(7));
        }
        tally.adopt(&[scope("prod")]);
        let counts = tally.counts();
        let accounts: Vec<_> = counts.accounts.keys().cloned().collect();
        assert_eq!(accounts, [key("prod")]);
        let account = &counts.accounts[&key("prod")];
        assert_eq!(account.requests[OPERATION], 1);
        assert_eq!(account.request_failures[&(OPERATION, Reason::Throttled)], 1);
        assert_eq!(
            account.poll_failures[&(ListingKind::Local, Reason::Timeout)],
            1
        );
        assert_eq!(account.last_sweep, Some(Duration::from_secs(7)));
        tally.adopt(&[]);
        let counts = tally.counts();
        assert!(counts.accounts.is_empty() && counts.anomalies.is_empty());
        assert!(counts.durations.is_empty());
    }

    #[test]
    fn anomalies_are_counted_by_kind() {
        let tally = Tally::default();
        tally.adopt(&[scope("prod")]);
        let odd = [Anomaly::Duplicate, Anomaly::BadTime, Anomaly::Duplicate];
        tally.anomalies("alibaba", ListingKind::Local, &odd);
        let counts = tally.counts().anomalies;
        let count = |anomaly| counts[&("alibaba", ListingKind::Local, anomaly)];
        assert_eq!(count(Anomaly::Duplicate), 2);
        assert_eq!(count(Anomaly::BadTime), 1);
        assert_eq!(count(Anomaly::BadSize), 0);
    }

    #[test]
    fn a_duration_falls_into_the_first_bucket_that_is_not_too_small() {
        for (millis, bucket) in [
            (0, 0),
            (10, 0),
            (11, 1),
            (1_000, 6),
            (1_001, 7),
            (30_000, 10),
            (30_001, 11),
            (600_000, 11),
        ] {
            let mut histogram = Histogram::default();
            histogram.observe(Duration::from_millis(millis));
            let mut expected = [0; DURATION_BOUNDS.len() + 1];
            expected[bucket] = 1;
            assert_eq!(histogram.buckets, expected, "{millis} ms");
        }
    }
}
