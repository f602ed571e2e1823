//! What a server says by itself, to requests and to connections that it does not serve.

use std::fmt::Write as _;

use bytes::Bytes;
use hyper::{Response, StatusCode, Version};

use crate::response::text;
use crate::server::Body;

/// A status, and the reason as a line of plain text.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Refusal(StatusCode, &'static str);

pub(crate) const INVALID_REQUEST: Refusal =
    Refusal(StatusCode::BAD_REQUEST, "this is no valid request\n");
pub(crate) const INVALID_HOST: Refusal = Refusal(
    StatusCode::BAD_REQUEST,
    "this request needs one valid Host header\n",
);
pub(crate) const UNWANTED_BODY: Refusal =
    Refusal(StatusCode::BAD_REQUEST, "this request takes no body\n");
/// In the words of Go's server.
pub(crate) const NOT_ENCRYPTED: Refusal = Refusal(
    StatusCode::BAD_REQUEST,
    "Client sent an HTTP request to an HTTPS server.\n",
);
pub(crate) const UNAUTHORIZED: Refusal = Refusal(StatusCode::UNAUTHORIZED, "unauthorized\n");
pub(crate) const TOO_MANY_REQUESTS: Refusal =
    Refusal(StatusCode::TOO_MANY_REQUESTS, "too many requests\n");
pub(crate) const HEAD_TOO_LARGE: Refusal = Refusal(
    StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
    "the head of the request is too large\n",
);
pub(crate) const TOO_MANY_CONNECTIONS: Refusal =
    Refusal(StatusCode::SERVICE_UNAVAILABLE, "too many connections\n");

impl Refusal {
    /// For a connection that hyper serves.
    pub(crate) fn response(self) -> Response<Body> {
        let Self(status, reason) = self;
        text(status, reason)
    }

    /// All bytes of the response, after which the connection is closed.
    pub(crate) fn bytes(self, version: Version) -> Bytes {
        let Self(status, reason) = self;
        let mut bytes = format!("{version:?} {status}\r\n");
        for (name, value) in self.response().headers() {
            let value = String::from_utf8_lossy(value.as_bytes());
            // Writing into a `String` cannot fail.
            let _ = write!(bytes, "{name}: {value}\r\n");
        }
        // In HTTP/1.0 the body ends with the connection.
        if version > Version::HTTP_10 {
            let length = reason.len();
            let _ = write!(bytes, "content-length: {length}\r\nconnection: close\r\n");
        }
        bytes.push_str("\r\n");
        bytes.push_str(reason);
        bytes.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_that_is_not_served_is_told_in_a_whole_response() {
        assert_eq!(
            TOO_MANY_CONNECTIONS.bytes(Version::HTTP_11),
            "HTTP/1.1 503 Service Unavailable\r\n\
             content-type: text/plain; charset=utf-8\r\n\
             cache-control: no-store\r\n\
             x-content-type-options: nosniff\r\n\
             content-length: 21\r\n\
             connection: close\r\n\
             \r\n\
             too many connections\n"
        );
        assert_eq!(
            NOT_ENCRYPTED.bytes(Version::HTTP_10),
            "HTTP/1.0 400 Bad Request\r\n\
             content-type: text/plain; charset=utf-8\r\n\
             cache-control: no-store\r\n\
             x-content-type-options: nosniff\r\n\
             \r\n\
             Client sent an HTTP request to an HTTPS server.\n"
        );
        assert_eq!(
            HEAD_TOO_LARGE.bytes(Version::HTTP_11),
            "HTTP/1.1 431 Request Header Fields Too Large\r\n\
             content-type: text/plain; charset=utf-8\r\n\
             cache-control: no-store\r\n\
             x-content-type-options: nosniff\r\n\
             content-length: 37\r\n\
             connection: close\r\n\
             \r\n\
             the head of the request is too large\n"
        );
    }
}
