//! The check of boundary devices on packets: each sign against one is named, and where none can be seen nothing passes
//! for checked.

#[path = "support/packets.rs"]
#[allow(dead_code)]
mod packets;
mod support;

use packets::{Talk, Tape, analyze, read};

const START: u64 = 1_794_820_500_000_000;

/// Supervision may read the cell through the firewall; each has a tap, named as the captures are.
const POLICY: &str = r#"
[site]
id = "p"
[[zone]]
id = "supervision"
sl_t = 2
members = [ { cidr = "10.60.0.0/24" } ]
[[zone]]
id = "cell"
sl_t = 2
members = [ { cidr = "10.20.2.0/24" } ]
[[asset]]
id = "fw"
mac = ["02:00:00:00:00:f1", "02:00:00:00:00:f2"]
boundary_of = ["cell"]
[[conduit]]
id = "C"
owner = "x"
from = ["supervision"]
to = ["cell"]
via = ["fw"]
allow = [ { protocol = "modbus", functions = [3], units = [1] } ]
[[tap]]
id = "0"
sees = ["supervision"]
[[tap]]
id = "1"
sees = ["cell"]
"#;

/// The last byte of a MAC address, for the client, the server, and the firewall on either segment.
const CLIENT: u8 = 0x0C;
const SERVER: u8 = 0x05;
const NEAR: u8 = 0xF1;
const FAR: u8 = 0xF2;
const OTHER: u8 = 0x0E;

/// What one tap sees of one exchange: MAC addresses, source then destination, and TTL of either side's frames.
fn tap(client: ([u8; 2], u8), server: ([u8; 2], u8)) -> Tape {
    let mut tape = Tape::default();
    let [ask, answer] = read(1);
    Talk::new("10.60.0.10", "10.20.2.10", 502, START).open(&mut tape).exchange(&mut tape, &ask, &answer);
    for (_, frame) in &mut tape.frames {
        let ([source, destination], ttl) = if frame[27] == 60 { client } else { server };
        (frame[5], frame[11], frame[22]) = (destination, source, ttl);
    }
    tape
}

#[test]
fn each_sign_against_the_boundary_is_named() {
    let segment = |last: u8| format!("02:00:00:00:00:{last:02x}");
    // How it looks on either segment when all goes through the firewall.
    let source = || tap(([CLIENT, NEAR], 128), ([NEAR, CLIENT], 63));
    let destination = || tap(([FAR, SERVER], 127), ([SERVER, FAR], 64));
    let sent = |to: u8| format!("not through fw: on the source's segment frames went to {} (frame 1)", segment(to));
    let came = |from: u8, frame: u8| {
        format!("not through fw: on the destination's segment frames came from {} (frame {frame})", segment(from))
    };
    let same = "not through fw: the TTL was 128 on two taps, so nothing routed it".to_owned();
    for (case, near, far, verdict, want) in [
        ("through it, both segments seen", Some(source()), Some(destination()), "allow", vec![]),
        ("through it, the source's segment seen", Some(source()), None, "allow", vec![]),
        ("through it, the destination's segment seen", None, Some(destination()), "allow", vec![]),
        (
            "past it on the source's segment",
            Some(tap(([CLIENT, OTHER], 128), ([OTHER, CLIENT], 63))),
            None,
            "violation",
            vec![sent(OTHER)],
        ),
        (
            "from another on the destination's",
            None,
            Some(tap(([OTHER, SERVER], 127), ([SERVER, FAR], 64))),
            "violation",
            vec![came(OTHER, 1)],
        ),
        (
            "to it, and not from it",
            Some(source()),
            Some(tap(([OTHER, SERVER], 127), ([SERVER, FAR], 64))),
            "violation",
            vec![came(OTHER, 1)],
        ),
        (
            "the TTL did not drop, and the firewall's addresses are there",
            Some(source()),
            Some(tap(([FAR, SERVER], 128), ([SERVER, FAR], 64))),
            "violation",
            vec![same.clone()],
        ),
        (
            "one segment for both",
            Some(tap(([CLIENT, SERVER], 128), ([SERVER, CLIENT], 64))),
            None,
            "violation",
            vec![sent(SERVER), came(CLIENT, 1)],
        ),
    ] {
        let tapes = [near, far];
        // A tap that is not there saw something else.
        let mut other = Tape::default();
        Talk::new("10.60.0.11", "10.60.0.12", 502, START).knock(&mut other);
        let tapes = tapes.map(|tape| tape.unwrap_or(other.clone()));
        let analysis = analyze(&[&tapes[0], &tapes[1]], POLICY, 1);
        let flow =
            analysis["flows"].as_array().unwrap().iter().find(|flow| flow["server"]["ip"] == "10.20.2.10").unwrap();
        assert_eq!(flow["verdict"], verdict, "{case}");
        let findings = analysis["findings"].as_array().unwrap().iter();
        let told: Vec<String> = findings
            .filter(|finding| finding["reason"]["code"] == "ZC010")
            .flat_map(|finding| finding["details"].as_array().unwrap().clone())
            .map(|detail| detail.as_str().unwrap().to_owned())
            .collect();
        assert_eq!(told, want, "{case}");
    }
}

#[test]
fn what_cannot_be_checked_is_not_passed() {
    for (case, tape, want) in [
        ("on the source's segment", tap(([CLIENT, NEAR], 128), ([NEAR, CLIENT], 63)), "no bypass seen"),
        ("between routers, on neither", tap(([OTHER, NEAR], 126), ([NEAR, OTHER], 62)), "boundary not checkable"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("plant.toml"), POLICY).unwrap();
        std::fs::write(folder.path().join("0.pcap"), tape.pcap()).unwrap();
        let args = ["policy", "review", "plant.toml", "0.pcap", "--format", "json"];
        let review = support::run_in(folder.path(), args).json();
        assert_eq!(review["conduits"][0]["boundary"].as_str().unwrap().split(':').next(), Some(want), "{case}");
        let flow = &analyze(&[&tape], POLICY, 1)["flows"][0]["qualifiers"];
        let told = flow.as_array().unwrap().contains(&"boundary-not-checkable".into());
        assert_eq!(told, want == "boundary not checkable", "{case}: {flow}");
    }
}
