//! Sees every frame, and takes out those around the ones that show something.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

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
    /// Frames that are cited and yet to come, with what else shows the same.
    expected: BTreeMap<Evidence, Vec<(Claim, Vec<Evidence>)>>,
    /// What else shows something that is yet to come: frames wanted, and those that came.
    wanted: BTreeSet<Evidence>,
    beside: Found,
    /// Their bytes.
    beside_bytes: usize,
    /// Cases of facts, oldest first.
    maybe: VecDeque<Evidence>,
    /// Time of the first frame.
    began: Option<Timestamp>,
    /// Time of the last frame; a clock that is set back goes on from there.
    now: Timestamp,
    /// Marks that came to nothing: their frame was gone already, or there was no room for another case.
    pub missed: u64,
}

/// Frames that were looked for and are there, with their conversations.
pub type Found = BTreeMap<Evidence, (ConnectionKey, Kept)>;

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
/// A case that only may show something has one part of so many of a file, until it does.
const MAYBE: usize = 8;
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
            wanted: BTreeSet::new(),
            beside: Found::new(),
            beside_bytes: 0,
            maybe: VecDeque::new(),
            began: None,
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
        self.began.get_or_insert(frame.at);
        let Self { ring, heads, cases, held, .. } = self;
        let head = heads.touch(&key, Side::of(&headers));
        head.last = ring.push(frame, head.last).unwrap_or(head.last);
        head.cases.retain(|which| {
            let Some(case) = cases.get_mut(which) else { return false };
            let before = case.bytes;
            let waits = case.follow(|| Kept::of(frame), frame.at);
            *held += case.bytes - before;
            waits
        });
        heads.keep(&key, &headers, frame);
        if !self.wanted.is_empty() && self.wanted.remove(&at) && self.beside_bytes < self.room.context / 4 {
            let kept = Kept::of(frame);
            self.beside_bytes += kept.bytes.len();
            self.beside.insert(at, (key, kept));
        }
        if !self.expected.is_empty()
            && let Some(claims) = self.expected.remove(&at)
        {
            self.open(key, at, false, None);
            let beside = std::mem::take(&mut self.beside);
            for (claim, others) in claims {
                self.claim(at, claim);
                self.show(at, &others, &beside);
            }
            self.beside = beside;
        }
    }

    /// Takes out what a shard pointed at.
    pub fn mark(&mut self, mark: &Mark) {
        match mark.what {
            Marked::Finding => self.open(mark.key, mark.at, false, None),
            Marked::Fact => self.open(mark.key, mark.at, true, None),
            Marked::SetUp => self.set_up(&mark.key, mark.at),
        }
    }

    /// A finding will cite a frame that is yet to come. `others`, which come before it, show the same.
    pub fn expect(&mut self, at: Evidence, claim: Claim, others: Vec<Evidence>) {
        self.wanted.extend(&others);
        self.expected.entry(at).or_default().push((claim, others));
    }

    /// Looks for frames that nobody pointed out, as far as they are remembered.
    #[must_use]
    pub fn find(&self, wanted: &BTreeSet<Evidence>) -> Found {
        let recent = self.ring.iter().filter(|slot| wanted.contains(&slot.at)).map(|slot| self.ring.copy(slot));
        let first = self.heads.frames().filter(|kept| wanted.contains(&kept.at)).cloned();
        let with_key = |kept: Kept| {
            let key = key_of(&headers_of(&kept.frame())?);
            Some((kept.at, (key, kept)))
        };
        recent.chain(first).filter_map(with_key).collect()
    }

    /// A finding cites these frames, the best first: of one of them there is a case, or it was found. With `all` the others
    /// stand in its file too. `false`: none of them is left.
    pub fn cite(&mut self, cited: &[Evidence], all: bool, claim: Claim, found: &Found) -> bool {
        let case = cited.iter().copied().find(|at| self.cases.contains_key(at));
        let at = case.or_else(|| {
            let at = cited.iter().copied().find(|at| found.contains_key(at))?;
            let (key, kept) = found.get(&at)?;
            self.open(*key, at, false, Some(kept));
            self.cases.contains_key(&at).then_some(at)
        });
        let Some(at) = at else {
            // What was before the first frame was never seen here.
            let was_seen = self.began.is_some_and(|began| cited.iter().any(|cited| cited.at >= began));
            self.missed += u64::from(was_seen);
            return false;
        };
        self.claim(at, claim);
        if all {
            self.show(at, cited, found);
        }
        true
    }

    fn claim(&mut self, at: Evidence, claim: Claim) {
        if let Some(case) = self.cases.get_mut(&at) {
            case.is_maybe = false;
            case.claim(claim);
        }
    }

    /// Other frames show what a case shows, as far as they are there.
    fn show(&mut self, at: Evidence, others: &[Evidence], found: &Found) {
        for other in others.iter().filter(|other| **other != at) {
            let of_case = || Some(self.cases.get(other)?.frames.get(other)?.1.clone());
            let Some(kept) = found.get(other).map(|(_, kept)| kept.clone()).or_else(of_case) else { continue };
            if let Some(case) = self.cases.get_mut(&at) {
                self.held -= case.bytes;
                case.show(kept);
                self.held += case.bytes;
            }
        }
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

    /// Opens a case of a frame, which may be given where the ring has it no more. Of one that only may show something there
    /// is less, and it goes first.
    fn open(&mut self, key: ConnectionKey, at: Evidence, is_maybe: bool, own: Option<&Kept>) {
        if let Some(case) = self.cases.get_mut(&at) {
            case.is_maybe &= is_maybe;
            return;
        }
        if is_maybe && self.maybe.len() >= CASES / 4 {
            self.forget_maybe();
        }
        while self.is_over_full() && self.forget_maybe() {}
        if self.is_over_full() {
            if is_maybe {
                return;
            }
            let idle = self.cases.iter().find(|(_, case)| case.looked && case.claims.is_empty()).map(|(at, _)| *at);
            let Some(idle) = idle else {
                self.missed += 1;
                return;
            };
            self.forget(|at, _| *at == idle);
        }
        let file = if is_maybe { self.room.file / MAYBE } else { self.room.file };
        let mut case = Case::new(at, self.room.file, is_maybe);
        // The frame itself first: whatever else has no room, it does.
        own.into_iter().for_each(|kept| case.add(Why::Shown, kept.clone(), file));
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
                self.missed += u64::from(!is_maybe);
                return;
            }
        }
        self.held += case.bytes;
        if let (Some(head), false) = (self.heads.get_mut(&key), case.is_over(self.now)) {
            head.cases.push(at);
        }
        self.maybe.extend(is_maybe.then_some(at));
        self.cases.insert(at, case);
    }

    fn is_over_full(&self) -> bool {
        self.cases.len() >= CASES || self.held >= self.room.context / 2
    }

    /// The oldest case goes that may show something and that nobody has claimed. `false`: there is none.
    fn forget_maybe(&mut self) -> bool {
        while let Some(at) = self.maybe.pop_front() {
            if let Some(case) = self.cases.get(&at).filter(|case| case.is_maybe) {
                self.held -= case.bytes;
                self.cases.remove(&at);
                return true;
            }
        }
        false
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
            assert!(seen.recorder.cite(&[mark.at], false, claim(), &Found::new()));
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
        assert!(seen.recorder.cite(&[shown], false, claim(), &Found::new()));
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

    /// The comments of the only file.
    fn shown(recorder: &mut Recorder) -> usize {
        let files = recorder.due(Due::Last);
        assert_eq!(files.len(), 1);
        files[0].1.windows(19).filter(|text| *text == b"this frame shows it").count()
    }

    #[test]
    fn what_nobody_pointed_out_is_found_while_it_is_remembered() {
        for (case, port, others, all, want) in [
            ("the latter alone", 161, 10, false, Some(1)),
            ("both", 161, 10, true, Some(2)),
            ("they have passed", 161, 3000, true, None),
            // Which are remembered longer.
            ("they are the first of a conversation of the plant", 2222, 3000, true, Some(2)),
        ] {
            let mut seen = Seen::new(1 << 20, 64 << 10);
            let one = seen.see(&frame([10, 11], 17, [0x40, 0], &udp([port, port], b"serial 1"))).at;
            let other = seen.see(&frame([11, 10], 17, [0x40, 0], &udp([port, port], b"serial 2"))).at;
            for host in 0..others {
                seen.see(&frame([100 + host, 12], 17, [0x40, 0], &udp([40_000, 9], &[7; 1000])));
            }
            let found = seen.recorder.find(&BTreeSet::from([one, other]));
            let is_cited = seen.recorder.cite(&[other, one], all, claim(), &found);
            assert_eq!(is_cited, want.is_some(), "{case}");
            assert_eq!(seen.recorder.missed, u64::from(want.is_none()), "{case}");
            if let Some(want) = want {
                assert_eq!(shown(&mut seen.recorder), want, "{case}");
                assert_eq!(seen.recorder.held, 0, "{case}");
            }
        }
    }

    #[test]
    fn what_is_concluded_from_two_frames_shows_both_in_a_second_reading() {
        let mut seen = Seen::new(1 << 20, 64 << 10);
        let at = |number: i64| Evidence::new(Timestamp::from_nanos(number * 1_000_000), 0, number.cast_unsigned());
        seen.recorder.expect(at(900), claim(), vec![at(1), at(2000)]);
        for _ in 0..2000 {
            seen.see(&frame([10, 11], 17, [0x40, 0], &udp([161, 161], &[7; 1000])));
        }
        assert_eq!(shown(&mut seen.recorder), 2, "what comes after it is not waited for");
    }

    #[test]
    fn facts_take_no_room_from_findings() {
        let mut seen = Seen::new(1 << 20, 32 << 10);
        let fact = |host: u32, seen: &mut Seen| {
            let mark = seen.see(&frame([host, 1 << 20], 17, [0x40, 0], &udp([161, 161], &[7; 1000])));
            seen.recorder.mark(&Mark { what: Marked::Fact, ..mark });
            mark
        };
        let first = fact(0, &mut seen);
        let shown = seen.see(&frame([1 << 21, 1 << 20], 6, [0x40, 0], &tcp([50_000, 502], PUSH, b"write")));
        seen.recorder.mark(&shown);
        let mut last = first;
        for host in 1..5000 {
            last = fact(host, &mut seen);
            let held: usize = seen.recorder.cases.values().map(|case| case.bytes).sum();
            assert_eq!(held, seen.recorder.held);
            assert!(held <= (1 << 19) + (32 << 10) && seen.recorder.cases.len() <= CASES / 4 + 1);
        }
        assert!(!seen.recorder.cases.contains_key(&first.at), "the oldest go");
        assert!(seen.recorder.cases.contains_key(&shown.at), "and no finding for them");
        assert_eq!(seen.recorder.missed, 0, "nothing was to be kept of them yet");
        // Findings take their room, and a fact that one follows from is kept like the others.
        assert!(seen.recorder.cite(&[last.at], true, claim(), &Found::new()));
        for host in 5000..7000 {
            let mark = seen.see(&frame([host, 1 << 20], 6, [0x40, 0], &tcp([50_000, 502], PUSH, &[7; 100])));
            seen.recorder.mark(&mark);
        }
        assert!(seen.recorder.cases.contains_key(&last.at));
        assert!(seen.recorder.cases.values().all(|case| !case.is_maybe), "facts make room");
    }
}
