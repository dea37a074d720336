//! Where the identity of a user stands in OPC UA messages that are not encrypted.

use std::ops::Range;

use crate::Limits;
use crate::opcua::codec::Decoder;

/// The ids of UserNameIdentityToken and IssuedIdentityToken in binary encoding (OPC 10000-6, annex A), as the four-byte
/// NodeIds that begin an extension object, and its flag that a ByteString follows (5.2.2.15).
const TOKENS: [[u8; 5]; 2] = [[1, 0, 0x44, 0x01, 1], [1, 0, 0xac, 0x03, 1]];

/// Longest token that is believed.
const LONGEST: usize = 64 << 10;

/// Name and password, or what else a token holds behind the id of its policy (OPC 10000-4, 7.41). The token is known by
/// its type and a length that fits, so that it is found wherever the bytes begin and whatever its password holds.
pub(super) fn find(bytes: &[u8], find: &mut dyn FnMut(Range<usize>)) {
    for (at, start) in bytes.windows(5).enumerate() {
        if !TOKENS.iter().any(|token| start == token) {
            continue;
        }
        let body = at + start.len();
        let mut d = Decoder::new(bytes.get(body..).unwrap_or(&[]), &Limits::default());
        let Ok(len @ 1..) = d.r.le32("token length").map(|len| usize::try_from(len).unwrap_or(LONGEST)) else {
            continue;
        };
        if len >= LONGEST {
            continue;
        }
        let end = (body + 4).saturating_add(len).min(bytes.len());
        let from = match d.string("policy id") {
            Ok(_) if body + d.r.at() <= end => body + d.r.at(),
            _ => body + 4,
        };
        find(from..end);
    }
}
