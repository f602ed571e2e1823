//! What this program shows over HTTP.
//!
//! Nothing under here asks a cloud: a request is answered from what the polls have already found.

pub mod listen;
pub mod negotiate;
pub mod server;
