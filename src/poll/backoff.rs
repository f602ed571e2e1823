//! How long to wait before asking again: exponential, capped, with full jitter.

use std::time::Duration;

const BASE: Duration = Duration::from_millis(500);
const CAP: Duration = Duration::from_secs(30);

/// The wait before the repeat with this number, counted from 0: anything up to the bound, so that many who failed
/// together do not come back together.
pub(super) fn delay(repeat: u32) -> Duration {
    bound(repeat).mul_f64(dice())
}

/// Any number from 0 to 1.
#[cfg(not(test))]
pub(super) fn dice() -> f64 {
    rand::random()
}

#[cfg(test)]
pub(super) fn dice() -> f64 {
    FIXED.get().unwrap_or_else(rand::random)
}

#[cfg(test)]
thread_local! {
    static FIXED: std::cell::Cell<Option<f64>> = const { std::cell::Cell::new(None) };
}

/// From now on the dice of this thread always fall in the middle, so that the same is asked in every run.
#[cfg(test)]
pub(crate) fn fix_jitter_of_this_thread() {
    FIXED.set(Some(0.5));
}

fn bound(repeat: u32) -> Duration {
    BASE.saturating_mul(2_u32.saturating_pow(repeat)).min(CAP)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bound_doubles_up_to_its_cap() {
        for (repeat, millis) in [
            (0, 500),
            (1, 1_000),
            (2, 2_000),
            (5, 16_000),
            (6, 30_000),
            (u32::MAX, 30_000),
        ] {
            assert_eq!(bound(repeat), Duration::from_millis(millis), "{repeat}");
            assert!(delay(repeat) <= bound(repeat));
        }
    }

    #[test]
    fn two_who_failed_together_do_not_wait_alike() {
        let delays: std::collections::BTreeSet<_> = (0..20).map(|_| delay(6)).collect();
        assert!(delays.len() > 10);
    }
}
