//! Modbus RTU frames on a byte stream, as serial servers carry them: address, PDU, CRC. There is no length field:
//! a frame ends where its function says that a request or a response ends, and the CRC fits.
//! MODBUS over Serial Line Specification V1.02, section 2.5.1.

use super::{
    code::{self, FunctionCode},
    probe,
    session::ModbusSession,
    wire::{self, Length, Rtu, Shape},
};
use crate::{Carrier, Framing, Info, Limits, OperationName, Probe, Protocol, Role, Session};

/// Longest frame: address 1, PDU 253, CRC 2. MODBUS over Serial Line Specification V1.02, section 2.3.
const MAX_FRAME: usize = 256;
/// Bytes of a frame around the data: address, function code, CRC.
const AROUND: usize = 4;

/// Coils of one request that a probe believes; the specification allows 2000.
const MOST_COILS: u16 = 1000;

/// Modbus RTU over TCP.
pub struct ModbusRtu;

static INFO: Info = Info {
    name: "modbus-rtu",
    title: "Modbus RTU over TCP",
    carriers: &[(Carrier::Tcp, &[502, 4001, 950])],
    max_pdu: MAX_FRAME,
    spec: "MODBUS over Serial Line Specification and Implementation Guide V1.02; MODBUS Application Protocol V1.1b3",
    operations: code::operations,
};

impl Protocol for ModbusRtu {
    fn info(&self) -> &'static Info {
        &INFO
    }

    fn probe(&self, head: &[u8]) -> Probe {
        let [unit, function, data @ ..] = head else { return Probe::NeedAtLeast(AROUND) };
        let function = FunctionCode(*function);
        // Addresses 248 to 255 are reserved. A CRC of 16 bits is little proof where the function is any and the length
        // is any, so only functions of the specification count.
        if *unit > 247 || !matches!(function.asked().0, 1..=8 | 11 | 12 | 15..=17 | 20..=24 | 43) {
            return Probe::No;
        }
        let len = match self.frame(head) {
            Framing::NeedAtLeast(need) => return Probe::NeedAtLeast(need),
            Framing::Desync => return Probe::No,
            Framing::Pdu(len) => len,
        };
        let shape = wire::shape(function, data, len.saturating_sub(AROUND));
        // Emerson's ROC protocol has the same CRC, and its requests read as requests for more coils than anybody asks for.
        let is_roc = shape != Shape::Response
            && function.0 <= 2
            && matches!(data, [_, _, high, low, ..] if u16::from_be_bytes([*high, *low]) > MOST_COILS);
        if is_roc || !probe::plausible(function, shape, data) {
            return Probe::No;
        }
        let sender = match shape {
            Shape::Request => Some(Role::Client),
            Shape::Response => Some(Role::Server),
            Shape::Either | Shape::Odd => None,
        };
        // A CRC fits by chance now and then: then it leaves bytes behind that are no frame.
        probe::filled(self, head, Probe::Yes { sender })
    }

    fn frame(&self, head: &[u8]) -> Framing {
        let [_, function, data @ ..] = head else { return Framing::NeedAtLeast(AROUND) };
        let function = FunctionCode(*function);
        let (mut crc, mut longest) = (CRC_START, 0);
        for length in [wire::request_len(function, data), wire::response_len(function, data)] {
            longest = longest.max(match length {
                Length::Exactly(len) => len.saturating_add(AROUND),
                Length::AtLeast(_) | Length::Need(_) => MAX_FRAME,
                Length::Never => 0,
            });
        }
        let longest = longest.min(MAX_FRAME);
        for (at, byte) in head.iter().enumerate().take(longest) {
            crc = crc_step(crc, *byte);
            // The CRC of a frame and its own CRC is 0.
            let len = at + 1;
            if crc == 0 && len >= AROUND && wire::shape(function, data, len - AROUND) != Shape::Odd {
                return Framing::Pdu(len);
            }
        }
        if head.len() < longest { Framing::NeedAtLeast(head.len() + 1) } else { Framing::Desync }
    }

    fn session(&self, limits: &Limits) -> Box<dyn Session> {
        Box::new(ModbusSession::<Rtu>::new(limits))
    }

    fn message(&self, pdu: &[u8]) -> u32 {
        pdu.get(1).copied().unwrap_or_default().into()
    }

    fn message_text(&self, message: u32) -> String {
        message.to_string()
    }

    fn operation(&self, code: u64) -> OperationName {
        code::operation(code)
    }
}

/// One frame from end to end, its CRC included.
pub(super) fn is_frame(bytes: &[u8]) -> bool {
    matches!(ModbusRtu.frame(bytes), Framing::Pdu(len) if len == bytes.len())
}

const CRC_START: u16 = 0xffff;

/// One byte of the CRC-16 with the reflected polynomial 0xA001. Section 6.2.2, "CRC Generation".
fn crc_step(crc: u16, byte: u8) -> u16 {
    let [_, low] = crc.to_be_bytes();
    let entry = CRC_TABLE.get(usize::from(low ^ byte)).copied().unwrap_or_default();
    crc >> 8 ^ entry
}

static CRC_TABLE: [u16; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let (mut crc, mut bit) = (byte as u16, 0);
        while bit < 8 {
            crc = if crc & 1 == 0 { crc >> 1 } else { crc >> 1 ^ 0xa001 };
            bit += 1;
        }
        table[byte] = crc;
        byte += 1;
    }
    table
};
