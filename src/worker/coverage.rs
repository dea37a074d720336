//! What happened to frames: how many were read, by what, and what was not.

use std::collections::BTreeMap;

use dissectors::REGISTRY;

use crate::flow::table::Flows;
use crate::flow::watch::Watch;
use crate::ledger::{Ledger, LedgerHits};

/// What happened to frames, by reason. Frames in = decoded + the sum of those not decoded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Coverage {
    /// Frames given to this shard.
    pub frames: u64,
    /// Their bytes on the wire.
    pub bytes: u64,
    /// Frames of which at least the link layer was understood.
    pub decoded: u64,
    /// Frames that were not, by reason.
    pub not_decoded: BTreeMap<&'static str, u64>,
    /// Copies that a mirror made.
    pub duplicates: u64,
    /// IP fragments.
    pub fragments: u64,
    /// Frames cut by the snap length.
    pub truncated: u64,
    /// Limits that were reached, by name, with how often.
    pub limits: BTreeMap<&'static str, u64>,
    /// By protocol.
    pub protocols: ByProtocol,
    /// Dissectors that panicked: bugs, each of which cost one connection.
    pub panics: u64,
    /// Frames and bytes of flows that were forgotten at a limit.
    pub forgotten: (u64, u64),
}

/// What was read of each protocol. One word, since it goes from hand to hand with each packet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ByProtocol(Option<Box<[ProtocolCoverage; REGISTRY.len()]>>);

impl ByProtocol {
    /// That of the protocol at this place of the registry.
    #[inline]
    pub fn get_mut(&mut self, protocol: usize) -> Option<&mut ProtocolCoverage> {
        self.0.get_or_insert_default().get_mut(protocol)
    }

    /// All, in the order of the registry.
    pub fn iter(&self) -> impl Iterator<Item = &ProtocolCoverage> {
        self.0.iter().flat_map(|all| all.iter())
    }
}

/// What was read of one protocol.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProtocolCoverage {
    /// Whole PDUs.
    pub pdus: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Bytes that belong to no PDU: lost ones' remains, and what made no sense.
    pub skipped_bytes: u64,
    /// Out-of-spec events.
    pub anomalies: u64,
    /// PDUs whose meaning is hidden or not known.
    pub opaque: u64,
    /// PDUs by message code.
    pub messages: Vec<(u32, u64)>,
    /// Where the codes stand that were counted last.
    near: [u16; NEAR],
}

/// A power of two of places.
const NEAR: usize = 32;

/// Frames that were taken together.
#[derive(Clone, Copy, Debug, Default)]
pub struct Taken {
    /// How many.
    pub frames: u64,
    /// Their bytes on the wire.
    pub bytes: u64,
    /// Those of them that the snap length cut.
    pub truncated: u64,
}

/// TCP conversations that carried payload, by what was seen of them. Where only one way of many is seen, so is only one
/// direction of the port that is mirrored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ways {
    /// Both ways.
    pub both: u64,
    /// One way alone.
    pub one: u64,
}

impl Ways {
    /// Adds others.
    pub fn merge(&mut self, other: Self) {
        self.both += other.both;
        self.one += other.one;
    }

    /// All of them.
    #[must_use]
    pub fn all(self) -> u64 {
        self.both + self.one
    }

    /// Most were seen one way alone, which is no matter of a lost answer.
    #[must_use]
    pub fn is_one_way(self) -> bool {
        self.one >= FEW && self.one > self.both
    }
}

/// Fewer conversations than this say nothing of the mirror.
pub const FEW: u64 = 3;

/// Message codes counted for one protocol; Modbus, the widest, has 256.
const MESSAGES: usize = 512;

impl Flows {
    /// Counts what the limits of the table took since the last time. Returns whether flows were forgotten.
    pub fn tell_limits(&mut self, coverage: &mut Coverage) -> bool {
        let (flows, frames, bytes) = std::mem::take(&mut self.forgotten);
        coverage.limit("services-per-pair", std::mem::take(&mut self.folded));
        coverage.limit("flows", flows);
        coverage.forgotten.0 += frames;
        coverage.forgotten.1 += bytes;
        flows > 0
    }
}

impl Coverage {
    /// Adds another.
    pub fn merge(&mut self, other: &Self) {
        self.frames += other.frames;
        self.bytes += other.bytes;
        self.decoded += other.decoded;
        self.duplicates += other.duplicates;
        self.fragments += other.fragments;
        self.truncated += other.truncated;
        self.panics += other.panics;
        self.forgotten.0 += other.forgotten.0;
        self.forgotten.1 += other.forgotten.1;
        other.not_decoded.iter().for_each(|(why, n)| *self.not_decoded.entry(why).or_default() += n);
        other.limits.iter().for_each(|(which, n)| self.limit(which, *n));
        for (protocol, theirs) in other.protocols.iter().enumerate() {
            let Some(mine) = self.protocols.get_mut(protocol) else { continue };
            mine.pdus += theirs.pdus;
            mine.bytes += theirs.bytes;
            mine.skipped_bytes += theirs.skipped_bytes;
            mine.anomalies += theirs.anomalies;
            mine.opaque += theirs.opaque;
            theirs.messages.iter().for_each(|(message, n)| mine.message(*message, *n));
        }
    }

    /// Counts the limits that watching over time reached.
    pub(super) fn watch(&mut self, watch: &Watch) {
        self.limit("rates", watch.meters.refused);
        self.limit("sessions", watch.sessions_dropped);
    }

    /// Counts what the bounds of a ledger took since it was asked last.
    pub fn ledger(&mut self, ledger: &mut Ledger) {
        let LedgerHits { facts, subjects } = ledger.hits();
        self.limit("facts", facts);
        self.limit("subjects", subjects);
    }

    /// Counts frames that were decoded.
    pub(super) fn taken(&mut self, taken: Taken) {
        let Taken { frames, bytes, truncated } = taken;
        self.frames += frames;
        self.bytes += bytes;
        self.decoded += frames;
        self.truncated += truncated;
    }

    /// Counts a limit that was reached.
    pub fn limit(&mut self, which: &'static str, times: u64) {
        if times > 0 {
            *self.limits.entry(which).or_default() += times;
        }
    }
}

impl ProtocolCoverage {
    #[inline]
    pub(super) fn message(&mut self, message: u32, times: u64) {
        // The upper bits of the product depend on all of the code's.
        let near = (message.wrapping_mul(0x9E37_79B1) >> (u32::BITS - NEAR.ilog2())) as usize;
        match self.near.get(near).and_then(|place| self.messages.get_mut(usize::from(*place))) {
            Some(known) if known.0 == message => known.1 += times,
            _ => self.search(message, times, near),
        }
    }

    #[cold]
    fn search(&mut self, message: u32, times: u64, near: usize) {
        let place = self.messages.iter().position(|known| known.0 == message).unwrap_or(self.messages.len());
        if let (Some(near), Ok(place)) = (self.near.get_mut(near), u16::try_from(place)) {
            *near = place;
        }
        if let Some(known) = self.messages.get_mut(place) {
            known.1 += times;
        } else if self.messages.len() < MESSAGES {
            self.messages.push((message, times));
        }
    }
}
