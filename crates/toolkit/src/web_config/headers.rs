//! `http_server_config.headers`: the security headers that may be added to responses.

use crate::yaml::problem::Report;
use crate::yaml::raw::{Node, Read, Told, listed, quoted};

/// One header and its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResponseHeader {
    /// In the spelling of the file.
    pub name: &'static str,
    /// Printable ASCII.
    pub value: String,
}

/// The allowed headers, and the allowed values; an empty list allows any.
const ALLOWED: [(&str, &[&str]); 5] = [
    ("Content-Security-Policy", &[]),
    ("Strict-Transport-Security", &[]),
    ("X-Content-Type-Options", &["nosniff"]),
    ("X-Frame-Options", &["deny", "sameorigin"]),
    ("X-XSS-Protection", &[]),
];

pub(super) fn read_headers(node: &Node<'_>, report: &mut Report) -> Read<Vec<ResponseHeader>> {
    let mut headers = Vec::new();
    for (name, value) in node.entries("a mapping of headers", report)? {
        let Some((name, values)) = ALLOWED.iter().find(|(allowed, _)| *allowed == name) else {
            let names: Vec<_> = ALLOWED.iter().map(|(name, _)| *name).collect();
            let what = format!(
                "this header cannot be set; those that can are {}",
                listed(&names)
            );
            let Told = value.place.complain(what, report);
            continue;
        };
        if value.is_null() {
            continue;
        }
        let Ok(text) = value.text("a text", report) else {
            continue;
        };
        // As in Go's exporter-toolkit, which omits a blank header.
        if text.trim().is_empty() {
            continue;
        }
        if !values.is_empty() && !values.contains(&text) {
            let what = format!(
                "expected one of {}, found {}",
                listed(*values),
                quoted(text)
            );
            let Told = value.place.complain(what, report);
            continue;
        }
        if !text.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
            let what = format!("expected one line of ASCII, found {}", quoted(text));
            let Told = value.place.complain(what, report);
            continue;
        }
        headers.push(ResponseHeader {
            name,
            value: text.trim().to_owned(),
        });
    }
    Ok(headers)
}
