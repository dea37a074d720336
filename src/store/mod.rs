//! What outlives the process: an embedded SQLite file with facts, flows, findings, events and coverage.
//!
//! One writer, one transaction a flush: what was committed survives a kill at any moment, and at most the last flush
//! interval is lost. It survives a power failure as soon as it has reached the disk, which is begun at once, beside the
//! writer (`checkpoint`). Rows are replaced whole with their sums, so that writing a flush twice changes nothing. The tables
//! are meant to be read with `sqlite3` as well; times are nanoseconds since 1970 UTC.
//!
//! What is read back is merged like what a worker drained, so that a restart goes on where it was.

mod captures;
mod checkpoint;
mod error;
mod facts;
mod findings;
mod flows;
mod forget;
mod open;
mod policies;
mod watch;
mod words;

use std::collections::BTreeMap;
use std::path::PathBuf;

use rusqlite::Connection;
use rusqlite::config::DbConfig;

use crate::flow::watch::Watch;
use crate::policy::life::State;
use crate::source::file::CaptureSummary;
use crate::time::Timestamp;
use crate::worker::Coverage;

use checkpoint::Checkpoints;
use error::wrong;

pub use error::StoreError;
pub use findings::{Happened, Kept};

/// The open store.
pub struct Store {
    /// Of one that is written. It goes first: who goes last leaves one file behind.
    checkpoints: Option<Checkpoints>,
    db: Connection,
    path: PathBuf,
}

/// What was read back from a store.
#[derive(Debug, Default)]
pub struct Restored {
    /// Flows with their judgements, as far as they were judged by the policy that is in force.
    pub flows: Vec<crate::flow::Flow>,
    /// Facts.
    pub ledger: crate::ledger::Ledger,
    /// What happened to frames.
    pub coverage: Coverage,
    /// The interfaces that were watched, as captures.
    pub captures: Vec<CaptureSummary>,
    /// What was watched over time for the policy that is in force.
    pub watch: Watch,
    /// Findings with their life, by id.
    pub findings: Vec<Kept>,
    /// The number of the newest event.
    pub last_event: u64,
    /// SHA-256 of the policy that was in force last.
    pub policy: Option<String>,
    /// What the last stop had no time for.
    pub cut: Cut,
    /// Rows that could not be understood: of a newer version, or damaged.
    pub skipped: u64,
}

impl Store {
    /// Writes what one flush changed, all or nothing.
    ///
    /// # Errors
    /// [`StoreError`]; nothing was written then, and the same can be tried again.
    pub fn write(&mut self, flush: &Flush<'_>) -> Result<(), StoreError> {
        self.write_while(flush, &|| true).map(|_| ())
    }

    /// The same while it goes on: of the flows, which take longest and come last, those are written that there is time for.
    /// Says how many.
    ///
    /// # Errors
    /// As [`Self::write`].
    pub fn write_while(&mut self, flush: &Flush<'_>, goes_on: &dyn Fn() -> bool) -> Result<usize, StoreError> {
        let mut write = || -> rusqlite::Result<usize> {
            let into = self.db.transaction()?;
            captures::write(&into, flush.captures)?;
            policies::write(&into, flush.policy, flush.at)?;
            watch::write(&into, flush.watch, flush.policy)?;
            words::write_coverage(&into, flush.coverage)?;
            facts::write(&into, flush.facts)?;
            findings::write(&into, flush.findings)?;
            findings::write_events(&into, flush.events)?;
            let written = flows::write(&into, flush.flows, flush.policy, goes_on)?;
            let unwritten = flush.flows.len().saturating_sub(written) as u64;
            words::write_cut(&into, Cut { unconcluded: flush.unconcluded, unwritten })?;
            into.commit()?;
            Ok(written)
        };
        let written = write().map_err(|error| wrong(&self.path, &error))?;
        self.checkpoints.iter().for_each(Checkpoints::ask);
        Ok(written)
    }

    /// Closes it. What is in its log then is copied into its file when that does not take long; else it stays beside it for
    /// the next who opens it, and nothing is missing.
    pub fn close(mut self) {
        let is_at_rest = self.checkpoints.take().is_none_or(Checkpoints::stop);
        if !is_at_rest || self.log_size() > LOG {
            // What cannot be set is as it was: it takes longer then.
            let _ = self.db.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true);
        }
    }

    /// Reads everything back.
    ///
    /// # Errors
    /// [`StoreError`] when the file cannot be read. Single rows that make no sense are skipped and counted.
    pub fn read(&self, policy: Option<&crate::policy::Policy>) -> Result<Restored, StoreError> {
        let mut restored = Restored::default();
        let mut words = words::Words::default();
        let read = |restored: &mut Restored, words: &mut words::Words| -> rusqlite::Result<()> {
            captures::read(&self.db, restored)?;
            facts::read(&self.db, words, restored)?;
            flows::read(&self.db, words, policy, restored)?;
            restored.watch = watch::read(&self.db, policy)?;
            findings::read(&self.db, restored)?;
            restored.last_event = findings::last_event(&self.db)?;
            restored.policy = policies::last(&self.db)?.map(|(sha256, _)| sha256);
            restored.cut = words::read_cut(&self.db)?;
            words::read_coverage(&self.db, words, restored)
        };
        // One transaction: what a sensor writes meanwhile is not half of it.
        let whole = || -> rusqlite::Result<()> {
            let one = self.db.unchecked_transaction()?;
            read(&mut restored, &mut words)?;
            one.finish()
        };
        let mut whole = whole;
        whole().map_err(|error| wrong(&self.path, &error))?;
        Ok(restored)
    }

    /// Adds `by` to the number of each capture, so that those of a sensor that began without the store come first.
    ///
    /// # Errors
    /// [`StoreError`]; nothing was changed then.
    pub fn renumber(&mut self, by: u16) -> Result<(), StoreError> {
        let path = self.path.clone();
        let mut renumber = || -> rusqlite::Result<()> {
            let into = self.db.transaction()?;
            captures::renumber(&into, by)?;
            flows::renumber(&into, by)?;
            into.commit()
        };
        renumber().map_err(|error| wrong(&path, &error))
    }

    /// Everything as it was known at a time: what was seen first after it is left out, and findings stand as they were told
    /// to. Counters are sums, and stay those of today.
    ///
    /// # Errors
    /// As [`Store::read`].
    pub fn read_at(&self, policy: Option<&crate::policy::Policy>, at: Timestamp) -> Result<Restored, StoreError> {
        let mut restored = self.read(policy)?;
        let known = |evidence: &crate::ledger::Evidence| evidence.at <= at;
        restored.flows.retain(|flow| known(&flow.first()));
        for flow in &mut restored.flows {
            flow.book.retain(|operation| known(&operation.tally.first));
            flow.judged.retain(|entry| known(&entry.tally.first));
        }
        let mut ledger = crate::ledger::Ledger::default();
        for (subject, facts) in restored.ledger.iter() {
            for (key, support) in facts.iter().filter(|(_, support)| known(&support.first)) {
                ledger.apply(subject.clone(), crate::ledger::Fact { key: key.clone(), support: support.clone() });
            }
        }
        restored.ledger = ledger;
        let told: BTreeMap<String, State> = self.told(at)?.into_iter().map(|(_, id, state)| (id, state)).collect();
        restored.findings.retain(|kept| kept.life.first <= at);
        for kept in &mut restored.findings {
            kept.life.state = told.get(&*kept.life.id).copied().unwrap_or(kept.life.state);
        }
        Ok(restored)
    }

    /// What was told of findings until a time, in order: when, of which, and how it stood then.
    ///
    /// # Errors
    /// [`StoreError`] when the file cannot be read.
    pub fn told(&self, until: Timestamp) -> Result<Vec<(Timestamp, String, State)>, StoreError> {
        findings::told_until(&self.db, until).map_err(|error| wrong(&self.path, &error))
    }

    /// The policy that was in force last, as it was then. `None` when there was none.
    ///
    /// # Errors
    /// [`StoreError`] when the file cannot be read, or this program does not understand that policy any more.
    pub fn policy(&self) -> Result<Option<crate::policy::Policy>, StoreError> {
        let last = policies::last(&self.db).map_err(|error| wrong(&self.path, &error))?;
        let Some((_, files)) = last else { return Ok(None) };
        policies::load(&files).map(Some).map_err(|why| StoreError { path: self.path.clone(), why, passing: false })
    }
}

/// What one flush changed.
pub struct Flush<'a> {
    /// Captures that evidence names, with their numbers.
    pub captures: &'a [(u16, &'a CaptureSummary)],
    /// Facts with their sums.
    pub facts: &'a [(&'a crate::ledger::Subject, &'a crate::ledger::Facts)],
    /// Flows with their sums.
    pub flows: &'a [&'a crate::flow::Flow],
    /// The policy that judged them.
    pub policy: Option<&'a crate::policy::Policy>,
    /// When.
    pub at: Timestamp,
    /// What was watched over time.
    pub watch: &'a Watch,
    /// Findings that something was noted of.
    pub findings: &'a [&'a Kept],
    /// What was told.
    pub events: &'a [Happened],
    /// What happened to all frames so far.
    pub coverage: &'a Coverage,
    /// Flows from which there was no time to conclude, when this is the last.
    pub unconcluded: u64,
}

/// What a stop had no time for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cut {
    /// Flows that were written, and what follows from them was not concluded.
    pub unconcluded: u64,
    /// Flows that changed and were not written.
    pub unwritten: u64,
}

/// Bytes of the log that are copied while somebody waits: a moment on a disk that is not at its end.
const LOG: u64 = 8 << 20;

/// SQLite has no unsigned numbers; counters do not come near the difference, and what does is kept as the largest.
fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

#[cfg(test)]
mod tests;
