//! IP and what stands directly on it.

use etherparse::{
    IpAuthHeaderSlice, Ipv4HeaderSlice, Ipv6FragmentHeaderSlice, Ipv6HeaderSlice, Ipv6RawExtHeaderSlice,
    TcpHeaderSlice, UdpHeaderSlice,
};

use super::encapsulation::{gre, ip_in_ip, mpls_in_ip, udp_tunnel};
use super::{Fragment, Ip, Packet, Tcp, Undecoded, Upper};
use crate::address::Address;

/// IPv6 extension headers, or authentication headers, that are read through.
const MAX_EXTENSIONS: u32 = 8;

/// Protocol numbers (IANA, "Assigned Internet Protocol Numbers").
mod number {
    pub(super) const HOP_BY_HOP: u8 = 0;
    pub(super) const ICMP: u8 = 1;
    pub(super) const IPV4: u8 = 4;
    pub(super) const TCP: u8 = 6;
    pub(super) const UDP: u8 = 17;
    pub(super) const IPV6: u8 = 41;
    pub(super) const ROUTING: u8 = 43;
    pub(super) const FRAGMENT: u8 = 44;
    pub(super) const GRE: u8 = 47;
    pub(super) const AUTHENTICATION: u8 = 51;
    pub(super) const ICMPV6: u8 = 58;
    pub(super) const DESTINATION: u8 = 60;
    pub(super) const MOBILITY: u8 = 135;
    pub(super) const MPLS: u8 = 137;
    pub(super) const HIP: u8 = 139;
    pub(super) const SHIM6: u8 = 140;
}

/// IPv4 or IPv6, by the version in its first byte.
pub(super) fn ip<'a>(packet: Packet<'a>, bytes: &'a [u8]) -> Result<Packet<'a>, Undecoded> {
    match bytes.first().map(|first| first >> 4) {
        Some(4) => ipv4(packet, bytes),
        Some(6) => ipv6(packet, bytes),
        _ => Err(Undecoded::BadIpHeader),
    }
}

/// IPv4 (RFC 791).
pub(super) fn ipv4<'a>(mut packet: Packet<'a>, bytes: &'a [u8]) -> Result<Packet<'a>, Undecoded> {
    let header = Ipv4HeaderSlice::from_slice(bytes).map_err(|_| Undecoded::BadIpHeader)?;
    let head = header.slice().len();
    let total = usize::from(header.total_len());
    // A length of 0 is what segmentation offload leaves: the packet is as long as the frame.
    if total != 0 && total < head {
        return Err(Undecoded::BadIpHeader);
    }
    packet.src = Address::v4(header.source());
    packet.dst = Address::v4(header.destination());
    let length = (total != 0).then(|| total - head);
    let mut body = limit(&mut packet, bytes.get(head..).unwrap_or(&[]), length);
    let mut protocol = header.protocol().0;
    let offset = u32::from(header.fragments_offset().value()) * 8; // 13 bits.
    let more = header.more_fragments();
    let fragment = (more || offset > 0).then_some(Fragment { offset, more });
    if fragment.is_none() {
        for _ in 0..MAX_EXTENSIONS {
            let Some((next, behind)) = authentication(protocol, body) else { break };
            (protocol, body) = (next, behind);
        }
    }
    let dscp = header.dcp().value();
    let ip = Ip { ttl: header.ttl(), id: header.identification().into(), protocol, dscp, fragment };
    packet.ip = Some(ip);
    Ok(by_protocol(packet, ip, body))
}

/// IPv6 (RFC 8200).
pub(super) fn ipv6<'a>(mut packet: Packet<'a>, bytes: &'a [u8]) -> Result<Packet<'a>, Undecoded> {
    let header = Ipv6HeaderSlice::from_slice(bytes).map_err(|_| Undecoded::BadIpHeader)?;
    packet.src = Address::v6(header.source());
    packet.dst = Address::v6(header.destination());
    // 0 with segmentation offload, and with a jumbo payload (RFC 2675), whose option has the length.
    let length = Some(usize::from(header.payload_length())).filter(|length| *length != 0);
    let mut body = limit(&mut packet, bytes.get(header.slice().len()..).unwrap_or(&[]), length);
    let mut protocol = header.next_header().0;
    let dscp = header.dscp().value();
    let mut ip = Ip { ttl: header.hop_limit(), id: 0, protocol, dscp, fragment: None };
    for _ in 0..MAX_EXTENSIONS {
        let next = match protocol {
            number::HOP_BY_HOP
            | number::ROUTING
            | number::DESTINATION
            | number::MOBILITY
            | number::HIP
            | number::SHIM6 => Ipv6RawExtHeaderSlice::from_slice(body)
                .ok()
                .map(|extension| (extension.next_header().0, extension.slice().len())),
            number::FRAGMENT => Ipv6FragmentHeaderSlice::from_slice(body).ok().map(|extension| {
                ip.id = extension.identification();
                if extension.is_fragmenting_payload() {
                    let offset = u32::from(extension.fragment_offset().value()) * 8; // 13 bits.
                    ip.fragment = Some(Fragment { offset, more: extension.more_fragments() });
                }
                (extension.next_header().0, extension.slice().len())
            }),
            _ => authentication(protocol, body).map(|(next, behind)| (next, body.len() - behind.len())),
        };
        let Some((next, length)) = next else { break };
        protocol = next;
        body = body.get(length..).unwrap_or(&[]);
        if ip.fragment.is_some() {
            break; // What follows is a part of something.
        }
    }
    ip.protocol = protocol;
    packet.ip = Some(ip);
    Ok(by_protocol(packet, ip, body))
}

/// What an authentication header (RFC 4302) stands before.
fn authentication(protocol: u8, body: &[u8]) -> Option<(u8, &[u8])> {
    let header = (protocol == number::AUTHENTICATION).then(|| IpAuthHeaderSlice::from_slice(body).ok())??;
    Some((header.next_header().0, body.get(header.slice().len()..)?))
}

/// The first `length` bytes, or all without a length; sets how many of them the snap length cut off. Before, the packet
/// says how many are missing at the end of `bytes`.
pub(super) fn limit<'a>(packet: &mut Packet<'a>, bytes: &'a [u8], length: Option<usize>) -> &'a [u8] {
    let Some(length) = length else { return bytes };
    match bytes.get(..length) {
        Some(whole) => {
            packet.cut = 0;
            whole
        }
        None => {
            // More than the frame had was never sent, whatever the header says.
            packet.cut = packet.cut.min(u32::try_from(length - bytes.len()).unwrap_or(u32::MAX));
            bytes
        }
    }
}

/// What stands on IP. The packet has addresses and IP header, and says how many bytes are missing behind `body`.
pub(super) fn by_protocol<'a>(mut packet: Packet<'a>, ip: Ip, body: &'a [u8]) -> Packet<'a> {
    packet.upper = Upper::Ip(ip.protocol);
    packet.payload = body;
    if ip.fragment.is_some() {
        return packet;
    }
    let inner = match ip.protocol {
        number::TCP => return tcp(packet, body),
        number::UDP => return udp(packet, body),
        number::ICMP | number::ICMPV6 => return icmp(packet, ip, body),
        number::IPV4 | number::IPV6 => ip_in_ip(&packet, body),
        number::GRE => gre(&packet, body),
        number::MPLS => mpls_in_ip(&packet, body),
        _ => None,
    };
    inner.unwrap_or(packet)
}

/// TCP (RFC 9293, section 3.1); with a header that is cut or wrong, a packet of IP protocol 6.
fn tcp<'a>(mut packet: Packet<'a>, body: &'a [u8]) -> Packet<'a> {
    let Ok(header) = TcpHeaderSlice::from_slice(body) else { return packet };
    packet.upper = Upper::Tcp(Tcp {
        src_port: header.source_port(),
        dst_port: header.destination_port(),
        seq: header.sequence_number(),
        ack: header.acknowledgment_number(),
        flags: header.slice().get(13).copied().unwrap_or(0),
        timestamp: timestamp_option(header.options()),
    });
    packet.payload = body.get(header.slice().len()..).unwrap_or(&[]);
    packet
}

/// UDP (RFC 768), and the tunnels on its ports.
fn udp<'a>(mut packet: Packet<'a>, body: &'a [u8]) -> Packet<'a> {
    let Ok(header) = UdpHeaderSlice::from_slice(body) else { return packet };
    let dst_port = header.destination_port();
    packet.upper = Upper::Udp { src_port: header.source_port(), dst_port };
    // A length below that of the header says nothing: 0 with segmentation offload and in jumbograms (RFC 2675).
    let length = usize::from(header.length()).checked_sub(header.slice().len());
    packet.payload = limit(&mut packet, body.get(header.slice().len()..).unwrap_or(&[]), length);
    udp_tunnel(&packet, dst_port).unwrap_or(packet)
}

/// ICMP (RFC 792) on IPv4, ICMPv6 (RFC 4443) on IPv6: type, code, checksum, body.
fn icmp<'a>(mut packet: Packet<'a>, ip: Ip, body: &'a [u8]) -> Packet<'a> {
    let v6 = ip.protocol == number::ICMPV6;
    if let Some(([kind, code, _, _], rest)) = body.split_first_chunk::<4>() {
        packet.upper = Upper::Icmp { kind: *kind, code: *code, v6 };
        packet.payload = rest;
    }
    packet
}

/// TSval of the timestamps option (RFC 7323, section 3.2), 0 without it.
#[inline]
pub(super) fn timestamp_option(mut options: &[u8]) -> u32 {
    // Each option moves on by a byte at least, and there are at most 40.
    loop {
        match options {
            [8, 10, t0, t1, t2, t3, _, _, _, _, ..] => return u32::from_be_bytes([*t0, *t1, *t2, *t3]),
            [1, rest @ ..] => options = rest,
            // End of the list, a length that cannot be, or one that leads out of it.
            [] | [0, ..] | [_] | [_, 0 | 1, ..] => return 0,
            [_, length, ..] => options = options.get(usize::from(*length)..).unwrap_or(&[]),
        }
    }
}
