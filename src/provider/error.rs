//! Why a listing could not be read, in the words of what the operator does next.
//!
//! An unknown value in an answer is no error (see `backup::Anomaly`); an answer that is no listing is one.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::Call;

/// The closed set of reasons; the label `reason` of every failure counter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// The key, its signature or its token was rejected, or there is none: mend the credentials.
    Credentials,
    /// The key is good, but its policy does not allow this: extend the policy.
    Permission,
    /// Too many requests: lower the rate, or wait.
    Throttled,
    /// The vendor knows no such object: correct the id or the region.
    NotFound,
    /// The vendor has no such backups for this instance: a fact, not an outage.
    Unsupported,
    /// The vendor did not accept the request's form: report it to us.
    BadRequest,
    /// The vendor failed.
    Server,
    /// No answer in time.
    Timeout,
    /// No connection: name resolution, refused, reset, TLS, proxy.
    Network,
    /// An answer came, but it is not what the vendor's pages describe.
    Malformed,
}

impl Reason {
    /// Every reason.
    pub const ALL: [Self; 10] = [
        Self::Credentials,
        Self::Permission,
        Self::Throttled,
        Self::NotFound,
        Self::Unsupported,
        Self::BadRequest,
        Self::Server,
        Self::Timeout,
        Self::Network,
        Self::Malformed,
    ];

    /// The value of the label `reason`.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Credentials => "credentials",
            Self::Permission => "permission",
            Self::Throttled => "throttled",
            Self::NotFound => "not_found",
            Self::Unsupported => "unsupported",
            Self::BadRequest => "bad_request",
            Self::Server => "server",
            Self::Timeout => "timeout",
            Self::Network => "network",
            Self::Malformed => "malformed",
        }
    }

    /// Whether it lasts until somebody mends something, rather than passing by itself.
    pub const fn is_refusal(self) -> bool {
        matches!(self, Self::Permission | Self::NotFound | Self::BadRequest)
    }
}

/// Whether the same question may be asked again soon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repeat {
    /// The answer would be the same.
    Never,
    /// It may pass: ask again after a pause.
    AfterPause,
    /// Only the nonce was spent: sign anew and ask again.
    Afresh,
}

/// A failed attempt at a listing. Carries no body, no URL and no message of the vendor's: Alibaba's message for a wrong
/// signature, for one, repeats the string that was signed, token included.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct ListError {
    /// What the operator does next.
    pub reason: Reason,
    /// Whether `poll` may ask again.
    pub repeat: Repeat,
    /// The vendor's name of the operation.
    pub operation: &'static str,
    /// The instance that was asked about.
    pub instance: Arc<str>,
    /// The region that was asked.
    pub region: Arc<str>,
    /// The HTTP status, once there was one.
    pub status: Option<u16>,
    /// The vendor's error code.
    pub code: Option<VendorWord>,
    /// The vendor's id of the request, for a support case.
    pub request_id: Option<VendorWord>,
    /// What we can add: the action that the policy lacks, the kind of network failure.
    pub detail: Option<String>,
    /// How long the vendor asks us to wait.
    pub retry_after: Option<Duration>,
    /// Whether the vendor says that the instance itself does not exist.
    pub missing_instance: bool,
}

impl ListError {
    /// A failure of this call of which no more is known than its reason.
    pub fn of(call: &Call, reason: Reason) -> Self {
        Self {
            reason,
            repeat: Repeat::Never,
            operation: call.operation,
            instance: Arc::clone(&call.instance),
            region: Arc::clone(&call.region),
            status: None,
            code: None,
            request_id: None,
            detail: None,
            retry_after: None,
            missing_instance: false,
        }
    }
}

impl ListError {
    /// An answer that is no listing and does not say why. It may be half an answer; the next may be whole.
    pub fn no_listing(call: &Call, status: u16, why: impl Into<String>) -> Self {
        Self {
            status: Some(status),
            repeat: Repeat::AfterPause,
            detail: Some(why.into()),
            ..Self::of(call, Reason::Malformed)
        }
    }

    /// An answer that cannot be read. What could not be read is not repeated.
    pub fn unreadable(call: &Call, status: u16, error: &serde_json::Error) -> Self {
        let (line, column) = (error.line(), error.column());
        Self::no_listing(
            call,
            status,
            format!("no listing at line {line} column {column}"),
        )
    }
}

/// What is left when the vendor gave no code that we know: a gateway's page, or one of the codes that every operation
/// of the product shares.
pub fn by_status(status: u16) -> (Reason, Repeat) {
    match status {
        401 => (Reason::Credentials, Repeat::Never),
        403 => (Reason::Permission, Repeat::Never),
        404 => (Reason::NotFound, Repeat::Never),
        407 => (Reason::Network, Repeat::Never),
        408 => (Reason::Timeout, Repeat::AfterPause),
        429 => (Reason::Throttled, Repeat::AfterPause),
        400..=499 => (Reason::BadRequest, Repeat::Never),
        500..=599 => (Reason::Server, Repeat::AfterPause),
        // A redirect is not followed, since a signature holds for one host; it comes from a portal in between.
        _ => (Reason::Malformed, Repeat::Never),
    }
}

/// What there is to say about a status in words.
pub fn status_in_words(status: u16) -> Option<String> {
    matches!(status, 300..=399).then(|| "redirects are not followed".to_owned())
}

impl fmt::Display for ListError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "{} of {} in {}: {}",
            self.operation,
            self.instance,
            self.region,
            self.reason.label()
        )?;
        let mut separator = " (";
        let mut add = |formatter: &mut fmt::Formatter<'_>, text: &dyn fmt::Display| {
            let written = write!(formatter, "{separator}{text}");
            separator = ", ";
            written
        };
        if let Some(status) = self.status {
            add(formatter, &format_args!("HTTP {status}"))?;
        }
        if let Some(code) = &self.code {
            add(formatter, code)?;
        }
        if let Some(detail) = &self.detail {
            add(formatter, detail)?;
        }
        if let Some(request_id) = &self.request_id {
            add(formatter, &format_args!("request {request_id}"))?;
        }
        if separator == ", " {
            formatter.write_str(")")?;
        }
        Ok(())
    }
}

/// A short word from a vendor's answer that is fit for a log line: an error code, a request id, an action.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VendorWord(String);

impl VendorWord {
    const LONGEST: usize = 100;

    /// Takes a word of ASCII letters, digits, `.`, `-`, `_` and `:`; anything else is not repeated.
    pub fn new(word: &str) -> Option<Self> {
        let fit = !word.is_empty()
            && word.len() <= Self::LONGEST
            && word
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b".-_:".contains(&byte));
        fit.then(|| Self(word.to_owned()))
    }

    /// The word.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for VendorWord {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::example::failure;

    #[test]
    fn an_error_is_one_line_with_all_that_is_known() {
        let word = |word| VendorWord::new(word);
        for (error, expected) in [
            (failure(Reason::Timeout), "timeout"),
            (
                ListError {
                    status: Some(503),
                    ..failure(Reason::Server)
                },
                "server (HTTP 503)",
            ),
            (
                ListError {
                    detail: Some("no answer in time".to_owned()),
                    ..failure(Reason::Timeout)
                },
                "timeout (no answer in time)",
            ),
            (
                ListError {
                    status: Some(403),
                    code: word("Forbidden.RAM"),
                    detail: Some("the policy lacks rds:DescribeBackups".to_owned()),
                    request_id: word("8B4D"),
                    ..failure(Reason::Permission)
                },
                "permission (HTTP 403, Forbidden.RAM, the policy lacks rds:DescribeBackups, request 8B4D)",
            ),
        ] {
            let expected = format!("DescribeBackups of rm-1 in cn-hangzhou: {expected}");
            assert_eq!(error.to_string(), expected);
        }
    }

    #[test]
    fn only_short_plain_words_of_a_vendor_are_repeated() {
        let longest = "a".repeat(100);
        let too_long = "a".repeat(101);
        for (word, fit) in [
            ("Throttling.User", true),
            ("rds:DescribeBackups", true),
            ("8B4D-11_x", true),
            (longest.as_str(), true),
            (too_long.as_str(), false),
            ("", false),
            ("two words", false),
            ("a\nb", false),
            ("\u{1b}[31m", false),
            ("https://example.com/?Signature=x", false),
            ("été", false),
        ] {
            let found = VendorWord::new(word);
            assert_eq!(found.is_some(), fit, "{word}");
            if let Some(found) = found {
                assert_eq!((found.as_str(), found.to_string().as_str()), (word, word));
            }
        }
    }
}
