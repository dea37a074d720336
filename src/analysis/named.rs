//! Who a policy knows by what they tell of themselves: a host name, a serial number, a maker, a role, a station.
//!
//! The packet path knows addresses and segments alone. Where a policy asks for more, the zones of its flows are found anew
//! once the devices are known, and the flows of whom that moves are judged again by what is left of them
//! ([`crate::flow::again`]).

use std::collections::{BTreeMap, BTreeSet};

use dissectors::attribute;

use crate::address::{Address, Host};
use crate::flow::key::FlowKey;
use crate::flow::{again, docket};
use crate::inventory::{Asset, Inventory};
use crate::pipeline::Observed;
use crate::policy::{Member, Policy};

/// The stations behind each address, in order.
pub(super) type Stations = BTreeMap<Host, Vec<u16>>;

/// The stations that a policy may ask for.
pub(super) fn stations(inventory: &Inventory, policy: Option<&Policy>) -> Stations {
    let mut stations: BTreeMap<Host, BTreeSet<u16>> = BTreeMap::new();
    if policy.is_some_and(Policy::names_stations) {
        let facts = inventory.assets.iter().flat_map(|asset| &asset.facts);
        for fact in facts.filter(|fact| fact.attribute == attribute::DNP3_LINK) {
            if let Ok(station) = fact.known.value.parse() {
                stations.entry(fact.host).or_default().insert(station);
            }
        }
    }
    stations.into_iter().map(|(host, links)| (host, links.into_iter().collect())).collect()
}

/// A host with what is known of the device that it is.
pub(super) fn member<'a>(host: Host, inventory: &'a Inventory, stations: &'a Stations) -> Member<'a> {
    let of = |asset: &'a Asset| Member {
        mac: host.address.as_mac().or(asset.macs.first().copied()),
        hostname: asset.hostnames.first().map(|name| &**name),
        serial: asset.identity.serial.as_ref().map(|known| &*known.value),
        vendor: asset.identity.vendor.as_ref().map(|known| &*known.value).or(asset.mac_vendor.as_deref()),
        role: asset.role.value,
        stations: stations.get(&host).map_or(&[], Vec::as_slice),
        ..Member::at(host.address)
    };
    inventory.at(host).map_or(Member::at(host.address), of)
}

/// Judges the flows again whose sides are elsewhere than their addresses say, and says which they are.
pub(super) fn judge(
    observed: &mut Observed,
    inventory: &Inventory,
    stations: &Stations,
    policy: &Policy,
) -> Vec<FlowKey> {
    if !policy.asks_identity() {
        return Vec::new();
    }
    let known = |host: Host| member(host, inventory, stations);
    let queries = policy.queries_ends();
    let moves = |host: &Host| {
        let (bare, told) = (Member::at(host.address), known(*host));
        let place = |member: &Member<'_>| {
            let found = policy.zone_of(member);
            (found.zone, found.asset)
        };
        (queries && (told.vendor, told.role) != (None, None)) || place(&bare) != place(&told)
    };
    let hosts = inventory.assets.iter().flat_map(|asset| {
        let addresses = asset.ips.iter().copied().chain(asset.macs.iter().map(|mac| Address::from(*mac)));
        addresses.map(|address| Host { realm: asset.realm, address })
    });
    let moved: BTreeSet<Host> = hosts.filter(moves).collect();
    let mut judged = Vec::new();
    for flow in &mut observed.flows {
        if ![flow.key.client, flow.key.server].iter().any(|host| moved.contains(host)) {
            continue;
        }
        let conversation = docket::conversation_among(policy, flow, &known);
        let setting = conversation.setting();
        if flow.judged.iter().any(|entry| !entry.setting.is_like(&setting)) {
            again::judge_as(flow, policy, conversation);
            judged.push(flow.key);
        }
    }
    judged
}
