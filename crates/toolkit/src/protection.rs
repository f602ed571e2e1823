//! What stands before the pages: the file of `--web.config.file`, in force and read again whenever it has changed.
//!
//! The toolkit of other exporters reads the file for each connection and each request. So does this one, except that
//! nothing is made of it while the contents are the same: certificates are renewed and users are added without a
//! restart, and without anybody having to say so.

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

/// How long a request waits for the file to be looked at. A file system that takes longer is no reason not to answer.
const PATIENCE: Duration = Duration::from_secs(1);

/// The file, and what holds because of it.
#[derive(Debug)]
pub struct Protection {
    /// Without one, nothing is asked of anybody.
    path: Option<PathBuf>,
    /// Of the last attempt to read it, so that a file is looked through once, also if it is bad.
    sources: Mutex<Sources>,
    in_force: RwLock<Arc<InForce>>,
    authentication: Authentication,
}

/// What was made of the last good file.
#[derive(Debug)]
struct InForce {
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
            in_force: RwLock::new(Arc::new(InForce::new(config, None)?)),
            authentication: Authentication::default(),
        })
    }

    /// Whether connections are encrypted, which does not change.
    pub fn is_encrypted(&self) -> bool {
        self.in_force().tls.is_some()
    }

    /// What the server asks for each new connection; nothing if connections are plain.
    pub fn tls_configs(self: &Arc<Self>) -> Option<TlsConfigs> {
        let first = self.in_force().tls.clone()?;
        let this = Arc::clone(self);
        Some(Arc::new(move || {
            let (this, first) = (Arc::clone(&this), Arc::clone(&first));
            Box::pin(async move {
                this.look().await;
                this.in_force().tls.clone().unwrap_or(first)
            })
        }))
    }

    /// Reads the file again, also if it is as it was.
    ///
    /// # Errors
    /// Every problem that was found; what was in force remains so.
    pub fn reload(&self) -> Result<(), Problems> {
        match &self.path {
            Some(path) => {
                let mut sources = self.sources.lock().unwrap_or_else(PoisonError::into_inner);
                self.read(path, &mut sources)
            }
            None => Ok(()),
        }
    }

    /// Lets `site` answer a request that may be answered.
    pub async fn answer<F>(
        self: Arc<Self>,
        request: Request<()>,
        site: impl FnOnce(Request<()>) -> F,
    ) -> Response<Body>
    where
        F: Future<Output = Response<Body>>,
    {
        self.look().await;
        let in_force = self.in_force();
        if in_force
            .rate_limit
            .as_ref()
            .is_some_and(|limit| !limit.admits())
        {
            return refusals::TOO_MANY_REQUESTS.response();
        }
        let users = &in_force.config.users;
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
        for (name, value) in &in_force.headers {
            response.headers_mut().insert(name, value.clone());
        }
        response
    }

    /// Reads the file again if it has changed, away from the threads that serve.
    async fn look(self: &Arc<Self>) {
        if self.path.is_none() {
            return;
        }
        let this = Arc::clone(self);
        let looking = tokio::task::spawn_blocking(move || this.read_if_changed());
        // When it takes too long, what is in force holds on; the next one to come does not wait for it either.
        let _in_time = tokio::time::timeout(PATIENCE, looking).await;
    }

    fn read_if_changed(&self) {
        let Some(path) = &self.path else { return };
        let mut sources: MutexGuard<'_, Sources> = match self.sources.try_lock() {
            Ok(sources) => sources,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            // Somebody else is looking at this moment.
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
        let before = self.in_force();
        let new = InForce::new(config?, Some(&before))?;
        self.authentication.keep_only(&new.config.users);
        *self
            .in_force
            .write()
            .unwrap_or_else(PoisonError::into_inner) = Arc::new(new);
        Ok(())
    }

    fn in_force(&self) -> Arc<InForce> {
        let in_force = self.in_force.read();
        Arc::clone(&in_force.unwrap_or_else(PoisonError::into_inner))
    }
}

impl InForce {
    /// Makes of a configuration what serving needs; `before` is what it takes the place of.
    fn new(config: WebConfig, before: Option<&Self>) -> Result<Self, Problems> {
        if let Some(before) = before {
            refuse_to_open(&before.config, &config)?;
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
            // Whoever has used up the tokens gets no new ones by a change of something else.
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

/// What a change may not do. A file that is written while it is read looks empty for a moment, and that moment must not
/// open the door.
fn refuse_to_open(before: &WebConfig, after: &WebConfig) -> Result<(), Problems> {
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
