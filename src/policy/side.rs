//! One side of a conversation, located, and whether an end of a rule covers it.

use super::diagnostic::Span;
use super::membership::{Member, Membership, Selector};
use super::model::{AssetId, End, Policy, ZoneId};
use crate::address::{Address, Mac};

/// One side of a conversation.
#[derive(Clone, Debug)]
pub struct Side {
    /// Its address after translation was undone.
    pub address: Address,
    /// Its own MAC address, where known.
    pub mac: Option<Mac>,
    /// The zone it is in.
    pub zone: ZoneId,
    /// The declared asset it is.
    pub asset: Option<AssetId>,
    /// What decided its zone.
    pub by: Selector,
    /// Where that stands.
    pub at: Option<Span>,
    pub(super) vendor: Option<Box<str>>,
    pub(super) role: Option<Box<str>>,
}

impl Side {
    pub(super) fn locate(policy: &Policy, member: &Member<'_>) -> Self {
        let address = policy.untranslated(member.address);
        let mut member = Member { address, ..*member };
        // A routed packet carries the router's MAC and the VLAN of the segment it was seen on, not its sender's.
        if member.mac.is_some_and(|mac| policy.is_router_of(mac, address)) {
            member = Member { mac: None, vlan: None, tap: None, ..member };
        }
        let Membership { zone, asset, by, at } = policy.zone_of(&member);
        let declared = asset.and_then(|asset| policy.asset(asset));
        let role = declared.and_then(|asset| asset.role.as_deref()).or(member.role);
        let vendor = declared.and_then(|asset| asset.vendor.as_deref()).or(member.vendor);
        Self {
            address,
            mac: member.mac,
            zone,
            asset,
            by,
            at,
            vendor: vendor.map(Into::into),
            role: role.map(Into::into),
        }
    }
}

/// How far naming a zone reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    /// The zone alone.
    Exact,
    /// What lies in it too, but never a safety zone that is not named: for what gives rights.
    Grant,
    /// All that lies in it: for what takes rights.
    Whole,
}

impl Policy {
    /// A boundary device's MAC under an address that is not the device's own.
    fn is_router_of(&self, mac: Mac, address: Address) -> bool {
        let device = self.directory.assets.macs.get(&mac).and_then(|asset| self.asset(*asset));
        address.ip().is_some()
            && device.is_some_and(|device| !device.boundary_of.is_empty() && !device.ips.contains(&address))
    }

    /// How specifically a list of ends covers a side: 0 not at all, 1 any, 2 a zone around its own, 3 its zone, 4 its
    /// address, 5 the asset itself.
    pub(super) fn covers(&self, ends: &[End], side: &Side, reach: Reach) -> u8 {
        let specificity = |end: &End| match end {
            End::Any => 1,
            End::Zone(zone) if *zone == side.zone => 3,
            End::Zone(zone) if self.reaches(*zone, side.zone, reach) => 2,
            End::Asset(asset) if side.asset == Some(*asset) => 5,
            End::Net(net) if net.contains(side.address) => 4,
            End::Mac(mac) if side.mac == Some(*mac) => 4,
            End::Query { vendor, role } if says(vendor, &side.vendor) && says(role, &side.role) => 3,
            _ => 0,
        };
        ends.iter().map(specificity).max().unwrap_or(0)
    }

    /// Whether naming one zone speaks of another.
    pub(super) fn reaches(&self, named: ZoneId, other: ZoneId, reach: Reach) -> bool {
        let inside = self.zone(other).chain.contains(&named);
        let isolated = self.zone(other).safety && !self.zone(named).safety;
        named == other
            || match reach {
                Reach::Exact => false,
                Reach::Grant => inside && !isolated,
                Reach::Whole => inside,
            }
    }
}

fn says(wanted: &Option<String>, have: &Option<Box<str>>) -> bool {
    wanted.as_deref().is_none_or(|wanted| have.as_deref().is_some_and(|have| have.eq_ignore_ascii_case(wanted)))
}
