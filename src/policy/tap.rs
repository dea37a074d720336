//! Where the sensor listens: which `[[tap]]` a frame came from, and what that tells.
//!
//! A capture is tied to a tap by its name: the tap's id is the name of the interface that a pcapng file says it was
//! captured on, or the file's own name up to its first dot (`span-core.pcap`, and `span-core_00001_….pcapng` of a ring of
//! files). A frame of a capture that is tied to none is tied by its VLAN, when one tap alone carries that.

use super::file::TapDirection;
use super::model::{Policy, ZoneId};
use super::side::Reach;

/// A tap by its number in the policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TapId(u16);

impl TapId {
    /// It is not known where a frame was taken.
    pub const NONE: Self = Self(u16::MAX);
}

impl Default for TapId {
    fn default() -> Self {
        Self::NONE
    }
}

#[derive(Clone, Debug)]
pub(super) struct Tap {
    pub(super) id: String,
    pub(super) sees: Vec<ZoneId>,
    pub(super) vlans: Vec<u16>,
    pub(super) direction: TapDirection,
}

/// A declared tap, for those who read reports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TapPlace<'a> {
    /// Its id.
    pub id: &'a str,
    /// Ids of the zones whose traffic passes it.
    pub sees: Vec<&'a str>,
    /// VLANs that it carries.
    pub vlans: &'a [u16],
    /// Whether it sees both what is asked and what is answered.
    pub both_ways: bool,
}

impl Policy {
    /// The declared taps, in the order of the declaration.
    pub fn tap_places(&self) -> impl Iterator<Item = TapPlace<'_>> {
        self.taps.iter().map(|tap| TapPlace {
            id: &tap.id,
            sees: tap.sees.iter().map(|zone| self.zone(*zone).id.as_str()).collect(),
            vlans: &tap.vlans,
            both_ways: tap.direction == TapDirection::Both,
        })
    }

    /// Whether a declared tap sees a zone: itself, one around it, or one in it. None: no tap is declared.
    #[must_use]
    pub fn is_tapped(&self, zone: ZoneId) -> Option<bool> {
        (!self.taps.is_empty()).then(|| self.zone_is_seen(zone))
    }

    /// The tap of a capture, by the name of its file and of its interface.
    #[must_use]
    pub fn tap_of_capture(&self, file: &str, interface: Option<&str>) -> TapId {
        let name = file.rsplit(['/', '\\']).next().unwrap_or(file);
        let stem = name.split('.').next().unwrap_or(name);
        let in_ring = |id: &str| {
            let rest = stem.strip_prefix(id).and_then(|rest| rest.strip_prefix('_'));
            rest.is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
        };
        let named = |is: &dyn Fn(&str) -> bool| self.taps.iter().position(|tap| is(&tap.id));
        let found = named(&|id| interface == Some(id)).or_else(|| named(&|id| id == stem)).or_else(|| named(&in_ring));
        number(found)
    }

    /// The tap of a frame: that of its capture, else the only one that carries its outermost VLAN; 0 is none.
    #[must_use]
    pub fn tap_of_frame(&self, capture: TapId, vlan: u16) -> TapId {
        if capture != TapId::NONE || vlan == 0 {
            return capture;
        }
        let mut carrying = (0..).zip(&self.taps).filter(|(_, tap)| tap.vlans.contains(&vlan));
        match (carrying.next(), carrying.next()) {
            (Some((only, _)), None) => number(Some(only)),
            _ => TapId::NONE,
        }
    }

    /// The policy's name of a tap.
    #[must_use]
    pub fn tap_name(&self, tap: TapId) -> Option<&str> {
        self.tap(tap).map(|tap| tap.id.as_str())
    }

    /// The tap of that name.
    #[must_use]
    pub fn tap_named(&self, name: &str) -> TapId {
        let place = self.taps.iter().position(|tap| tap.id == name).and_then(|place| u16::try_from(place).ok());
        place.map_or(TapId::NONE, TapId)
    }

    /// Whether a tap sees both what is asked and what is answered; a place that is not known is taken to.
    #[must_use]
    pub fn sees_both_ways(&self, tap: TapId) -> bool {
        self.tap(tap).is_none_or(|tap| tap.direction == TapDirection::Both)
    }

    /// For what a member of a zone sent to all: zones of the first tap that saw it and does not see its own zone; else
    /// of any that saw it. Empty: it is not known where it was seen.
    #[must_use]
    pub fn seen_in(&self, zone: ZoneId, taps: impl IntoIterator<Item = TapId>) -> &[ZoneId] {
        let seen = taps.into_iter().filter_map(|tap| self.tap(tap)).map(|tap| tap.sees.as_slice());
        seen.filter(|sees| !sees.is_empty()).min_by_key(|sees| self.sees_zone(sees, zone)).unwrap_or(&[])
    }

    /// A tap that sees zones, and not this one.
    #[must_use]
    pub fn is_outside(&self, tap: TapId, zone: ZoneId) -> bool {
        self.tap(tap).is_some_and(|tap| !tap.sees.is_empty() && !self.sees_zone(&tap.sees, zone))
    }

    /// The first zones of two taps that see no zone in common: what is on both crosses an edge.
    #[must_use]
    pub fn apart(&self, one: TapId, other: TapId) -> Option<(ZoneId, ZoneId)> {
        let (ones, others) = (&self.tap(one)?.sees, &self.tap(other)?.sees);
        let common = ones.iter().any(|zone| !self.is_outside(other, *zone))
            || others.iter().any(|zone| !self.is_outside(one, *zone));
        let first = (*ones.first()?, *others.first()?);
        (!common).then_some(first)
    }

    fn sees_zone(&self, sees: &[ZoneId], zone: ZoneId) -> bool {
        sees.iter().any(|seen| self.reaches(*seen, zone, Reach::Whole))
    }

    /// The only zone that a tap sees.
    pub(super) fn only_zone(&self, tap: Option<&str>) -> Option<ZoneId> {
        match self.seen_by(tap?) {
            [only] => Some(*only),
            _ => None,
        }
    }

    fn tap(&self, tap: TapId) -> Option<&Tap> {
        self.taps.get(usize::from(tap.0))
    }
}

fn number(place: Option<usize>) -> TapId {
    place.and_then(|place| u16::try_from(place).ok()).map_or(TapId::NONE, TapId)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn captures_and_frames_have_taps() {
        let text = "schema = 1\n[site]\nid = \"s\"\ntimezone = \"UTC\"\n\
             [[zone]]\nid = \"cell-a\"\nmembers = [ { cidr = \"10.0.1.0/24\" } ]\n\
             [[zone]]\nid = \"cell-b\"\nmembers = [ { cidr = \"10.0.2.0/24\" } ]\n\
             [[tap]]\nid = \"span-a\"\nsees = [\"cell-a\"]\nvlans = [10, 30]\n\
             [[tap]]\nid = \"span-b\"\nsees = [\"cell-b\"]\nvlans = [20, 30]\ndirection = \"rx\"\n";
        let policy = Policy::parse("plant.toml", text).unwrap();
        for (case, file, interface, vlan, want) in [
            ("name of the file", "in/span-a.pcap", None, 0, Some("span-a")),
            ("whatever its container", "span-b.2026.pcapng.gz", None, 0, Some("span-b")),
            ("one of a ring", "span-b_00012_20261116101500.pcapng", None, 0, Some("span-b")),
            ("name of the interface, before that of the file", "span-b.pcapng", Some("span-a"), 0, Some("span-a")),
            ("a name that goes on", "span-a-old.pcap", None, 0, None),
            ("by VLAN", "eth0.pcap", None, 20, Some("span-b")),
            ("a VLAN of two taps", "eth0.pcap", None, 30, None),
            ("the capture before the VLAN", "span-a.pcap", None, 20, Some("span-a")),
        ] {
            let tap = policy.tap_of_frame(policy.tap_of_capture(file, interface), vlan);
            assert_eq!(policy.tap_name(tap), want, "{case}");
        }
        let tap = |name: &str| policy.tap_of_capture(name, None);
        let [a, b] = ["cell-a", "cell-b"].map(|zone| policy.zone_named(zone).unwrap());
        for (case, taps, want) in [
            ("its own tap", vec![tap("span-a.pcap")], vec![a]),
            ("another's as well", vec![tap("span-a.pcap"), tap("span-b.pcap")], vec![b]),
            ("nobody knows where", vec![TapId::NONE], vec![]),
        ] {
            assert_eq!(policy.seen_in(a, taps), want, "{case}");
        }
        assert!(policy.sees_both_ways(tap("span-a.pcap")) && !policy.sees_both_ways(tap("span-b.pcap")));
    }
}
