//! What is too old, or too much.

use super::error::wrong;
use super::{Store, StoreError, unsigned};
use crate::time::Timestamp;

impl Store {
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
