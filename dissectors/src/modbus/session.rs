//! One connection: which side speaks, which request a reply answers, and what is said of both.

use std::collections::VecDeque;

use super::{
    code::{FunctionCode, OperationCode, is_exception_code},
    identity, reply,
    request::{Expect, Objects, Request},
    wire::{Adu, Notes, Shape, UnitId},
};
use crate::{Direction, Identity, Limits, Object, Observation, Operation, Outcome, ParseError, Pdu, Session};

/// Takes the framing off: [`super::wire::tcp`] or [`super::wire::rtu`].
pub(super) type Unframe = for<'a> fn(&Pdu<'a>, &mut Notes<'_>) -> Result<Adu<'a>, ParseError>;

/// The session of both framings.
pub(super) struct ModbusSession {
    unframe: Unframe,
    outstanding: Outstanding,
    lean: Lean,
}

impl ModbusSession {
    pub(super) fn new(unframe: Unframe, limits: &Limits) -> Self {
        Self { unframe, outstanding: Outstanding::new(limits.outstanding), lean: Lean::default() }
    }

    fn request(&mut self, adu: &Adu<'_>, notes: &mut Notes<'_>) {
        let request = Request::read(adu, notes);
        identity::umas_request(request.code, adu.data, notes);
        request.objects.with(|objects| observe(request.code, adu.unit, objects, Outcome::Asked, notes));
        if !matches!(request.expect, Expect::Silence) {
            self.outstanding.push(Key::of(adu), request);
        }
    }

    fn reply(&mut self, adu: &Adu<'_>, notes: &mut Notes<'_>) {
        let exception = adu.function.is_exception();
        let data = adu.data.rest();
        let request = self.outstanding.take(Key::of(adu), |request| exception || request.expect.fits(data));
        let asked = request.as_ref().map(|request| request.code);
        if let Some(request) = &request {
            let fits = exception || request.expect.fits(data);
            notes.expect(fits, "reply does not fit its request", adu.data.at());
        }
        let outcome = if exception { refused(adu, notes) } else { reply::read(adu, asked, notes) };
        let code = asked.unwrap_or_else(|| reply::code(adu));
        request
            .map_or_else(Objects::default, |request| request.objects)
            .with(|objects| observe(code, adu.unit, objects, outcome, notes));
    }
}

impl Session for ModbusSession {
    fn pdu(&mut self, pdu: Pdu<'_>, out: &mut dyn crate::Sink) {
        let mut notes = Notes { out, cut: pdu.cut > 0 };
        match (self.unframe)(&pdu, &mut notes) {
            Err(error) => notes.short(error),
            Ok(adu) => match self.lean.direction(&adu, pdu.direction) {
                Direction::ToServer => self.request(&adu, &mut notes),
                Direction::ToClient => self.reply(&adu, &mut notes),
            },
        }
    }

    fn gap(&mut self, direction: Direction) {
        // Requests that lost their replies would take the replies of later ones with the same key. Lost requests leave
        // nothing behind.
        if self.lean.apply(direction) == Direction::ToClient {
            self.outstanding.queue.clear();
        }
    }
}

fn observe(code: OperationCode, unit: UnitId, objects: &[Object<'_>], outcome: Outcome, notes: &mut Notes<'_>) {
    notes.out.observe(Observation::Operation(Operation {
        class: code.class(),
        code: code.to_u64(),
        component: unit.component(),
        objects,
        outcome,
    }));
}

/// An exception reply. MODBUS Application Protocol V1.1b3, section 7.
fn refused(adu: &Adu<'_>, notes: &mut Notes<'_>) -> Outcome {
    let mut r = adu.data;
    let at = r.at();
    let code = match r.u8("exception code") {
        Ok(code) => {
            notes.expect(is_exception_code(code), "exception code is not defined", at);
            notes.end(&r);
            code
        }
        Err(error) => {
            notes.short(error);
            0
        }
    };
    // Only a gateway says so, and it says so of itself, not of the unit that it could not reach.
    let basis = match code {
        10 => Some("Modbus exception 0x0A, gateway path unavailable"),
        11 => Some("Modbus exception 0x0B, gateway target failed to respond"),
        _ => None,
    };
    if let Some(basis) = basis {
        notes.out.observe(Observation::Identity(Identity::role(None, "gateway", 85, basis)));
    }
    Outcome::Refused(code.into())
}

/// Which way PDUs really go. The direction that comes with a PDU is a guess when the start of the connection was not
/// seen; then the shapes of requests and replies tell. One odd PDU of a fuzzer does not outvote those before it.
#[derive(Default)]
struct Lean(i8);

impl Lean {
    /// Votes that shapes can gather for or against the given direction.
    const MOST: i8 = 8;

    #[inline]
    fn direction(&mut self, adu: &Adu<'_>, given: Direction) -> Direction {
        let shown = match adu.shape() {
            Shape::Request => Direction::ToServer,
            Shape::Response => Direction::ToClient,
            Shape::Either | Shape::Odd => return self.apply(given),
        };
        let vote = if shown == given { 1 } else { -1 };
        self.0 = (self.0 + vote).clamp(-Self::MOST, Self::MOST);
        // An exception is a reply whatever the votes; and where they are even, the latest bytes decide.
        if self.0 == 0 || adu.function.is_exception() { shown } else { self.apply(given) }
    }

    #[inline]
    fn apply(&self, given: Direction) -> Direction {
        if self.0 < 0 { given.reverse() } else { given }
    }
}

/// What pairs a reply with its request: transaction, unit and function. Many masters use one transaction id for ever,
/// and gateways serve many units on one connection, so none of the three is enough.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Key(u32);

impl Key {
    #[inline]
    fn of(adu: &Adu<'_>) -> Self {
        let FunctionCode(function) = adu.function.asked();
        let [high, low] = adu.transaction.to_be_bytes();
        Self(u32::from_be_bytes([high, low, adu.unit.0, function]))
    }
}

/// Requests waiting for a reply, oldest first. At the limit the oldest is forgotten; its reply becomes an orphan.
struct Outstanding {
    queue: VecDeque<(Key, Request)>,
    limit: usize,
}

impl Outstanding {
    fn new(limit: usize) -> Self {
        Self { queue: VecDeque::new(), limit }
    }

    fn push(&mut self, key: Key, request: Request) {
        if self.queue.len() >= self.limit {
            self.queue.pop_front();
        }
        if self.limit > 0 {
            self.queue.push_back((key, request));
        }
    }

    /// The request that a reply answers: the oldest of its key that it fits, else the oldest of its key. Older ones
    /// that it does not fit were never answered and are forgotten, since a server answers in order.
    fn take(&mut self, key: Key, fits: impl Fn(&Request) -> bool) -> Option<Request> {
        let oldest = self.queue.iter().position(|(k, _)| *k == key)?;
        let fitting = self.queue.iter().skip(oldest).position(|(k, request)| *k == key && fits(request));
        let mut at = oldest;
        for _ in 0..fitting.unwrap_or(0) {
            match self.queue.get(at) {
                Some((k, _)) if *k == key => drop(self.queue.remove(at)),
                _ => at += 1,
            }
        }
        self.queue.remove(at).map(|(_, request)| request)
    }
}
