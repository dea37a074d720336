use std::collections::BTreeMap;

use dissectors::{Attribute, Method, attribute};

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
    /// No frame.
    pub const NONE: Self = Self::new(Timestamp::from_nanos(0), 0, 0);

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

/// The facts about one subject, ordered by their keys. A list, since most subjects have two or three: a tree would take ten
/// times their room.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts(Vec<(FactKey, Support)>);

impl Facts {
    /// Each with its support, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&FactKey, &Support)> {
        self.0.iter().map(|(key, support)| (key, support))
    }

    /// What is claimed, in order.
    pub fn keys(&self) -> impl Iterator<Item = &FactKey> {
        self.0.iter().map(|(key, _)| key)
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// None.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn find(&self, key: &FactKey) -> Result<usize, usize> {
        self.0.binary_search_by(|(known, _)| known.cmp(key))
    }

    /// Adds facts about the same subject.
    pub(super) fn merge(&mut self, theirs: Self) {
        for (key, support) in theirs.0 {
            let place = self.find(&key);
            self.put(place, key, support);
        }
    }

    /// Adds a fact at the place where [`Self::find`] found it or would have.
    fn put(&mut self, place: Result<usize, usize>, key: FactKey, support: Support) {
        match place {
            Ok(place) => self.0.get_mut(place).into_iter().for_each(|(_, known)| known.merge(&support)),
            Err(place) => {
                if self.0.len() < FEW {
                    self.0.reserve_exact(1);
                }
                self.0.insert(place, (key, support));
            }
        }
    }

    /// How much is lost with them: what a device told of itself counts most, then how often it was seen, then how lately.
    fn worth(&self) -> (bool, u64, Evidence) {
        let own = |key: &FactKey| key.method != Method::Behaviour && key.attribute != attribute::MAC;
        let seen = self.0.iter().map(|(_, support)| support.count).sum::<u64>();
        let last = self.0.iter().map(|(_, support)| support.last).max().unwrap_or_default();
        (self.keys().any(own), seen.min(OFTEN), last)
    }
}

/// Facts up to which a list grows by one at a time.
const FEW: usize = 4;

/// What was seen more often than this is not worth more for it.
const OFTEN: u64 = 1 << 20;

impl IntoIterator for Facts {
    type Item = (FactKey, Support);
    type IntoIter = std::vec::IntoIter<Self::Item>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

/// Bounds on facts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LedgerLimits {
    /// Subjects: hosts and their components. At the limit the eighth that matters least is forgotten, and counted: those
    /// that told nothing of themselves, were seen once, long ago.
    pub subjects: usize,
    /// Facts about one subject. What would pass it is counted and not kept.
    pub facts: usize,
    /// Facts in all. At the limit subjects are forgotten as at theirs.
    pub total: usize,
}

/// All facts, ordered by subject.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ledger {
    subjects: BTreeMap<Subject, Facts>,
    limits: Option<LedgerLimits>,
    /// Facts that are kept.
    total: usize,
    hits: LedgerHits,
}

/// What the bounds of a ledger took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LedgerHits {
    /// Facts that were one too many of their subject.
    pub facts: u64,
    /// Subjects that were forgotten.
    pub subjects: u64,
}

impl Ledger {
    /// An empty ledger with bounds.
    #[must_use]
    pub fn bounded(limits: LedgerLimits) -> Self {
        Self { limits: Some(limits), ..Self::default() }
    }

    /// What its bounds took since this was asked last.
    pub fn hits(&mut self) -> LedgerHits {
        std::mem::take(&mut self.hits)
    }

    /// Adds one fact.
    pub fn apply(&mut self, subject: Subject, fact: Fact) {
        let Fact { key, support } = fact;
        if let Some(facts) = self.subjects.get_mut(&subject) {
            let place = facts.find(&key);
            if place.is_err() {
                if self.limits.is_some_and(|limits| facts.len() >= limits.facts) {
                    self.hits.facts += 1;
                    return;
                }
                self.total += 1;
            }
            facts.put(place, key, support);
        } else {
            self.subjects.entry(subject).or_default().put(Err(0), key, support);
            self.total += 1;
        }
        if let Some(limits) = self.limits
            && (self.subjects.len() > limits.subjects || self.total > limits.total)
        {
            self.forget();
        }
    }

    /// Adds all facts of another ledger. What that one's bounds took stays for it to tell.
    pub fn merge(&mut self, other: Self) {
        for (subject, facts) in other.subjects {
            for (key, support) in facts {
                self.apply(subject.clone(), Fact { key, support });
            }
        }
    }

    /// Makes room: the eighth that matters least goes.
    #[cold]
    fn forget(&mut self) {
        let mut worths: Vec<_> =
            self.subjects.iter().map(|(subject, facts)| (facts.worth(), subject.clone())).collect();
        let eighth = (worths.len() / 8).max(1);
        let (least, ..) = worths.select_nth_unstable(eighth);
        for (_, subject) in least {
            self.remove(subject);
        }
    }

    fn remove(&mut self, subject: &Subject) {
        if let Some(gone) = self.subjects.remove(subject) {
            self.total -= gone.len();
            self.hits.subjects += 1;
        }
    }

    /// Forgets those of whom no more is known than what the headers of their frames had, unless `matters` says that they
    /// matter. They are counted.
    pub fn forget_glimpses(&mut self, matters: impl Fn(Host) -> bool) {
        let Self { subjects, total, hits, .. } = self;
        subjects.retain(|subject, facts| {
            let stays = facts.keys().any(|key| key.method != Method::Behaviour) || matters(subject.host);
            if !stays {
                *total -= facts.len();
                hits.subjects += 1;
            }
            stays
        });
    }

    /// A ledger of these subjects.
    pub(super) fn from_subjects(subjects: impl Iterator<Item = (Subject, Facts)>) -> Self {
        let subjects: BTreeMap<_, _> = subjects.collect();
        let total = subjects.values().map(Facts::len).sum();
        Self { subjects, total, ..Self::default() }
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
