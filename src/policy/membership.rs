//! Which zone an endpoint is in, and which line of the policy says so.
//!
//! The most specific selector wins: a pinned asset, a MAC address, a single IP address, a host name, a DNP3 link
//! address, a VLAN with a CIDR, the longest CIDR or smallest range, a VLAN alone, a query. Equal claims of two zones are a load error unless
//! one zone lies in the other, where the deeper one wins.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ahash::{AHashMap, AHashSet};
use ipnet::IpNet;

use super::diagnostic::{Diagnostic, Span};
use super::kind::Kind;
use super::model::{AssetId, End, Policy, ZoneId};
use super::read::Mistake;
use super::word::NO_ZONE_INDEX;
use crate::address::{Address, Mac};

/// An endpoint as traffic and inventory show it.
#[derive(Clone, Copy, Debug)]
pub struct Member<'a> {
    /// Its address.
    pub address: Address,
    /// Its own MAC address: only when a frame of it was seen on its own segment, else it is the router's.
    pub mac: Option<Mac>,
    /// The VLAN of its own segment, under the same condition.
    pub vlan: Option<u16>,
    /// The tap on its own segment, by the policy's name for it.
    pub tap: Option<&'a str>,
    /// Its host name.
    pub hostname: Option<&'a str>,
    /// Its serial number.
    pub serial: Option<&'a str>,
    /// Its maker, as observed.
    pub vendor: Option<&'a str>,
    /// Its role, as observed.
    pub role: Option<&'a str>,
    /// Link addresses of the DNP3 stations behind its address, as observed, in order.
    pub stations: &'a [u16],
}

impl Member<'_> {
    /// An endpoint of which only the address is known.
    #[must_use]
    pub fn at(address: Address) -> Self {
        let mac = address.as_mac();
        let stations = &[];
        Self { address, mac, vlan: None, tap: None, hostname: None, serial: None, vendor: None, role: None, stations }
    }
}

/// What decided a membership.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Selector {
    /// The asset's own `zone`, or an `asset` member.
    Pin,
    /// A MAC address.
    Mac,
    /// A single IP address.
    Ip,
    /// A host name or a suffix of it.
    Hostname,
    /// The link address of a DNP3 station.
    Station,
    /// A VLAN and a CIDR together.
    VlanCidr,
    /// A CIDR or a range.
    Cidr,
    /// A VLAN, or the segment of a tap.
    Vlan,
    /// Vendor or role.
    Query,
    /// Nothing: the address decides between `external` and `unknown`.
    None,
}

impl Selector {
    /// The word in reports.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::Pin => "pin",
            Self::Mac => "mac",
            Self::Ip => "ip",
            Self::Hostname => "hostname",
            Self::Station => "dnp3_link",
            Self::VlanCidr => "vlan and cidr",
            Self::Cidr => "cidr or range",
            Self::Vlan => "vlan",
            Self::Query => "query",
            Self::None => "no zone claims it",
        }
    }

    /// How sure it is, in per cent.
    #[must_use]
    pub fn confidence(self) -> u8 {
        match self {
            Self::Pin | Self::Mac | Self::Ip | Self::None => 100,
            Self::VlanCidr | Self::Cidr => 90,
            Self::Hostname | Self::Station => 80,
            Self::Vlan => 70,
            Self::Query => 50,
        }
    }
}

/// The zone of an endpoint and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Membership {
    /// The zone.
    pub zone: ZoneId,
    /// The declared asset it is, if any.
    pub asset: Option<AssetId>,
    /// What decided.
    pub by: Selector,
    /// Where that stands; [`Policy::place`] gives file and line.
    pub at: Option<Span>,
}

/// Addresses of one family from first to last, both in it. As numbers: 32 bits for IPv4, 128 for IPv6.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Interval {
    pub(super) v6: bool,
    pub(super) first: u128,
    pub(super) last: u128,
}

impl Interval {
    pub(super) fn one(address: Address) -> Option<Self> {
        let (v6, number) = number(address)?;
        Some(Self { v6, first: number, last: number })
    }

    pub(super) fn contains(&self, address: Address) -> bool {
        number(address).is_some_and(|(v6, number)| v6 == self.v6 && (self.first..=self.last).contains(&number))
    }

    /// Every address of a family.
    pub(super) fn all(v6: bool) -> Self {
        Self { v6, first: 0, last: if v6 { u128::MAX } else { u32::MAX.into() } }
    }

    /// What is left of it without another: nothing, one or two intervals.
    pub(super) fn without(self, other: Self) -> Vec<Self> {
        if self.v6 != other.v6 || other.last < self.first || self.last < other.first {
            return vec![self];
        }
        let before = other.first.checked_sub(1).filter(|last| *last >= self.first).map(|last| Self { last, ..self });
        let after = other.last.checked_add(1).filter(|first| *first <= self.last).map(|first| Self { first, ..self });
        before.into_iter().chain(after).collect()
    }

    /// Addresses in it, less one: the whole of IPv6 does not fit otherwise.
    pub(super) fn size(&self) -> u128 {
        self.last - self.first
    }

    pub(super) fn first_address(&self) -> Address {
        address((self.v6, self.first))
    }

    pub(super) fn last_address(&self) -> Address {
        address((self.v6, self.last))
    }

    /// `10.20.0.0/16`, `10.20.2.10` or `10.20.2.10-10.20.2.19`.
    pub(super) fn parse(text: &str) -> Result<Self, Mistake> {
        if let Ok(ip) = text.parse::<IpAddr>() {
            return Self::one(ip.into()).ok_or_else(|| Mistake::new("not an IP address"));
        }
        if let Ok(net) = text.parse::<IpNet>() {
            return Self::net(net);
        }
        let ends = text.split_once('-').map(|(from, to)| (from.trim().parse::<IpAddr>(), to.trim().parse::<IpAddr>()));
        if let Some((Ok(from), Ok(to))) = ends
            && let (Some((v6, first)), Some((also_v6, last))) = (number(from.into()), number(to.into()))
        {
            return if v6 == also_v6 && first <= last {
                Ok(Self { v6, first, last })
            } else {
                Err(Mistake::new(format!("the range {text} is empty")).help("write the lower address first"))
            };
        }
        Err(Mistake::new(format!("\"{text}\" is not an address, a CIDR or a range")).help(match text.contains('%') {
            true => NO_ZONE_INDEX,
            false => "write 10.20.2.10, 10.20.0.0/16 or 10.20.2.10-10.20.2.19",
        }))
    }

    fn net(net: IpNet) -> Result<Self, Mistake> {
        if net.network() != net.addr() {
            // Whoever wrote 10.20.1.5/24 meant one of two things; guessing opens 256 addresses or closes 255.
            return Err(Mistake::new(format!("{net} has address bits behind its prefix")).help(format!(
                "write {} for the network or {} for the one host",
                net.trunc(),
                net.addr()
            )));
        }
        let (first, last) = (number(net.network().into()), number(net.broadcast().into()));
        match (first, last) {
            // An IPv4-mapped prefix comes out as IPv4 on both ends.
            (Some((v6, first)), Some((also_v6, last))) if v6 == also_v6 => Ok(Self { v6, first, last }),
            _ => Err(Mistake::new(format!("{net} mixes IPv4-mapped and other addresses"))),
        }
    }
}

/// The address of a family and number.
pub(super) fn address((v6, number): (bool, u128)) -> Address {
    match u32::try_from(number) {
        Ok(v4) if !v6 => Address::v4(v4.to_be_bytes()),
        _ => Address::v6(number.to_be_bytes()),
    }
}

fn number(address: Address) -> Option<(bool, u128)> {
    Some(match address.ip()? {
        IpAddr::V4(v4) => (false, u32::from(v4).into()),
        IpAddr::V6(v6) => (true, v6.into()),
    })
}

/// A zone's claim to something, and where it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Claim {
    pub(super) zone: ZoneId,
    pub(super) at: Span,
}

/// Every claim of a policy, ready for look-up.
#[derive(Debug, Default)]
pub(super) struct Directory {
    pub(super) assets: AssetNames,
    pins: AHashMap<AssetId, Claim>,
    macs: AHashMap<Mac, Claim>,
    ips: AHashMap<Address, Claim>,
    hosts: AHashMap<String, Claim>,
    suffixes: AHashMap<String, Claim>,
    stations: AHashMap<u16, Claim>,
    vlan_nets: AHashMap<u16, Segments>,
    nets: Segments,
    vlans: AHashMap<u16, Claim>,
    taps: AHashMap<String, Claim>,
    queries: Vec<(Option<String>, Option<String>, Claim)>,
    claimed: AHashSet<ZoneId>,
}

/// How a declared asset is recognised.
#[derive(Debug, Default)]
pub(super) struct AssetNames {
    pub(super) ips: AHashMap<Address, AssetId>,
    pub(super) macs: AHashMap<Mac, AssetId>,
    pub(super) hosts: AHashMap<String, AssetId>,
    pub(super) serials: AHashMap<String, AssetId>,
}

impl AssetNames {
    /// The asset that an endpoint is, by what is hardest to share first.
    pub(super) fn find(&self, member: &Member<'_>) -> Option<AssetId> {
        let by_serial = member.serial.and_then(|serial| self.serials.get(serial));
        let by_ip = || self.ips.get(&member.address);
        let by_mac = || member.mac.and_then(|mac| self.macs.get(&mac));
        let by_host = || member.hostname.and_then(|name| self.hosts.get(&name.to_ascii_lowercase()));
        by_serial.or_else(by_ip).or_else(by_mac).or_else(by_host).copied()
    }
}

/// What a selector of the file claims.
#[derive(Clone, Debug)]
pub(super) enum Wanted {
    Asset(AssetId),
    Mac(Mac),
    Ip(Address),
    Host(String),
    Station(u16),
    VlanNet(u16, Interval),
    Net(Interval),
    Vlan(u16),
    Tap(String),
    Query { vendor: Option<String>, role: Option<String> },
}

/// The tree of zones as far as claims need it: depth, and whether one lies in the other.
pub(super) trait Nesting {
    fn depth(&self, zone: ZoneId) -> usize;
    fn related(&self, a: ZoneId, b: ZoneId) -> bool;
}

impl Directory {
    /// Sorts the claims; what two unrelated zones claim alike is told once, with both lines.
    pub(super) fn build(
        assets: AssetNames,
        claims: Vec<(Wanted, Claim)>,
        nesting: &impl Nesting,
        found: &mut Vec<Diagnostic>,
    ) -> Self {
        let mut directory = Self { assets, ..Self::default() };
        let (mut nets, mut vlan_nets) = (Vec::new(), BTreeMap::<u16, Vec<_>>::new());
        let mut queries = AHashMap::new();
        for (wanted, claim) in claims {
            directory.claimed.insert(claim.zone);
            match wanted {
                Wanted::Asset(asset) => put(&mut directory.pins, asset, claim, nesting, found),
                Wanted::Mac(mac) => put(&mut directory.macs, mac, claim, nesting, found),
                Wanted::Ip(address) => put(&mut directory.ips, address, claim, nesting, found),
                Wanted::Host(name) => match name.strip_prefix("*.") {
                    Some(suffix) => put(&mut directory.suffixes, suffix.to_owned(), claim, nesting, found),
                    None => put(&mut directory.hosts, name, claim, nesting, found),
                },
                Wanted::Station(link) => put(&mut directory.stations, link, claim, nesting, found),
                Wanted::Vlan(vlan) => put(&mut directory.vlans, vlan, claim, nesting, found),
                Wanted::Tap(tap) => put(&mut directory.taps, tap, claim, nesting, found),
                Wanted::Net(net) => nets.push((net, claim)),
                Wanted::VlanNet(vlan, net) => vlan_nets.entry(vlan).or_default().push((net, claim)),
                Wanted::Query { vendor, role } => {
                    let plain = [&vendor, &role].map(|word| word.as_ref().map(|word| word.to_ascii_lowercase()));
                    put(&mut queries, plain, claim, nesting, found);
                    directory.queries.push((vendor, role, claim));
                }
            }
        }
        // The order of the file is invisible: more words first, then the deeper zone, then the zone's number.
        let words = |vendor: &Option<String>, role: &Option<String>| {
            usize::from(vendor.is_some()) + usize::from(role.is_some())
        };
        directory.queries.sort_by_key(|(vendor, role, claim)| {
            (Reverse(words(vendor, role)), Reverse(nesting.depth(claim.zone)), claim.zone)
        });
        directory.nets = Segments::build(&nets, nesting, found);
        directory.vlan_nets =
            vlan_nets.into_iter().map(|(vlan, nets)| (vlan, Segments::build(&nets, nesting, found))).collect();
        directory
    }

    /// Networks whose addresses are a zone's, those of a VLAN included.
    pub(super) fn networks(&self, zone: ZoneId) -> Vec<Interval> {
        let segments = self.vlan_nets.values().chain([&self.nets]);
        let of = |v6: bool, list: &[Segment]| {
            let mine = list.iter().filter(|segment| segment.claim.zone == zone);
            mine.map(|segment| Interval { v6, first: segment.first, last: segment.last }).collect::<Vec<_>>()
        };
        segments.flat_map(|segments| [of(false, &segments.v4), of(true, &segments.v6)]).flatten().collect()
    }

    /// Single addresses that zones claim, in order.
    pub(super) fn hosts_by_ip(&self) -> impl Iterator<Item = (ZoneId, Address)> {
        let mut hosts: Vec<(ZoneId, Address)> = self.ips.iter().map(|(ip, claim)| (claim.zone, *ip)).collect();
        hosts.sort_unstable();
        hosts.into_iter()
    }

    /// Some zone is asked for by the address of a station.
    pub(super) fn names_stations(&self) -> bool {
        !self.stations.is_empty()
    }

    /// Something claims by what devices tell of themselves, or is recognised by it.
    pub(super) fn asks_identity(&self) -> bool {
        let asked = [&self.hosts, &self.suffixes].into_iter().any(|map| !map.is_empty());
        let recognised = [&self.assets.hosts, &self.assets.serials].into_iter().any(|map| !map.is_empty());
        asked || recognised || !self.stations.is_empty() || !self.queries.is_empty()
    }

    /// Zones that claim something.
    pub(super) fn claimed(&self) -> &AHashSet<ZoneId> {
        &self.claimed
    }

    /// Addresses at which the zone may change: the first of each claim, and the first behind it.
    pub(super) fn edges(&self) -> Vec<(bool, u128)> {
        let single = self.ips.keys().chain(self.assets.ips.keys()).filter_map(|address| Interval::one(*address));
        let of = |segments: &[Segment], v6| -> Vec<Interval> {
            segments.iter().map(|segment| Interval { v6, first: segment.first, last: segment.last }).collect()
        };
        let claims = single.chain(of(&self.nets.v4, false)).chain(of(&self.nets.v6, true));
        let last = |v6| if v6 { u128::MAX } else { u32::MAX.into() };
        claims
            .flat_map(|net| {
                let behind = (net.last < last(net.v6)).then(|| (net.v6, net.last.saturating_add(1)));
                std::iter::once((net.v6, net.first)).chain(behind)
            })
            .collect()
    }

    /// Selectors other than addresses, in words, and the zone that each decides.
    pub(super) fn selectors(&self) -> Vec<(String, ZoneId)> {
        let mut list: Vec<(String, ZoneId)> = Vec::new();
        list.extend(self.macs.iter().map(|(mac, claim)| (format!("mac {mac}"), claim.zone)));
        list.extend(self.hosts.iter().map(|(name, claim)| (format!("hostname {name}"), claim.zone)));
        list.extend(self.suffixes.iter().map(|(name, claim)| (format!("hostname *.{name}"), claim.zone)));
        list.extend(self.stations.iter().map(|(link, claim)| (format!("dnp3_link {link}"), claim.zone)));
        list.extend(self.vlans.iter().map(|(vlan, claim)| (format!("vlan {vlan}"), claim.zone)));
        list.extend(self.taps.iter().map(|(tap, claim)| (format!("subnet_of_tap {tap}"), claim.zone)));
        for (vlan, nets) in &self.vlan_nets {
            for (segment, v6) in nets.v4.iter().map(|it| (it, false)).chain(nets.v6.iter().map(|it| (it, true))) {
                let (first, last) = (address((v6, segment.first)), address((v6, segment.last)));
                list.push((format!("vlan {vlan} and {first}-{last}"), segment.claim.zone));
            }
        }
        for (vendor, role, claim) in &self.queries {
            let word = |key: &str, value: &Option<String>| value.as_ref().map(|value| format!("{key} {value}"));
            let words: Vec<String> = [word("vendor", vendor), word("role", role)].into_iter().flatten().collect();
            list.push((words.join(" and "), claim.zone));
        }
        list
    }

    fn claim(&self, member: &Member<'_>, asset: Option<AssetId>, role: Option<&str>) -> Option<(Selector, Claim)> {
        let found = |selector| move |claim: &Claim| (selector, *claim);
        let host = || {
            let name = member.hostname?.to_ascii_lowercase();
            let mut rest = name.as_str();
            if let Some(claim) = self.hosts.get(rest) {
                return Some(claim);
            }
            while let Some((_, suffix)) = rest.split_once('.') {
                if let Some(claim) = self.suffixes.get(suffix) {
                    return Some(claim);
                }
                rest = suffix;
            }
            None
        };
        let query = || {
            let agrees = |wanted: &Option<String>, have: Option<&str>| {
                wanted.as_deref().is_none_or(|wanted| have.is_some_and(|have| have.eq_ignore_ascii_case(wanted)))
            };
            self.queries
                .iter()
                .find(|(vendor, wanted, _)| agrees(vendor, member.vendor) && agrees(wanted, role))
                .map(|(_, _, claim)| claim)
        };
        // Of several stations behind one address the lowest that a zone claims decides.
        let station = || member.stations.iter().find_map(|link| self.stations.get(link));
        let vlan_net = || member.vlan.and_then(|vlan| self.vlan_nets.get(&vlan)?.find(member.address));
        let segment = || {
            member.vlan.and_then(|vlan| self.vlans.get(&vlan)).or_else(|| member.tap.and_then(|tap| self.taps.get(tap)))
        };
        asset
            .and_then(|asset| self.pins.get(&asset))
            .map(found(Selector::Pin))
            .or_else(|| member.mac.and_then(|mac| self.macs.get(&mac)).map(found(Selector::Mac)))
            .or_else(|| self.ips.get(&member.address).map(found(Selector::Ip)))
            .or_else(|| host().map(found(Selector::Hostname)))
            .or_else(|| station().map(found(Selector::Station)))
            .or_else(|| vlan_net().map(found(Selector::VlanCidr)))
            .or_else(|| self.nets.find(member.address).map(found(Selector::Cidr)))
            .or_else(|| segment().map(found(Selector::Vlan)))
            .or_else(|| query().map(found(Selector::Query)))
    }
}

fn put<K: std::hash::Hash + Eq>(
    map: &mut AHashMap<K, Claim>,
    key: K,
    claim: Claim,
    nesting: &impl Nesting,
    found: &mut Vec<Diagnostic>,
) {
    let Some(old) = map.get(&key).copied() else {
        map.insert(key, claim);
        return;
    };
    if old.zone != claim.zone && !nesting.related(old.zone, claim.zone) {
        found.push(conflict(old, claim));
    }
    if nesting.depth(claim.zone) > nesting.depth(old.zone) {
        map.insert(key, claim);
    }
}

fn conflict(old: Claim, new: Claim) -> Diagnostic {
    let (first, second) = if old.at <= new.at { (old.at, new.at) } else { (new.at, old.at) };
    Diagnostic::error(second, "two zones claim the same members")
        .kind(Kind::EqualMembership)
        .label("claimed here")
        .related(first, "and here")
        .help("keep one of them, or make one zone the parent of the other")
}

/// Disjoint pieces of address space in order, each with the smallest claim that covers it.
#[derive(Debug, Default)]
struct Segments {
    v4: Vec<Segment>,
    v6: Vec<Segment>,
}

#[derive(Debug)]
struct Segment {
    first: u128,
    last: u128,
    claim: Claim,
}

impl Segments {
    /// One sweep over all ends, with the claims that cover the current address sorted by size.
    fn build(claims: &[(Interval, Claim)], nesting: &impl Nesting, found: &mut Vec<Diagnostic>) -> Self {
        let mut told = AHashSet::new();
        let mut of_family = |v6: bool| {
            let mut events = BTreeMap::<u128, (Vec<usize>, Vec<usize>)>::new();
            for (number, (net, _)) in claims.iter().enumerate().filter(|(_, (net, _))| net.v6 == v6) {
                events.entry(net.first).or_default().0.push(number);
                if let Some(after) = net.last.checked_add(1) {
                    events.entry(after).or_default().1.push(number);
                }
            }
            let mut segments = Vec::<Segment>::new();
            let mut open = BTreeSet::new();
            let edges: Vec<u128> = events.keys().copied().collect();
            for (step, (edge, (begins, ends))) in events.into_iter().enumerate() {
                let rank = |number: usize| {
                    let (net, claim) = claims.get(number)?;
                    Some((net.size(), Reverse(nesting.depth(claim.zone)), claim.zone, number))
                };
                for key in ends.into_iter().filter_map(rank) {
                    open.remove(&key);
                }
                for number in begins {
                    let (Some(key), Some((_, claim))) = (rank(number), claims.get(number)) else { continue };
                    let same_size =
                        (key.0, Reverse(usize::MAX), ZoneId(0), 0)..=(key.0, Reverse(0), ZoneId(u16::MAX), usize::MAX);
                    for (_, _, zone, other) in open.range(same_size) {
                        let Some((_, rival)) = claims.get(*other) else { continue };
                        if *zone != claim.zone
                            && !nesting.related(*zone, claim.zone)
                            && told.insert((rival.at, claim.at))
                        {
                            found.push(conflict(*rival, *claim));
                        }
                    }
                    open.insert(key);
                }
                let last = edges.get(step + 1).map_or(if v6 { u128::MAX } else { u32::MAX.into() }, |next| next - 1);
                let Some((_, claim)) = open.first().and_then(|(.., number)| claims.get(*number)) else { continue };
                match segments.last_mut() {
                    Some(before) if before.claim == *claim && before.last.checked_add(1) == Some(edge) => {
                        before.last = last
                    }
                    _ => segments.push(Segment { first: edge, last, claim: *claim }),
                }
            }
            segments
        };
        Self { v4: of_family(false), v6: of_family(true) }
    }

    fn find(&self, address: Address) -> Option<&Claim> {
        let (v6, number) = number(address)?;
        let segments = if v6 { &self.v6 } else { &self.v4 };
        let after = segments.partition_point(|segment| segment.first <= number);
        segments.get(after.checked_sub(1)?).filter(|segment| number <= segment.last).map(|segment| &segment.claim)
    }
}

impl Policy {
    /// The zone of an endpoint, the asset it is, and the line that says so. No zone claims it: `external` for a public
    /// address, else `unknown`.
    #[must_use]
    pub fn zone_of(&self, member: &Member<'_>) -> Membership {
        let asset = self.directory.assets.find(member);
        let declared = asset.and_then(|asset| self.asset(asset));
        if let Some((asset, zone)) = declared.and_then(|declared| Some((declared, declared.zone?))) {
            return Membership {
                zone,
                asset: self.directory.assets.find(member),
                by: Selector::Pin,
                at: Some(asset.at),
            };
        }
        let role = declared.and_then(|declared| declared.role.as_deref()).or(member.role);
        match self.directory.claim(member, asset, role) {
            Some((by, claim)) => Membership { zone: claim.zone, asset, by, at: Some(claim.at) },
            None => {
                // What has no IP address is where the tap is that saw it, if that sees one zone alone.
                if let Some(zone) = member.address.as_mac().and(self.only_zone(member.tap)) {
                    return Membership { zone, asset, by: Selector::Vlan, at: None };
                }
                let zone = if member.address.is_public() { self.external() } else { self.unknown() };
                Membership { zone, asset, by: Selector::None, at: None }
            }
        }
    }

    /// Whether zones or rules ask for more of a member than its addresses and its segment: a name, a serial number, a
    /// maker, a role, a station.
    #[must_use]
    pub fn asks_identity(&self) -> bool {
        self.directory.asks_identity() || self.queries_ends()
    }

    /// Whether some zone is asked for by the address of a DNP3 station.
    #[must_use]
    pub fn names_stations(&self) -> bool {
        self.directory.names_stations()
    }

    /// Whether an end of some statement is all of a maker or a role.
    #[must_use]
    pub fn queries_ends(&self) -> bool {
        let query = |ends: &[End]| ends.iter().any(|end| matches!(end, End::Query { .. }));
        self.rules.iter().any(|rule| query(&rule.from) || query(&rule.to))
            || self.denies.iter().any(|deny| query(&deny.from) || query(&deny.to) || query(&deny.except_from))
            || self.ignores.iter().any(|ignore| query(&ignore.from) || query(&ignore.to))
    }

    /// The zone of an endpoint of which only the address is known.
    #[must_use]
    pub fn zone_at(&self, address: Address) -> ZoneId {
        self.zone_of(&Member::at(address)).zone
    }

    /// Undoes translation: the address inside for one that a `[[nat]]` shows outside, or the asset's own for one that
    /// it `represents`.
    #[must_use]
    pub fn untranslated(&self, address: Address) -> Address {
        let inside =
            self.translations.iter().find(|(outside, _)| outside.contains(address)).and_then(|(outside, inside)| {
                let offset = number(address)?.1.checked_sub(outside.first)?;
                let first = inside.first.checked_add(offset)?;
                Some(Interval { first, last: first, ..*inside }.first_address())
            });
        let address = inside.unwrap_or(address);
        self.represented.get(&address).copied().unwrap_or(address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Flat;
    impl Nesting for Flat {
        fn depth(&self, zone: ZoneId) -> usize {
            usize::from(zone.0 == 9)
        }
        fn related(&self, a: ZoneId, b: ZoneId) -> bool {
            a.0 == 9 || b.0 == 9
        }
    }

    fn segments(claims: &[(&str, u16)]) -> (Segments, usize) {
        let mut found = Vec::new();
        let claims: Vec<_> = claims
            .iter()
            .enumerate()
            .map(|(line, (net, zone))| {
                let at = Span { start: u32::try_from(line).unwrap(), ..Span::default() };
                (Interval::parse(net).unwrap(), Claim { zone: ZoneId(*zone), at })
            })
            .collect();
        let segments = Segments::build(&claims, &Flat, &mut found);
        (segments, found.len())
    }

    #[test]
    fn the_smallest_claim_wins() {
        let (segments, conflicts) = segments(&[
            ("10.0.0.0/8", 1),
            ("10.20.0.0/16", 2),
            ("10.20.2.10-10.20.2.19", 3),
            ("fd00::/8", 4),
            ("::ffff:192.168.0.0/112", 5),
            ("255.255.255.0/24", 6),
        ]);
        assert_eq!(conflicts, 0);
        for (address, want) in [
            ("10.1.1.1", Some(1)),
            ("10.20.2.9", Some(2)),
            ("10.20.2.10", Some(3)),
            ("10.20.2.19", Some(3)),
            ("10.20.2.20", Some(2)),
            ("10.21.0.0", Some(1)),
            ("11.0.0.0", None),
            ("9.255.255.255", None),
            ("fd12::1", Some(4)),
            ("192.168.1.1", Some(5)),
            ("255.255.255.255", Some(6)),
        ] {
            assert_eq!(segments.find(address.parse().unwrap()).map(|claim| claim.zone.0), want, "{address}");
        }
    }

    #[test]
    fn equal_claims() {
        assert_eq!(segments(&[("10.0.0.0/24", 1), ("10.0.0.0/24", 2)]).1, 1, "two zones");
        assert_eq!(segments(&[("10.0.0.0-10.0.0.9", 1), ("10.0.0.5-10.0.0.14", 2)]).1, 1, "ranges of one size overlap");
        assert_eq!(segments(&[("10.0.0.0/24", 1), ("10.0.0.0/24", 1)]).1, 0, "one zone twice");
        let (nested, conflicts) = segments(&[("10.0.0.0/24", 9), ("10.0.0.0/24", 1)]);
        let zone = nested.find("10.0.0.1".parse().unwrap()).map(|claim| claim.zone.0);
        assert_eq!((conflicts, zone), (0, Some(9)), "the deeper zone");
    }

    #[test]
    fn networks_are_written_with_care() {
        for wrong in ["10.20.1.5/24", "10.0.0.0/33", "10.0.0.9-10.0.0.1", "10.0.0.1-fd00::1", "ten"] {
            assert!(Interval::parse(wrong).is_err(), "{wrong}");
        }
    }
}
