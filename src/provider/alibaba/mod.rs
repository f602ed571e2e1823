//! Alibaba Cloud RDS, product `Rds`, API version 2014-08-15: the cross-region and the local backup listing.
//!
//! The only file of this provider that does I/O, beside its credentials. The pages behind it: `DescribeCrossRegionBackups` (2019 and June 2026)
//! and `DescribeBackups`; where they disagree, both are accepted.

mod credentials;
#[cfg(test)]
mod damage;
mod endpoint;
mod normalise;
mod refusal;
mod sign;
#[cfg(test)]
mod tests;
mod wire;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Timelike, Utc};

use self::normalise::{Normalised, Subject};
use self::refusal::Refusal;
use super::canonical;
use super::credentials::{ChainGround, Credential, CredentialSource};
use super::error::{ListError, Reason, Repeat, VendorWord};
use super::http::{Answer, HttpClient, Method, NoAnswer, Outgoing, authority};
use super::page::{PageRead, Paging};
use super::scalar::{Row, Scalar};
use super::{Call, Courier, Environment, Window};
use crate::backup::{Anomaly, Listing, ListingKind};
use crate::clock::Clock;
use crate::config::{AccountConfig, EndpointTemplate};
use crate::target::Target;

/// The operations that the listings need.
pub(super) const fn operation(listing: ListingKind) -> &'static str {
    match listing {
        ListingKind::CrossRegion => "DescribeCrossRegionBackups",
        ListingKind::Local => "DescribeBackups",
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
    http: HttpClient,
    clock: Clock,
    endpoint: Option<EndpointTemplate>,
    credentials: CredentialSource,
}

impl Alibaba {
    /// Makes the account's client; no connection is opened yet.
    pub fn new(
        account: &AccountConfig,
        http: HttpClient,
        clock: Clock,
        environment: &Environment,
    ) -> Self {
        let ground = ChainGround {
            account,
            http: &http,
            clock: &clock,
            environment,
        };
        let credentials = CredentialSource::of(&ground, credentials::chain);
        Self {
            http,
            clock,
            endpoint: account.endpoint.clone(),
            credentials,
        }
    }

    /// Where the account's keys come from.
    pub fn credentials(&self) -> &CredentialSource {
        &self.credentials
    }

    /// Reads one listing of one instance, page by page: what lies at most `lookback` back.
    pub async fn list(
        &self,
        listing: ListingKind,
        target: &Target,
        lookback: Duration,
        courier: &impl Courier,
    ) -> Result<Listing, ListError> {
        let ending_now = || Window {
            now: self.clock.now(),
            lookback,
        };
        // All pages are pages of the same listing, so the window stays as it was when the first of them was asked for.
        let window = Mutex::new(ending_now());
        let page_call = |number| {
            let mut window = window.lock().unwrap_or_else(PoisonError::into_inner);
            if number == 1 {
                *window = ending_now();
            }
            page_call(listing, target, *window, number)
        };
        let subject = |now| Subject {
            instance_id: &target.key.instance_id,
            source_region: &target.key.source_region,
            only_backup_region: match target.backup_regions.as_slice() {
                [only] => Some(only),
                _ => None,
            },
            now,
        };
        let mut gathered = Listing::default();
        let mut paging = Paging::new(PAGE_SIZE);
        while let Some(number) = paging.next_page() {
            let read = |call: &Call, answer: &Answer| read_page(call, listing, answer);
            let page = match courier.send(|| page_call(number), read).await {
                Err(error) if number > 1 && is_past_the_end(&error) => {
                    paging.past_the_end();
                    break;
                }
                page => page?,
            };
            let subject = subject(self.clock.now());
            let rows = page.rows.len();
            let mut new_rows = 0;
            for row in page.rows {
                if paging.is_new(row.identity()) {
                    new_rows += 1;
                    take(&mut gathered, row, &subject);
                } else {
                    gathered.anomalies.push(Anomaly::Duplicate);
                }
            }
            paging.read(PageRead {
                rows,
                new_rows,
                total: page.total,
            });
        }
        gathered.complete = paging.is_complete();
        Ok(gathered)
    }

    /// Signs a call with a nonce of its own and sends it once.
    pub async fn attempt(
        &self,
        call: &Call,
        credential: &Credential,
        timeout: Duration,
    ) -> Result<Answer, ListError> {
        let endpoint = self.endpoint.as_ref().map_or_else(
            || endpoint::of_region(&call.region),
            |endpoint| endpoint.for_region(&call.region),
        );
        let host = authority(&endpoint);
        let query = canonical::query(&call.query);
        let headers = sign::sign(
            &sign::Request {
                method: "POST",
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
        let outgoing = Outgoing {
            method: Method::POST,
            url: format!("{endpoint}/?{query}"),
            headers,
            body: String::new(),
        };
        self.http
            .send(outgoing, timeout)
            .await
            .map_err(|NoAnswer { reason, detail }| ListError {
                detail: Some(detail),
                repeat: match reason {
                    Reason::Timeout | Reason::Network => Repeat::AfterPause,
                    _ => Repeat::Never,
                },
                ..ListError::of(call, reason)
            })
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
    let gateway = header("retry-after")
        .and_then(|text| text.trim().parse().ok())
        .map(Duration::from_secs);
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
    [asked, gateway, exhausted]
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
        ListingKind::CrossRegion => "%Y-%m-%dT%H:%M:%SZ",
        ListingKind::Local => "%Y-%m-%dT%H:%MZ",
    };
    let time = |time: DateTime<Utc>| time.format(format).to_string();
    Call {
        operation: operation(listing),
        instance: Arc::clone(&target.key.instance_id),
        region: Arc::clone(&target.key.source_region),
        query: vec![
            ("DBInstanceId", target.key.instance_id.to_string()),
            // DescribeBackups does not list it, but the older SDK sends it with every call, and the endpoint that
            // eleven regions share is helped by it.
            ("RegionId", target.key.source_region.to_string()),
            ("StartTime", time(whole_minute(window.from()))),
            (
                "EndTime",
                time(whole_minute(window.now) + chrono::Duration::minutes(1)),
            ),
            ("PageNumber", page.to_string()),
            ("PageSize", PAGE_SIZE.to_string()),
        ],
    }
}

fn whole_minute(time: DateTime<Utc>) -> DateTime<Utc> {
    time.with_second(0)
        .and_then(|time| time.with_nanosecond(0))
        .unwrap_or(time)
}

/// One row of either listing.
enum AnyRow {
    CrossRegion(wire::CrossRegionRow),
    Local(wire::LocalRow),
    NoObject,
}

struct Page {
    rows: Vec<AnyRow>,
    total: Option<u64>,
}

impl AnyRow {
    fn identity(&self) -> Option<String> {
        match self {
            Self::CrossRegion(row) => row.identity(),
            Self::Local(row) => row.identity(),
            Self::NoObject => None,
        }
    }

    fn engine(&self) -> Option<(&Scalar, &Scalar)> {
        match self {
            Self::CrossRegion(row) => Some((&row.engine, &row.engine_version)),
            Self::Local(row) => Some((&row.engine, &row.engine_version)),
            Self::NoObject => None,
        }
    }

    fn normalise(self, subject: &Subject<'_>) -> Normalised {
        match self {
            Self::CrossRegion(row) => row.normalise(subject),
            Self::Local(row) => row.normalise(subject),
            Self::NoObject => normalise::not_a_row(),
        }
    }
}

fn take(listing: &mut Listing, row: AnyRow, subject: &Subject<'_>) {
    let engine = row
        .engine()
        .and_then(|(name, version)| Some((normalise::engine(name)?, version.text())));
    let Normalised { set, anomalies } = row.normalise(subject);
    // The listing begins with the newest set, which names the version that runs now.
    if let (None, Some((engine, version)), Some(_)) = (&listing.engine, engine, &set) {
        listing.engine = Some(engine);
        listing.engine_version = version;
    }
    listing.sets.extend(set);
    listing.anomalies.extend(anomalies);
}

/// Reads an answer as a page, or tells why it is none.
fn read_page(call: &Call, listing: ListingKind, answer: &Answer) -> Result<Page, ListError> {
    if answer.status != 200 {
        return Err(refused(call, answer));
    }
    let page = match listing {
        ListingKind::CrossRegion => {
            serde_json::from_slice::<Row<wire::CrossRegionPage>>(&answer.body).map(|Row(page)| {
                let page = page.unwrap_or_default();
                let rows = page.items.0.map(|items| items.rows.unwrap_or_default());
                let rows = rows.map(|rows| any_rows(rows, AnyRow::CrossRegion));
                (page.total_record_count, rows)
            })
        }
        ListingKind::Local => {
            serde_json::from_slice::<Row<wire::LocalPage>>(&answer.body).map(|Row(page)| {
                let page = page.unwrap_or_default();
                let rows = page.items.0.map(|items| items.rows.unwrap_or_default());
                let rows = rows.map(|rows| any_rows(rows, AnyRow::Local));
                (page.total_record_count, rows)
            })
        }
    };
    match page {
        Ok((total, Some(rows))) => Ok(Page {
            rows,
            total: total.count().unwrap_or_default(),
        }),
        // Some gateways put an error into a 200, as JSON or as XML.
        Ok((_, None)) => Err(refused(call, answer)),
        Err(_) if Refusal::read(&answer.body).code.is_some() => Err(refused(call, answer)),
        Err(error) => Err(ListError {
            status: Some(answer.status),
            repeat: Repeat::AfterPause,
            detail: Some(format!(
                "no listing at line {} column {}",
                error.line(),
                error.column()
            )),
            ..ListError::of(call, Reason::Malformed)
        }),
    }
}

fn any_rows<T>(rows: Vec<Row<T>>, wrap: fn(T) -> AnyRow) -> Vec<AnyRow> {
    rows.into_iter()
        .map(|Row(row)| row.map_or(AnyRow::NoObject, wrap))
        .collect()
}

fn refused(call: &Call, answer: &Answer) -> ListError {
    let refusal = Refusal::read(&answer.body);
    let code = refusal.code.as_ref().map(VendorWord::as_str);
    let (reason, repeat, detail) = match (answer.status, code) {
        // A 200 without a listing and without a code is half an answer; the next may be whole.
        (200, None) => (
            Reason::Malformed,
            Repeat::AfterPause,
            Some("no listing".to_owned()),
        ),
        (status, code) => {
            let (reason, repeat) = refusal::classify(status, code);
            let denied = refusal.denied_action.as_ref();
            let detail = match status {
                300..=399 => Some("redirects are not followed".to_owned()),
                _ => denied.map(|action| format!("the policy lacks {action}")),
            };
            (reason, repeat, detail)
        }
    };
    ListError {
        repeat,
        status: Some(answer.status),
        missing_instance: code.is_some_and(refusal::is_missing_instance),
        detail,
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
