//! The sensor as a service: it starts whatever the disk is like, changes while it runs, and stops in time. On a real
//! interface, as in `live`: needs root, iproute2 and tcpreplay; without them the tests skip, and say so.

#![cfg(all(feature = "live", feature = "sensor"))]
#![allow(clippy::print_stderr)] // A test that skips says so.

#[path = "support/cable.rs"]
mod cable;
mod support;

use std::net::TcpListener;
use std::process::{Child, Stdio};
use std::thread;
use std::time::Duration;

use cable::{Cable, run};
use support::root;

fn plant() -> (std::path::PathBuf, String) {
    let folder = root().join("fixtures/plant");
    (folder.join("capture.pcap"), folder.join("plant.toml").to_str().unwrap().to_owned())
}

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
