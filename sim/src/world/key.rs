//! An access key as the cloud knows it, and what that tells about who signs with it.

use chrono::{DateTime, Utc};

use super::SessionToken;

/// An access key as the cloud knows it.
#[derive(Debug)]
pub(crate) struct Key {
    pub(crate) account: String,
    pub(crate) secret: String,
    /// Secrets that were valid once: a client that still signs with one is out of date, not broken.
    pub(crate) former_secrets: Vec<String>,
    pub(crate) token: Option<SessionToken>,
    pub(crate) active: bool,
}

/// Who has signed with a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Signer {
    Owner,
    /// Signed well, but with a secret that has been replaced: out of date, and no mistake in
    /// signing.
    FormerOwner,
    Nobody,
}

/// What a key makes of the session token that came with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TokenVerdict {
    /// It is the key's, or neither is there.
    Accepted,
    Missing,
    Expired,
    /// It is not the key's.
    Foreign,
}

impl Key {
    /// Tries the secrets; `fits` says whether the signature was made with one.
    pub(crate) fn signer(&self, fits: impl Fn(&str) -> bool) -> Signer {
        if fits(&self.secret) {
            return Signer::Owner;
        }
        if self.former_secrets.iter().any(|secret| fits(secret)) {
            return Signer::FormerOwner;
        }
        Signer::Nobody
    }

    pub(crate) fn judge_token(&self, sent: Option<&str>, now: DateTime<Utc>) -> TokenVerdict {
        match (&self.token, sent) {
            (None, None) => TokenVerdict::Accepted,
            (Some(_), None) => TokenVerdict::Missing,
            (Some(token), Some(sent)) if token.value == sent => {
                if token.expires.is_some_and(|expires| expires <= now) {
                    TokenVerdict::Expired
                } else {
                    TokenVerdict::Accepted
                }
            }
            (_, Some(_)) => TokenVerdict::Foreign,
        }
    }
}
