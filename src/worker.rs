//! One shard of the traffic, run to completion: a packet comes in, and what leaves is counters, facts and flows.
//!
//! Traffic is sharded by host pair, so that a CIP Forward Open (TCP) and its I/O (UDP), and the fragments of a datagram,
//! meet in one shard. The number of shards is fixed: however many workers share them, each shard sees the same packets
//! in the same order, with the same limits, and so the result never depends on the number of workers.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use ahash::RandomState;
use dissectors::recognise::{Recognised, recognise_frame, told_name, told_stations};
use dissectors::{
    Attribute, Carrier, ComponentId, Direction, Identity, Link, LinkSide, Method, Observation, Operation, Outcome,
    Party, REGISTRY, Role, Sink, attribute,
};

use crate::address::Host;
use crate::bounded;
use crate::config::Limits;
use crate::decode::fragments::Fragments;
use crate::decode::{Headers, Packet, Tcp, Transport, Undecoded, Upper};
use crate::flow::connection::{Connection, ConnectionKey, Counted, Orientation, Record, Side};
use crate::flow::dialog::{Listener, Terms};
use crate::flow::docket::{self, Case};
use crate::flow::hash::Secret;
use crate::flow::key::Initiator;
use crate::flow::path::Paths;
use crate::flow::table::{Connections, Flows, Spot};
use crate::flow::watch::Watch;
use crate::flow::{Flow, ops};
use crate::ledger::{Evidence, Fact, FactKey, Ledger, Subject, Support, Tail};
use crate::policy::{Policy, TapId};
use crate::source::Frame;
use crate::stream::Piece;
use crate::time::Timestamp;

/// Shards of the traffic. More would cost cache, fewer would bound the number of workers that help.
pub const SHARDS: usize = 16;

/// The shard of a packet: the same for both directions.
#[must_use]
#[inline]
pub fn shard_of(headers: &Headers<'_>) -> usize {
    let pair = headers.src.mix().wrapping_add(headers.dst.mix());
    (pair >> 60) as usize % SHARDS
}

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
    /// By protocol, in the order of the registry.
    pub protocols: Vec<ProtocolCoverage>,
    /// Dissectors that panicked: bugs, each of which cost one connection.
    pub panics: u64,
    /// Frames and bytes of flows that were forgotten at a limit.
    pub forgotten: (u64, u64),
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
}

/// Message codes counted for one protocol; Modbus, the widest, has 256.
const MESSAGES: usize = 512;

impl Flows {
    /// Counts what the limits of the table took.
    fn tell_limits(&self, coverage: &mut Coverage) {
        coverage.limit("services-per-pair", self.folded);
        let (flows, frames, bytes) = self.forgotten;
        coverage.limit("flows", flows);
        coverage.forgotten = (frames, bytes);
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
        self.protocols.resize_with(REGISTRY.len(), ProtocolCoverage::default);
        for (mine, theirs) in self.protocols.iter_mut().zip(&other.protocols) {
            mine.pdus += theirs.pdus;
            mine.bytes += theirs.bytes;
            mine.skipped_bytes += theirs.skipped_bytes;
            mine.anomalies += theirs.anomalies;
            mine.opaque += theirs.opaque;
            theirs.messages.iter().for_each(|(message, n)| mine.message(*message, *n));
        }
    }

    /// Counts the limits that watching over time reached.
    fn watch(&mut self, watch: &Watch) {
        self.limit("rates", watch.meters.refused);
        self.limit("sessions", watch.sessions_dropped);
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
    fn message(&mut self, message: u32, times: u64) {
        if let Some(known) = self.messages.iter_mut().find(|known| known.0 == message) {
            known.1 += times;
        } else if self.messages.len() < MESSAGES {
            self.messages.push((message, times));
        }
    }
}

/// What a shard knows beside its connections.
struct Notes {
    ledger: Ledger,
    tail: Tail,
    /// Conversations that another one opened: who opened them.
    links: HashMap<(Host, Host, &'static str, u64), Host, RandomState>,
    coverage: Coverage,
    secret: Secret,
    limits: Limits,
    policy: Option<Arc<Policy>>,
    /// By capture.
    taps: Arc<[TapId]>,
    watch: Watch,
}

/// One shard: the connections of its host pairs, the flows they add up to, and what was learned.
pub struct Shard {
    connections: Connections,
    flows: Flows,
    fragments: Fragments,
    notes: Notes,
}

/// What a shard has to say at the end.
#[derive(Debug, Default)]
pub struct ShardResult {
    /// Flows, in no order.
    pub flows: Vec<Flow>,
    /// Facts.
    pub ledger: Ledger,
    /// What happened to frames.
    pub coverage: Coverage,
    /// What the policy asked to be watched.
    pub watch: Watch,
}

impl Shard {
    /// An empty shard with its part of the limits.
    #[must_use]
    pub fn new(limits: &Limits, policy: Option<Arc<Policy>>) -> Self {
        let limits = limits.share(SHARDS);
        let hasher = RandomState::new();
        let mut coverage = Coverage::default();
        coverage.protocols.resize_with(REGISTRY.len(), ProtocolCoverage::default);
        Self {
            connections: Connections::new(limits.connections, &hasher),
            flows: Flows::new(limits.flows, hasher.clone()),
            fragments: Fragments::new(limits.fragments),
            notes: Notes {
                ledger: Ledger::bounded(limits.ledger),
                tail: Tail::default(),
                links: HashMap::with_hasher(hasher.clone()),
                coverage,
                secret: Secret::new(&hasher),
                watch: Watch::new(policy.as_deref(), limits.meters),
                limits,
                policy,
                taps: Arc::default(),
            },
        }
    }

    /// Tells which tap of the policy each capture is from, by its place in the list.
    #[must_use]
    pub fn listening(mut self, taps: Arc<[TapId]>) -> Self {
        self.notes.taps = taps;
        self
    }

    /// Takes a frame that was decoded and belongs to this shard. `packet`: the whole of what was decoded, for a frame that
    /// is not [plain](Headers::read). `place`: of its connection a moment ago, or one that none is at.
    #[inline]
    pub fn packet(&mut self, arrival: &Arrival<'_>, packet: Option<&Packet<'_>>, spot: &Spot, place: u32) {
        let coverage = &mut self.notes.coverage;
        coverage.frames += 1;
        coverage.bytes += u64::from(arrival.wire_len);
        coverage.decoded += 1;
        coverage.truncated += u64::from(arrival.is_cut);
        match packet {
            Some(packet) if arrival.headers.is_fragment => self.fragment(arrival, packet),
            _ => self.conversation(arrival, packet, spot, place),
        }
    }

    /// Where a packet belongs.
    #[must_use]
    #[inline]
    pub fn spot(&self, headers: &Headers<'_>) -> Spot {
        self.connections.spot(headers)
    }

    /// The place of its connection, if there is one.
    #[must_use]
    #[inline]
    pub fn find(&self, headers: &Headers<'_>, spot: &Spot) -> Option<u32> {
        self.connections.find(headers, spot)
    }

    /// See [`Connections::touch_index`].
    #[must_use]
    #[inline]
    pub fn touch_index(&self, spot: &Spot) -> u64 {
        self.connections.touch_index(spot)
    }

    /// See [`Connections::touch`].
    #[must_use]
    #[inline]
    pub fn touch(&self, spot: &Spot, news: &mut usize) -> u64 {
        self.connections.touch(spot, news)
    }

    /// Touches what hangs on a connection, see [`Connection::touch_inside`]. When it is none yet, what is to be known of
    /// the one that it will take the place of.
    #[must_use]
    #[inline]
    pub fn touch_inside(&self, place: u32, news: &mut usize) -> u64 {
        if place != u32::MAX {
            return self.connections.touch_inside(place);
        }
        *news += 1;
        let victim = self.connections.next_victim(*news - 1);
        victim.map_or(0, |(victim, touched)| touched ^ self.flows.touch(victim))
    }

    /// Counts a frame that could not be decoded.
    #[cold]
    pub fn undecoded(&mut self, frame: &Frame<'_>, why: Undecoded) {
        let coverage = &mut self.notes.coverage;
        coverage.frames += 1;
        coverage.bytes += u64::from(frame.wire_len);
        *coverage.not_decoded.entry(why.reason()).or_default() += 1;
    }

    /// What was learned. Held segments are given up, and open connections counted as they are.
    #[must_use]
    pub fn finish(mut self) -> ShardResult {
        for connection in self.connections.iter_mut() {
            if !self.flows.forgets(connection) {
                close(connection, &mut self.notes);
                self.flows.add(Flow::take(connection));
            }
        }
        let Notes { mut ledger, tail, mut coverage, watch, .. } = self.notes;
        tail.finish(&mut ledger);
        coverage.limit("facts", ledger.refused());
        coverage.watch(&watch);
        self.flows.tell_limits(&mut coverage);
        ShardResult { flows: self.flows.into_flows(), ledger, coverage, watch }
    }

    /// What was learned since the last time; everything goes on. `now` is the time of the capture's clock, by which
    /// conversations that came to nothing are told.
    ///
    /// The sum of all that is drained, and of what [`Self::finish`] adds, is what [`Self::finish`] alone would have said.
    #[must_use]
    pub fn drain(&mut self, now: Timestamp) -> ShardResult {
        for connection in self.connections.iter_mut() {
            let Notes { policy, watch, .. } = &mut self.notes;
            let policy = policy.as_deref().filter(|_| connection.is_told(now));
            let judged = policy.is_some_and(|policy| docket::close(connection, policy, watch));
            if judged || connection.is_ripe(now) {
                self.flows.add(Flow::drain(connection));
            }
        }
        let Notes { ledger, tail, coverage, limits, watch, .. } = &mut self.notes;
        let watch = watch.drain();
        let mut learned = std::mem::replace(ledger, Ledger::bounded(limits.ledger));
        std::mem::take(tail).finish(&mut learned);
        let mut fresh = Coverage::default();
        fresh.protocols.resize_with(REGISTRY.len(), ProtocolCoverage::default);
        let mut coverage = std::mem::replace(coverage, fresh);
        coverage.limit("facts", learned.refused());
        coverage.watch(&watch);
        self.flows.tell_limits(&mut coverage);
        ShardResult { flows: self.flows.drain(), ledger: learned, coverage, watch }
    }

    /// Judges by another policy from now on. What was watched counts by the rules of the old one: it is drained before.
    /// `taps` says which tap of the new one each capture is from.
    pub fn judge_by(&mut self, policy: Option<Arc<Policy>>, taps: Arc<[TapId]>) {
        self.notes.watch = Watch::new(policy.as_deref(), self.notes.limits.meters);
        self.notes.taps = taps;
        for connection in self.connections.iter_mut() {
            connection.docket.forget();
            connection.paths.iter_mut().for_each(Paths::forget_taps);
        }
        self.notes.policy = policy;
    }

    /// A fragment counts where it is; the datagram that it completes is read as if it came whole.
    #[cold]
    fn fragment(&mut self, arrival: &Arrival<'_>, packet: &Packet<'_>) {
        self.notes.coverage.fragments += 1;
        let mut whole = self.fragments.push(arrival.at.at, packet);
        // What was fragmented may carry a tunnel with a fragment inside; each round takes a header away.
        while let Some(datagram) = whole {
            let inner = datagram.packet();
            if inner.ip.is_none_or(|ip| ip.fragment.is_none()) {
                return self.late(arrival, &inner);
            }
            whole = self.fragments.push(arrival.at.at, &inner);
        }
        self.late(arrival, packet);
    }

    /// A packet that was not looked up with the others.
    fn late(&mut self, arrival: &Arrival<'_>, packet: &Packet<'_>) {
        let arrival = Arrival { headers: Headers::of(packet), ..*arrival };
        let spot = self.spot(&arrival.headers);
        self.conversation(&arrival, Some(packet), &spot, u32::MAX);
    }

    #[inline]
    fn conversation(&mut self, arrival: &Arrival<'_>, packet: Option<&Packet<'_>>, spot: &Spot, place: u32) {
        let Arrival { headers, at, wire_len, .. } = arrival;
        // The packet before may have opened the connection, or taken its place.
        let is_there = self.connections.is_at(place, headers, spot);
        let place = if is_there { Some(place) } else { self.connections.find(headers, spot) };
        if place.is_none() {
            self.make_room();
        }
        let Self { connections, notes, .. } = self;
        let connection = match place {
            Some(place) => connections.get_mut(place),
            None => connections.insert(spot, headers, *at),
        };
        let Some(connection) = connection else { return };
        let sender = spot.sender;
        let tap = notes.taps.get(usize::from(at.capture())).copied().unwrap_or_default();
        let counted = connection.count(sender, headers, *wire_len, *at, tap);
        if headers.cut > 0 {
            connection.docket.truncated = true;
        }
        notes.watch.frame(at.at);
        if let (Some(policy), true) = (&notes.policy, notes.watch.asks() && !counted.copy) {
            let payload = !headers.payload.is_empty();
            if payload && headers.is_ip {
                connection.docket.mark(sender, headers.dscp);
            }
            if policy.names_stations() {
                stations(connection, sender, headers.payload, *at, &mut notes.ledger);
            }
            docket::frame(connection, policy, *wire_len, payload, *at, &mut notes.watch);
        }
        if let Some(packet) = packet {
            notes.odd(connection, sender, packet, &counted, *at);
        }
        if counted.copy {
            notes.coverage.duplicates += 1;
            return;
        }
        match headers.transport {
            Transport::Tcp => segment(connection, sender, headers, *at, notes),
            Transport::Udp => datagram(connection, sender, headers, *at, notes),
            _ => {}
        }
    }

    /// Before a new connection: when there are too many, one is closed and added to its flow.
    fn make_room(&mut self) {
        let Self { connections, flows, notes, .. } = self;
        if let Some(old) = connections.evict() {
            notes.coverage.limit("connections", 1);
            if !flows.forgets(old) {
                close(old, notes);
                flows.add(Flow::take(old));
            }
        }
    }
}

/// A frame that was decoded.
#[derive(Clone, Copy, Debug, Default)]
pub struct Arrival<'a> {
    /// What was read of it.
    pub headers: Headers<'a>,
    /// Which it is.
    pub at: Evidence,
    /// Its length on the wire in bytes.
    pub wire_len: u32,
    /// The snap length cut it.
    pub is_cut: bool,
}

impl<'a> Arrival<'a> {
    /// Sets which frame it is of which the headers were read.
    #[inline]
    pub fn set_frame(&mut self, frame: &Frame<'a>) {
        self.is_cut = (frame.bytes.len() as u64) < u64::from(frame.wire_len);
        self.at = Evidence::new(frame.at, frame.capture, frame.number);
        self.wire_len = frame.wire_len;
    }
}

/// RFC 826.
const ARP_REQUEST: u16 = 1;

/// Hears what a dialog says, and writes it down.
struct Ear<'a> {
    record: Record<'a>,
    notes: &'a mut Notes,
    protocol: usize,
    sender: Side,
    at: Evidence,
}

impl<'a> Ear<'a> {
    fn new(record: Record<'a>, notes: &'a mut Notes, sender: Side, at: Evidence) -> Self {
        Self { record, notes, protocol: 0, sender, at }
    }
}

fn terms(key: &ConnectionKey) -> Terms {
    let carrier = if key.transport == Transport::Udp { Carrier::Udp } else { Carrier::Tcp };
    Terms { carrier, ports: [key.a.port, key.b.port] }
}

#[inline]
fn segment(connection: &mut Connection, sender: Side, headers: &Headers<'_>, at: Evidence, notes: &mut Notes) {
    if let Some(flags) = connection.flags.get_mut(sender.index()) {
        *flags |= headers.flags;
    }
    if headers.opens() {
        open(connection, sender, headers, at, notes);
    }
    let (bytes, cut, len) = (headers.payload, headers.cut, headers.len());
    if let Some(payload) = connection.payload.get_mut(sender.index()) {
        *payload += u64::from(len);
    }
    let terms = terms(&connection.key);
    let (dialog, [order_a, order_b], record) = connection.split();
    let (mine, theirs) = if sender == Side::A { (order_a, order_b) } else { (order_b, order_a) };
    if headers.has(Tcp::ACK) {
        theirs.acknowledged(headers.ack);
    }
    if len == 0 || dialog.is_settled() {
        return;
    }
    let seq = headers.seq.wrapping_add(u32::from(headers.has(Tcp::SYN)));
    let mut ear = Ear::new(record, notes, sender, at);
    if mine.continues(seq, len) {
        dialog.bytes(terms, sender, bytes, cut, at, &mut ear);
    } else {
        let limits = ear.notes.limits.order;
        mine.segment(seq, bytes, cut, at.at, &limits, &mut |piece| {
            ear.loss(piece);
            dialog.piece(terms, sender, piece, at, &mut ear);
        });
    }
    stations(connection, sender, bytes, at, &mut notes.ledger);
}

/// A SYN, or its answer: who asks is known, and the numbers of this side start.
#[cold]
fn open(connection: &mut Connection, sender: Side, headers: &Headers<'_>, at: Evidence, notes: &mut Notes) {
    let other = connection.order.get(sender.index()).is_some_and(|order| order.is_other(headers.seq));
    let was_speaking = [Side::A, Side::B].into_iter().any(|side| connection.has_spoken(side));
    if other && was_speaking && !headers.has(Tcp::ACK) {
        close(connection, notes);
        connection.reopened += 1;
        connection.dialog.restart(&notes.limits.session);
        connection.order = Default::default();
    }
    let started = connection.order.get(sender.index()).is_some_and(crate::stream::Order::started);
    if (!started || other)
        && let Some(order) = connection.order.get_mut(sender.index())
    {
        order.start(headers.seq);
    }
    connection.note_syn(sender, headers);
    connection.last = connection.last.max(at);
}

#[inline]
fn datagram(connection: &mut Connection, sender: Side, headers: &Headers<'_>, at: Evidence, notes: &mut Notes) {
    if let Some(payload) = connection.payload.get_mut(sender.index()) {
        *payload += u64::from(headers.len());
    }
    if headers.payload.is_empty() {
        return;
    }
    let terms = terms(&connection.key);
    let host = connection.key.host(sender);
    let was_settled = connection.dialog.is_settled();
    let (dialog, _, record) = connection.split();
    dialog.bytes(terms, sender, headers.payload, headers.cut, at, &mut Ear::new(record, notes, sender, at));
    if let (false, Some(recognised)) = (was_settled, dialog.recognised()) {
        notes.told_name(host, recognised, headers.payload, at);
        stations(connection, sender, headers.payload, at, &mut notes.ledger);
    }
}

/// Takes note of which stations a message goes between, where its protocol has such.
#[inline]
fn stations(connection: &Connection, sender: Side, message: &[u8], at: Evidence, ledger: &mut Ledger) {
    if let Some(recognised) = connection.dialog.recognised() {
        told_stations_of(connection, sender, recognised, message, at, ledger);
    }
}

#[cold]
fn told_stations_of(
    connection: &Connection,
    sender: Side,
    recognised: &Recognised,
    message: &[u8],
    at: Evidence,
    ledger: &mut Ledger,
) {
    let Some([to, from]) = told_stations(recognised, message) else { return };
    for (station, side, method) in [(from, sender, Method::Announcement), (to, sender.other(), Method::ThirdParty)] {
        let host = connection.key.host(side);
        // Of whom nothing was heard it is not known that they are there.
        if let (Some(station), true, false) = (station, connection.has_sent(side), host.address.is_group()) {
            let value = station.to_string().into();
            let key = FactKey { attribute: attribute::DNP3_LINK, value, protocol: "dnp3", method };
            let support = Support { count: 1, first: at, last: at, weight: method.weight(), basis: "" };
            ledger.apply(Subject { host, component: None }, Fact { key, support });
        }
    }
}

/// The connection ends, or is counted as if: nothing that was held may be lost.
fn close(connection: &mut Connection, notes: &mut Notes) {
    let terms = terms(&connection.key);
    let at = connection.last;
    let (dialog, order, record) = connection.split();
    let mut ear = Ear::new(record, notes, Side::A, at);
    for (side, order) in [Side::A, Side::B].into_iter().zip(order) {
        order.flush(&mut |piece| {
            ear.loss(piece);
            dialog.piece(terms, side, piece, at, &mut ear);
        });
    }
    dialog.finish(terms, &mut ear);
    if let Some(policy) = &notes.policy {
        connection.docket.end(&mut notes.watch);
        _ = docket::close(connection, policy, &mut notes.watch);
    }
}

/// What a judgement is asked with.
fn case<'a>(policy: &'a Policy, record: &Record<'_>, protocol: usize, sender: Side, at: Evidence) -> Option<Case<'a>> {
    let protocol = REGISTRY.get(protocol).copied()?;
    Some(Case {
        policy,
        protocol,
        protection: record.book.protection().clone(),
        orientation: *record.orientation,
        sender,
        at,
    })
}

impl Listener for Ear<'_> {
    #[inline]
    fn sink(&mut self, protocol: usize, sender: Side, at: Evidence) -> &mut dyn Sink {
        self.protocol = protocol;
        self.sender = sender;
        self.at = at;
        self
    }

    fn limits(&self) -> dissectors::Limits {
        self.notes.limits.session
    }

    #[inline]
    fn direction(&self, sender: Side) -> Direction {
        if sender == self.record.orientation.client { Direction::ToServer } else { Direction::ToClient }
    }

    fn role(&mut self, sender: Side, role: Role) {
        let client = if role == Role::Client { sender } else { sender.other() };
        self.record.orientation.improve(client, Initiator::Seen);
    }

    #[inline]
    fn pdu(&mut self, protocol: usize, pdu: &[u8]) {
        if let (Some(coverage), Some(p)) = (self.notes.coverage.protocols.get_mut(protocol), REGISTRY.get(protocol)) {
            coverage.pdus += 1;
            coverage.bytes += pdu.len() as u64;
            coverage.message(p.message(pdu), 1);
        }
    }

    fn skipped(&mut self, protocol: usize, bytes: u64) {
        if let Some(coverage) = self.notes.coverage.protocols.get_mut(protocol) {
            coverage.skipped_bytes += bytes;
        }
    }

    fn panicked(&mut self, _protocol: usize) {
        self.notes.coverage.panics += 1;
    }
}

impl Sink for Ear<'_> {
    #[inline]
    fn observe(&mut self, observation: Observation<'_>) {
        match observation {
            Observation::Operation(operation) => {
                if self.record.orientation.how != Initiator::Seen {
                    self.learn_roles(operation.outcome);
                }
                self.operation(&operation);
            }
            Observation::Identity(identity) => self.identity(&identity),
            Observation::Security(security) => {
                if self.record.book.security(&security) {
                    self.record.docket.unsettle();
                }
            }
            Observation::Link(link) => self.link(link),
            Observation::Anomaly(anomaly) => {
                self.record.book.anomaly(&anomaly, self.at);
                if let Some(coverage) = self.notes.coverage.protocols.get_mut(self.protocol) {
                    coverage.anomalies += 1;
                }
            }
            Observation::Opaque(_) => {
                self.record.book.note_opaque();
                self.hidden();
                if let Some(coverage) = self.notes.coverage.protocols.get_mut(self.protocol) {
                    coverage.opaque += 1;
                }
            }
        }
    }
}

impl Ear<'_> {
    /// A gap is what the tap lost.
    fn loss(&mut self, piece: Piece<'_>) {
        if let Piece::Gap(lost @ 1..) = piece {
            self.notes.watch.loss(lost, self.at.at);
        }
    }

    #[inline]
    fn operation(&mut self, operation: &Operation<'_>) {
        let fingerprint = ops::fingerprint(self.notes.secret, operation);
        if self.record.book.operation(fingerprint, operation, self.at).is_none() {
            self.notes.coverage.limit("operations-per-flow", 1);
        }
        if let Some(policy) = &self.notes.policy
            && !self.record.docket.known(fingerprint, operation.outcome, self.at, &mut self.notes.watch.meters)
            && let Some(case) = case(policy, &self.record, self.protocol, self.sender, self.at)
        {
            let parties = self.record.parties();
            let meters = &mut self.notes.watch.meters;
            self.record.docket.operation(fingerprint, operation, &case, &parties, meters);
        }
    }

    /// A message whose meaning is hidden is judged by what is known around it.
    fn hidden(&mut self) {
        if let Some(policy) = &self.notes.policy
            && let Some(case) = case(policy, &self.record, self.protocol, self.sender, self.at)
        {
            let parties = self.record.parties();
            self.record.docket.hidden(&case, &parties, &mut self.notes.watch.meters);
        }
    }

    /// A request tells who asks; a reply tells it too, but its request was not seen.
    #[cold]
    fn learn_roles(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::Asked => self.record.orientation.improve(self.sender, Initiator::Seen),
            // A message that wants no reply may come from either end (cyclic I/O): it tells nothing.
            Outcome::Told => {}
            _ => self.record.orientation.improve(self.sender.other(), Initiator::Inferred),
        }
    }

    fn party(&self, party: Party) -> Side {
        match party {
            Party::Sender => self.sender,
            Party::Receiver => self.sender.other(),
        }
    }

    fn identity(&mut self, identity: &Identity<'_>) {
        let host = self.record.key.host(self.party(identity.party));
        if host.address.is_group() || host.address.is_unspecified() {
            return;
        }
        let Self { protocol, at, .. } = *self;
        let Notes { tail, ledger, limits, secret, .. } = &mut *self.notes;
        // Devices repeat what they say: what was heard a moment ago is only counted.
        let fingerprint = fingerprint(*secret, host, protocol, identity);
        if tail.again(fingerprint, at) {
            return;
        }
        let protocol = REGISTRY.get(protocol).map_or("", |p| p.info().name);
        let value = bounded::text(&identity.value, limits.session.text);
        let subject = Subject { host, component: ops::component_text(identity.component) };
        let key = FactKey { attribute: identity.attribute, value: value.into(), protocol, method: identity.method };
        let support = Support { count: 1, first: at, last: at, weight: identity.weight, basis: identity.basis };
        tail.push(fingerprint, subject, Fact { key, support }, ledger);
    }

    fn link(&mut self, link: Link) {
        let pair = (self.record.key.host(Side::A), self.record.key.host(Side::B), link.protocol, link.key);
        match link.side {
            LinkSide::Opens(party) => {
                let opener = self.record.key.host(self.party(party));
                if self.notes.links.len() < self.notes.limits.links || self.notes.links.contains_key(&pair) {
                    self.notes.links.insert(pair, opener);
                } else {
                    self.notes.coverage.limit("links", 1);
                }
            }
            LinkSide::Uses => {
                if let Some(opener) = self.notes.links.get(&pair) {
                    let client = if *opener == pair.0 { Side::A } else { Side::B };
                    *self.record.orientation = Orientation { client, how: Initiator::Seen };
                }
            }
        }
    }
}

/// A number that tells what was said of whom apart within one process.
fn fingerprint(secret: Secret, host: Host, protocol: usize, identity: &Identity<'_>) -> u64 {
    let [first, second] = host.address.words();
    let address = |text: &'static str| text.as_ptr().addr() as u64; // They are constants.
    let how = u64::from(host.realm.0) << 32 | (protocol as u64) << 16 | (identity.method as u64) << 8;
    let sum = secret.mix(secret.mix(first, second), how | u64::from(identity.weight));
    let sum = secret.mix(sum ^ address(identity.attribute.0), address(identity.basis));
    let sum = match identity.component {
        None => sum,
        Some(component) => {
            let sum = secret.mix(sum, address(component.space));
            match component.id {
                ComponentId::Number(number) => secret.mix(sum, number.into()),
                ComponentId::Path(path) => secret.bytes(sum, path.as_bytes()),
            }
        }
    };
    secret.bytes(sum, identity.value.as_bytes())
}

/// LLC address of the spanning tree protocol (IEEE 802.1D, 7.12.3).
const SPANNING_TREE: u8 = 0x42;

/// The root that a bridge protocol data unit tells of (IEEE 802.1D, 9.3): `8000.001d9c200102`.
fn bridge_root(bpdu: &[u8]) -> Option<String> {
    let [0, 0, _, 0 | 2, _flags, p0, p1, a, b, c, d, e, f, ..] = *bpdu else { return None };
    Some(format!("{p0:02x}{p1:02x}.{a:02x}{b:02x}{c:02x}{d:02x}{e:02x}{f:02x}"))
}

impl Notes {
    /// What only some packets have: tunnels around them, ARP in them, or no IP.
    #[cold]
    fn odd(&mut self, connection: &mut Connection, sender: Side, packet: &Packet<'_>, counted: &Counted, at: Evidence) {
        if counted.new_path && !packet.tunnels.is_empty() {
            self.tunnels(connection.key.host(sender), packet, at);
            if self.policy.is_some() {
                packet.tunnels.iter().for_each(|tunnel| connection.docket.tunnel(tunnel, at));
            }
        }
        match packet.upper {
            _ if counted.copy => {}
            Upper::Arp(arp) => self.arp(&arp, connection.key, at),
            Upper::Ethertype(ethertype) if !connection.dialog.is_settled() => {
                connection.dialog.frame(recognise_frame(ethertype, packet.payload));
            }
            Upper::Llc(SPANNING_TREE) => {
                if let (Some(root), true) = (bridge_root(packet.payload), self.policy.is_some()) {
                    let host = connection.key.host(sender);
                    self.fact(host, attribute::BRIDGE_ROOT, root, "stp", Method::Announcement, at);
                }
            }
            _ => {}
        }
    }

    /// The sender of an ARP packet has that address at that MAC. A probe (RFC 5227) claims none yet.
    fn arp(&mut self, arp: &crate::decode::Arp, key: ConnectionKey, at: Evidence) {
        if arp.sender_ip.is_unspecified() || arp.sender_ip.is_group() || arp.sender_mac.is_zero() {
            return;
        }
        let host = Host { realm: key.realm, address: arp.sender_ip };
        self.fact(host, attribute::MAC, arp.sender_mac.to_string(), "arp", Method::SelfReport, at);
        let target = arp.target_ip;
        if let (Some(policy), ARP_REQUEST, false) = (&self.policy, arp.operation, target.is_unspecified())
            && policy.are_apart((policy.zone_at(arp.sender_ip), policy.zone_at(target)))
        {
            self.fact(host, attribute::ARP_TARGET, target.to_string(), "arp", Method::Behaviour, at);
        }
    }

    /// The first datagram of some protocols tells its sender's name.
    #[cold]
    fn told_name(&mut self, host: Host, recognised: &'static Recognised, datagram: &[u8], at: Evidence) {
        if let Some(name) = told_name(recognised, datagram)
            && !host.address.is_unspecified()
        {
            self.fact(host, attribute::HOSTNAME, name, recognised.name, Method::Announcement, at);
        }
    }

    /// A host's frames came inside others: which.
    fn tunnels(&mut self, host: Host, packet: &Packet<'_>, at: Evidence) {
        if host.address.is_group() || host.address.is_unspecified() {
            return;
        }
        for tunnel in packet.tunnels.iter() {
            let ends = match (tunnel.src, tunnel.dst) {
                (Some(src), Some(dst)) => format!(" {src} -> {dst}"),
                _ => String::new(),
            };
            let key = if tunnel.key == 0 { String::new() } else { format!(" #{}", tunnel.key) };
            let value = format!("{}{ends}{key}", tunnel.kind.text());
            self.fact(host, attribute::TUNNEL, value, "ip", Method::Behaviour, at);
        }
    }

    fn fact(
        &mut self,
        host: Host,
        attribute: Attribute,
        value: String,
        protocol: &'static str,
        method: Method,
        at: Evidence,
    ) {
        let key = FactKey { attribute, value: value.into(), protocol, method };
        let support = Support { count: 1, first: at, last: at, weight: method.weight(), basis: "" };
        self.ledger.apply(Subject { host, component: None }, Fact { key, support });
    }
}
