//! What fuzzers hand to the store: rows and files that nobody stored.

use std::path::Path;

use super::contained;
use super::file::FactsFile;
pub use super::file::Row;
use crate::facts::Facts;

/// The rows that these facts are stored as.
pub fn rows(facts: &Facts) -> Option<Vec<Row>> {
    let (mut file, _) = FactsFile::of_rows(&[]).ok()?;
    file.write(&file.everything(facts), facts).ok()?;
    file.rows().ok()
}

/// The file that these facts are stored as, which is made at this path.
pub fn bytes(facts: &Facts, path: &Path) -> Option<Vec<u8>> {
    let (mut file, _) = FactsFile::open(path).ok()?;
    file.write(&file.everything(facts), facts).ok()?;
    drop(file);
    std::fs::read(path).ok()
}

/// Takes back what a file of these rows says, whose checksums are right, and tells how many instances and regions that was;
/// `None` if the file would be set aside.
pub fn take_back_rows(rows: &[Row], facts: &Facts) -> Option<usize> {
    let (_, stored) = FactsFile::of_rows(rows).ok()?;
    let taken = stored.instances.len() + stored.regions.len();
    facts.restore(stored.instances, stored.regions);
    Some(taken)
}

/// The same of a file with these bytes. Should the store take it for impossible, that is contained, as it is elsewhere.
pub fn take_back_bytes(bytes: &[u8], facts: &Facts) -> Option<usize> {
    let stored = contained(|| FactsFile::of_bytes(bytes)).ok()?;
    let taken = stored.instances.len() + stored.regions.len();
    facts.restore(stored.instances, stored.regions);
    Some(taken)
}
