//! Signature version 1.0 of Alibaba's RPC services: HMAC-SHA1 over the query, which holds all there is, the signature
//! included. Pure: time and nonce are passed in.
//!
//! RDS is asked with the newer signature (see `sign`); the credential SDKs still take on roles with this one.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;

use crate::provider::canonical::{self, encode};
use crate::provider::credentials::Credential;

/// What makes one request differ from the next.
pub(super) struct Stamp<'a> {
    /// UTC, `2026-01-02T03:04:05Z`.
    pub date: &'a str,
    /// Used once.
    pub nonce: &'a str,
}

/// The whole query of a request with these parameters, to be sent as it is. The path is always signed as `/`.
pub(super) fn signed_query(
    method: &str,
    parameters: &[(&'static str, String)],
    stamp: &Stamp<'_>,
    by: &Credential,
) -> String {
    let own = |text: &str| text.to_owned();
    let mut all = parameters.to_vec();
    all.extend([
        // Without it the answer is XML.
        ("Format", own("json")),
        ("Timestamp", own(stamp.date)),
        ("SignatureNonce", own(stamp.nonce)),
        ("SignatureMethod", own("HMAC-SHA1")),
        ("SignatureVersion", own("1.0")),
        ("AccessKeyId", own(by.access_key_id.expose())),
    ]);
    all.extend(
        by.security_token
            .as_ref()
            .map(|token| ("SecurityToken", own(token.expose()))),
    );
    let query = canonical::query(&all);
    let signature = signature(method, &query, by.access_key_secret.expose());
    format!("{query}&Signature={}", encode(&signature))
}

fn signature(method: &str, query: &str, secret: &str) -> String {
    let text = format!("{method}&%2F&{}", encode(query));
    // HMAC takes a key of any length, so the error cannot happen; an empty signature would simply be refused.
    Hmac::<Sha1>::new_from_slice(format!("{secret}&").as_bytes()).map_or_else(
        |_| String::new(),
        |mut mac| {
            mac.update(text.as_bytes());
            STANDARD.encode(mac.finalize().into_bytes())
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Secret;

    #[test]
    fn the_vendors_own_client_signs_the_same() {
        // Made with alibabacloud-tea-openapi and its signature algorithm `v2`.
        let parameters = [
            ("Action", "DescribeCrossRegionBackups"),
            ("Version", "2014-08-15"),
            ("DBInstanceId", "rm-uf6wjk5xxxxxxxxxx"),
            ("RegionId", "cn-hangzhou"),
            ("StartTime", "2026-01-01T00:00:00Z"),
            ("EndTime", "2026-01-02T00:00:00Z"),
        ]
        .map(|(name, value)| (name, value.to_owned()));
        let credential = Credential {
            access_key_id: Secret::new("LTAI5tGoldenVector0000001".to_owned()),
            access_key_secret: Secret::new("GoldenSecretKeyForTestsOnly0001".to_owned()),
            security_token: None,
        };
        let stamp = Stamp {
            date: "2026-01-02T03:04:05Z",
            nonce: "0123456789abcdef0123456789abcdef",
        };
        for (method, expected) in [
            ("POST", "MihN3UHufOnNst4a4RNNuTDQQYk%3D"),
            ("GET", "3J5iLYIwO96iMrGcgl%2FEdFWZMZ4%3D"),
        ] {
            let query = signed_query(method, &parameters, &stamp, &credential);
            let (signed, signature) = query.split_once("&Signature=").unwrap();
            assert_eq!(signature, expected, "{method}");
            assert!(signed.starts_with("AccessKeyId=LTAI5t"), "{signed}");
        }
    }

    #[test]
    fn a_token_is_signed_with_the_rest() {
        let credential = Credential {
            access_key_id: Secret::new("LTAI".to_owned()),
            access_key_secret: Secret::new("secret".to_owned()),
            security_token: Some(Secret::new("CAIS/token==".to_owned())),
        };
        let stamp = Stamp {
            date: "2026-01-02T03:04:05Z",
            nonce: "1",
        };
        let query = signed_query("GET", &[], &stamp, &credential);
        assert!(
            query.contains("&SecurityToken=CAIS%2Ftoken%3D%3D&"),
            "{query}"
        );
        assert!(!query.contains("secret"), "{query}");
    }
}
