//! JSON as vendors really send it: a name that was cut in the middle of a character, a tab that nobody escaped, or one row
//! among a hundred that makes no sense. What is wrong with a text spoils that text, and what is wrong with a row that row.

use serde::de::{Deserialize, DeserializeOwned, Deserializer};
use serde_json::value::RawValue;

use super::scalar::Row;

/// Stands for what is no character.
const REPLACEMENT: &str = "\u{fffd}";

/// Reads a document. Texts in it that are no texts are mended if it cannot be read otherwise.
///
/// # Errors
/// What is wrong with the document as it came.
pub(super) fn read<T: DeserializeOwned>(document: &[u8]) -> serde_json::Result<T> {
    serde_json::from_slice(document)
        .or_else(|error| serde_json::from_slice(&mended(document)).map_err(|_| error))
}

/// Reads a list of rows, each by itself. A row that cannot be read is none.
pub(super) fn rows<'de, D: Deserializer<'de>, T: DeserializeOwned>(
    deserializer: D,
) -> Result<Option<Vec<Row<T>>>, D::Error> {
    let rows: Option<Vec<Box<RawValue>>> = Option::deserialize(deserializer)?;
    Ok(rows.map(|rows| {
        let rows = rows.iter();
        rows.map(|row| read(row.get().as_bytes()).unwrap_or_default())
            .collect()
    }))
}

/// The same document with every text in it fit to be read: bytes that are no UTF-8, control characters, escapes that do not
/// exist and halves of surrogate pairs are replaced. What is not in a text stays as it is.
fn mended(document: &[u8]) -> Vec<u8> {
    let document = String::from_utf8_lossy(document);
    let mut mended = String::with_capacity(document.len());
    let mut rest = &*document;
    let mut in_text = false;
    while let Some(next) = rest.chars().next() {
        let (kept, length) = match next {
            '"' => {
                in_text = !in_text;
                ("\"", 1)
            }
            '\\' if in_text => escape(rest),
            '\0'..' ' if in_text => (REPLACEMENT, 1),
            _ => (&rest[..next.len_utf8()], next.len_utf8()),
        };
        mended.push_str(kept);
        rest = &rest[length..];
    }
    mended.into_bytes()
}

/// What becomes of the escape that a text goes on with, and how long it is.
fn escape(rest: &str) -> (&str, usize) {
    let unit = |from: usize| {
        let digits = rest.get(from..)?.strip_prefix("\\u")?.get(..4)?;
        let is_hex = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
        is_hex.then(|| u16::from_str_radix(digits, 16).ok())?
    };
    match (rest.as_bytes().get(1), unit(0)) {
        (_, Some(0xd800..0xdc00)) => match unit(6) {
            Some(0xdc00..0xe000) => (&rest[..12], 12),
            _ => (REPLACEMENT, 6),
        },
        (_, Some(0xdc00..0xe000)) => (REPLACEMENT, 6),
        (_, Some(_)) => (&rest[..6], 6),
        (Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't'), None) => (&rest[..2], 2),
        (_, None) => (REPLACEMENT, 1),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;
    use crate::provider::scalar::Scalar;

    #[derive(Debug, serde::Deserialize)]
    struct Named {
        #[serde(default)]
        name: Scalar,
    }

    #[derive(Debug, serde::Deserialize)]
    struct List {
        #[serde(default, deserialize_with = "rows")]
        rows: Option<Vec<Row<Named>>>,
    }

    fn list(document: &[u8]) -> Option<Vec<Row<Named>>> {
        read::<List>(document).unwrap().rows
    }

    /// The names of a list of three, of which the second row is this one; nothing where a row is none.
    fn names(second: &[u8]) -> Vec<Option<String>> {
        let document = [br#"{"rows":[{"name":"a"},"#, second, br#",{"name":"c"}]}"#].concat();
        let rows = list(&document).unwrap().into_iter();
        rows.map(|Row(row)| Some(row?.name.text().unwrap_or_default()))
            .collect()
    }

    #[test]
    fn a_text_that_is_none_spoils_its_own_characters() {
        for (text, expected) in [
            (&b"orders"[..], "orders"),
            (b"orders \\ud83d", "orders \u{fffd}"),
            (b"\\ud83d\\u0041", "\u{fffd}A"),
            (b"\\ude00 orders", "\u{fffd} orders"),
            (b"\\ud83d\\ude00", "\u{1f600}"),
            (b"or\tders", "or\u{fffd}ders"),
            (b"or\nders", "or\u{fffd}ders"),
            (b"or\\tders", "or\tders"),
            (b"caf\xe9", "caf\u{fffd}"),
            (b"\xb6\xa9\xb5\xa5", "\u{fffd}\u{fffd}\u{fffd}\u{fffd}"),
            (b"\xff\\ud83d", "\u{fffd}\u{fffd}"),
            (b"a\\xb", "a\u{fffd}xb"),
            (b"a\\u12", "a\u{fffd}u12"),
            (b"a\\u0000b", "a\0b"),
            (b"\\\"\\ud83d\\\\", "\"\u{fffd}\\"),
            (
                b"\xe8\xae\xa2\xe5\x8d\x95\\udc00",
                "\u{8ba2}\u{5355}\u{fffd}",
            ),
        ] {
            let row = [b"{\"name\":\"", text, b"\"}"].concat();
            let shown = String::from_utf8_lossy(text).into_owned();
            let names = names(&row);
            let expected = Some(expected.trim().to_owned());
            assert_eq!(
                names,
                [Some("a".to_owned()), expected, Some("c".to_owned())],
                "{shown}"
            );
        }
    }

    #[test]
    fn a_row_that_is_none_spoils_only_itself() {
        for row in [
            &b"null"[..],
            b"7",
            b"\"row\"",
            b"[]",
            b"[{\"name\":\"b\"}]",
            b"true",
            // It says two things at once.
            b"{\"name\":\"b\",\"name\":\"d\"}",
            b"{\"name\":1e999}",
        ] {
            let shown = String::from_utf8_lossy(row).into_owned();
            let expected = [Some("a".to_owned()), None, Some("c".to_owned())];
            assert_eq!(names(row), expected, "{shown}");
        }
    }

    #[test]
    fn a_field_that_nobody_expected_spoils_nothing() {
        let deep = [b"{\"name\":".as_slice(), &[b'['; 500], &[b']'; 500], b"}"].concat();
        for row in [
            &deep[..],
            b"{}",
            b"{\"name\":{\"name\":7}}",
            b"{\"more\":1e999}",
        ] {
            assert_eq!(names(row)[1].as_deref(), Some(""));
        }
    }

    #[test]
    fn no_list_is_no_list() {
        assert!(list(b"{}").is_none());
        assert!(list(b"{\"rows\":null}").is_none());
        assert_eq!(list(b"{\"rows\":[]}").unwrap().len(), 0);
        for document in [
            &b"{\"rows\":7}"[..],
            b"{\"rows\":{}}",
            b"{\"rows\":[",
            b"",
            b"\xff",
        ] {
            let shown = String::from_utf8_lossy(document).into_owned();
            assert!(read::<List>(document).is_err(), "{shown}");
        }
    }

    proptest! {
        /// What can be read is read as it stands, mended or not.
        #[test]
        fn a_good_document_means_the_same_when_it_is_mended(text in ".*", key in "[a-z\"\\\\]*") {
            let document = serde_json::json!({ &key: [text.clone(), { "name": text }] });
            let written = serde_json::to_vec(&document).unwrap();
            prop_assert_eq!(&mended(&written), &written);
            prop_assert_eq!(read::<Value>(&written).unwrap(), document);
        }

        /// Whatever bytes stand in a text, but for its end and the beginning of an escape, the rows around it are read.
        #[test]
        fn no_text_spoils_its_neighbours(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            let text: Vec<u8> = bytes.into_iter().filter(|byte| !b"\"\\".contains(byte)).collect();
            let row = [b"{\"name\":\"", text.as_slice(), b"\"}"].concat();
            let names = names(&row);
            prop_assert_eq!(&names[0], &Some("a".to_owned()));
            prop_assert!(names[1].is_some());
            prop_assert_eq!(&names[2], &Some("c".to_owned()));
        }

        /// And nothing panics, whatever comes.
        #[test]
        fn any_bytes_can_be_mended(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let once = mended(&bytes);
            prop_assert_eq!(mended(&once), once);
        }
    }
}
