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
    next: u8,
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
    /// A part of the fingerprint of each slot that is taken, so that one is found without touching the others.
    tags: [u16; SOME],
    /// The same where there are more.
    many: Option<Box<Many>>,
    slots: Box<[Repeat]>,
    /// Slots that are taken.
    len: u8,
    /// What was asked first, which has no slot until its second message: who asks once may never ask again.
    first: u64,
    /// The slot of the next request, if all goes as the last time.
    request: u8,
    /// The slot of the next reply, if they come in the order of their requests.
    reply: u8,
    /// The slot of the latest request.
    asked: u8,
    /// The slot of the latest reply.
    answered: u8,
}

/// By what a slot is found where they are many.
#[derive(Clone, Debug)]
struct Many {
    /// See [`Repeats::tags`].
    tags: [u16; MANY],
    /// The slots of requests, by the [`Ending`] that they had.
    endings: [u8; 1 << u8::BITS],
}

/// What the last bytes of a message are, as a number: a request that ends like one before is likely about the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ending(u8);

impl Ending {
    /// That of a message, of a stream or of a datagram.
    #[must_use]
    #[inline]
    pub fn of(message: &[u8]) -> Self {
        let word = message.last_chunk().map_or(0, |last| u64::from_le_bytes(*last));
        Self((word.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 56) as u8) // The upper bits depend on every byte.
    }
}

/// Slots at first, those whose tags stand with them, and slots at most.
const FEW: usize = 2;
const SOME: usize = 8;
const MANY: usize = 255;

/// Every slot has a number, and all that is always needed stands in one line of the cache with the book.
const _: () = assert!(MANY <= 1 << u8::BITS && size_of::<Repeats>() <= 56);

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
    pub(super) fn count(&mut self, fingerprint: u64, outcome: Outcome, at: Evidence, ending: Ending) -> Known {
        let is_request = outcome.is_request();
        let expected = if is_request { self.request } else { self.reply };
        let Some(slot) = self.find(fingerprint, expected, ending) else { return Known::No };
        if is_request && slot != expected {
            if let Some(before) = self.slots.get_mut(usize::from(self.asked)) {
                before.next = slot;
            }
            if let Some(known) = self.many.as_mut().and_then(|many| many.endings.get_mut(usize::from(ending.0))) {
                *known = slot;
            }
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
        let slot = self.find(fingerprint, self.request, Ending::default()).unwrap_or_else(|| {
            // Only what was asked first had a message before it got a slot.
            let asked = before.filter(|_| self.first == fingerprint);
            self.insert(Repeat { fingerprint, asked, is_open: asked.is_some(), ..FREE }, lost)
        });
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

    /// Prefetches what comes next, if all goes as the last time, and what tells of a message that ends so, if not.
    #[inline]
    pub(super) fn prefetch(&self, ending: Ending) {
        for slot in [self.request, self.reply] {
            if let Some(repeat) = self.slots.get(usize::from(slot)) {
                prefetch::start(repeat);
            }
        }
        if let Some(known) = self.many.as_ref().and_then(|many| many.endings.get(usize::from(ending.0))) {
            prefetch::start(known);
        }
    }

    /// Prefetches what a message that ends so was about before, when what tells of it is there.
    #[inline]
    pub(super) fn prefetch_again(&self, ending: Ending) {
        if let Some(repeat) = self.like(ending).and_then(|slot| self.slots.get(usize::from(slot))) {
            prefetch::start(repeat);
        }
    }

    #[inline]
    fn like(&self, ending: Ending) -> Option<u8> {
        self.many.as_ref()?.endings.get(usize::from(ending.0)).copied()
    }

    #[inline]
    fn find(&self, fingerprint: u64, expected: u8, ending: Ending) -> Option<u8> {
        // Those first that were prefetched.
        if self.is_at(usize::from(expected), fingerprint) {
            return Some(expected);
        }
        let like = self.like(ending).filter(|slot| self.is_at(usize::from(*slot), fingerprint));
        like.or_else(|| self.search(fingerprint))
    }

    fn search(&self, fingerprint: u64) -> Option<u8> {
        let (tags, tag, mut from) = (self.tags(), tag(fingerprint), 0);
        loop {
            let slot = from + position(tags.get(from..)?, tag)?;
            if self.is_at(slot, fingerprint) {
                return Some(slot as u8); // There are at most MANY.
            }
            from = slot + 1;
        }
    }

    #[inline]
    fn tags(&self) -> &[u16] {
        let tags = self.many.as_ref().map_or(&self.tags[..], |many| &many.tags);
        tags.get(..usize::from(self.len)).unwrap_or_default()
    }

    #[inline]
    fn is_at(&self, slot: usize, fingerprint: u64) -> bool {
        self.slots.get(slot).is_some_and(|slot| slot.fingerprint == fingerprint)
    }

    /// Puts one in a free slot, or in place of another. Gives the slot.
    fn insert(&mut self, repeat: Repeat, lost: &mut dyn FnMut(usize, Tally)) -> u8 {
        let len = usize::from(self.len);
        if len == self.slots.len() && len < MANY {
            let mut grown = vec![FREE; (2 * len).clamp(FEW, MANY)];
            grown.iter_mut().zip(&self.slots).for_each(|(new, old)| *new = *old);
            self.slots = grown.into();
        }
        if len == SOME && self.many.is_none() {
            let mut many = Box::new(Many { tags: [0; MANY], endings: [0; 1 << u8::BITS] });
            many.tags.iter_mut().zip(&self.tags).for_each(|(new, old)| *new = *old);
            self.many = Some(many);
        }
        // Above the limit any: those of a round that is too long all have their turn.
        let slot = if len < MANY { len } else { repeat.fingerprint as usize % MANY };
        self.len = self.len.max(slot as u8 + 1); // At most MANY.
        let tags = self.many.as_mut().map_or(&mut self.tags[..], |many| &mut many.tags);
        if let (Some(known), Some(old)) = (tags.get_mut(slot), self.slots.get_mut(slot)) {
            if let Some((place, tally)) = old.tell() {
                lost(place, tally);
            }
            (*known, *old) = (tag(repeat.fingerprint), repeat);
        }
        slot as u8
    }
}

/// What is kept of a fingerprint beside the slots.
fn tag(fingerprint: u64) -> u16 {
    (fingerprint >> 48) as u16
}

/// The first place of a tag. Of many, blocks are passed over in which none is equal.
#[inline]
fn position(tags: &[u16], tag: u16) -> Option<usize> {
    let (blocks, rest) = tags.as_chunks::<32>();
    // All of a block at once: the compiler makes few instructions of it.
    let among = |block: &[u16; 32]| block.iter().fold(false, |any, known| any | (*known == tag));
    match blocks.iter().position(among) {
        Some(block) => blocks.get(block).and_then(|tags| first(tags, tag)).map(|place| 32 * block + place),
        None => first(rest, tag).map(|place| 32 * blocks.len() + place),
    }
}

/// The same of few, four of which are compared at once.
#[inline]
fn first(tags: &[u16], tag: u16) -> Option<usize> {
    const ONES: u64 = 0x0001_0001_0001_0001;
    let (fours, rest) = tags.as_chunks::<4>();
    for (i, [a, b, c, d]) in fours.iter().enumerate() {
        let [a, b, c, d] = [*a, *b, *c, *d].map(u64::from);
        let four = a | b << 16 | c << 32 | d << 48;
        let differs = four ^ ONES.wrapping_mul(tag.into());
        // The highest bit of the lowest sixteen that are all 0; what stands above them may be wrong.
        let equal = differs.wrapping_sub(ONES) & !differs & ONES << 15;
        if equal != 0 {
            return Some(4 * i + equal.trailing_zeros() as usize / 16);
        }
    }
    rest.iter().position(|known| *known == tag).map(|place| 4 * fours.len() + place)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_equal_tags_is_found_wherever_it_stands() {
        for len in (0..30_u16).chain(60..100) {
            let tags: Vec<u16> = (0..len).map(|n| (n / 2).wrapping_mul(0x8001)).collect();
            for tag in (0..=len).flat_map(|n| [n.wrapping_mul(0x8001), 0x8000, 1]) {
                assert_eq!(position(&tags, tag), tags.iter().position(|known| *known == tag), "{tags:?} {tag}");
            }
        }
    }

    fn at(millis: i64) -> Evidence {
        Evidence::new(Timestamp::from_nanos(millis * 1_000_000), 0, 1)
    }

    fn ending(n: u64) -> Ending {
        Ending::of(&n.to_be_bytes())
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
                    if repeats.count(fingerprint(kind), Outcome::Asked, at(round), ending(kind)) == Known::No {
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
                    let slot = repeats.find(fingerprint(*kind), expected, ending(*kind));
                    foreseen += u32::from(round > 2 && slot == Some(expected));
                    if repeats.count(fingerprint(*kind), *outcome, at(round), ending(*kind)) == Known::No {
                        repeats.enter(fingerprint(*kind), *outcome, at(round), 0, None, &mut |_, _| ());
                    }
                }
            }
            assert_eq!(foreseen, 2 * 9 * 2, "{case}");
        }
    }
}
