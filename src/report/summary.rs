//! All instances in a few numbers, and when each account was last heard of.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use crate::metrics::Assessed;
use crate::posture::State;

/// How many instances are how. One may be counted in several states.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Summary {
    /// All.
    pub instances: usize,
    /// Those that the provider copies to another region, by its own word.
    pub protected: usize,
    states: BTreeMap<State, usize>,
}

/// What is known of an account as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountSummary<'a> {
    /// The provider's label.
    pub provider: &'static str,
    /// The configuration's name for it.
    pub account: &'a str,
    /// How many of its instances are watched.
    pub instances: usize,
    /// When a listing of any of them was last attempted.
    pub last_attempt: Option<DateTime<Utc>>,
    /// When a listing of any of them was last read.
    pub last_success: Option<DateTime<Utc>>,
}

impl Summary {
    /// Counts.
    pub fn of(instances: &[Assessed]) -> Self {
        let mut summary = Self {
            instances: instances.len(),
            ..Self::default()
        };
        for Assessed { posture, .. } in instances {
            summary.protected += usize::from(posture.protected == Some(true));
            for state in posture.states() {
                *summary.states.entry(state).or_default() += 1;
            }
        }
        summary
    }

    /// How many are in this state.
    pub fn in_state(&self, state: State) -> usize {
        self.states.get(&state).copied().unwrap_or_default()
    }
}

/// Every account that has instances.
pub fn accounts(instances: &[Assessed]) -> Vec<AccountSummary<'_>> {
    let mut accounts: BTreeMap<(&str, &str), AccountSummary<'_>> = BTreeMap::new();
    for Assessed { facts, posture } in instances {
        let key = &facts.target.key;
        let account = accounts
            .entry((key.provider, &key.account))
            .or_insert_with(|| AccountSummary {
                provider: key.provider,
                account: &key.account,
                instances: 0,
                last_attempt: None,
                last_success: None,
            });
        account.instances += 1;
        for listing in &posture.listings {
            account.last_attempt = account.last_attempt.max(listing.last_attempt);
            account.last_success = account.last_success.max(listing.last_success);
        }
    }
    accounts.into_values().collect()
}
