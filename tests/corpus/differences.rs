//! Where we and the other dissector differ, and why: `tests/differences/corpus.tsv`.
//!
//! A difference that does not stand there fails, and one that stands there and no longer occurs fails as well, so that
//! the table cannot rot. `ZONEWATCH_DIFFERENCES=FILE` appends what is found there, to start new rows from.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::Write;

/// Columns: capture, check, what, ours, theirs, reason.
const TABLE: &str = include_str!("../differences/corpus.tsv");

/// Differences of one check.
pub(crate) struct Differences {
    check: &'static str,
    found: BTreeMap<(String, String), (String, String)>,
}

impl Differences {
    /// None yet.
    pub(crate) fn of(check: &'static str) -> Self {
        Self { check, found: BTreeMap::new() }
    }

    /// Compares; what differs is noted.
    pub(crate) fn compare(&mut self, capture: &str, what: impl ToString, ours: impl ToString, theirs: impl ToString) {
        let (ours, theirs) = (ours.to_string(), theirs.to_string());
        if ours != theirs {
            self.found.insert((capture.to_owned(), what.to_string()), (ours, theirs));
        }
    }

    /// Passes when what was found is what stands in the table.
    pub(crate) fn judge(mut self) {
        let mut complaints = Vec::new();
        for line in TABLE.lines().skip(1).filter(|line| !line.starts_with('#') && !line.is_empty()) {
            let [capture, check, what, ours, theirs, reason] = line.split('\t').collect::<Vec<_>>()[..] else {
                complaints.push(format!("a line of the table without its six columns: {line}"));
                continue;
            };
            if check != self.check {
                continue;
            }
            if reason.len() < 10 {
                complaints.push(format!("no reason: {capture} {what}"));
            }
            match self.found.remove(&(capture.to_owned(), what.to_owned())) {
                Some((o, t)) if o == ours && t == theirs => {}
                Some((o, t)) => complaints.push(format!(
                    "listed otherwise: {capture} {what}: ours {o}, theirs {t}; listed {ours} and {theirs}"
                )),
                None => complaints.push(format!("no longer so: {capture} {what}: {ours}, {theirs}")),
            }
        }
        if let Some(path) = std::env::var_os("ZONEWATCH_DIFFERENCES") {
            let mut file = OpenOptions::new().create(true).append(true).open(path).unwrap();
            for ((capture, what), (ours, theirs)) in &self.found {
                writeln!(file, "{capture}\t{}\t{what}\t{ours}\t{theirs}\t", self.check).unwrap();
            }
        }
        for ((capture, what), (ours, theirs)) in self.found {
            complaints.push(format!("new: {capture} {what}: ours {ours}, theirs {theirs}"));
        }
        let shown = complaints.iter().take(60).cloned().collect::<Vec<_>>().join("\n  ");
        assert!(complaints.is_empty(), "{}: {} complaints\n  {shown}", self.check, complaints.len());
    }
}
