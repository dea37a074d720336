//! Frames that a shard points out to who keeps frames.

use std::collections::HashSet;

use ahash::RandomState;

use super::connection::ConnectionKey;
use crate::ledger::Evidence;

/// A frame worth keeping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// The conversation that it is of.
    pub key: ConnectionKey,
    /// Which frame.
    pub at: Evidence,
    /// What for.
    pub what: Marked,
}

/// Why a frame is worth keeping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Marked {
    /// It is the first that shows a finding.
    Finding,
    /// It opens another conversation between the same hosts, or is the answer that does.
    SetUp,
    /// A device says in it what was not heard of it before: a finding may follow from that.
    Fact,
}

/// The marks of a shard since they were last taken. Nothing is noted unless somebody asked for it.
#[derive(Debug, Default)]
pub struct Marks {
    wanted: bool,
    list: Vec<Mark>,
    /// Marks that did not fit.
    dropped: u64,
    /// Facts that were pointed out, by their fingerprints.
    facts: HashSet<u64, RandomState>,
}

/// Marks kept between two looks at them: of one batch, or of all that a drain judges at once.
const MOST: usize = 4096;

/// Facts remembered.
const FACTS: usize = 1 << 13;

impl Marks {
    /// Marks that are noted from now on.
    #[must_use]
    pub fn wanted() -> Self {
        Self { wanted: true, ..Self::default() }
    }

    /// Somebody asked for them.
    #[must_use]
    pub fn are_wanted(&self) -> bool {
        self.wanted
    }

    /// Notes one, if they are wanted.
    #[inline]
    pub fn note(&mut self, key: &ConnectionKey, at: Evidence, what: Marked) {
        if self.wanted {
            self.push(Mark { key: *key, at, what });
        }
    }

    /// Notes the frame of a fact that was not noted before, if marks are wanted.
    #[inline]
    pub fn note_fact(&mut self, fingerprint: u64, key: &ConnectionKey, at: Evidence) {
        if self.wanted && !self.facts.contains(&fingerprint) {
            // A crowd of facts that are all new has them pointed out again, which costs more than it tells and no more.
            if self.facts.len() >= FACTS {
                self.facts.clear();
            }
            self.facts.insert(fingerprint);
            self.push(Mark { key: *key, at, what: Marked::Fact });
        }
    }

    #[cold]
    fn push(&mut self, mark: Mark) {
        if self.list.len() < MOST {
            self.list.push(mark);
        } else {
            self.dropped += 1;
        }
    }

    /// Those that were noted, and how many did not fit.
    #[must_use]
    pub fn take(&mut self) -> (Vec<Mark>, u64) {
        (std::mem::take(&mut self.list), std::mem::take(&mut self.dropped))
    }
}
