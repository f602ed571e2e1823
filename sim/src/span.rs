//! Lengths of time as scenario files write them: `90s`, `1h30m`, `31d`, `50ms`.

use std::time::Duration;

use serde::de::Error;
use serde::{Deserialize, Deserializer};

/// Reads `text`, or says what is wrong with it. How long an answer takes may also be a number of `ms`, by itself.
pub(crate) fn parse(text: &str) -> Result<Duration, String> {
    if let Some(millis) = text.strip_suffix("ms")
        && let Ok(millis) = millis.parse::<u32>()
    {
        return Ok(Duration::from_millis(millis.into()));
    }
    let mut seconds = 0_u64;
    let mut amount: Option<u64> = None;
    for character in text.chars() {
        let unit = match character {
            '0'..='9' => {
                let digit = u64::from(character) - u64::from('0');
                amount = amount
                    .unwrap_or(0)
                    .checked_mul(10)
                    .and_then(|tens| tens.checked_add(digit));
                if amount.is_none() {
                    return Err(format!("{text:?} is too long"));
                }
                continue;
            }
            's' => 1,
            'm' => 60,
            'h' => 3600,
            'd' => 86400,
            _ => {
                return Err(format!(
                    "{text:?} is not a length of time such as 90s, 1h30m or 31d"
                ));
            }
        };
        let part = amount.take().and_then(|amount| amount.checked_mul(unit));
        seconds = part
            .and_then(|part| seconds.checked_add(part))
            .filter(|seconds| *seconds <= LONGEST_SECONDS)
            .ok_or_else(|| {
                format!("{text:?} lacks a number before {character:?}, or is too long")
            })?;
    }
    if amount.is_some() || text.is_empty() {
        return Err(format!("{text:?} lacks a unit: s, m, h or d"));
    }
    Ok(Duration::from_secs(seconds))
}

/// Ten years: far beyond any retention, far within what the calendar can add.
const LONGEST_SECONDS: u64 = 3650 * 86400;

/// For `#[serde(deserialize_with)]`.
pub(crate) fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    parse(&String::deserialize(deserializer)?).map_err(D::Error::custom)
}

/// The same for a key that may be missing (then also `#[serde(default)]`).
pub(crate) fn read_optional<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Duration>, D::Error> {
    read(deserializer).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_time_are_read_or_refused() {
        let check = |text: &str, expected: Option<u64>| {
            assert_eq!(
                parse(text).ok(),
                expected.map(Duration::from_secs),
                "{text}"
            );
        };
        check("90s", Some(90));
        check("1h30m", Some(5400));
        check("31d", Some(2_678_400));
        check("0s", Some(0));
        assert_eq!(parse("50ms"), Ok(Duration::from_millis(50)));
        check("ms", None);
        check("1h50ms", None);
        check("", None);
        check("90", None);
        check("m", None);
        check("1h30", None);
        check("1 h", None);
        check("-1h", None);
        check("99999999999999999999s", None);
        check("4000d", None);
    }
}
