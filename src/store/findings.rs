//! Findings with their life, and what was told.

use std::collections::BTreeSet;

use rusqlite::{Connection, Row, Transaction, params};
use serde::{Deserialize, Serialize};

use super::{Restored, signed, unsigned};
use crate::policy::Band;
use crate::policy::life::{Acknowledgement, Memory, Record, State};
use crate::time::Timestamp;

/// A finding as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// How it stands, and what of it was told.
    pub life: Record,
    /// Severity, from 0 to 100.
    pub score: i32,
    /// The finding as the contract has it, as JSON. Empty when it is written: nothing raises it any more, and what was
    /// written of it stays.
    pub record: String,
}

/// Something that was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Happened {
    /// Counts up by one from event to event.
    pub sequence: u64,
    /// When.
    pub at: Timestamp,
    /// What kind of event: a word of the contract.
    pub kind: &'static str,
    /// The id of what it is about.
    pub subject: String,
    /// The event as JSON.
    pub record: String,
}

/// What the columns of the table do not hold.
#[derive(Serialize, Deserialize)]
struct LifeRow {
    policy: String,
    campaign: Option<String>,
    destinations: usize,
    acknowledged: Option<AcknowledgedRow>,
    classes: BTreeSet<Box<str>>,
    objects: BTreeSet<Box<str>>,
    told: i64,
    hour: i64,
    lines: u32,
    passed: u64,
}

#[derive(Serialize, Deserialize)]
struct AcknowledgedRow {
    who: Box<str>,
    at: i64,
    note: Box<str>,
    until: Option<i64>,
}

impl LifeRow {
    fn of(record: &Record) -> Self {
        let Memory { classes, objects, told, hour, lines, passed } = record.memory.clone();
        let acknowledged = record.acknowledged.clone().map(|Acknowledgement { who, at, note, until }| {
            AcknowledgedRow { who, at: at.nanos(), note, until: until.map(Timestamp::nanos) }
        });
        Self {
            policy: record.policy.to_string(),
            campaign: record.campaign.as_deref().map(str::to_owned),
            destinations: record.destinations,
            acknowledged,
            classes,
            objects,
            told: told.nanos(),
            hour: hour.nanos(),
            lines,
            passed,
        }
    }

    fn memory(self) -> (Memory, Option<Acknowledgement>) {
        let Self { classes, objects, told, hour, lines, passed, acknowledged, .. } = self;
        let (told, hour) = (Timestamp::from_nanos(told), Timestamp::from_nanos(hour));
        let acknowledged = acknowledged.map(|AcknowledgedRow { who, at, note, until }| Acknowledgement {
            who,
            at: Timestamp::from_nanos(at),
            note,
            until: until.map(Timestamp::from_nanos),
        });
        (Memory { classes, objects, told, hour, lines, passed }, acknowledged)
    }
}

pub(super) fn write(into: &Transaction<'_>, findings: &[&Kept]) -> rusqlite::Result<()> {
    let mut row = into.prepare_cached(
        "INSERT INTO finding (id, state, band, score, first, last, count, life, record)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
         ON CONFLICT (id) DO UPDATE SET state = ?2, band = ?3, first = min(first, ?5), last = max(last, ?6), count = ?7, life = ?8,
             score = iif(?9 = '', score, ?4), record = iif(?9 = '', record, ?9)",
    )?;
    for Kept { life, score, record } in findings {
        // Rows are made here and nowhere else, of types that have a JSON form.
        let memory = serde_json::to_string(&LifeRow::of(life)).unwrap_or_default();
        row.execute(params![
            &*life.id,
            life.state.text(),
            life.band.text(),
            score,
            life.first.nanos(),
            life.last.nanos(),
            signed(life.count),
            memory,
            record,
        ])?;
    }
    Ok(())
}

pub(super) fn read(from: &Connection, restored: &mut Restored) -> rusqlite::Result<()> {
    let columns = "id, state, band, score, first, last, count, life, record";
    let mut rows = from.prepare(&format!("SELECT {columns} FROM finding ORDER BY id"))?;
    let mut rows = rows.query([])?;
    while let Some(row) = rows.next()? {
        match finding(row)? {
            Some(kept) => restored.findings.push(kept),
            None => restored.skipped += 1,
        }
    }
    Ok(())
}

fn finding(row: &Row<'_>) -> rusqlite::Result<Option<Kept>> {
    let text = |place: usize| row.get::<_, String>(place);
    let (id, state, band, life) = (text(0)?, text(1)?, text(2)?, text(7)?);
    let time = |place: usize| row.get(place).map(Timestamp::from_nanos);
    let (first, last, count) = (time(4)?, time(5)?, unsigned(row.get(6)?));
    let (score, record) = (row.get(3)?, text(8)?);
    Ok((|| {
        let row: LifeRow = serde_json::from_str(&life).ok()?;
        let (policy, campaign, destinations) = (row.policy.as_str().into(), row.campaign.as_deref(), row.destinations);
        let campaign = campaign.map(Into::into);
        let state = State::ALL.into_iter().find(|known| known.text() == state)?;
        let band = Band::ALL.into_iter().find(|known| known.text() == band)?;
        let (memory, acknowledged) = row.memory();
        let id = id.into();
        let life = Record { id, state, first, last, count, band, policy, campaign, destinations, acknowledged, memory };
        Some(Kept { life, score, record })
    })())
}

pub(super) fn write_events(into: &Transaction<'_>, events: &[Happened]) -> rusqlite::Result<()> {
    let mut row =
        into.prepare_cached("INSERT OR REPLACE INTO event (seq, at, kind, subject, record) VALUES (?, ?, ?, ?, ?)")?;
    for Happened { sequence, at, kind, subject, record } in events {
        row.execute(params![signed(*sequence), at.nanos(), kind, subject, record])?;
    }
    Ok(())
}

/// The number of the newest event.
pub(super) fn last_event(from: &Connection) -> rusqlite::Result<u64> {
    from.query_row("SELECT ifnull(max(seq), 0) FROM event", [], |row| row.get(0)).map(unsigned)
}

/// What was told of findings until a time, in order: when, of which, and how it stood then.
pub(super) fn told_until(from: &Connection, at: Timestamp) -> rusqlite::Result<Vec<(Timestamp, String, State)>> {
    // A finding that nothing shows any more ends with a word about it alone.
    let mut rows = from.prepare(
        "SELECT iif(subject LIKE 'H-finding-%', substr(subject, 11), subject), kind, json_extract(record, '$.finding.state'), at
         FROM event WHERE at <= ? AND (kind LIKE 'finding-%' OR kind = 'campaign') ORDER BY seq",
    )?;
    let mut rows = rows.query([at.nanos()])?;
    let mut told = Vec::new();
    while let Some(row) = rows.next()? {
        let (id, kind, state): (String, String, Option<String>) = (row.get(0)?, row.get(1)?, row.get(2)?);
        let word = state.unwrap_or_else(|| if kind == "finding-resolved" { "resolved" } else { "open" }.to_owned());
        if let Some(state) = State::ALL.into_iter().find(|known| known.text() == word) {
            told.push((Timestamp::from_nanos(row.get(3)?), id, state));
        }
    }
    Ok(told)
}
