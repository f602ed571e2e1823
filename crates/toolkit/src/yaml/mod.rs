//! Reads YAML files that people write, and reports every problem at once, by its key.
//!
//! `document` makes a tree of the text, and `raw` reads single values out of it.

pub mod document;
pub mod key_path;
pub mod problem;
pub mod raw;
