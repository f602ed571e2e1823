//! How fast an account is asked: requests leave one by one, evenly spaced, and not at all while the vendor wants a pause.
//!
//! Calls of one operation share a lane: a queue with a spacing, and a pause. Where the vendor counts its quota for each
//! operation, a throttled one does not hold up the others; a rate that the configuration sets is that of the whole
//! account, so then all lanes share one queue. Waiting is fair: first come, first served.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::backoff;
use crate::config::RateLimit;
use crate::vendor::DefaultPace;

/// A turn that comes late by no more than this leaves the times of those behind it as they are. Timers wake in whole
/// milliseconds, and a millisecond lost at each turn is a fifth of the rate at 200 a second. It is the fiftieth of a second
/// that a configured rate keeps in hand, so that no second has more requests than it may. Whatever is later was an empty
/// line or a busy machine, and is not made up for by a burst.
const LATENESS: Duration = Duration::from_millis(20);

/// The lanes of one account.
#[derive(Debug)]
pub(super) struct Pace {
    spacing: Duration,
    one_queue: bool,
    one_pause: bool,
    lanes: Mutex<HashMap<&'static str, Lane>>,
}

/// Where calls of one operation wait; cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Lane {
    spacing: Duration,
    /// When the next request may leave. The async lock is the queue: it is fair, and held while waiting for that time.
    next: Arc<tokio::sync::Mutex<Option<Instant>>>,
    pause: Arc<Mutex<Pause>>,
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
    /// `sharers` exporters ask the account at the same time, and have one quota.
    pub(super) fn new(configured: Option<RateLimit>, default: DefaultPace, sharers: u32) -> Self {
        Self {
            spacing: configured.map_or(default.spacing, RateLimit::spacing) * sharers,
            one_queue: configured.is_some() || !default.per_operation,
            one_pause: !default.per_operation,
            lanes: Mutex::default(),
        }
    }

    /// The lane in which calls of this operation wait.
    pub(super) fn lane(&self, operation: &'static str) -> Lane {
        let mut lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(lane) = lanes.get(operation) {
            return lane.clone();
        }
        let other = lanes.values().next();
        let lane = Lane {
            spacing: self.spacing,
            next: match other {
                Some(other) if self.one_queue => Arc::clone(&other.next),
                _ => Arc::default(),
            },
            pause: match other {
                Some(other) if self.one_pause => Arc::clone(&other.pause),
                _ => Arc::default(),
            },
        };
        lanes.insert(operation, lane.clone());
        lane
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
        let now = Instant::now();
        let place = next.filter(|at| now.duration_since(*at) <= LATENESS);
        *next = Some(place.unwrap_or(now) + self.spacing);
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

    const EACH_SECOND: DefaultPace = DefaultPace {
        spacing: Duration::from_secs(1),
        per_operation: true,
    };

    fn lane() -> Lane {
        Pace::new(None, EACH_SECOND, 1).lane("DescribeBackups")
    }

    #[tokio::test(start_paused = true)]
    async fn requests_leave_evenly_spaced_however_many_wait() {
        let lane = lane();
        let start = Instant::now();
        let waiting: Vec<_> = (0..10)
            .map(|_| {
                let lane = lane.clone();
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
    async fn timers_that_wake_in_whole_milliseconds_take_nothing_from_the_rate() {
        let limit = RateLimit::parse("300/s").unwrap();
        let lane = Pace::new(Some(limit), EACH_SECOND, 1).lane("DescribeBackups");
        let start = Instant::now();
        for _ in 0..=300 {
            lane.turn().await.unwrap();
        }
        let took = start.elapsed().as_millis();
        // The rate keeps a fiftieth in hand.
        assert!((1020..=1022).contains(&took), "{took}");
    }

    #[tokio::test(start_paused = true)]
    async fn an_empty_line_is_not_made_up_for() {
        let lane = lane();
        lane.turn().await.unwrap();
        sleep_until(Instant::now() + Duration::from_millis(1900)).await;
        lane.turn().await.unwrap();
        let start = Instant::now();
        lane.turn().await.unwrap();
        assert_eq!(start.elapsed(), EACH_SECOND.spacing);
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_closes_the_lane_also_for_those_who_wait_in_it() {
        let lane = lane();
        lane.turn().await.unwrap();
        let waiting = tokio::spawn({
            let lane = lane.clone();
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
        let lane = lane();
        let long = lane.throttled(Some(Duration::from_secs(60)));
        assert_eq!(lane.throttled(Some(Duration::from_secs(1))), long);
    }

    /// Two lanes of one pace: whether they share their queue, and whether a pause of one closes the other.
    async fn check(limit: Option<&str>, per_operation: bool, one_queue: bool, one_pause: bool) {
        let limit = limit.map(|limit| RateLimit::parse(limit).unwrap());
        let pace = Pace::new(
            limit,
            DefaultPace {
                per_operation,
                ..EACH_SECOND
            },
            1,
        );
        let (one, other) = (pace.lane("A"), pace.lane("B"));
        let start = Instant::now();
        one.turn().await.unwrap();
        other.turn().await.unwrap();
        assert_eq!(start.elapsed() > Duration::ZERO, one_queue);
        one.throttled(Some(Duration::from_secs(60)));
        assert_eq!(other.open().is_err(), one_pause);
        assert!(pace.lane("A").open().is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn a_configured_rate_is_that_of_the_account_and_a_pause_that_of_the_vendors_quota() {
        check(None, true, false, false).await;
        check(None, false, true, true).await;
        check(Some("5/s"), true, true, false).await;
        check(Some("5/s"), false, true, true).await;
    }
}
