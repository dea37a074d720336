//! Positive replies: whether they keep to the specification, and what they say of who sent them.
//! MODBUS Application Protocol V1.1b3, section 6.

use super::{
    code::{FunctionCode, MEI_DEVICE_ID, OperationCode},
    identity,
    request::REFERENCE_TYPE,
    wire::{Adu, Notes},
};
use crate::{Outcome, ParseError, Reader};

/// UMAS reply mark: done. Unofficial: plc4x `umas.mspec`.
pub(super) const UMAS_OK: u8 = 0xfe;
/// UMAS reply mark: refused. Unofficial: plc4x `umas.mspec`.
pub(super) const UMAS_ERROR: u8 = 0xfd;

/// The operation that a reply alone shows: functions 8 and 43 repeat their sub-function, UMAS does not.
pub(super) fn code(adu: &Adu<'_>) -> OperationCode {
    let (function, mut r) = (adu.function, adu.data);
    let sub = match function {
        FunctionCode::DIAGNOSTICS => r.be16("sub-function").ok(),
        FunctionCode::ENCAPSULATED_INTERFACE => r.u8("MEI type").ok().map(u16::from),
        _ => None,
    };
    sub.map_or(OperationCode::plain(function.asked()), |sub| OperationCode::sub(function, sub))
}

/// Reads a reply that is no exception. `asked`: the code of its request, if that was seen.
#[inline]
pub(super) fn read(adu: &Adu<'_>, asked: Option<OperationCode>, notes: &mut Notes<'_>) -> Outcome {
    let mut outcome = Outcome::Answered;
    if let Err(error) = fill(adu, asked, &mut outcome, notes) {
        notes.short(error);
    }
    outcome
}

#[inline]
fn fill(
    adu: &Adu<'_>,
    asked: Option<OperationCode>,
    outcome: &mut Outcome,
    notes: &mut Notes<'_>,
) -> Result<(), ParseError> {
    let mut r = adu.data;
    match adu.function {
        FunctionCode::READ_COILS | FunctionCode::READ_DISCRETE_INPUTS => {
            counted(&mut r, notes)?;
        }
        FunctionCode::READ_HOLDING_REGISTERS
        | FunctionCode::READ_INPUT_REGISTERS
        | FunctionCode::READ_WRITE_MULTIPLE_REGISTERS => {
            let at = r.at();
            let values = counted(&mut r, notes)?;
            notes.expect(values.rest().len() % 2 == 0 || notes.cut, "byte count of registers is odd", at);
        }
        FunctionCode::WRITE_SINGLE_COIL
        | FunctionCode::WRITE_SINGLE_REGISTER
        | FunctionCode::WRITE_MULTIPLE_COILS
        | FunctionCode::WRITE_MULTIPLE_REGISTERS
        | FunctionCode::GET_COMM_EVENT_COUNTER => {
            r.be32("address and value, or status and count")?;
        }
        FunctionCode::READ_EXCEPTION_STATUS => {
            r.u8("exception status")?;
        }
        FunctionCode::GET_COMM_EVENT_LOG | FunctionCode::WRITE_FILE_RECORD => {
            counted(&mut r, notes)?;
        }
        FunctionCode::REPORT_SERVER_ID => {
            let id = counted(&mut r, notes)?;
            identity::server_id(id.rest(), adu.unit, notes);
        }
        FunctionCode::READ_FILE_RECORD => {
            let mut groups = counted(&mut r, notes)?;
            while !groups.is_empty() {
                let (at, length) = (groups.at(), groups.u8("file response length")?);
                // The length counts the reference type and the records.
                let mut group = groups.sub("file response", length.into())?;
                let reference = group.u8("reference type")?;
                notes.expect(reference == REFERENCE_TYPE, "reference type is not 6", at.saturating_add(1));
            }
        }
        FunctionCode::MASK_WRITE_REGISTER => {
            r.bytes("reference address and masks", 6)?;
        }
        FunctionCode::READ_FIFO_QUEUE => {
            let (at, count) = (r.at(), usize::from(r.be16("byte count")?));
            notes.expect(count == r.rest().len() || notes.cut, "byte count does not match the bytes", at);
            let (at, registers) = (r.at(), usize::from(r.be16("FIFO count")?));
            notes.expect(registers <= 31, "FIFO count is above 31", at);
            r.bytes("FIFO values", registers.saturating_mul(2))?;
        }
        FunctionCode::ENCAPSULATED_INTERFACE => {
            if r.u8("MEI type")? == MEI_DEVICE_ID {
                return identity::device_id(r, adu.unit, notes);
            }
            return Ok(());
        }
        FunctionCode::UMAS => {
            r.u8("UMAS session")?;
            let (at, mark) = (r.at(), r.u8("UMAS reply mark")?);
            notes.expect(matches!(mark, UMAS_OK | UMAS_ERROR), "UMAS reply is neither 0xFE nor 0xFD", at);
            if mark == UMAS_ERROR {
                *outcome = Outcome::Refused(r.u8("UMAS error").unwrap_or_default().into());
            } else if mark == UMAS_OK {
                identity::umas_reply(asked, r, adu.unit, notes);
            }
            return Ok(());
        }
        // Diagnostics echo what they like; the rest have no agreed layout.
        _ => return Ok(()),
    }
    notes.end(&r);
    Ok(())
}

/// A byte count and so many bytes.
#[inline]
fn counted<'a>(r: &mut Reader<'a>, notes: &Notes<'_>) -> Result<Reader<'a>, ParseError> {
    let count = usize::from(r.u8("byte count")?);
    // What the capture cut off is read as far as it goes.
    let have = if notes.cut { count.min(r.rest().len()) } else { count };
    r.sub("counted bytes", have)
}
