//! The most recent frames of all conversations, in a bound of bytes.

use std::collections::VecDeque;

use super::{Kept, place};
use crate::ledger::Evidence;
use crate::source::{Frame, LinkType};

/// The frames, oldest first. Each knows the one before it of the same conversation.
#[derive(Debug)]
pub(super) struct Ring {
    bytes: VecDeque<u8>,
    slots: VecDeque<Slot>,
    /// Number of the first slot; the first of all is 1.
    first: u64,
    /// Bytes that have gone, so that a frame's place never changes.
    gone: u64,
    room: usize,
}

/// Where a frame lies.
#[derive(Clone, Copy, Debug)]
pub(super) struct Slot {
    pub(super) at: Evidence,
    link: LinkType,
    wire_len: u32,
    pub(super) len: u32,
    start: u64,
    /// Number of the frame before it of its conversation; 0 when there is none.
    before: u64,
}

impl Ring {
    /// For so many bytes, what describes the frames included.
    pub(super) fn new(room: usize) -> Self {
        Self { bytes: VecDeque::with_capacity(room), slots: VecDeque::new(), first: 1, gone: 0, room }
    }

    /// For so many bytes from now on; the oldest frames go for it.
    pub(super) fn resize(&mut self, room: usize) {
        self.room = room;
        self.make_room(0);
        self.slots.shrink_to_fit();
        self.bytes.shrink_to_fit();
        self.bytes.reserve(room.saturating_sub(self.bytes.len()));
    }

    /// Adds a frame whose conversation had the frame `before` before it, and gives its number. The oldest go for it; one
    /// that is larger than the ring is not kept.
    pub(super) fn push(&mut self, frame: &Frame<'_>, before: u64) -> Option<u64> {
        let len = frame.bytes.len();
        if len + size_of::<Slot>() > self.room {
            return None;
        }
        self.make_room(len + size_of::<Slot>());
        self.slots.push_back(Slot {
            at: place(frame),
            link: frame.link,
            wire_len: frame.wire_len,
            len: u32::try_from(len).ok()?,
            start: self.gone + self.bytes.len() as u64,
            before,
        });
        self.bytes.extend(frame.bytes);
        Some(self.first + self.slots.len() as u64 - 1)
    }

    /// The oldest frames go until so many bytes have room.
    fn make_room(&mut self, more: usize) {
        while self.bytes.len() + self.slots.len() * size_of::<Slot>() + more > self.room {
            let Some(oldest) = self.slots.pop_front() else { break };
            self.bytes.drain(..oldest.len as usize);
            self.gone += u64::from(oldest.len);
            self.first += 1;
        }
    }

    /// The frames of a conversation, latest first, from its last.
    pub(super) fn back(&self, last: u64) -> impl Iterator<Item = Slot> {
        let slot = |number: u64| self.slots.get(usize::try_from(number.checked_sub(self.first)?).ok()?);
        let mut number = last;
        std::iter::from_fn(move || {
            let slot = slot(number)?;
            number = slot.before;
            Some(*slot)
        })
    }

    /// All frames, oldest first.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Slot> {
        self.slots.iter()
    }

    /// A frame that is there.
    pub(super) fn copy(&self, slot: &Slot) -> Kept {
        let start = usize::try_from(slot.start.saturating_sub(self.gone)).unwrap_or(usize::MAX);
        let end = start.saturating_add(slot.len as usize);
        let range = start.min(self.bytes.len())..end.min(self.bytes.len());
        let bytes = self.bytes.range(range).copied().collect();
        Kept { at: slot.at, link: slot.link, wire_len: slot.wire_len, bytes }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Timestamp;

    #[test]
    fn the_oldest_go_and_chains_end_there() {
        let mut ring = Ring::new(10 * (size_of::<Slot>() + 100));
        let mut last = [0; 2];
        for number in 1..=50_u64 {
            let bytes = vec![number as u8; 100];
            let at = Timestamp::new(number as i64, 0);
            let frame = Frame { at, link: LinkType::ETHERNET, bytes: &bytes, wire_len: 200, capture: 0, number };
            let which = (number % 2) as usize;
            last[which] = ring.push(&frame, last[which]).unwrap();
        }
        let numbers = |ring: &Ring, last| ring.back(last).map(|slot| slot.at.frame()).collect::<Vec<_>>();
        assert_eq!(numbers(&ring, last[0]), [50, 48, 46, 44, 42]);
        assert_eq!(numbers(&ring, last[1]), [49, 47, 45, 43, 41]);
        assert!(numbers(&ring, 0).is_empty());
        let oldest = ring.back(last[1]).last().unwrap();
        assert_eq!(&*ring.copy(&oldest).bytes, &[41; 100]);
        let large = vec![0; 100_000];
        let frame =
            Frame { at: Timestamp::MIN, link: LinkType::ETHERNET, bytes: &large, wire_len: 0, capture: 0, number: 51 };
        assert_eq!(ring.push(&frame, 0), None);
        assert_eq!(numbers(&ring, last[0]).len(), 5, "what does not fit costs nothing");
    }
}
