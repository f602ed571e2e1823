//! How a listing is read: one client for each vendor, in a closed enum.
//!
//! A provider knows its vendor's requests and answers. It does not retry, wait or count: each request goes through the
//! [`Courier`] that `poll` hands in. Unknown values become anomalies, and only answers that are no listing are errors.

pub mod alibaba;
pub mod budget;
mod canonical;
pub mod credentials;
#[cfg(test)]
mod damage;
pub mod error;
pub mod http;
pub mod huawei;
mod json;
pub mod page;
pub mod pages;
mod remembered;
pub mod row;
pub mod scalar;
#[cfg(test)]
mod script;
pub mod volcengine;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};

use self::alibaba::Alibaba;
use self::credentials::{Chain, ChainGround, Credential, CredentialSource};
use self::error::{ListError, Reason, Repeat};
use self::http::{Answer, HttpClient, NoAnswer};
use self::huawei::Huawei;
use self::volcengine::Volcengine;
use crate::backup::{Inventory, ListingKind, Reading};
use crate::clock::Clock;
use crate::config::{AccountConfig, PollConfig};
use crate::service::Service;
use crate::target::{InstanceKey, Target};
use crate::vendor::Vendor;

/// The environment variables as they were at the start.
pub type Environment = BTreeMap<String, String>;

/// One request, before it is signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// The name of the operation, as the row of the service has it.
    pub operation: &'static str,
    /// The instance that is asked about, or what else.
    pub instance: Arc<str>,
    /// The region that is asked.
    pub region: Arc<str>,
    /// The project that is asked, where regions are divided into projects (Huawei).
    pub project: Option<Arc<str>>,
    /// The parameters.
    pub parameters: Vec<(&'static str, Parameter)>,
}

impl Call {
    /// The operation as the service itself calls it, without the product.
    pub fn action(&self) -> &'static str {
        let split = self.operation.split_once(':');
        split.map_or(self.operation, |(_, action)| action)
    }
}

/// The value of a parameter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Parameter {
    /// A text.
    Text(String),
    /// A number, where the vendor tells it from a text.
    Number(u64),
}

impl Parameter {
    /// A text.
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }
}

impl fmt::Display for Parameter {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => formatter.write_str(text),
            Self::Number(number) => number.fmt(formatter),
        }
    }
}

/// What came of reading several instances together.
#[derive(Debug, Default)]
pub struct ReadTogether {
    /// The instances that were read, well or badly.
    pub read: Vec<(InstanceKey, Result<Reading, ListError>)>,
    /// Those that have to be asked about one by one.
    pub one_by_one: Vec<Arc<Target>>,
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
pub struct Provider {
    http: HttpClient,
    credentials: CredentialSource,
    clients: Vec<(Service, Client)>,
}

/// What knows the requests and answers of one service.
#[derive(Debug)]
enum Client {
    AlibabaRds(Alibaba),
    HuaweiRds(Box<Huawei>),
    VolcengineRedis(Volcengine),
}

/// What every provider is made of.
#[derive(Debug, Clone, Copy)]
pub struct Premises<'a> {
    /// Whom to ask, and how.
    pub account: &'a AccountConfig,
    /// How often, and how far back.
    pub poll: &'a PollConfig,
    /// The client of all accounts that trust no more than the system does.
    pub http: &'a HttpClient,
    /// The time.
    pub clock: &'a Clock,
    /// The environment variables as they were at the start.
    pub environment: &'a Environment,
}

impl Provider {
    /// Makes the client of an account; no connection is opened yet.
    pub fn new(premises: &Premises<'_>) -> Self {
        let http = client(premises);
        let ground = ChainGround {
            account: premises.account,
            http: &http,
            clock: premises.clock,
            environment: premises.environment,
        };
        let chain: fn(&ChainGround<'_>) -> Chain = match premises.account.provider {
            Vendor::Alibaba => alibaba::credentials::chain,
            Vendor::Huawei => huawei::credentials::chain,
            Vendor::Volcengine => volcengine::credentials::chain,
        };
        let services = premises.account.services.iter();
        Self {
            credentials: CredentialSource::of(&ground, chain),
            http,
            clients: services
                .map(|service| (*service, Client::new(*service, premises)))
                .collect(),
        }
    }

    /// Where the account's keys come from.
    pub const fn credentials(&self) -> &CredentialSource {
        &self.credentials
    }

    /// Tells where copies of an instance were found before this client was made, and when the newest usable one of each
    /// region ended. A service whose copies are asked for where they are kept has to know, also when its policy no longer
    /// says so.
    pub fn recall_copies(
        &self,
        instance: &InstanceKey,
        newest: &BTreeMap<Arc<str>, Option<DateTime<Utc>>>,
    ) {
        if let Some(Client::HuaweiRds(huawei)) = self.client(instance.service) {
            huawei.recall_copies(&instance.instance_id, newest);
        }
    }

    /// Reads one listing of one instance: what lies in the look-back.
    pub async fn list(
        &self,
        listing: ListingKind,
        target: &Target,
        courier: &impl Courier,
    ) -> Result<Reading, ListError> {
        match self.client(target.key.service) {
            Some(Client::AlibabaRds(alibaba)) => alibaba.list(listing, target, courier).await,
            // In a box, since it is many times as large as the others.
            Some(Client::HuaweiRds(huawei)) => {
                Box::pin(huawei.list(listing, target, courier)).await
            }
            Some(Client::VolcengineRedis(volcengine)) => {
                volcengine.list(listing, target, courier).await
            }
            None => Err(internal_error(
                "reading",
                &target.key.instance_id,
                &target.key.source_region,
            )),
        }
    }

    /// Reads one listing of one instance from this instant on, although it lies before the look-back. The only ones that
    /// ever have to be are those of what is kept elsewhere.
    pub async fn list_back_to(
        &self,
        back_to: DateTime<Utc>,
        listing: ListingKind,
        target: &Target,
        courier: &impl Courier,
    ) -> Result<Reading, ListError> {
        let from = Some(back_to);
        match self.client(target.key.service) {
            Some(Client::AlibabaRds(alibaba)) => {
                alibaba.list_back_to(from, listing, target, courier).await
            }
            Some(Client::HuaweiRds(huawei)) => {
                Box::pin(huawei.list_back_to(from, listing, target, courier)).await
            }
            // It has nothing that continues a set.
            Some(Client::VolcengineRedis(_)) | None => self.list(listing, target, courier).await,
        }
    }

    /// Reads one listing of several instances of a service and a region at once, as far as that can be done
    /// ([`crate::service::ServiceSpec::together`]) and as it costs no more than asking about each.
    pub async fn list_together(
        &self,
        service: Service,
        listing: ListingKind,
        targets: &[Arc<Target>],
        courier: &impl Courier,
    ) -> ReadTogether {
        match self.client(service) {
            Some(Client::AlibabaRds(alibaba)) => {
                alibaba.list_together(listing, targets, courier).await
            }
            Some(Client::VolcengineRedis(volcengine)) => {
                volcengine.list_together(listing, targets, courier).await
            }
            Some(Client::HuaweiRds(_)) | None => ReadTogether {
                one_by_one: targets.to_vec(),
                ..ReadTogether::default()
            },
        }
    }

    /// Lists the instances of a service that the account has in a region.
    pub async fn discover(
        &self,
        service: Service,
        region: &Arc<str>,
        courier: &impl Courier,
    ) -> Result<Inventory, ListError> {
        match self.client(service) {
            Some(Client::AlibabaRds(alibaba)) => alibaba.discover(region, courier).await,
            Some(Client::HuaweiRds(huawei)) => huawei.discover(region, courier).await,
            Some(Client::VolcengineRedis(volcengine)) => volcengine.discover(region, courier).await,
            None => Err(internal_error("discovery", "all instances", region)),
        }
    }

    /// Signs a call to a service and sends it once.
    pub async fn attempt(
        &self,
        service: Service,
        call: &Call,
        credential: &Credential,
        timeout: Duration,
    ) -> Result<Answer, ListError> {
        let outgoing = match self.client(service) {
            Some(Client::AlibabaRds(alibaba)) => alibaba.outgoing(call, credential),
            Some(Client::HuaweiRds(huawei)) => huawei.outgoing(call, credential),
            Some(Client::VolcengineRedis(volcengine)) => volcengine.outgoing(call, credential),
            None => return Err(internal_error(call.operation, &call.instance, &call.region)),
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

    /// How long a vendor asks everybody who shares the quota to wait, whatever else it answered.
    pub fn requested_pause(vendor: Vendor, answer: &Answer) -> Option<Duration> {
        match vendor {
            Vendor::Alibaba => alibaba::requested_pause(answer),
            Vendor::Huawei => huawei::requested_pause(answer),
            Vendor::Volcengine => volcengine::requested_pause(answer),
        }
    }

    /// There is one for each service of the account, and nobody asks about another.
    fn client(&self, service: Service) -> Option<&Client> {
        let mut clients = self.clients.iter();
        clients.find_map(|(of, client)| (*of == service).then_some(client))
    }
}

/// The failure of a question that should never have been put, or that panicked.
pub fn internal_error(operation: &'static str, instance: &str, region: &str) -> ListError {
    let call = Call {
        operation,
        instance: instance.into(),
        region: region.into(),
        project: None,
        parameters: Vec::new(),
    };
    ListError {
        detail: Some("internal error, please report it".to_owned()),
        ..ListError::of(&call, Reason::Malformed)
    }
}

impl Client {
    fn new(service: Service, premises: &Premises<'_>) -> Self {
        match service {
            Service::AlibabaRds => Self::AlibabaRds(Alibaba::new(premises)),
            Service::HuaweiRds => Self::HuaweiRds(Box::new(Huawei::new(premises))),
            Service::VolcengineRedis => Self::VolcengineRedis(Volcengine::new(premises)),
        }
    }
}

/// The client of the account.
fn client(premises: &Premises<'_>) -> HttpClient {
    let ca_file = premises.account.ca_file.as_ref();
    ca_file.map_or_else(
        || premises.http.clone(),
        |ca_file| premises.http.trusting(ca_file),
    )
}

/// The `Retry-After` of a gateway in seconds; as a date it is not used by any of the vendors.
fn retry_after(answer: &Answer) -> Option<Duration> {
    let value = answer.headers.get("retry-after")?;
    let seconds = value.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds)).filter(|pause| !pause.is_zero())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_sent_by_the_name_that_its_own_service_knows() {
        let mut call = Call {
            operation: "DescribeBackups",
            instance: "rm-1".into(),
            region: "cn-hangzhou".into(),
            project: None,
            parameters: Vec::new(),
        };
        assert_eq!(call.action(), "DescribeBackups");
        call.operation = "polardb:DescribeBackups";
        assert_eq!(call.action(), "DescribeBackups");
    }
}
