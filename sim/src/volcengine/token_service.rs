//! The token service: keys of a role for a while, in exchange for a signature or for somebody
//! else's token.

use chrono::{DateTime, FixedOffset, SecondsFormat, Utc};
use serde_json::{Value, json};

use super::refusal::{Refusal, bad_parameter, missing_parameter};
use super::{
    Call, Content, account_id, admit, authenticate, check_method, check_query, role_trn,
    unknown_action,
};
use crate::exchange::Received;
use crate::role::{self, NoRole, Service, Wanted};
use crate::state::State;
use crate::world::{IssuedKey, OidcVerdict, Vendor};

/// Version of the token service.
const VERSION: &str = "2018-01-01";

/// How the vendor's temporary keys begin.
pub(super) const KEY_PREFIX: &str = "AKTP";

const SERVICE: Service = Service {
    vendor: Vendor::Volcengine,
    key_prefix: KEY_PREFIX,
    full_name: role_trn,
};

/// The operations of the token service.
pub(super) const OPERATIONS: [&str; 2] = ["AssumeRole", "AssumeRoleWithOIDC"];

/// Parameters of both operations, the one with a token has that as well.
const PARAMETERS: [&str; 4] = ["RoleTrn", "RoleSessionName", "DurationSeconds", "Policy"];

pub(super) fn perform(
    state: &mut State,
    received: &Received,
    call: &mut Call,
) -> Result<Value, Refusal> {
    let version = call.in_query("Version").unwrap_or_default();
    if version != VERSION {
        return Err(unknown_action(format!(
            "unknown operation {:?} of version {version:?}",
            call.operation
        )));
    }
    match call.operation.as_str() {
        "AssumeRole" => assume_role(state, received, call),
        _ => assume_role_with_oidc(state, received, call),
    }
}

fn assume_role(state: &mut State, received: &Received, call: &mut Call) -> Result<Value, Refusal> {
    check_method(received, "GET")?;
    let caller = authenticate::authenticate(state, received, call, "sts")?;
    admit(state, received, &call.operation, &caller)?;
    let mut parameters = call.query.clone();
    parameters.retain(|(name, _)| name != "Action" && name != "Version");
    let wanted = read(&parameters, &PARAMETERS)?;
    let key = issue(&wanted, state, &call.operation, received.at)?;
    Ok(result(&wanted, &key, "ExpiredTime"))
}

/// Unsigned: the token speaks for itself. It must not stand in the address, where every proxy
/// would log it.
fn assume_role_with_oidc(
    state: &mut State,
    received: &Received,
    call: &Call,
) -> Result<Value, Refusal> {
    check_method(received, "POST")?;
    check_query(call, "form")?;
    let Content::Form(form) = &call.content else {
        return Err(bad_parameter("the body is no form"));
    };
    let mut known = PARAMETERS.to_vec();
    known.push("OIDCToken");
    let wanted = read(form, &known)?;
    let token = value(form, "OIDCToken").ok_or_else(|| missing_parameter("OIDCToken"))?;
    let (role, owner) = wanted
        .find(&SERVICE, state)
        .map_err(|missing| no_role(&wanted, missing))?;
    let owner = owner.to_owned();
    // No page names the codes.
    let refused = |code: &str, message: &str| Err(Refusal::stated(400, code, message));
    match state
        .world
        .judge_oidc_token(Vendor::Volcengine, role, token)
    {
        OidcVerdict::Accepted => {}
        OidcVerdict::Expired => return refused("ExpiredOIDCToken", "The OIDC token is expired."),
        OidcVerdict::Unknown => return refused("InvalidOIDCToken", "The OIDC token is invalid."),
    }
    admit(state, received, &call.operation, &owner)?;
    let key = issue(&wanted, state, &call.operation, received.at)?;
    Ok(result(&wanted, &key, "Expiration"))
}

fn read<'a>(parameters: &'a [(String, String)], known: &[&str]) -> Result<Wanted<'a>, Refusal> {
    let strange = parameters
        .iter()
        .find(|(name, _)| !known.contains(&name.as_str()));
    if let Some((name, _)) = strange {
        return Err(bad_parameter(format!("unknown parameter {name}")));
    }
    let mandatory = |name| value(parameters, name).ok_or_else(|| missing_parameter(name));
    let (full_name, session) = (mandatory("RoleTrn")?, mandatory("RoleSessionName")?);
    let seconds = value(parameters, "DurationSeconds");
    let refused = || {
        bad_parameter(format!(
            "DurationSeconds is {:?}",
            seconds.unwrap_or_default()
        ))
    };
    Ok(Wanted {
        full_name,
        session,
        lifetime: role::lifetime(seconds).ok_or_else(refused)?,
    })
}

fn issue(
    wanted: &Wanted<'_>,
    state: &mut State,
    operation: &str,
    now: DateTime<Utc>,
) -> Result<IssuedKey, Refusal> {
    let issued = wanted.issue(&SERVICE, state, operation, now);
    issued.map_err(|missing| no_role(wanted, missing))
}

fn no_role(wanted: &Wanted<'_>, missing: NoRole) -> Refusal {
    let trn = wanted.full_name;
    match missing {
        NoRole::Misspelled => bad_parameter(format!("RoleTrn {trn:?} names no role")),
        NoRole::Unknown => {
            Refusal::stated(404, "RoleNotExist", format!("Role {trn} does not exist."))
        }
    }
}

/// The two operations name the end of the key differently.
fn result(wanted: &Wanted<'_>, key: &IssuedKey, end: &str) -> Value {
    let account = wanted.full_name.split(':').nth(3).unwrap_or_default();
    let session = wanted.session;
    let mut credentials = json!({
        "CurrentTime": spell(key.issued),
        "AccessKeyId": key.access_key_id,
        "SecretAccessKey": key.secret,
        "SessionToken": key.token,
    });
    credentials[end] = json!(spell(key.expires));
    json!({
        "Credentials": credentials,
        "AssumedRoleUser": {
            "Trn": format!("trn:sts::{account}:assumed-role/{}/{session}", key.role),
            "AssumedRoleId": format!("{}:{session}", account_id(&key.role)),
        },
    })
}

/// A parameter that is there and not empty.
fn value<'a>(parameters: &'a [(String, String)], name: &str) -> Option<&'a str> {
    let mut values = parameters
        .iter()
        .filter(|(given, value)| given == name && !value.is_empty());
    values.next().map(|(_, value)| value.as_str())
}

/// With an offset, unlike the times of the Redis API: the samples have China's.
pub(super) fn spell(time: DateTime<Utc>) -> String {
    let Some(china) = FixedOffset::east_opt(8 * 3600) else {
        return time.to_rfc3339_opts(SecondsFormat::Secs, true);
    };
    time.with_timezone(&china)
        .to_rfc3339_opts(SecondsFormat::Secs, false)
}
