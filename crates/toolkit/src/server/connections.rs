//! The open connections: how many there may be, and which one is evicted for a new one.

use std::collections::{HashMap, HashSet};
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::{Request, Response, Version};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::task::{AbortHandle, Id, JoinSet};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};

use super::slot::ConnectionSlot;
use super::timer::ConnectionTimer;
use super::tls::TlsConfigs;
use super::{Body, Client, Limits, refuse, serve_connection};
use crate::refusals;

/// The shortest time between two log lines of the same event.
const LOG_INTERVAL: Duration = Duration::from_secs(60);

/// How many connections beyond the limit get a 503 at a time. The others are only closed.
const REFUSALS: usize = 32;

/// How many evicted connections may still be open before accepting stops.
const EVICTED: usize = 16;

/// The connections that are open. Dropping this ends them.
pub(super) struct Connections<H> {
    limits: Limits,
    tls: Option<TlsConfigs>,
    handler: H,
    pub(super) shutdown: CancellationToken,
    /// Those that the limit counts.
    served: HashMap<Id, (ConnectionSlot, AbortHandle)>,
    /// Those that have not ended yet.
    evicted: HashSet<Id>,
    /// One permit for each connection that gets a 503.
    refusals: Arc<Semaphore>,
    log_refused: LogThrottle,
    log_evicted: LogThrottle,
    tasks: JoinSet<()>,
}

impl<H, F> Connections<H>
where
    H: Fn(Request<()>) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response<Body>> + Send + 'static,
{
    pub(super) fn new(
        limits: Limits,
        tls: Option<TlsConfigs>,
        handler: H,
        shutdown: CancellationToken,
    ) -> Self {
        Self {
            limits,
            tls,
            handler,
            shutdown,
            served: HashMap::new(),
            evicted: HashSet::new(),
            refusals: Arc::new(Semaphore::new(REFUSALS)),
            log_refused: LogThrottle::default(),
            log_evicted: LogThrottle::default(),
            tasks: JoinSet::new(),
        }
    }

    /// Each connection is a task of its own, so that a panic ends no other.
    pub(super) fn admit(&mut self, stream: TcpStream, peer: SocketAddr) {
        let limits = self.limits;
        if self.served.len() < limits.connections || self.evict_one() {
            let (handler, shutdown) = (self.handler.clone(), self.shutdown.clone());
            let slot = ConnectionSlot::new();
            let client = Client {
                peer,
                limits,
                shutdown,
                timer: ConnectionTimer::new(limits, slot.clone()),
            };
            let serving = serve_connection(stream, self.tls.clone(), handler, client);
            let task = self.tasks.spawn(serving);
            self.served.insert(task.id(), (slot, task));
            return;
        }
        if let Some(unlogged) = self.log_refused.admit(Instant::now()) {
            let limit = limits.connections;
            warn!(%peer, limit, unlogged, "refused a connection: there are too many");
        }
        if let Ok(permit) = Arc::clone(&self.refusals).try_acquire_owned() {
            // With TLS the client could not read it before a handshake, which costs more than a refusal may.
            if self.tls.is_none() {
                self.tasks.spawn(async move {
                    let timer = ConnectionTimer::new(limits, ConnectionSlot::new());
                    let refusal = refusals::TOO_MANY_CONNECTIONS;
                    refuse(stream, &timer, refusal, Version::HTTP_11).await;
                    drop(permit);
                });
            }
        }
    }

    /// Evicts the connection that is the cheapest to lose, so that a client with many cannot shut out all others. A
    /// response that has begun is not lost.
    fn evict_one(&mut self) -> bool {
        loop {
            let ranked = self.served.iter();
            let ranked = ranked.filter_map(|(id, (slot, _))| Some((slot.eviction_rank()?, *id)));
            let Some((_, id)) = ranked.min_by_key(|(rank, _)| *rank) else {
                return false;
            };
            match self.served.get(&id) {
                Some((slot, task)) if slot.evict() => task.abort(),
                // A request has just begun.
                _ => continue,
            }
            self.served.remove(&id);
            self.evicted.insert(id);
            if let Some(unlogged) = self.log_evicted.admit(Instant::now()) {
                let limit = self.limits.connections;
                warn!(
                    limit,
                    unlogged, "ended a connection to make room for a new one"
                );
            }
            return true;
        }
    }

    /// Whether another connection may be accepted. Evicted ones are waited for, so that the limit is never exceeded by many.
    pub(super) fn may_accept(&self) -> bool {
        self.evicted.len() < EVICTED
    }

    /// Resolves when all connections have ended.
    pub(super) async fn all_end(&mut self) {
        while !self.tasks.is_empty() {
            self.one_ends().await;
        }
    }

    /// Resolves when a connection ends; never while there is none.
    pub(super) async fn one_ends(&mut self) {
        let id = match self.tasks.join_next_with_id().await {
            Some(Ok((id, ()))) => id,
            Some(Err(error)) => {
                if error.is_panic() {
                    // The panic hook has printed the message and the location.
                    error!("answering a request failed, its connection is lost: this is a bug");
                }
                error.id()
            }
            None => return std::future::pending().await,
        };
        self.served.remove(&id);
        self.evicted.remove(&id);
    }
}

/// Admits one log line per [`LOG_INTERVAL`] and counts the others.
#[derive(Debug, Default)]
pub(super) struct LogThrottle {
    last: Option<Instant>,
    unlogged: u64,
}

impl LogThrottle {
    /// The number of lines left out since the last one, if the next may be written.
    pub(super) fn admit(&mut self, now: Instant) -> Option<u64> {
        if self
            .last
            .is_some_and(|last| now.duration_since(last) < LOG_INTERVAL)
        {
            self.unlogged += 1;
            return None;
        }
        self.last = Some(now);
        Some(std::mem::take(&mut self.unlogged))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_trouble_is_logged_once_a_minute() {
        let mut log = LogThrottle::default();
        let start = Instant::now();
        assert_eq!(log.admit(start), Some(0));
        assert_eq!(log.admit(start), None);
        assert_eq!(log.admit(start + LOG_INTERVAL / 2), None);
        assert_eq!(log.admit(start + LOG_INTERVAL), Some(2));
        assert_eq!(log.admit(start + LOG_INTERVAL), None);
    }
}
