use std::time::Duration;

use crate::time::Timestamp;

/// Bounds on segments that wait for bytes before them. At each bound the missing bytes are given up as a gap.
#[derive(Clone, Copy, Debug)]
pub struct OrderLimits {
    /// Bytes held for one direction.
    pub bytes: usize,
    /// Segments held for one direction.
    pub segments: usize,
    /// How long, in packet time.
    pub wait: Duration,
    /// Bytes held for all connections together. At the bound the direction that wants to hold more gives up waiting.
    pub total: usize,
}

impl Default for OrderLimits {
    fn default() -> Self {
        Self { bytes: 256 << 10, segments: 32, wait: Duration::from_millis(500), total: 32 << 20 }
    }
}

/// What comes out, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece<'a> {
    /// The next bytes; `cut` more follow on the wire that the snap length took away.
    Bytes {
        /// The bytes that were captured.
        bytes: &'a [u8],
        /// How many more the segment had on the wire.
        cut: u32,
    },
    /// So many bytes were never captured.
    Gap(u32),
    /// A whole segment that fills a part of the last gap, too late to stand in order.
    Late(&'a [u8]),
}

/// The order of one direction's bytes. RFC 9293, section 3.4; sequence numbers wrap.
#[derive(Debug, Default)]
pub struct Order {
    next: u32,
    acked: u32,
    started: bool,
    acked_known: bool,
    /// Segments are held.
    waits: bool,
    /// None while all came in order.
    held: Option<Box<Held>>,
}

#[derive(Debug, Default)]
struct Held {
    /// Sorted by sequence number relative to `next`; they may overlap.
    segments: Vec<Segment>,
    bytes: usize,
    since: Timestamp,
    /// The last gap, `from..to`, while it may still be filled late.
    gap: Option<(u32, u32)>,
}

#[derive(Debug)]
struct Segment {
    seq: u32,
    bytes: Vec<u8>,
    cut: u32,
}

/// Farther ahead than any window reaches (RFC 7323 allows 1 GiB; OT stacks use 64 KiB): another connection's numbers.
const FAR: i32 = 16 << 20;

/// How far `a` is ahead of `b`.
#[inline]
fn ahead(a: u32, b: u32) -> i32 {
    a.wrapping_sub(b).cast_signed()
}

impl Order {
    /// A SYN: payload starts one after it.
    pub fn start(&mut self, isn: u32) {
        *self = Self { next: isn.wrapping_add(1), started: true, ..Self::default() };
    }

    /// Whether any byte or the SYN of this direction was seen.
    #[must_use]
    #[inline]
    pub fn started(&self) -> bool {
        self.started
    }

    /// This SYN opens another connection than the one so far, not a retransmission of its SYN.
    #[must_use]
    pub fn is_other(&self, isn: u32) -> bool {
        let distance = ahead(self.next, isn.wrapping_add(1));
        self.started && !(0..=FAR).contains(&distance)
    }

    /// The other side acknowledged up to `ack`: what is missing before it will not come again.
    #[inline]
    pub fn acknowledged(&mut self, ack: u32) {
        self.acked = ack;
        self.acked_known = true;
    }

    /// The whole segment continues the bytes so far and nothing waits: the caller may use it where it is.
    #[inline]
    pub fn continues(&mut self, seq: u32, len: u32) -> bool {
        let in_order = self.started && seq == self.next && !self.waits;
        if in_order {
            self.next = seq.wrapping_add(len);
        }
        in_order
    }

    /// Takes a segment that [`Order::continues`] did not, and gives what is in order now.
    ///
    /// Returns whether any of it was new.
    pub fn segment(
        &mut self,
        seq: u32,
        bytes: &[u8],
        cut: u32,
        at: Timestamp,
        limits: &OrderLimits,
        out: &mut dyn FnMut(Piece<'_>),
    ) -> bool {
        let len = length(bytes, cut);
        if !self.started {
            self.started = true;
            self.next = seq;
        }
        let distance = ahead(seq, self.next);
        if !(-FAR..FAR).contains(&distance) {
            // Numbers of another connection on the same ports, whose SYN was not captured.
            self.flush(out);
            out(Piece::Gap(0));
            self.next = seq;
        }
        let end = seq.wrapping_add(len);
        if ahead(end, self.next) <= 0 {
            return self.late(seq, end, bytes, cut, out);
        }
        if ahead(seq, self.next) > 0 {
            self.hold(seq, bytes, cut, at);
        } else {
            self.deliver(seq, bytes, cut, out);
        }
        self.drain(at, limits, out);
        true
    }

    /// Bytes that wait for others before them.
    #[must_use]
    pub fn held(&self) -> usize {
        self.held.as_ref().map_or(0, |held| held.bytes)
    }

    /// Gives up waiting: what is held comes out, with gaps before it.
    pub fn flush(&mut self, out: &mut dyn FnMut(Piece<'_>)) {
        while self.waits {
            self.skip_to_first(out);
            self.drain_contiguous(out);
        }
    }

    /// A segment whose bytes were all given already, or given up.
    fn late(&mut self, seq: u32, end: u32, bytes: &[u8], cut: u32, out: &mut dyn FnMut(Piece<'_>)) -> bool {
        let Some(held) = &mut self.held else { return false };
        let Some((from, to)) = held.gap else { return false };
        if cut != 0 || bytes.is_empty() || ahead(seq, from) < 0 || ahead(end, to) > 0 {
            return false;
        }
        // Only the part of the gap behind it may still come: what lies before is given up, so nothing counts twice.
        held.gap = (ahead(to, end) > 0).then_some((end, to));
        self.forget();
        out(Piece::Late(bytes));
        true
    }

    fn hold(&mut self, seq: u32, bytes: &[u8], cut: u32, at: Timestamp) {
        let next = self.next;
        let held = self.held.get_or_insert_default();
        if !std::mem::replace(&mut self.waits, true) {
            held.since = at;
        }
        let place = held.segments.partition_point(|s| ahead(s.seq, next) < ahead(seq, next));
        if held.segments.get(place).is_some_and(|s| s.seq == seq && s.bytes.len() >= bytes.len()) {
            return; // A retransmission of what waits already.
        }
        held.bytes += bytes.len();
        held.segments.insert(place, Segment { seq, bytes: bytes.to_vec(), cut });
    }

    /// Gives the part of a segment that is new; it starts at or before `next`.
    fn deliver(&mut self, seq: u32, bytes: &[u8], cut: u32, out: &mut dyn FnMut(Piece<'_>)) {
        let end = seq.wrapping_add(length(bytes, cut));
        if ahead(end, self.next) <= 0 {
            return;
        }
        let known = self.next.wrapping_sub(seq) as usize; // Overlap: the first copy of a byte counts.
        let (bytes, cut) = match bytes.get(known..) {
            Some(new) => (new, cut),
            None => (&[][..], end.wrapping_sub(self.next)),
        };
        self.next = end;
        out(Piece::Bytes { bytes, cut });
    }

    fn drain(&mut self, at: Timestamp, limits: &OrderLimits, out: &mut dyn FnMut(Piece<'_>)) {
        self.drain_contiguous(out);
        while let (true, Some(held)) = (self.waits, &self.held) {
            let first = held.segments.first().map_or(self.next, |s| s.seq);
            let delivered = self.acked_known && ahead(self.acked, first) >= 0 && ahead(self.acked, first) < FAR;
            let full = held.segments.len() > limits.segments || held.bytes > limits.bytes;
            if !(delivered || full || at.since(held.since) > limits.wait) {
                return;
            }
            self.skip_to_first(out);
            self.drain_contiguous(out);
        }
    }

    fn drain_contiguous(&mut self, out: &mut dyn FnMut(Piece<'_>)) {
        while let Some(held) = &mut self.held {
            if held.segments.first().is_none_or(|s| ahead(s.seq, self.next) > 0) {
                break;
            }
            let segment = held.segments.remove(0);
            held.bytes -= segment.bytes.len();
            self.deliver(segment.seq, &segment.bytes, segment.cut, out);
        }
        self.forget();
    }

    /// Keeps no more than is needed: nothing while all is in order.
    fn forget(&mut self) {
        if let Some(held) = &mut self.held
            && held.segments.is_empty()
        {
            self.waits = false;
            held.segments = Vec::new();
            if held.gap.is_none() {
                self.held = None;
            }
        }
    }

    fn skip_to_first(&mut self, out: &mut dyn FnMut(Piece<'_>)) {
        let Some(held) = &mut self.held else { return };
        let Some(first) = held.segments.first() else {
            self.waits = false;
            return;
        };
        let seq = first.seq;
        out(Piece::Gap(seq.wrapping_sub(self.next)));
        held.gap = Some((self.next, seq));
        self.next = seq;
    }
}

fn length(bytes: &[u8], cut: u32) -> u32 {
    u32::try_from(bytes.len()).unwrap_or(u32::MAX).wrapping_add(cut)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds `(seq, text)`; `ack N` of the other side as `(N, "ack")`. Returns pieces as text.
    fn run(steps: &[(u32, &str)]) -> String {
        let (mut order, mut seen) = (Order::default(), String::new());
        let mut out = |piece: Piece<'_>| match piece {
            Piece::Bytes { bytes, cut: 0 } => seen.push_str(&String::from_utf8_lossy(bytes)),
            Piece::Bytes { bytes, cut } => seen.push_str(&format!("{}<{cut}>", String::from_utf8_lossy(bytes))),
            Piece::Gap(n) => seen.push_str(&format!("[{n}]")),
            Piece::Late(bytes) => seen.push_str(&format!("({})", String::from_utf8_lossy(bytes))),
        };
        for (i, (seq, text)) in steps.iter().enumerate() {
            let at = Timestamp::from_nanos(i as i64 * 1_000_000);
            match *text {
                "ack" => order.acknowledged(*seq),
                "syn" => order.start(*seq),
                text if order.continues(*seq, text.len() as u32) => {
                    out(Piece::Bytes { bytes: text.as_bytes(), cut: 0 })
                }
                text => {
                    order.segment(*seq, text.as_bytes(), 0, at, &OrderLimits::default(), &mut out);
                }
            }
        }
        order.flush(&mut out);
        seen
    }

    #[test]
    fn segments_become_bytes() {
        for (case, steps, want) in [
            ("in order", &[(9, "syn"), (10, "ab"), (12, "cd")][..], "abcd"),
            ("joined in the middle", &[(500, "ab"), (502, "cd")], "abcd"),
            ("retransmitted", &[(10, "ab"), (10, "ab"), (12, "cd"), (10, "ab")], "abcd"),
            ("keep-alive one before", &[(10, "ab"), (11, "b"), (12, "cd")], "abcd"),
            ("longer retransmission", &[(10, "ab"), (10, "abcd"), (14, "ef")], "abcdef"),
            ("reordered", &[(9, "syn"), (12, "cd"), (14, "ef"), (10, "ab")], "abcdef"),
            ("overlapping, the first copy counts", &[(10, "abc"), (11, "XYd"), (14, "e")], "abcde"),
            ("held segments overlap", &[(9, "syn"), (14, "efgh"), (12, "cdef"), (10, "ab")], "abcdefgh"),
            ("lost, never acknowledged", &[(9, "syn"), (12, "cd"), (14, "ef")], "[2]cdef"),
            ("lost, acknowledged before", &[(9, "syn"), (12, "ack"), (12, "cd"), (14, "ef")], "[2]cdef"),
            ("the lost comes late", &[(9, "syn"), (12, "ack"), (12, "cd"), (10, "ab"), (10, "ab")], "[2]cd(ab)"),
            ("numbers wrap", &[(u32::MAX - 1, "ab"), (0, "cd")], "abcd"),
            ("numbers wrap, reordered", &[(u32::MAX - 2, "a"), (1, "de"), (u32::MAX - 1, "bc"), (0, "x")], "abcxde"),
            ("another connection's numbers", &[(10, "ab"), (2_000_000_000, "cd")], "ab[0]cd"),
        ] {
            assert_eq!(run(steps), want, "{case}");
        }
    }

    #[test]
    fn bounds_give_up_waiting() {
        let (mut order, mut gaps) = (Order::default(), 0);
        order.start(0);
        let limits = OrderLimits { segments: 4, ..OrderLimits::default() };
        for i in 0..10u32 {
            order.segment(100 + 10 * i, b"0123456789", 0, Timestamp::default(), &limits, &mut |piece| {
                gaps += u32::from(matches!(piece, Piece::Gap(_)));
            });
        }
        assert_eq!(gaps, 1);
        assert!(order.continues(200, 1), "nothing is held any more");
    }
}
