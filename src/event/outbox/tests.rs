//! Outputs as a whole, against receivers in this process.

use std::collections::BTreeSet;
use std::time::Instant;

use tempfile::TempDir;
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;

use super::*;
use crate::event::config::{Address, Tls};
use crate::event::format::{Facility, Format};
use crate::event::{Kind, testkit};
use crate::policy::Band;

/// Time for a stop.
const STOP: Duration = Duration::from_secs(1);

fn output(name: &str, target: Target) -> Output {
    Output {
        name: name.into(),
        target,
        format: Format::Json,
        facility: Facility::default(),
        min_severity: Band::Info,
        kinds: Kind::ALL.into(),
        queue: 16 << 20,
    }
}

async fn listener() -> (TcpListener, Target) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, Target::Tcp(Address { host: "127.0.0.1".into(), port }, None))
}

fn put(outbox: &Outbox, sequences: std::ops::Range<u64>) {
    sequences.for_each(|sequence| outbox.put(&Event { sequence, ..testkit::finding() }));
}

/// One message with octet counting; `None` at the end of the stream, or of what there is of it.
async fn message(from: &mut TcpStream) -> Option<u64> {
    let mut length = 0;
    loop {
        match from.read_u8().await.ok()? {
            b' ' => break,
            digit => length = length * 10 + usize::from(digit - b'0'),
        }
    }
    let mut bytes = vec![0; length];
    from.read_exact(&mut bytes).await.ok()?;
    let text = String::from_utf8(bytes).unwrap();
    let (header, json) = text.split_once(" - {").unwrap();
    assert!(header.starts_with("<131>1 2026-11-16T10:15:00.123456Z sensor-1 zonewatch - finding-opened"), "{header}");
    let json: serde_json::Value = serde_json::from_str(&format!("{{{json}")).unwrap();
    json["sequence"].as_u64()
}

async fn until(outbox: &Outbox, what: impl Fn(&[OutputHealth]) -> bool) {
    for _ in 0..1000 {
        if what(&outbox.health()) {
            return;
        }
        sleep(Duration::from_millis(10)).await;
    }
    panic!("{:#?}", outbox.health());
}

#[tokio::test]
async fn a_file_grows_and_is_opened_anew_after_rotation() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("events.json");
    let outbox = Outbox::start(vec![output("file", Target::File(path.clone()))], folder.path()).unwrap();
    put(&outbox, 0..3);
    until(&outbox, |all| all[0].delivered == 3).await;
    let rotated = folder.path().join("events.json.1");
    std::fs::rename(&path, &rotated).unwrap();
    outbox.reopen();
    until(&outbox, |_| path.exists()).await;
    put(&outbox, 3..5);
    until(&outbox, |all| all[0].delivered == 5 && all[0].queued == 0 && all[0].connected).await;
    outbox.stop(STOP).await;
    let lines = |path| std::fs::read_to_string(path).unwrap().lines().count();
    assert_eq!((lines(&rotated), lines(&path)), (3, 2));
}

#[tokio::test]
async fn a_receiver_that_dies_again_and_again_gets_everything() {
    let folder = TempDir::new().unwrap();
    let (listener, target) = listener().await;
    let outbox = Outbox::start(vec![output("tcp", target)], folder.path()).unwrap();
    let receiver = tokio::spawn(async move {
        let mut seen = BTreeSet::new();
        // Two connections end with a reset after some messages; the third is read to its end.
        for most in [1, 40, usize::MAX] {
            let (mut from, _) = listener.accept().await.unwrap();
            let mut read = 0;
            while read < most
                && let Some(sequence) = message(&mut from).await
            {
                seen.insert(sequence);
                read += 1;
            }
        }
        seen
    });
    put(&outbox, 0..100);
    until(&outbox, |all| all[0].reconnects == 2 && all[0].connected).await;
    put(&outbox, 100..150);
    sleep(Duration::from_millis(50)).await;
    let health = outbox.health().remove(0);
    assert!(health.last_error.is_some(), "{health:?}");
    assert_eq!(health.queued, 150, "nothing is certain yet");
    outbox.stop(STOP).await;
    assert_eq!(receiver.await.unwrap(), (0..150).collect());
    assert_eq!(Spool::open(&folder.path().join("tcp"), 16 << 20).waiting().records, 0, "the end made it certain");
}

#[tokio::test]
async fn a_full_window_is_confirmed_by_a_new_connection_and_nothing_comes_twice() {
    let folder = TempDir::new().unwrap();
    let (listener, target) = listener().await;
    let outbox = Outbox::start(vec![output("tcp", target)], folder.path()).unwrap();
    let receiver = tokio::spawn(async move {
        let mut seen = Vec::new();
        let mut connections = 0;
        while seen.len() < 2100 {
            let (mut from, _) = listener.accept().await.unwrap();
            connections += 1;
            while let Some(sequence) = message(&mut from).await {
                seen.push(sequence);
            }
        }
        (seen, connections)
    });
    put(&outbox, 0..2100);
    until(&outbox, |all| all[0].delivered > 1500 && all[0].connected).await;
    let health = outbox.health().remove(0);
    assert_eq!((health.reconnects, health.last_error), (0, None), "that is no failure");
    outbox.stop(STOP).await;
    let (seen, connections) = receiver.await.unwrap();
    assert_eq!(seen, (0..2100).collect::<Vec<_>>());
    assert!((3..10).contains(&connections), "{connections}");
}

#[tokio::test]
async fn a_proxy_that_ends_idle_connections_is_no_failure() {
    let folder = TempDir::new().unwrap();
    let (listener, target) = listener().await;
    let outbox = Outbox::start(vec![output("tcp", target)], folder.path()).unwrap();
    let idle = listener.accept().await.unwrap();
    until(&outbox, |all| all[0].connected).await;
    drop(idle);
    until(&outbox, |all| !all[0].connected).await;
    put(&outbox, 0..1);
    let (mut from, _) = listener.accept().await.unwrap();
    assert_eq!(message(&mut from).await, Some(0));
    let health = outbox.health().remove(0);
    assert_eq!((health.reconnects, health.last_error), (0, None));
    outbox.stop(STOP).await;
}

#[tokio::test]
async fn a_stop_sends_what_is_there_to_send() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("events.json");
    let outbox = Outbox::start(vec![output("file", Target::File(path.clone()))], folder.path()).unwrap();
    // The courier has not run yet.
    put(&outbox, 0..2100);
    outbox.stop(STOP).await;
    assert_eq!(std::fs::read_to_string(path).unwrap().lines().count(), 2100);
}

#[tokio::test]
async fn after_a_stop_the_queues_are_free() {
    let folder = TempDir::new().unwrap();
    let (_listener, target) = listener().await;
    for round in 0..3 {
        let outbox = Outbox::start(vec![output("tcp", target.clone())], folder.path()).unwrap();
        assert_eq!((outbox.health()[0].queue_error.clone(), outbox.health()[0].queued), (None, round));
        put(&outbox, 0..1);
        outbox.stop(STOP).await;
    }
}

#[tokio::test]
async fn a_receiver_that_reads_nothing_holds_up_itself_alone() {
    let folder = TempDir::new().unwrap();
    let (slow, target) = listener().await;
    let outputs = vec![output("slow", target), output("file", Target::File(folder.path().join("events.json")))];
    let outbox = Outbox::start(outputs, folder.path()).unwrap();
    let connection = slow.accept().await.unwrap();
    // More than a window: the end of the first connection stays unconfirmed.
    put(&outbox, 0..3000);
    until(&outbox, |all| all[1].delivered == 3000).await;
    let health = outbox.health();
    assert_eq!((health[0].delivered, health[0].queued), (0, 3000));
    assert_eq!(health[0].oldest_waiting, Some(testkit::TIME));
    let start = Instant::now();
    outbox.stop(STOP).await;
    assert!(start.elapsed() < STOP + Duration::from_millis(300), "{:?}", start.elapsed());
    drop(connection);
    assert_eq!(
        Spool::open(&folder.path().join("slow"), 16 << 20).waiting().records,
        3000,
        "it stays for the next start"
    );
}

#[tokio::test]
async fn without_a_receiver_events_wait_and_the_mildest_are_dropped() {
    let folder = TempDir::new().unwrap();
    let (listener, target) = listener().await;
    drop(listener);
    let outbox = Outbox::start(vec![Output { queue: 256 << 10, ..output("tcp", target) }], folder.path()).unwrap();
    for sequence in 0..400 {
        let band = if sequence % 4 == 0 { Band::Critical } else { Band::Low };
        outbox.put(&Event { sequence, band, ..testkit::finding() });
    }
    let health = outbox.health().remove(0);
    assert_eq!((health.dropped[4], health.connected), (0, false), "{health:?}");
    assert!(health.dropped[1] > 200, "{health:?}");
    assert!(health.queued_bytes <= 256 << 10);
    assert_eq!(health.queued + health.dropped.iter().sum::<u64>(), 400);
    until(&outbox, |all| all[0].last_error.is_some()).await;
    outbox.stop(STOP).await;
}

#[tokio::test]
async fn an_output_whose_certificates_cannot_be_read_does_not_start() {
    let folder = TempDir::new().unwrap();
    let ca = folder.path().join("ca.pem");
    let tls = |server_name: &str| Tls { server_name: server_name.into(), ca: ca.clone(), identity: None };
    let address = || Address { host: "127.0.0.1".into(), port: 1 };
    for (pem, server_name, want) in [
        (None, "siem.example", "ca.pem: "),
        (Some("no PEM"), "siem.example", "ca.pem: there is no certificate in it"),
        (Some(""), "not a name", "`not a name` cannot be the name in a certificate"),
    ] {
        if let Some(pem) = pem {
            std::fs::write(&ca, pem).unwrap();
        }
        let outputs = vec![output("tls", Target::Tcp(address(), Some(tls(server_name))))];
        let Err(mistake) = Outbox::start(outputs, folder.path()) else { panic!("{server_name} started") };
        assert!(mistake.says.contains(want), "{mistake}");
        assert_eq!(mistake.key, "output tls");
    }
}
