//! What an answer that is no listing means. The status is read before the code: gateways print the same number as
//! `APIGW.0308`, `APIG.0308` or `APIC.0308`, and some answers have no code at all.

use super::wire::ErrorEnvelope;
use crate::provider::Call;
use crate::provider::error::{ListError, Reason, Repeat, VendorWord, by_status, status_in_words};
use crate::provider::http::Answer;
use crate::provider::json;
use crate::provider::scalar::Row;

/// The error that an answer stands for. The message is not repeated: for a wrong signature the gateway echoes all that
/// was signed, token included.
pub(super) fn refused(call: &Call, answer: &Answer) -> ListError {
    let Row(envelope) = json::read::<Row<ErrorEnvelope>>(&answer.body).unwrap_or_default();
    let envelope = envelope.unwrap_or_default();
    let nested = envelope.error.0.unwrap_or_default();
    let code = envelope.error_code.word().or_else(|| nested.code.word());
    if answer.status == 200 && code.is_none() {
        return ListError::no_listing(call, answer.status, "no listing");
    }
    let in_header = || {
        let value = answer.headers.get("x-request-id")?;
        VendorWord::new(value.to_str().ok()?)
    };
    let (reason, repeat) = classify(answer.status, code.as_ref().map(VendorWord::as_str));
    let code_text = code.as_ref().map_or("", VendorWord::as_str);
    ListError {
        repeat,
        status: Some(answer.status),
        missing_instance: is_missing_instance(code_text),
        detail: status_in_words(answer.status).or_else(|| in_words(code_text)),
        request_id: envelope.request_id.word().or_else(in_header),
        retry_after: super::requested_pause(answer),
        code,
        ..ListError::of(call, reason)
    }
}

fn classify(status: u16, code: Option<&str>) -> (Reason, Repeat) {
    let code = code.unwrap_or_default();
    // The number of a gateway's code, whatever the gateway's name.
    let gateway = code
        .split_once('.')
        .filter(|(name, _)| name.starts_with("API"))
        .map_or("", |(_, number)| number);
    match (status, gateway, code) {
        (_, "0308", _) => (Reason::Throttled, Repeat::AfterPause),
        (_, "0301", _) => (Reason::Credentials, Repeat::Never),
        (_, "0302", _) => (Reason::Permission, Repeat::Never),
        (_, _, "DBS.200002" | "DBS.200045" | "DBS.200408" | "DBS.280404") => {
            (Reason::NotFound, Repeat::Never)
        }
        // The instance is not ready, or busy with another operation; two of the codes come with 500. That passes, but
        // not soon.
        (_, _, "DBS.280036" | "DBS.280228") | (409, ..) => (Reason::Server, Repeat::Never),
        (_, _, "DBS.111205") => (Reason::Timeout, Repeat::AfterPause),
        // An error in the body of a good answer: nobody documents it, and a gateway may have put it there.
        (200, ..) => (Reason::Server, Repeat::AfterPause),
        _ => by_status(status),
    }
}

fn is_missing_instance(code: &str) -> bool {
    matches!(code, "DBS.200002" | "DBS.200045" | "DBS.200408")
}

/// What a code does not say by itself.
fn in_words(code: &str) -> Option<String> {
    let words = match code {
        "DBS.200010" | "DBS.200044" | "DBS.280015" | "DBS.201003" => {
            "the instance is missing, or the policy does not allow it: the vendor does not say which"
        }
        "DBS.280404" => "this is no id of an instance",
        _ if code.starts_with("API") && code.ends_with(".0101") => "the region has no such API",
        _ => return None,
    };
    Some(words.to_owned())
}
