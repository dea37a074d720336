//! Where the identity of a user stands in OPC UA messages that are not encrypted.

use std::ops::Range;

use crate::opcua::codec::Decoder;
use crate::{Limits, ParseError};

/// UserNameIdentityToken and IssuedIdentityToken in binary encoding (OPC 10000-6, annex A): the four-byte NodeIds that
/// begin an extension object, its flag that a ByteString follows (5.2.2.15), and how many of the fields behind the id of
/// the policy are secret (OPC 10000-4, 7.41). One field more names the algorithm.
const TOKENS: [([u8; 5], usize); 2] = [([1, 0, 0x44, 0x01, 1], 2), ([1, 0, 0xac, 0x03, 1], 1)];

/// Longest token that is believed.
const LONGEST: usize = 64 << 10;

/// Name and password, or the token that somebody else issued. A token is known by its type and a length that fits, so
/// that it is found wherever the bytes begin. One that does not read to its end, or whose end was not kept, is secret as
/// a whole.
pub(super) fn find(bytes: &[u8], find: &mut dyn FnMut(Range<usize>)) {
    for (at, start) in bytes.windows(5).enumerate() {
        let Some((_, secret)) = TOKENS.iter().find(|(token, _)| start == token) else { continue };
        let at = at + start.len() + 4;
        let Some(len) = at.checked_sub(4).and_then(|from| bytes.get(from..at)).and_then(|len| len.try_into().ok())
        else {
            continue;
        };
        let len = usize::try_from(u32::from_le_bytes(len)).unwrap_or(LONGEST);
        if len == 0 || len >= LONGEST {
            continue;
        }
        match fields(bytes.get(at..at + len).unwrap_or(&[]), *secret) {
            Ok(fields) => fields.into_iter().for_each(|field| find(at + field.start..at + field.end)),
            Err(_) => find(at..at + len),
        }
    }
}

/// The secret fields of a whole token.
fn fields(body: &[u8], secret: usize) -> Result<Vec<Range<usize>>, ParseError> {
    let mut d = Decoder::new(body, &Limits::default());
    d.string("policy id")?;
    let mut fields = Vec::new();
    for _ in 0..secret {
        let len = d.string("secret")?.len();
        fields.push(d.r.at() - len..d.r.at());
    }
    d.string("encryption algorithm")?;
    match d.r.rest() {
        [] => Ok(fields),
        rest => Err(ParseError { item: "end of the token", at: d.r.at(), need: 0, have: rest.len() }),
    }
}
