//! Where an instance's copies are, and under which project a region is asked: as the configuration says, else as policies
//! and the lists of protected instances say, else as IAM does.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};

use super::answer::{read_off_site_instances, read_project};
use super::policy::{Destination, Told, destination, read_policy};
use super::wire::OffSiteInstanceRow;
use super::{
    Huawei, LIST_OFF_SITE_INSTANCES, LIST_PROJECTS, PAGE_SIZE, SHOW_OFF_SITE_POLICY, row_index,
};
use crate::backup::{BackupSet, ListingKind, Status};
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
    /// Where they are no longer copied to, although the vendor still names it. The sets stay until their retention ends;
    /// the logs are gone at once.
    pub switched_off: Vec<Destination>,
    /// Where they were copied to, and of which nobody speaks any more.
    pub former: Vec<Destination>,
}

impl Whereabouts {
    /// The regions that keep what this listing lists, each with whether nobody speaks of it any more.
    pub(super) fn keepers(
        &self,
        listing: ListingKind,
    ) -> impl Iterator<Item = (&Destination, bool)> {
        let named = self.destinations.iter().chain(&self.switched_off);
        let named = named.map(|destination| (destination, false));
        let all = named.chain(self.former.iter().map(|former| (former, true)));
        all.filter(move |(destination, _)| match listing {
            ListingKind::CrossRegionLog => destination.logs,
            _ => destination.sets,
        })
    }

    /// The regions in which the vendor or the configuration says that copies are.
    pub(super) fn named(&self) -> impl Iterator<Item = &Arc<str>> {
        let named = self.destinations.iter().chain(&self.switched_off);
        named.map(|destination| &destination.region)
    }
}

/// Whether a former destination answers so that nothing will come of asking it again soon. That must not keep from being
/// read what counts.
pub(super) fn is_passed_over(error: &ListError) -> bool {
    error.reason.is_refusal() || error.reason == Reason::Unsupported
}

/// So many whole readings in a row that found no set in a former destination show that none is left.
const BARREN_READINGS: u32 = 2;

/// The vendor keeps a set for so many days, and removes it at some hour of the last one.
const RETENTION_MARGIN: Duration = A_DAY;

/// A region that keeps, or kept, sets of one instance.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Keeper {
    project: Option<Arc<str>>,
    /// For how long sets are kept there, as the policy said while it copied to there.
    retention: Option<Duration>,
    /// When the newest set ended that was seen there.
    newest: Option<DateTime<Utc>>,
    /// Whether any was ever seen there.
    was_seen: bool,
    /// So many whole readings since then, in a row, found none.
    barren: u32,
}

impl Keeper {
    /// Whether nothing can be left there that would be listed.
    fn has_run_out(&self, lookback: Duration, now: DateTime<Utc>) -> bool {
        let kept = self.retention.map_or(lookback, |kept| kept.min(lookback)) + RETENTION_MARGIN;
        let ends = |newest: DateTime<Utc>| {
            let kept = chrono::Duration::from_std(kept).ok()?;
            newest.checked_add_signed(kept)
        };
        let is_over = self.newest.and_then(ends).is_some_and(|end| end <= now);
        is_over || self.barren >= BARREN_READINGS
    }
}

/// What was learnt of destinations, for as long as the account is asked.
#[derive(Debug, Default)]
pub(super) struct Places {
    /// The regions to which anything is or was copied, with their projects where these were told.
    regions: BTreeMap<Arc<str>, Option<Arc<str>>>,
    /// By instance and region.
    keepers: HashMap<Arc<str>, BTreeMap<Arc<str>, Keeper>>,
    /// What each region said last of its protected instances.
    lists: BTreeMap<Arc<str>, Arc<OffSiteList>>,
}

impl Places {
    fn note_region(&mut self, region: &Arc<str>, project: Option<&Arc<str>>) {
        let known = self.regions.entry(Arc::clone(region)).or_default();
        *known = project.cloned().or_else(|| known.take());
    }

    /// Takes note that these regions are copied to.
    fn note(
        &mut self,
        instance: &Arc<str>,
        destinations: &[Destination],
        retention: impl Fn(&str) -> Option<Duration>,
    ) {
        for destination in destinations {
            let Destination {
                region, project, ..
            } = destination;
            self.note_region(region, project.as_ref());
            if destination.sets {
                let keeper = self.keeper(instance, region);
                keeper.project = project.clone().or_else(|| keeper.project.take());
                keeper.retention = retention(region).or(keeper.retention);
                keeper.barren = 0;
            }
        }
    }

    /// Takes note of the sets that a reading of all of a region found there.
    pub(super) fn note_sets<'a>(
        &mut self,
        instance: &Arc<str>,
        region: &Arc<str>,
        sets: impl Iterator<Item = &'a BackupSet>,
    ) {
        let keeper = self.keeper(instance, region);
        let is_there = |set: &&BackupSet| !matches!(set.status, Status::Failed | Status::Deleting);
        let mut there = sets.filter(is_there).peekable();
        if there.peek().is_none() {
            keeper.barren = keeper.barren.saturating_add(1);
            return;
        }
        keeper.was_seen = true;
        keeper.barren = 0;
        keeper.newest = there.filter_map(BackupSet::finished).max();
    }

    fn keeper(&mut self, instance: &Arc<str>, region: &Arc<str>) -> &mut Keeper {
        let of_instance = self.keepers.entry(Arc::clone(instance)).or_default();
        of_instance.entry(Arc::clone(region)).or_default()
    }

    /// The regions that may still keep sets of an instance, but for those that are asked for them anyway.
    fn former(
        &self,
        instance: &Arc<str>,
        asked: &[Destination],
        is_kept: impl Fn(&Keeper) -> bool,
    ) -> Vec<Destination> {
        let is_asked = |region: &Arc<str>| {
            let mut asked = asked.iter().filter(|destination| destination.sets);
            asked.any(|destination| destination.region == *region)
        };
        let keepers = self.keepers.get(instance).into_iter().flatten();
        keepers
            .filter(|(region, keeper)| !is_asked(region) && is_kept(keeper))
            .map(|(region, keeper)| Destination {
                region: Arc::clone(region),
                project: keeper.project.clone(),
                sets: true,
                logs: false,
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

    /// Takes these regions for those that keep sets of an instance, each with the end of its newest usable one.
    pub(in crate::provider) fn recall_copies(
        &self,
        instance: &Arc<str>,
        newest: &BTreeMap<Arc<str>, Option<DateTime<Utc>>>,
    ) {
        let mut places = self.lock_places();
        for (region, newest) in newest {
            places.note_region(region, None);
            let keeper = places.keeper(instance, region);
            keeper.was_seen = true;
            keeper.newest = *newest;
        }
    }

    /// Takes note of what a reading of all of a region found there.
    pub(super) fn note_found<'a>(
        &self,
        target: &Target,
        region: &Arc<str>,
        sets: impl Iterator<Item = &'a BackupSet>,
    ) {
        let instance = &target.key.instance_id;
        self.lock_places().note_sets(instance, region, sets);
    }

    /// The regions that nobody speaks of any more, as long as something may be left there.
    fn former(&self, target: &Target, asked: &[Destination], only_seen: bool) -> Vec<Destination> {
        let (lookback, now) = (self.lookback.sets, self.clock.now());
        let is_kept =
            |keeper: &Keeper| (keeper.was_seen || !only_seen) && !keeper.has_run_out(lookback, now);
        let places = self.lock_places();
        places.former(&target.key.instance_id, asked, is_kept)
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
            let destinations: Vec<_> = regions
                .map(|region| Destination {
                    region: region.as_str().into(),
                    project: None,
                    sets: true,
                    logs: true,
                })
                .collect();
            return Ok(Whereabouts {
                // Regions that the configuration names are asked whatever the policy says.
                protected: None,
                former: self.former(target, &destinations, true),
                switched_off: Vec::new(),
                destinations,
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
        self.at(target, destinations, told.switched_off())
    }

    fn at(
        &self,
        target: &Target,
        destinations: Vec<Destination>,
        switched_off: Vec<Destination>,
    ) -> Whereabouts {
        let asked = [&destinations[..], &switched_off].concat();
        Whereabouts {
            protected: Some(!destinations.is_empty()),
            former: self.former(target, &asked, false),
            destinations,
            switched_off,
        }
    }

    /// What the lists of protected instances say of this one; nothing where they may have left it out.
    fn listed(&self, list: &OffSiteList, target: &Target) -> Option<Whereabouts> {
        let instance = &target.key.instance_id;
        let (on, off): (Vec<_>, Vec<_>) = {
            let places = self.lock_places();
            let others = places.lists.values().flat_map(|list| &list.rows);
            let rows = list.rows.iter().chain(others);
            let own = rows.filter(|row| row.id == *instance);
            own.map(|row| (row.is_on, row.copies()))
                .partition(|(is_on, _)| *is_on)
        };
        if let Some((_, copies)) = on.into_iter().next() {
            return Some(self.at(target, vec![copies?], Vec::new()));
        }
        let off = off.into_iter().filter_map(|(_, copies)| copies);
        let off = off.take(1).map(|copies| Destination {
            logs: false,
            ..copies
        });
        list.complete
            .then(|| self.at(target, Vec::new(), off.collect()))
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
                let retention = |region: &str| told.keeps_sets(region);
                self.lock_places()
                    .note(&key.instance_id, &destinations, retention);
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
                for row in list.rows.iter().filter(|row| row.is_on) {
                    let copies = row.copies();
                    places.note(&row.id, copies.as_slice(), |_| None);
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
