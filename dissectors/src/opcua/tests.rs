use proptest::prelude::*;

use super::OpcUa;
use super::certificate::tests::DER;
use crate::Direction::{ToClient, ToServer};
use crate::testkit::{Lines, Turn, cut, feed, hex};
use crate::{Carrier, Direction, Framing, Limits, Pdu, Probe, Protocol, Role, Session};

/// 2021-10-14, as the headers below say it.
const TIME: &str = "0080ccfba1c0d701";
/// Token i=0, handle 1, no diagnostics, no audit entry, 10 s, nothing more.
const REQUEST: &str = "0000 0080ccfba1c0d701 01000000 00000000 ffffffff 10270000 000000";
/// A service result of Good, without diagnostics, with a null string table.
const GOOD: &str = "0080ccfba1c0d701 01000000 00000000 00 ffffffff 000000";
const BAD: &str = "0080ccfba1c0d701 01000000 00001f80 00 ffffffff 000000";

fn le(number: usize) -> String {
    (number as u32).to_le_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A String of the wire.
fn s(text: &str) -> String {
    le(text.len()) + &text.bytes().map(|byte| format!("{byte:02x}")).collect::<String>()
}

fn id(number: u16) -> String {
    format!("0100 {:02x}{:02x}", number & 0xff, number >> 8)
}

/// One chunk: the size is put in.
fn chunk(kind: &str, rest: &str) -> Vec<u8> {
    let rest = hex(rest);
    let size = (8 + rest.len()) as u32;
    [kind.as_bytes(), &size.to_le_bytes(), &rest].concat()
}

/// A chunk of a message on channel 7.
fn part(kind: &str, request: usize, body: &str) -> Vec<u8> {
    chunk(kind, &format!("07000000 01000000 {} {} {body}", le(request), le(request)))
}

fn ask(request: usize, service: u16, body: &str) -> Vec<u8> {
    part("MSGF", request, &format!("{} {REQUEST} {body}", id(service)))
}

fn reply(request: usize, service: u16, body: &str) -> Vec<u8> {
    part("MSGF", request, &format!("{} {GOOD} {body}", id(service)))
}

fn hello() -> Vec<u8> {
    chunk("HELF", &format!("{} {}", "00000000 ffff0000 ffff0000 00000000 00000000", s("opc.tcp://filler-1:4840")))
}

fn open(policy: &str, certificate: &str, sequence_and_body: &str) -> Vec<u8> {
    let uri = s(&format!("http://opcfoundation.org/UA/SecurityPolicy#{policy}"));
    let certificate =
        if certificate.is_empty() { "ffffffff".to_owned() } else { le(hex(certificate).len()) + certificate };
    chunk("OPNF", &format!("07000000 {uri} {certificate} ffffffff {sequence_and_body}"))
}

fn open_none() -> Vec<u8> {
    open("None", "", &format!("01000000 01000000 {} {GOOD} 00000000 07000000", id(449)))
}

fn session() -> Box<dyn Session> {
    OpcUa.session(&Limits::default())
}

fn pdu(session: &mut dyn Session, direction: Direction, bytes: &[u8]) -> Vec<String> {
    crate::testkit::dissect(session, direction, Carrier::Tcp, bytes)
}

/// What is seen of these messages, behind an OpenSecureChannel without security.
fn seen(turns: &[(Direction, Vec<u8>)]) -> Vec<String> {
    let mut session = session();
    pdu(&mut *session, ToServer, &hello());
    pdu(&mut *session, ToClient, &open_none());
    turns.iter().flat_map(|(direction, bytes)| pdu(&mut *session, *direction, bytes)).collect()
}

const SPEED: &str = "03 0200 05000000 53 70 65 65 64";
const TAIL: &str = "ffffffff 0000 ffffffff";

#[test]
fn services_with_their_objects_and_outcomes() {
    let read = format!("0000000000000000 00000000 02000000 {SPEED} 0d000000 {TAIL} 0100d208 0d000000 {TAIL}");
    let write = |attribute: &str| format!("01000000 {SPEED} {attribute}000000 ffffffff 01 01 01");
    let call = |method: &str| format!("01000000 0055 {method} 01000000 06 2a000000");
    let unknown = part("MSGF", 4, &format!("0104 d204 {REQUEST}"));
    let unknown_reply = part("MSGF", 4, &format!("0104 d504 {BAD}"));
    for (case, request, response, want) in [
        (
            "a poll of two nodes",
            ask(2, 631, &read),
            reply(2, 634, "02000000 01 01 01 01 06 01000000 ffffffff"),
            "ask 0x277 read node ns=2;s=Speed,node i=2258 | answer 0x277 read node ns=2;s=Speed,node i=2258",
        ),
        (
            "one of two results is bad",
            ask(2, 631, &read),
            reply(2, 634, "02000000 02 00003480 01 01 01 ffffffff"),
            "ask 0x277 read node ns=2;s=Speed,node i=2258 | answer 0x277 read node ns=2;s=Speed,node i=2258",
        ),
        (
            "every result is bad: the first says why",
            ask(2, 631, &read),
            reply(2, 634, "02000000 02 00003480 02 00003a80 ffffffff"),
            "ask 0x277 read node ns=2;s=Speed,node i=2258 | refuse:0x80340000 0x277 read node ns=2;s=Speed,node i=2258",
        ),
        (
            "a fault answers for its request",
            ask(2, 673, &write("0d")),
            part("MSGF", 2, &format!("{} {BAD}", id(397))),
            "ask 0x2a1 write node ns=2;s=Speed | refuse:0x801f0000 0x2a1 write node ns=2;s=Speed",
        ),
        (
            "a write to another attribute than the value",
            ask(2, 673, &write("11")),
            reply(2, 676, "01000000 00000000 ffffffff"),
            "ask 0x2a1 config node ns=2;s=Speed | answer 0x2a1 config node ns=2;s=Speed",
        ),
        (
            "a call of a plant's method",
            ask(2, 712, &call("0102 0100")),
            reply(2, 715, "01000000 00001181 00000000 00000000 00000000 ffffffff"),
            "ask 0x2c8 control method ns=2;i=1 | refuse:0x81110000 0x2c8 control method ns=2;i=1",
        ),
        (
            "a call of RequestServerStateChange",
            ask(2, 712, &call("0100 5632")),
            reply(2, 715, "01000000 00000000 ffffffff ffffffff ffffffff ffffffff"),
            "ask 0x2c8 mode method i=12886 | answer 0x2c8 mode method i=12886",
        ),
        (
            "browse",
            ask(2, 527, "0000 0000000000000000 00000000 00000000 01000000 0055 00000000 0000 01 00000000 3f000000"),
            reply(2, 530, "01000000 00000000 ffffffff 00000000 ffffffff"),
            "ask 0x20f browse node i=85 | answer 0x20f browse node i=85",
        ),
        (
            "monitored items",
            ask(
                2,
                751,
                &format!(
                    "01000000 02000000 01000000 {SPEED} 0d000000 {TAIL} 02000000 01000000 0000000000408f40 000000 01000000 01"
                ),
            ),
            reply(2, 754, "01000000 00003480 00000000 0000000000000000 00000000 000000 ffffffff"),
            "ask 0x2ef subscribe node ns=2;s=Speed | refuse:0x80340000 0x2ef subscribe node ns=2;s=Speed",
        ),
        (
            "a new node whose id the server chooses is named by its parent",
            ask(2, 488, "01000000 0055 0023 01010000 0100 ffffffff 01000000 000000 003f"),
            reply(2, 491, "01000000 00005e80 0000 ffffffff"),
            "ask 0x1e8 config node i=85 | refuse:0x805e0000 0x1e8 config node i=85",
        ),
        (
            "publish, and a reply with nothing to say",
            ask(2, 826, "01000000 01000000 05000000"),
            reply(2, 829, "01000000"),
            "ask 0x33a subscribe | answer 0x33a subscribe",
        ),
        (
            "a reply to nobody",
            reply(9, 634, "01000000 02 00003480 ffffffff"),
            reply(10, 676, "00000000 ffffffff"),
            "refuse:0x80340000 0x277 read | answer 0x2a1 write",
        ),
        (
            "a reply of another service",
            ask(2, 631, &read),
            reply(2, 676, "00000000 ffffffff"),
            "ask 0x277 read node ns=2;s=Speed,node i=2258 | anomaly@24 response of another service | answer 0x2a1 write",
        ),
        (
            "an unknown type id",
            unknown,
            unknown_reply,
            "ask 0x4000004d2 unknown | refuse:0x801f0000 0x4000004d2 unknown",
        ),
        (
            "fewer nodes than the array says",
            ask(2, 631, &format!("0000000000000000 00000000 02000000 {SPEED} 0d000000 {TAIL}")),
            vec![],
            "ask 0x277 read node ns=2;s=Speed | anomaly@99 node id",
        ),
        (
            "more nodes than there can be",
            ask(2, 631, "0000000000000000 00000000 ffffff7f 00"),
            vec![],
            "ask 0x277 read | anomaly@69 array longer than the message",
        ),
    ] {
        let mut turns = vec![(ToServer, request)];
        if !response.is_empty() {
            turns.push((ToClient, response));
        }
        assert_eq!(seen(&turns).join(" | "), want, "{case}");
    }
}

/// Elsewhere these took sensors down: null tables, and infos in infos.
#[test]
fn null_tables_and_deep_diagnostics() {
    let deep = |levels: usize| format!("{} 00", "40".repeat(levels));
    let header = |diagnostics: &str, table: &str| {
        part("MSGF", 2, &format!("{} {TIME} 01000000 00000000 {diagnostics} {table} 000000 01000000 00000000", id(676)))
    };
    for (case, response, want) in [
        ("null table", header("00", "ffffffff"), "answer 0x2a1 write"),
        ("table of null strings", header("00", "02000000 ffffffff ffffffff"), "answer 0x2a1 write"),
        ("negative length", header("00", "00000080"), "answer 0x2a1 write"),
        (
            "all parts",
            header("7f 00000000 00000000 00000000 00000000 ffffffff 00001f80 00", "ffffffff"),
            "answer 0x2a1 write",
        ),
        ("seven infos in an info", header(&deep(7), "ffffffff"), "answer 0x2a1 write"),
        (
            "a thousand infos in an info",
            header(&deep(1000), "ffffffff"),
            "answer 0x2a1 write | anomaly@52 diagnostic infos nested too deep",
        ),
        ("a table longer than the message", header("00", "ffffff7f"), "answer 0x2a1 write | anomaly@45 string table"),
    ] {
        assert_eq!(seen(&[(ToClient, response)]).join(" | "), want, "{case}");
    }
}

/// A Read response of three chunks, split anywhere.
#[test]
fn chunks_are_one_message() {
    let request = ask(2, 631, &format!("0000000000000000 00000000 01000000 0100cf08 0d000000 {TAIL}"));
    let namespaces = ["http://opcfoundation.org/UA/", "urn:filler", "http://example.com/Line1"].map(s).join(" ");
    let body = hex(&format!("{} {GOOD} 01000000 01 8c 03000000 {namespaces} ffffffff", id(634)));
    let (a, rest) = body.split_at(30);
    let (b, c) = rest.split_at(40);
    let text = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let chunks = [part("MSGC", 2, &text(a)), part("MSGC", 2, &text(b)), part("MSGF", 2, &text(c))].concat();
    let (hello, open) = (hello(), open_none());
    let turns: Vec<Turn<'_>> = vec![(ToServer, &hello), (ToClient, &open), (ToServer, &request), (ToClient, &chunks)];
    let want = [
        "security none None ?",
        "answer 0x1be session",
        "ask 0x277 read node i=2255",
        "answer 0x277 read node i=2255",
        "application-uri=urn:filler",
        "raw-identity=namespaces: http://example.com/Line1",
    ];
    assert_eq!(feed(&OpcUa, &turns), want);
    assert_eq!(feed(&OpcUa, &cut(&turns, &[1])), want, "byte by byte");
}

#[test]
fn chunks_of_several_messages_aborts_and_limits() {
    let start = |request| part("MSGC", request, &format!("{} {GOOD} 01000000", id(634)));
    let end = |request| part("MSGF", request, "01 01 01 ffffffff");
    let abort = part("MSGA", 2, &format!("00000880 {}", s("too large")));
    let read =
        |request| ask(request, 631, &format!("0000000000000000 00000000 01000000 00{request:02x} 0d000000 {TAIL}"));
    for (case, turns, want) in [
        (
            "two messages in turn",
            vec![
                (ToServer, read(2)),
                (ToServer, read(3)),
                (ToClient, start(2)),
                (ToClient, start(3)),
                (ToClient, end(3)),
                (ToClient, end(2)),
            ],
            "ask 0x277 read node i=2 | ask 0x277 read node i=3 | answer 0x277 read node i=3 | answer 0x277 read node i=2",
        ),
        (
            "a response that is given up",
            vec![(ToServer, read(2)), (ToClient, start(2)), (ToClient, abort.clone())],
            "ask 0x277 read node i=2 | refuse:0x80080000 0x277 read node i=2",
        ),
        ("a request that is given up", vec![(ToServer, start(2)), (ToServer, abort)], ""),
    ] {
        assert_eq!(seen(&turns).join(" | "), want, "{case}");
    }

    let mut session = OpcUa.session(&Limits { message: 60, ..Limits::default() });
    pdu(&mut *session, ToServer, &hello());
    pdu(&mut *session, ToClient, &open_none());
    let mut lines = Vec::new();
    for bytes in [start(2), start(2), end(2)] {
        lines.extend(pdu(&mut *session, ToClient, &bytes));
    }
    assert_eq!(lines, ["anomaly@24 message longer than the limit", "answer 0x277 read"]);
}

/// Numbers that look like ciphertext, and are the same in every run.
fn noise(state: &mut u64, len: usize) -> Vec<u8> {
    let mut next = || {
        *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (*state >> 56) as u8
    };
    (0..len).map(|_| next()).collect()
}

/// Whether the OpenSecureChannel was captured or not: no service is made up of ciphertext.
#[test]
fn an_encrypted_channel_yields_no_services() {
    let mut state = 1;
    let opening = chunk(
        "OPNF",
        &format!(
            "07000000 {} {} {DER} ffffffff {}",
            s("http://opcfoundation.org/UA/SecurityPolicy#Basic256Sha256"),
            le(hex(DER).len()),
            "a5".repeat(256)
        ),
    );
    for (case, start) in [("from the start", vec![hello(), opening]), ("joined in the middle", vec![])] {
        let mut session = session();
        let mut lines: Vec<_> = start.iter().flat_map(|bytes| pdu(&mut *session, ToServer, bytes)).collect();
        for at in 0..20_000 {
            let mut bytes = chunk("MSGF", &"00".repeat(16 + 64));
            bytes[8..16].copy_from_slice(&[7, 0, 0, 0, 1, 0, 0, 0]);
            bytes[16..].copy_from_slice(&noise(&mut state, 72));
            // What tells by one byte falls for these: the plain text of a type id at the place of the type id.
            if at % 3 == 0 {
                bytes[24..28].copy_from_slice(&[1, 0, 0x77, 0x02]);
            }
            lines.extend(pdu(&mut *session, if at % 2 == 0 { ToServer } else { ToClient }, &bytes));
        }
        let count = |start: &str| lines.iter().filter(|line| line.starts_with(start)).count();
        assert_eq!((count("ask"), count("answer"), count("refuse"), count("anomaly")), (0, 0, 0, 0), "{case}");
        assert!(count("opaque") >= 20_000, "{case}");
        let security: Vec<_> = lines.iter().filter(|line| line.starts_with("security")).collect();
        if start.is_empty() {
            assert!(security.is_empty(), "{case}");
        } else {
            assert_eq!(
                security,
                ["security ? Basic256Sha256 ?", "security sign-and-encrypt Basic256Sha256 ?"],
                "{case}"
            );
            assert_eq!(count("certificate-thumbprint=b10d764509c79b8a4ec69f3e7530214eb157408e"), 1, "{case}");
        }
    }
}

#[test]
fn credentials_are_found_wherever_the_bytes_begin() {
    let token = |kind: u16, body: &str| {
        let id = id(kind);
        ask(2, 467, &format!("ffffffff ffffffff 00000000 00000000 {id} 01 {} {body} ffffffff", le(hex(body).len())))
    };
    let (policy, name, password, none) = (s("policy"), s("joe"), s("open"), "ffffffff");
    let named = format!("{policy} {name} {password} {none}");
    for (case, bytes, skip, want) in [
        ("name and password", token(324, &named), 0, vec![3, 4]),
        ("the same from the middle of the message", token(324, &named), 40, vec![3, 4]),
        ("issued by somebody else", token(940, &format!("{policy} {password} {none}")), 0, vec![4]),
        ("an empty password", token(324, &format!("{policy} {name} {none} {none}")), 0, vec![3]),
        ("lengths that lie: all of it", token(324, "ffffff7f 01 02"), 0, vec![6]),
        ("more than there should be: all of it", token(940, &named), 0, vec![29]),
        ("anonymous", token(321, &policy), 0, vec![]),
        ("a certificate is no secret", token(327, &format!("{policy} {password}")), 0, vec![]),
    ] {
        let lens = |bytes: &[u8]| -> Vec<usize> {
            crate::secrets(Carrier::Tcp, 4840, bytes).iter().map(|range| range.len()).collect()
        };
        assert_eq!(lens(&bytes[skip..]), want, "{case}");
        // What is there of a token whose end was not kept.
        let whole: usize = lens(&bytes[skip..bytes.len() - 5]).iter().sum();
        assert!(whole >= want.iter().sum::<usize>().saturating_sub(1), "{case}, cut: {whole}");
    }
}

#[test]
fn signed_bodies_are_read() {
    let opening = open("Basic256Sha256", DER, &"a5".repeat(64));
    let signature = "5a".repeat(32);
    let token = |kind: u16, body: &str| {
        let id = id(kind);
        format!("ffffffff ffffffff 00000000 00000000 {id} 01 {} {body} ffffffff ffffffff", le(hex(body).len()))
    };
    let mut session = session();
    let mut lines = pdu(&mut *session, ToServer, &hello());
    lines.extend(pdu(&mut *session, ToClient, &opening).into_iter().filter(|line| line.starts_with("security")));
    for (direction, bytes) in [
        (ToServer, ask(2, 467, &format!("{} {signature}", token(324, &s("secret"))))),
        (ToClient, reply(2, 470, &format!("ffffffff 00000000 00000000 {signature}"))),
        (ToServer, part("MSGC", 3, &format!("{} {REQUEST} 0000000000000000 {signature}", id(631)))),
        (ToServer, part("MSGF", 3, &format!("00000000 01000000 0055 0d000000 {TAIL} {signature}"))),
    ] {
        lines.extend(pdu(&mut *session, direction, &bytes));
    }
    assert_eq!(
        lines,
        [
            "security ? Basic256Sha256 ?",
            "security sign Basic256Sha256 ?",
            "ask 0x1d3 session",
            "security sign Basic256Sha256 username",
            "answer 0x1d3 session",
            "ask 0x277 read node i=85",
        ]
    );
}

/// A body that is cut off, a part, or an abort is no sign of encryption.
#[test]
fn the_mode_is_not_guessed() {
    let opening = open("Basic256Sha256", "", &"a5".repeat(64));
    let close = format!("01 {}", "5a".repeat(32));
    let whole = ask(2, 473, &close);
    let (front, back) = whole.split_at(40);
    let mut session = session();
    let mut lines = Vec::new();
    for (direction, bytes, cut) in [
        (ToServer, hello(), 0),
        (ToServer, opening, 0),
        (ToServer, front.to_vec(), back.len()),
        (ToClient, part("MSGA", 2, "00000880 ffffffff"), 0),
        (ToServer, whole.clone(), 0),
    ] {
        let mut out = Lines::default();
        session.pdu(Pdu { bytes: &bytes, direction, carrier: Carrier::Tcp, cut }, &mut out);
        lines.extend(out.0);
    }
    assert_eq!(
        lines,
        [
            "security ? Basic256Sha256 ?",
            "opaque 64 bytes: encrypted",
            "opaque 24 bytes: encrypted",
            "opaque 16 bytes: encrypted",
            "security sign Basic256Sha256 ?",
            "ask 0x1d9 session",
        ]
    );
}

/// Nothing but messages: no Hello, no OpenSecureChannel; begun in the middle of a message.
#[test]
fn joined_in_the_middle() {
    let read = format!("0000000000000000 00000000 01000000 {SPEED} 0d000000 {TAIL}");
    let answer = "01000000 01 01 01 ffffffff";
    let rest = part("MSGF", 1, "00112233 44556677 8899aabb");
    let signature = "5a".repeat(32);
    for (case, end, want) in
        [("no security", "", "security none None ?"), ("signed", signature.as_str(), "security sign ? ?")]
    {
        let mut session = session();
        let mut lines = Vec::new();
        for (direction, bytes) in [
            (ToClient, rest.clone()),
            (ToServer, ask(2, 631, &format!("{read} {end}"))),
            (ToClient, reply(2, 634, &format!("{answer} {end}"))),
        ] {
            lines.extend(pdu(&mut *session, direction, &bytes));
        }
        assert_eq!(
            lines,
            [
                "opaque 20 bytes: encrypted, or a message whose start is missing",
                "ask 0x277 read node ns=2;s=Speed",
                want,
                "answer 0x277 read node ns=2;s=Speed",
            ],
            "{case}"
        );
    }
}

/// After lost bytes the channel is still known, and half messages are not put together with others.
#[test]
fn a_gap_costs_one_message() {
    let request = |id| ask(id, 631, &format!("0000000000000000 00000000 01000000 0055 0d000000 {TAIL}"));
    let mut session = session();
    let mut lines = Vec::new();
    for bytes in [hello(), open_none(), request(2)] {
        lines.extend(pdu(&mut *session, ToServer, &bytes));
    }
    lines.extend(pdu(&mut *session, ToClient, &part("MSGC", 2, &format!("{} {GOOD} 01000000", id(634)))));
    session.gap(ToClient);
    for (direction, bytes) in [
        (ToClient, part("MSGF", 2, "01 01 01 ffffffff")),
        (ToServer, request(3)),
        (ToClient, reply(3, 634, "01000000 01 01 01 ffffffff")),
    ] {
        lines.extend(pdu(&mut *session, direction, &bytes));
    }
    assert_eq!(
        lines,
        [
            "security none None ?",
            "answer 0x1be session",
            "ask 0x277 read node i=85",
            "opaque 15 bytes: rest of a message whose start is missing",
            "ask 0x277 read node i=85",
            "answer 0x277 read node i=85",
        ]
    );
}

/// Directions may be guessed the wrong way round; what is known to be a request puts them right for what is not.
#[test]
fn the_bytes_win_over_the_direction() {
    let unknown = |request, kind: &str, header: &str| part("MSGF", request, &format!("0104 {kind} {header}"));
    let turns = [
        (ToClient, ask(2, 473, "01")),
        (ToServer, reply(2, 476, "")),
        (ToClient, unknown(3, "d204", REQUEST)),
        (ToServer, unknown(3, "d504", GOOD)),
    ];
    let want = ["ask 0x1d9 session", "answer 0x1d9 session", "ask 0x4000004d2 unknown", "answer 0x4000004d2 unknown"];
    assert_eq!(seen(&turns), want);
}

fn application(uri: &str, kind: u8, gateway: &str, url: &str) -> String {
    let (uri, product, name) = (s(uri), s("urn:product"), s("Filler"));
    format!("{uri} {product} 02 {name} {kind:02x}000000 {} ffffffff 01000000 {}", s(gateway), s(url))
}

#[test]
fn who_they_are() {
    let own = "opc.tcp://filler-1:4840/";
    let endpoint = |uri: &str, url: &str, mode: &str, policy: &str| {
        let server = application(uri, 0, "", url);
        let policy = s(&format!("http://opcfoundation.org/UA/SecurityPolicy#{policy}"));
        let tokens =
            "02000000 ffffffff 00000000 ffffffff ffffffff ffffffff ffffffff 01000000 ffffffff ffffffff ffffffff";
        format!("{} {server} ffffffff {mode}000000 {policy} {tokens} ffffffff 00", s(url))
    };
    let build = format!(
        "{} {} {} {} {} 00400000a1c0d701",
        s("urn:product"),
        s("Example Plant Works"),
        s("Filler 9000"),
        s("1.4.2"),
        s("77")
    );
    let status = format!("0000000000000000 0000000000000000 00000000 {build} 00000000 00");
    let status = format!("01 16 {} 01 {} {status}", id(864), le(hex(&status).len()));
    let read = |nodes: &[&str]| {
        let ids: String = nodes.iter().map(|node| format!("0100{node} 0d000000 {TAIL}")).collect();
        ask(2, 631, &format!("0000000000000000 00000000 {} {ids}", le(nodes.len())))
    };
    let description = "application-uri=urn:own | product-uri=urn:product | name=Filler | role=opc-server (80 % OPC UA ApplicationType server) | hostname=filler-1";
    let certificate = "certificate-subject=CN=Filler Server,O=Example Plant\\, Line 1,C=DE \
        | certificate-issuer=CN=Filler Server,O=Example Plant\\, Line 1,C=DE \
        | certificate-not-before=2026-11-21T23:05:07Z | certificate-not-after=2126-10-28T23:05:07Z \
        | certificate-key=ec-256 | certificate-thumbprint=b10d764509c79b8a4ec69f3e7530214eb157408e \
        | application-uri=urn:filler:example:server | hostname=filler-1 | own-address=192.0.2.7";
    for (case, turns, want) in [
        (
            "endpoints of the server itself",
            vec![(
                ToClient,
                reply(
                    2,
                    431,
                    &format!("02000000 {} {}", endpoint("urn:own", own, "01", "None"), endpoint("urn:own", own, "03", "Basic256Sha256")),
                ),
            )],
            format!("answer 0x1ac discovery | {description} | offered-security=None | offered-security=Basic256Sha256/sign-and-encrypt | offered-token=anonymous | offered-token=username"),
        ),
        (
            "endpoints of two servers: the one that was opened",
            vec![(
                ToClient,
                reply(
                    2,
                    431,
                    &format!(
                        "02000000 {} {}",
                        endpoint("urn:other", "opc.tcp://mixer-1:4840", "02", "Basic256"),
                        endpoint("urn:own", own, "01", "None")
                    ),
                ),
            )],
            format!("answer 0x1ac discovery | {description} | offered-security=None | offered-token=anonymous | offered-token=username"),
        ),
        (
            "one server found",
            vec![(ToClient, reply(2, 425, &format!("01000000 {}", application("urn:own", 0, "", own))))],
            format!("answer 0x1a6 discovery | {description}"),
        ),
        (
            "two servers found, none of which was opened: neither is the sender",
            vec![(
                ToClient,
                reply(
                    2,
                    425,
                    &format!(
                        "02000000 {} {}",
                        application("urn:a", 0, "", "opc.tcp://mixer-1:4840"),
                        application("urn:b", 0, "", "opc.tcp://mixer-2:4840")
                    ),
                ),
            )],
            "answer 0x1a6 discovery".to_owned(),
        ),
        (
            "a client with its certificate",
            vec![(
                ToServer,
                ask(
                    2,
                    461,
                    &format!(
                        "{} ffffffff ffffffff ffffffff ffffffff {} {DER} 0000000000000000 00000000",
                        application("urn:client", 1, "", own),
                        le(hex(DER).len())
                    ),
                ),
            )],
            format!(
                "ask 0x1cd session | application-uri=urn:client | product-uri=urn:product | name=Filler \
                 | role=opc-client (70 % OPC UA ApplicationType client) | {certificate}"
            ),
        ),
        (
            "a session's server, one certificate for it and its endpoints",
            vec![(
                ToClient,
                reply(
                    2,
                    464,
                    &format!(
                        "0064 0065 0000000000000000 ffffffff {} {DER} 01000000 {}",
                        le(hex(DER).len()),
                        endpoint("urn:own", own, "01", "None")
                    ),
                ),
            )],
            format!(
                "answer 0x1cd session | {description} | offered-security=None | offered-token=anonymous \
                 | offered-token=username | {certificate}"
            ),
        ),
        (
            "a discovery server behind a gateway",
            vec![(ToClient, reply(2, 425, &format!("01000000 {}", application("urn:lds", 3, "urn:gate", "opc.tcp://192.0.2.9:4840"))))],
            "answer 0x1a6 discovery | application-uri=urn:lds | product-uri=urn:product | name=Filler | role=opc-discovery (95 % OPC UA ApplicationType discovery server) \
             | role=gateway (80 % OPC UA GatewayServerUri) | own-address=192.0.2.9"
                .to_owned(),
        ),
        (
            "a server that registers, and who takes it",
            vec![
                (
                    ToServer,
                    ask(2, 437, &format!("{} {} 01000000 02 {} 00000000 ffffffff 01000000 {} ffffffff 01", s("urn:own"), s("urn:product"), s("Filler"), s(own))),
                ),
                (ToClient, reply(2, 440, "")),
            ],
            format!("ask 0x1b5 discovery | {description} | answer 0x1b5 discovery | role=opc-discovery (95 % receiver of OPC UA RegisterServer)"),
        ),
        (
            "the server's status",
            vec![(ToServer, read(&["d208", "d008"])), (ToClient, reply(2, 634, &format!("02000000 01 01 01 {status} ffffffff")))],
            "ask 0x277 read node i=2258,node i=2256 | answer 0x277 read node i=2258,node i=2256 | product-uri=urn:product | vendor=Example Plant Works \
             | product=Filler 9000 | firmware=1.4.2 | build=77 | build-date=2021-10-14T02:12:55Z"
                .to_owned(),
        ),
        (
            "parts of the build info, one of them refused",
            vec![
                (ToServer, read(&["d708", "d808", "ce08"])),
                (
                    ToClient,
                    reply(2, 634, &format!("03000000 01 0c {} 02 00003480 01 8c 01000000 {} ffffffff", s("Example Plant Works"), s("urn:own"))),
                ),
            ],
            "ask 0x277 read node i=2263,node i=2264,node i=2254 | answer 0x277 read node i=2263,node i=2264,node i=2254 \
             | vendor=Example Plant Works | application-uri=urn:own"
                .to_owned(),
        ),
    ] {
        assert_eq!(seen(&turns).join(" | "), want, "{case}");
    }
}

#[test]
fn errors_and_reverse_hello() {
    let refused = chunk("ERRF", &format!("00001380 {}", s("no")));
    let mut lines = Vec::new();
    let mut session = session();
    let request = format!(
        "00000000 {} ffffffff ffffffff 01000000 01000000 {} {REQUEST} 00000000 00000000 01000000 ffffffff 80ee3600",
        s("http://opcfoundation.org/UA/SecurityPolicy#None"),
        id(446)
    );
    for (direction, bytes) in [
        (ToClient, chunk("RHEF", &format!("{} {}", s("urn:own"), s("opc.tcp://filler-1:4840")))),
        (ToServer, chunk("OPNF", &request)),
        (ToClient, refused),
    ] {
        lines.extend(pdu(&mut *session, direction, &bytes));
    }
    assert_eq!(
        lines,
        [
            "application-uri=urn:own",
            "hostname=filler-1",
            "security none None ?",
            "ask 0x1be session",
            "refuse:0x80130000 0x1be session",
        ]
    );
}

#[test]
fn probes() {
    let yes = |sender| Probe::Yes { sender };
    for (case, head, want) in [
        ("hello", hello(), yes(Some(Role::Client))),
        ("open request or response in clear", open_none(), yes(Some(Role::Server))),
        ("open, encrypted", open("Basic256", "", &"a5".repeat(64)), yes(None)),
        ("request in the middle", ask(2, 631, ""), yes(Some(Role::Client))),
        ("response in the middle", reply(2, 634, ""), yes(Some(Role::Server))),
        ("two chunks", [ask(2, 631, ""), ask(3, 631, "")].concat(), yes(Some(Role::Client))),
        ("something else behind a chunk", [ask(2, 631, ""), b"HTTP".to_vec()].concat(), Probe::No),
        ("encrypted", part("MSGF", 2, &"a5".repeat(64)), yes(None)),
        ("channel 0", chunk("MSGF", &"00".repeat(24)), Probe::No),
        ("policy of no bytes", chunk("OPNF", &"00".repeat(24)), Probe::No),
        ("policy of 4 GiB", chunk("OPNF", &"ff".repeat(24)), Probe::No),
        ("a begin of a begin", b"MS".to_vec(), Probe::NeedAtLeast(8)),
        ("header alone", ask(2, 631, "")[..8].to_vec(), Probe::NeedAtLeast(12)),
        ("nothing", vec![], Probe::NeedAtLeast(8)),
        ("HTTP", b"GET / HTTP/1.1\r\n".to_vec(), Probe::No),
        ("SSH", b"SSH-2.0-OpenSSH_9.6\r\n".to_vec(), Probe::No),
        ("TLS", hex("16030100c8010000c40303"), Probe::No),
        ("text that starts alike", b"MSGF from the line\r\n".to_vec(), Probe::No),
        ("text that starts alike", b"HELO mail.example.com\r\n".to_vec(), Probe::No),
        ("zeros", vec![0; 64], Probe::No),
    ] {
        assert_eq!(OpcUa.probe(&head), want, "{case}");
    }
}

#[test]
fn message_codes_have_the_text_on_the_wire() {
    for (bytes, want) in [(b"MSGC\x20\0\0\0", "MSGC"), (b"HELF\x20\0\0\0", "HELF"), (b"OP\0\x01\x20\0\0\0", "OP")] {
        assert_eq!(OpcUa.message_text(OpcUa.message(bytes)), want);
    }
}

proptest! {
    /// Damaged messages in any direction, with gaps and cuts: nothing panics, and the framer keeps its word.
    #[test]
    fn damage_is_survived(
        at in prop::collection::vec((0usize..4000, any::<u8>()), 1..8),
        cuts in prop::collection::vec(0usize..60, 12),
        flip in any::<u16>(),
    ) {
        let read = format!("0000000000000000 00000000 01000000 0100d008 0d000000 {TAIL}");
        let endpoint = format!(
            "{} {} {} {DER} 01000000 {} 01000000 ffffffff 00000000 ffffffff ffffffff ffffffff ffffffff 00",
            s("opc.tcp://filler-1:4840"), application("urn:own", 0, "urn:gate", "opc.tcp://[::1]:4840"), le(hex(DER).len()), s("x#None")
        );
        let mut messages = [
            hello(),
            open("Basic256", DER, &format!("01000000 01000000 {} {GOOD}", id(449))),
            ask(2, 631, &read),
            reply(2, 634, &format!("01000000 01 16 {} 01 10000000 {} ffffffff", id(340), "00".repeat(16))),
            ask(3, 712, &format!("01000000 0055 {SPEED} 02000000 98 01000000 06 2a000000 17 3f 01 01 {} {} ", "00".repeat(20), "00".repeat(4))),
            reply(3, 431, &format!("01000000 {endpoint}")),
            part("MSGC", 4, &format!("{} {REQUEST}", id(673))),
            part("MSGF", 4, &format!("01000000 {SPEED} 0d000000 ffffffff 01 0c 00000000")),
        ];
        for (place, byte) in at {
            let which = place % messages.len();
            let len = messages[which].len();
            if let Some(slot) = messages[which].get_mut(place % len) {
                *slot = byte;
            }
        }
        let mut session = session();
        for (n, message) in messages.iter().enumerate() {
            let cut = cuts[n].min(message.len() - 1);
            let direction = if flip >> n & 1 == 0 { ToServer } else { ToClient };
            let bytes = &message[..message.len() - cut];
            session.pdu(Pdu { bytes, direction, carrier: Carrier::Tcp, cut }, &mut Lines::default());
            session.pdu(Pdu { bytes, direction, carrier: Carrier::Tcp, cut: 0 }, &mut Lines::default());
            if flip >> (n + 8) & 1 == 1 {
                session.gap(direction);
            }
            if let Framing::Pdu(len) = OpcUa.frame(bytes) {
                prop_assert!(len > 0 && len <= OpcUa.info().max_pdu);
            }
            OpcUa.probe(bytes);
        }
    }
}
