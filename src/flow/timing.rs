//! How often something is asked, and how long the answer takes: histograms for each pair of zones and protocol.
//!
//! An operation on the same objects of the same connection is the same question: between two of them lies the poll
//! interval, and between one and its answer the response time ([`Interval`]).

use std::collections::{BTreeMap, HashMap};

use ahash::RandomState;
use dissectors::REGISTRY;

pub use super::repeats::Interval;
use crate::policy::{Policy, ZoneId};

/// Upper bounds of the buckets in seconds; one more bucket has no bound.
pub const BOUNDS: [f64; 16] =
    [0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0];

/// The same in nanoseconds.
const NANOS: [u64; BOUNDS.len()] = {
    let (mut nanos, mut i) = ([0; BOUNDS.len()], 0);
    while i < BOUNDS.len() {
        nanos[i] = (BOUNDS[i] * 1e9 + 0.5) as u64;
        i += 1;
    }
    nanos
};

/// Numbers with equally many leading zeros go into one bucket or the next, since each bound is at least twice the last.
const _: () = {
    let mut i = 1;
    while i < NANOS.len() {
        assert!(NANOS[i] >= 2 * NANOS[i - 1]);
        i += 1;
    }
};

/// The first bucket that may hold a number with so many leading zeros.
const STARTS: [u8; u64::BITS as usize + 1] = {
    let (mut starts, mut zeros) = ([0; u64::BITS as usize + 1], 0);
    while zeros < u64::BITS {
        let least = 1_u64 << (u64::BITS - 1 - zeros);
        let mut bucket = 0;
        while bucket < NANOS.len() && NANOS[bucket] < least {
            bucket += 1;
        }
        starts[zeros as usize] = bucket as u8; // There are few.
        zeros += 1;
    }
    starts
};

/// Times by size.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Histogram {
    /// How many there are in each bucket of [`BOUNDS`], and beyond.
    pub counts: [u64; BOUNDS.len() + 1],
    /// Their sum, in nanoseconds.
    pub nanos: u128,
}

impl Histogram {
    #[inline]
    fn note(&mut self, nanos: u64) {
        // No branch that depends on the time: it comes from a line of the cache that may still be on its way.
        let start = usize::from(STARTS.get(nanos.leading_zeros() as usize).copied().unwrap_or_default());
        let bucket = start + usize::from(NANOS.get(start).is_some_and(|bound| nanos > *bound));
        if let Some(count) = self.counts.get_mut(bucket) {
            *count += 1;
        }
        self.nanos += u128::from(nanos);
    }

    /// The sum of all, in seconds.
    #[must_use]
    pub fn seconds(&self) -> f64 {
        self.nanos as f64 / 1e9
    }

    fn merge(&mut self, other: &Self) {
        self.counts.iter_mut().zip(&other.counts).for_each(|(mine, theirs)| *mine += theirs);
        self.nanos += other.nanos;
    }
}

/// What was measured of one kind of conversations.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Timing {
    /// Between two equal requests.
    pub poll: Histogram,
    /// Between a request and its answer.
    pub response: Histogram,
}

impl Timing {
    fn merge(&mut self, other: &Self) {
        self.poll.merge(&other.poll);
        self.response.merge(&other.response);
    }
}

/// Whose conversations: the client's and the server's zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Pair<Z> {
    /// No policy says which.
    None,
    /// These.
    Zones(Z, Z),
    /// All that did not fit.
    Other,
}

/// What a shard measures.
#[derive(Debug)]
pub struct Timings {
    places: HashMap<(Pair<ZoneId>, usize), usize, RandomState>,
    totals: Measured,
    /// What was measured last of each protocol: mostly the same again.
    latest: [usize; REGISTRY.len()],
    most: usize,
}

/// What a shard measured since the last time: the pair of zones and the protocol's place in the registry.
pub type Measured = Vec<((Pair<ZoneId>, usize), Timing)>;

impl Timings {
    /// For so many pairs of zones with a protocol.
    #[must_use]
    pub fn new(most: usize) -> Self {
        Self { places: HashMap::default(), totals: Vec::new(), latest: [0; REGISTRY.len()], most }
    }

    /// Between two messages so much time has passed.
    #[inline]
    pub fn note(&mut self, interval: Interval, zones: Option<(ZoneId, ZoneId)>, protocol: usize) {
        let key = (zones.map_or(Pair::None, |(from, to)| Pair::Zones(from, to)), protocol);
        let mut place = self.latest.get(protocol).copied().unwrap_or_default();
        if self.totals.get(place).is_none_or(|(known, _)| *known != key) {
            place = self.place(key);
            if let Some(latest) = self.latest.get_mut(protocol) {
                *latest = place;
            }
        }
        if let Some((_, timing)) = self.totals.get_mut(place) {
            match interval {
                Interval::Poll(time) => timing.poll.note(time),
                Interval::Response(time) => timing.response.note(time),
            }
        }
    }

    fn place(&mut self, (pair, protocol): (Pair<ZoneId>, usize)) -> usize {
        let is_full = self.totals.len() >= self.most && !self.places.contains_key(&(pair, protocol));
        let key = (if is_full { Pair::Other } else { pair }, protocol);
        *self.places.entry(key).or_insert_with(|| {
            self.totals.push((key, Timing::default()));
            self.totals.len() - 1
        })
    }

    /// What was measured since the last time.
    #[must_use]
    pub fn drain(&mut self) -> Measured {
        self.places.clear();
        std::mem::take(&mut self.totals)
    }
}

/// All that was measured, by the names of zones, so that it outlives their declaration.
#[derive(Clone, Debug, Default)]
pub struct Totals(BTreeMap<(Pair<String>, &'static str), Timing>);

impl Totals {
    /// Adds what a shard measured by this policy, for at most so many pairs of zones with a protocol.
    pub fn merge(&mut self, measured: Measured, policy: Option<&Policy>, most: usize) {
        for ((pair, protocol), timing) in measured {
            let Some(protocol) = REGISTRY.get(protocol).map(|protocol| protocol.info().name) else { continue };
            let pair = match (pair, policy) {
                (Pair::Zones(from, to), Some(policy)) => {
                    Pair::Zones(policy.zone(from).id.clone(), policy.zone(to).id.clone())
                }
                (Pair::Other, _) => Pair::Other,
                _ => Pair::None,
            };
            let is_full = self.0.len() >= most && !self.0.contains_key(&(pair.clone(), protocol));
            self.0.entry((if is_full { Pair::Other } else { pair }, protocol)).or_default().merge(&timing);
        }
    }

    /// Each pair of zones with a protocol.
    pub fn iter(&self) -> impl Iterator<Item = (&Pair<String>, &'static str, &Timing)> {
        self.0.iter().map(|((pair, protocol), timing)| (pair, *protocol, timing))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dissectors::{Class, Operation, Outcome};

    use crate::flow::book::{Entered, OpenBook};
    use crate::flow::connection::Side;
    use crate::flow::repeats::Ending;
    use crate::ledger::Evidence;
    use crate::time::Timestamp;

    #[test]
    fn intervals_and_answers() {
        let (asked, answered, told) = (Outcome::Asked, Outcome::Answered, Outcome::Told);
        let (a, b) = (Side::A, Side::B);
        for (case, messages, polls, responses) in [
            (
                "a poller",
                &[(0, a, 7, asked), (3, b, 7, answered), (100, a, 7, asked), (104, b, 7, answered)][..],
                1,
                vec![3, 4],
            ),
            (
                "two questions at once",
                &[(0, a, 7, asked), (1, a, 8, asked), (5, b, 8, answered), (9, b, 7, answered)],
                0,
                vec![4, 9],
            ),
            (
                "an answer that nobody asked for",
                &[(0, b, 7, answered), (1, a, 7, asked), (2, b, 7, answered), (3, b, 7, answered)],
                0,
                vec![1],
            ),
            ("cyclic", &[(0, a, 7, told), (10, a, 7, told), (20, a, 7, told)], 2, vec![]),
            // The first of one end has no slot, and the other's came in between.
            (
                "cyclic, both ways",
                &[(0, a, 7, told), (9, b, 7, told), (10, a, 7, told), (19, b, 7, told), (20, a, 7, told)],
                2,
                vec![],
            ),
        ] {
            for drained in [false, true] {
                let (mut timings, mut book) = (Timings::new(4), OpenBook::default());
                for (at, sender, fingerprint, outcome) in messages {
                    let at = Evidence::new(Timestamp::from_nanos(at * 1_000_000), 0, 1);
                    let code = *fingerprint;
                    let message =
                        Operation { class: Class::Read, code, component: None, objects: &[], outcome: *outcome };
                    let entered = book.operation(fingerprint << 32, *sender, &message, at, Ending::default());
                    if let Entered::Yes(Some(interval)) = entered {
                        timings.note(interval, None, 0);
                    }
                    if drained {
                        drop(book.drain());
                    }
                }
                let mut totals = Totals::default();
                totals.merge(timings.drain(), None, 4);
                let timing = totals.iter().map(|(_, _, timing)| timing.clone()).next().unwrap_or_default();
                // Between two drains the first message of all is not remembered: it had no slot.
                let lost = usize::from(drained);
                assert!(timing.poll.counts.iter().sum::<u64>() + lost as u64 >= polls, "{case}");
                assert!(timing.response.counts.iter().sum::<u64>() as usize + lost >= responses.len(), "{case}");
                if !drained {
                    assert_eq!(timing.poll.counts.iter().sum::<u64>(), polls, "{case}");
                    assert_eq!(timing.response.nanos, responses.iter().sum::<u128>() * 1_000_000, "{case}");
                }
            }
        }
    }

    #[test]
    fn pairs_are_bounded() {
        let mut totals = Totals::default();
        for protocol in 0..REGISTRY.len() {
            totals.merge(vec![((Pair::None, protocol), Timing::default())], None, 2);
        }
        let names: Vec<_> = totals.iter().map(|(pair, ..)| pair.clone()).collect();
        assert_eq!(names.iter().filter(|pair| **pair == Pair::None).count(), 2);
        assert!(names.len() <= 2 + REGISTRY.len() && names.contains(&Pair::Other));
    }
}
