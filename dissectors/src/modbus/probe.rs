//! Telling Modbus from what only looks like it.

use super::{
    code::{FunctionCode, MEI_DEVICE_ID, OperationCode, is_exception_code},
    wire::Shape,
};
use crate::{Class, Framing, Probe, Protocol, Reader};

/// Data bytes after which a function that is unknown, or has a length that it does not allow, is no longer believed.
pub(super) const MOST_OF_A_SCANNER: usize = 14;

/// Whether the data are such as devices send: the form of the function and values in its range.
pub(super) fn plausible(function: FunctionCode, shape: Shape, data: &[u8]) -> bool {
    let mut r = Reader::new(data);
    match (function.0, shape) {
        (_, Shape::Odd) => false,
        (1..=4, Shape::Request) => {
            matches!((r.be16("address"), r.be16("quantity")), (Ok(_), Ok(1..=2000)))
        }
        (5, _) => matches!((r.be16("address"), r.be16("value")), (Ok(_), Ok(0 | 0xff00))),
        (8, _) => data.len() >= 4 && matches!(r.be16("sub-function"), Ok(0..=4 | 10..=18 | 20 | 21)),
        (43, Shape::Request) => matches!(r.array("MEI type, code"), Ok([MEI_DEVICE_ID, 1..=4])),
        (43, _) => matches!(r.array("MEI type, code, conformity"), Ok([MEI_DEVICE_ID, 1..=4, 1..=3 | 0x81..=0x83])),
        (90, Shape::Response) => true,
        (90, _) => match r.array("session, code") {
            Ok([_, code]) => OperationCode::sub(function, u16::from(code)).class() != Class::Unknown,
            Err(_) => false,
        },
        (1..=24, _) => !matches!(function.0, 9 | 10 | 13 | 14 | 18 | 19),
        (0x80.., _) => true,
        _ => false,
    }
}

/// An exception bit, and a code that no specification has.
pub(super) fn is_bad_exception(function: FunctionCode, data: &[u8]) -> bool {
    function.is_exception() && !data.first().is_some_and(|code| is_exception_code(*code))
}

/// A BER sequence with four bytes of length that starts with an integer: LDAP as directory servers write it.
pub(super) fn is_ber(transaction: [u8; 2], unit: u8) -> bool {
    transaction == [0x30, 0x84] && unit == 0x02
}

/// Printable from the unit id on, with enough bytes for that to mean something.
pub(super) fn is_text(head: &[u8]) -> bool {
    let body = head.get(super::LENGTH_END..).unwrap_or_default();
    body.len() >= 8 && body.iter().all(|byte| matches!(byte, b' '..=b'~' | b'\t' | b'\r' | b'\n'))
}

/// `yes` when PDUs fill these bytes from the first to the last.
pub(super) fn filled(protocol: &dyn Protocol, head: &[u8], yes: Probe) -> Probe {
    let mut at = 0;
    while let Some(rest @ [_, ..]) = head.get(at..) {
        let need = match protocol.frame(rest) {
            Framing::Pdu(len) if len <= rest.len() => {
                at += len;
                continue;
            }
            Framing::Pdu(need) | Framing::NeedAtLeast(need) => need,
            Framing::Desync => return Probe::No,
        };
        return Probe::NeedAtLeast(at + need);
    }
    yes
}
