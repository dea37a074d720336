//! PCCC commands inside CIP (object class 0x67): the older Rockwell controllers.
//!
//! DF1 Protocol and Command Set Reference Manual (Rockwell publication 1770-6.5.16), chapters 6 and 7; the wrapping:
//! Logix 5000 Data Access (1756-PM020), "PCCC Commands".

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::LazyLock;

use super::code::service;
use crate::{Class, ParseError, Reader, table};

/// Who asks, as told in front of every command of Execute_PCCC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Requestor {
    pub(super) vendor: u16,
    pub(super) serial: u32,
}

/// A command or a reply. Little-endian.
#[derive(Clone, Copy, Debug)]
pub(super) struct Message<'a> {
    pub(super) requestor: Option<Requestor>,
    /// Without the reply bit 6.
    pub(super) command: u8,
    /// Low byte: STS; second byte: EXT STS, when STS says that there is one.
    pub(super) status: u16,
    /// Function and data of a command, data of a reply.
    pub(super) body: Reader<'a>,
}

/// STS 0xF0: the reason is in EXT STS.
const EXTENDED: u8 = 0xF0;

impl<'a> Message<'a> {
    /// Reads what a PCCC service carries, in a request or a reply.
    ///
    /// # Errors
    /// [`ParseError`] when it ends before the transaction number.
    pub(super) fn read(service: u8, mut r: Reader<'a>) -> Result<Self, ParseError> {
        let requestor = if service & 0x7F == service::EXECUTE_DH_PLUS {
            // Link, node and a control byte, of the destination and of the source.
            r.bytes("DH+ header", 8)?;
            None
        } else {
            // The length counts itself.
            let length = usize::from(r.u8("requestor id length")?).saturating_sub(1);
            let mut id = r.sub("requestor id", length)?;
            match (id.le16("requestor vendor"), id.le32("requestor serial number")) {
                (Ok(vendor), Ok(serial)) => Some(Requestor { vendor, serial }),
                _ => None,
            }
        };
        let command = r.u8("PCCC command")?;
        let mut status = u16::from(r.u8("PCCC status")?);
        r.le16("PCCC transaction")?;
        if command & 0x40 != 0 && status == EXTENDED.into() {
            status |= r.u8("PCCC extended status").map_or(0, u16::from) << 8;
        }
        Ok(Self { requestor, command: command & !0x40, status, body: r })
    }

    /// Commands that name a function; the others are one function each.
    pub(super) fn function(&mut self) -> Option<u8> {
        if matches!(self.command, 0x06 | 0x07 | 0x0F) { self.body.u8("PCCC function").ok() } else { None }
    }

    /// The data table address of a typed logical read or write, without the byte count in front.
    pub(super) fn address(mut self, function: Option<u8>) -> Option<&'a [u8]> {
        let fields = match (self.command, function?) {
            (0x0F, 0xA1 | 0xA9) => 3,
            (0x0F, 0xA2 | 0xAA | 0xAB) => 4,
            _ => return None,
        };
        self.body.u8("byte count").ok()?;
        let start = self.body.rest();
        let mut end = Reader::new(start);
        for field in 0..fields {
            // The file type is always one byte; the others grow to two behind 0xFF.
            if end.u8("address field").ok()? == 0xFF && field != 1 {
                end.le16("long address field").ok()?;
            }
        }
        start.get(..end.at())
    }
}

/// A data table address as its users write it: `N7:0`, `T4:2.1`.
pub(super) fn address(bytes: &[u8]) -> Option<String> {
    let mut r = Reader::new(bytes);
    let mut number = |item| match r.u8(item) {
        Ok(0xFF) => r.le16(item).ok(),
        number => number.ok().map(u16::from),
    };
    let file = number("file number")?;
    let kind = number("file type")?;
    let element = number("element")?;
    let sub = number("sub-element").filter(|sub| *sub != 0).map_or(String::new(), |sub| format!(".{sub}"));
    let letter = match kind {
        0x84 => "S",
        0x85 => "B",
        0x86 => "T",
        0x87 => "C",
        0x88 => "R",
        0x89 => "N",
        0x8A => "F",
        0x8B => "O",
        0x8C => "I",
        0x8D => "ST",
        0x8E => "A",
        0x91 => "L",
        _ => return Some(format!("{kind:#04x}/{file}:{element}{sub}")),
    };
    Some(format!("{letter}{file}:{element}{sub}"))
}

/// The processor's catalogue number in an answer to Diagnostic status, if it has the layout of the SLC 500 and
/// MicroLogix families: extender 0xEE, extended interface and processor types, series, then 11 characters.
pub(super) fn catalogue_number(mut answer: Reader<'_>) -> Option<&[u8]> {
    let [_mode, extender, _interface, _processor, _series] = answer.array("diagnostic status").ok()?;
    if extender != 0xEE {
        return None;
    }
    answer.bytes("catalogue number", 11).ok()
}

/// `pccc/0x0f/0xa2`.
pub(super) fn code(command: u8, function: Option<u8>) -> String {
    function.map_or(format!("pccc/{command:#04x}"), |function| format!("pccc/{command:#04x}/{function:#04x}"))
}

/// The command's name from the table, or a plain description.
pub(super) fn name(command: u8, function: Option<u8>) -> Cow<'static, str> {
    match (function.and_then(|function| COMMANDS.get(&(command, function))), function) {
        (Some((name, _)), _) => Cow::Borrowed(name),
        (None, None) => Cow::Owned(format!("PCCC command {command:#04x}")),
        (None, Some(function)) => Cow::Owned(format!("PCCC command {command:#04x} function {function:#04x}")),
    }
}

/// What kind of operation a command is.
pub(super) fn kind(command: u8, function: Option<u8>) -> Class {
    let index = usize::from(command) << 8 | usize::from(function.unwrap_or(0));
    function.and_then(|_| CLASSES.get(index).copied()).unwrap_or(Class::Unknown)
}

/// Code, name and class of all commands that have a name.
pub(super) fn operations() -> Vec<(String, String, Class)> {
    let mut rows: Vec<_> =
        COMMANDS.iter().map(|((c, f), (name, class))| (code(*c, Some(*f)), name.clone(), *class)).collect();
    rows.sort_unstable();
    rows
}

static COMMANDS: LazyLock<HashMap<(u8, u8), (String, Class)>> = LazyLock::new(|| {
    let number = |text: &str| table::number(text).and_then(|number| u8::try_from(number).ok());
    table::records(include_str!("ops_pccc.csv"))
        .filter_map(|row| {
            let [command, function, name, class] = row.as_slice() else { return None };
            let class = Class::parse(class).unwrap_or(Class::Unknown);
            Some(((number(command)?, number(function)?), (name.clone(), class)))
        })
        .collect()
});

/// By command and function; commands go to 0x0F.
static CLASSES: LazyLock<Vec<Class>> = LazyLock::new(|| {
    (0..=0x0FFF_u16)
        .map(|index| {
            let [command, function] = index.to_be_bytes();
            COMMANDS.get(&(command, function)).map_or(Class::Unknown, |(_, class)| *class)
        })
        .collect()
});

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testkit::hex;

    #[test]
    fn messages() {
        for (case, service, bytes, want) in [
            ("read integers", 0x4B, "07 4D00 E0312B3D 0F 00 0500 A2 04 07 89 00 00", "0x0f 0xa2 read status 0 N7:0"),
            (
                "far element",
                0x4B,
                "07 4D00 E0312B3D 0F 00 0500 AA 04 07 89 FF0001 00 AABB",
                "0x0f 0xaa write status 0 N7:256",
            ),
            ("timer word", 0x4B, "07 4D00 E0312B3D 0F 00 0500 A2 02 04 86 02 01", "0x0f 0xa2 read status 0 T4:2.1"),
            ("behind DH+", 0x4C, "0000 02 00 0000 05 00 0F 00 5C00 A2 14 07 89 00 00", "0x0f 0xa2 read status 0 N7:0"),
            ("set mode", 0x4B, "07 4D00 E0312B3D 0F 00 0500 80 06", "0x0f 0x80 mode status 0 "),
            ("diagnostic status", 0x4B, "07 4D00 E0312B3D 06 00 0500 03", "0x06 0x03 discovery status 0 "),
            ("without function", 0x4B, "07 4D00 E0312B3D 01 00 0500 1000 02", "0x01 - unknown status 0 "),
            ("refused with reason", 0xCB, "07 4D00 E0312B3D 4F F0 0500 0B", "0x0f - unknown status 3056 "),
        ] {
            let bytes = hex(bytes);
            let mut message = Message::read(service, Reader::new(&bytes)).unwrap();
            let function = message.function();
            let address = message.address(function).and_then(address).unwrap_or_default();
            let function_text = function.map_or("-".to_owned(), |f| format!("{f:#04x}"));
            let class = kind(message.command, function).text();
            let got = format!("{:#04x} {function_text} {class} status {} {address}", message.command, message.status);
            assert_eq!(got, want, "{case}");
        }
    }
}
