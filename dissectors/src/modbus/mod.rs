//! Modbus TCP and UDP (MBAP header), and Modbus RTU over TCP.
//!
//! MODBUS Application Protocol Specification V1.1b3; MODBUS Messaging on TCP/IP Implementation Guide V1.0b.
//! Schneider's UMAS inside function 90 is unofficial: it follows open dissectors.

mod code;
mod identity;
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

use crate::{Carrier, Framing, Info, Limits, OperationName, Probe, Protocol, Reader, Role, Session};

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
        let [_, _, _, _, _, _, _, function, data @ ..] = head else { return Probe::NeedAtLeast(DATA_START) };
        let (function, data_len) = (FunctionCode(*function), len.saturating_sub(DATA_START));
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
            Shape::Odd
                if function.is_exception() && !data.first().is_some_and(|&code| code::is_exception_code(code)) =>
            {
                return Probe::No;
            }
            Shape::Odd | Shape::Either => None,
            Shape::Request => Some(Role::Client),
            Shape::Response => Some(Role::Server),
        };
        // A length that the function dictates is proof. Without one (vendors' functions, scanners, fuzzers), the PDU must
        // end where the segment ends or another PDU starts, and be no text.
        if lengths.contains(&Length::Exactly(data_len)) && plausible(function, shape, data) {
            return Probe::Yes { sender };
        }
        match head.split_at_checked(len) {
            None => Probe::NeedAtLeast(len),
            Some((pdu, next)) if starts_like_a_pdu(next) && !is_text(pdu) => Probe::Yes { sender },
            Some(_) => Probe::No,
        }
    }

    #[inline]
    fn frame(&self, head: &[u8]) -> Framing {
        let Some(&[_, _, p0, p1, l0, l1]) = head.first_chunk() else { return Framing::NeedAtLeast(LENGTH_END) };
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

/// Whether the values of a PDU of the right length are such as devices send.
fn plausible(function: FunctionCode, shape: Shape, data: &[u8]) -> bool {
    let mut r = Reader::new(data);
    let (Ok(_), Ok(second)) = (r.be16("address"), r.be16("quantity or value")) else { return true };
    match function.0 {
        1..=4 if shape == Shape::Request => (1..=2000).contains(&second),
        5 => matches!(second, 0 | 0xff00),
        _ => true,
    }
}

/// Nothing, or what is there of a header is one.
fn starts_like_a_pdu(next: &[u8]) -> bool {
    let mut r = Reader::new(next);
    let (transaction, protocol, length) = (r.be16("transaction"), r.be16("protocol"), r.be16("length"));
    transaction.is_err() || protocol.map_or(true, |p| p == 0) && length.map_or(true, |l| (2..=254).contains(&l))
}

/// Printable throughout, with enough bytes for that to mean something.
fn is_text(pdu: &[u8]) -> bool {
    let body = pdu.get(LENGTH_END..).unwrap_or_default();
    body.len() >= 8 && body.iter().all(|byte| matches!(byte, b' '..=b'~' | b'\t' | b'\r' | b'\n'))
}
