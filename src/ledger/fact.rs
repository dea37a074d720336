use std::collections::BTreeMap;

use dissectors::{Attribute, Method};

use crate::address::Host;
use crate::time::Timestamp;

/// The frame that shows something. Ordered by time, then capture, then frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Evidence {
    /// When.
    pub at: Timestamp,
    /// The capture in the upper 16 bits, the frame below: there is much evidence, and half of it in every packet's way.
    place: u64,
}

/// Bits of a frame's number. A capture that is longer would have to be of 10 petabytes.
const FRAME_BITS: u32 = 48;

impl Evidence {
    /// A frame, from 1, of a capture, by its place in the analysis' list.
    #[must_use]
    #[inline]
    pub const fn new(at: Timestamp, capture: u16, frame: u64) -> Self {
        Self { at, place: (capture as u64) << FRAME_BITS | frame & ((1 << FRAME_BITS) - 1) }
    }

    /// Which capture: its place in the analysis' list.
    #[must_use]
    pub const fn capture(self) -> u16 {
        (self.place >> FRAME_BITS) as u16
    }

    /// Which frame of it, from 1.
    #[must_use]
    pub const fn frame(self) -> u64 {
        self.place & ((1 << FRAME_BITS) - 1)
    }
}

/// Whom a fact is about: a host, or one of its components (`modbus/17`, `cip/1,0`).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Subject {
    /// The host.
    pub host: Host,
    /// The part of it, if not the whole.
    pub component: Option<Box<str>>,
}

/// What is claimed, by what way.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FactKey {
    /// The attribute, e.g. `firmware`.
    pub attribute: Attribute,
    /// Its value: text from the wire, not escaped, bounded in length.
    pub value: Box<str>,
    /// The protocol that told it; `arp`, `ethernet`, `ip` for what the headers tell.
    pub protocol: &'static str,
    /// How it came to be known.
    pub method: Method,
}

/// How well a fact is supported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Support {
    /// How often it was seen.
    pub count: u64,
    /// Where first.
    pub first: Evidence,
    /// Where last.
    pub last: Evidence,
    /// Probability in per cent that it means what it says: the largest that was claimed.
    pub weight: u8,
    /// For a role sign, why; else empty.
    pub basis: &'static str,
}

impl Support {
    /// Adds the counts, takes the earlier first and the later last.
    pub fn merge(&mut self, other: &Self) {
        self.count += other.count;
        self.first = self.first.min(other.first);
        self.last = self.last.max(other.last);
        // Of two claims the stronger counts; the text breaks ties, so that the order of merging never shows.
        (self.weight, self.basis) = (self.weight, self.basis).max((other.weight, other.basis));
    }
}

/// One fact with its support.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fact {
    /// What is claimed.
    pub key: FactKey,
    /// How well.
    pub support: Support,
}

/// The facts about one subject, ordered by their keys.
pub type Facts = BTreeMap<FactKey, Support>;

/// Bounds on facts. What would pass them is counted and not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LedgerLimits {
    /// Subjects: hosts and their components.
    pub subjects: usize,
    /// Facts about one subject.
    pub facts: usize,
}

/// All facts, ordered by subject.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ledger {
    subjects: BTreeMap<Subject, Facts>,
    limits: Option<LedgerLimits>,
    refused: u64,
}

impl Ledger {
    /// An empty ledger with bounds.
    #[must_use]
    pub fn bounded(limits: LedgerLimits) -> Self {
        Self { limits: Some(limits), ..Self::default() }
    }

    /// Facts that did not fit.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.refused
    }

    /// Adds one fact.
    pub fn apply(&mut self, subject: Subject, fact: Fact) {
        if let Some(limits) = self.limits {
            let fits = match self.subjects.get(&subject) {
                Some(facts) => facts.len() < limits.facts || facts.contains_key(&fact.key),
                None => self.subjects.len() < limits.subjects,
            };
            if !fits {
                self.refused += 1;
                return;
            }
        }
        merge_fact(self.subjects.entry(subject).or_default(), fact.key, fact.support);
    }

    /// Adds all facts of another ledger.
    pub fn merge(&mut self, other: Self) {
        self.refused += other.refused;
        for (subject, facts) in other.subjects {
            if self.limits.is_none() {
                merge_facts(self.subjects.entry(subject).or_default(), facts);
                continue;
            }
            for (key, support) in facts {
                self.apply(subject.clone(), Fact { key, support });
            }
        }
    }

    /// A ledger of these subjects, and the number of facts that did not fit.
    pub(super) fn from_subjects(subjects: impl Iterator<Item = (Subject, Facts)>, refused: u64) -> Self {
        Self { subjects: subjects.collect(), limits: None, refused }
    }

    /// Its subjects, by value.
    pub(super) fn into_subjects(self) -> impl Iterator<Item = (Subject, Facts)> {
        self.subjects.into_iter()
    }

    /// Every subject with its facts, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&Subject, &Facts)> {
        self.subjects.iter()
    }

    /// The facts about a subject.
    #[must_use]
    pub fn get(&self, subject: &Subject) -> Option<&Facts> {
        self.subjects.get(subject)
    }
}

/// Adds facts about one subject to others about it.
pub(super) fn merge_facts(mine: &mut Facts, theirs: Facts) {
    for (key, support) in theirs {
        merge_fact(mine, key, support);
    }
}

fn merge_fact(facts: &mut Facts, key: FactKey, support: Support) {
    match facts.entry(key) {
        std::collections::btree_map::Entry::Vacant(slot) => {
            slot.insert(support);
        }
        std::collections::btree_map::Entry::Occupied(mut slot) => slot.get_mut().merge(&support),
    }
}
