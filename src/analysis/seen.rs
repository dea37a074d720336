//! An analysis in plain words: what a draft of a policy is made from.

use std::collections::{BTreeMap, BTreeSet};

use dissectors::{Mode, Token};

use super::{Analysis, protocol_name};
use crate::address::Address;
use crate::flow::Flow;
use crate::flow::book::Protection;
use crate::flow::key::Transport;
use crate::flow::ops::Operation;
use crate::inventory::Asset;
use crate::policy::suggest::{Act, Node, Seen, Talk, subnet};

/// What no policy speaks of.
const ARP: Transport = Transport::Ethertype(0x0806);

impl Analysis {
    /// What was seen, for drafting and for telling what is new. `captures` are the names of the captures.
    #[must_use]
    pub fn seen(&self, captures: Vec<String>) -> Seen {
        let flows = self.observed.flows.iter().filter(|flow| flow.key.transport != ARP);
        Seen {
            captures,
            nodes: self.inventory.assets.iter().flat_map(nodes).collect(),
            talks: flows.map(Flow::talk).collect(),
            carried: carried(&self.observed.flows),
        }
    }
}

/// The IP addresses whose packets came under each MAC address.
fn carried(flows: &[Flow]) -> BTreeMap<Address, BTreeSet<Address>> {
    let mut carried: BTreeMap<Address, BTreeSet<Address>> = BTreeMap::new();
    for flow in flows {
        for (host, side) in [(flow.key.client, &flow.client), (flow.key.server, &flow.server)] {
            let address = host.address;
            if address.ip().is_some() && !address.is_unspecified() {
                let macs = side.ways().filter_map(|used| used.path.src_mac);
                macs.for_each(|mac| _ = carried.entry(mac.into()).or_default().insert(address));
            }
        }
    }
    carried
}

/// Every address of an asset.
fn nodes(asset: &Asset) -> Vec<Node> {
    let link_local = |address: &Address| match address.ip() {
        Some(std::net::IpAddr::V4(v4)) => v4.is_link_local(),
        Some(std::net::IpAddr::V6(v6)) => v6.is_unicast_link_local(),
        None => true,
    };
    let anchor = asset.ips.iter().find(|address| !link_local(address)).copied();
    let subnets: BTreeSet<_> = asset.ips.iter().filter(|ip| !link_local(ip)).map(|ip| subnet(*ip)).collect();
    // The frames of a device in several subnets carry one MAC: it would pull all of them into one zone.
    let macs = asset.macs.iter().filter(|_| subnets.len() < 2).map(|mac| Address::from(*mac));
    let node = |address: Address| Node {
        address,
        name: asset.name.to_string(),
        role: asset.role.value,
        level: asset.level.map(|level| level.value.0),
        vlan: match asset.vlans.as_slice() {
            [only] => Some(*only),
            _ => None,
        },
        external: asset.role.value == Some(EXTERNAL),
        anchor: anchor.filter(|_| link_local(&address)),
    };
    asset.ips.iter().copied().chain(macs).map(node).collect()
}

/// The role of hosts outside of the site.
const EXTERNAL: &str = "external-host";

impl Flow {
    /// The conversation in plain words.
    #[must_use]
    pub fn talk(&self) -> Talk {
        self.talk_with(self.acts())
    }

    /// What was done in it, in the order of codes.
    pub(super) fn acts(&self) -> Vec<Act> {
        let mut operations: Vec<&Operation> = self.book.operations().iter().collect();
        operations.sort_by(|a, b| a.key.cmp(&b.key));
        operations.into_iter().filter_map(|operation| act(self, operation)).collect()
    }

    /// The conversation, and of what was done this.
    pub(super) fn talk_with(&self, acts: Vec<Act>) -> Talk {
        let Protection { mode, policies, tokens } = self.book.protection();
        let mut protection: Vec<String> = mode.map(|mode| format!("mode {}", mode.text())).into_iter().collect();
        protection.extend(policies.iter().map(|policy| format!("policy {policy}")));
        protection.extend(tokens.iter().map(|token| format!("token {}", token.text())));
        // A client asks for endpoints unprotected and then opens its session protected: both are one conversation here.
        let unprotected =
            *mode == Some(Mode::None) && policies.iter().all(|policy| policy.eq_ignore_ascii_case("none"));
        let clear_password = unprotected && tokens.contains(&Token::Username);
        Talk {
            client: self.key.client.address,
            server: self.key.server.address,
            transport: self.key.transport,
            port: self.key.port,
            protocol: protocol_name(self),
            refuted: self.not_dissected().map(|protocol| protocol.info().name),
            initiator: self.initiator,
            blocked: self.is_blocked(),
            clear_password,
            protection: (!protection.is_empty()).then(|| protection.join(", ")),
            acts,
            connections: self.connections,
            frames: self.frames(),
            first: self.first(),
            last: self.last(),
        }
    }
}

fn act(flow: &Flow, operation: &Operation) -> Option<Act> {
    let name = flow.dissected()?.operation(operation.key.code);
    let component = operation.key.component.as_deref();
    Some(Act {
        code: name.code,
        name: name.name.into_owned(),
        class: operation.key.class,
        // `modbus/17` is unit 17.
        unit: component.map(|text| text.split_once('/').map_or(text, |(_, unit)| unit).to_owned()),
        ranges: operation.objects.ranges().map(|(space, from, to)| (space.to_owned(), from, to)).collect(),
        names: operation.objects.names().map(|(space, name)| (space.to_owned(), name.to_owned())).collect(),
        partial: operation.objects.dropped() > 0,
        count: operation.tally.requests.max(operation.tally.answered + operation.tally.refused),
        first: operation.tally.first,
        last: operation.tally.last,
    })
}
