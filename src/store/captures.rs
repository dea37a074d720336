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

pub(super) fn read(from: &Connection, restored: &mut Restored) -> rusqlite::Result<()> {
    let mut rows = from.prepare("SELECT name, links, frames, bytes, first, last, lost FROM capture ORDER BY id")?;
    let mut rows = rows.query([])?;
    while let Some(row) = rows.next()? {
        let links: String = row.get(1)?;
        restored.captures.push(CaptureSummary {
            name: row.get(0)?,
            format: Format::Live,
            compression: Compression::None,
            link_types: links.split(' ').filter_map(|link| link.parse().ok().map(LinkType)).collect(),
            frames: unsigned(row.get(2)?),
            bytes: unsigned(row.get(3)?),
            lost: unsigned(row.get(6)?),
            first: row.get::<_, Option<i64>>(4)?.map(Timestamp::from_nanos),
            last: row.get::<_, Option<i64>>(5)?.map(Timestamp::from_nanos),
            interface: row.get(0)?,
            damage: None,
        });
    }
    Ok(())
}
