//! Conversations, told as lines. Codes are class and service: `0x10e` is Get_Attribute_Single of class 0x01.

use super::{Enip, EnipIo};
use crate::testkit::{cut, dissect, feed, hex};
use crate::{Carrier, Direction, Limits, Pdu, Protocol, Role, testkit};

const HEADER: &str = "07000000 00000000";

fn encapsulate(command: u16, context: u64, data: &[u8]) -> Vec<u8> {
    let length = u16::try_from(data.len()).unwrap();
    [&command.to_le_bytes()[..], &length.to_le_bytes(), &hex(HEADER), &context.to_le_bytes(), &[0; 4], data].concat()
}

/// SendRRData with an unconnected message.
fn unconnected(context: u64, cip: &str) -> Vec<u8> {
    let cip = hex(cip);
    let length = u16::try_from(cip.len()).unwrap();
    let items = [&hex("00000000 0000 0200 0000 0000 B200")[..], &length.to_le_bytes(), &cip].concat();
    encapsulate(0x6F, context, &items)
}

/// SendUnitData with a connected message.
fn connected(id: u32, sequence: u16, cip: &str) -> Vec<u8> {
    let cip = hex(cip);
    let length = u16::try_from(cip.len() + 2).unwrap();
    let head = [&hex("00000000 0000 0200 A100 0400")[..], &id.to_le_bytes(), &hex("B100"), &length.to_le_bytes()];
    encapsulate(0x70, 0, &[&head.concat()[..], &sequence.to_le_bytes(), &cip].concat())
}

/// Who sends a PDU, as tests write it.
const CLIENT: Direction = Direction::ToServer;
const SERVER: Direction = Direction::ToClient;

type Turns = Vec<(Direction, Vec<u8>)>;

fn tell(turns: &Turns) -> Vec<String> {
    let mut session = Enip.session(&Limits::default());
    turns.iter().flat_map(|(from, pdu)| dissect(session.as_mut(), *from, Carrier::Tcp, pdu)).collect()
}

fn check(case: &str, turns: Turns, want: &[&str]) {
    assert_eq!(tell(&turns), want, "{case}");
    let flipped: Turns = turns.iter().map(|(from, pdu)| (from.reverse(), pdu.clone())).collect();
    assert_eq!(tell(&flipped), want, "{case}: the bytes say who asks, not the direction");
    let borrowed: Vec<_> = turns.iter().map(|(from, pdu)| (*from, pdu.as_slice())).collect();
    for sizes in [&[1][..], &[7, 24, 100], &[10_000]] {
        assert_eq!(feed(&Enip, &cut(&borrowed, sizes)), want, "{case}: cut into {sizes:?}");
    }
}

/// Identity object of a controller: vendor 1, type 0x0E, code 54, 16.20, status 0x3060, serial, `1756-L61`.
const L61: &str = "0100 0E00 3600 10 14 6030 3F825100 08 313735362D4C3631";
/// Of an adapter: vendor 0x270F, type 0x0C, code 58, 4.3.
const UNKNOWN_MAKER: &str = "0F27 0C00 3A00 04 03 3000 8E4D5200 01 58";

const L61_LINES: [&str; 8] = [
    "vendor=Rockwell Automation/Allen-Bradley",
    "device-type=Programmable Logic Controller",
    "role=plc (95 % CIP device type 0x0E)",
    "product-code=54",
    "firmware=16.20",
    "status=0x3060",
    "serial=0x0051823f",
    "product=1756-L61",
];

fn of(component: &str, lines: &[&str]) -> Vec<String> {
    lines.iter().map(|line| format!("{component}{line}")).collect()
}

fn with<'a>(before: &[&'a str], lines: &'a [String]) -> Vec<&'a str> {
    before.iter().copied().chain(lines.iter().map(String::as_str)).collect()
}

#[test]
fn identity_however_it_is_asked_for() {
    let reply = |cip: &str| cip.replace("L61", L61);
    let l61 = of("", &L61_LINES);
    check(
        "all attributes, unconnected",
        vec![(CLIENT, unconnected(1, "01 02 2001 2401")), (SERVER, unconnected(1, &reply("81 00 00 00 L61")))],
        &with(&["ask 0x101 discovery instance 1-1", "answer 0x101 discovery instance 1-1"], &l61),
    );
    check(
        "all attributes, connected, Forward Open not seen",
        vec![(CLIENT, connected(0xA, 1, "01 02 2001 2401")), (SERVER, connected(0xB, 1, &reply("81 00 00 00 L61")))],
        &with(
            &["ask 0x101 discovery instance 1-1", "answer 0x101 discovery instance 1-1"],
            // Only role signs show their weight: the device may speak for a module behind it.
            &of(
                "",
                &L61_LINES
                    .map(|line| if line.starts_with("role") { "role=plc (60 % CIP device type 0x0E)" } else { line }),
            ),
        ),
    );
    check(
        "some attributes; one that it does not have",
        vec![
            (CLIENT, unconnected(1, "03 02 2001 2401 0300 0100 0900 0600")),
            (SERVER, unconnected(1, "83 00 00 00 0300 0100 0000 0100 0900 1400 0600 0000 3F825100")),
        ],
        &[
            "ask 0x103 read instance 1-1",
            "answer 0x103 read instance 1-1",
            "vendor=Rockwell Automation/Allen-Bradley",
            "serial=0x0051823f",
        ],
    );
    check(
        "one attribute",
        vec![(CLIENT, unconnected(1, "0E 03 2001 2401 3007")), (SERVER, unconnected(1, "8E 00 00 00 02 4C31"))],
        &["ask 0x10e discovery instance 1-1", "answer 0x10e discovery instance 1-1", "product=L1"],
    );
    check(
        "inside a Multiple Service Packet",
        vec![
            (CLIENT, unconnected(1, "0A 02 2002 2401 0200 0600 0E00 0E 03 2001 2401 3004 0E 03 2001 2401 3006")),
            (SERVER, unconnected(1, "8A 00 00 00 0200 0600 0C00 8E 00 00 00 1014 8E 00 00 00 3F825100")),
        ],
        &[
            "ask 0x10e discovery instance 1-1",
            "ask 0x10e discovery instance 1-1",
            "answer 0x10e discovery instance 1-1",
            "firmware=16.20",
            "answer 0x10e discovery instance 1-1",
            "serial=0x0051823f",
        ],
    );
    check(
        "an unknown vendor is kept",
        vec![
            (CLIENT, unconnected(1, "01 02 2001 2401")),
            (SERVER, unconnected(1, &format!("81 00 00 00 {UNKNOWN_MAKER}"))),
        ],
        &[
            "ask 0x101 discovery instance 1-1",
            "answer 0x101 discovery instance 1-1",
            "vendor=vendor 0x270f",
            "device-type=Communications Adapter",
            "role=remote-io (85 % CIP device type 0x0C)",
            "product-code=58",
            "firmware=4.3",
            "status=0x0030",
            "serial=0x00524d8e",
            "product=X",
        ],
    );
    check(
        "the class itself is nobody",
        vec![(CLIENT, unconnected(1, "01 02 2001 2400")), (SERVER, unconnected(1, "81 00 00 00 0100 0100"))],
        &["ask 0x101 discovery instance 0-0", "answer 0x101 discovery instance 0-0"],
    );
}

#[test]
fn modules_behind_one_adapter() {
    let ask = |slot: &str| unconnected(1, &format!("52 02 2006 2401 07F9 0600 01 02 2001 2401 01 00 01 {slot}"));
    let answer = |identity: &str| unconnected(1, &format!("81 00 00 00 {identity}"));
    let in_slot_0 = of("cip/1,0 ", &L61_LINES);
    let mut want =
        with(&["ask cip/1,0 0x101 discovery instance 1-1", "answer cip/1,0 0x101 discovery instance 1-1"], &in_slot_0);
    want.extend([
        "ask cip/1,3 0x101 discovery instance 1-1",
        "answer cip/1,3 0x101 discovery instance 1-1",
        "cip/1,3 vendor=vendor 0x270f",
        "cip/1,3 device-type=Communications Adapter",
        "cip/1,3 role=remote-io (85 % CIP device type 0x0C)",
        "cip/1,3 product-code=58",
        "cip/1,3 firmware=4.3",
        "cip/1,3 status=0x0030",
        "cip/1,3 serial=0x00524d8e",
        "cip/1,3 product=X",
        "ask 0x101 discovery instance 1-1",
    ]);
    check(
        "slots 0 and 3 of one chassis, then the adapter itself",
        vec![
            (CLIENT, ask("00")),
            (SERVER, answer(L61)),
            (CLIENT, ask("03")),
            (SERVER, answer(UNKNOWN_MAKER)),
            (CLIENT, unconnected(1, "01 02 2001 2401")),
        ],
        &want,
    );
    check(
        "the router cannot deliver",
        vec![(CLIENT, ask("09")), (SERVER, unconnected(1, "D2 00 01 01 1203 01"))],
        &["ask cip/1,9 0x101 discovery instance 1-1", "refuse:0x3120001 cip/1,9 0x101 discovery instance 1-1"],
    );
    check(
        "an odd message has a pad byte; two hops",
        vec![(
            CLIENT,
            unconnected(1, "52 02 2006 2401 07F9 0900 10 03 2004 2464 3003 55 00 07 00 0102 120A 31302E3132332E342E35"),
        )],
        &["ask cip/1,2/2,10.123.4.5 0x410 write instance 100-100"],
    );
    check(
        "a stop command in a wrapper",
        vec![(CLIENT, unconnected(1, "52 02 2006 2401 05 9D 0600 07 02 2064 2401 01 00 0100"))],
        &["ask cip/1,0 0x6407 mode instance 1-1"],
    );
}

#[test]
fn tags() {
    let path = "9105 4D6F746F7200 2803 9105 5370656564 00";
    check(
        "read, read on, write, change bits",
        vec![
            (CLIENT, connected(0xA, 1, &format!("4C 09 {path} 0100"))),
            (SERVER, connected(0xB, 1, "CC 00 06 00 CA00 00000000")),
            (CLIENT, connected(0xA, 2, &format!("52 09 {path} 0100 00000000"))),
            (SERVER, connected(0xB, 2, "D2 00 00 00 CA00 00000000")),
            (CLIENT, connected(0xA, 3, &format!("4D 09 {path} CA00 0100 00000000"))),
            (SERVER, connected(0xB, 3, "CD 00 FF 01 0721")),
            (CLIENT, connected(0xA, 4, &format!("4E 09 {path} 0400 00000000 00000000"))),
        ],
        &[
            "ask 0x6b4c read tag Motor[3].Speed",
            "answer 0x6b4c read tag Motor[3].Speed",
            "ask 0x6b52 read tag Motor[3].Speed",
            "answer 0x6b52 read tag Motor[3].Speed",
            "ask 0x6b4d write tag Motor[3].Speed",
            "refuse:0x210700ff 0x6b4d write tag Motor[3].Speed",
            "ask 0x6b4e write tag Motor[3].Speed",
        ],
    );
    check(
        "by a 32-bit instance",
        vec![(CLIENT, connected(0xA, 1, "4C 04 206B 2600 78563412 0100"))],
        &["ask 0x6b4c read instance 305419896-305419896"],
    );
}

#[test]
fn multiple_service_packets() {
    let ask = "0A 02 2002 2401 0300 0800 1000 1800 0E 03 20F6 2401 3001 10 03 2004 2464 3003 4C 02 9102 4142 0100";
    let asked = ["ask 0xf60e read instance 1-1", "ask 0x410 write instance 100-100", "ask 0x6b4c read tag AB"];
    check(
        "one is refused; the additional status counts words",
        vec![
            (CLIENT, connected(0xA, 1, ask)),
            (
                SERVER,
                connected(
                    0xB,
                    1,
                    "8A 00 1E 00 0300 0800 1000 1600 8E 00 00 00 64000000 90 00 FF 01 0721 CC 00 00 00 C300 0100",
                ),
            ),
        ],
        &[
            asked[0],
            asked[1],
            asked[2],
            "answer 0xf60e read instance 1-1",
            "refuse:0x210700ff 0x410 write instance 100-100",
            "answer 0x6b4c read tag AB",
        ],
    );
    check(
        "refused as a whole",
        vec![(CLIENT, connected(0xA, 1, ask)), (SERVER, connected(0xB, 1, "8A 00 08 00"))],
        &[
            asked[0],
            asked[1],
            asked[2],
            "refuse:0x8 0xf60e read instance 1-1",
            "refuse:0x8 0x410 write instance 100-100",
            "refuse:0x8 0x6b4c read tag AB",
        ],
    );
    check(
        "behind a slot, in an Unconnected Send",
        vec![
            (
                CLIENT,
                unconnected(1, "52 02 2006 2401 07F9 1200 0A 02 2002 2401 0100 0400 0E 03 2001 2401 3006 01 00 0102"),
            ),
            (SERVER, unconnected(1, "8A 00 00 00 0100 0400 8E 00 00 00 3F825100")),
        ],
        &[
            "ask cip/1,2 0x10e discovery instance 1-1",
            "answer cip/1,2 0x10e discovery instance 1-1",
            "cip/1,2 serial=0x0051823f",
        ],
    );
    check(
        "an offset behind the end, and one back into the packet",
        vec![(CLIENT, connected(0xA, 1, "0A 02 2002 2401 0300 0800 FF00 0800 0E 03 20F6 2401 3001"))],
        &["ask 0xf60e read instance 1-1", "anomaly@58 service offset", "anomaly@60 service offset"],
    );
    check("no services", vec![(CLIENT, connected(0xA, 1, "0A 02 2002 2401 0000"))], &[]);
    let mut nested = "0E 03 20F6 2401 3001".to_owned();
    for _ in 0..10 {
        nested = format!("0A 02 2002 2401 0100 0400 {nested}");
    }
    check(
        "nested without end",
        vec![(CLIENT, connected(0xA, 1, &nested))],
        &["anomaly@126 services are nested too deeply"],
    );
}

/// Forward Open of a class, along a path, with its size in words.
fn forward_open(transport: &str, path: &str) -> Vec<u8> {
    let open = "54 02 2006 2401 07F9 00000080 1300FE80 1400 4D00 F32B9532 00000000 00127A00 F443 00127A00 F443";
    unconnected(1, &format!("{open} {transport} {path}"))
}

const OPENED: &str = "D4 00 00 00 01037900 1300FE80 1400 4D00 F32B9532 00127A00 00127A00 00 00";
const CLOSE: &str = "4E 02 2006 2401 07F9 1400 4D00 F32B9532 03 00 0100 2002 2401";
const ORIGINATOR: [&str; 2] = ["vendor=Rockwell Software Inc.", "serial=0x32952bf3"];

#[test]
fn connections() {
    check(
        "explicit, to a slot: its messages are for the module; closed, they are for nobody known",
        vec![
            (CLIENT, forward_open("A3", "03 0105 2002 2401")),
            (SERVER, unconnected(1, OPENED)),
            (CLIENT, connected(0x790301, 1, "0E 03 2001 2401 3006")),
            (SERVER, connected(0x80FE0013, 1, "8E 00 00 00 3F825100")),
            (SERVER, connected(0x80FE0013, 9, "CC 00 00 00")),
            (CLIENT, unconnected(2, CLOSE)),
            (SERVER, unconnected(2, "CE 00 00 00 1400 4D00 F32B9532 00 00")),
            (CLIENT, connected(0x790301, 2, "0E 03 20F6 2401 3001")),
        ],
        &[
            ORIGINATOR[0],
            ORIGINATOR[1],
            "ask 0x654 session instance 1-1",
            "answer 0x654 session instance 1-1",
            "ask cip/1,5 0x10e discovery instance 1-1",
            "answer cip/1,5 0x10e discovery instance 1-1",
            "cip/1,5 serial=0x0051823f",
            "answer cip/1,5 0x10000000000004c unknown",
            "ask 0x64e session instance 1-1",
            "answer 0x64e session instance 1-1",
            "ask 0xf60e read instance 1-1",
        ],
    );
    check(
        "cyclic data, with an electronic key",
        vec![
            (CLIENT, forward_open("01", "0A 0105 3404 0100 0E00 3600 90 14 2004 2403 2C64 2C65")),
            (SERVER, unconnected(1, OPENED)),
        ],
        &[
            ORIGINATOR[0],
            ORIGINATOR[1],
            "receiver cip/1,5 vendor=Rockwell Automation/Allen-Bradley",
            "receiver cip/1,5 device-type=Programmable Logic Controller",
            "receiver cip/1,5 product-code=54",
            "receiver cip/1,5 firmware=16.20",
            "ask 0x654 io instance 1-1",
            "answer 0x654 io instance 1-1",
            "opens enip-io 0x790301 for receiver",
            "opens enip-io 0x80fe0013 for receiver",
        ],
    );
    check(
        "an adapter is expected: who opens this is a scanner",
        vec![(CLIENT, forward_open("01", "07 3404 0000 0C00 0000 00 00 2004 2403"))],
        &[
            ORIGINATOR[0],
            ORIGINATOR[1],
            "receiver device-type=Communications Adapter",
            "role=plc (80 % originates CIP I/O)",
            "ask 0x654 io instance 1-1",
        ],
    );
    check(
        "a key that takes anything; the device refuses with a reason",
        vec![
            (CLIENT, forward_open("01", "07 3404 0000 0000 0000 00 00 2004 2403")),
            (SERVER, unconnected(1, "D4 00 01 01 1401 1400 4D00 F32B9532 00 00")),
        ],
        &[ORIGINATOR[0], ORIGINATOR[1], "ask 0x654 io instance 1-1", "refuse:0x1140001 0x654 io instance 1-1"],
    );
    check(
        "Large Forward Open",
        vec![(
            CLIENT,
            unconnected(
                1,
                "5B 02 2006 2401 07F9 00000080 1300FE80 1400 4D00 F32B9532 00000000 00127A00 A00F0042 00127A00 A00F0042 A3 02 2002 2401",
            ),
        )],
        &[ORIGINATOR[0], ORIGINATOR[1], "ask 0x65b session instance 1-1"],
    );
    check(
        "a connection to a maker's own object carries no CIP",
        vec![
            (CLIENT, forward_open("A3", "02 20A6 2401")),
            (SERVER, unconnected(1, OPENED)),
            (CLIENT, connected(0x790301, 1, "0000 0000 0F 00")),
        ],
        &[
            ORIGINATOR[0],
            ORIGINATOR[1],
            "ask 0x654 session instance 1-1",
            "answer 0x654 session instance 1-1",
            "opaque 6 bytes: connected data of a maker's own object",
        ],
    );
}

#[test]
fn connected_replies_without_their_forward_open() {
    let ask = |id, sequence| (CLIENT, connected(id, sequence, "4C 02 9102 4142 0100"));
    let answer = |id, sequence| (SERVER, connected(id, sequence, "CC 00 00 00 C300 0100"));
    let (asked, answered, orphan) =
        ["ask 0x6b4c read tag AB", "answer 0x6b4c read tag AB", "answer 0x10000000000004c unknown"].into();
    check(
        "two connections whose counts meet: learned where they differ, then certain",
        vec![
            ask(0xA, 1),
            ask(0xC, 7),
            answer(0xB, 1),
            answer(0xD, 7),
            ask(0xA, 8),
            ask(0xC, 8),
            answer(0xD, 8),
            answer(0xB, 8),
        ],
        &[asked, asked, answered, answered, asked, asked, answered, answered],
    );
    check(
        "two connections with the same count: no guess",
        vec![ask(0xA, 1), ask(0xC, 1), answer(0xB, 1)],
        &[asked, asked, orphan],
    );
    check(
        "another service",
        vec![ask(0xA, 1), (SERVER, connected(0xB, 1, "CD 00 00 00"))],
        &[asked, "answer 0x10000000000004d unknown"],
    );
}

#[test]
fn pairing_by_sender_context() {
    let (ask, answer) = ("0E 03 20F6 2401 3001", "8E 00 00 00 64000000");
    let (asked, answered) = ("ask 0xf60e read instance 1-1", "answer 0xf60e read instance 1-1");
    check(
        "replies in another order",
        vec![
            (CLIENT, unconnected(1, ask)),
            (CLIENT, unconnected(2, "0E 03 2004 2464 3003")),
            (SERVER, unconnected(2, "8E 00 00 00 00")),
            (SERVER, unconnected(1, answer)),
        ],
        &[asked, "ask 0x40e read instance 100-100", "answer 0x40e read instance 100-100", answered],
    );
    check(
        "one context for all, in flight together",
        vec![
            (CLIENT, unconnected(7, ask)),
            (CLIENT, unconnected(7, "0E 03 2004 2464 3003")),
            (SERVER, unconnected(7, answer)),
            (SERVER, unconnected(7, "8E 00 00 00 00")),
        ],
        &[asked, "ask 0x40e read instance 100-100", answered, "answer 0x40e read instance 100-100"],
    );
    check("a reply alone", vec![(SERVER, unconnected(1, answer))], &["answer 0x10000000000000e read"]);
    let mut refused = encapsulate(0x6F, 1, &[]);
    refused[8] = 0x64;
    check(
        "refused by the encapsulation layer",
        vec![(CLIENT, unconnected(1, ask)), (SERVER, refused)],
        &[asked, "refuse:0x64 0xf60e read instance 1-1"],
    );
}

#[test]
fn encapsulation_commands() {
    let item = format!("0100 0C00 2A00 0100 0002 AF12 0A28010A 0000000000000000 {L61} 03");
    let mut register = encapsulate(0x65, 0, &hex("0100 0000"));
    register[4] = 0;
    check(
        "who is there; a session; good bye",
        vec![
            (CLIENT, encapsulate(0x63, 0, &[])),
            (SERVER, encapsulate(0x63, 0, &hex(&item))),
            (CLIENT, encapsulate(0x04, 0, &[])),
            (SERVER, encapsulate(0x04, 0, &hex("0100 0001 1400 0100 2000 436F6D6D756E69636174696F6E730000"))),
            (CLIENT, encapsulate(0x64, 0, &[])),
            (SERVER, encapsulate(0x64, 0, &hex("0000"))),
            (CLIENT, register),
            (SERVER, encapsulate(0x65, 0, &hex("0100 0000"))),
            (CLIENT, encapsulate(0x00, 0, &[])),
            (CLIENT, encapsulate(0x66, 0, &[])),
        ],
        &[
            "ask 0x400000000000063 discovery",
            "answer 0x400000000000063 discovery",
            "own-address=10.40.1.10",
            L61_LINES[0],
            L61_LINES[1],
            L61_LINES[2],
            L61_LINES[3],
            L61_LINES[4],
            L61_LINES[5],
            L61_LINES[6],
            L61_LINES[7],
            "ask 0x400000000000004 discovery",
            "answer 0x400000000000004 discovery",
            "ask 0x400000000000064 discovery",
            "answer 0x400000000000064 discovery",
            "ask 0x400000000000065 session",
            "answer 0x400000000000065 session",
            "tell 0x400000000000000 session",
            "tell 0x400000000000066 session",
        ],
    );
}

#[test]
fn network_objects() {
    check(
        "address, host name, MAC",
        vec![
            (CLIENT, unconnected(1, "0E 03 20F5 2401 3005")),
            (SERVER, unconnected(1, "8E 00 00 00 790AA8C0 00FFFFFF 010AA8C0 00000000 00000000 0000")),
            (CLIENT, unconnected(2, "0E 03 20F5 2401 3006")),
            (SERVER, unconnected(2, "8E 00 00 00 0500 6C696E6531 00")),
            (CLIENT, unconnected(3, "0E 03 20F6 2401 3003")),
            (SERVER, unconnected(3, "8E 00 00 00 0000BC3BD659")),
            (CLIENT, unconnected(4, "01 02 20F5 2401")),
            (
                SERVER,
                unconnected(
                    4,
                    "81 00 00 00 01000000 17000000 01000000 0200 20F6 2401 790AA8C0 00FFFFFF 010AA8C0 00000000 00000000 0000 0200 4131",
                ),
            ),
            (CLIENT, unconnected(5, "10 03 20F5 2401 3005 01000000")),
        ],
        &[
            "ask 0xf50e read instance 1-1",
            "answer 0xf50e read instance 1-1",
            "own-address=192.168.10.121",
            "ask 0xf50e read instance 1-1",
            "answer 0xf50e read instance 1-1",
            "hostname=line1",
            "ask 0xf60e read instance 1-1",
            "answer 0xf60e read instance 1-1",
            "mac=00:00:bc:3b:d6:59",
            "ask 0xf501 read instance 1-1",
            "answer 0xf501 read instance 1-1",
            "own-address=192.168.10.121",
            "hostname=A1",
            "ask 0xf510 config instance 1-1",
        ],
    );
}

#[test]
fn pccc() {
    let ask = |command: &str| format!("4B 02 2067 2401 07 4D00 F32B9532 {command}");
    let answer = |command: &str| format!("CB 00 00 00 07 4D00 F32B9532 {command}");
    check(
        "who asks is told once; a mode change; a refusal of its own",
        vec![
            (CLIENT, unconnected(1, &ask("06 00 63C5 03"))),
            (SERVER, unconnected(1, &answer("46 00 63C5 00 EE 4A 9F 23 313736362D4C4543202020 0000"))),
            (CLIENT, unconnected(2, &ask("0F 00 64C5 80 06"))),
            (SERVER, unconnected(2, &answer("4F F0 64C5 0B"))),
            (CLIENT, unconnected(3, &ask("0F 00 65C5 A2 04 07 89 00 00"))),
            (SERVER, unconnected(3, &answer("4F 00 65C5 01000200"))),
            (CLIENT, unconnected(4, &ask("0F 00 66C5 A3 04 07"))),
        ],
        &[
            ORIGINATOR[0],
            ORIGINATOR[1],
            "ask 0x200000000010603 discovery",
            "product=1766-LEC",
            "role=plc (85 % PCCC diagnostic status answer)",
            "answer 0x200000000010603 discovery",
            "ask 0x200000000010f80 mode",
            "refuse:0xbf0 0x200000000010f80 mode",
            "ask 0x200000000010fa2 read data-table N7:0",
            "answer 0x200000000010fa2 read data-table N7:0",
            "ask 0x200000000010fa3 unknown",
        ],
    );
}

#[test]
fn out_of_specification() {
    let fine = || (CLIENT, unconnected(1, "0E 03 20F6 2401 3001"));
    let asked = "ask 0xf60e read instance 1-1";
    for (case, pdu, want) in [
        ("path longer than the message", unconnected(1, "0E 7F 20F6"), &["anomaly@42 CIP path"][..]),
        (
            "unknown segment",
            unconnected(1, "0E 02 20F6 E000"),
            &["anomaly@44 path segment of unknown type", "ask 0xf60e read"],
        ),
        ("no items", encapsulate(0x6F, 1, &hex("00000000 0000 0000")), &["anomaly@30 no data item"]),
        (
            "an item longer than the packet",
            encapsulate(0x6F, 1, &hex("00000000 0000 0200 0000 0000 B200 6400 0E 03 20F6 2401 3001")),
            &["anomaly@40 item is longer than the packet", asked],
        ),
        (
            "no common packet format at all",
            encapsulate(0x6F, 1, &hex("00000000 0000 0E 03 20F6 2401 3001")),
            &["anomaly@30 no data item", asked],
        ),
        (
            "a reply among requests",
            connected(0xA, 1, "0A 02 2002 2401 0100 0400 8E 00 00 00"),
            &["anomaly@56 a reply among requests"],
        ),
    ] {
        check(case, vec![(CLIENT, pdu), fine()], &[want, &[asked]].concat());
    }
}

#[test]
fn what_the_snap_length_cut_off_is_no_anomaly() {
    let whole = unconnected(1, &format!("81 00 00 00 {L61}"));
    for keep in 24..whole.len() {
        let mut session = Enip.session(&Limits::default());
        dissect(session.as_mut(), CLIENT, Carrier::Udp, &unconnected(1, "01 02 2001 2401"));
        let mut out = testkit::Lines::default();
        let pdu = Pdu { bytes: &whole[..keep], direction: SERVER, carrier: Carrier::Udp, cut: whole.len() - keep };
        session.pdu(pdu, &mut out);
        assert!(out.0.iter().all(|line| !line.starts_with("anomaly")), "{keep}: {:?}", out.0);
        assert_eq!(out.0.iter().any(|line| line == "firmware=16.20"), keep >= 52, "{keep}");
    }
}

#[test]
fn a_gap_forgets_requests_and_keeps_connections() {
    let mut session = Enip.session(&Limits::default());
    let mut say = |from, pdu: Vec<u8>| dissect(session.as_mut(), from, Carrier::Tcp, &pdu);
    say(CLIENT, forward_open("A3", "03 0105 2002 2401"));
    say(SERVER, unconnected(1, OPENED));
    say(CLIENT, connected(0x790301, 1, "0E 03 20F6 2401 3001"));
    session.gap(SERVER);
    let mut say = |from, pdu: Vec<u8>| dissect(session.as_mut(), from, Carrier::Tcp, &pdu);
    assert_eq!(say(SERVER, connected(0x80FE0013, 1, "8E 00 00 00")), ["answer cip/1,5 0x10000000000000e read"]);
    assert_eq!(say(CLIENT, connected(0x790301, 2, "0E 03 20F6 2401 3001")), ["ask cip/1,5 0xf60e read instance 1-1"]);
    assert_eq!(say(SERVER, connected(0x80FE0013, 2, "8E 00 00 00")), ["answer cip/1,5 0xf60e read instance 1-1"]);
}

/// Wherever a capture starts, each PDU is asked or answered as before.
#[test]
fn a_late_start_changes_no_roles() {
    let turns = [
        (CLIENT, unconnected(1, "01 02 2001 2401")),
        (SERVER, unconnected(1, &format!("81 00 00 00 {L61}"))),
        (CLIENT, connected(0xA, 1, "4C 02 9102 4142 0100")),
        (SERVER, connected(0xB, 1, "CC 00 00 00 C300 0100")),
        (CLIENT, encapsulate(0x63, 0, &[])),
    ];
    let want = ["ask", "answer", "ask", "answer", "ask"];
    for start in 0..turns.len() {
        let mut session = Enip.session(&Limits::default());
        for ((_, pdu), want) in turns.iter().zip(want).skip(start) {
            let role = if want == "ask" { Role::Client } else { Role::Server };
            assert_eq!(Enip.probe(pdu), crate::Probe::Yes { sender: Some(role) });
            // The direction is wrong half of the time: it does not matter.
            let lines = dissect(session.as_mut(), CLIENT, Carrier::Tcp, pdu);
            assert!(lines.iter().any(|line| line.starts_with(want)), "from {start}: {lines:?}");
        }
    }
}

#[test]
fn unanswered_requests_are_bounded() {
    let mut session = Enip.session(&Limits::default());
    let mut say = |from, pdu: Vec<u8>| dissect(session.as_mut(), from, Carrier::Tcp, &pdu);
    for context in 0..10_000 {
        say(CLIENT, unconnected(context, "0E 03 20F6 2401 3001"));
    }
    assert_eq!(say(SERVER, unconnected(9_935, "8E 00 00 00")), ["answer 0x10000000000000e read"], "forgotten");
    assert_eq!(
        say(SERVER, unconnected(9_936, "8E 00 00 00")),
        ["answer 0xf60e read instance 1-1"],
        "the 64 last are kept"
    );
}

#[test]
fn cyclic_data() {
    let packet = |id: &str| hex(&format!("0200 0280 0800 {id} 01000000 B100 0600 0100 AABBCCDD"));
    let mut session = EnipIo.session(&Limits::default());
    let mut say = |from, pdu: Vec<u8>| dissect(session.as_mut(), from, Carrier::Udp, &pdu);
    assert_eq!(say(CLIENT, packet("01037900")), ["uses enip-io 0x790301", "tell 0x0 io"]);
    assert_eq!(say(CLIENT, packet("01037900")), ["tell 0x0 io"]);
    assert_eq!(say(SERVER, packet("1300FE80")), ["uses enip-io 0x80fe0013", "tell 0x0 io"]);
    assert_eq!(EnipIo.frame(&packet("01037900")), crate::Framing::Pdu(24));
    assert_eq!(EnipIo.probe(b"\x02\0HTTP/1.1 200 OK"), crate::Probe::No);
}
