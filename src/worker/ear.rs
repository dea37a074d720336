//! What a dialog says is written down: operations, identities, protection, anomalies.

use dissectors::{
    ComponentId, Direction, Identity, Link, LinkSide, Observation, Operation, Outcome, Party, REGISTRY, Role, Sink,
};

use super::Notes;
use crate::address::Host;
use crate::bounded;
use crate::flow::book::Entered;
use crate::flow::connection::{Orientation, Record, Side};
use crate::flow::dialog::Listener;
use crate::flow::docket::Case;
use crate::flow::hash::Secret;
use crate::flow::key::Initiator;
use crate::flow::mark::Marked;
use crate::flow::ops;
use crate::flow::repeats::Ending;
use crate::ledger::{Evidence, Fact, FactKey, Subject, Support};
use crate::policy::Policy;
use crate::stream::Piece;

/// Hears what a dialog says, and writes it down.
pub(super) struct Ear<'a> {
    record: Record<'a>,
    pub(super) notes: &'a mut Notes,
    protocol: usize,
    sender: Side,
    at: Evidence,
    ending: Ending,
}

impl<'a> Ear<'a> {
    /// For a message of that side, in that frame, which has that ending.
    pub(super) fn new(record: Record<'a>, notes: &'a mut Notes, sender: Side, at: &Evidence, ending: Ending) -> Self {
        Self { record, notes, protocol: 0, sender, at: *at, ending }
    }
}

/// What a judgement is asked with.
fn case<'a>(policy: &'a Policy, record: &Record<'_>, protocol: usize, sender: Side, at: Evidence) -> Option<Case<'a>> {
    let protocol = REGISTRY.get(protocol).copied()?;
    Some(Case {
        policy,
        protocol,
        protection: record.book.protection().clone(),
        orientation: *record.orientation,
        sender,
        at,
    })
}

impl Listener for Ear<'_> {
    #[inline]
    fn sink(&mut self, protocol: usize, sender: Side, at: &Evidence) -> &mut dyn Sink {
        self.protocol = protocol;
        self.sender = sender;
        self.at = *at;
        self
    }

    fn limits(&self) -> dissectors::Limits {
        self.notes.limits.session
    }

    #[inline]
    fn direction(&self, sender: Side) -> Direction {
        if sender == self.record.orientation.client { Direction::ToServer } else { Direction::ToClient }
    }

    fn role(&mut self, sender: Side, role: Role) {
        let client = if role == Role::Client { sender } else { sender.other() };
        self.record.orientation.improve(client, Initiator::Seen);
    }

    #[inline]
    fn pdu(&mut self, protocol: usize, pdu: &[u8]) {
        if let (Some(coverage), Some(p)) = (self.notes.coverage.protocols.get_mut(protocol), REGISTRY.get(protocol)) {
            coverage.pdus += 1;
            coverage.bytes += pdu.len() as u64;
            coverage.message(p.message(pdu), 1);
        }
    }

    fn skipped(&mut self, protocol: usize, bytes: u64) {
        if let Some(coverage) = self.notes.coverage.protocols.get_mut(protocol) {
            coverage.skipped_bytes += bytes;
        }
    }

    fn panicked(&mut self, _protocol: usize) {
        self.notes.coverage.panics += 1;
    }
}

impl Sink for Ear<'_> {
    fn operation(&mut self, operation: &Operation<'_>) {
        if self.record.orientation.how != Initiator::Seen {
            self.learn_roles(operation.outcome);
        }
        let fingerprint = ops::fingerprint(self.notes.secret, operation);
        let entered = self.record.book.operation(fingerprint, self.sender, operation, self.at, self.ending);
        self.judge(fingerprint, operation);
        match entered {
            Entered::Yes(None) => {}
            Entered::Yes(Some(interval)) => {
                if let Some(timings) = &mut self.notes.timings {
                    // Without a policy the docket was not prefetched.
                    let zones = self.notes.policy.as_ref().and_then(|_| self.record.docket.zones());
                    timings.note(interval, zones, self.protocol);
                }
            }
            Entered::No => self.notes.coverage.limit("operations-per-flow", 1),
        }
    }

    fn observe(&mut self, observation: Observation<'_>) {
        match observation {
            Observation::Operation(operation) => self.operation(&operation),
            Observation::Identity(identity) => self.identity(&identity),
            Observation::Security(security) => {
                if self.record.book.security(&security) {
                    self.record.docket.unsettle();
                }
            }
            Observation::Link(link) => self.link(link),
            Observation::Anomaly(anomaly) => {
                self.record.book.anomaly(&anomaly, self.at);
                if let Some(coverage) = self.notes.coverage.protocols.get_mut(self.protocol) {
                    coverage.anomalies += 1;
                }
            }
            Observation::Opaque(_) => {
                self.record.book.note_opaque();
                self.hidden();
                if let Some(coverage) = self.notes.coverage.protocols.get_mut(self.protocol) {
                    coverage.opaque += 1;
                }
            }
        }
    }
}

impl Ear<'_> {
    /// A gap is what the tap lost.
    pub(super) fn loss(&mut self, piece: Piece<'_>) {
        if let Piece::Gap(lost @ 1..) = piece {
            self.notes.watch.loss(lost, self.at.at);
        }
    }

    #[inline]
    fn judge(&mut self, fingerprint: u64, operation: &Operation<'_>) {
        if let Some(policy) = &self.notes.policy
            && !self.record.docket.known(fingerprint, operation.outcome, self.at, &mut self.notes.watch.meters)
            && let Some(case) = case(policy, &self.record, self.protocol, self.sender, self.at)
        {
            let parties = self.record.parties();
            let meters = &mut self.notes.watch.meters;
            if self.record.docket.operation(fingerprint, operation, &case, &parties, meters) {
                self.notes.marks.note(self.record.key, self.at, Marked::Finding);
            }
        }
    }

    /// A message whose meaning is hidden is judged by what is known around it.
    fn hidden(&mut self) {
        if let Some(policy) = &self.notes.policy
            && let Some(case) = case(policy, &self.record, self.protocol, self.sender, self.at)
        {
            let parties = self.record.parties();
            if self.record.docket.hidden(&case, &parties, &mut self.notes.watch.meters) {
                self.notes.marks.note(self.record.key, self.at, Marked::Finding);
            }
        }
    }

    /// A request tells who asks; a reply tells it too, but its request was not seen.
    #[cold]
    fn learn_roles(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::Asked => self.record.orientation.improve(self.sender, Initiator::Seen),
            // A message that wants no reply may come from either end (cyclic I/O): it tells nothing.
            Outcome::Told => {}
            _ => self.record.orientation.improve(self.sender.other(), Initiator::Inferred),
        }
    }

    fn party(&self, party: Party) -> Side {
        match party {
            Party::Sender => self.sender,
            Party::Receiver => self.sender.other(),
        }
    }

    fn identity(&mut self, identity: &Identity<'_>) {
        let host = self.record.key.host(self.party(identity.party));
        if host.address.is_group() || host.address.is_unspecified() {
            return;
        }
        let Self { protocol, at, .. } = *self;
        let Notes { tail, ledger, limits, secret, marks, .. } = &mut *self.notes;
        // Devices repeat what they say: what was heard a moment ago is only counted.
        let fingerprint = fingerprint(*secret, host, protocol, identity);
        if tail.again(fingerprint, at) {
            return;
        }
        marks.note_fact(fingerprint, self.record.key, at);
        let protocol = REGISTRY.get(protocol).map_or("", |p| p.info().name);
        let value = bounded::text(&identity.value, limits.session.text);
        let subject = Subject { host, component: ops::component_text(identity.component) };
        let key = FactKey { attribute: identity.attribute, value: value.into(), protocol, method: identity.method };
        let support = Support { count: 1, first: at, last: at, weight: identity.weight, basis: identity.basis };
        tail.push(fingerprint, subject, Fact { key, support }, ledger);
    }

    fn link(&mut self, link: Link) {
        let pair = (self.record.key.host(Side::A), self.record.key.host(Side::B), link.protocol, link.key);
        match link.side {
            LinkSide::Opens(party) => {
                let opener = self.record.key.host(self.party(party));
                self.notes.marks.note(self.record.key, self.at, Marked::SetUp);
                if self.notes.links.len() < self.notes.limits.links || self.notes.links.contains_key(&pair) {
                    self.notes.links.insert(pair, opener);
                } else {
                    self.notes.coverage.limit("links", 1);
                }
            }
            LinkSide::Uses => {
                if let Some(opener) = self.notes.links.get(&pair) {
                    let client = if *opener == pair.0 { Side::A } else { Side::B };
                    *self.record.orientation = Orientation { client, how: Initiator::Seen };
                }
            }
        }
    }
}

/// A number that tells what was said of whom apart within one process.
fn fingerprint(secret: Secret, host: Host, protocol: usize, identity: &Identity<'_>) -> u64 {
    let [first, second] = host.address.words();
    let address = |text: &'static str| text.as_ptr().addr() as u64; // They are constants.
    let how = u64::from(host.realm.0) << 32 | (protocol as u64) << 16 | (identity.method as u64) << 8;
    let sum = secret.mix(secret.mix(first, second), how | u64::from(identity.weight));
    let sum = secret.mix(sum ^ address(identity.attribute.0), address(identity.basis));
    let sum = match identity.component {
        None => sum,
        Some(component) => {
            let sum = secret.mix(sum, address(component.space));
            match component.id {
                ComponentId::Number(number) => secret.mix(sum, number.into()),
                ComponentId::Path(path) => secret.bytes(sum, path.as_bytes()),
            }
        }
    };
    secret.bytes(sum, identity.value.as_bytes())
}
