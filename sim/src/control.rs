//! The test's verbs for hands outside the process: somebody who tries alerts on the demo, or a
//! script that watches one being delivered.
//!
//! One verb, one POST: `/instances/ID/fail_backup?ago=90s`, `/accounts/NAME/deny?operation=NAME`.
//! A GET of `/` lists them. It has no password, and what it changes is simulated.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use http_body_util::Full;
use hyper::header::{ALLOW, HeaderValue};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::cloud::Cloud;
use crate::{query, span};

const HELP: &str = "Each verb is one POST, and answers with 404 if there is no such instance.

/instances/ID/fail_backup?ago=90s         the backup whose slot contains that moment (default: now) has failed
/instances/ID/stop_copies                 what ends from now on is not copied to other regions
/instances/ID/resume_copies
/instances/ID/stop_logs                   no log backup is made from now on
/instances/ID/resume_logs
/instances/ID/lose_logs?from=1h&to=30m    log backups of that time were never copied
/instances/ID/switch_policy_off           the cross-region policy
/instances/ID/switch_policy_on
/instances/ID/release                     the instance is deleted at its vendor
/accounts/NAME/deny?operation=OPERATION   the account's right to an operation
/accounts/NAME/allow?operation=OPERATION
";

/// Why nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Refusal {
    NoSuchVerb,
    NoSuchInstance(String),
    /// What is wrong with a parameter.
    Parameter(String),
}

/// Serves the verbs of `cloud` on `listener` until this future is dropped.
pub async fn serve(listener: TcpListener, cloud: Arc<Cloud>) {
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_) = connections.join_next(), if !connections.is_empty() => continue,
        };
        let Ok((stream, _)) = accepted else {
            // Out of file descriptors, most likely: wait until some connection has ended.
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let cloud = Arc::clone(&cloud);
        connections.spawn(async move {
            let service = service_fn(|request| {
                let response = respond(&cloud, &request);
                async { Ok::<_, Infallible>(response) }
            });
            // A connection that breaks is the client's to notice.
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

fn respond<B>(cloud: &Cloud, request: &Request<B>) -> Response<Full<Bytes>> {
    let (path, query) = (request.uri().path(), request.uri().query());
    let is_help = path == "/";
    let allowed = if is_help { Method::GET } else { Method::POST };
    if *request.method() != allowed {
        let mut response = text(StatusCode::METHOD_NOT_ALLOWED, HELP.to_owned());
        let allow = HeaderValue::from_static(if is_help { "GET" } else { "POST" });
        response.headers_mut().insert(ALLOW, allow);
        return response;
    }
    if is_help {
        return text(StatusCode::OK, HELP.to_owned());
    }
    match obey(cloud, path, query.unwrap_or_default()) {
        Ok(()) => text(StatusCode::OK, "done\n".to_owned()),
        Err(Refusal::NoSuchVerb) => text(StatusCode::NOT_FOUND, HELP.to_owned()),
        Err(Refusal::NoSuchInstance(id)) => {
            text(StatusCode::NOT_FOUND, format!("no instance {id}\n"))
        }
        Err(Refusal::Parameter(problem)) => text(StatusCode::BAD_REQUEST, problem + "\n"),
    }
}

fn text(status: StatusCode, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(body));
    *response.status_mut() = status;
    response
}

fn obey(cloud: &Cloud, path: &str, query: &str) -> Result<(), Refusal> {
    let segments: Vec<_> = path.split('/').skip(1).collect();
    let parameters = query::pairs(query);
    let parameter = |name: &str| {
        let mut found = parameters.iter().filter(|(key, _)| key == name);
        found.next().map(|(_, value)| value.as_str())
    };
    let now = cloud.clock().now();
    let moment = |name: &str, default| ago(now, name, parameter(name).or(default));
    match segments.as_slice() {
        ["instances", id, verb] => {
            let is_known = match *verb {
                "fail_backup" => cloud.fail_backup(id, moment("ago", Some("0s"))?),
                "stop_copies" => cloud.stop_copies(id),
                "resume_copies" => cloud.resume_copies(id),
                "stop_logs" => cloud.stop_logs(id),
                "resume_logs" => cloud.resume_logs(id),
                "lose_logs" => cloud.lose_logs(id, moment("from", None)?, moment("to", None)?),
                "switch_policy_off" => cloud.switch_policy_off(id),
                "switch_policy_on" => cloud.switch_policy_on(id),
                "release" => cloud.release_instance(id),
                _ => return Err(Refusal::NoSuchVerb),
            };
            let unknown = || Refusal::NoSuchInstance((*id).to_owned());
            is_known.then_some(()).ok_or_else(unknown)
        }
        ["accounts", account, verb @ ("deny" | "allow")] => {
            let missing = || Refusal::Parameter("operation is missing".to_owned());
            let operation = parameter("operation").ok_or_else(missing)?;
            if *verb == "deny" {
                cloud.deny(account, operation);
            } else {
                cloud.allow(account, operation);
            }
            Ok(())
        }
        _ => Err(Refusal::NoSuchVerb),
    }
}

/// The moment so long before now, as `90s` or `1h30m`.
fn ago(now: DateTime<Utc>, name: &str, written: Option<&str>) -> Result<DateTime<Utc>, Refusal> {
    let problem = |why: String| Refusal::Parameter(format!("{name}: {why}"));
    let written = written.ok_or_else(|| problem("is missing".to_owned()))?;
    let span = span::parse(written).map_err(problem)?;
    let span = chrono::TimeDelta::from_std(span).ok();
    span.and_then(|span| now.checked_sub_signed(span))
        .ok_or_else(|| problem("is too long ago".to_owned()))
}
