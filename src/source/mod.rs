//! Where frames come from: capture files, memory, and (feature `live`) interfaces through libpcap.
//!
//! A source fills a [`Batch`]: one block of bytes and where the frames in it lie. A frame is never copied on its own;
//! a block of a file is read once and the frames are looked at where they are.

pub mod file;
#[cfg(feature = "live")]
pub mod filter;
#[cfg(feature = "live")]
pub mod live;
pub mod set;

use crate::time::Timestamp;

/// A link-layer header type, as pcap files number them (tcpdump.org, "Link-layer header types").
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkType(pub u16);

#[allow(missing_docs)] // The names are those of the registry.
impl LinkType {
    pub const NULL: Self = Self(0);
    pub const ETHERNET: Self = Self(1);
    pub const PPP: Self = Self(9);
    pub const PPP_HDLC: Self = Self(50);
    pub const PPP_ETHER: Self = Self(51);
    /// Some BSDs write raw IP as 12 or 14 in files.
    pub const RAW_12: Self = Self(12);
    pub const RAW_14: Self = Self(14);
    pub const RAW: Self = Self(101);
    pub const C_HDLC: Self = Self(104);
    pub const LOOP: Self = Self(108);
    pub const LINUX_SLL: Self = Self(113);
    pub const IPV4: Self = Self(228);
    pub const IPV6: Self = Self(229);
    pub const LINUX_SLL2: Self = Self(276);
    /// A frame of a pcapng section that does not describe the frame's interface.
    pub const UNKNOWN: Self = Self(u16::MAX);
}

/// One captured frame, borrowed from its batch.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    /// When it was captured.
    pub at: Timestamp,
    /// How its first bytes are to be read.
    pub link: LinkType,
    /// What was captured of it.
    pub bytes: &'a [u8],
    /// Its length on the wire, in bytes; more than `bytes` when the snap length cut it.
    pub wire_len: u32,
    /// Which capture it is from: its place in the analysis' list of captures.
    pub capture: u16,
    /// Its number in that capture, from 1.
    pub number: u64,
}

/// Where a frame lies in a batch.
#[derive(Clone, Copy, Debug)]
pub struct FrameRef {
    /// When it was captured.
    pub at: Timestamp,
    /// Its number in its capture, from 1.
    pub number: u64,
    /// Offset of its first byte in the batch.
    pub offset: u32,
    /// Captured length in bytes.
    pub len: u32,
    /// Length on the wire in bytes.
    pub wire_len: u32,
    /// How its first bytes are to be read.
    pub link: LinkType,
    /// Place of its capture in the list of captures.
    pub capture: u16,
}

/// Bytes of a [`Batch::large`].
pub(crate) const LARGE: usize = 256 << 10;

/// A block of bytes and the frames in it, in the order of capture. Reused: [`Batch::clear`] keeps the memory.
#[derive(Debug, Default)]
pub struct Batch {
    /// The bytes.
    pub bytes: Vec<u8>,
    /// Where the frames are in them.
    pub frames: Vec<FrameRef>,
}

impl Batch {
    /// A batch for another thread: larger, so that few are handed over. Sources fill what there is of one, or a block.
    #[must_use]
    pub fn large() -> Self {
        Self { bytes: vec![0; LARGE], frames: Vec::new() }
    }

    /// Forgets the frames and keeps the memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.frames.clear();
    }

    /// The memory that it has, in bytes.
    #[must_use]
    pub fn memory(&self) -> usize {
        self.bytes.capacity() + self.frames.capacity() * size_of::<FrameRef>()
    }

    /// The frames in order.
    pub fn frames(&self) -> impl Iterator<Item = Frame<'_>> {
        self.frames.iter().filter_map(|frame| self.frame(frame))
    }

    /// One frame; `None` when the reference does not lie in this batch, which no source makes.
    #[inline]
    #[must_use]
    pub fn frame(&self, frame: &FrameRef) -> Option<Frame<'_>> {
        let start = frame.offset as usize;
        let bytes = self.bytes.get(start..start.checked_add(frame.len as usize)?)?;
        Some(Frame {
            at: frame.at,
            link: frame.link,
            bytes,
            wire_len: frame.wire_len,
            capture: frame.capture,
            number: frame.number,
        })
    }
}

#[cfg(test)]
pub(crate) mod tests {
    /// Bytes from hex, blanks between fields.
    pub(crate) fn hex(text: &str) -> Vec<u8> {
        let digits: Vec<u8> = text.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
        digits.chunks(2).map(|pair| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
    }
}
