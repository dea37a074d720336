//! What a flow's link layer and IP headers say of its hosts, as facts for the ledger.

use dissectors::{Attribute, Method, attribute};

use super::Flow;
use super::connection::PathUse;
use crate::address::Host;
use crate::ledger::{Fact, FactKey, Ledger, Subject, Support};

/// Adds the facts of a flow: which MAC addresses, VLANs and TTLs its hosts' frames had.
pub fn note(flow: &Flow, ledger: &mut Ledger) {
    for (host, side) in [(flow.key.client, &flow.client), (flow.key.server, &flow.server)] {
        if host.address.is_group() || host.address.is_unspecified() {
            continue;
        }
        for path in &side.paths {
            note_path(host, path, ledger);
        }
    }
}

fn note_path(host: Host, used: &PathUse, ledger: &mut Ledger) {
    let path = &used.path;
    let mut fact = |attribute: Attribute, value: String, protocol: &'static str| {
        let key = FactKey { attribute, value: value.into(), protocol, method: Method::Behaviour };
        let support = Support {
            count: used.frames,
            first: used.first,
            last: used.last,
            weight: Method::Behaviour.weight(),
            basis: "",
        };
        ledger.apply(Subject { host, component: None }, Fact { key, support });
    };
    // A host without IP is its MAC.
    if let (Some(mac), true) = (path.src_mac, host.address.ip().is_some())
        && !mac.is_zero()
    {
        fact(attribute::MAC, mac.to_string(), "ethernet");
    }
    for id in path.vlans.iter().filter(|id| **id != 0) {
        fact(attribute::VLAN, id.to_string(), "ethernet");
    }
    if path.ttl != 0 {
        fact(attribute::TTL, path.ttl.to_string(), "ip");
    }
}
