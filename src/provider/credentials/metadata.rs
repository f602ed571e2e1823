//! The metadata service of the machine: plain HTTP on a link-local address, asked without a proxy and without patience.
//!
//! A machine without such a service must not wait long: each request has a deadline of a few seconds, and a source that
//! sees the first one go unanswered gives up.

use std::time::Duration;

use super::exchange::{Direct, accepted, send};
use crate::provider::http::{Answer, Method, Outgoing};

/// One vendor's metadata service.
#[derive(Debug)]
pub(in crate::provider) struct Metadata {
    endpoint: String,
    timeout: Duration,
    direct: Direct,
}

impl Metadata {
    /// The service at this address, asked by this client.
    pub(in crate::provider) fn new(endpoint: String, timeout: Duration, direct: Direct) -> Self {
        Self {
            endpoint,
            timeout,
            direct,
        }
    }

    /// Sends one request and reads the answer, whatever its status.
    pub(in crate::provider) async fn ask(
        &self,
        method: Method,
        path: &str,
        header: Option<(&'static str, String)>,
    ) -> Result<Answer, String> {
        let outgoing = Outgoing {
            method,
            url: format!("{}{path}", self.endpoint),
            headers: header.into_iter().collect(),
            body: String::new(),
        };
        send(self.direct.client()?, outgoing, self.timeout).await
    }

    /// Sends one request whose answer has to be a good one.
    pub(in crate::provider) async fn get(
        &self,
        path: &str,
        header: Option<(&'static str, String)>,
    ) -> Result<Answer, String> {
        self.ask(Method::GET, path, header).await.and_then(accepted)
    }
}

/// An answer that is one word, such as a token or the name of a role.
pub(in crate::provider) fn word(answer: &Answer, what: &str) -> Result<String, String> {
    let text = std::str::from_utf8(&answer.body).unwrap_or_default();
    let text = text.trim();
    if text.is_empty() || text.contains(|character: char| !character.is_ascii_graphic()) {
        return Err(format!("the answer is no {what}"));
    }
    Ok(text.to_owned())
}
