//! Who asks: HTTP basic authentication against bcrypt hashes.
//!
//! A hash takes a tenth of a second, on purpose. So the last right password of each user is remembered, as a keyed digest
//! that is worth nothing outside of this process; wrong ones are not, and are checked one at a time, so that whoever
//! guesses takes one processor and no more.

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

/// What a client says of itself.
pub(super) struct Credentials {
    user: Vec<u8>,
    password: Vec<u8>,
}

impl Credentials {
    /// Reads a request's headers; nothing if they say nothing that can be read.
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

/// Checks passwords, and remembers the right ones.
pub(super) struct Authentication {
    /// Of the digests; nobody knows it.
    key: [u8; 32],
    /// By user: the digest of the password that was right, and of the hash that it was right for.
    remembered: Mutex<HashMap<String, Digest>>,
    /// For whoever computes a hash.
    turn: Arc<Semaphore>,
}

type Digest = [u8; 32];

impl Default for Authentication {
    fn default() -> Self {
        Self {
            key: rand::random(),
            remembered: Mutex::default(),
            turn: Arc::new(Semaphore::new(1)),
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
        // Of an unknown user a password is checked too, against the hash of another that the name decides on: neither the
        // time that it takes nor the time that it takes again tells whether there is such a user.
        let Some((name, hash)) = known.or_else(|| self.another(users, &user)) else {
            return false;
        };
        let digest = self.digest(&[name.as_bytes(), hash.expose().as_bytes(), &password]);
        if known.is_some() && self.remembers(name, &digest) {
            return true;
        }
        let Ok(turn) = Arc::clone(&self.turn).acquire_owned().await else {
            return false;
        };
        // Whoever was first may have brought the same.
        if known.is_some() && self.remembers(name, &digest) {
            return true;
        }
        let hash = hash.clone();
        // The turn ends with the computation, whether or not anybody still waits for it.
        let computation = tokio::task::spawn_blocking(move || {
            let is_right = bcrypt::verify(&password, hash.expose()).unwrap_or(false);
            drop(turn);
            is_right
        });
        let is_right = computation.await.unwrap_or(false) && known.is_some();
        if is_right {
            self.memory().insert(name.clone(), digest);
        }
        is_right
    }

    /// Forgets all users but these.
    pub(super) fn keep_only(&self, users: &Users) {
        self.memory().retain(|name, _| users.contains_key(name));
    }

    fn another<'a>(
        &self,
        users: &'a Users,
        name: &[u8],
    ) -> Option<(&'a String, &'a crate::secret::Secret)> {
        let [first, second, third, fourth, ..] = self.digest(&[name]);
        let number = u32::from_be_bytes([first, second, third, fourth]) as usize;
        users.iter().nth(number % users.len().max(1))
    }

    fn remembers(&self, user: &str, digest: &Digest) -> bool {
        self.memory().get(user) == Some(digest)
    }

    fn memory(&self) -> MutexGuard<'_, HashMap<String, Digest>> {
        self.remembered
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Of several texts, each with its length, so that no two lists have the same.
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
