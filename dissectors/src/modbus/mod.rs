//! Modbus TCP and UDP (MBAP header), and Modbus RTU over TCP.
//!
//! MODBUS Application Protocol Specification V1.1b3; MODBUS Messaging on TCP/IP Implementation Guide V1.0b.
//! Schneider's UMAS inside function 90 is unofficial: it follows open dissectors.

mod code;
mod identity;
mod probe;
mod reply;
mod request;
mod rtu;
mod session;
#[cfg(test)]
mod tests;
mod wire;

pub use rtu::ModbusRtu;

use code::FunctionCode;
use session::ModbusSession;
use wire::{Length, Mbap, Shape};

use crate::{Carrier, Framing, Info, Limits, OperationName, Probe, Protocol, Role, Session};

/// Bytes up to and with the length field, which counts those after it.
const LENGTH_END: usize = 6;
/// Bytes up to and with the function code.
const DATA_START: usize = 8;
/// Largest length field of UMAS. Its partners agree on a frame size, seen up to 1021 bytes, above Modbus's own 254.
/// Unofficial: INIT_COMM of public captures.
const MAX_UMAS_LENGTH: usize = 1024;

/// Modbus TCP, and the same over UDP.
pub struct Modbus;

static INFO: Info = Info {
    name: "modbus",
    title: "Modbus TCP",
    carriers: &[(Carrier::Tcp, &[502]), (Carrier::Udp, &[502])],
    max_pdu: LENGTH_END + MAX_UMAS_LENGTH,
    spec: "MODBUS Application Protocol V1.1b3; MODBUS Messaging on TCP/IP Implementation Guide V1.0b",
    operations: code::operations,
};

impl Protocol for Modbus {
    fn info(&self) -> &'static Info {
        &INFO
    }

    fn probe(&self, head: &[u8]) -> Probe {
        let len = match self.frame(head) {
            Framing::Pdu(len) => len,
            Framing::NeedAtLeast(need) => return Probe::NeedAtLeast(need),
            Framing::Desync => return Probe::No,
        };
        // A request for two registers from 0 has its quantity where the MBAP header has a length; its CRC tells.
        if rtu::is_frame(head) {
            return Probe::No;
        }
        let &[t0, t1, _, _, _, _, unit, function, ref data @ ..] = head else { return Probe::NeedAtLeast(DATA_START) };
        let (function, data_len) = (FunctionCode(function), len.saturating_sub(DATA_START));
        let lengths = [wire::request_len(function, data), wire::response_len(function, data)];
        for length in lengths {
            if let Length::Need(need) = length
                && need <= data_len
            {
                return Probe::NeedAtLeast(DATA_START + need);
            }
        }
        let shape = wire::shape(function, data, data_len);
        let sender = match shape {
            Shape::Odd | Shape::Either => None,
            Shape::Request => Some(Role::Client),
            Shape::Response => Some(Role::Server),
        };
        let plausible = probe::plausible(function, shape, data);
        // Where the function dictates the length and it is that length, the bytes so far are proof.
        if plausible && lengths.contains(&Length::Exactly(data_len)) {
            return Probe::Yes { sender };
        }
        // Else PDUs must fill the segment, and what the specification does not know must at least be as short as what
        // scanners send: other protocols, too, have four bytes of length in this place (LDAP, DICOM).
        let short = data_len <= probe::MOST_OF_A_SCANNER && [unit, function.0] != [0, 0];
        let known = plausible || short && !probe::is_bad_exception(function, data);
        if known && !probe::is_ber([t0, t1], unit) && !probe::is_text(head) {
            probe::filled(self, head, Probe::Yes { sender })
        } else {
            Probe::No
        }
    }

    #[inline]
    fn frame(&self, head: &[u8]) -> Framing {
        let Some(&[_, _, p0, p1, l0, l1]) = head.first_chunk() else {
            return match head {
                [_, _, p0, p1, ..] if (*p0, *p1) != (0, 0) => Framing::Desync,
                _ => Framing::NeedAtLeast(LENGTH_END),
            };
        };
        match (u16::from_be_bytes([p0, p1]), usize::from(u16::from_be_bytes([l0, l1]))) {
            (0, length @ 2..=254) => Framing::Pdu(LENGTH_END + length),
            (0, length @ 255..=MAX_UMAS_LENGTH) => match head.get(DATA_START - 1) {
                None => Framing::NeedAtLeast(DATA_START),
                Some(&function) if FunctionCode(function) == FunctionCode::UMAS => Framing::Pdu(LENGTH_END + length),
                Some(_) => Framing::Desync,
            },
            // Not Modbus, or joined in the middle of a PDU.
            _ => Framing::Desync,
        }
    }

    fn session(&self, limits: &Limits) -> Box<dyn Session> {
        Box::new(ModbusSession::<Mbap>::new(limits))
    }

    fn message(&self, pdu: &[u8]) -> u32 {
        pdu.get(DATA_START - 1).copied().unwrap_or_default().into()
    }

    fn message_text(&self, message: u32) -> String {
        message.to_string()
    }

    fn operation(&self, code: u64) -> OperationName {
        code::operation(code)
    }
}
