//! The database services whose backups are listed: a closed enum, and one table of what each has. No I/O, and nothing of how
//! a service is asked (see `provider`).
//!
//! A row of the table is all that the modules above `provider` know of a service.

pub mod alibaba_rds;
pub mod huawei_rds;
pub mod volcengine_redis;

use std::time::Duration;

use crate::backup::ListingKind;
use crate::vendor::Vendor;

/// A database service of one vendor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Service {
    /// Alibaba Cloud RDS, API version 2014-08-15.
    AlibabaRds,
    /// Huawei Cloud RDS, API version 3.
    HuaweiRds,
    /// Volcengine Cache for Redis, API version 2020-12-07.
    VolcengineRedis,
}

/// What there is to know of a service without asking it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServiceSpec {
    /// The service that this is about.
    pub service: Service,
    /// Whose service it is.
    pub vendor: Vendor,
    /// The value of the label `product`, and the name in the configuration file. No other service of the vendor has it.
    pub product: &'static str,
    /// The name in the file of stored facts, for ever. That of a vendor's founding service is the vendor's label.
    pub stored_as: &'static str,
    /// How the ids of its instances begin; empty where they cannot be told from those of the vendor's other services.
    pub id_prefixes: &'static [&'static str],
    /// The listings that it has.
    pub listings: &'static [ListingKind],
    /// How many instances of a region a single call answers for; one where a listing is not named.
    pub together: &'static [(ListingKind, Together)],
    /// Everything that is ever asked. Each name stands here once.
    pub operations: &'static [Operation],
    /// How fast it is asked when the configuration does not say.
    pub pace: DefaultPace,
}

/// How many instances of one region a single call can answer for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Together {
    /// One.
    None,
    /// So many, each named in the call.
    UpTo(usize),
    /// Every instance of the account.
    All,
}

/// How fast an account may be asked when its configuration does not say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DefaultPace {
    /// The time between two requests.
    pub spacing: Duration,
    /// Whether each operation has a quota of its own, or the service has one for all of them.
    pub per_operation: bool,
}

/// One operation of a service's API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Operation {
    /// The label `operation`: the vendor's name of it, after `product:` unless the service is the vendor's founding one.
    pub name: &'static str,
    /// What the vendor's permission policies call it.
    pub right: &'static str,
    /// What it is asked for.
    pub asked: &'static [Asked],
}

/// What an operation is asked for, and how many calls that takes when each list fits on one page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// To read a listing.
    For(ListingKind, Calls),
    /// To find the instances of a region.
    ToFind {
        /// For each region that is looked into.
        calls: u32,
        /// Whether the regions that are named to keep copies are asked as well.
        destinations_too: bool,
    },
    /// For the project of each region whose project the configuration does not name, once a day.
    ForProjects,
}

/// The calls that a listing takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Calls {
    /// So many for each instance.
    Each(u32),
    /// One for as many instances of a region as a call answers for ([`ServiceSpec::together`]).
    Batch,
    /// One for each region that keeps copies of an instance, sent to that region; one where no such region is named.
    EachDestination {
        /// Whether a former destination is asked as well, as long as it keeps copies.
        former_too: bool,
    },
    /// One for each region that keeps copies of an instance, as long as its copies are listed: only their listing tells which
    /// they are. One where no such region is named.
    EachListedDestination,
    /// One for each instance whose destination the configuration does not name, whichever of its listings need it. It is
    /// as good as the policy's answer, and asked as seldom.
    UnknownDestination,
    /// Asked for an unknown destination where what is usually asked for it is not allowed.
    Fallback,
}

/// A product that is no [`Service`], and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnlistedProduct {
    /// Whose product it is.
    pub vendor: Vendor,
    /// What it is called in a configuration.
    pub product: &'static str,
    /// Why there is nothing to watch, as the end of a sentence about the product.
    pub why: &'static str,
}

const LOCAL_ONLY: &str = "its API lists backups in the instance's own region only";

/// Products of the vendors that somebody may look for here, and that list no copies in other regions.
pub const UNLISTED: [UnlistedProduct; 9] = {
    const fn unlisted(vendor: Vendor, product: &'static str, why: &'static str) -> UnlistedProduct {
        UnlistedProduct {
            vendor,
            product,
            why,
        }
    }
    const NOT_WHERE: &str =
        "its API lists no full backups in other regions, and of logs not in which region they are";
    const POLICY_ONLY: &str =
        "its API tells whether backups are copied, but lists no copies in other regions";
    [
        unlisted(Vendor::Alibaba, "redis", LOCAL_ONLY),
        unlisted(Vendor::Alibaba, "tair", LOCAL_ONLY),
        unlisted(Vendor::Huawei, "dcs", LOCAL_ONLY),
        unlisted(Vendor::Huawei, "dds", LOCAL_ONLY),
        unlisted(Vendor::Huawei, "gaussdb", NOT_WHERE),
        unlisted(Vendor::Huawei, "nosql", LOCAL_ONLY),
        unlisted(Vendor::Huawei, "taurusdb", NOT_WHERE),
        unlisted(Vendor::Volcengine, "rds_postgresql", LOCAL_ONLY),
        unlisted(Vendor::Volcengine, "vedb_mysql", POLICY_ONLY),
    ]
};

impl Service {
    /// Every service, those of a vendor together and its founding one first.
    pub const ALL: [Self; 3] = [Self::AlibabaRds, Self::HuaweiRds, Self::VolcengineRedis];

    /// Its row of the table.
    pub const fn spec(self) -> &'static ServiceSpec {
        match self {
            Self::AlibabaRds => &alibaba_rds::SPEC,
            Self::HuaweiRds => &huawei_rds::SPEC,
            Self::VolcengineRedis => &volcengine_redis::SPEC,
        }
    }

    /// Whose service it is.
    pub const fn vendor(self) -> Vendor {
        self.spec().vendor
    }

    /// The value of the label `product`.
    pub const fn product(self) -> &'static str {
        self.spec().product
    }

    /// The service of this name in a file of stored facts, if there is one.
    pub fn from_stored(name: &str) -> Option<Self> {
        let mut all = Self::ALL.into_iter();
        all.find(|service| service.spec().stored_as == name)
    }
}

impl ServiceSpec {
    /// The rows of all services.
    pub fn all() -> [&'static Self; Service::ALL.len()] {
        Service::ALL.map(Service::spec)
    }

    /// How many instances of one region a single call can answer for.
    pub fn together(&self, listing: ListingKind) -> Together {
        let mut rows = self.together.iter();
        let row = rows.find(|(kind, _)| *kind == listing);
        row.map_or(Together::None, |(_, together)| *together)
    }

    /// The operations that are asked for a listing, each with the calls that it takes.
    pub fn asked_for(&self, listing: ListingKind) -> impl Iterator<Item = (&Operation, Calls)> {
        let operations = self.operations.iter();
        operations.flat_map(move |operation| {
            let asked = operation.asked.iter();
            asked.filter_map(move |asked| match asked {
                Asked::For(kind, calls) if *kind == listing => Some((operation, *calls)),
                _ => None,
            })
        })
    }

    /// The one of these services whose instances have such an id, as far as the id tells: the longest prefix counts.
    pub fn of_id<'a>(services: &[&'a Self], id: &str) -> Option<&'a Self> {
        let prefixes = services.iter().flat_map(|spec| {
            let prefixes = spec.id_prefixes.iter();
            prefixes.map(move |prefix| (*spec, *prefix))
        });
        prefixes
            .filter(|(_, prefix)| id.starts_with(prefix))
            .max_by_key(|(_, prefix)| prefix.len())
            .map(|(spec, _)| spec)
    }
}

impl Vendor {
    /// The service that an account has whose configuration names none.
    pub const fn founding(self) -> Service {
        match self {
            Self::Alibaba => Service::AlibabaRds,
            Self::Huawei => Service::HuaweiRds,
            Self::Volcengine => Service::VolcengineRedis,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn are_distinct<T: Ord + std::fmt::Debug>(things: impl IntoIterator<Item = T>) {
        let mut seen = BTreeSet::new();
        for thing in things {
            let text = format!("{thing:?}");
            assert!(seen.insert(thing), "{text} stands twice");
        }
    }

    #[test]
    fn each_service_has_a_row_of_its_own_whose_names_are_no_others() {
        for service in Service::ALL {
            assert_eq!(service.spec().service, service);
            assert_eq!(
                Service::from_stored(service.spec().stored_as),
                Some(service)
            );
        }
        are_distinct(ServiceSpec::all().map(|spec| (spec.vendor, spec.product)));
        are_distinct(ServiceSpec::all().map(|spec| spec.stored_as));
        let prefixes = ServiceSpec::all().into_iter();
        are_distinct(prefixes.flat_map(|spec| {
            let prefixes = spec.id_prefixes.iter();
            prefixes.map(|prefix| (spec.vendor, prefix))
        }));
    }

    #[test]
    fn operations_are_named_once_and_after_their_product_unless_it_is_the_founding_one() {
        for spec in ServiceSpec::all() {
            are_distinct(spec.operations.iter().map(|operation| operation.name));
            let is_founding = spec.vendor.founding() == spec.service;
            for operation in spec.operations {
                let product = operation.name.split_once(':').map(|(product, _)| product);
                // Projects are an account's, whatever asks for them.
                let is_accounts = operation.asked.contains(&Asked::ForProjects);
                let expected = (!is_founding && !is_accounts).then_some(spec.product);
                assert_eq!(product, expected, "{}", operation.name);
            }
        }
    }

    #[test]
    fn a_founding_service_is_stored_as_before_there_were_others() {
        for vendor in Vendor::ALL {
            let spec = vendor.founding().spec();
            assert_eq!((spec.vendor, spec.stored_as), (vendor, vendor.label()));
        }
    }

    #[test]
    fn every_listing_is_read_by_an_operation_and_no_other_is_asked_for() {
        for spec in ServiceSpec::all() {
            for listing in ListingKind::ALL {
                let is_asked = spec.asked_for(listing).next().is_some();
                assert_eq!(
                    is_asked,
                    spec.listings.contains(&listing),
                    "{:?} {listing:?}",
                    spec.service
                );
                let is_batched = spec
                    .asked_for(listing)
                    .any(|(_, calls)| calls == Calls::Batch);
                let together = spec.together(listing);
                assert_eq!(is_batched, together != Together::None, "{listing:?}");
            }
        }
    }

    #[test]
    fn no_product_is_both_watched_and_not_listed() {
        let watched = ServiceSpec::all().map(|spec| (spec.vendor, spec.product));
        let unlisted = UNLISTED.iter().map(|row| (row.vendor, row.product));
        are_distinct(watched.into_iter().chain(unlisted));
    }

    #[test]
    fn the_longest_prefix_of_an_id_tells_its_service() {
        let spec = |service: Service, id_prefixes| ServiceSpec {
            id_prefixes,
            ..*service.spec()
        };
        let one = spec(Service::AlibabaRds, &["rm-", "pgm-"]);
        let other = spec(Service::VolcengineRedis, &["r-", "rm-new-"]);
        let none = spec(Service::HuaweiRds, &[]);
        let all = [&one, &other, &none];
        for (id, expected) in [
            ("rm-uf6", Some(Service::AlibabaRds)),
            ("pgm-uf6", Some(Service::AlibabaRds)),
            ("r-uf6", Some(Service::VolcengineRedis)),
            ("rm-new-1", Some(Service::VolcengineRedis)),
            ("xrm-1", None),
            ("", None),
        ] {
            let found = ServiceSpec::of_id(&all, id).map(|spec| spec.service);
            assert_eq!(found, expected, "{id}");
        }
        assert_eq!(ServiceSpec::of_id(&[&none], "rm-1"), None);
    }
}
