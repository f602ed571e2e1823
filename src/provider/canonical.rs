//! What the vendors' signatures have in common: RFC 3986 encoding, the sorted query, SHA-256. Pure.
//!
//! The order of the parts, the names of the header fields and the derivation of the key differ, and are each vendor's own
//! (see its `sign`).

use hmac::{Hmac, KeyInit, Mac};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, PercentEncode, utf8_percent_encode};
use sha2::{Digest, Sha256};

/// RFC 3986: everything but the unreserved characters is encoded, a space as `%20`.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');

/// Encodes one name, value or segment of a path.
pub(super) fn encode(text: &str) -> PercentEncode<'_> {
    utf8_percent_encode(text, RESERVED)
}

/// Sorts the parameters and encodes them. The result is signed and sent as it is, byte for byte.
///
/// Some vendors sort before they encode and some after. For their own parameter names, each used once, it is the same.
pub(super) fn query(parameters: &[(&str, impl ToString)]) -> String {
    let mut sorted: Vec<_> = parameters
        .iter()
        .map(|(name, value)| (*name, value.to_string()))
        .collect();
    sorted.sort();
    let mut query = String::new();
    for (name, value) in sorted {
        if !query.is_empty() {
            query.push('&');
        }
        query.extend(encode(name));
        query.push('=');
        query.extend(encode(&value));
    }
    query
}

/// The lines `name:value` of a canonical request, and the names that `SignedHeaders` lists. The names are in lower case.
pub(super) fn headers(headers: &[(&'static str, String)]) -> (String, String) {
    let mut sorted: Vec<_> = headers.iter().collect();
    sorted.sort();
    let (mut lines, mut names) = (String::new(), String::new());
    for (name, value) in sorted {
        if !names.is_empty() {
            names.push(';');
        }
        names.push_str(name);
        lines.extend([name, ":", value.trim(), "\n"]);
    }
    (lines, names)
}

/// SHA-256 in lower-case hexadecimal digits.
pub(super) fn sha256_hex(content: &[u8]) -> String {
    hex::encode(Sha256::digest(content))
}

/// HMAC-SHA256, as bytes.
pub(super) fn hmac_sha256(key: &[u8], text: &str) -> Vec<u8> {
    // HMAC takes a key of any length, so the error cannot happen; an empty signature would simply be refused.
    Hmac::<Sha256>::new_from_slice(key).map_or_else(
        |_| Vec::new(),
        |mut mac| {
            mac.update(text.as_bytes());
            mac.finalize().into_bytes().to_vec()
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_sorted_and_encoded_as_the_signatures_ask_for() {
        let check = |parameters: &[(&str, &str)], expected: &str| {
            let parameters: Vec<_> = parameters
                .iter()
                .map(|(name, value)| (*name, (*value).to_owned()))
                .collect();
            assert_eq!(query(&parameters), expected);
        };
        check(&[], "");
        check(&[("b", ""), ("a", "1")], "a=1&b=");
        check(&[("Z", "1"), ("a", "2"), ("A", "3")], "A=3&Z=1&a=2");
        check(
            &[("name", "*a b~c_d-e.f/é+:")],
            "name=%2Aa%20b~c_d-e.f%2F%C3%A9%2B%3A",
        );
        check(&[("tag key", "k=v&w")], "tag%20key=k%3Dv%26w");
    }
}
