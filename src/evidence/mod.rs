//! Frames that show findings, kept as small pcapng files.
//!
//! ```text
//!  frames ─▶ Ring (recent ones), Heads (the first of each conversation)
//!               │ mark: this frame shows something
//!               ▼
//!             Case: set-up, what came before, the frame, what came after
//!               │ claim: this finding cites it
//!               ▼
//!             credentials blanked ─▶ pcapng ─▶ Shelf (a folder with a quota)
//! ```
//!
//! A finding is known only when the flows are folded, seconds after its frame was seen. So the shard that judges marks the
//! frame, and the case takes its frames out of the ring then and there; which finding it is for, and whether for any, is
//! told later. Where the cited frames are known beforehand, as in the second reading of a capture file, a case is opened
//! as its frame comes by.

mod blank;
mod case;
mod heads;
pub mod pcapng;
mod recorder;
mod ring;
mod shelf;

pub use case::Claim;
pub use recorder::{Due, Found, Recorder};
pub use shelf::Shelf;

use crate::ledger;
use crate::source::{Frame, LinkType};

/// How much is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Room {
    /// Bytes of recent frames; half as much again for the first frames of conversations, and as much for open cases.
    pub context: usize,
    /// Bytes of one file.
    pub file: usize,
}

/// A frame that outlives its batch.
#[derive(Clone, Debug)]
pub struct Kept {
    /// Which it is.
    pub at: ledger::Evidence,
    /// How its first bytes are to be read.
    pub link: LinkType,
    /// Its length on the wire in bytes.
    pub wire_len: u32,
    /// What was captured of it.
    pub bytes: Box<[u8]>,
}

impl Kept {
    fn of(frame: &Frame<'_>) -> Self {
        Self { at: place(frame), link: frame.link, wire_len: frame.wire_len, bytes: frame.bytes.into() }
    }

    fn frame(&self) -> Frame<'_> {
        let Self { at, link, wire_len, bytes } = self;
        Frame { at: at.at, link: *link, bytes, wire_len: *wire_len, capture: at.capture(), number: at.frame() }
    }
}

/// Which frame it is.
fn place(frame: &Frame<'_>) -> ledger::Evidence {
    ledger::Evidence::new(frame.at, frame.capture, frame.number)
}
