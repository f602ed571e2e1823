//! One account being polled: everything that its calls share, and how one call gets through.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use super::backoff;
use super::breaker::{Breaker, Evidence, Refused};
use super::change::Changes;
use super::errand::{ListingKey, listing_keys};
use super::line::Lines;
use super::pace::{Lane, Pace, Paused};
use super::sweep::Sweep;
use crate::backup::ListingKind;
use crate::config::{AccountConfig, PollConfig};
use crate::facts::{Facts, RegionKey};
use crate::provider::credentials::{Credential, Fingerprint};
use crate::provider::error::{ListError, Reason, Repeat, VendorWord};
use crate::provider::http::Answer;
use crate::provider::{Call, Courier, Provider};
use crate::service::Service;
use crate::shard::Shard;
use crate::tally::{AccountKey, Tally};
use crate::target::{InstanceKey, Target};

/// Attempts at one request, the first included.
const MOST_ATTEMPTS: u32 = 4;

/// Said of a call that the end of the exporter overtook. Nobody gets to read it.
const STOPPING: &str = "not sent: stopping";

/// An account with what all of its calls share.
#[derive(Debug)]
pub(super) struct Account {
    pub key: AccountKey,
    pub provider: Provider,
    pub poll: PollConfig,
    /// What was said lately.
    pub changes: Changes,
    /// Where errands wait before they begin.
    pub lines: Lines,
    sweep: Mutex<Sweep<ListingKey>>,
    pace: Pace,
    breaker: Breaker,
    /// The most requests in flight, whatever their region.
    whole: Arc<Semaphore>,
    in_flight: Mutex<InFlight>,
    /// The instances that are watched, and the regions in which others are looked for.
    watched: Mutex<(Vec<Arc<Target>>, Vec<RegionKey>)>,
    /// Tells whoever waits for it that an instance's copies were asked for.
    copies_asked_for: Mutex<HashMap<InstanceKey, watch::Sender<bool>>>,
    tally: Arc<Tally>,
    stop: CancellationToken,
}

impl Account {
    pub(super) fn new(
        config: &AccountConfig,
        poll: PollConfig,
        provider: Provider,
        tally: Arc<Tally>,
        stop: CancellationToken,
        shard: Shard,
    ) -> Self {
        Self {
            key: account_key(config),
            provider,
            changes: Changes::default(),
            lines: Lines::new(poll.max_concurrency),
            sweep: Mutex::new(Sweep::new(HashSet::new())),
            pace: Pace::new(config.rate_limit, shard.count()),
            breaker: Breaker::new(poll.interval),
            whole: Arc::new(Semaphore::new(poll.max_concurrency)),
            in_flight: Mutex::default(),
            copies_asked_for: Mutex::default(),
            watched: Mutex::default(),
            poll,
            tally,
            stop,
        }
    }

    /// One line for each request that was sent, for those who look closely.
    fn tell_of_request(&self, call: &Call, took: Duration, failure: Option<&ListError>) {
        let request_id = failure.and_then(|error| error.request_id.as_ref());
        tracing::debug!(
            provider = self.key.provider,
            account = %self.key.account,
            region = %call.region,
            instance = %call.instance,
            operation = call.operation,
            took_seconds = took.as_secs_f64(),
            reason = failure.map(|error| error.reason.label()),
            request_id = request_id.map(VendorWord::as_str),
            error = failure.map(tracing::field::display),
            "asked the provider"
        );
    }

    /// Takes note of which instances the account has now and where others are looked for, while everything that its calls
    /// share stays.
    pub(super) fn set_targets(&self, targets: &[Arc<Target>], searches: &[RegionKey]) {
        {
            let now = (targets.to_vec(), searches.to_vec());
            let mut watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
            if *watched == now {
                return;
            }
            *watched = now;
        }
        let often = listing_keys(targets).filter(|(_, kind)| !kind.is_slow());
        *self.lock_sweep() = Sweep::new(often.collect());
        let regions: BTreeSet<_> = targets
            .iter()
            .map(|target| (target.key.service, Arc::clone(&target.key.source_region)))
            .chain(
                searches
                    .iter()
                    .map(|search| (search.service, Arc::clone(&search.region))),
            )
            .collect();
        let share = (self.poll.max_concurrency / regions.len().max(1)).max(1);
        let mut in_flight = self
            .in_flight
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        in_flight.share = share;
        in_flight
            .regions
            .retain(|region, _| regions.contains(region));
        let instances: HashSet<_> = targets.iter().map(|target| &target.key).collect();
        self.lock_copies_asked_for()
            .retain(|instance, _| instances.contains(instance));
    }

    /// Waits until the copies of an instance were asked for once, if they ever are.
    pub(super) async fn wait_for_copies(&self, facts: &Facts, instance: &InstanceKey) {
        let mut first = self
            .lock_copies_asked_for()
            .entry(instance.clone())
            .or_default()
            .subscribe();
        let is_awaited = facts.of(instance).is_some_and(|facts| {
            let kind = ListingKind::CrossRegion;
            let attempt = facts
                .listings
                .get(&kind)
                .map(|listing| &listing.last_attempt);
            facts.target.listings.contains(&kind)
                && attempt.is_none_or(|attempt| attempt.is_restored)
        });
        if is_awaited {
            // Whether it was before or is now; an instance that is no longer watched is asked for by nobody.
            let asked_for = first.wait_for(|asked_for| *asked_for);
            let _in_vain = self.stop.run_until_cancelled(asked_for).await;
        }
    }

    pub(super) fn copies_were_asked_for(&self, instance: &InstanceKey) {
        if let Some(first) = self.lock_copies_asked_for().get(instance) {
            first.send_replace(true);
        }
    }

    fn lock_copies_asked_for(&self) -> MutexGuard<'_, HashMap<InstanceKey, watch::Sender<bool>>> {
        self.copies_asked_for
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// An attempt at a listing begins.
    pub(super) fn begin(&self, kind: ListingKind) {
        if !kind.is_slow() {
            self.lock_sweep().begin(Instant::now());
        }
    }

    /// An attempt at a listing ended. The one that completes the round is told how long the round took. What is read
    /// seldom is no part of a round, nor is what is gone.
    pub(super) fn end(&self, key: &ListingKey, is_gone: bool) -> Option<Duration> {
        if key.1.is_slow() {
            return None;
        }
        self.lock_sweep().end(key, Instant::now(), is_gone)
    }

    fn lock_sweep(&self) -> MutexGuard<'_, Sweep<ListingKey>> {
        self.sweep.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.stop.is_cancelled()
    }

    /// Waits for a place among the requests in flight: first of the region's share, then of the whole, which is
    /// contended only when there are more regions than places.
    async fn place(
        &self,
        service: Service,
        region: &Arc<str>,
    ) -> Option<[OwnedSemaphorePermit; 2]> {
        let share = self.region(service, region).share;
        // Neither semaphore is ever closed, so there is always a place in the end.
        let share = share.acquire_owned().await.ok()?;
        let whole = Arc::clone(&self.whole).acquire_owned().await.ok()?;
        Some([share, whole])
    }

    fn region(&self, service: Service, region: &Arc<str>) -> RegionPlaces {
        let mut in_flight = self
            .in_flight
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let share = in_flight.share;
        let places = in_flight.regions.entry((service, Arc::clone(region)));
        places.or_insert_with(|| RegionPlaces::new(share)).clone()
    }

    /// A courier for one attempt at a listing of a service. One that is in no hurry leaves the line to the others.
    pub(super) fn courier(&self, service: Service, in_no_hurry: bool) -> ListingCourier<'_> {
        ListingCourier {
            account: self,
            service,
            in_no_hurry,
            answering_millis: AtomicU64::new(0),
        }
    }
}

/// Requests in flight, by service and region: one whose endpoint hangs fills its own share and no other's.
#[derive(Debug, Default)]
struct InFlight {
    share: usize,
    regions: HashMap<(Service, Arc<str>), RegionPlaces>,
}

/// The places of one region.
#[derive(Debug, Clone)]
struct RegionPlaces {
    /// The most requests in flight.
    share: Arc<Semaphore>,
    /// Of the calls that are in no hurry, one stands in line at a time: however many there are, they never fill the line
    /// before those that are.
    in_no_hurry: Arc<Semaphore>,
}

impl RegionPlaces {
    fn new(share: usize) -> Self {
        Self {
            share: Arc::new(Semaphore::new(share)),
            in_no_hurry: Arc::new(Semaphore::new(1)),
        }
    }
}

/// The account as the labels name it.
pub(super) fn account_key(config: &AccountConfig) -> AccountKey {
    AccountKey {
        provider: config.provider.label(),
        account: Arc::clone(&config.name),
    }
}

/// Carries the calls of one attempt at one listing.
#[derive(Debug)]
pub(super) struct ListingCourier<'a> {
    account: &'a Account,
    service: Service,
    in_no_hurry: bool,
    /// How long the vendor took over this listing so far. Waiting in line is not counted: an account with more
    /// instances than its rate allows is read slowly, not never.
    answering_millis: AtomicU64,
}

/// How one attempt went.
enum Attempt<T> {
    /// An answer came that makes sense.
    Read(T),
    /// It was sent with these keys, and failed.
    Failed(ListError, Fingerprint),
    /// It was not even sent.
    Withheld(ListError),
    /// It was not sent, because its keys were replaced while it stood in line.
    Overtaken,
}

impl Courier for ListingCourier<'_> {
    async fn send<T: Send>(
        &self,
        call: impl Fn() -> Call + Send + Sync,
        read: impl Fn(&Call, &Answer) -> Result<T, ListError> + Send + Sync,
    ) -> Result<T, ListError> {
        let lane = self
            .account
            .pace
            .lane(self.service.spec(), call().operation);
        let mut first_sent = None;
        let mut failures = 0;
        loop {
            let repeat_until = first_sent.unwrap_or_else(Instant::now) + self.account.poll.interval;
            let error = match self.attempt(&call, &read, &lane, repeat_until).await {
                Attempt::Read(value) => return Ok(value),
                Attempt::Withheld(error) => return Err(error),
                Attempt::Overtaken => continue,
                Attempt::Failed(error, used) => {
                    // Keys that replace the rejected ones have not been tried.
                    if failures == 0 && is_rejection(&error) && self.have_successors(used).await {
                        failures += 1;
                        continue;
                    }
                    error
                }
            };
            first_sent = first_sent.or_else(|| Some(Instant::now()));
            failures += 1;
            let pause = self.pause_before_repeat(&error, failures, &lane, repeat_until);
            let repeat = match pause {
                Some(pause) => self.unless_stopped(sleep(pause)).await,
                None => None,
            };
            if repeat.is_none() {
                return Err(error);
            }
        }
    }
}

impl ListingCourier<'_> {
    async fn attempt<T>(
        &self,
        call: &(impl Fn() -> Call + Send + Sync),
        read: &(impl Fn(&Call, &Answer) -> Result<T, ListError> + Send + Sync),
        lane: &Lane,
        wait_until: Instant,
    ) -> Attempt<T> {
        let account = self.account;
        let withheld = |reason, detail: String| {
            Attempt::Withheld(ListError {
                detail: Some(detail),
                ..ListError::of(&call(), reason)
            })
        };
        let rejected = || {
            let detail = "not sent: the key was rejected, and is tried once an interval";
            withheld(Reason::Credentials, detail.to_owned())
        };
        let credential = match self.keys().await {
            Ok(credential) => credential,
            Err((reason, detail)) => return withheld(reason, detail),
        };
        let fingerprint = credential.fingerprint();
        let admitted = self.unless_stopped(account.breaker.admit(fingerprint));
        let ticket = match admitted.await {
            Some(Ok(ticket)) => ticket,
            Some(Err(Refused)) => return rejected(),
            None => return withheld(Reason::Timeout, STOPPING.to_owned()),
        };
        let region = call().region;
        let turn = self.unless_stopped(self.turn(&region, lane, wait_until));
        let _permit = match turn.await {
            Some(Ok(permit)) => permit,
            Some(Err(Paused { .. })) => {
                let detail = "not sent: the vendor asked for a longer pause";
                return withheld(Reason::Throttled, detail.to_owned());
            }
            None => return withheld(Reason::Timeout, STOPPING.to_owned()),
        };
        // The line may have been long: neither the keys nor the question need be those of its end.
        if ticket.still_good().is_err() {
            return rejected();
        }
        match self.keys().await {
            Ok(current) if current.fingerprint() != fingerprint => return Attempt::Overtaken,
            Ok(_) => {}
            Err((reason, detail)) => return withheld(reason, detail),
        }
        let call = call();

        let sent = Instant::now();
        let answer = account
            .provider
            .attempt(self.service, &call, &credential, self.time_left())
            .await;
        let took = sent.elapsed();
        let asked_pause = answer
            .as_ref()
            .ok()
            .and_then(|answer| Provider::requested_pause(self.service.vendor(), answer));
        let outcome = answer.and_then(|answer| read(&call, &answer));

        let failure = outcome.as_ref().err();
        let reason = failure.map(|error| error.reason);
        account.tell_of_request(&call, took, failure);
        // Before the ticket lets others through: whoever waits for this answer must find the lane closed.
        match failure {
            Some(error) if error.reason == Reason::Throttled => {
                lane.throttled(error.retry_after);
            }
            _ => lane.answered(asked_pause),
        }
        ticket.settle(evidence(failure));
        account
            .tally
            .request(&account.key, call.operation, took, reason);
        let millis = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        self.answering_millis.fetch_add(millis, Ordering::Relaxed);
        match outcome {
            Ok(value) => Attempt::Read(value),
            Err(error) => Attempt::Failed(error, fingerprint),
        }
    }

    /// Waits, but not once the exporter is stopping: what was not sent by then need not be.
    async fn unless_stopped<F: Future>(&self, waiting: F) -> Option<F::Output> {
        self.account.stop.run_until_cancelled(waiting).await
    }

    /// The keys as they are now. They may have to be fetched, or may have expired.
    async fn keys(&self) -> Result<Credential, (Reason, String)> {
        let current = self.account.provider.credentials().current();
        match self.unless_stopped(current).await {
            Some(Ok(credential)) => {
                let expiry = self.account.provider.credentials().expiry();
                let account = self.account;
                account.tally.credentials_expire(&account.key, expiry);
                Ok(credential)
            }
            Some(Err(problem)) => Err((Reason::Credentials, problem)),
            None => Err((Reason::Timeout, STOPPING.to_owned())),
        }
    }

    /// Whether there are other keys than those that the vendor rejected, if need be after asking for some.
    async fn have_successors(&self, used: Fingerprint) -> bool {
        let renewed = self.account.provider.credentials().rejected(used);
        self.unless_stopped(renewed).await;
        let current = self.keys().await;
        current.is_ok_and(|credential| credential.fingerprint() != used)
    }

    /// Waits until the call may be sent; gives up at once when the lane stays closed for longer than it may wait.
    async fn turn(
        &self,
        region: &Arc<str>,
        lane: &Lane,
        wait_until: Instant,
    ) -> Result<Option<[OwnedSemaphorePermit; 2]>, Paused> {
        let in_no_hurry = self.account.region(self.service, region).in_no_hurry;
        // The semaphore is never closed.
        let _first_in_line = if self.in_no_hurry {
            in_no_hurry.acquire_owned().await.ok()
        } else {
            None
        };
        loop {
            // A closed lane is waited for without a permit, so that the other operations of the region go on.
            if let Err(paused) = lane.open() {
                if paused.until > wait_until {
                    return Err(paused);
                }
                sleep_until(paused.until).await;
                continue;
            }
            let permit = self.account.place(self.service, region).await;
            if lane.turn().await.is_ok() {
                return Ok(permit);
            }
        }
    }

    /// How long to wait before the call is repeated; `None` when it is not.
    fn pause_before_repeat(
        &self,
        error: &ListError,
        failures: u32,
        lane: &Lane,
        repeat_until: Instant,
    ) -> Option<Duration> {
        let pause = match (error.repeat, error.reason) {
            (Repeat::Never, _) => return None,
            (Repeat::Afresh, _) => Duration::ZERO,
            // The lane was closed when the answer came.
            (Repeat::AfterPause, Reason::Throttled) => lane
                .open()
                .err()
                .map_or(Duration::ZERO, |Paused { until }| until - Instant::now()),
            (Repeat::AfterPause, _) => backoff::delay(failures - 1),
        };
        let worth_it = failures < MOST_ATTEMPTS
            && !self.time_left().is_zero()
            && Instant::now() + pause < repeat_until;
        worth_it.then_some(pause)
    }

    /// What is left for the next request: the configured deadline, and all of a listing within one interval.
    fn time_left(&self) -> Duration {
        let poll = &self.account.poll;
        let whole = poll.interval.max(poll.timeout);
        let answering = Duration::from_millis(self.answering_millis.load(Ordering::Relaxed));
        whole.saturating_sub(answering).min(poll.timeout)
    }
}

/// What the outcome of a call says about the key that signed it. Only an answer with the vendor's own code counts: a
/// gateway's page says nothing, and some errors are found before the signature is looked at.
fn evidence(failure: Option<&ListError>) -> Evidence {
    let Some(error) = failure else {
        return Evidence::Accepted;
    };
    match error.reason {
        _ if is_rejection(error) => Evidence::Rejected,
        Reason::Permission | Reason::NotFound | Reason::Unsupported if error.code.is_some() => {
            Evidence::Accepted
        }
        _ => Evidence::None,
    }
}

/// Whether the vendor refused the key itself, and not only a nonce that was spent.
fn is_rejection(error: &ListError) -> bool {
    error.reason == Reason::Credentials && error.repeat != Repeat::Afresh
}
