//! HTTP on a loopback socket: reads a request, asks a face, delivers the answer as the face says.
//! Knows no vendor.

use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Limited};
use hyper::body::{Body, Frame, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::clock::SimClock;
use crate::exchange::{Delivery, Exchange, Received, Reply};
use crate::state::State;

/// A vendor's API: what it makes of a request.
pub(crate) type Face = fn(&mut State, &Received) -> Exchange;

/// What the server and the test's handle have in common.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) clock: SimClock,
    state: Mutex<State>,
    /// Requests recorded since the journal was last cleared.
    pub(crate) recorded: watch::Sender<usize>,
}

impl Shared {
    pub(crate) fn new(clock: SimClock, state: State) -> Self {
        Self {
            clock,
            state: Mutex::new(state),
            recorded: watch::Sender::new(0),
        }
    }

    /// The state; a test that panicked while it held the lock has not left it half changed.
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Serves `face` until `stop` says so; the connections end with it.
pub(crate) async fn serve(
    listener: TcpListener,
    shared: Arc<Shared>,
    face: Face,
    mut stop: watch::Receiver<bool>,
) {
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_) = connections.join_next(), if !connections.is_empty() => continue,
            _ = stop.wait_for(|stopped| *stopped) => return,
        };
        let Ok((stream, _)) = accepted else {
            // Out of file descriptors, most likely: wait until some connection has ended.
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        // Small answers, and clients that wait for them: without delay.
        let _ = stream.set_nodelay(true);
        let shared = Arc::clone(&shared);
        connections.spawn(async move {
            let service = service_fn(|request| respond(&shared, face, request));
            // A connection that breaks, or that a fault breaks, is the client's to notice.
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

/// The end of a connection on purpose.
#[derive(Debug)]
struct Disconnected;

impl fmt::Display for Disconnected {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("disconnected by a fault")
    }
}

impl std::error::Error for Disconnected {}

async fn respond(
    shared: &Shared,
    face: Face,
    request: Request<Incoming>,
) -> Result<Response<ReplyBody>, Disconnected> {
    /// Far above any parameters that the vendors' operations take.
    const LONGEST_FORM: usize = 64 << 10;
    let (head, body) = request.into_parts();
    let Ok(body) = Limited::new(body, LONGEST_FORM).collect().await else {
        return Err(Disconnected);
    };
    let text =
        |value: &hyper::header::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let mut headers: Vec<_> = head
        .headers
        .iter()
        .map(|(name, value)| (name.as_str().to_owned(), text(value)))
        .collect();
    // A target with a host in it is what clients send to a proxy; spelled like HTTP/2 does it,
    // because no header of a client can have this name.
    if let Some(authority) = head.uri.authority() {
        headers.push((":authority".to_owned(), authority.to_string()));
    }
    let received = Received {
        at: shared.clock.now(),
        world: shared.clock.world(),
        method: head.method.to_string(),
        path: head.uri.path().to_owned(),
        query: head.uri.query().unwrap_or_default().to_owned(),
        headers,
        body: body.to_bytes(),
    };
    deliver(exchange(shared, face, &received)).await
}

/// Has a request answered and recorded.
pub(crate) fn exchange(shared: &Shared, face: Face, received: &Received) -> Delivery {
    let mut state = shared.state();
    let exchange = face(&mut state, received);
    state.journal.record(exchange.record, exchange.violations);
    // Within the lock, so that the count never goes back while two requests are recorded at once.
    shared.recorded.send_replace(state.journal.total());
    exchange.delivery
}

async fn deliver(delivery: Delivery) -> Result<Response<ReplyBody>, Disconnected> {
    match delivery {
        Delivery::Whole(reply) => Ok(response(reply, ReplyBody::Whole)),
        Delivery::Late(reply, wait) => {
            tokio::time::sleep(wait).await;
            Ok(response(reply, ReplyBody::Whole))
        }
        Delivery::Half(mut reply) => {
            reply
                .headers
                .push(("content-length", reply.body.len().to_string()));
            Ok(response(reply, |body| {
                ReplyBody::Half(body.slice(..body.len() / 2))
            }))
        }
        Delivery::Huge(reply, length) => Ok(response(reply, |_| ReplyBody::Huge { left: length })),
        // hyper drops this future when the client closes the connection.
        Delivery::Never => std::future::pending().await,
        Delivery::Reset => Err(Disconnected),
    }
}

fn response(reply: Reply, body: impl FnOnce(Bytes) -> ReplyBody) -> Response<ReplyBody> {
    let mut builder = Response::builder().status(reply.status);
    for (name, value) in reply.headers {
        builder = builder.header(name, value);
    }
    // Only a scenario or a test can state an impossible status or header, so it sees that as an
    // answer of its own kind.
    builder.body(body(reply.body)).unwrap_or_else(|error| {
        let mut refused = Response::new(ReplyBody::Whole(Bytes::from(format!(
            "fault cannot be sent: {error}"
        ))));
        *refused.status_mut() = StatusCode::NOT_IMPLEMENTED;
        refused
    })
}

/// The body of an answer, in the ways it can go right or wrong.
enum ReplyBody {
    Whole(Bytes),
    /// This, and then the end of the connection.
    Half(Bytes),
    /// The half has been handed over and is on its way.
    Flushing,
    /// The half has left.
    Broken,
    Huge {
        left: usize,
    },
    Done,
}

impl Body for ReplyBody {
    type Data = Bytes;
    type Error = Disconnected;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Disconnected>>> {
        const FILLING: Bytes = Bytes::from_static(&[b' '; 16 << 10]);
        let frame = |bytes| Poll::Ready(Some(Ok(Frame::data(bytes))));
        match std::mem::replace(&mut *self, Self::Done) {
            Self::Whole(bytes) if bytes.is_empty() => Poll::Ready(None),
            Self::Whole(bytes) => frame(bytes),
            Self::Half(bytes) => {
                *self = Self::Flushing;
                frame(bytes)
            }
            Self::Flushing => {
                // An error would throw away what hyper still buffers; while a body is pending hyper
                // writes it out.
                *self = Self::Broken;
                context.waker().wake_by_ref();
                Poll::Pending
            }
            Self::Broken => Poll::Ready(Some(Err(Disconnected))),
            Self::Huge { left: 0 } | Self::Done => Poll::Ready(None),
            Self::Huge { left } => {
                let length = left.min(FILLING.len());
                *self = Self::Huge {
                    left: left - length,
                };
                frame(FILLING.slice(..length))
            }
        }
    }

    fn size_hint(&self) -> hyper::body::SizeHint {
        match self {
            Self::Whole(bytes) => hyper::body::SizeHint::with_exact(bytes.len() as u64),
            Self::Done => hyper::body::SizeHint::with_exact(0),
            Self::Half(_) | Self::Flushing | Self::Broken | Self::Huge { .. } => {
                hyper::body::SizeHint::default()
            }
        }
    }
}
