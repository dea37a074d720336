//! Every limit of the pipeline, with its unit and default. Each that bites is counted and shown.

use crate::decode::fragments::{FragmentLimits, MAX_DATAGRAM};
use crate::flow::table::FlowLimits;
use crate::ledger::LedgerLimits;
use crate::stream::OrderLimits;

/// Limits of the pipeline.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Connections whose state is kept. At the limit the one that is longest idle and speaks no known protocol is added
    /// to its flow and forgotten.
    pub connections: usize,
    /// Flows.
    pub flows: FlowLimits,
    /// Fragments that wait for the rest of their datagram.
    pub fragments: FragmentLimits,
    /// Facts.
    pub ledger: LedgerLimits,
    /// Conversations that another one announced (CIP connections).
    pub links: usize,
    /// Rates that are measured: allow tables that declare one, for each client-server pair.
    pub meters: usize,
    /// Pairs of zones with a protocol of which poll intervals and response times are measured; 0: of none. Further ones are
    /// measured together.
    pub timings: usize,
    /// Segments out of order.
    pub order: OrderLimits,
    /// Bytes of frames that were read from interfaces and wait for a worker. At the limit they stay in the
    /// kernel's ring; what it cannot hold it drops, and counts.
    pub queue: usize,
    /// Findings. Above, those of the least severity are left out, and counted.
    pub findings: usize,
    /// State of one dissector session.
    pub session: dissectors::Limits,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 13 << 12,
            flows: FlowLimits { flows: 13 << 13, glimpses: 7 << 11, per_pair: 64 },
            fragments: FragmentLimits::default(),
            ledger: LedgerLimits { subjects: 13 << 11, facts: 256, total: 13 << 13 },
            links: 1 << 16,
            meters: 1 << 16,
            timings: 0,
            order: OrderLimits::default(),
            queue: 16 << 20,
            findings: 1 << 20,
            session: dissectors::Limits::default(),
        }
    }
}

/// A queue that holds some full batches, whatever the budget is.
const QUEUE: usize = 4 << 20;

impl Limits {
    /// The limits with which a whole process stays within so many bytes: each table takes its share of what the program
    /// itself leaves, in the proportions of the default, which is made for [`Self::BUDGET`].
    ///
    /// They were measured (tests/budget.rs): a plant rarely fills one table, and a flood fills those of connections, flows
    /// and subjects at the same time.
    #[must_use]
    pub fn within(bytes: u64) -> Self {
        // A finding takes some 5 KB: all together a sixth.
        let findings = usize::try_from(bytes >> 15).unwrap_or(usize::MAX).max(64);
        let tables = Self::scaled(bytes.saturating_sub(Self::PROGRAM), Self::BUDGET - Self::PROGRAM);
        Self { findings, ..tables }
    }

    /// The limits with which the tables of a sensor stay within so many bytes, with what is concluded from them at each
    /// flush: it keeps flows and facts beside those that its shards have [between two](Self::between_flushes). `judged`: there
    /// is a policy.
    #[must_use]
    pub fn watching(bytes: u64, judged: bool) -> Self {
        let all = Self::default();
        let (judged, judging) = if judged { (Self::JUDGED, Self::JUDGING) } else { (0, 0) };
        let twice = |each: u64| each + each / Self::FLUSHES as u64;
        // A connection that has to go is in its flow, of which more is known than of the connection.
        let connections = all.connections / 4 * 3;
        let whole = connections as u64 * (Self::CONNECTION + judging)
            + all.flows.flows as u64 * (twice(Self::FLOW + judged) + Self::CONCLUDED)
            + all.ledger.subjects as u64 * twice(Self::SUBJECT);
        let tables = Self::scaled(bytes, whole);
        Self { connections: (tables.connections / 4 * 3).max(64), ..tables }
    }

    /// The default tables, made as much smaller as one number of bytes is than another.
    fn scaled(bytes: u64, whole: u64) -> Self {
        let all = Self::default();
        let scaled = |count: usize| {
            let share = (count as u128).saturating_mul(bytes.into());
            usize::try_from(share / u128::from(whole)).unwrap_or(usize::MAX).clamp(64, 1 << 30)
        };
        Self {
            connections: scaled(all.connections),
            flows: FlowLimits { flows: scaled(all.flows.flows), glimpses: scaled(all.flows.glimpses), ..all.flows },
            fragments: FragmentLimits { bytes: scaled(all.fragments.bytes), ..all.fragments },
            ledger: LedgerLimits {
                subjects: scaled(all.ledger.subjects),
                total: scaled(all.ledger.total),
                ..all.ledger
            },
            links: scaled(all.links),
            meters: scaled(all.meters),
            order: OrderLimits { total: scaled(all.order.total), ..all.order },
            queue: scaled(all.queue).max(QUEUE),
            timings: 256,
            findings: all.findings,
            session: all.session,
        }
    }

    /// Bytes of a flow with its operations and its places in the table (tests/memory.rs: 490 over a plant, 505 of a poller).
    pub const FLOW: u64 = 544;

    /// Bytes of what a policy says of it, as measured there: 320 over a plant that breaks it often; where all of it is found
    /// fault with, 500.
    pub const JUDGED: u64 = 384;

    /// Bytes of an open connection with the state of its dissector, as measured there of a poller.
    pub const CONNECTION: u64 = 1600;

    /// Bytes of what it needs to be judged.
    pub const JUDGING: u64 = 1280;

    /// Bytes of a host or its component with its facts, and as an asset (as measured there).
    pub const SUBJECT: u64 = 3700;

    /// Bytes for each flow while a sensor concludes, tells and writes what changed. A third of it are the ids of before and
    /// those of now.
    pub const CONCLUDED: u64 = 512;

    /// The budget for which the defaults are made.
    pub const BUDGET: u64 = 288 << 20;

    /// What is there beside the tables: the program, its names and a policy, the addresses that requests name (of each worker
    /// 4 MiB at most), and a report while it is written.
    pub const PROGRAM: u64 = 40 << 20;

    /// What a sensor needs beside that: its store with the rows that wait to be written, and what findings were made of,
    /// before and now.
    pub const SERVICE: u64 = 10 << 20;

    /// What the shards of a sensor need, which keeps these: they are drained every flush, and earlier when they fill.
    #[must_use]
    pub fn between_flushes(&self) -> Self {
        let part = |whole: usize| (whole / Self::FLUSHES).max(1);
        let LedgerLimits { subjects, facts, total } = self.ledger;
        Self {
            flows: FlowLimits { flows: part(self.flows.flows), glimpses: part(self.flows.glimpses), ..self.flows },
            ledger: LedgerLimits { subjects: part(subjects), facts, total: part(total) },
            ..*self
        }
    }

    /// One flush brings at most one part of so many of what a sensor keeps.
    pub const FLUSHES: usize = 4;

    /// The part of one of `shards` equal shards.
    #[must_use]
    pub fn share(&self, shards: usize) -> Self {
        let part = |whole: usize| (whole / shards.max(1)).max(1);
        Self {
            connections: part(self.connections),
            flows: FlowLimits { flows: part(self.flows.flows), glimpses: part(self.flows.glimpses), ..self.flows },
            ledger: LedgerLimits {
                subjects: part(self.ledger.subjects),
                total: part(self.ledger.total),
                ..self.ledger
            },
            fragments: FragmentLimits {
                bytes: part(self.fragments.bytes).max(MAX_DATAGRAM),
                datagrams: part(self.fragments.datagrams),
                ..self.fragments
            },
            links: part(self.links),
            meters: part(self.meters),
            order: OrderLimits { total: part(self.order.total), ..self.order },
            ..*self
        }
    }
}
