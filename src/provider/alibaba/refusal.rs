//! What an answer that is no listing means: the vendor's error codes, and what is left when there is none.
//!
//! Codes are read before the status, because Alibaba answers throttling with 400 and a lack of rights with 403 or 404.

use crate::provider::error::{Reason, Repeat, VendorWord, by_status};
use crate::provider::json;
use crate::provider::scalar::Row;

/// What a vendor's error body says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Refusal {
    /// The error code.
    pub code: Option<VendorWord>,
    /// The id of the request.
    pub request_id: Option<VendorWord>,
    /// The action that the policy lacks (`AccessDeniedDetail.AuthAction`).
    pub denied_action: Option<VendorWord>,
}

impl Refusal {
    /// Reads a JSON or XML error body; HTML of a gateway tells nothing.
    pub(super) fn read(body: &[u8]) -> Self {
        if let Ok(Row(envelope)) = json::read::<Row<super::wire::ErrorEnvelope>>(body) {
            let envelope = envelope.unwrap_or_default();
            return Self {
                code: envelope.code.word(),
                request_id: envelope.request_id.word(),
                denied_action: envelope
                    .access_denied_detail
                    .0
                    .and_then(|detail| detail.auth_action.word()),
            };
        }
        let text = String::from_utf8_lossy(body);
        Self {
            code: element(&text, "Code"),
            request_id: element(&text, "RequestId"),
            denied_action: element(&text, "AuthAction"),
        }
    }
}

/// The content of the first XML element of this name. A whole parser is not needed for four flat elements.
fn element(xml: &str, name: &str) -> Option<VendorWord> {
    let (_, rest) = xml.split_once(&format!("<{name}>"))?;
    let (content, _) = rest.split_once(&format!("</{name}>"))?;
    VendorWord::new(content.trim())
}

/// What an error code means, else what the status means.
pub(super) fn classify(status: u16, code: Option<&str>) -> (Reason, Repeat) {
    code.and_then(by_code).unwrap_or_else(|| by_status(status))
}

/// Whether the code says that the instance itself does not exist (any more).
pub(super) fn is_missing_instance(code: &str) -> bool {
    matches!(
        code,
        "InvalidDBInstance.NotFound"
            | "InvalidDBInstanceName.NotFound"
            | "InvalidDBInstanceId.NotFound"
    )
}

/// Whether the code says that what a restore would begin with, or go on with, is not there.
pub(super) fn is_without_window(code: &str) -> bool {
    matches!(
        code,
        "InvalidBinlog.NotFound" | "InvalidBackup.NotFound" | "InvalidBackupSetID.NotFound"
    )
}

/// Whether the code speaks of one instance in such a way that it says nothing of others in the same question.
pub(super) fn is_about_one_instance(code: &str) -> bool {
    matches!(
        code,
        "Forbidden.InstanceNotFound" | "IncorrectDBInstanceState" | "IncorrectDBInstanceLockMode"
    )
}

/// Whether the code says that the asked page lies past the end.
pub(super) fn is_past_the_end(code: &str) -> bool {
    code.eq_ignore_ascii_case("InvalidPage.NotFound")
}

fn by_code(code: &str) -> Option<(Reason, Repeat)> {
    use Reason as R;
    use Repeat::{Afresh, AfterPause, Never};
    Some(match code {
        // A spent nonce says nothing against the key: sign anew.
        "SignatureNonceUsed" => (R::Credentials, Afresh),
        "SignatureDoesNotMatch"
        | "IncompleteSignature"
        | "InvalidAccessKeyId.NotFound"
        | "InvalidAccessKeyId.Inactive"
        | "Forbidden.AccessKeyDisabled"
        | "MissingSecurityToken"
        | "InvalidTimeStamp.Format"
        | "InvalidTimeStamp.Expired" => (R::Credentials, Never),
        _ if code.starts_with("InvalidSecurityToken") => (R::Credentials, Never),

        "ServiceUnavailable" | "TimeoutRetryLater" => (R::Throttled, AfterPause),
        _ if code.contains("Throttling") => (R::Throttled, AfterPause),

        "InvalidUserOperatorPermission" | "NotInFlowController" => (R::Permission, Never),
        _ if code.starts_with("Forbidden") || code.starts_with("NoPermission") => {
            (R::Permission, Never)
        }

        "InvalidDBInstance.NotFound"
        | "InvalidDBInstanceName.NotFound"
        | "InvalidDBInstanceId.NotFound"
        | "InvalidBackupSetID.NotFound"
        | "InvalidBackupId.NotFound"
        | "InvalidBackup.NotFound"
        | "InvalidBinlog.NotFound"
        | "Request.NotFound"
        | "HostInfo.NotFound"
        | "InvalidUser.NotFound"
        | "InvalidApi.NotFound" => (R::NotFound, Never),
        _ if is_past_the_end(code) => (R::NotFound, Never),

        "CrossBackupNotSupport"
        | "Api.NotSupport"
        | "IncorrectDBInstanceEngine"
        | "InvalidDBInstanceEngineType.Format"
        | "IncorrectDBInstanceType"
        | "IncorrectDBInstanceCharacterType"
        | "ReadDBInstanceNotSupport"
        | "CloudSSDNotSupport"
        | "LogBackupNotEnabled"
        | "NoAvailableLogBackup"
        | "NoAvailableDisasterRestoreBakset"
        | "RegionDissolvedEOM" => (R::Unsupported, Never),

        // The instance is being changed or is locked; that lasts longer than an interval has room for repeats.
        "IncorrectDBInstanceState" | "IncorrectDBInstanceLockMode" => (R::Server, Never),

        "ParameterAbsence"
        | "MissingParameter"
        | "InvalidParameters.Format"
        | "InvalidRegion.Format"
        | "InvalidStartTime.Format"
        | "InvalidEndTime.Format"
        | "InvalidTime.Format"
        | "InvalidParameterCombination"
        | "InvalidPageNumbers.Malformed"
        | "InvalidMaxRecordsPerPage.Malformed" => (R::BadRequest, Never),

        "InternalError"
        | "InternalFailure"
        | "ExternalFailure"
        | "RequestMetaDataFailed"
        | "InvokeProxyFailure"
        | "ServiceTemporarilyClosed" => (R::Server, AfterPause),

        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use Reason as R;
    use Repeat::{Afresh, AfterPause, Never};

    #[test]
    #[expect(clippy::too_many_lines, reason = "a table is as long as it has rows")]
    fn every_error_code_of_the_vendors_pages_has_its_class() {
        for (status, code, expected) in [
            (400, "Throttling", (R::Throttled, AfterPause)),
            (400, "Throttling.User", (R::Throttled, AfterPause)),
            (400, "Throttling.Api", (R::Throttled, AfterPause)),
            (400, "Rejected.Throttling", (R::Throttled, AfterPause)),
            (503, "ServiceUnavailable", (R::Throttled, AfterPause)),
            (400, "TimeoutRetryLater", (R::Throttled, AfterPause)),
            (404, "InvalidAccessKeyId.NotFound", (R::Credentials, Never)),
            (400, "InvalidAccessKeyId.NotFound", (R::Credentials, Never)),
            (400, "InvalidAccessKeyId.Inactive", (R::Credentials, Never)),
            (403, "Forbidden.AccessKeyDisabled", (R::Credentials, Never)),
            (400, "SignatureDoesNotMatch", (R::Credentials, Never)),
            (403, "SignatureDoesNotMatch", (R::Credentials, Never)),
            (400, "IncompleteSignature", (R::Credentials, Never)),
            (400, "InvalidSecurityToken.Expired", (R::Credentials, Never)),
            (
                400,
                "InvalidSecurityToken.Malformed",
                (R::Credentials, Never),
            ),
            (
                400,
                "InvalidSecurityToken.MismatchWithAccessKey",
                (R::Credentials, Never),
            ),
            (400, "MissingSecurityToken", (R::Credentials, Never)),
            (400, "InvalidTimeStamp.Format", (R::Credentials, Never)),
            (400, "InvalidTimeStamp.Expired", (R::Credentials, Never)),
            (400, "SignatureNonceUsed", (R::Credentials, Afresh)),
            (403, "Forbidden.RAM", (R::Permission, Never)),
            (403, "Forbidden", (R::Permission, Never)),
            (403, "NoPermission", (R::Permission, Never)),
            (403, "NoPermission.Account", (R::Permission, Never)),
            (403, "Forbidden.RiskControl", (R::Permission, Never)),
            (403, "InvalidUserOperatorPermission", (R::Permission, Never)),
            (403, "NotInFlowController", (R::Permission, Never)),
            (404, "Forbidden.InstanceNotFound", (R::Permission, Never)),
            (404, "InvalidDBInstance.NotFound", (R::NotFound, Never)),
            (404, "InvalidDBInstanceName.NotFound", (R::NotFound, Never)),
            (400, "InvalidDBInstanceId.NotFound", (R::NotFound, Never)),
            (404, "InvalidBackupSetID.NotFound", (R::NotFound, Never)),
            (404, "InvalidBackupId.NotFound", (R::NotFound, Never)),
            (404, "InvalidBackup.NotFound", (R::NotFound, Never)),
            (404, "InvalidBinlog.NotFound", (R::NotFound, Never)),
            (404, "InvalidPage.notFound", (R::NotFound, Never)),
            (404, "Request.NotFound", (R::NotFound, Never)),
            (404, "HostInfo.NotFound", (R::NotFound, Never)),
            (404, "InvalidUser.NotFound", (R::NotFound, Never)),
            (404, "InvalidApi.NotFound", (R::NotFound, Never)),
            (403, "CrossBackupNotSupport", (R::Unsupported, Never)),
            (400, "Api.NotSupport", (R::Unsupported, Never)),
            (403, "IncorrectDBInstanceEngine", (R::Unsupported, Never)),
            (
                400,
                "InvalidDBInstanceEngineType.Format",
                (R::Unsupported, Never),
            ),
            (403, "IncorrectDBInstanceType", (R::Unsupported, Never)),
            (
                403,
                "IncorrectDBInstanceCharacterType",
                (R::Unsupported, Never),
            ),
            (403, "ReadDBInstanceNotSupport", (R::Unsupported, Never)),
            (403, "CloudSSDNotSupport", (R::Unsupported, Never)),
            (400, "LogBackupNotEnabled", (R::Unsupported, Never)),
            (404, "NoAvailableLogBackup", (R::Unsupported, Never)),
            (
                400,
                "NoAvailableDisasterRestoreBakset",
                (R::Unsupported, Never),
            ),
            (400, "RegionDissolvedEOM", (R::Unsupported, Never)),
            (403, "IncorrectDBInstanceState", (R::Server, Never)),
            (403, "IncorrectDBInstanceLockMode", (R::Server, Never)),
            (400, "ParameterAbsence", (R::BadRequest, Never)),
            (400, "MissingParameter", (R::BadRequest, Never)),
            (400, "InvalidParameters.Format", (R::BadRequest, Never)),
            (400, "InvalidRegion.Format", (R::BadRequest, Never)),
            (400, "InvalidStartTime.Format", (R::BadRequest, Never)),
            (400, "InvalidEndTime.Format", (R::BadRequest, Never)),
            (400, "InvalidTime.Format", (R::BadRequest, Never)),
            (400, "InvalidParameterCombination", (R::BadRequest, Never)),
            (400, "InvalidPageNumbers.Malformed", (R::BadRequest, Never)),
            (
                403,
                "InvalidMaxRecordsPerPage.Malformed",
                (R::BadRequest, Never),
            ),
            (500, "InternalError", (R::Server, AfterPause)),
            (500, "InternalFailure", (R::Server, AfterPause)),
            (500, "ExternalFailure", (R::Server, AfterPause)),
            (500, "RequestMetaDataFailed", (R::Server, AfterPause)),
            (500, "InvokeProxyFailure", (R::Server, AfterPause)),
            (400, "ServiceTemporarilyClosed", (R::Server, AfterPause)),
            // Codes that every operation of the product shares fall back to the status.
            (400, "Order.PeriodInvalid", (R::BadRequest, Never)),
            (403, "OrderStatus.UnPaid", (R::Permission, Never)),
            (500, "SomethingNew", (R::Server, AfterPause)),
        ] {
            assert_eq!(classify(status, Some(code)), expected, "{status} {code}");
        }
    }

    #[test]
    fn an_answer_without_a_code_is_classed_by_its_status() {
        for (status, expected) in [
            (301, (R::Malformed, Never)),
            (302, (R::Malformed, Never)),
            (400, (R::BadRequest, Never)),
            (401, (R::Credentials, Never)),
            (403, (R::Permission, Never)),
            (404, (R::NotFound, Never)),
            (407, (R::Network, Never)),
            (408, (R::Timeout, AfterPause)),
            (429, (R::Throttled, AfterPause)),
            (500, (R::Server, AfterPause)),
            (503, (R::Server, AfterPause)),
        ] {
            assert_eq!(classify(status, None), expected, "{status}");
        }
    }

    #[test]
    fn error_bodies_are_read_as_json_as_xml_and_not_at_all_as_html() {
        let check =
            |body: &str, code: Option<&str>, request_id: Option<&str>, action: Option<&str>| {
                let refusal = Refusal::read(body.as_bytes());
                let word =
                    |word: &Option<VendorWord>| word.as_ref().map(|word| word.as_str().to_owned());
                assert_eq!(
                    (
                        word(&refusal.code).as_deref(),
                        word(&refusal.request_id).as_deref(),
                        word(&refusal.denied_action).as_deref()
                    ),
                    (code, request_id, action),
                    "{body}"
                );
            };
        check(
            r#"{"RequestId":"8B4D","HostId":"rds.aliyuncs.com","Code":"Forbidden.RAM","Message":"no",
                "AccessDeniedDetail":{"AuthAction":"rds:DescribeBackups","NoPermissionType":"ImplicitDeny"}}"#,
            Some("Forbidden.RAM"),
            Some("8B4D"),
            Some("rds:DescribeBackups"),
        );
        check(
            r#"{"requestId":"8b4d","code":"Throttling"}"#,
            Some("Throttling"),
            Some("8b4d"),
            None,
        );
        check(
            "<?xml version='1.0'?><Error><RequestId>8B4D</RequestId><HostId>h</HostId>\
             <Code>ServiceUnavailable</Code><Message>busy</Message></Error>",
            Some("ServiceUnavailable"),
            Some("8B4D"),
            None,
        );
        check(
            "<html><body>503 Service Unavailable</body></html>",
            None,
            None,
            None,
        );
        check("", None, None, None);
        check("null", None, None, None);
        check("[1,2]", None, None, None);
        check("\"Throttling\"", None, None, None);
        check(r#"{"Code":404}"#, Some("404"), None, None);
        // A detail of an unexpected kind does not cost us the code.
        for detail in ["\"ImplicitDeny\"", "[]", "7", "null"] {
            let body = format!(r#"{{"Code":"Forbidden.RAM","AccessDeniedDetail":{detail}}}"#);
            check(&body, Some("Forbidden.RAM"), None, None);
        }
        // What is no word is not repeated: it could be anything.
        check(r#"{"Code":"a b","RequestId":{"x":1}}"#, None, None, None);
    }
}
