//! What a policy asks of packets besides addresses and messages: markings, stations, names, and how often.

#[path = "support/packets.rs"]
#[allow(dead_code)]
mod packets;

use std::sync::Arc;

use packets::{Carry, Talk, Tape, analyze, ethernet, read, registers, write};
use serde_json::Value;
use zonewatch::analysis::{self, Options};
use zonewatch::flow::again;
use zonewatch::policy::Policy;
use zonewatch::source::set::Captures;

const START: u64 = 1_794_820_500_000_000;
const SECOND: u64 = 1_000_000;

/// Two zones, and what else a case adds.
fn plant(more: &str) -> String {
    format!(
        "[site]\nid = \"p\"\ntimezone = \"UTC\"\n\
         [[zone]]\nid = \"supervision\"\nmembers = [ {{ cidr = \"10.60.0.0/24\" }}, {{ cidr = \"fd60::/64\" }} ]\n\
         [[zone]]\nid = \"cell\"\nmembers = [ {{ cidr = \"10.20.2.0/24\" }}, {{ cidr = \"fd20::/64\" }} ]\n{more}"
    )
}

fn conduit(from: &str, to: &str, allow: &str) -> String {
    format!("[[conduit]]\nid = \"C\"\nowner = \"x\"\nfrom = [\"{from}\"]\nto = [\"{to}\"]\nallow = [ {{ {allow} }} ]\n")
}

/// Verdict and finding of each flow: `violation ZC003 2` is one finding of two messages.
fn judged(analysis: &Value) -> Vec<String> {
    let list = |key: &str| analysis[key].as_array().unwrap();
    let of = |flow: &Value| {
        let mine = |found: &&Value| flow["findings"].as_array().unwrap().contains(&found["id"]);
        let says = |found: &Value| format!(" {} {}", found["reason"]["code"].as_str().unwrap(), found["count"]);
        let found: String = list("findings").iter().filter(mine).map(says).collect();
        format!("{}{found}", flow["verdict"].as_str().unwrap_or("-"))
    };
    list("flows").iter().filter(|flow| flow["transport"] == "tcp").map(of).collect()
}

/// One connection whose requests and answers are marked so, in turn.
fn marked(ends: [&str; 2], marks: &[(u8, u8)]) -> Tape {
    let mut tape = Tape::default();
    let mut talk = Talk::new(ends[0], ends[1], 502, START).open(&mut tape);
    for (n, (asks, answers)) in marks.iter().enumerate() {
        let [ask, answer] = read(n as u16);
        for (side, bytes, dscp) in [(0, ask, *asks), (1, answer, *answers)] {
            talk.say(&mut tape, side, &bytes);
            let frame = &mut tape.frames.last_mut().unwrap().1;
            if frame[12] == 0x08 {
                frame[15] = dscp << 2;
            } else {
                (frame[14], frame[15]) = (0x60 | dscp >> 2, dscp << 6);
            }
        }
    }
    tape
}

#[test]
fn a_marking_is_that_of_all_packets_of_who_opens() {
    let v4 = ["10.60.0.10", "10.20.2.10"];
    let v6 = ["fd60::10", "fd20::10"];
    let table = |dscp: &str| conduit("supervision", "cell", &format!("protocol = \"modbus\", functions = [3]{dscp}"));
    for (case, ends, marks, policy, want) in [
        ("as declared", v4, &[(46, 46), (46, 46)][..], table(", dscp = 46"), "allow"),
        ("in IPv6", v6, &[(46, 46)], table(", dscp = 46"), "allow"),
        ("whoever answers marks as it likes", v4, &[(46, 0), (46, 12)], table(", dscp = 46"), "allow"),
        ("not marked", v4, &[(0, 0)], table(", dscp = 46"), "violation ZC003 1"),
        ("not marked, in IPv6", v6, &[(0, 0)], table(", dscp = 46"), "violation ZC003 1"),
        ("marked as asked for once", v4, &[(46, 0), (0, 0), (46, 0)], table(", dscp = 46"), "violation ZC003 2"),
        ("zero is a marking too", v4, &[(46, 0)], table(", dscp = 0"), "violation ZC003 1"),
        ("nobody asks", v4, &[(46, 0), (0, 0)], table(""), "allow"),
    ] {
        let tape = marked(ends, marks);
        let analysis = analyze(&[&tape], &plant(&policy), 1);
        assert_eq!(judged(&analysis), [want], "{case}");
        assert_eq!(analysis, analyze(&[&tape], &plant(&policy), 4), "{case}: it does not depend on the workers");
    }
}

/// The polynomial of IEEE 1815, 9.2.4.
fn crc(bytes: &[u8]) -> u16 {
    let step = |crc: u16| if crc & 1 == 1 { crc >> 1 ^ 0xA6BC } else { crc >> 1 };
    !bytes.iter().fold(0, |crc, byte| (0..8).fold(crc ^ u16::from(*byte), |crc, _| step(crc)))
}

/// A DNP3 frame that asks for the state of the link.
fn link_frame(to: u16, from: u16) -> Vec<u8> {
    let mut frame = vec![0x05, 0x64, 5, 0xC9];
    frame.extend(to.to_le_bytes());
    frame.extend(from.to_le_bytes());
    frame.extend(crc(&frame).to_le_bytes());
    frame
}

#[test]
fn a_station_is_a_member_by_its_link_address() {
    // No zone claims the address.
    const GATEWAY: &str = "192.168.5.5";
    let zones = "[[zone]]\nid = \"pumps\"\nmembers = [ { dnp3_link = 10 }, { dnp3_link = 12 } ]\n\
                 [[zone]]\nid = \"tanks\"\nmembers = [ { dnp3_link = 11 } ]\n";
    let policy = plant(&format!("{zones}{}", conduit("supervision", "pumps", "protocol = \"dnp3\", ops = [\"all\"]")));
    for (case, stations, zone, want) in [
        ("the station of a zone", &[10][..], "pumps", "allow"),
        ("that of another", &[11], "tanks", "violation ZC001 1"),
        ("of none", &[77], "unknown", "violation ZC013 1"),
        ("later in the conversation", &[77, 12], "pumps", "allow"),
        ("the lowest decides", &[12, 11], "tanks", "violation ZC001 1"),
        ("to all: no station", &[0xFFFF], "unknown", "violation ZC013 1"),
    ] {
        let mut tape = Tape::default();
        let mut talk = Talk::new("10.60.0.10", GATEWAY, 20_000, START).open(&mut tape);
        for station in stations {
            talk.exchange(&mut tape, &link_frame(*station, 1), &link_frame(1, *station));
        }
        let analysis = analyze(&[&tape], &policy, 1);
        assert_eq!(analysis["flows"][0]["server"]["zone"], zone, "{case}");
        assert_eq!(judged(&analysis), [want], "{case}");
    }
}

#[test]
fn a_name_makes_a_member_of_whom_no_address_does() {
    let zone = |member: &str| {
        let zone = format!("[[zone]]\nid = \"named\"\nmembers = [ {{ {member} }} ]\n");
        plant(&format!("{zone}{}", conduit("named", "cell", "protocol = \"modbus\", functions = [3]")))
    };
    for (case, policy, tells, want) in [
        ("by its name", zone("hostname = \"HMI1\""), Some("HMI1"), "allow"),
        ("another has it", zone("hostname = \"hmi2\""), Some("HMI1"), "violation ZC013 1"),
        ("it told none", zone("hostname = \"hmi1\""), None, "violation ZC013 1"),
        (
            "an asset by its name",
            format!("{}[[asset]]\nid = \"hmi\"\nhostname = \"hmi1\"\n", zone("asset = \"hmi\"")),
            Some("HMI1"),
            "allow",
        ),
        (
            "an address is more to the point",
            zone("hostname = \"hmi1\"").replace("10.60.0.0/24", "192.168.7.7/32"),
            Some("HMI1"),
            "allow",
        ),
    ] {
        let mut tape = Tape::default();
        tells.iter().for_each(|name| registers(name, "192.168.7.7", START - SECOND, &mut tape));
        let mut talk = Talk::new("192.168.7.7", "10.20.2.10", 502, START).open(&mut tape);
        let [ask, answer] = read(1);
        talk.exchange(&mut tape, &ask, &answer);
        let analysis = analyze(&[&tape], &policy, 1);
        assert_eq!(judged(&analysis), [want], "{case}");
        assert_eq!(analysis, analyze(&[&tape], &policy, 4), "{case}: it does not depend on the workers");
    }
}

/// So many exchanges in each second, in one connection.
fn burst(ends: [&str; 2], each: &[u64], exchange: fn(u16) -> [Vec<u8>; 2]) -> Tape {
    let mut tape = Tape::default();
    let mut talk = Talk::new(ends[0], ends[1], 502, START).open(&mut tape);
    for (second, many) in (1..).zip(each) {
        talk.now = START + second * SECOND;
        for n in 0..*many {
            let [ask, answer] = exchange(n as u16);
            talk.exchange(&mut tape, &ask, &answer);
        }
    }
    tape
}

#[test]
fn rates_hold_within_a_zone_and_for_what_beats_a_deny() {
    let inside =
        |list: &str| plant("").replace("\"fd20::/64\" } ]", &format!("\"fd20::/64\" }} ]\ninside = {{ {list} }}"));
    let within = ["10.20.2.11", "10.20.2.10"];
    let listed = "default = \"listed\", allow = [ { protocol = \"modbus\", functions = [3], max_rate = \"3/s\" } ]";
    let denied = plant(
        "[[deny]]\nid = \"D\"\nfrom = [\"supervision\"]\nto = [\"cell\"]\nops = [\"operate\"]\n\
         [[exception]]\nid = \"X\"\nrisk_owner = \"x\"\nfrom = [\"supervision\"]\nto = [\"cell\"]\n\
         overrides = [\"D\"]\nvalid_from = 2026-11-01\nvalid_until = 2026-12-01\n\
         allow = [ { protocol = \"modbus\", functions = [6], max_rate = \"3/s\" } ]\n",
    );
    let across = ["10.60.0.10", "10.20.2.10"];
    for (case, policy, tape, want) in [
        ("as listed", inside(listed), burst(within, &[3, 3], read), "allow"),
        ("faster", inside(listed), burst(within, &[3, 5], read), "violation ZC009 2"),
        ("where all is allowed", inside(&listed.replace("listed", "allow")), burst(within, &[5], read), "allow"),
        ("an exception", denied.clone(), burst(across, &[3, 3], |_| write(1, 0)), "exception"),
        ("an exception too fast", denied, burst(across, &[3, 7], |_| write(1, 0)), "violation ZC009 4"),
    ] {
        let analysis = analyze(&[&tape], &policy, 1);
        assert_eq!(judged(&analysis), [want], "{case}");
        assert_eq!(analysis, analyze(&[&tape], &policy, 4), "{case}: it does not depend on the workers");
        for found in analysis["findings"].as_array().unwrap().iter().filter(|found| found["kind"] == "violation") {
            let detail = found["conduit"]["detail"].as_str().unwrap();
            assert!(detail.contains("allows 3 operations a second"), "{case}: {detail}");
        }
    }
}

/// What is judged again after another policy came holds against it what was kept of the way.
#[test]
fn a_boundary_is_checked_again_as_far_as_its_signs_were_kept() {
    const WALL: [u8; 6] = [0x02, 0, 0, 0, 0, 0xF1];
    let old = plant(&conduit("supervision", "cell", "protocol = \"modbus\", functions = [3]"));
    let new = format!(
        "{}[[asset]]\nid = \"fw\"\nmac = [\"02:00:00:00:00:f1\"]\nboundary_of = [\"cell\"]\n",
        old.replace("owner = \"x\"", "owner = \"x\"\nvia = [\"fw\"]")
    );
    let past: Carry = ethernet;
    let through: Carry = |ethertype, body| {
        let mut frame = ethernet(ethertype, body);
        frame[if body[15] == 10 { 0..6 } else { 6..12 }].copy_from_slice(&WALL);
        frame
    };
    let routed: Carry = |ethertype, body| {
        let mut body = body.to_vec();
        body[8] = 61;
        ethernet(ethertype, &body)
    };
    for (case, carry, want) in [
        ("to the device", through, "allow, "),
        ("past it", past, "violation, "),
        ("on neither segment", routed, "allow, boundary-not-checkable"),
    ] {
        let mut tape = Tape::default();
        let mut talk = Talk::new("10.60.0.10", "10.20.2.10", 502, START).within(carry).open(&mut tape);
        let [ask, answer] = read(1);
        talk.exchange(&mut tape, &ask, &answer);
        let verdict = |flow: &zonewatch::flow::Flow| {
            let judgement = flow.judged[0].judgement();
            let qualifiers: Vec<&str> = judgement.qualifiers.iter().map(|qualifier| qualifier.text()).collect();
            format!("{}, {}", judgement.verdict.text(), qualifiers.join(" "))
        };
        let run = |policy: &str| {
            let policy = Policy::parse("plant.toml", policy).unwrap();
            let bytes = tape.pcap();
            let mut captures = Captures::stream("0.pcap", Box::new(std::io::Cursor::new(bytes))).unwrap();
            let options = Options { workers: 1, policy: Some(Arc::new(policy)), ..Options::default() };
            analysis::run(&mut captures, |captures, batch| captures.fill(batch), &options)
        };
        let mut flows = run(&old).observed.flows;
        assert_eq!(verdict(&flows[0]), "allow, ", "{case}: the old policy asks for no device");
        again::judge(&mut flows[0], Some(&Policy::parse("plant.toml", &new).unwrap()), &[]);
        assert_eq!(verdict(&flows[0]), want, "{case}");
        assert_eq!(verdict(&run(&new).observed.flows[0]), want, "{case}: as when it came first");
    }
}
