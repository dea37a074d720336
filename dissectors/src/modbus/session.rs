//! One connection: which side speaks, which request a reply answers, and what is said of both.

use std::{collections::VecDeque, marker::PhantomData};

use super::{
    code::{FunctionCode, OperationCode, is_exception_code},
    identity, reply,
    request::{Expect, Request},
    wire::{Adu, Framed, Notes, Shape, UnitId},
};
use crate::{Direction, Identity, Limits, Method, Object, Observation, Operation, Outcome, Pdu, Session};

/// The session of both framings.
pub(super) struct ModbusSession<F> {
    framed: PhantomData<fn() -> F>,
    outstanding: Outstanding,
    lean: Lean,
    text: usize,
}

impl<F: Framed> ModbusSession<F> {
    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            framed: PhantomData,
            outstanding: Outstanding::new(limits.outstanding),
            lean: Lean::default(),
            text: limits.text,
        }
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
        if let Some((_, fits)) = request {
            notes.expect(fits, "reply does not fit its request", adu.data.at());
        }
        let asked = request.as_ref().map(|(request, _)| request.code);
        let outcome = if exception { refused(adu, notes) } else { reply::read(adu, asked, notes) };
        match &request {
            Some((request, _)) => {
                request.objects.with(|objects| observe(request.code, adu.unit, objects, outcome, notes));
            }
            None => observe(reply::code(adu), adu.unit, &[], outcome, notes),
        }
    }
}

impl<F: Framed> Session for ModbusSession<F> {
    fn pdu(&mut self, pdu: Pdu<'_>, out: &mut dyn crate::Sink) {
        let mut notes = Notes { out, cut: pdu.cut > 0, text: self.text };
        match F::unframe(&pdu, &mut notes) {
            Err(error) => notes.short(error),
            Ok(adu) => match self.lean.direction(&adu, pdu.direction) {
                Direction::ToServer => self.request(&adu, &mut notes),
                Direction::ToClient => self.reply(&adu, &mut notes),
            },
        }
    }

    #[inline]
    fn touch(&self) -> u64 {
        self.outstanding.touch()
    }

    fn gap(&mut self, direction: Direction) {
        // Requests that lost their replies would take the replies of later ones with the same key. Lost requests leave
        // nothing behind.
        if self.lean.apply(direction) == Direction::ToClient {
            self.outstanding.clear();
        }
    }
}

fn observe(code: OperationCode, unit: UnitId, objects: &[Object<'_>], outcome: Outcome, notes: &mut Notes<'_>) {
    notes.out.operation(&Operation {
        class: code.class(),
        code: code.to_u64(),
        component: unit.component(),
        objects,
        outcome,
    });
}

/// An exception reply. MODBUS Application Protocol V1.1b3, section 7.
#[inline(never)]
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
        let sign = Identity::role(None, "gateway", 85, basis);
        notes.out.observe(Observation::Identity(Identity { method: Method::Behaviour, ..sign }));
    }
    Outcome::Refused(code.into())
}

/// A function code with bit 7, and behind it an exception code that exists.
fn is_exception(adu: &Adu<'_>) -> bool {
    adu.function.is_exception() && adu.data.rest().first().is_some_and(|code| is_exception_code(*code))
}

/// Which way PDUs really go. The direction that comes with a PDU is a guess when the start of the connection was not
/// seen; then the shapes of requests and replies tell. One odd PDU of a fuzzer does not outvote those before it, and
/// when enough agree the matter is settled for the connection.
#[derive(Default)]
struct Lean(i8);

impl Lean {
    /// Votes for or against the given direction that settle it.
    const SETTLED: i8 = 8;

    #[inline]
    fn direction(&mut self, adu: &Adu<'_>, given: Direction) -> Direction {
        // An exception is a reply whatever the votes, so its shape always counts.
        if self.0.unsigned_abs() < Self::SETTLED.unsigned_abs() || adu.function.is_exception() {
            return match adu.shape() {
                // Also one that is longer than it should be, when it starts with a code that exists. It has no vote.
                Shape::Odd if is_exception(adu) => Direction::ToClient,
                shape => self.vote(adu.function, shape, given),
            };
        }
        self.apply(given)
    }

    fn vote(&mut self, function: FunctionCode, shape: Shape, given: Direction) -> Direction {
        let shown = match shape {
            Shape::Request => Direction::ToServer,
            Shape::Response => Direction::ToClient,
            Shape::Either | Shape::Odd => return self.apply(given),
        };
        let vote = if shown == given { 1 } else { -1 };
        self.0 = self.0.saturating_add(vote).clamp(-Self::SETTLED, Self::SETTLED);
        // Where the votes are even, the latest bytes decide.
        if self.0 == 0 || function.is_exception() { shown } else { self.apply(given) }
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
    /// The oldest: nearly always the only one.
    first: Option<(Key, Request)>,
    /// None without a first. The keys stand apart: they are gone through where a request was never answered.
    keys: VecDeque<Key>,
    others: VecDeque<Request>,
    limit: usize,
}

impl Outstanding {
    fn new(limit: usize) -> Self {
        Self { first: None, keys: VecDeque::new(), others: VecDeque::new(), limit }
    }

    #[inline]
    fn push(&mut self, key: Key, request: Request) {
        if self.first.is_none() && self.limit > 0 {
            self.first = Some((key, request));
        } else {
            self.queue(key, request);
        }
    }

    #[cold]
    fn queue(&mut self, key: Key, request: Request) {
        if self.others.len() + 1 >= self.limit {
            self.first = self.next();
        }
        if self.first.is_some() {
            self.keys.push_back(key);
            self.others.push_back(request);
        } else {
            self.first = (self.limit > 0).then_some((key, request));
        }
    }

    /// See [`Session::touch`]: where the next is put, and the keys that are gone through.
    #[inline]
    fn touch(&self) -> u64 {
        let request = self.others.back().map_or(0, |request| request.code.to_u64());
        request ^ self.keys.front().map_or(0, |key| u64::from(key.0))
    }

    fn clear(&mut self) {
        self.first = None;
        self.keys.clear();
        self.others.clear();
    }

    /// Takes the oldest behind the first.
    fn next(&mut self) -> Option<(Key, Request)> {
        self.keys.pop_front().zip(self.others.pop_front())
    }

    /// The request that a reply answers, and whether it fits: the oldest of its key that it fits, else the oldest of its
    /// key. Older ones that it does not fit were never answered and are forgotten, since a server answers in order.
    #[inline]
    fn take(&mut self, key: Key, fits: impl Fn(&Request) -> bool) -> Option<(Request, bool)> {
        match &self.first {
            // Nearly always: a master that waits for each reply.
            Some((k, request)) if *k == key && fits(request) => {
                let next = if self.others.is_empty() { None } else { self.next() };
                std::mem::replace(&mut self.first, next).map(|(_, request)| (request, true))
            }
            _ => self.search(key, fits),
        }
    }

    #[cold]
    fn search(&mut self, key: Key, fits: impl Fn(&Request) -> bool) -> Option<(Request, bool)> {
        let (mut oldest, mut fitting) = (None, None);
        let first = self.first.as_ref().map(|(key, _)| key);
        for (at, _) in first.into_iter().chain(&self.keys).enumerate().filter(|(_, known)| **known == key) {
            oldest = oldest.or(Some(at));
            if self.get(at).is_some_and(&fits) {
                fitting = Some(at);
                break;
            }
        }
        let oldest = oldest?;
        let at = fitting.unwrap_or(oldest);
        let answered = self.remove(at);
        for before in (oldest..at).rev() {
            if self.key(before) == Some(key) {
                self.remove(before);
            }
        }
        answered.map(|request| (request, fitting.is_some()))
    }

    /// The one at a place in the order of age.
    fn get(&self, at: usize) -> Option<&Request> {
        let Some(at) = at.checked_sub(1) else { return self.first.as_ref().map(|(_, request)| request) };
        self.others.get(at)
    }

    fn key(&self, at: usize) -> Option<Key> {
        let Some(at) = at.checked_sub(1) else { return self.first.as_ref().map(|(key, _)| *key) };
        self.keys.get(at).copied()
    }

    fn remove(&mut self, at: usize) -> Option<Request> {
        let Some(at) = at.checked_sub(1) else {
            let next = self.next();
            return std::mem::replace(&mut self.first, next).map(|(_, request)| request);
        };
        self.keys.remove(at);
        self.others.remove(at)
    }
}
