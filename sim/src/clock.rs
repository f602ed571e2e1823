//! The simulated clock: the real time plus an offset that a test moves. Everything in this crate
//! asks it, nothing asks the machine. It never stops by itself: between two moves it runs at the
//! speed of the real one.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

/// A handle on the cloud's time; clones share the offset.
#[derive(Clone, Debug, Default)]
pub struct SimClock {
    offset_nanoseconds: Arc<AtomicI64>,
}

impl SimClock {
    /// The cloud's present.
    pub fn now(&self) -> DateTime<Utc> {
        real_time() + TimeDelta::nanoseconds(self.offset_nanoseconds.load(Ordering::Relaxed))
    }

    /// Moves the present forward.
    pub fn advance(&self, by: Duration) {
        let nanoseconds = i64::try_from(by.as_nanos()).unwrap_or(i64::MAX);
        self.offset_nanoseconds
            .fetch_add(nanoseconds, Ordering::Relaxed);
    }

    /// Makes `present` the present, in the past or in the future.
    pub fn set(&self, present: DateTime<Utc>) {
        // 292 years either side of the real time fit; a test that wants more gets the end of that
        // range.
        let offset = (present - real_time())
            .num_nanoseconds()
            .unwrap_or(i64::MAX);
        self.offset_nanoseconds.store(offset, Ordering::Relaxed);
    }
}

/// The machine's clock.
#[expect(
    clippy::disallowed_methods,
    reason = "the one place where the simulated time is anchored to the real one"
)]
fn real_time() -> DateTime<Utc> {
    Utc::now()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clones_share_every_move() {
        let clock = SimClock::default();
        let clone = clock.clone();
        let past: DateTime<Utc> = "2026-01-02T03:04:05Z".parse().unwrap();
        clock.set(past);
        assert!((clone.now() - past).num_seconds() < 60);
        clone.advance(Duration::from_secs(86400));
        assert_eq!((clock.now() - past).num_days(), 1);
    }
}
