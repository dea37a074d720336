//! From a frame to a packet: who sent it to whom over what, and the payload. Stateless and zero-copy.
//!
//! The only user of `etherparse`. What it does not read (802.3 LLC/SNAP, SLL2, MPLS, PPPoE, GRE and ERSPAN, VXLAN,
//! GENEVE, IP in IP) stands beside it. The innermost flow is what counts; the outer headers are kept as facts.

mod encapsulation;
pub mod fragments;
mod headers;
mod internet;
mod link;

use crate::address::{Address, Mac};
use crate::source::Frame;

pub use headers::{Headers, Transport, Way};

/// What stands in a frame.
///
/// It goes through the layers one by one; for plain frames [`Headers::read`] is the short way to the same. A tunnel
/// whose inside makes no sense counts as the outer flow that it is.
///
/// # Errors
/// [`Undecoded`] when the frame names no two hosts.
pub fn decode<'a>(frame: &Frame<'a>) -> Result<Packet<'a>, Undecoded> {
    link::frame(frame)
}

/// Why a frame is no packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Undecoded {
    /// The link type is none that is read here.
    LinkType,
    /// It ends inside its link-layer header.
    TooShort,
    /// What should be an IP header is none, or is cut.
    BadIpHeader,
    /// It carries no address at all, such as the control packets of PPP.
    NoAddress,
    /// More headers around headers than any network has.
    TooDeep,
}

impl Undecoded {
    /// All reasons.
    pub const ALL: [Self; 5] = [Self::LinkType, Self::TooShort, Self::BadIpHeader, Self::NoAddress, Self::TooDeep];

    /// The word in reports.
    #[must_use]
    pub fn reason(self) -> &'static str {
        match self {
            Self::LinkType => "link-type",
            Self::TooShort => "too-short",
            Self::BadIpHeader => "bad-ip-header",
            Self::NoAddress => "no-address",
            Self::TooDeep => "too-deep",
        }
    }
}

/// A decoded packet. Everything borrowed is a slice of the frame.
#[derive(Clone, Copy, Debug)]
pub struct Packet<'a> {
    /// Source: innermost IP, else MAC.
    pub src: Address,
    /// Destination: innermost IP, else MAC.
    pub dst: Address,
    /// Source MAC of the Ethernet header that `src` stands behind: the frame's own, or the inner one of a tunnel that
    /// carries Ethernet. `None` where there is none.
    pub src_mac: Option<Mac>,
    /// Destination MAC of the same header.
    pub dst_mac: Option<Mac>,
    /// VLAN ids of the same header, outermost first.
    pub vlans: Vlans,
    /// The innermost IP header, if there is one.
    pub ip: Option<Ip>,
    /// What stands above.
    pub upper: Upper,
    /// Bytes above the innermost header that was read: TCP or UDP payload; ICMP from behind the checksum on; what stands
    /// behind the EtherType or the LLC header; the bytes of a fragment. Ethernet padding is no part of an IP payload.
    pub payload: &'a [u8],
    /// Bytes of the payload that the snap length cut off.
    pub cut: u32,
    /// Headers around the innermost flow, outermost first.
    pub tunnels: Tunnels,
}

/// VLAN ids, outermost first; a fourth and deeper tag is read through and not kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Vlans {
    ids: [u16; 3],
    len: u8,
}

impl Vlans {
    /// Adds an inner tag.
    pub fn push(&mut self, id: u16) {
        if let Some(slot) = self.ids.get_mut(usize::from(self.len)) {
            *slot = id & 0x0FFF;
            self.len += 1;
        }
    }

    /// The ids.
    #[must_use]
    #[inline]
    pub fn as_slice(&self) -> &[u16] {
        self.ids.get(..usize::from(self.len)).unwrap_or(&[])
    }
}

/// What the judge and the dedup of mirror copies need of an IP header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ip {
    /// Time to live, or hop limit.
    pub ttl: u8,
    /// IPv4 identification; for IPv6 that of the fragment header, else 0.
    pub id: u32,
    /// The payload's protocol number (after IPv6 extension headers).
    pub protocol: u8,
    /// Differentiated services codepoint (RFC 2474), 0 to 63.
    pub dscp: u8,
    /// Set when this is a fragment.
    pub fragment: Option<Fragment>,
}

/// A fragment's place in its datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fragment {
    /// Offset in bytes.
    pub offset: u32,
    /// More follow.
    pub more: bool,
}

/// What stands above the network layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Upper {
    /// TCP.
    Tcp(Tcp),
    /// UDP.
    Udp {
        /// Source port.
        src_port: u16,
        /// Destination port.
        dst_port: u16,
    },
    /// ICMP or ICMPv6.
    Icmp {
        /// ICMP type.
        kind: u8,
        /// ICMP code.
        code: u8,
        /// ICMPv6.
        v6: bool,
    },
    /// Another IP protocol, or a fragment whose upper header is not at hand (see [`Ip::fragment`]).
    Ip(u8),
    /// ARP.
    Arp(Arp),
    /// A frame without IP, by EtherType.
    Ethertype(u16),
    /// An 802.3 frame, by LLC destination service access point.
    Llc(u8),
}

/// A TCP header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tcp {
    /// Source port.
    pub src_port: u16,
    /// Destination port.
    pub dst_port: u16,
    /// Sequence number of the first payload byte (of SYN or FIN when they are set).
    pub seq: u32,
    /// Acknowledgement number.
    pub ack: u32,
    /// Flags: FIN 0x01, SYN 0x02, RST 0x04, PSH 0x08, ACK 0x10, URG 0x20.
    pub flags: u8,
    /// TSval of the timestamps option (RFC 7323), 0 without it. Tells a retransmission from a mirror's copy.
    pub timestamp: u32,
}

#[allow(missing_docs)] // The names are those of RFC 9293.
impl Tcp {
    pub const FIN: u8 = 0x01;
    pub const SYN: u8 = 0x02;
    pub const RST: u8 = 0x04;
    pub const ACK: u8 = 0x10;

    /// Any of these flags is set.
    #[must_use]
    #[inline]
    pub fn has(&self, flags: u8) -> bool {
        self.flags & flags != 0
    }

    /// A SYN, or its answer. Together with FIN or RST it opens nothing: no stack sends that, only scanners and fuzzers do
    /// (RFC 9293, section 3.10.7.2).
    #[must_use]
    #[inline]
    pub fn opens(&self) -> bool {
        Self::opened_by(self.flags)
    }

    /// Whether these flags are such.
    #[inline]
    fn opened_by(flags: u8) -> bool {
        flags & (Self::SYN | Self::FIN | Self::RST) == Self::SYN
    }
}

/// An ARP packet for IPv4 over Ethernet (RFC 826).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arp {
    /// 1 request, 2 reply.
    pub operation: u16,
    /// Sender hardware address.
    pub sender_mac: Mac,
    /// Sender protocol address; 0.0.0.0 in a probe (RFC 5227).
    pub sender_ip: Address,
    /// Target hardware address.
    pub target_mac: Mac,
    /// Target protocol address.
    pub target_ip: Address,
}

/// A header around the innermost flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tunnel {
    /// What kind.
    pub kind: TunnelKind,
    /// Its source, if it has addresses.
    pub src: Option<Address>,
    /// Its destination.
    pub dst: Option<Address>,
    /// VNI, GRE key, MPLS label, ERSPAN session or PPPoE session; 0 when it has none.
    pub key: u32,
}

/// Kinds of encapsulation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs)] // The names are the documentation.
pub enum TunnelKind {
    Pppoe,
    Mpls,
    IpInIp,
    Gre,
    Erspan,
    Vxlan,
    Geneve,
}

impl TunnelKind {
    /// The word in reports.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::Pppoe => "pppoe",
            Self::Mpls => "mpls",
            Self::IpInIp => "ip-in-ip",
            Self::Gre => "gre",
            Self::Erspan => "erspan",
            Self::Vxlan => "vxlan",
            Self::Geneve => "geneve",
        }
    }
}

/// Headers around the innermost flow, outermost first, four at most: a deeper nest is not decoded.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tunnels {
    list: [Option<Tunnel>; 4],
}

impl Tunnels {
    /// Adds an inner header; `false` when there are too many.
    pub fn push(&mut self, tunnel: Tunnel) -> bool {
        match self.list.iter_mut().find(|slot| slot.is_none()) {
            Some(slot) => {
                *slot = Some(tunnel);
                true
            }
            None => false,
        }
    }

    /// They, outermost first.
    pub fn iter(&self) -> impl Iterator<Item = &Tunnel> {
        self.list.iter().flatten()
    }

    /// The frame carries its flow directly.
    #[must_use]
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.list[0].is_none()
    }
}

impl Packet<'_> {
    /// Nothing yet, of a frame whose last `cut` bytes were not captured.
    fn empty(cut: u32) -> Self {
        Self {
            src: Address::UNSPECIFIED,
            dst: Address::UNSPECIFIED,
            src_mac: None,
            dst_mac: None,
            vlans: Vlans::default(),
            ip: None,
            upper: Upper::Ethertype(0),
            payload: &[],
            cut,
            tunnels: Tunnels::default(),
        }
    }
}

#[cfg(test)]
mod tests;
