//! Packets that a test makes itself, and what the analysis says of them.

use std::net::IpAddr;
use std::sync::Arc;

use serde_json::Value;
use zonewatch::analysis::{self, Options};
use zonewatch::policy::Policy;
use zonewatch::source::set::Captures;

/// Frames of a capture with their times in microseconds since the epoch.
#[derive(Clone, Default)]
pub(crate) struct Tape {
    pub(crate) frames: Vec<(u64, Vec<u8>)>,
    /// Bytes kept of each frame; none: all.
    pub(crate) snap: Option<usize>,
}

impl Tape {
    /// The capture as a file, in the order of time.
    pub(crate) fn pcap(&self) -> Vec<u8> {
        let mut frames = self.frames.clone();
        frames.sort_by_key(|(at, _)| *at);
        let mut file = Vec::new();
        for word in [0xA1B2_C3D4_u32, 0x0004_0002, 0, 0, 262_144, 1] {
            file.extend(word.to_le_bytes());
        }
        for (at, frame) in &frames {
            let kept = &frame[..frame.len().min(self.snap.unwrap_or(usize::MAX))];
            for word in [at / 1_000_000, at % 1_000_000, kept.len() as u64, frame.len() as u64] {
                file.extend((word as u32).to_le_bytes());
            }
            file.extend(kept);
        }
        file
    }

    pub(crate) fn put(&mut self, at: u64, frame: Vec<u8>) {
        self.frames.push((at, frame));
    }

    /// Two captures, the frames before and from a place on.
    pub(crate) fn split(&self, place: usize) -> [Self; 2] {
        let (one, other) = self.frames.split_at(place);
        [one, other].map(|frames| Self { frames: frames.to_vec(), snap: self.snap })
    }
}

/// What the analysis says of some captures, by a policy.
pub(crate) fn analyze(tapes: &[&Tape], policy: &str, workers: usize) -> Value {
    let folder = tempfile::tempdir().unwrap();
    let paths: Vec<_> = (0..tapes.len()).map(|n| folder.path().join(format!("{n}.pcap"))).collect();
    for (path, tape) in paths.iter().zip(tapes) {
        std::fs::write(path, tape.pcap()).unwrap();
    }
    let analysis = analyze_files(&paths, policy, workers).to_string();
    // The folder has another name each time.
    serde_json::from_str(&analysis.replace(&format!("{}/", folder.path().display()), "")).unwrap()
}

/// The same of files.
pub(crate) fn analyze_files(paths: &[std::path::PathBuf], policy: &str, workers: usize) -> Value {
    let policy = Policy::parse("plant.toml", policy).unwrap_or_else(|wrong| panic!("{wrong}\n{policy}"));
    let (mut captures, unreadable) = Captures::open(paths);
    assert!(unreadable.is_empty(), "{unreadable:?}");
    let options = Options { workers, policy: Some(Arc::new(policy)), ..Options::default() };
    let analysis = analysis::run(&mut captures, |captures, batch| captures.fill(batch), &options);
    serde_json::to_value(analysis.view(&captures.summaries(), &[])).unwrap()
}

/// An Ethernet frame.
pub(crate) fn ethernet(ethertype: u16, body: &[u8]) -> Vec<u8> {
    let mut frame = vec![0x02, 0, 0, 0, 0, 2, 0x02, 0, 0, 0, 0, 1];
    frame.extend(ethertype.to_be_bytes());
    frame.extend(body);
    frame
}

/// An IP packet of either version, by its addresses; `id` is the identification of IPv4.
pub(crate) fn ip(src: IpAddr, dst: IpAddr, protocol: u8, id: u16, ttl: u8, body: &[u8]) -> (u16, Vec<u8>) {
    let len = body.len() as u16;
    match (src, dst) {
        (IpAddr::V4(src), IpAddr::V4(dst)) => {
            let mut packet = vec![0x45, 0];
            packet.extend((len + 20).to_be_bytes());
            packet.extend(id.to_be_bytes());
            packet.extend([0x40, 0, ttl, protocol, 0, 0]);
            packet.extend(src.octets());
            packet.extend(dst.octets());
            packet.extend(body);
            (0x0800, packet)
        }
        (IpAddr::V6(src), IpAddr::V6(dst)) => {
            let mut packet = vec![0x60, 0, 0, 0];
            packet.extend(len.to_be_bytes());
            packet.extend([protocol, ttl]);
            packet.extend(src.octets());
            packet.extend(dst.octets());
            packet.extend(body);
            (0x86DD, packet)
        }
        _ => panic!("{src} and {dst} are of two families"),
    }
}

/// A UDP datagram.
pub(crate) fn udp(ports: [u16; 2], body: &[u8]) -> Vec<u8> {
    let mut packet: Vec<u8> = ports.iter().flat_map(|port| port.to_be_bytes()).collect();
    packet.extend((body.len() as u16 + 8).to_be_bytes());
    packet.extend([0, 0]);
    packet.extend(body);
    packet
}

/// What puts an IP packet into a frame: its EtherType and bytes.
pub(crate) type Carry = fn(u16, &[u8]) -> Vec<u8>;

/// A TCP connection that is being written: who, where, when.
pub(crate) struct Talk {
    ends: [(IpAddr, u16); 2],
    next: [u32; 2],
    id: u16,
    /// The time of the next packet, in microseconds.
    pub(crate) now: u64,
    carry: Carry,
}

const SYN: u8 = 0x02;
const ACK: u8 = 0x10;

impl Talk {
    /// Of these two, to a port; nothing is sent yet.
    pub(crate) fn new(client: &str, server: &str, port: u16, now: u64) -> Self {
        let client: IpAddr = client.parse().unwrap();
        let ends = [(client, 49_152 + port % 1_000), (server.parse().unwrap(), port)];
        Self { ends, next: [1_000, 5_000], id: 1, now, carry: ethernet }
    }

    /// The same in other frames.
    pub(crate) fn within(self, carry: Carry) -> Self {
        Self { carry, ..self }
    }

    /// A segment of one side, at a sequence number of its own.
    pub(crate) fn segment(&mut self, tape: &mut Tape, side: usize, seq: u32, flags: u8, payload: &[u8]) {
        let ((src, from), (dst, to)) = (self.ends[side], self.ends[1 - side]);
        let mut tcp: Vec<u8> = [from, to].iter().flat_map(|port| port.to_be_bytes()).collect();
        tcp.extend(seq.to_be_bytes());
        let ack = if flags & ACK == 0 { 0 } else { self.next[1 - side] };
        tcp.extend(ack.to_be_bytes());
        tcp.extend([0x50, flags, 0x20, 0, 0, 0, 0, 0]);
        tcp.extend(payload);
        let (ethertype, packet) = ip(src, dst, 6, self.id, 64, &tcp);
        self.id = self.id % 60_000 + 1;
        tape.put(self.now, (self.carry)(ethertype, &packet));
        self.now += 1_000;
    }

    /// The SYN alone.
    pub(crate) fn knock(&mut self, tape: &mut Tape) {
        self.segment(tape, 0, 999, SYN, b"");
    }

    /// The handshake.
    pub(crate) fn open(mut self, tape: &mut Tape) -> Self {
        self.knock(tape);
        self.segment(tape, 1, 4_999, SYN | ACK, b"");
        self.segment(tape, 0, 1_000, ACK, b"");
        self
    }

    /// Payload of one side, in its place.
    pub(crate) fn say(&mut self, tape: &mut Tape, side: usize, payload: &[u8]) {
        let seq = self.next[side];
        self.segment(tape, side, seq, ACK | 0x08, payload);
        self.next[side] = seq.wrapping_add(payload.len() as u32);
    }

    /// Payload of one side that the capture does not have.
    pub(crate) fn lose(&mut self, side: usize, bytes: u32) {
        self.next[side] = self.next[side].wrapping_add(bytes);
    }

    /// The sequence number that comes next.
    pub(crate) fn seq(&self, side: usize) -> u32 {
        self.next[side]
    }

    /// A request and its answer.
    pub(crate) fn exchange(&mut self, tape: &mut Tape, ask: &[u8], answer: &[u8]) {
        self.say(tape, 0, ask);
        self.say(tape, 1, answer);
    }
}

/// A Modbus TCP ADU.
pub(crate) fn adu(tid: u16, unit: u8, pdu: &[u8]) -> Vec<u8> {
    let mut adu = tid.to_be_bytes().to_vec();
    adu.extend([0, 0]);
    adu.extend((pdu.len() as u16 + 1).to_be_bytes());
    adu.push(unit);
    adu.extend(pdu);
    adu
}

/// Reading ten holding registers from 0, and the answer.
pub(crate) fn read(tid: u16) -> [Vec<u8>; 2] {
    let mut answer = vec![3, 20];
    answer.extend([0; 20]);
    [adu(tid, 1, &[3, 0, 0, 0, 10]), adu(tid, 1, &answer)]
}

/// Writing a holding register, and the answer.
pub(crate) fn write(tid: u16, at: u8) -> [Vec<u8>; 2] {
    let pdu = [6, 0, at, 0, 1];
    [adu(tid, 1, &pdu), adu(tid, 1, &pdu)]
}

/// A workstation registers its NetBIOS name (RFC 1002, 4.2.2).
#[allow(dead_code)] // Some tests know nobody by name.
pub(crate) fn registers(name: &str, from: &str, at: u64, tape: &mut Tape) {
    let mut datagram = vec![0x12, 0x34, 0x29, 0x10, 0, 1, 0, 0, 0, 0, 0, 1, 32];
    let padded = format!("{name:<15}\0");
    datagram.extend(padded.bytes().flat_map(|byte| [b'A' + (byte >> 4), b'A' + (byte & 15)]));
    datagram.extend([0, 0, 0x20, 0, 1, 0xC0, 0x0C, 0, 0x20, 0, 1, 0, 0, 0, 0, 0, 6, 0, 0, 0, 0, 0, 0]);
    let (ethertype, packet) =
        ip(from.parse().unwrap(), "192.168.7.1".parse().unwrap(), 17, 7, 64, &udp([137, 137], &datagram));
    tape.put(at, ethernet(ethertype, &packet));
}
