//! How each fault looks at this vendor: some spoil the right answer, others replace it.

use std::time::Duration;

use serde_json::{Value, json};

use super::refusal::{Refusal, throttled, token_expired};
use super::{Call, xml};
use crate::exchange::{Delivery, Reply};
use crate::fault::{FaultKind, ThrottleHeader};

const GATEWAY_PAGE: &str = "<html>\r\n<head><title>503 Service Temporarily Unavailable</title></head>\r\n<body>\r\n\
                            <center><h1>503 Service Temporarily Unavailable</h1></center>\r\n<hr><center>Tengine</center>\r\n</body>\r\n</html>\r\n";
const PORTAL_PAGE: &str = "<!DOCTYPE html><html><head><title>Sign in</title></head><body><form>Welcome to this network</form></body></html>";

/// The delivery, and the error code in it.
pub(super) fn deliver(
    fault: &FaultKind,
    call: &Call,
    mut outcome: Result<Value, Refusal>,
) -> (Delivery, Option<String>) {
    let raw = |status: u16, kind: &str, body: String| Reply {
        status,
        headers: vec![
            ("content-type", kind.to_owned()),
            ("x-acs-request-id", call.request_id.clone()),
        ],
        body: body.into(),
    };
    let json = |body: &str| {
        (
            Delivery::Whole(raw(200, "application/json;charset=utf-8", body.to_owned())),
            None,
        )
    };
    let refuse = |refusal: Refusal| {
        let code = Some(refusal.code.clone());
        (Delivery::Whole(call.reply(&Err(refusal))), code)
    };
    match fault {
        FaultKind::Throttle {
            retry_after,
            header,
        } => refuse(throttle(*retry_after, *header)),
        FaultKind::Error {
            status,
            code,
            message,
        } => refuse(Refusal::new(*status, code, message)),
        FaultKind::ErrorIn200 { code } => refuse(Refusal::new(
            200,
            code,
            "The request processing has failed.",
        )),
        FaultKind::ExpiredToken => refuse(token_expired()),
        FaultKind::ServerErrorJson => refuse(internal_error()),
        FaultKind::ServerErrorXml => {
            let refusal = Refusal::new(
                503,
                "ServiceUnavailable",
                "The request has failed due to a temporary failure of the server.",
            );
            let body = xml::document("Error", &refusal.envelope(&call.request_id));
            (
                Delivery::Whole(raw(503, "text/xml;charset=utf-8", body)),
                Some(refusal.code),
            )
        }
        FaultKind::ServerErrorHtml => (
            Delivery::Whole(raw(503, "text/html", GATEWAY_PAGE.to_owned())),
            None,
        ),
        FaultKind::Html200 => (
            Delivery::Whole(raw(200, "text/html; charset=utf-8", PORTAL_PAGE.to_owned())),
            None,
        ),
        FaultKind::EmptyObject => json("{}"),
        FaultKind::Null => json("null"),
        FaultKind::Redirect(location) => {
            let mut reply = raw(302, "text/html", String::new());
            reply.headers.push(("location", location.clone()));
            (Delivery::Whole(reply), None)
        }
        FaultKind::HugeBody(length) => (
            Delivery::Huge(
                raw(200, "application/json;charset=utf-8", String::new()),
                *length,
            ),
            None,
        ),
        FaultKind::Hang => (Delivery::Never, None),
        FaultKind::Reset => (Delivery::Reset, None),
        FaultKind::Truncated => (Delivery::Half(call.reply(&outcome)), code(outcome)),
        FaultKind::TruncatedJson => {
            let mut reply = call.reply(&outcome);
            reply.body.truncate(reply.body.len() / 2);
            (Delivery::Whole(reply), code(outcome))
        }
        FaultKind::Slow(wait) => (Delivery::Late(call.reply(&outcome), *wait), code(outcome)),
        FaultKind::WrongTotal(total) => {
            change_total(&mut outcome, |_| json!(total));
            (Delivery::Whole(call.reply(&outcome)), code(outcome))
        }
        FaultKind::TotalAsString => {
            change_total(&mut outcome, |total| {
                if total.is_string() {
                    total.clone()
                } else {
                    json!(total.to_string())
                }
            });
            (Delivery::Whole(call.reply(&outcome)), code(outcome))
        }
        // The first page has been read already, instead of the one that was asked for.
        FaultKind::PageLoop | FaultKind::Huawei(_) => {
            (Delivery::Whole(call.reply(&outcome)), code(outcome))
        }
    }
}

fn code(outcome: Result<Value, Refusal>) -> Option<String> {
    outcome.err().map(|refusal| refusal.code)
}

fn change_total(outcome: &mut Result<Value, Refusal>, change: impl Fn(&Value) -> Value) {
    if let Ok(answer) = outcome {
        answer["TotalRecordCount"] = change(&answer["TotalRecordCount"]);
    }
}

fn internal_error() -> Refusal {
    Refusal::new(
        500,
        "InternalError",
        "The request processing has failed due to some unknown error, exception or failure.",
    )
}

fn throttle(retry_after: Option<Duration>, header: ThrottleHeader) -> Refusal {
    let milliseconds = retry_after.unwrap_or_default().as_millis();
    let limits = format!("Limit:1,Remain:0,TimeLeft:{milliseconds},Reset:1234");
    match header {
        ThrottleHeader::RetryAfterMillis => {
            throttled().header("x-acs-retry-after", milliseconds.to_string())
        }
        ThrottleHeader::RateLimitUser => throttled().header("x-ratelimit-user", limits),
        ThrottleHeader::RateLimitUserApi => throttled().header("x-ratelimit-user-api", limits),
        ThrottleHeader::RetryAfter => {
            throttled().header("retry-after", (milliseconds / 1000).to_string())
        }
        ThrottleHeader::None => throttled(),
    }
}
