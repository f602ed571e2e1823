//! `rate_limit`: a token bucket for the requests of all clients.

use std::time::Duration;

use crate::yaml::problem::Report;
use crate::yaml::raw::{KeyNames, Node, Read};

/// A token bucket: each request takes a token, and each interval adds one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestRate {
    /// Never zero.
    pub interval: Duration,
    /// The most tokens; never zero.
    pub burst: u32,
}

const MOST_BURST: usize = 1_000_000;

/// Longer ones are typing errors: one request a day is no service.
const LONGEST_INTERVAL: Duration = Duration::from_secs(24 * 3600);

pub(super) fn read_rate_limit(node: &Node<'_>, report: &mut Report) -> Read<Option<RequestRate>> {
    let section = node.mapping(&["interval", "burst"], KeyNames::Shown, report)?;
    let burst = section.get("burst");
    let limits = match section.get("interval") {
        Some(interval) => !interval.is_zero_duration(),
        None => false,
    };
    // In Go's exporter-toolkit this disables the limit, whatever the burst is.
    if !limits {
        if let Some(burst) = burst {
            burst.integer(0..=MOST_BURST, report)?;
        }
        return Ok(None);
    }
    let expected = "how many requests may come at once";
    let burst = match burst {
        Some(burst) => burst.integer(1..=MOST_BURST, report),
        None => Err(section.missing("burst", expected, report)),
    };
    let interval = section.require("interval", "a duration", report)?;
    let interval = interval.duration(Duration::from_nanos(1)..=LONGEST_INTERVAL, report)?;
    let burst = u32::try_from(burst?).unwrap_or(u32::MAX);
    Ok(Some(RequestRate { interval, burst }))
}
