//! Scenarios in words. A line is what one frame, or one flow, shows:
//!
//! ```text
//! 10.0.0.1 eth=00:00:bc:00:00:01 ttl=64          a host sent a frame with this source MAC and TTL
//! 10.0.0.1 arp=00:00:bc:00:00:01 until=9         it said so by ARP, first in this frame, last in frame 9
//! 10.0.0.1 cip/1,0 serial=1234                   a component told something
//! 10.0.0.2 > 10.0.0.1 tcp/502 modbus asks=read grants=read components=modbus/1
//! ```

use dissectors::{Attribute, Class, Method, attribute};
use proptest::prelude::*;

use super::*;
use crate::ledger::{Fact, FactKey, Subject};
use crate::time::Timestamp;

#[derive(Default)]
struct Scenario {
    facts: Vec<(Subject, Fact)>,
    traffic: Vec<Traffic>,
    declared: Vec<Declared>,
    home_nets: Vec<IpNet>,
    zones: Vec<(IpNet, Level)>,
}

fn at(frame: u64) -> Evidence {
    Evidence::new(Timestamp::new(i64::try_from(frame).unwrap(), 0), 0, frame)
}

fn host(text: &str) -> Host {
    let (address, realm) = text.split_once('%').unwrap_or((text, "0"));
    Host { realm: Realm(realm.parse().unwrap()), address: address.parse().unwrap_or_else(|_| panic!("{text}")) }
}

fn classes(text: &str) -> u32 {
    text.split(',').map(|class| Class::parse(class).unwrap().bit()).fold(0, |all, bit| all | bit)
}

/// Protocols of the scenarios; those in capitals are not of control systems.
const NAMES: [&str; 6] = ["modbus", "cip", "opcua", "DNS", "SSH", "HTTPS"];

impl Scenario {
    fn new(text: &str) -> Self {
        let mut scenario = Self::default();
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        for (line, frame) in lines.zip(1..) {
            let words: Vec<&str> = line.split_whitespace().collect();
            match words[..] {
                [client, ">", server, ref rest @ ..] => scenario.flow(host(client), host(server), rest, frame),
                [who, part, ref rest @ ..] if part.contains('/') && !part.contains('=') => {
                    scenario.frame(Subject { host: host(who), component: Some(part.into()) }, rest, frame);
                }
                [who, ref rest @ ..] => scenario.frame(Subject { host: host(who), component: None }, rest, frame),
                [] => {}
            }
        }
        scenario
    }

    fn frame(&mut self, subject: Subject, words: &[&str], frame: u64) {
        let pairs = || words.iter().map(|word| word.split_once('=').unwrap_or_else(|| panic!("{word}")));
        let last = pairs().find(|(key, _)| *key == "until").map_or(frame, |(_, value)| value.parse().unwrap());
        for (key, value) in pairs().filter(|(key, _)| *key != "until") {
            let named = |text: &str| {
                Attribute(attribute::ALL.iter().find(|a| a.0 == text).unwrap_or_else(|| panic!("{text}")).0)
            };
            let (attribute, protocol, method) = match key {
                "arp" => (attribute::MAC, "arp", Method::SelfReport),
                "eth" => (attribute::MAC, "ethernet", Method::Behaviour),
                "ttl" | "vlan" => (named(key), "ip", Method::Behaviour),
                "does" => (attribute::ROLE, "modbus", Method::Behaviour),
                "hearsay" => (attribute::NAME, "modbus", Method::ThirdParty),
                _ => (named(key), "cip", Method::SelfReport),
            };
            let (value, weight) = match value.split_once(':') {
                Some((value, weight)) if attribute == attribute::ROLE => (value, weight.parse().unwrap()),
                _ => (value, method.weight()),
            };
            let basis = if attribute == attribute::ROLE { "as told" } else { "" };
            let count = if last > frame { 2 } else { 1 };
            let support = Support { count, first: at(frame), last: at(last), weight, basis };
            let key = FactKey { attribute, value: value.into(), protocol, method };
            self.facts.push((subject.clone(), Fact { key, support }));
        }
    }

    fn flow(&mut self, client: Host, server: Host, words: &[&str], frame: u64) {
        let mut flow = Traffic::new(client, server, Transport::Tcp, 0, at(frame));
        flow.initiator = Initiator::Seen;
        (flow.frames_to_server, flow.frames_to_client) = (10, 10);
        (flow.bytes_to_server, flow.bytes_to_client) = (1000, 2000);
        (flow.served, flow.requests, flow.answered) = (true, 10, 10);
        for word in words {
            match word.split_once('=').or_else(|| word.split_once('/')) {
                Some(("tcp", port)) => flow.port = port.parse().unwrap(),
                Some(("udp", port)) => (flow.transport, flow.port) = (Transport::Udp, port.parse().unwrap()),
                Some(("l2", _)) => flow.transport = Transport::Ethertype(0x88CC),
                Some(("asks", list)) => flow.asked = classes(list),
                Some(("grants", list)) => flow.granted = classes(list),
                Some(("requests", count)) => flow.requests = count.parse().unwrap(),
                Some(("components", list)) => flow.components = list.split('+').map(Into::into).collect(),
                None if *word == "silent" => {
                    (flow.frames_to_client, flow.bytes_to_client, flow.answered, flow.served) = (0, 0, 0, false);
                }
                None if *word == "unsided" => flow.initiator = Initiator::Unknown,
                None => {
                    flow.protocol = Some(NAMES.iter().find(|name| *name == word).unwrap_or_else(|| panic!("{word}")));
                    flow.industrial = word.chars().all(char::is_lowercase);
                }
                Some(_) => panic!("{word}"),
            }
        }
        self.traffic.push(flow);
    }

    fn ledger(&self) -> Ledger {
        let mut ledger = Ledger::default();
        for (subject, fact) in &self.facts {
            ledger.apply(subject.clone(), fact.clone());
        }
        ledger
    }

    fn resolve(&self) -> Inventory {
        resolve_with(&self.ledger(), &self.traffic, self)
    }
}

/// Built once: reading the registries takes longer than all scenarios.
static OUI: std::sync::LazyLock<Oui> = std::sync::LazyLock::new(Oui::builtin);

fn resolve_with(ledger: &Ledger, traffic: &[Traffic], scenario: &Scenario) -> Inventory {
    let zone_level = |host: Host| {
        let ip = host.address.ip()?;
        scenario.zones.iter().find(|(net, _)| net.contains(&ip)).map(|(_, level)| *level)
    };
    resolve(&Input {
        ledger,
        traffic,
        declared: &scenario.declared,
        home_nets: &scenario.home_nets,
        oui: &OUI,
        zone_level: &zone_level,
        workers: 2,
    })
}

fn joined<T: ToString>(items: &[T]) -> String {
    items.iter().map(T::to_string).collect::<Vec<_>>().join("+")
}

/// Each asset with its addresses, its own MACs (last byte), in the order of the addresses.
fn devices(inventory: &Inventory) -> String {
    let mac = |mac: &Mac| format!("{:02x}", mac.0[5]);
    let show = |asset: &Asset| {
        let macs: Vec<_> = asset.macs.iter().map(mac).collect();
        (asset.ips.clone(), format!("{} [{}]", joined(&asset.ips), macs.join(" ")))
    };
    let mut shown: Vec<_> = inventory.assets.iter().map(show).collect();
    shown.sort();
    shown.into_iter().map(|(_, text)| text).collect::<Vec<_>>().join(", ")
}

fn role_and_level(asset: &Asset) -> String {
    let level = asset.level.map_or("?".to_owned(), |level| format!("{} by {}", level.value, level.source.text()));
    format!("{} {}, level {level}", asset.role.value.unwrap_or("unknown"), asset.role.confidence)
}

fn role_of(inventory: &Inventory, address: &str) -> String {
    role_and_level(inventory.at(host(address)).unwrap_or_else(|| panic!("no asset {address}")))
}

fn conflicts(inventory: &Inventory) -> String {
    let show = |c: &Conflict| {
        let part = c.component.as_ref().map_or(String::new(), |part| format!(" {part}"));
        let when = if c.at_once { "at once" } else { "then" };
        format!(
            "{} {}{part}: {}@{} {when} {}@{}",
            c.kind.text(),
            c.host.address,
            c.earlier.value,
            c.earlier.first.frame(),
            c.later.value,
            c.later.first.frame()
        )
    };
    inventory.conflicts.iter().map(show).collect::<Vec<_>>().join(", ")
}

#[test]
fn which_addresses_are_one_device() {
    for (case, scenario, want) in [
        ("nothing", "", ""),
        ("a host and its MAC by ARP", "10.0.0.1 arp=00:00:bc:00:00:01", "10.0.0.1 [01]"),
        (
            "two hosts with MACs of their own, both directions",
            "
            10.0.0.1 eth=00:00:bc:00:00:01 ttl=64
            10.0.0.2 eth=00:00:bc:00:00:02 ttl=64
            10.0.0.1 > 10.0.0.2 tcp/502 modbus",
            "10.0.0.1 [01], 10.0.0.2 [02]",
        ),
        ("an address that was only asked", "10.0.0.1 > 10.0.0.2 udp/53 DNS silent", "10.0.0.1 []"),
        (
            "answers that the mirror does not show",
            "10.0.0.1 > 10.0.0.2 tcp/502 modbus silent",
            "10.0.0.1 [], 10.0.0.2 []",
        ),
        ("an address that others only talk of", "10.0.0.1 hearsay=plc-1", ""),
        (
            "groups and no addresses",
            "
            0.0.0.0 arp=00:00:bc:00:00:01
            239.1.1.1 eth=00:00:bc:00:00:02
            255.255.255.255 eth=00:00:bc:00:00:02
            :: eth=00:00:bc:00:00:03
            ff:ff:ff:ff:ff:ff vlan=1",
            "",
        ),
        (
            "dual-IP controller: one MAC, two addresses of one subnet",
            "
            10.0.0.1 arp=00:00:bc:00:00:01
            10.0.0.2 arp=00:00:bc:00:00:01",
            "10.0.0.1+10.0.0.2 [01]",
        ),
        (
            "dual-homed on one port: TTL shows that both are near",
            "
            10.0.0.1 eth=00:00:bc:00:00:01 ttl=64
            192.168.7.1 eth=00:00:bc:00:00:01 ttl=64",
            "10.0.0.1+192.168.7.1 [01]",
        ),
        (
            "dual-homed controller: two ports, one serial number",
            "
            10.0.0.1 arp=00:00:bc:00:00:01 vendor=Acme serial=00c0ffee
            192.168.7.1 arp=00:00:bc:00:00:02 vendor=Acme serial=00c0ffee",
            "10.0.0.1+192.168.7.1 [01 02]",
        ),
        (
            "a serial number that nobody set",
            "
            10.0.0.1 vendor=Acme serial=00000000
            10.0.0.2 vendor=Acme serial=00000000",
            "10.0.0.1 [], 10.0.0.2 []",
        ),
        (
            "a serial number that every simulator has",
            "
            10.0.0.1 vendor=Acme serial=88111222
            10.0.0.2 vendor=Acme serial=88111222
            10.0.0.3 vendor=Acme serial=88111222
            10.0.0.4 vendor=Acme serial=88111222
            10.0.0.5 vendor=Acme serial=88111222",
            "10.0.0.1 [], 10.0.0.2 [], 10.0.0.3 [], 10.0.0.4 [], 10.0.0.5 []",
        ),
        (
            "equal serial numbers of two makers",
            "
            10.0.0.1 vendor=Acme serial=1234
            10.0.0.2 vendor=Bolt serial=1234",
            "10.0.0.1 [], 10.0.0.2 []",
        ),
        (
            "a module seen through two others",
            "
            10.0.0.1 cip/1,0 vendor=Acme serial=1234
            10.0.0.2 cip/1,0 vendor=Acme serial=1234",
            "10.0.0.1 [], 10.0.0.2 []",
        ),
        (
            "a device replaced: the old one, with its serial number, is elsewhere now",
            "
            10.0.0.1 vendor=Acme serial=1234
            10.0.0.1 vendor=Acme serial=5678
            10.0.0.2 vendor=Acme serial=1234",
            "10.0.0.1 [], 10.0.0.2 []",
        ),
        (
            "one application",
            "
            10.0.0.1 application-uri=urn:a certificate-thumbprint=aa
            10.0.0.2 application-uri=urn:a certificate-thumbprint=aa
            10.0.0.3 application-uri=urn:a certificate-thumbprint=bb",
            "10.0.0.1+10.0.0.2 [], 10.0.0.3 []",
        ),
        (
            "two medium keys",
            "
            10.0.0.1 name=press-1 hostname=press1.plant
            10.0.0.2 name=press-1 hostname=press1.plant
            10.0.0.3 name=press-1 hostname=press2.plant",
            "10.0.0.1+10.0.0.2 [], 10.0.0.3 []",
        ),
        (
            "one medium key told twice",
            "
            10.0.0.1 name=press-1 hostname=PRESS-1
            10.0.0.2 name=press-1 hostname=PRESS-1",
            "10.0.0.1 [], 10.0.0.2 []",
        ),
        (
            "IPv4 and IPv6 of one MAC",
            "
            10.0.0.1 arp=00:00:bc:00:00:01
            fe80::1 eth=00:00:bc:00:00:01 ttl=255
            2001:db8::1 eth=00:00:bc:00:00:01 ttl=64
            2001:db8::2 eth=00:00:bc:00:00:01 ttl=64
            2001:db8:1::2 eth=00:00:bc:00:00:01 ttl=64",
            "10.0.0.1+2001:db8::1+2001:db8::2+2001:db8:1::2+fe80::1 [01]",
        ),
        (
            "what speaks without IP is the host with the MAC",
            "
            10.0.0.1 eth=00:00:bc:00:00:01 ttl=64
            00:00:bc:00:00:01 name=press-1",
            "10.0.0.1 [01]",
        ),
        ("what speaks without IP only", "00:00:bc:00:00:01 name=press-1", " [01]"),
        ("what speaks without IP tells its address", "00:00:bc:00:00:01 own-address=10.0.0.1", "10.0.0.1 [01]"),
        (
            "three addresses of one subnet: a proxy as well as a device",
            "
            10.0.0.1 arp=00:00:bc:00:00:01
            10.0.0.2 arp=00:00:bc:00:00:01
            10.0.0.3 arp=00:00:bc:00:00:01",
            "10.0.0.1 [01], 10.0.0.2 [01], 10.0.0.3 [01]",
        ),
        (
            "a MAC that software set joins one interface",
            "
            10.0.0.1 arp=02:00:00:00:00:01
            02:00:00:00:00:01 name=soft-plc",
            "10.0.0.1 [01]",
        ),
        (
            "a MAC that software set joins no two addresses",
            "
            10.0.0.1 arp=02:00:00:00:00:01
            10.0.0.2 arp=02:00:00:00:00:01",
            "10.0.0.1 [01], 10.0.0.2 [01]",
        ),
        (
            "one address in two cells",
            "
            10.0.0.1%1 arp=00:00:bc:00:00:01
            10.0.0.1%2 arp=00:00:bc:00:00:02",
            "10.0.0.1 [01], 10.0.0.1 [02]",
        ),
    ] {
        assert_eq!(devices(&Scenario::new(scenario).resolve()), want, "{case}");
    }
}

#[test]
fn a_router_is_not_the_hosts_behind_it() {
    for (case, scenario, want) in [
        (
            "three addresses of other subnets, no TTL known",
            "
            10.0.0.1 arp=00:00:0c:00:00:01
            10.1.0.1 eth=00:00:0c:00:00:01
            10.2.0.1 eth=00:00:0c:00:00:01
            10.2.0.2 eth=00:00:0c:00:00:01",
            "10.0.0.1 [01], 10.1.0.1 [], 10.2.0.1 [], 10.2.0.2 []",
        ),
        (
            "one packet with a lowered TTL",
            "
            10.0.0.1 arp=00:00:0c:00:00:01
            10.1.0.1 eth=00:00:0c:00:00:01 ttl=63",
            "10.0.0.1 [01], 10.1.0.1 []",
        ),
        (
            "a router without an address of its own is known by its MAC",
            "
            10.1.0.1 eth=00:00:0c:00:00:01 ttl=63
            10.2.0.1 eth=00:00:0c:00:00:01 ttl=126",
            " [01], 10.1.0.1 [], 10.2.0.1 []",
        ),
        (
            "a router that speaks for itself with an initial TTL",
            "
            10.0.0.1 eth=00:00:0c:00:00:01 ttl=255
            10.1.0.1 eth=00:00:0c:00:00:01 ttl=63",
            "10.0.0.1 [01], 10.1.0.1 []",
        ),
        (
            "a firewall that does not lower the TTL",
            "
            10.1.0.1 eth=00:00:0c:00:00:01 ttl=64
            10.2.0.1 eth=00:00:0c:00:00:01 ttl=64
            10.3.0.1 eth=00:00:0c:00:00:01 ttl=128",
            " [01], 10.1.0.1 [], 10.2.0.1 [], 10.3.0.1 []",
        ),
        (
            "proxy ARP",
            "
            10.0.0.1 arp=00:00:0c:00:00:01
            10.0.0.77 arp=00:00:0c:00:00:01
            10.0.0.77 eth=00:00:0c:00:00:01 ttl=63",
            "10.0.0.1 [01], 10.0.0.77 []",
        ),
        (
            "a host on both sides of a router",
            "
            10.0.0.5 eth=00:00:bc:00:00:05 ttl=64
            10.0.0.5 eth=00:00:0c:00:00:01 ttl=63",
            " [01], 10.0.0.5 [05]",
        ),
        (
            "an odd initial TTL, but the host says that the MAC is its own",
            "
            10.0.0.5 arp=00:00:bc:00:00:05
            10.0.0.5 eth=00:00:bc:00:00:05 ttl=50",
            "10.0.0.5 [05]",
        ),
        ("multicast with a small TTL is not routed", "10.0.0.5 eth=00:00:bc:00:00:05 ttl=1", "10.0.0.5 [05]"),
        (
            "a VRRP address, its routers, and who is behind",
            "
            10.0.0.1 arp=00:00:5e:00:01:09
            10.0.0.2 arp=00:00:0c:00:00:02
            10.0.0.2 eth=00:00:5e:00:01:09 ttl=255
            10.1.0.1 eth=00:00:5e:00:01:09 ttl=63",
            "10.0.0.1 [09], 10.0.0.2 [02], 10.1.0.1 []",
        ),
        (
            "two routers, one far host",
            "
            10.1.0.1 eth=00:00:0c:00:00:01 ttl=63
            10.1.0.1 eth=00:00:0c:00:00:02 ttl=63",
            " [01],  [02], 10.1.0.1 []",
        ),
    ] {
        let inventory = Scenario::new(scenario).resolve();
        assert_eq!(devices(&inventory), want, "{case}");
        assert_eq!(conflicts(&inventory), "", "{case}");
    }
    let inventory = Scenario::new("10.1.0.1 eth=00:00:0c:00:00:01 ttl=63").resolve();
    assert_eq!(role_of(&inventory, "00:00:0c:00:00:01"), "router 85, level ?");
}

#[test]
fn what_contradicts_itself_names_its_frames() {
    for (case, scenario, want, assets) in [
        (
            "an impostor: it has another address of its own",
            "
            10.0.0.1 arp=00:00:bc:00:00:01 until=9
            10.0.0.9 arp=00:00:bc:00:00:09
            10.0.0.1 arp=00:00:bc:00:00:09 until=8
            00:00:bc:00:00:01 name=press-1",
            "duplicate-address 10.0.0.1: 00:00:bc:00:00:01@1 at once 00:00:bc:00:00:09@3",
            "10.0.0.1 [01 09], 10.0.0.9 [09]",
        ),
        (
            "an impostor that was there first",
            "
            10.0.0.9 arp=00:00:bc:00:00:09
            10.0.0.1 arp=00:00:bc:00:00:09 until=8
            10.0.0.1 arp=00:00:bc:00:00:01 until=9",
            "duplicate-address 10.0.0.1: 00:00:bc:00:00:09@2 at once 00:00:bc:00:00:01@3",
            "10.0.0.1 [01 09], 10.0.0.9 [09]",
        ),
        (
            "a lease that went to another device joins nothing",
            "
            10.0.0.1 arp=00:00:bc:00:00:01
            10.0.0.2 arp=00:00:bc:00:00:01
            10.0.0.2 arp=00:00:bc:00:00:02
            10.0.0.3 arp=00:00:bc:00:00:02",
            "address-moved 10.0.0.2: 00:00:bc:00:00:01@2 then 00:00:bc:00:00:02@3",
            "10.0.0.1 [01], 10.0.0.2+10.0.0.3 [01 02]",
        ),
        (
            "teamed ports: neighbouring MACs and one host name",
            "
            10.0.0.1 arp=00:00:bc:00:00:01 hostname=scada until=9
            10.0.0.1 arp=00:00:bc:00:00:02 until=8",
            "",
            "10.0.0.1 [01 02]",
        ),
        (
            "equal addresses on two VLANs",
            "
            10.0.0.1 eth=00:00:bc:00:00:01 vlan=10 ttl=64 until=9
            10.0.0.1 eth=00:00:bc:00:00:02 vlan=20 ttl=64 until=8",
            "address-overlap 10.0.0.1: 00:00:bc:00:00:01@1 at once 00:00:bc:00:00:02@2",
            "10.0.0.1 [01 02]",
        ),
        (
            "a device with a new address",
            "
            10.0.0.1 arp=00:00:bc:00:00:01 until=5
            10.0.0.2 vlan=1
            10.0.0.3 vlan=1
            10.0.0.3 vlan=1
            10.0.0.4 vlan=1
            10.0.0.2 arp=00:00:bc:00:00:01 until=9",
            "device-moved 10.0.0.2: 10.0.0.1@1 then 10.0.0.2@6",
            "10.0.0.1+10.0.0.2 [01], 10.0.0.3 [], 10.0.0.4 []",
        ),
        (
            "an address in each of two networks, one used after the other",
            "
            10.0.0.1 arp=00:00:bc:00:00:01 until=5
            10.0.1.2 vlan=1
            10.0.1.3 vlan=1
            10.0.1.3 vlan=1
            10.0.1.4 vlan=1
            10.0.1.1 arp=00:00:bc:00:00:01 until=9",
            "",
            "10.0.0.1+10.0.1.1 [01], 10.0.1.2 [], 10.0.1.3 [], 10.0.1.4 []",
        ),
        (
            "two addresses, each seen once, are no move",
            "
            10.0.0.1 arp=00:00:bc:00:00:01
            10.0.0.2 arp=00:00:bc:00:00:01",
            "",
            "10.0.0.1+10.0.0.2 [01]",
        ),
        (
            "two serial numbers in turns",
            "
            10.0.0.1 serial=1234 until=9
            10.0.0.1 serial=5678 until=8",
            "two-serials 10.0.0.1: 1234@1 at once 5678@2",
            "10.0.0.1 []",
        ),
        (
            "another serial number of a component",
            "
            10.0.0.1 cip/1,0 serial=1234
            10.0.0.1 cip/1,0 serial=5678",
            "two-serials 10.0.0.1 cip/1,0: 1234@1 then 5678@2",
            "10.0.0.1 []",
        ),
        (
            "components each have their own",
            "
            10.0.0.1 cip/1,0 serial=1234
            10.0.0.1 cip/1,1 serial=5678",
            "",
            "10.0.0.1 []",
        ),
        (
            "firmware went up, then down",
            "
            10.0.0.1 firmware=V2.9
            10.0.0.1 firmware=V2.10
            10.0.0.1 firmware=2.1",
            "firmware-up 10.0.0.1: V2.9@1 then V2.10@2, firmware-down 10.0.0.1: V2.10@2 then 2.1@3",
            "10.0.0.1 []",
        ),
    ] {
        let inventory = Scenario::new(scenario).resolve();
        assert_eq!(conflicts(&inventory), want, "{case}");
        assert_eq!(devices(&inventory), assets, "{case}");
        for conflict in &inventory.conflicts {
            let place = inventory.index[&conflict.host];
            assert_eq!(conflict.asset, inventory.assets[place].id, "{case}");
        }
    }
}

#[test]
fn roles_and_levels() {
    for (case, scenario, want) in [
        (
            "the worked example of the taxonomy",
            "
            10.0.0.1 arp=00:00:bc:00:00:01 role=plc:95
            10.0.0.2 > 10.0.0.1 tcp/44818 cip asks=program grants=program",
            &[("10.0.0.1", "plc 99, level 1 by role"), ("10.0.0.2", "engineering-workstation 85, level 2 by role")][..],
        ),
        (
            "one unit, maker unknown",
            "10.0.0.2 > 10.0.0.1 tcp/502 modbus asks=read grants=read components=modbus/1",
            &[("10.0.0.1", "unknown 0, level 1 by neighbours"), ("10.0.0.2", "hmi 60, level 2 by role")],
        ),
        (
            "one question is no polling",
            "10.0.0.2 > 10.0.0.1 tcp/502 modbus asks=read requests=1",
            &[("10.0.0.2", "unknown 0, level ?")],
        ),
        (
            "sides that are not known mean nothing",
            "10.0.0.2 > 10.0.0.1 tcp/502 modbus asks=program grants=program unsided",
            &[("10.0.0.1", "unknown 0, level ?"), ("10.0.0.2", "unknown 0, level ?")],
        ),
        (
            "three units at one address",
            "10.0.0.2 > 10.0.0.1 tcp/502 modbus asks=read components=modbus/1+modbus/2+modbus/9",
            &[("10.0.0.1", "gateway 70, level 1 by role")],
        ),
        (
            "modules of one rack are no units",
            "10.0.0.2 > 10.0.0.1 tcp/44818 cip asks=read components=cip/1,0+cip/1,1+cip/1,2",
            &[("10.0.0.1", "unknown 0, level 1 by neighbours")],
        ),
        (
            "polls five",
            "
            10.0.0.2 > 10.0.0.11 tcp/502 modbus asks=read,write
            10.0.0.2 > 10.0.0.12 tcp/502 modbus asks=read,write
            10.0.0.2 > 10.0.0.13 tcp/502 modbus asks=read,write
            10.0.0.2 > 10.0.0.14 tcp/502 modbus asks=read,write
            10.0.0.2 > 10.0.0.15 tcp/502 modbus asks=read,write",
            &[("10.0.0.2", "scada-server 70, level 2 by role")],
        ),
        // A device that answers is not on level 1 and one that asks is not on level 2 for that alone.
        (
            "controllers that ask each other",
            "
            10.0.0.1 role=plc:95
            10.0.0.2 role=plc:95
            10.0.0.1 > 10.0.0.2 tcp/44818 cip asks=read,write
            10.0.0.2 > 10.0.0.1 tcp/44818 cip asks=read,write",
            &[("10.0.0.1", "plc 98, level 1 by role"), ("10.0.0.2", "plc 98, level 1 by role")],
        ),
        (
            "controllers that tell nothing of themselves ask each other",
            "
            10.0.0.1 > 10.0.0.2 tcp/502 modbus asks=read
            10.0.0.2 > 10.0.0.1 tcp/502 modbus asks=read",
            &[("10.0.0.1", "plc 61, level 1 by role")],
        ),
        (
            "a historian that reads from a controller",
            "
            10.0.0.1 role=plc:95
            10.0.9.2 > 10.0.0.1 tcp/4840 opcua asks=read,subscribe grants=read
            10.0.9.3 > 10.0.9.2 tcp/5450 HTTPS",
            &[("10.0.0.1", "plc 96, level 1 by role"), ("10.0.9.2", "historian 78, level 3 by role")],
        ),
        (
            "an I/O scanner and its I/O",
            "10.0.0.1 > 10.0.0.2 udp/2222 cip asks=io grants=io",
            &[("10.0.0.1", "plc 80, level 1 by role"), ("10.0.0.2", "remote-io 60, level 1 by role")],
        ),
        (
            "between two protocols",
            "
            10.0.0.2 > 10.0.0.5 tcp/4840 opcua asks=read
            10.0.0.5 > 10.0.0.1 tcp/502 modbus asks=read,write",
            &[("10.0.0.5", "gateway 60, level 1 by role")],
        ),
        (
            "a device is for what its only component is for",
            "10.0.0.1 modbus/1 role=drive:90",
            &[("10.0.0.1", "drive 90, level 1 by role")],
        ),
        (
            "but what it says itself goes first",
            "
            10.0.0.1 cip/1,0 role=plc:95
            10.0.0.1 role=remote-io:85",
            &[("10.0.0.1", "remote-io 85, level 1 by role")],
        ),
        ("a role that nobody knows", "10.0.0.1 role=toaster:95", &[("10.0.0.1", "unknown 0, level ?")]),
        (
            "what a protocol saw a client do is a client's sign",
            "
            10.0.0.2 does=engineering-workstation:85
            10.0.0.2 > 10.0.0.1 tcp/502 modbus asks=program grants=program",
            &[("10.0.0.2", "engineering-workstation 85, level 2 by role")],
        ),
        ("serves names", "10.0.0.2 > 10.0.0.1 udp/53 DNS", &[("10.0.0.1", "dns-dhcp 80, level 3 by role")]),
        (
            "a domain controller",
            "
            10.0.0.2 > 10.0.0.1 udp/53 DNS
            10.0.0.2 > 10.0.0.1 tcp/88 HTTPS
            10.0.0.2 > 10.0.0.1 tcp/389 HTTPS
            10.0.0.2 > 10.0.0.1 tcp/445 HTTPS
            10.0.0.2 > 10.0.0.1 udp/123 HTTPS
            10.0.0.3 > 10.0.0.1 udp/123 HTTPS",
            &[("10.0.0.1", "domain-controller 90, level 3 by role")],
        ),
        (
            "sessions from the office to the plant",
            "
            10.9.0.2 > 10.5.0.1 tcp/22 SSH
            10.5.0.1 > 10.0.0.1 tcp/22 SSH",
            &[("10.5.0.1", "jump-host 80, level 3.5 by role")],
        ),
        ("a public address", "10.0.0.1 > 8.8.8.8 tcp/443 HTTPS", &[("8.8.8.8", "external-host 100, level 5 by role")]),
        (
            "a public address behind a proxy with a TTL of its own",
            "
            10.0.0.1 eth=00:00:bc:00:00:01 ttl=64
            8.8.8.8 eth=00:00:0c:00:00:01 ttl=64",
            &[("8.8.8.8", "external-host 100, level 5 by role")],
        ),
        (
            "public numbers on our segment, with neighbours",
            "
            141.81.0.10 eth=00:00:bc:00:00:01 ttl=64 role=plc:95
            141.81.0.11 eth=00:00:bc:00:00:02 ttl=64",
            &[("141.81.0.10", "plc 96, level 1 by role")],
        ),
        (
            "a public number on our segment",
            "141.81.0.10 arp=00:00:bc:00:00:01 role=plc:95",
            &[("141.81.0.10", "plc 96, level 1 by role")],
        ),
        (
            "a switch is where its traffic is",
            "
            10.0.0.3 role=switch:90
            10.0.0.1 role=plc:95
            10.0.0.1 > 10.0.0.3 tcp/443 HTTPS",
            &[("10.0.0.3", "switch 90, level 1 by neighbours")],
        ),
        (
            "between office and plant",
            "
            10.0.0.1 role=plc:95
            10.9.0.1 role=printer:90
            10.5.0.1 > 10.0.0.1 tcp/443 HTTPS
            10.5.0.1 > 10.9.0.1 tcp/443 HTTPS",
            &[("10.5.0.1", "unknown 0, level 3.5 by neighbours")],
        ),
        (
            "like the rest of its subnet",
            "
            10.0.0.1 role=plc:95
            10.0.0.2 role=plc:95
            10.0.0.3 role=plc:95
            10.0.0.4 vlan=1",
            &[("10.0.0.4", "unknown 0, level 1 by subnet")],
        ),
    ] {
        let inventory = Scenario::new(scenario).resolve();
        for (address, want) in want {
            assert_eq!(role_of(&inventory, address), *want, "{case}: {:?}", inventory.at(host(address)).unwrap().role);
        }
    }
}

#[test]
fn what_the_policy_declares() {
    let declared = |id: &str, addresses: &[&str], macs: &[&str]| Declared {
        id: id.into(),
        name: Some(format!("the {id}").into()),
        addresses: addresses.iter().map(|address| address.parse().unwrap()).collect(),
        macs: macs.iter().map(|mac| mac.parse().unwrap()).collect(),
        role: Some("hmi".into()),
        approved: true,
        ..Declared::default()
    };
    for (case, scenario, assets, want) in [
        ("by address", "10.0.0.1 role=plc:95", vec![declared("d1", &["10.0.0.1"], &[])], "d1=10.0.0.1"),
        (
            "two addresses",
            "
            10.0.0.1 arp=00:00:bc:00:00:01
            10.0.0.2 arp=00:00:bc:00:00:02",
            vec![declared("d1", &["10.0.0.1", "10.0.0.2"], &[])],
            "d1=10.0.0.1+10.0.0.2",
        ),
        (
            "by MAC, wherever it is",
            "10.0.0.7 arp=00:00:bc:00:00:01",
            vec![declared("d1", &["10.0.0.1"], &["00:00:bc:00:00:01"])],
            "d1=10.0.0.7",
        ),
        (
            "another device has its address",
            "
            10.0.0.1 arp=00:00:bc:00:00:09
            10.0.0.7 arp=00:00:bc:00:00:01",
            vec![declared("d1", &["10.0.0.1"], &["00:00:bc:00:00:01"])],
            "-=10.0.0.1, d1=10.0.0.7",
        ),
        (
            "declared apart, though they look like one",
            "
            10.0.0.1 arp=00:00:bc:00:00:01
            10.0.0.2 arp=00:00:bc:00:00:01",
            vec![declared("d1", &["10.0.0.1"], &[]), declared("d2", &["10.0.0.2"], &[])],
            "d1=10.0.0.1, d2=10.0.0.2",
        ),
        ("declared and not seen", "10.0.0.3 vlan=1", vec![declared("d1", &["10.0.0.1"], &[])], "-=10.0.0.3"),
        (
            "a public address that is declared",
            "10.0.0.3 > 8.8.8.8 tcp/443 HTTPS",
            vec![declared("d1", &["8.8.8.8"], &[])],
            "-=10.0.0.3, d1=8.8.8.8",
        ),
    ] {
        let inventory = Scenario { declared: assets, ..Scenario::new(scenario) }.resolve();
        let mut shown: Vec<_> = inventory
            .assets
            .iter()
            .map(|asset| {
                let id = if asset.id.starts_with("A-") { "-" } else { &asset.id };
                assert_eq!(asset.approved, id != "-", "{case}");
                if asset.approved {
                    assert_eq!(&*asset.name, format!("the {id}"), "{case}");
                    assert_eq!(role_and_level(asset), "hmi 100, level 2 by role", "{case}");
                }
                format!("{id}={}", joined(&asset.ips))
            })
            .collect();
        shown.sort();
        assert_eq!(shown.join(", "), want, "{case}");
    }
    let zones = vec![("10.0.0.0/24".parse().unwrap(), Level(20))];
    let mut scenario = Scenario { zones, ..Scenario::new("10.0.0.1 role=plc:95") };
    assert_eq!(role_of(&scenario.resolve(), "10.0.0.1"), "plc 95, level 2 by policy");
    scenario.declared = vec![Declared { level: Some(Level(0)), role: None, ..declared("d1", &["10.0.0.1"], &[]) }];
    assert_eq!(role_of(&scenario.resolve(), "10.0.0.1"), "plc 95, level 0 by policy");
}

#[test]
fn an_asset_shows_what_supports_it() {
    let inventory = Scenario::new(
        "
        10.0.0.1 arp=00:00:bc:00:00:01 vlan=201
        10.0.0.1 vendor=Acme product=Press firmware=20.11
        10.0.0.1 firmware=21.03 hostname=press1
        10.0.0.1 modbus/2 vendor=Bolt serial=77
        10.0.0.1 modbus/2 role=drive:90
        10.0.0.2 > 10.0.0.1 tcp/502 modbus asks=read components=modbus/1+modbus/2
        10.0.0.2 > 10.0.0.1 tcp/503 modbus asks=read",
    )
    .resolve();
    let asset = inventory.at(host("10.0.0.1")).unwrap();
    let value = |known: &Option<Known>| {
        known.as_ref().map_or("-".to_owned(), |k| format!("{}@{}", k.value, k.support.first.frame()))
    };
    let i = &asset.identity;
    assert_eq!(
        [&i.vendor, &i.product, &i.model, &i.firmware, &i.serial].map(value),
        ["Acme@2", "Press@2", "-", "21.03@3", "-"]
    );
    assert_eq!(
        (&*asset.name, asset.vlans.as_slice(), asset.mac_vendor.as_deref()),
        ("press1", &[201][..], Some("Rockwell Automation"))
    );
    let parts: Vec<_> =
        asset.components.iter().map(|p| format!("{} {} {:?}", p.id, value(&p.identity.vendor), p.role)).collect();
    assert_eq!(parts, ["modbus/1 - None", "modbus/2 Bolt@4 Some(\"drive\")"]);
    assert_eq!(asset.protocols, [Speaks { name: "modbus", side: Side::Server, ports: vec![502, 503] }]);
    assert_eq!((asset.first.frame(), asset.last.frame(), asset.frames_sent, asset.bytes_sent), (1, 7, 20, 4000));
    assert_eq!(asset.facts.len(), 10);
    assert_eq!(&*asset.id, &*asset_id(host("10.0.0.1")));
    assert_eq!(&*asset.id, "A-haggunlvqcfe");
}

/// Lines that contradict, overlap and join each other in many ways.
fn lines() -> impl Strategy<Value = Vec<String>> {
    let address = prop_oneof![
        (0..3u8, 1..5u8).prop_map(|(net, host)| format!("10.{net}.0.{host}")),
        (1..4u8).prop_map(|host| format!("fe80::{host}")),
        (1..3u8).prop_map(|host| format!("8.8.8.{host}")),
        (1..5u8).prop_map(|last| format!("00:00:bc:00:00:0{last}")),
    ];
    let mac = prop_oneof![
        (1..5u8).prop_map(|last| format!("00:00:bc:00:00:0{last}")),
        Just("00:00:5e:00:01:01".to_owned()),
        Just("02:00:00:00:00:01".to_owned()),
    ];
    let word = prop_oneof![
        mac.clone().prop_map(|mac| format!("arp={mac}")),
        (mac, prop_oneof![Just(64), Just(63), Just(255)]).prop_map(|(mac, ttl)| format!("eth={mac} ttl={ttl}")),
        (1..3u8).prop_map(|vlan| format!("vlan={vlan}")),
        (0..4u8).prop_map(|serial| format!("vendor=Acme serial=123{serial}")),
        (0..3u8).prop_map(|version| format!("firmware=1.{version}")),
        (0..2u8).prop_map(|name| format!("hostname=host{name} name=name{name}")),
        (0..3usize).prop_map(|role| format!("role={}:80", ["plc", "hmi", "switch"][role])),
    ];
    let component = prop_oneof![3 => Just(""), 1 => Just(" modbus/1"), 1 => Just(" cip/1,0")];
    let fact = (address.clone(), component, word, 0..50u8)
        .prop_map(|(address, component, word, until)| format!("{address}{component} {word} until={}", 100 + until));
    let flow = (address.clone(), address, 0..4usize).prop_map(|(client, server, what)| {
        let what = ["modbus asks=read", "modbus asks=program grants=program", "udp/53 DNS", "cip silent"][what];
        format!("{client} > {server} tcp/502 {what}")
    });
    proptest::collection::vec(prop_oneof![3 => fact, 1 => flow], 0..40)
}

proptest! {
    /// However facts are shared among workers and in whatever order they are merged, the inventory is the same.
    #[test]
    fn the_order_of_merging_never_shows(lines in lines(), sharing: u64, shift in 0usize..40) {
        let scenario = Scenario::new(&lines.join("\n"));
        let whole = scenario.resolve();

        let mut halves = [Ledger::default(), Ledger::default()];
        for (number, (subject, fact)) in scenario.facts.iter().enumerate().rev() {
            halves[usize::from(sharing.rotate_left(number as u32) & 1 == 1)].apply(subject.clone(), fact.clone());
        }
        let [mut merged, other] = halves;
        merged.merge(other);
        let mut traffic = scenario.traffic.clone();
        traffic.rotate_left(shift.min(scenario.traffic.len()));
        prop_assert_eq!(&resolve_with(&merged, &traffic, &scenario), &whole);
        prop_assert_eq!(&scenario.resolve(), &whole, "a second time");
    }

    /// Every address is in one asset, every id is one asset's, and no group is a device.
    #[test]
    fn assets_are_distinct(lines in lines()) {
        let inventory = Scenario::new(&lines.join("\n")).resolve();
        let ids: std::collections::BTreeSet<_> = inventory.assets.iter().map(|asset| &asset.id).collect();
        prop_assert_eq!(ids.len(), inventory.assets.len());
        prop_assert!(inventory.assets.is_sorted_by(|a, b| a.id < b.id));
        let mut ips = std::collections::BTreeSet::new();
        for (place, asset) in inventory.assets.iter().enumerate() {
            for ip in &asset.ips {
                let host = Host { realm: asset.realm, address: *ip };
                prop_assert!(ips.insert(host) && inventory.index[&host] == place && !ip.is_group());
            }
        }
    }
}

/// As many hosts and flows as a large plant has; a step that compares each with each would take minutes.
#[test]
fn time_grows_with_the_number_of_hosts() {
    let seen = at(1);
    let mut scenario = Scenario::default();
    let address = |n: u32| Host { realm: Realm(0), address: Address::v4((0x0A00_0000 + n).to_be_bytes()) };
    const HOSTS: u32 = 20_000;
    for n in 0..HOSTS {
        let [a, b, c, d] = n.to_be_bytes();
        // One in ten is behind one of two routers.
        let mac = if n % 10 == 0 {
            Mac([0, 0, 0x0C, 0, 0, if n % 20 == 0 { 1 } else { 2 }])
        } else {
            Mac([0, 0, a, b, c, d])
        };
        for (attribute, value) in
            [(attribute::MAC, mac.to_string()), (attribute::TTL, if n % 10 == 0 { "63" } else { "64" }.to_owned())]
        {
            let key = FactKey { attribute, value: value.into(), protocol: "ethernet", method: Method::Behaviour };
            let support = Support { count: 1, first: seen, last: seen, weight: 60, basis: "" };
            scenario.facts.push((Subject { host: address(n), component: None }, Fact { key, support }));
        }
        for peer in [n / 50, n / 7, n / 2] {
            let mut flow = Traffic::new(address(n), address(peer), Transport::Tcp, 502, seen);
            (flow.protocol, flow.industrial, flow.initiator, flow.served) =
                (Some("modbus"), true, Initiator::Seen, true);
            (flow.asked, flow.requests, flow.frames_to_server, flow.frames_to_client) = (Class::Read.bit(), 10, 10, 10);
            scenario.traffic.push(flow);
        }
    }
    let ledger = scenario.ledger();
    let start = std::time::Instant::now();
    let inventory = resolve_with(&ledger, &scenario.traffic, &scenario);
    let spent = start.elapsed();
    assert_eq!(inventory.assets.len(), HOSTS as usize + 2);
    assert!(spent.as_secs() < 20, "{spent:?}");
}
