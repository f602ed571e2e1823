//! Text from outside, made fit for a page: no markup, and nothing that cannot be seen.

use std::fmt::{self, Display, Write};

use crate::report::words::is_deceptive;

/// Shows anything as text, inside an element or in an attribute with double quotes. What would show as nothing, or would
/// rearrange its neighbours, is shown as its code.
pub(super) struct Shown<T>(pub(super) T);

impl<T: Display> Display for Shown<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(Escaping(formatter), "{}", self.0)
    }
}

struct Escaping<W>(W);

impl<W: Write> Write for Escaping<W> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut plain = 0;
        for (at, character) in text.char_indices() {
            let entity = match character {
                '&' => "&amp;",
                '<' => "&lt;",
                '>' => "&gt;",
                '"' => "&quot;",
                '\'' => "&#39;",
                // All other characters of ASCII, which most texts are made of, show as themselves.
                ' '..='~' => continue,
                other if is_deceptive(other) => "",
                _ => continue,
            };
            self.0.write_str(&text[plain..at])?;
            if entity.is_empty() {
                write!(self.0, "[U+{:04X}]", u32::from(character))?;
            } else {
                self.0.write_str(entity)?;
            }
            plain = at + character.len_utf8();
        }
        self.0.write_str(&text[plain..])
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn text_from_outside_cannot_become_markup_or_pass_for_another() {
        for (text, expected) in [
            (
                "<b title=\"a\">&'</b>",
                "&lt;b title=&quot;a&quot;&gt;&amp;&#39;&lt;/b&gt;",
            ),
            ("plain", "plain"),
            ("订单 é 🗄", "订单 é 🗄"),
            ("a\u{202e}b\nc\u{200b}", "a[U+202E]b[U+000A]c[U+200B]"),
            ("\u{e0041}", "[U+E0041]"),
            ("", ""),
        ] {
            assert_eq!(Shown(text).to_string(), expected);
        }
    }

    proptest! {
        #[test]
        fn whatever_it_is_it_stays_text(text in "\\PC*|.*|[\u{0}-\u{ff}<>&\"'\u{2020}-\u{2070}]*") {
            let shown = Shown(&text).to_string();
            prop_assert!(!shown.contains(['<', '>', '"', '\'']), "{}", shown);
            prop_assert!(!shown.contains(is_deceptive), "{}", shown);
            for rest in shown.split('&').skip(1) {
                let known = ["amp;", "lt;", "gt;", "quot;", "#39;"];
                prop_assert!(known.iter().any(|entity| rest.starts_with(entity)), "{}", shown);
            }
        }
    }
}
