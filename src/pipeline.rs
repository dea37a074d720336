//! The topology: frames from a source to the shards, by one worker inline or by several.
//!
//! One worker runs in the thread that reads: no frame is copied and no channel is crossed. Several workers all get every
//! batch, shared and read-only, and each takes the frames of its own shards; that costs each of them the decoding of
//! all frames, which is a small part, and saves a copy of every frame.

use std::cmp::Reverse;
use std::collections::binary_heap::PeekMut;
use std::collections::{BTreeMap, BinaryHeap};
use std::sync::Arc;
use std::thread;

use crossbeam_channel::{Receiver, Sender, bounded};

use crate::config::Limits;
use crate::decode::{Headers, Packet, decode};
use crate::flow::Flow;
use crate::flow::connection::Connection;
use crate::flow::repeats::Ending;
use crate::flow::table::Spot;
use crate::flow::timing::Totals;
use crate::flow::watch::Watch;
use crate::ledger::{Ledger, Table};
use crate::policy::{Policy, TapId};
use crate::source::Batch;
use crate::worker::{Arrival, ByProtocol, Coverage, SHARDS, Shard, ShardResult, Taken, Ways, shard_of};

/// Batches on their way to one worker. Few, since a batch is a quarter of a megabyte and order is kept anyway.
const QUEUE: usize = 8;

/// What the packets showed: no policy beyond the verdicts, no names, nothing derived.
#[derive(Debug, Default)]
pub struct Observed {
    /// Flows, ordered by key.
    pub flows: Vec<Flow>,
    /// Facts.
    pub ledger: Ledger,
    /// What happened to frames.
    pub coverage: Coverage,
    /// What the policy asked to be watched.
    pub watch: Watch,
    /// Poll intervals and response times, if they are measured.
    pub timings: Totals,
    /// TCP conversations by the ways that were seen of them, by capture.
    pub ways: BTreeMap<u16, Ways>,
}

/// Runs every batch that `fill` gives through the shards. `fill` says `false` when there are no more. `taps` says where
/// each capture was taken, by its place in the list; those beyond its end nobody knows where.
pub fn run(
    fill: &mut dyn FnMut(&mut Batch) -> bool,
    workers: usize,
    limits: &Limits,
    policy: Option<&Arc<Policy>>,
    taps: &Arc<[TapId]>,
) -> Observed {
    let workers = workers.clamp(1, SHARDS);
    let mut shards: Vec<Shard> =
        (0..SHARDS).map(|_| Shard::new(limits, policy.cloned()).listening(Arc::clone(taps))).collect();
    let policy = policy.map(|policy| &**policy);
    if workers == 1 {
        let mut batch = Batch::default();
        while fill(&mut batch) {
            take(&mut shards, 0, 1, &batch);
        }
        return gather(shards.into_iter().map(finish).collect(), policy, limits.timings);
    }
    gather(share(fill, workers, shards), policy, limits.timings)
}

/// The frames of one worker's shards: shard `s` belongs to worker `s % workers` and is its `s / workers`th.
///
/// Some frames are decoded and their connections looked up before the first of them is taken: what a connection needs
/// lies in a dozen cache lines, and the lines of several connections come from memory in the time of one.
pub fn take(shards: &mut [Shard], worker: usize, workers: usize, batch: &Batch) {
    let mut places: [Ahead<'_>; AHEAD] = std::array::from_fn(|_| Ahead::default());
    // Those of the frames ahead that are not plain.
    let mut packets: Vec<Packet<'_>> = Vec::new();
    // Where this worker's shards stand: to divide for each packet takes longer than to decode it.
    let mine: [u32; SHARDS] =
        std::array::from_fn(|shard| if shard % workers == worker { (shard / workers) as u32 } else { NONE });
    let (mut taken, mut counts) = (Taken::default(), ByProtocol::default());
    if let Some(first) = shards.first_mut() {
        first.exchange_counts(&mut counts);
    }
    for frames in batch.frames.chunks(AHEAD) {
        let mut count = 0;
        for frame in frames.iter().filter_map(|frame| batch.frame(frame)) {
            let Some(ahead) = places.get_mut(count) else { break };
            ahead.packet = NONE;
            if !ahead.arrival.headers.read(&frame) {
                match decode(&frame) {
                    Ok(packet) => {
                        ahead.arrival.headers = Headers::of(&packet);
                        ahead.packet = packets.len() as u32; // At most AHEAD.
                        packets.push(packet);
                    }
                    Err(why) => {
                        // Whose a frame is that cannot be decoded does not matter, only that one counts it.
                        if let (0, Some(shard)) = (worker, shards.first_mut()) {
                            shard.undecoded(&frame, why);
                        }
                        continue;
                    }
                }
            }
            let which = mine.get(shard_of(&ahead.arrival.headers)).copied().unwrap_or(NONE);
            if let Some(shard) = shards.get(which as usize) {
                ahead.arrival.set_frame(&frame);
                taken.frames += 1;
                taken.bytes += u64::from(frame.wire_len);
                taken.truncated += u64::from((frame.bytes.len() as u64) < u64::from(frame.wire_len));
                ahead.shard = which;
                ahead.spot = shard.spot(&ahead.arrival.headers);
                shard.prefetch_index(&ahead.spot);
                count += 1;
            }
        }
        let ahead = places.get_mut(..count).unwrap_or(&mut []);
        prefetch_connections(shards, ahead);
        for ahead in ahead.iter() {
            if let Some(shard) = shards.get_mut(ahead.shard as usize) {
                let packet = packets.get(ahead.packet as usize);
                shard.packet(&ahead.arrival, packet, &ahead.spot, ahead.place, &mut counts);
            }
        }
        packets.clear();
    }
    if let Some(first) = shards.first_mut() {
        first.exchange_counts(&mut counts);
        first.taken(taken);
    }
}

/// Finds the connections of some frames and prefetches what these will need.
///
/// One step for all of them, then the next: each step needs what the one before brought.
fn prefetch_connections(shards: &[Shard], frames: &mut [Ahead<'_>]) {
    let mut found: [Option<&Connection>; AHEAD] = [None; AHEAD];
    let mut news = [0; SHARDS];
    for (ahead, found) in frames.iter_mut().zip(&mut found) {
        let at = ahead.shard as usize;
        ahead.place = NONE;
        if let (Some(shard), Some(news)) = (shards.get(at), news.get_mut(at))
            && let Some((place, connection)) = shard.guess(&ahead.arrival.headers, &ahead.spot, news)
        {
            (ahead.place, *found) = (place, Some(connection));
        }
    }
    news = [0; SHARDS];
    for (ahead, found) in frames.iter_mut().zip(&mut found) {
        let at = ahead.shard as usize;
        let (Some(shard), Some(news)) = (shards.get(at), news.get_mut(at)) else { continue };
        let payload = ahead.arrival.headers.payload;
        match found {
            // That it is another's is rare, and harmless here.
            Some(connection) if !payload.is_empty() => shard.prefetch_inside(connection, Ending::of(payload)),
            // Nothing is said without payload.
            Some(_) => *found = None,
            None => ahead.place = shard.find(&ahead.arrival.headers, &ahead.spot, news).unwrap_or(NONE),
        }
    }
    let deep = |(ahead, found): (&Ahead<'_>, &Option<&Connection>)| {
        found.map_or(0, |connection| connection.prefetch_deep(Ending::of(ahead.arrival.headers.payload)))
    };
    std::hint::black_box(frames.iter().zip(&found).map(deep).fold(0, |sum, touched| sum ^ touched));
}

/// Frames that are looked at together.
const AHEAD: usize = 32;

/// A frame that was decoded and waits for its turn.
#[derive(Default)]
struct Ahead<'a> {
    arrival: Arrival<'a>,
    spot: Spot,
    /// Of its connection, likely, or [`NONE`].
    place: u32,
    /// Place of its shard among those of this worker.
    shard: u32,
    /// Place of the packet among those that are not plain, or [`NONE`].
    packet: u32,
}

/// No place.
const NONE: u32 = u32::MAX;

fn share(fill: &mut dyn FnMut(&mut Batch) -> bool, workers: usize, shards: Vec<Shard>) -> Vec<ShardResult> {
    let mut parts: Vec<Vec<Shard>> = (0..workers).map(|_| Vec::new()).collect();
    for (index, shard) in shards.into_iter().enumerate() {
        if let Some(part) = parts.get_mut(index % workers) {
            part.push(shard);
        }
    }
    // Batches come back when their last reader lets go of them, so that their memory is used again.
    let (give_back, used): (Sender<Batch>, Receiver<Batch>) = bounded(2 * QUEUE);
    thread::scope(|scope| {
        let mut queues = Vec::new();
        let mut threads = Vec::new();
        for (worker, mut shards) in parts.into_iter().enumerate() {
            let (queue, batches) = bounded::<Arc<Batch>>(QUEUE);
            let give_back = give_back.clone();
            queues.push(queue);
            threads.push(scope.spawn(move || {
                for batch in batches {
                    take(&mut shards, worker, workers, &batch);
                    if let Some(batch) = Arc::into_inner(batch) {
                        // A full return queue only means that the memory is not needed again.
                        let _ = give_back.try_send(batch);
                    }
                }
                (worker, shards.into_iter().map(finish).collect::<Vec<_>>())
            }));
        }
        loop {
            let mut batch = used.try_recv().unwrap_or_else(|_| Batch::large());
            if !fill(&mut batch) {
                break;
            }
            let batch = Arc::new(batch);
            for queue in &queues {
                // A worker that is gone has panicked; joining it below says so.
                let _ = queue.send(Arc::clone(&batch));
            }
        }
        drop(queues);
        let mut results: Vec<(usize, ShardResult)> = Vec::new();
        for thread in threads {
            match thread.join() {
                Ok((worker, done)) => {
                    results.extend(done.into_iter().enumerate().map(|(i, result)| (i * workers + worker, result)));
                }
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        results.sort_by_key(|(shard, _)| *shard);
        results.into_iter().map(|(_, result)| result).collect()
    })
}

/// What a shard has to say at the end, its flows in order: with several workers that is done side by side.
fn finish(shard: Shard) -> ShardResult {
    let mut result = shard.finish();
    result.flows.sort_by_cached_key(|flow| flow.key);
    result
}

/// The results of all shards as one, in the order of the shards; the flows of each are in order.
fn gather(results: Vec<ShardResult>, policy: Option<&Policy>, timed: usize) -> Observed {
    let table = Table::default();
    let mut parts = Vec::with_capacity(results.len());
    let mut coverage = Coverage::default();
    let mut watch = Watch::default();
    let mut timings = Totals::default();
    let mut ways: BTreeMap<u16, Ways> = BTreeMap::new();
    for result in results {
        coverage.merge(&result.coverage);
        table.publish(result.ledger);
        parts.push(result.flows);
        watch.merge(result.watch, policy);
        timings.merge(result.timings, policy, timed);
        result.ways.into_iter().for_each(|(capture, seen)| ways.entry(capture).or_default().merge(seen));
    }
    let mut flows = in_order(parts);
    // A host pair is in one shard, unless fragments hid it in a tunnel.
    flows.dedup_by(|other, flow| {
        let same = other.key == flow.key;
        if same {
            flow.merge(other);
        }
        same
    });
    Observed { flows, ledger: table.into_ledger(), coverage, watch, timings, ways }
}

/// Flows that are in order in each part, in order: each is moved once, since there are many and they are large.
fn in_order(parts: Vec<Vec<Flow>>) -> Vec<Flow> {
    let mut flows = Vec::with_capacity(parts.iter().map(Vec::len).sum());
    let mut parts: Vec<_> = parts.into_iter().map(Vec::into_iter).collect();
    let first = |part: &std::vec::IntoIter<Flow>| part.as_slice().first().map(|flow| flow.key);
    let firsts = parts.iter().enumerate().filter_map(|(number, part)| Some(Reverse((first(part)?, number))));
    let mut next: BinaryHeap<_> = firsts.collect();
    while let Some(mut least) = next.peek_mut() {
        let Reverse((key, number)) = &mut *least;
        let Some(part) = parts.get_mut(*number) else { break };
        flows.extend(part.next());
        match first(part) {
            Some(following) => *key = following,
            None => drop(PeekMut::pop(least)),
        }
    }
    flows
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::tests::hex;
    use crate::source::{FrameRef, LinkType};
    use crate::time::Timestamp;

    /// An IPv4 packet: `id protocol | source > destination | what it carries`, addresses by their last byte.
    fn ip(id: &str, protocol: &str, ends: [u8; 2], body: &str) -> Vec<u8> {
        let body = hex(body);
        let [src, dst] = ends;
        let total = body.len() + 20;
        let head = format!("4500 {total:04x} {id} 4000 40 {protocol} 0000 0a0000{src:02x} 0a0000{dst:02x}");
        [hex(&head), body].concat()
    }

    /// What is observed of raw-IP packets, each so many milliseconds after the first.
    fn observe(packets: &[(i64, Vec<u8>)]) -> String {
        let mut batch = Some(Batch::default());
        let mut fill = |to: &mut Batch| {
            let Some(batch) = batch.take() else { return false };
            *to = batch;
            for (number, (at, packet)) in (1..).zip(packets) {
                let len = packet.len() as u32;
                to.frames.push(FrameRef {
                    at: Timestamp::from_nanos(at * 1_000_000),
                    number,
                    offset: to.bytes.len() as u32,
                    len,
                    // A packet may be cut; what it was is in its header.
                    wire_len: u32::from(u16::from_be_bytes([packet[2], packet[3]])),
                    link: LinkType::RAW,
                    capture: 0,
                });
                to.bytes.extend_from_slice(packet);
            }
            true
        };
        let observed = run(&mut fill, 1, &Limits::default(), None, &Arc::default());
        let flows = observed.flows.iter().map(|flow| {
            let (c, s) = (flow.client.traffic(), flow.server.traffic());
            let mut text = format!(
                "{} > {} {} {}:",
                flow.key.client.address, flow.key.server.address, flow.key.transport, flow.key.port
            );
            text += &format!(" {}/{} frames, {} copies", c.frames, s.frames, c.copies + s.copies);
            for operation in flow.book.operations() {
                let tally = operation.tally;
                text += &format!(", {} {}/{}/{}", operation.key.code, tally.requests, tally.answered, tally.refused);
            }
            text
        });
        flows.collect::<Vec<_>>().join(" | ")
    }

    /// Read Holding Registers.
    const READ: &str = "0001 0000 0006 01 03 0000 0002";

    #[test]
    fn flows_of_odd_packets() {
        let udp = |payload: &str| {
            format!("c000 08ae {:04x} 0000 {payload}", 8 + payload.split_whitespace().collect::<String>().len() / 2)
        };
        let tcp = |ports: &str, seq: u8, ack: u8, flags: &str, payload: &str| {
            format!("{ports} 000000{seq:02x} 000000{ack:02x} 50{flags} 2000 0000 0000 {payload}")
        };
        // What a fuzzer makes of Read/Write Multiple Registers: its quantities are none, its length is right.
        let nonsense = format!("000b 0000 00fe 01 17 0000 0000 df21 12bf {}", "cf".repeat(244));
        for (case, packets, want) in [
            (
                "a mirror's copy",
                vec![
                    (0, ip("0007", "11", [1, 2], &udp("0102030405060708 09"))),
                    (1, ip("0007", "11", [1, 2], &udp("0102030405060708 09"))),
                ],
                "10.0.0.1 > 10.0.0.2 udp 2222: 1/0 frames, 1 copies",
            ),
            (
                "a stack whose id is always the same, and whose payloads start alike",
                vec![
                    (0, ip("0007", "11", [1, 2], &udp("0102030405060708 09"))),
                    (1, ip("0007", "11", [1, 2], &udp("0102030405060708 0a"))),
                ],
                "10.0.0.1 > 10.0.0.2 udp 2222: 2/0 frames, 0 copies",
            ),
            (
                "SYN with FIN opens nothing: the port tells who asks",
                vec![
                    (0, ip("0001", "06", [2, 1], &tcp("01f6 c000", 1, 0, "03", ""))),
                    (1, ip("0001", "06", [1, 2], &tcp("c000 01f6", 9, 2, "10", ""))),
                ],
                "10.0.0.1 > 10.0.0.2 tcp 502: 1/1 frames, 0 copies",
            ),
            (
                "of each read the snap length left the function code",
                vec![
                    (0, ip("0001", "06", [1, 2], &tcp("c000 01f6", 1, 1, "18", READ))[..48].to_vec()),
                    (1, ip("0002", "06", [1, 2], &tcp("c000 01f6", 13, 1, "18", READ))[..48].to_vec()),
                ],
                "10.0.0.1 > 10.0.0.2 tcp 502: 2/0 frames, 0 copies, 3 2/0/0",
            ),
            (
                "a request that no probe takes is read when its reply shows the protocol",
                vec![
                    (0, ip("0001", "06", [1, 2], &tcp("c000 01f6", 1, 1, "18", &nonsense))),
                    (1, ip("0002", "06", [2, 1], &tcp("01f6 c000", 1, 200, "18", "000b 0000 0003 01 97 0a"))),
                ],
                "10.0.0.1 > 10.0.0.2 tcp 502: 1/1 frames, 0 copies, 23 1/0/1",
            ),
        ] {
            assert_eq!(observe(&packets), want, "{case}");
        }
    }
}
