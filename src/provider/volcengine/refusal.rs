//! What an answer that is no listing means. The code is read before the status: the product answers every error with
//! 400, those that pass by themselves too (page 6293/73664).

use serde::de::IgnoredAny;

use super::wire::Envelope;
use crate::provider::Call;
use crate::provider::error::{ListError, Reason, Repeat, VendorWord, by_status, status_in_words};
use crate::provider::http::Answer;
use crate::provider::scalar::Row;
use crate::service::volcengine_redis::{CROSS_REGION_POLICY, RESTORE_WINDOW};

/// The error that an answer stands for. Its message is not repeated, as it may quote what was signed.
pub(super) fn refused(call: &Call, answer: &Answer) -> ListError {
    let Row(envelope) =
        serde_json::from_slice::<Row<Envelope<IgnoredAny>>>(&answer.body).unwrap_or_default();
    of_envelope(call, answer, envelope.unwrap_or_default())
}

/// The like for an answer that was read already.
pub(super) fn of_envelope<T>(call: &Call, answer: &Answer, envelope: Envelope<T>) -> ListError {
    let metadata = envelope.response_metadata.0.unwrap_or_default();
    let failure = metadata.error.0.unwrap_or_default();
    let code = failure.code.word().or_else(|| envelope.error_code.word());
    if answer.status == 200 && code.is_none() {
        return ListError::no_listing(call, answer.status, "no listing");
    }
    let code_text = code.as_ref().map_or("", VendorWord::as_str);
    let understood = if is_a_fact(call.operation, code_text) {
        Some((Reason::Unsupported, Repeat::Never))
    } else {
        by_code(code_text)
    };
    let (reason, repeat) = understood.unwrap_or_else(|| match answer.status {
        // An error that nobody documents, in a good answer.
        200 => (Reason::Server, Repeat::AfterPause),
        status => by_status(status),
    });
    ListError {
        repeat,
        status: Some(answer.status),
        missing_instance: is_missing_instance(code_text),
        detail: status_in_words(answer.status),
        request_id: metadata.request_id.word(),
        retry_after: super::requested_pause(answer),
        code,
        ..ListError::of(call, reason)
    }
}

/// Whether this page is after the last.
pub(super) fn is_past_the_end(error: &ListError) -> bool {
    let code = error.code.as_ref().map_or("", VendorWord::as_str);
    code == "OffsetOutOfRange"
}

/// Whether the code tells that there is no such thing, where it would tell of an outage for every other operation.
fn is_a_fact(operation: &str, code: &str) -> bool {
    match operation {
        // The enterprise edition has no such action, and neither has the vendor's international site.
        CROSS_REGION_POLICY => code == "InvalidActionOrVersion",
        // Data flashback has to be on; the page says so and names no code.
        RESTORE_WINDOW => code.contains("NotEnabled") || code.contains("NotOpen"),
        _ => false,
    }
}

fn is_missing_instance(code: &str) -> bool {
    code == "InstanceNotExist" || code.starts_with("InstanceNotFound")
}

fn by_code(code: &str) -> Option<(Reason, Repeat)> {
    use Reason as R;
    use Repeat::{AfterPause, Never};
    Some(match code {
        "InvalidAccessKey"
        | "SignatureDoesNotMatch"
        | "MissingAuthenticationToken"
        | "MissingSignature"
        | "InvalidSecretToken"
        | "InvalidAuthorization"
        | "InvalidCredential"
        | "InvalidTimestamp" => (R::Credentials, Never),

        "LackPolicy" | "LackProjectPolicy" | "AccessDenied" => (R::Permission, Never),

        // `FlowLimitExceeded.QPSOverLimit` occurs in a sister product.
        _ if code.starts_with("FlowLimitExceeded") => (R::Throttled, AfterPause),

        "ServiceNotFound" | "InvalidActionOrVersion" => (R::NotFound, Never),
        _ if is_missing_instance(code) => (R::NotFound, Never),

        // The instance is being changed; that lasts longer than an interval has room for repeats.
        "InstanceStatusNotMatch" => (R::Server, Never),

        "MissingParameter"
        | "MissingRequestInfo"
        | "InvalidRegion"
        | "ParamError"
        | "TimeFormatInvalid"
        | "TimeIntervalInvalid"
        | "OffsetOutOfRange"
        | "OrderTypeInvalid"
        | "InvalidOperator" => (R::BadRequest, Never),

        "InternalError" | "ServerError" => (R::Server, AfterPause),
        "InternalServiceTimeout" => (R::Timeout, AfterPause),

        // Single-node instances have no backups; the page says so and names no code.
        _ if code.contains("NotSupport") => (R::Unsupported, Never),
        _ => return None,
    })
}
