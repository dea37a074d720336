//! Real captures, read and decoded, against what another dissector says of them.
//!
//! Needs the corpus of captures that stands beside the work tree, or where `ZONEWATCH_SHARED` says; without it the test
//! says so and passes. Every file that differs is listed with the reason in `differences/decode.tsv`, and every listed
//! file differs.

#![allow(clippy::print_stderr)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use zonewatch::decode::fragments::{FragmentLimits, Fragments};
use zonewatch::decode::{Packet, Upper, decode};
use zonewatch::source::Batch;
use zonewatch::source::file::CaptureFile;

/// Frames and bytes by flow.
type Flows = BTreeMap<[String; 4], (u64, u64)>;

fn corpus() -> Option<PathBuf> {
    let shared = std::env::var_os("ZONEWATCH_SHARED")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared"), PathBuf::from);
    Some(shared.join("corpus")).filter(|corpus| corpus.is_dir())
}

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if entry.is_dir() { files(&entry, found) } else { found.push(entry) }
    }
}

/// The key that the truth has for a packet: source, destination, port, protocol. What it cannot tell apart as we do is
/// made alike on both sides: see `alike`.
fn key(packet: &Packet<'_>) -> [String; 4] {
    let (src, dst) = (packet.src.to_string(), packet.dst.to_string());
    let tagged = !packet.vlans.as_slice().is_empty();
    let (port, protocol) = match packet.upper {
        _ if packet.ip.is_some() && packet.tunnels.iter().any(|tunnel| tunnel.src.is_some()) => {
            ("".into(), "tun/".into())
        }
        Upper::Tcp(tcp) => (tcp.dst_port.to_string(), "tcp".into()),
        Upper::Udp { dst_port, .. } => (dst_port.to_string(), "udp".into()),
        // Errors quote the packet that they are about.
        Upper::Icmp { kind: 3 | 4 | 5 | 11 | 12, v6: false, .. } => ("".into(), "icmp".into()),
        Upper::Icmp { kind: 1..=4, v6: true, .. } => ("".into(), "icmp".into()),
        Upper::Icmp { v6, .. } => ("".into(), if v6 { "ipproto58" } else { "ipproto1" }.into()),
        Upper::Ip(number) => ("".into(), format!("ipproto{number}")),
        _ if tagged => ("0x8100".into(), "l2".into()),
        Upper::Arp(_) => ("0x0806".into(), "l2".into()),
        Upper::Ethertype(ethertype) => (format!("{ethertype:#06x}"), "l2".into()),
        Upper::Llc(dsap) => (format!("llc:{dsap:#04x}"), "l2".into()),
    };
    alike([src, dst, port, protocol])
}

fn alike([src, dst, port, protocol]: [String; 4]) -> [String; 4] {
    if src.is_empty() || protocol.is_empty() {
        return Default::default(); // A frame without hosts.
    }
    let address =
        |text: String| text.parse::<zonewatch::address::Address>().map_or(text, |address| address.to_string());
    let v6 = src.contains(':');
    let (port, protocol) = match (port.as_str(), protocol.as_str()) {
        // The truth has the first of several ports.
        (_, tunnelled) if tunnelled.starts_with("tun/") => ("", "tun/"),
        // The truth has ports here.
        (_, "sctp") => ("", "ipproto132"),
        // The truth has the number of the first extension header.
        (_, ip) if v6 && ip.starts_with("ipproto") => ("", "ipproto"),
        // The truth has the outermost type.
        ("0x88a8" | "0x9100", "l2") => ("0x8100", "l2"),
        other => other,
    };
    [address(src), address(dst), port.into(), protocol.into()]
}

fn add(flows: &mut Flows, key: [String; 4], frames: u64, bytes: u64) {
    let flow = flows.entry(key).or_default();
    *flow = (flow.0 + frames, flow.1 + bytes);
}

struct Read {
    frames: u64,
    flows: Flows,
    undecoded: BTreeMap<&'static str, u64>,
    damage: Option<String>,
}

fn read(path: &Path) -> Result<Read, String> {
    let mut capture = CaptureFile::open(path).map_err(|error| error.to_string())?;
    let mut read = Read { frames: 0, flows: Flows::new(), undecoded: BTreeMap::new(), damage: None };
    let mut fragments = Fragments::new(FragmentLimits::default());
    let mut batch = Batch::default();
    while capture.fill(&mut batch) {
        for frame in batch.frames() {
            read.frames += 1;
            assert_eq!(frame.number, read.frames, "{}", path.display());
            let packet = match decode(&frame) {
                Ok(packet) => packet,
                Err(why) => {
                    *read.undecoded.entry(why.reason()).or_default() += 1;
                    add(&mut read.flows, Default::default(), 1, frame.wire_len.into());
                    continue;
                }
            };
            let mut key_of_flow = key(&packet);
            // A datagram in a datagram may be in fragments again.
            let mut whole = fragments.push(frame.at, &packet);
            while let Some(datagram) = whole {
                key_of_flow = key(&datagram.packet());
                whole = fragments.push(frame.at, &datagram.packet());
            }
            add(&mut read.flows, key_of_flow, 1, frame.wire_len.into());
        }
    }
    let summary = capture.summary();
    assert_eq!(summary.frames, read.frames, "{}", path.display());
    read.damage = summary.damage.map(|damage| damage.to_string());
    Ok(read)
}

fn table(path: &Path) -> Vec<Vec<String>> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.lines().skip(1).map(|line| line.split('\t').map(str::to_owned).collect()).collect()
}

/// In what a capture differs from the truth about it: `open`, `frames`, `flows`, each with details.
fn differences(read: &Result<Read, String>, truth: &Path, name: &str) -> Vec<(&'static str, String)> {
    let read = match read {
        Ok(read) => read,
        Err(why) => return vec![("open", why.clone())],
    };
    let mut found = Vec::new();
    let operations = table(&truth.join(format!("{name}.ops.tsv")));
    if operations.is_empty() {
        return found; // There is none.
    }
    let total: u64 = operations.iter().find(|row| row[0] == "frames" && row[1] == "total").unwrap()[5].parse().unwrap();
    if total != read.frames {
        found.push(("frames", format!("{total} in the truth, {} read, {:?}", read.frames, read.damage)));
    }
    let mut want = Flows::new();
    for row in table(&truth.join(format!("{name}.flows.tsv"))) {
        let [src, dst, port, protocol, frames, bytes, ..] = &row[..] else { panic!("{name}: {row:?}") };
        let key = alike([src, dst, port, protocol].map(Clone::clone));
        add(&mut want, key, frames.parse().unwrap(), bytes.parse().unwrap());
    }
    if want != read.flows {
        let only = |a: &Flows, b: &Flows, sign: &str| -> String {
            let rows = a.iter().filter(|(key, flow)| b.get(*key) != Some(flow));
            rows.take(12).map(|(key, flow)| format!("\n      {sign} {} {flow:?}", key.join(" "))).collect()
        };
        let undecoded = if read.undecoded.is_empty() { String::new() } else { format!("{:?}", read.undecoded) };
        found.push(("flows", undecoded + &only(&want, &read.flows, "-") + &only(&read.flows, &want, "+")));
    }
    found
}

#[test]
fn captures_decode_as_the_truth_says() {
    let Some(corpus) = corpus() else {
        eprintln!("SKIPPED: no corpus of captures beside the work tree, and no ZONEWATCH_SHARED");
        return;
    };
    let truth = std::env::var_os("ZONEWATCH_TRUTH").map_or_else(|| corpus.join("truth"), PathBuf::from);
    let known: BTreeSet<(String, String)> =
        table(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/differences/decode.tsv"))
            .into_iter()
            .map(|row| (row[0].clone(), row[1].clone()))
            .collect();
    let mut paths = Vec::new();
    files(&corpus.join("captures"), &mut paths);
    paths.sort();
    let (mut seen, mut compared, mut new) = (BTreeSet::new(), 0, String::new());
    for path in &paths {
        let name = path.strip_prefix(corpus.join("captures")).unwrap().to_string_lossy().replace('/', "__");
        compared += u32::from(truth.join(format!("{name}.flows.tsv")).is_file());
        for (what, details) in differences(&read(path), &truth, &name) {
            let difference = (name.clone(), what.to_owned());
            if !known.contains(&difference) {
                new += &format!("{name}\t{what}\t{details}\n");
            }
            seen.insert(difference);
        }
    }
    let gone: Vec<_> = known.difference(&seen).collect();
    eprintln!("{} captures, {compared} of them with truth, {} known differences", paths.len(), known.len());
    assert!(new.is_empty(), "captures that differ and are not listed:\n{new}");
    assert!(gone.is_empty(), "listed captures that do not differ: {gone:#?}");
}
