//! One shard of the traffic, run to completion: a packet comes in, and what leaves is counters, facts and flows.
//!
//! Traffic is sharded by host pair, so that a CIP Forward Open (TCP) and its I/O (UDP), and the fragments of a datagram,
//! meet in one shard. The number of shards is fixed: however many workers share them, each shard sees the same packets
//! in the same order, with the same limits, and so the result never depends on the number of workers.

mod coverage;
mod ear;
mod odd;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use ahash::RandomState;
use dissectors::recognise::{Recognised, told_stations};
use dissectors::{Carrier, Method, attribute};

use crate::address::Host;
use crate::config::Limits;
use crate::decode::fragments::Fragments;
use crate::decode::{Headers, Packet, Tcp, Transport, Undecoded};
use crate::flow::Flow;
use crate::flow::connection::{Connection, ConnectionKey, Side};
use crate::flow::dialog::Terms;
use crate::flow::docket;
use crate::flow::hash::Secret;
use crate::flow::mark::{Mark, Marked, Marks};
use crate::flow::repeats::Ending;
use crate::flow::table::{Connections, Flows, Spot};
use crate::flow::timing::{Measured, Timings};
use crate::flow::watch::Watch;
use crate::ledger::{Evidence, Fact, FactKey, Ledger, Subject, Support, Tail};
use crate::policy::{Policy, TapId};
use crate::source::Frame;
use crate::time::Timestamp;

pub use coverage::{ByProtocol, Coverage, FEW, ProtocolCoverage, Taken, Ways};
use ear::Ear;

/// Shards of the traffic. More would cost cache, fewer would bound the number of workers that help.
pub const SHARDS: usize = 16;

/// The shard of a packet: the same for both directions.
#[must_use]
#[inline]
pub fn shard_of(headers: &Headers<'_>) -> usize {
    let pair = headers.src.mix().wrapping_add(headers.dst.mix());
    (pair >> 60) as usize % SHARDS
}

/// What a shard knows beside its connections.
struct Notes {
    ledger: Ledger,
    tail: Tail,
    /// Conversations that another one opened: who opened them.
    links: HashMap<(Host, Host, &'static str, u64), Host, RandomState>,
    coverage: Coverage,
    /// Connections that had to go for others.
    evicted: u64,
    /// Bytes that wait for others before them, in all connections.
    held: usize,
    secret: Secret,
    limits: Limits,
    policy: Option<Arc<Policy>>,
    /// By capture.
    taps: Arc<[TapId]>,
    watch: Watch,
    marks: Marks,
    /// If times are measured.
    timings: Option<Box<Timings>>,
    ways: BTreeMap<u16, Ways>,
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
    /// Flows, in no order. Of what was drained two may be parts of one.
    pub flows: Vec<Flow>,
    /// Facts.
    pub ledger: Ledger,
    /// What happened to frames.
    pub coverage: Coverage,
    /// What the policy asked to be watched.
    pub watch: Watch,
    /// Frames worth keeping, if they were asked for.
    pub marks: Vec<Mark>,
    /// Poll intervals and response times, if they are measured.
    pub timings: Measured,
    /// TCP conversations by the ways that were seen of them, by capture.
    pub ways: BTreeMap<u16, Ways>,
}

impl Shard {
    /// An empty shard with its part of the limits.
    #[must_use]
    pub fn new(limits: &Limits, policy: Option<Arc<Policy>>) -> Self {
        let limits = limits.share(SHARDS);
        let hasher = RandomState::new();
        let secret = Secret::new(&hasher);
        Self {
            connections: Connections::new(limits.connections, &hasher),
            flows: Flows::new(limits.flows, hasher.clone()),
            fragments: Fragments::new(limits.fragments),
            notes: Notes {
                ledger: Ledger::bounded(limits.ledger),
                tail: Tail::default(),
                links: HashMap::with_hasher(hasher.clone()),
                coverage: Coverage::default(),
                evicted: 0,
                held: 0,
                secret,
                watch: Watch::new(policy.as_deref(), limits.meters),
                limits,
                policy,
                taps: Arc::default(),
                marks: Marks::default(),
                timings: (limits.timings > 0).then(|| Box::new(Timings::new(limits.timings))),
                ways: BTreeMap::new(),
            },
        }
    }

    /// Tells which tap of the policy each capture is from, by its place in the list.
    #[must_use]
    pub fn listening(mut self, taps: Arc<[TapId]>) -> Self {
        self.listen(taps);
        self
    }

    /// The same of a shard that works already.
    pub fn listen(&mut self, taps: Arc<[TapId]>) {
        self.notes.taps = taps;
    }

    /// Points out frames worth keeping from now on.
    #[must_use]
    pub fn marking(mut self) -> Self {
        self.notes.marks = Marks::wanted();
        self
    }

    /// Frames worth keeping since the last time.
    #[must_use]
    pub fn marks(&mut self) -> Vec<Mark> {
        self.notes.take_marks()
    }

    /// Counts frames that were decoded, whichever shard they belong to: what all shards counted is added up.
    pub fn taken(&mut self, taken: Taken) {
        self.notes.coverage.taken(taken);
    }

    /// Takes a frame that was decoded, belongs to this shard and is [counted](Self::taken) elsewhere.
    /// `packet`: the whole of what was decoded, for a frame that is not [plain](Headers::read). `place`: of its
    /// connection, likely, or one that none is at. `counts`: what the worker counts by protocol.
    #[inline]
    pub fn packet(
        &mut self,
        arrival: &Arrival<'_>,
        packet: Option<&Packet<'_>>,
        spot: &Spot,
        place: u32,
        counts: &mut ByProtocol,
    ) {
        self.exchange_counts(counts);
        match packet {
            Some(packet) if arrival.headers.is_fragment => self.fragment(arrival, packet),
            _ => self.conversation(arrival, packet, spot, place),
        }
        self.exchange_counts(counts);
    }

    /// What it counts by protocol, in exchange for that of others: one worker counts the packets of all its shards in one
    /// place, which stays in the cache.
    #[inline]
    pub fn exchange_counts(&mut self, counts: &mut ByProtocol) {
        std::mem::swap(&mut self.notes.coverage.protocols, counts);
    }

    /// Where a packet belongs.
    #[must_use]
    #[inline]
    pub fn spot(&self, headers: &Headers<'_>) -> Spot {
        self.connections.spot(headers)
    }

    /// See [`Connections::prefetch_index`].
    #[inline]
    pub fn prefetch_index(&self, spot: &Spot) {
        self.connections.prefetch_index(spot);
    }

    /// See [`Connections::guess`].
    #[must_use]
    #[inline]
    pub fn guess(&self, headers: &Headers<'_>, spot: &Spot, news: &mut usize) -> Option<(u32, &Connection)> {
        let (place, connection) = self.connections.guess(headers, spot, news)?;
        if self.notes.policy.is_some() {
            connection.prefetch_docket();
        }
        Some((place, connection))
    }

    /// Prefetches what hangs on a connection, when it is there itself.
    #[inline]
    pub fn prefetch_inside(&self, connection: &Connection, ending: Ending) {
        connection.prefetch_inside(ending, self.notes.policy.is_some());
    }

    /// The place of a packet's connection that nobody guessed; when it is none yet, what is to be known of the one that it
    /// will take the place of is prefetched.
    #[cold]
    pub fn find(&self, headers: &Headers<'_>, spot: &Spot, news: &mut usize) -> Option<u32> {
        let place = self.connections.find(headers, spot);
        if place.is_none() {
            *news += 1;
            if let Some(victim) = self.connections.next_victim(*news - 1) {
                self.flows.prefetch(victim);
            }
        }
        place
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
            self.notes.count_ways(connection);
            if !self.flows.forgets(connection) {
                close(connection, &mut self.notes);
                self.flows.add(Flow::take(connection));
            }
        }
        let marks = self.notes.take_marks();
        let Notes { mut ledger, tail, mut coverage, watch, timings, ways, evicted, .. } = self.notes;
        let timings = timings.map(|mut timings| timings.drain()).unwrap_or_default();
        tail.finish(&mut ledger);
        coverage.limit("connections", evicted);
        coverage.ledger(&mut ledger);
        coverage.watch(&watch);
        self.flows.tell_limits(&mut coverage);
        ShardResult { flows: self.flows.into_flows(), ledger, coverage, watch, marks, timings, ways }
    }

    /// What was learned since the last time; everything goes on. `now` is the time of the capture's clock, by which
    /// conversations that came to nothing are told.
    ///
    /// The sum of all that is drained, and of what [`Self::finish`] adds, is what [`Self::finish`] alone would have said.
    #[must_use]
    pub fn drain(&mut self, now: Timestamp) -> ShardResult {
        // The table has room for what ends between two drains. What goes on is told beside it, but for what anybody can send.
        let mut going_on = Vec::new();
        for connection in self.connections.iter_mut() {
            self.notes.count_ways(connection);
            let is_told = connection.is_told(now);
            if is_told {
                decide(connection, &mut self.notes);
            }
            let Notes { policy, watch, marks, .. } = &mut self.notes;
            let policy = policy.as_deref().filter(|_| is_told);
            let judged = policy.is_some_and(|policy| docket::close(connection, policy, watch));
            if judged {
                mark_whole(connection, marks);
            }
            if judged || connection.is_ripe(now) {
                let is_glimpse = connection.is_glimpse();
                let flow = Flow::drain(connection);
                if is_glimpse {
                    self.flows.add(flow);
                } else {
                    going_on.push(flow);
                }
            }
        }
        let marks = self.notes.take_marks();
        let Notes { ledger, tail, coverage, limits, watch, timings, ways, evicted, .. } = &mut self.notes;
        let timings = timings.as_mut().map(|timings| timings.drain()).unwrap_or_default();
        let ways = std::mem::take(ways);
        let watch = watch.drain();
        let mut learned = std::mem::replace(ledger, Ledger::bounded(limits.ledger));
        std::mem::take(tail).finish(&mut learned);
        let mut coverage = std::mem::take(coverage);
        coverage.limit("connections", std::mem::take(evicted));
        coverage.ledger(&mut learned);
        coverage.watch(&watch);
        self.flows.tell_limits(&mut coverage);
        let mut flows = self.flows.drain();
        flows.append(&mut going_on);
        ShardResult { flows, ledger: learned, coverage, watch, marks, timings, ways }
    }

    /// It should be drained soon: its table of what ended is half full.
    #[must_use]
    pub fn is_crowded(&self) -> bool {
        self.flows.is_crowded()
    }

    /// Judges by another policy from now on. What was watched counts by the rules of the old one: it is drained before.
    /// `taps` says which tap of the new one each capture is from.
    pub fn judge_by(&mut self, policy: Option<Arc<Policy>>, taps: Arc<[TapId]>) {
        self.notes.watch = Watch::new(policy.as_deref(), self.notes.limits.meters);
        for connection in self.connections.iter_mut() {
            connection.docket.forget();
            connection.place(&taps);
        }
        self.notes.taps = taps;
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
        let Self { connections, notes, .. } = self;
        match connections.at(place, &arrival.headers, spot) {
            Some(connection) => notes.packet(connection, spot.sender, arrival, packet),
            None => self.other(arrival, packet, spot),
        }
    }

    /// A packet of a new connection, or of one that came to its place a moment ago.
    #[cold]
    fn other(&mut self, arrival: &Arrival<'_>, packet: Option<&Packet<'_>>, spot: &Spot) {
        let place = self.connections.find(&arrival.headers, spot);
        if place.is_none() {
            self.make_room();
        }
        let Self { connections, notes, .. } = self;
        let connection = match place {
            Some(place) => connections.at(place, &arrival.headers, spot),
            None => connections.insert(spot, &arrival.headers, arrival.at),
        };
        if let Some(connection) = connection {
            notes.packet(connection, spot.sender, arrival, packet);
        }
    }

    /// Before a new connection: when there are too many, one is closed and added to its flow.
    fn make_room(&mut self) {
        let Self { connections, flows, notes, .. } = self;
        if let Some(old) = connections.evict() {
            notes.evicted += 1;
            notes.count_ways(old);
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
}

impl<'a> Arrival<'a> {
    /// Sets which frame it is of which the headers were read.
    #[inline]
    pub fn set_frame(&mut self, frame: &Frame<'a>) {
        self.at = Evidence::new(frame.at, frame.capture, frame.number);
        self.wire_len = frame.wire_len;
    }
}

fn terms(key: &ConnectionKey) -> Terms {
    let carrier = if key.transport == Transport::Udp { Carrier::Udp } else { Carrier::Tcp };
    Terms { carrier, ports: key.ports }
}

#[inline]
fn segment(connection: &mut Connection, sender: Side, headers: &Headers<'_>, at: &Evidence, notes: &mut Notes) {
    let (mine, _) = connection.halves(sender);
    mine.sent.flags |= headers.flags;
    if headers.opens() {
        open(connection, sender, headers, notes);
    }
    let (bytes, cut, len) = (headers.payload, headers.cut, headers.len());
    connection.halves(sender).0.sent.payload += u64::from(len);
    let terms = terms(&connection.key);
    let (dialog, [mine, theirs], record) = connection.split(sender);
    if headers.has(Tcp::ACK) {
        theirs.acknowledged(headers.ack);
    }
    if len == 0 || dialog.is_settled() {
        return;
    }
    let seq = headers.seq.wrapping_add(u32::from(headers.has(Tcp::SYN)));
    let mut ear = Ear::new(record, notes, sender, at, Ending::of(bytes));
    if mine.continues(seq, len) {
        dialog.bytes(terms, sender, bytes, cut, at, &mut ear);
    } else {
        let mut limits = ear.notes.limits.order;
        let others = ear.notes.held.saturating_sub(mine.held());
        if others + mine.held() + bytes.len() > limits.total {
            limits.bytes = 0;
            ear.notes.coverage.limit("out-of-order", 1);
        }
        mine.segment(seq, bytes, cut, at.at, &limits, &mut |piece| {
            ear.loss(piece);
            dialog.piece(terms, sender, piece, at, &mut ear);
        });
        ear.notes.held = others + mine.held();
    }
    stations(connection, sender, bytes, *at, &mut notes.ledger);
}

/// A SYN, or its answer: who asks is known, and the numbers of this side start.
#[cold]
fn open(connection: &mut Connection, sender: Side, headers: &Headers<'_>, notes: &mut Notes) {
    let other = connection.half(sender).order.is_other(headers.seq);
    let was_speaking = [Side::A, Side::B].into_iter().any(|side| connection.has_spoken(side));
    if other && was_speaking && !headers.has(Tcp::ACK) {
        close(connection, notes);
        connection.reopened += 1;
        connection.dialog.restart(&notes.limits.session);
        connection.sides.iter_mut().for_each(|half| half.order = Default::default());
    }
    let (mine, _) = connection.halves(sender);
    if !mine.order.started() || other {
        mine.order.start(headers.seq);
    }
    connection.note_syn(sender, headers);
}

#[inline]
fn datagram(connection: &mut Connection, sender: Side, headers: &Headers<'_>, at: &Evidence, notes: &mut Notes) {
    connection.halves(sender).0.sent.payload += u64::from(headers.len());
    if headers.payload.is_empty() {
        return;
    }
    let terms = terms(&connection.key);
    let host = connection.key.host(sender);
    let was_settled = connection.dialog.is_settled();
    let (dialog, _, record) = connection.split(sender);
    let mut ear = Ear::new(record, notes, sender, at, Ending::of(headers.payload));
    dialog.bytes(terms, sender, headers.payload, headers.cut, at, &mut ear);
    if let (false, Some(recognised)) = (was_settled, dialog.recognised()) {
        notes.told_name(host, recognised, headers.payload, (connection.key, *at));
        stations(connection, sender, headers.payload, *at, &mut notes.ledger);
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
    let at = &connection.last();
    let (dialog, orders, record) = connection.split(Side::A);
    notes.held = notes.held.saturating_sub(orders.iter().map(|order| order.held()).sum());
    let mut ear = Ear::new(record, notes, Side::A, at, Ending::default());
    for (side, order) in [Side::A, Side::B].into_iter().zip(orders) {
        order.flush(&mut |piece| {
            ear.loss(piece);
            dialog.piece(terms, side, piece, at, &mut ear);
        });
    }
    dialog.finish(terms, &mut ear);
    if let Some(policy) = &notes.policy {
        connection.docket.end(&mut notes.watch);
        if docket::close(connection, policy, &mut notes.watch) {
            mark_whole(connection, &mut notes.marks);
        }
    }
}

/// What a conversation is has to be said by what it showed until now, as if nothing more came.
fn decide(connection: &mut Connection, notes: &mut Notes) {
    let (terms, at) = (terms(&connection.key), connection.last());
    let (dialog, _, record) = connection.split(Side::A);
    dialog.finish(terms, &mut Ear::new(record, notes, Side::A, &at, Ending::default()));
}

/// The conversation was judged as a whole: the frames that show what was found.
fn mark_whole(connection: &Connection, marks: &mut Marks) {
    for entry in connection.docket.entries.iter().filter(|entry| entry.is_finding()) {
        if let [only] = *entry.samples() {
            marks.note(&connection.key, only, Marked::Finding);
        }
    }
}

impl Notes {
    /// Takes a packet of a connection.
    #[inline]
    fn packet(
        &mut self,
        connection: &mut Connection,
        sender: Side,
        arrival: &Arrival<'_>,
        packet: Option<&Packet<'_>>,
    ) {
        let Arrival { headers, at, wire_len, .. } = arrival;
        let tap = self.taps.get(usize::from(at.capture())).copied().unwrap_or_default();
        let counted = connection.count(sender, headers, *wire_len, *at, tap);
        if headers.cut > 0 {
            connection.docket.truncated = true;
        }
        self.watch.frame(at.at);
        if let (Some(policy), true) = (&self.policy, self.watch.asks() && !counted.copy) {
            let payload = !headers.payload.is_empty();
            if payload && headers.is_ip {
                connection.docket.mark(sender, headers.dscp);
            }
            if policy.names_stations() {
                stations(connection, sender, headers.payload, *at, &mut self.ledger);
            }
            docket::frame(connection, policy, *wire_len, payload, *at, &mut self.watch);
        }
        if let Some(packet) = packet {
            self.odd(connection, sender, packet, &counted, *at);
        }
        if counted.copy {
            self.coverage.duplicates += 1;
            return;
        }
        match headers.transport {
            Transport::Tcp => segment(connection, sender, headers, at, self),
            Transport::Udp => datagram(connection, sender, headers, at, self),
            _ => {}
        }
    }

    /// Counts by which ways a conversation was seen that had frames since the last time.
    fn count_ways(&mut self, connection: &Connection) {
        if let Some(both) = connection.both_ways() {
            let ways = self.ways.entry(connection.last().capture()).or_default();
            *(if both { &mut ways.both } else { &mut ways.one }) += 1;
        }
    }

    fn take_marks(&mut self) -> Vec<Mark> {
        let (marks, dropped) = self.marks.take();
        self.coverage.limit("evidence-marks", dropped);
        marks
    }
}
