//! What the fuzzer starts from: the fixtures, in the form of each target.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use dissectors::{Probe, REGISTRY};
use zonewatch::decode::{Upper, decode};
use zonewatch::source::Batch;
use zonewatch::source::set::Captures;

use super::dialogue::{DATAGRAM, Dialogue, TO_CLIENT};
use super::tape::Tape;

/// Larger inputs are slow to run, and say no more.
const LARGEST: usize = 24 << 10;

/// Frames of one piece of a large capture.
const FRAMES: usize = 60;

/// The seeds of a target, from the folder of the fixtures.
///
/// # Errors
/// When a fixture cannot be read.
pub fn of(target: &str, fixtures: &Path) -> io::Result<Vec<Vec<u8>>> {
    let mut files = Vec::new();
    walk(fixtures, &mut files)?;
    files.sort();
    let is_capture = |path: &&PathBuf| path.file_stem().is_some_and(|stem| stem == "capture" || stem == "capture.pcap");
    let captures = || files.iter().filter(is_capture);
    let mut seeds = Vec::new();
    match target {
        "file" => {
            for path in captures() {
                seeds.push(fs::read(path)?);
            }
            seeds.retain(|seed| seed.len() <= LARGEST);
        }
        "policy" => {
            for path in files.iter().filter(|path| path.extension().is_some_and(|it| it == "toml")) {
                seeds.push(fs::read(path)?);
            }
            // The language is taught by example beside them.
            if let Ok(taught) = fs::read_to_string(fixtures.join("../docs/policy.md")) {
                seeds.extend(
                    taught.split("```toml\n").skip(1).filter_map(|rest| Some(rest.split_once("```")?.0.into())),
                );
            }
            seeds.retain(|seed| seed.len() <= LARGEST);
        }
        "traffic" => {
            for path in captures() {
                let Some(tape) = Tape::read(&fs::read(path)?) else { continue };
                for frames in tape.frames.chunks(FRAMES).take(8) {
                    seeds.push(Tape { link: tape.link, frames: frames.to_vec() }.write());
                }
            }
            seeds.retain(|seed| seed.len() <= LARGEST);
        }
        _ => {
            for path in captures() {
                seeds.extend(dialogues(path).iter().map(Dialogue::write));
            }
        }
    }
    Ok(seeds)
}

fn walk(folder: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() { walk(&path, files)? } else { files.push(path) }
    }
    Ok(())
}

/// The conversations of a capture that a protocol's probe takes for its own.
fn dialogues(path: &Path) -> Vec<Dialogue> {
    let (mut captures, _) = Captures::open(&[path]);
    let (mut batch, mut found) = (Batch::default(), BTreeMap::<_, Vec<(u8, Vec<u8>)>>::new());
    while captures.fill(&mut batch) {
        for packet in batch.frames().filter_map(|frame| decode(&frame).ok()) {
            let (from, to, kind) = match packet.upper {
                Upper::Tcp(tcp) => ((packet.src, tcp.src_port), (packet.dst, tcp.dst_port), 0),
                Upper::Udp { src_port, dst_port } => ((packet.src, src_port), (packet.dst, dst_port), DATAGRAM),
                _ => continue,
            };
            if packet.payload.is_empty() {
                continue;
            }
            // The higher port is the client's, as nearly always.
            let (ends, way) = if from.1 >= to.1 { ((from, to), 0) } else { ((to, from), TO_CLIENT) };
            let turns = found.entry(ends).or_default();
            if turns.len() < FRAMES {
                turns.push((kind | way, packet.payload.to_vec()));
            }
        }
    }
    let spoken = |turns: Vec<(u8, Vec<u8>)>| {
        let first = &turns.first()?.1;
        let is = |place: &usize| matches!(REGISTRY[*place].probe(first), Probe::Yes { .. });
        let protocol = (0..REGISTRY.len()).find(is)? as u8;
        Some(Dialogue { protocol, turns })
    };
    found.into_values().filter_map(spoken).collect()
}
