//! The vendor's own places to look for keys, in the order of its SDKs; the keys that were found, and their renewal.
//!
//! The first source that has keys is remembered and asked from then on, as the SDKs do. Temporary keys are renewed in the
//! background before they expire. While a renewal fails, keys that are still valid go on serving; expired keys never do.
//! Whoever needs keys when there are none waits for one attempt that all share, and a recent failure is answered from
//! memory, so that a service that is down is not hammered.

use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

use super::{Credential, Fingerprint};
use crate::clock::Clock;

/// A file of keys is read again when it was read longer ago than this.
const REREAD: Duration = Duration::from_secs(2);

/// The least time between two attempts, unless somebody waits for keys.
const BETWEEN_ATTEMPTS: Duration = Duration::from_secs(10);

/// The most time between two attempts.
const LONGEST_PAUSE: Duration = Duration::from_secs(120);

/// The least time between two renewals because the vendor rejected keys that seemed good.
const BETWEEN_FORCED: Duration = Duration::from_secs(60);

/// No source takes longer: each of its requests has a deadline, but there may be many.
const LONGEST_FETCH: Duration = Duration::from_secs(30);

/// Keys from a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::provider) struct Keys {
    /// The keys.
    pub credential: Credential,
    /// How long they may be used.
    pub lifetime: Lifetime,
    /// Where they come from, in words that hold no part of them.
    pub from: String,
}

/// How long keys may be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::provider) enum Lifetime {
    /// As long as the process runs: they stand in a variable.
    Process,
    /// As long as they stand in their file.
    File,
    /// Until then.
    Until {
        /// Never used after this.
        expires: DateTime<Utc>,
        /// Renewed so long before; keys that live shortly are renewed when a third of their life is left.
        margin: Duration,
    },
}

/// Why a source has no keys, as far as can be told without asking anybody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::provider) enum Lack {
    /// Nobody has set it up.
    Absent(String),
    /// It is set up by half, or wrongly.
    Unusable(String),
}

impl Lack {
    /// Nobody has set it up.
    pub(in crate::provider) fn absent(why: impl Into<String>) -> Self {
        Self::Absent(why.into())
    }

    /// It is set up by half, or wrongly.
    pub(in crate::provider) fn unusable(why: impl Into<String>) -> Self {
        Self::Unusable(why.into())
    }

    /// Why.
    pub(in crate::provider) fn why(self) -> String {
        match self {
            Self::Absent(why) | Self::Unusable(why) => why,
        }
    }
}

/// What a source would give, as far as can be told without asking anybody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::provider) enum Outlook {
    /// It is set up: this is where the keys would come from.
    Sure(String),
    /// It may be there, such as a metadata service.
    Perhaps(String),
}

/// The keys, once they were asked for.
pub(in crate::provider) type Fetching<'a> =
    Pin<Box<dyn Future<Output = Result<Keys, String>> + Send + 'a>>;

/// One place where a vendor's tools look for keys.
pub(in crate::provider) trait Source: fmt::Debug + Send + Sync {
    /// What the place is called in an error.
    fn name(&self) -> &'static str;

    /// What it would give. Reads files, asks nobody.
    fn outlook(&self) -> Result<Outlook, Lack>;

    /// Gets keys. The error is one line and holds no secret.
    fn fetch(&self) -> Fetching<'_>;
}

/// The sources of one account, and the keys that were found.
#[derive(Debug)]
pub struct Chain(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    account: Arc<str>,
    clock: Clock,
    sources: Vec<Box<dyn Source>>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    held: Option<Held>,
    /// The newest attempt; it is over once the sender is gone, however it ended.
    attempt: Option<watch::Receiver<()>>,
    failure: Option<Failure>,
    forced: Option<Instant>,
}

/// The newest keys.
#[derive(Debug)]
struct Held {
    keys: Keys,
    /// The place of their source in the chain.
    source: usize,
    /// When they are due to be renewed, if they are temporary.
    renew: Option<DateTime<Utc>>,
    fetched: Instant,
}

/// What became of the newest attempt, when it failed.
#[derive(Debug)]
struct Failure {
    why: String,
    in_a_row: u32,
    retry: Instant,
}

/// What the keys at hand are good for.
enum Standing {
    /// They serve.
    Fresh,
    /// They serve, and are to be renewed meanwhile.
    Due,
    /// They are to be read again first, and serve if that fails.
    Stale,
    /// There are none, or they have expired.
    Gone,
}

/// What the caller does now.
enum Verdict {
    Use(Credential),
    Refuse(String),
    Wait(watch::Receiver<()>),
}

impl Chain {
    /// A chain that has not looked anywhere yet.
    pub(in crate::provider) fn new(
        account: Arc<str>,
        clock: Clock,
        sources: Vec<Box<dyn Source>>,
    ) -> Self {
        Self(Arc::new(Shared {
            account,
            clock,
            sources,
            state: Mutex::default(),
        }))
    }

    /// When the keys that were got last expire, if they do.
    pub fn expiry(&self) -> Option<DateTime<Utc>> {
        let state = self.0.lock();
        match state.held.as_ref()?.keys.lifetime {
            Lifetime::Until { expires, .. } => Some(expires),
            Lifetime::Process | Lifetime::File => None,
        }
    }

    /// The keys as they are now.
    ///
    /// # Errors
    /// Names every source that was tried, and why it has none, in one line without secrets.
    pub async fn current(&self) -> Result<Credential, String> {
        // Who has waited once gets what that attempt brought, be it a failure.
        for _ in 0..2 {
            match self.0.judge() {
                Verdict::Use(credential) => return Ok(credential),
                Verdict::Refuse(why) => return Err(why),
                Verdict::Wait(attempt) => over(attempt).await,
            }
        }
        Err("no keys: the attempt to get some was cut short".to_owned())
    }

    /// The vendor refused these keys. Unless they were replaced meanwhile, their source is asked for others, at most
    /// once a minute.
    pub async fn rejected(&self, used: Fingerprint) {
        if let Some(attempt) = self.0.force(used) {
            over(attempt).await;
        }
    }

    /// Which source would be used, without asking anybody.
    pub fn describe(&self) -> String {
        let mut places = Vec::new();
        let mut passed_over = Vec::new();
        for source in &self.0.sources {
            match source.outlook() {
                Ok(Outlook::Sure(place)) => {
                    places.push(place);
                    break;
                }
                Ok(Outlook::Perhaps(place)) => places.push(place),
                Err(Lack::Unusable(why)) => passed_over.push(format!("{}: {why}", source.name())),
                Err(Lack::Absent(_)) => {}
            }
        }
        let mut words = if places.is_empty() {
            "nowhere: no source of keys is set up".to_owned()
        } else {
            places.join(", else ")
        };
        if !passed_over.is_empty() {
            words.push_str("; passed over: ");
            words.push_str(&passed_over.join("; "));
        }
        words
    }
}

/// Waits until the attempt is over.
async fn over(mut attempt: watch::Receiver<()>) {
    while attempt.changed().await.is_ok() {}
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn judge(self: &Arc<Self>) -> Verdict {
        let mut state = self.lock();
        let standing = state.standing(self.clock.now());
        let resting = state
            .failure
            .as_ref()
            .is_some_and(|failure| Instant::now() < failure.retry);
        let held = state.held.as_ref();
        let held = held.map(|held| held.keys.credential.clone());
        match (standing, held) {
            (Standing::Fresh, Some(credential)) => Verdict::Use(credential),
            (Standing::Due, Some(credential)) => {
                if !resting && state.rested() {
                    self.attempt(&mut state);
                }
                Verdict::Use(credential)
            }
            (Standing::Stale, Some(credential)) if resting => Verdict::Use(credential),
            (Standing::Gone, _) | (_, None) if resting && !state.is_trying() => {
                let why = state.failure.as_ref().map(|failure| failure.why.clone());
                Verdict::Refuse(why.unwrap_or_default())
            }
            (Standing::Stale | Standing::Gone, _) | (_, None) => {
                Verdict::Wait(self.attempt(&mut state))
            }
        }
    }

    /// Starts an attempt, unless one is on its way, even if that is one that nobody waits for.
    fn attempt(self: &Arc<Self>, state: &mut State) -> watch::Receiver<()> {
        if let Some(attempt) = state.attempt.as_ref().filter(|_| state.is_trying()) {
            return attempt.clone();
        }
        let (ends, attempt) = watch::channel(());
        let shared = Arc::clone(self);
        let source = state.held.as_ref().map(|held| held.source);
        tokio::spawn(async move {
            let found = shared.look(source).await;
            shared.settle(found);
            drop(ends);
        });
        state.attempt = Some(attempt.clone());
        attempt
    }

    fn force(self: &Arc<Self>, used: Fingerprint) -> Option<watch::Receiver<()>> {
        let mut state = self.lock();
        let held = state.held.as_ref()?;
        let same = held.keys.credential.fingerprint() == used;
        if !same || held.keys.lifetime == Lifetime::Process {
            return None;
        }
        let forced_lately = state
            .forced
            .is_some_and(|forced| forced.elapsed() < BETWEEN_FORCED);
        if forced_lately && !state.is_trying() {
            return None;
        }
        if !forced_lately {
            state.forced = Some(Instant::now());
        }
        Some(self.attempt(&mut state))
    }

    /// Asks the source that is remembered, or one after the other.
    async fn look(&self, remembered: Option<usize>) -> Result<(usize, Keys), String> {
        if let Some(place) = remembered {
            let keys = self.ask(place).await;
            return keys
                .map(|keys| (place, keys))
                .map_err(|why| format!("no new keys: {why}"));
        }
        let mut reasons = Vec::new();
        for place in 0..self.sources.len() {
            match self.ask(place).await {
                Ok(keys) => {
                    self.tell_of_passed_over(place, &reasons);
                    return Ok((place, keys));
                }
                Err(why) => reasons.push(why),
            }
        }
        Err(format!("no keys: {}", reasons.join("; ")))
    }

    async fn ask(&self, place: usize) -> Result<Keys, String> {
        let source = self
            .sources
            .get(place)
            .ok_or_else(|| "no such source".to_owned())?;
        let asked = timeout(LONGEST_FETCH, source.fetch()).await;
        let keys = asked.unwrap_or_else(|_| Err("no answer in time".to_owned()));
        let now = self.clock.now();
        keys.and_then(|keys| match keys.lifetime {
            Lifetime::Until { expires, .. } if expires <= now => {
                Err("the keys that it gave have expired".to_owned())
            }
            _ => Ok(keys),
        })
        .map_err(|why| format!("{}: {why}", source.name()))
    }

    /// Keys of another place than the one that was meant are worth a line: they may lack its rights.
    fn tell_of_passed_over(&self, place: usize, reasons: &[String]) {
        for (source, why) in self.sources.iter().zip(reasons).take(place) {
            if !matches!(
                source.outlook(),
                Err(Lack::Absent(_)) | Ok(Outlook::Perhaps(_))
            ) {
                tracing::warn!(account = &*self.account, %why, "a source of keys was passed over");
            }
        }
    }

    fn settle(&self, found: Result<(usize, Keys), String>) {
        let now = self.clock.now();
        let mut state = self.lock();
        match found {
            Ok((source, keys)) => {
                let known = state.held.as_ref().map(|held| held.keys.from.as_str());
                if known != Some(keys.from.as_str()) || state.failure.is_some() {
                    tracing::info!(account = &*self.account, from = keys.from, "keys found");
                }
                state.failure = None;
                state.held = Some(Held {
                    renew: keys.renewal(now),
                    keys,
                    source,
                    fetched: Instant::now(),
                });
            }
            Err(why) => {
                let in_a_row = state.failure.as_ref().map_or(0, |failure| failure.in_a_row) + 1;
                // Without keys each listing says so; with keys that still serve nobody else would.
                if in_a_row == 1 && state.held.is_some() {
                    tracing::warn!(account = &*self.account, %why, "keys cannot be renewed");
                }
                state.failure = Some(Failure {
                    why,
                    in_a_row,
                    retry: Instant::now() + pause(in_a_row),
                });
            }
        }
    }
}

impl State {
    fn is_trying(&self) -> bool {
        self.attempt
            .as_ref()
            .is_some_and(|attempt| attempt.has_changed().is_ok())
    }

    /// Whether the newest keys are not just as old as the last attempt: a source may give the same keys again.
    fn rested(&self) -> bool {
        self.held
            .as_ref()
            .is_none_or(|held| held.fetched.elapsed() >= BETWEEN_ATTEMPTS)
    }

    fn standing(&self, now: DateTime<Utc>) -> Standing {
        let Some(held) = &self.held else {
            return Standing::Gone;
        };
        match held.keys.lifetime {
            Lifetime::File if held.fetched.elapsed() >= REREAD => Standing::Stale,
            Lifetime::Until { expires, .. } if now >= expires => Standing::Gone,
            Lifetime::Until { .. } if held.renew.is_some_and(|renew| now >= renew) => Standing::Due,
            Lifetime::Process | Lifetime::File | Lifetime::Until { .. } => Standing::Fresh,
        }
    }
}

impl Keys {
    /// When keys that were fetched now are to be renewed.
    fn renewal(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let Lifetime::Until { expires, margin } = self.lifetime else {
            return None;
        };
        let third = (expires - now) / 3;
        let margin = chrono::Duration::from_std(margin).unwrap_or(third);
        Some(expires - margin.min(third))
    }
}

/// How long nobody is asked after so many failures in a row: it doubles, and differs from exporter to exporter.
fn pause(in_a_row: u32) -> Duration {
    let doublings = in_a_row.saturating_sub(1);
    let bound = BETWEEN_ATTEMPTS
        .saturating_mul(2_u32.saturating_pow(doublings))
        .min(LONGEST_PAUSE);
    (bound / 2 + (bound / 2).mul_f64(rand::random::<f64>())).max(BETWEEN_ATTEMPTS)
}
