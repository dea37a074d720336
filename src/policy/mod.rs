//! The declared model of a site and what it says of traffic.

mod compile;
mod diagnostic;
mod file;
mod index;
mod judge;
mod lint;
mod matching;
mod membership;
mod model;
mod protocol;
mod read;
mod reason;
mod severity;
mod side;
mod window;
mod word;

pub use diagnostic::{Diagnostic, Diagnostics, Place, Severity, Source, Span};
pub use file::{Consequence, Criticality, ZoneKind};
pub use judge::{
    Cast, Conversation, Ends, Judgement, Protection, Qualifier, Qualifiers, Request, Stage, Statement, Verdict,
};
pub use membership::{Member, Membership, Selector};
pub use model::{Asset, AssetId, Policy, Rule, Zone, ZoneId};
pub use protocol::service_name;
pub use reason::{Attack, Reason, class_attack};
pub use severity::{Band, Outcome, Score, Weights};
pub use side::Side;
pub use word::{Classes, Rate, SecurityLevels};
