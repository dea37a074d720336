use super::fact::{Evidence, Fact, Ledger, Subject, Support};

/// The facts of late, each counted in place while it is repeated, before they go to the ledger. A device that says who it
/// is in every message costs one comparison a message, and no allocation.
#[derive(Debug, Default)]
pub struct Tail {
    /// By the lowest bits of their fingerprints; empty until the first fact.
    counts: Vec<Count>,
    /// What is counted there. Apart, since only what goes to the ledger needs it.
    facts: Vec<Option<(Subject, Fact)>>,
}

/// How often a fact was repeated, and where.
#[derive(Clone, Copy, Debug, Default)]
struct Count {
    fingerprint: u64,
    times: u64,
    first: Evidence,
    last: Evidence,
}

/// Facts in a tail.
const PLACES: usize = 256;

impl Tail {
    /// Counts a fact that was heard of late; `false` when it was not. Equal fingerprints mean equal facts.
    #[inline]
    pub fn again(&mut self, fingerprint: u64, at: Evidence) -> bool {
        match self.counts.get_mut(place(fingerprint)) {
            Some(count) if count.fingerprint == fingerprint && count.times > 0 => {
                count.times += 1;
                count.first = count.first.min(at);
                count.last = count.last.max(at);
                true
            }
            _ => false,
        }
    }

    /// Keeps a fact for a while; the one in its place goes to the ledger.
    pub fn push(&mut self, fingerprint: u64, subject: Subject, fact: Fact, ledger: &mut Ledger) {
        if self.facts.is_empty() {
            self.counts.resize(PLACES, Count::default());
            self.facts.resize_with(PLACES, || None);
        }
        let place = place(fingerprint);
        if let (Some(count), Some(kept)) = (self.counts.get_mut(place), self.facts.get_mut(place)) {
            let Support { count: times, first, last, .. } = fact.support;
            let old = std::mem::replace(count, Count { fingerprint, times, first, last });
            if let Some((subject, fact)) = kept.replace((subject, fact)) {
                ledger.apply(subject, counted(fact, old));
            }
        }
    }

    /// Everything goes to the ledger.
    pub fn finish(self, ledger: &mut Ledger) {
        for (fact, count) in self.facts.into_iter().zip(self.counts) {
            if let Some((subject, fact)) = fact {
                ledger.apply(subject, counted(fact, count));
            }
        }
    }
}

/// A fact with what was counted of it.
fn counted(fact: Fact, Count { times: count, first, last, .. }: Count) -> Fact {
    Fact { support: Support { count, first, last, ..fact.support }, ..fact }
}

fn place(fingerprint: u64) -> usize {
    fingerprint as usize % PLACES
}

#[cfg(test)]
mod tests {
    use dissectors::{Method, attribute};

    use super::super::fact::{FactKey, Support};
    use super::*;
    use crate::address::{Address, Host};
    use crate::time::Timestamp;

    #[test]
    fn nothing_is_lost_on_the_way() {
        let (mut tail, mut by_tail, mut direct) = (Tail::default(), Ledger::default(), Ledger::default());
        for frame in 1..2000u64 {
            let number = frame * frame % 600; // More than there are places, some often.
            let at = Evidence::new(Timestamp::from_nanos(0), 0, frame);
            let host = Host { realm: Default::default(), address: Address::v4([10, 0, 0, (number % 7) as u8]) };
            let subject = Subject { host, component: None };
            let value = number.to_string().into();
            let key = FactKey { attribute: attribute::SERIAL, value, protocol: "x", method: Method::SelfReport };
            let fact = Fact { key, support: Support { count: 1, first: at, last: at, weight: 95, basis: "" } };
            direct.apply(subject.clone(), fact.clone());
            if !tail.again(number, at) {
                tail.push(number, subject, fact, &mut by_tail);
            }
        }
        tail.finish(&mut by_tail);
        assert_eq!(by_tail, direct);
    }
}
