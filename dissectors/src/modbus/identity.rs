//! What devices say of themselves: Report Server ID, Read Device Identification, UMAS.

use std::{borrow::Cow, fmt::Write, sync::LazyLock};

use super::{
    code::{FunctionCode, OperationCode},
    wire::{Notes, UnitId},
};
use crate::{Attribute, Identity, Method, Observation, ParseError, Reader, attribute, table};

/// Runs of fewer printable bytes are more likely binary than text.
const SHORTEST_TEXT: usize = 3;

/// Tells an attribute of a unit, if there is a value; of a long one the start.
fn tell(unit: UnitId, attribute: Attribute, value: &str, notes: &mut Notes<'_>) {
    let end = (0..=value.len().min(notes.text)).rev().find(|end| value.is_char_boundary(*end));
    let kept = value.get(..end.unwrap_or_default()).unwrap_or_default();
    if !kept.is_empty() {
        notes.out.observe(Observation::Identity(Identity::told(unit.component(), attribute, kept)));
    }
}

/// Report Server ID: device-specific id, run indicator 00 or FF, additional data, in a layout of the device's own.
/// MODBUS Application Protocol V1.1b3, section 6.13.
#[inline(never)]
pub(super) fn server_id(data: &[u8], unit: UnitId, notes: &mut Notes<'_>) {
    let printable = |byte: &u8| matches!(byte, b' '..=b'~');
    let runs: Vec<Cow<'_, str>> = data
        .split(|byte| !printable(byte))
        .filter(|run| run.len() >= SHORTEST_TEXT)
        .map(text)
        .filter(|run| !run.is_empty())
        .collect();
    tell(unit, attribute::RAW_IDENTITY, &runs.join(" "), notes);
    // Servers with a longer id have their run indicator elsewhere: say only what the usual layout shows.
    match data.get(1) {
        Some(0x00) => tell(unit, attribute::STATUS, "run indicator off", notes),
        Some(0xff) => tell(unit, attribute::STATUS, "run indicator on", notes),
        _ => {}
    }
}

/// Read Device Identification, after the MEI type. A device that has more to say sets "more follows" and answers the
/// rest in the reply to a request for the next object: each reply stands for itself.
/// MODBUS Application Protocol V1.1b3, section 6.21.
#[inline(never)]
pub(super) fn device_id(mut r: Reader<'_>, unit: UnitId, notes: &mut Notes<'_>) -> Result<(), ParseError> {
    let (at, code) = (r.at(), r.u8("read device id code")?);
    notes.expect((1..=4).contains(&code), "read device id code is not 1 to 4", at);
    let (at, conformity) = (r.at(), r.u8("conformity level")?);
    notes.expect(matches!(conformity & 0x7f, 1..=3), "conformity level is not defined", at);
    let (at, more) = (r.at(), r.u8("more follows")?);
    notes.expect(matches!(more, 0 | 0xff), "more follows is neither 0x00 nor 0xFF", at);
    r.u8("next object id")?;
    let count = r.u8("number of objects")?;
    let has_model_name = objects(r, count).any(|object| matches!(object, Ok((MODEL_NAME, value)) if !value.is_empty()));
    for object in objects(r, count) {
        let (id, value) = object?;
        r.bytes("object", 2 + value.len())?;
        match DEVICE_ID_ATTRIBUTES.get(usize::from(id)).copied().flatten() {
            // The product code names the model, unless the device has a name for its model beside it.
            Some(attribute::MODEL) if id != MODEL_NAME && has_model_name => {
                tell(unit, attribute::PRODUCT_CODE, &text(value), notes);
            }
            Some(attribute) => tell(unit, attribute, &text(value), notes),
            None => tell(unit, attribute::RAW_IDENTITY, &raw(id, value), notes),
        }
    }
    notes.end(&r);
    Ok(())
}

/// ModelName.
const MODEL_NAME: u8 = 5;

/// The objects of a reply: id and value each.
fn objects(mut r: Reader<'_>, count: u8) -> impl Iterator<Item = Result<(u8, &[u8]), ParseError>> {
    let mut ended = false;
    (0..count).map_while(move |_| {
        let mut object = || {
            let (id, len) = (r.u8("object id")?, r.u8("object length")?);
            Ok((id, r.bytes("object value", len.into())?))
        };
        if ended {
            return None;
        }
        let object = object();
        ended = object.is_err();
        Some(object)
    })
}

/// Attribute by object id; the reserved and private objects have none.
static DEVICE_ID_ATTRIBUTES: LazyLock<Vec<Option<Attribute>>> = LazyLock::new(|| {
    table::records(include_str!("modbus_device_id.csv"))
        .map(|record| match record.last().map(String::as_str) {
            Some("vendor") => Some(attribute::VENDOR),
            Some("model / order number" | "model") => Some(attribute::MODEL),
            Some("firmware") => Some(attribute::FIRMWARE),
            Some("vendor url") => Some(attribute::URL),
            Some("product family") => Some(attribute::PRODUCT),
            Some("tag / application name") => Some(attribute::NAME),
            _ => None,
        })
        .take_while(Option::is_some)
        .collect()
});

/// An object that has no attribute: `0x80=text`, or hex when it is no text.
fn raw(id: u8, value: &[u8]) -> String {
    let mut raw = String::new();
    if value.is_empty() {
        return raw;
    }
    // Writing to a String cannot fail.
    let _ = write!(raw, "0x{id:02X}=");
    if value.iter().all(|byte| matches!(byte, b' '..=b'~')) {
        raw.push_str(&text(value));
    } else {
        for byte in value {
            let _ = write!(raw, "{byte:02x}");
        }
    }
    raw
}

/// Text from the wire without the blanks and NULs that pad it.
fn text(bytes: &[u8]) -> Cow<'_, str> {
    let padding = |byte: &u8| *byte == 0 || byte.is_ascii_whitespace();
    let start = bytes.iter().position(|byte| !padding(byte)).unwrap_or(bytes.len());
    let end = bytes.iter().rposition(|byte| !padding(byte)).map_or(start, |last| last + 1);
    String::from_utf8_lossy(bytes.get(start..end).unwrap_or_default())
}

/// What a UMAS request shows of who sent it: a reservation carries the name of the engineering host.
/// Unofficial: the layout is that of public captures (4 bytes of the client's, then a counted name).
#[inline]
pub(super) fn umas_request(code: OperationCode, r: Reader<'_>, notes: &mut Notes<'_>) {
    if code == umas(0x10) {
        umas_reservation(r, notes);
    }
}

#[cold]
fn umas_reservation(mut r: Reader<'_>, notes: &mut Notes<'_>) {
    let mut host = || {
        r.bytes("session, code, client", 6)?;
        let len = r.u8("host name length")?;
        r.bytes("host name", len.into())
    };
    let Ok::<_, ParseError>(host) = host() else { return };
    let client = UnitId(0);
    tell(client, attribute::HOSTNAME, &text(host), notes);
    notes.out.observe(Observation::Identity(Identity {
        method: Method::Behaviour,
        ..Identity::role(None, "engineering-workstation", 85, "UMAS reservation")
    }));
}

/// What a positive UMAS reply, after its mark, shows of who sent it; the reply alone does not say to what it answers.
pub(super) fn umas_reply(asked: Option<OperationCode>, r: Reader<'_>, unit: UnitId, notes: &mut Notes<'_>) {
    // A shorter or other layout is another firmware's: nothing is read then, and nothing is wrong.
    let _ = match asked {
        Some(code) if code == umas(0x02) => umas_id(r, unit, notes),
        Some(code) if code == umas(0x03) => umas_project(r, unit, notes),
        _ => Ok(()),
    };
}

fn umas(code: u16) -> OperationCode {
    OperationCode::sub(FunctionCode::UMAS, code)
}

/// READ_ID: range 2, ident 4, model 2, version 2, patch 2, internal version 2, hardware 2, crash code 4, unknown 2,
/// counted name of the CPU. Little-endian. Unofficial: plc4x `umas.mspec`.
fn umas_id(mut r: Reader<'_>, unit: UnitId, notes: &mut Notes<'_>) -> Result<(), ParseError> {
    r.bytes("range, ident, model", 8)?;
    let [minor, major] = r.array("version")?;
    r.bytes("patch, internal version, hardware, crash code, unknown", 12)?;
    let len = r.u8("name length")?;
    let name = text(r.bytes("name", len.into())?);
    if name.is_empty() || !name.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        return Ok(());
    }
    tell(unit, attribute::VENDOR, "Schneider Electric", notes);
    tell(unit, attribute::MODEL, &name, notes);
    // Two BCD bytes: 0x0270 is 2.70.
    if (major, minor) != (0, 0) {
        tell(unit, attribute::FIRMWARE, &format!("{major:x}.{minor:02x}"), notes);
    }
    notes.out.observe(Observation::Identity(Identity::role(unit.component(), "plc", 90, "UMAS READ_ID answer")));
    Ok(())
}

/// READ_PROJECT_INFO, sub-code 0: 38 bytes of versions and dates, then the counted name of the project, which ends the
/// reply. Unofficial: the layout is that of public captures.
fn umas_project(mut r: Reader<'_>, unit: UnitId, notes: &mut Notes<'_>) -> Result<(), ParseError> {
    r.bytes("versions and dates", 38)?;
    let len = r.u8("project name length")?;
    let name = r.bytes("project name", len.into())?;
    if r.is_empty() && text(name).bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        tell(unit, attribute::NAME, &text(name), notes);
    }
    Ok(())
}
