//! Dissectors turn bytes into observations. They know no sockets, files, clocks, threads, addresses, assets or policies.
//!
//! # The contract
//!
//! A protocol is one static value in [`REGISTRY`] that implements [`Protocol`]:
//!
//! 1. [`Protocol::probe`] looks at the first bytes of a stream or datagram and says whether they are this protocol.
//!    Ports are hints ([`Info::carriers`]); the bytes decide.
//! 2. [`Protocol::frame`] cuts a byte stream into PDUs. It is monotone: more bytes may turn
//!    [`Framing::NeedAtLeast`] into [`Framing::Pdu`], never change a `Pdu`. A field parser therefore never meets half a
//!    PDU, and a split PDU cannot look like a broken one.
//! 3. [`Session::pdu`] reads one whole PDU and says what it saw, in the closed vocabulary of [`Observation`].
//!    Out of spec is news, not noise: keep what was read, add an [`Anomaly`], go on.
//! 4. [`Session::gap`] is told when bytes of a direction were lost: forget what depended on them.
//!
//! What no dissector takes may still have a name: [`recognise`] knows it by its first bytes and reads nothing more.
//! [`secrets()`] says where credentials stand in bytes that somebody wants to keep.
//!
//! A new protocol is a folder beside `modbus/`, and two lines in this file: its `mod` and its place in [`REGISTRY`].
//! The laws in `tests/laws.rs` run over the registry, so they hold for it before its author writes a test.
#![forbid(unsafe_code)]

pub mod enip;
mod error;
pub mod modbus;
mod observe;
pub mod opcua;
mod protocol;
mod reader;
pub mod recognise;
mod secrets;
pub mod table;
pub mod testkit;

pub use error::ParseError;
pub use observe::{
    Anomaly, Attribute, Class, Component, ComponentId, Identity, Item, Link, LinkSide, Method, Mode, Object,
    Observation, Opaque, Operation, Outcome, Party, Security, Sink, Token, attribute,
};
pub use protocol::{Carrier, Direction, Framing, Info, Limits, OperationName, Pdu, Probe, Protocol, Role, Session};
pub use reader::Reader;
pub use secrets::secrets;

/// Every protocol that is dissected, in the order in which they are tried.
pub static REGISTRY: &[&dyn Protocol] =
    &[&modbus::Modbus, &enip::Enip, &enip::EnipIo, &opcua::OpcUa, &modbus::ModbusRtu];

/// The protocol of this name, e.g. `modbus`.
#[must_use]
pub fn by_name(name: &str) -> Option<&'static dyn Protocol> {
    REGISTRY.iter().copied().find(|p| p.info().name == name)
}
