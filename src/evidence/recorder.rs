//! Sees every frame, and takes out those around the ones that show something.

use std::collections::{BTreeMap, HashMap, VecDeque};

use ahash::RandomState;

use super::blank::blank;
use super::case::{AFTER, BEFORE, Case, Claim, PATIENCE, Why};
use super::heads::Heads;
use super::pcapng::{self, Remarked, plain};
use super::ring::Ring;
use super::{Kept, Room, place};
use crate::address::Address;
use crate::decode::{Headers, Transport, decode};
use crate::flow::connection::{ConnectionKey, Side};
use crate::flow::mark::{Mark, Marked};
use crate::flow::table::REALM;
use crate::ledger::Evidence;
use crate::source::{Batch, Frame};
use crate::time::Timestamp;

/// The recorder. It does nothing with files and knows no findings but those that claim a case.
#[derive(Debug)]
pub struct Recorder {
    room: Room,
    /// Names of captures, by place.
    captures: Vec<String>,
    ring: Ring,
    heads: Heads,
    /// Of two hosts, the conversation that opened another one lately.
    openers: HashMap<(Address, Address), ConnectionKey, RandomState>,
    /// By the frame that shows something.
    cases: BTreeMap<Evidence, Case>,
    /// Their bytes.
    held: usize,
    /// Frames that are cited and yet to come.
    expected: BTreeMap<Evidence, Vec<Claim>>,
    /// Time of the last frame; a clock that is set back goes on from there.
    now: Timestamp,
    /// Marks that came to nothing: their frame was gone already, or there was no room for another case.
    pub missed: u64,
}

/// Which cases are to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// Those that wait for no more frames.
    Closed,
    /// All, also as far as they are by now; those will be written again.
    All,
    /// All, and none waits any more.
    Last,
}

/// Cases open at once.
const CASES: usize = 1024;
/// Pairs of hosts of which one conversation opens another.
const OPENERS: usize = 1 << 14;
/// Frames that are looked at to find those that opened a conversation: request and answer, with acknowledgements between.
const OPENING: usize = 4;

impl Recorder {
    /// Nothing seen yet. `captures` are the names of the captures, by their place in the list.
    #[must_use]
    pub fn new(room: Room, captures: Vec<String>) -> Self {
        Self {
            ring: Ring::new(room.context),
            heads: Heads::new(room.context / 2),
            room,
            captures,
            openers: HashMap::default(),
            cases: BTreeMap::new(),
            held: 0,
            expected: BTreeMap::new(),
            now: Timestamp::MIN,
            missed: 0,
        }
    }

    /// There are other captures: the names of all, by their place in the list.
    pub fn name(&mut self, captures: Vec<String>) {
        self.captures = captures;
    }

    /// Remembers so much from now on; the oldest of what is too much goes.
    pub fn resize(&mut self, room: Room) {
        self.ring.resize(room.context);
        self.heads.resize(room.context / 2);
        self.room = room;
    }

    /// Sees the frames of a batch.
    pub fn batch(&mut self, batch: &Batch) {
        for frame in batch.frames() {
            self.frame(&frame);
        }
    }

    fn frame(&mut self, frame: &Frame<'_>) {
        let Some(headers) = headers_of(frame) else { return };
        let (key, at) = (key_of(&headers), place(frame));
        self.now = frame.at;
        let Self { ring, heads, cases, held, room, .. } = self;
        let head = heads.touch(&key, Side::of(&headers));
        head.last = ring.push(frame, head.last).unwrap_or(head.last);
        head.cases.retain(|which| {
            let Some(case) = cases.get_mut(which) else { return false };
            let before = case.bytes;
            let waits = case.follow(|| Kept::of(frame), frame.at, room.file);
            *held += case.bytes - before;
            waits
        });
        heads.keep(&key, &headers, frame);
        if !self.expected.is_empty()
            && let Some(claims) = self.expected.remove(&at)
        {
            self.open(key, at);
            claims.into_iter().for_each(|claim| _ = self.claim(at, claim));
        }
    }

    /// Takes out what a shard pointed at.
    pub fn mark(&mut self, mark: &Mark) {
        match mark.what {
            Marked::Finding => self.open(mark.key, mark.at),
            Marked::SetUp => self.set_up(&mark.key, mark.at),
        }
    }

    /// A finding will cite a frame that is yet to come.
    pub fn expect(&mut self, at: Evidence, claim: Claim) {
        self.expected.entry(at).or_default().push(claim);
    }

    /// A finding cites a frame. `false`: there is no case of it.
    pub fn claim(&mut self, at: Evidence, claim: Claim) -> bool {
        self.cases.get_mut(&at).map(|case| case.claim(claim)).is_some()
    }

    /// Frames of which there are cases.
    pub fn cases(&self) -> impl Iterator<Item = Evidence> {
        self.cases.keys().copied()
    }

    /// There is little room left for further cases.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.cases.len() >= CASES / 2 || self.held >= self.room.context / 4
    }

    /// The files that are to be written: ids of findings with their bytes. Cases that are done with are forgotten.
    pub fn due(&mut self, which: Due) -> Vec<(String, Vec<u8>)> {
        let now = self.now;
        let mut files = Vec::new();
        for case in self.cases.values_mut() {
            if which == Due::Last {
                case.close();
            }
            if case.news && !case.claims.is_empty() && (which != Due::Closed || case.is_over(now)) {
                case.news = false;
                files.extend(case.claims.iter().map(|claim| (claim.id.clone(), file(claim, case, &self.captures))));
            }
        }
        self.forget(|_, case| case.is_over(now) && !case.claims.is_empty());
        files
    }

    /// Somebody has looked which cases there are: those that nobody claims are given up when they get old, or sooner when
    /// others need the room.
    pub fn looked(&mut self) {
        self.cases.values_mut().for_each(|case| case.looked = true);
        let old = self.now.before(PATIENCE);
        self.forget(|at, case| case.claims.is_empty() && at.at < old);
    }

    fn forget(&mut self, is_done: impl Fn(&Evidence, &Case) -> bool) {
        let held = &mut self.held;
        self.cases.retain(|at, case| {
            let goes = is_done(at, case);
            *held -= if goes { case.bytes } else { 0 };
            !goes
        });
    }

    /// Keeps the frames that opened another conversation of the same hosts.
    fn set_up(&mut self, key: &ConnectionKey, at: Evidence) {
        let Some(head) = self.heads.get_mut(key) else { return };
        let opening = self.ring.back(head.last).skip_while(|slot| slot.at > at).take(OPENING);
        let mut frames: Vec<Kept> = opening.map(|slot| self.ring.copy(&slot)).collect();
        frames.reverse();
        frames.into_iter().for_each(|kept| self.heads.opens(key, kept));
        let hosts = (key.a, key.b);
        if self.openers.len() < OPENERS || self.openers.contains_key(&hosts) {
            self.openers.insert(hosts, *key);
        }
    }

    /// Opens a case of a frame.
    fn open(&mut self, key: ConnectionKey, at: Evidence) {
        if self.cases.contains_key(&at) {
            return;
        }
        if self.cases.len() >= CASES || self.held >= self.room.context / 2 {
            let idle = self.cases.iter().find(|(_, case)| case.looked && case.claims.is_empty()).map(|(at, _)| *at);
            let Some(idle) = idle else {
                self.missed += 1;
                return;
            };
            self.forget(|at, _| *at == idle);
        }
        let mut case = Case::new(at);
        let file = self.room.file;
        // The frame itself first: whatever else has no room, it does.
        self.gather(&mut case, key, at, file);
        self.gather(&mut case, fragments_of(key), at, file);
        if key.transport != Transport::Tcp {
            let opener = self.openers.get(&(key.a, key.b)).copied();
            if let Some(opener) = opener {
                self.set_up_of(&mut case, &opener, at, file);
            }
        }
        self.set_up_of(&mut case, &key, at, file);
        match case.frames.get_mut(&at) {
            Some((why, _)) => *why = Why::Shown,
            None => {
                self.missed += 1;
                return;
            }
        }
        self.held += case.bytes;
        if let (Some(head), false) = (self.heads.get_mut(&key), case.is_over(self.now)) {
            head.cases.push(at);
        }
        self.cases.insert(at, case);
    }

    /// Adds the frames of a conversation around one that are still in the ring, the nearest first.
    fn gather(&mut self, case: &mut Case, key: ConnectionKey, at: Evidence, room: usize) {
        let Some(head) = self.heads.get_mut(&key) else { return };
        let mut after: VecDeque<super::ring::Slot> = VecDeque::new();
        let mut before = Vec::new();
        for slot in self.ring.back(head.last) {
            if slot.at > at {
                after.push_front(slot);
                after.truncate(AFTER);
            } else if before.len() < BEFORE {
                before.push(slot);
            } else {
                break;
            }
        }
        // What came before may take half of a file, and what came after three quarters of it with that.
        before.iter().for_each(|slot| case.add(Why::Context, self.ring.copy(slot), room / 2));
        for slot in &after {
            case.add(Why::Context, self.ring.copy(slot), room - room / 4);
            case.followed();
        }
    }

    fn set_up_of(&mut self, case: &mut Case, key: &ConnectionKey, at: Evidence, room: usize) {
        let Some(head) = self.heads.get_mut(key) else { return };
        for kept in head.first.iter().chain(&head.opened).filter(|kept| kept.at <= at) {
            match case.frames.get_mut(&kept.at) {
                Some((why, _)) => *why = Why::SetUp,
                None => case.add(Why::SetUp, kept.clone(), room),
            }
        }
    }
}

/// The file of a finding.
fn file(claim: &Claim, case: &Case, captures: &[String]) -> Vec<u8> {
    let (whys, mut frames): (Vec<Why>, Vec<Kept>) = case.frames.values().cloned().unzip();
    let blanked = blank(&mut frames);
    let remarked = whys.into_iter().zip(frames).zip(blanked).map(|((why, kept), blanked)| {
        let id = &claim.id;
        let mut comment = match why {
            Why::SetUp => format!("{id}: set-up of the conversation"),
            Why::Context => format!("{id}: context"),
            Why::Shown => format!("{id}: this frame shows it"),
        };
        comment += &format!("; frame {}", kept.at.frame());
        if let Some(name) = captures.get(usize::from(kept.at.capture())) {
            comment += &format!(" of {}", plain(name));
        }
        if blanked > 0 {
            comment += &format!("; {blanked} bytes of credentials zeroed, checksums left as they were");
        }
        Remarked { kept, comment }
    });
    let about = format!("Finding {}: {}", claim.id, plain(&claim.what));
    let mut bytes = Vec::new();
    // A vector takes everything; what is larger than a block may be was not kept.
    let _ = pcapng::write(&mut bytes, &about, captures, &remarked.collect::<Vec<_>>());
    bytes
}

/// The headers of a frame, if it is of any conversation.
///
/// By the layers one by one: the short way of plain frames ([`Headers::read`]) stays with the workers alone, into whose
/// loop the compiler only puts it as long as nobody else calls it (1 % of their instructions).
pub(super) fn headers_of<'a>(frame: &Frame<'a>) -> Option<Headers<'a>> {
    decode(frame).ok().map(|packet| Headers::of(&packet))
}

/// The conversation of a frame. Fragments do not say which it is: those of two hosts count as one.
pub(super) fn key_of(headers: &Headers<'_>) -> ConnectionKey {
    let key = ConnectionKey::of(headers, Side::of(headers), REALM);
    if headers.is_fragment { fragments_of(key) } else { key }
}

fn fragments_of(key: ConnectionKey) -> ConnectionKey {
    ConnectionKey { ports: [0; 2], transport: Transport::Ip(FRAGMENT), ..key }
}

/// The number of the fragment header (RFC 8200, 4.5), which stands for fragments of any kind here.
const FRAGMENT: u8 = 44;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::LinkType;

    /// An Ethernet frame from one host to another; of a fragment, its flags and offset.
    fn frame([from, to]: [u32; 2], protocol: u8, fragment: [u8; 2], body: &[u8]) -> Vec<u8> {
        let total = (20 + body.len()) as u16;
        let mut bytes = [2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0, 0x45, 0].to_vec();
        bytes.extend(total.to_be_bytes());
        bytes.extend([0, 7, fragment[0], fragment[1], 64, protocol, 0, 0]);
        bytes.extend(from.to_be_bytes());
        bytes.extend(to.to_be_bytes());
        bytes.extend(body);
        bytes
    }

    fn tcp([from, to]: [u16; 2], flags: u8, payload: &[u8]) -> Vec<u8> {
        let mut bytes = [from.to_be_bytes(), to.to_be_bytes()].concat();
        bytes.extend([0, 0, 0, 1, 0, 0, 0, 1, 0x50, flags, 0x20, 0, 0, 0, 0, 0]);
        bytes.extend(payload);
        bytes
    }

    fn udp([from, to]: [u16; 2], payload: &[u8]) -> Vec<u8> {
        let len = (8 + payload.len()) as u16;
        [&from.to_be_bytes()[..], &to.to_be_bytes(), &len.to_be_bytes(), &[0, 0], payload].concat()
    }

    /// A recorder that sees frames one by one, a millisecond apart.
    struct Seen {
        recorder: Recorder,
        number: u64,
    }

    impl Seen {
        fn new(context: usize, file: usize) -> Self {
            Self { recorder: Recorder::new(Room { context, file }, vec!["eth1".to_owned()]), number: 0 }
        }

        fn see(&mut self, bytes: &[u8]) -> Mark {
            self.number += 1;
            let at = Timestamp::from_nanos(self.number as i64 * 1_000_000);
            let frame = Frame {
                at,
                link: LinkType::ETHERNET,
                bytes,
                wire_len: bytes.len() as u32,
                capture: 0,
                number: self.number,
            };
            self.recorder.frame(&frame);
            let key = key_of(&headers_of(&frame).unwrap());
            Mark { key, at: place(&frame), what: Marked::Finding }
        }

        /// Frames of the only case, by number.
        fn frames(&self) -> Vec<u64> {
            let case = self.recorder.cases.values().next();
            case.map(|case| case.frames.keys().map(|at| at.frame()).collect()).unwrap_or_default()
        }
    }

    fn claim() -> Claim {
        Claim { id: "V-a".to_owned(), what: "x\u{1b}[31m".to_owned() }
    }

    const SYN: u8 = 2;
    const PUSH: u8 = 0x18;

    #[test]
    fn what_opened_another_conversation_is_part_of_it() {
        let mut seen = Seen::new(1 << 20, 64 << 10);
        let (ask, answer) = ([10, 11], [11, 10]);
        // Frames 1 to 4: a connection and, much later in it, a Forward Open with its answer.
        seen.see(&frame(ask, 6, [0x40, 0], &tcp([50_000, 44_818], SYN, b"")));
        seen.see(&frame(answer, 6, [0x40, 0], &tcp([44_818, 50_000], SYN | 0x10, b"")));
        for _ in 0..100 {
            seen.see(&frame(ask, 6, [0x40, 0], &tcp([50_000, 44_818], PUSH, b"poll")));
        }
        seen.see(&frame(ask, 6, [0x40, 0], &tcp([50_000, 44_818], PUSH, b"open")));
        let opened = seen.see(&frame(answer, 6, [0x40, 0], &tcp([44_818, 50_000], PUSH, b"opened")));
        seen.recorder.mark(&Mark { what: Marked::SetUp, ..opened });
        seen.see(&frame(ask, 17, [0x40, 0], &udp([2222, 2222], b"cyclic")));
        let shown = seen.see(&frame(answer, 17, [0x40, 0], &udp([2222, 2222], b"cyclic")));
        seen.recorder.mark(&shown);
        let frames = seen.frames();
        for number in [1, 2, 103, 104, 105, 106] {
            assert!(frames.contains(&number), "{number} in {frames:?}");
        }
        assert!(frames.len() < 50, "{frames:?}");
    }

    #[test]
    fn fragments_of_the_same_hosts_are_part_of_it() {
        let mut seen = Seen::new(1 << 20, 64 << 10);
        let datagram = udp([40_000, 2222], &[7; 1400]);
        let (front, rest) = datagram.split_at(800);
        seen.see(&frame([10, 11], 17, [0x20, 0], front));
        let last = seen.see(&frame([10, 11], 17, [0, 100], rest));
        // The shard knows the ports of the whole, and the frame that completed it.
        let whole = frame([10, 11], 17, [0x40, 0], &udp([40_000, 2222], b""));
        let of = Frame { at: last.at.at, link: LinkType::ETHERNET, bytes: &whole, wire_len: 0, capture: 0, number: 2 };
        seen.recorder.mark(&Mark { key: key_of(&headers_of(&of).unwrap()), ..last });
        assert_eq!(seen.frames(), [1, 2]);
    }

    #[test]
    fn limits_hold_in_a_flood() {
        let mut seen = Seen::new(1 << 20, 32 << 10);
        for round in 0..3 {
            for host in 0..5000 {
                let mark = seen.see(&frame([host, 1 << 20], 6, [0x40, 0], &tcp([50_000, 502], PUSH, &[7; 500])));
                seen.recorder.mark(&mark);
                assert!(seen.recorder.held <= (1 << 19) + (32 << 10) && seen.recorder.cases.len() <= CASES);
            }
            let held: usize = seen.recorder.cases.values().map(|case| case.bytes).sum();
            assert_eq!(held, seen.recorder.held, "round {round}");
            assert!(seen.recorder.missed > 0, "what does not fit is counted");
            let before = seen.recorder.missed;
            seen.recorder.looked();
            // Those that nobody claimed make room for what comes.
            let mark = seen.see(&frame([1 << 21, 1 << 20], 6, [0x40, 0], &tcp([50_000, 502], PUSH, b"new")));
            seen.recorder.mark(&mark);
            assert_eq!(seen.recorder.missed, before);
            assert!(seen.recorder.claim(mark.at, claim()));
            let files = seen.recorder.due(Due::Last);
            assert_eq!(files.len(), 1);
            assert!(!files[0].1.windows(2).any(|pair| pair == b"\x1b["), "texts hold nothing that a terminal obeys");
        }
    }

    #[test]
    fn a_file_is_no_larger_than_it_may_be() {
        let mut seen = Seen::new(8 << 20, 16 << 10);
        let mut mark = None;
        for number in 0..400 {
            let last = seen.see(&frame([10, 11], 6, [0x40, 0], &tcp([50_000, 502], PUSH, &[7; 1400])));
            if number == 200 {
                seen.recorder.mark(&last);
                mark = Some(last);
            }
        }
        let shown = mark.unwrap().at;
        assert!(seen.recorder.claim(shown, claim()));
        let files = seen.recorder.due(Due::Last);
        // Comments come on top of what the frames take.
        assert!(files.len() == 1 && files[0].1.len() < 18 << 10, "{}", files[0].1.len());
        assert!(files[0].1.windows(20).any(|text| text == b"this frame shows it;"));
        assert_eq!(seen.recorder.held, 0);
    }

    #[test]
    fn a_frame_that_is_gone_is_counted() {
        let mut seen = Seen::new(1 << 20, 64 << 10);
        let first = seen.see(&frame([10, 11], 17, [0x40, 0], &udp([40_000, 2222], b"x")));
        for host in 0..3000 {
            seen.see(&frame([host, 1 << 20], 17, [0x40, 0], &udp([40_000, 9], &[7; 1000])));
        }
        seen.recorder.mark(&first);
        assert_eq!((seen.recorder.missed, seen.frames()), (1, vec![]));
    }
}
