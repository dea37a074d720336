//! Where things stand in a slab, by the hash of their key: eight bytes a place, so that the index of all connections
//! of a plant stays in the cache while the connections themselves do not.

use crate::prefetch;

/// An open-addressing table of places with linear probing. The keys are not in it: who looks something up says which
/// place has the key that is meant.
#[derive(Debug, Default)]
pub(super) struct Index {
    /// A power of two of slots, at most half of them taken: `hash << 32 | place + 1`, 0 when free.
    slots: Vec<u64>,
    len: usize,
}

/// The upper half of a hash says where a slot is wished to be, and is kept to tell slots apart.
fn tag(hash: u64) -> u64 {
    hash & 0xFFFF_FFFF_0000_0000
}

/// Slots in which a guess looks: a line of the cache.
const NEAR: usize = 8;

impl Index {
    /// The place of this hash that `is` says yes to.
    #[inline]
    pub(super) fn find(&self, hash: u64, is: impl Fn(u32) -> bool) -> Option<u32> {
        if self.slots.is_empty() {
            return None;
        }
        let mut at = self.home(hash);
        loop {
            let slot = *self.slots.get(at)?;
            if slot == 0 {
                return None;
            }
            let place = place(slot);
            if tag(slot) == tag(hash) && is(place) {
                return Some(place);
            }
            at = self.after(at);
        }
    }

    /// Prefetches the slot where a hash is wished to be.
    #[inline]
    pub(super) fn prefetch(&self, hash: u64) {
        if let Some(slot) = self.slots.get(self.home(hash)) {
            prefetch::start(slot);
        }
    }

    /// The place of this hash, nearly always, when there is one: nobody is asked whether it is, and nobody looks far.
    #[inline]
    pub(super) fn guess(&self, hash: u64) -> Option<u32> {
        let mut at = self.home(hash);
        for _ in 0..NEAR {
            match *self.slots.get(at)? {
                0 => return None,
                slot if tag(slot) == tag(hash) => return Some(place(slot)),
                _ => at = self.after(at),
            }
        }
        None
    }

    /// Adds a place that is not in it. `u32::MAX` is no place.
    pub(super) fn insert(&mut self, hash: u64, place: u32) {
        if 2 * (self.len + 1) > self.slots.len() {
            let doubled = vec![0; (2 * self.slots.len()).max(16)];
            for slot in std::mem::replace(&mut self.slots, doubled) {
                if slot != 0 {
                    self.put(slot);
                }
            }
        }
        self.put(tag(hash) | (u64::from(place) + 1));
        self.len += 1;
    }

    /// Takes a place out; what stands behind it moves up, so that no chain is cut.
    pub(super) fn remove(&mut self, hash: u64, gone: u32) {
        let wanted = tag(hash) | (u64::from(gone) + 1);
        if self.slots.is_empty() {
            return;
        }
        let mut hole = self.home(hash);
        loop {
            match self.slots.get(hole) {
                None | Some(0) => return,
                Some(slot) if *slot == wanted => break,
                Some(_) => hole = self.after(hole),
            }
        }
        self.len -= 1;
        let mut at = self.after(hole);
        while let Some(slot) = self.slots.get(at).copied().filter(|slot| *slot != 0) {
            // It may move up to the hole unless its home lies behind that.
            let (from_home, from_hole) = (self.distance(self.home(slot), at), self.distance(hole, at));
            if from_home >= from_hole {
                self.set(hole, slot);
                hole = at;
            }
            at = self.after(at);
        }
        self.set(hole, 0);
    }

    fn put(&mut self, slot: u64) {
        let mut at = self.home(slot);
        while self.slots.get(at).is_some_and(|taken| *taken != 0) {
            at = self.after(at);
        }
        self.set(at, slot);
    }

    fn set(&mut self, at: usize, value: u64) {
        if let Some(slot) = self.slots.get_mut(at) {
            *slot = value;
        }
    }

    #[inline]
    fn home(&self, hash: u64) -> usize {
        (hash >> 32) as usize & self.mask()
    }

    fn after(&self, at: usize) -> usize {
        (at + 1) & self.mask()
    }

    fn distance(&self, from: usize, to: usize) -> usize {
        to.wrapping_sub(from) & self.mask()
    }

    fn mask(&self) -> usize {
        self.slots.len().wrapping_sub(1)
    }
}

fn place(slot: u64) -> u32 {
    (slot as u32).wrapping_sub(1) // The lower half, which is not 0.
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Whatever is added and taken out in whatever order, also with equal hashes, is found exactly while it is there.
        #[test]
        fn holds_what_was_put_in(steps in prop::collection::vec((any::<bool>(), 0..60u32, 0..3u64), 0..400)) {
            let (mut index, mut model) = (Index::default(), BTreeMap::new());
            for (add, place, spread) in steps {
                match model.remove(&place) {
                    Some(hash) => index.remove(hash, place),
                    None if add => {
                        let hash = (u64::from(place % 7) << 32).wrapping_mul(1 << (20 * spread));
                        index.insert(hash, place);
                        model.insert(place, hash);
                    }
                    None => {}
                }
                for place in 0..60 {
                    let hash = model.get(&place).copied().unwrap_or(u64::from(place % 7) << 32);
                    let found = index.find(hash, |found| found == place);
                    prop_assert_eq!(found, model.contains_key(&place).then_some(place));
                }
            }
        }
    }
}
