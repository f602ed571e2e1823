//! The keys that sign an account's requests, as they are at this moment.
//!
//! Either the configuration names them, or they are found where the vendor's own tools look: that is a [`Chain`] of
//! sources, whose order and wire forms are the vendor's (see its `credentials`), while memory and renewal are the same
//! for all. Files that the configuration names are read again for every request, which costs less than one request and
//! can miss no change. While a file cannot be read, the keys that were read last go on serving: a secret that is being
//! replaced is no outage.

mod chain;
pub(super) mod exchange;
pub(super) mod ini;
#[cfg(test)]
mod loopback;
pub(super) mod metadata;
pub(super) mod place;
#[cfg(test)]
mod tests;
pub(super) mod variables;

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::sync::{Mutex, PoisonError};

use chrono::{DateTime, Utc};

pub use self::chain::Chain;
pub(super) use self::chain::{Fetching, Keys, Lack, Lifetime, Outlook, Source};
#[cfg(test)]
pub(super) use self::loopback::{Asked, Loopback, Reply, Scene, in_minutes, keys, shown};
use self::variables::Variables;
use super::Environment;
use super::http::HttpClient;
use crate::clock::Clock;
use crate::config::{AccountConfig, CredentialsConfig, EndpointTemplate, Secret, SecretSource};

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
    /// Found where the vendor's own tools look.
    Standard(Chain),
}

/// What a chain is made of.
#[derive(Clone, Copy)]
pub(super) struct ChainGround<'a> {
    /// Whose keys.
    pub account: &'a AccountConfig,
    /// The client for token services; metadata services are asked without a proxy.
    pub http: &'a HttpClient,
    /// The time.
    pub clock: &'a Clock,
    /// The environment variables as they were at the start.
    pub environment: &'a Environment,
}

impl<'a> ChainGround<'a> {
    /// The environment variables.
    pub(super) const fn variables(&self) -> Variables<'a> {
        Variables(self.environment)
    }

    /// The region of the first instance: keys are for the whole account, but some addresses want a region.
    pub(super) fn region(&self) -> &'a str {
        let first = self.account.targets.first();
        first.map_or("", |target| &target.key.source_region)
    }

    /// The address that the configuration names for token services.
    pub(super) fn iam_endpoint(&self) -> Option<String> {
        self.filled_in(self.account.iam_endpoint.as_ref())
    }

    /// The address that the configuration names for the metadata service.
    pub(super) fn metadata_endpoint(&self) -> Option<String> {
        self.filled_in(self.account.metadata_endpoint.as_ref())
    }

    fn filled_in(&self, template: Option<&EndpointTemplate>) -> Option<String> {
        template.map(|template| template.for_region(self.region()))
    }

    /// A chain of these sources.
    pub(super) fn chain(&self, sources: Vec<Box<dyn Source>>) -> Chain {
        Chain::new(self.account.name.clone(), self.clock.clone(), sources)
    }
}

impl CredentialSource {
    /// The keys that the configuration names, or else what this chain finds.
    pub(super) fn of(ground: &ChainGround<'_>, chain: fn(&ChainGround<'_>) -> Chain) -> Self {
        match &ground.account.credentials {
            CredentialsConfig::Standard => Self::Standard(chain(ground)),
            CredentialsConfig::Keys {
                access_key_id,
                access_key_secret,
                security_token,
            } => Self::configured(
                access_key_id.clone(),
                access_key_secret.clone(),
                security_token.clone(),
            ),
        }
    }

    const fn configured(
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
    pub async fn current(&self) -> Result<Credential, String> {
        match self {
            Self::Standard(chain) => chain.current().await,
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

    /// When the keys that were got last expire; `None` if they do not, or none were got yet.
    pub fn expiry(&self) -> Option<DateTime<Utc>> {
        match self {
            Self::Standard(chain) => chain.expiry(),
            // A file may hold temporary keys, and says nothing of their end.
            Self::Configured { .. } => None,
        }
    }

    /// The vendor refused these keys: others are looked for, if there may be others.
    pub async fn rejected(&self, used: Fingerprint) {
        match self {
            Self::Standard(chain) => chain.rejected(used).await,
            // Read anew for each request, so that the next one has whatever there is.
            Self::Configured { .. } => {}
        }
    }

    /// Where the keys would come from, in words that hold no part of them. Asks nobody.
    pub fn describe(&self) -> String {
        match self {
            Self::Configured {
                access_key_secret: SecretSource::File(_),
                ..
            } => "files named in the configuration".to_owned(),
            Self::Configured { .. } => "the configuration".to_owned(),
            Self::Standard(chain) => chain.describe(),
        }
    }
}

/// The environment of a test.
#[cfg(test)]
pub(super) fn test_environment(variables: &[(&str, &str)]) -> Environment {
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    variables.iter().map(owned).collect()
}
