use std::num::NonZeroU8;

use dissectors::recognise::Recognised;
use dissectors::{Protocol, REGISTRY};

use super::book::Book;
use super::connection::{Connection, Side, is_blocked, is_glimpse};
use super::docket;
use super::entry::Entries;
use super::key::{FlowKey, Initiator};
use super::side::SideView;
use crate::ledger::Evidence;

/// What people mean by "A talks to B": all connections of one client to one service.
///
/// A plant has as many as nothing else, and each is kept for long: what few of them have stands in boxes.
#[derive(Clone, Debug)]
pub struct Flow {
    /// Its name.
    pub key: FlowKey,
    /// Connections.
    pub connections: u64,
    /// What its payload is by its first bytes, when it is not dissected.
    pub recognised: Option<&'static Recognised>,
    /// Client ports, for the transports that have them: the lowest and the highest.
    pub client_ports: (u16, u16),
    /// How the client was found, at best.
    pub initiator: Initiator,
    /// At least one connection was prohibited by an ICMP message.
    pub prohibited: bool,
    /// The protocol that its payload was found to be.
    pub protocol: Option<Place>,
    /// A protocol whose port it is and which its payload is not.
    pub refuted: Option<Place>,
    /// What the client sent.
    pub client: SideView,
    /// What the server sent.
    pub server: SideView,
    /// What was asked and said.
    pub book: Book,
    /// What the policy says of it.
    pub judged: Entries,
}

/// There are as many of these as nothing else is of: see docs/performance.md.
const _: () = assert!(size_of::<Flow>() <= 288);

/// A protocol by its place in the registry, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place(NonZeroU8);

impl Place {
    /// A place, from 0.
    #[must_use]
    pub fn of(place: usize) -> Option<Self> {
        NonZeroU8::new(u8::try_from(place + 1).ok()?).map(Self)
    }

    fn protocol(self) -> Option<&'static dyn Protocol> {
        REGISTRY.get(usize::from(self.0.get()) - 1).copied()
    }
}

impl Flow {
    /// The flow of one connection that has ended: what it noted is taken from it.
    #[must_use]
    pub fn take(connection: &mut Connection) -> Self {
        docket::follow(connection);
        let book = std::mem::take(&mut connection.book).closed();
        let judged = std::mem::take(&mut connection.docket.entries);
        let flow = Self::new(connection, book, judged);
        connection.docket = docket::Docket::default();
        flow
    }

    /// What one connection added to its flow since the last time. It goes on.
    #[must_use]
    pub fn drain(connection: &mut Connection) -> Self {
        docket::follow(connection);
        let (book, judged) = (connection.book.drain(), connection.docket.drain());
        let flow = Self::new(connection, book, judged);
        [Side::A, Side::B].into_iter().for_each(|side| connection.restart_count(side));
        connection.counted = true;
        connection.reopened = 0;
        flow
    }

    fn new(connection: &Connection, book: Book, judged: Entries) -> Self {
        let client = connection.orientation.client;
        let client_port = connection.key.end(client).port;
        Self {
            key: connection.flow_key(),
            initiator: connection.orientation.how,
            protocol: connection.dialog.protocol().and_then(Place::of),
            refuted: connection.dialog.refuted().and_then(Place::of),
            recognised: connection.dialog.recognised(),
            connections: u64::from(!connection.counted) + u64::from(connection.reopened),
            client_ports: (client_port, client_port),
            client: SideView::of(connection, client),
            server: SideView::of(connection, client.other()),
            prohibited: connection.prohibited,
            book,
            judged,
        }
    }

    /// Adds another part of the same flow, whose notes are taken.
    pub fn merge(&mut self, other: &mut Self) {
        self.initiator = self.initiator.min(other.initiator);
        self.protocol = self.protocol.or(other.protocol);
        self.refuted = self.refuted.or(other.refuted);
        // Parts of one flow come together in no order: the least stands for all.
        self.recognised = self.recognised.into_iter().chain(other.recognised).min_by_key(|it| (it.name, it.version));
        self.connections += other.connections;
        self.client_ports.0 = self.client_ports.0.min(other.client_ports.0);
        self.client_ports.1 = self.client_ports.1.max(other.client_ports.1);
        self.client.merge(&other.client);
        self.server.merge(&other.server);
        self.prohibited |= other.prohibited;
        self.book.merge(std::mem::take(&mut other.book));
        self.judged.merge(std::mem::take(&mut other.judged));
    }

    /// The protocol that its payload was found to be.
    #[must_use]
    pub fn dissected(&self) -> Option<&'static dyn Protocol> {
        self.protocol?.protocol()
    }

    /// A protocol whose port it is and which its payload is not.
    #[must_use]
    pub fn not_dissected(&self) -> Option<&'static dyn Protocol> {
        self.refuted?.protocol()
    }

    /// Its first frame.
    #[must_use]
    pub fn first(&self) -> Evidence {
        self.spans().map(|(first, _)| first).min().unwrap_or_default()
    }

    /// Its last frame.
    #[must_use]
    pub fn last(&self) -> Evidence {
        self.spans().map(|(_, last)| last).max().unwrap_or_default()
    }

    fn spans(&self) -> impl Iterator<Item = (Evidence, Evidence)> {
        [&self.client, &self.server].into_iter().filter_map(SideView::span)
    }

    /// It begins and ends with these frames at the latest and earliest, even if they came by ways that are not kept.
    pub fn reach(&mut self, first: Evidence, last: Evidence) {
        if first < self.first() || last > self.last() {
            self.client.reach(first, last);
        }
    }

    /// Frames of both sides, mirror copies not counted.
    #[must_use]
    pub fn frames(&self) -> u64 {
        self.client.traffic().frames + self.server.traffic().frames
    }

    /// A few frames that nobody answered, to one host: each says little, and anybody can send many.
    #[must_use]
    pub fn is_glimpse(&self) -> bool {
        is_glimpse([self.client.traffic().frames, self.server.traffic().frames]) && !self.key.server.address.is_group()
    }

    /// Nothing came of it: no answer, a reset, or an ICMP prohibition.
    #[must_use]
    pub fn is_blocked(&self) -> bool {
        let side = |side: &SideView| (side.flags, side.payload > 0);
        is_blocked(side(&self.client), side(&self.server), self.prohibited)
    }
}
