//! `/metrics`: editions that are kept up to date beside the scrapes, and the page of this second.
//!
//! A scrape takes the newest edition. It waits for a newer one only where that cannot be right any more, for instance
//! because our clock was set; so polls do not hold up scrapes, nor scrapes polls. What was read is seen at once while
//! little is going on, and within about a second while a lot is.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep, timeout};
use toolkit::server::Body;

use crate::backup::Lookback;
use crate::clock::Clock;
use crate::facts::Facts;
use crate::metrics::edition::{Edition, Editor, Supplement};
use crate::metrics::{Format, ProcessMetrics, ReloadState};
use crate::shard::Shard;
use crate::tally::Tally;

/// The longest rest between two editions while facts change all the time.
const LONGEST_REST: Duration = Duration::from_secs(1);

/// For so many times as long as an edition took, nothing is edited: at most a fifth of a processor goes into it.
const REST: u32 = 4;

/// How far an edition may lag behind the clock before a scrape waits for the next.
const LAG: chrono::Duration = chrono::Duration::seconds(1);

/// How long a scrape waits at most. What it gets then is an edition all the same.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long the clock is trusted to go on as it does. If it is set meanwhile, what is due by it is late by no more.
const LOOK_AT_THE_CLOCK: Duration = Duration::from_secs(10);

/// The page, and what it is made from.
#[derive(Debug)]
pub(super) struct MetricsPage {
    facts: Arc<Facts>,
    tally: Arc<Tally>,
    clock: Clock,
    shard: Shard,
    process: ProcessMetrics,
    newest: watch::Sender<Option<Arc<Edition>>>,
    /// How often an edition was asked for.
    asked: AtomicU64,
    is_asked: Notify,
    /// Which of those requests the newest edition answers.
    answered: watch::Sender<u64>,
    /// The page of each form, and what it was made from.
    made: Mutex<HashMap<Form, (Stamp, Body)>>,
}

/// How a page is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Form {
    pub format: Format,
    pub gzip: bool,
}

/// Everything that a page depends on but the state of the process. The same second has the same page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    edition: u64,
    second: i64,
    tally: u64,
    reload: ReloadState,
}

impl MetricsPage {
    pub(super) fn new(facts: Arc<Facts>, tally: Arc<Tally>, clock: Clock, shard: Shard) -> Self {
        Self {
            shard,
            facts,
            tally,
            clock,
            process: ProcessMetrics::default(),
            newest: watch::Sender::default(),
            asked: AtomicU64::new(0),
            is_asked: Notify::new(),
            answered: watch::Sender::default(),
            made: Mutex::default(),
        }
    }

    pub(super) const fn process(&self) -> &ProcessMetrics {
        &self.process
    }

    /// Keeps the editions up to date, for ever. The look-back is asked for before each.
    pub(super) async fn keep_up(&self, lookback: impl Fn() -> Lookback) {
        let feed = self.facts.feed();
        let mut editor = Editor::default();
        loop {
            let asked = self.asked.load(Ordering::SeqCst);
            let began = Instant::now();
            let (facts, lookback, now) = (Arc::clone(&self.facts), lookback(), self.clock.now());
            let changes = feed.take();
            // It may take a while, and other tasks are not to wait for it.
            let revised = tokio::task::spawn_blocking(move || {
                let edition = editor.revise(&facts, changes, lookback, now);
                (editor, edition)
            });
            editor = match revised.await {
                Ok((editor, edition)) => {
                    let holds_until = edition.holds_until();
                    self.newest.send_replace(Some(edition));
                    self.answered.send_replace(asked);
                    let rest = (began.elapsed() * REST).min(LONGEST_REST);
                    let is_asked = || self.asked.load(Ordering::SeqCst) != asked;
                    tokio::select! {
                        () = sleep(rest) => {}
                        () = self.until(is_asked) => {}
                    }
                    tokio::select! {
                        () = feed.changed() => {}
                        () = self.until(is_asked) => {}
                        () = self.until_it_is(holds_until) => {}
                    }
                    editor
                }
                Err(error) => {
                    tracing::error!(%error, "the metrics could not be written; please report this");
                    sleep(LONGEST_REST).await;
                    // What it had taken from the feed is lost: a new one writes everything anew.
                    Editor::default()
                }
            };
        }
    }

    async fn until(&self, holds: impl Fn() -> bool) {
        while !holds() {
            self.is_asked.notified().await;
        }
    }

    async fn until_it_is(&self, time: Option<DateTime<Utc>>) {
        let Some(time) = time else {
            return std::future::pending().await;
        };
        loop {
            let left = (time - self.clock.now()).to_std().unwrap_or_default();
            if left.is_zero() {
                return;
            }
            sleep(left.min(LOOK_AT_THE_CLOCK)).await;
        }
    }

    /// Waits until everything is written that is known now, but not for too long.
    pub(super) async fn catch_up(&self) {
        let request = self.asked.fetch_add(1, Ordering::SeqCst) + 1;
        self.is_asked.notify_one();
        let mut answered = self.answered.subscribe();
        let answer = answered.wait_for(|answered| *answered >= request);
        if timeout(PATIENCE, answer).await.is_err() {
            tracing::debug!("an edition is taking long");
        }
    }

    /// The newest edition that can be right at this time.
    async fn edition(&self, now: DateTime<Utc>) -> Option<Arc<Edition>> {
        let newest = self.newest.borrow().clone();
        let is_right = |edition: &Arc<Edition>| {
            let holds = edition.holds_until().is_none_or(|until| now < until + LAG);
            holds && edition.written() <= now + LAG
        };
        match newest {
            Some(edition) if is_right(&edition) => Some(edition),
            _ => {
                self.catch_up().await;
                self.newest.borrow().clone()
            }
        }
    }

    /// The page, if somebody asked for the same within this second.
    pub(super) fn made(&self, form: Form, reload: ReloadState) -> Option<Body> {
        let newest = self.newest.borrow().clone()?;
        let stamp = self.stamp(&newest, self.clock.now(), reload);
        let made = self.lock_made();
        let (of, body) = made.get(&form)?;
        (*of == stamp).then(|| body.clone())
    }

    /// The edition that a page is to be made from now; `None` if none could be written.
    pub(super) async fn newest(&self) -> Option<Arc<Edition>> {
        self.edition(self.clock.now()).await
    }

    /// Makes the page of this second.
    pub(super) fn make(&self, edition: &Edition, form: Form, reload: ReloadState) -> Body {
        let now = self.clock.now();
        let stamp = self.stamp(edition, now, reload);
        let supplement = Supplement {
            counts: &self.tally.counts(),
            reload,
            shard: self.shard,
            process: &self.process,
        };
        let pieces = if form.gzip {
            edition.gzip(form.format, &supplement, now)
        } else {
            edition.text(form.format, &supplement, now)
        };
        let body: Body = pieces.into_iter().collect();
        self.lock_made().insert(form, (stamp, body.clone()));
        body
    }

    fn stamp(&self, edition: &Edition, now: DateTime<Utc>, reload: ReloadState) -> Stamp {
        Stamp {
            edition: edition.number(),
            second: now.timestamp(),
            tally: self.tally.version(),
            reload,
        }
    }

    fn lock_made(&self) -> MutexGuard<'_, HashMap<Form, (Stamp, Body)>> {
        self.made.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
