//! Errors in the vendor's words: status, code and message as its pages list them, and the envelope
//! around them.

use serde_json::{Map, Value, json};

/// A request that is answered with an error.
#[derive(Clone, Debug)]
pub(crate) struct Refusal {
    pub(crate) status: u16,
    pub(crate) code: String,
    pub(crate) message: String,
    pub(crate) headers: Vec<(&'static str, String)>,
    /// Further fields of the envelope.
    pub(crate) details: Map<String, Value>,
    /// The documented rule that the client has broken, if it is the client's doing and not the
    /// world's.
    pub(crate) violation: Option<Box<str>>,
}

impl Refusal {
    pub(crate) fn new(status: u16, code: impl Into<String>, message: impl Into<String>) -> Self {
        let (code, message) = (code.into(), message.into());
        Self {
            status,
            code,
            message,
            headers: Vec::new(),
            details: Map::new(),
            violation: None,
        }
    }

    /// The same, because the client broke `rule`.
    pub(crate) fn because(mut self, rule: impl Into<Box<str>>) -> Self {
        self.violation = Some(rule.into());
        self
    }

    pub(crate) fn header(mut self, name: &'static str, value: String) -> Self {
        self.headers.push((name, value));
        self
    }

    pub(crate) fn detail(mut self, name: &str, value: Value) -> Self {
        self.details.insert(name.to_owned(), value);
        self
    }

    /// The error envelope of a product.
    pub(crate) fn envelope(&self, request_id: &str, product: &str) -> Value {
        let host = product.to_ascii_lowercase();
        let mut envelope = json!({
            "RequestId": request_id,
            "HostId": format!("{host}.aliyuncs.com"),
            "Code": self.code,
            "Message": self.message,
            "Recommend": format!("https://api.alibabacloud.com/troubleshoot?q={}&product={product}&requestId={request_id}", self.code),
        });
        if let Some(fields) = envelope.as_object_mut() {
            fields.extend(self.details.clone());
        }
        envelope
    }
}

/// The account calls too often.
pub(crate) fn throttled() -> Refusal {
    Refusal::new(
        400,
        "Throttling.User",
        "Request was denied due to user flow control.",
    )
}

/// The session token has expired.
pub(crate) fn token_expired() -> Refusal {
    Refusal::new(
        400,
        "InvalidSecurityToken.Expired",
        "Specified SecurityToken is expired.",
    )
}
