//! From the first byte of a frame to its network layer: link types, VLAN tags, LLC, PPP, ARP.

use dissectors::Reader;
use etherparse::ArpPacketSlice;

use super::encapsulation::{mpls, pppoe};
use super::internet::{ip, ipv4, ipv6};
use super::{Arp, Packet, Undecoded, Upper};
use crate::address::{Address, Mac};
use crate::source::{Frame, LinkType};

/// Tags, and SNAP headers in tags, that are read through in one frame. No network has so many, and each costs a frame
/// of the stack.
const MAX_NEST: u32 = 16;

/// EtherTypes (IEEE registration authority, "EtherType listing") that carry what is read here.
pub(super) mod ethertype {
    pub(in crate::decode) const IPV4: u16 = 0x0800;
    pub(in crate::decode) const ARP: u16 = 0x0806;
    pub(in crate::decode) const TRANSPARENT_ETHERNET: u16 = 0x6558;
    pub(in crate::decode) const VLAN: u16 = 0x8100;
    pub(in crate::decode) const PPP: u16 = 0x880B;
    pub(in crate::decode) const IPV6: u16 = 0x86DD;
    pub(in crate::decode) const MPLS: u16 = 0x8847;
    pub(in crate::decode) const MPLS_MULTICAST: u16 = 0x8848;
    pub(in crate::decode) const PPPOE_SESSION: u16 = 0x8864;
    pub(in crate::decode) const SERVICE_VLAN: u16 = 0x88A8;
    /// Service tag before 802.1ad, still the default of some switches.
    pub(in crate::decode) const OLD_SERVICE_VLAN: u16 = 0x9100;
}

/// A frame by its link type.
pub(super) fn frame<'a>(frame: &Frame<'a>) -> Result<Packet<'a>, Undecoded> {
    let bytes = frame.bytes;
    let captured = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    let packet = Packet::empty(frame.wire_len.saturating_sub(captured));
    match frame.link {
        LinkType::ETHERNET => ethernet(packet, bytes),
        LinkType::LINUX_SLL => linux_sll(packet, bytes),
        LinkType::LINUX_SLL2 => linux_sll2(packet, bytes),
        LinkType::RAW | LinkType::RAW_12 | LinkType::RAW_14 => ip(packet, bytes),
        LinkType::IPV4 => ipv4(packet, bytes),
        LinkType::IPV6 => ipv6(packet, bytes),
        LinkType::NULL | LinkType::LOOP => null(packet, bytes),
        LinkType::PPP | LinkType::PPP_HDLC => ppp(packet, bytes),
        LinkType::PPP_ETHER => pppoe(packet, bytes),
        LinkType::C_HDLC => cisco_hdlc(packet, bytes),
        _ => Err(Undecoded::LinkType),
    }
}

/// Ethernet II or 802.3 (IEEE 802.3, section 3.1.1).
pub(super) fn ethernet<'a>(mut packet: Packet<'a>, bytes: &'a [u8]) -> Result<Packet<'a>, Undecoded> {
    let Some(([d0, d1, d2, d3, d4, d5, s0, s1, s2, s3, s4, s5, t0, t1], rest)) = bytes.split_first_chunk::<14>() else {
        return Err(Undecoded::TooShort);
    };
    let (src, dst) = (Mac([*s0, *s1, *s2, *s3, *s4, *s5]), Mac([*d0, *d1, *d2, *d3, *d4, *d5]));
    (packet.src_mac, packet.dst_mac) = (Some(src), Some(dst));
    (packet.src, packet.dst) = (src.into(), dst.into());
    type_or_length(packet, u16::from_be_bytes([*t0, *t1]), rest, 0)
}

/// What stands behind an EtherType. The packet has the addresses of the header with that type.
pub(super) fn by_ethertype<'a>(packet: Packet<'a>, ethertype: u16, bytes: &'a [u8]) -> Result<Packet<'a>, Undecoded> {
    type_or_length(packet, ethertype, bytes, 0)
}

/// Behind a type field, which is a length when it is at most 1500 (IEEE 802.3, section 3.2.6).
fn type_or_length<'a>(
    mut packet: Packet<'a>,
    ethertype: u16,
    bytes: &'a [u8],
    nest: u32,
) -> Result<Packet<'a>, Undecoded> {
    match ethertype {
        0..=1500 => llc(packet, usize::from(ethertype), bytes, nest),
        ethertype::IPV4 => ipv4(packet, bytes),
        ethertype::IPV6 => ipv6(packet, bytes),
        ethertype::ARP => Ok(arp(packet, bytes)),
        ethertype::VLAN | ethertype::SERVICE_VLAN | ethertype::OLD_SERVICE_VLAN => {
            let Some(([id0, id1, t0, t1], rest)) = bytes.split_first_chunk::<4>() else {
                return Ok(layer2(packet, Upper::Ethertype(ethertype), bytes));
            };
            if nest >= MAX_NEST {
                return Err(Undecoded::TooDeep);
            }
            packet.vlans.push(u16::from_be_bytes([*id0, *id1]));
            type_or_length(packet, u16::from_be_bytes([*t0, *t1]), rest, nest + 1)
        }
        // Between hosts that have addresses, a tunnel that makes no sense is still their traffic.
        ethertype::PPPOE_SESSION => {
            Ok(pppoe(packet, bytes).unwrap_or_else(|_| layer2(packet, Upper::Ethertype(ethertype), bytes)))
        }
        ethertype::MPLS | ethertype::MPLS_MULTICAST => {
            Ok(mpls(packet, bytes).unwrap_or_else(|_| layer2(packet, Upper::Ethertype(ethertype), bytes)))
        }
        _ => Ok(layer2(packet, Upper::Ethertype(ethertype), bytes)),
    }
}

/// A frame between the MAC addresses that the packet has.
fn layer2<'a>(packet: Packet<'a>, upper: Upper, payload: &'a [u8]) -> Packet<'a> {
    Packet { upper, payload, ..packet }
}

/// LLC (IEEE 802.2, section 5.4) and SNAP (IEEE 802, section 9.2.3) in an 802.3 frame of `length` bytes.
fn llc<'a>(mut packet: Packet<'a>, length: usize, bytes: &'a [u8], nest: u32) -> Result<Packet<'a>, Undecoded> {
    // A length of 0 is no length; some writers of captures leave it so.
    let whole = if length == 0 { bytes.len() } else { length };
    let padded = bytes.get(..whole);
    if padded.is_some() {
        packet.cut = 0; // What was cut off is padding.
    } else {
        packet.cut = packet.cut.min(u32::try_from(whole.saturating_sub(bytes.len())).unwrap_or(u32::MAX));
    }
    let bytes = padded.unwrap_or(bytes);
    let Some(([dsap, ssap, control], rest)) = bytes.split_first_chunk::<3>() else {
        let dsap = bytes.first().copied().unwrap_or(0);
        return Ok(layer2(packet, Upper::Llc(dsap), bytes));
    };
    // Unnumbered frames have a control field of one byte, the others of two.
    let payload = if control & 3 == 3 { rest } else { rest.get(1..).unwrap_or(&[]) };
    if [*dsap, *ssap, *control] == [0xAA, 0xAA, 0x03]
        && let Some(([0, 0, 0, t0, t1], inner)) = rest.split_first_chunk::<5>()
    {
        if nest >= MAX_NEST {
            return Err(Undecoded::TooDeep);
        }
        // An organisation of 0 says that an EtherType follows (RFC 1042).
        return match u16::from_be_bytes([*t0, *t1]) {
            0..=1500 => Ok(layer2(packet, Upper::Llc(*dsap), payload)),
            ethertype => type_or_length(packet, ethertype, inner, nest + 1),
        };
    }
    Ok(layer2(packet, Upper::Llc(*dsap), payload))
}

/// ARP for IPv4 over Ethernet (RFC 826); of other networks an EtherType as any.
fn arp<'a>(packet: Packet<'a>, bytes: &'a [u8]) -> Packet<'a> {
    let read = || {
        let arp = ArpPacketSlice::from_slice(bytes).ok()?;
        if (arp.hw_addr_type().0, arp.proto_addr_type().0) != (1, ethertype::IPV4) {
            return None;
        }
        let mac = |bytes: &[u8]| bytes.try_into().ok().map(Mac);
        let ip = |bytes: &[u8]| bytes.try_into().ok().map(Address::v4);
        Some(Arp {
            operation: arp.operation().0,
            sender_mac: mac(arp.sender_hw_addr())?,
            sender_ip: ip(arp.sender_protocol_addr())?,
            target_mac: mac(arp.target_hw_addr())?,
            target_ip: ip(arp.target_protocol_addr())?,
        })
    };
    let upper = read().map_or(Upper::Ethertype(ethertype::ARP), Upper::Arp);
    layer2(packet, upper, bytes)
}

/// Linux cooked capture v1 (LINKTYPE_LINUX_SLL). Only the sender has an address in it.
fn linux_sll<'a>(packet: Packet<'a>, bytes: &'a [u8]) -> Result<Packet<'a>, Undecoded> {
    let mut r = Reader::new(bytes);
    let mut read = || {
        r.be16("packet type")?;
        r.be16("ARPHRD_ type")?;
        let length = r.be16("address length")?;
        Ok((length, r.array("address")?, r.be16("protocol")?))
    };
    let (length, address, protocol) = read().map_err(|_: dissectors::ParseError| Undecoded::TooShort)?;
    cooked(packet, length, address, protocol, r.rest())
}

/// Linux cooked capture v2 (LINKTYPE_LINUX_SLL2).
fn linux_sll2<'a>(packet: Packet<'a>, bytes: &'a [u8]) -> Result<Packet<'a>, Undecoded> {
    let mut r = Reader::new(bytes);
    let mut read = || {
        let protocol = r.be16("protocol")?;
        r.be16("reserved")?;
        r.be32("interface index")?;
        r.be16("ARPHRD_ type")?;
        r.u8("packet type")?;
        let length = r.u8("address length")?;
        Ok((length.into(), r.array("address")?, protocol))
    };
    let (length, address, protocol) = read().map_err(|_: dissectors::ParseError| Undecoded::TooShort)?;
    cooked(packet, length, address, protocol, r.rest())
}

fn cooked<'a>(
    mut packet: Packet<'a>,
    length: u16,
    address: [u8; 8],
    protocol: u16,
    bytes: &'a [u8],
) -> Result<Packet<'a>, Undecoded> {
    let [a, b, c, d, e, f, _, _] = address;
    if length == 6 {
        packet.src_mac = Some(Mac([a, b, c, d, e, f]));
    }
    packet.src = packet.src_mac.unwrap_or_default().into();
    packet.dst = Mac::default().into(); // All zero: not known.
    let packet = match protocol {
        // Linux' own numbers for frames without an EtherType: raw 802.3, and 802.2 behind it.
        1 => layer2(packet, Upper::Llc(0xFF), bytes),
        4 => llc(packet, 0, bytes, 0)?,
        0..=1500 => layer2(packet, Upper::Ethertype(protocol), bytes),
        _ => type_or_length(packet, protocol, bytes, 0)?,
    };
    if packet.ip.is_none() && packet.src_mac.is_none() { Err(Undecoded::NoAddress) } else { Ok(packet) }
}

/// BSD loopback (LINKTYPE_NULL, LINKTYPE_LOOP): an address family in the byte order of the capturing host, or in
/// network order.
fn null<'a>(packet: Packet<'a>, bytes: &'a [u8]) -> Result<Packet<'a>, Undecoded> {
    let (family, rest) = bytes.split_first_chunk::<4>().ok_or(Undecoded::TooShort)?;
    match u32::from_be_bytes(*family).min(u32::from_le_bytes(*family)) {
        2 => ipv4(packet, rest),
        // AF_INET6 of Linux, Windows, OpenBSD and NetBSD, FreeBSD, Darwin.
        10 | 23 | 24 | 28 | 30 => ipv6(packet, rest),
        _ => Err(Undecoded::NoAddress),
    }
}

/// PPP (RFC 1661, section 2), with or without its HDLC-like framing (RFC 1662, section 3.1).
pub(super) fn ppp<'a>(packet: Packet<'a>, bytes: &'a [u8]) -> Result<Packet<'a>, Undecoded> {
    let bytes = match bytes {
        [0xFF, 0x03, rest @ ..] => rest,
        bytes => bytes,
    };
    // A compressed protocol field is one byte; odd, while the first of two bytes is even.
    let (protocol, rest) = match bytes {
        [short, rest @ ..] if short & 1 == 1 => (u16::from(*short), rest),
        [high, low, rest @ ..] => (u16::from_be_bytes([*high, *low]), rest),
        _ => return Err(Undecoded::TooShort),
    };
    match protocol {
        0x0021 => ipv4(packet, rest),
        0x0057 => ipv6(packet, rest),
        0x0281 | 0x0283 => mpls(packet, rest),
        _ => Err(Undecoded::NoAddress),
    }
}

/// Cisco HDLC (LINKTYPE_C_HDLC): address, control, EtherType.
fn cisco_hdlc<'a>(packet: Packet<'a>, bytes: &'a [u8]) -> Result<Packet<'a>, Undecoded> {
    let ([_, _, t0, t1], rest) = bytes.split_first_chunk::<4>().ok_or(Undecoded::TooShort)?;
    match u16::from_be_bytes([*t0, *t1]) {
        ethertype::IPV4 => ipv4(packet, rest),
        ethertype::IPV6 => ipv6(packet, rest),
        ethertype::MPLS | ethertype::MPLS_MULTICAST => mpls(packet, rest),
        _ => Err(Undecoded::NoAddress),
    }
}
