//! What `/metrics` says.

mod exposition;

pub use exposition::Format;
