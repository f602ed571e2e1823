//! When each listing is due. Pure: the present and the dice are passed in.
//!
//! The first round starts at once and is spread by the rate limit alone, because nobody wants to wait an interval for
//! the first facts. From then on the listings are spread evenly over the interval, each with a little jitter.

use std::time::Duration;

use tokio::time::Instant;

/// The due times of one listing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Schedule {
    /// The next time on the grid, without jitter.
    grid: Instant,
    interval: Duration,
    jitter: Duration,
}

impl Schedule {
    /// The schedule of listing number `index` out of `count`, of which the first attempt is due at `start`.
    ///
    /// The second attempt comes half to one and a half intervals after the first, which moves each listing to its
    /// own place in the interval; all others follow one interval apart.
    pub(super) fn spread(start: Instant, index: usize, count: usize, interval: Duration) -> Self {
        let count = u32::try_from(count.max(1)).unwrap_or(u32::MAX);
        let index = u32::try_from(index).unwrap_or(u32::MAX).min(count - 1);
        let slot = interval / count;
        let place = slot.saturating_mul(index) + slot / 2;
        Self {
            grid: start + interval / 2 + place,
            interval,
            jitter: slot.min(interval / 10),
        }
    }

    /// The next due time after `now`, for dice between 0 and 1. Times that have passed meanwhile are left out, so that
    /// a slow listing is not made up for by a burst.
    ///
    /// After a failure it is due again after the time that is given, however seldom it is due otherwise, and not earlier.
    pub(super) fn next(
        &mut self,
        now: Instant,
        after_failure: Option<Duration>,
        dice: f64,
    ) -> Instant {
        while self.grid <= now {
            self.grid += self.interval;
        }
        if let Some(pause) = after_failure {
            // The jitter and the time that the attempt took are not to cost a whole round.
            while self.grid < now + pause * 4 / 5 {
                self.grid += self.interval;
            }
            if now + pause * 2 <= self.grid {
                return now + pause + (pause / 10).mul_f64(dice);
            }
        }
        let due = self.grid + self.jitter.mul_f64(dice);
        self.grid += self.interval;
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTERVAL: Duration = Duration::from_secs(300);

    #[test]
    fn listings_are_spread_evenly_over_the_interval() {
        let start = Instant::now();
        let due: Vec<_> = (0..10)
            .map(|index| {
                let mut schedule = Schedule::spread(start, index, 10, INTERVAL);
                schedule
                    .next(start, None, 0.0)
                    .duration_since(start)
                    .as_secs()
            })
            .collect();
        assert_eq!(due, [165, 195, 225, 255, 285, 315, 345, 375, 405, 435]);
    }

    #[test]
    fn one_listing_alone_is_due_once_an_interval() {
        let start = Instant::now();
        let mut schedule = Schedule::spread(start, 0, 1, INTERVAL);
        let mut now = start;
        for round in 1..=5_u32 {
            let due = schedule.next(now, None, 0.5);
            assert_eq!(due, start + INTERVAL * round + INTERVAL / 20);
            now = due;
        }
    }

    #[test]
    fn what_failed_is_due_again_after_a_pause_however_seldom_it_is_due() {
        let start = Instant::now();
        let minutes = |minutes: u32| Duration::from_secs(60) * minutes;
        let pause = Some(minutes(5));
        let mut now = start;
        let mut schedule = Schedule::spread(start, 0, 1, minutes(60));
        let mut due = Vec::new();
        for _ in 0..14 {
            now = schedule.next(now, pause, 0.0);
            due.push((now - start).as_secs() / 60);
        }
        assert_eq!(due, [5, 10, 15, 20, 25, 30, 35, 40, 45, 50, 55, 60, 65, 70]);
        now = schedule.next(now, None, 0.0);
        assert_eq!(now - start, minutes(120));
    }

    #[test]
    fn what_failed_is_not_due_before_the_pause_is_over() {
        let start = Instant::now();
        // The second attempt would come after half an interval otherwise.
        let mut schedule = Schedule::spread(start, 0, 10, INTERVAL);
        let second = schedule.next(start, Some(INTERVAL), 0.0);
        assert_eq!(second - start, INTERVAL + Duration::from_secs(165));
        let third = schedule.next(second, Some(INTERVAL), 0.0);
        assert_eq!(third - second, INTERVAL);
    }

    #[test]
    fn a_listing_that_took_longer_than_an_interval_is_not_made_up_for() {
        let start = Instant::now();
        let mut schedule = Schedule::spread(start, 0, 1, INTERVAL);
        assert_eq!(schedule.next(start, None, 0.0), start + INTERVAL);
        let late = start + INTERVAL * 4 + Duration::from_secs(1);
        assert_eq!(schedule.next(late, None, 0.0), start + INTERVAL * 5);
    }
}
