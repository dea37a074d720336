//! Headers around a whole frame or packet. What is inside counts; the header is kept in [`Packet::tunnels`].
//!
//! Every function here gets the packet as it is without looking inside, and is `None` (or an error) when the inside
//! makes no sense: then that packet is what counts.

use dissectors::{ParseError, Reader};

use super::internet::{ip, limit};
use super::link::{by_ethertype, ethernet, ethertype, ppp};
use super::{Packet, Tunnel, TunnelKind, Undecoded, Upper, Vlans};

/// MPLS labels in one stack that are read through.
const MAX_LABELS: u32 = 8;

const VXLAN: u16 = 4789;
/// VXLAN of Linux before the port was assigned, and still its default there.
const VXLAN_LINUX: u16 = 8472;
/// VXLAN with its generic protocol extension.
const VXLAN_GPE: u16 = 4790;
const GENEVE: u16 = 6081;

/// A UDP port that may carry a tunnel.
#[inline]
pub(super) fn is_tunnel_port(port: u16) -> bool {
    matches!(port, VXLAN | VXLAN_LINUX | VXLAN_GPE | GENEVE)
}

/// The packet inside `outer`, with nothing of its own yet. Its MACs and VLANs are those of a header further in.
///
/// `None` when there are too many tunnels around it already.
fn inside<'a>(outer: &Packet<'a>, kind: TunnelKind, key: u32) -> Option<Packet<'a>> {
    let (src, dst) = (outer.ip.map(|_| outer.src), outer.ip.map(|_| outer.dst));
    let mut tunnels = outer.tunnels;
    tunnels.push(Tunnel { kind, src, dst, key }).then(|| Packet { tunnels, ..Packet::empty(outer.cut) })
}

/// The same where the outer MACs are those of the inner packet too: MPLS and PPPoE add nothing between hosts.
fn inside_the_same_frame<'a>(outer: &Packet<'a>, kind: TunnelKind, key: u32) -> Result<Packet<'a>, Undecoded> {
    let inner = inside(outer, kind, key).ok_or(Undecoded::TooDeep)?;
    Ok(Packet { src_mac: outer.src_mac, dst_mac: outer.dst_mac, vlans: outer.vlans, ..inner })
}

/// IP in IP (RFC 2003, RFC 2473, RFC 4213), any version in any.
pub(super) fn ip_in_ip<'a>(outer: &Packet<'a>, body: &'a [u8]) -> Option<Packet<'a>> {
    ip(inside(outer, TunnelKind::IpInIp, 0)?, body).ok()
}

/// MPLS in IP (RFC 4023).
pub(super) fn mpls_in_ip<'a>(outer: &Packet<'a>, body: &'a [u8]) -> Option<Packet<'a>> {
    mpls(*outer, body).ok()
}

/// PPPoE, session stage (RFC 2516, section 4).
pub(super) fn pppoe<'a>(outer: Packet<'a>, bytes: &'a [u8]) -> Result<Packet<'a>, Undecoded> {
    let ([0x11, 0, s0, s1, l0, l1], rest) = bytes.split_first_chunk::<6>().ok_or(Undecoded::TooShort)? else {
        return Err(Undecoded::NoAddress);
    };
    let session = u16::from_be_bytes([*s0, *s1]);
    let mut inner = inside_the_same_frame(&outer, TunnelKind::Pppoe, session.into())?;
    let body = limit(&mut inner, rest, Some(u16::from_be_bytes([*l0, *l1]).into()));
    ppp(inner, body)
}

/// An MPLS label stack (RFC 3032, section 2.1) and what the first bits behind it say it carries: IP, or by a control word
/// (RFC 4385, section 3) Ethernet.
pub(super) fn mpls<'a>(outer: Packet<'a>, bytes: &'a [u8]) -> Result<Packet<'a>, Undecoded> {
    let mut rest = bytes;
    for _ in 0..MAX_LABELS {
        let (entry, behind) = rest.split_first_chunk::<4>().ok_or(Undecoded::TooShort)?;
        rest = behind;
        let entry = u32::from_be_bytes(*entry); // Label 20 bits, class 3, bottom of stack 1, time to live 8.
        if entry & 0x100 != 0 {
            let label = entry >> 12;
            let inner = inside_the_same_frame(&outer, TunnelKind::Mpls, label)?;
            return match rest {
                [first, ..] if matches!(first >> 4, 4 | 6) => ip(inner, rest),
                [first, _, _, _, frame @ ..] if first >> 4 == 0 => {
                    let bare = Packet { vlans: Vlans::default(), ..inner };
                    ethernet(bare, frame)
                }
                _ => Err(Undecoded::NoAddress),
            };
        }
    }
    Err(Undecoded::TooDeep)
}

/// GRE (RFC 2784, RFC 2890), NVGRE (RFC 7637), ERSPAN (draft-foschiano-erspan) and the PPP of PPTP (RFC 2637).
pub(super) fn gre<'a>(outer: &Packet<'a>, body: &'a [u8]) -> Option<Packet<'a>> {
    let header = Gre::read(body).ok()?;
    let tunnel = |kind, key| inside(outer, kind, key);
    let (plain, bytes) = (|| tunnel(TunnelKind::Gre, header.key), header.payload);
    match (header.version, header.protocol) {
        (0, 0x88BE) if !header.sequence => ethernet(tunnel(TunnelKind::Erspan, 0)?, bytes).ok(),
        (0, 0x88BE | 0x22EB) => {
            let mirrored = Erspan::read(bytes)?;
            let inner = tunnel(TunnelKind::Erspan, mirrored.session)?;
            if mirrored.is_ip { ip(inner, mirrored.frame).ok() } else { ethernet(inner, mirrored.frame).ok() }
        }
        (0, ethertype::TRANSPARENT_ETHERNET) => ethernet(plain()?, bytes).ok(),
        (0, ethertype::IPV4 | ethertype::IPV6) => ip(plain()?, bytes).ok(),
        (0, ethertype::MPLS | ethertype::MPLS_MULTICAST) => mpls(plain()?, bytes).ok(),
        (1, ethertype::PPP) => ppp(plain()?, bytes).ok(),
        _ => None,
    }
}

/// A GRE header. Big-endian; its optional fields are there by flags.
struct Gre<'a> {
    version: u16,
    protocol: u16,
    key: u32,
    sequence: bool,
    payload: &'a [u8],
}

impl<'a> Gre<'a> {
    fn read(bytes: &'a [u8]) -> Result<Self, ParseError> {
        let mut r = Reader::new(bytes);
        let flags = r.be16("GRE flags")?;
        let protocol = r.be16("GRE protocol")?;
        let has = |flag| flags & flag != 0;
        // Checksum or routing present: both fields of that word are (RFC 1701). Source routes themselves are not read.
        if has(0xC000) {
            r.be32("GRE checksum and offset")?;
        }
        let key = if has(0x2000) { r.be32("GRE key")? } else { 0 };
        if has(0x1000) {
            r.be32("GRE sequence number")?;
        }
        if has(0x0080) && flags & 7 == 1 {
            r.be32("GRE acknowledgment number")?;
        }
        Ok(Self { version: flags & 7, protocol, key, sequence: has(0x1000), payload: r.rest() })
    }
}

/// What an ERSPAN header says of the mirrored frame behind it.
struct Erspan<'a> {
    session: u32,
    /// The frame has no Ethernet header.
    is_ip: bool,
    frame: &'a [u8],
}

impl<'a> Erspan<'a> {
    /// Type II (draft-foschiano-erspan, section 4.2) or III (section 4.3). `None` when it is cut or the frame is of
    /// another kind.
    fn read(bytes: &'a [u8]) -> Option<Self> {
        let mut r = Reader::new(bytes);
        let first = r.be32("ERSPAN version, VLAN and session").ok()?;
        let session = first & 0x3FF;
        if first >> 28 != 2 {
            r.be32("ERSPAN II index").ok()?;
            return Some(Self { session, is_ip: false, frame: r.rest() });
        }
        r.be32("ERSPAN III time").ok()?;
        r.be16("ERSPAN III security group").ok()?;
        // P 1 bit, frame type 5, hardware 6, direction 1, unit of time 2, O 1.
        let last = r.be16("ERSPAN III frame type and flags").ok()?;
        let frame_type = last >> 10 & 0x1F;
        // Some switches send type 7: Ethernet, behind a platform sub-header that the O bit does not tell of (unofficial;
        // seen in tcpdump's tests).
        if last & 1 == 1 || frame_type == 7 {
            r.bytes("ERSPAN III platform sub-header", 8).ok()?;
        }
        matches!(frame_type, 0 | 2 | 7).then(|| Self { session, is_ip: frame_type == 2, frame: r.rest() })
    }
}

/// What stands behind a UDP header, when its port is one of a tunnel and its bytes are too.
pub(super) fn udp_tunnel<'a>(outer: &Packet<'a>, dst_port: u16) -> Option<Packet<'a>> {
    match dst_port {
        VXLAN | VXLAN_LINUX | VXLAN_GPE => vxlan(outer),
        GENEVE => geneve(outer),
        _ => None,
    }
}

/// VXLAN (RFC 7348, section 5), its group policy extension, and its generic protocol extension
/// (draft-ietf-nvo3-vxlan-gpe, section 3), which names what is inside.
///
/// A receiver ignores the reserved bits. But the port may be a client's by chance, so where they are set, what is inside
/// must prove itself.
fn vxlan<'a>(outer: &Packet<'a>) -> Option<Packet<'a>> {
    const INSTANCE: u8 = 0x08;
    const GROUP_POLICY: u8 = 0x80;
    const NEXT_PROTOCOL: u8 = 0x04;
    let ([flags, spare @ .., next, v0, v1, v2, reserved], bytes) = outer.payload.split_first_chunk::<8>()?;
    if flags & INSTANCE == 0 {
        return None;
    }
    let inner = inside(outer, TunnelKind::Vxlan, u32::from_be_bytes([0, *v0, *v1, *v2]))?;
    let inner = match (flags & NEXT_PROTOCOL, next) {
        (NEXT_PROTOCOL, 1 | 2) => ip(inner, bytes),
        _ => ethernet(inner, bytes),
    };
    let inner = inner.ok()?;
    // Both extensions give a meaning to the bytes between.
    let reserved_between = flags & (GROUP_POLICY | NEXT_PROTOCOL) != 0 || (*spare, *next) == ([0; 2], 0);
    let clean = flags & !(INSTANCE | GROUP_POLICY) == 0 && *reserved == 0 && reserved_between;
    (clean || inner.ip.is_some() || matches!(inner.upper, Upper::Arp(_))).then_some(inner)
}

/// GENEVE (RFC 8926, section 3.4): version 2 bits, length of options in words 6, flags 2, reserved 6, EtherType 16, VNI 24,
/// reserved 8.
fn geneve<'a>(outer: &Packet<'a>) -> Option<Packet<'a>> {
    let (head, rest) = outer.payload.split_first_chunk::<8>()?;
    let [words @ 0..=0x3F, flags, t0, t1, v0, v1, v2, 0] = *head else { return None };
    if flags & 0x3F != 0 {
        return None;
    }
    let bytes = rest.get(usize::from(words) * 4..)?;
    let inner = inside(outer, TunnelKind::Geneve, u32::from_be_bytes([0, v0, v1, v2]))?;
    match u16::from_be_bytes([t0, t1]) {
        ethertype::TRANSPARENT_ETHERNET => ethernet(inner, bytes).ok(),
        ethertype @ (ethertype::IPV4 | ethertype::IPV6) => by_ethertype(inner, ethertype, bytes).ok(),
        _ => None,
    }
}
