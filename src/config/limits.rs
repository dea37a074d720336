//! Every limit of the pipeline, with its unit and default. Each that bites is counted and shown.

use crate::decode::fragments::FragmentLimits;
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
    /// State of one dissector session.
    pub session: dissectors::Limits,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 1 << 17,
            flows: FlowLimits { flows: 1 << 18, glimpses: 1 << 14, per_pair: 64 },
            fragments: FragmentLimits::default(),
            ledger: LedgerLimits { subjects: 1 << 16, facts: 256 },
            links: 1 << 16,
            meters: 1 << 16,
            timings: 0,
            order: OrderLimits::default(),
            session: dissectors::Limits::default(),
        }
    }
}

impl Limits {
    /// The limits of a sensor, with which all tables together stay within so many bytes: each takes its share of the budget, in the
    /// proportions of the default, which is made for [`Self::BUDGET`].
    ///
    /// The bytes of an entry were measured (docs/sensor.md says how); a plant rarely fills one table, and a flood fills
    /// those of connections, flows and subjects at the same time.
    #[must_use]
    pub fn within(bytes: u64) -> Self {
        let all = Self::default();
        let scaled = |count: usize| {
            let share = (count as u128).saturating_mul(bytes.into()) / u128::from(Self::BUDGET);
            usize::try_from(share).unwrap_or(usize::MAX).clamp(64, 1 << 24)
        };
        Self {
            connections: scaled(all.connections),
            flows: FlowLimits { flows: scaled(all.flows.flows), glimpses: scaled(all.flows.glimpses), ..all.flows },
            ledger: LedgerLimits { subjects: scaled(all.ledger.subjects), ..all.ledger },
            links: scaled(all.links),
            timings: 256,
            ..all
        }
    }

    /// The budget for which the defaults are made.
    pub const BUDGET: u64 = 256 << 20;

    /// The part of one of `shards` equal shards.
    #[must_use]
    pub fn share(&self, shards: usize) -> Self {
        let part = |whole: usize| (whole / shards.max(1)).max(1);
        Self {
            connections: part(self.connections),
            flows: FlowLimits { flows: part(self.flows.flows), glimpses: part(self.flows.glimpses), ..self.flows },
            ledger: LedgerLimits { subjects: part(self.ledger.subjects), ..self.ledger },
            links: part(self.links),
            meters: part(self.meters),
            ..*self
        }
    }
}
