//! What the policy says of a connection's operations, kept as small as what was asked: each distinct operation on
//! distinct objects is judged once, and then only counted until the judgement may change.

use std::sync::Arc;

use dissectors::{Class, Item, Object, Operation as Asked, Outcome, Protocol};

use super::book::Protection;
use super::connection::{Connection, Orientation, Side};
use super::key::Transport;
use super::ops::{Objects, Tally};
use super::path::{Path, Paths};
use crate::address::Mac;
use crate::bounded;
use crate::decode::{Tunnel, TunnelKind};
use crate::ledger::Evidence;
use crate::policy::{
    Cast, Conversation, Ends, Judgement, Member, Policy, Protection as Seen, Reason, Request, Stage, Statement, TapId,
    Verdict, ZoneId, bucket, spoken_name,
};
use crate::time::Timestamp;

/// The judgements on one connection (or, merged, one flow).
#[derive(Clone, Debug, Default)]
pub struct Docket {
    /// Distinct judgements, in the order of their first message.
    pub entries: Vec<Entry>,
    /// What concerns the two sides, found at the first judgement.
    conversation: Option<Arc<Conversation>>,
    orientation: Option<Orientation>,
    cache: Option<Box<[Known; 16]>>,
    /// Tunnels that its frames came in, with the first frame of each; judged when it ends.
    tunnels: Option<Box<Tunnelled>>,
}

/// Tunnels, each with the first frame that came in it. Few connections have any.
#[derive(Clone, Debug, Default)]
struct Tunnelled(Vec<(Tunnel, Evidence)>);

/// A place in the cache.
#[derive(Clone, Copy, Debug)]
struct Known {
    fingerprint: u64,
    entry: u32,
    code: u64,
    until: Timestamp,
}

impl Default for Known {
    fn default() -> Self {
        Self { fingerprint: 0, entry: 0, code: 0, until: Timestamp::MIN }
    }
}

/// A judgement with what it was about.
#[derive(Clone, Debug)]
pub struct Entry {
    /// What was judged.
    pub judgement: Judgement,
    /// Which part of the device it was about, coarsely: the same fault has the same bucket.
    pub bucket: Box<str>,
    /// The protocol's codes, with their number of messages.
    pub codes: Vec<(u64, u64)>,
    /// On what.
    pub objects: Objects,
    /// How often, with what outcome.
    pub tally: Tally,
    /// The first frames that show it.
    pub samples: Vec<Evidence>,
    /// The sides of its conversation, for zones and severity.
    pub conversation: Arc<Conversation>,
}

/// What makes two judgements one.
type EntryKey<'a> = (Verdict, Option<Reason>, Option<Statement>, Option<Stage>, Class, &'a str);

impl Entry {
    fn key(&self) -> EntryKey<'_> {
        let Judgement { verdict, reason, statement, stage, class, .. } = self.judgement;
        (verdict, reason, statement, stage, class, &self.bucket)
    }

    fn merge(&mut self, other: &Self) {
        self.tally.merge(&other.tally);
        self.objects.merge(&other.objects);
        for (code, count) in &other.codes {
            count_code(&mut self.codes, *code, *count);
        }
        self.samples.extend_from_slice(&other.samples);
        self.samples.sort_unstable();
        self.samples.dedup();
        self.samples.truncate(SAMPLES);
    }
}

/// Frames kept for one judgement.
pub const SAMPLES: usize = 5;
/// Distinct judgements kept for one connection and one flow.
const ENTRIES: usize = 128;
/// Distinct codes kept for one judgement.
const CODES: usize = 64;
/// Different tunnels kept for one connection.
const TUNNELS: usize = 8;

/// What is judged: an operation, and what is around it.
pub struct Case<'a> {
    /// The policy.
    pub policy: &'a Policy,
    /// The protocol that the bytes confirmed.
    pub protocol: &'static dyn Protocol,
    /// How the conversation is protected.
    pub protection: Protection,
    /// Who asks.
    pub orientation: Orientation,
    /// Which side sent this message.
    pub sender: Side,
    /// The frame.
    pub at: Evidence,
}

/// What a docket needs to know of its connection to place its two sides.
#[derive(Clone, Copy, Debug)]
pub struct Parties<'a> {
    /// The ends.
    pub key: super::connection::ConnectionKey,
    /// The ways of each side's frames.
    pub paths: &'a [Paths; 2],
}

impl Parties<'_> {
    fn paths(&self, side: Side) -> impl Iterator<Item = Path> {
        self.paths.get(side.index()).into_iter().flat_map(Paths::iter).map(|used| used.path)
    }

    /// A way of frames on their sender's own segment.
    fn own_segment(&self, side: Side) -> Option<Path> {
        self.paths(side).find(Path::is_own_segment)
    }

    /// Source and destination MAC of a frame of the client on its own segment: there the destination is the boundary's.
    fn segment(&self, client: Side) -> Option<(Mac, Mac)> {
        let path = self.own_segment(client)?;
        Some((path.src_mac?, path.dst_mac?))
    }

    /// The first frame of a side on a tap that does not see its zone.
    fn first_outside(&self, policy: &Policy, side: Side, zone: ZoneId) -> Option<Evidence> {
        let ways = self.paths.get(side.index()).into_iter().flat_map(Paths::iter);
        ways.filter(|used| policy.is_outside(tap(policy, &used.path), zone)).map(|used| used.first).min()
    }

    /// Whether a router lowered the TTL between two taps that saw the same side; none: no two did.
    fn is_routed(&self, policy: &Policy, client: Side) -> Option<bool> {
        let seen = |path: &Path| (tap(policy, path) != TapId::NONE && path.ttl != 0).then(|| tap(policy, path));
        let mut all = self.paths(client).filter_map(|path| Some((seen(&path)?, path.ttl)));
        let (first, ttl) = all.next()?;
        let mut others = all.filter(|(tap, _)| *tap != first).peekable();
        others.peek()?;
        Some(others.any(|(_, other)| other != ttl))
    }
}

/// Where the frames of a way were taken.
pub(crate) fn tap(policy: &Policy, path: &Path) -> TapId {
    policy.tap_of_frame(path.tap, path.vlans.first().copied().unwrap_or(0))
}

impl Docket {
    /// Counts an operation that was judged before and whose judgement still holds. `false`: it has to be judged.
    #[inline]
    pub fn known(&mut self, fingerprint: u64, outcome: Outcome, at: Evidence) -> bool {
        let slot = (fingerprint >> 60) as usize & 15;
        let Some(known) = self.cache.as_ref().and_then(|cache| cache.get(slot)) else { return false };
        if known.fingerprint != fingerprint || at.at >= known.until {
            return false;
        }
        let Some(entry) = self.entries.get_mut(known.entry as usize) else { return false };
        entry.tally.count(outcome, at);
        count_code(&mut entry.codes, known.code, requests(outcome));
        if entry.samples.len() < SAMPLES && entry.judgement.verdict.is_finding() {
            entry.samples.push(at);
        }
        true
    }

    /// What was judged so far no longer holds: the protection of the conversation became known, or who asks.
    pub fn unsettle(&mut self) {
        self.cache = None;
    }

    /// Judges an operation.
    #[cold]
    pub fn operation(&mut self, fingerprint: u64, asked: &Asked<'_>, case: &Case<'_>, parties: &Parties<'_>) {
        let code = case.protocol.operation(asked.code).code;
        let is_reply = matches!(asked.outcome, Outcome::Answered | Outcome::Refused(_));
        let request = Request {
            class: Some(asked.class),
            code: &code,
            component: asked.component,
            objects: asked.objects,
            orphan: is_reply && asked.objects.is_empty(),
            ..self.request(case, parties)
        };
        let about = (asked.code, bucket(&code, asked.component, asked.objects));
        let entry = self.judge(&request, case, parties, about, asked.objects, asked.outcome);
        let Some((place, until)) = entry else { return };
        let cache = self.cache.get_or_insert_with(Box::default);
        if let (Some(known), Ok(entry)) = (cache.get_mut((fingerprint >> 60) as usize & 15), u32::try_from(place)) {
            *known = Known { fingerprint, entry, code: asked.code, until };
        }
    }

    /// Judges a message whose meaning is hidden.
    pub fn hidden(&mut self, case: &Case<'_>, parties: &Parties<'_>) {
        const HIDDEN: u64 = 0x0DEF_ACED;
        let outcome = if case.sender == case.orientation.client { Outcome::Asked } else { Outcome::Answered };
        if self.known(HIDDEN, outcome, case.at) {
            return;
        }
        let request = Request { opaque: true, ..self.request(case, parties) };
        if let Some((place, until)) = self.judge(&request, case, parties, (0, String::new()), &[], outcome)
            && let Ok(entry) = u32::try_from(place)
        {
            let cache = self.cache.get_or_insert_with(Box::default);
            cache[(HIDDEN >> 60) as usize & 15] = Known { fingerprint: HIDDEN, entry, code: 0, until };
        }
    }

    /// Notes a tunnel that its frames come in.
    #[cold]
    pub fn tunnel(&mut self, tunnel: &Tunnel, at: Evidence) {
        let Tunnelled(tunnels) = &mut **self.tunnels.get_or_insert_with(Box::default);
        if tunnels.len() < TUNNELS && tunnels.iter().all(|(known, _)| known != tunnel) {
            tunnels.push((*tunnel, at));
        }
    }

    /// The docket of a connection that has ended, without what only its next packets would need.
    #[must_use]
    pub fn closed(self) -> Self {
        Self { cache: None, tunnels: None, ..self }
    }

    /// Adds another connection's closed docket.
    pub fn merge(&mut self, other: Self) {
        for entry in other.entries {
            let full = self.entries.len() >= ENTRIES;
            match self.entries.iter_mut().find(|known| known.key() == entry.key()) {
                Some(mine) => mine.merge(&entry),
                None if full => {}
                None => self.entries.push(entry),
            }
        }
    }

    fn request<'a>(&self, case: &'a Case<'_>, parties: &Parties<'_>) -> Request<'a> {
        let protection = &case.protection;
        Request {
            protocol: Some(case.protocol.info().name),
            security: Seen {
                mode: protection.mode,
                policy: protection.policies.last().map(|policy| &**policy),
                token: protection.tokens.first().copied(),
                version: None,
            },
            path: parties.segment(case.orientation.client),
            routed: parties.is_routed(case.policy, case.orientation.client),
            ..Request::at(case.at.at)
        }
    }

    fn judge(
        &mut self,
        request: &Request<'_>,
        case: &Case<'_>,
        parties: &Parties<'_>,
        (code, bucket): (u64, String),
        objects: &[Object<'_>],
        outcome: Outcome,
    ) -> Option<(usize, Timestamp)> {
        let conversation = self.conversation(case.policy, case.orientation, parties);
        let judgement = conversation.judge(case.policy, request);
        self.enter(conversation, judgement, (code, bucket), objects, outcome, case.at)
    }

    fn enter(
        &mut self,
        conversation: Arc<Conversation>,
        judgement: Judgement,
        (code, bucket): (u64, String),
        objects: &[Object<'_>],
        outcome: Outcome,
        at: Evidence,
    ) -> Option<(usize, Timestamp)> {
        let fresh = Entry {
            judgement,
            bucket: bucket.into(),
            codes: Vec::new(),
            objects: Objects::default(),
            tally: Tally::new(at),
            samples: Vec::new(),
            conversation,
        };
        let place = self.entries.iter().position(|known| known.key() == fresh.key()).unwrap_or(self.entries.len());
        if place >= ENTRIES {
            return None;
        }
        if place == self.entries.len() {
            self.entries.push(fresh);
        }
        let entry = self.entries.get_mut(place)?;
        entry.tally.count(outcome, at);
        count_code(&mut entry.codes, code, requests(outcome));
        if judgement.verdict.is_finding() {
            objects.iter().for_each(|object| entry.objects.add(object));
            if entry.samples.len() < SAMPLES {
                entry.samples.push(at);
            }
        }
        Some((place, judgement.valid_until))
    }

    fn conversation(&mut self, policy: &Policy, orientation: Orientation, parties: &Parties<'_>) -> Arc<Conversation> {
        if let (Some(known), true) = (&self.conversation, self.orientation == Some(orientation)) {
            return Arc::clone(known);
        }
        let found = Arc::new(conversation(policy, orientation, parties));
        self.conversation = Some(Arc::clone(&found));
        self.orientation = Some(orientation);
        found
    }
}

/// Judges what only the whole of a connection tells: of which no operation is known, at its first frame; that went to
/// all, where it was seen; that came in tunnels, where these lead. ARP is no conversation.
pub fn close(connection: &mut Connection, policy: &Policy) {
    if connection.key.transport == Transport::Ethertype(ARP) {
        return;
    }
    let parties = Parties { key: connection.key, paths: &connection.paths };
    let orientation = connection.orientation;
    let docket = &mut connection.docket;
    // Multicast is seen in more places while it goes on.
    let before = docket.conversation.as_ref().map(|known| known.zones());
    if connection.key.end(orientation.client.other()).address.is_group() {
        docket.conversation = None;
    }
    let conversation = docket.conversation(policy, orientation, &parties);
    let leaks_now = before.is_some_and(|before| before != conversation.zones());
    if docket.entries.is_empty() || leaks_now {
        whole(connection, policy, &conversation);
    }
    let docket = &mut connection.docket;
    for (tunnel, at) in docket.tunnels.take().into_iter().flat_map(|tunnels| tunnels.0) {
        let (Some(src), Some(dst)) = (tunnel.src, tunnel.dst) else { continue };
        // A mirror's tunnel carries copies to the sensor and nothing to the devices.
        if tunnel.kind == TunnelKind::Erspan {
            continue;
        }
        if let Some(judgement) = conversation.tunnel(policy, src, dst, at.at) {
            // Both ways are one tunnel.
            let name = format!("{} {} - {}", tunnel.kind.text(), src.min(dst), src.max(dst));
            let object = Object { space: "tunnel", item: Item::Name(&name) };
            let about = (0, name.clone());
            docket.enter(Arc::clone(&conversation), judgement, about, &[object], Outcome::Asked, at);
        }
    }
}

const ARP: u16 = 0x0806;

/// Judges a connection as a whole.
fn whole(connection: &mut Connection, policy: &Policy, conversation: &Arc<Conversation>) {
    let parties = Parties { key: connection.key, paths: &connection.paths };
    let Orientation { client, .. } = connection.orientation;
    // Where one way is captured alone, that there is no answer says nothing.
    let mut taps = [client, client.other()].into_iter().flat_map(|side| parties.paths(side));
    let one_way = taps.any(|path| !policy.sees_both_ways(tap(policy, &path)));
    let blocked = connection.is_blocked() && !one_way;
    let dissected = connection.dialog.protocol().and_then(|place| dissectors::REGISTRY.get(place));
    let recognised = connection.dialog.recognised();
    let port = connection.key.end(client.other()).port;
    let spoken = recognised.map(|it| spoken_name(it.name, connection.key.transport, port));
    let request = Request {
        protocol: dissected.map(|protocol| protocol.info().name).or(spoken),
        unidentified: spoken.is_none() && connection.dialog.refuted().is_some(),
        security: Seen { version: recognised.and_then(|it| it.version), ..Seen::default() },
        // Which operations they are nobody read.
        opaque: spoken.is_some_and(|name| policy.tells_operations(name)),
        path: parties.segment(client),
        routed: parties.is_routed(policy, client),
        blocked,
        ..Request::at(connection.first.at)
    };
    let judgement = conversation.judge(policy, &request);
    let leak = judgement.reason == Some(Reason::MulticastLeak);
    let elsewhere = || parties.first_outside(policy, client, conversation.zones().0);
    let first = leak.then(elsewhere).flatten().unwrap_or(connection.first);
    let last = connection.last;
    let answered = connection.traffic[client.other().index()].frames > 0 && !blocked;
    let docket = &mut connection.docket;
    let place = docket.enter(Arc::clone(conversation), judgement, (0, String::new()), &[], Outcome::Asked, first);
    let entry = place.and_then(|(place, _)| docket.entries.get_mut(place));
    if let (Some(entry), true) = (entry, answered) {
        entry.tally.count(Outcome::Answered, last);
    }
}

fn conversation(policy: &Policy, orientation: Orientation, parties: &Parties<'_>) -> Conversation {
    let Parties { key, .. } = parties;
    let client = orientation.client;
    let member = |side: Side| {
        let path = parties.own_segment(side);
        let address = key.end(side).address;
        Member {
            mac: address.as_mac().or(path.and_then(|path| path.src_mac)),
            vlan: path.and_then(|path| path.vlans.first().copied()).filter(|id| *id != 0),
            tap: path.and_then(|path| policy.tap_name(tap(policy, &path))),
            ..Member::at(address)
        }
    };
    let server = key.end(client.other());
    let cast = match (server.address.is_group(), server.address.ip(), server.address.as_mac()) {
        (false, ..) => Cast::Unicast,
        (true, Some(std::net::IpAddr::V4(v4)), _) if v4.is_broadcast() => Cast::Broadcast,
        (true, _, Some(Mac::BROADCAST)) => Cast::Broadcast,
        _ => Cast::Multicast,
    };
    let asks = member(client);
    let seen_in = match cast {
        Cast::Unicast => &[],
        _ => policy.seen_in(policy.zone_of(&asks).zone, parties.paths(client).map(|path| tap(policy, &path))),
    };
    policy.conversation(&Ends {
        client: asks,
        server: member(client.other()),
        transport: key.transport,
        port: server.port,
        vlan: [Side::A, Side::B]
            .into_iter()
            .flat_map(|side| parties.paths(side))
            .flat_map(|path| path.vlans)
            .find(|id| *id != 0),
        initiator: orientation.how,
        cast,
        seen_in,
        unapproved: false,
    })
}

/// What a message adds to the requests of its code: a reply none.
fn requests(outcome: Outcome) -> u64 {
    u64::from(matches!(outcome, Outcome::Asked | Outcome::Told))
}

fn count_code(codes: &mut Vec<(u64, u64)>, code: u64, count: u64) {
    if let Some(known) = bounded::entry(codes, CODES, |known| known.0 == code, || (code, 0)) {
        known.1 += count;
    }
}
