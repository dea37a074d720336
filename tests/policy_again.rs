//! What is judged again, by another policy or since a side has told its name, is judged as when it came first.

#[path = "support/packets.rs"]
#[allow(dead_code)]
mod packets;

use std::sync::Arc;

use packets::{Talk, Tape, ethernet, ip, read, registers};
use serde_json::Value;
use zonewatch::analysis::Options;
use zonewatch::policy::Policy;
use zonewatch::sensor::world::World;
use zonewatch::source::set::Captures;

const START: u64 = 1_794_820_500_000_000;

/// Supervision may read the cell; each has a tap, named as the captures are.
const PLANT: &str = r#"
[site]
id = "p"
timezone = "UTC"
[[zone]]
id = "supervision"
sl_t = 2
members = [ { cidr = "10.60.0.0/24" } ]
[[zone]]
id = "transit"
sl_t = 1
members = [ { cidr = "10.99.0.0/24" } ]
[[conduit]]
id = "C"
owner = "x"
from = ["supervision"]
to = ["cell"]
allow = [ { protocol = "modbus", functions = [3] } ]
[[tap]]
id = "1"
sees = ["supervision"]
[[tap]]
id = "2"
sees = ["cell"]
[[zone]]
id = "cell"
sl_t = 2
"#;

fn by_address() -> String {
    format!("{PLANT}members = [ {{ cidr = \"10.20.2.0/24\" }} ]\n")
}

/// A conversation as one tap sees it, on its way with this TTL, and how its frames are wrapped.
fn seen(ttl: u8, carry: packets::Carry) -> Tape {
    let mut tape = Tape::default();
    let [ask, answer] = read(1);
    let talk = Talk::new("10.60.0.10", "10.20.2.10", 502, START).within(carry);
    talk.open(&mut tape).exchange(&mut tape, &ask, &answer);
    for (_, frame) in tape.frames.iter_mut().filter(|(_, frame)| frame[23] == 6) {
        frame[22] = ttl;
    }
    tape
}

fn in_gre(ethertype: u16, packet: &[u8]) -> Vec<u8> {
    let body = [&[0, 0], &ethertype.to_be_bytes()[..], packet].concat();
    let (ethertype, packet) = ip("10.99.0.1".parse().unwrap(), "10.99.0.2".parse().unwrap(), 47, 0, 64, &body);
    ethernet(ethertype, &packet)
}

/// What stands in the findings: reason, both zones and the messages.
fn told(world: &World) -> Vec<String> {
    let view = serde_json::to_value(world.analysis.view(&world.captures, &[])).unwrap();
    let of = |found: &Value| format!("{} {} {}", found["reason"]["code"], found["dst"]["zone"], found["count"]);
    let findings = view["findings"].as_array().unwrap().iter().filter(|found| found["kind"] == "violation");
    findings.map(of).map(|text| text.replace('"', "")).collect()
}

fn world(tapes: &[Tape], policy: &str) -> World {
    let folder = tempfile::tempdir().unwrap();
    let paths: Vec<_> = (1..=tapes.len()).map(|n| folder.path().join(format!("{n}.pcap"))).collect();
    for (path, tape) in paths.iter().zip(tapes) {
        std::fs::write(path, tape.pcap()).unwrap();
    }
    let (mut captures, _) = Captures::open(&paths);
    World::read(&mut captures, Options { workers: 1, policy: load(policy), ..Options::default() })
}

fn load(policy: &str) -> Option<Arc<Policy>> {
    Some(Arc::new(Policy::parse("plant.toml", policy).unwrap_or_else(|wrong| panic!("{wrong}\n{policy}"))))
}

#[test]
fn another_policy_says_what_it_would_have_said_first() {
    let plant = by_address();
    let through = format!(
        "{}[[asset]]\nid = \"fw\"\nmac = [\"02:00:00:00:00:f1\"]\nboundary_of = [\"cell\"]\n",
        plant.replace("owner = \"x\"", "owner = \"x\"\nvia = [\"fw\"]")
    );
    // Its taps are numbered otherwise.
    let renumbered = format!("[[tap]]\nid = \"0\"\nsees = [\"transit\"]\n{through}");
    let parted = plant.replace("10.99.0.0/24", "10.98.0.0/24");
    for (case, tapes, before, later, want) in [
        ("a TTL that did not drop", [seen(61, ethernet), seen(61, ethernet)], &plant, &through, "ZC010 cell 1"),
        ("a TTL that dropped", [seen(61, ethernet), seen(60, ethernet)], &plant, &through, ""),
        ("other numbers of taps", [seen(61, ethernet), seen(61, ethernet)], &plant, &renumbered, "ZC010 cell 1"),
        ("a tunnel", [seen(61, in_gre), Tape::default()], &plant, &plant, "ZC021 cell 1"),
        ("a tunnel elsewhere, now unzoned", [seen(61, in_gre), Tape::default()], &plant, &parted, "ZC021 cell 1"),
    ] {
        let first = world(&tapes, later);
        assert_eq!(told(&first).join(", "), want, "{case}: first");
        let mut reloaded = world(&tapes, before);
        reloaded.judge_by(load(later));
        assert_eq!(told(&reloaded), told(&first), "{case}: after a reload");
    }
}

/// The cell's members are those that tell a name, which the packets' path does not know.
#[test]
fn a_tunnel_to_a_member_by_name_is_still_told() {
    let mut tape = seen(61, in_gre);
    registers("PLC-1", "10.20.2.10", START + 9_000_000, &mut tape);
    let policy = format!("{PLANT}members = [ {{ hostname = \"plc-1\" }} ]\n");
    let world = world(&[tape], &policy);
    let again: Vec<u16> = world.analysis.judged_again.iter().map(|key| key.port).collect();
    assert_eq!(again, [137, 502], "by its address it is in no zone");
    assert!(told(&world).contains(&"ZC021 cell 1".to_owned()), "{:?}", told(&world));
}
