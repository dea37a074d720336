//! Streams of IT protocols that begin with a binary header.

use super::Answer::{Is, Until};
use super::{Answer, Heads, Recognised, either};
use crate::{ParseError, Reader};

/// Below every version that is called TLS.
static SSL_3: Recognised = Recognised::version("tls", "0.3");
static TLS_1_0: Recognised = Recognised::version("tls", "1.0");
static TLS_1_1: Recognised = Recognised::version("tls", "1.1");
static TLS_1_2: Recognised = Recognised::version("tls", "1.2");
static TLS_1_3: Recognised = Recognised::version("tls", "1.3");
/// No version was seen: the server's hello tells it.
static TLS: Recognised = Recognised::new("tls");
static SMB_1: Recognised = Recognised::version("smb", "1");
static SMB_2: Recognised = Recognised::version("smb", "2");
static SMB_3: Recognised = Recognised::version("smb", "3");
static SMB: Recognised = Recognised::new("smb");
static NBSS: Recognised = Recognised::new("nbss");
static TELNET: Recognised = Recognised::new("telnet");
static MQTT: Recognised = Recognised::new("mqtt");
static MSRPC: Recognised = Recognised::new("msrpc");

fn tls_version(number: u16) -> Option<&'static Recognised> {
    Some(match number {
        0x0300 => &SSL_3,
        0x0301 => &TLS_1_0,
        // The versions of DTLS count down from 0xFEFF, which is TLS 1.1.
        0x0302 | 0xFEFF => &TLS_1_1,
        0x0303 | 0xFEFD => &TLS_1_2,
        0x0304 | 0xFEFC => &TLS_1_3,
        _ => return None,
    })
}

/// RFC 8446: what the server chose is the version. A session whose start was not captured is known by its records.
pub(super) fn tls(heads: &Heads<'_>) -> Option<Answer> {
    if let Some(chosen) = heads.iter().find_map(|head| server_hello(head).ok().flatten()) {
        return Some(Is(chosen));
    }
    either(heads, |head| {
        let hello = matches!(head, [0x16, 3, 0..=4, _, _, 1, 0, _, _, 3, 0..=4, ..]);
        (hello || are_records(head)).then_some(Until(&TLS))
    })
}

/// Records from end to end, two at least.
fn are_records(mut head: &[u8]) -> bool {
    let mut records = 0;
    while let [kind @ 0x14..=0x17, 3, 1..=3, high, low, rest @ ..] = head {
        let len = usize::from(u16::from_be_bytes([*high, *low]));
        // Protection adds at most 2048 bytes to a record of 2^14 (RFC 5246, 6.2.3).
        let fits = match kind {
            0x14 => len == 1,
            0x15 => len >= 2,
            _ => (4..=(1 << 14) + 2048).contains(&len),
        };
        let Some(next) = rest.get(len..).filter(|_| fits) else { return false };
        records += 1;
        head = next;
    }
    head.is_empty() && records >= 2
}

/// The version of a server's hello; the extension `supported_versions` (43) says more than the field.
fn server_hello(head: &[u8]) -> Result<Option<&'static Recognised>, ParseError> {
    let mut r = Reader::new(head);
    let [0x16, 3, 0..=4] = r.array::<3>("record header")? else { return Ok(None) };
    let len = r.be16("record length")?;
    // The record may go on in a segment that is not there yet; the version stands before that.
    let mut record = Reader::new(r.rest().get(..usize::from(len)).unwrap_or(r.rest()));
    if record.u8("handshake type")? != 2 {
        return Ok(None);
    }
    record.bytes("handshake length", 3)?;
    hello_version(&mut record)
}

fn hello_version(r: &mut Reader<'_>) -> Result<Option<&'static Recognised>, ParseError> {
    let field = r.be16("version")?;
    let Some(said) = tls_version(field) else { return Ok(None) };
    r.bytes("random", 32)?;
    let session = r.u8("session id length")?;
    r.bytes("session id", session.into())?;
    r.bytes("cipher suite and compression", 3)?;
    let Ok(mut left) = r.be16("extensions length") else { return Ok(Some(said)) };
    while left >= 4 {
        let (Ok(kind), Ok(len)) = (r.be16("extension type"), r.be16("extension length")) else { break };
        let Ok(value) = r.bytes("extension", len.into()) else { break };
        if let (43, [high, low]) = (kind, value) {
            return Ok(tls_version(u16::from_be_bytes([*high, *low])));
        }
        left = left.saturating_sub(4).saturating_sub(len);
    }
    Ok(Some(said))
}

/// RFC 6347 and RFC 9147: handshake, epoch 0, and the hello of either side.
pub(super) fn dtls(heads: &Heads<'_>) -> Option<Answer> {
    let hello = |head: &&[u8]| -> Option<u8> {
        match head {
            [0x16, 0xFE, 0xFD..=0xFF, 0, 0, _, _, _, _, _, _, _, _, kind @ 1..=3, ..] => Some(*kind),
            _ => None,
        }
    };
    let chosen = heads.iter().filter(|head| hello(head) == Some(2)).find_map(|head| {
        let mut r = Reader::new(head);
        r.bytes("record and handshake header", 25).ok()?;
        hello_version(&mut r).ok().flatten()
    });
    match chosen {
        Some(version) => Some(Is(version)),
        None => heads.iter().any(|head| hello(head).is_some()).then_some(Until(&TLS)),
    }
}

/// [MS-SMB] and [MS-SMB2] behind the four bytes of RFC 1002; which dialect it is, the server's negotiate reply says.
pub(super) fn smb(heads: &Heads<'_>) -> Option<Answer> {
    let messages = || heads.iter().filter_map(|head| smb_message(head));
    // The dialect stands behind the header of 64 bytes, two of the structure size and two of the security mode.
    let dialect = messages().find_map(|(kind, rest)| {
        let is_reply = rest.get(12)? & 1 == 1;
        let negotiates = kind == 0xFE && rest.get(8..10) == Some(&[0, 0]);
        (is_reply && negotiates).then_some(u16::from_le_bytes(*rest.get(64..66)?.first_chunk()?))
    });
    match dialect {
        Some(0x0300..=0x03FF) => return Some(Is(&SMB_3)),
        Some(0x0202 | 0x0210) => return Some(Is(&SMB_2)),
        Some(_) => return Some(Is(&SMB)),
        None => {}
    }
    // An old negotiation may be answered with the new protocol, so one side alone does not settle it.
    let kinds: Vec<u8> = messages().map(|(kind, _)| kind).collect();
    match kinds.as_slice() {
        [0xFF, 0xFF] => Some(Is(&SMB_1)),
        [_, ..] => Some(Until(&SMB)),
        // A session request of RFC 1002 holds two encoded names of 34 bytes.
        [] => either(heads, |head| matches!(head, [0x81, 0, 0, 68, 32, ..]).then_some(Is(&NBSS))),
    }
}

/// Which of the two protocols, and what stands behind its name.
fn smb_message(head: &[u8]) -> Option<(u8, &[u8])> {
    match head {
        [0, _, _, _, kind @ (0xFE | 0xFF), b'S', b'M', b'B', rest @ ..] => Some((*kind, rest)),
        _ => None,
    }
}

/// RFC 854: commands of negotiation, two at least.
pub(super) fn telnet(heads: &Heads<'_>) -> Option<Answer> {
    either(heads, |head| {
        matches!(head, [0xFF, 0xFB..=0xFE, 0..=49, 0xFF, 0xFA..=0xFE, 0..=49, ..]).then_some(Is(&TELNET))
    })
}

/// CONNECT, MQTT 3.1 to 5.0, section 3.1.
pub(super) fn mqtt(heads: &Heads<'_>) -> Option<Answer> {
    either(heads, |head| {
        let mut r = Reader::new(head);
        if r.u8("packet type").ok()? != 0x10 {
            return None;
        }
        // The remaining length: seven bits a byte, four bytes at most.
        (0..4).try_fold((), |(), _| (r.u8("remaining length").ok()? >= 0x80).then_some(()));
        let known = r.rest().starts_with(b"\0\x04MQTT") || r.rest().starts_with(b"\0\x06MQIsdp\x03");
        known.then_some(Is(&MQTT))
    })
}

/// C706, 12.6.3: version 5.0 or 5.1, a bind or its answer first, little-endian and ASCII, no authentication data larger
/// than the fragment.
pub(super) fn msrpc(heads: &Heads<'_>) -> Option<Answer> {
    either(heads, |head| match head {
        [5, 0 | 1, 11..=16, flags, 0x10, 0, 0, 0, low, high, ..]
            if flags & 3 != 0 && u16::from_le_bytes([*low, *high]) >= 16 =>
        {
            Some(Is(&MSRPC))
        }
        _ => None,
    })
}
