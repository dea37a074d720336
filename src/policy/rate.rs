//! Rates that a policy declares, and what is needed to hold traffic against them.
//!
//! A rate is declared in an allow table, of a rule or of a zone's inside list, and measured for that table and one pair, by whoever sees the
//! packets; the policy only says which tables ask for it ([`Conversation::limited`]) and is told which of them are spent
//! ([`Request::spent`](super::Request::spent)).

use std::fmt;
use std::time::Duration;

use super::conversation::{Cast, Conversation};
use super::judge::{Request, Statement};
use super::model::{Allow, Policy, Rule};
use super::word::Rate;
use crate::time::Timestamp;

/// An allow table of a conduit, of an exception, or of a zone's inside list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Table {
    /// Whose it is.
    pub statement: Statement,
    /// The table, by its place there.
    pub place: u32,
}

/// What an allow table limits.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rates {
    /// Operations: requests, and messages that want no reply.
    pub operations: Option<Rate>,
    /// Bytes on the wire, both ways.
    pub bytes: Option<Rate>,
}

impl Rates {
    pub(super) fn of(allow: &Allow) -> Option<Self> {
        let rates = Self { operations: allow.max_rate, bytes: allow.max_bytes };
        (rates.operations.is_some() || rates.bytes.is_some()).then_some(rates)
    }
}

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Measure {
    /// Requests, and messages that want no reply.
    Operations,
    /// Bytes on the wire, both ways.
    Bytes,
}

impl Measure {
    /// `operations`, `bytes`.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::Operations => "operations",
            Self::Bytes => "bytes",
        }
    }
}

/// The most that was counted in one window of a rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peak {
    /// Of what.
    pub measure: Measure,
    /// How much.
    pub most: u64,
    /// What is declared.
    pub limit: Rate,
}

impl Peak {
    /// Orders by how far it is above what is declared.
    #[must_use]
    pub fn worse(self, other: Self) -> Self {
        let share = |peak: &Self, of: &Self| u128::from(peak.most) * u128::from(of.limit.count);
        if share(&other, &self) > share(&self, &other) { other } else { self }
    }
}

/// `allows 50 operations a second, and 125 were counted in one`.
impl fmt::Display for Peak {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { measure, most, limit } = self;
        let of = measure.text();
        write!(f, "allows {} {of} a {}, and {most} were counted in one", limit.count, limit.unit())
    }
}

impl Policy {
    /// The allow tables of a statement.
    pub(super) fn tables(&self, statement: Statement) -> &[Allow] {
        match statement {
            Statement::Rule(number) => self.rule(number).map_or(&[], |rule| &rule.allow),
            Statement::Inside(zone) => &self.zone(zone).inside.allow,
            Statement::Deny(_) | Statement::Ignore(_) => &[],
        }
    }

    fn table(&self, table: Table) -> Option<&Allow> {
        self.tables(table.statement).get(table.place as usize)
    }

    /// What an allow table limits; none when it declares no rate.
    #[must_use]
    pub fn rates(&self, table: Table) -> Option<Rates> {
        Rates::of(self.table(table)?)
    }
}

impl Policy {
    /// Whether some rule asks about the frames of its conversations: a limit of bytes, a marking, the stations behind an
    /// address, sessions of remote access, or the expectation to be busy.
    #[must_use]
    pub fn watches_frames(&self) -> bool {
        let asks = |allow: &Allow| allow.max_bytes.is_some() || allow.dscp.is_some();
        let watched = |rule: &Rule| rule.remote_access || rule.max_silence.is_some() || rule.allow.iter().any(asks);
        self.names_stations()
            || self.rules.iter().any(watched)
            || self.zones.iter().any(|zone| zone.inside.allow.iter().any(asks))
    }

    /// The shortest of the silences that rules may have at the longest.
    #[must_use]
    pub fn shortest_silence(&self) -> Option<Duration> {
        self.rules.iter().filter_map(|rule| rule.max_silence).min()
    }
}

impl Conversation {
    /// The rules that may decide about these two sides, and speak of what they speak.
    #[must_use]
    pub fn spoken(&self, policy: &Policy, protocol: Option<&str>) -> Vec<u32> {
        let speaks = |number: &u32| {
            let statement = Statement::Rule(*number);
            let places = policy.tables(statement).len();
            (0..).take(places).any(|place| self.speaks(policy, Table { statement, place }, protocol))
        };
        self.candidates.iter().map(|(number, _)| *number).filter(speaks).collect()
    }

    /// The tables that may decide about these two sides and declare a rate.
    #[must_use]
    pub fn limited(&self, policy: &Policy) -> Vec<(Table, Rates)> {
        let rules = self.candidates.iter().map(|(number, _)| Statement::Rule(*number));
        let inside = (self.client.zone == self.destination).then_some(Statement::Inside(self.client.zone));
        let limited = |statement: Statement| {
            let places = (0..).zip(policy.tables(statement));
            places.filter_map(move |(place, allow)| Some((Table { statement, place }, Rates::of(allow)?)))
        };
        rules.chain(inside).flat_map(limited).collect()
    }

    /// Whether a table speaks of what these sides speak, whatever they ask: by the protocol that the bytes confirmed,
    /// else by the port.
    #[must_use]
    pub fn speaks(&self, policy: &Policy, table: Table, protocol: Option<&str>) -> bool {
        let allow = policy.table(table);
        // An answer does not depend on the time as long as no rule is asked.
        let request = Request { protocol, opaque: true, ..Request::at(Timestamp::MIN) };
        let asked = self.asked(policy, &request);
        self.cast == Cast::Unicast && allow.is_some_and(|allow| self.try_allow(policy, allow, &asked).is_ok())
    }
}
