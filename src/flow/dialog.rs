//! The protocol of a connection: found by its bytes, then spoken to PDU by PDU.
//!
//! Ports are hints that put a candidate first; the bytes confirm. On a hinted port one PDU is enough, elsewhere two must
//! fit, so that a stream which only looks right once is not labelled. Until then what came is held, in a bound, and read
//! again when the protocol is known: no operation is lost to the detection. What no dissector takes may still have a
//! name ([`dissectors::recognise`]): it is asked for the first bytes of both sides, and then nothing more is looked at.

use std::borrow::Cow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::LazyLock;

use dissectors::recognise::{Answer, Recognised, recognise};
use dissectors::{Carrier, Direction, Framing, Limits, Pdu, Probe, Protocol, REGISTRY, Role, Session, Sink};

use smallvec::SmallVec;

use super::connection::Side;
use crate::ledger::Evidence;
use crate::prefetch;
use crate::stream::{Framer, Piece};

/// Bytes and segments that are held for both sides while the protocol is not known.
const HELD_BYTES: usize = 8 << 10;
const HELD_SEGMENTS: usize = 64;
/// Bytes of each side by which a protocol that is not dissected is recognised.
const HEAD: usize = 4 << 10;
/// Segment starts that may fail on all protocols before the connection counts as unknown.
const TRIES: u8 = 6;
/// Refused segment starts that say of a short connection that it is not the protocol of its port: one may be the rest of
/// a PDU whose start was not captured.
const REFUSALS: u8 = 2;
/// Losses of the place, without a PDU between them, after which the protocol is taken back.
const DESYNCS: u32 = 8;

/// What a dialog tells its surroundings.
pub trait Listener {
    /// A sink for what the session observes of one PDU.
    fn sink(&mut self, protocol: usize, sender: Side, at: &Evidence) -> &mut dyn Sink;
    /// Bounds on what a session may hold.
    fn limits(&self) -> Limits;
    /// Which way that side sends.
    fn direction(&self, sender: Side) -> Direction;
    /// The first bytes show which role sent them.
    fn role(&mut self, sender: Side, role: Role);
    /// A PDU of so many bytes was framed.
    fn pdu(&mut self, protocol: usize, pdu: &[u8]);
    /// Bytes that belong to no PDU.
    fn skipped(&mut self, protocol: usize, bytes: u64);
    /// A dissector panicked: a bug of ours, which costs this connection and nothing else.
    fn panicked(&mut self, protocol: usize);
}

/// The protocol of a connection.
#[derive(Default)]
pub struct Dialog {
    stage: Stage,
    /// Place in the registry of the protocol that is spoken, if one is.
    spoken: u8,
    /// A protocol whose port this is, and which it is not.
    refuted: Option<u8>,
    /// What it is by its first bytes, when it is not dissected. Stays when another connection starts on the same ports.
    recognised: Option<&'static Recognised>,
}

/// One line of the cache.
const _: () = assert!(size_of::<Dialog>() <= 64);

#[derive(Default)]
enum Stage {
    #[default]
    Silent,
    Probing(Box<Probing>),
    Speaking(Speaking),
    /// None of the registry: nothing more is looked at.
    Settled,
}

/// What most connections hold, a datagram or a segment of a few bytes, stands in it: a flood of them would ask for memory
/// three times each.
#[derive(Default)]
struct Probing {
    held: SmallVec<[Held; 1]>,
    bytes: usize,
    tries: u8,
}

struct Held {
    sender: Side,
    bytes: SmallVec<[u8; 64]>,
    cut: u32,
    at: Evidence,
    /// It starts no PDU by any probe. Read all the same when the protocol of the rest cuts it into whole PDUs: a probe is
    /// stricter than a device that sends nonsense.
    refused: bool,
}

impl Held {
    /// A PDU whose end the snap length cut off, as far as the rest tells.
    fn is_one_pdu(&self, protocol: &dyn Protocol) -> bool {
        let on_the_wire = self.bytes.len() + self.cut as usize;
        protocol.frame(&self.bytes) == Framing::Pdu(on_the_wire) && protocol.probe(&self.bytes) != Probe::No
    }
}

struct Speaking {
    session: Box<dyn Session>,
    framers: [Framer; 2],
}

impl std::fmt::Debug for Dialog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Dialog").field("protocol", &self.protocol()).finish_non_exhaustive()
    }
}

/// What the dialog needs to know of its connection.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    /// What carries it.
    pub carrier: Carrier,
    /// Both ports.
    pub ports: [u16; 2],
}

impl Terms {
    fn hints(&self, protocol: &dyn Protocol) -> bool {
        carries(protocol, self.carrier).is_some_and(|ports| self.ports.iter().any(|port| ports.contains(port)))
    }
}

/// The port hints of a protocol on a carrier; `None` when it is not carried so.
fn carries(protocol: &dyn Protocol, carrier: Carrier) -> Option<&'static [u16]> {
    protocol.info().carriers.iter().find(|(c, _)| *c == carrier).map(|(_, ports)| *ports)
}

impl Dialog {
    /// The place in the registry of the protocol that is spoken.
    #[must_use]
    #[inline]
    pub fn protocol(&self) -> Option<usize> {
        match &self.stage {
            Stage::Speaking(_) => Some(self.spoken.into()),
            _ => None,
        }
    }

    /// The protocol that is spoken and not dissected, known by the first bytes.
    #[must_use]
    pub fn recognised(&self) -> Option<&'static Recognised> {
        self.recognised
    }

    /// The protocol whose port this is, when the payload was found to be something else.
    #[must_use]
    pub fn refuted(&self) -> Option<usize> {
        self.refuted.map(usize::from)
    }

    /// Nothing more is to be found out: payload need not be looked at.
    #[must_use]
    #[inline]
    pub fn is_settled(&self) -> bool {
        matches!(self.stage, Stage::Settled)
    }

    /// See [`super::connection::Connection::prefetch`].
    #[inline]
    pub(super) fn prefetch(&self) {
        if let Stage::Speaking(speaking) = &self.stage {
            prefetch::all(&*speaking.session);
        }
    }

    /// Prefetches what most conversations that come to nothing leave behind.
    pub(super) fn prefetch_end(&self) {
        if let Stage::Probing(probing) = &self.stage {
            prefetch::start(&**probing);
        }
    }

    /// What the session says of [`Session::touch`].
    #[inline]
    pub(super) fn touch(&self) -> u64 {
        if let Stage::Speaking(speaking) = &self.stage { speaking.session.touch() } else { 0 }
    }

    /// The next bytes of one side, in order, of a stream or a datagram.
    #[inline]
    pub fn bytes(&mut self, terms: Terms, sender: Side, bytes: &[u8], cut: u32, at: &Evidence, to: &mut impl Listener) {
        match &mut self.stage {
            Stage::Speaking(speaking) => {
                let spoken = usize::from(self.spoken);
                if speaking.take(spoken, terms.carrier, sender, bytes, cut, at, to) == Spoken::Quarantined {
                    self.stage = Stage::Settled;
                } else if speaking.is_lost() {
                    self.refuted = Some(self.spoken);
                    self.stage = Stage::Settled;
                }
            }
            Stage::Silent | Stage::Probing(_) => self.probe(terms, sender, bytes, cut, at, to),
            Stage::Settled => {}
        }
    }

    /// A piece of an ordered stream.
    pub fn piece(&mut self, terms: Terms, sender: Side, piece: Piece<'_>, at: &Evidence, to: &mut impl Listener) {
        match piece {
            Piece::Bytes { bytes, cut } => self.bytes(terms, sender, bytes, cut, at, to),
            Piece::Gap(lost) => self.gap(sender, lost, to),
            Piece::Late(bytes) => self.late(terms, sender, bytes, at, to),
        }
    }

    /// Another connection starts on the same ports: the protocol is likely the same, its state is not.
    pub fn restart(&mut self, limits: &Limits) {
        match &mut self.stage {
            Stage::Speaking(speaking) => {
                if let Some(protocol) = REGISTRY.get(usize::from(self.spoken)) {
                    speaking.session = protocol.session(limits);
                }
                speaking.framers = Default::default();
            }
            stage => *stage = Stage::Silent,
        }
    }

    /// The connection ends, or nothing came for long: what was held for a second PDU that never came is read if the first was
    /// whole.
    pub fn finish(&mut self, terms: Terms, to: &mut impl Listener) {
        let Stage::Probing(probing) = &self.stage else { return };
        // A whole datagram, or a segment that is one PDU from end to end, with a port that says so too.
        if let Some(index) = candidates(terms, true).find(|index| probing.whole_pdus(*index) >= 1) {
            self.pin(index, terms, to);
            return;
        }
        let recognised = probing.recognise(terms.carrier).map(Answer::recognised);
        if recognised.is_some() || (probing.waiting().next().is_none() && probing.tries >= REFUSALS) {
            self.refute(terms, recognised);
        }
    }

    /// It is none of the registry: neither the protocol whose port it is.
    fn refute(&mut self, terms: Terms, recognised: Option<&'static Recognised>) {
        self.refuted = candidates(terms, true).next().and_then(|index| u8::try_from(index).ok());
        self.recognised = recognised;
        self.stage = Stage::Settled;
    }

    /// A frame without ports: what its first payload is.
    #[cold]
    pub fn frame(&mut self, recognised: Option<&'static Recognised>) {
        self.recognised = recognised;
        self.stage = Stage::Settled;
    }

    fn gap(&mut self, sender: Side, lost: u32, to: &mut impl Listener) {
        match &mut self.stage {
            Stage::Speaking(speaking) => {
                let protocol = REGISTRY.get(usize::from(self.spoken));
                if let (Some(protocol), Some(framer)) = (protocol, speaking.framers.get_mut(sender.index())) {
                    let framed = framer.gap(*protocol, lost as usize);
                    to.skipped(self.spoken.into(), framed.skipped);
                }
                speaking.session.gap(to.direction(sender));
            }
            Stage::Probing(probing) => probing.held.retain(|held| held.sender != sender),
            Stage::Silent | Stage::Settled => {}
        }
    }

    /// A segment that fills a gap after its turn: read if it is whole PDUs from end to end.
    fn late(&mut self, terms: Terms, sender: Side, bytes: &[u8], at: &Evidence, to: &mut impl Listener) {
        let Stage::Speaking(speaking) = &mut self.stage else { return };
        let protocol = REGISTRY.get(usize::from(self.spoken)).copied();
        if protocol.is_some_and(|protocol| whole_pdus(protocol, bytes).is_some()) {
            let mut framer = Framer::default();
            if let Some(own) = speaking.framers.get_mut(sender.index()) {
                std::mem::swap(own, &mut framer);
            }
            speaking.take(self.spoken.into(), terms.carrier, sender, bytes, 0, at, to);
            if let Some(own) = speaking.framers.get_mut(sender.index()) {
                *own = framer;
            }
        }
    }

    #[cold]
    fn probe(&mut self, terms: Terms, sender: Side, bytes: &[u8], cut: u32, at: &Evidence, to: &mut impl Listener) {
        if let (Stage::Silent, 0) = (&self.stage, cut)
            && let Some(index) = candidates(terms, true).next()
            && let Some(protocol) = REGISTRY.get(index).copied()
            && let Probe::Yes { sender: role } = protocol.probe(bytes)
        {
            // Nearly every conversation of these protocols: nothing need be held.
            if let Some(role) = role {
                to.role(sender, role);
            }
            self.speak(index, protocol, &to.limits());
            return self.bytes(terms, sender, bytes, cut, at, to);
        }
        let stage = std::mem::take(&mut self.stage);
        let mut probing = if let Stage::Probing(probing) = stage { probing } else { Box::default() };
        probing.bytes += bytes.len();
        probing.held.push(Held { sender, bytes: SmallVec::from_slice(bytes), cut, at: *at, refused: false });
        let verdict = probing.verdict(terms, sender);
        self.stage = Stage::Probing(probing);
        match verdict {
            Verdict::Is(index) => self.pin(index, terms, to),
            Verdict::Wait => {}
            Verdict::Other(recognised) => self.refute(terms, recognised),
        }
    }

    fn speak(&mut self, index: usize, protocol: &'static dyn Protocol, limits: &Limits) {
        let session = protocol.session(limits);
        self.spoken = index as u8; // Of the registry, which has no more than 32.
        self.stage = Stage::Speaking(Speaking { session, framers: Default::default() });
    }

    fn pin(&mut self, index: usize, terms: Terms, to: &mut impl Listener) {
        let (Some(protocol), Stage::Probing(probing)) = (REGISTRY.get(index).copied(), &mut self.stage) else { return };
        let held = std::mem::take(&mut probing.held);
        let speaker = held.iter().filter(|h| !h.refused).find_map(|h| match protocol.probe(&h.bytes) {
            Probe::Yes { sender: Some(role) } => Some((h.sender, role)),
            _ => None,
        });
        if let Some((sender, role)) = speaker {
            to.role(sender, role);
        }
        self.speak(index, protocol, &to.limits());
        for h in held {
            if h.refused && !is_whole(protocol, &h.bytes) {
                to.skipped(index, h.bytes.len() as u64);
                continue;
            }
            self.bytes(terms, h.sender, &h.bytes, h.cut, &h.at, to);
        }
    }
}

/// The protocols of a carrier, as bits: they are gone through for each of the first segments of what is none of them.
#[derive(Default)]
struct Carried {
    all: u32,
    /// Those that a port hints at.
    hinted: Vec<(u16, u32)>,
}

impl Carried {
    fn by(carrier: Carrier) -> Self {
        let mut carried = Self::default();
        for (index, protocol) in REGISTRY.iter().enumerate() {
            let Some(ports) = carries(*protocol, carrier) else { continue };
            carried.all |= 1 << index;
            carried.hinted.extend(ports.iter().map(|port| (*port, 1 << index)));
        }
        carried
    }

    fn hinted(&self, [a, b]: [u16; 2]) -> u32 {
        let hint = |(port, protocol): &(u16, u32)| if *port == a || *port == b { *protocol } else { 0 };
        self.hinted.iter().fold(0, |all, hinted| all | hint(hinted))
    }
}

static OVER_TCP: LazyLock<Carried> = LazyLock::new(|| Carried::by(Carrier::Tcp));
static OVER_UDP: LazyLock<Carried> = LazyLock::new(|| Carried::by(Carrier::Udp));

/// Protocols of this carrier, those whose port it is first; or those alone.
fn candidates(terms: Terms, hinted_only: bool) -> impl Iterator<Item = usize> {
    let carried = if terms.carrier == Carrier::Tcp { &OVER_TCP } else { &OVER_UDP };
    let mut hinted = carried.hinted(terms.ports);
    let mut others = if hinted_only { 0 } else { carried.all & !hinted };
    std::iter::from_fn(move || {
        let left = if hinted != 0 { &mut hinted } else { &mut others };
        let index = left.trailing_zeros();
        *left &= left.wrapping_sub(1);
        (index < u32::BITS).then_some(index as usize)
    })
}

/// More would need more bits there.
const _: () = assert!(REGISTRY.len() <= 32);

enum Verdict {
    Is(usize),
    Wait,
    /// None of the registry.
    Other(Option<&'static Recognised>),
}

impl Probing {
    fn verdict(&mut self, terms: Terms, sender: Side) -> Verdict {
        let head = self.head(terms, sender);
        let mut wait = false;
        for index in candidates(terms, false) {
            let Some(protocol) = REGISTRY.get(index).copied() else { continue };
            match protocol.probe(&head) {
                Probe::Yes { .. } if terms.hints(protocol) || self.whole_pdus(index) >= 2 => return Verdict::Is(index),
                Probe::Yes { .. } | Probe::NeedAtLeast(_) => wait = true,
                Probe::No => {}
            }
        }
        if let Some(last) = self.held.last().filter(|last| last.cut > 0) {
            // The bytes that a probe still needs will not come. On its own port a PDU that is as long as the segment was on
            // the wire is enough; else the next segment is a new start.
            let fits = |index: &usize| REGISTRY.get(*index).is_some_and(|protocol| last.is_one_pdu(*protocol));
            if let Some(index) = candidates(terms, true).find(fits) {
                return Verdict::Is(index);
            }
            wait = false;
        }
        let full = self.bytes > HELD_BYTES || self.waiting().count() >= HELD_SEGMENTS;
        if wait && !full {
            return Verdict::Wait;
        }
        // What this side sent so far starts no PDU of any protocol: the next segment is a new start.
        self.held.iter_mut().filter(|held| held.sender == sender).for_each(|held| held.refused = true);
        self.bytes = self.waiting().map(|held| held.bytes.len()).sum();
        let mut room = HELD_BYTES;
        self.held.retain(|held| {
            let fits = !held.refused || held.bytes.len() <= room;
            if held.refused && fits {
                room -= held.bytes.len();
            }
            fits
        });
        self.tries += 1;
        match self.recognise(terms.carrier) {
            Some(Answer::Is(what)) => Verdict::Other(Some(what)),
            answer if full || self.tries >= TRIES => Verdict::Other(answer.map(Answer::recognised)),
            _ => Verdict::Wait,
        }
    }

    /// What the first bytes of both sides are by their looks, what is refused included.
    fn recognise(&self, carrier: Carrier) -> Option<Answer> {
        let most = if carrier == Carrier::Tcp { usize::MAX } else { 1 };
        let [a, b] =
            [Side::A, Side::B].map(|side| joined(self.held.iter().filter(|held| held.sender == side).take(most)));
        let head = |bytes: &'_ Cow<'_, [u8]>| bytes.len().min(HEAD);
        recognise(carrier, &[a.get(..head(&a)).unwrap_or_default(), b.get(..head(&b)).unwrap_or_default()])
    }

    /// What is held and not refused yet.
    fn waiting(&self) -> impl DoubleEndedIterator<Item = &Held> {
        self.held.iter().filter(|held| !held.refused)
    }

    /// The bytes of one side so far: for a stream all of them, for datagrams the last.
    fn head(&self, terms: Terms, sender: Side) -> Cow<'_, [u8]> {
        match terms.carrier {
            Carrier::Tcp => self.stream(sender),
            Carrier::Udp => {
                let last = self.waiting().rfind(|held| held.sender == sender);
                last.map_or(Cow::default(), |held| Cow::Borrowed(&*held.bytes))
            }
        }
    }

    /// All bytes of one side so far.
    fn stream(&self, sender: Side) -> Cow<'_, [u8]> {
        joined(self.waiting().filter(|held| held.sender == sender))
    }

    /// Whole PDUs of a protocol in what is held, each of which probes as it; 0 when anything else stands between.
    fn whole_pdus(&self, index: usize) -> usize {
        let Some(protocol) = REGISTRY.get(index).copied() else { return 0 };
        let mut count = 0;
        for side in [Side::A, Side::B] {
            match whole_pdus(protocol, &self.stream(side)) {
                Some(n) => count += n,
                None => return 0,
            }
        }
        count
    }
}

/// The bytes of some segments one behind the other: of one, where they are.
fn joined<'a>(mut segments: impl Iterator<Item = &'a Held>) -> Cow<'a, [u8]> {
    match (segments.next(), segments.next()) {
        (None, _) => Cow::default(),
        (Some(only), None) => Cow::Borrowed(&*only.bytes),
        (Some(first), Some(second)) => {
            let mut all = [&*first.bytes, &*second.bytes].concat();
            segments.for_each(|held| all.extend_from_slice(&held.bytes));
            Cow::Owned(all)
        }
    }
}

/// How many PDUs a stream is, when it is nothing but PDUs that each probe as the protocol; the last may be incomplete.
fn whole_pdus(protocol: &dyn Protocol, mut stream: &[u8]) -> Option<usize> {
    let mut count = 0;
    while !stream.is_empty() {
        match (protocol.probe(stream), protocol.frame(stream)) {
            (Probe::Yes { .. }, Framing::Pdu(len)) => match stream.get(len..) {
                Some(rest) => {
                    count += 1;
                    stream = rest;
                }
                None => break,
            },
            (Probe::No, _) | (_, Framing::Desync) => return None,
            _ => break,
        }
    }
    Some(count)
}

/// Whether bytes are whole PDUs from end to end, by their lengths alone.
fn is_whole(protocol: &dyn Protocol, mut bytes: &[u8]) -> bool {
    while !bytes.is_empty() {
        match protocol.frame(bytes) {
            Framing::Pdu(len) => match bytes.get(len..) {
                Some(rest) => bytes = rest,
                None => return false,
            },
            Framing::NeedAtLeast(_) | Framing::Desync => return false,
        }
    }
    true
}

#[derive(PartialEq, Eq)]
enum Spoken {
    Well,
    Quarantined,
}

impl Speaking {
    fn is_lost(&self) -> bool {
        self.framers.iter().any(|framer| framer.desyncs() > DESYNCS)
    }

    #[inline]
    #[allow(clippy::too_many_arguments)] // What is known of the segment.
    fn take(
        &mut self,
        index: usize,
        carrier: Carrier,
        sender: Side,
        bytes: &[u8],
        cut: u32,
        at: &Evidence,
        to: &mut impl Listener,
    ) -> Spoken {
        let Self { session, framers } = self;
        let framer = framers.get_mut(sender.index());
        let (Some(framer), Some(protocol)) = (framer, REGISTRY.get(index).copied()) else { return Spoken::Well };
        let mut give = |pdu: &[u8], cut: usize| {
            to.pdu(index, pdu);
            let direction = to.direction(sender);
            session.pdu(Pdu { bytes: pdu, direction, carrier, cut }, to.sink(index, sender, at));
        };
        let spoken = catch_unwind(AssertUnwindSafe(|| {
            if carrier == Carrier::Udp {
                // A datagram is whole by itself: nothing carries over to the next one.
                let mut alone = Framer::default();
                let framed = alone.bytes(protocol, bytes, cut, &mut give);
                framed.skipped + alone.held() as u64
            } else {
                framer.bytes(protocol, bytes, cut, &mut give).skipped
            }
        }));
        match spoken {
            Ok(0) => Spoken::Well,
            Ok(skipped) => {
                to.skipped(index, skipped);
                Spoken::Well
            }
            Err(_) => {
                to.panicked(index);
                Spoken::Quarantined
            }
        }
    }
}
