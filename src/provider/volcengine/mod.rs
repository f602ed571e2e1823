//! Volcengine Cache for Redis, API version 2020-12-07: the cross-region and the local backup listing.
//!
//! The only file of this provider that does I/O. Both listings are asked in the instance's own region, which is the one
//! in the scope of the signature. One call can list a page of sets of all instances of an account, so instances of a
//! region are read together as long as that takes no more calls than asking about each.

pub(super) mod credentials;
#[cfg(test)]
mod damage;
mod normalise;
mod refusal;
mod sign;
mod sorting;
#[cfg(test)]
mod tests;
mod wire;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::Value;
use tokio::time::Instant;

use self::refusal::refused;
use self::sorting::Sorting;
use self::wire::{BackupRow, Envelope};
use super::credentials::Credential;
use super::error::{ListError, Reason};
use super::http::{Answer, Method, Outgoing, authority, path_of};
use super::page::{End, Paging};
use super::pages::{Position, Window, read_pages};
use super::row::{Page, Subject, gather};
use super::scalar::Row;
use super::{
    Call, Cost, Courier, Operations, Parameter, Premises, ReadTogether, canonical, is_read,
    retry_after,
};
use crate::backup::{Inventory, Listing, ListingKind, Lookback, Reading};
use crate::clock::Clock;
use crate::config::{AccountConfig, EndpointTemplate};
use crate::target::Target;

/// What the vendor's permission policies call each operation.
pub(super) const ACTIONS: [(&str, &str); 0] = [];

/// What the account's configuration asks for.
pub(super) fn operations(account: &AccountConfig) -> Operations {
    let listings = account.provider.listings().iter();
    Operations {
        listings: listings
            .filter(|listing| is_read(account, **listing))
            .map(|listing| (*listing, operation(*listing)))
            .collect(),
        discovery: Vec::new(),
    }
}

/// One call for each listing of each region.
pub(super) fn costs(_account: &AccountConfig, _targets: &[Arc<Target>]) -> Vec<Cost> {
    Vec::new()
}

/// Nothing yet.
pub(super) fn discovery_costs(_account: &AccountConfig) -> Vec<Cost> {
    Vec::new()
}

const fn operation(listing: ListingKind) -> &'static str {
    match listing {
        ListingKind::CrossRegion | ListingKind::CrossRegionLog => "DescribeCrossRegionBackups",
        ListingKind::Local => "DescribeBackups",
        ListingKind::Policy => "DescribeCrossRegionBackupPolicy",
        ListingKind::RestoreWindow => "DescribePitrTimeWindow",
    }
}

const API_VERSION: &str = "2020-12-07";

/// As the current SDKs write it; the pages write `Redis`. It goes into the signature.
const SERVICE: &str = "redis";

/// The largest page that both revisions of the pages allow.
const PAGE_SIZE: usize = 100;

/// So long a region is read instance by instance after reading it as a whole was denied or too dear, and so long an
/// instance is known to exist after it has answered.
const AN_HOUR: Duration = Duration::from_secs(3600);

/// Nobody who shares the quota is asked to wait longer.
const LONGEST_WAIT: Duration = Duration::from_secs(300);

/// One account with Volcengine.
#[derive(Debug)]
pub struct Volcengine {
    clock: Clock,
    endpoint: Option<EndpointTemplate>,
    lookback: Lookback,
    learnt: Mutex<Learnt>,
}

/// What answers have taught.
#[derive(Debug, Default)]
struct Learnt {
    /// Until when a listing of a region is not read as a whole.
    one_by_one_until: HashMap<(ListingKind, Arc<str>), Instant>,
    /// Until when an instance need not be asked whether it exists.
    exists_until: HashMap<Arc<str>, Instant>,
}

impl Volcengine {
    /// Makes the account's client; no connection is opened yet.
    pub fn new(premises: &Premises<'_>) -> Self {
        Self {
            clock: premises.clock.clone(),
            endpoint: premises.account.endpoint.clone(),
            lookback: premises.poll.lookback,
            learnt: Mutex::default(),
        }
    }

    /// Reads one listing of one instance.
    pub async fn list(
        &self,
        listing: ListingKind,
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
            |window, position| page_call(listing, region, Some(target), window, position),
            |_, call, answer| read_page(call, answer),
            |paging, page| {
                let subject = Subject::of(listing, target, self.clock.now());
                gather(&mut gathered, paging, page, &subject);
            },
        )
        .await?;
        gathered.complete = paging.is_complete();
        self.learn_that_it_exists(&target.key.instance_id);
        Ok(gathered.into())
    }

    /// Lists the instances of a region.
    pub async fn discover(
        &self,
        _region: &Arc<str>,
        _courier: &impl Courier,
    ) -> Result<Inventory, ListError> {
        Ok(Inventory::default())
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
        let region = &first.key.source_region;
        if self.is_read_one_by_one(listing, region) {
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
            |window, position| page_call(listing, region, None, window, position),
            |_, call, answer| read_page(call, answer),
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
                self.learn_to_read_one_by_one(listing, region);
                one_by_one()
            }
            Ok(()) => self.sorted(sorting, paging.is_complete(), targets),
            // The key may be good for single instances, or for a project of them.
            Err(error) if error.reason == Reason::Permission => {
                self.learn_to_read_one_by_one(listing, region);
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
            let id = &target.key.instance_id;
            let mut listing = listings.remove(&**id).unwrap_or_default();
            if !listing.sets.is_empty() {
                self.learn_that_it_exists(id);
            } else if !complete || !self.is_known_to_exist(id) {
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

    fn is_read_one_by_one(&self, listing: ListingKind, region: &Arc<str>) -> bool {
        let learnt = self.learnt();
        let until = learnt.one_by_one_until.get(&(listing, Arc::clone(region)));
        until.is_some_and(|until| Instant::now() < *until)
    }

    fn learn_to_read_one_by_one(&self, listing: ListingKind, region: &Arc<str>) {
        let until = Instant::now() + AN_HOUR;
        let key = (listing, Arc::clone(region));
        self.learnt().one_by_one_until.insert(key, until);
    }

    fn is_known_to_exist(&self, id: &Arc<str>) -> bool {
        let learnt = self.learnt();
        let until = learnt.exists_until.get(id);
        until.is_some_and(|until| Instant::now() < *until)
    }

    fn learn_that_it_exists(&self, id: &Arc<str>) {
        let until = Instant::now() + AN_HOUR;
        self.learnt().exists_until.insert(Arc::clone(id), until);
    }

    fn learnt(&self) -> MutexGuard<'_, Learnt> {
        self.learnt.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Signs a call.
    pub fn outgoing(&self, call: &Call, credential: &Credential) -> Outgoing {
        let endpoint = self.endpoint.as_ref().map_or_else(
            || format!("https://redis.{}.volcengineapi.com", call.region),
            |endpoint| endpoint.for_region(&call.region),
        );
        // An endpoint may bring a path of its own.
        let path = format!("{}/", path_of(&endpoint));
        let query = canonical::query(&[("Action", call.operation), ("Version", API_VERSION)]);
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

/// How many pages so many rows fill.
fn pages(total: Option<u64>) -> u64 {
    total.unwrap_or_default().div_ceil(PAGE_SIZE as u64)
}

/// How long the vendor asks everybody who shares the quota to wait.
pub fn requested_pause(answer: &Answer) -> Option<Duration> {
    retry_after(answer).map(|pause| pause.min(LONGEST_WAIT))
}

/// The question for one page, about one instance or about all of the account in the region.
fn page_call(
    listing: ListingKind,
    region: &Arc<str>,
    one: Option<&Target>,
    window: Window,
    position: Position,
) -> Call {
    let time = |time: DateTime<Utc>| Parameter::Text(time.format("%Y-%m-%dT%H:%M:%SZ").to_string());
    let mut parameters = match one {
        Some(target) => vec![
            ("Scope", Parameter::text("OneInstance")),
            ("InstanceId", Parameter::text(&*target.key.instance_id)),
        ],
        None => vec![("Scope", Parameter::text("AccountInstances"))],
    };
    parameters.extend([
        // The end is a little ahead, so that a set that ends right now is not cut off.
        ("StartTime", time(window.from())),
        ("EndTime", time(window.now + chrono::Duration::minutes(1))),
        // Neither comes without the other.
        ("PageNumber", Parameter::Number(position.page.into())),
        ("PageSize", Parameter::Number(PAGE_SIZE as u64)),
    ]);
    Call {
        operation: operation(listing),
        instance: one.map_or_else(
            || Arc::from("all instances"),
            |target| Arc::clone(&target.key.instance_id),
        ),
        region: Arc::clone(region),
        project: None,
        parameters,
    }
}

fn body(parameters: &[(&'static str, Parameter)]) -> String {
    let value = |parameter: &Parameter| match parameter {
        Parameter::Text(text) => Value::from(text.as_str()),
        Parameter::Number(number) => Value::from(*number),
    };
    let members = parameters
        .iter()
        .map(|(name, parameter)| ((*name).to_owned(), value(parameter)));
    Value::Object(members.collect()).to_string()
}

/// Reads an answer as a page, or tells why it is none. An error counts whatever the status is; no list is an empty one,
/// as long as the answer is the vendor's.
fn read_page(call: &Call, answer: &Answer) -> Result<Page<BackupRow>, ListError> {
    if answer.status != 200 {
        return Err(refused(call, answer));
    }
    let Row(envelope) = serde_json::from_slice::<Row<Envelope>>(&answer.body)
        .map_err(|error| ListError::unreadable(call, answer.status, &error))?;
    let envelope = envelope.unwrap_or_default();
    let metadata = envelope.response_metadata.0.as_ref();
    let is_good = metadata.is_some_and(|metadata| metadata.error.0.is_none());
    if !is_good {
        return Err(refusal::of_envelope(call, answer, envelope));
    }
    let page = match envelope.result {
        Some(Row(Some(page))) => page,
        Some(Row(None)) => return Err(ListError::no_listing(call, answer.status, "no listing")),
        None => wire::BackupsPage::default(),
    };
    Ok(Page {
        rows: page.backups.unwrap_or_default(),
        total: page.total.count().unwrap_or_default(),
    })
}
