//! What an answer says: a page, an object, or why it is neither.

use serde::de::DeserializeOwned;

use super::refusal::{self, Refusal};
use super::requested_pause;
use crate::provider::Call;
use crate::provider::error::{ListError, VendorWord, status_in_words};
use crate::provider::http::Answer;
use crate::provider::json;
use crate::provider::row::Page;
use crate::provider::scalar::{Row, Scalar};

/// What a page is made of: the total, and its items with the rows in them, either of which may be missing.
pub(super) type Parts<R> = (Scalar, Option<Option<Vec<Row<R>>>>);

/// Reads an answer as a page, or tells why it is none.
pub(super) fn read_page<P: Default + DeserializeOwned, R>(
    call: &Call,
    answer: &Answer,
    parts: impl Fn(P) -> Parts<R>,
) -> Result<Page<R>, ListError> {
    read_object(call, answer, |page| {
        let (total, items) = parts(page);
        items.map(|rows| Page {
            rows: rows.unwrap_or_default(),
            total: total.count().unwrap_or_default(),
        })
    })
}

/// Reads an answer of which `parts` makes something, as long as it is an answer to this question.
pub(super) fn read_object<P: Default + DeserializeOwned, T>(
    call: &Call,
    answer: &Answer,
    parts: impl Fn(P) -> Option<T>,
) -> Result<T, ListError> {
    if answer.status != 200 {
        return Err(refused(call, answer));
    }
    let object = json::read::<Row<P>>(&answer.body);
    match object.map(|Row(object)| parts(object.unwrap_or_default())) {
        Ok(Some(read)) => Ok(read),
        // Some gateways put an error into a 200, as JSON or as XML.
        Ok(None) => Err(refused(call, answer)),
        Err(_) if Refusal::read(&answer.body).code.is_some() => Err(refused(call, answer)),
        Err(error) => Err(ListError::unreadable(call, answer.status, &error)),
    }
}

fn refused(call: &Call, answer: &Answer) -> ListError {
    let refusal = Refusal::read(&answer.body);
    let code = refusal.code.as_ref().map(VendorWord::as_str);
    if (answer.status, code) == (200, None) {
        return ListError::no_listing(call, answer.status, "no listing");
    }
    let (reason, repeat) = refusal::classify(answer.status, code);
    let denied = refusal.denied_action.as_ref();
    ListError {
        repeat,
        status: Some(answer.status),
        missing_instance: code.is_some_and(refusal::is_missing_instance),
        detail: status_in_words(answer.status)
            .or_else(|| denied.map(|action| format!("the policy lacks {action}"))),
        code: refusal.code,
        request_id: refusal.request_id,
        retry_after: requested_pause(answer),
        ..ListError::of(call, reason)
    }
}

/// Whether the asked page lies past the end.
pub(super) fn is_past_the_end(error: &ListError) -> bool {
    error
        .code
        .as_ref()
        .is_some_and(|code| refusal::is_past_the_end(code.as_str()))
}
