//! Clients that are slow, many, big or rude. The server's patience in these tests is a second.

use std::io::{Read, Write};
use std::time::{Duration, Instant};

use zonewatch::config::Http;
use zonewatch::event::{Event, Health, Kind, Record};
use zonewatch::policy::Band;
use zonewatch::time::Timestamp;

use super::{Running, loopback};

#[test]
fn who_is_slow_is_cut_off() {
    let running = Running::start(&loopback());
    for (case, bytes) in [
        ("nothing", ""),
        ("half a header", "GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Half"),
        ("an answer, and then nothing", "GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"),
    ] {
        let mut stream = running.client().connect();
        stream.write_all(bytes.as_bytes()).unwrap();
        let began = Instant::now();
        let mut text = Vec::new();
        let _ = stream.read_to_end(&mut text);
        let took = began.elapsed();
        assert!(took > Duration::from_millis(500) && took < Duration::from_secs(5), "{case}: {took:?}");
    }
}

#[test]
fn a_drop_of_a_header_now_and_then_does_not_hold_a_connection() {
    let running = Running::start(&loopback());
    let mut stream = running.client().connect();
    stream.write_all(b"GET /metrics HTTP/1.1\r\n").unwrap();
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(10) && stream.write_all(b"X-Drip: 1\r\n").is_ok() {
        std::thread::sleep(Duration::from_millis(200));
    }
    assert!(began.elapsed() < Duration::from_secs(5));
}

#[test]
fn who_does_not_read_is_cut_off() {
    let running = Running::start(&loopback());
    let mut stream = running.client().connect();
    stream.set_write_timeout(Some(Duration::from_secs(1))).unwrap();
    // More answers than all buffers on the way hold.
    let request = "GET /api/v1/snapshot HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".repeat(10_000);
    let _ = stream.write_all(request.as_bytes());
    let began = Instant::now();
    while !running.get("/metrics").body.contains("zonewatch_http_refused_total{why=\"slow\"} 1") {
        assert!(began.elapsed() < Duration::from_secs(30), "it is still served");
        std::thread::sleep(Duration::from_millis(200));
    }
    assert!(running.get("/metrics").body.contains("zonewatch_http_connections 1"));
    drop(stream);
}

#[test]
fn there_is_room_for_so_many() {
    let running = Running::start(&Http { connections: 4, ..loopback() });
    let mut held: Vec<_> = (0..4).map(|_| running.client().connect()).collect();
    std::thread::sleep(Duration::from_millis(200));
    let mut one_more = running.client().connect();
    let began = Instant::now();
    let _ = one_more.write_all(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n");
    let mut text = Vec::new();
    let _ = one_more.read_to_end(&mut text);
    assert!(text.is_empty() && began.elapsed() < Duration::from_millis(700), "closed at once");
    // The silent ones are sent away, and there is room again.
    held.iter_mut().for_each(|stream| drop(stream.read(&mut [0])));
    std::thread::sleep(Duration::from_millis(300));
    let sheet = running.get("/metrics");
    assert!(sheet.body.contains("zonewatch_http_refused_total{why=\"connections\"} 1"), "{}", sheet.body);
}

#[test]
fn what_is_too_big_is_refused() {
    let running = Running::start(&loopback());
    let request = |head: &str| format!("{head}\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n");
    let many = (0..200).map(|n| format!("\r\nX-{n}: 1")).collect::<String>();
    for (case, bytes, want) in [
        ("a huge header", request(&format!("GET /metrics HTTP/1.1\r\nX-Huge: {}", "x".repeat(1 << 20))), 431),
        ("many headers", request(&format!("GET /metrics HTTP/1.1{many}")), 431),
        ("a long path", request(&format!("GET /{} HTTP/1.1", "x".repeat(1 << 20))), 414),
        ("a long word", request(&format!("GET /api/v1/assets?q={} HTTP/1.1", "x".repeat(1000))), 400),
        ("no HTTP", "\u{16}\u{3}\u{1}\u{2}\r\n\r\n".to_owned(), 400),
        ("a version of the future", request("GET / HTTP/9.9"), 400),
    ] {
        // A reset may overtake the answer: to be cut off is all right as well.
        let status = running.client().raw(&bytes).map_or(want, |answer| answer.status);
        assert!(status == want || (want == 414 && status == 431), "{case}: {status}");
        assert_eq!(running.get("/healthz").status, 200, "{case}");
    }
}

/// What a keeper tells.
fn event(sequence: u64) -> Event {
    let text = "eth1 lost\n2 frames".to_owned();
    Event {
        sequence,
        time: Timestamp::new(1, 0),
        kind: Kind::Health,
        band: Band::Low,
        score: 20,
        site: String::new(),
        sensor: "s1".to_owned(),
        revision: 0,
        record: Record::Health(Health { topic: "capture-loss".to_owned(), text }),
    }
}

#[test]
fn events_come_and_end() {
    let running = Running::start(&loopback());
    let mut stream = running.client().connect();
    stream.write_all(b"GET /api/v1/events HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n").unwrap();
    let mut text = String::new();
    let mut read_until = |what: &str, text: &mut String| {
        let began = Instant::now();
        while !text.contains(what) {
            let mut bytes = [0; 4096];
            let count = stream.read(&mut bytes).unwrap();
            assert!(count > 0 && began.elapsed() < Duration::from_secs(10), "no {what} in {text}");
            *text += &String::from_utf8_lossy(&bytes[..count]);
        }
    };
    read_until("listening", &mut text);
    let many: Vec<Event> = (0..300).map(event).collect();
    running.streams.flushed(&super::plant(), &many);
    read_until("event: flush", &mut text);
    for what in [
        "text/event-stream",
        "event: health\ndata: {",
        "\nid: ",
        "event: more\ndata: {\"count\":44}",
        "\"sequence\":255",
    ] {
        assert!(text.contains(what), "{what} in {text}");
    }
    assert!(text.lines().all(|line| !line.starts_with("2 frames")), "a line end of a text is none of the stream");

    // Who stays behind is cut off, and nobody waits for it.
    let reads = || running.get("/metrics").body.contains("zonewatch_http_event_readers 1");
    assert!(reads());
    let began = Instant::now();
    while reads() {
        assert!(began.elapsed() < Duration::from_secs(20), "it is still served");
        (0..100).for_each(|_| running.streams.flushed(&super::plant(), &many));
    }
}

#[test]
fn it_stops_within_two_seconds() {
    let Running { server, .. } = {
        let running = Running::start(&Http { timeout: zonewatch::config::Seconds(60), ..loopback() });
        let mut listener = running.client().connect();
        listener.write_all(b"GET /api/v1/events HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n").unwrap();
        let silent = running.client().connect();
        std::thread::sleep(Duration::from_millis(200));
        std::mem::forget((listener, silent));
        running
    };
    let address = server.addresses[0];
    let began = Instant::now();
    server.stop();
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    assert!(std::net::TcpStream::connect(address).is_err());
}

#[test]
fn an_address_that_is_taken_is_told() {
    let running = Running::start(&loopback());
    let served = zonewatch::output::http::Served {
        shared: super::plant(),
        streams: std::sync::Arc::default(),
        flush: Duration::from_secs(10),
        audit: zonewatch::output::http::audit::Audit::to(Box::new(std::io::sink())),
        operator: std::sync::Arc::new(super::Wishes::default()),
    };
    let config = Http { listen: running.server.addresses.clone(), ..loopback() };
    let error = zonewatch::output::http::Server::start(&config, served).err().unwrap().to_string();
    assert!(error.starts_with("cannot listen on 127.0.0.1:") && error.contains("hint"), "{error}");
}
