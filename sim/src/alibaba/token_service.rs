//! The token service: keys of a role for a while, in exchange for a signature or for somebody
//! else's token.

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Value, json};

use super::parameters::{Parameters, mandatory, optional};
use super::refusal::Refusal;
use super::{Call, Style, admit, authenticate, role_arn, rpc, unknown_api};
use crate::exchange::Received;
use crate::query;
use crate::role::{self, NoRole, Service, Wanted};
use crate::state::State;
use crate::world::{IssuedKey, OidcVerdict, Vendor};

/// Version of the token service.
const VERSION: &str = "2015-04-01";

/// How the vendor's temporary keys begin.
pub(super) const KEY_PREFIX: &str = "STS.";

const SERVICE: Service = Service {
    vendor: Vendor::Alibaba,
    key_prefix: KEY_PREFIX,
    full_name: role_arn,
};

/// The operations of the token service.
pub(super) const OPERATIONS: [&str; 2] = ["AssumeRole", "AssumeRoleWithOIDC"];

/// Parameters of both operations.
const PARAMETERS: [&str; 4] = ["RoleArn", "RoleSessionName", "DurationSeconds", "Policy"];

/// What the styles of signing add to the parameters.
const ENVELOPE: [&str; 10] = [
    "AccessKeyId",
    "Action",
    "Format",
    "SecurityToken",
    "Signature",
    "SignatureMethod",
    "SignatureNonce",
    "SignatureVersion",
    "Timestamp",
    "Version",
];

pub(super) fn perform(
    state: &mut State,
    received: &Received,
    call: &mut Call,
) -> Result<Value, Refusal> {
    match call.operation.as_str() {
        "AssumeRole" => assume_role(state, received, call),
        _ => assume_role_with_oidc(state, received, call),
    }
}

fn assume_role(state: &mut State, received: &Received, call: &mut Call) -> Result<Value, Refusal> {
    let caller = match call.style {
        Style::Headers => authenticate::authenticate(state, received, call, VERSION)?,
        Style::Parameters => rpc::authenticate(state, received, call, VERSION)?,
    };
    admit(state, received, &call.operation, &caller)?;
    let wanted = read(&call.parameters, &["ExternalId"])?;
    if state.world.is_denied(&caller, &call.operation) {
        return Err(forbidden());
    }
    issue(&wanted, state, &call.operation, received.at)
}

/// Unsigned: the token speaks for itself. It must not stand in the address, where every proxy
/// would log it.
fn assume_role_with_oidc(
    state: &mut State,
    received: &Received,
    call: &Call,
) -> Result<Value, Refusal> {
    if received.method != "POST" {
        return Err(unknown_api(format!(
            "method {} instead of POST",
            received.method
        )));
    }
    let asked = received.header("x-acs-version");
    let version = asked.or_else(|| call.parameter("Version"));
    authenticate::check_version(version.unwrap_or_default(), VERSION)?;
    let in_address = query::pairs(&received.query);
    if in_address.iter().any(|(name, _)| name == "OIDCToken") {
        return Err(Refusal::new(
            400,
            "InvalidParameter",
            "The parameter OIDCToken is not valid.",
        )
        .because("OIDCToken in the address"));
    }
    let wanted = read(&call.parameters, &["OIDCProviderArn", "OIDCToken"])?;
    let provider = mandatory(&call.parameters, "OIDCProviderArn")?;
    if !provider.starts_with("acs:ram::") || !provider.contains(":oidc-provider/") {
        return Err(invalid("OIDCProviderArn", provider));
    }
    let token = mandatory(&call.parameters, "OIDCToken")?;
    let (role, owner) = wanted
        .find(&SERVICE, state)
        .map_err(|missing| no_role(&wanted, missing))?;
    let owner = owner.to_owned();
    let refused = |code: &str, message: &str| Err(Refusal::new(400, code, message));
    match state.world.judge_oidc_token(Vendor::Alibaba, role, token) {
        OidcVerdict::Accepted => {}
        OidcVerdict::Expired => {
            let code = "AuthenticationFail.OIDCToken.Expired";
            return refused(code, "This JsonWebToken is expired.");
        }
        OidcVerdict::Unknown => {
            let code = "AuthenticationFail.OIDCToken.Invalid";
            return refused(code, "This JsonWebToken is invalid.");
        }
    }
    admit(state, received, &call.operation, &owner)?;
    if state.world.is_denied(&owner, &call.operation) {
        return Err(forbidden());
    }
    issue(&wanted, state, &call.operation, received.at)
}

/// Reads the parameters of both operations; `further` are those of one.
fn read<'a>(parameters: &'a Parameters, further: &[&str]) -> Result<Wanted<'a>, Refusal> {
    let known = |name: &str| {
        PARAMETERS.contains(&name) || ENVELOPE.contains(&name) || further.contains(&name)
    };
    if let Some(name) = parameters.keys().find(|name| !known(name)) {
        return Err(invalid(name, "unknown"));
    }
    let session = mandatory(parameters, "RoleSessionName")?;
    let permitted = |character: char| {
        character.is_ascii_alphanumeric() || matches!(character, '.' | '@' | '-' | '_')
    };
    if !(2..=64).contains(&session.len()) || !session.chars().all(permitted) {
        return Err(invalid("RoleSessionName", session));
    }
    let full_name = mandatory(parameters, "RoleArn")?;
    let seconds = optional(parameters, "DurationSeconds");
    let lifetime = role::lifetime(seconds);
    Ok(Wanted {
        full_name,
        session,
        lifetime: lifetime
            .ok_or_else(|| invalid("DurationSeconds", seconds.unwrap_or_default()))?,
    })
}

fn issue(
    wanted: &Wanted<'_>,
    state: &mut State,
    operation: &str,
    now: DateTime<Utc>,
) -> Result<Value, Refusal> {
    let (arn, session) = (wanted.full_name, wanted.session);
    let key = wanted
        .issue(&SERVICE, state, operation, now)
        .map_err(|missing| no_role(wanted, missing))?;
    Ok(json!({
        "AssumedRoleUser": {
            "Arn": format!("{arn}/{session}"),
            "AssumedRoleId": format!("391578752573{:06}:{session}", arn.len()),
        },
        "Credentials": credentials(&key),
    }))
}

/// The key as every service of this vendor spells it.
pub(super) fn credentials(key: &IssuedKey) -> Value {
    json!({
        "AccessKeyId": key.access_key_id,
        "AccessKeySecret": key.secret,
        "SecurityToken": key.token,
        "Expiration": spell(key.expires),
    })
}

pub(super) fn spell(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Secs, true)
}

fn invalid(name: &str, value: &str) -> Refusal {
    let message = format!("The parameter {name} is wrongly formed.");
    Refusal::new(400, format!("InvalidParameter.{name}"), message)
        .because(format!("{name} is {value:?}"))
}

fn no_role(wanted: &Wanted<'_>, missing: NoRole) -> Refusal {
    match missing {
        NoRole::Misspelled => invalid("RoleArn", wanted.full_name),
        NoRole::Unknown => {
            Refusal::new(404, "EntityNotExist.Role", "The specified Role not exists.")
        }
    }
}

fn forbidden() -> Refusal {
    Refusal::new(
        403,
        "NoPermission",
        "You are not authorized to do this action. You should be authorized by RAM.",
    )
}
