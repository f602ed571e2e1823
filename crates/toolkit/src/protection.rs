//! Applies the file of `--web.config.file` to connections and requests, and reloads it whenever it has changed.
//!
//! Prometheus's exporter-toolkit reads the file for each connection and each request. So does this one, but it parses only
//! contents that have changed. Certificates are renewed and users are added without a restart or a reload request.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, TryLockError};
use std::time::Duration;

use hyper::header::{HeaderName, HeaderValue, WWW_AUTHENTICATE};
use hyper::{Request, Response};
use rustls::ServerConfig;

use super::authentication::{Authentication, Credentials};
use super::rate_limit::RateLimit;
use super::server::Body;
use super::server::tls::{TlsConfigs, server_config};
use crate::refusals;

use crate::web_config::{self, Sources, WebConfig};
use crate::yaml::problem::{Problem, Problems};

/// How long a request waits for the file to be read. On a slower file system, the configuration in use applies.
const READ_TIMEOUT: Duration = Duration::from_secs(1);

/// The file, and the configuration in use.
#[derive(Debug)]
pub struct Protection {
    /// Without one, every request is allowed.
    path: Option<PathBuf>,
    /// The files as of the last attempt, so that an invalid one is parsed and reported once.
    sources: Mutex<Sources>,
    current: RwLock<Arc<Current>>,
    authentication: Authentication,
}

/// What the last valid file says.
#[derive(Debug)]
struct Current {
    config: WebConfig,
    headers: Vec<(HeaderName, HeaderValue)>,
    tls: Option<Arc<ServerConfig>>,
    rate_limit: Option<Arc<RateLimit>>,
}

impl Protection {
    /// Reads the file, if there is one.
    ///
    /// # Errors
    /// Every problem that was found in it.
    pub fn load(path: Option<&Path>) -> Result<Self, Problems> {
        let (config, sources) = match path {
            Some(path) => {
                let (config, sources) = web_config::load(path);
                (config?, sources)
            }
            None => (WebConfig::default(), Sources::default()),
        };
        Ok(Self {
            path: path.map(Path::to_owned),
            sources: Mutex::new(sources),
            current: RwLock::new(Arc::new(Current::new(config, None)?)),
            authentication: Authentication::default(),
        })
    }

    /// Whether connections are encrypted, which a reload does not change.
    pub fn is_encrypted(&self) -> bool {
        self.current().tls.is_some()
    }

    /// The TLS configuration for each new connection; `None` if connections are plain.
    pub fn tls_configs(self: &Arc<Self>) -> Option<TlsConfigs> {
        let first = self.current().tls.clone()?;
        let this = Arc::clone(self);
        Some(Arc::new(move || {
            let (this, first) = (Arc::clone(&this), Arc::clone(&first));
            Box::pin(async move {
                this.refresh().await;
                this.current().tls.clone().unwrap_or(first)
            })
        }))
    }

    /// Reads the file again, also if it has not changed.
    ///
    /// # Errors
    /// Every problem that was found; the configuration in use stays.
    pub fn reload(&self) -> Result<(), Problems> {
        match &self.path {
            Some(path) => {
                let mut sources = self.sources.lock().unwrap_or_else(PoisonError::into_inner);
                self.read(path, &mut sources)
            }
            None => Ok(()),
        }
    }

    /// Passes an allowed request to `site`.
    pub async fn answer<F>(
        self: Arc<Self>,
        request: Request<()>,
        site: impl FnOnce(Request<()>) -> F,
    ) -> Response<Body>
    where
        F: Future<Output = Response<Body>>,
    {
        self.refresh().await;
        let current = self.current();
        if current
            .rate_limit
            .as_ref()
            .is_some_and(|limit| !limit.admits())
        {
            return refusals::TOO_MANY_REQUESTS.response();
        }
        let users = &current.config.users;
        let may_ask = match Credentials::read(request.headers()) {
            _ if users.is_empty() => true,
            None => false,
            Some(credentials) => self.authentication.accepts(users, credentials).await,
        };
        let mut response = if may_ask {
            site(request).await
        } else {
            let mut refusal = refusals::UNAUTHORIZED.response();
            let basic = HeaderValue::from_static("Basic");
            refusal.headers_mut().insert(WWW_AUTHENTICATE, basic);
            refusal
        };
        for (name, value) in &current.headers {
            response.headers_mut().insert(name, value.clone());
        }
        response
    }

    /// Reads the file again if it has changed, on a thread for blocking work.
    async fn refresh(self: &Arc<Self>) {
        if self.path.is_none() {
            return;
        }
        let this = Arc::clone(self);
        let reading = tokio::task::spawn_blocking(move || this.read_if_changed());
        // After the timeout the configuration in use applies. The next request does not wait for the same read.
        let _in_time = tokio::time::timeout(READ_TIMEOUT, reading).await;
    }

    fn read_if_changed(&self) {
        let Some(path) = &self.path else { return };
        let mut sources: MutexGuard<'_, Sources> = match self.sources.try_lock() {
            Ok(sources) => sources,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            // Another request is reading it.
            Err(TryLockError::WouldBlock) => return,
        };
        if !sources.have_changed() {
            return;
        }
        match self.read(path, &mut sources) {
            Ok(()) => tracing::info!("the web configuration has changed and is in force"),
            Err(Problems(problems)) => {
                for problem in problems {
                    tracing::error!(%problem, "the web configuration is not changed");
                }
            }
        }
    }

    fn read(&self, path: &Path, sources: &mut Sources) -> Result<(), Problems> {
        let (config, read) = web_config::load(path);
        *sources = read;
        let before = self.current();
        let new = Current::new(config?, Some(&before))?;
        self.authentication.keep_only(&new.config.users);
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(new);
        Ok(())
    }

    fn current(&self) -> Arc<Current> {
        let current = self.current.read();
        Arc::clone(&current.unwrap_or_else(PoisonError::into_inner))
    }
}

impl Current {
    /// Prepares a configuration for use; `before` is the one that it replaces.
    fn new(config: WebConfig, before: Option<&Self>) -> Result<Self, Problems> {
        if let Some(before) = before {
            check_change(&before.config, &config)?;
        }
        let tls = config.tls.as_ref();
        let tls = tls.map(|tls| server_config(tls, config.http2)).transpose();
        let tls = tls.map_err(|error| {
            let what = format!("TLS cannot be set up with this: {error}");
            problems(vec![("tls_server_config", what)])
        })?;
        let headers = config.headers.iter().filter_map(|header| {
            let name = HeaderName::from_bytes(header.name.as_bytes()).ok()?;
            Some((name, HeaderValue::from_str(&header.value).ok()?))
        });
        let rate_limit = config.rate_limit.map(|rate| {
            let before = before.and_then(|before| before.rate_limit.as_ref());
            // A change of something else does not refill the bucket.
            let same = before.filter(|limit| limit.rate() == rate);
            same.map_or_else(|| Arc::new(RateLimit::new(rate)), Arc::clone)
        });
        Ok(Self {
            headers: headers.collect(),
            tls: tls.map(Arc::new),
            rate_limit,
            config,
        })
    }
}

/// Refuses a change that switches protection off. A file that is read while it is written may look empty, and that must
/// not open access.
fn check_change(before: &WebConfig, after: &WebConfig) -> Result<(), Problems> {
    let mut found = Vec::new();
    if before.tls.is_some() != after.tls.is_some() {
        let what = "TLS is not switched on or off while the program runs; restart it";
        found.push(("tls_server_config", what.to_owned()));
    }
    if !before.users.is_empty() && after.users.is_empty() {
        let what = "the last user is not removed while the program runs; restart it";
        found.push(("basic_auth_users", what.to_owned()));
    }
    if found.is_empty() {
        return Ok(());
    }
    Err(problems(found))
}

fn problems(found: Vec<(&str, String)>) -> Problems {
    let problem = |(key, what): (&str, String)| Problem {
        key: key.to_owned(),
        what,
    };
    Problems(found.into_iter().map(problem).collect())
}
