//! Several captures as one source: in the order of time, the same whatever order they are named in.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::thread;

use super::file::{self, BLOCK, CaptureFile, CaptureSummary, Damage, OpenError};
use super::{Batch, FrameRef};
use crate::time::Timestamp;

/// Folders in folders that are looked into.
const MAX_DEPTH: u32 = 16;

/// Captures in the order of their first packets, then of their names. A capture's place in this order is what
/// [`super::Frame::capture`] says.
///
/// Captures that overlap in time are merged: the next frame is always the earliest at hand, and of equally early ones
/// that of the first capture. The frames of one capture keep their order.
pub struct Captures {
    list: Vec<Entry>,
    /// The first of the list that was not yet opened.
    next: usize,
    /// Those that are being read, in the order of the list.
    open: Vec<Open>,
}

/// A capture of the list.
struct Entry {
    /// `None` for stdin.
    path: Option<PathBuf>,
    /// Time of its first packet; `None` when it has none.
    first: Option<Timestamp>,
    /// Stored bytes, as far as they are known.
    size: Option<u64>,
    /// A stream that was opened to learn its first packet, and cannot be opened again.
    opened: Option<(CaptureFile, Batch)>,
    summary: CaptureSummary,
    /// Of a stream that was read.
    sha256: Option<String>,
}

struct Open {
    /// Place in the list.
    place: usize,
    file: CaptureFile,
    batch: Batch,
    /// Frames of the batch that were given out.
    taken: usize,
}

impl Open {
    fn head(&self) -> Option<&FrameRef> {
        self.batch.frames.get(self.taken)
    }

    /// There is a frame at hand, if there is one left at all.
    fn refill(&mut self) -> bool {
        if self.head().is_some() {
            return true;
        }
        self.taken = 0;
        self.file.fill(&mut self.batch)
    }
}

/// Captures that are being hashed.
pub struct Hashing(thread::JoinHandle<io::Result<Vec<Option<String>>>>);

/// A capture that could not be opened.
#[derive(Debug)]
pub struct Unreadable {
    /// As it was named, or found in a folder.
    pub name: String,
    /// Why.
    pub error: OpenError,
    /// It was not named itself but found in a folder, where other files are no surprise.
    pub in_folder: bool,
}

impl Captures {
    /// Opens captures: files, folders with all files in them and below, and `-` for stdin. A file that is named twice is
    /// read once.
    ///
    /// What cannot be opened is told, and the rest can still be read.
    #[must_use]
    pub fn open<P: AsRef<Path>>(paths: &[P]) -> (Self, Vec<Unreadable>) {
        let mut found = Found::default();
        for path in paths {
            found.add(path.as_ref(), 0);
        }
        let mut list = Vec::new();
        let mut unreadable = found.unreadable;
        // The smallest name of each file, in the order of names.
        let mut names: Vec<_> = found.files.into_values().collect();
        names.sort();
        for (path, in_folder) in names {
            match Entry::open(&path) {
                Ok(entry) if list.len() < usize::from(u16::MAX) => list.push(entry),
                Ok(_) => {
                    let error = io::Error::other("more than 65535 captures in one analysis").into();
                    unreadable.push(Unreadable { name: name(&path), error, in_folder: false });
                }
                Err(error) => unreadable.push(Unreadable { name: name(&path), error, in_folder }),
            }
        }
        // Stable: equal times stay in the order of names. A capture without packets has no time and comes last.
        list.sort_by_key(|entry| (entry.first.is_none(), entry.first));
        unreadable.sort_by(|a, b| a.name.cmp(&b.name));
        (Self { list, next: 0, open: Vec::new() }, unreadable)
    }

    /// A single capture from memory or a pipe.
    ///
    /// # Errors
    /// [`OpenError`] when it cannot be read or is no capture.
    pub fn stream(name: &str, source: Box<dyn io::Read + Send>) -> Result<Self, OpenError> {
        let file = CaptureFile::stream(name, source)?;
        Ok(Self { list: vec![Entry::new(None, file)], next: 0, open: Vec::new() })
    }

    /// There is nothing to read.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Fills a batch with the next frames of all captures, replacing what is in it; `false` when there are none left.
    pub fn fill(&mut self, batch: &mut Batch) -> bool {
        loop {
            if self.open.is_empty() && !self.open_next() {
                batch.frames.clear();
                return false;
            }
            // While one capture is read and none begins in between, its batches pass through as they are.
            let begins = self.next_begins();
            if let [only] = self.open.as_mut_slice()
                && only.head().is_none()
            {
                if !only.file.fill(batch) {
                    self.close_ended();
                    continue;
                }
                if begins.is_none_or(|begins| batch.frames.iter().all(|frame| frame.at <= begins)) {
                    return true;
                }
                std::mem::swap(&mut only.batch, batch);
                only.taken = 0;
            }
            if self.merge(batch) {
                return true;
            }
        }
    }

    /// Copies the earliest frames of the open captures, until a block is full or a single capture is left that can do
    /// without.
    fn merge(&mut self, batch: &mut Batch) -> bool {
        batch.clear();
        while batch.bytes.len() < BLOCK {
            self.close_ended();
            let earliest = self.open.iter().enumerate().filter_map(|(index, open)| Some((open.head()?.at, index)));
            let Some((at, index)) = earliest.min() else { break };
            if self.next_begins().is_some_and(|begins| begins < at) {
                self.open_next();
                continue;
            }
            let alone = self.open.len() == 1;
            let Some(open) = self.open.get_mut(index) else { break };
            if let Some(head) = open.head().copied()
                && let Some(frame) = open.batch.frame(&head)
            {
                let offset = batch.bytes.len() as u32; // Below a block and a frame.
                batch.bytes.extend_from_slice(frame.bytes);
                batch.frames.push(FrameRef { offset, ..head });
            }
            open.taken += 1;
            if alone && open.head().is_none() {
                break;
            }
        }
        !batch.frames.is_empty()
    }

    /// When the first capture begins that is not yet open.
    fn next_begins(&self) -> Option<Timestamp> {
        self.list.get(self.next)?.first
    }

    /// Opens the next capture; `false` when all were.
    fn open_next(&mut self) -> bool {
        while let Some(entry) = self.list.get_mut(self.next) {
            let place = self.next;
            self.next += 1;
            let opened = match (entry.opened.take(), &entry.path) {
                (Some(opened), _) => Ok(opened),
                (None, Some(path)) => CaptureFile::open(path).map(|file| (file, Batch::default())),
                (None, None) => continue, // A stream is kept open.
            };
            match opened {
                Ok((mut file, mut batch)) => {
                    let capture = u16::try_from(place).unwrap_or(u16::MAX); // The list is that short.
                    file.set_capture(capture);
                    batch.frames.iter_mut().for_each(|frame| frame.capture = capture);
                    self.open.push(Open { place, file, batch, taken: 0 });
                    return true;
                }
                // It was there a moment ago.
                Err(error) => {
                    let what = format!("the capture cannot be opened again: {error}");
                    entry.summary.damage = Some(Damage { offset: 0, what });
                }
            }
        }
        false
    }

    /// Sees to it that every open capture has a frame at hand, and closes those that have none left.
    fn close_ended(&mut self) {
        let list = &mut self.list;
        self.open.retain_mut(|open| {
            let more = open.refill();
            if !more && let Some(entry) = list.get_mut(open.place) {
                entry.summary = open.file.summary();
                if open.file.is_stream() {
                    entry.sha256 = open.file.sha256().ok();
                }
            }
            more
        });
    }

    /// What was read of each capture, in order; complete when [`Self::fill`] has said `false`.
    #[must_use]
    pub fn summaries(&self) -> Vec<CaptureSummary> {
        self.list.iter().map(|entry| entry.summary.clone()).collect()
    }

    /// Starts to hash the captures as they are stored, each file read once more in a thread beside the analysis.
    #[must_use]
    pub fn hash(&self) -> Hashing {
        // A stream cannot be read again: it is hashed while it is read.
        let file = |entry: &Entry| entry.path.clone().filter(|_| entry.opened.is_none());
        let paths: Vec<Option<PathBuf>> = self.list.iter().map(file).collect();
        let hash = |path: &Option<PathBuf>| path.as_deref().map(file::sha256).transpose();
        Hashing(thread::spawn(move || paths.iter().map(hash).collect()))
    }

    /// SHA-256 of each capture in hex, in their order, when all were read: of a stream it is known only then.
    ///
    /// # Errors
    /// A capture cannot be read.
    pub fn sha256s(&self, hashing: Hashing) -> io::Result<Vec<String>> {
        let files = hashing.0.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        let hash = |(entry, file): (&Entry, Option<String>)| {
            file.or_else(|| entry.sha256.clone()).ok_or_else(|| io::ErrorKind::NotFound.into())
        };
        self.list.iter().zip(files).map(hash).collect()
    }

    /// Stored bytes read so far, and how many there are; `None` when one of the captures is a stream.
    #[must_use]
    pub fn progress(&self) -> (u64, Option<u64>) {
        let closed = self.list.iter().take(self.next).enumerate();
        let closed = closed.filter(|(place, _)| self.open.iter().all(|open| open.place != *place));
        let read = closed.filter_map(|(_, entry)| entry.size).sum::<u64>()
            + self.open.iter().map(|open| open.file.progress().0).sum::<u64>();
        (read, self.list.iter().map(|entry| entry.size).sum())
    }
}

impl Entry {
    fn open(path: &Path) -> Result<Self, OpenError> {
        let path = (path != Path::new("-")).then(|| path.to_owned());
        let file = path.as_deref().map_or_else(CaptureFile::stdin, CaptureFile::open)?;
        Ok(Self::new(path, file))
    }

    fn new(path: Option<PathBuf>, mut file: CaptureFile) -> Self {
        let mut batch = Batch::default();
        file.fill(&mut batch);
        let first = batch.frames.first().map(|frame| frame.at);
        // Nothing is counted before it is given out.
        let summary =
            CaptureSummary { frames: 0, bytes: 0, lost: 0, first: None, last: None, damage: None, ..file.summary() };
        let size = file.progress().1;
        let opened = file.is_stream().then_some((file, batch));
        Self { path, first, size, opened, summary, sha256: None }
    }
}

/// Files by what they are, not by how they are named.
#[derive(Default)]
struct Found {
    /// The real path, and the smallest name that leads there with whether that was found in a folder.
    files: BTreeMap<PathBuf, (PathBuf, bool)>,
    unreadable: Vec<Unreadable>,
}

impl Found {
    fn add(&mut self, path: &Path, depth: u32) {
        if path.is_dir() {
            self.add_folder(path, depth);
            return;
        }
        // What has no real path (stdin, a pipe, a file that is not there) stands for itself.
        let real = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        let named = (path.to_owned(), depth > 0);
        let known = self.files.entry(real).or_insert_with(|| named.clone());
        // A file that was named itself is asked for, wherever else it was found.
        *known = (known.0.clone().min(named.0), known.1 && named.1);
    }

    fn add_folder(&mut self, path: &Path, depth: u32) {
        let entries = match std::fs::read_dir(path) {
            Ok(entries) => entries,
            Err(error) => {
                let error = OpenError::Io(error);
                self.unreadable.push(Unreadable { name: name(path), error, in_folder: depth > 0 });
                return;
            }
        };
        for entry in entries.flatten() {
            // A link to a folder may lead round in a circle, and a pipe in a folder would be waited for.
            let is_link_to_folder = entry.file_type().is_ok_and(|kind| kind.is_symlink()) && entry.path().is_dir();
            let is_file = entry.path().is_file();
            if (is_file || entry.path().is_dir()) && !is_link_to_folder && depth < MAX_DEPTH {
                self.add(&entry.path(), depth + 1);
            }
        }
    }
}

fn name(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A capture of Ethernet frames at these seconds.
    fn capture(seconds: &[u32]) -> Vec<u8> {
        let mut bytes = crate::source::tests::hex("d4c3b2a1 0200 0400 00000000 00000000 00000400 01000000");
        for second in seconds {
            bytes.extend([second.to_le_bytes(), [0; 4], 4_u32.to_le_bytes(), 4_u32.to_le_bytes()].concat());
            bytes.extend(second.to_be_bytes());
        }
        bytes
    }

    /// `capture:number@second` of every frame, in the order given out.
    fn read(paths: &[PathBuf]) -> (String, Captures, Vec<Unreadable>) {
        let (mut captures, unreadable) = Captures::open(paths);
        let (mut batch, mut all) = (Batch::default(), Vec::new());
        while captures.fill(&mut batch) {
            assert!(!batch.frames.is_empty());
            for frame in batch.frames() {
                let second = u32::from_be_bytes(frame.bytes.try_into().unwrap());
                assert_eq!(frame.at, Timestamp::new(second.into(), 0));
                all.push(format!("{}:{}@{second}", frame.capture, frame.number));
            }
        }
        (all.join(" "), captures, unreadable)
    }

    #[test]
    fn order_is_by_time_and_not_by_argument() {
        for (case, files, want) in [
            ("one after the other", vec![("a", vec![5, 6]), ("b", vec![1, 2])], "0:1@1 0:2@2 1:1@5 1:2@6"),
            ("overlapping", vec![("a", vec![2, 4, 6]), ("b", vec![1, 5])], "0:1@1 1:1@2 1:2@4 0:2@5 1:3@6"),
            ("one inside the other", vec![("a", vec![1, 9]), ("b", vec![3, 4])], "0:1@1 1:1@3 1:2@4 0:2@9"),
            ("equal times, by name", vec![("b", vec![1, 2]), ("a", vec![1, 2])], "0:1@1 1:1@1 0:2@2 1:2@2"),
            ("not in order inside", vec![("a", vec![1, 9, 2]), ("b", vec![3])], "0:1@1 1:1@3 0:2@9 0:3@2"),
            ("an empty one is last", vec![("a", vec![]), ("b", vec![3]), ("c", vec![4])], "0:1@3 1:1@4"),
        ] {
            let folder = tempfile::tempdir().unwrap();
            let mut paths: Vec<PathBuf> = Vec::new();
            for (name, seconds) in &files {
                paths.push(folder.path().join(name));
                std::fs::write(folder.path().join(name), capture(seconds)).unwrap();
            }
            assert_eq!(read(&paths).0, want, "{case}");
            paths.reverse();
            paths.push(folder.path().join("./a")); // The same file once more.
            assert_eq!(read(&paths).0, want, "{case}, reversed");
            let (order, captures, unreadable) = read(&[folder.path().to_owned()]);
            assert_eq!((order.as_str(), unreadable.len()), (want, 0), "{case}, as a folder");
            let frames: u64 = captures.summaries().iter().map(|summary| summary.frames).sum();
            assert_eq!(frames as usize, want.split(' ').count(), "{case}");
            let (read, all) = captures.progress();
            assert_eq!(Some(read), all, "{case}");
        }
    }

    #[test]
    fn long_captures_merge_as_short_ones() {
        let folder = tempfile::tempdir().unwrap();
        let seconds = |which: u32| (0..60_000).filter(move |second| second % 3 == which || second % 1000 == 0);
        let paths = [0, 1, 2].map(|which| folder.path().join(which.to_string()));
        for (which, path) in (0..).zip(&paths) {
            std::fs::write(path, capture(&seconds(which).collect::<Vec<_>>())).unwrap();
        }
        let mut want: Vec<(u32, u16)> = (0..3).flat_map(|w| seconds(w.into()).map(move |second| (second, w))).collect();
        want.sort_unstable();
        let (order, captures, _) = read(&paths);
        let found = order.split(' ').map(|frame| {
            let (capture, rest) = frame.split_once(':').unwrap();
            (rest.split_once('@').unwrap().1.parse().unwrap(), capture.parse().unwrap())
        });
        assert!(found.eq(want.iter().copied()));
        assert_eq!(captures.summaries().iter().map(|summary| summary.frames).sum::<u64>(), want.len() as u64);
        assert_eq!(captures.sha256s(captures.hash()).unwrap()[0], file::sha256(&paths[0]).unwrap());
    }

    #[test]
    fn the_unreadable_is_told_and_the_rest_read() {
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("inner");
        std::fs::create_dir(&inner).unwrap();
        std::fs::write(inner.join("plant.pcap"), capture(&[7])).unwrap();
        std::fs::write(inner.join("notes"), "cell 4\n").unwrap();
        std::fs::write(folder.path().join("empty"), "").unwrap();
        let (order, _, unreadable) = read(&[inner, folder.path().join("empty"), folder.path().join("gone")]);
        assert_eq!(order, "0:1@7");
        let told: Vec<_> = unreadable
            .iter()
            .map(|one| {
                let name = Path::new(&one.name).file_name().unwrap().to_string_lossy().into_owned();
                (name, one.error.to_string(), one.in_folder)
            })
            .collect();
        let told: Vec<_> = told.iter().map(|(name, error, folder)| (name.as_str(), error.as_str(), *folder)).collect();
        assert_eq!(
            told,
            [
                ("empty", "the file is empty", false),
                ("gone", "No such file or directory (os error 2)", false),
                ("notes", "not a pcap, pcapng or snoop capture: it looks like text", true),
            ]
        );
    }
}
