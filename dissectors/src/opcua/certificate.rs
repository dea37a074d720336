use super::der::{self, tag};
use super::sha1::sha1;
use crate::{ParseError, Reader};

/// Names of one kind that are kept of a certificate.
const NAMES: usize = 4;

/// What an application instance certificate says. X.509 v3 in DER: RFC 5280, 4.1; OPC 10000-6, 6.2.2.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Certificate {
    /// Subject as RFC 4514 writes it: most specific first, `CN=...,O=...`.
    pub(super) subject: String,
    /// Issuer, likewise. Equal to the subject: self-signed.
    pub(super) issuer: String,
    /// Start of validity, RFC 3339.
    pub(super) not_before: Option<String>,
    /// End of validity, RFC 3339.
    pub(super) not_after: Option<String>,
    /// Kind and size in bits of the public key: `rsa-2048`.
    pub(super) key: Option<String>,
    /// First URI of the subject alternative names: the ApplicationUri.
    pub(super) application_uri: Option<String>,
    /// DNS names of the subject alternative names.
    pub(super) hosts: Vec<String>,
    /// IP addresses of the subject alternative names.
    pub(super) addresses: Vec<std::net::IpAddr>,
    /// SHA-1 of the DER bytes, lower-case hex.
    pub(super) thumbprint: String,
}

impl Certificate {
    /// Reads the first certificate of `bytes`: a ByteString in OPC UA may hold a chain, the leaf first.
    ///
    /// # Errors
    /// [`ParseError`] when the parts up to the public key are not those of a certificate. Extensions that cannot be
    /// read are left out.
    pub(super) fn read(bytes: &[u8]) -> Result<Self, ParseError> {
        let mut r = Reader::new(bytes);
        let outer = der::element(&mut r)?;
        if outer.tag != tag::SEQUENCE {
            return Err(ParseError { item: "certificate", at: 0, need: 1, have: 0 });
        }
        let mut certificate = outer.contents;
        let mut tbs = der::expect(&mut certificate, tag::SEQUENCE, "certificate to be signed")?;
        der::optional(&mut tbs, 0xa0)?; // version
        der::expect(&mut tbs, tag::INTEGER, "certificate serial number")?;
        der::expect(&mut tbs, tag::SEQUENCE, "certificate signature algorithm")?;
        let issuer = name(der::expect(&mut tbs, tag::SEQUENCE, "certificate issuer")?)?;
        let mut validity = der::expect(&mut tbs, tag::SEQUENCE, "certificate validity")?;
        let not_before = time(&der::element(&mut validity)?);
        let not_after = time(&der::element(&mut validity)?);
        let subject = name(der::expect(&mut tbs, tag::SEQUENCE, "certificate subject")?)?;
        let key = key(der::expect(&mut tbs, tag::SEQUENCE, "certificate public key")?).ok();
        let thumbprint = sha1(outer.whole).iter().map(|byte| format!("{byte:02x}")).collect();
        let mut read =
            Self { subject, issuer, not_before, not_after, key: key.flatten(), thumbprint, ..Self::default() };
        // An extension that is out of order costs the names, not the certificate.
        let _ = read.extensions(tbs);
        Ok(read)
    }

    /// RFC 5280, 4.2: `[3] EXPLICIT SEQUENCE OF Extension`, of which 4.2.1.6 "Subject Alternative Name" is read.
    fn extensions(&mut self, mut tbs: Reader<'_>) -> Result<(), ParseError> {
        while !tbs.is_empty() {
            let part = der::element(&mut tbs)?;
            if part.tag != 0xa3 {
                continue;
            }
            let mut explicit = part.contents;
            let mut extensions = der::expect(&mut explicit, tag::SEQUENCE, "certificate extensions")?;
            while !extensions.is_empty() {
                let mut extension = der::expect(&mut extensions, tag::SEQUENCE, "certificate extension")?;
                let id = der::expect(&mut extension, tag::OID, "extension id")?;
                der::optional(&mut extension, 0x01)?; // critical
                let mut value = der::expect(&mut extension, tag::OCTET_STRING, "extension value")?;
                if id.rest() == [0x55, 0x1d, 0x11] {
                    self.alternative_names(der::expect(&mut value, tag::SEQUENCE, "alternative names")?)?;
                }
            }
        }
        Ok(())
    }

    fn alternative_names(&mut self, mut names: Reader<'_>) -> Result<(), ParseError> {
        while !names.is_empty() {
            let name = der::element(&mut names)?;
            let bytes = name.contents.rest();
            match name.tag {
                0x82 if self.hosts.len() < NAMES => self.hosts.push(String::from_utf8_lossy(bytes).into_owned()),
                0x86 if self.application_uri.is_none() => {
                    self.application_uri = Some(String::from_utf8_lossy(bytes).into_owned());
                }
                0x87 if self.addresses.len() < NAMES => {
                    let v4 = <[u8; 4]>::try_from(bytes).map(std::net::IpAddr::from);
                    let v6 = <[u8; 16]>::try_from(bytes).map(std::net::IpAddr::from);
                    self.addresses.extend(v4.or(v6));
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// A distinguished name as RFC 4514 writes it: the last part first.
fn name(mut sequence: Reader<'_>) -> Result<String, ParseError> {
    let mut parts = Vec::new();
    while !sequence.is_empty() {
        let mut set = der::expect(&mut sequence, tag::SET, "relative distinguished name")?;
        let mut part = String::new();
        while !set.is_empty() {
            let mut pair = der::expect(&mut set, tag::SEQUENCE, "attribute and value")?;
            let id = der::expect(&mut pair, tag::OID, "attribute type")?;
            let value = der::element(&mut pair)?;
            if !part.is_empty() {
                part.push('+');
            }
            part.push_str(&attribute(id.rest()));
            part.push('=');
            escape(&text(&value), &mut part);
        }
        parts.push(part);
    }
    parts.reverse();
    Ok(parts.join(","))
}

/// The short name of an attribute type (RFC 4514, 3; RFC 5280, appendix A.1), else its dotted number.
fn attribute(oid: &[u8]) -> std::borrow::Cow<'static, str> {
    let short = match oid {
        [0x55, 0x04, 0x03] => "CN",
        [0x55, 0x04, 0x05] => "serialNumber",
        [0x55, 0x04, 0x06] => "C",
        [0x55, 0x04, 0x07] => "L",
        [0x55, 0x04, 0x08] => "ST",
        [0x55, 0x04, 0x09] => "STREET",
        [0x55, 0x04, 0x0a] => "O",
        [0x55, 0x04, 0x0b] => "OU",
        [0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 0x01, 0x19] => "DC",
        [0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 0x01, 0x01] => "UID",
        [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x01] => "emailAddress",
        _ => return dotted(oid).into(),
    };
    short.into()
}

/// An object identifier in dotted form. ITU-T X.690, 8.19.
fn dotted(oid: &[u8]) -> String {
    let (mut arcs, mut arc): (Vec<String>, u64) = (Vec::new(), 0);
    for byte in oid {
        arc = (arc & (u64::MAX >> 7)) << 7 | u64::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            if arcs.is_empty() {
                let root = (arc / 40).min(2);
                arcs.push(root.to_string());
                arc -= root * 40;
            }
            arcs.push(arc.to_string());
            arc = 0;
        }
    }
    arcs.join(".")
}

fn text(value: &der::Element<'_>) -> String {
    let bytes = value.contents.rest();
    if value.tag == tag::BMP_STRING {
        let units = bytes.as_chunks::<2>().0.iter().map(|pair| u16::from_be_bytes(*pair));
        return char::decode_utf16(units).map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER)).collect();
    }
    // UTF8String, PrintableString and IA5String alike; the rare TeletexString is read as if it were UTF-8.
    String::from_utf8_lossy(bytes).into_owned()
}

/// RFC 4514, 2.4: what would end a value is escaped.
fn escape(value: &str, out: &mut String) {
    for (at, c) in value.char_indices() {
        let edge = c == ' ' && (at == 0 || at + 1 == value.len()) || c == '#' && at == 0;
        if edge || matches!(c, ',' | '+' | '"' | '\\' | '<' | '>' | ';') {
            out.push('\\');
        }
        out.push(c);
    }
}

/// UTCTime or GeneralizedTime as RFC 3339. RFC 5280, 4.1.2.5: always UTC, with seconds, years below 50 are 20xx.
fn time(value: &der::Element<'_>) -> Option<String> {
    let digits = std::str::from_utf8(value.contents.rest()).ok()?.strip_suffix('Z')?;
    let full = match value.tag {
        tag::UTC_TIME => format!("{}{digits}", if digits < "50" { "20" } else { "19" }),
        tag::GENERALIZED_TIME => digits.to_owned(),
        _ => return None,
    };
    if full.len() != 14 || !full.bytes().all(|c| c.is_ascii_digit()) {
        return None;
    }
    let part = |from: usize, to: usize| full.get(from..to).unwrap_or_default();
    let (date, clock) = ((part(0, 4), part(4, 6), part(6, 8)), (part(8, 10), part(10, 12), part(12, 14)));
    Some(format!("{}-{}-{}T{}:{}:{}Z", date.0, date.1, date.2, clock.0, clock.1, clock.2))
}

/// Kind and size of a SubjectPublicKeyInfo. RFC 3279, 2.3; curves: RFC 5480, RFC 5639, RFC 8410.
fn key(mut info: Reader<'_>) -> Result<Option<String>, ParseError> {
    let mut algorithm = der::expect(&mut info, tag::SEQUENCE, "key algorithm")?;
    let id = der::expect(&mut algorithm, tag::OID, "key algorithm id")?;
    Ok(match id.rest() {
        [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01] => {
            let mut bits = der::expect(&mut info, tag::BIT_STRING, "public key")?;
            bits.u8("unused bits")?;
            let mut pair = der::expect(&mut bits, tag::SEQUENCE, "RSA public key")?;
            let modulus = der::expect(&mut pair, tag::INTEGER, "RSA modulus")?.rest();
            let zeros = modulus.iter().take_while(|byte| **byte == 0).count();
            let first = modulus.get(zeros).map_or(0, |byte| byte.leading_zeros() as usize);
            Some(format!("rsa-{}", (modulus.len() - zeros).saturating_mul(8).saturating_sub(first)))
        }
        [0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01] => {
            let curve = der::expect(&mut algorithm, tag::OID, "curve")?;
            let bits = match curve.rest() {
                [0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07] => 256,
                [0x2b, 0x81, 0x04, 0x00, 0x22] => 384,
                [0x2b, 0x81, 0x04, 0x00, 0x23] => 521,
                [0x2b, 0x24, 0x03, 0x03, 0x02, 0x08, 0x01, 0x01, 0x07] => 256,
                [0x2b, 0x24, 0x03, 0x03, 0x02, 0x08, 0x01, 0x01, 0x0b] => 384,
                _ => return Ok(None),
            };
            Some(format!("ec-{bits}"))
        }
        [0x2b, 0x65, 0x70] => Some("ed25519-256".to_owned()),
        [0x2b, 0x65, 0x71] => Some("ed448-456".to_owned()),
        _ => None,
    })
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::testkit::hex;

    /// A self-signed certificate of a fictitious server, made for this test.
    pub(in super::super) const DER: &str = "
        308201e43082018ba0030201020214439fa131068e1bfc70505124fe3e68d6385f94d3300a06082a8648ce3d040302304531
        0b3009060355040613024445311e301c060355040a0c154578616d706c6520506c616e742c204c696e652031311630140603
        5504030c0d46696c6c6572205365727665723020170d3236313132313233303530375a180f32313236313032383233303530
        375a3045310b3009060355040613024445311e301c060355040a0c154578616d706c6520506c616e742c204c696e65203131
        16301406035504030c0d46696c6c6572205365727665723059301306072a8648ce3d020106082a8648ce3d03010703420004
        a464685cb5e45f54b4a2204f97cd5ec3c5d445608c9355efd64eed2a60ee1b17a0e5748922d9ce1124db5f545d4fdb940fa5
        44c7e1d6929ea62d0497dfae5498a357305530340603551d11042d302b861975726e3a66696c6c65723a6578616d706c653a
        736572766572820866696c6c65722d318704c0000207301d0603551d0e041604140bc95887dfb55ff311fada5628d30330b1
        b8b6b6300a06082a8648ce3d0403020347003044022073e3beefed00f4861ba0a8c6fed6b36eda74323bde48b7fbb33ad88e
        d6b2c31a022018c622472dec4b1c7b9ec67c285139d3ff24df45cd9774a617aea9c8135ad970";

    #[test]
    fn a_certificate() {
        let der = hex(DER);
        let read = Certificate::read(&der).unwrap();
        let subject = r"CN=Filler Server,O=Example Plant\, Line 1,C=DE".to_owned();
        let want = Certificate {
            issuer: subject.clone(),
            subject,
            not_before: Some("2026-11-21T23:05:07Z".to_owned()),
            not_after: Some("2126-10-28T23:05:07Z".to_owned()),
            key: Some("ec-256".to_owned()),
            application_uri: Some("urn:filler:example:server".to_owned()),
            hosts: vec!["filler-1".to_owned()],
            addresses: vec!["192.0.2.7".parse().unwrap()],
            thumbprint: "b10d764509c79b8a4ec69f3e7530214eb157408e".to_owned(),
        };
        assert_eq!(read, want);
        // The leaf of a chain, and a certificate that is cut anywhere: an error, or what could be read.
        assert_eq!(Certificate::read(&[der.as_slice(), &der].concat()).unwrap(), want);
        for len in 0..der.len() {
            assert!(Certificate::read(der.get(..len).unwrap()).is_err(), "{len} bytes");
        }
    }

    #[test]
    fn keys() {
        for (case, bytes, want) in [
            (
                "RSA, 16 bits, leading zero",
                "300d 0609 2a864886f70d010101 0500 030d 00 300a 0203 00ff01 0203 010001",
                Some("rsa-16"),
            ),
            ("P-384", "3010 0607 2a8648ce3d0201 0605 2b81040022 0300", Some("ec-384")),
            ("a curve that is not known", "300c 0607 2a8648ce3d0201 0601 01 0300", None),
            ("Ed25519", "3005 0603 2b6570 0301 00", Some("ed25519-256")),
            ("another algorithm", "3005 0603 2b0101 0301 00", None),
            ("cut", "30ff", None),
        ] {
            let bytes = hex(bytes);
            assert_eq!(key(Reader::new(&bytes)).ok().flatten().as_deref(), want, "{case}");
        }
    }

    #[test]
    fn names_are_escaped() {
        for (case, bytes, want) in [
            (
                "two values in one part",
                "3118 300a 0603 550403 0c03 612c62 300a 0603 55040a 0c03 202362",
                r"CN=a\,b+O=\ #b",
            ),
            ("UTF-16", "310d 300b 0603 550403 1e04 00c40062", "CN=\u{c4}b"),
            ("an unknown type", "310c 300a 0603 2a0304 0c03 616263", "1.2.3.4=abc"),
            ("nothing", "", ""),
        ] {
            let bytes = hex(bytes);
            assert_eq!(name(Reader::new(&bytes)).unwrap(), want, "{case}");
        }
    }
}
