//! The command line as the contract has it: exit codes, what goes where, and that nothing from the wire gets through.

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::Stdio;

use serde_json::Value;
use support::{Run, root, run, run_in, zonewatch};

fn plant() -> PathBuf {
    root().join("fixtures/plant")
}

/// Runs in the plant's folder.
fn at_plant(args: &[&str]) -> Run {
    run_in(&plant(), args)
}

#[test]
fn exit_codes() {
    for (case, args, code, on_stderr) in [
        ("done", &["analyze", "capture.pcap"][..], 0, ""),
        ("findings, and nobody asked", &["analyze", "--policy", "plant.toml", "capture.pcap"], 0, ""),
        ("findings", &["analyze", "--policy", "plant.toml", "--fail-on", "low", "capture.pcap"], 1, ""),
        ("never", &["analyze", "--policy", "plant.toml", "--fail-on", "never", "capture.pcap"], 0, ""),
        ("no such file", &["analyze", "nothing.pcap"], 2, "nothing.pcap"),
        ("no capture", &["analyze", "plant.toml"], 2, "plant.toml"),
        ("no such policy", &["analyze", "--policy", "nothing.toml", "capture.pcap"], 2, "nothing.toml"),
        ("no argument", &["analyze"], 2, "Usage"),
        ("no such format", &["analyze", "--format", "xml", "capture.pcap"], 2, "json"),
        ("no such band", &["analyze", "--fail-on", "dire", "capture.pcap"], 2, "critical"),
        ("no worker at all", &["analyze", "--workers", "0", "capture.pcap"], 2, "--workers"),
        ("no such filter", &["analyze", "--filter", "tcp prot 502", "capture.pcap"], 2, "error"),
        ("no such network", &["analyze", "--home-nets", "10.0.0.0/33", "capture.pcap"], 2, "10.0.0.0/33"),
        ("no such command", &["analyse", "capture.pcap"], 2, "analyze"),
        ("a good policy", &["policy", "check", "plant.toml"], 0, ""),
        ("a policy that is none", &["policy", "check", "README.md"], 2, "README.md"),
        ("a draft", &["policy", "suggest", "capture.pcap"], 0, ""),
        ("a draft, and how it does on the rest", &["policy", "suggest", "capture.pcap", "--hold-out", "50%"], 0, ""),
        ("no such share", &["policy", "suggest", "capture.pcap", "--hold-out", "all"], 2, "percentage"),
        ("no such site", &["policy", "suggest", "capture.pcap", "--site", "a b"], 2, "not an id"),
        ("a review", &["policy", "review", "plant.toml", "capture.pcap"], 0, ""),
        ("a firewall proposal", &["policy", "export", "plant.toml", "--format", "nftables"], 0, ""),
        ("tables and nowhere to write them", &["policy", "export", "plant.toml"], 2, "--out"),
        ("no tables", &["policy", "import", "--csv", "."], 2, "no *.csv"),
        ("protocols", &["protocols"], 0, ""),
        ("one protocol", &["protocols", "modbus"], 0, ""),
        ("no such protocol", &["protocols", "modbusss"], 2, "modbus"),
        ("demo", &["demo"], 0, ""),
        ("an address that is not there", &["explain", "192.0.2.1", "capture.pcap"], 2, "192.0.2.1"),
    ] {
        let run = at_plant(args);
        assert_eq!(run.code, Some(code), "{case}: {}", run.stderr);
        assert!(run.stderr.contains(on_stderr), "{case}: {}", run.stderr);
        assert_eq!(run.stdout.is_empty(), code == 2, "{case}: data on stdout, everything else on stderr");
        assert!(!run.stderr.contains("panicked"), "{case}: {}", run.stderr);
    }
}

#[test]
fn fail_on_takes_the_band_and_those_above() {
    let analysis = at_plant(&["analyze", "--policy", "plant.toml", "--format", "json", "capture.pcap"]).json();
    let bands: Vec<_> = list(&analysis, "findings").map(|f| f["severity"]["band"].as_str().unwrap()).collect();
    let order = ["low", "medium", "high", "critical"];
    let rank = |band: &str| order.iter().position(|b| *b == band);
    for (at, band) in order.into_iter().enumerate() {
        let reached = bands.iter().any(|b| rank(b).is_some_and(|r| r >= at));
        let run = at_plant(&["analyze", "--policy", "plant.toml", "--fail-on", band, "capture.pcap"]);
        assert_eq!(run.code, Some(i32::from(reached)), "--fail-on {band} with {bands:?}");
    }
}

#[test]
fn help_stands_everywhere() {
    for (args, words) in [
        (&["--help"][..], &["analyze", "explain", "policy", "protocols", "demo"][..]),
        (&["analyze", "--help"], &["--policy", "--format", "--workers", "--fail-on", "--filter", "Exit codes"]),
        (&["explain", "--help"], &["SUBJECT", "CAPTURE"]),
        (&["policy", "--help"], &["check", "suggest", "review", "export", "import"]),
        (&["policy", "suggest", "--help"], &["CAPTURE", "--out", "--hold-out"]),
        (&["policy", "review", "--help"], &["POLICY", "CAPTURE", "--format"]),
        (&["policy", "export", "--help"], &["csv", "firewall", "nftables"]),
        (&["policy", "import", "--help"], &["--csv"]),
        (&["policy", "check", "--help"], &["POLICY"]),
        (&["protocols", "--help"], &["--format"]),
        (&["demo", "--help"], &["--save"]),
    ] {
        let run = run(args);
        assert_eq!(run.code, Some(0), "{args:?}");
        words.iter().for_each(|word| assert!(run.text().contains(word), "{args:?} says nothing of {word}"));
    }
    assert!(run(["--version"]).text().starts_with("zonewatch "));
}

#[test]
fn formats() {
    let analyze = |format: &str| {
        let run = at_plant(&["analyze", "--policy", "plant.toml", "--format", format, "capture.pcap"]);
        assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""), "{format}");
        run
    };
    let whole = analyze("json").json();
    assert_eq!(whole["schema"], "zonewatch/1");
    let lines: Vec<Value> = analyze("ndjson").text().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    for (kind, key) in [("asset", "assets"), ("flow", "flows"), ("finding", "findings")] {
        let of_kind = lines.iter().filter(|line| line["type"] == kind).count();
        assert_eq!(of_kind, list(&whole, key).count(), "{kind}");
        assert!(of_kind > 0, "{kind}");
    }
    assert_eq!(lines.iter().filter(|line| line["type"] == "coverage").count(), 1);
    let sheet = analyze("csv").text();
    let mut rows = csv::Reader::from_reader(sheet.as_bytes());
    assert_eq!(rows.records().map(Result::unwrap).count(), list(&whole, "assets").count());
    let table = analyze("table").text();
    assert!(table.contains("10.20.2.10") && table.contains("V-"), "{table}");
    assert!(!table.contains('\u{1b}'), "no colours where there is no terminal");
    // Without a terminal it is json.
    assert_eq!(at_plant(&["analyze", "--policy", "plant.toml", "capture.pcap"]).json(), whole);
}

#[test]
fn the_table_keeps_to_eighty_columns() {
    let table = |folder: &str, capture: &str| {
        run_in(&root().join("fixtures").join(folder), ["analyze", "--quiet", "--format", "table", capture]).text()
    };
    for (case, text) in [
        ("demo", run(["demo", "--format", "table"]).text()),
        ("IPv6", table("link/ipv6", "capture.pcap")),
        ("IPv6 on the link", table("host/neighbour-discovery", "capture.pcap")),
        ("modules", table("enip/unconnected-send-slots", "capture.pcap")),
        ("what cannot be decoded", table("link/not-decodable", "capture.pcap")),
        ("cut", table("file/cut-in-record", "capture.pcap")),
    ] {
        let long: Vec<_> = text.lines().filter(|line| line.chars().count() > 80).collect();
        assert!(text.contains("Assets (") && long.is_empty(), "{case}: {long:#?}\n{text}");
        assert!(!text.contains(" 1 frames") && !text.contains(" 1 flows"), "{case}: one is one");
    }
}

#[test]
fn a_policy_tells_what_is_wrong_once_and_what_is_odd() {
    let folder = tempfile::tempdir().unwrap();
    let plant = fs::read_to_string(plant().join("plant.toml")).unwrap();
    let check = |text: &str| {
        fs::write(folder.path().join("p.toml"), text).unwrap();
        run_in(folder.path(), ["policy", "check", "p.toml"])
    };
    let misspelt = check(&plant.replacen("{ protocol = ", "{ protocl = ", 1));
    assert_eq!((misspelt.code, misspelt.stderr.matches("error: ").count()), (Some(2), 1), "{}", misspelt.stderr);
    assert!(misspelt.stderr.contains("did you mean \"protocol\"?"), "{}", misspelt.stderr);
    let odd = check(&format!(
        "{plant}\n[[conduit]]\nid = \"C-999\"\nfrom = [\"cell-a\"]\nto = [\"cell-b\"]\nowner = \"x\"\n"
    ));
    assert_eq!(odd.code, Some(0), "{}", odd.stderr);
    assert!(odd.stderr.contains("warning") && odd.stderr.contains("C-999"), "{}", odd.stderr);
    assert!(odd.text().contains("zones"), "{}", odd.text());
}

#[test]
fn out_writes_every_file() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("new/results");
    let run = run_in(&plant(), ["analyze", "--policy", "plant.toml", "capture.pcap", "--out", out.to_str().unwrap()]);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    let saved: Value = serde_json::from_slice(&fs::read(out.join("analysis.json")).unwrap()).unwrap();
    assert_eq!(saved, run.json());
    for (file, key) in [("assets.csv", "assets"), ("flows.csv", "flows")] {
        let mut rows = csv::Reader::from_path(out.join(file)).unwrap();
        assert_eq!(rows.records().map(Result::unwrap).count(), list(&saved, key).count(), "{file}");
    }
    let findings = fs::read_to_string(out.join("findings.ndjson")).unwrap();
    assert_eq!(findings.lines().count(), list(&saved, "findings").count());
    // A saved analysis explains itself like a fresh one.
    let path = out.join("analysis.json");
    let explain = |input: &str, policy: &[&str]| {
        let args = ["explain", "10.20.2.10", input].into_iter().chain(policy.iter().copied());
        run_in(&plant(), args.collect::<Vec<_>>()).text()
    };
    assert_eq!(explain(path.to_str().unwrap(), &[]), explain("capture.pcap", &["--policy", "plant.toml"]));
}

#[test]
fn explain_goes_down_to_the_frame() {
    let explain = |subject: &str| {
        let run = at_plant(&["explain", subject, "capture.pcap", "--policy", "plant.toml"]);
        assert_eq!(run.code, Some(0), "{subject}: {}", run.stderr);
        run.text()
    };
    let analysis = at_plant(&["analyze", "--policy", "plant.toml", "--format", "json", "capture.pcap"]).json();
    let asset = list(&analysis, "assets").find(|a| list(a, "ips").any(|ip| ip == "10.20.1.10")).unwrap();
    let firmware = list(asset, "facts").find(|fact| fact["attribute"] == "firmware").unwrap();
    for (subject, words) in [
        ("10.20.1.10", vec!["plc".to_owned(), "1756-L83E".to_owned(), "capture.pcap frame".to_owned()]),
        ("10.20.1.10/firmware", vec![format!("capture.pcap frame {}", firmware["first"]["frame"])]),
        ("10.20.1.10/role", vec!["plc".to_owned()]),
        (asset["id"].as_str().unwrap(), vec!["10.20.1.10".to_owned()]),
        (asset["name"].as_str().unwrap(), vec!["10.20.1.10".to_owned()]),
    ] {
        let text = explain(subject);
        words.iter().for_each(|word| assert!(text.contains(word), "{subject}: no {word} in\n{text}"));
    }
    for flow in list(&analysis, "flows").take(3) {
        assert!(explain(flow["id"].as_str().unwrap()).contains(flow["client"]["ip"].as_str().unwrap_or("")));
    }
    assert!(list(&analysis, "findings").count() > 3, "the plant has findings");
    for finding in list(&analysis, "findings") {
        let text = explain(finding["id"].as_str().unwrap());
        let frame = format!("capture.pcap frame {} ", finding["samples"][0]["frame"]);
        assert!(text.contains(&frame) && text.contains(finding["what"].as_str().unwrap()), "no {frame} in\n{text}");
    }
}

#[test]
fn what_cannot_be_read_costs_only_itself() {
    let folder = tempfile::tempdir().unwrap();
    let copy = |name: &str| fs::copy(plant().join("capture.pcap"), folder.path().join(name)).unwrap();
    copy("good.pcap");
    fs::write(folder.path().join("notes.txt"), "not a capture").unwrap();
    fs::create_dir(folder.path().join("deeper")).unwrap();
    copy("deeper/more.pcap");
    let captures = |run: &Run| -> Vec<String> {
        list(&run.json(), "captures").map(|c| c["name"].as_str().unwrap().to_owned()).collect()
    };
    let named = run_in(folder.path(), ["analyze", "--format", "json", "good.pcap", "notes.txt", "missing.pcap"]);
    assert_eq!(captures(&named).len(), 1);
    assert!(named.stderr.contains("notes.txt") && named.stderr.contains("missing.pcap"), "{}", named.stderr);
    // A folder is what is in it; what is no capture there is told and no failure.
    let whole = run_in(folder.path(), ["analyze", "--format", "json", "."]);
    assert_eq!(whole.code, Some(0), "{}", whole.stderr);
    assert!(captures(&whole).iter().any(|name| name.ends_with("good.pcap")), "{:?}", captures(&whole));
    // The same bytes once more are the same frames: named twice or read twice, the analysis says which captures it had.
    let alone = run_in(folder.path(), ["analyze", "--format", "json", "good.pcap"]).json();
    assert_eq!(named.json()["assets"], alone["assets"]);
}

#[test]
fn stdin_is_a_capture() {
    let bytes = fs::read(plant().join("capture.pcap")).unwrap();
    let mut command = zonewatch();
    command.args(["analyze", "--format", "json", "-"]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let writer = std::thread::spawn(move || stdin.write_all(&bytes).unwrap());
    let run: Run = child.wait_with_output().unwrap().into();
    writer.join().unwrap();
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    let file = at_plant(&["analyze", "--format", "json", "capture.pcap"]).json();
    let piped = run.json();
    assert_eq!(piped["captures"][0]["sha256"], file["captures"][0]["sha256"]);
    assert_eq!(piped["coverage"], file["coverage"]);
}

#[test]
fn a_closed_pipe_is_a_normal_end() {
    for format in ["json", "ndjson", "csv", "table"] {
        let mut command = zonewatch();
        command.current_dir(plant()).args(["analyze", "--format", format, "capture.pcap"]);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        // The reader goes away after the first byte, as `head -c 1` does.
        let mut stdout = child.stdout.take().unwrap();
        stdout.read_exact(&mut [0]).unwrap();
        drop(stdout);
        let run: Run = child.wait_with_output().unwrap().into();
        assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""), "{format}");
    }
}

#[test]
fn filter_leaves_out_what_it_says() {
    let all = at_plant(&["analyze", "--format", "json", "capture.pcap"]).json();
    let some = at_plant(&["analyze", "--format", "json", "--filter", "tcp port 502", "capture.pcap"]).json();
    assert!(some["coverage"]["frames"].as_u64() < all["coverage"]["frames"].as_u64());
    assert!(list(&some, "flows").all(|flow| flow["server"]["port"] == 502), "only port 502 is left");
}

/// A device whose name is an attack on whoever looks at it.
const HOSTILE: &str = "=1+1|\u{1b}[31m<b>\u{202e}\nx";

#[test]
fn text_from_the_wire_is_harmless() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("hostile.pcap");
    fs::write(&path, list_identity(HOSTILE)).unwrap();
    let analyze = |format: &str| run(["analyze".as_ref(), "--format".as_ref(), format.as_ref(), path.as_os_str()]);
    let analysis = analyze("json").json();
    let asset = list(&analysis, "assets").find(|asset| asset["product"].is_string()).expect("the device is an asset");
    assert_eq!(asset["product"], HOSTILE, "machines get what was sent");
    let explain = run(["explain".as_ref(), "10.9.0.1".as_ref(), path.as_os_str()]);
    for (place, text) in
        [("table", analyze("table").text()), ("csv", analyze("csv").text()), ("explain", explain.text())]
    {
        assert!(!text.contains('\u{1b}') && !text.contains('\u{202e}'), "{place}: {text:?}");
    }
    let sheet = analyze("csv").text();
    let mut rows = csv::Reader::from_reader(sheet.as_bytes());
    let cells: Vec<String> =
        rows.records().flat_map(|r| r.unwrap().iter().map(str::to_owned).collect::<Vec<_>>()).collect();
    assert!(cells.iter().any(|cell| cell.starts_with("'=1+1")), "{cells:?}");
    assert!(cells.iter().all(|cell| !cell.starts_with(['=', '+', '@'])), "a formula: {cells:?}");
    // A file's name may be an attack as well.
    let evil = folder.path().join("evil\u{1b}[31m.pcap");
    fs::write(&evil, "no capture").unwrap();
    assert!(!run(["analyze".as_ref(), evil.as_os_str()]).stderr.contains("\u{1b}[31m"));
}

/// A capture of one ListIdentity answer. EtherNet/IP Adaptation of CIP, section 2-4.2.
fn list_identity(name: &str) -> Vec<u8> {
    let identity = [
        &[1, 0][..],                                                  // protocol version
        &[0, 2, 0xAF, 0x12, 10, 9, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0],     // socket address
        &[1, 0, 12, 0, 58, 0, 4, 3, 0x30, 0, 0x78, 0x56, 0x34, 0x12], // vendor to serial number
        &[u8::try_from(name.len()).unwrap()],
        name.as_bytes(),
        &[3], // state
    ]
    .concat();
    let length = |n: usize| u16::try_from(n).unwrap();
    let item = [&[1, 0, 0x0C, 0][..], &length(identity.len()).to_le_bytes(), &identity].concat();
    let payload = [&[0x63, 0][..], &length(item.len()).to_le_bytes(), &[0; 20], &item].concat();
    let udp = [&[0xAF, 0x12, 0xC0, 0x00][..], &length(8 + payload.len()).to_be_bytes(), &[0, 0], &payload].concat();
    let total = length(20 + udp.len()).to_be_bytes();
    let ip = [&[0x45, 0][..], &total, &[0, 1, 0, 0, 64, 17, 0, 0, 10, 9, 0, 1, 10, 9, 0, 2], &udp].concat();
    let frame = [&[0x02, 0, 0, 0, 0, 2, 0x02, 0, 0, 0, 0, 1, 8, 0][..], &ip].concat();
    let len = u32::try_from(frame.len()).unwrap();
    let head = [0xA1B2_C3D4, 0x0004_0002, 0, 0, 65535, 1, 1_700_000_000, 0, len, len];
    [head.map(u32::to_le_bytes).concat(), frame].concat()
}

fn list<'a>(value: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> {
    value[key].as_array().unwrap_or_else(|| panic!("no list {key}")).iter()
}

#[test]
fn demo_is_the_plant() {
    let folder = tempfile::tempdir().unwrap();
    let run = run_in(folder.path(), ["demo", "--format", "json", "--save", "here"]);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    let saved = |name: &str| fs::read(folder.path().join("here").join(name)).unwrap();
    assert!(saved("plant.pcap") == fs::read(plant().join("capture.pcap")).unwrap());
    assert!(list(&run.json(), "findings").count() > 0);
    let again = run_in(&folder.path().join("here"), ["analyze", "--policy", "plant.toml", "plant.pcap"]);
    assert_eq!(again.json()["findings"], run.json()["findings"], "what was saved gives the same");
    let twice = |want| assert_eq!(run_in(folder.path(), ["demo", "--save", "here"]).code, Some(want));
    twice(0);
    fs::write(folder.path().join("here/plant.toml"), "# My own.").unwrap();
    twice(2);
    assert_eq!(saved("plant.toml"), b"# My own.", "a policy of somebody's own is not written over");
}

#[test]
fn every_command_has_a_man_page_and_completions() {
    let folder = tempfile::tempdir().unwrap();
    let made = |what: &str| {
        let into = folder.path().join(what);
        assert_eq!(run(["generate", what, into.to_str().unwrap()]).code, Some(0));
        let files = std::fs::read_dir(into).unwrap().map(|file| file.unwrap().path());
        files.map(|path| (path.file_name().unwrap().to_str().unwrap().to_owned(), path)).collect::<BTreeMap<_, _>>()
    };
    let (pages, completions) = (made("man"), made("completions"));
    let mut commands = vec![Vec::new()];
    while let Some(command) = commands.pop() {
        let page =
            &pages[&format!("{}.1", ["zonewatch"].iter().chain(&command).copied().collect::<Vec<_>>().join("-"))];
        let (page, help) =
            (std::fs::read_to_string(page).unwrap(), run(command.iter().copied().chain(["--help"])).text());
        for option in help.split_whitespace().filter(|word| word.starts_with("--")) {
            let option = option.trim_end_matches(|c: char| !c.is_alphanumeric());
            assert!(page.replace("\\-", "-").contains(option), "{command:?} {option}");
        }
        let subcommands =
            help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
        for name in
            subcommands.filter_map(|line| line.strip_prefix("  ")?.split(' ').next()).filter(|name| !name.is_empty())
        {
            if name != "help" {
                let mut deeper = command.clone();
                deeper.push(Box::leak(name.to_owned().into_boxed_str()));
                commands.push(deeper);
            }
        }
    }
    for (file, path) in completions {
        let text = std::fs::read_to_string(path).unwrap();
        assert!(
            ["analyze", "--home-nets", "suggest"].iter().all(|word| text.contains(word.trim_start_matches('-'))),
            "{file}"
        );
    }
    assert!(!pages.contains_key("zonewatch-generate.1"), "it is for packages");
}
