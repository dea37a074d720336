//! Addresses of hosts: IPv4, IPv6 or, where there is no IP, the MAC address. Small, ordered, and a good key.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// An EUI-48 MAC address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mac(pub [u8; 6]);

impl Mac {
    /// The broadcast address.
    pub const BROADCAST: Self = Self([0xFF; 6]);

    /// Multicast or broadcast: never a host's own.
    #[must_use]
    #[inline]
    pub fn is_group(self) -> bool {
        self.0[0] & 1 == 1
    }

    /// Set by software, not by the maker (second-lowest bit of the first byte, IEEE 802, section 8.4).
    #[must_use]
    pub fn is_local(self) -> bool {
        self.0[0] & 2 == 2
    }

    /// All zero: no address at all.
    #[must_use]
    pub fn is_zero(self) -> bool {
        self.0 == [0; 6]
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl FromStr for Mac {
    type Err = &'static str;

    /// `00:1b:21:aa:00:02`, also with `-`, in either case.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut bytes = [0; 6];
        let mut parts = text.split([':', '-']);
        for byte in &mut bytes {
            let part =
                parts.next().filter(|p| p.len() == 2).ok_or("a MAC address is six bytes, like 00:1b:21:aa:00:02")?;
            *byte = u8::from_str_radix(part, 16).map_err(|_| "a MAC address is written in hex digits")?;
        }
        if parts.next().is_some() { Err("a MAC address is six bytes, like 00:1b:21:aa:00:02") } else { Ok(Self(bytes)) }
    }
}

/// The address of a host: IP, or MAC where a frame carries no IP.
///
/// An IPv4-mapped IPv6 address is the IPv4 address. 17 bytes without padding, ordered by kind and value.
#[derive(Clone, Copy)]
pub struct Address {
    kind: Kind,
    bytes: [u8; 16],
}

impl PartialEq for Address {
    #[inline]
    fn eq(&self, other: &Self) -> bool {
        // As one number: the comparison of byte slices is a call.
        self.kind == other.kind && u128::from_ne_bytes(self.bytes) == u128::from_ne_bytes(other.bytes)
    }
}

impl Eq for Address {}

impl Ord for Address {
    #[inline]
    fn cmp(&self, other: &Self) -> Ordering {
        let number = |address: &Self| (address.kind, u128::from_be_bytes(address.bytes));
        number(self).cmp(&number(other))
    }
}

impl PartialOrd for Address {
    #[inline]
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
enum Kind {
    V4,
    V6,
    Mac,
}

impl Address {
    /// IPv4 0.0.0.0: no address yet.
    pub const UNSPECIFIED: Self = Self { kind: Kind::V4, bytes: [0; 16] };

    /// From the four bytes of an IPv4 header.
    #[must_use]
    #[inline]
    pub fn v4(octets: [u8; 4]) -> Self {
        let mut bytes = [0; 16];
        bytes[..4].copy_from_slice(&octets);
        Self { kind: Kind::V4, bytes }
    }

    /// From the sixteen bytes of an IPv6 header.
    #[must_use]
    #[inline]
    pub fn v6(octets: [u8; 16]) -> Self {
        match Ipv6Addr::from(octets).to_ipv4_mapped() {
            Some(v4) => Self::v4(v4.octets()),
            None => Self { kind: Kind::V6, bytes: octets },
        }
    }

    /// From a MAC address.
    #[must_use]
    #[inline]
    pub fn mac(mac: Mac) -> Self {
        let mut bytes = [0; 16];
        bytes[..6].copy_from_slice(&mac.0);
        Self { kind: Kind::Mac, bytes }
    }

    /// The IP address, if it is one.
    #[must_use]
    pub fn ip(&self) -> Option<IpAddr> {
        match self.kind {
            Kind::V4 => {
                let [a, b, c, d, ..] = self.bytes;
                Some(Ipv4Addr::new(a, b, c, d).into())
            }
            Kind::V6 => Some(Ipv6Addr::from(self.bytes).into()),
            Kind::Mac => None,
        }
    }

    /// The MAC address, if it is one.
    #[must_use]
    pub fn as_mac(&self) -> Option<Mac> {
        let [a, b, c, d, e, f, ..] = self.bytes;
        (self.kind == Kind::Mac).then_some(Mac([a, b, c, d, e, f]))
    }

    /// All of it as two words, for hashing: unequal addresses differ. The second is 0 for IPv4.
    #[must_use]
    #[inline]
    pub fn words(&self) -> [u64; 2] {
        let (high, low) = self.bytes.split_at(8);
        let word = |half: &[u8]| half.try_into().map_or(0, u64::from_le_bytes);
        // Bytes 4 to 15 of an IPv4 and 6 to 15 of a MAC address are 0, so the kind fits above them.
        match self.kind {
            Kind::V6 => [word(high), word(low)],
            kind => [word(high) | (kind as u64) << 56, 0],
        }
    }

    /// A number that differs for different addresses nearly always: for sharding, not for security.
    #[must_use]
    #[inline]
    pub fn mix(&self) -> u64 {
        let [high, low] = self.words();
        (high ^ low.rotate_left(29)).wrapping_mul(0x9E37_79B9_7F4A_7C15)
    }

    /// Broadcast or multicast of IP (RFC 1112, RFC 4291, 255.255.255.255) or of Ethernet. A subnet's own broadcast
    /// address is not told by its form.
    #[must_use]
    pub fn is_group(&self) -> bool {
        match self.ip() {
            Some(IpAddr::V4(v4)) => v4.is_multicast() || v4.is_broadcast(),
            Some(IpAddr::V6(v6)) => v6.is_multicast(),
            None => self.as_mac().is_some_and(Mac::is_group),
        }
    }

    /// An address of the internet: one that is routed there, or reserved for documentation, where it stands for such an
    /// address in examples and tests. Private, shared (RFC 6598), local and special ones (RFC 6890), groups and MAC
    /// addresses are not.
    #[must_use]
    pub fn is_public(&self) -> bool {
        match self.ip() {
            Some(IpAddr::V4(v4)) => {
                let [a, b, c, _] = v4.octets();
                let shared = a == 100 && (64..128).contains(&b); // RFC 6598, carrier-grade NAT.
                let protocol = (a, b, c) == (192, 0, 0); // RFC 6890.
                let benchmark = a == 198 && (18..20).contains(&b); // RFC 2544.
                let kept = a == 0 || a >= 240 || v4.is_multicast() || shared || protocol || benchmark;
                !(kept || v4.is_private() || v4.is_loopback() || v4.is_link_local())
            }
            // 2000::/3 is all that is globally routed (RFC 4291, 2.4); ULA, link-local, multicast and :: lie outside.
            Some(IpAddr::V6(v6)) => v6.segments()[0] & 0xE000 == 0x2000,
            None => false,
        }
    }

    /// 0.0.0.0, :: or 00:00:00:00:00:00: no host.
    #[must_use]
    pub fn is_unspecified(&self) -> bool {
        self.bytes == [0; 16]
    }
}

// One or two wide writes instead of seventeen bytes and their length: most tables have addresses in their keys.
impl Hash for Address {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let [first, second] = self.words();
        state.write_u64(first);
        if second != 0 {
            state.write_u64(second);
        }
    }
}

impl From<IpAddr> for Address {
    fn from(ip: IpAddr) -> Self {
        match ip {
            IpAddr::V4(v4) => Self::v4(v4.octets()),
            IpAddr::V6(v6) => Self::v6(v6.octets()),
        }
    }
}

impl From<Mac> for Address {
    fn from(mac: Mac) -> Self {
        Self::mac(mac)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.ip(), self.as_mac()) {
            (Some(ip), _) => ip.fmt(f),
            (None, Some(mac)) => mac.fmt(f),
            (None, None) => f.write_str("?"),
        }
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Address {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Ok(ip) = text.parse::<IpAddr>() {
            return Ok(ip.into());
        }
        text.parse::<Mac>().map(Self::mac).map_err(|_| "not an IPv4, IPv6 or MAC address")
    }
}

/// Tells equal addresses in different machine cells apart. One sensor has one realm unless its config declares more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Realm(pub u16);

/// A host as the tables know it: an address in its realm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Host {
    /// Which of several networks with the same numbers.
    pub realm: Realm,
    /// Its address there.
    pub address: Address,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_round_trips_and_mapped_is_v4() {
        for (text, want) in [
            ("10.20.2.10", "10.20.2.10"),
            ("::ffff:10.20.2.10", "10.20.2.10"),
            ("fd00::1", "fd00::1"),
            ("00-1B-21-AA-00-02", "00:1b:21:aa:00:02"),
        ] {
            assert_eq!(text.parse::<Address>().unwrap().to_string(), want);
        }
        assert!("10.20.2".parse::<Address>().is_err() && "00:1b:21:aa:00".parse::<Address>().is_err());
        assert_eq!(size_of::<Address>(), 17);
    }

    #[test]
    fn public() {
        for (address, want) in [
            ("8.8.8.8", true),
            ("141.81.0.10", true),
            ("192.0.2.1", true),
            ("198.51.100.1", true),
            ("203.0.113.9", true),
            ("2a00::1", true),
            ("2001:db8::1", true),
            ("0.0.0.0", false),
            ("10.1.1.1", false),
            ("172.31.0.1", false),
            ("192.168.1.1", false),
            ("100.64.0.1", false),
            ("127.0.0.1", false),
            ("169.254.1.1", false),
            ("192.0.0.8", false),
            ("198.18.0.1", false),
            ("224.0.0.1", false),
            ("240.0.0.1", false),
            ("255.255.255.255", false),
            ("::1", false),
            ("fe80::1", false),
            ("fd00::1", false),
            ("ff02::1", false),
            ("00:1b:21:aa:00:02", false),
        ] {
            assert_eq!(address.parse::<Address>().unwrap().is_public(), want, "{address}");
        }
    }

    #[test]
    fn groups() {
        for (text, want) in [
            ("239.1.2.3", true),
            ("255.255.255.255", true),
            ("ff02::1", true),
            ("01:0e:cf:00:00:00", true),
            ("10.1.1.1", false),
        ] {
            assert_eq!(text.parse::<Address>().unwrap().is_group(), want, "{text}");
        }
    }
}
