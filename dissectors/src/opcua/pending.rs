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
    /// Of each slot. Apart, since they are gone through.
    marks: Vec<Mark>,
    slots: Vec<Slot>,
    /// The slot that was used last: its request is nearly always the next that is answered, or the next has its place.
    latest: usize,
    most: usize,
    age: u64,
}

/// Whose a slot is.
#[derive(Clone, Copy, Debug)]
struct Mark {
    /// Higher is younger; 0 when the slot is free.
    age: u64,
    key: Key,
}

impl Mark {
    #[inline]
    fn is(&self, key: Key) -> bool {
        self.key == key && self.age != 0
    }
}

impl Pending {
    /// Room for `most` requests; at least one.
    pub(super) fn new(most: usize) -> Self {
        Self { marks: Vec::new(), slots: Vec::new(), latest: 0, most: most.max(1), age: 0 }
    }

    /// A slot for this request. One with the same key is answered no more; at the limit the oldest is forgotten.
    pub(super) fn open(&mut self, key: Key, code: u64, class: Class) -> &mut Slot {
        self.age += 1;
        let at = self.find(key).or_else(|| self.free()).unwrap_or_else(|| {
            let (names, watched) = (Names::default(), Vec::new());
            self.slots.push(Slot { code, class, names, watched });
            self.marks.push(Mark { age: 0, key });
            self.slots.len() - 1
        });
        self.latest = at;
        self.marks[at] = Mark { age: self.age, key };
        let slot = &mut self.slots[at];
        (slot.code, slot.class) = (code, class);
        slot.names.clear();
        slot.watched.clear();
        slot
    }

    /// See [`crate::Session::touch`].
    pub(super) fn touch(&self) -> u64 {
        let slot = self.slots.get(self.latest).map_or(0, |slot| slot.code);
        slot ^ self.marks.first().map_or(0, |mark| mark.age)
    }

    /// The request with this key, which waits no longer.
    pub(super) fn take(&mut self, key: Key) -> Option<&Slot> {
        let at = self.find(key)?;
        self.close(at)
    }

    /// The request with this key.
    pub(super) fn waits(&self, key: Key) -> bool {
        self.find(key).is_some()
    }

    /// The youngest request with this code, which waits no longer.
    pub(super) fn take_code(&mut self, code: u64) -> Option<&Slot> {
        let of = |(_, (mark, slot)): &(usize, (&Mark, &Slot))| mark.age != 0 && slot.code == code;
        let waiting = self.marks.iter().zip(&self.slots).enumerate().filter(of);
        let (at, _) = waiting.max_by_key(|(_, (mark, _))| mark.age)?;
        self.close(at)
    }

    fn close(&mut self, at: usize) -> Option<&Slot> {
        self.marks.get_mut(at)?.age = 0;
        self.latest = at;
        self.slots.get(at)
    }

    #[inline]
    fn find(&self, key: Key) -> Option<usize> {
        if self.marks.get(self.latest).is_some_and(|mark| mark.is(key)) {
            return Some(self.latest);
        }
        self.marks.iter().position(|mark| mark.is(key))
    }

    /// A free slot: where the last request was answered, that one. At the limit the slot of the oldest.
    fn free(&self) -> Option<usize> {
        if self.marks.get(self.latest).is_some_and(|mark| mark.age == 0) {
            return Some(self.latest);
        }
        let is_full = self.slots.len() >= self.most;
        let among = self.marks.iter().enumerate().filter(|(_, mark)| mark.age == 0 || is_full);
        among.min_by_key(|(_, mark)| mark.age).map(|(at, _)| at)
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
