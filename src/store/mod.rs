//! What outlives the process: an embedded SQLite file with facts, flows, findings, events and coverage.
//!
//! One writer, one transaction a flush: what was committed survives a kill at any moment, and at most the last flush
//! interval is lost. Rows are replaced whole with their sums, so that writing a flush twice changes nothing. The tables
//! are meant to be read with `sqlite3` as well; times are nanoseconds since 1970 UTC.
//!
//! What is read back is merged like what a worker drained, so that a restart goes on where it was.

mod facts;
mod findings;
mod flows;
mod policies;
mod watch;
mod words;

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags, params};

use crate::flow::watch::Watch;
use crate::policy::life::State;
use crate::source::file::{CaptureSummary, Compression, Format};
use crate::time::Timestamp;
use crate::worker::Coverage;

pub use findings::{Happened, Kept};

/// Version of the tables.
const VERSION: i64 = 2;

/// The tables.
const SCHEMA: &str = include_str!("schema.sql");

/// What makes tables of each earlier version into those of the next, from version 1 on.
const UPGRADES: &[&str] = &["
    ALTER TABLE capture ADD COLUMN lost INTEGER NOT NULL DEFAULT 0;
    CREATE TABLE policy (sha256 TEXT PRIMARY KEY, since INTEGER NOT NULL, files TEXT NOT NULL) STRICT;
    CREATE TABLE watch (id INTEGER PRIMARY KEY, policy TEXT NOT NULL, detail TEXT NOT NULL) STRICT;
"];

/// The open store.
pub struct Store {
    db: Connection,
    path: PathBuf,
}

/// What is wrong with the store, with a way out.
#[derive(Debug)]
pub struct StoreError {
    path: PathBuf,
    why: String,
    /// The disk has no room, or the file cannot be written: it may work later.
    pub passing: bool,
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the store {}: {}", self.path.display(), self.why)
    }
}

impl std::error::Error for StoreError {}

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
    /// Rows that could not be understood: of a newer version, or damaged.
    pub skipped: u64,
}

impl Store {
    /// Opens a store, or makes one. A file that is damaged is set aside with `.damaged` in its name, and a new one made;
    /// the second value says so.
    ///
    /// # Errors
    /// [`StoreError`] when there can be no store at that place, or it is of a newer version of the program.
    pub fn open(path: &Path) -> Result<(Self, Option<String>), StoreError> {
        match Self::open_sound(path) {
            Ok(store) => Ok((store, None)),
            Err(error) if error.why.contains(DAMAGED) => {
                let aside = path.with_extension("damaged");
                let wrong = |why: std::io::Error| StoreError { path: path.into(), why: why.to_string(), passing: true };
                std::fs::rename(path, &aside).map_err(wrong)?;
                for leaf in ["-wal", "-shm"] {
                    // They belong to the damaged file; without it they would damage the new one.
                    let _ = std::fs::remove_file(sibling(path, leaf));
                }
                let said = format!("{}; it was set aside as {} and a new one made", error, aside.display());
                Ok((Self::open_sound(path)?, Some(said)))
            }
            Err(error) => Err(error),
        }
    }

    /// Opens a store to look at, without writing, while a sensor may write it.
    ///
    /// # Errors
    /// [`StoreError`] when there is none at that place, it may not be read, or is of another version of the program.
    pub fn look(path: &Path) -> Result<Self, StoreError> {
        let tell = |why: String| StoreError { path: path.into(), why, passing: false };
        std::fs::File::open(path).map_err(|error| tell(error.to_string()))?;
        let store = Self::look_at(path, "mode=ro").or_else(|error| {
            // Reading shares a file with the writer, which is made when it is not there. Where it cannot be made, and
            // nobody has left anything to be read from the log, there is no writer, and the file is all there is.
            let log = sibling(path, "-wal");
            if std::fs::metadata(log).is_ok_and(|log| log.len() > 0) {
                Err(error)
            } else {
                Self::look_at(path, "immutable=1")
            }
        })?;
        match store.version()? {
            VERSION => Ok(store),
            older @ 1..VERSION => Err(tell(format!(
                "it is of an older zonewatch (tables {older}, this program reads {VERSION})\n  hint: 'zonewatch watch' brings it up to date when it starts"
            ))),
            0 => Err(tell("it is no store of zonewatch, or still empty".to_owned())),
            newer => store.check_version(newer).map(|()| store),
        }
    }

    fn look_at(path: &Path, how: &str) -> Result<Self, StoreError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_URI;
        let place: String = path
            .to_string_lossy()
            .chars()
            .map(|c| match c {
                '%' => "%25".to_owned(),
                '?' => "%3f".to_owned(),
                '#' => "%23".to_owned(),
                c => c.to_string(),
            })
            .collect();
        let open = || {
            let db = Connection::open_with_flags(format!("file:{place}?{how}"), flags)?;
            db.busy_timeout(std::time::Duration::from_secs(5))?;
            db.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))?;
            Ok(db)
        };
        open().map(|db| Self { db, path: path.into() }).map_err(|error| wrong(path, &error))
    }

    fn open_sound(path: &Path) -> Result<Self, StoreError> {
        let db = Connection::open(path).map_err(|error| wrong(path, &error))?;
        let store = Self { db, path: path.into() };
        store.prepare()?;
        Ok(store)
    }

    fn prepare(&self) -> Result<(), StoreError> {
        let tell = |error: rusqlite::Error| wrong(&self.path, &error);
        // FULL: a commit that was reported is on the disk, also when the power fails. There is one every flush.
        self.db
            .execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; PRAGMA busy_timeout = 2000;")
            .map_err(tell)?;
        let sound: String = self.db.query_row("PRAGMA quick_check(1)", [], |row| row.get(0)).map_err(tell)?;
        if sound != "ok" {
            return Err(StoreError { path: self.path.clone(), why: format!("{DAMAGED} ({sound})"), passing: false });
        }
        let version = self.version()?;
        if version == 0 {
            self.db
                .execute_batch(&format!("BEGIN; {SCHEMA} PRAGMA user_version = {VERSION}; COMMIT;"))
                .map_err(tell)?;
            return Ok(());
        }
        self.check_version(version)?;
        let steps = UPGRADES.iter().skip(usize::try_from(version - 1).unwrap_or(0));
        for (step, to) in steps.zip(version + 1..) {
            self.db.execute_batch(&format!("BEGIN; {step} PRAGMA user_version = {to}; COMMIT;")).map_err(tell)?;
        }
        Ok(())
    }

    fn version(&self) -> Result<i64, StoreError> {
        self.db.query_row("PRAGMA user_version", [], |row| row.get(0)).map_err(|error| wrong(&self.path, &error))
    }

    fn check_version(&self, version: i64) -> Result<(), StoreError> {
        if version > VERSION {
            let why = format!(
                "it is of a newer zonewatch (tables {version}, this program knows {VERSION}); update the program"
            );
            return Err(StoreError { path: self.path.clone(), why, passing: false });
        }
        Ok(())
    }

    /// Writes what one flush changed, all or nothing.
    ///
    /// # Errors
    /// [`StoreError`]; nothing was written then, and the same can be tried again.
    pub fn write(&mut self, flush: &Flush<'_>) -> Result<(), StoreError> {
        let path = self.path.clone();
        let mut write = || -> rusqlite::Result<()> {
            let into = self.db.transaction()?;
            for (place, capture) in flush.captures {
                into.prepare_cached(
                    "INSERT OR REPLACE INTO capture (id, name, links, frames, bytes, first, last, lost) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                )?
                .execute(params![
                    place,
                    capture.name,
                    capture.link_types.iter().map(|link| link.0.to_string()).collect::<Vec<_>>().join(" "),
                    signed(capture.frames),
                    signed(capture.bytes),
                    capture.first.map(Timestamp::nanos),
                    capture.last.map(Timestamp::nanos),
                    signed(capture.lost),
                ])?;
            }
            policies::write(&into, flush.policy, flush.at)?;
            watch::write(&into, flush.watch, flush.policy)?;
            facts::write(&into, flush.facts)?;
            flows::write(&into, flush.flows, flush.policy)?;
            findings::write(&into, flush.findings)?;
            findings::write_events(&into, flush.events)?;
            words::write_coverage(&into, flush.coverage)?;
            into.commit()
        };
        write().map_err(|error| wrong(&path, &error))
    }

    /// Reads everything back.
    ///
    /// # Errors
    /// [`StoreError`] when the file cannot be read. Single rows that make no sense are skipped and counted.
    pub fn read(&self, policy: Option<&crate::policy::Policy>) -> Result<Restored, StoreError> {
        let mut restored = Restored::default();
        let mut words = words::Words::default();
        let read = |restored: &mut Restored, words: &mut words::Words| -> rusqlite::Result<()> {
            let mut rows =
                self.db.prepare("SELECT name, links, frames, bytes, first, last, lost FROM capture ORDER BY id")?;
            let mut rows = rows.query([])?;
            while let Some(row) = rows.next()? {
                let links: String = row.get(1)?;
                restored.captures.push(CaptureSummary {
                    name: row.get(0)?,
                    format: Format::Live,
                    compression: Compression::None,
                    link_types: links
                        .split(' ')
                        .filter_map(|link| link.parse().ok().map(crate::source::LinkType))
                        .collect(),
                    frames: unsigned(row.get(2)?),
                    bytes: unsigned(row.get(3)?),
                    lost: unsigned(row.get(6)?),
                    first: row.get::<_, Option<i64>>(4)?.map(Timestamp::from_nanos),
                    last: row.get::<_, Option<i64>>(5)?.map(Timestamp::from_nanos),
                    interface: row.get(0)?,
                    damage: None,
                });
            }
            facts::read(&self.db, words, restored)?;
            flows::read(&self.db, words, policy, restored)?;
            restored.watch = watch::read(&self.db, policy)?;
            findings::read(&self.db, restored)?;
            restored.last_event = findings::last_event(&self.db)?;
            restored.policy = policies::last(&self.db)?.map(|(sha256, _)| sha256);
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

    /// Everything as it was known at a time: what was seen first after it is left out, and findings stand as they were told
    /// to. Counters are sums, and stay those of today.
    ///
    /// # Errors
    /// As [`Store::read`].
    pub fn read_at(&self, policy: Option<&crate::policy::Policy>, at: Timestamp) -> Result<Restored, StoreError> {
        let mut restored = self.read(policy)?;
        let known = |evidence: &crate::ledger::Evidence| evidence.at <= at;
        restored.flows.retain(|flow| known(&flow.first));
        for flow in &mut restored.flows {
            flow.book.operations.retain(|operation| known(&operation.tally.first));
            flow.docket.entries.retain(|entry| known(&entry.tally.first));
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

    /// Forgets what was last seen before `before`, and what was seen longest ago while the file is larger than `most`
    /// bytes. Returns how many rows went.
    ///
    /// # Errors
    /// [`StoreError`] when the file cannot be written.
    pub fn forget(&mut self, before: Timestamp, most: u64) -> Result<u64, StoreError> {
        let path = self.path.clone();
        let forget = || -> rusqlite::Result<u64> {
            let mut gone = 0;
            for (table, time) in [("fact", "last"), ("flow", "last"), ("finding", "last"), ("event", "at")] {
                gone += self.db.execute(&format!("DELETE FROM {table} WHERE {time} < ?"), [before.nanos()])?;
            }
            // What was told goes with the conversations; findings and facts are few, and go when nothing else is left.
            let kinds: [&[&str]; 2] = [
                &[
                    "DELETE FROM event WHERE seq IN (SELECT seq FROM event ORDER BY seq LIMIT 1000)",
                    "DELETE FROM flow WHERE rowid IN (SELECT rowid FROM flow ORDER BY last LIMIT 1000)",
                ],
                &[
                    "DELETE FROM finding WHERE id IN (SELECT id FROM finding ORDER BY state != 'resolved', last LIMIT 1000)",
                    "DELETE FROM fact WHERE last <= (SELECT last FROM fact ORDER BY last LIMIT 1 OFFSET 1000)",
                ],
            ];
            for kind in kinds {
                while self.size()? > most {
                    let removed: usize = kind.iter().map(|oldest| self.db.execute(oldest, [])).sum::<Result<_, _>>()?;
                    if removed == 0 {
                        break;
                    }
                    gone += removed;
                    self.db.execute_batch("PRAGMA incremental_vacuum;")?;
                }
            }
            if gone > 0 {
                self.db.execute_batch("PRAGMA incremental_vacuum;")?;
            }
            Ok(gone as u64)
        };
        forget().map_err(|error| wrong(&path, &error))
    }

    /// Bytes in use.
    fn size(&self) -> rusqlite::Result<u64> {
        let get = |what: &str| self.db.query_row(&format!("PRAGMA {what}"), [], |row| row.get::<_, i64>(0));
        let pages = get("page_count")?.saturating_sub(get("freelist_count")?);
        Ok(unsigned(pages.saturating_mul(get("page_size")?)))
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
    pub findings: &'a [Kept],
    /// What was told.
    pub events: &'a [Happened],
    /// What happened to all frames so far.
    pub coverage: &'a Coverage,
}

/// A file beside the store.
fn sibling(path: &Path, leaf: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(leaf);
    name.into()
}

/// Words of an error that says the file is no sound database.
const DAMAGED: &str = "it is damaged";

fn wrong(path: &Path, error: &rusqlite::Error) -> StoreError {
    use rusqlite::ErrorCode::{
        CannotOpen, DatabaseCorrupt, DiskFull, NotADatabase, PermissionDenied, ReadOnly, SystemIoFailure,
    };
    let code = error.sqlite_error_code();
    let damaged = matches!(code, Some(DatabaseCorrupt | NotADatabase));
    StoreError {
        path: path.into(),
        why: if damaged { format!("{DAMAGED} ({error})") } else { error.to_string() },
        passing: matches!(code, Some(DiskFull | ReadOnly | SystemIoFailure | PermissionDenied | CannotOpen)),
    }
}

/// SQLite has no unsigned numbers; counters do not come near the difference, and what does is kept as the largest.
fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::analysis::{self, Options};
    use crate::pipeline::Observed;
    use crate::policy::life::{Acknowledgement, Ledger, Occurrence, Pace, Record, State};
    use crate::policy::{Band, Policy};
    use crate::source::set::Captures;

    const CAPTURE: &[u8] = include_bytes!("../../fixtures/plant/capture.pcap");
    const POLICY: &str = include_str!("../../fixtures/plant/plant.toml");

    fn plant() -> (analysis::Analysis, Vec<CaptureSummary>, Options) {
        let policy = Policy::parse("plant.toml", POLICY).unwrap();
        let options = Options { policy: Some(Arc::new(policy)), ..Options::default() };
        let mut captures = Captures::stream("eth1", Box::new(CAPTURE)).unwrap();
        let analysis = analysis::run(&mut captures, |c, b| c.fill(b), &options);
        (analysis, captures.summaries(), options)
    }

    fn write(store: &mut Store, analysis: &analysis::Analysis, captures: &[CaptureSummary]) -> Result<(), StoreError> {
        let observed = &analysis.observed;
        store.write(&Flush {
            captures: &(0..).zip(captures).collect::<Vec<_>>(),
            facts: &observed.ledger.iter().collect::<Vec<_>>(),
            flows: &observed.flows.iter().collect::<Vec<_>>(),
            policy: analysis.policy.as_deref(),
            at: captures[0].last.unwrap(),
            watch: &observed.watch,
            findings: &kept(analysis, captures),
            events: &[Happened {
                sequence: 7,
                at: captures[0].last.unwrap(),
                kind: "finding-opened",
                subject: "V-1".to_owned(),
                record: "{}".to_owned(),
            }],
            coverage: &observed.coverage,
        })
    }

    /// Each finding, acknowledged by somebody.
    fn kept(analysis: &analysis::Analysis, captures: &[CaptureSummary]) -> Vec<Kept> {
        let mut life = Ledger::new(Pace::default(), "hash");
        let at = captures[0].last.unwrap();
        let told = analysis.tell(captures);
        for finding in told.findings() {
            let band = Band::ALL.into_iter().find(|band| band.text() == finding.severity.band).unwrap();
            let (id, object) = (finding.id.as_str(), "holding 1");
            let campaign = None;
            life.occurred(&Occurrence { id, at, count: finding.count, band, class: "write", object, campaign });
            let by = Acknowledgement { who: "shift lead".into(), at, note: "planned".into(), until: Some(at) };
            life.acknowledge(id, by);
        }
        let of = |record: &Record| {
            let finding = told.findings().iter().find(|finding| *finding.id == *record.id).unwrap();
            Kept {
                life: record.clone(),
                score: finding.severity.score,
                record: format!("{{\"id\":\"{}\"}}", record.id),
            }
        };
        life.iter().map(of).collect()
    }

    #[test]
    fn what_is_read_back_is_what_was_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("zonewatch.db");
        let (analysis, captures, options) = plant();
        let (mut store, said) = Store::open(&path).unwrap();
        assert_eq!(said, None);
        for _ in 0..2 {
            write(&mut store, &analysis, &captures).unwrap();
        }
        drop(store);

        let restored = Store::look(&path).unwrap().read(options.policy.as_deref()).unwrap();
        assert_eq!(restored.skipped, 0);
        assert_eq!(restored.findings, kept(&analysis, &captures));
        assert!(restored.findings.len() > 3, "there is something to see");
        assert_eq!((restored.last_event, restored.policy), (7, Some(analysis.policy.as_ref().unwrap().sha256.clone())));
        let policy = Store::look(&path).unwrap().policy().unwrap().unwrap();
        assert_eq!(policy.sha256, analysis.policy.as_ref().unwrap().sha256, "the store has the policy itself");
        let mut flows = restored.flows;
        flows.sort_by_key(|flow| flow.key);
        let mut ledger = crate::ledger::Ledger::default();
        ledger.merge(restored.ledger);
        let (coverage, watch) = (restored.coverage, restored.watch);
        let observed = Observed { flows, ledger, coverage, watch, ..Observed::default() };
        let again = analysis::conclude(observed, &options);
        let text = |analysis: &analysis::Analysis| {
            let view = serde_json::to_value(analysis.view(&captures, &[])).unwrap();
            serde_json::to_string_pretty(&view).unwrap()
        };
        let (before, after) = (text(&analysis), text(&again));
        assert_eq!(before.lines().zip(after.lines()).find(|(a, b)| a != b), None);
    }

    #[test]
    fn a_store_that_cannot_be_used_is_told_and_one_that_is_damaged_is_set_aside() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("zonewatch.db");
        std::fs::write(&path, "this is no database, and it is longer than its header would be ".repeat(20)).unwrap();
        let (store, said) = Store::open(&path).unwrap();
        assert!(said.unwrap().contains("set aside as"), "the operator is told");
        assert!(path.with_extension("damaged").exists());
        store.db.execute_batch("PRAGMA user_version = 99").unwrap();
        drop(store);
        assert!(Store::open(&path).err().unwrap().to_string().contains("newer zonewatch"));
        let missing = folder.path().join("nowhere/zonewatch.db");
        assert!(Store::open(&missing).err().unwrap().passing, "the folder may come");
    }

    #[test]
    fn a_finding_that_nothing_raises_any_more_stays_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let (analysis, captures, options) = plant();
        let (mut store, _) = Store::open(&folder.path().join("zonewatch.db")).unwrap();
        write(&mut store, &analysis, &captures).unwrap();
        let mut gone = kept(&analysis, &captures).remove(0);
        let record = std::mem::take(&mut gone.record);
        (gone.life.state, gone.score) = (State::Resolved, 0);
        gone.life.first = captures[0].last.unwrap().after(std::time::Duration::from_secs(60));
        let (at, coverage) = (captures[0].last.unwrap(), Coverage::default());
        let (captures, facts, flows, findings) = (&[][..], &[][..], &[][..], &[gone.clone()][..]);
        let flush = Flush {
            captures,
            facts,
            flows,
            policy: options.policy.as_deref(),
            at,
            watch: &Watch::default(),
            findings,
            events: &[],
            coverage: &coverage,
        };
        store.write(&flush).unwrap();
        let read = store.read(options.policy.as_deref()).unwrap().findings.remove(0);
        assert_eq!((read.life.state, read.record), (State::Resolved, record));
        assert!(read.score > 0 && read.life.first == at, "what was there before is not forgotten");
    }

    /// The tables of version 1.
    fn first_version(db: &Connection) {
        let schema = SCHEMA.replace(", lost INTEGER NOT NULL DEFAULT 0", "");
        let later =
            |line: &&str| !["policy", "watch"].iter().any(|table| line.starts_with(&format!("CREATE TABLE {table}")));
        let schema: Vec<_> = schema.lines().filter(later).collect();
        db.execute_batch(&format!("{} PRAGMA user_version = 1;", schema.join("\n"))).unwrap();
    }

    #[test]
    fn stores_of_other_versions() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("zonewatch.db");
        first_version(&Connection::open(&path).unwrap());
        let error = Store::look(&path).err().unwrap().to_string();
        assert!(error.contains("older zonewatch") && error.contains("hint"), "{error}");
        let (analysis, captures, _) = plant();
        let (mut store, said) = Store::open(&path).unwrap();
        assert_eq!(said, None);
        write(&mut store, &analysis, &captures).unwrap();
        let upgraded = Store::look(&path).unwrap();
        let (new, _) = Store::open(&folder.path().join("new.db")).unwrap();
        let columns = |store: &Store, table: &str| -> Vec<String> {
            let mut rows = store.db.prepare(&format!("PRAGMA table_info({table})")).unwrap();
            rows.query_map([], |row| row.get(1)).unwrap().collect::<Result<_, _>>().unwrap()
        };
        for table in ["capture", "policy", "watch", "fact", "flow", "finding", "coverage", "event"] {
            assert_eq!(columns(&upgraded, table), columns(&new, table), "{table}");
            assert!(!columns(&new, table).is_empty(), "{table}");
        }
    }

    #[test]
    fn what_cannot_be_looked_at_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let make = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        make("empty.db", "");
        make("text.db", &"this is no database, and it is longer than its header would be ".repeat(20));
        let newer = Connection::open(folder.path().join("newer.db")).unwrap();
        newer.execute_batch("PRAGMA user_version = 99").unwrap();
        for (name, want) in [
            ("missing.db", "No such file"),
            ("empty.db", "no store of zonewatch"),
            ("text.db", "it is damaged"),
            ("newer.db", "newer zonewatch (tables 99"),
        ] {
            let error = Store::look(&folder.path().join(name)).err().unwrap().to_string();
            assert!(error.contains(want) && error.contains(name), "{name}: {error}");
        }
        assert!(!folder.path().join("missing.db").exists(), "looking makes no file");
    }

    #[test]
    fn what_is_old_or_too_much_is_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let (analysis, captures, options) = plant();
        let (mut store, _) = Store::open(&folder.path().join("zonewatch.db")).unwrap();
        write(&mut store, &analysis, &captures).unwrap();
        let count = |store: &Store| store.read(options.policy.as_deref()).unwrap().flows.len();
        let all = count(&store);
        let last = captures[0].last.unwrap();
        store.forget(captures[0].first.unwrap(), u64::MAX).unwrap();
        assert_eq!(count(&store), all, "nothing is that old");
        let before = last.before(std::time::Duration::from_secs(10));
        assert!(store.forget(before, u64::MAX).unwrap() > 0);
        let left = count(&store);
        assert!(0 < left && left < all, "{left} of {all}");
        store.forget(Timestamp::MIN, 4096).unwrap();
        assert_eq!(count(&store), 0, "more than fits");
    }

    #[test]
    fn a_full_disk_loses_nothing_that_was_written() {
        let folder = tempfile::tempdir().unwrap();
        let (analysis, captures, options) = plant();
        let (mut store, _) = Store::open(&folder.path().join("zonewatch.db")).unwrap();
        store.db.execute_batch("PRAGMA max_page_count = 20").unwrap();
        let error = write(&mut store, &analysis, &captures).err().unwrap();
        assert!(error.passing, "{error}");
        assert_eq!(store.read(options.policy.as_deref()).unwrap().flows.len(), 0, "all or nothing");
        store.db.execute_batch("PRAGMA max_page_count = 100000").unwrap();
        write(&mut store, &analysis, &captures).unwrap();
    }
}
