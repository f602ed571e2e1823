//! How a listing is read: one client for each vendor, in a closed enum.
//!
//! A provider knows its vendor's requests and answers. It does not retry, wait or count: each request goes through the
//! [`Courier`] that `poll` hands in. Unknown values become anomalies, and only answers that are no listing are errors.

pub mod alibaba;
mod canonical;
pub mod credentials;
pub mod error;
pub mod http;
pub mod huawei;
pub mod page;
pub mod scalar;
pub mod volcengine;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};

use self::alibaba::Alibaba;
use self::credentials::{Credential, CredentialSource};
use self::error::ListError;
use self::http::{Answer, HttpClient};
use crate::backup::{Listing, ListingKind};
use crate::clock::Clock;
use crate::config::AccountConfig;
use crate::target::Target;
use crate::vendor::Vendor;

/// The environment variables as they were at the start.
pub type Environment = BTreeMap<String, String>;

/// The vendor's name of the operation behind a listing; the label `operation`.
pub const fn operation(vendor: Vendor, listing: ListingKind) -> &'static str {
    match vendor {
        Vendor::Alibaba => alibaba::operation(listing),
    }
}

/// The part of time that is listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// The present.
    pub now: DateTime<Utc>,
    /// How far back.
    pub lookback: Duration,
}

impl Window {
    /// The beginning of the window.
    pub fn from(self) -> DateTime<Utc> {
        chrono::Duration::from_std(self.lookback)
            .ok()
            .and_then(|lookback| self.now.checked_sub_signed(lookback))
            .unwrap_or(DateTime::UNIX_EPOCH)
    }
}

/// One request, before it is signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// The vendor's name of the operation.
    pub operation: &'static str,
    /// The instance that is asked about.
    pub instance: Arc<str>,
    /// The region that is asked.
    pub region: Arc<str>,
    /// The parameters.
    pub query: Vec<(&'static str, String)>,
}

/// Carries a call to the vendor: `poll` implements it with its limiter, back-off, breaker and deadlines.
pub trait Courier: Sync {
    /// Sends a call, again if that may help, until `read` makes sense of an answer or nothing is left to try.
    ///
    /// `call` is asked anew right before each attempt: in a long line minutes go by, and the question must be about
    /// the present. It names the same operation and region each time.
    fn send<T: Send>(
        &self,
        call: impl Fn() -> Call + Send + Sync,
        read: impl Fn(&Call, &Answer) -> Result<T, ListError> + Send + Sync,
    ) -> impl Future<Output = Result<T, ListError>> + Send;
}

/// One account with its vendor.
#[derive(Debug)]
pub enum Provider {
    /// Alibaba Cloud RDS.
    Alibaba(Alibaba),
}

impl Provider {
    /// Makes the client of an account; no connection is opened yet.
    pub fn new(
        account: &AccountConfig,
        http: HttpClient,
        clock: Clock,
        environment: &Environment,
    ) -> Self {
        match account.provider {
            Vendor::Alibaba => Self::Alibaba(Alibaba::new(account, http, clock, environment)),
        }
    }

    /// Where the account's keys come from.
    pub fn credentials(&self) -> &CredentialSource {
        match self {
            Self::Alibaba(alibaba) => alibaba.credentials(),
        }
    }

    /// Reads one listing of one instance: what lies at most `lookback` back.
    pub async fn list(
        &self,
        listing: ListingKind,
        target: &Target,
        lookback: Duration,
        courier: &impl Courier,
    ) -> Result<Listing, ListError> {
        match self {
            Self::Alibaba(alibaba) => alibaba.list(listing, target, lookback, courier).await,
        }
    }

    /// Signs a call and sends it once.
    pub async fn attempt(
        &self,
        call: &Call,
        credential: &Credential,
        timeout: Duration,
    ) -> Result<Answer, ListError> {
        match self {
            Self::Alibaba(alibaba) => alibaba.attempt(call, credential, timeout).await,
        }
    }

    /// How long the vendor asks everybody who shares the quota to wait, whatever else it answered.
    pub fn requested_pause(&self, answer: &Answer) -> Option<Duration> {
        match self {
            Self::Alibaba(_) => alibaba::requested_pause(answer),
        }
    }
}
