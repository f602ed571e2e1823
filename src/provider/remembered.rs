//! Answers that change seldom, so that they are not asked for with each listing: project ids, policies.
//!
//! Whoever needs one while it is being asked for waits for that answer, unless one from before will do. What failed is
//! remembered as well, for a part of the interval: with hundreds of instances in line, asking again for each would eat up
//! the quota.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::error::ListError;

/// Answers by the question's key.
#[derive(Debug)]
pub(super) struct Remembered<V> {
    /// How long a failure is remembered.
    failures: Duration,
    slots: Mutex<HashMap<Arc<str>, Arc<Slot<V>>>>,
}

#[derive(Debug)]
struct Slot<V> {
    answers: Mutex<Answers<V>>,
    /// Held while somebody asks.
    asking: tokio::sync::Mutex<()>,
}

impl<V> Default for Slot<V> {
    fn default() -> Self {
        Self {
            answers: Mutex::default(),
            asking: tokio::sync::Mutex::default(),
        }
    }
}

/// The last of each kind. A failure does not spoil the answer before it for those who may use one that old.
#[derive(Debug)]
struct Answers<V> {
    good: Option<(V, Instant)>,
    failure: Option<(ListError, Instant)>,
}

impl<V> Default for Answers<V> {
    fn default() -> Self {
        Self {
            good: None,
            failure: None,
        }
    }
}

impl<V: Clone> Remembered<V> {
    /// Nothing is remembered yet.
    pub(super) fn new(failures: Duration) -> Self {
        Self {
            failures,
            slots: Mutex::default(),
        }
    }

    /// The answer, from memory or by asking; `keep` says for how long a good one holds in the eyes of who asks.
    pub(super) async fn get(
        &self,
        key: &Arc<str>,
        keep: impl Fn(&V) -> Duration,
        ask: impl Future<Output = Result<V, ListError>>,
    ) -> Result<V, ListError> {
        let slot = {
            let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(slots.entry(Arc::clone(key)).or_default())
        };
        let recall = || self.recall(&slot, &keep);
        if let Some(answer) = recall() {
            return answer;
        }
        let _asking = slot.asking.lock().await;
        // Somebody else may have asked meanwhile.
        if let Some(answer) = recall() {
            return answer;
        }
        let outcome = ask.await;
        let mut answers = slot.answers.lock().unwrap_or_else(PoisonError::into_inner);
        match &outcome {
            Ok(value) => {
                *answers = Answers {
                    good: Some((value.clone(), Instant::now())),
                    failure: None,
                }
            }
            // Only what the vendor said is worth remembering: what was not even sent has cost nothing.
            Err(error) if error.status.is_some() => {
                answers.failure = Some((error.clone(), Instant::now()));
            }
            Err(_) => answers.failure = None,
        }
        outcome
    }

    fn recall(
        &self,
        slot: &Slot<V>,
        keep: impl Fn(&V) -> Duration,
    ) -> Option<Result<V, ListError>> {
        let answers = slot.answers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((value, at)) = &answers.good
            && at.elapsed() < keep(value)
        {
            return Some(Ok(value.clone()));
        }
        let (error, at) = answers.failure.as_ref()?;
        (at.elapsed() < self.failures).then(|| Err(error.clone()))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;
    use crate::example::failure;
    use crate::provider::error::Reason;

    const HOUR: Duration = Duration::from_secs(3600);
    const MINUTE: Duration = Duration::from_secs(60);

    /// Answers with the number of the question.
    struct Oracle {
        remembered: Remembered<u32>,
        asked: AtomicU32,
    }

    impl Oracle {
        fn new() -> Self {
            Self {
                remembered: Remembered::new(MINUTE),
                asked: AtomicU32::new(0),
            }
        }

        async fn ask(&self, key: &str, failure: Option<ListError>) -> Result<u32, ListError> {
            self.ask_for(HOUR, key, failure).await
        }

        async fn ask_for(
            &self,
            oldest: Duration,
            key: &str,
            failure: Option<ListError>,
        ) -> Result<u32, ListError> {
            self.remembered
                .get(&key.into(), |_| oldest, async {
                    let number = self.asked.fetch_add(1, Ordering::Relaxed) + 1;
                    tokio::time::sleep(Duration::from_secs(1)).await;
                    failure.map_or(Ok(number), Err)
                })
                .await
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_holds_for_its_time_and_is_asked_for_once_by_many() {
        let oracle = Oracle::new();
        let many = futures_util::future::join_all((0..20).map(|_| oracle.ask("cn-north-4", None)));
        assert!(many.await.into_iter().all(|answer| answer == Ok(1)));
        assert_eq!(oracle.ask("cn-east-3", None).await, Ok(2));
        tokio::time::advance(HOUR).await;
        assert_eq!(oracle.ask("cn-north-4", None).await, Ok(3));
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_is_remembered_only_where_the_vendor_has_answered() {
        let oracle = Oracle::new();
        let unsent = failure(Reason::Network);
        let refused = ListError {
            status: Some(403),
            ..failure(Reason::Permission)
        };
        let ask = |failure| oracle.ask("cn-north-4", failure);
        assert_eq!(ask(Some(unsent.clone())).await, Err(unsent));
        assert_eq!(ask(Some(refused.clone())).await, Err(refused.clone()));
        assert_eq!(ask(None).await, Err(refused));
        tokio::time::advance(MINUTE).await;
        assert_eq!(ask(None).await, Ok(3));
    }

    #[tokio::test(start_paused = true)]
    async fn whom_an_older_answer_suits_does_not_wait_for_the_newer() {
        let oracle = Oracle::new();
        assert_eq!(oracle.ask("policy", None).await, Ok(1));
        let start = Instant::now();
        let content = async { (oracle.ask("policy", None).await, start.elapsed()) };
        let (newer, content) =
            tokio::join!(oracle.ask_for(Duration::ZERO, "policy", None), content);
        assert_eq!(newer, Ok(2));
        assert_eq!(content, (Ok(1), Duration::ZERO));
    }

    #[tokio::test(start_paused = true)]
    async fn each_asker_says_how_old_an_answer_may_be_and_a_failure_spoils_none() {
        let oracle = Oracle::new();
        assert_eq!(oracle.ask("policy", None).await, Ok(1));
        tokio::time::advance(MINUTE).await;
        let refused = ListError {
            status: Some(500),
            ..failure(Reason::Server)
        };
        let afresh = oracle.ask_for(MINUTE, "policy", Some(refused.clone()));
        assert_eq!(afresh.await, Err(refused.clone()));
        assert_eq!(oracle.ask("policy", None).await, Ok(1));
        assert_eq!(oracle.ask_for(MINUTE, "policy", None).await, Err(refused));
        tokio::time::advance(MINUTE).await;
        assert_eq!(oracle.ask_for(MINUTE, "policy", None).await, Ok(3));
        assert_eq!(oracle.ask("policy", None).await, Ok(3));
    }
}
