//! How each fault looks at this vendor: some spoil the right answer, others replace it.

use serde_json::{Value, json};

use super::oddity::Oddity;
use super::refusal::{Refusal, throttled, unauthenticated};
use super::{Call, Content, Success};
use crate::exchange::{Delivery, Reply};
use crate::fault::{FaultKind, ThrottleHeader};

const GATEWAY_PAGE: &str = "<html>\r\n<head><title>503 Service Temporarily Unavailable</title></head>\r\n<body>\r\n\
                            <center><h1>503 Service Temporarily Unavailable</h1></center>\r\n<hr><center>CloudWAF</center>\r\n</body>\r\n</html>\r\n";
const PORTAL_PAGE: &str = "<!DOCTYPE html><html><head><title>Sign in</title></head><body><form>Welcome to this network</form></body></html>";
const XML_ERROR: &str =
    "<?xml version=\"1.0\" encoding=\"UTF-8\"?><Error><Code>ServiceUnavailable</Code></Error>";

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
    let refuse = |refusal: Refusal| {
        let code = Some(refusal.code.clone());
        (Delivery::Whole(call.reply(&Err(refusal))), code)
    };
    if let Some(refusal) = refusal(fault) {
        return refuse(refusal);
    }
    if let Some(delivery) = replacement(fault, call) {
        return (delivery, None);
    }
    match fault {
        FaultKind::WrongTotal(total) => change_total(&mut outcome, |_| json!(total)),
        FaultKind::TotalAsString => {
            change_total(&mut outcome, |total| json!(total.to_string()));
        }
        FaultKind::Huawei(Oddity::NullList) => change_list(&mut outcome, &Value::Null),
        FaultKind::Huawei(Oddity::EmptyList) => change_list(&mut outcome, &json!([])),
        // The others have been heeded already, while the rows were chosen, or are heeded below.
        _ => {}
    }
    let mut reply = call.reply(&outcome);
    let code = outcome.err().map(|refusal| refusal.code);
    let delivery = match fault {
        FaultKind::Truncated => Delivery::Half(reply),
        FaultKind::TruncatedJson => {
            reply.body.truncate(reply.body.len() / 2);
            Delivery::Whole(reply)
        }
        FaultKind::Slow(wait) => Delivery::Late(reply, *wait),
        _ => Delivery::Whole(reply),
    };
    (delivery, code)
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

/// What comes in place of an answer.
fn replacement(fault: &FaultKind, call: &Call) -> Option<Delivery> {
    let raw = |status: u16, kind: &str, body: &str| Reply {
        status,
        headers: vec![
            ("content-type", kind.to_owned()),
            ("x-request-id", call.request_id.clone()),
        ],
        body: body.to_owned().into(),
    };
    let json = |body: &str| Delivery::Whole(raw(200, "application/json", body));
    let delivery = match fault {
        FaultKind::ServerErrorXml => Delivery::Whole(raw(503, "text/xml", XML_ERROR)),
        FaultKind::ServerErrorHtml => Delivery::Whole(raw(503, "text/html", GATEWAY_PAGE)),
        FaultKind::Html200 => Delivery::Whole(raw(200, "text/html", PORTAL_PAGE)),
        FaultKind::EmptyObject => json("{}"),
        FaultKind::Null => json("null"),
        FaultKind::Redirect(location) => {
            let mut reply = raw(302, "text/html", "");
            reply.headers.push(("location", location.clone()));
            Delivery::Whole(reply)
        }
        FaultKind::HugeBody(length) => Delivery::Huge(raw(200, "application/json", ""), *length),
        FaultKind::Hang => Delivery::Never,
        FaultKind::Reset => Delivery::Reset,
        _ => return None,
    };
    Some(delivery)
}

fn change_total(outcome: &mut Result<Success, Refusal>, change: impl Fn(&Value) -> Value) {
    if let Some(fields) = fields(outcome) {
        fields["total_count"] = change(&fields["total_count"]);
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
