//! Backups as rows of the two listings: what the world holds, in the shape of the vendor's samples.

use chrono::{DateTime, FixedOffset, TimeDelta, Utc};
use serde_json::{Value, json};

use crate::world::{Backup, Engine, Instance, LocalSet, Log, draw};

/// Which of the two listings a row is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Listing<'a> {
    Local,
    /// In the region that holds the copies.
    OffSite(&'a str),
}

/// A backup with what decides on its place.
#[derive(Debug)]
pub(super) enum Row<'a> {
    /// A scheduled full or differential backup.
    Scheduled(Backup, Status),
    /// A backup that a person made.
    Manual(Backup, Status),
    Log(Log),
    /// A row that a test states, in this vendor's words.
    Stated(&'a Value),
    /// A row that a test states in general words.
    Plain(&'a LocalSet),
}

/// How a backup is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Status {
    Building,
    Completed,
    Failed,
    Deleting,
}

impl Status {
    /// Of a backup that has ended.
    pub(super) fn of(backup: &Backup) -> Self {
        if backup.failed {
            Self::Failed
        } else {
            Self::Completed
        }
    }

    const fn word(self) -> &'static str {
        match self {
            Self::Building => "BUILDING",
            Self::Completed => "COMPLETED",
            Self::Failed => "FAILED",
            Self::Deleting => "DELETING",
        }
    }
}

impl Row<'_> {
    /// Start of the backup; `None` if a stated one cannot be read.
    pub(super) fn begin(&self) -> Option<DateTime<Utc>> {
        match self {
            Self::Scheduled(backup, _) | Self::Manual(backup, _) => Some(backup.start),
            Self::Log(log) => Some(log.begin),
            Self::Stated(row) => time(row["begin_time"].as_str()?),
            Self::Plain(set) => time(&set.start),
        }
    }

    /// The row belongs to a type that is asked for.
    pub(super) fn is_of_type(
        &self,
        instance: &Instance,
        listing: Listing<'_>,
        wanted: &str,
    ) -> bool {
        let Some(kind) = self.kind(instance, listing) else {
            return true;
        };
        match listing {
            Listing::Local => kind == wanted,
            // "auto: automated full backups and manual backups": whatever is no log is asked for
            // with it.
            Listing::OffSite(_) => (kind == "incremental") == (wanted == "incremental"),
        }
    }

    /// `None` if a stated row does not say it.
    fn kind(&self, instance: &Instance, listing: Listing<'_>) -> Option<&str> {
        match self {
            // One database alone is nothing that is backed up by itself.
            Self::Scheduled(backup, _) if is_one_database(instance, backup) => Some("manual"),
            Self::Scheduled(backup, _) if backup.full => Some("auto"),
            Self::Scheduled(..) => Some("fragment"),
            // In the sample of the other region a backup with a name of a person's is `auto`.
            Self::Manual(..) if listing == Listing::Local => Some("manual"),
            Self::Manual(..) | Self::Plain(_) => Some("auto"),
            Self::Log(_) => Some("incremental"),
            Self::Stated(row) => row["type"].as_str(),
        }
    }

    /// The row has this status, as far as it can be known.
    pub(super) fn has_status(&self, wanted: &str) -> bool {
        match self {
            Self::Scheduled(_, status) | Self::Manual(_, status) => status.word() == wanted,
            Self::Log(_) => true,
            Self::Stated(row) => row["status"].as_str() == Some(wanted),
            Self::Plain(set) => plain_status(set) == wanted,
        }
    }

    /// The id as a parameter would spell it.
    pub(super) fn id(&self, instance: &Instance, listing: Listing<'_>) -> String {
        match self {
            Self::Scheduled(backup, _) => id(instance, listing, backup.slot, "backup id"),
            Self::Manual(backup, _) => id(instance, listing, backup.slot, "manual id"),
            Self::Log(log) => id(instance, listing, log.slot, "log id"),
            Self::Stated(row) => row["id"].as_str().unwrap_or_default().to_owned(),
            Self::Plain(set) => match &set.id {
                Value::String(id) => id.clone(),
                other => other.to_string(),
            },
        }
    }

    /// The row as it is sent.
    pub(super) fn json(&self, instance: &Instance, listing: Listing<'_>) -> Value {
        let (name, size, status, begin, end) = match self {
            Self::Stated(row) => return (*row).clone(),
            Self::Scheduled(backup, status) => {
                let (size, end) = outcome(instance, backup, *status);
                let name = scheduled_name(instance, backup.start);
                (
                    name,
                    size,
                    status.word(),
                    spell(instance, backup.start),
                    end,
                )
            }
            Self::Manual(backup, status) => {
                let (size, end) = outcome(instance, backup, *status);
                let name = format!(
                    "backup-{:04x}",
                    draw(&instance.id, backup.slot, "name") & 0xffff
                );
                (
                    name,
                    size,
                    status.word(),
                    spell(instance, backup.start),
                    end,
                )
            }
            Self::Log(log) => (
                log_name(instance, log),
                json!(log.size_bytes / 1024),
                Status::Completed.word(),
                spell(instance, log.begin),
                json!(spell(instance, log.last_transaction)),
            ),
            Self::Plain(set) => (
                "stated".to_owned(),
                json!(set.size.as_u64().unwrap_or_default() / 1024),
                plain_status(set),
                respell(instance, &set.start),
                json!(respell(instance, &set.end)),
            ),
        };
        let mut row = json!({
            "id": self.id(instance, listing),
            "name": name,
            "type": self.kind(instance, listing),
            "size": size,
            "status": status,
            "begin_time": begin,
            "end_time": end,
            "datastore": {
                "type": engine_of_row(instance.engine, listing),
                "version": instance.engine_version,
            },
            "instance_id": instance.id,
        });
        if instance.engine == Engine::MySql {
            row["associated_with_ddm"] = json!(false);
        }
        // What was made by hand names databases only where it holds no others; the sample of the
        // other region, where such a set is `auto`, has them all the same.
        let names_databases = match self {
            Self::Manual(..) => listing != Listing::Local,
            Self::Scheduled(..) | Self::Log(_) | Self::Plain(_) | Self::Stated(_) => true,
        };
        if instance.engine == Engine::SqlServer && names_databases {
            row["databases"] = json!([{ "name": database(instance) }]);
        }
        if listing == Listing::Local {
            row["min_data_volume_capacity_for_restore"] = json!(40);
        }
        row
    }
}

/// It holds one database. The vendor makes such backups by hand, and of SQL Server only.
fn is_one_database(instance: &Instance, backup: &Backup) -> bool {
    backup.one_database && instance.engine == Engine::SqlServer
}

/// Size in KB and end time: a running backup has neither yet.
fn outcome(instance: &Instance, backup: &Backup, status: Status) -> (Value, Value) {
    if status == Status::Building {
        return (json!(0), Value::Null);
    }
    (
        json!(backup.size_bytes / 1024),
        json!(spell(instance, backup.end)),
    )
}

/// Ids differ in each region: no page says that they do not.
fn id(instance: &Instance, listing: Listing<'_>, slot: i64, purpose: &str) -> String {
    let region = match listing {
        Listing::Local => &instance.region,
        Listing::OffSite(region) => region,
    };
    let place = format!("{}/{region}", instance.id);
    // The samples end in two digits that stand for the engine.
    let engine = match instance.engine {
        Engine::PostgreSql => "03",
        Engine::SqlServer => "04",
        _ => "01",
    };
    let (high, low) = (draw(&place, slot, purpose), draw(purpose, slot, &place));
    format!("{high:016x}{low:016x}br{engine}")
}

/// As in the sample, with the start down to milliseconds; the same name in each region.
fn scheduled_name(instance: &Instance, start: DateTime<Utc>) -> String {
    let engine = engine(instance.engine).to_lowercase();
    format!(
        "{engine}-{}-{}",
        instance.name,
        start.format("%Y%m%d%H%M%S%3f")
    )
}

fn log_name(instance: &Instance, log: &Log) -> String {
    match instance.engine {
        Engine::PostgreSql => format!("{:024X}", log.slot),
        Engine::SqlServer => format!("{}_{}.trn", database(instance), log.slot),
        _ => format!("mysql-bin.{:06}", log.slot.rem_euclid(1_000_000)),
    }
}

/// Name of the only database.
fn database(instance: &Instance) -> &str {
    &instance.name
}

/// In the sample of the other region SQL Server is spelled in lower case.
fn engine_of_row(name: Engine, listing: Listing<'_>) -> &'static str {
    match (name, listing) {
        (Engine::SqlServer, Listing::OffSite(_)) => "sqlserver",
        _ => engine(name),
    }
}

/// The vendor's name of an engine.
pub(super) fn engine(engine: Engine) -> &'static str {
    match engine {
        Engine::MySql => "MySQL",
        Engine::PostgreSql => "PostgreSQL",
        Engine::SqlServer => "SQLServer",
        Engine::MariaDb => "MariaDB",
        Engine::Redis => "Redis",
    }
}

/// China's offset, but none for SQL Server: so the samples have it.
pub(super) fn spell(instance: &Instance, time: DateTime<Utc>) -> String {
    const HOURS_EAST: i32 = 8;
    let offset = match instance.engine {
        Engine::SqlServer => None,
        _ => FixedOffset::east_opt(HOURS_EAST * 3600),
    };
    match offset {
        Some(offset) => time.with_timezone(&offset).format("%Y-%m-%dT%H:%M:%S%z"),
        None => time.fixed_offset().format("%Y-%m-%dT%H:%M:%S%z"),
    }
    .to_string()
}

/// A time that was stated in the words of another vendor; nonsense stays.
fn respell(instance: &Instance, text: &str) -> String {
    time(text).map_or_else(|| text.to_owned(), |time| spell(instance, time))
}

fn plain_status(set: &LocalSet) -> &str {
    match set.status.as_ref().and_then(Value::as_str) {
        Some("Success") => Status::Completed.word(),
        Some("Failed") => Status::Failed.word(),
        other => other.unwrap_or_default(),
    }
}

/// A stated time, with any offset.
fn time(text: &str) -> Option<DateTime<Utc>> {
    let time = DateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%.f%#z").ok()?;
    Some(time.to_utc())
}

/// A backup that a person started, with the size of a scheduled one.
pub(super) fn manual(instance: &Instance, number: usize, start: DateTime<Utc>) -> Backup {
    let slot = i64::try_from(number).unwrap_or(0);
    let size = instance
        .schedule
        .as_ref()
        .map_or(1 << 30, |schedule| schedule.size_bytes);
    Backup {
        slot,
        start,
        end: start + TimeDelta::minutes(10),
        consistent: start,
        full: true,
        one_database: false,
        failed: false,
        size_bytes: size,
    }
}
