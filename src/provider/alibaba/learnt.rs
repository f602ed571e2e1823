//! What the listings of sets teach about an instance, and what asking for its restore windows takes to know: its engine,
//! and the id of the newest copy in each region. A `BackupSet` carries no id on purpose.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::time::Instant;

use super::wire::CrossRegionRow;
use crate::backup::BackupType;
use crate::provider::row::Subject;
use crate::target::InstanceKey;

/// What was not confirmed for so long belongs to an instance that nobody asks about any more.
const A_WEEK: Duration = Duration::from_secs(7 * 24 * 3600);

/// What is known of an instance.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Known {
    /// Its engine in our spelling, once a listing has named it.
    pub engine: Option<String>,
    /// The regions that keep usable full copies, each with the id of the newest.
    pub copies: Vec<(String, u64)>,
}

/// What is known of all instances of an account.
#[derive(Debug, Default)]
pub(super) struct Learnt(Mutex<HashMap<InstanceKey, (Known, Instant)>>);

impl Learnt {
    /// What is known of this instance.
    pub(super) fn of(&self, key: &InstanceKey) -> Known {
        let known = self.lock();
        known
            .get(key)
            .map(|(known, _)| known.clone())
            .unwrap_or_default()
    }

    /// A listing names this engine, or none.
    pub(super) fn engine(&self, key: &InstanceKey, engine: Option<&str>) {
        if let Some(engine) = engine {
            self.learn(key, |known| known.engine = Some(engine.to_owned()));
        }
    }

    /// A listing has these copies, and no others.
    pub(super) fn copies(&self, key: &InstanceKey, newest: NewestCopies) {
        let copies = newest.0.into_iter();
        let copies = copies
            .map(|(region, (_, id))| (region.to_string(), id))
            .collect();
        self.learn(key, |known| known.copies = copies);
    }

    /// There is no such instance, or it has no copies.
    pub(super) fn forget(&self, key: &InstanceKey) {
        self.lock().remove(key);
    }

    fn learn(&self, key: &InstanceKey, learn: impl FnOnce(&mut Known)) {
        let now = Instant::now();
        let mut all = self.lock();
        all.retain(|_, (_, learnt)| now.saturating_duration_since(*learnt) < A_WEEK);
        let (known, learnt) = all
            .entry(key.clone())
            .or_insert_with(|| (Known::default(), now));
        *learnt = now;
        learn(known);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<InstanceKey, (Known, Instant)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The newest usable full copy of each region, by its end.
#[derive(Debug, Default)]
pub(super) struct NewestCopies(BTreeMap<Arc<str>, (DateTime<Utc>, u64)>);

impl NewestCopies {
    /// Takes note of a row, unless it is of no use or has no id: 0 names nothing.
    pub(super) fn meet(&mut self, row: &CrossRegionRow, subject: &Subject<'_>) {
        let Ok(Some(id @ 1..)) = row.cross_backup_id.count() else {
            return;
        };
        let (Some(set), _) = row.read(subject) else {
            return;
        };
        let is_full = set.backup_type == BackupType::Full && set.is_sound(subject.now);
        let Some(finished) = set.finished().filter(|_| is_full) else {
            return;
        };
        let newest = self.0.entry(set.backup_region).or_insert((finished, id));
        *newest = (*newest).max((finished, id));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::example;

    fn key(id: &str) -> InstanceKey {
        example::target(id).key
    }

    #[tokio::test(start_paused = true)]
    async fn what_nobody_has_confirmed_for_a_week_is_forgotten() {
        let learnt = Learnt::default();
        learnt.engine(&key("rm-1"), Some("mysql"));
        learnt.engine(&key("rm-2"), Some("mysql"));
        let half = A_WEEK / 2;
        tokio::time::advance(half).await;
        learnt.copies(&key("rm-2"), NewestCopies::default());
        tokio::time::advance(half).await;
        learnt.engine(&key("rm-3"), None);
        assert_eq!(learnt.lock().len(), 2);
        learnt.engine(&key("rm-3"), Some("postgresql"));
        assert_eq!(learnt.of(&key("rm-1")), Known::default());
        assert_eq!(learnt.of(&key("rm-2")).engine.as_deref(), Some("mysql"));
        learnt.forget(&key("rm-2"));
        assert_eq!(learnt.lock().len(), 1);
    }
}
