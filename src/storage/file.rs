//! The file of stored facts: what stands in which table, and what has to be written after a change.
//!
//! A commit is durable when it returns, and a file whose last commit was cut short is as it was before that commit: that
//! is `redb`'s promise. Each page carries a checksum, and all of them are compared when the file is opened, so that what
//! is taken back is what was stored.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::hash::{DefaultHasher, Hasher};
use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;

use redb::backends::InMemoryBackend;
use redb::{
    Builder, Database, ReadTransaction, ReadableDatabase, ReadableTable, StorageBackend,
    TableDefinition, TableError, WriteTransaction,
};

use super::fault::Fault;
use super::record::{
    self, AttemptRecord, FindingRecord, InstanceMatter, InstanceRecord, RegionRecord, Unreadable,
    VERSION,
};
use crate::backup::ListingKind;
use crate::facts::{Changes, Facts, InstanceFacts, ListingFacts, RegionFacts, RegionKey};
use crate::target::{InstanceKey, Objectives, Target};

/// The version of what stands in the other tables.
const ABOUT: TableDefinition<'_, &str, u64> = TableDefinition::new("about");
/// By the number of the instance. Numbers keep the keys short that are written most often.
const INSTANCES: TableDefinition<'_, u32, &[u8]> = TableDefinition::new("instances");
/// What was found, by the numbers of the instance and of the listing.
const FINDINGS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("findings");
/// When it was asked for, by the same. Written after each poll, while most of them find the same as the one before.
const ATTEMPTS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("attempts");
/// By the number of the region.
const REGIONS: TableDefinition<'_, u32, &[u8]> = TableDefinition::new("regions");
/// By the same.
const SEARCHES: TableDefinition<'_, u32, &[u8]> = TableDefinition::new("searches");

const VERSION_KEY: &str = "version";

/// What of the file is kept in memory, in bytes. It is read once, at the start.
const CACHE: usize = 4 << 20;

/// What an earlier process knew.
#[derive(Debug, Default)]
pub(super) struct Stored {
    pub(super) instances: Vec<InstanceFacts>,
    pub(super) regions: Vec<(RegionKey, RegionFacts)>,
}

/// The open file, with what was written to it last.
#[derive(Debug)]
pub(super) struct FactsFile {
    database: Database,
    written: Written,
}

/// What stands in the file, as hashes: a change is told from none without keeping everything twice.
#[derive(Debug, Default)]
struct Written {
    instances: HashMap<InstanceKey, WrittenInstance>,
    regions: HashMap<RegionKey, WrittenRegion>,
    next_instance: u32,
    next_region: u32,
}

#[derive(Debug, Clone, Copy)]
struct WrittenInstance {
    number: u32,
    matter: u64,
    /// By the number of the listing: the finding and the attempt.
    listings: [Option<(u64, u64)>; ListingKind::ALL.len()],
}

#[derive(Debug, Clone, Copy)]
struct WrittenRegion {
    number: u32,
    instances: u64,
    search: u64,
}

/// A changed bit in 2^64 would go unseen until the next change.
fn hash(bytes: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(bytes);
    hasher.finish()
}

const fn listing_key(instance: u32, kind: ListingKind) -> u64 {
    ((instance as u64) << 8) | record::kind_number(kind) as u64
}

fn builder() -> Builder {
    let mut builder = Database::builder();
    builder.set_cache_size(CACHE);
    builder.set_check_integrity_on_open(true);
    builder
}

/// Every error of the store, as one.
fn fault(error: impl Into<redb::Error>) -> Fault {
    Fault::from(error.into())
}

impl FactsFile {
    /// Opens the file, or makes it. Nobody else can open it until this is dropped.
    pub(super) fn open(path: &Path) -> Result<(Self, Stored), Fault> {
        let is_new = match fs::metadata(path) {
            Ok(file) => file.len() == 0,
            Err(error) if error.kind() == ErrorKind::NotFound => true,
            Err(error) => return Err(error.into()),
        };
        let opened = Self::open_or_make(path, is_new);
        if is_new
            && opened
                .as_ref()
                .is_err_and(|fault| !matches!(fault, Fault::InUse))
        {
            // On a full disk it is half made, and would be taken for a damaged one the next time.
            let _still_there = fs::remove_file(path);
        }
        opened
    }

    fn open_or_make(path: &Path, is_new: bool) -> Result<(Self, Stored), Fault> {
        let database = builder().create(path).map_err(fault)?;
        if is_new && let Some(folder) = path.parent() {
            // The name of the file is to survive a power cut as well.
            fs::File::open(folder)?.sync_all()?;
        }
        Self::over(database)
    }

    /// What stands in a file that cannot be opened for writing. It may have to be mended first, which is done in memory.
    pub(super) fn read_only(path: &Path) -> Result<Stored, Fault> {
        Self::of_bytes(&fs::read(path)?)
    }

    /// What stands in a file with these bytes.
    pub(super) fn of_bytes(bytes: &[u8]) -> Result<Stored, Fault> {
        let memory = InMemoryBackend::new();
        memory.set_len(bytes.len() as u64)?;
        memory.write(0, bytes)?;
        let database = builder().create_with_backend(memory).map_err(fault)?;
        Ok(Self::over(database)?.1)
    }

    fn over(database: Database) -> Result<(Self, Stored), Fault> {
        let version = version(&database)?;
        match version {
            None => {
                let transaction = database.begin_write().map_err(fault)?;
                transaction
                    .open_table(ABOUT)
                    .map_err(fault)?
                    .insert(VERSION_KEY, VERSION)
                    .map_err(fault)?;
                transaction.commit().map_err(fault)?;
            }
            Some(VERSION) => {}
            Some(newer) if newer > VERSION => return Err(Fault::Newer(newer)),
            Some(older) => return Err(Fault::Older(older)),
        }
        let transaction = database.begin_read().map_err(fault)?;
        let (written, stored) = take_back(&transaction)?;
        transaction.close().map_err(fault)?;
        Ok((Self { database, written }, stored))
    }

    /// Stores what changed, durably, and tells how many records that took. After an error the file must be opened anew.
    pub(super) fn write(&mut self, changes: &Changes, facts: &Facts) -> Result<usize, Fault> {
        let transaction = self.database.begin_write().map_err(fault)?;
        let mut writing = Writing {
            written: &mut self.written,
            transaction: &transaction,
            records: 0,
        };
        writing.instances(changes, facts)?;
        writing.regions(changes, facts)?;
        let records = writing.records;
        if records > 0 {
            transaction.commit().map_err(fault)?;
        } else {
            transaction.abort().map_err(fault)?;
        }
        Ok(records)
    }

    /// Everything that stands in the file, and everything that is known.
    pub(super) fn everything(&self, facts: &Facts) -> Changes {
        let known = facts.all();
        let known = known.iter().map(|facts| facts.target.key.clone());
        let regions = facts.regions().into_iter().map(|(key, _)| key);
        Changes {
            instances: self
                .written
                .instances
                .keys()
                .cloned()
                .chain(known)
                .collect(),
            regions: self
                .written
                .regions
                .keys()
                .cloned()
                .chain(regions)
                .collect(),
        }
    }
}

/// A row of one of the tables, for fuzzers: the place of the table in [`TABLES`], the key, and the record.
#[cfg(any(test, feature = "fuzzing"))]
pub type Row = (u8, u64, Vec<u8>);

/// Whether the keys of a table are of listings, and its name.
#[cfg(any(test, feature = "fuzzing"))]
const TABLES: [(bool, &str); 5] = [
    (false, "instances"),
    (true, "findings"),
    (true, "attempts"),
    (false, "regions"),
    (false, "searches"),
];

#[cfg(any(test, feature = "fuzzing"))]
impl FactsFile {
    /// A database in memory with these rows, as a file of this version that was written well.
    pub(super) fn of_rows(rows: &[Row]) -> Result<(Self, Stored), Fault> {
        let memory = InMemoryBackend::new();
        let database = builder().create_with_backend(memory).map_err(fault)?;
        let transaction = database.begin_write().map_err(fault)?;
        transaction
            .open_table(ABOUT)
            .map_err(fault)?
            .insert(VERSION_KEY, VERSION)
            .map_err(fault)?;
        for (place, (is_of_listings, name)) in TABLES.into_iter().enumerate() {
            let rows = rows.iter().filter(|row| usize::from(row.0) == place);
            if is_of_listings {
                let table = TableDefinition::<u64, &[u8]>::new(name);
                let mut table = transaction.open_table(table).map_err(fault)?;
                for (_, key, record) in rows {
                    table.insert(key, &**record).map_err(fault)?;
                }
            } else {
                let table = TableDefinition::<u32, &[u8]>::new(name);
                let mut table = transaction.open_table(table).map_err(fault)?;
                for (_, key, record) in rows {
                    let key = u32::try_from(*key).unwrap_or(u32::MAX);
                    table.insert(key, &**record).map_err(fault)?;
                }
            }
        }
        transaction.commit().map_err(fault)?;
        Self::over(database)
    }

    /// All rows.
    pub(super) fn rows(&self) -> Result<Vec<Row>, Fault> {
        let transaction = self.database.begin_read().map_err(fault)?;
        let mut rows = Vec::new();
        for (place, (is_of_listings, name)) in (0..).zip(TABLES) {
            if is_of_listings {
                let table = TableDefinition::<u64, &[u8]>::new(name);
                let table = transaction.open_table(table).map_err(fault)?;
                for row in table.iter().map_err(fault)? {
                    let (key, record) = row.map_err(fault)?;
                    rows.push((place, key.value(), record.value().to_vec()));
                }
            } else {
                let table = TableDefinition::<u32, &[u8]>::new(name);
                let table = transaction.open_table(table).map_err(fault)?;
                for row in table.iter().map_err(fault)? {
                    let (key, record) = row.map_err(fault)?;
                    rows.push((place, u64::from(key.value()), record.value().to_vec()));
                }
            }
        }
        Ok(rows)
    }
}

/// The version of a file; `None` of a new one.
fn version(database: &Database) -> Result<Option<u64>, Fault> {
    let transaction = database.begin_read().map_err(fault)?;
    let about = match transaction.open_table(ABOUT) {
        Ok(about) => about,
        Err(TableError::TableDoesNotExist(_)) => {
            let mut tables = transaction.list_tables().map_err(fault)?;
            return match tables.next() {
                None => Ok(None),
                Some(_) => Err(Fault::Damaged("it is not ours".to_owned())),
            };
        }
        Err(error) => return Err(fault(error)),
    };
    let version = about.get(VERSION_KEY).map_err(fault)?;
    let version = version.map(|version| version.value());
    version
        .map(Some)
        .ok_or_else(|| Fault::Damaged("it has no version".to_owned()))
}

/// Everything that stands in the file.
fn take_back(transaction: &ReadTransaction) -> Result<(Written, Stored), Fault> {
    let mut written = Written::default();
    let mut stored = Stored::default();
    let numbered =
        |table: TableDefinition<'static, u32, &'static [u8]>| match transaction.open_table(table) {
            Ok(table) => Ok(Some(table)),
            Err(TableError::TableDoesNotExist(_)) => Ok(None),
            Err(error) => Err(fault(error)),
        };
    if let Some(instances) = numbered(INSTANCES)? {
        let findings = transaction.open_table(FINDINGS).map_err(fault)?;
        let attempts = transaction.open_table(ATTEMPTS).map_err(fault)?;
        for row in instances.iter().map_err(fault)? {
            let (number, matter) = row.map_err(fault)?;
            let (number, matter) = (number.value(), matter.value());
            let mut instance = WrittenInstance {
                number,
                matter: hash(matter),
                listings: [None; ListingKind::ALL.len()],
            };
            let matter = record::read::<InstanceRecord<'_>>(matter)?.read()?;
            let mut listings = BTreeMap::new();
            for row in findings.range(listings_of(number)).map_err(fault)? {
                let (key, finding) = row.map_err(fault)?;
                let (key, finding) = (key.value(), finding.value());
                let attempt = attempts.get(key).map_err(fault)?.ok_or(Unreadable)?;
                let attempt = attempt.value();
                let [.., kind] = key.to_be_bytes();
                let kind = record::kind_of(kind)?;
                instance.listings[usize::from(record::kind_number(kind))] =
                    Some((hash(finding), hash(attempt)));
                let listing = record::read::<FindingRecord<'_>>(finding)?.read(&record::read::<
                    AttemptRecord<'_>,
                >(
                    attempt
                )?)?;
                listings.insert(kind, listing);
            }
            written.next_instance = number.checked_add(1).ok_or(Unreadable)?;
            written.instances.insert(matter.key.clone(), instance);
            stored.instances.push(restored(matter, listings));
        }
    }
    if let Some(regions) = numbered(REGIONS)? {
        let searches = transaction.open_table(SEARCHES).map_err(fault)?;
        for row in regions.iter().map_err(fault)? {
            let (number, instances) = row.map_err(fault)?;
            let (number, instances) = (number.value(), instances.value());
            let search = searches.get(number).map_err(fault)?.ok_or(Unreadable)?;
            let search = search.value();
            let (key, facts) = record::read::<RegionRecord<'_>>(instances)?
                .read(&record::read::<AttemptRecord<'_>>(search)?)?;
            let region = WrittenRegion {
                number,
                instances: hash(instances),
                search: hash(search),
            };
            written.next_region = number.checked_add(1).ok_or(Unreadable)?;
            written.regions.insert(key.clone(), region);
            stored.regions.push((key, facts));
        }
    }
    Ok((written, stored))
}

fn listings_of(instance: u32) -> std::ops::RangeInclusive<u64> {
    let first = u64::from(instance) << 8;
    first..=first | u64::from(u8::MAX)
}

/// The facts of an instance whose target is brought by the configuration later on.
fn restored(
    matter: InstanceMatter,
    listings: BTreeMap<ListingKind, ListingFacts>,
) -> InstanceFacts {
    InstanceFacts {
        target: Arc::new(Target {
            key: matter.key,
            name: None,
            backup_regions: Vec::new(),
            objectives: Objectives {
                recovery_point: None,
                backup_age: None,
                copy_delay: None,
                retention: None,
            },
            listings: listings.keys().copied().collect(),
        }),
        description: matter.description,
        presence: matter.presence,
        is_found: matter.is_found,
        listings,
    }
}

/// One commit in the making.
struct Writing<'a> {
    written: &'a mut Written,
    transaction: &'a WriteTransaction,
    records: usize,
}

impl Writing<'_> {
    fn instances(&mut self, changes: &Changes, facts: &Facts) -> Result<(), Fault> {
        let mut instances = self.transaction.open_table(INSTANCES).map_err(fault)?;
        let mut findings = self.transaction.open_table(FINDINGS).map_err(fault)?;
        let mut attempts = self.transaction.open_table(ATTEMPTS).map_err(fault)?;
        for key in &changes.instances {
            let before = self.written.instances.get(key).copied();
            let Some(known) = facts.of(key) else {
                if let Some(before) = before {
                    instances.remove(before.number).map_err(fault)?;
                    let listings = listings_of(before.number);
                    findings
                        .retain_in(listings.clone(), |_, _| false)
                        .map_err(fault)?;
                    attempts.retain_in(listings, |_, _| false).map_err(fault)?;
                    self.written.instances.remove(key);
                    self.records += 1;
                }
                continue;
            };
            let InstanceFacts {
                description,
                presence,
                is_found,
                ..
            } = &*known;
            let matter = InstanceRecord::new(key, description, presence, *is_found);
            let matter = record::write(&matter);
            let mut now = WrittenInstance {
                number: before.map_or(self.written.next_instance, |before| before.number),
                matter: hash(&matter),
                listings: [None; ListingKind::ALL.len()],
            };
            if before.is_none_or(|before| before.matter != now.matter) {
                instances.insert(now.number, &*matter).map_err(fault)?;
                self.records += 1;
            }
            for kind in ListingKind::ALL {
                let place = usize::from(record::kind_number(kind));
                let written = before.and_then(|before| before.listings[place]);
                let row = listing_key(now.number, kind);
                let Some(listing) = known.listings.get(&kind) else {
                    if written.is_some() {
                        findings.remove(row).map_err(fault)?;
                        attempts.remove(row).map_err(fault)?;
                        self.records += 1;
                    }
                    continue;
                };
                let finding = record::write(&FindingRecord::new(listing));
                let attempt = record::write(&AttemptRecord::of_listing(listing));
                let hashes = (hash(&finding), hash(&attempt));
                if written.is_none_or(|written| written.0 != hashes.0) {
                    findings.insert(row, &*finding).map_err(fault)?;
                    self.records += 1;
                }
                if written.is_none_or(|written| written.1 != hashes.1) {
                    attempts.insert(row, &*attempt).map_err(fault)?;
                    self.records += 1;
                }
                now.listings[place] = Some(hashes);
            }
            if before.is_none() {
                let next = now.number.checked_add(1);
                // Four thousand million instances later somebody has to empty the folder.
                let told = || Fault::Other("there are no numbers left".to_owned());
                self.written.next_instance = next.ok_or_else(told)?;
            }
            self.written.instances.insert(key.clone(), now);
        }
        Ok(())
    }

    fn regions(&mut self, changes: &Changes, facts: &Facts) -> Result<(), Fault> {
        let mut regions = self.transaction.open_table(REGIONS).map_err(fault)?;
        let mut searches = self.transaction.open_table(SEARCHES).map_err(fault)?;
        for key in &changes.regions {
            let before = self.written.regions.get(key).copied();
            let Some(known) = facts.region(key) else {
                if let Some(before) = before {
                    regions.remove(before.number).map_err(fault)?;
                    searches.remove(before.number).map_err(fault)?;
                    self.written.regions.remove(key);
                    self.records += 1;
                }
                continue;
            };
            let instances = record::write(&RegionRecord::new(key, &known));
            let search = record::write(&AttemptRecord::of_region(&known));
            let now = WrittenRegion {
                number: before.map_or(self.written.next_region, |before| before.number),
                instances: hash(&instances),
                search: hash(&search),
            };
            if before.is_none_or(|before| before.instances != now.instances) {
                regions.insert(now.number, &*instances).map_err(fault)?;
                self.records += 1;
            }
            if before.is_none_or(|before| before.search != now.search) {
                searches.insert(now.number, &*search).map_err(fault)?;
                self.records += 1;
            }
            if before.is_none() {
                let next = now.number.checked_add(1);
                let told = || Fault::Other("there are no numbers left".to_owned());
                self.written.next_region = next.ok_or_else(told)?;
            }
            self.written.regions.insert(key.clone(), now);
        }
        Ok(())
    }
}
