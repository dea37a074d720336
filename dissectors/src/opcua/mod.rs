//! OPC UA over TCP in the binary encoding. OPC 10000-6, sections 5.2, 6.7 and 7.1; services: OPC 10000-4.
//!
//! ```text
//! chunk = type(3) flag(1) size(4) | security header | sequence number(4) request id(4) | body
//! ```
//!
//! What is in clear is read: with security mode None and Sign everything, else the transport messages and the header
//! of OPN with the sender's certificate. An encrypted body is never guessed at: a channel is clear by the policy of
//! its OpenSecureChannel, or because a body is, to the last bit of its header, that of a known service.

mod certificate;
mod chunks;
mod code;
mod codec;
mod der;
mod identity;
mod pending;
mod secrets;
mod services;
mod session;
mod sha1;
#[cfg(test)]
mod tests;
mod wire;

use std::ops::Range;

use crate::{Carrier, Framing, Info, Limits, OperationName, Probe, Protocol, Reader, Role, Session};
use code::Kind;
use codec::Decoder;
use wire::{Asymmetric, Chunk, Header, MAX_CHUNK, MessageType};

/// OPC UA binary over TCP.
pub struct OpcUa;

impl Protocol for OpcUa {
    fn info(&self) -> &'static Info {
        &Info {
            name: "opcua",
            title: "OPC UA binary",
            carriers: &[(Carrier::Tcp, &[4840, 4841, 48010, 48020, 48030, 49320, 53530, 62541])],
            max_pdu: MAX_CHUNK,
            spec: "OPC 10000-6 (UA Specification Part 6: Mappings) 1.05",
            operations: code::operations,
        }
    }

    fn probe(&self, head: &[u8]) -> Probe {
        let Some((first, rest)) = head.split_first_chunk::<{ wire::HEADER }>() else {
            return if Header::may_start(head) { Probe::NeedAtLeast(wire::HEADER) } else { Probe::No };
        };
        let Some(header) = Header::read(first) else { return Probe::No };
        // Where this chunk ends the next one begins, if it is there.
        let next = head.get(header.size..).unwrap_or_default();
        let next_fits = next.first_chunk().map_or_else(|| Header::may_start(next), |next| Header::read(next).is_some());
        if !next_fits {
            return Probe::No;
        }
        let sender = match header.kind {
            MessageType::Hello => Some(Role::Client),
            MessageType::Acknowledge | MessageType::Error | MessageType::ReverseHello => Some(Role::Server),
            MessageType::OpenChannel => {
                // Channel id, and a policy URI of at most 255 bytes (OPC 10000-6, 6.7.2.3).
                let Some(policy) = rest.get(4..8) else { return Probe::NeedAtLeast(16) };
                if !matches!(policy, [length, 0, 0, 0] if *length > 0) {
                    return Probe::No;
                }
                let mut r = Reader::new(rest);
                let clear = Asymmetric::read(&mut r).and_then(|_| wire::sequence(&mut r));
                clear.ok().and_then(|_| sender(r))
            }
            MessageType::Message | MessageType::CloseChannel => {
                let Some(channel) = rest.get(..4) else { return Probe::NeedAtLeast(12) };
                if channel == [0; 4] {
                    return Probe::No;
                }
                let mut r = Reader::new(rest);
                let clear = r.bytes("channel and token", 8).and_then(|_| wire::sequence(&mut r));
                clear.ok().filter(|_| header.chunk != Chunk::Abort).and_then(|_| sender(r))
            }
        };
        Probe::Yes { sender }
    }

    fn frame(&self, head: &[u8]) -> Framing {
        let Some(first) = head.first_chunk::<{ wire::HEADER }>() else {
            return if Header::may_start(head) { Framing::NeedAtLeast(wire::HEADER) } else { Framing::Desync };
        };
        Header::read(first).map_or(Framing::Desync, |header| Framing::Pdu(header.size))
    }

    fn session(&self, limits: &Limits) -> Box<dyn Session> {
        Box::new(session::OpcUaSession::new(limits))
    }

    /// The four characters on the wire, the first one highest.
    fn message(&self, pdu: &[u8]) -> u32 {
        let whole = pdu.first_chunk().map(|code| u32::from_be_bytes(*code));
        whole.unwrap_or_else(|| pdu.iter().chain(&[0; 4]).take(4).fold(0, |code, byte| code << 8 | u32::from(*byte)))
    }

    fn message_text(&self, message: u32) -> String {
        message.to_be_bytes().iter().map(|byte| char::from(*byte)).filter(char::is_ascii_graphic).collect()
    }

    fn operation(&self, code: u64) -> OperationName {
        code::name(code)
    }

    fn secrets(&self, bytes: &[u8], find: &mut dyn FnMut(Range<usize>)) {
        secrets::find(bytes, find);
    }
}

/// The side that sends a body in clear: its type id is a request's or a response's.
fn sender(body: Reader<'_>) -> Option<Role> {
    let id = Decoder::of(body, &Limits::default()).node_id().ok()?;
    Some(match Kind::of(&id)? {
        Kind::Request(_) => Role::Client,
        Kind::Response(_) => Role::Server,
    })
}
