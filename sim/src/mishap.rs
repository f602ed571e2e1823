//! Faults that look the same at every vendor, because networks, gateways and captive portals make
//! them. What a vendor says in its own words is in its face.

use serde_json::{Value, json};

use crate::exchange::{Delivery, Reply};
use crate::fault::{FaultKind, FewerRows};

const GATEWAY_PAGE: &str = "<html>\r\n<head><title>503 Service Temporarily Unavailable</title></head>\r\n<body>\r\n\
                            <center><h1>503 Service Temporarily Unavailable</h1></center>\r\n<hr><center>nginx</center>\r\n</body>\r\n</html>\r\n";
/// The vendors of today speak JSON; some gateway before them need not.
pub(crate) const GATEWAY_XML: &str =
    "<?xml version=\"1.0\" encoding=\"UTF-8\"?><Error><Code>ServiceUnavailable</Code></Error>";
const PORTAL_PAGE: &str = "<!DOCTYPE html><html><head><title>Sign in</title></head><body><form>Welcome to this network</form></body></html>";

const MARK: &str = "@@BROKEN@@";
const BROKEN_TEXT: &[u8] = b"orders \\ud83d\t\xe9";

/// Changes the first row of an answer that is a page of rows.
fn change_first_row(reply: &mut Reply, change: impl FnOnce(&mut Value)) {
    let Ok(mut answer) = serde_json::from_slice::<Value>(&reply.body) else {
        return;
    };
    if let Some(row) = first_row(&mut answer) {
        change(row);
        reply.body = answer.to_string().into();
    }
}

/// The first object in the first list of objects.
fn first_row(value: &mut Value) -> Option<&mut Value> {
    match value {
        Value::Array(rows) => rows.first_mut().filter(|row| row.is_object()),
        Value::Object(fields) => fields.values_mut().find_map(first_row),
        _ => None,
    }
}

fn replaced_everywhere(bytes: &[u8], old: &[u8], new: &[u8]) -> Vec<u8> {
    let mut replaced = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some(next) = rest.first() {
        if let Some(after) = rest.strip_prefix(old) {
            replaced.extend_from_slice(new);
            rest = after;
        } else {
            replaced.push(*next);
            rest = &rest[1..];
        }
    }
    replaced
}

/// What becomes of `reply`, which holds the error code `code`, and the code in what is sent
/// instead; nothing if the fault is for the vendor to word.
pub(crate) fn deliver(
    fault: &FaultKind,
    reply: &Reply,
    code: Option<&String>,
) -> Option<(Delivery, Option<String>)> {
    let instead = |status: u16, kind: &str, body: &'static str| Reply {
        status,
        headers: reply
            .headers
            .iter()
            .filter(|(name, _)| *name != "content-type")
            .cloned()
            .chain([("content-type", kind.to_owned())])
            .collect(),
        body: body.into(),
    };
    let replaced = |status: u16, kind: &str, body: &'static str| {
        Some((Delivery::Whole(instead(status, kind, body)), None))
    };
    let spoiled = |delivery: Delivery| Some((delivery, code.cloned()));
    match fault {
        FaultKind::ServerErrorHtml => replaced(503, "text/html", GATEWAY_PAGE),
        FaultKind::Html200 => replaced(200, "text/html; charset=utf-8", PORTAL_PAGE),
        FaultKind::EmptyObject => replaced(200, "application/json;charset=utf-8", "{}"),
        FaultKind::Null => replaced(200, "application/json;charset=utf-8", "null"),
        FaultKind::Redirect(location) => {
            let mut reply = instead(302, "text/html", "");
            reply.headers.push(("location", location.clone()));
            Some((Delivery::Whole(reply), None))
        }
        FaultKind::HugeBody(length) => {
            let reply = instead(200, "application/json;charset=utf-8", "");
            Some((Delivery::Huge(reply, *length), None))
        }
        FaultKind::Hang => Some((Delivery::Never, None)),
        FaultKind::Reset => Some((Delivery::Reset, None)),
        FaultKind::Truncated => spoiled(Delivery::Half(reply.clone())),
        FaultKind::TruncatedJson => {
            let mut reply = reply.clone();
            reply.body.truncate(reply.body.len() / 2);
            spoiled(Delivery::Whole(reply))
        }
        FaultKind::NoRow => {
            let mut reply = reply.clone();
            change_first_row(&mut reply, |row| *row = Value::from(7));
            spoiled(Delivery::Whole(reply))
        }
        FaultKind::BrokenText => {
            let mut reply = reply.clone();
            change_first_row(&mut reply, |row| {
                let fields = row.as_object_mut().into_iter().flatten();
                for (name, value) in fields {
                    if ["name", "description"]
                        .iter()
                        .any(|end| name.to_lowercase().ends_with(end))
                    {
                        *value = Value::from(MARK);
                    }
                }
            });
            reply.body = replaced_everywhere(&reply.body, MARK.as_bytes(), BROKEN_TEXT).into();
            spoiled(Delivery::Whole(reply))
        }
        FaultKind::Slow(wait) => spoiled(Delivery::Late(reply.clone(), *wait)),
        FaultKind::Throttle { .. }
        | FaultKind::Error { .. }
        | FaultKind::BareError { .. }
        | FaultKind::ServerErrorJson
        | FaultKind::ServerErrorXml
        | FaultKind::ErrorIn200 { .. }
        | FaultKind::WrongTotal(_)
        | FaultKind::TotalAsString
        | FaultKind::PageLoop
        | FaultKind::RepeatedRow
        | FaultKind::GrowingTotal
        | FaultKind::NoRows(_)
        | FaultKind::FewerRows(_)
        | FaultKind::ExpiredToken
        | FaultKind::Huawei(_) => None,
    }
}

/// The lists that answers have at any vendor, and what counts their rows.
const LISTS: [&str; 9] = [
    "Item",
    "Backup",
    "DBInstance",
    "backups",
    "instances",
    "policy_para",
    "restore_time",
    "Backups",
    "Instances",
];
const TOTALS: [&str; 5] = [
    "TotalRecordCount",
    "TotalRecords",
    "total_count",
    "Total",
    "TotalInstancesNum",
];
/// The fields that say whose a row is.
const OWNERS: [&str; 3] = ["DBInstanceId", "id", "InstanceId"];

/// Takes rows out of an answer as if they had never been, wherever its list is.
pub(crate) fn take_rows(answer: &mut Value, kept: &FewerRows) {
    let holder = if answer["Items"].is_object() {
        &mut answer["Items"]
    } else {
        &mut *answer
    };
    let mut lists = LISTS.into_iter();
    let Some(name) = lists.find(|name| holder.get(name).is_some()) else {
        if *kept == FewerRows::None && answer["Active"].is_boolean() {
            answer["Active"] = json!(false);
            answer["CrossBackupRegion"] = json!("");
        }
        return;
    };
    let mut rows = holder[name].as_array().cloned().unwrap_or_default();
    match kept {
        FewerRows::None => rows.clear(),
        FewerRows::First(number) => rows.truncate(*number),
        FewerRows::Without(ids) => rows.retain(|row| {
            let mut owners = OWNERS.into_iter();
            let owner = owners.find_map(|field| row[field].as_str());
            owner.is_none_or(|owner| ids.iter().all(|id| id != owner))
        }),
    }
    let left = rows.len();
    holder[name] = json!(rows);
    for name in TOTALS {
        if let Some(total) = answer.get_mut(name) {
            *total = if total.is_string() {
                json!(left.to_string())
            } else {
                json!(left)
            };
        }
    }
    if let Some(fields) = answer.as_object_mut() {
        fields.remove("NextToken");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_with_fewer_rows_has_a_total_that_fits() {
        let taken = |mut answer: Value, kept: FewerRows| {
            take_rows(&mut answer, &kept);
            answer
        };
        let alibaba = json!({
            "TotalRecordCount": "2",
            "NextToken": "t",
            "Items": { "DBInstance": [{ "DBInstanceId": "rm-1" }, { "DBInstanceId": "rm-2" }] },
        });
        assert_eq!(
            taken(alibaba, FewerRows::Without(vec!["rm-1".to_owned()])),
            json!({ "TotalRecordCount": "1", "Items": { "DBInstance": [{ "DBInstanceId": "rm-2" }] } })
        );
        let huawei = json!({ "total_count": 2, "instances": [{ "id": "a" }, { "id": "b" }] });
        assert_eq!(
            taken(huawei, FewerRows::First(1)),
            json!({ "total_count": 1, "instances": [{ "id": "a" }] })
        );
        let volcengine = json!({ "Total": 1, "Backups": [{ "BackupPointId": "b" }] });
        assert_eq!(
            taken(volcengine, FewerRows::None),
            json!({ "Total": 0, "Backups": [] })
        );
        let policy = json!({ "Active": true, "CrossBackupRegion": "cn-shanghai", "TTL": 7 });
        assert_eq!(
            taken(policy, FewerRows::None),
            json!({ "Active": false, "CrossBackupRegion": "", "TTL": 7 })
        );
    }
}
