//! The frames around one that shows something.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Kept;
use crate::ledger::Evidence;
use crate::time::Timestamp;

/// A finding that cites a frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// Its id, which names the file.
    pub id: String,
    /// What was seen, for the head of the file.
    pub what: String,
}

/// What a frame is kept for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    /// It is of the set-up of the conversation, or opened it from another one.
    SetUp,
    /// It came before or after.
    Context,
    /// It is the frame that shows the finding.
    Shown,
}

/// Frames kept from before: a PDU of several segments, and what led to it.
pub(super) const BEFORE: usize = 128;
/// Frames kept from after: the answer, and what follows at once.
pub(super) const AFTER: usize = 32;
/// Time for them.
pub(super) const WAIT: Duration = Duration::from_secs(2);
/// Time until a finding is told at the latest: a conversation shows what it is within a minute, and then a flush follows.
pub(super) const PATIENCE: Duration = Duration::from_secs(90);
/// Findings of one frame.
const CLAIMS: usize = 16;

/// Frames around one, and who cites it.
#[derive(Debug)]
pub(super) struct Case {
    pub(super) frames: BTreeMap<Evidence, (Why, Kept)>,
    /// Their bytes.
    pub(super) bytes: usize,
    /// Frames still waited for, and until when.
    after: usize,
    until: Timestamp,
    pub(super) claims: Vec<Claim>,
    /// There is something that was not written yet.
    pub(super) news: bool,
    /// Somebody looked whether a finding cites it, and none did yet.
    pub(super) looked: bool,
    /// What its frames may take.
    pub(super) room: usize,
    /// A finding may follow from its frame, and mostly does not: it goes when others need the room.
    pub(super) is_maybe: bool,
}

impl Case {
    /// Without any frame.
    pub(super) fn new(at: Evidence, room: usize, is_maybe: bool) -> Self {
        Self {
            room,
            is_maybe,
            frames: BTreeMap::new(),
            bytes: 0,
            after: AFTER,
            until: at.at.after(WAIT),
            claims: Vec::new(),
            news: false,
            looked: false,
        }
    }

    /// Adds a frame unless it is there, or the case would be larger than `room` with it.
    pub(super) fn add(&mut self, why: Why, kept: Kept, room: usize) {
        let size = kept.bytes.len() + size_of::<Kept>();
        if self.bytes + size <= room && !self.frames.contains_key(&kept.at) {
            self.bytes += size;
            self.frames.insert(kept.at, (why, kept));
        }
    }

    /// Another frame of the conversation came. `false`: it waits for no more.
    pub(super) fn follow(&mut self, kept: impl FnOnce() -> Kept, at: Timestamp) -> bool {
        if self.is_over(at) {
            return false;
        }
        self.after -= 1;
        self.add(Why::Context, kept(), self.room);
        self.news = true;
        self.after > 0
    }

    /// Another frame shows the finding as well.
    pub(super) fn show(&mut self, kept: Kept) {
        let at = kept.at;
        self.add(Why::Shown, kept, self.room);
        self.frames.get_mut(&at).into_iter().for_each(|(why, _)| *why = Why::Shown);
        self.news = true;
    }

    /// A frame from after was there already.
    pub(super) fn followed(&mut self) {
        self.after = self.after.saturating_sub(1);
    }

    /// It waits for no more frames.
    pub(super) fn is_over(&self, now: Timestamp) -> bool {
        self.after == 0 || now > self.until
    }

    /// It waits for no more frames from now on.
    pub(super) fn close(&mut self) {
        self.after = 0;
    }

    /// A finding cites its frame.
    pub(super) fn claim(&mut self, claim: Claim) {
        if self.claims.len() < CLAIMS && !self.claims.iter().any(|known| known.id == claim.id) {
            self.claims.push(claim);
            self.news = true;
        }
    }
}
