//! One conversation as the wire has it: a 5-tuple, or a pair of MAC addresses.

use super::dialog::Dialog;
use super::key::{FlowKey, Initiator, Transport};
use super::orient;
use super::path::{Paths, WayUse};
use crate::address::{Address, Host, Realm};
use crate::decode::{Headers, Tcp, Way};
use crate::flow::book::OpenBook;
use crate::flow::docket::{Docket, Parties};
use crate::flow::repeats::Ending;
use crate::ledger::Evidence;
use crate::policy::TapId;
use crate::prefetch;
use crate::stream::Order;
use crate::time::Timestamp;

/// One end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Endpoint {
    /// Its address.
    pub address: Address,
    /// Its port; 0 where the transport has none.
    pub port: u16,
}

/// The two ends in the order of their addresses, so that both directions have one key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ConnectionKey {
    /// The address of the end with the lower address and port.
    pub a: Address,
    /// That of the other.
    pub b: Address,
    /// Their ports; 0 where the transport has none.
    pub ports: [u16; 2],
    /// What carries it.
    pub transport: Transport,
    /// Which network.
    pub realm: Realm,
}

/// One of the two ends of a [`ConnectionKey`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Side {
    /// The end with the lower address.
    #[default]
    A,
    /// The other.
    B,
}

impl Side {
    /// Which end of its connection sent a packet.
    #[must_use]
    #[inline]
    pub fn of(headers: &Headers<'_>) -> Self {
        let [src_port, dst_port] = headers.ports;
        if (headers.src, src_port) <= (headers.dst, dst_port) { Self::A } else { Self::B }
    }

    /// The other end.
    #[must_use]
    #[inline]
    pub fn other(self) -> Self {
        match self {
            Self::A => Self::B,
            Self::B => Self::A,
        }
    }

    /// 0 or 1.
    #[must_use]
    #[inline]
    pub fn index(self) -> usize {
        self as usize
    }
}

impl ConnectionKey {
    /// The key of a packet that this side sent, see [`Side::of`].
    #[must_use]
    pub fn of(headers: &Headers<'_>, sender: Side, realm: Realm) -> Self {
        let [src_port, dst_port] = headers.ports;
        let (a, b, ports) = match sender {
            Side::A => (headers.src, headers.dst, [src_port, dst_port]),
            Side::B => (headers.dst, headers.src, [dst_port, src_port]),
        };
        Self { a, b, ports, transport: headers.transport, realm }
    }

    /// Whether it is that of a packet that this side sent.
    #[must_use]
    #[inline]
    pub fn is_of(&self, headers: &Headers<'_>, sender: Side, realm: Realm) -> bool {
        let [src_port, dst_port] = headers.ports;
        let (src, dst, ports) = match sender {
            Side::A => (self.a, self.b, [src_port, dst_port]),
            Side::B => (self.b, self.a, [dst_port, src_port]),
        };
        src == headers.src
            && dst == headers.dst
            && self.ports == ports
            && self.transport == headers.transport
            && self.realm == realm
    }

    /// The end on that side.
    #[must_use]
    #[inline]
    pub fn end(&self, side: Side) -> Endpoint {
        let [port_a, port_b] = self.ports;
        match side {
            Side::A => Endpoint { address: self.a, port: port_a },
            Side::B => Endpoint { address: self.b, port: port_b },
        }
    }

    /// The host on that side.
    #[must_use]
    pub fn host(&self, side: Side) -> Host {
        Host { realm: self.realm, address: self.end(side).address }
    }
}

/// Who asks, and how that is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Orientation {
    /// The side that asks.
    pub client: Side,
    /// How that is known.
    pub how: Initiator,
}

/// What one side sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Frames, mirror copies not counted.
    pub frames: u64,
    /// Bytes on the wire, mirror copies not counted.
    pub bytes: u64,
    /// Mirror copies.
    pub copies: u64,
    /// Bytes of mirror copies on the wire.
    pub copied_bytes: u64,
}

impl Traffic {
    /// Adds another.
    pub fn merge(&mut self, other: &Self) {
        self.frames += other.frames;
        self.bytes += other.bytes;
        self.copies += other.copies;
        self.copied_bytes += other.copied_bytes;
    }
}

/// What counting a packet told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counted {
    /// It is a mirror's copy of one that was counted.
    pub copy: bool,
    /// It came by a way that its sender had not used before.
    pub new_path: bool,
}

/// How long a live sensor waits for a conversation to show what it is.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(60);

/// Different paths kept for one side of a connection; copies from mirrors and routing changes make more than one.
const PATHS: usize = 8;

/// The last packets of one side, to know a mirror's copy.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
struct Recent {
    /// A number made of what a copy has in common with its original; 0 for none. Latest first.
    signatures: [u32; 4],
    /// When, see [`tick`]: sixteen bits each, the latest lowest.
    ticks: u64,
}

/// Copies of a frame by a mirror come within this many ticks (20 ms), before or after each other; a host's own
/// retransmission carries another IP id.
const COPY_WINDOW: u16 = 19;

/// About milliseconds; they wrap after 68 s.
#[inline]
fn tick(at: Timestamp) -> u16 {
    (at.nanos() >> 20) as u16 // The lower part is enough.
}

impl Recent {
    /// Whether such a packet came a moment ago; if not, it is remembered in place of the oldest.
    #[inline]
    fn has(&mut self, signature: u64, at: Timestamp) -> bool {
        // The upper half of the product depends on every bit. Never the 0 of an empty place.
        let signature = (signature.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32) as u32 | 1;
        let now = tick(at);
        // All at once, since nearly always none is known.
        let is_known = self.signatures.iter().fold(false, |any, known| any | (*known == signature));
        if is_known && self.is_near(signature, now) {
            return true;
        }
        let [s0, s1, s2, _] = self.signatures;
        *self = Self { signatures: [signature, s0, s1, s2], ticks: self.ticks << 16 | u64::from(now) };
        false
    }

    /// Whether one with that signature came within the window.
    #[cold]
    fn is_near(&self, signature: u32, now: u16) -> bool {
        let ticks = (0..).map(|place| (self.ticks >> (16 * place)) as u16); // Four of them.
        self.signatures.iter().zip(ticks).any(|(known, tick)| {
            *known == signature && now.wrapping_sub(tick).cast_signed().unsigned_abs() <= COPY_WINDOW
        })
    }
}

/// One side of a connection: what it sent. Two lines of the cache, what every packet needs of the other side in the first.
#[derive(Debug, Default)]
#[repr(C, align(64))]
pub struct Half {
    /// TCP: the order of its bytes.
    pub order: Order,
    /// What it sent.
    pub sent: Sent,
}

/// What one side sent, as the packet path counts it.
#[derive(Debug, Default)]
#[repr(C)]
pub struct Sent {
    /// Bytes of payload.
    pub payload: u64,
    /// Frames, mirror copies not counted.
    frames: u64,
    /// Their bytes on the wire.
    bytes: u64,
    /// Ways beside the first.
    others: Option<Box<Others>>,
    /// Where its frames by the first way were taken.
    tap: TapId,
    /// Flags of TCP that it has sent.
    pub flags: u8,
    /// It sent payload before `payload` was last drained.
    spoke: bool,
    /// By which way its first frame came; nearly every side has one alone.
    way: Way,
    /// The last frame by that way.
    last: Evidence,
    recent: Recent,
}

/// Copies from mirrors and changes of routing make more than one way.
#[derive(Debug, Default)]
struct Others {
    paths: Paths,
    /// Frames by ways that are too many to be kept.
    lost: u64,
}

/// What few packets of a side need.
#[derive(Clone, Copy, Debug, Default)]
struct Rare {
    first: Evidence,
    copies: u64,
    copied_bytes: u64,
}

/// Both sides in lines of their own, of which a packet needs three.
const _: () = assert!(size_of::<Half>() == 128 && size_of::<[Rare; 2]>() == 64);

impl Sent {
    fn paths(&self, rare: &Rare) -> Paths {
        if self.way.is_none() {
            return Paths::default();
        }
        let others = self.others.as_deref();
        let elsewhere = others.map_or(0, |others| others.paths.frames() + others.lost);
        let Self { way, tap, last, frames, .. } = *self;
        let frames = (frames + rare.copies).saturating_sub(elsewhere);
        Paths::join(WayUse { way, tap, frames, first: rare.first, last }, others.map(|others| &others.paths))
    }

    /// A frame by another way than the first.
    #[cold]
    fn other_way(&mut self, rare: &mut Rare, way: Way, tap: TapId, at: Evidence) -> bool {
        if self.way.is_none() {
            (self.way, self.tap, self.last) = (way, tap, at);
            rare.first = at;
            return true;
        }
        let others = self.others.get_or_insert_default();
        let new = others.paths.count(way, tap, at, PATHS - 1);
        others.lost += u64::from(new.is_none());
        new.unwrap_or_default()
    }

    fn latest(&self) -> Option<Evidence> {
        let others = self.others.as_ref().and_then(|others| others.paths.last());
        others.into_iter().chain((!self.way.is_none()).then_some(self.last)).max()
    }
}

/// One conversation as the wire has it. Private to one worker.
#[derive(Debug)]
#[repr(C, align(64))]
pub struct Connection {
    /// Its ends.
    pub key: ConnectionKey,
    /// Who asks.
    pub orientation: Orientation,
    /// It was counted among its flow's connections.
    pub(super) counted: bool,
    /// An ICMP prohibition came back.
    pub prohibited: bool,
    /// Further connections on the same ports (another SYN).
    pub reopened: u32,
    /// What each side sent.
    pub sides: [Half; 2],
    /// What was asked and said.
    pub book: OpenBook,
    /// The protocol that is spoken.
    pub dialog: Dialog,
    rare: [Rare; 2],
    /// What the policy says of it.
    pub docket: Docket,
}

impl Connection {
    /// A connection that starts with this packet.
    #[must_use]
    pub fn new(key: ConnectionKey, sender: Side, headers: &Headers<'_>, at: Evidence) -> Self {
        Self {
            key,
            orientation: orient::first(&key, sender, headers),
            counted: false,
            prohibited: false,
            reopened: 0,
            sides: Default::default(),
            rare: [Rare { first: at, ..Rare::default() }; 2],
            dialog: Dialog::default(),
            book: OpenBook::default(),
            docket: Docket::default(),
        }
    }

    /// The half of one side, and the other.
    #[must_use]
    #[inline]
    pub fn halves(&mut self, side: Side) -> (&mut Half, &mut Half) {
        let [a, b] = &mut self.sides;
        match side {
            Side::A => (a, b),
            Side::B => (b, a),
        }
    }

    /// The half of one side.
    #[must_use]
    #[inline]
    pub fn half(&self, side: Side) -> &Half {
        let [a, b] = &self.sides;
        match side {
            Side::A => a,
            Side::B => b,
        }
    }

    /// Prefetches what such a packet of that side will need: nothing is said without payload, and of the other side what it
    /// acknowledges is kept.
    #[inline]
    pub fn prefetch(&self, sender: Side, headers: &Headers<'_>) {
        prefetch::start(&self.key);
        prefetch::all(self.half(sender));
        if headers.has(Tcp::ACK) {
            prefetch::start(&self.half(sender.other()).order);
        }
        if !headers.payload.is_empty() {
            prefetch::start(&self.book);
            prefetch::start(&self.dialog);
        }
    }

    /// Prefetches all of it, for another to take its place.
    #[inline]
    pub fn prefetch_whole(&self) {
        prefetch::all(self);
    }

    /// Prefetches what goes with it.
    pub fn prefetch_end(&self) {
        self.dialog.prefetch_end();
    }

    /// Prefetches what its judgement needs.
    #[inline]
    pub fn prefetch_docket(&self) {
        prefetch::start(&self.docket);
    }

    /// Prefetches what hangs on it, when it is there itself.
    #[inline]
    pub fn prefetch_inside(&self, ending: Ending, judged: bool) {
        self.dialog.prefetch();
        self.book.prefetch(ending);
        if judged {
            self.docket.prefetch();
        }
    }

    /// The same of what hangs on that: see [`dissectors::Session::touch`].
    #[must_use]
    #[inline]
    pub fn prefetch_deep(&self, ending: Ending) -> u64 {
        self.book.prefetch_again(ending);
        self.dialog.touch()
    }

    /// Counts a packet.
    #[inline]
    pub fn count(&mut self, sender: Side, headers: &Headers<'_>, wire_len: u32, at: Evidence, tap: TapId) -> Counted {
        let (sent, rare) = self.counters(sender);
        let mut new_path = false;
        if sent.way == headers.way && sent.tap == tap {
            sent.last = sent.last.max(at);
        } else {
            new_path = sent.other_way(rare, headers.way, tap, at);
        }
        let copy = sent.is_copy(headers, at.at);
        if copy {
            rare.copies += 1;
            rare.copied_bytes += u64::from(wire_len);
        } else {
            sent.frames += 1;
            sent.bytes += u64::from(wire_len);
        }
        Counted { copy, new_path }
    }

    /// Its first frame.
    #[must_use]
    pub fn first(&self) -> Evidence {
        let [a, b] = &self.rare;
        a.first.min(b.first)
    }

    /// Its last frame.
    #[must_use]
    pub fn last(&self) -> Evidence {
        let [a, b] = &self.sides;
        a.sent.latest().max(b.sent.latest()).unwrap_or_else(|| self.first())
    }

    /// Frames and bytes of one side.
    #[must_use]
    pub fn traffic(&self, side: Side) -> Traffic {
        let Sent { frames, bytes, .. } = self.half(side).sent;
        let Rare { copies, copied_bytes, .. } = *self.rare(side);
        Traffic { frames, bytes, copies, copied_bytes }
    }

    /// By which ways the frames of one side came.
    #[must_use]
    pub fn paths(&self, side: Side) -> Paths {
        self.half(side).sent.paths(self.rare(side))
    }

    /// Begins to count one side anew: the ways stay known, so that none is new again.
    pub(super) fn restart_count(&mut self, side: Side) {
        let (sent, rare) = self.counters(side);
        (rare.copies, rare.copied_bytes) = (0, 0);
        sent.spoke |= sent.payload > 0;
        (sent.payload, sent.frames, sent.bytes) = (0, 0, 0);
        if let Some(others) = &mut sent.others {
            others.paths.restart();
            others.lost = 0;
        }
    }

    /// The policy is another one, and numbers its taps otherwise. `taps` says which of its taps each capture is from.
    pub fn place(&mut self, taps: &[TapId]) {
        let [a, b] = &mut self.sides;
        for (Half { sent, .. }, rare) in [a, b].into_iter().zip(&self.rare) {
            if sent.way.is_none() {
                continue;
            }
            let mut paths = sent.paths(rare);
            paths.place(taps);
            let (WayUse { way, tap, last, .. }, others) = paths.split();
            (sent.way, sent.tap, sent.last) = (way, tap, last);
            let lost = sent.others.as_ref().map_or(0, |others| others.lost);
            sent.others = others.map(|paths| Box::new(Others { paths, lost }));
        }
    }

    /// What one side sent, to be counted.
    #[inline]
    fn counters(&mut self, side: Side) -> (&mut Sent, &mut Rare) {
        let Self { sides: [a, b], rare: [rare_a, rare_b], .. } = self;
        match side {
            Side::A => (&mut a.sent, rare_a),
            Side::B => (&mut b.sent, rare_b),
        }
    }

    fn rare(&self, side: Side) -> &Rare {
        let [a, b] = &self.rare;
        if side == Side::A { a } else { b }
    }

    /// How much is lost with it: 0 when one side alone speaks, 2 when both do and are understood.
    #[must_use]
    pub fn worth(&self) -> u8 {
        let answered = self.has_sent(Side::A) && self.has_sent(Side::B);
        u8::from(answered) + u8::from(answered && self.dialog.protocol().is_some())
    }

    /// A SYN without ACK, or the answer to it, decides who asks.
    pub fn note_syn(&mut self, sender: Side, headers: &Headers<'_>) {
        if headers.opens() {
            let client = if headers.has(Tcp::ACK) { sender.other() } else { sender };
            self.orientation = Orientation { client, how: Initiator::Seen };
        }
    }

    /// The connection with its parts apart: the dialog speaks while the record is written. The orders are those of the
    /// sender and of the other side.
    #[inline]
    pub fn split(&mut self, sender: Side) -> (&mut Dialog, [&mut Order; 2], Record<'_>) {
        let Self { key, orientation, book, docket, sides: [a, b], dialog, rare, .. } = self;
        let sent = [&a.sent, &b.sent];
        let orders = match sender {
            Side::A => [&mut a.order, &mut b.order],
            Side::B => [&mut b.order, &mut a.order],
        };
        (dialog, orders, Record { key, orientation, book, docket, sent, rare })
    }

    /// What the docket needs to know of the two sides, and the docket.
    pub(super) fn parties(&mut self) -> (Parties<'_>, &mut Docket) {
        let paths = [Side::A, Side::B].map(|side| self.paths(side));
        (Parties { key: &self.key, paths }, &mut self.docket)
    }

    /// Nothing came of it: no answer to a SYN, a reset before any payload, or an ICMP prohibition.
    #[must_use]
    pub fn is_blocked(&self) -> bool {
        let client = self.orientation.client;
        let side = |side: Side| (self.half(side).sent.flags, self.has_spoken(side));
        is_blocked(side(client), side(client.other()), self.prohibited)
    }

    /// That side sent anything.
    #[must_use]
    pub fn has_sent(&self, side: Side) -> bool {
        !self.half(side).sent.way.is_none()
    }

    /// That side sent payload.
    #[must_use]
    pub fn has_spoken(&self, side: Side) -> bool {
        let Sent { payload, spoke, .. } = self.half(side).sent;
        payload > 0 || spoke
    }

    /// Whether both ways of a TCP conversation were seen that carried payload, and had frames since it was last drained:
    /// who sends payload has had an answer. `None` for every other.
    #[must_use]
    pub fn both_ways(&self) -> Option<bool> {
        let sides = [Side::A, Side::B];
        let spoke = self.key.transport == Transport::Tcp && sides.into_iter().any(|side| self.has_spoken(side));
        let is_counted = spoke && self.sides.iter().any(|half| half.sent.frames > 0);
        is_counted.then(|| sides.into_iter().all(|side| self.has_sent(side)))
    }

    /// There is something new to drain, and who asks is known or will not be known any better.
    #[must_use]
    pub fn is_ripe(&self, now: Timestamp) -> bool {
        let news = self.sides.iter().zip(&self.rare).any(|(half, rare)| half.sent.frames + rare.copies > 0);
        let decided = self.orientation.how == Initiator::Seen || now.since(self.first().at) >= PATIENCE;
        news && decided
    }

    /// What can be judged is known: it turned out to be no protocol with operations, or nothing more came for long.
    #[must_use]
    pub fn is_told(&self, now: Timestamp) -> bool {
        let spoke = [Side::A, Side::B].into_iter().any(|side| self.has_spoken(side));
        (spoke && self.dialog.is_settled()) || now.since(self.first().at) >= PATIENCE
    }

    /// See [`super::Flow::is_glimpse`].
    #[must_use]
    pub fn is_glimpse(&self) -> bool {
        let [a, b] = &self.sides;
        !self.counted
            && is_glimpse([a.sent.frames, b.sent.frames])
            && !self.key.end(self.orientation.client.other()).address.is_group()
    }

    /// The flow that this connection is a part of.
    #[must_use]
    pub fn flow_key(&self) -> FlowKey {
        let Orientation { client, .. } = self.orientation;
        FlowKey {
            client: self.key.host(client),
            server: self.key.host(client.other()),
            transport: self.key.transport,
            port: self.key.end(client.other()).port,
        }
    }
}

impl Sent {
    /// The same packet was seen a moment ago: a mirror gave it twice, before and after a router or from two VLANs.
    ///
    /// A copy has the same IP id, while a host counts its id up for a retransmission. Where the id is always 0 (IPv6,
    /// and IPv4 that never fragments), only TCP segments with payload and an equal timestamp option count as copies.
    #[inline]
    fn is_copy(&mut self, headers: &Headers<'_>, at: Timestamp) -> bool {
        let Headers { seq, ack, flags, timestamp, id, .. } = *headers;
        let len = u64::from(headers.len());
        let signature = match headers.transport {
            Transport::Tcp if id != 0 || (len > 0 && timestamp != 0) => {
                let numbers = u64::from(seq) << 32 | u64::from(ack);
                numbers.wrapping_mul(0x9E37_79B9_7F4A_7C15)
                    ^ (u64::from(id) << 40 | u64::from(flags) << 32 | len << 16)
                    ^ u64::from(timestamp)
            }
            // Some stacks give every packet the same id, so that all of the payload has to be the same as well.
            Transport::Udp | Transport::Icmp if id != 0 && !headers.is_fragment => {
                mix(headers.payload) ^ (u64::from(id) << 32 | len)
            }
            _ => return false,
        };
        self.recent.has(signature, at)
    }
}

/// A number that differs for different bytes nearly always.
#[inline]
fn mix(bytes: &[u8]) -> u64 {
    let add = |sum: u64, word: u64| (sum.rotate_left(5) ^ word).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    // Four sums side by side: one would wait for each of its multiplications.
    let (blocks, rest) = bytes.as_chunks::<32>();
    let mut sums = [1, 2, 3, 4];
    for block in blocks {
        let (words, _) = block.as_chunks::<8>();
        for (sum, word) in sums.iter_mut().zip(words) {
            *sum = add(*sum, u64::from_le_bytes(*word));
        }
    }
    let (words, rest) = rest.as_chunks::<8>();
    let sum = sums.into_iter().chain(words.iter().map(|word| u64::from_le_bytes(*word))).fold(0, add);
    rest.iter().fold(sum, |sum, byte| add(sum, u64::from(*byte)))
}

/// What is written down of a connection while its payload is read.
pub struct Record<'a> {
    /// Its ends.
    pub key: &'a ConnectionKey,
    /// Who asks.
    pub orientation: &'a mut Orientation,
    /// What was asked and said.
    pub book: &'a mut OpenBook,
    /// What the policy says of it.
    pub docket: &'a mut Docket,
    sent: [&'a Sent; 2],
    rare: &'a [Rare; 2],
}

impl<'a> Record<'a> {
    /// What the docket needs to know of the two sides.
    #[must_use]
    pub fn parties(&self) -> Parties<'a> {
        let ([a, b], [rare_a, rare_b]) = (self.sent, self.rare);
        Parties { key: self.key, paths: [a.paths(rare_a), b.paths(rare_b)] }
    }
}

/// Frames of a flow that is still a glimpse: a SYN and its retries.
const GLIMPSE: u64 = 3;

/// Whether so many frames from each side are a few that nobody answered.
pub(super) fn is_glimpse([one, other]: [u64; 2]) -> bool {
    one.min(other) == 0 && one + other <= GLIMPSE
}

/// Whether a TCP conversation came to nothing, from the flags of client and server and whether they sent payload.
pub(super) fn is_blocked(client: (u8, bool), server: (u8, bool), prohibited: bool) -> bool {
    let opened = client.0 & Tcp::SYN != 0;
    let silent = opened && server.0 == 0 && !client.1;
    let reset = server.0 & Tcp::RST != 0 && server.0 & Tcp::SYN == 0;
    !server.1 && (silent || reset || prohibited)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_are_among_the_last_four_and_near() {
        for (case, packets, want) in [
            ("each is another", &[(1, 0), (2, 0), (3, 0), (4, 0), (5, 0)][..], "-----"),
            ("at once", &[(1, 0), (1, 0)], "-c"),
            ("no frame is remembered twice", &[(1, 0), (1, 15), (1, 25)], "-c-"),
            ("19 ticks later, and 20", &[(1, 0), (1, 19), (2, 0), (2, 20)], "-c--"),
            ("19 ticks earlier, and 20", &[(1, 20), (1, 1), (2, 20), (2, 0)], "-c--"),
            ("three others between, and four", &[(1, 0), (2, 0), (3, 0), (4, 0), (1, 1), (5, 0), (1, 1)], "----c--"),
            ("where the ticks wrap", &[(1, 65_530), (1, 65_538)], "-c"),
            ("the nearer of two that are equal", &[(1, 0), (1, 30), (1, 31)], "--c"),
            ("the farther of two that are equal", &[(1, 0), (1, 30), (1, 10)], "--c"),
        ] {
            let mut recent = Recent::default();
            let mut has = |(signature, ticks): &(u64, i64)| recent.has(*signature, Timestamp::from_nanos(ticks << 20));
            let told: String = packets.iter().map(|packet| if has(packet) { 'c' } else { '-' }).collect();
            assert_eq!(told, want, "{case}");
        }
    }
}
