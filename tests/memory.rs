//! What a flow and an asset take, counted by the allocator: what is there at the end and not before. A poller's flows are
//! made here; those of a plant are read from `fixtures/plant`, or from `$ZONEWATCH_CAPTURE`, judged by `$ZONEWATCH_POLICY`:
//!
//!     ZONEWATCH_CAPTURE=plant.pcap ZONEWATCH_POLICY=plant.toml cargo test --release --test memory -- --nocapture

// A global allocator is an unsafe trait to implement. This one counts and hands everything on to the system's.
#![allow(unsafe_code, clippy::print_stderr)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use zonewatch::analysis::{self, Options};
use zonewatch::config::Limits;
use zonewatch::flow::Flow;
use zonewatch::pipeline;
use zonewatch::policy::Policy;
use zonewatch::source::set::Captures;
use zonewatch::source::{Batch, FrameRef, LinkType};
use zonewatch::time::Timestamp;
use zonewatch::worker::{SHARDS, Shard};

struct Counting;

/// Bytes that were asked for and not given back, each piece with what the allocator itself needs for it (glibc: a word, and
/// all in steps of two).
static LIVE: AtomicUsize = AtomicUsize::new(0);

fn taken(size: usize) -> usize {
    (size + 8).next_multiple_of(16).max(32)
}

// SAFETY: every call goes to `System` as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        LIVE.fetch_add(taken(layout.size()), Ordering::Relaxed);
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        LIVE.fetch_sub(taken(layout.size()), Ordering::Relaxed);
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        LIVE.fetch_add(taken(size), Ordering::Relaxed);
        LIVE.fetch_sub(taken(layout.size()), Ordering::Relaxed);
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static GLOBAL: Counting = Counting;

fn live() -> usize {
    LIVE.load(Ordering::Relaxed)
}

/// Flows of the poller: clients that each ask some servers for a few registers, over and over.
const FLOWS: u32 = 20_000;

/// Requests for a register and their replies, each flow in its turn.
fn polls(rounds: u32) -> Batch {
    let mut batch = Batch::default();
    for number in 0..2 * rounds * FLOWS {
        let (exchange, is_request) = (number / 2, number % 2 == 0);
        let (flow, round) = (exchange % FLOWS, exchange / FLOWS);
        let ends = [0x0A10_0000 | (flow / 10), 0x0A20_0000 | (flow % 10)].map(u32::to_be_bytes);
        let ports = [1024 + (flow % 60_000) as u16, 502].map(u16::to_be_bytes);
        let body: &[u8] = if is_request { &[0, 6, 1, 3, 0, 7, 0, 1] } else { &[0, 5, 1, 3, 2, 0, 7] };
        let payload = [&(round as u16).to_be_bytes(), &[0, 0], body].concat();
        let (asked, answered) = (round * 12, round * 11);
        let (src, dst, seq, ack) = if is_request { (0, 1, asked, answered) } else { (1, 0, answered, asked + 12) };
        let mut frame = vec![2, 0];
        frame.extend(ends[dst].iter().chain(&[2, 0]).chain(&ends[src]).chain(&[8, 0, 0x45, 0]));
        frame.extend((40 + payload.len() as u16).to_be_bytes());
        frame.extend((number as u16).to_be_bytes());
        frame.extend([0x40, 0, 64, 6, 0, 0].iter().chain(&ends[src]).chain(&ends[dst]));
        frame.extend(ports[src].iter().chain(&ports[dst]));
        frame.extend(seq.to_be_bytes().into_iter().chain(ack.to_be_bytes()));
        frame.extend([0x50, 0x18, 0x20, 0, 0, 0, 0, 0].iter().chain(&payload));
        let (offset, len) = (batch.bytes.len() as u32, frame.len() as u32);
        batch.frames.push(FrameRef {
            at: Timestamp::from_nanos(i64::from(number) * 100_000),
            number: u64::from(number) + 1,
            offset,
            len,
            wire_len: len,
            link: LinkType::ETHERNET,
            capture: 0,
        });
        batch.bytes.extend(frame);
    }
    batch
}

/// Every address may do anything.
const ALLOWING: &str = "[site]\nid = \"p\"\ntimezone = \"UTC\"\n\
    [[zone]]\nid = \"all\"\nmembers = [{ cidr = \"10.0.0.0/8\" }]\ninside = { default = \"allow\" }\n";

/// A network that nobody declared.
const FORBIDDING: &str =
    "[site]\nid = \"p\"\ntimezone = \"UTC\"\n[[zone]]\nid = \"none\"\nmembers = [{ cidr = \"192.0.2.0/24\" }]\n";

/// Bytes of a poller's flow as it is kept, and with its open connection.
fn poller(policy: Option<&str>) -> (usize, usize) {
    let policy = policy.map(|text| Arc::new(Policy::parse("p", text).unwrap()));
    let batch = polls(4);
    let before = live();
    let mut shards: Vec<Shard> = (0..SHARDS).map(|_| Shard::new(&Limits::default(), policy.clone())).collect();
    let empty = live();
    pipeline::take(&mut shards, 0, 1, &batch);
    let open = live() - empty;
    let flows: Vec<Vec<Flow>> = shards.into_iter().map(|shard| shard.finish().flows).collect();
    let closed = live() - before;
    assert_eq!(flows.iter().map(Vec::len).sum::<usize>(), FLOWS as usize);
    assert!(flows.iter().flatten().all(|flow| flow.book.requests() == 4 && flow.judged.len() == policy.iter().len()));
    (closed / FLOWS as usize, open / FLOWS as usize)
}

/// What goes with something.
fn bytes_of<T>(it: T) -> usize {
    let before = live();
    drop(it);
    before - live()
}

/// Bytes of a flow, and of an asset with its facts, of a capture; and how many of both there are.
fn plant(policy: Option<&Path>) -> ([usize; 2], [usize; 2]) {
    let usual = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/plant/capture.pcap");
    let capture = std::env::var_os("ZONEWATCH_CAPTURE").map_or(usual, Into::into);
    let policy = policy.map(|path| Arc::new(Policy::load(&[path.to_owned()]).unwrap()));
    let (mut captures, _) = Captures::open(&[capture]);
    let options = Options { workers: 1, policy, ..Options::default() };
    let mut analysis = analysis::run(&mut captures, |captures, batch| captures.fill(batch), &options);
    let counts = [analysis.observed.flows.len(), analysis.inventory.assets.len()];
    let flows = bytes_of(std::mem::take(&mut analysis.observed.flows));
    let assets = bytes_of((analysis.inventory, analysis.observed.ledger));
    ([flows / counts[0], assets / counts[1]], counts)
}

#[test]
fn a_flow_takes_half_a_kilobyte_and_an_asset_a_few() {
    for (case, policy, most) in [
        ("no policy", None, 512),
        ("a policy that allows it", Some(ALLOWING), 768),
        ("a policy that does not", Some(FORBIDDING), 1024),
    ] {
        let (flow, open) = poller(policy);
        eprintln!("poller, {case}: {flow} bytes a flow, {open} while its connection is open");
        let judging = policy.map_or(0, |_| Limits::JUDGING);
        assert!(flow <= most, "{case}: {flow} bytes a flow");
        assert!(open as u64 <= Limits::CONNECTION + judging, "{case}: {open} bytes while its connection is open");
    }
    let usual = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/plant/plant.toml");
    let declared: PathBuf = std::env::var_os("ZONEWATCH_POLICY").map_or(usual, Into::into);
    for (case, policy, most) in
        [("no policy", None, Limits::FLOW), ("policy", Some(&*declared), Limits::FLOW + Limits::JUDGED)]
    {
        let ([flow, asset], [flows, assets]) = plant(policy);
        eprintln!("plant, {case}: {flow} bytes each of {flows} flows, {asset} bytes each of {assets} assets");
        assert!(flow as u64 <= most && asset <= 10 << 10, "{case}: {flow} bytes a flow, {asset} an asset");
    }
}
