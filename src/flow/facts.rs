//! What the link layer and IP headers of flows say of their hosts, as facts for the ledger.

use std::collections::HashMap;

use ahash::RandomState;
use dissectors::{Method, attribute};

use super::Flow;
use super::path::{Path, PathUse};
use crate::address::{Host, Mac};
use crate::ledger::{Fact, FactKey, Ledger, Subject, Support};

/// What the headers of a host's frames had. One host's many flows mostly have the same.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Headers {
    mac: Option<Mac>,
    vlans: [u16; 3],
    ttl: u8,
}

/// One of them.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Header {
    Mac(Mac),
    Vlan(u16),
    Ttl(u8),
}

/// Adds the facts of flows: which MAC addresses, VLANs and TTLs their hosts' frames had.
pub fn note(flows: &[Flow], ledger: &mut Ledger) {
    let mut together: HashMap<(Host, Headers), Support, RandomState> = HashMap::default();
    for flow in flows {
        for (host, side) in [(flow.key.client, &flow.client), (flow.key.server, &flow.server)] {
            if host.address.is_group() || host.address.is_unspecified() {
                continue;
            }
            for used in side.ways().filter(|used| used.frames > 0) {
                let Path { src_mac, vlans, ttl, .. } = used.path;
                let support = support(&used);
                let headers = (host, Headers { mac: src_mac, vlans, ttl });
                together.entry(headers).and_modify(|known| known.merge(&support)).or_insert(support);
            }
        }
    }
    let mut seen: HashMap<(Host, Header), Support, RandomState> = HashMap::default();
    for ((host, headers), support) in together {
        for header in headers.of(host) {
            seen.entry((host, header)).and_modify(|known| known.merge(&support)).or_insert(support.clone());
        }
    }
    for ((host, header), support) in seen {
        let (attribute, value, protocol) = match header {
            Header::Mac(mac) => (attribute::MAC, mac.to_string(), "ethernet"),
            Header::Vlan(id) => (attribute::VLAN, id.to_string(), "ethernet"),
            Header::Ttl(ttl) => (attribute::TTL, ttl.to_string(), "ip"),
        };
        let key = FactKey { attribute, value: value.into(), protocol, method: Method::Behaviour };
        ledger.apply(Subject { host, component: None }, Fact { key, support });
    }
}

fn support(used: &PathUse) -> Support {
    let weight = Method::Behaviour.weight();
    Support { count: used.frames, first: used.first, last: used.last, weight, basis: "" }
}

impl Headers {
    fn of(self, host: Host) -> impl Iterator<Item = Header> {
        // A host without IP is its MAC.
        let mac = self.mac.filter(|mac| host.address.ip().is_some() && !mac.is_zero()).map(Header::Mac);
        let vlans = self.vlans.into_iter().filter(|id| *id != 0).map(Header::Vlan);
        let ttl = (self.ttl != 0).then_some(Header::Ttl(self.ttl));
        mac.into_iter().chain(vlans).chain(ttl)
    }
}
