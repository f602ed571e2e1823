//! Until when a judgement holds, if nothing new is read: what was written from it need not be written again before.

use chrono::{DateTime, Duration, Utc};

use super::{Posture, View};
use crate::backup::{BackupSet, ListingKind};
use crate::target::Objective;

impl View<'_> {
    /// The next instant at which something in this judgement may become different, but for ages, by the mere passing of
    /// time: a set leaves the look-back, expires or outlives its retention, or something becomes as old as was promised.
    pub(super) fn holds_until(&self, posture: &Posture) -> Option<DateTime<Utc>> {
        let sets = ListingKind::ALL
            .into_iter()
            .flat_map(|kind| self.sets(kind))
            .flat_map(|set| [set.expires, self.leaves_lookback(set)])
            .flatten();
        // Until then logs continue it.
        let remembered = ListingKind::ALL
            .into_iter()
            .filter_map(|kind| self.read(kind));
        let remembered = remembered.flat_map(|sets| &sets.remembered);
        let kept = remembered.filter_map(|set| self.facts.kept_until(set));
        let promises = posture.verdicts.iter().flat_map(|verdict| {
            // Copying is in time up to the last instant and including it; the others up to it.
            let beyond =
                Duration::nanoseconds(i64::from(verdict.objective == Objective::CopyDelay));
            let promise = Duration::from_std(verdict.promise).unwrap_or(Duration::MAX);
            judged_times(posture).filter_map(move |time| {
                time.checked_add_signed(promise)?.checked_add_signed(beyond)
            })
        });
        let all = sets.chain(kept).chain(promises);
        all.filter(|time| *time > self.now).min()
    }

    /// When a set will have left the look-back.
    fn leaves_lookback(&self, set: &BackupSet) -> Option<DateTime<Utc>> {
        let length = self.now - self.lookback.of(set.backup_type);
        set.dated()?.checked_add_signed(length)
    }
}

/// Every time by whose age a promise is judged.
fn judged_times(posture: &Posture) -> impl Iterator<Item = DateTime<Utc>> {
    let copies = posture.copies.iter().flat_map(|copy| {
        let newest = copy.last_success.map(|success| success.ended);
        [newest, copy.oldest]
    });
    let uncopied = posture.uncopied.iter().map(|uncopied| uncopied.oldest);
    let points = posture.recovery_points.values().copied().map(Some);
    let since = [posture.protected_since];
    copies.chain(uncopied).chain(points).chain(since).flatten()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use crate::example::{LOOKBACK, any_instance, now};
    use crate::posture::{Posture, assess};

    use super::*;

    /// What `metrics` writes of it, but for ages: not what people are told, which has ages in its sentences.
    fn written(mut posture: Posture) -> Posture {
        posture.troubles.clear();
        posture.lookback = LOOKBACK.ending(now());
        posture.holds_until = None;
        posture
    }

    proptest! {
        #[test]
        fn a_judgement_holds_as_long_as_it_says(instance in any_instance(), part in 0.0..1.0_f64) {
            let first = assess(&instance.0, LOOKBACK, now());
            let until = first.holds_until.unwrap_or(now() + Duration::days(365));
            let length = (until - now()).num_nanoseconds().unwrap_or(i64::MAX);
            #[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "any instant in between will do")]
            let later = now() + Duration::nanoseconds((length as f64 * part) as i64 - 1).max(Duration::zero());
            prop_assert_eq!(written(assess(&instance.0, LOOKBACK, later)), written(first.clone()));
            let last = (until - Duration::nanoseconds(1)).max(now());
            prop_assert_eq!(written(assess(&instance.0, LOOKBACK, last)), written(first));
        }

        /// It does not say so at random: mostly something really is different then.
        #[test]
        fn a_judgement_ends_in_the_future_or_never(instance in any_instance()) {
            let mut at = now();
            for _ in 0..200 {
                let posture = assess(&instance.0, LOOKBACK, at);
                let Some(until) = posture.holds_until else {
                    return Ok(());
                };
                prop_assert!(until > at);
                at = until;
            }
        }
    }

    #[test]
    fn a_judgement_changes_when_its_time_is_over() {
        use crate::example::{copy_in, instance, local};
        let instance = instance()
            .read(ListingKind::CrossRegion, vec![copy_in("cn-shanghai", "3h")])
            .read(ListingKind::Local, vec![local("2h")])
            .promising(Objective::RecoveryPoint, "26h")
            .promising(Objective::BackupAge, "27h")
            .promising(Objective::CopyDelay, "6h");
        let mut at = now();
        let mut changes = 0;
        while let Some(until) = assess(&instance.0, LOOKBACK, at).holds_until {
            let before = written(assess(
                &instance.0,
                LOOKBACK,
                until - Duration::nanoseconds(1),
            ));
            changes += usize::from(before != written(assess(&instance.0, LOOKBACK, until)));
            at = until;
        }
        // The three promises of freshness are broken one after the other, and both sets leave the look-back.
        assert_eq!(changes, 5);
    }
}
