//! Queries and forms, taken apart and spelled again as RFC 3986 has it, which is what every vendor
//! signs.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

/// All but letters, digits and these four is encoded.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');

/// Pairs of a query or of a form. Plus means blank, because some of the vendors' own clients send
/// it while they sign `%20`.
pub(crate) fn pairs(encoded: &str) -> Vec<(String, String)> {
    let decode = |text: &str| {
        percent_decode_str(&text.replace('+', " "))
            .decode_utf8_lossy()
            .into_owned()
    };
    let pairs = encoded.split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(key, value)| (decode(key), decode(value)))
        .collect()
}

/// The pairs encoded, in the order of their encoded text.
pub(crate) fn canonical(pairs: &[(String, String)]) -> String {
    let mut encoded: Vec<_> = pairs
        .iter()
        .map(|(key, value)| (encode(key), encode(value)))
        .collect();
    encoded.sort();
    let joined: Vec<_> = encoded
        .iter()
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    joined.join("&")
}

pub(crate) fn encode(text: &str) -> String {
    utf8_percent_encode(text, ENCODED).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_spelled_in_one_way_only() {
        let check = |sent: &str, expected: &str| assert_eq!(canonical(&pairs(sent)), expected);
        check("b=2&a=1&a=0", "a=0&a=1&b=2");
        check("a=x+y&b=%2f~%E6%B5%8B", "a=x%20y&b=%2F~%E6%B5%8B");
        check("a&&b=c=d", "a=&b=c%3Dd");
        check("", "");
    }
}
