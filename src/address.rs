//! Addresses of hosts: IPv4, IPv6 or, where there is no IP, the MAC address. Small, ordered, and a good key.

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
        // Addresses are written by the million: not digit by digit through the formatter.
        let digit = |four: u8| if four < 10 { b'0' + four } else { b'a' - 10 + four };
        let mut text = [b':'; 17];
        for (digits, byte) in text.chunks_mut(3).zip(self.0) {
            if let [high, low, ..] = digits {
                (*high, *low) = (digit(byte >> 4), digit(byte & 15));
            }
        }
        f.write_str(std::str::from_utf8(&text).unwrap_or_default())
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
/// Each is an IPv6 number, so that two words tell all of them apart and order them: IPv4 where RFC 4291 (2.5.5.2) maps
/// it, so that a mapped address is the IPv4 address, and MAC in ffff:ffff:ffff:ffff:ffff::/80. That is a multicast
/// address of reserved flags and scope, to which nobody may send (RFC 4291, 2.7); what comes with one all the same
/// counts as its neighbour in ffff:ffff:ffff:ffff:fffe::/80.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Address {
    high: u64,
    low: u64,
}

/// Above an IPv4 address in the lower word.
const V4: u64 = 0xFFFF << 32;
/// Above a MAC address in the lower word; the upper one is all ones.
const MAC: u64 = 0xFFFF << 48;

impl Address {
    /// IPv4 0.0.0.0: no address yet.
    pub const UNSPECIFIED: Self = Self { high: 0, low: V4 };

    /// From the four bytes of an IPv4 header.
    #[must_use]
    #[inline]
    pub fn v4(octets: [u8; 4]) -> Self {
        Self { high: 0, low: V4 | u64::from(u32::from_be_bytes(octets)) }
    }

    /// From the sixteen bytes of an IPv6 header.
    #[must_use]
    #[inline]
    pub fn v6(octets: [u8; 16]) -> Self {
        let number = u128::from_be_bytes(octets);
        let address = Self { high: (number >> 64) as u64, low: number as u64 }; // The two halves.
        if address.is_mac() { Self { low: address.low ^ 1 << 48, ..address } } else { address }
    }

    /// From a MAC address.
    #[must_use]
    #[inline]
    pub fn mac(Mac([a, b, c, d, e, f]): Mac) -> Self {
        Self { high: u64::MAX, low: MAC | u64::from_be_bytes([0, 0, a, b, c, d, e, f]) }
    }

    #[inline]
    fn is_v4(&self) -> bool {
        self.high == 0 && self.low >> 32 == V4 >> 32
    }

    #[inline]
    fn is_mac(&self) -> bool {
        self.high == u64::MAX && self.low >= MAC
    }

    /// The IP address, if it is one.
    #[must_use]
    pub fn ip(&self) -> Option<IpAddr> {
        if self.is_mac() {
            return None;
        }
        let v4 = self.low as u32; // The lower half, below the mark.
        let v6 = u128::from(self.high) << 64 | u128::from(self.low);
        Some(if self.is_v4() { Ipv4Addr::from(v4).into() } else { Ipv6Addr::from(v6).into() })
    }

    /// The MAC address, if it is one.
    #[must_use]
    pub fn as_mac(&self) -> Option<Mac> {
        let [_, _, a, b, c, d, e, f] = self.low.to_be_bytes();
        self.is_mac().then_some(Mac([a, b, c, d, e, f]))
    }

    /// All of it as two words, for hashing: unequal addresses differ.
    #[must_use]
    #[inline]
    pub fn words(&self) -> [u64; 2] {
        [self.low, self.high]
    }

    /// A number that differs for different addresses nearly always: for sharding, not for security.
    #[must_use]
    #[inline]
    pub fn mix(&self) -> u64 {
        (self.high.rotate_left(29) ^ self.low).wrapping_mul(0x9E37_79B9_7F4A_7C15)
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
        [0, V4].contains(&self.low) && self.high == 0 || self.low == MAC && self.is_mac()
    }
}

// One word for IPv4: most tables have addresses in their keys.
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
            ("ff:ff:ff:ff:ff:ff", "ff:ff:ff:ff:ff:ff"),
            ("00:00:00:00:00:00", "00:00:00:00:00:00"),
            ("255.255.255.255", "255.255.255.255"),
            ("::", "::"),
            ("::1", "::1"),
            ("ffff:ffff:ffff:ffff:fffe:1:2:3", "ffff:ffff:ffff:ffff:fffe:1:2:3"),
            // Nobody may have it: see `Address`.
            ("ffff:ffff:ffff:ffff:ffff:1:2:3", "ffff:ffff:ffff:ffff:fffe:1:2:3"),
        ] {
            assert_eq!(text.parse::<Address>().unwrap().to_string(), want);
        }
        assert!("10.20.2".parse::<Address>().is_err() && "00:1b:21:aa:00".parse::<Address>().is_err());
        assert_eq!(size_of::<Address>(), 16);
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
