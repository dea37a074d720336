//! The pcapng of kept frames (draft-ietf-opsawg-pcapng): one section, an interface for each capture, nanoseconds.

use std::io::{self, Write};

use super::Kept;
use crate::source::LinkType;

/// A frame and what is said of it.
pub struct Remarked {
    /// The frame.
    pub kept: Kept,
    /// The comment.
    pub comment: String,
}

const SECTION: u32 = 0x0A0D_0D0A;
const INTERFACE: u32 = 1;
const PACKET: u32 = 6;

/// Options: of all blocks, of sections, of interfaces.
const COMMENT: u16 = 1;
const APPLICATION: u16 = 4;
const NAME: u16 = 2;
const RESOLUTION: u16 = 9;

/// Writes frames in their order. `captures` are the names of their captures, by place.
///
/// # Errors
/// Those of the writer.
pub fn write(to: &mut impl Write, about: &str, captures: &[String], frames: &[Remarked]) -> io::Result<()> {
    let mut section = Vec::new();
    section.extend(0x1A2B_3C4D_u32.to_le_bytes());
    section.extend([1_u16.to_le_bytes(), 0_u16.to_le_bytes()].concat());
    section.extend(u64::MAX.to_le_bytes()); // Its length is not told.
    option(&mut section, COMMENT, about.as_bytes());
    option(&mut section, APPLICATION, concat!("zonewatch ", env!("CARGO_PKG_VERSION")).as_bytes());
    block(to, SECTION, section)?;

    let mut interfaces: Vec<(u16, LinkType)> = Vec::new();
    for Remarked { kept, .. } in frames {
        let of = (kept.at.capture(), kept.link);
        if !interfaces.contains(&of) {
            interfaces.push(of);
            let mut interface = Vec::new();
            interface.extend([kept.link.0.to_le_bytes(), 0_u16.to_le_bytes()].concat());
            interface.extend(0_u32.to_le_bytes()); // No snap length is told.
            if let Some(name) = captures.get(usize::from(kept.at.capture())) {
                option(&mut interface, NAME, plain(name).as_bytes());
            }
            option(&mut interface, RESOLUTION, &[9]);
            block(to, INTERFACE, interface)?;
        }
    }
    for Remarked { kept, comment } in frames {
        let number = interfaces.iter().position(|of| *of == (kept.at.capture(), kept.link)).unwrap_or(0);
        let nanos = kept.at.at.nanos().cast_unsigned();
        let len = u32::try_from(kept.bytes.len()).map_err(io::Error::other)?;
        let mut packet = Vec::new();
        for word in [number as u32, (nanos >> 32) as u32, nanos as u32, len, kept.wire_len] {
            packet.extend(word.to_le_bytes()); // Few interfaces; the halves of the time.
        }
        packet.extend(&kept.bytes);
        pad(&mut packet);
        option(&mut packet, COMMENT, comment.as_bytes());
        block(to, PACKET, packet)?;
    }
    Ok(())
}

/// A text for people without what a terminal would obey.
pub(super) fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// Longest option: its length has 16 bits.
const LONGEST: usize = 4096;

fn option(block: &mut Vec<u8>, code: u16, value: &[u8]) {
    let mut end = value.len().min(LONGEST);
    // Texts are cut between characters.
    while end < value.len() && value.get(end).is_some_and(|byte| byte & 0xC0 == 0x80) {
        end -= 1;
    }
    let value = value.get(..end).unwrap_or(&[]);
    block.extend(code.to_le_bytes());
    block.extend((value.len() as u16).to_le_bytes()); // At most LONGEST.
    block.extend(value);
    pad(block);
}

fn pad(block: &mut Vec<u8>) {
    block.resize(block.len().next_multiple_of(4), 0);
}

/// A block of options or none: the end of options, and its length twice.
fn block(to: &mut impl Write, kind: u32, mut body: Vec<u8>) -> io::Result<()> {
    body.extend(0_u32.to_le_bytes()); // opt_endofopt
    let len = u32::try_from(body.len() + 12).map_err(io::Error::other)?;
    to.write_all(&kind.to_le_bytes())?;
    to.write_all(&len.to_le_bytes())?;
    to.write_all(&body)?;
    to.write_all(&len.to_le_bytes())
}
