//! What a connection repeats: a line of the cache for each operation on certain objects, in which the packet path counts it
//! and finds when it was asked before. What was counted goes to the book when that is read.

use dissectors::Outcome;

use super::ops::Tally;
use crate::ledger::Evidence;
use crate::prefetch;
use crate::time::Timestamp;

/// Between two messages about the same objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interval {
    /// From a request (or a message that wants no reply) to the next of the same kind, in nanoseconds.
    Poll(u64),
    /// From a request to its reply, in nanoseconds.
    Response(u64),
}

/// One operation on certain objects.
#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
struct Repeat {
    /// Which; 0 for none.
    fingerprint: u64,
    /// Messages that the book has not been told of yet.
    requests: u32,
    answered: u32,
    refused: u32,
    /// Its place among the operations of the book, or [`NONE`].
    place: u32,
    /// Of those messages.
    last: Evidence,
    asked: Option<Timestamp>,
    /// It was asked and not answered.
    is_open: bool,
    /// The slot of what was asked next, the last time.
    next: u16,
}

/// Not in the book, or no longer.
const NONE: u32 = u32::MAX;

/// No operation.
const FREE: Repeat = Repeat {
    fingerprint: 0,
    requests: 0,
    answered: 0,
    refused: 0,
    place: NONE,
    last: Evidence::NONE,
    asked: None,
    is_open: false,
    next: 0,
};

impl Repeat {
    /// What the book is to be told of it, which it knows then.
    fn tell(&mut self) -> Option<(usize, Tally)> {
        let Self { requests, answered, refused, last, .. } = *self;
        (self.requests, self.answered, self.refused) = (0, 0, 0);
        let tally =
            Tally { requests: requests.into(), answered: answered.into(), refused: refused.into(), first: last, last };
        (requests | answered | refused != 0).then_some((self.place as usize, tally))
    }

    #[inline]
    fn count(&mut self, outcome: Outcome, at: Evidence) {
        match outcome {
            Outcome::Asked | Outcome::Told => self.requests += 1,
            Outcome::Answered => self.answered += 1,
            Outcome::Refused(_) => self.refused += 1,
        }
        self.last = self.last.max(at);
    }

    #[inline]
    fn interval(&mut self, outcome: Outcome, at: Timestamp) -> Option<Interval> {
        match outcome {
            Outcome::Asked | Outcome::Told => {
                let before = self.asked.replace(at);
                self.is_open = outcome == Outcome::Asked;
                before.map(|before| Interval::Poll(at.nanos_since(before)))
            }
            Outcome::Answered | Outcome::Refused(_) => {
                let asked = self.asked.filter(|_| std::mem::take(&mut self.is_open));
                asked.map(|asked| Interval::Response(at.nanos_since(asked)))
            }
        }
    }
}

/// What a connection repeats. It grows until all of it has a slot: a poller's round of requests would take turns in one of
/// fixed size.
#[derive(Clone, Debug, Default)]
pub(super) struct Repeats {
    /// A power of two.
    slots: Box<[Repeat]>,
    /// What was asked first, which has no slot until its second message: who asks once may never ask again.
    first: u64,
    /// The slot of the next request, if all goes as the last time.
    request: u16,
    /// The slot of the next reply, if they come in the order of their requests.
    reply: u16,
    /// The slot of the latest request.
    asked: u16,
    /// The slot of the latest reply.
    answered: u16,
}

/// Slots at first, and at most.
const FEW: usize = 2;
const MANY: usize = 64;
/// Neighbours in which one is looked for.
const NEAR: usize = 4;

/// Whether a message is news.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Known {
    /// It was counted.
    Yes(Option<Interval>),
    /// The book has to be told of it, and then [`Repeats::enter`].
    No,
}

impl Repeats {
    /// Counts a message of an operation that has a slot and a place in the book.
    #[inline]
    pub(super) fn count(&mut self, fingerprint: u64, outcome: Outcome, at: Evidence) -> Known {
        let is_request = outcome.is_request();
        let expected = if is_request { self.request } else { self.reply };
        let Some(slot) = self.find(fingerprint, expected) else { return Known::No };
        if is_request
            && slot != expected
            && let Some(before) = self.slots.get_mut(usize::from(self.asked))
        {
            before.next = slot;
        }
        let Some(repeat) = self.slots.get_mut(usize::from(slot)) else { return Known::No };
        let next = repeat.next;
        if is_request {
            if self.asked == self.answered {
                self.reply = slot; // Nobody waits for another reply.
            }
            (self.asked, self.request) = (slot, next);
        } else {
            (self.answered, self.reply) = (slot, next);
        }
        if repeat.place == NONE || (repeat.requests | repeat.answered | repeat.refused) >= u32::MAX / 2 {
            return Known::No;
        }
        repeat.count(outcome, at);
        Known::Yes(repeat.interval(outcome, at.at))
    }

    /// The book was told of a message: its place there, and the only message before it, if there was one. The next messages
    /// are counted here. `lost` takes what had to go for it.
    pub(super) fn enter(
        &mut self,
        fingerprint: u64,
        outcome: Outcome,
        at: Evidence,
        place: usize,
        before: Option<Timestamp>,
        lost: &mut dyn FnMut(usize, Tally),
    ) -> Option<Interval> {
        if self.first == 0 {
            self.first = fingerprint;
            return None;
        }
        let place = u32::try_from(place).unwrap_or(NONE);
        let slot = self.find(fingerprint, self.request).or_else(|| {
            // Only what was asked first had a message before it got a slot.
            let asked = before.filter(|_| self.first == fingerprint);
            self.insert(Repeat { fingerprint, asked, is_open: asked.is_some(), ..FREE }, lost);
            self.find(fingerprint, self.request)
        })?;
        let repeat = self.slots.get_mut(usize::from(slot))?;
        if let Some((place, tally)) = repeat.tell() {
            lost(place, tally);
        }
        repeat.place = place;
        repeat.interval(outcome, at.at)
    }

    /// Tells what was counted since the last time.
    pub(super) fn tell(&mut self, to: &mut dyn FnMut(usize, Tally)) {
        for (place, tally) in self.slots.iter_mut().filter_map(Repeat::tell) {
            to(place, tally);
        }
    }

    /// The book is another one: its places and its first message are not those of before.
    pub(super) fn forget_places(&mut self) {
        self.first = self.first.min(1); // No operation's, but not none.
        self.slots.iter_mut().for_each(|repeat| repeat.place = NONE);
    }

    /// Prefetches what comes next, if all goes as the last time.
    #[inline]
    pub(super) fn prefetch(&self) {
        for slot in [self.request, self.reply] {
            if let Some(repeat) = self.slots.get(usize::from(slot)) {
                prefetch::start(repeat);
            }
        }
    }

    #[inline]
    fn find(&self, fingerprint: u64, expected: u16) -> Option<u16> {
        // Not its neighbours first, which were not prefetched.
        if self.slots.get(usize::from(expected)).is_some_and(|slot| slot.fingerprint == fingerprint) {
            return Some(expected);
        }
        let mask = self.slots.len().wrapping_sub(1);
        let home = (fingerprint >> 32) as usize;
        for slot in (0..NEAR).map(|near| (home + near) & mask) {
            if self.slots.get(slot)?.fingerprint == fingerprint {
                return Some(slot as u16); // There are at most MANY.
            }
        }
        None
    }

    fn insert(&mut self, repeat: Repeat, lost: &mut dyn FnMut(usize, Tally)) {
        if self.put(repeat, self.slots.len() >= MANY, lost) {
            return;
        }
        let doubled = vec![FREE; (2 * self.slots.len()).max(FEW)];
        for mut old in std::mem::replace(&mut self.slots, doubled.into()) {
            // One that finds no place is found anew when it is asked again.
            if old.fingerprint != 0
                && !self.put(old, false, lost)
                && let Some((place, tally)) = old.tell()
            {
                lost(place, tally);
            }
        }
        self.put(repeat, true, lost);
    }

    /// Puts one in a free slot near its own, or in place of another.
    fn put(&mut self, repeat: Repeat, force: bool, lost: &mut dyn FnMut(usize, Tally)) -> bool {
        let mask = self.slots.len().wrapping_sub(1);
        let home = (repeat.fingerprint >> 32) as usize;
        let is_free = |near: &usize| self.slots.get((home + near) & mask).is_some_and(|slot| slot.fingerprint == 0);
        let near = (0..NEAR).find(is_free).or(force.then_some(0));
        let Some(slot) = near.and_then(|near| self.slots.get_mut((home + near) & mask)) else { return false };
        if let Some((place, tally)) = slot.tell() {
            lost(place, tally);
        }
        *slot = repeat;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: i64) -> Evidence {
        Evidence::new(Timestamp::from_nanos(millis * 1_000_000), 0, 1)
    }

    fn fingerprint(n: u64) -> u64 {
        n.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1
    }

    #[test]
    fn what_is_counted_is_told_once_whatever_the_number_of_operations() {
        for kinds in [1, 2, 3, 40, 255, 1000] {
            let (mut repeats, mut told) = (Repeats::default(), vec![0; kinds as usize]);
            for round in 0..4 {
                for kind in 0..kinds {
                    let mut lost = |place: usize, tally: Tally| told[place] += tally.requests;
                    if repeats.count(fingerprint(kind), Outcome::Asked, at(round)) == Known::No {
                        repeats.enter(fingerprint(kind), Outcome::Asked, at(round), kind as usize, None, &mut lost);
                        told[kind as usize] += 1;
                    }
                }
            }
            assert!(repeats.slots.len() <= MANY, "{kinds}");
            for _ in 0..2 {
                repeats.tell(&mut |place, tally| told[place] += tally.requests);
            }
            assert!(told.iter().all(|count| *count == 4), "{kinds}: {told:?}");
        }
    }

    #[test]
    fn the_next_of_a_round_is_expected() {
        let (ask, answer) = (|kind| (kind, Outcome::Asked), |kind| (kind, Outcome::Answered));
        let alone = |kind| [ask(kind), answer(kind)];
        let threes = |kind| [ask(kind), ask(kind + 1), ask(kind + 2), answer(kind), answer(kind + 1), answer(kind + 2)];
        for (case, messages) in [
            ("one after the other", (0..9).flat_map(alone).collect::<Vec<_>>()),
            ("three at once", (0..9).step_by(3).flat_map(threes).collect()),
        ] {
            let (mut repeats, mut foreseen) = (Repeats::default(), 0);
            for round in 0..5 {
                for (kind, outcome) in &messages {
                    let expected = if outcome.is_request() { repeats.request } else { repeats.reply };
                    let slot = repeats.find(fingerprint(*kind), expected);
                    foreseen += u32::from(round > 2 && slot == Some(expected));
                    if repeats.count(fingerprint(*kind), *outcome, at(round)) == Known::No {
                        repeats.enter(fingerprint(*kind), *outcome, at(round), 0, None, &mut |_, _| ());
                    }
                }
            }
            assert_eq!(foreseen, 2 * 9 * 2, "{case}");
        }
    }
}
