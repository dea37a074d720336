use dashmap::DashMap;

use super::fact::{Facts, Ledger, Subject};

/// The facts of all workers together. Workers publish what they learned, by value and briefly; nobody holds a reference
/// into it across another call.
#[derive(Debug, Default)]
pub struct Table {
    subjects: DashMap<Subject, Facts, ahash::RandomState>,
}

impl Table {
    /// Adds a worker's facts.
    pub fn publish(&self, ledger: Ledger) {
        for (subject, facts) in ledger.into_subjects() {
            let mut mine = self.subjects.entry(subject).or_default();
            mine.merge(facts);
        }
    }

    /// All facts, ordered.
    #[must_use]
    pub fn into_ledger(self) -> Ledger {
        Ledger::from_subjects(self.subjects.into_iter())
    }
}
