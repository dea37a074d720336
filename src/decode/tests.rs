//! One row for each way in which a frame can be wrapped.

use proptest::prelude::*;

use super::*;
use crate::source::set::Captures;
use crate::source::tests::hex;
use crate::source::{Batch, LinkType};
use crate::time::Timestamp;

/// `src > dst upper | payload`, with VLANs before and tunnels behind.
fn text(packet: &Packet<'_>) -> String {
    let upper = match packet.upper {
        Upper::Tcp(tcp) => format!(
            "tcp {} {} seq {} flags {:02x} ts {}",
            tcp.src_port, tcp.dst_port, tcp.seq, tcp.flags, tcp.timestamp
        ),
        Upper::Udp { src_port, dst_port } => format!("udp {src_port} {dst_port}"),
        Upper::Icmp { kind, code, v6 } => format!("icmp{} {kind}/{code}", if v6 { "v6" } else { "" }),
        Upper::Ip(number) => format!("ip {number}"),
        Upper::Arp(arp) => format!("arp {} {} is {}", arp.operation, arp.sender_ip, arp.sender_mac),
        Upper::Ethertype(ethertype) => format!("l2 {ethertype:04x}"),
        Upper::Llc(dsap) => format!("llc {dsap:02x}"),
    };
    let vlans: String = packet.vlans.as_slice().iter().map(|id| format!("vlan {id} ")).collect();
    let fragment = packet.ip.and_then(|ip| ip.fragment).map_or(String::new(), |fragment| {
        format!(" fragment {}{} of {}", fragment.offset, if fragment.more { "+" } else { "" }, packet.ip.unwrap().id)
    });
    let payload: String = packet.payload.iter().map(|byte| format!("{byte:02x}")).collect();
    let cut = if packet.cut > 0 { format!(" cut {}", packet.cut) } else { String::new() };
    let tunnels: String = packet
        .tunnels
        .iter()
        .map(|t| format!(" in {} {} {:?}", t.kind.text(), t.key, t.src.map(|src| (src, t.dst.unwrap()))))
        .collect();
    format!("{vlans}{} > {} {upper}{fragment} | {payload}{cut}{tunnels}", packet.src, packet.dst).replace(" None", "")
}

fn frame(link: LinkType, bytes: &[u8], missing: u32) -> Frame<'_> {
    let wire_len = bytes.len() as u32 + missing;
    Frame { at: Timestamp::default(), link, bytes, wire_len, capture: 0, number: 1 }
}

fn check(rows: &[(&str, LinkType, String, u32, &str)]) {
    for (case, link, bytes, missing, want) in rows {
        let bytes = hex(bytes);
        let found = decode(&frame(*link, &bytes, *missing));
        let found = found.map_or_else(|error| error.reason().to_owned(), |packet| text(&packet));
        assert_eq!(found, *want, "{case}");
    }
}

const ETH: &str = "020000000002 020000000001";
/// UDP 10.0.0.1:1 > 10.0.0.2:502 with two bytes.
const UDP: &str = "4500 001e 0007 0000 40 11 0000 0a000001 0a000002  0001 01f6 000a 0000 abcd";
const SEEN: &str = "10.0.0.1 > 10.0.0.2 udp 1 502 | abcd";
/// TCP with the timestamps option behind two NOPs.
const TCP: &str = "4500 0036 0007 4000 40 06 0000 0a000001 0a000002
    c000 01f6 00000064 00000065 80 18 0400 0000 0000  0101 080a 00000539 00000000  abcd";
const UDP6: &str = "6000 0000 000a 11 40 fd000000000000000000000000000001 fd000000000000000000000000000002
    0001 01f6 000a 0000 abcd";
const SEEN6: &str = "fd00::1 > fd00::2 udp 1 502 | abcd";

/// An IPv4 header for `protocol` around `body`, 192.0.2.1 > 192.0.2.2.
fn ip4(protocol: u8, body: &str) -> String {
    format!("4500 {:04x} 0000 0000 40 {protocol:02x} 0000 c0000201 c0000202 {body}", 20 + hex(body).len())
}

/// The same with UDP.
fn udp4(port: u16, body: &str) -> String {
    ip4(17, &format!("c000 {port:04x} {:04x} 0000 {body}", 8 + hex(body).len()))
}

fn eth(ethertype: &str, body: &str) -> String {
    format!("{ETH} {ethertype} {body}")
}

#[test]
fn link_types() {
    use LinkType as L;
    let sll = "0000 0001 0006 020000000001 0000 0800";
    let sll2 = "0800 0000 00000003 0001 00 06 020000000001 0000";
    check(&[
        ("Ethernet, IPv4, UDP", L::ETHERNET, eth("0800", UDP), 0, SEEN),
        ("Ethernet, IPv6, UDP", L::ETHERNET, eth("86dd", UDP6), 0, SEEN6),
        ("TCP", L::ETHERNET, eth("0800", TCP), 0, "10.0.0.1 > 10.0.0.2 tcp 49152 502 seq 100 flags 18 ts 1337 | abcd"),
        ("padding is no payload", L::ETHERNET, eth("0800", UDP) + "000000000000", 0, SEEN),
        ("Linux cooked", L::LINUX_SLL, format!("{sll} {UDP}"), 0, SEEN),
        ("Linux cooked 2", L::LINUX_SLL2, format!("{sll2} {UDP}"), 0, SEEN),
        (
            "Linux cooked, LLDP",
            L::LINUX_SLL,
            "0002 0001 0006 020000000001 0000 88cc 0207".into(),
            0,
            "02:00:00:00:00:01 > 00:00:00:00:00:00 l2 88cc | 0207",
        ),
        (
            "Linux cooked, spanning tree",
            L::LINUX_SLL,
            "0002 0001 0006 020000000001 0000 0004 424203 0000".into(),
            0,
            "02:00:00:00:00:01 > 00:00:00:00:00:00 llc 42 | 0000",
        ),
        ("Linux cooked, CAN", L::LINUX_SLL, "0001 0118 0000 0000000000000000 000c 00".into(), 0, "no-address"),
        ("raw IP", L::RAW, UDP.into(), 0, SEEN),
        ("raw IP, version 6", L::RAW_12, UDP6.into(), 0, SEEN6),
        ("IPv4", L::IPV4, UDP.into(), 0, SEEN),
        ("IPv6", L::IPV6, UDP6.into(), 0, SEEN6),
        ("loopback, little-endian host", L::NULL, format!("02000000 {UDP}"), 0, SEEN),
        ("loopback, big-endian host", L::NULL, format!("00000002 {UDP}"), 0, SEEN),
        ("loopback, Darwin", L::NULL, format!("1e000000 {UDP6}"), 0, SEEN6),
        ("loopback, FreeBSD", L::NULL, format!("1c000000 {UDP6}"), 0, SEEN6),
        ("loopback, OpenBSD", L::LOOP, format!("00000018 {UDP6}"), 0, SEEN6),
        ("loopback of something else", L::NULL, "07000000 00".into(), 0, "no-address"),
        ("PPP", L::PPP, format!("0021 {UDP}"), 0, SEEN),
        ("PPP with HDLC, compressed protocol", L::PPP_HDLC, format!("ff03 57 {UDP6}"), 0, SEEN6),
        ("PPP control", L::PPP, "c021 01".into(), 0, "no-address"),
        ("Cisco HDLC", L::C_HDLC, format!("0f00 0800 {UDP}"), 0, SEEN),
        ("CAN", LinkType(227), "00".into(), 0, "link-type"),
        ("a frame of an interface not described", L::UNKNOWN, eth("0800", UDP), 0, "link-type"),
        ("half a header", L::ETHERNET, ETH.into(), 0, "too-short"),
        ("nothing", L::LINUX_SLL2, String::new(), 0, "too-short"),
    ]);
}

#[test]
fn layer_2() {
    let macs = "02:00:00:00:00:01 > 02:00:00:00:00:02";
    let arp = "0001 0800 06 04 0002 020000000001 0a000001 020000000002 0a000002";
    let check_eth = |rows: &[(&str, String, &str)]| {
        for (case, bytes, want) in rows {
            let want = want.replace("MACS", macs);
            check(&[(case, LinkType::ETHERNET, format!("{ETH} {bytes}"), 0, &want)]);
        }
    };
    check_eth(&[
        ("802.1Q", format!("8100 2007 0800 {UDP}"), &format!("vlan 7 {SEEN}")),
        ("QinQ", format!("88a8 0064 8100 0007 0800 {UDP}"), &format!("vlan 100 vlan 7 {SEEN}")),
        (
            "QinQ of old, three tags",
            format!("9100 0001 8100 0002 8100 0003 86dd {UDP6}"),
            &format!("vlan 1 vlan 2 vlan 3 {SEEN6}"),
        ),
        (
            "four tags",
            format!("88a8 0001 8100 0002 8100 0003 8100 0004 0800 {UDP}"),
            &format!("vlan 1 vlan 2 vlan 3 {SEEN}"),
        ),
        ("eighteen tags", "8100 0001".repeat(18), "too-deep"),
        ("a tag cut", "8100 20".into(), "MACS l2 8100 | 20"),
        ("PROFINET, priority tag", "8100 c000 8892 8000".into(), "vlan 0 MACS l2 8892 | 8000"),
        ("ARP", format!("0806 {arp}"), &format!("MACS arp 2 10.0.0.1 is 02:00:00:00:00:01 | {}", arp.replace(' ', ""))),
        ("ARP of another network", "0806 0006 0800 06 04 0001".into(), "MACS l2 0806 | 0006080006040001"),
        ("spanning tree", "0005 424203 0000 000000".into(), "MACS llc 42 | 0000"),
        ("LLC with two bytes of control", "0005 f0f0 0100 aa".into(), "MACS llc f0 | aa"),
        ("SNAP with IP", format!("0026 aaaa03 000000 0800 {UDP}"), SEEN),
        ("SNAP of a maker", "000a aaaa03 00000c 2000 02b4".into(), "MACS llc aa | 00000c200002b4"),
        ("LLC in a tag", "8100 0005 0003 424203".into(), "vlan 5 MACS llc 42 | "),
        ("neither type nor length", "05ff 00".into(), "MACS l2 05ff | 00"),
        ("IP header that is none", "0800 ffff".into(), "bad-ip-header"),
        ("PPPoE", format!("8864 11 00 002a 0020 0021 {UDP}"), &format!("{SEEN} in pppoe 42")),
        ("PPPoE discovery", "8863 1109 0000 0000".into(), "MACS l2 8863 | 110900000000"),
        ("PPPoE, control", "8864 11 00 002a 0004 c0210101".into(), "MACS l2 8864 | 1100002a0004c0210101"),
        ("MPLS, two labels", format!("8847 00064040 00065140 {UDP}"), &format!("{SEEN} in mpls 101")),
        (
            "MPLS with Ethernet",
            format!("8847 00065140 00000000 {ETH} 8100 0009 0800 {UDP}"),
            &format!("vlan 9 {SEEN} in mpls 101"),
        ),
        (
            "MPLS without an end",
            "8847".to_owned() + &"00064040".repeat(9),
            &format!("MACS l2 8847 | {}", "00064040".repeat(9)),
        ),
    ]);
}

#[test]
fn tunnels() {
    let inner = eth("0800", UDP);
    let inner6 = format!("{ETH} 8100 0007 86dd {UDP6}");
    let within = |what: &str| format!("{SEEN} in {what} Some((192.0.2.1, 192.0.2.2))");
    let within6 = |what: &str| format!("vlan 7 {SEEN6} in {what} Some((192.0.2.1, 192.0.2.2))");
    let outer = |what: &str| format!("192.0.2.1 > 192.0.2.2 {what}");
    for (case, bytes, want) in [
        ("IP in IP", ip4(4, UDP), within("ip-in-ip 0")),
        ("IPv6 in IPv4", ip4(41, UDP6), format!("{SEEN6} in ip-in-ip 0 Some((192.0.2.1, 192.0.2.2))")),
        ("GRE", ip4(47, &format!("0000 0800 {UDP}")), within("gre 0")),
        ("GRE with all fields", ip4(47, &format!("b000 0800 00000000 0000002a 00000001 {UDP}")), within("gre 42")),
        ("GRE, PPTP", ip4(47, &format!("3081 880b 0022002a 00000001 00000000 ff03 0021 {UDP}")), within("gre 2228266")),
        ("NVGRE", ip4(47, &format!("2000 6558 00002a00 {inner}")), within("gre 10752")),
        (
            "GRE with MPLS",
            ip4(47, &format!("0000 8847 00065140 {UDP}")),
            format!("{SEEN} in gre 0 Some((192.0.2.1, 192.0.2.2)) in mpls 101"),
        ),
        ("GRE of something else", ip4(47, "0000 88cc 00"), outer("ip 47 | 000088cc00")),
        ("GRE with an inside that is no IP", ip4(47, "0000 0800 ff"), outer("ip 47 | 00000800ff")),
        ("ERSPAN I", ip4(47, &format!("0000 88be {inner}")), within("erspan 0")),
        ("ERSPAN II", ip4(47, &format!("1000 88be 00000001 1007002a 00000005 {inner6}")), within6("erspan 42")),
        (
            "ERSPAN III",
            ip4(47, &format!("1000 22eb 00000001 2007002a 00000005 0000 0000 {inner6}")),
            within6("erspan 42"),
        ),
        (
            "ERSPAN III with platform sub-header",
            ip4(47, &format!("1000 22eb 00000001 2007002a 00000005 0000 0001 1234567890abcdef {inner}")),
            within("erspan 42"),
        ),
        (
            "ERSPAN III of IP",
            ip4(47, &format!("1000 22eb 00000001 2007002a 00000005 0000 0800 {UDP}")),
            within("erspan 42"),
        ),
        ("VXLAN", udp4(4789, &format!("08000000 00002a00 {inner}")), within("vxlan 42")),
        ("VXLAN of Linux, group policy", udp4(8472, &format!("88000001 00002a00 {inner6}")), within6("vxlan 42")),
        ("VXLAN without its flag", udp4(4789, "00000000 00002a00"), outer("udp 49152 4789 | 0000000000002a00")),
        ("VXLAN-GPE of IP", udp4(4790, &format!("0c000001 00002a00 {UDP}")), within("vxlan 42")),
        (
            "VXLAN, reserved bytes set and nothing known inside",
            udp4(4790, &format!("08000001 00002a00 {ETH} 1234")),
            outer("udp 49152 4790 | 0800000100002a000200000000020200000000011234"),
        ),
        ("VXLAN, reserved bits set", udp4(4789, &format!("ff01d1f2 00002a07 {inner}")), within("vxlan 42")),
        (
            "VXLAN, reserved bits set and nothing known inside",
            udp4(4789, &format!("ff01d1f2 00002a07 {ETH} 1234")),
            outer("udp 49152 4789 | ff01d1f200002a070200000000020200000000011234"),
        ),
        (
            "ERSPAN III, frame type 7",
            ip4(47, &format!("1000 22eb 00000001 2007002a 00000005 0000 1e00 1234567890abcdef {inner}")),
            within("erspan 42"),
        ),
        (
            "ERSPAN III, frame of another kind",
            ip4(47, "1000 22eb 00000001 2007002a 00000005 0000 0c00 ab"),
            outer("ip 47 | 100022eb000000012007002a0000000500000c00ab"),
        ),
        ("GENEVE with an option", udp4(6081, &format!("01 00 6558 00002a 00 00000000 {inner}")), within("geneve 42")),
        ("GENEVE of IP", udp4(6081, &format!("00 40 0800 00002a 00 {UDP}")), within("geneve 42")),
        ("a client's port that is GENEVE's by chance", udp4(6081, "abcdef"), outer("udp 49152 6081 | abcdef")),
        (
            "ERSPAN in VXLAN",
            udp4(4789, &format!("08000000 00002a00 {ETH} 0800 {}", ip4(47, &format!("0000 88be {inner}")))),
            within("vxlan 42 Some((192.0.2.1, 192.0.2.2)) in erspan 0"),
        ),
        (
            "LLDP in VXLAN",
            udp4(4789, &format!("08000000 00002a00 {ETH} 88cc 0207")),
            "02:00:00:00:00:01 > 02:00:00:00:00:02 l2 88cc | 0207 in vxlan 42 Some((192.0.2.1, 192.0.2.2))".into(),
        ),
        (
            "five deep",
            ip4(4, &ip4(4, &ip4(4, &ip4(4, &ip4(4, UDP))))),
            format!(
                "{}{}",
                outer(&format!("ip 4 | {}", UDP.replace([' ', '\n'], ""))),
                " in ip-in-ip 0 Some((192.0.2.1, 192.0.2.2))".repeat(4)
            ),
        ),
    ] {
        check(&[(case, LinkType::RAW, bytes, 0, &want)]);
    }
}

#[test]
fn internet() {
    use LinkType as L;
    let v6 = |next: &str, body: &str| {
        format!(
            "6000 0000 {:04x} {next} 40 fd000000000000000000000000000001 fd000000000000000000000000000002 {body}",
            hex(body).len()
        )
    };
    let udp = "0001 01f6 000a 0000 abcd";
    let ah = "11 04 0000 00000001 00000001 000000000000000000000000";
    check(&[
        (
            "options",
            L::RAW,
            "4600 0022 0007 0000 40 11 0000 0a000001 0a000002 94040000 0001 01f6 000a 0000 abcd".into(),
            0,
            SEEN,
        ),
        ("total length 0 (segmentation offload)", L::RAW, UDP.replace("001e", "0000"), 0, SEEN),
        ("total length below the header", L::RAW, UDP.replace("001e", "0013"), 0, "bad-ip-header"),
        ("total length past the frame", L::RAW, UDP.replace("001e", "0050"), 0, SEEN),
        (
            "cut by the snap length",
            L::RAW,
            UDP.replace("000a", "001a").replace("001e", "002e"),
            20,
            &format!("{SEEN} cut 16"),
        ),
        ("only padding cut", L::RAW, UDP.into(), 20, SEEN),
        ("header cut by the snap length", L::RAW, UDP[..40].into(), 20, "bad-ip-header"),
        ("UDP header cut", L::RAW, UDP.replace("000a 0000 abcd", ""), 6, "10.0.0.1 > 10.0.0.2 ip 17 | 000101f6 cut 6"),
        (
            "TCP header too short by its own word",
            L::RAW,
            TCP.replace(" 80 18 ", " 40 18 "),
            0,
            "10.0.0.1 > 10.0.0.2 ip 6 | c00001f600000064000000654018040000000000 0101080a0000053900000000abcd"
                .replace("0000 0101", "00000101")
                .as_str(),
        ),
        ("UDP length 0", L::RAW, UDP.replace("000a", "0000"), 0, SEEN),
        ("UDP shorter than its packet", L::RAW, UDP.replace("000a", "0009"), 0, "10.0.0.1 > 10.0.0.2 udp 1 502 | ab"),
        ("ICMP", L::RAW, ip4(1, "0800 0000 0001 0001"), 0, "192.0.2.1 > 192.0.2.2 icmp 8/0 | 00010001"),
        ("ICMPv6", L::RAW, v6("3a", "8700 0000 00000000"), 0, "fd00::1 > fd00::2 icmpv6 135/0 | 00000000"),
        ("OSPF", L::RAW, ip4(89, "02"), 0, "192.0.2.1 > 192.0.2.2 ip 89 | 02"),
        (
            "first fragment",
            L::RAW,
            UDP.replace("0007 0000", "0007 2000"),
            0,
            "10.0.0.1 > 10.0.0.2 ip 17 fragment 0+ of 7 | 000101f6000a0000abcd",
        ),
        (
            "last fragment",
            L::RAW,
            UDP.replace("0007 0000", "0007 0002"),
            0,
            "10.0.0.1 > 10.0.0.2 ip 17 fragment 16 of 7 | 000101f6000a0000abcd",
        ),
        ("do not fragment", L::RAW, UDP.replace("0007 0000", "0007 4000"), 0, SEEN),
        ("authentication header", L::RAW, ip4(51, &format!("{ah} {udp}")), 0, "192.0.2.1 > 192.0.2.2 udp 1 502 | abcd"),
        (
            "IPv6, hop-by-hop and destination options",
            L::RAW,
            v6("00", &format!("3c00 010400000000 1100 010400000000 {udp}")),
            0,
            SEEN6,
        ),
        ("IPv6, atomic fragment", L::RAW, v6("2c", &format!("1100 0000 00000009 {udp}")), 0, SEEN6),
        (
            "IPv6, fragment",
            L::RAW,
            v6("2c", "1100 0009 00000009 0102"),
            0,
            "fd00::1 > fd00::2 ip 17 fragment 8+ of 9 | 0102",
        ),
        ("IPv6, authentication header", L::RAW, v6("33", &format!("{ah} {udp}")), 0, SEEN6),
        ("IPv6, extension header cut", L::RAW, v6("3c", "1101 0000"), 0, "fd00::1 > fd00::2 ip 60 | 11010000"),
        ("IPv6, no next header", L::RAW, v6("3b", ""), 0, "fd00::1 > fd00::2 ip 59 | "),
        ("IPv6, length 0", L::RAW, UDP6.replace("0000 000a", "0000 0000"), 0, SEEN6),
        (
            "IPv6 for a mapped address",
            L::RAW,
            UDP6.replace("fd000000000000000000000000000001", "00000000000000000000ffff0a000001"),
            0,
            "10.0.0.1 > fd00::2 udp 1 502 | abcd",
        ),
    ]);
}

/// The fast way gives what the layers give one by one, and what `etherparse` says of the whole frame.
fn same(bytes: &[u8], missing: u32) {
    let frame = frame(LinkType::ETHERNET, bytes, missing);
    let mut plain = Headers { seq: 1, flags: 2, timestamp: 3, cut: 4, is_fragment: true, ..Headers::default() };
    if !plain.read(&frame) {
        return;
    }
    let packet = link::frame(&frame).unwrap();
    assert_eq!(plain, Headers::of(&packet));
    assert!(packet.tunnels.is_empty());
    assert_eq!((plain.way.src_mac(), plain.way.dst_mac()), (packet.src_mac, packet.dst_mac));
    let vlans = plain.way.vlans();
    let vlans: &[u16] = vlans.split(|id| *id == 0).next().unwrap();
    let tagged = packet.vlans.as_slice().split(|id| *id == 0).next().unwrap();
    assert_eq!((vlans, plain.way.ttl()), (tagged, packet.ip.unwrap().ttl));
    let whole = etherparse::SlicedPacket::from_ethernet(bytes).unwrap();
    let (ports, payload) = match whole.transport.unwrap() {
        etherparse::TransportSlice::Tcp(tcp) => ((tcp.source_port(), tcp.destination_port()), tcp.payload()),
        etherparse::TransportSlice::Udp(udp) => ((udp.source_port(), udp.destination_port()), udp.payload()),
        other => panic!("{other:?}"),
    };
    let (src, dst): (std::net::IpAddr, std::net::IpAddr) = match whole.net.unwrap() {
        etherparse::NetSlice::Ipv4(ip) => (ip.header().source_addr().into(), ip.header().destination_addr().into()),
        etherparse::NetSlice::Ipv6(ip) => (ip.header().source_addr().into(), ip.header().destination_addr().into()),
        other => panic!("{other:?}"),
    };
    assert_eq!((plain.ports.into(), plain.payload, plain.src, plain.dst), (ports, payload, src.into(), dst.into()));
}

/// The same for every frame of real captures, where they are at hand (see tests/decode_truth.rs).
#[test]
#[allow(clippy::print_stderr)] // A test that did not run must say so.
fn fast_and_slow_agree_on_real_frames() {
    let shared = std::env::var_os("ZONEWATCH_SHARED")
        .map_or_else(|| std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared"), Into::into);
    let corpus = shared.join("corpus/captures");
    if !corpus.is_dir() {
        eprintln!("SKIPPED: no corpus of captures beside the work tree, and no ZONEWATCH_SHARED");
        return;
    }
    let (mut captures, _) = Captures::open(&[corpus]);
    let mut batch = Batch::default();
    while captures.fill(&mut batch) {
        for frame in batch.frames().filter(|frame| frame.link == LinkType::ETHERNET) {
            same(frame.bytes, frame.wire_len - frame.bytes.len() as u32);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// Frames that are nearly right, with some bytes changed, cut anywhere.
    #[test]
    fn fast_and_slow_agree(
        which in 0..5_usize,
        changes in prop::collection::vec((0..80_usize, any::<u8>()), 0..4),
        cut in 0..100_usize,
        missing in 0..40_u32,
    ) {
        let tagged = format!("{ETH} 8100 0007 0800 {TCP}");
        let frames = [eth("0800", UDP), eth("0800", TCP), eth("86dd", UDP6), tagged, eth("0800", UDP) + "0000"];
        let mut bytes = hex(&frames[which]);
        for (place, value) in changes {
            if let Some(byte) = bytes.get_mut(place) {
                *byte = value;
            }
        }
        bytes.truncate(bytes.len().max(cut.max(14)) - cut.saturating_sub(80));
        same(&bytes, missing);
    }

    /// Any bytes on any link type: no panic, the payload is a part of the frame, and no more is said to be cut off than
    /// was.
    #[test]
    fn hostile_bytes(
        link in prop::sample::select(vec![0, 1, 9, 12, 50, 51, 101, 104, 108, 113, 228, 229, 276]),
        head in 0..9_usize,
        bytes in prop::collection::vec(any::<u8>(), 0..200),
        missing in 0..100_u32,
    ) {
        let heads = [
            String::new(),
            eth("0800", ""),
            eth("86dd", ""),
            eth("8100 0001 88a8 0002 8847", ""),
            eth("8864 1100 0001 0040 0021", ""),
            eth("0800", &ip4(47, "")),
            eth("0800", &udp4(4789, "08000000 00000100").replace("0024", "0100").replace("0010", "00ec")),
            eth("0800", &udp4(6081, "")),
            eth("86dd", "6000 0000 0080 00 40 fd000000000000000000000000000001 fd000000000000000000000000000002"),
        ];
        let mut whole = hex(&heads[head]);
        whole.extend(bytes);
        if let Ok(packet) = decode(&frame(LinkType(link), &whole, missing)) {
            prop_assert!(packet.cut <= missing);
            let (outer, inner) = (whole.as_ptr_range(), packet.payload.as_ptr_range());
            prop_assert!(packet.payload.is_empty() || outer.start <= inner.start && inner.end <= outer.end);
        }
    }
}
