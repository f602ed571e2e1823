//! `SDK-HMAC-SHA256`, as Huawei's documentation and its Python SDK do it. Pure: the time is passed in.
//!
//! The key signs directly; nothing is derived from it. The Python SDK signs every header field, but a proxy on the way
//! may rewrite some, and the documentation asks for `x-sdk-date` alone: the caller says which are signed beside it.

use chrono::{DateTime, Utc};
use percent_encoding::percent_decode_str;

use crate::provider::canonical::{self, encode, hmac_sha256, sha256_hex};
use crate::provider::credentials::Credential;

/// What is to be signed.
pub(super) struct Request<'a> {
    /// `GET` or `POST`.
    pub method: &'a str,
    /// The path as it is sent.
    pub path: &'a str,
    /// The query as [`canonical::query`] made it; it is sent as it is.
    pub query: &'a str,
    /// The fields to sign beside the date and the token, in lower case: `host` as it is sent, `x-project-id`.
    pub headers: &'a [(&'static str, &'a str)],
    /// The body as it is sent.
    pub body: &'a str,
    /// The present; 15 minutes of difference are tolerated.
    pub date: DateTime<Utc>,
}

/// The header fields to send, the signature last: those of the request, and those that make it authentic. `host` is left
/// to the HTTP client, which writes it from the URL.
pub(super) fn sign(request: &Request<'_>, credential: &Credential) -> Vec<(&'static str, String)> {
    let date = request.date.format("%Y%m%dT%H%M%SZ").to_string();
    let mut headers: Vec<_> = request
        .headers
        .iter()
        .map(|(name, value)| (*name, (*value).to_owned()))
        .collect();
    headers.push(("x-sdk-date", date.clone()));
    if let Some(token) = &credential.security_token {
        headers.push(("x-security-token", token.expose().to_owned()));
    }
    let (_, signed_headers) = canonical::headers(&headers);
    let hashed_request = sha256_hex(canonical_request(request, &headers).as_bytes());
    let signature = hex::encode(hmac_sha256(
        credential.access_key_secret.expose().as_bytes(),
        &format!("SDK-HMAC-SHA256\n{date}\n{hashed_request}"),
    ));
    headers.retain(|(name, _)| *name != "host");
    headers.push((
        "authorization",
        format!(
            "SDK-HMAC-SHA256 Access={}, SignedHeaders={signed_headers}, Signature={signature}",
            credential.access_key_id.expose()
        ),
    ));
    headers
}

fn canonical_request(request: &Request<'_>, headers: &[(&'static str, String)]) -> String {
    let (lines, names) = canonical::headers(headers);
    format!(
        "{}\n{}\n{}\n{lines}\n{names}\n{}",
        request.method,
        canonical_path(request.path),
        request.query,
        sha256_hex(request.body.as_bytes())
    )
}

/// Decoded as a whole, as the vendor does it, then each segment encoded anew; and a slash at the end, which the request
/// itself is sent without.
fn canonical_path(path: &str) -> String {
    let mut canonical = String::new();
    let decoded = percent_decode_str(path).decode_utf8_lossy();
    for segment in decoded.trim_matches('/').split('/') {
        canonical.push('/');
        canonical.extend(encode(segment));
    }
    if !canonical.ends_with('/') {
        canonical.push('/');
    }
    canonical
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Secret;

    const EMPTY_BODY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    const PROJECT: &str = "0483b6b16e954cb88930a360d2c4e663";

    fn credential(id: &str, secret: &str, token: Option<&str>) -> Credential {
        Credential {
            access_key_id: Secret::new(id.to_owned()),
            access_key_secret: Secret::new(secret.to_owned()),
            security_token: token.map(|token| Secret::new(token.to_owned())),
        }
    }

    fn golden(token: Option<&str>) -> Credential {
        let secret = "hwSkExampleSecretKey0000000000000000000001";
        credential("HWAKEXAMPLE000000001", secret, token)
    }

    fn get<'a>(
        path: &'a str,
        query: &'a str,
        headers: &'a [(&'static str, &'a str)],
        date: &str,
    ) -> Request<'a> {
        Request {
            method: "GET",
            path,
            query,
            headers,
            body: "",
            date: date.parse().unwrap(),
        }
    }

    fn check(request: &Request<'_>, credential: &Credential, names: &str, signature: &str) {
        let headers = sign(request, credential);
        let (name, authorization) = headers.last().unwrap();
        assert_eq!(*name, "authorization");
        let id = credential.access_key_id.expose();
        assert_eq!(
            authorization,
            &format!("SDK-HMAC-SHA256 Access={id}, SignedHeaders={names}, Signature={signature}")
        );
        assert!(headers.iter().all(|(name, _)| *name != "host"));
    }

    const NOON: &str = "2024-06-07T02:15:00Z";

    #[test]
    fn a_listing_is_signed_as_the_python_sdk_signs_it() {
        let query = canonical::query(&[
            (
                "instance_id",
                "a48e43ff268f4c0e879652d65e63d0fbin01".to_owned(),
            ),
            ("backup_type", "auto".to_owned()),
            ("offset", "0".to_owned()),
            ("limit", "100".to_owned()),
            ("begin_time", "2018-08-06T10:41:14+0800".to_owned()),
            ("end_time", "2018-08-16T10:41:14+0800".to_owned()),
        ]);
        let path = format!("/v3/{PROJECT}/offsite-backups");
        let headers = [
            ("host", "rds.cn-east-3.myhuaweicloud.com"),
            ("content-type", "application/json"),
            ("x-project-id", PROJECT),
        ];
        let request = get(&path, &query, &headers, NOON);
        check(
            &request,
            &golden(None),
            "content-type;host;x-project-id;x-sdk-date",
            "2a3b5f7095f32daf609cca278d5c309b8a74277cc08938e4d9f579831970df9b",
        );
        let mut signed: Vec<_> = headers.map(|(name, value)| (name, value.to_owned())).into();
        signed.push(("x-sdk-date", "20240607T021500Z".to_owned()));
        let canonical = canonical_request(&request, &signed);
        assert_eq!(
            canonical,
            format!(
                "GET\n/v3/{PROJECT}/offsite-backups/\n\
                 backup_type=auto&begin_time=2018-08-06T10%3A41%3A14%2B0800&\
                 end_time=2018-08-16T10%3A41%3A14%2B0800&\
                 instance_id=a48e43ff268f4c0e879652d65e63d0fbin01&limit=100&offset=0\n\
                 content-type:application/json\nhost:rds.cn-east-3.myhuaweicloud.com\n\
                 x-project-id:{PROJECT}\nx-sdk-date:20240607T021500Z\n\n\
                 content-type;host;x-project-id;x-sdk-date\n{EMPTY_BODY}"
            )
        );
        assert_eq!(
            sha256_hex(canonical.as_bytes()),
            "2705f5da2fcef701df434b4856ba9babc96e032f547528fe1383bd37ce5d801d"
        );
    }

    #[test]
    fn a_token_and_awkward_characters_are_signed_as_the_python_sdk_signs_them() {
        check(
            &get(
                "/v3/backups/offsite-backup-instance",
                "limit=100&offset=100",
                &[
                    ("host", "rds.eu-west-101.myhuaweicloud.eu"),
                    ("x-project-id", PROJECT),
                ],
                NOON,
            ),
            &golden(Some("hwTempTokenExample==")),
            "host;x-project-id;x-sdk-date;x-security-token",
            "9afc6adafe8817c992445215ffe0944ea27640bc5e5f83925251ef0eada6aa91",
        );
        check(
            &get(
                "/v3/projects",
                "name=cn-north-4",
                &[("host", "iam.cn-north-4.myhuaweicloud.com")],
                NOON,
            ),
            &golden(None),
            "host;x-sdk-date",
            "f631fcd56b4200f1b1f71f83ddc8135da2bc630f4616dec7b1475a7a6ce06277",
        );
        let query = canonical::query(&[
            ("name", "*a b~c_d-e.f/é".to_owned()),
            ("tags", "k=v,k2=v2".to_owned()),
            ("offset", "10".to_owned()),
            ("empty", String::new()),
        ]);
        assert_eq!(
            query,
            "empty=&name=%2Aa%20b~c_d-e.f%2F%C3%A9&offset=10&tags=k%3Dv%2Ck2%3Dv2"
        );
        check(
            &get(
                "/v3/p1/instances",
                &query,
                &[
                    ("host", "rds.cn-north-4.myhuaweicloud.com"),
                    ("x-project-id", "p1"),
                ],
                NOON,
            ),
            &golden(None),
            "host;x-project-id;x-sdk-date",
            "dfe6fba23204e20f88faa60aea6664c4615ac3aa719cba607c79fd6a1e264ebd",
        );
    }

    #[test]
    fn the_examples_of_the_go_sdk_and_of_the_signing_guide_are_signed_alike() {
        check(
            &get("/path", "limit=1", &[], "2006-01-02T15:04:05Z"),
            &credential("AccessKey", "SecretKey", None),
            "x-sdk-date",
            "5a2ce64c865e0e6046321c6f3d5a77ba8413eeaf355c3166c03d58d02ac79624",
        );
        check(
            &get(
                "/v1/77b6a44cba5143ab91d13ab9a8ff44fd/vpcs",
                "limit=2&marker=13551d6b-755d-4757-b956-536f674975c0",
                &[
                    ("host", "service.region.example.com"),
                    ("content-type", "application/json"),
                ],
                "2019-11-15T03:36:55Z",
            ),
            &credential(
                "QTWAOYTTINDUT2QVKYUC",
                "MFyfvK41ba2giqM7Uio6PznpdUKGpownRZlmVmHc",
                None,
            ),
            "content-type;host;x-sdk-date",
            "7be6668032f70418fcc22abc52071e57aff61b84a1d2381bb430d6870f4f6ebe",
        );
    }

    #[test]
    fn a_path_is_encoded_once_and_ends_with_a_slash() {
        for (path, expected) in [
            ("", "/"),
            ("/", "/"),
            ("/v3/p1/instances", "/v3/p1/instances/"),
            ("/v3/p1/instances/", "/v3/p1/instances/"),
            ("/a b/%C3%A9/c%2Fd", "/a%20b/%C3%A9/c/d/"),
        ] {
            assert_eq!(canonical_path(path), expected, "{path}");
        }
    }
}
