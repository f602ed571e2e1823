//! Whether an instance still exists. An instance that a list lacks is missing, and stays watched and promised: absence is
//! no evidence by itself. It is gone once the evidence says so.
//!
//! Pure. Kept for each instance by `facts`, judged anew with every answer that speaks for or against it.

use chrono::{DateTime, Utc};

/// So many times an instance that was seen before has to deny that it exists, or to show nothing while it is missing.
const ANSWERS: u32 = 2;

/// So many plausible lists have to lack an instance.
const SEARCHES: u32 = 6;

/// How long the lists of instances have lacked an instance that they had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Missing {
    /// When the first of them was read.
    pub since: DateTime<Utc>,
    /// How many of them were plausible.
    pub searches: u32,
}

/// What speaks for and against the existence of an instance.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Presence {
    /// Whether a list of instances had it once.
    pub was_listed: bool,
    /// Whether the last list of instances lacks it.
    pub missing: Option<Missing>,
    /// How often in a row its own listing said that it does not exist.
    pub denials: u32,
    /// How often in a row its own backups were read whole and none was usable, while it was missing.
    pub bare: u32,
    /// Since when it is gone.
    pub gone_since: Option<DateTime<Utc>>,
}

/// What an instance's own listing answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    /// That there is no such instance.
    Denied,
    /// All of its backups, none of them usable.
    Bare,
    /// Some of its backups, or at least one that is usable.
    Shown,
}

impl Presence {
    /// The last list of instances has it, or lacks it by now.
    pub(crate) fn listed(&mut self, missing: Option<Missing>, at: DateTime<Utc>) {
        self.was_listed = true;
        if missing.is_none() {
            self.bare = 0;
            if self.missing.is_some() {
                self.denials = 0;
            }
        }
        self.missing = missing;
        self.judge(at, true);
    }

    /// Its own listing says that there is no such instance.
    #[cfg(test)]
    pub(crate) fn denied(&mut self, was_seen: bool, at: DateTime<Utc>) {
        self.answered(Answer::Denied, was_seen, at);
    }

    /// Its own listing was read. `was_seen` tells whether that ever went well before.
    pub(super) fn answered(&mut self, answer: Answer, was_seen: bool, at: DateTime<Utc>) {
        self.denials = match answer {
            Answer::Denied => self.denials.saturating_add(1),
            Answer::Bare | Answer::Shown => 0,
        };
        self.bare = match answer {
            Answer::Bare if self.missing.is_some() => self.bare.saturating_add(1),
            Answer::Denied => self.bare,
            Answer::Bare | Answer::Shown => 0,
        };
        self.judge(at, was_seen || self.was_listed);
    }

    /// `was_seen`: what was never seen can lose nothing, and need not deny twice.
    fn judge(&mut self, at: DateTime<Utc>, was_seen: bool) {
        // What was enough once is enough as long as nothing speaks against it.
        let denials_needed = if was_seen && self.gone_since.is_none() {
            ANSWERS
        } else {
            1
        };
        let is_gone = self.denials >= denials_needed
            || self.bare >= ANSWERS
            || self
                .missing
                .is_some_and(|missing| missing.searches >= SEARCHES);
        self.gone_since = is_gone.then(|| self.gone_since.unwrap_or(at));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::example::ago;

    #[derive(Clone, Copy)]
    enum Event {
        Listed,
        /// Lacked by a list, the so many-th plausible one.
        Lacked(u32),
        Answered(Answer),
    }
    use Answer::{Bare, Denied, Shown};
    use Event::{Answered, Lacked, Listed};

    fn after(events: &[Event], was_seen: bool) -> Presence {
        let mut presence = Presence::default();
        for event in events {
            let since = ago("1h");
            match *event {
                Listed => presence.listed(None, since),
                Lacked(searches) => {
                    presence.listed(Some(Missing { since, searches }), since);
                }
                Answered(answer) => presence.answered(answer, was_seen, since),
            }
        }
        presence
    }

    #[test]
    fn an_instance_is_gone_by_three_kinds_of_evidence_and_by_no_other() {
        let lies = vec![Lacked(0); 100];
        for (case, events, was_seen, gone) in [
            ("nothing is known", vec![], false, false),
            ("no list that can be believed", lies, true, false),
            ("missing five times", vec![Listed, Lacked(5)], true, false),
            ("missing six times", vec![Listed, Lacked(6)], true, true),
            ("back again", vec![Lacked(6), Listed], true, false),
            (
                "never seen, and denied",
                vec![Answered(Denied)],
                false,
                true,
            ),
            ("seen, and denied once", vec![Answered(Denied)], true, false),
            (
                "listed, and denied once",
                vec![Listed, Answered(Denied)],
                false,
                false,
            ),
            (
                "denied twice",
                vec![Answered(Denied), Answered(Denied)],
                true,
                true,
            ),
            (
                "denied in turns",
                vec![Answered(Denied), Answered(Bare), Answered(Denied)],
                true,
                false,
            ),
            (
                "denied, and there after all",
                vec![Answered(Denied), Answered(Denied), Answered(Bare)],
                true,
                false,
            ),
            (
                "denied, and listed again",
                vec![Lacked(1), Answered(Denied), Answered(Denied), Listed],
                true,
                false,
            ),
            (
                "bare, and listed",
                vec![Listed, Answered(Bare), Answered(Bare)],
                true,
                false,
            ),
            (
                "bare once while missing",
                vec![Answered(Bare), Lacked(0), Answered(Bare)],
                true,
                false,
            ),
            (
                "bare twice while missing",
                vec![Lacked(0), Answered(Bare), Answered(Bare)],
                true,
                true,
            ),
            (
                "bare in turns",
                vec![Lacked(0), Answered(Bare), Answered(Shown), Answered(Bare)],
                true,
                false,
            ),
        ] {
            let presence = after(&events, was_seen);
            assert_eq!(presence.gone_since.is_some(), gone, "{case}");
        }
    }

    #[test]
    fn what_is_gone_stays_gone_since_then() {
        let mut presence = after(&[Answered(Denied)], false);
        presence.answered(Denied, true, ago("1m"));
        assert_eq!(presence.gone_since, Some(ago("1h")));
    }
}
