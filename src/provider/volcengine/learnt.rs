//! What answers have taught about the account, so that less need be asked.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::backup::ListingKind;

/// So long a region is read instance by instance after reading it as a whole was denied or too dear, and so long an
/// instance is known to exist after it was met.
const AN_HOUR: Duration = Duration::from_secs(3600);

/// What answers have taught, and until when that is believed.
#[derive(Debug, Default)]
pub(super) struct Learnt(Mutex<Lessons>);

#[derive(Debug, Default)]
struct Lessons {
    /// Listings of regions that are not read as a whole.
    one_by_one: HashMap<(ListingKind, Arc<str>), Instant>,
    /// Instances that need not be asked whether they exist, by region: an id in the wrong region is none.
    existing: HashMap<(Arc<str>, Arc<str>), Instant>,
}

impl Learnt {
    /// Whether this listing of a region is read instance by instance.
    pub(super) fn is_one_by_one(&self, listing: ListingKind, region: &Arc<str>) -> bool {
        let key = (listing, Arc::clone(region));
        holds(self.lessons().one_by_one.get(&key))
    }

    /// It does not pay, or is not allowed, to read this listing of a region as a whole.
    pub(super) fn read_one_by_one(&self, listing: ListingKind, region: &Arc<str>) {
        let key = (listing, Arc::clone(region));
        self.lessons().one_by_one.insert(key, in_an_hour());
    }

    /// Whether the instance was met lately.
    pub(super) fn exists(&self, region: &Arc<str>, id: &Arc<str>) -> bool {
        let key = (Arc::clone(region), Arc::clone(id));
        holds(self.lessons().existing.get(&key))
    }

    /// The vendor knows these instances.
    pub(super) fn met<'a>(&self, region: &Arc<str>, ids: impl IntoIterator<Item = &'a str>) {
        let mut lessons = self.lessons();
        for id in ids {
            let key = (Arc::clone(region), Arc::from(id));
            lessons.existing.insert(key, in_an_hour());
        }
    }

    /// Forgets instances that were not met lately: those that are found come and go.
    pub(super) fn forget_the_old(&self) {
        let mut lessons = self.lessons();
        lessons.existing.retain(|_, until| holds(Some(until)));
    }

    fn lessons(&self) -> MutexGuard<'_, Lessons> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn holds(until: Option<&Instant>) -> bool {
    until.is_some_and(|until| Instant::now() < *until)
}

fn in_an_hour() -> Instant {
    Instant::now() + AN_HOUR
}
