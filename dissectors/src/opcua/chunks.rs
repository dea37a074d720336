use super::pending::Key;
use crate::Direction;

/// Messages of one connection that are being put together from chunks. OPC 10000-6, 6.7.2 and 6.7.3.
#[derive(Debug)]
pub(super) struct Chunks {
    parts: Vec<Part>,
    /// Messages at a time.
    most: usize,
    /// Bytes of all of them together.
    room: usize,
}

#[derive(Debug)]
struct Part {
    direction: Direction,
    key: Key,
    body: Vec<u8>,
    /// Bytes are missing at its end: for want of room, or since a chunk was cut off in the capture.
    short: bool,
}

/// A message whose last chunk came.
#[derive(Debug)]
pub(super) struct Whole {
    pub(super) body: Vec<u8>,
    /// Its end is missing.
    pub(super) short: bool,
}

impl Chunks {
    /// At most `most` messages at a time, of `room` bytes together.
    pub(super) fn new(most: usize, room: usize) -> Self {
        Self { parts: Vec::new(), most: most.max(1), room }
    }

    fn place(&self, direction: Direction, key: Key) -> Option<usize> {
        self.parts.iter().position(|part| part.direction == direction && part.key == key)
    }

    /// Whether chunks of this message were kept.
    pub(super) fn has(&self, direction: Direction, key: Key) -> bool {
        self.place(direction, key).is_some()
    }

    /// Keeps a chunk, and says whether it is the first that did not fit: what fits of it is kept, later ones are not.
    /// Nor is anything kept behind a chunk that is itself cut. With too many messages begun, the oldest is forgotten.
    pub(super) fn push(&mut self, direction: Direction, key: Key, bytes: &[u8], cut: bool) -> bool {
        let held: usize = self.parts.iter().map(|part| part.body.len()).sum();
        let at = self.place(direction, key).unwrap_or_else(|| {
            if self.parts.len() >= self.most {
                self.parts.remove(0);
            }
            self.parts.push(Part { direction, key, body: Vec::new(), short: false });
            self.parts.len() - 1
        });
        let part = &mut self.parts[at];
        if part.short {
            return false;
        }
        let fits = bytes.get(..self.room.saturating_sub(held)).unwrap_or(bytes);
        part.body.extend_from_slice(fits);
        let full = fits.len() < bytes.len();
        part.short = full || cut;
        full
    }

    /// The message so far, which is kept no longer.
    pub(super) fn take(&mut self, direction: Direction, key: Key) -> Option<Whole> {
        let Part { body, short, .. } = self.parts.remove(self.place(direction, key)?);
        Some(Whole { body, short })
    }

    /// Bytes of this direction were lost: its messages can no longer be put together.
    pub(super) fn gap(&mut self, direction: Direction) {
        self.parts.retain(|part| part.direction != direction);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_bounded() {
        let (to, from) = (Direction::ToServer, Direction::ToClient);
        let key = |request| Key { channel: 1, request };
        let mut chunks = Chunks::new(2, 10);
        assert!(!chunks.push(to, key(1), &[1; 4], false));
        assert!(!chunks.push(from, key(1), &[2; 4], false), "the other direction is another message");
        assert!(chunks.push(to, key(1), &[3; 4], false), "two of four bytes fit");
        assert!(!chunks.push(to, key(1), &[4; 4], false), "said once");
        let whole = chunks.take(to, key(1)).unwrap();
        assert_eq!((whole.body.as_slice(), whole.short), ([1, 1, 1, 1, 3, 3].as_slice(), true));
        chunks.push(to, key(2), &[5], true);
        chunks.push(to, key(2), &[5], false);
        let whole = chunks.take(to, key(2)).unwrap();
        assert_eq!((whole.body.as_slice(), whole.short), ([5].as_slice(), true), "nothing behind a cut");
        chunks.push(to, key(2), &[5], false);
        chunks.push(to, key(3), &[6], false);
        assert!(!chunks.has(from, key(1)), "the oldest made room");
        chunks.gap(to);
        assert!(chunks.take(to, key(3)).is_none());
    }
}
