//! IP fragments put together again (RFC 791, section 3.2; RFC 8200, section 4.5), within limits.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use super::internet::by_protocol;
use super::{Ip, Packet};
use crate::address::Address;
use crate::time::Timestamp;

/// The longest datagram: its length is a 16-bit field.
const MAX_DATAGRAM: usize = 65_535;

/// What a fragment costs besides its bytes, about.
const PIECE_COST: usize = 64;

/// Limits of the table. What is over them is counted in [`FragmentCounts::evicted`].
#[derive(Clone, Copy, Debug)]
pub struct FragmentLimits {
    /// Datagrams that wait for fragments. At the limit the oldest is given up.
    pub datagrams: usize,
    /// Bytes of all waiting fragments. At the limit the oldest datagrams are given up.
    pub bytes: usize,
    /// How long a datagram waits for its last fragment, by the packets' time. Hosts give up after 15 to 60 seconds.
    pub timeout: Duration,
}

impl Default for FragmentLimits {
    fn default() -> Self {
        Self { datagrams: 4096, bytes: 16 << 20, timeout: Duration::from_secs(30) }
    }
}

/// What became of fragments.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FragmentCounts {
    /// Datagrams put together.
    pub reassembled: u64,
    /// Datagrams whose fragments did not all come in time.
    pub timed_out: u64,
    /// Datagrams given up because of a limit.
    pub evicted: u64,
    /// Datagrams given up because two fragments claim the same place with different bytes, or ends that differ. Hosts
    /// choose differently between them (RFC 5722 forbids it), so none of the readings can be taken for the true one.
    pub conflicting: u64,
    /// Fragments that cannot be a part of a datagram, or were cut by the snap length.
    pub unusable: u64,
}

/// Datagrams that wait for their missing fragments.
pub struct Fragments {
    waiting: HashMap<Key, Datagram, ahash::RandomState>,
    /// Oldest first; also those that are complete by now, until they come to the front.
    ages: VecDeque<(u64, Key)>,
    /// Number of the next datagram.
    serial: u64,
    bytes: usize,
    limits: FragmentLimits,
    counts: FragmentCounts,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Key {
    src: Address,
    dst: Address,
    protocol: u8,
    id: u32,
}

struct Datagram {
    serial: u64,
    since: Timestamp,
    /// The headers of the fragment with the least offset.
    head: Packet<'static>,
    head_offset: u32,
    /// Sorted, without overlaps.
    pieces: Vec<Piece>,
    /// Where it ends, once the last fragment has come.
    end: Option<usize>,
}

struct Piece {
    start: usize,
    bytes: Vec<u8>,
}

impl Piece {
    fn end(&self) -> usize {
        self.start + self.bytes.len() // Both are at most MAX_DATAGRAM.
    }
}

/// A whole datagram.
#[derive(Debug)]
pub struct Reassembled {
    head: Packet<'static>,
    ip: Ip,
    bytes: Vec<u8>,
}

impl Reassembled {
    /// The packet that was cut into fragments, as if it had come in one frame.
    #[must_use]
    pub fn packet(&self) -> Packet<'_> {
        by_protocol(Packet { ip: Some(self.ip), ..self.head }, self.ip, &self.bytes)
    }
}

impl Fragments {
    /// An empty table.
    #[must_use]
    pub fn new(limits: FragmentLimits) -> Self {
        Self {
            waiting: HashMap::default(),
            ages: VecDeque::new(),
            serial: 0,
            bytes: 0,
            limits,
            counts: FragmentCounts::default(),
        }
    }

    /// What became of the fragments so far.
    #[must_use]
    pub fn counts(&self) -> FragmentCounts {
        self.counts
    }

    /// Takes a fragment; gives the datagram when this was the last that was missing.
    pub fn push(&mut self, at: Timestamp, packet: &Packet<'_>) -> Option<Reassembled> {
        self.expire(at);
        let ip = packet.ip?;
        let fragment = ip.fragment?;
        let (start, length) = (fragment.offset as usize, packet.payload.len());
        // All but the last carry a multiple of eight bytes, since offsets count such.
        let misfit = fragment.more && (length == 0 || length % 8 != 0);
        let end = start.saturating_add(length);
        if misfit || end > MAX_DATAGRAM || packet.cut > 0 {
            self.counts.unusable += 1;
            return None;
        }
        let key = Key { src: packet.src, dst: packet.dst, protocol: ip.protocol, id: ip.id };
        let datagram = self.waiting.entry(key).or_insert_with(|| {
            self.serial += 1;
            self.ages.push_back((self.serial, key));
            let (serial, head_offset) = (self.serial, fragment.offset);
            Datagram { serial, since: at, head: owned(packet), head_offset, pieces: Vec::new(), end: None }
        });
        if fragment.offset < datagram.head_offset {
            (datagram.head, datagram.head_offset) = (owned(packet), fragment.offset);
        }
        let added = datagram.add(start, packet.payload, !fragment.more);
        match added {
            Err(Conflict) => {
                self.remove(&key);
                self.counts.conflicting += 1;
                None
            }
            Ok(more) => {
                self.bytes += more; // Bounded by `keep_limits`.
                if datagram.is_whole() {
                    let datagram = self.remove(&key)?;
                    self.counts.reassembled += 1;
                    return Some(datagram.join());
                }
                self.keep_limits();
                None
            }
        }
    }

    fn remove(&mut self, key: &Key) -> Option<Datagram> {
        let datagram = self.waiting.remove(key)?;
        self.bytes = self.bytes.saturating_sub(datagram.cost());
        Some(datagram)
    }

    /// Gives up what waited too long.
    fn expire(&mut self, now: Timestamp) {
        while let Some((serial, key)) = self.ages.front().copied() {
            match self.waiting.get(&key) {
                Some(datagram) if datagram.serial == serial => {
                    if now.since(datagram.since) <= self.limits.timeout {
                        break;
                    }
                    self.remove(&key);
                    self.counts.timed_out += 1;
                }
                _ => {} // Complete by now.
            }
            self.ages.pop_front();
        }
    }

    /// Gives up the oldest until the limits hold.
    fn keep_limits(&mut self) {
        while self.waiting.len() > self.limits.datagrams || self.bytes > self.limits.bytes {
            let Some((serial, key)) = self.ages.pop_front() else { break };
            if self.waiting.get(&key).is_some_and(|datagram| datagram.serial == serial) {
                self.remove(&key);
                self.counts.evicted += 1;
            }
        }
        // One that waits long must not let the complete ones behind it pile up.
        if self.ages.len() > self.limits.datagrams.saturating_mul(2) {
            let waiting = &self.waiting;
            self.ages.retain(|(serial, key)| waiting.get(key).is_some_and(|datagram| datagram.serial == *serial));
        }
    }
}

/// Two fragments that cannot both be true.
struct Conflict;

impl Datagram {
    /// Adds bytes at a place, less those that are there already; the cost in bytes that this adds.
    fn add(&mut self, start: usize, bytes: &[u8], last: bool) -> Result<usize, Conflict> {
        let end = start + bytes.len(); // Checked by `push`.
        let farthest = self.pieces.last().map_or(0, Piece::end);
        if last {
            if self.end.is_some_and(|known| known != end) || farthest > end {
                return Err(Conflict);
            }
            self.end = Some(end);
        } else if self.end.is_some_and(|known| end > known) {
            return Err(Conflict);
        }
        // The usual case: behind all others.
        if start >= farthest {
            self.pieces.push(Piece { start, bytes: bytes.to_vec() });
            return Ok(bytes.len() + PIECE_COST);
        }
        let mut gaps = Vec::new();
        let mut at = start;
        for piece in self.pieces.iter().filter(|piece| piece.start < end && piece.end() > start) {
            if piece.start > at {
                gaps.push((at, piece.start));
            }
            let (from, to) = (piece.start.max(start), piece.end().min(end));
            let known = piece.bytes.get(from - piece.start..to - piece.start);
            if known != bytes.get(from - start..to - start) {
                return Err(Conflict);
            }
            at = to;
        }
        if at < end {
            gaps.push((at, end));
        }
        let mut cost = 0;
        for (from, to) in gaps {
            let bytes = bytes.get(from - start..to - start).unwrap_or(&[]).to_vec();
            cost += bytes.len() + PIECE_COST;
            let place = self.pieces.partition_point(|piece| piece.start < from);
            self.pieces.insert(place, Piece { start: from, bytes });
        }
        Ok(cost)
    }

    /// No byte is missing.
    fn is_whole(&self) -> bool {
        let Some(end) = self.end else { return false };
        let reach = self.pieces.iter().try_fold(0, |at, piece| (piece.start == at).then(|| piece.end()));
        reach == Some(end)
    }

    fn cost(&self) -> usize {
        self.pieces.iter().map(|piece| piece.bytes.len() + PIECE_COST).sum()
    }

    fn join(self) -> Reassembled {
        let bytes = self.pieces.into_iter().fold(Vec::new(), |mut all, piece| {
            all.extend_from_slice(&piece.bytes);
            all
        });
        let ip = self.head.ip.map(|ip| Ip { fragment: None, ..ip });
        // Every datagram began with a fragment, which has an IP header.
        let ip = ip.unwrap_or(Ip { ttl: 0, id: 0, protocol: 0, dscp: 0, fragment: None });
        Reassembled { head: self.head, ip, bytes }
    }
}

/// The headers of a packet, without its payload.
fn owned(packet: &Packet<'_>) -> Packet<'static> {
    let Packet { src, dst, src_mac, dst_mac, vlans, ip, upper, payload: _, cut, tunnels } = *packet;
    Packet { src, dst, src_mac, dst_mac, vlans, ip, upper, payload: &[], cut, tunnels }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::{Fragment, Upper};
    use super::*;

    /// A UDP datagram of ports 1 and 502 with these bytes, cut at `offset..end` of the IP payload.
    fn datagram() -> Vec<u8> {
        crate::source::tests::hex("0001 01f6 0020 0000  00010203 04050607 08090a0b 0c0d0e0f 10111213 14151617")
    }

    fn fragment(id: u32, offset: usize, bytes: &[u8], more: bool) -> Packet<'_> {
        let fragment = Some(Fragment { offset: offset as u32, more });
        Packet {
            src: Address::v4([10, 0, 0, 1]),
            dst: Address::v4([10, 0, 0, 2]),
            ip: Some(Ip { ttl: 64, id, protocol: 17, dscp: 0, fragment }),
            upper: Upper::Ip(17),
            payload: bytes,
            ..Packet::empty(0)
        }
    }

    #[test]
    fn pieces() {
        let whole = datagram();
        for (case, parts, want) in [
            ("in order", vec![(0, 16, 0), (16, 32, 0)], (1, 0, 0)),
            ("the last first", vec![(24, 32, 0), (8, 24, 0), (0, 8, 0)], (1, 0, 0)),
            ("one twice", vec![(0, 16, 0), (0, 16, 0), (16, 32, 0)], (1, 0, 0)),
            ("overlapping alike", vec![(0, 16, 0), (8, 24, 0), (16, 32, 0)], (1, 0, 0)),
            ("over two and the gap between", vec![(0, 8, 0), (16, 24, 0), (0, 32, 0)], (1, 0, 0)),
            ("overlapping with other bytes", vec![(0, 16, 0), (8, 24, 1), (16, 32, 0)], (0, 1, 0)),
            ("two ends", vec![(16, 32, 0), (16, 30, 2)], (0, 1, 0)),
            ("behind the end", vec![(8, 16, 2), (16, 24, 0)], (0, 1, 0)),
            ("not a multiple of eight", vec![(0, 15, 0), (16, 32, 0)], (0, 0, 1)),
            ("one missing", vec![(0, 8, 0), (16, 32, 0)], (0, 0, 0)),
        ] {
            let mut table = Fragments::new(FragmentLimits::default());
            let mut found = None;
            for (from, to, change) in parts {
                let mut bytes = whole[from..to].to_vec();
                if change == 1 {
                    bytes[0] ^= 1;
                }
                let more = to != whole.len() && change != 2;
                found = found.or(table.push(Timestamp::default(), &fragment(7, from, &bytes, more)));
            }
            let counts = table.counts();
            assert_eq!((counts.reassembled, counts.conflicting, counts.unusable), want, "{case}");
            if let Some(found) = found {
                let packet = found.packet();
                assert_eq!(packet.upper, Upper::Udp { src_port: 1, dst_port: 502 }, "{case}");
                assert_eq!((packet.payload, packet.ip.unwrap().fragment), (&whole[8..], None), "{case}");
                assert_eq!(table.bytes, 0, "{case}");
            }
        }
    }

    #[test]
    fn limits_give_up_the_oldest() {
        let limits = FragmentLimits { datagrams: 3, bytes: 1000, timeout: Duration::from_secs(30) };
        let mut table = Fragments::new(limits);
        for id in 0..10 {
            table.push(Timestamp::new(0, id), &fragment(id, 0, &[0; 8], true));
        }
        assert_eq!((table.waiting.len(), table.counts().evicted), (3, 7));
        table.push(Timestamp::new(1, 0), &fragment(50, 0, &[0; 800], true));
        assert_eq!((table.waiting.len(), table.bytes), (2, 800 + 8 + 2 * PIECE_COST));
        table.push(Timestamp::new(30, 10), &fragment(51, 0, &[0; 8], true));
        assert_eq!((table.waiting.len(), table.counts().timed_out), (2, 1));
        for id in 100..200 {
            table.push(Timestamp::new(30, 0), &fragment(id, 8, &[0; 8], false));
            table.push(Timestamp::new(30, 0), &fragment(id, 0, &[0; 8], true));
        }
        assert_eq!(table.counts().reassembled, 100);
        assert!(table.ages.len() <= 2 * limits.datagrams + 1, "{}", table.ages.len());
    }

    proptest! {
        /// In whatever order and however overlapping the parts of one datagram come, it is put together unchanged, and
        /// the count of bytes is that of what is held.
        #[test]
        fn order_does_not_matter(cuts in prop::collection::vec((0..4_usize, 1..5_usize), 0..12)) {
            let whole = datagram();
            let mut table = Fragments::new(FragmentLimits::default());
            let mut found = None;
            for (from, units) in cuts.into_iter().chain([(0, 1), (1, 1), (2, 1), (3, 1)]) {
                let (from, to) = (from * 8, ((from + units) * 8).min(whole.len()));
                let packet = fragment(7, from, &whole[from..to], to != whole.len());
                found = table.push(Timestamp::default(), &packet).or(found);
                prop_assert_eq!(table.bytes, table.waiting.values().map(Datagram::cost).sum::<usize>());
            }
            let found = found.unwrap();
            prop_assert_eq!(found.packet().payload, &whole[8..]);
        }
    }
}
