//! The words behind the `?`: which items, how many, from where, in which form.

use super::problem::Problem;
use crate::output::view::{AssetView, ConduitView, FindingEndView, FindingView, FlowView, ZoneView};
use crate::policy::{Band, Reason, Verdict};

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
                    check(filter, &value)?;
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
        let mut words: Vec<(&str, &str)> = self.filters.iter().map(|(word, value)| (*word, value.as_str())).collect();
        let limit = self.limit.to_string();
        words.push(("limit", &limit));
        words.push(("cursor", cursor));
        match self.form {
            Form::Json => {}
            Form::Ndjson => words.push(("format", "ndjson")),
            Form::Csv => words.push(("format", "csv")),
        }
        words.iter().map(|(word, value)| format!("{word}={}", encode(value))).collect::<Vec<_>>().join("&")
    }
}

/// Words from a closed list are checked, so that a typing error is no empty answer.
fn check(filter: &str, value: &str) -> Result<(), Problem> {
    let one_of = |known: Vec<&str>| {
        let good = known.contains(&value);
        if good { Ok(()) } else { Err(Problem::bad(format!("{filter} is one of {}", known.join(", ")))) }
    };
    match filter {
        "verdict" => one_of(Verdict::ALL.iter().map(|verdict| verdict.text()).collect()),
        "severity" => one_of(Band::ALL.iter().map(|band| band.text()).collect()),
        "reason" if value.starts_with("ZC") => one_of(Reason::ALL.iter().map(|reason| reason.code()).collect()),
        _ => Ok(()),
    }
}

/// Percent-encoding of all but the unreserved characters (RFC 3986, section 2.3).
fn encode(text: &str) -> String {
    let byte = |byte: u8| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(byte).collect()
}

/// What filters look at.
pub(super) trait Item: serde::Serialize {
    /// The `"type"` of its lines.
    const KIND: &'static str;
    /// The list's name in `analysis.json`.
    const LIST: &'static str;
    /// Filters that it knows.
    const FILTERS: &'static [&'static str];
    /// Its id.
    fn id(&self) -> &str;
    /// Whether it passes one of its filters.
    fn matches(&self, filter: &str, value: &str) -> bool;
    /// Rows for a spreadsheet, if the list has such a form.
    fn sheet(_items: &[Self]) -> Option<Vec<u8>>
    where
        Self: Sized,
    {
        None
    }
}

fn has(text: &str, lower: &str) -> bool {
    text.to_lowercase().contains(lower)
}

fn any<'a>(texts: impl IntoIterator<Item = &'a str>, lower: &str) -> bool {
    texts.into_iter().any(|text| has(text, lower))
}

impl Item for AssetView {
    const KIND: &'static str = "asset";
    const LIST: &'static str = "assets";
    const FILTERS: &'static [&'static str] = &["zone", "role", "protocol", "q"];

    fn id(&self) -> &str {
        &self.id
    }

    fn matches(&self, filter: &str, value: &str) -> bool {
        match filter {
            "zone" => self.zone.as_deref() == Some(value),
            "role" => self.role.value == Some(value),
            "protocol" => self.protocols.iter().any(|speaks| speaks.name == value),
            "q" => {
                let known = [&self.vendor, &self.product, &self.model, &self.firmware, &self.serial, &self.mac_vendor];
                let lists = [&self.ips, &self.macs, &self.hostnames];
                any([self.id.as_str(), self.name.as_str()], value)
                    || any(known.into_iter().filter_map(|text| text.as_deref()), value)
                    || any(lists.into_iter().flatten().map(String::as_str), value)
            }
            _ => false,
        }
    }

    fn sheet(items: &[Self]) -> Option<Vec<u8>> {
        let mut text = Vec::new();
        crate::output::sheet::assets(items, &mut text).ok()?;
        Some(text)
    }
}

impl Item for FlowView {
    const KIND: &'static str = "flow";
    const LIST: &'static str = "flows";
    const FILTERS: &'static [&'static str] = &["zone", "asset", "protocol", "verdict", "finding", "q"];

    fn id(&self) -> &str {
        &self.id
    }

    fn matches(&self, filter: &str, value: &str) -> bool {
        let ends = [&self.client, &self.server.end];
        match filter {
            "zone" => ends.iter().any(|end| end.zone.as_deref() == Some(value)),
            "asset" => ends.iter().any(|end| end.asset.as_deref() == Some(value)),
            "protocol" => self.protocol == Some(value),
            "verdict" => self.verdict == Some(value),
            "finding" => self.findings.iter().any(|finding| finding == value),
            "q" => {
                let names = [self.protocol, self.service, self.rule.as_deref()];
                let ends = ends.into_iter().flat_map(|end| [&end.ip, &end.mac, &end.asset]);
                any([self.id.as_str(), self.transport.as_str()], value)
                    || any(names.into_iter().flatten(), value)
                    || any(ends.filter_map(|text| text.as_deref()), value)
            }
            _ => false,
        }
    }

    fn sheet(items: &[Self]) -> Option<Vec<u8>> {
        let mut text = Vec::new();
        crate::output::sheet::flows(items, &mut text).ok()?;
        Some(text)
    }
}

impl Item for FindingView {
    const KIND: &'static str = "finding";
    const LIST: &'static str = "findings";
    const FILTERS: &'static [&'static str] =
        &["zone", "asset", "protocol", "verdict", "severity", "reason", "state", "kind", "q"];

    fn id(&self) -> &str {
        &self.id
    }

    fn matches(&self, filter: &str, value: &str) -> bool {
        let ends = [&self.src, &self.dst];
        match filter {
            "zone" => ends.iter().any(|end| end.zone.as_deref() == Some(value)),
            "asset" => ends.iter().any(|end| end.asset.as_deref() == Some(value)),
            "protocol" => self.protocol == Some(value),
            "verdict" => self.verdict == value,
            // This grave or graver.
            "severity" => {
                let place = |word: &str| Band::ALL.iter().position(|band| band.text() == word);
                place(self.severity.band) >= place(value)
            }
            "reason" => self.reason.code == value || self.reason.name == value,
            "state" => self.state == value,
            "kind" => self.kind == value,
            "q" => {
                let texts = |end: &FindingEndView| [end.name.clone(), end.ip.clone(), end.mac.clone()];
                any([self.id.as_str(), &self.what, self.reason.code, self.reason.name], value)
                    || ends.into_iter().flat_map(texts).flatten().any(|text| has(&text, value))
            }
            _ => false,
        }
    }
}

impl Item for ZoneView {
    const KIND: &'static str = "zone";
    const LIST: &'static str = "zones";
    const FILTERS: &'static [&'static str] = &["q"];

    fn id(&self) -> &str {
        &self.id
    }

    fn matches(&self, _: &str, value: &str) -> bool {
        any([self.id.as_str()].into_iter().chain(self.name.as_deref()), value)
    }
}

impl Item for ConduitView {
    const KIND: &'static str = "conduit";
    const LIST: &'static str = "conduits";
    const FILTERS: &'static [&'static str] = &["q"];

    fn id(&self) -> &str {
        &self.id
    }

    fn matches(&self, _: &str, value: &str) -> bool {
        let ends = self.from.iter().chain(&self.to).map(String::as_str);
        any(ends.chain([self.id.as_str()]).chain(self.name.as_deref()), value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
