//! CIP implicit messages: cyclic data of class 0 and 1 connections, on UDP. CIP Vol. 2, 3-2.2.

use std::borrow::Cow;

use crate::{
    Carrier, Class, Direction, Framing, Info, Limits, Link, LinkSide, Observation, Operation, OperationName, Outcome,
    ParseError, Pdu, Probe, Protocol, Reader, Session, Sink,
};

use super::cpf::item;

/// The name that Forward Open links to.
pub(super) const NAME: &str = "enip-io";
const TEXT: &str = "io";
const TITLE: &str = "Implicit I/O";

/// EtherNet/IP I/O: a common packet format of two items, without an encapsulation header.
#[derive(Debug)]
pub struct EnipIo;

static INFO: Info = Info {
    name: NAME,
    title: "EtherNet/IP I/O",
    carriers: &[(Carrier::Udp, &[2222])],
    max_pdu: 65535,
    spec: "CIP Networks Library Vol. 2 (EtherNet/IP), 3-2.2",
    operations: || vec![(TEXT.to_owned(), TITLE.to_owned(), Class::Io)],
};

/// The two items: sequenced address, connected data. Little-endian.
#[derive(Clone, Copy, Debug)]
struct Packet {
    connection: u32,
    /// Bytes of data.
    length: u16,
}

/// Bytes in front of the data.
const HEADER: usize = 18;

impl Packet {
    /// `None`: it is something else.
    fn read(bytes: &[u8]) -> Result<Option<Self>, ParseError> {
        let mut r = Reader::new(bytes);
        // Constants are compared as they come, so that few bytes suffice to say no.
        if r.le16("item count")? != 2
            || r.le16("address item")? != item::SEQUENCED_ADDRESS
            || r.le16("address length")? != 8
        {
            return Ok(None);
        }
        let connection = r.le32("connection id")?;
        r.le32("encapsulation sequence")?;
        if r.le16("data item")? != item::CONNECTED_DATA {
            return Ok(None);
        }
        let length = r.le16("data length")?;
        Ok((usize::from(length) <= INFO.max_pdu - HEADER).then_some(Self { connection, length }))
    }
}

impl Protocol for EnipIo {
    fn info(&self) -> &'static Info {
        &INFO
    }

    fn probe(&self, head: &[u8]) -> Probe {
        match Packet::read(head) {
            Ok(Some(_)) => Probe::Yes { sender: None },
            Ok(None) => Probe::No,
            Err(_) => Probe::NeedAtLeast(HEADER),
        }
    }

    fn frame(&self, head: &[u8]) -> Framing {
        match Packet::read(head) {
            Ok(Some(packet)) => Framing::Pdu(HEADER + usize::from(packet.length)),
            Ok(None) => Framing::Desync,
            Err(_) => Framing::NeedAtLeast(HEADER),
        }
    }

    fn session(&self, limits: &Limits) -> Box<dyn Session> {
        Box::new(IoSession { limit: limits.channels, connections: Vec::new() })
    }

    fn message(&self, _: &[u8]) -> u32 {
        0
    }

    fn message_text(&self, _: u32) -> String {
        TEXT.to_owned()
    }

    fn operation(&self, _: u64) -> OperationName {
        OperationName { code: TEXT.to_owned(), name: Cow::Borrowed(TITLE) }
    }
}

struct IoSession {
    limit: usize,
    /// Connections that were told of. At the limit the oldest is forgotten, and told of again.
    connections: Vec<u32>,
}

impl Session for IoSession {
    fn pdu(&mut self, pdu: Pdu<'_>, out: &mut dyn Sink) {
        let Ok(Some(packet)) = Packet::read(pdu.bytes) else { return };
        if !self.connections.contains(&packet.connection) {
            if self.connections.len() >= self.limit && !self.connections.is_empty() {
                self.connections.remove(0);
            }
            self.connections.push(packet.connection);
            let key = packet.connection.into();
            out.observe(Observation::Link(Link { protocol: NAME, key, side: LinkSide::Uses }));
        }
        out.operation(&Operation { class: Class::Io, code: 0, component: None, objects: &[], outcome: Outcome::Told });
    }

    #[inline]
    fn touch(&self) -> u64 {
        self.connections.first().map_or(0, |connection| u64::from(*connection))
    }

    fn gap(&mut self, _: Direction) {}
}
