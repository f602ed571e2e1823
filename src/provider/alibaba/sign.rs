//! `ACS3-HMAC-SHA256`, as Alibaba's documentation and its Go and Node SDKs do it. Pure: time and nonce are passed in.
//!
//! Only `host` and the `x-acs-*` fields are signed. The Python SDK signs every field, but a proxy on the way may rewrite
//! the others.

use crate::config::Secret;
use crate::provider::canonical::{self, hmac_sha256, sha256_hex};
use crate::provider::credentials::Credential;

/// What is to be signed.
pub(super) struct Request<'a> {
    /// `POST` or `GET`.
    pub method: &'a str,
    /// The path as it is sent; `/` but for an endpoint that brings its own.
    pub path: &'a str,
    /// The authority exactly as it is sent, port included.
    pub host: &'a str,
    /// The operation.
    pub action: &'a str,
    /// The version of the API.
    pub version: &'a str,
    /// The query as [`canonical::query`] made it; it is sent as it is.
    pub query: &'a str,
    /// UTC, `2026-01-02T03:04:05Z`.
    pub date: &'a str,
    /// Used once: a second use is refused with `SignatureNonceUsed`.
    pub nonce: &'a str,
}

/// Who signs.
pub(super) struct Signer<'a> {
    pub access_key_id: &'a str,
    pub access_key_secret: &'a str,
    pub security_token: Option<&'a str>,
}

impl<'a> From<&'a Credential> for Signer<'a> {
    fn from(credential: &'a Credential) -> Self {
        Self {
            access_key_id: credential.access_key_id.expose(),
            access_key_secret: credential.access_key_secret.expose(),
            security_token: credential.security_token.as_ref().map(Secret::expose),
        }
    }
}

/// The header fields that make the request authentic, for a request with an empty body.
pub(super) fn sign(request: &Request<'_>, signer: &Signer<'_>) -> Vec<(&'static str, String)> {
    let payload_hash = sha256_hex(b"");
    let mut headers = vec![("host", request.host.to_owned())];
    if let Some(token) = signer.security_token {
        headers.push(("x-acs-accesskey-id", signer.access_key_id.to_owned()));
        headers.push(("x-acs-security-token", token.to_owned()));
    }
    headers.push(("x-acs-action", request.action.to_owned()));
    headers.push(("x-acs-content-sha256", payload_hash.clone()));
    headers.push(("x-acs-date", request.date.to_owned()));
    headers.push(("x-acs-signature-nonce", request.nonce.to_owned()));
    headers.push(("x-acs-version", request.version.to_owned()));

    let (canonical_headers, signed_headers) = canonical::headers(&headers);
    let canonical_request = format!(
        "{}\n{}\n{}\n{canonical_headers}\n{signed_headers}\n{payload_hash}",
        request.method, request.path, request.query
    );
    let string_to_sign = format!(
        "ACS3-HMAC-SHA256\n{}",
        sha256_hex(canonical_request.as_bytes())
    );
    let signature = hex::encode(hmac_sha256(
        signer.access_key_secret.as_bytes(),
        &string_to_sign,
    ));
    headers.push((
        "authorization",
        format!(
            "ACS3-HMAC-SHA256 Credential={},SignedHeaders={signed_headers},Signature={signature}",
            signer.access_key_id
        ),
    ));
    headers
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONCE: &str = "0123456789abcdef0123456789abcdef";

    fn check(request: &Request<'_>, signer: &Signer<'_>, signed_headers: &str, signature: &str) {
        let headers = sign(request, signer);
        let (_, authorization) = headers.last().unwrap();
        assert_eq!(
            authorization,
            &format!(
                "ACS3-HMAC-SHA256 Credential={},SignedHeaders={signed_headers},Signature={signature}",
                signer.access_key_id
            )
        );
    }

    const PLAIN: &str =
        "host;x-acs-action;x-acs-content-sha256;x-acs-date;x-acs-signature-nonce;x-acs-version";

    #[test]
    fn the_example_of_alibabas_documentation_is_signed_alike() {
        let query = canonical::query(&[
            (
                "ImageId",
                "win2019_1809_x64_dtc_zh-cn_40G_alibase_20230811.vhd".to_owned(),
            ),
            ("RegionId", "cn-shanghai".to_owned()),
        ]);
        check(
            &Request {
                method: "POST",
                path: "/",
                host: "ecs.cn-shanghai.aliyuncs.com",
                action: "RunInstances",
                version: "2014-05-26",
                query: &query,
                date: "2023-10-26T10:22:32Z",
                nonce: "3156853299f313e23d1673dc12e1703d",
            },
            &Signer {
                access_key_id: "YourAccessKeyId",
                access_key_secret: "YourAccessKeySecret",
                security_token: None,
            },
            PLAIN,
            "06563a9e1b43f5dfe96b81484da74bceab24a1d853912eee15083a6f0f3283c0",
        );
    }

    #[test]
    fn a_cross_region_listing_is_signed_as_the_python_and_node_sdks_sign_it() {
        let query = canonical::query(&[
            ("DBInstanceId", "rm-uf6wjk5xxxxxxxxxx".to_owned()),
            ("RegionId", "cn-hangzhou".to_owned()),
            ("CrossBackupRegion", "cn-shanghai".to_owned()),
            ("StartTime", "2026-01-01T00:00:00Z".to_owned()),
            ("EndTime", "2026-01-02T00:00:00Z".to_owned()),
            ("PageNumber", "1".to_owned()),
            ("PageSize", "100".to_owned()),
        ]);
        for (method, signature) in [
            (
                "POST",
                "8a456e2b61bf01eb06fce01e5a9e0007b67934f485a792589a5e84a82498822a",
            ),
            (
                "GET",
                "47c062af0e97602ce760aad0c011c562bfa67dbcd3be78d33609f9d4aad4661b",
            ),
        ] {
            check(
                &Request {
                    method,
                    path: "/",
                    host: "rds.aliyuncs.com",
                    action: "DescribeCrossRegionBackups",
                    version: "2014-08-15",
                    query: &query,
                    date: "2026-01-02T03:04:05Z",
                    nonce: NONCE,
                },
                &Signer {
                    access_key_id: "LTAI5tGoldenVector0000001",
                    access_key_secret: "GoldenSecretKeyForTestsOnly0001",
                    security_token: None,
                },
                PLAIN,
                signature,
            );
        }
    }

    #[test]
    fn a_security_token_and_awkward_characters_are_signed_as_the_sdks_sign_them() {
        let query = canonical::query(&[
            ("DBInstanceId", "rm-gw8 *~测试+/=&".to_owned()),
            ("BackupStatus", "Success".to_owned()),
            ("StartTime", "2026-01-01T00:00Z".to_owned()),
            ("EndTime", "2026-01-02T00:00Z".to_owned()),
            ("PageSize", "30".to_owned()),
        ]);
        assert_eq!(
            query,
            "BackupStatus=Success&DBInstanceId=rm-gw8%20%2A~%E6%B5%8B%E8%AF%95%2B%2F%3D%26&\
             EndTime=2026-01-02T00%3A00Z&PageSize=30&StartTime=2026-01-01T00%3A00Z"
        );
        check(
            &Request {
                method: "POST",
                path: "/",
                host: "rds.eu-central-1.aliyuncs.com",
                action: "DescribeBackups",
                version: "2014-08-15",
                query: &query,
                date: "2026-01-02T03:04:05Z",
                nonce: NONCE,
            },
            &Signer {
                access_key_id: "LTAI5tGoldenVector0000001",
                access_key_secret: "GoldenSecretKeyForTestsOnly0001",
                security_token: Some("CAIS+golden/token==~* x"),
            },
            "host;x-acs-accesskey-id;x-acs-action;x-acs-content-sha256;x-acs-date;x-acs-security-token;\
             x-acs-signature-nonce;x-acs-version",
            "94a823b5407baec3a5933673c2bdc37d8aca8213a0e3f6bc62f2dd2437c9a278",
        );
    }
}
