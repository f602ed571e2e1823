//! Volcengine's face: Cache for Redis, version 2020-12-07, the token service, and the metadata of a
//! machine, as their pages and the vendor's own clients describe them. Reads the world; only keys
//! that it hands out are added to it.
//!
//! The sources leave gaps; each choice is commented where it is made, and README.md lists them.

mod authenticate;
mod instances;
mod listing;
mod machine;
mod mishap;
mod parameters;
mod refusal;
mod sign;
mod token_service;

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Map, Value, json};

use crate::exchange::{Delivery, Exchange, Received, RecordedRequest, Reply, Verdict};
use crate::fault::{FaultKind, Subject};
use crate::query;
use crate::state::State;
use crate::world::{Vendor, World, draw};
use listing::Question;
use parameters::{Body, Listing};
use refusal::{Refusal, throttled};
use sign::Scope;

/// Version of the Redis API that is served.
pub const VERSION: &str = "2020-12-07";

/// Name by which the permission to list a whole account is denied.
pub(crate) const ACCOUNT_WIDE: &str = "Scope=AccountInstances";

/// The operations of the Redis API.
const REDIS: [&str; 7] = [
    "DescribeCrossRegionBackups",
    "DescribeBackups",
    "DescribeCrossRegionBackupPolicy",
    "DescribeAvailableCrossRegion",
    "DescribeBackupPlan",
    "DescribePitrTimeWindow",
    "DescribeDBInstances",
];

/// The account's number, which rows and names of roles carry: ten digits, as in the samples.
pub fn account_id(account: &str) -> u64 {
    2_100_000_000 + draw(account, 0, "account number") % 100_000_000
}

/// Full name of a role.
pub fn role_trn(account: &str, role: &str) -> String {
    format!("trn:iam::{}:role/{role}", account_id(account))
}

/// What a request carries.
#[derive(Debug)]
enum Content {
    Json(Map<String, Value>),
    Form(Vec<(String, String)>),
    /// Neither, for this reason.
    Unreadable(String),
}

impl Content {
    fn read(received: &Received) -> Self {
        let kind = received.header("content-type").unwrap_or_default();
        if kind.starts_with("application/x-www-form-urlencoded") {
            return Self::Form(query::pairs(&String::from_utf8_lossy(&received.body)));
        }
        if !kind.starts_with("application/json") {
            return Self::Unreadable(format!("content type {kind:?} instead of application/json"));
        }
        match serde_json::from_slice(&received.body) {
            Ok(Value::Object(fields)) => Self::Json(fields),
            _ => Self::Unreadable("the body is no JSON object".to_owned()),
        }
    }
}

/// A request as far as this face understands it.
#[derive(Debug)]
struct Call {
    operation: String,
    query: Vec<(String, String)>,
    content: Content,
    scope: Option<Scope>,
    access_key_id: Option<String>,
    signature_valid: bool,
    request_id: String,
    /// Documented rules that were broken without consequences for the answer.
    notes: Vec<String>,
}

impl Call {
    fn read(state: &mut State, received: &Received) -> Self {
        let header = received.header("authorization");
        let credential = header
            .and_then(sign::authorization)
            .map(|authorization| authorization.credential);
        let query = query::pairs(&received.query);
        let operation = query.iter().find(|(name, _)| name == "Action");
        Self {
            operation: operation.map_or_else(String::new, |(_, value)| value.clone()),
            content: Content::read(received),
            access_key_id: credential
                .as_ref()
                .map(|credential| credential.access_key_id.clone()),
            scope: credential.map(|credential| credential.scope),
            signature_valid: false,
            request_id: request_id(state.next_request("request"), received.at),
            notes: Vec::new(),
            query,
        }
    }

    fn in_query(&self, name: &str) -> Option<&str> {
        let pair = self.query.iter().find(|(given, _)| given == name);
        pair.map(|(_, value)| value.as_str())
    }

    fn in_body(&self, name: &str) -> Option<&Value> {
        match &self.content {
            Content::Json(fields) => fields.get(name),
            Content::Form(_) | Content::Unreadable(_) => None,
        }
    }

    fn instance(&self) -> Option<&str> {
        self.in_body("InstanceId").and_then(Value::as_str)
    }

    fn page_number(&self) -> Option<u64> {
        self.in_body("PageNumber").and_then(Value::as_u64)
    }

    fn ask_for_first_page(&mut self) {
        if let Content::Json(fields) = &mut self.content
            && let Some(number) = fields.get_mut("PageNumber")
        {
            *number = json!(1);
        }
    }

    /// The region that is asked is the one that the signature is for.
    fn region(&self) -> Option<&str> {
        self.scope.as_ref().map(|scope| scope.region.as_str())
    }

    fn subject(&self) -> Subject<'_> {
        Subject {
            operation: Some(&self.operation),
            instance: self.instance(),
            region: self.region(),
            access_key: self.access_key_id.as_deref(),
        }
    }

    /// Everything that was asked for, as text.
    fn parameters(&self) -> BTreeMap<String, String> {
        let mut parameters: BTreeMap<_, _> = self.query.iter().cloned().collect();
        match &self.content {
            Content::Json(fields) => parameters.extend(
                fields
                    .iter()
                    .map(|(name, value)| (name.clone(), flat(value))),
            ),
            Content::Form(pairs) => parameters.extend(pairs.iter().cloned()),
            Content::Unreadable(_) => {}
        }
        parameters
    }

    fn is_token_service(&self) -> bool {
        token_service::OPERATIONS.contains(&self.operation.as_str())
    }

    /// The outcome in the vendor's envelope.
    fn envelope(&self, outcome: &Result<Value, Refusal>) -> Value {
        let mut metadata = json!({
            "RequestId": self.request_id,
            "Action": self.operation,
            "Version": self.in_query("Version").unwrap_or_default(),
            "Service": if self.is_token_service() { "sts" } else { "Redis" },
            "Region": self.region().unwrap_or_default(),
        });
        match outcome {
            Ok(result) => json!({ "ResponseMetadata": metadata, "Result": result }),
            Err(refusal) => {
                metadata["Error"] = refusal.error();
                json!({ "ResponseMetadata": metadata })
            }
        }
    }

    fn reply(&self, outcome: &Result<Value, Refusal>) -> Reply {
        let envelope = self.envelope(outcome);
        match outcome {
            Ok(_) => self.json(200, &envelope),
            Err(refusal) => {
                let mut reply = self.json(refusal.status, &envelope);
                reply.headers.extend(refusal.headers.clone());
                reply
            }
        }
    }

    fn json(&self, status: u16, body: &Value) -> Reply {
        Reply {
            status,
            headers: vec![
                ("content-type", "application/json; charset=utf-8".to_owned()),
                ("x-tt-logid", self.request_id.clone()),
            ],
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
    let asked_for = call.parameters();
    if fault == Some(FaultKind::PageLoop) {
        call.ask_for_first_page();
    }
    let rows_repeated = usize::from(fault == Some(FaultKind::RepeatedRow));
    let mark = state.world.keys_mark();
    // Also when a fault replaces the outcome: the client's own mistakes are to be seen all the
    // same.
    let outcome = perform(state, received, &mut call, rows_repeated);
    if fault.as_ref().is_some_and(FaultKind::replaces_answer) {
        state.world.withdraw_keys_since(mark.as_deref());
    }
    let violations = violations(&call, &outcome);
    let (delivery, code) = match fault {
        None => (
            Delivery::Whole(call.reply(&outcome)),
            outcome.err().map(|refusal| refusal.code),
        ),
        Some(fault) => mishap::deliver(&fault, &call, outcome),
    };
    let record = RecordedRequest {
        at: received.at,
        vendor: Vendor::Volcengine,
        region: call.region().map(str::to_owned),
        instance: call.instance().map(str::to_owned),
        operation: call.operation,
        access_key_id: call.access_key_id,
        method: received.method.clone(),
        params: asked_for,
        verdict: Verdict {
            status: delivery.status(),
            code,
        },
        nonce: None,
        signature_valid: call.signature_valid,
    };
    Exchange {
        delivery,
        record,
        violations,
    }
}

fn violations(call: &Call, outcome: &Result<Value, Refusal>) -> Vec<String> {
    let name = match call.operation.as_str() {
        "" => "a request without Action",
        operation => operation,
    };
    let refused = outcome
        .as_ref()
        .err()
        .and_then(|refusal| refusal.violation.as_deref());
    let notes = call.notes.iter().map(String::as_str);
    refused
        .into_iter()
        .chain(notes)
        .map(|rule| format!("{name}: {rule}"))
        .collect()
}

/// What the cloud answers when nothing is wrong with it.
fn perform(
    state: &mut State,
    received: &Received,
    call: &mut Call,
    rows_repeated: usize,
) -> Result<Value, Refusal> {
    if received.path != "/" {
        return Err(unknown_action(format!(
            "path {:?} instead of /",
            received.path
        )));
    }
    if call.is_token_service() {
        return token_service::perform(state, received, call);
    }
    let version = call.in_query("Version").unwrap_or_default();
    if !REDIS.contains(&call.operation.as_str()) || version != VERSION {
        return Err(unknown_action(format!(
            "unknown operation {:?} of version {version:?}",
            call.operation
        )));
    }
    check_method(received, "POST")?;
    check_query(call, "body")?;
    let account = authenticate::authenticate(state, received, call, "Redis")?;
    admit(state, received, &call.operation, &account)?;
    let body = match &call.content {
        Content::Json(fields) => fields.clone(),
        Content::Form(_) => return Err(refusal::bad_parameter("a form instead of JSON")),
        Content::Unreadable(reason) => return Err(refusal::bad_parameter(reason.clone())),
    };
    let question = Question {
        account: &account,
        region: call.scope.as_ref().map_or("", |scope| &scope.region),
        now: received.world,
        rows_repeated,
    };
    let operation = call.operation.as_str();
    let (answer, notes) = redis(&state.world, operation, &question, Body(&body))?;
    call.notes.extend(notes);
    Ok(answer)
}

/// The answer of a Redis operation, and the rules that were broken without consequences.
fn redis(
    world: &World,
    operation: &str,
    question: &Question<'_>,
    body: Body<'_>,
) -> Result<(Value, Vec<String>), Refusal> {
    let listing = match operation {
        "DescribeCrossRegionBackups" => Some(Listing::CrossRegion),
        "DescribeBackups" => Some(Listing::Local),
        _ => None,
    };
    if let Some(listing) = listing {
        let one_instance = body
            .text("Scope")?
            .is_none_or(|scope| scope == "OneInstance");
        if !one_instance && world.is_denied(question.account, ACCOUNT_WIDE) {
            return Err(Refusal::gateway(
                "LackProjectPolicy",
                format!("Policies of the projects do not allow Redis:{operation} on *."),
            ));
        }
        return listing::list(listing, world, question, body);
    }
    let answer = match operation {
        "DescribeCrossRegionBackupPolicy" => instances::cross_region_policy,
        "DescribeAvailableCrossRegion" => instances::available_cross_region,
        "DescribeBackupPlan" => instances::backup_plan,
        "DescribePitrTimeWindow" => instances::pitr_window,
        _ => instances::list,
    };
    Ok((answer(world, question, body)?, Vec::new()))
}

/// The account's quota, and what its policy allows.
fn admit(
    state: &mut State,
    received: &Received,
    operation: &str,
    account: &str,
) -> Result<(), Refusal> {
    if let Some(limit) = state.world.rate_limit(account) {
        let admitted = state.limiter.admit(account, operation, limit, received.at);
        // No page promises a header that says how long to wait.
        admitted.map_err(|_| throttled())?;
    }
    if state.world.is_denied(account, operation) {
        return Err(Refusal::gateway(
            "AccessDenied",
            format!("User is not authorized to perform: {operation} on resource: *"),
        ));
    }
    Ok(())
}

fn check_method(received: &Received, expected: &str) -> Result<(), Refusal> {
    if received.method == expected {
        return Ok(());
    }
    Err(unknown_action(format!(
        "method {} instead of {expected}",
        received.method
    )))
}

/// The query names the operation; all the rest belongs into `place`.
fn check_query(call: &Call, place: &str) -> Result<(), Refusal> {
    let mut names = call.query.iter().map(|(name, _)| name.as_str());
    match names.find(|name| !["Action", "Version"].contains(name)) {
        Some(name) => Err(refusal::bad_parameter(format!(
            "{name} in the query instead of the {place}"
        ))),
        None => Ok(()),
    }
}

fn unknown_action(rule: String) -> Refusal {
    Refusal::gateway(
        "InvalidActionOrVersion",
        "Could not find operation for this action and version.",
    )
    .because(rule)
}

/// A value of the body as the journal has it: a list with commas.
fn flat(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(entries) => entries.iter().map(flat).collect::<Vec<_>>().join(","),
        other => other.to_string(),
    }
}

/// Looks like the vendor's, which begins with China's time, and differs from request to request.
fn request_id([high, low]: [u64; 2], now: DateTime<Utc>) -> String {
    let time = (now + TimeDelta::hours(8)).format("%Y%m%d%H%M%S");
    let drawn = format!("{high:016X}{:04X}", low & 0xffff);
    format!("{time}{drawn}")
}
