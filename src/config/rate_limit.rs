//! How fast an account may be asked when its configuration says so.

use std::time::Duration;

use super::raw::quoted;

/// So many requests in so much time, evenly spaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimit {
    /// At least 1.
    pub requests: u32,
    /// More than zero.
    pub per: Duration,
}

/// The most requests in any unit of time: with more, the time between two of them would round to nothing.
const MOST_REQUESTS: u32 = 1_000_000;

impl RateLimit {
    /// The time between two requests: a fiftieth longer than the rate asks for. A gateway counts when requests arrive,
    /// and at the bare rate one that was a little faster than the one before it would be one too many.
    pub fn spacing(self) -> Duration {
        (self.per + self.per / 50) / self.requests
    }

    /// Reads `5/s`, `300/m`, `300/min` or `1000/h`.
    ///
    /// # Errors
    /// Says in words what was expected.
    pub fn parse(text: &str) -> Result<Self, String> {
        let expected = || {
            format!(
                "expected a rate such as `5/s`, `300/m` or `1000/h`, of at most {MOST_REQUESTS} requests, \
                 found the text {}",
                quoted(text)
            )
        };
        let (requests, unit) = text.split_once('/').ok_or_else(expected)?;
        let requests: u32 = requests.trim().parse().map_err(|_| expected())?;
        let per = match unit.trim() {
            "s" | "sec" | "second" => Duration::from_secs(1),
            "m" | "min" | "minute" => Duration::from_secs(60),
            "h" | "hour" => Duration::from_secs(3600),
            _ => return Err(expected()),
        };
        if !(1..=MOST_REQUESTS).contains(&requests) {
            return Err(expected());
        }
        Ok(Self { requests, per })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_a_number_of_requests_in_a_unit_of_time() {
        let check = |text: &str, expected: Option<Duration>| {
            assert_eq!(
                RateLimit::parse(text).ok().map(RateLimit::spacing),
                expected,
                "{text:?}"
            );
        };
        check("5/s", Some(Duration::from_millis(204)));
        check("5 / second", Some(Duration::from_millis(204)));
        check("300/m", Some(Duration::from_millis(204)));
        check("300/min", Some(Duration::from_millis(204)));
        check("1000/h", Some(Duration::from_millis(3672)));
        check("1000000/s", Some(Duration::from_nanos(1020)));
        for refused in [
            "",
            "5",
            "/",
            "/s",
            "0/s",
            "-1/s",
            "1.5/s",
            "1000001/s",
            "5/d",
            "5/s/s",
        ] {
            check(refused, None);
        }
    }
}
