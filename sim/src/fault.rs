//! Faults: what a test makes the cloud do wrong, and to which requests. The faces ask for the first
//! fault that concerns a request; how a fault looks on the wire is theirs.

use std::time::Duration;

use serde::Deserialize;

use crate::huawei::Oddity;
use crate::span;

/// A fault and the requests it concerns; without a filter it concerns all, without `times` it
/// stays.
#[derive(Clone, Debug, Deserialize)]
pub struct Fault {
    #[serde(flatten)]
    pub(crate) kind: FaultKind,
    operation: Option<String>,
    instance: Option<String>,
    region: Option<String>,
    access_key: Option<String>,
    times: Option<u32>,
}

/// What goes wrong. In a scenario file `kind` names it and `value` holds its argument.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(tag = "kind", content = "value", rename_all = "kebab-case")]
pub enum FaultKind {
    /// The account calls too often.
    Throttle {
        /// The wait that the cloud asks for, where `header` says it.
        #[serde(default, deserialize_with = "span::read_optional")]
        retry_after: Option<Duration>,
        /// Header in which the wait stands.
        header: ThrottleHeader,
    },
    /// Any error in the vendor's JSON envelope.
    Error {
        /// HTTP status.
        status: u16,
        /// The vendor's code.
        code: String,
        /// The vendor's message.
        message: String,
    },
    /// Any error in the other shape that some of the vendor's clients know, without the envelope.
    BareError {
        /// HTTP status.
        status: u16,
        /// The vendor's code.
        code: String,
        /// The vendor's message.
        message: String,
    },
    /// 500 in the JSON envelope.
    ServerErrorJson,
    /// 503 in the XML envelope.
    ServerErrorXml,
    /// 503 from a gateway that knows nothing of the API.
    ServerErrorHtml,
    /// The error envelope with status 200.
    ErrorIn200 {
        /// The vendor's code.
        code: String,
    },
    /// The length of the whole answer, half of it, and the end of the connection.
    Truncated,
    /// Half of the answer, with the length of that half.
    TruncatedJson,
    /// The right answer, but later.
    Slow(#[serde(deserialize_with = "span::read")] Duration),
    /// No answer until the client gives up.
    Hang,
    /// The connection ends without an answer.
    Reset,
    /// The right rows with another total.
    WrongTotal(i64),
    /// The right answer with its total as a string.
    TotalAsString,
    /// Every page is the first page.
    PageLoop,
    /// Pages after the first begin with the last row of the page before, as when a row has come in
    /// between.
    RepeatedRow,
    /// Each page states a total that is one higher than the page before.
    GrowingTotal,
    /// The right answer with something that is no row in place of the first one.
    NoRow,
    /// The right answer with a name in its first row that is no text: half of a pair of surrogates, a
    /// tab that is not escaped, and a byte that is not UTF-8.
    BrokenText,
    /// The right answer, said to be empty in this way.
    NoRows(NoRows),
    /// The right answer with fewer rows than there are, and with a total that fits: nothing in it
    /// tells it from the truth.
    FewerRows(FewerRows),
    /// The session token is said to be expired.
    ExpiredToken,
    /// 200 with a page for people, as a captive portal answers.
    Html200,
    /// 200 with `{}`.
    EmptyObject,
    /// 200 with `null`.
    Null,
    /// 302 to this address.
    Redirect(String),
    /// 200 with so many bytes, without a length.
    HugeBody(usize),
    /// What only Huawei does; the others answer as if there were no fault.
    Huawei(Oddity),
}

impl FaultKind {
    /// Whether the client gets nothing of the right answer, so that what was done for it has to be
    /// undone.
    pub(crate) fn replaces_answer(&self) -> bool {
        match self {
            Self::Throttle { .. }
            | Self::Error { .. }
            | Self::BareError { .. }
            | Self::ServerErrorJson
            | Self::ServerErrorXml
            | Self::ServerErrorHtml
            | Self::ErrorIn200 { .. }
            | Self::Hang
            | Self::Reset
            | Self::ExpiredToken
            | Self::Html200
            | Self::EmptyObject
            | Self::Null
            | Self::Redirect(_)
            | Self::HugeBody(_)
            | Self::Huawei(Oddity::Refusal { .. }) => true,
            Self::Truncated
            | Self::TruncatedJson
            | Self::Slow(_)
            | Self::WrongTotal(_)
            | Self::TotalAsString
            | Self::PageLoop
            | Self::RepeatedRow
            | Self::GrowingTotal
            | Self::NoRow
            | Self::BrokenText
            | Self::NoRows(_)
            | Self::FewerRows(_)
            | Self::Huawei(_) => false,
        }
    }
}

/// How an answer without rows may look, beside an empty list.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub enum NoRows {
    /// The list is null.
    NullList,
    /// The list is absent.
    NoList,
    /// What holds the list is null.
    NullResult,
    /// What holds the list is absent.
    NoResult,
}

/// Which rows are left of an answer.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub enum FewerRows {
    /// None; a policy that is no list is said to be off.
    None,
    /// The first ones, so many.
    First(usize),
    /// All but those of these instances, as for a key that may not see them.
    Without(Vec<String>),
}

/// Header in which a throttled client finds the wait.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub enum ThrottleHeader {
    /// `x-acs-retry-after: <milliseconds>`.
    RetryAfterMillis,
    /// `x-ratelimit-user: Limit:1,Remain:0,TimeLeft:<milliseconds>,Reset:1234`.
    RateLimitUser,
    /// The same in `x-ratelimit-user-api`.
    RateLimitUserApi,
    /// The standard `retry-after: <seconds>`.
    RetryAfter,
    /// Nowhere.
    None,
}

impl ThrottleHeader {
    /// The header with the wait in it.
    pub(crate) fn line(self, wait: Duration) -> Option<(&'static str, String)> {
        let milliseconds = wait.as_millis();
        let limits = format!("Limit:1,Remain:0,TimeLeft:{milliseconds},Reset:1234");
        match self {
            Self::RetryAfterMillis => Some(("x-acs-retry-after", milliseconds.to_string())),
            Self::RateLimitUser => Some(("x-ratelimit-user", limits)),
            Self::RateLimitUserApi => Some(("x-ratelimit-user-api", limits)),
            Self::RetryAfter => Some(("retry-after", wait.as_secs().to_string())),
            Self::None => None,
        }
    }
}

impl Fault {
    /// A fault that concerns every request until it is cleared.
    pub fn new(kind: FaultKind) -> Self {
        Self {
            kind,
            operation: None,
            instance: None,
            region: None,
            access_key: None,
            times: None,
        }
    }

    /// Only requests for this operation.
    #[must_use]
    pub fn operation(mut self, operation: impl Into<String>) -> Self {
        self.operation = Some(operation.into());
        self
    }

    /// Only requests about this instance.
    #[must_use]
    pub fn instance(mut self, instance: impl Into<String>) -> Self {
        self.instance = Some(instance.into());
        self
    }

    /// Only requests that name this region.
    #[must_use]
    pub fn region(mut self, region: impl Into<String>) -> Self {
        self.region = Some(region.into());
        self
    }

    /// Only requests signed with this key.
    #[must_use]
    pub fn access_key(mut self, access_key: impl Into<String>) -> Self {
        self.access_key = Some(access_key.into());
        self
    }

    /// Only the next `times` requests.
    #[must_use]
    pub fn times(mut self, times: u32) -> Self {
        self.times = Some(times);
        self
    }

    fn concerns(&self, subject: &Subject<'_>) -> bool {
        let fits = |wanted: &Option<String>, actual: Option<&str>| {
            wanted
                .as_deref()
                .is_none_or(|wanted| Some(wanted) == actual)
        };
        // A request may name several instances, with commas between them.
        let named = || subject.instance.into_iter().flat_map(|ids| ids.split(','));
        let concerned = self.instance.as_deref();
        fits(&self.operation, subject.operation)
            && concerned.is_none_or(|wanted| named().any(|id| id == wanted))
            && fits(&self.region, subject.region)
            && fits(&self.access_key, subject.access_key)
    }
}

/// What a request is about, as far as faults look at it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Subject<'a> {
    pub(crate) operation: Option<&'a str>,
    pub(crate) instance: Option<&'a str>,
    pub(crate) region: Option<&'a str>,
    pub(crate) access_key: Option<&'a str>,
}

/// The faults in force, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Faults(Vec<Fault>);

impl Faults {
    pub(crate) fn inject(&mut self, fault: Fault) {
        self.0.push(fault);
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    /// Which of them has had its times since it was last asked for one.
    pub(crate) fn spent(&self) -> Option<usize> {
        self.0.iter().position(|fault| fault.times == Some(0))
    }

    /// The first fault that concerns the request; one with a number of times loses one.
    pub(crate) fn take(&mut self, subject: &Subject<'_>) -> Option<FaultKind> {
        self.0.retain(|fault| fault.times != Some(0));
        let fault = self.0.iter_mut().find(|fault| fault.concerns(subject))?;
        if let Some(times) = &mut fault.times {
            *times -= 1;
        }
        Some(fault.kind.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_concerns_what_its_filters_say_and_as_often() {
        let mut faults = Faults::default();
        faults.inject(
            Fault::new(FaultKind::Null)
                .operation("DescribeBackups")
                .instance("rm-1")
                .times(2),
        );
        faults.inject(Fault::new(FaultKind::Reset).region("cn-beijing"));
        let other = Subject {
            operation: Some("DescribeBackups"),
            instance: Some("rm-2"),
            ..Subject::default()
        };
        let subject = Subject {
            instance: Some("rm-1"),
            region: Some("cn-beijing"),
            ..other
        };
        assert_eq!(faults.take(&other), None);
        assert_eq!(faults.take(&subject), Some(FaultKind::Null));
        assert_eq!(faults.spent(), None);
        assert_eq!(faults.take(&subject), Some(FaultKind::Null));
        assert_eq!(faults.spent(), Some(0));
        assert_eq!(faults.take(&subject), Some(FaultKind::Reset));
        assert_eq!(faults.take(&subject), Some(FaultKind::Reset));
        faults.clear();
        assert_eq!(faults.take(&subject), None);
    }
}
