//! JSON with the place of every key and value.
//!
//! `serde_json` says whether a text is JSON and what its strings and numbers are; where they stand it does not tell. The
//! text is walked a second time for that, by rules that are enough for what is known to be well-formed.

use std::collections::BTreeMap;

use serde_json::Value as Json;

use super::diagnostic::{Diagnostic, Span};
use super::kind::Kind;
use super::read::{Node, Reader, Value};

/// Reads a text that is JSON.
pub(super) fn read(file: u16, text: &str, reader: &mut Reader) -> Node {
    Walk { file, text, at: 0 }.value(reader)
}

struct Walk<'a> {
    file: u16,
    text: &'a str,
    at: usize,
}

impl Walk<'_> {
    /// The next character that means something.
    fn next(&mut self) -> Option<u8> {
        let rest = self.text.as_bytes().get(self.at..)?;
        self.at += rest.iter().position(|byte| !byte.is_ascii_whitespace())?;
        self.text.as_bytes().get(self.at).copied()
    }

    /// Steps over a character if it is the next one.
    fn take(&mut self, byte: u8) -> bool {
        let is = self.next() == Some(byte);
        self.at += usize::from(is);
        is
    }

    // Each nested value is a call: serde_json has refused what is nested deeper than 128.
    fn value(&mut self, reader: &mut Reader) -> Node {
        let start = match self.next() {
            Some(_) => self.at,
            None => self.text.len(),
        };
        let value = if self.take(b'{') {
            self.object(reader)
        } else if self.take(b'[') {
            let mut items = Vec::new();
            while !self.take(b']') && self.next().is_some() {
                items.push(self.value(reader));
                self.take(b',');
            }
            Value::List(items)
        } else {
            self.scalar()
        };
        Node { at: Span::new(self.file, &(start..self.at)), value }
    }

    fn object(&mut self, reader: &mut Reader) -> Value {
        let mut fields: BTreeMap<String, (Span, Node)> = BTreeMap::new();
        while !self.take(b'}') && self.next().is_some() {
            let start = self.at;
            let Value::Text(key) = self.scalar() else { break };
            let at = Span::new(self.file, &(start..self.at));
            self.take(b':');
            let value = self.value(reader);
            self.take(b',');
            if let Some((first, _)) = fields.get(&key) {
                let twice = Diagnostic::error(at, format!("the key \"{key}\" is given twice")).kind(Kind::Duplicate);
                reader.found.push(twice.related(*first, "first here"));
            }
            fields.insert(key, (at, value));
        }
        Value::Table(fields)
    }

    /// A text, a number or a word.
    fn scalar(&mut self) -> Value {
        let rest = self.text.get(self.at..).unwrap_or_default();
        let mut escaped = false;
        let ends = |(at, byte): (usize, u8)| {
            let quote = byte == b'"' && !escaped;
            escaped = byte == b'\\' && !escaped;
            (quote && at > 0).then_some(at + 1)
        };
        let len = if rest.starts_with('"') {
            rest.bytes().enumerate().find_map(ends)
        } else {
            rest.find(|c: char| matches!(c, ',' | ']' | '}') || c.is_ascii_whitespace())
        };
        // At least one byte, so that what is no JSON after all ends too.
        let len = len.unwrap_or(rest.len()).max(usize::from(!rest.is_empty()));
        self.at += len;
        match serde_json::from_str(rest.get(..len).unwrap_or_default()) {
            Ok(Json::Bool(bool)) => Value::Bool(bool),
            Ok(Json::Number(number)) => match number.as_i64() {
                Some(integer) => Value::Integer(integer),
                None => Value::Float(number.as_f64().unwrap_or(f64::NAN)),
            },
            // Dates are text in JSON.
            Ok(Json::String(text)) => Value::Text(text),
            _ => Value::Null,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The value without places, and each place holds what was read from it.
    fn plain(text: &str, node: &Node) -> Json {
        let whole = &text[node.at.start as usize..node.at.end as usize];
        let value = match &node.value {
            Value::Null => Json::Null,
            Value::Bool(bool) => (*bool).into(),
            Value::Integer(integer) => (*integer).into(),
            Value::Float(float) => (*float).into(),
            Value::Text(text) => text.as_str().into(),
            Value::List(items) => items.iter().map(|item| plain(text, item)).collect(),
            Value::Table(fields) => fields
                .iter()
                .map(|(key, (at, item))| {
                    assert_eq!(text[at.start as usize..at.end as usize], Json::from(key.as_str()).to_string());
                    (key.clone(), plain(text, item))
                })
                .collect(),
            Value::Time(_) => panic!("JSON has no times"),
        };
        assert_eq!(serde_json::from_str::<Json>(whole).unwrap(), value, "{whole}");
        value
    }

    #[test]
    fn keys_given_twice_are_told() {
        let mut reader = Reader::default();
        read(0, r#"{"a": 1, "b": {"a": 2}, "a": 3}"#, &mut reader);
        assert_eq!(reader.found.len(), 1);
        assert_eq!(reader.found[0].at.start, 24);
    }

    fn json() -> impl Strategy<Value = Json> {
        let leaf = prop_oneof![
            Just(Json::Null),
            any::<bool>().prop_map(Json::from),
            any::<i64>().prop_map(Json::from),
            "[a-z\"\\\\ {}\\[\\],:é\n]{0,8}".prop_map(Json::from),
        ];
        leaf.prop_recursive(4, 32, 5, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Json::from),
                prop::collection::btree_map("[a-z]{1,3}", inner, 0..5).prop_map(|map| map.into_iter().collect()),
            ]
        })
    }

    proptest! {
        #[test]
        fn reads_what_serde_json_reads(json in json(), pretty in any::<bool>()) {
            let text = if pretty { serde_json::to_string_pretty(&json) } else { serde_json::to_string(&json) }.unwrap();
            let mut reader = Reader::default();
            prop_assert_eq!(plain(&text, &read(0, &text, &mut reader)), json);
            prop_assert!(reader.found.is_empty());
        }

        #[test]
        fn ends_whatever_it_is_given(text in ".{0,60}") {
            read(0, &text, &mut Reader::default());
        }
    }
}
