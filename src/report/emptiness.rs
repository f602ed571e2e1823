//! Why nothing is watched: a page without instances looks as if all were well.

use std::sync::Arc;

use super::words::{count, is_deceptive};
use crate::facts::{InstanceFacts, Listed, RegionFacts, RegionKey};
use crate::shard::Shard;

/// A sentence for each reason why nothing is watched, without a full stop; none while any instance is. One that is gone is
/// watched no more.
pub fn why_nothing_is_watched<'a>(
    instances: impl Iterator<Item = &'a InstanceFacts>,
    regions: &[(RegionKey, Arc<RegionFacts>)],
    shard: Shard,
) -> Vec<String> {
    let mut gone: u64 = 0;
    for instance in instances {
        if !instance.is_gone() {
            return Vec::new();
        }
        gone += 1;
    }
    let mut reasons = Vec::new();
    if gone > 0 {
        let (gone, pronoun) = (
            count(gone, "instance"),
            if gone == 1 { "it does" } else { "they do" },
        );
        reasons.push(format!(
            "The provider says of {gone} that {pronoun} not exist"
        ));
    }
    let part = shard.is_one_of_several().then(|| {
        let (index, count) = (shard.index(), shard.count());
        format!("shard {index} of {count}, counted from 0")
    });
    let searched = regions.iter();
    reasons.extend(searched.map(|(key, found)| of_region(key, found, part.is_some())));
    match part {
        Some(part) => reasons.push(format!(
            "This is {part}: what belongs to others is not counted"
        )),
        None if reasons.is_empty() => reasons.push(
            "The configuration names neither instances nor regions to look for them in".to_owned(),
        ),
        None => {}
    }
    // Names and errors come from outside, and this is printed on terminals.
    let shown = |reason: String| reason.replace(is_deceptive, "\u{fffd}");
    reasons.into_iter().map(shown).collect()
}

fn of_region(key: &RegionKey, found: &RegionFacts, is_shard: bool) -> String {
    let (account, region) = (&key.account, &key.region);
    let Some(attempt) = &found.last_attempt else {
        return format!("Account {account} was not searched for instances in {region} yet");
    };
    if let Some(failure) = &attempt.failure {
        let message = &failure.message;
        return format!(
            "Account {account} cannot be searched for instances in {region}: {message}"
        );
    }
    let present: Vec<_> = found.present().map(|(_, listed)| listed).collect();
    if present.is_empty() {
        let of_this_shard = if is_shard { " of this shard" } else { "" };
        return format!("Account {account} has no instances{of_this_shard} in {region}");
    }
    let number = |is: fn(&&Listed) -> bool| present.iter().copied().filter(is).count();
    let kinds = [
        (
            number(|listed| listed.instance.has_backups && listed.instance.at_work),
            "left out by `include` and `exclude`",
        ),
        (
            number(|listed| !listed.instance.has_backups),
            "of a kind without backups of its own",
        ),
        (
            number(|listed| listed.instance.has_backups && !listed.instance.at_work),
            "not at work",
        ),
    ];
    let kinds = kinds.into_iter().filter(|(number, _)| *number > 0);
    let kinds: Vec<_> = kinds
        .map(|(number, words)| format!("{number} {words}"))
        .collect();
    let all = count(present.len() as u64, "instance");
    format!(
        "Account {account} has {all} in {region}, and none is watched: {}",
        kinds.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backup::{Description, FoundInstance};
    use crate::example::{instance, now};
    use crate::facts::{Attempt, Failure};
    use crate::provider::error::Reason;

    type Region = (RegionKey, Arc<RegionFacts>);

    /// A region of `prod` that was searched with this outcome, if it was, and has these instances: whether they have backups
    /// and whether they are at work.
    fn region(name: &str, outcome: Option<Result<(), &str>>, found: &[(bool, bool)]) -> Region {
        let key = RegionKey {
            provider: "alibaba",
            account: "prod".into(),
            region: name.into(),
            service: crate::service::Service::AlibabaRds,
        };
        let failure = |message: &str| Failure {
            reason: Reason::Permission,
            message: message.to_owned(),
            missing_instance: false,
        };
        let listed = |(place, (has_backups, at_work)): (usize, &(bool, bool))| {
            let id = format!("rm-{place}");
            let instance = FoundInstance {
                id: id.clone(),
                description: Description::default(),
                has_backups: *has_backups,
                at_work: *at_work,
            };
            (
                id,
                Listed {
                    instance,
                    missing: None,
                    is_doubted: false,
                },
            )
        };
        let facts = RegionFacts {
            last_attempt: outcome.map(|outcome| Attempt {
                at: now(),
                failure: outcome.err().map(failure),
                is_restored: false,
            }),
            instances: found.iter().enumerate().map(listed).collect(),
            ..RegionFacts::default()
        };
        (key, Arc::new(facts))
    }

    fn shard() -> Shard {
        Shard::of_flags(Some(1), 3, None).unwrap()
    }

    #[test]
    fn every_reason_for_an_empty_page_has_its_words() {
        let well = Some(Ok(()));
        for (regions, shard, expected) in [
            (
                vec![],
                Shard::WHOLE,
                vec!["The configuration names neither instances nor regions to look for them in"],
            ),
            (
                vec![],
                shard(),
                vec!["This is shard 1 of 3, counted from 0: what belongs to others is not counted"],
            ),
            (
                vec![region("cn-hangzhou", None, &[])],
                Shard::WHOLE,
                vec!["Account prod was not searched for instances in cn-hangzhou yet"],
            ),
            (
                vec![
                    region(
                        "cn-hangzhou",
                        Some(Err("permission\u{1b}[31m (HTTP 403)")),
                        &[],
                    ),
                    region("cn-beijing", well, &[]),
                ],
                Shard::WHOLE,
                vec![
                    "Account prod cannot be searched for instances in cn-hangzhou: permission\u{fffd}[31m (HTTP 403)",
                    "Account prod has no instances in cn-beijing",
                ],
            ),
            (
                vec![region("cn-hangzhou", well, &[])],
                shard(),
                vec![
                    "Account prod has no instances of this shard in cn-hangzhou",
                    "This is shard 1 of 3, counted from 0: what belongs to others is not counted",
                ],
            ),
            (
                vec![region("cn-hangzhou", well, &[(true, true)])],
                Shard::WHOLE,
                vec![
                    "Account prod has 1 instance in cn-hangzhou, and none is watched: 1 left out by `include` and `exclude`",
                ],
            ),
            (
                vec![region(
                    "cn-hangzhou",
                    well,
                    &[(true, true), (false, true), (true, false), (true, true)],
                )],
                Shard::WHOLE,
                vec![
                    "Account prod has 4 instances in cn-hangzhou, and none is watched: 2 left out by `include` and \
                     `exclude`, 1 of a kind without backups of its own, 1 not at work",
                ],
            ),
        ] {
            let reasons = why_nothing_is_watched(std::iter::empty(), &regions, shard);
            assert_eq!(reasons, expected);
        }
    }

    #[test]
    fn a_page_is_not_empty_while_any_instance_is_watched_and_those_that_are_gone_are_not() {
        let here = instance().0;
        let gone = instance().missing("1h", 6).0;
        let regions = [region("cn-hangzhou", Some(Ok(())), &[])];
        let why = |instances: &[&InstanceFacts], regions: &[Region]| {
            why_nothing_is_watched(instances.iter().copied(), regions, Shard::WHOLE)
        };
        assert!(why(&[&gone, &here], &regions).is_empty());
        assert_eq!(
            why(&[&gone], &[]),
            ["The provider says of 1 instance that it does not exist"]
        );
        assert_eq!(
            why(&[&gone, &gone], &regions),
            [
                "The provider says of 2 instances that they do not exist",
                "Account prod has no instances in cn-hangzhou"
            ]
        );
    }
}
