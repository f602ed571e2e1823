//! Volcengine Cache for Redis, API version 2020-12-07: backup sets, policies, restore windows and instances.
//!
//! The only file of this provider that does I/O. Everything is asked in the instance's own region, which is the one in
//! the scope of the signature. One call can list a page of sets of all instances of an account, so instances of a region
//! are read together as long as that takes no more calls than asking about each.

mod answer;
mod call;
pub(super) mod credentials;
#[cfg(test)]
mod damage;
mod inventory;
mod learnt;
mod normalise;
mod policy;
mod refusal;
mod sign;
mod sorting;
#[cfg(test)]
mod tests;
mod window;
mod wire;

use std::sync::Arc;
use std::time::Duration;

use self::answer::{read_instances, read_result, read_sets};
use self::call::{Edition, PAGE_SIZE, body};
use self::inventory::Gathering;
use self::learnt::Learnt;
use self::sorting::Sorting;
use super::credentials::Credential;
use super::error::{ListError, Reason};
use super::http::{Answer, Method, Outgoing, authority, path_of};
use super::page::{End, Paging};
use super::pages::read_pages;
use super::row::{Subject, gather};
use super::{Call, Courier, Premises, ReadTogether, canonical, retry_after};
use crate::backup::{Inventory, Listing, ListingKind, Lookback, Policy, Reading, RestoreWindows};
use crate::clock::Clock;
use crate::config::EndpointTemplate;
use crate::service::{Service, volcengine_redis as operations};
use crate::target::Target;

const API_VERSION: &str = "2020-12-07";

/// As the current SDKs write it; the pages write `Redis`. It goes into the signature.
const SERVICE: &str = "redis";

/// Nobody who shares the quota is asked to wait longer.
const LONGEST_WAIT: Duration = Duration::from_secs(300);

/// One account with Volcengine.
#[derive(Debug)]
pub struct Volcengine {
    clock: Clock,
    endpoint: Option<EndpointTemplate>,
    lookback: Lookback,
    learnt: Learnt,
}

impl Volcengine {
    /// Makes the account's client; no connection is opened yet.
    pub fn new(premises: &Premises<'_>) -> Self {
        Self {
            clock: premises.clock.clone(),
            endpoint: premises.account.endpoint(Service::VolcengineRedis).cloned(),
            lookback: premises.poll.lookback,
            learnt: Learnt::default(),
        }
    }

    /// Reads one listing of one instance.
    pub async fn list(
        &self,
        listing: ListingKind,
        target: &Target,
        courier: &impl Courier,
    ) -> Result<Reading, ListError> {
        match listing {
            ListingKind::CrossRegion => {
                let operation = operations::CROSS_REGION_BACKUPS;
                self.sets(listing, operation, target, courier).await
            }
            ListingKind::Local => {
                let operation = operations::BACKUPS;
                self.sets(listing, operation, target, courier).await
            }
            ListingKind::Policy => policy_of(target, courier).await.map(Reading::from),
            ListingKind::RestoreWindow => {
                let windows = self.windows_of(target, courier).await?;
                Ok(windows.into())
            }
            // Only whole backups are copied.
            ListingKind::CrossRegionLog => {
                let call = call::about(target, "no operation");
                Err(ListError::of(&call, Reason::Unsupported))
            }
        }
    }

    async fn sets(
        &self,
        listing: ListingKind,
        operation: &'static str,
        target: &Target,
        courier: &impl Courier,
    ) -> Result<Reading, ListError> {
        let mut gathered = Listing::default();
        let mut paging = Paging::new(PAGE_SIZE, End::RowsAskedFor);
        let region = &target.key.source_region;
        read_pages(
            (&self.clock, self.lookback.sets),
            courier,
            &mut paging,
            |window, position| call::sets_page(operation, region, Some(target), window, position),
            |_, call, answer| read_sets(call, answer),
            |paging, page| {
                let subject = Subject::of(listing, target, self.clock.now());
                gather(&mut gathered, paging, page, &subject);
            },
        )
        .await?;
        gathered.complete = paging.is_complete();
        self.learnt.met(region, [&*target.key.instance_id]);
        Ok(gathered.into())
    }

    async fn windows_of(
        &self,
        target: &Target,
        courier: &impl Courier,
    ) -> Result<RestoreWindows, ListError> {
        let ask = || call::about(target, operations::RESTORE_WINDOW);
        let window = unless_unsupported(courier.send(ask, read_result).await)?;
        Ok(window.map_or_else(RestoreWindows::default, |window| {
            window::windows(target, &window, self.clock.now())
        }))
    }

    /// Lists the instances of a region, of both editions.
    pub async fn discover(
        &self,
        region: &Arc<str>,
        courier: &impl Courier,
    ) -> Result<Inventory, ListError> {
        let mut gathering = Gathering::new(region);
        for edition in Edition::ALL {
            // What is missing here is not watched at all. So a page that is shorter than asked for does not end the list
            // while the vendor counts more rows, although by the number of the page there should be none.
            let mut paging = Paging::new(PAGE_SIZE, End::RowsRead);
            let read = read_pages(
                (&self.clock, self.lookback.sets),
                courier,
                &mut paging,
                |_, position| call::instances_page(region, edition, position),
                |position, call, answer| read_instances(position.page, call, answer),
                |paging, page| gathering.take(paging, page),
            )
            .await;
            match read {
                Ok(()) => gathering.finish(&paging),
                Err(error) if paging.rows_read() == 0 && edition.is_unknown(&error) => {}
                Err(error) => return Err(error),
            }
        }
        let inventory = gathering.inventory();
        let ids = inventory.instances.iter().map(|found| found.id.as_str());
        self.learnt.met(region, ids);
        self.learnt.forget_the_old();
        Ok(inventory)
    }

    /// Reads one listing of several instances of a region with as few calls as possible.
    pub async fn list_together(
        &self,
        listing: ListingKind,
        targets: &[Arc<Target>],
        courier: &impl Courier,
    ) -> ReadTogether {
        let one_by_one = || ReadTogether {
            one_by_one: targets.to_vec(),
            ..ReadTogether::default()
        };
        let Some(first) = targets.first() else {
            return ReadTogether::default();
        };
        let Some(operation) = of_sets(listing) else {
            return one_by_one();
        };
        let region = &first.key.source_region;
        if self.learnt.is_one_by_one(listing, region) {
            return one_by_one();
        }
        let mut sorting = Sorting::new(listing, targets);
        let most_pages = u32::try_from(targets.len()).unwrap_or(u32::MAX);
        let mut paging = Paging::new(PAGE_SIZE, End::RowsAskedFor).with_cap_of_at_least(most_pages);
        let mut too_dear = false;
        let read = read_pages(
            (&self.clock, self.lookback.sets),
            courier,
            &mut paging,
            |window, position| call::sets_page(operation, region, None, window, position),
            |_, call, answer| read_sets(call, answer),
            |paging, page| {
                too_dear |= pages(page.total) > targets.len() as u64;
                sorting.take(paging, page, self.clock.now());
                if too_dear {
                    paging.past_the_end();
                }
            },
        )
        .await;
        match read {
            // Asking about each costs at least one call for each; that is now known to be the less.
            Ok(()) if too_dear => {
                self.learnt.read_one_by_one(listing, region);
                one_by_one()
            }
            Ok(()) => self.sorted(sorting, paging.is_complete(), targets),
            // The key may be good for single instances, or for a project of them.
            Err(error) if error.reason == Reason::Permission => {
                self.learnt.read_one_by_one(listing, region);
                one_by_one()
            }
            Err(error) => ReadTogether {
                read: targets
                    .iter()
                    .map(|target| (target.key.clone(), Err(error.clone())))
                    .collect(),
                one_by_one: Vec::new(),
            },
        }
    }

    /// An instance without a row may have no backups, may not exist at all, or may stand on a page that was not read:
    /// unless that is known, it is asked for by itself, lest a misspelt id look like an empty listing.
    fn sorted(
        &self,
        sorting: Sorting<'_>,
        complete: bool,
        targets: &[Arc<Target>],
    ) -> ReadTogether {
        let mut together = ReadTogether::default();
        let mut listings = sorting.listings;
        for target in targets {
            let (region, id) = (&target.key.source_region, &target.key.instance_id);
            let mut listing = listings.remove(&**id).unwrap_or_default();
            if !listing.sets.is_empty() {
                self.learnt.met(region, [&**id]);
            } else if !complete || !self.learnt.exists(region, id) {
                together.one_by_one.push(Arc::clone(target));
                continue;
            }
            listing.complete = complete;
            together.read.push((target.key.clone(), Ok(listing.into())));
        }
        if let Some((_, Ok(Reading::Sets(listing)))) = together.read.first_mut() {
            listing.anomalies.extend(sorting.anomalies);
        }
        together
    }

    /// Signs a call.
    pub fn outgoing(&self, call: &Call, credential: &Credential) -> Outgoing {
        let endpoint = self.endpoint.as_ref().map_or_else(
            || format!("https://redis.{}.volcengineapi.com", call.region),
            |endpoint| endpoint.for_region(&call.region),
        );
        // An endpoint may bring a path of its own.
        let path = format!("{}/", path_of(&endpoint));
        let query = canonical::query(&[("Action", call.action()), ("Version", API_VERSION)]);
        let body = body(&call.parameters);
        let mut headers = sign::sign(
            &sign::Request {
                method: "POST",
                path: &path,
                host: &authority(&endpoint),
                query: &query,
                content_type: "application/json",
                body: &body,
                region: &call.region,
                service: SERVICE,
                date: self.clock.now(),
            },
            credential,
        );
        headers.push(("accept", "application/json".to_owned()));
        Outgoing {
            method: Method::POST,
            url: format!("{endpoint}/?{query}"),
            headers,
            body,
        }
    }
}

/// Asks for both halves of a policy, and for the second only once the first was read: where an operation is denied, one
/// call is enough to hear it.
async fn policy_of(target: &Target, courier: &impl Courier) -> Result<Policy, ListError> {
    let ask = || call::about(target, operations::CROSS_REGION_POLICY);
    let copies = unless_unsupported(courier.send(ask, read_result).await)?;
    let ask = || call::about(target, operations::PLAN);
    let plan = unless_unsupported(courier.send(ask, read_result).await)?;
    Ok(policy::policy(target, copies.as_ref(), plan.as_ref()))
}

/// What was read, or `None` where the vendor has no such thing for the instance.
fn unless_unsupported<T>(read: Result<T, ListError>) -> Result<Option<T>, ListError> {
    match read {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.reason == Reason::Unsupported => Ok(None),
        Err(error) => Err(error),
    }
}

/// The operation that lists backup sets, where the listing is one of them.
const fn of_sets(listing: ListingKind) -> Option<&'static str> {
    match listing {
        ListingKind::CrossRegion => Some(operations::CROSS_REGION_BACKUPS),
        ListingKind::Local => Some(operations::BACKUPS),
        ListingKind::CrossRegionLog | ListingKind::Policy | ListingKind::RestoreWindow => None,
    }
}

/// How many pages so many rows fill.
fn pages(total: Option<u64>) -> u64 {
    total.unwrap_or_default().div_ceil(PAGE_SIZE as u64)
}

/// How long the vendor asks everybody who shares the quota to wait.
pub fn requested_pause(answer: &Answer) -> Option<Duration> {
    retry_after(answer).map(|pause| pause.min(LONGEST_WAIT))
}
