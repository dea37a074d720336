//! Membership by every selector with its precedence, and the rules that the acceptance cases do not reach.

use dissectors::Class;
use zonewatch::flow::key::{Initiator, Transport};
use zonewatch::policy::{Cast, Ends, Member, Policy, Request};
use zonewatch::time::Timestamp;

const PLANT: &str = r#"
[site]
id = "mill"
timezone = "UTC"
[[zone]]
id = "wide"
level = 2
members = [ { cidr = "10.1.0.0/16" }, { cidr = "fd00::/16" } ]
[[zone]]
id = "narrow"
level = 1
members = [ { cidr = "10.1.1.0/24" } ]
inside = { allow = [ { protocol = "modbus", ops = ["observe"] } ], deny = ["telnet"] }
[[zone]]
id = "ranged"
members = [ { range = "10.1.1.10-10.1.1.19" } ]
[[zone]]
id = "tagged"
members = [ { vlan = 7, cidr = "10.1.1.0/24" }, { vlan = 8 } ]
[[zone]]
id = "named"
members = [ { hostname = "*.scada.example" }, { hostname = "hmi.mill.example" } ]
[[zone]]
id = "single"
members = [ { ip = "10.1.1.15" } ]
[[zone]]
id = "carded"
members = [ { mac = "00:1b:21:aa:00:02" } ]
[[zone]]
id = "asked"
members = [ { role = "printer" } ]
[[zone]]
id = "pinned"
members = [ { asset = "plc-9" } ]
[[zone]]
id = "stationed"
members = [ { dnp3_link = 10 }, { dnp3_link = 12 } ]
[[zone]]
id = "safe"
parent = "wide"
safety = true
members = [ { cidr = "10.1.200.0/24" } ]
[[asset]]
id = "plc-9"
ip = ["10.1.1.16"]
[[asset]]
id = "fw"
mac = ["00:00:5e:00:01:02"]
boundary_of = ["wide"]
[[conduit]]
id = "either"
from = ["narrow"]
to = ["ranged"]
initiate = "either"
allow = [ { protocol = "modbus", ops = ["observe"] } ]
[[conduit]]
id = "back"
from = ["narrow"]
to = ["single"]
initiate = "to"
allow = [ { protocol = "modbus", ops = ["observe"] } ]
[[conduit]]
id = "shut"
from = ["single"]
to = ["ranged"]
allow = [ { protocol = "modbus", ops = ["all"] } ]
[[deny]]
id = "D"
from = ["narrow", "single"]
to = ["ranged", "wide"]
ops = ["operate"]
[[exception]]
id = "X"
from = ["10.1.1.15"]
to = ["10.1.1.12"]
overrides = ["D"]
valid_until = 2030-01-01
risk_owner = "plant"
allow = [ { protocol = "modbus", ops = ["write"] } ]
"#;

fn policy() -> Policy {
    Policy::parse("plant.toml", PLANT).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn the_most_specific_selector_decides() {
    let policy = policy();
    let at = |address: &str| Member::at(address.parse().unwrap());
    let mac = "00:1b:21:aa:00:02".parse().ok();
    for (case, member, want) in [
        ("wide CIDR", at("10.1.9.9"), "wide by cidr or range at plant.toml:8:13"),
        ("longest CIDR", at("10.1.1.9"), "narrow by cidr or range at plant.toml:12:13"),
        ("IPv4 mapped into IPv6", at("::ffff:10.1.1.9"), "narrow by cidr or range at plant.toml:12:13"),
        ("IPv6", at("fd00::9"), "wide by cidr or range at plant.toml:8:39"),
        ("smallest range", at("10.1.1.10"), "ranged by cidr or range at plant.toml:16:13"),
        ("VLAN and CIDR", Member { vlan: Some(7), ..at("10.1.1.10") }, "tagged by vlan and cidr at plant.toml:19:13"),
        ("VLAN loses to CIDR", Member { vlan: Some(8), ..at("10.1.9.9") }, "wide by cidr or range at plant.toml:8:13"),
        ("VLAN alone", Member { vlan: Some(8), ..at("192.168.1.1") }, "tagged by vlan at plant.toml:19:49"),
        (
            "host name suffix",
            Member { hostname: Some("A.Scada.Example"), ..at("10.1.1.10") },
            "named by hostname at plant.toml:22:13",
        ),
        (
            "host name of another suffix",
            Member { hostname: Some("a.mill.example"), ..at("10.1.1.9") },
            "narrow by cidr or range at plant.toml:12:13",
        ),
        ("single IP", at("10.1.1.15"), "single by ip at plant.toml:25:13"),
        ("MAC before IP", Member { mac, ..at("10.1.1.15") }, "carded by mac at plant.toml:28:13"),
        ("no IP at all", at("00:1b:21:aa:00:02"), "carded by mac at plant.toml:28:13"),
        ("pinned asset", Member { mac, ..at("10.1.1.16") }, "pinned by pin at plant.toml:34:13"),
        (
            "a station before networks",
            Member { stations: &[9, 10, 12], ..at("10.1.1.9") },
            "stationed by dnp3_link at plant.toml:37:13",
        ),
        (
            "a host name before a station",
            Member { hostname: Some("hmi.mill.example"), stations: &[10], ..at("10.1.1.9") },
            "named by hostname at plant.toml:22:47",
        ),
        ("a station of no zone", Member { stations: &[9], ..at("192.168.1.1") }, "unknown by no zone claims it"),
        ("query", Member { role: Some("Printer"), ..at("192.168.1.1") }, "asked by query at plant.toml:31:13"),
        ("private", at("192.168.1.1"), "unknown by no zone claims it"),
        ("public", at("203.0.113.1"), "external by no zone claims it"),
    ] {
        let found = policy.zone_of(&member);
        let place = found.at.map(|at| format!(" at {}", policy.place(at))).unwrap_or_default();
        assert_eq!(format!("{} by {}{place}", policy.zone(found.zone).id, found.by.text()), want, "{case}");
    }
}

#[test]
fn further_rules() {
    let policy = policy();
    for (case, client, server, port, protocol, class, want) in [
        ("either way, forward", "10.1.1.1", "10.1.1.10", 502, "modbus", Class::Read, "allow  either"),
        ("either way, backward", "10.1.1.10", "10.1.1.1", 502, "modbus", Class::Read, "allow  either"),
        ("reverse connect", "10.1.1.15", "10.1.1.1", 502, "modbus", Class::Read, "allow  back"),
        ("reverse connect the other way", "10.1.1.1", "10.1.1.15", 502, "modbus", Class::Read, "violation ZC002 back"),
        ("a deny beats a conduit", "10.1.1.15", "10.1.1.11", 502, "modbus", Class::Write, "violation ZC019 D"),
        ("an exception beats the deny it names", "10.1.1.15", "10.1.1.12", 502, "modbus", Class::Write, "exception  X"),
        (
            "but not for more than it allows",
            "10.1.1.15",
            "10.1.1.12",
            502,
            "modbus",
            Class::Control,
            "violation ZC019 D",
        ),
        (
            "a deny reaches safety zones inside",
            "10.1.1.1",
            "10.1.200.1",
            502,
            "modbus",
            Class::Write,
            "violation ZC019 D",
        ),
        ("inside, by a table", "10.1.1.1", "10.1.1.2", 502, "modbus", Class::Read, "allow  zone:narrow"),
        (
            "inside, not in the table",
            "10.1.1.1",
            "10.1.1.2",
            502,
            "modbus",
            Class::Write,
            "violation ZC016 zone:narrow",
        ),
        ("inside, denied", "10.1.1.1", "10.1.1.2", 23, "telnet", Class::RemoteAccess, "violation ZC016 zone:narrow"),
        (
            "nobody's addresses are no zone",
            "192.168.1.1",
            "192.168.1.2",
            502,
            "modbus",
            Class::Read,
            "violation ZC013 ",
        ),
        ("nor are public ones", "203.0.113.1", "8.8.8.8", 443, "https", Class::Other, "violation ZC015 "),
    ] {
        let conversation = policy.conversation(&Ends {
            client: Member::at(client.parse().unwrap()),
            server: Member::at(server.parse().unwrap()),
            transport: Transport::Tcp,
            port,
            vlan: None,
            initiator: Initiator::Seen,
            cast: Cast::Unicast,
            seen_in: &[],
            unapproved: false,
        });
        let request =
            Request { protocol: Some(protocol), class: Some(class), code: "1", ..Request::at(Timestamp::new(0, 0)) };
        let judgement = conversation.judge(&policy, &request);
        let reference = judgement.statement.map(|statement| policy.reference(statement)).unwrap_or_default();
        let reason = judgement.reason.map_or("", |reason| reason.code());
        assert_eq!(format!("{} {reason} {reference}", judgement.verdict.text()), want, "{case}");
    }
}

/// The same model in JSON, where dates are text.
#[test]
fn json() {
    let text = r#"{ "site": { "id": "mill", "timezone": "UTC" },
        "zone": [ { "id": "a", "level": 3.5, "members": [ { "cidr": "10.1.0.0/16" } ] } ],
        "exception": [ { "id": "X", "from": ["a"], "to": ["external"], "risk_owner": "x",
                         "valid_until": "2026-12-31", "allow": [ { "protocol": "https" } ] } ] }"#;
    let policy = Policy::parse("plant.json", text).unwrap_or_else(|error| panic!("{error}"));
    let end = policy.rules[0].valid_until().map(|at| at.to_string());
    assert_eq!((policy.site.as_str(), end.as_deref()), ("mill", Some("2027-01-01T00:00:00.000000000Z")));
    let broken = Policy::parse("plant.json", "{ \"site\": { \"id\": \"mill\", } }").unwrap_err().to_string();
    assert!(broken.starts_with("plant.json:1:"), "{broken}");
    let unknown =
        Policy::parse("plant.json", "{ \"site\": { \"id\": \"m\" }, \"zones\": [] }").unwrap_err().to_string();
    assert!(unknown.contains("did you mean \"zone\"?"), "{unknown}");
}

/// One policy from a folder: an id once only, over all files.
#[test]
fn folders() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("1-site.toml"), "[site]\nid = \"mill\"\ntimezone = \"UTC\"\n").unwrap();
    let zone = "[[zone]]\nid = \"a\"\nmembers = [ { cidr = \"10.1.0.0/16\" } ]\n";
    std::fs::write(folder.path().join("2-zones.toml"), zone).unwrap();
    std::fs::write(folder.path().join("notes.txt"), "not a policy").unwrap();
    let policy = Policy::load(&[folder.path().to_owned()]).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!((policy.files().count(), policy.zones.len()), (2, 3));

    std::fs::write(folder.path().join("3-more.toml"), zone).unwrap();
    let error = Policy::load(&[folder.path().to_owned()]).unwrap_err().to_string();
    assert!(error.contains("3-more.toml:2:6: error: the id \"a\" is used twice; first here at "), "{error}");
    let missing = Policy::load(&[folder.path().join("none.toml")]).unwrap_err().to_string();
    assert!(missing.contains("cannot read"), "{missing}");
}
