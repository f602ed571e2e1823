//! Alibaba Cloud RDS, product `Rds`, API version 2014-08-15: the cross-region and the local backup listing.
//!
//! The only file of this provider that does I/O, beside its credentials. The pages behind it: `DescribeCrossRegionBackups` (2019 and June 2026)
//! and `DescribeBackups`; where they disagree, both are accepted.

pub(super) mod credentials;
#[cfg(test)]
mod damage;
mod endpoint;
mod normalise;
mod refusal;
mod rpc;
mod sign;
#[cfg(test)]
mod tests;
mod wire;

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Timelike, Utc};
use serde::de::DeserializeOwned;

use self::refusal::Refusal;
use super::credentials::Credential;
use super::error::{ListError, VendorWord, status_in_words};
use super::http::{Answer, Method, Outgoing, authority, path_of};
use super::page::{End, Paging};
use super::pages::{Window, read_pages};
use super::row::{Page, Subject, VendorRow, gather};
use super::scalar::{Row, Scalar};
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

/// One call for each listing of each instance.
pub(super) fn costs(_account: &AccountConfig, _targets: &[Arc<Target>]) -> Vec<Cost> {
    Vec::new()
}

/// Nothing yet.
pub(super) fn discovery_costs(_account: &AccountConfig) -> Vec<Cost> {
    Vec::new()
}

const fn operation(listing: ListingKind) -> &'static str {
    match listing {
        ListingKind::CrossRegion => "DescribeCrossRegionBackups",
        ListingKind::Local => "DescribeBackups",
        ListingKind::CrossRegionLog => "DescribeCrossRegionLogBackupFiles",
        ListingKind::Policy => "DescribeCrossRegionBackupDBInstance",
        ListingKind::RestoreWindow => "DescribeLocalAvailableRecoveryTime",
    }
}

const API_VERSION: &str = "2014-08-15";

/// 30, 50 or 100 are allowed; the largest costs the fewest calls.
const PAGE_SIZE: usize = 100;

/// The SDKs do not wait longer than this, whatever the vendor asks for.
const LONGEST_WAIT: Duration = Duration::from_secs(120);

/// One account with Alibaba Cloud.
#[derive(Debug)]
pub struct Alibaba {
    clock: Clock,
    endpoint: Option<EndpointTemplate>,
    lookback: Lookback,
}

impl Alibaba {
    /// Makes the account's client; no connection is opened yet.
    pub fn new(premises: &Premises<'_>) -> Self {
        Self {
            clock: premises.clock.clone(),
            endpoint: premises.account.endpoint.clone(),
            lookback: premises.poll.lookback,
        }
    }

    /// Reads one listing of one instance, page by page.
    pub async fn list(
        &self,
        listing: ListingKind,
        target: &Target,
        courier: &impl Courier,
    ) -> Result<Reading, ListError> {
        let read = match listing {
            ListingKind::CrossRegion => self.read(listing, target, read_copies, courier).await,
            _ => self.read(listing, target, read_local_sets, courier).await,
        };
        read.map(Reading::from)
    }

    /// Reads one listing of several instances of a region with as few calls as possible.
    pub async fn list_together(
        &self,
        _listing: ListingKind,
        targets: &[Arc<Target>],
        _courier: &impl Courier,
    ) -> ReadTogether {
        ReadTogether {
            one_by_one: targets.to_vec(),
            ..ReadTogether::default()
        }
    }

    /// Lists the instances of a region.
    pub async fn discover(
        &self,
        _region: &Arc<str>,
        _courier: &impl Courier,
    ) -> Result<Inventory, ListError> {
        Ok(Inventory::default())
    }

    async fn read<R: VendorRow + Send>(
        &self,
        listing: ListingKind,
        target: &Target,
        read: fn(&Call, &Answer) -> Result<Page<R>, ListError>,
        courier: &impl Courier,
    ) -> Result<Listing, ListError> {
        let mut gathered = Listing::default();
        let mut paging = Paging::new(PAGE_SIZE, End::ShortPage);
        read_pages(
            (&self.clock, self.lookback.sets),
            courier,
            &mut paging,
            |window, position| page_call(listing, target, window, position.page),
            |position, call, answer| match read(call, answer) {
                // The page before was the last.
                Err(error) if position.page > 1 && is_past_the_end(&error) => Ok(Page::none()),
                page => page,
            },
            |paging, page| {
                let subject = Subject::of(listing, target, self.clock.now());
                gather(&mut gathered, paging, page, &subject);
            },
        )
        .await?;
        gathered.complete = paging.is_complete();
        Ok(gathered)
    }

    /// Signs a call with a nonce of its own.
    pub fn outgoing(&self, call: &Call, credential: &Credential) -> Outgoing {
        let endpoint = self.endpoint.as_ref().map_or_else(
            || endpoint::of_region(&call.region),
            |endpoint| endpoint.for_region(&call.region),
        );
        let host = authority(&endpoint);
        let query = canonical::query(&call.parameters);
        let headers = sign::sign(
            &sign::Request {
                method: "POST",
                path: &format!("{}/", path_of(&endpoint)),
                host: &host,
                action: call.operation,
                version: API_VERSION,
                query: &query,
                date: &self.clock.now().format("%Y-%m-%dT%H:%M:%SZ").to_string(),
                nonce: &hex::encode(rand::random::<[u8; 16]>()),
            },
            &sign::Signer::from(credential),
        );
        let mut headers: Vec<_> = headers
            .into_iter()
            // The HTTP client writes `host` itself, from the URL.
            .filter(|(name, _)| *name != "host")
            .collect();
        headers.push(("accept", "application/json".to_owned()));
        Outgoing {
            method: Method::POST,
            url: format!("{endpoint}/?{query}"),
            headers,
            body: String::new(),
        }
    }
}

/// How long the vendor asks everybody who shares the quota to wait: `x-acs-retry-after` in milliseconds, the `TimeLeft`
/// of an exhausted `x-ratelimit-user[-api]`, or the `Retry-After` of a gateway in seconds. The longest counts.
pub fn requested_pause(answer: &Answer) -> Option<Duration> {
    let header = |name: &str| {
        answer
            .headers
            .get(name)
            .and_then(|value| value.to_str().ok())
    };
    let milliseconds = |text: &str| text.trim().parse().ok().map(Duration::from_millis);
    let asked = header("x-acs-retry-after").and_then(milliseconds);
    let exhausted = ["x-ratelimit-user-api", "x-ratelimit-user"]
        .into_iter()
        .filter_map(|name| {
            let fields = header(name)?;
            let field = |wanted: &str| {
                fields.split(',').find_map(|field| {
                    let (name, value) = field.split_once(':')?;
                    (name.trim() == wanted).then_some(value)
                })
            };
            (field("Remain")?.trim() == "0").then(|| milliseconds(field("TimeLeft")?))?
        })
        .max();
    [asked, retry_after(answer), exhausted]
        .into_iter()
        .flatten()
        .filter(|pause| !pause.is_zero())
        .max()
        .map(|pause| pause.min(LONGEST_WAIT))
}

fn page_call(listing: ListingKind, target: &Target, window: Window, page: u32) -> Call {
    // The newest page of one listing asks for seconds, the other has asked for minutes in every revision. Both ends are
    // widened to whole minutes, so that a set that ends in this minute is not cut off.
    let format = match listing {
        ListingKind::CrossRegion | ListingKind::CrossRegionLog => "%Y-%m-%dT%H:%M:%SZ",
        _ => "%Y-%m-%dT%H:%MZ",
    };
    let time = |time: DateTime<Utc>| Parameter::Text(time.format(format).to_string());
    Call {
        operation: operation(listing),
        instance: Arc::clone(&target.key.instance_id),
        region: Arc::clone(&target.key.source_region),
        project: None,
        parameters: vec![
            ("DBInstanceId", Parameter::text(&*target.key.instance_id)),
            // DescribeBackups does not list it, but the older SDK sends it with every call, and the endpoint that
            // eleven regions share is helped by it.
            ("RegionId", Parameter::text(&*target.key.source_region)),
            ("StartTime", time(whole_minute(window.from()))),
            (
                "EndTime",
                time(whole_minute(window.now) + chrono::Duration::minutes(1)),
            ),
            ("PageNumber", Parameter::Number(page.into())),
            ("PageSize", Parameter::Number(PAGE_SIZE as u64)),
        ],
    }
}

fn whole_minute(time: DateTime<Utc>) -> DateTime<Utc> {
    time.with_second(0)
        .and_then(|time| time.with_nanosecond(0))
        .unwrap_or(time)
}

fn read_copies(call: &Call, answer: &Answer) -> Result<Page<wire::CrossRegionRow>, ListError> {
    read_page(call, answer, |page: wire::CrossRegionPage| {
        let items = page.items.0;
        (page.total_record_count, items.map(|items| items.rows))
    })
}

fn read_local_sets(call: &Call, answer: &Answer) -> Result<Page<wire::LocalRow>, ListError> {
    read_page(call, answer, |page: wire::LocalPage| {
        let items = page.items.0;
        (page.total_record_count, items.map(|items| items.rows))
    })
}

/// Reads an answer as a page, or tells why it is none.
fn read_page<P: Default + DeserializeOwned, R>(
    call: &Call,
    answer: &Answer,
    parts: impl Fn(P) -> (Scalar, Option<Option<Vec<Row<R>>>>),
) -> Result<Page<R>, ListError> {
    if answer.status != 200 {
        return Err(refused(call, answer));
    }
    let page = serde_json::from_slice::<Row<P>>(&answer.body);
    match page.map(|Row(page)| parts(page.unwrap_or_default())) {
        Ok((total, Some(rows))) => Ok(Page {
            rows: rows.unwrap_or_default(),
            total: total.count().unwrap_or_default(),
        }),
        // Some gateways put an error into a 200, as JSON or as XML.
        Ok((_, None)) => Err(refused(call, answer)),
        Err(_) if Refusal::read(&answer.body).code.is_some() => Err(refused(call, answer)),
        Err(error) => Err(ListError::unreadable(call, answer.status, &error)),
    }
}

fn refused(call: &Call, answer: &Answer) -> ListError {
    let refusal = Refusal::read(&answer.body);
    let code = refusal.code.as_ref().map(VendorWord::as_str);
    if (answer.status, code) == (200, None) {
        return ListError::no_listing(call, answer.status, "no listing");
    }
    let (reason, repeat) = refusal::classify(answer.status, code);
    let denied = refusal.denied_action.as_ref();
    ListError {
        repeat,
        status: Some(answer.status),
        missing_instance: code.is_some_and(refusal::is_missing_instance),
        detail: status_in_words(answer.status)
            .or_else(|| denied.map(|action| format!("the policy lacks {action}"))),
        code: refusal.code,
        request_id: refusal.request_id,
        retry_after: requested_pause(answer),
        ..ListError::of(call, reason)
    }
}

fn is_past_the_end(error: &ListError) -> bool {
    error
        .code
        .as_ref()
        .is_some_and(|code| refusal::is_past_the_end(code.as_str()))
}
