use dissectors::recognise::Recognised;

use super::book::Book;
use super::connection::{Connection, Sent, Side, Traffic, is_blocked, is_glimpse};
use super::docket::{self, Docket};
use super::key::{FlowKey, Initiator};
use super::path::Paths;
use crate::ledger::Evidence;
use crate::policy::Markings;

/// What people mean by "A talks to B": all connections of one client to one service.
#[derive(Clone, Debug)]
pub struct Flow {
    /// Its name.
    pub key: FlowKey,
    /// How the client was found, at best.
    pub initiator: Initiator,
    /// Place in the registry of the protocol that its payload was found to be.
    pub protocol: Option<usize>,
    /// Place in the registry of a protocol whose port it is and which its payload is not.
    pub refuted: Option<usize>,
    /// What its payload is by its first bytes, when it is not dissected.
    pub recognised: Option<&'static Recognised>,
    /// Connections.
    pub connections: u64,
    /// Client ports, for the transports that have them: the lowest and the highest.
    pub client_ports: (u16, u16),
    /// What the client sent.
    pub client: SideView,
    /// What the server sent.
    pub server: SideView,
    /// Its first frame.
    pub first: Evidence,
    /// Its last frame.
    pub last: Evidence,
    /// At least one connection was prohibited by an ICMP message.
    pub prohibited: bool,
    /// What was asked and said.
    pub book: Book,
    /// What the policy says of it.
    pub docket: Docket,
}

/// One side of a flow.
#[derive(Clone, Debug, Default)]
pub struct SideView {
    /// Frames and bytes.
    pub traffic: Traffic,
    /// Bytes of payload.
    pub payload: u64,
    /// TCP flags that it has sent.
    pub flags: u8,
    /// By which ways its frames came.
    pub paths: Paths,
    /// How its packets with payload were marked, where the policy asks.
    pub marked: Markings,
}

/// Different paths kept for one side of a flow.
const PATHS: usize = 16;

impl SideView {
    /// What came from one side since the last time.
    fn of(connection: &Connection, side: Side) -> Self {
        let Sent { payload, flags, .. } = connection.half(side).sent;
        Self {
            traffic: connection.traffic(side),
            payload,
            flags,
            paths: connection.paths(side),
            marked: connection.docket.marked(side),
        }
    }

    fn merge(&mut self, other: &Self) {
        self.traffic.merge(&other.traffic);
        self.payload += other.payload;
        self.flags |= other.flags;
        self.paths.merge(&other.paths, PATHS);
        self.marked.add(other.marked);
    }
}

impl Flow {
    /// The flow of one connection that has ended: what it noted is taken from it.
    #[must_use]
    pub fn take(connection: &mut Connection) -> Self {
        let client = connection.orientation.client;
        docket::follow(connection);
        let sides = (SideView::of(connection, client), SideView::of(connection, client.other()));
        let (book, docket) = (std::mem::take(&mut connection.book), std::mem::take(&mut connection.docket));
        Self::new(connection, sides, book.closed(), docket.closed())
    }

    /// What one connection added to its flow since the last time. It goes on.
    #[must_use]
    pub fn drain(connection: &mut Connection) -> Self {
        let client = connection.orientation.client;
        docket::follow(connection);
        let (book, docket) = (connection.book.drain(), connection.docket.drain());
        let sides = (SideView::of(connection, client), SideView::of(connection, client.other()));
        [Side::A, Side::B].into_iter().for_each(|side| connection.restart_count(side));
        let flow = Self::new(connection, sides, book, docket);
        connection.counted = true;
        connection.reopened = 0;
        flow
    }

    fn new(connection: &Connection, (client, server): (SideView, SideView), book: Book, docket: Docket) -> Self {
        let client_port = connection.key.end(connection.orientation.client).port;
        Self {
            key: connection.flow_key(),
            initiator: connection.orientation.how,
            protocol: connection.dialog.protocol(),
            refuted: connection.dialog.refuted(),
            recognised: connection.dialog.recognised(),
            connections: u64::from(!connection.counted) + u64::from(connection.reopened),
            client_ports: (client_port, client_port),
            client,
            server,
            first: connection.first(),
            last: connection.last(),
            prohibited: connection.prohibited,
            book,
            docket,
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
        self.first = self.first.min(other.first);
        self.last = self.last.max(other.last);
        self.prohibited |= other.prohibited;
        self.book.merge(std::mem::take(&mut other.book));
        self.docket.merge(std::mem::take(&mut other.docket));
    }

    /// Frames of both sides, mirror copies not counted.
    #[must_use]
    pub fn frames(&self) -> u64 {
        self.client.traffic.frames + self.server.traffic.frames
    }

    /// A few frames that nobody answered, to one host: each says little, and anybody can send many.
    #[must_use]
    pub fn is_glimpse(&self) -> bool {
        is_glimpse([self.client.traffic.frames, self.server.traffic.frames]) && !self.key.server.address.is_group()
    }

    /// Nothing came of it: no answer, a reset, or an ICMP prohibition.
    #[must_use]
    pub fn is_blocked(&self) -> bool {
        let side = |side: &SideView| (side.flags, side.payload > 0);
        is_blocked(side(&self.client), side(&self.server), self.prohibited)
    }
}
