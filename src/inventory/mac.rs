//! What a MAC address says about the hosts that were seen with it. It is the best identity there is on a segment, and
//! a trap behind a router.

use std::collections::BTreeSet;
use std::net::IpAddr;

use crate::address::{Address, Mac};
use crate::ledger::Evidence;

/// So many IPv4 addresses at one MAC are one device with several addresses (a second address on a port, a port with
/// two subnets). With more of them it is as likely a proxy, a bridge for others or a hypervisor, and to merge devices
/// that differ is the worse mistake: one of them disappears.
const MOST_ADDRESSES: usize = 2;

/// From so many addresses outside its own subnets a MAC is a router's (taxonomy, "Not an identity").
const ROUTER_ADDRESSES: usize = 3;

/// Initial TTLs: those of systems today, then those that older embedded systems still use. A packet with another TTL
/// has passed a router.
const INITIAL_TTLS: [u8; 8] = [64, 128, 255, 32, 30, 60, 100, 200];

/// Below, a TTL is a choice (multicast that shall not leave the segment), not what is left of an initial value.
const LEAST_TTL: u8 = 17;

/// Whether a packet with this TTL is still on its first segment; None when its TTL does not tell.
pub(super) fn is_initial(ttl: u8) -> Option<bool> {
    (ttl >= LEAST_TTL).then_some(INITIAL_TTLS.contains(&ttl))
}

/// Which way the packets of a host came, as far as their TTL tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hops {
    /// No TTL is known.
    Unknown,
    /// From this segment.
    Local,
    /// Through a router.
    Routed,
    /// Some so, some so, and it does not show which of them had this MAC.
    Mixed,
}

/// That a host was seen with a MAC.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sighting {
    /// The device said so (ARP, discovery), rather than that its frames have it as source.
    pub told: bool,
    /// Which way those frames came.
    pub hops: Hops,
    /// How often.
    pub count: u64,
    /// Where first.
    pub first: Evidence,
    /// Where last.
    pub last: Evidence,
}

/// What a MAC is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// One device's.
    Own,
    /// Shared by routers or servers that stand in for each other.
    Virtual,
    /// A router's: it hands on the packets of others.
    Router,
    /// Of one segment, with more addresses than one device has.
    Shared,
}

/// How far a MAC belongs to a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Belongs {
    /// It is the next hop's.
    No,
    /// It is the host's, but identifies no device.
    Listed,
    /// Whatever else has it is the same device.
    Identifies,
}

/// Whether devices share this MAC by design: VRRP (RFC 9568, 7.3) and CARP, HSRP versions 1, 2 and IPv6, GLBP, and the
/// clusters of Microsoft NLB. Returns what it is.
pub(super) fn shared_by_design(mac: Mac) -> Option<&'static str> {
    match mac.0 {
        [0x00, 0x00, 0x5E, 0x00, 0x01 | 0x02, _] => Some("VRRP MAC"),
        [0x00, 0x00, 0x0C, 0x07, 0xAC, _] => Some("HSRP MAC"),
        [0x00, 0x00, 0x0C, 0x9F, 0xF0..=0xFF, _] => Some("HSRP version 2 MAC"),
        [0x00, 0x05, 0x73, 0xA0, 0x00..=0x0F, _] => Some("HSRP for IPv6 MAC"),
        [0x00, 0x07, 0xB4, _, _, _] => Some("GLBP MAC"),
        [0x02 | 0x03, 0xBF, _, _, _, _] => Some("NLB cluster MAC"),
        _ => None,
    }
}

/// Valid on one link only, so no router handed it on: 169.254/16, fe80::/10.
pub(super) fn is_link_local(address: Address) -> bool {
    match address.ip() {
        Some(IpAddr::V4(v4)) => v4.is_link_local(),
        Some(IpAddr::V6(v6)) => v6.is_unicast_link_local(),
        None => false,
    }
}

/// The subnet that an address is taken to be in, where nothing says otherwise: /24, or /64 of IPv6.
pub(super) fn subnet(address: Address) -> Option<(bool, u64)> {
    match address.ip()? {
        IpAddr::V4(v4) => Some((false, u64::from(v4.to_bits() >> 8))),
        IpAddr::V6(v6) => u64::try_from(v6.to_bits() >> 64).ok().map(|prefix| (true, prefix)),
    }
}

fn is_v4(address: Address) -> bool {
    matches!(address.ip(), Some(IpAddr::V4(_)))
}

/// Everybody who was seen with one MAC.
pub(super) struct Users<'a> {
    mac: Mac,
    users: &'a [(Address, Sighting)],
    /// Whether a packet with this source MAC had a TTL that a router had lowered.
    lowers_ttl: bool,
    pub kind: Kind,
    /// The hosts on this segment, of IPv4.
    local: usize,
}

impl<'a> Users<'a> {
    /// Judges a MAC by the hosts that were seen with it.
    pub(super) fn of(mac: Mac, users: &'a [(Address, Sighting)]) -> Self {
        // Some systems begin with a TTL that nobody else uses. If the only address that is seen with a MAC says itself
        // that it is its own, then the TTL is odd, not lowered.
        let alone = users.iter().filter(|(address, _)| !is_link_local(*address)).count() == 1;
        let lowers_ttl = users.iter().any(|(_, seen)| seen.hops == Hops::Routed && !(alone && seen.told));
        let near = |seen: &Sighting| match seen.hops {
            Hops::Local => true,
            Hops::Unknown => seen.told || !lowers_ttl,
            Hops::Routed => seen.told && !lowers_ttl,
            Hops::Mixed => seen.told,
        };
        let local = users.iter().filter(|(address, seen)| is_v4(*address) && near(seen)).count();
        let mut judged = Self { mac, users, lowers_ttl, kind: Kind::Own, local };
        judged.kind = if shared_by_design(mac).is_some() {
            Kind::Virtual
        } else if lowers_ttl || judged.foreign() >= ROUTER_ADDRESSES {
            Kind::Router
        } else if judged.is_crowded() {
            Kind::Shared
        } else {
            Kind::Own
        };
        judged
    }

    /// More IPv4 addresses on this segment than one device is taken to have. A MAC that software made up may have been
    /// made up twice, so that it joins no two of them.
    fn is_crowded(&self) -> bool {
        self.local > if self.mac.is_local() { 1 } else { MOST_ADDRESSES }
    }

    /// How many hosts have addresses outside the subnets that are its own. Its own are those in which it answers ARP;
    /// where it was not seen to, none is, unless one subnet holds all. Addresses of IPv6 come by the handful, in
    /// several prefixes: of them only those count whose TTL does not show them to be near.
    fn foreign(&self) -> usize {
        let count = |v4: bool| {
            let of_family = || self.users.iter().filter(move |(a, _)| is_v4(*a) == v4 && !is_link_local(*a));
            let told: BTreeSet<_> = of_family().filter(|(_, s)| s.told).filter_map(|(a, _)| subnet(*a)).collect();
            let carried = || {
                of_family().filter(|(_, s)| !s.told && (v4 || s.hops != Hops::Local)).filter_map(|(a, _)| subnet(*a))
            };
            let spread = carried().collect::<BTreeSet<_>>().len();
            if told.is_empty() && spread < 2 { 0 } else { carried().filter(|net| !told.contains(net)).count() }
        };
        count(true) + count(false)
    }

    /// Whether another subnet is seen with the MAC, and nothing tells that this address is on the segment.
    fn is_doubtful(&self, address: Address, seen: Sighting) -> bool {
        let elsewhere = |other: Address| is_v4(other) && subnet(other) != subnet(address);
        !seen.told
            && is_v4(address)
            && matches!(seen.hops, Hops::Unknown | Hops::Mixed)
            && (seen.hops == Hops::Mixed || self.users.iter().any(|(other, _)| elsewhere(*other)))
    }

    /// How far the MAC belongs to one of its users.
    pub(super) fn belongs(&self, address: Address, seen: Sighting) -> Belongs {
        match self.kind {
            // Frames with one source MAC have left one interface, whatever IP they carry or not.
            Kind::Own | Kind::Shared | Kind::Router if address.as_mac().is_some() => Belongs::Identifies,
            Kind::Virtual if seen.told || address.as_mac().is_some() => Belongs::Listed,
            Kind::Virtual => Belongs::No,
            Kind::Own | Kind::Shared if self.is_doubtful(address, seen) => Belongs::No,
            Kind::Own => Belongs::Identifies,
            Kind::Shared => Belongs::Listed,
            // Proxy ARP: a router answers for a host whose packets show that they were routed.
            Kind::Router if seen.hops == Hops::Routed => Belongs::No,
            // What a router sends itself has an initial TTL; but one that does not lower the TTL (some firewalls) sends
            // everything so.
            Kind::Router if seen.told || is_link_local(address) || (self.lowers_ttl && seen.hops == Hops::Local) => {
                // A router with many addresses, or a proxy for many, stays in parts.
                if self.is_crowded() { Belongs::Listed } else { Belongs::Identifies }
            }
            Kind::Router => Belongs::No,
        }
    }
}
