//! Which hosts are one device. Hosts that share a strong key are one, or two medium ones; never by IP alone when the
//! MACs differ. Rules: taxonomy, "Same asset or another".

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use dissectors::{Method, attribute};

use super::mac::{self, Belongs, Hops, Kind, Sighting, Users};
use super::sign::is_accepted;
use super::{Declared, Input};
use crate::address::{Address, Host, Mac, Realm};
use crate::ledger::{Evidence, FactKey, Facts, Ledger, Subject, Support};

/// A serial number that more hosts claim than this is a default that nobody set.
const MOST_WITH_ONE_SERIAL: usize = 4;

/// Hosts and the devices that they are addresses of.
pub(super) struct Devices {
    /// All hosts that sent something, in order.
    pub hosts: Vec<Host>,
    /// Where each is in `hosts`.
    pub place: HashMap<Host, usize, ahash::RandomState>,
    /// The device of each host: a number from 0, in the order of the devices' lowest hosts.
    pub device: Vec<usize>,
    /// How many devices there are.
    pub count: usize,
    /// The MACs of each host that are its own.
    pub macs: Vec<BTreeMap<Mac, (Belongs, Sighting)>>,
    /// Routers among the hosts, with the reason.
    pub routers: BTreeMap<usize, &'static str>,
    /// How many MACs of hosts' own there are in each subnet.
    here: BTreeMap<(Realm, (bool, u64)), usize>,
    /// The declared asset that a device is, by its place in the input.
    pub declared: BTreeMap<usize, usize>,
}

impl Devices {
    /// Whether a host is surely on our segment, whatever its number: it says that its MAC is its own, or another host
    /// of its subnet is here too. The TTL is not enough: a proxy begins with a new one.
    pub(super) fn is_near(&self, at: usize) -> bool {
        let Some((host, macs)) = self.hosts.get(at).zip(self.macs.get(at)) else { return false };
        let neighbours = mac::subnet(host.address).and_then(|net| self.here.get(&(host.realm, net)));
        !macs.is_empty() && (macs.values().any(|(_, seen)| seen.told) || neighbours.is_some_and(|count| *count > 1))
    }
}

/// Whether an address can be a device's: not a group, not unspecified. A loopback address is the host that was captured
/// on, and what its programs say of themselves is worth as much as on a network.
pub(super) fn is_device(host: Host) -> bool {
    !host.address.is_group() && !host.address.is_unspecified()
}

/// The facts about hosts as a whole.
fn whole(ledger: &Ledger) -> impl Iterator<Item = (Host, &Facts)> {
    ledger.iter().filter(|(subject, _)| subject.component.is_none()).map(|(subject, facts)| (subject.host, facts))
}

/// Finds the devices.
pub(super) fn devices(input: &Input<'_>) -> Devices {
    let sightings = sightings(input.ledger);
    let mut hosts = senders(input);
    hosts.extend(sightings.keys().copied());

    let mut by_mac: BTreeMap<(Realm, Mac), Vec<(Address, Sighting)>> = BTreeMap::new();
    for (host, macs) in &sightings {
        for (mac, seen) in macs {
            by_mac.entry((host.realm, *mac)).or_default().push((host.address, *seen));
        }
    }
    let mut belongs: BTreeMap<Host, BTreeMap<Mac, (Belongs, Sighting)>> = BTreeMap::new();
    let mut routers = BTreeMap::new();
    for ((realm, mac), users) in &by_mac {
        let judged = Users::of(*mac, users);
        let own: Vec<_> = users
            .iter()
            .map(|(address, seen)| (Host { realm: *realm, address: *address }, judged.belongs(*address, *seen), *seen))
            .filter(|(_, belongs, _)| *belongs > Belongs::No)
            .collect();
        let reason = match judged.kind {
            Kind::Router => Some("its MAC carries addresses of other subnets"),
            Kind::Virtual => mac::shared_by_design(*mac),
            Kind::Own | Kind::Shared => None,
        };
        let its_own = Host { realm: *realm, address: (*mac).into() };
        if let Some(reason) = reason {
            // A router that has no address of its own here is still a device, known by its MAC.
            if own.is_empty() {
                hosts.insert(its_own);
                routers.insert(its_own, reason);
                let seen = users.iter().map(|(_, seen)| *seen).reduce(join);
                belongs.entry(its_own).or_default().extend(seen.map(|seen| (*mac, (Belongs::Identifies, seen))));
            }
            routers.extend(own.iter().map(|(host, ..)| (*host, reason)));
            // What it sent without IP is a router's as well.
            if hosts.contains(&its_own) {
                routers.insert(its_own, reason);
            }
        }
        for (host, how, seen) in own {
            belongs.entry(host).or_default().insert(*mac, (how, seen));
        }
    }

    let hosts: Vec<Host> = hosts.into_iter().collect();
    let place: HashMap<_, _, ahash::RandomState> = hosts.iter().copied().zip(0..).collect();
    let macs: Vec<_> = hosts.iter().map(|host| belongs.remove(host).unwrap_or_default()).collect();
    let routers = routers.into_iter().filter_map(|(host, why)| Some((*place.get(&host)?, why))).collect();

    let mut here = BTreeMap::<_, BTreeSet<Mac>>::new();
    for (host, macs) in hosts.iter().zip(&macs) {
        if let Some(net) = mac::subnet(host.address) {
            here.entry((host.realm, net)).or_default().extend(macs.keys().copied());
        }
    }
    let here = here.into_iter().map(|(net, macs)| (net, macs.len())).collect();

    let mut same = Union::new(hosts.len());
    join_declared(input.declared, &hosts, &place, &macs, &mut same);
    join_by_mac(&hosts, &macs, &place, input.ledger, &mut same);
    join_by_identity(input.ledger, &place, &mut same);

    let mut numbers = HashMap::<usize, usize, ahash::RandomState>::default();
    let device: Vec<usize> = (0..hosts.len())
        .map(|host| {
            let next = numbers.len();
            *numbers.entry(same.root(host)).or_insert(next)
        })
        .collect();
    let declared = (0..hosts.len()).filter_map(|host| Some((device[host], same.declaration(host)?))).collect();
    Devices { count: numbers.len(), hosts, place, device, macs, routers, here, declared }
}

/// Who sent something. An address that was only asked is no device: a scan would fill the inventory. But a TCP
/// connection with requests on it was accepted by somebody, also where the mirror shows one direction only.
fn senders(input: &Input<'_>) -> BTreeSet<Host> {
    let of_facts = input.ledger.iter().filter(|(_, facts)| facts.keys().any(|key| key.method != Method::ThirdParty));
    let mut hosts: HashSet<Host, ahash::RandomState> = of_facts.map(|(subject, _)| subject.host).collect();
    for flow in input.traffic {
        if flow.frames_to_server > 0 {
            hosts.insert(flow.client);
        }
        if flow.frames_to_client > 0 || is_accepted(flow) {
            hosts.insert(flow.server);
        }
    }
    hosts.into_iter().filter(|host| is_device(*host)).collect()
}

fn join(a: Sighting, b: Sighting) -> Sighting {
    Sighting {
        told: a.told || b.told,
        // ARP has no TTL, so that one of the two may not know.
        hops: if a.hops == Hops::Unknown { b.hops } else { a.hops },
        count: a.count.saturating_add(b.count),
        first: a.first.min(b.first),
        last: a.last.max(b.last),
    }
}

/// Which MACs each host was seen with.
fn sightings(ledger: &Ledger) -> BTreeMap<Host, BTreeMap<Mac, Sighting>> {
    let mut sightings: BTreeMap<Host, BTreeMap<Mac, Sighting>> = BTreeMap::new();
    let mut add = |host: Host, mac: Mac, seen: Sighting| {
        if is_device(host) && !mac.is_group() && !mac.is_zero() {
            let macs = sightings.entry(host).or_default();
            macs.entry(mac).and_modify(|known| *known = join(*known, seen)).or_insert(seen);
        }
    };
    for (host, facts) in whole(ledger) {
        let ttls = ttls(facts);
        for (key, support) in facts.iter() {
            let told = matches!(key.method, Method::SelfReport | Method::Announcement);
            let seen = |hops| Sighting { told, hops, count: support.count, first: support.first, last: support.last };
            if key.attribute == attribute::MAC
                && key.method != Method::ThirdParty
                && let Ok(mac) = key.value.parse::<Mac>()
            {
                add(host, mac, seen(if told { Hops::Unknown } else { hops(&ttls, support.first) }));
            } else if key.attribute == attribute::OWN_ADDRESS
                && told
                && let Some(mac) = host.address.as_mac()
                && let Ok(address) = key.value.parse::<Address>()
                && address.ip().is_some()
            {
                // Who speaks without IP may tell which address it has.
                add(Host { realm: host.realm, address }, mac, seen(Hops::Unknown));
            }
        }
    }
    sightings
}

/// The TTLs of a host that tell something: whether each is initial, and its first frame.
fn ttls(facts: &Facts) -> Vec<(bool, Evidence)> {
    let of_ttl = facts.iter().filter(|(key, _)| key.attribute == attribute::TTL);
    of_ttl.filter_map(|(key, support)| Some((mac::is_initial(key.value.parse().ok()?)?, support.first))).collect()
}

/// Which way the frames with one of a host's MACs came. A host that is seen on both sides of a router has two MACs and
/// two TTLs; those that belong together came first in the same frame.
fn hops(ttls: &[(bool, Evidence)], first: Evidence) -> Hops {
    let all = |initial: bool| ttls.iter().all(|(is_initial, _)| *is_initial == initial);
    match ttls {
        [] => Hops::Unknown,
        _ if all(true) => Hops::Local,
        _ if all(false) => Hops::Routed,
        _ => match ttls.iter().find(|(_, at)| *at == first) {
            Some((true, _)) => Hops::Local,
            Some((false, _)) => Hops::Routed,
            None => Hops::Mixed,
        },
    }
}

/// Sets of hosts that are one device. What the policy declares to be two assets is never joined.
struct Union {
    parent: Vec<usize>,
    /// Of roots: the declaration that the device is known by.
    declared: Vec<Option<usize>>,
}

impl Union {
    fn new(hosts: usize) -> Self {
        Self { parent: (0..hosts).collect(), declared: vec![None; hosts] }
    }

    fn root(&mut self, mut of: usize) -> usize {
        while self.parent[of] != of {
            self.parent[of] = self.parent[self.parent[of]];
            of = self.parent[of];
        }
        of
    }

    /// The declaration that a host's device is known by.
    fn declaration(&mut self, of: usize) -> Option<usize> {
        let root = self.root(of);
        self.declared[root]
    }

    /// The lower becomes the root, so that the order of joining never shows.
    fn join(&mut self, a: usize, b: usize) {
        let (a, b) = (self.root(a), self.root(b));
        let (low, high) = (a.min(b), a.max(b));
        match (self.declared[low], self.declared[high]) {
            (Some(one), Some(other)) if one != other => {}
            (one, other) => {
                self.parent[high] = low;
                self.declared[low] = one.or(other);
            }
        }
    }
}

/// How two MACs of one address stand to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Rivals {
    /// Two ports of one device that share the address: one maker's neighbouring MACs, and one host name.
    Teamed,
    /// The later took over after the earlier had fallen silent.
    Successive,
    /// Both at the same time.
    Simultaneous,
}

/// Judges two MACs of one address, of which `a` came first.
pub(super) fn rivals(a: (Mac, Sighting), b: (Mac, Sighting), facts: Option<&Facts>) -> Rivals {
    let number = |mac: Mac| mac.0.iter().fold(0u64, |number, byte| number << 8 | u64::from(*byte));
    let neighbours = number(a.0).abs_diff(number(b.0)) <= 8;
    let names = facts.map_or(0, |facts| facts.keys().filter(|key| key.attribute == attribute::HOSTNAME).count());
    if neighbours && names == 1 {
        Rivals::Teamed
    } else if a.1.last < b.1.first {
        Rivals::Successive
    } else {
        Rivals::Simultaneous
    }
}

/// The MACs that identify a host's device, earliest first.
pub(super) fn identifying(macs: &BTreeMap<Mac, (Belongs, Sighting)>) -> Vec<(Mac, Sighting)> {
    let mut keys: Vec<_> =
        macs.iter().filter(|(_, (how, _))| *how == Belongs::Identifies).map(|(mac, (_, seen))| (*mac, *seen)).collect();
    keys.sort_by_key(|(mac, seen)| (seen.first, *mac));
    keys
}

/// Joins the hosts that have one MAC. Where one address has several, the device that has it now is the latest; of two
/// that claim it at the same time it is the one that has no other address, then the earlier: an impostor has its own.
fn join_by_mac(
    hosts: &[Host],
    macs: &[BTreeMap<Mac, (Belongs, Sighting)>],
    place: &HashMap<Host, usize, ahash::RandomState>,
    ledger: &Ledger,
    same: &mut Union,
) {
    let mut sole = BTreeSet::new();
    for (host, macs) in hosts.iter().zip(macs) {
        if let [(mac, _)] = identifying(macs)[..] {
            sole.insert((host.realm, mac));
        }
    }
    let mut first_with: BTreeMap<(Realm, Mac), usize> = BTreeMap::new();
    for (at, (host, macs)) in hosts.iter().zip(macs).enumerate() {
        let mut keys = identifying(macs);
        if keys.len() > 1 && host.address.as_mac().is_none() {
            let facts = ledger.get(&Subject { host: *host, component: None });
            let worst = keys.windows(2).filter_map(|pair| Some(rivals(*pair.first()?, *pair.last()?, facts))).max();
            match worst.unwrap_or(Rivals::Teamed) {
                Rivals::Teamed => {}
                Rivals::Successive => keys = keys.split_off(keys.len() - 1),
                Rivals::Simultaneous => {
                    let sole_elsewhere = |mac: Mac| sole.contains(&(host.realm, mac));
                    keys.sort_by_key(|(mac, seen)| (sole_elsewhere(*mac), seen.first, *mac));
                    keys.truncate(1);
                }
            }
        }
        for (mac, _) in keys {
            same.join(at, *first_with.entry((host.realm, mac)).or_insert(at));
        }
    }
    // What was sent without IP: by the host that has the MAC.
    for ((realm, mac), owner) in first_with {
        if let Some(at) = place.get(&Host { realm, address: mac.into() }) {
            same.join(*at, owner);
        }
    }
}

/// The latest of the wanted things that the device told of itself.
fn latest(facts: &Facts, wanted: impl Fn(&FactKey) -> bool) -> Option<(&FactKey, &Support)> {
    let told = |key: &FactKey| matches!(key.method, Method::SelfReport | Method::Announcement);
    facts.iter().filter(|(key, _)| told(key) && wanted(key)).max_by_key(|(key, support)| (support.last, *key))
}

/// Joins the hosts that tell the same strong key, or the same two medium ones.
fn join_by_identity(ledger: &Ledger, place: &HashMap<Host, usize, ahash::RandomState>, same: &mut Union) {
    let mut groups: BTreeMap<(Realm, [&str; 3]), Vec<usize>> = BTreeMap::new();
    for (host, facts) in whole(ledger) {
        let Some(at) = place.get(&host) else { continue };
        let value = |wanted| latest(facts, |key| key.attribute == wanted);
        if let Some((serial, _)) = value(attribute::SERIAL)
            && is_serial(&serial.value)
        {
            // A number is a key within its maker, or at least within the protocol that told it.
            let beside = |wanted| latest(facts, |key| key.attribute == wanted && key.protocol == serial.protocol);
            let maker = beside(attribute::VENDOR).or_else(|| beside(attribute::MODEL));
            let maker = maker.map_or(serial.protocol, |(key, _)| &key.value);
            groups.entry((host.realm, ["serial", maker, &serial.value])).or_default().push(*at);
        }
        if let (Some((uri, _)), Some((thumbprint, _))) =
            (value(attribute::APPLICATION_URI), value(attribute::CERTIFICATE_THUMBPRINT))
        {
            groups.entry((host.realm, ["application", &uri.value, &thumbprint.value])).or_default().push(*at);
        }
        // One text under both headings is one medium key told twice.
        if let (Some((name, _)), Some((host_name, _))) = (value(attribute::NAME), value(attribute::HOSTNAME))
            && !name.value.eq_ignore_ascii_case(&host_name.value)
        {
            groups.entry((host.realm, ["names", &name.value, &host_name.value])).or_default().push(*at);
        }
    }
    for hosts in groups.into_values().filter(|hosts| hosts.len() <= MOST_WITH_ONE_SERIAL) {
        for pair in hosts.windows(2) {
            if let [a, b] = pair {
                same.join(*a, *b);
            }
        }
    }
}

/// Whether a serial number was given to the device, rather than left at zero.
fn is_serial(text: &str) -> bool {
    let digits = text.trim().trim_start_matches("0x");
    let mut letters = digits.chars().filter(char::is_ascii_alphanumeric);
    let Some(first) = letters.next() else { return false };
    digits.len() >= 3 && letters.any(|letter| letter != first) && !digits.eq_ignore_ascii_case("unknown")
}

/// Joins the hosts of each declared asset.
fn join_declared(
    declared: &[Declared],
    hosts: &[Host],
    place: &HashMap<Host, usize, ahash::RandomState>,
    macs: &[BTreeMap<Mac, (Belongs, Sighting)>],
    same: &mut Union,
) {
    let mut with_mac: BTreeMap<(Realm, Mac), usize> = BTreeMap::new();
    for (at, (host, macs)) in hosts.iter().zip(macs).enumerate() {
        for (mac, _) in identifying(macs) {
            with_mac.entry((host.realm, mac)).or_insert(at);
        }
        if let Some(mac) = host.address.as_mac() {
            with_mac.entry((host.realm, mac)).or_insert(at);
        }
    }
    let mut joined = BTreeMap::<usize, usize>::new();
    let mut order: Vec<usize> = (0..declared.len()).collect();
    order.sort_by_key(|number| declared.get(*number).map(|asset| &asset.id));
    for number in order {
        let Some(asset) = declared.get(number) else { continue };
        let by_mac = asset.macs.iter().filter_map(|mac| with_mac.get(&(asset.realm, *mac)));
        let by_mac: Vec<usize> = by_mac.copied().collect();
        let by_ip = asset.addresses.iter().filter_map(|a| place.get(&Host { realm: asset.realm, address: *a }));
        // A declared MAC outweighs a declared address: where it is seen, another device with the address is another.
        let other = |at: usize| {
            let seen = macs.get(at).map(identifying).unwrap_or_default();
            !by_mac.is_empty() && !seen.is_empty() && !seen.iter().any(|(mac, _)| asset.macs.contains(mac))
        };
        let by_ip = by_ip.copied().filter(|at| !other(*at));
        // Of two declarations of one host the first by id counts; the policy's own checks report the second.
        for at in by_mac.iter().copied().chain(by_ip).collect::<BTreeSet<_>>() {
            let root = same.root(at);
            same.declared[root].get_or_insert(number);
            if let Some(first) = joined.insert(number, at) {
                same.join(first, at);
            }
        }
    }
}
