//! How long a full round over an account takes.

use std::collections::HashSet;
use std::hash::Hash;
use std::time::Duration;

use tokio::time::Instant;

/// Watches for the moment at which each listing was attempted once more.
#[derive(Debug)]
pub(super) struct Sweep<K> {
    all: HashSet<K>,
    pending: HashSet<K>,
    began: Option<Instant>,
}

impl<K: Clone + Eq + Hash> Sweep<K> {
    pub(super) fn new(all: HashSet<K>) -> Self {
        Self {
            pending: all.clone(),
            all,
            began: None,
        }
    }

    /// An attempt begins.
    pub(super) fn begin(&mut self, now: Instant) {
        self.began.get_or_insert(now);
    }

    /// An attempt ended. The one that completes the round is told how long the round took. No round waits for what
    /// `stays` behind from now on.
    pub(super) fn end(&mut self, key: &K, now: Instant, stays: bool) -> Option<Duration> {
        self.pending.remove(key);
        if stays {
            self.all.remove(key);
        } else if !self.all.contains(key) {
            self.all.insert(key.clone());
        }
        if !self.pending.is_empty() {
            return None;
        }
        self.pending = self.all.clone();
        self.began.take().map(|began| now - began)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_round_lasts_until_the_last_listing_had_its_turn() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut sweep = Sweep::new(HashSet::from(["a", "b"]));
        sweep.begin(at(0));
        assert_eq!(sweep.end(&"a", at(1), false), None);
        sweep.begin(at(5));
        assert_eq!(sweep.end(&"a", at(6), false), None);
        sweep.begin(at(6));
        assert_eq!(sweep.end(&"b", at(7), false), Some(Duration::from_secs(7)));
        sweep.begin(at(10));
        sweep.begin(at(11));
        assert_eq!(sweep.end(&"b", at(12), false), None);
        assert_eq!(sweep.end(&"a", at(13), false), Some(Duration::from_secs(3)));
        sweep.begin(at(20));
        assert_eq!(sweep.end(&"a", at(21), true), None);
        assert_eq!(sweep.end(&"b", at(22), false), Some(Duration::from_secs(2)));
        sweep.begin(at(30));
        assert_eq!(sweep.end(&"b", at(31), false), Some(Duration::from_secs(1)));
        sweep.begin(at(40));
        assert_eq!(sweep.end(&"a", at(41), false), None);
    }
}
