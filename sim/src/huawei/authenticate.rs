//! Who sends a request: the gateway's checks before any operation, in the order in which it can
//! make them.

use chrono::{DateTime, Utc};

use super::Call;
use super::refusal::{Refusal, unauthenticated};
use super::sign::{self, Authorization, Plus};
use crate::exchange::Received;
use crate::signature::{self, BadDate};
use crate::state::State;
use crate::world::{Key, TokenVerdict, Vendor};

/// Headers that say for whom a request is, which nobody on the way may change.
const TO_BE_SIGNED: [&str; 3] = ["x-domain-id", "x-project-id", "x-security-token"];

/// Answers the account that the request comes from.
pub(super) fn authenticate(
    state: &mut State,
    received: &Received,
    call: &mut Call,
) -> Result<String, Refusal> {
    let authorization = well_formed(received, call)?;
    check_date(received)?;
    let id = authorization.credential.as_str();
    let unknown = || unauthenticated(format!("Get secretKey failed,ak:{id},err:ak not exist"));
    let key = state.world.key(Vendor::Huawei, id).ok_or_else(unknown)?;
    // No page says what a disabled key is answered; to the gateway it is gone. A temporary key is
    // not found without its token, because the token carries it.
    let tokenless = key.token.is_some() && received.header("x-security-token").is_none();
    if !key.active || tokenless {
        return Err(unknown());
    }
    let lock = state.huawei.locks.entry(id.to_owned()).or_default();
    if lock.is_closed(received.at) {
        return Err(unauthenticated(
            "AK access failed to reach the limit,forbidden.",
        ));
    }
    if let Err(refusal) = check_signature(received, &authorization, key) {
        lock.fail(received.at);
        return Err(refusal);
    }
    state.huawei.locks.remove(id);
    call.signature_valid = true;
    check_token(received, key)?;
    Ok(key.account.clone())
}

/// The signature is there, and covers what it must.
fn well_formed(received: &Received, call: &mut Call) -> Result<Authorization, Refusal> {
    let Some(header) = received.header("authorization") else {
        return Err(
            unauthenticated("x-auth-token not found").because("header authorization is missing")
        );
    };
    let authorization = sign::authorization(header).ok_or_else(|| {
        unauthenticated("Authorization format incorrect")
            .because(format!("Authorization is not {}", sign::ALGORITHM))
    })?;
    if !authorization.signs("x-sdk-date") {
        return Err(unauthenticated("verify aksk signature fail")
            .because("header x-sdk-date is not signed"));
    }
    if !authorization.signed_headers.is_sorted() {
        return Err(
            unauthenticated("verify aksk signature fail").because("SignedHeaders are not sorted")
        );
    }
    for name in TO_BE_SIGNED {
        if received.header(name).is_some() && !authorization.signs(name) {
            call.breach(format!("header {name} is not signed"));
        }
    }
    Ok(authorization)
}

fn check_date(received: &Received) -> Result<(), Refusal> {
    let sent = received.header("x-sdk-date").unwrap_or_default();
    signature::check_date(sent, "%Y%m%dT%H%M%SZ", received.at).map_err(|bad| match bad {
        BadDate::Unreadable => {
            unauthenticated("signature expired").because(format!("x-sdk-date {sent:?}"))
        }
        // As nothing was verified it does not lock the key either.
        BadDate::TooFar(signed) => {
            let spell = |time: DateTime<Utc>| time.format("%Y-%m-%dT%H:%M:%SZ");
            unauthenticated(format!(
                "signature expired, signature time:{}, server time:{}",
                spell(signed),
                spell(received.at)
            ))
        }
    })
}

fn check_signature(
    received: &Received,
    authorization: &Authorization,
    key: &Key,
) -> Result<(), Refusal> {
    let path = sign::canonical_path(&received.path);
    let date = received.header("x-sdk-date").unwrap_or_default();
    let canonical = |path: &str, query: &str| {
        sign::canonical_request(received, &authorization.signed_headers, path, query)
    };
    let fits = |path: &str, query: &str| {
        let to_sign = sign::string_to_sign(date, &canonical(path, query));
        signature::signature(&key.secret, &to_sign) == authorization.signature
    };
    // Whether the gateway takes a bare plus for a blank before it verifies is not known. Both are
    // accepted here, so that such a request gets as far as the service, which does.
    let readings =
        [Plus::Plus, Plus::Blank].map(|plus| sign::canonical_query(&received.query, plus));
    if readings.iter().any(|query| fits(&path, query)) {
        return Ok(());
    }
    // Like the real one, the message repeats what the server signed, the session token among it: an
    // exporter must not log it.
    let echo = canonical(&path, &readings[0]).replace('\n', "|");
    let refusal = unauthenticated(format!(
        "verify aksk signature fail, canonicalRequest:{echo}"
    ));
    // A secret that nobody knows looks like any other mistake; but these can be told from it.
    let unslashed = path.trim_end_matches('/');
    if readings.iter().any(|query| fits(unslashed, query)) {
        return Err(refusal.because("the path was signed without the slash at its end"));
    }
    if fits(&path, &received.query) {
        return Err(
            refusal.because("the query was signed as it was sent, instead of sorted and encoded")
        );
    }
    Err(refusal)
}

fn check_token(received: &Received, key: &Key) -> Result<(), Refusal> {
    match key.judge_token(received.header("x-security-token"), received.at) {
        TokenVerdict::Accepted => Ok(()),
        _ => Err(unauthenticated("decrypt token fail")),
    }
}
