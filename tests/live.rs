//! The sensor on a real interface: a namespace with two ends of a cable, a capture replayed into one and watched on the
//! other. Needs root, iproute2 and tcpreplay; without them the tests skip, and say so.

#![cfg(all(feature = "live", feature = "sensor"))]
#![allow(clippy::print_stderr)] // A test that skips says so.

#[path = "support/cable.rs"]
mod cable;
#[allow(dead_code)] // It needs little of them.
#[path = "support/packets.rs"]
mod packets;
mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use cable::{Cable, run};
use packets::{Talk, Tape, read};
use serde_json::Value;
use support::{analyze, plant};

/// What does not hang on when it was: devices, and flows with their operations.
fn timeless(analysis: &Value) -> BTreeSet<String> {
    let assets = analysis["assets"].as_array().unwrap().iter().map(|asset| {
        format!("{} {} {} {} {}", asset["id"], asset["ips"], asset["macs"], asset["role"]["value"], asset["firmware"])
    });
    let flows = analysis["flows"].as_array().unwrap().iter().map(|flow| {
        let operations = flow["operations"].as_array().unwrap().iter().map(|operation| {
            let of = |key: &str| operation[key].to_string();
            [of("code"), of("component"), of("objects"), of("requests"), of("answered"), of("refused")].join(" ")
        });
        let operations: Vec<_> = operations.collect();
        let of = |key: &str| flow[key].to_string();
        // Equal packets that a fast replay brings close together count as a mirror's copies.
        let frames = ["frames_to_server", "frames_to_client"]
            .map(|way| flow[way].as_u64().unwrap() + flow["copies"][way].as_u64().unwrap());
        format!("{} {} {} {frames:?} {}", of("id"), of("protocol"), of("connections"), operations.join(", "))
    });
    assets.chain(flows).collect()
}

#[test]
fn a_cable_shows_what_the_file_shows() {
    let Some(cable) = Cable::lay("same") else { return };
    let (capture, policy) = plant();
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let file = timeless(&analyze(&[capture.to_str().unwrap(), "--policy", &policy]));
    for workers in ["1", "2"] {
        let mut differs = Vec::new();
        // A mirror's copies are known by their time: where the replay stumbles between two, it is done again.
        for _ in 0..3 {
            let sensor = cable.watch(&["--policy", &policy, "--workers", workers, "--out", out.to_str().unwrap()]);
            cable.replay(&capture, "3000");
            thread::sleep(Duration::from_millis(500));
            let took = sensor.stop();
            assert!(took < Duration::from_secs(2), "{took:?}");
            let live: Value = serde_json::from_slice(&std::fs::read(out.join("analysis.json")).unwrap()).unwrap();
            differs = timeless(&live).symmetric_difference(&file).cloned().collect();
            if differs.is_empty() {
                break;
            }
        }
        assert!(differs.is_empty(), "with {workers} workers: {differs:#?}");
    }
}

#[test]
fn a_kill_loses_no_more_than_the_last_flush() {
    let Some(cable) = Cable::lay("kill") else { return };
    let (capture, policy) = plant();
    let folder = tempfile::tempdir().unwrap();
    let (store, config) = (folder.path().join("z.db"), folder.path().join("z.toml"));
    let text = format!("flush = \"1s\"\npolicy = [\"{policy}\"]\n[store]\npath = \"{}\"\n", store.display());
    std::fs::write(&config, text).unwrap();
    let out = folder.path().join("out");
    let words = ["--config", config.to_str().unwrap(), "--out", out.to_str().unwrap()];
    let file = analyze(&[capture.to_str().unwrap()]);
    let once = file["coverage"]["frames"].as_u64().unwrap();
    let written = || {
        let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY;
        let db = rusqlite::Connection::open_with_flags(&store, flags).ok()?;
        let frames = "SELECT value FROM coverage WHERE kind = 'frames'";
        db.query_row(frames, [], |row| row.get::<_, i64>(0)).ok()?.try_into().ok()
    };
    for replays in 1..=3 {
        let sensor = cable.watch(&words);
        cable.replay(&capture, "4000");
        let started = Instant::now();
        while written() < Some(replays * once) && started.elapsed() < Duration::from_secs(20) {
            thread::sleep(Duration::from_millis(50));
        }
        sensor.kill();
    }
    cable.watch(&words).stop();
    let live: Value = serde_json::from_slice(&std::fs::read(out.join("analysis.json")).unwrap()).unwrap();
    assert_eq!(
        live["coverage"]["frames"].as_u64(),
        Some(3 * once),
        "three replays, each before the flush that came before the kill"
    );
}

/// Findings with their state and when they were first, and how often each was told to be opened.
fn lives(store: &Path) -> BTreeMap<String, (String, i64, i64)> {
    let db = rusqlite::Connection::open_with_flags(store, rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    let opened = "SELECT count(*) FROM event WHERE subject = id AND kind = 'finding-opened'";
    let mut rows = db.prepare(&format!("SELECT id, state, first, ({opened}) FROM finding")).unwrap();
    let row = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, (row.get(1)?, row.get(2)?, row.get(3)?)));
    rows.query_map([], row).unwrap().collect::<Result<_, _>>().unwrap()
}

#[test]
fn a_killed_sensor_goes_on_where_it_was() {
    let Some(cable) = Cable::lay("life") else { return };
    if !run(&["curl", "--version"]) {
        eprintln!("SKIPPED: to acknowledge a finding needs the package curl");
        return;
    }
    cable.inside(&["ip", "link", "set", "lo", "up"]);
    let (capture, policy) = plant();
    let folder = tempfile::tempdir().unwrap();
    let (store, config) = (folder.path().join("z.db"), folder.path().join("z.toml"));
    let text = format!(
        "flush = \"1s\"\npolicy = [\"{policy}\"]\n[store]\npath = \"{}\"\n[http]\nlisten = [\"127.0.0.1:9470\"]\n\
         [[http.token]]\nname = \"shift lead\"\nrole = \"operate\"\n\
         sha256 = \"2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b\"\n",
        store.display()
    );
    std::fs::write(&config, text).unwrap();
    let words = ["--config", config.to_str().unwrap()];
    let told = |least: usize| {
        let started = Instant::now();
        while lives(&store).len() < least && started.elapsed() < Duration::from_secs(20) {
            thread::sleep(Duration::from_millis(100));
        }
        // The flush that comes after.
        thread::sleep(Duration::from_millis(2500));
        lives(&store)
    };

    let sensor = cable.watch(&words);
    cable.replay(&capture, "3000");
    let mut before = told(8);
    let id = before.keys().next().unwrap().clone();
    let place = format!("http://127.0.0.1:9470/api/v1/findings/{id}/acknowledge");
    let note = r#"{"note": "planned"}"#;
    cable.inside(&["curl", "-sf", "-X", "POST", "-H", "Authorization: Bearer secret", "-d", note, &place]);
    // It was answered, so it is written.
    sensor.kill();
    let after = lives(&store);
    assert_eq!(after[&id].0, "acknowledged");
    before.get_mut(&id).unwrap().0 = "acknowledged".to_owned();
    assert_eq!(after, before);
    assert!(before.values().all(|(state, _, opened)| state != "resolved" && *opened == 1), "{before:#?}");

    // What happens again is not told to be new, however often the sensor is killed in the middle of it.
    for wait in [300, 1100, 1700] {
        let sensor = cable.watch(&words);
        let replay = ["tcpreplay", "-q", "--pps", "4000", "-i", "tx0", capture.to_str().unwrap()];
        let mut replay = cable.command(&replay).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        thread::sleep(Duration::from_millis(wait));
        sensor.kill();
        let _ = replay.wait();
        let now = lives(&store);
        for (id, life) in &before {
            assert_eq!(&now[id], life, "{id} after {wait} ms");
        }
        let listed =
            support::zonewatch().args(["findings", "--format", "json", "--store"]).arg(&store).output().unwrap();
        assert!(listed.status.success(), "{}", String::from_utf8_lossy(&listed.stderr));
        let listed: Value = serde_json::from_slice(&listed.stdout).unwrap();
        let acknowledged = listed["findings"].as_array().unwrap().iter().find(|finding| finding["id"] == *id).unwrap();
        assert_eq!(acknowledged["acknowledged"]["by"], "shift lead");
    }
    let db = rusqlite::Connection::open(&store).unwrap();
    let numbers = "SELECT count(*) = max(seq) FROM event";
    assert!(db.query_row(numbers, [], |row| row.get::<_, bool>(0)).unwrap(), "events are numbered without a gap");
}

#[test]
fn findings_leave_their_frames() {
    let Some(cable) = Cable::lay("evidence") else { return };
    let (capture, policy) = plant();
    let folder = tempfile::tempdir().unwrap();
    let [evidence, config, out] = ["evidence", "z.toml", "out"].map(|leaf| folder.path().join(leaf));
    let text = format!("flush = \"1s\"\npolicy = [\"{policy}\"]\n[evidence]\npath = \"{}\"\n", evidence.display());
    std::fs::write(&config, text).unwrap();
    let file = analyze(&[capture.to_str().unwrap(), "--policy", &policy]);
    let id = |finding: &Value| finding["id"].as_str().unwrap().to_owned();
    // What the declaration says of itself no frame shows.
    let shown = |analysis: &Value| -> BTreeSet<String> {
        let findings = analysis["findings"].as_array().unwrap().iter();
        findings.filter(|finding| finding["kind"] != "declaration").map(id).collect()
    };
    for workers in ["1", "3"] {
        let words = ["--config", config.to_str().unwrap(), "--out", out.to_str().unwrap(), "--workers", workers];
        let sensor = cable.watch(&words);
        cable.replay(&capture, "3000");
        thread::sleep(Duration::from_millis(1500));
        let took = sensor.stop();
        assert!(took < Duration::from_secs(2), "{took:?}");
        let live: Value = serde_json::from_slice(&std::fs::read(out.join("analysis.json")).unwrap()).unwrap();
        assert!(shown(&live).is_superset(&shown(&file)), "{:?} of {:?}", shown(&live), shown(&file));
        for finding in live["findings"].as_array().unwrap() {
            let name = finding["evidence"].as_str();
            let Some(name) = name else {
                let why = finding["no_evidence"].as_str();
                assert!(finding["kind"] == "declaration" && why.is_some(), "{workers} workers: {finding:#}");
                continue;
            };
            let frames = analyze(&[evidence.join(name).to_str().unwrap()]);
            assert!(frames["coverage"]["frames"].as_u64() > Some(0), "{name}");
            let bytes = std::fs::read(evidence.join(name)).unwrap();
            assert!(bytes.windows(19).any(|text| text == b"this frame shows it"), "{name}");
        }
        std::fs::remove_dir_all(&evidence).unwrap();
    }
}

/// What is not there any more no frame shows; the last one of it does.
#[test]
fn a_silence_leaves_the_last_that_was_heard() {
    let Some(cable) = Cable::lay("silence") else { return };
    let folder = tempfile::tempdir().unwrap();
    let path = |leaf: &str| folder.path().join(leaf).to_str().unwrap().to_owned();
    let policy = "[site]\nid = \"p\"\ntimezone = \"UTC\"\n\
        [[zone]]\nid = \"clients\"\nmembers = [ { cidr = \"10.1.0.0/16\" } ]\n\
        [[zone]]\nid = \"servers\"\nmembers = [ { cidr = \"10.2.0.0/16\" } ]\n\
        [[conduit]]\nid = \"C-1\"\nfrom = [\"clients\"]\nto = [\"servers\"]\nowner = \"Operations\"\n\
        allow = [{ protocol = \"modbus\", ops = [\"read\"] }]\nexpect = \"continuous\"\nmax_silence = \"3s\"\n";
    std::fs::write(path("plant.toml"), policy).unwrap();
    let config = format!(
        "flush = \"1s\"\npolicy = [{:?}]\n[evidence]\npath = {:?}\n[http]\nlisten = []\n",
        path("plant.toml"),
        path("evidence")
    );
    std::fs::write(path("z.toml"), config).unwrap();
    // Polls, and then polls of somebody else: the tap hears, and not the one.
    let mut tape = Tape::default();
    let mut polls = |server: &str, from: u64, rounds: u16| {
        let mut talk = Talk::new("10.1.0.1", server, 502, from).open(&mut tape);
        for round in 0..rounds {
            let [ask, answer] = read(round);
            talk.exchange(&mut tape, &ask, &answer);
        }
    };
    polls("10.2.0.1", 1_700_000_000_000_000, 20);
    polls("10.1.0.2", 1_700_000_001_000_000, 40);
    std::fs::write(path("polls.pcap"), tape.pcap()).unwrap();
    let sensor = cable.watch(&["--config", &path("z.toml"), "--out", &path("out")]);
    cable.replay(Path::new(&path("polls.pcap")), "12");
    thread::sleep(Duration::from_millis(2500));
    sensor.stop();
    let live: Value = serde_json::from_slice(&std::fs::read(path("out/analysis.json")).unwrap()).unwrap();
    let findings = live["findings"].as_array().unwrap();
    let silent =
        findings.iter().find(|finding| finding["reason"]["code"] == "DC005").unwrap_or_else(|| panic!("{findings:#?}"));
    let name = silent["evidence"].as_str().unwrap_or_else(|| panic!("{silent:#}"));
    let kept = analyze(&[&format!("{}/{name}", path("evidence"))]);
    let flows = kept["flows"].as_array().unwrap();
    let servers: Vec<_> = flows.iter().map(|flow| flow["server"]["ip"].clone()).collect();
    assert_eq!(servers, ["10.2.0.1"], "{kept:#}");
    // Three of the handshake, and of 40 the last at least.
    let last = silent["samples"][0]["frame"].as_u64();
    assert_eq!(last, Some(43), "{silent:#}");
    let bytes = std::fs::read(format!("{}/{name}", path("evidence"))).unwrap();
    assert!(bytes.windows(19).any(|text| text == b"this frame shows it"), "{name}");
}

#[test]
fn nothing_is_ever_sent() {
    let has_strace = Command::new("strace").arg("-V").stdout(Stdio::null()).status().is_ok();
    let Some(cable) = Cable::lay("quiet") else { return };
    let sent = || {
        let file = "/sys/class/net/rx0/statistics/tx_packets";
        let output = cable.command(&["cat", file]).output().unwrap();
        String::from_utf8_lossy(&output.stdout).trim().parse::<u64>().unwrap()
    };
    let (capture, policy) = plant();
    let before = sent();
    let sensor = cable.watch(&["--policy", &policy]);
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("calls");
    let mut tracer = has_strace.then(|| {
        let pids = Command::new("ip").args(["netns", "pids", &cable.0]).output().unwrap();
        let pid = String::from_utf8_lossy(&pids.stdout).split_whitespace().next().unwrap().to_owned();
        let calls = "trace=sendto,sendmsg,sendmmsg,write,writev,pwrite64";
        let mut command = Command::new("strace");
        command.args(["-f", "-y", "-e", calls, "-o", log.to_str().unwrap(), "-p", &pid]).stderr(Stdio::null());
        let child = command.spawn().unwrap();
        thread::sleep(Duration::from_millis(500));
        child
    });
    cable.replay(&capture, "3000");
    thread::sleep(Duration::from_millis(500));
    sensor.stop();
    assert_eq!(sent(), before, "the card has sent nothing");
    match &mut tracer {
        None => eprintln!("SKIPPED: that no call sends on the packet socket needs the package strace"),
        Some(tracer) => {
            let _ = tracer.wait();
            let calls = std::fs::read_to_string(&log).unwrap();
            // -y names the descriptor: `sendto(5<AF_PACKET:[...]>, ...`, or `<socket:[...]>` for kinds that it does not know.
            let on_packets: Vec<_> = calls.lines().filter(|line| line.contains("PACKET")).collect();
            assert!(on_packets.is_empty(), "{on_packets:#?}");
            let sends: Vec<_> = calls.lines().filter(|line| line.contains("send")).collect();
            assert!(sends.iter().all(|line| line.contains("UNIX")), "{sends:#?}");
        }
    }
}
