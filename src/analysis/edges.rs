//! Where the edges of zones leak below IP: zones that share a segment, and devices that stand in two zones.

use std::collections::{BTreeMap, BTreeSet};

use dissectors::attribute;

use super::Analysis;
use crate::address::{Address, Host, Realm};
use crate::flow::Flow;
use crate::flow::key::Transport;
use crate::inventory::Asset;
use crate::ledger::Evidence;
use crate::policy::{Member, Policy, Reason, TapId, ZoneId};

/// Two places in different zones with nothing between them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edge {
    /// [`Reason::FlatLayer2`] or [`Reason::DualHomed`].
    pub reason: Reason,
    /// How it shows.
    pub how: How,
    /// Who acted; of a dual-homed device the address in the one zone.
    pub from: Host,
    /// On whom; of a dual-homed device the address in the other zone.
    pub to: Host,
    /// Their zones.
    pub zones: (ZoneId, ZoneId),
    /// How often, as far as it is counted.
    pub count: u64,
    /// Frames that show it, in order.
    pub samples: Vec<Evidence>,
}

/// How an edge shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum How {
    /// It asked by ARP for an address of the other zone, as for a neighbour.
    AskedByArp,
    /// A frame went from the one's own MAC address to the other's.
    SpokeDirectly,
    /// One device has an address in each.
    TwoAddresses,
    /// Bridges on taps of both told of the same root of a spanning tree.
    SameSpanningTree,
    /// One device announced itself by LLDP, which no bridge passes on, on taps of both.
    SameNeighbour,
}

impl How {
    /// The word in reports.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::AskedByArp => "arp-across",
            Self::SpokeDirectly => "unicast-across",
            Self::TwoAddresses => "two-zones",
            Self::SameSpanningTree => "one-spanning-tree",
            Self::SameNeighbour => "one-neighbour",
        }
    }
}

/// Roles of devices that stand between zones by design.
const BETWEEN: [&str; 2] = ["router", "firewall"];

impl Analysis {
    /// All edges that leak, in order. None without a policy.
    #[must_use]
    pub fn edges(&self) -> Vec<Edge> {
        let Some(policy) = self.policy.as_deref() else { return Vec::new() };
        let mut found = BTreeMap::new();
        for flow in &self.observed.flows {
            self.direct(policy, flow, &mut found);
        }
        for asset in &self.inventory.assets {
            self.asked(policy, asset, &mut found);
        }
        self.heard_on_two_taps(policy, &mut found);
        let mut edges: Vec<Edge> = found.into_values().collect();
        // A computer that tells the same name in two networks, each with a card of its own, is one device as well.
        let mut named = BTreeMap::<(Realm, String), Vec<&Asset>>::new();
        for asset in &self.inventory.assets {
            match asset.hostnames.first() {
                Some(name) => named.entry((asset.realm, name.to_lowercase())).or_default().push(asset),
                None => edges.extend(dual_homed(policy, &[asset])),
            }
        }
        edges.extend(named.into_values().filter_map(|assets| dual_homed(policy, &assets)));
        edges
    }

    /// A unicast frame between the own MAC addresses of two members of different zones.
    fn direct(&self, policy: &Policy, flow: &Flow, found: &mut Edges) {
        let Some(entry) = flow.judged.first() else { return };
        let (from, to) = (flow.key.client, flow.key.server);
        let zones = entry.setting.zones();
        if to.address.is_group() || !policy.are_apart(zones) {
            return;
        }
        let (Some(client), Some(server)) = (self.inventory.at(from), self.inventory.at(to)) else { return };
        if client.id == server.id || stands_between(policy, client) || stands_between(policy, server) {
            return;
        }
        let frames = |side: &crate::flow::SideView, sender: &Asset, receiver: &Asset| {
            let own = |asset: &Asset, mac| asset.macs.contains(&mac);
            let direct = side.ways().filter(|used| {
                used.path.src_mac.is_some_and(|mac| own(sender, mac))
                    && used.path.dst_mac.is_some_and(|mac| own(receiver, mac))
            });
            direct.map(|used| (used.frames, used.first)).collect::<Vec<_>>()
        };
        let mut seen = frames(&flow.client, client, server);
        seen.extend(frames(&flow.server, server, client));
        for (count, first) in seen {
            note(found, How::SpokeDirectly, (from, to), zones, count, first);
        }
    }

    /// What never leaves a segment, heard on taps of zones that have none in common: the root of a spanning tree, and what
    /// a device announces to its neighbours.
    fn heard_on_two_taps(&self, policy: &Policy, found: &mut Edges) {
        let mut heard: BTreeMap<(How, String), BTreeMap<TapId, (Host, Evidence)>> = BTreeMap::new();
        let mut hear = |sign: (How, String), tap: TapId, host: Host, at: Evidence| {
            let first = heard.entry(sign).or_default().entry(tap).or_insert((host, at));
            *first = if at < first.1 { (host, at) } else { *first };
        };
        for (subject, facts) in self.observed.ledger.iter() {
            for (key, support) in facts.iter().filter(|(key, _)| key.attribute == attribute::BRIDGE_ROOT) {
                for at in [support.first, support.last] {
                    let tap = self.taps.get(usize::from(at.capture())).copied().unwrap_or_default();
                    hear((How::SameSpanningTree, key.value.to_string()), tap, subject.host, at);
                }
            }
        }
        for flow in self.observed.flows.iter().filter(|flow| flow.key.transport == Transport::Ethertype(LLDP)) {
            for used in flow.client.ways() {
                let host = flow.key.client;
                hear((How::SameNeighbour, host.address.to_string()), used.path.tap, host, used.first);
            }
        }
        for ((how, _), taps) in heard {
            for ((one, (from, first)), (other, (to, second))) in pairs(&taps) {
                if let Some(zones) = policy.apart(one, other) {
                    for at in [first, second] {
                        note(found, how, (from, to), zones, 1, at);
                    }
                }
            }
        }
    }

    /// ARP requests for addresses of other zones; the worker noted them.
    fn asked(&self, policy: &Policy, asset: &Asset, found: &mut Edges) {
        if stands_between(policy, asset) {
            return;
        }
        for fact in asset.facts.iter().filter(|fact| fact.attribute == attribute::ARP_TARGET) {
            let Ok(address) = fact.known.value.parse::<Address>() else { continue };
            let to = Host { realm: fact.host.realm, address };
            if self.inventory.at(to).is_some_and(|other| other.id == asset.id || stands_between(policy, other)) {
                continue;
            }
            let zones = (policy.zone_at(fact.host.address), policy.zone_at(address));
            if policy.are_apart(zones) {
                let support = &fact.known.support;
                note(found, How::AskedByArp, (fact.host, to), zones, support.count, support.first);
            }
        }
    }
}

/// Each tap with each that comes after it.
fn pairs<V: Copy>(taps: &BTreeMap<TapId, V>) -> impl Iterator<Item = ((TapId, V), (TapId, V))> {
    let later = |one: TapId| taps.iter().filter(move |(other, _)| **other > one).map(|(tap, value)| (*tap, *value));
    taps.iter().flat_map(move |(one, value)| later(*one).map(|other| ((*one, *value), other)))
}

/// EtherType of LLDP (IEEE 802.1AB).
const LLDP: u16 = 0x88cc;

type Edges = BTreeMap<(How, Host, Host), Edge>;

/// Frames kept for one edge.
const SAMPLES: usize = 5;

fn note(found: &mut Edges, how: How, (from, to): (Host, Host), zones: (ZoneId, ZoneId), count: u64, at: Evidence) {
    // Both ways between two hosts are one fault.
    let (from, to, zones) = if from <= to { (from, to, zones) } else { (to, from, (zones.1, zones.0)) };
    let new = || Edge { reason: Reason::FlatLayer2, how, from, to, zones, count: 0, samples: Vec::new() };
    let edge = found.entry((how, from, to)).or_insert_with(new);
    edge.count += count;
    edge.samples.push(at);
    edge.samples.sort_unstable();
    edge.samples.dedup();
    edge.samples.truncate(SAMPLES);
}

/// One device, in one or several parts, with addresses in two zones.
fn dual_homed(policy: &Policy, parts: &[&Asset]) -> Option<Edge> {
    if parts.iter().any(|asset| stands_between(policy, asset)) {
        return None;
    }
    let mut places = BTreeMap::<ZoneId, (Host, Evidence)>::new();
    for (asset, address) in parts.iter().flat_map(|asset| asset.ips.iter().map(move |address| (asset, address))) {
        let zone = policy.zone_at(*address);
        let host = Host { realm: asset.realm, address: *address };
        let seen = asset.facts.iter().filter(|fact| fact.host == host).map(|fact| fact.known.support.first).min();
        if let (true, Some(seen)) = (policy.zone(zone).at.is_some(), seen) {
            places.entry(zone).or_insert((host, seen));
        }
    }
    let mut places = places.into_iter();
    let ((one, (from, first)), (other, (to, second))) = (places.next()?, places.next()?);
    let samples: BTreeSet<Evidence> = [first, second].into();
    Some(Edge {
        reason: Reason::DualHomed,
        how: How::TwoAddresses,
        from,
        to,
        zones: (one, other),
        count: 1,
        samples: samples.into_iter().collect(),
    })
}

/// A device whose place is between zones: declared so, or a router or firewall.
fn stands_between(policy: &Policy, asset: &Asset) -> bool {
    let declared = |address: &Address| {
        let asset = policy.zone_of(&Member::at(*address)).asset.and_then(|asset| policy.asset(asset));
        asset.is_some_and(|asset| asset.multi_homed || !asset.boundary_of.is_empty())
    };
    let by_mac = asset.macs.iter().any(|mac| declared(&(*mac).into()));
    by_mac || asset.ips.iter().any(declared) || asset.role.value.is_some_and(|role| BETWEEN.contains(&role))
}
