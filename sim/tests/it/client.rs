//! What the clients of all vendors share: bytes to a socket and back, and the pieces of which every
//! signature is made.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};
use hmac::{Hmac, KeyInit, Mac};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;
use sha2::{Digest, Sha256};
use sim::{Cloud, Vendor};

pub(crate) const DAY: Duration = Duration::from_secs(86400);
pub(crate) const HOUR: Duration = Duration::from_secs(3600);

/// A header that is sent; names are in lower case.
pub(crate) type Header = (&'static str, String);

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
    /// The body is as long as its header said, or ended as it should.
    pub(crate) whole: bool,
}

impl Answer {
    /// `None` if the connection ended without an answer.
    fn read(received: Vec<u8>) -> Option<Self> {
        let received = String::from_utf8(received).unwrap();
        let (head, body) = received.split_once("\r\n\r\n")?;
        let mut answer = Self {
            status: head.split(' ').nth(1)?.parse().ok()?,
            head: head.to_owned(),
            body: body.to_owned(),
            whole: body.ends_with("0\r\n\r\n"),
        };
        if let Some(length) = answer.header("content-length") {
            answer.whole = length.parse() == Ok(body.len());
        }
        Some(answer)
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }

    /// The list in a part of the body.
    pub(crate) fn list(&self, part: &Value) -> Vec<Value> {
        part.as_array()
            .unwrap_or_else(|| panic!("no rows: {}", self.body))
            .clone()
    }

    /// The status, and the code from a part of the body.
    pub(crate) fn refused(&self, code: &Value) -> (u16, String) {
        (self.status, code.as_str().unwrap_or_default().to_owned())
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines();
        lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }
}

/// Sends what `request` makes for the host, and reads until the cloud closes the connection; `None`
/// if it does so without an answer.
pub(crate) async fn exchange(
    cloud: &Cloud,
    vendor: Vendor,
    request: impl FnOnce(&str) -> Vec<u8>,
) -> Option<Answer> {
    let address = cloud.url_of(vendor);
    let address = address.strip_prefix("http://").unwrap().to_owned();
    let request = request(&address);
    exchange_with(address, request).await
}

/// The same with whoever listens at `address`.
pub(crate) async fn exchange_with(address: String, request: Vec<u8>) -> Option<Answer> {
    let exchange = move || {
        let mut stream = TcpStream::connect(&address).unwrap();
        stream.write_all(&request).unwrap();
        let mut received = Vec::new();
        match stream.read_to_end(&mut received) {
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::ConnectionReset => {}
            Err(error) => panic!("{error}"),
        }
        received
    };
    Answer::read(tokio::task::spawn_blocking(exchange).await.unwrap())
}

/// A request as it is sent, `start` being its method and its target.
pub(crate) fn message(start: &str, headers: &[Header], body: &str) -> Vec<u8> {
    let headers = spelled(headers, ": ", "\r\n");
    let length = body.len();
    format!(
        "{start} HTTP/1.1\r\n{headers}content-length: {length}\r\nconnection: close\r\n\r\n{body}"
    )
    .into_bytes()
}

/// The text that is hashed for a signature, and the names of the headers in it: all but
/// `unsigned`.
pub(crate) fn canonical_request(
    start: [&str; 3],
    headers: &[Header],
    unsigned: &[&str],
    hash: &str,
) -> (String, String) {
    let signed = headers.iter().filter(|(name, _)| !unsigned.contains(name));
    let lines = spelled(signed.clone(), ":", "\n");
    let names: Vec<_> = signed.map(|(name, _)| *name).collect();
    let names = names.join(";");
    let canonical = format!("{}\n{lines}\n{names}\n{hash}", start.join("\n"));
    (canonical, names)
}

/// Header lines, as they are signed or as they are sent.
fn spelled<'a>(headers: impl IntoIterator<Item = &'a Header>, colon: &str, end: &str) -> String {
    headers
        .into_iter()
        .flat_map(|(name, value)| [name, colon, value, end])
        .collect()
}

/// As RFC 3986 has it.
pub(crate) fn encode(text: &str) -> String {
    const ENCODED: &AsciiSet = &NON_ALPHANUMERIC
        .remove(b'-')
        .remove(b'_')
        .remove(b'.')
        .remove(b'~');
    utf8_percent_encode(text, ENCODED).to_string()
}

/// A query or a form, sorted.
pub(crate) fn joined(pairs: &[(String, String)]) -> String {
    let mut pairs: Vec<_> = pairs
        .iter()
        .map(|(name, value)| format!("{}={}", encode(name), encode(value)))
        .collect();
    pairs.sort();
    pairs.join("&")
}

/// Sets, replaces or, if `value` is empty, removes a parameter.
pub(crate) fn set(pairs: &mut Vec<(String, String)>, name: &str, value: &str) {
    pairs.retain(|(given, _)| given != name);
    if !value.is_empty() {
        pairs.push((name.to_owned(), value.to_owned()));
    }
}

pub(crate) fn owned(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

/// Lower-case hexadecimal SHA-256.
pub(crate) fn sha256(text: &str) -> String {
    hex::encode(Sha256::digest(text))
}

/// HMAC-SHA256.
pub(crate) fn mac(key: &[u8], message: &str) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    mac.update(message.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

pub(crate) fn seconds(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Secs, true)
}

#[track_caller]
pub(crate) fn nothing_unexpected(cloud: &Cloud) {
    assert_eq!(cloud.unexpected(), Vec::<String>::new());
}
