//! The words behind the `?`: which items, how many, from where, in which form.

use super::problem::Problem;
use crate::output::list::{Item, check, words};

/// Items on a page when nothing else is said.
const LIMIT: usize = 100;

/// Items on a page at most.
const MOST: usize = 1000;

/// Longest value.
const LENGTH: usize = 256;

/// How an answer is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Form {
    /// One object.
    #[default]
    Json,
    /// One line an item.
    Ndjson,
    /// One row an item.
    Csv,
}

/// What a list is asked for.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Query {
    pub(super) limit: usize,
    /// The id to begin with.
    pub(super) cursor: String,
    pub(super) form: Form,
    filters: Vec<(&'static str, String)>,
}

impl Query {
    /// Reads `words`, of which the list knows these filters.
    pub(super) fn read(words: Vec<(String, String)>, filters: &[&'static str]) -> Result<Self, Problem> {
        let mut query = Self { limit: LIMIT, cursor: String::new(), form: Form::Json, filters: Vec::new() };
        let mut seen: Vec<String> = Vec::new();
        for (word, value) in words {
            if seen.contains(&word) {
                return Err(Problem::bad(format!("'{word}' stands twice")));
            }
            if value.len() > LENGTH {
                return Err(Problem::bad(format!("'{word}' is longer than {LENGTH} bytes")));
            }
            match (word.as_str(), filters.iter().find(|filter| **filter == word)) {
                ("limit", _) => {
                    let limit = value.parse().ok().filter(|limit| (1..=MOST).contains(limit));
                    query.limit = limit.ok_or_else(|| Problem::bad(format!("limit is a number from 1 to {MOST}")))?;
                }
                ("cursor", _) => query.cursor = value,
                ("format", _) => {
                    query.form = match value.as_str() {
                        "json" => Form::Json,
                        "ndjson" => Form::Ndjson,
                        "csv" => Form::Csv,
                        _ => return Err(Problem::bad("format is json, ndjson or csv")),
                    }
                }
                (_, Some(filter)) => {
                    check(filter, &value).map_err(Problem::bad)?;
                    let value = if *filter == "q" { value.to_lowercase() } else { value };
                    query.filters.push((filter, value));
                }
                (_, None) => {
                    // What was asked is not repeated: it may be anything.
                    let known = filters.join(", ");
                    let also = if known.is_empty() { "" } else { ", " };
                    return Err(Problem::bad(format!(
                        "the query has an unknown word; known are {known}{also}limit, cursor, format"
                    )));
                }
            }
            seen.push(word);
        }
        Ok(query)
    }

    /// Whether an item passes every filter.
    pub(super) fn takes(&self, item: &impl Item) -> bool {
        self.filters.iter().all(|(filter, value)| item.matches(filter, value))
    }

    /// The query of the next page, which begins with this id.
    pub(super) fn next(&self, cursor: &str) -> String {
        let mut asked = self.filters.clone();
        asked.push(("limit", self.limit.to_string()));
        asked.push(("cursor", cursor.to_owned()));
        match self.form {
            Form::Json => {}
            Form::Ndjson => asked.push(("format", "ndjson".to_owned())),
            Form::Csv => asked.push(("format", "csv".to_owned())),
        }
        words(&asked)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::view::FindingView;

    fn words(text: &str) -> Vec<(String, String)> {
        let pair = |word: &str| word.split_once('=').map(|(a, b)| (a.to_owned(), b.to_owned()));
        text.split('&').filter_map(pair).collect()
    }

    #[test]
    fn queries() {
        let long = format!("q={}", "x".repeat(300));
        for (text, want) in [
            ("", "limit=100&cursor=Z"),
            ("limit=7&zone=cell a", "zone=cell%20a&limit=7&cursor=Z"),
            ("q=PLC&format=csv&cursor=A", "q=plc&limit=100&cursor=Z&format=csv"),
            ("severity=high", "severity=high&limit=100&cursor=Z"),
            ("severity=awful", "! severity is one of info, low, medium, high, critical"),
            ("verdict=maybe", "! verdict is one of"),
            ("reason=ZC099", "! reason is one of ZC001"),
            ("limit=0", "! limit is a number from 1 to 1000"),
            ("limit=1001", "! limit is a number"),
            ("limit=-1", "! limit is a number"),
            ("limit=1&limit=2", "! 'limit' stands twice"),
            ("format=xml", "! format is json, ndjson or csv"),
            ("bogus=1", "! the query has an unknown word; known are zone, asset"),
            (&long, "! 'q' is longer than 256 bytes"),
        ] {
            let got = match Query::read(words(text), FindingView::FILTERS) {
                Ok(query) => query.next("Z"),
                Err(problem) => format!("! {problem:?}"),
            };
            match want.strip_prefix("! ") {
                Some(why) => assert!(got.starts_with('!') && got.contains(why), "{text}: {got}"),
                None => assert_eq!(got, want, "{text}"),
            }
        }
    }
}
