//! Temporary keys: how they are made, and the two endpoints that give one for a token at once. The
//! way in two steps is in `iam`, that of a machine in `metadata`.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::ops::RangeInclusive;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};

use super::Success;
use super::memory::{Memory, Temporary};
use super::project::domain_id;
use super::refusal::Refusal;
use crate::exchange::Received;
use crate::state::State;
use crate::world::{SessionToken, Vendor, draw};

/// Name of the identity provider that vouches for the users of an account, as `X-Idp-Id` states it.
pub fn identity_provider(account: &str) -> String {
    format!("sim-{account}")
}

/// The ID token that it vouches for, unless a test changes it.
pub fn id_token(account: &str) -> String {
    format!("simulated-id-token-of-{account}")
}

/// The token in the file of a pod that belongs to an account, unless a test changes it.
pub fn pod_token(account: &str) -> String {
    format!("simulated-pod-token-of-{account}")
}

/// Makes a key that the gateway accepts until it expires.
pub(super) fn issue(state: &mut State, account: &str, expires: DateTime<Utc>) -> Temporary {
    let memory = &mut state.huawei;
    memory.issued += 1;
    let key = Temporary {
        access_key_id: format!("HST3W{:015X}", draw("key", memory.issued, account) >> 4),
        secret: secret(memory, "secret").chars().take(40).collect(),
        security_token: secret(memory, "security token"),
        expires,
    };
    let token = SessionToken {
        value: key.security_token.clone(),
        expires: Some(expires),
    };
    state
        .world
        .add_key(account, &key.access_key_id, &key.secret, Some(token));
    key
}

/// Text that is not guessed, and has what a header may hold and a careless encoder spoils.
pub(super) fn secret(memory: &mut Memory, purpose: &str) -> String {
    memory.issued += 1;
    let mut text = String::new();
    for part in 0..6 {
        let _ = write!(
            text,
            "{:016x}",
            draw(purpose, memory.issued * 8 + part, "secret")
        );
    }
    text.insert(60, '+');
    text.insert(70, '/');
    text.push_str("==");
    text
}

/// `AssumeAgencyWithOIDC`.
pub(super) fn assume_agency(state: &mut State, received: &Received) -> Result<Success, Refusal> {
    let body = json(received).map_err(malformed)?;
    for name in ["/provider_urn", "/agency_urn", "/agency_session_name"] {
        text(&body, name).map_err(malformed)?;
    }
    let sent = text(&body, "/id_token").map_err(malformed)?;
    let lifetime = duration(body.pointer("/duration_seconds"), 3600, 900..=43200);
    let lifetime = lifetime.map_err(malformed)?;
    let Some(account) = owner(state, &state.huawei.id_tokens, id_token, &sent) else {
        return Err(Refusal::gateway(
            401,
            "STS5.1002",
            "The ID token is invalid or has expired.",
        ));
    };
    let key = issue(state, &account, received.at + lifetime);
    Ok(Success::json(json!({
        "credentials": {
            "access_key_id": key.access_key_id,
            "secret_access_key": key.secret,
            "security_token": key.security_token,
            "expiration": key.expires.format("%Y-%m-%dT%H:%M:%S%.3fZ").to_string(),
        },
        "assumed_agency": {
            "urn": format!("sts::{}:assumed-agency:backup-exporter/session", domain_id(&account)),
            "id": "simulated:session",
        },
    })))
}

/// `GetPodIdentityCredentials`.
pub(super) fn pod_identity(state: &mut State, received: &Received) -> Result<Success, Refusal> {
    let sent = received.header("authorization").unwrap_or_default();
    json(received).map_err(malformed)?;
    let Some(account) = owner(state, &state.huawei.pod_tokens, pod_token, sent) else {
        return Err(Refusal::gateway(
            401,
            "CCE.01401001",
            "Authorization failed.",
        ));
    };
    let lifetime = state.huawei.lifetime;
    let key = issue(state, &account, received.at + lifetime);
    Ok(Success::json(json!({ "credential": in_a_machine(&key) })))
}

/// The account that a token stands for: the one that was stated for it, or else the usual one.
fn owner(
    state: &State,
    stated: &BTreeMap<String, String>,
    usual: fn(&str) -> String,
    sent: &str,
) -> Option<String> {
    let mut accounts = state.world.accounts_with(Vendor::Huawei);
    let owner = accounts.find(|account| match stated.get(*account) {
        Some(token) => token == sent,
        None => usual(account) == sent,
    })?;
    Some(owner.to_owned())
}

/// A key as the metadata service and the endpoint of pods put it.
pub(super) fn in_a_machine(key: &Temporary) -> Value {
    json!({
        "access": key.access_key_id,
        "secret": key.secret,
        "securitytoken": key.security_token,
        "expires_at": moment(key.expires),
    })
}

/// A time with microseconds, without which one of the vendor's clients fails.
pub(super) fn moment(time: DateTime<Utc>) -> String {
    time.format("%Y-%m-%dT%H:%M:%S%.6fZ").to_string()
}

/// The body, which has to be JSON and to say so.
pub(super) fn json(received: &Received) -> Result<Value, String> {
    let kind = received.header("content-type").unwrap_or_default();
    if !kind.starts_with("application/json") {
        return Err(format!("content-type is {kind:?}"));
    }
    serde_json::from_slice(&received.body).map_err(|error| format!("the body is no JSON: {error}"))
}

/// A text in the body that must be there.
pub(super) fn text(body: &Value, pointer: &str) -> Result<String, String> {
    let text = body.pointer(pointer).and_then(Value::as_str);
    text.filter(|text| !text.is_empty())
        .map(str::to_owned)
        .ok_or_else(|| format!("{pointer} is missing in the body"))
}

/// A number of seconds that may be missing, and may be a string.
pub(super) fn duration(
    wanted: Option<&Value>,
    usual: i64,
    permitted: RangeInclusive<i64>,
) -> Result<TimeDelta, String> {
    let seconds = match wanted {
        None => Some(usual),
        Some(Value::String(text)) => text.parse().ok(),
        Some(other) => other.as_i64(),
    };
    seconds
        .filter(|seconds| permitted.contains(seconds))
        .map(TimeDelta::seconds)
        .ok_or_else(|| format!("duration_seconds is {wanted:?}"))
}

/// The codes of this service are made up after the form of its neighbours'.
fn malformed(rule: String) -> Refusal {
    Refusal::gateway(400, "STS5.1001", "The request is invalid.").because(rule)
}
