//! Rates as they are, for the allow tables that declare one: operations and bytes of one client-server pair.
//!
//! Windows are laid at whole units of UTC, as long as the unit of the rate: `50/s` counts from one full second to the
//! next, `50MB/h` from one full hour to the next. So they are the same wherever a capture begins, on every sensor and for
//! any number of workers, and a meter is two numbers however fast the traffic is. The price: a burst across a border
//! counts in part on either side, so that up to twice the rate may pass within one unit unseen, but never within two.

use std::collections::HashMap;

use ahash::RandomState;

use crate::address::Host;
use crate::policy::{Measure, Peak, Rate, Rates, Table};
use crate::time::Timestamp;

/// A count in windows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gauge {
    /// What is declared.
    pub limit: Rate,
    /// The most in one window.
    pub most: u64,
    /// In all.
    pub total: u64,
    /// The number of the window that is counted in, since the epoch.
    window: i64,
    count: u64,
    first: Option<i64>,
}

impl Gauge {
    fn new(limit: Rate) -> Self {
        Self { limit, most: 0, total: 0, window: i64::MIN, count: 0, first: None }
    }

    /// What is in the window of that time. What comes late, by disorder in a capture, counts in the window that is open.
    fn at(&self, at: Timestamp) -> (i64, u64) {
        let window = at.nanos().div_euclid(i64::from(self.limit.seconds.max(1)) * 1_000_000_000);
        if window > self.window { (window, 0) } else { (self.window, self.count) }
    }

    fn count(&mut self, at: Timestamp, more: u64) {
        let (window, count) = self.at(at);
        self.window = window;
        self.count = count.saturating_add(more);
        self.total = self.total.saturating_add(more);
        self.most = self.most.max(self.count);
        self.first.get_or_insert(window);
    }

    /// Adds what was counted of the same thing at another time.
    fn merge(&mut self, other: &Self) {
        self.most = self.most.max(other.most);
        self.total = self.total.saturating_add(other.total);
        if other.window >= self.window {
            (self.window, self.count) = (other.window, other.count);
        }
        self.first = self.first.into_iter().chain(other.first).min();
    }

    /// Whether the rate is used up when so much more comes.
    fn is_spent(&self, at: Timestamp, more: u64) -> bool {
        self.at(at).1.saturating_add(more) > self.limit.count
    }

    /// The windows from the first to the last that something was counted in.
    #[must_use]
    pub fn windows(&self) -> u64 {
        let first = self.first.unwrap_or(self.window);
        u64::try_from(self.window.saturating_sub(first)).unwrap_or(0).saturating_add(1)
    }
}

/// The rates of one table between one client and one server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Meter {
    /// Who asks.
    pub client: Host,
    /// Who answers.
    pub server: Host,
    /// The table that declares the rate.
    pub table: Table,
    /// Requests, and messages that want no reply.
    pub operations: Option<Gauge>,
    /// Bytes on the wire, both ways.
    pub bytes: Option<Gauge>,
}

impl Meter {
    /// What is used up at that time, were so many operations more asked; none while there is room.
    fn spent(&self, at: Timestamp, operations: u64) -> Option<Peak> {
        let peak = |measure, gauge: &Gauge, more| {
            let most = gauge.at(at).1.saturating_add(more);
            gauge.is_spent(at, more).then_some(Peak { measure, most, limit: gauge.limit })
        };
        let operations = self.operations.as_ref().and_then(|gauge| peak(Measure::Operations, gauge, operations));
        let bytes = self.bytes.as_ref().and_then(|gauge| peak(Measure::Bytes, gauge, 0));
        match (operations, bytes) {
            (Some(one), Some(other)) => Some(one.worse(other)),
            (one, other) => one.or(other),
        }
    }
}

/// The meters of one shard. At the limit a further table of a further pair is not measured, which is counted.
#[derive(Clone, Debug)]
pub struct Meters {
    meters: Vec<Meter>,
    places: HashMap<(Host, Host, Table), u32, RandomState>,
    most: usize,
    /// Tables of pairs that were not measured.
    pub refused: u64,
}

impl Meters {
    /// None yet, and never more than `most`.
    #[must_use]
    pub fn new(most: usize) -> Self {
        Self { meters: Vec::new(), places: HashMap::default(), most, refused: 0 }
    }

    /// The place of a meter, which may be new.
    pub fn place(&mut self, client: Host, server: Host, table: Table, rates: Rates) -> Option<u32> {
        if let Some(place) = self.places.get(&(client, server, table)) {
            return Some(*place);
        }
        let place = u32::try_from(self.meters.len()).ok().filter(|_| self.meters.len() < self.most);
        let Some(place) = place else {
            self.refused += 1;
            return None;
        };
        let gauge = |rate: Option<Rate>| rate.map(Gauge::new);
        let (operations, bytes) = (gauge(rates.operations), gauge(rates.bytes));
        self.meters.push(Meter { client, server, table, operations, bytes });
        self.places.insert((client, server, table), place);
        Some(place)
    }

    /// What is used up of a meter, were so many operations more asked.
    #[must_use]
    pub fn spent(&self, place: u32, at: Timestamp, operations: u64) -> Option<Peak> {
        self.meters.get(place as usize)?.spent(at, operations)
    }

    /// Counts operations.
    pub fn operations(&mut self, place: u32, at: Timestamp, operations: u64) {
        if let Some(gauge) = self.meters.get_mut(place as usize).and_then(|meter| meter.operations.as_mut())
            && operations > 0
        {
            gauge.count(at, operations);
        }
    }

    /// Counts bytes.
    pub fn bytes(&mut self, place: u32, at: Timestamp, bytes: u64) {
        if let Some(gauge) = self.meters.get_mut(place as usize).and_then(|meter| meter.bytes.as_mut()) {
            gauge.count(at, bytes);
        }
    }

    /// All of them, in no order.
    pub fn iter(&self) -> impl Iterator<Item = &Meter> {
        self.meters.iter()
    }

    /// What was counted since the last time. The windows that are open go on.
    #[must_use]
    pub fn drain(&mut self) -> Self {
        let counted = self.clone();
        for gauge in self.meters.iter_mut().flat_map(|meter| [&mut meter.operations, &mut meter.bytes]).flatten() {
            *gauge = Gauge { most: 0, total: 0, first: None, ..*gauge };
        }
        self.refused = 0;
        counted
    }

    /// Adds those of another shard, or of the same one later.
    pub fn merge(&mut self, other: Self) {
        self.most = self.most.max(other.most);
        for meter in other.meters {
            match self.places.get(&(meter.client, meter.server, meter.table)) {
                Some(place) => {
                    let Some(mine) = self.meters.get_mut(*place as usize) else { continue };
                    let gauges = [(&mut mine.operations, meter.operations), (&mut mine.bytes, meter.bytes)];
                    for (mine, other) in gauges {
                        if let (Some(mine), Some(other)) = (mine, other) {
                            mine.merge(&other);
                        }
                    }
                }
                None => {
                    let Ok(place) = u32::try_from(self.meters.len()) else { continue };
                    self.places.insert((meter.client, meter.server, meter.table), place);
                    self.meters.push(meter);
                }
            }
        }
        self.refused += other.refused;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_lie_at_whole_units() {
        let rate = |count, seconds| Rate { count, seconds };
        for (case, limit, at, want) in [
            ("as declared", rate(3, 1), &[0, 300, 600, 1000][..], (3, false)),
            ("one too many", rate(3, 1), &[0, 300, 600, 900], (4, true)),
            ("across a border", rate(3, 1), &[600, 700, 800, 1000, 1100, 1200], (3, false)),
            ("a minute", rate(3, 60), &[0, 20_000, 40_000, 59_999], (4, true)),
            ("before the epoch", rate(3, 1), &[-900, -600, -300, -1], (4, true)),
            ("late by disorder", rate(3, 1), &[900, 1000, 999, 1001, 1002], (4, true)),
        ] {
            let mut gauge = Gauge::new(limit);
            let mut spent = false;
            for ms in at {
                let at = Timestamp::from_nanos(ms * 1_000_000);
                spent |= gauge.is_spent(at, 1);
                gauge.count(at, 1);
            }
            assert_eq!((gauge.most, spent), want, "{case}");
        }
    }
}
