//! `HMAC-SHA256`, signature version 4, as Volcengine's documentation and its SDKs do it. Pure: the time is passed in.
//!
//! The region that is asked is the one in the scope of the signature: neither URL nor body names it.

use chrono::{DateTime, Utc};

use crate::provider::canonical::{self, hmac_sha256, sha256_hex};
use crate::provider::credentials::Credential;

/// What is to be signed.
pub(super) struct Request<'a> {
    /// `POST` or `GET`.
    pub method: &'a str,
    /// The path as it is sent: `/`, unless the endpoint brings one.
    pub path: &'a str,
    /// The authority exactly as it is sent: without a default port, with any other.
    pub host: &'a str,
    /// The query as [`canonical::query`] made it; it is sent as it is.
    pub query: &'a str,
    /// The type of the body; sent with an empty one too.
    pub content_type: &'a str,
    /// The body as it is sent.
    pub body: &'a str,
    /// The region of the scope.
    pub region: &'a str,
    /// The service of the scope, as the SDKs write it: `redis`, `sts`.
    pub service: &'a str,
    /// The present; 15 minutes of difference are tolerated.
    pub date: DateTime<Utc>,
}

/// The header fields to send, the signature last. `host` is left to the HTTP client, which writes it from the URL.
pub(super) fn sign(request: &Request<'_>, credential: &Credential) -> Vec<(&'static str, String)> {
    let mut headers = headers(request, credential);
    let (_, signed_headers) = canonical::headers(&headers);
    let scope = Scope::of(request);
    let signature = hex::encode(hmac_sha256(
        &scope.key(credential.access_key_secret.expose()),
        &format!(
            "HMAC-SHA256\n{}\n{}\n{}",
            date_and_time(request),
            scope.text(),
            sha256_hex(canonical_request(request, &headers).as_bytes())
        ),
    ));
    headers.retain(|(name, _)| *name != "host");
    headers.push((
        "authorization",
        format!(
            "HMAC-SHA256 Credential={}/{}, SignedHeaders={signed_headers}, Signature={signature}",
            credential.access_key_id.expose(),
            scope.text()
        ),
    ));
    headers
}

/// The fields that are signed.
fn headers(request: &Request<'_>, credential: &Credential) -> Vec<(&'static str, String)> {
    let mut headers = vec![
        ("content-type", request.content_type.to_owned()),
        ("host", request.host.to_owned()),
        ("x-content-sha256", sha256_hex(request.body.as_bytes())),
        ("x-date", date_and_time(request)),
    ];
    if let Some(token) = &credential.security_token {
        headers.push(("x-security-token", token.expose().to_owned()));
    }
    headers
}

fn date_and_time(request: &Request<'_>) -> String {
    request.date.format("%Y%m%dT%H%M%SZ").to_string()
}

fn canonical_request(request: &Request<'_>, headers: &[(&'static str, String)]) -> String {
    let (lines, names) = canonical::headers(headers);
    format!(
        "{}\n{}\n{}\n{lines}\n{names}\n{}",
        request.method,
        request.path,
        request.query,
        sha256_hex(request.body.as_bytes())
    )
}

/// What a signing key is good for.
struct Scope<'a> {
    day: String,
    region: &'a str,
    service: &'a str,
}

impl<'a> Scope<'a> {
    const END: &'static str = "request";

    fn of(request: &Request<'a>) -> Self {
        Self {
            day: request.date.format("%Y%m%d").to_string(),
            region: request.region,
            service: request.service,
        }
    }

    fn text(&self) -> String {
        format!(
            "{}/{}/{}/{}",
            self.day,
            self.region,
            self.service,
            Self::END
        )
    }

    /// Derived from the secret as it is written, with nothing before it; it looks like base64 and is not decoded.
    fn key(&self, secret: &str) -> Vec<u8> {
        [self.day.as_str(), self.region, self.service, Self::END]
            .into_iter()
            .fold(secret.as_bytes().to_vec(), |key, part| {
                hmac_sha256(&key, part)
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Secret;

    const ID: &str = "AKLTEXAMPLEEXAMPLEEXAMPLE";
    const SECRET: &str = "U0VDUkVURVhBTVBMRVNFQ1JFVEVYQU1QTEU=";

    fn golden(token: Option<&str>) -> Credential {
        Credential {
            access_key_id: Secret::new(ID.to_owned()),
            access_key_secret: Secret::new(SECRET.to_owned()),
            security_token: token.map(|token| Secret::new(token.to_owned())),
        }
    }

    fn cross_region_listing() -> Request<'static> {
        Request {
            method: "POST",
            path: "/",
            host: "redis.cn-beijing.volcengineapi.com",
            query: "Action=DescribeCrossRegionBackups&Version=2020-12-07",
            content_type: "application/json; charset=utf-8",
            body: r#"{"Scope":"AccountInstances","PageNumber":1,"PageSize":100}"#,
            region: "cn-beijing",
            service: "Redis",
            date: "2025-04-18T08:46:00Z".parse().unwrap(),
        }
    }

    /// What the SDK makes of a request.
    struct Expected<'a> {
        scope: &'a str,
        signed_headers: &'a str,
        hashed_request: &'a str,
        signature: &'a str,
    }

    fn check(request: &Request<'_>, credential: &Credential, expected: &Expected<'_>) {
        let canonical = canonical_request(request, &headers(request, credential));
        assert_eq!(sha256_hex(canonical.as_bytes()), expected.hashed_request);
        let sent = sign(request, credential);
        assert!(sent.iter().all(|(name, _)| *name != "host"));
        let Expected {
            scope,
            signed_headers,
            signature,
            ..
        } = expected;
        let authorization = format!(
            "HMAC-SHA256 Credential={ID}/{scope}, SignedHeaders={signed_headers}, Signature={signature}"
        );
        assert_eq!(sent.last().unwrap(), &("authorization", authorization));
    }

    #[test]
    fn a_listing_is_signed_as_the_python_sdk_signs_it() {
        let request = cross_region_listing();
        check(
            &request,
            &golden(None),
            &Expected {
                scope: "20250418/cn-beijing/Redis/request",
                signed_headers: "content-type;host;x-content-sha256;x-date",
                hashed_request: "7177321039c040188bbeeffc6fa334c3acc5ee6598593fb2afbb63be29d81435",
                signature: "68a4d30721ab48fab9fb619d84f54cdbdbd6ab3d5d9de566493f9ca4fe9fe2bc",
            },
        );
        let hash = "1b7abd7234b76798b95fddebd392ba8bdb7894346317486253313b4c76c2132d";
        assert_eq!(
            canonical_request(&request, &headers(&request, &golden(None))),
            format!(
                "POST\n/\nAction=DescribeCrossRegionBackups&Version=2020-12-07\n\
                 content-type:application/json; charset=utf-8\n\
                 host:redis.cn-beijing.volcengineapi.com\n\
                 x-content-sha256:{hash}\nx-date:20250418T084600Z\n\n\
                 content-type;host;x-content-sha256;x-date\n{hash}"
            )
        );
        assert_eq!(
            hex::encode(Scope::of(&request).key(SECRET)),
            "1322383859f5b38400a16873819316c061a87a31f01e210b9635ffe0ae4b7e9d"
        );
    }

    #[test]
    fn a_token_is_signed_as_the_python_sdk_signs_it() {
        let request = Request {
            host: "open.volcengineapi.com",
            query: "Action=DescribeBackups&Version=2020-12-07",
            content_type: "application/json",
            body: r#"{"InstanceId":"redis-cn0212gzmh2xs0001","StartTime":"2025-04-11T08:46:00Z","EndTime":"2025-04-18T08:46:00Z","PageNumber":2,"PageSize":100}"#,
            region: "cn-shanghai",
            service: "redis",
            ..cross_region_listing()
        };
        check(
            &request,
            &golden(Some(
                "STSeyJBY2NvdW50SWQiOjIxMDAwMDB9.exampletoken/with+chars==",
            )),
            &Expected {
                scope: "20250418/cn-shanghai/redis/request",
                signed_headers: "content-type;host;x-content-sha256;x-date;x-security-token",
                hashed_request: "2ec46d32a1b5860e66674b00924971137a9deb636047b452d5068571cba1891f",
                signature: "d71e505f40a4c748a121f64741ca79ce9b2184c9b96bd5064b245ad1dede567e",
            },
        );
        assert_eq!(
            hex::encode(Scope::of(&request).key(SECRET)),
            "d888db24d971ed8b4a0bc8e589387027f67a6374fea5e07fc962bf72fada0a27"
        );
    }

    #[test]
    fn an_empty_body_and_an_awkward_query_are_signed_as_the_python_sdk_signs_them() {
        let query = canonical::query(&[
            ("DurationSeconds", "3600".to_owned()),
            ("RoleSessionName", "backup exporter".to_owned()),
            ("RoleTrn", "trn:iam::2100000000:role/r".to_owned()),
            ("Action", "AssumeRole".to_owned()),
            ("Version", "2018-01-01".to_owned()),
        ]);
        assert_eq!(
            query,
            "Action=AssumeRole&DurationSeconds=3600&RoleSessionName=backup%20exporter&\
             RoleTrn=trn%3Aiam%3A%3A2100000000%3Arole%2Fr&Version=2018-01-01"
        );
        check(
            &Request {
                method: "GET",
                host: "sts.volcengineapi.com",
                query: &query,
                content_type: "text/plain",
                body: "",
                service: "sts",
                ..cross_region_listing()
            },
            &golden(None),
            &Expected {
                scope: "20250418/cn-beijing/sts/request",
                signed_headers: "content-type;host;x-content-sha256;x-date",
                hashed_request: "e6378f6b9859988d618286e22175877b381f1ae3d831b843e47676c04f66a966",
                signature: "d66a59671e440aeedb41741850860ab37473cb160b5362b4a3cd0a727b9692e5",
            },
        );
    }
}
