use std::borrow::Cow;
use std::fmt::Write;

use crate::{Limits, ParseError, Reader};

/// A cursor over the OPC UA binary encoding of the built-in types. Little-endian.
/// OPC 10000-6, 5.2 "OPC UA Binary".
///
/// Bounded by construction: nesting is counted down, and an array can not be longer than the bytes that are left.
#[derive(Clone, Copy, Debug)]
pub(super) struct Decoder<'a> {
    /// The bytes.
    pub(super) r: Reader<'a>,
    nesting: usize,
}

/// A node of an address space. OPC 10000-6, 5.2.2.9 "NodeId".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NodeId<'a> {
    /// Index into the server's NamespaceArray.
    pub(super) namespace: u16,
    /// The identifier in that namespace.
    pub(super) id: Identifier<'a>,
}

/// The identifier part of a [`NodeId`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Identifier<'a> {
    Numeric(u32),
    Text(&'a [u8]),
    Guid([u8; 16]),
    Opaque(&'a [u8]),
}

impl NodeId<'_> {
    /// The identifier when it is a number of namespace 0, the one of the OPC Foundation.
    pub(super) fn standard(&self) -> Option<u32> {
        match self {
            Self { namespace: 0, id: Identifier::Numeric(id) } => Some(*id),
            _ => None,
        }
    }

    /// Appends the text form `ns=2;s=Line1.Speed`; namespace 0 is left out. OPC 10000-6, 5.3.1.10.
    /// Text and opaque identifiers are kept up to `limit` bytes.
    pub(super) fn write(&self, limit: usize, out: &mut String) {
        if self.namespace != 0 {
            out.push_str("ns=");
            decimal(u32::from(self.namespace), out);
            out.push(';');
        }
        match self.id {
            Identifier::Numeric(id) => {
                out.push_str("i=");
                decimal(id, out);
            }
            Identifier::Text(bytes) => {
                out.push_str("s=");
                out.push_str(&text(bytes, limit));
            }
            Identifier::Guid(bytes) => {
                out.push_str("g=");
                guid(bytes, out);
            }
            Identifier::Opaque(bytes) => {
                out.push_str("b=");
                base64(bytes.get(..limit).unwrap_or(bytes), out);
            }
        }
    }
}

/// `write!` goes through the formatting machinery; node ids are written for each item of each poll.
fn decimal(mut number: u32, out: &mut String) {
    let mut digits = [0u8; 10];
    let mut count = 0;
    for slot in digits.iter_mut().rev() {
        *slot = b'0' + (number % 10) as u8;
        number /= 10;
        count += 1;
        if number == 0 {
            break;
        }
    }
    for digit in digits.iter().skip(digits.len() - count) {
        out.push(char::from(*digit));
    }
}

/// OPC 10000-6, 5.2.2.6: the first three parts of a Guid are little-endian numbers, the rest is bytes.
fn guid(bytes: [u8; 16], out: &mut String) {
    const ORDER: [usize; 16] = [3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15];
    for (at, from) in ORDER.into_iter().enumerate() {
        if matches!(at, 4 | 6 | 8 | 10) {
            out.push('-');
        }
        // Writing to a String cannot fail.
        let _ = write!(out, "{:02x}", bytes[from]);
    }
}

/// RFC 4648, section 4.
fn base64(bytes: &[u8], out: &mut String) {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for group in bytes.chunks(3) {
        let bits = group.iter().fold(0u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - group.len()));
        for sextet in 0..4 {
            let symbol = ALPHABET[(bits >> (18 - 6 * sextet) & 0x3f) as usize];
            out.push(if sextet <= group.len() { char::from(symbol) } else { '=' });
        }
    }
}

/// Wire text, lossily UTF-8, at most `limit` bytes of it, cut between characters.
pub(super) fn text(bytes: &[u8], limit: usize) -> Cow<'_, str> {
    let mut end = bytes.len().min(limit);
    while end < bytes.len() && end > 0 && bytes.get(end).is_some_and(|byte| byte & 0xc0 == 0x80) {
        end -= 1;
    }
    let kept = bytes.get(..end).unwrap_or(bytes);
    // Checking alone is faster than checking while ready to replace.
    std::str::from_utf8(kept).map_or_else(|_| String::from_utf8_lossy(kept), Cow::Borrowed)
}

/// 100-nanosecond ticks since 1601-01-01 UTC as RFC 3339 in whole seconds. OPC 10000-6, 5.2.2.5 "DateTime".
/// 0 and below is "not known", and there is no year 10000.
pub(super) fn date_time(ticks: i64) -> Option<String> {
    let seconds = ticks / 10_000_000;
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    if ticks <= 0 || days >= 3_067_671 {
        return None;
    }
    // Days since 0000-03-01, in the calendar that begins its years in March: leap days come last.
    let days = days + 584_694;
    let era = days / 146_097;
    let of_era = days % 146_097;
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * march + 2) / 5 + 1;
    let month = if march < 10 { march + 3 } else { march - 9 };
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    Some(format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z"))
}

impl<'a> Decoder<'a> {
    /// A decoder at the first byte.
    pub(super) fn new(bytes: &'a [u8], limits: &Limits) -> Self {
        Self::of(Reader::new(bytes), limits)
    }

    /// A decoder of what is left in a reader, which keeps its offsets.
    pub(super) fn of(r: Reader<'a>, limits: &Limits) -> Self {
        Self { r, nesting: limits.nesting }
    }

    /// A decoder of a body inside this one: of an extension object.
    pub(super) fn inside<'b>(&self, body: &'b [u8]) -> Decoder<'b> {
        Decoder { r: Reader::new(body), nesting: self.nesting }
    }

    /// Skips `len` bytes.
    #[inline]
    pub(super) fn skip(&mut self, item: &'static str, len: usize) -> Result<(), ParseError> {
        self.r.bytes(item, len).map(|_| ())
    }

    /// A String or ByteString; null (length -1) reads as empty. OPC 10000-6, 5.2.2.4 and 5.2.2.7.
    #[inline]
    pub(super) fn string(&mut self, item: &'static str) -> Result<&'a [u8], ParseError> {
        let length = self.r.le32i(item)?;
        // "Decoders shall treat any negative length as null."
        self.r.bytes(item, usize::try_from(length).unwrap_or(0))
    }

    /// The number of elements of an array; null (-1) is none. OPC 10000-6, 5.2.5 "Arrays".
    /// Every element takes a byte or more, so a count above the bytes left is refused before any work is done.
    #[inline]
    pub(super) fn count(&mut self, item: &'static str) -> Result<usize, ParseError> {
        let at = self.r.at();
        let count = usize::try_from(self.r.le32i(item)?).unwrap_or(0);
        let have = self.r.rest().len();
        if count > have { Err(ParseError { item, at, need: count, have }) } else { Ok(count) }
    }

    /// Skips an array, each element with `skip`.
    pub(super) fn array(
        &mut self,
        item: &'static str,
        mut skip: impl FnMut(&mut Self) -> Result<(), ParseError>,
    ) -> Result<(), ParseError> {
        for _ in 0..self.count(item)? {
            skip(self)?;
        }
        Ok(())
    }

    /// Skips an array of Strings or ByteStrings.
    pub(super) fn strings(&mut self, item: &'static str) -> Result<(), ParseError> {
        self.array(item, |d| d.string(item).map(|_| ()))
    }

    /// OPC 10000-6, 5.2.2.9, all encodings.
    #[inline]
    pub(super) fn node_id(&mut self) -> Result<NodeId<'a>, ParseError> {
        // The compact forms first: type ids, tokens and most nodes are one of them.
        match *self.r.rest() {
            [0, id, ..] => {
                self.skip("node id", 2)?;
                Ok(NodeId { namespace: 0, id: Identifier::Numeric(id.into()) })
            }
            [1, namespace, low, high, ..] => {
                self.skip("node id", 4)?;
                let id = u16::from_le_bytes([low, high]);
                Ok(NodeId { namespace: namespace.into(), id: Identifier::Numeric(id.into()) })
            }
            _ => {
                let encoding = self.r.u8("node id")?;
                self.node_id_of(encoding)
            }
        }
    }

    fn node_id_of(&mut self, encoding: u8) -> Result<NodeId<'a>, ParseError> {
        let r = &mut self.r;
        let (namespace, id) = match encoding {
            0 => (0, Identifier::Numeric(r.u8("node id")?.into())),
            1 => (r.u8("node id namespace")?.into(), Identifier::Numeric(r.le16("node id")?.into())),
            2 => (r.le16("node id namespace")?, Identifier::Numeric(r.le32("node id")?)),
            3 => (r.le16("node id namespace")?, Identifier::Text(self.string("text node id")?)),
            4 => (r.le16("node id namespace")?, Identifier::Guid(r.array("guid node id")?)),
            5 => (r.le16("node id namespace")?, Identifier::Opaque(self.string("opaque node id")?)),
            _ => return Err(self.invalid("node id encoding above 5")),
        };
        Ok(NodeId { namespace, id })
    }

    /// A node id that may name another server; namespace URI and server index are skipped. OPC 10000-6, 5.2.2.10.
    pub(super) fn expanded_node_id(&mut self) -> Result<NodeId<'a>, ParseError> {
        let encoding = self.r.u8("expanded node id")?;
        let id = self.node_id_of(encoding & 0x3f)?;
        if encoding & 0x80 != 0 {
            self.string("namespace URI")?;
        }
        if encoding & 0x40 != 0 {
            self.r.le32("server index")?;
        }
        Ok(id)
    }

    /// OPC 10000-6, 5.2.2.13.
    pub(super) fn qualified_name(&mut self) -> Result<(), ParseError> {
        self.r.le16("qualified name namespace")?;
        self.string("qualified name").map(|_| ())
    }

    /// The text of a LocalizedText, without its locale. OPC 10000-6, 5.2.2.14.
    pub(super) fn localized_text(&mut self) -> Result<&'a [u8], ParseError> {
        let mask = self.r.u8("localized text mask")?;
        if mask & 0x01 != 0 {
            self.string("locale")?;
        }
        if mask & 0x02 != 0 { self.string("localized text") } else { Ok(&[]) }
    }

    /// Skips an ExtensionObject that is hardly ever there: the additional header.
    #[inline]
    pub(super) fn additional_header(&mut self) -> Result<(), ParseError> {
        if self.r.rest().starts_with(&[0, 0, 0]) {
            return self.skip("additional header", 3);
        }
        self.extension_object().map(|_| ())
    }

    /// Type and body of an ExtensionObject; one without a body has an empty one. OPC 10000-6, 5.2.2.15.
    pub(super) fn extension_object(&mut self) -> Result<(NodeId<'a>, &'a [u8]), ParseError> {
        let id = self.node_id()?;
        let body = match self.r.u8("extension object encoding")? {
            0 => &[][..],
            1 | 2 => self.string("extension object body")?,
            _ => return Err(self.invalid("extension object encoding above 2")),
        };
        Ok((id, body))
    }

    /// Skips a DiagnosticInfo with all that is inside it. OPC 10000-6, 5.2.2.12.
    #[inline]
    pub(super) fn diagnostic_info(&mut self) -> Result<(), ParseError> {
        if self.r.rest().first() == Some(&0) {
            return self.skip("diagnostic info", 1);
        }
        // The inner info comes last: nesting is a loop, and its depth is bounded all the same.
        for _ in 0..=self.nesting {
            let mask = self.r.u8("diagnostic info mask")?;
            if mask & 0x80 != 0 {
                return Err(self.invalid("diagnostic info mask with bit 7"));
            }
            // Symbolic id, namespace, localized text and locale: indexes into the string table.
            self.skip("diagnostic info", 4 * (mask & 0x0f).count_ones() as usize)?;
            if mask & 0x10 != 0 {
                self.string("diagnostic additional info")?;
            }
            if mask & 0x20 != 0 {
                self.r.le32("diagnostic inner status")?;
            }
            if mask & 0x40 == 0 {
                return Ok(());
            }
        }
        Err(self.invalid("diagnostic infos nested too deep"))
    }

    /// Skips a DataValue. Its status; Good when it has none. OPC 10000-6, 5.2.2.17.
    pub(super) fn data_value(&mut self) -> Result<u32, ParseError> {
        let mask = self.r.u8("data value mask")?;
        if mask & 0xc0 != 0 {
            return Err(self.invalid("data value mask with reserved bits"));
        }
        if mask & 0x01 != 0 {
            self.variant()?;
        }
        let status = if mask & 0x02 != 0 { self.r.le32("data value status")? } else { 0 };
        let stamps = 8 * usize::from(mask & 0x04 != 0) + 8 * usize::from(mask & 0x08 != 0);
        let picoseconds = 2 * usize::from(mask & 0x10 != 0) + 2 * usize::from(mask & 0x20 != 0);
        self.skip("data value time stamps", stamps + picoseconds)?;
        Ok(status)
    }

    /// Skips a Variant. OPC 10000-6, 5.2.2.16.
    pub(super) fn variant(&mut self) -> Result<(), ParseError> {
        let mask = self.r.u8("variant mask")?;
        let kind = mask & 0x3f;
        if mask & 0x80 == 0 {
            return self.value(kind);
        }
        let count = self.count("variant array")?;
        match fixed_size(kind) {
            Some(size) => self.skip("variant array", count.saturating_mul(size))?,
            None => {
                for _ in 0..count {
                    self.value(kind)?;
                }
            }
        }
        if mask & 0x40 != 0 {
            let dimensions = self.count("variant dimensions")?;
            self.skip("variant dimensions", dimensions.saturating_mul(4))?;
        }
        Ok(())
    }

    /// Skips one value of a built-in type. OPC 10000-6, 5.1.2, table 1.
    fn value(&mut self, kind: u8) -> Result<(), ParseError> {
        if let Some(size) = fixed_size(kind) {
            return self.skip("variant value", size);
        }
        match kind {
            // 26 to 31 are reserved: "decoders shall assume that they are ByteStrings".
            12 | 15 | 16 | 26..=31 => self.string("variant string").map(|_| ()),
            17 => self.node_id().map(|_| ()),
            18 => self.expanded_node_id().map(|_| ()),
            20 => self.qualified_name(),
            21 => self.localized_text().map(|_| ()),
            22 => self.extension_object().map(|_| ()),
            23 => self.nested(|d| d.data_value().map(|_| ())),
            24 => self.nested(Self::variant),
            25 => self.diagnostic_info(),
            _ => Err(self.invalid("variant type above 31")),
        }
    }

    fn nested(&mut self, read: impl FnOnce(&mut Self) -> Result<(), ParseError>) -> Result<(), ParseError> {
        let Some(less) = self.nesting.checked_sub(1) else { return Err(self.invalid("variants nested too deep")) };
        self.nesting = less;
        read(self)?;
        self.nesting = less + 1;
        Ok(())
    }

    /// A value that the encoding does not allow, at the byte before the cursor.
    pub(super) fn invalid(&self, item: &'static str) -> ParseError {
        ParseError { item, at: self.r.at().saturating_sub(1), need: 0, have: 0 }
    }
}

/// Bytes of a value of a built-in type, when they are always as many.
fn fixed_size(kind: u8) -> Option<usize> {
    Some(match kind {
        0 => 0,
        1..=3 => 1,
        4 | 5 => 2,
        6 | 7 | 10 | 19 => 4,
        8 | 9 | 11 | 13 => 8,
        14 => 16,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testkit::hex;

    /// Whether all of the bytes are one well-formed value.
    fn check<T>(bytes: &str, read: impl Fn(&mut Decoder<'_>) -> Result<T, ParseError>) -> bool {
        let bytes = hex(bytes);
        let mut d = Decoder::new(&bytes, &Limits::default());
        read(&mut d).is_ok() && d.r.is_empty()
    }

    #[test]
    fn node_ids() {
        for (case, bytes, want) in [
            ("two bytes", "00 54", "i=84"),
            ("four bytes", "01 02 d208", "ns=2;i=2258"),
            ("numeric", "02 0300 40420f00", "ns=3;i=1000000"),
            ("text", "03 0200 05000000 53 70 65 65 64", "ns=2;s=Speed"),
            ("text null", "03 0100 ffffffff", "ns=1;s="),
            ("guid", "04 0100 912b9672 75fa e6 4a 8d28b404dc7dafaf", "ns=1;g=72962b91-fa75-4ae6-8d28-b404dc7dafaf"),
            ("opaque", "05 0000 04000000 4d5a9000", "b=TVqQAA=="),
            ("encoding 6", "06 0000", "error"),
            ("cut", "02 0300 40", "error"),
        ] {
            let bytes = hex(bytes);
            let mut got = String::new();
            match Decoder::new(&bytes, &Limits::default()).node_id() {
                Ok(id) => id.write(256, &mut got),
                Err(_) => got.push_str("error"),
            }
            assert_eq!(got, want, "{case}");
        }
    }

    #[test]
    fn variants() {
        let deep = |levels: usize| format!("{} 01 01", "18".repeat(levels));
        for (case, bytes, want) in [
            ("null", "00", true),
            ("double", "0b 0000000000000840", true),
            ("null string", "0c ffffffff", true),
            ("null array", "86 ffffffff", true),
            ("array of two", "86 02000000 01000000 02000000", true),
            ("matrix", "c3 04000000 01020304 02000000 02000000 02000000", true),
            ("array of variants", "98 02000000 00 01 01", true),
            ("array longer than the message", "86 ffffff7f 00", false),
            ("array of nothing, very long", "80 ffffff7f", false),
            ("reserved type as byte string", "1f 01000000 aa", true),
            ("type 32", "20", false),
            ("eight levels", deep(8).as_str(), true),
            ("nine levels", deep(9).as_str(), false),
            ("ten thousand levels", deep(10_000).as_str(), false),
            ("data value in a variant", "17 0d 01 01 0000000000000000 0000000000000000", true),
            ("extension object, no body", "16 00 00 00", true),
            ("extension object, null body", "16 00 00 01 ffffffff", true),
        ] {
            assert_eq!(check(bytes, |d| d.variant()), want, "{case}");
        }
    }

    /// Null tables and deep infos took production sensors down elsewhere.
    #[test]
    fn diagnostic_infos() {
        let deep = |levels: usize| format!("{} 00", "40".repeat(levels));
        for (case, bytes, want) in [
            ("empty", "00", true),
            ("all fields", "7f 01000000 02000000 03000000 04000000 02000000 6869 00000080 00", true),
            ("null additional info", "10 ffffffff", true),
            ("eight levels", deep(8).as_str(), true),
            ("nine levels", deep(9).as_str(), false),
            ("ten thousand levels", deep(10_000).as_str(), false),
            ("bit 7", "80", false),
            ("cut", "01 0000", false),
        ] {
            assert_eq!(check(bytes, |d| d.diagnostic_info()), want, "{case}");
        }
        assert!(check("ffffffff", |d| d.strings("string table")), "null string table");
        assert!(check("02000000 ffffffff 00000000", |d| d.strings("string table")), "null strings");
        assert!(!check("00000080 00", |d| d.strings("string table")), "negative length is null, a byte is left");
    }

    #[test]
    fn dates_and_texts() {
        for (ticks, want) in [
            (0, None),
            (i64::MIN, None),
            (i64::MAX, None),
            (10_000_000, Some("1601-01-01T00:00:01Z")),
            (116_444_736_000_000_000, Some("1970-01-01T00:00:00Z")),
            (125_963_423_990_000_000, Some("2000-02-29T23:59:59Z")),
            (132_539_328_000_000_000, Some("2021-01-01T00:00:00Z")),
        ] {
            assert_eq!(date_time(ticks).as_deref(), want, "{ticks}");
        }
        assert_eq!(
            (text(b"abc", 2), text("aé".as_bytes(), 2), text(b"\xff", 9)),
            ("ab".into(), "a".into(), "\u{fffd}".into())
        );
    }
}
