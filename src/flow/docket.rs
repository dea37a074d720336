//! What the policy says of a connection's operations, kept as small as what was asked: each distinct operation on
//! distinct objects is judged once, and then only counted until the judgement may change.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use dissectors::{Item, Object, Operation as Asked, Outcome, Protocol};

use super::book::Protection;
use super::connection::{Connection, Orientation, Side};
use super::entry::{self, ENTRIES, Entries, Entry};
use super::key::Transport;
use super::meter::Meters;
use super::ops::Tally;
use super::path::{Path, PathUse, Paths};
use super::places::Places;
use super::watch::{Asks, Attention, Glance, Watch};
use crate::address::{Address, Host, Mac};
use crate::decode::{Tunnel, TunnelKind};
use crate::ledger::Evidence;
use crate::policy::{
    Cast, Conversation, Ends, Judgement, Markings, Member, Policy, Protection as Seen, Reason, Request, Sign, Stage,
    Table, TapId, Way, ZoneId, bucket, spoken_name,
};
use crate::prefetch;
use crate::time::Timestamp;

/// The judgements on one connection.
#[derive(Debug, Default)]
pub struct Docket {
    /// Distinct judgements, in the order of their first message.
    pub entries: Entries,
    sides: Option<Box<Sides>>,
    /// What it is watched for, frame by frame.
    attention: Attention,
    /// Frames were cut by the snap length.
    pub truncated: bool,
    /// How the packets of each side were marked, where the policy asks.
    marked: [Markings; 2],
    /// Entries were drained: there was a judgement before.
    drained: bool,
    /// The conversation was judged as a whole.
    is_whole: bool,
    /// That judgement with what was told of it, once it was drained.
    whole: Option<Box<Entry>>,
    /// What was judged and still holds.
    cache: Option<Box<Cache>>,
    /// Tunnels that its frames came in; judged when it ends, or when what was seen until then is told.
    tunnels: Option<Box<Tunnelled>>,
}

/// Tunnels, each with the first frame that came in it. Few connections have any.
#[derive(Clone, Debug, Default)]
struct Tunnelled {
    all: Vec<(Tunnel, Evidence)>,
    /// So many of them were judged.
    judged: usize,
}

/// What concerns the two sides, found at the first judgement.
#[derive(Clone, Debug)]
struct Sides {
    orientation: Orientation,
    conversation: Arc<Conversation>,
    /// The tables that declare a rate, with the places of their meters. Most policies have none.
    meters: Vec<(Table, u32)>,
    /// Of these, what the latest request found used up: its reply belongs to where it was counted.
    spent: Vec<Table>,
    /// What was found here already, by its fingerprint: judgements are drained now and then, and begin anew.
    found: Vec<u64>,
}

/// Operations on certain objects whose judgement holds until some time.
#[derive(Clone, Debug, Default)]
struct Cache {
    places: Places,
    /// At most [`JUDGED`].
    known: Vec<Known>,
}

/// Judgements of operations on certain objects that are kept for one connection.
const JUDGED: usize = 256;

/// One of them.
#[derive(Clone, Copy, Debug)]
struct Known {
    fingerprint: u64,
    entry: u32,
    code: u64,
    until: Timestamp,
    /// The table whose rate it counts against, its meter, and whether the rate was used up when it was judged.
    meter: Option<(Table, u32, bool)>,
}

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
#[derive(Clone, Debug)]
pub struct Parties<'a> {
    /// The ends.
    pub key: &'a super::connection::ConnectionKey,
    /// The ways of each side's frames.
    pub paths: [Paths; 2],
}

impl Parties<'_> {
    fn uses(&self, side: Side) -> impl Iterator<Item = PathUse> {
        self.paths.get(side.index()).into_iter().flat_map(|paths| paths.iter())
    }

    fn paths(&self, side: Side) -> impl Iterator<Item = Path> {
        self.uses(side).map(|used| used.path)
    }

    /// A way of frames on their sender's own segment.
    fn own_segment(&self, side: Side) -> Option<Path> {
        self.paths(side).find(Path::is_own_segment)
    }

    /// By which way the client's frames went.
    fn way(&self, policy: &Policy, client: Side) -> Way {
        let macs = |path: Path| path.src_mac.zip(path.dst_mac);
        Way {
            leaving: self.own_segment(client).and_then(macs),
            arriving: self.arriving(client).next().and_then(|used| macs(used.path)),
            ttls: self.ttls(policy, client),
        }
    }

    /// The ways of the client's frames on the server's segment: they go to the address that the server sends from.
    fn arriving(&self, client: Side) -> impl Iterator<Item = PathUse> {
        let server = self.own_segment(client.other()).and_then(|path| path.src_mac);
        self.uses(client).filter(move |used| server.is_some() && used.path.dst_mac == server)
    }

    /// The first frame of a side on a tap that does not see its zone.
    fn first_outside(&self, policy: &Policy, side: Side, zone: ZoneId) -> Option<Evidence> {
        self.uses(side).filter(|used| policy.is_outside(tap(policy, &used.path), zone)).map(|used| used.first).min()
    }

    /// The TTL of the client's frames on two taps; of several the first and one that differs, if any does.
    fn ttls(&self, policy: &Policy, client: Side) -> Option<(u8, u8)> {
        let seen = |path: &Path| (tap(policy, path) != TapId::NONE && path.ttl != 0).then(|| tap(policy, path));
        let mut all = self.paths(client).filter_map(|path| Some((seen(&path)?, path.ttl)));
        let (first, ttl) = all.next()?;
        let others = all.filter(|(tap, _)| *tap != first).map(|(_, other)| (ttl, other));
        others.max_by_key(|(ttl, other)| ttl != other)
    }
}

/// What speaks against a boundary device with these MAC addresses in the way of a flow, with the first frame of each sign
/// as far as it is known.
#[must_use]
pub fn signs_of_bypass(policy: &Policy, flow: &super::Flow, device: &[Mac]) -> Vec<(Sign, Option<Evidence>)> {
    let parties = Parties { key: &key_of(flow), paths: [flow.client.paths(), flow.server.paths()] };
    let frame = |used: PathUse| used.path.src_mac.zip(used.path.dst_mac);
    let leaving = flow.client.ways().filter(|used| used.path.is_own_segment());
    let leaving = leaving.map(|used| (Way { leaving: frame(used), ..Way::default() }, Some(used.first)));
    let arriving = parties.arriving(Side::A);
    let arriving = arriving.map(|used| (Way { arriving: frame(used), ..Way::default() }, Some(used.first)));
    let ttls = (Way { ttls: parties.ttls(policy, Side::A), ..Way::default() }, None);
    let mut found: Vec<(Sign, Option<Evidence>)> = Vec::new();
    for (way, at) in leaving.chain(arriving).chain([ttls]) {
        for sign in way.against(device).unwrap_or_default() {
            if found.iter().all(|(known, _)| *known != sign) {
                found.push((sign, at));
            }
        }
    }
    found
}

/// Where the frames of a way were taken.
pub(crate) fn tap(policy: &Policy, path: &Path) -> TapId {
    policy.tap_of_frame(path.tap, path.vlans.first().copied().unwrap_or(0))
}

impl Docket {
    /// Counts an operation that was judged before and whose judgement still holds. `false`: it has to be judged.
    #[inline]
    pub fn known(&mut self, fingerprint: u64, outcome: Outcome, at: Evidence, meters: &mut Meters) -> bool {
        let Some(cache) = &self.cache else { return false };
        let Some(known) = cache.places.find(fingerprint).and_then(|place| cache.known.get(place)) else { return false };
        if known.fingerprint != fingerprint || at.at >= known.until {
            return false;
        }
        let Some(entry) = self.entries.get_mut(known.entry as usize) else { return false };
        if let (Some((table, place, was_spent)), Some(sides)) = (known.meter, &mut self.sides) {
            let is_request = requests(outcome) > 0;
            let spent = meters.spent(place, at.at, 1).filter(|_| is_request);
            let is_spent = if is_request { spent.is_some() } else { sides.spent.contains(&table) };
            if is_spent != was_spent {
                return false;
            }
            if is_request {
                meters.operations(place, at.at, 1);
                sides.spent.clear();
                sides.spent.extend(is_spent.then_some(table));
                entry.note_peak(spent);
            }
        }
        entry.tally.count(outcome, at);
        entry.count_code(known.code, requests(outcome));
        if entry.is_finding() {
            entry.add_sample(at);
        }
        true
    }

    /// See [`super::connection::Connection::prefetch`].
    #[inline]
    pub(super) fn prefetch(&self) {
        if let Some(cache) = &self.cache {
            prefetch::start(&**cache);
        }
        if let Some(entry) = self.entries.first() {
            prefetch::all(entry);
        }
    }

    /// What was judged so far no longer holds: the protection of the conversation became known, or who asks.
    pub fn unsettle(&mut self) {
        self.cache = None;
    }

    /// The policy is another one: who is who has to be asked again.
    pub fn forget(&mut self) {
        self.cache = None;
        self.sides = None;
        if let Some(tunnels) = &mut self.tunnels {
            tunnels.judged = 0;
        }
        self.whole = None;
        self.is_whole = false;
        self.attention = Attention::default();
    }

    /// The connection has ended: what it was watched for is told.
    pub fn end(&mut self, watch: &mut Watch) {
        self.attention.close(watch);
    }

    /// Takes note of how a packet with payload is marked. What was judged before it came still holds for what it was about.
    pub fn mark(&mut self, sender: Side, dscp: u8) {
        if self.marked.get_mut(sender.index()).is_some_and(|marked| marked.add(Markings::of(dscp))) {
            self.unsettle();
        }
    }

    /// How the packets of a side were marked.
    #[must_use]
    pub fn marked(&self, side: Side) -> Markings {
        self.marked.get(side.index()).copied().unwrap_or_default()
    }

    /// Judges an operation. `true`: it is the first that shows a finding.
    #[cold]
    pub fn operation(
        &mut self,
        fingerprint: u64,
        asked: &Asked<'_>,
        case: &Case<'_>,
        parties: &Parties<'_>,
        meters: &mut Meters,
    ) -> bool {
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
        let known = self.judge(&request, case, parties, about, asked.objects, asked.outcome, meters);
        self.remember(fingerprint, known);
        self.is_new(known)
    }

    /// Whether what was judged is a finding that was not found here before.
    fn is_new(&mut self, known: Option<Known>) -> bool {
        let entry = known.and_then(|known| self.entries.get(known.entry as usize));
        let Some(entry) = entry.filter(|entry| entry.is_finding() && entry.samples().len() == 1) else {
            return false;
        };
        let mut hasher = DefaultHasher::new();
        entry.key().hash(&mut hasher);
        let found = hasher.finish();
        let Some(sides) = self.sides.as_mut() else { return true };
        let is_new = sides.found.len() < ENTRIES && !sides.found.contains(&found);
        sides.found.extend(is_new.then_some(found));
        is_new
    }

    fn remember(&mut self, fingerprint: u64, known: Option<Known>) {
        let Some(known) = known.map(|known| Known { fingerprint, ..known }) else { return };
        let cache = self.cache.get_or_insert_with(Box::default);
        if cache.known.len() >= JUDGED {
            **cache = Cache::default();
        }
        match cache.places.find(fingerprint).and_then(|place| cache.known.get_mut(place)) {
            Some(old) => *old = known,
            None => {
                cache.places.insert(fingerprint, cache.known.len());
                cache.known.push(known);
            }
        }
    }

    /// The zones of client and server, as far as they were asked for.
    #[must_use]
    pub fn zones(&self) -> Option<(ZoneId, ZoneId)> {
        self.sides.as_ref().map(|sides| sides.conversation.zones())
    }

    /// Judges a message whose meaning is hidden. `true`: it is the first that shows a finding.
    pub fn hidden(&mut self, case: &Case<'_>, parties: &Parties<'_>, meters: &mut Meters) -> bool {
        const HIDDEN: u64 = 0x0DEF_ACED;
        let outcome = if case.sender == case.orientation.client { Outcome::Asked } else { Outcome::Answered };
        if self.known(HIDDEN, outcome, case.at, meters) {
            return false;
        }
        let request = Request { opaque: true, ..self.request(case, parties) };
        let known = self.judge(&request, case, parties, (0, String::new()), &[], outcome, meters);
        self.remember(HIDDEN, known);
        self.is_new(known)
    }

    /// Notes a tunnel that its frames come in.
    #[cold]
    pub fn tunnel(&mut self, tunnel: &Tunnel, at: Evidence) {
        let Tunnelled { all: tunnels, .. } = &mut **self.tunnels.get_or_insert_with(Box::default);
        if tunnels.len() < TUNNELS && tunnels.iter().all(|(known, _)| known != tunnel) {
            tunnels.push((*tunnel, at));
        }
    }

    /// What was judged since the last time.
    #[must_use]
    pub fn drain(&mut self) -> Entries {
        self.drained |= !self.entries.is_empty();
        self.cache = None;
        if self.is_whole && self.whole.is_none() {
            self.whole = self.entries.first().cloned().map(Box::new);
        }
        std::mem::take(&mut self.entries)
    }

    /// Nothing was judged yet.
    #[must_use]
    pub fn is_blank(&self) -> bool {
        self.entries.is_empty() && !self.drained
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
            marked: self.marked(case.orientation.client),
            way: Some(parties.way(case.policy, case.orientation.client)),
            truncated: self.truncated,
            ..Request::at(case.at.at)
        }
    }

    #[allow(clippy::too_many_arguments)] // What is asked, around what, and where it is counted.
    fn judge(
        &mut self,
        request: &Request<'_>,
        case: &Case<'_>,
        parties: &Parties<'_>,
        (code, bucket): (u64, String),
        objects: &[Object<'_>],
        outcome: Outcome,
        meters: &mut Meters,
    ) -> Option<Known> {
        let (at, is_request) = (case.at.at, requests(outcome) > 0);
        let sides = self.sides(case.policy, case.orientation, parties, meters);
        let conversation = Arc::clone(&sides.conversation);
        let before = if is_request { std::mem::take(&mut sides.spent) } else { Vec::new() };
        // With one table used up another may still pass, which may be used up as well: at most once each.
        let (judgement, meter) = loop {
            let judgement = conversation.judge(case.policy, &Request { spent: &sides.spent, ..*request });
            let meter = sides.meters.iter().find(|(table, _)| judgement.limited == Some(*table)).copied();
            match meter {
                Some((table, place))
                    if is_request && !sides.spent.contains(&table) && meters.spent(place, at, 1).is_some() =>
                {
                    sides.spent.push(table);
                }
                meter => break (judgement, meter),
            }
        };
        let spent = sides.spent.len();
        // What no rate is about leaves things as they are, as it does when it is known.
        if is_request && meter.is_none() && spent == 0 {
            sides.spent = before;
        }
        let meter = meter.map(|(table, place)| (table, place, sides.spent.contains(&table)));
        let peak = meter.filter(|_| is_request).and_then(|(_, place, _)| meters.spent(place, at, 1));
        if let (Some((_, place, _)), true) = (meter, is_request) {
            meters.operations(place, at, 1);
        }
        let entry = self.enter(&conversation, judgement, (code, bucket), objects, outcome, case.at)?;
        if let Some(entry) = self.entries.get_mut(entry) {
            entry.note_peak(peak);
        }
        // When it hangs on more meters than that of the table which decided, it is judged anew each time.
        let held = spent == usize::from(meter.is_some_and(|(_, _, is_spent)| is_spent));
        Some(Known {
            fingerprint: 0,
            entry: u32::try_from(entry).ok()?,
            code,
            until: if held { judgement.valid_until } else { Timestamp::MIN },
            meter,
        })
    }

    fn enter(
        &mut self,
        conversation: &Conversation,
        judgement: Judgement,
        (code, bucket): (u64, String),
        objects: &[Object<'_>],
        outcome: Outcome,
        at: Evidence,
    ) -> Option<usize> {
        let place = self.entries.iter().position(|known| known.key() == entry::key(&judgement, &bucket));
        let new = || Entry::new(judgement, bucket.into(), conversation.setting(), at);
        let place = place.or_else(|| self.entries.push(new()))?;
        let entry = self.entries.get_mut(place)?;
        entry.tally.count(outcome, at);
        entry.count_code(code, requests(outcome));
        if judgement.verdict.is_finding() {
            objects.iter().for_each(|object| entry.show().objects.add(object));
            entry.add_sample(at);
        }
        Some(place)
    }

    fn sides(
        &mut self,
        policy: &Policy,
        orientation: Orientation,
        parties: &Parties<'_>,
        meters: &mut Meters,
    ) -> &mut Sides {
        let known = self.sides.take().filter(|sides| sides.orientation == orientation);
        self.sides.insert(known.unwrap_or_else(|| Box::new(Sides::find(policy, orientation, parties, meters))))
    }
}

/// What the policy has to say about the two sides of a flow.
#[must_use]
pub fn conversation_of(policy: &Policy, flow: &super::Flow) -> Conversation {
    conversation_among(policy, flow, &|host| Member::at(host.address))
}

/// The same, where more is known of who they are than their frames tell.
#[must_use]
pub fn conversation_among<'a>(
    policy: &'a Policy,
    flow: &super::Flow,
    known: &dyn Fn(Host) -> Member<'a>,
) -> Conversation {
    let paths = [flow.client.paths(), flow.server.paths()];
    conversation(
        policy,
        Orientation { client: Side::A, how: flow.initiator },
        &Parties { key: &key_of(flow), paths },
        known,
    )
}

/// By which way the client's frames of a flow went.
#[must_use]
pub fn way_of(policy: &Policy, flow: &super::Flow) -> Way {
    let paths = [flow.client.paths(), flow.server.paths()];
    Parties { key: &key_of(flow), paths }.way(policy, Side::A)
}

/// A flow as a connection, the client first.
fn key_of(flow: &super::Flow) -> super::connection::ConnectionKey {
    super::connection::ConnectionKey {
        a: flow.key.client.address,
        b: flow.key.server.address,
        ports: [0, flow.key.port],
        transport: flow.key.transport,
        realm: flow.key.client.realm,
    }
}

impl Sides {
    #[cold]
    fn find(policy: &Policy, orientation: Orientation, parties: &Parties<'_>, meters: &mut Meters) -> Self {
        let conversation = conversation(policy, orientation, parties, &|host| Member::at(host.address));
        let [client, server] = [orientation.client, orientation.client.other()].map(|side| parties.key.host(side));
        let limited = conversation.limited(policy).into_iter();
        let meters =
            limited.filter_map(|(table, rates)| Some((table, meters.place(client, server, table, rates)?))).collect();
        Self { orientation, conversation: Arc::new(conversation), meters, spent: Vec::new(), found: Vec::new() }
    }

    fn asks(&self, policy: &Policy, protocol: Option<&str>) -> Asks {
        let conversation = &self.conversation;
        let limits_bytes = |table: Table| policy.rates(table).is_some_and(|rates| rates.bytes.is_some());
        let bytes = |(table, _): &&(Table, u32)| limits_bytes(*table) && conversation.speaks(policy, *table, protocol);
        let rules = conversation.spoken(policy, protocol);
        let known = || rules.iter().filter_map(|number| Some((*number, policy.rules.get(*number as usize)?)));
        Asks {
            bytes: self.meters.iter().filter(bytes).copied().collect(),
            busy: known().filter_map(|(number, rule)| Some((number, rule.max_silence?))).collect(),
            remote: known().find(|(_, rule)| rule.remote_access).map(|(number, _)| number),
        }
    }
}

/// Judges what only the whole of a connection tells: of which no operation is known, at its first frame; that went to
/// all, where it was seen; that came in tunnels, where these lead. `false` when there is nothing to judge any more. ARP is
/// no conversation.
pub fn close(connection: &mut Connection, policy: &Policy, watch: &mut Watch) -> bool {
    let orientation = connection.orientation;
    let to_all = connection.key.end(orientation.client.other()).address.is_group();
    let is_blank = connection.docket.is_blank();
    if connection.key.transport == Transport::Ethertype(ARP)
        || !(is_blank
            || to_all
            || connection.docket.tunnels.as_ref().is_some_and(|known| known.judged < known.all.len()))
    {
        return false;
    }
    let (parties, docket) = connection.parties();
    // Multicast is seen in more places while it goes on.
    let before = docket.sides.as_ref().map(|known| known.conversation.zones());
    if to_all {
        docket.sides = None;
    }
    let conversation = Arc::clone(&docket.sides(policy, orientation, &parties, &mut watch.meters).conversation);
    let mut news = is_blank || before.is_some_and(|before| before != conversation.zones());
    if news {
        whole(connection, policy, &conversation);
    }
    let docket = &mut connection.docket;
    let tunnels = docket.tunnels.as_mut().map(|known| {
        let new = known.all.get(known.judged..).unwrap_or_default().to_vec();
        known.judged = known.all.len();
        new
    });
    for (tunnel, at) in tunnels.into_iter().flatten() {
        let (Some(src), Some(dst)) = (tunnel.src, tunnel.dst) else { continue };
        // A mirror's tunnel carries copies to the sensor and nothing to the devices.
        if tunnel.kind == TunnelKind::Erspan {
            continue;
        }
        if let Some(judgement) = conversation.tunnel(policy, src, dst, at.at) {
            let name = tunnel_name(tunnel.kind, src, dst);
            let object = Object { space: "tunnel", item: Item::Name(&name) };
            let about = (0, name.clone());
            docket.enter(&conversation, judgement, about, &[object], Outcome::Asked, at);
            news = true;
        }
    }
    docket.is_whole |= is_blank;
    news
}

/// A tunnel as its findings name it: both ways are one.
fn tunnel_name(kind: TunnelKind, src: Address, dst: Address) -> String {
    format!("{} {} - {}", kind.text(), src.min(dst), src.max(dst))
}

/// The two ends of the tunnel that a finding names, the lower first; a group is above every host.
#[must_use]
pub fn tunnel_ends(name: &str) -> Option<(Address, Address)> {
    let (rest, upper) = name.rsplit_once(" - ")?;
    let (_, lower) = rest.rsplit_once(' ')?;
    Some((lower.parse().ok()?, upper.parse().ok()?))
}

/// A connection that was judged as a whole goes on: the judgement now reaches to its last frame.
pub fn follow(connection: &mut Connection) {
    let answered = connection.has_sent(connection.orientation.client.other()) && !connection.is_blocked();
    let last = connection.last();
    let docket = &mut connection.docket;
    if let (Some(whole), true, true) = (&mut docket.whole, answered, docket.entries.is_empty()) {
        let mut more = (**whole).clone();
        more.tally = Tally::new(whole.tally.first);
        more.tally.last = last;
        if whole.tally.answered == 0 {
            whole.tally.count(Outcome::Answered, last);
            more.tally.count(Outcome::Answered, last);
        }
        docket.entries.push(more);
    }
}

/// Takes note of a frame for what the policy asks to be watched.
pub fn frame(connection: &mut Connection, policy: &Policy, bytes: u32, payload: bool, at: Evidence, watch: &mut Watch) {
    let (orientation, protocol) = (connection.orientation, connection.dialog.protocol());
    let sides = [orientation.client, orientation.client.other()];
    let (ends, port) = (sides.map(|side| connection.key.host(side)), connection.key.end(sides[1]).port);
    let glance = Glance { orientation, protocol, ends, port, bytes, payload, at };
    let (_, _, record) = connection.split(Side::A);
    let mut attention = std::mem::take(&mut record.docket.attention);
    attention.frame(&glance, watch, |meters| {
        let parties = record.parties();
        let sides = record.docket.sides(policy, orientation, &parties, meters);
        let name = protocol.and_then(|place| dissectors::REGISTRY.get(place)).map(|protocol| protocol.info().name);
        sides.asks(policy, name)
    });
    record.docket.attention = attention;
}

const ARP: u16 = 0x0806;

/// Judges a connection as a whole.
fn whole(connection: &mut Connection, policy: &Policy, conversation: &Conversation) {
    let Orientation { client, .. } = connection.orientation;
    let (parties, _) = connection.parties();
    // Where one way is captured alone, that there is no answer says nothing.
    let sees_one_way = |path: Path| !policy.sees_both_ways(tap(policy, &path));
    let one_way = [client, client.other()].into_iter().any(|side| parties.paths(side).any(sees_one_way));
    let way = parties.way(policy, client);
    let blocked = connection.is_blocked() && !one_way;
    let spent = connection.docket.attention.spent();
    let tables: Vec<Table> = spent.iter().map(|spent| spent.table).collect();
    let evidence = spent.map_or_else(|| connection.first(), |spent| spent.at);
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
        marked: connection.docket.marked(client),
        way: Some(way),
        blocked,
        truncated: connection.docket.truncated,
        spent: &tables,
        ..Request::at(evidence.at)
    };
    let judgement = conversation.judge(policy, &request);
    let leak = judgement.reason == Some(Reason::MulticastLeak);
    let (parties, _) = connection.parties();
    let elsewhere = || parties.first_outside(policy, client, conversation.zones().0);
    let first = leak.then(elsewhere).flatten().unwrap_or(evidence);
    let last = connection.last();
    let answered = connection.has_sent(client.other()) && !blocked;
    let docket = &mut connection.docket;
    let place = docket.enter(conversation, judgement, (0, String::new()), &[], Outcome::Asked, first);
    let Some(entry) = place.and_then(|place| docket.entries.get_mut(place)) else { return };
    if let (Some(spent), true) = (spent, judgement.stage == Some(Stage::Rate)) {
        entry.note_peak(Some(spent.peak));
    }
    if answered {
        entry.tally.count(Outcome::Answered, last);
    }
}

fn conversation<'a>(
    policy: &'a Policy,
    orientation: Orientation,
    parties: &Parties<'_>,
    known: &dyn Fn(Host) -> Member<'a>,
) -> Conversation {
    let Parties { key, .. } = parties;
    let client = orientation.client;
    let member = |side: Side| {
        let path = parties.own_segment(side);
        let address = key.end(side).address;
        Member {
            mac: address.as_mac().or(path.and_then(|path| path.src_mac)),
            vlan: path.and_then(|path| path.vlans.first().copied()).filter(|id| *id != 0),
            tap: path.and_then(|path| policy.tap_name(tap(policy, &path))),
            ..known(key.host(side))
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
    u64::from(outcome.is_request())
}
