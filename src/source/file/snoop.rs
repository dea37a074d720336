//! The capture file of Solaris: a 16-byte header, then records of a 24-byte header, the frame and padding.
//!
//! Source: RFC 1761. All words are big endian.

use super::{Frames, MAX_FRAME, Stop};
use crate::source::LinkType;
use crate::time::Timestamp;

/// Length of the file header in bytes: magic, version, data link type.
pub(super) const HEADER: usize = 16;

/// Length of a record's header in bytes.
const RECORD: usize = 24;

/// Longest record in bytes: the header, the longest frame, and room for padding.
const MAX_RECORD: u32 = MAX_FRAME + 64;

/// The version that RFC 1761 describes.
const VERSION: u32 = 2;

/// A link type that is none of pcap's: its frames are counted as not decoded.
const UNKNOWN: LinkType = LinkType(u16::MAX);

/// What the file header says of the records.
#[derive(Clone, Copy, Debug)]
pub(super) struct Snoop {
    link: LinkType,
}

impl Snoop {
    /// Whether a file starts like one of these.
    pub(super) fn is_magic(head: &[u8]) -> bool {
        head.starts_with(b"snoop\0\0\0")
    }

    /// From the file header, of which the magic was looked at. `None`: a version that is not known.
    pub(super) fn read(header: &[u8; HEADER]) -> Option<Self> {
        let [.., v0, v1, v2, v3, l0, l1, l2, l3] = *header;
        let link = match u32::from_be_bytes([l0, l1, l2, l3]) {
            0 | 4 => LinkType(1), // IEEE 802.3 and Ethernet: the length or type field tells which.
            2 => LinkType(6),     // IEEE 802.5, Token Ring.
            8 => LinkType(10),    // FDDI.
            _ => UNKNOWN,
        };
        (u32::from_be_bytes([v0, v1, v2, v3]) == VERSION).then_some(Self { link })
    }

    pub(super) fn link(&self) -> LinkType {
        self.link
    }

    /// Lists the frames of the whole records from `at` on, and moves it behind the last of them.
    pub(super) fn walk(&self, bytes: &[u8], at: &mut usize, out: &mut Frames<'_>) -> Stop {
        loop {
            let rest = bytes.get(*at..).unwrap_or(&[]);
            let Some((header, _)) = rest.split_first_chunk::<RECORD>() else { return Stop::Need(RECORD) };
            // Length on the wire, captured length, record length, drops so far, seconds, microseconds.
            let [wire, captured, record, _, seconds, micros] = words(header);
            if captured > MAX_FRAME || record > MAX_RECORD {
                return Stop::Damage("a packet record claims more than 256 KiB");
            }
            let (whole, captured_end) = (record as usize, RECORD + captured as usize); // Far below 4 GiB.
            if captured_end > whole {
                return Stop::Damage("a packet record is shorter than the packet in it");
            }
            if whole > rest.len() {
                return Stop::Need(whole);
            }
            let nanos = u64::from(seconds) * 1_000_000_000 + u64::from(micros) * 1_000; // Below 2^63.
            out.push(Timestamp::from_nanos(nanos.cast_signed()), *at + RECORD, captured, wire, self.link);
            *at += whole;
        }
    }
}

/// The six big-endian words of a record's header.
fn words(header: &[u8; RECORD]) -> [u32; 6] {
    let mut words = [0; 6];
    for (word, bytes) in words.iter_mut().zip(header.as_chunks::<4>().0) {
        *word = u32::from_be_bytes(*bytes);
    }
    words
}
