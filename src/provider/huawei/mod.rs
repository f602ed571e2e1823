//! Huawei Cloud RDS, API version 3: backups of an instance in its own and in other regions, its policy, and which
//! instances there are.
//!
//! What lies off site is listed behind the endpoint of the *destination* region, under the destination's project and with
//! the id of the source instance (page `rds_09_0016`). The source region answers the same questions with an empty list or
//! with a plausible local window, so it is never asked them. `place` finds out which region and project that is; `sets`,
//! `window` and `inventory` ask.

mod answer;
mod coverage;
pub(super) mod credentials;
#[cfg(test)]
mod damage;
mod endpoint;
mod inventory;
mod normalise;
mod place;
mod policy;
mod refusal;
mod sets;
mod sign;
#[cfg(test)]
mod tests;
mod window;
mod wire;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::{DateTime, Utc};

use self::place::{Allowed, OffSiteList, Places};
use self::policy::Told;
use super::canonical::{self, encode};
use super::credentials::Credential;
use super::error::ListError;
use super::http::{Answer, Method, Outgoing, authority, path_of};
use super::pages::Position;
use super::remembered::Remembered;
use super::{Call, Courier, Parameter, Premises, retry_after};
use crate::backup::{ListingKind, Lookback, Policy, Reading};
use crate::clock::Clock;
use crate::config::EndpointTemplate;
use crate::service::Service;
use crate::service::huawei_rds::{
    LIST_BACKUPS, LIST_INSTANCES, LIST_OFF_SITE_BACKUPS, LIST_OFF_SITE_INSTANCES,
    LIST_OFF_SITE_RESTORE_TIMES, LIST_PROJECTS, LIST_RESTORE_TIMES, SHOW_OFF_SITE_POLICY,
};
use crate::target::Target;

/// The largest page, which costs the fewest calls.
const PAGE_SIZE: usize = 100;

/// The quota is counted by the minute, and the gateway does not say when the minute ends.
const THROTTLED_PAUSE: Duration = Duration::from_secs(60);

/// Nobody who shares the quota is asked to wait longer.
const LONGEST_WAIT: Duration = Duration::from_secs(1800);

/// One account with Huawei Cloud.
#[derive(Debug)]
pub struct Huawei {
    clock: Clock,
    endpoint: Option<EndpointTemplate>,
    iam_endpoint: Option<EndpointTemplate>,
    lookback: Lookback,
    ages: Ages,
    configured_projects: BTreeMap<String, Arc<str>>,
    /// By region.
    projects: Remembered<Arc<str>>,
    /// By instance.
    policies: Remembered<Allowed<Arc<Told>>>,
    /// By the region that was asked.
    off_site_lists: Remembered<Allowed<Arc<OffSiteList>>>,
    places: Mutex<Places>,
}

/// How often things are asked, from which follows how old a memory may be.
#[derive(Debug, Clone, Copy)]
struct Ages {
    interval: Duration,
    policy_interval: Duration,
    discovery_interval: Duration,
}

impl Huawei {
    /// Makes the account's client; no connection is opened yet.
    pub fn new(premises: &Premises<'_>) -> Self {
        let (account, poll) = (premises.account, premises.poll);
        // Half an interval: every listing of a sweep is spared, and the next sweep asks anew.
        let failures = poll.interval / 2;
        let huawei = Self {
            clock: premises.clock.clone(),
            endpoint: account.endpoint(Service::HuaweiRds).cloned(),
            iam_endpoint: account.iam_endpoint.clone().or_else(|| {
                let variable = premises.environment.get("HUAWEICLOUD_SDK_IAM_ENDPOINT")?;
                EndpointTemplate::parse(variable).ok()
            }),
            lookback: poll.lookback,
            ages: Ages {
                interval: poll.interval,
                policy_interval: poll.policy_interval,
                discovery_interval: poll.discovery_interval,
            },
            configured_projects: account.projects.clone(),
            projects: Remembered::new(failures),
            policies: Remembered::new(failures),
            off_site_lists: Remembered::new(failures),
            places: Mutex::default(),
        };
        for target in &account.targets {
            huawei.note_configured(&target.backup_regions);
        }
        huawei
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
        match listing {
            ListingKind::CrossRegion | ListingKind::CrossRegionLog => {
                let read = self.list_off_site(listing, target, back_to, courier).await;
                read.map(Reading::from)
            }
            ListingKind::Local => self.list_local(target, courier).await.map(Reading::from),
            ListingKind::Policy => self.list_policy(target, courier).await.map(Reading::from),
            ListingKind::RestoreWindow => {
                self.list_windows(target, courier).await.map(Reading::from)
            }
        }
    }

    /// Asks for the policy, unless a listing that needed it has just done so.
    async fn list_policy(
        &self,
        target: &Target,
        courier: &impl Courier,
    ) -> Result<Policy, ListError> {
        let Ages {
            interval,
            policy_interval,
            ..
        } = self.ages;
        let oldest = (policy_interval / 2, interval / 2);
        match self.policy(target, oldest, courier).await? {
            Allowed::Yes(told) => Ok(told.reading()),
            Allowed::No(denied) => Err(denied),
        }
    }

    /// Signs a call.
    pub fn outgoing(&self, call: &Call, credential: &Credential) -> Outgoing {
        let region = &call.region;
        let filled_in = |template: &Option<EndpointTemplate>, table: fn(&str) -> String| {
            let template = template.as_ref();
            template.map_or_else(|| table(region), |template| template.for_region(region))
        };
        let endpoint = match call.operation {
            LIST_PROJECTS => filled_in(&self.iam_endpoint, endpoint::iam),
            _ => filled_in(&self.endpoint, endpoint::rds),
        };
        let path = path(call);
        let query = canonical::query(&call.parameters);
        let host = authority(&endpoint);
        let mut signed = vec![
            ("content-type", "application/json"),
            ("host", host.as_str()),
        ];
        if let Some(project) = &call.project {
            signed.push(("x-project-id", project));
        }
        let headers = sign::sign(
            &sign::Request {
                method: "GET",
                // An endpoint may bring a path of its own.
                path: &format!("{}{path}", path_of(&endpoint)),
                query: &query,
                headers: &signed,
                body: "",
                date: self.clock.now(),
            },
            credential,
        );
        let mark = if query.is_empty() { "" } else { "?" };
        Outgoing {
            method: Method::GET,
            url: format!("{endpoint}{path}{mark}{query}"),
            headers,
            body: String::new(),
        }
    }
}

/// How long everybody who shares the quota has to wait after this answer.
pub fn requested_pause(answer: &Answer) -> Option<Duration> {
    let asked = retry_after(answer).map(|pause| pause.min(LONGEST_WAIT));
    asked.or_else(|| (answer.status == 429).then_some(THROTTLED_PAUSE))
}

fn path(call: &Call) -> String {
    let project = call.project.as_deref().unwrap_or_default();
    let project = encode(project);
    let of_instance = |what| format!("/v3/{project}/instances/{}/{what}", encode(&call.instance));
    match call.operation {
        LIST_BACKUPS => format!("/v3/{project}/backups"),
        LIST_OFF_SITE_BACKUPS => format!("/v3/{project}/offsite-backups"),
        LIST_INSTANCES => format!("/v3/{project}/instances"),
        // The only one whose project is told by its header alone.
        LIST_OFF_SITE_INSTANCES => "/v3/backups/offsite-backup-instance".to_owned(),
        SHOW_OFF_SITE_POLICY => of_instance("backups/offsite-policy"),
        LIST_RESTORE_TIMES => of_instance("restore-time"),
        LIST_OFF_SITE_RESTORE_TIMES => of_instance("offsite-restore-time"),
        _ => "/v3/projects".to_owned(),
    }
}

/// Where a page begins: a row index, not a page number.
fn row_index(position: Position) -> Vec<(&'static str, Parameter)> {
    vec![
        ("offset", Parameter::Number(position.rows)),
        ("limit", Parameter::Number(PAGE_SIZE as u64)),
    ]
}
