//! One connection that speaks HTTP/1.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::Ipv6Addr;
use std::pin::{self, Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use hyper::body::{Body as _, Frame, Incoming, SizeHint};
use hyper::header::{CONNECTION, HOST, HeaderValue};
use hyper::server::conn::http1::Builder;
use hyper::service::service_fn;
use hyper::{Request, Response, Version};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tracing::debug;

use super::timer::{Expired, RequestTimer, TimedStream};
use super::{Body, Client, Connection, refuse_body};
use crate::refusals::{self, Refusal};

/// hyper's own lower bound for its buffer; it panics at less.
const SMALLEST_BUFFER: usize = 8 * 1024;

/// Serves the connection until it ends, is cut, or the server stops.
pub(super) async fn serve_connection<S, H, F>(stream: S, handler: &H, client: &Client)
where
    S: Connection + 'static,
    H: Fn(Request<()>) -> F,
    F: Future<Output = Response<Body>>,
{
    let (peer, limits, timer) = (client.peer, client.limits, &client.timer);
    let has_unread = AtomicBool::new(false);
    let service = service_fn(|request| {
        let request_timer = timer.request_begins();
        // hyper keeps room for what this returns also while the connection is idle.
        let answer = Box::pin(answer(request, handler, &has_unread));
        async move {
            let response = answer.await;
            Ok::<_, Infallible>(response.map(|body| TimedBody::new(body, request_timer)))
        }
    });
    let stream = Http1Stream::new(TimedStream::new(stream, timer.clone()));
    let mut connection = Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(None)
        // A client that has sent its last request may close its side, and still gets the response.
        .half_close(true)
        .max_headers(limits.headers)
        .max_header_size(limits.head_bytes)
        .max_buf_size(limits.head_bytes.max(SMALLEST_BUFFER))
        .serve_connection(TokioIo::new(stream), service);

    let mut stopping = pin!(client.shutdown.cancelled());
    let mut stopped = false;
    let mut expired = pin!(timer.expired());
    let reason = loop {
        tokio::select! {
            // The connection goes first: what it does in this turn moves the deadline that is looked at last.
            biased;
            served = &mut connection => {
                if let Err(error) = &served {
                    debug!(%peer, %error, "a connection ended early");
                }
                let stream = connection.into_parts().io.into_inner();
                // Boxed: a large future that most connections need for a moment.
                let mut closing = Box::pin(stream.close(served.err(), has_unread.into_inner()));
                tokio::select! {
                    biased;
                    closed = &mut closing => {
                        if let Err(error) = closed {
                            debug!(%peer, %error, "a connection ended early");
                        }
                        return;
                    }
                    reason = &mut expired => {
                        cut_off(client, reason);
                        return;
                    }
                }
            }
            () = &mut stopping, if !stopped => {
                stopped = true;
                pin::Pin::new(&mut connection).graceful_shutdown();
            }
            reason = &mut expired => break reason,
        }
    };
    cut_off(client, reason);
}

/// The caller drops the connection.
fn cut_off(client: &Client, reason: Expired) {
    debug!(peer = %client.peer, ?reason, "cut a connection that took too long");
    if reason == Expired::Response {
        client.timer.cut();
    }
}

/// Lets the handler answer, unless the request names no one host or brings a body where there cannot be one.
async fn answer<H, F>(
    request: Request<Incoming>,
    handler: &H,
    has_unread: &AtomicBool,
) -> Response<Body>
where
    H: Fn(Request<()>) -> F,
    F: Future<Output = Response<Body>>,
{
    let names_host = names_one_host(&request);
    if names_host && request.body().is_end_stream() {
        return handler(request.map(drop)).await;
    }
    // However much it is, it is not read, so there is no way to the next request on this connection.
    has_unread.store(true, Ordering::Relaxed);
    let mut response = match refuse_body(request.method()) {
        _ if !names_host => refusals::INVALID_HOST.response(),
        Some(refusal) => refusal.response(),
        None => handler(request.map(drop)).await,
    };
    let close = HeaderValue::from_static("close");
    response.headers_mut().insert(CONNECTION, close);
    response
}

/// The stream below hyper, which is not hyper's to answer by itself or to close.
///
/// hyper answers a head that it cannot parse with a status and nothing else, and cannot be told to leave that out. Whatever
/// it writes while there is no request is such an answer. It is dropped here, and [`Http1Stream::close`] says why in its
/// place.
#[derive(Debug)]
struct Http1Stream<S: Connection> {
    stream: TimedStream<S>,
    /// Whether hyper has answered by itself.
    has_dropped: bool,
    /// Whether hyper has sent all that it wanted to.
    is_finished: bool,
}

impl<S: Connection> Http1Stream<S> {
    const fn new(stream: TimedStream<S>) -> Self {
        Self {
            stream,
            has_dropped: false,
            is_finished: false,
        }
    }

    /// Closes the connection after hyper is done with it.
    async fn close(mut self, error: Option<hyper::Error>, has_unread: bool) -> io::Result<()> {
        if !self.is_finished {
            return Ok(());
        }
        let refusal = error.filter(|_| self.has_dropped).map(|e| refusal(&e));
        if let Some(refusal) = refusal {
            let bytes = refusal.bytes(Version::HTTP_11);
            self.stream.write_all(&bytes).await?;
            self.stream.flush().await?;
        }
        // In the middle of a head, the rest of it is unread.
        let has_unread = has_unread || self.stream.timer().awaits_head();
        self.stream.close(has_unread).await
    }
}

/// Why hyper does not parse a head.
fn refusal(error: &hyper::Error) -> Refusal {
    if error.is_parse_too_large() {
        refusals::HEAD_TOO_LARGE
    } else {
        refusals::INVALID_REQUEST
    }
}

impl<S: Connection> AsyncRead for Http1Stream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
        if buffer.filled().len() > before {
            self.stream.timer().bytes_arrive();
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: Connection> AsyncWrite for Http1Stream<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.stream.timer().is_responding() {
            return Pin::new(&mut self.stream).poll_write(context, buffer);
        }
        self.has_dropped = true;
        Poll::Ready(Ok(buffer.len()))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.stream.timer().is_responding() {
            return Pin::new(&mut self.stream).poll_write_vectored(context, buffers);
        }
        self.has_dropped = true;
        Poll::Ready(Ok(buffers.iter().map(|buffer| buffer.len()).sum()))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    /// hyper does this once everything is flushed.
    fn poll_shutdown(mut self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.is_finished = true;
        Poll::Ready(Ok(()))
    }
}

/// A body that tells the timer when hyper has taken the last of it, which is when hyper drops it.
#[derive(Debug)]
struct TimedBody {
    body: Body,
    timer: RequestTimer,
}

impl TimedBody {
    fn new(body: Body, timer: RequestTimer) -> Self {
        timer.response_is_ready();
        Self { body, timer }
    }
}

impl Drop for TimedBody {
    fn drop(&mut self) {
        self.timer.response_is_taken();
    }
}

impl hyper::body::Body for TimedBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Whether a request has the Host that RFC 9112, section 3.2, asks for. What was sent before that header was invented may
/// lack it.
fn names_one_host<B>(request: &Request<B>) -> bool {
    let mut hosts = request.headers().get_all(HOST).iter();
    match (hosts.next(), hosts.next()) {
        (Some(host), None) => is_host(host.as_bytes()),
        (None, _) => request.version() < Version::HTTP_11,
        (Some(_), Some(_)) => false,
    }
}

/// Whether this is `uri-host [ ":" port ]` of RFC 3986, section 3.2. It may be empty.
fn is_host(host: &[u8]) -> bool {
    let Ok(host) = std::str::from_utf8(host) else {
        return false;
    };
    let (is_valid, port) = if let Some(rest) = host.strip_prefix('[') {
        let Some((address, port)) = rest.split_once(']') else {
            return false;
        };
        (address.parse::<Ipv6Addr>().is_ok(), port)
    } else {
        let (name, port) = host.split_at(host.find(':').unwrap_or(host.len()));
        (is_registered_name(name.as_bytes()), port)
    };
    let is_port = |port: &str| {
        let are_digits = port.bytes().all(|byte| byte.is_ascii_digit());
        are_digits && (port.is_empty() || port.parse::<u16>().is_ok())
    };
    is_valid && (port.is_empty() || port.strip_prefix(':').is_some_and(is_port))
}

fn is_registered_name(name: &[u8]) -> bool {
    let mut left = name;
    loop {
        left = match left {
            [] => return true,
            [b'%', high, low, rest @ ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                rest
            }
            [byte, rest @ ..]
                if byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=".contains(byte) =>
            {
                rest
            }
            _ => return false,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_a_name_or_an_address_and_perhaps_a_port() {
        for host in [
            "",
            "localhost",
            "LOCALHOST:1",
            "127.0.0.1:19110",
            "[::1]",
            "[::1]:19110",
            "a:",
            "a,b",
            "a%20b",
            ":80",
            "a_b.example.",
            "a:65535",
        ] {
            assert!(is_host(host.as_bytes()), "{host:?}");
        }
        for host in [
            "a b", "<a>", "a/b", "user@a", "a:b", "[::1", "[::1]80", "[a]", "::1", "a?b", "a#b",
            "%zz", "%4", "a%", "\u{e9}", "a:65536", "a:+1", "a\\b", "a\"",
        ] {
            assert!(!is_host(host.as_bytes()), "{host:?}");
        }
        assert!(!is_host(b"\xff"));
    }

    #[test]
    fn only_requests_of_the_first_version_may_lack_a_host() {
        let check = |version, hosts: &[&str], expected| {
            let mut request = Request::get("/").version(version);
            for host in hosts {
                request = request.header(HOST, *host);
            }
            let request = request.body(()).unwrap();
            assert_eq!(names_one_host(&request), expected, "{version:?} {hosts:?}");
        };
        check(Version::HTTP_10, &[], true);
        check(Version::HTTP_11, &[], false);
        for version in [Version::HTTP_10, Version::HTTP_11] {
            check(version, &["a"], true);
            check(version, &["a", "a"], false);
            check(version, &["a b"], false);
        }
    }
}
