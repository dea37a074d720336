//! What came, changed and went between two analyses.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::Serialize;

use super::escape::terminal;
use super::view::{AnalysisView, AssetView, FindingView, FlowEndView, FlowView, SCHEMA};
use crate::time::Timestamp;

/// The differences of two analyses.
#[derive(Debug, Serialize)]
pub struct Comparison {
    /// [`SCHEMA`].
    pub schema: &'static str,
    /// Devices.
    pub assets: Changes,
    /// Conversations.
    pub flows: Changes,
    /// Findings.
    pub findings: Changes,
}

/// The differences of two lists, each in the order of ids.
#[derive(Debug, Default, Serialize)]
pub struct Changes {
    /// In the second alone.
    pub came: Vec<Entry>,
    /// In both, and something else.
    pub changed: Vec<Entry>,
    /// In the first alone; of one store: not seen since the first time.
    pub went: Vec<Entry>,
}

/// An item of a list.
#[derive(Debug, Serialize)]
pub struct Entry {
    /// Its id.
    pub id: String,
    /// What it is, in a few words.
    pub what: String,
    /// What is something else.
    pub changes: Vec<Change>,
}

/// What is something else.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Change {
    /// A key of the contract.
    pub field: &'static str,
    /// What it was.
    pub before: String,
    /// What it is.
    pub after: String,
}

/// What is compared of an item.
trait Compared {
    fn id(&self) -> &str;
    fn what(&self) -> String;
    fn last_seen(&self) -> &str;
    fn fields(&self) -> Vec<(&'static str, String)>;
    /// Other names of the same thing, for what had another id before more was known of it.
    fn names(&self) -> Vec<&str> {
        Vec::new()
    }
}

impl Comparison {
    /// What is in one analysis and not, or otherwise, in the other.
    #[must_use]
    pub fn new(before: &AnalysisView, after: &AnalysisView) -> Self {
        Self::of(before, after, None)
    }

    /// The same of one store at two times, of which this is the first.
    #[must_use]
    pub fn since(before: &AnalysisView, after: &AnalysisView, since: Timestamp) -> Self {
        Self::of(before, after, Some(since))
    }

    fn of(before: &AnalysisView, after: &AnalysisView, since: Option<Timestamp>) -> Self {
        Self {
            schema: SCHEMA,
            assets: changes(&before.assets, &after.assets, since),
            flows: changes(&before.flows, &after.flows, since),
            findings: changes(&before.findings, &after.findings, since),
        }
    }

    /// For people.
    #[must_use]
    pub fn text(&self) -> String {
        let mut out = String::new();
        for (name, changes) in [("Assets", &self.assets), ("Flows", &self.flows), ("Findings", &self.findings)] {
            let Changes { came, changed, went } = changes;
            let _ = writeln!(out, "{name}: {} came, {} changed, {} went", came.len(), changed.len(), went.len());
            for (sign, entries) in [("+", came), ("~", changed), ("-", went)] {
                for entry in entries {
                    let _ = writeln!(out, "  {sign} {} {}", entry.id, terminal(&entry.what));
                    for Change { field, before, after } in &entry.changes {
                        let word = |text: &str| {
                            if text.is_empty() { "nothing".to_owned() } else { terminal(text).into_owned() }
                        };
                        let _ = writeln!(out, "      {field}: {} is {} now", word(before), word(after));
                    }
                }
            }
        }
        out
    }
}

fn changes<I: Compared>(before: &[I], after: &[I], since: Option<Timestamp>) -> Changes {
    let known: BTreeMap<&str, &I> = before.iter().map(|item| (item.id(), item)).collect();
    let there: BTreeMap<&str, &I> = after.iter().map(|item| (item.id(), item)).collect();
    let mut names: BTreeMap<&str, &I> = BTreeMap::new();
    for item in before.iter().filter(|item| !there.contains_key(item.id())) {
        names.extend(item.names().into_iter().map(|name| (name, item)));
    }
    let mut changes = Changes::default();
    let mut renamed = Vec::new();
    let entry = |item: &I, changes| Entry { id: item.id().to_owned(), what: item.what(), changes };
    for item in after {
        let by_name = || item.names().into_iter().find_map(|name| names.get(name).copied());
        let Some(old) = known.get(item.id()).copied().or_else(by_name) else {
            changes.came.push(entry(item, Vec::new()));
            continue;
        };
        let mut differs = Vec::new();
        if old.id() != item.id() {
            renamed.push(old.id());
            differs.push(Change { field: "id", before: old.id().to_owned(), after: item.id().to_owned() });
        }
        let pairs = old.fields().into_iter().zip(item.fields());
        differs.extend(
            pairs.filter(|((_, before), (_, after))| before != after).map(|((field, before), (_, after))| Change {
                field,
                before,
                after,
            }),
        );
        if !differs.is_empty() {
            changes.changed.push(entry(item, differs));
        }
    }
    let gone = |item: &&I| match since {
        None => !there.contains_key(item.id()) && !renamed.contains(&item.id()),
        Some(since) => Timestamp::parse(item.last_seen()).is_some_and(|last| last <= since),
    };
    changes.went = before.iter().filter(gone).map(|item| entry(item, Vec::new())).collect();
    changes
}

fn text(value: &Option<String>) -> String {
    value.clone().unwrap_or_default()
}

impl Compared for AssetView {
    fn id(&self) -> &str {
        &self.id
    }

    fn what(&self) -> String {
        let known =
            [&self.vendor, &self.product, &self.model, &self.firmware].into_iter().flatten().map(String::as_str);
        let role = self.role.value.into_iter();
        let zone = self.zone.as_deref().into_iter();
        let name = std::iter::once(self.name.as_str())
            .chain(self.ips.first().map(String::as_str).filter(|ip| *ip != self.name));
        name.chain(role).chain(zone).chain(known).collect::<Vec<_>>().join(" ")
    }

    fn last_seen(&self) -> &str {
        &self.last_seen
    }

    fn fields(&self) -> Vec<(&'static str, String)> {
        vec![
            ("name", self.name.clone()),
            ("ips", self.ips.join(" ")),
            ("macs", self.macs.join(" ")),
            ("hostnames", self.hostnames.join(" ")),
            ("vendor", text(&self.vendor)),
            ("product", text(&self.product)),
            ("model", text(&self.model)),
            ("firmware", text(&self.firmware)),
            ("serial", text(&self.serial)),
            ("role", self.role.value.unwrap_or_default().to_owned()),
            ("zone", text(&self.zone)),
            ("components", self.components.iter().map(|part| part.id.as_str()).collect::<Vec<_>>().join(" ")),
        ]
    }

    fn names(&self) -> Vec<&str> {
        self.macs.iter().chain(&self.ips).map(String::as_str).collect()
    }
}

impl Compared for FlowView {
    fn id(&self) -> &str {
        &self.id
    }

    fn what(&self) -> String {
        let end = |end: &FlowEndView| end.ip.clone().or_else(|| end.mac.clone()).unwrap_or_default();
        let port = self.server.port.map_or(String::new(), |port| format!("/{port}"));
        let name = self.protocol.or(self.service).unwrap_or_default();
        let text = format!("{} -> {} {}{port} {name}", end(&self.client), end(&self.server.end), self.transport);
        format!("{} {}", text.trim_end(), self.verdict.unwrap_or_default()).trim_end().to_owned()
    }

    fn last_seen(&self) -> &str {
        &self.last_seen
    }

    fn fields(&self) -> Vec<(&'static str, String)> {
        let mut asked: Vec<_> = self.operations.iter().map(|o| format!("{} {}", o.class, o.name)).collect();
        asked.sort_unstable();
        asked.dedup();
        vec![
            ("protocol", self.protocol.unwrap_or_default().to_owned()),
            ("verdict", self.verdict.unwrap_or_default().to_owned()),
            ("rule", text(&self.rule)),
            ("operations", asked.join(", ")),
        ]
    }
}

impl Compared for FindingView {
    fn id(&self) -> &str {
        &self.id
    }

    fn what(&self) -> String {
        format!("{} {} {} {}", self.severity.band, self.reason.code, self.reason.name, self.what)
    }

    fn last_seen(&self) -> &str {
        &self.time.last
    }

    fn fields(&self) -> Vec<(&'static str, String)> {
        vec![("state", self.state.to_owned()), ("severity", self.severity.band.to_owned())]
    }
}
