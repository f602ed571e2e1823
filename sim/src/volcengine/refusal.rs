//! Errors in the vendor's words: status, code, number and message as its pages list them. The
//! gateway numbers its codes, the product does not.

use serde_json::{Value, json};

/// The gateway's codes with the status of each and, where a page states it, the number.
const GATEWAY: [(&str, u16, Option<u32>); 17] = [
    ("MissingParameter", 400, Some(100_002)),
    ("MissingAuthenticationToken", 401, Some(100_003)),
    ("MissingRequestInfo", 400, Some(100_004)),
    ("MissingSignature", 401, Some(100_005)),
    ("InvalidTimestamp", 400, Some(100_006)),
    ("ServiceNotFound", 404, Some(100_007)),
    ("InvalidActionOrVersion", 404, Some(100_008)),
    ("InvalidAccessKey", 401, Some(100_009)),
    ("SignatureDoesNotMatch", 401, Some(100_010)),
    ("LackPolicy", 403, Some(100_012)),
    ("LackProjectPolicy", 403, None),
    ("AccessDenied", 403, Some(100_013)),
    ("InternalError", 500, Some(100_014)),
    ("FlowLimitExceeded", 429, Some(100_018)),
    ("InvalidSecretToken", 401, None),
    ("InvalidAuthorization", 400, None),
    ("InvalidCredential", 400, None),
];

/// A request that is answered with an error.
#[derive(Clone, Debug)]
pub(crate) struct Refusal {
    pub(crate) status: u16,
    pub(crate) code: String,
    pub(crate) number: Option<u32>,
    pub(crate) message: String,
    pub(crate) headers: Vec<(&'static str, String)>,
    /// The documented rule that the client has broken, if it is the client's doing and not the
    /// world's.
    pub(crate) violation: Option<Box<str>>,
}

impl Refusal {
    /// An error of the gateway; a code that it does not have is answered like a product's.
    pub(crate) fn gateway(code: &str, message: impl Into<String>) -> Self {
        let status = GATEWAY
            .iter()
            .find(|(known, ..)| *known == code)
            .map_or(400, |(_, status, _)| *status);
        Self::stated(status, code, message)
    }

    /// An error of the product, which is always a 400.
    pub(crate) fn product(code: &str, message: impl Into<String>) -> Self {
        Self {
            number: None,
            ..Self::stated(400, code, message)
        }
    }

    /// Any status and code, with the number if the two are one of the gateway's.
    pub(crate) fn stated(status: u16, code: &str, message: impl Into<String>) -> Self {
        let known = GATEWAY
            .iter()
            .find(|(known, of_code, _)| *known == code && *of_code == status);
        Self {
            status,
            code: code.to_owned(),
            number: known.and_then(|(_, _, number)| *number),
            message: message.into(),
            headers: Vec::new(),
            violation: None,
        }
    }

    /// The same, because the client broke `rule`.
    pub(crate) fn because(mut self, rule: impl Into<Box<str>>) -> Self {
        self.violation = Some(rule.into());
        self
    }

    pub(crate) fn header(mut self, header: Option<(&'static str, String)>) -> Self {
        self.headers.extend(header);
        self
    }

    /// What stands in the metadata of the answer.
    pub(crate) fn error(&self) -> Value {
        let mut error = json!({ "Code": self.code, "Message": self.message });
        if let Some(number) = self.number {
            error["CodeN"] = json!(number);
        }
        error
    }
}

/// The account calls too often.
pub(crate) fn throttled() -> Refusal {
    Refusal::gateway(
        "FlowLimitExceeded",
        "Request was rejected because the request speed of this openAPI is beyond the current flow control limit.",
    )
}

/// The session token is not, or no longer, the key's.
pub(crate) fn bad_token() -> Refusal {
    Refusal::gateway(
        "InvalidSecretToken",
        "The security token included in the request is invalid or has expired.",
    )
}

/// A parameter that the operation does not take like this.
pub(crate) fn bad_parameter(rule: impl Into<String>) -> Refusal {
    let rule = rule.into();
    Refusal::product("ParamError", format!("Invalid parameter: {rule}.")).because(rule)
}

/// A parameter that the operation cannot do without.
pub(crate) fn missing_parameter(name: &str) -> Refusal {
    Refusal::gateway(
        "MissingParameter",
        format!("The request is missing the required parameter {name}."),
    )
    .because(format!("{name} is missing"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_gateway_numbers_its_codes() {
        let check = |refusal: Refusal, status: u16, number: Option<u32>| {
            assert_eq!((refusal.status, refusal.number), (status, number));
            assert_eq!(refusal.error().get("CodeN").is_some(), number.is_some());
        };
        check(throttled(), 429, Some(100_018));
        check(bad_token(), 401, None);
        check(Refusal::gateway("InternalError", ""), 500, Some(100_014));
        check(Refusal::product("InternalError", ""), 400, None);
        check(Refusal::stated(400, "InternalError", ""), 400, None);
        check(missing_parameter("InstanceId"), 400, Some(100_002));
    }
}
