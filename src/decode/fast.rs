//! The short way: Ethernet with at most one 802.1Q tag, IPv4 or IPv6 without options, extension headers, fragments or
//! tunnels, TCP or UDP, all whole. Anything else is `None` and goes the long way, which gives the same for these.

use super::encapsulation::is_tunnel_port;
use super::internet::timestamp_option;
use super::{Ip, Packet, Tcp, Tunnels, Upper, Vlans};
use crate::address::{Address, Mac};
use crate::source::Frame;

#[inline]
pub(super) fn ethernet<'a>(frame: &Frame<'a>) -> Option<Packet<'a>> {
    let (head, mut rest) = frame.bytes.split_first_chunk::<14>()?;
    let [d0, d1, d2, d3, d4, d5, s0, s1, s2, s3, s4, s5, mut t0, mut t1] = *head;
    let mut vlans = Vlans::default();
    if [t0, t1] == [0x81, 0x00] {
        let ([id0, id1, inner0, inner1], inner) = rest.split_first_chunk::<4>()?;
        vlans.push(u16::from_be_bytes([*id0, *id1]));
        (t0, t1, rest) = (*inner0, *inner1, inner);
    }
    let (src, dst, ttl, id, protocol, body);
    match [t0, t1] {
        [0x08, 0x00] => {
            let [version, _, l0, l1, i0, i1, f0, f1, time, number, _, _, a, b, c, d, e, f, g, h] =
                *rest.first_chunk()?;
            // Five words of header; neither "more fragments" nor an offset.
            if version != 0x45 || u16::from_be_bytes([f0, f1]) & 0x3FFF != 0 {
                return None;
            }
            body = rest.get(20..usize::from(u16::from_be_bytes([l0, l1])))?;
            (src, dst) = (Address::v4([a, b, c, d]), Address::v4([e, f, g, h]));
            (ttl, id, protocol) = (time, u16::from_be_bytes([i0, i1]).into(), number);
        }
        [0x86, 0xDD] => {
            let (head, behind) = rest.split_first_chunk::<40>()?;
            let ([version, _, _, _, l0, l1, next, hops], addresses) = head.split_first_chunk::<8>()?;
            let length = usize::from(u16::from_be_bytes([*l0, *l1]));
            if version >> 4 != 6 || length == 0 {
                return None;
            }
            let (from, to) = addresses.split_first_chunk::<16>()?;
            body = behind.get(..length)?;
            (src, dst) = (Address::v6(*from), Address::v6(*to.first_chunk()?));
            (ttl, id, protocol) = (*hops, 0, *next);
        }
        _ => return None,
    }
    let (upper, payload) = match protocol {
        6 => tcp(body)?,
        17 => udp(body)?,
        _ => return None,
    };
    Some(Packet {
        src,
        dst,
        src_mac: Some(Mac([s0, s1, s2, s3, s4, s5])),
        dst_mac: Some(Mac([d0, d1, d2, d3, d4, d5])),
        vlans,
        ip: Some(Ip { ttl, id, protocol, fragment: None }),
        upper,
        payload,
        cut: 0,
        tunnels: Tunnels::default(),
    })
}

#[inline]
fn tcp(body: &[u8]) -> Option<(Upper, &[u8])> {
    let (head, behind) = body.split_first_chunk::<20>()?;
    let [s0, s1, d0, d1, q0, q1, q2, q3, a0, a1, a2, a3, words, flags, ..] = *head;
    let options = (usize::from(words >> 4) * 4).checked_sub(20)?;
    let (options, payload) = behind.split_at_checked(options)?;
    let tcp = Tcp {
        src_port: u16::from_be_bytes([s0, s1]),
        dst_port: u16::from_be_bytes([d0, d1]),
        seq: u32::from_be_bytes([q0, q1, q2, q3]),
        ack: u32::from_be_bytes([a0, a1, a2, a3]),
        flags,
        timestamp: timestamp_option(options),
    };
    Some((Upper::Tcp(tcp), payload))
}

#[inline]
fn udp(body: &[u8]) -> Option<(Upper, &[u8])> {
    let [s0, s1, d0, d1, l0, l1, ..] = *body.first_chunk::<8>()?;
    let dst_port = u16::from_be_bytes([d0, d1]);
    if is_tunnel_port(dst_port) {
        return None;
    }
    let payload = body.get(8..usize::from(u16::from_be_bytes([l0, l1])))?;
    Some((Upper::Udp { src_port: u16::from_be_bytes([s0, s1]), dst_port }, payload))
}
