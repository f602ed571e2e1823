//! Alibaba Cloud's face: RDS, version 2014-08-15, the token service, and the metadata of a machine,
//! as their pages and the vendor's own clients describe them. Reads the world; only keys that it
//! hands out are added to it.
//!
//! The sources disagree in places; each choice is commented where it is made, and README.md lists
//! them.

mod authenticate;
mod instances;
mod listing;
mod logs;
mod machine;
mod mishap;
mod parameters;
mod question;
mod recovery;
mod refusal;
mod rows;
mod rpc;
mod sign;
mod token_service;
mod xml;

use std::borrow::Cow;

use serde_json::{Value, json};

use crate::exchange::{Delivery, Exchange, Received, RecordedRequest, Reply, Verdict};
use crate::fault::{FaultKind, Subject};
use crate::query;
use crate::state::State;
use crate::world::{Vendor, draw};
use parameters::Parameters;
use question::Question;
use refusal::Refusal;

/// Version of the API that is served.
pub const VERSION: &str = "2014-08-15";

/// Access key in every download link, by which a test finds out that a link has leaked.
pub const DOWNLOAD_ACCESS_KEY_ID: &str = "LTAI5tSimulatedDownload1";

/// Signature in every download link, for the same purpose.
pub const DOWNLOAD_SIGNATURE: &str = "laK0kSimulatedSignature";

/// Full name of a role. The account's number has 16 digits, as in the samples.
pub fn role_arn(account: &str, role: &str) -> String {
    let number = 1_000_000_000_000_000 + draw(account, 0, "account number") % 1_000_000_000_000_000;
    format!("acs:ram::{number}:role/{role}")
}

/// Where a call has its operation and its signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Style {
    /// In headers.
    Headers,
    /// In the parameters, as clients of the token service still do it.
    Parameters,
}

/// A request as far as this face understands it.
#[derive(Debug)]
struct Call {
    style: Style,
    operation: String,
    parameters: Parameters,
    access_key_id: Option<String>,
    signature_valid: bool,
    request_id: String,
}

impl Call {
    fn read(state: &mut State, received: &Received) -> Self {
        let mut parameters: Parameters = query::pairs(&received.query).into_iter().collect();
        if received
            .header("content-type")
            .is_some_and(|kind| kind.starts_with("application/x-www-form-urlencoded"))
        {
            parameters.extend(query::pairs(&String::from_utf8_lossy(&received.body)));
        }
        let authorization = received
            .header("authorization")
            .and_then(sign::authorization);
        let in_header = received.header("x-acs-action");
        // Only the token service is served in the older style.
        let in_parameters = parameters::optional(&parameters, "Action")
            .filter(|action| in_header.is_none() && token_service::OPERATIONS.contains(action));
        let claimed = authorization.map(|authorization| authorization.credential);
        Self {
            style: match in_parameters {
                Some(_) => Style::Parameters,
                None => Style::Headers,
            },
            operation: in_parameters.or(in_header).unwrap_or_default().to_owned(),
            access_key_id: claimed
                .or_else(|| parameters::optional(&parameters, "AccessKeyId").map(str::to_owned)),
            parameters,
            signature_valid: false,
            request_id: request_id(state.next_request("request")),
        }
    }

    fn is_token_service(&self) -> bool {
        token_service::OPERATIONS.contains(&self.operation.as_str())
    }

    /// An error in its envelope.
    fn error(&self, refusal: &Refusal) -> Value {
        let product = if self.is_token_service() {
            "Sts"
        } else {
            "Rds"
        };
        refusal.envelope(&self.request_id, product)
    }

    /// The older style answers XML to who does not ask for JSON, the newer one the other way round.
    fn wants_xml(&self) -> bool {
        match (self.parameter("Format"), self.style) {
            (Some(format), Style::Headers) => format.eq_ignore_ascii_case("xml"),
            (Some(format), Style::Parameters) => !format.eq_ignore_ascii_case("json"),
            (None, style) => style == Style::Parameters,
        }
    }

    fn parameter(&self, name: &str) -> Option<&str> {
        parameters::optional(&self.parameters, name)
    }

    /// One operation has its own name for it.
    fn region(&self) -> Option<&str> {
        self.parameter("RegionId")
            .or_else(|| self.parameter("Region"))
    }

    fn subject(&self) -> Subject<'_> {
        Subject {
            operation: Some(&self.operation),
            instance: self.parameter("DBInstanceId"),
            region: self.region(),
            access_key: self.access_key_id.as_deref(),
        }
    }

    /// The outcome as the client gets it: JSON, or XML if it asks for that.
    fn reply(&self, outcome: &Result<Value, Refusal>) -> Reply {
        let (status, mut headers, body) = match outcome {
            Ok(answer) => (200, Vec::new(), Cow::Borrowed(answer)),
            Err(refusal) => {
                let error = Cow::Owned(self.error(refusal));
                (refusal.status, refusal.headers.clone(), error)
            }
        };
        headers.push(("x-acs-request-id", self.request_id.clone()));
        if self.wants_xml() {
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
    if let Some(exchange) = machine::answer(state, received) {
        return exchange;
    }
    let mut call = Call::read(state, received);
    let fault = state.faults.take(&call.subject());
    let asked_for = call.parameters.clone();
    if fault == Some(FaultKind::PageLoop) {
        call.parameters
            .insert("PageNumber".to_owned(), "1".to_owned());
        call.parameters.remove("NextToken");
    }
    let mark = state.world.keys_mark();
    // Also when a fault replaces the outcome: the client's own mistakes are to be seen all the
    // same.
    let repeated = usize::from(fault == Some(FaultKind::RepeatedRow));
    let mut outcome = perform(state, received, &mut call, repeated);
    if fault.as_ref().is_some_and(FaultKind::replaces_answer) {
        state.world.withdraw_keys_since(mark.as_deref());
    }
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
    let status = delivery.status();
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
        region: call.region().map(str::to_owned),
        instance: call.parameter("DBInstanceId").map(str::to_owned),
        operation: call.operation,
        access_key_id: call.access_key_id,
        method: received.method.clone(),
        verdict: Verdict { status, code },
        nonce: received
            .header("x-acs-signature-nonce")
            .map(str::to_owned)
            .or_else(|| asked_for.get("SignatureNonce").cloned()),
        params: asked_for,
        signature_valid: call.signature_valid,
    };
    Exchange {
        delivery,
        record,
        violations,
    }
}

/// An operation of the database service.
type Operation = fn(&Question<'_>) -> Result<Value, Refusal>;

fn operation(name: &str) -> Option<Operation> {
    Some(match name {
        "DescribeCrossRegionBackups" => listing::cross_region,
        "DescribeBackups" => listing::local,
        "DescribeCrossRegionLogBackupFiles" => logs::cross_region,
        "DescribeDBInstances" => instances::list,
        "DescribeCrossRegionBackupDBInstance" => instances::policies,
        "DescribeAvailableRecoveryTime" => recovery::cross_region,
        "DescribeLocalAvailableRecoveryTime" => recovery::local,
        _ => return None,
    })
}

/// What the cloud answers when nothing is wrong with it.
fn perform(
    state: &mut State,
    received: &Received,
    call: &mut Call,
    repeated: usize,
) -> Result<Value, Refusal> {
    let operation = operation(&call.operation);
    if operation.is_none() && !call.is_token_service() {
        return Err(unknown_api(format!(
            "unknown operation {:?}",
            call.operation
        )));
    }
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
    let Some(operation) = operation else {
        return token_service::perform(state, received, call);
    };
    let account = authenticate::authenticate(state, received, call, VERSION)?;
    admit(state, received, &call.operation, &account)?;
    if state.world.is_denied(&account, &call.operation) {
        return Err(forbidden(&account, &call.operation));
    }
    operation(&Question {
        world: &state.world,
        account: &account,
        parameters: &call.parameters,
        now: received.world,
        repeated,
    })
}

/// The account's quota.
fn admit(
    state: &mut State,
    received: &Received,
    operation: &str,
    account: &str,
) -> Result<(), Refusal> {
    let Some(limit) = state.world.rate_limit(account) else {
        return Ok(());
    };
    let admitted = state.limiter.admit(account, operation, limit, received.at);
    admitted.map_err(|wait| {
        let milliseconds = wait.num_milliseconds();
        let limits = format!("Limit:{limit},Remain:0,TimeLeft:{milliseconds},Reset:{milliseconds}");
        refusal::throttled()
            .header("x-acs-retry-after", milliseconds.to_string())
            .header("x-ratelimit-user-api", limits)
    })
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
fn request_id([high, low]: [u64; 2]) -> String {
    let digits = format!("{high:016X}{low:016X}");
    [
        &digits[..8],
        &digits[8..12],
        &digits[12..16],
        &digits[16..20],
        &digits[20..],
    ]
    .join("-")
}
