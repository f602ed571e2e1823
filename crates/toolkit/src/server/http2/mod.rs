//! One connection that speaks HTTP/2.
//!
//! It must cost no more than one that speaks HTTP/1, so it gets one response at a time. The other streams wait until the
//! client has taken that response or, if the client has reset its stream, until the handler is done. hyper has no timeout but that between two pings; [`ConnectionTimer`] keeps those of [`Limits`].
//!
//! [`ConnectionTimer`]: super::timer::ConnectionTimer
//! [`Limits`]: super::Limits

#[cfg(test)]
mod tests;

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body as _, Frame, Incoming, SizeHint};
use hyper::header::{CONTENT_LENGTH, HeaderValue};
use hyper::server::conn::http2::Builder;
use hyper::service::service_fn;
use hyper::{Method, Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinError;
use tracing::{debug, error};

use super::timer::{Expired, RequestTimer, TimedStream};
use super::{Body, Client, Connection, refuse_body};
use crate::refusals;

/// The most open streams. Prometheus has one, a browser a few.
const STREAMS: u32 = 8;

/// The most bytes of request bodies in flight, as none is read: the smallest window that the protocol begins with.
const RECEIVED: u32 = 65_535;

/// The most streams that a client has reset and h2 has not cleaned up, beyond which the connection is a flood.
const RESETS: usize = 20;

/// Serves the connection until it ends, is cut, or the server stops.
pub(super) async fn serve_connection<S, H, F>(stream: S, handler: &H, client: &Client)
where
    S: Connection + 'static,
    H: Fn(Request<()>) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response<Body>> + Send + 'static,
{
    let (peer, limits, timer) = (client.peer, client.limits, &client.timer);
    let turn = Arc::new(Semaphore::new(1));
    let service = service_fn(|request: Request<Incoming>| {
        let request_timer = timer.request_begins();
        let brings_body = !request.body().is_end_stream();
        // Dropped at once, so that no body is buffered.
        let request = request.map(drop);
        let (handler, turn) = (handler.clone(), Arc::clone(&turn));
        async move {
            let turn = turn.acquire_owned().await.ok();
            let is_head = *request.method() == Method::HEAD;
            let answering = async move {
                let too_many = request.headers().len() > limits.headers;
                let refusal = brings_body.then(|| refuse_body(request.method())).flatten();
                let response = match refusal {
                    _ if too_many => refusals::HEAD_TOO_LARGE.response(),
                    Some(refusal) => refusal.response(),
                    None => handler(request).await,
                };
                (response, turn)
            };
            // In a task of its own, which a reset of the stream does not cancel: otherwise a client could make the
            // server begin page after page by resetting its streams.
            let (response, turn) = tokio::spawn(answering).await.inspect_err(|error| {
                // The panic hook has printed the message and the location.
                error!(%error, "answering a request failed, its stream is lost: this is a bug");
            })?;
            let response = if is_head {
                without_body(response)
            } else {
                response
            };
            Ok::<_, JoinError>(response.map(|body| StreamBody::new(body, request_timer, turn)))
        }
    });
    let stream = TimedStream::new(stream, timer.clone());
    let mut connection = pin!(
        Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .max_concurrent_streams(STREAMS)
            .max_pending_accept_reset_streams(RESETS)
            .max_local_error_reset_streams(RESETS)
            .max_header_list_size(u32::try_from(limits.head_bytes).unwrap_or(u32::MAX))
            .initial_stream_window_size(RECEIVED)
            .initial_connection_window_size(RECEIVED)
            .serve_connection(TokioIo::new(stream), service)
    );

    let mut stopping = pin!(client.shutdown.cancelled());
    let mut expired = pin!(timer.expired());
    let mut stopped = false;
    loop {
        let reason = tokio::select! {
            // The connection goes first: what it does in this turn moves the deadline that is looked at last.
            biased;
            ended = &mut connection => {
                if let Err(error) = ended {
                    debug!(%peer, %error, "a connection ended early");
                }
                return;
            }
            () = &mut stopping, if !stopped => Expired::Idle,
            reason = &mut expired => {
                expired.set(timer.expired());
                reason
            }
        };
        if reason == Expired::Idle && !stopped {
            // With GOAWAY, so that the client sends no request into a connection that is about to close.
            stopped = true;
            timer.closes();
            connection.as_mut().graceful_shutdown();
            continue;
        }
        debug!(%peer, ?reason, "cut a connection that took too long or asked for too much");
        timer.cut();
        return;
    }
}

/// The response to a `HEAD` request, which hyper makes for HTTP/1 only.
fn without_body(response: Response<Body>) -> Response<Body> {
    let length = HeaderValue::from(response.body().len());
    let mut response = response.map(|_| Body::empty());
    response.headers_mut().insert(CONTENT_LENGTH, length);
    response
}

/// The body of one stream's response, with its last byte as a piece of its own.
///
/// hyper takes a piece as soon as the client has room for one byte of it, which tells nothing about the rest. When hyper
/// takes the last byte, the client has room for all bytes before it.
struct StreamBody {
    body: Body,
    last: Option<Bytes>,
    /// Dropped with the body.
    timer: RequestTimer,
    _turn: Option<OwnedSemaphorePermit>,
}

impl StreamBody {
    fn new(body: Body, mut timer: RequestTimer, turn: Option<OwnedSemaphorePermit>) -> Self {
        timer.response_is_ready();
        if body.is_empty() {
            timer.response_is_taken();
        }
        Self {
            body,
            last: None,
            timer,
            _turn: turn,
        }
    }
}

impl hyper::body::Body for StreamBody {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        if let Some(last) = self.last.take() {
            self.timer.response_is_taken();
            return Poll::Ready(Some(Ok(Frame::data(last))));
        }
        let this = &mut *self;
        Pin::new(&mut this.body)
            .poll_frame(context)
            .map_ok(|frame| {
                frame.map_data(|mut piece| {
                    if this.body.is_empty() && piece.len() > 1 {
                        this.last = Some(piece.split_off(piece.len() - 1));
                    } else if this.body.is_empty() {
                        this.timer.response_is_taken();
                    }
                    piece
                })
            })
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_empty() && self.last.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        let last = self.last.as_ref().map_or(0, |last| last.len() as u64);
        SizeHint::with_exact(self.body.len() + last)
    }
}
