//! What is right by itself and most likely not what was meant: accounts of which nothing is watched, regions that the vendor
//! is not known to have, and listings that leave a promise without a verdict. Nothing of it keeps a configuration from being
//! used.

use std::collections::{BTreeSet, HashMap};

use super::{AccountConfig, Config, Problem};
use crate::backup::ListingKind;
use crate::target::{Objective, Objectives};
use crate::vendor::{Meant, Vendor};

impl Config {
    /// Everything that is doubtful, by key, in the order of the accounts. What is said of many instances of an account is
    /// said once.
    pub fn doubts(&self) -> Vec<Problem> {
        let accounts = self.accounts.iter().enumerate();
        accounts
            .flat_map(|(index, account)| Doubts::about(&format!("accounts[{index}]"), account))
            .collect()
    }
}

/// The doubts about one account.
#[derive(Default)]
struct Doubts {
    found: Vec<Doubt>,
    /// Where each stands, by what it says.
    said: HashMap<String, usize>,
}

struct Doubt {
    key: String,
    what: String,
    /// How many places more there are of which the same can be said.
    others: usize,
}

impl Doubts {
    fn about(key: &str, account: &AccountConfig) -> Vec<Problem> {
        let mut doubts = Self::default();
        let vendor = account.provider;
        if account.targets.is_empty() && account.discover.is_none() {
            let what = "nothing of this account is watched: it names no instances, and `discover` is missing";
            doubts.add(what.to_owned(), || format!("{key}.instances"));
        }
        for region in account.projects.keys() {
            doubts.region(vendor, region, || format!("{key}.projects.{region}"));
        }
        if let Some(discover) = &account.discover {
            for (place, region) in discover.regions.iter().enumerate() {
                doubts.region(vendor, region, || {
                    format!("{key}.discover.regions[{place}]")
                });
            }
            doubts.listings(&discover.listings, &discover.objectives, || {
                format!("{key}.discover.listings")
            });
        }
        for (place, target) in account.targets.iter().enumerate() {
            let at = |what: &str| format!("{key}.instances[{place}].{what}");
            doubts.region(vendor, &target.key.source_region, || at("region"));
            for (place, region) in target.backup_regions.iter().enumerate() {
                doubts.region(vendor, region, || at(&format!("backup_regions[{place}]")));
            }
            doubts.listings(&target.listings, &target.objectives, || at("listings"));
        }
        let found = doubts.found.into_iter();
        found.map(Doubt::told).collect()
    }

    fn add(&mut self, what: String, key: impl FnOnce() -> String) {
        if let Some(said) = self.said.get(&what) {
            self.found[*said].others += 1;
            return;
        }
        self.said.insert(what.clone(), self.found.len());
        self.found.push(Doubt {
            key: key(),
            what,
            others: 0,
        });
    }

    fn region(&mut self, vendor: Vendor, region: &str, key: impl FnOnce() -> String) {
        let Some(meant) = vendor.meant_by(region) else {
            return;
        };
        let vendor = vendor.label();
        let unknown = format!("`{region}` is no region that {vendor} is known to have");
        let what = match meant {
            Meant::ZoneOf(whole) => format!("`{region}` is a zone of the region `{whole}`"),
            Meant::OneOf(near) => {
                let near: Vec<_> = near.iter().map(|near| format!("`{near}`")).collect();
                format!("{unknown}; did you mean {}?", near.join(" or "))
            }
            Meant::At(other) => format!("{unknown}, but one of {}", other.label()),
            Meant::Unknown => format!("{unknown}; it may be newer than this release"),
        };
        self.add(what, key);
    }

    /// An objective without the listings that it goes by has no verdict, and nobody is told that it is broken.
    fn listings(
        &mut self,
        read: &[ListingKind],
        promised: &Objectives,
        key: impl FnOnce() -> String,
    ) {
        let promised = Objective::ALL
            .into_iter()
            .filter(|objective| promised.get(*objective).is_some());
        let is_missing = |listing: &&ListingKind| !read.contains(listing);
        let (judged, silent): (Vec<_>, Vec<_>) =
            promised.partition(|objective| !objective.needs().iter().any(|kind| is_missing(&kind)));
        if silent.is_empty() {
            return;
        }
        let needed = silent.iter().flat_map(|objective| objective.needs());
        let missing: BTreeSet<_> = needed.filter(is_missing).collect();
        let missing = missing.iter().map(|listing| listing.label());
        let missing = quoted(missing);
        let what = if judged.is_empty() {
            format!("nothing is promised: without {missing} no objective ever has a verdict")
        } else {
            let silent = quoted(silent.iter().map(|objective| objective.label()));
            format!("without {missing} there is never a verdict on {silent}")
        };
        self.add(
            what + "; read it as well, or set what it is for to `off`",
            key,
        );
    }
}

impl Doubt {
    fn told(self) -> Problem {
        let Self { key, what, others } = self;
        let what = match others {
            0 => what,
            1 => what + " (the same in another place of this account)",
            others => format!("{what} (the same in {others} other places of this account)"),
        };
        Problem { key, what }
    }
}

fn quoted<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let names: Vec<_> = names.map(|name| format!("`{name}`")).collect();
    match names.split_last() {
        Some((last, others)) if !others.is_empty() => format!("{} and {last}", others.join(", ")),
        _ => names.join(""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn doubts(yaml: &str) -> Vec<String> {
        let config = Config::parse(yaml, []).unwrap();
        config.doubts().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn an_account_with_neither_instances_nor_a_search_is_doubted() {
        let said =
            "nothing of this account is watched: it names no instances, and `discover` is missing";
        for (account, is_doubted) in [
            ("", true),
            (", instances: []", true),
            (", instances: ~, discover: ~", true),
            (", instances: [{id: x, region: cn-hangzhou}]", false),
            (", discover: {regions: [cn-hangzhou]}", false),
            (", instances: [], discover: {regions: [cn-hangzhou]}", false),
        ] {
            let yaml = format!("accounts: [{{name: a, provider: alibaba{account}}}]");
            let expected = is_doubted.then(|| format!("accounts[0].instances: {said}"));
            assert_eq!(doubts(&yaml), Vec::from_iter(expected), "{yaml}");
        }
    }

    #[test]
    fn every_place_of_a_region_is_doubted_where_the_vendor_does_not_have_it() {
        for (account, expected) in [
            (
                "provider: alibaba, discover: {regions: [cn-hangzhou, cn-shanghai]}, \
                 instances: [{id: x, region: cn-beijing, backup_regions: [cn-shanghai]}]",
                vec![],
            ),
            (
                "provider: alibaba, instances: [{id: x, region: cn-hangzou, backup_regions: [cn-shanghai, cn-beijin]}]",
                vec![
                    "accounts[0].instances[0].region: `cn-hangzou` is no region that alibaba is known to have; did you \
                     mean `cn-hangzhou`?",
                    "accounts[0].instances[0].backup_regions[1]: `cn-beijin` is no region that alibaba is known to have; \
                     did you mean `cn-beijing`?",
                ],
            ),
            (
                "provider: alibaba, discover: {regions: [cn-hangzhou-h, cn-north-4, mars-1]}",
                vec![
                    "accounts[0].discover.regions[0]: `cn-hangzhou-h` is a zone of the region `cn-hangzhou`",
                    "accounts[0].discover.regions[1]: `cn-north-4` is no region that alibaba is known to have, but one of \
                     huawei",
                    "accounts[0].discover.regions[2]: `mars-1` is no region that alibaba is known to have; it may be newer \
                     than this release",
                ],
            ),
            (
                "provider: huawei, projects: {cn-south-3: p503}, instances: [{id: x, region: cn-north-4a}]",
                vec![
                    "accounts[0].projects.cn-south-3: `cn-south-3` is no region that huawei is known to have; did you mean \
                     `cn-south-1` or `cn-south-2` or `cn-south-4`?",
                    "accounts[0].instances[0].region: `cn-north-4a` is a zone of the region `cn-north-4`",
                ],
            ),
        ] {
            let yaml = format!("accounts: [{{name: a, {account}}}]");
            assert_eq!(doubts(&yaml), expected, "{yaml}");
        }
    }

    #[test]
    fn listings_that_leave_a_promise_without_a_verdict_are_doubted() {
        for (objectives, listings, expected) in [
            ("", "[cross_region, local]", None),
            (
                "",
                "[policy]",
                Some(
                    "nothing is promised: without `cross_region` and `local` no objective ever has a verdict; read it as \
                     well, or set what it is for to `off`",
                ),
            ),
            (
                "",
                "[cross_region, policy]",
                Some(
                    "without `local` there is never a verdict on `backup_age` and `copy_delay`; read it as well, or set \
                     what it is for to `off`",
                ),
            ),
            (
                "",
                "[local]",
                Some(
                    "without `cross_region` there is never a verdict on `recovery_point`, `copy_delay` and `retention`; \
                     read it as well, or set what it is for to `off`",
                ),
            ),
            ("backup_age: off, copy_delay: off", "[cross_region]", None),
            (
                "recovery_point: off, copy_delay: off, retention: off",
                "[local]",
                None,
            ),
            (
                "recovery_point: off, copy_delay: off, retention: off",
                "[restore_window]",
                Some(
                    "nothing is promised: without `local` no objective ever has a verdict; read it as well, or set what it \
                     is for to `off`",
                ),
            ),
            (
                "recovery_point: off, backup_age: off, copy_delay: off, retention: off",
                "[policy]",
                None,
            ),
        ] {
            for (place, key) in [
                (
                    "instances: [{id: x, region: cn-hangzhou, listings: @}]",
                    "instances[0]",
                ),
                (
                    "discover: {regions: [cn-hangzhou], listings: @}",
                    "discover",
                ),
            ] {
                let place = place.replace('@', listings);
                let yaml = format!(
                    "objectives: {{{objectives}}}\naccounts: [{{name: a, provider: alibaba, {place}}}]"
                );
                let expected = expected.map(|what| format!("accounts[0].{key}.listings: {what}"));
                assert_eq!(doubts(&yaml), Vec::from_iter(expected), "{yaml}");
            }
        }
    }

    #[test]
    fn what_many_instances_of_an_account_have_in_common_is_said_once() {
        let of = |count: usize| {
            let instances = (0..count).map(|id| format!("{{id: x{id}, region: cn-hangzou}}"));
            let instances: Vec<_> = instances.collect();
            format!(
                "{{name: a{count}, provider: alibaba, instances: [{}]}}",
                instances.join(", ")
            )
        };
        let yaml = format!("accounts: [{}, {}, {}]", of(3), of(2), of(1));
        let said =
            "`cn-hangzou` is no region that alibaba is known to have; did you mean `cn-hangzhou`?";
        assert_eq!(
            doubts(&yaml),
            [
                format!(
                    "accounts[0].instances[0].region: {said} (the same in 2 other places of this account)"
                ),
                format!(
                    "accounts[1].instances[0].region: {said} (the same in another place of this account)"
                ),
                format!("accounts[2].instances[0].region: {said}"),
            ]
        );
    }
}
