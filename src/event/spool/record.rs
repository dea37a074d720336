//! How a waiting message lies in a segment file.
//!
//! ```text
//! "ZWE1" │ CRC-32 of the rest │ length of the bytes │ number │ time, ns │ band │ bytes
//!   4             4                     4                8         8        1
//! ```
//!
//! Integers are little-endian. A record that was half written when the process died fails its checksum; the mark lets a
//! reader find the next one behind damage.

use flate2::Crc;

use crate::event::BANDS;
use crate::policy::Band;
use crate::time::Timestamp;

const MARK: &[u8; 4] = b"ZWE1";
/// Bytes before the message.
const HEAD: usize = 29;
/// The longest message, in bytes. A longer one is dropped and counted.
pub(super) const LONGEST: usize = 1 << 20;

/// A message with what the queue must know of it.
pub(super) struct Record<'a> {
    pub(super) number: u64,
    pub(super) time: Timestamp,
    pub(super) band: Band,
    pub(super) bytes: &'a [u8],
}

impl<'a> Record<'a> {
    pub(super) fn write(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(HEAD + self.bytes.len());
        out.extend_from_slice(MARK);
        out.extend_from_slice(&[0; 4]);
        // A message is at most `LONGEST`, which the queue checks.
        out.extend_from_slice(&u32::try_from(self.bytes.len()).unwrap_or(u32::MAX).to_le_bytes());
        out.extend_from_slice(&self.number.to_le_bytes());
        out.extend_from_slice(&self.time.nanos().to_le_bytes());
        out.push(self.band as u8);
        out.extend_from_slice(self.bytes);
        let (head, rest) = out.split_at_mut(8);
        if let Some(sum) = head.get_mut(4..) {
            sum.copy_from_slice(&checksum(rest).to_le_bytes());
        }
        out
    }

    /// The record at the front of `bytes` and its length; `None` when there is no whole one.
    pub(super) fn read(bytes: &'a [u8]) -> Option<(Self, usize)> {
        let rest = bytes.strip_prefix(MARK)?;
        let (sum, rest) = rest.split_first_chunk::<4>()?;
        let (length, fields) = rest.split_first_chunk::<4>()?;
        let length = usize::try_from(u32::from_le_bytes(*length)).ok().filter(|length| *length <= LONGEST)?;
        let (number, fields) = fields.split_first_chunk::<8>()?;
        let (time, fields) = fields.split_first_chunk::<8>()?;
        let (band, fields) = fields.split_first()?;
        let message = fields.get(..length)?;
        if checksum(rest.get(..HEAD - 8 + length)?) != u32::from_le_bytes(*sum) {
            return None;
        }
        let record = Self {
            number: u64::from_le_bytes(*number),
            time: Timestamp::from_nanos(i64::from_le_bytes(*time)),
            band: *BANDS.get(usize::from(*band))?,
            bytes: message,
        };
        Some((record, HEAD + length))
    }

    /// Every whole record of a segment with its place and length, and the number of bytes that belong to none.
    pub(super) fn scan(bytes: &'a [u8]) -> (Vec<(Self, usize, usize)>, u64) {
        let (mut found, mut damage, mut at) = (Vec::new(), 0_u64, 0);
        while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
            if let Some((record, length)) = Self::read(rest) {
                found.push((record, at, length));
                at += length;
            } else {
                let next = rest.windows(MARK.len()).skip(1).position(|window| window == MARK);
                let skip = next.map_or(rest.len(), |next| next + 1);
                damage = damage.saturating_add(skip as u64);
                at += skip;
            }
        }
        (found, damage)
    }
}

/// CRC-32 as of Ethernet and gzip.
pub(super) fn checksum(bytes: &[u8]) -> u32 {
    let mut crc = Crc::new();
    crc.update(bytes);
    crc.sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn three() -> Vec<u8> {
        let record = |number, bytes| Record { number, time: Timestamp::new(5, 6), band: Band::High, bytes }.write();
        [record(1, &b"one"[..]), record(2, b"ZWE1 in the message"), record(3, b"")].concat()
    }

    fn numbers(bytes: &[u8]) -> (Vec<u64>, u64) {
        let (records, damage) = Record::scan(bytes);
        (records.iter().map(|(record, ..)| record.number).collect(), damage)
    }

    #[test]
    fn what_was_written_is_read() {
        let bytes = three();
        let (records, damage) = Record::scan(&bytes);
        let (second, at, length) = &records[1];
        assert_eq!(
            (second.bytes, second.time, second.band),
            (&b"ZWE1 in the message"[..], Timestamp::new(5, 6), Band::High)
        );
        assert_eq!((records.len(), *at, *length, damage), (3, HEAD + 3, HEAD + 19, 0));
    }

    #[test]
    fn a_torn_end_costs_no_whole_record() {
        let bytes = three();
        let ends = [HEAD + 3, 2 * HEAD + 22, bytes.len()];
        for cut in 0..=bytes.len() {
            let whole = ends.iter().filter(|end| **end <= cut).count();
            let (found, damage) = numbers(&bytes[..cut]);
            assert_eq!(found, (1..=whole as u64).collect::<Vec<_>>(), "cut at {cut}");
            let rest = cut - whole.checked_sub(1).map_or(0, |last| ends[last]);
            assert_eq!(damage, rest as u64, "cut at {cut}");
        }
    }

    #[test]
    fn one_wrong_byte_costs_one_record() {
        let bytes = three();
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 0x41;
            let (found, damage) = numbers(&damaged);
            assert_eq!(found.len(), 2, "byte {at}: {found:?}");
            assert!(damage > 0);
        }
    }
}
