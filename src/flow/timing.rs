//! How often something is asked, and how long the answer takes: histograms for each pair of zones and protocol.
//!
//! An operation on the same objects of the same connection is the same question: between two of them lies the poll
//! interval, and between one and its answer the response time. What was asked last is remembered in a table of fixed size,
//! where a younger question may take the place of an older one, which then is not measured.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use ahash::RandomState;
use dissectors::{Outcome, REGISTRY};

use super::connection::{ConnectionKey, Side};
use super::hash::Secret;
use crate::policy::{Policy, ZoneId};
use crate::time::Timestamp;

/// Upper bounds of the buckets in seconds; one more bucket has no bound.
pub const BOUNDS: [f64; 16] =
    [0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0];

/// Times by size.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Histogram {
    /// How many there are in each bucket of [`BOUNDS`], and beyond.
    pub counts: [u64; BOUNDS.len() + 1],
    /// Their sum.
    pub sum: Duration,
}

impl Histogram {
    fn note(&mut self, time: Duration) {
        let seconds = time.as_secs_f64();
        let bucket = BOUNDS.iter().position(|bound| seconds <= *bound).unwrap_or(BOUNDS.len());
        if let Some(count) = self.counts.get_mut(bucket) {
            *count += 1;
        }
        self.sum = self.sum.saturating_add(time);
    }

    fn merge(&mut self, other: &Self) {
        self.counts.iter_mut().zip(&other.counts).for_each(|(mine, theirs)| *mine += theirs);
        self.sum = self.sum.saturating_add(other.sum);
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
    totals: HashMap<(Pair<ZoneId>, usize), Timing, RandomState>,
    asked: Box<[Asked]>,
    secret: Secret,
    most: usize,
}

/// A question that was asked.
#[derive(Clone, Copy, Debug, Default)]
struct Asked {
    /// Which; 0 for none.
    question: u64,
    at: Timestamp,
    is_open: bool,
}

/// Questions remembered by one shard.
const QUESTIONS: usize = 1 << 12;

/// What a shard measured since the last time: the pair of zones and the protocol's place in the registry.
pub type Measured = Vec<((Pair<ZoneId>, usize), Timing)>;

impl Timings {
    /// For so many pairs of zones with a protocol.
    #[must_use]
    pub fn new(most: usize, secret: Secret) -> Self {
        Self { totals: HashMap::default(), asked: vec![Asked::default(); QUESTIONS].into(), secret, most }
    }

    /// A message came, with the fingerprint of its operation.
    pub fn note(&mut self, question: &Question<'_>, zones: Option<(ZoneId, ZoneId)>, protocol: usize) {
        let Question { key, sender, fingerprint, outcome, at } = *question;
        let ([a, b], [c, d]) = (key.a.words(), key.b.words());
        let [port_a, port_b] = key.ports;
        let ports = u64::from(port_a) << 32 | u64::from(port_b) << 8;
        // Messages that want no answer may be the same from both ends.
        let way = if outcome == Outcome::Told { 1 + sender.index() as u64 } else { 0 };
        let ends = self.secret.mix(self.secret.mix(a ^ ports ^ way, b), self.secret.mix(c, d));
        let question = self.secret.mix(fingerprint, ends) | 1;
        let Some(asked) = self.asked.get_mut((question >> 48) as usize % QUESTIONS) else { return };
        let is_known = asked.question == question;
        let since = at.since(asked.at);
        let is_answer = matches!(outcome, Outcome::Answered | Outcome::Refused(_));
        if is_answer {
            if !is_known || !std::mem::take(&mut asked.is_open) {
                return;
            }
        } else {
            *asked = Asked { question, at, is_open: outcome == Outcome::Asked };
            if !is_known {
                return;
            }
        }
        let pair = zones.map_or(Pair::None, |(from, to)| Pair::Zones(from, to));
        let is_full = self.totals.len() >= self.most && !self.totals.contains_key(&(pair, protocol));
        let timing = self.totals.entry((if is_full { Pair::Other } else { pair }, protocol)).or_default();
        let histogram = if is_answer { &mut timing.response } else { &mut timing.poll };
        histogram.note(since);
    }

    /// What was measured since the last time.
    #[must_use]
    pub fn drain(&mut self) -> Measured {
        self.totals.drain().collect()
    }
}

/// What is known of a message here.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// Its connection.
    pub key: &'a ConnectionKey,
    /// Who sent it.
    pub sender: Side,
    /// See [`super::ops::fingerprint`].
    pub fingerprint: u64,
    /// Whether it asks or answers.
    pub outcome: Outcome,
    /// When.
    pub at: Timestamp,
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
    use crate::address::{Address, Realm};
    use crate::flow::key::Transport;

    #[test]
    fn intervals_and_answers() {
        let [a, b] = [1, 2].map(|host| Address::v4([10, 0, 0, host]));
        let key = ConnectionKey { a, b, ports: [502; 2], transport: Transport::Tcp, realm: Realm(0) };
        let (asked, answered, told) = (Outcome::Asked, Outcome::Answered, Outcome::Told);
        for (case, messages, polls, responses) in [
            ("a poller", &[(0, 7, asked), (3, 7, answered), (100, 7, asked), (104, 7, answered)][..], 1, vec![3, 4]),
            (
                "two questions at once",
                &[(0, 7, asked), (1, 8, asked), (5, 8, answered), (9, 7, answered)],
                0,
                vec![4, 9],
            ),
            (
                "an answer that nobody asked for",
                &[(0, 7, answered), (1, 7, asked), (2, 7, answered), (3, 7, answered)],
                0,
                vec![1],
            ),
            ("cyclic, both ways", &[(0, 7, told), (10, 7, told), (20, 7, told)], 2, vec![]),
        ] {
            let mut timings = Timings::new(4, Secret::new(&RandomState::new()));
            for (at, fingerprint, outcome) in messages {
                let at = Timestamp::from_nanos(at * 1_000_000);
                let question =
                    Question { key: &key, sender: Side::A, fingerprint: *fingerprint, outcome: *outcome, at };
                timings.note(&question, None, 0);
            }
            let mut totals = Totals::default();
            totals.merge(timings.drain(), None, 4);
            let timing = totals.iter().map(|(_, _, timing)| timing.clone()).next().unwrap_or_default();
            assert_eq!(timing.poll.counts.iter().sum::<u64>(), polls, "{case}");
            assert_eq!(timing.response.counts.iter().sum::<u64>(), responses.len() as u64, "{case}");
            assert_eq!(timing.response.sum, Duration::from_millis(responses.iter().sum()), "{case}");
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
