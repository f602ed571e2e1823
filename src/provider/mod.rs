//! How a listing is read: one client for each vendor, in a closed enum.
//!
//! A provider knows its vendor's requests and answers. It does not retry, wait or count: each request goes through the
//! [`Courier`] that `poll` hands in. Unknown values become anomalies, and only answers that are no listing are errors.

pub mod alibaba;
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
use self::page::PAGE_CAP;
use self::volcengine::Volcengine;
use crate::backup::{Inventory, ListingKind, Reading};
use crate::clock::Clock;
use crate::config::{AccountConfig, PollConfig};
use crate::target::{InstanceKey, Target};
use crate::vendor::Vendor;

/// The environment variables as they were at the start.
pub type Environment = BTreeMap<String, String>;

/// The vendor's names of the operations that an account's configuration asks for: the label `operation`.
pub fn operations(account: &AccountConfig) -> Operations {
    match account.provider {
        Vendor::Alibaba => alibaba::operations(account),
        Vendor::Huawei => huawei::operations(account),
        Vendor::Volcengine => volcengine::operations(account),
    }
}

/// The calls that it takes to read every listing of these instances of an account, when each fits on one page.
pub fn costs(account: &AccountConfig, targets: &[Arc<Target>]) -> Vec<Cost> {
    match account.provider {
        Vendor::Alibaba => alibaba::costs(account, targets),
        Vendor::Huawei => huawei::costs(account, targets),
        Vendor::Volcengine => volcengine::costs(account, targets),
    }
}

/// How many lists of log files are read back to the newest sets that they continue: Huawei has one for each destination.
pub fn log_lists(account: &AccountConfig, targets: &[Arc<Target>]) -> u32 {
    let needed = [ListingKind::CrossRegion, ListingKind::CrossRegionLog];
    let read = targets
        .iter()
        .filter(|target| needed.iter().all(|kind| target.listings.contains(kind)));
    let lists = read.map(|target| match account.provider {
        Vendor::Alibaba => 1,
        Vendor::Huawei => target.backup_regions.len().max(1),
        Vendor::Volcengine => 0,
    });
    u32::try_from(lists.sum::<usize>()).unwrap_or(u32::MAX)
}

/// The calls beyond the first that a list takes once, when log files are read back to the newest set: where one is made
/// every day and a log every five minutes, and at the most.
pub const CALLS_BACK: (u32, u32) = (3, PAGE_CAP - 1);

/// The calls that it takes to look for an account's instances, when each list fits on one page.
pub fn discovery_costs(account: &AccountConfig) -> Vec<Cost> {
    match account.provider {
        Vendor::Alibaba => alibaba::discovery_costs(account),
        Vendor::Huawei => huawei::discovery_costs(account),
        Vendor::Volcengine => volcengine::discovery_costs(account),
    }
}

/// The calls that an instance takes besides as long as a former destination of its copies is asked as well.
pub fn former_destination_costs(account: &AccountConfig) -> Vec<Cost> {
    match account.provider {
        // All copies are listed in one place.
        Vendor::Alibaba | Vendor::Volcengine => Vec::new(),
        Vendor::Huawei => huawei::former_destination_costs(account),
    }
}

/// What the vendor's permission policies call each operation: the least that a key has to be allowed.
pub const fn actions(vendor: Vendor) -> &'static [(&'static str, &'static str)] {
    match vendor {
        Vendor::Alibaba => &alibaba::ACTIONS,
        Vendor::Huawei => &huawei::ACTIONS,
        Vendor::Volcengine => &volcengine::ACTIONS,
    }
}

/// The operations that an account's configuration asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Operations {
    /// Those behind each listing.
    pub listings: Vec<(ListingKind, &'static str)>,
    /// Those that look for instances.
    pub discovery: Vec<&'static str>,
}

impl Operations {
    /// Each operation, those first that listings take.
    pub fn all(&self) -> impl Iterator<Item = &'static str> + use<'_> {
        let listings = self.listings.iter().map(|(_, operation)| *operation);
        listings.chain(self.discovery.iter().copied())
    }
}

/// Calls of one operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cost {
    /// The vendor's name of it.
    pub operation: &'static str,
    /// How many, at the least.
    pub calls: u32,
    /// How often.
    pub every: Every,
}

impl Cost {
    /// Calls an hour.
    pub fn an_hour(&self, poll: &PollConfig) -> f64 {
        const HOUR: f64 = 3600.0;
        f64::from(self.calls) * HOUR / self.every.interval(poll).as_secs_f64()
    }
}

impl Every {
    /// How much time lies between.
    pub const fn interval(self, poll: &PollConfig) -> Duration {
        match self {
            Self::Interval => poll.interval,
            Self::PolicyInterval => poll.policy_interval,
            Self::DiscoveryInterval => poll.discovery_interval,
            Self::Day => Duration::from_secs(24 * 3600),
        }
    }
}

/// How often something is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Every {
    /// Once every `poll.interval`.
    Interval,
    /// Once every `poll.policy_interval`.
    PolicyInterval,
    /// Once every `poll.discovery_interval`.
    DiscoveryInterval,
    /// Once a day.
    Day,
}

/// How many of the instances have this listing read.
fn readers(targets: &[Arc<Target>], listing: ListingKind) -> u32 {
    let read = targets
        .iter()
        .filter(|target| target.listings.contains(&listing));
    u32::try_from(read.count()).unwrap_or(u32::MAX)
}

/// Whether the listing of any instance is read, of those that have yet to be found included.
fn is_read(account: &AccountConfig, listing: ListingKind) -> bool {
    let discover = account.discover.as_ref();
    discover.is_some_and(|discover| discover.listings.contains(&listing))
        || readers(&account.targets, listing) > 0
}

/// One request, before it is signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// The vendor's name of the operation.
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
    client: Client,
}

/// What knows the vendor's requests and answers.
#[derive(Debug)]
enum Client {
    Alibaba(Alibaba),
    Huawei(Box<Huawei>),
    Volcengine(Volcengine),
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
        let (client, chain): (_, fn(&ChainGround<'_>) -> Chain) = match premises.account.provider {
            Vendor::Alibaba => (
                Client::Alibaba(Alibaba::new(premises)),
                alibaba::credentials::chain,
            ),
            Vendor::Huawei => (
                Client::Huawei(Box::new(Huawei::new(premises))),
                huawei::credentials::chain,
            ),
            Vendor::Volcengine => (
                Client::Volcengine(Volcengine::new(premises)),
                volcengine::credentials::chain,
            ),
        };
        Self {
            credentials: CredentialSource::of(&ground, chain),
            http,
            client,
        }
    }

    /// Where the account's keys come from.
    pub const fn credentials(&self) -> &CredentialSource {
        &self.credentials
    }

    /// Tells where copies of an instance were found before this client was made, and when the newest usable one of each
    /// region ended. A vendor whose copies are asked for where they are kept has to know, also when its policy no longer
    /// says so.
    pub fn recall_copies(
        &self,
        instance: &Arc<str>,
        newest: &BTreeMap<Arc<str>, Option<DateTime<Utc>>>,
    ) {
        if let Client::Huawei(huawei) = &self.client {
            huawei.recall_copies(instance, newest);
        }
    }

    /// Reads one listing of one instance: what lies in the look-back.
    pub async fn list(
        &self,
        listing: ListingKind,
        target: &Target,
        courier: &impl Courier,
    ) -> Result<Reading, ListError> {
        match &self.client {
            Client::Alibaba(alibaba) => alibaba.list(listing, target, courier).await,
            // In a box, since it is many times as large as the others.
            Client::Huawei(huawei) => Box::pin(huawei.list(listing, target, courier)).await,
            Client::Volcengine(volcengine) => volcengine.list(listing, target, courier).await,
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
        match &self.client {
            Client::Alibaba(alibaba) => alibaba.list_back_to(from, listing, target, courier).await,
            Client::Huawei(huawei) => {
                Box::pin(huawei.list_back_to(from, listing, target, courier)).await
            }
            // It has nothing that continues a set.
            Client::Volcengine(volcengine) => volcengine.list(listing, target, courier).await,
        }
    }

    /// Reads one listing of several instances of a region at once, as far as the vendor can ([`Vendor::together`]) and
    /// as it costs no more than asking about each.
    pub async fn list_together(
        &self,
        listing: ListingKind,
        targets: &[Arc<Target>],
        courier: &impl Courier,
    ) -> ReadTogether {
        match &self.client {
            Client::Alibaba(alibaba) => alibaba.list_together(listing, targets, courier).await,
            Client::Huawei(_) => ReadTogether {
                one_by_one: targets.to_vec(),
                ..ReadTogether::default()
            },
            Client::Volcengine(volcengine) => {
                volcengine.list_together(listing, targets, courier).await
            }
        }
    }

    /// Lists the instances that the account has in a region.
    pub async fn discover(
        &self,
        region: &Arc<str>,
        courier: &impl Courier,
    ) -> Result<Inventory, ListError> {
        match &self.client {
            Client::Alibaba(alibaba) => alibaba.discover(region, courier).await,
            Client::Huawei(huawei) => huawei.discover(region, courier).await,
            Client::Volcengine(volcengine) => volcengine.discover(region, courier).await,
        }
    }

    /// Signs a call and sends it once.
    pub async fn attempt(
        &self,
        call: &Call,
        credential: &Credential,
        timeout: Duration,
    ) -> Result<Answer, ListError> {
        let outgoing = match &self.client {
            Client::Alibaba(alibaba) => alibaba.outgoing(call, credential),
            Client::Huawei(huawei) => huawei.outgoing(call, credential),
            Client::Volcengine(volcengine) => volcengine.outgoing(call, credential),
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

    /// How long the vendor asks everybody who shares the quota to wait, whatever else it answered.
    pub fn requested_pause(&self, answer: &Answer) -> Option<Duration> {
        match &self.client {
            Client::Alibaba(_) => alibaba::requested_pause(answer),
            Client::Huawei(_) => huawei::requested_pause(answer),
            Client::Volcengine(_) => volcengine::requested_pause(answer),
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
    use std::collections::BTreeSet;

    use super::*;
    use crate::config::Config;

    /// The operations that this account names, in its listings and to find instances.
    fn named_by(vendor: Vendor, watched: &str) -> BTreeSet<&'static str> {
        let provider = vendor.label();
        let yaml = format!("accounts: [{{name: a, provider: {provider}, {watched}}}]");
        let config = Config::parse(&yaml, []).unwrap();
        operations(&config.accounts[0]).all().collect()
    }

    #[test]
    fn the_actions_are_those_of_the_operations_that_an_account_may_name() {
        let instances = "instances: [{id: db-1, region: cn-a}]";
        let copies = "instances: [{id: db-1, region: cn-a, backup_regions: [cn-b]}]";
        let discover = "discover: {regions: [cn-a]}";
        for vendor in Vendor::ALL {
            let operations = actions(vendor).iter().map(|(operation, _)| *operation);
            let allowed: BTreeSet<_> = operations.collect();
            assert_eq!(allowed.len(), actions(vendor).len(), "{vendor:?}");
            let both = format!("{discover}, {copies}");
            let mut named = BTreeSet::new();
            for watched in [instances, copies, discover, &both] {
                let of_account = named_by(vendor, watched);
                assert!(of_account.is_subset(&allowed), "{vendor:?} {watched}");
                named.extend(of_account);
            }
            // Nobody has to allow more than is ever asked.
            assert_eq!(named, allowed, "{vendor:?}");
        }
    }

    #[test]
    fn what_an_account_costs_is_made_of_operations_that_it_names() {
        for vendor in Vendor::ALL {
            let provider = vendor.label();
            for watched in [
                "instances: [{id: db-1, region: cn-a}]",
                "discover: {regions: [cn-a]}, instances: [{id: db-1, region: cn-b}]",
            ] {
                let yaml = format!("accounts: [{{name: a, provider: {provider}, {watched}}}]");
                let config = Config::parse(&yaml, []).unwrap();
                let account = &config.accounts[0];
                let operations = operations(account);
                let named: BTreeSet<_> = operations.all().collect();
                let mut costs = costs(account, &account.targets);
                costs.extend(discovery_costs(account));
                assert!(!costs.is_empty(), "{vendor:?} {watched}");
                for cost in costs {
                    assert!(named.contains(cost.operation), "{vendor:?} {cost:?}");
                }
            }
        }
    }
}
