//! Where things stand in a list, by the fingerprint of what they are: the packet path's cache of what repeats.

/// A place by its fingerprint.
#[derive(Clone, Copy, Debug, Default)]
struct Known {
    fingerprint: u64,
    place: u32,
}

/// It grows until all that repeats has a place: a poller's round of requests would take turns in one of fixed size.
#[derive(Clone, Debug, Default)]
pub(super) struct Places {
    /// A power of two.
    slots: Box<[Known]>,
}

/// Slots at first: a line of the cache; and at most.
const FEW: usize = 4;
const MANY: usize = 256;
/// Neighbours in which one is looked for.
const NEAR: usize = 4;

impl Places {
    #[inline]
    pub(super) fn find(&self, fingerprint: u64) -> Option<usize> {
        let mask = self.slots.len().wrapping_sub(1);
        let home = (fingerprint >> 32) as usize;
        for near in 0..NEAR {
            let known = self.slots.get((home + near) & mask)?;
            if known.fingerprint == fingerprint {
                return Some(known.place as usize);
            }
        }
        None
    }

    pub(super) fn insert(&mut self, fingerprint: u64, place: usize) {
        let Ok(place) = u32::try_from(place) else { return };
        let known = Known { fingerprint, place };
        if !self.put(known, self.slots.len() >= MANY) {
            let doubled = vec![Known::default(); (2 * self.slots.len()).max(FEW)];
            for old in std::mem::replace(&mut self.slots, doubled.into()) {
                // One that finds no place is found anew when it is asked again.
                let _ = old.fingerprint == 0 || self.put(old, false);
            }
            self.put(known, true);
        }
    }

    /// Puts one in its own slot, in a free one near it, or in place of another.
    fn put(&mut self, known: Known, force: bool) -> bool {
        let mask = self.slots.len().wrapping_sub(1);
        let home = (known.fingerprint >> 32) as usize;
        let slot = |near: usize| self.slots.get((home + near) & mask).map(|slot| slot.fingerprint);
        let own = (0..NEAR).find(|near| slot(*near) == Some(known.fingerprint));
        let near = own.or_else(|| (0..NEAR).find(|near| slot(*near) == Some(0))).or(force.then_some(0));
        match near.and_then(|near| self.slots.get_mut((home + near) & mask)) {
            Some(slot) => {
                *slot = known;
                true
            }
            None => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_repeats_is_found_and_the_rest_is_bounded() {
        let fingerprint = |n: u64| n.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
        let mut places = Places::default();
        assert_eq!(places.find(fingerprint(1)), None);
        for n in 0..40 {
            places.insert(fingerprint(n), n as usize);
        }
        for n in 0..40 {
            assert!(places.find(fingerprint(n)).is_none_or(|place| place == n as usize), "{n}");
        }
        assert!((0..40).filter(|n| places.find(fingerprint(*n)).is_some()).count() > 30);
        places.insert(fingerprint(39), 7);
        assert_eq!(places.find(fingerprint(39)), Some(7), "the latest counts");
        (0..10_000).for_each(|n| places.insert(fingerprint(n), 0));
        assert!(places.slots.len() <= MANY);
    }
}
