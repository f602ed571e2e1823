//! Keeps the facts in a file, so that a restart loses nothing: read at the start, written behind.
//!
//! What changed is collected for a moment and committed together; a kill at any moment loses at most that. Whatever is
//! wrong with the file or the disk, the facts stay in memory, and are stored as soon as that works again. Nothing of the
//! vendors' is interpreted here, and no secret is among the facts.

mod aside;
mod fault;
mod file;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod hostile;
mod record;
#[cfg(test)]
mod tests;

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use self::fault::Fault;
use self::file::{FactsFile, Stored};
use crate::clock::Clock;
use crate::facts::{Changes, Facts};
use crate::shard::Shard;
use crate::tally::Tally;

/// The one file in the folder.
const FILE: &str = "facts.redb";

/// How long changes are collected before they are stored together. At first shorter, so that an exporter that does not
/// live for a second gets somewhere too.
const COLLECTING: Duration = Duration::from_secs(1);
const FIRST_COLLECTING: Duration = Duration::from_millis(100);

/// The pause before the file is opened again after a fault; it doubles with each failure, up to the longest.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// Another process keeps its facts in the same folder. Each would overwrite what the other has stored.
#[derive(Debug, thiserror::Error)]
#[error("{} is in use by another process; give each exporter a folder of its own", .0.display())]
pub struct InUse(PathBuf);

/// What the store works with.
#[derive(Debug, Clone)]
pub struct Ground {
    /// What is stored.
    pub facts: Arc<Facts>,
    /// Where it is counted how that goes.
    pub tally: Arc<Tally>,
    /// The time.
    pub clock: Clock,
    /// Whose instances are taken back.
    pub shard: Shard,
}

/// A folder whose facts were taken back, and into which nothing is written yet.
#[derive(Debug)]
pub struct Storage {
    keeper: Keeper,
}

/// Stores what changes, until it is told to stop.
#[derive(Debug)]
pub struct Running {
    task: JoinHandle<()>,
    stop: CancellationToken,
}

impl Storage {
    /// Takes back the facts of this folder, which is made if there is none. Blocks; to be called before anything is
    /// adopted. Whatever is wrong with the file is told and counted, and ends nothing.
    ///
    /// # Errors
    /// Another process has the file open.
    pub fn open(folder: &Path, ground: Ground) -> Result<Self, InUse> {
        let mut keeper = Keeper {
            path: folder.join(FILE),
            ground,
            file: None,
            failing: None,
        };
        keeper.ground.tally.storage(|counts| {
            for reason in Fault::REASONS {
                counts.failures.entry(reason).or_default();
            }
        });
        let stored = match keeper.open() {
            Ok(stored) => {
                let tally = &keeper.ground.tally;
                tally.storage(|counts| counts.is_healthy = true);
                stored
            }
            Err(Fault::InUse) => return Err(InUse(keeper.path)),
            Err(fault) => {
                keeper.failed(&fault);
                // What cannot be written can often be read.
                contained(|| FactsFile::read_only(&keeper.path)).unwrap_or_default()
            }
        };
        keeper.restore(stored);
        Ok(Self { keeper })
    }

    /// Stores everything that changes from now on, in the background.
    pub fn start(self) -> Running {
        let stop = CancellationToken::new();
        let task = tokio::spawn(self.keeper.keep(stop.clone()));
        Running { task, stop }
    }
}

impl Running {
    /// Stores what has changed meanwhile, and closes the file. A disk that hangs is not waited for.
    pub async fn stop(self, grace: Duration) {
        self.stop.cancel();
        if timeout(grace, self.task).await.is_err() {
            tracing::warn!("stopped while facts were being stored");
        }
    }
}

#[derive(Debug)]
struct Keeper {
    path: PathBuf,
    ground: Ground,
    /// `None` after a fault, until it is opened again.
    file: Option<FactsFile>,
    /// What was told of a fault that lasts.
    failing: Option<Failing>,
}

#[derive(Debug, Clone, Copy)]
struct Failing {
    reason: &'static str,
    pause: Duration,
}

impl Keeper {
    async fn keep(mut self, stop: CancellationToken) {
        let feed = self.ground.facts.feed();
        // The first time also what stands in the file and is not known any more.
        let mut everything = true;
        let mut collecting = FIRST_COLLECTING;
        loop {
            let pause = self.failing.map_or(collecting, |failing| failing.pause);
            collecting = (collecting * 2).min(COLLECTING);
            let collect = async {
                if self.failing.is_none() && !everything {
                    feed.changed().await;
                }
                sleep(pause).await;
            };
            let is_last = stop.run_until_cancelled(collect).await.is_none();
            let changes = feed.take();
            let work = spawn_blocking(move || {
                let is_stored = self.store(changes, everything);
                (self, is_stored)
            });
            let Ok((keeper, is_stored)) = work.await else {
                // Panics are caught below, so that this is the end of the runtime.
                return;
            };
            self = keeper;
            everything = !is_stored;
            if is_last {
                return;
            }
        }
    }

    /// Stores these changes, or everything, and tells whether it did.
    fn store(&mut self, changes: Changes, everything: bool) -> bool {
        let stored = self.try_to_store(changes, everything);
        match &stored {
            Ok(()) => self.succeeded(),
            Err(fault) => self.failed(fault),
        }
        stored.is_ok()
    }

    fn try_to_store(&mut self, mut changes: Changes, everything: bool) -> Result<(), Fault> {
        if self.file.is_none() {
            self.open()?;
        }
        let Some(mut file) = self.file.take() else {
            return Ok(());
        };
        let facts = &self.ground.facts;
        if everything {
            changes = file.everything(facts);
        }
        // After a fault the file is left closed.
        let file = contained(|| {
            file.write(&changes, facts)?;
            Ok(file)
        })?;
        self.file = Some(file);
        Ok(())
    }

    /// Opens the file, and sets it aside where nobody can read it.
    fn open(&mut self) -> Result<Stored, Fault> {
        if let Some(folder) = self.path.parent() {
            fs::create_dir_all(folder)?;
        }
        let fault = match contained(|| FactsFile::open(&self.path)) {
            Ok((file, stored)) => {
                self.file = Some(file);
                return Ok(stored);
            }
            Err(fault @ (Fault::Damaged(_) | Fault::Newer(_) | Fault::Older(_))) => fault,
            Err(fault) => return Err(fault),
        };
        let aside = aside::set_aside(&self.path, &fault, self.ground.clock.now())?;
        tracing::error!(
            file = %self.path.display(),
            aside = %aside.display(),
            reason = fault.reason(),
            error = %fault,
            "the stored facts cannot be read; their file was set aside"
        );
        self.ground
            .tally
            .storage(|counts| *counts.set_aside.entry(fault.reason()).or_default() += 1);
        let (file, stored) = contained(|| FactsFile::open(&self.path))?;
        self.file = Some(file);
        Ok(stored)
    }

    /// What is another shard's since the count was changed stays behind: polls would miss it, and call it gone.
    fn restore(&self, mut stored: Stored) {
        let shard = self.ground.shard;
        stored.instances.retain(|instance| {
            let key = &instance.target.key;
            shard.owns(key.provider, &key.account, &key.instance_id)
        });
        for (key, region) in &mut stored.regions {
            let is_own = |id: &str| shard.owns(key.provider, &key.account, id);
            region.instances.retain(|id, _| is_own(id));
            region.outlived.retain(|id| is_own(id));
        }
        let newest = |facts: &crate::facts::InstanceFacts| {
            let listings = facts.listings.values();
            listings.map(|listing| listing.last_attempt.at).max()
        };
        let newest = stored.instances.iter().filter_map(newest).max();
        let age = newest.map(|newest| (self.ground.clock.now() - newest).num_seconds());
        tracing::info!(
            file = %self.path.display(),
            instances = stored.instances.len(),
            age_seconds = age,
            "took back stored facts"
        );
        self.ground.facts.restore(stored.instances, stored.regions);
    }

    fn succeeded(&mut self) {
        let now = self.ground.clock.now();
        let bytes = fs::metadata(&self.path).map(|file| file.len()).ok();
        self.ground.tally.storage(|counts| {
            counts.is_healthy = true;
            counts.last_write = Some(now);
            counts.bytes = bytes;
        });
        if self.failing.take().is_some() {
            tracing::info!(file = %self.path.display(), "facts are stored again");
        }
    }

    /// Says it when it begins and when its reason changes, and counts each time.
    fn failed(&mut self, fault: &Fault) {
        self.file = None;
        let reason = fault.reason();
        self.ground.tally.storage(|counts| {
            counts.is_healthy = false;
            *counts.failures.entry(reason).or_default() += 1;
        });
        let before = self.failing;
        if before.is_none_or(|before| before.reason != reason) {
            tracing::error!(
                file = %self.path.display(),
                reason,
                error = %fault,
                "facts cannot be stored; they are kept in memory, and it is tried again"
            );
        }
        let pause = before.map_or(FIRST_PAUSE, |before| (before.pause * 2).min(LONGEST_PAUSE));
        self.failing = Some(Failing { reason, pause });
    }
}

/// What is in a file must not end the exporter, should the store take it for impossible.
fn contained<T>(work: impl FnOnce() -> Result<T, Fault>) -> Result<T, Fault> {
    catch_unwind(AssertUnwindSafe(work))
        .unwrap_or_else(|_panic| Err(Fault::Damaged("the store gave up on it".to_owned())))
}
