//! The judgement said once more, slowly and plainly, and compared with the real one on random histories.

use proptest::prelude::*;

use super::*;
use crate::example::{self, LOOKBACK, any_instance, now};

/// Where a set is known from, and whether it was listed there rather than remembered.
type Whence = (ListingKind, bool);

/// Every known set of all listings.
fn every_set(facts: &InstanceFacts) -> (Vec<BackupSet>, Vec<Whence>) {
    let mut all = Vec::new();
    for (kind, listing) in &facts.listings {
        if let Found::Sets(sets) = &listing.found {
            all.extend(
                sets.listing
                    .sets
                    .iter()
                    .map(|set| (set.clone(), (*kind, true))),
            );
            all.extend(
                sets.remembered
                    .iter()
                    .map(|set| (set.clone(), (*kind, false))),
            );
        }
    }
    let bases = all.clone();
    for (set, _) in &mut all {
        let is_of_no_use = match set.backup_type {
            BackupType::Full | BackupType::Log => false,
            BackupType::Partial => true,
            BackupType::Incremental => !bases.iter().any(|(base, (_, is_listed))| {
                base.backup_type == BackupType::Full
                    && is_usable(base)
                    && (*is_listed || is_kept(base))
                    && (base.scope, &base.backup_region) == (set.scope, &set.backup_region)
                    && base.started.or(base.ended) < set.started.or(set.ended)
            }),
        };
        if is_of_no_use {
            set.available = false;
        }
    }
    all.into_iter().unzip()
}

/// Nobody has a policy here, so that only a set of a known end is known to be kept once it is no longer listed.
fn is_kept(set: &BackupSet) -> bool {
    set.recovery_point.is_some() && set.expires.is_some_and(|expires| expires > now())
}

fn is_usable(set: &BackupSet) -> bool {
    // Nobody can say how old a set without any time is.
    if set.status != Status::Completed || !set.available || end(set).is_none() {
        return false;
    }
    match set.expires {
        Some(expires) => expires > now(),
        None => true,
    }
}

/// Started (else ended) after now − look-back.
fn counts(set: &BackupSet) -> bool {
    let lookback = match set.backup_type {
        BackupType::Log => LOOKBACK.logs,
        BackupType::Full | BackupType::Incremental | BackupType::Partial => LOOKBACK.sets,
    };
    let edge = now() - lookback;
    match (set.started, set.ended) {
        (Some(started), _) => started > edge,
        (None, Some(ended)) => ended > edge,
        (None, None) => false,
    }
}

/// The end, else the start.
fn end(set: &BackupSet) -> Option<DateTime<Utc>> {
    match (set.started, set.ended) {
        (_, Some(ended)) => Some(ended),
        (started, None) => started,
    }
}

fn last_success(sets: &[BackupSet]) -> Option<DateTime<Utc>> {
    let mut newest = None;
    for set in sets {
        if is_usable(set) && end(set) > newest {
            newest = end(set);
        }
    }
    newest
}

/// The newest recovery point of each place: that of the newest usable set, or of a log file that continues it.
fn recovery_points(sets: &[BackupSet], whence: &[Whence]) -> BTreeMap<Place, DateTime<Utc>> {
    let mut newest = BTreeMap::new();
    // Logs continue those that are listed, and those that say themselves that they are still kept.
    let mut bases = BTreeMap::new();
    for (set, (_, is_listed)) in sets.iter().zip(whence) {
        let Some(point) = set.recovery_point else {
            continue;
        };
        if set.backup_type == BackupType::Log || !is_usable(set) {
            continue;
        }
        let known = newest.entry(place_of(set)).or_insert(point);
        *known = point.max(*known);
        if *is_listed || set.expires.is_some() {
            let known = bases.entry(place_of(set)).or_insert(point);
            *known = point.max(*known);
        }
    }
    for (place, base) in bases {
        for kind in ListingKind::ALL {
            let all = sets.iter().zip(whence).filter(|(_, (of, _))| *of == kind);
            let logs = all.map(|(set, _)| set).filter(|set| {
                set.backup_type == BackupType::Log && place_of(set) == place && is_usable(set)
            });
            let point = newest_upon(base, &logs.collect::<Vec<_>>());
            newest
                .entry(place.clone())
                .and_modify(|known| *known = (*known).max(point.unwrap_or(*known)));
        }
    }
    newest
}

fn place_of(set: &BackupSet) -> Place {
    Place {
        scope: set.scope,
        backup_region: set.backup_region.to_string(),
    }
}

/// The newest point of the log files that hang together with the last one that begins with the set or before it.
fn newest_upon(base: DateTime<Utc>, logs: &[&BackupSet]) -> Option<DateTime<Utc>> {
    let slack = Duration::minutes(2);
    let begin = |log: &BackupSet| log.started.or(log.ended).unwrap();
    let until = |log: &BackupSet| end(log).unwrap().max(begin(log));
    let first = logs.iter().filter(|log| begin(log) <= base + slack);
    let mut chain = vec![*first.max_by_key(|log| begin(log))?];
    let hang_together = |one: &BackupSet, other: &BackupSet| {
        begin(one) <= until(other) + slack && begin(other) <= until(one) + slack
    };
    loop {
        let joins = |log: &&&BackupSet| {
            !chain.iter().any(|known| std::ptr::eq(*known, **log))
                && chain.iter().any(|known| hang_together(known, log))
        };
        let Some(next) = logs.iter().find(joins) else {
            break;
        };
        chain.push(next);
    }
    let point = |log: &&BackupSet| Some(log.recovery_point?.min(until(log)));
    let newest = chain.iter().filter_map(point).max();
    newest.filter(|newest| *newest > base)
}

fn consecutive_failures(sets: &[BackupSet]) -> u64 {
    let newest = last_success(sets);
    let mut failures = 0;
    for set in sets {
        let is_newer = match (end(set), newest) {
            (Some(end), Some(newest)) => end > newest,
            (Some(_), None) => true,
            (None, _) => false,
        };
        if set.status == Status::Failed && counts(set) && is_newer {
            failures += 1;
        }
    }
    failures
}

/// How many local full sets a region lacks, and the end of the oldest.
fn uncopied(sets: &[BackupSet], region: &str) -> (u64, Option<DateTime<Utc>>) {
    let is_full = |set: &&BackupSet| set.backup_type == BackupType::Full && is_usable(set);
    let mut copied_up_to = None;
    for set in sets.iter().filter(is_full) {
        if set.scope == Scope::CrossRegion && &*set.backup_region == region {
            copied_up_to = copied_up_to.max(set.recovery_point);
        }
    }
    let mut lacking = 0;
    let mut oldest: Option<DateTime<Utc>> = None;
    for set in sets.iter().filter(is_full) {
        if set.scope != Scope::Local || !counts(set) || !set.is_copied {
            continue;
        }
        let is_newer = match (set.recovery_point.or(end(set)), copied_up_to) {
            (Some(point), Some(copied)) => point - copied > Duration::minutes(10),
            (_, None) => true,
            (None, Some(_)) => false,
        };
        if is_newer {
            lacking += 1;
            oldest = match (oldest, end(set)) {
                (Some(oldest), Some(end)) => Some(oldest.min(end)),
                (oldest, end) => oldest.or(end),
            };
        }
    }
    (lacking, oldest)
}

fn of_copy(sets: &[BackupSet], copy: &Copy) -> Vec<BackupSet> {
    sets.iter()
        .filter(|set| {
            set.scope == copy.place.scope
                && *set.backup_region == *copy.place.backup_region
                && set.backup_type == copy.backup_type
        })
        .cloned()
        .collect()
}

proptest! {
    #[test]
    fn the_judgement_agrees_with_a_slow_one(instance in any_instance()) {
        let posture = assess(&instance.0, LOOKBACK, now());
        let (sets, whence) = every_set(&instance.0);
        let mut judged = 0;
        for copy in &posture.copies {
            let sets = of_copy(&sets, copy);
            judged += sets.len();
            let counted = sets.iter().filter(|set| counts(set)).count() as u64;
            prop_assert_eq!(copy.sets.values().sum::<u64>(), counted);
            if copy.backup_type == BackupType::Partial {
                let said = (copy.last_success, copy.last_failure, copy.last_attempt_success);
                prop_assert_eq!(said, (None, None, None));
                prop_assert_eq!((copy.consecutive_failures, copy.stored_bytes), (0, 0));
                prop_assert_eq!((copy.oldest, copy.running_since), (None, None));
                continue;
            }
            prop_assert_eq!(copy.last_success.map(|success| success.ended), last_success(&sets));
            prop_assert_eq!(copy.consecutive_failures, consecutive_failures(&sets));
        }
        prop_assert_eq!(judged, sets.len(), "every set belongs to one copy");
        prop_assert_eq!(&posture.recovery_points, &recovery_points(&sets, &whence));
        for region in &posture.uncopied {
            let found = (region.sets, region.oldest);
            prop_assert_eq!(found, uncopied(&sets, &region.backup_region));
        }
    }

    #[test]
    fn whatever_was_listed_the_numbers_fit_together(instance in any_instance()) {
        let posture = assess(&instance.0, LOOKBACK, now());
        for copy in &posture.copies {
            let count = |status| copy.sets.get(&status).copied();
            let failed = count(Status::Failed);
            prop_assert!(count(Status::Completed).is_some() && failed.is_some());
            prop_assert!(Some(copy.consecutive_failures) <= failed);
            prop_assert_eq!(copy.last_attempt_success == Some(false), copy.consecutive_failures > 0);
            let newest = copy.last_success.map(|success| success.ended);
            prop_assert!(copy.oldest.is_none() || copy.oldest <= newest);
            prop_assert!(copy.stored_bytes == 0 || copy.last_success.is_some());
            let duration = copy.last_success.and_then(|success| success.duration);
            prop_assert!(duration.is_none_or(|duration| duration >= Duration::zero()));
        }
        let has_usable = |scope| posture.copies.iter()
            .any(|copy| copy.place.scope == scope && copy.last_success.is_some());
        for verdict in &posture.verdicts {
            let needs = match verdict.objective {
                Objective::RecoveryPoint | Objective::Retention => Scope::CrossRegion,
                Objective::BackupAge => Scope::Local,
                Objective::CopyDelay => continue,
            };
            if verdict.met == Some(true) {
                prop_assert!(has_usable(needs), "{:?} holds without a usable set", verdict.objective);
            }
        }
    }

    /// As time goes by and nothing is read, no promise about freshness begins to hold.
    #[test]
    fn waiting_mends_nothing(instance in any_instance(), seconds in 0_i64..100 * 24 * 3600) {
        let met = |now| {
            let posture = assess(&instance.0, LOOKBACK, now);
            posture.verdicts.into_iter()
                .filter(|verdict| matches!(verdict.objective, Objective::RecoveryPoint | Objective::BackupAge))
                .map(|verdict| verdict.met == Some(true))
                .collect::<Vec<_>>()
        };
        let later = met(now() + Duration::seconds(seconds));
        for (before, after) in met(now()).into_iter().zip(later) {
            prop_assert!(before || !after);
        }
    }
}

#[test]
fn an_instance_of_which_nothing_is_known_shows_nothing() {
    let posture = assess(&example::instance().0, LOOKBACK, now());
    assert_eq!(posture.copies, []);
    assert_eq!(posture.uncopied, []);
    assert!(posture.recovery_points.is_empty() && posture.restorable_sets.is_empty());
    assert_eq!((posture.protected, posture.gone), (None, false));
}
