//! The file of `--web.config.file`, in the format of Prometheus's exporter-toolkit.
//!
//! Each section has a module that reads it. The result is plain data, which [`protection`](crate::protection) applies. Every
//! problem is reported at once, by its key.

mod authorities;
pub mod certificate;
mod headers;
mod key_pair;
mod rate_limit;
mod sources;
#[cfg(test)]
mod tests;
mod tls;
mod users;

use std::path::Path;

pub use headers::ResponseHeader;
pub use rate_limit::RequestRate;
pub use sources::Sources;
pub use tls::{ClientCertificates, Tls};
pub use users::Users;

use self::headers::read_headers;
use self::rate_limit::read_rate_limit;
use self::tls::read_tls;
use self::users::read_users;
use crate::yaml::document;
use crate::yaml::problem::{Problem, Problems, Report};
use crate::yaml::raw::{KeyNames, Node};

/// A checked web configuration.
#[derive(Debug, Clone)]
pub struct WebConfig {
    /// `None` for plain HTTP.
    pub tls: Option<Tls>,
    /// Whether HTTP/2 is offered, with TLS only.
    pub http2: bool,
    /// Added to every response.
    pub headers: Vec<ResponseHeader>,
    /// Empty disables authentication.
    pub users: Users,
    /// For all clients together; `None` for no limit.
    pub rate_limit: Option<RequestRate>,
}

impl Default for WebConfig {
    /// The meaning of an empty file.
    fn default() -> Self {
        Self {
            tls: None,
            http2: true,
            headers: Vec::new(),
            users: Users::default(),
            rate_limit: None,
        }
    }
}

const TOP: [&str; 4] = [
    "tls_server_config",
    "http_server_config",
    "basic_auth_users",
    "rate_limit",
];

/// Reads a file and those that it names; relative paths in it begin in its folder. The sources tell later whether one of the
/// files has changed, also if the configuration is invalid.
pub fn load(path: &Path) -> (Result<WebConfig, Problems>, Sources) {
    let mut sources = Sources::default();
    let config = read(path, &mut sources).map_err(|problems| naming(path, problems));
    (config, sources)
}

fn read(path: &Path, sources: &mut Sources) -> Result<WebConfig, Problems> {
    let content = sources.read(path).map_err(Problems::whole)?;
    let yaml = String::from_utf8(content).map_err(|_| Problems::whole("it is not valid UTF-8"))?;
    let Some(tree) = document::parse_unless_blank(&yaml, TOP[0])? else {
        return Ok(WebConfig::default());
    };
    let folder = path.parent().unwrap_or(Path::new(""));
    let mut report = Report::default();
    let config = lower(&Node::root(&tree), folder, sources, &mut report);
    if report.is_empty() {
        Ok(config)
    } else {
        Err(report.into_problems())
    }
}

/// An exporter has another configuration file as well, so a problem with the whole file names it.
fn naming(path: &Path, Problems(problems): Problems) -> Problems {
    let name = |problem: Problem| {
        if !problem.key.is_empty() {
            return problem;
        }
        let (path, what) = (path.display(), problem.what);
        Problem {
            what: format!("the web configuration `{path}`: {what}"),
            ..problem
        }
    };
    Problems(problems.into_iter().map(name).collect())
}

fn lower(root: &Node<'_>, folder: &Path, sources: &mut Sources, report: &mut Report) -> WebConfig {
    let mut config = WebConfig::default();
    // A value that cannot be read is in the report, and then the result is not used.
    let Ok(top) = root.mapping(&TOP, KeyNames::Guarded, report) else {
        return config;
    };
    if let Some(section) = top.get(TOP[0]) {
        config.tls = read_tls(&section, folder, sources, report).unwrap_or_default();
    }
    if let Some(section) = top.get(TOP[1])
        && let Ok(section) = section.mapping(&["http2", "headers"], KeyNames::Shown, report)
    {
        if let Some(http2) = section.get("http2") {
            config.http2 = http2.boolean(report).unwrap_or_default();
        }
        if let Some(headers) = section.get("headers") {
            config.headers = read_headers(&headers, report).unwrap_or_default();
        }
    }
    if let Some(section) = top.get(TOP[2]) {
        config.users = read_users(&section, report).unwrap_or_default();
    }
    if let Some(section) = top.get(TOP[3]) {
        config.rate_limit = read_rate_limit(&section, report).unwrap_or_default();
    }
    config
}
