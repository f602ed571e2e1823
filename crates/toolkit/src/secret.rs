//! Secrets, such as keys and tokens, and the files that hold them.

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// A secret that is not shown by accident: `Debug` is redacted, and there is no `Display` and no `Serialize`.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Secret(String);

impl Secret {
    /// Wraps the secret.
    pub const fn new(secret: String) -> Self {
        Self(secret)
    }

    /// The secret itself, for signing a request and for nothing else.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("[redacted]")
    }
}

/// Where one secret comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretSource {
    /// Written in the configuration.
    Inline(Secret),
    /// The content of a file, read again for each use; white space around it is dropped.
    File(PathBuf),
}

impl SecretSource {
    /// The secret as it is now: a file may have been replaced since the configuration was checked.
    pub fn read(&self) -> Result<Secret, SecretError> {
        match self {
            Self::Inline(secret) => Ok(secret.clone()),
            Self::File(path) => read_file(path).map_err(|cause| SecretError {
                path: path.clone(),
                cause,
            }),
        }
    }
}

/// Reads a file in which secrets stand among other things, such as the profiles of a vendor's command line.
pub fn read_secrets(path: &Path) -> Result<String, SecretError> {
    read_text(path, MOST_BYTES_OF_MANY).map_err(|cause| SecretError {
        path: path.to_owned(),
        cause,
    })
}

/// Why a file with a secret cannot be used. Names the file and the cause, never the content.
#[derive(Debug, thiserror::Error)]
#[error("the file `{}` {cause}", path.display())]
pub struct SecretError {
    path: PathBuf,
    cause: Cause,
}

impl SecretError {
    /// Whether the file does not exist, as opposed to one that cannot be used.
    pub const fn is_missing(&self) -> bool {
        matches!(self.cause, Cause::Missing)
    }
}

#[derive(Debug, thiserror::Error)]
enum Cause {
    #[error("does not exist")]
    Missing,
    #[error("cannot be read: {0}")]
    Unreadable(std::io::Error),
    #[error("is a directory")]
    Directory,
    #[error("is no regular file")]
    Special,
    #[error("is larger than {} KiB", .0 / 1024)]
    TooLarge(u64),
    #[error("is not valid UTF-8")]
    NotText,
    #[error("is empty")]
    Empty,
    #[error("holds white space or control characters within the secret")]
    Broken,
}

impl From<std::io::Error> for Cause {
    fn from(error: std::io::Error) -> Self {
        match error.kind() {
            std::io::ErrorKind::NotFound => Self::Missing,
            _ => Self::Unreadable(error),
        }
    }
}

/// No vendor's key or token comes near; a larger file is another one than was meant.
const MOST_BYTES: u64 = 64 * 1024;

/// The tools keep tokens of a few KiB for each profile.
const MOST_BYTES_OF_MANY: u64 = 1024 * 1024;

fn read_file(path: &Path) -> Result<Secret, Cause> {
    let content = read_text(path, MOST_BYTES)?;
    let secret = content.trim();
    if secret.is_empty() {
        return Err(Cause::Empty);
    }
    if !is_unbroken(secret) {
        return Err(Cause::Broken);
    }
    Ok(Secret::new(secret.to_owned()))
}

/// The text of a file, without the mark that some editors put before it.
fn read_text(path: &Path, most_bytes: u64) -> Result<String, Cause> {
    let metadata = std::fs::metadata(path)?;
    if metadata.is_dir() {
        return Err(Cause::Directory);
    }
    // A pipe would block until somebody writes, and could be read only once.
    if !metadata.is_file() {
        return Err(Cause::Special);
    }
    let mut content = Vec::new();
    File::open(path)?
        .take(most_bytes + 1)
        .read_to_end(&mut content)?;
    if content.len() as u64 > most_bytes {
        return Err(Cause::TooLarge(most_bytes));
    }
    let content = String::from_utf8(content).map_err(|_| Cause::NotText)?;
    Ok(content.trim_start_matches('\u{feff}').to_owned())
}

/// Whether a secret can be put into an HTTP header: two lines in a file are an id and its secret, not a secret.
pub(crate) fn is_unbroken(secret: &str) -> bool {
    !secret.contains(|character: char| character.is_whitespace() || character.is_control())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Scratch;

    #[test]
    fn a_secret_file_is_read_or_its_cause_is_told() {
        let scratch = Scratch::new("secret");
        let check = |name: &str, content: Option<&[u8]>, expected: Result<&str, &str>| {
            let path = match content {
                Some(content) => scratch.write(name, content),
                None => scratch.path(name),
            };
            let read = SecretSource::File(path.clone()).read();
            match (read, expected) {
                (Ok(secret), Ok(expected)) => assert_eq!(secret.expose(), expected, "{name}"),
                (Err(error), Err(cause)) => {
                    let expected = format!("the file `{}` {cause}", path.display());
                    assert_eq!(error.to_string(), expected, "{name}");
                }
                (read, _) => panic!("{name}: {read:?}"),
            }
        };
        check("plain", Some(b"hunter2"), Ok("hunter2"));
        check("line", Some(b" \thunter2\r\n\n"), Ok("hunter2"));
        check("notepad", Some(b"\xef\xbb\xbfhunter2\r\n"), Ok("hunter2"));
        check("largest", Some(&vec![b'x'; 65536]), Ok(&"x".repeat(65536)));
        check(
            "larger",
            Some(&vec![b'x'; 65537]),
            Err("is larger than 64 KiB"),
        );
        check("empty", Some(b""), Err("is empty"));
        check("blank", Some(b" \n\t\n"), Err("is empty"));
        check("latin1", Some(b"hunter\xff"), Err("is not valid UTF-8"));
        check(
            "two-lines",
            Some(b"id\nhunter2\n"),
            Err("holds white space or control characters within the secret"),
        );
        check("missing", None, Err("does not exist"));
        check(".", None, Err("is a directory"));
    }

    #[test]
    #[cfg(unix)]
    fn a_device_is_no_secret_file() {
        let error = SecretSource::File("/dev/zero".into()).read().unwrap_err();
        assert_eq!(error.to_string(), "the file `/dev/zero` is no regular file");
    }

    #[test]
    fn a_secret_is_not_shown() {
        let source = SecretSource::Inline(Secret::new("hunter2".to_owned()));
        assert_eq!(format!("{source:?}"), "Inline([redacted])");
    }
}
