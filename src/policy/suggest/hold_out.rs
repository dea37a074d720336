//! Why a draft fires on traffic that it was not made from.

use dissectors::Class;

use super::caution::Cautions;
use super::zones::Places;
use super::{Seen, Talk};
use crate::flow::key::Initiator;
use crate::policy::Reason;

/// Why, from the most to the least telling.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cause {
    /// A device was not there before.
    NewDevice(String),
    /// The draft leaves it out on purpose.
    Withheld(&'static str),
    /// Both devices were there and did not talk.
    NewPair,
    /// They talked, the other way round: the start of one of the two was not captured.
    Turned,
    /// They talked, but not by this service.
    NewService(String),
    /// The service was used, but not this operation.
    NewOperation(String),
    /// The operation was used, but not on this.
    NewObject(String),
    /// Who opened cannot be told, so that neither direction was certain.
    Undecided,
    /// None of these.
    Other,
}

impl Cause {
    /// A few words; equal ones are counted together.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::NewDevice(_) => "a device that was not seen before",
            Self::Withheld(_) => "left out of the draft on purpose",
            Self::NewPair => "two known devices that did not talk before",
            Self::Turned => "the same two the other way round: the start was not captured",
            Self::NewService(_) => "a service that the two did not use before",
            Self::NewOperation(_) => "an operation that was not used before",
            Self::NewObject(_) => "objects that were not used before",
            Self::Undecided => "who opened could not be told",
            Self::Other => "not explained by what is new",
        }
    }

    /// What exactly.
    #[must_use]
    pub fn detail(&self) -> &str {
        match self {
            Self::NewDevice(text) | Self::NewService(text) | Self::NewOperation(text) | Self::NewObject(text) => text,
            Self::Withheld(text) => text,
            Self::NewPair | Self::Turned | Self::Undecided | Self::Other => "",
        }
    }
}

/// Why a draft made of `seen` objects to operations of one class of a later conversation.
#[must_use]
pub fn cause(seen: &Seen, rest: &Seen, talk: &Talk, class: Class, reason: Option<Reason>) -> Cause {
    // No conduit of a draft says through which other zones a tunnel may lead.
    if reason == Some(Reason::Tunnel) {
        return Cause::Withheld("inside a tunnel that joins other zones");
    }
    let known = |address| {
        let talks = |known: &&Talk| !known.blocked && (known.client == address || known.server == address);
        seen.nodes.iter().any(|node| node.address == address) || seen.talks.iter().any(|known| talks(&known))
    };
    let places = Places::new(rest);
    let cautions = Cautions::new(talk, &places);
    let acts = || talk.acts.iter().filter(|act| act.class == class);
    if let Some(caution) = cautions.whole().or_else(|| acts().find_map(|act| cautions.of(act))) {
        return Cause::Withheld(caution.text());
    }
    for address in [talk.client, talk.server] {
        if !address.is_group() && !known(address) {
            return Cause::NewDevice(format!("{address} was not seen before"));
        }
    }
    let pair: Vec<&Talk> = seen
        .talks
        .iter()
        .filter(|known| known.client == talk.client && known.server == talk.server && !known.blocked)
        .collect();
    let turned =
        |known: &Talk| known.client == talk.server && known.server == talk.client && known.transport == talk.transport;
    if pair.is_empty() {
        return if seen.talks.iter().any(turned) { Cause::Turned } else { Cause::NewPair };
    }
    let service: Vec<&&Talk> = pair.iter().filter(|known| known.service() == talk.service()).collect();
    if service.is_empty() {
        return if seen.talks.iter().any(turned) { Cause::Turned } else { Cause::NewService(talk.service()) };
    }
    let before = || service.iter().flat_map(|known| &known.acts);
    for act in acts() {
        let same = |known: &&super::Act| known.code == act.code && known.unit == act.unit;
        if !before().any(|known| same(&known)) {
            return Cause::NewOperation(format!("{} ({})", act.name, act.code));
        }
        let covered = |space: &str, from: u64, to: u64| {
            before()
                .filter(same)
                .any(|known| known.ranges.iter().any(|(s, first, last)| s == space && *first <= from && to <= *last))
        };
        if let Some((space, from, to)) = act.ranges.iter().find(|(space, from, to)| !covered(space, *from, *to)) {
            return Cause::NewObject(format!("{space} {from} to {to} by {}", act.name));
        }
        let named = |name: &(String, String)| before().filter(same).any(|known| known.names.contains(name));
        if let Some((_, name)) = act.names.iter().find(|name| !named(name)) {
            return Cause::NewObject(format!("{name} by {}", act.name));
        }
        let bare = act.ranges.is_empty() && act.names.is_empty();
        if bare && before().filter(same).all(|known| !known.ranges.is_empty() || !known.names.is_empty()) {
            return Cause::NewObject(format!("{} without an object", act.name));
        }
    }
    if talk.initiator == Initiator::Unknown { Cause::Undecided } else { Cause::Other }
}
