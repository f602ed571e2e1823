//! Everything behind the cloud's mutex: the world, the faults in force, and what requests leave
//! behind.

use std::collections::{BTreeMap, HashSet, VecDeque};

use chrono::{DateTime, TimeDelta, Utc};

use crate::fault::Faults;
use crate::huawei;
use crate::journal::Journal;
use crate::scenario::Scenario;
use crate::world::{World, draw};

#[derive(Debug)]
pub(crate) struct State {
    pub(crate) world: World,
    pub(crate) faults: Faults,
    pub(crate) journal: Journal,
    pub(crate) nonces: Nonces,
    pub(crate) limiter: Limiter,
    pub(crate) huawei: huawei::Memory,
    /// Requests answered, from which request ids are made.
    answered: i64,
}

impl State {
    pub(crate) fn new(scenario: &Scenario, now: DateTime<Utc>) -> Self {
        let mut faults = Faults::default();
        for fault in &scenario.faults {
            faults.inject(fault.clone());
        }
        Self {
            world: World::new(
                &scenario.accounts,
                &scenario.instances,
                now,
                first_slot(scenario, now),
            ),
            faults,
            journal: Journal::default(),
            nonces: Nonces::default(),
            limiter: Limiter::default(),
            huawei: huawei::Memory::new(&scenario.accounts),
            answered: 0,
        }
    }

    /// Counts a request; answers two numbers for its id, which differ from request to request.
    pub(crate) fn next_request(&mut self, kind: &str) -> [u64; 2] {
        self.answered += 1;
        ["high", "low"].map(|half| draw(kind, self.answered, half))
    }
}

/// When the first of all slots begins.
fn first_slot(scenario: &Scenario, now: DateTime<Utc>) -> DateTime<Utc> {
    /// As far back as 1970 is from 12:32:30 of a day in June 2026: no usual slot begins within some minutes of then, and
    /// none of what begins with a slot comes to an end.
    const BACK: TimeDelta = TimeDelta::seconds(1_781_267_550);
    if scenario.stands_still {
        now - BACK
    } else {
        DateTime::UNIX_EPOCH
    }
}

/// Nonces that were used within the time for which a signature is valid.
///
/// They are forgotten in the order in which they came, so that a request costs the same however many came before it.
#[derive(Debug, Default)]
pub(crate) struct Nonces {
    spent: HashSet<Nonce>,
    by_age: VecDeque<(DateTime<Utc>, Nonce)>,
}

/// Of a key, a word that it may use once.
type Nonce = (String, String);

impl Nonces {
    /// Notes a nonce of a key; false if it was used before.
    pub(crate) fn spend(&mut self, access_key_id: &str, nonce: &str, now: DateTime<Utc>) -> bool {
        // Twice the permitted skew: a signature dated 15 minutes ahead is valid for half an hour.
        const REMEMBERED: TimeDelta = TimeDelta::minutes(30);
        while let Some((used, _)) = self.by_age.front()
            && now - *used > REMEMBERED
        {
            let forgotten = self.by_age.pop_front();
            forgotten.map(|(_, nonce)| self.spent.remove(&nonce));
        }
        let nonce = (access_key_id.to_owned(), nonce.to_owned());
        let is_new = self.spent.insert(nonce.clone());
        if is_new {
            self.by_age.push_back((now, nonce));
        }
        is_new
    }
}

/// Calls of the last minute, by account and operation.
#[derive(Debug, Default)]
pub(crate) struct Limiter(BTreeMap<(String, String), VecDeque<DateTime<Utc>>>);

impl Limiter {
    /// Counts a call, or says how long to wait until the limit permits one.
    pub(crate) fn admit(
        &mut self,
        account: &str,
        operation: &str,
        limit: u32,
        now: DateTime<Utc>,
    ) -> Result<(), TimeDelta> {
        const WINDOW: TimeDelta = TimeDelta::minutes(1);
        let calls = self
            .0
            .entry((account.to_owned(), operation.to_owned()))
            .or_default();
        while let Some(oldest) = calls.front()
            && now - *oldest >= WINDOW
        {
            calls.pop_front();
        }
        if calls.len() < limit as usize {
            calls.push_back(now);
            return Ok(());
        }
        Err(calls
            .front()
            .map_or(WINDOW, |oldest| *oldest + WINDOW - now))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::world::{Instance, Schedule};

    #[test]
    fn a_world_that_stands_still_is_the_same_at_any_time_of_any_day() {
        const HOUR: Duration = Duration::from_secs(3600);
        const DAY: i64 = 24 * 3600;
        let instance = |id, every| {
            let instance = Instance::new(id, "cn-hangzhou").schedule(Schedule::every(every));
            instance.copied_to("cn-shanghai", HOUR / 6)
        };
        let scenario = Scenario {
            instances: vec![instance("hourly", HOUR), instance("daily", HOUR * 24)],
            ..Scenario::empty().standing_still()
        };
        // How long ago each set, copy and log file began and ended, and of which look-backs it is not at the edge.
        let story = |now: DateTime<Utc>| {
            let world = State::new(&scenario, now).world;
            let mut story = Vec::new();
            for id in ["hourly", "daily"] {
                let holding = world.holding("test", id).unwrap();
                let sets = holding.backups(now).into_iter();
                story.extend(sets.map(|set| (DAY, set.slot, now - set.start, now - set.end)));
                let copies = holding.copies(now).into_iter();
                story.extend(
                    copies.map(|copy| (DAY, copy.backup.slot, TimeDelta::zero(), now - copy.end)),
                );
                let logs = holding.logs(now - HOUR * 2..=now, now).into_iter();
                story.extend(logs.map(|log| (3600, log.slot, now - log.begin, now - log.end)));
                assert!(holding.running(now).is_none(), "{now} {id}");
            }
            story
        };
        let noon = story("2026-06-15T12:00:00Z".parse().unwrap());
        assert!(noon.len() > 1000, "{}", noon.len());
        for moment in [
            "2026-06-15T23:59:50Z",
            "2028-02-28T23:59:59Z",
            "2028-02-29T07:13:22Z",
            "2026-12-31T23:59:50Z",
        ] {
            assert!(story(moment.parse().unwrap()) == noon, "{moment}");
        }
        // Nothing begins, ends or leaves a look-back of whole days, or of whole hours for logs, while a test looks on.
        let quiet = TimeDelta::minutes(2);
        for (whole, _, begun, ended) in noon {
            for ago in [begun, ended].map(|ago| TimeDelta::seconds(ago.num_seconds() % whole)) {
                let is_quiet = ago >= quiet && ago <= TimeDelta::seconds(whole) - quiet;
                assert!(ago.is_zero() || is_quiet, "{ago}");
            }
        }
    }

    #[test]
    fn a_nonce_is_spent_once_per_key_and_forgotten_in_time() {
        let mut nonces = Nonces::default();
        let now = DateTime::UNIX_EPOCH;
        assert!(nonces.spend("a", "1", now));
        assert!(nonces.spend("b", "1", now));
        assert!(!nonces.spend("a", "1", now + TimeDelta::minutes(1)));
        assert!(nonces.spend("a", "1", now + TimeDelta::hours(1)));
    }

    #[test]
    fn the_limiter_admits_so_many_calls_in_any_minute() {
        let mut limiter = Limiter::default();
        let at = |seconds: i64| DateTime::UNIX_EPOCH + TimeDelta::seconds(seconds);
        assert_eq!(limiter.admit("a", "List", 2, at(0)), Ok(()));
        assert_eq!(limiter.admit("a", "List", 2, at(20)), Ok(()));
        assert_eq!(
            limiter.admit("a", "List", 2, at(30)),
            Err(TimeDelta::seconds(30))
        );
        assert_eq!(limiter.admit("a", "Other", 2, at(30)), Ok(()));
        assert_eq!(limiter.admit("b", "List", 2, at(30)), Ok(()));
        assert_eq!(limiter.admit("a", "List", 2, at(60)), Ok(()));
        assert_eq!(
            limiter.admit("a", "List", 0, at(200)),
            Err(TimeDelta::minutes(1))
        );
    }
}
