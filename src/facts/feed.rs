//! Which facts changed: a list for each reader that follows them, so that it need not look at everything.

use std::collections::HashSet;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::Poll;

use futures_util::task::AtomicWaker;

use super::RegionKey;
use crate::target::InstanceKey;

/// What changed since a reader last asked. What is named here and is no longer known was forgotten.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes {
    /// The instances of which something new is known, that are new, or that are no longer watched.
    pub instances: HashSet<InstanceKey>,
    /// The same of the regions in which instances are looked for.
    pub regions: HashSet<RegionKey>,
}

impl Changes {
    /// Whether nothing changed.
    pub fn is_empty(&self) -> bool {
        self.instances.is_empty() && self.regions.is_empty()
    }
}

/// One reader's list. It ends when it is dropped.
#[derive(Debug, Default)]
pub struct Feed(Arc<List>);

#[derive(Debug, Default)]
struct List {
    changes: Mutex<Changes>,
    reader: AtomicWaker,
}

impl List {
    fn lock(&self) -> MutexGuard<'_, Changes> {
        self.changes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Feed {
    /// Waits until something changed that was not taken yet. Only one may wait at a time.
    pub async fn changed(&self) {
        poll_fn(|context| {
            // First, so that no change is missed.
            self.0.reader.register(context.waker());
            if self.0.lock().is_empty() {
                Poll::Pending
            } else {
                Poll::Ready(())
            }
        })
        .await;
    }

    /// Everything that changed since the last time.
    ///
    /// Facts are changed before they are listed here, so whoever takes the list first and then looks misses nothing.
    pub fn take(&self) -> Changes {
        std::mem::take(&mut *self.0.lock())
    }
}

/// The lists of all readers.
#[derive(Debug, Default)]
pub(super) struct Readers(Mutex<Vec<Weak<List>>>);

impl Readers {
    /// A new reader, for whom these have changed.
    pub(super) fn add(&self, changes: Changes) -> Feed {
        let list = Arc::new(List {
            changes: Mutex::new(changes),
            reader: AtomicWaker::new(),
        });
        self.lock().push(Arc::downgrade(&list));
        Feed(list)
    }

    /// Tells every reader.
    pub(super) fn tell(&self, add: impl Fn(&mut Changes)) {
        self.lock().retain(|list| {
            let Some(list) = list.upgrade() else {
                return false;
            };
            let is_longer = {
                let mut changes = list.lock();
                add(&mut changes);
                !changes.is_empty()
            };
            if is_longer {
                list.reader.wake();
            }
            true
        });
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Weak<List>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
