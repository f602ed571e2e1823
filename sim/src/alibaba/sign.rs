//! `ACS3-HMAC-SHA256` from the server's side: rebuilds from the received bytes what the client must
//! have signed. Pure; who owns the key and whether the date is acceptable is decided in
//! `authenticate`.

use crate::exchange::Received;
use crate::query;
use crate::signature::{self, sha256};

/// Name of the only signature method that this face accepts.
pub(crate) const ALGORITHM: &str = "ACS3-HMAC-SHA256";

/// With the key's id.
pub(crate) type Authorization = signature::Authorization<String>;

/// Reads `ACS3-HMAC-SHA256 Credential=…,SignedHeaders=a;b,Signature=…`.
pub(crate) fn authorization(header: &str) -> Option<Authorization> {
    Authorization::parse(header, ALGORITHM, "Credential", |id| Some(id.to_owned()))
}

/// The request in the form that is hashed.
pub(crate) fn canonical_request(
    received: &Received,
    signed_headers: &[String],
    payload_hash: &str,
) -> String {
    let query = query::canonical(&query::pairs(&received.query));
    signature::canonical_request(
        received,
        &received.path,
        &query,
        signed_headers,
        payload_hash,
    )
}

/// What the secret is applied to.
pub(crate) fn string_to_sign(canonical_request: &str) -> String {
    format!("{ALGORITHM}\n{}", sha256(canonical_request.as_bytes()))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use chrono::DateTime;

    use super::*;
    use crate::signature::signature;

    const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    const GOLDEN_SECRET: &str = "GoldenSecretKeyForTestsOnly0001";
    const G1_QUERY: &str = "CrossBackupRegion=cn-shanghai&DBInstanceId=rm-uf6wjk5xxxxxxxxxx&EndTime=2026-01-02T00%3A00%3A00Z&PageNumber=1&PageSize=100&RegionId=cn-hangzhou&StartTime=2026-01-01T00%3A00%3A00Z";
    const G1_HEADERS: [(&str, &str); 6] = [
        ("host", "rds.aliyuncs.com"),
        ("x-acs-action", "DescribeCrossRegionBackups"),
        ("x-acs-content-sha256", EMPTY),
        ("x-acs-date", "2026-01-02T03:04:05Z"),
        ("x-acs-signature-nonce", "0123456789abcdef0123456789abcdef"),
        ("x-acs-version", "2014-08-15"),
    ];

    fn check(
        method: &str,
        query: &str,
        headers: &[(&str, &str)],
        secret: &str,
        hash: &str,
        expected: &str,
    ) {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let received = Received {
            at: DateTime::UNIX_EPOCH,
            world: DateTime::UNIX_EPOCH,
            method: method.to_owned(),
            path: "/".to_owned(),
            query: query.to_owned(),
            headers: headers.iter().map(owned).collect(),
            body: Bytes::new(),
        };
        let mut signed: Vec<_> = headers.iter().map(|(name, _)| (*name).to_owned()).collect();
        signed.sort();
        let to_sign = string_to_sign(&canonical_request(&received, &signed, EMPTY));
        assert_eq!(to_sign, format!("{ALGORITHM}\n{hash}"));
        assert_eq!(signature(secret, &to_sign), expected);
    }

    #[test]
    fn the_published_vector_is_reproduced() {
        check(
            "POST",
            "ImageId=win2019_1809_x64_dtc_zh-cn_40G_alibase_20230811.vhd&RegionId=cn-shanghai",
            &[
                ("host", "ecs.cn-shanghai.aliyuncs.com"),
                ("x-acs-action", "RunInstances"),
                ("x-acs-content-sha256", EMPTY),
                ("x-acs-date", "2023-10-26T10:22:32Z"),
                ("x-acs-signature-nonce", "3156853299f313e23d1673dc12e1703d"),
                ("x-acs-version", "2014-05-26"),
            ],
            "YourAccessKeySecret",
            "7ea06492da5221eba5297e897ce16e55f964061054b7695beedaac1145b1e259",
            "06563a9e1b43f5dfe96b81484da74bceab24a1d853912eee15083a6f0f3283c0",
        );
    }

    #[test]
    fn vectors_of_the_vendors_clients_are_reproduced() {
        let hash = "7a90ff8863719e0094d807880967c704531062e5a7b7602e1ffce3d47be6fc57";
        let expected = "8a456e2b61bf01eb06fce01e5a9e0007b67934f485a792589a5e84a82498822a";
        check("POST", G1_QUERY, &G1_HEADERS, GOLDEN_SECRET, hash, expected);
        let hash = "a89f5226757098b0e3cb7714e6197e060b2ee9e25532f83aee431b20d172d8a8";
        let expected = "47c062af0e97602ce760aad0c011c562bfa67dbcd3be78d33609f9d4aad4661b";
        check("GET", G1_QUERY, &G1_HEADERS, GOLDEN_SECRET, hash, expected);

        // The order of the pairs and the way in which they are encoded is the sender's, as in the
        // Python client's plus for a blank.
        let query = "StartTime=2026-01-01T00:00Z&EndTime=2026-01-02T00%3a00Z&PageSize=30&BackupStatus=Success&DBInstanceId=rm-gw8+*~%E6%B5%8B%E8%AF%95%2B/%3D%26";
        let sts = [
            ("host", "rds.eu-central-1.aliyuncs.com"),
            ("x-acs-accesskey-id", "LTAI5tGoldenVector0000001"),
            ("x-acs-action", "DescribeBackups"),
            ("x-acs-content-sha256", EMPTY),
            ("x-acs-date", "2026-01-02T03:04:05Z"),
            ("x-acs-security-token", "CAIS+golden/token==~* x"),
            ("x-acs-signature-nonce", "0123456789abcdef0123456789abcdef"),
            ("x-acs-version", "2014-08-15"),
        ];
        let hash = "93c3751c2c9a2b4c055071a389e75738a265bd342e941e58ef28ec3de66f10a5";
        let expected = "94a823b5407baec3a5933673c2bdc37d8aca8213a0e3f6bc62f2dd2437c9a278";
        check("POST", query, &sts, GOLDEN_SECRET, hash, expected);
    }

    #[test]
    fn a_client_that_signs_every_header_is_understood() {
        let mut headers = G1_HEADERS.to_vec();
        headers.push(("accept", "application/json"));
        headers.push(("user-agent", "rds-exporter-golden/1"));
        headers.push(("x-acs-credentials-provider", "static_ak"));
        let hash = "79d8190305e37462a27cedba81add43dac5d1348d3fa1620f0473b1c5515f267";
        let expected = "3852b704296848be74188291feabc0495f35b650e06fd628b36eaecfaf421d72";
        check("POST", G1_QUERY, &headers, GOLDEN_SECRET, hash, expected);
    }

    #[test]
    fn an_authorization_header_is_read_or_refused() {
        let read = authorization(
            "ACS3-HMAC-SHA256 Credential=K,SignedHeaders=host;x-acs-date,Signature=ab",
        )
        .unwrap();
        assert_eq!(read.signed_headers, ["host", "x-acs-date"]);
        assert_eq!(
            (read.credential.as_str(), read.signature.as_str()),
            ("K", "ab")
        );
        for broken in [
            "",
            "Bearer x",
            "ACS3-HMAC-SHA256",
            "ACS3-HMAC-SHA256 Credential=K,Signature=ab",
        ] {
            assert_eq!(authorization(broken), None, "{broken}");
        }
    }
}
