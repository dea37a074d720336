//! Which hosts belong together: VLAN and subnet first, split by level; safety systems and whoever talks to the outside
//! apart.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ipnet::IpNet;

use super::{Node, Seen, Talk, caution};
use crate::address::Address;
use crate::policy::file::ZoneKind;

/// A zone of the draft.
#[derive(Clone, Debug)]
pub(super) struct DraftZone {
    pub(super) id: String,
    pub(super) key: ZoneKey,
    /// Claimed as a whole: the zone holds most of the subnet's hosts.
    pub(super) net: Option<IpNet>,
    /// Hosts, by their places in [`Seen::nodes`] where they sent something.
    pub(super) members: Vec<(Address, Option<usize>)>,
}

/// What makes hosts one zone.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ZoneKey {
    pub(super) vlan: Option<u16>,
    pub(super) subnet: Option<IpNet>,
    pub(super) safety: bool,
    /// Talks to public addresses.
    pub(super) public: bool,
    /// Purdue level in tenths.
    pub(super) level: Option<u8>,
}

impl ZoneKey {
    pub(super) fn kind(&self) -> Option<ZoneKind> {
        match self.level {
            _ if self.safety => Some(ZoneKind::Safety),
            Some(0) => Some(ZoneKind::Field),
            Some(10) => Some(ZoneKind::Control),
            Some(20) => Some(ZoneKind::Supervision),
            Some(35) => Some(ZoneKind::Dmz),
            Some(40 | 50) => Some(ZoneKind::Enterprise),
            _ => None,
        }
    }
}

/// Where every address of the draft is.
pub(super) struct Places {
    pub(super) zones: Vec<DraftZone>,
    zone_of: BTreeMap<Address, usize>,
    external: BTreeSet<Address>,
}

impl Places {
    pub(super) fn new(seen: &Seen) -> Self {
        let mut hosts: BTreeMap<Address, Option<usize>> = BTreeMap::new();
        for (number, node) in seen.nodes.iter().enumerate() {
            hosts.insert(node.address, Some(number));
        }
        // Who was spoken to and never heard needs a zone as well, unless nothing came of it.
        for talk in seen.talks.iter().filter(|talk| !talk.blocked) {
            for address in [talk.client, talk.server] {
                hosts.entry(address).or_insert(None);
            }
        }
        hosts.retain(|address, _| !address.is_group() && !address.is_unspecified());
        // A MAC address decides before an IP address does, so it is claimed only where nothing else says who it is.
        let by_mac: BTreeSet<Address> =
            seen.talks.iter().filter(|talk| !talk.blocked).flat_map(|talk| [talk.client, talk.server]).collect();
        let anchored = |number: &Option<usize>| {
            number.and_then(|number| seen.nodes.get(number)).is_some_and(|node| node.anchor.is_some())
        };
        hosts.retain(|address, number| address.as_mac().is_none() || by_mac.contains(address) || !anchored(number));
        let node = |number: &Option<usize>| number.and_then(|number| seen.nodes.get(number));
        let external: BTreeSet<Address> = hosts
            .iter()
            .filter(|(address, number)| node(number).map_or_else(|| address.is_public(), |node| node.external))
            .map(|(address, _)| *address)
            .collect();
        hosts.retain(|address, _| !external.contains(address));
        let own = |address: Address| anchor(seen, &hosts, address);
        let mut safety: BTreeSet<Address> = BTreeSet::new();
        let mut public: BTreeSet<Address> = BTreeSet::new();
        for talk in seen.talks.iter().filter(|talk| !talk.blocked) {
            if caution::is_safety(&talk.word().0) {
                safety.insert(own(talk.server));
            }
            for (one, other) in [(talk.client, talk.server), (talk.server, talk.client)] {
                if external.contains(&other) {
                    public.insert(own(one));
                }
            }
        }
        let is_safety_role = |node: &Node| node.role.is_some_and(|role| role.starts_with("safety"));
        safety.extend(seen.nodes.iter().filter(|node| is_safety_role(node)).map(|node| own(node.address)));

        let common = common_levels(seen, &hosts);
        let vlans = vlans(seen, &hosts);
        let mut keys: BTreeMap<Address, ZoneKey> = BTreeMap::new();
        for address in hosts.keys() {
            let at = own(*address);
            let subnet = subnet(at);
            let anchor = hosts.get(&at).and_then(node);
            let key = ZoneKey {
                vlan: match vlans.get(&subnet).map(|vlans| (vlans.len(), vlans.first())) {
                    // A mirror often tags one direction only: where a subnet has one VLAN, all of it is in it.
                    Some((1, only)) => only.copied(),
                    _ => anchor.and_then(|node| node.vlan),
                },
                safety: safety.contains(&at),
                public: public.contains(&at),
                level: anchor.and_then(|node| node.level).or_else(|| common.get(&subnet).copied()),
                subnet,
            };
            keys.insert(*address, key);
        }
        // Whose IP packets come under a MAC address is in its zone, whatever the IP address says.
        let consistent = |address: &Address, key: &ZoneKey| {
            seen.carried.get(address).is_none_or(|carried| carried.iter().all(|ip| keys.get(ip) == Some(key)))
        };
        let mut groups: BTreeMap<ZoneKey, Vec<(Address, Option<usize>)>> = BTreeMap::new();
        for (address, key) in keys.iter().filter(|(address, key)| consistent(address, key)) {
            groups.entry(key.clone()).or_default().push((*address, hosts.get(address).copied().flatten()));
        }
        let whole = whole_subnets(&groups);
        let zones: Vec<DraftZone> = groups
            .into_iter()
            .map(|(key, members)| DraftZone {
                id: id(&key),
                net: key.subnet.filter(|net| whole.get(net) == Some(&key)),
                key,
                members,
            })
            .collect();
        let zone_of = zones
            .iter()
            .enumerate()
            .flat_map(|(number, zone)| zone.members.iter().map(move |(address, _)| (*address, number)))
            .collect();
        Self { zones, zone_of, external }
    }

    /// The zones of both ends; of a group that of the sender.
    pub(super) fn zones_of(&self, talk: &Talk) -> (Option<usize>, Option<usize>) {
        let zone = |address: Address| self.zone_of.get(&address).copied();
        let from = zone(talk.client);
        (from, if talk.server.is_group() { from } else { zone(talk.server) })
    }

    pub(super) fn is_external(&self, address: Address) -> bool {
        self.external.contains(&address) || (address.is_public() && !self.zone_of.contains_key(&address))
    }

    pub(super) fn is_safety(&self, address: Address) -> bool {
        self.zone_of.get(&address).and_then(|zone| self.zones.get(*zone)).is_some_and(|zone| zone.key.safety)
    }

    pub(super) fn skips_levels(&self, talk: &Talk) -> bool {
        let level = |zone: Option<usize>| zone.and_then(|zone| self.zones.get(zone)).and_then(|zone| zone.key.level);
        let (from, to) = self.zones_of(talk);
        match (level(from), level(to)) {
            (Some(a), Some(b)) => a.max(b) >= 40 && a.min(b) <= 30,
            _ => false,
        }
    }
}

/// The address that tells where a host belongs.
fn anchor(seen: &Seen, hosts: &BTreeMap<Address, Option<usize>>, address: Address) -> Address {
    let node = hosts.get(&address).copied().flatten().and_then(|number| seen.nodes.get(number));
    node.and_then(|node| node.anchor).filter(|anchor| hosts.contains_key(anchor)).unwrap_or(address)
}

/// The VLANs in which each subnet was seen.
fn vlans(seen: &Seen, hosts: &BTreeMap<Address, Option<usize>>) -> BTreeMap<Option<IpNet>, BTreeSet<u16>> {
    let mut vlans: BTreeMap<Option<IpNet>, BTreeSet<u16>> = BTreeMap::new();
    for (address, number) in hosts {
        let node = number.and_then(|number| seen.nodes.get(number));
        if let Some(vlan) = node.and_then(|node| node.vlan) {
            vlans.entry(subnet(*address)).or_default().insert(vlan);
        }
    }
    vlans
}

/// For hosts whose level is not known: the level of most others in their subnet, the lower one of two.
fn common_levels(seen: &Seen, hosts: &BTreeMap<Address, Option<usize>>) -> BTreeMap<Option<IpNet>, u8> {
    let mut counts: BTreeMap<Option<IpNet>, BTreeMap<u8, usize>> = BTreeMap::new();
    for (address, number) in hosts {
        let level = number.and_then(|number| seen.nodes.get(number)).and_then(|node| node.level);
        if let Some(level) = level {
            *counts.entry(subnet(*address)).or_default().entry(level).or_default() += 1;
        }
    }
    let most = |levels: BTreeMap<u8, usize>| {
        levels.into_iter().max_by_key(|(level, count)| (*count, std::cmp::Reverse(*level))).map(|(level, _)| level)
    };
    counts.into_iter().filter_map(|(net, levels)| Some((net, most(levels)?))).collect()
}

/// The zone that claims each subnet: the one with the most hosts, of equal ones the first.
fn whole_subnets(groups: &BTreeMap<ZoneKey, Vec<(Address, Option<usize>)>>) -> BTreeMap<IpNet, ZoneKey> {
    let mut largest: BTreeMap<IpNet, (usize, &ZoneKey)> = BTreeMap::new();
    for (key, members) in groups {
        let Some(net) = key.subnet else { continue };
        // A safety zone, or one with contact to the outside, never claims hosts that were not seen.
        if key.safety || key.public {
            continue;
        }
        let inside = members.iter().filter(|(address, _)| address.ip().is_some_and(|ip| net.contains(&ip))).count();
        let known = largest.entry(net).or_insert((inside, key));
        if inside > known.0 {
            *known = (inside, key);
        }
    }
    largest.into_iter().map(|(net, (_, key))| (net, key.clone())).collect()
}

/// IPv4 /24 and IPv6 /64: captures do not tell the real prefix.
#[must_use]
pub fn subnet(address: Address) -> Option<IpNet> {
    let prefix = match address.ip()? {
        IpAddr::V4(_) => 24,
        IpAddr::V6(_) => 64,
    };
    IpNet::new(address.ip()?, prefix).ok().map(|net| net.trunc())
}

fn id(key: &ZoneKey) -> String {
    let mut id = match key.subnet {
        None => "layer-2".to_owned(),
        Some(IpNet::V4(net)) => {
            let [a, b, c, _] = net.network().octets();
            format!("net-{a}-{b}-{c}")
        }
        Some(IpNet::V6(net)) => {
            let groups: Vec<String> =
                net.network().segments().into_iter().take(4).map(|group| format!("{group:x}")).collect();
            format!("net-{}", groups.join("-"))
        }
    };
    if let Some(vlan) = key.vlan {
        id = format!("{id}-vlan{vlan}");
    }
    match key.level {
        Some(level) if level % 10 == 0 => id = format!("{id}-l{}", level / 10),
        Some(level) => id = format!("{id}-l{}.{}", level / 10, level % 10),
        None => {}
    }
    if key.safety {
        id += "-safety";
    }
    if key.public {
        id += "-public";
    }
    id
}
