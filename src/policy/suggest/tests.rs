use super::*;
use crate::policy::{Ends, Member, Policy, Request, Verdict};
use crate::time::Timestamp;

fn at(frame: u64) -> Evidence {
    Evidence::new(Timestamp::new(1_794_823_200 + i64::try_from(frame).unwrap(), 0), 0, frame)
}

fn node(address: &str, role: Option<&'static str>, level: Option<u8>) -> Node {
    let address = address.parse().unwrap();
    let external = role == Some("external-host");
    Node { address, name: address.to_string(), role, level, vlan: None, external, anchor: None }
}

/// `client > server protocol:port`.
fn talk(text: &str, acts: Vec<Act>) -> Talk {
    let words: Vec<&str> = text.split_whitespace().collect();
    let [client, ">", server, service] = words[..] else { panic!("{text}") };
    let (protocol, port) = service.split_once(':').unwrap();
    let known = ["modbus", "enip"].into_iter().find(|known| *known == protocol);
    Talk {
        client: client.parse().unwrap(),
        server: server.parse().unwrap(),
        transport: Transport::Tcp,
        port: port.parse().unwrap(),
        protocol: known,
        refuted: None,
        initiator: Initiator::Seen,
        blocked: false,
        clear_password: false,
        protection: None,
        acts,
        connections: 1,
        frames: 10,
        first: at(1),
        last: at(9),
    }
}

/// `code class unit | space first last, …`.
fn act(text: &str) -> Act {
    let (head, things) = text.split_once('|').unwrap_or((text, ""));
    let head: Vec<&str> = head.split_whitespace().collect();
    let [code, class, unit] = head[..] else { panic!("{text}") };
    let range = |thing: &str| {
        let words: Vec<&str> = thing.split_whitespace().collect();
        let [space, first, last] = words[..] else { panic!("{text}") };
        (space.to_owned(), first.parse().unwrap(), last.parse().unwrap())
    };
    Act {
        code: code.to_owned(),
        name: format!("function {code}"),
        class: Class::parse(class).unwrap(),
        unit: (unit != "-").then(|| unit.to_owned()),
        ranges: things.split(',').filter(|thing| !thing.trim().is_empty()).map(range).collect(),
        names: Vec::new(),
        partial: false,
        count: 3,
        first: at(2),
        last: at(8),
    }
}

fn plant(talks: Vec<Talk>) -> Seen {
    Seen {
        captures: vec!["a.pcap".to_owned()],
        nodes: vec![
            node("10.60.0.10", Some("scada-server"), Some(20)),
            node("10.60.0.11", Some("scada-server"), Some(20)),
            node("10.20.2.10", Some("plc"), Some(10)),
            node("10.20.2.11", Some("plc"), Some(10)),
            node("10.20.2.30", Some("hmi"), Some(20)),
            node("10.30.0.2", Some("safety-controller"), Some(10)),
            node("10.1.5.5", Some("workstation"), Some(40)),
            node("203.0.113.9", Some("external-host"), Some(50)),
        ],
        talks,
        carried: BTreeMap::new(),
    }
}

/// The rights of the draft: its tables, and what it withholds.
fn rights(seen: &Seen) -> Vec<String> {
    let text = draft(seen, "test");
    Policy::parse("draft.toml", &text).unwrap_or_else(|wrong| panic!("{wrong}\n{text}"));
    let tables = text.lines().filter(|line| line.starts_with("  { protocol")).map(|line| line.trim().to_owned());
    let withheld = text
        .lines()
        .filter(|line| line.contains(" -> "))
        .map(|line| line.split(';').next().unwrap().trim_start_matches(['#', ' ']).to_owned());
    tables.chain(withheld).collect()
}

#[test]
fn what_is_drafted() {
    let scada = "10.60.0.10 > 10.20.2.10 modbus:502";
    for (case, talks, want) in [
        (
            "registers a few apart are one range, others are not",
            vec![talk(scada, vec![act("3 read 1 | holding 0 9, holding 14 19, holding 30 39")])],
            vec![
                "{ protocol = \"modbus\", functions = [3], units = [1], objects = [{ table = \"holding\", from = 0, to = 19 }, { table = \"holding\", from = 30, to = 39 }] },",
            ],
        ),
        (
            "instances a few apart stay apart",
            vec![talk(
                "10.60.0.10 > 10.20.2.10 enip:44818",
                vec![act("0x0e:0x01 read - | instance 1 1, instance 3 3")],
            )],
            vec![
                "{ protocol = \"enip\", functions = [\"0x0e:0x01\"], objects = [{ table = \"instance\", from = 1, to = 1 }, { table = \"instance\", from = 3, to = 3 }] },",
            ],
        ),
        (
            "what differs in its codes alone is one table",
            vec![talk(scada, vec![act("3 read 1 | holding 0 9"), act("16 write 1 | holding 0 9")])],
            vec![
                "{ protocol = \"modbus\", functions = [3, 16], units = [1], objects = [{ table = \"holding\", from = 0, to = 9 }] },",
            ],
        ),
        (
            "the device itself is a unit too",
            vec![talk(scada, vec![act("3 read 1 | holding 0 9"), act("43/14 discovery -")])],
            vec![
                "{ protocol = \"modbus\", functions = [3], units = [1], objects = [{ table = \"holding\", from = 0, to = 9 }] },",
                "{ protocol = \"modbus\", functions = [\"43/14\"], units = [255] },",
            ],
        ),
        (
            "an unusual port is written",
            vec![talk("10.60.0.10 > 10.20.2.10 modbus:5020", vec![act("3 read - | holding 0 9")])],
            vec![
                "{ protocol = \"modbus\", ports = [5020], functions = [3], objects = [{ table = \"holding\", from = 0, to = 9 }] },",
            ],
        ),
        (
            "nobody knows the port",
            vec![talk("10.60.0.10 > 10.20.2.10 -:9999", vec![])],
            vec!["{ protocol = \"tcp\", ports = [9999] },"],
        ),
        (
            "a decoded protocol that said nothing may open a session",
            vec![talk(scada, vec![])],
            vec!["{ protocol = \"modbus\", ops = [\"session\"] },"],
        ),
        (
            "cyclic data to a group is on the zone's list, though nobody reads it",
            vec![Talk {
                transport: Transport::Ethertype(0x88B8),
                ..talk("10.60.0.10 > 01:0c:cd:01:00:00 -:0", vec![])
            }],
            vec!["{ protocol = \"goose\" },"],
        ),
        (
            "engineering is never approved unseen",
            vec![talk(scada, vec![act("3 read 1 | holding 0 9"), act("90 program 1")])],
            vec![
                "{ protocol = \"modbus\", functions = [3], units = [1], objects = [{ table = \"holding\", from = 0, to = 9 }] },",
                "10.60.0.10 -> 10.20.2.10 modbus: function 90 (90, program)",
            ],
        ),
        (
            "nor is a write to a safety system",
            vec![talk(
                "10.60.0.10 > 10.30.0.2 modbus:502",
                vec![act("4 read 1 | input 0 9"), act("6 write 1 | holding 0 0")],
            )],
            vec![
                "{ protocol = \"modbus\", functions = [4], units = [1], objects = [{ table = \"input\", from = 0, to = 9 }] },",
                "10.60.0.10 -> 10.30.0.2 modbus: function 6 (6, write)",
            ],
        ),
        (
            "nor the outside",
            vec![talk("10.20.2.10 > 203.0.113.9 https:443", vec![])],
            vec!["10.20.2.10 -> 203.0.113.9 https"],
        ),
        (
            "nor a password in the clear",
            vec![talk("10.60.0.10 > 10.20.2.10 telnet:23", vec![])],
            vec!["10.60.0.10 -> 10.20.2.10 telnet"],
        ),
        (
            "nor the office at a controller",
            vec![talk("10.1.5.5 > 10.20.2.10 modbus:502", vec![act("3 read 1 | holding 0 9")])],
            vec!["10.1.5.5 -> 10.20.2.10 modbus: function 3 (3, read)"],
        ),
        (
            "nor what came to nothing",
            vec![
                Talk { blocked: true, ..talk(scada, vec![]) },
                Talk { blocked: true, ..talk("10.60.0.10 > 10.20.2.99 modbus:502", vec![]) },
            ],
            vec!["10.60.0.10 -> 10.20.2.10, 10.20.2.99 modbus"],
        ),
    ] {
        assert_eq!(rights(&plant(talks)), want, "{case}");
    }
}

#[test]
fn who_belongs_together() {
    let seen = plant(vec![
        talk("10.60.0.10 > 10.20.2.10 modbus:502", vec![act("3 read - | holding 0 9")]),
        talk("10.20.2.11 > 203.0.113.9 https:443", vec![]),
    ]);
    let policy = Policy::parse("draft.toml", &draft(&seen, "test")).unwrap();
    for (address, want) in [
        ("10.60.0.10", "net-10-60-0-l2"),
        ("10.60.0.77", "net-10-60-0-l2"),
        ("10.20.2.10", "net-10-20-2-l1"),
        ("10.20.2.30", "net-10-20-2-l2"),
        ("10.20.2.11", "net-10-20-2-l1-public"),
        ("10.30.0.2", "net-10-30-0-l1-safety"),
        ("10.30.0.3", "unknown"),
        ("203.0.113.9", "external"),
    ] {
        let zone = policy.zone_of(&Member::at(address.parse().unwrap())).zone;
        assert_eq!(policy.zone(zone).id, want, "{address}");
    }
}

/// A MAC address is asked before an IP address is, so a router's own would pull all that it carries into its zone.
#[test]
fn a_mac_address_claims_only_its_own() {
    let mac: Address = "00:1b:21:aa:00:02".parse().unwrap();
    let wire = Talk {
        transport: Transport::Ethertype(0x88A4),
        port: 0,
        ..talk("00:1b:21:aa:00:02 > 00:1b:21:aa:00:03 -:0", vec![])
    };
    for (case, carried, want) in [("no IP", vec![], "layer-2"), ("somebody's IP", vec!["10.60.0.10"], "unknown")] {
        let mut seen = plant(vec![wire.clone()]);
        seen.carried.insert(mac, carried.iter().map(|ip| ip.parse().unwrap()).collect());
        let policy = Policy::parse("draft.toml", &draft(&seen, "test")).unwrap();
        assert_eq!(
            policy
                .zone(
                    policy.zone_of(&Member { mac: Some("00:1b:21:aa:00:02".parse().unwrap()), ..Member::at(mac) }).zone
                )
                .id,
            want,
            "{case}"
        );
    }
}

/// Two clients of two servers by the same rights are one conduit only if every client was seen at every server.
#[test]
fn ends_are_never_crossed() {
    let read = || vec![act("3 read - | holding 0 9")];
    let straight =
        vec![talk("10.60.0.10 > 10.20.2.10 modbus:502", read()), talk("10.60.0.11 > 10.20.2.11 modbus:502", read())];
    let mut all = straight.clone();
    all.push(talk("10.60.0.10 > 10.20.2.11 modbus:502", read()));
    all.push(talk("10.60.0.11 > 10.20.2.10 modbus:502", read()));
    for (case, talks, conduits, crossed) in [("straight", straight, 2, false), ("all", all, 1, true)] {
        let policy = Policy::parse("draft.toml", &draft(&plant(talks), "test")).unwrap();
        assert_eq!(policy.rules.len(), conduits, "{case}");
        let conversation = policy.conversation(&Ends {
            client: Member::at("10.60.0.10".parse().unwrap()),
            server: Member::at("10.20.2.11".parse().unwrap()),
            transport: Transport::Tcp,
            port: 502,
            vlan: None,
            initiator: Initiator::Seen,
            cast: crate::policy::Cast::Unicast,
            seen_in: &[],
            unapproved: false,
        });
        let judgement = conversation.judge(&policy, &Request::at(at(1).at));
        // What a draft allows is reviewed, without a reason to object.
        assert_eq!(judgement.verdict == Verdict::Review && judgement.reason.is_none(), crossed, "{case}");
    }
}

#[test]
fn names_from_the_wire_break_nothing() {
    let mut seen = plant(vec![talk(
        "10.60.0.10 > 10.20.2.10 enip:44818",
        vec![Act {
            names: vec![("tag".to_owned(), "a\"]\n[[conduit]]\u{202e}*".to_owned())],
            name: "x\n[site]".to_owned(),
            ..act("0x4c read -")
        }],
    )]);
    seen.nodes[0].name = "evil\n[[zone]]\u{1b}[31m".to_owned();
    seen.captures = vec!["a\n[[zone]].pcap".to_owned()];
    let text = draft(&seen, "test");
    let policy = Policy::parse("draft.toml", &text).unwrap_or_else(|wrong| panic!("{wrong}\n{text}"));
    assert_eq!(policy.rules.len(), 1);
    assert!(!text.contains('\u{1b}') && !text.contains('\u{202e}'));
}

#[test]
fn causes() {
    let scada = "10.60.0.10 > 10.20.2.10 modbus:502";
    let seen = plant(vec![talk(scada, vec![act("3 read 1 | holding 0 9")])]);
    for (case, later, class, want) in [
        (
            "new device",
            talk("10.60.0.99 > 10.20.2.10 modbus:502", vec![]),
            "read",
            Cause::NewDevice("10.60.0.99 was not seen before".to_owned()),
        ),
        ("new pair", talk("10.60.0.11 > 10.20.2.10 modbus:502", vec![]), "read", Cause::NewPair),
        ("turned", talk("10.20.2.10 > 10.60.0.10 -:4000", vec![]), "unknown", Cause::Turned),
        (
            "new service",
            talk("10.60.0.10 > 10.20.2.10 ssh:22", vec![]),
            "remote-access",
            Cause::NewService("ssh".to_owned()),
        ),
        (
            "new operation",
            talk(scada, vec![act("6 write 1 | holding 0 0")]),
            "write",
            Cause::NewOperation("function 6 (6)".to_owned()),
        ),
        (
            "new unit",
            talk(scada, vec![act("3 read 2 | holding 0 9")]),
            "read",
            Cause::NewOperation("function 3 (3)".to_owned()),
        ),
        (
            "new object",
            talk(scada, vec![act("3 read 1 | holding 5 12")]),
            "read",
            Cause::NewObject("holding 5 to 12 by function 3".to_owned()),
        ),
        ("withheld", talk(scada, vec![act("90 program 1")]), "program", Cause::Withheld(Caution::Engineer.text())),
        ("nothing new", talk(scada, vec![act("3 read 1 | holding 2 3")]), "read", Cause::Other),
    ] {
        let rest = Seen { talks: vec![later.clone()], ..seen.clone() };
        assert_eq!(cause(&seen, &rest, &later, Class::parse(class).unwrap(), None), want, "{case}");
    }
}
