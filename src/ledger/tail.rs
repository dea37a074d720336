use super::fact::{Evidence, Fact, Ledger, Subject};

/// The facts of late, each counted in place while it is repeated, before they go to the ledger. A device that says who it
/// is in every message costs one comparison a message, and no allocation.
#[derive(Debug, Default)]
pub struct Tail {
    /// By the lowest bits of their fingerprints; empty until the first fact.
    places: Vec<Option<Late>>,
}

#[derive(Debug)]
struct Late {
    fingerprint: u64,
    subject: Subject,
    fact: Fact,
}

/// Facts in a tail.
const PLACES: usize = 256;

impl Tail {
    /// Counts a fact that was heard of late; `false` when it was not. Equal fingerprints mean equal facts.
    #[inline]
    pub fn again(&mut self, fingerprint: u64, at: Evidence) -> bool {
        match self.places.get_mut(place(fingerprint)) {
            Some(Some(late)) if late.fingerprint == fingerprint => {
                let support = &mut late.fact.support;
                support.count += 1;
                support.first = support.first.min(at);
                support.last = support.last.max(at);
                true
            }
            _ => false,
        }
    }

    /// Keeps a fact for a while; the one in its place goes to the ledger.
    pub fn push(&mut self, fingerprint: u64, subject: Subject, fact: Fact, ledger: &mut Ledger) {
        if self.places.is_empty() {
            self.places.resize_with(PLACES, || None);
        }
        if let Some(place) = self.places.get_mut(place(fingerprint))
            && let Some(late) = place.replace(Late { fingerprint, subject, fact })
        {
            ledger.apply(late.subject, late.fact);
        }
    }

    /// Everything goes to the ledger.
    pub fn finish(self, ledger: &mut Ledger) {
        for late in self.places.into_iter().flatten() {
            ledger.apply(late.subject, late.fact);
        }
    }
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
