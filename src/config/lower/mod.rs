//! From a tree to a `Config`: the keys, their defaults and bounds, and what their values mean together.
//!
//! Here is what stands at the top and under `poll`; the other sections have files of their own.

mod accounts;
mod credentials;
mod discover;
mod instances;
mod objectives;
mod products;

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use config::Value;

use super::key_path::KeyPath;
use super::problem::{Problems, Report};
use super::raw::{KeyNames, Mapping, Node, Place, Read, described, quoted};
use super::{CaFile, Config, PollConfig, PollMode};
use crate::backup::Lookback;
use crate::service::ServiceSpec;

#[cfg(test)]
pub(super) use accounts::ACCOUNT_KEYS;
#[cfg(test)]
pub(super) use credentials::CREDENTIALS_KEYS;
#[cfg(test)]
pub(super) use discover::DISCOVER_KEYS;
#[cfg(test)]
pub(super) use instances::INSTANCE_KEYS;
#[cfg(test)]
pub(super) use objectives::{DEFAULT_OBJECTIVES, OBJECTIVE_KEYS};

pub(super) const TOP_KEYS: [&str; 4] = ["poll", "objectives", "ca_file", "accounts"];

pub(super) const POLL_KEYS: [&str; 9] = [
    "mode",
    "interval",
    "max_interval",
    "policy_interval",
    "discovery_interval",
    "timeout",
    "lookback",
    "log_lookback",
    "max_concurrency",
];

const HOUR_SECONDS: u64 = 3600;
const DAY_SECONDS: u64 = 24 * HOUR_SECONDS;

pub(crate) const DEFAULT_POLL: PollConfig = PollConfig {
    mode: PollMode::Adaptive,
    interval: Duration::from_secs(300),
    max_interval: Duration::from_secs(HOUR_SECONDS),
    policy_interval: Duration::from_secs(HOUR_SECONDS),
    discovery_interval: Duration::from_secs(600),
    timeout: Duration::from_secs(30),
    lookback: Lookback {
        sets: Duration::from_secs(31 * DAY_SECONDS),
        logs: Duration::from_secs(2 * HOUR_SECONDS),
    },
    max_concurrency: 16,
};

/// Longer than any backup is kept, and short enough that no date computed from it leaves the calendar.
const LONGEST: Duration = Duration::from_secs(3650 * DAY_SECONDS);

const SHORTEST: Duration = Duration::from_nanos(1);
const SHORTEST_INTERVAL: Duration = Duration::from_secs(1);
/// Whoever asks for a shorter interval wants it kept, unless the mode says otherwise.
const SHORTEST_ADAPTIVE_INTERVAL: Duration = Duration::from_secs(60);
const SHORTEST_TIMEOUT: Duration = Duration::from_millis(100);

/// Room for what people write; a label that is longer makes every series heavy.
const LONGEST_NAME: usize = 200;

/// Lowers a tree. `report` has what was wrong before; `folder` is where relative paths begin, and `services` are all that
/// there are.
pub(super) fn lower(
    tree: &Value,
    folder: &Path,
    services: &[&ServiceSpec],
    report: Report,
) -> Result<Config, Problems> {
    let mut lowering = Lowering {
        folder,
        services,
        report,
        lookback: None,
        inherits_retention: false,
        ca_file: None,
    };
    match lowering.config(&Node::root(tree)) {
        Ok(config) if lowering.report.is_empty() => Ok(config),
        _ => Err(lowering.report.into_problems()),
    }
}

/// What is known on the way.
struct Lowering<'a> {
    folder: &'a Path,
    services: &'a [&'a ServiceSpec],
    report: Report,
    /// `None` until it is read, and if it was wrong: then nothing is compared with it.
    lookback: Option<Duration>,
    /// Whether the retention at the top holds for some instance.
    inherits_retention: bool,
    /// The certificates that all accounts trust which name none.
    ca_file: Option<CaFile>,
}

impl Lowering<'_> {
    fn config(&mut self, root: &Node<'_>) -> Read<Config> {
        let top = root.mapping(&TOP_KEYS, KeyNames::Shown, &mut self.report)?;
        let poll = self.poll(&top);
        let promises = self.default_promises(&top);
        let ca_file = self.ca_file(&top);
        self.ca_file = ca_file.clone().ok().flatten();
        let accounts = self.accounts(&top, promises);
        self.check_inherited_retention(&top, promises);
        ca_file?;
        Ok(Config {
            poll: poll?,
            accounts: accounts?,
        })
    }

    fn poll(&mut self, top: &Mapping<'_>) -> Read<PollConfig> {
        let Some(node) = top.get("poll") else {
            self.lookback = Some(DEFAULT_POLL.lookback.sets);
            return Ok(DEFAULT_POLL);
        };
        let poll = node.mapping(&POLL_KEYS, KeyNames::Shown, &mut self.report)?;
        let mut duration = |key, default, shortest| match poll.get(key) {
            None => Ok(default),
            Some(node) => node.duration(shortest..=LONGEST, &mut self.report),
        };
        let interval = duration("interval", DEFAULT_POLL.interval, SHORTEST_INTERVAL);
        let policy_interval = duration(
            "policy_interval",
            DEFAULT_POLL.policy_interval,
            SHORTEST_INTERVAL,
        );
        let discovery_interval = duration(
            "discovery_interval",
            DEFAULT_POLL.discovery_interval,
            SHORTEST_INTERVAL,
        );
        let timeout = duration("timeout", DEFAULT_POLL.timeout, SHORTEST_TIMEOUT);
        let lookback = duration("lookback", DEFAULT_POLL.lookback.sets, SHORTEST);
        let log_lookback = duration("log_lookback", DEFAULT_POLL.lookback.logs, SHORTEST);
        let max_concurrency = match poll.get("max_concurrency") {
            None => Ok(DEFAULT_POLL.max_concurrency),
            Some(node) => node.integer(1..=1000, &mut self.report),
        };
        self.lookback = lookback.ok();
        let mode = self.poll_mode(&poll, interval);
        let max_interval = self.max_interval(&poll, interval);
        Ok(PollConfig {
            mode: mode?,
            interval: interval?,
            max_interval: max_interval?,
            policy_interval: policy_interval?,
            discovery_interval: discovery_interval?,
            timeout: timeout?,
            lookback: Lookback {
                sets: lookback?,
                logs: log_lookback?,
            },
            max_concurrency: max_concurrency?,
        })
    }

    fn poll_mode(&mut self, poll: &Mapping<'_>, interval: Read<Duration>) -> Read<PollMode> {
        let Some(node) = poll.get("mode") else {
            return Ok(match interval {
                Ok(interval) if interval < SHORTEST_ADAPTIVE_INTERVAL => PollMode::Fixed,
                _ => PollMode::Adaptive,
            });
        };
        let expected = "`adaptive` or `fixed`";
        match node.text(expected, &mut self.report)? {
            "adaptive" => Ok(PollMode::Adaptive),
            "fixed" => Ok(PollMode::Fixed),
            _ => {
                let what = format!("expected {expected}, found {}", node.found());
                Err(node.place.complain(what, &mut self.report))
            }
        }
    }

    /// Nothing is compared with an interval that is wrong itself.
    fn max_interval(&mut self, poll: &Mapping<'_>, interval: Read<Duration>) -> Read<Duration> {
        let Some(node) = poll.get("max_interval") else {
            let default = DEFAULT_POLL.max_interval;
            return Ok(interval.map_or(default, |interval| interval.max(default)));
        };
        let max_interval = node.duration(SHORTEST_INTERVAL..=LONGEST, &mut self.report)?;
        match interval {
            Ok(interval) if max_interval < interval => {
                let what = format!(
                    "{} is less than `poll.interval`, {}",
                    described(max_interval),
                    described(interval)
                );
                Err(node.place.complain(what, &mut self.report))
            }
            _ => Ok(max_interval),
        }
    }

    /// Reads a list that has to be there and to have elements.
    fn elements<'n>(
        &mut self,
        parent: &Mapping<'n>,
        key: &str,
        expected: &str,
    ) -> Read<Vec<Node<'n>>> {
        let node = parent.require(key, expected, &mut self.report)?;
        let elements = node.list(expected, &mut self.report)?;
        if elements.is_empty() {
            let what = format!("expected {expected}, found none");
            return Err(node.place.complain(what, &mut self.report));
        }
        Ok(elements)
    }

    /// Checks a name for people.
    fn name<'n>(&mut self, node: &Node<'n>) -> Read<&'n str> {
        let expected =
            format!("a text of 1 to {LONGEST_NAME} characters, none of them a control character");
        let name = node.text(&expected, &mut self.report)?;
        let is_name = !name.trim().is_empty()
            && name.chars().count() <= LONGEST_NAME
            && !name.contains(char::is_control);
        self.expect(is_name, name, &expected, &node.place)
    }

    /// Reports a text that is not what was expected.
    fn expect<'n>(
        &mut self,
        is_met: bool,
        text: &'n str,
        expected: &str,
        place: &Place<'_>,
    ) -> Read<&'n str> {
        if is_met {
            return Ok(text);
        }
        let what = format!("expected {expected}, found the text {}", quoted(text));
        Err(place.complain(what, &mut self.report))
    }

    /// Reports a text that was seen before, with the owner that had it first.
    fn unique<'n>(
        &mut self,
        text: &'n str,
        role: &str,
        place: &Place<'_>,
        owner: &KeyPath,
        seen: &mut HashMap<String, KeyPath>,
    ) -> Read<&'n str> {
        if let Some(first) = seen.get(text) {
            let what = format!("{} is already the {role} of {first}", quoted(text));
            return Err(place.complain(what, &mut self.report));
        }
        seen.insert(text.to_owned(), owner.clone());
        Ok(text)
    }
}

/// Gives up only after each element was read, so that the problems of all of them are found.
fn all<T>(elements: impl IntoIterator<Item = Read<T>>) -> Read<Vec<T>> {
    let elements: Vec<Read<T>> = elements.into_iter().collect();
    elements.into_iter().collect()
}
