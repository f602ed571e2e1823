//! A token bucket for requests.

use std::sync::{Mutex, PoisonError};

use tokio::time::Instant;

use crate::web_config::RequestRate;

/// A token bucket, full at first.
#[derive(Debug)]
pub struct RateLimit {
    rate: RequestRate,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    tokens: f64,
    counted: Instant,
}

impl RateLimit {
    /// A full bucket.
    pub fn new(rate: RequestRate) -> Self {
        let state = State {
            tokens: f64::from(rate.burst),
            counted: Instant::now(),
        };
        Self {
            rate,
            state: Mutex::new(state),
        }
    }

    /// What it was made with.
    pub const fn rate(&self) -> RequestRate {
        self.rate
    }

    /// Takes a token if there is one.
    pub fn admits(&self) -> bool {
        let now = Instant::now();
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let passed = now.saturating_duration_since(state.counted);
        let new = passed.as_secs_f64() / self.rate.interval.as_secs_f64();
        state.tokens = (state.tokens + new).min(f64::from(self.rate.burst));
        state.counted = now;
        if state.tokens < 1.0 {
            return false;
        }
        state.tokens -= 1.0;
        true
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_token_comes_with_each_interval_and_no_more_than_the_burst_are_kept() {
        let interval = Duration::from_secs(10);
        let limit = RateLimit::new(RequestRate { interval, burst: 2 });
        let admitted = |limit: &RateLimit| (0..5).filter(|_| limit.admits()).count();
        assert_eq!(admitted(&limit), 2, "it begins full");
        tokio::time::advance(Duration::from_secs(9)).await;
        assert_eq!(admitted(&limit), 0);
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(admitted(&limit), 1);
        tokio::time::advance(Duration::from_secs(3600)).await;
        assert_eq!(admitted(&limit), 2);
    }
}
