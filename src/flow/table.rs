//! The connections of one shard and the flows that they add up to. Both are bounded: at the limit what is idle and
//! smallest goes first, so that a flood of random addresses evicts itself and not the plant.

use std::collections::HashMap;

use ahash::RandomState;

use super::Flow;
use super::connection::{Connection, ConnectionKey, Side};
use super::key::FlowKey;
use crate::address::Host;
use crate::decode::Packet;
use crate::ledger::Evidence;

/// Connections, by key, in a slab.
#[derive(Debug)]
pub struct Connections {
    places: HashMap<ConnectionKey, u32, RandomState>,
    slab: Vec<Connection>,
    limit: usize,
    hand: usize,
}

impl Connections {
    /// A table for at most so many.
    #[must_use]
    pub fn new(limit: usize, hasher: RandomState) -> Self {
        Self { places: HashMap::with_hasher(hasher), slab: Vec::new(), limit: limit.max(16), hand: 0 }
    }

    /// The connection of a packet, new if need be. When the table was full, the one that had to go comes too.
    #[inline]
    pub fn get_or_insert(
        &mut self,
        key: ConnectionKey,
        sender: Side,
        packet: &Packet<'_>,
        at: Evidence,
    ) -> (Option<&mut Connection>, Option<Connection>) {
        if let Some(place) = self.places.get(&key) {
            return (self.slab.get_mut(*place as usize), None);
        }
        self.insert(Connection::new(key, sender, packet, at))
    }

    /// All of them.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut Connection> {
        self.slab.iter_mut()
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.slab.len()
    }

    /// None.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.slab.is_empty()
    }

    #[cold]
    fn insert(&mut self, connection: Connection) -> (Option<&mut Connection>, Option<Connection>) {
        let key = connection.key;
        let (place, evicted) = if self.slab.len() < self.limit {
            self.slab.push(connection);
            (self.slab.len() - 1, None)
        } else {
            let place = self.victim();
            let evicted = self.slab.get_mut(place).map(|slot| std::mem::replace(slot, connection));
            if let Some(evicted) = &evicted {
                self.places.remove(&evicted.key);
            }
            (place, evicted)
        };
        if let Ok(index) = u32::try_from(place) {
            self.places.insert(key, index);
        }
        (self.slab.get_mut(place), evicted)
    }

    /// Who goes: of eight neighbours that the hand passes, one on which no protocol was found before one that speaks,
    /// the longest idle of these.
    fn victim(&mut self) -> usize {
        let len = self.slab.len();
        let passed = (self.hand..self.hand + 8).map(|i| i % len);
        let victim = passed
            .filter_map(|i| self.slab.get(i).map(|c| (c.dialog.protocol().is_some(), c.last, i)))
            .min()
            .map_or(0, |(_, _, i)| i);
        self.hand = (self.hand + 8) % len;
        victim
    }
}

/// Flows, by key.
#[derive(Debug)]
pub struct Flows {
    flows: HashMap<FlowKey, Flow, RandomState>,
    services: HashMap<(Host, Host), u32, RandomState>,
    limits: FlowLimits,
    /// Flows folded into their pair's remainder because the pair had too many services.
    pub folded: u64,
    /// Flows forgotten because there were too many in all, with their frames and bytes.
    pub forgotten: (u64, u64, u64),
}

/// Bounds on flows.
#[derive(Clone, Copy, Debug)]
pub struct FlowLimits {
    /// In all.
    pub flows: usize,
    /// Services of one server that one client may name; further ones fold into one flow with port 0.
    pub per_pair: u32,
}

impl Flows {
    /// An empty table.
    #[must_use]
    pub fn new(limits: FlowLimits, hasher: RandomState) -> Self {
        Self {
            flows: HashMap::with_hasher(hasher.clone()),
            services: HashMap::with_hasher(hasher),
            limits,
            folded: 0,
            forgotten: (0, 0, 0),
        }
    }

    /// Adds what a connection was.
    pub fn add(&mut self, mut flow: Flow) {
        if let Some(known) = self.flows.get_mut(&flow.key) {
            known.merge(&flow);
            return;
        }
        let services = self.services.entry((flow.key.client, flow.key.server)).or_default();
        if *services >= self.limits.per_pair && flow.protocol.is_none() {
            self.folded += 1;
            flow.key.port = 0;
            if let Some(known) = self.flows.get_mut(&flow.key) {
                known.merge(&flow);
                return;
            }
        }
        *services += 1;
        if self.flows.len() >= self.limits.flows {
            self.forget();
        }
        self.flows.insert(flow.key, flow);
    }

    /// Every flow.
    #[must_use]
    pub fn into_flows(self) -> Vec<Flow> {
        self.flows.into_values().collect()
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.flows.len()
    }

    /// None.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.flows.is_empty()
    }

    /// Makes room: the eighth that matters least goes. Flows on which a protocol was found matter most, then those with
    /// many frames, then the latest.
    #[cold]
    fn forget(&mut self) {
        let worth = |flow: &Flow| (flow.protocol.is_some(), flow.frames().min(1 << 20), flow.last, flow.key);
        let mut worths: Vec<_> = self.flows.values().map(worth).collect();
        let eighth = (worths.len() / 8).max(1);
        if eighth >= worths.len() {
            return;
        }
        let (_, limit, _) = worths.select_nth_unstable(eighth);
        let limit = *limit;
        let Self { flows, services, forgotten, .. } = self;
        flows.retain(|key, flow| {
            let stays = worth(flow) >= limit;
            if !stays {
                forgotten.0 += 1;
                forgotten.1 += flow.frames();
                forgotten.2 += flow.client.traffic.bytes + flow.server.traffic.bytes;
                services.remove(&(key.client, key.server));
            }
            stays
        });
    }
}
