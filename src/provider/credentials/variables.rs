//! The environment variables that the vendors' own tools read, as they were at the start.

use std::path::PathBuf;

use super::Lack;
use super::place::endpoint;
use crate::config::Secret;
use crate::provider::Environment;

/// Looks variables up. An empty variable counts as unset, as in the vendors' SDKs.
#[derive(Clone, Copy)]
pub(in crate::provider) struct Variables<'a>(pub &'a Environment);

impl Variables<'_> {
    /// The value of a variable.
    pub(in crate::provider) fn get(self, name: &str) -> Option<String> {
        let value = self.0.get(name).filter(|value| !value.is_empty());
        value.cloned()
    }

    /// The value of a variable that is a secret.
    pub(in crate::provider) fn secret(self, name: &str) -> Option<Secret> {
        self.get(name).map(Secret::new)
    }

    /// Whether a switch is on.
    pub(in crate::provider) fn is_true(self, name: &str) -> bool {
        self.get(name)
            .is_some_and(|value| value.eq_ignore_ascii_case("true"))
    }

    /// Variables that are of use only together: it is no lack when all are unset, and a mistake when some are.
    pub(in crate::provider) fn together<const N: usize>(
        self,
        names: [&str; N],
    ) -> Result<[String; N], Lack> {
        let Some(unset) = names.iter().find(|name| self.get(name).is_none()) else {
            return Ok(names.map(|name| self.get(name).unwrap_or_default()));
        };
        let why = format!("{unset} is not set");
        if names.iter().any(|name| self.get(name).is_some()) {
            Err(Lack::Unusable(why))
        } else {
            Err(Lack::Absent(why))
        }
    }

    /// An address such as `https://sts.example.com`.
    pub(in crate::provider) fn endpoint(self, name: &str) -> Result<Option<String>, Lack> {
        let value = self.get(name).map(|value| endpoint(&value, name));
        value.transpose().map_err(Lack::Unusable)
    }

    /// A path below the user's home folder.
    pub(in crate::provider) fn at_home(self, path: &str) -> Result<PathBuf, Lack> {
        let home = self
            .get("HOME")
            .ok_or_else(|| Lack::Absent("HOME is not set".to_owned()))?;
        Ok(PathBuf::from(home).join(path))
    }
}

#[cfg(test)]
mod tests {
    use super::super::test_environment;
    use super::*;

    #[test]
    fn variables_that_go_together_are_all_there_or_it_is_said_which_is_not() {
        let check = |set: &[(&str, &str)], expected: Result<[&str; 2], Lack>| {
            let environment = test_environment(set);
            let found = Variables(&environment).together(["A", "B"]);
            assert_eq!(found, expected.map(|values| values.map(str::to_owned)));
        };
        check(&[("A", "1"), ("B", "2")], Ok(["1", "2"]));
        check(&[], Err(Lack::Absent("A is not set".to_owned())));
        check(
            &[("A", ""), ("B", "")],
            Err(Lack::Absent("A is not set".to_owned())),
        );
        check(
            &[("A", "1")],
            Err(Lack::Unusable("B is not set".to_owned())),
        );
        check(
            &[("A", ""), ("B", "2")],
            Err(Lack::Unusable("A is not set".to_owned())),
        );
    }

    #[test]
    fn an_endpoint_may_leave_out_its_scheme() {
        let check = |value: &str, expected: Result<Option<&str>, ()>| {
            let environment = test_environment(&[("E", value)]);
            let found = Variables(&environment).endpoint("E");
            let expected = expected.map(|endpoint| endpoint.map(str::to_owned));
            assert_eq!(found.map_err(|_| ()), expected, "{value}");
        };
        check("", Ok(None));
        check(
            "sts.volcengineapi.com",
            Ok(Some("https://sts.volcengineapi.com")),
        );
        check("http://127.0.0.1:80/", Ok(Some("http://127.0.0.1:80")));
        check("https://user:hunter2@host", Err(()));
        check("two words", Err(()));
    }
}
