//! How fast an account is asked: requests leave one by one, evenly spaced, and not at all while the vendor wants a pause.
//!
//! A lane is a queue with one spacing. An account has one lane, or one for each operation where the vendor counts its
//! quota so. Waiting in a lane is fair: first come, first served.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::backoff;
use crate::config::RateLimit;
use crate::vendor::DefaultPace;

/// The lanes of one account.
#[derive(Debug)]
pub(super) struct Pace {
    spacing: Duration,
    per_operation: bool,
    lanes: Mutex<HashMap<&'static str, Arc<Lane>>>,
}

/// One queue.
#[derive(Debug)]
pub(super) struct Lane {
    spacing: Duration,
    /// When the next request may leave. The async lock is the queue: it is fair, and held while waiting for that time.
    next: tokio::sync::Mutex<Option<Instant>>,
    pause: Mutex<Pause>,
}

#[derive(Debug, Default)]
struct Pause {
    until: Option<Instant>,
    /// Throttled answers since the last good one.
    in_a_row: u32,
}

/// The lane is closed until then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Paused {
    pub until: Instant,
}

impl Pace {
    pub(super) fn new(configured: Option<RateLimit>, default: DefaultPace) -> Self {
        // A configured rate is that of the whole account.
        let (spacing, per_operation) = configured
            .map_or((default.spacing, default.per_operation), |limit| {
                (limit.spacing(), false)
            });
        Self {
            spacing,
            per_operation,
            lanes: Mutex::default(),
        }
    }

    /// The lane in which calls of this operation wait.
    pub(super) fn lane(&self, operation: &'static str) -> Arc<Lane> {
        let name = if self.per_operation { operation } else { "" };
        let mut lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        let lane = lanes.entry(name).or_insert_with(|| {
            Arc::new(Lane {
                spacing: self.spacing,
                next: tokio::sync::Mutex::default(),
                pause: Mutex::default(),
            })
        });
        Arc::clone(lane)
    }
}

impl Lane {
    /// Waits for its turn to send one request. Whoever reaches the front of a lane that was closed meanwhile is told so,
    /// instead of standing there.
    pub(super) async fn turn(&self) -> Result<(), Paused> {
        let mut next = self.next.lock().await;
        if let Some(at) = *next {
            sleep_until(at).await;
        }
        self.open()?;
        *next = Some(Instant::now() + self.spacing);
        Ok(())
    }

    /// Whether requests may leave now.
    pub(super) fn open(&self) -> Result<(), Paused> {
        match self.pause().until {
            Some(until) if until > Instant::now() => Err(Paused { until }),
            _ => Ok(()),
        }
    }

    /// The vendor wants a pause, and may have said how long; each one in a row that it left open is longer.
    pub(super) fn throttled(&self, asked: Option<Duration>) -> Paused {
        let mut pause = self.pause();
        let length = asked.unwrap_or_else(|| backoff::delay(pause.in_a_row));
        pause.in_a_row = pause.in_a_row.saturating_add(1);
        let until = Instant::now() + length;
        let until = pause.until.map_or(until, |longest| longest.max(until));
        pause.until = Some(until);
        Paused { until }
    }

    /// The vendor's answer was good, although it may have said that the quota is now used up.
    pub(super) fn answered(&self, asked: Option<Duration>) {
        let mut pause = self.pause();
        pause.in_a_row = 0;
        if let Some(length) = asked {
            pause.until = Some(Instant::now() + length);
        }
    }

    fn pause(&self) -> MutexGuard<'_, Pause> {
        self.pause.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lane(spacing: Duration) -> Arc<Lane> {
        let default = DefaultPace {
            spacing,
            per_operation: true,
        };
        Pace::new(None, default).lane("DescribeBackups")
    }

    #[tokio::test(start_paused = true)]
    async fn requests_leave_evenly_spaced_however_many_wait() {
        let lane = lane(Duration::from_secs(1));
        let start = Instant::now();
        let waiting: Vec<_> = (0..10)
            .map(|_| {
                let lane = Arc::clone(&lane);
                tokio::spawn(async move {
                    lane.turn().await.unwrap();
                    Instant::now()
                })
            })
            .collect();
        let mut left = Vec::new();
        for task in waiting {
            left.push(task.await.unwrap().duration_since(start).as_secs());
        }
        left.sort_unstable();
        assert_eq!(left, (0..10).collect::<Vec<_>>());
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_closes_the_lane_also_for_those_who_wait_in_it() {
        let lane = lane(Duration::from_secs(1));
        lane.turn().await.unwrap();
        let waiting = tokio::spawn({
            let lane = Arc::clone(&lane);
            async move { lane.turn().await }
        });
        tokio::task::yield_now().await;
        let paused = lane.throttled(Some(Duration::from_secs(30)));
        assert_eq!(waiting.await.unwrap(), Err(paused));
        assert_eq!(lane.open(), Err(paused));
        sleep_until(paused.until).await;
        assert_eq!(lane.turn().await, Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_shorter_pause_does_not_cut_a_longer_one() {
        let lane = lane(Duration::from_secs(1));
        let long = lane.throttled(Some(Duration::from_secs(60)));
        assert_eq!(lane.throttled(Some(Duration::from_secs(1))), long);
    }

    #[tokio::test(start_paused = true)]
    async fn a_configured_rate_holds_for_the_account_and_a_default_one_for_each_operation() {
        let default = DefaultPace {
            spacing: Duration::from_secs(1),
            per_operation: true,
        };
        let each = Pace::new(None, default);
        assert!(!Arc::ptr_eq(&each.lane("A"), &each.lane("B")));
        let limit = RateLimit::parse("5/s").unwrap();
        let whole = Pace::new(Some(limit), default);
        assert!(Arc::ptr_eq(&whole.lane("A"), &whole.lane("B")));
    }
}
