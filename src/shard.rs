//! Which instances are this exporter's, where several exporters divide them among themselves. Pure.
//!
//! Rendezvous hashing: each shard bids for each instance, and the highest bid takes it. Nobody needs to ask anybody, and
//! one more shard takes from the others only what it outbids them for. See docs/sharding.md.

use sha2::{Digest, Sha256};

/// More shards than this are a mistake in a flag.
pub const MOST_SHARDS: u32 = 1000;

/// One of the exporters that divide the instances among themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shard {
    index: u32,
    count: u32,
}

/// What is wrong with a flag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrongFlag {
    /// Its name, with its dashes.
    pub flag: &'static str,
    /// What was expected, and what was found.
    pub what: String,
}

const INDEX: &str = "--shard.index";
const COUNT: &str = "--shard.count";

impl Shard {
    /// The only one: everything is its own.
    pub const WHOLE: Self = Self { index: 0, count: 1 };

    /// The shard of these flags. Without an index it is the ordinal of the pod, at the end of its name.
    ///
    /// # Errors
    /// Everything that is wrong: a count outside of 1 to [`MOST_SHARDS`], an index or an ordinal that is not below the
    /// count, and neither of them where the count is above 1.
    pub fn of_flags(
        index: Option<u32>,
        count: u32,
        pod: Option<&str>,
    ) -> Result<Self, Vec<WrongFlag>> {
        let mut wrong = Vec::new();
        let mut complain = |flag, what| wrong.push(WrongFlag { flag, what });
        let is_count = (1..=MOST_SHARDS).contains(&count);
        if !is_count {
            let what = format!("expected a number from 1 to {MOST_SHARDS}, found {count}");
            complain(COUNT, what);
        }
        // An index is judged as well where the count is no guide.
        let end = if is_count { count } else { MOST_SHARDS };
        let below = if is_count {
            format!("{COUNT}, which is {count}")
        } else {
            MOST_SHARDS.to_string()
        };
        let index = match (index, pod) {
            (Some(index), _) => {
                if index >= end {
                    complain(
                        INDEX,
                        format!("expected a number below {below}, found {index}"),
                    );
                }
                index
            }
            (None, _) if count <= 1 => 0,
            (None, pod) => match pod.map(|pod| (pod, ordinal(pod))) {
                Some((_, Some(ordinal))) if ordinal < end => ordinal,
                Some((pod, Some(ordinal))) => {
                    let what = format!(
                        "not given, and the ordinal {ordinal} of {pod:?} is not below {below}"
                    );
                    complain(INDEX, what);
                    ordinal
                }
                Some((pod, None)) => {
                    let what = format!(
                        "not given, and the name {pod:?} of this pod or host has no ordinal: it does not end in a \
                         dash and a number, as those of a StatefulSet do"
                    );
                    complain(INDEX, what);
                    0
                }
                None => {
                    let what = "not given, and this pod or host has no name with an ordinal";
                    complain(INDEX, what.to_owned());
                    0
                }
            },
        };
        if wrong.is_empty() {
            Ok(Self { index, count })
        } else {
            Err(wrong)
        }
    }

    /// Its number, counted from 0.
    pub const fn index(self) -> u32 {
        self.index
    }

    /// How many shards there are.
    pub const fn count(self) -> u32 {
        self.count
    }

    /// Whether there are others.
    pub const fn is_one_of_several(self) -> bool {
        self.count > 1
    }

    /// Whether this instance is this shard's. Of the shards of one count it is exactly one's.
    pub fn owns(self, provider: &str, account: &str, instance_id: &str) -> bool {
        self.count == 1 || self.index == owner(provider, account, instance_id, self.count)
    }
}

/// The index of the shard with the highest bid.
///
/// What a shard bids is promised for good (see the test of the golden figures): the SHA-256 of provider, account, instance
/// and index, with a zero byte after each of the first three, and the index as four bytes, the highest first. Bids are
/// compared as numbers, of which the first byte is the highest.
fn owner(provider: &str, account: &str, instance_id: &str, count: u32) -> u32 {
    let mut instance = Sha256::new();
    for part in [provider, account, instance_id] {
        instance.update(part);
        instance.update([0]);
    }
    let bid = |index: &u32| -> [u8; 32] {
        let digest = instance.clone().chain_update(index.to_be_bytes());
        digest.finalize().into()
    };
    (0..count).max_by_key(bid).unwrap_or_default()
}

/// The number behind the last dash: 3 of `exporter-3`.
fn ordinal(name: &str) -> Option<u32> {
    let (before, digits) = name.rsplit_once('-')?;
    let is_number = !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit());
    // Kubernetes writes no leading zeros: `db-03` is no pod of a StatefulSet.
    let is_canonical = digits == "0" || !digits.starts_with('0');
    (!before.is_empty() && is_number && is_canonical)
        .then(|| digits.parse().ok())
        .flatten()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const INSTANCES: u32 = 10_000;

    fn shards(count: u32) -> impl Iterator<Item = Shard> {
        (0..count).map(move |index| Shard { index, count })
    }

    /// Who owns each of many instances of an account.
    fn owners(count: u32) -> Vec<u32> {
        (0..INSTANCES)
            .map(|number| owner("alibaba", "prod", &format!("rm-{number:06}"), count))
            .collect()
    }

    #[test]
    fn every_instance_is_exactly_one_shards() {
        for count in 1..=16 {
            for number in 0..100 {
                let id = format!("rm-{number}");
                let owners = shards(count).filter(|shard| shard.owns("huawei", "prod", &id));
                assert_eq!(owners.count(), 1, "{id} of {count}");
            }
        }
    }

    #[test]
    fn shards_have_about_as_much_as_each_other() {
        for count in 1..=16 {
            let mut shares = vec![0_u32; count as usize];
            for owner in owners(count) {
                shares[owner as usize] += 1;
            }
            let fair = f64::from(INSTANCES) / f64::from(count);
            // Five standard deviations of a fair lottery.
            let most = 5.0 * (fair * (1.0 - 1.0 / f64::from(count))).sqrt();
            for share in shares {
                assert!((f64::from(share) - fair).abs() <= most, "{share} of {fair}");
            }
        }
    }

    #[test]
    fn one_more_shard_takes_its_part_and_moves_nothing_between_the_others() {
        for count in 1..=15 {
            let (before, after) = (owners(count), owners(count + 1));
            let mut moved = 0_u32;
            for (before, after) in before.into_iter().zip(after) {
                if before != after {
                    assert_eq!(after, count);
                    moved += 1;
                }
            }
            let part = 1.0 / f64::from(count + 1);
            let fair = f64::from(INSTANCES) * part;
            let most = 5.0 * (fair * (1.0 - part)).sqrt();
            assert!((f64::from(moved) - fair).abs() <= most, "{moved} of {fair}");
        }
    }

    /// Why a missing shard is an outage and a disagreement on the count is none: while a new count is rolled out, everything
    /// is somebody's as long as every index below the greatest count is there.
    #[test]
    fn nothing_is_nobodys_while_shards_disagree_on_their_count() {
        for counts in [[1, 3, 3], [2, 2, 3], [1, 2, 3], [3, 2, 3]] {
            for number in 0..INSTANCES {
                let id = format!("rm-{number:06}");
                let mut shards = (0_u32..).zip(counts);
                let is_watched = shards.any(|(index, count)| {
                    let shard = Shard { index, count };
                    shard.owns("alibaba", "prod", &id)
                });
                assert!(is_watched, "{id} of {counts:?}");
            }
        }
    }

    proptest! {
        #[test]
        fn whatever_it_is_called_an_instance_stays_or_moves_to_the_new_shard(
            provider in ".{0,12}", account in ".{0,12}", id in ".{0,40}", count in 1_u32..40,
        ) {
            let before = owner(&provider, &account, &id, count);
            let after = owner(&provider, &account, &id, count + 1);
            prop_assert!(before < count);
            prop_assert!(after == before || after == count);
            let takers = shards(count).filter(|shard| shard.owns(&provider, &account, &id));
            prop_assert_eq!(takers.map(Shard::index).collect::<Vec<_>>(), [before]);
        }

        #[test]
        fn no_flags_and_no_name_can_make_a_shard_that_is_none(
            index in proptest::option::of(any::<u32>()), count in any::<u32>(), pod in proptest::option::of(".{0,20}"),
        ) {
            match Shard::of_flags(index, count, pod.as_deref()) {
                Ok(shard) => prop_assert!(shard.index < shard.count && shard.count <= MOST_SHARDS),
                Err(wrong) => prop_assert!(!wrong.is_empty()),
            }
        }
    }

    /// These must never change: with another figure a new version would move instances from shard to shard, and while it
    /// is rolled out some would be nobody's. Worked out with Python's hashlib.
    #[test]
    fn the_division_is_that_of_all_versions_and_machines() {
        for (provider, account, id, of_2, of_3, of_7, of_16) in GOLDEN {
            let owners = [2, 3, 7, 16].map(|count| owner(provider, account, id, count));
            assert_eq!(
                owners,
                [of_2, of_3, of_7, of_16],
                "{provider} {account} {id}"
            );
        }
    }

    type Golden = (&'static str, &'static str, &'static str, u32, u32, u32, u32);

    const GOLDEN: [Golden; 6] = [
        ("alibaba", "prod", "rm-bp1orders0001", 1, 2, 3, 3),
        ("alibaba", "test", "rm-bp1orders0001", 1, 1, 5, 13),
        (
            "huawei",
            "prod",
            "a9d5a8f2c1f84d6e9b0c3a1f5e7d2b4cin01",
            0,
            2,
            6,
            8,
        ),
        ("volcengine", "prod", "redis-cn0qexample", 0, 2, 4, 13),
        ("alibaba", "生产", "rm-1", 0, 2, 6, 6),
        ("", "", "", 0, 2, 3, 14),
    ];

    #[test]
    fn a_shard_is_what_the_flags_or_the_name_of_the_pod_say() {
        for (index, count, pod, expected) in [
            (None, 1, None, (0, 1)),
            (Some(0), 1, None, (0, 1)),
            (None, 1, Some("exporter-5"), (0, 1)),
            (Some(2), 3, None, (2, 3)),
            (Some(2), 3, Some("exporter-1"), (2, 3)),
            (Some(2), 3, Some("no-ordinal"), (2, 3)),
            (None, 3, Some("cloud-backup-exporter-0"), (0, 3)),
            (None, 30, Some("exporter-29"), (29, 30)),
            (Some(999), 1000, None, (999, 1000)),
        ] {
            let (index_found, count_found) = expected;
            let expected = Shard {
                index: index_found,
                count: count_found,
            };
            assert_eq!(Shard::of_flags(index, count, pod), Ok(expected), "{pod:?}");
        }
        assert_eq!(Shard::of_flags(None, 1, None), Ok(Shard::WHOLE));
    }

    #[test]
    fn everything_that_is_wrong_is_said_at_once() {
        for (index, count, pod, expected) in [
            (
                None,
                0,
                None,
                vec!["--shard.count: expected a number from 1 to 1000, found 0"],
            ),
            (
                Some(3),
                3,
                None,
                vec!["--shard.index: expected a number below --shard.count, which is 3, found 3"],
            ),
            (
                Some(1),
                1,
                None,
                vec!["--shard.index: expected a number below --shard.count, which is 1, found 1"],
            ),
            (
                Some(1000),
                1001,
                None,
                vec![
                    "--shard.count: expected a number from 1 to 1000, found 1001",
                    "--shard.index: expected a number below 1000, found 1000",
                ],
            ),
            (
                None,
                3,
                None,
                vec!["--shard.index: not given, and this pod or host has no name with an ordinal"],
            ),
            (
                None,
                3,
                Some("exporter-3"),
                vec![
                    "--shard.index: not given, and the ordinal 3 of \"exporter-3\" is not below --shard.count, which is 3",
                ],
            ),
        ] {
            let wrong = Shard::of_flags(index, count, pod).unwrap_err();
            let wrong: Vec<_> = wrong
                .into_iter()
                .map(|wrong| format!("{}: {}", wrong.flag, wrong.what))
                .collect();
            assert_eq!(wrong, expected);
        }
    }

    #[test]
    fn a_name_has_an_ordinal_only_as_kubernetes_writes_it() {
        for (name, expected) in [
            ("exporter-0", Some(0)),
            ("a-b-12", Some(12)),
            ("exporter", None),
            ("3", None),
            ("-3", None),
            ("exporter-", None),
            ("exporter-03", None),
            ("exporter-+3", None),
            ("exporter-3a", None),
            ("exporter-7d9f8b6c5-x2k4j", None),
            ("exporter-3.example.com", None),
            ("exporter-٣", None),
            ("exporter-4294967296", None),
        ] {
            assert_eq!(ordinal(name), expected, "{name}");
        }
    }
}
