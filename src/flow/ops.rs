//! What was asked over a flow: operations with their objects and outcomes, merged and bounded.

use dissectors::{Class, Component, ComponentId, Item, Object, Outcome};
use smallvec::SmallVec;

use super::hash::Secret;
use crate::ledger::Evidence;

/// What tells operations of one flow apart.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OperationKey {
    /// The protocol's code, see [`dissectors::Protocol::operation`].
    pub code: u64,
    /// What kind of thing it does.
    pub class: Class,
    /// The part of the server that is addressed, e.g. `modbus/17`.
    pub component: Option<Box<str>>,
}

/// An operation of a flow, over all its requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation {
    /// Which.
    pub key: OperationKey,
    /// On what.
    pub objects: Objects,
    /// How often, with what outcome.
    pub tally: Tally,
}

impl Operation {
    /// An operation of which nothing was counted yet, first seen there.
    #[must_use]
    pub fn new(key: OperationKey, at: Evidence) -> Self {
        Self { key, objects: Objects::default(), tally: Tally::new(at) }
    }
}

/// How often something was asked and what came back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tally {
    /// Requests (and messages that want no reply).
    pub requests: u64,
    /// Positive replies.
    pub answered: u64,
    /// Negative replies.
    pub refused: u64,
    /// Where first.
    pub first: Evidence,
    /// Where last.
    pub last: Evidence,
}

impl Tally {
    /// Nothing yet, first seen there.
    #[must_use]
    pub fn new(at: Evidence) -> Self {
        Self { requests: 0, answered: 0, refused: 0, first: at, last: at }
    }

    /// Counts one message.
    #[inline]
    pub fn count(&mut self, outcome: Outcome, at: Evidence) {
        match outcome {
            Outcome::Asked | Outcome::Told => self.requests += 1,
            Outcome::Answered => self.answered += 1,
            Outcome::Refused(_) => self.refused += 1,
        }
        self.last = self.last.max(at);
    }

    /// Adds another.
    pub fn merge(&mut self, other: &Self) {
        self.requests += other.requests;
        self.answered += other.answered;
        self.refused += other.refused;
        self.first = self.first.min(other.first);
        self.last = self.last.max(other.last);
    }
}

/// Objects of an operation: ranges merged to as few as there can be, names as a set. Bounded. One word where there are none,
/// which with many protocols is everywhere.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Objects(Option<Box<Listed>>);

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Listed {
    /// Space, from, to: disjoint and in order, within a space not even adjacent. Most operations are on one.
    ranges: SmallVec<[(&'static str, u64, u64); 1]>,
    rest: Option<Box<Rest>>,
}

/// What most lists have nothing of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Rest {
    /// In order.
    names: Vec<(&'static str, Box<str>)>,
    /// Objects that did not fit.
    dropped: u64,
}

/// Ranges kept for one space, and names kept in all.
const MOST: usize = 256;

impl Objects {
    /// None.
    pub const NONE: Self = Self(None);

    /// Adds one object.
    pub fn add(&mut self, object: &Object<'_>) {
        match object.item {
            Item::Range(from, to) => self.listed().add_range(object.space, from.min(to), from.max(to)),
            Item::Name(name) => self.listed().add_name(object.space, name),
        }
    }

    /// Adds all objects of another.
    pub fn merge(&mut self, other: &Self) {
        let Some(theirs) = &other.0 else { return };
        let mine = self.listed();
        theirs.ranges.iter().for_each(|(space, from, to)| mine.add_range(space, *from, *to));
        let Some(theirs) = &theirs.rest else { return };
        theirs.names.iter().for_each(|(space, name)| mine.add_name(space, name));
        mine.rest().dropped += theirs.dropped;
    }

    /// So many more did not fit.
    pub fn drop_more(&mut self, count: u64) {
        if count > 0 {
            self.listed().rest().dropped += count;
        }
    }

    /// Objects that did not fit.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.rest().map_or(0, |rest| rest.dropped)
    }

    /// The ranges: space, from, to (inclusive), in order.
    pub fn ranges(&self) -> impl Iterator<Item = (&'static str, u64, u64)> {
        self.0.iter().flat_map(|listed| listed.ranges.iter().copied())
    }

    /// The names: space and name, in order.
    pub fn names(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.rest().into_iter().flat_map(|rest| rest.names.iter().map(|(space, name)| (*space, &**name)))
    }

    /// Nothing in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ranges().next().is_none() && self.names().next().is_none()
    }

    fn rest(&self) -> Option<&Rest> {
        self.0.as_ref()?.rest.as_deref()
    }

    fn listed(&mut self) -> &mut Listed {
        self.0.get_or_insert_default()
    }
}

impl Listed {
    fn add_range(&mut self, space: &'static str, from: u64, to: u64) {
        // Where the ranges of this space stand.
        let (front, back) = match &*self.ranges {
            [(s, ..)] if std::ptr::eq(*s, space) => (0, 1), // Nearly always.
            ranges => (ranges.partition_point(|(s, ..)| *s < space), ranges.partition_point(|(s, ..)| *s <= space)),
        };
        let of_space = self.ranges.get(front..back).unwrap_or(&[]);
        if of_space.iter().any(|range| range.1 <= from && to <= range.2) {
            return; // What is asked again and again.
        }
        // Those that overlap or touch the new one become one with it.
        let start = of_space.partition_point(|range| range.2.saturating_add(1) < from);
        let end = of_space.partition_point(|range| range.1 <= to.saturating_add(1));
        let joined = of_space.get(start..end).unwrap_or(&[]);
        if joined.is_empty() && of_space.len() >= MOST {
            self.rest().dropped += 1;
            return;
        }
        let merged = joined.iter().fold((space, from, to), |m, range| (space, m.1.min(range.1), m.2.max(range.2)));
        match self.ranges.get_mut(front + start) {
            Some(first) if start < end => {
                *first = merged;
                self.ranges.drain(front + start + 1..front + end);
            }
            _ => self.ranges.insert(front + start, merged),
        }
    }

    fn add_name(&mut self, space: &'static str, name: &str) {
        let Rest { names, dropped } = self.rest();
        let Err(place) = names.binary_search_by(|(s, n)| (*s, &**n).cmp(&(space, name))) else { return };
        if names.len() >= MOST {
            *dropped += 1;
            return;
        }
        if names.len() == names.capacity() {
            names.reserve_exact((names.len() / 2).max(1)); // Mostly few, and kept for long.
        }
        names.insert(place, (space, name.into()));
    }

    fn rest(&mut self) -> &mut Rest {
        self.rest.get_or_insert_default()
    }
}

/// The text of a component, kept.
#[must_use]
pub fn component_text(component: Option<Component<'_>>) -> Option<Box<str>> {
    component.map(|component| component.to_string().into())
}

/// Whether a text is that of a component. Without making it: this is asked for every operation that no cache knows.
#[must_use]
pub fn is_component(text: Option<&str>, component: Option<Component<'_>>) -> bool {
    let (Some(text), Some(component)) = (text, component) else { return text.is_none() && component.is_none() };
    let Some(id) = text.strip_prefix(component.space).and_then(|rest| rest.strip_prefix('/')) else { return false };
    match component.id {
        ComponentId::Path(path) => id == path,
        // Written without leading zeros or a sign.
        ComponentId::Number(number) => id.parse() == Ok(number),
    }
}

/// A number that tells operations on objects apart within one process: the key of the caches on the packet path.
#[inline]
#[must_use]
pub fn fingerprint(secret: Secret, operation: &dissectors::Operation<'_>) -> u64 {
    let class = operation.class as u64;
    let start = match operation.component {
        None => secret.mix(operation.code, class),
        Some(Component { id: ComponentId::Number(number), .. }) => {
            secret.mix(operation.code, class | 1 << 63 | u64::from(number) << 8)
        }
        Some(Component { id: ComponentId::Path(path), .. }) => {
            secret.bytes(secret.mix(operation.code, class | 1 << 62), path.as_bytes())
        }
    };
    operation.objects.iter().fold(start, |sum, object| {
        // Where a space's name lies is which space it is: they are constants.
        let sum = secret.mix(sum, object.space.as_ptr().addr() as u64);
        match object.item {
            Item::Range(from, to) => secret.mix(sum ^ from, to),
            Item::Name(name) => secret.bytes(sum, name.as_bytes()),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_merge_when_they_touch() {
        for (case, add, want) in [
            ("apart", &[(0, 9), (20, 29)][..], "0-9 20-29"),
            ("adjacent", &[(0, 9), (10, 19)], "0-19"),
            ("overlapping, any order", &[(20, 29), (0, 9), (5, 22)], "0-29"),
            ("inside", &[(0, 100), (5, 6)], "0-100"),
            ("reversed ends", &[(9, 0)], "0-9"),
            (
                "at the end of the numbers",
                &[(u64::MAX, u64::MAX), (0, 0)],
                "0-0 18446744073709551615-18446744073709551615",
            ),
        ] {
            let mut objects = Objects::default();
            for &(from, to) in add {
                objects.add(&Object { space: "holding", item: Item::Range(from, to) });
            }
            let text: Vec<_> = objects.ranges().map(|(_, from, to)| format!("{from}-{to}")).collect();
            assert_eq!(text.join(" "), want, "{case}");
        }
    }

    #[test]
    fn components_are_told_by_their_texts() {
        let all = [
            None,
            Some(Component::number("modbus", 1)),
            Some(Component::number("modbus", 17)),
            Some(Component::path("modbus", "1,7")),
            Some(Component::path("cip", "1,7")),
            Some(Component::path("cip", "")),
        ];
        for (i, one) in all.into_iter().enumerate() {
            let text = component_text(one);
            for (j, other) in all.into_iter().enumerate() {
                assert_eq!(is_component(text.as_deref(), other), i == j, "{text:?} {other:?}");
            }
        }
    }

    #[test]
    fn names_are_bounded_and_counted() {
        let mut objects = Objects::default();
        for i in 0..1000 {
            objects.add(&Object { space: "tag", item: Item::Name(&format!("T{i}")) });
        }
        assert_eq!((objects.names().count(), objects.dropped()), (MOST, 1000 - MOST as u64));
    }
}
