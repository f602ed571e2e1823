//! How each fault looks at this vendor: some spoil the right answer, others replace it.

use serde_json::{Value, json};

use super::Call;
use super::refusal::{Refusal, bad_token, throttled};
use crate::exchange::{Delivery, Reply};
use crate::fault::{FaultKind, NoRows};
use crate::mishap;

/// Totals and lists by the names that the operations give them.
const TOTALS: [&str; 2] = ["Total", "TotalInstancesNum"];
const LISTS: [&str; 2] = ["Backups", "Instances"];

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
        FaultKind::BareError {
            status,
            code,
            message,
        } => {
            let body = json!({ "HTTPCode": status, "errorcode": code, "message": message });
            let reply = call.json(*status, &body);
            return (Delivery::Whole(reply), Some(code.clone()));
        }
        FaultKind::ServerErrorXml => {
            let reply = Reply {
                status: 503,
                headers: vec![("content-type", "text/xml;charset=utf-8".to_owned())],
                body: mishap::GATEWAY_XML.into(),
            };
            return (
                Delivery::Whole(reply),
                Some("ServiceUnavailable".to_owned()),
            );
        }
        FaultKind::NoRows(shape) if outcome.is_ok() => {
            let reply = call.json(200, &without_rows(*shape, call, &outcome));
            return (Delivery::Whole(reply), None);
        }
        FaultKind::FewerRows(kept) => {
            if let Ok(answer) = &mut outcome {
                mishap::take_rows(answer, kept);
            }
        }
        FaultKind::WrongTotal(total) => change_total(&mut outcome, |_| json!(total)),
        FaultKind::TotalAsString => change_total(&mut outcome, |total| json!(total.to_string())),
        FaultKind::GrowingTotal => {
            let page = call.page_number().unwrap_or(1);
            change_total(&mut outcome, |total| {
                json!(total.as_u64().unwrap_or(0) + page - 1)
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
        } => throttled().header(header.line(retry_after.unwrap_or_default())),
        FaultKind::Error {
            status,
            code,
            message,
        } => Refusal::stated(*status, code, message),
        FaultKind::ErrorIn200 { code } => {
            Refusal::stated(200, code, "The request processing has failed.")
        }
        FaultKind::ServerErrorJson => Refusal::gateway(
            "InternalError",
            "Internal service error, please try again later.",
        ),
        FaultKind::ExpiredToken => bad_token(),
        _ => return None,
    })
}

fn change_total(outcome: &mut Result<Value, Refusal>, change: impl Fn(&Value) -> Value) {
    let Ok(Value::Object(fields)) = outcome else {
        return;
    };
    for name in TOTALS {
        if let Some(total) = fields.get_mut(name) {
            *total = change(total);
        }
    }
}

fn without_rows(shape: NoRows, call: &Call, outcome: &Result<Value, Refusal>) -> Value {
    let mut envelope = call.envelope(outcome);
    match shape {
        NoRows::NullResult => envelope["Result"] = Value::Null,
        NoRows::NoResult => {
            if let Some(fields) = envelope.as_object_mut() {
                fields.remove("Result");
            }
        }
        NoRows::NullList | NoRows::NoList => {
            if let Some(fields) = envelope["Result"].as_object_mut() {
                for name in TOTALS {
                    fields.entry(name).and_modify(|total| *total = json!(0));
                }
                for name in LISTS {
                    if fields.remove(name).is_some() && shape == NoRows::NullList {
                        fields.insert(name.to_owned(), Value::Null);
                    }
                }
            }
        }
    }
    envelope
}
