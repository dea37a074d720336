//! What must not be approved unseen, and why.

use super::zones::Places;
use super::{Act, Talk};
use crate::policy::protocol::PROTOCOLS;
use crate::policy::word::Classes;

/// Why a line of traffic is only a comment in a draft.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Caution {
    /// One end is outside of the site.
    External,
    /// Office to process, or back, with no DMZ between.
    LevelSkip,
    /// It changes a safety system.
    Safety,
    /// It changes devices themselves.
    Engineer,
    /// Passwords cross in the clear.
    Credentials,
    /// The bytes are not what the port promises.
    Mismatch,
    /// No answer, or a refusal: what was never carried needs no right.
    Attempt,
}

impl Caution {
    /// The reason, as the draft writes it.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::External => "external: one end is outside of the site",
            Self::LevelSkip => "level skip: level 4 or above meets level 3 or below with no DMZ between",
            Self::Safety => "safety: it changes a safety system",
            Self::Engineer => {
                "engineer class: it changes programs or settings; give it a window, a ticket and named ends"
            }
            Self::Credentials => "clear-text credentials: passwords cross unprotected; find a protected way first",
            Self::Mismatch => "protocol mismatch: the bytes are not what the port promises",
            Self::Attempt => "attempt: nothing came of it, so it needs no right",
        }
    }
}

/// Only safety systems speak it.
pub(super) fn is_safety(word: &str) -> bool {
    PROTOCOLS.get(word).is_some_and(|protocol| protocol.safety)
}

/// What there is to say of one conversation.
pub(super) struct Cautions {
    whole: Option<Caution>,
    safety: bool,
}

impl Cautions {
    pub(super) fn new(talk: &Talk, places: &Places) -> Self {
        let (word, _) = talk.word();
        let safety = places.is_safety(talk.server) || is_safety(&word);
        let whole = if places.is_external(talk.client) || places.is_external(talk.server) {
            Some(Caution::External)
        } else if talk.blocked {
            Some(Caution::Attempt)
        } else if places.skips_levels(talk) {
            Some(Caution::LevelSkip)
        } else if is_safety(&word) {
            // What a protocol that is not decoded does to a safety system cannot be told.
            Some(Caution::Safety)
        } else if talk.clear_password || PROTOCOLS.get(&word).is_some_and(|protocol| protocol.credentials) {
            Some(Caution::Credentials)
        } else if talk.refuted.is_some() {
            Some(Caution::Mismatch)
        } else {
            None
        };
        Self { whole, safety }
    }

    /// Why all of it is withheld.
    pub(super) fn whole(&self) -> Option<Caution> {
        self.whole
    }

    /// Why this operation of it is.
    pub(super) fn of(&self, act: &Act) -> Option<Caution> {
        if Classes::ENGINEER.contains(act.class) {
            Some(Caution::Engineer)
        } else if self.safety && Classes::changing(act.class) {
            Some(Caution::Safety)
        } else {
            None
        }
    }
}
