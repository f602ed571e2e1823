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
