//! Function, sub-function and exception codes: newtypes that keep every value, names and classes from the tables.

use std::{borrow::Cow, sync::LazyLock};

use crate::{Class, OperationName, table};

/// Modbus function code. MODBUS Application Protocol V1.1b3, sections 5 and 6.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct FunctionCode(pub(super) u8);

impl FunctionCode {
    pub(super) const READ_COILS: Self = Self(1);
    pub(super) const READ_DISCRETE_INPUTS: Self = Self(2);
    pub(super) const READ_HOLDING_REGISTERS: Self = Self(3);
    pub(super) const READ_INPUT_REGISTERS: Self = Self(4);
    pub(super) const WRITE_SINGLE_COIL: Self = Self(5);
    pub(super) const WRITE_SINGLE_REGISTER: Self = Self(6);
    pub(super) const READ_EXCEPTION_STATUS: Self = Self(7);
    pub(super) const DIAGNOSTICS: Self = Self(8);
    pub(super) const GET_COMM_EVENT_COUNTER: Self = Self(11);
    pub(super) const GET_COMM_EVENT_LOG: Self = Self(12);
    pub(super) const WRITE_MULTIPLE_COILS: Self = Self(15);
    pub(super) const WRITE_MULTIPLE_REGISTERS: Self = Self(16);
    pub(super) const REPORT_SERVER_ID: Self = Self(17);
    pub(super) const READ_FILE_RECORD: Self = Self(20);
    pub(super) const WRITE_FILE_RECORD: Self = Self(21);
    pub(super) const MASK_WRITE_REGISTER: Self = Self(22);
    pub(super) const READ_WRITE_MULTIPLE_REGISTERS: Self = Self(23);
    pub(super) const READ_FIFO_QUEUE: Self = Self(24);
    pub(super) const ENCAPSULATED_INTERFACE: Self = Self(43);
    /// Schneider's UMAS. Unofficial: plc4x `umas.mspec`.
    pub(super) const UMAS: Self = Self(90);

    /// Bit 7 set: the reply is an exception (section 7).
    pub(super) fn is_exception(self) -> bool {
        self.0 & 0x80 != 0
    }

    /// The function that was asked, of a reply that may be an exception.
    pub(super) fn asked(self) -> Self {
        Self(self.0 & 0x7f)
    }
}

/// MEI type of Read Device Identification, the sub-function of function 43. Section 6.21.
pub(super) const MEI_DEVICE_ID: u8 = 14;

/// Diagnostics sub-function Force Listen Only Mode, which is never answered. Section 6.8.1.
pub(super) const FORCE_LISTEN_ONLY: u16 = 4;

/// A function with its sub-function, if it has one: what an operation is called.
///
/// Function in bits 0..8, sub-function in bits 8..24, bit 24 set when there is a sub-function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct OperationCode(u32);

impl OperationCode {
    const HAS_SUB: u32 = 1 << 24;

    /// A function without a sub-function.
    pub(super) fn plain(function: FunctionCode) -> Self {
        Self(u32::from(function.0))
    }

    /// Diagnostics sub-function, MEI type or UMAS code.
    pub(super) fn sub(function: FunctionCode, sub: u16) -> Self {
        Self(Self::HAS_SUB | u32::from(sub) << 8 | u32::from(function.0))
    }

    /// As observations carry it.
    pub(super) fn to_u64(self) -> u64 {
        self.0.into()
    }

    fn function(self) -> FunctionCode {
        let [.., function] = self.0.to_be_bytes();
        FunctionCode(function)
    }

    fn sub_function(self) -> Option<u16> {
        let [_, high, low, _] = self.0.to_be_bytes();
        (self.0 & Self::HAS_SUB != 0).then_some(u16::from_be_bytes([high, low]))
    }

    /// The class of the operation. What no table lists is unknown, never a read.
    #[inline]
    pub(super) fn class(self) -> Class {
        let tables = &*TABLES;
        match self.0 & Self::HAS_SUB {
            0 => tables.classes.get(usize::from(self.function().0)).copied().unwrap_or(Class::Unknown),
            _ => tables.entry(self).map_or(Class::Unknown, |entry| entry.class),
        }
    }

    fn text(self) -> String {
        let function = self.function().0;
        match self.sub_function() {
            None => function.to_string(),
            Some(sub) if self.function() == FunctionCode::UMAS => format!("{function}/0x{sub:02X}"),
            Some(sub) => format!("{function}/{sub}"),
        }
    }

    fn name(self) -> &'static str {
        if let Some(entry) = TABLES.entry(self) {
            return &entry.name;
        }
        match (self.function(), self.sub_function()) {
            (FunctionCode::DIAGNOSTICS, Some(_)) => "Diagnostics (reserved sub-function)",
            (FunctionCode::DIAGNOSTICS, None) => "Diagnostics",
            (FunctionCode::ENCAPSULATED_INTERFACE, Some(_)) => "Encapsulated Interface Transport (reserved MEI type)",
            (FunctionCode::ENCAPSULATED_INTERFACE, None) => "Encapsulated Interface Transport",
            (FunctionCode::UMAS, _) => "UMAS (unknown code)",
            (FunctionCode(0), _) => "Not a function code",
            (FunctionCode(128..), _) => "Reserved for exceptions",
            _ => "Unassigned function code",
        }
    }
}

/// The text and name of an operation code that a session observed.
pub(super) fn operation(code: u64) -> OperationName {
    // Only 25 bits are ever set by this module; anything else is no code of ours and named like an unknown one.
    let code = OperationCode(u32::try_from(code).unwrap_or_default());
    OperationName { code: code.text(), name: Cow::Borrowed(code.name()) }
}

/// Every operation that the tables name.
pub(super) fn operations() -> Vec<(String, String, Class)> {
    TABLES.rows.iter().map(|(code, entry)| (code.text(), entry.name.clone(), entry.class)).collect()
}

/// Whether section 7 lists this exception code, or the older editions do (7, Negative Acknowledge).
pub(super) fn is_exception_code(code: u8) -> bool {
    TABLES.exceptions.contains(&code) || code == 7
}

struct Entry {
    name: String,
    class: Class,
}

struct Tables {
    /// In the order of the tables, for listing.
    rows: Vec<(OperationCode, Entry)>,
    /// Position in `rows` by function, for those without a sub-function.
    functions: [Option<u16>; 256],
    /// Class by function, for those without a sub-function: what every PDU asks for.
    classes: [Class; 256],
    exceptions: Vec<u8>,
}

impl Tables {
    #[inline]
    fn entry(&self, code: OperationCode) -> Option<&Entry> {
        if code.sub_function().is_some() {
            return self.rows.iter().find(|(row, _)| *row == code).map(|(_, entry)| entry);
        }
        let row = (*self.functions.get(usize::from(code.function().0))?)?;
        self.rows.get(usize::from(row)).map(|(_, entry)| entry)
    }
}

static TABLES: LazyLock<Tables> = LazyLock::new(|| {
    let mut rows = Vec::new();
    let (mut functions, mut classes) = ([None; 256], [Class::Unknown; 256]);
    let number = |text: &str| table::number(text).and_then(|n| u8::try_from(n).ok());
    for record in table::records(include_str!("ops_modbus.csv")) {
        let [function, sub, name, class, ..] = record.as_slice() else { continue };
        let Some(function) = number(function) else { continue };
        let entry = Entry { name: name.clone(), class: Class::parse(class).unwrap_or(Class::Unknown) };
        if let Some(sub) = number(sub) {
            rows.push((OperationCode::sub(FunctionCode(function), sub.into()), entry));
            continue;
        }
        // The table names the two user-defined ranges of section 5 at their first code.
        let last = match function {
            65 => 72,
            100 => 110,
            _ => function,
        };
        for (row, class) in functions.iter_mut().zip(&mut classes).take(usize::from(last) + 1).skip(function.into()) {
            (*row, *class) = (u16::try_from(rows.len()).ok(), entry.class);
        }
        rows.push((OperationCode::plain(FunctionCode(function)), entry));
    }
    for record in table::records(include_str!("ops_umas.csv")) {
        let [code, name, class, ..] = record.as_slice() else { continue };
        // Rows without a class are the reply marks.
        if let (Some(code), Some(class)) = (number(code), Class::parse(class)) {
            rows.push((OperationCode::sub(FunctionCode::UMAS, code.into()), Entry { name: name.clone(), class }));
        }
    }
    let exceptions =
        table::records(include_str!("modbus_exceptions.csv")).filter_map(|record| number(record.first()?)).collect();
    Tables { rows, functions, classes, exceptions }
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_have_text_name_and_class() {
        let (plain, sub) = (OperationCode::plain, OperationCode::sub);
        for (code, text, name, class) in [
            (plain(FunctionCode(3)), "3", "Read Holding Registers", Class::Read),
            (plain(FunctionCode(23)), "23", "Read/Write Multiple Registers", Class::Write),
            (sub(FunctionCode(8), 0), "8/0", "Return Query Data", Class::Diagnostic),
            (sub(FunctionCode(8), 1), "8/1", "Restart Communications Option", Class::Restart),
            (sub(FunctionCode(8), 4), "8/4", "Force Listen Only Mode", Class::Mode),
            (sub(FunctionCode(8), 300), "8/300", "Diagnostics (reserved sub-function)", Class::Unknown),
            (plain(FunctionCode(8)), "8", "Diagnostics", Class::Unknown),
            (sub(FunctionCode(43), 14), "43/14", "Read Device Identification", Class::Discovery),
            (sub(FunctionCode(43), 9), "43/9", "Encapsulated Interface Transport (reserved MEI type)", Class::Unknown),
            (plain(FunctionCode(66)), "66", "User defined 65-72", Class::Unknown),
            (plain(FunctionCode(73)), "73", "Unassigned function code", Class::Unknown),
            (plain(FunctionCode(110)), "110", "User defined 100-110", Class::Unknown),
            (plain(FunctionCode(125)), "125", "Firmware replacement", Class::Firmware),
            (sub(FunctionCode(90), 0x41), "90/0x41", "STOP_PLC", Class::Mode),
            (sub(FunctionCode(90), 0x0a), "90/0x0A", "REPEAT", Class::Diagnostic),
            (sub(FunctionCode(90), 0x99), "90/0x99", "UMAS (unknown code)", Class::Unknown),
            (plain(FunctionCode(90)), "90", "UMAS / Unity", Class::Unknown),
            (plain(FunctionCode(0)), "0", "Not a function code", Class::Unknown),
            (plain(FunctionCode(200)), "200", "Reserved for exceptions", Class::Unknown),
        ] {
            let got = operation(code.to_u64());
            assert_eq!((got.code.as_str(), got.name.as_ref(), code.class()), (text, name, class));
        }
    }

    #[test]
    fn every_row_of_the_tables_is_read() {
        let rows = |csv| table::records(csv).count();
        // Two rows of the UMAS table are reply marks, no operations.
        let want = rows(include_str!("ops_modbus.csv")) + rows(include_str!("ops_umas.csv")) - 2;
        assert_eq!(TABLES.rows.len(), want);
        assert_eq!(TABLES.exceptions, [1, 2, 3, 4, 5, 6, 8, 10, 11]);
    }
}
