//! The thread that keeps evidence: it sees each batch beside the workers, and writes files when findings are told.
//!
//! Nothing waits for it but the keeper, and that not for long. When it is behind, batches pass it by and are counted.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded};

use super::engine::Spare;
use crate::evidence::{Claim, Due, Found, Recorder, Room, Shelf};
use crate::flow::mark::{Mark, Marked};
use crate::ledger::Evidence;
use crate::output::Told;
use crate::output::view::FindingView;
use crate::source::Batch;

/// Where evidence is kept, and how much.
#[derive(Clone, Debug)]
pub struct Filing {
    /// The folder.
    pub folder: PathBuf,
    /// Bytes of all files together.
    pub most: u64,
    /// Bytes of one file, and of what is remembered.
    pub room: Room,
}

/// How the keeping of evidence is doing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EvidenceState {
    /// Files there are.
    pub files: usize,
    /// Their bytes.
    pub bytes: u64,
    /// Files written.
    pub written: u64,
    /// Files that went for younger ones.
    pub removed: u64,
    /// Frames that passed by because the recorder was behind.
    pub passed: u64,
    /// Findings whose frames were gone already, that came when there were too many, or whose file could not be written.
    pub missed: u64,
    /// Why the last file could not be written.
    pub error: Option<String>,
}

/// What the thread is told.
enum Work {
    /// A batch, and where its memory goes back to.
    Batch(Arc<Batch>, Spare),
    Marks(Vec<Mark>),
    /// Which frames there are cases of.
    Look(Sender<Vec<Evidence>>),
    /// Findings with the frames that they cite.
    Claims(Vec<Cited>, Sender<Filed>),
    /// Write what there is; answers when that is done.
    Last(Sender<()>),
    /// The names of the captures, now that there are others.
    Captures(Vec<String>),
    /// Remember so much from now on, and keep so many bytes of files.
    Room(Room, u64),
}

/// A finding with the frames that it cites, the best first; whether it is to have the others too.
struct Cited {
    frames: Vec<Evidence>,
    all: bool,
    claim: Claim,
}

/// What became of findings.
#[derive(Default)]
struct Filed {
    /// The names of all files.
    names: BTreeSet<String>,
    /// Findings that have none, by id, and why.
    without: BTreeMap<String, Without>,
}

/// Why a finding has no file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Without {
    /// It cites no frame.
    NoFrame,
    /// They are not remembered any more.
    Passed,
    /// There was one.
    Removed,
    /// The disk did not take it.
    Unwritten,
}

impl Without {
    fn text(self) -> &'static str {
        match self {
            Self::NoFrame => "it is about what was declared or was not seen, which no frame shows",
            Self::Passed => "its frames had passed when it was found, or came before the sensor started",
            Self::Removed => "its file went for younger ones, since [evidence] max_size has no room for more",
            Self::Unwritten => "its file could not be written, as the health of the sensor tells",
        }
    }
}

/// Batches and more on their way: a quarter of what may wait for a worker, since their memory counts twice.
const QUEUE: usize = 16;

/// Findings whose frames are looked for at one flush though nobody pointed them out.
const NEWS: usize = 256;
/// Facts that are taken note of at once: a device that says something else in each message gets no more.
const FACTS: usize = 64;

/// How long the keeper waits for an answer. A disk that is slower is asked again at the next flush.
const PATIENCE: Duration = Duration::from_millis(500);

/// The way to the thread, for those who see packets.
#[derive(Clone)]
pub struct Line {
    queue: Sender<Work>,
    passed: Arc<AtomicU64>,
    missed: Arc<AtomicU64>,
}

impl Line {
    /// A batch came. Who lets go of it last gives its memory back.
    pub(super) fn batch(&self, batch: &Arc<Batch>, spare: &Spare) {
        if self.queue.try_send(Work::Batch(Arc::clone(batch), spare.clone())).is_err() {
            self.passed.fetch_add(batch.frames.len() as u64, Ordering::Relaxed);
        }
    }

    /// There are other captures: the names of all, by their place in the list.
    pub(super) fn captures(&self, names: Vec<String>) {
        // A recorder that hangs for so long has other troubles than a name.
        let _ = self.queue.send_timeout(Work::Captures(names), PATIENCE);
    }

    /// Frames of batches that came are worth keeping.
    pub fn marks(&self, marks: Vec<Mark>) {
        let count = marks.len() as u64;
        if count > 0 && self.queue.try_send(Work::Marks(marks)).is_err() {
            self.missed.fetch_add(count, Ordering::Relaxed);
        }
    }
}

/// The thread.
pub struct Recording {
    line: Line,
    state: Arc<Mutex<EvidenceState>>,
    thread: JoinHandle<()>,
    /// Files there were at the last flush, and findings without one.
    filed: Filed,
}

impl Recording {
    /// Starts. `captures` are the names of the captures, by their place in the list. A folder that cannot be opened is tried
    /// again whenever there is something to write.
    #[must_use]
    pub fn start(filing: Filing, captures: Vec<String>) -> Self {
        let recorder = Recorder::new(filing.room.clone(), captures);
        let (queue, work) = bounded(QUEUE);
        let line = Line { queue, passed: Arc::default(), missed: Arc::default() };
        let state = Arc::default();
        let late = VecDeque::new();
        let mut desk = Desk { recorder, filing, shelf: None, late, unwritten: 0, state: Arc::clone(&state) };
        let opened = desk.open().err();
        desk.tell(opened.map(|error| Some(error.to_string())));
        Self { line, state, thread: thread::spawn(move || desk.run(&work)), filed: Filed::default() }
    }

    /// The way to it.
    #[must_use]
    pub fn line(&self) -> Line {
        self.line.clone()
    }

    /// Frames of batches that came are worth keeping.
    pub fn mark(&self, marks: Vec<Mark>) {
        self.line.marks(marks);
    }

    /// Files the frames of findings that were just told, and names the files in what is told. A finding is asked for until
    /// it is known whether there are frames of it.
    pub fn file(&mut self, told: &mut Told) {
        let (answer, cases) = bounded(1);
        let _ = self.line.queue.send_timeout(Work::Look(answer), PATIENCE);
        let cases: BTreeSet<Evidence> = cases.recv_timeout(PATIENCE).into_iter().flatten().collect();
        let mut news = NEWS;
        let cited = |finding: &FindingView| {
            let (frames, all) = finding.cited();
            let has_case = frames.iter().any(|at| cases.contains(at));
            let is_known = self.filed.without.contains_key(&finding.id) || self.has(&finding.id);
            if !has_case && (is_known || news == 0) {
                return None;
            }
            news -= usize::from(!has_case);
            Some(Cited { frames, all, claim: Claim { id: finding.id.clone(), what: finding.what.clone() } })
        };
        let claims = told.findings().iter().filter_map(cited).collect();
        let (answer, filed) = bounded(1);
        let _ = self.line.queue.send_timeout(Work::Claims(claims, answer), PATIENCE);
        if let Ok(Filed { names, without }) = filed.recv_timeout(PATIENCE) {
            self.filed.names = names;
            self.filed.without.extend(without);
            let ids: BTreeSet<&str> = told.findings().iter().map(|finding| finding.id.as_str()).collect();
            self.filed.without.retain(|id, _| ids.contains(id.as_str()));
        }
        self.name(told);
    }

    fn has(&self, id: &str) -> bool {
        self.filed.names.contains(&Shelf::name(id))
    }

    /// Names the files in what is told.
    pub fn name(&self, told: &mut Told) {
        told.cite(|finding| {
            let id = &finding.id;
            let why = || self.filed.without.get(id).map(|why| why.text().to_owned());
            if self.has(id) { Ok(Shelf::name(id)) } else { Err(why()) }
        });
    }

    /// Remembers so much from now on, and keeps so many bytes of files.
    pub fn resize(&self, room: Room, most: u64) {
        let _ = self.line.queue.send_timeout(Work::Room(room, most), PATIENCE);
    }

    /// How it is doing.
    #[must_use]
    pub fn state(&self) -> EvidenceState {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner).clone();
        state.passed += self.line.passed.load(Ordering::Relaxed);
        state.missed += self.line.missed.load(Ordering::Relaxed);
        state
    }

    /// Writes what there is and ends.
    pub fn stop(self) {
        let (answer, done) = bounded(1);
        let _ = self.line.queue.send_timeout(Work::Last(answer), PATIENCE);
        let is_done = done.recv_timeout(PATIENCE).is_ok();
        drop(self.line);
        // A disk that hangs must not hold up the stop.
        if is_done {
            let _ = self.thread.join();
        }
    }
}

/// What the thread has before it.
struct Desk {
    recorder: Recorder,
    filing: Filing,
    /// The folder, when it could be opened.
    shelf: Option<Shelf>,
    /// Files that could not be written yet: ids of findings, with the bytes.
    late: VecDeque<(String, Vec<u8>)>,
    /// Files that could not be written, and for which there was no room.
    unwritten: u64,
    state: Arc<Mutex<EvidenceState>>,
}

impl Desk {
    fn run(mut self, work: &Receiver<Work>) {
        for work in work {
            match work {
                Work::Batch(batch, spare) => {
                    self.recorder.batch(&batch);
                    spare.read(batch);
                    self.write(Due::Closed);
                }
                Work::Marks(marks) => {
                    let (facts, shown): (Vec<_>, Vec<_>) = marks.iter().partition(|mark| mark.what == Marked::Fact);
                    shown.into_iter().chain(facts.into_iter().take(FACTS)).for_each(|mark| self.recorder.mark(mark));
                }
                Work::Look(answer) => {
                    let _ = answer.send(self.recorder.cases().collect());
                }
                Work::Claims(claims, answer) => {
                    let filed = self.claims(claims);
                    let _ = answer.send(filed);
                }
                Work::Last(answer) => {
                    self.write(Due::Last);
                    let _ = answer.send(());
                }
                Work::Captures(names) => self.recorder.name(names),
                Work::Room(room, most) => {
                    self.recorder.resize(room.clone());
                    let resized = self.shelf.as_mut().map_or(Ok(()), |shelf| shelf.resize(most));
                    (self.filing.room, self.filing.most) = (room, most);
                    self.tell(resized.err().map(|error| Some(error.to_string())));
                }
            }
        }
    }

    /// Writes what there is of these findings, and says what there is not.
    fn claims(&mut self, mut claims: Vec<Cited>) -> Filed {
        let mut without = BTreeMap::new();
        let names = self.names();
        claims.retain(|cited| !names.contains(&Shelf::name(&cited.claim.id)));
        let cases: BTreeSet<Evidence> = self.recorder.cases().collect();
        let is_new = |cited: &&Cited| !cited.frames.iter().any(|at| cases.contains(at));
        let is_wanted = |cited: &&Cited| is_new(cited) || cited.all;
        let wanted: BTreeSet<Evidence> =
            claims.iter().filter(is_wanted).flat_map(|cited| cited.frames.iter().copied()).collect();
        let found = if wanted.is_empty() { Found::new() } else { self.recorder.find(&wanted) };
        for Cited { frames, all, claim } in claims {
            let id = claim.id.clone();
            let why = if self.shelf.as_ref().is_some_and(|shelf| shelf.had(&id)) {
                Without::Removed
            } else if frames.is_empty() {
                Without::NoFrame
            } else if self.recorder.cite(&frames, all, claim, &found) {
                // Until it is written.
                Without::Unwritten
            } else {
                Without::Passed
            };
            without.insert(id, why);
            if self.recorder.is_full() {
                self.write(Due::Closed);
            }
        }
        self.recorder.looked();
        self.write(Due::All);
        let names = self.names();
        without.retain(|id, _| !names.contains(&Shelf::name(id)));
        Filed { names, without }
    }

    fn names(&self) -> BTreeSet<String> {
        self.shelf.as_ref().map(Shelf::names).unwrap_or_default()
    }

    fn open(&mut self) -> io::Result<&mut Shelf> {
        let shelf = match self.shelf.take() {
            Some(shelf) => shelf,
            None => Shelf::open(&self.filing.folder, self.filing.most)?,
        };
        Ok(self.shelf.insert(shelf))
    }

    /// Writes what is due. What the disk does not take is tried again with the next flush, as far as there is room for it.
    fn write(&mut self, which: Due) {
        let mut error = None;
        if self.shelf.is_none() && which != Due::Closed {
            error = Some(self.open().err().map(|error| error.to_string()));
        }
        // A disk that took nothing a moment ago is not asked for each frame.
        let mut works = which != Due::Closed || self.late.is_empty();
        self.late.extend(self.recorder.due(which));
        while works && let Some((id, bytes)) = self.late.pop_front() {
            match self.open().and_then(|shelf| shelf.put(&id, &bytes)) {
                Ok(()) => error = Some(None),
                Err(why) => {
                    error = Some(Some(why.to_string()));
                    works = why.kind() == io::ErrorKind::FileTooLarge;
                    if works {
                        self.unwritten += 1;
                    } else {
                        self.late.push_front((id, bytes));
                    }
                }
            }
        }
        let mut bytes: usize = self.late.iter().map(|(_, bytes)| bytes.len()).sum();
        while bytes > self.filing.room.context / 4
            && let Some((_, gone)) = self.late.pop_front()
        {
            bytes -= gone.len();
            self.unwritten += 1;
        }
        self.tell(error);
    }

    /// Shows how it is doing; `error` of the last file, if there was one.
    fn tell(&self, error: Option<Option<String>>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(shelf) = &self.shelf {
            (state.files, state.bytes) = shelf.size();
            (state.written, state.removed) = (shelf.written, shelf.removed);
        }
        state.missed = self.recorder.missed + self.unwritten;
        if let Some(error) = error {
            state.error = error;
        }
    }
}
