//! A text that must not be seen: keys, tokens.

use std::fmt;

/// Holds a secret and shows it to nobody by accident: `Debug` is redacted; there is no `Display` and no `Serialize`.
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
