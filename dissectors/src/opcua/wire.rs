use crate::{ParseError, Reader};

/// Longest chunk that is accepted, in bytes. Buffers are negotiated in Hello and Acknowledge: 8 192 at least, 65 535
/// in practice, and no upper bound in the specification. A longer chunk would not fit the limit of a whole message.
pub(super) const MAX_CHUNK: usize = 1 << 20;

/// Bytes of the message header.
pub(super) const HEADER: usize = 8;

/// Message type. OPC 10000-6, 7.1.2.2 and 6.7.2.2; three ASCII characters on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MessageType {
    Hello,
    Acknowledge,
    Error,
    ReverseHello,
    OpenChannel,
    Message,
    CloseChannel,
}

/// Chunk flag: the fourth byte. OPC 10000-6, 6.7.2.2, IsFinal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Chunk {
    /// `F`: the last chunk of a message, or the only one.
    Final,
    /// `C`: more chunks follow.
    Intermediate,
    /// `A`: the sender gave the message up; the body is an error.
    Abort,
}

/// The message header. OPC 10000-6, 7.1.2.2 and 6.7.2.2: type, flag, size of the chunk with this header. Little-endian.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) kind: MessageType,
    pub(super) chunk: Chunk,
    /// Bytes of the whole chunk, this header included.
    pub(super) size: usize,
}

impl Header {
    /// The header of these bytes; `None` when no OPC UA message starts so.
    pub(super) fn read(bytes: &[u8; HEADER]) -> Option<Self> {
        let [a, b, c, flag, s0, s1, s2, s3] = *bytes;
        let (kind, sizes) = kind(&[a, b, c])?;
        let chunk = match flag {
            b'F' => Chunk::Final,
            b'C' if kind == MessageType::Message => Chunk::Intermediate,
            b'A' if kind == MessageType::Message => Chunk::Abort,
            _ => return None,
        };
        let size = usize::try_from(u32::from_le_bytes([s0, s1, s2, s3])).ok()?;
        sizes.contains(&size).then_some(Self { kind, chunk, size })
    }

    /// Whether these first bytes, fewer than a header, can become one.
    pub(super) fn may_start(bytes: &[u8]) -> bool {
        let kind = bytes.get(..3).unwrap_or(bytes);
        let known = [&b"HEL"[..], b"ACK", b"ERR", b"RHE", b"OPN", b"MSG", b"CLO"];
        let flag = bytes.get(3).is_none_or(|flag| matches!(flag, b'F' | b'C' | b'A'));
        flag && known.iter().any(|known| known.starts_with(kind))
    }
}

/// The type, and the sizes that it can have: its fixed fields, and strings of at most 4 096 bytes (7.1.2.3 to 7.1.2.6).
fn kind(name: &[u8; 3]) -> Option<(MessageType, std::ops::RangeInclusive<usize>)> {
    const TEXT: usize = 4 + 4096;
    Some(match name {
        b"HEL" => (MessageType::Hello, 32..=28 + TEXT),
        b"ACK" => (MessageType::Acknowledge, 28..=28),
        b"ERR" => (MessageType::Error, 16..=12 + TEXT),
        b"RHE" => (MessageType::ReverseHello, 16..=8 + 2 * TEXT),
        b"OPN" => (MessageType::OpenChannel, 32..=MAX_CHUNK),
        b"MSG" => (MessageType::Message, 24..=MAX_CHUNK),
        b"CLO" => (MessageType::CloseChannel, 24..=MAX_CHUNK),
        _ => return None,
    })
}

/// A String or ByteString; null reads as empty. OPC 10000-6, 5.2.2.4.
fn string<'a>(r: &mut Reader<'a>, item: &'static str) -> Result<&'a [u8], ParseError> {
    let length = r.le32i(item)?;
    r.bytes(item, usize::try_from(length).unwrap_or(0))
}

/// The endpoint URL of a Hello. OPC 10000-6, 7.1.2.3; the five numbers before it are the client's buffers.
pub(super) fn hello<'a>(r: &mut Reader<'a>) -> Result<&'a [u8], ParseError> {
    r.bytes("hello", 20)?;
    string(r, "endpoint URL")
}

/// Status and reason of an Error message, and of an aborted message. OPC 10000-6, 7.1.2.5 and 6.7.3.
pub(super) fn error<'a>(r: &mut Reader<'a>) -> Result<(u32, &'a [u8]), ParseError> {
    Ok((r.le32("error")?, string(r, "error reason")?))
}

/// Server URI and endpoint URL of a ReverseHello. OPC 10000-6, 7.1.2.6.
pub(super) fn reverse_hello<'a>(r: &mut Reader<'a>) -> Result<(&'a [u8], &'a [u8]), ParseError> {
    Ok((string(r, "server URI")?, string(r, "endpoint URL")?))
}

/// The asymmetric security header of an OPN chunk, with the channel id before it. Always in clear.
/// OPC 10000-6, 6.7.2.3.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asymmetric<'a> {
    /// Secure channel id; 0 in the first request, since the server assigns it.
    pub(super) channel: u32,
    /// URI of the security policy.
    pub(super) policy: &'a [u8],
    /// The sender's application certificate in DER, perhaps with its chain.
    pub(super) certificate: &'a [u8],
}

impl<'a> Asymmetric<'a> {
    /// Reads it, from behind the message header.
    ///
    /// # Errors
    /// [`ParseError`] when fewer bytes are there than the lengths say.
    pub(super) fn read(r: &mut Reader<'a>) -> Result<Self, ParseError> {
        let channel = r.le32("secure channel id")?;
        let policy = string(r, "security policy URI")?;
        let certificate = string(r, "sender certificate")?;
        string(r, "receiver certificate thumbprint")?;
        Ok(Self { channel, policy, certificate })
    }
}

/// The sequence header: the request id, behind the sequence number. Encrypted when the body is. OPC 10000-6, 6.7.2.4.
pub(super) fn sequence(r: &mut Reader<'_>) -> Result<u32, ParseError> {
    r.le32("sequence number")?;
    r.le32("request id")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers() {
        use MessageType::{Acknowledge, Hello, Message, OpenChannel};
        for (case, bytes, want) in [
            ("hello", b"HELF\x20\0\0\0", Some((Hello, Chunk::Final, 32))),
            ("acknowledge", b"ACKF\x1c\0\0\0", Some((Acknowledge, Chunk::Final, 28))),
            ("acknowledge of another size", b"ACKF\x1d\0\0\0", None),
            ("intermediate", b"MSGC\0\0\x01\0", Some((Message, Chunk::Intermediate, 65_536))),
            ("abort", b"MSGA\x20\0\0\0", Some((Message, Chunk::Abort, 32))),
            ("smaller than its headers", b"MSGF\x17\0\0\0", None),
            ("longest", b"OPNF\0\0\x10\0", Some((OpenChannel, Chunk::Final, MAX_CHUNK))),
            ("too long", b"MSGF\x01\0\x10\0", None),
            ("no flag", b"MSG \x20\0\0\0", None),
            ("hello in chunks", b"HELC\x20\0\0\0", None),
            ("not OPC UA", b"GET / HT", None),
        ] {
            assert_eq!(Header::read(bytes).map(|h| (h.kind, h.chunk, h.size)), want, "{case}");
        }
    }
}
