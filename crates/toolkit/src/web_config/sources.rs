//! The files that a web configuration was read from, and whether they have changed.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

/// The files that were read, in that order, each with a hash of its content.
///
/// Times of modification are too coarse for two changes at once, and do not change when Kubernetes replaces a secret by a
/// link. The contents are not kept, as some of them are keys.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sources(Vec<(PathBuf, Fingerprint)>);

/// The hash of a content, or of the reason why there is none.
type Fingerprint = [u8; 32];

/// Much larger than any certificate chain.
const MOST_BYTES: u64 = 1024 * 1024;

impl Sources {
    /// Whether one of the files has changed, appeared or disappeared.
    pub fn have_changed(&self) -> bool {
        let is_another = |(path, before): &(PathBuf, Fingerprint)| {
            let now = content(path);
            fingerprint(&now) != *before
        };
        self.0.iter().any(is_another)
    }

    /// Reads a file. The reason why it cannot be read names it.
    pub(super) fn read(&mut self, path: &Path) -> Result<Vec<u8>, String> {
        let content = content(path);
        self.0.push((path.to_owned(), fingerprint(&content)));
        content.map_err(|cause| format!("the file `{}` {cause}", path.display()))
    }
}

fn content(path: &Path) -> Result<Vec<u8>, String> {
    let told = |error: std::io::Error| match error.kind() {
        ErrorKind::NotFound => "does not exist".to_owned(),
        _ => format!("cannot be read: {error}"),
    };
    // A pipe would block until somebody writes, and could be read only once.
    if !std::fs::metadata(path).map_err(told)?.is_file() {
        return Err("is no regular file".to_owned());
    }
    let mut content = Vec::new();
    File::open(path)
        .and_then(|file| file.take(MOST_BYTES + 1).read_to_end(&mut content))
        .map_err(told)?;
    if content.len() as u64 > MOST_BYTES {
        return Err(format!("is larger than {} MiB", MOST_BYTES >> 20));
    }
    Ok(content)
}

fn fingerprint(content: &Result<Vec<u8>, String>) -> Fingerprint {
    let mut hash = Sha256::new();
    match content {
        Ok(content) => hash.update(content),
        Err(cause) => hash.update([b"\0", cause.as_bytes()].concat()),
    }
    hash.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Scratch;

    #[test]
    fn a_change_of_the_content_is_seen_whatever_the_clock_says() {
        let scratch = Scratch::new("sources");
        let (kept, missing) = (scratch.write("kept", "a"), scratch.path("missing"));
        let mut sources = Sources::default();
        assert_eq!(sources.read(&kept), Ok(b"a".to_vec()));
        let told = sources.read(&missing).unwrap_err();
        assert_eq!(
            told,
            format!("the file `{}` does not exist", missing.display())
        );
        assert!(!sources.have_changed());

        // The same content, written anew.
        scratch.write("kept", "a");
        assert!(!sources.have_changed());
        // As long as before, within the same tick.
        scratch.write("kept", "b");
        assert!(sources.have_changed());
        scratch.write("kept", "a");
        assert!(!sources.have_changed());
        scratch.write("missing", "");
        assert!(sources.have_changed());
    }

    #[test]
    fn only_a_regular_file_of_some_size_is_read() {
        let scratch = Scratch::new("sources-kinds");
        let cause = |path: &Path| {
            let mut sources = Sources::default();
            let told = sources.read(path).unwrap_err();
            assert!(!sources.have_changed(), "it is as bad as it was");
            told.split("` ").nth(1).unwrap().to_owned()
        };
        assert_eq!(cause(&scratch.path(".")), "is no regular file");
        assert_eq!(cause(Path::new("/dev/zero")), "is no regular file");
        let large = scratch.write("large", vec![b'x'; 1024 * 1024 + 1]);
        assert_eq!(cause(&large), "is larger than 1 MiB");
    }
}
