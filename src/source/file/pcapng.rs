//! The newer capture file: blocks, in sections that have their own byte order and interfaces.
//!
//! Source: draft-ietf-opsawg-pcapng, sections 3 (block structure) and 4 (block definitions); the obsolete packet block
//! is its appendix A.

use dissectors::{ParseError, Reader};

use super::{Frames, MAX_FRAME, Stop};
use crate::source::LinkType;
use crate::time::Timestamp;

/// Block type of a section header; reads the same in both byte orders.
pub(super) const SECTION: [u8; 4] = [0x0A, 0x0D, 0x0D, 0x0A];

const INTERFACE: u32 = 1;
const PACKET_OBSOLETE: u32 = 2;
const PACKET_SIMPLE: u32 = 3;
const STATISTICS: u32 = 5;
const PACKET_ENHANCED: u32 = 6;

/// Longest block that is read whole: a frame of the greatest length and as much again of options. Blocks that tell
/// nothing about frames may be longer; they are skipped, not held.
const MAX_BLOCK: u32 = 2 * MAX_FRAME;

/// Longest block of statistics that is read; a longer one is skipped.
const MAX_STATISTICS: usize = 4096;

/// Most interfaces in one section.
const MAX_INTERFACES: usize = 65_536;

/// What the blocks so far say about the ones to come.
#[derive(Debug, Default)]
pub(super) struct Pcapng {
    big_endian: bool,
    in_section: bool,
    interfaces: Vec<Interface>,
    /// Link types of all interfaces of all sections, sorted.
    links: Vec<LinkType>,
    /// The name of all interfaces, as long as they have the same.
    name: Name,
    /// Frames that the interfaces of earlier sections lost.
    lost_before: u64,
    /// A simple packet block has no time of its own; it gets that of the packet before it.
    last: Timestamp,
}

/// The name that all interfaces of a capture have.
#[derive(Debug, Default)]
enum Name {
    /// There was none yet.
    #[default]
    Unseen,
    All(String),
    /// They differ, or one has none.
    Mixed,
}

/// Longest name of an interface that is kept.
const MAX_NAME: usize = 255;

#[derive(Clone, Copy, Debug)]
struct Interface {
    link: LinkType,
    /// 0: no limit.
    snap_len: u32,
    unit: Unit,
    /// Seconds to add to each time.
    offset: i64,
    /// Frames that it lost, by its latest statistics.
    lost: u64,
}

/// What one unit of a time is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unit {
    /// So many nanoseconds.
    Nanos(u64),
    /// A nanosecond divided by this.
    Below(u128),
    /// A second divided by this power of two.
    Binary(u32),
}

impl Unit {
    /// `if_tsresol` (section 4.2): a negative power of 10, or of 2 when the top bit is set.
    fn from_option(resolution: u8) -> Self {
        let exponent = u32::from(resolution & 0x7F);
        match (resolution & 0x80, exponent) {
            (0, 0..=9) => Self::Nanos(10_u64.pow(9 - exponent)),
            (0, _) => Self::Below(10_u128.checked_pow(exponent - 9).unwrap_or(u128::MAX)),
            _ => Self::Binary(exponent),
        }
    }

    /// Nanoseconds since the epoch; saturates.
    fn time(self, high: u32, low: u32, offset: i64) -> Timestamp {
        let units = u64::from(high) << 32 | u64::from(low);
        // What nearly every capture has, without 128 bits.
        if let (Self::Nanos(unit), 0) = (self, offset)
            && let Some(nanos) = units.checked_mul(unit).and_then(|nanos| i64::try_from(nanos).ok())
        {
            return Timestamp::from_nanos(nanos);
        }
        let nanos = match self {
            Self::Nanos(unit) => u128::from(units) * u128::from(unit),
            Self::Below(part) => u128::from(units) / part,
            Self::Binary(exponent) => (u128::from(units) * 1_000_000_000) >> exponent, // `exponent` is below 128.
        };
        let nanos = nanos.cast_signed() + i128::from(offset) * 1_000_000_000; // Both are far below 2^127.
        let bound = nanos.clamp(i64::MIN.into(), i64::MAX.into());
        Timestamp::from_nanos(bound as i64) // Clamped, so nothing is lost.
    }
}

impl Pcapng {
    /// Link types of all interfaces so far, sorted.
    pub(super) fn links(&self) -> &[LinkType] {
        &self.links
    }

    /// The name of the interface that all frames so far were captured on.
    pub(super) fn interface_name(&self) -> Option<&str> {
        match &self.name {
            Name::All(name) => Some(name),
            _ => None,
        }
    }

    /// Frames that all interfaces so far lost, as their statistics say.
    pub(super) fn lost(&self) -> u64 {
        self.interfaces.iter().fold(self.lost_before, |sum, interface| sum.saturating_add(interface.lost))
    }

    /// Lists the frames of the whole blocks from `at` on, and moves it behind the last of them.
    pub(super) fn walk(&mut self, bytes: &[u8], at: &mut usize, out: &mut Frames<'_>) -> Stop {
        loop {
            let rest = bytes.get(*at..).unwrap_or(&[]);
            let Some((head, tail)) = rest.split_first_chunk::<8>() else { return Stop::Need(8) };
            let [k0, k1, k2, k3, l0, l1, l2, l3] = *head;
            if [k0, k1, k2, k3] == SECTION {
                match tail.first_chunk::<4>() {
                    None => return Stop::Need(12),
                    Some([0x1A, 0x2B, 0x3C, 0x4D]) => self.big_endian = true,
                    Some([0x4D, 0x3C, 0x2B, 0x1A]) => self.big_endian = false,
                    Some(_) => return Stop::Damage("a section header without its byte-order magic"),
                }
                // What a damaged header leaves behind must not be taken for its interfaces.
                self.lost_before = self.lost();
                self.interfaces.clear();
                self.in_section = true;
            } else if !self.in_section {
                return Stop::Damage("a block before the first section header");
            }
            let kind = self.word([k0, k1, k2, k3]);
            // Some writers do not count the padding to 32 bits in the length.
            let length = self.word([l0, l1, l2, l3]).checked_next_multiple_of(4).unwrap_or(0);
            if length < 12 {
                return Stop::Damage("a block shorter than its own head");
            }
            let known = matches!(kind, INTERFACE | PACKET_OBSOLETE | PACKET_SIMPLE | PACKET_ENHANCED);
            if !known {
                if let Some(block) = rest.get(..length as usize) {
                    if kind == STATISTICS {
                        self.statistics(block);
                    }
                    *at += length as usize;
                    continue;
                }
                if kind == STATISTICS && length as usize <= MAX_STATISTICS {
                    return Stop::Need(length as usize);
                }
                return Stop::Skip(length.into());
            }
            if length > MAX_BLOCK {
                return Stop::Damage("a block claims more than 512 KiB");
            }
            let Some(block) = rest.get(..length as usize) else { return Stop::Need(length as usize) };
            if let Err(what) = self.block(kind, block, *at, out) {
                return Stop::Damage(what);
            }
            *at += length as usize;
        }
    }

    /// One whole block that starts at `at`.
    fn block(&mut self, kind: u32, block: &[u8], at: usize, out: &mut Frames<'_>) -> Result<(), &'static str> {
        let Some((body, last)) = block.split_last_chunk::<4>() else { return Err("a block shorter than its own head") };
        let mut r = Reader::new(body);
        let short = |_: ParseError| "a block too short for its kind";
        r.bytes("block type", 4).map_err(short)?;
        let first = r.array("block length").map_err(short)?;
        if first != *last {
            return Err("a block whose two lengths differ");
        }
        if kind == INTERFACE {
            return self.interface(&mut r).map_err(short);
        }
        let (interface, time, captured, wire) = match kind {
            PACKET_SIMPLE => {
                let wire = self.be_or_le(&mut r, "original length").map_err(short)?;
                let snap_len = self.interfaces.first().map_or(0, |first| first.snap_len);
                let limit = if snap_len == 0 { u32::MAX } else { snap_len };
                (0, None, wire.min(limit), wire)
            }
            PACKET_ENHANCED => {
                let interface = self.be_or_le(&mut r, "interface").map_err(short)?;
                let (time, captured, wire) = self.packet_words(&mut r).map_err(short)?;
                (interface as usize, Some(time), captured, wire)
            }
            _ => {
                let [i0, i1, _, _] = r.array("interface and drops").map_err(short)?;
                let interface = if self.big_endian { [i0, i1] } else { [i1, i0] };
                let (time, captured, wire) = self.packet_words(&mut r).map_err(short)?;
                (u16::from_be_bytes(interface).into(), Some(time), captured, wire)
            }
        };
        if captured > MAX_FRAME {
            return Err("a packet block claims a frame of more than 256 KiB");
        }
        if captured as usize > r.rest().len() {
            return Err("a packet block shorter than its frame");
        }
        let interface = self.interfaces.get(interface);
        let link = interface.map_or(LinkType::UNKNOWN, |interface| interface.link);
        if let Some((high, low)) = time {
            // Microseconds since the epoch are what an interface has that says nothing.
            let (unit, offset) =
                interface.map_or((Unit::Nanos(1000), 0), |interface| (interface.unit, interface.offset));
            self.last = unit.time(high, low, offset);
        }
        out.push(self.last, at + r.at(), captured, wire, link);
        Ok(())
    }

    /// Time in two halves, captured length, length on the wire.
    #[inline]
    fn packet_words(&self, r: &mut Reader<'_>) -> Result<((u32, u32), u32, u32), ParseError> {
        let [h0, h1, h2, h3, l0, l1, l2, l3, c0, c1, c2, c3, w0, w1, w2, w3] = r.array("time and lengths")?;
        let time = (self.word([h0, h1, h2, h3]), self.word([l0, l1, l2, l3]));
        Ok((time, self.word([c0, c1, c2, c3]), self.word([w0, w1, w2, w3])))
    }

    /// An interface description block (section 4.2).
    fn interface(&mut self, r: &mut Reader<'_>) -> Result<(), ParseError> {
        let [link0, link1, _, _] = r.array("link type")?;
        let link = LinkType(u16::from_be_bytes(if self.big_endian { [link0, link1] } else { [link1, link0] }));
        let snap_len = self.be_or_le(r, "snap length")?;
        let mut interface = Interface { link, snap_len, unit: Unit::Nanos(1000), offset: 0, lost: 0 };
        let mut name = None;
        // A broken option ends the options and not the capture: they are refinements.
        while let Some((code, value)) = self.option(r) {
            match (code, value) {
                (2, text) if text.len() <= MAX_NAME => {
                    name = Some(String::from_utf8_lossy(text).trim_end_matches('\0').to_owned());
                }
                (9, [resolution, ..]) => interface.unit = Unit::from_option(*resolution),
                (14, value) => {
                    if let Some(seconds) = value.first_chunk::<8>() {
                        let order = if self.big_endian { i64::from_be_bytes } else { i64::from_le_bytes };
                        interface.offset = order(*seconds);
                    }
                }
                _ => {}
            }
        }
        self.name = match (std::mem::take(&mut self.name), name) {
            (Name::Unseen, Some(name)) => Name::All(name),
            (Name::All(known), Some(name)) if known == name => Name::All(known),
            _ => Name::Mixed,
        };
        if self.interfaces.len() < MAX_INTERFACES {
            self.interfaces.push(interface);
        }
        if let Err(place) = self.links.binary_search(&link) {
            self.links.insert(place, link);
        }
        Ok(())
    }

    /// The next option, if there is one and it is whole.
    fn option<'a>(&self, r: &mut Reader<'a>) -> Option<(u16, &'a [u8])> {
        let [c0, c1, l0, l1] = r.array("option head").ok()?;
        let half = |a, b| u16::from_be_bytes(if self.big_endian { [a, b] } else { [b, a] });
        let (code, length) = (half(c0, c1), usize::from(half(l0, l1)));
        let value = r.bytes("option", length).ok()?;
        let _ = r.bytes("padding", length.next_multiple_of(4) - length); // The last one may lack it.
        (code != 0).then_some((code, value))
    }

    /// An interface statistics block (section 4.6). What it counts it counts from the start of the capture on. A broken
    /// one tells nothing, and breaks nothing.
    fn statistics(&mut self, block: &[u8]) {
        let mut r = Reader::new(block.split_last_chunk::<4>().map_or(&[], |(body, _)| body));
        let id = r.bytes("block head", 8).and_then(|_| self.be_or_le(&mut r, "interface"));
        let (Ok(id), Ok(_)) = (id, r.bytes("time", 8)) else { return };
        let order = if self.big_endian { u64::from_be_bytes } else { u64::from_le_bytes };
        let mut lost = None;
        while let Some((code, value)) = self.option(&mut r) {
            // isb_ifdrop and isb_osdrop: the card had no room, and the system had none.
            if let (5 | 7, Some(count)) = (code, value.first_chunk::<8>()) {
                lost = Some(lost.unwrap_or(0_u64).saturating_add(order(*count)));
            }
        }
        if let (Some(interface), Some(lost)) = (self.interfaces.get_mut(id as usize), lost) {
            interface.lost = lost;
        }
    }

    fn be_or_le(&self, r: &mut Reader<'_>, item: &'static str) -> Result<u32, ParseError> {
        r.array(item).map(|bytes| self.word(bytes))
    }

    #[inline]
    fn word(&self, bytes: [u8; 4]) -> u32 {
        if self.big_endian { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resolutions() {
        for (case, resolution, units, offset, want) in [
            ("microseconds", 6, 1_352_718_180_264_365_u64, 0, "2012-11-12T11:03:00.264365000Z"),
            ("nanoseconds", 9, 1_352_718_180_264_365_001, 0, "2012-11-12T11:03:00.264365001Z"),
            ("picoseconds", 12, 1_500_123_456_789, 0, "1970-01-01T00:00:01.500123456Z"),
            ("seconds", 0, 1_352_718_180, 0, "2012-11-12T11:03:00.000000000Z"),
            ("2^-10 s", 0x8A, 1536, 0, "1970-01-01T00:00:01.500000000Z"),
            ("2^-127 s", 0xFF, u64::MAX, 0, "1970-01-01T00:00:00.000000000Z"),
            ("10^-127 s", 0x7F, u64::MAX, 0, "1970-01-01T00:00:00.000000000Z"),
            ("offset back over the epoch", 6, 1_000_000, -2, "1969-12-31T23:59:59.000000000Z"),
        ] {
            let time = Unit::from_option(resolution).time((units >> 32) as u32, units as u32, offset);
            assert_eq!(time.to_string(), want, "{case}");
        }
        assert_eq!(Unit::from_option(0).time(u32::MAX, u32::MAX, i64::MAX), Timestamp::MAX);
        assert_eq!(Unit::from_option(0).time(0, 0, i64::MIN), Timestamp::MIN);
    }

    /// A block of this kind in either byte order, its words and 64-bit counts already in order.
    fn block(big_endian: bool, kind: u32, body: &[u8]) -> Vec<u8> {
        let word = |word: u32| if big_endian { word.to_be_bytes() } else { word.to_le_bytes() };
        let length = word(body.len() as u32 + 12);
        [&word(kind), &length, body, &length].concat()
    }

    #[test]
    fn what_an_interface_lost() {
        for big_endian in [false, true] {
            let word = |word: u32| if big_endian { word.to_be_bytes() } else { word.to_le_bytes() };
            let half = |half: u16| if big_endian { half.to_be_bytes() } else { half.to_le_bytes() };
            let count = |count: u64| if big_endian { count.to_be_bytes() } else { count.to_le_bytes() };
            let section =
                block(big_endian, 0x0A0D_0D0A, &[&word(0x1A2B_3C4D)[..], &half(1), &half(0), &[0xFF; 8]].concat());
            let interface = block(big_endian, INTERFACE, &[&half(1)[..], &half(0), &word(0)].concat());
            let statistics = |id: u32, options: &[(u16, u64)]| {
                let options = options.iter().map(|(code, value)| [&half(*code)[..], &half(8), &count(*value)].concat());
                let body = [word(id).to_vec(), vec![0; 8], options.collect::<Vec<_>>().concat(), vec![0; 4]].concat();
                block(big_endian, STATISTICS, &body)
            };
            let whole = statistics(0, &[(5, 7)]);
            for (case, blocks, want) in [
                ("card and system, and what was received", vec![statistics(0, &[(4, 1000), (5, 7), (7, 3)])], 10),
                ("the latest counts", vec![statistics(0, &[(5, 7)]), statistics(0, &[(5, 9)])], 9),
                ("one without counts says nothing new", vec![statistics(0, &[(5, 7)]), statistics(0, &[(4, 9)])], 7),
                ("an interface that there is not", vec![statistics(1, &[(5, 7)])], 0),
                ("cut short", vec![block(big_endian, STATISTICS, &whole[8..20])], 0),
                ("an option that is cut", vec![block(big_endian, STATISTICS, &whole[8..28])], 0),
                ("two sections", vec![whole.clone(), section.clone(), interface.clone(), statistics(0, &[(7, 2)])], 9),
            ] {
                let bytes = [section.clone(), interface.clone(), blocks.concat()].concat();
                let (mut pcapng, mut at, mut list) = (Pcapng::default(), 0, Vec::new());
                let (first, last) = (Timestamp::MAX, Timestamp::MIN);
                let mut out = Frames { list: &mut list, capture: 0, number: 0, bytes: 0, first, last };
                pcapng.walk(&bytes, &mut at, &mut out);
                assert_eq!((pcapng.lost(), at), (want, bytes.len()), "{case}, big-endian {big_endian}");
            }
        }
    }
}
