//! The HTTP server: connections and their limits, and nothing of what is served.
//!
//! It is hyper's HTTP with what hyper leaves open: how many connections there may be, how long each may take, what
//! happens when accepting fails, and how it ends. Requests carry no body that anyone here wants, so handlers never see
//! one. What is special to a protocol is in `http1`, `http2` and `tls`.

mod body;
mod client_certificate;
mod http1;
mod http2;
pub(crate) mod slot;
#[cfg(test)]
mod tests;
mod timer;
pub mod tls;

use std::collections::{HashMap, HashSet};
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::{Method, Request, Response, Version};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::task::{AbortHandle, Id, JoinSet};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, warn};

pub use self::body::Body;
use self::slot::ConnectionSlot;
use self::timer::{ConnectionTimer, TimedStream};
use self::tls::{Hello, TlsConfigs};
use crate::listen::Listener;
use crate::refusals::{self, Refusal};

/// What a client may ask of the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The size of a request's head, its first line included. A larger one is answered with 431. Default: 16 KiB.
    pub head_bytes: usize,
    /// The number of a request's headers. More of them are answered with 431. Default: 100.
    pub headers: usize,
    /// How long a request's head may take to arrive: from the start of the connection, later from the request's first
    /// byte; and, with TLS, how long the handshake before that may take. Default: 10 seconds.
    pub head_time: Duration,
    /// How long a connection may rest between two requests. Longer than any usual scrape interval, because Prometheus
    /// keeps its connection from one scrape to the next. Default: 5 minutes.
    pub idle_time: Duration,
    /// How long a response may take, from the complete head of its request until its last byte has gone to the kernel.
    /// Default: 60 seconds.
    pub response_time: Duration,
    /// How long a client may take nothing of a response that is ready. Default: 10 seconds.
    pub stall_time: Duration,
    /// The number of connections at a time. A further one takes the place of one that is not being answered, and is
    /// refused with 503 if there is none. Default: 512.
    pub connections: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            head_bytes: 16 * 1024,
            headers: 100,
            head_time: Duration::from_secs(10),
            idle_time: Duration::from_secs(5 * 60),
            response_time: Duration::from_secs(60),
            stall_time: Duration::from_secs(10),
            connections: 512,
        }
    }
}

/// How long the server rests after an accept error that says the machine is short of something.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How often the same trouble is logged at most.
const LOG_INTERVAL: Duration = Duration::from_secs(60);

/// How many connections beyond the limit are told so at a time. Those beyond even this are just closed.
const REFUSALS: usize = 32;

/// How many connections that were evicted may still be ending, before more are accepted.
const LEAVING: usize = 16;

/// Serves every listener until `shutdown` is cancelled, then lets the requests in flight finish, and resolves.
///
/// Once cancelled, nothing is accepted any more and resting connections are closed. How long the requests in flight may
/// take is bounded by the limits and, if that is too long, by the caller: dropping this future ends them.
///
/// Connections are encrypted if there is a `tls`, and plain otherwise. A `HEAD` request may be answered like a `GET`; the
/// body is not sent. A handler that panics loses what it was called for, which is the connection or, of HTTP/2, the
/// stream, and no other.
pub async fn serve<H, F>(
    listeners: Vec<Listener>,
    limits: Limits,
    tls: Option<TlsConfigs>,
    handler: H,
    shutdown: CancellationToken,
) where
    H: Fn(Request<()>) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response<Body>> + Send + 'static,
{
    let mut turn = 0;
    // Moved into the closure, so that the listening sockets are closed as soon as accepting stops.
    let accept = move |context: &mut Context<'_>| accept_any(&listeners, &mut turn, context);
    let connections = Connections::new(limits, tls, handler, shutdown);
    serve_from(accept, connections).await;
}

/// As [`serve`], with connections from anywhere.
async fn serve_from<A, H, F>(mut accept: A, mut connections: Connections<H>)
where
    A: FnMut(&mut Context<'_>) -> Poll<io::Result<(TcpStream, SocketAddr)>>,
    H: Fn(Request<()>) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response<Body>> + Send + 'static,
{
    let shutdown = connections.shutdown.clone();
    let mut trouble = Seldom::default();
    loop {
        let accepted = tokio::select! {
            biased;
            () = shutdown.cancelled() => break,
            () = connections.one_ends() => continue,
            accepted = std::future::poll_fn(&mut accept), if connections.may_grow() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => connections.admit(stream, peer),
            Err(error) if concerns_one_connection(&error) => {
                debug!(%error, "a connection was gone before it was accepted");
            }
            Err(error) => {
                if let Some(unlogged) = trouble.turn(Instant::now()) {
                    warn!(%error, unlogged, "cannot accept connections, going on");
                }
                // Trying again at once would only burn the processor: it is others who must let go of something.
                tokio::select! {
                    () = shutdown.cancelled() => break,
                    () = tokio::time::sleep(ACCEPT_PAUSE) => {}
                }
            }
        }
    }
    drop(accept);
    while !connections.tasks.is_empty() {
        connections.one_ends().await;
    }
}

/// Accepts from whichever listener has a connection, each getting its turn to be asked first.
fn accept_any(
    listeners: &[Listener],
    turn: &mut usize,
    context: &mut Context<'_>,
) -> Poll<io::Result<(TcpStream, SocketAddr)>> {
    for offset in 0..listeners.len() {
        let index = (*turn + offset) % listeners.len();
        if let Poll::Ready(accepted) = listeners[index].socket.poll_accept(context) {
            *turn = index + 1;
            return Poll::Ready(accepted);
        }
    }
    Poll::Pending
}

/// Whether an accept error is about the connection that would have been accepted. On Linux, accept also hands on
/// network errors that are already pending on the new connection (accept(2), "Error handling").
fn concerns_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::HostUnreachable
            | io::ErrorKind::NetworkUnreachable
            | io::ErrorKind::NetworkDown
            | io::ErrorKind::TimedOut
            | io::ErrorKind::Interrupted
    )
}

/// The connections that are open. Dropping this ends them.
struct Connections<H> {
    limits: Limits,
    tls: Option<TlsConfigs>,
    handler: H,
    shutdown: CancellationToken,
    /// Those that are served.
    served: HashMap<Id, (ConnectionSlot, AbortHandle)>,
    /// Those that were evicted and have not ended yet.
    leaving: HashSet<Id>,
    /// One permit for each connection that may still be told why it is not.
    refusals: Arc<Semaphore>,
    refused: Seldom,
    evicted: Seldom,
    tasks: JoinSet<()>,
}

impl<H, F> Connections<H>
where
    H: Fn(Request<()>) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response<Body>> + Send + 'static,
{
    fn new(
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
            leaving: HashSet::new(),
            refusals: Arc::new(Semaphore::new(REFUSALS)),
            refused: Seldom::default(),
            evicted: Seldom::default(),
            tasks: JoinSet::new(),
        }
    }

    /// Each connection is a task of its own, so that a panic ends no other.
    fn admit(&mut self, stream: TcpStream, peer: SocketAddr) {
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
        if let Some(unlogged) = self.refused.turn(Instant::now()) {
            let limit = limits.connections;
            warn!(%peer, limit, unlogged, "refused a connection: there are too many");
        }
        if let Ok(permit) = Arc::clone(&self.refusals).try_acquire_owned() {
            // With TLS this could not be read before a handshake, which would take what there is too little of.
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

    /// Ends the connection that is least of a loss, so that whoever holds many cannot shut out all others. Nobody who is
    /// being answered loses the answer.
    fn evict_one(&mut self) -> bool {
        loop {
            let ranked = self.served.iter();
            let ranked = ranked.filter_map(|(id, (slot, _))| Some((slot.eviction_rank()?, *id)));
            let Some((_, id)) = ranked.min_by_key(|(rank, _)| *rank) else {
                return false;
            };
            match self.served.get(&id) {
                Some((slot, task)) if slot.evict() => task.abort(),
                // A request has become complete just now.
                _ => continue,
            }
            self.served.remove(&id);
            self.leaving.insert(id);
            if let Some(unlogged) = self.evicted.turn(Instant::now()) {
                let limit = self.limits.connections;
                warn!(
                    limit,
                    unlogged, "ended a connection to make room for a new one"
                );
            }
            return true;
        }
    }

    /// Evicted connections are waited for, so that there are never many more than the limit says.
    fn may_grow(&self) -> bool {
        self.leaving.len() < LEAVING
    }

    /// Resolves when a connection ends; never while there is none.
    async fn one_ends(&mut self) {
        let id = match self.tasks.join_next_with_id().await {
            Some(Ok((id, ()))) => id,
            Some(Err(error)) => {
                if error.is_panic() {
                    // The message and the place have been printed by the panic hook.
                    error!("answering a request failed, its connection is lost: this is a bug");
                }
                error.id()
            }
            None => return std::future::pending().await,
        };
        self.served.remove(&id);
        self.leaving.remove(&id);
    }
}

/// Whom a connection is with, and what holds for it.
struct Client {
    peer: SocketAddr,
    limits: Limits,
    shutdown: CancellationToken,
    timer: ConnectionTimer,
}

/// What bytes are exchanged over, encrypted or not.
trait Connection: AsyncRead + AsyncWrite + Send + Unpin {
    /// The socket below, if there is one.
    fn socket(&self) -> Option<&TcpStream>;
}

impl Connection for TcpStream {
    fn socket(&self) -> Option<&TcpStream> {
        Some(self)
    }
}

#[cfg(any(test, feature = "testkit"))]
impl Connection for tokio::io::DuplexStream {
    fn socket(&self) -> Option<&TcpStream> {
        None
    }
}

/// Serves one connection that is no socket, for fuzzers: HTTP/1, or HTTP/2 as TLS would have agreed on it.
#[cfg(any(test, feature = "testkit"))]
#[doc(hidden)]
pub async fn serve_in_memory<H, F>(stream: tokio::io::DuplexStream, http2: bool, handler: H)
where
    H: Fn(Request<()>) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response<Body>> + Send + 'static,
{
    let limits = Limits::default();
    let client = Client {
        peer: SocketAddr::from(([127, 0, 0, 1], 0)),
        limits,
        shutdown: CancellationToken::new(),
        timer: ConnectionTimer::new(limits, ConnectionSlot::new()),
    };
    if http2 {
        Box::pin(http2::serve_connection(stream, &handler, &client)).await;
    } else {
        Box::pin(http1::serve_connection(stream, &handler, &client)).await;
    }
}

/// Serves one connection until it ends, is cut, or the server stops.
async fn serve_connection<H, F>(
    stream: TcpStream,
    tls: Option<TlsConfigs>,
    handler: H,
    client: Client,
) where
    H: Fn(Request<()>) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response<Body>> + Send + 'static,
{
    let (peer, timer) = (client.peer, &client.timer);
    // A response is written in few large pieces; there is nothing to gain by waiting for more.
    if let Err(error) = stream.set_nodelay(true) {
        debug!(%peer, %error, "cannot switch off Nagle's algorithm");
    }
    // Each of these is a large future. An idle connection keeps the memory of the one it is in, and of no other.
    let Some(tls) = tls else {
        return Box::pin(http1::serve_connection(stream, &handler, &client)).await;
    };
    let hello = tokio::select! {
        biased;
        () = client.shutdown.cancelled() => return,
        hello = Box::pin(tls::greet(stream, &tls)) => hello,
        _ = timer.expired() => {
            debug!(%peer, "cut a connection that took too long with its TLS handshake");
            return;
        }
    };
    timer.handshake_ends();
    match hello {
        Ok(Hello::Http1(stream)) => {
            Box::pin(http1::serve_connection(stream, &handler, &client)).await;
        }
        Ok(Hello::Http2(stream)) => {
            Box::pin(http2::serve_connection(stream, &handler, &client)).await;
        }
        Ok(Hello::NotEncrypted(stream)) => {
            refuse(stream, timer, refusals::NOT_ENCRYPTED, Version::HTTP_10).await;
        }
        Err(error) => debug!(%peer, %error, "a TLS handshake failed"),
    }
}

/// Why a request is not for the handler: it brings a body where there cannot be one.
fn refuse_body(method: &Method) -> Option<Refusal> {
    matches!(*method, Method::GET | Method::HEAD).then_some(refusals::UNWANTED_BODY)
}

/// Tells a client why it is not served. It is not given any of the memory that a connection takes.
async fn refuse(stream: TcpStream, timer: &ConnectionTimer, refusal: Refusal, version: Version) {
    let mut stream = TimedStream::new(stream, timer.clone());
    let refusing = async {
        stream.stream().writable().await?;
        // A new socket has room for so little; if it has not, the client learns it from the end of the connection.
        stream.stream().try_write(&refusal.bytes(version))?;
        stream.close(true).await
    };
    tokio::select! {
        refused = refusing => {
            if let Err(error) = refused {
                debug!(%error, "cannot tell a client why it is not served");
            }
        }
        _ = timer.expired() => {}
    }
}

/// Lets through one log line per [`LOG_INTERVAL`] and counts the others.
#[derive(Debug, Default)]
struct Seldom {
    last: Option<Instant>,
    unlogged: u64,
}

impl Seldom {
    /// The number of lines left out since the last one, if it is time for the next.
    fn turn(&mut self, now: Instant) -> Option<u64> {
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
