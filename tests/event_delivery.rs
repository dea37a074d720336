//! Events on their way out of the process: through a real rsyslog that is stopped in the middle, and out of a sender that
//! is killed in the middle. Nothing may be lost; what comes twice has the same id.

#![cfg(feature = "sensor")]
#![allow(clippy::print_stdout, clippy::print_stderr)] // A test says what it skips, and how much came twice.

use std::collections::BTreeMap;
use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use zonewatch::event::config::{Address, Output, Target, Tls};
use zonewatch::event::format::{Facility, Format};
use zonewatch::event::{Event, Health, Kind, Outbox, Record};
use zonewatch::policy::Band;
use zonewatch::time::Timestamp;

/// An event whose number is its revision and its text.
fn event(number: u64) -> Event {
    // Line ends and a length that differs: what octet counting is for.
    let text = format!("number {number} ends {}", "x".repeat(usize::try_from(number % 50).unwrap()));
    Event {
        sequence: number,
        time: Timestamp::new(1_794_824_100, 0),
        kind: Kind::Health,
        band: Band::Medium,
        score: 45,
        site: "north-mill".into(),
        sensor: "sensor-1".into(),
        revision: number,
        record: Record::Health(Health { topic: "test".into(), text }),
    }
}

/// Time for a stop.
const STOP: Duration = Duration::from_secs(2);

fn output(target: Target, format: Format) -> Output {
    Output {
        name: "out".into(),
        target,
        format,
        facility: Facility::Local3,
        min_severity: Band::Info,
        kinds: Kind::ALL.into(),
        queue: 16 << 20,
    }
}

/// How often each number stands in a file of received messages; every line is whole.
fn received(path: &Path) -> BTreeMap<u64, usize> {
    let mut numbers = BTreeMap::new();
    for line in fs::read_to_string(path).unwrap_or_default().lines() {
        let text = line.split_once("number ").unwrap_or_else(|| panic!("not ours: {line:?}")).1;
        let (number, rest) = text.split_once(" ends ").unwrap_or_else(|| panic!("torn: {line:?}"));
        let number: u64 = number.parse().unwrap();
        assert_eq!(rest, "x".repeat(usize::try_from(number % 50).unwrap()), "torn: {line:?}");
        *numbers.entry(number).or_default() += 1;
    }
    numbers
}

fn until(limit: Duration, what: &str, done: impl Fn() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < limit, "{what}");
        sleep(Duration::from_millis(20));
    }
}

fn run(command: &str, arguments: &[&str], folder: &Path) {
    let done = Command::new(command).args(arguments).current_dir(folder).output();
    let done = done.unwrap_or_else(|error| panic!("{command}: {error}"));
    assert!(done.status.success(), "{command} {arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
}

/// An authority, and certificates from it for the receiver and for us.
fn certificates(folder: &Path) {
    run(
        "openssl",
        &[
            "req",
            "-x509",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-days",
            "30",
            "-subj",
            "/CN=Test CA",
            "-keyout",
            "ca.key",
            "-out",
            "ca.pem",
        ],
        folder,
    );
    for (name, host) in [("server", "siem.example"), ("client", "sensor-1.example")] {
        let (key, request, certificate) = (format!("{name}.key"), format!("{name}.csr"), format!("{name}.pem"));
        let extensions = format!("{name}.ext");
        let usage = if name == "server" { "serverAuth" } else { "clientAuth" };
        fs::write(folder.join(&extensions), format!("subjectAltName=DNS:{host}\nextendedKeyUsage={usage}\n")).unwrap();
        let subject = format!("/CN={host}");
        run(
            "openssl",
            &["req", "-newkey", "rsa:2048", "-nodes", "-subj", &subject, "-keyout", &key, "-out", &request],
            folder,
        );
        run(
            "openssl",
            &[
                "x509",
                "-req",
                "-in",
                &request,
                "-CA",
                "ca.pem",
                "-CAkey",
                "ca.key",
                "-CAcreateserial",
                "-days",
                "30",
                "-extfile",
                &extensions,
                "-out",
                &certificate,
            ],
            folder,
        );
    }
}

/// A receiver: rsyslog with TLS that asks for our certificate, writing each message to `received`.
struct Rsyslog(Child);

impl Rsyslog {
    fn start(folder: &Path, port: u16) -> Self {
        let at = folder.display();
        let config = format!(
            r#"
global(workDirectory="{at}" maxMessageSize="64k"
       defaultNetstreamDriver="gtls" defaultNetstreamDriverCAFile="{at}/ca.pem"
       defaultNetstreamDriverCertFile="{at}/server.pem" defaultNetstreamDriverKeyFile="{at}/server.key")
module(load="imtcp" streamDriver.name="gtls" streamDriver.mode="1" streamDriver.authMode="x509/name"
       permittedPeer="sensor-1.example")
template(name="raw" type="string" string="%rawmsg%\n")
input(type="imtcp" address="127.0.0.1" port="{port}" ruleset="receive")
ruleset(name="receive") {{ action(type="omfile" file="{at}/received" template="raw" asyncWriting="off" flushOnTXEnd="on") }}
"#
        );
        fs::write(folder.join("rsyslog.conf"), config).unwrap();
        let log = fs::File::options().create(true).append(true).open(folder.join("rsyslog.log")).unwrap();
        let child = Command::new(RSYSLOGD)
            .args(["-n", "-f", "rsyslog.conf", "-i"])
            .arg(folder.join("rsyslog.pid"))
            .current_dir(folder)
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        Self(child)
    }

    fn signal(&self, signal: &str) {
        run("kill", &[signal, &self.0.id().to_string()], Path::new("/"));
    }

    /// As its administrator would.
    fn terminate(mut self) {
        self.signal("-TERM");
        self.0.wait().unwrap();
    }
}

impl Drop for Rsyslog {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

const RSYSLOGD: &str = "/usr/sbin/rsyslogd";

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

#[test]
fn rsyslog_with_tls_gets_everything_although_it_is_stopped_and_hangs_and_is_killed_in_the_middle() {
    let gtls = ["/usr/lib", "/usr/lib64"].iter().any(|lib| find(Path::new(lib), "lmnsd_gtls.so", 4).is_some());
    if !Path::new(RSYSLOGD).exists() || !gtls {
        eprintln!("SKIPPED: no rsyslogd with lmnsd_gtls.so here (Debian: rsyslog and rsyslog-gnutls)");
        return;
    }
    let folder = TempDir::new().unwrap();
    let path = folder.path();
    certificates(path);
    let port = free_port();
    let tls = Tls {
        server_name: "siem.example".into(),
        ca: path.join("ca.pem"),
        identity: Some((path.join("client.pem"), path.join("client.key"))),
    };
    let target = |server_name: &str| {
        let tls = Tls { server_name: server_name.into(), ..tls.clone() };
        Target::Tcp(Address { host: "127.0.0.1".into(), port }, Some(tls))
    };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let _guard = runtime.enter();
    let wait = Duration::from_secs(60);
    let connected = |outbox: &Outbox| outbox.health()[0].connected;

    let outbox = Outbox::start(vec![output(target("siem.example"), Format::Rfc5424)], path).unwrap();
    // Put while nobody listens; then received, with a restart of each sort between.
    (0..500).for_each(|number| outbox.put(&event(number)));
    let receiver = Rsyslog::start(path, port);
    until(wait, "the first connection", || connected(&outbox));
    until(wait, "the first messages", || !received_roughly(path).is_empty());
    (500..1000).for_each(|number| outbox.put(&event(number)));
    receiver.terminate();
    (1000..1500).for_each(|number| outbox.put(&event(number)));
    until(wait, "the loss is noticed", || !connected(&outbox));
    let receiver = Rsyslog::start(path, port);
    until(wait, "the second connection", || connected(&outbox));
    // It hangs: what we send is acknowledged by its kernel, and never read.
    receiver.signal("-STOP");
    (1500..2000).for_each(|number| outbox.put(&event(number)));
    sleep(Duration::from_secs(1));
    drop(receiver);
    until(wait, "the kill is noticed", || !connected(&outbox));
    let receiver = Rsyslog::start(path, port);
    until(wait, "the third connection", || connected(&outbox));
    (2000..2100).for_each(|number| outbox.put(&event(number)));
    until(wait, "the last message", || received_roughly(path).contains("number 2099 ends"));
    let health = outbox.health().remove(0);
    runtime.block_on(outbox.stop(STOP));
    receiver.terminate();
    let numbers = received(&path.join("received"));
    assert_eq!(numbers.keys().copied().collect::<Vec<_>>(), (0..2100).collect::<Vec<_>>(), "{health:?}");
    let twice = numbers.values().filter(|count| **count > 1).count();
    println!("{twice} of 2100 came more than once; {} reconnects", health.reconnects);
    // rsyslog has read the header as we meant it: priority, time and all.
    let raw = fs::read_to_string(path.join("received")).unwrap();
    assert!(raw.starts_with(
        "<156>1 2026-11-16T10:15:00.000000Z sensor-1 zonewatch - health [zonewatch@32473 id=\"H-test.0\""
    ));

    // The stop made all of it certain: nothing is sent again.
    let lines = raw.lines().count();
    let receiver = Rsyslog::start(path, port);
    let outbox = Outbox::start(vec![output(target("siem.example"), Format::Rfc5424)], path).unwrap();
    until(wait, "the connection after a restart", || connected(&outbox));
    assert_eq!(outbox.health()[0].queued, 0);
    outbox.put(&event(2100));
    until(wait, "one more", || received_roughly(path).contains("number 2100 ends"));
    runtime.block_on(outbox.stop(STOP));
    assert_eq!(received_roughly(path).lines().count(), lines + 1);

    // Neither a receiver with another name than the one we asked for, nor one that does not know us, gets anything.
    let mut unknown = target("siem.example");
    if let Target::Tcp(_, Some(tls)) = &mut unknown {
        tls.identity = None;
    }
    let wrong_name = &["certificate not valid for name"][..];
    for (target, wants) in [(target("other.example"), wrong_name), (unknown, &["alert", "reset"])] {
        let outbox = Outbox::start(vec![output(target, Format::Rfc5424)], path).unwrap();
        // Until the receiver is there the error is another one.
        let says = |want: &&str| outbox.health()[0].last_error.as_ref().is_some_and(|error| error.contains(want));
        until(wait, "the refusal", || wants.iter().any(says));
        outbox.put(&event(9999));
        runtime.block_on(outbox.stop(STOP));
    }
    receiver.terminate();
    assert!(!received_roughly(path).contains("number 9999"));
}

/// What was received so far, of which the end may be torn.
fn received_roughly(folder: &Path) -> String {
    fs::read_to_string(folder.join("received")).unwrap_or_default()
}

/// A file of that name, so many folders deep.
fn find(folder: &Path, name: &str, depth: usize) -> Option<PathBuf> {
    let entries = fs::read_dir(folder).ok()?;
    entries.flatten().find_map(|entry| match entry.file_name() == name {
        true => Some(entry.path()),
        false if depth > 0 && entry.file_type().is_ok_and(|kind| kind.is_dir()) => find(&entry.path(), name, depth - 1),
        false => None,
    })
}

/// The sender that is killed, in a process of its own: puts events as fast as it can, and says after each that it did.
/// As a test among others it does nothing.
#[test]
fn sender() {
    let Some(folder) = std::env::var_os("ZONEWATCH_TEST_SENDER").map(PathBuf::from) else { return };
    let first: u64 = std::env::var("ZONEWATCH_TEST_FIRST").unwrap().parse().unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let _guard = runtime.enter();
    let target = Target::File(folder.join("events.json"));
    let outbox = Outbox::start(vec![output(target, Format::Rfc5424)], &folder).unwrap();
    for number in first.. {
        outbox.put(&event(number));
        // Renaming is atomic: what stands there was put.
        fs::write(folder.join("put.new"), number.to_string()).unwrap();
        fs::rename(folder.join("put.new"), folder.join("put")).unwrap();
    }
}

#[test]
fn a_killed_sender_loses_nothing_that_it_put() {
    let folder = TempDir::new().unwrap();
    let path = folder.path();
    let put = || fs::read_to_string(path.join("put")).ok().and_then(|text| text.parse::<u64>().ok());
    // Killed at some moment of putting, writing, confirming or deleting, again and again.
    for round in 0..12_u64 {
        let first = put().map_or(0, |last| last + 1);
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "sender"])
            .env("ZONEWATCH_TEST_SENDER", path)
            .env("ZONEWATCH_TEST_FIRST", first.to_string())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        until(Duration::from_secs(60), "the sender puts something", || {
            put().is_some_and(|last| last >= first + 20 * round)
        });
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let last = put().unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let _guard = runtime.enter();
    let outbox = Outbox::start(vec![output(Target::File(path.join("events.json")), Format::Rfc5424)], path).unwrap();
    until(Duration::from_secs(60), "the rest is written", || outbox.health()[0].queued == 0);
    let health = outbox.health().remove(0);
    runtime.block_on(outbox.stop(STOP));
    // A write of the killed one may have ended in the middle of a line, which then stands alone.
    let text = fs::read_to_string(path.join("events.json")).unwrap();
    let numbers: std::collections::BTreeSet<u64> = text.lines().filter_map(whole).collect();
    let missing: Vec<u64> = (0..=last).filter(|number| !numbers.contains(number)).collect();
    assert_eq!(missing, [0; 0], "of {last}; {health:?}");
    let lines = text.lines().count();
    println!("{last} events in 12 kills, {lines} lines, {} torn bytes of the queue", health.torn_bytes);
}

/// The number of a line that is there to its end.
fn whole(line: &str) -> Option<u64> {
    let (number, rest) = line.split_once("number ")?.1.split_once(" ends ")?;
    let number: u64 = number.parse().ok()?;
    (rest == "x".repeat(usize::try_from(number % 50).ok()?)).then_some(number)
}
