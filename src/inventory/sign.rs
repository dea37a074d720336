//! The signs of a role that lie in what a device does: which classes of operations it asks for and grants, of how many
//! others, and which services it offers.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::LazyLock;

use dissectors::Class;
use ipnet::IpNet;

use super::mac::subnet;
use super::role::{Family, Role, Sign};
use super::{Side, Speaks, Traffic};
use crate::address::{Address, Host};
use crate::flow::key::{Initiator, Transport};

/// Less often is a question, not polling.
const POLLS: u64 = 3;

/// From so many polled devices on it is a server, not a panel.
const SCADA_SERVERS: usize = 5;

/// From so many numbered components at one address on, they are devices behind it.
const UNITS: usize = 3;

/// Classes that change a controller's program, or take it out.
const ENGINEERING: u32 = bits(&[Class::Program, Class::Mode, Class::Firmware, Class::SafetyConfig, Class::Upload]);
/// Classes that only a controller grants.
const CONTROLLER: u32 = bits(&[Class::Program, Class::Mode, Class::Upload]);
/// Classes that look.
const LOOKS: u32 = bits(&[Class::Read, Class::Subscribe]);
/// Classes that act on the process.
const ACTS: u32 = bits(&[Class::Write, Class::Control]);

/// Ports of sessions for people: SSH, RDP, VNC.
const SCREENS: [u16; 3] = [22, 3389, 5900];

const fn bits(classes: &[Class]) -> u32 {
    let (mut bits, mut at) = (0, 0);
    while at < classes.len() {
        bits |= 1 << classes[at] as u8;
        at += 1;
    }
    bits
}

/// What a device takes part in. The number beside a flow is the device at its other end, if there is one.
#[derive(Default)]
pub(super) struct Behaviour<'a> {
    /// Flows in which it is the server, whether it answered or not.
    pub serves: Vec<(Option<usize>, &'a Traffic)>,
    /// Flows in which it asks.
    pub asks: Vec<(Option<usize>, &'a Traffic)>,
}

/// Whether somebody accepted the connection: nobody sends requests on TCP before that.
pub(super) fn is_accepted(flow: &Traffic) -> bool {
    flow.transport == Transport::Tcp && flow.requests > 0
}

fn answers(flow: &Traffic) -> bool {
    flow.served || flow.answered > 0 || flow.refused > 0 || is_accepted(flow)
}

/// Whether the sides are known well enough to conclude something from them.
fn has_sides(flow: &Traffic) -> bool {
    flow.initiator != Initiator::Unknown
}

impl<'a> Behaviour<'a> {
    /// Sorts the flows by the devices at their ends.
    pub(super) fn of(traffic: &'a [Traffic], devices: usize, device: impl Fn(Host) -> Option<usize>) -> Vec<Self> {
        let mut all: Vec<Self> = Vec::new();
        all.resize_with(devices, Self::default);
        for flow in traffic {
            let (client, server) = (device(flow.client), device(flow.server));
            if client.is_some() && client == server {
                continue; // talks with itself
            }
            if let Some(asks) = client.and_then(|at| all.get_mut(at)) {
                asks.asks.push((server, flow));
            }
            if let Some(serves) = server.and_then(|at| all.get_mut(at)) {
                serves.serves.push((client, flow));
            }
        }
        all
    }

    fn served(&self) -> impl Iterator<Item = &'a Traffic> {
        self.serves.iter().map(|(_, flow)| *flow).filter(|flow| has_sides(flow) && answers(flow))
    }

    fn asked(&self) -> impl Iterator<Item = &'a Traffic> {
        self.asks.iter().map(|(_, flow)| *flow).filter(|flow| has_sides(flow))
    }

    /// Whether it answers a protocol of control systems.
    pub(super) fn serves_control(&self) -> bool {
        self.served().any(|flow| flow.industrial)
    }

    /// Whether it asks something in a protocol of control systems.
    pub(super) fn asks_control(&self) -> bool {
        self.asked().any(|flow| flow.industrial && flow.requests > 0)
    }

    /// The devices that it polls, or writes to.
    pub(super) fn polls(&self) -> impl Iterator<Item = usize> {
        let polls = |flow: &Traffic| {
            flow.industrial
                && has_sides(flow)
                && (flow.asked & ACTS != 0 || (flow.asked & LOOKS != 0 && flow.requests >= POLLS))
        };
        self.asks.iter().filter(move |(_, flow)| polls(flow)).filter_map(|(peer, _)| *peer)
    }

    /// Everybody it exchanges frames with, and how many.
    pub(super) fn peers(&self) -> impl Iterator<Item = (usize, u64)> {
        let frames = |flow: &Traffic| flow.frames_to_server.saturating_add(flow.frames_to_client);
        self.serves.iter().chain(&self.asks).filter_map(move |(peer, flow)| Some(((*peer)?, frames(flow))))
    }

    /// The flows in which it sent something, with the frames and bytes that it sent. A server whose side of a connection
    /// is not mirrored is there nevertheless.
    pub(super) fn sent(&self) -> impl Iterator<Item = (&'a Traffic, u64, u64)> {
        let served = self.serves.iter().map(|(_, flow)| (*flow, flow.frames_to_client, flow.bytes_to_client));
        let asked = self.asks.iter().map(|(_, flow)| (*flow, flow.frames_to_server, flow.bytes_to_server));
        served.chain(asked).filter(|(flow, frames, _)| *frames > 0 || is_accepted(flow))
    }

    /// Its components that answered.
    pub(super) fn components(&self) -> impl Iterator<Item = &'a str> {
        self.serves.iter().flat_map(|(_, flow)| &flow.components).map(AsRef::as_ref)
    }

    /// What it speaks, on which side, at which ports.
    pub(super) fn speaks(&self) -> Vec<Speaks> {
        let sides = self.serves.iter().filter(|(_, flow)| answers(flow)).map(|flow| (Side::Server, flow));
        let sides = sides.chain(self.asks.iter().map(|flow| (Side::Client, flow)));
        let mut found = BTreeMap::<(&'static str, Side), BTreeSet<u16>>::new();
        for (side, (_, flow)) in sides {
            if let Some(name) = flow.name() {
                found.entry((name, side)).or_default().extend((flow.port != 0).then_some(flow.port));
            }
        }
        let speaks =
            |((name, side), ports): (_, BTreeSet<u16>)| Speaks { name, side, ports: ports.into_iter().collect() };
        found.into_iter().map(speaks).collect()
    }

    /// On which side it speaks a protocol mostly, for signs that the protocol's own dissector gave.
    pub(super) fn side_of(&self, protocol: &str) -> Family {
        let serves = self.served().any(|flow| flow.protocol == Some(protocol));
        if serves || !self.asked().any(|flow| flow.protocol == Some(protocol)) {
            Family::Server
        } else {
            Family::Client
        }
    }

    /// The signs of roles in what it does.
    pub(super) fn signs(&self) -> Vec<Sign> {
        let mut signs = Vec::new();
        self.as_server(&mut signs);
        self.as_client(&mut signs);
        self.as_between(&mut signs);
        signs
    }

    fn as_server(&self, signs: &mut Vec<Sign>) {
        let mut say = |role, weight, reason: String| signs.push(Sign::new(role, Family::Server, weight, reason));
        let granted = self.served().filter(|f| f.industrial).fold(0, |granted, flow| granted | flow.granted);
        if granted & CONTROLLER != 0 {
            say("plc", 80, format!("grants {}", words(granted & CONTROLLER)));
        }
        if granted & Class::SafetyConfig.bit() != 0 {
            say("safety-controller", 80, "grants safety-config".to_owned());
        }
        if granted & Class::Io.bit() != 0 {
            say("remote-io", 60, "target of cyclic I/O".to_owned());
        }
        // Components with a number are units on a line behind it; those with a path are modules of its own rack.
        let components = self.served().filter(|flow| flow.industrial).flat_map(|flow| &flow.components);
        let components: BTreeSet<&str> = components.map(AsRef::as_ref).collect();
        let mut units = BTreeMap::<&str, usize>::new();
        for (space, id) in components.iter().filter_map(|component| component.split_once('/')) {
            if id.parse::<u32>().is_ok() {
                *units.entry(space).or_default() += 1;
            }
        }
        if let Some((space, count)) = units.into_iter().find(|(_, count)| *count >= UNITS) {
            say("gateway", 70, format!("{count} {space} units answer at one address"));
        }
        if self.serves_control() && components.len() <= 1 {
            say("plc", 35, "answers a control protocol for one device".to_owned());
        }
        let mut users = vec![Users::default(); SERVICES.len()];
        // A control protocol on such a port is what it is, not the office service.
        for flow in self.served().filter(|flow| !flow.industrial) {
            for service in BY_PORT.get(&flow.port).into_iter().flatten() {
                if let Some(users) = users.get_mut(*service) {
                    users.clients.insert(flow.client);
                    users.ports.insert(flow.port);
                }
            }
        }
        let served = SERVICES.iter().zip(users);
        let served: Vec<_> =
            served.filter(|(service, users)| service.is_used_by(users)).map(|(s, u)| (s, u.ports)).collect();
        for (service, ports) in &served {
            // A domain controller serves names and files as well: that is no second role.
            if !served.iter().any(|(whole, _)| ports.is_subset(&whole.covers)) {
                say(service.role, service.weight, service.what.clone());
            }
        }
    }

    fn as_client(&self, signs: &mut Vec<Sign>) {
        let mut say = |role, weight, reason: String| signs.push(Sign::new(role, Family::Client, weight, reason));
        let control = || self.asked().filter(|flow| flow.industrial);
        let asked = control().fold(0, |asked, flow| asked | flow.asked);
        let polled = self.polls().collect::<BTreeSet<_>>().len();
        let names =
            |flows: &mut dyn Iterator<Item = &Traffic>| flows.filter_map(Traffic::name).collect::<BTreeSet<_>>();
        let speaks_as_server = names(&mut self.served().filter(|flow| flow.industrial));
        let speaks_as_client = names(&mut control());

        if asked & ENGINEERING != 0 {
            say("engineering-workstation", 85, format!("asks for {}", words(asked & ENGINEERING)));
        }
        if asked & Class::Io.bit() != 0 {
            say("plc", 80, "originates cyclic I/O".to_owned());
        }
        match polled {
            0 => {}
            SCADA_SERVERS.. => say("scada-server", 70, format!("polls {polled} devices")),
            _ if speaks_as_server.is_empty() => say("hmi", 60, format!("polls {polled} device(s)")),
            // A controller that is asked in a protocol and asks its peers in the same.
            _ if speaks_as_server == speaks_as_client => {
                say("plc", 40, "asks peers in the protocol it serves".to_owned())
            }
            _ => {}
        }
        if polled > 0 && asked & LOOKS != 0 && asked & (ACTS | ENGINEERING) == 0 {
            say("historian", 45, "only reads from control devices".to_owned());
        }
        if polled > 0 && polled < SCADA_SERVERS && !speaks_as_server.is_empty() && speaks_as_server != speaks_as_client
        {
            say("gateway", 60, "serves one control protocol and asks in another".to_owned());
        }
        let cameras =
            self.asks.iter().filter(|(_, flow)| flow.port == 554 && answers(flow)).filter_map(|(peer, _)| *peer);
        if cameras.collect::<BTreeSet<_>>().len() >= 3 {
            say("nvr", 80, "streams from 3 or more cameras".to_owned());
        }

        if polled > 0 {
            signs.push(Sign::against("remote-io", "asks control devices itself"));
        }
        if asked & ENGINEERING != 0 {
            signs.push(Sign::against("hmi", format!("asks for {}", words(asked & ENGINEERING))));
        }
        if asked & ACTS != 0 {
            signs.push(Sign::against("historian", "writes to control devices"));
        }
        let office = self
            .asked()
            .filter(|flow| matches!(flow.port, 25 | 80 | 443 | 465 | 587) && flow.server.address.is_public());
        if office.map(|flow| flow.server).collect::<BTreeSet<_>>().len() >= 3 {
            signs.push(Sign::against("plc", "asks office services of public hosts"));
        }
    }

    /// A session for people comes in from one network, another goes out to a second.
    fn as_between(&self, signs: &mut Vec<Sign>) {
        let screens = |flow: &Traffic| SCREENS.contains(&flow.port) || flow.asked & Class::RemoteAccess.bit() != 0;
        let inward =
            self.served().filter(|flow| screens(flow) && subnet(flow.client.address) != subnet(flow.server.address));
        let from: BTreeSet<_> = inward.filter_map(|flow| subnet(flow.client.address)).collect();
        let onward = self.asked().filter(|flow| answers(flow) && (screens(flow) || flow.industrial));
        let mut to = onward.filter_map(|flow| subnet(flow.server.address));
        if !from.is_empty() && to.any(|net| !from.contains(&net)) {
            let reason = "remote sessions come in from one network and go on to another";
            signs.push(Sign::new("jump-host", Family::Client, 80, reason));
        }
    }
}

fn words(classes: u32) -> String {
    let names = Class::ALL.into_iter().filter(|class| classes & class.bit() != 0).map(Class::text);
    names.collect::<Vec<_>>().join(", ")
}

/// Whether an address is of the internet and not in our networks.
pub(super) fn is_external(address: Address, home_nets: &[IpNet]) -> bool {
    address.is_public() && !address.ip().is_some_and(|ip| home_nets.iter().any(|net| net.contains(&ip)))
}

/// The sign of a maker of network cards.
pub(super) fn of_maker(maker: &str) -> Option<Sign> {
    let lower = maker.to_lowercase();
    let (role, weight, _) = MAKERS.iter().find(|(_, _, known)| lower.starts_with(known.as_str()))?;
    Some(Sign::new(role, Family::Maker, *weight, format!("network card by {maker}")))
}

/// A service, and the role of who serves it.
struct Service {
    role: &'static str,
    weight: u8,
    /// From so many clients on.
    clients: usize,
    /// Whether every port has to be served.
    every: bool,
    ports: BTreeSet<u16>,
    /// Ports of other services that come with this one.
    covers: BTreeSet<u16>,
    what: String,
}

/// Who uses a service, and by which of its ports.
#[derive(Clone, Default)]
struct Users {
    clients: BTreeSet<Host>,
    ports: BTreeSet<u16>,
}

impl Service {
    /// Whether they are enough for the service.
    fn is_used_by(&self, users: &Users) -> bool {
        users.clients.len() >= self.clients.max(1) && (!self.every || users.ports == self.ports)
    }
}

/// The places of the services of each port.
static BY_PORT: LazyLock<HashMap<u16, Vec<usize>, ahash::RandomState>> = LazyLock::new(|| {
    let mut by_port = HashMap::<_, Vec<_>, _>::default();
    for (place, service) in SERVICES.iter().enumerate() {
        service.ports.iter().for_each(|port| by_port.entry(*port).or_default().push(place));
    }
    by_port
});

static SERVICES: LazyLock<Vec<Service>> = LazyLock::new(|| {
    let range = |text: &str| {
        let (from, to) = text.split_once('-').unwrap_or((text, text));
        Some(from.parse::<u16>().ok()?..=to.parse().ok()?)
    };
    let ports = |text: &str| text.split(' ').filter_map(range).flatten().collect();
    let row = |fields: Vec<String>| {
        let [role, weight, clients, every, served, covers, what] = fields.try_into().ok()?;
        Some(Service {
            role: Role::named(&role)?.name,
            weight: weight.parse().ok()?,
            clients: clients.parse().ok()?,
            every: every == "all",
            ports: ports(&served),
            covers: ports(&covers),
            what,
        })
    };
    dissectors::table::records(include_str!("services.csv")).filter_map(row).collect()
});

static MAKERS: LazyLock<Vec<(&'static str, u8, String)>> = LazyLock::new(|| {
    let row = |fields: Vec<String>| {
        let [role, weight, maker] = fields.try_into().ok()?;
        Some((Role::named(&role)?.name, weight.parse().ok()?, maker.to_lowercase()))
    };
    dissectors::table::records(include_str!("makers.csv")).filter_map(row).collect()
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_of_the_tables_is_read() {
        assert_eq!(SERVICES.len(), include_str!("services.csv").lines().count() - 1);
        assert!(SERVICES.iter().all(|service| !service.ports.is_empty()));
        assert_eq!(MAKERS.len(), include_str!("makers.csv").lines().count() - 1);
    }
}
