//! Facts: what was observed of whom, with the frames that show it. Merging is commutative and associative, so the
//! ledgers of two workers, two files or two sensors merge in any order to the same ledger.

mod fact;
mod table;
mod tail;

pub use fact::{Evidence, Fact, FactKey, Facts, Ledger, LedgerHits, LedgerLimits, Subject, Support};
pub use table::Table;
pub use tail::Tail;
