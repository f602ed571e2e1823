//! HTTP basic authentication against bcrypt hashes.
//!
//! A hash takes a tenth of a second, on purpose. So the last correct password of each user is cached, as a keyed digest that
//! is of no use outside of this process. Wrong passwords are not cached and are checked one at a time, so that guessing
//! takes one processor at most.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use hyper::HeaderMap;
use hyper::header::AUTHORIZATION;
use sha2::Sha256;
use tokio::sync::Semaphore;

use crate::web_config::Users;

/// The user name and password of a request.
pub(super) struct Credentials {
    user: Vec<u8>,
    password: Vec<u8>,
}

impl Credentials {
    /// Reads a request's headers; `None` without a valid header for basic authentication.
    pub(super) fn read(headers: &HeaderMap) -> Option<Self> {
        let value = headers.get(AUTHORIZATION)?.as_bytes();
        let (scheme, encoded) = value.split_at_checked(b"Basic ".len())?;
        if !scheme.eq_ignore_ascii_case(b"Basic ") {
            return None;
        }
        let decoded = STANDARD.decode(encoded).ok()?;
        let colon = decoded.iter().position(|byte| *byte == b':')?;
        let (user, password) = decoded.split_at(colon);
        Some(Self {
            user: user.to_owned(),
            password: password[1..].to_owned(),
        })
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Credentials([redacted])")
    }
}

/// Checks passwords, and caches the correct ones.
pub(super) struct Authentication {
    /// Of the digests; random for each process.
    key: [u8; 32],
    /// By user: the digest of the correct password and of the hash that it matches.
    cache: Mutex<HashMap<String, Digest>>,
    /// Held while a hash is computed.
    hashing: Arc<Semaphore>,
}

type Digest = [u8; 32];

impl Default for Authentication {
    fn default() -> Self {
        Self {
            key: rand::random(),
            cache: Mutex::default(),
            hashing: Arc::new(Semaphore::new(1)),
        }
    }
}

impl fmt::Debug for Authentication {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Authentication")
    }
}

impl Authentication {
    /// Whether these are the name and the password of a user.
    pub(super) async fn accepts(&self, users: &Users, credentials: Credentials) -> bool {
        let Credentials { user, password } = credentials;
        let name = String::from_utf8(user.clone()).unwrap_or_default();
        let known = users.get_key_value(name.as_str());
        // The password of an unknown user is checked against the hash of another user, always the same for one name: no
        // response time tells whether a user exists.
        let Some((name, hash)) = known.or_else(|| self.decoy(users, &user)) else {
            return false;
        };
        let digest = self.digest(&[name.as_bytes(), hash.expose().as_bytes(), &password]);
        if known.is_some() && self.is_cached(name, &digest) {
            return true;
        }
        let Ok(permit) = Arc::clone(&self.hashing).acquire_owned().await else {
            return false;
        };
        // The request before may have cached the same password.
        if known.is_some() && self.is_cached(name, &digest) {
            return true;
        }
        let hash = hash.clone();
        // The permit ends with the computation, also if the request is cancelled.
        let computation = tokio::task::spawn_blocking(move || {
            let is_correct = bcrypt::verify(&password, hash.expose()).unwrap_or(false);
            drop(permit);
            is_correct
        });
        let is_correct = computation.await.unwrap_or(false) && known.is_some();
        if is_correct {
            self.cache().insert(name.clone(), digest);
        }
        is_correct
    }

    /// Removes all other users from the cache.
    pub(super) fn keep_only(&self, users: &Users) {
        self.cache().retain(|name, _| users.contains_key(name));
    }

    /// The user whose hash is computed for an unknown name.
    fn decoy<'a>(
        &self,
        users: &'a Users,
        name: &[u8],
    ) -> Option<(&'a String, &'a crate::secret::Secret)> {
        let [first, second, third, fourth, ..] = self.digest(&[name]);
        let number = u32::from_be_bytes([first, second, third, fourth]) as usize;
        users.iter().nth(number % users.len().max(1))
    }

    fn is_cached(&self, user: &str, digest: &Digest) -> bool {
        self.cache().get(user) == Some(digest)
    }

    fn cache(&self) -> MutexGuard<'_, HashMap<String, Digest>> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The digest of several texts, each with its length, so that different lists have different digests.
    fn digest(&self, texts: &[&[u8]]) -> Digest {
        let Ok(mut digest) = Hmac::<Sha256>::new_from_slice(&self.key) else {
            unreachable!("HMAC takes a key of any length");
        };
        for text in texts {
            digest.update(&(text.len() as u64).to_be_bytes());
            digest.update(text);
        }
        digest.finalize().into_bytes().into()
    }
}
