//! The sensor as a service: it starts whatever the disk is like, changes while it runs, and stops in time. On a real
//! interface, as in `live`: needs root, iproute2 and tcpreplay; without them the tests skip, and say so.

#![cfg(all(feature = "live", feature = "sensor"))]
#![allow(clippy::print_stderr)] // A test that skips says so.

#[path = "support/cable.rs"]
mod cable;
mod support;

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::thread;
use std::time::Duration;

use cable::{Cable, run};
use serde_json::Value;
use support::{analyze, plant};

/// Where the receivers of [`receivers_that_hang`] listen.
const HANGING: [u16; 2] = [6514, 6515];

/// Receivers that take connections and read nothing, in a process of their own. As a test among others it does nothing.
#[test]
fn receivers_that_hang() {
    if std::env::var_os("ZONEWATCH_TEST_RECEIVERS").is_none() {
        return;
    }
    let threads = HANGING.map(|port| {
        let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
        thread::spawn(move || listener.incoming().collect::<Vec<_>>())
    });
    threads.into_iter().for_each(|thread| _ = thread.join());
}

/// A process that ends with the test.
struct Beside(Child);

impl Drop for Beside {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_stop_takes_no_longer_for_receivers_that_hang() {
    let Some(cable) = Cable::lay("stop") else { return };
    let folder = tempfile::tempdir().unwrap();
    let [config, ca, key] = ["z.toml", "ca.pem", "ca.key"].map(|leaf| folder.path().join(leaf).display().to_string());
    let request = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=Test CA"];
    if !run(&[&request[..], &["-keyout", &key, "-out", &ca]].concat()) {
        eprintln!("SKIPPED: a receiver with TLS needs the package openssl");
        return;
    }
    // Where nobody answers: what is sent there is gone.
    for words in [
        "link set lo up",
        "link add gone0 type veth peer name gone1",
        "link set gone0 arp off up",
        "link set gone1 up",
        "route add 192.0.2.0/24 dev gone0",
    ] {
        let words: Vec<&str> = ["ip"].into_iter().chain(words.split(' ')).collect();
        cable.inside(&words);
    }
    let program = std::env::current_exe().unwrap();
    let mut receivers = cable.command(&[program.to_str().unwrap(), "--exact", "receivers_that_hang"]);
    receivers.env("ZONEWATCH_TEST_RECEIVERS", "1").stdout(Stdio::null());
    let _receivers = Beside(receivers.spawn().unwrap());
    let output = |name: &str, transport: &str, address: &str, more: &str| {
        format!(
            "[[output]]\ntype = \"syslog\"\nname = \"{name}\"\ntransport = \"{transport}\"\naddress = \"{address}\"\n{more}"
        )
    };
    let tls = format!("ca = \"{ca}\"\n");
    let [reads_nothing, no_handshake] = HANGING.map(|port| format!("127.0.0.1:{port}"));
    let (capture, policy) = plant();
    let text = format!(
        "flush = \"1s\"\npolicy = [\"{policy}\"]\n[store]\npath = \"{}\"\n",
        folder.path().join("z.db").display()
    ) + &output("reads-nothing", "tcp", &reads_nothing, "")
        + &output("no-handshake", "tls", &no_handshake, &tls)
        + &output("no-answer", "tcp", "192.0.2.1:601", "");
    std::fs::write(&config, text).unwrap();
    let sensor = cable.watch(&["--config", &config]);
    // A reader of events that never ends, and one that never asks.
    let asks = ["curl", "-sN", "http://127.0.0.1:9470/api/v1/events"];
    let _reader = Beside(cable.command(&asks).stdout(Stdio::null()).spawn().unwrap());
    cable.replay(&capture, "5000");
    thread::sleep(Duration::from_millis(2500));
    let took = sensor.stop();
    assert!(took < Duration::from_secs(2), "{took:?}");
    for name in ["reads-nothing", "no-handshake", "no-answer"] {
        let queue = folder.path().join("queue").join(name);
        let bytes: u64 = queue.read_dir().unwrap().flatten().map(|file| file.metadata().unwrap().len()).sum();
        assert!(bytes > 1000, "{name}: what was not sent waits on the disk, {bytes} bytes");
    }
}

/// A disk of its own, in the tests' folder.
struct Disk(PathBuf);

impl Disk {
    fn mount(at: &Path, options: &str) -> Self {
        fs::create_dir_all(at).unwrap();
        assert!(run(&["mount", "-t", "tmpfs", "-o", options, "tmpfs", at.to_str().unwrap()]));
        Self(at.to_owned())
    }

    /// Changes it for a sensor, which sees it in a mount namespace of its own, and for the test.
    fn remount(&self, sensor: u32, options: &str) {
        let (pid, at, options) = (sensor.to_string(), self.0.to_str().unwrap(), format!("remount,{options}"));
        assert!(run(&["nsenter", "-t", &pid, "-m", "mount", "-o", &options, at]));
        run(&["mount", "-o", &options, at]);
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        run(&["umount", "-l", self.0.to_str().unwrap()]);
    }
}

/// What a store holds: frames, conversations, findings, events told to be opened twice, captures with frames.
fn held(store: &Path) -> [i64; 5] {
    let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY;
    let db = rusqlite::Connection::open_with_flags(store, flags).unwrap();
    let sound: String = db.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(sound, "ok");
    [
        "SELECT value FROM coverage WHERE kind = 'frames'",
        "SELECT count(*) FROM flow",
        "SELECT count(*) FROM finding",
        "SELECT count(*) FROM (SELECT 1 FROM event WHERE kind = 'finding-opened' GROUP BY subject HAVING count(*) > 1)",
        "SELECT count(*) FROM capture WHERE frames > 0 AND name = 'rx0'",
    ]
    .map(|ask| db.query_row(ask, [], |row| row.get(0)).unwrap())
}

/// Where evidence of a store's facts names captures that it does not have.
fn lost_captures(store: &Path) -> i64 {
    let db = rusqlite::Connection::open(store).unwrap();
    let ask = "SELECT count(*) FROM fact WHERE first_capture NOT IN (SELECT id FROM capture) OR last_capture NOT IN (SELECT id FROM capture)";
    db.query_row(ask, [], |row| row.get(0)).unwrap()
}

#[test]
fn a_sensor_without_a_disk_watches_and_keeps_all_when_there_is_one() {
    let Some(cable) = Cable::lay("disk") else { return };
    cable.inside(&["ip", "link", "set", "lo", "up"]);
    let (capture, policy) = plant();
    let flush = Duration::from_millis(2500);
    // Whether there was a run before, whose store can be read or not; and what keeps this one from its disk.
    for (case, earlier, options, twice) in [
        ("a disk of no size", false, Some("size=16k"), 0),
        ("a disk that is read-only", false, Some("ro,size=64m"), 0),
        ("a read-only disk with a store", true, Some("ro,size=64m"), 0),
        ("a folder that comes later", false, None, 0),
        // What it could not know of it told again.
        ("a folder that comes later with a store", true, None, 1),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let [config, later, kept] = ["z.toml", "disk", "kept"].map(|leaf| folder.path().join(leaf));
        let (store, evidence) = (later.join("z.db"), later.join("evidence"));
        let events = folder.path().join("events.json");
        let text = format!(
            "flush = \"1s\"\npolicy = [\"{policy}\"]\n[store]\npath = \"{}\"\n[evidence]\npath = \"{}\"\n\
             [[output]]\ntype = \"file\"\npath = \"{}\"\n",
            store.display(),
            evidence.display(),
            events.display()
        );
        fs::write(&config, text).unwrap();
        let words = ["--config", config.to_str().unwrap()];
        let disk = options.map(|_| Disk::mount(&later, "size=64m"));
        if earlier {
            fs::create_dir_all(&later).unwrap();
            let sensor = cable.watch(&words);
            cable.replay(&capture, "4000");
            thread::sleep(flush);
            sensor.stop();
        }
        match &disk {
            Some(_) => {
                assert!(run(&["mount", "-o", &format!("remount,{}", options.unwrap()), later.to_str().unwrap()]))
            }
            None => {
                let _ = if earlier { fs::rename(&later, &kept) } else { fs::create_dir(&kept) };
                fs::write(&later, "no folder").unwrap();
            }
        }

        let sensor = cable.watch(&words);
        cable.replay(&capture, "4000");
        thread::sleep(flush);
        if run(&["curl", "--version"]) {
            let ask = ["curl", "-s", "http://127.0.0.1:9470/metrics"];
            let text = String::from_utf8(cable.command(&ask).output().unwrap().stdout).unwrap();
            assert!(text.contains("zonewatch_store_ok 0"), "{case}: {text}");
            // Those of an earlier run have their files.
            assert!(earlier || text.contains("zonewatch_evidence_ok 0"), "{case}: {text}");
        }
        match &disk {
            Some(disk) => disk.remount(sensor.pids()[0], "rw,size=64m"),
            None => {
                fs::remove_file(&later).unwrap();
                fs::rename(&kept, &later).unwrap();
            }
        }
        thread::sleep(flush);
        let said = sensor.said();
        for wanted in [
            "everything is kept in memory until it can be opened",
            "not written, and tried again",
            "sees everything again",
        ] {
            assert!(said.contains(wanted), "{case}: {wanted:?} is not in\n{said}");
        }
        let told = fs::read_to_string(&events).unwrap();
        assert!(told.contains("not written, and tried again"), "{case}: an event tells it");

        let whole = analyze(&[capture.to_str().unwrap(), "--policy", &policy]);
        let count = |list: &str| whole[list].as_array().unwrap().len() as i64;
        let runs = if earlier { 2 } else { 1 };
        let frames = whole["coverage"]["frames"].as_i64().unwrap();
        let [has_frames, flows, findings, opened, captures] = held(&store);
        assert_eq!((has_frames, flows, captures), (runs * frames, count("flows"), runs), "{case}");
        assert!(findings >= count("findings") - 1, "{case}: {findings} of {}", count("findings"));
        assert_eq!(opened.min(1), twice, "{case}: told to be opened twice");
        assert_eq!(lost_captures(&store), 0, "{case}");
        assert!(evidence.read_dir().unwrap().count() > 5, "{case}: frames of findings are there too");

        // And it goes on from there.
        cable.watch(&words).stop();
        assert_eq!(held(&store)[0], runs * frames, "{case}");
    }
}

#[test]
fn a_file_that_is_not_ours_is_left_alone() {
    let Some(cable) = Cable::lay("file") else { return };
    let folder = tempfile::tempdir().unwrap();
    let [config, store] = ["z.toml", "z.db"].map(|leaf| folder.path().join(leaf));
    fs::write(&config, format!("[store]\npath = \"{}\"\n[http]\nlisten = []\n", store.display())).unwrap();
    for (case, make, want) in [
        ("newer", "PRAGMA user_version = 99", "hint: update the program, or name another file in [store] path"),
        ("another program's", "CREATE TABLE orders (id INTEGER)", "hint: name another file in [store] path"),
        ("one with a version", "CREATE TABLE orders (id INTEGER); PRAGMA user_version = 2", "stays as it is"),
    ] {
        let _ = fs::remove_file(&store);
        rusqlite::Connection::open(&store).unwrap().execute_batch(make).unwrap();
        let before = fs::read(&store).unwrap();
        let program = env!("CARGO_BIN_EXE_zonewatch");
        let words = [program, "watch", "-i", "rx0", "--config", config.to_str().unwrap(), "--for", "5s"];
        let output = cable.command(&words).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{case}: {said}");
        assert!(said.contains(want), "{case}: {said}");
        assert_eq!(fs::read(&store).unwrap(), before, "{case}");
    }
}

#[test]
fn a_reload_changes_what_can_change() {
    let Some(cable) = Cable::lay("reload") else { return };
    let folder = tempfile::tempdir().unwrap();
    let (config, events) = (folder.path().join("z.toml"), folder.path().join("events.json"));
    let (_, policy) = plant();
    let queues = folder.path().join("z.db");
    let common = format!("policy = [\"{policy}\"]\n[store]\npath = \"{}\"\n", queues.display());
    let write = |first: &str, last: &str| std::fs::write(&config, format!("{first}\n{common}{last}\n")).unwrap();
    write("flush = \"1s\"", "[http]\nlisten = [\"127.0.0.1:9470\"]");
    let sensor = cable.watch(&["--config", config.to_str().unwrap()]);
    let reload = |first: &str, last: &str| {
        write(first, last);
        sensor.signal("-HUP");
        thread::sleep(Duration::from_millis(1500));
    };
    reload("flush = 3", "");
    let output = format!("[[output]]\ntype = \"file\"\npath = \"{}\"\n", events.display());
    reload("flush = \"1s\"\nworkers = 2", &format!("[http]\nlisten = [\"127.0.0.1:9471\"]\n{output}"));
    reload(
        "flush = \"1s\"\nworkers = 2",
        "[http]\nlisten = [\"192.0.2.1:9472\"]\n[http.tls]\ncertificate = \"/x\"\nkey = \"/y\"",
    );
    thread::sleep(Duration::from_millis(1500));
    let (said, told) = (sensor.said(), std::fs::read_to_string(&events).unwrap_or_default());
    for (case, wanted, text) in [
        ("a mistake is told with its place", format!("{}:1:9: ", config.display()), &said),
        ("and the old one stays", "what was in force stays in force".to_owned(), &said),
        ("the server moves", "serving http://127.0.0.1:9471/".to_owned(), &said),
        (
            "what cannot change is named",
            "'workers' is another one now, which is in force after a restart".to_owned(),
            &said,
        ),
        ("a new output gets it too", "not in force before a restart: workers of the configuration".to_owned(), &told),
        ("an address for others needs a token", "that needs [http.tls] and a [[http.token]]".to_owned(), &said),
        ("whoever watches is told", "the last reload failed: ".to_owned(), &told),
    ] {
        assert!(text.contains(&wanted), "{case}: {wanted:?} is not in\n{text}\nof\n{said}");
    }
}

#[test]
fn a_reload_changes_interfaces_and_evidence() {
    let Some(cable) = Cable::lay("change") else { return };
    cable.inside(&["ip", "link", "set", "lo", "up"]);
    cable.plug_in(["tx1", "rx1"]);
    let (capture, policy) = plant();
    let folder = tempfile::tempdir().unwrap();
    let [config, store, out, evidence] = ["z.toml", "z.db", "out", "evidence"].map(|leaf| folder.path().join(leaf));
    let events = folder.path().join("events.json");
    let write = |interfaces: &str, evidence_limits: &str| {
        let text = format!(
            "flush = \"1s\"\npolicy = [\"{policy}\"]\n{interfaces}\n[store]\npath = \"{}\"\n[evidence]\npath = \"{}\"\n{evidence_limits}\n\
             [[output]]\ntype = \"file\"\npath = \"{}\"\n",
            store.display(),
            evidence.display(),
            events.display()
        );
        fs::write(&config, text).unwrap();
    };
    let [rx0, rx1] = ["rx0", "rx1"].map(|name| format!("[[interface]]\nname = \"{name}\"\n"));
    write(&rx0, "");
    let sensor = cable.start(&["--config", config.to_str().unwrap(), "--out", out.to_str().unwrap()]);
    let reload = |interfaces: &str, limits: &str| {
        write(interfaces, limits);
        sensor.signal("-HUP");
        thread::sleep(Duration::from_millis(2500));
    };
    let told = || fs::read_to_string(&events).unwrap_or_default();
    let kept = || -> u64 { evidence.read_dir().unwrap().flatten().map(|file| file.metadata().unwrap().len()).sum() };

    cable.replay(&capture, "4000");
    thread::sleep(Duration::from_millis(1500));
    assert!(kept() > 100 << 10, "{} bytes of evidence", kept());
    // Both are watched, and the one that was is not disturbed.
    reload(&(rx0.clone() + &rx1), "max_size = \"64KiB\"\nmax_file = \"16KiB\"");
    assert!(kept() <= 64 << 10, "{} bytes of evidence", kept());
    cable.replay_on("tx1", &capture, "4000");
    cable.replay(&capture, "4000");
    thread::sleep(Duration::from_millis(1500));
    // A filter that makes no sense, and a file that cannot be read: nothing changes.
    reload(&format!("{rx1}[[interface]]\nname = \"rx0\"\nfilter = \"no filter\"\n"), "");
    reload(&rx1, "max_size = \"1KiB\"");
    reload(&rx1, "max_size = 7");
    cable.replay(&capture, "4000");
    thread::sleep(Duration::from_millis(1500));
    assert!(kept() <= 64 << 10, "{} bytes of evidence", kept());
    // One is taken out: what comes there is not seen.
    reload(&rx1, "max_size = \"64KiB\"\nmax_file = \"16KiB\"");
    cable.replay(&capture, "4000");
    cable.replay_on("tx1", &capture, "4000");
    thread::sleep(Duration::from_millis(1500));
    let said = sensor.said();

    let once = analyze(&[capture.to_str().unwrap()])["coverage"]["frames"].as_u64().unwrap();
    let live: Value = serde_json::from_slice(&fs::read(out.join("analysis.json")).unwrap()).unwrap();
    let captures = live["captures"].as_array().unwrap().iter();
    let frames: Vec<u64> = captures.clone().map(|it| it["frames"].as_u64().unwrap()).collect();
    assert_eq!(captures.map(|it| it["name"].as_str().unwrap()).collect::<Vec<_>>(), ["rx0", "rx1"]);
    assert_eq!(live["coverage"]["frames"].as_u64(), Some(frames.iter().sum()), "what was read was taken");
    // A busy machine may lose some before anybody can read them.
    let replays: Vec<u64> = frames.iter().map(|frames| (frames + once / 2) / once).collect();
    assert_eq!(replays, [3, 2], "{frames:?}\n{said}");
    let told = told();
    for (case, wanted, text) in [
        ("it came", "rx1 is watched from now on", &told),
        ("its ring is what was left", "not in force before a restart: interface.buffer of the configuration", &told),
        ("it went", "rx0 is not watched any more, as the configuration says now", &told),
        ("the filter", "cannot watch rx0: ", &said),
        ("the limits", "evidence: max_file is at least 16KiB", &said),
        ("the text", "invalid type: integer `7`", &said),
        ("whoever watches is told", "the last reload failed: ", &told),
        ("it is told who is watched", "watching rx1", &said),
    ] {
        assert!(text.contains(wanted), "{case}: {wanted:?} is not in\n{text}\nof\n{said}");
    }
    for never in ["rx0 is not watched: ", "rx1 is not watched: "] {
        assert!(!told.contains(never), "{never:?} is in\n{told}");
    }
}
