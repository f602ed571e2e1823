//! What the program needs to know, checked.
//!
//! `document` makes a tree of the YAML, `environment` changes single values of it, and `lower` makes a [`Config`] of
//! the tree, reading it through `raw`. Every problem is reported at once, by its key. The result is plain data:
//! nothing here opens a connection or reads the clock.

mod ca_file;
mod discover;
mod doubts;
mod endpoint;
mod environment;
mod lower;
mod rate_limit;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

pub use ca_file::CaFile;
pub use discover::{Discover, Pattern};
pub use endpoint::EndpointTemplate;
#[cfg(test)]
pub(crate) use lower::DEFAULT_POLL;
pub use rate_limit::RateLimit;
#[cfg(test)]
pub(crate) use toolkit::scratch::Scratch;
pub use toolkit::secret::{Secret, SecretError, SecretSource, read_secrets};
pub use toolkit::yaml::problem::{Problem, Problems};
use toolkit::yaml::{document, key_path, problem, raw};

use crate::backup::Lookback;
use crate::service::{Service, ServiceSpec};
use crate::target::Target;
use crate::vendor::Vendor;
use problem::Report;

/// A whole configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// How to ask.
    pub poll: PollConfig,
    /// Whom to ask, about what.
    pub accounts: Vec<AccountConfig>,
}

impl Config {
    /// Reads a file and what the environment says instead. Relative paths in the file begin in its folder.
    ///
    /// # Errors
    /// Every problem that was found.
    pub fn load(
        path: &Path,
        environment: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, Problems> {
        let yaml = read(path).map_err(|cause| {
            let path = path.display();
            Problems::whole(format!("the configuration file `{path}` {cause}"))
        })?;
        let folder = path.parent().unwrap_or(Path::new(""));
        Self::parse_in(folder, &yaml, environment)
    }

    /// Reads a text as if it were a file in the current folder.
    ///
    /// # Errors
    /// Every problem that was found.
    pub fn parse(
        yaml: &str,
        environment: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, Problems> {
        Self::parse_in(Path::new(""), yaml, environment)
    }

    fn parse_in(
        folder: &Path,
        yaml: &str,
        environment: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, Problems> {
        let mut tree = document::parse(yaml, "accounts")?;
        let mut report = Report::default();
        environment::merge(&mut tree, environment, &mut report);
        lower::lower(&tree, folder, &ServiceSpec::all(), report)
    }

    /// Reads a text as if these were the services that there are.
    #[cfg(test)]
    fn parse_with(services: &[&ServiceSpec], yaml: &str) -> Result<Self, Problems> {
        let tree = document::parse(yaml, "accounts")?;
        lower::lower(&tree, Path::new(""), services, Report::default())
    }
}

/// How the providers are asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PollConfig {
    /// When a listing is due.
    pub mode: PollMode,
    /// The shortest time between two attempts at a listing; in the mode `fixed` every listing of every instance is read
    /// once in this time. Not of those that change seldom.
    pub interval: Duration,
    /// The longest time between two attempts at a listing in the mode `adaptive`; not below `interval`.
    pub max_interval: Duration,
    /// The listings that change seldom, policies and restore windows, are read once in this time.
    pub policy_interval: Duration,
    /// Instances are looked for once in this time.
    pub discovery_interval: Duration,
    /// The deadline of one HTTP request.
    pub timeout: Duration,
    /// How far back backups are listed.
    pub lookback: Lookback,
    /// The most requests in flight for one account.
    pub max_concurrency: usize,
}

impl PollConfig {
    /// The longest time between two attempts at a listing that is read often.
    pub const fn longest_interval(&self) -> Duration {
        match self.mode {
            PollMode::Adaptive => self.max_interval,
            PollMode::Fixed => self.interval,
        }
    }
}

/// When a listing is due that is read often.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PollMode {
    /// When its own rhythm makes it likely that something has changed.
    Adaptive,
    /// Once an interval.
    Fixed,
}

/// One account with one provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountConfig {
    /// The label `account`.
    pub name: Arc<str>,
    /// The vendor.
    pub provider: Vendor,
    /// How requests are signed.
    pub credentials: CredentialsConfig,
    /// Which of the vendor's services it has: at least one, none twice.
    pub services: Vec<Service>,
    /// Replaces the endpoint tables of these services.
    pub endpoints: BTreeMap<Service, EndpointTemplate>,
    /// Replaces the address at which the vendor gives temporary keys: Alibaba's and Volcengine's STS, Huawei's IAM.
    pub iam_endpoint: Option<EndpointTemplate>,
    /// Replaces the address of the machine's metadata service.
    pub metadata_endpoint: Option<EndpointTemplate>,
    /// Replaces the provider's default rate limit.
    pub rate_limit: Option<RateLimit>,
    /// Whose certificates are trusted beside those that the system trusts.
    pub ca_file: Option<CaFile>,
    /// The id of the account's project in each region, where regions are divided into projects (Huawei).
    pub projects: BTreeMap<String, Arc<str>>,
    /// Where instances are looked for.
    pub discover: Option<Discover>,
    /// The instances to watch that the configuration names.
    pub targets: Vec<Arc<Target>>,
}

impl AccountConfig {
    /// What replaces the endpoint table of a service, if anything does.
    pub fn endpoint(&self, service: Service) -> Option<&EndpointTemplate> {
        self.endpoints.get(&service)
    }
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

/// Reads a configuration file, or says what is wrong with it as a whole. It may be a pipe: it is read only once.
fn read(path: &Path) -> Result<String, String> {
    let told = |error: std::io::Error| match error.kind() {
        ErrorKind::NotFound => "does not exist".to_owned(),
        _ => format!("cannot be read: {error}"),
    };
    if std::fs::metadata(path).map_err(told)?.is_dir() {
        return Err("is a directory".to_owned());
    }
    let mut content = Vec::new();
    // One byte more than is looked at shows that there is too much.
    let most = document::MOST_BYTES as u64 + 1;
    File::open(path)
        .and_then(|file| file.take(most).read_to_end(&mut content))
        .map_err(told)?;
    if content.len() > document::MOST_BYTES {
        return Err(format!(
            "is larger than {} MiB",
            document::MOST_BYTES / 1024 / 1024
        ));
    }
    String::from_utf8(content).map_err(|_| "is not valid UTF-8".to_owned())
}
