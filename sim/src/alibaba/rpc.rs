//! Signatures of the older style, `HMAC-SHA1` over the parameters, which clients still use to get
//! temporary keys.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;

use super::Call;
use super::authenticate::{active_key, check_date, check_token, check_version, spend_nonce};
use super::parameters::{Parameters, mandatory, optional};
use super::refusal::Refusal;
use crate::exchange::Received;
use crate::query;
use crate::state::State;
use crate::world::Signer;

/// Answers the account that the request comes from; `version` is that of the API that is asked.
pub(super) fn authenticate(
    state: &mut State,
    received: &Received,
    call: &mut Call,
    version: &str,
) -> Result<String, Refusal> {
    let parameters = &call.parameters;
    check_version(mandatory(parameters, "Version")?, version)?;
    let id = mandatory(parameters, "AccessKeyId")?;
    let signed = mandatory(parameters, "Signature")?;
    let nonce = mandatory(parameters, "SignatureNonce")?;
    for (name, expected) in [
        ("SignatureMethod", "HMAC-SHA1"),
        ("SignatureVersion", "1.0"),
    ] {
        let value = mandatory(parameters, name)?;
        if value != expected {
            return Err(Refusal::new(
                400,
                "IncompleteSignature",
                "The request signature does not conform to Aliyun standards.",
            )
            .because(format!("{name} is {value:?}")));
        }
    }
    check_date(mandatory(parameters, "Timestamp")?, received.at)?;
    let key = active_key(state, id)?;
    let to_sign = string_to_sign(&received.method, parameters);
    let refusal = Refusal::new(
        400,
        "SignatureDoesNotMatch",
        format!(
            "Specified signature is not matched with our calculation. server string to sign is:{to_sign}"
        ),
    );
    let fits = |secret: &str| signature(secret, &to_sign) == signed;
    match key.signer(fits) {
        Signer::Owner => {}
        Signer::FormerOwner => return Err(refusal),
        Signer::Nobody => return Err(refusal.because("the signature is wrong")),
    }
    call.signature_valid = true;
    check_token(key, optional(parameters, "SecurityToken"), received.at)?;
    let account = key.account.clone();
    spend_nonce(state, id, nonce, received.at)?;
    Ok(account)
}

/// Every parameter but the signature, encoded, sorted, and encoded once more.
fn string_to_sign(method: &str, parameters: &Parameters) -> String {
    let pairs: Vec<_> = parameters
        .iter()
        .filter(|(name, _)| *name != "Signature")
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    format!("{method}&%2F&{}", query::encode(&query::canonical(&pairs)))
}

/// The signature that the owner of `secret` would have sent.
fn signature(secret: &str, string_to_sign: &str) -> String {
    #[expect(clippy::expect_used, reason = "HMAC takes keys of every length")]
    let mut mac =
        Hmac::<Sha1>::new_from_slice(format!("{secret}&").as_bytes()).expect("a key of any length");
    mac.update(string_to_sign.as_bytes());
    STANDARD.encode(mac.finalize().into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_vectors_of_the_vendors_client_are_reproduced() {
        let parameters: Parameters = [
            ("AccessKeyId", "LTAI5tGoldenVector0000001"),
            ("Action", "DescribeCrossRegionBackups"),
            ("DBInstanceId", "rm-uf6wjk5xxxxxxxxxx"),
            ("EndTime", "2026-01-02T00:00:00Z"),
            ("Format", "json"),
            ("RegionId", "cn-hangzhou"),
            ("Signature", "is not signed"),
            ("SignatureMethod", "HMAC-SHA1"),
            ("SignatureNonce", "0123456789abcdef0123456789abcdef"),
            ("SignatureVersion", "1.0"),
            ("StartTime", "2026-01-01T00:00:00Z"),
            ("Timestamp", "2026-01-02T03:04:05Z"),
            ("Version", "2014-08-15"),
        ]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
        let check = |method: &str, expected: &str| {
            let to_sign = string_to_sign(method, &parameters);
            assert_eq!(
                signature("GoldenSecretKeyForTestsOnly0001", &to_sign),
                expected,
                "{to_sign}"
            );
        };
        check("POST", "MihN3UHufOnNst4a4RNNuTDQQYk=");
        check("GET", "3J5iLYIwO96iMrGcgl/EdFWZMZ4=");
        let start = "POST&%2F&AccessKeyId%3DLTAI5tGoldenVector0000001%26Action%3DDescribeCrossRegionBackups%26DBInstanceId%3Drm-uf6wjk5xxxxxxxxxx%26EndTime%3D2026-01-02T00%253A00%253A00Z%26Format%3Djson";
        assert!(string_to_sign("POST", &parameters).starts_with(start));
    }
}
