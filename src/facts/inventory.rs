//! What is known about the instances of one region: which there are, and which there are no longer.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};

use super::{Attempt, Failure};
use crate::backup::{FoundInstance, Inventory};
use crate::provider::error::ListError;

/// A region of an account in which instances are looked for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RegionKey {
    /// The provider's label.
    pub provider: &'static str,
    /// The configuration's name for the account.
    pub account: Arc<str>,
    /// The region.
    pub region: Arc<str>,
}

/// What is known about the instances of a region.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RegionFacts {
    /// How looking for them went the last time; `None` before the first.
    pub last_attempt: Option<Attempt>,
    /// When they were last listed.
    pub last_success: Option<DateTime<Utc>>,
    /// Those that were listed, by id, those included that are missing since lately.
    pub instances: BTreeMap<String, Listed>,
    /// Ids that only another region still lists, since their instances were deleted.
    pub outlived: Vec<String>,
}

/// One instance that was listed once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// As it was listed the last time.
    pub instance: FoundInstance,
    /// Since when it is missing from the list.
    pub gone_since: Option<DateTime<Utc>>,
}

impl RegionFacts {
    /// Whether this process has looked for instances here at least once.
    pub fn is_attempted(&self) -> bool {
        let attempt = self.last_attempt.as_ref();
        attempt.is_some_and(|attempt| !attempt.is_restored)
    }

    /// A failure changes nothing about what is known, and a part of a list takes nothing away.
    pub(super) fn record(
        &mut self,
        at: DateTime<Utc>,
        grace: Duration,
        outcome: Result<Inventory, ListError>,
    ) {
        let failure = outcome.as_ref().err().map(Failure::from);
        self.last_attempt = Some(Attempt {
            at,
            failure,
            is_restored: false,
        });
        let Ok(inventory) = outcome else { return };
        self.last_success = Some(at);
        if inventory.complete {
            let grace = chrono::Duration::from_std(grace).unwrap_or(chrono::Duration::MAX);
            self.instances.retain(|_, listed| {
                let gone_since = *listed.gone_since.get_or_insert(at);
                at - gone_since < grace
            });
            self.outlived = inventory.outlived;
        }
        for instance in inventory.instances {
            let listed = Listed {
                instance,
                gone_since: None,
            };
            self.instances.insert(listed.instance.id.clone(), listed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::example::{ago, failure};
    use crate::provider::error::Reason;

    const GRACE: Duration = Duration::from_secs(3600);

    fn list(ids: &[&str]) -> Inventory {
        Inventory {
            instances: ids
                .iter()
                .map(|id| FoundInstance {
                    id: (*id).to_owned(),
                    description: crate::backup::Description::default(),
                    has_backups: true,
                    at_work: true,
                })
                .collect(),
            outlived: Vec::new(),
            complete: true,
        }
    }

    /// The ids that are known, each with whether it is there.
    fn known(region: &RegionFacts) -> Vec<(&str, bool)> {
        let instances = region.instances.iter();
        instances
            .map(|(id, listed)| (id.as_str(), listed.gone_since.is_none()))
            .collect()
    }

    #[test]
    fn an_instance_that_is_missing_is_gone_and_then_forgotten() {
        let mut region = RegionFacts::default();
        region.record(ago("3h"), GRACE, Ok(list(&["a", "b"])));
        region.record(ago("2h"), GRACE, Ok(list(&["b", "c"])));
        assert_eq!(known(&region), [("a", false), ("b", true), ("c", true)]);
        assert_eq!(region.instances["a"].gone_since, Some(ago("2h")));
        region.record(ago("1h 1m"), GRACE, Ok(list(&["b", "c"])));
        assert_eq!(region.instances["a"].gone_since, Some(ago("2h")));
        region.record(ago("1h"), GRACE, Ok(list(&["b", "c"])));
        assert_eq!(known(&region), [("b", true), ("c", true)]);
    }

    #[test]
    fn an_instance_that_comes_back_is_no_longer_gone() {
        let mut region = RegionFacts::default();
        region.record(ago("3h"), GRACE, Ok(list(&["a"])));
        region.record(ago("2h 30m"), GRACE, Ok(list(&[])));
        region.record(ago("2h"), GRACE, Ok(list(&["a"])));
        assert_eq!(known(&region), [("a", true)]);
        region.record(ago("1h 30m"), GRACE, Ok(list(&[])));
        assert_eq!(region.instances["a"].gone_since, Some(ago("1h 30m")));
    }

    #[test]
    fn a_failure_changes_nothing_about_what_is_known() {
        let mut region = RegionFacts::default();
        region.record(ago("1h"), GRACE, Err(failure(Reason::Permission)));
        assert_eq!((known(&region), region.last_success), (vec![], None));
        region.record(ago("50m"), GRACE, Ok(list(&["a"])));
        for reason in Reason::ALL {
            region.record(ago("1m"), GRACE, Err(failure(reason)));
            assert_eq!(known(&region), [("a", true)]);
            assert_eq!(region.last_success, Some(ago("50m")));
            let attempt = region.last_attempt.as_ref().unwrap();
            assert_eq!(attempt.failure.as_ref().unwrap().reason, reason);
        }
    }

    #[test]
    fn a_part_of_a_list_takes_nothing_away() {
        let mut region = RegionFacts::default();
        let whole = Inventory {
            outlived: vec!["z".to_owned()],
            ..list(&["a", "b"])
        };
        region.record(ago("2h"), GRACE, Ok(whole));
        let part = Inventory {
            complete: false,
            ..list(&["b", "c"])
        };
        region.record(ago("1m"), GRACE, Ok(part));
        assert_eq!(known(&region), [("a", true), ("b", true), ("c", true)]);
        assert_eq!(region.outlived, ["z"]);
    }
}
