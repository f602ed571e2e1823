//! The only place that asks the operating system what time it is.
//!
//! Only `poll`, `web`, `app`, a provider's `mod.rs` and its credentials hold a clock; everything else is told `now`.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use chrono::{DateTime, Utc};

/// Tells the time: the real one, or one that a test sets by hand.
#[derive(Debug, Clone, Default)]
pub struct Clock(Option<Arc<AtomicI64>>);

impl Clock {
    /// The operating system's clock.
    pub const fn real() -> Self {
        Self(None)
    }

    /// A clock that stands still until it is moved. Precise to the millisecond.
    pub fn set_by_hand(start: DateTime<Utc>) -> Self {
        Self(Some(Arc::new(AtomicI64::new(start.timestamp_millis()))))
    }

    /// What time it is.
    pub fn now(&self) -> DateTime<Utc> {
        match &self.0 {
            Some(hand) => DateTime::from_timestamp_millis(hand.load(Ordering::Relaxed))
                .unwrap_or(DateTime::UNIX_EPOCH),
            None => operating_system_time(),
        }
    }

    /// Moves a clock that is set by hand; the real one goes on as it does.
    pub fn advance(&self, by: Duration) {
        if let Some(hand) = &self.0 {
            let by = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
            hand.fetch_add(by, Ordering::Relaxed);
        }
    }

    /// Moves a clock that is set by hand to another time, as when somebody corrects it.
    #[cfg(test)]
    pub(crate) fn step(&self, by: chrono::Duration) {
        if let Some(hand) = &self.0 {
            hand.fetch_add(by.num_milliseconds(), Ordering::Relaxed);
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "this is the one place that the ban leaves open"
)]
fn operating_system_time() -> DateTime<Utc> {
    Utc::now()
}
