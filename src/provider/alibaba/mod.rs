//! Alibaba Cloud RDS, product `Rds`, API version 2014-08-15: backups here and in other regions, the log files in other
//! regions, what is copied, to when it can be restored, and the instances themselves.
//!
//! No other file of this provider does I/O of its own, beside its credentials: they word questions and read answers.
//! Where the revisions of the vendor's pages disagree, all are accepted.

mod answer;
pub(super) mod credentials;
#[cfg(test)]
mod damage;
mod endpoint;
mod inventory;
mod learnt;
mod normalise;
mod policy;
mod refusal;
mod rpc;
mod sets;
mod sign;
#[cfg(test)]
mod tests;
mod window;
mod wire;

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};

use self::learnt::Learnt;
use super::credentials::Credential;
use super::error::ListError;
use super::http::{Answer, Method, Outgoing, authority, path_of};
use super::page::Paging;
use super::pages::{Span, Window, read_pages};
use super::row::Page;
use super::{Call, Courier, Premises, ReadTogether, canonical, retry_after};
use crate::backup::{ListingKind, Lookback, Reading};
use crate::clock::Clock;
use crate::config::EndpointTemplate;
use crate::service::Service;
use crate::target::Target;

const API_VERSION: &str = "2014-08-15";

/// The SDKs do not wait longer than this, whatever the vendor asks for.
const LONGEST_WAIT: Duration = Duration::from_secs(120);

/// One account with Alibaba Cloud.
#[derive(Debug)]
pub struct Alibaba {
    clock: Clock,
    endpoint: Option<EndpointTemplate>,
    lookback: Lookback,
    learnt: Learnt,
}

impl Alibaba {
    /// Makes the account's client; no connection is opened yet.
    pub fn new(premises: &Premises<'_>) -> Self {
        Self {
            clock: premises.clock.clone(),
            endpoint: premises.account.endpoint(Service::AlibabaRds).cloned(),
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
        self.list_back_to(None, listing, target, courier).await
    }

    /// The same, and of what is kept elsewhere also what came before the look-back, from this instant on.
    pub async fn list_back_to(
        &self,
        back_to: Option<DateTime<Utc>>,
        listing: ListingKind,
        target: &Target,
        courier: &impl Courier,
    ) -> Result<Reading, ListError> {
        Ok(match listing {
            ListingKind::CrossRegion => self.copies(target, back_to, courier).await?.into(),
            ListingKind::Local => self.local_sets(target, courier).await?.into(),
            ListingKind::CrossRegionLog => self.log_copies(target, back_to, courier).await?.into(),
            ListingKind::Policy => self.policy(target, courier).await?.into(),
            ListingKind::RestoreWindow => self.windows(target, courier).await?.into(),
        })
    }

    /// Reads one listing of several instances of a region with as few calls as possible.
    pub async fn list_together(
        &self,
        listing: ListingKind,
        targets: &[Arc<Target>],
        courier: &impl Courier,
    ) -> ReadTogether {
        match listing {
            ListingKind::Policy if !targets.is_empty() => {
                self.policies_together(targets, courier).await
            }
            _ => ReadTogether {
                one_by_one: targets.to_vec(),
                ..ReadTogether::default()
            },
        }
    }

    /// Reads a list page by page; the page past its end is an empty one.
    async fn read_rows<R: Send>(
        &self,
        span: impl Into<Span>,
        paging: &mut Paging,
        courier: &impl Courier,
        ask: impl Fn(Window, u32) -> Call + Send + Sync,
        read: fn(&Call, &Answer) -> Result<Page<R>, ListError>,
        take: impl FnMut(&mut Paging, Page<R>),
    ) -> Result<(), ListError> {
        read_pages(
            (&self.clock, span),
            courier,
            paging,
            |window, position| ask(window, position.page),
            |position, call, answer| match read(call, answer) {
                // The page before was the last.
                Err(error) if position.page > 1 && answer::is_past_the_end(&error) => {
                    Ok(Page::none())
                }
                page => page,
            },
            take,
        )
        .await
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
                action: call.action(),
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
