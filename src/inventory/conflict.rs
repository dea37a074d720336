//! Where knowledge contradicts itself. Each conflict names the two claims and with them the frames, so that a reader
//! can look.

use std::collections::BTreeMap;

use dissectors::{Attribute, Method, attribute};

use super::device::{Devices, Rivals, identifying, rivals};
use super::mac::{Sighting, is_link_local, subnet};
use super::{Asset, AssetFact};
use crate::address::{Host, Mac, Realm};
use crate::ledger::{Evidence, Ledger, Subject, Support};

/// A MAC or an address that was seen less often is not said to have moved: one frame may be a device's last or the only
/// one of an address that it still has.
const SETTLED: u64 = 2;

/// What contradicts itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ConflictKind {
    /// One address or component told two serial numbers: another device in its place, or two of one address.
    Serial,
    /// The firmware is another than before, and newer.
    FirmwareUp,
    /// The firmware is another than before, and older.
    FirmwareDown,
    /// The firmware is another than before; the versions do not compare.
    FirmwareChanged,
    /// Two devices claim one IP address at the same time.
    DuplicateAddress,
    /// One IP address has two MACs on two VLANs: probably two networks with equal addresses.
    Overlap,
    /// An IP address went from one MAC to another.
    AddressMoved,
    /// A device went from one IP address to another.
    DeviceMoved,
}

impl ConflictKind {
    /// The word in reports.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::Serial => "two-serials",
            Self::FirmwareUp => "firmware-up",
            Self::FirmwareDown => "firmware-down",
            Self::FirmwareChanged => "firmware-changed",
            Self::DuplicateAddress => "duplicate-address",
            Self::Overlap => "address-overlap",
            Self::AddressMoved => "address-moved",
            Self::DeviceMoved => "device-moved",
        }
    }
}

impl ConflictKind {
    /// What it means, as half a sentence.
    #[must_use]
    pub fn says(self) -> &'static str {
        match self {
            Self::Serial => "it told two serial numbers: another device stands in its place, or two share an address",
            Self::FirmwareUp => "its firmware is newer than before",
            Self::FirmwareDown => "its firmware is older than before",
            Self::FirmwareChanged => "its firmware is another than before",
            Self::DuplicateAddress => "two devices claim this IP address at the same time",
            Self::Overlap => {
                "this IP address has two MAC addresses on two VLANs: likely two networks with equal addresses"
            }
            Self::AddressMoved => "this IP address went to another MAC address",
            Self::DeviceMoved => "this device went to another IP address",
        }
    }

    /// Points of severity: what has to be looked at now stands above what a planned change explains as well.
    #[must_use]
    pub fn weight(self) -> i32 {
        match self {
            Self::Serial | Self::DuplicateAddress | Self::FirmwareDown => 35,
            Self::AddressMoved | Self::FirmwareUp | Self::FirmwareChanged => 25,
            Self::Overlap | Self::DeviceMoved => 20,
        }
    }
}

/// One of two claims that do not go together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The value: a serial number, a version, a MAC or an IP address.
    pub value: Box<str>,
    /// How often it was seen.
    pub count: u64,
    /// The first frame that shows it.
    pub first: Evidence,
    /// The last frame that shows it.
    pub last: Evidence,
}

/// Two claims that do not go together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// What is contradictory.
    pub kind: ConflictKind,
    /// The id of the asset.
    pub asset: Box<str>,
    /// At which of its addresses.
    pub host: Host,
    /// In which part of it, if not the whole.
    pub component: Option<Box<str>>,
    /// What the claims are about.
    pub attribute: Attribute,
    /// The claim that came first.
    pub earlier: Claim,
    /// The claim that came later.
    pub later: Claim,
    /// Whether both were seen at the same time, rather than one after the other.
    pub at_once: bool,
}

impl Claim {
    fn new(value: impl Into<Box<str>>, support: &Support) -> Self {
        Self { value: value.into(), count: support.count, first: support.first, last: support.last }
    }

    fn of_sighting(value: impl ToString, seen: &Sighting) -> Self {
        Self { value: value.to_string().into(), count: seen.count, first: seen.first, last: seen.last }
    }
}

/// All conflicts, in order.
pub(super) fn conflicts(ledger: &Ledger, devices: &Devices, assets: &[Asset], asset_of: &[usize]) -> Vec<Conflict> {
    let mut found = Vec::new();
    for asset in assets {
        of_identity(asset, &mut found);
    }
    let id = |host: usize| {
        let asset = devices.device.get(host).and_then(|device| asset_of.get(*device)).and_then(|at| assets.get(*at));
        asset.map(|asset| asset.id.clone()).unwrap_or_default()
    };
    of_addresses(ledger, devices, &id, &mut found);
    of_macs(devices, &id, &mut found);
    found.sort_by(|a, b| {
        let key = |c: &Conflict| (c.asset.clone(), c.kind, c.host, c.component.clone(), c.earlier.first, c.later.first);
        key(a).cmp(&key(b)).then_with(|| a.later.value.cmp(&b.later.value))
    });
    found
}

/// Serial numbers and firmware that changed. One protocol's words at one address are compared with each other: two
/// protocols may speak of two things.
fn of_identity(asset: &Asset, found: &mut Vec<Conflict>) {
    let mut told = BTreeMap::<_, Vec<&AssetFact>>::new();
    for fact in &asset.facts {
        let itself = matches!(fact.known.method, Method::SelfReport | Method::Announcement);
        if itself && matches!(fact.attribute, attribute::SERIAL | attribute::FIRMWARE) {
            told.entry((fact.host, &fact.component, fact.attribute, fact.known.protocol)).or_default().push(fact);
        }
    }
    for ((host, component, attribute, _), mut facts) in told {
        facts.sort_by_key(|fact| (fact.known.support.first, &fact.known.value));
        facts.dedup_by(|later, earlier| later.known.value == earlier.known.value);
        for pair in facts.windows(2) {
            let [earlier, later] = pair else { continue };
            let kind = match attribute {
                attribute::SERIAL => ConflictKind::Serial,
                _ => firmware(&earlier.known.value, &later.known.value),
            };
            found.push(Conflict {
                kind,
                asset: asset.id.clone(),
                host,
                component: component.clone(),
                attribute,
                earlier: Claim::new(earlier.known.value.clone(), &earlier.known.support),
                later: Claim::new(later.known.value.clone(), &later.known.support),
                at_once: earlier.known.support.last > later.known.support.first,
            });
        }
    }
}

/// Compares two versions by their numbers: `V2.9` is older than `V2.10`.
fn firmware(earlier: &str, later: &str) -> ConflictKind {
    let numbers = |text: &str| -> Vec<u64> {
        text.split(|c: char| !c.is_ascii_digit()).filter_map(|digits| digits.parse().ok()).collect()
    };
    match numbers(later).cmp(&numbers(earlier)) {
        std::cmp::Ordering::Greater => ConflictKind::FirmwareUp,
        std::cmp::Ordering::Less => ConflictKind::FirmwareDown,
        std::cmp::Ordering::Equal => ConflictKind::FirmwareChanged,
    }
}

/// Addresses with several MACs, each of which is a device's own.
fn of_addresses(ledger: &Ledger, devices: &Devices, id: &impl Fn(usize) -> Box<str>, found: &mut Vec<Conflict>) {
    for (at, (host, macs)) in devices.hosts.iter().zip(&devices.macs).enumerate() {
        // Every host has the loopback addresses.
        if host.address.ip().is_none_or(|ip| ip.is_loopback()) {
            continue;
        }
        let keys = identifying(macs);
        for pair in keys.windows(2) {
            let [earlier, later] = pair else { continue };
            let facts = ledger.get(&Subject { host: *host, component: None });
            // The VLAN came first in the same frame as the MAC, if that is where it belongs.
            let vlan = |mac: &Sighting| {
                let of_mac = |(_, support): &(_, &Support)| support.first == mac.first;
                facts?
                    .iter()
                    .filter(|(key, _)| key.attribute == attribute::VLAN)
                    .find(of_mac)
                    .map(|(key, _)| &key.value)
            };
            let rivals = rivals(*earlier, *later, facts);
            let kind = match (vlan(&earlier.1), vlan(&later.1)) {
                _ if rivals == Rivals::Teamed => continue,
                (Some(one), Some(other)) if one != other => ConflictKind::Overlap,
                _ if rivals == Rivals::Successive => ConflictKind::AddressMoved,
                _ => ConflictKind::DuplicateAddress,
            };
            found.push(Conflict {
                kind,
                asset: id(at),
                host: *host,
                component: None,
                attribute: attribute::MAC,
                earlier: Claim::of_sighting(earlier.0, &earlier.1),
                later: Claim::of_sighting(later.0, &later.1),
                at_once: rivals == Rivals::Simultaneous,
            });
        }
    }
}

/// MACs that had one IP address and then another.
fn of_macs(devices: &Devices, id: &impl Fn(usize) -> Box<str>, found: &mut Vec<Conflict>) {
    let mut with = BTreeMap::<(Realm, Mac), Vec<(usize, Host, Sighting)>>::new();
    for (at, (host, macs)) in devices.hosts.iter().zip(&devices.macs).enumerate() {
        let v4 = host.address.ip().is_some_and(|ip| ip.is_ipv4());
        // Before it has its address a device speaks with a link-local one: that is no move.
        if v4 && !is_link_local(host.address) {
            for (mac, seen) in identifying(macs) {
                with.entry((host.realm, mac)).or_default().push((at, *host, seen));
            }
        }
    }
    for mut places in with.into_values() {
        places.sort_by_key(|(at, _, seen)| (seen.first, *at));
        for pair in places.windows(2) {
            let [(_, from, before), (at, to, after)] = pair else { continue };
            // A device with an address in each of two networks uses the one or the other as its peers are: no move.
            let one_network = subnet(from.address) == subnet(to.address);
            if one_network && before.last < after.first && before.count >= SETTLED && after.count >= SETTLED {
                found.push(Conflict {
                    kind: ConflictKind::DeviceMoved,
                    asset: id(*at),
                    host: *to,
                    component: None,
                    attribute: attribute::OWN_ADDRESS,
                    earlier: Claim::of_sighting(from.address, before),
                    later: Claim::of_sighting(to.address, after),
                    at_once: false,
                });
            }
        }
    }
}
