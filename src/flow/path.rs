//! By which ways frames came: what their link layer and IP header say.

use crate::address::Mac;
use crate::decode::Way;
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
    /// The way of frames that were taken there.
    fn of(way: Way, tap: TapId) -> Self {
        Self { src_mac: way.src_mac(), dst_mac: way.dst_mac(), vlans: way.vlans(), ttl: way.ttl(), tap }
    }
}

impl Path {
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

/// The same, as the packet path counts it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct WayUse {
    pub(super) way: Way,
    pub(super) tap: TapId,
    pub(super) frames: u64,
    pub(super) first: Evidence,
    pub(super) last: Evidence,
}

impl From<WayUse> for PathUse {
    fn from(WayUse { way, tap, frames, first, last }: WayUse) -> Self {
        Self { path: Path::of(way, tap), frames, first, last }
    }
}

impl WayUse {
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
    first: WayUse,
    #[allow(clippy::box_collection)] // One word where there are none, which is nearly everywhere.
    more: Option<Box<Vec<WayUse>>>,
}

impl Paths {
    /// Counts a frame. Returns whether it came by a way that was not used before; `None` for one above `most`, which is not
    /// kept.
    pub(super) fn count(&mut self, way: Way, tap: TapId, at: Evidence, most: usize) -> Option<bool> {
        let known = self.entry(way, tap, at, most)?;
        known.frames += 1;
        known.last = known.last.max(at);
        Some(known.frames == 1)
    }

    /// The first of these ways, and the others.
    pub(super) fn split(mut self) -> (WayUse, Option<Self>) {
        let Some(mut more) = self.more.take() else { return (self.first, None) };
        let second = more.remove(0);
        (self.first, Some(Self { first: second, more: (!more.is_empty()).then_some(more) }))
    }

    /// A way, and others after it.
    pub(super) fn join(first: WayUse, others: Option<&Self>) -> Self {
        let more: Vec<WayUse> = others.into_iter().flat_map(Self::uses).copied().collect();
        Self { first, more: (!more.is_empty()).then(|| Box::new(more)) }
    }

    /// Frames of all of them.
    pub(super) fn frames(&self) -> u64 {
        self.uses().map(|used| used.frames).sum()
    }

    /// The latest frame of all of them.
    pub(super) fn last(&self) -> Option<Evidence> {
        self.uses().map(|used| used.last).max()
    }

    /// Adds those of another side; above `most` ways the rest is left out.
    pub fn merge(&mut self, other: &Self, most: usize) {
        for theirs in other.uses() {
            if let Some(mine) = self.entry(theirs.way, theirs.tap, theirs.first, most) {
                mine.merge(theirs);
            }
        }
    }

    /// Begins to count anew. The ways stay known, so that none is new again.
    pub(super) fn restart(&mut self) {
        self.first.frames = 0;
        self.more.iter_mut().flat_map(|more| more.iter_mut()).for_each(|used| used.frames = 0);
    }

    /// The policy is another one, and numbers its taps otherwise. `taps` says which of its taps each capture is from; the
    /// first frame of a way tells its capture.
    pub fn place(&mut self, taps: &[TapId]) {
        let mut placed = Self::default();
        for used in self.uses() {
            let tap = taps.get(usize::from(used.first.capture())).copied().unwrap_or_default();
            if let Some(known) = placed.entry(used.way, tap, used.first, usize::MAX) {
                known.merge(used);
            }
        }
        *self = placed;
    }

    /// They, in the order in which they were first seen.
    pub fn iter(&self) -> impl Iterator<Item = PathUse> {
        self.uses().map(|used| PathUse::from(*used))
    }

    /// Ways that are known with their use, in their order.
    #[must_use]
    pub fn of_uses(ways: impl IntoIterator<Item = PathUse>) -> Self {
        let mut ways = ways.into_iter().map(|PathUse { path, frames, first, last }| {
            let way = Way::new(path.src_mac, path.dst_mac, path.vlans, path.ttl);
            WayUse { way, tap: path.tap, frames, first, last }
        });
        let first = ways.next().unwrap_or_default();
        let more: Vec<WayUse> = ways.collect();
        Self { first, more: (!more.is_empty()).then(|| Box::new(more)) }
    }

    fn uses(&self) -> impl Iterator<Item = &WayUse> {
        let first = (!self.first.way.is_none()).then_some(&self.first);
        first.into_iter().chain(self.more.iter().flat_map(|more| more.iter()))
    }

    #[cold]
    fn entry(&mut self, way: Way, tap: TapId, at: Evidence, most: usize) -> Option<&mut WayUse> {
        let new = || WayUse { way, tap, frames: 0, first: at, last: at };
        if self.first.way.is_none() {
            self.first = new();
        }
        if (self.first.way, self.first.tap) == (way, tap) {
            return Some(&mut self.first);
        }
        let more = self.more.get_or_insert_with(Box::default);
        crate::bounded::entry(more, most - 1, |known| (known.way, known.tap) == (way, tap), new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ways_stay_in_the_order_of_their_first_frame() {
        let path = |ttl| Way::new(None, None, [0; 3], ttl);
        let at = |frame| Evidence::new(crate::time::Timestamp::from_nanos(0), 0, frame);
        for (case, ttls, want) in [
            ("one", &[64, 64, 64][..], "64x3"),
            ("back and forth", &[64, 63, 64, 63], "64x2 63x2"),
            ("more than are kept", &[1, 2, 3, 4, 1], "1x2 2x1 3x1"),
        ] {
            let (mut whole, mut merged) = (Paths::default(), Paths::default());
            for (frame, ttl) in (1..).zip(ttls) {
                whole.count(path(*ttl), TapId::NONE, at(frame), 3);
                let mut one = Paths::default();
                assert_eq!(
                    one.count(path(*ttl), TapId::NONE, at(frame), 3),
                    Some(true),
                    "{case}: every way is new to a new side"
                );
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
