//! Ways in which an answer is damaged on its way, for the tests of every vendor.

use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde_json::{Value, json};

/// Bytes of an answer that were overwritten, and where it was cut off.
pub(super) fn any_garbling() -> impl Strategy<Value = Garbling> {
    let overwritten = proptest::collection::vec((any::<Index>(), any::<u8>()), 0..4);
    (overwritten, proptest::option::of(any::<Index>()))
        .prop_map(|(overwritten, cut)| Garbling { overwritten, cut })
}

#[derive(Debug, Clone)]
pub(super) struct Garbling {
    overwritten: Vec<(Index, u8)>,
    cut: Option<Index>,
}

impl Garbling {
    pub(super) fn of(&self, answer: &str) -> Vec<u8> {
        let mut body = answer.as_bytes().to_vec();
        for (at, byte) in &self.overwritten {
            let at = at.index(body.len());
            body[at] = *byte;
        }
        if let Some(cut) = self.cut {
            body.truncate(cut.index(answer.len()));
        }
        body
    }
}

/// Values of any kind or of these words, in place of others.
pub(super) fn any_replacements(
    words: &'static [&'static str],
) -> impl Strategy<Value = Replacements> {
    proptest::collection::vec((any::<Index>(), any_kind_of_value(words)), 1..4)
        .prop_map(Replacements)
}

#[derive(Debug, Clone)]
pub(super) struct Replacements(Vec<(Index, Value)>);

impl Replacements {
    pub(super) fn of(&self, answer: &str) -> Value {
        let mut answer = serde_json::from_str(answer).unwrap();
        for (place, value) in &self.0 {
            let mut place = place.index(size(&answer));
            replace(&mut answer, &mut place, value);
        }
        answer
    }
}

fn any_kind_of_value(words: &'static [&'static str]) -> impl Strategy<Value = Value> {
    let texts: &[&str] = &[
        "",
        " ",
        "0",
        "1",
        "2",
        "-1",
        "0.0",
        "NaN",
        "null",
        "2026-06-12T01:00Z",
        "2026-06-12T01:00:00Z",
        "2026-06-12T09:00:00+0800",
        "2036-06-12T01:00:00Z",
        "1970-01-01T00:00:00Z",
    ];
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        select(texts).prop_map(Value::from),
        select(words).prop_map(Value::from),
        Just(json!([])),
        Just(json!({})),
        Just(json!([0])),
        Just(json!([["a"], {"b": 7}, null])),
    ]
}

/// How many values a document holds, itself included.
fn size(value: &Value) -> usize {
    1 + match value {
        Value::Array(values) => values.iter().map(size).sum(),
        Value::Object(values) => values.values().map(size).sum::<usize>(),
        _ => 0,
    }
}

/// Replaces the value at this place, counted as [`size`] counts.
fn replace(value: &mut Value, place: &mut usize, with: &Value) {
    if *place == 0 {
        *value = with.clone();
    }
    *place = place.wrapping_sub(1);
    match value {
        Value::Array(values) => values
            .iter_mut()
            .for_each(|value| replace(value, place, with)),
        Value::Object(values) => values
            .values_mut()
            .for_each(|value| replace(value, place, with)),
        _ => {}
    }
}

/// What stands in a field, as a word; the empty word where there is none.
pub(super) fn word(row: &Value, field: &str) -> String {
    match &row[field] {
        Value::String(text) => text.trim().to_owned(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}
