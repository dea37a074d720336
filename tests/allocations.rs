//! What repeats costs no allocation: a plant polls the same things for years. Exchanges of the small plant go round until
//! all that they need is there, and then once more while allocations are counted.

// A global allocator is an unsafe trait to implement. This one counts and hands everything on to the system's.
#![allow(unsafe_code, clippy::print_stderr)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::collections::BTreeMap;
use std::path::Path;

use zonewatch::config::Limits;
use zonewatch::decode::{Packet, Upper, decode};
use zonewatch::pipeline;
use zonewatch::source::file::CaptureFile;
use zonewatch::source::{Batch, FrameRef, LinkType};
use zonewatch::time::Timestamp;
use zonewatch::worker::{SHARDS, Shard};

struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
    static TRACED: Cell<bool> = const { Cell::new(false) };
}

fn count() {
    ALLOCATIONS.with(|allocations| allocations.set(allocations.get() + 1));
    if TRACED.replace(false) {
        // Where the next one comes from, for who has to find it.
        eprintln!("{}", std::backtrace::Backtrace::force_capture());
    }
}

// SAFETY: every call goes to `System` as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static GLOBAL: Counting = Counting;

/// A payload, and whether the client sent it.
type Segment = (bool, Vec<u8>);

/// The payloads of the conversation with the most of them on a port of the small plant.
fn conversation(port: u16, udp: bool) -> Vec<Segment> {
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/plant/capture.pcap");
    let mut capture = CaptureFile::open(&fixture).unwrap();
    let (mut batch, mut conversations) = (Batch::default(), BTreeMap::<_, Vec<Segment>>::new());
    while capture.fill(&mut batch) {
        for packet in batch.frames().filter_map(|frame| decode(&frame).ok()) {
            let (ends, from_client) = match ports(&packet, udp) {
                Some([src, dst]) if dst == port => ((packet.src, src, packet.dst), true),
                Some([src, dst]) if src == port => ((packet.dst, dst, packet.src), false),
                _ => continue,
            };
            if !packet.payload.is_empty() {
                conversations.entry(ends).or_default().push((from_client, packet.payload.to_vec()));
            }
        }
    }
    conversations.into_values().max_by_key(Vec::len).unwrap()
}

fn ports(packet: &Packet<'_>, udp: bool) -> Option<[u16; 2]> {
    match packet.upper {
        Upper::Tcp(tcp) if !udp => Some([tcp.src_port, tcp.dst_port]),
        Upper::Udp { src_port, dst_port } if udp => Some([src_port, dst_port]),
        _ => None,
    }
}

/// One conversation that goes on.
struct Talk {
    port: u16,
    udp: bool,
    sequence: [u32; 2],
    frames: u64,
}

impl Talk {
    fn say(&mut self, (from_client, payload): &Segment, batch: &mut Batch) {
        let (client, server) = ([10, 9, 0, 1], [10, 9, 0, 2]);
        let (src, dst, ports, side) = match from_client {
            true => (client, server, [50_000, self.port], 0),
            false => (server, client, [self.port, 50_000], 1),
        };
        self.frames += 1;
        let mut upper = Vec::new();
        ports.iter().for_each(|port| upper.extend(port.to_be_bytes()));
        if self.udp {
            upper.extend(((payload.len() + 8) as u16).to_be_bytes());
            upper.extend([0; 2]);
        } else {
            upper.extend(self.sequence[side].to_be_bytes());
            upper.extend(self.sequence[1 - side].to_be_bytes());
            upper.extend([0x50, 0x18, 0x20, 0, 0, 0, 0, 0]);
            self.sequence[side] = self.sequence[side].wrapping_add(payload.len() as u32);
        }
        upper.extend_from_slice(payload);
        let mut frame = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0, 0x45, 0];
        frame.extend(((upper.len() + 20) as u16).to_be_bytes());
        frame.extend((self.frames as u16).to_be_bytes());
        frame.extend([0x40, 0, 64, if self.udp { 17 } else { 6 }, 0, 0]);
        frame.extend(src.iter().chain(&dst));
        frame.extend(upper);
        batch.frames.push(FrameRef {
            at: Timestamp::from_nanos(self.frames as i64 * 1_000_000),
            number: self.frames,
            offset: batch.bytes.len() as u32,
            len: frame.len() as u32,
            wire_len: frame.len() as u32,
            link: LinkType::ETHERNET,
            capture: 0,
        });
        batch.bytes.extend(frame);
    }
}

#[test]
fn what_repeats_allocates_nothing() {
    for (name, port, udp, is_wanted) in [
        ("Modbus", 502, false, (|_| true) as fn(&[u8]) -> bool),
        // Not what opens and closes sessions and connections.
        ("EtherNet/IP", 44818, false, |pdu| pdu.starts_with(&[0x70, 0])),
        ("CIP I/O", 2222, true, |_| true),
        // Read and Publish with their responses, by the type ids of their bodies.
        ("OPC UA", 4840, false, |pdu| {
            matches!(pdu.get(24..28), Some([1, 0, 0x77 | 0x7A, 0x02] | [1, 0, 0x3A | 0x3D, 0x03]))
        }),
    ] {
        let mut segments = conversation(port, udp);
        segments.retain(|(_, payload)| is_wanted(payload));
        let start = segments.iter().position(|(from_client, _)| *from_client).unwrap();
        let round = segments.get(start..).unwrap();
        // Caches are placed by keyed hashes, and now and then a key puts two things into one place, where they take turns and
        // allocate. Keys are random: most must allocate nothing.
        let runs: Vec<Vec<u64>> = (0..RUNS).map(|_| allocations(name, port, udp, round)).collect();
        let still = runs.iter().filter(|rounds| rounds.last() == Some(&0)).count();
        assert!(still > RUNS / 2, "{name}: allocations by round of {} segments, by run: {runs:?}", round.len());
    }
}

/// Runs, each with keys of its own.
const RUNS: usize = 9;

/// Allocations in each of some rounds of the same segments.
fn allocations(name: &str, port: u16, udp: bool, round: &[Segment]) -> Vec<u64> {
    let mut talk = Talk { port, udp, sequence: [1; 2], frames: 0 };
    let mut shards: Vec<Shard> = (0..SHARDS).map(|_| Shard::new(&Limits::default(), None)).collect();
    let mut allocations = Vec::new();
    for round_number in 0..6 {
        let mut batch = Batch::default();
        round.iter().for_each(|segment| talk.say(segment, &mut batch));
        let before = ALLOCATIONS.get();
        TRACED.set(round_number == 5 && std::env::var_os("ZONEWATCH_TRACE_ALLOCATIONS").is_some());
        pipeline::take(&mut shards, 0, 1, &batch);
        TRACED.set(false);
        allocations.push(ALLOCATIONS.get() - before);
    }
    let messages: u64 = shards
        .into_iter()
        .flat_map(|shard| shard.finish().flows)
        .flat_map(|flow| flow.book.operations().to_vec())
        .map(|operation| operation.tally.requests + operation.tally.answered + operation.tally.refused)
        .sum();
    assert!(allocations[0] > 0, "{name}: the counter counts");
    assert!(messages >= 6, "{name}: it was read as what it is, {messages} messages of {} segments", round.len());
    allocations
}
