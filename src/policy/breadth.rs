//! Whether what one rule allows is within what another allows.
//!
//! The answer errs to one side: `true` is certain, `false` may only mean that the two are hard to compare.

use super::matching::ObjectPattern;
use super::model::{Allow, End, Rule};
use super::word::{Classes, Rate};

impl Rule {
    /// Everything that this rule allows, the other allows as well.
    pub(super) fn within(&self, other: &Self) -> bool {
        self.ends_within(other) && self.rights_within(other) && self.schedule_within(other) && self.checks_within(other)
    }

    /// Who opens and who answers.
    pub(super) fn ends_within(&self, other: &Self) -> bool {
        let covered =
            |mine: &[End], theirs: &[End]| mine.iter().all(|end| theirs.iter().any(|wide| lies_in(end, wide)));
        let reach = self.exact == other.exact || self.exact;
        reach && self.initiate == other.initiate && covered(&self.from, &other.from) && covered(&self.to, &other.to)
    }

    /// Every table lies in one of the other's tables.
    pub(super) fn rights_within(&self, other: &Self) -> bool {
        self.allow.iter().all(|mine| other.allow.iter().any(|wide| mine.within(wide)))
    }

    /// Dates and windows.
    pub(super) fn schedule_within(&self, other: &Self) -> bool {
        let (mine, wide) = (&self.schedule, &other.schedule);
        wide.from.is_none_or(|from| mine.from.is_some_and(|mine| from <= mine))
            && wide.until.is_none_or(|until| mine.until.is_some_and(|mine| mine <= until))
            && mine.hours_within(wide)
    }

    /// The path, and the way back.
    fn checks_within(&self, other: &Self) -> bool {
        let via =
            other.via.is_empty() || (!self.via.is_empty() && self.via.iter().all(|device| other.via.contains(device)));
        via && (!other.one_way || self.one_way)
    }
}

/// Names of one policy: of two policies they mean different things.
fn lies_in(end: &End, wide: &End) -> bool {
    match (end, wide) {
        (_, End::Any) => true,
        (End::Net(net), End::Net(wide)) => net.v6 == wide.v6 && wide.first <= net.first && net.last <= wide.last,
        (end, wide) => end == wide,
    }
}

impl Allow {
    /// Everything that this table allows, the other allows as well.
    pub(super) fn within(&self, other: &Self) -> bool {
        self.protocol == other.protocol
            && self.ports_within(other)
            && self.operations_within(other)
            && listed(&self.units, &other.units, PartialEq::eq)
            && listed(&self.objects, &other.objects, ObjectPattern::within)
            && (other.security.is_none() || self.security == other.security)
            && slower(self.max_rate, other.max_rate)
            && slower(self.max_bytes, other.max_bytes)
            && (other.vlan.is_none() || self.vlan == other.vlan)
            && (other.dscp.is_none() || self.dscp == other.dscp)
    }

    fn ports_within(&self, other: &Self) -> bool {
        match (&self.ports, &other.ports) {
            _ if other.any_port => true,
            (None, None) => !self.any_port,
            (Some(mine), Some(wide)) => {
                mine.iter().all(|ports| wide.iter().any(|wide| wide.from <= ports.from && ports.to <= wide.to))
            }
            _ => false,
        }
    }

    fn operations_within(&self, other: &Self) -> bool {
        let everything = |allow: &Self| allow.codes.is_none() && allow.classes.is_none_or(|set| set == Classes::ALL);
        match (&self.codes, &other.codes) {
            _ if everything(other) => true,
            (Some(mine), Some(wide)) => mine.iter().all(|code| wide.contains(code)),
            (None, None) => {
                let (mine, wide) = (self.classes.unwrap_or(Classes::ALL), other.classes.unwrap_or(Classes::ALL));
                mine.0 & !wide.0 == 0
            }
            // Codes on one side and classes on the other: only the protocol could tell.
            _ => false,
        }
    }
}

/// Each of these lies in one of those; no list is everything.
fn listed<T>(mine: &Option<Vec<T>>, wide: &Option<Vec<T>>, lies_in: impl Fn(&T, &T) -> bool) -> bool {
    match (mine, wide) {
        (_, None) => true,
        (None, Some(_)) => false,
        (Some(mine), Some(wide)) => mine.iter().all(|item| wide.iter().any(|wide| lies_in(item, wide))),
    }
}

fn slower(mine: Option<Rate>, wide: Option<Rate>) -> bool {
    wide.is_none_or(|wide| mine.is_some_and(|mine| mine.per_second() <= wide.per_second()))
}

impl ObjectPattern {
    fn within(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Range { space, from, to }, Self::Range { space: wide, from: first, to: last }) => {
                space == wide && first <= from && to <= last
            }
            (Self::Class { class, .. }, Self::Class { class: wide, instance: None }) => class == wide,
            (mine, wide) => mine == wide,
        }
    }
}
