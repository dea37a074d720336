//! The classic capture file: a 24-byte header, then records of a 16-byte header and the frame.
//!
//! Source: draft-ietf-opsawg-pcap, sections 4 and 5. The "modified" variant with 24-byte record headers is that of
//! A. Kuznetzov's patches to libpcap (unofficial; Wireshark's wiretap/libpcap.c).

use super::{Frames, MAX_FRAME, Stop};
use crate::source::LinkType;
use crate::time::Timestamp;

/// Length of the file header in bytes.
pub(super) const HEADER: usize = 24;

/// What the file header says of the records.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pcap {
    big_endian: bool,
    /// Nanoseconds in one unit of a record's second time word.
    unit: u64,
    /// Length of a record's header in bytes.
    record: usize,
    link: LinkType,
}

impl Pcap {
    /// Whether a file starts like one of these.
    pub(super) fn is_magic(head: [u8; 4]) -> bool {
        Self::variant(head).is_some()
    }

    /// Byte order, unit of time and length of record headers, by the magic number.
    fn variant(magic: [u8; 4]) -> Option<(bool, u64, usize)> {
        let of = |number| match number {
            0xA1B2_C3D4_u32 => Some((1000, 16)),
            0xA1B2_3C4D => Some((1, 16)),
            0xA1B2_CD34 => Some((1000, 24)),
            _ => None,
        };
        let variant = |big_endian| move |(unit, record)| (big_endian, unit, record);
        of(u32::from_be_bytes(magic)).map(variant(true)).or_else(|| of(u32::from_le_bytes(magic)).map(variant(false)))
    }

    /// From the file header: magic, version, two reserved words, snap length, link type.
    ///
    /// The snap length is not used: records that are longer than it exist and are whole.
    pub(super) fn read(header: &[u8; HEADER]) -> Option<Self> {
        let [magic0, magic1, magic2, magic3, .., link0, link1, link2, link3] = *header;
        let (big_endian, unit, record) = Self::variant([magic0, magic1, magic2, magic3])?;
        // The upper half of the word tells whether the frames end in a frame check sequence.
        let link = [link0, link1, link2, link3];
        let link = if big_endian { u32::from_be_bytes(link) } else { u32::from_le_bytes(link) };
        Some(Self { big_endian, unit, record, link: LinkType((link & 0xFFFF) as u16) })
    }

    pub(super) fn link(&self) -> LinkType {
        self.link
    }

    /// Lists the frames of the whole records from `at` on, and moves it behind the last of them.
    pub(super) fn walk(&self, bytes: &[u8], at: &mut usize, out: &mut Frames<'_>) -> Stop {
        if self.big_endian {
            self.walk_as(bytes, at, out, u32::from_be_bytes)
        } else {
            self.walk_as(bytes, at, out, u32::from_le_bytes)
        }
    }

    #[inline(always)] // Once for each byte order, with the branch outside of the loop.
    fn walk_as(
        &self,
        bytes: &[u8],
        at: &mut usize,
        out: &mut Frames<'_>,
        word: impl Fn([u8; 4]) -> u32 + Copy,
    ) -> Stop {
        loop {
            let rest = bytes.get(*at..).unwrap_or(&[]);
            let Some((header, _)) = rest.split_first_chunk::<16>() else { return Stop::Need(self.record) };
            let [s0, s1, s2, s3, f0, f1, f2, f3, c0, c1, c2, c3, w0, w1, w2, w3] = *header;
            let captured = word([c0, c1, c2, c3]);
            if captured > MAX_FRAME {
                return Stop::Damage("a packet record claims more than 256 KiB");
            }
            let whole = self.record + captured as usize; // At most 24 + MAX_FRAME.
            if whole > rest.len() {
                return Stop::Need(whole);
            }
            let nanos = u64::from(word([s0, s1, s2, s3])) * 1_000_000_000 // Below 2^62.
                + u64::from(word([f0, f1, f2, f3])) * self.unit; // Below 2^42.
            let time = Timestamp::from_nanos(nanos.cast_signed());
            out.push(time, *at + self.record, captured, word([w0, w1, w2, w3]), self.link);
            *at += whole;
        }
    }
}
