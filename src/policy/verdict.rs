//! The words of a judgement: how grave, how far a candidate got, and what to know besides.

use super::reason::Reason;

/// What is found about an operation, from harmless to grave.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verdict {
    /// Noise that the policy tells to ignore; still counted.
    Ignore,
    /// A conduit or the zone's own list allows it.
    Allow,
    /// Only an exception allows it.
    Exception,
    /// Somebody has to look.
    Review,
    /// It would be a violation, but got no answer or was cut off: the boundary worked.
    Attempt,
    /// It is not allowed, and it happened.
    Violation,
}

impl Verdict {
    /// From the word of reports.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let all = [Self::Allow, Self::Ignore, Self::Exception, Self::Review, Self::Attempt, Self::Violation];
        all.into_iter().find(|verdict| verdict.text() == text)
    }

    /// Every verdict, from harmless to grave.
    pub const ALL: [Self; 6] =
        [Self::Ignore, Self::Allow, Self::Exception, Self::Review, Self::Attempt, Self::Violation];

    /// The word of reports.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::Ignore => "ignore",
            Self::Allow => "allow",
            Self::Exception => "exception",
            Self::Review => "review",
            Self::Attempt => "attempt",
            Self::Violation => "violation",
        }
    }

    /// Whether it makes a finding.
    #[must_use]
    pub fn is_finding(self) -> bool {
        matches!(self, Self::Review | Self::Attempt | Self::Violation)
    }
}

/// What was asked of a candidate, in the order of asking. The candidate that got furthest names the reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stage {
    /// The protocol.
    Protocol,
    /// The right protocol on a port that is not listed, or another protocol on a listed port.
    Mismatch,
    /// The class or the function.
    Operation,
    /// The unit, register, tag or node.
    Object,
    /// The dates.
    Validity,
    /// The time of the week.
    Window,
    /// The security minimum.
    Security,
    /// The highest rate.
    Rate,
    /// The boundary device.
    Boundary,
}

impl Stage {
    /// Every stage.
    pub const ALL: [Self; 9] = [
        Self::Protocol,
        Self::Mismatch,
        Self::Operation,
        Self::Object,
        Self::Validity,
        Self::Window,
        Self::Security,
        Self::Rate,
        Self::Boundary,
    ];

    /// From the word of reports.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|stage| stage.text() == text)
    }

    /// The word of reports.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::Protocol => "protocol",
            Self::Mismatch => "mismatch",
            Self::Operation => "operation",
            Self::Object => "object",
            Self::Validity => "validity",
            Self::Window => "window",
            Self::Security => "security",
            Self::Rate => "rate",
            Self::Boundary => "boundary",
        }
    }

    pub(super) fn reason(self) -> Reason {
        match self {
            Self::Protocol => Reason::ProtocolNotListed,
            Self::Mismatch => Reason::ProtocolMismatch,
            Self::Operation => Reason::OperationNotListed,
            Self::Object => Reason::ObjectNotListed,
            Self::Validity => Reason::NotValid,
            Self::Window => Reason::OutsideWindow,
            Self::Security => Reason::WeakSecurity,
            Self::Rate => Reason::RateExceeded,
            Self::Boundary => Reason::BoundaryBypass,
        }
    }
}

/// What a reader of a verdict should know besides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Qualifier {
    /// Sent to a multicast group.
    Multicast,
    /// Sent to everybody.
    Broadcast,
    /// Who opened the session was inferred.
    InitiatorInferred,
    /// Who opened the session cannot be told: both ways were tried.
    InitiatorUndecided,
    /// Enterprise or untrusted to control, or back, with neither end in a DMZ or broker.
    DmzBypass,
    /// The operations are encrypted or not decoded, so limits on them could not be checked.
    OperationsHidden,
    /// A reply without its request: which objects it is about was not seen.
    ObjectsNotSeen,
    /// The rule names boundary devices whose MAC addresses the policy does not know.
    BoundaryNotCheckable,
    /// The rule asks for a version of the protecting protocol, and the exchange that tells it was not captured.
    VersionNotSeen,
    /// Frames were cut by the snap length of the capture: what stood behind it was not seen.
    Truncated,
}

impl Qualifier {
    /// Every qualifier.
    pub const ALL: [Self; 10] = [
        Self::Multicast,
        Self::Broadcast,
        Self::InitiatorInferred,
        Self::InitiatorUndecided,
        Self::DmzBypass,
        Self::OperationsHidden,
        Self::ObjectsNotSeen,
        Self::BoundaryNotCheckable,
        Self::VersionNotSeen,
        Self::Truncated,
    ];

    /// The word of reports.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::Multicast => "multicast",
            Self::Broadcast => "broadcast",
            Self::InitiatorInferred => "initiator-inferred",
            Self::InitiatorUndecided => "initiator-undecided",
            Self::DmzBypass => "dmz-bypass",
            Self::OperationsHidden => "operations-hidden",
            Self::ObjectsNotSeen => "objects-not-seen",
            Self::BoundaryNotCheckable => "boundary-not-checkable",
            Self::VersionNotSeen => "version-not-seen",
            Self::Truncated => "truncated",
        }
    }
}

/// A set of qualifiers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Qualifiers(u16);

impl FromIterator<Qualifier> for Qualifiers {
    fn from_iter<T: IntoIterator<Item = Qualifier>>(list: T) -> Self {
        let mut all = Self::default();
        list.into_iter().for_each(|qualifier| all.add(qualifier));
        all
    }
}

impl Qualifiers {
    /// Whether it has this one.
    #[must_use]
    pub fn has(self, qualifier: Qualifier) -> bool {
        self.0 >> qualifier as u8 & 1 == 1
    }

    /// Those that it has, in order.
    pub fn iter(self) -> impl Iterator<Item = Qualifier> {
        Qualifier::ALL.into_iter().filter(move |qualifier| self.has(*qualifier))
    }

    /// Those of either.
    pub(super) fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(super) fn add(&mut self, qualifier: Qualifier) {
        self.0 |= 1 << qualifier as u8;
    }
}
