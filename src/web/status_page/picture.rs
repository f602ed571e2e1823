//! The history of one place as a picture: a mark for each set of the look-back, and where the promise lies.
//!
//! A mark ends at the instant that its set counts from: in the instance's own region at the end of the backup, elsewhere
//! at the recovery point. So a mark that reaches past the line of the promise holds it, and one that does not never
//! touches it. All marks of one kind are one path, because a page shows a thousand instances of seventy sets each.

use std::fmt::{self, Write as _};

use chrono::{DateTime, Utc};

use super::escape::Shown;
use crate::backup::{BackupSet, BackupType, Scope, Status, Usable};
use crate::report::words::count;

/// The look-back is so many units wide, whatever the width of the screen.
pub(super) const WIDTH: i64 = 1000;

/// How wide a mark is: 6 hours of a month.
const MARK: i64 = 8;

/// Marks that are no further apart are drawn as one, since a hair's breadth between them shows or not as chance has it.
const HAIR: i64 = 2;

/// How wide a cross is, which has to be seen among the marks.
const CROSS: i64 = 18;

/// From the first instant of a picture to its last.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scale {
    pub(super) from: DateTime<Utc>,
    pub(super) now: DateTime<Utc>,
}

/// What a mark looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Mark {
    /// One can restore from it.
    Usable,
    /// It is being removed, has expired, or nobody knows.
    Doubtful,
    Running,
    Failed,
}

/// The history of one place.
#[derive(Debug, Default)]
pub(super) struct History {
    /// The ends of the marks of each kind, in no order.
    marks: [Vec<i64>; 4],
    /// What the log files carry on.
    pub(super) logs: Option<(DateTime<Utc>, DateTime<Utc>)>,
    /// Where log files are missing.
    pub(super) holes: Vec<(DateTime<Utc>, DateTime<Utc>)>,
}

/// Where the promise lies.
#[derive(Debug, Clone, Copy)]
pub(super) struct Promise {
    pub(super) since: DateTime<Utc>,
    pub(super) is_broken: bool,
}

impl Scale {
    /// Where an instant lies; before the look-back, below 0. What is ahead of our clock lies at the end.
    pub(super) fn x(self, time: DateTime<Utc>) -> i64 {
        let whole = (self.now - self.from).num_seconds().max(1);
        let part = (time - self.from).num_seconds();
        // Rounded down, so that no two instants change places.
        part.saturating_mul(WIDTH)
            .div_euclid(whole)
            .clamp(-1, WIDTH)
    }
}

impl Mark {
    const ALL: [Self; 4] = [Self::Usable, Self::Doubtful, Self::Running, Self::Failed];

    fn of(set: &BackupSet, usable: &Usable<'_>) -> Self {
        match set.status {
            // Nobody waits for a part of the instance, and nothing is lost when it fails.
            _ if set.backup_type == BackupType::Partial => Self::Doubtful,
            Status::Completed if usable.contains(set) => Self::Usable,
            Status::Failed => Self::Failed,
            Status::Running => Self::Running,
            Status::Completed | Status::Deleting | Status::Unknown => Self::Doubtful,
        }
    }

    const fn words(self) -> &'static str {
        match self {
            Self::Usable => "usable",
            Self::Doubtful => "not usable",
            Self::Running => "running",
            Self::Failed => "failed",
        }
    }

    const fn class(self) -> &'static str {
        match self {
            Self::Usable => "c",
            Self::Doubtful => "o",
            Self::Running => "r",
            Self::Failed => "x",
        }
    }
}

impl History {
    /// Adds the mark of a set, and none for a log file: there is one every few minutes.
    pub(super) fn add(&mut self, set: &BackupSet, usable: &Usable<'_>, scale: Scale) {
        let time = match set.scope {
            Scope::Local => set.finished(),
            Scope::CrossRegion => set.recovery_point.or(set.finished()),
        };
        if let Some(time) = time.filter(|_| set.backup_type != BackupType::Log) {
            self.marks[Mark::of(set, usable) as usize].push(scale.x(time));
        }
    }

    /// In words, for whoever cannot see it: `31 sets usable, 1 failed`.
    pub(super) fn words(&self) -> String {
        let mut words = String::new();
        for kind in Mark::ALL {
            let number = self.marks[kind as usize].len() as u64;
            if number == 0 {
                continue;
            }
            let what = if words.is_empty() {
                count(number, "set")
            } else {
                format!(", {number}")
            };
            words.push_str(&what);
            words.push(' ');
            words.push_str(kind.words());
        }
        if words.is_empty() {
            "no sets".to_owned()
        } else {
            words
        }
    }

    /// Draws it.
    pub(super) fn draw(
        &self,
        page: &mut String,
        title: &str,
        scale: Scale,
        promise: Option<Promise>,
    ) -> fmt::Result {
        write!(
            page,
            "<svg viewBox=\"0 0 {WIDTH} 22\" preserveAspectRatio=\"none\" role=\"img\" aria-label=\"{}\">",
            Shown(title)
        )?;
        for kind in Mark::ALL {
            let path = path(kind, &self.marks[kind as usize]);
            if !path.is_empty() {
                write!(page, "<path class=\"{}\" d=\"{path}\"/>", kind.class())?;
            }
        }
        // A band is at least a unit wide: that there are logs matters more than how many.
        let band = |(from, until)| {
            let (from, until) = (scale.x(from).max(0), scale.x(until));
            (until >= 0).then(|| (from.min(WIDTH - 1), (until - from).max(1)))
        };
        if let Some((x, length)) = self.logs.and_then(band) {
            write!(page, "<path class=\"g\" d=\"M{x} 20h{length}\"/>")?;
        }
        let mut missing = String::new();
        for (x, length) in self.holes.iter().copied().filter_map(band) {
            write!(missing, "M{x} 20h{length}")?;
        }
        if !missing.is_empty() {
            write!(page, "<path class=\"h\" d=\"{missing}\"/>")?;
        }
        if let Some(promise) = promise
            && let x @ 0.. = scale.x(promise.since)
        {
            let class = if promise.is_broken { "p n" } else { "p" };
            write!(page, "<path class=\"{class}\" d=\"M{x} 0v22\"/>")?;
        }
        page.push_str("</svg>");
        Ok(())
    }
}

/// One path for all marks of a kind. Marks that touch become one line, so that a path stays short however many there are.
fn path(kind: Mark, ends: &[i64]) -> String {
    let mut ends: Vec<_> = ends.iter().copied().filter(|end| *end >= 0).collect();
    ends.sort_unstable();
    ends.dedup();
    let mut path = String::new();
    let width = if kind == Mark::Failed { CROSS } else { MARK };
    let mut draw = |first: i64, last: i64| {
        let from = (first - width).max(0);
        let length = (last - from).max(1);
        // Writing into a `String` cannot fail.
        let _written = match kind {
            Mark::Usable | Mark::Doubtful => write!(path, "M{from} 9h{length}"),
            Mark::Running => write!(path, "M{from} 4h{length}v10h-{length}z"),
            Mark::Failed => write!(path, "M{from} 3l{length} 12m-{length} 0l{length}-12"),
        };
    };
    let mut run: Option<(i64, i64)> = None;
    for end in ends {
        run = match run {
            // A cross that is stretched over days is no cross.
            Some((first, last)) if kind != Mark::Failed && end - MARK <= last + HAIR => {
                Some((first, end))
            }
            Some((first, last)) => {
                draw(first, last);
                Some((end, end))
            }
            None => Some((end, end)),
        };
    }
    if let Some((first, last)) = run {
        draw(first, last);
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::example::{ago, copy_in, failed, local, log_in, now, with};

    const SCALE_DAYS: i64 = 10;

    /// A picture of ten days: an hour is a bit more than four units.
    fn scale() -> Scale {
        Scale {
            from: ago("10d"),
            now: now(),
        }
    }

    fn history(sets: &[BackupSet]) -> History {
        let mut history = History::default();
        let usable = Usable::among(sets, now());
        for set in sets {
            history.add(set, &usable, scale());
        }
        history
    }

    #[test]
    fn an_instant_lies_where_it_belongs() {
        assert_eq!((scale().now - scale().from).num_days(), SCALE_DAYS);
        for (when, x) in [
            ("0s", 1000),
            ("1d", 900),
            ("5d", 500),
            ("10d", 0),
            ("11d", -1),
            ("300d", -1),
        ] {
            assert_eq!(scale().x(ago(when)), x, "{when}");
        }
        assert_eq!(scale().x(now() + chrono::Duration::days(1)), WIDTH);
        let nothing = Scale {
            from: now(),
            now: now(),
        };
        assert_eq!(nothing.x(now()), 0);
    }

    #[test]
    fn a_part_of_the_instance_is_shown_as_of_no_use_whatever_became_of_it() {
        let part = |set| BackupSet {
            backup_type: BackupType::Partial,
            ..set
        };
        let parts = [part(local("1d")), part(failed(local("2d")))];
        assert_eq!(history(&parts).words(), "2 sets not usable");
        let incremental = |ended| BackupSet {
            backup_type: BackupType::Incremental,
            ..local(ended)
        };
        assert_eq!(history(&[incremental("1d")]).words(), "1 set not usable");
        let both = [incremental("1d"), local("2d")];
        assert_eq!(history(&both).words(), "2 sets usable");
    }

    #[test]
    fn each_kind_of_mark_is_one_path() {
        let unavailable = BackupSet {
            available: false,
            ..local("8d")
        };
        let earlier = BackupSet {
            recovery_point: Some(ago("5d")),
            ..copy_in("cn-shanghai", "4d")
        };
        let running = BackupSet {
            ended: None,
            ..with(Status::Running, local("0s"))
        };
        for (sets, kind, expected) in [
            (vec![local("1d")], Mark::Usable, "M892 9h8"),
            (
                vec![local("1d"), local("2d")],
                Mark::Usable,
                "M792 9h8M892 9h8",
            ),
            // Marks that touch are one line.
            (
                vec![local("1d"), local("23h"), local("22h")],
                Mark::Usable,
                "M892 9h16",
            ),
            (
                vec![local("1d"), local("21h 36m")],
                Mark::Usable,
                "M892 9h18",
            ),
            (
                vec![local("1d"), local("21h 21m")],
                Mark::Usable,
                "M892 9h8M903 9h8",
            ),
            // Elsewhere a set counts from its recovery point.
            (vec![earlier], Mark::Usable, "M492 9h8"),
            (vec![local("10d")], Mark::Usable, "M0 9h1"),
            (vec![local("11d")], Mark::Usable, ""),
            (vec![log_in("cn-shanghai", "1h", "30m")], Mark::Usable, ""),
            (
                vec![failed(local("1d")), failed(local("23h"))],
                Mark::Failed,
                "M882 3l18 12m-18 0l18-12M886 3l18 12m-18 0l18-12",
            ),
            (vec![running], Mark::Running, "M991 4h8v10h-8z"),
            (
                vec![with(Status::Deleting, local("9d")), unavailable],
                Mark::Doubtful,
                "M92 9h8M192 9h8",
            ),
            (
                vec![with(Status::Unknown, local("9d"))],
                Mark::Doubtful,
                "M92 9h8",
            ),
        ] {
            let history = history(&sets);
            assert_eq!(
                path(kind, &history.marks[kind as usize]),
                expected,
                "{sets:?}"
            );
        }
    }

    #[test]
    fn a_mark_reaches_past_the_line_if_and_only_if_the_promise_holds() {
        for hours in 0..240 {
            let promise = scale().x(now() - chrono::Duration::hours(26));
            let mark = scale().x(now() - chrono::Duration::hours(hours));
            assert_eq!(mark > promise, hours < 26, "{hours}");
        }
    }

    #[test]
    fn a_drawing_has_logs_holes_the_promise_and_words() {
        let mut history = history(&[local("1d"), failed(local("3h"))]);
        history.logs = Some((ago("1d"), ago("12h")));
        history.holes = vec![(ago("18h"), ago("18h")), (ago("20d"), ago("19d"))];
        let mut page = String::new();
        let promise = Promise {
            since: ago("26h"),
            is_broken: true,
        };
        history
            .draw(&mut page, "<&>", scale(), Some(promise))
            .unwrap();
        assert_eq!(
            page,
            "<svg viewBox=\"0 0 1000 22\" preserveAspectRatio=\"none\" role=\"img\" aria-label=\"&lt;&amp;&gt;\">\
             <path class=\"c\" d=\"M892 9h8\"/><path class=\"x\" d=\"M969 3l18 12m-18 0l18-12\"/>\
             <path class=\"g\" d=\"M900 20h50\"/><path class=\"h\" d=\"M925 20h1\"/><path class=\"p n\" d=\"M891 0v22\"/></svg>"
        );
        assert_eq!(history.words(), "1 set usable, 1 failed");
        assert_eq!(History::default().words(), "no sets");
        // A promise from before the look-back has no place.
        let mut page = String::new();
        let promise = Promise {
            since: ago("11d"),
            is_broken: false,
        };
        history.draw(&mut page, "", scale(), Some(promise)).unwrap();
        assert!(!page.contains("class=\"p\""));
    }
}
