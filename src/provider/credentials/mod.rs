//! The keys that sign an account's requests, as they are at this moment.
//!
//! Files are read again for every request, which costs less than one request and can miss no change. While a file
//! cannot be read, the keys that were read last go on serving: a secret that is being replaced is no outage.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::sync::{Mutex, PoisonError};

use crate::config::{Secret, SecretSource};

/// One set of keys.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Credential {
    /// Who signs.
    pub access_key_id: Secret,
    /// What is signed with.
    pub access_key_secret: Secret,
    /// Goes with temporary keys.
    pub security_token: Option<Secret>,
}

/// Tells one credential from another without holding it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint(u64);

impl Credential {
    /// The fingerprint; equal for equal keys within one process.
    pub fn fingerprint(&self) -> Fingerprint {
        let mut hasher = DefaultHasher::new();
        self.hash(&mut hasher);
        Fingerprint(hasher.finish())
    }
}

fn read_one(source: &SecretSource) -> Result<Secret, String> {
    source.read().map_err(|error| error.to_string())
}

/// Where an account's keys come from.
#[derive(Debug)]
pub enum CredentialSource {
    /// Named in the configuration, as values or as files.
    Configured {
        /// Who signs.
        access_key_id: SecretSource,
        /// What is signed with.
        access_key_secret: SecretSource,
        /// Goes with temporary keys.
        security_token: Option<SecretSource>,
        /// What was read last.
        last_read: Mutex<Option<Credential>>,
    },
    /// The vendor's environment variables; `None` when they are not set.
    Environment(Option<Credential>),
}

impl CredentialSource {
    /// Keys that the configuration names.
    pub const fn configured(
        access_key_id: SecretSource,
        access_key_secret: SecretSource,
        security_token: Option<SecretSource>,
    ) -> Self {
        Self::Configured {
            access_key_id,
            access_key_secret,
            security_token,
            last_read: Mutex::new(None),
        }
    }

    /// The keys as they are now.
    ///
    /// # Errors
    /// Says where keys were looked for, and why there are none; never repeats a part of one.
    pub fn current(&self) -> Result<Credential, String> {
        match self {
            Self::Environment(Some(credential)) => Ok(credential.clone()),
            Self::Environment(None) => Err(
                "no keys: neither `credentials` in the configuration nor the vendor's environment variables"
                    .to_owned(),
            ),
            Self::Configured {
                access_key_id,
                access_key_secret,
                security_token,
                last_read,
            } => {
                let read = || {
                    Ok(Credential {
                        access_key_id: read_one(access_key_id)?,
                        access_key_secret: read_one(access_key_secret)?,
                        security_token: security_token.as_ref().map(read_one).transpose()?,
                    })
                };
                let mut last_read = last_read.lock().unwrap_or_else(PoisonError::into_inner);
                match read() {
                    Ok(credential) => {
                        *last_read = Some(credential.clone());
                        Ok(credential)
                    }
                    Err(problem) => last_read.clone().ok_or(problem),
                }
            }
        }
    }

    /// Where the keys come from, in words that hold no part of them.
    pub fn describe(&self) -> &'static str {
        match self {
            Self::Configured {
                access_key_secret: SecretSource::File(_),
                ..
            } => "files named in the configuration",
            Self::Configured { .. } => "the configuration",
            Self::Environment(Some(_)) => "the environment",
            Self::Environment(None) => "nowhere: the environment has no keys",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inline(secret: &str) -> SecretSource {
        SecretSource::Inline(Secret::new(secret.to_owned()))
    }

    fn credential(secret: &str, token: Option<&str>) -> Credential {
        Credential {
            access_key_id: Secret::new("LTAI".to_owned()),
            access_key_secret: Secret::new(secret.to_owned()),
            security_token: token.map(|token| Secret::new(token.to_owned())),
        }
    }

    #[test]
    fn keys_are_told_apart_and_never_shown() {
        let one = credential("hush", None);
        for (other, same) in [
            (credential("hush", None), true),
            (credential("hush!", None), false),
            (credential("hush", Some("token")), false),
        ] {
            assert_eq!(one.fingerprint() == other.fingerprint(), same);
            let shown = format!("{other:?} {:?}", other.fingerprint());
            for secret in ["hush", "LTAI", "\"token\""] {
                assert!(!shown.contains(secret), "{shown}");
            }
        }
    }

    #[test]
    fn keys_that_cannot_be_read_again_go_on_serving() {
        let folder = std::env::temp_dir().join(format!("credentials-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let file = folder.join("secret");
        let source = CredentialSource::configured(
            inline("LTAI"),
            SecretSource::File(file.clone()),
            Some(inline("CAIS")),
        );
        assert_eq!(source.describe(), "files named in the configuration");
        // Nothing was read yet, so there is nothing that could go on serving.
        let problem = source.current().unwrap_err();
        assert!(problem.contains("does not exist"), "{problem}");
        std::fs::write(&file, "first\n").unwrap();
        assert_eq!(source.current(), Ok(credential("first", Some("CAIS"))));
        std::fs::write(&file, "second").unwrap();
        assert_eq!(source.current(), Ok(credential("second", Some("CAIS"))));
        std::fs::write(&file, "").unwrap();
        assert_eq!(source.current(), Ok(credential("second", Some("CAIS"))));
        std::fs::remove_dir_all(&folder).unwrap();
        assert_eq!(source.current(), Ok(credential("second", Some("CAIS"))));
    }

    #[test]
    fn a_source_says_where_its_keys_come_from() {
        let environment = CredentialSource::Environment(Some(credential("hush", None)));
        let nowhere = CredentialSource::Environment(None);
        let configured = CredentialSource::configured(inline("LTAI"), inline("hush"), None);
        for (source, place, keys) in [
            (&environment, "the environment", true),
            (&nowhere, "nowhere: the environment has no keys", false),
            (&configured, "the configuration", true),
        ] {
            assert_eq!(source.describe(), place);
            assert_eq!(
                source.current().ok(),
                keys.then(|| credential("hush", None))
            );
            let shown = format!("{source:?}");
            assert!(
                !shown.contains("hush") && !shown.contains("LTAI"),
                "{shown}"
            );
        }
    }
}
