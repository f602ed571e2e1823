//! What the program needs to know, checked.
//!
//! `raw` holds what the user wrote; this file lowers it, and reports every problem at once. The result is plain data:
//! nothing here opens a connection or reads the clock.

mod problem;
mod secret;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

pub use problem::{Problem, Problems};
pub use secret::Secret;

use crate::provider;
use crate::target::Target;

/// A whole configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// How to ask.
    pub poll: PollConfig,
    /// Whom to ask, about what.
    pub accounts: Vec<AccountConfig>,
}

/// How the providers are asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PollConfig {
    /// Every listing of every instance is read once in this time.
    pub interval: Duration,
    /// The deadline of one HTTP request.
    pub timeout: Duration,
    /// How far back backup sets are listed.
    pub lookback: Duration,
    /// How far back log files are listed.
    pub log_lookback: Duration,
    /// The most requests in flight for one account.
    pub max_concurrency: usize,
}

/// One account with one provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountConfig {
    /// The label `account`.
    pub name: Arc<str>,
    /// The vendor.
    pub provider: provider::Kind,
    /// How requests are signed.
    pub credentials: CredentialsConfig,
    /// Replaces the vendor's endpoint table.
    pub endpoint: Option<EndpointTemplate>,
    /// Replaces the provider's default rate limit.
    pub rate_limit: Option<RateLimit>,
    /// The instances to watch.
    pub targets: Vec<Arc<Target>>,
}

/// Where the keys of an account come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CredentialsConfig {
    /// Nothing configured: the vendor's own environment variables.
    Standard,
    /// Named in the configuration.
    Keys {
        /// Who signs.
        access_key_id: SecretSource,
        /// What is signed with.
        access_key_secret: SecretSource,
        /// Goes with temporary keys.
        security_token: Option<SecretSource>,
    },
}

/// Where one secret comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretSource {
    /// Written in the configuration.
    Inline(Secret),
    /// The content of a file, read again for each use; white space around it is dropped.
    File(PathBuf),
}

/// `scheme://host[:port]`, in which `{region}` stands for the region that is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndpointTemplate(String);

impl EndpointTemplate {
    /// Checks a template: `http` or `https`, a host, no path, query or user.
    ///
    /// # Errors
    /// Says in words what was expected.
    pub fn parse(template: &str) -> Result<Self, String> {
        let expected = "expected `https://host[:port]` or `http://host[:port]`, in which `{region}` is filled in";
        let template = template.strip_suffix('/').unwrap_or(template);
        let url = url::Url::parse(&template.replace("{region}", "region"))
            .map_err(|error| format!("{error}; {expected}"))?;
        let plain = matches!(url.scheme(), "http" | "https")
            && url.has_host()
            && url.path() == "/"
            && url.query().is_none()
            && url.fragment().is_none()
            && url.username().is_empty()
            && url.password().is_none();
        if plain {
            Ok(Self(template.to_owned()))
        } else {
            Err(expected.to_owned())
        }
    }

    /// The endpoint of a region, without a slash at the end.
    pub fn for_region(&self, region: &str) -> String {
        self.0.replace("{region}", region)
    }
}

/// So many requests in so much time, evenly spaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimit {
    /// At least 1.
    pub requests: u32,
    /// More than zero.
    pub per: Duration,
}

impl RateLimit {
    /// The time between two requests.
    pub fn spacing(self) -> Duration {
        self.per / self.requests
    }

    /// Reads `5/s`, `300/m`, `300/min` or `1000/h`.
    ///
    /// # Errors
    /// Says in words what was expected.
    pub fn parse(text: &str) -> Result<Self, String> {
        let expected =
            || format!("`{text}` is no rate; expected such as `5/s`, `300/m` or `1000/h`");
        let (requests, unit) = text.split_once('/').ok_or_else(expected)?;
        let requests: u32 = requests.trim().parse().map_err(|_| expected())?;
        let per = match unit.trim() {
            "s" | "sec" | "second" => Duration::from_secs(1),
            "m" | "min" | "minute" => Duration::from_secs(60),
            "h" | "hour" => Duration::from_secs(3600),
            _ => return Err(expected()),
        };
        if requests == 0 {
            return Err(expected());
        }
        Ok(Self { requests, per })
    }
}

impl SecretSource {
    /// placeholder until the config branch lands
    pub fn read(&self) -> Result<Secret, String> {
        match self {
            Self::Inline(secret) => Ok(secret.clone()),
            Self::File(path) => std::fs::read_to_string(path)
                .map(|s| Secret::new(s.trim().to_owned()))
                .map_err(|e| e.to_string()),
        }
    }
}
