//! What is known about the instances of one region: which there are, and which there are no longer.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};

use super::presence::Missing;
use super::{Attempt, Failure};
use crate::backup::{FoundInstance, Inventory};
use crate::provider::error::ListError;
use crate::service::Service;
use crate::target::InstanceKey;

/// A list that lacks more than one in so many of the known instances, and more than one, is not plausible.
const MOST_MISSING: usize = 5;

/// A region of an account in which the instances of a service are looked for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RegionKey {
    /// The provider's label.
    pub provider: &'static str,
    /// The configuration's name for the account.
    pub account: Arc<str>,
    /// The region.
    pub region: Arc<str>,
    /// The service whose instances they are: a list of one says nothing of another's.
    pub service: Service,
}

impl RegionKey {
    /// Whether both are of the same region of the same account, whichever the services.
    pub fn is_same_region(&self, other: &Self) -> bool {
        let labels = |key: &Self| {
            (
                key.provider,
                Arc::clone(&key.account),
                Arc::clone(&key.region),
            )
        };
        labels(self) == labels(other)
    }

    /// The key of an instance of this region.
    pub fn instance(&self, id: &str) -> InstanceKey {
        InstanceKey {
            provider: self.provider,
            account: Arc::clone(&self.account),
            source_region: Arc::clone(&self.region),
            instance_id: id.into(),
            service: self.service,
        }
    }
}

/// What is known about the instances of a region.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RegionFacts {
    /// How looking for them went the last time; `None` before the first.
    pub last_attempt: Option<Attempt>,
    /// When they were last listed.
    pub last_success: Option<DateTime<Utc>>,
    /// Those that were listed, by id, those included that are missing by now.
    pub instances: BTreeMap<String, Listed>,
    /// Ids that only another region still lists, since their instances were deleted.
    pub outlived: Vec<String>,
}

/// One instance that was listed once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// As it was listed the last time.
    pub instance: FoundInstance,
    /// Whether the last list lacks it.
    pub missing: Option<Missing>,
    /// Whether the last list said less of it than was known: that is believed when the next one says so too.
    pub is_doubted: bool,
}

/// What is known of a listed instance beside the lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// It is watched: always, because somebody named it, or as long as it is known.
    Watched {
        gone_since: Option<DateTime<Utc>>,
        is_named: bool,
    },
    /// Nobody watches it.
    Unwatched,
}

impl RegionFacts {
    /// Whether this process has looked for instances here at least once.
    pub fn is_attempted(&self) -> bool {
        let attempt = self.last_attempt.as_ref();
        attempt.is_some_and(|attempt| !attempt.is_restored)
    }

    /// Whether the last list took something away that no second one has confirmed yet.
    pub fn is_doubted(&self) -> bool {
        let is_new = |missing: &Missing| Some(missing.since) == self.last_success;
        self.instances
            .values()
            .any(|listed| listed.is_doubted || listed.missing.as_ref().is_some_and(is_new))
    }

    /// The instances that the last list had.
    pub fn present(&self) -> impl Iterator<Item = (&String, &Listed)> {
        let instances = self.instances.iter();
        instances.filter(|(_, listed)| listed.missing.is_none())
    }

    /// A failure changes nothing about what is known, and a part of a list takes nothing away. What a whole list lacks is
    /// missing; what is known to be gone for longer than `grace` is forgotten.
    pub(super) fn record(
        &mut self,
        at: DateTime<Utc>,
        grace: Duration,
        outcome: Result<Inventory, ListError>,
        standing: impl Fn(&str) -> Standing,
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
            self.miss(at, grace, &inventory, standing);
            self.outlived = inventory.outlived;
        }
        for instance in inventory.instances {
            let before = self.instances.get(&instance.id);
            let is_doubted =
                before.is_some_and(|before| !before.is_doubted && before.instance.loses(&instance));
            let instance = match before {
                Some(before) if is_doubted => before.instance.clone(),
                _ => instance,
            };
            let listed = Listed {
                instance,
                missing: None,
                is_doubted,
            };
            self.instances.insert(listed.instance.id.clone(), listed);
        }
    }

    /// Takes note of what this whole list lacks.
    fn miss(
        &mut self,
        at: DateTime<Utc>,
        grace: Duration,
        inventory: &Inventory,
        standing: impl Fn(&str) -> Standing,
    ) {
        let grace = chrono::Duration::from_std(grace).unwrap_or(chrono::Duration::MAX);
        let has: HashSet<&str> = inventory.instances.iter().map(|found| &*found.id).collect();
        let is_known_gone = |id: &str| {
            matches!(
                standing(id),
                Standing::Watched {
                    gone_since: Some(_),
                    ..
                }
            )
        };
        let known = self.instances.keys().filter(|id| !is_known_gone(id));
        let (present, lacking): (Vec<_>, Vec<_>) = known.partition(|id| has.contains(&***id));
        let most = ((present.len() + lacking.len()) / MOST_MISSING).max(1);
        let is_plausible = inventory.tells_absence && lacking.len() <= most;
        self.instances.retain(|id, listed| {
            if has.contains(&**id) {
                return true;
            }
            let missing = listed.missing.get_or_insert(Missing {
                since: at,
                searches: 0,
            });
            missing.searches += u32::from(is_plausible);
            let since = match standing(id) {
                Standing::Unwatched => Some(missing.since),
                Standing::Watched { is_named: true, .. } => None,
                Standing::Watched { gone_since, .. } => gone_since,
            };
            since.is_none_or(|since| at - since < grace)
        });
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

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
            tells_absence: true,
        }
    }

    /// The ids that are known, each with whether it is there.
    fn known(region: &RegionFacts) -> Vec<(&str, bool)> {
        let instances = region.instances.iter();
        instances
            .map(|(id, listed)| (id.as_str(), listed.missing.is_none()))
            .collect()
    }

    /// Of all instances the same is known beside the lists.
    fn record(region: &mut RegionFacts, when: &str, list: Inventory, standing: Standing) {
        region.record(ago(when), GRACE, Ok(list), |_| standing);
    }

    const fn watched(gone_since: Option<DateTime<Utc>>) -> Standing {
        Standing::Watched {
            gone_since,
            is_named: false,
        }
    }

    #[test]
    fn an_instance_that_is_missing_is_forgotten_once_it_is_gone_for_a_while() {
        let mut region = RegionFacts::default();
        record(&mut region, "9h", list(&["a", "b"]), watched(None));
        for when in ["8h", "7h", "6h", "5h"] {
            record(&mut region, when, list(&["b", "c"]), watched(None));
            assert_eq!(known(&region), [("a", false), ("b", true), ("c", true)]);
        }
        let missing = region.instances["a"].missing.unwrap();
        assert_eq!((missing.since, missing.searches), (ago("8h"), 4));
        let gone = watched(Some(ago("4h 30m")));
        record(&mut region, "4h", list(&["b", "c"]), gone);
        assert_eq!(known(&region), [("a", false), ("b", true), ("c", true)]);
        record(&mut region, "3h 30m", list(&["b", "c"]), gone);
        assert_eq!(known(&region), [("b", true), ("c", true)]);
    }

    #[test]
    fn what_nobody_watches_is_forgotten_after_a_while_and_what_is_named_never() {
        let mut region = RegionFacts::default();
        record(&mut region, "9h", list(&["a"]), Standing::Unwatched);
        record(&mut region, "8h", list(&[]), Standing::Unwatched);
        assert_eq!(known(&region), [("a", false)]);
        let named = Standing::Watched {
            gone_since: Some(ago("9h")),
            is_named: true,
        };
        record(&mut region, "6h", list(&[]), named);
        assert_eq!(known(&region), [("a", false)]);
        record(&mut region, "5h", list(&[]), Standing::Unwatched);
        assert_eq!(known(&region), []);
    }

    #[test]
    fn an_instance_that_comes_back_is_no_longer_missing() {
        let mut region = RegionFacts::default();
        record(&mut region, "3h", list(&["a"]), watched(None));
        record(&mut region, "2h 30m", list(&[]), watched(None));
        record(&mut region, "2h", list(&["a"]), watched(None));
        assert_eq!(known(&region), [("a", true)]);
        record(&mut region, "1h 30m", list(&[]), watched(None));
        let missing = region.instances["a"].missing.unwrap();
        assert_eq!(missing.since, ago("1h 30m"));
    }

    /// How many instances were known, are gone and are listed, and whether the list says anything about the others.
    #[test]
    fn only_a_plausible_list_counts_against_what_it_lacks() {
        for (known, gone, listed, tells, counts) in [
            (10, 0, 10, true, 0),
            (10, 0, 9, true, 1),
            (10, 0, 8, true, 1),
            (10, 0, 7, true, 0),
            (10, 0, 0, true, 0),
            (10, 0, 9, false, 0),
            (4, 0, 3, true, 1),
            (4, 0, 2, true, 0),
            (1, 0, 0, true, 1),
            // What is known to be gone is not missed.
            (10, 5, 5, true, 1),
            (10, 5, 4, true, 1),
            (10, 5, 3, true, 0),
        ] {
            let ids: Vec<String> = (0..known).map(|number| format!("{number:02}")).collect();
            let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
            let mut region = RegionFacts::default();
            record(&mut region, "9h", list(&ids), watched(None));
            let some = Inventory {
                tells_absence: tells,
                ..list(&ids[..listed])
            };
            let standing = |id: &str| {
                let is_gone = id.parse::<usize>().unwrap() >= known - gone;
                watched(is_gone.then(|| ago("10m")))
            };
            region.record(ago("1m"), GRACE, Ok(some), standing);
            let missing = region
                .instances
                .values()
                .filter_map(|listed| listed.missing);
            let counted: BTreeSet<u32> = missing.map(|missing| missing.searches).collect();
            let expected: BTreeSet<u32> = (listed < known).then_some(counts).into_iter().collect();
            assert_eq!(counted, expected, "{known} {gone} {listed} {tells}");
        }
    }

    #[test]
    fn a_list_that_lacks_something_for_the_first_time_is_doubted() {
        let mut region = RegionFacts::default();
        let mut doubts = |when, ids: &[&str]| {
            record(&mut region, when, list(ids), watched(None));
            region.is_doubted()
        };
        assert!(!doubts("9h", &["a", "b"]));
        assert!(doubts("8h", &["a"]));
        assert!(!doubts("7h", &["a"]));
        assert!(doubts("6h", &[]));
        assert!(!doubts("5h", &["a", "b", "c"]));
    }

    #[test]
    fn a_failure_changes_nothing_about_what_is_known() {
        let mut region = RegionFacts::default();
        region.record(ago("1h"), GRACE, Err(failure(Reason::Permission)), |_| {
            watched(None)
        });
        assert_eq!((known(&region), region.last_success), (vec![], None));
        record(&mut region, "50m", list(&["a"]), watched(None));
        for reason in Reason::ALL {
            region.record(ago("1m"), GRACE, Err(failure(reason)), |_| watched(None));
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
        record(&mut region, "2h", whole, watched(None));
        let part = Inventory {
            complete: false,
            ..list(&["b", "c"])
        };
        record(&mut region, "1m", part, watched(None));
        assert_eq!(known(&region), [("a", true), ("b", true), ("c", true)]);
        assert_eq!(region.outlived, ["z"]);
    }
}
