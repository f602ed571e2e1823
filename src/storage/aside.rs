//! Where a file goes that cannot be read: beside its place, for whoever wants to look into it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};

use super::fault::Fault;

/// So many files are kept of each kind, the newest.
const MOST: usize = 3;

/// Renames the file, and removes the oldest of those that were set aside for the like.
pub(super) fn set_aside(path: &Path, fault: &Fault, now: DateTime<Utc>) -> io::Result<PathBuf> {
    let kind = match fault {
        Fault::Newer(_) => "newer",
        Fault::Older(_) => "older",
        _ => "damaged",
    };
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let prefix = format!("{name}.{kind}-");
    let mut aside = path.with_file_name(format!("{prefix}{}", now.format("%Y%m%dT%H%M%S%.3fZ")));
    // Two in one moment, or a clock that was set back.
    while aside.try_exists()? {
        aside.as_mut_os_string().push("x");
    }
    fs::rename(path, &aside)?;
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut others = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(&prefix) {
            others.push(entry.path());
        }
    }
    others.retain(|other| *other != aside);
    // Their names are their times.
    others.sort_unstable();
    let too_many = (others.len() + 1).saturating_sub(MOST);
    for oldest in &others[..too_many] {
        // Files too many cost space, and nothing else.
        let _still_there = fs::remove_file(oldest);
    }
    Ok(aside)
}
