//! Whether an answer takes something away: bad news is shown at once, and asked for again before it is final.
//!
//! Pure. Natural ends are no news: a set whose retention has ended, or that has left the look-back. Where nobody tells the
//! retention, the oldest sets of a copy go first.

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, Utc};

use super::Found;
use super::ledger::{CopyKey, RETENTION_MARGIN, margin, retention};
use crate::backup::{
    BackupSet, BackupType, Listing, Lookback, Policy, Reading, RestoreWindows, Scope, Usable,
};

/// Whether this answer lacks what the one before had. `after` is `None` where the provider says that it has nothing of the
/// kind.
pub(super) fn takes_away(
    before: &Found,
    after: Option<&Reading>,
    policy: Option<&Policy>,
    lookback: Lookback,
    at: DateTime<Utc>,
) -> bool {
    match (before, after) {
        (Found::Sets(before), None) => usable_of(&before.listing, at).next().is_some(),
        (Found::Policy(before), None) => before.protected == Some(true) || is_any_on(before),
        (Found::Windows(before), None) => !before.windows.is_empty(),
        (Found::Sets(before), Some(Reading::Sets(after))) => {
            // What was read in part is asked for again anyway.
            after.complete
                && (places_are_lost(&before.listing, after)
                    || sets_are_lost(&before.listing, after, policy, lookback, at))
        }
        (Found::Policy(before), Some(Reading::Policy(after))) => {
            is_switched_off(before.protected, after.protected) || switches_are_lost(before, after)
        }
        (Found::Windows(before), Some(Reading::Windows(after))) => windows_are_lost(before, after),
        // There was nothing to take away. A listing never changes its kind.
        (Found::Nothing | Found::Unsupported, _) | (_, Some(_)) => false,
    }
}

fn is_switched_off(before: Option<bool>, after: Option<bool>) -> bool {
    before == Some(true) && after != Some(true)
}

fn is_any_on(policy: &Policy) -> bool {
    policy.switches.iter().any(|switch| switch.enabled)
}

fn places_are_lost(before: &Listing, after: &Listing) -> bool {
    let mut destinations = before.destinations.iter();
    is_switched_off(before.protected, after.protected)
        || destinations.any(|region| !after.destinations.contains(region))
}

/// Whether a switch that was on is off, or a place is no longer named.
fn switches_are_lost(before: &Policy, after: &Policy) -> bool {
    before.switches.iter().any(|old| {
        let mut same = after.switches.iter().filter(|new| {
            (new.scope, &new.backup_region, new.backup_type)
                == (old.scope, &old.backup_region, old.backup_type)
        });
        !same.any(|new| new.enabled || !old.enabled)
    })
}

fn windows_are_lost(before: &RestoreWindows, after: &RestoreWindows) -> bool {
    before.windows.iter().any(|old| {
        let mut after = after.windows.iter();
        !after.any(|new| (new.scope, &new.backup_region) == (old.scope, &old.backup_region))
    })
}

/// The sets of one type in one place.
type Copy<'a> = (Scope, &'a str, BackupType);

/// The sets that can be restored from, each with its copy and its date.
fn usable_of(
    listing: &Listing,
    at: DateTime<Utc>,
) -> impl Iterator<Item = (Copy<'_>, DateTime<Utc>, &BackupSet)> {
    let usable = Usable::among(&listing.sets, at);
    let sets = listing.sets.iter();
    sets.filter(move |set| usable.contains(set))
        .filter_map(|set| {
            let copy = (set.scope, &*set.backup_region, set.backup_type);
            Some((copy, set.dated()?, set))
        })
}

/// Whether a set that could be restored from can no longer be, before its time.
fn sets_are_lost(
    before: &Listing,
    after: &Listing,
    policy: Option<&Policy>,
    lookback: Lookback,
    at: DateTime<Utc>,
) -> bool {
    if before.sets == after.sets {
        return false;
    }
    let mut left: HashMap<(Copy<'_>, DateTime<Utc>), u64> = HashMap::new();
    let mut oldest: BTreeMap<Copy<'_>, DateTime<Utc>> = BTreeMap::new();
    for (copy, dated, _) in usable_of(after, at) {
        let first = oldest.entry(copy).or_insert(dated);
        *first = dated.min(*first);
        *left.entry((copy, dated)).or_default() += 1;
    }
    let edges = lookback.ending(at);
    usable_of(before, at).any(|(copy, dated, set)| {
        if let Some(left) = left.get_mut(&(copy, dated)).filter(|left| **left > 0) {
            *left -= 1;
            return false;
        }
        let retention = || retention(policy, &CopyKey::of(set));
        let by_policy = || dated.checked_add_signed(retention()?);
        let ends = set.expires.or_else(by_policy);
        let is_due = match ends {
            // Of a set that is kept for a day only, most of that day would else count as its end.
            Some(ends) => ends <= at + RETENTION_MARGIN.min((ends - dated) / 2),
            None => oldest.get(&copy).is_some_and(|oldest| dated < *oldest),
        };
        let edge = edges.of(set.backup_type);
        !is_due && dated > edge + margin(lookback, set.backup_type)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backup::{PolicySwitch, RestoreWindow, Status};
    use crate::example::{LOOKBACK, ago, copy_in, failed, listing, local, now, with};
    use crate::facts::Sets;

    fn doubts(before: Reading, after: Option<&Reading>, policy: Option<&Policy>) -> bool {
        let before = Found::Nothing.followed_by(before, LOOKBACK, now());
        takes_away(&before, after, policy, LOOKBACK, now())
    }

    fn sets(before: Vec<BackupSet>, after: Vec<BackupSet>) -> bool {
        doubts(listing(before).into(), Some(&listing(after).into()), None)
    }

    fn keeping(days: u64) -> Policy {
        Policy {
            switches: vec![PolicySwitch {
                scope: Scope::Local,
                backup_region: String::new(),
                backup_type: BackupType::Full,
                enabled: true,
                retention: Some(std::time::Duration::from_secs(days * 24 * 3600)),
            }],
            ..Policy::default()
        }
    }

    #[test]
    fn a_usable_set_that_is_lost_before_its_time_is_asked_for_again() {
        let week = || vec![local("1d"), local("2d"), local("3d")];
        assert!(!sets(week(), week()));
        assert!(!sets(week(), [week(), vec![local("1h")]].concat()), "more");
        assert!(sets(week(), vec![]), "an empty answer");
        assert!(sets(week(), vec![local("1d"), local("3d")]), "one between");
        assert!(sets(week(), vec![local("2d"), local("3d")]), "the newest");
        let rotated = || vec![local("1h"), local("1d"), local("2d")];
        assert!(!sets(week(), rotated()), "the oldest goes first");
        let lost = |set| vec![local("1d"), set, local("3d")];
        assert!(sets(week(), lost(failed(local("2d")))));
        assert!(sets(week(), lost(with(Status::Unknown, local("2d")))));
        assert!(!sets(
            lost(failed(local("2d"))),
            vec![local("1d"), local("3d")]
        ));
        let twins = || vec![local("2d"), local("2d")];
        assert!(sets(twins(), vec![local("2d")]));
        assert!(
            sets(
                vec![copy_in("cn-shanghai", "1d"), copy_in("cn-beijing", "1d")],
                vec![copy_in("cn-shanghai", "1d")]
            ),
            "a place"
        );
    }

    #[test]
    fn a_set_that_has_served_its_time_is_no_news() {
        let with_policy = |before: Vec<BackupSet>, after: Vec<BackupSet>, days| {
            let after = Some(&listing(after).into());
            doubts(listing(before).into(), after, Some(&keeping(days)))
        };
        let both = || vec![local("1d"), local("7d")];
        assert!(!with_policy(both(), vec![local("1d")], 7));
        assert!(with_policy(both(), vec![local("1d")], 30));
        assert!(with_policy(both(), vec![local("7d")], 7), "the newest");
        let hours = || vec![local("1h"), local("20h")];
        assert!(with_policy(hours(), vec![local("20h")], 1), "kept a day");
        assert!(!with_policy(hours(), vec![local("1h")], 1));
        // What has left the look-back is listed no more.
        assert!(!sets(vec![local("30d 23h 30m")], vec![]));
        let expiring = BackupSet {
            expires: Some(ago("1m")),
            ..local("1d")
        };
        assert!(!sets(vec![expiring], vec![]));
    }

    #[test]
    fn a_part_of_a_listing_and_what_was_never_known_take_nothing_away() {
        let part = Listing {
            complete: false,
            ..Listing::default()
        };
        assert!(!doubts(
            listing(vec![local("1d")]).into(),
            Some(&part.into()),
            None
        ));
        let nothing = Some(&listing(vec![]).into());
        assert!(!takes_away(&Found::Nothing, nothing, None, LOOKBACK, now()));
        assert!(!takes_away(
            &Found::Unsupported,
            None,
            None,
            LOOKBACK,
            now()
        ));
    }

    #[test]
    fn what_is_no_longer_supported_is_asked_for_again_if_there_was_anything() {
        assert!(doubts(listing(vec![local("1d")]).into(), None, None));
        assert!(!doubts(listing(vec![]).into(), None, None));
        assert!(doubts(keeping(7).into(), None, None));
        assert!(!doubts(Policy::default().into(), None, None));
    }

    #[test]
    fn a_place_that_is_no_longer_a_destination_is_asked_for_again() {
        let to = |destinations: &[&str], protected| Listing {
            destinations: destinations
                .iter()
                .map(|region| (*region).to_owned())
                .collect(),
            protected,
            ..listing(vec![])
        };
        let lost =
            |before: Listing, after: Listing| doubts(before.into(), Some(&after.into()), None);
        assert!(lost(to(&["a", "b"], None), to(&["a"], None)));
        assert!(!lost(to(&["a"], None), to(&["a", "b"], None)));
        assert!(lost(to(&[], Some(true)), to(&[], Some(false))));
        assert!(lost(to(&[], Some(true)), to(&[], None)));
        assert!(!lost(to(&[], Some(false)), to(&[], Some(true))));
    }

    #[test]
    fn a_switch_that_is_off_or_no_longer_named_is_asked_for_again() {
        let lost = |before: Policy, after: Policy| doubts(before.into(), Some(&after.into()), None);
        let mut off = keeping(7);
        off.switches[0].enabled = false;
        assert!(!lost(keeping(7), keeping(14)));
        assert!(lost(keeping(7), off.clone()));
        assert!(!lost(off.clone(), keeping(7)));
        assert!(!lost(off.clone(), off.clone()));
        assert!(lost(off, Policy::default()), "no longer named");
        let protected = |protected| Policy {
            protected,
            ..Policy::default()
        };
        assert!(lost(protected(Some(true)), protected(Some(false))));
        assert!(lost(protected(Some(true)), protected(None)));
        assert!(!lost(protected(None), protected(Some(false))));
    }

    #[test]
    fn a_restore_window_that_is_gone_is_asked_for_again() {
        let windows = |regions: &[&str]| RestoreWindows {
            windows: regions
                .iter()
                .map(|region| RestoreWindow {
                    scope: Scope::CrossRegion,
                    backup_region: (*region).to_owned(),
                    start: ago("7d"),
                    end: ago("1h"),
                })
                .collect(),
            anomalies: Vec::new(),
        };
        let lost = |before: &[&str], after: &[&str]| {
            doubts(windows(before).into(), Some(&windows(after).into()), None)
        };
        assert!(lost(&["a"], &[]) && lost(&["a", "b"], &["b"]));
        assert!(!lost(&["a"], &["a", "b"]) && !lost(&[], &[]));
    }

    #[test]
    fn what_is_remembered_beside_the_listing_is_no_part_of_it() {
        let before = Found::Sets(std::sync::Arc::new(Sets {
            remembered: vec![local("40d")],
            ..Sets::default()
        }));
        let after = listing(vec![]).into();
        assert!(!takes_away(&before, Some(&after), None, LOOKBACK, now()));
    }
}
