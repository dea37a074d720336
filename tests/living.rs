//! Where a sensor's flushes fall does not show: what it adds up from them is what `analyze` says of the same frames.

#![cfg(feature = "sensor")]
#![allow(clippy::print_stderr)] // A test that skips says so.

#[path = "corpus/truth.rs"]
#[allow(dead_code)] // Of the corpus only where it is.
mod truth;

mod support;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use support::{for_each, plant, root};
use zonewatch::analysis::{self, Options};
use zonewatch::config::Limits;
use zonewatch::pipeline;
use zonewatch::policy::Policy;
use zonewatch::sensor::world::World;
use zonewatch::source::Batch;
use zonewatch::source::set::Captures;
use zonewatch::time::Timestamp;
use zonewatch::worker::{SHARDS, Shard};

/// Flushes of one capture at most: each concludes anew.
const FLUSHES: u64 = 60;

/// Captures of which a sensor still tells something otherwise, and what.
const OTHERWISE: &[(&str, &str)] = &[
    // A conversation that says nothing for a minute is judged by what it showed until then.
    ("pcaps__IEC61850__m-send-req.mms.pcap", "class of a finding"),
    ("tests__bug-1450-04__tls_DER-incomplete-header.pcap", "class of a finding"),
    ("tests__bug-1450-05__tls_DER-incomplete-content.pcap", "class of a finding"),
    ("pcapgo__tests__be__test102.pcapng", "a qualifier: the frame that was cut came later"),
    ("pcapgo__tests__le__test102.pcapng", "a qualifier: the frame that was cut came later"),
    ("Tests__Packet++Test__PacketExamples__ldap.pcapng", "bytes not captured of segments out of order"),
    // Packet times that go back: what was first depends on when it is asked.
    ("stream/clock-backwards/capture.pcap", "first time of a finding"),
    ("EnergyDataset__raw__C-0.1-0.pcap", "the fifth frame of a finding"),
    ("EnergyDataset__raw__S-0.1-0.pcap", "the fifth frame of a finding"),
    // Noted with each new way of frames, and a flush begins with none.
    ("testing__btest__Traces__tunnels__geneve-47101.pcap", "how often a tunnel showed its end"),
    // Findings of several conversations.
    ("Tests__Packet++Test__PacketExamples__BgpPackets.pcap", "one of two MAC addresses"),
    (
        "input__maxdiff-fromOrig__raw__binaryprotocols_maxdiff-fromOrig-500-mixed.pcapng",
        "which conversation stands for them",
    ),
];

/// What a sensor tells that is flushed after every so many frames.
fn watched(capture: &Path, policy: &Arc<Policy>, every: u64) -> String {
    let (mut captures, _) = Captures::open(&[capture]);
    let limits = Limits::default();
    let mut shards: Vec<Shard> = (0..SHARDS).map(|_| Shard::new(&limits, Some(Arc::clone(policy)))).collect();
    let mut world = World::new(Options { policy: Some(Arc::clone(policy)), ..Options::default() });
    let (mut batch, mut seen) = (Batch::default(), 0);
    while captures.fill(&mut batch) {
        let mut part = Batch { bytes: batch.bytes.clone(), frames: Vec::new() };
        for frame in &batch.frames {
            part.frames.push(*frame);
            seen += 1;
            if seen % every == 0 {
                pipeline::take(&mut shards, 0, 1, &part);
                part.frames.clear();
                world.merge(shards.iter_mut().map(|shard| shard.drain(frame.at)).collect());
            }
        }
        pipeline::take(&mut shards, 0, 1, &part);
    }
    // What the captures say of themselves, as their interfaces would.
    world.captures = captures.summaries();
    world.merge(shards.iter_mut().map(|shard| shard.drain(Timestamp::MAX)).collect());
    world.merge(shards.into_iter().map(Shard::finish).collect());
    lasting(&world.analysis.view(&captures.summaries(), &[]))
}

/// What `analyze` tells of a capture, and how many frames it has.
fn analyzed(capture: &Path, policy: &Arc<Policy>) -> (String, u64) {
    let (mut captures, _) = Captures::open(&[capture]);
    let options = Options { workers: 1, policy: Some(Arc::clone(policy)), ..Options::default() };
    let analysis = analysis::run(&mut captures, Captures::fill, &options);
    let summaries = captures.summaries();
    let frames = summaries.iter().map(|summary| summary.frames).sum();
    (lasting(&analysis.view(&summaries, &[])), frames)
}

/// What is told, but for the share of conversations that were seen one way, which a sensor tells of lately, and how often a
/// limit was met: who asks more often meets it more often.
fn lasting(view: &impl serde::Serialize) -> String {
    let mut told = serde_json::to_value(view).unwrap();
    for capture in told["captures"].as_array_mut().unwrap() {
        capture["one_way"] = serde_json::Value::Null;
    }
    for count in told["coverage"]["limits_hit"].as_object_mut().unwrap().values_mut() {
        *count = true.into();
    }
    serde_json::to_string_pretty(&told).unwrap()
}

/// Those of which something else is told when they are watched, with the first line that differs.
fn differ(captures: &[PathBuf]) -> Vec<String> {
    let policy = Arc::new(Policy::load(&[plant().1.into()]).unwrap());
    let differ = for_each(captures, |capture| {
        let (whole, frames) = analyzed(capture, &policy);
        let mut wrong = Vec::new();
        for every in [frames / FLUSHES + 1, frames / 7 + 1, frames / 2 + 1] {
            let parts = watched(capture, &policy, every);
            if let Some((want, have)) = whole.lines().zip(parts.lines()).find(|(want, have)| want != have) {
                wrong.push(format!("{}: every {every} frames: {} for {}", capture.display(), have.trim(), want.trim()));
            }
        }
        wrong
    });
    differ.into_iter().flatten().collect()
}

/// Fails when something else is told of a capture that is not known for it, or of none that is.
fn compare(captures: &[PathBuf]) {
    let known = |line: &str| OTHERWISE.iter().any(|(name, _)| line.contains(name));
    let (expected, wrong): (Vec<String>, Vec<String>) = differ(captures).into_iter().partition(|line| known(line));
    assert_eq!(wrong, [""; 0]);
    for (name, what) in OTHERWISE {
        let is_there = captures.iter().any(|capture| capture.to_string_lossy().contains(name));
        let differs = expected.iter().any(|line| line.contains(name));
        assert!(!is_there || differs, "{name}: {what} is told the same by now");
    }
}

#[test]
fn every_fixture() {
    let mut captures = Vec::new();
    for folder in ["plant", "stream", "link", "modbus", "enip", "opcua", "host", "policy", "edge", "real"] {
        let mut folders = vec![root().join("fixtures").join(folder)];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                match path.file_stem().and_then(|stem| stem.to_str()) {
                    _ if path.is_dir() => folders.push(path),
                    Some("capture") => captures.push(path),
                    _ => {}
                }
            }
        }
    }
    captures.sort();
    assert!(captures.len() > 100, "{}", captures.len());
    compare(&captures);
}

#[test]
fn every_capture_of_the_corpus() {
    let Some(corpus) = truth::corpus() else { return };
    let captures: Vec<_> = truth::captures(corpus).iter().map(|name| corpus.join("captures").join(name)).collect();
    compare(&captures);
}
