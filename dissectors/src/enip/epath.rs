//! Paths: where in the network and in a device a message goes. CIP Vol. 1, appendix C-1 (padded EPATH).

use crate::{ParseError, Reader};

/// One segment of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Segment<'a> {
    /// A hop: out of this port, to this address on the link behind it.
    Port {
        port: u16,
        link: Link<'a>,
    },
    Class(u32),
    Instance(u32),
    /// An element of an array, or a member of a structure.
    Member(u32),
    Attribute(u32),
    Key(Key),
    /// A name: a tag or a part of one.
    Symbol(&'a [u8]),
    /// Read and of no interest here: connection points, network and data segments.
    Other,
}

/// The address on a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Link<'a> {
    /// A slot or a node number.
    Number(u8),
    /// An extended address, mostly an IP address in text.
    Extended(&'a [u8]),
}

/// Electronic key, format 4: what the sender expects the addressed device to be. Zero means anything.
/// CIP Vol. 1, C-1.4.2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Key {
    pub(super) vendor: u16,
    pub(super) device_type: u16,
    pub(super) product_code: u16,
    /// Without the compatibility bit.
    pub(super) major: u8,
    pub(super) minor: u8,
}

/// Why the next segment could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BadSegment(pub(super) &'static str);

impl From<ParseError> for BadSegment {
    fn from(_: ParseError) -> Self {
        Self("path segment is longer than the path")
    }
}

const UNKNOWN: BadSegment = BadSegment("path segment of unknown type");

/// The next segment. The reader must not be empty.
///
/// # Errors
/// [`BadSegment`] when it ends early or its type is not known: the rest of the path cannot be read then.
pub(super) fn segment<'a>(r: &mut Reader<'a>) -> Result<Segment<'a>, BadSegment> {
    let first = r.u8("segment type")?;
    match first >> 5 {
        0 => port(first, r),
        1 => logical(first, r),
        2 => network(first, r),
        3 if first == 0x60 => Err(UNKNOWN), // Extended string: double-byte and numeric symbols, never seen in the field.
        3 => padded(r, usize::from(first & 0x1F)).map(Segment::Symbol),
        4 => {
            let size = usize::from(r.u8("data segment size")?);
            match first {
                0x91 => padded(r, size).map(Segment::Symbol),
                0x80 => r.bytes("simple data", 2 * size).map(|_| Segment::Other).map_err(Into::into),
                _ => Err(UNKNOWN),
            }
        }
        _ => Err(UNKNOWN),
    }
}

/// Bits 0-3 the port (15: a 16-bit port follows), bit 4: the link address has a size in front. C-1.4.1.
fn port<'a>(first: u8, r: &mut Reader<'a>) -> Result<Segment<'a>, BadSegment> {
    let size = if first & 0x10 == 0 { None } else { Some(usize::from(r.u8("link address size")?)) };
    let port = match first & 0x0F {
        15 => r.le16("extended port")?,
        port => port.into(),
    };
    let link = match size {
        None => Link::Number(r.u8("link address")?),
        Some(size) => Link::Extended(padded(r, size)?),
    };
    Ok(Segment::Port { port, link })
}

/// Bits 2-4 what, bits 0-1 the size of the number; 16 and 32 bits are aligned by a pad byte. C-1.4.2.
fn logical<'a>(first: u8, r: &mut Reader<'a>) -> Result<Segment<'a>, BadSegment> {
    let kind = first >> 2 & 7;
    match (kind, first & 3) {
        (5, 0) => key(r),
        (6, 0) => r.u8("service id").map(|_| Segment::Other).map_err(Into::into),
        (5.., _) | (_, 3) => Err(UNKNOWN),
        (_, format) => {
            let number = match format {
                0 => r.u8("logical value")?.into(),
                1 => {
                    r.u8("pad")?;
                    r.le16("logical value")?.into()
                }
                _ => {
                    r.u8("pad")?;
                    r.le32("logical value")?
                }
            };
            Ok(match kind {
                0 => Segment::Class(number),
                1 => Segment::Instance(number),
                2 => Segment::Member(number),
                4 => Segment::Attribute(number),
                _ => Segment::Other, // connection point
            })
        }
    }
}

fn key<'a>(r: &mut Reader<'a>) -> Result<Segment<'a>, BadSegment> {
    // Format 5 adds a serial number behind the same fields.
    let more = match r.u8("key format")? {
        4 => 0,
        5 => 4,
        _ => return Err(UNKNOWN),
    };
    let key = Key {
        vendor: r.le16("key vendor")?,
        device_type: r.le16("key device type")?,
        product_code: r.le16("key product code")?,
        major: r.u8("key major revision")? & 0x7F,
        minor: r.u8("key minor revision")?,
    };
    r.bytes("key serial number", more)?;
    Ok(Segment::Key(key))
}

/// One data byte, or with bit 4 a size in words and so much data. C-1.4.3.
fn network<'a>(first: u8, r: &mut Reader<'a>) -> Result<Segment<'a>, BadSegment> {
    let size = if first & 0x10 == 0 { 1 } else { 2 * usize::from(r.u8("network segment size")?) };
    r.bytes("network segment", size)?;
    Ok(Segment::Other)
}

/// `size` bytes and a pad byte when they are odd. A last pad byte may be missing.
fn padded<'a>(r: &mut Reader<'a>, size: usize) -> Result<&'a [u8], BadSegment> {
    let bytes = r.bytes("text", size)?;
    if size % 2 == 1 && !r.is_empty() {
        r.u8("pad")?;
    }
    Ok(bytes)
}
