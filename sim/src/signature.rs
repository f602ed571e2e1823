//! What the vendors' signatures have in common, from the server's side: the header in which they
//! come, the text that is hashed, and the two functions that it goes through. Pure; names, order and
//! words are a face's.

use chrono::{DateTime, NaiveDateTime, TimeDelta, Utc};
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

use crate::exchange::Received;

/// The parts of an `Authorization` header.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Authorization<C> {
    /// Who signs, as the vendor puts it.
    pub(crate) credential: C,
    pub(crate) signed_headers: Vec<String>,
    pub(crate) signature: String,
}

impl<C> Authorization<C> {
    /// Reads `{algorithm} {name}=…,SignedHeaders=a;b,Signature=…`, with or without blanks after the
    /// commas; `credential` understands what stands behind `name`.
    pub(crate) fn parse(
        header: &str,
        algorithm: &str,
        name: &str,
        credential: impl FnOnce(&str) -> Option<C>,
    ) -> Option<Self> {
        let parts = header.strip_prefix(algorithm)?.strip_prefix(' ')?;
        let part = |name: &str| {
            parts
                .split(',')
                .find_map(|part| part.trim().strip_prefix(name)?.strip_prefix('='))
        };
        Some(Self {
            credential: credential(part(name)?)?,
            signed_headers: part("SignedHeaders")?
                .split(';')
                .map(str::to_owned)
                .collect(),
            signature: part("Signature")?.to_owned(),
        })
    }

    /// Whether the signature covers this header.
    pub(crate) fn signs(&self, name: &str) -> bool {
        self.signed_headers.iter().any(|signed| signed == name)
    }
}

/// The request in the form that is hashed, with this path and this query: headers as listed in
/// `signed_headers`, whichever they are, because clients differ in that.
pub(crate) fn canonical_request(
    received: &Received,
    path: &str,
    query: &str,
    signed_headers: &[String],
    body_hash: &str,
) -> String {
    let mut headers = String::new();
    for name in signed_headers {
        headers.extend([name, ":", received.header(name).unwrap_or_default(), "\n"]);
    }
    let names = signed_headers.join(";");
    format!(
        "{}\n{path}\n{query}\n{headers}\n{names}\n{body_hash}",
        received.method
    )
}

/// Lower-case hexadecimal SHA-256.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

/// HMAC-SHA256.
pub(crate) fn mac(key: &[u8], message: &str) -> Vec<u8> {
    #[expect(clippy::expect_used, reason = "HMAC takes keys of every length")]
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("a key of any length");
    mac.update(message.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

/// The signature that the owner of `secret` would have sent, where the secret itself is the key.
pub(crate) fn signature(secret: &str, string_to_sign: &str) -> String {
    hex::encode(mac(secret.as_bytes(), string_to_sign))
}

/// Why the date of a signature is not good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BadDate {
    /// It is none, which is the client's mistake.
    Unreadable,
    /// This one is too far from now. A wrong clock is a state of the client's machine, which a test
    /// may want; so it breaks no rule.
    TooFar(DateTime<Utc>),
}

/// Whether a signature of this date is good now.
pub(crate) fn check_date(date: &str, format: &str, now: DateTime<Utc>) -> Result<(), BadDate> {
    /// How far the client's clock may be off.
    const PERMITTED_SKEW: TimeDelta = TimeDelta::minutes(15);
    let signed = NaiveDateTime::parse_from_str(date, format).map_err(|_| BadDate::Unreadable)?;
    let signed = signed.and_utc();
    if (now - signed).abs() > PERMITTED_SKEW {
        return Err(BadDate::TooFar(signed));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_is_good_for_a_quarter_of_an_hour_on_both_sides() {
        let check = |date: &str, expected: Result<(), BadDate>| {
            let found = check_date(date, "%Y%m%dT%H%M%SZ", DateTime::UNIX_EPOCH);
            assert_eq!(found, expected, "{date}");
        };
        let too_far = |minutes: i64| {
            let signed = DateTime::UNIX_EPOCH + TimeDelta::minutes(minutes);
            Err(BadDate::TooFar(signed))
        };
        check("19700101T001500Z", Ok(()));
        check("19691231T234500Z", Ok(()));
        check("19700101T001600Z", too_far(16));
        check("19691231T234400Z", too_far(-16));
        check("1970-01-01", Err(BadDate::Unreadable));
    }
}
