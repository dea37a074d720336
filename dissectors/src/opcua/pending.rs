use super::services::Names;
use crate::Class;

/// What pairs a response with its request: secure channel id and request id. OPC 10000-6, 6.7.2.4.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Key {
    pub(super) channel: u32,
    pub(super) request: u32,
}

/// A request that waits for its response, in buffers that are used again.
#[derive(Debug)]
pub(super) struct Slot {
    key: Option<Key>,
    /// Higher is younger.
    age: u64,
    /// Operation code.
    pub(super) code: u64,
    pub(super) class: Class,
    pub(super) names: Names,
    /// Identity nodes that a Read asks for: place in its list, node of namespace 0.
    pub(super) watched: Vec<(usize, u32)>,
}

/// Outstanding requests, bounded. Few wait at a time, so that looking through them all is the fastest way.
#[derive(Debug)]
pub(super) struct Pending {
    slots: Vec<Slot>,
    most: usize,
    age: u64,
}

impl Pending {
    /// Room for `most` requests; at least one.
    pub(super) fn new(most: usize) -> Self {
        Self { slots: Vec::new(), most: most.max(1), age: 0 }
    }

    /// A slot for this request. One with the same key is answered no more; at the limit the oldest is forgotten.
    pub(super) fn open(&mut self, key: Key, code: u64, class: Class) -> &mut Slot {
        self.age = self.age.wrapping_add(1);
        let mut best = None;
        for (at, slot) in self.slots.iter().enumerate() {
            // The same request first, then a free slot, then the oldest.
            let rank = if slot.key == Some(key) { (0, 0) } else { (1, if slot.key.is_none() { 0 } else { slot.age }) };
            if best.is_none_or(|(least, _)| rank < least) {
                best = Some((rank, at));
            }
        }
        let reuse = best.filter(|(rank, _)| rank.1 == 0 || self.slots.len() >= self.most).map(|(_, at)| at);
        let at = reuse.unwrap_or_else(|| {
            let (names, watched) = (Names::default(), Vec::new());
            self.slots.push(Slot { key: None, age: 0, code, class, names, watched });
            self.slots.len() - 1
        });
        let slot = &mut self.slots[at];
        (slot.key, slot.age, slot.code, slot.class) = (Some(key), self.age, code, class);
        slot.names.clear();
        slot.watched.clear();
        slot
    }

    /// See [`crate::Session::touch`].
    pub(super) fn touch(&self) -> u64 {
        self.slots.first().map_or(0, |slot| slot.age)
    }

    /// The request with this key, which waits no longer.
    pub(super) fn take(&mut self, key: Key) -> Option<&Slot> {
        let slot = self.slots.iter_mut().find(|slot| slot.key == Some(key))?;
        slot.key = None;
        Some(slot)
    }

    /// The request with this key.
    pub(super) fn waits(&self, key: Key) -> bool {
        self.slots.iter().any(|slot| slot.key == Some(key))
    }

    /// The youngest request with this code, which waits no longer.
    pub(super) fn take_code(&mut self, code: u64) -> Option<&Slot> {
        let waiting = self.slots.iter_mut().filter(|slot| slot.key.is_some() && slot.code == code);
        let slot = waiting.max_by_key(|slot| slot.age)?;
        slot.key = None;
        Some(slot)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(request: u32) -> Key {
        Key { channel: 1, request }
    }

    #[test]
    fn at_the_limit_the_oldest_is_forgotten() {
        let mut pending = Pending::new(2);
        for request in 1..=3 {
            pending.open(key(request), u64::from(request), Class::Read);
        }
        assert!(pending.take(key(1)).is_none());
        assert_eq!(pending.take(key(2)).map(|slot| slot.code), Some(2));
        // The freed slot is used before the oldest is forgotten.
        pending.open(key(4), 4, Class::Read);
        assert_eq!(pending.take(key(3)).map(|slot| slot.code), Some(3));
        assert_eq!(pending.slots.len(), 2);
    }

    #[test]
    fn a_repeated_request_takes_its_own_place() {
        let mut pending = Pending::new(8);
        pending.open(key(1), 10, Class::Read);
        pending.open(key(1), 11, Class::Write);
        assert_eq!(pending.take(key(1)).map(|slot| slot.code), Some(11));
        assert!(!pending.waits(key(1)));
    }
}
