//! What only some packets have: tunnels around them, ARP or spanning tree in them, names in their first datagram.

use dissectors::recognise::{Recognised, recognise_frame, told_name};
use dissectors::{Attribute, Method, attribute};

use super::Notes;
use crate::address::Host;
use crate::decode::{Packet, Upper};
use crate::flow::connection::{Connection, ConnectionKey, Counted, Side};
use crate::ledger::{Evidence, Fact, FactKey, Subject, Support};

/// RFC 826.
const ARP_REQUEST: u16 = 1;

/// LLC address of the spanning tree protocol (IEEE 802.1D, 7.12.3).
const SPANNING_TREE: u8 = 0x42;

/// The root that a bridge protocol data unit tells of (IEEE 802.1D, 9.3): `8000.001d9c200102`.
fn bridge_root(bpdu: &[u8]) -> Option<String> {
    let [0, 0, _, 0 | 2, _flags, p0, p1, a, b, c, d, e, f, ..] = *bpdu else { return None };
    Some(format!("{p0:02x}{p1:02x}.{a:02x}{b:02x}{c:02x}{d:02x}{e:02x}{f:02x}"))
}

impl Notes {
    /// What only some packets have: tunnels around them, ARP in them, or no IP.
    #[cold]
    pub(super) fn odd(
        &mut self,
        connection: &mut Connection,
        sender: Side,
        packet: &Packet<'_>,
        counted: &Counted,
        at: Evidence,
    ) {
        if counted.new_path && !packet.tunnels.is_empty() {
            self.tunnels(connection.key.host(sender), packet, (connection.key, at));
            if self.policy.is_some() {
                packet.tunnels.iter().for_each(|tunnel| connection.docket.tunnel(tunnel, at));
            }
        }
        match packet.upper {
            _ if counted.copy => {}
            Upper::Arp(arp) => self.arp(&arp, connection.key, at),
            Upper::Ethertype(ethertype) if !connection.dialog.is_settled() => {
                connection.dialog.frame(recognise_frame(ethertype, packet.payload));
            }
            Upper::Llc(SPANNING_TREE) => {
                if let (Some(root), true) = (bridge_root(packet.payload), self.policy.is_some()) {
                    let host = connection.key.host(sender);
                    self.fact(host, attribute::BRIDGE_ROOT, root, "stp", Method::Announcement, (connection.key, at));
                }
            }
            _ => {}
        }
    }

    /// The sender of an ARP packet has that address at that MAC. A probe (RFC 5227) claims none yet.
    fn arp(&mut self, arp: &crate::decode::Arp, key: ConnectionKey, at: Evidence) {
        if arp.sender_ip.is_unspecified() || arp.sender_ip.is_group() || arp.sender_mac.is_zero() {
            return;
        }
        let host = Host { realm: key.realm, address: arp.sender_ip };
        self.fact(host, attribute::MAC, arp.sender_mac.to_string(), "arp", Method::SelfReport, (key, at));
        let target = arp.target_ip;
        if let (Some(policy), ARP_REQUEST, false) = (&self.policy, arp.operation, target.is_unspecified())
            && policy.are_apart((policy.zone_at(arp.sender_ip), policy.zone_at(target)))
        {
            self.fact(host, attribute::ARP_TARGET, target.to_string(), "arp", Method::Behaviour, (key, at));
        }
    }

    /// The first datagram of some protocols tells its sender's name.
    #[cold]
    pub(super) fn told_name(
        &mut self,
        host: Host,
        recognised: &'static Recognised,
        datagram: &[u8],
        frame: (ConnectionKey, Evidence),
    ) {
        if let Some(name) = told_name(recognised, datagram)
            && !host.address.is_unspecified()
        {
            self.fact(host, attribute::HOSTNAME, name, recognised.name, Method::Announcement, frame);
        }
    }

    /// A host's frames came inside others: which.
    fn tunnels(&mut self, host: Host, packet: &Packet<'_>, frame: (ConnectionKey, Evidence)) {
        if host.address.is_group() || host.address.is_unspecified() {
            return;
        }
        for tunnel in packet.tunnels.iter() {
            let ends = match (tunnel.src, tunnel.dst) {
                (Some(src), Some(dst)) => format!(" {src} -> {dst}"),
                _ => String::new(),
            };
            let key = if tunnel.key == 0 { String::new() } else { format!(" #{}", tunnel.key) };
            let value = format!("{}{ends}{key}", tunnel.kind.text());
            self.fact(host, attribute::TUNNEL, value, "ip", Method::Behaviour, frame);
        }
    }

    fn fact(
        &mut self,
        host: Host,
        attribute: Attribute,
        value: String,
        protocol: &'static str,
        method: Method,
        (connection, at): (ConnectionKey, Evidence),
    ) {
        if self.marks.are_wanted() {
            let [first, second] = host.address.words();
            let about = self.secret.mix(first, second ^ attribute.0.as_ptr().addr() as u64);
            self.marks.note_fact(self.secret.bytes(about, value.as_bytes()), &connection, at);
        }
        let key = FactKey { attribute, value: value.into(), protocol, method };
        let support = Support { count: 1, first: at, last: at, weight: method.weight(), basis: "" };
        self.ledger.apply(Subject { host, component: None }, Fact { key, support });
    }
}
