//! The token service: keys of a role for a while, in exchange for a signature or for somebody
//! else's token.

use std::time::Duration;

use chrono::{DateTime, FixedOffset, SecondsFormat, Utc};
use serde_json::{Value, json};

use super::refusal::{Refusal, bad_parameter, missing_parameter};
use super::{Call, Content, account_id, admit, authenticate, role_trn, unknown_action};
use crate::exchange::Received;
use crate::state::State;
use crate::world::{Issue, IssuedKey, OidcVerdict, Vendor};

/// Version of the token service.
const VERSION: &str = "2018-01-01";

/// How the vendor's temporary keys begin.
pub(super) const KEY_PREFIX: &str = "AKTP";

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
    if received.method != "GET" {
        return Err(unknown_action(format!(
            "method {} instead of GET",
            received.method
        )));
    }
    let caller = authenticate::authenticate(state, received, call, "sts")?;
    admit(state, received, &call.operation, &caller)?;
    let mut parameters = call.query.clone();
    parameters.retain(|(name, _)| name != "Action" && name != "Version");
    let request = Request::read(&parameters, &PARAMETERS)?;
    let key = request.issue(state, &call.operation, received.at)?;
    Ok(request.result(&key, "ExpiredTime"))
}

/// Unsigned: the token speaks for itself. It must not stand in the address, where every proxy
/// would log it.
fn assume_role_with_oidc(
    state: &mut State,
    received: &Received,
    call: &Call,
) -> Result<Value, Refusal> {
    if received.method != "POST" {
        return Err(unknown_action(format!(
            "method {} instead of POST",
            received.method
        )));
    }
    let strange = call
        .query
        .iter()
        .find(|(name, _)| name != "Action" && name != "Version");
    if let Some((name, _)) = strange {
        return Err(bad_parameter(format!(
            "{name} in the query instead of the form"
        )));
    }
    let Content::Form(form) = &call.content else {
        return Err(bad_parameter("the body is no form"));
    };
    let mut known = PARAMETERS.to_vec();
    known.push("OIDCToken");
    let request = Request::read(form, &known)?;
    let token = value(form, "OIDCToken").ok_or_else(|| missing_parameter("OIDCToken"))?;
    let role = request.role(state)?;
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
    let owner = state.world.role_account(Vendor::Volcengine, role);
    let owner = owner.unwrap_or_default().to_owned();
    admit(state, received, &call.operation, &owner)?;
    let key = request.issue(state, &call.operation, received.at)?;
    Ok(request.result(&key, "Expiration"))
}

/// A role that is asked for.
#[derive(Debug)]
struct Request<'a> {
    trn: &'a str,
    session: &'a str,
    lifetime: Duration,
}

impl<'a> Request<'a> {
    fn read(parameters: &'a [(String, String)], known: &[&str]) -> Result<Self, Refusal> {
        let strange = parameters
            .iter()
            .find(|(name, _)| !known.contains(&name.as_str()));
        if let Some((name, _)) = strange {
            return Err(bad_parameter(format!("unknown parameter {name}")));
        }
        let mandatory = |name| value(parameters, name).ok_or_else(|| missing_parameter(name));
        Ok(Self {
            trn: mandatory("RoleTrn")?,
            session: mandatory("RoleSessionName")?,
            lifetime: lifetime(parameters)?,
        })
    }

    /// The name of the role, if there is one of this full name.
    fn role(&self, state: &State) -> Result<&'a str, Refusal> {
        let missing = || {
            Refusal::stated(
                404,
                "RoleNotExist",
                format!("Role {} does not exist.", self.trn),
            )
        };
        let (_, name) = self
            .trn
            .rsplit_once(":role/")
            .ok_or_else(|| bad_parameter(format!("RoleTrn {:?} names no role", self.trn)))?;
        let account = state.world.role_account(Vendor::Volcengine, name);
        match account {
            Some(account) if role_trn(account, name) == self.trn => Ok(name),
            _ => Err(missing()),
        }
    }

    fn issue(
        &self,
        state: &mut State,
        operation: &str,
        now: DateTime<Utc>,
    ) -> Result<IssuedKey, Refusal> {
        let role = self.role(state)?;
        let issue = Issue {
            vendor: Vendor::Volcengine,
            role,
            operation,
            prefix: KEY_PREFIX,
            lifetime: self.lifetime,
        };
        let issued = state.world.issue(&issue, now);
        issued.ok_or_else(|| Refusal::stated(404, "RoleNotExist", "The role does not exist."))
    }

    /// The two operations name the end of the key differently.
    fn result(&self, key: &IssuedKey, end: &str) -> Value {
        let account = self.trn.split(':').nth(3).unwrap_or_default();
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
                "Trn": format!("trn:sts::{account}:assumed-role/{}/{}", key.role, self.session),
                "AssumedRoleId": format!("{}:{}", account_id(&key.role), self.session),
            },
        })
    }
}

/// A quarter of an hour to twelve hours; one hour without the parameter.
fn lifetime(parameters: &[(String, String)]) -> Result<Duration, Refusal> {
    let Some(text) = value(parameters, "DurationSeconds") else {
        return Ok(Duration::from_secs(3600));
    };
    let seconds = text.parse().ok();
    match seconds.filter(|seconds| (900..=43_200).contains(seconds)) {
        Some(seconds) => Ok(Duration::from_secs(seconds)),
        None => Err(bad_parameter(format!("DurationSeconds is {text:?}"))),
    }
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
