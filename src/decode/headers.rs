//! What flows are made of: the innermost headers of a frame and its payload, small enough to be made for every frame and
//! looked at again a moment later.
//!
//! Ethernet with at most one 802.1Q tag, IPv4 or IPv6 without options, extension headers, fragments or tunnels, TCP or
//! UDP, all whole, is nearly everything and read here in one go ([`Headers::read`]). The rest goes through the layers one
//! by one as a [`Packet`], which gives the same for these ([`Headers::of`]).

use super::encapsulation::is_tunnel_port;
use super::internet::timestamp_option;
use super::{Packet, Tcp, Upper};
use crate::address::{Address, Mac};
use crate::source::{Frame, LinkType};

/// What stands on the addresses, as flows tell it apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Transport {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// ICMP or ICMPv6.
    Icmp,
    /// Another IP protocol, by number.
    Ip(u8),
    /// Ethernet without IP, by EtherType.
    Ethertype(u16),
    /// 802.3 with LLC, by destination service access point.
    Llc(u8),
}

/// By which way a frame came, in three words: MAC addresses and VLAN ids of the Ethernet header that its flow stands
/// directly behind, and its time to live.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Way([u64; 3]);

/// Above a MAC address in its word: there is one.
const MAC: u64 = 1 << 63;
/// Above the destination MAC: there is a way at all.
const KNOWN: u64 = 1 << 62;

impl Way {
    /// From source and destination MAC, VLAN ids (0 for none) and time to live (0 without IP).
    #[must_use]
    pub fn new(src_mac: Option<Mac>, dst_mac: Option<Mac>, vlans: [u16; 3], ttl: u8) -> Self {
        let word = |Mac([a, b, c, d, e, f]): Mac| u64::from_be_bytes([0, 0, a, b, c, d, e, f]) | MAC;
        let [src, dst] = [src_mac, dst_mac].map(|mac| mac.map_or(0, word));
        let [a, b, c] = vlans.map(u64::from);
        Self([dst | KNOWN, src | u64::from(ttl) << 48, a | b << 16 | c << 32])
    }

    /// No frame came yet.
    #[must_use]
    #[inline]
    pub fn is_none(self) -> bool {
        self.0[0] == 0
    }

    /// Source MAC.
    #[must_use]
    pub fn src_mac(self) -> Option<Mac> {
        self.mac(1)
    }

    /// Destination MAC.
    #[must_use]
    pub fn dst_mac(self) -> Option<Mac> {
        self.mac(0)
    }

    /// VLAN ids, outermost first, 0 for none.
    #[must_use]
    pub fn vlans(self) -> [u16; 3] {
        let [.., word] = self.0;
        [word as u16, (word >> 16) as u16, (word >> 32) as u16] // Sixteen bits each.
    }

    /// Time to live; 0 without IP.
    #[must_use]
    pub fn ttl(self) -> u8 {
        (self.0[1] >> 48) as u8 // The MAC address is below.
    }

    fn mac(self, word: usize) -> Option<Mac> {
        let word = *self.0.get(word)?;
        let [_, _, a, b, c, d, e, f] = word.to_be_bytes();
        (word & MAC != 0).then_some(Mac([a, b, c, d, e, f]))
    }
}

/// The innermost headers of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Headers<'a> {
    /// Source: innermost IP, else MAC.
    pub src: Address,
    /// Destination: innermost IP, else MAC.
    pub dst: Address,
    /// Source and destination port; 0 where there are none.
    pub ports: [u16; 2],
    /// What stands above.
    pub transport: Transport,
    /// It has an IP header.
    pub is_ip: bool,
    /// It is a fragment of an IP packet.
    pub is_fragment: bool,
    /// See [`super::Ip::dscp`]; 0 without IP.
    pub dscp: u8,
    /// TCP: flags.
    pub flags: u8,
    /// TCP: sequence number.
    pub seq: u32,
    /// TCP: acknowledgement number.
    pub ack: u32,
    /// TCP: TSval of the timestamps option, 0 without it.
    pub timestamp: u32,
    /// Identification of the IP packet, see [`super::Ip::id`].
    pub id: u32,
    /// Bytes of the payload that the snap length cut off.
    pub cut: u32,
    /// By which way it came.
    pub way: Way,
    /// See [`Packet::payload`].
    pub payload: &'a [u8],
}

impl Default for Headers<'_> {
    /// Those of no frame yet.
    fn default() -> Self {
        Self {
            src: Address::UNSPECIFIED,
            dst: Address::UNSPECIFIED,
            ports: [0; 2],
            transport: Transport::Ethertype(0),
            is_ip: false,
            is_fragment: false,
            dscp: 0,
            flags: 0,
            seq: 0,
            ack: 0,
            timestamp: 0,
            id: 0,
            cut: 0,
            way: Way::default(),
            payload: &[],
        }
    }
}

impl<'a> Headers<'a> {
    /// Those of a packet.
    #[must_use]
    pub fn of(packet: &Packet<'a>) -> Self {
        let mut vlans = [0; 3];
        for (slot, id) in vlans.iter_mut().zip(packet.vlans.as_slice()) {
            *slot = *id;
        }
        let (transport, ports) = match packet.upper {
            Upper::Tcp(tcp) => (Transport::Tcp, [tcp.src_port, tcp.dst_port]),
            Upper::Udp { src_port, dst_port } => (Transport::Udp, [src_port, dst_port]),
            Upper::Icmp { .. } => (Transport::Icmp, [0; 2]),
            Upper::Ip(number) => (Transport::Ip(number), [0; 2]),
            Upper::Arp(_) => (Transport::Ethertype(0x0806), [0; 2]),
            Upper::Ethertype(ethertype) => (Transport::Ethertype(ethertype), [0; 2]),
            Upper::Llc(dsap) => (Transport::Llc(dsap), [0; 2]),
        };
        let (flags, seq, ack, timestamp) = match packet.upper {
            Upper::Tcp(Tcp { flags, seq, ack, timestamp, .. }) => (flags, seq, ack, timestamp),
            _ => (0, 0, 0, 0),
        };
        Self {
            src: packet.src,
            dst: packet.dst,
            ports,
            transport,
            is_ip: packet.ip.is_some(),
            is_fragment: packet.ip.is_some_and(|ip| ip.fragment.is_some()),
            dscp: packet.ip.map_or(0, |ip| ip.dscp),
            flags,
            seq,
            ack,
            timestamp,
            id: packet.ip.map_or(0, |ip| ip.id),
            cut: packet.cut,
            way: Way::new(packet.src_mac, packet.dst_mac, vlans, packet.ip.map_or(0, |ip| ip.ttl)),
            payload: packet.payload,
        }
    }

    /// Reads those of a plain frame; `false` for every other, of which nothing is to be believed then.
    ///
    /// They are written where they are to stay: to give them back would copy them, which takes as long as the reading.
    #[inline]
    #[must_use]
    pub fn read(&mut self, frame: &Frame<'a>) -> bool {
        frame.link == LinkType::ETHERNET && self.ethernet(frame.bytes).is_some()
    }

    #[inline]
    fn ethernet(&mut self, bytes: &'a [u8]) -> Option<()> {
        let (head, mut rest) = bytes.split_first_chunk::<14>()?;
        let [d0, d1, d2, d3, d4, d5, s0, s1, s2, s3, s4, s5, t0, t1] = *head;
        let mut ethertype = u16::from_be_bytes([t0, t1]);
        let mut vlan = 0;
        if ethertype == 0x8100 {
            let ([id0, id1, inner0, inner1], inner) = rest.split_first_chunk::<4>()?;
            vlan = u16::from_be_bytes([*id0, *id1]) & 0x0FFF;
            (ethertype, rest) = (u16::from_be_bytes([*inner0, *inner1]), inner);
        }
        let (ttl, protocol, body);
        match ethertype {
            0x0800 => {
                let [version, service, l0, l1, i0, i1, f0, f1, time, number, _, _, a, b, c, d, e, f, g, h] =
                    *rest.first_chunk()?;
                // Five words of header; neither "more fragments" nor an offset.
                if version != 0x45 || u16::from_be_bytes([f0, f1]) & 0x3FFF != 0 {
                    return None;
                }
                body = rest.get(20..usize::from(u16::from_be_bytes([l0, l1])))?;
                (self.src, self.dst) = (Address::v4([a, b, c, d]), Address::v4([e, f, g, h]));
                (ttl, protocol) = (time, number);
                self.dscp = service >> 2;
                self.id = u16::from_be_bytes([i0, i1]).into();
            }
            0x86DD => {
                let (head, behind) = rest.split_first_chunk::<40>()?;
                let ([version, class, _, _, l0, l1, next, hops], addresses) = head.split_first_chunk::<8>()?;
                let length = usize::from(u16::from_be_bytes([*l0, *l1]));
                if version >> 4 != 6 || length == 0 {
                    return None;
                }
                let (from, to) = addresses.split_first_chunk::<16>()?;
                body = behind.get(..length)?;
                (self.src, self.dst) = (Address::v6(*from), Address::v6(*to.first_chunk()?));
                (ttl, protocol) = (*hops, *next);
                self.dscp = (version & 0x0F) << 2 | class >> 6;
                self.id = 0;
            }
            _ => return None,
        }
        let dst_mac = u64::from_be_bytes([0, 0, d0, d1, d2, d3, d4, d5]);
        let src_mac = u64::from_be_bytes([0, 0, s0, s1, s2, s3, s4, s5]);
        self.way = Way([dst_mac | MAC | KNOWN, src_mac | MAC | u64::from(ttl) << 48, u64::from(vlan)]);
        (self.is_ip, self.is_fragment, self.cut) = (true, false, 0);
        match protocol {
            6 => self.tcp(body),
            17 => self.udp(body),
            _ => None,
        }
    }

    #[inline]
    fn tcp(&mut self, body: &'a [u8]) -> Option<()> {
        let (head, behind) = body.split_first_chunk::<20>()?;
        let [s0, s1, d0, d1, q0, q1, q2, q3, a0, a1, a2, a3, words, flags, ..] = *head;
        self.transport = Transport::Tcp;
        self.ports = [u16::from_be_bytes([s0, s1]), u16::from_be_bytes([d0, d1])];
        self.seq = u32::from_be_bytes([q0, q1, q2, q3]);
        self.ack = u32::from_be_bytes([a0, a1, a2, a3]);
        self.flags = flags;
        (self.payload, self.timestamp) = (behind, 0);
        if words >> 4 != 5 {
            let options = (usize::from(words >> 4) * 4).checked_sub(20)?;
            let (options, payload) = behind.split_at_checked(options)?;
            self.timestamp = match options {
                // As nearly all stacks pad it.
                [1, 1, 8, 10, t0, t1, t2, t3, _, _, _, _] => u32::from_be_bytes([*t0, *t1, *t2, *t3]),
                _ => timestamp_option(options),
            };
            self.payload = payload;
        }
        Some(())
    }

    #[inline]
    fn udp(&mut self, body: &'a [u8]) -> Option<()> {
        let [s0, s1, d0, d1, l0, l1, ..] = *body.first_chunk::<8>()?;
        let dst_port = u16::from_be_bytes([d0, d1]);
        if is_tunnel_port(dst_port) {
            return None;
        }
        self.transport = Transport::Udp;
        self.ports = [u16::from_be_bytes([s0, s1]), dst_port];
        (self.flags, self.seq, self.ack, self.timestamp) = (0, 0, 0, 0);
        self.payload = body.get(8..usize::from(u16::from_be_bytes([l0, l1])))?;
        Some(())
    }

    /// Any of these TCP flags is set.
    #[must_use]
    #[inline]
    pub fn has(&self, flags: u8) -> bool {
        self.flags & flags != 0
    }

    /// See [`Tcp::opens`].
    #[must_use]
    #[inline]
    pub fn opens(&self) -> bool {
        self.transport == Transport::Tcp && Tcp::opened_by(self.flags)
    }

    /// Bytes of payload on the wire.
    #[must_use]
    #[inline]
    pub fn len(&self) -> u32 {
        u32::try_from(self.payload.len()).unwrap_or(u32::MAX).wrapping_add(self.cut)
    }

    /// No payload.
    #[must_use]
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
