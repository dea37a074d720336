//! Lists, and the words by which they are asked for: the same on the command line and by HTTP.

use super::view::{AssetView, ConduitView, FindingEndView, FindingView, FlowView, ZoneView};
use crate::policy::life::State;
use crate::policy::{Band, Reason, Verdict};

/// Words from a closed list are checked, so that a typing error is no empty answer.
///
/// # Errors
/// What the words are.
pub fn check(filter: &str, value: &str) -> Result<(), String> {
    let one_of = |known: Vec<&str>| {
        let good = known.contains(&value);
        if good { Ok(()) } else { Err(format!("{filter} is one of {}", known.join(", "))) }
    };
    match filter {
        "verdict" => one_of(Verdict::ALL.iter().map(|verdict| verdict.text()).collect()),
        "severity" => one_of(Band::ALL.iter().map(|band| band.text()).collect()),
        "state" => one_of(State::ALL.iter().map(|state| state.text()).collect()),
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
pub trait Item: serde::Serialize + serde::Deserialize<'static> {
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
    /// The items for people, if the list has such a form.
    fn table(_items: &[Self], _columns: u16) -> String
    where
        Self: Sized,
    {
        String::new()
    }
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

/// The words of a query, to be asked by HTTP: `zone=cell%20b&q=plc`.
#[must_use]
pub fn words(filters: &[(&str, String)]) -> String {
    filters.iter().map(|(word, value)| format!("{word}={}", encode(value))).collect::<Vec<_>>().join("&")
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

    fn table(items: &[Self], columns: u16) -> String {
        let mut text = String::new();
        super::text::assets(&mut text, items, columns);
        text.trim_start().to_owned()
    }

    fn sheet(items: &[Self]) -> Option<Vec<u8>> {
        let mut text = Vec::new();
        super::sheet::assets(items, &mut text).ok()?;
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

    fn table(items: &[Self], columns: u16) -> String {
        let mut text = String::new();
        super::text::flows(&mut text, items, columns);
        text.trim_start().to_owned()
    }

    fn sheet(items: &[Self]) -> Option<Vec<u8>> {
        let mut text = Vec::new();
        super::sheet::flows(items, &mut text).ok()?;
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

    fn table(items: &[Self], columns: u16) -> String {
        let mut text = String::new();
        super::text::findings(&mut text, items, columns);
        text.trim_start().to_owned()
    }

    fn sheet(items: &[Self]) -> Option<Vec<u8>> {
        let mut text = Vec::new();
        super::sheet::findings(items, &mut text).ok()?;
        Some(text)
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
