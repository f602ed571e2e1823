//! What the vendor was told to copy, of up to thirty instances with one question.
//!
//! An instance for which copying was never enabled has no item. That is known only when all items were read.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};

use super::answer::read_page;
use super::normalise::description;
use super::{Alibaba, refusal, wire};
use crate::backup::{
    Anomaly, BackupType, CLOCK_TOLERANCE, ListingKind, Policy, PolicySwitch, Reading, Scope,
};
use crate::provider::error::{ListError, Reason, VendorWord};
use crate::provider::http::Answer;
use crate::provider::page::{End, PageRead, Paging};
use crate::provider::row::{Oddities, Page};
use crate::provider::scalar::{Row, Scalar};
use crate::provider::{Call, Courier, Parameter, ReadTogether};
use crate::service::alibaba_rds::DESCRIBE_POLICIES;
use crate::target::Target;

/// As many as may be asked about at once.
const PAGE_SIZE: usize = 30;

impl Alibaba {
    /// Reads the policies of several instances of a region with one question.
    pub(super) async fn policies_together(
        &self,
        targets: &[Arc<Target>],
        courier: &impl Courier,
    ) -> ReadTogether {
        if let [only] = targets {
            let read = self.list(ListingKind::Policy, only, courier).await;
            return ReadTogether {
                read: vec![(only.key.clone(), read)],
                one_by_one: Vec::new(),
            };
        }
        let asked: Vec<&Target> = targets.iter().map(|target| &**target).collect();
        let outcomes: Vec<Result<Reading, ListError>> = match self.policies(&asked, courier).await {
            Ok(policies) => policies.into_iter().map(|read| Ok(read.into())).collect(),
            Err(error) if may_be_about_one(&error) => {
                return ReadTogether {
                    one_by_one: targets.to_vec(),
                    ..ReadTogether::default()
                };
            }
            Err(error) => {
                let of = |target: &&Target| ListError {
                    instance: Arc::clone(&target.key.instance_id),
                    ..error.clone()
                };
                asked.iter().map(|target| Err(of(target))).collect()
            }
        };
        let keys = targets.iter().map(|target| target.key.clone());
        ReadTogether {
            read: keys.zip(outcomes).collect(),
            one_by_one: Vec::new(),
        }
    }

    /// Reads the policy of one instance.
    pub(super) async fn policy(
        &self,
        target: &Target,
        courier: &impl Courier,
    ) -> Result<Policy, ListError> {
        let policies = self.policies(&[target], courier).await?;
        Ok(policies.into_iter().next().unwrap_or_default())
    }

    /// Reads the policies of these instances of one region, in their order.
    async fn policies(
        &self,
        targets: &[&Target],
        courier: &impl Courier,
    ) -> Result<Vec<Policy>, ListError> {
        let mut told = Told::about(targets);
        let mut paging = Paging::new(PAGE_SIZE, End::ShortPage);
        self.read_rows(
            self.lookback.sets,
            &mut paging,
            courier,
            |_, page| policies_call(targets, page),
            read_policies,
            |paging, page| told.take(paging, page, self.clock.now()),
        )
        .await?;
        let policies = told.policies(paging.is_complete());
        for (target, policy) in targets.iter().zip(&policies) {
            let engine = policy.description.engine.as_deref();
            self.learnt.engine(&target.key, engine);
        }
        Ok(policies)
    }
}

/// Whether one instance may be the reason why a question about several was refused.
fn may_be_about_one(error: &ListError) -> bool {
    let code = error.code.as_ref().map(VendorWord::as_str);
    matches!(
        error.reason,
        Reason::NotFound | Reason::Unsupported | Reason::BadRequest
    ) || code.is_some_and(refusal::is_about_one_instance)
}

fn policies_call(targets: &[&Target], page: u32) -> Call {
    let ids: Vec<&str> = targets
        .iter()
        .map(|target| &*target.key.instance_id)
        .collect();
    let region = targets.first().map(|first| &first.key.source_region);
    let region = region.map_or_else(|| Arc::from(""), Arc::clone);
    Call {
        operation: DESCRIBE_POLICIES,
        instance: match targets {
            [only] => Arc::clone(&only.key.instance_id),
            _ => format!("{} instances", targets.len()).into(),
        },
        parameters: vec![
            ("RegionId", Parameter::text(&*region)),
            ("DBInstanceId", Parameter::Text(ids.join(","))),
            ("PageNumber", Parameter::Number(page.into())),
            ("PageSize", Parameter::Number(PAGE_SIZE as u64)),
        ],
        region,
        project: None,
    }
}

pub(super) fn read_policies(
    call: &Call,
    answer: &Answer,
) -> Result<Page<wire::PolicyRow>, ListError> {
    read_page(call, answer, |page: wire::PoliciesPage| {
        let items = page.items.0;
        (page.total_records, items.map(|items| items.rows))
    })
}

/// What the items tell about the instances that were asked about.
#[derive(Debug)]
pub(super) struct Told {
    instances: Vec<(Arc<str>, Items)>,
    /// Items that name nobody.
    nameless: usize,
    /// Items that cannot be read.
    unreadable: usize,
}

/// What the items of one instance tell.
#[derive(Debug, Default)]
struct Items {
    policy: Policy,
    read: bool,
    /// Whether an item does not tell if it copies anything.
    unclear: bool,
}

impl Told {
    pub(super) fn about(targets: &[&Target]) -> Self {
        let ids = targets.iter().map(|target| &target.key.instance_id);
        Self {
            instances: ids.map(|id| (Arc::clone(id), Items::default())).collect(),
            nameless: 0,
            unreadable: 0,
        }
    }

    /// Takes in a page. Items of instances that were not asked about are none of our business.
    pub(super) fn take(
        &mut self,
        paging: &mut Paging,
        page: Page<wire::PolicyRow>,
        now: DateTime<Utc>,
    ) {
        let rows = page.rows.len();
        let mut new_rows = 0;
        for Row(row) in page.rows {
            let Some(row) = row else {
                self.unreadable += 1;
                new_rows += 1;
                continue;
            };
            let id = row.db_instance_id.text();
            let region = row.cross_backup_region.text().unwrap_or_default();
            // An instance may have an item for each region that it is copied to.
            let is_new = paging.is_new(id.as_ref().map(|id| format!("{id} {region}")));
            new_rows += usize::from(is_new);
            self.nameless += usize::from(id.is_none());
            let items = self
                .instances
                .iter_mut()
                .find(|(asked, _)| id.as_deref() == Some(&**asked));
            match items {
                Some((_, items)) if is_new => items.take(&row, &region, now),
                Some((_, items)) => items.policy.anomalies.push(Anomaly::Duplicate),
                None => {}
            }
        }
        paging.read(PageRead {
            rows,
            new_rows,
            total: page.total,
        });
    }

    /// What it comes to, in the order of the instances, if all items were read or not.
    pub(super) fn policies(self, all_read: bool) -> Vec<Policy> {
        // An item that names nobody may be anybody's.
        let all_read = all_read && self.nameless + self.unreadable == 0;
        let items = self.instances.into_iter();
        let mut policies: Vec<_> = items.map(|(_, items)| items.policy(all_read)).collect();
        if let Some(first) = policies.first_mut() {
            let anomalies = std::iter::repeat_n(Anomaly::UnknownStatus, self.nameless);
            first.anomalies.extend(anomalies);
            let anomalies = std::iter::repeat_n(Anomaly::BadRow, self.unreadable);
            first.anomalies.extend(anomalies);
        }
        policies
    }
}

impl Items {
    fn take(&mut self, row: &wire::PolicyRow, region: &str, now: DateTime<Utc>) {
        let mut odd = Oddities::new(now);
        let policy = &mut self.policy;
        self.read = true;
        let copies_data = is_on(&row.backup_enabled);
        let copies_logs = is_on(&row.log_backup_enabled);
        match copies_data {
            Some(true) => {
                policy.protected = Some(true);
                let since = odd.time(row.backup_enabled_time.time());
                let since = since.filter(|since| {
                    let is_past = *since <= now + CLOCK_TOLERANCE;
                    if !is_past {
                        odd.note(Anomaly::FutureTime);
                    }
                    is_past
                });
                policy.since = [policy.since, since].into_iter().flatten().min();
            }
            // The time that may stand beside it is that of an earlier protection.
            Some(false) => policy.protected = policy.protected.or(Some(false)),
            None => {
                self.unclear = true;
                odd.note(Anomaly::UnknownStatus);
            }
        }
        if copies_logs.is_none() && row.log_backup_enabled != Scalar::Absent {
            odd.note(Anomaly::UnknownStatus);
        }
        let retention = odd.size(&row.retention).and_then(days);
        let switches = [
            (BackupType::Full, copies_data),
            (BackupType::Log, copies_logs),
        ];
        policy.switches.extend(
            switches
                .into_iter()
                .filter_map(|(backup_type, enabled)| Some((backup_type, enabled?)))
                .map(|(backup_type, enabled)| PolicySwitch {
                    scope: Scope::CrossRegion,
                    backup_region: region.to_owned(),
                    backup_type,
                    enabled,
                    retention,
                }),
        );
        let described = description(
            &row.db_instance_description,
            &row.engine,
            &row.engine_version,
        );
        let description = &mut policy.description;
        description.name = description.name.take().or(described.name);
        if description.engine.is_none() {
            description.engine = described.engine;
            description.engine_version = described.engine_version;
        }
        policy.anomalies.extend(odd.alone().anomalies);
    }

    fn policy(self, all_read: bool) -> Policy {
        let mut policy = self.policy;
        policy.complete = all_read;
        if !self.read && all_read {
            policy.protected = Some(false);
            policy.switches = [BackupType::Full, BackupType::Log]
                .map(|backup_type| PolicySwitch {
                    scope: Scope::CrossRegion,
                    backup_region: String::new(),
                    backup_type,
                    enabled: false,
                    retention: None,
                })
                .to_vec();
        }
        // That one region gets nothing does not tell that no region gets anything.
        if self.unclear && policy.protected == Some(false) {
            policy.protected = None;
        }
        policy
    }
}

/// What a switch says. The listing writes `Enable`; the operation that sets the same switch takes 1.
fn is_on(switch: &Scalar) -> Option<bool> {
    match switch.text()?.to_lowercase().as_str() {
        "enable" | "enabled" | "1" => Some(true),
        "disable" | "disabled" | "0" => Some(false),
        _ => None,
    }
}

/// So many days, where it is any.
fn days(days: u64) -> Option<Duration> {
    const A_DAY: u64 = 24 * 3600;
    let seconds = days.checked_mul(A_DAY).filter(|seconds| *seconds > 0)?;
    Some(Duration::from_secs(seconds))
}
