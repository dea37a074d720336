//! What waits for one output: a bounded queue on disk that survives a kill at any moment.
//!
//! Each band has segments of its own, and records are numbered through all of them. So the queue is read in the order of
//! putting, one number says how far the other side has got, and dropping the oldest of the mildest is deleting a file.
//!
//! - A record is in the file when [`Spool::put`] returns: a kill of the process loses nothing. A loss of power loses what
//!   was put since the last [`Spool::unsynced`].
//! - Only [`Spool::confirm`] moves the cursor, which is replaced as a whole. Without it everything is delivered again.
//! - Where the disk does not take a record (full, read-only, used by another process) it waits in memory, and
//!   [`Spool::trouble`] says so. The disk is tried again with each record.
//!
//! Every record that was put is either waiting, or counted as delivered, or as dropped.

mod record;
mod segment;

use std::collections::VecDeque;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use self::record::{LONGEST, Record, checksum};
use self::segment::{Entry, Segment};
use crate::event::BANDS;
use crate::policy::Band;
use crate::time::Timestamp;

/// The queue of one output.
pub(super) struct Spool {
    folder: PathBuf,
    /// Held while the folder is ours.
    lock: Option<File>,
    limits: Limits,
    /// By band, the mildest first; each by rising number.
    bands: [VecDeque<Segment>; 5],
    /// The number of the next record.
    next: u64,
    /// Up to here records were handed out.
    given: u64,
    /// Up to here the other side has them.
    confirmed: u64,
    trouble: Option<String>,
    counts: Counts,
}

/// Bounds, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Limits {
    disk: u64,
    memory: u64,
    /// A segment is closed when it would grow past this.
    segment: u64,
}

/// What became of records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) put: u64,
    pub(super) delivered: u64,
    /// By band, the mildest first: for want of room, or damaged on disk.
    pub(super) dropped: [u64; 5],
    /// Bytes of files that belonged to no whole record when they were opened.
    pub(super) torn_bytes: u64,
}

/// What waits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Waiting {
    pub(super) records: u64,
    pub(super) bytes: u64,
    /// Of those, records that only memory holds.
    pub(super) in_memory: u64,
    /// The time of the oldest.
    pub(super) oldest: Option<Timestamp>,
}

/// A record that was handed out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Message {
    pub(super) number: u64,
    pub(super) bytes: Vec<u8>,
}

/// What memory may hold when the disk takes nothing, in bytes.
const MEMORY: u64 = 4 << 20;

impl Spool {
    /// The queue in `folder`, with what an earlier process left there, of at most `most` bytes.
    pub(super) fn open(folder: &Path, most: u64) -> Self {
        let limits =
            Limits { disk: most, memory: most.min(MEMORY), segment: (most / 64).clamp(16 << 10, 1 << 20).min(most) };
        let mut spool = Self {
            folder: folder.to_owned(),
            lock: None,
            limits,
            bands: Default::default(),
            next: 1,
            given: 0,
            confirmed: 0,
            trouble: None,
            counts: Counts::default(),
        };
        spool.attach();
        spool
    }

    /// Takes the folder and what lies in it, unless that is done already.
    fn attach(&mut self) {
        // Numbers of a queue that lived in memory must not mix with those of the folder.
        let is_idle = self.bands.iter().all(VecDeque::is_empty) && self.given == self.confirmed;
        if self.lock.is_some() || !is_idle {
            return;
        }
        match self.read_folder() {
            Ok(()) => self.trouble = None,
            Err(error) => self.trouble = Some(error.to_string()),
        }
    }

    fn read_folder(&mut self) -> io::Result<()> {
        fs::create_dir_all(&self.folder)?;
        let lock = File::create(self.folder.join("lock"))?;
        lock.try_lock().map_err(|error| match error {
            fs::TryLockError::WouldBlock => io::Error::other("another process uses the queue"),
            fs::TryLockError::Error(error) => error,
        })?;
        self.confirmed = self.confirmed.max(read_cursor(&self.folder).unwrap_or(0));
        let mut names: Vec<PathBuf> = fs::read_dir(&self.folder)?.flatten().map(|entry| entry.path()).collect();
        names.sort_unstable();
        for path in names {
            let Some((band, segment, damage)) = Segment::open(&path, self.confirmed)? else { continue };
            self.counts.torn_bytes = self.counts.torn_bytes.saturating_add(damage);
            match segment.entries.back() {
                Some(last) => {
                    self.next = self.next.max(last.number.saturating_add(1));
                    self.counts.put = self.counts.put.saturating_add(segment.entries.len() as u64);
                    self.bands[band as usize].push_back(segment);
                }
                None => segment.remove(),
            }
        }
        self.next = self.next.max(self.confirmed.saturating_add(1));
        self.given = self.confirmed;
        self.lock = Some(lock);
        // The bound may be smaller than that of the process before.
        self.make_room(true, 0, Band::Critical);
        Ok(())
    }

    /// Adds a record, dropping older ones of the same or milder bands where there is no room; or counts it as dropped.
    pub(super) fn put(&mut self, band: Band, time: Timestamp, bytes: &[u8]) {
        self.counts.put = self.counts.put.saturating_add(1);
        self.attach();
        let number = self.next;
        self.next = self.next.saturating_add(1);
        let stored = bytes.len() <= LONGEST && {
            let record = Record { number, time, band, bytes }.write();
            match self.put_on_disk(number, time, band, &record) {
                Ok(stored) => stored,
                Err(error) => {
                    self.trouble = Some(error.to_string());
                    self.put_in_memory(number, time, band, &record)
                }
            }
        };
        if !stored {
            self.drop_records(band, 1);
        }
    }

    /// `Ok(false)` when there is no room, an error when the disk does not take it.
    fn put_on_disk(&mut self, number: u64, time: Timestamp, band: Band, record: &[u8]) -> io::Result<bool> {
        if self.lock.is_none() {
            return Err(io::Error::other(self.trouble.clone().unwrap_or_default()));
        }
        if !self.make_room(true, record.len() as u64, band) {
            return Ok(false);
        }
        let segments = &mut self.bands[band as usize];
        let limit = self.limits.segment;
        let fits = |segment: &Segment| segment.bytes.saturating_add(record.len() as u64) <= limit;
        match segments.back_mut().filter(|last| last.is_file() && last.is_open() && fits(last)) {
            Some(last) => last.add(number, time, record)?,
            None => {
                let mut segment = Segment::create(&self.folder, band, number)?;
                if let Err(error) = segment.add(number, time, record) {
                    segment.remove();
                    return Err(error);
                }
                segments.push_back(segment);
            }
        }
        self.trouble = None;
        Ok(true)
    }

    fn put_in_memory(&mut self, number: u64, time: Timestamp, band: Band, record: &[u8]) -> bool {
        if !self.make_room(false, record.len() as u64, band) {
            return false;
        }
        let segments = &mut self.bands[band as usize];
        // Small ones, so that dropping one costs few records.
        let limit = self.limits.memory / 64;
        let fits = |segment: &Segment| segment.bytes.saturating_add(record.len() as u64) <= limit;
        if !segments.back().is_some_and(|last| !last.is_file() && fits(last)) {
            segments.push_back(Segment::in_memory());
        }
        segments.back_mut().is_some_and(|last| last.add(number, time, record).is_ok())
    }

    /// Drops the oldest segments of the mildest bands up to `band` until `need` more bytes fit; false when they do not.
    fn make_room(&mut self, on_disk: bool, need: u64, band: Band) -> bool {
        let limit = if on_disk { self.limits.disk } else { self.limits.memory };
        if need > limit {
            return false;
        }
        loop {
            let segments = self.bands.iter().flatten().filter(|segment| segment.is_file() == on_disk);
            let used = segments.fold(need, |sum, segment| sum.saturating_add(segment.bytes));
            if used <= limit {
                return true;
            }
            let victim = BANDS.into_iter().filter(|mild| *mild <= band).find_map(|band| {
                let at = self.bands[band as usize].iter().position(|segment| segment.is_file() == on_disk)?;
                Some((band, self.bands[band as usize].remove(at)?))
            });
            let Some((band, segment)) = victim else { return false };
            self.drop_records(band, segment.entries.len() as u64);
            segment.remove();
        }
    }

    fn drop_records(&mut self, band: Band, count: u64) {
        let dropped = &mut self.counts.dropped[band as usize];
        *dropped = dropped.saturating_add(count);
    }

    /// Hands out the next records in the order of putting: at most so many, and no more after so many bytes.
    pub(super) fn take(&mut self, records: usize, bytes: usize) -> Vec<Message> {
        let (mut batch, mut size) = (Vec::new(), 0_usize);
        while batch.len() < records && size < bytes {
            let Some((band, at, entry)) = self.oldest_after(self.given) else { break };
            self.given = entry.number;
            match self.bands[band as usize].get(at).map(|segment| segment.read(&entry)) {
                Some(Ok(message)) => {
                    size = size.saturating_add(message.len());
                    batch.push(Message { number: entry.number, bytes: message });
                }
                Some(Err(error)) => {
                    self.trouble = Some(error.to_string());
                    if let Some(segment) = self.bands[band as usize].get_mut(at) {
                        segment.entries.retain(|other| other.number != entry.number);
                    }
                    self.drop_records(band, 1);
                }
                None => break,
            }
        }
        batch
    }

    /// The first record after `number`: its band, segment and place.
    fn oldest_after(&self, number: u64) -> Option<(Band, usize, Entry)> {
        let first = |band: Band| {
            let segments = &self.bands[band as usize];
            let at = segments.partition_point(|s| s.entries.back().is_none_or(|last| last.number <= number));
            let entries = &segments.get(at)?.entries;
            let entry = *entries.get(entries.partition_point(|entry| entry.number <= number))?;
            Some((band, at, entry))
        };
        BANDS.into_iter().filter_map(first).min_by_key(|(.., entry)| entry.number)
    }

    /// The other side has everything up to that number.
    pub(super) fn confirm(&mut self, number: u64) {
        if number <= self.confirmed {
            return;
        }
        self.confirmed = number;
        self.given = self.given.max(number);
        for segments in &mut self.bands {
            while let Some(front) = segments.front_mut() {
                while front.entries.front().is_some_and(|entry| entry.number <= number) {
                    front.entries.pop_front();
                    self.counts.delivered = self.counts.delivered.saturating_add(1);
                }
                if !front.entries.is_empty() {
                    break;
                }
                segments.pop_front().into_iter().for_each(Segment::remove);
            }
        }
        // After the files, whose room a full disk needs for it. A kill between the two costs nothing: what is gone was
        // delivered, and what is there is delivered again.
        if self.lock.is_some()
            && let Err(error) = write_cursor(&self.folder, number)
        {
            self.trouble = Some(error.to_string());
        }
    }

    /// What was handed out and not confirmed is handed out again.
    pub(super) fn rewind(&mut self) {
        self.given = self.confirmed;
    }

    /// Files that a loss of power could still shorten.
    pub(super) fn unsynced(&mut self) -> Vec<File> {
        self.bands.iter_mut().flatten().filter_map(Segment::take_unsynced).collect()
    }

    /// Why records wait in memory, or why the disk lost some.
    pub(super) fn trouble(&self) -> Option<String> {
        self.trouble.as_ref().map(|trouble| format!("{}: {trouble}", self.folder.display()))
    }

    /// Whether nothing waits.
    pub(super) fn is_empty(&self) -> bool {
        self.bands.iter().flatten().all(|segment| segment.entries.is_empty())
    }

    pub(super) fn counts(&self) -> Counts {
        self.counts
    }

    pub(super) fn waiting(&self) -> Waiting {
        let mut waiting = Waiting { oldest: self.oldest_after(0).map(|(.., entry)| entry.time), ..Waiting::default() };
        for segment in self.bands.iter().flatten() {
            let records = segment.entries.len() as u64;
            waiting.records += records;
            waiting.bytes += segment.entries.iter().map(|entry| entry.length as u64).sum::<u64>();
            waiting.in_memory += if segment.is_file() { 0 } else { records };
        }
        waiting
    }
}

/// The number up to which everything was delivered; `None` without a whole file.
fn read_cursor(folder: &Path) -> Option<u64> {
    let bytes = fs::read(folder.join("cursor")).ok()?;
    let (number, sum) = bytes.split_first_chunk::<8>()?;
    (*sum == checksum(number).to_le_bytes()).then(|| u64::from_le_bytes(*number))
}

fn write_cursor(folder: &Path, number: u64) -> io::Result<()> {
    let number = number.to_le_bytes();
    let new = folder.join("cursor.new");
    fs::write(&new, [&number[..], &checksum(&number).to_le_bytes()].concat())?;
    fs::rename(new, folder.join("cursor"))
}

#[cfg(test)]
mod tests;
