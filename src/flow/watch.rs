//! What a policy asks to be watched over time, frame by frame: bytes against a rate, sessions of remote access, and
//! whether the conduits that are expected to be busy are.
//!
//! Only the conversations that such a conduit is about pay for it, and a policy without one costs a comparison a frame.

use std::collections::BTreeMap;
use std::time::Duration;

use super::connection::Orientation;
use super::meter::{Meter, Meters};
use crate::address::Host;
use crate::ledger::Evidence;
use crate::policy::{Peak, Policy, Table};
use crate::time::Timestamp;

/// When something happened, as runs without a pause of more than a certain length.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Runs {
    runs: Vec<(Timestamp, Timestamp)>,
}

/// Runs kept of one thing. At the limit the last one is taken to go on, so that what is told is still true.
const RUNS: usize = 4096;

impl Runs {
    /// It happened. What happens within `pause` of the run before belongs to it.
    #[inline]
    pub fn note(&mut self, at: Timestamp, pause: Duration) {
        let full = self.runs.len() >= RUNS;
        match self.runs.last_mut() {
            Some((_, end)) if full || at.since(*end) <= pause => *end = at.max(*end),
            _ => self.runs.push((at, at)),
        }
    }

    /// Adds the runs of the same thing elsewhere, with the same pause.
    pub fn merge(&mut self, other: &Self, pause: Duration) {
        let mut all: Vec<_> = self.runs.iter().chain(&other.runs).copied().collect();
        all.sort_unstable();
        self.runs.clear();
        for (start, end) in all {
            self.note(start, pause);
            self.note(end, Duration::MAX);
        }
    }

    /// The pauses between two times: before the first run, between runs, after the last.
    pub fn pauses(&self, first: Timestamp, last: Timestamp) -> impl Iterator<Item = (Timestamp, Timestamp)> {
        let starts = self.within(first, last).map(|(start, _)| start).chain([last]);
        let ends = [first].into_iter().chain(self.within(first, last).map(|(_, end)| end));
        ends.zip(starts).filter(|(end, start)| end < start)
    }

    /// The runs that touch a span of time.
    pub fn within(&self, first: Timestamp, last: Timestamp) -> impl Iterator<Item = (Timestamp, Timestamp)> {
        let cut = move |(start, end): &(Timestamp, Timestamp)| ((*start).max(first), (*end).min(last));
        self.runs.iter().map(cut).filter(|(start, end)| start <= end)
    }
}

/// One connection of a conduit of remote access.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Session {
    /// The conduit, by its number in [`Policy::rules`].
    pub rule: u32,
    /// Its first frame.
    pub first: Timestamp,
    /// Its last frame.
    pub last: Timestamp,
    /// Who opened it.
    pub client: Host,
    /// Who answered.
    pub server: Host,
    /// The server's port.
    pub port: u16,
    /// Time in pauses of [`IDLE`] or longer.
    pub idle: Duration,
    /// The longest pause.
    pub pause: Duration,
}

/// A pause of a session that counts as idle: shorter ones are a person's thinking.
pub const IDLE: Duration = Duration::from_secs(60);

impl Session {
    fn frame(&mut self, at: Timestamp) {
        let pause = at.since(self.last);
        self.pause = self.pause.max(pause);
        if pause >= IDLE {
            self.idle += pause;
        }
        self.last = self.last.max(at);
    }

    /// How long it stood.
    #[must_use]
    pub fn duration(&self) -> Duration {
        self.last.since(self.first)
    }
}

/// Sessions kept.
const SESSIONS: usize = 1 << 14;

/// What was watched, in one shard or in all.
#[derive(Clone, Debug)]
pub struct Watch {
    /// Rates where one is declared.
    pub meters: Meters,
    /// When each conduit that is expected to be busy was, by its number.
    pub active: BTreeMap<u32, Runs>,
    /// When any frame at all was seen.
    pub heard: Runs,
    /// When bytes of TCP were missing that were on the wire.
    pub lost: Runs,
    /// How many.
    pub lost_bytes: u64,
    /// Sessions of remote access.
    pub sessions: Vec<Session>,
    /// Sessions that were not kept.
    pub sessions_dropped: u64,
    /// Some conduit is expected to be busy: the longest silence that any of them may have at least.
    pause: Option<Duration>,
    frames: bool,
}

impl Default for Watch {
    fn default() -> Self {
        Self::new(None, 0)
    }
}

impl Watch {
    /// Nothing seen yet.
    #[must_use]
    pub fn new(policy: Option<&Policy>, meters: usize) -> Self {
        let pause = policy.and_then(Policy::shortest_silence);
        Self {
            meters: Meters::new(meters),
            active: BTreeMap::new(),
            heard: Runs::default(),
            lost: Runs::default(),
            lost_bytes: 0,
            sessions: Vec::new(),
            sessions_dropped: 0,
            pause,
            frames: policy.is_some_and(Policy::watches_frames),
        }
    }

    /// Takes note of any frame.
    #[inline]
    pub fn frame(&mut self, at: Timestamp) {
        if let Some(pause) = self.pause {
            self.heard.note(at, pause);
        }
    }

    /// Whether the policy asks about frames of conversations.
    #[must_use]
    #[inline]
    pub fn asks(&self) -> bool {
        self.frames
    }

    /// So many bytes of a TCP stream were never captured.
    #[cold]
    pub fn loss(&mut self, bytes: u32, at: Timestamp) {
        self.lost_bytes += u64::from(bytes);
        // Losses come in bursts, and what matters is whether a silence holds one.
        self.lost.note(at, Duration::from_secs(1));
    }

    fn session(&mut self, session: Session) {
        if self.sessions.len() < SESSIONS { self.sessions.push(session) } else { self.sessions_dropped += 1 }
    }

    /// What was seen since the last time; what is counted in windows goes on.
    #[must_use]
    pub fn drain(&mut self) -> Self {
        Self {
            meters: self.meters.drain(),
            active: std::mem::take(&mut self.active),
            heard: std::mem::take(&mut self.heard),
            lost: std::mem::take(&mut self.lost),
            lost_bytes: std::mem::take(&mut self.lost_bytes),
            sessions: std::mem::take(&mut self.sessions),
            sessions_dropped: std::mem::take(&mut self.sessions_dropped),
            ..*self
        }
    }

    /// Adds what another shard saw, or the same one later.
    pub fn merge(&mut self, other: Self, policy: Option<&Policy>) {
        self.meters.merge(other.meters);
        for (rule, runs) in other.active {
            let pause = policy.and_then(|policy| policy.rules.get(rule as usize)?.max_silence).unwrap_or_default();
            self.active.entry(rule).or_default().merge(&runs, pause);
        }
        self.heard.merge(&other.heard, self.pause.or(other.pause).unwrap_or_default());
        self.lost.merge(&other.lost, Duration::from_secs(1));
        self.lost_bytes += other.lost_bytes;
        self.sessions.extend(other.sessions);
        self.sessions.sort_unstable();
        self.sessions_dropped += other.sessions_dropped;
    }

    /// Rates, by client, server and table.
    #[must_use]
    pub fn rates(&self) -> Vec<&Meter> {
        let mut meters: Vec<&Meter> = self.meters.iter().collect();
        meters.sort_by_key(|meter| (meter.client, meter.server, meter.table));
        meters
    }
}

/// What a policy asks of one conversation.
#[derive(Clone, Debug, Default)]
pub struct Asks {
    /// Tables that limit bytes, with their meters.
    pub bytes: Vec<(Table, u32)>,
    /// Conduits that are expected to be busy, with the longest silence.
    pub busy: Vec<(u32, Duration)>,
    /// The conduit of remote access.
    pub remote: Option<u32>,
}

impl Asks {
    fn is_empty(&self) -> bool {
        self.bytes.is_empty() && self.busy.is_empty() && self.remote.is_none()
    }
}

/// What a connection is watched for.
#[derive(Clone, Debug, Default)]
pub struct Attention {
    /// For whom that was found: it changes when the protocol or the initiator becomes known.
    found_for: Option<(Orientation, u8)>,
    watched: Option<Box<Watched>>,
}

#[derive(Clone, Debug, Default)]
struct Watched {
    asks: Asks,
    session: Option<Session>,
    spent: Option<Spent>,
}

/// A table whose bytes a connection found used up.
#[derive(Clone, Copy, Debug)]
pub struct Spent {
    /// Which.
    pub table: Table,
    /// Where first.
    pub at: Evidence,
    /// The most that was counted.
    pub peak: Peak,
}

/// A frame as far as it is watched.
#[derive(Clone, Copy, Debug)]
pub struct Glance {
    /// Who asks, as far as is known.
    pub orientation: Orientation,
    /// Place of the protocol in the registry.
    pub protocol: Option<usize>,
    /// Client and server.
    pub ends: [Host; 2],
    /// The server's port.
    pub port: u16,
    /// Bytes on the wire.
    pub bytes: u32,
    /// It carries payload.
    pub payload: bool,
    /// Where.
    pub at: Evidence,
}

impl Attention {
    /// Takes note of a frame; `ask` is asked again when what is known of the conversation has changed.
    pub fn frame(&mut self, glance: &Glance, watch: &mut Watch, ask: impl FnOnce(&mut Meters) -> Asks) {
        let protocol = glance.protocol.and_then(|place| u8::try_from(place).ok()).unwrap_or(u8::MAX);
        if self.found_for != Some((glance.orientation, protocol)) {
            self.found_for = Some((glance.orientation, protocol));
            let asks = ask(&mut watch.meters);
            let old = self.watched.take().unwrap_or_default();
            let session = old.session.filter(|session| asks.remote == Some(session.rule));
            self.watched = (!asks.is_empty()).then(|| Box::new(Watched { asks, session, ..*old }));
        }
        if let Some(watched) = &mut self.watched {
            watched.frame(glance, watch);
        }
    }

    /// The connection has ended: its session is told.
    pub fn close(&mut self, watch: &mut Watch) {
        if let Some(session) = self.watched.as_mut().and_then(|watched| watched.session.take()) {
            watch.session(session);
        }
    }

    /// A table whose bytes were used up while this connection went on.
    #[must_use]
    pub fn spent(&self) -> Option<Spent> {
        self.watched.as_ref()?.spent
    }
}

impl Watched {
    fn frame(&mut self, glance: &Glance, watch: &mut Watch) {
        let at = glance.at.at;
        for (table, place) in &self.asks.bytes {
            watch.meters.bytes(*place, at, glance.bytes.into());
            if let Some(peak) = watch.meters.spent(*place, at, 0) {
                let spent = self.spent.get_or_insert(Spent { table: *table, at: glance.at, peak });
                spent.peak = spent.peak.worse(peak);
            }
        }
        // Keeping a connection alive is not using it.
        if !glance.payload {
            return;
        }
        for (rule, silence) in &self.asks.busy {
            watch.active.entry(*rule).or_default().note(at, *silence);
        }
        if let Some(rule) = self.asks.remote {
            let [client, server] = glance.ends;
            let (idle, pause) = (Duration::ZERO, Duration::ZERO);
            let new = Session { rule, first: at, last: at, client, server, port: glance.port, idle, pause };
            self.session.get_or_insert(new).frame(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::new(seconds, 0)
    }

    fn runs(times: &[i64]) -> Runs {
        let mut runs = Runs::default();
        times.iter().for_each(|time| runs.note(at(*time), Duration::from_secs(10)));
        runs
    }

    #[test]
    fn pauses_are_those_of_all_shards_together() {
        for (case, one, other, want) in [
            ("nothing at all", &[][..], &[][..], "0-100"),
            ("before, between and after", &[20, 25, 60], &[], "0-20 25-60 60-100"),
            ("another shard was busy then", &[20, 25, 60], &[30, 40, 50], "0-20 60-100"),
            ("partly", &[20, 25, 60], &[30], "0-20 30-60 60-100"),
            ("the shard with the longer run", &[0, 9, 18, 27, 36, 45], &[5, 100], "45-100"),
        ] {
            let mut all = runs(one);
            all.merge(&runs(other), Duration::from_secs(10));
            let text: Vec<_> = all
                .pauses(at(0), at(100))
                .map(|(from, to)| format!("{}-{}", from.nanos() / 1_000_000_000, to.nanos() / 1_000_000_000))
                .collect();
            assert_eq!(text.join(" "), want, "{case}");
        }
    }

    #[test]
    fn runs_are_bounded() {
        let mut many = Runs::default();
        (0..10_000).for_each(|n| many.note(at(n * 100), Duration::from_secs(10)));
        assert_eq!((many.runs.len(), many.runs.last().map(|run| run.1)), (RUNS, Some(at(999_900))));
    }
}
