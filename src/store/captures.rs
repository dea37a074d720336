//! The interfaces that were watched, as captures: evidence names them by number.

use rusqlite::{Connection, Transaction, params};

use super::{Restored, signed, unsigned};
use crate::source::LinkType;
use crate::source::file::{CaptureSummary, Compression, Format};
use crate::time::Timestamp;

pub(super) fn write(into: &Transaction<'_>, captures: &[(u16, &CaptureSummary)]) -> rusqlite::Result<()> {
    let columns = "id, name, links, frames, bytes, first, last, lost";
    let mut row =
        into.prepare_cached(&format!("INSERT OR REPLACE INTO capture ({columns}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"))?;
    for (place, capture) in captures {
        row.execute(params![
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
    Ok(())
}

/// Adds `by` to the number of each.
pub(super) fn renumber(into: &Transaction<'_>, by: u16) -> rusqlite::Result<()> {
    // By way of numbers that no capture has: each number may be taken until the one above it has moved.
    into.execute("UPDATE capture SET id = -1 - id - ?", [by])?;
    into.execute("UPDATE OR REPLACE capture SET id = min(-1 - id, ?)", [u16::MAX])?;
    into.execute(
        "UPDATE fact SET first_capture = min(first_capture + ?1, ?2), last_capture = min(last_capture + ?1, ?2)",
        [by, u16::MAX],
    )?;
    Ok(())
}

pub(super) fn read(from: &Connection, restored: &mut Restored) -> rusqlite::Result<()> {
    let mut rows = from.prepare("SELECT id, name, links, frames, bytes, first, last, lost FROM capture ORDER BY id")?;
    let mut rows = rows.query([])?;
    while let Some(row) = rows.next()? {
        let (Ok(place), name) = (u16::try_from(row.get::<_, i64>(0)?), row.get(1)?) else {
            restored.skipped += 1;
            continue;
        };
        let links: String = row.get(2)?;
        // Where numbers are missing, what stands behind them keeps its own.
        restored.captures.resize_with(place.into(), || capture(String::new()));
        restored.captures.push(CaptureSummary {
            link_types: links.split(' ').filter_map(|link| link.parse().ok().map(LinkType)).collect(),
            frames: unsigned(row.get(3)?),
            bytes: unsigned(row.get(4)?),
            first: row.get::<_, Option<i64>>(5)?.map(Timestamp::from_nanos),
            last: row.get::<_, Option<i64>>(6)?.map(Timestamp::from_nanos),
            lost: unsigned(row.get(7)?),
            ..capture(name)
        });
    }
    Ok(())
}

/// A capture of that name, of which nothing else is known.
fn capture(name: String) -> CaptureSummary {
    CaptureSummary {
        interface: Some(name.clone()),
        name,
        format: Format::Live,
        compression: Compression::None,
        link_types: Vec::new(),
        frames: 0,
        bytes: 0,
        lost: 0,
        first: None,
        last: None,
        damage: None,
    }
}
