//! How each conversation began: its first frames, in a bound that a flood of new ones cannot take from the plant's.

use std::collections::{HashMap, VecDeque};

use ahash::RandomState;
use dissectors::{Carrier, REGISTRY};

use super::Kept;
use crate::decode::{Headers, Tcp, Transport};
use crate::flow::connection::{ConnectionKey, Side};
use crate::ledger::Evidence;
use crate::source::Frame;

/// What is known of a conversation here.
#[derive(Debug, Default)]
pub(super) struct Head {
    /// Its first frames, without acknowledgements that carry nothing.
    pub(super) first: Vec<Kept>,
    /// Later frames that opened other conversations, the latest.
    pub(super) opened: VecDeque<Kept>,
    /// Number of its last frame in the ring.
    pub(super) last: u64,
    /// Cases that wait for its next frames.
    pub(super) cases: Vec<Evidence>,
    /// Bytes kept.
    bytes: usize,
    sent: [bool; 2],
    kind: Kind,
    /// Of its place in the queue.
    ticket: u64,
    /// It had a frame since it was last looked at to go.
    used: bool,
}

/// Two kinds of conversations, so that one cannot crowd out the other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Kind {
    #[default]
    Other,
    /// Both sides send, on the port of a dissected protocol.
    Plant,
}

/// First frames kept of a conversation: the handshakes of TCP, of OPC UA with its certificates, and a Forward Open fit.
const FIRST: usize = 24;
const FIRST_BYTES: usize = 16 << 10;
/// Later frames that opened other conversations.
const OPENED: usize = 8;
/// Bytes that a head takes without its frames, its place in the table included.
const HEAD: usize = 256;

/// Bytes that a frame takes.
fn size(kept: &Kept) -> usize {
    kept.bytes.len() + size_of::<Kept>()
}

type Map = HashMap<ConnectionKey, Head, RandomState>;

/// The heads of conversations, by key.
#[derive(Debug)]
pub(super) struct Heads {
    map: Map,
    /// By kind: oldest first, those with news again last.
    queues: [VecDeque<(ConnectionKey, u64)>; 2],
    bytes: [usize; 2],
    tickets: u64,
    room: usize,
}

impl Heads {
    pub(super) fn new(room: usize) -> Self {
        Self { map: HashMap::default(), queues: Default::default(), bytes: [0; 2], tickets: 0, room }
    }

    /// For so many bytes from now on.
    pub(super) fn resize(&mut self, room: usize) {
        self.room = room;
        self.make_room(Kind::Other);
        self.make_room(Kind::Plant);
    }

    /// The head of a conversation, if there is one.
    pub(super) fn get_mut(&mut self, key: &ConnectionKey) -> Option<&mut Head> {
        self.map.get_mut(key)
    }

    /// All frames that are kept, in no order.
    pub(super) fn frames(&self) -> impl Iterator<Item = &Kept> {
        self.map.values().flat_map(|head| head.first.iter().chain(&head.opened))
    }

    /// The head of a conversation in which that side sends now. Others go when there are too many.
    pub(super) fn touch(&mut self, key: &ConnectionKey, sender: Side) -> &mut Head {
        self.make_room(Kind::Other);
        self.make_room(Kind::Plant);
        let Self { map, queues, bytes, tickets, .. } = self;
        let mut enter = |kind: Kind, size: usize| {
            *tickets += 1;
            queues[kind as usize].push_back((*key, *tickets));
            bytes[kind as usize] += size;
            *tickets
        };
        let new = || Head { bytes: HEAD, ticket: enter(Kind::Other, HEAD), ..Head::default() };
        let head = map.entry(*key).or_insert_with(new);
        head.used = true;
        if let Some(sent) = head.sent.get_mut(sender.index()) {
            *sent = true;
        }
        if head.kind == Kind::Other && head.sent == [true; 2] && is_hinted(key) {
            bytes[Kind::Other as usize] -= head.bytes;
            bytes[Kind::Plant as usize] += head.bytes;
            *tickets += 1;
            queues[Kind::Plant as usize].push_back((*key, *tickets));
            (head.kind, head.ticket) = (Kind::Plant, *tickets);
        }
        head
    }

    /// Keeps a frame of a conversation if it is one of its first. A new connection on the same ports begins anew.
    pub(super) fn keep(&mut self, key: &ConnectionKey, headers: &Headers<'_>, frame: &Frame<'_>) {
        let Some(head) = self.map.get_mut(key) else { return };
        let total = &mut self.bytes[head.kind as usize];
        if headers.opens() && !headers.has(Tcp::ACK) && head.sent == [true; 2] {
            let freed: usize = head.first.drain(..).map(|kept| size(&kept)).sum();
            head.bytes -= freed;
            *total -= freed;
            head.sent = [false; 2];
        }
        let says_nothing = headers.transport == Transport::Tcp
            && headers.is_empty()
            && !headers.has(Tcp::SYN | Tcp::FIN | Tcp::RST)
            && head.first.len() > 2;
        let is_full = head.first.len() >= FIRST || head.bytes + frame.bytes.len() > FIRST_BYTES;
        if !says_nothing && !is_full {
            let kept = Kept::of(frame);
            head.bytes += size(&kept);
            *total += size(&kept);
            head.first.push(kept);
        }
    }

    /// Keeps a frame that opened another conversation.
    pub(super) fn opens(&mut self, key: &ConnectionKey, frame: Kept) {
        let Some(head) = self.map.get_mut(key) else { return };
        let known = head.first.iter().chain(&head.opened).any(|kept| kept.at == frame.at);
        if known || frame.bytes.len() > FIRST_BYTES {
            return;
        }
        let gone = if head.opened.len() >= OPENED { head.opened.pop_front() } else { None };
        let (more, less) = (size(&frame), gone.as_ref().map_or(0, size));
        head.opened.push_back(frame);
        let total = &mut self.bytes[head.kind as usize];
        (head.bytes, *total) = (head.bytes + more - less, *total + more - less);
    }

    /// When there are too many heads of a kind, those go that are longest without a frame.
    fn make_room(&mut self, kind: Kind) {
        // A quarter is enough for what nobody answers or nobody here understands.
        let most = if kind == Kind::Plant { self.room - self.room / 4 } else { self.room / 4 };
        let Self { map, queues, bytes, .. } = self;
        let (queue, bytes) = (&mut queues[kind as usize], &mut bytes[kind as usize]);
        let is_valid = |map: &Map, key: &ConnectionKey, ticket| map.get(key).is_some_and(|head| head.ticket == ticket);
        // Who is asked whether it may go is asked twice at most: the first time it may have had a frame.
        let mut left = 2 * queue.len();
        while *bytes > most && left > 0 {
            left -= 1;
            let Some((key, ticket)) = queue.pop_front() else { break };
            if !is_valid(map, &key, ticket) {
                continue;
            }
            if map.get_mut(&key).is_some_and(|head| std::mem::take(&mut head.used)) {
                queue.push_back((key, ticket));
            } else if let Some(head) = map.remove(&key) {
                *bytes -= head.bytes;
            }
        }
        // Those that went over to the other queue leave their places here.
        if queue.len() > 2 * map.len() + 64 {
            queue.retain(|(key, ticket)| is_valid(map, key, *ticket));
        }
    }
}

/// One of its ports is that of a dissected protocol.
fn is_hinted(key: &ConnectionKey) -> bool {
    let carrier = match key.transport {
        Transport::Tcp => Carrier::Tcp,
        Transport::Udp => Carrier::Udp,
        _ => return false,
    };
    let carriers = REGISTRY.iter().flat_map(|protocol| protocol.info().carriers);
    let mut ports = carriers.filter(|(of, _)| *of == carrier).flat_map(|(_, ports)| *ports);
    ports.any(|port| key.ports.contains(port))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::address::{Address, Realm};
    use crate::source::LinkType;
    use crate::time::Timestamp;

    fn key(host: u32, port: u16) -> ConnectionKey {
        let [a, b] = [host, u32::MAX].map(|host| Address::v4(host.to_be_bytes()));
        ConnectionKey { a, b, ports: [50_000, port], transport: Transport::Tcp, realm: Realm(0) }
    }

    #[test]
    fn a_flood_takes_only_its_own_place() {
        let mut heads = Heads::new(64 << 10);
        let bytes = [0; 100];
        let frame =
            Frame { at: Timestamp::MIN, link: LinkType::ETHERNET, bytes: &bytes, wire_len: 100, capture: 0, number: 1 };
        let headers = Headers { transport: Transport::Tcp, flags: Tcp::SYN, ..Headers::default() };
        let see = |heads: &mut Heads, key: &ConnectionKey, side| {
            heads.touch(key, side);
            heads.keep(key, &headers, &frame);
        };
        let plant: Vec<_> = (0..20).map(|host| key(host, 502)).collect();
        for key in &plant {
            see(&mut heads, key, Side::A);
            see(&mut heads, key, Side::B);
        }
        for host in 1000..50_000 {
            see(&mut heads, &key(host, 502), Side::A);
        }
        assert!(plant.iter().all(|key| heads.map.contains_key(key)), "nobody answers a flood");
        for host in 1000..50_000 {
            see(&mut heads, &key(host, 8080), Side::A);
            see(&mut heads, &key(host, 8080), Side::B);
        }
        assert!(plant.iter().all(|key| heads.map.contains_key(key)), "no protocol that is read has that port");
        let bytes = |heads: &Heads| heads.map.values().map(|head| head.bytes).sum::<usize>();
        assert!(bytes(&heads) < 64 << 10 && heads.bytes.iter().sum::<usize>() == bytes(&heads));
        for host in 1000..50_000 {
            see(&mut heads, &key(host, 502), Side::A);
            see(&mut heads, &key(host, 502), Side::B);
            // What still goes on outlives what ended.
            see(&mut heads, plant.first().unwrap(), Side::A);
        }
        assert!(heads.map.contains_key(plant.first().unwrap()) && !heads.map.contains_key(plant.last().unwrap()));
        assert!(bytes(&heads) < 64 << 10 && heads.bytes.iter().sum::<usize>() == bytes(&heads));
        assert!(heads.queues.iter().all(|queue| queue.len() <= 2 * heads.map.len() + 65), "places left behind go");
    }
}
