//! One HTTP attempt: a deadline, a body cap, no redirects. Nothing here retries, signs or counts.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use reqwest::Certificate;
pub use reqwest::Method;
use reqwest::header::{CONTENT_LENGTH, HeaderMap, HeaderName, HeaderValue};
use url::{Position, Url};

use super::error::Reason;
use crate::config::CaFile;

/// The longest answer that is read. A page of 100 rows is about 100 KiB.
pub const BODY_CAP: usize = 16 * 1024 * 1024;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// A client with a connection pool; cheap to clone.
#[derive(Debug, Clone)]
pub struct HttpClient {
    network: reqwest::Client,
    #[cfg(any(test, feature = "fuzzing"))]
    memory: Option<memory::Memory>,
}

/// A request that is ready to be sent. Neither its URL nor its body is shown to anybody: they may carry credentials.
pub struct Outgoing {
    /// How it is sent.
    pub method: Method,
    /// The whole URL; its query is sent byte for byte.
    pub url: String,
    /// The header fields, signature included.
    pub headers: Vec<(&'static str, String)>,
    /// The body; empty for a `GET`.
    pub body: String,
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
        Self::build(builder)
    }

    /// Makes a client that uses no proxy, whatever the environment says: a metadata service is reached from this
    /// machine alone, and what it answers is no proxy's business.
    ///
    /// # Errors
    /// When the TLS library cannot be set up.
    pub fn without_proxy() -> Result<Self, reqwest::Error> {
        Self::build(|| builder().no_proxy())
    }

    fn build(builder: impl Fn() -> reqwest::ClientBuilder) -> Result<Self, reqwest::Error> {
        // A second call finds the provider installed already, which is as good.
        let _already = rustls::crypto::ring::default_provider().install_default();
        let client = builder().build().or_else(|error| {
            // An image may come without certificates, and private links may do without TLS. Nobody is trusted then.
            tracing::warn!(%error, "https endpoints will be refused: the system has no certificates to trust");
            builder().tls_certs_only([]).build()
        })?;
        Ok(Self::over(client))
    }

    const fn over(network: reqwest::Client) -> Self {
        Self {
            network,
            #[cfg(any(test, feature = "fuzzing"))]
            memory: None,
        }
    }

    /// A client that trusts these certificates as well. Its connections are its own.
    #[must_use]
    pub fn trusting(&self, ca_file: &CaFile) -> Self {
        let client = Certificate::from_pem_bundle(ca_file.pem()).and_then(|certificates| {
            let merged = builder().tls_certs_merge(certificates.clone()).build();
            // Without certificates of the system, those of the file are all that there are.
            merged.or_else(|_| builder().tls_certs_only(certificates).build())
        });
        client.map_or_else(
            |error| {
                // The configuration has looked at the file, so this is the TLS library's own trouble.
                tracing::error!(%error, ?ca_file, "its certificates cannot be used");
                self.clone()
            },
            Self::over,
        )
    }

    /// Sends a request and reads the whole answer, all within `timeout`.
    pub async fn send(&self, outgoing: Outgoing, timeout: Duration) -> Result<Answer, NoAnswer> {
        self.send_up_to(outgoing, timeout, BODY_CAP).await
    }

    /// The same for an answer of at most `cap` bytes.
    pub async fn send_up_to(
        &self,
        outgoing: Outgoing,
        timeout: Duration,
        cap: usize,
    ) -> Result<Answer, NoAnswer> {
        #[cfg(any(test, feature = "fuzzing"))]
        if let Some(memory) = &self.memory {
            return memory.ask(outgoing, timeout).await;
        }
        let mut headers = HeaderMap::with_capacity(outgoing.headers.len());
        for (name, value) in outgoing.headers {
            let mut value = HeaderValue::try_from(value).map_err(|_| unfit_header(name))?;
            value.set_sensitive(name == "authorization" || name.ends_with("-token"));
            headers.insert(HeaderName::from_static(name), value);
        }
        if outgoing.body.is_empty() && outgoing.method != Method::GET {
            // The client leaves it out for an empty body; gateways may insist on it, and the vendors' clients send it.
            headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
        }
        let request = self
            .network
            .request(outgoing.method, outgoing.url)
            .headers(headers)
            .body(outgoing.body)
            .timeout(timeout);
        let mut response = request.send().await.map_err(no_answer)?;
        let status = response.status().as_u16();
        let headers = std::mem::take(response.headers_mut());
        let mut body = BytesMut::new();
        while let Some(chunk) = response.chunk().await.map_err(no_answer)? {
            if body.len() + chunk.len() > cap {
                return Err(NoAnswer {
                    reason: Reason::Malformed,
                    detail: format!("the answer is longer than {}", binary_size(cap)),
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

/// `host[:port]` of an endpoint exactly as it is sent: without a default port, in lower case. Anything else would be
/// signed for nothing.
pub fn authority(endpoint: &str) -> String {
    Url::parse(endpoint)
        .map(|url| url[Position::BeforeHost..Position::AfterPort].to_owned())
        .unwrap_or_default()
}

/// The path that an endpoint brings along, without a slash at its end: a part of what is signed.
pub fn path_of(endpoint: &str) -> String {
    Url::parse(endpoint)
        .map(|url| url.path().trim_end_matches('/').to_owned())
        .unwrap_or_default()
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

fn binary_size(bytes: usize) -> String {
    match bytes / 1024 {
        kibibytes @ ..1024 => format!("{kibibytes} KiB"),
        kibibytes => format!("{} MiB", kibibytes / 1024),
    }
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

#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub use memory::Arrival;

/// A client without a network, for tests whose time is simulated and for fuzzers.
#[cfg(any(test, feature = "fuzzing"))]
mod memory {
    use std::fmt;
    use std::sync::Arc;
    use std::time::Duration;

    use super::{Answer, HttpClient, NoAnswer, Outgoing};
    use crate::provider::error::Reason;

    /// What becomes of a request.
    #[derive(Debug)]
    pub enum Arrival {
        /// This comes back, after so long.
        Answer(Answer, Duration),
        /// Nothing ever comes back.
        Never,
        /// The connection is lost.
        Lost(NoAnswer),
    }

    #[derive(Clone)]
    pub(super) struct Memory(Arc<dyn Fn(Outgoing) -> Arrival + Send + Sync>);

    impl Memory {
        pub(super) async fn ask(
            &self,
            outgoing: Outgoing,
            timeout: Duration,
        ) -> Result<Answer, NoAnswer> {
            let (wait, outcome) = match (self.0)(outgoing) {
                Arrival::Answer(answer, wait) if wait < timeout => (wait, Ok(answer)),
                Arrival::Lost(why) => (Duration::ZERO, Err(why)),
                Arrival::Answer(..) | Arrival::Never => {
                    let detail = "no answer in time".to_owned();
                    let reason = Reason::Timeout;
                    (timeout, Err(NoAnswer { reason, detail }))
                }
            };
            if !wait.is_zero() {
                tokio::time::sleep(wait).await;
            }
            outcome
        }
    }

    impl fmt::Debug for Memory {
        fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            formatter.write_str("Memory")
        }
    }

    impl HttpClient {
        pub(in crate::provider) fn is_in_memory(&self) -> bool {
            self.memory.is_some()
        }

        /// A client that hands each request to this function.
        ///
        /// # Panics
        /// When the TLS library cannot be set up.
        #[doc(hidden)]
        #[expect(clippy::unwrap_used, reason = "only tests and fuzzers come here")]
        pub fn in_memory(answer: impl Fn(Outgoing) -> Arrival + Send + Sync + 'static) -> Self {
            Self {
                memory: Some(Memory(Arc::new(answer))),
                ..Self::new().unwrap()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn a_request_is_sent_byte_for_byte_as_it_was_signed_and_says_that_it_has_no_body() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let answering = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(stream.read_u8().await.unwrap());
            }
            let answer = b"HTTP/1.1 503 Busy\r\ncontent-length: 5\r\n\r\nbusy\n";
            stream.write_all(answer).await.unwrap();
            String::from_utf8(head).unwrap().to_lowercase()
        });
        let query = "A=%20%2A~%E6%B5%8B&B=";
        let outgoing = Outgoing {
            method: Method::POST,
            url: format!("http://{address}/?{query}"),
            headers: vec![("x-acs-action", "DescribeBackups".to_owned())],
            body: String::new(),
        };
        let client = HttpClient::new().unwrap();
        let answer = client
            .send(outgoing, Duration::from_secs(10))
            .await
            .unwrap();
        assert_eq!((answer.status, &answer.body[..]), (503, &b"busy\n"[..]));
        let head = answering.await.unwrap();
        let first = format!("post /?{} http/1.1\r\n", query.to_lowercase());
        assert!(head.starts_with(&first), "{head}");
        for field in [
            "content-length: 0",
            "x-acs-action: describebackups",
            &format!("host: {address}"),
        ] {
            assert_eq!(
                head.matches(&format!("\r\n{field}\r\n")).count(),
                1,
                "{head}"
            );
        }
    }
}
