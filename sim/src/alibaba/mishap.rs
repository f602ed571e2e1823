//! How each fault looks at this vendor: some spoil the right answer, others replace it.

use serde_json::{Value, json};

use super::refusal::{Refusal, throttled, token_expired};
use super::{Call, xml};
use crate::exchange::{Delivery, Reply};
use crate::fault::{FaultKind, NoRows};
use crate::mishap;

/// The delivery, and the error code in it.
pub(super) fn deliver(
    fault: &FaultKind,
    call: &Call,
    mut outcome: Result<Value, Refusal>,
) -> (Delivery, Option<String>) {
    let code = outcome.as_ref().err().map(|refusal| refusal.code.clone());
    if let Some(delivered) = mishap::deliver(fault, &call.reply(&outcome), code.as_ref()) {
        return delivered;
    }
    if let Some(refusal) = refusal(fault) {
        let code = Some(refusal.code.clone());
        return (Delivery::Whole(call.reply(&Err(refusal))), code);
    }
    match fault {
        FaultKind::ServerErrorXml => return unavailable_in_xml(call),
        FaultKind::BareError {
            status,
            code,
            message,
        } => {
            // Lower-case names, which the vendor's clients accept as well.
            let body = json!({ "code": code, "message": message, "requestId": call.request_id });
            let kind = "application/json;charset=utf-8";
            let reply = raw(call, *status, kind, body.to_string());
            return (Delivery::Whole(reply), Some(code.clone()));
        }
        FaultKind::NoRows(shape) => empty(&mut outcome, *shape),
        FaultKind::FewerRows(kept) => {
            if let Ok(answer) = &mut outcome {
                mishap::take_rows(answer, kept);
            }
        }
        FaultKind::WrongTotal(total) => change_total(&mut outcome, |_| json!(total)),
        FaultKind::TotalAsString => change_total(&mut outcome, |total| json!(plain(total))),
        FaultKind::GrowingTotal => {
            let page = call.parameter("PageNumber").unwrap_or("1");
            let pages_before = page.parse::<u64>().unwrap_or(1).saturating_sub(1);
            change_total(&mut outcome, |total| {
                let grown = plain(total).parse::<u64>().unwrap_or(0) + pages_before;
                like(total, grown)
            });
        }
        // Page loops and repeated rows are in the outcome already.
        _ => {}
    }
    (Delivery::Whole(call.reply(&outcome)), code)
}

/// The faults that are errors in the vendor's envelope.
fn refusal(fault: &FaultKind) -> Option<Refusal> {
    Some(match fault {
        FaultKind::Throttle {
            retry_after,
            header,
        } => match header.line(retry_after.unwrap_or_default()) {
            Some((name, value)) => throttled().header(name, value),
            None => throttled(),
        },
        FaultKind::Error {
            status,
            code,
            message,
        } => Refusal::new(*status, code, message),
        FaultKind::ErrorIn200 { code } => {
            Refusal::new(200, code, "The request processing has failed.")
        }
        FaultKind::ExpiredToken => token_expired(),
        FaultKind::ServerErrorJson => Refusal::new(
            500,
            "InternalError",
            "The request processing has failed due to some unknown error, exception or failure.",
        ),
        _ => return None,
    })
}

fn unavailable_in_xml(call: &Call) -> (Delivery, Option<String>) {
    let refusal = Refusal::new(
        503,
        "ServiceUnavailable",
        "The request has failed due to a temporary failure of the server.",
    );
    let body = xml::document("Error", &call.error(&refusal));
    let reply = raw(call, 503, "text/xml;charset=utf-8", body);
    (Delivery::Whole(reply), Some(refusal.code))
}

fn raw(call: &Call, status: u16, kind: &str, body: String) -> Reply {
    Reply {
        status,
        headers: vec![
            ("content-type", kind.to_owned()),
            ("x-acs-request-id", call.request_id.clone()),
        ],
        body: body.into(),
    }
}

fn change_total(outcome: &mut Result<Value, Refusal>, change: impl Fn(&Value) -> Value) {
    let Ok(answer) = outcome else {
        return;
    };
    // The list of policies has its own name for it.
    for name in ["TotalRecordCount", "TotalRecords"] {
        if answer[name] != Value::Null {
            answer[name] = change(&answer[name]);
        }
    }
}

/// A total as text, whichever way the listing has it.
fn plain(total: &Value) -> String {
    total
        .as_str()
        .map_or_else(|| total.to_string(), str::to_owned)
}

/// A number in the way of another one.
fn like(model: &Value, number: u64) -> Value {
    if model.is_string() {
        json!(number.to_string())
    } else {
        json!(number)
    }
}

fn empty(outcome: &mut Result<Value, Refusal>, shape: NoRows) {
    change_total(outcome, |total| like(total, 0));
    let Ok(Value::Object(answer)) = outcome else {
        return;
    };
    match (shape, answer.get_mut("Items")) {
        (NoRows::NoResult, _) => {
            answer.remove("Items");
        }
        (NoRows::NullResult, Some(items)) => *items = Value::Null,
        (NoRows::NoList, Some(items)) => *items = json!({}),
        (NoRows::NullList, Some(Value::Object(items))) => {
            items.values_mut().for_each(|list| *list = Value::Null);
        }
        _ => {}
    }
}
