use dashmap::DashMap;

use super::fact::{Facts, Ledger, Subject};

/// The facts of all workers together. Workers publish what they learned, by value and briefly; nobody holds a reference
/// into it across another call.
#[derive(Debug, Default)]
pub struct Table {
    subjects: DashMap<Subject, Facts, ahash::RandomState>,
    refused: std::sync::atomic::AtomicU64,
}

impl Table {
    /// Adds a worker's facts.
    pub fn publish(&self, ledger: Ledger) {
        self.refused.fetch_add(ledger.refused(), std::sync::atomic::Ordering::Relaxed);
        for (subject, facts) in ledger.into_subjects() {
            let mut mine = self.subjects.entry(subject).or_default();
            super::fact::merge_facts(&mut mine, facts);
        }
    }

    /// All facts, ordered.
    #[must_use]
    pub fn into_ledger(self) -> Ledger {
        Ledger::from_subjects(self.subjects.into_iter(), self.refused.into_inner())
    }
}
