//! One budget of memory: a flood of random addresses evicts itself, the plant inside it stays, and what was evicted is
//! counted. The flood is as large as `$ZONEWATCH_FLOOD` says, in frames; that of an hour's attack:
//!
//!     ZONEWATCH_FLOOD=5000000 ZONEWATCH_MEMORY=256MiB cargo test --release --test budget -- --nocapture
#![allow(clippy::print_stderr)] // A test that skips says so, and the figures are for people.

#[cfg(all(feature = "live", feature = "sensor"))]
#[path = "support/cable.rs"]
mod cable;
mod support;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::process::{Child, Stdio};
use std::thread;
use std::time::Duration;

use serde_json::Value;
use support::plant;

fn setting(name: &str, usual: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| usual.to_owned())
}

/// Frames of the flood.
fn flood() -> u64 {
    setting("ZONEWATCH_FLOOD", "60000").parse().unwrap()
}

fn memory() -> String {
    setting("ZONEWATCH_MEMORY", "96MiB")
}

/// SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }
}

/// A frame between addresses that nobody has: mostly a SYN or a datagram, some with a request of Modbus in it, some a claim
/// of an address by ARP.
fn noise(random: &mut Random) -> Vec<u8> {
    let (x, y) = (random.next().to_be_bytes(), random.next().to_be_bytes());
    let mut frame = vec![0, 0x1d, 0x9c, 1, y[0], y[1], 2, x[0], x[1], x[2], x[3], x[4]];
    let (src, dst) = ([11, x[5], x[6], x[7]], [10, 10, y[0], y[1]]);
    let (kind, ports) = (y[7] % 32, [y[2] | 4, y[3], y[4], y[5]]);
    if kind == 0 {
        frame.extend([8, 6, 0, 1, 8, 0, 6, 4, 0, 1, 2, x[0], x[1], x[2], x[3], x[4]]);
        frame.extend(src.into_iter().chain([0; 6]).chain(src));
        return frame;
    }
    let request = [0, 7, 0, 0, 0, 6, 1, 3, 0, 0, 0, 10];
    let (protocol, payload): (u8, &[u8]) = match kind {
        1..=19 => (6, &[]),
        20..=22 => (6, &request),
        _ => (17, &[0; 18]),
    };
    let total = 20 + if protocol == 6 { 20 } else { 8 } + payload.len() as u16;
    frame.extend([8, 0, 0x45, 0]);
    frame.extend(total.to_be_bytes());
    frame.extend([x[0], x[1], 0x40, 0, 61, protocol, 0, 0]);
    frame.extend(src.into_iter().chain(dst));
    if protocol == 17 {
        frame.extend(ports);
        frame.extend((8 + payload.len() as u16).to_be_bytes().into_iter().chain([0, 0]));
    } else {
        frame.extend([ports[0], ports[1]]);
        frame.extend(if payload.is_empty() { [ports[2], ports[3]] } else { 502u16.to_be_bytes() });
        frame.extend([x[0], x[1], x[2], x[3], y[0], y[1], y[2], y[3], 0x50]);
        frame.extend([if payload.is_empty() { 2 } else { 0x18 }, 0x20, 0, 0, 0, 0, 0]);
    }
    frame.extend(payload);
    frame
}

/// The plant's capture with so many frames of noise between its own.
fn drown(plant: &Path, noisy: u64, into: &Path) -> u64 {
    let bytes = std::fs::read(plant).unwrap();
    let word = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
    let mut records = Vec::new();
    let mut at = 24;
    while at < bytes.len() {
        let len = 16 + word(at + 8) as usize;
        records.push((u64::from(word(at)) * 1_000_000 + u64::from(word(at + 4)), &bytes[at..at + len]));
        at += len;
    }
    let (mut random, mut file) = (Random(1), BufWriter::new(File::create(into).unwrap()));
    file.write_all(&bytes[..24]).unwrap();
    let (first, last) = (records[0].0, records[records.len() - 1].0);
    let mut made = 0;
    for (at, record) in &records {
        // As much of the noise as of the time has passed.
        while made < noisy && made * (last - first) <= noisy * (at - first) {
            let (frame, at) = (noise(&mut random), first + made * (last - first) / noisy);
            for number in [at / 1_000_000, at % 1_000_000, frame.len() as u64, frame.len() as u64] {
                file.write_all(&(number as u32).to_le_bytes()).unwrap();
            }
            file.write_all(&frame).unwrap();
            made += 1;
        }
        file.write_all(record).unwrap();
    }
    file.flush().unwrap();
    made + records.len() as u64
}

/// Bytes that a budget as it is written stands for.
fn bytes(memory: &str) -> u64 {
    memory.parse::<zonewatch::config::Size>().unwrap().0
}

/// The most memory that a process ever had, in bytes; `None` when it has ended.
fn peak(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(1024 * line.trim().trim_end_matches(" kB").parse::<u64>().ok()?)
}

/// Waits for a process, and says the most memory that it had.
fn peak_of(child: &mut Child) -> u64 {
    let mut most = 0;
    while child.try_wait().unwrap().is_none() {
        most = most.max(peak(child.id()).unwrap_or(0));
        thread::sleep(Duration::from_millis(5));
    }
    most
}

/// The flows that somebody answered, by id: with their protocol and what was asked.
fn answered(analysis: &Value) -> BTreeMap<String, String> {
    let flows = analysis["flows"].as_array().unwrap().iter();
    let flows = flows.filter(|flow| flow["frames_to_server"] != 0 && flow["frames_to_client"] != 0);
    let line = |flow: &Value| {
        let operations = flow["operations"].as_array().unwrap().iter();
        let codes: Vec<_> = operations.map(|o| format!("{} {} {}", o["class"], o["code"], o["objects"])).collect();
        format!("{} {}", flow["protocol"], codes.join(", "))
    };
    flows.map(|flow| (flow["id"].as_str().unwrap().to_owned(), line(flow))).collect()
}

/// What must hold after the flood, whoever looked at it.
fn check(who: &str, analysis: &Value, frames: u64, peak: u64) {
    let (capture, policy) = plant();
    let words = ["analyze", "--quiet", "--format", "json", "--policy", &policy, capture.to_str().unwrap()];
    let alone = support::run(words);
    let coverage = &analysis["coverage"];
    assert_eq!(coverage["frames"], frames, "{who}: every frame is counted");
    let (wanted, found) = (answered(&alone.json()), answered(analysis));
    assert!(wanted.len() > 40, "the plant is there: {}", wanted.len());
    let lost: Vec<_> = wanted.iter().filter(|(id, line)| found.get(*id) != Some(line)).collect();
    assert!(lost.is_empty(), "{who}: flows of the plant that are gone: {lost:#?}");
    for limit in ["connections", "flows"] {
        assert!(coverage["limits_hit"][limit].as_u64() > Some(0), "{who}: {limit} in {}", coverage["limits_hit"]);
    }
    let (memory, assets) = (memory(), analysis["assets"].as_array().unwrap().len());
    eprintln!("{who}: {} MiB of {memory}; {assets} assets; {}", peak >> 20, coverage["limits_hit"]);
    assert!(peak <= bytes(&memory), "{who}: {} MiB of {memory}", peak >> 20);
}

#[test]
fn an_analysis_stays_within_its_budget() {
    let ((capture, policy), folder) = (plant(), tempfile::tempdir().unwrap());
    let flooded = folder.path().join("flood.pcap");
    let frames = drown(&capture, flood(), &flooded);
    let out = File::create(folder.path().join("out.json")).unwrap();
    let words =
        ["analyze", "--quiet", "--format", "json", "--workers", "1", "--memory", &memory(), "--policy", &policy];
    let mut child = support::zonewatch().args(words).arg(&flooded).stdout(Stdio::from(out)).spawn().unwrap();
    let peak = peak_of(&mut child);
    let analysis = serde_json::from_slice(&std::fs::read(folder.path().join("out.json")).unwrap()).unwrap();
    check("analyze", &analysis, frames, peak);
}

#[cfg(all(feature = "live", feature = "sensor"))]
#[test]
fn a_sensor_stays_within_its_budget() {
    let Some(cable) = cable::Cable::lay("flood") else { return };
    let ((capture, policy), folder) = (plant(), tempfile::tempdir().unwrap());
    let flooded = folder.path().join("flood.pcap");
    let frames = drown(&capture, flood(), &flooded);
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let config = format!(
        "memory = \"{}\"\nflush = \"2s\"\npolicy = [\"{policy}\"]\n[store]\npath = \"{}\"\n[http]\nlisten = []\n",
        memory(),
        path("z.db")
    );
    std::fs::write(path("z.toml"), config).unwrap();
    let sensor = cable.watch(&["--config", &path("z.toml"), "--out", &path("out")]);
    cable.replay(&flooded, &setting("ZONEWATCH_PPS", "4000"));
    // Two flushes, so that all of it was merged, told and written.
    thread::sleep(Duration::from_secs(5));
    let peak = sensor.pids().into_iter().filter_map(peak).max().unwrap();
    sensor.stop();
    let analysis = serde_json::from_slice(&std::fs::read(folder.path().join("out/analysis.json")).unwrap()).unwrap();
    check("watch", &analysis, frames, peak);
}
