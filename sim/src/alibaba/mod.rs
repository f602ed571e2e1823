//! Alibaba Cloud's face: RDS, version 2014-08-15, as its pages describe it. Reads the world and
//! never changes it.
//!
//! The sources disagree in places; each choice is commented where it is made, and README.md lists
//! them.

mod authenticate;
mod listing;
mod mishap;
mod parameters;
mod refusal;
mod sign;
mod xml;

use serde_json::{Value, json};

use crate::exchange::{Delivery, Exchange, Received, RecordedRequest, Reply, Verdict};
use crate::fault::{FaultKind, Subject};
use crate::state::State;
use crate::world::{Vendor, draw};
use parameters::Parameters;
use refusal::Refusal;

/// Version of the API that is served.
pub const VERSION: &str = "2014-08-15";

/// Access key in every download link, by which a test finds out that a link has leaked.
pub const DOWNLOAD_ACCESS_KEY_ID: &str = "LTAI5tSimulatedDownload1";

/// Signature in every download link, for the same purpose.
pub const DOWNLOAD_SIGNATURE: &str = "laK0kSimulatedSignature";

/// A request as far as this face understands it.
#[derive(Debug)]
struct Call {
    operation: String,
    parameters: Parameters,
    access_key_id: Option<String>,
    signature_valid: bool,
    request_id: String,
}

impl Call {
    fn read(state: &mut State, received: &Received) -> Self {
        let mut parameters: Parameters = sign::pairs(&received.query).into_iter().collect();
        if received
            .header("content-type")
            .is_some_and(|kind| kind.starts_with("application/x-www-form-urlencoded"))
        {
            parameters.extend(sign::pairs(&String::from_utf8_lossy(&received.body)));
        }
        let authorization = received
            .header("authorization")
            .and_then(sign::Authorization::parse);
        state.answered += 1;
        Self {
            operation: received
                .header("x-acs-action")
                .unwrap_or_default()
                .to_owned(),
            parameters,
            access_key_id: authorization.map(|authorization| authorization.access_key_id),
            signature_valid: false,
            request_id: request_id(state.answered),
        }
    }

    fn parameter(&self, name: &str) -> Option<&str> {
        parameters::optional(&self.parameters, name)
    }

    fn subject(&self) -> Subject<'_> {
        Subject {
            operation: Some(&self.operation),
            instance: self.parameter("DBInstanceId"),
            region: self.parameter("RegionId"),
            access_key: self.access_key_id.as_deref(),
        }
    }

    /// The outcome as the client gets it: JSON, or XML if it asks for that.
    fn reply(&self, outcome: &Result<Value, Refusal>) -> Reply {
        let (status, mut headers, body) = match outcome {
            Ok(answer) => (200, Vec::new(), answer.clone()),
            Err(refusal) => (
                refusal.status,
                refusal.headers.clone(),
                refusal.envelope(&self.request_id),
            ),
        };
        headers.push(("x-acs-request-id", self.request_id.clone()));
        if self
            .parameter("Format")
            .is_some_and(|format| format.eq_ignore_ascii_case("xml"))
        {
            let name = if outcome.is_ok() {
                format!("{}Response", self.operation)
            } else {
                "Error".to_owned()
            };
            headers.push(("content-type", "text/xml;charset=utf-8".to_owned()));
            return Reply {
                status,
                headers,
                body: xml::document(&name, &body).into(),
            };
        }
        headers.push(("content-type", "application/json;charset=utf-8".to_owned()));
        Reply {
            status,
            headers,
            body: body.to_string().into(),
        }
    }
}

/// Answers a request, or lets the fault in force do so.
pub(crate) fn answer(state: &mut State, received: &Received) -> Exchange {
    let mut call = Call::read(state, received);
    let fault = state.faults.take(&call.subject());
    let asked_for = call.parameters.clone();
    if fault == Some(FaultKind::PageLoop) {
        call.parameters
            .insert("PageNumber".to_owned(), "1".to_owned());
    }
    // Also when a fault replaces the outcome: the client's own mistakes are to be seen all the
    // same.
    let mut outcome = perform(state, received, &mut call);
    if let Ok(answer) = &mut outcome {
        answer["RequestId"] = json!(call.request_id);
    }
    let violation = outcome
        .as_ref()
        .err()
        .and_then(|refusal| refusal.violation.clone());
    let (delivery, code) = match fault {
        None => (
            Delivery::Whole(call.reply(&outcome)),
            outcome.err().map(|refusal| refusal.code),
        ),
        Some(fault) => mishap::deliver(&fault, &call, outcome),
    };
    let status = match &delivery {
        Delivery::Whole(reply)
        | Delivery::Late(reply, _)
        | Delivery::Half(reply)
        | Delivery::Huge(reply, _) => Some(reply.status),
        Delivery::Never | Delivery::Reset => None,
    };
    let name = if call.operation.is_empty() {
        "a request without x-acs-action"
    } else {
        call.operation.as_str()
    };
    let violations = violation
        .map(|rule| format!("{name}: {rule}"))
        .into_iter()
        .collect();
    let record = RecordedRequest {
        at: received.at,
        vendor: Vendor::Alibaba,
        region: call.parameter("RegionId").map(str::to_owned),
        instance: call.parameter("DBInstanceId").map(str::to_owned),
        operation: call.operation,
        access_key_id: call.access_key_id,
        method: received.method.clone(),
        params: asked_for,
        verdict: Verdict { status, code },
        nonce: received.header("x-acs-signature-nonce").map(str::to_owned),
        signature_valid: call.signature_valid,
    };
    Exchange {
        delivery,
        record,
        violations,
    }
}

/// What the cloud answers when nothing is wrong with it.
fn perform(state: &mut State, received: &Received, call: &mut Call) -> Result<Value, Refusal> {
    let listing = match call.operation.as_str() {
        "DescribeCrossRegionBackups" => listing::cross_region,
        "DescribeBackups" => listing::local,
        _ => {
            return Err(unknown_api(format!(
                "unknown operation {:?}",
                call.operation
            )));
        }
    };
    if received.path != "/" {
        return Err(unknown_api(format!(
            "path {:?} instead of /",
            received.path
        )));
    }
    if received.method != "GET" && received.method != "POST" {
        return Err(unknown_api(format!(
            "method {} instead of GET or POST",
            received.method
        )));
    }
    let account = authenticate::authenticate(state, received, call)?;
    if let Some(limit) = state.world.rate_limit(&account) {
        state
            .limiter
            .admit(&account, &call.operation, limit, received.at)
            .map_err(|wait| {
                let milliseconds = wait.num_milliseconds();
                let limits =
                    format!("Limit:{limit},Remain:0,TimeLeft:{milliseconds},Reset:{milliseconds}");
                refusal::throttled()
                    .header("x-acs-retry-after", milliseconds.to_string())
                    .header("x-ratelimit-user-api", limits)
            })?;
    }
    if state.world.is_denied(&account, &call.operation) {
        return Err(forbidden(&account, &call.operation));
    }
    listing(&state.world, &account, &call.parameters, received.at)
}

fn unknown_api(rule: String) -> Refusal {
    Refusal::new(
        404,
        "InvalidApi.NotFound",
        "Specified api is not found, please check your url and method.",
    )
    .because(rule)
}

fn forbidden(account: &str, operation: &str) -> Refusal {
    let message = "User not authorized to operate on the specified resource, or this API doesn't support RAM.";
    Refusal::new(403, "Forbidden.RAM", message).detail(
        "AccessDeniedDetail",
        json!({
            "AuthAction": format!("rds:{operation}"),
            "AuthPrincipalDisplayName": format!("backup-exporter@{account}.onaliyun.com"),
            "AuthPrincipalOwnerId": "1234567890123456",
            "AuthPrincipalType": "SubUser",
            "EncodedDiagnosticMessage": "AQIBIAAAAAD0ZXN0",
            "NoPermissionType": "ImplicitDeny",
            "PolicyType": "AccountLevelIdentityBasedPolicy",
        }),
    )
}

/// Looks like the vendor's, and differs from request to request.
fn request_id(number: i64) -> String {
    let digits = format!(
        "{:016X}{:016X}",
        draw("request", number, "high"),
        draw("request", number, "low")
    );
    [
        &digits[..8],
        &digits[8..12],
        &digits[12..16],
        &digits[16..20],
        &digits[20..],
    ]
    .join("-")
}
