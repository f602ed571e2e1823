//! Asks for keys over HTTP, once: a deadline, a small cap, and errors that hold no part of an answer but its code.

use std::sync::OnceLock;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{Credential, Keys, Lifetime};
use crate::config::Secret;
use crate::provider::error::VendorWord;
use crate::provider::http::{Answer, HttpClient, Outgoing};

/// Keys and their token take a few KiB.
const LONGEST_ANSWER: usize = 256 * 1024;

/// How long a token service may take; the SDKs allow 5 seconds to connect and 10 to answer.
pub(in crate::provider) const TOKEN_SERVICE_TIMEOUT: Duration = Duration::from_secs(10);

/// Sends without any proxy. The client is made when it is first needed: most accounts never do.
#[derive(Debug, Default)]
pub(in crate::provider) struct Direct(OnceLock<Result<HttpClient, String>>);

impl Direct {
    /// For whoever has this client for everything else. What asks without a network asks so here as well.
    #[cfg_attr(
        not(any(test, feature = "fuzzing")),
        expect(
            unused_variables,
            reason = "all clients that are released have a network"
        )
    )]
    pub(in crate::provider) fn beside(http: &HttpClient) -> Self {
        #[cfg(any(test, feature = "fuzzing"))]
        if http.is_in_memory() {
            return Self(OnceLock::from(Ok(http.clone())));
        }
        Self::default()
    }

    /// The client.
    pub(in crate::provider) fn client(&self) -> Result<&HttpClient, String> {
        let made = self
            .0
            .get_or_init(|| HttpClient::without_proxy().map_err(|error| error.to_string()));
        made.as_ref().map_err(Clone::clone)
    }
}

/// Sends once and reads the answer, whatever its status.
pub(in crate::provider) async fn send(
    http: &HttpClient,
    outgoing: Outgoing,
    timeout: Duration,
) -> Result<Answer, String> {
    let answer = http.send_up_to(outgoing, timeout, LONGEST_ANSWER).await;
    answer.map_err(|none| none.detail)
}

/// Lets a good answer through, and makes of any other its status and its code.
pub(in crate::provider) fn accepted(answer: Answer) -> Result<Answer, String> {
    if (200..300).contains(&answer.status) {
        return Ok(answer);
    }
    let status = answer.status;
    Err(match code(&answer.body) {
        Some(code) => format!("HTTP {status} {code}"),
        None => format!("HTTP {status}"),
    })
}

/// Reads the body of an answer as JSON. The error of the parser is not repeated, because it quotes what it found.
pub(in crate::provider) fn json<T: DeserializeOwned>(answer: &Answer) -> Result<T, String> {
    serde_json::from_slice(&answer.body).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        format!("no answer of the expected form at line {line} column {column}")
    })
}

/// The vendors' error codes, wherever they put them: `Code`, `ResponseMetadata.Error.Code`, `error_code`, `error.code`.
fn code(body: &[u8]) -> Option<VendorWord> {
    let answer: Value = serde_json::from_slice(body).ok()?;
    let error = answer
        .pointer("/ResponseMetadata/Error")
        .or_else(|| answer.get("error"))
        .unwrap_or(&answer);
    let names = ["Code", "error_code", "errorcode", "title", "code"];
    [error, &answer].into_iter().find_map(|place| {
        names.iter().find_map(|name| match place.get(name)? {
            Value::String(code) => VendorWord::new(code),
            Value::Number(code) => VendorWord::new(&code.to_string()),
            _ => None,
        })
    })
}

/// Temporary keys as an answer gave them, whatever the vendor calls its fields. No `Debug`: it holds secrets.
#[derive(Default)]
pub(in crate::provider) struct Given {
    pub access_key_id: Option<String>,
    pub access_key_secret: Option<String>,
    pub security_token: Option<String>,
    pub expires: Option<String>,
}

impl Given {
    /// The keys, if the answer holds a whole set. They are renewed so long before they expire.
    pub(in crate::provider) fn keys(
        self,
        margin: Duration,
        from: impl Into<String>,
    ) -> Result<Keys, String> {
        let secret = |text: Option<String>, name: &str| {
            text.map(|text| text.trim().to_owned())
                .filter(|text| !text.is_empty())
                .map(Secret::new)
                .ok_or_else(|| format!("the answer has no {name}"))
        };
        let expires: DateTime<Utc> = self
            .expires
            .as_deref()
            .and_then(|time| DateTime::parse_from_rfc3339(time.trim()).ok())
            .ok_or_else(|| "the answer does not say when the keys expire".to_owned())?
            .to_utc();
        Ok(Keys {
            credential: Credential {
                access_key_id: secret(self.access_key_id, "access key id")?,
                access_key_secret: secret(self.access_key_secret, "access key secret")?,
                security_token: Some(secret(self.security_token, "security token")?),
            },
            lifetime: Lifetime::Until { expires, margin },
            from: from.into(),
        })
    }
}

#[cfg(test)]
mod tests {
    use reqwest::header::HeaderMap;

    use super::*;

    fn answer(status: u16, body: &str) -> Answer {
        Answer {
            status,
            headers: HeaderMap::new(),
            body: body.to_owned().into(),
        }
    }

    #[test]
    fn a_refusal_is_its_status_and_its_code() {
        let check = |status, body: &str, expected: Option<&str>| {
            let found = accepted(answer(status, body)).err();
            assert_eq!(found.as_deref(), expected, "{body}");
        };
        check(200, "", None);
        check(201, r#"{"Code":"Success"}"#, None);
        check(302, "<html>hush</html>", Some("HTTP 302"));
        check(
            400,
            r#"{"Code":"AuthenticationFail.OIDCToken.Expired","Message":"hush"}"#,
            Some("HTTP 400 AuthenticationFail.OIDCToken.Expired"),
        );
        check(
            401,
            r#"{"ResponseMetadata":{"Error":{"CodeN":100009,"Code":"InvalidAccessKey"}}}"#,
            Some("HTTP 401 InvalidAccessKey"),
        );
        check(
            401,
            r#"{"error":{"code":401,"message":"hush","title":"Unauthorized"}}"#,
            Some("HTTP 401 Unauthorized"),
        );
        check(
            403,
            r#"{"error_msg":"hush","error_code":"IAM.0003"}"#,
            Some("HTTP 403 IAM.0003"),
        );
        check(500, r#"{"Code":"hush, hush"}"#, Some("HTTP 500"));
        check(500, "[]", Some("HTTP 500"));
        check(404, r#""Code""#, Some("HTTP 404"));
    }

    #[test]
    fn half_an_answer_is_an_error_and_is_not_repeated() {
        let given = || Given {
            access_key_id: Some("STS.hush".to_owned()),
            access_key_secret: Some("hush".to_owned()),
            security_token: Some("hush".to_owned()),
            expires: Some("2026-06-12T13:00:00Z".to_owned()),
        };
        let check = |given: Given, expected: &str| {
            let problem = given.keys(Duration::ZERO, "here").unwrap_err();
            assert_eq!(problem, expected);
        };
        let keys = given().keys(Duration::ZERO, "here").unwrap();
        assert!(!format!("{keys:?}").contains("hush"));
        let expires = |time: &str| Given {
            expires: Some(time.to_owned()),
            ..given()
        };
        for time in [
            "2026-06-12T13:00:00.000000Z",
            "2026-06-12T21:00:00+08:00",
            " 2026-06-12T13:00:00Z\n",
        ] {
            let again = expires(time).keys(Duration::ZERO, "here").unwrap();
            assert_eq!(again, keys, "{time}");
        }
        for time in ["", "soon", "1781269200", "2026-06-12 13:00:00"] {
            check(
                expires(time),
                "the answer does not say when the keys expire",
            );
        }
        check(
            Given::default(),
            "the answer does not say when the keys expire",
        );
        check(
            Given {
                access_key_id: Some(" ".to_owned()),
                ..given()
            },
            "the answer has no access key id",
        );
        check(
            Given {
                security_token: None,
                ..given()
            },
            "the answer has no security token",
        );
        let wrong_kind = answer(200, r#"{"hush": 1}"#);
        let problem = json::<Vec<String>>(&wrong_kind).err().unwrap();
        assert!(!problem.contains("hush"), "{problem}");
    }
}
