//! What can be wrong with the file of stored facts, in the words of what the operator does next.

use std::io::ErrorKind;

use super::record::{Unreadable, VERSION};

/// Why facts cannot be stored or taken back.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    #[error("no space is left: {0}")]
    Full(String),
    #[error("the file system is read-only: {0}")]
    ReadOnly(String),
    #[error("not permitted: {0}")]
    Permission(String),
    #[error("another process has it open")]
    InUse,
    #[error("it is damaged: {0}")]
    Damaged(String),
    #[error("it has version {0}, and this exporter knows none above {VERSION}")]
    Newer(u64),
    #[error(
        "it has version {0} of an earlier exporter, and this one begins with version {VERSION}"
    )]
    Older(u64),
    #[error("{0}")]
    Other(String),
}

impl Fault {
    /// The values of the label `reason`.
    pub(super) const REASONS: [&'static str; 8] = [
        "full",
        "read_only",
        "permission",
        "in_use",
        "damaged",
        "newer_version",
        "older_version",
        "other",
    ];

    /// The value of the label `reason`.
    pub(super) const fn reason(&self) -> &'static str {
        match self {
            Self::Full(_) => "full",
            Self::ReadOnly(_) => "read_only",
            Self::Permission(_) => "permission",
            Self::InUse => "in_use",
            Self::Damaged(_) => "damaged",
            Self::Newer(_) => "newer_version",
            Self::Older(_) => "older_version",
            Self::Other(_) => "other",
        }
    }
}

impl From<std::io::Error> for Fault {
    fn from(error: std::io::Error) -> Self {
        let told = error.to_string();
        match error.kind() {
            // The last one is what a limit of the process says.
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => {
                Self::Full(told)
            }
            ErrorKind::ReadOnlyFilesystem => Self::ReadOnly(told),
            ErrorKind::PermissionDenied => Self::Permission(told),
            ErrorKind::InvalidData | ErrorKind::UnexpectedEof => Self::Damaged(told),
            _ => Self::Other(told),
        }
    }
}

impl From<Unreadable> for Fault {
    fn from(unreadable: Unreadable) -> Self {
        Self::Damaged(unreadable.to_string())
    }
}

impl From<redb::Error> for Fault {
    fn from(error: redb::Error) -> Self {
        match error {
            redb::Error::Io(error) => error.into(),
            redb::Error::DatabaseAlreadyOpen => Self::InUse,
            redb::Error::Corrupted(told) => Self::Damaged(told),
            // These depend on nothing but what is in the file.
            redb::Error::UpgradeRequired(_)
            | redb::Error::RepairAborted
            | redb::Error::TableTypeMismatch { .. }
            | redb::Error::TableIsMultimap(_)
            | redb::Error::TableIsNotMultimap(_)
            | redb::Error::TypeDefinitionChanged { .. } => Self::Damaged(error.to_string()),
            other => Self::Other(other.to_string()),
        }
    }
}
