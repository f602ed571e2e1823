//! Scenarios: the start of a simulated cloud, as a TOML file. The built-in ones are part of the
//! binary; a test may parse its own.

use std::collections::BTreeSet;
use std::fmt;

use serde::Deserialize;

use crate::fault::Fault;
use crate::world::{Account, Instance, Trouble};

/// What there is when the cloud starts.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// Name, by which it is asked for.
    pub name: String,
    /// One sentence for a list.
    pub description: String,
    /// Accounts and their keys.
    #[serde(default, rename = "account")]
    pub accounts: Vec<Account>,
    /// Instances of these accounts.
    #[serde(default, rename = "instance")]
    pub instances: Vec<Instance>,
    /// Faults in force from the start.
    #[serde(default, rename = "fault")]
    pub faults: Vec<Fault>,
    /// No backup begins, ends or expires by itself, and what there is lies as far back at any time of day: for tests whose
    /// client has a clock of its own.
    #[serde(skip)]
    pub stands_still: bool,
}

/// Why a scenario cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ScenarioError {
    /// The text is no TOML, or holds other keys and types than a scenario.
    Syntax(String),
    /// The keys are right, but these statements about them are not.
    Meaning(Vec<String>),
}

impl fmt::Display for ScenarioError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Syntax(problem) => write!(formatter, "scenario cannot be read: {problem}"),
            Self::Meaning(problems) => write!(
                formatter,
                "scenario makes no sense: {}",
                problems.join("; ")
            ),
        }
    }
}

impl std::error::Error for ScenarioError {}

const BUILT_IN: [(&str, &str); 9] = [
    ("demo", include_str!("../scenarios/demo.toml")),
    ("healthy", include_str!("../scenarios/healthy.toml")),
    (
        "failed-night",
        include_str!("../scenarios/failed-night.toml"),
    ),
    ("copy-lag", include_str!("../scenarios/copy-lag.toml")),
    (
        "never-backed-up",
        include_str!("../scenarios/never-backed-up.toml"),
    ),
    ("throttled", include_str!("../scenarios/throttled.toml")),
    ("truncated", include_str!("../scenarios/truncated.toml")),
    (
        "volcengine-healthy",
        include_str!("../scenarios/volcengine-healthy.toml"),
    ),
    (
        "huawei-healthy",
        include_str!("../scenarios/huawei-healthy.toml"),
    ),
];

impl Scenario {
    /// One account with one key, and nothing else.
    pub fn empty() -> Self {
        Self {
            name: "empty".to_owned(),
            description: "One account without instances".to_owned(),
            accounts: vec![Account {
                name: "test".to_owned(),
                access_key_id: "LTAI5tSimulatedTestKey01".to_owned(),
                access_key_secret: "SimulatedTestSecret000000000001".to_owned(),
                ..Account::default()
            }],
            ..Self::default()
        }
    }

    /// The same scenario in a world that stands still from the start on.
    #[must_use]
    pub fn standing_still(mut self) -> Self {
        self.stands_still = true;
        self
    }

    /// A built-in scenario.
    pub fn named(name: &str) -> Option<Self> {
        let (_, text) = BUILT_IN.iter().find(|(built_in, _)| *built_in == name)?;
        // A test reads every built-in file, so a broken one does not get as far as here.
        Self::parse(text).ok()
    }

    /// Names of the built-in scenarios, the demo first.
    pub fn names() -> Vec<&'static str> {
        BUILT_IN.iter().map(|(name, _)| *name).collect()
    }

    /// Reads a scenario file.
    pub fn parse(text: &str) -> Result<Self, ScenarioError> {
        let mut scenario: Self =
            toml::from_str(text).map_err(|error| ScenarioError::Syntax(error.to_string()))?;
        if let Some(first) = scenario.accounts.first() {
            for instance in scenario
                .instances
                .iter_mut()
                .filter(|instance| instance.account.is_empty())
            {
                instance.account.clone_from(&first.name);
            }
        }
        let problems = scenario.problems();
        if problems.is_empty() {
            Ok(scenario)
        } else {
            Err(ScenarioError::Meaning(problems))
        }
    }

    fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if self.name.is_empty() || self.description.is_empty() {
            problems.push("name and description must not be empty".to_owned());
        }
        let accounts: BTreeSet<&str> = self
            .accounts
            .iter()
            .map(|account| account.name.as_str())
            .collect();
        let keys: BTreeSet<&str> = self
            .accounts
            .iter()
            .map(|account| account.access_key_id.as_str())
            .collect();
        if accounts.len() < self.accounts.len() || keys.len() < self.accounts.len() {
            problems.push("account names and access keys must differ from each other".to_owned());
        }
        let mut ids = BTreeSet::new();
        for instance in &self.instances {
            let id = &instance.id;
            if !ids.insert(id) {
                problems.push(format!("instance {id} is there twice"));
            }
            if !accounts.contains(instance.account.as_str()) {
                problems.push(format!(
                    "instance {id} belongs to no account of the scenario"
                ));
            }
            if instance
                .destinations
                .iter()
                .any(|destination| destination.region == instance.region)
            {
                problems.push(format!("instance {id} is copied to its own region"));
            }
            if let Some(primary) = &instance.read_replica_of {
                if !self.instances.iter().any(|other| other.id == *primary) {
                    problems.push(format!(
                        "instance {id} is a replica of {primary}, which is not there"
                    ));
                }
                if instance.schedule.is_some() || !instance.destinations.is_empty() {
                    problems.push(format!(
                        "instance {id} is a replica, which has no backups of its own"
                    ));
                }
            }
            let lost_nothing =
                |trouble: &Trouble| matches!(trouble, Trouble::LogsLost { from, to } if from <= to);
            if instance.trouble.iter().any(lost_nothing) {
                problems.push(format!(
                    "instance {id} has lost logs in a stretch that ends before it begins"
                ));
            }
            if instance
                .schedule
                .as_ref()
                .is_some_and(|schedule| schedule.every.is_zero() || schedule.full_every == 0)
            {
                problems.push(format!(
                    "instance {id} has a schedule whose every or full_every is zero"
                ));
            }
            if instance
                .schedule
                .as_ref()
                .is_some_and(|schedule| schedule.duration >= schedule.every)
            {
                problems.push(format!(
                    "instance {id} has backups that last longer than their interval"
                ));
            }
        }
        problems
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::Vendor;

    #[test]
    fn every_built_in_scenario_is_readable_and_explains_itself() {
        for (name, text) in BUILT_IN {
            let scenario = Scenario::parse(text).unwrap_or_else(|error| panic!("{name}: {error}"));
            assert_eq!(scenario.name, name);
            assert!(scenario.description.len() > 20, "{name}");
            assert!(!scenario.instances.is_empty(), "{name}");
        }
        assert_eq!(Scenario::names().len(), BUILT_IN.len());
        assert!(Scenario::named("no such thing").is_none());
    }

    #[test]
    fn the_example_in_the_readme_is_a_scenario() {
        let (_, after) = include_str!("../README.md")
            .split_once("```toml\n")
            .unwrap();
        let (example, _) = after.split_once("```").unwrap();
        let scenario = Scenario::parse(example).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!((scenario.instances.len(), scenario.faults.len()), (1, 1));
    }

    #[test]
    fn protection_and_replicas_are_stated_in_a_scenario() {
        let text = r#"
            name = "late"
            description = "One that is protected late"
            [[account]]
            name = "a"
            access_key_id = "k"
            access_key_secret = "s"
            [[instance]]
            id = "rm-1"
            region = "cn-hangzhou"
            destinations = [{ region = "cn-beijing", lag = "1m" }]
            protected_for = "2d"
            [[instance]]
            id = "rr-1"
            region = "cn-hangzhou"
            read_replica_of = "rm-1"
        "#;
        let scenario = Scenario::parse(text).unwrap();
        let [primary, replica] = scenario.instances.as_slice() else {
            panic!("not two")
        };
        assert_eq!(
            primary.protected_for.map(|span| span.as_secs()),
            Some(172_800)
        );
        assert_eq!(replica.read_replica_of.as_deref(), Some("rm-1"));
    }

    #[test]
    fn the_demo_has_instances_of_every_vendor_in_several_regions() {
        let demo = Scenario::named("demo").unwrap();
        let regions_of = |vendor| -> BTreeSet<_> {
            let accounts = demo
                .accounts
                .iter()
                .filter(|account| account.vendor == vendor);
            let names: Vec<_> = accounts.map(|account| account.name.as_str()).collect();
            let instances = demo.instances.iter();
            instances
                .filter(|instance| names.contains(&instance.account.as_str()))
                .map(|instance| instance.region.as_str())
                .collect()
        };
        assert_eq!(demo.instances.len(), 24);
        for (vendor, regions) in Vendor::ALL.into_iter().zip([4, 2, 2]) {
            assert_eq!(regions_of(vendor).len(), regions, "{vendor:?}");
        }
    }

    #[test]
    fn a_scenario_without_sense_is_refused_with_every_reason() {
        let text = r#"
            name = "odd"
            description = ""
            [[account]]
            name = "a"
            access_key_id = "k"
            access_key_secret = "s"
            [[instance]]
            id = "rm-1"
            region = "cn-hangzhou"
            destinations = [{ region = "cn-hangzhou", lag = "1m" }]
            schedule = { every = "1h", duration = "2h", size_bytes = 1, full_every = 0 }
            [[instance]]
            id = "rm-1"
            account = "b"
            region = "cn-hangzhou"
            read_replica_of = "rm-2"
            destinations = [{ region = "cn-beijing", lag = "1m" }]
            trouble = [{ kind = "logs-lost", from = "1h", to = "2h" }]
        "#;
        let Err(ScenarioError::Meaning(problems)) = Scenario::parse(text) else {
            panic!("accepted")
        };
        assert_eq!(problems.len(), 9, "{problems:?}");
        assert!(matches!(
            Scenario::parse("nom = 1"),
            Err(ScenarioError::Syntax(_))
        ));
        let unknown_kind = "name = 'x'\ndescription = 'y'\n[[fault]]\nkind = 'gremlin'";
        assert!(matches!(
            Scenario::parse(unknown_kind),
            Err(ScenarioError::Syntax(_))
        ));
    }
}
