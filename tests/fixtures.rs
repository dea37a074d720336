//! The cases of `fixtures/`: what the binary prints for each is what its `expected.json` says.
//!
//! A case is a folder with a capture, and with a policy where the case has one. `BLESS=1 cargo test --test fixtures`
//! writes what is printed now as expected: read the diff before it is committed.

mod support;

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use support::{Run, for_each, root, run, run_in};

/// Every case: its folder and the name of its capture, in order.
fn cases() -> Vec<(PathBuf, String)> {
    fn walk(folder: &Path, cases: &mut Vec<(PathBuf, String)>) {
        let mut entries: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        entries.sort();
        for path in entries {
            let leaf = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() {
                walk(&path, cases);
            } else if leaf.starts_with("capture.") {
                cases.push((folder.to_owned(), leaf));
            }
        }
    }
    let mut cases_found = Vec::new();
    walk(&root().join("fixtures"), &mut cases_found);
    cases_found
}

/// Analyses a case as a user does who stands in its folder.
fn analyze(folder: &Path, capture: &str) -> Run {
    let mut args = vec!["analyze", "--quiet", "--format", "json", capture];
    if folder.join("plant.toml").exists() {
        args.extend(["--policy", "plant.toml"]);
    }
    run_in(folder, args)
}

/// Hides what changes without a change of meaning: hashes of inputs, and the version of the program.
fn mask(value: &mut Value) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                match key.as_str() {
                    "sha256" | "policy_hash" | "version" | "tool_version" if value.is_string() => *value = json!("…"),
                    _ => mask(value),
                }
            }
        }
        Value::Array(list) => list.iter_mut().for_each(mask),
        _ => {}
    }
}

/// The output as it is compared: one value a line, so that a diff can be read.
fn pretty(run: &Run) -> String {
    let mut value = run.json();
    mask(&mut value);
    serde_json::to_string_pretty(&value).unwrap() + "\n"
}

#[test]
fn each_case_is_as_expected() {
    let bless = std::env::var_os("BLESS").is_some();
    let complaints = for_each(&cases(), |(folder, capture)| {
        let name = folder.strip_prefix(root()).unwrap().display().to_string();
        let run = analyze(folder, capture);
        let expected = folder.join("expected.json");
        if run.code != Some(0) {
            // What cannot be read has no output; `files_say_what_they_are` knows which those are.
            let is_wrong = run.code != Some(2) || expected.exists();
            return is_wrong.then(|| format!("{name}: exit code {:?}: {}", run.code, run.stderr));
        }
        let is = pretty(&run);
        if bless {
            fs::write(&expected, is).unwrap();
            return None;
        }
        match fs::read_to_string(&expected) {
            Ok(was) if was == is => None,
            Ok(was) => Some(format!("{name}:\n{}", difference(&was, &is))),
            Err(_) => Some(format!("{name}: no expected.json; BLESS=1 writes it")),
        }
    });
    let complaints: Vec<_> = complaints.into_iter().flatten().collect();
    assert!(complaints.is_empty(), "{} cases differ\n{}", complaints.len(), complaints.join("\n"));
}

/// The first lines that differ.
fn difference(was: &str, is: &str) -> String {
    const SHOWN: usize = 8;
    let (was, is): (Vec<_>, Vec<_>) = (was.lines().collect(), is.lines().collect());
    let same_front = was.iter().zip(&is).take_while(|(a, b)| a == b).count();
    let (was, is) = (&was[same_front..], &is[same_front..]);
    let same_back = was.iter().rev().zip(is.iter().rev()).take_while(|(a, b)| a == b).count();
    let part = |lines: &[&str], sign: char| -> String {
        let changed = &lines[..lines.len() - same_back];
        let shown: String = changed.iter().take(SHOWN).map(|line| format!("  {sign} {line}\n")).collect();
        if changed.len() > SHOWN { format!("{shown}  {sign} … {} lines\n", changed.len()) } else { shown }
    };
    format!("  line {}\n{}{}", same_front + 1, part(was, '-'), part(is, '+'))
}

/// What `fixtures/file` shows: exit code, frames, and what the damage is called.
#[test]
fn files_say_what_they_are() {
    for (case, code, frames, damage) in [
        ("empty", 2, 0, None),
        ("no-capture", 2, 0, None),
        ("header-only", 0, 0, None),
        ("cut-in-gzip", 0, 11, Some("byte")),
        ("cut-in-record", 0, 14, Some("byte")),
        ("cut-in-record-header", 0, 14, Some("byte")),
        ("cut-pcapng", 0, 14, Some("byte")),
        ("damaged-block-length", 0, 6, Some("byte")),
        ("damaged-record-length", 0, 6, Some("byte")),
        ("link-type-unknown", 0, 15, None),
        ("pcap-wrong-extension", 0, 15, None),
    ] {
        let folder = root().join("fixtures/file").join(case);
        let (_, capture) = cases().into_iter().find(|(path, _)| *path == folder).unwrap();
        let run = run_in(&folder, ["analyze", "--format", "json", &capture]);
        assert_eq!(run.code, Some(code), "{case}: {}", run.stderr);
        if code != 0 {
            assert!(run.stdout.is_empty() && run.stderr.contains(&capture), "{case}: {}", run.stderr);
            continue;
        }
        let analysis = run.json();
        assert_eq!(analysis["coverage"]["frames"], json!(frames), "{case}");
        let told = analysis["captures"][0]["damage"].as_str();
        assert_eq!(told.is_some(), damage.is_some(), "{case}: {told:?}");
        if let (Some(told), Some(damage)) = (told, damage) {
            assert!(told.contains(damage) && run.stderr.contains(told), "{case}: {told}\n{}", run.stderr);
        }
    }
}

/// An analysis without what its capture is called and how it is packed.
fn content(run: &Run) -> Value {
    fn forget_names(value: &mut Value) {
        match value {
            Value::Object(map) => map.iter_mut().for_each(|(key, value)| match key.as_str() {
                "capture" => *value = Value::Null,
                _ => forget_names(value),
            }),
            Value::Array(list) => list.iter_mut().for_each(forget_names),
            _ => {}
        }
    }
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    let mut value = run.json();
    value["captures"] = Value::Null;
    forget_names(&mut value);
    value
}

/// A pcap as a pcapng of one section and one interface. Both little-endian, microseconds.
fn as_pcapng(pcap: &[u8]) -> Vec<u8> {
    let word = |at: usize| u32::from_le_bytes(pcap[at..at + 4].try_into().unwrap());
    assert_eq!(word(0), 0xA1B2_C3D4);
    let mut out = Vec::new();
    let mut block = |kind: u32, body: &[u8]| {
        let padding = (4 - body.len() % 4) % 4;
        let len = (12 + body.len() + padding) as u32;
        out.extend([kind, len].map(u32::to_le_bytes).concat());
        out.extend(body);
        out.extend(&[0; 3][..padding]);
        out.extend(len.to_le_bytes());
    };
    block(0x0A0D_0D0A, &[&0x1A2B_3C4D_u32.to_le_bytes()[..], &[1, 0, 0, 0], &[0xFF; 8]].concat());
    block(1, &[word(20), word(16)].map(u32::to_le_bytes).concat());
    let mut at = 24;
    while at < pcap.len() {
        let [seconds, micros, captured, wire] = [0, 4, 8, 12].map(|offset| word(at + offset));
        let stamp = u64::from(seconds) * 1_000_000 + u64::from(micros);
        let head = [0, (stamp >> 32) as u32, stamp as u32, captured, wire].map(u32::to_le_bytes).concat();
        let bytes = &pcap[at + 16..at + 16 + captured as usize];
        block(6, &[&head[..], bytes].concat());
        at += 16 + captured as usize;
    }
    out
}

/// How a capture is packed and what it is called changes nothing but that.
#[test]
fn packing_does_not_show() {
    let plain = root().join("fixtures/plant/capture.pcap");
    let bytes = fs::read(&plain).unwrap();
    let gzip = |bytes: &[u8]| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    };
    let zstd = |bytes: &[u8]| ruzstd::encoding::compress_to_vec(bytes, ruzstd::encoding::CompressionLevel::Fastest);
    let folder = tempfile::tempdir().unwrap();
    let want = content(&run(["analyze".as_ref(), "--quiet".as_ref(), plain.as_os_str()]));
    for (name, bytes, format, compression) in [
        ("a.pcap.gz", gzip(&bytes), "pcap", "gzip"),
        ("b.zst", zstd(&bytes), "pcap", "zstd"),
        ("c.pcapng", as_pcapng(&bytes), "pcapng", "none"),
        ("d.gz", gzip(&as_pcapng(&bytes)), "pcapng", "gzip"),
        ("e", bytes.clone(), "pcap", "none"),
    ] {
        let path = folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        let run = run(["analyze".as_ref(), "--quiet".as_ref(), path.as_os_str()]);
        let capture = &run.json()["captures"][0];
        assert_eq!((&capture["format"], &capture["compression"]), (&json!(format), &json!(compression)), "{name}");
        assert!(content(&run) == want, "{name} shows in the output");
    }
}

/// Formats of `fixtures/file` that carry the same polls.
#[test]
fn formats_carry_the_same() {
    let operations = |case: &str| {
        let folder = root().join("fixtures/file").join(case);
        let (_, capture) = cases().into_iter().find(|(path, _)| *path == folder).unwrap();
        let analysis = run_in(&folder, ["analyze", "--quiet", &capture]).json();
        let mut counts = [0; 2];
        for operation in analysis["flows"].as_array().unwrap().iter().flat_map(|f| f["operations"].as_array().unwrap())
        {
            counts[0] += operation["requests"].as_u64().unwrap();
            counts[1] += operation["answered"].as_u64().unwrap();
        }
        counts
    };
    for (case, want) in [
        ("gzip", [3, 3]),
        ("gzip-members", [3, 3]),
        ("gzip-pcapng", [3, 3]),
        ("pcap-big-endian", [3, 3]),
        ("pcap-big-endian-nanoseconds", [3, 3]),
        ("pcap-fcs-length", [3, 3]),
        ("pcap-modified", [3, 3]),
        ("pcap-nanoseconds", [3, 3]),
        ("pcap-snaplen-zero", [3, 3]),
        ("pcap-wrong-extension", [3, 3]),
        ("pcapng", [3, 3]),
        ("pcapng-big-endian", [3, 3]),
        ("pcapng-many", [3, 2]),
        ("pcapng-old-packet-block", [3, 3]),
        ("pcapng-simple-packets", [3, 3]),
        ("zstd", [3, 3]),
    ] {
        assert_eq!(operations(case), want, "{case}: requests and answers");
    }
}

/// The table of `fixtures/policy/reasons` is what is found: client, server, verdict, reason and reference.
#[test]
fn each_verdict_has_its_reason() {
    /// Rows of which not all is so, and why.
    const OTHERWISE: &[(&str, &str)] = &[("10.1.9.1", "the flow is that of the addresses inside the tunnel, 10.1.9.9")];
    let folder = root().join("fixtures/policy/reasons");
    let analysis = analyze(&folder, "capture.pcap").json();
    let list = |value: &Value, key: &str| value[key].as_array().unwrap().clone();
    let (flows, findings) = (list(&analysis, "flows"), list(&analysis, "findings"));
    let code = |id: &Value| {
        let finding = findings.iter().find(|finding| finding["id"] == *id).unwrap();
        finding["reason"]["code"].as_str().unwrap().to_owned()
    };
    let readme = fs::read_to_string(folder.join("README.md")).unwrap();
    let mut rows = 0;
    for line in readme.lines().filter(|line| line.starts_with("| ") && line.contains('.')) {
        let cells: Vec<_> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [client, server, what, verdict, reasons, reference] = cells[..] else { panic!("six columns: {line}") };
        let server = server.split(' ').next_back().unwrap();
        let fits = flows.iter().any(|flow| {
            let codes: Vec<_> = flow["findings"].as_array().unwrap().iter().map(code).collect();
            flow["client"]["ip"] == client
                && flow["server"]["ip"] == server
                && flow["verdict"] == verdict
                && (reasons.is_empty() || reasons.split(" or ").any(|reason| codes.iter().any(|code| code == reason)))
                && (reference.is_empty() || flow["rule"] == reference)
        });
        let otherwise = OTHERWISE.iter().any(|(known, _)| *known == client);
        assert_eq!(fits, !otherwise, "{client} to {server}: {what}");
        rows += 1;
    }
    assert!(rows > 30, "the table is read");
}

/// What is cached on the packet path depends on a random hash, and must not show.
#[test]
fn each_run_gives_the_same() {
    let folder = root().join("fixtures/real/opcua-none");
    let runs = for_each(&[(); 12], |()| analyze(&folder, "capture.pcap").stdout);
    assert!(runs.iter().all(|run| *run == runs[0]), "runs differ");
}
