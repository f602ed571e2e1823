//! The simulated clock: the machine's, until a test sets it; then it stands still until it is moved. Everything in this
//! crate asks it, nothing asks the machine.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};

/// A handle on the cloud's time; clones share every move.
#[derive(Clone, Debug, Default)]
pub struct SimClock(Arc<Mutex<Hands>>);

#[derive(Debug, Default)]
struct Hands {
    /// How far it is ahead of the machine's clock, while it runs.
    ahead: TimeDelta,
    /// The present, while it stands.
    present: Option<DateTime<Utc>>,
    /// The present of the world, if that stands by itself.
    world: Option<DateTime<Utc>>,
}

impl Hands {
    fn now(&self) -> DateTime<Utc> {
        self.present.unwrap_or_else(|| real_time() + self.ahead)
    }
}

impl SimClock {
    /// The cloud's present: by it signatures, keys and limits are judged.
    pub fn now(&self) -> DateTime<Utc> {
        self.hands().now()
    }

    /// The present of instances and their backups, which is [`SimClock::now`] unless the world stands still.
    pub fn world(&self) -> DateTime<Utc> {
        let hands = self.hands();
        hands.world.unwrap_or_else(|| hands.now())
    }

    /// Moves the present forward, and the world with it.
    pub fn advance(&self, by: Duration) {
        let mut hands = self.hands();
        let by = TimeDelta::from_std(by).unwrap_or(TimeDelta::MAX);
        hands.ahead += by;
        hands.present = hands.present.map(|present| present + by);
        hands.world = hands.world.map(|world| world + by);
    }

    /// Makes `present` the present, in the past or in the future, and stands still there.
    pub fn set(&self, present: DateTime<Utc>) {
        let mut hands = self.hands();
        hands.present = Some(present);
        hands.world = None;
    }

    /// No backup begins, ends or expires by itself any more. Whoever asks goes on with the time of the machine, so that
    /// signatures, keys and limits do, too.
    pub(crate) fn hold_the_world(&self) {
        let mut hands = self.hands();
        hands.world = Some(hands.now().trunc_subsecs(0));
    }

    fn hands(&self) -> MutexGuard<'_, Hands> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
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

    const DAY: Duration = Duration::from_secs(86400);

    #[test]
    fn a_clock_that_is_set_stands_still_and_clones_share_every_move() {
        let clock = SimClock::default();
        let clone = clock.clone();
        let past: DateTime<Utc> = "2026-01-02T03:04:05Z".parse().unwrap();
        clock.set(past);
        assert_eq!((clone.now(), clone.world()), (past, past));
        clone.advance(DAY);
        assert_eq!((clock.now(), clock.world()), (past + DAY, past + DAY));
    }

    #[test]
    fn the_world_may_stand_still_while_the_cloud_goes_on() {
        let clock = SimClock::default();
        let before = real_time();
        clock.hold_the_world();
        let held = clock.world();
        assert!(held <= real_time() && before - held < TimeDelta::seconds(1));
        while real_time() < before + TimeDelta::milliseconds(2) {
            std::thread::yield_now();
        }
        assert!(clock.now() > before);
        assert_eq!(clock.world(), held);
        clock.advance(DAY);
        assert_eq!(clock.world(), held + DAY);
        assert!(clock.now() > before + DAY);
    }
}
