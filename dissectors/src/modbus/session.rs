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
            return self.ask(adu, given);
        }
        self.apply(given)
    }

    #[cold]
    fn ask(&mut self, adu: &Adu<'_>, given: Direction) -> Direction {
        match adu.shape() {
            // Also one that is longer than it should be, when it starts with a code that exists. It has no vote.
            Shape::Odd if is_exception(adu) => Direction::ToClient,
            shape => self.vote(adu.function, shape, given),
        }
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

/// Requests waiting for a reply. At the limit the oldest is forgotten; its reply becomes an orphan.
struct Outstanding {
    /// The newest: nearly always the only one to which a reply will come.
    latest: Option<(Key, Request)>,
    /// Those before it, oldest first: of many nobody saw the reply. The keys stand apart, since they are gone through.
    keys: VecDeque<Key>,
    others: VecDeque<Request>,
    limit: usize,
}

impl Outstanding {
    fn new(limit: usize) -> Self {
        Self { latest: None, keys: VecDeque::new(), others: VecDeque::new(), limit }
    }

    #[inline]
    fn push(&mut self, key: Key, request: Request) {
        if self.limit == 0 {
            return;
        }
        if let Some((key, request)) = self.latest.replace((key, request)) {
            self.queue(key, request);
        }
    }

    #[cold]
    fn queue(&mut self, key: Key, request: Request) {
        self.keys.push_back(key);
        self.others.push_back(request);
        if self.keys.len() >= self.limit {
            self.keys.pop_front();
            self.others.pop_front();
        }
    }

    /// See [`Session::touch`]: the keys that are gone through.
    #[inline]
    fn touch(&self) -> u64 {
        let key = |key: Option<&Key>| key.map_or(0, |key| u64::from(key.0));
        key(self.keys.front()) ^ key(self.keys.back())
    }

    fn clear(&mut self) {
        self.latest = None;
        self.keys.clear();
        self.others.clear();
    }

    /// The request that a reply answers, and whether it fits: the oldest of its key that it fits, else the oldest of its
    /// key. Older ones that it does not fit were never answered and are forgotten, since a server answers in order.
    #[inline]
    fn take(&mut self, key: Key, fits: impl Fn(&Request) -> bool) -> Option<(Request, bool)> {
        match &self.latest {
            // Nearly always: a master that waits for each reply.
            Some((k, request)) if *k == key && fits(request) && !self.is_older(key) => {
                self.latest.take().map(|(_, request)| (request, true))
            }
            _ => self.search(key, fits),
        }
    }

    /// Whether one of those before the newest has that key.
    #[inline]
    fn is_older(&self, key: Key) -> bool {
        let (front, back) = self.keys.as_slices();
        // All at once: it is nearly always none.
        let among = |keys: &[Key]| keys.iter().fold(false, |any, known| any | (*known == key));
        among(front) | among(back)
    }

    #[cold]
    fn search(&mut self, key: Key, fits: impl Fn(&Request) -> bool) -> Option<(Request, bool)> {
        let (mut oldest, mut fitting) = (None, None);
        let latest = self.latest.as_ref().map(|(key, _)| key);
        for (at, _) in self.keys.iter().chain(latest).enumerate().filter(|(_, known)| **known == key) {
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
            if self.keys.get(before) == Some(&key) {
                self.remove(before);
            }
        }
        answered.map(|request| (request, fitting.is_some()))
    }

    /// The one at a place in the order of age.
    fn get(&self, at: usize) -> Option<&Request> {
        let latest = || self.latest.as_ref().filter(|_| at == self.others.len());
        self.others.get(at).or_else(|| latest().map(|(_, request)| request))
    }

    fn remove(&mut self, at: usize) -> Option<Request> {
        if at == self.others.len() {
            return self.latest.take().map(|(_, request)| request);
        }
        self.keys.remove(at);
        self.others.remove(at)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The same, slowly: a list in the order of age.
    #[derive(Default)]
    struct Model(Vec<(Key, u8)>);

    impl Model {
        fn push(&mut self, key: Key, first: u8, limit: usize) {
            self.0.push((key, first));
            if self.0.len() > limit {
                self.0.remove(0);
            }
        }

        fn take(&mut self, key: Key, byte: u8) -> Option<(u8, bool)> {
            let mut alike = self.0.iter().enumerate().filter(|(_, (known, _))| *known == key);
            let oldest = alike.clone().next()?.0;
            let fitting = alike.find(|(_, (_, first))| *first == byte).map(|(at, _)| at);
            let (_, first) = self.0.remove(fitting.unwrap_or(oldest));
            let mut at = 0;
            self.0.retain(|(known, _)| {
                let stays = *known != key || at + 1 > fitting.unwrap_or(oldest);
                at += 1;
                stays
            });
            Some((first, fitting.is_some()))
        }
    }

    proptest! {
        #[test]
        fn a_reply_answers_the_oldest_request_that_it_fits(
            limit in 0..6usize,
            steps in prop::collection::vec((any::<bool>(), 0..3u32, 0..3u8), 0..60),
        ) {
            let (mut outstanding, mut model) = (Outstanding::new(limit), Model::default());
            for (asks, key, byte) in steps {
                let key = Key(key);
                if asks {
                    let code = OperationCode::plain(FunctionCode(3));
                    let request = Request { code, objects: Default::default(), expect: Expect::First(byte) };
                    outstanding.push(key, request);
                    model.push(key, byte, limit);
                } else {
                    let first = |request: &Request| match request.expect {
                        Expect::First(byte) => byte,
                        _ => unreachable!("they are made so"),
                    };
                    let taken = outstanding.take(key, |request| first(request) == byte);
                    let taken = taken.map(|(request, fits)| (first(&request), fits));
                    prop_assert_eq!(taken, model.take(key, byte));
                }
                prop_assert_eq!(outstanding.keys.len(), outstanding.others.len());
                prop_assert_eq!(outstanding.keys.len() + usize::from(outstanding.latest.is_some()), model.0.len());
            }
        }
    }
}
