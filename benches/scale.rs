//! How the cost of a packet grows with the size of the plant: Modbus polls over 10^3 to 10^6 connections between 10^2 to 10^5
//! hosts, by one worker and by two, evenly spread and all to one server. Each row is a process of its own, so that its
//! memory is its own: `cargo bench --bench scale`. With `-- --test` one small row is run for its answer; with `-- --flush` what
//! a flush of the sensor costs with 100,000 flows.
#![allow(missing_docs, clippy::print_stdout)]

use std::time::{Duration, Instant};

use zonewatch::analysis::{self, Options};
use zonewatch::config::Limits;
use zonewatch::flow::facts;
use zonewatch::pipeline;
use zonewatch::source::{Batch, FrameRef, LinkType};
use zonewatch::time::Timestamp;

#[derive(Clone, Copy)]
struct Row {
    flows: u32,
    servers: u32,
    packets: u64,
    workers: usize,
}

const ROWS: &[Row] = &[
    // More flows.
    Row { flows: 1_000, servers: 100, packets: 2_000_000, workers: 1 },
    Row { flows: 10_000, servers: 100, packets: 2_000_000, workers: 1 },
    Row { flows: 100_000, servers: 100, packets: 2_000_000, workers: 1 },
    Row { flows: 1_000_000, servers: 100, packets: 4_000_000, workers: 1 },
    // More hosts: each flow has a client of its own but for the first row.
    Row { flows: 20_000, servers: 1_000, packets: 2_000_000, workers: 1 },
    Row { flows: 20_000, servers: 10_000, packets: 2_000_000, workers: 1 },
    Row { flows: 60_000, servers: 50_000, packets: 2_000_000, workers: 1 },
    // Two workers: even, and one server that everybody polls.
    Row { flows: 5_000, servers: 500, packets: 4_000_000, workers: 1 },
    Row { flows: 5_000, servers: 500, packets: 4_000_000, workers: 2 },
    Row { flows: 5_000, servers: 1, packets: 4_000_000, workers: 1 },
    Row { flows: 5_000, servers: 1, packets: 4_000_000, workers: 2 },
];

/// Requests for one register of a few, and their replies, each flow in its turn.
fn polls(row: Row) -> Vec<Batch> {
    let mut batches = vec![Batch::default()];
    let clients = (row.flows / 10).clamp(1, 50_000);
    for number in 0..row.packets {
        let exchange = number / 2;
        let (flow, round) = ((exchange % u64::from(row.flows)) as u32, (exchange / u64::from(row.flows)) as u32);
        let is_request = number % 2 == 0;
        let (client, server) = (flow % clients, flow % row.servers);
        let port = (1024 + flow / clients % 60_000) as u16;
        let (client_ip, server_ip) =
            ((10 << 24 | 1 << 20 | client).to_be_bytes(), (10 << 24 | 2 << 20 | server).to_be_bytes());
        let (client_port, server_port) = (port.to_be_bytes(), 502u16.to_be_bytes());
        let [t0, t1] = (round as u16).to_be_bytes();
        let payload: &[u8] = match is_request {
            true => &[t0, t1, 0, 0, 0, 6, 1, 3, 0, (flow % 8) as u8, 0, 1],
            false => &[t0, t1, 0, 0, 0, 5, 1, 3, 2, 0, 7],
        };
        let (asked, answered) = (round.wrapping_mul(12), round.wrapping_mul(11));
        let (src, dst, seq, ack) = match is_request {
            true => (client_ip, server_ip, asked, answered),
            false => (server_ip, client_ip, answered, asked.wrapping_add(12)),
        };
        let ports = if is_request { [client_port, server_port] } else { [server_port, client_port] };
        let total = (40 + payload.len()) as u16;
        let mut batch = batches.pop().unwrap_or_default();
        let offset = batch.bytes.len();
        batch.bytes.extend([2, 0, dst[0], dst[1], dst[2], dst[3], 2, 0, src[0], src[1], src[2], src[3], 8, 0, 0x45, 0]);
        batch.bytes.extend(total.to_be_bytes());
        batch.bytes.extend((number as u16).to_be_bytes());
        batch.bytes.extend([0x40, 0, 64, 6, 0, 0]);
        batch.bytes.extend(src.into_iter().chain(dst).chain(ports.concat()));
        batch.bytes.extend(seq.to_be_bytes().into_iter().chain(ack.to_be_bytes()));
        batch.bytes.extend([0x50, 0x18, 0x20, 0, 0, 0, 0, 0]);
        batch.bytes.extend(payload);
        let len = (batch.bytes.len() - offset) as u32;
        batch.frames.push(FrameRef {
            at: Timestamp::from_nanos(number as i64 * 100_000),
            number: number + 1,
            offset: offset as u32,
            len,
            wire_len: len,
            link: LinkType::ETHERNET,
            capture: 0,
        });
        let is_full = batch.bytes.len() > 250_000;
        batches.push(batch);
        if is_full {
            batches.push(Batch::default());
        }
    }
    batches
}

/// Resident memory in bytes; 0 where the system does not tell.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0) * 1024
}

fn run(row: Row) {
    let mut batches = polls(row).into_iter();
    let before = resident();
    let started = Instant::now();
    // A batch is read and kept, as a reader keeps it: its memory is there before and after.
    let mut kept = Vec::new();
    let mut fill = |to: &mut Batch| {
        let Some(batch) = batches.next() else { return false };
        kept.push(std::mem::replace(to, batch));
        true
    };
    let mut observed = pipeline::run(&mut fill, row.workers, &Limits::default(), None, &Default::default());
    let packets: Duration = started.elapsed();
    let memory = resident().saturating_sub(before);
    assert_eq!(observed.coverage.frames, row.packets);
    let started = Instant::now();
    facts::note(&observed.flows, &mut observed.ledger);
    let analysis = analysis::conclude(observed, &Options::default());
    let concluded = started.elapsed();
    let (flows, assets) = (analysis.observed.flows.len(), analysis.inventory.assets.len());
    let requests: u64 = analysis.observed.flows.iter().map(|flow| flow.book.requests()).sum();
    let forgotten = analysis.observed.coverage.limits.get("flows").copied().unwrap_or(0);
    assert!(forgotten > 0 || requests == row.packets / 2, "{requests} requests");
    println!(
        "{:>9} {:>7} {:>9} {:>7} {:>9.0} {:>9} {:>9} {:>11.0} {:>12.1}",
        row.flows,
        row.servers,
        row.packets,
        row.workers,
        packets.as_nanos() as f64 / row.packets as f64,
        flows,
        assets,
        memory as f64 / f64::from(row.flows),
        concluded.as_secs_f64() * 1000.0,
    );
}

/// Zones of the plant of [`polls`]: some of its servers are in a zone that nobody may ask.
#[cfg(all(feature = "live", feature = "sensor"))]
const POLICY: &str = r#"
schema = 1
[site]
id = "scale"
timezone = "UTC"
[[zone]]
id = "clients"
level = 2
members = [{ cidr = "10.16.0.0/12" }]
[[zone]]
id = "servers"
level = 1
members = [{ cidr = "10.32.0.0/12" }]
[[zone]]
id = "closed"
level = 1
members = [{ cidr = "10.32.1.0/24" }]
[[conduit]]
id = "C-1"
owner = "Operations"
from = ["clients"]
to = ["servers"]
allow = [{ protocol = "modbus", functions = [3] }]
"#;

/// What one flush of the sensor costs with many flows: every part of it, for a plant that is new, one that polls on, and one
/// of which a hundredth is heard.
#[cfg(all(feature = "live", feature = "sensor"))]
fn flush(flows: u32) {
    use std::sync::Arc;
    use zonewatch::policy::Policy;
    use zonewatch::sensor::shared::{Health, Shared};
    use zonewatch::sensor::telling::{Past, Telling};
    use zonewatch::sensor::world::World;
    use zonewatch::store::{Flush, Store};
    use zonewatch::worker::{SHARDS, Shard};

    let policy = Some(Arc::new(Policy::parse("scale.toml", POLICY).expect("the policy is sound")));
    let mut shards: Vec<Shard> = (0..SHARDS).map(|_| Shard::new(&Limits::default(), policy.clone())).collect();
    let (past, health) = (Past::default(), Health::default());
    let mut world = Some(World::new(Options { policy, ..Options::default() }));
    let empty = Shared::still(World::new(Options::default()), health.clone());
    let mut telling = Telling::new("scale".to_owned(), &empty.picture(), past);
    let path = std::env::temp_dir().join(format!("zonewatch-scale-{}.db", std::process::id()));
    let (mut store, _) = Store::open(&path).expect("the folder for temporary files can be written");
    println!("     flush     flows  findings  merge    tell   again   life   write (ms)   store, MB");
    let polled = |packets| polls(Row { flows, servers: 317, packets, workers: 1 });
    let round = u64::from(flows) * 2;
    for (name, packets) in [("new", round), ("all again", round), ("a hundredth", round / 100)] {
        polled(packets).iter().for_each(|batch| pipeline::take(&mut shards, 0, 1, batch));
        let now = Timestamp::from_nanos(1_000_000_000_000);
        let results = shards.iter_mut().map(|shard| shard.drain(now)).collect();
        let started = Instant::now();
        let mut known = world.take().expect("it comes back below");
        let changed = known.merge(results);
        let merged = started.elapsed();
        let started = Instant::now();
        let shared = Shared::still(known, health.clone());
        let told = started.elapsed();
        let started = Instant::now();
        let again = {
            let picture = shared.picture();
            let captures = &picture.world.captures;
            let told = picture.world.analysis.tell_again(captures, Default::default(), true, &|| true);
            told.map_or(0, |told| told.findings().len())
        };
        let told_again = started.elapsed();
        assert!(again > 0, "there is something to tell");
        let started = Instant::now();
        let events = telling.flushed(&shared.picture(), &health, now);
        let kept = telling.changed(&shared.picture());
        let lived = started.elapsed();
        let picture = shared.picture();
        let observed = &picture.world.analysis.observed;
        let facts: Vec<_> = changed.subjects.iter().filter_map(|who| Some((who, observed.ledger.get(who)?))).collect();
        let place = |key| observed.flows.binary_search_by_key(key, |flow| flow.key).ok();
        let flows: Vec<_> = changed.flows.iter().filter_map(place).map(|place| &observed.flows[place]).collect();
        let policy = picture.world.options().policy.as_deref();
        let (coverage, findings) = (&observed.coverage, kept.iter().collect::<Vec<_>>());
        let flush = Flush {
            captures: &[],
            facts: &facts,
            flows: &flows,
            policy,
            at: now,
            watch: &observed.watch,
            findings: &findings,
            events: &[],
            coverage,
            unconcluded: 0,
        };
        let started = Instant::now();
        store.write(&flush).expect("there is room");
        let written = started.elapsed();
        let size = std::fs::metadata(&path).map_or(0, |file| file.len()) as f64 / 1e6;
        let [merged, told, told_again, lived, written] =
            [merged, told, told_again, lived, written].map(|time| time.as_millis());
        let findings = picture.told.findings().len();
        println!(
            "{name:>11} {:>8} {findings:>9} {merged:>6} {told:>7} {told_again:>7} {lived:>6} {written:>7} {size:>17.0}",
            flows.len()
        );
        assert!(findings > 0 && name != "new" || !events.is_empty(), "there is something to tell");
        drop(picture);
        world = Some(shared.into_world());
    }
    for leaf in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(format!("{}{leaf}", path.display()));
    }
}

#[cfg(not(all(feature = "live", feature = "sensor")))]
fn flush(_: u32) {}

fn main() {
    if std::env::args().any(|argument| argument == "--flush") {
        return flush(100_000);
    }
    if std::env::args().any(|argument| argument == "--test") {
        flush(1_000);
        return run(Row { flows: 100, servers: 10, packets: 10_000, workers: 2 });
    }
    if let Some(row) = std::env::var("ROW").ok().and_then(|row| ROWS.get(row.parse::<usize>().ok()?)) {
        return run(*row);
    }
    println!("    conns servers   packets workers ns/packet     flows    assets bytes/conn. snapshot, ms");
    let program = std::env::current_exe().expect("a program knows where it is");
    for row in 0..ROWS.len() {
        let status = std::process::Command::new(&program).env("ROW", row.to_string()).status();
        assert!(status.is_ok_and(|status| status.success()), "row {row}");
    }
}
