//! Errors in the vendor's words: status, code and message as its pages list them, each in the shape
//! of the part of the cloud that says it.

use serde_json::Value;

use super::oddity::Shape;

/// A request that is answered with an error.
#[derive(Clone, Debug)]
pub(super) struct Refusal {
    pub(super) status: u16,
    pub(super) code: String,
    pub(super) message: String,
    pub(super) shape: Shape,
    pub(super) headers: Vec<(&'static str, String)>,
    /// A further field of the body.
    pub(super) detail: Option<(&'static str, Value)>,
    /// The documented rule that the client has broken, if it is the client's doing and not the
    /// world's.
    pub(super) violation: Option<Box<str>>,
}

impl Refusal {
    pub(super) fn new(
        shape: Shape,
        status: u16,
        code: impl Into<String>,
        message: impl Into<String>,
    ) -> Self {
        Self {
            status,
            code: code.into(),
            message: message.into(),
            shape,
            headers: Vec::new(),
            detail: None,
            violation: None,
        }
    }

    /// An error of the database service.
    pub(super) fn service(status: u16, code: &str, message: impl Into<String>) -> Self {
        Self::new(Shape::Service, status, code, message)
    }

    /// An error of the gateway in front of every service.
    pub(super) fn gateway(status: u16, code: &str, message: impl Into<String>) -> Self {
        Self::new(Shape::Gateway, status, code, message)
    }

    /// An error of the identity service, whose code is the status.
    pub(super) fn keystone(status: u16, message: impl Into<String>) -> Self {
        Self::new(Shape::Keystone, status, status.to_string(), message)
    }

    /// The same, because the client broke `rule`.
    pub(super) fn because(mut self, rule: impl Into<Box<str>>) -> Self {
        self.violation = Some(rule.into());
        self
    }

    pub(super) fn header(mut self, name: &'static str, value: String) -> Self {
        self.headers.push((name, value));
        self
    }

    pub(super) fn detail(mut self, name: &'static str, value: Value) -> Self {
        self.detail = Some((name, value));
        self
    }

    /// The body, and what kind it is.
    pub(super) fn body(&self, request_id: &str) -> (&'static str, String) {
        let (kind, body) = self
            .shape
            .body(self.status, &self.code, &self.message, request_id);
        let Some((name, value)) = &self.detail else {
            return (kind, body);
        };
        match serde_json::from_str::<Value>(&body) {
            Ok(Value::Object(mut fields)) => {
                fields.insert((*name).to_owned(), value.clone());
                (kind, Value::Object(fields).to_string())
            }
            _ => (kind, body),
        }
    }
}

/// The gateway does not know who is calling.
pub(super) fn unauthenticated(detail: impl AsRef<str>) -> Refusal {
    let message = format!(
        "Incorrect IAM authentication information: {}",
        detail.as_ref()
    );
    Refusal::gateway(401, "APIGW.0301", message)
}

/// The caller calls too often.
pub(super) fn throttled(limit: u32) -> Refusal {
    let message = format!(
        "The throttling threshold has been reached: policy user over ratelimit,limit:{limit},time:1 minute"
    );
    Refusal::gateway(429, "APIGW.0308", message)
}

/// A parameter is missing or wrong.
pub(super) fn bad_parameter(rule: impl Into<Box<str>>) -> Refusal {
    Refusal::service(400, "DBS.280001", "Parameter error.").because(rule)
}

/// Nobody has an instance of this id in this region.
pub(super) fn no_instance() -> Refusal {
    Refusal::service(
        404,
        "DBS.200002",
        "The DB instance does not exist or has been deleted.",
    )
}

/// Read replicas have no backups. No page says how they are refused; the code is the vendor's for
/// operations that an instance does not allow.
pub(super) fn replica() -> Refusal {
    Refusal::service(
        400,
        "DBS.200086",
        "The DB instance does not support this operation.",
    )
}

/// Somebody else may have it; the vendor does not tell which.
pub(super) fn hidden_instance() -> Refusal {
    Refusal::service(
        403,
        "DBS.200010",
        "The DB instance is not found or permission denied.",
    )
}
