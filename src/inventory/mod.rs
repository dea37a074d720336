//! From facts to assets. [`resolve`] is a pure function: the same facts and flows give the same inventory, in whatever
//! order they come. A wrong merge is corrected here, never by repairing state.
//!
//! It names no protocol. What it knows of them are attributes, operation classes, numbers and, for the services of
//! office networks, ports.
//!
//! In this order: which hosts are one device (`device`, with the judgement of MAC addresses in `mac`), what is known
//! of it (`asset`), what it is for (`role`, with the signs of its behaviour in `sign`), on which level (`level`), and
//! what contradicts itself (`conflict`).

use std::collections::HashMap;

use dissectors::{Attribute, Method};
use ipnet::IpNet;

use crate::address::{Address, Host, Mac, Realm};
use crate::flow::key::{Initiator, Transport};
use crate::id;
use crate::ledger::{Evidence, Ledger, Support};

mod asset;
mod conflict;
mod device;
mod level;
mod mac;
pub mod oui;
mod role;
mod sign;
#[cfg(test)]
mod tests;

pub use asset::resolve;
pub use conflict::{Claim, Conflict, ConflictKind};
pub use level::{AssetLevel, Level, LevelSource};
pub use oui::Oui;
pub use role::{AssetRole, Candidate, DefaultLevel, Role};

/// What the inventory is made from.
#[derive(Clone, Copy)]
pub struct Input<'a> {
    /// All facts.
    pub ledger: &'a Ledger,
    /// All flows, in any order.
    pub traffic: &'a [Traffic],
    /// Assets that the policy declares.
    pub declared: &'a [Declared],
    /// Networks with public addresses that are ours.
    pub home_nets: &'a [IpNet],
    /// Makers of network cards.
    pub oui: &'a Oui,
    /// The level of the declared zone that an address is in, if any.
    pub zone_level: &'a (dyn Fn(Host) -> Option<Level> + Sync),
    /// Threads; the result does not depend on it.
    pub workers: usize,
}

/// What the inventory needs to know of one flow.
#[derive(Clone, Debug)]
pub struct Traffic {
    /// Who asks.
    pub client: Host,
    /// Who is asked.
    pub server: Host,
    /// What carries it.
    pub transport: Transport,
    /// The server's port; 0 where the transport has none.
    pub port: u16,
    /// The protocol, where bytes confirmed it.
    pub protocol: Option<&'static str>,
    /// The usual service of the port.
    pub service: Option<&'static str>,
    /// Whether protocol or service is one of control systems.
    pub industrial: bool,
    /// How the sides were found. Nothing is concluded from sides that are unknown.
    pub initiator: Initiator,
    /// Operation classes that the client asked for, as [`dissectors::Class::bit`]s; cyclic data that an initiator
    /// sends or receives counts as asked.
    pub asked: u32,
    /// Operation classes to which the server gave a positive answer, or which it took part in (cyclic data).
    pub granted: u32,
    /// Requests seen.
    pub requests: u64,
    /// Positive replies seen.
    pub answered: u64,
    /// Negative replies seen.
    pub refused: u64,
    /// Components of the server that answered, positively or not, e.g. `modbus/17`.
    pub components: Vec<Box<str>>,
    /// Whether the server did more than refuse: it accepted a TCP connection, or sent payload.
    pub served: bool,
    /// Connections of this flow.
    pub connections: u64,
    /// Frames from client to server.
    pub frames_to_server: u64,
    /// Frames from server to client.
    pub frames_to_client: u64,
    /// Bytes on the wire from client to server.
    pub bytes_to_server: u64,
    /// Bytes on the wire from server to client.
    pub bytes_to_client: u64,
    /// Its first frame.
    pub first: Evidence,
    /// Its last frame.
    pub last: Evidence,
}

impl Traffic {
    /// A flow of which nothing is known yet but its ends and one frame.
    #[must_use]
    pub fn new(client: Host, server: Host, transport: Transport, port: u16, seen: Evidence) -> Self {
        Self {
            client,
            server,
            transport,
            port,
            protocol: None,
            service: None,
            industrial: false,
            initiator: Initiator::Unknown,
            asked: 0,
            granted: 0,
            requests: 0,
            answered: 0,
            refused: 0,
            components: Vec::new(),
            served: false,
            connections: 0,
            frames_to_server: 0,
            frames_to_client: 0,
            bytes_to_server: 0,
            bytes_to_client: 0,
            first: seen,
            last: seen,
        }
    }

    /// What the server does here: the protocol that was seen, else the service of the port.
    #[must_use]
    pub fn name(&self) -> Option<&'static str> {
        self.protocol.or(self.service)
    }
}

/// An asset as the policy declares it.
#[derive(Clone, Debug, Default)]
pub struct Declared {
    /// Its id in the policy, which becomes the asset's.
    pub id: Box<str>,
    /// What people call it.
    pub name: Option<Box<str>>,
    /// Where it is, when the sensor has several realms.
    pub realm: Realm,
    /// Its addresses.
    pub addresses: Vec<Address>,
    /// Its MAC addresses.
    pub macs: Vec<Mac>,
    /// What it is for: a name of the role table.
    pub role: Option<Box<str>>,
    /// The asset's own level, if it overrides that of its zone.
    pub level: Option<Level>,
    /// Whether it may be there.
    pub approved: bool,
}

/// All assets, and where knowledge contradicts itself.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Inventory {
    /// Ordered by id.
    pub assets: Vec<Asset>,
    /// Ordered by asset, kind and time.
    pub conflicts: Vec<Conflict>,
    /// From each address to its asset's place in `assets`. Addresses that never sent are not here.
    pub index: HashMap<Host, usize, ahash::RandomState>,
}

impl Inventory {
    /// The asset of this address.
    #[must_use]
    pub fn at(&self, host: Host) -> Option<&Asset> {
        self.assets.get(*self.index.get(&host)?)
    }
}

/// A device on the network.
#[derive(Clone, Debug, PartialEq)]
pub struct Asset {
    /// The declared id, else `A-` and twelve characters made from the asset's lowest address: see [`asset_id`].
    pub id: Box<str>,
    /// The declared name, else what it calls itself, else its address.
    pub name: Box<str>,
    /// The realm that its addresses are in.
    pub realm: Realm,
    /// IP addresses, in order.
    pub ips: Vec<Address>,
    /// MAC addresses of its own (not its router's), in order.
    pub macs: Vec<Mac>,
    /// VLAN ids that its frames carried.
    pub vlans: Vec<u16>,
    /// Host names that it told.
    pub hostnames: Vec<Box<str>>,
    /// Its own identity; that of its parts is in `components`.
    pub identity: Identity,
    /// Who made its network card.
    pub mac_vendor: Option<Box<str>>,
    /// What it is for.
    pub role: AssetRole,
    /// Where it stands in the Purdue model.
    pub level: Option<AssetLevel>,
    /// Whether the policy declares it, and approves.
    pub approved: bool,
    /// What it speaks, by name and side.
    pub protocols: Vec<Speaks>,
    /// Its parts that have an address in a protocol, by id.
    pub components: Vec<Part>,
    /// The first frame from it or about it.
    pub first: Evidence,
    /// The last frame from it or about it.
    pub last: Evidence,
    /// Frames that it sent.
    pub frames_sent: u64,
    /// Bytes on the wire that it sent.
    pub bytes_sent: u64,
    /// Everything known, by address, component and attribute.
    pub facts: Vec<AssetFact>,
}

/// Who a device, or a part of it, says it is. Of several claims the best supported one, then the latest.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Identity {
    /// Maker.
    pub vendor: Option<Known>,
    /// Product name or family.
    pub product: Option<Known>,
    /// Model or order number.
    pub model: Option<Known>,
    /// Firmware or software version.
    pub firmware: Option<Known>,
    /// Serial number.
    pub serial: Option<Known>,
}

/// A value with what supports it.
#[derive(Clone, Debug, PartialEq)]
pub struct Known {
    /// The value: text from the wire, not escaped.
    pub value: Box<str>,
    /// Which protocol told it.
    pub protocol: &'static str,
    /// How it came to be known.
    pub method: Method,
    /// The frames that show it.
    pub support: Support,
}

/// A part of an asset with an address of its own in a protocol.
#[derive(Clone, Debug, PartialEq)]
pub struct Part {
    /// Address space and address: `modbus/17`, `cip/1,0`.
    pub id: Box<str>,
    /// Who it says it is.
    pub identity: Identity,
    /// What it is for, as far as its own words tell.
    pub role: Option<&'static str>,
}

/// A protocol that an asset speaks.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Speaks {
    /// The protocol, or the service of the port where bytes did not tell.
    pub name: &'static str,
    /// On which side.
    pub side: Side,
    /// The server's ports, in order.
    pub ports: Vec<u16>,
}

/// A side of a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Side {
    /// Asks.
    Client,
    /// Answers.
    Server,
}

impl Side {
    /// The word in reports.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Server => "server",
        }
    }
}

/// A fact about an asset, as the ledger holds it.
#[derive(Clone, Debug, PartialEq)]
pub struct AssetFact {
    /// At which of its addresses.
    pub host: Host,
    /// About which part, if not the whole.
    pub component: Option<Box<str>>,
    /// What.
    pub attribute: Attribute,
    /// Its value, and what supports it.
    pub known: Known,
}

/// The id of an asset that is not declared: `A-` and the first 60 bits of SHA-256 over realm and address, in lower-case
/// base 32 (RFC 4648, without padding).
///
/// The address is the asset's anchor: of its addresses the lowest, IPv4 before IPv6 before MAC before link-local. Every
/// sensor on the way of a packet sees the same IP address, but only the one on the device's own segment sees its MAC,
/// so an id made from the IP is the same over sensors and runs.
#[must_use]
pub fn asset_id(anchor: Host) -> Box<str> {
    format!("A-{}", id::base32(&format!("{}:{}", anchor.realm.0, anchor.address), 12)).into()
}
