//! What there really is, whatever an answer says of it: for a judge that must not trust answers. What a
//! test states row by row is no part of it, as nobody knows what would be restored from it.

use chrono::{DateTime, Utc};

use super::instance::{Engine, Instance, Vendor};
use super::{Backup, Holding, World};

/// An instance, and what it could be restored from.
#[derive(Clone, Debug, PartialEq)]
pub struct Truth {
    /// Whose cloud it is with.
    pub vendor: Vendor,
    /// Name of the owning account.
    pub account: String,
    /// Region in which the instance runs.
    pub region: String,
    /// Database engine.
    pub engine: Engine,
    /// Version of the engine in the vendor's spelling.
    pub engine_version: String,
    /// It has not been released.
    pub is_there: bool,
    /// The vendor copies instances like this one.
    pub can_be_copied: bool,
    /// Where its policy copies it to, and whether that is switched on.
    pub destinations: Vec<(String, bool)>,
    /// When the policy was last switched on; `None` is before all history.
    pub copied_since: Option<DateTime<Utc>>,
    /// What is kept in its own region.
    pub local: Vec<Restorable>,
    /// What is kept in other regions.
    pub copies: Vec<(String, Restorable)>,
    /// Copied log files in other regions, from the newest data there on, oldest first.
    pub logs: Vec<(String, LogFile)>,
}

/// A finished set from which the whole instance can be restored, alone or upon a full one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Restorable {
    /// Start of the backup.
    pub start: DateTime<Utc>,
    /// When it ended, as the vendor tells it where it is kept.
    pub end: DateTime<Utc>,
    /// Since when it has been listed there.
    pub listed: DateTime<Utc>,
    /// The instant that its data is of.
    pub consistent: DateTime<Utc>,
    /// It needs no other set.
    pub full: bool,
}

/// A log file that is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogFile {
    /// Begin of the stretch of time that it holds.
    pub begin: DateTime<Utc>,
    /// Its end.
    pub end: DateTime<Utc>,
    /// Commit time of the last transaction in it.
    pub last_transaction: DateTime<Utc>,
    /// Since when it has been listed.
    pub listed: DateTime<Utc>,
}

impl World {
    /// What there is of an instance; nothing of one that was removed.
    pub(crate) fn truth(&self, id: &str, now: DateTime<Utc>) -> Option<Truth> {
        let holding = self.instances.get(id)?;
        let instance = &holding.instance;
        let vendor = self.accounts.get(&instance.account)?.vendor;
        let is_on = holding.policy().is_on();
        let destinations = instance.destinations.iter();
        let copies = copies(holding, vendor, now);
        let logs = logs(holding, vendor, &copies, now);
        Some(Truth {
            vendor,
            account: instance.account.clone(),
            region: instance.region.clone(),
            engine: instance.engine,
            engine_version: instance.engine_version.clone(),
            is_there: !holding.is_released(),
            can_be_copied: !instance.cross_region_unsupported,
            destinations: destinations
                .filter(|destination| destination.is_in_use() || destination.is_named)
                .map(|destination| {
                    let region = &destination.region;
                    (region.clone(), is_on && holding.copies_to(destination))
                })
                .collect(),
            copied_since: holding.policy().enabled_at(),
            // Whoever releases an instance loses its local sets, but not at Volcengine.
            local: if holding.is_released() && vendor != Vendor::Volcengine {
                Vec::new()
            } else {
                let backups = holding.backups(now);
                let made = backups.iter();
                made.filter_map(|backup| restorable(vendor, instance, backup))
                    .collect()
            },
            copies,
            logs,
        })
    }
}

/// What a backup is really worth, whatever its row says.
fn restorable(vendor: Vendor, instance: &Instance, backup: &Backup) -> Option<Restorable> {
    let knows_one_database = vendor == Vendor::Alibaba
        || vendor == Vendor::Huawei && instance.engine == Engine::SqlServer;
    let is_whole = !(backup.one_database && knows_one_database);
    (!backup.failed && backup.size_bytes > 0 && is_whole).then_some(Restorable {
        start: backup.start,
        end: backup.end,
        listed: backup.end,
        // Nothing is consistent after its end.
        consistent: if backup.consistent > backup.end {
            backup.start
        } else {
            backup.consistent
        },
        full: backup.full,
    })
}

fn copies(holding: &Holding, vendor: Vendor, now: DateTime<Utc>) -> Vec<(String, Restorable)> {
    let instance = &holding.instance;
    if instance.cross_region_unsupported {
        return Vec::new();
    }
    let mut copies = Vec::new();
    for copy in holding.copies(now) {
        let is_elsewhere = !copy.at_home || vendor == Vendor::Huawei;
        // Huawei's differential backups stay at home.
        let is_copied = copy.backup.full || vendor != Vendor::Huawei;
        if let Some(set) = restorable(vendor, instance, &copy.backup)
            && is_elsewhere
            && is_copied
        {
            // Huawei's copies tell when the backup ended, the others when the copy did.
            let end = if vendor == Vendor::Huawei {
                set.end
            } else {
                copy.end
            };
            let listed = copy.end;
            copies.push((copy.region, Restorable { end, listed, ..set }));
        }
    }
    copies
}

fn logs(
    holding: &Holding,
    vendor: Vendor,
    copies: &[(String, Restorable)],
    now: DateTime<Utc>,
) -> Vec<(String, LogFile)> {
    let instance = &holding.instance;
    // Huawei deletes them when the policy is switched off, and they do not come back with it.
    let since = holding.policy().enabled_at();
    let keeps = |end: DateTime<Utc>| {
        vendor != Vendor::Huawei || holding.is_protected() && since.is_none_or(|since| since <= end)
    };
    let mut logs = Vec::new();
    for destination in &instance.destinations {
        let region = &destination.region;
        let here = copies.iter().filter(|(place, _)| place == region);
        let Some(base) = here.map(|(_, set)| set.start).max() else {
            continue;
        };
        let kept = holding.copied_logs(region, base - instance.logs.every..=now, now);
        let kept = kept.into_iter().filter(|log| keeps(log.end));
        logs.extend(kept.map(|log| {
            let file = LogFile {
                begin: log.begin,
                end: log.end,
                last_transaction: log.last_transaction,
                listed: holding.copied(log.end, region).unwrap_or(log.end),
            };
            (region.clone(), file)
        }));
    }
    logs
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::instance::{Account, Quirk, Schedule};
    use super::*;

    const DAY: Duration = Duration::from_secs(86400);

    fn noon() -> DateTime<Utc> {
        "2026-06-15T12:00:00Z".parse().unwrap()
    }

    fn world(vendor: Vendor) -> World {
        let account = Account {
            name: "a".to_owned(),
            vendor,
            ..Account::default()
        };
        let mut instance = Instance::new("rm-1", "cn-hangzhou")
            .account("a")
            .schedule(Schedule::every(DAY))
            .copied_to("cn-shanghai", Duration::from_secs(7200));
        instance.retention = DAY * 10;
        World::new(&[account], &[instance], noon(), DateTime::UNIX_EPOCH)
    }

    fn counts(world: &World) -> (usize, usize) {
        let truth = world.truth("rm-1", noon()).unwrap();
        (truth.local.len(), truth.copies.len())
    }

    #[test]
    fn what_looks_better_than_it_is_is_told_for_what_it_is() {
        for (quirk, alibaba, huawei) in [
            (Quirk::Empty, (6, 6), (6, 6)),
            // Huawei knows single databases of SQL Server only.
            (Quirk::OneDatabase, (6, 6), (10, 10)),
            (Quirk::FullsLost, (6, 6), (6, 6)),
            (Quirk::ConsistentLate, (10, 10), (10, 10)),
            // Huawei is asked where the copies are, so they cannot be elsewhere.
            (Quirk::CopiedHome, (10, 6), (10, 10)),
        ] {
            for (vendor, expected) in [(Vendor::Alibaba, alibaba), (Vendor::Huawei, huawei)] {
                let mut world = world(vendor);
                assert_eq!(counts(&world), (10, 10));
                world.begin_quirk("rm-1", quirk, noon() - DAY * 4);
                assert_eq!(counts(&world), expected, "{quirk:?} {vendor:?}");
                let truth = world.truth("rm-1", noon()).unwrap();
                let mut sets = truth.local.iter();
                assert!(sets.all(|set| set.consistent <= set.end), "{quirk:?}");
            }
        }
    }

    #[test]
    fn what_failed_or_was_released_restores_nothing() {
        let mut world = world(Vendor::Alibaba);
        world.fail_backup("rm-1", noon());
        assert_eq!(counts(&world), (9, 9));
        world.release_instance("rm-1", noon());
        assert_eq!(counts(&world), (0, 9));
        assert!(!world.truth("rm-1", noon()).unwrap().is_there);
        world.remove_instance("rm-1");
        assert_eq!(world.truth("rm-1", noon()), None);
    }

    #[test]
    fn logs_are_told_from_the_newest_copy_on() {
        let truth = world(Vendor::Alibaba).truth("rm-1", noon()).unwrap();
        let newest = truth.copies.iter().map(|(_, set)| set.start).max().unwrap();
        let (region, first) = &truth.logs[0];
        assert!(region == "cn-shanghai" && first.begin <= newest && newest < first.end);
        let (_, last) = truth.logs.last().unwrap();
        assert!(last.listed <= noon() && last.end <= noon() - Duration::from_secs(7200));
    }
}
