//! What a Prometheus exporter needs around its metrics, in the way of Prometheus's exporter-toolkit for Go.
//!
//! [`listen`] binds addresses, [`server`] serves HTTP/1 and HTTP/2 on them within [`server::Limits`], and [`protection`]
//! stands before the pages: TLS, users, a rate limit and headers, as a [`web_config`] file says and as it changes. Nothing
//! here knows what is exported.

mod authentication;
pub mod listen;
pub mod negotiate;
pub mod protection;
pub mod rate_limit;
mod refusals;
pub mod response;
#[cfg(any(test, feature = "testkit"))]
pub mod scratch;
pub mod secret;
pub mod server;
pub mod web_config;
pub mod yaml;
