//! What only Huawei does wrong: its many shapes of an error, and lists that are not there.

use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::span;

/// A fault in this vendor's ways. In a scenario file it is the `value` of the kind `huawei`.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(tag = "oddity", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Oddity {
    /// An error in a shape of one's choice.
    Refusal {
        /// How status, code and message are put.
        shape: Shape,
        /// HTTP status.
        status: u16,
        /// The vendor's code.
        #[serde(default)]
        code: String,
        /// The vendor's message.
        #[serde(default)]
        message: String,
        /// The wait in a `retry-after` header.
        #[serde(default, deserialize_with = "span::read_optional")]
        retry_after: Option<Duration>,
    },
    /// The right answer with `null` in place of its list.
    NullList,
    /// The right answer with an empty list, and the total that it had.
    EmptyList,
    /// The right rows in the other order: none is documented.
    OldestFirst,
}

impl Oddity {
    /// An error in a shape, without a wait.
    pub fn refusal(
        shape: Shape,
        status: u16,
        code: impl Into<String>,
        message: impl Into<String>,
    ) -> Self {
        Self::Refusal {
            shape,
            status,
            code: code.into(),
            message: message.into(),
            retry_after: None,
        }
    }
}

/// How an error is put into a body.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub enum Shape {
    /// `{"error_code": …, "error_msg": …}`, as RDS says it.
    Service,
    /// The same with `request_id`, as the gateway in front of it says it.
    Gateway,
    /// `{"errCode": …, "externalMessage": …}`, which RDS has from its database family.
    External,
    /// `{"errorCode": …, "errorMsg": …}`.
    CamelCase,
    /// `{"code": …, "message": …}`.
    Plain,
    /// `{"error": {"code": 401, "message": …, "title": …}}`, as IAM's Keystone says it.
    Keystone,
    /// The message alone, as the metadata service says it.
    Text,
    /// No body.
    Empty,
}

impl Shape {
    /// The body, and what kind it is.
    pub(super) fn body(
        self,
        status: u16,
        code: &str,
        message: &str,
        request_id: &str,
    ) -> (&'static str, String) {
        let json = |value: Value| ("application/json", value.to_string());
        match self {
            Self::Service => json(json!({ "error_code": code, "error_msg": message })),
            Self::Gateway => {
                json(json!({ "error_msg": message, "error_code": code, "request_id": request_id }))
            }
            Self::External => json(json!({ "errCode": code, "externalMessage": message })),
            Self::CamelCase => json(json!({ "errorCode": code, "errorMsg": message })),
            Self::Plain => json(json!({ "code": code, "message": message })),
            Self::Keystone => {
                let error = json!({ "code": status, "message": message, "title": title(status) });
                json(json!({ "error": error }))
            }
            Self::Text => ("text/plain", message.to_owned()),
            Self::Empty => ("application/json", String::new()),
        }
    }
}

fn title(status: u16) -> &'static str {
    match status {
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        429 => "Too Many Requests",
        _ => "Internal Server Error",
    }
}
