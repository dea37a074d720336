use crate::{ParseError, Reader};

/// DER tags that certificates use. ITU-T X.690, 8.1.2; the constructed bit is part of the value.
pub(super) mod tag {
    pub(in super::super) const INTEGER: u8 = 0x02;
    pub(in super::super) const BIT_STRING: u8 = 0x03;
    pub(in super::super) const OCTET_STRING: u8 = 0x04;
    pub(in super::super) const OID: u8 = 0x06;
    pub(in super::super) const UTC_TIME: u8 = 0x17;
    pub(in super::super) const GENERALIZED_TIME: u8 = 0x18;
    pub(in super::super) const BMP_STRING: u8 = 0x1e;
    pub(in super::super) const SEQUENCE: u8 = 0x30;
    pub(in super::super) const SET: u8 = 0x31;
}

/// One element: its tag and its contents. DER: ITU-T X.690, 10.1.
#[derive(Clone, Copy, Debug)]
pub(super) struct Element<'a> {
    /// Identifier octet; multi-byte tags do not occur in certificates and are refused.
    pub(super) tag: u8,
    /// The contents octets.
    pub(super) contents: Reader<'a>,
    /// The element as a whole: identifier, length and contents.
    pub(super) whole: &'a [u8],
}

/// Reads the next element.
pub(super) fn element<'a>(r: &mut Reader<'a>) -> Result<Element<'a>, ParseError> {
    let start = *r;
    let tag = r.u8("DER tag")?;
    if tag & 0x1f == 0x1f {
        return Err(ParseError { item: "DER tag of one byte", at: start.at(), need: 1, have: 1 });
    }
    let length = match r.u8("DER length")? {
        short @ 0..=0x7f => usize::from(short),
        0x81 => usize::from(r.u8("DER length")?),
        0x82 => usize::from(r.be16("DER length")?),
        // Longer ones, and the indefinite form that DER forbids: no certificate of 64 KiB is worth reading.
        _ => return Err(ParseError { item: "DER length of at most two bytes", at: start.at(), need: 2, have: 2 }),
    };
    let contents = r.sub("DER contents", length)?;
    let len = r.at().saturating_sub(start.at());
    Ok(Element { tag, contents, whole: start.rest().get(..len).unwrap_or_default() })
}

/// Reads the next element, which must have this tag, and gives its contents.
pub(super) fn expect<'a>(r: &mut Reader<'a>, tag: u8, item: &'static str) -> Result<Reader<'a>, ParseError> {
    let at = r.at();
    let element = element(r)?;
    if element.tag == tag { Ok(element.contents) } else { Err(ParseError { item, at, need: 1, have: 0 }) }
}

/// Skips the next element when it has this tag, and gives its contents.
pub(super) fn optional<'a>(r: &mut Reader<'a>, tag: u8) -> Result<Option<Reader<'a>>, ParseError> {
    if r.rest().first() == Some(&tag) { Ok(Some(element(r)?.contents)) } else { Ok(None) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testkit::hex;

    #[test]
    fn lengths() {
        for (case, bytes, want) in [
            ("short form", "02 01 05", Some((tag::INTEGER, 1))),
            ("one length byte", "04 81 03 010203", Some((tag::OCTET_STRING, 3))),
            ("two length bytes", "30 82 0002 0500", Some((tag::SEQUENCE, 2))),
            ("contents missing", "02 05 01", None),
            ("indefinite", "30 80 0000", None),
            ("four length bytes", "30 84 00000001 00", None),
            ("long tag", "1f 81 01 00", None),
            ("nothing", "", None),
        ] {
            let bytes = hex(bytes);
            let got = element(&mut Reader::new(&bytes)).ok();
            assert_eq!(got.map(|e| (e.tag, e.contents.rest().len())), want, "{case}");
        }
    }
}
