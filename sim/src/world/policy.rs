//! The cross-region policy of an instance: since when it has been in force, and when it was not.
//! Where the copies go is the instance's own (`Destination`).

use chrono::{DateTime, Utc};

/// A policy on the calendar.
#[derive(Clone, Debug, Default)]
pub(crate) struct Policy {
    /// When it was switched on for the first time; `None` is before all history.
    first_on: Option<DateTime<Utc>>,
    /// From when until when it was off; the end is excluded and may be open.
    off: Vec<(DateTime<Utc>, Option<DateTime<Utc>>)>,
}

impl Policy {
    pub(super) fn since(first_on: Option<DateTime<Utc>>) -> Self {
        Self {
            first_on,
            off: Vec::new(),
        }
    }

    pub(super) fn switch_off(&mut self, now: DateTime<Utc>) {
        if self.is_on() {
            self.off.push((now, None));
        }
    }

    pub(super) fn switch_on(&mut self, now: DateTime<Utc>) {
        for (_, until) in &mut self.off {
            until.get_or_insert(now);
        }
    }

    /// It has not been switched off since it was last switched on.
    pub(crate) fn is_on(&self) -> bool {
        self.off.iter().all(|(_, until)| until.is_some())
    }

    /// When it was last switched on; `None` is before all history.
    pub(crate) fn enabled_at(&self) -> Option<DateTime<Utc>> {
        let again = self.off.iter().filter_map(|(_, until)| *until).max();
        again.or(self.first_on)
    }

    /// A set that ended then is to be copied.
    pub(super) fn covers(&self, end: DateTime<Utc>) -> bool {
        let off = |(from, until): &(DateTime<Utc>, Option<DateTime<Utc>>)| {
            *from <= end && until.is_none_or(|until| end < until)
        };
        self.first_on.is_none_or(|first| first <= end) && !self.off.iter().any(off)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(day: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + chrono::TimeDelta::days(day)
    }

    #[test]
    fn a_policy_covers_what_ended_while_it_was_on() {
        let mut policy = Policy::since(Some(at(10)));
        policy.switch_off(at(20));
        policy.switch_off(at(25));
        assert!(!policy.is_on());
        assert_eq!(policy.enabled_at(), Some(at(10)));
        policy.switch_on(at(30));
        policy.switch_on(at(35));
        assert!(policy.is_on());
        assert_eq!(policy.enabled_at(), Some(at(30)));
        let covered: Vec<_> = (0..40).filter(|day| policy.covers(at(*day))).collect();
        let expected: Vec<_> = (10..20).chain(30..40).collect();
        assert_eq!(covered, expected);
    }

    #[test]
    fn a_policy_of_which_nothing_is_said_has_always_been_on() {
        let policy = Policy::default();
        assert!(policy.is_on() && policy.covers(at(0)));
        assert_eq!(policy.enabled_at(), None);
    }
}
