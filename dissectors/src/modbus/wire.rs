//! What a Modbus ADU looks like, over TCP and as RTU, and which side's words its shape can be.

use super::code::{FunctionCode, MEI_DEVICE_ID, is_exception_code};
use crate::{Anomaly, Component, Observation, ParseError, Pdu, Reader, Sink};

/// Modbus unit identifier: a device behind a gateway, or the device itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct UnitId(pub(super) u8);

impl UnitId {
    /// The guide asks for unit 255 on TCP and accepts 0: both mean the device itself, so neither is a component.
    /// MODBUS Messaging on TCP/IP Implementation Guide V1.0b, section 4.4.1.2.
    #[inline]
    pub(super) fn component(self) -> Option<Component<'static>> {
        match self.0 {
            0 | 255 => None,
            unit => Some(Component::number("modbus", unit.into())),
        }
    }
}

/// Where observations go while one PDU is read.
pub(super) struct Notes<'a> {
    pub(super) out: &'a mut dyn Sink,
    /// Bytes are missing at the end because the capture cut them off.
    pub(super) cut: bool,
    /// Bytes of one text that are kept: [`crate::Limits::text`].
    pub(super) text: usize,
}

impl Notes<'_> {
    /// Something out of specification at a byte offset of the PDU.
    #[cold]
    pub(super) fn anomaly(&mut self, what: &'static str, at: usize) {
        self.out.observe(Observation::Anomaly(Anomaly { what, at }));
    }

    /// An anomaly unless `holds`.
    #[inline]
    pub(super) fn expect(&mut self, holds: bool, what: &'static str, at: usize) {
        if !holds {
            self.anomaly(what, at);
        }
    }

    /// The PDU ended before its function's fields did: an anomaly, unless it was only the capture that ended.
    #[cold]
    pub(super) fn short(&mut self, error: ParseError) {
        self.expect(self.cut, "shorter than its function needs", error.at);
    }

    /// The PDU goes on after its function's fields.
    #[inline]
    pub(super) fn end(&mut self, rest: &Reader<'_>) {
        self.expect(rest.is_empty(), "bytes after the end", rest.at());
    }
}

/// One ADU without its framing. Big-endian.
pub(super) struct Adu<'a> {
    /// MBAP transaction identifier; 0 in RTU, which has none.
    pub(super) transaction: u16,
    pub(super) unit: UnitId,
    pub(super) function: FunctionCode,
    /// What follows the function code.
    pub(super) data: Reader<'a>,
    /// How many bytes follow the function code, those that the capture cut off included.
    pub(super) len: usize,
}

impl Adu<'_> {
    /// What the data's length and first bytes allow this to be.
    pub(super) fn shape(&self) -> Shape {
        shape(self.function, self.data.rest(), self.len)
    }
}

/// What is around a PDU.
pub(super) trait Framed {
    /// Takes it off.
    ///
    /// # Errors
    /// [`ParseError`] when not even the function code is there.
    fn unframe<'a>(pdu: &Pdu<'a>, notes: &mut Notes<'_>) -> Result<Adu<'a>, ParseError>;
}

/// Modbus TCP: the 7-byte MBAP header and the PDU behind it. `length` counts the bytes after itself: 1 for the unit id
/// plus the PDU. MODBUS Messaging on TCP/IP Implementation Guide V1.0b, section 3.1.3.
pub(super) struct Mbap;

impl Framed for Mbap {
    #[inline]
    fn unframe<'a>(pdu: &Pdu<'a>, notes: &mut Notes<'_>) -> Result<Adu<'a>, ParseError> {
        let mut r = Reader::new(pdu.bytes);
        let [t0, t1, p0, p1, l0, l1, unit, function] = r.array("MBAP header and function code")?;
        notes.expect([p0, p1] == [0, 0], "protocol identifier is not 0", 2);
        // Without the unit id and the function code, which are counted in it.
        let (length, have) = (usize::from(u16::from_be_bytes([l0, l1])).saturating_sub(2), r.rest().len());
        notes.expect(length == have || notes.cut, "length field does not match the bytes", 4);
        let data = r.sub("PDU", length.min(have))?;
        Ok(Adu {
            transaction: u16::from_be_bytes([t0, t1]),
            unit: UnitId(unit),
            function: FunctionCode(function),
            data,
            len: if notes.cut { length } else { data.rest().len() },
        })
    }
}

/// Modbus RTU: address, PDU, CRC (low byte first), which the framer has checked.
/// MODBUS over Serial Line Specification V1.02, section 2.5.1.
pub(super) struct Rtu;

impl Framed for Rtu {
    fn unframe<'a>(pdu: &Pdu<'a>, _: &mut Notes<'_>) -> Result<Adu<'a>, ParseError> {
        let mut r = Reader::new(pdu.bytes);
        let unit = UnitId(r.u8("address")?);
        let function = FunctionCode(r.u8("function code")?);
        let have = r.rest().len();
        let len = have.saturating_add(pdu.cut).saturating_sub(2);
        let data = r.sub("PDU", len.min(have))?;
        Ok(Adu { transaction: 0, unit, function, data, len })
    }
}

/// Which side's words the bytes can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    Request,
    Response,
    /// Both look the same, e.g. the echo of a single write.
    Either,
    /// Neither has this form.
    Odd,
}

/// See [`Shape`]; `len` bytes follow the function code, of which `data` are there.
pub(super) fn shape(function: FunctionCode, data: &[u8], len: usize) -> Shape {
    match (request_len(function, data).admits(len), response_len(function, data).admits(len)) {
        (true, false) => Shape::Request,
        (false, true) => Shape::Response,
        (true, true) => Shape::Either,
        (false, false) => Shape::Odd,
    }
}

/// How many bytes follow the function code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Length {
    Exactly(usize),
    AtLeast(usize),
    /// So many bytes after the function code tell.
    Need(usize),
    /// This side does not say this.
    Never,
}

impl Length {
    #[inline]
    fn admits(self, len: usize) -> bool {
        match self {
            Self::Exactly(n) => len == n,
            Self::AtLeast(n) | Self::Need(n) => len >= n,
            Self::Never => false,
        }
    }

    /// `base` bytes and as many as the byte at `at` says.
    fn counted(data: &[u8], at: usize, base: usize) -> Self {
        data.get(at).map_or(Self::Need(at + 1), |&count| Self::Exactly(base + usize::from(count)))
    }
}

/// Length of a request. MODBUS Application Protocol V1.1b3, section 6.
#[inline]
pub(super) fn request_len(function: FunctionCode, data: &[u8]) -> Length {
    match function.0 {
        1..=6 => Length::Exactly(4),
        7 | 11 | 12 | 17 => Length::Exactly(0),
        8 => Length::AtLeast(2),
        15 | 16 => Length::counted(data, 4, 5),
        20 | 21 => Length::counted(data, 0, 1),
        22 => Length::Exactly(6),
        23 => Length::counted(data, 8, 9),
        24 => Length::Exactly(2),
        43 => match data.first() {
            None => Length::Need(1),
            Some(&MEI_DEVICE_ID) => Length::Exactly(3),
            Some(_) => Length::AtLeast(1),
        },
        90 => match data.get(1) {
            Some(0xfd | 0xfe) => Length::Never,
            _ => Length::AtLeast(2),
        },
        0x80.. => Length::Never,
        _ => Length::AtLeast(0),
    }
}

/// Length of a response. MODBUS Application Protocol V1.1b3, sections 6 and 7.
#[inline]
pub(super) fn response_len(function: FunctionCode, data: &[u8]) -> Length {
    match function.0 {
        1..=4 | 23 => match data.first() {
            Some(0) => Length::Never,
            // Registers are two bytes each.
            Some(count) if function.0 > 2 && count % 2 == 1 => Length::Never,
            _ => Length::counted(data, 0, 1),
        },
        5 | 6 | 15 | 16 | 11 => Length::Exactly(4),
        7 => Length::Exactly(1),
        8 => Length::AtLeast(2),
        12 | 17 | 20 | 21 => Length::counted(data, 0, 1),
        22 => Length::Exactly(6),
        // The only byte count of two bytes.
        24 => match data.first_chunk() {
            Some(&count) => Length::Exactly(2 + usize::from(u16::from_be_bytes(count))),
            None => Length::Need(2),
        },
        43 => match data.first() {
            None => Length::Need(1),
            Some(&MEI_DEVICE_ID) => Length::AtLeast(6),
            Some(_) => Length::AtLeast(1),
        },
        90 => match data.get(1) {
            None => Length::Need(2),
            Some(0xfd | 0xfe) => Length::AtLeast(2),
            Some(_) => Length::Never,
        },
        0x80.. => match data.first() {
            Some(&code) if !is_exception_code(code) => Length::Never,
            _ => Length::Exactly(1),
        },
        _ => Length::AtLeast(0),
    }
}
