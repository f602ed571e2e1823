//! Stops asking when the vendor rejects an account's key.
//!
//! Vendors lock a key after a few wrong signatures, so a key that was never seen to work is tried by one call alone,
//! and one that was rejected by at most one call an interval, until a call is accepted or the key is replaced.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

use crate::provider::credentials::Fingerprint;

/// How long the others wait for the call that tries a key. An endpoint that hangs says nothing about the key, and must
/// not hold back the other regions.
const TRIAL_PATIENCE: Duration = Duration::from_secs(2);

/// The breaker of one account.
#[derive(Debug)]
pub(super) struct Breaker {
    interval: Duration,
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug)]
struct State {
    fingerprint: Option<Fingerprint>,
    standing: Standing,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// Nobody knows yet; perhaps a call is out to try it.
    Unproven { trial_since: Option<Instant> },
    /// The vendor accepted it.
    Proven,
    /// The vendor rejected it; the last call with it left then.
    Rejected { last_call: Instant },
}

/// What an answer says about the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Evidence {
    /// It was accepted.
    Accepted,
    /// It was rejected.
    Rejected,
    /// Nothing: no answer, a failing server, a gateway's page.
    None,
}

/// The key was rejected, and it is too early to try it again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Refused;

/// The right to send one call. Dropped without evidence it counts as none.
#[derive(Debug)]
pub(super) struct Ticket<'a> {
    breaker: &'a Breaker,
    fingerprint: Fingerprint,
    is_trial: bool,
    settled: bool,
}

impl Breaker {
    pub(super) fn new(interval: Duration) -> Self {
        Self {
            interval,
            state: Mutex::new(State {
                fingerprint: None,
                standing: Standing::Unproven { trial_since: None },
            }),
            changed: Notify::new(),
        }
    }

    /// Asks to send a call with this key; waits while another call tries it.
    pub(super) async fn admit(&self, fingerprint: Fingerprint) -> Result<Ticket<'_>, Refused> {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            // Registered before the look at the state, so that a change in between is not missed.
            changed.as_mut().enable();
            let patience_ends = {
                let mut state = self.lock();
                if state.fingerprint != Some(fingerprint) {
                    state.fingerprint = Some(fingerprint);
                    state.standing = Standing::Unproven { trial_since: None };
                }
                let now = Instant::now();
                match state.standing {
                    Standing::Proven => return Ok(self.ticket(fingerprint, false)),
                    Standing::Rejected { last_call } if now < last_call + self.interval => {
                        return Err(Refused);
                    }
                    Standing::Rejected { .. } => {
                        state.standing = Standing::Rejected { last_call: now };
                        return Ok(self.ticket(fingerprint, true));
                    }
                    Standing::Unproven {
                        trial_since: Some(since),
                    } if now < since + TRIAL_PATIENCE => since + TRIAL_PATIENCE,
                    Standing::Unproven { .. } => {
                        state.standing = Standing::Unproven {
                            trial_since: Some(now),
                        };
                        return Ok(self.ticket(fingerprint, true));
                    }
                }
            };
            // Either way the state is looked at again.
            let _woken_or_out_of_patience = timeout_at(patience_ends, changed).await;
        }
    }

    fn ticket(&self, fingerprint: Fingerprint, is_trial: bool) -> Ticket<'_> {
        Ticket {
            breaker: self,
            fingerprint,
            is_trial,
            settled: false,
        }
    }

    fn settle(&self, fingerprint: Fingerprint, is_trial: bool, evidence: Evidence) {
        {
            let mut state = self.lock();
            if state.fingerprint != Some(fingerprint) {
                return;
            }
            state.standing = match (evidence, state.standing) {
                (Evidence::Accepted, _) => Standing::Proven,
                (Evidence::Rejected, _) => Standing::Rejected {
                    last_call: Instant::now(),
                },
                (Evidence::None, Standing::Unproven { .. }) if is_trial => {
                    Standing::Unproven { trial_since: None }
                }
                (Evidence::None, standing) => standing,
            };
        }
        self.changed.notify_waiters();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ticket<'_> {
    /// Asked again right before sending: the key may have been rejected while the call stood in line.
    pub(super) fn still_good(&self) -> Result<(), Refused> {
        let state = self.breaker.lock();
        match state.standing {
            Standing::Rejected { .. }
                if !self.is_trial && state.fingerprint == Some(self.fingerprint) =>
            {
                Err(Refused)
            }
            _ => Ok(()),
        }
    }

    /// Takes note of what came of the call.
    pub(super) fn settle(mut self, evidence: Evidence) {
        self.settled = true;
        self.breaker
            .settle(self.fingerprint, self.is_trial, evidence);
    }
}

impl Drop for Ticket<'_> {
    fn drop(&mut self) {
        if !self.settled {
            self.breaker
                .settle(self.fingerprint, self.is_trial, Evidence::None);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Secret;
    use crate::provider::credentials::Credential;

    const INTERVAL: Duration = Duration::from_secs(300);

    fn key(id: &str) -> Fingerprint {
        Credential {
            access_key_id: Secret::new(id.to_owned()),
            access_key_secret: Secret::new("secret".to_owned()),
            security_token: None,
        }
        .fingerprint()
    }

    #[tokio::test(start_paused = true)]
    async fn a_rejected_key_is_tried_once_an_interval_until_it_works() {
        let breaker = Breaker::new(INTERVAL);
        let old = key("old");
        breaker.admit(old).await.unwrap().settle(Evidence::Rejected);
        let mut tried = 0;
        for _ in 0..60 {
            tokio::time::advance(Duration::from_secs(60)).await;
            if let Ok(ticket) = breaker.admit(old).await {
                tried += 1;
                ticket.settle(Evidence::Rejected);
            }
        }
        assert_eq!(tried, 12, "an hour has twelve intervals");
        tokio::time::advance(INTERVAL).await;
        breaker.admit(old).await.unwrap().settle(Evidence::Accepted);
        for _ in 0..3 {
            assert!(breaker.admit(old).await.is_ok());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_unproven_key_is_tried_by_one_call_while_the_others_wait() {
        let breaker = Breaker::new(INTERVAL);
        let trial = breaker.admit(key("new")).await.unwrap();
        let start = Instant::now();
        let others = async {
            let second = breaker.admit(key("new")).await;
            (second.is_err(), start.elapsed())
        };
        let (outcome, ()) = tokio::join!(others, async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            trial.settle(Evidence::Rejected);
        });
        assert_eq!(outcome, (true, Duration::from_secs(1)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_trial_that_hangs_holds_nobody_back_for_long() {
        let breaker = Breaker::new(INTERVAL);
        let _hanging = breaker.admit(key("new")).await.unwrap();
        let start = Instant::now();
        breaker
            .admit(key("new"))
            .await
            .unwrap()
            .settle(Evidence::Accepted);
        assert_eq!(start.elapsed(), TRIAL_PATIENCE);
        assert!(breaker.admit(key("new")).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn a_trial_without_evidence_hands_over_to_the_next() {
        let breaker = Breaker::new(INTERVAL);
        drop(breaker.admit(key("new")).await.unwrap());
        let start = Instant::now();
        breaker
            .admit(key("new"))
            .await
            .unwrap()
            .settle(Evidence::None);
        assert!(breaker.admit(key("new")).await.is_ok());
        assert_eq!(start.elapsed(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn a_replaced_key_is_tried_at_once() {
        let breaker = Breaker::new(INTERVAL);
        breaker
            .admit(key("old"))
            .await
            .unwrap()
            .settle(Evidence::Rejected);
        assert!(breaker.admit(key("old")).await.is_err());
        assert!(breaker.admit(key("new")).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_in_line_is_not_sent_once_the_key_was_rejected() {
        let breaker = Breaker::new(INTERVAL);
        breaker
            .admit(key("old"))
            .await
            .unwrap()
            .settle(Evidence::Accepted);
        let in_line = breaker.admit(key("old")).await.unwrap();
        breaker
            .admit(key("old"))
            .await
            .unwrap()
            .settle(Evidence::Rejected);
        assert_eq!(in_line.still_good(), Err(Refused));
    }
}
