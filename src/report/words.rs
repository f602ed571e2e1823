//! Times, spans and sizes as people read them, and text from outside that cannot pass for something else.

use std::fmt::Write as _;
use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// Below this, hours are counted and not days: promises such as `26h` are meant to be compared with what stands beside them.
const IN_HOURS: u64 = 2 * DAY;

/// A time as JSON has it.
pub(super) fn written(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// Whole seconds from then to now, never negative: the vendor's clock may be ahead of ours.
pub fn seconds_since(time: DateTime<Utc>, now: DateTime<Utc>) -> i64 {
    (now - time).num_seconds().max(0)
}

/// How long ago that was: `39 h 8 min`.
pub fn since(time: DateTime<Utc>, now: DateTime<Utc>) -> String {
    span(now - time)
}

/// The two largest units, hours up to two days: `39 h 8 min`, `3 days 2 h`.
pub fn span(span: chrono::Duration) -> String {
    let seconds = u64::try_from(span.num_seconds()).unwrap_or(0);
    let units = units(seconds);
    let first = units.iter().position(|(count, _)| *count > 0);
    let shown = first.map_or(&units[3..], |first| {
        &units[first..units.len().min(first + 2)]
    });
    // Seconds matter only where nothing else is known.
    let shown = if seconds >= MINUTE {
        shown.strip_suffix(&[units[3]]).unwrap_or(shown)
    } else {
        shown
    };
    join(shown)
}

/// Every unit that is not zero: a promise is said as it was made.
pub fn exactly(promise: Duration) -> String {
    join(&units(promise.as_secs()))
}

fn units(seconds: u64) -> [(u64, &'static str); 4] {
    let days = if seconds < IN_HOURS { 0 } else { seconds / DAY };
    let rest = seconds - days * DAY;
    [
        (days, "days"),
        (rest / HOUR, "h"),
        (rest % HOUR / MINUTE, "min"),
        (rest % MINUTE, "s"),
    ]
}

fn join(units: &[(u64, &'static str)]) -> String {
    let mut text = String::new();
    for (count, unit) in units.iter().filter(|(count, _)| *count > 0) {
        let space = if text.is_empty() { "" } else { " " };
        // Writing into a `String` cannot fail.
        let _written = write!(text, "{space}{count} {unit}");
    }
    if text.is_empty() {
        "0 s".to_owned()
    } else {
        text
    }
}

/// Three digits and a unit, in powers of 1024.
#[expect(
    clippy::cast_precision_loss,
    reason = "only three digits of a size are shown"
)]
pub fn size(bytes: u64) -> String {
    let mut value = bytes as f64;
    let mut unit = "B";
    for larger in ["KiB", "MiB", "GiB", "TiB", "PiB"] {
        if value < 1024.0 {
            break;
        }
        value /= 1024.0;
        unit = larger;
    }
    if unit == "B" {
        format!("{bytes} B")
    } else {
        format!("{value:.1} {unit}")
    }
}

/// One thing, or so many: `1 set`, `2 sets`.
pub fn count(number: u64, one: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {one}{plural}")
}

/// Whether a character shows as nothing, or changes how its neighbours show: controls, line separators, marks that turn
/// the direction of writing, and what has no width. A name with such characters could pass for another one, or move
/// beyond its place on a page or a terminal.
pub fn is_deceptive(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}'
            | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_short_and_comparable_with_promises() {
        for (seconds, expected) in [
            (-5, "0 s"),
            (0, "0 s"),
            (59, "59 s"),
            (60, "1 min"),
            (2068, "34 min"),
            (3600, "1 h"),
            (12_345, "3 h 25 min"),
            (26 * 3600, "26 h"),
            (172_799, "47 h 59 min"),
            (172_800, "2 days"),
            (172_859, "2 days"),
            (270_000, "3 days 3 h"),
            (86_400 * 31 + 59, "31 days"),
        ] {
            let written = span(chrono::Duration::seconds(seconds));
            assert_eq!(written, expected, "{seconds}");
        }
        for (text, expected) in [
            ("26h", "26 h"),
            ("1d", "24 h"),
            ("7d", "7 days"),
            ("90m", "1 h 30 min"),
            ("2d 1h 1m 1s", "2 days 1 h 1 min 1 s"),
            ("0s", "0 s"),
        ] {
            assert_eq!(exactly(humantime::parse_duration(text).unwrap()), expected);
        }
    }

    #[test]
    fn sizes_have_three_digits() {
        for (bytes, expected) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (5_312_836, "5.1 MiB"),
            (u64::MAX, "16384.0 PiB"),
        ] {
            assert_eq!(size(bytes), expected);
        }
    }

    #[test]
    fn what_cannot_be_seen_is_deceptive() {
        for character in [
            '\0',
            '\n',
            '\u{7f}',
            '\u{85}',
            '\u{ad}',
            '\u{200b}',
            '\u{202e}',
            '\u{2028}',
            '\u{2066}',
            '\u{feff}',
            '\u{e0041}',
        ] {
            assert!(is_deceptive(character), "{character:?}");
        }
        for character in [' ', 'a', '<', 'é', '订', 'ש', '🗄'] {
            assert!(!is_deceptive(character), "{character:?}");
        }
    }
}
