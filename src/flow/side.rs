//! One side of a flow: what it sent, and by which ways.

use super::connection::{Connection, Sent, Side, Traffic};
use super::path::{PathUse, Paths, WayUse};
use crate::decode::Way;
use crate::ledger::Evidence;
use crate::policy::{Markings, TapId};

/// One side of a flow.
///
/// Nearly every side sent all of its frames by one way, of which nothing is a copy: that stands here, and the rest in a box.
#[derive(Clone, Debug, Default)]
pub struct SideView {
    frames: u64,
    bytes: u64,
    /// Bytes of payload.
    pub payload: u64,
    way: Way,
    /// The first and the last frame by that way.
    first: Evidence,
    last: Evidence,
    rare: Option<Box<Rare>>,
    tap: TapId,
    /// How its packets with payload were marked, where the policy asks and all were marked alike.
    dscp: Option<u8>,
    /// TCP flags that it has sent.
    pub flags: u8,
}

/// What few sides have.
#[derive(Clone, Debug, Default)]
struct Rare {
    copies: u64,
    copied_bytes: u64,
    /// Different markings.
    marked: Markings,
    /// Ways beside the first.
    others: Option<Paths>,
    /// Frames by ways that are too many to be kept.
    lost: u64,
    /// The first and the last frame of all, where those of the ways that are kept are not.
    span: Option<(Evidence, Evidence)>,
}

/// Different paths kept for one side of a flow.
const PATHS: usize = 16;

impl SideView {
    /// What came from one side since the last time.
    pub(super) fn of(connection: &Connection, side: Side) -> Self {
        let Sent { payload, flags, .. } = connection.half(side).sent;
        let marked = connection.docket.marked(side);
        Self::new(connection.traffic(side), marked, connection.paths(side)).with(payload, flags)
    }

    /// So much traffic by these ways.
    #[must_use]
    pub fn new(traffic: Traffic, marked: Markings, paths: Paths) -> Self {
        let Traffic { frames, bytes, copies, copied_bytes } = traffic;
        let lost = (frames + copies).saturating_sub(paths.frames());
        let (WayUse { way, tap, first, last, .. }, others) = paths.split();
        let dscp = marked.only();
        let marked = if dscp.is_some() { Markings::default() } else { marked };
        let mut view = Self { frames, bytes, way, first, last, tap, dscp, ..Self::default() };
        if copies + copied_bytes + lost > 0 || others.is_some() || marked != Markings::default() {
            view.rare = Some(Box::new(Rare { copies, copied_bytes, marked, others, lost, span: None }));
        }
        view
    }

    /// The same with so much payload and these flags.
    #[must_use]
    pub fn with(self, payload: u64, flags: u8) -> Self {
        Self { payload, flags, ..self }
    }

    /// Frames and bytes.
    #[must_use]
    pub fn traffic(&self) -> Traffic {
        let (copies, copied_bytes) = self.rare.as_ref().map_or((0, 0), |rare| (rare.copies, rare.copied_bytes));
        Traffic { frames: self.frames, bytes: self.bytes, copies, copied_bytes }
    }

    /// How its packets with payload were marked, where the policy asks.
    #[must_use]
    pub fn marked(&self) -> Markings {
        let rare = self.rare.as_ref().map_or_else(Markings::default, |rare| rare.marked);
        self.dscp.map_or(rare, Markings::of)
    }

    /// By which ways its frames came, in the order in which they were first seen.
    pub fn ways(&self) -> impl Iterator<Item = PathUse> {
        let first = (!self.way.is_none()).then(|| self.first_way().into());
        first.into_iter().chain(self.others().into_iter().flat_map(Paths::iter))
    }

    /// The same, to be asked further.
    #[must_use]
    pub fn paths(&self) -> Paths {
        Paths::join(self.first_way(), self.others())
    }

    fn first_way(&self) -> WayUse {
        let Self { way, tap, first, last, .. } = *self;
        let elsewhere = self.others().map_or(0, Paths::frames) + self.rare.as_ref().map_or(0, |rare| rare.lost);
        let Traffic { frames, copies, .. } = self.traffic();
        WayUse { way, tap, frames: (frames + copies).saturating_sub(elsewhere), first, last }
    }

    fn others(&self) -> Option<&Paths> {
        self.rare.as_ref()?.others.as_ref()
    }

    /// Its first frame and its last, if it sent any.
    pub(super) fn span(&self) -> Option<(Evidence, Evidence)> {
        let Some(rare) = &self.rare else { return (!self.way.is_none()).then_some((self.first, self.last)) };
        rare.span.or_else(|| {
            let ways = self.ways().map(|used| (used.first, used.last));
            ways.reduce(|one, other| (one.0.min(other.0), one.1.max(other.1)))
        })
    }

    /// It reaches at least from one frame to another, even if they came by ways that are not kept.
    pub(super) fn reach(&mut self, first: Evidence, last: Evidence) {
        let known = self.span().unwrap_or((first, last));
        let span = (known.0.min(first), known.1.max(last));
        if span != known {
            self.rare.get_or_insert_default().span = Some(span);
        }
    }

    /// Adds what it sent elsewhere, or at another time.
    pub(super) fn merge(&mut self, other: &Self) {
        self.payload += other.payload;
        self.flags |= other.flags;
        let usual = |side: &Self| side.rare.is_none().then_some((side.way, side.tap, side.dscp));
        if usual(self).is_some_and(|mine| usual(other) == Some(mine)) {
            self.frames += other.frames;
            self.bytes += other.bytes;
            self.first = self.first.min(other.first);
            self.last = self.last.max(other.last);
            return;
        }
        let (mut traffic, mut marked, mut paths) = (self.traffic(), self.marked(), self.paths());
        traffic.merge(&other.traffic());
        marked.add(other.marked());
        paths.merge(&other.paths(), PATHS);
        let spans = [self.span(), other.span()];
        *self = Self::new(traffic, marked, paths).with(self.payload, self.flags);
        spans.into_iter().flatten().for_each(|(first, last)| self.reach(first, last));
    }

    /// See [`Paths::place`].
    pub(super) fn place(&mut self, taps: &[TapId]) {
        let mut paths = self.paths();
        paths.place(taps);
        let span = self.span();
        *self = Self::new(self.traffic(), self.marked(), paths).with(self.payload, self.flags);
        span.into_iter().for_each(|(first, last)| self.reach(first, last));
    }
}
