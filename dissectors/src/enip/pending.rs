//! Requests that wait for their reply.

use std::sync::Arc;

use super::connection::{Transport, Triad};
use super::cpf::Address;
use super::target::Target;
use crate::Class;

/// One operation of a request; a Multiple Service Packet has several.
#[derive(Clone, Debug)]
pub(super) struct Leaf {
    /// Without the reply bit.
    pub(super) service: u8,
    pub(super) class: Class,
    pub(super) code: u64,
    pub(super) target: Arc<Target>,
    pub(super) detail: Detail,
}

/// What the reply alone does not tell.
#[derive(Clone, Debug)]
pub(super) enum Detail {
    None,
    /// Forward Open: of this kind, along this path.
    Open(Transport, Arc<Target>),
    /// Forward Close.
    Close(Triad),
    /// A PCCC command with its function.
    Pccc(u8, Option<u8>),
}

/// What a reply has in common with its request: the sender context, or connection and sequence count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Key {
    Unconnected { context: u64 },
    Connected { to_target: u32, sequence: u16 },
}

impl Key {
    pub(super) fn new(address: Address, context: u64) -> Self {
        match address {
            Address::Unconnected => Self::Unconnected { context },
            Address::Connected { id, sequence } => Self::Connected { to_target: id, sequence },
        }
    }
}

#[derive(Debug)]
struct Waiting {
    key: Key,
    /// The services that a reply may have: the outer one, and the one inside an Unconnected Send.
    services: [u8; 2],
    leaves: Vec<Leaf>,
}

/// Whose a slot is.
#[derive(Clone, Copy, Debug)]
struct Mark {
    /// Grows with every request. 0: the slot is free.
    age: u64,
    /// The same number for the same key, and nearly always another for another.
    key: u64,
}

/// The waiting requests of a session. Slots and their lists are used again, so that a steady poll does not allocate.
#[derive(Debug, Default)]
pub(super) struct Pending {
    /// Of each slot. Apart, since they are gone through: requests that nobody answered stay for long.
    marks: Vec<Mark>,
    slots: Vec<Waiting>,
    /// The slot that was used last, nearly always the next to be used.
    latest: usize,
    spare: Vec<Vec<Leaf>>,
    age: u64,
    /// Leaves in all slots.
    leaves: usize,
    /// Slots that are not free.
    waiting: usize,
}

/// A list that grew longer than this for one large packet is not kept.
const KEPT: usize = 256;

impl Key {
    #[inline]
    fn number(self) -> u64 {
        match self {
            Self::Unconnected { context } => context,
            Self::Connected { to_target, sequence } => !(u64::from(to_target) << 16 | u64::from(sequence)),
        }
    }
}

impl Pending {
    /// An empty list for the operations of a new request.
    pub(super) fn list(&mut self) -> Vec<Leaf> {
        self.spare.pop().unwrap_or_default()
    }

    /// Takes a list back.
    pub(super) fn recycle(&mut self, mut list: Vec<Leaf>) {
        list.clear();
        if list.capacity() <= KEPT && self.spare.len() <= self.slots.len() {
            self.spare.push(list);
        }
    }

    /// Remembers a request. At most `requests` of them with `leaves` operations in all: the oldest are forgotten.
    pub(super) fn put(&mut self, key: Key, services: [u8; 2], list: Vec<Leaf>, requests: usize, leaves: usize) {
        self.leaves += list.len();
        self.waiting += 1;
        self.age += 1;
        let (mark, new) = (Mark { age: self.age, key: key.number() }, Waiting { key, services, leaves: list });
        self.latest = self.free().unwrap_or(self.slots.len());
        match (self.marks.get_mut(self.latest), self.slots.get_mut(self.latest)) {
            (Some(free), Some(slot)) => (*free, *slot) = (mark, new),
            _ => {
                self.marks.push(mark);
                self.slots.push(new);
            }
        }
        while self.waiting > requests || self.leaves > leaves {
            let waiting = self.marks.iter().enumerate().filter(|(_, mark)| mark.age != 0);
            let Some((oldest, _)) = waiting.min_by_key(|(_, mark)| mark.age) else { return };
            let list = self.remove(oldest);
            self.recycle(list);
        }
    }

    /// The operations of the oldest request with this key to which a reply of this service can belong.
    pub(super) fn take(&mut self, key: Key, service: u8) -> Option<Vec<Leaf>> {
        let slot = self.oldest(key, |slot| slot.services.contains(&service))?;
        self.latest = slot;
        Some(self.remove(slot))
    }

    /// Any service: a reply of the encapsulation layer.
    pub(super) fn take_any(&mut self, key: Key) -> Option<Vec<Leaf>> {
        let slot = self.oldest(key, |_| true)?;
        Some(self.remove(slot))
    }

    /// The connection of the only request with this sequence count and service, among the connections that
    /// `is_candidate` lets through.
    pub(super) fn only_connection(
        &self,
        sequence: u16,
        service: u8,
        is_candidate: impl Fn(u32) -> bool,
    ) -> Option<u32> {
        let waiting = self.marks.iter().zip(&self.slots).filter(|(mark, _)| mark.age != 0);
        let mut matching = waiting.filter_map(|(_, slot)| match slot.key {
            Key::Connected { to_target, sequence: s }
                if s == sequence && slot.services.contains(&service) && is_candidate(to_target) =>
            {
                Some(to_target)
            }
            _ => None,
        });
        let only = matching.next()?;
        matching.all(|other| other == only).then_some(only)
    }

    /// See [`crate::Session::touch`].
    pub(super) fn touch(&self) -> u64 {
        let slot = self.slots.get(self.latest).map_or(0, |slot| slot.services[0]);
        u64::from(slot) ^ self.marks.first().map_or(0, |mark| mark.age)
    }

    /// Forgets all requests: one that was lost could be taken for the next with the same key.
    pub(super) fn clear(&mut self) {
        self.marks.clear();
        self.slots.clear();
        (self.leaves, self.waiting) = (0, 0);
    }

    /// A free slot: where the last request was answered, that one.
    fn free(&self) -> Option<usize> {
        if self.waiting > self.slots.len() {
            return None; // The new one counts already.
        }
        let is_free = |at: &usize| self.marks.get(*at).is_some_and(|mark| mark.age == 0);
        Some(self.latest).filter(is_free).or_else(|| (0..self.marks.len()).find(is_free))
    }

    fn oldest(&self, key: Key, is_meant: impl Fn(&Waiting) -> bool) -> Option<usize> {
        let number = key.number();
        let alike = self.marks.iter().enumerate().filter(|(_, mark)| mark.key == number && mark.age != 0);
        let meant = alike.filter(|(at, _)| self.slots.get(*at).is_some_and(|slot| slot.key == key && is_meant(slot)));
        meant.min_by_key(|(_, mark)| mark.age).map(|(at, _)| at)
    }

    fn remove(&mut self, at: usize) -> Vec<Leaf> {
        let (Some(mark), Some(slot)) = (self.marks.get_mut(at), self.slots.get_mut(at)) else { return Vec::new() };
        (mark.age, self.waiting) = (0, self.waiting.saturating_sub(1));
        let list = std::mem::take(&mut slot.leaves);
        self.leaves -= list.len();
        list
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn leaf() -> Leaf {
        let (service, class, code) = (1, Class::Read, 1);
        Leaf { service, class, code, target: Arc::default(), detail: Detail::None }
    }

    proptest! {
        /// A list in the order of age does the same, slowly.
        #[test]
        fn a_reply_answers_the_oldest_request_of_its_key(
            steps in prop::collection::vec((any::<bool>(), 0..4u32, 1..3u8, 0..4usize), 0..80),
        ) {
            const MOST: (usize, usize) = (4, 9);
            let (mut pending, mut model) = (Pending::default(), Vec::<(Key, u8, usize)>::new());
            for (asks, key, service, count) in steps {
                // Two whose numbers are the same.
                let key = match key {
                    0 => Key::Connected { to_target: 7, sequence: 1 },
                    1 => Key::Unconnected { context: Key::Connected { to_target: 7, sequence: 1 }.number() },
                    other => Key::Unconnected { context: other.into() },
                };
                if asks {
                    pending.put(key, [service, 9], vec![leaf(); count], MOST.0, MOST.1);
                    model.push((key, service, count));
                    while model.len() > MOST.0 || model.iter().map(|(.., count)| count).sum::<usize>() > MOST.1 {
                        model.remove(0);
                    }
                } else {
                    let at = model.iter().position(|(known, of, _)| *known == key && *of == service);
                    let want = at.map(|at| model.remove(at).2);
                    let list = pending.take(key, service);
                    prop_assert_eq!(list.as_ref().map(Vec::len), want);
                    list.into_iter().for_each(|list| pending.recycle(list));
                }
                prop_assert_eq!(pending.waiting, model.len());
            }
        }
    }
}
