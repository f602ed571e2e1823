//! How fast an account is asked: requests leave one by one, evenly spaced, and not at all while the vendor wants a pause.
//!
//! Calls of one operation of a service share a lane: a queue with a spacing, and a pause. Where a service counts its quota
//! for each operation, a throttled one does not hold up the others, and no service holds up another; a rate that the
//! configuration sets is that of the whole account, so then all lanes share one queue. Waiting is fair: first come, first
//! served.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::backoff;
use crate::config::RateLimit;
use crate::service::{Service, ServiceSpec};

/// A turn that comes late by no more than this leaves the times of those behind it as they are. Timers wake in whole
/// milliseconds, and a millisecond lost at each turn is a fifth of the rate at 200 a second. It is the fiftieth of a second
/// that a configured rate keeps in hand, so that no second has more requests than it may. Whatever is later was an empty
/// line or a busy machine, and is not made up for by a burst.
const LATENESS: Duration = Duration::from_millis(20);

/// The lanes of one account.
#[derive(Debug)]
pub(super) struct Pace {
    /// The time between two requests of the whole account, where the configuration sets it.
    configured: Option<Duration>,
    sharers: u32,
    lanes: Mutex<HashMap<(Service, &'static str), Lane>>,
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
    pub(super) fn new(configured: Option<RateLimit>, sharers: u32) -> Self {
        Self {
            configured: configured.map(RateLimit::spacing),
            sharers,
            lanes: Mutex::default(),
        }
    }

    /// The lane in which calls of this operation of a service wait.
    pub(super) fn lane(&self, spec: &ServiceSpec, operation: &'static str) -> Lane {
        let mut lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(lane) = lanes.get(&(spec.service, operation)) {
            return lane.clone();
        }
        let of_service = |((service, _), _): &(&(Service, _), &Lane)| *service == spec.service;
        let sibling = lanes.iter().find(of_service).map(|(_, lane)| lane);
        let sibling = sibling.filter(|_| !spec.pace.per_operation);
        let in_line = match self.configured {
            Some(_) => lanes.values().next(),
            None => sibling,
        };
        let lane = Lane {
            spacing: self.configured.unwrap_or(spec.pace.spacing) * self.sharers,
            next: in_line.map_or_else(Arc::default, |other| Arc::clone(&other.next)),
            pause: sibling.map_or_else(Arc::default, |other| Arc::clone(&other.pause)),
        };
        lanes.insert((spec.service, operation), lane.clone());
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
    use crate::service::DefaultPace;

    const EACH_SECOND: DefaultPace = DefaultPace {
        spacing: Duration::from_secs(1),
        per_operation: true,
    };

    fn paced(service: Service, pace: DefaultPace) -> ServiceSpec {
        ServiceSpec {
            pace,
            ..*service.spec()
        }
    }

    fn lane_of(configured: Option<RateLimit>) -> Lane {
        let spec = paced(Service::AlibabaRds, EACH_SECOND);
        Pace::new(configured, 1).lane(&spec, "DescribeBackups")
    }

    fn lane() -> Lane {
        lane_of(None)
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
        let lane = lane_of(Some(limit));
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
    async fn shared(
        pace: &Pace,
        one: (&ServiceSpec, &'static str),
        other: (&ServiceSpec, &'static str),
    ) -> (bool, bool) {
        let (first, second) = (pace.lane(one.0, one.1), pace.lane(other.0, other.1));
        let start = Instant::now();
        first.turn().await.unwrap();
        second.turn().await.unwrap();
        let one_queue = start.elapsed() > Duration::ZERO;
        first.throttled(Some(Duration::from_secs(60)));
        assert!(pace.lane(one.0, one.1).open().is_err());
        (one_queue, second.open().is_err())
    }

    fn pace(limit: Option<&str>) -> Pace {
        Pace::new(limit.map(|limit| RateLimit::parse(limit).unwrap()), 1)
    }

    #[tokio::test(start_paused = true)]
    async fn a_configured_rate_is_that_of_the_account_and_a_pause_that_of_the_services_quota() {
        for (limit, per_operation, expected) in [
            (None, true, (false, false)),
            (None, false, (true, true)),
            (Some("5/s"), true, (true, false)),
            (Some("5/s"), false, (true, true)),
        ] {
            let default = DefaultPace {
                per_operation,
                ..EACH_SECOND
            };
            let spec = paced(Service::AlibabaRds, default);
            let shared = shared(&pace(limit), (&spec, "A"), (&spec, "B")).await;
            assert_eq!(shared, expected, "{limit:?} {per_operation}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn two_services_share_neither_a_pause_nor_a_queue_but_that_of_a_configured_rate() {
        for (limit, per_operation, expected) in [
            (None, true, (false, false)),
            (None, false, (false, false)),
            (Some("5/s"), true, (true, false)),
            (Some("5/s"), false, (true, false)),
        ] {
            let default = DefaultPace {
                per_operation,
                ..EACH_SECOND
            };
            let one = paced(Service::AlibabaRds, default);
            let other = paced(Service::VolcengineRedis, default);
            let name = "DescribeBackups";
            let shared = shared(&pace(limit), (&one, name), (&other, name)).await;
            assert_eq!(shared, expected, "{limit:?} {per_operation}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn each_service_is_asked_at_its_own_pace() {
        let pace = pace(None);
        for (service, seconds) in [(Service::AlibabaRds, 1), (Service::VolcengineRedis, 3)] {
            let default = DefaultPace {
                spacing: Duration::from_secs(seconds),
                per_operation: true,
            };
            let lane = pace.lane(&paced(service, default), "DescribeBackups");
            lane.turn().await.unwrap();
            let start = Instant::now();
            lane.turn().await.unwrap();
            assert_eq!(start.elapsed().as_secs(), seconds);
        }
    }
}
