//! Roles that are asked for, as far as the token services of the vendors agree on them: a full name,
//! a session, a lifetime, and a key for it. Parameters, codes and spelling are a face's.

use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::state::State;
use crate::world::{Issue, IssuedKey, Vendor};

/// What a vendor's token service has of its own.
pub(crate) struct Service {
    pub(crate) vendor: Vendor,
    pub(crate) key_prefix: &'static str,
    /// The full name of an account's role.
    pub(crate) full_name: fn(&str, &str) -> String,
}

/// A role that is asked for.
#[derive(Debug)]
pub(crate) struct Wanted<'a> {
    pub(crate) full_name: &'a str,
    pub(crate) session: &'a str,
    pub(crate) lifetime: Duration,
}

/// Why it cannot be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoRole {
    /// The full name is none.
    Misspelled,
    Unknown,
}

impl<'a> Wanted<'a> {
    /// The bare name of the role and the account that has it, if there is one of this full name.
    pub(crate) fn find<'s>(
        &self,
        service: &Service,
        state: &'s State,
    ) -> Result<(&'a str, &'s str), NoRole> {
        let named = self.full_name.rsplit_once(":role/");
        let (_, name) = named.ok_or(NoRole::Misspelled)?;
        let account = state.world.role_account(service.vendor, name);
        account
            .filter(|account| (service.full_name)(account, name) == self.full_name)
            .map(|account| (name, account))
            .ok_or(NoRole::Unknown)
    }

    pub(crate) fn issue(
        &self,
        service: &Service,
        state: &mut State,
        operation: &str,
        now: DateTime<Utc>,
    ) -> Result<IssuedKey, NoRole> {
        let (role, _) = self.find(service, state)?;
        let issue = Issue {
            vendor: service.vendor,
            role,
            operation,
            prefix: service.key_prefix,
            lifetime: self.lifetime,
        };
        state.world.issue(&issue, now).ok_or(NoRole::Unknown)
    }
}

/// A quarter of an hour to twelve hours; one hour where nothing is said.
pub(crate) fn lifetime(seconds: Option<&str>) -> Option<Duration> {
    let seconds = seconds.map_or(Ok(3600), str::parse).ok();
    let seconds = seconds.filter(|seconds| (900..=43_200).contains(seconds));
    seconds.map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lifetime_is_permitted_from_a_quarter_of_an_hour_to_twelve_hours() {
        let check = |text: Option<&str>, expected: Option<u64>| {
            assert_eq!(
                lifetime(text),
                expected.map(Duration::from_secs),
                "{text:?}"
            );
        };
        check(None, Some(3600));
        check(Some("900"), Some(900));
        check(Some("43200"), Some(43_200));
        for bad in ["899", "43201", "-1", "", "1h"] {
            check(Some(bad), None);
        }
    }
}
