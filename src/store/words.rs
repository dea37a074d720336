//! Words that the program keeps as `&'static str` and reads back as text, and the counters of coverage.

use std::collections::HashSet;

use dissectors::REGISTRY;
use dissectors::recognise::Recognised;
use rusqlite::{Connection, Transaction};

use super::{Cut, Restored, signed, unsigned};
use crate::worker::Coverage;

/// Distinct words that are made static at most. There are a few hundred in the program.
const MOST: usize = 4096;

/// Longest of them.
const LONGEST: usize = 128;

/// Words as the program knows them: each distinct one is kept for the life of the process, and there are few.
#[derive(Default)]
pub(super) struct Words(HashSet<&'static str>, Vec<&'static Recognised>);

impl Words {
    /// The word; `None` for what cannot be a word of this program.
    pub(super) fn word(&mut self, text: &str) -> Option<&'static str> {
        if let Some(known) = self.0.get(text) {
            return Some(known);
        }
        if text.len() > LONGEST || self.0.len() >= MOST {
            return None;
        }
        let kept: &'static str = Box::leak(text.to_owned().into_boxed_str());
        self.0.insert(kept);
        Some(kept)
    }

    /// What the first bytes of a conversation were recognised as.
    pub(super) fn recognised(
        &mut self,
        name: &str,
        version: Option<&str>,
        industrial: bool,
    ) -> Option<&'static Recognised> {
        let version = version.map(|version| self.word(version).ok_or(())).transpose().ok()?;
        let wanted = Recognised { name: self.word(name)?, version, industrial };
        if let Some(known) = self.1.iter().find(|known| ***known == wanted) {
            return Some(known);
        }
        if self.1.len() >= MOST {
            return None;
        }
        let kept: &'static Recognised = Box::leak(Box::new(wanted));
        self.1.push(kept);
        Some(kept)
    }
}

/// The counters that a coverage consists of.
fn counters(of: &Coverage) -> Vec<(&'static str, String, u64)> {
    let mut all = vec![
        ("frames", String::new(), of.frames),
        ("bytes", String::new(), of.bytes),
        ("decoded", String::new(), of.decoded),
        ("duplicates", String::new(), of.duplicates),
        ("fragments", String::new(), of.fragments),
        ("truncated", String::new(), of.truncated),
        ("panics", String::new(), of.panics),
        ("forgotten-frames", String::new(), of.forgotten.0),
        ("forgotten-bytes", String::new(), of.forgotten.1),
    ];
    all.extend(of.not_decoded.iter().map(|(why, count)| ("not-decoded", (*why).to_owned(), *count)));
    all.extend(of.limits.iter().map(|(which, count)| ("limit", (*which).to_owned(), *count)));
    for (protocol, of) in REGISTRY.iter().zip(of.protocols.iter()) {
        let name = protocol.info().name;
        let mut add = |kind, count| all.push((kind, name.to_owned(), count));
        add("pdus", of.pdus);
        add("pdu-bytes", of.bytes);
        add("skipped-bytes", of.skipped_bytes);
        add("anomalies", of.anomalies);
        add("opaque", of.opaque);
        all.extend(of.messages.iter().map(|(code, count)| ("message", format!("{name} {code}"), *count)));
    }
    all
}

pub(super) fn write_coverage(into: &Transaction<'_>, coverage: &Coverage) -> rusqlite::Result<()> {
    let mut row = into.prepare_cached("INSERT OR REPLACE INTO coverage (kind, name, value) VALUES (?, ?, ?)")?;
    for (kind, name, value) in counters(coverage).into_iter().filter(|(_, _, value)| *value > 0) {
        row.execute((kind, name, signed(value)))?;
    }
    Ok(())
}

/// Notes what there was no time for; nothing when there was.
pub(super) fn write_cut(into: &Transaction<'_>, cut: Cut) -> rusqlite::Result<()> {
    into.execute("DELETE FROM coverage WHERE kind = 'stop'", [])?;
    for (name, count) in [("unconcluded", cut.unconcluded), ("unwritten", cut.unwritten)] {
        if count > 0 {
            into.execute("INSERT INTO coverage (kind, name, value) VALUES ('stop', ?, ?)", (name, signed(count)))?;
        }
    }
    Ok(())
}

pub(super) fn read_cut(from: &Connection) -> rusqlite::Result<Cut> {
    let count = |name: &str| {
        let value = "SELECT ifnull(sum(value), 0) FROM coverage WHERE kind = 'stop' AND name = ?";
        from.query_row(value, [name], |row| row.get(0)).map(unsigned)
    };
    Ok(Cut { unconcluded: count("unconcluded")?, unwritten: count("unwritten")? })
}

pub(super) fn read_coverage(from: &Connection, words: &mut Words, restored: &mut Restored) -> rusqlite::Result<()> {
    let coverage = &mut restored.coverage;
    let mut rows = from.prepare("SELECT kind, name, value FROM coverage WHERE kind != 'stop' ORDER BY kind, name")?;
    let mut rows = rows.query([])?;
    while let Some(row) = rows.next()? {
        let (kind, name, value): (String, String, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
        let value = unsigned(value);
        let known = match kind.as_str() {
            "not-decoded" => words.word(&name).map(|why| coverage.not_decoded.entry(why).or_default()),
            "limit" => words.word(&name).map(|which| coverage.limits.entry(which).or_default()),
            kind if name.is_empty() => counter(coverage, kind),
            kind => protocol(coverage, kind, &name),
        };
        let understood = known.map(|counter| *counter = value).is_some();
        restored.skipped += u64::from(!understood);
    }
    Ok(())
}

fn counter<'a>(coverage: &'a mut Coverage, kind: &str) -> Option<&'a mut u64> {
    match kind {
        "frames" => Some(&mut coverage.frames),
        "bytes" => Some(&mut coverage.bytes),
        "decoded" => Some(&mut coverage.decoded),
        "duplicates" => Some(&mut coverage.duplicates),
        "fragments" => Some(&mut coverage.fragments),
        "truncated" => Some(&mut coverage.truncated),
        "panics" => Some(&mut coverage.panics),
        "forgotten-frames" => Some(&mut coverage.forgotten.0),
        "forgotten-bytes" => Some(&mut coverage.forgotten.1),
        _ => None,
    }
}

fn protocol<'a>(coverage: &'a mut Coverage, kind: &str, name: &str) -> Option<&'a mut u64> {
    let (name, code) = name.split_once(' ').unwrap_or((name, ""));
    let place = REGISTRY.iter().position(|protocol| protocol.info().name == name)?;
    let of = coverage.protocols.get_mut(place)?;
    match kind {
        "pdus" => Some(&mut of.pdus),
        "pdu-bytes" => Some(&mut of.bytes),
        "skipped-bytes" => Some(&mut of.skipped_bytes),
        "anomalies" => Some(&mut of.anomalies),
        "opaque" => Some(&mut of.opaque),
        "message" => {
            of.messages.push((code.parse().ok()?, 0));
            of.messages.last_mut().map(|(_, count)| count)
        }
        _ => None,
    }
}
