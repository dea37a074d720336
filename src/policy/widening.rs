//! What would make a conduit cover those who break it: when they are many, the conduit is more likely wrong than they.

use std::collections::BTreeSet;

use super::model::Policy;
use super::reason::Reason;
use super::suggest::{Talk, narrowest, quoted};
use super::word::Classes;

/// What many sources did against one conduit for one reason.
#[derive(Clone, Debug, Default)]
pub struct Breach {
    /// Who, as a policy names them.
    pub sources: BTreeSet<String>,
    /// To whom.
    pub destinations: BTreeSet<String>,
    /// The conversations, with nothing in them but what was objected to.
    pub talks: Vec<Talk>,
}

/// Names that a suggestion lists.
const NAMED: usize = 32;

impl Policy {
    /// The change of a conduit that would cover a breach and no more, in words. What changes devices is never suggested.
    #[must_use]
    pub fn widening(&self, id: &str, reason: Reason, breach: &Breach) -> String {
        let acts = || breach.talks.iter().flat_map(|talk| &talk.acts);
        if acts().any(|act| Classes::changing(act.class)) {
            return format!("It changes devices: ask the owner of {id} before anything is added");
        }
        let key = match reason {
            Reason::ProtocolNotListed
            | Reason::OperationNotListed
            | Reason::ObjectNotListed
            | Reason::ProtocolMismatch => {
                let tables = narrowest(&breach.talks.iter().collect::<Vec<_>>());
                return format!("Add to allow of {id}: {}", tables.join(", "));
            }
            Reason::EndpointNotListed => {
                let (from, to) = (list(&breach.sources), list(&breach.destinations));
                return format!("Let the ends of {id} cover them: from = [{from}], to = [{to}]");
            }
            Reason::WrongInitiator => {
                return format!("If both sides may open it, write in {id}: initiate = \"either\"");
            }
            Reason::OutsideWindow => "windows",
            Reason::NotValid => "valid_from and valid_until",
            Reason::WeakSecurity => "security",
            Reason::RateExceeded => "max_rate and max_bytes",
            Reason::BoundaryBypass => "via",
            Reason::DiodeReverse => "one_way",
            _ => "ends and rights",
        };
        format!("Compare {key} of {id} with how the plant is built")
    }
}

/// Names as a list of TOML, as many as a reader takes in.
fn list(names: &BTreeSet<String>) -> String {
    let mut list: Vec<String> = names.iter().take(NAMED).map(|name| quoted(name)).collect();
    if let Some(more) = names.len().checked_sub(NAMED).filter(|more| *more > 0) {
        list.push(format!("… {more} more"));
    }
    list.join(", ")
}
