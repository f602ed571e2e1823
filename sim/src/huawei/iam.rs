//! The identity service: lists of projects, and the two steps from an identity provider's token to
//! a temporary key.

use chrono::TimeDelta;
use serde_json::{Value, json};

use super::memory::Token;
use super::parameters::{Parameters, optional};
use super::project::{domain_id, project_id, row};
use super::refusal::Refusal;
use super::temporary::{self, duration, id_token, identity_provider, moment, text};
use super::{Call, Success};
use crate::exchange::Received;
use crate::state::State;
use crate::world::Vendor;

/// How long the answer to an ID token is good for.
const TOKEN_LIFETIME: TimeDelta = TimeDelta::hours(24);

/// `KeystoneListProjects`. A name also finds the divisions of the project of this name.
pub(super) fn projects(state: &mut State, call: &Call, account: &str) -> Success {
    let name = optional(&call.parameters, "name");
    if let Some(name) = name {
        state.huawei.projects.ask_for(account, name);
    }
    let enabled = optional(&call.parameters, "enabled").map(|enabled| enabled == "true");
    let named = |project: &str| {
        name.is_none_or(|name| {
            let rest = project.strip_prefix(name);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('_'))
        })
    };
    let mut projects = state.huawei.projects.list(&state.world, account);
    projects.retain(|project| {
        named(&project.name) && enabled.is_none_or(|enabled| enabled == project.enabled)
    });
    let rows: Vec<_> = projects
        .iter()
        .map(|project| row(account, project))
        .collect();
    Success::json(list(&rows, &call.parameters))
}

/// `KeystoneListAuthProjects`: the same without a choice. Every account has one project more, for
/// the vendor's object storage.
pub(super) fn auth_projects(state: &State, call: &Call, account: &str) -> Success {
    let projects = state.huawei.projects.list(&state.world, account);
    let mut rows: Vec<_> = projects
        .iter()
        .map(|project| row(account, project))
        .collect();
    let storage = json!({
        "id": project_id(account, "MOS"),
        "name": "MOS",
        "domain_id": domain_id(account),
        "parent_id": domain_id(account),
        "enabled": true,
        "is_domain": false,
    });
    rows.push(storage);
    Success::json(list(&rows, &call.parameters))
}

fn list(rows: &[Value], parameters: &Parameters) -> Value {
    let name = optional(parameters, "name").unwrap_or_default();
    let own = format!("https://iam.myhuaweicloud.com/v3/projects?name={name}");
    json!({ "projects": rows, "links": { "self": own, "next": null, "previous": null } })
}

/// `CreateTokenWithIdToken`: a token of this cloud for one of an identity provider.
pub(super) fn exchange_id_token(
    state: &mut State,
    received: &Received,
) -> Result<Success, Refusal> {
    let provider = received
        .header("x-idp-id")
        .ok_or_else(|| malformed("header x-idp-id is missing"))?;
    let body = temporary::json(received).map_err(malformed)?;
    let sent = text(&body, "/auth/id_token/id").map_err(malformed)?;
    let mut accounts = state.world.accounts_with(Vendor::Huawei);
    let Some(account) = accounts.find(|account| identity_provider(account) == provider) else {
        let message = format!("Could not find identity provider: {provider}.");
        return Err(Refusal::keystone(404, message));
    };
    let usual = id_token(account);
    if *state.huawei.id_tokens.get(account).unwrap_or(&usual) != sent {
        return Err(unauthenticated());
    }
    let account = account.to_owned();
    let (now, expires) = (received.at, received.at + TOKEN_LIFETIME);
    let value = temporary::secret(&mut state.huawei, "iam token");
    let user = json!({ "domain": { "id": domain_id(&account), "name": account }, "name": "FederationUser" });
    let token = Token {
        account: Some(account),
        expires,
    };
    state.huawei.tokens.insert(value.clone(), token);
    let answer = json!({ "token": {
        "methods": ["mapped"],
        "user": user,
        "issued_at": moment(now),
        "expires_at": moment(expires),
    }});
    Ok(Success::json(answer)
        .status(201)
        .header("x-subject-token", value))
}

/// `CreateTemporaryAccessKeyByToken`.
pub(super) fn key_for_token(state: &mut State, received: &Received) -> Result<Success, Refusal> {
    let body = temporary::json(received).map_err(malformed)?;
    if body.pointer("/auth/identity/methods") != Some(&json!(["token"])) {
        return Err(malformed("methods are not [\"token\"]"));
    }
    let in_body = body
        .pointer("/auth/identity/token/id")
        .and_then(Value::as_str);
    let sent = in_body
        .or_else(|| received.header("x-auth-token"))
        .ok_or_else(|| malformed("there is no token, neither in the body nor in x-auth-token"))?;
    let wanted = body.pointer("/auth/identity/token/duration_seconds");
    let lifetime = duration(wanted, 900, 900..=86400).map_err(malformed)?;
    let token = state.huawei.tokens.get(sent);
    let account = token
        .filter(|token| received.at < token.expires)
        .and_then(|token| token.account.clone())
        .ok_or_else(unauthenticated)?;
    let key = temporary::issue(state, &account, received.at + lifetime);
    let credential = json!({
        "access": key.access_key_id,
        "secret": key.secret,
        "securitytoken": key.security_token,
        "expires_at": moment(key.expires),
    });
    Ok(Success::json(json!({ "credential": credential })).status(201))
}

fn malformed(rule: impl Into<Box<str>>) -> Refusal {
    Refusal::keystone(400, "The request body is invalid.").because(rule)
}

fn unauthenticated() -> Refusal {
    Refusal::keystone(401, "The request you have made requires authentication.")
}
