//! The connections of one shard and the flows that they add up to. Both are bounded: at the limit what is idle and
//! smallest goes first, so that a flood of random addresses evicts itself and not the plant.

use std::collections::{HashMap, VecDeque};

use ahash::RandomState;

use super::Flow;
use super::connection::{Connection, ConnectionKey, Side, Traffic};
use super::hash::Secret;
use super::index::Index;
use super::key::FlowKey;
use super::slab::Slab;
use crate::address::{Address, Realm};
use crate::decode::{Headers, Transport};
use crate::ledger::Evidence;

/// Connections, by key, in a slab.
#[derive(Debug)]
pub struct Connections {
    index: Index,
    secret: Secret,
    slab: Slab<Connection>,
    limit: usize,
    hand: usize,
    /// The place of the one that was evicted.
    free: Option<u32>,
}

/// Where a packet belongs.
#[derive(Clone, Copy, Debug, Default)]
pub struct Spot {
    /// Which end of its connection sent it.
    pub sender: Side,
    hash: u64,
}

/// The network of a packet. One sensor has one, unless its configuration says more.
pub(crate) const REALM: Realm = Realm(0);

impl Connections {
    /// A table for at most so many.
    #[must_use]
    pub fn new(limit: usize, hasher: &RandomState) -> Self {
        let secret = Secret::new(hasher);
        Self { index: Index::default(), secret, slab: Slab::default(), limit: limit.max(16), hand: 0, free: None }
    }

    /// Where a packet belongs.
    #[must_use]
    #[inline]
    pub fn spot(&self, headers: &Headers<'_>) -> Spot {
        let [src_port, dst_port] = headers.ports;
        let hash = self.hash((headers.src, src_port), (headers.dst, dst_port), headers.transport);
        Spot { sender: Side::of(headers), hash }
    }

    /// Of the two ends in any order. Who floods the table cannot choose it.
    #[inline]
    fn hash(&self, one: (Address, u16), other: (Address, u16), transport: Transport) -> u64 {
        let end = |(address, port): (Address, u16)| {
            let [first, second] = address.words();
            self.secret.mix(first, second.wrapping_add(u64::from(port) << 40))
        };
        let transport = match transport {
            Transport::Tcp => 0,
            Transport::Udp => 1,
            Transport::Icmp => 2,
            Transport::Ip(n) => 0x100 | u64::from(n),
            Transport::Ethertype(n) => 0x1_0000 | u64::from(n),
            Transport::Llc(n) => 0x200 | u64::from(n),
        };
        self.secret.mix(end(one).wrapping_add(end(other)), transport)
    }

    fn hash_of(&self, key: &ConnectionKey) -> u64 {
        let ConnectionKey { a, b, ports: [port_a, port_b], transport, .. } = *key;
        self.hash((a, port_a), (b, port_b), transport)
    }

    fn is_at(&self, place: u32, headers: &Headers<'_>, spot: &Spot) -> bool {
        self.slab.get(place as usize).is_some_and(|known| known.key.is_of(headers, spot.sender, REALM))
    }

    /// The connection of a packet, if it is at that place.
    #[must_use]
    #[inline]
    pub fn at(&mut self, place: u32, headers: &Headers<'_>, spot: &Spot) -> Option<&mut Connection> {
        self.slab.get_mut(place as usize).filter(|known| known.key.is_of(headers, spot.sender, REALM))
    }

    /// Prefetches where the place of a connection stands.
    #[inline]
    pub fn prefetch_index(&self, spot: &Spot) {
        self.index.prefetch(spot.hash);
    }

    /// Prefetches the connection that most likely is meant, and gives it with its place. For one that is none yet, the one
    /// whose place it will take, of which there were `news` before it; it is counted there.
    #[must_use]
    #[inline]
    pub fn guess(&self, headers: &Headers<'_>, spot: &Spot, news: &mut usize) -> Option<(u32, &Connection)> {
        let Some(place) = self.index.guess(spot.hash) else {
            *news += 1;
            if let Some(victim) = self.slab.get(self.hand + *news - 1).filter(|_| self.slab.len() >= self.limit) {
                victim.prefetch_whole();
            }
            return None;
        };
        let connection = self.slab.get(place as usize)?;
        connection.prefetch(spot.sender, headers);
        Some((place, connection))
    }

    /// The place of a packet's connection, when it is not the one that was guessed.
    #[cold]
    pub fn find(&self, headers: &Headers<'_>, spot: &Spot) -> Option<u32> {
        self.index.find(spot.hash, |place| self.is_at(place, headers, spot))
    }

    /// The connection that will have to go for a new one, of which there were `news` before it, when the table is full;
    /// where it stands in the index is prefetched.
    #[must_use]
    pub fn next_victim(&self, news: usize) -> Option<&Connection> {
        let victim = self.slab.get(self.hand + news).filter(|_| self.slab.len() >= self.limit)?;
        self.index.prefetch(self.hash_of(&victim.key));
        victim.prefetch_end();
        Some(victim)
    }

    /// When the table is full: the one that has to go, to be closed before another takes its place.
    #[inline]
    pub fn evict(&mut self) -> Option<&mut Connection> {
        if self.slab.len() < self.limit || self.free.is_some() {
            return None;
        }
        let place = self.victim();
        let old = self.slab.get(place as usize)?;
        self.index.remove(self.hash_of(&old.key), place);
        self.free = Some(place);
        self.slab.get_mut(place as usize)
    }

    /// Adds the connection of its first packet.
    pub fn insert(&mut self, spot: &Spot, headers: &Headers<'_>, at: Evidence) -> Option<&mut Connection> {
        let key = ConnectionKey::of(headers, spot.sender, REALM);
        let new = Connection::new(key, spot.sender, headers, at);
        let place = match self.free.take() {
            Some(place) => {
                *self.slab.get_mut(place as usize)? = new;
                place
            }
            None => {
                self.slab.push(new);
                u32::try_from(self.slab.len() - 1).ok()?
            }
        };
        self.index.insert(spot.hash, place);
        self.slab.get_mut(place as usize)
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
        self.slab.len() == 0
    }

    /// Who goes: of the neighbours that the hand passes, the first that is no more than a glimpse; else one that nobody
    /// answered before one on which no protocol was found before one that speaks, the longest idle of these.
    fn victim(&mut self) -> u32 {
        let len = self.slab.len();
        let mut least = None;
        for i in (self.hand..self.hand + PASSED).map(|i| i % len) {
            let Some(connection) = self.slab.get(i) else { continue };
            if connection.is_glimpse() {
                // A flood goes round: its oldest is next, and no other has to be looked at.
                self.hand = (i + 1) % len;
                return i as u32; // Below the limit of connections, which insert keeps within u32.
            }
            let worth = (connection.worth(), connection.last(), i);
            least = Some(least.map_or(worth, |least: (u8, Evidence, usize)| least.min(worth)));
        }
        self.hand = (self.hand + PASSED) % len;
        least.map_or(0, |(_, _, i)| i) as u32
    }
}

/// Neighbours that are looked at to evict one. More would choose better and cost a flood more.
const PASSED: usize = 4;

/// Flows, by key, in a slab.
#[derive(Debug)]
pub struct Flows {
    index: Index,
    hasher: RandomState,
    flows: Vec<Flow>,
    /// Services of each pair of client and server, by a number that differs for different pairs nearly always: were two one,
    /// their services would fold a little earlier.
    services: HashMap<u64, u32, RandomState>,
    /// Flows that were no more than a glimpse when they came, oldest first.
    glimpses: VecDeque<FlowKey>,
    /// Glimpses that came when there were too many.
    turn: u64,
    limits: FlowLimits,
    /// Flows folded into their pair's remainder because the pair had too many services.
    pub folded: u64,
    /// Flows forgotten because there were too many in all, with their frames and bytes.
    pub forgotten: (u64, u64, u64),
}

/// Flows by which a table grows at least.
const GROWTH: usize = 64;

/// Of so many glimpses above the limit one is kept.
pub const TURNS: u64 = 16;

/// Bounds on flows.
#[derive(Clone, Copy, Debug)]
pub struct FlowLimits {
    /// In all. At the limit those that matter least are forgotten: unanswered, without a known protocol, with few frames, long ago.
    pub flows: usize,
    /// Flows that are no more than a glimpse, see [`Flow::is_glimpse`]. At the limit one in [`TURNS`] new ones takes the
    /// place of the oldest and the others are forgotten at once, so that a flood of random addresses leaves neither a
    /// large table nor a large inventory, and costs little.
    pub glimpses: usize,
    /// Services of one server that one client may name; further ones fold into one flow with port 0.
    pub per_pair: u32,
}

impl Flows {
    /// An empty table.
    #[must_use]
    pub fn new(limits: FlowLimits, hasher: RandomState) -> Self {
        Self {
            index: Index::default(),
            flows: Vec::new(),
            services: HashMap::with_hasher(hasher.clone()),
            hasher,
            glimpses: VecDeque::new(),
            turn: 0,
            limits,
            folded: 0,
            forgotten: (0, 0, 0),
        }
    }

    /// Prefetches where the flow of a connection stands.
    pub fn prefetch(&self, connection: &Connection) {
        self.index.prefetch(self.hasher.hash_one(connection.flow_key()));
    }

    /// Forgets what a connection was, unless it has a place here: it is no more than a glimpse, its flow is not known, and
    /// there are too many such.
    pub fn forgets(&mut self, connection: &Connection) -> bool {
        if self.glimpses.len() < self.limits.glimpses || !connection.is_glimpse() {
            return false;
        }
        if self.find(&connection.flow_key()).is_some() {
            return false;
        }
        self.turn = self.turn.wrapping_add(1);
        let forgets = !self.turn.is_multiple_of(TURNS);
        if forgets {
            self.forgotten.0 += 1;
            for Traffic { frames, bytes, .. } in [Side::A, Side::B].map(|side| connection.traffic(side)) {
                self.forgotten.1 += frames;
                self.forgotten.2 += bytes;
            }
        }
        forgets
    }

    /// Adds what a connection was. Returns the key under which it is counted.
    pub fn add(&mut self, mut flow: Flow) -> FlowKey {
        if let Some(known) = self.get_mut(&flow.key) {
            known.merge(&mut flow);
            return flow.key;
        }
        let pair = self.hasher.hash_one((flow.key.client, flow.key.server));
        let services = self.services.get(&pair).copied().unwrap_or_default();
        if services >= self.limits.per_pair && flow.protocol.is_none() {
            self.folded += 1;
            flow.key.port = 0;
            if let Some(known) = self.get_mut(&flow.key) {
                known.merge(&mut flow);
                return flow.key;
            }
        }
        if flow.is_glimpse() {
            if self.glimpses.len() >= self.limits.glimpses {
                self.forget_glimpse();
            }
            self.glimpses.push_back(flow.key);
        }
        if self.flows.len() >= self.limits.flows {
            self.forget();
        }
        *self.services.entry(pair).or_default() += 1;
        let key = flow.key;
        if let Ok(place) = u32::try_from(self.flows.len()) {
            self.index.insert(self.hasher.hash_one(key), place);
            if self.flows.len() == self.flows.capacity() {
                self.flows.reserve_exact(self.flows.len() / 8 + GROWTH); // Twice as many is much memory for nothing.
            }
            self.flows.push(flow);
        }
        key
    }

    /// Every flow, in no order.
    #[must_use]
    pub fn into_flows(self) -> Vec<Flow> {
        self.flows
    }

    /// The flows, by value, to be put back by [`Self::restore`] before another is added. What limits took meanwhile is
    /// still counted here.
    #[must_use]
    pub fn take(&mut self) -> Vec<Flow> {
        self.index = Index::default();
        std::mem::take(&mut self.flows)
    }

    /// Puts flows back.
    pub fn restore(&mut self, flows: Vec<Flow>) {
        for (place, flow) in (0..).zip(&flows) {
            self.index.insert(self.hasher.hash_one(flow.key), place);
        }
        self.flows = flows;
    }

    /// All flows, by value: the table is empty then, and its counts of what limits took start again.
    pub fn drain(&mut self) -> Vec<Flow> {
        let empty = Self::new(self.limits, self.hasher.clone());
        std::mem::replace(self, empty).into_flows()
    }

    /// It is half full.
    #[must_use]
    pub fn is_crowded(&self) -> bool {
        self.flows.len() > self.limits.flows / 2
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

    fn find(&self, key: &FlowKey) -> Option<u32> {
        let is = |place: u32| self.flows.get(place as usize).is_some_and(|known| known.key == *key);
        self.index.find(self.hasher.hash_one(key), is)
    }

    fn get_mut(&mut self, key: &FlowKey) -> Option<&mut Flow> {
        let place = self.find(key)?;
        self.flows.get_mut(place as usize)
    }

    /// The oldest glimpse goes, unless it has become more meanwhile: then it only is no glimpse any more.
    fn forget_glimpse(&mut self) {
        let Some(oldest) = self.glimpses.pop_front() else { return };
        if let Some(place) = self.find(&oldest)
            && self.flows.get(place as usize).is_some_and(Flow::is_glimpse)
        {
            self.remove(place);
        }
    }

    /// Makes room: the eighth that matters least goes. Flows that were answered and on which a protocol was found matter most,
    /// then those of which one of both is true, then those with many frames, then the latest.
    #[cold]
    fn forget(&mut self) {
        let rank = |flow: &Flow| u8::from(flow.server.traffic().frames > 0) + u8::from(flow.protocol.is_some());
        let worth = |flow: &Flow| (rank(flow), flow.frames().min(1 << 20), flow.last(), flow.key);
        let mut worths: Vec<_> = self.flows.iter().map(worth).collect();
        let eighth = (worths.len() / 8).max(1);
        if eighth >= worths.len() {
            return;
        }
        let (least, ..) = worths.select_nth_unstable(eighth);
        for (.., key) in least {
            if let Some(place) = self.find(key) {
                self.remove(place);
            }
        }
    }

    fn remove(&mut self, place: u32) {
        let Some(last) = self.flows.len().checked_sub(1).and_then(|last| u32::try_from(last).ok()) else { return };
        let hash = |flow: &Flow| self.hasher.hash_one(flow.key);
        if let (Some(gone), Some(moves)) = (self.flows.get(place as usize), self.flows.get(last as usize)) {
            self.index.remove(hash(gone), place);
            if place != last {
                self.index.remove(hash(moves), last);
                self.index.insert(hash(moves), place);
            }
        }
        let gone = self.flows.swap_remove(place as usize);
        self.forgotten.0 += 1;
        self.forgotten.1 += gone.frames();
        self.forgotten.2 += gone.client.traffic().bytes + gone.server.traffic().bytes;
        let pair = self.hasher.hash_one((gone.key.client, gone.key.server));
        if let Some(services) = self.services.get_mut(&pair) {
            *services = services.saturating_sub(1);
            if *services == 0 {
                self.services.remove(&pair);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Timestamp;

    #[test]
    fn of_a_flood_one_glimpse_in_sixteen_takes_the_place_of_the_oldest() {
        const ROOM: usize = 4;
        let limits = FlowLimits { flows: 1000, glimpses: ROOM, per_pair: 1000 };
        let mut flows = Flows::new(limits, RandomState::new());
        let mut kept = Vec::new();
        for n in 0..ROOM as u16 + 160 {
            let headers = Headers {
                src: Address::v4([10, 1, n.to_be_bytes()[0], n.to_be_bytes()[1]]),
                dst: Address::v4([10, 0, 0, 1]),
                ports: [50_000, 1000 + n],
                transport: Transport::Udp,
                ..Headers::default()
            };
            let (sender, at) = (Side::of(&headers), Evidence::new(Timestamp::from_nanos(0), 0, n.into()));
            let mut connection = Connection::new(ConnectionKey::of(&headers, sender, REALM), sender, &headers, at);
            connection.count(sender, &headers, 60, at, Default::default());
            if !flows.forgets(&connection) {
                kept.push(n);
                flows.add(Flow::take(&mut connection));
            }
        }
        assert_eq!(kept, [0, 1, 2, 3, 19, 35, 51, 67, 83, 99, 115, 131, 147, 163]);
        assert_eq!((flows.forgotten.0, flows.into_flows().len()), (160, ROOM));
    }
}
