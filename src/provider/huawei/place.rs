//! Where an instance's copies are, and under which project a region is asked: as the configuration says, else as policies
//! and the lists of protected instances say, else as IAM does.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::Duration;

use super::answer::{read_off_site_instances, read_project};
use super::policy::{Destination, Told, destination, read_policy};
use super::wire::OffSiteInstanceRow;
use super::{
    Huawei, LIST_OFF_SITE_INSTANCES, LIST_PROJECTS, PAGE_SIZE, SHOW_OFF_SITE_POLICY, row_index,
};
use crate::backup::ListingKind;
use crate::provider::error::{ListError, Reason};
use crate::provider::page::{End, PageRead, Paging};
use crate::provider::pages::read_pages;
use crate::provider::row::Page;
use crate::provider::scalar::Row;
use crate::provider::{Call, Courier, Parameter};
use crate::target::Target;

/// Projects do not move.
const A_DAY: Duration = Duration::from_secs(24 * 3600);

/// An answer, or the vendor's word that the key's policies do not allow the question.
#[derive(Debug, Clone)]
pub(super) enum Allowed<T> {
    Yes(T),
    No(ListError),
}

impl<T> Allowed<T> {
    /// What came of a question. A refusal of the vendor's is an answer to be remembered.
    fn of(outcome: Result<T, ListError>) -> Result<Self, ListError> {
        match outcome {
            Ok(answer) => Ok(Self::Yes(answer)),
            Err(error) if error.reason == Reason::Permission && error.status.is_some() => {
                Ok(Self::No(error))
            }
            Err(error) => Err(error),
        }
    }
}

/// Where the copies of one instance are.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Whereabouts {
    /// Whether anything is copied; `None` where the configuration names the regions.
    pub protected: Option<bool>,
    /// Where they are copied to.
    pub destinations: Vec<Destination>,
    /// Where they were copied to. The sets stay until their retention ends; the logs are gone at once.
    pub left: Vec<Destination>,
}

impl Whereabouts {
    /// The regions that keep what this listing lists.
    pub(super) fn keepers(&self, listing: ListingKind) -> impl Iterator<Item = &Destination> {
        let all = self.destinations.iter().chain(&self.left);
        all.filter(move |destination| match listing {
            ListingKind::CrossRegionLog => destination.logs,
            _ => destination.sets,
        })
    }
}

/// What was learnt of destinations, for as long as the account is asked.
#[derive(Debug, Default)]
pub(super) struct Places {
    /// The regions to which anything is or was copied, with their projects where these were told.
    regions: BTreeMap<Arc<str>, Option<Arc<str>>>,
    /// The last known regions that keep sets of an instance.
    keepers: HashMap<Arc<str>, Vec<Destination>>,
    /// What each region said last of its protected instances.
    lists: BTreeMap<Arc<str>, Arc<OffSiteList>>,
}

impl Places {
    fn note_region(&mut self, region: &Arc<str>, project: Option<&Arc<str>>) {
        let known = self.regions.entry(Arc::clone(region)).or_default();
        *known = project.cloned().or_else(|| known.take());
    }

    fn note(&mut self, instance: &Arc<str>, destinations: &[Destination]) {
        for destination in destinations {
            self.note_region(&destination.region, destination.project.as_ref());
        }
        let keep_sets = destinations.iter().filter(|destination| destination.sets);
        let keepers: Vec<_> = keep_sets.cloned().collect();
        if !keepers.is_empty() {
            self.keepers.insert(Arc::clone(instance), keepers);
        }
    }

    /// The last known regions that keep sets, where none is copied to now.
    fn left(&self, instance: &Arc<str>, destinations: &[Destination]) -> Vec<Destination> {
        if destinations.iter().any(|destination| destination.sets) {
            return Vec::new();
        }
        let known = self.keepers.get(instance).into_iter().flatten();
        known
            .map(|keeper| Destination {
                logs: false,
                ..keeper.clone()
            })
            .collect()
    }
}

/// The instances that have copies in another region, as one region lists them.
#[derive(Debug, Default)]
pub(super) struct OffSiteList {
    pub rows: Vec<OffSiteInstance>,
    complete: bool,
}

/// One of them.
#[derive(Debug)]
pub(super) struct OffSiteInstance {
    pub id: Arc<str>,
    pub source_region: Option<String>,
    pub source_project: Option<String>,
    is_on: bool,
    destination: Option<(Arc<str>, Option<Arc<str>>)>,
}

impl OffSiteInstance {
    pub(super) fn of(row: &OffSiteInstanceRow) -> Option<Self> {
        Some(Self {
            id: row.id.text()?.into(),
            source_region: row.source_region.text(),
            source_project: row.source_project_id.text(),
            is_on: row.keep_days.count() != Ok(Some(0)),
            destination: destination(&row.destination_region, &row.destination_project_id),
        })
    }

    /// Where its copies are. Which kinds are copied is not told, so each is asked for.
    pub(super) fn copies(&self) -> Option<Destination> {
        let (region, project) = self.destination.clone()?;
        Some(Destination {
            region,
            project,
            sets: true,
            logs: true,
        })
    }
}

impl Huawei {
    pub(super) fn lock_places(&self) -> MutexGuard<'_, Places> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes these regions for those that keep sets of an instance, as long as nothing newer is told.
    pub(in crate::provider) fn recall_copies(
        &self,
        instance: &Arc<str>,
        regions: &BTreeSet<Arc<str>>,
    ) {
        let keeper = |region: &Arc<str>| Destination {
            region: Arc::clone(region),
            project: None,
            sets: true,
            logs: false,
        };
        let keepers: Vec<_> = regions.iter().map(keeper).collect();
        self.lock_places().note(instance, &keepers);
    }

    /// Notes the regions that the configuration names.
    pub(super) fn note_configured(&self, regions: &[String]) {
        let mut places = self.lock_places();
        for region in regions {
            places.note_region(&region.as_str().into(), None);
        }
    }

    /// Every region to which anything is known to be copied.
    pub(super) fn known_destinations(&self) -> Vec<(Arc<str>, Option<Arc<str>>)> {
        let places = self.lock_places();
        let regions = places.regions.iter();
        regions
            .map(|(region, project)| (Arc::clone(region), project.clone()))
            .collect()
    }

    /// Where the instance's copies are: as configured, else as its policy says, else as the list of protected instances
    /// does.
    pub(super) async fn whereabouts(
        &self,
        target: &Target,
        courier: &impl Courier,
    ) -> Result<Whereabouts, ListError> {
        if !target.backup_regions.is_empty() {
            self.note_configured(&target.backup_regions);
            let regions = target.backup_regions.iter();
            return Ok(Whereabouts {
                // Regions that the configuration names are asked whatever the policy says.
                protected: None,
                destinations: regions
                    .map(|region| Destination {
                        region: region.as_str().into(),
                        project: None,
                        sets: true,
                        logs: true,
                    })
                    .collect(),
                left: Vec::new(),
            });
        }
        let ages = self.ages;
        // The policy listing keeps the memory young, where it is read.
        let oldest = if target.listings.contains(&ListingKind::Policy) {
            ages.policy_interval + ages.interval
        } else {
            ages.policy_interval.saturating_sub(ages.interval / 2)
        };
        let denied = match self.policy(target, (oldest, oldest), courier).await? {
            Allowed::Yes(told) => return Ok(self.according_to(&told, target)),
            Allowed::No(denied) => denied,
        };
        let region = &target.key.source_region;
        let project = self.project(region, courier).await?;
        let list = self.off_site_list((region, &project), ages.policy_interval, courier);
        if let Allowed::Yes(list) = list.await? {
            return self.listed(&list, target).ok_or(denied);
        }
        // Nothing else tells, so that the policy is looked at again with each round.
        match self
            .policy(target, (oldest, ages.interval / 2), courier)
            .await?
        {
            Allowed::Yes(told) => Ok(self.according_to(&told, target)),
            Allowed::No(denied) => Err(denied),
        }
    }

    fn according_to(&self, told: &Told, target: &Target) -> Whereabouts {
        let destinations = told.destinations();
        Whereabouts {
            protected: Some(!destinations.is_empty()),
            left: self
                .lock_places()
                .left(&target.key.instance_id, &destinations),
            destinations,
        }
    }

    /// What the lists of protected instances say of this one; nothing where they may have left it out.
    fn listed(&self, list: &OffSiteList, target: &Target) -> Option<Whereabouts> {
        let instance = &target.key.instance_id;
        let places = self.lock_places();
        let others = places.lists.values().flat_map(|list| &list.rows);
        let mut rows = list.rows.iter().chain(others).filter(|row| row.is_on);
        if let Some(row) = rows.find(|row| row.id == *instance) {
            return Some(Whereabouts {
                protected: Some(true),
                destinations: vec![row.copies()?],
                left: Vec::new(),
            });
        }
        list.complete.then(|| Whereabouts {
            protected: Some(false),
            destinations: Vec::new(),
            left: places.left(instance, &[]),
        })
    }

    /// The instance's policy, or a memory of it that is no older than this; the second is for a refusal.
    pub(super) async fn policy(
        &self,
        target: &Target,
        (oldest, oldest_refusal): (Duration, Duration),
        courier: &impl Courier,
    ) -> Result<Allowed<Arc<Told>>, ListError> {
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
            let told = courier.send(call, read_policy).await;
            if let Ok(told) = &told {
                let destinations = told.destinations();
                self.lock_places().note(&key.instance_id, &destinations);
            }
            Allowed::of(told.map(Arc::new))
        };
        let keep = |answer: &Allowed<Arc<Told>>| match answer {
            Allowed::Yes(_) => oldest,
            Allowed::No(_) => oldest_refusal,
        };
        self.policies.get(&key.instance_id, keep, ask).await
    }

    /// The instances that have copies elsewhere, as this region lists them, or a memory of it that is no older than
    /// this.
    ///
    /// The page names the destination region as the one to ask. The source region was seen to answer as well.
    pub(super) async fn off_site_list(
        &self,
        (region, project): (&Arc<str>, &Arc<str>),
        oldest: Duration,
        courier: &impl Courier,
    ) -> Result<Allowed<Arc<OffSiteList>>, ListError> {
        let ask = async {
            let read = self.read_off_site_list((region, project), courier).await;
            let answer = Allowed::of(read.map(Arc::new))?;
            if let Allowed::Yes(list) = &answer {
                let mut places = self.lock_places();
                for row in &list.rows {
                    let copies = row.copies();
                    places.note(&row.id, copies.as_slice());
                }
                places.lists.insert(Arc::clone(region), Arc::clone(list));
            }
            Ok(answer)
        };
        let keep = |answer: &Allowed<Arc<OffSiteList>>| match answer {
            Allowed::Yes(_) => oldest,
            // Nothing depends on it alone.
            Allowed::No(_) => self.ages.policy_interval,
        };
        self.off_site_lists.get(region, keep, ask).await
    }

    async fn read_off_site_list(
        &self,
        (region, project): (&Arc<str>, &Arc<str>),
        courier: &impl Courier,
    ) -> Result<OffSiteList, ListError> {
        let mut paging = Paging::new(PAGE_SIZE, End::RowsRead);
        let mut rows = Vec::new();
        read_pages(
            (&self.clock, Duration::ZERO),
            courier,
            &mut paging,
            |_, position| Call {
                operation: LIST_OFF_SITE_INSTANCES,
                instance: Arc::clone(region),
                region: Arc::clone(region),
                project: Some(Arc::clone(project)),
                parameters: row_index(position),
            },
            |_, call, answer| read_off_site_instances(call, answer),
            |paging, page| {
                let read = |row: &OffSiteInstanceRow| OffSiteInstance::of(row);
                gather_new(paging, page, read, |row| &*row.id, &mut rows);
            },
        )
        .await?;
        Ok(OffSiteList {
            rows,
            complete: paging.is_complete(),
        })
    }

    /// The project under which a destination is asked: as configured, as the vendor named it, else as IAM says.
    pub(super) async fn project_of(
        &self,
        (region, told): (&Arc<str>, Option<&Arc<str>>),
        courier: &impl Courier,
    ) -> Result<Arc<str>, ListError> {
        match told {
            Some(project) if !self.configured_projects.contains_key(&**region) => {
                Ok(Arc::clone(project))
            }
            _ => self.project(region, courier).await,
        }
    }

    /// The account's project in a region: as configured, else as IAM says.
    pub(super) async fn project(
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
}

/// Takes the rows of a page that have an id which no earlier page had.
pub(super) fn gather_new<R, T>(
    paging: &mut Paging,
    page: Page<R>,
    read: impl Fn(&R) -> Option<T>,
    id: impl Fn(&T) -> &str,
    found: &mut Vec<T>,
) {
    let rows = page.rows.len();
    let mut new_rows = 0;
    for Row(row) in page.rows {
        let instance = row.as_ref().and_then(&read);
        if instance.is_none() {
            // It may be anybody's: then who is missing is not gone.
            paging.miss_a_row();
        }
        let identity = instance.as_ref().map(|instance| id(instance).to_owned());
        if paging.is_new(identity) {
            new_rows += 1;
            found.extend(instance);
        }
    }
    paging.read(PageRead {
        rows,
        new_rows,
        total: page.total,
    });
}
