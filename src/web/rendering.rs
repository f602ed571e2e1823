//! How many pages are made at a time, and for how many clients each.
//!
//! A page takes memory and a processor while it is made, so clients wait for their turn. Those that ask for the same page
//! while they wait get one page together. Nobody gets a page that was begun before it was asked for: ages on it are as of
//! the request or later, never earlier.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OnceCell, Semaphore};
use tokio::task::JoinError;

/// Makes pages, each under a key that says all it depends on but the time.
#[derive(Debug)]
pub(super) struct Rendering<K, P> {
    permits: Arc<Semaphore>,
    /// The pages that are asked for and not begun.
    awaited: Mutex<HashMap<K, Arc<OnceCell<P>>>>,
}

impl<K: Eq + Hash, P: Clone + Send + 'static> Rendering<K, P> {
    pub(super) fn new(at_a_time: usize) -> Self {
        Self {
            permits: Arc::new(Semaphore::new(at_a_time)),
            awaited: Mutex::default(),
        }
    }

    /// The page that `make` makes, or that somebody else makes under the same key from now on. It is made away from the
    /// threads that poll and serve.
    ///
    /// # Errors
    /// A panic of `make`.
    pub(super) async fn page(
        &self,
        key: K,
        make: impl FnOnce() -> P + Send + 'static,
    ) -> Result<P, JoinError>
    where
        K: Clone,
    {
        let wait = Wait {
            cell: Arc::clone(self.awaited().entry(key.clone()).or_default()),
            rendering: self,
            key,
        };
        // If whoever begins goes away while waiting for its turn, the next one takes over.
        let page = wait.cell.get_or_try_init(|| async {
            let permit = Arc::clone(&self.permits).acquire_owned().await;
            wait.begin();
            tokio::task::spawn_blocking(move || {
                // Held to the end also when nobody waits any more.
                let _permit = permit;
                make()
            })
            .await
        });
        page.await.cloned()
    }
}

impl<K, P> Rendering<K, P> {
    fn awaited(&self) -> MutexGuard<'_, HashMap<K, Arc<OnceCell<P>>>> {
        self.awaited.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Somebody who waits for a page.
struct Wait<'a, K: Eq + Hash, P> {
    rendering: &'a Rendering<K, P>,
    key: K,
    cell: Arc<OnceCell<P>>,
}

impl<K: Eq + Hash, P> Wait<'_, K, P> {
    /// From now on whoever asks for the same waits for another page.
    fn begin(&self) {
        let mut awaited = self.rendering.awaited();
        let is_this = |cell| Arc::ptr_eq(cell, &self.cell);
        if awaited.get(&self.key).is_some_and(is_this) {
            awaited.remove(&self.key);
        }
    }
}

impl<K: Eq + Hash, P> Drop for Wait<'_, K, P> {
    fn drop(&mut self) {
        let mut awaited = self.rendering.awaited();
        let is_this = |cell| Arc::ptr_eq(cell, &self.cell);
        // Keys are of the clients' making, so what nobody else waits for must not stay: one is ours, and one the map's.
        if Arc::strong_count(&self.cell) == 2 && awaited.get(&self.key).is_some_and(is_this) {
            awaited.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc;
    use std::time::Duration;

    use super::*;

    type Numbers = Rendering<&'static str, usize>;

    /// Begins the making of a page that is not finished before the sender is used or dropped.
    fn begin(
        rendering: &Arc<Numbers>,
        key: &'static str,
    ) -> (mpsc::Sender<()>, tokio::task::JoinHandle<usize>) {
        let (go_on, gate) = mpsc::channel::<()>();
        let rendering = Arc::clone(rendering);
        let make = move || {
            let _dropped = gate.recv();
            1000
        };
        let page = tokio::spawn(async move { rendering.page(key, make).await.unwrap() });
        (go_on, page)
    }

    async fn until(condition: impl Fn() -> bool) {
        let waiting = async {
            while !condition() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(120), waiting)
            .await
            .expect("it came true in time");
    }

    #[tokio::test]
    async fn who_asks_for_the_same_while_it_is_not_begun_gets_the_same() {
        let rendering = Arc::new(Numbers::new(1));
        let (go_on, first) = begin(&rendering, "a");
        until(|| rendering.permits.available_permits() == 0).await;
        until(|| rendering.awaited().is_empty()).await;
        let begun = Arc::new(AtomicUsize::new(0));
        let ask = |key: &'static str| {
            let (rendering, begun) = (Arc::clone(&rendering), Arc::clone(&begun));
            let make = move || begun.fetch_add(1, Ordering::SeqCst);
            tokio::spawn(async move { rendering.page(key, make).await.unwrap() })
        };
        // The page in the making was begun before any of these asked, so it is not theirs, although it has their key.
        let same: Vec<_> = (0..10).map(|_| ask("a")).collect();
        let other = ask("b");
        until(|| rendering.awaited().len() == 2).await;
        until(|| {
            let awaited = rendering.awaited();
            awaited
                .get("a")
                .is_some_and(|cell| Arc::strong_count(cell) == 11)
        })
        .await;
        assert_eq!(begun.load(Ordering::SeqCst), 0);
        drop(go_on);
        assert_eq!(first.await.unwrap(), 1000);
        let mut got = Vec::new();
        for page in same {
            got.push(page.await.unwrap());
        }
        assert_eq!(got, [got[0]; 10]);
        assert_ne!(other.await.unwrap(), got[0]);
        assert_eq!(begun.load(Ordering::SeqCst), 2);
        assert_eq!(
            rendering.page("a", || 5).await.unwrap(),
            5,
            "nothing is kept"
        );
        assert!(rendering.awaited().is_empty());
    }

    #[tokio::test]
    async fn no_more_than_the_limit_are_made_at_a_time_whoever_still_waits() {
        let rendering = Arc::new(Numbers::new(2));
        let (go_on_a, a) = begin(&rendering, "a");
        let (go_on_b, b) = begin(&rendering, "b");
        until(|| rendering.permits.available_permits() == 0).await;
        until(|| rendering.awaited().is_empty()).await;
        // The client has gone, the work has not.
        a.abort();
        assert!(a.await.is_err());
        let (go_on_c, c) = begin(&rendering, "c");
        until(|| rendering.awaited().len() == 1).await;
        assert_eq!(rendering.permits.available_permits(), 0);
        drop(go_on_a);
        until(|| rendering.awaited().is_empty()).await;
        drop((go_on_b, go_on_c));
        assert_eq!((b.await.unwrap(), c.await.unwrap()), (1000, 1000));
        until(|| rendering.permits.available_permits() == 2).await;
    }

    #[tokio::test]
    async fn who_waits_takes_over_from_whoever_goes_away() {
        let rendering = Arc::new(Numbers::new(1));
        let (go_on, first) = begin(&rendering, "a");
        until(|| rendering.permits.available_permits() == 0).await;
        until(|| rendering.awaited().is_empty()).await;
        let (go_on_gone, gone) = begin(&rendering, "b");
        until(|| rendering.awaited().len() == 1).await;
        let (go_on_stays, stays) = begin(&rendering, "b");
        until(|| {
            let awaited = rendering.awaited();
            awaited
                .get("b")
                .is_some_and(|cell| Arc::strong_count(cell) == 3)
        })
        .await;
        gone.abort();
        assert!(gone.await.is_err());
        drop((go_on, go_on_gone, go_on_stays));
        assert_eq!((first.await.unwrap(), stays.await.unwrap()), (1000, 1000));
    }

    #[tokio::test]
    async fn what_nobody_waits_for_any_more_is_forgotten() {
        let rendering = Arc::new(Numbers::new(1));
        let (go_on, first) = begin(&rendering, "a");
        until(|| rendering.permits.available_permits() == 0).await;
        until(|| rendering.awaited().is_empty()).await;
        let (go_on_b, b) = begin(&rendering, "b");
        let (go_on_c, c) = begin(&rendering, "c");
        until(|| rendering.awaited().len() == 2).await;
        b.abort();
        assert!(b.await.is_err());
        until(|| rendering.awaited().len() == 1).await;
        drop((go_on, go_on_b, go_on_c));
        assert_eq!((first.await.unwrap(), c.await.unwrap()), (1000, 1000));
        assert!(rendering.awaited().is_empty());
    }

    #[tokio::test]
    async fn a_panic_is_an_error_and_gives_the_turn_back() {
        let rendering = Numbers::new(1);
        let failed = rendering.page("a", || panic!("this panic is wanted")).await;
        assert!(failed.unwrap_err().is_panic());
        assert_eq!(rendering.page("a", || 1).await.unwrap(), 1);
    }
}
