//! One connection that speaks HTTP/1.

use std::convert::Infallible;
use std::future::Future;
use std::pin::{self, pin};

use hyper::body::{Body as _, Incoming};
use hyper::header::{CONNECTION, HeaderValue};
use hyper::server::conn::http1::Builder;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use tracing::debug;

use super::guard::{Guard, Guarded, GuardedBody, Phase};
use super::{Body, Client, Connection, refuse_body};

/// hyper's own lower bound for its buffer; it panics at less.
const SMALLEST_BUFFER: usize = 8 * 1024;

/// Serves the connection until it ends, is cut, or the server stops.
pub(super) async fn converse<S, H, F>(stream: S, handler: &H, client: &Client)
where
    S: Connection + 'static,
    H: Fn(Request<()>) -> F,
    F: Future<Output = Response<Body>>,
{
    let (peer, limits) = (client.peer, client.limits);
    let guard = Guard::new(limits);
    let service = service_fn(|request| {
        let guard = guard.clone();
        guard.response_begins();
        let answer = answer(request, handler, guard.clone());
        async move {
            let response = answer.await;
            Ok::<_, Infallible>(response.map(|body| GuardedBody::new(body, guard)))
        }
    });
    let mut connection = Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(None)
        .max_headers(limits.headers)
        .max_header_size(limits.head_bytes)
        .max_buf_size(limits.head_bytes.max(SMALLEST_BUFFER))
        .serve_connection(TokioIo::new(Guarded::new(stream, guard.clone())), service);

    let mut stopping = pin!(client.shutdown.cancelled());
    let mut stopped = false;
    let mut expired = pin!(guard.expired());
    let phase = loop {
        tokio::select! {
            // The connection goes first: what it does in this turn moves the deadline that is looked at last.
            biased;
            ended = &mut connection => {
                if let Err(error) = ended {
                    debug!(%peer, %error, "a connection ended early");
                }
                return;
            }
            () = &mut stopping, if !stopped => {
                stopped = true;
                pin::Pin::new(&mut connection).graceful_shutdown();
            }
            phase = &mut expired => break phase,
        }
    };
    debug!(%peer, ?phase, "cut a connection that took too long");
    if phase == Phase::Response {
        let stream = connection.into_parts().io.into_inner().stream;
        // What the client has not read waits in the kernel and would stay there for minutes; it is thrown away at once.
        if let Err(error) = stream.socket().set_zero_linger() {
            debug!(%peer, %error, "cannot reset a connection");
        }
    }
}

/// Lets the handler answer, unless the request brings a body where there cannot be one.
async fn answer<H, F>(request: Request<Incoming>, handler: &H, guard: Guard) -> Response<Body>
where
    H: Fn(Request<()>) -> F,
    F: Future<Output = Response<Body>>,
{
    if request.body().is_end_stream() {
        return handler(request.map(drop)).await;
    }
    // However much it is, it is not read, so there is no way to the next request on this connection.
    guard.leaves_unread();
    let mut response = match refuse_body(request.method()) {
        Some(refusal) => refusal,
        None => handler(request.map(drop)).await,
    };
    let close = HeaderValue::from_static("close");
    response.headers_mut().insert(CONNECTION, close);
    response
}
