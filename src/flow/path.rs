//! By which ways frames came: what their link layer and IP header say.

use crate::address::Mac;
use crate::decode::Packet;
use crate::ledger::Evidence;
use crate::policy::TapId;

/// By which way a side's frames came: what their link layer and IP header say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Path {
    /// Source MAC of the Ethernet header that the flow stands directly behind.
    pub src_mac: Option<Mac>,
    /// Destination MAC of it.
    pub dst_mac: Option<Mac>,
    /// VLAN ids, outermost first, 0 for none.
    pub vlans: [u16; 3],
    /// Time to live; 0 without IP.
    pub ttl: u8,
    /// Where it was taken, as far as the policy tells.
    pub tap: TapId,
}

impl Path {
    /// The way of a packet.
    #[must_use]
    #[inline]
    pub fn of(packet: &Packet<'_>, tap: TapId) -> Self {
        let mut vlans = [0; 3];
        for (slot, id) in vlans.iter_mut().zip(packet.vlans.as_slice()) {
            *slot = *id;
        }
        Self { src_mac: packet.src_mac, dst_mac: packet.dst_mac, vlans, ttl: packet.ip.map_or(0, |ip| ip.ttl), tap }
    }

    /// The frame was on its sender's own segment, as far as it tells: its TTL is one that stacks start with (32, 64, 128,
    /// 255), so no router has handled it.
    #[must_use]
    pub fn is_own_segment(&self) -> bool {
        matches!(self.ttl, 0 | 32 | 64 | 128 | 255)
    }
}

/// A path with its use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PathUse {
    /// Which.
    pub path: Path,
    /// Frames that came by it.
    pub frames: u64,
    /// The first of them.
    pub first: Evidence,
    /// The last of them.
    pub last: Evidence,
}

impl PathUse {
    /// A path that nothing came by yet, first seen there.
    fn new(path: Path, at: Evidence) -> Self {
        Self { path, frames: 0, first: at, last: at }
    }

    fn merge(&mut self, other: &Self) {
        self.frames += other.frames;
        self.first = self.first.min(other.first);
        self.last = self.last.max(other.last);
    }
}

/// The ways of one side's frames, in the order in which they were first seen. Nearly every side has one, which stands
/// inline; copies from mirrors and changes of routing make more.
#[derive(Clone, Debug, Default)]
pub struct Paths {
    first: Option<PathUse>,
    more: Vec<PathUse>,
}

impl Paths {
    /// Counts a frame. Returns whether it came by a way that was not used before; one above `most` is not kept.
    #[inline]
    pub fn count(&mut self, path: Path, at: Evidence, most: usize) -> bool {
        match &mut self.first {
            Some(known) if known.path == path => {
                known.frames += 1;
                known.last = at;
                false
            }
            _ => self.entry(path, at, most).is_some_and(|known| {
                known.frames += 1;
                known.last = at;
                known.frames == 1
            }),
        }
    }

    /// Adds those of another side; above `most` ways the rest is left out.
    pub fn merge(&mut self, other: &Self, most: usize) {
        for theirs in other.iter() {
            if let Some(mine) = self.entry(theirs.path, theirs.first, most) {
                mine.merge(theirs);
            }
        }
    }

    /// The ways with what came by them since the last time. They stay known, so that none is new again.
    #[must_use]
    pub fn drain(&mut self) -> Self {
        let drained = self.clone();
        self.first.iter_mut().chain(&mut self.more).for_each(|used| used.frames = 0);
        drained
    }

    /// The policy is another one, and numbers its taps otherwise: where the frames were taken is not known any more.
    pub fn forget_taps(&mut self) {
        self.first.iter_mut().chain(&mut self.more).for_each(|used| used.path.tap = TapId::NONE);
    }

    /// They, in the order in which they were first seen.
    pub fn iter(&self) -> impl Iterator<Item = &PathUse> {
        self.first.iter().chain(&self.more)
    }

    /// The way that was seen first.
    #[must_use]
    pub fn first(&self) -> Option<Path> {
        self.first.map(|used| used.path)
    }

    /// Ways that are known with their use, in their order.
    #[must_use]
    pub fn known(ways: impl IntoIterator<Item = PathUse>) -> Self {
        let mut ways = ways.into_iter();
        Self { first: ways.next(), more: ways.collect() }
    }

    fn entry(&mut self, path: Path, at: Evidence, most: usize) -> Option<&mut PathUse> {
        match &mut self.first {
            Some(first) if first.path != path => {
                crate::bounded::entry(&mut self.more, most - 1, |known| known.path == path, || PathUse::new(path, at))
            }
            first => Some(first.get_or_insert_with(|| PathUse::new(path, at))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ways_stay_in_the_order_of_their_first_frame() {
        let path = |ttl| Path { ttl, ..Path::default() };
        let at = |frame| Evidence::new(crate::time::Timestamp::from_nanos(0), 0, frame);
        for (case, ttls, want) in [
            ("one", &[64, 64, 64][..], "64x3"),
            ("back and forth", &[64, 63, 64, 63], "64x2 63x2"),
            ("more than are kept", &[1, 2, 3, 4, 1], "1x2 2x1 3x1"),
        ] {
            let (mut whole, mut merged) = (Paths::default(), Paths::default());
            for (frame, ttl) in (1..).zip(ttls) {
                whole.count(path(*ttl), at(frame), 3);
                let mut one = Paths::default();
                assert!(one.count(path(*ttl), at(frame), 3), "{case}: every way is new to a new side");
                merged.merge(&one, 3);
            }
            let text = |paths: &Paths| {
                paths.iter().map(|used| format!("{}x{}", used.path.ttl, used.frames)).collect::<Vec<_>>().join(" ")
            };
            assert_eq!(text(&whole), want, "{case}");
            assert_eq!(text(&merged), want, "{case}, merged");
        }
    }
}
