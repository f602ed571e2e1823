//! Backups and their copies as rows, in the shape of the vendor's samples, and the names and links
//! in them.

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use serde_json::{Map, Value, json};

use super::{DOWNLOAD_ACCESS_KEY_ID, DOWNLOAD_SIGNATURE};
use crate::world::{Backup, Copy, CrossRegionSet, Engine, Instance, LocalSet, draw};

/// A row before it is written: there may be thousands, of which a page shows a hundred.
pub(super) enum Row<'a> {
    Backup(Backup),
    Copy(Copy),
    StatedBackup(&'a LocalSet),
    StatedCopy(&'a CrossRegionSet),
}

impl Row<'_> {
    /// Start of the backup; `None` if a stated one cannot be read.
    pub(super) fn start(&self) -> Option<DateTime<Utc>> {
        match self {
            Self::Backup(backup) => Some(backup.start),
            Self::Copy(copy) => Some(copy.backup.start),
            Self::StatedBackup(set) => time(&set.start),
            Self::StatedCopy(set) => time(&set.start),
        }
    }

    pub(super) fn is_in_every_range(&self) -> bool {
        match self {
            Self::Backup(_) | Self::Copy(_) => false,
            Self::StatedBackup(set) => set.in_every_range,
            Self::StatedCopy(set) => set.in_every_range,
        }
    }

    /// Id of the local set that a copy was made of.
    pub(super) fn local_id(&self, instance: &Instance) -> Option<String> {
        match self {
            Self::Copy(copy) => Some(local_id(instance, &copy.backup)),
            Self::Backup(_) | Self::StatedBackup(_) | Self::StatedCopy(_) => None,
        }
    }

    /// Size of a local set; `None` if a stated one is no number.
    pub(super) fn size(&self) -> Option<u64> {
        match self {
            Self::Backup(backup) => Some(backup.size_bytes),
            Self::StatedBackup(set) => set.extra.get("BackupSize").unwrap_or(&set.size).as_u64(),
            Self::Copy(_) | Self::StatedCopy(_) => None,
        }
    }

    /// The row as it is sent.
    pub(super) fn fields(&self, instance: &Instance, now: DateTime<Utc>) -> Map<String, Value> {
        match self {
            Self::Backup(backup) => local_row(instance, backup, now),
            Self::Copy(copy) => copy_row(instance, copy, now),
            Self::StatedBackup(set) => stated_local_row(instance, set, now),
            Self::StatedCopy(set) => stated_copy_row(instance, set, now),
        }
    }
}

/// A field as a parameter would spell it.
pub(super) fn text(fields: &Map<String, Value>, field: &str) -> String {
    match fields.get(field) {
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
        None => String::new(),
    }
}

fn local_row(instance: &Instance, backup: &Backup, now: DateTime<Utc>) -> Map<String, Value> {
    let id = local_id(instance, backup);
    let file = file_name(instance, backup.start);
    // A timestamp for MySQL 5.6, 0 for everything else.
    let has_consistent_time =
        instance.engine == Engine::MySql && instance.engine_version == "5.6" && !backup.failed;
    object(json!({
        "BackupId": id,
        "DBInstanceId": instance.id,
        "HostInstanceID": host_number(instance),
        "BackupStatus": if backup.failed { "Failed" } else { "Success" },
        "BackupStartTime": spell(backup.start),
        "BackupEndTime": spell(backup.end),
        "BackupType": if backup.full { "FullBackup" } else { "IncrementalBackup" },
        "BackupMode": "Automated",
        "BackupMethod": if backup.one_database { "Logical" } else { "Physical" },
        "BackupInitiator": "System",
        // The samples show the first; the other is guessed from the name of a field.
        "BackupScale": if backup.one_database { "DataBase" } else { "DBInstance" },
        "BackupLocation": "OSS",
        "BackupSize": backup.size_bytes,
        "ConsistentTime": if has_consistent_time { backup.consistent.timestamp() } else { 0 },
        "IsAvail": i32::from(!backup.failed),
        "MetaStatus": if backup.failed { "EMPTY" } else { "" },
        "StoreStatus": "Disabled",
        "StorageClass": "0",
        "Checksum": draw(&instance.id, backup.slot, "checksum").to_string(),
        "Encryption": "{}",
        "Engine": local_engine(instance.engine),
        "EngineVersion": instance.engine_version,
        "BackupDownloadURL": if backup.failed { String::new() } else { local_link(instance, "", &file, now) },
        "BackupIntranetDownloadURL": if backup.failed { String::new() } else { local_link(instance, "-internal", &file, now) },
    }))
}

fn stated_local_row(instance: &Instance, set: &LocalSet, now: DateTime<Utc>) -> Map<String, Value> {
    let file = file_name(instance, time(&set.start).unwrap_or(now));
    let mut fields = object(json!({
        "BackupId": set.id,
        "DBInstanceId": set.instance_id.as_ref().unwrap_or(&instance.id),
        "HostInstanceID": host_number(instance),
        "BackupStartTime": set.start,
        "BackupEndTime": set.end,
        "BackupSize": set.size,
        "MetaStatus": "",
        "StoreStatus": "Disabled",
        "Engine": local_engine(instance.engine),
        "EngineVersion": instance.engine_version,
        "BackupDownloadURL": local_link(instance, "", &file, now),
        "BackupIntranetDownloadURL": local_link(instance, "-internal", &file, now),
    }));
    insert_present(&mut fields, "BackupStatus", set.status.as_ref());
    insert_present(&mut fields, "BackupType", set.backup_type.as_ref());
    insert_present(&mut fields, "ConsistentTime", set.consistent_time.as_ref());
    insert_present(&mut fields, "BackupMode", set.mode.as_ref());
    insert_present(&mut fields, "BackupMethod", set.method.as_ref());
    insert_present(&mut fields, "IsAvail", set.is_available.as_ref());
    insert_present(&mut fields, "ExpectExpireTime", set.expires.as_ref());
    fields.extend(set.extra.clone());
    fields
}

fn copy_row(instance: &Instance, copy: &Copy, now: DateTime<Utc>) -> Map<String, Value> {
    let region = copy.told_region(instance);
    let file = file_name(instance, copy.backup.start);
    let mut fields = object(json!({
        "CrossBackupId": copy_id(instance, copy),
        "CrossBackupRegion": region,
        "CrossBackupSetFile": file,
        "CrossBackupSetLocation": "oss",
        "CrossBackupSetSize": copy.backup.size_bytes,
        "CrossBackupDownloadLink": copy_link(region, &file, now),
        "BackupStartTime": spell(copy.backup.start),
        // "The time when the cross-region data backup file was generated", so not the end of the
        // local set.
        "BackupEndTime": spell(copy.end),
        "BackupType": if copy.backup.full { "F" } else { "I" },
        "BackupMethod": if copy.backup.one_database { "L" } else { "P" },
        "BackupSetScale": i32::from(copy.backup.one_database),
    }));
    describe_instance(&mut fields, instance);
    fields.insert(
        "RestoreRegions".to_owned(),
        json!({ "RestoreRegion": restore_regions(instance, region) }),
    );
    if instance.engine == Engine::SqlServer {
        // The vendor's SQL Server sample has neither status nor consistent time, but this.
        fields.insert("HasBackupTableMeta".to_owned(), json!("1"));
    } else {
        fields.insert("BackupSetStatus".to_owned(), json!(0));
        fields.insert(
            "ConsistentTime".to_owned(),
            json!(spell(copy.backup.consistent)),
        );
    }
    fields
}

fn stated_copy_row(
    instance: &Instance,
    set: &CrossRegionSet,
    now: DateTime<Utc>,
) -> Map<String, Value> {
    let file = file_name(instance, time(&set.start).unwrap_or(now));
    let usual_restore_regions = json!({ "RestoreRegion": [set.region] });
    let mut fields = object(json!({
        "CrossBackupId": set.id,
        "CrossBackupRegion": set.region,
        "CrossBackupSetFile": file,
        "CrossBackupSetLocation": "oss",
        "CrossBackupSetSize": set.size,
        "CrossBackupDownloadLink": copy_link(&set.region, &file, now),
        "BackupStartTime": set.start,
        "BackupEndTime": set.end,
        "BackupSetScale": 0,
        "RestoreRegions": if set.restore_regions.is_null() { &usual_restore_regions } else { &set.restore_regions },
    }));
    describe_instance(&mut fields, instance);
    insert_present(&mut fields, "BackupSetStatus", set.status.as_ref());
    insert_present(&mut fields, "BackupType", set.backup_type.as_ref());
    insert_present(&mut fields, "ConsistentTime", set.consistent_time.as_ref());
    insert_present(&mut fields, "BackupMethod", set.method.as_ref());
    fields.extend(set.extra.clone());
    fields
}

/// What every row of the cross-region listing says of its instance. Its own id is not among it.
fn describe_instance(fields: &mut Map<String, Value>, instance: &Instance) {
    let sql_server = instance.engine == Engine::SqlServer;
    fields.extend(object(json!({
        "InstanceId": host_number(instance),
        "Engine": copy_engine(instance.engine),
        "EngineVersion": instance.engine_version,
        "Category": if sql_server { "Basic" } else { "HighAvailability" },
        "DBInstanceStorageType": if sql_server { "ecs" } else { "ssd" },
    })));
}

fn insert_present(fields: &mut Map<String, Value>, name: &str, value: Option<&Value>) {
    if let Some(value) = value {
        fields.insert(name.to_owned(), value.clone());
    }
}

pub(super) fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(fields) => fields,
        _ => Map::new(),
    }
}

/// Only the destination for SQL Server, the source as well otherwise, as in the samples.
fn restore_regions<'a>(instance: &'a Instance, destination: &'a str) -> Vec<&'a str> {
    if instance.engine == Engine::SqlServer {
        vec![destination]
    } else {
        vec![&instance.region, destination]
    }
}

/// Lower case and internal in the cross-region listing. The samples show `mysql` and `mssql`; the
/// others are guessed from them.
fn copy_engine(engine: Engine) -> &'static str {
    match engine {
        Engine::MySql => "mysql",
        Engine::PostgreSql => "postgresql",
        Engine::SqlServer => "mssql",
        Engine::MariaDb => "mariadb",
        Engine::Redis => "redis",
    }
}

pub(super) fn local_engine(engine: Engine) -> &'static str {
    match engine {
        Engine::MySql => "MySQL",
        Engine::PostgreSql => "PostgreSQL",
        Engine::SqlServer => "SQLServer",
        Engine::MariaDb => "MariaDB",
        Engine::Redis => "Redis",
    }
}

/// Number of the host instance that made the set, the same as in the file name.
pub(super) fn host_number(instance: &Instance) -> u64 {
    8_000_000 + draw(&instance.id, 0, "host") % 1_000_000
}

/// The pages declare a string.
fn local_id(instance: &Instance, backup: &Backup) -> String {
    (i128::from(draw(&instance.id, 0, "local id") % 9 + 1) * 100_000_000 + i128::from(backup.slot))
        .to_string()
}

/// Beyond 32 bits, which the vendor's own clients declare, and different in each destination.
pub(super) fn copy_id(instance: &Instance, copy: &Copy) -> i64 {
    let place = instance
        .destinations
        .iter()
        .position(|destination| destination.region == copy.region)
        .unwrap_or(0);
    let base =
        i64::try_from(draw(&instance.id, 0, "copy id") % 90 + 1).unwrap_or(1) * 10_000_000_000;
    base + i64::try_from(place).unwrap_or(0) * 100_000_000 + copy.backup.slot
}

fn file_name(instance: &Instance, start: DateTime<Utc>) -> String {
    // The samples' file names carry China's time.
    let stamp = (start + TimeDelta::hours(8)).format("%Y%m%d%H%M%S");
    let ending = if instance.engine == Engine::SqlServer {
        ".zip"
    } else {
        "_qp.xb"
    };
    format!(
        "{}_{}_hins{}_data_{stamp}{ending}",
        instance.region,
        instance.id,
        host_number(instance)
    )
}

fn local_link(instance: &Instance, network: &str, file: &str, now: DateTime<Utc>) -> String {
    let region = &instance.region;
    let custins = draw(&instance.id, 0, "custins") % 100_000_000;
    format!(
        "http://rdsbak-{region}.oss-{region}{network}.aliyuncs.com/custins{custins}/{file}?{}",
        grant(now)
    )
}

pub(super) fn copy_link(region: &str, file: &str, now: DateTime<Utc>) -> String {
    format!(
        "http://rdsddrbak-{region}.oss-{region}.aliyuncs.com/{file}?{}",
        grant(now)
    )
}

/// Whoever has this may download the whole database, so it must not leave the exporter; the face
/// lets tests look for it.
fn grant(now: DateTime<Utc>) -> String {
    let expires = (now + TimeDelta::hours(1)).timestamp();
    format!(
        "OSSAccessKeyId={DOWNLOAD_ACCESS_KEY_ID}&Expires={expires}&Signature={DOWNLOAD_SIGNATURE}%3D"
    )
}

pub(super) fn spell(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// A stated time in either spelling of the pages.
pub(super) fn time(text: &str) -> Option<DateTime<Utc>> {
    let minutes = text.strip_suffix('Z').map(|start| format!("{start}:00Z"));
    text.parse().ok().or_else(|| minutes?.parse().ok())
}
