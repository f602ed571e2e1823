//! One connection that speaks HTTP/1.

use std::convert::Infallible;
use std::future::Future;
use std::net::Ipv6Addr;
use std::pin::{self, pin};

use hyper::body::{Body as _, Incoming};
use hyper::header::{CONNECTION, HOST, HeaderValue};
use hyper::server::conn::http1::Builder;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode, Version};
use hyper_util::rt::{TokioIo, TokioTimer};
use tracing::debug;

use super::guard::{Guard, Guarded, GuardedBody, Phase};
use super::{Body, Client, Connection, refusal, refuse_body};

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
    let guard = Guard::new(limits, client.seat.clone());
    let service = service_fn(|request| {
        let guard = guard.clone();
        guard.response_begins();
        // hyper keeps room for what this returns also while the connection rests.
        let answer = Box::pin(answer(request, handler, guard.clone()));
        async move {
            let response = answer.await;
            Ok::<_, Infallible>(response.map(|body| GuardedBody::new(body, guard)))
        }
    });
    let mut connection = Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(None)
        // Who has asked all there is to ask may say so, and gets the answer.
        .half_close(true)
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
        guard.cut();
    }
}

/// Lets the handler answer, unless the request names no one host or brings a body where there cannot be one.
async fn answer<H, F>(request: Request<Incoming>, handler: &H, guard: Guard) -> Response<Body>
where
    H: Fn(Request<()>) -> F,
    F: Future<Output = Response<Body>>,
{
    let names_host = names_one_host(&request);
    if names_host && request.body().is_end_stream() {
        return handler(request.map(drop)).await;
    }
    // However much it is, it is not read, so there is no way to the next request on this connection.
    guard.leaves_unread();
    let mut response = match refuse_body(request.method()) {
        _ if !names_host => refusal(
            StatusCode::BAD_REQUEST,
            "this request needs one valid Host header\n",
        ),
        Some(refusal) => refusal,
        None => handler(request.map(drop)).await,
    };
    let close = HeaderValue::from_static("close");
    response.headers_mut().insert(CONNECTION, close);
    response
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
