//! Puts the assets together.

use std::collections::{BTreeMap, BTreeSet};
use std::thread;

use dissectors::{Attribute, Method, attribute};

use super::conflict::conflicts;
use super::device::{Devices, devices};
use super::level::{Standing, levels};
use super::mac::is_link_local;
use super::role::{Family, Role, Sign, weigh};
use super::sign::{Behaviour, is_external, of_maker};
use super::{Asset, AssetFact, AssetRole, Declared, Identity, Input, Inventory, Known, Part, asset_id};
use crate::address::{Address, Host, Mac};
use crate::ledger::Evidence;

/// Makes the inventory of what was observed.
#[must_use]
pub fn resolve(input: &Input<'_>) -> Inventory {
    let devices = devices(input);
    let behaviour =
        Behaviour::of(input.traffic, devices.count, |host| Some(*devices.device.get(*devices.place.get(&host)?)?));
    let facts = facts_by_device(input, &devices);
    let mut members: Vec<Vec<usize>> = vec![Vec::new(); devices.count];
    for (host, device) in devices.device.iter().enumerate() {
        members[*device].push(host);
    }

    let make = |first: usize, members: &[Vec<usize>], facts: Vec<Vec<AssetFact>>| -> Vec<(Asset, Standing)> {
        let each = (first..).zip(members).zip(facts);
        each.map(|((device, members), facts)| {
            let declared = devices.declared.get(&device).and_then(|number| input.declared.get(*number));
            let asset = asset(input, &devices, members, facts, &behaviour[device], declared);
            let hosts = || members.iter().map(|at| devices.hosts[*at]);
            let zone = || hosts().find_map(|host| (input.zone_level)(host));
            let standing = Standing {
                declared: declared.and_then(|declared| declared.level).or_else(zone),
                role: asset.role.value.and_then(Role::named).map(|role| role.level),
                nets: Standing::nets(hosts()),
            };
            (asset, standing)
        })
        .collect()
    };
    let (mut assets, standings): (Vec<_>, Vec<_>) =
        side_by_side(&members, facts, input.workers, &make).into_iter().unzip();
    for (asset, level) in assets.iter_mut().zip(levels(&standings, &behaviour)) {
        asset.level = level;
    }

    // From here on a device's number and its asset's place differ: assets are in the order of their ids.
    let mut numbered: Vec<(usize, Asset)> = assets.into_iter().enumerate().collect();
    numbered.sort_by_cached_key(|(_, asset)| asset.id.clone()); // They are large: their ids are sorted, and then they are moved.
    let (order, assets): (Vec<usize>, Vec<Asset>) = numbered.into_iter().unzip();
    let mut asset_of = vec![0; assets.len()];
    for (place, device) in order.iter().enumerate() {
        asset_of[*device] = place;
    }
    let index = devices.hosts.iter().zip(&devices.device).map(|(host, device)| (*host, asset_of[*device])).collect();
    let conflicts = conflicts(input.ledger, &devices, &assets, &asset_of);
    Inventory { assets, conflicts, index }
}

/// Fewer devices are not worth a thread.
const PART: usize = 512;

/// Makes something of equal parts of two lists that go together, each in a thread of its own; in their order.
fn side_by_side<A: Sync, B: Send, T: Send>(
    items: &[A],
    mut with: Vec<B>,
    workers: usize,
    make: &(impl Fn(usize, &[A], Vec<B>) -> Vec<T> + Sync),
) -> Vec<T> {
    let part = items.len().div_ceil(workers.max(1)).max(PART);
    thread::scope(|scope| {
        let mut threads = Vec::new();
        for first in (part..items.len()).step_by(part).rev() {
            let (items, with) = (items.get(first..).unwrap_or_default(), with.split_off(first));
            threads.push(scope.spawn(move || make(first, items.get(..part).unwrap_or(items), with)));
        }
        let mut made = make(0, items.get(..part).unwrap_or(items), with);
        for thread in threads.into_iter().rev() {
            match thread.join() {
                Ok(more) => made.extend(more),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        made
    })
}

fn facts_by_device(input: &Input<'_>, devices: &Devices) -> Vec<Vec<AssetFact>> {
    let mut by_device: Vec<Vec<AssetFact>> = Vec::new();
    by_device.resize_with(devices.count, Vec::new);
    for (subject, facts) in input.ledger.iter() {
        let device = devices.place.get(&subject.host).and_then(|at| devices.device.get(*at));
        let Some(mine) = device.and_then(|device| by_device.get_mut(*device)) else { continue };
        mine.extend(facts.iter().map(|(key, support)| AssetFact {
            host: subject.host,
            component: subject.component.clone(),
            attribute: key.attribute,
            known: Known {
                value: key.value.clone(),
                protocol: key.protocol,
                method: key.method,
                support: support.clone(),
            },
        }));
    }
    by_device
}

/// The address that an asset is known by: the lowest that other sensors see too.
fn anchor(hosts: impl Iterator<Item = Host>) -> Option<Host> {
    hosts.min_by_key(|host| (is_link_local(host.address), *host))
}

fn asset(
    input: &Input<'_>,
    devices: &Devices,
    members: &[usize],
    facts: Vec<AssetFact>,
    behaviour: &Behaviour<'_>,
    declared: Option<&Declared>,
) -> Asset {
    let hosts = || members.iter().map(|at| devices.hosts[*at]);
    let anchor = anchor(hosts()).unwrap_or(Host { realm: Default::default(), address: Address::UNSPECIFIED });
    let external = declared.is_none() && hosts().any(|host| is_external(host.address, input.home_nets));
    let external = external && !members.iter().any(|at| devices.is_near(*at));
    // Of an external host the MAC is the next hop's, even if that leaves the TTL as it is.
    let claimed = || members.iter().filter(|_| !external).flat_map(|at| &devices.macs[*at]);
    let macs: BTreeSet<Mac> =
        claimed().map(|(mac, _)| *mac).chain(hosts().filter_map(|host| host.address.as_mac())).collect();
    let mac_vendor = macs.iter().find_map(|mac| input.oui.maker_of(*mac));
    let components = components(&facts, behaviour);

    let values = |wanted: Attribute| facts.iter().filter(move |fact| fact.attribute == wanted);
    // A name is what the device goes by itself; what others or its parts are called is in the facts.
    let names = |wanted| values(wanted).filter(|fact| fact.component.is_none() && is_own_word(fact));
    let hostnames: BTreeSet<Box<str>> = names(attribute::HOSTNAME).map(|fact| fact.known.value.clone()).collect();
    let called = [attribute::HOSTNAME, attribute::NAME].into_iter().find_map(|wanted| best(names(wanted)));
    let name = declared.and_then(|declared| declared.name.clone()).or(called.map(|known| known.value));

    let mut signs = signs_told(&facts, behaviour, &components);
    signs.extend(behaviour.signs());
    signs.extend(mac_vendor.as_deref().and_then(of_maker));
    signs.extend(
        members.iter().filter_map(|at| devices.routers.get(at)).map(|why| Sign::new("router", Family::Place, 85, *why)),
    );
    let mut role = weigh(signs);
    if let Some(known) = declared.and_then(|declared| Role::named(declared.role.as_deref()?)) {
        role = AssetRole { value: Some(known.name), confidence: 100, ..role };
    } else if external {
        role = AssetRole { value: Some("external-host"), confidence: 100, ..role };
    }

    let itself = facts.iter().filter(|fact| is_own_word(fact));
    let seen = itself.flat_map(|fact| [fact.known.support.first, fact.known.support.last]);
    let seen = seen.chain(claimed().flat_map(|(_, (_, seen))| [seen.first, seen.last]));
    let seen = seen.chain(behaviour.sent().flat_map(|(flow, ..)| [flow.first, flow.last]));
    let seen: Option<(Evidence, Evidence)> = seen.fold(None, |span, at| match span {
        None => Some((at, at)),
        Some((first, last)) => Some((first.min(at), last.max(at))),
    });
    let (first, last) = seen.unwrap_or((NEVER, NEVER));
    Asset {
        id: declared.map_or_else(|| asset_id(anchor), |declared| declared.id.clone()),
        name: name.unwrap_or_else(|| anchor.address.to_string().into()),
        realm: anchor.realm,
        ips: hosts()
            .map(|host| host.address)
            .filter(|address| address.ip().is_some())
            .collect::<BTreeSet<_>>()
            .into_iter()
            .collect(),
        macs: macs.into_iter().collect(),
        vlans: values(attribute::VLAN)
            .filter_map(|f| f.known.value.parse().ok())
            .collect::<BTreeSet<_>>()
            .into_iter()
            .collect(),
        hostnames: hostnames.into_iter().collect(),
        identity: identity(&facts, None),
        mac_vendor: mac_vendor.map(Into::into),
        role,
        level: None,
        approved: declared.is_some_and(|declared| declared.approved),
        protocols: behaviour.speaks(),
        components,
        first,
        last,
        frames_sent: behaviour.sent().map(|(_, frames, _)| frames).fold(0, u64::saturating_add),
        bytes_sent: behaviour.sent().map(|(.., bytes)| bytes).fold(0, u64::saturating_add),
        facts,
    }
}

/// For an asset without a frame; there is none, since only what was seen is an asset.
const NEVER: Evidence = Evidence::new(crate::time::Timestamp::MIN, 0, 0);

/// Whether a fact comes from the device, by its words or deeds, rather than from others.
fn is_own_word(fact: &AssetFact) -> bool {
    fact.known.method != Method::ThirdParty
}

/// The best of several claims: by the most trusted method, of these the latest.
fn best<'a>(claims: impl Iterator<Item = &'a AssetFact>) -> Option<Known> {
    let rank = |known: &Known| (known.method.weight(), known.support.last, known.support.count);
    let better = |a: &&Known, b: &&Known| rank(a).cmp(&rank(b)).then_with(|| b.value.cmp(&a.value));
    claims.map(|fact| &fact.known).max_by(better).cloned()
}

/// Who the device is, or one of its components.
fn identity(facts: &[AssetFact], component: Option<&str>) -> Identity {
    let of = |wanted: Attribute| {
        best(facts.iter().filter(|fact| fact.attribute == wanted && fact.component.as_deref() == component))
    };
    Identity {
        vendor: of(attribute::VENDOR),
        product: of(attribute::PRODUCT),
        model: of(attribute::MODEL),
        firmware: of(attribute::FIRMWARE),
        serial: of(attribute::SERIAL),
    }
}

/// The parts that told something of themselves or answered.
fn components(facts: &[AssetFact], behaviour: &Behaviour<'_>) -> Vec<Part> {
    let mut by_part = BTreeMap::<&str, Vec<AssetFact>>::new();
    for fact in facts {
        if let Some(component) = &fact.component {
            by_part.entry(component).or_default().push(fact.clone());
        }
    }
    for component in behaviour.components() {
        by_part.entry(component).or_default();
    }
    let part = |(id, facts): (&str, Vec<AssetFact>)| {
        let signs = facts.iter().filter_map(|fact| told(fact, Family::Answer)).collect();
        Part { id: id.into(), identity: identity(&facts, Some(id)), role: weigh(signs).value }
    };
    by_part.into_iter().map(part).collect()
}

/// The sign of a role in what a device said, or what its protocol's dissector saw it do.
fn told(fact: &AssetFact, doing: Family) -> Option<Sign> {
    if fact.attribute != attribute::ROLE {
        return None;
    }
    let family = match fact.known.method {
        Method::SelfReport => Family::Answer,
        Method::Announcement => Family::Announcement,
        Method::Behaviour => doing,
        Method::ThirdParty => Family::ThirdParty,
    };
    let reason = if fact.known.support.basis.is_empty() { fact.known.method.text() } else { fact.known.support.basis };
    Some(Sign::new(Role::named(&fact.known.value)?.name, family, fact.known.support.weight, reason))
}

/// What the facts say of the role. A device that says nothing of itself is for what its only component is for.
fn signs_told(facts: &[AssetFact], behaviour: &Behaviour<'_>, components: &[Part]) -> Vec<Sign> {
    let sign = |fact: &AssetFact| told(fact, behaviour.side_of(fact.known.protocol));
    let own: Vec<Sign> = facts.iter().filter(|fact| fact.component.is_none()).filter_map(sign).collect();
    match components {
        [only] if own.is_empty() => {
            facts.iter().filter(|fact| fact.component.as_ref() == Some(&only.id)).filter_map(sign).collect()
        }
        _ => own,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_made_side_by_side_is_in_order() {
        for n in [0, 1, PART, PART + 1, 2 * PART, 3 * PART + 7] {
            let (items, with): (Vec<_>, Vec<_>) = (0..n).map(|i| (i, 10 * i)).unzip();
            for workers in 1..5 {
                let make = |first: usize, items: &[usize], with: Vec<usize>| {
                    let each = (first..).zip(items).zip(with);
                    each.map(|((place, item), with)| [place, *item, with]).collect::<Vec<_>>()
                };
                let made = side_by_side(&items, with.clone(), workers, &make);
                assert!(made.into_iter().eq((0..n).map(|i| [i, i, 10 * i])), "{n} {workers}");
            }
        }
    }
}
