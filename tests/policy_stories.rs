//! The stories of the model that take more than one packet: what is kept over packets, over time and over policies. Each
//! has its number there.

#[path = "support/packets.rs"]
mod packets;
mod support;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use packets::{Talk, Tape, analyze, analyze_files, ethernet, ip, read, udp, write};
use serde_json::Value;
use support::root;
use zonewatch::policy::life::{Ledger, Occurrence, Pace, Standing, State};
use zonewatch::policy::{Band, Policy};
use zonewatch::time::Timestamp;

/// Monday 2026-11-16 10:15 in Stockholm, in microseconds.
const START: u64 = 1_794_820_500_000_000;
const SECOND: u64 = 1_000_000;
const MINUTE: u64 = 60 * SECOND;
const DAY: u64 = 1_440 * MINUTE;

/// Supervision may read the cell.
const PLANT: &str = r#"
[site]
id = "p"
timezone = "Europe/Stockholm"
[[zone]]
id = "supervision"
level = 2
sl_t = 2
members = [ { cidr = "10.60.0.0/24" }, { cidr = "fd00:60::/64" } ]
inside = { default = "allow" }
[[zone]]
id = "cell"
level = 1
sl_t = 2
members = [ { cidr = "10.20.2.0/24" }, { cidr = "fd00:20::/64" } ]
"#;

/// What the conduit says besides.
fn plant(more: &str) -> String {
    format!(
        "{PLANT}[[conduit]]\nid = \"C\"\nowner = \"x\"\nfrom = [\"supervision\"]\nto = [\"cell\"]\n\
         allow = [ {{ protocol = \"modbus\", functions = [3], units = [1] }} ]\n{more}"
    )
}

const SCADA: &str = "10.60.0.10";
const PLC: &str = "10.20.2.10";

fn list<'a>(value: &'a Value, key: &str) -> &'a Vec<Value> {
    value[key].as_array().unwrap()
}

/// Codes of the findings, each with whom or what it is about.
fn codes(analysis: &Value) -> Vec<&str> {
    list(analysis, "findings").iter().map(|finding| finding["reason"]["code"].as_str().unwrap()).collect()
}

fn finding<'a>(analysis: &'a Value, code: &str) -> &'a Value {
    let found = list(analysis, "findings").iter().find(|finding| finding["reason"]["code"] == code);
    found.unwrap_or_else(|| panic!("no {code} in {:?}", codes(analysis)))
}

/// The flow of a client.
fn flow<'a>(analysis: &'a Value, client: &str) -> &'a Value {
    let flows = list(analysis, "flows");
    flows
        .iter()
        .find(|flow| flow["client"]["ip"] == client)
        .unwrap_or_else(|| panic!("no flow of {client}: {flows:#?}"))
}

/// Requests of a flow, over all its operations.
fn requests(flow: &Value) -> u64 {
    list(flow, "operations").iter().map(|operation| operation["requests"].as_u64().unwrap()).sum()
}

/// One connection of the SCADA server to the PLC, with these exchanges.
fn one(exchanges: &[[Vec<u8>; 2]], every: u64) -> Tape {
    let mut tape = Tape::default();
    let mut talk = Talk::new(SCADA, PLC, 502, START).open(&mut tape);
    for (n, [ask, answer]) in (0..).zip(exchanges) {
        talk.now = START + MINUTE + n * every;
        talk.exchange(&mut tape, ask, answer);
    }
    tape
}

fn fixture(name: &str) -> Vec<PathBuf> {
    vec![root().join("fixtures").join(name).join("capture.pcap")]
}

#[test]
fn s01_one_flow_on_two_taps_is_one_flow() {
    let core = one(&[read(1), read(2)], SECOND);
    // Behind the router: other MAC addresses, one hop less, a moment later.
    let mut cell = core.clone();
    for (at, frame) in &mut cell.frames {
        *at += 200;
        (frame[5], frame[11]) = (frame[5] + 10, frame[11] + 10);
        frame[22] -= 1;
    }
    let alone = analyze(&[&core], &plant(""), 1);
    let both = analyze(&[&core, &cell], &plant(""), 1);
    let (flow, lone) = (flow(&both, SCADA), flow(&alone, SCADA));
    assert_eq!(list(&both, "flows").len(), 1);
    for counter in ["frames_to_server", "frames_to_client", "bytes_to_server", "connections", "operations"] {
        // Times and frames of the evidence are the earlier tap's.
        assert_eq!(flow[counter], lone[counter], "{counter}");
    }
    // The other tap's frames with payload are known as copies.
    assert!(flow["copies"]["frames_to_server"].as_u64() >= Some(2), "{flow}");
    assert_eq!(flow["verdict"], "allow");
}

#[test]
fn s02_five_thousand_equal_violations_are_one_record() {
    let writes: Vec<_> = (0..5_000).map(|n| write(n, 200)).collect();
    let analysis = analyze(&[&one(&writes, 3_500 * SECOND / 5_000)], &plant(""), 1);
    assert_eq!(codes(&analysis), ["ZC004"]);
    let found = finding(&analysis, "ZC004");
    assert_eq!((found["count"].as_u64(), list(found, "samples").len()), (Some(5_000), 5));
    // And what a person is told of them, one by one.
    let mut ledger = Ledger::new(Pace::default(), "hash");
    let told = (0..5_000).filter_map(|n| {
        let at = Timestamp::new(0, 0).after(Duration::from_millis(n * 720));
        let (id, band) = (found["id"].as_str().unwrap(), Band::Medium);
        ledger.occurred(&Occurrence { id, at, count: 1, band, class: "write", object: "holding 200", campaign: None })
    });
    assert!(told.count() <= 6);
    assert_eq!(ledger.iter().count(), 1);
}

#[test]
fn s03_a_probe_of_two_hundred_addresses_is_one_campaign() {
    let mut tape = Tape::default();
    for n in 0..200 {
        Talk::new("192.168.7.7", &format!("10.20.2.{}", n + 10), 502, START + n * SECOND).knock(&mut tape);
    }
    let analysis = analyze(&[&tape], &plant(""), 1);
    let campaigns: Vec<_> = list(&analysis, "findings").iter().filter(|found| found["kind"] == "campaign").collect();
    let [campaign] = campaigns[..] else { panic!("{:?}", codes(&analysis)) };
    assert!(campaign["id"].as_str().unwrap().starts_with("K-"));
    assert_eq!((campaign["dst"]["name"].as_str(), list(campaign, "details").len()), (Some("*"), 200));
    let from_it = list(&analysis, "findings").iter().filter(|found| found["src"]["ip"] == "192.168.7.7");
    assert_eq!(from_it.count(), 1, "its children are in it, not beside it");
}

/// A device with two addresses is one source, as it is in the id of its campaign.
#[test]
fn a_probe_from_two_addresses_of_a_device_is_one_campaign() {
    let mut tape = Tape::default();
    for n in 0..12 {
        let at = START + n * SECOND;
        Talk::new("192.168.7.7", &format!("192.168.8.{}", n + 10), 502, at).knock(&mut tape);
        Talk::new("fd00::7", &format!("fd00::1:{}", n + 10), 502, at + SECOND / 2).knock(&mut tape);
    }
    let analysis = analyze(&[&tape], &plant(""), 1);
    let ids: Vec<&str> = list(&analysis, "findings").iter().filter_map(|found| found["id"].as_str()).collect();
    let campaigns: Vec<_> = ids.iter().filter(|id| id.starts_with("K-")).collect();
    assert_eq!(campaigns.len(), 1, "{ids:?}");
}

/// Where ten sources break one conduit, each of their findings says that the conduit is wrong and what would cover them.
#[test]
fn a_conduit_that_many_break_is_wrong() {
    let ends = "Let the ends of C cover them: from = [\"10.60.0.10\", \"10.60.0.11\", \
                \"10.60.0.12\", \"10.60.0.13\", \"10.60.0.14\", \"10.60.0.15\", \"10.60.0.16\", \"10.60.0.17\", \
                \"10.60.0.18\", \"10.60.0.19\"], to = [\"10.20.2.10\"].";
    let table = "{ protocol = \"modbus\", functions = [3], units = [1], objects = [{ table = \"holding\", from = 0, to = 9 }] }";
    for (case, sources, ask, from, to, want) in [
        (
            "ten read what is not listed",
            10,
            read(1),
            "functions = [3]",
            "functions = [4]",
            format!("Add to allow of C: {table}."),
        ),
        ("nine do", 9, read(1), "functions = [3]", "functions = [4]", String::new()),
        ("ten read another unit", 10, read(1), "units = [1]", "units = [2]", format!("Add to allow of C: {table}.")),
        (
            "ten write",
            10,
            write(1, 100),
            "functions = [3]",
            "functions = [3]",
            "It changes devices: ask the owner of C before anything is added.".to_owned(),
        ),
        ("ten that are no ends", 10, read(1), "from = [\"supervision\"]", "from = [\"10.60.0.200\"]", ends.to_owned()),
        (
            "ten outside the window",
            10,
            read(1),
            "allow =",
            "windows = [\"sun 10:00-12:00\"]\nallow =",
            "Compare windows of C with how the plant is built.".to_owned(),
        ),
    ] {
        let mut tape = Tape::default();
        for n in 0..sources {
            let mut talk = Talk::new(&format!("10.60.0.{}", n + 10), PLC, 502, START + n * SECOND).open(&mut tape);
            talk.exchange(&mut tape, &ask[0], &ask[1]);
        }
        let analysis = analyze(&[&tape], &plant("").replace(from, to), 1);
        let findings = list(&analysis, "findings");
        assert_eq!(findings.len() as u64, sources, "{case}: {:?}", codes(&analysis));
        let hint = format!(
            "{sources} sources break C with {}: the conduit is wrong, more likely than they.",
            codes(&analysis)[0]
        );
        for finding in findings {
            let details: Vec<&str> = list(finding, "details").iter().map(|line| line.as_str().unwrap()).collect();
            let told = if want.is_empty() { vec![] } else { vec![&*hint, &*want] };
            assert_eq!(details, told, "{case}");
        }
    }
}

/// What is folded into a campaign says so too.
#[test]
fn campaigns_that_break_one_conduit_tell_that_it_is_wrong() {
    let mut tape = Tape::default();
    for n in 0..100 {
        let (client, server) = (format!("10.60.0.{}", n / 10 + 10), format!("10.20.2.{}", n % 10 + 10));
        let mut talk = Talk::new(&client, &server, 502, START + n * SECOND).open(&mut tape);
        let [ask, answer] = read(1);
        talk.exchange(&mut tape, &ask, &answer);
    }
    let analysis = analyze(&[&tape], &plant("").replace("functions = [3]", "functions = [4]"), 1);
    let findings = list(&analysis, "findings");
    assert_eq!(findings.len(), 10, "{:?}", codes(&analysis));
    for campaign in findings {
        let details: Vec<&str> = list(campaign, "details").iter().map(|line| line.as_str().unwrap()).collect();
        assert_eq!((campaign["kind"].as_str(), details.len()), (Some("campaign"), 12), "{details:?}");
        let hint = "10 sources break C with ZC004: the conduit is wrong, more likely than they.";
        assert!(details.contains(&hint), "{details:?}");
    }
}

#[test]
fn s04_a_new_policy_resolves_what_it_allows() {
    let tape = one(&[write(1, 100), read(2)], SECOND);
    let old = analyze(&[&tape], &plant(""), 1);
    let new = analyze(&[&tape], &plant("").replace("[3]", "[3, 6]"), 1);
    let found = finding(&old, "ZC004");
    let (id, old_hash) = (found["id"].as_str().unwrap(), found["policy_hash"].as_str().unwrap());
    let new_hash = new["policy"]["sha256"].as_str().unwrap();
    assert_ne!(old_hash, new_hash);

    let mut ledger = Ledger::new(Pace::default(), old_hash);
    let at = Timestamp::new(START as i64 / 1_000_000, 0);
    ledger.occurred(&Occurrence { id, at, count: 1, band: Band::High, class: "write", object: "", campaign: None });
    let raised: BTreeSet<&str> = list(&new, "findings").iter().map(|found| found["id"].as_str().unwrap()).collect();
    let lines = ledger.reload(at, new_hash, |record| match raised.contains(&*record.id) {
        true => Standing::Raised,
        false => Standing::Gone,
    });
    assert_eq!(lines.iter().map(|line| line.why.to_string()).collect::<Vec<_>>(), ["resolved: policy changed"]);
    let record = ledger.get(id).unwrap();
    assert_eq!((record.state, &*record.policy), (State::Resolved, old_hash));
}

/// What the loader says of a policy that it does not take.
fn refused(text: &str) -> String {
    Policy::parse("plant.toml", text).expect_err("it is taken").to_string()
}

#[test]
fn s05_two_zones_that_claim_the_same_are_told_with_both_lines() {
    let zone = |id: &str| format!("[[zone]]\nid = \"{id}\"\nmembers = [ {{ cidr = \"10.20.1.0/24\" }} ]\n");
    let text = format!("{PLANT}{}{}", zone("x"), zone("y"));
    let line = |of: &str| 1 + text.lines().position(|line| line == format!("id = \"{of}\"")).unwrap() + 1;
    let told = refused(&text);
    assert!(told.contains("two zones claim the same members"), "{told}");
    for zone in ["x", "y"] {
        assert!(told.contains(&format!("plant.toml:{}:", line(zone))), "{zone}: {told}");
    }
}

#[test]
fn s06_what_would_open_too_much_is_not_loaded() {
    for (case, more, want) in [
        (
            "an exception without an end",
            "[[exception]]\nid = \"X\"\nrisk_owner = \"x\"\nfrom = [\"cell\"]\nto = [\"supervision\"]\nallow = [ { protocol = \"http\" } ]",
            "has no end",
        ),
        (
            "a protocol without operations",
            "[[conduit]]\nid = \"C2\"\nowner = \"x\"\nfrom = [\"cell\"]\nto = [\"supervision\"]\nallow = [ { protocol = \"modbus\" } ]",
            "modbus without operations",
        ),
        (
            "an ignore that hides writes",
            "[[ignore]]\nid = \"I\"\nfrom = [\"any\"]\nto = [\"any\"]\nprotocols = [\"modbus\"]\nreason = \"noise\"\nops = [\"write\"]",
            "ignore",
        ),
    ] {
        let told = refused(&format!("{PLANT}{more}\n"));
        assert!(told.contains(want), "{case}: {told}");
    }
}

#[test]
fn s07_a_conduit_that_no_tap_sees_is_not_called_unused() {
    let elsewhere = |tap: &str| {
        plant(&format!(
            "max_idle_days = 1\n[[zone]]\nid = \"c\"\nmembers = [ {{ cidr = \"10.9.0.0/24\" }} ]\ninside = {{ default = \"allow\" }}\n\
             [[tap]]\nid = \"t\"\nsees = [\"{tap}\"]\n"
        ))
    };
    let mut tape = Tape::default();
    for day in 0..3 {
        let mut talk = Talk::new("10.9.0.1", "10.9.0.2", 502, START + day * DAY).open(&mut tape);
        let [ask, answer] = read(1);
        talk.exchange(&mut tape, &ask, &answer);
    }
    for (tap, want) in [("c", "DC007"), ("cell", "DC001")] {
        let analysis = analyze(&[&tape], &elsewhere(tap), 1);
        let about: Vec<_> = list(&analysis, "findings")
            .iter()
            .filter(|found| found["conduit"]["id"] == "C")
            .map(|found| found["reason"]["code"].as_str().unwrap())
            .collect();
        assert_eq!(about, [want], "the tap sees {tap}");
    }
}

/// An hour of polls, with 11 minutes without one; what else there is meanwhile is the case's.
fn silence(others: bool, loss: bool) -> Tape {
    let mut tape = Tape::default();
    let mut polls = Talk::new(SCADA, PLC, 502, START).open(&mut tape);
    let mut other = Talk::new("10.60.0.20", "10.60.0.21", 502, START).open(&mut tape);
    for minute in (0..60).filter(|minute| others || !(21..31).contains(minute)) {
        other.now = START + minute * MINUTE + 30 * SECOND;
        let [ask, answer] = read(minute as u16);
        if loss && minute == 25 {
            other.lose(1, 290);
        }
        other.exchange(&mut tape, &ask, &answer);
        if !(21..31).contains(&minute) {
            polls.now = START + minute * MINUTE;
            polls.exchange(&mut tape, &ask, &answer);
        }
    }
    tape
}

#[test]
fn s08_a_silent_conduit_and_a_deaf_tap() {
    let policy = plant("expect = \"continuous\"\nmax_silence = \"10m\"\n");
    for (case, others, loss, want) in [
        ("the tap is healthy", true, false, "DC005"),
        ("the tap lost packets", true, true, "DC009"),
        ("the tap stopped", false, false, "DC009"),
    ] {
        let told = |workers: usize| {
            let analysis = analyze(&[&silence(others, loss)], &policy, workers);
            let about = list(&analysis, "findings").iter().filter(|found| found["conduit"]["id"] == "C");
            about.map(|found| (found["reason"]["code"].clone(), found["what"].clone())).collect::<Vec<_>>()
        };
        let one = told(1);
        assert_eq!(one.iter().map(|(code, _)| code.as_str().unwrap()).collect::<Vec<_>>(), [want], "{case}");
        assert!(one[0].1.as_str().unwrap().contains("silent for 10 min from 2026-11-16 10:35"), "{case}: {}", one[0].1);
        assert_eq!(told(4), one, "{case}: it does not depend on the workers");
    }
    let busy = analyze(&[&silence(true, false)], &policy.replace("10m", "12m"), 1);
    assert!(!codes(&busy).contains(&"DC005"));
}

#[test]
fn s09_an_address_is_the_same_in_either_family() {
    for (case, client, server) in [
        ("IPv4", SCADA, PLC),
        ("IPv6 members", "fd00:60::10", "fd00:20::20"),
        ("IPv4-mapped", "::ffff:10.60.0.10", "::ffff:10.20.2.10"),
    ] {
        let mut tape = Tape::default();
        let mut talk = Talk::new(client, server, 502, START).open(&mut tape);
        for [ask, answer] in [read(1), write(2, 200)] {
            talk.exchange(&mut tape, &ask, &answer);
        }
        let analysis = analyze(&[&tape], &plant(""), 1);
        let found = finding(&analysis, "ZC004");
        // All frames carry one MAC, which makes two near hosts of IPv6 one device.
        let mut codes = codes(&analysis);
        codes.retain(|code| *code != "ZC012");
        assert_eq!(codes, ["ZC004"], "{case}");
        assert_eq!((&found["src"]["zone"], &found["dst"]["zone"]), (&"supervision".into(), &"cell".into()), "{case}");
        assert_eq!((&found["conduit"]["id"], &found["severity"]["score"]), (&"C".into(), &50.into()), "{case}");
    }
}

#[test]
fn s10_what_is_inside_a_tunnel_is_judged() {
    fn tagged(tags: &[(u16, u16)], ethertype: u16, packet: &[u8]) -> Vec<u8> {
        let mut body = Vec::new();
        for (n, (_, vlan)) in tags.iter().enumerate() {
            body.extend(vlan.to_be_bytes());
            body.extend(tags.get(n + 1).map_or(ethertype, |(next, _)| *next).to_be_bytes());
        }
        body.extend(packet);
        ethernet(tags[0].0, &body)
    }
    fn outer(protocol: u8, body: &[u8]) -> Vec<u8> {
        let (ethertype, packet) = ip("10.60.0.1".parse().unwrap(), "10.60.0.2".parse().unwrap(), protocol, 0, 64, body);
        ethernet(ethertype, &packet)
    }
    let ways: [(&str, packets::Carry); 6] = [
        ("bare", ethernet),
        ("VLAN", |ethertype, packet| tagged(&[(0x8100, 20)], ethertype, packet)),
        ("QinQ", |ethertype, packet| tagged(&[(0x88A8, 100), (0x8100, 20)], ethertype, packet)),
        ("PPPoE", |_, packet| {
            let mut body = vec![0x11, 0, 0, 1];
            body.extend((packet.len() as u16 + 2).to_be_bytes());
            body.extend([0x00, 0x21]);
            body.extend(packet);
            ethernet(0x8864, &body)
        }),
        ("GRE", |ethertype, packet| {
            let mut body = vec![0, 0];
            body.extend(ethertype.to_be_bytes());
            body.extend(packet);
            outer(47, &body)
        }),
        ("VXLAN", |ethertype, packet| {
            let mut body = vec![8, 0, 0, 0, 0, 0, 7, 0];
            body.extend(ethernet(ethertype, packet));
            outer(17, &udp([50_000, 4_789], &body))
        }),
    ];
    for (case, carry) in ways {
        let mut tape = Tape::default();
        let mut talk = Talk::new(SCADA, PLC, 502, START).within(carry).open(&mut tape);
        for [ask, answer] in [read(1), write(2, 200)] {
            talk.exchange(&mut tape, &ask, &answer);
        }
        let analysis = analyze(&[&tape], &plant(""), 1);
        let flow = flow(&analysis, SCADA);
        assert_eq!((&flow["verdict"], &flow["server"]["ip"]), (&"violation".into(), &PLC.into()), "{case}");
        assert_eq!(finding(&analysis, "ZC004")["conduit"]["id"], "C", "{case}");
    }
}

#[test]
fn s11_an_hour_that_comes_twice_is_twice_in_the_window() {
    let policy = plant("windows = [\"sun 02:00-03:00\"]\n");
    for (utc, local, want) in [
        ("2026-10-25T00:30:00Z", "02:30 of summer", "allow"),
        ("2026-10-25T01:30:00Z", "02:30 of winter", "allow"),
        ("2026-10-24T23:59:59Z", "01:59:59, before it", "violation"),
        ("2026-10-25T02:00:00Z", "03:00 of winter, after it", "violation"),
        // In spring there is no 02:30: 01:59:59 is followed by 03:00.
        ("2026-03-29T00:59:59Z", "01:59:59 of winter", "violation"),
        ("2026-03-29T01:00:00Z", "03:00 of summer", "violation"),
    ] {
        let at = Timestamp::parse(utc).unwrap().nanos() as u64 / 1_000;
        let mut tape = Tape::default();
        let mut talk = Talk::new(SCADA, PLC, 502, at).open(&mut tape);
        let [ask, answer] = read(1);
        talk.exchange(&mut tape, &ask, &answer);
        let analysis = analyze(&[&tape], &policy, 1);
        assert_eq!(flow(&analysis, SCADA)["verdict"], want, "{local}");
        assert_eq!(codes(&analysis).contains(&"ZC006"), want == "violation", "{local}");
    }
}

#[test]
fn s12_each_operation_counts_once_however_it_came() {
    let asks: Vec<Vec<u8>> = (1..=4).map(|tid| read(tid)[0].clone()).collect();
    let len = asks[0].len() as u32;
    type Sent<'a> = &'a [(u32, &'a [u8])];
    let two = [asks[0].clone(), asks[1].clone()].concat();
    let tail = [&asks[0][6..], &asks[1]].concat();
    for (case, segments, want) in [
        ("in order", &[(0, &asks[0][..]), (len, &asks[1][..])][..] as Sent<'_>, 2),
        ("out of order", &[(len, &asks[1]), (0, &asks[0]), (2 * len, &asks[2])], 3),
        ("retransmitted", &[(0, &asks[0]), (0, &asks[0]), (len, &asks[1]), (len, &asks[1])], 2),
        ("retransmitted together", &[(0, &asks[0]), (0, &two)], 2),
        ("overlapping", &[(0, &asks[0][..9]), (6, &tail), (2 * len, &asks[2])], 3),
        ("byte by byte", &[(0, &asks[0][..1]), (1, &asks[0][1..7]), (7, &asks[0][7..]), (len, &asks[1])], 2),
    ] {
        let mut tape = Tape::default();
        let mut talk = Talk::new(SCADA, PLC, 502, START).open(&mut tape);
        let start = talk.seq(0);
        for (at, payload) in segments {
            talk.segment(&mut tape, 0, start + at, 0x18, payload);
        }
        let analysis = analyze(&[&tape], &plant(""), 1);
        assert_eq!(requests(flow(&analysis, SCADA)), want, "{case}");
        let used = &list(&analysis, "conduits")[0]["use"];
        assert_eq!(used["operations"].as_u64(), Some(want), "{case}: and is judged once");
    }
}

/// Two hosts of the fixtures, each in its zone, with what is allowed between them.
fn two_hosts(client: &str, server: &str, allow: &str) -> String {
    format!(
        "[site]\nid = \"p\"\ntimezone = \"UTC\"\n[[zone]]\nid = \"a\"\nmembers = [ {{ ip = \"{client}\" }} ]\n\
         [[zone]]\nid = \"b\"\nmembers = [ {{ ip = \"{server}\" }} ]\n[[conduit]]\nid = \"C\"\nowner = \"x\"\n\
         from = [\"a\"]\nto = [\"b\"]\nallow = [ {allow} ]\n"
    )
}

#[test]
fn s13_cyclic_data_belongs_to_who_opened_it() {
    let allow = "{ protocol = \"enip\", ops = [\"all\"] }, { protocol = \"enip-io\", ops = [\"io\"] }";
    let analysis = analyze_files(&fixture("enip/cyclic-io"), &two_hosts("192.168.10.10", "192.168.10.30", allow), 1);
    let io: Vec<_> = list(&analysis, "flows").iter().filter(|flow| flow["transport"] == "udp").collect();
    let [io] = io[..] else { panic!("{io:#?}") };
    assert_eq!((&io["client"]["ip"], &io["initiator"]), (&"192.168.10.10".into(), &"seen".into()));
    assert!(io["frames_to_server"].as_u64() > Some(0) && io["frames_to_client"].as_u64() > Some(0), "both ways");
    assert_eq!((&io["verdict"], &io["rule"]), (&"allow".into(), &"C".into()));
    let classes: BTreeSet<_> = list(io, "operations").iter().map(|operation| operation["class"].as_str()).collect();
    assert_eq!(classes, [Some("io")].into());
}

#[test]
fn s14_the_minimum_is_for_the_session_not_for_asking_what_there_is() {
    let allow = "{ protocol = \"opcua\", ops = [\"all\"], security = { mode = \"sign-and-encrypt\", policies = [\"Basic256Sha256\"] } }";
    let policy = two_hosts("192.168.50.5", "192.168.50.10", allow);
    for (case, capture, weak) in [
        ("endpoints asked in clear, then encrypted", "real/opcua-sign-and-encrypt", false),
        ("signed only", "real/opcua-sign", true),
        ("nothing at all", "real/opcua-none", true),
    ] {
        let analysis = analyze_files(&fixture(capture), &policy, 1);
        assert_eq!(codes(&analysis).contains(&"ZC008"), weak, "{case}: {:?}", codes(&analysis));
        if !weak {
            assert_eq!(flow(&analysis, "192.168.50.5")["verdict"], "allow", "{case}");
            let codes: Vec<_> =
                list(flow(&analysis, "192.168.50.5"), "operations").iter().map(|op| &op["code"]).collect();
            assert!(codes.iter().any(|code| *code == "GetEndpoints"), "{case}: it was asked: {codes:?}");
        }
    }
}

#[test]
fn s15_a_short_snap_length_leaves_the_class_while_it_leaves_the_code() {
    // 54 bytes of headers, 7 of the MBAP header, then the function and 120 registers to write.
    let long = |tid| {
        let mut pdu = vec![16, 0, 200, 0, 120, 240];
        pdu.extend([0; 240]);
        [packets::adu(tid, 1, &pdu), packets::adu(tid, 1, &[16, 0, 200, 0, 120])]
    };
    for (case, snap, class, truncated) in [
        ("whole", None, "write", false),
        ("96 bytes", Some(96), "write", true),
        ("no function left", Some(60), "unknown", true),
    ] {
        let tape = Tape { snap, ..one(&[long(1), long(2), long(3)], SECOND) };
        // Nothing is allowed, so that whatever it is it is found.
        let analysis = analyze(&[&tape], PLANT, 1);
        let found = finding(&analysis, "ZC001");
        assert_eq!(found["operation"]["class"], class, "{case}");
        assert_eq!(list(found, "qualifiers").contains(&"truncated".into()), truncated, "{case}: {found}");
    }
}

/// Requests a second for some seconds, each a second's worth at once.
fn burst(each: &[u64]) -> Tape {
    let mut tape = Tape::default();
    let mut talk = Talk::new(SCADA, PLC, 502, START).open(&mut tape);
    for (second, count) in (1..).zip(each) {
        for n in 0..*count {
            talk.now = START + second * SECOND + n * 10_000;
            let [ask, answer] = read(n as u16);
            talk.exchange(&mut tape, &ask, &answer);
        }
    }
    tape
}

#[test]
fn a_rate_is_that_of_one_table_and_one_pair() {
    let limited = |more: &str| plant(more).replace("units = [1] }", "units = [1], max_rate = \"5/s\" }");
    let other = "[[conduit]]\nid = \"D\"\nowner = \"x\"\nfrom = [\"supervision\"]\nto = [\"cell\"]\n\
                 allow = [ { protocol = \"modbus\", functions = [3], max_rate = \"3/s\" } ]\n";
    for (case, policy, each, want) in [
        ("within", limited(""), &[5, 5, 5][..], None),
        (
            "above in one second",
            limited(""),
            &[5, 8, 5],
            Some((3, "C allows 5 operations a second, and 8 were counted in one")),
        ),
        (
            "the worst is named",
            limited(""),
            &[9, 12, 5],
            Some((11, "C allows 5 operations a second, and 12 were counted in one")),
        ),
        ("another conduit takes the rest", limited(other), &[8, 8], None),
        ("as far as it goes", limited(other), &[9, 8], Some((1, "were counted in one"))),
    ] {
        let analysis = analyze(&[&burst(each)], &policy, 1);
        assert_eq!(analysis, analyze(&[&burst(each)], &policy, 4), "{case}: it does not depend on the workers");
        let Some((count, says)) = want else {
            assert!(codes(&analysis).is_empty(), "{case}: {:?}", codes(&analysis));
            continue;
        };
        let found = finding(&analysis, "ZC009");
        let outcome = &found["operation"]["outcome"];
        assert_eq!((found["count"].as_u64(), outcome["not_answered"].as_u64()), (Some(count), Some(0)), "{case}");
        assert!(found["conduit"]["detail"].as_str().unwrap().contains(says), "{case}: {found}");
    }
}

#[test]
fn bytes_are_counted_where_nobody_reads_the_messages() {
    let policy = |limit: &str| {
        plant("").replace(
            "{ protocol = \"modbus\", functions = [3], units = [1] }",
            &format!("{{ protocol = \"tcp\", ports = [445], max_bytes = \"{limit}\" }}"),
        )
    };
    let mut tape = Tape::default();
    let mut talk = Talk::new(SCADA, PLC, 445, START).open(&mut tape);
    for n in 0..20 {
        talk.now = START + MINUTE + n * SECOND;
        talk.exchange(&mut tape, b"\xfeSMB read", &[n as u8; 1_000]);
    }
    // 20 times 63 and 1054 bytes on the wire, all of them in one minute of UTC.
    for (limit, want) in [
        ("22340/m", None),
        ("22339/m", Some("C allows 22339 bytes a minute, and 22340 were counted in one")),
        ("10kB/m", Some("C allows 10000 bytes a minute, and 22340 were counted in one")),
        ("1MB/h", None),
    ] {
        let analysis = analyze(&[&tape], &policy(limit), 1);
        let says = list(&analysis, "findings").iter().map(|found| found["conduit"]["detail"].as_str().unwrap());
        assert_eq!(says.collect::<Vec<_>>(), want.into_iter().collect::<Vec<_>>(), "{limit}");
    }
}

#[test]
fn a_session_of_remote_access_ends_in_time() {
    let policy = |limits: &str| {
        plant(&format!("remote_access = true\n{limits}")).replace(
            "{ protocol = \"modbus\", functions = [3], units = [1] }",
            "{ protocol = \"tcp\", ports = [3389] }",
        )
    };
    let mut tape = Tape::default();
    for (client, from, to, every) in [("10.60.0.7", 0, 300, 10), ("10.60.0.8", 30, 90, 60)] {
        let mut talk = Talk::new(client, PLC, 3389, START + from * MINUTE).open(&mut tape);
        for minute in (from..=to).step_by(every) {
            talk.now = START + minute * MINUTE;
            talk.exchange(&mut tape, b"key", b"picture");
        }
    }
    for (limits, want) in [
        ("max_session = \"6h\"\nmax_idle = \"1h\"\nmax_concurrent = 2\n", ""),
        ("max_session = \"4h\"\n", "10.60.0.7 from 2026-11-16 10:15:00 CET stood 5 h, and 4 h is the longest"),
        ("max_idle = \"30m\"\n", "10.60.0.8 from 2026-11-16 10:45:00 CET paused for 59 min, and 30 min is the longest"),
        ("max_concurrent = 1\n", "10.60.0.8 from 2026-11-16 10:45:00 CET was one of 2 at a time, and 1 are the most"),
    ] {
        let analysis = analyze(&[&tape], &policy(limits), 1);
        let told = list(&analysis, "findings").iter().find(|found| found["reason"]["code"] == "DC013");
        let says = told.map_or("", |found| found["what"].as_str().unwrap());
        assert_eq!(says.is_empty(), want.is_empty(), "{limits}: {says}");
        assert!(says.contains(want), "{limits}: {says}");
    }
}

/// The review of some captures as the command tells it.
fn review(tape: &Tape, policy: &str) -> Value {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("capture.pcap"), tape.pcap()).unwrap();
    std::fs::write(folder.path().join("plant.toml"), policy).unwrap();
    let told = |format: &str| {
        let args = ["policy", "review", "plant.toml", "capture.pcap", "--format", format];
        support::run_in(folder.path(), args)
    };
    let table = told("table");
    assert_eq!((table.code, table.text().is_empty()), (Some(0), false), "{table:?}");
    // The draft of the decisions can be read back, and is not written over.
    let draft = |file: &str, from: &[&str]| {
        let args = [&["policy", "review", "plant.toml", "capture.pcap", "--draft", file], from].concat();
        support::run_in(folder.path(), args).code
    };
    assert_eq!(draft("one.toml", &[]), Some(0));
    assert_eq!(draft("two.toml", &["--decisions", "one.toml"]), Some(0));
    assert_eq!(draft("one.toml", &[]), Some(2));
    told("json").json()
}

#[test]
fn a_review_tells_what_was_measured() {
    let limits = "units = [1], max_rate = \"5/s\" }";
    let more = "logging = \"refused sessions\"\nvia = [\"fw\"]\nwindows = [\"mon 10:00-12:00\"]\nremote_access = true\nsl_c = 2\n\
                [[asset]]\nid = \"fw\"\nmac = [\"02:00:00:00:00:02\"]\n\
                [[exception]]\nid = \"X\"\nrisk_owner = \"x\"\nfrom = [\"supervision\"]\nto = [\"10.20.2.0/25\"]\n\
                valid_from = 2026-11-01\nvalid_until = 2026-12-01\nallow = [ { protocol = \"http\" } ]\n";
    let review = review(&burst(&[3, 8, 1]), &plant(more).replace("units = [1] }", limits));
    let row = list(&review, "conduits").iter().find(|row| row["id"] == "C").unwrap();
    let rate = &row["rates"][0];
    assert_eq!((&rate["maximum"], &rate["peak"], &rate["mean"]), (&"5/s".into(), &8.into(), &4.0.into()), "{rate}");
    assert_eq!(rate["exceeded"], true);
    assert_eq!(row["windows"], serde_json::json!({ "declared": ["mon 10:00-12:00"], "outside": 0 }));
    assert_eq!((&row["via"][0], &row["boundary"]), (&"fw".into(), &"no bypass seen".into()));
    assert_eq!(row["exceptions"], serde_json::json!(["X"]));
    assert_eq!((&row["sl_c"], &row["sl_t"][0]["rdf"]), (&2.into(), &2.into()));
    let session = &row["remote"][0];
    assert_eq!((&session["client"], &session["in_window"]), (&SCADA.into(), &true.into()), "{session}");
    assert_eq!(session["seconds"], 2, "from the first payload to the last");
    assert_eq!(row["state"], "used with violations");
    assert_eq!(row["logging"], "refused sessions");
    assert_eq!(review["zones"], serde_json::json!([]));
}

#[test]
fn a_review_tells_which_zones_may_be_two() {
    let assets = "[[asset]]\nid = \"low\"\nip = [\"10.20.2.10\"]\nrole = \"plc\"\n\
                  [[asset]]\nid = \"high\"\nip = [\"10.20.2.11\"]\nrole = \"workstation\"\n";
    let mut tape = Tape::default();
    for server in ["10.20.2.10", "10.20.2.11"] {
        Talk::new(SCADA, server, 502, START).open(&mut tape);
    }
    let review = review(&tape, &plant(assets));
    let says =
        "zone \"cell\" holds low of level 1 and high of level 4, by the roles that they showed: is it two zones?";
    assert_eq!(review["zones"], serde_json::json!([says]));
}

#[test]
fn s16_reading_twice_or_in_halves_says_the_same() {
    let exchanges: Vec<_> = (0..40).map(|n| if n % 4 == 3 { write(n, 200) } else { read(n) }).collect();
    let tape = one(&exchanges, SECOND);
    let says = |analysis: &Value| {
        let findings = list(analysis, "findings").iter();
        let findings: Vec<_> = findings.map(|found| (found["id"].clone(), found["count"].clone())).collect();
        let flows = list(analysis, "flows").iter();
        let flows: Vec<_> = flows.map(|flow| (flow["id"].clone(), requests(flow), flow["verdict"].clone())).collect();
        (findings, flows)
    };
    let whole = analyze(&[&tape], &plant(""), 1);
    assert_eq!(whole, analyze(&[&tape], &plant(""), 4), "twice");
    assert_eq!(finding(&whole, "ZC004")["count"], 10);
    for cut in [3, 20, 41, 42] {
        let [first, second] = tape.split(cut);
        assert_eq!(says(&analyze(&[&first, &second], &plant(""), 1)), says(&whole), "in halves, cut at {cut}");
        assert_eq!(says(&analyze(&[&second, &first], &plant(""), 1)), says(&whole), "named the other way around");
    }
}
