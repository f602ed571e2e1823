//! The metadata service of a machine, as it answers on the link-local address: a token, and for it
//! the key of the machine's agency.

use serde_json::json;

use super::memory::{Metadata, Token};
use super::oddity::Shape;
use super::refusal::Refusal;
use super::temporary::{in_a_machine, issue, secret};
use super::{Call, Success};
use crate::exchange::Received;
use crate::metadata::token_lifetime;
use crate::state::State;

/// Traces of a proxy: nobody else may see the key, so such a request should never have been made.
const LEFT_BY_PROXIES: [&str; 6] = [
    ":authority",
    "forwarded",
    "proxy-authorization",
    "proxy-connection",
    "via",
    "x-forwarded-for",
];

/// `CreateMetadataToken`.
pub(super) fn token(
    state: &mut State,
    received: &Received,
    call: &mut Call,
) -> Result<Success, Refusal> {
    direct(received, call);
    if state.huawei.metadata == Metadata::WithoutTokens {
        return Err(refuse(404, "404 Not Found"));
    }
    let wanted = received
        .header("x-metadata-token-ttl-seconds")
        .unwrap_or_default();
    let Some(lifetime) = token_lifetime(wanted) else {
        let rule = format!("x-metadata-token-ttl-seconds is {wanted:?}");
        return Err(refuse(400, "400 Bad Request").because(rule));
    };
    let value = secret(&mut state.huawei, "metadata token");
    let token = Token {
        account: None,
        expires: received.at + lifetime,
    };
    state.huawei.tokens.insert(value.clone(), token);
    Ok(Success::text(value))
}

/// `GetSecurityKey`.
pub(super) fn security_key(
    state: &mut State,
    received: &Received,
    call: &mut Call,
) -> Result<Success, Refusal> {
    direct(received, call);
    let now = received.at;
    let sent = received.header("x-metadata-token");
    let known = |value: &str| {
        let token = state.huawei.tokens.get(value);
        token.is_some_and(|token| token.account.is_none() && now < token.expires)
    };
    let admitted = match state.huawei.metadata {
        Metadata::TokensRequired => sent.is_some_and(known),
        Metadata::TokensOptional => sent.is_none_or(known),
        Metadata::WithoutTokens => true,
    };
    if !admitted {
        return Err(refuse(401, "401 Unauthorized"));
    }
    let Some(account) = state.huawei.agency.clone() else {
        // With this status, because the vendor's clients tell it from a missing token by its words.
        return Err(refuse(401, "Please configure Cloud Service Agency first"));
    };
    let lifetime = state.huawei.lifetime;
    // The machine keeps its key for a while; a new one comes well before the end of the old.
    let early = lifetime.min(std::time::Duration::from_secs(7200)) / 2;
    let present = state.huawei.machine_key.clone();
    let key = match present.filter(|key| now + early < key.expires) {
        Some(key) => key,
        None => issue(state, &account, now + lifetime),
    };
    state.huawei.machine_key = Some(key.clone());
    Ok(Success::json(json!({ "credential": in_a_machine(&key) })))
}

fn direct(received: &Received, call: &mut Call) {
    for name in LEFT_BY_PROXIES {
        if received.header(name).is_some() {
            let what = if name == ":authority" {
                "the target names a host".to_owned()
            } else {
                format!("header {name} is there")
            };
            call.breach(format!("went through a proxy: {what}"));
        }
    }
}

fn refuse(status: u16, text: &str) -> Refusal {
    Refusal::new(Shape::Text, status, status.to_string(), text)
}
