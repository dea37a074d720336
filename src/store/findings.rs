use rusqlite::{Connection, Transaction, params};

use super::{Restored, signed, unsigned};
use crate::time::Timestamp;

/// A finding as it is kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kept {
    /// Its id.
    pub id: String,
    /// Open, acknowledged, accepted, resolved.
    pub state: String,
    /// Severity.
    pub band: String,
    /// Severity.
    pub score: i32,
    /// When first.
    pub first: Timestamp,
    /// When last.
    pub last: Timestamp,
    /// How often.
    pub count: u64,
    /// What its life ledger has to remember, as that writes it.
    pub life: String,
    /// The finding as the contract has it, as JSON.
    pub record: String,
}

pub(super) fn write(into: &Transaction<'_>, findings: &[Kept]) -> rusqlite::Result<()> {
    let mut row = into.prepare_cached("INSERT OR REPLACE INTO finding VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)")?;
    for kept in findings {
        row.execute(params![
            kept.id,
            kept.state,
            kept.band,
            kept.score,
            kept.first.nanos(),
            kept.last.nanos(),
            signed(kept.count),
            kept.life,
            kept.record,
        ])?;
    }
    Ok(())
}

pub(super) fn read(from: &Connection, restored: &mut Restored) -> rusqlite::Result<()> {
    let mut rows = from.prepare("SELECT * FROM finding ORDER BY id")?;
    let mut rows = rows.query([])?;
    while let Some(row) = rows.next()? {
        restored.findings.push(Kept {
            id: row.get(0)?,
            state: row.get(1)?,
            band: row.get(2)?,
            score: row.get(3)?,
            first: Timestamp::from_nanos(row.get(4)?),
            last: Timestamp::from_nanos(row.get(5)?),
            count: unsigned(row.get(6)?),
            life: row.get(7)?,
            record: row.get(8)?,
        });
    }
    Ok(())
}
