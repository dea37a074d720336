//! A part of the queue: records of one band in the order of their numbers, in a file or in memory.

use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use super::record::{LONGEST, Record};
use crate::event::BANDS;
use crate::policy::Band;
use crate::time::Timestamp;

/// A file that is longer than this is not one of ours, in bytes.
const LONGEST_FILE: u64 = 16 * LONGEST as u64;

/// Records of one band.
pub(super) struct Segment {
    store: Store,
    /// Bytes of the store, those of delivered records included.
    pub(super) bytes: u64,
    /// Records that wait, by rising number.
    pub(super) entries: VecDeque<Entry>,
}

/// Where a record lies.
#[derive(Clone, Copy)]
pub(super) struct Entry {
    pub(super) number: u64,
    pub(super) time: Timestamp,
    at: u64,
    pub(super) length: usize,
}

enum Store {
    /// The writer is there while records may be added.
    File {
        path: PathBuf,
        writer: Option<File>,
        unsynced: bool,
    },
    Memory(Vec<u8>),
}

impl Segment {
    /// A new file for records of that band.
    pub(super) fn create(folder: &Path, band: Band, first: u64) -> io::Result<Self> {
        let path = folder.join(format!("{first:016x}.{}", band.text()));
        let writer = OpenOptions::new().write(true).create_new(true).open(&path)?;
        Ok(Self {
            store: Store::File { path, writer: Some(writer), unsynced: false },
            bytes: 0,
            entries: VecDeque::new(),
        })
    }

    /// A segment that dies with the process.
    pub(super) fn in_memory() -> Self {
        Self { store: Store::Memory(Vec::new()), bytes: 0, entries: VecDeque::new() }
    }

    /// What an earlier process left in a file: the records after `confirmed`, and the number of damaged bytes. `None`
    /// for a file that is no segment. Nothing is ever added to it.
    pub(super) fn open(path: &Path, confirmed: u64) -> io::Result<Option<(Band, Self, u64)>> {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let Some((first, band)) = name.split_once('.') else { return Ok(None) };
        let Some(band) = BANDS.into_iter().find(|of| of.text() == band) else { return Ok(None) };
        if first.len() != 16 || u64::from_str_radix(first, 16).is_err() {
            return Ok(None);
        }
        let mut bytes = Vec::new();
        File::open(path)?.take(LONGEST_FILE).read_to_end(&mut bytes)?;
        let (records, damage) = Record::scan(&bytes);
        let entries = records.into_iter().filter(|(record, ..)| record.number > confirmed && record.band == band);
        let entries = entries.map(|(record, at, length)| Entry {
            number: record.number,
            time: record.time,
            at: at as u64,
            length,
        });
        let segment = Self {
            store: Store::File { path: path.to_owned(), writer: None, unsynced: false },
            bytes: bytes.len() as u64,
            entries: entries.collect(),
        };
        Ok(Some((band, segment, damage)))
    }

    pub(super) fn is_file(&self) -> bool {
        matches!(self.store, Store::File { .. })
    }

    /// Whether records may be added.
    pub(super) fn is_open(&self) -> bool {
        !matches!(self.store, Store::File { writer: None, .. })
    }

    /// Adds a record. After an error the file ends as it did before, or in a torn record that readers skip, and takes no
    /// more.
    pub(super) fn add(&mut self, number: u64, time: Timestamp, record: &[u8]) -> io::Result<()> {
        match &mut self.store {
            Store::Memory(bytes) => bytes.extend_from_slice(record),
            Store::File { writer, unsynced, .. } => {
                let file = writer.as_mut().ok_or_else(|| io::Error::other("the segment is closed"))?;
                // One write: a process that is killed has written all of it or some of its front.
                if let Err(error) = file.write_all(record) {
                    let _ = file.set_len(self.bytes);
                    *writer = None;
                    return Err(error);
                }
                *unsynced = true;
            }
        }
        self.entries.push_back(Entry { number, time, at: self.bytes, length: record.len() });
        self.bytes = self.bytes.saturating_add(record.len() as u64);
        Ok(())
    }

    /// The message of an entry.
    pub(super) fn read(&self, entry: &Entry) -> io::Result<Vec<u8>> {
        let damaged = || io::Error::new(io::ErrorKind::InvalidData, "a waiting record is damaged");
        let mut bytes = vec![0; entry.length];
        match &self.store {
            Store::Memory(all) => {
                let at = usize::try_from(entry.at).map_err(|_| damaged())?;
                let record = all.get(at..).and_then(|rest| rest.get(..entry.length)).ok_or_else(damaged)?;
                bytes.copy_from_slice(record);
            }
            Store::File { path, .. } => {
                let mut file = File::open(path)?;
                file.seek(SeekFrom::Start(entry.at))?;
                file.read_exact(&mut bytes)?;
            }
        }
        let (record, _) = Record::read(&bytes).filter(|(r, _)| r.number == entry.number).ok_or_else(damaged)?;
        Ok(record.bytes.to_vec())
    }

    /// The file, when something was added to it since the last call: for whoever makes it last a loss of power.
    pub(super) fn take_unsynced(&mut self) -> Option<File> {
        let Store::File { writer: Some(file), unsynced, .. } = &mut self.store else { return None };
        if !std::mem::take(unsynced) {
            return None;
        }
        file.try_clone().ok()
    }

    /// Removes the file.
    pub(super) fn remove(self) {
        if let Store::File { path, .. } = &self.store {
            // One that stays is read again by the next process, which skips what was confirmed.
            let _ = fs::remove_file(path);
        }
    }
}
