//! Captures taken apart into frames, and put together again without some of them.

use std::path::Path;

/// A pcap file: its head, and each record as it lies in the file.
pub(crate) struct Pcap {
    head: Vec<u8>,
    records: Vec<Vec<u8>>,
}

/// Bytes of the file's head, and of a record's.
const HEAD: usize = 24;
const RECORD: usize = 16;

impl Pcap {
    /// Reads a plain pcap of micro- or nanoseconds; `None` for anything else, and for one that is damaged.
    pub(crate) fn read(path: &Path) -> Option<Self> {
        let bytes = std::fs::read(path).ok()?;
        let (head, mut rest) = bytes.split_at_checked(HEAD)?;
        let big = match head.first_chunk::<4>()? {
            [0xA1, 0xB2, 0xC3, 0xD4] | [0xA1, 0xB2, 0x3C, 0x4D] => true,
            [0xD4, 0xC3, 0xB2, 0xA1] | [0x4D, 0x3C, 0xB2, 0xA1] => false,
            _ => return None,
        };
        let mut records = Vec::new();
        while !rest.is_empty() {
            let len = *rest.get(8..)?.first_chunk::<4>()?;
            let len = if big { u32::from_be_bytes(len) } else { u32::from_le_bytes(len) };
            let (record, behind) = rest.split_at_checked(RECORD + usize::try_from(len).ok()?)?;
            records.push(record.to_vec());
            rest = behind;
        }
        Some(Self { head: head.to_vec(), records })
    }

    /// How many frames it has.
    pub(crate) fn len(&self) -> usize {
        self.records.len()
    }

    /// A frame's bytes.
    pub(crate) fn frame(&self, index: usize) -> &[u8] {
        &self.records[index][RECORD..]
    }

    /// Writes the frames that are wanted.
    pub(crate) fn write(&self, path: &Path, wanted: impl Fn(usize) -> bool) {
        let mut bytes = self.head.clone();
        let records = self.records.iter().enumerate().filter(|(index, _)| wanted(*index));
        records.for_each(|(_, record)| bytes.extend_from_slice(record));
        std::fs::write(path, bytes).unwrap();
    }
}
