//! Who sends a request: the checks before any operation, in the order in which a gateway can make
//! them.

use chrono::{DateTime, Utc};

use super::Call;
use super::refusal::{Refusal, token_expired};
use super::sign::{self, Authorization};
use crate::exchange::Received;
use crate::signature::{self, BadDate};
use crate::state::State;
use crate::world::{Key, Signer, TokenVerdict, Vendor};

/// Headers that each request must carry and sign.
const MANDATORY: [&str; 6] = [
    "host",
    "x-acs-action",
    "x-acs-content-sha256",
    "x-acs-date",
    "x-acs-signature-nonce",
    "x-acs-version",
];

/// Answers the account that the request comes from; `version` is that of the API that is asked.
pub(crate) fn authenticate(
    state: &mut State,
    received: &Received,
    call: &mut Call,
    version: &str,
) -> Result<String, Refusal> {
    let authorization = well_formed(received)?;
    check_version(
        received.header("x-acs-version").unwrap_or_default(),
        version,
    )?;
    check_date(
        received.header("x-acs-date").unwrap_or_default(),
        received.at,
    )?;
    let key = active_key(state, &authorization.credential)?;
    check_signature(received, &authorization, key)?;
    call.signature_valid = true;
    check_token(key, received.header("x-acs-security-token"), received.at)?;
    let account = key.account.clone();
    let nonce = received.header("x-acs-signature-nonce").unwrap_or_default();
    spend_nonce(state, &authorization.credential, nonce, received.at)?;
    Ok(account)
}

pub(super) fn check_version(asked: &str, served: &str) -> Result<(), Refusal> {
    if asked == served {
        return Ok(());
    }
    let message = "The specified version does not exist.";
    Err(Refusal::new(400, "NoSuchVersion", message).because(format!("version {asked:?}")))
}

pub(super) fn active_key<'a>(state: &'a State, id: &str) -> Result<&'a Key, Refusal> {
    let Some(key) = state.world.key(Vendor::Alibaba, id) else {
        return Err(Refusal::new(
            404,
            "InvalidAccessKeyId.NotFound",
            "Specified access key is not found.",
        ));
    };
    if !key.active {
        return Err(Refusal::new(
            400,
            "InvalidAccessKeyId.Inactive",
            "Specified access key is disabled.",
        ));
    }
    Ok(key)
}

pub(super) fn spend_nonce(
    state: &mut State,
    key: &str,
    nonce: &str,
    now: DateTime<Utc>,
) -> Result<(), Refusal> {
    if state.nonces.spend(key, nonce, now) {
        return Ok(());
    }
    let message = "Specified signature nonce was used already.";
    Err(Refusal::new(400, "SignatureNonceUsed", message).because(format!("nonce {nonce:?}")))
}

/// The signature is there, and covers what it must.
fn well_formed(received: &Received) -> Result<Authorization, Refusal> {
    let incomplete = |rule: String| {
        Refusal::new(
            400,
            "IncompleteSignature",
            "The request signature does not conform to Aliyun standards.",
        )
        .because(rule)
    };
    for name in MANDATORY {
        if received.header(name).is_none_or(str::is_empty) {
            return Err(incomplete(format!("header {name} is missing")));
        }
    }
    let header = received.header("authorization").unwrap_or_default();
    let authorization = sign::authorization(header).ok_or_else(|| {
        incomplete(format!(
            "Authorization is missing or not {}",
            sign::ALGORITHM
        ))
    })?;
    if !authorization.signed_headers.is_sorted() {
        return Err(incomplete("SignedHeaders are not sorted".to_owned()));
    }
    // The pages want the host, the content type of a body, and every header of the vendor's own in
    // the signature.
    let mut names = received.headers.iter().map(|(name, _)| name.as_str());
    let must_be_signed = |name: &str| {
        name == "host"
            || name.starts_with("x-acs-")
            || (name == "content-type" && !received.body.is_empty())
    };
    if let Some(name) = names.find(|name| must_be_signed(name) && !authorization.signs(name)) {
        return Err(incomplete(format!("header {name} is not signed")));
    }
    let claimed = received.header("x-acs-accesskey-id");
    if claimed.is_some_and(|claimed| claimed != authorization.credential) {
        return Err(incomplete(
            "x-acs-accesskey-id differs from Credential".to_owned(),
        ));
    }
    Ok(authorization)
}

pub(super) fn check_date(date: &str, now: DateTime<Utc>) -> Result<(), Refusal> {
    let refuse = |code: &str, message: &str| Refusal::new(400, code, message);
    signature::check_date(date, "%Y-%m-%dT%H:%M:%SZ", now).map_err(|bad| match bad {
        BadDate::Unreadable => {
            let message = "Specified time stamp or date value is not well formatted.";
            refuse("InvalidTimeStamp.Format", message).because(format!("date {date:?}"))
        }
        BadDate::TooFar(_) => {
            let message = "Specified time stamp or date value is expired.";
            refuse("InvalidTimeStamp.Expired", message)
        }
    })
}

fn check_signature(
    received: &Received,
    authorization: &Authorization,
    key: &Key,
) -> Result<(), Refusal> {
    let payload_hash = signature::sha256(&received.body);
    let canonical = sign::canonical_request(received, &authorization.signed_headers, &payload_hash);
    let to_sign = sign::string_to_sign(&canonical);
    // Like the real one, the message repeats what the server signed, the session token among it: an
    // exporter must not log it.
    let message = format!(
        "Specified signature is not matched with our calculation. server string to sign is:{to_sign}, server canonical request is:{canonical}"
    );
    let refusal = Refusal::new(400, "SignatureDoesNotMatch", message);
    if received.header("x-acs-content-sha256") != Some(payload_hash.as_str()) {
        return Err(refusal.because("x-acs-content-sha256 is not the hash of the body"));
    }
    let fits = |secret: &str| signature::signature(secret, &to_sign) == authorization.signature;
    match key.signer(fits) {
        Signer::Owner => Ok(()),
        Signer::FormerOwner => Err(refusal),
        Signer::Nobody => Err(refusal.because("the signature is wrong")),
    }
}

pub(super) fn check_token(
    key: &Key,
    sent: Option<&str>,
    now: DateTime<Utc>,
) -> Result<(), Refusal> {
    let refuse = |code: &str, message: &str| Err(Refusal::new(400, code, message));
    match key.judge_token(sent, now) {
        TokenVerdict::Accepted => Ok(()),
        TokenVerdict::Missing => {
            let message = "SecurityToken is mandatory for this action.";
            refuse("MissingSecurityToken", message)
        }
        TokenVerdict::Expired => Err(token_expired()),
        TokenVerdict::Foreign => {
            let code = "InvalidSecurityToken.MismatchWithAccessKey";
            refuse(code, "Specified SecurityToken mismatch with the AccessKey.")
        }
    }
}
