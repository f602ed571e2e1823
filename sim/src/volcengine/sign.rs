//! `HMAC-SHA256` from the server's side: rebuilds from the received bytes what the client must have
//! signed. Pure; who owns the key and whether the date is acceptable is decided in `authenticate`.

use crate::exchange::Received;
use crate::query;
use crate::signature::{self, mac, sha256};

/// Name of the only signature method.
pub(crate) const ALGORITHM: &str = "HMAC-SHA256";

/// Where and when a signature is good: `{date}/{region}/{service}/request`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Scope {
    pub(crate) date: String,
    pub(crate) region: String,
    /// In the client's spelling: the vendor's documents sign `Redis`, its clients `redis`.
    pub(crate) service: String,
}

impl Scope {
    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('/');
        let mut part = || {
            parts
                .next()
                .filter(|part| !part.is_empty())
                .map(str::to_owned)
        };
        let scope = Self {
            date: part()?,
            region: part()?,
            service: part()?,
        };
        (part()? == "request" && part().is_none()).then_some(scope)
    }

    fn spelled(&self) -> String {
        format!("{}/{}/{}/request", self.date, self.region, self.service)
    }
}

/// Whose key signs, and for what.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Credential {
    pub(crate) access_key_id: String,
    pub(crate) scope: Scope,
}

impl Credential {
    fn parse(text: &str) -> Option<Self> {
        let (access_key_id, scope) = text.split_once('/')?;
        Some(Self {
            access_key_id: access_key_id.to_owned(),
            scope: Scope::parse(scope)?,
        })
    }
}

pub(crate) type Authorization = signature::Authorization<Credential>;

/// Reads `HMAC-SHA256 Credential=key/scope, SignedHeaders=a;b, Signature=…`; the blanks are in the
/// clients' headers and not in the documents' samples.
pub(crate) fn authorization(header: &str) -> Option<Authorization> {
    Authorization::parse(header, ALGORITHM, "Credential", Credential::parse)
}

/// The request in the form that is hashed.
pub(crate) fn canonical_request(
    received: &Received,
    signed_headers: &[String],
    body_hash: &str,
) -> String {
    let query = query::canonical(&query::pairs(&received.query));
    signature::canonical_request(received, &received.path, &query, signed_headers, body_hash)
}

/// What the signing key is applied to.
pub(crate) fn string_to_sign(canonical_request: &str, date: &str, scope: &Scope) -> String {
    format!(
        "{ALGORITHM}\n{date}\n{}\n{}",
        scope.spelled(),
        sha256(canonical_request.as_bytes())
    )
}

/// The signature that the owner of `secret` would have sent.
pub(crate) fn signature(secret: &str, scope: &Scope, string_to_sign: &str) -> String {
    hex::encode(mac(&signing_key(secret, scope), string_to_sign))
}

/// The secret is taken as it is written, without a prefix and without decoding.
fn signing_key(secret: &str, scope: &Scope) -> Vec<u8> {
    [&scope.date, &scope.region, &scope.service, "request"]
        .iter()
        .fold(secret.as_bytes().to_vec(), |key, part| mac(&key, part))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use chrono::DateTime;

    use super::*;

    const SECRET: &str = "U0VDUkVURVhBTVBMRVNFQ1JFVEVYQU1QTEU=";
    const DATE: &str = "20250418T084600Z";

    /// A request with its headers, to which the date and the hash of the body are added.
    fn received(method: &str, query: &str, headers: &[(&str, &str)], body: &str) -> Received {
        let mut headers: Vec<_> = headers
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        headers.push(("x-date".to_owned(), DATE.to_owned()));
        headers.push(("x-content-sha256".to_owned(), sha256(body.as_bytes())));
        headers.sort();
        Received {
            at: DateTime::UNIX_EPOCH,
            world: DateTime::UNIX_EPOCH,
            method: method.to_owned(),
            path: "/".to_owned(),
            query: query.to_owned(),
            headers,
            body: Bytes::from(body.to_owned()),
        }
    }

    fn scope(region: &str, service: &str) -> Scope {
        Scope {
            date: "20250418".to_owned(),
            region: region.to_owned(),
            service: service.to_owned(),
        }
    }

    /// Canonical request, its hash and the signature, all headers signed.
    fn check(received: &Received, scope: &Scope, hash: &str, expected: &str) -> String {
        let names: Vec<_> = received
            .headers
            .iter()
            .map(|(name, _)| name.clone())
            .collect();
        let canonical = canonical_request(received, &names, &sha256(&received.body));
        assert_eq!(sha256(canonical.as_bytes()), hash, "{canonical}");
        let to_sign = string_to_sign(&canonical, DATE, scope);
        assert_eq!(signature(SECRET, scope, &to_sign), expected);
        canonical
    }

    #[test]
    fn the_vector_of_a_listing_is_reproduced() {
        let received = received(
            "POST",
            "Action=DescribeCrossRegionBackups&Version=2020-12-07",
            &[
                ("content-type", "application/json; charset=utf-8"),
                ("host", "redis.cn-beijing.volcengineapi.com"),
            ],
            r#"{"Scope":"AccountInstances","PageNumber":1,"PageSize":100}"#,
        );
        let scope = scope("cn-beijing", "Redis");
        let canonical = check(
            &received,
            &scope,
            "7177321039c040188bbeeffc6fa334c3acc5ee6598593fb2afbb63be29d81435",
            "68a4d30721ab48fab9fb619d84f54cdbdbd6ab3d5d9de566493f9ca4fe9fe2bc",
        );
        assert_eq!(
            canonical,
            "POST\n/\nAction=DescribeCrossRegionBackups&Version=2020-12-07\n\
             content-type:application/json; charset=utf-8\n\
             host:redis.cn-beijing.volcengineapi.com\n\
             x-content-sha256:1b7abd7234b76798b95fddebd392ba8bdb7894346317486253313b4c76c2132d\n\
             x-date:20250418T084600Z\n\n\
             content-type;host;x-content-sha256;x-date\n\
             1b7abd7234b76798b95fddebd392ba8bdb7894346317486253313b4c76c2132d"
        );
        assert_eq!(
            hex::encode(signing_key(SECRET, &scope)),
            "1322383859f5b38400a16873819316c061a87a31f01e210b9635ffe0ae4b7e9d"
        );
    }

    #[test]
    fn the_vector_of_a_temporary_key_is_reproduced() {
        let received = received(
            "POST",
            "Action=DescribeBackups&Version=2020-12-07",
            &[
                ("content-type", "application/json"),
                ("host", "open.volcengineapi.com"),
                (
                    "x-security-token",
                    "STSeyJBY2NvdW50SWQiOjIxMDAwMDB9.exampletoken/with+chars==",
                ),
            ],
            r#"{"InstanceId":"redis-cn0212gzmh2xs0001","StartTime":"2025-04-11T08:46:00Z","EndTime":"2025-04-18T08:46:00Z","PageNumber":2,"PageSize":100}"#,
        );
        assert_eq!(
            received.header("x-content-sha256"),
            Some("36416012a940e9f97c483f65bb25c48a85c401854a9558ceaa3374e68e405241")
        );
        let scope = scope("cn-shanghai", "redis");
        check(
            &received,
            &scope,
            "2ec46d32a1b5860e66674b00924971137a9deb636047b452d5068571cba1891f",
            "d71e505f40a4c748a121f64741ca79ce9b2184c9b96bd5064b245ad1dede567e",
        );
        assert_eq!(
            hex::encode(signing_key(SECRET, &scope)),
            "d888db24d971ed8b4a0bc8e589387027f67a6374fea5e07fc962bf72fada0a27"
        );
    }

    #[test]
    fn the_vector_of_a_query_is_reproduced() {
        // The order of the pairs is the sender's.
        let received = received(
            "GET",
            "Version=2018-01-01&Action=AssumeRole&DurationSeconds=3600&RoleSessionName=backup%20exporter&RoleTrn=trn:iam::2100000000:role/r",
            &[
                ("content-type", "text/plain"),
                ("host", "sts.volcengineapi.com"),
            ],
            "",
        );
        let canonical = check(
            &received,
            &scope("cn-beijing", "sts"),
            "e6378f6b9859988d618286e22175877b381f1ae3d831b843e47676c04f66a966",
            "d66a59671e440aeedb41741850860ab37473cb160b5362b4a3cd0a727b9692e5",
        );
        assert_eq!(
            canonical.lines().nth(2),
            Some(
                "Action=AssumeRole&DurationSeconds=3600&RoleSessionName=backup%20exporter&RoleTrn=trn%3Aiam%3A%3A2100000000%3Arole%2Fr&Version=2018-01-01"
            )
        );
    }

    #[test]
    fn an_authorization_header_is_read_or_refused() {
        let expected = Authorization {
            credential: Credential {
                access_key_id: "AK".to_owned(),
                scope: scope("cn-beijing", "redis"),
            },
            signed_headers: vec!["host".to_owned(), "x-date".to_owned()],
            signature: "ab".to_owned(),
        };
        for comma in [",", ", "] {
            let header = format!(
                "HMAC-SHA256 Credential=AK/20250418/cn-beijing/redis/request{comma}SignedHeaders=host;x-date{comma}Signature=ab"
            );
            assert_eq!(authorization(&header).as_ref(), Some(&expected));
        }
        for broken in [
            "",
            "AWS4-HMAC-SHA256 Credential=AK/20250418/cn-beijing/redis/request,SignedHeaders=host,Signature=ab",
            "HMAC-SHA256 Credential=AK,SignedHeaders=host,Signature=ab",
            "HMAC-SHA256 Credential=AK/20250418/cn-beijing/redis,SignedHeaders=host,Signature=ab",
            "HMAC-SHA256 Credential=AK/20250418/cn-beijing/redis/request/x,SignedHeaders=host,Signature=ab",
            "HMAC-SHA256 Credential=AK/20250418//redis/request,SignedHeaders=host,Signature=ab",
            "HMAC-SHA256 Credential=AK/20250418/cn-beijing/redis/request,Signature=ab",
        ] {
            assert_eq!(authorization(broken), None, "{broken}");
        }
    }
}
