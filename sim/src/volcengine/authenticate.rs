//! Who sends a request: the checks before any operation, in the order in which a gateway can make
//! them.

use super::Call;
use super::refusal::{Refusal, bad_token};
use super::sign::{self, Authorization};
use crate::exchange::Received;
use crate::signature::{self, BadDate};
use crate::state::State;
use crate::world::{Key, Signer, TokenVerdict, Vendor};

/// Headers without which a signature is worth nothing; the documents sign the content type as well
/// and its clients every `x-` header, but one of them does neither.
const MANDATORY: [&str; 2] = ["host", "x-date"];

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
        .key(Vendor::Volcengine, &authorization.credential.access_key_id)
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
    let authorization = sign::authorization(header).ok_or_else(|| {
        invalid(format!(
            "Authorization is not {} with credential, signed headers and signature",
            sign::ALGORITHM
        ))
    })?;
    if !authorization.signed_headers.is_sorted() {
        return Err(invalid("SignedHeaders are not sorted".to_owned()));
    }
    let has_token = received.header("x-security-token").is_some();
    let mut wanted = MANDATORY
        .into_iter()
        .chain(has_token.then_some("x-security-token"));
    if let Some(name) = wanted.find(|name| !authorization.signs(name)) {
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
    signature::check_date(date, "%Y%m%dT%H%M%SZ", received.at).map_err(|bad| {
        let refusal = Refusal::gateway(
            "InvalidTimestamp",
            "The X-Date of the request is malformed or too far from the time of the server.",
        );
        match bad {
            BadDate::Unreadable => refusal.because(format!("X-Date {date:?}")),
            BadDate::TooFar(_) => refusal,
        }
    })?;
    let scope = &authorization.credential.scope;
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
    let body_hash = signature::sha256(&received.body);
    let canonical = sign::canonical_request(received, &authorization.signed_headers, &body_hash);
    let date = received.header("x-date").unwrap_or_default();
    let to_sign = sign::string_to_sign(&canonical, date, &authorization.credential.scope);
    let refusal = Refusal::gateway(
        "SignatureDoesNotMatch",
        "The request signature we calculated does not match the signature you provided. Check your Secret Access Key and signing method.",
    );
    let stated = received.header("x-content-sha256");
    if stated.is_some_and(|stated| stated != body_hash) {
        return Err(refusal.because("x-content-sha256 is not the hash of the body"));
    }
    let fits = |secret: &str| {
        sign::signature(secret, &authorization.credential.scope, &to_sign)
            == authorization.signature
    };
    match key.signer(fits) {
        Signer::Owner => Ok(()),
        Signer::FormerOwner => Err(refusal),
        Signer::Nobody => Err(refusal.because("the signature is wrong")),
    }
}

fn check_token(received: &Received, key: &Key) -> Result<(), Refusal> {
    match key.judge_token(received.header("x-security-token"), received.at) {
        TokenVerdict::Accepted => Ok(()),
        _ => Err(bad_token()),
    }
}
