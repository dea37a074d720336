//! Whole pipeline over the small plant: decode, streams, dissection, ledger and judgement. A bench checks its answer:
//! fast and wrong is not fast.
#![allow(missing_docs)]

use std::hint::black_box;
use std::sync::Arc;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use zonewatch::config::Limits;
use zonewatch::pipeline;
use zonewatch::policy::Policy;
use zonewatch::source::Batch;
use zonewatch::source::set::Captures;

const CAPTURE: &[u8] = include_bytes!("../fixtures/plant/capture.pcap");
const POLICY: &str = include_str!("../fixtures/plant/plant.toml");

fn plant() -> Batch {
    let mut captures = Captures::stream("plant.pcap", Box::new(CAPTURE)).expect("the fixture is a capture");
    let (mut all, mut batch) = (Batch::default(), Batch::default());
    while captures.fill(&mut batch) {
        let offset = u32::try_from(all.bytes.len()).expect("a small capture");
        all.bytes.extend_from_slice(&batch.bytes);
        all.frames.extend(batch.frames.iter().map(|f| zonewatch::source::FrameRef { offset: f.offset + offset, ..*f }));
    }
    all
}

fn pipeline(c: &mut Criterion) {
    let batch = plant();
    let policy = Arc::new(Policy::parse("plant.toml", POLICY).expect("the fixture's policy loads"));
    let mut group = c.benchmark_group("pipeline");
    group.throughput(Throughput::Elements(batch.frames.len() as u64));
    for (name, policy) in [("plant, one worker, no policy", None), ("plant, one worker, judged", Some(&policy))] {
        group.bench_function(name, |b| {
            b.iter_batched(
                || Some(Batch { bytes: batch.bytes.clone(), frames: batch.frames.clone() }),
                |mut once| {
                    let mut fill = |into: &mut Batch| once.take().map(|batch| *into = batch).is_some();
                    let observed = pipeline::run(&mut fill, 1, &Limits::default(), policy, &Default::default());
                    assert_eq!(observed.coverage.frames, 6135);
                    let operations: u64 = observed.flows.iter().map(|flow| flow.book.requests()).sum();
                    assert_eq!(operations, OPERATIONS);
                    black_box(observed)
                },
                BatchSize::LargeInput,
            )
        });
    }
    group.finish();
}

/// Requests and cyclic messages in the small plant, as `zonewatch demo --format json` sums them.
const OPERATIONS: u64 = 2801;

criterion_group!(benches, pipeline);
criterion_main!(benches);
