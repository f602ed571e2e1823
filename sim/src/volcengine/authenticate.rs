//! Who sends a request: the checks before any operation, in the order in which a gateway can make
//! them.

use chrono::{NaiveDateTime, TimeDelta};

use super::Call;
use super::refusal::{Refusal, bad_token};
use super::sign::{self, Authorization};
use crate::exchange::Received;
use crate::state::State;
use crate::world::{Key, Vendor};

/// Headers without which a signature is worth nothing; the documents sign the content type as well
/// and its clients every `x-` header, but one of them does neither.
const MANDATORY: [&str; 2] = ["host", "x-date"];

/// How far the client's clock may be off.
const PERMITTED_SKEW: TimeDelta = TimeDelta::minutes(15);

/// Answers the account that the request comes from; `service` is the one that is asked, however it
/// is spelled.
pub(super) fn authenticate(
    state: &State,
    received: &Received,
    call: &mut Call,
    service: &str,
) -> Result<String, Refusal> {
    let authorization = well_formed(received)?;
    check_scope(received, &authorization, service)?;
    let Some(key) = state
        .world
        .key(Vendor::Volcengine, &authorization.access_key_id)
        .filter(|key| key.active)
    else {
        return Err(Refusal::gateway(
            "InvalidAccessKey",
            "The access key is invalid or disabled.",
        ));
    };
    check_signature(received, &authorization, key)?;
    call.signature_valid = true;
    check_token(received, key)?;
    Ok(key.account.clone())
}

/// The signature is there, and covers what it must.
fn well_formed(received: &Received) -> Result<Authorization, Refusal> {
    let Some(header) = received.header("authorization") else {
        return Err(Refusal::gateway(
            "MissingAuthenticationToken",
            "The request is missing the Authorization header.",
        )
        .because("Authorization is missing"));
    };
    let invalid = |rule: String| {
        Refusal::gateway(
            "InvalidAuthorization",
            "The Authorization header is malformed.",
        )
        .because(rule)
    };
    let authorization = Authorization::parse(header).ok_or_else(|| {
        invalid(format!(
            "Authorization is not {} with credential, signed headers and signature",
            sign::ALGORITHM
        ))
    })?;
    if !authorization.signed_headers.is_sorted() {
        return Err(invalid("SignedHeaders are not sorted".to_owned()));
    }
    let signed = |name: &str| {
        authorization
            .signed_headers
            .iter()
            .any(|signed| signed == name)
    };
    let has_token = received.header("x-security-token").is_some();
    let mut wanted = MANDATORY
        .into_iter()
        .chain(has_token.then_some("x-security-token"));
    if let Some(name) = wanted.find(|name| !signed(name)) {
        return Err(invalid(format!("header {name} is not signed")));
    }
    Ok(authorization)
}

/// The date is about now, and the scope is of that day and for this service.
fn check_scope(
    received: &Received,
    authorization: &Authorization,
    service: &str,
) -> Result<(), Refusal> {
    let date = received.header("x-date").unwrap_or_default();
    let invalid = || {
        Refusal::gateway(
            "InvalidTimestamp",
            "The X-Date of the request is malformed or too far from the time of the server.",
        )
    };
    let Ok(parsed) = NaiveDateTime::parse_from_str(date, "%Y%m%dT%H%M%SZ") else {
        return Err(invalid().because(format!("X-Date {date:?}")));
    };
    // A wrong clock is a state of the client's machine, which a test may want; so it breaks no
    // rule.
    if (received.at - parsed.and_utc()).abs() > PERMITTED_SKEW {
        return Err(invalid());
    }
    let scope = &authorization.scope;
    if !date.starts_with(&scope.date) || scope.date.len() != 8 {
        return Err(Refusal::gateway(
            "InvalidCredential",
            "The date of the credential scope is not the date of the request.",
        )
        .because(format!("X-Date {date:?} in the scope of {:?}", scope.date)));
    }
    // The vendor's documents write Redis, its clients redis, and both are served.
    let lower = service.to_ascii_lowercase();
    if scope.service != service && scope.service != lower {
        return Err(Refusal::gateway(
            "ServiceNotFound",
            "The service of the credential scope does not offer this action.",
        )
        .because(format!("service {:?} instead of {lower:?}", scope.service)));
    }
    Ok(())
}

fn check_signature(
    received: &Received,
    authorization: &Authorization,
    key: &Key,
) -> Result<(), Refusal> {
    let body_hash = sign::sha256(&received.body);
    let canonical = sign::canonical_request(received, &authorization.signed_headers, &body_hash);
    let date = received.header("x-date").unwrap_or_default();
    let to_sign = sign::string_to_sign(&canonical, date, &authorization.scope);
    let refusal = Refusal::gateway(
        "SignatureDoesNotMatch",
        "The request signature we calculated does not match the signature you provided. Check your Secret Access Key and signing method.",
    );
    let stated = received.header("x-content-sha256");
    if stated.is_some_and(|stated| stated != body_hash) {
        return Err(refusal.because("x-content-sha256 is not the hash of the body"));
    }
    let fits = |secret: &String| {
        sign::signature(secret, &authorization.scope, &to_sign) == authorization.signature
    };
    if fits(&key.secret) {
        return Ok(());
    }
    // Signed well, but with a secret that has been replaced: out of date, and no mistake in
    // signing.
    if key.former_secrets.iter().any(fits) {
        return Err(refusal);
    }
    Err(refusal.because("the signature is wrong"))
}

fn check_token(received: &Received, key: &Key) -> Result<(), Refusal> {
    let good = match (&key.token, received.header("x-security-token")) {
        (None, None) => true,
        (Some(token), Some(sent)) => {
            token.value == sent && token.expires.is_none_or(|expires| received.at < expires)
        }
        _ => false,
    };
    if good { Ok(()) } else { Err(bad_token()) }
}
