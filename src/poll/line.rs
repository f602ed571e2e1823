//! Where errands wait before they begin. At the start all of them are due at once, tens of thousands, and the pace lets
//! some through in a second: one that has begun holds all that its attempt needs, and one that waits here nothing.
//!
//! There is a line for each listing of each service and region, so that neither a region whose endpoint hangs nor an operation that
//! is throttled holds up the others. First come, first served.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::errand::Errand;
use crate::backup::ListingKind;
use crate::service::Service;

/// As many may have begun as can be in flight, and as many again, so that there is always one ready to follow.
const BEGUN_FOR_EACH_IN_FLIGHT: usize = 2;

/// Errands that stand in one line: for a listing of a service, in a region.
type Place = (Service, Arc<str>, ListingKind);

/// The lines of one account.
#[derive(Debug)]
pub(super) struct Lines {
    most: usize,
    lines: Mutex<HashMap<Place, Arc<Semaphore>>>,
}

impl Lines {
    /// For an account with at most so many requests in flight.
    pub(super) fn new(max_concurrency: usize) -> Self {
        Self {
            most: max_concurrency.saturating_mul(BEGUN_FOR_EACH_IN_FLIGHT),
            lines: Mutex::default(),
        }
    }

    /// Waits until the errand may begin; it has ended when the permit is dropped. A search waits for nobody.
    pub(super) async fn turn(&self, errand: &Errand) -> Option<OwnedSemaphorePermit> {
        let line = {
            let (service, region, kind) = errand.line()?;
            let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
            let line = lines.entry((service, Arc::clone(region), kind));
            Arc::clone(line.or_insert_with(|| Arc::new(Semaphore::new(self.most))))
        };
        // It is never closed.
        line.acquire_owned().await.ok()
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;
    use crate::example::target;
    use crate::facts::RegionKey;

    fn errand(number: usize, region: &str, kind: ListingKind) -> Errand {
        let mut target = target(&format!("rm-{number}"));
        target.key.source_region = region.into();
        Errand::One((target.key, kind))
    }

    #[test]
    fn a_line_holds_up_its_own_listing_of_its_own_region_only() {
        let (here, kind) = ("cn-hangzhou", ListingKind::Local);
        let lines = Lines::new(2);
        let begins = |errand: &Errand| lines.turn(errand).now_or_never();
        let mut begun: Vec<_> = (0..4)
            .map(|number| begins(&errand(number, here, kind)).unwrap())
            .collect();
        assert!(begins(&errand(4, here, kind)).is_none());
        assert!(begins(&errand(4, "cn-beijing", kind)).is_some());
        assert!(begins(&errand(4, here, ListingKind::CrossRegion)).is_some());
        let search = Errand::Discover(RegionKey {
            provider: "alibaba",
            account: "prod".into(),
            region: here.into(),
            service: Service::AlibabaRds,
        });
        assert!(begins(&search).is_some());
        drop(begun.pop());
        assert!(begins(&errand(4, here, kind)).is_some());
    }
}
