//! CIP messages: requests, replies, and the two that carry others. CIP Vol. 1, chapter 2-4 "Message Router".

use crate::{ParseError, Reader};

/// Bit 7 of the service code: a reply. CIP Vol. 1, 2-4.2.
pub(super) const REPLY: u8 = 0x80;

/// Message Router request: service, path, data.
#[derive(Clone, Copy, Debug)]
pub(super) struct Request<'a> {
    pub(super) service: u8,
    /// Where the path starts, and its bytes.
    pub(super) path_at: usize,
    pub(super) path: &'a [u8],
    pub(super) data: Reader<'a>,
}

impl<'a> Request<'a> {
    /// # Errors
    /// [`ParseError`] when it ends within its path.
    #[inline]
    pub(super) fn read(mut r: Reader<'a>) -> Result<Self, ParseError> {
        let service = r.u8("CIP service")?;
        let words = usize::from(r.u8("CIP path size")?);
        let path_at = r.at();
        Ok(Self { service, path_at, path: r.bytes("CIP path", 2 * words)?, data: r })
    }
}

/// General status with the first word of the additional status above it. CIP Vol. 1, appendix B-1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Status(pub(super) u32);

impl Status {
    /// 0 success, 6 partial transfer: there is more to fetch.
    pub(super) fn is_positive(self) -> bool {
        matches!(self.0 & 0xFF, 0 | 6)
    }
}

/// Message Router response: service with the reply bit, status, data.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reply<'a> {
    /// Without the reply bit.
    pub(super) service: u8,
    pub(super) status: Status,
    pub(super) data: Reader<'a>,
}

impl<'a> Reply<'a> {
    /// # Errors
    /// [`ParseError`] when it ends within its status.
    #[inline]
    pub(super) fn read(mut r: Reader<'a>) -> Result<Self, ParseError> {
        let service = r.u8("CIP reply service")? & !REPLY;
        r.u8("reserved")?;
        let general = r.u8("general status")?;
        // The size counts 16-bit words, not bytes. CIP Vol. 1, 2-4.2 "Message Router Response Format".
        let words = usize::from(r.u8("additional status size")?);
        let mut additional = r.sub("additional status", 2 * words)?;
        let extended = additional.le16("extended status").unwrap_or(0);
        Ok(Self { service, status: Status(u32::from(general) | u32::from(extended) << 16), data: r })
    }
}

/// The messages in a Multiple Service Packet, request or reply: a count, offsets from the count, the messages.
/// CIP Vol. 1, appendix.
#[derive(Clone, Copy, Debug)]
pub(super) struct Packet<'a> {
    whole: Reader<'a>,
    offsets: Reader<'a>,
    /// Where the first message may start: behind the offsets.
    floor: usize,
}

impl<'a> Packet<'a> {
    /// # Errors
    /// [`ParseError`] when it ends within its offsets.
    pub(super) fn read(whole: Reader<'a>) -> Result<Self, ParseError> {
        let mut r = whole;
        let count = usize::from(r.le16("number of services")?);
        let offsets = r.sub("service offsets", 2 * count)?;
        Ok(Self { whole, offsets, floor: 2 + 2 * count })
    }

    /// The next message, up to where the one behind it starts. Offsets must ascend, so messages never overlap and
    /// nesting cannot multiply them.
    ///
    /// # Errors
    /// [`ParseError`] when the offset points into an earlier message, or behind the end.
    #[inline]
    pub(super) fn next(&mut self) -> Option<Result<Reader<'a>, ParseError>> {
        let start = usize::from(self.offsets.le16("service offset").ok()?);
        let mut ahead = self.offsets;
        let have = self.whole.rest().len();
        let end = ahead.le16("service offset").map_or(have, usize::from).clamp(start, have.max(start));
        let bad = ParseError { item: "service offset", at: self.offsets.at(), need: start, have };
        if start < self.floor || start > have {
            return Some(Err(bad));
        }
        self.floor = end;
        let mut r = self.whole;
        let message = r.bytes("before the service", start).and_then(|_| r.sub("service", end - start));
        Some(message)
    }
}

/// Unconnected Send: a message and the route to the device that is to get it. CIP Vol. 1, 3-5.5.4.
#[derive(Clone, Copy, Debug)]
pub(super) struct UnconnectedSend<'a> {
    pub(super) message: Reader<'a>,
    pub(super) route_at: usize,
    /// Empty when the end is missing.
    pub(super) route: &'a [u8],
    /// The route could not be read.
    pub(super) is_short: bool,
}

impl<'a> UnconnectedSend<'a> {
    /// # Errors
    /// [`ParseError`] when there is not even a message.
    #[inline]
    pub(super) fn read(mut r: Reader<'a>) -> Result<Self, ParseError> {
        r.bytes("priority and time-out", 2)?;
        let size = usize::from(r.le16("embedded message size")?);
        let message = r.sub("embedded message", size)?;
        let mut route = || {
            if size % 2 == 1 {
                r.u8("pad")?;
            }
            let words = usize::from(r.u8("route path size")?);
            r.u8("reserved")?;
            Ok::<_, ParseError>((r.at(), r.bytes("route path", 2 * words)?))
        };
        let (route_at, route, is_short) = match route() {
            Ok((at, route)) => (at, route, false),
            Err(short) => (short.at, &[][..], true),
        };
        Ok(Self { message, route_at, route, is_short })
    }
}
