//! Frames that a shard points out to who keeps frames.

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
}

/// The marks of a shard since they were last taken. Nothing is noted unless somebody asked for it.
#[derive(Debug, Default)]
pub struct Marks {
    wanted: bool,
    list: Vec<Mark>,
    /// Marks that did not fit.
    dropped: u64,
}

/// Marks kept between two looks at them: of one batch, or of all that a drain judges at once.
const MOST: usize = 4096;

impl Marks {
    /// Marks that are noted from now on.
    #[must_use]
    pub fn wanted() -> Self {
        Self { wanted: true, ..Self::default() }
    }

    /// Notes one, if they are wanted.
    #[inline]
    pub fn note(&mut self, key: &ConnectionKey, at: Evidence, what: Marked) {
        if self.wanted {
            self.push(Mark { key: *key, at, what });
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
