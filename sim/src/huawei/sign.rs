//! `SDK-HMAC-SHA256` from the server's side: rebuilds from the received bytes what the client must
//! have signed. Pure; who owns the key and whether the date is acceptable is decided in
//! `authenticate`.

use percent_encoding::percent_decode_str;

use crate::exchange::Received;
use crate::query::{self, encode};
use crate::signature::{self, sha256};

/// Name of the only signature method that this face accepts.
pub(super) const ALGORITHM: &str = "SDK-HMAC-SHA256";

/// With the key's id.
pub(super) type Authorization = signature::Authorization<String>;

/// Reads `SDK-HMAC-SHA256 Access=…, SignedHeaders=a;b, Signature=…`.
pub(super) fn authorization(header: &str) -> Option<Authorization> {
    Authorization::parse(header, ALGORITHM, "Access", |id| Some(id.to_owned()))
}

/// What a bare plus in a query stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Plus {
    /// A blank, as in a form: so the services read it.
    Blank,
    /// Itself.
    Plus,
}

/// Decoded pairs of a query.
pub(super) fn pairs(query: &str, plus: Plus) -> Vec<(String, String)> {
    match plus {
        Plus::Blank => query::pairs(query),
        Plus::Plus => query::pairs(&query.replace('+', "%2B")),
    }
}

/// The path with each segment encoded anew, and with the slash at its end that is signed but not
/// sent.
pub(super) fn canonical_path(path: &str) -> String {
    let decoded = percent_decode_str(path).decode_utf8_lossy();
    let segments: Vec<_> = decoded.split('/').map(encode).collect();
    let mut canonical = segments.join("/");
    if !canonical.ends_with('/') {
        canonical.push('/');
    }
    canonical
}

/// The query encoded anew, in the order of the decoded pairs.
pub(super) fn canonical_query(query: &str, plus: Plus) -> String {
    let mut pairs = pairs(query, plus);
    pairs.sort();
    let pairs: Vec<_> = pairs
        .iter()
        .map(|(key, value)| format!("{}={}", encode(key), encode(value)))
        .collect();
    pairs.join("&")
}

/// The request in the form that is hashed, with this path and this query.
pub(super) fn canonical_request(
    received: &Received,
    signed_headers: &[String],
    path: &str,
    query: &str,
) -> String {
    let hash = match received.header("x-sdk-content-sha256") {
        // The vendor's client states `UNSIGNED-PAYLOAD` here for bodies that are no JSON, and
        // ignores its own header where there is no body.
        Some(stated) if !received.body.is_empty() => stated.to_owned(),
        _ => sha256(&received.body),
    };
    signature::canonical_request(received, path, query, signed_headers, &hash)
}

/// What the secret is applied to.
pub(super) fn string_to_sign(date: &str, canonical_request: &str) -> String {
    format!(
        "{ALGORITHM}\n{date}\n{}",
        sha256(canonical_request.as_bytes())
    )
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use chrono::DateTime;

    use super::*;
    use crate::signature::signature;

    const SECRET: &str = "hwSkExampleSecretKey0000000000000000000001";
    const DATE: &str = "20240607T021500Z";
    const PROJECT: &str = "0483b6b16e954cb88930a360d2c4e663";

    /// What was signed, and the hash of it if it is known.
    struct Vector<'a> {
        target: &'a str,
        date: &'a str,
        /// Besides the date.
        headers: &'a [(&'a str, &'a str)],
        secret: &'a str,
        hash: Option<&'a str>,
        signature: &'a str,
    }

    fn check(vector: &Vector<'_>) {
        let (path, query) = vector.target.split_once('?').unwrap();
        let mut headers = vector.headers.to_vec();
        headers.push(("x-sdk-date", vector.date));
        headers.sort_unstable();
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let received = Received {
            at: DateTime::UNIX_EPOCH,
            world: DateTime::UNIX_EPOCH,
            method: "GET".to_owned(),
            path: path.to_owned(),
            query: query.to_owned(),
            headers: headers.iter().map(owned).collect(),
            body: Bytes::new(),
        };
        let signed: Vec<_> = headers.iter().map(|(name, _)| (*name).to_owned()).collect();
        let canonical = canonical_request(
            &received,
            &signed,
            &canonical_path(path),
            &canonical_query(query, Plus::Plus),
        );
        if let Some(hash) = vector.hash {
            assert_eq!(sha256(canonical.as_bytes()), hash, "{canonical}");
        }
        let signature = signature(vector.secret, &string_to_sign(vector.date, &canonical));
        assert_eq!(signature, vector.signature, "{canonical}");
    }

    #[test]
    fn requests_of_the_vendors_client_are_reproduced() {
        // Neither sorted nor encoded as it is signed: the server has to do both.
        let target = format!(
            "/v3/{PROJECT}/offsite-backups?instance_id=a48e43ff268f4c0e879652d65e63d0fbin01&backup_type=auto&offset=0&limit=100&begin_time=2018-08-06T10:41:14%2b0800&end_time=2018-08-16T10%3A41%3A14%2B0800"
        );
        check(&Vector {
            target: &target,
            date: DATE,
            headers: &[
                ("content-type", "application/json"),
                ("host", "rds.cn-east-3.myhuaweicloud.com"),
                ("x-project-id", PROJECT),
            ],
            secret: SECRET,
            hash: Some("2705f5da2fcef701df434b4856ba9babc96e032f547528fe1383bd37ce5d801d"),
            signature: "2a3b5f7095f32daf609cca278d5c309b8a74277cc08938e4d9f579831970df9b",
        });
        check(&Vector {
            target: "/v3/backups/offsite-backup-instance?limit=100&offset=100",
            date: DATE,
            headers: &[
                ("host", "rds.eu-west-101.myhuaweicloud.eu"),
                ("x-project-id", PROJECT),
                ("x-security-token", "hwTempTokenExample=="),
            ],
            secret: SECRET,
            hash: Some("dd8b8fe5b3fd726657acc34aeeff38267bd41ed6c69de71b0976425feeb7e9f2"),
            signature: "9afc6adafe8817c992445215ffe0944ea27640bc5e5f83925251ef0eada6aa91",
        });
        check(&Vector {
            target: "/v3/projects?name=cn-north-4",
            date: DATE,
            headers: &[("host", "iam.cn-north-4.myhuaweicloud.com")],
            secret: SECRET,
            hash: None,
            signature: "f631fcd56b4200f1b1f71f83ddc8135da2bc630f4616dec7b1475a7a6ce06277",
        });
    }

    #[test]
    fn what_has_to_be_encoded_is() {
        let target =
            "/v3/p1/instances?tags=k=v%2Ck2%3dv2&offset=10&name=*a%20b~c_d-e.f/%c3%a9&empty";
        check(&Vector {
            target,
            date: DATE,
            headers: &[
                ("host", "rds.cn-north-4.myhuaweicloud.com"),
                ("x-project-id", "p1"),
            ],
            secret: SECRET,
            hash: None,
            signature: "dfe6fba23204e20f88faa60aea6664c4615ac3aa719cba607c79fd6a1e264ebd",
        });
        let (_, query) = target.split_once('?').unwrap();
        assert_eq!(
            canonical_query(query, Plus::Blank),
            "empty=&name=%2Aa%20b~c_d-e.f%2F%C3%A9&offset=10&tags=k%3Dv%2Ck2%3Dv2"
        );
        assert_eq!(canonical_query("t=1+2", Plus::Blank), "t=1%202");
        assert_eq!(canonical_query("t=1+2", Plus::Plus), "t=1%2B2");
        assert_eq!(canonical_path("/v3/a%2Db c"), "/v3/a-b%20c/");
    }

    #[test]
    fn vectors_of_others_are_reproduced() {
        // From the tests of the vendor's client for Go, which signs no host.
        check(&Vector {
            target: "/path?limit=1",
            date: "20060102T150405Z",
            headers: &[],
            secret: "SecretKey",
            hash: None,
            signature: "5a2ce64c865e0e6046321c6f3d5a77ba8413eeaf355c3166c03d58d02ac79624",
        });
        // From the vendor's guide to signing.
        check(&Vector {
            target: "/v1/77b6a44cba5143ab91d13ab9a8ff44fd/vpcs?limit=2&marker=13551d6b-755d-4757-b956-536f674975c0",
            date: "20191115T033655Z",
            headers: &[
                ("content-type", "application/json"),
                ("host", "service.region.example.com"),
            ],
            secret: "MFyfvK41ba2giqM7Uio6PznpdUKGpownRZlmVmHc",
            hash: None,
            signature: "7be6668032f70418fcc22abc52071e57aff61b84a1d2381bb430d6870f4f6ebe",
        });
    }

    #[test]
    fn an_authorization_header_is_read_or_refused() {
        let read =
            authorization("SDK-HMAC-SHA256 Access=K, SignedHeaders=host;x-sdk-date, Signature=ab")
                .unwrap();
        assert_eq!(read.signed_headers, ["host", "x-sdk-date"]);
        assert_eq!(
            (read.credential.as_str(), read.signature.as_str()),
            ("K", "ab")
        );
        for broken in [
            "",
            "Bearer x",
            "SDK-HMAC-SHA256",
            "SDK-HMAC-SHA256, Access=K, SignedHeaders=host, Signature=ab",
            "SDK-HMAC-SHA256 Access=K, Signature=ab",
        ] {
            assert_eq!(authorization(broken), None, "{broken}");
        }
    }
}
