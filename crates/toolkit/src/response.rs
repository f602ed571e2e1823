//! Responses as an exporter gives them: never cached, and never taken for another type than they are.

use hyper::header::{CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderValue, VARY};
use hyper::{Response, StatusCode};

use crate::negotiate;
use crate::server::Body;

/// Plain text.
pub fn text(status: StatusCode, body: impl Into<Body>) -> Response<Body> {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    set_headers(response.headers_mut(), "text/plain; charset=utf-8");
    response
}

/// A page, compressed if the request accepts that.
pub fn compressed(request: &HeaderMap, body: String, content_type: &'static str) -> Response<Body> {
    let gzip = negotiate::accepts_gzip(request);
    let body = if gzip {
        negotiate::gzip(body.as_bytes()).into()
    } else {
        body.into()
    };
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    set_headers(headers, content_type);
    headers.insert(VARY, HeaderValue::from_static("accept-encoding"));
    if gzip {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    response
}

/// The headers that every response has.
pub fn set_headers(headers: &mut HeaderMap, content_type: &'static str) {
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(
        "x-content-type-options",
        HeaderValue::from_static("nosniff"),
    );
}
