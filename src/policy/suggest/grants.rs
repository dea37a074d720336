//! From operations that were seen to the narrowest allow tables that cover them.

use std::collections::{BTreeMap, BTreeSet};

use dissectors::Class;

use super::text::quoted;
use super::{Act, Seen, Talk};
use crate::ledger::Evidence;

/// Registers that lie so few apart are one range: a poll that skips a few is one poll.
const REGISTER_GAP: u64 = 4;
/// Spaces whose neighbours are alike, so that a gap may be closed. Numbers of classes or instances are not.
const REGISTERS: [&str; 4] = ["coil", "discrete", "input", "holding"];

/// What was seen of a right: how often, and where first and last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::policy) struct Proof {
    pub(in crate::policy) count: u64,
    pub(in crate::policy) first: Evidence,
    pub(in crate::policy) last: Evidence,
}

impl Proof {
    fn of(act: &Act) -> Self {
        Self { count: act.count, first: act.first, last: act.last }
    }

    fn and(self, other: Self) -> Self {
        Self {
            count: self.count.saturating_add(other.count),
            first: self.first.min(other.first),
            last: self.last.max(other.last),
        }
    }
}

/// Which operations a table allows.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Operations {
    /// The protocol's operations are not told apart.
    Any,
    /// Opening a session, and nothing in it.
    Session,
    /// These codes.
    Codes(BTreeSet<String>),
}

/// Objects of a table, in the order in which they are written.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Things {
    ranges: BTreeMap<String, Vec<(u64, u64)>>,
    names: BTreeSet<(String, String)>,
}

impl Things {
    fn of(act: &Act) -> Option<Self> {
        let mut things = Self { names: act.names.iter().cloned().collect(), ..Self::default() };
        for (space, from, to) in &act.ranges {
            things.ranges.entry(space.clone()).or_default().push((*from, *to));
        }
        things.close_gaps();
        (!act.ranges.is_empty() || !act.names.is_empty()).then_some(things)
    }

    fn add(&mut self, other: Self) {
        for (space, ranges) in other.ranges {
            self.ranges.entry(space).or_default().extend(ranges);
        }
        self.names.extend(other.names);
        self.close_gaps();
    }

    fn close_gaps(&mut self) {
        for (space, ranges) in &mut self.ranges {
            let gap = if REGISTERS.contains(&space.as_str()) { REGISTER_GAP } else { 0 };
            ranges.sort_unstable();
            let mut merged: Vec<(u64, u64)> = Vec::new();
            for (from, to) in ranges.drain(..) {
                match merged.last_mut() {
                    Some((_, end)) if from <= end.saturating_add(gap).saturating_add(1) => *end = to.max(*end),
                    _ => merged.push((from, to)),
                }
            }
            *ranges = merged;
        }
    }

    fn texts(&self) -> Vec<String> {
        let range = |space: &str, (from, to): &(u64, u64)| {
            // TOML integers are signed; an end that does not fit is the end of the space.
            let to = i64::try_from(*to).map(|to| format!(", to = {to}")).unwrap_or_default();
            format!("{{ table = {}, from = {}{to} }}", quoted(space), i64::try_from(*from).unwrap_or(i64::MAX))
        };
        let ranges = self.ranges.iter().flat_map(|(space, list)| list.iter().map(move |item| range(space, item)));
        let names = self.names.iter().map(|(space, name)| {
            let key = match space.as_str() {
                "tag" | "node" | "method" => space,
                _ => "name",
            };
            // A star in a name would stand for anything; a question mark stands for one character.
            format!("{{ {key} = {} }}", quoted(&name.replace('*', "?")))
        });
        ranges.chain(names).collect()
    }
}

/// One allow table, with its evidence.
#[derive(Clone, Debug)]
pub(in crate::policy) struct Table {
    word: String,
    ports: BTreeSet<u16>,
    operations: Operations,
    units: Option<BTreeSet<String>>,
    things: Option<Things>,
    /// Names of the operations, for people.
    says: BTreeSet<String>,
    pub(in crate::policy) proof: Proof,
    /// More objects were seen than were kept.
    pub(in crate::policy) partial: bool,
}

impl Table {
    /// As TOML, in one line.
    pub(in crate::policy) fn text(&self) -> String {
        let mut parts = vec![format!("protocol = {}", quoted(&self.word))];
        let list = |key: &str, items: Vec<String>| format!("{key} = [{}]", items.join(", "));
        if !self.ports.is_empty() {
            parts.push(list("ports", self.ports.iter().map(ToString::to_string).collect()));
        }
        match &self.operations {
            Operations::Any => {}
            Operations::Session => parts.push("ops = [\"session\"]".to_owned()),
            Operations::Codes(codes) => {
                let mut codes: Vec<&String> = codes.iter().collect();
                codes.sort_by_key(|code| (code.parse::<u64>().unwrap_or(u64::MAX), (*code).clone()));
                parts.push(list("functions", codes.into_iter().map(|code| number_or_quoted(code)).collect()));
            }
        }
        if let Some(units) = &self.units {
            let mut units: Vec<&String> = units.iter().collect();
            units.sort_by_key(|unit| (unit.parse::<u64>().unwrap_or(u64::MAX), (*unit).clone()));
            parts.push(list("units", units.into_iter().map(|unit| number_or_quoted(unit)).collect()));
        }
        if let Some(things) = &self.things {
            parts.push(list("objects", things.texts()));
        }
        format!("{{ {} }}", parts.join(", "))
    }

    /// The operations by name.
    pub(in crate::policy) fn says(&self) -> String {
        self.says.iter().cloned().collect::<Vec<_>>().join(", ")
    }
}

fn number_or_quoted(text: &str) -> String {
    match text.parse::<u32>() {
        Ok(number) => number.to_string(),
        Err(_) => quoted(text),
    }
}

/// Protocols of which some operation was addressed to a part of a device: their tables name the parts.
pub(super) fn protocols_with_units(seen: &Seen) -> BTreeSet<String> {
    let addressed = |talk: &&Talk| talk.acts.iter().any(|act| act.unit.is_some());
    seen.talks.iter().filter(addressed).map(|talk| talk.word().0).collect()
}

/// The tables that cover these operations of a conversation.
pub(in crate::policy) fn tables(talk: &Talk, acts: &[&Act], units: bool) -> Vec<Table> {
    let (word, decoded) = talk.word();
    let whole = Table {
        word,
        ports: talk.ports().into_iter().collect(),
        operations: Operations::Any,
        units: None,
        things: None,
        says: BTreeSet::new(),
        proof: Proof { count: talk.frames, first: talk.first, last: talk.last },
        partial: false,
    };
    if !decoded && acts.is_empty() {
        return vec![whole];
    }
    // Opening a session is implied by any right to the protocol.
    let mut tables: Vec<Table> = acts
        .iter()
        .filter(|act| act.class != Class::Session)
        .map(|act| Table {
            operations: Operations::Codes([act.code.clone()].into()),
            // The device itself is written as 255.
            units: units.then(|| [act.unit.clone().unwrap_or_else(|| "255".to_owned())].into()),
            things: Things::of(act),
            says: [act.name.clone()].into(),
            proof: Proof::of(act),
            partial: act.partial,
            ..whole.clone()
        })
        .collect();
    if tables.is_empty() {
        tables.push(Table { operations: Operations::Session, ..whole });
    }
    merged(tables)
}

/// The same rights in as few tables: of one code and part the objects are joined, then what differs only in its codes
/// or only in its parts becomes one.
pub(super) fn merged(tables: Vec<Table>) -> Vec<Table> {
    type Same = (String, BTreeSet<u16>, Operations, Option<BTreeSet<String>>, Option<Things>);
    let join = |tables: Vec<Table>, key: &dyn Fn(&Table) -> Same, add: &dyn Fn(&mut Table, Table)| {
        let mut joined: BTreeMap<Same, Table> = BTreeMap::new();
        for table in tables {
            match joined.entry(key(&table)) {
                std::collections::btree_map::Entry::Occupied(mut known) => {
                    let known = known.get_mut();
                    known.proof = known.proof.and(table.proof);
                    known.says.extend(table.says.iter().cloned());
                    known.partial |= table.partial;
                    add(known, table);
                }
                std::collections::btree_map::Entry::Vacant(slot) => {
                    slot.insert(table);
                }
            }
        }
        joined.into_values().collect::<Vec<_>>()
    };
    let codes = |table: &Table| match &table.operations {
        Operations::Codes(_) => Operations::Codes(BTreeSet::new()),
        other => other.clone(),
    };
    let some = |things: &Option<Things>| things.as_ref().map(|_| Things::default());
    let tables = join(
        tables,
        &|t| (t.word.clone(), t.ports.clone(), t.operations.clone(), t.units.clone(), some(&t.things)),
        &|known, table| {
            if let (Some(known), Some(more)) = (&mut known.things, table.things) {
                known.add(more);
            }
        },
    );
    let tables = join(
        tables,
        &|t| (t.word.clone(), t.ports.clone(), codes(t), t.units.clone(), t.things.clone()),
        &|known, table| {
            if let (Operations::Codes(known), Operations::Codes(more)) = (&mut known.operations, table.operations) {
                known.extend(more);
            }
        },
    );
    let tables = join(
        tables,
        &|t| {
            let units = t.units.as_ref().map(|_| BTreeSet::new());
            (t.word.clone(), t.ports.clone(), t.operations.clone(), units, t.things.clone())
        },
        &|known, table| {
            if let (Some(known), Some(more)) = (&mut known.units, table.units) {
                known.extend(more);
            }
        },
    );
    let tables = join(
        tables,
        &|t| {
            // An empty set of ports is the protocol's own: not to be joined with others.
            let ports = if t.ports.is_empty() { BTreeSet::new() } else { [0].into() };
            (t.word.clone(), ports, t.operations.clone(), t.units.clone(), t.things.clone())
        },
        &|known, table| known.ports.extend(table.ports),
    );
    // A session alone is implied by any other right to the protocol at the same ports.
    let implied = |table: &Table| {
        let more = |other: &Table| {
            other.word == table.word && other.ports == table.ports && other.operations != Operations::Session
        };
        table.operations == Operations::Session && tables.iter().any(more)
    };
    tables.iter().filter(|table| !implied(table)).cloned().collect()
}
