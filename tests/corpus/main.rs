//! What the binary finds in real captures, against what another dissector counted in them.
//!
//! The corpus does not belong to the repository: without it these tests skip, and say so. One test a question, and each
//! capture is analysed once. Differences with a reason stand in `tests/differences/corpus.tsv`.

#![allow(clippy::print_stderr)] // A test that skips says so.

#[path = "../support/mod.rs"]
mod support;

mod analysis;
mod conversations;
mod differences;
mod identities;
mod loss;
mod operations;
mod pcap;
mod truth;

use std::path::Path;

use analysis::{analyses, outcomes};
use differences::Differences;
use support::for_each;
use truth::{Truth, captures, corpus};

#[test]
fn every_capture_is_read_to_its_end() {
    let Some(corpus) = corpus() else { return };
    let mut differences = Differences::of("exit");
    for (name, outcome) in outcomes(corpus) {
        differences.compare(name, "exit code", format!("{:?}", outcome.code), format!("{:?}", Some(0)));
        differences.compare(name, "panic", outcome.stderr.contains("panicked"), false);
        if let Some(analysis) = &outcome.analysis {
            differences.compare(name, "dissector failures", analysis.coverage.dissector_failures, 0);
        }
    }
    differences.judge();
}

#[test]
fn every_frame_is_accounted_for() {
    let Some(corpus) = corpus() else { return };
    let mut differences = Differences::of("frames");
    for (name, analysis) in analyses(corpus) {
        let coverage = &analysis.coverage;
        let not_decoded: u64 = coverage.not_decoded.values().sum();
        differences.compare(name, "decoded and not", coverage.decoded + not_decoded, coverage.frames);
        let in_flows: u64 = analysis.flows.iter().map(|flow| flow.counts()[0] + flow.counts()[2]).sum();
        differences.compare(name, "frames of flows", in_flows + coverage.frames_of_no_flow, coverage.decoded);
        if let Some(truth) = Truth::of(corpus, name) {
            let theirs: u64 = truth.counts("frames", "total").map(|row| row.count).sum();
            differences.compare(name, "frames", coverage.frames, theirs);
        }
    }
    differences.judge();
}

#[test]
fn conversations_are_those_of_the_wire() {
    let Some(corpus) = corpus() else { return };
    let mut differences = Differences::of("conversations");
    for (name, analysis) in analyses(corpus) {
        if let Some(truth) = Truth::of(corpus, name) {
            conversations::compare(name, analysis, &truth, &mut differences);
        }
    }
    differences.judge();
}

#[test]
fn modbus_operations() {
    operations("modbus", |name, ours, theirs, _, out| operations::modbus(name, ours, theirs, out));
}

#[test]
fn enip_operations() {
    operations("enip", |name, ours, theirs, _, out| operations::enip(name, ours, theirs, out));
}

#[test]
fn opcua_operations() {
    operations("opcua", operations::opcua);
}

type CompareOperations = fn(&str, &analysis::Analysis, &Truth, &Path, &mut Differences);

fn operations(check: &'static str, compare: CompareOperations) {
    let Some(corpus) = corpus() else { return };
    let mut differences = Differences::of(check);
    for (name, analysis) in analyses(corpus) {
        if let Some(truth) = Truth::of(corpus, name) {
            compare(name, analysis, &truth, corpus, &mut differences);
        }
    }
    differences.judge();
}

#[test]
fn identities_are_on_their_assets() {
    let Some(corpus) = corpus() else { return };
    let mut differences = Differences::of("identities");
    identities::compare(corpus, outcomes(corpus), &mut differences);
    differences.judge();
}

/// Captures of one folder that are read together.
const FEW: usize = 8;

/// Bytes from which a capture is large enough that workers have something to share.
const LARGE: u64 = 250_000;

#[test]
fn workers_do_not_show() {
    let Some(corpus) = corpus() else { return };
    let large = sized(corpus, LARGE..);
    let differ = for_each(&large, |name| {
        let path = corpus.join("captures").join(name);
        let [one, two] = ["1", "2"].map(|n| analysis::analyze(&path, &["--workers", n]));
        (one.stdout.is_empty() || one.stdout != two.stdout).then(|| name.clone())
    });
    let differ: Vec<_> = differ.into_iter().flatten().collect();
    assert!(!large.is_empty() && differ.is_empty(), "the number of workers shows: {differ:#?}");
}

#[test]
fn the_order_of_files_does_not_show() {
    let Some(corpus) = corpus() else { return };
    let mut by_folder = std::collections::BTreeMap::<String, Vec<String>>::new();
    for name in sized(corpus, ..LARGE) {
        if outcomes(corpus).get(&name).is_some_and(|outcome| outcome.code == Some(0)) {
            by_folder.entry(name.split('/').next().unwrap().to_owned()).or_default().push(name);
        }
    }
    let groups: Vec<_> = by_folder.into_values().filter(|group| group.len() > 1).collect();
    let differ = for_each(&groups, |group| {
        let run = |names: &mut dyn Iterator<Item = &String>| {
            let paths = names.take(FEW).map(|name| corpus.join("captures").join(name).into_os_string());
            let args = ["analyze", "--quiet", "--format", "json"].map(Into::into).into_iter();
            support::run(args.chain(paths)).stdout
        };
        let mut few: Vec<_> = group.iter().take(FEW).cloned().collect();
        let forward = run(&mut few.iter());
        few.reverse();
        (forward.is_empty() || forward != run(&mut few.iter())).then(|| group.first().cloned())
    });
    let differ: Vec<_> = differ.into_iter().flatten().collect();
    assert!(differ.is_empty(), "the order of files shows in the folders of {differ:#?}");
}

/// Captures of a size in bytes.
fn sized(corpus: &Path, size: impl std::ops::RangeBounds<u64>) -> Vec<String> {
    let bytes = |name: &String| corpus.join("captures").join(name).metadata().unwrap().len();
    captures(corpus).into_iter().filter(|name| size.contains(&bytes(name))).collect()
}

#[test]
fn joining_late_costs_what_was_missed() {
    let Some(corpus) = corpus() else { return };
    loss::check(corpus, "first half cut off", loss::Loss::FirstHalf);
}

#[test]
fn lost_frames_cost_what_they_carried() {
    let Some(corpus) = corpus() else { return };
    loss::check(corpus, "one frame in a hundred dropped", loss::Loss::OneInAHundred);
}
