//! Which operation a method and a path stand for, and which region, project and instance they name.

use percent_encoding::percent_decode_str;

/// What can be asked of this cloud.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operation {
    ListBackups,
    ListOffSiteBackups,
    ListOffSiteInstances,
    ListRestoreTimes,
    ListOffSiteRestoreTimes,
    ShowBackupPolicy,
    ShowOffSiteBackupPolicy,
    ListInstances,
    KeystoneListProjects,
    KeystoneListAuthProjects,
    CreateTokenWithIdToken,
    CreateTemporaryAccessKeyByToken,
    AssumeAgencyWithOidc,
    GetPodIdentityCredentials,
    CreateMetadataToken,
    GetSecurityKey,
}

impl Operation {
    /// The name in the vendor's clients, or one like theirs where they have none.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::ListBackups => "ListBackups",
            Self::ListOffSiteBackups => "ListOffSiteBackups",
            Self::ListOffSiteInstances => "ListOffSiteInstances",
            Self::ListRestoreTimes => "ListRestoreTimes",
            Self::ListOffSiteRestoreTimes => "ListOffSiteRestoreTimes",
            Self::ShowBackupPolicy => "ShowBackupPolicy",
            Self::ShowOffSiteBackupPolicy => "ShowOffSiteBackupPolicy",
            Self::ListInstances => "ListInstances",
            Self::KeystoneListProjects => "KeystoneListProjects",
            Self::KeystoneListAuthProjects => "KeystoneListAuthProjects",
            Self::CreateTokenWithIdToken => "CreateTokenWithIdToken",
            Self::CreateTemporaryAccessKeyByToken => "CreateTemporaryAccessKeyByToken",
            Self::AssumeAgencyWithOidc => "AssumeAgencyWithOIDC",
            Self::GetPodIdentityCredentials => "GetPodIdentityCredentials",
            Self::CreateMetadataToken => "CreateMetadataToken",
            Self::GetSecurityKey => "GetSecurityKey",
        }
    }

    /// Every parameter that the operation documents.
    pub(super) const fn parameters(self) -> &'static [&'static str] {
        match self {
            Self::ListBackups => &[
                "instance_id",
                "backup_id",
                "backup_type",
                "status",
                "offset",
                "limit",
                "begin_time",
                "end_time",
            ],
            Self::ListOffSiteBackups => &[
                "instance_id",
                "backup_id",
                "backup_type",
                "offset",
                "limit",
                "begin_time",
                "end_time",
            ],
            Self::ListOffSiteInstances => &["offset", "limit"],
            Self::ListRestoreTimes | Self::ListOffSiteRestoreTimes => &["date"],
            Self::ListInstances => &[
                "id",
                "name",
                "type",
                "datastore_type",
                "eps_id",
                "vpc_id",
                "subnet_id",
                "offset",
                "limit",
                "tags",
                "group_type",
            ],
            Self::KeystoneListProjects => &["domain_id", "name", "parent_id", "enabled"],
            _ => &[],
        }
    }
}

/// What a target names.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Route {
    /// `None` if there is no such operation.
    pub(super) operation: Option<Operation>,
    /// The region in front of the path, which stands for the region's own host.
    pub(super) host_region: Option<String>,
    pub(super) project: Option<String>,
    pub(super) instance: Option<String>,
}

/// Reads a method and a path.
pub(super) fn read(method: &str, path: &str) -> Route {
    let decode = |segment: &str| percent_decode_str(segment).decode_utf8_lossy().into_owned();
    let mut segments: Vec<String> = path.split('/').skip(1).map(decode).collect();
    let host_region = match segments.first() {
        Some(first) if looks_like_a_region(first) => Some(segments.remove(0)),
        _ => None,
    };
    let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
    let (operation, project, instance) = match (method, segments.as_slice()) {
        ("GET", rest) => of_get(rest),
        ("POST", rest) => (of_post(rest), None, None),
        ("PUT", ["meta-data", "latest", "api", "token"]) => {
            (Some(Operation::CreateMetadataToken), None, None)
        }
        _ => (None, None, None),
    };
    let named = |name: Option<&str>| name.filter(|name| !name.is_empty()).map(str::to_owned);
    Route {
        operation,
        host_region,
        project: named(project),
        instance: named(instance),
    }
}

type Named<'a> = (Option<Operation>, Option<&'a str>, Option<&'a str>);

fn of_get<'a>(segments: &[&'a str]) -> Named<'a> {
    use Operation as O;
    match *segments {
        // Before the listings of a project, because its path has the form of theirs.
        ["v3", "backups", "offsite-backup-instance"] => (Some(O::ListOffSiteInstances), None, None),
        ["v3", "auth", "projects"] => (Some(O::KeystoneListAuthProjects), None, None),
        ["v3", "projects"] => (Some(O::KeystoneListProjects), None, None),
        ["v3", project, "backups"] => (Some(O::ListBackups), Some(project), None),
        ["v3", project, "offsite-backups"] => (Some(O::ListOffSiteBackups), Some(project), None),
        ["v3", project, "instances"] => (Some(O::ListInstances), Some(project), None),
        ["v3", project, "instances", instance, ref rest @ ..] => {
            let operation = match rest {
                ["restore-time"] => Some(O::ListRestoreTimes),
                ["offsite-restore-time"] => Some(O::ListOffSiteRestoreTimes),
                ["backups", "policy"] => Some(O::ShowBackupPolicy),
                ["backups", "offsite-policy"] => Some(O::ShowOffSiteBackupPolicy),
                _ => None,
            };
            (operation, Some(project), Some(instance))
        }
        ["openstack", "latest", "securitykey"] => (Some(O::GetSecurityKey), None, None),
        _ => (None, None, None),
    }
}

fn of_post(segments: &[&str]) -> Option<Operation> {
    match segments {
        ["v3.0", "OS-AUTH", "id-token", "tokens"] => Some(Operation::CreateTokenWithIdToken),
        ["v3.0", "OS-CREDENTIAL", "securitytokens"] => {
            Some(Operation::CreateTemporaryAccessKeyByToken)
        }
        ["v5", "agencies", "assume-with-oidc"] => Some(Operation::AssumeAgencyWithOidc),
        ["pod-identity", "credentials"] => Some(Operation::GetPodIdentityCredentials),
        _ => None,
    }
}

/// Letters, a hyphen, and a digit at the end, as in `cn-north-4`, `eu-west-101`,
/// `na-mexico-1`. No first segment of the vendor's own paths looks like that.
pub(super) fn looks_like_a_region(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    text.split_once('-').is_some_and(|(continent, rest)| {
        continent.len() >= 2
            && continent.bytes().all(|byte| byte.is_ascii_lowercase())
            && rest.ends_with(|last: char| last.is_ascii_digit())
    }) && text.bytes().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_stand_for_operations() {
        let check = |method: &str, path: &str, expected: Option<Operation>, named: [&str; 3]| {
            let route = read(method, path);
            assert_eq!(route.operation, expected, "{path}");
            let found = [route.host_region, route.project, route.instance];
            assert_eq!(found.map(Option::unwrap_or_default), named, "{path}");
        };
        let list = Some(Operation::ListOffSiteBackups);
        check("GET", "/v3/p1/offsite-backups", list, ["", "p1", ""]);
        check(
            "GET",
            "/cn-north-4/v3/p%31/offsite-backups",
            list,
            ["cn-north-4", "p1", ""],
        );
        check("POST", "/v3/p1/offsite-backups", None, ["", "", ""]);
        check("GET", "/v3/p1/offsite-backups/", None, ["", "", ""]);
        check(
            "GET",
            "/v3/p1/instances/i1/backups/offsite-policy",
            Some(Operation::ShowOffSiteBackupPolicy),
            ["", "p1", "i1"],
        );
        check(
            "GET",
            "/v3/backups/offsite-backup-instance",
            Some(Operation::ListOffSiteInstances),
            ["", "", ""],
        );
        check(
            "GET",
            "/eu-west-101/v3/projects",
            Some(Operation::KeystoneListProjects),
            ["eu-west-101", "", ""],
        );
        check(
            "PUT",
            "/meta-data/latest/api/token",
            Some(Operation::CreateMetadataToken),
            ["", "", ""],
        );
        check("GET", "/", None, ["", "", ""]);
    }

    #[test]
    fn regions_are_told_from_paths() {
        for region in [
            "cn-north-4",
            "my-kualalumpur-1",
            "eu-west-101",
            "af-south-1",
        ] {
            assert!(looks_like_a_region(region), "{region}");
        }
        for other in [
            "v3",
            "meta-data",
            "openstack",
            "pod-identity",
            "",
            "cn_north-4",
        ] {
            assert!(!looks_like_a_region(other), "{other}");
        }
    }
}
