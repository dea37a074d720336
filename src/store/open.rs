//! Opening a store: to write, to look at, from an earlier version.

use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags};

use super::checkpoint::Checkpoints;
use super::error::{DAMAGED, wrong};
use super::{Store, StoreError};

/// Version of the tables.
const VERSION: i64 = 2;

/// The tables.
pub(super) const SCHEMA: &str = include_str!("schema.sql");

/// What makes tables of each earlier version into those of the next, from version 1 on.
const UPGRADES: &[&str] = &["
    ALTER TABLE capture ADD COLUMN lost INTEGER NOT NULL DEFAULT 0;
    CREATE TABLE policy (sha256 TEXT PRIMARY KEY, since INTEGER NOT NULL, files TEXT NOT NULL) STRICT;
    CREATE TABLE watch (id INTEGER PRIMARY KEY, policy TEXT NOT NULL, detail TEXT NOT NULL) STRICT;
"];

impl Store {
    /// Opens a store, or makes one. A file that is damaged is set aside with `.damaged` in its name, and a new one made;
    /// the second value says so.
    ///
    /// # Errors
    /// [`StoreError`] when there can be no store at that place, or it is of a newer version of the program.
    pub fn open(path: &Path) -> Result<(Self, Option<String>), StoreError> {
        match Self::open_sound(path) {
            Ok(store) => Ok((store, None)),
            Err(error) if error.is_damage() => {
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
        std::fs::File::open(path).map_err(|error| StoreError { passing: true, ..tell(error.to_string()) })?;
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
        // A sensor that can write there makes or changes what is missing or old.
        let passing = |why: String| StoreError { passing: true, ..tell(why) };
        match store.known_version()? {
            0 => Err(passing("it is no store of zonewatch, or still empty".to_owned())),
            older @ 1..VERSION => Err(passing(format!(
                "it is of an older zonewatch (tables {older}, this program reads {VERSION})\n  hint: 'zonewatch watch' brings it up to date when it starts"
            ))),
            _ => Ok(store),
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
        open().map(|db| Self { checkpoints: None, db, path: path.into() }).map_err(|error| wrong(path, &error))
    }

    fn open_sound(path: &Path) -> Result<Self, StoreError> {
        let db = Connection::open(path).map_err(|error| wrong(path, &error))?;
        let mut store = Self { checkpoints: None, db, path: path.into() };
        store.prepare()?;
        store.checkpoints = Some(Checkpoints::start(path).map_err(|error| wrong(path, &error))?);
        Ok(store)
    }

    fn prepare(&self) -> Result<(), StoreError> {
        let tell = |error: rusqlite::Error| wrong(&self.path, &error);
        // A file that is not ours is left as it is: nothing is written before this.
        let version = self.known_version()?;
        // NORMAL: a commit does not wait for the disk. The log reaches it when it is copied into the file, which is begun after
        // each commit, by somebody who can wait. A part of a flush is larger than the cache that SQLite takes by itself, and
        // each page that does not fit is written more than once.
        self.db
            .execute_batch(
                "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA wal_autocheckpoint = 0;
                 PRAGMA journal_size_limit = 67108864; PRAGMA cache_size = -8192; PRAGMA foreign_keys = ON;
                 PRAGMA busy_timeout = 2000;",
            )
            .map_err(tell)?;
        let sound: String = self.db.query_row("PRAGMA quick_check(1)", [], |row| row.get(0)).map_err(tell)?;
        if sound != "ok" {
            return Err(StoreError { path: self.path.clone(), why: format!("{DAMAGED} ({sound})"), passing: false });
        }
        if version == 0 {
            self.db
                .execute_batch(&format!("BEGIN; {SCHEMA} PRAGMA user_version = {VERSION}; COMMIT;"))
                .map_err(tell)?;
            return Ok(());
        }
        let steps = UPGRADES.iter().skip(usize::try_from(version - 1).unwrap_or(0));
        for (step, to) in steps.zip(version + 1..) {
            self.db.execute_batch(&format!("BEGIN; {step} PRAGMA user_version = {to}; COMMIT;")).map_err(tell)?;
        }
        // That a disk takes nothing shows in a write alone.
        self.db.execute_batch(&format!("PRAGMA user_version = {VERSION};")).map_err(tell)
    }

    /// Bytes of the log.
    pub(super) fn log_size(&self) -> u64 {
        std::fs::metadata(sibling(&self.path, "-wal")).map_or(0, |log| log.len())
    }

    /// The version of the tables, 0 where there are none.
    fn known_version(&self) -> Result<i64, StoreError> {
        let tell = |why: String| StoreError { path: self.path.clone(), why, passing: false };
        let tables = |which: &str| -> Result<i64, StoreError> {
            let count = format!("SELECT count(*) FROM sqlite_schema WHERE type = 'table' {which}");
            self.db.query_row(&count, [], |row| row.get(0)).map_err(|error| wrong(&self.path, &error))
        };
        let version: i64 = self
            .db
            .query_row("PRAGMA user_version", [], |row| row.get(0))
            .map_err(|error| wrong(&self.path, &error))?;
        if version > VERSION {
            return Err(tell(format!(
                "it is of a newer zonewatch (tables {version}, this program knows {VERSION})\n  hint: update the program, or name another file in [store] path"
            )));
        }
        let is_ours = match version {
            0 => tables("")? == 0,
            _ => tables("AND name IN ('capture', 'fact', 'flow', 'finding', 'coverage', 'event')")? == 6,
        };
        if is_ours {
            Ok(version)
        } else {
            Err(tell(
                "it is a database of another program, and stays as it is\n  hint: name another file in [store] path"
                    .to_owned(),
            ))
        }
    }
}

/// A file beside the store.
fn sibling(path: &Path, leaf: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(leaf);
    name.into()
}
