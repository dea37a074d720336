//! What never leaves a segment, heard on taps of two zones: ZC011.

#[path = "support/packets.rs"]
#[allow(dead_code)] // Of what others make packets with, this needs a part.
mod packets;

use packets::{Tape, analyze};
use serde_json::Value;

const PLANT: &str = r#"
[site]
id = "p"
[[zone]]
id = "cell-a"
level = 1
sl_t = 2
members = [ { cidr = "10.20.1.0/24" }, { mac = "02:00:00:00:0a:01" } ]
[[zone]]
id = "cell-b"
level = 1
sl_t = 2
members = [ { cidr = "10.20.2.0/24" }, { mac = "02:00:00:00:0b:01" } ]
[[tap]]
id = "0"
sees = ["cell-a"]
[[tap]]
id = "1"
sees = ["SEES"]
"#;

const START: u64 = 1_794_820_500_000_000;

fn frame(dst: [u8; 6], src: u8, kind: u16, body: &[u8]) -> Vec<u8> {
    let mut frame = [&dst[..], &[2, 0, 0, 0, src, 1]].concat();
    frame.extend(kind.to_be_bytes());
    frame.extend(body);
    frame
}

/// A bridge tells of the root of its spanning tree.
fn bridge(src: u8, root: u8) -> Vec<u8> {
    let mut bpdu = vec![0x42, 0x42, 0x03, 0, 0, 2, 2, 0x3C, 0x80, 0, 2, 0, 0, 0, 0xEE, root];
    bpdu.resize(39, 0);
    frame([1, 0x80, 0xC2, 0, 0, 0], src, bpdu.len() as u16, &bpdu)
}

/// A device announces itself by LLDP.
fn neighbour(src: u8) -> Vec<u8> {
    frame([1, 0x80, 0xC2, 0, 0, 0x0E], src, 0x88CC, &[2, 7, 4, 2, 0, 0, 0, src, 1, 0, 0])
}

fn tape(at: u64, frames: &[Vec<u8>]) -> Tape {
    let mut tape = Tape::default();
    for (n, frame) in (0..).zip(frames) {
        tape.put(START + (at + n) * 1_000_000, frame.clone());
    }
    tape
}

#[test]
fn one_segment_under_two_zones() {
    for (case, sees, one, other, want) in [
        ("two trees", "cell-b", vec![bridge(0x0A, 1)], vec![bridge(0x0B, 2)], vec![]),
        ("one tree", "cell-b", vec![bridge(0x0A, 1)], vec![bridge(0x0B, 1)], vec!["one-spanning-tree"]),
        ("one tree, seen in one zone", "cell-a", vec![bridge(0x0A, 1)], vec![bridge(0x0B, 1)], vec![]),
        ("two neighbours", "cell-b", vec![neighbour(0x0A)], vec![neighbour(0x0B)], vec![]),
        ("one neighbour", "cell-b", vec![neighbour(0x0A)], vec![neighbour(0x0A)], vec!["one-neighbour"]),
        ("a topology change names no root", "cell-b", vec![cut(bridge(0x0A, 1))], vec![cut(bridge(0x0B, 1))], vec![]),
    ] {
        let policy = PLANT.replace("SEES", sees);
        for workers in [1, 2] {
            let analysis = analyze(&[&tape(0, &one), &tape(60, &other)], &policy, workers);
            let found: Vec<&Value> = analysis["findings"]
                .as_array()
                .unwrap()
                .iter()
                .filter(|finding| finding["reason"]["code"] == "ZC011")
                .collect();
            let signs: Vec<_> = found.iter().map(|finding| finding["qualifiers"][0].as_str().unwrap()).collect();
            assert_eq!(signs, want, "{case}");
            for finding in found {
                assert_eq!(
                    (&finding["src"]["zone"], &finding["dst"]["zone"]),
                    (&"cell-a".into(), &"cell-b".into()),
                    "{case}"
                );
                assert_eq!(finding["samples"].as_array().unwrap().len(), 2, "{case}: a frame of each tap");
                assert!(finding["severity"]["score"].as_i64().unwrap() >= 40, "{case}: {finding}");
            }
        }
    }
}

/// A topology change notification is of another type, and ends after it.
fn cut(mut bpdu: Vec<u8>) -> Vec<u8> {
    bpdu[20] = 0x80;
    bpdu
}
