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
    /// Grows with every request. 0: the slot is free.
    age: u64,
    /// The services that a reply may have: the outer one, and the one inside an Unconnected Send.
    services: [u8; 2],
    leaves: Vec<Leaf>,
}

/// The waiting requests of a session. Slots and their lists are used again, so that a steady poll does not allocate.
#[derive(Debug, Default)]
pub(super) struct Pending {
    slots: Vec<Waiting>,
    spare: Vec<Vec<Leaf>>,
    age: u64,
    /// Leaves in all slots.
    leaves: usize,
    /// Slots that are not free.
    waiting: usize,
}

/// A list that grew longer than this for one large packet is not kept.
const KEPT: usize = 256;

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
        let new = Waiting { key, age: self.age, services, leaves: list };
        match self.slots.iter_mut().find(|slot| slot.age == 0) {
            Some(free) => *free = new,
            None => self.slots.push(new),
        }
        while self.waiting > requests || self.leaves > leaves {
            let Some(oldest) = self.oldest(|_| true) else { return };
            let list = self.remove(oldest);
            self.recycle(list);
        }
    }

    /// The operations of the oldest request with this key to which a reply of this service can belong.
    pub(super) fn take(&mut self, key: Key, service: u8) -> Option<Vec<Leaf>> {
        let slot = self.oldest(|slot| slot.key == key && slot.services.contains(&service))?;
        Some(self.remove(slot))
    }

    /// Any service: a reply of the encapsulation layer.
    pub(super) fn take_any(&mut self, key: Key) -> Option<Vec<Leaf>> {
        let slot = self.oldest(|slot| slot.key == key)?;
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
        let mut matching = self.slots.iter().filter_map(|slot| match slot.key {
            Key::Connected { to_target, sequence: s }
                if slot.age != 0 && s == sequence && slot.services.contains(&service) && is_candidate(to_target) =>
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
        self.slots.first().map_or(0, |slot| slot.age)
    }

    /// Forgets all requests: one that was lost could be taken for the next with the same key.
    pub(super) fn clear(&mut self) {
        self.slots.clear();
        (self.leaves, self.waiting) = (0, 0);
    }

    fn oldest(&self, is_meant: impl Fn(&Waiting) -> bool) -> Option<usize> {
        let slots = self.slots.iter().enumerate().filter(|(_, slot)| slot.age != 0 && is_meant(slot));
        slots.min_by_key(|(_, slot)| slot.age).map(|(i, _)| i)
    }

    fn remove(&mut self, slot: usize) -> Vec<Leaf> {
        let Some(slot) = self.slots.get_mut(slot) else { return Vec::new() };
        (slot.age, self.waiting) = (0, self.waiting.saturating_sub(1));
        let list = std::mem::take(&mut slot.leaves);
        self.leaves -= list.len();
        list
    }
}
