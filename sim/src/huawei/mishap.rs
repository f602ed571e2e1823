//! How each fault looks at this vendor: some spoil the right answer, others replace it.

use serde_json::{Value, json};

use super::oddity::{Oddity, Shape};
use super::parameters::Page;
use super::refusal::{Refusal, throttled, unauthenticated};
use super::{Call, Content, Success};
use crate::exchange::{Delivery, Reply};
use crate::fault::{FaultKind, NoRows, ThrottleHeader};
use crate::mishap;

/// Keys under which the answers have their lists.
const LISTS: [&str; 6] = [
    "backups",
    "instances",
    "offsite_backup_instances",
    "policy_para",
    "projects",
    "restore_time",
];

/// The delivery, and the error code in it.
pub(super) fn deliver(
    fault: &FaultKind,
    call: &Call,
    mut outcome: Result<Success, Refusal>,
) -> (Delivery, Option<String>) {
    if let Some(refusal) = refusal(fault) {
        let code = Some(refusal.code.clone());
        return (Delivery::Whole(call.reply(&Err(refusal))), code);
    }
    let code = outcome.as_ref().err().map(|refusal| refusal.code.clone());
    let mut reply = call.reply(&outcome);
    if fault.replaces_answer() {
        // What stands in for an answer has none of its headers, one of which may be a token.
        let kept = ["content-type", "x-request-id"];
        reply.headers.retain(|(name, _)| kept.contains(name));
    }
    if let Some(delivered) = mishap::deliver(fault, &reply, code.as_ref()) {
        return delivered;
    }
    match fault {
        FaultKind::ServerErrorXml => {
            let reply = Reply {
                status: 503,
                headers: vec![
                    ("content-type", "text/xml".to_owned()),
                    ("x-request-id", call.request_id.clone()),
                ],
                body: mishap::GATEWAY_XML.into(),
            };
            return (Delivery::Whole(reply), None);
        }
        FaultKind::FewerRows(kept) => {
            if let Some(answer) = fields(&mut outcome) {
                mishap::take_rows(answer, kept);
            }
        }
        FaultKind::WrongTotal(total) => change_total(&mut outcome, |_| json!(total)),
        FaultKind::TotalAsString => {
            change_total(&mut outcome, |total| json!(total.to_string()));
        }
        FaultKind::GrowingTotal => {
            let before = Page::read(&call.parameters).map_or(0, Page::pages_before);
            grow_total(&mut outcome, before);
        }
        FaultKind::NoRows(shape) => empty(&mut outcome, *shape),
        FaultKind::Huawei(Oddity::NullList) => change_list(&mut outcome, &Value::Null),
        FaultKind::Huawei(Oddity::EmptyList) => change_list(&mut outcome, &json!([])),
        // The others have been heeded already, while the rows were chosen.
        _ => {}
    }
    (Delivery::Whole(call.reply(&outcome)), code)
}

/// The error that a fault answers with.
fn refusal(fault: &FaultKind) -> Option<Refusal> {
    let refusal = match fault {
        FaultKind::Throttle {
            retry_after,
            header,
        } => {
            let wait = retry_after.filter(|_| *header == ThrottleHeader::RetryAfter);
            match wait {
                Some(wait) => throttled(60).header("retry-after", wait.as_secs().to_string()),
                // The other headers are another vendor's; the real gateway sends none.
                None => throttled(60),
            }
        }
        FaultKind::Error {
            status,
            code,
            message,
        } => Refusal::gateway(*status, code, message),
        FaultKind::BareError {
            status,
            code,
            message,
        } => Refusal::new(Shape::Plain, *status, code, message),
        FaultKind::ErrorIn200 { code } => Refusal::gateway(200, code, "Internal server error."),
        FaultKind::ExpiredToken => unauthenticated("decrypt token fail"),
        FaultKind::ServerErrorJson => {
            Refusal::service(500, "DBS.108000", "The server is abnormal.")
        }
        FaultKind::Huawei(Oddity::Refusal {
            shape,
            status,
            code,
            message,
            retry_after,
        }) => {
            let refusal = Refusal::new(*shape, *status, code, message);
            match retry_after {
                Some(wait) => refusal.header("retry-after", wait.as_secs().to_string()),
                None => refusal,
            }
        }
        _ => return None,
    };
    Some(refusal)
}

fn change_total(outcome: &mut Result<Success, Refusal>, change: impl Fn(&Value) -> Value) {
    if let Some(fields) = fields(outcome) {
        fields["total_count"] = change(&fields["total_count"]);
    }
}

/// As if rows had come in between the pages; an answer without a total stays without one.
fn grow_total(outcome: &mut Result<Success, Refusal>, pages_before: usize) {
    let total = fields(outcome).and_then(|fields| fields.get_mut("total_count"));
    if let Some(total) = total
        && let Some(number) = total.as_u64()
    {
        *total = json!(number + pages_before as u64);
    }
}

/// The lists are in the answer itself, so that is what holds them.
fn empty(outcome: &mut Result<Success, Refusal>, shape: NoRows) {
    let Some(answer) = fields(outcome) else {
        return;
    };
    match shape {
        NoRows::NullResult => *answer = Value::Null,
        NoRows::NoResult => *answer = json!({}),
        NoRows::NullList | NoRows::NoList => {
            let Some(fields) = answer.as_object_mut() else {
                return;
            };
            fields
                .entry("total_count")
                .and_modify(|total| *total = json!(0));
            for name in LISTS {
                if fields.remove(name).is_some() && shape == NoRows::NullList {
                    fields.insert(name.to_owned(), Value::Null);
                }
            }
        }
    }
}

fn change_list(outcome: &mut Result<Success, Refusal>, list: &Value) {
    let Some(fields) = fields(outcome) else {
        return;
    };
    for name in LISTS {
        if fields.get(name).is_some() {
            fields[name] = list.clone();
        }
    }
}

fn fields(outcome: &mut Result<Success, Refusal>) -> Option<&mut Value> {
    match outcome {
        Ok(Success {
            content: Content::Json(fields),
            ..
        }) => Some(fields),
        _ => None,
    }
}
