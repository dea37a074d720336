//! What one connection asked and said, kept small: the packet path touches a cache of what repeats.

use dissectors::{Anomaly, Mode, Operation as Asked, Outcome, Security, Token};
use smallvec::SmallVec;

use super::connection::Side;
use super::ops::{ComponentText, Operation, OperationKey, Tally, is_component};
use super::repeats::{Ending, Interval, Known, Repeats};
use crate::bounded;
use crate::ledger::Evidence;

/// What one connection (or, merged, one flow) asked and said. One word where it said nothing that was understood, and one
/// piece of memory where it does one thing, which most do.
#[derive(Clone, Debug, Default)]
pub struct Book(Option<Box<Said>>);

#[derive(Clone, Debug, Default)]
struct Said {
    /// In the order of their first request.
    operations: SmallVec<[Operation; 1]>,
    /// What most conversations have nothing of.
    rest: Option<Box<Rest>>,
}

/// The book of a connection that goes on.
#[derive(Debug, Default)]
pub struct OpenBook {
    book: Book,
    /// What was asked before is counted here first.
    repeats: Repeats,
}

/// What became of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entered {
    /// It was counted; since the message before it on the same objects so much time has passed.
    Yes(Option<Interval>),
    /// The book is full.
    No,
}

/// What most conversations have nothing of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rest {
    /// How it is protected.
    pub protection: Protection,
    /// Out-of-spec events by kind, with their number and the first frame.
    pub anomalies: Vec<(&'static str, u64, Evidence)>,
    /// PDUs whose meaning is hidden or not known.
    pub opaque: u64,
    /// Operations that did not fit.
    pub dropped: u64,
}

/// Nothing is known of how a conversation is protected.
static UNPROTECTED: Protection = Protection { mode: None, policies: Vec::new(), tokens: Vec::new() };

/// How a conversation is protected, over all its messages.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Protection {
    /// The weakest mode seen.
    pub mode: Option<Mode>,
    /// Security policies seen.
    pub policies: Vec<Box<str>>,
    /// User tokens seen.
    pub tokens: Vec<Token>,
}

impl Protection {
    fn note(&mut self, security: &Security<'_>) -> bool {
        let mode = match (self.mode, security.mode) {
            (Some(known), Some(mode)) => Some(known.min(mode)),
            (known, mode) => known.or(mode),
        };
        let mut news = mode != self.mode;
        self.mode = mode;
        if let Some(policy) = security.policy
            && !self.policies.iter().any(|known| **known == *policy)
        {
            insert(&mut self.policies, policy.into());
            news = true;
        }
        if let Some(token) = security.token
            && !self.tokens.contains(&token)
        {
            insert(&mut self.tokens, token);
            news = true;
        }
        news
    }

    fn merge(&mut self, other: &Self) {
        self.note(&Security { mode: other.mode, policy: None, token: None });
        other.policies.iter().for_each(|policy| insert(&mut self.policies, policy.clone()));
        other.tokens.iter().for_each(|token| insert(&mut self.tokens, *token));
    }

    /// Nothing is known of it.
    #[must_use]
    pub fn is_unknown(&self) -> bool {
        *self == Self::default()
    }
}

/// Keeps a short list sorted and without doubles.
fn insert<T: Ord>(list: &mut Vec<T>, item: T) {
    if let Err(place) = list.binary_search(&item)
        && list.len() < 32
    {
        list.insert(place, item);
    }
}

/// Operations kept for one connection, and for one flow.
pub const OPERATIONS: usize = 1024;

/// Kinds of anomalies kept for one flow.
const ANOMALIES: usize = 32;

impl OpenBook {
    /// Counts an operation of that side, by its [`super::ops::fingerprint`].
    #[inline]
    pub fn operation(
        &mut self,
        fingerprint: u64,
        sender: Side,
        asked: &Asked<'_>,
        at: Evidence,
        ending: Ending,
    ) -> Entered {
        // Messages that want no answer may be the same from both ends, each with its own interval.
        let way = if asked.outcome == Outcome::Told { 1 + sender.index() as u64 } else { 0 };
        match self.repeats.count(fingerprint ^ way, asked.outcome, at, ending) {
            Known::Yes(interval) => Entered::Yes(interval),
            Known::No => self.news(fingerprint ^ way, asked, at),
        }
    }

    /// See [`super::connection::Connection::prefetch`].
    #[inline]
    pub(super) fn prefetch(&self, ending: Ending) {
        self.repeats.prefetch(ending);
    }

    /// See [`super::connection::Connection::prefetch_deep`].
    #[inline]
    pub(super) fn prefetch_again(&self, ending: Ending) {
        self.repeats.prefetch_again(ending);
    }

    /// The slow path: an operation on objects that have no slot.
    fn news(&mut self, fingerprint: u64, asked: &Asked<'_>, at: Evidence) -> Entered {
        let Some(place) = self.book.enter(asked, at) else { return Entered::No };
        let Self { book, repeats } = self;
        let operations = &mut *book.said().operations;
        let tally = operations.get(place).map(|operation| operation.tally);
        let is_request = asked.outcome.is_request();
        // The message before this one, if it was the only one, and a request.
        let only = |tally: &Tally| {
            tally.requests == 1 + u64::from(is_request) && tally.answered + tally.refused == u64::from(!is_request)
        };
        let before = tally.filter(only).map(|tally| tally.first.at);
        let mut lost = |place: usize, tally: Tally| add(operations, place, &tally);
        Entered::Yes(repeats.enter(fingerprint, asked.outcome, at, place, before, &mut lost))
    }

    /// What the slots counted since the last time.
    fn settle(&mut self) {
        if let Self { book: Book(Some(said)), repeats } = self {
            repeats.tell(&mut |place, tally| add(&mut said.operations, place, &tally));
        }
    }

    /// Notes how the conversation is protected. Returns whether that was news.
    pub fn security(&mut self, security: &Security<'_>) -> bool {
        self.book.rest().protection.note(security)
    }

    /// Counts something out of specification.
    pub fn anomaly(&mut self, anomaly: &Anomaly, at: Evidence) {
        add_anomaly(&mut self.book.rest().anomalies, (anomaly.what, 1, at));
    }

    /// Counts a PDU whose meaning is hidden or not known.
    pub fn note_opaque(&mut self) {
        self.book.rest().opaque += 1;
    }

    /// How the conversation is protected.
    #[must_use]
    pub fn protection(&self) -> &Protection {
        self.book.protection()
    }

    /// The book of a connection that has ended, without what only its next packets would need.
    #[must_use]
    pub fn closed(mut self) -> Book {
        self.settle();
        self.book
    }

    /// What was noted since the last time; what is known of the protection stays as well.
    #[must_use]
    pub fn drain(&mut self) -> Book {
        self.settle();
        self.repeats.forget_places();
        let mut fresh = Book::default();
        if !self.protection().is_unknown() {
            fresh.rest().protection = self.protection().clone();
        }
        std::mem::replace(&mut self.book, fresh)
    }
}

impl Book {
    /// A book that was kept elsewhere.
    #[must_use]
    pub fn of(operations: Vec<Operation>, rest: Rest) -> Self {
        let rest = (rest != Rest::default()).then(|| Box::new(rest));
        let said = Said { operations: operations.into(), rest };
        Self((!said.operations.is_empty() || said.rest.is_some()).then(|| Box::new(said)))
    }

    /// Operations, in the order of their first request.
    #[must_use]
    pub fn operations(&self) -> &[Operation] {
        self.0.as_ref().map_or(&[], |said| &said.operations)
    }

    /// Keeps those operations that matter.
    pub fn retain(&mut self, matters: impl Fn(&Operation) -> bool) {
        if let Some(said) = &mut self.0 {
            said.operations.retain(|operation| matters(operation));
        }
    }

    /// The slow path: finds or makes the operation's place, and adds its objects.
    fn enter(&mut self, asked: &Asked<'_>, at: Evidence) -> Option<usize> {
        let is_asked = |known: &Operation| {
            let OperationKey { code, class, component } = &known.key;
            (*code, *class) == (asked.code, asked.class) && is_component(component.get(), asked.component)
        };
        let Said { operations, .. } = self.said();
        let place = operations.iter().position(is_asked).unwrap_or(operations.len());
        if place >= OPERATIONS {
            self.rest().dropped += 1;
            return None;
        }
        if place == operations.len() {
            let component = ComponentText::of(asked.component);
            let key = OperationKey { code: asked.code, class: asked.class, component };
            operations.push(Operation::new(key, at));
        }
        let operation = operations.get_mut(place)?;
        asked.objects.iter().for_each(|object| operation.objects.add(object));
        operation.tally.count(asked.outcome, at);
        Some(place)
    }

    /// Adds another connection's book.
    pub fn merge(&mut self, other: Self) {
        let Some(other) = other.0 else { return };
        for operation in other.operations {
            let operations = &mut self.said().operations;
            let full = operations.len() >= OPERATIONS;
            match operations.iter_mut().find(|known| known.key == operation.key) {
                Some(known) => {
                    known.tally.merge(&operation.tally);
                    known.objects.merge(&operation.objects);
                }
                None if full => self.rest().dropped += 1,
                None => operations.push(operation),
            }
        }
        let Some(other) = other.rest else { return };
        let rest = self.rest();
        rest.protection.merge(&other.protection);
        other.anomalies.iter().for_each(|anomaly| add_anomaly(&mut rest.anomalies, *anomaly));
        rest.opaque += other.opaque;
        rest.dropped += other.dropped;
    }

    /// How the conversation is protected.
    #[must_use]
    pub fn protection(&self) -> &Protection {
        self.known_rest().map_or(&UNPROTECTED, |rest| &rest.protection)
    }

    /// Out-of-spec events by kind, with their number and the first frame.
    #[must_use]
    pub fn anomalies(&self) -> &[(&'static str, u64, Evidence)] {
        self.known_rest().map_or(&[], |rest| &rest.anomalies)
    }

    /// PDUs whose meaning is hidden or not known.
    #[must_use]
    pub fn opaque(&self) -> u64 {
        self.known_rest().map_or(0, |rest| rest.opaque)
    }

    /// Operations that did not fit.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.known_rest().map_or(0, |rest| rest.dropped)
    }

    fn known_rest(&self) -> Option<&Rest> {
        self.0.as_ref()?.rest.as_deref()
    }

    fn said(&mut self) -> &mut Said {
        self.0.get_or_insert_default()
    }

    fn rest(&mut self) -> &mut Rest {
        self.said().rest.get_or_insert_default()
    }

    /// Requests observed, over all operations.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.operations().iter().map(|o| o.tally.requests).sum()
    }
}

/// Adds to the operation at that place.
fn add(operations: &mut [Operation], place: usize, tally: &Tally) {
    if let Some(operation) = operations.get_mut(place) {
        operation.tally.merge(&Tally { first: operation.tally.first, ..*tally });
    }
}

fn add_anomaly(list: &mut Vec<(&'static str, u64, Evidence)>, anomaly: (&'static str, u64, Evidence)) {
    let new = || (anomaly.0, 0, anomaly.2);
    if let Some(known) = bounded::entry(list, ANOMALIES, |known| known.0 == anomaly.0, new) {
        known.1 += anomaly.1;
        known.2 = known.2.min(anomaly.2);
    }
}
