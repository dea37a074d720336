//! Each stage of the way from a frame to a snapshot, over the frames of the small plant: decoding, looking up the
//! connection, framing, each dissector, the ledger, and what is concluded from all of it. A bench checks its answer: fast
//! and wrong is not fast.
#![allow(missing_docs)]

use std::collections::BTreeMap;
use std::hint::black_box;
use std::sync::Arc;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use dissectors::{Carrier, Direction, Observation, Pdu, REGISTRY, Sink};
use zonewatch::address::{Address, Host};
use zonewatch::analysis::{self, Options};
use zonewatch::decode::{Headers, Transport, decode};
use zonewatch::flow::table::Connections;
use zonewatch::ledger::{Evidence, Fact, FactKey, Ledger, Subject, Support};
use zonewatch::policy::Policy;
use zonewatch::source::set::Captures;
use zonewatch::source::{Batch, FrameRef};
use zonewatch::stream::Framer;
use zonewatch::time::Timestamp;

const CAPTURE: &[u8] = include_bytes!("../fixtures/plant/capture.pcap");
const POLICY: &str = include_str!("../fixtures/plant/plant.toml");
/// Frames in it.
const FRAMES: u64 = 6135;

fn captures() -> Captures {
    Captures::stream("plant.pcap", Box::new(CAPTURE)).expect("the fixture is a capture")
}

fn plant() -> Batch {
    let (mut captures, mut all, mut batch) = (captures(), Batch::default(), Batch::default());
    while captures.fill(&mut batch) {
        let offset = u32::try_from(all.bytes.len()).expect("a small capture");
        all.bytes.extend_from_slice(&batch.bytes);
        all.frames.extend(batch.frames.iter().map(|f| FrameRef { offset: f.offset + offset, ..*f }));
    }
    all
}

fn headers(batch: &Batch) -> Vec<Headers<'_>> {
    let read = |frame| {
        let mut headers = Headers::default();
        if headers.read(&frame) { Some(headers) } else { decode(&frame).ok().map(|packet| Headers::of(&packet)) }
    };
    batch.frames().filter_map(read).collect()
}

fn front(c: &mut Criterion) {
    let batch = plant();
    let mut group = c.benchmark_group("front");
    group.throughput(Throughput::Elements(FRAMES));
    let plain = |batch: &Batch| {
        let mut headers = Headers::default();
        batch.frames().filter(|frame| black_box(&mut headers).read(frame)).count()
    };
    let count = plain(&batch);
    assert!(count as u64 > FRAMES / 2, "{count} plain frames");
    group.bench_function("decode, the short way", |b| b.iter(|| assert_eq!(plain(&batch), count)));
    group.bench_function("decode, layer by layer", |b| {
        b.iter(|| assert_eq!(batch.frames().filter(|frame| black_box(decode(frame)).is_ok()).count() as u64, FRAMES))
    });
    let headers = headers(&batch);
    let mut table = Connections::new(1 << 16, &ahash::RandomState::new());
    let at = Evidence::new(Timestamp::from_nanos(0), 0, 1);
    for headers in &headers {
        let spot = table.spot(headers);
        if table.find(headers, &spot).is_none() {
            table.insert(&spot, headers, at);
        }
    }
    group.bench_function("look up the connection", |b| {
        b.iter(|| {
            let found = headers.iter().filter(|headers| table.find(headers, &table.spot(headers)).is_some()).count();
            assert_eq!(found as u64, FRAMES);
        })
    });
    group.finish();
}

/// Counts operations.
#[derive(Default)]
struct Operations(u64);

impl Sink for Operations {
    fn observe(&mut self, observation: Observation<'_>) {
        self.0 += u64::from(matches!(black_box(observation), Observation::Operation(_)));
    }
}

/// The payloads of the conversation with the most of them on a port, and whether the client sent each.
fn conversation<'a>(headers: &[Headers<'a>], transport: Transport, port: u16) -> Vec<(bool, &'a [u8])> {
    let mut all = BTreeMap::<_, Vec<_>>::new();
    for h in headers.iter().filter(|h| h.transport == transport && !h.payload.is_empty()) {
        let (from_client, ends) = match h.ports {
            [src, dst] if dst == port => (true, (h.src, src, h.dst)),
            [src, dst] if src == port => (false, (h.dst, dst, h.src)),
            _ => continue,
        };
        all.entry(ends).or_default().push((from_client, h.payload));
    }
    all.into_values().max_by_key(Vec::len).expect("the small plant speaks it")
}

fn dissect(c: &mut Criterion) {
    let batch = plant();
    let headers = headers(&batch);
    let mut group = c.benchmark_group("dissect");
    let mut framed = 0;
    for protocol in REGISTRY {
        let info = protocol.info();
        let Some((carrier, port)) = info.carriers.iter().find_map(|(carrier, ports)| Some((*carrier, *ports.first()?)))
        else {
            continue;
        };
        let transport = if carrier == Carrier::Tcp { Transport::Tcp } else { Transport::Udp };
        if !headers.iter().any(|h| h.transport == transport && h.ports.contains(&port)) {
            continue;
        }
        let payloads = conversation(&headers, transport, port);
        let read = || {
            let (mut session, mut out) = (protocol.session(&dissectors::Limits::default()), Operations::default());
            for (from_client, bytes) in &payloads {
                let direction = if *from_client { Direction::ToServer } else { Direction::ToClient };
                session.pdu(Pdu { bytes, direction, carrier, cut: 0 }, &mut out);
            }
            out.0
        };
        let operations = read();
        assert!(operations > 0, "{}: {} payloads and no operation", info.name, payloads.len());
        group.throughput(Throughput::Elements(payloads.len() as u64));
        group.bench_function(info.name, |b| b.iter(|| assert_eq!(read(), operations)));
        if carrier == Carrier::Tcp {
            let stream: Vec<&[u8]> = payloads.iter().filter(|(from_client, _)| *from_client).map(|(_, p)| *p).collect();
            let cut = || {
                let (mut framer, mut pdus) = (Framer::default(), 0);
                for segment in &stream {
                    framer.bytes(*protocol, segment, 0, &mut |_, _| pdus += 1);
                }
                pdus
            };
            let pdus: usize = cut();
            if pdus == 0 {
                continue; // Another framing speaks on its port.
            }
            framed += 1;
            group.throughput(Throughput::Elements(stream.len() as u64));
            group.bench_function(format!("{}, cut into PDUs", info.name), |b| b.iter(|| assert_eq!(cut(), pdus)));
        }
    }
    assert!(framed >= 3, "{framed} protocols were cut into PDUs");
    group.finish();
}

fn ledger(c: &mut Criterion) {
    const HOSTS: u32 = 1000;
    let facts: Vec<(Subject, Fact)> = (0..10 * HOSTS)
        .map(|number| {
            let [.., a, b] = (number % HOSTS).to_be_bytes();
            let host = Host { realm: Default::default(), address: Address::v4([10, 0, a, b]) };
            let at = Evidence::new(Timestamp::from_nanos(0), 0, number.into());
            let (attribute, method) = (dissectors::attribute::FIRMWARE, dissectors::Method::SelfReport);
            let key = FactKey { attribute, value: (number % 7).to_string().into(), protocol: "modbus", method };
            let support = Support { count: 1, first: at, last: at, weight: 95, basis: "" };
            (Subject { host, component: None }, Fact { key, support })
        })
        .collect();
    let mut group = c.benchmark_group("ledger");
    group.throughput(Throughput::Elements(facts.len() as u64));
    group.bench_function("apply", |b| {
        b.iter_batched(
            || facts.clone(),
            |facts| {
                let mut ledger = Ledger::default();
                facts.into_iter().for_each(|(subject, fact)| ledger.apply(subject, fact));
                assert_eq!(ledger.iter().count() as u32, HOSTS);
                ledger
            },
            BatchSize::LargeInput,
        )
    });
    group.finish();
}

fn snapshot(c: &mut Criterion) {
    let policy = Arc::new(Policy::parse("plant.toml", POLICY).expect("the fixture's policy loads"));
    let mut group = c.benchmark_group("snapshot");
    for (name, policy) in [("no policy", None), ("judged", Some(policy))] {
        let mut captures = captures();
        let options = Options { workers: 1, policy, ..Options::default() };
        let analysis = analysis::run(&mut captures, |captures, batch| captures.fill(batch), &options);
        let summaries = captures.summaries();
        let view = analysis.view(&summaries, &[]);
        let want = (view.assets.len(), view.flows.len(), view.findings.len());
        assert!(want.0 > 0 && want.1 > 0);
        group.bench_function(format!("view, {name}"), |b| {
            b.iter(|| {
                let view = analysis.view(&summaries, &[]);
                assert_eq!((view.assets.len(), view.flows.len(), view.findings.len()), want);
                view
            })
        });
        group.bench_function(format!("frames to view, {name}"), |b| {
            b.iter(|| {
                let mut captures = self::captures();
                let analysis = analysis::run(&mut captures, |captures, batch| captures.fill(batch), &options);
                let view = analysis.view(&captures.summaries(), &[]);
                assert_eq!((view.assets.len(), view.flows.len(), view.findings.len()), want);
                view
            })
        });
    }
    group.finish();
}

criterion_group!(benches, front, dissect, ledger, snapshot);
criterion_main!(benches);
