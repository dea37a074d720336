//! The frames of findings, as somebody finds them on the disk: whole, with what led to them, and without credentials.

#![allow(clippy::print_stderr)] // A test that skips says so.

#[path = "support/packets.rs"]
#[allow(dead_code)]
mod packets;
mod support;

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use packets::{Talk, Tape, adu, read, write};
use serde_json::Value;
use support::{root, run};
use zonewatch::source::Batch;
use zonewatch::source::set::Captures;

const START: u64 = 1_794_820_500_000_000;

/// Supervision may read the cell.
const POLICY: &str = r#"
[site]
id = "p"
[[zone]]
id = "supervision"
sl_t = 2
members = [ { cidr = "10.60.0.0/24" } ]
[[zone]]
id = "cell"
sl_t = 2
members = [ { cidr = "10.20.2.0/24" } ]
[[conduit]]
id = "C"
owner = "x"
from = ["supervision"]
to = ["cell"]
allow = [ { protocol = "modbus", functions = [3], units = [1] } ]
"#;

/// What `analyze --evidence` says and leaves of a capture: its findings, and where their files are.
fn kept(folder: &Path, capture: &Path, policy: &Path, workers: &str) -> Vec<Value> {
    let (capture, policy, folder) = (capture.to_str().unwrap(), policy.to_str().unwrap(), folder.to_str().unwrap());
    let args = ["analyze", capture, "--policy", policy, "--evidence", folder, "--format", "json", "--workers", workers];
    let analysis = run(args).json();
    analysis["findings"].as_array().unwrap().clone()
}

/// The frames of a file.
fn frames(path: &Path) -> Vec<Vec<u8>> {
    let (mut captures, unreadable) = Captures::open(&[path]);
    assert!(unreadable.is_empty(), "{}", path.display());
    let (mut batch, mut frames) = (Batch::default(), Vec::new());
    while captures.fill(&mut batch) {
        frames.extend(batch.frames().map(|frame| frame.bytes.to_vec()));
    }
    frames
}

/// The comments of the frames, as Wireshark reads them.
fn comments(path: &Path) -> Option<Vec<String>> {
    let output = Command::new("tshark").arg("-r").arg(path).args(["-T", "fields", "-e", "frame.comment"]).output();
    let Ok(output) = output else {
        eprintln!("SKIPPED: there is no tshark here");
        return None;
    };
    assert!(output.status.success(), "{}: {}", path.display(), String::from_utf8_lossy(&output.stderr));
    Some(String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect())
}

#[test]
fn every_finding_of_the_plant_has_its_frames() {
    let plant = root().join("fixtures/plant");
    let folder = tempfile::tempdir().unwrap();
    let first = folder.path().join("first");
    let findings = kept(&first, &plant.join("capture.pcap"), &plant.join("plant.toml"), "1");
    let all = frames(&plant.join("capture.pcap"));
    assert!(findings.len() > 5);
    assert_eq!(first.metadata().unwrap().permissions().mode() & 0o777, 0o700);
    for finding in &findings {
        let (id, name) = (finding["id"].as_str().unwrap(), finding["evidence"].as_str().unwrap());
        assert_eq!(name, format!("{id}.pcapng"));
        let path = first.join(name);
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        // What is concluded is so by all of them.
        let most = if finding["operation"].is_null() { usize::MAX } else { 1 };
        let cited = finding["samples"].as_array().unwrap().iter().take(most);
        let cited: Vec<u64> = cited.map(|sample| sample["frame"].as_u64().unwrap()).collect();
        let frames = frames(&path);
        for cited in &cited {
            assert!(frames.contains(&all[*cited as usize - 1]), "{id}: frame {cited}, whole");
        }
        assert!(frames.iter().all(|frame| all.contains(frame)), "{id}: nothing else");
        if let Some(comments) = comments(&path) {
            assert_eq!(comments.len(), frames.len());
            assert!(comments.iter().all(|comment| comment.contains(id)), "{comments:?}");
            let shown: Vec<_> = comments.iter().filter(|comment| comment.contains("this frame shows it")).collect();
            assert_eq!(shown.len(), cited.len(), "{comments:?}");
            for (shown, cited) in shown.iter().zip(&cited) {
                assert!(shown.contains(&format!("frame {cited} of ")), "{shown}");
            }
        }
    }
    // The same bytes for any number of workers.
    let second = folder.path().join("second");
    kept(&second, &plant.join("capture.pcap"), &plant.join("plant.toml"), "3");
    for entry in first.read_dir().unwrap().flatten() {
        let [one, other] = [&first, &second].map(|folder| std::fs::read(folder.join(entry.file_name())).unwrap());
        assert_eq!(one, other, "{:?}", entry.file_name());
    }
}

/// The frames of the only finding of some packets, and the bytes of its file.
fn only(tape: &Tape) -> (Vec<Vec<u8>>, Vec<u8>) {
    let folder = tempfile::tempdir().unwrap();
    let [capture, policy] = ["a.pcap", "p.toml"].map(|leaf| folder.path().join(leaf));
    std::fs::write(&capture, tape.pcap()).unwrap();
    std::fs::write(&policy, POLICY).unwrap();
    let findings = kept(&folder.path().join("evidence"), &capture, &policy, "1");
    let of_flows: Vec<_> = findings.iter().filter(|finding| finding["kind"] == "violation").collect();
    assert_eq!(of_flows.len(), 1, "{findings:#?}");
    let path = folder.path().join("evidence").join(of_flows[0]["evidence"].as_str().unwrap());
    (frames(&path), std::fs::read(&path).unwrap())
}

#[test]
fn what_led_to_it_is_there() {
    let writes = |talk: &mut Talk, tape: &mut Tape| {
        let [ask, answer] = write(9, 200);
        let first = tape.frames.len();
        talk.exchange(tape, &ask, &answer);
        vec![first, first + 1]
    };
    // Writing 100 registers, in three segments.
    let split = |talk: &mut Talk, tape: &mut Tape| {
        let mut pdu = vec![16, 0, 100, 0, 100, 200];
        pdu.extend([7; 200]);
        let ask = adu(9, 1, &pdu);
        let first = tape.frames.len();
        ask.chunks(80).for_each(|part| talk.say(tape, 0, part));
        talk.say(tape, 1, &adu(9, 1, &[16, 0, 100, 0, 100]));
        (first..first + 4).collect()
    };
    type Does = fn(&mut Talk, &mut Tape) -> Vec<usize>;
    for (case, does, polls) in [
        ("at once", writes as Does, 0),
        ("after a long time of polling", writes, 2000),
        ("a PDU of three segments", split, 2000),
    ] {
        let mut tape = Tape::default();
        let mut talk = Talk::new("10.60.0.10", "10.20.2.10", 502, START).open(&mut tape);
        for tid in 0..polls {
            let [ask, answer] = read(tid);
            talk.exchange(&mut tape, &ask, &answer);
        }
        let shown = does(&mut talk, &mut tape);
        for tid in 0..polls {
            let [ask, answer] = read(tid);
            talk.exchange(&mut tape, &ask, &answer);
        }
        let (frames, _) = only(&tape);
        for number in [0, 1, 2].into_iter().chain(shown) {
            assert!(frames.contains(&tape.frames[number].1), "{case}: frame {number} of {}", tape.frames.len());
        }
        assert!(frames.len() <= 24 + 128 + 32, "{case}: {} frames", frames.len());
    }
}

#[test]
fn a_silence_shows_what_was_heard_last() {
    let policy = POLICY.replace("owner = \"x\"", "owner = \"x\"\nexpect = \"continuous\"\nmax_silence = \"60s\"");
    let mut tape = Tape::default();
    let mut talk = Talk::new("10.60.0.10", "10.20.2.10", 502, START).open(&mut tape);
    for tid in 0..100 {
        let [ask, answer] = read(tid);
        talk.exchange(&mut tape, &ask, &answer);
    }
    let last = tape.frames.len() - 1;
    // Others go on for an hour.
    for minutes in 0..60 {
        let mut other = Talk::new("10.20.2.11", "10.20.2.12", 502, START + (10 + minutes) * 60_000_000).open(&mut tape);
        let [ask, answer] = read(1);
        other.exchange(&mut tape, &ask, &answer);
    }
    let folder = tempfile::tempdir().unwrap();
    let [capture, file] = ["a.pcap", "p.toml"].map(|leaf| folder.path().join(leaf));
    std::fs::write(&capture, tape.pcap()).unwrap();
    std::fs::write(&file, policy).unwrap();
    let findings = kept(&folder.path().join("evidence"), &capture, &file, "1");
    let silent =
        findings.iter().find(|finding| finding["reason"]["code"] == "DC005").unwrap_or_else(|| panic!("{findings:#?}"));
    assert_eq!(silent["samples"][0]["frame"].as_u64(), Some(last as u64 + 1), "{silent:#}");
    let frames = frames(&folder.path().join("evidence").join(silent["evidence"].as_str().unwrap()));
    assert!(frames.contains(&tape.frames[last].1) && frames.len() > 50, "{} frames", frames.len());
}

#[test]
fn credentials_are_zeroed() {
    let secret = "YWRtaW46c2VjcmV0";
    let request = format!("GET /setup HTTP/1.1\r\nHost: plc\r\nAuthorization: Basic {secret}\r\n\r\n");
    for (case, cuts) in
        [("in one segment", vec![]), ("over two", vec![62]), ("three bytes at a time", (40..70).step_by(3).collect())]
    {
        let mut tape = Tape::default();
        let mut talk = Talk::new("10.60.0.10", "10.20.2.10", 80, START).open(&mut tape);
        let mut rest = request.as_bytes();
        let mut at = 0;
        for cut in cuts {
            let (part, more) = rest.split_at(cut - at);
            talk.say(&mut tape, 0, part);
            (rest, at) = (more, cut);
        }
        talk.say(&mut tape, 0, rest);
        talk.say(&mut tape, 1, b"HTTP/1.1 200 OK\r\nSet-Cookie: sid=0815\r\nContent-Length: 0\r\n\r\n");
        let (frames, file) = only(&tape);
        let payload: Vec<u8> = frames.iter().flat_map(|frame| frame[54..].to_vec()).collect();
        let text = String::from_utf8_lossy(&payload);
        assert!(text.contains("GET /setup HTTP/1.1\r\nHost: plc\r\nAuthorization:\0\0\0"), "{case}: {text:?}");
        assert!(!text.contains(secret) && !text.contains(&secret[..4]) && !text.contains("0815"), "{case}: {text:?}");
        let remarks =
            String::from_utf8_lossy(&file).matches("of credentials zeroed, checksums left as they were").count();
        assert!(remarks >= 2, "{case}: {remarks} frames say so");
        let clear = tape.pcap();
        assert!(String::from_utf8_lossy(&clear).contains("0815"), "{case}: it was there");
    }
}

#[test]
fn what_cannot_be_read_twice_is_refused() {
    let run = run(["analyze", "-", "--evidence", "/nowhere"]);
    assert_eq!(run.code, Some(2));
    assert!(run.stderr.contains("reads the captures twice"), "{}", run.stderr);
}

#[test]
fn a_mirror_of_one_direction_is_told() {
    let talks = |both: u16, one: u16| {
        let mut tape = Tape::default();
        for port in 0..both + one {
            let mut own = Tape::default();
            let mut talk = Talk::new("10.60.0.10", "10.20.2.10", 600 + port, START + u64::from(port)).open(&mut own);
            let [ask, answer] = read(1);
            talk.exchange(&mut own, &ask, &answer);
            // The client's frames alone: its address is the source.
            own.frames.retain(|(_, frame)| port < both || frame[26..30] == [10, 60, 0, 10]);
            tape.frames.extend(own.frames);
        }
        tape
    };
    for (case, tape, declared, want) in [
        ("both", talks(5, 0), "", None),
        ("one", talks(0, 5), "", Some((5, 0))),
        ("most one", talks(2, 3), "", Some((3, 2))),
        ("few", talks(0, 2), "", None),
        ("declared so", talks(0, 5), "[[tap]]\nid = \"a\"\ndirection = \"rx\"\n", None),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let [capture, policy] = ["a.pcap", "p.toml"].map(|leaf| folder.path().join(leaf));
        std::fs::write(&capture, tape.pcap()).unwrap();
        std::fs::write(&policy, format!("{POLICY}{declared}")).unwrap();
        let run = run(["analyze", capture.to_str().unwrap(), "--policy", policy.to_str().unwrap(), "--format", "json"]);
        let told = &run.json()["captures"][0]["one_way"];
        let got = told["one_way"].as_u64().map(|one| (one, told["both_ways"].as_u64().unwrap()));
        assert_eq!(got, want, "{case}");
        assert_eq!(run.stderr.contains("does the mirror port mirror both?"), want.is_some(), "{case}: {}", run.stderr);
    }
}
