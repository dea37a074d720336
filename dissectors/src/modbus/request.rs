//! Requests: what is asked, of which objects, and what its reply must look like.
//! MODBUS Application Protocol V1.1b3, section 6.

use super::{
    code::{FORCE_LISTEN_ONLY, FunctionCode, MEI_DEVICE_ID, OperationCode},
    wire::{Adu, Notes},
};
use crate::{Item, Object, ParseError, Reader};

/// Kind of file record reference that sections 6.14 and 6.15 allow.
pub(super) const REFERENCE_TYPE: u8 = 6;

/// One request, kept until its reply.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) code: OperationCode,
    pub(super) objects: Objects,
    pub(super) expect: Expect,
}

/// The objects of a request: no more than two ranges of a table, or file records. Small, since every request is kept.
#[derive(Debug, Default)]
pub(super) struct Objects {
    spans: [Option<Span>; 2],
    files: Option<Box<[FileRecord]>>,
}

/// Addresses of one table, both inclusive, as the protocol counts them: from 0.
#[derive(Clone, Copy, Debug)]
struct Span {
    table: Table,
    from: u16,
    to: u16,
}

/// The four tables of the data model. Section 4.3.
#[derive(Clone, Copy, Debug)]
enum Table {
    Coil,
    Discrete,
    Holding,
    Input,
}

impl Table {
    #[inline]
    fn space(self) -> &'static str {
        match self {
            Self::Coil => "coil",
            Self::Discrete => "discrete",
            Self::Holding => "holding",
            Self::Input => "input",
        }
    }
}

/// Records of one file, written `file:record+count`. A record is one 16-bit register.
#[derive(Clone, Copy, Debug)]
struct FileRecord {
    file: u16,
    record: u16,
    count: u16,
}

impl Objects {
    /// Calls `f` with the objects as observations carry them.
    #[inline]
    pub(super) fn with(&self, f: impl FnOnce(&[Object<'_>])) {
        match (self.spans, &self.files) {
            ([Some(only), None], _) => f(&[only.object()]),
            ([Some(first), Some(second)], _) => f(&[first.object(), second.object()]),
            ([None, _], None) => f(&[]),
            ([None, _], Some(files)) => with_files(files, f),
        }
    }
}

#[cold]
fn with_files(files: &[FileRecord], f: impl FnOnce(&[Object<'_>])) {
    let names: Vec<String> = files.iter().map(|r| format!("{}:{}+{}", r.file, r.record, r.count)).collect();
    let objects: Vec<Object<'_>> = names.iter().map(|name| Object { space: "file", item: Item::Name(name) }).collect();
    f(&objects);
}

impl Span {
    /// `quantity` addresses from `from` on, which was read at `at`: none when the quantity is 0, those that exist when it
    /// goes past the last.
    #[inline]
    fn new(table: Table, from: u16, quantity: u16, at: usize, notes: &mut Notes<'_>) -> Option<Self> {
        let to = from.checked_add(quantity.checked_sub(1)?);
        notes.expect(to.is_some(), "range goes past address 65535", at);
        Some(Self { table, from, to: to.unwrap_or(u16::MAX) })
    }

    /// One address.
    #[inline]
    fn one(table: Table, r: &mut Reader<'_>) -> Result<Option<Self>, ParseError> {
        let address = r.be16("address")?;
        Ok(Some(Self { table, from: address, to: address }))
    }

    /// A starting address and a quantity of 1 to `most`.
    #[inline]
    fn range(
        table: Table,
        most: u16,
        r: &mut Reader<'_>,
        notes: &mut Notes<'_>,
    ) -> Result<(Option<Self>, u16), ParseError> {
        let at = r.at();
        let [f0, f1, q0, q1] = r.array("starting address and quantity")?;
        let (from, quantity) = (u16::from_be_bytes([f0, f1]), u16::from_be_bytes([q0, q1]));
        notes.expect((1..=most).contains(&quantity), "quantity is out of range", at.saturating_add(2));
        Ok((Self::new(table, from, quantity, at, notes), quantity))
    }

    #[inline]
    fn object(self) -> Object<'static> {
        Object { space: self.table.space(), item: Item::Range(self.from.into(), self.to.into()) }
    }
}

/// What a positive reply must start with, after its function code.
#[derive(Clone, Copy, Debug)]
pub(super) enum Expect {
    /// No reply is sent at all.
    Silence,
    /// The request does not tell.
    Anything,
    /// This byte: a byte count, an MEI type.
    First(u8),
    /// The first bytes of the request.
    Echo2([u8; 2]),
    /// The first bytes of the request.
    Echo4([u8; 4]),
    /// The first bytes of the request.
    Echo6([u8; 6]),
}

impl Expect {
    // A request that ends early can demand no more than it shows.

    #[inline]
    fn echo2(data: Reader<'_>) -> Self {
        data.rest().first_chunk().map_or(Self::Anything, |bytes| Self::Echo2(*bytes))
    }

    #[inline]
    fn echo4(data: Reader<'_>) -> Self {
        data.rest().first_chunk().map_or(Self::Anything, |bytes| Self::Echo4(*bytes))
    }

    #[inline]
    fn echo6(data: Reader<'_>) -> Self {
        data.rest().first_chunk().map_or(Self::Anything, |bytes| Self::Echo6(*bytes))
    }

    /// A byte count; one that no byte can say was asked for out of specification.
    #[inline]
    fn count(bytes: u16) -> Self {
        u8::try_from(bytes).map_or(Self::Anything, Self::First)
    }

    /// Whether a positive reply with this data answers the request; missing bytes are given the benefit of the doubt.
    #[inline]
    pub(super) fn fits(&self, data: &[u8]) -> bool {
        match self {
            Self::Silence => false,
            Self::Anything => true,
            Self::First(want) => data.first().is_none_or(|got| got == want),
            Self::Echo2(want) => data.first_chunk().is_none_or(|got| got == want),
            Self::Echo4(want) => data.first_chunk().is_none_or(|got| got == want),
            Self::Echo6(want) => data.first_chunk().is_none_or(|got| got == want),
        }
    }
}

impl Request {
    /// Reads the request of an ADU. What is out of specification is noted; what could be read is there.
    #[inline]
    pub(super) fn read(adu: &Adu<'_>, notes: &mut Notes<'_>) -> Self {
        let code = OperationCode::plain(adu.function);
        let mut request = Self { code, objects: Objects::default(), expect: Expect::Anything };
        if let Err(error) = request.fill(adu.function, adu.data, notes) {
            notes.short(error);
        }
        request
    }

    #[inline]
    fn fill(&mut self, function: FunctionCode, data: Reader<'_>, notes: &mut Notes<'_>) -> Result<(), ParseError> {
        let mut r = data;
        let [first, second] = &mut self.objects.spans;
        match function {
            FunctionCode::READ_COILS | FunctionCode::READ_DISCRETE_INPUTS => {
                let table = if function == FunctionCode::READ_COILS { Table::Coil } else { Table::Discrete };
                let (span, quantity) = Span::range(table, 2000, &mut r, notes)?;
                (*first, self.expect) = (span, Expect::count(quantity.div_ceil(8)));
            }
            FunctionCode::READ_HOLDING_REGISTERS | FunctionCode::READ_INPUT_REGISTERS => {
                let table =
                    if function == FunctionCode::READ_HOLDING_REGISTERS { Table::Holding } else { Table::Input };
                let (span, quantity) = Span::range(table, 125, &mut r, notes)?;
                (*first, self.expect) = (span, Expect::count(quantity.saturating_mul(2)));
            }
            FunctionCode::WRITE_SINGLE_COIL => {
                self.expect = Expect::echo4(data);
                *first = Span::one(Table::Coil, &mut r)?;
                let (at, value) = (r.at(), r.be16("output value")?);
                notes.expect(matches!(value, 0 | 0xff00), "coil value is neither 0x0000 nor 0xFF00", at);
            }
            FunctionCode::WRITE_SINGLE_REGISTER => {
                self.expect = Expect::echo4(data);
                *first = Span::one(Table::Holding, &mut r)?;
                r.be16("register value")?;
            }
            FunctionCode::READ_EXCEPTION_STATUS
            | FunctionCode::GET_COMM_EVENT_COUNTER
            | FunctionCode::GET_COMM_EVENT_LOG
            | FunctionCode::REPORT_SERVER_ID => {}
            FunctionCode::DIAGNOSTICS => {
                let sub = r.be16("sub-function")?;
                self.code = OperationCode::sub(function, sub);
                // "No response is returned" (section 6.8.1): the server goes mute.
                self.expect = if sub == FORCE_LISTEN_ONLY { Expect::Silence } else { Expect::echo2(data) };
                return diagnostic_data(sub, r, notes);
            }
            FunctionCode::WRITE_MULTIPLE_COILS => {
                self.expect = Expect::echo4(data);
                let (span, quantity) = Span::range(Table::Coil, 1968, &mut r, notes)?;
                *first = span;
                let bytes = quantity.div_ceil(8);
                written(bytes, "byte count does not match the quantity of coils", &mut r, notes)?;
            }
            FunctionCode::WRITE_MULTIPLE_REGISTERS => {
                self.expect = Expect::echo4(data);
                let (span, quantity) = Span::range(Table::Holding, 123, &mut r, notes)?;
                *first = span;
                written(quantity.saturating_mul(2), "byte count is not 2 x quantity", &mut r, notes)?;
            }
            FunctionCode::READ_FILE_RECORD | FunctionCode::WRITE_FILE_RECORD => {
                let mut files = Vec::new();
                let read = file_records(&mut files, function == FunctionCode::WRITE_FILE_RECORD, &mut r, notes);
                self.objects.files = (!files.is_empty()).then(|| files.into());
                read?;
            }
            FunctionCode::MASK_WRITE_REGISTER => {
                self.expect = Expect::echo6(data);
                *first = Span::one(Table::Holding, &mut r)?;
                r.be32("AND and OR mask")?;
            }
            FunctionCode::READ_WRITE_MULTIPLE_REGISTERS => {
                let (read, quantity) = Span::range(Table::Holding, 125, &mut r, notes)?;
                (*first, self.expect) = (read, Expect::count(quantity.saturating_mul(2)));
                let (write, quantity) = Span::range(Table::Holding, 121, &mut r, notes)?;
                // What it writes comes first: that is what the request is judged by.
                if write.is_some() {
                    (*first, *second) = (write, read);
                }
                written(quantity.saturating_mul(2), "byte count is not 2 x quantity", &mut r, notes)?;
            }
            FunctionCode::READ_FIFO_QUEUE => *first = Span::one(Table::Holding, &mut r)?,
            FunctionCode::ENCAPSULATED_INTERFACE => {
                let mei = r.u8("MEI type")?;
                self.code = OperationCode::sub(function, mei.into());
                self.expect = if mei == MEI_DEVICE_ID { Expect::echo2(data) } else { Expect::First(mei) };
                if mei != MEI_DEVICE_ID {
                    return Ok(());
                }
                let (at, code) = (r.at(), r.u8("read device id code")?);
                notes.expect((1..=4).contains(&code), "read device id code is not 1 to 4", at);
                r.u8("object id")?;
            }
            FunctionCode::UMAS => {
                // The session (pairing) byte, then the code. Unofficial: plc4x `umas.mspec`.
                r.u8("UMAS session")?;
                self.code = OperationCode::sub(function, r.u8("UMAS code")?.into());
                return Ok(());
            }
            FunctionCode(0) => {
                notes.anomaly("function code is 0", data.at().saturating_sub(1));
                return Ok(());
            }
            FunctionCode(0x80..) => {
                notes.anomaly("function code of an exception in a request", data.at().saturating_sub(1));
                return Ok(());
            }
            // Reserved, vendor's and user-defined functions: their data have no agreed layout.
            _ => return Ok(()),
        }
        notes.end(&r);
        Ok(())
    }
}

/// The byte count of a write, which should be `bytes`, and so many bytes of values.
#[inline]
fn written(bytes: u16, what: &'static str, r: &mut Reader<'_>, notes: &mut Notes<'_>) -> Result<(), ParseError> {
    let (at, count) = (r.at(), r.u8("byte count")?);
    notes.expect(u16::from(count) == bytes, what, at);
    r.bytes("values", count.into())?;
    Ok(())
}

/// The data field of a diagnostics request. Section 6.8.1.
#[inline(never)]
fn diagnostic_data(sub: u16, mut r: Reader<'_>, notes: &mut Notes<'_>) -> Result<(), ParseError> {
    // Return Query Data takes any data; what Modbus Plus and reserved sub-functions take is not public.
    if !matches!(sub, 1..=4 | 10..=18 | 20) {
        return Ok(());
    }
    let (at, value) = (r.at(), r.be16("data field")?);
    let allowed = match sub {
        1 => matches!(value, 0 | 0xff00),
        // A character and 00.
        3 => value & 0xff == 0,
        _ => value == 0,
    };
    notes.expect(allowed, "data field is not what the sub-function allows", at);
    notes.end(&r);
    Ok(())
}

/// The groups of a file record request: 7 bytes each, and the records themselves when they are written.
#[inline(never)]
fn file_records(
    files: &mut Vec<FileRecord>,
    written: bool,
    r: &mut Reader<'_>,
    notes: &mut Notes<'_>,
) -> Result<(), ParseError> {
    let (at, count) = (r.at(), r.u8("byte count")?);
    let counts = if written { 0x09..=0xfb } else { 0x07..=0xf5 };
    notes.expect(counts.contains(&count), "byte count is out of range", at);
    let have = r.rest().len();
    notes.expect(usize::from(count) <= have || notes.cut, "byte count goes past the end", at);
    let mut groups = r.sub("file record groups", have.min(count.into()))?;
    while !groups.is_empty() {
        let (at, reference) = (groups.at(), groups.u8("reference type")?);
        notes.expect(reference == REFERENCE_TYPE, "reference type is not 6", at);
        let (at, file) = (groups.at(), groups.be16("file number")?);
        notes.expect(file != 0, "file number is 0", at);
        let (at, record) = (groups.at(), groups.be16("record number")?);
        notes.expect(record <= 0x270f, "record number is above 9999", at);
        let count = groups.be16("record length")?;
        files.push(FileRecord { file, record, count });
        if written {
            groups.bytes("record data", usize::from(count).saturating_mul(2))?;
        }
    }
    Ok(())
}
