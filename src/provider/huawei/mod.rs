//! Huawei Cloud RDS, API version 3: the off-site and the local backup listing.
//!
//! The only file of this provider that does I/O. What lies off site is listed behind the endpoint of the *destination*
//! region, under the destination's project and with the id of the source instance (page `rds_09_0016`). The source region
//! answers the same questions with an empty list or with a plausible local window, so it is never asked them.

mod answer;
mod budget;
pub(super) mod credentials;
#[cfg(test)]
mod damage;
mod endpoint;
mod normalise;
mod refusal;
mod sign;
#[cfg(test)]
mod tests;
mod wire;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};

use self::answer::{Destination, read_page, read_policy, read_project};
pub(super) use self::budget::{ACTIONS, costs, discovery_costs, operations};
use super::canonical::{self, encode};
use super::credentials::Credential;
use super::error::ListError;
use super::http::{Answer, Method, Outgoing, authority, path_of};
use super::page::{End, Paging};
use super::pages::{Position, Window, read_pages};
use super::remembered::Remembered;
use super::row::{Subject, gather};
use super::{Call, Courier, Parameter, Premises, retry_after};
use crate::backup::{Inventory, Listing, ListingKind, Lookback, Reading};
use crate::clock::Clock;
use crate::config::EndpointTemplate;
use crate::target::Target;

const LIST_BACKUPS: &str = "ListBackups";
const LIST_OFF_SITE_BACKUPS: &str = "ListOffSiteBackups";
const LIST_PROJECTS: &str = "KeystoneListProjects";
const SHOW_OFF_SITE_POLICY: &str = "ShowOffSiteBackupPolicy";

/// The largest page, which costs the fewest calls.
const PAGE_SIZE: usize = 100;

/// Projects do not move, and what an instance's destination is can hardly be changed once copies are made.
const A_DAY: Duration = Duration::from_secs(24 * 3600);

/// A destination holds for an hour: nothing but the length of its retention can be changed while the policy is on.
const WHILE_ON: Duration = Duration::from_secs(3600);

/// A policy that is off is looked at more often, for it may be switched on.
const WHILE_OFF: Duration = Duration::from_secs(600);

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
    configured_projects: BTreeMap<String, Arc<str>>,
    /// By region.
    projects: Remembered<Arc<str>>,
    /// By instance.
    policies: Remembered<Arc<[Destination]>>,
}

impl Huawei {
    /// Makes the account's client; no connection is opened yet.
    pub fn new(premises: &Premises<'_>) -> Self {
        let account = premises.account;
        Self {
            clock: premises.clock.clone(),
            endpoint: account.endpoint.clone(),
            iam_endpoint: account.iam_endpoint.clone().or_else(|| {
                let variable = premises.environment.get("HUAWEICLOUD_SDK_IAM_ENDPOINT")?;
                EndpointTemplate::parse(variable).ok()
            }),
            lookback: premises.poll.lookback,
            configured_projects: account.projects.clone(),
            // Half an interval: every listing of a sweep is spared, and the next sweep asks anew.
            projects: Remembered::new(premises.poll.interval / 2),
            policies: Remembered::new(premises.poll.interval / 2),
        }
    }

    /// Reads one listing of one instance.
    pub async fn list(
        &self,
        listing: ListingKind,
        target: &Target,
        courier: &impl Courier,
    ) -> Result<Reading, ListError> {
        let read = match listing {
            ListingKind::Local => self.list_local(target, courier).await,
            _ => self.list_off_site(listing, target, courier).await,
        };
        read.map(Reading::from)
    }

    /// Lists the instances of a region.
    pub async fn discover(
        &self,
        _region: &Arc<str>,
        _courier: &impl Courier,
    ) -> Result<Inventory, ListError> {
        Ok(Inventory::default())
    }

    async fn list_local(
        &self,
        target: &Target,
        courier: &impl Courier,
    ) -> Result<Listing, ListError> {
        let region = &target.key.source_region;
        let question = Question {
            listing: ListingKind::Local,
            operation: LIST_BACKUPS,
            target,
            region,
            project: self.project(region, courier).await?,
            lookback: self.lookback.sets,
        };
        let mut listing = Listing {
            complete: true,
            ..Listing::default()
        };
        // A gateway that ignored the type would list each set once for each question.
        let mut seen = Paging::new(PAGE_SIZE, End::RowsRead);
        for backup_type in ["auto", "manual", "fragment"] {
            // Differential sets exist for SQL Server only.
            if backup_type == "fragment" && listing.engine.as_deref() != Some("sqlserver") {
                continue;
            }
            let paging = seen.followed_by(PAGE_SIZE, End::RowsRead);
            seen = self
                .read(&question, backup_type, (courier, paging), &mut listing)
                .await?;
        }
        Ok(listing)
    }

    async fn list_off_site(
        &self,
        listing: ListingKind,
        target: &Target,
        courier: &impl Courier,
    ) -> Result<Listing, ListError> {
        let (backup_type, lookback) = match listing {
            ListingKind::CrossRegionLog => ("incremental", self.lookback.logs),
            _ => ("auto", self.lookback.sets),
        };
        let destinations = self.destinations(target, courier).await?;
        let mut found = Listing {
            complete: true,
            destinations: destinations
                .iter()
                .map(|destination| destination.region.to_string())
                .collect(),
            // Regions that the configuration names are asked whatever the policy says.
            protected: target
                .backup_regions
                .is_empty()
                .then(|| !destinations.is_empty()),
            ..Listing::default()
        };
        for destination in destinations.iter() {
            let is_copied = match listing {
                ListingKind::CrossRegionLog => destination.logs,
                _ => destination.sets,
            };
            if !is_copied {
                continue;
            }
            let region = &destination.region;
            let is_configured = self.configured_projects.contains_key(&**region);
            let project = match &destination.project {
                Some(project) if !is_configured => Arc::clone(project),
                _ => self.project(region, courier).await?,
            };
            let question = Question {
                listing,
                operation: LIST_OFF_SITE_BACKUPS,
                target,
                region,
                project,
                lookback,
            };
            let paging = Paging::new(PAGE_SIZE, End::RowsRead);
            self.read(&question, backup_type, (courier, paging), &mut found)
                .await?;
        }
        Ok(found)
    }

    /// Reads all pages of one type of backup into a listing.
    async fn read(
        &self,
        question: &Question<'_>,
        backup_type: &str,
        (courier, mut paging): (&impl Courier, Paging),
        listing: &mut Listing,
    ) -> Result<Paging, ListError> {
        read_pages(
            (&self.clock, question.lookback),
            courier,
            &mut paging,
            |window, position| question.page(backup_type, window, position),
            |_, call, answer| read_page(call, answer),
            |paging, page| {
                let subject = Subject {
                    backup_region: question.region,
                    ..Subject::of(question.listing, question.target, self.clock.now())
                };
                gather(listing, paging, page, &subject);
            },
        )
        .await?;
        listing.complete &= paging.is_complete();
        Ok(paging)
    }

    /// Where the instance's copies are: as configured, else as its policy says.
    async fn destinations(
        &self,
        target: &Target,
        courier: &impl Courier,
    ) -> Result<Arc<[Destination]>, ListError> {
        if !target.backup_regions.is_empty() {
            let regions = target.backup_regions.iter();
            return Ok(regions
                .map(|region| Destination {
                    region: region.as_str().into(),
                    project: None,
                    sets: true,
                    logs: true,
                })
                .collect());
        }
        let key = &target.key;
        let ask = async {
            let project = self.project(&key.source_region, courier).await?;
            let call = || Call {
                operation: SHOW_OFF_SITE_POLICY,
                instance: Arc::clone(&key.instance_id),
                region: Arc::clone(&key.source_region),
                project: Some(Arc::clone(&project)),
                parameters: Vec::new(),
            };
            courier.send(call, read_policy).await
        };
        let keep = |destinations: &Arc<[Destination]>| {
            if destinations.is_empty() {
                WHILE_OFF
            } else {
                WHILE_ON
            }
        };
        self.policies.get(&key.instance_id, keep, ask).await
    }

    /// The account's project in a region: as configured, else as IAM says.
    async fn project(
        &self,
        region: &Arc<str>,
        courier: &impl Courier,
    ) -> Result<Arc<str>, ListError> {
        if let Some(project) = self.configured_projects.get(&**region) {
            return Ok(Arc::clone(project));
        }
        let call = || Call {
            operation: LIST_PROJECTS,
            instance: Arc::clone(region),
            region: Arc::clone(region),
            project: None,
            parameters: vec![("name", Parameter::text(&**region))],
        };
        let ask = courier.send(call, read_project);
        self.projects.get(region, |_| A_DAY, ask).await
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

/// What is asked of one region about one instance.
struct Question<'a> {
    listing: ListingKind,
    operation: &'static str,
    target: &'a Target,
    region: &'a Arc<str>,
    project: Arc<str>,
    lookback: Duration,
}

impl Question<'_> {
    fn page(&self, backup_type: &str, window: Window, position: Position) -> Call {
        // Both ends have to be there. The end is a little ahead, so that a set that ends right now is not cut off.
        let time = |time: DateTime<Utc>| {
            Parameter::Text(time.format("%Y-%m-%dT%H:%M:%S+0000").to_string())
        };
        Call {
            operation: self.operation,
            instance: Arc::clone(&self.target.key.instance_id),
            region: Arc::clone(self.region),
            project: Some(Arc::clone(&self.project)),
            parameters: vec![
                (
                    "instance_id",
                    Parameter::text(&*self.target.key.instance_id),
                ),
                ("backup_type", Parameter::text(backup_type)),
                ("begin_time", time(window.from())),
                ("end_time", time(window.now + chrono::Duration::minutes(1))),
                // A row index, not a page number.
                ("offset", Parameter::Number(position.rows)),
                ("limit", Parameter::Number(PAGE_SIZE as u64)),
            ],
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
    match call.operation {
        LIST_BACKUPS => format!("/v3/{project}/backups"),
        LIST_OFF_SITE_BACKUPS => format!("/v3/{project}/offsite-backups"),
        SHOW_OFF_SITE_POLICY => format!(
            "/v3/{project}/instances/{}/backups/offsite-policy",
            encode(&call.instance)
        ),
        _ => "/v3/projects".to_owned(),
    }
}
