//! Looking ahead does not show: frames that come one at a time, so that nothing is looked up before its turn, tell the same
//! as frames that come as they are read, whatever has to make room for them in between.

#![allow(clippy::print_stderr)] // A test that skips says so.

#[path = "corpus/truth.rs"]
#[allow(dead_code)] // Of the corpus only where it is.
mod truth;

#[path = "support/packets.rs"]
#[allow(dead_code)] // Of the packets that it can make, few.
mod packets;
mod support;

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use packets::{Tape, ethernet, ip, udp};
use support::{for_each, plant};
use zonewatch::analysis::{self, Options};
use zonewatch::config::Limits;
use zonewatch::flow::table::FlowLimits;
use zonewatch::policy::Policy;
use zonewatch::source::set::Captures;
use zonewatch::source::{Batch, FrameRef};

/// How many frames come at once.
#[derive(Clone, Copy, Debug)]
enum Pace {
    /// As they are read: a block of the file.
    Blocks,
    /// Up to so many.
    Some(usize),
}

/// Tables so small that nearly all that a capture shows has to make room for what comes next.
fn crowded() -> Limits {
    let flows = FlowLimits { flows: 64, glimpses: 32, per_pair: 2 };
    Limits { connections: 1, links: 16, meters: 16, timings: 4, flows, ..Limits::default() }
}

/// Connections for which a [`crowded`] shard has no room.
const ROOM: u32 = 17;

/// All that is told of a capture.
fn told(capture: &Path, policy: Option<&Arc<Policy>>, limits: Limits, workers: usize, pace: Pace) -> String {
    let (mut captures, unreadable) = Captures::open(&[capture.to_owned()]);
    if !unreadable.is_empty() {
        return String::new();
    }
    let (mut block, mut waiting) = (Batch::default(), VecDeque::new());
    let fill = |captures: &mut Captures, batch: &mut Batch| {
        let Pace::Some(most) = pace else { return captures.fill(batch) };
        while waiting.is_empty() {
            if !captures.fill(&mut block) {
                return false;
            }
            waiting.extend(block.frames.iter().copied());
        }
        batch.clear();
        for frame in waiting.drain(..most.min(waiting.len())) {
            let bytes = block.frame(&frame).unwrap().bytes;
            batch.frames.push(FrameRef { offset: batch.bytes.len() as u32, ..frame });
            batch.bytes.extend_from_slice(bytes);
        }
        true
    };
    let options = Options { workers, policy: policy.cloned(), limits, ..Options::default() };
    let analysis = analysis::run(&mut captures, fill, &options);
    serde_json::to_string(&analysis.view(&captures.summaries(), &[])).unwrap()
}

/// Those captures of which something else is told at another pace.
fn differ(captures: &[PathBuf], policy: Option<&Arc<Policy>>) -> Vec<String> {
    let differ = for_each(captures, |capture| {
        let mut wrong = Vec::new();
        for (tables, limits) in [("roomy", Limits::default()), ("crowded", crowded())] {
            let slow = told(capture, policy, limits, 1, Pace::Some(1));
            for (workers, pace) in [(1, Pace::Blocks), (1, Pace::Some(7)), (3, Pace::Blocks)] {
                if told(capture, policy, limits, workers, pace) != slow {
                    wrong.push(format!("{}: {tables} tables, {workers} workers, {pace:?}", capture.display()));
                }
            }
        }
        wrong
    });
    differ.into_iter().flatten().collect()
}

#[test]
fn a_flood_around_the_plant() {
    // After each frame of the plant come one of a connection that nobody saw before, and one of some between two hosts that are
    // one more than have room, so that each goes just before it is wanted.
    let (capture, policy) = plant();
    let policy = Arc::new(Policy::load(&[policy.into()]).unwrap());
    let (mut captures, _) = Captures::open(&[capture]);
    let (mut batch, mut tape, mut turn) = (Batch::default(), Tape::default(), 0_u32);
    while captures.fill(&mut batch) {
        for frame in batch.frames() {
            turn += 1;
            let at = (frame.at.nanos() / 1000) as u64;
            tape.put(at, frame.bytes.to_vec());
            let other = 0x0A80_0000 | turn.wrapping_mul(2_654_435_761) >> 12;
            for (host, port) in [(other, turn as u16), (0x0A70_0001, 1000 + (turn % ROOM) as u16)] {
                let ends = [host, 0x0A00_0001].map(|address| std::net::Ipv4Addr::from(address).into());
                let (ethertype, packet) =
                    ip(ends[0], ends[1], 17, turn as u16, 64, &udp([port, 44_818], b"what is this"));
                tape.put(at, ethernet(ethertype, &packet));
            }
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let flooded = folder.path().join("flooded.pcap");
    std::fs::write(&flooded, tape.pcap()).unwrap();
    let told = told(&flooded, Some(&policy), crowded(), 1, Pace::Blocks);
    let told: serde_json::Value = serde_json::from_str(&told).unwrap();
    let limits = &told["coverage"]["limits_hit"];
    assert!(limits["connections"].as_u64() > Some(100) && limits["flows"].as_u64() > Some(100), "{limits}");
    for policy in [None, Some(&policy)] {
        assert_eq!(differ(std::slice::from_ref(&flooded), policy), [""; 0]);
    }
}

#[test]
fn every_capture_of_the_corpus() {
    let Some(corpus) = truth::corpus() else { return };
    let captures: Vec<_> = truth::captures(corpus).iter().map(|name| corpus.join("captures").join(name)).collect();
    assert_eq!(differ(&captures, None), [""; 0]);
}
