//! The metadata service of a machine, as far as the vendors agree on it: a token first, then the
//! names of the machine's roles, then a key of a role. Paths, headers and spelling are a face's.
//!
//! Real ones answer on a link-local address that no request from elsewhere reaches; here it is the
//! same listener as the vendor's API.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

use crate::exchange::{Delivery, Exchange, Received, RecordedRequest, Reply, Verdict};
use crate::fault::{FaultKind, Subject};
use crate::state::State;
use crate::world::{Issue, IssuedKey, MetadataMode, Vendor};
use crate::{mishap, query};

/// What a vendor's metadata service has of its own.
pub(crate) struct Service {
    pub(crate) vendor: Vendor,
    pub(crate) token_path: &'static str,
    /// Header in which the client says how long its token is to last.
    pub(crate) lifetime_header: &'static str,
    /// Header in which the client sends its token.
    pub(crate) token_header: &'static str,
    /// Path of the names of roles, without its last slash; below it are their keys.
    pub(crate) directory: &'static str,
    /// Whom it answers unless a test says otherwise.
    pub(crate) usual_mode: MetadataMode,
    pub(crate) key_prefix: &'static str,
    pub(crate) key_lifetime: Duration,
    /// The answer to the directory, for the machine's role if it has one.
    pub(crate) roles: fn(Option<&str>, &Received) -> Result<Reply, Refused>,
    pub(crate) credentials: fn(&IssuedKey) -> Reply,
}

/// Why there is no answer.
#[derive(Debug)]
pub(crate) struct Refused {
    status: u16,
    reason: String,
    is_violation: bool,
}

impl Refused {
    /// The client broke a rule.
    pub(crate) fn client(status: u16, rule: impl Into<String>) -> Self {
        Self {
            status,
            reason: rule.into(),
            is_violation: true,
        }
    }

    /// Nobody is to blame.
    pub(crate) fn world(status: u16, reason: impl Into<String>) -> Self {
        Self {
            status,
            reason: reason.into(),
            is_violation: false,
        }
    }
}

/// What is asked of the service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked<'a> {
    Token,
    Roles,
    Credentials(&'a str),
}

impl Asked<'_> {
    /// The name by which faults and the journal know it.
    fn operation(self) -> &'static str {
        match self {
            Self::Token => "metadata-token",
            Self::Roles => "metadata-roles",
            Self::Credentials(_) => "metadata-credentials",
        }
    }
}

/// Answers a request to the metadata address; nothing if it is for another service.
pub(crate) fn answer(
    service: &Service,
    state: &mut State,
    received: &Received,
) -> Option<Exchange> {
    let asked = asked(service, &received.path)?;
    let operation = asked.operation();
    Some(exchange(
        service.vendor,
        operation,
        state,
        received,
        |state| perform(service, state, received, asked),
    ))
}

/// What `perform` answers, or the fault in force, with what it leaves behind.
pub(crate) fn exchange(
    vendor: Vendor,
    operation: &str,
    state: &mut State,
    received: &Received,
    perform: impl FnOnce(&mut State) -> Result<Reply, Refused>,
) -> Exchange {
    let fault = state.faults.take(&Subject {
        operation: Some(operation),
        ..Subject::default()
    });
    let mark = state.world.keys_mark();
    let outcome = perform(state);
    if fault.as_ref().is_some_and(FaultKind::replaces_answer) {
        state.world.withdraw_keys_since(mark.as_deref());
    }
    let violation = outcome
        .as_ref()
        .err()
        .filter(|refused| refused.is_violation);
    let violations = violation
        .map(|refused| format!("{operation}: {}", refused.reason))
        .into_iter()
        .collect();
    let reply = outcome.unwrap_or_else(|refused| text(refused.status, &refused.reason));
    let delivery = match fault {
        None => Delivery::Whole(reply),
        Some(fault) => deliver(&fault, reply),
    };
    let record = RecordedRequest {
        at: received.at,
        vendor,
        operation: operation.to_owned(),
        region: None,
        instance: None,
        access_key_id: None,
        method: received.method.clone(),
        params: query::pairs(&received.query)
            .into_iter()
            .collect::<BTreeMap<_, _>>(),
        verdict: Verdict {
            status: delivery.status(),
            code: None,
        },
        nonce: None,
        signature_valid: false,
    };
    Exchange {
        delivery,
        record,
        violations,
    }
}

/// A key that came through a proxy may have been read by it, so the services refuse such requests.
pub(crate) fn check_proxy(received: &Received) -> Result<(), Refused> {
    let telling = [":authority", "via", "forwarded", "x-forwarded-for"];
    match telling.iter().find(|name| received.header(name).is_some()) {
        Some(name) => Err(Refused::client(
            403,
            format!("came through a proxy: {name}"),
        )),
        None => Ok(()),
    }
}

/// Six hours at the most, and not nothing.
pub(crate) fn token_lifetime(seconds: &str) -> Option<Duration> {
    let seconds = seconds.parse().ok();
    let seconds = seconds.filter(|seconds| (1..=21_600).contains(seconds));
    seconds.map(Duration::from_secs)
}

pub(crate) fn text(status: u16, body: &str) -> Reply {
    Reply {
        status,
        headers: vec![("content-type", "text/plain".to_owned())],
        body: body.to_owned().into(),
    }
}

pub(crate) fn json(body: &Value) -> Reply {
    Reply {
        status: 200,
        headers: vec![("content-type", "application/json".to_owned())],
        body: body.to_string().into(),
    }
}

fn asked<'a>(service: &Service, path: &'a str) -> Option<Asked<'a>> {
    if path == service.token_path {
        return Some(Asked::Token);
    }
    let below = path.strip_prefix(service.directory)?;
    match below.strip_prefix('/').unwrap_or(below) {
        "" => Some(Asked::Roles),
        role if below.starts_with('/') => Some(Asked::Credentials(role)),
        _ => None,
    }
}

fn perform(
    service: &Service,
    state: &mut State,
    received: &Received,
    asked: Asked<'_>,
) -> Result<Reply, Refused> {
    check_proxy(received)?;
    let expected = if asked == Asked::Token { "PUT" } else { "GET" };
    if received.method != expected {
        return Err(Refused::client(
            405,
            format!("method {} instead of {expected}", received.method),
        ));
    }
    let mode = state.world.metadata_mode(service.vendor);
    let mode = mode.unwrap_or(service.usual_mode);
    if asked == Asked::Token {
        return token(service, state, received, mode);
    }
    check_token(service, state, received, mode)?;
    let role = state.world.machine_role(service.vendor).map(str::to_owned);
    match asked {
        Asked::Credentials(name) if role.as_deref() == Some(name) => {
            let issue = Issue {
                vendor: service.vendor,
                role: name,
                operation: asked.operation(),
                prefix: service.key_prefix,
                lifetime: service.key_lifetime,
            };
            let key = state.world.machine_key(&issue, received.at);
            key.map(|key| (service.credentials)(&key))
                .ok_or_else(|| Refused::world(404, "the role is gone"))
        }
        Asked::Credentials(_) => Err(Refused::world(404, "the machine does not have this role")),
        _ => (service.roles)(role.as_deref(), received),
    }
}

fn token(
    service: &Service,
    state: &mut State,
    received: &Received,
    mode: MetadataMode,
) -> Result<Reply, Refused> {
    if mode == MetadataMode::TokenUnknown {
        return Err(Refused::world(404, "not found"));
    }
    let header = service.lifetime_header;
    let lifetime = received.header(header).unwrap_or_default();
    let lifetime = token_lifetime(lifetime)
        .ok_or_else(|| Refused::client(400, format!("{header} is {lifetime:?}")))?;
    let world = &mut state.world;
    let token = world.issue_metadata_token(service.vendor, lifetime, received.at);
    Ok(text(200, &token))
}

fn check_token(
    service: &Service,
    state: &State,
    received: &Received,
    mode: MetadataMode,
) -> Result<(), Refused> {
    let header = service.token_header;
    match received.header(header) {
        _ if mode == MetadataMode::TokenUnknown => Ok(()),
        None if mode == MetadataMode::TokenOptional => Ok(()),
        // Where a vendor has always wanted a token, nobody has a reason to try without.
        None if service.usual_mode == MetadataMode::TokenRequired => {
            Err(Refused::client(401, format!("{header} is missing")))
        }
        None => Err(Refused::world(403, format!("{header} is missing"))),
        Some(token)
            if state
                .world
                .accepts_metadata_token(service.vendor, token, received.at) =>
        {
            Ok(())
        }
        Some(_) => Err(Refused::world(401, "the token is unknown or has expired")),
    }
}

/// There is no envelope here: an error is a status and a word.
fn deliver(fault: &FaultKind, reply: Reply) -> Delivery {
    if let Some((delivery, _)) = mishap::deliver(fault, &reply, None) {
        return delivery;
    }
    Delivery::Whole(match fault {
        FaultKind::Throttle {
            retry_after,
            header,
        } => {
            let mut reply = text(429, "too many requests");
            let wait = retry_after.unwrap_or_default();
            reply.headers.extend(header.line(wait));
            reply
        }
        FaultKind::Error {
            status, message, ..
        }
        | FaultKind::BareError {
            status, message, ..
        } => text(*status, message),
        FaultKind::ErrorIn200 { code } => json(&serde_json::json!({ "Code": code })),
        FaultKind::ServerErrorJson | FaultKind::ServerErrorXml => text(500, "internal error"),
        FaultKind::ExpiredToken => text(401, "the token is unknown or has expired"),
        // Nothing here has pages or totals.
        _ => reply,
    })
}
