//! The HTTP server: connections and their limits, and nothing of what is served.
//!
//! hyper speaks HTTP. Here is what it leaves to its user: the number of connections, their time limits, errors of accept,
//! and the graceful stop. An exporter reads no request bodies, so a handler never gets one.

mod body;
mod client_certificate;
mod connections;
mod http1;
mod http2;
pub(crate) mod slot;
#[cfg(test)]
mod tests;
mod timer;
pub mod tls;

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::{Method, Request, Response, Version};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

pub use self::body::Body;
use self::connections::{Connections, LogThrottle};
use self::timer::{ConnectionTimer, TimedStream};
use self::tls::{Handshake, TlsConfigs};
use crate::listen::Listener;
use crate::refusals::{self, Refusal};

/// What a client may use of the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The size of a request's head, its first line included. A larger one is answered with 431. Default: 16 KiB.
    pub head_bytes: usize,
    /// The number of a request's headers. More of them are answered with 431. Default: 100.
    pub headers: usize,
    /// How long a request's head may take to arrive: from the start of the connection, later from the request's first
    /// byte; and, with TLS, how long the handshake before that may take. Default: 10 seconds.
    pub head_time: Duration,
    /// How long a connection may be idle between two requests. Longer than any usual scrape interval, because Prometheus
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

/// How long accepting pauses after an error that says the machine lacks a resource.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves every listener until `shutdown` is cancelled, then lets the requests in flight finish, and resolves.
///
/// Once cancelled, nothing is accepted any more and idle connections are closed. How long the requests in flight may
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
    let mut log_failed = LogThrottle::default();
    loop {
        let accepted = tokio::select! {
            biased;
            () = shutdown.cancelled() => break,
            () = connections.one_ends() => continue,
            accepted = std::future::poll_fn(&mut accept), if connections.may_accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => connections.admit(stream, peer),
            Err(error) if concerns_one_connection(&error) => {
                debug!(%error, "a connection was gone before it was accepted");
            }
            Err(error) => {
                if let Some(unlogged) = log_failed.admit(Instant::now()) {
                    warn!(%error, unlogged, "cannot accept connections, going on");
                }
                // A retry at once would only burn the processor: somebody else has to free the resource.
                tokio::select! {
                    () = shutdown.cancelled() => break,
                    () = tokio::time::sleep(ACCEPT_PAUSE) => {}
                }
            }
        }
    }
    drop(accept);
    connections.all_end().await;
}

/// Accepts from any listener that has a connection, round robin.
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

/// Whether an accept error concerns only the new connection. On Linux, accept also returns network errors that are
/// already pending on it (accept(2), "Error handling").
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

/// The client of a connection, and what applies to it.
struct Client {
    peer: SocketAddr,
    limits: Limits,
    shutdown: CancellationToken,
    timer: ConnectionTimer,
}

/// A byte stream, encrypted or not.
trait Connection: AsyncRead + AsyncWrite + Send + Unpin {
    /// The socket underneath; none in memory.
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

/// Serves one connection in memory, for fuzzers: HTTP/1, or HTTP/2 as if TLS had negotiated it.
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
        timer: ConnectionTimer::new(limits, slot::ConnectionSlot::new()),
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
    let handshake = tokio::select! {
        biased;
        () = client.shutdown.cancelled() => return,
        handshake = Box::pin(tls::accept(stream, &tls)) => handshake,
        _ = timer.expired() => {
            debug!(%peer, "cut a connection that took too long with its TLS handshake");
            return;
        }
    };
    timer.handshake_ends();
    match handshake {
        Ok(Handshake::Http1(stream)) => {
            Box::pin(http1::serve_connection(stream, &handler, &client)).await;
        }
        Ok(Handshake::Http2(stream)) => {
            Box::pin(http2::serve_connection(stream, &handler, &client)).await;
        }
        Ok(Handshake::NotEncrypted(stream)) => {
            refuse(stream, timer, refusals::NOT_ENCRYPTED, Version::HTTP_10).await;
        }
        Err(error) => debug!(%peer, %error, "a TLS handshake failed"),
    }
}

/// Refuses a request that brings a body with a method that has none.
fn refuse_body(method: &Method) -> Option<Refusal> {
    matches!(*method, Method::GET | Method::HEAD).then_some(refusals::UNWANTED_BODY)
}

/// Sends a refusal without the memory that serving a connection takes.
async fn refuse(stream: TcpStream, timer: &ConnectionTimer, refusal: Refusal, version: Version) {
    let mut stream = TimedStream::new(stream, timer.clone());
    let refusing = async {
        stream.stream().writable().await?;
        // A new socket has room for this much. If it has not, the connection just closes.
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
