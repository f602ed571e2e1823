//! The same answers as XML, for clients that ask for it and for gateways that do so unasked.

use std::fmt::Write;

use serde_json::Value;

/// `value` as the element `name`. An array becomes one element per entry, which is how the vendor's
/// samples of both formats fit together.
pub(crate) fn document(name: &str, value: &Value) -> String {
    let mut document = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>".to_owned();
    element(&mut document, name, value);
    document
}

fn element(document: &mut String, name: &str, value: &Value) {
    if let Value::Array(entries) = value {
        for entry in entries {
            element(document, name, entry);
        }
        return;
    }
    let _ = write!(document, "<{name}>");
    match value {
        Value::Object(fields) => fields
            .iter()
            .for_each(|(name, value)| element(document, name, value)),
        Value::String(text) => document.push_str(
            &text
                .replace('&', "&amp;")
                .replace('<', "&lt;")
                .replace('>', "&gt;"),
        ),
        Value::Null => {}
        other => {
            let _ = write!(document, "{other}");
        }
    }
    let _ = write!(document, "</{name}>");
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn lists_become_repeated_elements_and_text_is_escaped() {
        let value =
            json!({ "Items": { "Item": [{ "Link": "a?b&c<d>" }, { "Size": 5 }] }, "Total": null });
        let expected = "<?xml version=\"1.0\" encoding=\"UTF-8\"?><R><Items><Item><Link>a?b&amp;c&lt;d&gt;</Link></Item>\
                        <Item><Size>5</Size></Item></Items><Total></Total></R>";
        assert_eq!(document("R", &value), expected);
    }
}
