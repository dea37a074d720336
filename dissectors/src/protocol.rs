use std::borrow::Cow;
use std::ops::Range;

use crate::{Class, Sink};

/// What carries a protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Carrier {
    /// A byte stream: [`Protocol::frame`] cuts it.
    Tcp,
    /// Datagrams: each is one PDU, or several that [`Protocol::frame`] cuts.
    Udp,
}

/// A protocol's description of itself: names, ports, metric labels and policy words come from here.
#[derive(Debug)]
pub struct Info {
    /// The word that policies, reports and metrics use, e.g. `modbus`.
    pub name: &'static str,
    /// The name for people, e.g. `Modbus TCP`.
    pub title: &'static str,
    /// Carriers with the ports that hint at this protocol. A hint decides the order of probing, never the answer.
    pub carriers: &'static [(Carrier, &'static [u16])],
    /// Longest PDU in bytes: the most that the stream layer carries over for one direction.
    pub max_pdu: usize,
    /// The specification, or `unofficial: <public dissector>`.
    pub spec: &'static str,
    /// Operations known by name, for `zonewatch protocols`: code as in [`OperationName::code`], name, class.
    pub operations: fn() -> Vec<(String, String, Class)>,
}

/// Which side sent something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// The side that asks (opened the connection).
    Client,
    /// The side that answers.
    Server,
}

/// Which way a PDU went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// From the side that asks.
    ToServer,
    /// From the side that answers.
    ToClient,
}

impl Direction {
    /// The other way.
    #[must_use]
    pub fn reverse(self) -> Self {
        match self {
            Self::ToServer => Self::ToClient,
            Self::ToClient => Self::ToServer,
        }
    }

    /// 0 for to the server, 1 for to the client.
    #[must_use]
    #[inline]
    pub fn index(self) -> usize {
        self as usize
    }
}

/// Answer of [`Protocol::probe`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Probe {
    /// It is this protocol. `sender`, when the bytes alone show which side sent them.
    Yes {
        /// The side that sent these bytes, when they show it.
        sender: Option<Role>,
    },
    /// Too few bytes to say; so many from the start would do.
    NeedAtLeast(usize),
    /// It is something else.
    No,
}

/// Answer of [`Protocol::frame`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// The first PDU is so many bytes long, which may be more than there are yet. Never 0, never above `max_pdu`.
    Pdu(usize),
    /// So many bytes from the start are needed to tell the length. Always more than there are.
    NeedAtLeast(usize),
    /// No PDU starts here: not this protocol, or joined in the middle of a PDU.
    Desync,
}

/// One whole PDU.
#[derive(Clone, Copy, Debug)]
pub struct Pdu<'a> {
    /// Its bytes. Fewer than the protocol's length field says only when `cut` is not 0.
    pub bytes: &'a [u8],
    /// Which way it went. A guess when the start of the connection was not captured; where the bytes say otherwise
    /// (a reply bit), the bytes are right.
    pub direction: Direction,
    /// What carried it.
    pub carrier: Carrier,
    /// Bytes missing at the end because the capture's snap length cut them off.
    pub cut: usize,
}

/// Bounds on what one session may hold. At each limit the oldest is forgotten, or the rest is left unread.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Requests waiting for a reply. At the limit the oldest is forgotten; its reply becomes an orphan.
    pub outstanding: usize,
    /// Connections inside a session (CIP connections, OPC UA channels).
    pub channels: usize,
    /// Bytes of one message that is put together from chunks. A longer one is an anomaly and its rest is skipped.
    pub message: usize,
    /// Depth of nested structures (CIP services in services, OPC UA variants and diagnostic infos).
    pub nesting: usize,
    /// Elements read of one array or list; the rest is skipped, not the PDU.
    pub elements: usize,
    /// Bytes of one text that are kept.
    pub text: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { outstanding: 64, channels: 64, message: 1 << 20, nesting: 8, elements: 4096, text: 256 }
    }
}

/// An operation code for people: as the contract prints it, and its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OperationName {
    /// The code as reports and policies write it: `3`, `43/14`, `0x0e:0x01`, `Read`.
    pub code: String,
    /// The name from the specification, or a plain description of an unknown code.
    pub name: Cow<'static, str>,
}

/// One protocol: a static value without state.
pub trait Protocol: Sync {
    /// Its description of itself.
    fn info(&self) -> &'static Info;
    /// Whether a stream or datagram that starts with `head` is this protocol. Strict: a false Yes mislabels a flow.
    fn probe(&self, head: &[u8]) -> Probe;
    /// The length of the PDU at the start of `head`.
    fn frame(&self, head: &[u8]) -> Framing;
    /// A fresh session for one connection, both directions.
    fn session(&self, limits: &Limits) -> Box<dyn Session>;
    /// The message code of a PDU for the coverage counters: the Modbus function byte, the encapsulation command,
    /// the OPC UA message type with its chunk flag. Called once for each PDU, with at least one byte.
    fn message(&self, pdu: &[u8]) -> u32;
    /// The text of a message code: `3`, `0x006f`, `MSGF`.
    fn message_text(&self, message: u32) -> String;
    /// The text of an operation code that this protocol's sessions observed.
    fn operation(&self, code: u64) -> OperationName;
    /// Where credentials stand in consecutive bytes of one direction, which may begin and end anywhere. Most protocols
    /// have none. Ranges may reach past the end and overlap.
    fn secrets(&self, _bytes: &[u8], _find: &mut dyn FnMut(Range<usize>)) {}
}

/// One identified connection, both directions.
pub trait Session: Send {
    /// Reads one whole PDU and tells `out` what it saw. Never panics, whatever the bytes.
    fn pdu(&mut self, pdu: Pdu<'_>, out: &mut dyn Sink);
    /// Reads a little of what the next PDU will need. Who has several PDUs of different sessions before it asks them all
    /// first, so that their memory comes at the same time. The number means nothing.
    fn touch(&self) -> u64 {
        0
    }
    /// Bytes of this direction were lost: forget what depended on them. What the other direction or earlier PDUs
    /// established (sessions, connection ids, tokens) stays.
    fn gap(&mut self, direction: Direction);
}
