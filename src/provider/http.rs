//! One HTTP attempt: a deadline, a body cap, no redirects. Nothing here retries, signs or counts.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};

use super::error::Reason;

/// The longest answer that is read. A page of 100 rows is about 100 KiB.
pub const BODY_CAP: usize = 16 * 1024 * 1024;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// A client with a connection pool; cheap to clone.
#[derive(Debug, Clone)]
pub struct HttpClient(reqwest::Client);

/// A request that is ready to be sent. Its URL is not shown to anybody: it may carry credentials of other vendors.
pub struct Outgoing {
    /// The whole URL; its query is sent byte for byte.
    pub url: String,
    /// The header fields, signature included.
    pub headers: Vec<(&'static str, String)>,
}

/// What came back, whatever its status.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The header fields.
    pub headers: HeaderMap,
    /// The body, whole.
    pub body: Bytes,
}

/// Why no answer came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoAnswer {
    /// `Timeout`, `Network` or `Malformed`.
    pub reason: Reason,
    /// What kind of failure, without the URL.
    pub detail: String,
}

impl HttpClient {
    /// Makes a client. Proxies are taken from the environment as usual (`HTTPS_PROXY`, `NO_PROXY`).
    ///
    /// # Errors
    /// When the TLS library cannot be set up.
    pub fn new() -> Result<Self, reqwest::Error> {
        // A second call finds the provider installed already, which is as good.
        let _already = rustls::crypto::ring::default_provider().install_default();
        let client = builder().build().or_else(|error| {
            // An image may come without certificates, and private links may do without TLS. Nobody is trusted then.
            tracing::warn!(%error, "https endpoints will be refused: the system has no certificates to trust");
            builder().tls_certs_only([]).build()
        })?;
        Ok(Self(client))
    }

    /// Posts a request with an empty body and reads the whole answer, all within `timeout`.
    pub async fn post(&self, outgoing: Outgoing, timeout: Duration) -> Result<Answer, NoAnswer> {
        let mut headers = HeaderMap::with_capacity(outgoing.headers.len());
        for (name, value) in outgoing.headers {
            let mut value = HeaderValue::try_from(value).map_err(|_| unfit_header(name))?;
            value.set_sensitive(name == "authorization" || name.ends_with("-token"));
            headers.insert(HeaderName::from_static(name), value);
        }
        let request = self
            .0
            .post(outgoing.url)
            .headers(headers)
            .body("")
            .timeout(timeout);
        let mut response = request.send().await.map_err(no_answer)?;
        let status = response.status().as_u16();
        let headers = std::mem::take(response.headers_mut());
        let mut body = BytesMut::new();
        while let Some(chunk) = response.chunk().await.map_err(no_answer)? {
            if body.len() + chunk.len() > BODY_CAP {
                return Err(NoAnswer {
                    reason: Reason::Malformed,
                    detail: format!("the answer is longer than {} MiB", BODY_CAP / 1024 / 1024),
                });
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Answer {
            status,
            headers,
            body: body.freeze(),
        })
    }
}

fn builder() -> reqwest::ClientBuilder {
    reqwest::Client::builder()
        .user_agent(concat!("cloud-backup-exporter/", env!("CARGO_PKG_VERSION")))
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(CONNECT_TIMEOUT)
        .pool_idle_timeout(Duration::from_secs(30))
        .pool_max_idle_per_host(4)
        .http1_only()
}

fn unfit_header(name: &str) -> NoAnswer {
    NoAnswer {
        reason: Reason::Credentials,
        detail: format!(
            "the value of {name} cannot be sent: a key or a token has a character that is not printable ASCII"
        ),
    }
}

/// Tells a failure by kind. The error's own text is not repeated, because it names the URL.
fn no_answer(error: reqwest::Error) -> NoAnswer {
    let error = error.without_url();
    let (reason, detail) = if error.is_timeout() {
        (Reason::Timeout, "no answer in time".to_owned())
    } else if error.is_connect() {
        (
            Reason::Network,
            format!("cannot connect: {}", root_cause(&error)),
        )
    } else if error.is_body() || error.is_decode() {
        (
            Reason::Network,
            "the connection was lost within the answer".to_owned(),
        )
    } else {
        (Reason::Network, root_cause(&error))
    };
    NoAnswer { reason, detail }
}

fn root_cause(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}
